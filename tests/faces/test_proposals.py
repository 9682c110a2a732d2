"""Proposals are asked once and kept; plans solved from them are those that would be made from the store."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import reef

from tradewind.engines.store import Store
from tradewind.errors import BadInputError, ConflictError, MissingDataError, NotFoundError
from tradewind.faces import proposals as place
from tradewind.faces.planning import Asked, footing, frontier, planned, ready, solved, soonest
from tradewind.faces.proposals import Proposals, keep_proposals, proposed, read_proposals
from tradewind.faces.studies import WINGS, Wing
from tradewind.measures.assume import Assumptions
from tradewind.period import Period
from tradewind.scope import Scope
from tradewind.study import Estimate, Party, Study

BOTH = ("platform=100", "merchant=60")
MONEY = (BOTH, ("platform=100",), ("merchant=60",), ("platform=100", "merchant=0"), ("creator=5",))


@dataclass(frozen=True)
class ShoalSettings:
    """What the shoal is asked.

    Args:
        payer: Who pays.
        seed: Seed.
    """

    payer: str = "platform"
    seed: int = 0


def shoal(store: Store, period: Period, settings: ShoalSettings) -> Study:
    """The reef's coupon alone; its key tells who was to pay."""
    found = reef.study(store, period)
    [coupon] = [action for action in found.actions if action.lever == "coupon"]
    mine = replace(coupon, key=f"shoal-{settings.payer}", subject=replace(coupon.subject, id="shoal"))
    return replace(found, wing="shoal", settings={"payer": settings.payer}, actions=(mine,))


@pytest.fixture
def wings(monkeypatch: pytest.MonkeyPatch, reefs: str) -> tuple[str, str]:
    """Two wings that act: the reef, and the shoal, which has a setting of who pays."""
    module = SimpleNamespace(study=shoal, ShoalSettings=ShoalSettings, NEEDS=(), IMPROVED_BY={})
    monkeypatch.setitem(sys.modules, "tradewind.decisions.shoal", module)
    monkeypatch.setitem(WINGS, "shoal", Wing("shoal", "Shoal", "Who swims?", acts=True))
    return "reef", "shoal"


@pytest.fixture
def found(wings: tuple[str, str], market_store: Store) -> Proposals:
    return proposed(market_store, market_store.span)


def test_what_promises_more_than_a_shop_sells_is_left_out(found: Proposals) -> None:
    """A fault of an estimate, such as a division by nearly nothing, is not to be staked money on."""
    asked = Asked(BOTH)
    before = solved(found, asked, "plan")
    [reef_, *others] = found.answers
    assert reef_.study is not None
    first = next(action for action in reef_.study.actions if action.subject.kind == "product")
    sold = found.sales[first.subject.shop or ""] * first.days.days / found.seen.days
    most = max(sold, 0.01 * sum(found.sales.values()) * first.days.days / found.seen.days)

    def promising(gain: float) -> Proposals:
        told = Estimate(gain, gain - 1, gain + 1)
        menu = (replace(first.menu[0], joint=told, gain={Party.MERCHANT: told}),)
        actions = tuple(replace(a, menu=menu) if a.key == first.key else a for a in reef_.study.actions)
        return replace(found, answers=(replace(reef_, study=replace(reef_.study, actions=actions)), *others))

    for gain, left_out in ((0.99 * most, False), (1.01 * most, True), (2.87e10, True)):
        plan = solved(promising(gain), asked, "plan")
        assert any("promises more than its shop sells" in said for said in plan.answer.caveats) == left_out
        assert (first.key in {choice.action.key for choice in plan.plan.choices}) != left_out
    assert not any("promises more" in said for said in before.answer.caveats)


def test_a_wing_is_asked_once_with_all_who_may_pay(found: Proposals) -> None:
    told = [(a.wing, a.study.actions[-1].key) for a in found.answers if a.study is not None]
    assert [(wing, key if wing == "shoal" else "") for wing, key in told] == [
        ("reef", ""), ("shoal", "shoal-cofunded"),
    ]  # fmt: skip


