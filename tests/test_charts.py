"""Every chart is valid, says its numbers in words, and renders in both themes without a browser."""

from __future__ import annotations

import itertools
import json
import random
import re
import xml.etree.ElementTree as ET
from datetime import date, timedelta
from decimal import Decimal

import altair as alt
import pytest

from tradewind import charts
from tradewind.charts import drawing, mould
from tradewind.errors import BadInputError
from tradewind.period import Period
from tradewind.study import Estimate

DAYS = [date(2017, 6, 1) + timedelta(days=n) for n in range(30)]
VALUES = [Decimal(100 + n % 7) for n in range(30)]
SPECS = {
    "waterfall": charts.waterfall(
        ("May", Decimal("402000")),
        [("Buyers", Decimal("12000")), ("Price", -4000.5)],
        ("June", 409999.5),
        currency="USD",
    ),
    "waterfall from zero": charts.waterfall(("Before", 10), [("New", -4), ("Old", 9)], ("After", 15), unit="count"),
    "waterfall to nothing": charts.waterfall(("Before", 0), [], ("After", 0)),
    "ranked bars": charts.ranked_bars([("A", Estimate(-5, -8, -1)), ("B", 3), ("B", Decimal("2.5"))], currency="BRL"),
    "no bars": charts.ranked_bars([]),
    "trend": charts.trend(
        DAYS,
        [*VALUES[:-1], None],
        expected=[None] * 20 + [Estimate(103, 95, 111)] * 10,
        period=Period(DAYS[20], DAYS[-1]),
    ),
    "lines": charts.lines(DAYS, {"Feed": VALUES, "Search": VALUES[::-1]}, unit="count"),
    "heatmap": charts.heatmap(["Jan", "Feb"], ["+0", "+1"], [[1, 0.25], [1, None]]),
    "funnel": charts.funnel([("Impressions", 1000), ("Clicks", 30), ("Carts", None), ("Orders", 3)]),
    "concentration": charts.concentration([(0.0, 0.0), (0.2, 0.6), (1.0, 1.0)]),
    "live room": charts.live_room(
        [10, 12, None, 30, 28],
        {"organic joins": [4, 2, None, 1, 0], "paid joins": [0, 0, None, 20, 0], "leaves": [0, 1, 1, 2, 28]},
        {f"Tea {n}": [0, Decimal(n), None, 3.5, 0] for n in range(8)},
        [("Tea 0", 0, 1), ("Tea 7", 2, 2), *((f"Tea {n}", n - 1, 4) for n in range(1, 6)), ("Unsold", 4, 4)],
        [(1, "3 of 5 claimed"), (4, "2 of 5 claimed")],
        currency="GBP",
    ),
    "live room of twelve lanes": charts.live_room(
        [], {}, {}, [(f"Tea {n}", n, n + 1) for n in range(12)], [(n, "5 claimed") for n in range(6)]
    ),
    "live room of viewers": charts.live_room([0, 0, 0], {"leaves": [0, 0, 0]}, {}, [], []),
    "empty live room": charts.live_room([], {}, {}, [], []),
}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_chart_is_valid_vega_lite_and_json(spec: charts.Spec) -> None:
    alt.Chart.from_dict(spec, validate=True)
    assert spec == json.loads(json.dumps(spec, allow_nan=False))
    assert spec["width"] == "container"


@pytest.mark.parametrize("width", [800, 330])
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_chart_renders_as_svg_of_the_width_asked_for(spec: charts.Spec, width: int) -> None:
    root = ET.fromstring(charts.svg(spec, width))
    assert float(root.attrib["width"]) == pytest.approx(width, abs=12)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_chart_fits_into_its_frame(spec: charts.Spec) -> None:
    assert "NaN" not in charts.svg(spec)
    assert "undefined" not in charts.svg(spec)


def test_every_colour_of_a_picture_is_of_the_house() -> None:
    for name, spec in SPECS.items():
        drawn = charts.svg(spec, css=True)
        assert not re.search(r"#[0-9a-f]{3,8}\b", drawn.replace("&#", "")), name


def test_words_and_lines_contrast_with_the_surface() -> None:
    for theme in (0, 1):
        surface = charts.PALETTE["surface"][theme]
        for name in ("ink", "muted", "up", "down", "second", "third", "fourth", "fifth"):
            assert _contrast(charts.PALETTE[name][theme], surface) >= 4.5, (name, theme)


def test_a_chart_says_its_numbers_in_words() -> None:
    assert SPECS["waterfall"]["description"] == "From May, $402k, to June, $410k. Buyers +$12.0k; Price −$4,000"
    assert SPECS["heatmap"]["description"] == "Jan: 100%, 25.0%; Feb: 100%, empty"
    assert SPECS["funnel"]["description"].endswith("Orders: 3 · 10.0% of the stage before")
    assert "60.0%" in SPECS["concentration"]["description"]


def test_numbers_of_narrow_cells_are_short_or_left_out() -> None:
    """Eleven months on a phone leave some 20 pixels to a cell, in which 88.9% would run into its neighbours."""
    months = [str(n) for n in range(1, 12)]
    chart = charts.heatmap(["Jan 2024 (1,983)"], months, [[0.889] * 11])
    wide, phone, tiny = (re.findall(r">(\d[\d.]*%)<", charts.svg(chart, width)) for width in (720, 330, 200))
    assert wide == ["88.9%"] * 11
    assert phone == ["89%"] * 11
    assert tiny == []


