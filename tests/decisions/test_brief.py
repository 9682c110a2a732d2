"""The brief: as the study counts, in parts that add up, with honest words, in milliseconds."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import harbour
import pytest

import market
from tradewind import charts
from tradewind.decisions.performance import BriefSettings, brief, prepare, study
from tradewind.decisions.performance.brief import Standing
from tradewind.engines.store import Store
from tradewind.errors import BadInputError, MissingDataError, NotFoundError
from tradewind.measures import metrics as m
from tradewind.measures.assume import Assumptions
from tradewind.measures.query import Query
from tradewind.money import cents
from tradewind.period import Period
from tradewind.scope import Scope
from tradewind.study import Estimate, Evidence, Study

WEEK = harbour.LAST_WEEK
MONTH = Period(market.PERIOD.last - timedelta(days=27), market.PERIOD.last)
"""Four weeks of the market, which holds the four before."""
HALF = Period(WEEK.first - timedelta(days=7), WEEK.last)


@pytest.fixture(scope="module")
def quay(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A quiet store in which the last two weeks sell half as much food again, in one shop alone."""

    def plant(line: harbour.Line) -> harbour.Line:
        if line["day"] in HALF and line["product_id"] in ("p2", "p14", "p26"):  # food of shop s2
            line["quantity"] *= 4
        return line

    return harbour.build(tmp_path_factory.mktemp("quay") / "store", plant)


def rows(told: Study, key: str = "headline") -> dict[str, dict[str, Any]]:
    grid = told.finding(key).grid
    assert grid is not None
    return {row["metric"]: dict(row) for row in grid.rows}


def total(values: Iterable[Decimal]) -> Decimal:
    return sum(values, Decimal(0))


@pytest.mark.parametrize("period", [WEEK, HALF, Period(date(2024, 4, 1), date(2024, 4, 30))])
def test_the_headline_is_the_studys(quay: Store, period: Period) -> None:
    theirs = study(quay, period).finding("headline").numbers
    mine = brief(quay, period).finding("headline").numbers
    shared = set(mine) & set(theirs)
    assert {"gmv", "orders", "buyers", "aov"} <= shared
    assert {name: mine[name] for name in shared} == {name: theirs[name] for name in shared}


def test_the_headline_of_the_market_is_the_studys(market_store: Store) -> None:
    theirs = study(market_store, market.PERIOD).finding("headline").numbers
    told = brief(market_store, market.PERIOD)
    mine = told.finding("headline").numbers
    for name in set(mine) & set(theirs):
        assert mine[name] == pytest.approx(theirs[name], rel=1e-12) if isinstance(mine[name], float) else theirs[name]
    assert len(set(mine) & set(theirs)) == 9
    live = market_store.metrics(Query((m.GMV,), market.PERIOD, where={"form": ("live",)})).to_pylist()[0]["gmv"]
    assert mine["gmv_live"] == live


def test_numbers_are_typed_and_verdicts_follow_from_them(quay: Store) -> None:
    found = rows(brief(quay, WEEK))
    assert isinstance(found["gmv"]["value"], Decimal)
    assert isinstance(found["orders"]["value"], int)
    assert isinstance(found["aov"]["value"], float)
    for row in found.values():
        usual = row["usual"]
        assert isinstance(usual, Estimate)
        assert row["verdict"] == (
            "below" if float(row["value"]) < usual.low else "above" if float(row["value"]) > usual.high else "within"
        )
        assert row["change"] == row["value"] - row["before"]
        assert row["better"] in (1, 0, -1)
    assert found["gmv"]["relative"] == pytest.approx(float(found["gmv"]["value"] / found["gmv"]["before"]) - 1)


def test_a_planted_rise_is_above_and_found(quay: Store) -> None:
    told = brief(quay, HALF)
    found = rows(told)
    assert found["gmv"]["verdict"] == "above"
    assert found["aov"]["verdict"] == "above"
    assert found["orders"]["verdict"] != "above"
    reading = told.finding("reading")
    assert "above its usual range" in reading.sentence
    assert "shop Shop 2" in reading.sentence
    assert "items per order" in reading.sentence
    assert 3 <= reading.sentence.count(". ") + 1 <= 5
    assert reading.evidence is Evidence.OBSERVATIONAL  # what is usual is not counted
    assert told.findings[0] is reading
    assert "caus" in reading.note


