"""Alembic's entry: runs the migrations on the connection that `crm_adapter.migrations` hands over."""

from alembic import context

from crm_adapter.migrations import VERSION_TABLE

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    version_table=VERSION_TABLE,
    transaction_per_migration=True,
    table=context.config.attributes["table"],
)
with context.begin_transaction():
    context.run_migrations()
