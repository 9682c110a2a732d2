"""The law of choice, worked out again one product at a time, in plain arithmetic."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tradewind.sources.worlds.cast import KINDS, MEDIAN_PRICE
from tradewind.sources.worlds.choice import price_felt
from tradewind.sources.worlds.preset import PRESETS, TASTES, Laws, preset
from tradewind.sources.worlds.world import World

TOWN, TOWN_B = PRESETS["town"].laws, PRESETS["town_b"].laws


def felt(laws: Laws, below: float) -> float:
    if not laws.thresholds:
        return (laws.gain if below > 0 else laws.loss) * below
    return 2 * laws.gain * min(max(below - 0.08, 0), 0.42) if below > 0 else laws.loss * below


def coupon(laws: Laws, lift: float, kind: int, depth: float) -> float:
    if laws.thresholds:
        low = 1 / (1 + math.exp(5))
        strong = (1 / (1 + math.exp(-(depth - 0.15) / 0.03)) - low) / (1 - low)
    else:
        strong = 4 * depth / (1 + 4 * depth)
    return laws.coupon * lift * strong - (laws.dog * (1 - strong) if KINDS[kind] == "sleeping dog" else 0)


@pytest.mark.parametrize("laws", [TOWN, TOWN_B], ids=["town", "town_b"])
def test_utilities_are_those_of_the_page(laws: Laws) -> None:
    world = World(replace(preset("tiny"), laws=laws), 11)
    world.advance(20)
    state, cast = world.state, world.cast
    today = world.conduct.today(state, world.diary)
    sessions = world.demand.sessions(today, state, np.arange(world.preset.customers))
    slates = world.demand.slates(today, state, sessions)
    wants = world.demand.wants(today, state, sessions, slates)
    row, slot = np.nonzero(slates.product >= 0)
    used = wants.coupon[row, slot] >= 0
    assert used.sum() > 20
    for n in [*np.flatnonzero(used)[:25], *np.flatnonzero(~used)[:60]]:
        i, k = int(row[n]), int(slot[n])
        j, who, contract = int(slates.product[i, k]), int(sessions.customer[i]), int(slates.contract[i, k])
        traits, goods = cast.traits(np.array([who])), cast.products
        department, price = int(goods.department[j]), float(today.price[j])
        median = float(MEDIAN_PRICE[department])
        v = float(goods.appeal[j] + today.course[j] + traits.shift[0])
        v += laws.dear * math.log(goods.price[j] / median) - float(traits.price[0]) * math.log(price / median)
        v += laws.fit * sum(float(a * b) for a, b in zip(traits.taste[0], goods.taste[j], strict=True)) / TASTES**0.5
        v += laws.quality * (0.6 * float(state.listing[j]) + 0.4 * float(goods.make[j]))
        v += felt(laws, float(state.reference[j]) - math.log(price))
        v += laws.habit * min(float(state.habit[who, department]), 2.0)
        v -= laws.satiation * min(float(state.recent[who, department]), 2.0)
        v += laws.loyalty if state.last_shop[who] == goods.shop[j] else 0.0
        v += float(cast.creators.persuasion[state.contracts["creator"][contract]]) if contract >= 0 else 0.0
        held = [
            int(number)
            for number, until in zip(state.held[who], state.until[who], strict=True)
            if number >= 0 and until >= today.day >= state.coupons["starts"][number]
            and state.coupons["shop"][number] in (-1, goods.shop[j]) and price >= state.coupons["threshold"][number]
        ]  # fmt: skip
        if held:
            face = max(min(float(state.coupons["face"][number]), 0.9 * price) for number in held)
            v += coupon(laws, float(traits.lift[0]), int(traits.kind[0]), face / price)
        assert (wants.coupon[i, k] >= 0) == bool(held)
        assert wants.utility[i, k] == pytest.approx(v, abs=1e-5)


@pytest.mark.parametrize("laws", [TOWN, TOWN_B], ids=["town", "town_b"])
def test_a_price_above_the_usual_one_hurts_more_than_one_below_pleases(laws: Laws) -> None:
    assert price_felt(laws, np.array([0.0]))[0] == 0
    assert -price_felt(laws, np.array([-0.1]))[0] > price_felt(laws, np.array([0.1]))[0]


def test_creators_and_advertising_answer_as_the_page_says() -> None:
    for laws in (TOWN, TOWN_B):
        world = World(replace(preset("tiny"), laws=laws), 11)
        rate, price, match = np.array([0.1, 0.3]), np.array([10.0, 20.0]), np.array([0.5, -0.5])
        for n in range(2):
            pays = 3 / (1 + math.exp(-(rate[n] - 0.12) / 0.02)) - 1.5 if laws.thresholds else math.log(
                rate[n] * price[n] / 1.5
            )  # fmt: skip
            expected = math.exp(0.9 * pays + 0.6 * match[n] - 0.5)
            assert world.conduct.drive(rate, price, match)[n] == pytest.approx(expected, rel=1e-6)
        budget = np.zeros(len(world.cast.products.price))
        budget[3] = 0.4
        base = laws.activity * world.preset.customers * 0.6 * 2 / 10 * world.conduct.fame[3] * 0.02
        share = 0.4 / base
        filled = 0.9 / (1 + math.exp(-(share - 0.5) / 0.12)) if laws.thresholds else 0.9 * (1 - math.exp(-share))
        shown = world.conduct.advertised(budget)
        assert shown[3] == pytest.approx(filled, rel=1e-6)
        assert (np.delete(shown, 3) == 0).all()
        lifts = world.live.pull(np.array([0.0, 30.0, 60.0, 120.0, 500.0]) * world.preset.viewers / 220)
        assert lifts[0] == 0
        assert (np.diff(lifts) > 0).all()
        assert (lifts[1] < 0.1) == laws.thresholds
