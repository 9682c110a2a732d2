"""Allocation: known truth by brute force, HiGHS as second implementation, and a certificate that holds."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import csr_matrix, vstack

from tradewind.arena.purse import pick
from tradewind.errors import BadInputError
from tradewind.methods import allocate_budget, allocate_dual, allocate_whole
from tradewind.methods.allocate import Allocate, Allocation, Cap, Rules, cautious, frontier, upper_bound
from tradewind.methods.allocate_budget import OneBudget
from tradewind.methods.allocate_dual import Dual
from tradewind.methods.allocate_menus import TablesInMemory
from tradewind.methods.allocate_program import Program
from tradewind.study import Party

INF = np.inf


def market(count, levels=6, seed=1):
    """Menus whose gains bend, some dominated; a tenth loses money at every setting."""
    rng = np.random.default_rng(seed)
    cost = np.cumsum(rng.uniform(0.3, 1.7, (count, levels)) * rng.lognormal(0, 0.5, (count, 1)), axis=1)
    scale = rng.lognormal(0.3, 0.8, (count, 1)) * np.where(rng.random((count, 1)) < 0.1, -1, 1)
    gain = scale * cost ** rng.uniform(0.35, 0.95, (count, 1)) * rng.lognormal(0, 0.25, (count, levels))
    return gain, cost, 0.3 * cost[:, -1].sum()


def ruled(count, shops, levels=6, seed=1, tight=0.25):
    """Three payers, customers with several menus, a cap for every shop, floors for two of four regions."""
    gain, total, _ = market(count, levels, seed)
    rng = np.random.default_rng(seed + 1)
    cost = np.stack([total * share[:, None] for share in rng.dirichlet([2, 1, 1], count).T])
    budgets = cost[:, :, -1].sum(axis=1) * [0.25, 0.3, 0.2]
    shop, region = rng.integers(0, shops, count), rng.integers(-1, 4, count)
    floors = np.floor([0.36, 0.36, 0, 0] * np.bincount(region + 1, minlength=5)[1:])
    caps = [Cap(shop, most=np.floor(tight * np.bincount(shop, minlength=shops))), Cap(region, least=floors)]
    return gain, cost, budgets, Rules(rng.integers(0, count // 2, count), caps)


def small(rng, count=5, levels=3, payers=2, owners=True, caps=True):
    gain = rng.normal(1, 1, (count, levels))
    gain[rng.random((count, levels)) < 0.15] = -INF
    cost = rng.uniform(0.05, 2, (payers, count, levels))
    budgets = rng.uniform(0.1, 0.35, payers) * count
    rules = Rules(
        rng.integers(0, max(1, count - 2), count) if owners else None,
        [
            Cap(rng.integers(-1, 2, count), most=[0.3 * count, 0.5 * count]),
            Cap(rng.integers(0, 2, count), most=rng.uniform(0.1, 0.2, 2) * count, weight=int(payers - 1)),
            Cap(rng.integers(-1, 2, count), most=np.full(2, 0.3 * count), weight=rng.uniform(0, 1, (count, levels))),
        ]
        if caps
        else (),
    )
    return gain, cost, budgets, rules


def limits(gain, cost, budgets, rules):
    """Every rule as rows over flat settings: matrix, lowest, highest."""
    count, levels = gain.shape
    unit, flat, one = np.repeat(np.arange(count), levels), np.arange(gain.size), np.ones(gain.size)
    owner = np.arange(count) if rules.owner is None else np.unique(rules.owner, return_inverse=True)[1]
    rows = [csr_matrix((one, (owner[unit], flat))), csr_matrix(cost.reshape(len(budgets), -1))]
    low = [np.full(owner.max() + 1 + len(budgets), -INF)]
    high = [np.ones(owner.max() + 1), np.asarray(budgets, float)]
    for cap in rules.caps:
        group = np.asarray(cap.group)[unit]
        count_of = max(np.size(cap.most), np.size(cap.least), group.max() + 1)
        weight = np.asarray(1.0 if cap.weight is None else cap.weight)
        if weight.ndim == 0 and cap.weight is not None:
            weight = cost[int(weight)]
        weight = np.broadcast_to(weight[:, None] if weight.ndim == 1 else weight, gain.shape).ravel()
        inside = group >= 0
        rows.append(csr_matrix((weight[inside], (group[inside], flat[inside])), shape=(count_of, gain.size)))
        low.append(np.broadcast_to(np.asarray(cap.least, float), count_of))
        high.append(np.broadcast_to(np.asarray(cap.most, float), count_of))
    return vstack(rows, format="csr"), np.concatenate(low), np.concatenate(high)


def by_highs(gain, cost, budgets, rules, whole=True):
    matrix, low, high = limits(gain, cost, budgets, rules)
    offered = (gain > -INF).ravel()
    solved = milp(
        -np.where(offered, gain.ravel(), 0), integrality=np.full(gain.size, int(whole)),
        bounds=Bounds(0, offered.astype(float)), constraints=LinearConstraint(matrix, low, high),
        options={"mip_rel_gap": 0},
    )  # fmt: skip
    return -solved.fun if solved.x is not None else None


def by_brute_force(gain, cost, budgets, rules):
    matrix, low, high = limits(gain, cost, budgets, rules)
    count, levels = gain.shape
    best = -INF
    for choice in itertools.product(range(-1, levels), repeat=count):
        taken = np.zeros(gain.shape)
        for unit, setting in enumerate(choice):
            if setting >= 0:
                taken[unit, setting] = 1
        value = gain[taken > 0].sum()
        use = matrix @ taken.ravel()
        if value > best and (use >= low - 1e-9).all() and (use <= high + 1e-9).all():
            best = value
    return best


def assert_kept(found, gain, cost, budgets, rules, tight=1e-9):
    """The choice keeps every limit, and value, spend, bound and gap are what they say."""
    taken = np.zeros(gain.shape)
    on = np.flatnonzero(found.choice >= 0)
    taken[on, found.choice[on]] = 1
    assert (gain[taken > 0] > -INF).all()
    matrix, low, high = limits(gain, cost, budgets, rules)
    use = matrix @ taken.ravel()
    assert (use <= high + tight * np.abs(np.where(np.isfinite(high), high, 0))).all()
    assert (use >= low - tight * np.abs(np.where(np.isfinite(low), low, 0))).all()
    assert found.value == pytest.approx(gain[taken > 0].sum(), rel=1e-9, abs=1e-12)
    assert found.spent == pytest.approx((cost * taken).sum(axis=(1, 2)), rel=1e-9, abs=1e-12)
    assert found.bound >= found.value
    again = upper_bound(gain, cost, budgets, found.multipliers, rules, found.cap_multipliers)
    assert found.bound == pytest.approx(again, rel=1e-9, abs=1e-9 * max(1, abs(found.value)))


# Known truth.


@pytest.mark.parametrize("seed", range(8))
def test_small_programs_are_solved_to_the_best_choice(seed):
    rng = np.random.default_rng(seed)
    gain, cost, budgets, rules = small(rng, owners=seed % 2 == 0, caps=seed % 4 < 3, payers=1 + seed % 3)
    found = Allocate()(gain, cost, budgets, rules)
    assert found.value == pytest.approx(by_brute_force(gain, cost, budgets, rules), rel=1e-6)
    assert found.exact or found.gap <= 1e-4
    assert_kept(found, gain, cost, budgets, rules)


def test_the_best_of_identical_menus_is_known():
    """A thousand menus of gain √cost: with 1.5 settings' worth of money each, half take one coin and half two."""
    cost = np.tile([1.0, 2.0, 3.0], (1000, 1))
    found = Allocate()(np.sqrt(cost), cost, 1500.0)
    assert np.bincount(found.choice).tolist() == [500, 500]
    assert found.gap == 0
    assert found.multipliers == pytest.approx(np.sqrt(2) - 1)