@pytest.mark.parametrize("against", ["previous", "last-year"])
def test_factors_and_movers_add_up_to_the_change(market_store: Store, against: str) -> None:
    for days in (3, 7, 30):
        period = Period(market.PERIOD.last - timedelta(days=days - 1), market.PERIOD.last)
        told = brief(market_store, period, BriefSettings(against))
        if against == "last-year":
            with pytest.raises(KeyError):
                told.finding("factors")
            assert any("nothing to compare with" in caveat for caveat in told.caveats)
            assert "Not known" in told.finding("reading").sentence
            continue
        gmv = rows(told)["gmv"]
        parts = [row["contribution"] for row in rows(told, "factors").values()]
        assert total(parts) == cents(gmv["value"]) - cents(gmv["before"])
        grid = told.finding("movers").grid
        assert grid is not None
        for dimension in {row["dimension"] for row in grid.rows}:
            alike = [row for row in grid.rows if row["dimension"] == dimension]
            for side in ("value", "before", "change"):
                assert total(row[side] for row in alike) == gmv[side], dimension
            ranked = [abs(row["change"]) for row in alike if not row["others"]]
            assert ranked == sorted(ranked, reverse=True)
        assert {row["dimension"] for row in grid.rows} == {
            "shop_id", "department", "surface", "form", "relation", "creator_id"
        }  # fmt: skip


def test_large_money_is_taken_apart_as_small_money_is(tmp_path: Path) -> None:
    def plant(line: harbour.Line) -> harbour.Line:
        return {**line, "unit_price": cents(line["unit_price"] * 10**11 / 7)} if line["day"] in HALF else line

    store = harbour.build(tmp_path / "store", plant)
    told = brief(store, WEEK)
    gmv = rows(told)["gmv"]
    assert gmv["value"] > 10**14
    assert total(row["contribution"] for row in rows(told, "factors").values()) == gmv["value"] - gmv["before"]


def test_sales_of_no_known_buyer_are_not_taken_apart(tmp_path: Path) -> None:
    def plant(line: harbour.Line) -> harbour.Line:
        return {**line, "customer_id": None} if line["day"] in WEEK else line

    told = brief(harbour.build(tmp_path / "store", plant), WEEK)
    assert "factors" not in {finding.key for finding in told.findings}
    assert any("do not multiply to it" in caveat for caveat in told.caveats)


def test_one_shop_is_as_its_merchant_sees_it(quay: Store) -> None:
    merchant = quay.scoped(Scope.of(["s2"]))
    of_one, own = brief(quay, HALF, BriefSettings(shop="s2")), brief(merchant, HALF)
    assert rows(of_one) == rows(own)
    assert rows(of_one, "factors") == rows(own, "factors")
    assert of_one.title == "How did Shop 2 stand from 6 May to 19 May 2024?"
    grid = own.finding("movers").grid
    assert grid is not None
    assert "shop_id" not in {row["dimension"] for row in grid.rows}  # of one shop nothing is told by naming it
    assert own.provenance.shops == "shop Shop 2 (s2)"


def test_a_merchant_is_told_of_their_own_shops_only(market_store: Store) -> None:
    merchant = market_store.scoped(Scope.of(market.SCOPE))
    told = brief(merchant, MONTH)
    [wanted] = merchant.metrics(Query((m.GMV, m.ORDERS, m.BUYERS, m.MERCHANT_PROFIT), MONTH)).to_pylist()
    numbers = told.finding("headline").numbers
    assert {name: numbers[name] for name in wanted} == wanted
    grid = told.finding("movers").grid
    assert grid is not None
    assert {row["key"] for row in grid.rows if row["dimension"] == "shop_id"} == set(market.SCOPE)
    with pytest.raises(NotFoundError, match="no such shop"):
        brief(merchant, market.PERIOD, BriefSettings(shop="shop-09"))


def test_a_running_period_is_beside_as_many_days(quay: Store) -> None:
    running = Period(date(2024, 5, 1), date(2024, 5, 31))  # the data ends on 19 May
    told = brief(quay, running)
    [past] = quay.metrics(Query((m.GMV,), Period(date(2024, 4, 1), date(2024, 4, 19)))).to_pylist()
    assert rows(told)["gmv"]["before"] == past["gmv"]
    assert any("19 of 31 days are counted" in caveat for caveat in told.caveats)
    assert "after 2024-05-19" in told.finding("reading").sentence


