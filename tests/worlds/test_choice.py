"""The law of choice, worked out again one product at a time, in plain arithmetic."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tradewind.sources.worlds.cast import KINDS, MEDIAN_PRICE
from tradewind.sources.worlds.choice import price_felt
from tradewind.sources.worlds.incidents import Incident
from tradewind.sources.worlds.moves import Move
from tradewind.sources.worlds.preset import PRESETS, TASTES, Laws, preset
from tradewind.sources.worlds.rooms import Rooms, Viewers
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


def test_profit_of_lines_by_hand() -> None:
    """Each line of two weeks, settled in plain arithmetic: what came back, restocked or not, and who paid for what."""
    world = World(preset("tiny"), 11)
    for _ in range(14):
        [day] = world.advance(1)
        coupons, contracts, goods = world.state.coupons, world.state.contracts, world.cast.products
        for n in range(len(day.lines)):
            line = {name: column[n] for name, column in day.lines.columns.items()}
            if not line["paid"]:
                assert not day.profit[n].any()
                continue
            takings = line["price"] * line["quantity"]
            stays = 0.0 if line["refunded"] else 1.0
            platform, brand, shared = 0.0, 0.0, 0.0
            if line["coupon"] >= 0:
                platform = line["off"] * coupons["platform"][line["coupon"]]
                brand = line["off"] * coupons["brand"][line["coupon"]]
            commission = line["commission"] * stays
            if line["contract"] >= 0:
                shared = commission * contracts["platform"][line["contract"]]
            lost = goods.cost[line["product"]] * line["quantity"] * (0.0 if line["restocked"] else 1.0)
            merchant = (takings - (line["off"] - platform - brand)) * stays - lost - commission + shared
            merchant -= 0.06 * takings * stays + 0.02 * takings
            merchant += line["shipping_paid"] - line["shipping_cost"] - (2.0 if line["refunded"] else 0.0)
            expected = [merchant, 0.06 * takings * stays - platform * stays - shared, commission, -brand * stays]
            np.testing.assert_allclose(day.profit[n], expected, atol=1e-9)
    assert world.state.orders.sum() > 200


def test_messages_saturate_in_town_b_only() -> None:
    lifts = []
    for laws in (TOWN, TOWN_B):
        world = World(replace(preset("tiny"), laws=laws), 11)
        who = np.arange(world.preset.customers)
        today = world.conduct.today(world.state, world.diary, [Move("outreach", 0, 1, {"customers": who})])
        assert today.lift is not None
        np.testing.assert_allclose(
            today.lift, np.clip(world.cast.traits(who).outreach, None, 0.3 if laws.thresholds else None)
        )
        assert today.spent[1] == pytest.approx(-0.05 * len(who))
        lifts.append(today.lift)
    assert lifts[0].max() > 1
    assert lifts[1].max() == 0.3


def test_money_brings_those_who_would_have_passed_or_gone_elsewhere() -> None:
    world = World(replace(preset("tiny"), rooms=1.0, customers=20_000), 2)
    shop = np.arange(world.preset.shops)
    moves = [Move("live traffic", 0, 10, {"shop": int(s), "budget": 100.0}) for s in shop]

    class Seen:
        alone, organic, brought = 0, 0, 0

        def shown(self, *day: object) -> None: ...

        def done(self, *day: object) -> None: ...

        def live(self, today: object, rooms: Rooms, viewers: Viewers, lines: object) -> None:
            if len(rooms) == 1:  # nobody can be taken from another room: money brings who would have passed by
                self.alone += 1
                self.organic += int((~viewers.paid).sum())
                self.brought += int(viewers.paid.sum())

    plain, bought = Seen(), Seen()
    for seen, some in ((plain, ()), (bought, moves)):
        fork = world.fork()
        fork.advance(10, some, watch=seen)
    assert bought.alone == plain.alone == 10
    assert bought.brought > plain.brought
    assert bought.organic + bought.brought > plain.organic + plain.brought
    assert bought.organic == plain.organic, "who comes without money comes with it too, and is not counted as brought"


def test_new_terms_hold_as_long_as_the_contract_or_longer() -> None:
    world = World(preset("tiny"), 11)
    contracts = world.state.contracts
    product = int(contracts["product"][contracts["ends"] >= 5][0])
    standing = np.flatnonzero((contracts["product"] == product) & (contracts["ends"] >= 0))
    before = {int(n): int(contracts["ends"][n]) for n in standing}
    world.advance(1, [Move("commission", 0, 3, {"product": product, "rate": 0.25, "platform": 0.0})])
    contracts = world.state.contracts
    fresh = np.flatnonzero((contracts["product"] == product) & (contracts["rate"] == 0.25))
    assert sorted(contracts["ends"][fresh]) == sorted(max(end, 2) for end in before.values())
    assert all(contracts["ends"][n] == -1 for n in before), "the old terms ended the day before"


def test_a_policy_change_leaves_the_rest_of_what_a_surface_shows() -> None:
    world = World(preset("tiny"), 11)
    today = world.conduct.today(world.state, world.diary)
    struck = Incident("traffic policy change", 1, 0, 3, 0.3).strike(today, world.state, world.cast)
    np.testing.assert_allclose(struck.surfaces, np.where(np.arange(5) == 1, 0.7, 1.0) * today.surfaces)