def test_multipliers_are_the_worth_of_one_more_unit():
    gain, cost, budget = market(5000)
    found, more = (Allocate()(gain, cost, limit) for limit in (budget, budget * 1.001))
    assert (more.bound - found.bound) / (0.001 * budget) == pytest.approx(found.multipliers[0], rel=0.01)


# A second implementation: HiGHS.


@pytest.mark.parametrize("seed", range(6))
def test_agrees_with_highs_on_random_programs(seed):
    rng = np.random.default_rng(100 + seed)
    gain, cost, budgets, rules = small(rng, count=30, levels=4, owners=seed % 2 == 0, payers=1 + seed % 3)
    best, relaxed = (by_highs(gain, cost, budgets, rules, whole) for whole in (True, False))
    for exact in (0, 1000):
        found = Allocate(exact=exact)(gain, cost, budgets, rules)
        assert_kept(found, gain, cost, budgets, rules)
        assert found.value <= best + 1e-6
        assert best <= found.bound + 1e-6
        assert found.bound == pytest.approx(relaxed, rel=1e-6)
        if found.exact:
            assert found.value == pytest.approx(best, rel=1e-6)


def test_floors_agree_with_highs():
    rng = np.random.default_rng(5)
    gain, cost, budgets, _ = small(rng, count=24, caps=False)
    gain -= 1.5  # most lose money, so that floors bind
    group = np.arange(24) % 3
    rules = Rules(None, [Cap(group, least=[4, 0, 3]), Cap(group, most=[INF, 2.5, INF], least=[0, 0, 1.0], weight=0)])
    best = by_highs(gain, cost, budgets * 3, rules)
    found = Allocate()(gain, cost, budgets * 3, rules)
    assert_kept(found, gain, cost, budgets * 3, rules)
    assert found.value == pytest.approx(best, rel=1e-4)
    assert min(multiplier.min() for multiplier in found.cap_multipliers) < 0


def test_many_rules_come_near_the_linear_bound_of_highs():
    gain, cost, budgets, rules = ruled(4000, shops=15, levels=3)
    found = Allocate()(gain, cost, budgets, rules)
    assert_kept(found, gain, cost, budgets, rules)
    assert found.gap <= 2e-4
    assert found.bound == pytest.approx(by_highs(gain, cost, budgets, rules, whole=False), rel=1e-4)


def test_one_budget_agrees_with_the_sort_of_all_steps(monkeypatch):
    gain, cost, budget = market(60_001)
    found = Allocate()(gain, cost, budget)
    monkeypatch.setattr(allocate_budget, "SMALL", 1 << 30)
    assert Allocate()(gain, cost, budget).bound == pytest.approx(found.bound, rel=1e-12)
    menu = frontier(gain, cost, points=1 << 30)
    assert np.interp(budget, menu.cost, menu.gain) == pytest.approx(found.bound, rel=1e-12)
    assert found.gap < 1e-6
    assert_kept(found, gain, cost[None], [budget], Rules())


def test_plays_the_part_of_the_purse():
    """What the arena's purse solves: single settings with a menu's number, under payers' budgets."""
    rng = np.random.default_rng(3)
    menu, value = rng.integers(0, 40, 120), rng.normal(1, 1, 120)
    draws = rng.uniform(0, 1, (2, 120))
    parties = (Party.MERCHANT, Party.PLATFORM)
    taken = pick(menu, value, dict(zip(parties, draws, strict=True)), dict.fromkeys(parties, 5.0))
    found = Allocate()(value[:, None], draws[:, :, None], [5.0, 5.0], Rules(owner=menu))
    assert value[taken].sum() <= found.value * (1 + 1e-9)
    assert found.value <= found.bound


# The certificate holds, whatever the instance.


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_any_multipliers_bound_any_choice(seed):
    rng = np.random.default_rng(seed)
    gain, cost, budgets, rules = small(rng, count=4, levels=2)
    multipliers = rng.exponential(1.0, 2) * (rng.random(2) < 0.8)
    prices = [rng.exponential(0.5, 2) for _ in rules.caps]
    assert by_brute_force(gain, cost, budgets, rules) <= upper_bound(gain, cost, budgets, multipliers, rules, prices)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 9), st.floats(1e-4, 1e4), st.floats(1e-4, 1e4))
def test_every_choice_is_within_the_rules_whatever_the_units(seed, count, coin, worth):
    rng = np.random.default_rng(seed)
    gain, cost, budgets, rules = small(rng, count=count, payers=1 + seed % 2, owners=seed % 3 == 0, caps=seed % 5 > 1)
    solve = Allocate(exact=0)
    found = solve(gain, cost, budgets, rules)
    assert_kept(found, gain, cost, budgets, rules)
    in_coins = Rules(rules.owner, [
        Cap(cap.group, np.asarray(cap.most) * (coin if isinstance(cap.weight, int) else 1), cap.least, cap.weight)
        for cap in rules.caps
    ])  # fmt: skip
    scaled = solve(gain * worth, cost * coin, budgets * coin, in_coins)
    assert scaled.bound == pytest.approx(found.bound * worth, rel=1e-6, abs=1e-9 * worth)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 2))
