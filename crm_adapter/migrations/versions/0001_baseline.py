"""The six columns of the integration and the adapter's own tables."""

from alembic import op

from crm_adapter.migrations import helpers

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    helpers.upgrade(op, table=op.get_context().opts["table"], revision="0001")


def downgrade() -> None:
    helpers.downgrade(op, table=op.get_context().opts["table"])