def test_a_short_history_makes_no_range(quay: Store) -> None:
    early = Period(harbour.FIRST + timedelta(days=21), harbour.FIRST + timedelta(days=27))
    told = brief(quay, early)
    assert {row["verdict"] for row in rows(told).values()} == {"unknown"}
    assert all(row["usual"] is None for row in rows(told).values())
    reading = told.finding("reading")
    assert "what is usual is unknown" in reading.sentence
    assert reading.evidence is Evidence.MEASURED
    assert any("What is usual is unknown for GMV" in caveat for caveat in told.caveats)


def test_what_is_usual_never_saw_the_period(tmp_path: Path) -> None:
    """Two stores alike but for the period and after have the same range."""
    plain = harbour.build(tmp_path / "plain")
    first = WEEK.first - timedelta(days=7)

    def plant(line: harbour.Line) -> harbour.Line:
        if line["day"] >= first:
            line["quantity"] *= 9
        return line

    other = harbour.build(tmp_path / "other", plant)
    period = Period(first, first + timedelta(days=6))
    ranges = [{name: row["usual"] for name, row in rows(brief(store, period)).items()} for store in (plain, other)]
    assert ranges[0] == ranges[1]


def test_what_the_source_lacks_is_said(quay: Store, bare_store: Store) -> None:
    told = brief(quay, WEEK)
    assert any(caveat.startswith("Merchants' contribution profit: unknown") for caveat in told.caveats)
    assert "which the source lacks" in told.finding("reading").sentence
    assumed = brief(quay.assuming(Assumptions(margin=0.3)), WEEK)
    assert rows(assumed)["merchant_profit"]["title"].endswith("(assumed)")
    assert any("assumed margin" in caveat for caveat in assumed.caveats)
    bare = brief(bare_store, MONTH)
    assert set(rows(bare)) == {"gmv", "orders", "aov"}
    assert any("not taken apart" in caveat for caveat in bare.caveats)
    with pytest.raises(MissingDataError, match="outside the data"):
        brief(quay, Period(date(2020, 1, 1), date(2020, 1, 7)))
    with pytest.raises(BadInputError, match="compared with"):
        BriefSettings(against="yesterday")


def test_charts_are_drawn_and_all_is_json(market_store: Store) -> None:
    told = brief(market_store, MONTH)
    assert [finding.key for finding in told.findings] == ["reading", "headline", "factors", "movers", "trend"]
    for finding in told.findings[2:]:
        assert finding.chart is not None
        assert "<svg" in charts.svg(finding.chart)
    json.dumps(told.as_dict())


def test_a_year_is_drawn_by_weeks(tmp_path: Path) -> None:
    last = date(2024, 5, 12)
    store = harbour.sold(tmp_path, ({"day": last - timedelta(days=n)} for n in range(800)))
    chart = brief(store, Period(last - timedelta(days=363), last)).finding("trend").chart
    assert chart is not None
    points = [layer["data"]["values"] for layer in chart["layer"] if len(layer.get("data", {}).get("values", ())) > 1]
    assert {row["value"] for row in points[0]} == {700.0}


def test_standings_of_nothing() -> None:
    zero = Standing("gmv", "GMV", "money", Decimal(5), Decimal(0), None, 1)
    assert (zero.change, zero.relative, zero.verdict) == (Decimal(5), None, "unknown")
    none = Standing("aov", "AOV", "money", None, 3.0, Estimate(3.0, 2.0, 4.0), 1)
    assert (none.change, none.relative, none.verdict) == (None, None, "unknown")
    rate = Standing("cvr", "CVR", "share", 0.04, 0.03, Estimate(0.03, 0.02, 0.035), 1)
    assert (rate.relative, rate.verdict) == (None, "above")
    assert rate.change == pytest.approx(0.01)


def test_many_threads_read_the_ground_once(market_folder: Path) -> None:
    from tradewind.engines.store import open_store  # noqa: PLC0415  a store of its own, that nobody has read

    store = open_store(str(market_folder))
    ready = threading.Barrier(6)

    def one(n: int) -> Study:
        ready.wait()
        return brief(store, market.PERIOD)

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(one, range(6)))
    assert all(told == found[0] for told in found)
    assert len(store._panels) == 2


def test_it_takes_milliseconds_once_prepared(quay: Store) -> None:
    prepare(quay)
    taken = []
    for n in range(20):
        period = Period(WEEK.first - timedelta(days=n + 1), WEEK.last - timedelta(days=n + 1))
        start = time.process_time()
        brief(quay, period, BriefSettings(shop="s1" if n % 2 else ""))
        taken.append(time.process_time() - start)
    assert sorted(taken)[len(taken) // 2] < 0.03  # a tenth of one query; with room for a busy machine
