"""The coupons study: planted answers to coupons are found, appraised and told; what cannot be told is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import quay

import market
from tradewind.decisions.coupons import CouponsSettings, Learnt, answer, learn, study
from tradewind.decisions.coupons.audiences import Group
from tradewind.decisions.coupons.record import PARTIES, read
from tradewind.decisions.coupons.settings import PAYERS
from tradewind.decisions.coupons.worth import DEEP
from tradewind.decisions.plan import Planner
from tradewind.decisions.plan.outcomes import outcomes
from tradewind.engines.store import Store, open_store
from tradewind.errors import BadInputError, MissingDataError
from tradewind.measures.assume import Assumptions
from tradewind.methods.lift import Lift
from tradewind.money import gained, several
from tradewind.period import Period
from tradewind.scope import Scope
from tradewind.study import Action, Assignment, Estimate, Evidence, Lever, Party, Setting, Study, Subject
from tradewind.tables import TABLES

FORTNIGHT = Period(quay.LAST + timedelta(days=1), quay.LAST + timedelta(days=14))
KEEN = [f"c{n:04d}" for n in range(0, 3_000, 2)]
COOL = [f"c{n:04d}" for n in range(1, 3_000, 2)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return quay.build(tmp_path_factory.mktemp("quay") / "store")


@pytest.fixture(scope="module")
def learnt(store: Store) -> Learnt:
    return learn(store, quay.MONTH)


@pytest.fixture(scope="module")
def told(store: Store) -> Study:
    return study(store, quay.MONTH, CouponsSettings(budget=200))


def coupon(name: str, units: list[str], *menu: Setting, days: Period = FORTNIGHT) -> Action:
    settings = menu or (Setting({"face": 2.0, "threshold": 8.0, "platform": 1.0}, {Party.PLATFORM: 1.0}),)
    return Action(name, Lever.COUPON, Subject("customers", name), days, settings, assignment=Assignment(name, units))


def test_what_a_coupon_is_worth_is_found(learnt: Learnt) -> None:
    keen, cool = learnt.appraise([coupon("keen", KEEN), coupon("cool", COOL)])
    for action, kind in ((keen, "keen"), (cool, "cool")):
        joint, truth = action.menu[0].joint, quay.worth(1_500, kind, 14)
        assert joint is not None
        assert joint.low < truth < joint.high, (kind, truth, joint)
    assert keen.menu[0].joint.mid > 0 > cool.menu[0].joint.mid
    assert keen.evidence == Evidence.RANDOMISED
    assert "orders beside" in keen.why


def test_a_mega_campaign_is_not_promised_again(tmp_path: Path, learnt: Learnt) -> None:
    found = learn(quay.build(tmp_path / "mega", mega=quay.WEEKS - 2), quay.MONTH)
    usual = learnt.people.rate.sum()
    assert found.people.rate.sum() == pytest.approx(usual, rel=0.15)
    assert (found.odd, learnt.odd) == (1, 0)


def test_a_campaign_to_come_is_counted_on(tmp_path: Path) -> None:
    """Of the two weeks after the data the last day is 5.5, and four times as many orders came on 1.1 to 4.4."""
    known = learn(quay.build(tmp_path, double=4), quay.MONTH)
    assert known.rush.times == pytest.approx(4, rel=0.1)
    days = Period(quay.LAST + timedelta(days=1), quay.LAST + timedelta(days=14))
    alike = Period(days.first, days.last - timedelta(days=1))
    orders = [known.meeting(2.0, 8.0, each).orders.sum() for each in (alike, days)]
    assert orders[0] == pytest.approx(known.people.rate.sum() * 13, rel=0.25)  # by coupons held anyway
    assert orders[1] / orders[0] == pytest.approx((13 + known.rush.times) / 13, rel=0.02)
    calm = learn(quay.build(tmp_path / "calm"), quay.MONTH)  # a mega day in the base is none of ordinary ones
    assert known.people.rate.sum() == pytest.approx(calm.people.rate.sum(), rel=0.05)
    told = study(open_store(str(tmp_path)), quay.MONTH)
    assert any("2024-05-05" in caveat and "times as much" in caveat for caveat in told.caveats)


def test_parties_add_up_to_the_joint_gain(learnt: Learnt) -> None:
    menu = (
        Setting({"face": 2.0, "threshold": 8.0, "platform": 1.0}, {}),
        Setting({"face": 2.0, "threshold": 8.0, "platform": 0.25, "brand": 0.25}, {}),
        Setting({"face": 2.0, "threshold": 8.0, "platform": 0.0}, {}),
    )
    [action] = learnt.appraise([coupon("keen", KEEN, *menu)])
    for setting in action.menu:
        assert sum(gain.mid for gain in setting.gain.values()) == pytest.approx(setting.joint.mid)
    assert len({round(setting.joint.mid, 6) for setting in action.menu}) == 1  # who pays is a transfer
    paid = [setting.gain[Party.PLATFORM].mid for setting in action.menu]
    assert paid[0] < paid[1] < paid[2]
    assert action.menu[0].gain[Party.BRAND].mid == 0 > action.menu[1].gain[Party.BRAND].mid


def test_actions_come_back_as_they_were_given(learnt: Learnt) -> None:
    given = [
        coupon(f"a{n}", KEEN[n : n + 50], Setting({"face": 2.0, "threshold": 8.0}, {Party.PLATFORM: 7.0}))
        for n in range(5)
    ]
    found = learnt.appraise(given)
    for before, after in zip(given, found, strict=True):
        assert (before.key, before.subject, before.days, before.assignment) == (
            after.key, after.subject, after.days, after.assignment,
        )  # fmt: skip
        assert [(s.dose, s.cost) for s in before.menu] == [(s.dose, s.cost) for s in after.menu]
        assert after.expires == FORTNIGHT.last
        assert after.menu[0].attributed > 0


def test_gains_of_audiences_add_up(learnt: Learnt) -> None:
    whole, one, two = learnt.appraise([coupon("all", KEEN), coupon("one", KEEN[:700]), coupon("two", KEEN[700:])])
    assert whole.menu[0].joint.mid == pytest.approx(one.menu[0].joint.mid + two.menu[0].joint.mid)


def test_nobody_and_strangers_gain_nothing(learnt: Learnt) -> None:
    for units in ([], ["nobody", "known"]):
        joint = learnt.appraise([coupon("none", units)])[0].menu[0].joint
        assert (joint.mid, joint.low, joint.high) == (0.0, 0.0, 0.0)


def test_terms_that_were_not_tried_are_less_sure(learnt: Learnt) -> None:
    menu = tuple(Setting({"face": face, "threshold": 8.0, "platform": 1.0}, {}) for face in (2.0, 2.5, 4.0, 8.0))
    [action] = learnt.appraise([coupon("keen", KEEN, *menu)])
    widths = [s.joint.high - s.joint.low for s in action.menu]
    assert widths == sorted(widths)
    assert widths[2] > 1.5 * widths[0]


def test_a_coupon_nobody_can_use_does_nothing(learnt: Learnt) -> None:
    dear = Setting({"face": 2.0, "threshold": 1e6, "platform": 1.0}, {})
    assert learnt.appraise([coupon("keen", KEEN, dear)])[0].menu[0].joint.mid == pytest.approx(0.0, abs=0.01)


def test_lift_and_use_are_what_the_lot_says(store: Store, learnt: Learnt) -> None:
    """The same by hand: orders of 10 by holders over those of the others, of keen customers."""
    lines = store.run(store.table("order_lines").select("customer_id", "ordered_at", "unit_price")).to_pylist()
    grants = store.run(store.table("coupon_grants").select("coupon_id", "customer_id", "redeemed_order_id")).to_pylist()
    held = {(row["coupon_id"], row["customer_id"]) for row in grants}
    first = quay.datetime.combine(quay.FIRST, quay.UTC_MIDNIGHT)
    counts = np.zeros(2)
    for line in lines:
        week, day = divmod((line["ordered_at"] - first).days, 7)
        if day < quay.DAYS and float(line["unit_price"]) == 10.0 and int(line["customer_id"][1:]) % 2 == 0:
            counts[int((f"u{week:02d}", line["customer_id"]) in held)] += 1
    assert counts[1] / counts[0] - 1 == pytest.approx(1.5, abs=0.45)
    issues = learnt.record.issues
    assert issues.used.sum() == sum(row["redeemed_order_id"] is not None for row in grants)
    assert issues.lot.all()
    assert learnt.effect.use == pytest.approx(1.0, abs=0.03)
    for follow in (learnt.effect.later, learnt.effect.small):
        assert abs(follow.mid) < 3 * follow.deviation


def test_findings_say_who_is_worth_it_and_who_is_left_alone(told: Study) -> None:
    assert [f.key for f in told.findings] == ["worth", "recommended", "anyway", "alone", "curve", "lift"]
    assert all(f.sentence.endswith(".") for f in told.findings)
    best = told.finding("worth").grid.rows[0]
    assert "seen on 8 days or more" in best["audience"]
    assert told.finding("alone").numbers["customers"] > 0
    assert told.finding("worth").chart is not None
    assert told.actions
    assert all(max(s.joint.mid for s in action.menu) > 0 for action in told.actions)
    named = {name for action in told.actions for name in action.assignment.units}
    assert len(named & set(KEEN)) > 0.9 * len(named)
    share = told.finding("anyway").numbers["share"]
    # By hand: who holds one makes 0.07 fitting orders in its days without it, the keen 0.14; it is used on the first.
    rates = quay.RATE * quay.DAYS * np.array(quay.SHARES[1:])
    meets = [(rates * (1 + np.array(lifts[1:]))).sum() for lifts in quay.LIFTS.values()]
    uses = -np.expm1(-np.array(meets))
    planted = float((uses * rates.sum() / np.array(meets)).sum() / uses.sum())
    assert share.mid == pytest.approx(planted, abs=0.05)
    assert 0.01 < share.high - share.low < 0.3
    for row in told.finding("anyway").grid.rows:
        assert 0 <= row["anyway"].low <= row["anyway"].mid <= row["anyway"].high <= 1


def test_the_budget_is_kept_and_more_gains_more(store: Store, told: Study) -> None:
    found = told.finding("recommended")
    assert found.numbers["cost"] <= 200
    free = study(store, quay.MONTH).finding("recommended")
    assert free.numbers["cost"] > found.numbers["cost"]
    assert free.numbers["gain"].mid > found.numbers["gain"].mid
    curve = told.finding("curve").grid.rows
    assert [row["gain"] for row in curve] == sorted(row["gain"] for row in curve)
    assert curve[-1]["gain"] == pytest.approx(free.numbers["gain"].mid)


def test_who_pays_is_as_asked(store: Store) -> None:
    asked = {payer: CouponsSettings(payer=payer, faces=("2/8", "3/12")) for payer in PAYERS}
    found = {payer: study(store, quay.MONTH, settings) for payer, settings in asked.items()}
    for payer, low, high in (("platform", 1.0, 1.0), ("merchant", 0.0, 0.0), ("cofunded", 0.01, 0.99)):
        shares = [row["platform"] for row in found[payer].finding("recommended").grid.rows]
        assert shares
        assert low <= min(shares) <= max(shares) <= high
        assert any("Not known to have been given" in caveat for caveat in found[payer].caveats)
    # Where both may pay, a plan may let one of them pay alone: what all gain is the same to the last digit.
    alone = {payer: {action.key: action.menu for action in found[payer].actions} for payer in PAYERS[:2]}
    for action in found["cofunded"].actions:
        menu = {payer: iter(alone[payer][action.key]) for payer in alone}
        for both, merchant, platform in zip(action.menu[::3], action.menu[1::3], action.menu[2::3], strict=True):
            assert 0 < both.dose["platform"] < 1
            for payer, setting in (("merchant", merchant), ("platform", platform)):
                other = next(menu[payer])
                assert (setting.dose, setting.joint) == (other.dose, both.joint)
                assert setting.cost == pytest.approx(other.cost)
                assert {party: gain.mid for party, gain in setting.gain.items()} == pytest.approx(
                    {party: gain.mid for party, gain in other.gain.items()}
                )


def test_who_pays_is_the_caller_where_nobody_is_named(store: Store) -> None:
    mine = store.scoped(Scope.of(["s0"]))
    for each, payer in ((store, "platform"), (mine, "merchant")):
        found, named = study(each, quay.MONTH), study(each, quay.MONTH, CouponsSettings(payer=payer))
        assert found.settings["payer"] == payer
        assert found.actions == named.actions
        shares = {setting.dose["platform"] for action in found.actions for setting in action.menu}
        assert shares == {1.0 if payer == "platform" else 0.0}


def test_the_best_for_everybody_is_one_coupon(store: Store) -> None:
    """Audiences differ in which coupon costs more."""
    menu = ((2.0, 8.0), (3.0, 12.0), (5.0, 30.0))
    settings = CouponsSettings(faces=tuple(f"{face:g}/{least:g}" for face, least in menu))
    teller = answer._Teller(store, learn(store, quay.MONTH, settings), quay.MONTH, settings)
    doses = [
        [(setting.dose["face"], setting.dose["threshold"]) for setting in action.menu] for action in teller.actions
    ]
    assert len({tuple(each) for each in doses}) > 1
    whole = {
        terms: sum(
            setting.joint.mid for action in teller.actions for setting in action.menu
            if setting.joint and (setting.dose["face"], setting.dose["threshold"]) == terms
        )
        for terms in menu
    }  # fmt: skip
    assert teller.worth().numbers["everybody"] == pytest.approx(max(whole.values()))


def test_budgets_decide_who_pays(store: Store) -> None:
    actions = study(store, quay.MONTH, CouponsSettings(payer="cofunded", faces=("2/8", "3/12"))).actions

    def shares(platform: float, merchant: float) -> tuple[set[float], float]:
        plan = Planner()("p", actions, {Party.PLATFORM: platform, Party.MERCHANT: merchant})
        return {choice.setting.dose["platform"] for choice in plan.choices}, plan.joint.mid

    both, gain = shares(1e6, 1e6)
    assert both, "where there is enough of both budgets, both pay"
    assert all(0 < share < 1 for share in both)
    assert shares(1e6, 1.0) == ({1.0}, pytest.approx(gain))
    assert shares(0.0, 1e6) == ({0.0}, pytest.approx(gain))


def test_what_comes_later_teaches_nothing(store: Store) -> None:
    early = Period(quay.MONTH.first - timedelta(days=28), quay.MONTH.first - timedelta(days=1))
    found = learn(store, early)
    assert found.record.orders.at.max() < found.record.now
    assert int(found.record.issues.end[found.cases.teaching].max()) <= found.record.now
    assert len(found.record.issues) == quay.WEEKS - 4


def test_a_shop_sees_its_own_orders_only(tmp_path: Path) -> None:
    store = quay.build(tmp_path / "two", people=1_500, shops=2)
    mine = learn(store.scoped(Scope(frozenset({"s0"}))), quay.MONTH)
    whole = learn(store, quay.MONTH)
    assert 0.4 < len(mine.record.orders.at) / len(whole.record.orders.at) < 0.6
    # Whoever buys there first after a coupon was given is no case of it: that would be to pick by what came after.
    first = {n: at for n, at in zip(mine.record.orders.customer[::-1], mine.record.orders.at[::-1], strict=True)}
    assert all(
        first[c] < mine.record.issues.start[i] for c, i in zip(mine.cases.customer, mine.cases.issue, strict=True)
    )
    assert any("these shops" in c for c in study(store.scoped(Scope(frozenset({"s0"}))), quay.MONTH).caveats)


def test_both_engines_say_the_same(opened: Callable[[Path], Store], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("engines") / "store"
    here = learn(quay.build(folder, people=600), quay.MONTH)
    there = learn(opened(folder), quay.MONTH)
    for found in (here, there):
        assert found.record.ids == here.record.ids
    joints = [found.appraise([coupon("keen", KEEN)])[0].menu[0].joint for found in (here, there)]
    assert joints[0].mid == pytest.approx(joints[1].mid, rel=1e-6)
    assert joints[0].high == pytest.approx(joints[1].high, rel=1e-6)


def test_the_order_in_which_rows_come_changes_nothing(tmp_path: Path) -> None:
    """Several threads, and engines, bring rows in another order each time; not even a last digit may go by it."""
    store = quay.build(tmp_path / "quay", people=300)
    tables = {name: store.run(store.table(name)).to_pylist() for name in store.manifest.tables}
    pieces = (("0.1", "0.0333"), ("0.3033", "0.0143"), ("7.0091", "0.7"))
    tables["order_lines"] = [
        row | {"line": n, "unit_price": Decimal(price), "unit_cost": Decimal(cost), "platform_fee": Decimal(cost)}
        for row in tables["order_lines"]
        for n, (price, cost) in enumerate(pieces)
    ]
    market.write(tmp_path / "one", tables)
    market.write(tmp_path / "other", {name: rows[::-1] for name, rows in tables.items()})
    one, other = (numbers(read(open_store(str(tmp_path / name)), quay.MONTH)) for name in ("one", "other"))
    assert one == other


def numbers(found: Any) -> Any:
    """Return what is in a record as plain values, arrays byte by byte."""
    if is_dataclass(found):
        return {field.name: numbers(getattr(found, field.name)) for field in fields(found)}
    if isinstance(found, np.ndarray):
        return found.tobytes()
    return [numbers(part) for part in found] if isinstance(found, tuple) else found


def test_the_unit_of_money_changes_nothing(tmp_path: Path) -> None:
    """A power of two scales every number exactly, so that nothing else may move either."""
    store = quay.build(tmp_path / "store", people=600)
    asked = Setting({"face": 2.0, "threshold": 8.0, "platform": 1.0}, {})
    [[before]] = [action.menu for action in learn(store, quay.MONTH).appraise([coupon("keen", KEEN, asked)])]
    dear = {}
    for name in ("order_lines", "order_discounts", "coupons"):
        rows, money = store.table(name), [c.name for c in TABLES[name].stored if c.kind == "money"]
        dear[name] = rows.mutate(**{c: (rows[c] * 128).cast("decimal(18, 4)") for c in money})
    store.write(dear)
    asked = Setting({"face": 256.0, "threshold": 1024.0, "platform": 1.0}, {})
    learnt = learn(open_store(str(tmp_path / "store")), quay.MONTH)
    [[after]] = [action.menu for action in learnt.appraise([coupon("keen", KEEN, asked)])]
    for end in ("low", "mid", "high"):
        assert getattr(after.joint, end) == pytest.approx(128 * getattr(before.joint, end), rel=1e-9)


def test_chances_that_nobody_wrote_down_are_guessed_and_graded_so(tmp_path: Path) -> None:
    store = quay.build(tmp_path / "guess", people=1_500, lot=False, written=False, named=False)
    found = learn(store, quay.MONTH)
    assert found.evidence == Evidence.OBSERVATIONAL
    assert "guessed" in found.cases.odds.sentence
    assert found.record.issues.face == pytest.approx(np.full(quay.WEEKS, quay.FACE))  # as it was taken off
    assert not found.tried


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_coupons_for_who_was_about_to_buy_are_not_credited_with_it(tmp_path: Path, seed: int) -> None:
    """Orders too small for a coupon, which it cannot bring, show that its holders order more anyway."""
    store = quay.build(tmp_path / "hidden", seed=seed, lot=False, written=False, about_to_buy=True)
    found = learn(store, quay.MONTH)
    assert found.cases.hidden == pytest.approx(1.0, abs=0.25)
    whole = Lift(found.cases.block).fit(found.cases.rows).coefficients  # of 1 + κ + (1 + κ) λ, κ the last
    assert found.cases.hidden == whole[-1]
    assert found.fit.coefficients == pytest.approx(whole[:-1] / (1 + whole[-1]))
    for price, lift in zip(quay.PRICES[1:], quay.LIFTS["keen"][1:], strict=True):  # half of the customers are keen
        assert found.typical(quay.FACE / price).mid == pytest.approx(lift / 2, abs=0.4)
    fair = learn(quay.build(tmp_path / "fair", seed=seed, lot=False, written=False), quay.MONTH)
    assert fair.cases.hidden < 0.15
    caveats = study(store, quay.MONTH).caveats
    assert any("more orders too small for it" in caveat for caveat in caveats)


def test_what_was_drawn_by_lot_hides_nothing(learnt: Learnt) -> None:
    assert not learnt.cases.controlled
    assert learnt.cases.hidden == 0


def test_coupons_whose_holders_are_known_only_by_their_use_teach_nothing(tmp_path: Path) -> None:
    """Of the first half of the coupons the store tells only who used one, as Complete Journey of some."""
    store = quay.build(tmp_path / "used", seed=2, people=1_500, lot=False, written=False, by_use=8)
    grants = store.run(store.table("coupon_grants").select("coupon_id", "redeemed_order_id")).to_pylist()
    silent = [row["redeemed_order_id"] for row in grants if row["coupon_id"] < "u08"]
    assert all(silent)
    found = learn(store, quay.MONTH)
    assert len(found.record.issues) == quay.WEEKS - 8
    assert found.record.by_use == (8, len(silent))
    for units, kind in ((KEEN[:750], "keen"), (COOL[:750], "cool")):
        joint = found.appraise([coupon(kind, units)])[0].menu[0].joint
        assert joint.low < quay.worth(750, kind, 14) < joint.high
    # That they had one is known from its use on.
    held = set(zip(*(ends.tolist() for ends in found.record.grants), strict=True))
    used = set(zip(*(ends.tolist() for ends in found.record.uses), strict=True))
    eighth = found.record.issues.start[0]
    assert {(who, at) for who, at in held if at < eighth} == {(who, at) for who, at in used if at < eighth}
    caveats = study(store, quay.MONTH).caveats
    assert any(f"Left out: 8 coupons (those of the same days count as one) with {len(silent):,}" in c for c in caveats)
    with pytest.raises(MissingDataError, match="only who used one is known"):
        learn(quay.build(tmp_path / "all", people=1_500, lot=False, written=False, by_use=quay.WEEKS), quay.MONTH)


def test_coupons_that_customers_took_themselves_teach_nothing(tmp_path: Path) -> None:
    """Of the first half of the coupons holders were about to make a large order, which small orders do not show."""
    store = quay.build(tmp_path / "taken", seed=2, people=1_500, lot=False, written=False, claimed=8)
    found = learn(store, quay.MONTH)
    assert (len(found.record.issues), found.record.issues.claimed) == (quay.WEEKS - 8, 8)
    assert any("Left out: 8 coupons that customers took themselves" in c for c in study(store, quay.MONTH).caveats)
    for units, kind in ((KEEN[:750], "keen"), (COOL[:750], "cool")):
        joint = found.appraise([coupon(kind, units)])[0].menu[0].joint
        assert joint.low < quay.worth(750, kind, 14) < joint.high
    # A store that does not say so, but tells what was dropped in live rooms, comes to the same.
    silent = store.write({"coupon_grants": store.table("coupon_grants").drop("claimed")})
    believed = learn(silent, quay.MONTH)
    assert believed.record.issues.claimed == 0
    assert believed.typical(0.2).mid > found.typical(0.2).mid + 0.3
    start = datetime.combine(quay.FIRST, quay.UTC_MIDNIGHT)
    drops = [{"live_id": "l", "at": start + timedelta(days=7 * n), "coupon_id": f"u{n:02d}"} for n in range(8)]
    dropped = learn(silent.write({"live_drops": market.arrow("live_drops", drops)}), quay.MONTH)
    assert dropped.fit.coefficients == pytest.approx(found.fit.coefficients)
    with pytest.raises(MissingDataError, match="those that customers took themselves"):
        learn(quay.build(tmp_path / "all", people=500, lot=False, written=False, claimed=quay.WEEKS), quay.MONTH)


def test_chances_that_were_written_down_outweigh_who_took_a_coupon(tmp_path: Path) -> None:
    found = learn(quay.build(tmp_path / "written", people=1_000, lot=False, claimed=8), quay.MONTH).record.issues
    assert (len(found), found.claimed) == (quay.WEEKS, 0)


def test_coupons_whose_holders_are_known_are_kept(tmp_path: Path, store: Store, told: Study) -> None:
    """That few had one, or all used it, says nothing against chances that were written down, nor for a handful."""
    assert learn(store, quay.MONTH).record.by_use == (0, 0)
    assert not any("Left out" in caveat for caveat in told.caveats)
    written = quay.build(tmp_path / "written", people=1_500, lot=False, by_use=8)
    assert read(written, quay.MONTH).by_use == (0, 0)
    few = quay.build(tmp_path / "few", people=60, lot=False, written=False, by_use=quay.WEEKS)
    with pytest.raises(MissingDataError, match=r"by the end of the period\. Got"):
        read(few, quay.MONTH)


def test_cost_is_what_was_taken_off(tmp_path: Path) -> None:
    """Where coupons name no face value, the last one took off three times as much, and orders do not always tell."""
    store = quay.build(tmp_path / "taken", people=1_500, named=False)
    rows = store.table("order_discounts")
    last = f"u{quay.WEEKS - 1}"
    kept = rows.filter((rows.coupon_id != "u14") | (rows.order_id.right(1) != "0"))
    kept = kept.filter(kept.coupon_id != "u13")
    dear = kept.mutate(amount=(kept.amount * (kept.coupon_id == last).ifelse(3, 1)).cast("decimal(18, 4)"))
    uses = {row["coupon_id"]: row["uses"] for row in store.run(
        rows.group_by("coupon_id").aggregate(uses=rows.count())).to_pylist()}  # fmt: skip
    seen = {row["coupon_id"]: row["uses"] for row in store.run(
        kept.group_by("coupon_id").aggregate(uses=kept.count())).to_pylist()}  # fmt: skip
    store.write({"order_discounts": dear})
    found = study(open_store(str(tmp_path / "taken")), quay.MONTH).finding("anyway")
    costs = [row["cost"] for row in found.grid.rows]
    assert costs == [2.0 * uses["u12"], None, 2.0 * seen["u14"], 6.0 * uses[last]]
    assert found.numbers["cost"] == sum(cost for cost in costs if cost)
    assert f"of {uses['u13'] + uses['u14'] - seen['u14']} uses they do not" in found.note


def test_whoever_pays_a_coupon_fits_the_same_orders_and_costs_as_much(tmp_path: Path, store: Store) -> None:
    """What merchants pay of it comes off GMV, but neither off what its threshold is held against nor twice."""
    shared = quay.build(tmp_path, merchants=0.4)
    mine, theirs = (read(each, quay.MONTH).orders for each in (store, shared))
    assert theirs.value == pytest.approx(mine.value)
    assert theirs.dearest == pytest.approx(mine.dearest)
    assert theirs.profit == pytest.approx(mine.profit)


def test_an_answer_that_begins_with_how_long_ago_they_bought_is_found(tmp_path: Path) -> None:
    """Only who has not ordered for four weeks answers: orders that fit then come thrice."""
    known = learn(quay.build(tmp_path, lapsed=2.0), quay.MONTH)
    away = np.expm1(known.people.features[:, 2])
    flat, deep = known.cases.looks.parts(known.people.features, known.fit.coefficients)
    depth = float(np.average([quay.FACE / price for price in quay.PRICES[1:]], weights=quay.SHARES[1:])) / DEEP
    lift = flat + deep * depth
    assert np.median(lift[(away >= 28) & (away < 200)]) == pytest.approx(2.0, abs=0.6)
    assert abs(np.median(lift[(away >= 7) & (away < 28)])) < 0.35


def test_a_shops_own_coupon_is_no_discount_of_the_orders_that_another_brings(tmp_path: Path) -> None:
    """Of coupons one is used on an order: whose it was changes neither what orders are worth nor what they fit."""
    orders = [read(quay.build(tmp_path / str(own), merchants=0.5, own=own), quay.MONTH).orders for own in (0, 1)]
    assert orders[0].value == pytest.approx(orders[1].value)
    assert orders[0].profit == pytest.approx(orders[1].profit)


@pytest.mark.parametrize(("on_top", "cost"), [("any", 0.2), ("other", 0.0)])
def test_a_shops_own_coupon_costs_orders_only_where_it_comes_on_top(
    tmp_path: Path, store: Store, on_top: str, cost: float
) -> None:
    """Every fifth order uses one of 1; where it is never used beside one of the marketplace's, that brings none."""
    mine, theirs = (read(each, quay.MONTH).orders for each in (store, quay.build(tmp_path, on_top=on_top)))
    assert theirs.value == pytest.approx(mine.value)
    dearer = mine.profit - theirs.profit
    assert dearer[:, 0].mean() == pytest.approx(cost, rel=0.03, abs=1e-9)
    assert dearer[:, 1:] == pytest.approx(np.zeros_like(dearer[:, 1:]))


