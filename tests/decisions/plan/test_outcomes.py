"""What single customers and products bring all parties, whoever pays and whatever a store does not tell."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import market
from tradewind.decisions.plan.outcomes import coming, foretelling, outcomes, require_costed, require_discounts
from tradewind.engines.returns import told_until
from tradewind.engines.store import Store, open_store
from tradewind.errors import MissingDataError
from tradewind.measures.assume import Assumptions
from tradewind.period import Period
from tradewind.study import Party

DAY = date(2024, 3, 4)
DAYS = Period(DAY, DAY)


def sold(folder: Path, payer: str, *, ads: bool = False, **more: Any) -> Store:
    """One piece for 100 that cost 60, of which somebody funds 30."""
    noon = datetime.combine(DAY, time(12))
    line = {
        "order_id": "o", "line": 0, "ordered_at": noon, "known_at": noon, "day": DAY, "hour": noon, "customer_id": "c",
        "shop_id": "s", "product_id": "p", "quantity": 1, "unit_price": Decimal(100), "unit_cost": Decimal(60), **more,
    }  # fmt: skip
    off = {"order_id": "o", "line": 0, "n": 0, "payer": payer, "kind": "coupon", "amount": Decimal(30)}
    ad = {"ad_id": "a", "hour": noon, "day": DAY, "payer": payer, "product_id": "p", "spend": Decimal(7)}
    market.write(folder, {"order_lines": [line], "order_discounts": [off], **({"ads": [ad]} if ads else {})})
    return open_store(str(folder))


@pytest.mark.parametrize("payer", ["merchant", "platform", "creator", "brand"])
@pytest.mark.parametrize("told", [{}, {"platform_fee": Decimal(0), "commission": Decimal(0)}])
def test_whoever_funds_a_discount_loses_it(tmp_path: Path, payer: str, told: dict[str, Decimal]) -> None:
    """A buyer paid 70 for what cost 60: all gain 10 together, also where nothing tells what others earn."""
    found = outcomes(sold(tmp_path, payer, **told), "customer", ["c", "nobody"], DAYS)
    assert sum(found.values()).tolist() == [10.0, 0.0]
    assert found[Party(payer)][0] == (10.0 if payer == "merchant" else -30.0)


@pytest.mark.parametrize("payer", ["merchant", "creator", "brand"])
def test_what_is_spent_on_advertising_only_changes_hands(tmp_path: Path, payer: str) -> None:
    found = outcomes(sold(tmp_path, payer, ads=True), "product", ["p"], DAYS)
    assert found[Party.PLATFORM].tolist() == [7.0]
    assert sum(found.values()).tolist() == [10.0]


def test_what_was_sold_before_its_cost_is_known_is_not_read(tmp_path: Path) -> None:
    """Nine of ten days' costs are known, and those of the last day come later: it would seem to sell for nothing."""
    lines = []
    for n in range(100):
        day = DAY - timedelta(days=n)
        noon = datetime.combine(day, time(12))
        lines.append({
            "order_id": f"o{n}", "line": 0, "ordered_at": noon, "known_at": noon, "day": day, "hour": noon,
            "customer_id": "c", "shop_id": "s", "product_id": "p", "quantity": 1, "unit_price": Decimal(100),
            "unit_cost": Decimal(60) if n else None,
        })  # fmt: skip
    market.write(tmp_path, {"order_lines": lines})
    store = open_store(str(tmp_path))
    for unit, name in (("customer", "c"), ("product", "p"), ("shop", "s")):
        with pytest.raises(
            MissingDataError, match=r"no unit cost.*a unit cost on 0\.0+% of 1.*import their unit costs"
        ):
            require_costed(store, unit, [name], DAYS)
        require_costed(store, unit, [name], Period(DAY - timedelta(days=9), DAY - timedelta(days=1)))
        require_costed(store, unit, ["another"], DAYS)
        require_costed(store.assuming(Assumptions(margin=0.3)), unit, [name], DAYS)


def test_what_foretells_is_of_days_before_that_are_all_there(tmp_path: Path) -> None:
    """One piece a day for 100 that cost 60, for 100 days: each window counts its days."""
    lines = []
    for n in range(100):
        day = DAY - timedelta(days=n)
        noon = datetime.combine(day, time(12))
        lines.append({
            "order_id": f"o{n}", "line": 0, "ordered_at": noon, "known_at": noon, "day": day, "hour": noon,
            "customer_id": "c", "shop_id": "s", "product_id": "p", "quantity": 1, "unit_price": Decimal(100),
            "unit_cost": Decimal(60),
        })  # fmt: skip
    market.write(tmp_path, {"order_lines": lines})
    store = open_store(str(tmp_path))
    for length, windows in ((10, [10, 10]), (30, [30, 30, 14]), (45, [45, 14]), (60, [])):
        days = Period(DAY - timedelta(days=length - 1), DAY)
        found = foretelling(store, "product", ["p"], days)
        assert [float(sum(each.values())[0]) for each in found] == [40.0 * count for count in windows]


RETURNED, LAG, LIVED = 4, 30, 120
"""Every fourth order comes back after so many days, of so many days of orders."""
LATE = Period(DAY - timedelta(days=13), DAY)


