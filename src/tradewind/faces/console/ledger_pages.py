"""The ledger: what was promised beside what was proven, and a page for each experiment."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from tradewind.accounts import Right
from tradewind.decisions.plan import named, worded
from tradewind.errors import CorruptLedgerError, MissingDataError, NotFoundError
from tradewind.faces import proving
from tradewind.faces.console.rendering import address, exported, page
from tradewind.faces.server import desk
from tradewind.faces.server.gate import Asker, Asking, Sender
from tradewind.faces.server.reading import Words
from tradewind.ledger import Experiment, Ledger, State
from tradewind.ledger.lot import HOLDOUT, TREATED
from tradewind.study import Column, Grid, Party

router = APIRouter()

APART = ("lever", "first", "last")
"""Columns of the list that an experiment's name or page tells as well: its CSV has them."""


@router.get("/ledger")
def listed(request: Request, asker: Asker, plan: Words = "") -> Response:
    """Show what was launched, what was promised of it and what was proven."""
    _merchants(asker)
    try:
        return _listed(request, asker, plan)
    except CorruptLedgerError as error:
        if request.query_params.get("csv"):
            raise
        return _changed(request, asker, error)


def _changed(request: Request, asker: Asking, error: CorruptLedgerError) -> Response:
    """Return the page of a ledger nothing of which is shown, since it is not what was written into it."""
    what, entry = asker.office.outward(error).what, None
    with suppress(CorruptLedgerError):  # of one that cannot be opened at all the error says what there is to say
        if asker.ledger is not None and not (verdict := asker.ledger.verify()).sound:
            what, entry = verdict.what, verdict.entry
    return page(
        request, "ledger_changed.html", "Ledger", what=what, entry=entry, origin=asker.store.provenance,
        operator=asker.caller.scope.everything,
    )  # fmt: skip


def _listed(request: Request, asker: Asking, plan: str) -> Response:
    ledger, origin = asker.ledger, asker.store.provenance
    if ledger is None:
        return page(request, "ledger.html", "Ledger", grid=None, origin=origin, plan=plan)
    grid, record = proving.standing(ledger, plan or None), proving.record(ledger)
    alone = _beyond(ledger, plan)
    if file := exported(request, "ledger", experiments=grid, calibration=record, launches=alone):
        return file
    status = ledger.status(plan or None)
    verdict = ledger.verify()
    counts = {state: len(found) for state in State if (found := status.at(state))}
    shown = replace(grid, columns=tuple(each for each in grid.columns if each.name not in APART))
    return page(
        request, "ledger.html", "Ledger", grid=shown, record=record, alone=alone, counts=counts, today=status.today,
        due=counts.get(State.DUE, 0), plan=plan, origin=origin, sound=verdict.sound, what=verdict.what,
        here=lambda **more: address("/ledger", plan=plan, **more),
    )  # fmt: skip


@router.post("/ledger/read")
def read(asker: Sender) -> Response:
    """Ask a job to read every experiment that is due."""
    asker.caller.check(Right.APPROVE)
    if asker.ledger is None:
        raise MissingDataError("Nothing was launched yet", do="make a plan and launch it")
    job = asker.office.asked(
        "read", "Reading what is due", {"today": str(asker.office.today)}, asker.caller, asker.store
    )
    return RedirectResponse(f"/jobs/{job.id}", 303)


@router.get("/ledger/{experiment}")
def experiment(request: Request, asker: Asker, experiment: str) -> Response:
    """Show an experiment: what was launched, who was held out, what was read."""
    ledger = _ledger(asker)
    found = ledger.experiment(experiment)
    deeds = _deeds(asker, found)
    parties, launches = _parties(found), _launches(found, deeds)
    if file := exported(request, f"experiment-{found.id}", parties=parties, launches=launches):
        return file
    return page(
        request, "experiment.html", found.name, found=found, state=found.state(ledger.today), parties=parties,
        launches=launches, deeds=deeds, promised=proving.promised(found), origin=asker.store.provenance,
        look=asker.office.look(asker.store, ledger, found),
        here=lambda **more: address(f"/ledger/{experiment}", **more),
    )  # fmt: skip