@pytest.mark.parametrize("party", [Party.PLATFORM, Party.CREATOR, Party.BRAND])
def test_what_others_take_off_besides_is_theirs_to_pay(tmp_path: Path, store: Store, party: Party) -> None:
    other = quay.build(tmp_path, besides=party.value)
    mine, theirs = (read(each, quay.MONTH).orders for each in (store, other))
    n = PARTIES.index(party)
    assert theirs.value == pytest.approx(mine.value)
    assert mine.profit[:, n] - theirs.profit[:, n] == pytest.approx(mine.value / 4)
    assert np.delete(theirs.profit, n, axis=1) == pytest.approx(np.delete(mine.profit, n, axis=1))
    before, after = (learn(each, quay.MONTH).appraise([coupon("keen", KEEN)])[0].menu[0] for each in (store, other))
    assert before.gain[party].mid - after.gain[party].mid == pytest.approx(before.joint.mid - after.joint.mid)
    assert before.joint.mid - after.joint.mid > 0.1 * abs(before.joint.mid)


@pytest.mark.parametrize("told", [True, False])
def test_what_is_taken_back_of_what_others_gave_is_not_given(tmp_path: Path, told: bool) -> None:
    """A tenth of the orders comes back whole, and with it the platform's quarter, where refunds tell of it."""
    store = quay.build(tmp_path, besides="platform")
    lines = store.run(store.table("order_lines").select("order_id", "ordered_at", "unit_price")).to_pylist()
    back = [line for line in lines if line["order_id"].endswith("0")]
    rows = [
        {"refund_id": f"r{n}", "order_id": line["order_id"], "line": 0, "shop_id": "s0", "quantity": 1,
         "amount": line["unit_price"] * Decimal("0.75"), "refunded_at": line["ordered_at"] + timedelta(days=2),
         "known_at": line["ordered_at"] + timedelta(days=2), "restocked": True,
         **({"subsidy_reversed": line["unit_price"] / 4} if told else {})}
        for n, line in enumerate(back)
    ]  # fmt: skip
    store.write({"refunds": market.arrow("refunds", rows)})
    found = read(open_store(str(tmp_path)), quay.MONTH).orders
    share = found.back[PARTIES.index(Party.PLATFORM)]
    assert share == pytest.approx(-0.025 if told else 0.0, abs=0.003)


