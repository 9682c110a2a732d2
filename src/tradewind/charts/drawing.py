"""Charts drawn with Altair, each from plain numbers, labels and days.

Where a chart takes `unit` and `currency`, they are as `money.human` has them. Each says its numbers in words too, for a
reader who does not see it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import altair as alt

from tradewind.charts.mould import Drawn, Filling, filled, finished
from tradewind.charts.theme import LIGHT, SERIES, Spec
from tradewind.errors import BadInputError
from tradewind.money import SYMBOLS, human
from tradewind.period import Period
from tradewind.study import Estimate

Number = Decimal | float | int
Value = Number | Estimate

_ROW = 30
_WORDS = 70
_MOST_POINTS = 200
# Names beside bars: on two lines, centred, where they are long for the width at hand.
_LINE = "(width < 400 ? 16 : 34)"
_BROKEN = f"replace(datum.label, regexp('(.{{1,' + {_LINE} + '}})(\\\\s+|$)', 'g'), '$1\\n')"
_LINES = f"split(trim({_BROKEN}), '\\n')"
_NAMES = alt.Axis(
    ticks=False,
    domain=False,
    labelPadding=10,
    labelLineHeight=13,
    labelOffset={"condition": {"test": f"length(datum.label) > {_LINE}", "value": -6}, "value": 0},
    labelExpr=f"length({_LINES}) > 2 ? [{_LINES}[0], {_LINES}[1] + ' …'] : {_LINES}",
)
_SAID: dict[str, Any] = {"tooltip": "said:N", "description": "said:N"}


def waterfall(
    start: tuple[str, Number],
    parts: Sequence[tuple[str, Value]],
    end: tuple[str, Number],
    *,
    unit: str = "money",
    currency: str = "",
) -> Spec:
    """Draw how contributions lead from one total to another.

    Args:
        start: Label and value before.
        parts: Label and signed contribution of each step, in the order in which they are drawn.
        end: Label and value after.

    Returns:
        The specification. Where the steps are small beside the totals the axis does not begin at zero, and the totals
        are drawn as marks without length.
    """
    say = functools.partial(human, unit=unit, currency=currency)
    levels = [_plain(start[1])]
    for _, part in parts:
        levels.append(levels[-1] + _plain(part))
    levels.append(_plain(end[1]))
    spread, top = max(levels) - min(levels), max(map(abs, levels))
    zoomed = spread < 0.3 * top and min(levels) * max(levels) > 0
    base = min(levels) - 0.12 * (spread or top) if zoomed else 0.0
    rows: list[dict[str, Any]] = []
    labels = _distinct([start[0], *(label for label, _ in parts), end[0]])
    for n, label in enumerate(labels):
        if n in (0, len(labels) - 1):
            value = levels[n] if n == 0 else levels[-1]
            rows.append(_step(label, "Total", (value if zoomed else base, value), say(value), n))
        else:
            change = parts[n - 1][1]
            kind = "Adds" if _plain(change) >= 0 else "Takes away"
            rows.append(_step(label, kind, (levels[n - 1], levels[n]), say(change, signed=True), n))
    low, high = min(base, *levels), max(base, *levels)
    said = f"From {labels[0]}, {say(start[1])}, to {labels[-1]}, {say(end[1])}. " + "; ".join(
        f"{label} {say(part, signed=True)}" for label, part in parts
    )
    filling = Filling([rows], [low, high, (high - low) or 1.0], said, _ROW * len(rows))
    return filled(_waterfall, (unit, currency, zoomed), filling)


def _waterfall(unit: str, currency: str, zoomed: bool, data: list[alt.InlineData], numbers: list[float]) -> Drawn:
    [rows] = data
    y = alt.Y("label:N").sort(None).title(None).axis(_NAMES)
    note = "The axis does not begin at zero" if zoomed else None
    x = alt.X("from:Q").title(note).axis(_axis(unit, currency)).scale(_room(*numbers, left=False))
    colour = _colours("kind", {"Total": "total", "Adds": "up", "Takes away": "down"}, legend=False)
    bars = alt.Chart(rows).mark_bar(height=18, cornerRadius=2).encode(y=y, x=x, x2="to:Q", color=colour, **_SAID)
    joints = alt.Chart(rows).transform_filter("datum.n > 0")
    links = joints.mark_tick(thickness=1, color=LIGHT["muted"], size=_ROW, yOffset=-_ROW / 2, aria=False)
    links = links.encode(y=y, x=alt.X("joint:Q"))
    text = alt.Chart(rows).mark_text(align="left", dx=7, color=LIGHT["ink"], aria=False)
    text = text.encode(y=y, x="right:Q", text="text:N")
    layers: list[alt.Chart] = [bars, links, text]
    if zoomed:
        ends = alt.Chart(rows).transform_filter("datum.kind == 'Total'")
        layers.insert(1, ends.mark_point(filled=True, size=110, opacity=1).encode(y=y, x="to:Q", color=colour, **_SAID))
    return alt.layer(*layers)


def ranked_bars(
    bars: Sequence[tuple[str, Value]],
    *,
    unit: str = "money",
    currency: str = "",
    signed: bool = True,
    alt_text: str = "",
) -> Spec:
    """Draw bars to the left and right of zero, in the order given, with a whisker for every interval.

    Args:
        bars: Label and value of each bar; an `Estimate` gets its interval.
        signed: Whether the values are changes, whose gains carry a plus sign, rather than amounts.
        alt_text: What it says, for a reader who does not see it; the bars in words where empty.
    """
    say = functools.partial(human, unit=unit, currency=currency, signed=signed)
    rows: list[dict[str, Any]] = []
    for label, (_, value) in zip(_distinct([label for label, _ in bars]), bars, strict=True):
        mid, (low, high) = _plain(value), _ends(value)
        rows.append(
            {
                "label": label, "value": mid, "low": low, "high": high, "text": say(mid), "right": mid >= 0,
                "kind": "Adds" if mid >= 0 else "Takes away", "said": f"{label}: {say(value)}",
                "at": max(high, 0.0) if mid >= 0 else min(low, 0.0),
            }
        )  # fmt: skip
    lowest, highest = min((r["low"] for r in rows), default=0.0), max((r["high"] for r in rows), default=0.0)
    low, high = min(lowest, 0.0), max(highest, 0.0)
    shape = (unit, currency, any(r["value"] < 0 for r in rows))
    said = alt_text or "; ".join(str(row["said"]) for row in rows)
    height = max(_ROW - 2, 1) * max(len(rows), 1)
    return filled(_ranked_bars, shape, Filling([rows], [low, high, (high - low) or 1.0], said, height))


def _ranked_bars(unit: str, currency: str, left: bool, data: list[alt.InlineData], numbers: list[float]) -> Drawn:
    [rows] = data
    y = alt.Y("label:N").sort(None).title(None).axis(_NAMES)
    x = alt.X("value:Q").title(None).axis(_axis(unit, currency)).scale(_room(*numbers, left=left))
    colour = _colours("kind", {"Adds": "up", "Takes away": "down"}, legend=False)
    drawn = alt.Chart(rows).mark_bar(height=16, cornerRadius=2).encode(y=y, x=x, color=colour, **_SAID)
    zero = alt.Chart(_data([{"zero": 0}])).mark_rule(color=LIGHT["muted"], aria=False).encode(x=alt.X("zero:Q"))
    whisker = alt.Chart(rows).transform_filter("datum.low < datum.high")
    whisker = whisker.mark_rule(color=LIGHT["ink"], strokeWidth=1.5, aria=False).encode(y=y, x="low:Q", x2="high:Q")
    gains = alt.Chart(rows).transform_filter("datum.right")
    gains = gains.mark_text(align="left", dx=6, color=LIGHT["ink"], aria=False)
    losses = alt.Chart(rows).transform_filter("!datum.right")
    losses = losses.mark_text(align="right", dx=-6, color=LIGHT["ink"], aria=False)
    words = {"y": y, "x": alt.X("at:Q"), "text": alt.Text("text:N")}
    return alt.layer(drawn, zero, whisker, gains.encode(**words), losses.encode(**words))


def trend(
    days: Sequence[date],
    values: Sequence[Number | None],
    *,
    expected: Sequence[Estimate | None] | None = None,
    period: Period | None = None,
    unit: str = "money",
    currency: str = "",
) -> Spec:
    """Draw one series over the days, with what was expected and the period in question.

    Args:
        days: The days, or first days of weeks or months.
        values: Value of each; None where it is unknown, which leaves a gap.
        expected: What each should have been; None where nothing was expected.
        period: Days to highlight.
    """
    say = functools.partial(human, unit=unit, currency=currency)
    usual = list(expected) if expected is not None else [None] * len(days)
    level = next((e.level for e in usual if e is not None), 0.9)
    told = f"Expected, with its {level:.0%} interval"
    actual = _points(days, values, "Actual", say)
    hoped = [
        {
            "day": day.isoformat(), "value": e.mid, "low": e.low, "high": e.high, "series": told,
            "said": f"{_when(day)}, expected: {say(e)}",
        }
        for day, e in zip(days, usual, strict=True)
        if e is not None
    ]  # fmt: skip
    seen = [r["value"] for r in actual if r["value"] is not None] + [e for r in hoped for e in (r["low"], r["high"])]
    domain = _from_zero(seen)
    wash = [] if period is None else [{"day": period.first.isoformat(), "to": period.last.isoformat()}]
    shape = (unit, currency, told if hoped else "", bool(wash), _dots(len(actual)))
    said = _told(days, values, say)
    return filled(_trend, shape, Filling([wash, hoped, actual], domain, said, 260))


def _trend(
    unit: str, currency: str, told: str, washed: bool, dots: float | None,
    data: list[alt.InlineData], domain: list[float],
) -> Drawn:  # fmt: skip
    wash, hoped, actual = data
    y = alt.Y("value:Q").title(None).axis(_axis(unit, currency, across=True))
    y = y.scale(domain=domain or alt.Undefined, nice=True)
    x = _days("day")
    colour = _colours("series", {"Actual": "up", **({told: "expected"} if told else {})}, legend=bool(told))
    layers: list[alt.Chart] = []
    if washed:
        layers.append(alt.Chart(wash).mark_rect(color=LIGHT["wash"], aria=False).encode(x=x, x2="to:T"))
    if told:
        band = alt.Chart(hoped)
        layers.append(
            band.mark_area(opacity=0.22, color=LIGHT["expected"], aria=False).encode(x=x, y=alt.Y("low:Q"), y2="high:Q")
        )
        dashed = band.mark_line(strokeDash=[5, 4], strokeWidth=1.5, aria=False)
        layers.append(dashed.encode(x=x, y=y, color=colour))
    layers += _drawn(actual, dots, x, y, colour)
    return alt.layer(*layers)


def lines(
    days: Sequence[date],
    series: Mapping[str, Sequence[Number | None]],
    *,
    unit: str = "money",
    currency: str = "",
) -> Spec:
    """Draw up to six series over the same days.

    Args:
        days: The days, or first days of weeks or months.
        series: Values of each series by its name; None leaves a gap.

    Raises:
        BadInputError: If there are more series than colours that can be told apart.
    """
    if len(series) > len(SERIES):
        raise BadInputError("Too many lines for one chart", got=len(series), allowed=f"at most {len(SERIES)}")
    say = functools.partial(human, unit=unit, currency=currency)
    rows = [point for name, values in series.items() for point in _points(days, values, name, say)]
    colour = _colours("series", dict(zip(series, SERIES, strict=False)), legend=len(series) > 1)
    seen = [r["value"] for r in rows if r["value"] is not None]
    y = alt.Y("value:Q").title(None).axis(_axis(unit, currency, across=True))
    y = y.scale(domain=_from_zero(seen) or alt.Undefined, nice=True)
    drawn = alt.layer(*_drawn(_data(rows), _dots(len(rows)), _days("day"), y, colour))
    said = " ".join(f"{name}: {_told(days, values, say)}" for name, values in series.items())
    return finished(drawn, said, height=260)


def heatmap(
    rows: Sequence[str],
    columns: Sequence[str],
    cells: Sequence[Sequence[Number | None]],
    *,
    unit: str = "share",
    titles: tuple[str, str] = ("", ""),
) -> Spec:
    """Draw a table of values as shaded cells, such as the retention of cohorts.

    Args:
        rows: Label of each row.
        columns: Label of each column.
        cells: Value of each cell by row and column; None leaves it empty.
        titles: What the rows and the columns are.
    """
    # At most 55 % shade, so that the words read at 4.5 : 1 on every cell in both themes.
    known = [_plain(v) for values in cells for v in values if v is not None]
    top = max((abs(v) for v in known), default=0.0) or 1.0
    drawn = [
        {
            "row": row, "column": column, "text": human(v, unit), "brief": _brief(v, unit),
            "shade": 0.04 + 0.51 * abs(_plain(v)) / top, "kind": "Takes away" if _plain(v) < 0 else "Adds",
            "said": f"{row}, {column}: {human(v, unit)}",
        }
        for row, values in zip(rows, cells, strict=True)
        for column, v in zip(columns, values, strict=True)
        if v is not None
    ]  # fmt: skip
    x = alt.X("column:O").sort(list(columns)).title(titles[1] or None)
    x = x.axis(orient="top", ticks=False, domain=False, labelAngle=0, grid=False)
    y = alt.Y("row:O").sort(list(rows)).title(titles[0] or None).axis(ticks=False, domain=False, grid=False)
    cell = alt.Chart(_data(drawn))
    shade = alt.FillOpacity("shade:Q").scale(domain=[0, 1], range=[0, 1]).legend(None)
    colour = _colours("kind", {"Adds": "up", "Takes away": "down"}, legend=False)
    boxes = cell.mark_rect(stroke=LIGHT["surface"], strokeWidth=2, cornerRadius=3)
    boxes = boxes.encode(x=x, y=y, fillOpacity=shade, color=colour, **_SAID)
    # In cells too narrow for a number whole percents stand, and in yet narrower ones nothing: words do not overlap.
    cell_width = f"width / {len(columns)}"
    words = alt.expr(f"{cell_width} > 34 ? datum.text : {cell_width} > 17 ? datum.brief : ''")
    size = alt.expr(f"{cell_width} > 50 ? 11 : {cell_width} > 34 ? 9 : 8")
    text = cell.mark_text(text=words, fontSize=size, aria=False, color=LIGHT["ink"]).encode(x=x, y=y)
    said = "; ".join(
        f"{row}: " + ", ".join("empty" if v is None else human(v, unit) for v in values)
        for row, values in zip(rows, cells, strict=True)
    )
    return finished(alt.layer(boxes, text), said, height=_ROW * len(rows))


def funnel(stages: Sequence[tuple[str, Number | None]]) -> Spec:
    """Draw the stages of a funnel as bars, each with its size and its share of the stage before.

    Args:
        stages: Name and size of each stage, widest first; None where the source does not say.
    """
    rows = []
    before: float | None = None
    for name, size in stages:
        here = _maybe(size)
        rate = f" · {human(here / before, 'share')} of the stage before" if here is not None and before else ""
        text = human(here, "count") + rate
        rows.append({"label": name, "value": here or 0.0, "text": text, "said": f"{name}: {text}"})
        before = here if here is not None else before
    data = _data(rows)
    y = alt.Y("label:N").sort(None).title(None).axis(_NAMES)
    x = alt.X("value:Q").title(None).axis(None)
    bars = alt.Chart(data).mark_bar(height=14, cornerRadius=2, yOffset=9, color=LIGHT["up"])
    text = alt.Chart(data).mark_text(align="left", dx=1, dy=-9, color=LIGHT["ink"], aria=False)
    layers = alt.layer(bars.encode(y=y, x=x, **_SAID), text.encode(y=y, x=alt.datum(0), text="text:N"))
    said = "; ".join(str(row["said"]) for row in rows)
    return finished(layers, said, height=52 * max(len(rows), 1))


def concentration(points: Sequence[tuple[float, float]]) -> Spec:
    """Draw how much of GMV the best few products bring.

    Args:
        points: Share of the products, best first, and the share of GMV that they bring; both from 0 to 1, rising.
    """
    rows = [
        {"entities": float(a), "total": float(b), "said": f"{human(a, 'share')} of products bring {human(b, 'share')}"}
        for a, b in points
    ]
    x = alt.X("entities:Q").title("Share of products, best first").scale(domain=[0, 1]).axis(_axis("share", ""))
    y = alt.Y("total:Q").title("Share of GMV").scale(domain=[0, 1]).axis(_axis("share", "", across=True))
    curve = alt.Chart(_data(rows))
    even = alt.Chart(_data([{"entities": 0, "total": 0}, {"entities": 1, "total": 1}]))
    layers = alt.layer(
        even.mark_line(strokeDash=[4, 4], strokeWidth=1, color=LIGHT["muted"], aria=False).encode(x=x, y=y),
        curve.mark_area(opacity=0.14, color=LIGHT["up"], aria=False).encode(x=x, y=y),
        curve.mark_line(strokeWidth=2, color=LIGHT["up"], aria=False).encode(x=x, y=y),
        curve.mark_point(filled=True, size=40, opacity=0, color=LIGHT["up"]).encode(x=x, y=y, **_SAID),
    )
    fifth = next((b for a, b in points if a >= 0.2), None)
    said = (
        f"The best fifth of products bring {human(fifth, 'share')} of GMV."
        if fifth is not None
        else "How GMV is spread over products."
    )
    return finished(layers, said, height=260)


def _brief(value: Number, unit: str) -> str:
    """A share in whole percents, for a narrow cell; of any other unit nothing."""
    return f"{value:.0%}" if unit == "share" else ""


def _plain(value: Value) -> float:
    return float(value.mid if isinstance(value, Estimate) else value)


def _maybe(value: Number | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def _ends(value: Value) -> tuple[float, float]:
    return (value.low, value.high) if isinstance(value, Estimate) else (float(value), float(value))


@functools.lru_cache(maxsize=4096)
def _when(day: date) -> str:
    return f"{day:%a} {day.day} {day:%b %Y}"


def _data(rows: Sequence[Mapping[str, Any]]) -> alt.InlineData:
    return alt.InlineData(values=[dict(row) for row in rows])


def _step(label: str, kind: str, ends: tuple[float, float], text: str, n: int) -> dict[str, Any]:
    return {
        "label": label, "kind": kind, "from": ends[0], "to": ends[1], "right": max(ends), "text": text, "n": n,
        "joint": ends[1] if kind == "Total" else ends[0], "said": f"{label}: {text}",
    }  # fmt: skip


def _distinct(labels: Sequence[str]) -> list[str]:
    """Number labels that occur twice: two rows of one name would be drawn on top of each other."""
    seen: dict[str, int] = {}
    result = []
    for label in labels:
        seen[label] = seen.get(label, 0) + 1
        result.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return result


def _room(low: float, high: float, spread: float, *, left: bool) -> alt.Scale:
    """Leave as many pixels as the words beside the bars need, however wide the chart is."""
    step = f"{spread!r} * {_WORDS} / max(width - {_WORDS * (1 + left)}, {_WORDS})"
    begin = alt.ExprRef(f"{low!r} - {step}") if left else low
    return alt.Scale(domainMin=begin, domainMax=alt.ExprRef(f"{high!r} + {step}"), zero=False, nice=False)


def _from_zero(values: Sequence[float]) -> list[float]:
    """Begin at zero unless all that moves would be squeezed into the upper tenth."""
    if not values:
        return []
    low, high = min(values), max(values)
    begin = min(0.0, low) if high - low > 0.1 * max(abs(low), abs(high)) else low
    return [begin, max(high, begin + 1e-9)]


def _axis(unit: str, currency: str, *, across: bool = False) -> alt.Axis:
    """Ticks in the words of `money.human`; lines only where they help to read a height."""
    size = "replace(format(abs(datum.value), abs(datum.value) < 1 ? '.2~f' : '.3~s'), 'G', 'B')"
    prefix = SYMBOLS.get(currency, f"{currency} " if currency else "") if unit == "money" else ""
    label = f"(datum.value < 0 ? '−' : '') + '{prefix}' + {size}"
    if unit == "share":
        label = "format(datum.value, '.3~%')"
    elif unit == "points":
        label = "format(datum.value * 100, '.3~f') + ' pp'"
    return alt.Axis(labelExpr=label, grid=across, domain=not across, ticks=not across)


def _colours(field: str, names: Mapping[str, str], *, legend: bool) -> alt.Color:
    scale = alt.Scale(domain=list(names), range=[LIGHT[colour] for colour in names.values()])
    shown = alt.Legend(orient="top", title=None, symbolType="stroke", symbolStrokeWidth=3, labelLimit=320)
    return alt.Color(f"{field}:N", scale=scale, legend=shown if legend else None)


def _days(field: str) -> alt.X:
    """Days as such: in UTC, so that no reader's clock moves them."""
    month = "utcFormat(datum.value, utcmonth(datum.value) == 0 ? '%b %Y' : '%b')"
    label = f"utcdate(datum.value) == 1 ? {month} : utcFormat(datum.value, '%-d %b')"
    axis = alt.Axis(labelExpr=label, grid=False, tickCount=8, labelFlush=False, labelSeparation=6)
    return alt.X(f"utcyearmonthdate({field}):T").title(None).axis(axis)


