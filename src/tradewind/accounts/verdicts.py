"""Verdicts: what people decided on the actions of a plan, who, when and why."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import sqlalchemy as sa

from tradewind.accounts.desk_schema import DESK, VERDICTS
from tradewind.accounts.roles import Caller, Right
from tradewind.database import Database
from tradewind.errors import BadInputError, ConflictError, ForbiddenError
from tradewind.scope import Scope
from tradewind.study import Choice

LONGEST_KEY, LONGEST_REASON = 200, 1_000

Clock = Callable[[], datetime]


class Decision(StrEnum):
    """What somebody says of an action."""

    APPROVED = "approved"
    REJECTED = "rejected"
    OPEN = "open"


@dataclass(frozen=True)
class Verdict:
    """What was decided on an action.

    Args:
        number: Its number: a later one takes the place of an earlier one.
        plan: Key of the plan.
        action: Key of the action.
        shop: The shop that the action belongs to; None where it is the marketplace's.
        decision: What was decided.
        reason: Why, in words; empty where nobody said.
        who: Name of the user.
        at: When, UTC in ISO 8601.
        setting: What was approved, as its `fingerprint`; None where nothing was.
    """

    number: int
    plan: str
    action: str
    shop: str | None
    decision: Decision
    reason: str
    who: str
    at: str
    setting: str | None = None

    def covers(self, choice: Choice) -> bool:
        """Whether it approves just what a choice does, rather than another setting of its action."""
        return self.decision is Decision.APPROVED and self.setting == fingerprint(choice)


class Verdicts:
    """The verdicts on plans. Every change of mind is a verdict of its own, and the last one counts.

    Args:
        database: Where they are kept; `open_desk` makes it.
        clock: What says the time; the machine's clock when left out.
    """

    def __init__(self, database: Database, clock: Clock | None = None):
        self._database = database
        self._clock = clock or (lambda: datetime.now(UTC))

    def give(
        self, plan: str, action: str, decision: Decision | str, reason: str, caller: Caller, shop: str | None,
        setting: str | None = None,
    ) -> Verdict:  # fmt: skip
        """Decide on one action; see `give_all`."""
        settings = None if setting is None else {action: setting}
        return self.give_all(plan, {action: shop}, decision, reason, caller, settings=settings)[0]

    def give_all(
        self, plan: str, actions: Mapping[str, str | None], decision: Decision | str, reason: str, caller: Caller,
        seen: int | None = None, settings: Mapping[str, str] | None = None,
    ) -> list[Verdict]:  # fmt: skip
        """Decide on actions, on all or on none.

        Args:
            plan: Key of the plan.
            actions: By key of the action, the shop that it belongs to, None where it is the marketplace's: as the plan
                says, never as the caller does.
            decision: `approved`, `rejected`, or `open` to take back what was decided.
            reason: Why; a rejection needs one.
            caller: Who decides.
            seen: Number of the last verdict that the caller knows of; whatever counts where None.
            settings: By key of the action, the `fingerprint` of what is approved; other decisions hold for any setting.

        Returns:
            The verdicts that count from now on.

        Raises:
            ForbiddenError: If the caller may not approve, or an action is not of the caller's shops.
            BadInputError: If there is no such decision, a rejection has no reason, an approval no setting, or a text
                cannot be kept.
            ConflictError: If one was decided since the caller looked.
        """
        caller.check(Right.APPROVE)
        _key("The key of a plan", plan)
        for action, shop in actions.items():
            inside(caller.scope, shop)
            _key("The key of an action", action)
        if decision not in set(Decision):
            raise BadInputError("An action cannot be decided on so", got=decision, allowed=list(Decision))
        said = Decision(decision)
        why = reason.strip()
        of = dict(settings or {}) if said is Decision.APPROVED else {}
        if said is Decision.APPROVED and (bare := [action for action in actions if action not in of]):
            raise BadInputError(
                "An approval says what is approved", got=bare[0], do="give the setting that the plan shows of it"
            )
        for setting in of.values():
            _key("A setting", setting)
        if said is Decision.REJECTED and not why:
            raise BadInputError("A rejection needs a reason", do="say in a sentence what should have been otherwise")
        if len(why) > LONGEST_REASON or not all(char.isprintable() or char in "\n\t" for char in why):
            raise BadInputError(
                "A reason cannot be kept", got=ascii(why[:80]), allowed=f"up to {LONGEST_REASON} characters that print"
            )
        at = self._clock().astimezone(UTC).isoformat(timespec="milliseconds")
        found = []
        with self._database.writing() as to:
            if seen is not None:
                since = to.execute(VERDICTS.select().where(VERDICTS.c.plan == plan, VERDICTS.c.number > seen)).all()
                if news := [row for row in since if (row.action, row.shop) in actions.items()]:
                    raise ConflictError(
                        f"{news[-1].who} decided since you looked: {news[-1].verdict}", got=news[-1].action,
                        do="load the page anew, then decide",
                    )  # fmt: skip
            for action, shop in actions.items():
                row = {
                    "plan": plan, "action": action, "shop": shop, "verdict": str(said), "reason": why,
                    "user": caller.user, "who": caller.name, "at": at, "setting": of.get(action),
                }  # fmt: skip
                [number] = to.execute(VERDICTS.insert().values(**row)).inserted_primary_key or (0,)
                found.append(Verdict(number, plan, action, shop, said, why, caller.name, at, of.get(action)))
        return found

    def of(self, plan: str, scope: Scope) -> dict[tuple[str, str | None], Verdict]:
        """Return the verdicts that count, by the action's key and shop: of the shops of a scope only.

        An action on which nobody decided is not among them; one that was opened again is, as `open`. Actions of one
        key may be of several shops, and of the marketplace.
        """
        last = (
            sa.select(sa.func.max(VERDICTS.c.number))
            .where(VERDICTS.c.plan == plan)
            .group_by(VERDICTS.c.action, VERDICTS.c.shop)
        )
        return {(each.action, each.shop): each for each in self._found(VERDICTS.c.number.in_(last), scope)}

    def history(self, plan: str, action: str, scope: Scope) -> list[Verdict]:
        """Return all verdicts on an action, the first one first; none where it is not of the scope's shops."""
        return self._found(sa.and_(VERDICTS.c.plan == plan, VERDICTS.c.action == action), scope)

    def _found(self, condition: sa.ColumnElement[bool], scope: Scope) -> list[Verdict]:
        asked = VERDICTS.select().where(condition).order_by(VERDICTS.c.number)
        if scope.shops is not None:
            asked = asked.where(VERDICTS.c.shop.in_(sorted(scope.shops)))
        with self._database.reading() as of:
            rows = of.execute(asked).all()
        return [
            Verdict(r.number, r.plan, r.action, r.shop, Decision(r.verdict), r.reason, r.who, r.at, r.setting)
            for r in rows
        ]