@pytest.mark.parametrize("budgets", MONEY)
def test_solved_is_what_is_planned_from_the_store(
    found: Proposals, market_store: Store, tmp_path: Path, budgets: tuple[str, ...]
) -> None:
    asked = Asked(budgets, ("price actions<=3",), least=1.0)
    keep_proposals(found, tmp_path / "kept")
    kept = read_proposals(tmp_path / "kept", market_store)
    assert kept == found
    fresh = planned(market_store, market_store.span, asked, "spring")
    assert solved(found, asked, "spring") == fresh
    assert solved(kept, asked, "spring") == fresh
    assert solved(kept, asked, "spring", given=ready(found, asked)) == fresh
    assert not fresh.unanswered


def test_what_is_worth_the_trouble_follows_the_currency(found: Proposals) -> None:
    """One dong is no dollar: what an order is worth tells how much is little."""
    assert found.order * 303 == pytest.approx(sum(found.sales.values()), rel=0.01)
    for order, least in ((20.88, 1.0), (520_000.0, 30_000.0), (0.0, 0.0)):
        plan = solved(replace(found, order=order), Asked(BOTH), "spring")
        assert plan.plan == solved(found, Asked(BOTH, least=least), "spring").plan
        few = Asked(("platform=100",)), Party.MERCHANT
        assert frontier(replace(found, order=order), *few) == frontier(found, replace(few[0], least=least), few[1])
    dear = solved(replace(found, order=520_000.0), Asked(BOTH), "spring").plan
    assert {each.reason for each in dear.left_out} >= {
        "less than R$30.0k is gained, too little to be worth the trouble"
    }


def test_an_action_begins_when_it_still_can(found: Proposals, market_store: Store) -> None:
    last = market_store.span.last
    meant, begin = last + timedelta(days=1), last + timedelta(days=6)
    asked = Asked(BOTH, ("price actions<=3",), least=1.0)
    before, after = solved(found, asked, "spring"), solved(found, replace(asked, begin=begin), "spring")
    assert {action.days for action in before.actions} == {Period(meant, last + timedelta(days=7))}
    assert {action.days for action in after.actions} == {Period(begin, last + timedelta(days=12))}
    assert [(c.action.key, c.place) for c in after.plan.choices] == [
        (c.action.key, c.place) for c in before.plan.choices
    ]
    assert after.plan.joint == before.plan.joint
    new = set(after.answer.caveats) - set(before.answer.caveats)
    assert len(new) == 1
    assert f"begin on {meant}" in next(iter(new))
    assert f"from {begin}" in next(iter(new))
    assert solved(found, replace(asked, begin=meant), "spring") == before


def test_an_action_whose_numbers_have_expired_by_then_stays_where_it_is(found: Proposals, market_store: Store) -> None:
    begin = market_store.span.last + timedelta(days=6)
    reef_, *rest = found.answers
    assert reef_.study is not None
    first, *others = reef_.study.actions
    old = replace(first, expires=begin - timedelta(days=1))
    known = replace(found, answers=(replace(reef_, study=replace(reef_.study, actions=(old, *others))), *rest))
    plan = solved(known, Asked(BOTH, begin=begin), "spring")
    actions = {each.key: each for each in plan.actions}
    assert any("1 action cannot be launched any more" in caveat for caveat in plan.answer.caveats)
    assert actions[old.key].days == old.days
    assert {actions[each.key].days.first for each in others} == {begin}
    fresh = solved(replace(known, answers=found.answers), Asked(BOTH, begin=begin), "spring").plan
    assert old.key in {choice.action.key for choice in fresh.choices}
    assert old.key not in {choice.action.key for choice in plan.plan.choices}
    reasons = {left.action.key: left.reason for left in plan.plan.left_out}
    assert reasons[old.key] == f"its numbers have expired on {old.expires}"
    shown = frontier(known, Asked(BOTH, begin=begin), Party.MERCHANT, 3)
    assert [point.gain for point in shown if point.budget == 60.0] == [plan.plan.joint]