def test_one_is_not_told_as_several() -> None:
    assert [several(count, "audience") for count in (0, 1, 2, 1_000)] == [
        "0 audiences", "1 audience", "2 audiences", "1,000 audiences",
    ]  # fmt: skip


def test_a_study_of_one_audience_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    everybody = np.arange(3_000)
    for who in (everybody[::2], everybody[1::2]):
        monkeypatch.setattr(answer, "groups", lambda _, who=who: (Group("one", "they", "they", who),))
        found = study(store, quay.MONTH, CouponsSettings(days=1))
        told = " ".join([*(finding.sentence for finding in found.findings), *found.caveats])
        assert not re.search(r"\b1 (audiences|customers|days|coupons)\b", told), told
        assert "1 day and the two weeks" in told or "No audience is worth a coupon;" in told


@pytest.mark.parametrize("value", [0.0, 0.004, -0.004, Estimate(0.001, -2.0, 2.0)])
def test_a_gain_that_rounds_to_nothing_is_told_in_words(value: float | Estimate) -> None:
    assert gained(value, "USD").startswith("next to nothing")
    assert gained(0.006, "USD") == "+$0.01"
    assert gained(Estimate(-3.0, -5.0, 1.0), "USD") == "−$3.00 (−$5.00 to +$1.00)"


