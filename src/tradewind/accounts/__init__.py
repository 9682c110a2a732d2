"""Accounts: who may sign in, as whom, to see and do what, and who did it."""

from tradewind.accounts.accounts import Accounts, Session, Token, User, open_accounts
from tradewind.accounts.roles import ANYBODY_HERE, Caller, Right, Role

__all__ = [
    "ANYBODY_HERE", "Accounts", "Caller", "Right", "Role", "Session", "Token", "User", "open_accounts",
]  # fmt: skip
