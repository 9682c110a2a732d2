"""Moulds: a chart is built and validated once for its shape, and filled with each one's rows.

Altair takes tens of milliseconds to build and validate a chart, and two charts of one shape differ in nothing but their
rows, a few numbers of their scales, and what they say. So a chart is built from placeholders, kept as text with holes,
and every chart of the shape is that text, filled.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from tradewind.charts.theme import Spec, config

Drawn = alt.Chart | alt.LayerChart | alt.FacetChart
Rows = Sequence[Mapping[str, Any]]
Draw = Callable[..., Drawn]
"""Draws a chart of some shape from data and numbers."""
_HEIGHT = 987_654_321


@dataclass(frozen=True)
class Filling:
    """What differs between charts of one shape.

    Args:
        rows: The rows of its data, one after the other.
        numbers: Numbers of its scales.
        said: What it says, for a reader who does not see it.
        height: Its height in pixels.
    """

    rows: Sequence[Rows]
    numbers: Sequence[float]
    said: str
    height: int


def filled(draw: Draw, shape: tuple[Hashable, ...], filling: Filling) -> Spec:
    """Return the specification of a chart.

    Args:
        draw: Draws it from `shape`, a list of data and a list of numbers; it may do nothing with the numbers but hand
            them to Altair or write them into an expression with `!r`.
        shape: All else that it depends on.
        filling: What it is filled with.
    """
    parts = _mould(draw, shape, len(filling.rows), len(filling.numbers))
    rows = ([dict(row) for row in some] for some in filling.rows)
    numbers = (float(number) for number in filling.numbers)
    written = [json.dumps(some) for some in (filling.said, filling.height, *rows, *numbers)]
    spec: Spec = json.loads("".join(part if isinstance(part, str) else written[part] for part in parts))
    return spec


def built(draw: Draw, shape: tuple[Hashable, ...], filling: Filling) -> Spec:
    """Return the same specification, built by Altair from the rows themselves."""
    data = [alt.InlineData(values=[dict(row) for row in some]) for some in filling.rows]
    chart = draw(*shape, data, [float(number) for number in filling.numbers])
    return finished(chart, filling.said, filling.height)


def finished(chart: Drawn, said: str, height: int) -> Spec:
    """Put the house theme on the chart.

    Its parts are checked as they are made; the whole is not once more, which takes twice as long as drawing: the tests
    validate a chart of each kind.
    """
    with alt.data_transformers.enable(consolidate_datasets=False):
        sized = chart.properties(width="container", height=height, description=said)
        spec: Spec = sized.to_dict(validate=False)
    spec["config"] = config()
    spec["autosize"] = {"type": "fit-x", "contains": "padding"}
    spec["background"] = "transparent"
    return spec


@functools.lru_cache(maxsize=512)
def _mould(draw: Draw, shape: tuple[Hashable, ...], datas: int, numbers: int) -> tuple[str | int, ...]:
    """Return the text of a chart's specification, cut at its holes, and in each hole the place of what fills it."""
    rows = [[{"hole": n}] for n in range(datas)]
    scales = [_number(n) for n in range(numbers)]
    text = json.dumps(built(draw, shape, Filling(rows, scales, "‹said›", _HEIGHT)))
    holes = {json.dumps(mark): n for n, mark in enumerate(("‹said›", _HEIGHT, *rows, *scales))}
    cut = re.split("(" + "|".join(re.escape(hole) for hole in holes) + ")", text)
    return tuple(holes.get(part, part) for part in cut)


def _number(place: int) -> float:
    """A number that no chart holds by itself."""
    return float(f"{7.25 + place / 1024!r}e+203")