def test_more_money_never_hurts_and_dominated_settings_are_never_chosen(seed, share):
    rng = np.random.default_rng(seed)
    gain, cost, budget = market(int(rng.integers(1, 200)), 4, seed)
    little, much = (Allocate(exact=0)(gain, cost, budget * part) for part in (share, share * 1.2))
    assert much.bound >= little.bound * (1 - 1e-12)
    assert much.value >= little.value * (1 - much.gap) - 1e-9
    for unit, setting in enumerate(much.choice):
        if setting >= 0:
            cheaper = cost[unit] <= cost[unit, setting]
            assert gain[unit, setting] >= max(0, gain[unit][cheaper].max())


# Streams, samples, memory.


def blocks(gain, cost, size):
    def read():
        for start in range(0, len(gain), size):
            yield gain[start : start + size], cost[..., start : start + size, :]

    return read


def test_a_stream_gives_the_same_as_memory():
    gain, cost, budget = market(60_001)
    held = Allocate(threads=1)(gain, cost, budget)
    streamed = Allocate(threads=2).stream(blocks(gain, cost, 7001), len(gain), budget)
    assert (streamed.choice == held.choice).all()
    assert streamed.bound == pytest.approx(held.bound, rel=1e-12)


@pytest.mark.parametrize("seed", [258, 301, 333, 363])
def test_a_stream_of_any_blocks_gives_the_same_where_many_tie(seed):
    """Sums are rounded by where blocks end, and where many tie that would decide who gets what."""
    rng = np.random.default_rng(seed)
    segment, shop = rng.integers(0, 3, 2000), rng.integers(0, 20, 2000)
    gain = rng.lognormal(0, 0.5, (3, 1))[segment] * np.sqrt([1.0, 2.0])
    cost = rng.choice([0.5, 1, 2], (2, 3, 2))[:, segment] * [1, 2] / 3
    rules = Rules(caps=[Cap(shop, np.floor(rng.uniform(0.2, 0.8, 20) * np.bincount(shop)))])
    held = Allocate()(gain, cost, [300, 400], rules)
    for size in (101, 333, 1999):
        streamed = Allocate().stream(blocks(gain, cost, size), 2000, [300, 400], rules)
        assert (streamed.choice == held.choice).all()


def test_a_stream_keeps_rules_too():
    gain, cost, budgets, rules = ruled(6000, shops=12, levels=3)
    order = np.argsort(rules.owner, kind="stable")
    sorted_caps = [Cap(np.asarray(cap.group)[order], cap.most, cap.least) for cap in rules.caps]
    sorted_rules = Rules(np.asarray(rules.owner)[order], sorted_caps)
    held = Allocate()(gain, cost, budgets, rules)
    starts = np.flatnonzero(np.append(True, np.diff(sorted_rules.owner) > 0))[::500]

    def read():
        for start, end in itertools.pairwise([*starts.tolist(), len(gain)]):
            yield gain[order][start:end], cost[:, order][:, start:end]

    streamed = Allocate().stream(read, len(gain), budgets, sorted_rules)
    assert streamed.value == pytest.approx(held.value, rel=1e-4)
    assert (streamed.choice == held.choice[order]).mean() > 0.99
    assert_kept(streamed, gain[order], cost[:, order], budgets, sorted_rules)
    with pytest.raises(BadInputError, match="cuts the menus of one customer"):
        Allocate().stream(blocks(gain[order], cost[:, order], 1001), len(gain), budgets, sorted_rules)
    with pytest.raises(BadInputError, match="lie apart"):
        Allocate().stream(blocks(gain, cost, 1001), len(gain), budgets, rules)


@pytest.mark.parametrize("wrong", [(5.0, 6.0), (0.01, 0.02), (1.0, 1.0), (0.0, 1e-9), (50.0, INF)])
def test_a_sample_that_errs_is_found_out(monkeypatch, wrong):
    gain, cost, budget = market(60_001)
    right = Allocate()(gain, cost, budget)
    monkeypatch.setattr(OneBudget, "_sampled", lambda self, budget: wrong)
    found = Allocate()(gain, cost, budget)
    assert found.bound == pytest.approx(right.bound, rel=1e-12)
    assert found.gap < 1e-6


def test_a_few_who_own_nearly_everything():
    """Ten units hold nine tenths of all cost: a sample that misses them errs, and is found out."""
    gain, cost, _ = market(60_001)
    cost[:10] *= 1e5
    gain[:10] *= 1e5
    budget = 0.3 * cost[:, -1].sum()
    found = Allocate()(gain, cost, budget)
    menu = frontier(gain, cost, points=1 << 30)
    assert found.bound == pytest.approx(np.interp(budget, menu.cost, menu.gain), rel=1e-12)
    assert_kept(found, gain, cost[None], [budget], Rules())


def test_prices_of_a_sample_are_a_start_only():
    gain, cost, budgets, rules = ruled(24_000, shops=40, levels=2)
    found = Allocate()(gain, cost, budgets, rules)
    assert found.gap <= 1e-4
    assert_kept(found, gain, cost, budgets, rules)


def test_the_curvature_of_the_softened_dual_is_right():
    rng = np.random.default_rng(0)
    gain, cost, own = rng.normal(1, 1, (40, 3)), rng.uniform(0, 2, (2, 40, 3)), rng.uniform(0, 1, (40, 3))
    starts = np.array([0, 3, 4, 5, 9, *range(10, 40, 2)])
    groups = [rng.integers(-1, size, 40) for size in (5, 2, 2)]
    row = np.stack([np.where(g >= 0, g + first, -1) for g, first in zip(groups, (2, 7, 9), strict=True)])
    program = Program(
        TablesInMemory(gain, cost, 2, 1, starts), np.full(11, 3.0), np.full(11, -INF), np.array([-2, 1, -1]),
        row.astype(np.int32), (own,), np.array([2, 7, 9, 11]), starts,
    )  # fmt: skip
    dual, price, heat, tiny = Dual(program), rng.uniform(0.1, 0.6, 11), 0.3, 1e-5
    soft = dual.soft(price, heat)
    moves = tiny * np.eye(11)
    slope = [(dual.soft(price + move, heat).value - dual.soft(price - move, heat).value) / 2 / tiny for move in moves]
    assert slope == pytest.approx(3.0 - soft.used, abs=1e-6)
    bend = np.array([dual.soft(price - move, heat).used - dual.soft(price + move, heat).used for move in moves])
    bend /= 2 * tiny
    assert bend[np.ix_(dual.dense, dual.dense)] == pytest.approx(soft.square, abs=1e-5)
    assert bend[np.ix_(dual.apart, dual.dense)] == pytest.approx(soft.cross, abs=1e-5)
    assert bend[dual.apart, dual.apart] == pytest.approx(soft.own, abs=1e-5)


