"""The performance wing: totals by hand, honest gaps, and forecasts that say how sure they are."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import harbour
import pytest

import market
from tradewind.decisions.performance import PerformanceSettings, study
from tradewind.engines.store import Store
from tradewind.errors import MissingDataError
from tradewind.measures.assume import Assumptions
from tradewind.money import human
from tradewind.period import Period
from tradewind.scope import Scope
from tradewind.study import Estimate

WEEK = harbour.LAST_WEEK


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return harbour.build(tmp_path_factory.mktemp("harbour") / "store")


def lines_of(store: Store, period: Period) -> list[dict]:
    return [line for line in store.run(store.table("order_lines")).to_pylist() if line["day"] in period]


def worth(lines: Iterable[dict]) -> float:
    return float(sum(line["unit_price"] * line["quantity"] for line in lines))


def said(amount: float) -> str:
    return human(amount, "money", "BRL")


def test_headline_counts_what_was_sold(store: Store):
    numbers = study(store, WEEK).finding("headline").numbers
    lines = lines_of(store, WEEK)
    assert numbers["gmv"] == sum((x["unit_price"] * x["quantity"] for x in lines), Decimal(0))
    assert numbers["orders"] == len({x["order_id"] for x in lines})
    assert numbers["buyers"] == len({x["customer_id"] for x in lines})


def test_concentration_and_movers_by_hand(store: Store):
    told = study(store, WEEK)
    sales: dict[str, float] = {}
    for line in lines_of(store, WEEK):
        sales[line["product_id"]] = sales.get(line["product_id"], 0) + float(line["unit_price"]) * line["quantity"]
    best = sorted(sales.values(), reverse=True)
    assert told.finding("concentration").numbers["top_tenth_share"] == pytest.approx(sum(best[:3]) / sum(best))
    changes = [abs(row["change"]) for row in told.finding("movers").grid.rows]
    assert changes == sorted(changes, reverse=True)


def test_the_outlook_of_a_running_period_holds_what_is_done(tmp_path: Path):
    store = harbour.build(tmp_path)
    running = Period(WEEK.first, WEEK.last + timedelta(days=7))
    found = study(store, running).finding("outlook").numbers["gmv"]
    done = sum(float(x["unit_price"]) * x["quantity"] for x in lines_of(store, WEEK))
    assert isinstance(found, Estimate)
    assert done < found.low < found.mid < found.high
    assert found.mid == pytest.approx(2 * done, rel=0.15)


def test_what_is_unknown_is_said(store: Store):
    caveats = " ".join(study(store, WEEK).caveats)
    assert "Merchants' contribution profit: unknown" in caveats
    assumed = study(store.assuming(Assumptions(margin=0.3)), WEEK)
    assert "break even at a margin" in assumed.finding("headline").note
    assert assumed.provenance.assumptions


def test_sums_over_what_is_partly_known_say_so(market_store: Store):
    assert any("is known for" in caveat for caveat in study(market_store, market.PERIOD).caveats)


def test_a_merchant_sees_only_their_own(store: Store):
    own = study(store.scoped(Scope.of(["s1"])), WEEK).finding("headline").numbers["gmv"]
    assert own == sum(
        (x["unit_price"] * x["quantity"] for x in lines_of(store, WEEK) if x["shop_id"] == "s1"), Decimal(0)
    )


def test_changes_that_the_data_makes_are_not_shown(store: Store, market_store: Store):
    """Near the first day of the data everybody looks new; the youngest orders have refunds still to come."""
    early = Period(harbour.FIRST + timedelta(days=31), harbour.FIRST + timedelta(days=59))
    for period, shown in ((early, False), (WEEK, True)):
        found = study(store, period)
        rows = {row["metric"]: row for row in found.findings[0].grid.rows}
        assert bool(rows["Repeat rate"]["before_change"]) == shown
        assert rows["GMV"]["before_change"]
        assert any("It begins on 2024-01-01" in caveat for caveat in found.caveats) != shown
    rows = {row["metric"]: row for row in study(market_store, market.PERIOD).findings[0].grid.rows}
    assert rows["Refund rate of these orders"]["now"]
    assert rows["Refund rate of these orders"]["before_change"] == ""


def test_a_period_outside_the_data_is_refused(store: Store):
    with pytest.raises(MissingDataError, match="outside the data"):
        study(store, Period(WEEK.last + timedelta(days=30), WEEK.last + timedelta(days=40)))


def test_movers_by_a_chosen_dimension(store: Store):
    found = study(store, WEEK, PerformanceSettings(by="surface")).finding("movers")
    assert found.grid.columns[0].title == "Surface"


def test_refunds_are_shown_both_ways(market_store: Store, market_rows: market.Rows):
    numbers = study(market_store, market.PERIOD).finding("refunds").numbers
    back = [(x, x["amount"] + (x["subsidy_reversed"] or Decimal(0))) for x in market_rows["refunds"]]
    assert numbers["booked"] == sum((amount for x, amount in back if x["day"] in market.PERIOD), Decimal(0))
    sold = {(line["order_id"], line["line"]): line["day"] for line in market_rows["order_lines"]}
    of_orders = sum(float(amount) for x, amount in back if sold.get((x["order_id"], x["line"])) in market.PERIOD)
    assert numbers["of_these_orders_so_far"] == pytest.approx(of_orders)
    expected = numbers["still_expected"]
    assert expected.mid >= 0
    assert expected.low <= expected.mid <= expected.high


def test_a_running_month_is_beside_as_many_days_of_the_month_before(store: Store):
    may, april = (
        lines_of(store, Period(date(2024, 5, 1), date(2024, 5, 19))),  # the data ends on 19 May
        lines_of(store, Period(date(2024, 4, 1), date(2024, 4, 19))),
    )
    told = study(store, Period(date(2024, 5, 1), date(2024, 5, 31)))
    row = told.finding("headline").grid.rows[0]
    assert (row["now"], row["before"]) == (said(worth(may)), said(worth(april)))
    assert row["before_change"] == human(worth(may) / worth(april) - 1, "share", signed=True)
    moved = []
    for n, name in enumerate(harbour.DEPARTMENTS):
        now, before = (worth(x for x in side if int(x["product_id"][1:]) % 3 == n) for side in (may, april))
        moved.append({"name": name.lower(), "before": before, "now": now, "change": now - before})
    moved.sort(key=lambda row: -abs(row["change"]))
    assert [row["change"] < 0 for row in moved].count(True) in (1, 2)  # up and down, so that the order tells
    rows = told.finding("movers").grid.rows
    assert [row["name"].lower() for row in rows] == [row["name"] for row in moved]
    for row, truth in zip(rows, moved, strict=True):
        assert [row[x] for x in ("before", "now", "change")] == pytest.approx(
            [truth[x] for x in ("before", "now", "change")]
        )
    best = sorted((worth(x for x in may if x["product_id"] == f"p{n}") for n in range(30)), reverse=True)
    half = next(n for n in range(1, 31) if sum(best[:n]) >= sum(best) / 2)
    assert told.finding("concentration").numbers["products_for_half"] == half


LAST = Period(date(2024, 5, 6), date(2024, 5, 12))


@pytest.fixture(scope="module")
def quay(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """An order a day for 54 weeks; in the last one two pieces each, more payers of discounts, and steps not taken."""
    sales, discounts, status = [], [], []
    for n, day in enumerate(LAST.last - timedelta(days=back) for back in range(54 * 7)):
        last = day in LAST
        price, pieces = Decimal(100 + 10 * (n % 5) + n // 7), 2 if last else 1
        sales.append({"day": day, "unit_price": price, "quantity": pieces, "platform_fee": price * pieces / 10})
        of = {"order_id": f"o{n}", "line": 0}
        payers = {"platform": 9, "merchant": 4, "brand": 2} if last else {"merchant": 5, "creator": 1}
        discounts += [
            {**of, "n": i, "payer": payer, "kind": "coupon", "amount": Decimal(amount)}
            for i, (payer, amount) in enumerate(payers.items())
        ]
        steps = ["placed", "paid", "paid", "shipped", "delivered"]  # some are paid in two parts
        for step in steps[: (1, 3, 3, 4, 4, 4, 5)[n] if last else 5]:
            at = datetime.combine(day, datetime.min.time()) + timedelta(hours=12 + len(status) % 5)
            status.append({**of, "at": at, "known_at": at, "status": step})
    return harbour.sold(
        tmp_path_factory.mktemp("quay") / "store", sales, order_discounts=discounts, order_status=status
    )


def test_a_week_beside_the_week_and_the_year_before(quay: Store):
    told = study(quay.assuming(Assumptions(margin=0.3)), LAST)
    rows = {row["metric"]: row for row in told.finding("headline").grid.rows}
    gross, gmv, discount = {}, {}, {}
    for side, first in (("now", 0), ("before", 7), ("year", 364)):
        days = [n for n in range(first, first + 7) if n]  # counted from the end; of the last day nothing is paid
        pieces, of_seller, of_all = (2, 4, 15) if side == "now" else (1, 5, 6)
        gross[side] = float(sum(pieces * (100 + 10 * (n % 5) + n // 7) for n in days))
        gmv[side] = gross[side] - of_seller * len(days)
        discount[side] = of_all * len(days) / gross[side]
    for side in ("now", "before", "year"):
        assert rows["GMV"][side] == said(gmv[side])
        assert rows["Discount rate"][side] == human(discount[side], "share")
    for side in ("before", "year"):
        assert rows["GMV"][f"{side}_change"] == human(gmv["now"] / gmv[side] - 1, "share", signed=True)
        points = human(discount["now"] - discount[side], "points", signed=True)
        assert rows["Discount rate"][f"{side}_change"] == points

    payers = {row["payer"]: (row["amount"], row["share"]) for row in told.finding("discounts").grid.rows}
    assert payers == {
        "the platform": (54, pytest.approx(9 / 15)), "sellers": (24, pytest.approx(4 / 15)),
        "brands": (12, pytest.approx(2 / 15)),
    }  # fmt: skip
    steps = [(row["stage"], row["size"], row["of_before"]) for row in told.finding("funnel").grid.rows]
    assert steps == [("Placed", 7, None), ("Paid", 6, 6 / 7), ("Shipped", 4, 4 / 6), ("Delivered", 1, 1 / 4)]

    assert "items per order moved most: from 1 to 2." in told.finding("tree").sentence
    whole = told.finding("tree").grid.rows[0]
    assert (whole["now"], whole["before"]) == (said(gmv["now"]), said(gmv["before"]))

    kept = gmv["now"] - gross["now"] / 10  # less the fees; costs would have to be as much
    assert f"break even at a margin of {human(1 - kept / gross['now'], 'share')}" in told.finding("headline").note
    assert "Merchants' contribution profit (assumed)" in rows
    assert any("contribution profit is computed without" in caveat for caveat in told.caveats)


def test_cohorts_by_hand(tmp_path: Path):
    """Of 20 of January 5 came back, of 10 of February 4; April has only begun, so nobody of March is counted."""
    visits = [
        *((date(2024, 1, 10), f"j{n}") for n in range(20)), *((date(2024, 2, 10), f"j{n}") for n in range(5)),
        *((date(2024, 2, 20), f"f{n}") for n in range(10)), *((date(2024, 3, 5), f"f{n}") for n in range(4)),
        *((date(2024, 3, 9), f"m{n}") for n in range(12)), *((date(2024, 3, 9), f"j{n}") for n in range(9)),
        *((date(2024, 4, 2), f"m{n}") for n in range(6)),
    ]  # fmt: skip
    store = harbour.sold(tmp_path, ({"day": day, "customer_id": who} for day, who in visits))
    found = study(store, Period(date(2024, 3, 1), date(2024, 4, 2))).finding("cohorts")
    assert found.numbers["back_next_month"] == pytest.approx((5 + 4) / (20 + 10))


def test_refunds_still_to_come_by_hand(tmp_path: Path):
    """A tenth of each day's sales comes back on the thirteenth day after, the last of its second week."""
    last = date(2024, 5, 12)
    price = {last - timedelta(days=n): Decimal(100 + 10 * (n % 5)) for n in range(70)}
    refunds = [
        {"refund_id": f"r{n}", "order_id": f"o{n}", "line": 0, "quantity": 1, "amount": paid / 10,
         "refunded_at": at, "known_at": at, "day": at.date(), "hour": at}
        for n, (day, paid) in enumerate(price.items())
        if (at := datetime.combine(day, datetime.min.time()) + timedelta(days=13)).date() <= last
    ]  # fmt: skip
    sales = ({"day": day, "unit_price": paid} for day, paid in price.items())
    store = harbour.sold(tmp_path, sales, refunds=refunds)
    week = Period(last - timedelta(days=13), last - timedelta(days=7))
    found = study(store, week).finding("refunds")
    whole = float(sum(price[day] for day in price if day in week))
    assert found.numbers["of_these_orders_so_far"] == pytest.approx(float(price[week.first]) / 10)
    assert found.numbers["still_expected"].mid == pytest.approx((whole - float(price[week.first])) / 10)
    assert "10.0% within 70 days of the order" in found.sentence


