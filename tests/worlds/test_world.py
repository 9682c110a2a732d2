"""A world runs by its laws: choices are the logit that they are said to be; a move changes what it causes only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tradewind.errors import BadInputError, NotFoundError
from tradewind.sources.worlds.choice import coupon_felt
from tradewind.sources.worlds.moves import LEVERS, Move
from tradewind.sources.worlds.preset import preset
from tradewind.sources.worlds.rooms import Rooms, Viewers
from tradewind.sources.worlds.state import NEVER
from tradewind.sources.worlds.trade import PARTIES
from tradewind.sources.worlds.world import Day, World

MERCHANT, PLATFORM, CREATOR, BRAND = range(len(PARTIES))


def same(a: list[Day], b: list[Day]) -> bool:
    return all(
        np.array_equal(x.lines[name], y.lines[name]) for x, y in zip(a, b, strict=True) for name in x.lines.columns
    )


def test_the_same_seed_gives_the_same_world(tiny_world: World) -> None:
    again, other = World(preset("tiny"), tiny_world.seed), World(preset("tiny"), tiny_world.seed + 1)
    days = tiny_world.advance(10)
    assert same(days, again.advance(10))
    assert not same(days, other.advance(10))


def test_a_world_in_blocks_is_the_same_world(tiny_world: World) -> None:
    blocks = World(replace(preset("tiny"), block=100), tiny_world.seed)
    assert same(tiny_world.advance(8), blocks.advance(8))


def test_a_world_goes_on_from_where_it_stands(lived: World) -> None:
    straight = World(preset("tiny"), lived.seed)
    days = straight.advance(28)[21:]
    assert same(days, lived.fork().advance(7))
    assert same(days, lived.fork().advance(7))


def test_choices_follow_the_logit(lived: World) -> None:
    """Over many draws of luck, each product is chosen as often as its closed form says."""
    world = lived.fork()
    today = world.conduct.today(world.state, world.diary)
    sessions = world.demand.sessions(today, world.state, np.arange(world.preset.customers))
    slates = world.demand.slates(today, world.state, sessions)
    wants = world.demand.wants(today, world.state, sessions, slates)
    chances = wants.chances()
    raised = np.exp(wants.utility)
    by_hand = raised / (raised.sum(axis=1) + np.exp(wants.outside))[:, None]
    assert np.allclose(chances, by_hand)
    hits, times = np.zeros_like(chances), 400
    for n in range(times):
        chosen = world.demand.choices(replace(today, day=10_000 + n), sessions, slates, wants)
        bought = np.flatnonzero(chosen >= 0)
        hits[bought, chosen[bought]] += 1
    for low, high in ((0.0, 0.002), (0.002, 0.01), (0.01, 0.05), (0.05, 0.2), (0.2, 1.0)):
        cells = (chances > low) & (chances <= high)
        wanted, got = chances[cells].sum() * times, hits[cells].sum()
        error = np.sqrt((chances[cells] * (1 - chances[cells])).sum() * times)
        assert abs(got - wanted) < 4 * error, (low, wanted, got)


def test_doing_nothing_does_exactly_nothing(lived: World) -> None:
    plain = lived.fork().advance(7)
    product = int(np.argmax(lived.state.pace))
    markdown = float(lived.state.markdown[product])
    nothing = (
        Move("traffic", 21, 7, {"product": product, "budget": 0.0}),
        Move("listing", 21, 7, {"product": product, "effort": 0.0}),
        Move(
            "coupon", 21, 7, {"customers": [], "face": 5.0, "threshold": 0.0, "shop": -1, "platform": 1.0, "brand": 0.0}
        ),
        Move("outreach", 21, 7, {"customers": []}),
    )
    assert same(plain, lived.fork().advance(7, nothing))
    assert markdown == lived.state.markdown[product], "a fork left its mark on the world"


def test_no_effect_before_its_cause(lived: World) -> None:
    product = int(np.argmax(lived.state.pace))
    move = Move("price", 26, 3, {"product": product, "off": 0.7})
    plain, moved = lived.fork().advance(9), lived.fork().advance(9, [move])
    assert same(plain[:5], moved[:5])
    assert not same(plain[5:], moved[5:])


@pytest.mark.parametrize("lever", sorted(set(LEVERS) - {"commission", "live pin", "live coupon", "live traffic"}))
def test_each_lever_moves_what_it_should(lived: World, lever: str) -> None:
    """Over two weeks and many units, every lever sells more of what it is pulled on."""
    world, start = lived, 21
    best = np.argsort(-world.state.pace)[slice(30, 60) if lever == "traffic" else slice(25)]
    everybody = np.arange(world.preset.customers)
    reserve = np.flatnonzero(world.state.listed == NEVER)
    moves = {
        "coupon": [Move("coupon", start, 14, {"customers": everybody, "face": 6.0, "threshold": 6.0, "shop": -1,
                                              "platform": 1.0, "brand": 0.0})],
        "price": [Move("price", start, 14, {"product": p, "off": 0.35}) for p in best],
        "creator": [Move("creator", start, 14, {"product": p, "creator": n % world.preset.creators, "rate": 0.3,
                                                "platform": 0.0}) for n, p in enumerate(np.repeat(best, 4))],
        "traffic": [Move("traffic", start, 14, {"product": p, "budget": 20.0}) for p in best],
        "listing": [Move("listing", start, 14, {"product": p, "effort": 1.5}) for p in best],
        "outreach": [Move("outreach", start, 14, {"customers": everybody})],
        "assortment": [Move("assortment", start, 14, {"product": p, "list": True}) for p in reserve],
    }[lever]  # fmt: skip
    on = reserve if lever == "assortment" else best
    plain, moved = world.fork().advance(14), world.fork().advance(14, moves)

    def sold(days: list[Day]) -> float:
        lines = [day.lines.where(day.lines["paid"]) for day in days[: 3 if lever == "outreach" else 14]]
        if lever in ("coupon", "outreach"):
            return float(sum(len(part) for part in lines))
        if lever == "creator":
            return float(sum((np.isin(part["product"], on) & (part["contract"] >= 0)).sum() for part in lines))
        return float(sum(part["quantity"][np.isin(part["product"], on)].sum() for part in lines))

    assert sold(moved) > sold(plain)


@pytest.mark.parametrize("lever", ["live pin", "live coupon", "live traffic"])
def test_each_live_lever_moves_what_it_should(lever: str) -> None:
    """In one shop's rooms alone: minutes for which a product is pinned, coupons claimed, or viewers."""
    world, days = World(replace(preset("tiny"), rooms=10.0), 3), 7
    cast = world.cast
    shop = int(np.argmax(cast.shops.weight * (cast.shops.opened <= 0)))
    product = int(np.flatnonzero((cast.products.shop == shop) & (world.state.listed <= 0))[0])
    dose = {
        "live pin": {"shop": shop, "product": product, "share": 0.9},
        "live coupon": {"shop": shop, "face": 5.0, "claims": 500},
        "live traffic": {"shop": shop, "budget": 150.0},
    }[lever]
    moves = [Move(lever, 0, days, dose)]

    class Seen:
        def __init__(self) -> None:
            self.mine, self.others, self.pinned, self.claimed, self.spend = 0, 0, 0, 0, 0.0

        def shown(self, today: object, block: object) -> None: ...

        def done(self, today: object, state: object, day: object) -> None: ...

        def live(self, today: object, rooms: Rooms, viewers: Viewers, lines: object) -> None:
            mine = rooms.shop[viewers.room] == shop
            self.mine += int(mine.sum())
            self.others += int((~mine).sum())
            self.claimed += int(viewers.coupon[mine].sum())
            places = rooms.lineup[np.arange(len(rooms))[:, None], rooms.pinned]
            self.pinned += int((places[rooms.shop == shop] == product).sum())
            self.spend += float(rooms.spend.sum())

    plain, moved = Seen(), Seen()
    without = world.fork().advance(days, watch=plain)
    with_move = world.fork().advance(days, moves, watch=moved)
    assert plain.mine > 0
    if lever == "live pin":
        assert moved.pinned > 3 * max(plain.pinned, 10)
    elif lever == "live coupon":
        assert moved.claimed > 1.5 * max(plain.claimed, 10)
    else:
        assert moved.mine > 1.2 * plain.mine
        assert moved.others <= plain.others, "rooms compete for the same viewers"
        paid = moved.spend - plain.spend
        assert paid > 0
        spent = sum(day.spent[0] for day in with_move) - sum(day.spent[0] for day in without)
        assert spent == pytest.approx(-paid)