def test_single_precision_is_read_where_it_lies():
    gain, cost, budget = market(3000)
    gain, cost = gain.astype(np.float32), cost.astype(np.float32)
    assert np.shares_memory(TablesInMemory(gain, cost, 1, 1).gain, gain)
    found = Allocate()(gain, cost, budget)
    assert_kept(found, gain.astype(float), cost.astype(float)[None], [budget], Rules())
    assert found.value == pytest.approx(Allocate()(*market(3000)).value, rel=1e-5)


def test_the_same_seed_gives_the_same_answer():
    gain, cost, budgets, rules = ruled(3000, shops=12, levels=3)
    first, again = (Allocate(seed=4, threads=threads)(gain, cost, budgets, rules) for threads in (1, 2))
    assert (first.choice == again.choice).all()
    assert (first.value, first.bound) == (again.value, again.bound)


# Frontiers and caution.


def test_a_frontier_is_concave_and_every_point_can_be_had():
    gain, cost, _ = market(4000)
    menu = frontier(gain, cost, points=40)
    assert len(menu.cost) == 40
    slopes = np.diff(menu.gain) / np.diff(menu.cost)
    assert (slopes > 0).all()
    assert (np.diff(slopes) < 0).all()
    assert menu.totals(gain) == pytest.approx(menu.gain, rel=1e-9)
    assert menu.totals(cost / 2) == pytest.approx(menu.cost / 2, rel=1e-9)
    for point in (0, 7, 39):
        choice = menu.choice(point)
        on = np.flatnonzero(choice >= 0)
        assert gain[on, choice[on]].sum() == pytest.approx(menu.gain[point], rel=1e-9, abs=1e-9)
        found = Allocate()(gain, cost, menu.cost[point])
        assert found.value == pytest.approx(menu.gain[point], rel=1e-9, abs=1e-9)
    whole = frontier(gain, cost, points=1 << 30)
    between = np.interp(whole.cost, menu.cost, menu.gain)
    assert (whole.gain - between).max() < 0.001 * whole.gain[-1]  # forty points lose a thousandth at most
    assert menu.choice(39).tolist() == np.where(gain.max(axis=1) > 0, gain.argmax(axis=1), -1).tolist()


def test_a_step_that_is_nearly_free_leaves_points_for_the_others():
    gain, cost, _ = market(3000)
    gain[0, :], cost[0, :] = np.arange(1, 7) ** 0.5, 1e-9 * np.arange(1, 7)
    menu, whole = (frontier(gain, cost, points=points) for points in (40, 1 << 30))
    assert len(menu.cost) == 40
    assert (whole.gain - np.interp(whole.cost, menu.cost, menu.gain)).max() < 0.001 * whole.gain[-1]


def test_a_frontier_begins_with_what_costs_nothing():
    menu = frontier([[2.0, 3.0], [-1.0, 4.0], [-INF, 1.0]], [[0.0, 1.0], [0.0, 2.0], [np.nan, 1.0]])
    assert menu.cost.tolist() == [0.0, 2.0, 4.0]
    assert menu.gain.tolist() == [2.0, 6.0, 8.0]
    assert menu.choice(0).tolist() == [0, -1, -1]
    nothing = frontier(np.full((3, 2), -1.0), np.ones((3, 2)))
    assert (nothing.cost.tolist(), nothing.gain.tolist()) == ([0.0], [0.0])


def test_caution_goes_to_the_low_end():
    mid, low = np.array([[3.0, 5.0, -INF]], np.float32), np.array([[2.5, 0.0, -INF]], np.float32)
    assert cautious(mid, low, 0).tolist() == mid.tolist()
    assert cautious(mid, low, 1).tolist() == low.tolist()
    assert cautious(mid, low, 0.5).dtype == np.float32
    assert cautious([3.0], [-INF], 0).tolist() == [3.0]
    sure = Allocate()(cautious(mid, low, 0.7), [[1.0, 1.0, 1.0]], 1.0)
    assert sure.choice.tolist() == [0]
    assert Allocate()(mid, [[1.0, 1.0, 1.0]], 1.0).choice.tolist() == [1]


# Edges.


@pytest.mark.parametrize("rules", [None, Rules(caps=[Cap(np.array([], int), most=[])]), Rules(owner=np.array([], int))])
def test_nobody_gets_nothing(rules):
    found = Allocate()(np.empty((0, 3)), np.empty((0, 3)), 5.0, rules)
    assert (found.choice.shape, found.value, found.bound, found.gap) == ((0,), 0, 0, 0)


@pytest.mark.parametrize("budgets", [4.0, [4.0, 4.0]])
def test_a_stream_of_nobody_gives_nothing(budgets):
    found = Allocate().stream(lambda: [], 0, budgets)
    assert (found.choice.shape, found.value, found.bound, found.gap) == ((0,), 0, 0, 0)


def test_groups_may_be_unsigned():
    found = Allocate()([[1.0], [2.0]], [[1.0], [1.0]], 5.0, Rules(caps=[Cap(np.zeros(2, np.uint64), most=1)]))
    assert found.choice.tolist() == [-1, 0]


