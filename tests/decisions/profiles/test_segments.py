"""Customer segments: who is in which, said a second time by loops, and that nothing is told of few."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import market
from oracles import loops
from tradewind.decisions.profiles import SEGMENTS, listed, profile, segments
from tradewind.decisions.profiles.segments import days_of, members, shown
from tradewind.engines.store import Store, open_store
from tradewind.errors import MissingDataError, NotFoundError
from tradewind.period import Period
from tradewind.scope import Scope

NOW, BEFORE = Period(date(2024, 1, 1), date(2024, 1, 28)), Period(date(2023, 12, 4), date(2023, 12, 31))


def standing(rows: market.Rows, period: Period) -> dict[str, set[str]]:
    """Who is in which segment at a period's end, from the rows alone."""
    after = datetime.combine(period.last + timedelta(days=1), datetime.min.time(), market.ZONE)
    end = after.astimezone(ZoneInfo("UTC")).replace(tzinfo=None)
    paid: dict[tuple, datetime] = {}
    for step in rows["order_status"]:
        if step["status"] == "paid":
            key = (step["order_id"], step["line"])
            paid[key] = min(paid.get(key, step["known_at"]), step["known_at"])
    bought: dict[str, list[tuple[datetime, Decimal]]] = defaultdict(list)
    for line in loops.facts(rows)["sales"]:
        seen = max(line["known_at"], paid[line["order_id"], line["line"]])
        if line["customer_id"] and line["ordered_at"] <= end and seen <= end:
            bought[line["customer_id"]].append((line["ordered_at"], line["gmv"]))
    found: dict[str, set[str]] = {id: set() for id in SEGMENTS}
    spent: dict[str, Decimal] = {}
    for customer, orders in bought.items():
        first, last = min(at for at, _ in orders), max(at for at, _ in orders)
        idle = (end - last) / timedelta(days=1)
        if end - first <= timedelta(days=period.days):
            found["new"].add(customer)
        elif first == last:
            found["once"].add(customer)
        else:
            found["active" if idle < 28 else "lapsing" if idle < 91 else "lost"].add(customer)
        spent[customer] = sum((gmv for at, gmv in orders if end - at < timedelta(days=91)), Decimal(0))
    ranked = sorted((c for c in spent if spent[c] > 0), key=lambda c: (-spent[c], c))
    found["best"] = set(ranked[: -(-len(ranked) // 10)])
    return found


def test_who_is_in_which_segment(market_store: Store, market_rows: market.Rows) -> None:
    told = market_store.run(members(market_store, days_of(market_store, NOW))).to_pylist()
    for slot, period in enumerate((NOW, BEFORE)):
        wanted = standing(market_rows, period)
        for id in SEGMENTS:
            mine = [row["customer_id"] for row in told if row["slot"] == slot and row["segment"] == id]
            assert Counter(mine) == Counter(wanted[id]), (slot, id)


def test_sizes_and_sales(market_store: Store, market_rows: market.Rows) -> None:
    now, before = standing(market_rows, NOW), standing(market_rows, BEFORE)
    sales = loops.facts(market_rows)["sales"]
    gmv: dict[tuple, Decimal] = defaultdict(Decimal)
    buyers: dict[int, set] = {0: set(), 1: set()}
    for line in sales:
        for slot, period in enumerate((NOW, BEFORE)):
            if line["day"] in period and line["customer_id"]:
                gmv[slot, line["customer_id"]] += line["gmv"]
                buyers[slot].add(line["customer_id"])
    compared = 0
    for segment in segments(market_store, NOW):
        size = len(now[segment.id])
        assert segment.size in (size, None)
        assert (segment.size is None) or size == 0 or size >= 5
        assert segment.size_before in (len(before[segment.id]), None)
        if segment.gmv is not None:
            compared += 1
            assert segment.gmv == sum((gmv[0, c] for c in now[segment.id]), Decimal(0))
            assert len(now[segment.id] & buyers[0]) not in range(1, 5)
        back = len(before[segment.id] & buyers[0])
        if segment.back is not None:
            assert segment.back == pytest.approx(back / len(before[segment.id]))
        assert not (segment.gmv_before is not None and segment.gmv_before != sum(gmv[1, c] for c in before[segment.id]))
    assert compared >= 3


def test_a_page_of_each_segment(market_store: Store, market_rows: market.Rows) -> None:
    now = standing(market_rows, NOW)
    sales = [line for line in loops.facts(market_rows)["sales"] if line["day"] in NOW]
    pages = 0
    for segment in segments(market_store, NOW):
        if not segment.size:
            with pytest.raises(MissingDataError, match="Too few"):
                profile(market_store, "segment", segment.id, NOW)
            continue
        pages += 1
        study = profile(market_store, "segment", segment.id, NOW)
        assert study.title == segment.title
        own = [line for line in sales if line["customer_id"] in now[segment.id]]
        people = {line["customer_id"] for line in own}
        keys = {finding.key for finding in study.findings}
        assert segment.gmv is None or len(people) not in range(1, 5)
        if segment.gmv is None or not people:
            assert not keys & {"headline", "weeks", "departments", "surfaces"}
            continue
        numbers = study.finding("headline").numbers
        assert numbers["gmv"] == sum(line["gmv"] for line in own)
        assert numbers["buyers"] == len(people)
        assert numbers["aov"] == pytest.approx(float(numbers["gmv"]) / len({line["order_id"] for line in own}))
        for key, by in (("departments", "department"), ("surfaces", "surface")):
            if key not in keys:
                continue
            grid = study.finding(key).grid
            assert grid is not None
            for row in grid.rows:
                name = None if row[by] == "unknown" else row[by]
                group = [line for line in own if line[by] == name]
                assert row["gmv"] == sum(line["gmv"] for line in group)
                assert row["buyers"] == len({line["customer_id"] for line in group}) >= 5
    assert pages >= 2


def test_no_customer_is_ever_named(market_store: Store, market_rows: market.Rows) -> None:
    ids = {row["customer_id"] for row in market_rows["customers"]}
    for segment in segments(market_store, NOW):
        if segment.size:
            said = str(profile(market_store, "segment", segment.id, NOW).as_dict())
            assert not any(f"'{id}'" in said for id in ids)


def test_what_could_tell_of_few_is_hidden_too() -> None:
    rows = [{"g": n, "buyers": size} for n, size in enumerate((40, 3, 9, 0))]
    assert [row["g"] for row in shown(rows)] == [0, 3], "the 9 go too: the whole less what is shown would be the 3"
    assert shown([{"buyers": 3}, {"buyers": 2}, {"buyers": 9}]) == [{"buyers": 9}], "two hidden ones hide each other"
    assert shown([{"buyers": 5}, {"buyers": 6}]) == [{"buyers": 5}, {"buyers": 6}]


def test_an_unknown_segment_and_a_source_without_customers(market_store: Store, bare_folder: Path) -> None:
    with pytest.raises(NotFoundError, match="There is no such customer segment"):
        profile(market_store, "segment", "whales", NOW)
    bare = open_store(str(bare_folder))
    assert segments(bare, NOW) == ()
    with pytest.raises(NotFoundError):
        profile(bare, "segment", "new", NOW)


def test_a_merchant_has_segments_of_their_own_buyers(market_store: Store) -> None:
    merchant = market_store.scoped(Scope.of(market.SCOPE))
    every = {s.id: s.size for s in segments(market_store, NOW)}
    own = {s.id: s.size for s in segments(merchant, NOW)}
    assert any((own[id] or 0) < (every[id] or 0) for id in SEGMENTS)
    assert {row["segment"] for row in listed(merchant, "segment", NOW).rows} == {id for id in own if own[id]}