def test_a_higher_commission_draws_effort_from_other_products(lived: World) -> None:
    """Creators share their hours: what one product gains, their other contracts and their rest lose."""
    contracts = lived.state.contracts
    product = int(np.bincount(contracts["product"]).argmax())
    price = lived.cast.products.price
    move = Move("commission", 21, 14, {"product": product, "rate": 0.6, "platform": 0.0})
    plain, moved = lived.fork(), lived.fork()
    plain.conduct.today(plain.state, plain.diary)
    moved.conduct.today(moved.state, moved.diary, [move])

    def effort(world: World) -> tuple[float, float, float]:
        given = world.conduct.effort(world.state, price)
        mine = world.state.contracts["product"] == product
        theirs = np.isin(world.state.contracts["creator"], world.state.contracts["creator"][mine & (given > 0)])
        return given[mine].sum(), given[theirs & ~mine].sum(), given[~theirs].sum()

    (own, others, rest), (own_after, others_after, rest_after) = effort(plain), effort(moved)
    assert own_after > 1.2 * own
    assert others_after < others
    assert rest_after == pytest.approx(rest)
    hours = lived.cast.creators.hours
    given = np.bincount(moved.state.contracts["creator"], moved.conduct.effort(moved.state, price), len(hours))
    assert (given < hours).all()