@pytest.mark.parametrize("rules", [Rules(), Rules(caps=[Cap([0, 0], most=2)])])
def test_budgets_of_nothing_and_without_end(rules):
    gain, cost = np.array([[1.0, 2.0], [3.0, -INF]]), np.array([[0.0, 2.0], [1.0, np.nan]])
    found = Allocate()(gain, cost, 0.0, rules)
    assert (found.choice.tolist(), found.value) == ([0, -1], 1.0)
    found = Allocate()(gain, cost, INF, rules)
    assert (found.choice.tolist(), found.value, found.bound, found.multipliers.tolist()) == ([1, 0], 5.0, 5.0, [0.0])
    found = Allocate()(np.full((2, 2), -INF), cost, 1.0, rules)
    assert (found.choice.tolist(), found.value, found.bound) == ([-1, -1], 0.0, 0.0)


def test_a_budget_is_used_to_the_last_cent_despite_rounding():
    found = Allocate()([[1.0], [1.0]], [[0.1], [0.2]], 0.3)
    assert found.choice.tolist() == [0, 0]


def test_identical_menus_in_large_numbers():
    found = Allocate()(np.full((60_001, 2), [3.0, 4.0]), np.full((60_001, 2), [1.0, 2.0]), 70_000.0)
    assert np.bincount(found.choice).tolist() == [50_002, 9_999]
    assert found.gap == 0


@pytest.mark.parametrize("size", [1e-150, 1e150])
def test_very_large_and_very_small_money(size):
    gain, cost, budgets, rules = small(np.random.default_rng(1), count=20, caps=False)
    usual, found = Allocate()(gain, cost, budgets, rules), Allocate()(gain * size, cost, budgets, rules)
    assert found.value == pytest.approx(usual.value * size, rel=1e-4)
    gain, cost, budget = market(200)
    found = Allocate()(gain, cost * size, budget * size)
    assert found.value == pytest.approx(Allocate()(gain, cost, budget).value, rel=1e-9)


def test_a_search_that_is_not_allowed_leaves_an_honest_gap():
    found = Allocate(exact=0)([[10.0], [7.0], [7.0]], [[6.0], [5.0], [5.0]], 10.0)
    assert not found.exact
    assert found.gap == pytest.approx(1 - found.value / found.bound)
    assert found.gap > 0
    best = Allocate()([[10.0], [7.0], [7.0]], [[6.0], [5.0], [5.0]], 10.0)
    assert (best.value, best.exact) == (14.0, True)
    assert best.gap > 0


def test_settings_that_lose_more_than_the_gap_are_not_searched():
    """A search among few settings proves the best of many: the others cannot be in any better choice."""
    gain, total, _ = market(100, seed=2)
    cost = np.stack([total * share[:, None] for share in np.random.default_rng(2).dirichlet([1, 1], 100).T])
    budgets = 0.3 * cost[:, :, -1].sum(axis=1)
    found = Allocate(tolerance=0)(gain, cost, budgets)
    assert gain.size > 300
    assert found.exact
    assert found.value == pytest.approx(by_highs(gain, cost, budgets, Rules()), rel=1e-9)


def test_floors_may_cost_money():
    """Nobody gains, but the rule wants one offer of two: the one that loses least."""
    found = Allocate()([[-3.0, -2.0], [-1.0, -4.0]], [[1.0, 2.0], [2.0, 1.0]], 5.0, Rules(caps=[Cap([0, 0], least=1)]))
    assert found.choice.tolist() == [-1, 0]
    assert found.value == -1.0


@pytest.mark.parametrize("count", [4, 9000])
def test_floors_that_no_budget_pays_are_refused(count):
    gain, cost, _ = market(count, 2)
    rules = Rules(caps=[Cap(np.zeros(count, int), least=count / 2)])
    with pytest.raises(BadInputError, match="cannot all be kept"):
        Allocate()(gain, cost, 0.05 * cost.min(axis=1).sum(), rules)


def segmented(count, segments, seed=1):
    """Gains √cost times one factor for a whole segment, paid by two payers in unlike ways."""
    rng = np.random.default_rng(seed)
    segment = rng.integers(0, segments, count)
    cost = np.tile([1.0, 2.0, 3.0, 4.0], (count, 1))
    gain = rng.lognormal(0, 0.5, (segments, 1))[segment] * np.sqrt(cost)
    return segment, gain, np.stack([cost, np.sqrt(cost)]), count * np.array([0.5, 0.4])


def by_classes(code, gain, cost, budgets, shop=None, most=None):
    """The linear program over classes of menus that are alike, as HiGHS solves it."""
    _, first, size = np.unique(code, return_index=True, return_counts=True)
    levels = gain.shape[1]
    rows = [np.kron(np.eye(len(first)), np.ones(levels)), cost[:, first].reshape(len(budgets), -1)]
    if shop is not None:
        rows.append(np.repeat(shop[first] == np.arange(len(most))[:, None], levels, axis=1).astype(float))
    high = np.concatenate([size, budgets, [] if most is None else most])
    return -linprog(-gain[first].ravel(), np.vstack(rows)[np.isfinite(high)], high[np.isfinite(high)]).fun


@pytest.mark.parametrize("segments", [1, 10, 50])
def test_menus_of_segments_are_shared_out_as_in_the_program_of_classes(segments):
    segment, gain, cost, budgets = segmented(20_000, segments)
    found = Allocate()(gain, cost, budgets)
    assert_kept(found, gain, cost, budgets, Rules())
    best = by_classes(segment, gain, cost, budgets)
    assert found.value == pytest.approx(best, rel=1e-4)
    assert best * (1 - 1e-9) <= found.bound <= best * (1 + 1e-5)


def test_identical_menus_under_many_caps_are_shared_out():
    rng = np.random.default_rng(2)
    _, gain, cost, budgets = segmented(10_000, 1)
    shop = rng.integers(0, 50, len(gain))
    most = np.floor(rng.uniform(0.1, 0.4, 50) * np.bincount(shop, minlength=50))
    rules = Rules(caps=[Cap(shop, most)])
    found = Allocate()(gain, cost, budgets, rules)
    assert_kept(found, gain, cost, budgets, rules)
    assert found.value == pytest.approx(by_classes(shop, gain, cost, budgets, shop, most), rel=1e-4)
    streamed = Allocate().stream(blocks(gain, cost, 1001), len(gain), budgets, rules)
    assert (streamed.choice == found.choice).all()


def test_ties_that_a_cap_alone_breaks_are_filled_up():
    """Five shops may give a fifth of their menus each: all take the largest setting."""
    cost = np.tile([1.0, 2.0, 3.0, 4.0], (60_000, 1))
    found = Allocate()(np.sqrt(cost), cost, np.inf, Rules(caps=[Cap(np.arange(60_000) % 5, most=2400)]))
    assert found.value == pytest.approx(24_000)
    assert [used.tolist() for used in found.used] == [[2400] * 5]