def test_chances_written_down_for_holders_are_reproduced_for_the_others(tmp_path: Path) -> None:
    store = quay.build(tmp_path / "rule", people=1_500, lot=False)
    found = learn(store, quay.MONTH)
    assert found.evidence == Evidence.QUASI_EXPERIMENTAL
    assert found.cases.odds.chance[found.cases.odds.kept] == pytest.approx(0.5, abs=0.06)


def test_a_small_lot_leaves_what_was_guessed_before(tmp_path: Path) -> None:
    """Of the last coupon a lot among a few is known, as after a first launch: the others teach as they did."""
    store = quay.build(tmp_path / "small", written=False)
    rows = store.table("assignments")
    few = rows.filter((rows.experiment_id == f"coupon-{quay.WEEKS - 2}") & (rows.unit_id < "c0300"))
    store.write({"assignments": few})
    found = learn(open_store(str(tmp_path / "small")), quay.MONTH)
    assert found.record.issues.lot.sum() == 300
    assert found.evidence == Evidence.OBSERVATIONAL
    assert len(found.cases.teaching) > 10


def test_why_chances_are_guessed_is_told(tmp_path: Path) -> None:
    found = learn(quay.build(tmp_path / "none", people=1_500, lot=False, written=False), quay.MONTH).cases.odds
    assert (found.how, found.recorded) == ("guess", False)
    assert "Nobody wrote down" in found.sentence
    assert "does not tell them for those who got none" in replace(found, recorded=True).sentence
    assert learn(quay.build(tmp_path / "rule", people=1_500, lot=False), quay.MONTH).cases.odds.recorded


