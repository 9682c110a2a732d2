"""Work: what each kind of job does, and the process that does one after another."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date
from functools import partial
from typing import Any

import structlog

from tradewind import keeping, progress
from tradewind.accounts import ANYBODY_HERE, Job
from tradewind.engines.store import Store
from tradewind.errors import ConflictError, ForbiddenError, TradewindError
from tradewind.faces import planning, studies
from tradewind.faces.launching import launch
from tradewind.faces.planning import Planned
from tradewind.faces.proposals import keep_proposals, proposed
from tradewind.faces.proving import read_due
from tradewind.faces.server import logs
from tradewind.faces.server.office import Office
from tradewind.faces.server.setup import Setup
from tradewind.period import Period, parse_period
from tradewind.writing import put

LOG = structlog.get_logger()
PAUSE = 0.2
"""Seconds between looks for a job."""
TOLD = 0.3
"""Seconds between notes of how far a job has come."""
OPENING = "Opening the store"


class CancelledError(Exception):
    """Nobody wants the job any more."""


def study_asked(wing: str, period: Period, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a job is asked that answers a business question."""
    return {"wing": wing, "period": str(period), "settings": dict(settings)}


def plan_asked(period: Period) -> dict[str, Any]:
    """Return what a job is asked that gathers proposals for a plan."""
    return {"period": str(period), "seed": 0}


def do(office: Office, job: Job) -> None:
    """Do a job; what it makes is whole or not there.

    Raises:
        ForbiddenError: If who asked for it was kept out since.
    """
    if office.accounts is not None and (job.who != ANYBODY_HERE.name) and office.accounts.user(job.who).disabled:
        raise ForbiddenError("Who asked for this may no longer sign in")
    KINDS[job.kind](office, job, office.store(job.scope))


def _study(office: Office, job: Job, store: Store) -> None:
    asked = job.asked
    store = _acted(office, job, store)
    found = studies.answer(asked["wing"], store, parse_period(asked["period"], store.span), asked["settings"])
    place = office.place(office.key(job.kind, asked, store))
    place.parent.mkdir(parents=True, exist_ok=True)
    put(place, keeping.kept(found))


def _plan(office: Office, job: Job, store: Store) -> None:
    asked = job.asked
    period = parse_period(asked["period"], store.span)
    found = proposed(_acted(office, job, store), period, seed=asked["seed"])
    keep_proposals(found, office.place(office.key(job.kind, asked, store)))


def _acted(office: Office, job: Job, store: Store) -> Store:
    ledger = office.ledger(job.scope)
    return store if ledger is None else store.acted(ledger.deeds())


def _launch(office: Office, job: Job, store: Store) -> None:
    asked = job.asked
    ledger = office.ledger(job.scope, create=True)
    proposals = office.proposals(asked["proposals"], store)
    if ledger is None or proposals is None:
        raise ConflictError("The proposals of this plan are gone", do="work them out anew")
    progress.told("picking again", 0, 2)
    said = asked["asked"]
    begin = None if said["begin"] is None else date.fromisoformat(said["begin"])
    wanted = planning.Asked(
        tuple(said["budgets"]), tuple(said["rules"]), said["objective"], said["caution"], said["least"],
        tuple(said["wings"]), said["seed"], begin,
    )  # fmt: skip
    found = planning.solved(proposals, wanted, asked["plan"], ledger, asked["without"])
    folder = office.work / "plans" / asked["plan"]
    try:
        if not ledger.status(asked["plan"]).launches:
            _approved(office, job, found)
        planning.kept(found, folder)
        launch(
            store, partial(office.ledger, job.scope), found, asked["approved"], folder, who=job.who,
            approved_by=asked["approved_by"], again=job.tries > 1,
        )  # fmt: skip
    except (TradewindError, CancelledError):
        if not ledger.status(asked["plan"]).launches:
            shutil.rmtree(folder, ignore_errors=True)  # only what was launched lies among the plans
        raise


def _approved(office: Office, job: Job, found: Planned) -> None:
    """Refuse a launch of what is not approved just as the plan has it: since it was asked, either may have changed."""
    choices = {choice.action.key: choice for choice in found.plan.choices}
    verdicts = office.verdicts.of(job.asked.get("verdicts", ""), job.scope)
    for key in job.asked["approved"]:
        verdict = verdicts.get((key, job.asked["shops"][key]))
        if verdict is None or key not in choices or not verdict.covers(choices[key]):
            raise ConflictError(
                "What the plan would do is not what was approved", got=key,
                do="look at the plan anew, approve what it would do, then launch",
            )  # fmt: skip


def _read(office: Office, job: Job, store: Store) -> None:
    if (ledger := office.ledger(job.scope)) is None:
        raise ConflictError("Nothing was launched yet", do="make a plan and launch it")
    read_due(store, ledger, job.who)


KINDS: Mapping[str, Callable[[Office, Job, Store], None]] = {
    "study": _study,
    "plan": _plan,
    "launch": _launch,
    "read": _read,
}


def run(setup: Setup, parent: int) -> None:
    """Do jobs one after another until the process that started this one is gone."""
    threading.Thread(target=_ends_with, args=(parent,), daemon=True, name="parent").start()
    office = Office(setup)
    if again := office.jobs.resume():
        LOG.info("jobs begun anew", jobs=again)
    while os.getppid() == parent:
        job = office.jobs.take()
        if job is None:
            time.sleep(PAUSE)
            continue
        done(office, job, lambda: os.getppid() == parent)
    office.close()


def _ends_with(parent: int) -> None:
    """End this process when the server is gone, in the midst of whatever it does: a new server begins it anew."""
    while os.getppid() == parent:
        time.sleep(PAUSE)
    os._exit(1)


def done(office: Office, job: Job, wanted: Callable[[], bool]) -> None:
    """Do one job and note how it ended; no error of a job ends the others.

    Args:
        office: What the process shares.
        job: The job, begun.
        wanted: Whether the server is still there to want it.
    """
    begun = time.monotonic()
    last = [0.0, ""]

    def told(step: str, done: int, total: int) -> None:
        if not wanted():
            raise KeyboardInterrupt
        now = time.monotonic()
        if step != last[1] or now - last[0] > TOLD:  # type: ignore[operator]  # the first is a moment
            last[:] = [now, step]
            if not office.jobs.tell(job.id, step, done, total, job.tries):
                raise CancelledError

    try:
        with progress.listening(told):
            progress.told(OPENING.lower(), 0, 0)
            do(office, job)
        office.jobs.finish(job.id, tries=job.tries)
        LOG.info("job done", kind=job.kind, seconds=round(time.monotonic() - begun, 1))
    except CancelledError:
        LOG.info("job cancelled", kind=job.kind)
    except TradewindError as error:
        office.jobs.finish(job.id, office.outward(error).as_dict()["error"], job.tries)
        LOG.info("job failed", kind=job.kind, code=error.code)
    except Exception as error:
        LOG.exception("job broke", kind=job.kind)
        said = TradewindError(
            f"This is a bug in Tradewind: {type(error).__name__}", do="report it with the server's log"
        )
        office.jobs.finish(job.id, said.as_dict()["error"], job.tries)


def main() -> None:
    """Be the process that does jobs."""
    logs.begin()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one that started it says when to end
    with suppress(KeyboardInterrupt):
        # as the server says it: its own look would come too late where the server has ended already
        run(Setup.taken(), int(os.environ.get("TRADEWIND_PARENT") or os.getppid()))
    sys.exit(0)


if __name__ == "__main__":
    main()
