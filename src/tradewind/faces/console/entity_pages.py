"""Lists and pages of shops, products, creators, customer segments and live sessions, and the search over them."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from tradewind.decisions.profiles import KINDS, Listing
from tradewind.decisions.profiles.directory import SHOWN
from tradewind.decisions.profiles.live_replay import replay
from tradewind.errors import BadInputError
from tradewind.faces.console.player import frames_of
from tradewind.faces.console.rendering import address, entity, exported, page
from tradewind.faces.server import board
from tradewind.faces.server.gate import Asker, Asking
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


def _listed(
    request: Request, asker: Asking, path: str, period: str, q: str, order: str, limit: int, offset: int
) -> Response:
    kind, store = PATHS[path], asker.store
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


def _orders(kind: str, found: Listing) -> list[tuple[str, str]]:
    """Return by what a list can be ordered, of what the source tells."""
    there = {column.name for column in found.columns}
    known = [(metric.name, metric.title) for metric in SHOWN.get(kind, ()) if metric.name in there]
    return [*known, ("title", "name")]


def _shown(request: Request, asker: Asking, path: str, id_: str, period: str) -> Response:
    kind, store, office = PATHS[path], asker.store, asker.office
    days = period_of(period, store)
    if len(id_) > 200 or not id_.isprintable():
        raise BadInputError("An id is up to 200 letters that print", got=ascii(id_)[1:100])
    study = office.profile(store, kind, id_, days)
    if file := exported(request, f"{kind}-{id_}", study):
        return file
    frames = frames_of(replay(store, id_)) if kind == "live" else []
    return page(
        request, "entity.html", study.title, study=study, kind=KINDS[kind], id=id_, days=days, period=period,
        origin=store.provenance, frames=frames, path=f"/{path}", actions=board.of(asker, kind, id_),
        here=lambda **more: address(entity(path, id_), period=period, **more),
    )  # fmt: skip


@router.get("/shops")
def shops(
    request: Request, asker: Asker, period: Days = RECENT, q: Words = "", order: Words = "gmv", limit: Limit = 50,
    offset: Offset = 0,
) -> Response:  # fmt: skip
    """List shops."""
    return _listed(request, asker, "shops", period, q, order, limit, offset)


@router.get("/products")
def products(
    request: Request, asker: Asker, period: Days = RECENT, q: Words = "", order: Words = "gmv", limit: Limit = 50,
    offset: Offset = 0,
) -> Response:  # fmt: skip
    """List products."""
    return _listed(request, asker, "products", period, q, order, limit, offset)


@router.get("/creators")
def creators(
    request: Request, asker: Asker, period: Days = RECENT, q: Words = "", order: Words = "gmv", limit: Limit = 50,
    offset: Offset = 0,
) -> Response:  # fmt: skip
    """List creators."""
    return _listed(request, asker, "creators", period, q, order, limit, offset)


@router.get("/segments")
def segments(
    request: Request, asker: Asker, period: Days = RECENT, q: Words = "", order: Words = "gmv", limit: Limit = 50,
    offset: Offset = 0,
) -> Response:  # fmt: skip
    """List customer segments."""
    return _listed(request, asker, "segments", period, q, order, limit, offset)


@router.get("/live")
def live(
    request: Request, asker: Asker, period: Days = RECENT, q: Words = "", order: Words = "gmv", limit: Limit = 50,
    offset: Offset = 0,
) -> Response:  # fmt: skip
    """List live sessions."""
    return _listed(request, asker, "live", period, q, order, limit, offset)


@router.get("/shops/{shop:path}")
def shop(request: Request, asker: Asker, shop: str, period: Days = RECENT) -> Response:
    """Show a shop."""
    return _shown(request, asker, "shops", shop, period)


@router.get("/products/{product:path}")
def product(request: Request, asker: Asker, product: str, period: Days = RECENT) -> Response:
    """Show a product."""
    return _shown(request, asker, "products", product, period)


@router.get("/creators/{creator:path}")
def creator(request: Request, asker: Asker, creator: str, period: Days = RECENT) -> Response:
    """Show a creator."""
    return _shown(request, asker, "creators", creator, period)


@router.get("/segments/{segment:path}")
def segment(request: Request, asker: Asker, segment: str, period: Days = RECENT) -> Response:
    """Show a customer segment."""
    return _shown(request, asker, "segments", segment, period)


@router.get("/live/{session:path}")
def session(request: Request, asker: Asker, session: str, period: Days = RECENT) -> Response:
    """Show a live session, minute by minute."""
    return _shown(request, asker, "live", session, period)
