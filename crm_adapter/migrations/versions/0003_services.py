"""Services that cost money beside servers, whose they are, and their months."""

from alembic import op

from crm_adapter.migrations import helpers

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    helpers.upgrade(op, table=op.get_context().opts["table"])


def downgrade() -> None:
    helpers.downgrade(op, table=op.get_context().opts["table"], revision="0002")
