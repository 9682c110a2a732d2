"""The ledger: what was promised, and what was proven."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from tradewind.accounts import Right
from tradewind.errors import MissingDataError, NotFoundError
from tradewind.faces import proving
from tradewind.faces.api.shape import Page, answer, paged
from tradewind.faces.server import desk
from tradewind.faces.server.gate import Asker, Asking, Sender
from tradewind.faces.server.reading import Limit, Offset, Words
from tradewind.ledger import Ledger

router = APIRouter(tags=["ledger"])


class Why(BaseModel, extra="forbid"):
    """Why an action is stopped."""

    reason: str = Field(min_length=1, max_length=500)


@router.get("/ledger", summary="Experiments, the newest first", response_model=Page)
def listed(request: Request, asker: Asker, plan: Words = "", limit: Limit = 50, offset: Offset = 0) -> JSONResponse:
    """Return what was launched: promised beside proven."""
    asker.store.table("order_lines")
    if asker.ledger is None:
        return paged(request, (), 0, limit, offset)
    rows = proving.standing(asker.ledger, plan or None).rows
    return paged(request, rows[offset : offset + limit], len(rows), limit, offset)


@router.get("/ledger/launches", summary="Launches, the newest first", response_model=Page)
def launches(request: Request, asker: Asker, plan: Words = "", limit: Limit = 50, offset: Offset = 0) -> JSONResponse:
    """Return the actions that were launched, also those of experiments that reach beyond the caller's shops."""
    asker.store.table("order_lines")
    found = () if asker.ledger is None else asker.ledger.status(plan or None).launches
    page = tuple(reversed(found))[offset : offset + limit]
    return paged(request, page, len(found), limit, offset)


@router.get("/ledger/calibration", summary="How far promises came true, by lever")
def calibration(asker: Asker) -> JSONResponse:
    """Return what predictions were worth."""
    asker.store.table("order_lines")
    return answer({"levers": () if asker.ledger is None else proving.record(asker.ledger).rows})


@router.get("/ledger/{experiment}", summary="An experiment")
def experiment(asker: Asker, experiment: str) -> JSONResponse:
    """Return an experiment with its launches and readings, and what it tells so far where it is under way."""
    ledger = _ledger(asker)
    found = ledger.experiment(experiment)
    look = asker.office.look(asker.store, ledger, found)
    state, promised = found.state(ledger.today), proving.promised(found)
    return answer({"experiment": found, "state": state, "promised": promised, "look": look})


@router.post("/ledger/read", summary="Read what is due", status_code=202)
def read(asker: Sender) -> JSONResponse:
    """Ask a job to read every experiment that is due."""
    asker.caller.check(Right.APPROVE)
    if asker.ledger is None:
        raise MissingDataError("Nothing was launched yet", do="make a plan and launch it")
    asked = {"today": str(asker.office.today)}
    job = asker.office.asked("read", "Reading what is due", asked, asker.caller, asker.store)
    return answer({"job": job}, 202, {"location": f"/api/v1/jobs/{job.id}"})


@router.post("/ledger/launches/{launch}/stop", summary="Stop an action early")
def stop(asker: Sender, launch: str, why: Why) -> JSONResponse:
    """Note that a launched action is stopped as of today."""
    return answer(desk.stop(asker, launch, why.reason))


def _ledger(asker: Asking) -> Ledger:
    asker.store.table("order_lines")
    if asker.ledger is None:
        raise NotFoundError("Nothing of this id is in the ledger", do="look at /api/v1/ledger for what you may see")
    return asker.ledger