def test_payers_of_the_same_offer_share_it():
    """Every setting can be paid by either of two: a tie within each menu, that only luck with costs breaks."""
    _, gain, cost, _ = segmented(60_000, 1)
    gain, cost = (
        np.hstack([gain, gain]),
        np.stack([np.hstack([cost[0], 0 * cost[0]]), np.hstack([0 * cost[0], cost[0]])]),
    )
    found = Allocate()(gain, cost, [3000, 5000])
    assert found.value == pytest.approx(by_classes(np.zeros(60_000), gain, cost, np.array([3000, 5000])), rel=1e-4)
    assert found.gap <= 1e-4


def test_luck_passes_no_setting_over_another_that_gains_as_much_for_less():
    gain, cost = np.ones((2000, 3)), np.tile([1.0, 2.0, 3.0], (2000, 1))
    found = Allocate()(gain, cost, np.inf, Rules(caps=[Cap(np.zeros(2000, int), most=500)]))
    assert np.unique(found.choice, return_counts=True)[1].tolist() == [1500, 500]
    assert found.spent == [500]


@pytest.mark.parametrize(("count", "shops", "seed"), [(3000, 30, 0), (3000, 10, 2), (6000, 100, 3)])
def test_floors_that_hardly_any_money_is_left_for_reach_the_linear_bound(count, shops, seed):
    """The worth of money is then many times its usual worth, and moves with that of every floor."""
    gain, cost, budgets, rules = floored(count, shops, seed)
    found = Allocate()(gain, cost, budgets, rules)
    assert_kept(found, gain, cost[None], budgets, rules)
    linear = by_highs(gain, cost[None], budgets, rules, whole=False)
    assert linear * (1 - 1e-9) <= found.bound <= linear * 1.0001
    assert found.value >= linear * 0.999


def test_a_bound_of_rounding_alone_is_no_gap():
    """Nobody can be paid anything; the prices that say so may leave a bound of 2e-16."""
    found = Allocate()([[1.0]], [[[1.0]], [[3.0]]], [0.0, 0.0])
    assert (found.value, found.gap) == (0.0, 0.0)
    assert Allocation(np.array([-1]), 0.0, 2.2e-16, np.zeros(1), np.zeros(1), rounding=1e-14).gap == 0
    assert Allocation(np.array([-1]), 0.0, 2.2e-13, np.zeros(1), np.zeros(1), rounding=1e-14).gap == 1


@pytest.mark.parametrize("share", [1e-320, 1e-100, 1e-12])
def test_budgets_of_next_to_nothing_buy_nothing(share):
    gain, cost, budget = market(400, 3)
    found = Allocate()(gain, np.stack([cost, cost]), [share * budget, budget])
    assert (found.choice == -1).all()


@pytest.mark.parametrize("payers", [1, 2])
def test_one_offer_that_takes_all_the_money_is_tried(payers):
    gain, cost = np.full((400, 1), 2.0), np.ones((payers, 400, 1))
    gain[0] = cost[:, 0] = 100_000
    found = Allocate()(gain, cost, [100_000.0] * payers)
    assert found.value == 100_000  # that offer alone; without it, 798


@pytest.mark.parametrize("seed", range(3))
def test_a_few_large_offers_under_two_budgets_come_near_the_best_of_highs(seed):
    rng = np.random.default_rng(seed)
    gain, cost = rng.lognormal(0, 0.5, (400, 3)).cumsum(axis=1), rng.uniform(0.2, 1, (2, 400, 3)).cumsum(axis=2)
    large = rng.choice(400, 3, replace=False)
    gain[large] *= 400 * rng.uniform(0.2, 0.5, (3, 1))
    cost[:, large] *= 400 * rng.uniform(0.1, 0.4, (2, 3, 1))
    budgets = 0.12 * cost[:, :, 0].sum(axis=1)
    found = Allocate()(gain, cost, budgets)
    assert_kept(found, gain, cost, budgets, Rules())
    assert found.value >= 0.9 * by_highs(gain, cost, budgets, Rules())


@pytest.mark.parametrize("size", [5000, 12_000])
def test_costs_of_fifteen_powers_of_ten_do_not_hide_that_nobody_must_get_anything(size):
    rng = np.random.default_rng(3)
    cost, gain = 10 ** rng.uniform(-6, 9, (2, size, 4)), 10 ** rng.uniform(-6, 9, (size, 4))
    budgets = 1e-7 * cost.max(axis=2).sum(axis=1)
    found = Allocate()(gain, cost, budgets)
    assert_kept(found, gain, cost, budgets, Rules())
    assert found.gap < 0.01


def test_identical_menus_under_caps_of_shops_are_not_refused():
    """A fifth of every shop's menus may get an offer: money for half a setting each then pays for 2.5 of them each."""
    shop = np.random.default_rng(0).integers(0, 150, 20_000)
    cost = np.tile([1.0, 2.0, 3.0, 4.0], (20_000, 1))
    most = np.floor(0.2 * np.bincount(shop))
    found = Allocate()(np.sqrt(cost), cost, 10_000, Rules(caps=[Cap(shop, most)]))
    extra = 10_000 - 2 * most.sum()  # of the offers, so many are of three coins, the others of two
    assert found.value == pytest.approx(np.sqrt(2) * (most.sum() - extra) + np.sqrt(3) * extra, rel=1e-4)
    assert found.gap <= 1e-4


def test_offers_of_overdrawn_limits_are_dropped_whatever_the_prices(monkeypatch):
    """Prices of nothing overdraw all limits, and no program is asked: still there is a choice, since nobody must."""
    monkeypatch.setattr(Dual, "prices", lambda self, *settings: np.zeros(len(self.program.upper)))
    monkeypatch.setattr(allocate_whole, "LARGEST_PROGRAM", 0)
    monkeypatch.setattr(allocate_whole, "ROUNDS", 1)
    gain, cost, budgets, rules = ruled(6000, shops=12, levels=3)
    rules = Rules(rules.owner, rules.caps[:1])
    found = Allocate()(gain, cost, 0.1 * budgets, rules)
    assert_kept(found, gain, cost, 0.1 * budgets, rules)
    assert found.value > 0


