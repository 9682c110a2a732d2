"""Studies: asked, answered by a job, and kept."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from tradewind.errors import NotFoundError
from tradewind.faces import studies
from tradewind.faces.api.shape import answer
from tradewind.faces.check import studies as ready
from tradewind.faces.server import questions
from tradewind.faces.server.gate import Asker, Sender
from tradewind.faces.server.reading import RECENT, Days, Words, period_of

router = APIRouter(tags=["studies"])


class Wanted(BaseModel, extra="forbid"):
    """What is asked of a study."""

    period: str = Field(default=RECENT, max_length=60, description="Days in question.")
    shop: str = Field(default="", max_length=200, description="Only this shop.")
    settings: dict[str, Annotated[str, Field(max_length=200)]] = Field(
        default_factory=dict, max_length=30, description="The study's own settings, as words."
    )


@router.get("/studies", summary="The questions that can be asked")
def listed(asker: Asker) -> JSONResponse:
    """Return every study, its settings, and whether the store has what it needs."""
    found: list[dict[str, Any]] = []
    for each in ready(asker.store):
        words = studies.setting_words(each.name)
        settings = {name: {"default": default, "means": words.get(name, "")}
                    for name, (_, default) in studies.setting_fields(each.name).items()}  # fmt: skip
        found.append({**vars(each), "settings": settings})
    return answer({"studies": found})


@router.get("/studies/{wing}", summary="A study's answer, where there is one")
def study(
    asker: Asker,
    wing: str,
    period: Days = RECENT,
    shop: Words = "",
    setting: Annotated[list[str], Query(max_length=30, description="NAME=VALUE; repeat.")] = [],  # noqa: B006
) -> JSONResponse:
    """Return the answer that was worked out for these days and settings."""
    given = dict(each.partition("=")[::2] for each in setting)
    wanted = questions.question(asker, wing, period_of(period, asker.store), studies.settings_read(wing, given), shop)
    if wanted.answer is None:
        state = "" if wanted.job is None else f"; its job is {wanted.job.state}"
        raise NotFoundError(f"Nobody has asked this yet{state}", got=wing, do=f"POST to /api/v1/studies/{wing}")
    return answer(wanted.answer)


@router.post("/studies/{wing}", summary="Ask a study", status_code=202,
             responses={200: {"description": "It was answered already."}})  # fmt: skip
def ask(asker: Sender, wing: str, wanted: Wanted) -> JSONResponse:
    """Ask a job to answer; the answer itself where it is there already."""
    days = period_of(wanted.period, asker.store)
    found = questions.question(asker, wing, days, studies.settings_read(wing, wanted.settings), wanted.shop)
    job = questions.ask(asker, found)
    if job is None:
        return answer(found.answer)
    return answer({"job": job}, 202, {"location": f"/api/v1/jobs/{job.id}"})