def test_steady_days_go_on_and_odd_days_are_counted(tmp_path: Path):
    """$100 a day, but for two days of the last whole week."""
    last = date(2024, 5, 12)
    odd = {last - timedelta(days=4): Decimal(900), last - timedelta(days=2): Decimal(1)}
    days = [last - timedelta(days=n) for n in range(90)]
    noise = [Decimal(n * 7 % 5) for n in range(90)]
    store = harbour.sold(
        tmp_path / "odd",
        ({"day": day, "unit_price": odd.get(day, 98 + more)} for day, more in zip(days, noise, strict=True)),
    )
    assert study(store, Period(last - timedelta(days=6), last)).finding("trend").numbers["days_outside"] == 2
    steady = harbour.sold(tmp_path / "steady", ({"day": day} for day in days))
    coming = study(steady, Period(last - timedelta(days=6), last)).finding("outlook").numbers["gmv"]
    running = study(steady, Period(last - timedelta(days=3), last + timedelta(days=4))).finding("outlook")
    assert coming.mid == pytest.approx(700, rel=0.02)
    assert running.numbers["gmv"].mid == pytest.approx(800, rel=0.02)


@pytest.mark.parametrize(("before", "why"), [(90, "nothing was sold before"), (9, "history is too short")])
def test_days_without_a_sale_are_no_short_history(tmp_path: Path, before: int, why: str):
    last = date(2024, 5, 12)
    days = [last - timedelta(days=n) for n in range(7 + before)]
    store = harbour.sold(
        tmp_path, ({"day": day, "unit_price": Decimal(100 if n < 7 else 0)} for n, day in enumerate(days))
    )
    found = study(store, Period(last - timedelta(days=6), last))
    assert why in found.finding("trend").sentence
    assert any("28 days since the first sale" in caveat for caveat in found.caveats)