def test_the_last_days_of_a_trend_do_not_run_into_each_other() -> None:
    days = [date(2017, 10, 1) + timedelta(days=n) for n in range(92)]
    drawn = charts.svg(charts.trend(days, [1.0 * n for n in range(92)]), 720)
    ends = re.findall(r'text-anchor="(\w+)" transform="translate\(([\d.]+),[^>]*>\d+ Dec<', drawn)
    assert len(ends) > 2
    assert {anchor for anchor, _ in ends} == {"middle"}, "none is pushed towards its neighbour"
    assert all(float(after) - float(before) > 44 for (_, before), (_, after) in itertools.pairwise(ends))


def test_marks_carry_titles_to_point_at() -> None:
    assert "<title>Buyers: +$12.0k</title>" in charts.svg(SPECS["waterfall"])
    assert "<title>Thu 1 Jun 2017, Actual: 100.00</title>" in charts.svg(SPECS["trend"])


def test_the_same_chart_is_the_same_text() -> None:
    assert charts.svg(SPECS["ranked bars"]) == charts.svg(SPECS["ranked bars"])


def test_words_from_outside_are_escaped() -> None:
    drawn = charts.svg(charts.ranked_bars([("<b>Salt & 'Pepper'</b>", 1)]))
    assert "<b>" not in drawn
    ET.fromstring(drawn)


@pytest.mark.parametrize("letter", ["\x0b", "\x1b", "\x00", "\x1f", "\ufffe", "\uffff", "\u202e"])
def test_letters_that_no_picture_can_hold_are_left_out(letter: str) -> None:
    spec = charts.ranked_bars([(f"Tea{letter}House", 1), ("Fine", 2)])
    assert "TeaHouse" in charts.svg(spec)
    assert charts.png(spec)[:4] == b"\x89PNG"


def test_a_waterfall_begins_at_zero_or_says_that_it_does_not() -> None:
    assert "The axis does not begin at zero" in json.dumps(SPECS["waterfall"])
    assert "The axis does not begin at zero" not in json.dumps(SPECS["waterfall from zero"])


def test_days_are_not_moved_by_the_clock_of_the_reader() -> None:
    assert "utcyearmonthdate" in json.dumps(SPECS["trend"])


def test_more_lines_than_colours_are_refused() -> None:
    with pytest.raises(BadInputError, match="at most 6"):
        charts.lines(DAYS, {str(n): VALUES for n in range(7)})


def test_the_parts_of_a_live_room_share_their_minutes() -> None:
    spec = SPECS["live room"]
    assert spec["description"] == (
        "A live session of 5 minutes. Viewers: 20 on average, at most 30 in minute 3. GMV: £56.00, most by Tea 7, "
        "£10.50. Products were pinned 8 times. Coupon drop in minute 1: 3 of 5 claimed. Coupon drop in minute 4: "
        "2 of 5 claimed."
    )
    said = json.dumps(spec, ensure_ascii=False)
    assert "28 leave" in said  # a bar that is not drawn to its end says how long it is
    assert "Minute 3: 30 viewers, 1 organic joins, 20 paid joins, 2 leaves, Tea 0 £3.50" in said
    assert "Minute 2: 1 leaves" in said
    assert "3 more products" in json.dumps(SPECS["live room of twelve lanes"])
    assert "A minute" not in json.dumps(SPECS["live room of viewers"])


@pytest.mark.parametrize("joins", [{"leaves": [1]}, {"gifts": [1, 2]}])
def test_series_of_a_live_room_that_do_not_fit_are_refused(joins: dict[str, list[int]]) -> None:
    with pytest.raises(BadInputError, match="do not fit together"):
        charts.live_room([1, 2], joins, {}, [], [])


def test_a_chart_renders_as_png() -> None:
    assert charts.png(SPECS["lines"]).startswith(b"\x89PNG")


def test_the_bundle_draws_without_a_network() -> None:
    assert "vegaEmbed" in charts.bundle()


def _contrast(a: str, b: str) -> float:
    high, low = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_a_filled_mould_is_what_altair_builds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every shape: rows, numbers and words in their places, whatever the words are."""

    def drawn() -> list[charts.Spec]:
        draw = random.Random(5)
        found = []
        for n in range(24):
            days = [date(2024, 1, 1) + timedelta(days=k) for k in range((1, 5, 30, 60, 250)[n % 5])]
            values = [None if draw.random() < 0.05 else draw.uniform(-5, 100) for _ in days]
            band = [None if k < len(days) // 2 else Estimate(100.0, 90.0, 110.0) for k in range(len(days))]
            period = None if n % 3 else Period(days[len(days) // 2], days[-1])
            expected = band if n % 2 else None
            found.append(charts.trend(days, values, expected=expected, period=period, currency="USD"))
            parts = [
                (f"p{k % 5} \\ {k}", draw.choice((Decimal(draw.randint(-900, 900)) / 100, 3, -2.5)))
                for k in range(n % 7)
            ]
            level = draw.choice((0, 10, 100_000.0))
            found.append(
                charts.waterfall(
                    ('‹said› "Maré" [{"hole": 0}]', level),
                    parts,
                    ("後", level + float(sum(map(float, dict(parts).values())))),
                )
            )
            found.append(charts.ranked_bars([*parts, ("z", Estimate(2, -1, 3))], signed=bool(n % 2), currency="BRL"))
        return found

    by_mould = drawn()
    monkeypatch.setattr(drawing, "filled", mould.built)
    assert by_mould == drawn()


def test_a_filled_chart_belongs_to_its_reader() -> None:
    one = charts.waterfall(("Before", 10), [("New", -4)], ("After", 6))
    one["layer"].clear()
    assert charts.waterfall(("Before", 10), [("New", -4)], ("After", 6))["layer"]
