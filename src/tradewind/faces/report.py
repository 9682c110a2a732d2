"""Studies as one self-contained page: no script, no request, readable on a phone, on paper and in the dark."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from tradewind import charts
from tradewind.faces.order import long_columns, ranked, told_apart
from tradewind.faces.tabular import Laid, laid
from tradewind.letters import legible
from tradewind.measures.metrics import METRICS
from tradewind.money import human
from tradewind.study import Estimate, Evidence, Finding, Grid, Study

WIDE, NARROW = 800, 330
HEADLINES = 6
ROWS = 10

GRADES: dict[Evidence, str] = {
    Evidence.MEASURED: "Simply counted: a total, without an interval.",
    Evidence.RANDOMISED: "From an experiment in which chance decided who was treated.",
    Evidence.QUASI_EXPERIMENTAL: "From a comparison that chance did not decide, but that behaves as if it had.",
    Evidence.OBSERVATIONAL: "From what happened to happen: other explanations are possible.",
    Evidence.BENCHMARK: "From how comparable businesses do, not from this one.",
    Evidence.ASSUMED: "Rests on something that was supposed, not seen.",
}


def render(
    studies: Sequence[Study], title: str = "", unanswered: Mapping[str, str] | None = None, told: int | None = None
) -> str:
    """Return the page.

    Args:
        studies: Studies of one store, in the order in which they are read.
        title: Title of the page; the period's where empty.
        unanswered: Why a question could not be answered, by its title.
        told: Number of studies, from the first, that the summary on top is of; all when left out.

    Returns:
        A whole HTML document that asks nothing of the network.
    """
    origin, period = studies[0].provenance, studies[0].period
    page = _environment().get_template("report.html").render(
        title=title or f"{period.title} in review",
        period=period,
        origin=origin,
        studies=[(f"study-{n}", study) for n, study in enumerate(studies)],
        headlines=headlines(studies[:told]),
        unanswered=dict(unanswered or {}),
        definitions=definitions(studies),
        grades=_grades(studies),
        light=charts.css_colours("light"),
        dark=charts.css_colours("dark"),
    )  # fmt: skip
    return legible(page)


def pictures(studies: Sequence[Study], folder: Path) -> list[Path]:
    """Write each chart as a PNG file, for slides, and return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for study in studies:
        for finding in ranked(study.findings):
            if finding.chart is not None:
                path = folder / f"{study.wing}-{re.sub(r'[^a-z0-9]+', '-', finding.key.lower())}.png"
                path.write_bytes(charts.png(finding.chart))
                written.append(path)
    return written


def headlines(studies: Sequence[Study]) -> list[tuple[str, Finding]]:
    """Return the heaviest findings of all studies, each with the anchor of its place on the page."""
    found = [(anchor(n, finding), finding) for n, study in enumerate(studies) for finding in study.findings]
    return sorted(found, key=lambda pair: -pair[1].weight)[:HEADLINES]


def anchor(study: int, finding: Finding) -> str:
    """Return the name by which a finding is linked to."""
    return f"finding-{study}-{re.sub(r'[^a-z0-9]+', '-', finding.key.lower())}"


def definitions(studies: Sequence[Study]) -> list[tuple[str, str]]:
    """Return title and definition of every metric that the studies speak of."""
    said = "\n".join(_words(finding) for study in studies for finding in study.findings).lower()
    return [
        (metric.title, metric.doc)
        for metric in METRICS.values()
        if re.search(rf"(?<!\w){re.escape(metric.title.lower())}(?!\w)", said)
    ]


def rows(grid: Grid, currency: str, skip: int = 0, take: int | None = None) -> Laid:
    """Return some rows of a table as a person reads them."""
    return laid(grid, lambda row, column: human(row.get(column.name), column.unit, currency), skip, take)


def exact(value: Any) -> str:
    """Write a number of a finding in full, an estimate with its interval."""
    if value is None:
        return "unknown"
    if isinstance(value, Estimate):
        return f"{exact(value.mid)} ({value.level:.0%} interval {exact(value.low)} to {exact(value.high)})"
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, Decimal):
        return f"{value.normalize() if value != value.to_integral() else value.to_integral():,f}".replace("-", "−")
    if isinstance(value, int):
        return f"{value:,}".replace("-", "−")
    return f"{value:,.6g}".replace("-", "−")


def whole(words: str) -> Markup:
    """Escape words and keep each minus sign on the line of its number."""
    return Markup(re.sub(r"(−[^\s<]+)", r'<span class="brief">\1</span>', str(escape(words))))


def chart(spec: Mapping[str, Any], name: str) -> Markup:
    """Return a chart as inline SVG, once wide and once narrow: the style sheet shows the one that fits."""
    said = escape(spec.get("description", "Chart"))
    drawn = []
    for size, width in (("wide", WIDE), ("narrow", NARROW)):
        svg = charts.svg(spec, width, css=True)
        svg = re.sub(r'(id="|url\(#)', rf"\g<1>{name}-{size}-", svg)
        drawn.append(svg.replace("<svg ", f'<svg role="img" aria-label="{said}" data-size="{size}" ', 1))
    return Markup("".join(drawn))


def _words(finding: Finding) -> str:
    titles = [column.title for column in finding.grid.columns] if finding.grid else []
    cells = [str(v) for row in finding.grid.rows for v in row.values() if isinstance(v, str)] if finding.grid else []
    picture = str(finding.chart.get("description", "")) if finding.chart else ""
    return "\n".join((finding.sentence, finding.note, picture, *titles, *cells))


def _grades(studies: Sequence[Study]) -> list[tuple[Evidence, str]]:
    used = {finding.evidence for study in studies for finding in study.findings}
    return [(grade, words) for grade, words in GRADES.items() if grade in used]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("tradewind.faces"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "anchor": anchor,
        "chart": chart,
        "limit": ROWS,
        "long_columns": long_columns,
        "meaning": GRADES,
        "ranked": ranked,
        "rows": rows,
        "told_apart": told_apart,
    }
    environment.filters |= {"exact": exact, "whole": whole}
    return environment
