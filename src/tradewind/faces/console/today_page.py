"""Today: how we stand, what moved and why, and what to do next."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from tradewind.faces.console.rendering import address, exported, page
from tradewind.faces.server import board
from tradewind.faces.server.gate import Asker
from tradewind.faces.server.reading import MOST_SHOPS, RECENT, Days, Words, period_of

router = APIRouter()
AGAINST = (("previous", "the period before"), ("last-year", "a year before"))
TOP = 5


@router.get("/")
def today(
    request: Request, asker: Asker, period: Days = RECENT, against: Words = "previous", shop: Words = ""
) -> Response:
    """Show how a period stands, from sums that are kept ready."""
    store, office = asker.store, asker.office
    if asker.caller.scope.creators is not None:
        from tradewind.faces.console import creator_page  # noqa: PLC0415 - it shows Today to creators

        return creator_page.home(request, asker)
    days = period_of(period, store)
    study = office.brief(store, days, against, shop)
    if file := exported(request, f"today-{days}", study):
        return file
    shops = office.shops(store)
    return page(
        request, "today.html", shops[shop] if shop else "Today",
        study=study, origin=store.provenance, period=period, days=days, shop=shop, against=(against, AGAINST),
        shops=list(shops.items()) if 1 < len(shops) <= MOST_SHOPS else [],
        found={finding.key: finding for finding in study.findings},
        here=lambda **more: address("/", period=period, against=against, shop=shop, **more),
        why=address("/why", metric="gmv", period=period, against=against, shop=shop),
        plan=board.top(asker, TOP),
    )  # fmt: skip
