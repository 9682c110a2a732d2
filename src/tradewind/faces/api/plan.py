"""The plan: proposals gathered by a job, solved for any budgets, decided and launched."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from tradewind.errors import NotFoundError
from tradewind.faces.api.shape import answer
from tradewind.faces.server import board, desk
from tradewind.faces.server.gate import Asker, Asking, Sender
from tradewind.faces.server.reading import Offset, Words
from tradewind.money import plainly
from tradewind.study import Party

router = APIRouter(tags=["plan"])
Amount = Annotated[float | None, Query(ge=0, le=1e12, description="Budget; one that suits the shops' size else.")]
Rules = Annotated[list[Annotated[str, Query(max_length=100)]], Query(max_length=10)]


class Sought(BaseModel, extra="forbid"):
    """What is asked of a plan."""

    platform: float | None = Field(default=None, ge=0, le=1e12, description="Budget of the platform.")
    merchant: float | None = Field(default=None, ge=0, le=1e12, description="Budget of the merchants.")
    objective: str = Field(default="joint", max_length=20, description="Whose gain is sought: joint, or a party.")
    caution: float = Field(default=0.0, ge=0, le=1, description="0 picks by expected gains, 1 by their low ends.")
    rules: list[Annotated[str, Field(max_length=100)]] = Field(default_factory=list, max_length=10)


class Decision(BaseModel, extra="forbid"):
    """What is decided of actions."""

    actions: list[Annotated[str, Field(max_length=300)]] = Field(min_length=1, max_length=desk.MOST)
    verdict: str = Field(max_length=20, description="approved, rejected or open")
    settings: dict[str, Annotated[str, Field(max_length=100)]] = Field(
        default_factory=dict, max_length=desk.MOST,
        description="By action, the `setting` that the plan shows of it; an approval is of that one and needs it.",
    )  # fmt: skip
    reason: str = Field(default="", max_length=300, description="Why; a rejection needs one.")


@router.get("/plan", summary="The plan for some budgets")
def plan(  # noqa: PLR0913, PLR0917 - a parameter each
    asker: Asker,
    platform: Amount = None,
    merchant: Amount = None,
    objective: Annotated[str, Query(max_length=20)] = "joint",
    caution: Annotated[float, Query(ge=0, le=1)] = 0.0,
    rule: Rules = [],  # noqa: B006 - FastAPI copies it
    lever: Words = "",
    shop: Words = "",
    payer: Words = "",
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    offset: Offset = 0,
) -> JSONResponse:
    """Return the plan, its actions filtered, with the verdicts on them; proposals must have been gathered."""
    wanted = Sought(platform=platform, merchant=merchant, objective=objective, caution=caution, rules=rule)
    found = _desk(asker, wanted)
    if found.found is None:
        state = f"; its job is {found.question.job.state}" if found.question.job else ""
        raise NotFoundError(f"No proposals were gathered yet{state}", do="POST to /api/v1/plan/gather")
    picked, rows = found.found.plan, list(board.rows(found, asker.store.provenance.currency, lever, shop, payer))
    page = rows[offset : offset + limit]
    keys = {row["key"] for row in page}
    told = replace(found.found.answer, actions=tuple(each for each in found.found.answer.actions if each.key in keys))
    return answer({
        "name": picked.name, "objective": picked.objective, "joint": picked.joint, "total": picked.total,
        "attributed_gmv": picked.attributed, "gap": picked.gap, "budgets": picked.purses,
        "actions": page, "actions_total": len(rows), "study": told,
    })  # fmt: skip


@router.get("/plan/curve", summary="What plans would bring along one budget")
def curve(
    asker: Asker,
    payer: Party,
    platform: Amount = None,
    merchant: Amount = None,
    points: Annotated[int, Query(ge=2, le=9)] = 6,
) -> JSONResponse:
    """Return gain and worth of one more unit along the budget of one payer."""
    found = _desk(asker, Sought(platform=platform, merchant=merchant))
    told = board.curve(asker, found, payer, points)
    if found.proposals is None:
        raise NotFoundError("No proposals were gathered yet", do="POST to /api/v1/plan/gather")
    return answer({"payer": payer, "points": [point._asdict() for point in told]})


@router.post("/plan/gather", summary="Gather proposals", status_code=202)
def gather(asker: Sender) -> JSONResponse:
    """Ask a job to gather what the studies propose."""
    job = desk.gather(asker)
    return answer({"job": job}, 202, {"location": f"/api/v1/jobs/{job.id}"})


@router.post("/plan/verdicts", summary="Approve, reject or reopen actions")
def decide(asker: Sender, decision: Decision) -> JSONResponse:
    """Decide actions of the plan; what was decided before stays in the history."""
    desk.decide(asker, decision.actions, decision.verdict, decision.reason, settings=decision.settings)
    return answer({"decided": len(decision.actions), "verdict": decision.verdict})


@router.post("/plan/launch", summary="Launch the approved actions", status_code=202)
def launch(asker: Sender, sought: Sought) -> JSONResponse:
    """Ask a job to register the approved actions of this plan, all or none, with holdouts drawn."""
    job = desk.launch(asker, _desk(asker, sought))
    return answer({"job": job}, 202, {"location": f"/api/v1/jobs/{job.id}"})


def _desk(asker: Asking, wanted: Sought) -> board.Board:
    asker.store.table("order_lines")  # a creator is told here that plans are not for them
    given = {"objective": wanted.objective, "caution": str(wanted.caution)}
    for payer in board.PAYERS:
        if (amount := getattr(wanted, payer)) is not None:
            given[payer] = plainly(amount)
    return board.board(asker, board.read(given, board.usual(asker), wanted.rules))
