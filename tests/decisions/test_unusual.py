"""What the fluctuation wing calls unusual: silences and slices beyond chance, and no campaign that came before."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from pathlib import Path

import harbour
import pytest

from tradewind.decisions.fluctuation import FluctuationSettings, study

WEEK = harbour.LAST_WEEK


def beauty_on_feed_stops(line):
    hit = line["day"] in WEEK and int(line["product_id"][1:]) % 3 == 0 and line["surface"] == "feed"
    return None if hit else line


def monday(week: int) -> date:
    """The first day so many weeks before the last one."""
    return WEEK.first - timedelta(days=7 * week)


def traffic(products: Iterable[str], weeks: Iterable[int], shown: int = 40) -> list[dict]:
    """Impressions of products, so many weeks before the last one, one row a week and product."""
    return [
        {"hour": datetime.combine(monday(week), time(12)), "day": monday(week),
         "shop_id": f"s{int(name[1:]) % 4}", "product_id": name, "surface": "feed", "form": "card", "relation": "own",
         "impressions": shown, "clicks": 4, "carts": 1}
        for week in weeks
        for name in products
    ]  # fmt: skip


def without(*products: str):
    return lambda line: None if line["day"] in WEEK and line["product_id"] in products else line


def test_products_that_are_no_longer_shown_are_named(tmp_path: Path):
    """Four of thirty products are shown every week but the last, and sell nothing in it."""
    gone, names = ("p26", "p27", "p28", "p29"), [f"p{n}" for n in range(30)]
    rows = traffic(names, range(1, 13)) + traffic([name for name in names if name not in gone], [0])
    store = harbour.build(tmp_path, without(*gone), traffic=rows)
    told = study(store, WEEK, FluctuationSettings(against="expected"))
    first = told.finding("causes").grid.rows[0]
    assert first["cause"] == "4 products no longer shown"
    assert set(first["names"].split(", ")) == set(gone)
    lines = store.run(store.table("order_lines")).to_pylist()
    usual = [line for line in lines if monday(4) <= line["day"] < monday(0) and line["product_id"] in gone]
    assert first["amount"] == pytest.approx(-float(sum(line["unit_price"] * line["quantity"] for line in usual)) / 4)
    verdict = told.finding("verdict")
    assert verdict.numbers["unusual"] == 1
    assert "Beyond what chance would give" in verdict.sentence


def test_what_is_silent_every_week_is_not_unusual(tmp_path: Path):
    """Each week another three products are not shown."""
    names = [f"p{n}" for n in range(30)]
    rows = [
        row
        for week in range(13)
        for row in traffic([name for n, name in enumerate(names) if n // 3 != week % 10], [week])
    ]
    told = study(harbour.build(tmp_path, traffic=rows), WEEK, FluctuationSettings(against="expected"))
    silent = [row for row in told.finding("causes").grid.rows if "no longer shown" in row["cause"]]
    assert len(silent) == 1
    assert told.finding("verdict").numbers["unusual"] == 0


def test_a_quiet_week_is_not_unusual_and_a_stopped_slice_is(tmp_path: Path):
    expected = FluctuationSettings(against="expected")
    assert study(harbour.build(tmp_path / "quiet"), WEEK, expected).finding("verdict").numbers["unusual"] == 0
    told = study(harbour.build(tmp_path / "stopped", beauty_on_feed_stops), WEEK, expected)
    assert told.finding("verdict").numbers["unusual"] == 1


def test_campaigns_that_came_before_are_expected(tmp_path: Path):
    """Everything sells twofold on a campaign day, every four weeks, one of which lies in the last week."""
    days = [harbour.FIRST + timedelta(days=n) for n in range(7 * harbour.WEEKS)]
    fair = [day for day in days if (day - WEEK.first).days % 28 == 2]

    def sold(line):
        return {**line, "quantity": line["quantity"] * 2} if line["day"] in fair else line

    rows = [
        {"campaign_id": f"k{n}", "name": "Fair", "kind": "fair", "starts_at": datetime.combine(day, time(12)),
         "ends_at": datetime.combine(day, time(13))} for n, day in enumerate(fair)
    ]  # fmt: skip
    expected = FluctuationSettings(against="expected")
    blind = study(harbour.build(tmp_path / "blind", sold), WEEK, expected).finding("verdict").numbers["expected"]
    knows = study(harbour.build(tmp_path / "knows", sold, campaigns=rows), WEEK, expected).finding("verdict")
    actual = float(knows.numbers["actual"])
    assert abs(knows.numbers["expected"].mid - actual) < 0.4 * abs(blind.mid - actual)
    assert knows.numbers["expected"].low < actual < knows.numbers["expected"].high
