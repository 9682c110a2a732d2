"""Accounts: who may sign in, as whom, to see and do what, who did it, and what they asked for and decided."""

from tradewind.accounts.accounts import Accounts, Session, Token, User, open_accounts
from tradewind.accounts.jobs import Job, Jobs, JobState, open_jobs
from tradewind.accounts.roles import ANYBODY_HERE, Caller, Right, Role
from tradewind.accounts.verdicts import Decision, Verdict, Verdicts, open_desk

__all__ = [
    "ANYBODY_HERE", "Accounts", "Caller", "Decision", "Job", "JobState", "Jobs", "Right", "Role", "Session", "Token",
    "User", "Verdict", "Verdicts", "open_accounts", "open_desk", "open_jobs",
]  # fmt: skip