def test_the_first_day_of_an_action_is_tomorrow_save_for_simulated_data(market_store: Store) -> None:
    origin = replace(market_store.provenance, simulated=False, timezone="Asia/Shanghai")
    tomorrow = soonest(origin)
    assert tomorrow is not None
    assert abs((tomorrow - datetime.now(UTC).date()).days) <= 2
    assert soonest(replace(origin, simulated=True)) is None
    assert soonest(replace(origin, simulated=True), date(2024, 1, 31)) == date(2024, 2, 1)


@pytest.mark.parametrize("budgets", MONEY)
def test_what_plans_are_picked_from_hangs_on_its_footing_only(found: Proposals, budgets: tuple[str, ...]) -> None:
    asked = Asked(BOTH, least=1.0)
    other = Asked(budgets, ("price actions<=3",), caution=0.5)
    assert footing(asked) == footing(other)
    assert ready(found, asked) == ready(found, other)
    begun = replace(asked, begin=found.today + timedelta(days=9))
    assert footing(begun) != footing(asked)


def test_only_the_wings_that_are_asked_propose(found: Proposals, market_store: Store) -> None:
    asked = Asked(BOTH, wings=("shoal",))
    assert solved(found, asked, "spring") == planned(market_store, market_store.span, asked, "spring")
    dumb = replace(found, answers=tuple(replace(a, study=None, why=f"{a.wing}: no") for a in found.answers))
    with pytest.raises(MissingDataError, match="No study can propose"):
        solved(dumb, Asked(BOTH), "spring")
    some = solved(replace(found, answers=(found.answers[0], dumb.answers[1])), Asked(BOTH), "spring")
    assert some.unanswered == {"shoal": "shoal: no"}
    assert "Shoal proposed nothing. shoal: no" in some.answer.caveats


def test_what_was_rejected_is_left_out_with_its_reason(found: Proposals) -> None:
    before = solved(found, Asked(BOTH), "spring")
    best = before.plan.choices[0].action.key
    after = solved(found, Asked(BOTH), "spring", without={best: "Too deep.", "coupon-all": "", "nothing": "?"})
    assert {best, "coupon-all"}.isdisjoint(c.action.key for c in after.plan.choices)
    reasons = {left.action.key: left.reason for left in after.plan.left_out}
    assert (reasons[best], reasons["coupon-all"]) == ("rejected: Too deep.", "rejected")
    assert [left.gain.mid for left in after.plan.left_out] == sorted(
        (left.gain.mid for left in after.plan.left_out), reverse=True
    )
    assert len(after.plan.choices) + len(after.plan.left_out) == len(after.actions)
    assert "2 rejected by hand" in after.answer.finding("left-out").sentence
    assert after.plan.joint.mid < before.plan.joint.mid


@pytest.mark.parametrize("payer", [Party.MERCHANT, Party.PLATFORM])
def test_the_curve_of_a_budget_goes_through_plans_solved_alone(found: Proposals, payer: Party) -> None:
    asked = Asked(BOTH, ("price actions<=4",), least=1.0)
    curve = frontier(found, asked, payer, 6)
    budgets = [point.budget for point in curve]
    assert budgets == sorted(set(budgets))
    assert budgets[0] == 0
    own = {Party.PLATFORM: 100.0, Party.MERCHANT: 60.0}
    assert own[payer] in budgets
    for point in curve[1:]:
        money = tuple(f"{party}={point.budget if party == payer else own[party]!r}" for party in own)
        alone = solved(found, replace(asked, budgets=money), "alone")
        assert (alone.plan.joint, alone.plan.purses[payer].worth) == (point.gain, point.worth)
    gains = [point.gain.mid for point in curve]
    assert gains == pytest.approx(sorted(gains), rel=2e-3)
    assert curve[-1].worth == 0


