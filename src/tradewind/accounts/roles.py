"""Roles: what each kind of user may do, and what a caller may see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tradewind.errors import ForbiddenError
from tradewind.scope import OPERATOR, Scope


class Role(StrEnum):
    """What kind of user somebody is."""

    OPERATOR = "operator"
    MERCHANT = "merchant"
    CREATOR = "creator"
    VIEWER = "viewer"


class Right(StrEnum):
    """What a caller may do."""

    READ = "read"
    STUDY = "study"
    APPROVE = "approve"
    MANAGE = "manage"


RIGHTS: Mapping[Role, frozenset[Right]] = {
    Role.OPERATOR: frozenset(Right),
    Role.MERCHANT: frozenset({Right.READ, Right.STUDY, Right.APPROVE}),
    Role.CREATOR: frozenset({Right.READ}),
    Role.VIEWER: frozenset({Right.READ}),
}
"""`read` what is there; `study`: ask studies and plans; `approve`, launch and stop actions; `manage` users and data."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who asks.

    Args:
        user: Id of the user; empty for whoever sits at this machine.
        name: Name, as the audit log and the ledger have it.
        role: What they are.
        scope: What they may see.
    """

    user: str
    name: str
    role: Role
    scope: Scope

    def may(self, right: Right) -> bool:
        """Whether the caller has a right."""
        return right in RIGHTS[self.role]

    def check(self, right: Right) -> None:
        """Do nothing where the caller has a right.

        Raises:
            ForbiddenError: If not.
        """
        if not self.may(right):
            raise ForbiddenError(f"As {self.role} you may not {right}", do="ask an operator")


ANYBODY_HERE = Caller("", "this machine", Role.OPERATOR, OPERATOR)
"""Whoever sits at this machine, where a server listens to nobody else."""
