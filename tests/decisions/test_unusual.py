"""What the fluctuation wing calls unusual: silences and slices beyond chance, and no campaign that came before."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from pathlib import Path

import harbour
import numpy as np
import pytest

from tradewind.decisions.fluctuation import FluctuationSettings, study
from tradewind.decisions.fluctuation.comparison import Leaves

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
    assert first["how"].startswith("Counted: products with stock that are shown 20 times or more in a usual period")
    assert re.search(r"Such silence costs R\$[\d,.]+ in an earlier period", first["how"]), "money has its unit"
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


def leaves(now: list[float], before: list[list[float]]) -> Leaves:
    values = np.array([[now[n], *before[n]] for n in range(len(now))])
    return Leaves({"creator_id": np.array(["k1", "k2", "k3", "k4"])}, {"gmv": values}, bases=4, scale=1.0)


def test_a_burst_like_those_before_is_no_news():
    steady = [[10.0] * 6, [20.0] * 6, [30.0] * 6, [40.0] * 6]
    assert leaves([18, 20, 30, 40], steady).is_news("gmv", {"creator_id": "k1"})
    assert not leaves([10, 20, 30, 40], steady).is_news("gmv", {"creator_id": "k1"})
    bursts = [[10.0] * 6, [20, 20, 45, 20, 20, 20], [30.0] * 6, [40.0] * 6]
    assert not leaves([30, 20, 30, 40], bursts).is_news("gmv", {"creator_id": "k1"}), "another went as far before"
    assert leaves([90, 20, 30, 40], bursts).is_news("gmv", {"creator_id": "k1"})


def test_growth_of_all_is_no_news_of_one():
    before = [[10.0, 9, 8, 7, 6, 5], [20, 18, 16, 14, 12, 10], [30, 27, 24, 21, 18, 15], [40, 36, 32, 28, 24, 20]]
    grown = leaves([20, 40, 60, 80], before)
    assert not any(grown.is_news("gmv", {"creator_id": name}) for name in ("k1", "k4"))


def test_the_whole_is_no_slice_and_few_periods_say_nothing():
    alone = Leaves({"form": np.array(["video"])}, {"gmv": np.array([[5.0, 10, 10, 10, 10]])}, bases=4, scale=1.0)
    assert not alone.is_news("gmv", {"form": "video"})
    assert leaves([30, 20, 30, 40], [[10.0] * 2, [45, 20], [30.0] * 2, [40.0] * 2]).is_news("gmv", {"creator_id": "k1"})
