"""The planner: known best, a second implementation, rules, interplay, and who loses."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp
from wares import DAYS, C, M, P, clashing, coupon, doses, face, many, off, price, setting, worth

import market
from tradewind.decisions.plan import Planner, rules, study, table
from tradewind.decisions.plan.interplay import Interplay
from tradewind.errors import BadInputError
from tradewind.study import SHARED, Action, Assignment, Estimate, Evidence, Lever, Party, Plan, Subject


def plan(actions: list[Action], budgets: dict[Party, float], *limits: str, **settings: object) -> Plan:
    return Planner(**settings)("test", actions, budgets, rules(limits))


def joint(found: Plan) -> float:
    return sum(choice.setting.joint.mid for choice in found.choices if choice.setting.joint)


def exact(actions: list[Action], budgets: dict[Party, float], most_of_shop: float = np.inf) -> float:
    """The best there is, by branch and bound over every setting of every action."""
    cells = [(n, place, s) for n, action in enumerate(actions) for place, s in enumerate(action.menu)]
    rows = [[1.0 if n == of else 0.0 for n, _, _ in cells] for of in range(len(actions))]
    upper = [1.0] * len(actions)
    for payer, limit in budgets.items():
        rows.append([s.cost.get(payer, 0.0) for _, _, s in cells])
        upper.append(limit)
    for shop in {action.subject.shop for action in actions} - {None}:
        rows.append([sum(s.cost.values()) if actions[n].subject.shop == shop else 0.0 for n, _, s in cells])
        upper.append(most_of_shop)
    gain = np.array([s.joint.mid for _, _, s in cells])
    found = milp(
        -gain, integrality=np.ones(len(cells)), bounds=Bounds(0, 1),
        constraints=LinearConstraint(np.array(rows), ub=upper), options={"mip_rel_gap": 0},
    )  # fmt: skip
    return float(-found.fun)


def test_the_best_is_found_where_it_can_be_seen() -> None:
    actions = [
        price("p1", off(0.1, 5, 10), off(0.2, 12, 14)), price("p2", off(0.1, 4, 1)),
        coupon("new", ["c1", "c2"], face(2.0, 8, 6), face(5.0, 30, 7)), coupon("old", ["c3"], face(2.0, 3, -4)),
    ]  # fmt: skip
    found = plan(actions, {M: 12.0, P: 10.0})
    assert doses(found.choices) == {"price-p1": 1, "coupon-new": 0}
    assert [c.action.key for c in found.choices] == ["price-p1", "coupon-new"]
    assert (found.purses[M].spent, found.purses[P].spent) == (12, 8)
    assert found.total[P].mid == pytest.approx(1.4 - 8)
    reasons = {left.action.key: left.reason for left in found.left_out}
    assert reasons == {"price-p2": "the budget gains more elsewhere", "coupon-old": "no setting is expected to gain"}
    assert found.joint.mid == pytest.approx(joint(found))


@pytest.mark.parametrize("seed", range(6))
def test_agrees_with_branch_and_bound(seed: int) -> None:
    actions = many(seed)
    budgets = {M: 120.0, P: 40.0}
    for cap in (np.inf, 20.0):
        found = plan(actions, budgets, *([] if cap == np.inf else ["shop<=20"]))
        best = exact(actions, budgets, cap)
        assert joint(found) <= best + 1e-6
        assert joint(found) >= best * (1 - 2e-3) - 1e-6
        assert found.gap >= (best - joint(found)) / best - 1e-9
        for payer, limit in budgets.items():
            assert found.purses[payer].spent <= limit * (1 + 1e-9)


def test_rules_hold_and_are_said() -> None:
    actions = many(1)
    found = plan(actions, {M: 200.0, P: 60.0}, "price actions<=5", "coupon<=10%", "shop=s1 actions<=1", "shop<=15%")
    levers = [c.action.lever for c in found.choices]
    assert levers.count("price") <= 5
    assert sum(sum(c.setting.cost.values()) for c in found.choices if c.action.lever == "coupon") <= 26 + 1e-9
    assert sum(c.action.subject.shop == "s1" for c in found.choices) <= 1
    assert found.rules[0].text == "price actions<=5"
    floor = plan(actions, {M: 200.0, P: 60.0}, "shop actions>=2")
    for shop in ("s0", "s1", "s2", "s3"):
        assert sum(c.action.subject.shop == shop for c in floor.choices) >= 2


def test_nobody_gets_two_offers_of_a_lever() -> None:
    a = coupon("a", ["c1", "c2"], face(2.0, 1, 9))
    b = coupon("b", ["c2", "c3"], face(2.0, 1, 8))
    c = coupon("c", ["c4"], face(2.0, 1, 3))
    found = plan([a, b, c], {P: 100.0})
    assert doses(found.choices) == {"coupon-a": 0, "coupon-c": 0}
    assert found.left_out[0].reason == "another action was picked for its customers"


def test_caution_prefers_what_is_sure() -> None:
    actions = [price("wild", off(0.1, 5, 10, wide=40.0)), price("sure", off(0.1, 5, 8, wide=1.0))]
    assert doses(plan(actions, {M: 5.0}).choices) == {"price-wild": 0}
    assert doses(plan(actions, {M: 5.0}, caution=0.5).choices) == {"price-sure": 0}


def test_an_objective_of_one_party_and_rules_for_losers() -> None:
    gives = price("gives", setting({"off": 0.1}, {M: 5.0}, {M: -3.0, C: 10.0}))
    keeps = price("keeps", setting({"off": 0.1}, {M: 5.0}, {M: 2.0, C: -1.0}))
    assert doses(plan([gives, keeps], {M: 20.0}).choices) == {"price-gives": 0, "price-keeps": 0}
    assert doses(plan([gives, keeps], {M: 20.0}, objective="merchant").choices) == {"price-keeps": 0}
    assert doses(plan([gives, keeps], {M: 20.0}, "payers gain").choices) == {"price-keeps": 0}
    assert not plan([gives, keeps], {M: 20.0}, "all gain").choices


def test_an_objective_that_no_choice_names_is_answered() -> None:
    found = plan([price("p1", off(0.1, 5, 10))], {M: 20.0}, "price actions>=1", objective="brand")
    said = study(found, market.PROVENANCE, DAYS.first, {})
    assert "the brand R$0.00" in next(each for each in said.findings if each.key == "plan").sentence


def test_what_is_lost_at_a_discount_goes_by_the_product_wherever_a_shop_is_not_told() -> None:
    rate = setting({"rate": 0.2, "platform": 0.0}, {M: 10.0}, {M: 20.0}, attributed=1_000.0)
    for own, other, depth, lost in (
        ("s1", "s1", 0.3, 300.0), (None, "s1", 0.3, 300.0), ("s1", None, 0.3, 300.0), ("s2", "s1", 0.3, 0.0),
        ("s1", "s1", -0.2, 0.0),
    ):  # fmt: skip
        paid = Action("commission-p1", Lever.COMMISSION, Subject("product", "p1", other), DAYS, (rate,))
        found = Interplay([price("p1", off(depth, 5, 10), shop=own), paid], {}).losses(np.array([0, 0]))
        assert found.tolist() == [0.0, lost]


@pytest.mark.parametrize("seed", range(12))
def test_what_choices_take_from_each_other_is_weighed_on_both_sides(seed: int) -> None:
    """Beside every plan there is, and along a budget: more of it never leaves less."""
    actions, sales = clashing(seed)
    meeting, table_of = Interplay(actions, sales), [len(action.menu) for action in actions]
    best = 0.0
    for places in itertools.product(*(range(-1, size) for size in table_of)):
        chosen = [(action, place) for action, place in zip(actions, places, strict=True) if place >= 0]
        gain = sum(action.menu[place].joint.mid for action, place in chosen)
        best = max(best, gain - meeting.losses(np.array(places)).sum())
    found = [Planner()("x", actions, {M: limit, P: 10.0}, (), sales).joint.mid for limit in (20.0, 40.0, 80.0, 1e6)]
    assert found[-1] >= 0.97 * best
    assert found[-1] <= best + 1e-6
    assert all(after >= 0.995 * before for before, after in itertools.pairwise(found))


def test_a_choice_that_gains_less_never_keeps_out_one_that_gains_more() -> None:
    cut = price("p1", off(0.5, 1, 50 / 1.1, attributed=1000.0))
    offers = [coupon(f"c{n}", [f"c{n}"], face(2.0, 1, 100, attributed=220.0)) for n in range(20)]
    for some in (offers[:1], offers):  # each loses 110 beside the lower price, which gains 50
        found = Planner()("x", [cut, *some], {M: 10.0, P: 100.0}, (), {None: 1000.0, "s1": 1000.0})
        assert set(doses(found.choices)) == {action.key for action in some}
        assert found.joint.mid == pytest.approx(100 * len(some))


def test_more_of_a_budget_gains_no_less_where_a_commission_meets_a_lower_price() -> None:
    cut = price("p1", off(0.2, 20, 30 / 1.1, attributed=1500.0))
    rate = setting({"rate": 0.2, "platform": 0.0}, {M: 10.0}, {M: 70.0}, attributed=450.0)
    paid = Action("commission-p1", Lever.COMMISSION, Subject("product", "p1", "s1"), DAYS, (rate,))
    for limit in (15.0, 40.0):
        found = Planner()("x", [cut, paid], {M: limit}, (), {None: 5000.0, "s1": 5000.0})
        assert found.joint.mid == pytest.approx(70.0)


def at_odds(seed: int) -> tuple[list[Action], dict[Party, float], dict[str | None, float]]:
    """Prices, coupons and commissions that take much of what they gain from each other, drawn at random."""
    draw = np.random.default_rng(seed).uniform
    actions: list[Action] = []
    for n in range(3):
        actions.append(price(f"p{n}", off(draw(0.1, 0.5), draw(10, 150), draw(20, 180), draw(100, 800))))
        offer = face(2.0, draw(10, 150), draw(20, 200), draw(100, 900))
        actions.append(coupon(f"c{n}", [f"c{n}"], offer))
        dose = {"rate": 0.2, "platform": 0.0}
        rate = setting(dose, {M: draw(10, 100)}, {M: draw(20, 200)}, draw(100, 900))
        actions.append(Action(f"commission-p{n}", Lever.COMMISSION, Subject("product", f"p{n}", "s1"), DAYS, (rate,)))
    return actions, {P: draw(50, 300), M: draw(50, 400)}, {None: 1500.0, "s1": 1500.0}


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("rule", ["", "all gain", "shop<=25%"])
def test_where_choices_are_at_odds_the_best_plan_is_found_and_the_gap_bounds_it(seed: int, rule: str) -> None:
    """Beside every plan there is."""
    actions, budgets, sales = at_odds(seed)
    meeting, best = Interplay(actions, sales), 0.0
    cost = {payer: np.array([action.menu[0].cost.get(payer, 0.0) for action in actions]) for payer in budgets}
    gain, mine = (np.array([each(action.menu[0]) for action in actions]) for each in (
        lambda one: one.joint.mid, lambda one: one.gain[M].mid))  # fmt: skip
    loses = np.array([min(value.mid for value in action.menu[0].gain.values()) < 0 for action in actions])
    own = np.array([action.subject.shop == "s1" for action in actions])
    for places in itertools.product((-1, 0), repeat=len(actions)):
        some = np.array(places) == 0
        if any(spent[some].sum() > budgets[payer] for payer, spent in cost.items()):
            continue
        if rule == "shop<=25%" and sum(cost.values())[some & own].sum() > 0.25 * sum(budgets.values()):
            continue
        lost = meeting.losses(np.array(places))
        if rule == "all gain" and (some & (loses | (mine < lost))).any():
            continue
        best = max(best, float((gain - lost)[some].sum()))
    found = Planner()("x", actions, budgets, rules([rule] if rule else []), sales)
    assert 0.97 * best <= found.joint.mid <= best + 1e-6
    assert best <= found.joint.mid / (1 - found.gap) + 1e-6


def test_interplay_never_adds_to_a_gain() -> None:
    actions = [price("p1", off(0.5, 1, 10, attributed=-400.0)), coupon("c", ["c"], face(2.0, 1, 10, attributed=-100.0))]
    meeting = Interplay(actions, {None: 1000.0, "s1": 1000.0})
    assert not meeting.losses(np.array([0, 0])).any()
    assert not meeting.tolls(np.array([0, 0])).any()


def test_tolls_are_what_a_setting_takes_at_the_margin() -> None:
    actions, sales = clashing(3)
    meeting = Interplay(actions, sales)
    for places in (np.array([1, -1, 0, -1, 0, 0, -1, 0]), np.array([1, -1, 0, -1, 0, 0, 0, 0])):
        tolls = meeting.tolls(places)
        for number in np.flatnonzero(places < 0).tolist():
            for place in range(len(actions[number].menu)):
                other = places.copy()
                other[number] = place
                more = meeting.losses(other).sum() - meeting.losses(places).sum()
                assert tolls[number, place] == pytest.approx(more)


def test_what_other_shops_gain_stands_beside_the_parties_so_that_all_adds_up() -> None:
    action = price("p1", off(0.1, 5, 10))
    apart = replace(action.menu[0], joint=worth(8.0))  # the parties gain 11, products of other shops lose 3
    for menu, elsewhere in ((action.menu[0], None), (apart, -3.0)):
        found = study(plan([replace(action, menu=(menu,))], {M: 5.0}), market.PROVENANCE, DAYS.first, {})
        rows = next(each for each in found.findings if each.key == "parties").grid.rows
        gains = {row["party"]: row["gain"] for row in rows}
        assert gains.get("elsewhere") == (elsewhere if elsewhere is None else pytest.approx(elsewhere))
        assert sum(gains.values()) == pytest.approx(2 * gains["all together"])


def test_a_coupon_on_marked_down_products_earns_less() -> None:
    cut = price("p1", off(0.5, 10, 30, attributed=400.0))
    offer = coupon("all", ["c1"], face(2.0, 5, 20, attributed=100.0))
    alone = Planner()("x", [offer], {P: 10.0, M: 10.0}, (), {None: 1000.0, "s1": 1000.0})
    both = Planner()("x", [cut, offer], {P: 10.0, M: 10.0}, (), {None: 1000.0, "s1": 1000.0})
    assert alone.interplay == {}
    # 400 of 1000 is sold at half the price: of 100 credited, 100 × 0.4 × 0.5 is lost at most
    assert both.interplay == {"coupon-all": pytest.approx(20.0)} or doses(both.choices) == {"price-p1": 0}
    assert both.joint.mid == pytest.approx(33.0)
    small = coupon("all", ["c1"], face(2.0, 5, 20, attributed=10.0))
    both = Planner()("x", [cut, small], {P: 10.0, M: 10.0}, (), {None: 1000.0, "s1": 1000.0})
    assert both.interplay == {"coupon-all": pytest.approx(2.0)}
    assert both.joint.mid == pytest.approx(33.0 + 20.0 - 2.0)


def test_a_promise_before_calibration_bears_what_choices_take_from_each_other_too() -> None:
    cut = price("p1", off(0.5, 10, 30, attributed=400.0))
    actions = [cut, coupon("all", ["c1"], face(2.0, 5, 20, attributed=10.0))]
    budgets, sales = {P: 10.0, M: 10.0}, {None: 1000.0, "s1": 1000.0}
    first = Planner()("x", actions, budgets, (), sales)
    later = Planner()("x", actions, budgets, (), sales, {action.key: action for action in actions})
    assert first.interplay == {"coupon-all": pytest.approx(2.0)}
    assert later.raw == {choice.action.key: choice.setting for choice in first.choices}


MET = {None: 1000.0, "s1": 1000.0}  # 400 of it is sold at half the price by what follows
CUT = price("p1", off(0.5, 10, 30, attributed=400.0))


def test_rules_and_the_least_gain_hold_after_what_choices_take_from_each_other() -> None:
    mine = setting({"face": 2.0, "threshold": 8.0, "platform": 0.0, "brand": 0.0}, {M: 1.0}, {M: 1.0, P: 30.0}, 20.0)
    offer = coupon("all", ["c1"], mine)  # beside the lower price the merchant, who pays for it, loses 4 of its 1
    found = Planner()("x", [CUT, offer], {M: 20.0}, (), MET)
    assert set(doses(found.choices)) == {"price-p1", "coupon-all"}
    for limits in (["payers gain"], ["all gain"]):
        found = Planner()("x", [CUT, offer], {M: 20.0}, rules(limits), MET)
        assert all(value.mid >= 0 for choice in found.choices for value in choice.setting.gain.values())
        assert joint(found) == pytest.approx(33.0)  # 31 of the coupon alone, 33 of the price alone
    small = coupon("all", ["c1"], face(2.0, 5, 5.0, attributed=20.0))
    found = Planner(least=2.0)("x", [CUT, small], {M: 20.0, P: 20.0}, (), MET)
    assert set(doses(found.choices)) == {"price-p1"}  # 5 less 4 is under 2


def test_who_does_not_bear_what_meets_a_lower_price_plans_without_it() -> None:
    gives = setting({"face": 2.0, "threshold": 8.0, "platform": 1.0, "brand": 0.0}, {P: 1.0}, {M: 3.0, C: 2.0}, 20.0)
    cut = price("p1", setting({"off": 0.5}, {M: 1.0}, {M: 30.0, C: 3.0}, attributed=400.0))
    found = Planner(objective="creator")("x", [cut, coupon("all", ["c1"], gives)], {M: 9.0, P: 9.0}, (), MET)
    assert set(doses(found.choices)) == {"price-p1", "coupon-all"}
    assert found.total[C].mid == pytest.approx(5.0)


def test_a_party_that_an_action_does_not_touch_gains_nothing_by_it() -> None:
    brand = Party.BRAND
    touches = price("touches", setting({"off": 0.1}, {M: 1.0}, {M: 1.0, brand: 4.0}))
    found = plan([touches, price("other", off(0.1, 1, 50))], {M: 9.0}, objective="brand")
    assert doses(found.choices) == {"price-touches": 0}
    assert found.total[brand].mid == pytest.approx(4.0)


def test_a_floor_takes_no_more_of_what_gains_little_than_it_asks_for() -> None:
    actions = [price(f"p{n}", off(0.1, 1, 0.2 + n / 100)) for n in range(20)] + [price("big", off(0.1, 1, 9))]
    found = Planner(least=1.0)("x", actions, {M: 50.0}, rules(["price actions>=1"]))
    assert set(doses(found.choices)) == {"price-big"}
    found = Planner(least=1.0)("x", actions, {M: 50.0}, rules(["price actions>=3"]))
    assert set(doses(found.choices)) == {"price-big", "price-p19", "price-p18"}
    reason = next(left.reason for left in found.left_out if left.action.key == "price-p0")
    assert "too little to be worth the trouble" in reason


def test_a_floor_takes_what_gains_less_than_is_worth_the_trouble() -> None:
    actions = [price("big", off(0.1, 1, 50)), price("tiny", off(0.1, 1, 0.2), shop="s2")]
    assert set(doses(Planner(least=1.0)("x", actions, {M: 9.0}, ()).choices)) == {"price-big"}
    found = Planner(least=1.0)("x", actions, {M: 9.0}, rules(["shop actions>=1"]))
    assert set(doses(found.choices)) == {"price-big", "price-tiny"}


def test_a_share_of_no_budget_is_reached_by_doing_nothing() -> None:
    assert not plan([price("p1", off(0.1, 5, 10))], {M: 0.0}, "price>=5%").choices


def test_one_more_unit_of_no_budget_is_worth_what_a_plan_with_it_gains() -> None:
    actions = [price("a", off(0.1, 1e-5, 0.5)), price("b", off(0.1, 4.0, 80.0)), price("c", off(0.1, 0.9, 3.0))]
    for limit in (0.0, 1e-9):
        found = plan(actions, {M: limit})
        assert not found.choices
        more = plan(actions, {M: limit + 1})
        assert found.purses[M].worth == pytest.approx(joint(more)) == pytest.approx(1.1 * 3.5)


def test_a_plan_of_one_party_by_which_all_together_lose_says_so() -> None:
    gives = price("gives", setting({"off": 0.3}, {M: 5.0}, {M: -30.0, P: 8.0}))
    found = plan([gives, coupon("won", ["c1"], face(2.0, 1.0, 3.0))], {M: 9.0}, objective="platform")
    assert doses(found.choices) == {"price-gives": 0}
    told = {each.key: each for each in study(found, market.PROVENANCE, DAYS.first, {}).findings}
    assert "All together lose by the plan" in told["losers"].note
    assert "most of it by price" in told["levers"].sentence


def test_what_is_left_out_is_told_at_the_setting_whose_gain_stands_beside() -> None:
    unsure, sure = off(0.3, 2, 12, wide=30.0), off(0.1, 2, 8, wide=1.0)
    found = plan([price("x", unsure, sure)], {M: 0.0}, caution=1.0)
    left = next(each for each in study(found, market.PROVENANCE, DAYS.first, {}).findings if each.key == "left-out")
    assert "10% off" in left.grid.rows[0]["what"]
    assert left.grid.rows[0]["gain"] == pytest.approx(sure.joint.mid)


def test_lists_that_are_cut_say_so_and_sums_have_their_intervals() -> None:
    losing = [price(f"p{n}", setting({"off": 0.1}, {M: 1.0}, {M: 9.0, C: -1.0})) for n in range(50)]
    few, all_of_them = (
        {each.key: each for each in study(plan(losing[:n], {M: 1.0}), market.PROVENANCE, DAYS.first, {}).findings}
        for n in (10, 50)
    )
    assert not few["left-out"].note
    assert all_of_them["left-out"].note == "Listed are the 40 that would gain most."
    assert all_of_them["parties"].sentence.startswith(
        "The merchant gains R$9.00 (R$7.00 to R$11.00), the creator loses "
    )
    assert all_of_them["parties"].sentence.endswith("R$1.00 (−R$1.00 to R$3.00).")
    found = {each.key: each for each in study(plan(losing, {M: 99.0}), market.PROVENANCE, DAYS.first, {}).findings}
    assert len(found["losers"].grid.rows) == 20
    assert "Listed are the 20 largest of 50 losses." in found["losers"].note
    budgets = all_of_them["budgets"]
    assert "one more BRL is worth about R$8.00" in budgets.sentence
    assert next(column for column in budgets.grid.columns if column.name == "worth").unit == "money"


def test_the_worth_of_a_budget_is_what_more_of_it_gains() -> None:
    actions = many(3, 400)
    less, more = (plan(actions, {M: amount, P: 1000.0}) for amount in (300.0, 330.0))
    slope = (joint(more) - joint(less)) / 30
    assert less.purses[M].worth == pytest.approx(slope, rel=0.25)


def test_a_whole_town_is_planned_within_its_rules_and_near_the_bound() -> None:
    actions = many(4, 6000)
    found, more = (plan(actions, {M: money, P: 500.0}, "shop<=30%") for money in (3000.0, 3300.0))
    for each, money in ((found, 3000.0), (more, 3300.0)):
        assert each.gap < 1e-3
        assert each.purses[M].spent <= money * (1 + 1e-9)
        shops = Counter()
        for choice in each.choices:
            shops[choice.action.subject.shop] += sum(choice.setting.cost.values())
        assert max(spent for shop, spent in shops.items() if shop) <= 0.3 * (money + 500) * (1 + 1e-9)
    assert more.joint.mid >= found.joint.mid


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda: plan(many(0), {M: -1.0}), "nothing or more"),
        (lambda: plan([*many(0), many(0)[0]], {M: 1.0}), "share a key"),
        (lambda: plan(many(0), {M: 1.0}, "traffic<=5"), "about nothing that could be done"),
        (lambda: plan(many(0), {M: 50.0}, "shop=s1 actions>=90"), "more than can be done"),
        (lambda: plan(many(0), {M: 50.0}, "coupon gratis"), "cannot be read"),
        (lambda: Planner("brand new"), "no such objective"),
        (lambda: Planner(caution=-1), "Caution"),
    ],
)
def test_what_cannot_be_kept_is_one_clear_error(change: object, words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        change()


def test_nothing_to_do_is_a_plan_too() -> None:
    found = plan([], {M: 10.0})
    assert (found.choices, found.joint) == ((), Estimate(0.0, 0.0, 0.0))
    assert plan([price("p1", off(0.1, 5, -1))], {M: 10.0}).choices == ()
    assert Evidence.OBSERVATIONAL in {c.action.evidence for c in plan([price("p", off(0.1, 1, 1))], {M: 9.0}).choices}
    assert list(itertools.chain(found.left_out)) == []


def test_the_interval_of_a_sum_lies_between_shared_and_independent_errors() -> None:
    actions = [price(f"p{n}", off(0.1, 1, 10)) for n in range(20)] + [coupon("c", ["u"], face(2.0, 1, 6))]
    found = plan(actions, {M: 100.0, P: 100.0})
    halves = {
        lever: np.array([c.setting.joint.mid - c.setting.joint.low for c in found.choices if c.action.lever == lever])
        for lever in ("price", "coupon")
    }
    assert {lever: len(half) for lever, half in halves.items()} == {"price": 20, "coupon": 1}
    by_hand = [np.sqrt(SHARED * half.sum() ** 2 + (1 - SHARED) * (half**2).sum()) for half in halves.values()]
    assert found.joint.mid - found.joint.low == pytest.approx(np.hypot(*by_hand))
    shared, alone = (np.hypot(*(sum_of(half) for half in halves.values())) for sum_of in (np.sum, np.linalg.norm))
    assert alone < found.joint.mid - found.joint.low < shared


def test_rules_that_exclude_each_other_are_named() -> None:
    with pytest.raises(BadInputError, match="cannot all be kept") as told:
        plan(many(1), {M: 200.0, P: 60.0}, "price>=15", "price actions<=0")
    assert "price>=15, price actions<=0 with merchant=200, platform=60" in str(told.value)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("objective", ["joint", "merchant"])
def test_along_a_budget_each_point_is_a_plan_and_none_beats_what_prices_allow(seed: int, objective: str) -> None:
    actions, budgets = many(seed), {P: 60.0, M: 40.0}
    curve = Planner(objective).frontier(actions, budgets, M, 9)
    assert curve[0].budget == 0
    assert 40.0 in {point.budget for point in curve}
    for point in curve:
        alone = plan(actions, {**budgets, M: point.budget}, objective=objective)
        gain = alone.joint if objective == "joint" else alone.total.get(Party.MERCHANT)
        assert gain == point.gain
        assert alone.purses[M].worth == point.worth or point.budget == 0
    for point in curve:
        for other in (
            curve
        ):  # the price of a budget bounds what any other one could gain, but for the plan's gap; also from nothing on
            most = point.gain.mid + point.worth * (other.budget - point.budget)
            assert other.gain.mid <= most + 5e-3 * abs(most) + 1.0


def test_many_customers_do_not_ask_more_of_the_lever() -> None:
    class Kind(str):
        times = 0

        def __hash__(self) -> int:
            Kind.times += 1
            return str.__hash__(self)

    took = []
    for count in (10, 1_000):
        Kind.times = 0
        some = [tuple(f"c{n}" for n in range(count)), tuple(f"c{n}" for n in range(count - 1, 2 * count))]
        offers = [SimpleNamespace(lever=Kind("coupon"), assignment=Assignment("some", units)) for units in some]
        assert table._owners(offers).tolist() == [0, 0]
        took.append(Kind.times)
    assert took[0] == took[1]