def _refund(n: int, day: date, amount: int) -> dict:
    at = datetime.combine(day, time(13))
    return {
        "refund_id": f"r{n}", "order_id": f"o{n}", "line": 0, "quantity": 1, "amount": Decimal(amount),
        "refunded_at": at, "known_at": at, "day": day, "hour": at,
    }  # fmt: skip


@pytest.mark.parametrize("length", [7, 364])
def test_refunds_booked_so_far_are_not_expected_again(tmp_path: Path, length: int):
    """A tenth of each day's 100 comes back the same day: a tenth came back, and nothing is to come."""
    last = date(2024, 5, 12)
    days = [last - timedelta(days=n) for n in range(400)]
    back = [_refund(n, day, 10) for n, day in enumerate(days)]
    store = harbour.sold(tmp_path, ({"day": day} for day in days), refunds=back)
    found = study(store, Period(last - timedelta(days=length - 1), last)).finding("refunds")
    assert found.numbers["of_these_orders_so_far"] == pytest.approx(10 * length)
    assert found.numbers["still_expected"].mid == pytest.approx(0, abs=1e-6)
    assert "10.0% in the end" in found.sentence


def test_refunds_that_fell_silent_are_no_refunds_of_nought(tmp_path: Path):
    """A tenth of each day's 100 comes back the same day, and the refunds of the last twenty days were not imported."""
    last = date(2024, 5, 12)
    days = [last - timedelta(days=n) for n in range(100)]
    back = [_refund(n, day, 10) for n, day in enumerate(days) if n >= 20]
    store = harbour.sold(tmp_path, ({"day": day} for day in days), refunds=back)
    told = study(store, Period(last - timedelta(days=29), last))
    found = told.finding("refunds")
    assert found.numbers["of_these_orders_so_far"] == 100
    assert found.numbers["still_expected"].mid == pytest.approx(200)
    assert "10.0% within 80 days of the order" in found.sentence
    assert any(f"The last refund is of {last - timedelta(days=20)}" in caveat for caveat in told.caveats)
    before = study(store, Period(last - timedelta(days=49), last - timedelta(days=20)))
    assert not any("The last refund is of" in caveat for caveat in before.caveats)


