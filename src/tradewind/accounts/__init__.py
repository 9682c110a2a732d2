"""Accounts: who may sign in, as whom, to see and do what, and who did it."""

from tradewind.accounts.accounts import Accounts, Session, Token, User, open_accounts
from tradewind.accounts.jobs import Job, Jobs, JobState, open_jobs
from tradewind.accounts.roles import ANYBODY_HERE, Caller, Right, Role

__all__ = [
    "ANYBODY_HERE", "Accounts", "Caller", "Job", "JobState", "Jobs", "Right", "Role", "Session", "Token", "User",
    "open_accounts", "open_jobs",
]  # fmt: skip