def _points(days: Sequence[date], values: Sequence[Number | None], name: str, say: Any) -> list[dict[str, Any]]:
    return [
        {"day": day.isoformat(), "value": _maybe(v), "series": name, "said": f"{_when(day)}, {name}: {say(v)}"}
        for day, v in zip(days, values, strict=True)
    ]


def _dots(count: int) -> float | None:
    """How plainly the dots of so many days are seen; None where they are too many to point at."""
    return (1.0 if count <= 45 else 0.0) if count <= _MOST_POINTS else None


def _drawn(data: alt.InlineData, dots: float | None, x: alt.X, y: alt.Y, colour: alt.Color) -> list[alt.Chart]:
    """A line, and a dot a day to point at where the days are few enough to hit one."""
    chart = alt.Chart(data)
    drawn = [chart.mark_line(strokeWidth=2, aria=False).encode(x=x, y=y, color=colour)]
    if dots is not None:
        points = chart.mark_point(filled=True, size=28 if dots else 60, opacity=int(dots))
        drawn.append(points.encode(x=x, y=y, color=colour, **_SAID))
    return drawn


def _told(days: Sequence[date], values: Sequence[Number | None], say: Any) -> str:
    known = [(day, v) for day, v in zip(days, values, strict=True) if v is not None]
    if not known:
        return "Nothing is known."
    low, high = min(known, key=lambda pair: pair[1]), max(known, key=lambda pair: pair[1])
    return (
        f"{say(known[0][1])} on {_when(known[0][0])}, {say(known[-1][1])} on {_when(known[-1][0])}; "
        f"lowest {say(low[1])} on {_when(low[0])}, highest {say(high[1])} on {_when(high[0])}."
    )