def floored(count, shops, seed=0, room=1.01):
    """A floor for every shop of a fifth of its menus, and hardly more money than the cheapest offers cost."""
    rng = np.random.default_rng(seed)
    cost = np.cumsum(rng.uniform(0.5, 2, (count, 4)), axis=1)
    gain = cost**0.7 * rng.lognormal(0, 0.5, (count, 4))
    shop = rng.integers(0, shops, count)
    least = np.bincount(shop, minlength=shops) // 5
    cheapest = sum(np.sort(cost[shop == each, 0])[: least[each]].sum() for each in range(shops))
    return gain, cost, np.array([room * cheapest]), Rules(caps=[Cap(shop, least=least)])


def test_a_sample_that_cannot_keep_its_share_of_floors_proves_nothing(monkeypatch):
    monkeypatch.setattr(allocate_dual, "SAMPLE", 300)
    gain, cost, budgets, rules = floored(3000, 50)
    found = Allocate()(gain, cost, budgets, rules)
    assert_kept(found, gain, cost[None], budgets, rules)
    linear = by_highs(gain, cost[None], budgets, rules, whole=False)
    assert found.value <= linear * (1 + 1e-9)
    assert linear <= found.bound * (1 + 1e-9)


def test_floors_that_only_parts_of_offers_could_keep_are_refused():
    rules = Rules(caps=[Cap([0, 0], least=3.0, most=3.0, weight=[2.0, 2.0])])
    with pytest.raises(BadInputError, match="by whole offers"):
        Allocate()([[1.0], [1.0]], [[1.0], [1.0]], 5.0, rules)
    with pytest.raises(BadInputError, match="No choice was found"):
        Allocate(exact=0)([[1.0], [1.0]], [[1.0], [1.0]], 5.0, rules)


def test_a_wrong_account_is_never_passed_on(monkeypatch):
    monkeypatch.setattr(allocate_whole, "_account", lambda piece, choice, used: used.__iadd__(100.0).sum())
    with pytest.raises(RuntimeError, match="breaks limit"):
        Allocate()([[1.0], [1.0]], [[1.0], [1.0]], 5.0, Rules(caps=[Cap([0, 0], most=1)]))


