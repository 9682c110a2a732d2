"""What Alembic runs to take the missing steps, inside the transaction of whoever opens the register."""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table=context.config.attributes["version_table"],
    transactional_ddl=True,  # SQLite's too, since the caller began the transaction: a step is taken whole or not at all
)
context.run_migrations()
