"""Registers that are kept in a database: where they live, who writes, and how their tables came to be."""

from tradewind.database.database import Database, Register

__all__ = ["Database", "Register"]
