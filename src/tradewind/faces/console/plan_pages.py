"""The plan: what to do under which budgets, approved or rejected action by action, and launched."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from tradewind import charts
from tradewind.errors import TradewindError
from tradewind.faces.console.rendering import address, exported, failed, page
from tradewind.faces.server import board
from tradewind.faces.server import desk as work
from tradewind.faces.server.board import Board
from tradewind.faces.server.gate import Asker, Asking, Sender, local
from tradewind.faces.server.reading import MOST_SHOPS, Words
from tradewind.money import human
from tradewind.study import Column, Grid, Lever, Party

router = APIRouter()
SHOWN = 50
"""Actions of a page."""
CURVE = 6
"""Points at which a budget's curve is worked out."""
FIELDS = ("platform", "merchant", "objective", "caution", "rule")
Rules = Annotated[list[Annotated[str, Query(max_length=100)]], Query(max_length=10)]


@router.get("/plan")
def plan(  # noqa: PLR0913, PLR0917 - a parameter a field of the form
    request: Request,
    asker: Asker,
    rule: Rules = [],  # noqa: B006 - FastAPI copies it
    lever: Words = "",
    shop: Words = "",
    payer: Words = "",
    curve: Words = "",
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    part: Words = "",
) -> Response:
    """Show the plan for the budgets asked, picked anew; a part of the page is what changes with them."""
    asker.store.table("order_lines")  # a creator is told here that plans are not for them
    given = {name: value for name, value in request.query_params.items() if name in FIELDS and len(value) <= 100}
    try:
        sought = board.read(given, board.usual(asker), rule)
        found = board.board(asker, sought)
    except TradewindError as error:
        if not part:
            return failed(request, error)
        return page(request, "plan_part.html", "Plan", status=error.status, error=error, alone=True)
    rows = list(board.rows(found, asker.store.provenance.currency, lever, shop, payer))
    grid = Grid(board.EXPORTED, tuple(rows))
    study = found.found.answer if found.found else None
    if file := exported(request, "plan", study, actions=grid):
        return file
    asked = {**given, "rule": rule, "lever": lever, "shop": shop, "payer": payer}
    context: dict[str, Any] = {
        "desk": found, "choices": rows[offset : offset + SHOWN], "total": len(rows), "offset": offset, "shown": SHOWN,
        "study": study, "sought": sought, "lever": lever, "shop": shop, "payer": payer, "levers": list(Lever),
        "payers": [*sought.budgets], "step": board.step, "usual": board.usual(asker), "Party": Party,
        "steps": board.STEPS, "asked": asked, "shops": _shops(asker), "curve": _curve(asker, found, curve),
        "launched": sum(c.action.key in found.standing for c in found.found.plan.choices) if found.found else 0,
        "stamp": work.stamp(found), "origin": asker.store.provenance, "error": None,
        "here": lambda **more: address("/plan", **asked | more),
        "fields": [(name, value) for name, value in asked.items() if name != "rule"] + [("rule", r) for r in rule],
    }  # fmt: skip
    if part:
        return page(request, "plan_part.html", "Plan", alone=True, **context)
    return page(request, "plan.html", "Plan", alone=False, **context)


@router.post("/plan/gather")
def gather(asker: Sender) -> Response:
    """Ask a job to gather proposals."""
    work.gather(asker)
    return RedirectResponse("/plan", 303)


@router.post("/plan/verdict")
async def verdict(request: Request, asker: Sender) -> Response:
    """Approve, reject with a reason, or reopen actions of the plan."""
    form = await request.form()
    keys = [str(key) for key in form.getlist("action")]
    given = {name: str(form.get(name, "")) for name in ("verdict", "reason", "back", "seen")}
    seen = int(given["seen"]) if given["seen"].isascii() and given["seen"].isdigit() else None
    settings = dict(zip(keys, (str(setting) for setting in form.getlist("setting")), strict=False))
    decide = partial(work.decide, seen=seen, settings=settings)
    await anyio.to_thread.run_sync(decide, asker, keys, given["verdict"], given["reason"])
    return RedirectResponse(local(given["back"] or "/plan"), 303)


@router.post("/plan/launch")
async def launch(request: Request, asker: Sender) -> Response:
    """Launch the approved actions of a plan: a job registers them, all or none."""
    form = await request.form()
    given = {name: str(form.get(name, ""))[:100] for name in FIELDS}
    rules = [str(rule)[:100] for rule in form.getlist("rule")][:10]
    seen = str(form.get("seen", "")) or None
    return await anyio.to_thread.run_sync(_launch, asker, given, rules, seen)


def _launch(asker: Asking, given: Mapping[str, str], rules: list[str], seen: str | None) -> Response:
    sought = board.read(given, board.usual(asker), rules)
    job = work.launch(asker, board.board(asker, sought), seen)
    return RedirectResponse(f"/jobs/{job.id}", 303)


def _curve(asker: Asking, found: Board, payer: str) -> tuple[Grid, dict[str, Any]] | None:
    """Return what plans would bring along the budget of one payer, as a table and a chart."""
    if not payer or found.proposals is None:
        return None
    points = board.curve(asker, found, payer, CURVE)
    currency = asker.store.provenance.currency
    rows = tuple({"budget": p.budget, "gain": p.gain, "worth": p.worth} for p in points)
    columns = (
        Column("budget", f"Budget of the {payer}", "money"), Column("gain", "Gain of the plan", "money"),
        Column("worth", f"Worth of one more {currency}", "money"),
    )  # fmt: skip
    bars = [(human(p.budget, "money", currency), p.gain) for p in points]
    said = f"Gain of the plan at budgets of the {payer}"
    return Grid(columns, rows), charts.ranked_bars(bars, currency=currency, signed=False, alt_text=said)


def _shops(asker: Asking) -> list[tuple[str, str]]:
    shops = asker.office.shops(asker.store)
    return list(shops.items()) if 1 < len(shops) <= MOST_SHOPS else []