def test_without_costs_a_margin_is_asked_for_and_labelled(tmp_path: Path) -> None:
    store = quay.build(tmp_path / "free", people=1_000, cost=False)
    with pytest.raises(MissingDataError, match=r"--assume margin=0\.3"):
        learn(store, quay.MONTH)
    found = study(store.assuming(Assumptions(margin=0.5)), quay.MONTH)
    assert found.finding("worth").evidence == Evidence.ASSUMED
    assert all(action.evidence == Evidence.ASSUMED and "margin" in action.why for action in found.actions)
    assert found.actions


def test_coupons_left_out_for_want_of_chances_are_counted(tmp_path: Path) -> None:
    found = study(quay.build(tmp_path / "some", people=1_000, lot=False, unwritten=3), quay.MONTH)
    assert any(caveat.startswith("Left out: 3 coupons whose chances nobody wrote down") for caveat in found.caveats)


def test_orders_without_a_cost_are_not_sold_for_nothing(tmp_path: Path) -> None:
    some = quay.build(tmp_path / "some", people=1_000, cost=0.7)
    with pytest.raises(MissingDataError, match="Too many order lines have no unit cost"):
        outcomes(some, "customer", ["c1"], quay.MONTH)
    with pytest.raises(MissingDataError, match=r"no unit cost.*a unit cost on 70\..*--assume margin=0\.3"):
        study(some, quay.MONTH)
    supposed = study(some.assuming(Assumptions(margin=1 - quay.COST)), quay.MONTH).finding("recommended").numbers
    told = study(quay.build(tmp_path / "all", people=1_000), quay.MONTH).finding("recommended").numbers
    assert supposed["gain"].mid == pytest.approx(told["gain"].mid, rel=1e-6)