@pytest.mark.parametrize("ago", [(70, 60, 20), (20,)])
def test_few_refunds_do_not_fall_silent(tmp_path: Path, ago: tuple[int, ...]):
    """The last wait is the longest of few often enough: nothing is said to be missing."""
    last = date(2024, 5, 12)
    days = [last - timedelta(days=n) for n in range(100)]
    store = harbour.sold(tmp_path, ({"day": day} for day in days), refunds=[_refund(n, days[n], 10) for n in ago])
    told = study(store, Period(last - timedelta(days=29), last))
    assert not any("The last refund is of" in caveat for caveat in told.caveats)


def test_a_shop_that_sells_every_third_day_is_heading_for_as_much(tmp_path: Path):
    last = date(2024, 5, 12)
    days = [last - timedelta(days=n) for n in range(140)]
    store = harbour.sold(tmp_path, ({"day": day} for day in days[::3]))
    told = study(store, Period(last - timedelta(days=27), last))
    assert told.finding("outlook").numbers["gmv"].mid == pytest.approx(2800 / 3, rel=0.1)
    assert told.finding("trend").numbers["expected"].mid == pytest.approx(2800 / 3, rel=0.1)


def test_only_lines_without_a_cost_rest_on_the_margin(tmp_path: Path):
    """Three of seven lines cost 50 of 100, the others break even where they lose what the three bring."""
    last = date(2024, 5, 12)
    days = [last - timedelta(days=n) for n in range(100)]
    some = [{"day": day, **({"unit_cost": Decimal(50)} if n % 2 else {})} for n, day in enumerate(days)]
    week = Period(last - timedelta(days=6), last)
    half = study(harbour.sold(tmp_path / "half", some).assuming(Assumptions(margin=0.3)), week).finding("headline")
    assert half.numbers["merchant_profit"] == 4 * 30 + 3 * 50
    assert (
        "break even only if what has no known cost lost 37.5% of its price" in half.note
    )  # 3 × 50 is lost on four lines of 100
    every = [{**line, "unit_cost": Decimal(50)} for line in some]
    known = study(harbour.sold(tmp_path / "known", every).assuming(Assumptions(margin=0.3)), week)
    rows = [row["metric"] for row in known.finding("headline").grid.rows]
    assert "Merchants' contribution profit" in rows
    assert "assumed" not in known.finding("headline").note
    assert known.provenance.assumptions == ()


def test_a_month_without_sales_is_a_month_in_which_nobody_came_back(tmp_path: Path):
    visits = [
        *((date(2024, 1, 10), f"j{n}") for n in range(20)), *((date(2024, 3, 9), f"j{n}") for n in range(10)),
        *((date(2024, 3, 9), f"m{n}") for n in range(20)), *((date(2024, 4, 9), f"m{n}") for n in range(5)),
        (date(2024, 5, 1), "x"),
    ]  # fmt: skip
    store = harbour.sold(tmp_path, ({"day": day, "customer_id": customer} for day, customer in visits))
    found = study(store, Period(date(2024, 4, 1), date(2024, 4, 30))).finding("cohorts")
    assert found.numbers["back_next_month"] == pytest.approx((0 + 5) / (20 + 20))