@router.post("/ledger/launches/{launch}/stop")
def stop(asker: Sender, launch: str, reason: Annotated[str, Form(max_length=500)] = "") -> Response:
    """Note that a launched action is stopped early."""
    desk.stop(asker, launch, reason)
    return RedirectResponse("/ledger", 303)


def _merchants(asker: Asking) -> None:
    asker.store.table("order_lines")  # a creator is told here that the ledger is not for them


def _ledger(asker: Asking) -> Ledger:
    _merchants(asker)
    if asker.ledger is None:
        raise NotFoundError("There is no such experiment", do="look at the ledger for those you may see")
    return asker.ledger


def _parties(found: Experiment) -> Grid:
    """Return promised beside proven, a row a party."""
    reading = found.final.reading if found.final else None
    rows = []
    for party in Party:
        promised = proving.promised(found, party)
        proven = reading.effect.get(party) if reading else None
        if proven is not None or (promised is not None and promised.mid):
            ends = {"promised": "mid", "low": "low", "high": "high"}
            said = {name: None if promised is None else getattr(promised, end) for name, end in ends.items()}
            rows.append({"party": str(party), **said, "proven": proven})
    columns = (
        Column("party", "Party"), Column("promised", "Promised", "money"), Column("low", "Low", "money"),
        Column("high", "High", "money"), Column("proven", "Proven", "money"),
    )  # fmt: skip
    return Grid(columns, tuple(rows))


def _deeds(asker: Asking, found: Experiment) -> dict[str, str]:
    """Return in words what each launch does, by its id."""
    names, currency = named(asker.store, [e.subject for e in found.launches]), asker.store.provenance.currency
    customers = found.units.get(TREATED, 0) if found.unit == "customer" else None
    said = {e.id: worded(e.setting, e.lever, e.subject, customers, currency, names) for e in found.launches}
    return {id_: words[:1].upper() + words[1:] for id_, words in said.items()}


def _launches(found: Experiment, deeds: Mapping[str, str]) -> Grid:
    rows = tuple(
        {
            "what": deeds[each.id], "action": each.action, "shop": each.subject.shop or "",
            "arm": each.arm or "by customer", "first": each.days.first, "last": each.days.last,
            "promised": each.setting.joint, "who": each.who, "approved": each.approved_by,
            "stopped": f"{each.stopped}: {each.why}" if each.stopped else "",
            **({"product_id": each.subject.id} if each.subject.kind == "product" else {}),
        }
        for each in found.launches
    )  # fmt: skip
    columns = (
        Column("what", "What to do"), Column("arm", "Arm"), Column("action", "Action"), Column("shop", "Shop"),
        Column("first", "From", "day"), Column("last", "To", "day"), Column("promised", "Promised", "money"),
        Column("who", "Launched by"), Column("approved", "Approved by"), Column("stopped", "Stopped"),
    )  # fmt: skip
    return Grid(columns, rows)


def _beyond(ledger: Ledger, plan: str) -> Grid:
    """Return the launches of the caller's shops in experiments that reach beyond them, which they do not see whole."""
    status = ledger.status(plan or None)
    whole = {launch.id for each in status.experiments for launch in each.launches}
    rows = tuple(
        {
            "action": each.action, "lever": str(each.lever), "first": each.days.first, "last": each.days.last,
            "arm": "held out: not to be done" if each.arm == HOLDOUT else "to be done",
            "promised": each.setting.joint,
        }
        for each in status.launches if each.id not in whole
    )  # fmt: skip
    columns = (
        Column("action", "Action"), Column("lever", "Lever"), Column("arm", "Lot"), Column("first", "From", "day"),
        Column("last", "To", "day"), Column("promised", "Promised", "money"),
    )  # fmt: skip
    return Grid(columns, rows)
