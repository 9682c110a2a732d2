"""Where the ledgers of tests are, and what can be done to them behind their back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from deeds import KEY, Clock

from tradewind.ledger import Ledger, open_ledger


@dataclass(frozen=True)
class Place:
    """Where a ledger of a test is.

    Args:
        address: Its address.
        kind: The database.
    """

    address: str
    kind: str

    def open(self, clock: Clock, **settings: Any) -> Ledger:
        """Open the ledger."""
        return open_ledger(self.address, **{"environment": KEY, "clock": clock, **settings})

    def tamper(self, *statements: str) -> None:
        """Do what no trigger would let pass, as somebody does who may change the database itself."""
        engine = sa.create_engine(self._raw())
        with engine.begin() as connection:
            if self.kind == "postgresql":
                connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            else:
                triggers = connection.exec_driver_sql(
                    "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
                ).all()
                for name, _ in triggers:
                    connection.exec_driver_sql(f"DROP TRIGGER {name}")
            for statement in statements:
                connection.exec_driver_sql(statement)
            if self.kind == "sqlite":
                for _, text in triggers:
                    connection.exec_driver_sql(text)
        engine.dispose()

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement as the database lets it pass."""
        engine = sa.create_engine(self._raw())
        try:
            with engine.begin() as connection:
                found = connection.exec_driver_sql(statement)
                return [tuple(row) for row in found] if found.returns_rows else []
        finally:
            engine.dispose()

    def _raw(self) -> str:
        return f"sqlite:///{self.address}" if self.kind == "sqlite" else self.address
