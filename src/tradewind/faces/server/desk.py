"""Desk: what is done with a plan: gathered, decided action by action, and launched, by page and API alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from tradewind.accounts import Job, Right
from tradewind.accounts.verdicts import Decision, inside
from tradewind.errors import BadInputError, ConflictError, MissingDataError, NotFoundError
from tradewind.faces.server import questions
from tradewind.faces.server.board import Board, rejected
from tradewind.faces.server.gate import Asking
from tradewind.faces.server.reading import RECENT, period_of
from tradewind.ledger import Launch

MOST = 500
"""Actions that are decided at a time."""


def gather(asker: Asking, period: str = RECENT) -> Job:
    """Ask a job to gather proposals from the days before.

    Raises:
        ForbiddenError: If the caller may not ask plans.
    """
    return questions.gather(asker, questions.gathering(asker, period_of(period, asker.store)))


def decide(asker: Asking, keys: Sequence[str], verdict: str, reason: str, period: str = RECENT) -> None:
    """Approve, reject or reopen actions of the plan.

    Raises:
        ForbiddenError: If the caller may not approve, or an action is of the marketplace or another shop.
        NotFoundError: If there is no such action.
        BadInputError: If none is named, there is no such verdict, or a rejection lacks its reason.
        MissingDataError: If no proposals were gathered yet.
        ConflictError: If an action that is to be rejected or reopened was launched.
    """
    asker.caller.check(Right.APPROVE)
    if not 0 < len(keys) <= MOST:
        raise BadInputError("Name the actions that are decided", got=len(keys), allowed=f"1 to {MOST}")
    wanted = questions.gathering(asker, period_of(period, asker.store))
    proposals = asker.office.proposals(wanted.key, wanted.store)
    if proposals is None:
        raise MissingDataError("No proposals were gathered yet", do="ask for them on the page of the plan")
    known = asker.office.subjects(wanted.key, proposals)
    if unknown := [key for key in keys if key not in known]:
        raise BadInputError("The plan has no such action", got=ascii(unknown[0])[1:-1], do="load the page anew")
    for key in keys:  # all of them or none
        inside(asker.caller.scope, known[key])
    if verdict != Decision.APPROVED and asker.ledger is not None:
        name = f"plan-{period_of(period, asker.store).last}-"
        done = {
            each.action for each in asker.ledger.status().launches if each.plan.startswith(name) and not each.stopped
        }
        if launched := sorted(done.intersection(keys)):
            raise ConflictError("This action was launched", got=launched[0], do="stop it in the ledger")
    for key in keys:
        asker.office.verdicts.give(wanted.key, key, verdict, reason, asker.caller, known[key])
    if asker.office.accounts is not None:
        named = keys[0] if len(keys) == 1 else f"{len(keys)} actions"
        asker.office.accounts.note(asker.caller, verdict, named[:100], reason[:200])


def launch(asker: Asking, found: Board) -> Job:
    """Ask a job to launch the approved actions of a plan.

    Raises:
        ForbiddenError: If the caller may not launch.
        MissingDataError: If no proposals were gathered yet.
        BadInputError: If none of the plan's actions is approved.
        ConflictError: If the plan was launched already.
    """
    asker.caller.check(Right.APPROVE)
    if found.found is None:
        raise MissingDataError("No proposals were gathered yet", do="ask for them on the page of the plan")
    plan = found.found.plan
    approved = [c.action.key for c in plan.choices if _approved(found, c.action.key)]
    if not approved:
        raise BadInputError("None of the plan's actions is approved", do="approve some, then launch them")
    whose = sorted({found.verdicts[key].who for key in approved})
    if asker.ledger is not None and asker.ledger.status(plan.name).launches:
        raise ConflictError("This plan was launched already", got=plan.name, do="see the ledger")
    sought, begin = asdict(found.sought.asked), found.sought.begin
    asked = {
        "proposals": found.question.key, "plan": plan.name,
        "asked": sought | {"begin": None if begin is None else begin.isoformat()}, "without": rejected(found.verdicts),
        "approved": approved, "approved_by": ", ".join(whose)[:200],
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


def _approved(found: Board, key: str) -> bool:
    verdict = found.verdicts.get(key)
    return verdict is not None and verdict.decision == Decision.APPROVED