GAIN, COST = [[1.0, 2.0], [1.0, 3.0]], [[1.0, 2.0], [1.0, 2.0]]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Allocate()(GAIN, COST, -1.0), "budget is negative"),
        (lambda: Allocate()(GAIN, COST, np.nan), "budget is negative"),
        (lambda: Allocate()(GAIN, COST, []), "budget is negative"),
        (lambda: Allocate()(GAIN, COST, "much"), "not numbers"),
        (lambda: Allocate()([[np.nan, 1.0]], [[1.0, 1.0]], 1.0), "gain of setting 0 of unit 0"),
        (lambda: Allocate()([[INF, 1.0]], [[1.0, 1.0]], 1.0), "gain of setting 0 of unit 0"),
        (lambda: Allocate()([[1.0, 1.0]], [[1.0, -1.0]], 1.0), "cost of setting 1 of unit 0"),
        (lambda: Allocate()([[1.0, 1.0]], [[1.0, np.nan]], 1.0), "cost of setting 1 of unit 0"),
        (lambda: Allocate()([[1.0, 1.0]], [[1.0, INF]], 1.0), "cost of setting 1 of unit 0"),
        (lambda: Allocate()(GAIN, np.stack([COST, np.array(COST) - 5]), [1, 1]), "cost of setting 0 of unit 0"),
        (lambda: Allocate()(GAIN, COST, [1.0, 1.0]), "do not fit together"),
        (lambda: Allocate()(GAIN, [1.0, 2.0], 1.0), "do not fit together"),
        (lambda: Allocate()([1.0, 2.0], [1.0, 2.0], 1.0), "do not fit together"),
        (lambda: Allocate()(np.empty((2, 0)), np.empty((2, 0)), 1.0), "do not fit together"),
        (lambda: Allocate()([[1.0], [1.0, 2.0]], COST, 1.0), "not numbers"),
        (lambda: Allocate()(np.ones((1, 40_000)), np.ones((1, 40_000)), 1.0), "too long"),
        (lambda: Allocate(tolerance=-1), "Settings out of range"),
        (lambda: Allocate(threads=0), "Settings out of range"),
        (lambda: Allocate()(GAIN, COST, 1.0, Rules(owner=[1, 2, 3])), "one owner"),
        (lambda: Allocate()(GAIN, COST, 1.0, Rules(owner=[1.0, np.nan])), "whole number or a name"),
        (lambda: Allocate()(GAIN, COST, 1.0, Rules(caps=[Cap([0, 1, 1])])), "groups of cap 0"),
        (lambda: Allocate()(GAIN, COST, 1.0, Rules(caps=[Cap([0, -2])])), "groups of cap 0"),
        (lambda: Allocate()(GAIN, COST, 1.0, Rules(caps=[Cap([0.0, 1.0])])), "groups of cap 0"),
        (lambda: Allocate()(GAIN, COST, 1.0, Rules(caps=[Cap([0, 1], most=[1])])), "one for each group"),
        (
            lambda: Allocate()(GAIN, COST, 1.0, Rules(caps=[Cap([0, 1], most=[1, 1], least=[0, 0, 0])])),
            "for each group",
        ),
        (lambda: Allocate()(GAIN, COST, 1.0, Rules(caps=[Cap([0, 1], most=-1)])), "negative"),
        (lambda: Allocate()(GAIN, COST, 1.0, Rules(caps=[Cap([0, 1], least=np.nan)])), "negative"),
        (lambda: Allocate()(GAIN, COST, 1.0, Rules(caps=[Cap([0, 1], most=1, least=2)])), "above its cap"),
        (lambda: Allocate()(GAIN, COST, 9.0, Rules(caps=[Cap([0, 0], least=3)])), "above all that its menus hold"),
        (lambda: Allocate()(GAIN, COST, 1.0, Rules(caps=[Cap([0, 1], weight=1)])), "names no payer"),
        (lambda: Allocate()(GAIN, COST, 1.0, Rules(caps=[Cap([0, 1], weight=0.5)])), "names no payer"),
        (lambda: Allocate()(GAIN, COST, 1.0, Rules(caps=[Cap([0, 1], weight=[-1.0, 1.0])])), "A weight of cap 0"),
        (lambda: Allocate()(GAIN, COST, 1.0, Rules(caps=[Cap([0, 1], weight=[1.0])])), "A weight of cap 0"),
        (lambda: Allocate()(GAIN, COST, 1.0, Rules(caps=[Cap([0, 1], weight=np.ones((2, 3)))])), "A weight of cap 0"),
        (lambda: Allocate()(GAIN, COST, 1.0, Rules(caps=[Cap([0, 1])] * 2)), "given twice"),
        (lambda: Allocate().stream(blocks(np.ones((5, 2)), np.ones((5, 2)), 2), 6, 1.0), "fewer units"),
        (lambda: Allocate().stream(blocks(np.ones((5, 2)), np.ones((5, 2)), 2), 4, 1.0), "more units"),
        (lambda: Allocate().stream(lambda: iter([(GAIN, COST), ([[1.0]], [[1.0]])]), 3, 1.0), "Blocks differ"),
        (lambda: Allocate().stream(lambda: iter([]), -1, 1.0), "0 or more"),
        (lambda: frontier(GAIN, COST, points=1), "two points"),
        (lambda: frontier(GAIN, np.stack([COST, COST])), "do not fit together"),
        (lambda: frontier([[np.nan]], [[1.0]]), "gain of setting 0"),
        (lambda: frontier(GAIN, COST).totals([[1.0]]), "do not fit"),
        (lambda: cautious([1.0], [2.0]), "above its middle"),
        (lambda: cautious([1.0], [np.nan]), "above its middle"),
        (lambda: cautious([1.0], [0.0, 1.0]), "differ in shape"),
        (lambda: cautious([1.0], [0.0], -1), "Caution"),
        (lambda: upper_bound(GAIN, COST, 1.0, [1.0, 2.0]), "one multiplier"),
        (lambda: upper_bound(GAIN, COST, 1.0, [-1.0]), "a limit that there is not"),
        (lambda: upper_bound(GAIN, COST, INF, [1.0]), "a limit that there is not"),
        (lambda: upper_bound(GAIN, COST, 1.0, [1.0], Rules(caps=[Cap([0, 0])]), [[1.0]]), "a limit that there is not"),
        # What would overflow where it is summed.
        (lambda: Allocate()(GAIN, np.multiply(COST, 5e307), INF), "cost of setting 0 of unit 0"),
        (lambda: Allocate()([[1.5e308]] * 2, [[1.0]] * 2, 4.0), "gain of setting 0 of unit 0"),
        (lambda: Allocate()([[1.5e308]] * 2, [[1.0]] * 2, 4.0, Rules(caps=[Cap([0, 0])])), "gain of setting 0 of unit"),
        (lambda: Allocate()([[-1.5e308]] * 2, [[1.0]] * 2, 4.0), "gain of setting 0 of unit 0"),
        (lambda: Allocate()(GAIN, COST, 4e307), "budget is negative, not a number, or too large"),
        (lambda: Allocate()(GAIN, COST, 1.0, Rules(caps=[Cap([0, 1], most=1e308)])), "or too large"),
        (lambda: Allocate()(GAIN, COST, 1.0, Rules(caps=[Cap([0, 1], weight=[1e308, 1.0])])), "or too large"),
        (lambda: Allocate()([[5.0]], [[1e-301]], 0.0), "too small beside their gains"),
        (lambda: cautious([1e308], [-1e308]), "too large to be lowered"),
        (lambda: cautious(np.float32([3.0]), [1.0], 1e300), "too large to be lowered"),
        # What is no number, or none of those that there are.
        (lambda: Allocate()(np.ma.masked_less(GAIN, 2), COST, 1.0), "are masked"),
        (lambda: Allocate()(GAIN, COST, 1.0, Rules(caps=[Cap(np.ma.array([0, 0]))])), "are masked"),
        (lambda: Allocate()(np.multiply(GAIN, 1 + 1j), COST, 1.0), "not numbers"),
        (lambda: Allocate()(GAIN, COST, 1.0, Rules(caps=[Cap([0, 0], most="1")])), "not numbers"),
        (lambda: Allocate()(GAIN, COST, 1.0, Rules(caps=[Cap([0, 10**12])])), "groups of cap 0"),
        (lambda: Allocate()(GAIN, COST, 1.0, Rules(caps=[Cap(np.array([0, 2**63], np.uint64))])), "groups of cap 0"),
        (lambda: Allocate()(GAIN, COST, 1.0, Rules(caps=[Cap([[0], [0, 1]])])), "groups of cap 0"),
        (lambda: Allocate(threads=np.nan), "Settings out of range"),
        (lambda: Allocate(tolerance="0.1"), "Settings out of range"),
        (lambda: Allocate(seed=-1), "Settings out of range"),
        (lambda: Allocate(seed=1.5), "Settings out of range"),
        (lambda: Allocate().stream(lambda: [(GAIN, COST)], 2.0, 1.0), "0 or more"),
        (lambda: Allocate().stream([(GAIN, COST)], 2, 1.0), "by a callable"),
        (lambda: Allocate().stream(lambda: None, 2, 1.0), "are blocks"),
        (lambda: Allocate().stream(lambda: [(GAIN, COST, COST)], 2, 1.0), "not a pair"),
        (lambda: frontier(GAIN, COST, points=2.5), "two points"),
        (lambda: frontier(GAIN, COST).choice(-1), "no such point"),
        (lambda: frontier(GAIN, COST).totals(np.full((2, 2), np.nan)), "missing or too large"),
        (lambda: cautious([np.nan], [1.0]), "not a number, or infinite"),
        (lambda: cautious([1.0], [0.0], "half"), "Caution"),
        (lambda: upper_bound([[np.nan]], [[1.0]], 1.0, [1.0]), "gain of setting 0 of unit 0"),
        (lambda: upper_bound([[1.0]], [[np.nan]], 1.0, [1.0]), "cost of setting 0 of unit 0"),
        (lambda: upper_bound([[1.0]], [[-5.0]], 1.0, [1.0]), "cost of setting 0 of unit 0"),
        (lambda: upper_bound([[1.0]], [[1.0]], 1.0, ["a"]), "not numbers"),
    ],
)
def test_bad_input_is_one_clear_error(call, words):
    with pytest.raises(BadInputError, match=words):
        call()
