"""Questions: a study that is asked for by page or API: answered already, being answered, or yet to be asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tradewind.accounts import Job, Right
from tradewind.engines.store import Store
from tradewind.errors import NotFoundError
from tradewind.faces import studies
from tradewind.faces.server.gate import Asking
from tradewind.faces.server.work import plan_asked, study_asked
from tradewind.period import Period
from tradewind.study import Study, jsonable


@dataclass(frozen=True)
class Question:
    """A business question over one period, as one caller asks it.

    Args:
        wing: Name of the wing.
        title: The question in words.
        asked: What a job is asked for it.
        key: Name of its answer.
        store: The store that it is asked of.
        answer: The answer, where there is one.
        job: The newest job for it, where there is one.
    """

    wing: str
    title: str
    asked: Mapping[str, Any]
    key: str
    store: Store
    answer: Study | None
    job: Job | None


def narrowed(asker: Asking, shop: str) -> Store:
    """Return the store as one shop sees it, or as the caller does where none is named.

    Raises:
        NotFoundError: If there is no such shop, or the caller may not see it; it is not told which.
    """
    store = asker.store
    if not shop:
        return store
    if shop not in asker.office.shops(store):
        raise NotFoundError("There is no such shop", got=shop, do="look it up with the search")
    return asker.office.narrowed(store, shop)


def question(asker: Asking, wing: str, period: Period, settings: Mapping[str, Any], shop: str = "") -> Question:
    """Return a question and how far its answer has come.

    Raises:
        NotFoundError: If there is no such study or shop.
        ForbiddenError: If the caller may see no studies.
    """
    known = studies.wing(wing)
    store = narrowed(asker, shop)
    store.table("order_lines")  # a creator is told here that studies are not for them
    asked = jsonable(study_asked(wing, period, settings))
    key = asker.office.key("study", asked, store)
    title = f"{known.title}: {period.title}"
    return Question(wing, title, asked, key, store, asker.office.answer(key), asker.office.jobs.latest(key))


def ask(asker: Asking, wanted: Question) -> Job | None:
    """Ask a job to answer, or return None where the answer is there.

    Raises:
        ForbiddenError: If the caller may not ask studies.
        BusyError: If the caller has too many jobs waiting.
    """
    if wanted.answer is not None:
        return None
    asker.caller.check(Right.STUDY)
    return asker.office.asked("study", wanted.title, wanted.asked, _as(asker, wanted.store), wanted.store)


def gathering(asker: Asking, period: Period, shop: str = "") -> Question:
    """Return the question which actions there are to pick from, and how far its answer has come."""
    store = narrowed(asker, shop)
    store.table("order_lines")
    asked = plan_asked(period)
    key = asker.office.key("plan", asked, store)
    return Question("plan", f"Proposals from {period.title}", asked, key, store, None, asker.office.jobs.latest(key))


def gather(asker: Asking, wanted: Question) -> Job:
    """Ask a job to gather proposals.

    Raises:
        ForbiddenError: If the caller may not ask plans.
        BusyError: If the caller has too many jobs waiting.
    """
    asker.caller.check(Right.STUDY)
    return asker.office.asked("plan", wanted.title, wanted.asked, _as(asker, wanted.store), wanted.store)


def _as(asker: Asking, store: Store) -> Any:
    """Return the caller with no more to see than the question is about: the job is done with that."""
    caller = asker.caller
    return type(caller)(caller.user, caller.name, caller.role, store.scope)