def test_a_curve_of_a_payer_without_a_budget_ends_in_the_plan_with_one(found: Proposals) -> None:
    curve = frontier(found, Asked(("platform=100",)), Party.MERCHANT)
    alone = solved(found, Asked(("platform=100", f"merchant={curve[-1].budget!r}")), "alone")
    assert curve[-1].gain == alone.plan.joint


def test_where_rules_cannot_be_kept_a_curve_has_no_points(found: Proposals) -> None:
    floor = Asked(BOTH, ("coupon>=40",))
    assert min(point.budget for point in frontier(found, floor, Party.PLATFORM)) >= 40
    with pytest.raises(BadInputError, match="more than can be done"):
        frontier(found, Asked(BOTH, ("coupon>=4000",)), Party.PLATFORM)
    with pytest.raises(BadInputError, match="two points"):
        frontier(found, Asked(BOTH), Party.PLATFORM, 1)
    shares = frontier(found, Asked(BOTH, ("coupon<=50%",)), Party.PLATFORM)
    assert shares[-1].budget == 200


def test_what_was_not_asked_is_said_to_be(found: Proposals, market_store: Store) -> None:
    with pytest.raises(NotFoundError, match="was not asked for proposals"):
        solved(found, Asked(BOTH, wings=("prices",)), "spring")
    with pytest.raises(ConflictError, match="another seed"):
        solved(found, Asked(BOTH, seed=1), "spring")


def test_proposals_for_something_else_are_refused(found: Proposals, market_store: Store, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="No proposals are kept"):
        read_proposals(tmp_path, market_store)
    keep_proposals(found, tmp_path)
    shop = market_store.scoped(Scope.of(["shop-02"]))
    with pytest.raises(ConflictError, match="other shops") as raised:
        read_proposals(tmp_path, shop)
    assert "shop-" not in str(raised.value)
    with pytest.raises(ConflictError, match="other assumptions"):
        read_proposals(tmp_path, market_store.assuming(Assumptions(0.3)))
    keep_proposals(replace(found, basis=replace(found.basis, snapshot="elder")), tmp_path)
    with pytest.raises(ConflictError, match="another snapshot"):
        read_proposals(tmp_path, market_store)
    assert [file.name for file in tmp_path.iterdir()] == ["proposals.json"]


def test_proposals_that_cannot_be_kept_leave_what_stood(found: Proposals, market_store: Store, tmp_path: Path) -> None:
    keep_proposals(found, tmp_path)
    spoilt: Any = replace(found, names={"product": {"p": {1, 2}}})
    with pytest.raises(BadInputError, match="cannot be kept"):
        keep_proposals(spoilt, tmp_path)
    assert read_proposals(tmp_path, market_store) == found
    assert [file.name for file in tmp_path.iterdir()] == ["proposals.json"]


@pytest.mark.parametrize("text", ["", "[]", '{"format":1,"types":{},"words":[],"value":["plain",{}]}', "ü"])
def test_a_file_that_is_spoilt_is_refused(wings: Any, market_store: Store, tmp_path: Path, text: str) -> None:
    (tmp_path / place.FILE).write_text(text)
    with pytest.raises(BadInputError, match=r"cannot be read|keeps no value"):
        read_proposals(tmp_path, market_store)


def test_a_shop_keeps_its_own(wings: tuple[str, str], market_store: Store, tmp_path: Path) -> None:
    shop = market_store.scoped(Scope.of(["shop-02"]))
    keep_proposals(proposed(shop, market_store.span), tmp_path)
    assert read_proposals(tmp_path, shop).basis.shops == ("shop-02",)
    assert json.loads((tmp_path / place.FILE).read_text())["format"] == 1
    with pytest.raises(ConflictError, match="other shops"):
        read_proposals(tmp_path, market_store)


def test_wings_that_propose_are_named_where_another_is_asked() -> None:
    with pytest.raises(NotFoundError) as strange:
        place.acting(["coupon"])
    with pytest.raises(BadInputError) as silent:
        place.acting(["performance"])
    for error in (strange.value, silent.value):
        assert "coupons" in str(error)
        assert "fluctuation" not in str(error)
