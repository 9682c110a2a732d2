"""Worths in closed form: exact for the choices that they speak of, and near what a run shows over a few days."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tradewind.sources.worlds.choice import LISTING, Wants
from tradewind.sources.worlds.marginal import Doses, Worths, _Watched, marginal
from tradewind.sources.worlds.moves import Move, better
from tradewind.sources.worlds.payoff import Payoff
from tradewind.sources.worlds.preset import preset
from tradewind.sources.worlds.truth import compared
from tradewind.sources.worlds.world import World

DOSES = Doses(off=(0.2, 0.4), coupon=((4.0, 8.0),), coupon_days=7, rate=(0.3,), budget=(0.5,), effort=(1.0,))
DAYS = 7


@pytest.fixture(scope="module")
def quiet() -> World:
    """A tiny world without live rooms, after three weeks."""
    world = World(replace(preset("tiny"), rooms=0.0), 5)
    world.advance(21)
    return world


@pytest.fixture(scope="module")
def worths(lived: World) -> Worths:
    return marginal(lived, DOSES, DAYS, futures=3)


def test_a_better_listing_is_worth_what_the_choices_say(quiet: World) -> None:
    """Every chance of one day is worked out anew with the product wanted more: the closed form says the same."""
    told = marginal(quiet, DOSES, 1, futures=1).listing[:, 0]
    world = quiet.fork(luck=1_001)
    state, demand, payoff = world.state, world.demand, Payoff(world)
    today = world.conduct.today(state, world.diary)
    sessions = demand.sessions(today, state, np.arange(world.preset.customers))
    slates = demand.slates(today, state, sessions)
    wants = demand.wants(today, state, sessions, slates)
    row, slot = np.nonzero(slates.product >= 0)
    shown = (slates.product[row, slot], slates.contract[row, slot], wants.coupon[row, slot])
    worth = payoff.of(today, *shown)
    pays = 1 - today.unpaid[world.cast.region[sessions.customer].astype(np.int64)]
    for product in np.argsort(-np.bincount(shown[0], minlength=len(state.stock)))[:5].tolist():
        rise = world.preset.laws.quality * LISTING * better(1.0, state.listing[product])
        raised = Wants(wants.utility + rise * (slates.product == product), wants.outside, wants.coupon)
        change = (raised.chances() - wants.chances())[row, slot] * pays[row]
        expected = change @ worth
        expected[0] -= 20.0
        np.testing.assert_allclose(told[product], expected, atol=1e-9)


@pytest.mark.parametrize("lever", ["price", "listing", "traffic", "coupon", "outreach"])
def test_closed_forms_are_near_what_a_run_shows(lived: World, worths: Worths, lever: str) -> None:
    """Within 40 % over a week, errors of the futures aside: habit, satiation and rankings come on top."""
    start, products = lived.state.day, np.argsort(-lived.state.pace)[:12:3]
    everybody = np.arange(lived.preset.customers)
    half = everybody[::2]
    coupon = {"face": 4.0, "threshold": 8.0, "shop": -1, "platform": 1.0, "brand": 0.0}
    moves, told = {
        "price": ([Move("price", start, DAYS, {"product": int(p), "off": 0.4}) for p in products],
                  worths.price[products, 1].sum()),
        "listing": ([Move("listing", start, DAYS, {"product": int(p), "effort": 1.0}) for p in products],
                    worths.listing[products, 0].sum()),
        "traffic": ([Move("traffic", start, DAYS, {"product": int(p), "budget": 0.5}) for p in products],
                    worths.traffic[products, 0].sum()),
        "coupon": ([Move("coupon", start, DAYS, {"customers": half, **coupon})], worths.coupon[half, 0].sum()),
        "outreach": ([Move("outreach", start, DAYS, {"customers": half})], worths.outreach[half, 0].sum()),
    }[lever]  # fmt: skip
    [truth] = compared(lived, [moves], 14 if lever == "outreach" else DAYS, futures=range(1, 7))
    assert abs(told - truth.joint) <= 0.4 * abs(truth.joint) + 3.5 * truth.joint_error + 3.0


def test_worths_of_units_are_by_party_and_setting(lived: World, worths: Worths) -> None:
    assert worths.price.shape == (lived.preset.products, 2, 4)
    assert worths.coupon.shape == (lived.preset.customers, 1, 4)
    again = marginal(lived, DOSES, DAYS, futures=3)
    assert np.array_equal(worths.price, again.price)
    assert np.array_equal(worths.coupon, again.coupon)
    unlisted = lived.state.listed > lived.state.day + DAYS
    assert not worths.price[unlisted].any()


def test_a_coupon_is_used_once_and_as_often_as_told(lived: World) -> None:
    """Chances that the coupon is used at all, beside the orders that use it when everybody has one."""
    face, threshold = DOSES.coupon[0]
    everybody = np.arange(lived.preset.customers)
    told, used = [], []
    for future in (1, 2, 3):
        fork = lived.fork(luck=future)
        watched = _Watched(fork, DOSES)
        fork.advance(DAYS, watch=watched)
        told.append(float((1 - watched.unused[:, 0]).sum()))
        dose = {"customers": everybody, "face": face, "threshold": threshold, "shop": -1, "platform": 1.0, "brand": 0.0}
        fork = lived.fork(luck=future)
        days = fork.advance(DAYS, [Move("coupon", lived.state.day, DAYS, dose)])
        mine = (fork.state.coupons["face"] == face) & (fork.state.coupons["threshold"] == threshold)
        number = int(np.flatnonzero(mine & (fork.state.coupons["starts"] == lived.state.day))[-1])
        lines = [day.lines.where((day.lines["coupon"] == number) & day.lines["paid"]) for day in days]
        customers = np.concatenate([part["customer"] for part in lines])
        assert len(np.unique(customers)) == len(customers), "a coupon is used once"
        used.append(len(customers))
    assert sum(told) == pytest.approx(sum(used), rel=0.15)
