"""Who asks, what is in the store, metrics, and how today stands."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from tradewind.accounts import Right
from tradewind.faces.api.shape import answer
from tradewind.faces.counting import counted
from tradewind.faces.options import filters, listed
from tradewind.faces.server.gate import Asker
from tradewind.faces.server.questions import narrowed
from tradewind.faces.server.reading import RECENT, Days, Words, period_of

router = APIRouter(tags=["metrics"])
Many = Annotated[list[Annotated[str, Query(max_length=200)]], Query(max_length=20)]


@router.get("/me", summary="Who asks, and what they may see and do")
def me(asker: Asker) -> JSONResponse:
    """Return the caller's name, role, scope and rights."""
    caller = asker.caller
    rights = [right for right in Right if caller.may(right)]
    return answer({"name": caller.name, "role": caller.role, "scope": caller.scope, "rights": rights})


@router.get("/data", summary="What is in the store, and what it can answer")
def data(asker: Asker) -> JSONResponse:
    """Return tables, gaps, the last import, and which studies and metrics light up."""
    found = asker.office.check(asker.store)
    return answer({name: value for name, value in vars(found).items() if name != "store"})


@router.get("/metrics", summary="Every metric, and whether it is known")
def known(asker: Asker) -> JSONResponse:
    """Return every metric with its definition."""
    return answer({"metrics": asker.office.check(asker.store).metrics, "provenance": asker.store.provenance})


@router.get("/metrics/values", summary="Metrics over a period")
def values(
    asker: Asker,
    metric: Many,
    period: Days = RECENT,
    by: Many = [],  # noqa: B006 - FastAPI copies it
    every: Annotated[str | None, Query(pattern="^(day|week|month)$")] = None,
    where: Many = [],  # noqa: B006 - FastAPI copies it
    shop: Words = "",
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
) -> JSONResponse:
    """Count metrics over a period, split by dimensions or by time; filters are written `DIMENSION=VALUE`."""
    store = narrowed(asker, shop)
    found = counted(store, listed(metric), period_of(period, store), listed(by), every, filters(where))
    return answer(found.limited(limit))


@router.get("/today", summary="How a period stands, as the console's first page says it")
def today(asker: Asker, period: Days = RECENT, against: Words = "previous", shop: Words = "") -> JSONResponse:
    """Return headline metrics with their usual band, the reading of the period, and what moved."""
    store = asker.store
    return answer(asker.office.brief(store, period_of(period, store), against, shop))