def open_desk(address: str | Path, *, create: bool = True) -> Database:
    """Open the database of the desk, its tables brought up to date.

    Args:
        address: A file, `sqlite:///FILE`, or `postgresql://USER@HOST/NAME`.
        create: Whether it may be begun.

    Raises:
        NotFoundError: If there is none and none may be begun.
        BadInputError: If the address cannot be used.
        CorruptDeskError: If there is something else there.
    """
    database = Database(DESK, address)
    try:
        if not database.prepared():
            with database.preparing(create=create):
                pass
    except BaseException:
        database.close()
        raise
    return database


def fingerprint(choice: Choice) -> str:
    """Return what stands for what a choice does: its lever, subject and dose, for how many days, and who pays.

    Doses count to nine digits. How much it is expected to draw and to gain does not count, which hangs on what the
    caller sees, nor when it begins, which moves on until it is launched.
    """
    action, subject = choice.action, choice.action.subject
    payers = sorted(str(payer) for payer, cost in choice.setting.cost.items() if round(cost, 2) > 0)
    said = [
        str(action.lever), subject.kind, subject.id, subject.shop, subject.partner,
        None if action.assignment is None else len(action.assignment.units),
        action.days.days, {name: f"{value + 0.0:.9g}" for name, value in choice.setting.dose.items()},
        payers,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]


def inside(scope: Scope, shop: str | None) -> None:
    """Do nothing where an action of a shop, or the marketplace's where None, is a caller's to decide on.

    Raises:
        ForbiddenError: If not.
    """
    if scope.everything:
        return
    if shop is None:
        raise ForbiddenError("Only an operator decides on what is the marketplace's")
    scope.narrowed([shop])


def _key(what: str, text: str) -> None:
    if not text.strip() or not text.isprintable() or len(text) > LONGEST_KEY:
        raise BadInputError(f"{what} cannot be used", got=ascii(text[:80]), allowed=f"1 to {LONGEST_KEY} characters")
