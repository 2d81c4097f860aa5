"""Alembic's entry: migrates on the connection that the ledger hands over, in the ledger's transaction."""

from alembic import context

from outreach.ledger import tables

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=tables.metadata, render_as_batch=True)
context.run_migrations()
