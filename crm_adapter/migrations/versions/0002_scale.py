"""Indexes for the outbox and the runs, ends of months, a mark for accounts that are queued."""

from alembic import op

from crm_adapter.migrations import helpers

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    helpers.upgrade(op, table=op.get_context().opts["table"], revision="0002")


def downgrade() -> None:
    helpers.downgrade(op, table=op.get_context().opts["table"], revision="0001")
