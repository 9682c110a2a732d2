"""The chart of one live room: who came and went, what sold, what was pinned and dropped, on one axis of minutes.

Its parts lie below each other in one view, each with a scale of its own over its own height: so all share one axis, and
the view is as wide as its page, as every chart of the house.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from tradewind.charts.drawing import Number, _axis, _colours
from tradewind.charts.mould import finished
from tradewind.charts.theme import LIGHT, SERIES, Spec
from tradewind.errors import BadInputError
from tradewind.money import human

JOINS = ("organic joins", "paid joins", "leaves")
_COMING = {"organic joins": "total", "paid joins": "ink", "leaves": "expected"}
_OTHERS = "others"
_DROP = "fourth"
_PRODUCTS = tuple(name for name in SERIES if name != _DROP)
_HEADING = 24
_GAP = 14
_HEIGHTS = {"viewers": 110, "joins": 64, "sales": 72}
_LANE = 30
_LANES = 10
# Channels made once: Altair takes long to read their short forms.
_FROM, _UNTIL, _TEXT = alt.X("minute:Q"), alt.X2("until:Q"), alt.Text("text:N")
_LEVEL = alt.Y("level:Q").scale(None).axis(None)
_SAYS: dict[str, Any] = {"tooltip": alt.Tooltip("said:N"), "description": alt.Description("said:N")}
_MOST_TARGETS = 480
_MOST_WORDS = 4


def live_room(
    viewers: Sequence[Number | None],
    joins: Mapping[str, Sequence[Number | None]],
    sales: Mapping[str, Sequence[Number | None]],
    pins: Sequence[tuple[str, int, int]],
    drops: Sequence[tuple[int, str]],
    *,
    unit: str = "money",
    currency: str = "",
) -> Spec:
    """Draw a live session by the minute: viewers, joins and leaves, sales, pinned products and coupon drops.

    Args:
        viewers: Viewers in each minute since it began; None where unknown, which leaves a gap.
        joins: Of `organic joins`, `paid joins` and `leaves`, as many in each minute as are known.
        sales: What each product sold in each minute, by its label; the products that sold most get a colour.
        pins: Label of each pinned product, its first and its last minute; a lane for each product.
        drops: Minute of each coupon drop, and what is said of it, such as `12 of 25 claimed`.
        unit: Unit of the sales.

    Raises:
        BadInputError: If a series is not as long as the others, or `joins` has another one.
    """
    lengths = {len(viewers), *map(len, joins.values()), *map(len, sales.values())}
    if len(lengths) > 1 or set(joins) - set(JOINS):
        raise BadInputError(
            "The series of a live room do not fit together", got=f"{sorted(joins)}, lengths {sorted(lengths)}",
            allowed=f"series of one length; of {', '.join(JOINS)} some",
        )  # fmt: skip
    drawing = _Drawing(len(viewers), unit, currency)
    colours = _ranked(sales, pins)
    if drops:
        drawing.below(15 * min(len(drops), 3 if len(drops) <= _MOST_WORDS else 0))
    if _known(viewers):
        drawing.crowd(viewers)
    if any(_known(series) for series in joins.values()):
        drawing.came(joins)
    if any(_known(series) for series in sales.values()):
        drawing.sold(sales, colours)
    upper = drawing.height
    if pins:
        drawing.pinned(pins, colours)
    drawing.dropped(drops)
    drawing.headings()
    drawing.targets(upper, viewers, joins, sales)
    x = alt.X("minute:Q").title("Minutes since it began").scale(domain=[0, max(len(viewers), 1)], nice=False)
    base = drawing.chart([{"minute": 0}]).mark_point(opacity=0, color=LIGHT["line"], aria=False)
    base = base.encode(x=x.axis(grid=False, tickCount=8), y=_pixels(alt.YValue, 0))
    layers = alt.layer(base, *drawing.ground, *drawing.layers).resolve_scale(y="independent", color="independent")
    spec = finished(layers, _told(viewers, sales, pins, drops, drawing), max(drawing.height, 1))
    spec["datasets"] = drawing.data
    return spec


class _Drawing:
    """Stacks the parts of the chart from top to bottom."""

    def __init__(self, length: int, unit: str, currency: str):
        self.length, self.unit, self.currency = length, unit, currency
        self.height = 0
        self.data: dict[str, list[dict[str, Any]]] = {}
        self.words: list[dict[str, Any]] = []
        self.ground: list[alt.Chart] = []  # lies beneath all others
        self.layers: list[alt.Chart | alt.LayerChart | alt.FacetChart] = []

    def chart(self, rows: Sequence[Mapping[str, Any]]) -> alt.Chart:
        """Begin a chart of rows. The rows are kept beside: Altair would copy and check each of them many times."""
        name = f"rows{len(self.data)}"
        self.data[name] = [dict(row) for row in rows]
        return alt.Chart(alt.NamedData(name=name))

    def say(self, value: Any) -> str:
        """Write an amount of what is sold."""
        return human(value, self.unit, self.currency)

    def below(self, pixels: int) -> None:
        """Leave room."""
        self.height += pixels

    def _part(self, name: str) -> tuple[int, int]:
        """Make room for a part of the chart and return its top and its bottom, below the heading."""
        top = self.height + _HEADING
        self.height = top + _HEIGHTS[name] + _GAP
        return top, top + _HEIGHTS[name]

    def _heading(self, words: Sequence[tuple[str, str]], bottom: int) -> None:
        """Write words from left to right, each in a colour."""
        at = 0
        for text, colour in words:
            self.words.append({"at": at, "level": bottom - 6, "text": text, "colour": LIGHT[colour]})
            at += round(6.1 * len(text)) + 10

    def headings(self) -> None:
        """Draw the headings of all parts."""
        mark = self.chart(self.words).mark_text(
            align="left", baseline="bottom", fontSize=12, fontWeight=500, aria=False
        )
        x, colour = alt.X("at:Q").scale(None).axis(None), alt.Color("colour:N").scale(None)
        self.layers.append(mark.encode(x=x, y=_LEVEL, text=_TEXT, color=colour))

    def _y(
        self, name: str, part: tuple[int, int], ends: tuple[float, float], axis: alt.Axis, *, nice: bool = True
    ) -> alt.Y:
        """Return a height inside a part: on its own scale, its ticks at the left as everywhere."""
        axis.orient, axis.tickCount = "left", 3
        scale = alt.Scale(domain=list(ends), range=[part[1], part[0]], nice=nice, zero=False)
        return alt.Y(f"{name}:Q").title(None).scale(scale).axis(axis)

    def crowd(self, viewers: Sequence[Number | None]) -> None:
        """Draw the line of viewers."""
        part = self._part("viewers")
        self._heading([("Viewers", "ink")], part[0])
        y = self._y("value", part, (0, max(_known(viewers)) or 1), _axis("count", "", across=True))
        rows = [{"minute": n + 0.5, "value": None if v is None else float(v)} for n, v in enumerate(viewers)]
        chart = self.chart(rows).encode(x=_FROM, y=y)
        area = chart.mark_area(opacity=0.12, color=LIGHT["up"], aria=False)
        self.layers.append(alt.layer(area, chart.mark_line(strokeWidth=2, color=LIGHT["up"], aria=False)))

    def came(self, joins: Mapping[str, Sequence[Number | None]]) -> None:
        """Draw who came above, and who left below."""
        part = self._part("joins")
        shown = [name for name in JOINS if name in joins and _known(joins[name])]
        most, cut = _most_leaves(joins.get("leaves", ()))
        words = [(n.replace("leaves", "leaves below"), _COMING[n]) for n in shown]
        self._heading(words, part[0])
        rows: list[dict[str, Any]] = []
        lowest, highest = 0.0, 0.0
        for n in range(self.length):
            up = 0.0
            for name in shown:
                size = float(joins[name][n] or 0)
                size = min(size, most) if name == "leaves" else size
                begin, end = (0.0, -size) if name == "leaves" else (up, up + size)
                up = up if name == "leaves" else end
                lowest, highest = min(lowest, end), max(highest, up)
                if size:
                    rows.append({"minute": n, "until": n + 1, "from": begin, "to": end, "kind": name})
        axis = alt.Axis(labelExpr="format(abs(datum.value), '~s')", grid=True, domain=False, ticks=False)
        y = self._y("from", part, (lowest, highest if highest > lowest else lowest + 1), axis, nice=False)
        bars = self.chart(rows).mark_rect(aria=False, opacity=0.85)
        colour = _colours("kind", {name: _COMING[name] for name in shown}, legend=False)
        drawn = bars.encode(x=_FROM, x2=_UNTIL, y=y, y2=alt.Y2("to:Q"), color=colour)
        zero = self.chart([{"from": 0}]).mark_rule(color=LIGHT["muted"], aria=False).encode(y=y)
        self.layers.append(alt.layer(drawn, zero))
        if cut:  # the last bar is not drawn to its end
            said = self.chart([{"minute": self.length - 1, "text": f"{cut:,.0f} leave"}])
            said = said.mark_text(align="right", dx=-4, fontSize=11, color=LIGHT["muted"], aria=False)
            self.layers.append(said.encode(x=_FROM, y=_pixels(alt.YValue, part[1] - 1), text=_TEXT))

    def sold(self, sales: Mapping[str, Sequence[Number | None]], colours: Mapping[str, str]) -> None:
        """Draw what sold in each minute, product upon product."""
        part = self._part("sales")
        self._heading([("GMV a minute" if self.unit == "money" else "Orders a minute", "ink")], part[0])
        rows: list[dict[str, Any]] = []
        highest = 0.0
        for n in range(self.length):
            level = 0.0
            for name in sorted(sales, key=lambda name: list(colours).index(_key(name, colours))):
                size = float(sales[name][n] or 0)
                if size:
                    rows.append(
                        {"minute": n + 0.06, "until": n + 0.94, "from": level, "to": level + size,
                         "kind": _key(name, colours)}
                    )  # fmt: skip
                    level += size
            highest = max(highest, level)
        y = self._y("from", part, (0, highest or 1), _axis(self.unit, self.currency, across=True))
        bars = self.chart(rows).mark_rect(aria=False)
        colour = _colours("kind", colours, legend=False)
        self.layers.append(bars.encode(x=_FROM, x2=_UNTIL, y=y, y2=alt.Y2("to:Q"), color=colour))

    def pinned(self, pins: Sequence[tuple[str, int, int]], colours: Mapping[str, str]) -> None:
        """Draw a lane for each pinned product; what has no colour of its own shares the last one."""
        top = self.height + _HEADING
        self._heading([("Pinned", "ink")], top)
        names = list(dict.fromkeys(name for name, _, _ in pins))
        names.sort(key=lambda name: list(colours).index(_key(name, colours)))
        lanes = names if len(names) <= _LANES else names[: _LANES - 1]
        rest = f"{len(names) - len(lanes)} more products"
        labels = [*lanes, *([rest] if len(names) > len(lanes) else [])]
        rows = []
        for name, first, last in pins:
            lane = labels.index(name) if name in lanes else len(labels) - 1
            minutes = f"minute {first}" if first == last else f"minutes {first} to {last}"
            rows.append(
                {"minute": first, "until": last + 1, "top": top + _LANE * lane + 14, "bottom": top + _LANE * lane + 23,
                 "kind": _key(name, colours), "said": f"{name}: pinned, {minutes}"}
            )  # fmt: skip
        words = [
            {"label": label, "level": at + 6, "top": at + 14, "bottom": at + 23, "minute": 0, "until": self.length}
            for at, label in zip(range(top, top + _LANE * len(labels), _LANE), labels, strict=True)
        ]
        y = alt.Y("top:Q").scale(None).axis(None)
        tracks = self.chart(words).mark_rect(color=LIGHT["wash"], aria=False)
        self.ground.append(tracks.encode(x=_FROM, x2=_UNTIL, y=y, y2=alt.Y2("bottom:Q")))
        spans = self.chart(rows).mark_rect(cornerRadius=1)
        colour = _colours("kind", colours, legend=False)
        self.layers.append(spans.encode(x=_FROM, x2=_UNTIL, y=y, y2=alt.Y2("bottom:Q"), color=colour, **_SAYS))
        limit = alt.ExprRef("width")
        text = self.chart(words).mark_text(align="left", fontSize=11, color=LIGHT["ink"], limit=limit, aria=False)
        self.layers.append(text.encode(x=_pixels(alt.XValue, 0), y=_LEVEL, text=alt.Text("label:N")))
        self.height = top + _LANE * len(labels)

    def dropped(self, drops: Sequence[tuple[int, str]]) -> None:
        """Draw a rule through all parts for every drop; words on one of three levels where they are few."""
        rows = [
            {"minute": at + 0.5, "label": label, "level": 8 + 15 * (n % 3), "top": 0, "bottom": self.height,
             "said": f"Coupon drop in minute {at}: {label}"}
            for n, (at, label) in enumerate(sorted(drops))
        ]  # fmt: skip
        if not rows:
            return
        chart = self.chart(rows)
        y = alt.Y("top:Q").scale(None).axis(None)
        rule = chart.mark_rule(color=LIGHT[_DROP], strokeDash=[4, 3], strokeWidth=1.5)
        marks = chart.mark_point(shape="diamond", filled=True, size=70, opacity=1, color=LIGHT[_DROP])
        self.ground.append(rule.encode(x=_FROM, y=y, y2=alt.Y2("bottom:Q"), **_SAYS))
        self.layers.append(marks.encode(x=_FROM, y=_LEVEL, **_SAYS))
        if len(rows) <= _MOST_WORDS:
            side = f"datum.minute > {0.55 * self.length}"
            words = chart.mark_text(
                align=alt.ExprRef(f"{side} ? 'right' : 'left'"), dx=alt.ExprRef(f"{side} ? -8 : 8"), fontSize=11,
                color=LIGHT[_DROP], aria=False,
            )  # fmt: skip
            self.layers.append(words.encode(x=_FROM, y=_LEVEL, text=alt.Text("label:N")))

    def targets(
        self,
        bottom: int,
        viewers: Sequence[Number | None],
        joins: Mapping[str, Sequence[Number | None]],
        sales: Mapping[str, Sequence[Number | None]],
    ) -> None:
        """Lay a strip to point at over every minute, which says all that is known of it."""
        if not 0 < self.length <= _MOST_TARGETS or not bottom:
            return
        rows = []
        for n in range(self.length):
            said = [] if viewers[n] is None else [f"{human(viewers[n], 'count')} viewers"]
            said += [f"{human(joins[k][n], 'count')} {k}" for k in JOINS if k in joins and joins[k][n] is not None]
            known = {name: series[n] for name, series in sales.items() if series[n]}
            said += [f"{name} {self.say(value)}" for name, value in known.items()]
            rows.append({"minute": n, "until": n + 1, "said": f"Minute {n}: {', '.join(said) or 'nothing is known'}"})
        strips = self.chart(rows).mark_rect(opacity=0, color=LIGHT["line"])
        strips = strips.encode(x=_FROM, x2=_UNTIL, y=_pixels(alt.YValue, 0), y2=_pixels(alt.Y2Value, bottom), **_SAYS)
        self.ground.append(strips)


def _pixels(channel: Any, at: float) -> Any:
    """Return a channel at so many pixels from the left or the top."""
    return channel(at)


def _key(name: str, colours: Mapping[str, str]) -> str:
    """Return the name under which a product has its colour: its own, or that of all others."""
    return name if name in colours else _OTHERS


def _ranked(sales: Mapping[str, Sequence[Number | None]], pins: Sequence[tuple[str, int, int]]) -> dict[str, str]:
    """Give a colour to each of the products that sold most or were pinned longest, and one to all others."""
    worth = {name: sum(_known(series)) for name, series in sales.items()}
    shown: dict[str, int] = {}
    for name, first, last in pins:
        shown[name] = shown.get(name, 0) + last - first + 1
    names = sorted({*worth, *shown}, key=lambda name: (-worth.get(name, 0.0), -shown.get(name, 0), name))
    own = names if len(names) <= len(_PRODUCTS) else names[: len(_PRODUCTS) - 1]
    return {**dict(zip(own, _PRODUCTS, strict=False)), _OTHERS: "expected"}


def _most_leaves(leaves: Sequence[Number | None]) -> tuple[float, float]:
    """Return the most leaves a minute to draw, and how many there are where that cuts: when a room closes all go."""
    last = float(leaves[-1] or 0) if leaves else 0.0
    before = max(_known(leaves[:-1]), default=0.0)
    return (1.5 * before, last) if last > 2 * before > 0 else (max(last, before), 0.0)


def _known(series: Sequence[Number | None]) -> list[float]:
    return [float(v) for v in series if v is not None and not math.isnan(v)]


def _told(
    viewers: Sequence[Number | None],
    sales: Mapping[str, Sequence[Number | None]],
    pins: Sequence[tuple[str, int, int]],
    drops: Sequence[tuple[int, str]],
    drawing: _Drawing,
) -> str:
    said = [f"A live session of {len(viewers)} minutes."]
    if seen := _known(viewers):
        peak = max(seen)
        at = next(n for n, v in enumerate(viewers) if v is not None and float(v) == peak)
        said.append(f"Viewers: {sum(seen) / len(seen):,.0f} on average, at most {peak:,.0f} in minute {at}.")
    totals = {name: sum(_known(series)) for name, series in sales.items()}
    if totals and any(_known(series) for series in sales.values()):
        best = max(totals, key=lambda name: totals[name])
        what = "GMV" if drawing.unit == "money" else "Orders"
        said.append(f"{what}: {drawing.say(sum(totals.values()))}, most by {best}, {drawing.say(totals[best])}.")
    if pins:
        said.append(f"Products were pinned {len(pins)} times.")
    said += [f"Coupon drop in minute {at}: {label}." for at, label in sorted(drops)]
    return " ".join(said)
