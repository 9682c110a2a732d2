"""Rendering: how every page of the console is made from a template, and what of it is given as a file instead."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tradewind import charts
from tradewind.accounts import Right
from tradewind.errors import NotFoundError, TradewindError
from tradewind.faces.console import assets
from tradewind.faces.console.reader import Reader
from tradewind.faces.export import chart_grid, csv_text
from tradewind.faces.order import long_columns, number, ranked, told_apart
from tradewind.faces.report import GRADES, exact, whole
from tradewind.faces.server.gate import Asking, keep
from tradewind.faces.tabular import Laid, Row, laid
from tradewind.letters import legible
from tradewind.money import human, plainly
from tradewind.study import Column, Estimate, Finding, Grid, Study

ROWS = 12
"""Rows of a table that are shown before the rest is folded away."""
LINKED = {
    "shop_id": "shops", "product_id": "products", "creator_id": "creators", "live_id": "live", "segment": "segments",
}  # fmt: skip
"""Columns of ids, and under which address the page of each is."""
OF_THE_ROW = "of the row"
"""Unit of a column whose rows each say their own in `unit`."""
NAVIGATION = (
    ("Today", "/"), ("Why", "/why"), ("Plan", "/plan"), ("Ledger", "/ledger"), ("Shops", "/shops"),
    ("Products", "/products"), ("Creators", "/creators"), ("Customers", "/segments"), ("Live", "/live"),
    ("Studies", "/studies"), ("Data", "/data"),
)  # fmt: skip


def page(request: Request, template: str, title: str, *, status: int = 200, **context: Any) -> Response:
    """Return a page.

    Args:
        request: The request, whose asker was let in, or nobody for the page to sign in on.
        template: Name of the template.
        title: Title of the page.
        status: HTTP status.
        context: What the template shows.
    """
    asker: Asking | None = getattr(request.state, "asking", None)
    reader = Reader.of(request.headers.get("accept-language", ""))
    known = {
        "title": title,
        "asker": asker,
        "reader": reader,
        "path": request.url.path,
        "theme": theme if (theme := request.cookies.get("theme", "")) in ("light", "dark") else "",
        "navigation": _navigation(asker),
        "origin": None,
        "assets": assets.addresses(),
        "palette": _palette(),
    }
    html = legible(_environment().get_template(template).render(**known | context))
    response = HTMLResponse(html, status)
    if asker is not None and asker.fresh:
        keep(response, asker.office, asker.secret)
    return response


def failed(request: Request, error: TradewindError) -> Response:
    """Return the page of an error: what, got, allowed, what to do."""
    return page(request, "error.html", "Something is not right", status=error.status, error=error)


def exported(request: Request, name: str, study: Study | None = None, **grids: Grid) -> Response | None:
    """Return the file that a page's address asks for instead of the page, or None where it asks for none.

    `?csv=KEY` is a table, `?chart=KEY` a chart's definition with its data, `?picture=KEY` the chart drawn.

    Raises:
        NotFoundError: If the page has no such table or chart.
    """
    query = request.query_params
    found = {finding.key: finding for finding in study.findings} if study is not None else {}
    if key := query.get("csv"):
        grid = grids.get(key)
        if grid is None and (finding := found.get(key)) is not None:
            grid = finding.grid or (chart_grid(finding.chart) if finding.chart else None)
        if grid is None:
            raise NotFoundError("This page has no such table", got=key, allowed=[*grids, *found])
        return _file(csv_text(grid), "text/csv; charset=utf-8", f"{name}-{key}.csv")
    if key := query.get("chart") or query.get("picture"):
        spec = finding.chart if (finding := found.get(key)) is not None else None
        if spec is None:
            raise NotFoundError(
                "This page has no such chart", got=key, allowed=[k for k, each in found.items() if each.chart]
            )
        if query.get("picture"):
            return Response(charts.svg(spec, 800), media_type="image/svg+xml")
        return _file(json.dumps(spec, ensure_ascii=False), "application/json", f"{name}-{key}.vl.json")
    return None


def _file(text: str, kind: str, name: str) -> Response:
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name)[-100:]
    return PlainTextResponse(text, media_type=kind, headers={"content-disposition": f'attachment; filename="{safe}"'})


def address(path: str, **query: Any) -> str:
    """Return an address of the console; parameters that are empty are left out, those of several values repeated."""
    said = urlencode({name: value for name, value in query.items() if value not in (None, "", [], ())}, doseq=True)
    return f"{path}?{said}" if said else path


def entity(kind: str, id_: Any) -> str:
    """Return the address of the page of something."""
    return f"/{kind}/{quote(str(id_), safe='')}"


def rows(grid: Grid, currency: str, reader: Reader, skip: int = 0, take: int | None = None) -> Laid:
    """Return some rows of a table as the reader reads them, each name linked to its page where its row holds an id."""

    def write(row: Row, column: Column) -> str:
        unit = str(row.get("unit", "ratio")) if column.unit == OF_THE_ROW else column.unit
        return reader.human(row.get(column.name), unit, currency)

    return laid(grid, write, skip, take, _href)


def _href(row: Row, column: str, first: bool) -> str:
    """Return the page of what a cell names: its own id, the id beside a name, or the one id that the row holds."""
    if first and "href" in row:
        return str(row["href"])
    named = column if column in LINKED else f"{column}_id"
    if named in LINKED:
        return entity(LINKED[named], row[named]) if row.get(named) else ""
    aside = [name for name in LINKED if row.get(name)]
    return entity(LINKED[aside[0]], row[aside[0]]) if first and len(aside) == 1 else ""


def gauge(low: float, high: float, value: float) -> dict[str, float] | None:
    """Return where on a scale of 100 a value and its usual band lie; None where there is nothing to compare."""
    ends = min(low, value), max(high, value)
    room = (ends[1] - ends[0]) * 0.12 or abs(value) * 0.1 or 1.0
    first, span = ends[0] - room, ends[1] - ends[0] + 2 * room
    if not span > 0:
        return None
    at = {name: 100 * (point - first) / span for name, point in (("low", low), ("high", high), ("value", value))}
    return {"low": at["low"], "width": max(at["high"] - at["low"], 1.0), "value": at["value"]}


def json_text(value: Any) -> Markup:
    """Return JSON that stands inside a script element without ending it."""
    said = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Markup(said.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _navigation(asker: Asking | None) -> Sequence[tuple[str, str]]:
    if asker is None:
        return ()
    if asker.caller.scope.creators is not None:
        return tuple(each for each in NAVIGATION if each[0] in ("Today", "Live", "Data"))
    more = (("Users", "/users"),) if asker.office.accounts and asker.caller.may(Right.MANAGE) else ()
    return (*NAVIGATION, *more)


@cache
def _palette() -> str:
    """Return by colour of the light theme the one of the dark theme, as JSON."""
    return json.dumps(dict(charts.PALETTE.values()))


def _top(finding: Finding) -> int:
    return ROWS if finding.grid is not None and len(finding.grid.rows) > ROWS + 3 else ROWS + 3


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("tradewind.faces.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals |= {
        "Estimate": Estimate, "address": address, "entity": entity, "gauge": gauge, "human": human, "plainly": plainly,
        "json_text": json_text, "long_columns": long_columns, "meaning": GRADES,
        "ranked": ranked, "rows": rows, "told_apart": told_apart, "top": _top, "Right": Right,
    }  # fmt: skip
    environment.filters |= {"exact": exact, "whole": whole, "number": number, "pick": quote}
    return environment
