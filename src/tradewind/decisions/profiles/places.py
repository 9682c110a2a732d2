"""Places: where sales come from, by surface, form and relation, as a finding of a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tradewind import charts
from tradewind.decisions.profiles.page import NOW, Page
from tradewind.measures import metrics as m
from tradewind.measures.cuts import Cut, worth
from tradewind.measures.metric import Metric, leaves
from tradewind.measures.query import lights_up
from tradewind.money import human
from tradewind.study import Column, Evidence, Finding, Grid

PLACES = ("surface", "form", "relation")


def ways(page: Page, where: Mapping[str, str]) -> tuple[str, ...]:
    """Return those of surface, form and relation that the source tells of a sale."""
    return tuple(name for name in PLACES if lights_up(m.GMV, page.store, (name, *where)))


def without_clicks(metrics: Sequence[Metric]) -> tuple[Metric, ...]:
    """Return the metrics that need no traffic, which is counted apart."""
    return tuple(metric for metric in metrics if m.CLICKS not in leaves(metric))


def clicks(page: Page, where: Mapping[str, str], counted: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Count clicks by where demand met the product, and fill in the conversion of the whole.

    Traffic is by far the greatest table: it is read once, for its places only, and its sums are the whole's.
    """
    by = ways(page, where)
    told = lights_up(m.CLICKS, page.store, (*by, *where))
    found = page.cuts({"clicks": Cut(by if told else (), (m.CLICKS,))}, where)["clicks"]
    for row in counted["whole"]:
        seen = [place["clicks"] for place in found if place["slot"] == row["slot"]]
        row["cvr"] = worth(m.CVR, {**row, "clicks": sum(seen)}, ()) if found else None
    return {"clicks": found if told else []}


def places(page: Page, rows: Sequence[Mapping[str, Any]], seen: Sequence[Mapping[str, Any]]) -> Finding | None:
    """Tell where sales come from: surface, form and relation."""
    by = tuple(name for name in PLACES if rows and name in rows[0])
    clicked = {tuple(row[n] for n in by): row["clicks"] for row in seen if row["slot"] == NOW}
    sides = {place: side for place, side in page.sides(rows, by).items() if side.now.get("gmv")}
    if not any(any(place) for place in sides):
        return None
    ranked = sorted(sides.items(), key=lambda pair: (-pair[1].now["gmv"], tuple(map(str, pair[0]))))
    total = sum(side.now["gmv"] for side in sides.values())
    table = []
    for place, side in ranked:
        said = {name: value or "unknown" for name, value in zip(by, place, strict=True)}
        share = float(side.now["gmv"] / total) if total else None
        row = {**said, "gmv": side.now["gmv"], "share": share, "change": side.change(m.GMV)}
        table.append(row | ({"clicks": clicked.get(place, 0)} if seen else {}))
    columns = [Column(name, name.title()) for name in by]
    columns += [Column("gmv", "GMV", "money")]
    columns += [Column("change", "Change", "money")] if page.before else []
    columns += [Column("share", "Share", "share")]
    columns += [Column("clicks", "Clicks", "count")] if seen else []
    chart = None
    if by[:2] == PLACES[:2]:
        of = {place[:2]: 0.0 for place in sides}
        for place, side in sides.items():
            of[place[:2]] += float(side.now["gmv"] / total) if total else 0.0
        surfaces, forms = (list(dict.fromkeys(place[n] for place, _ in ranked)) for n in (0, 1))
        cells = [[of.get((surface, form)) for form in forms] for surface in surfaces]
        down, across = ([name or "unknown" for name in names] for names in (surfaces, forms))
        chart = charts.heatmap(down, across, cells, unit="share", titles=("Surface", "Form: share of GMV"))
    first = table[0]
    where = " · ".join(dict.fromkeys(first[name] for name in by))
    sentence = f"Most GMV, {human(first['share'], 'share')}, came from {where}."
    numbers = {"gmv": total, "first_share": first["share"]}
    note = "Counted over paid lines; unknown is what the source does not say. The chart leaves the relation out."
    grid = Grid(tuple(columns), tuple(table))
    return Finding("places", sentence, Evidence.MEASURED, numbers, grid, chart, note, 80.0)