def returning(folder: Path, until: date, *, named: bool = True, told: int = LAG + LIVED, coupon: bool = True) -> Store:
    """Eight customers buy a piece for 100 that cost 60 each day, of whom half use a coupon for 30 lately.

    Every fourth order comes back whole a month later: its goods are sold again, fee, commission and coupon are taken
    back.

    Args:
        until: The last day that the store knows.
        named: Whether refunds name who gets them.
        told: Days from the first on until which refunds are told.
        coupon: Whether the second half of the customers has a coupon in the last fortnight.
    """
    first = DAY - timedelta(days=LIVED - 1)
    tables: dict[str, list[dict[str, Any]]] = {"order_lines": [], "order_discounts": [], "refunds": []}
    for n in range(LIVED + (until - DAY).days):
        day = first + timedelta(days=n)
        at = datetime.combine(day, time(12))
        for who in range(8):
            line = {"order_id": f"o{n}-{who}", "line": 0}
            used = coupon and who >= 4 and day in LATE
            tables["order_lines"].append({
                **line, "ordered_at": at, "known_at": at, "day": day, "hour": at, "customer_id": f"c{who}",
                "shop_id": "s", "product_id": "p", "quantity": 1, "unit_price": Decimal(100), "unit_cost": Decimal(60),
                "platform_fee": Decimal(5), "commission": Decimal(10),
            })  # fmt: skip
            if used or (who == 0 and n % 2 == 0):
                tables["order_discounts"].append(
                    {**line, "n": 0, "payer": "platform", "kind": "coupon", "amount": Decimal(30 if used else 1)}
                )
            back = day + timedelta(days=LAG)
            if (n + who) % RETURNED == 0 and back <= until and n + LAG <= told:
                gone = Decimal(30 if used else 1 if who == 0 and n % 2 == 0 else 0)
                tables["refunds"].append({
                    **line, "refund_id": f"r{n}-{who}", "quantity": 1, "amount": Decimal(100) - gone,
                    "subsidy_reversed": gone, "fee_reversed": Decimal(5), "commission_reversed": Decimal(10),
                    "restocked": True, "shop_id": "s", "product_id": "p", "day": back,
                    "refunded_at": datetime.combine(back, time(12)), "known_at": datetime.combine(back, time(12)),
                    "hour": datetime.combine(back, time(12)), "customer_id": f"c{who}" if named else None,
                })  # fmt: skip
    market.write(folder, tables)
    return open_store(str(folder))


PEOPLE = [f"c{n}" for n in range(8)]


@pytest.mark.parametrize("named", [True, False])
def test_refunds_count_by_the_order_that_they_undo(tmp_path: Path, named: bool) -> None:
    """However late they come, and whether or not they say who gets them: an order that came back brought nothing."""
    known = returning(tmp_path, DAY + timedelta(days=LAG), named=named)
    joint = sum(outcomes(known, "customer", PEOPLE, LATE).values())
    kept = [14 - len([n for n in range(LIVED - 14, LIVED) if (n + who) % RETURNED == 0]) for who in range(8)]
    assert joint.tolist() == [
        pytest.approx(40 * kept[who] - (30 * kept[who] if who >= 4 else 0), abs=14 if who == 0 else 1e-9)
        for who in range(8)
    ]
    still = coming(known, "customer", PEOPLE, LATE, known.span.last)
    assert still is not None
    assert still.share == pytest.approx(0.0, abs=0.01)


def test_refunds_to_come_are_expected_as_of_older_orders(tmp_path: Path) -> None:
    """On the last day none of the last fortnight's refunds is known: a quarter of what orders brought is taken off."""
    early = returning(tmp_path / "early", DAY)
    still = coming(early, "customer", PEOPLE, LATE, DAY)
    assert still is not None
    assert still.share == pytest.approx(1.0)
    now = outcomes(early, "customer", PEOPLE, LATE)
    less = {party: values - still.less[party] for party, values in now.items()}
    for party, values in now.items():
        assert less[party].sum() == pytest.approx(0.75 * values.sum(), rel=0.1, abs=1)
    assert sum(less.values())[4:].sum() == pytest.approx(0.75 * 4 * 14 * 10, rel=0.1)  # with the coupon, 10 is left


def test_refunds_that_fell_silent_are_not_taken_for_none(tmp_path: Path) -> None:
    late = DAY + timedelta(days=LAG)
    silent = returning(tmp_path, late, told=LIVED - 14)
    assert told_until(silent) == DAY - timedelta(days=13)
    whole = returning(tmp_path / "whole", late)
    assert told_until(whole) >= late - timedelta(days=RETURNED)
    still = coming(silent, "customer", PEOPLE, LATE, told_until(silent))
    assert still is not None
    assert still.share == pytest.approx(1.0)


def test_days_whose_discounts_are_not_there_are_not_read(tmp_path: Path) -> None:
    """What was taken off would count as nothing, and coupons as free."""
    store = returning(tmp_path, DAY)
    require_discounts(store, LATE)
    bare = returning(tmp_path / "bare", DAY, coupon=False)
    require_discounts(bare, LATE)
    rows = bare.table("order_discounts")
    first = DAY - timedelta(days=LIVED - 1)
    kept = rows.filter(rows.order_id.split("-")[0].substr(1).cast("int64") < (LATE.first - first).days)
    cut = bare.write({"order_discounts": kept})
    with pytest.raises(MissingDataError, match="Discounts stop before the days that count are over"):
        require_discounts(cut, LATE)
    require_discounts(cut, Period(first, LATE.first - timedelta(days=1)))
