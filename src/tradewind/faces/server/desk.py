"""Desk: what is done with a plan: gathered, decided action by action, and launched, by page and API alike."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial

from tradewind.accounts import Job, Right
from tradewind.accounts.verdicts import Decision, fingerprint, inside
from tradewind.errors import BadInputError, ConflictError, ForbiddenError, MissingDataError, NotFoundError
from tradewind.faces.proposals import Proposals
from tradewind.faces.server import board, questions
from tradewind.faces.server.board import Board, Sought, rejected
from tradewind.faces.server.gate import Asking
from tradewind.faces.server.questions import Question
from tradewind.faces.server.reading import RECENT, period_of
from tradewind.ledger import Launch
from tradewind.ledger.lot import HOLDOUT
from tradewind.study import Choice

MOST = 500
"""Actions that are decided at a time."""


def gather(asker: Asking, period: str = RECENT) -> Job:
    """Ask a job to gather proposals from the days before.

    Raises:
        ForbiddenError: If the caller may not ask plans.
    """
    return questions.gather(asker, questions.gathering(asker, period_of(period, asker.store)))


def decide(
    asker: Asking, keys: Sequence[str], verdict: str, reason: str, period: str = RECENT, seen: int | None = None,
    settings: Mapping[str, str] | None = None,
) -> None:  # fmt: skip
    """Approve, reject or reopen actions of the plan.

    Args:
        asker: Who decides.
        keys: Keys of the actions.
        verdict: `approved`, `rejected` or `open`.
        reason: Why.
        period: The days that proposals were gathered from.
        seen: Number of the last verdict that the asker was shown; None for whatever counts.
        settings: By key, the `setting` that the asker was shown: an approval is of that one.

    Raises:
        ForbiddenError: If the caller may not approve, an action is of the marketplace or another shop, or what is
            approved draws on money that is not the caller's to spend.
        NotFoundError: If there is no such action.
        BadInputError: If none is named, there is no such verdict, a rejection lacks its reason, or an approval its
            setting.
        MissingDataError: If no proposals were gathered yet.
        ConflictError: If an action that is to be rejected or reopened was launched or is about to be, what is approved
            is on no menu any more, or somebody else decided since the asker looked.
    """
    asker.caller.check(Right.APPROVE)
    if not 0 < len(keys) <= MOST:
        raise BadInputError("Name the actions that are decided", got=len(keys), allowed=f"1 to {MOST}")
    days = period_of(period, asker.store)
    wanted = questions.gathering(asker, days)
    proposals = asker.office.proposals(wanted.key, wanted.store)
    if proposals is None:
        raise MissingDataError("No proposals were gathered yet", do="ask for them on the page of the plan")
    known = asker.office.subjects(wanted.key, proposals)
    if unknown := [key for key in keys if key not in known]:
        raise BadInputError("The plan has no such action", got=ascii(unknown[0])[1:-1], do="load the page anew")
    for key in keys:  # all of them or none
        inside(asker.caller.scope, known[key])
    shops = {key: known[key] for key in keys}
    if verdict != Decision.APPROVED:
        _still(asker, board.standing(asker, known, days), shops)
    else:
        _offered(asker, wanted, proposals, {key: shown for key, shown in (settings or {}).items() if key in shops})
    asker.office.verdicts.give_all(board.decided(asker, wanted), shops, verdict, reason, asker.caller, seen, settings)
    if asker.office.accounts is not None:
        named = keys[0] if len(keys) == 1 else f"{len(keys)} actions"
        asker.office.accounts.note(asker.caller, verdict, named[:100], reason[:200])


def _offered(asker: Asking, wanted: Question, proposals: Proposals, settings: Mapping[str, str]) -> None:
    """Refuse to approve what actions do not offer, since their days may have moved on, or what others would pay."""
    asked = board.begun(asker, Sought({})).asked
    for action in asker.office.actions(wanted.key, proposals, asked, asker.ledger):
        if (shown := settings.get(action.key)) is not None:
            offers = {
                fingerprint(choice): choice.setting for choice in map(partial(Choice, action), range(len(action.menu)))
            }
            if shown not in offers:
                raise ConflictError(
                    "What this action does has changed since you looked", got=action.key,
                    do="load the page anew, then decide",
                )  # fmt: skip
            for payer, cost in offers[shown].cost.items():
                if cost > 0 and payer not in board.payers_of(asker):
                    raise ForbiddenError(f"You cannot spend the budget of the {payer}", got=action.key)


def _still(asker: Asking, standing: Mapping[str, Launch], shops: Mapping[str, str | None]) -> None:
    """Refuse to take back what was launched, or is about to be; actions are given by key with their shops."""
    for key in shops:
        if (launch := standing.get(key)) is not None:
            held = launch.arm == HOLDOUT
            raise ConflictError(
                "This action is held out, so that others can be proven" if held else "This action was launched",
                got=key, do=f"wait until {launch.days.last}" if held else "stop it in the ledger",
            )  # fmt: skip
    for job in asker.office.jobs.underway("launch"):
        if both := [key for key, shop in job.asked["shops"].items() if (key, shop) in shops.items()]:
            raise ConflictError(
                "This action is being launched", got=both[0], do="wait for that job, then stop it in the ledger"
            )


def stamp(found: Board) -> str:
    """Return what stands for the actions that a launch would take and what they do."""
    said = sorted(f"{key} {fingerprint(choice)}" for key, choice in found.approved.items())
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]


def launch(asker: Asking, found: Board, seen: str | None = None) -> Job:
    """Ask a job to launch the approved actions of a plan that are not launched yet.

    Args:
        asker: Who asks.
        found: The plan.
        seen: The `stamp` of what the asker was shown; None for whatever is approved.

    Raises:
        ForbiddenError: If the caller may not launch.
        MissingDataError: If no proposals were gathered yet.
        BadInputError: If none of the plan's actions is approved, but for those that are launched.
        ConflictError: If what is approved changed since the asker looked.
    """
    asker.caller.check(Right.APPROVE)
    if found.found is None:
        raise MissingDataError("No proposals were gathered yet", do="ask for them on the page of the plan")
    plan, approved = found.found.plan, found.approved
    if seen is not None and seen != stamp(found):
        raise ConflictError(
            "What is approved is not what the page showed", got=f"{len(approved)} actions now",
            do="load the page anew, then launch",
        )  # fmt: skip
    if not approved:
        stands = any(choice.action.key in found.standing for choice in plan.choices)
        raise BadInputError(
            "All of the plan's approved actions are launched" if stands else "None of the plan's actions is approved",
            do="approve others, then launch them",
        )
    whose = sorted({found.verdicts[key].who for key in approved})
    sought, begin = asdict(found.sought.asked), found.sought.begin
    asked = {
        "proposals": found.question.key, "plan": plan.name,
        "asked": sought | {"begin": None if begin is None else begin.isoformat()}, "without": rejected(found.verdicts),
        "approved": list(approved), "shops": {key: found.verdicts[key].shop for key in approved},
        "verdicts": board.decided(asker, found.question),
        "approved_by": ", ".join(whose)[:200],
    }  # fmt: skip
    if asker.office.accounts is not None:
        asker.office.accounts.note(asker.caller, "launch", plan.name, f"{len(approved)} actions")
    title = f"Launching {len(approved)} actions of {plan.name}"
    return asker.office.asked("launch", title, asked, asker.caller, asker.store)


def stop(asker: Asking, launch: str, reason: str) -> Launch:
    """Note that a launched action is stopped as of today.

    Raises:
        ForbiddenError: If the caller may not stop actions.
        NotFoundError: If there is no such launch, or the caller may not see it.
        ConflictError: If it was stopped already, is over, or was held out.
    """
    asker.caller.check(Right.APPROVE)
    asker.store.table("order_lines")  # a creator is told here that the ledger is not for them
    if asker.ledger is None:
        raise NotFoundError("Nothing of this id is in the ledger", do="look at the ledger for what you may see")
    stopped = asker.ledger.stop(launch, asker.caller.name, reason)
    if asker.office.accounts is not None:
        asker.office.accounts.note(asker.caller, "stop", launch, reason[:200])
    return stopped
