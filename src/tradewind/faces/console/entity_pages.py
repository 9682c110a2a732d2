"""Lists and pages of shops, products, creators, customer segments and live sessions, and the search over them."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request, Response

from tradewind.decisions.profiles import KINDS, Listing
from tradewind.decisions.profiles.directory import SHOWN
from tradewind.decisions.profiles.live_replay import replay
from tradewind.errors import BadInputError
from tradewind.faces.console.player import frames_of
from tradewind.faces.console.rendering import address, entity, exported, page
from tradewind.faces.server import board
from tradewind.faces.server.gate import Asker
from tradewind.faces.server.reading import RECENT, Days, Limit, Offset, Words, period_of
from tradewind.study import Column, Grid

router = APIRouter()
PATHS = {"shops": "shop", "products": "product", "creators": "creator", "segments": "segment", "live": "live"}
HITS = 30


@router.get("/search")
def search(request: Request, asker: Asker, q: Words = "") -> Response:
    """Find anything by its name or id."""
    folder = {kind: path for path, kind in PATHS.items()}
    hits = asker.office.index(asker.store).search(q, HITS) if q.strip() else ()
    found = [(KINDS[hit.kind].title, hit.title, hit.id, entity(folder[hit.kind], hit.id)) for hit in hits]
    return page(request, "search.html", "Search", q=q, found=found, origin=asker.store.provenance)


def _list_of(path: str, kind: str) -> Callable[..., Response]:
    """Return the endpoint of a list."""

    def listed(
        request: Request, asker: Asker, period: Days = RECENT, q: Words = "", order: Words = "gmv", limit: Limit = 50,
        offset: Offset = 0,
    ) -> Response:  # fmt: skip
        store = asker.store
        days = period_of(period, store)
        found = asker.office.listed(store, kind, days, q, order, limit, offset)
        key, title, *more = found.columns
        grid = Grid((title, Column(key.name, "Id"), *more), found.rows)
        if file := exported(request, f"{path}-{days}", rows=grid):
            return file
        asked = {"period": period, "q": q, "order": order, "limit": limit}
        return page(
            request, "list.html", KINDS[kind].plural, found=found, grid=grid, kind=KINDS[kind], origin=store.provenance,
            path=f"/{path}", period=period, days=days, q=q, order=found.order, orders=_orders(kind, found), limit=limit,
            offset=offset, here=lambda **more: address(f"/{path}", **asked | {"offset": offset} | more),
        )  # fmt: skip

    return listed


def _orders(kind: str, found: Listing) -> list[tuple[str, str]]:
    """Return by what a list can be ordered, of what the source tells."""
    there = {column.name for column in found.columns}
    known = [(metric.name, metric.title) for metric in SHOWN.get(kind, ()) if metric.name in there]
    return [*known, ("title", "name")]


def _page_of(path: str, kind: str) -> Callable[..., Response]:
    """Return the endpoint of the pages of a kind."""

    def shown(request: Request, asker: Asker, key: str, period: Days = RECENT) -> Response:
        store, office = asker.store, asker.office
        days = period_of(period, store)
        if len(key) > 200 or not key.isprintable():
            raise BadInputError("An id is up to 200 letters that print", got=ascii(key)[1:100])
        study = office.profile(store, kind, key, days)
        if file := exported(request, f"{kind}-{key}", study):
            return file
        frames = frames_of(replay(store, key)) if kind == "live" else []
        return page(
            request, "entity.html", study.title, study=study, kind=KINDS[kind], id=key, days=days, period=period,
            origin=store.provenance, frames=frames, path=f"/{path}", actions=board.of(asker, kind, key),
            here=lambda **more: address(entity(path, key), period=period, **more),
        )  # fmt: skip

    return shown


for _path, _kind in PATHS.items():
    router.add_api_route(f"/{_path}", _list_of(_path, _kind), methods=["GET"])
    router.add_api_route(f"/{_path}/{{key:path}}", _page_of(_path, _kind), methods=["GET"])