def test_the_break_even_margin_is_where_the_gain_turns(tmp_path: Path) -> None:
    """Gains are lines in the margin: later and small orders and all."""
    store, gains, told = quay.build(tmp_path / "free", people=1_000, cost=False), {}, {}
    for margin in (0.3, 0.5, 0.7):
        [found] = learn(store.assuming(Assumptions(margin=margin)), quay.MONTH).appraise([coupon("keen", KEEN)])
        gains[margin] = found.menu[0].joint.mid
        told[margin] = float(found.why.split("from a margin of ")[1].split("%")[0])
    assert gains[0.5] == pytest.approx((gains[0.3] + gains[0.7]) / 2)
    even = 0.3 - gains[0.3] * 0.4 / (gains[0.7] - gains[0.3])
    assert all(each == pytest.approx(100 * even, abs=0.051) for each in told.values())


@pytest.mark.parametrize(
    "settings",
    [{"payer": "nobody"}, {"budget": -1.0}, {"budget": float("nan")}, {"days": 0}, {"faces": ("two",)},
     {"faces": ("0/8",)}, {"faces": ("2/-1",)}],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(BadInputError):
        CouponsSettings(**settings)


def test_actions_that_make_no_sense_are_refused(learnt: Learnt) -> None:
    price = Action("p", Lever.PRICE, Subject("product", "p"), FORTNIGHT, (Setting({"off": 0.1}, {}),))
    faceless = coupon("x", KEEN, Setting({"threshold": 8.0}, {}))
    for wrong in (price, faceless, replace(coupon("x", KEEN), days=quay.MONTH)):
        with pytest.raises(BadInputError):
            learnt.appraise([wrong])


def test_a_store_without_coupons_says_what_to_do(bare_folder: Path) -> None:
    bare_store = open_store(str(bare_folder))
    with pytest.raises(MissingDataError):
        study(bare_store.assuming(Assumptions(margin=0.3)), bare_store.span)
    with pytest.raises(MissingDataError, match="outside the data"):
        study(bare_store, Period(quay.date(1999, 1, 1), quay.date(1999, 1, 31)))


def test_moments_told_to_the_microsecond_are_read(market_store: Store) -> None:
    """The market tells of moments a microsecond before a day ends; all that it lacks is a coupon of its own."""
    with pytest.raises(MissingDataError, match="whole marketplace"):
        read(market_store.assuming(Assumptions(margin=0.3)), market_store.span)


def test_neither_the_currency_nor_the_order_of_rows_matters(tmp_path: Path, store: Store, told: Study) -> None:
    """A thousand times the money promises a thousand times as much, to the same, at the same settings."""
    again = study(market.rewritten(store, tmp_path / "store", 1_000), quay.MONTH, CouponsSettings(budget=200_000))
    before, after = market.worth(told), market.worth(again, 1_000)
    assert [key for key, _ in after] == [key for key, _ in before] != []
    for (_, was), (_, now) in zip(before, after, strict=True):
        assert now == pytest.approx(was, rel=1e-6, abs=1e-6)