def test_transfers_between_parties_cancel(lived: World) -> None:
    """What sellers pay for coupons is what the platform would have paid; joint profit is the same."""
    who = np.arange(lived.preset.customers)
    shares = [(1.0, 0.0), (0.0, 0.0), (0.4, 0.3)]
    runs = [
        lived.fork().advance(10, [Move("coupon", 21, 10, {"customers": who, "face": 3.0, "threshold": 5.0, "shop": -1,
                                                         "platform": platform, "brand": brand})])
        for platform, brand in shares
    ]  # fmt: skip
    parties = [sum(day.parties for day in days) for days in runs]
    assert same(runs[0], runs[1])
    assert parties[0].sum() == pytest.approx(parties[1].sum()) == pytest.approx(parties[2].sum())
    assert parties[0][PLATFORM] < parties[2][PLATFORM] < parties[1][PLATFORM]
    assert parties[1][MERCHANT] < parties[2][MERCHANT] < parties[0][MERCHANT]
    assert parties[2][BRAND] < parties[0][BRAND] == parties[1][BRAND]


def test_coupons_are_felt_more_the_deeper_they_are() -> None:
    depth = np.linspace(0, 0.9, 50)
    for thresholds in (False, True):
        felt = coupon_felt(depth, thresholds)
        assert felt[0] == pytest.approx(0, abs=1e-12)
        assert (np.diff(felt) > 0).all()
        assert felt[-1] <= 1
    assert (np.diff(coupon_felt(depth, False), 2) < 0).all(), "concave"
    assert np.diff(coupon_felt(depth, True), 2).max() > 0, "not concave: there is a threshold"


def test_a_coupon_annoys_some_and_leaves_others_alone(lived: World) -> None:
    """Given the same slate, a small one raises the chance of persuadables and lowers that of sleeping dogs."""
    world = lived.fork()
    today = world.conduct.today(world.state, world.diary)
    sessions = world.demand.sessions(today, world.state, np.arange(world.preset.customers))
    slates = world.demand.slates(today, world.state, sessions)
    state = world.state.copy()
    state.held[:] = -1
    plain = world.demand.wants(today, state, sessions, slates).chances().sum(axis=1)
    [number] = state.coupons.add(shop=-1, face=0.3, threshold=0.0, starts=0, ends=99, platform=1.0, brand=0.0, kind=0)
    state.held[:, 0], state.until[:, 0] = number, 99
    moved = world.demand.wants(today, state, sessions, slates).chances().sum(axis=1) - plain
    there = (slates.product >= 0).any(axis=1)
    kind = sessions.traits.kind
    assert (moved[there & (kind == 0)] >= 0).all()
    assert moved[there & (kind == 0)].mean() > 5 * moved[there & (kind == 2)].mean()
    assert moved[there & (kind == 3)].mean() < 0


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(NotFoundError, match="no such world"):
        preset("village")
    with pytest.raises(BadInputError, match="no such lever"):
        Move("weather", 0, 1, {})
    with pytest.raises(BadInputError, match="not complete"):
        Move("price", 0, 1, {"product": 1})
    with pytest.raises(BadInputError, match="a day or more"):
        Move("outreach", 0, 0, {"customers": []})
