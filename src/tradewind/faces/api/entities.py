"""Shops, products, creators, customer segments and live sessions, and the search over them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse

from tradewind.decisions.profiles.live_replay import replay
from tradewind.faces.api.shape import Page, answer, paged
from tradewind.faces.server.gate import Asker
from tradewind.faces.server.reading import RECENT, Days, Limit, Offset, Words, period_of

router = APIRouter(tags=["entities"])


class Kind(StrEnum):
    """What there are pages of."""

    SHOP = "shop"
    PRODUCT = "product"
    CREATOR = "creator"
    SEGMENT = "segment"
    LIVE = "live"


Id = Annotated[str, Path(max_length=200)]


@router.get("/search", summary="Find anything by its name or id")
def search(
    asker: Asker, q: Annotated[str, Query(max_length=100)], limit: Annotated[int, Query(ge=1, le=100)] = 20
) -> JSONResponse:
    """Return what fits best first, of what the caller may see."""
    return answer({"items": asker.office.index(asker.store).search(q, limit) if q.strip() else ()})


@router.get("/entities/{kind}", summary="A list of one kind", response_model=Page)
def listed(
    request: Request,
    asker: Asker,
    kind: Kind,
    period: Days = RECENT,
    q: Words = "",
    order: Words = "gmv",
    limit: Limit = 50,
    offset: Offset = 0,
) -> JSONResponse:
    """Return what there is of a kind, with a few metrics of the period."""
    found = asker.office.listed(asker.store, kind, period_of(period, asker.store), q, order, limit, offset)
    return paged(request, found.rows, found.total, limit, offset)


@router.get("/entities/live/{id}/replay", summary="A live session, minute by minute")
def replayed(asker: Asker, id: Id) -> JSONResponse:
    """Return the frames of a live session."""
    return answer(replay(asker.store, id))


@router.get("/entities/{kind}/{id:path}", summary="The profile of one")
def profile(asker: Asker, kind: Kind, id: Id, period: Days = RECENT) -> JSONResponse:
    """Return the profile that its page shows."""
    return answer(asker.office.profile(asker.store, kind, id, period_of(period, asker.store)))
