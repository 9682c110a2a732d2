"""Contributions: known truth, second implementations, and what makes no whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.errors import BadInputError
from tradewind.methods.contribution import Contribution, Node, tree, volume_mix_rate
from tradewind.money import apportioned

NAN = float("nan")
GMV = Node("GMV", "product", (Node("buyers"), Node("AOV")))


def factors(before, after, exponents: Mapping[str, int] | None = None) -> Contribution:
    """Take one product apart."""
    signs = tuple((exponents or {}).get(name, 1) for name in before)
    return tree(Node("whole", "product", tuple(map(Node, before)), signs), before, after)


def plain(parts: Mapping[str, np.ndarray]) -> dict[str, float]:
    return {name: float(part) for name, part in parts.items()}


# Known truth, computed by hand.


def test_two_factors_share_the_corner_equally():
    moved = factors({"visits": 100, "CVR": 0.1}, {"visits": 150, "CVR": 0.2})
    assert plain(moved.parts) == pytest.approx({"visits": 7.5, "CVR": 12.5})
    assert float(moved.change) == pytest.approx(20)


def test_three_factors_by_hand():
    # Shapley of x: Δx [ (y₀z₀ + y₁z₁)/3 + (y₁z₀ + y₀z₁)/6 ] = 1 · [(6 + 20)/3 + (12 + 10)/6]
    moved = factors({"x": 1, "y": 2, "z": 3}, {"x": 2, "y": 4, "z": 5})
    assert float(moved.parts["x"]) == pytest.approx(26 / 3 + 22 / 6)
    assert sum(plain(moved.parts).values()) == pytest.approx(2 * 4 * 5 - 1 * 2 * 3)


def test_a_divisor_by_hand():
    moved = factors({"GMV": 100, "spend": 10}, {"GMV": 120, "spend": 20}, exponents={"spend": -1})
    assert plain(moved.parts) == pytest.approx({"GMV": 20 * (1 / 10 + 1 / 20) / 2, "spend": -0.05 * 110})


def test_factors_may_come_from_zero_and_go_to_it():
    assert plain(factors({"x": 0, "y": 3}, {"x": 2, "y": 3}).parts) == {"x": 6, "y": 0}
    assert plain(factors({"x": 0, "y": 3}, {"x": 2, "y": 0}).parts) == pytest.approx({"x": 3, "y": -3})
    assert plain(factors({"x": 0, "y": 0}, {"x": 0, "y": 5}).parts) == {"x": 0, "y": 0}


def test_what_appears_or_vanishes_gets_the_change():
    appeared = factors({"buyers": 0, "orders each": NAN, "AOV": NAN}, {"buyers": 5, "orders each": 2, "AOV": 3})
    assert plain(appeared.parts) == {"buyers": pytest.approx(30), "orders each": 0, "AOV": 0}
    vanished = factors({"buyers": 5, "orders each": 2, "AOV": 3}, {"buyers": 0, "orders each": NAN, "AOV": NAN})
    assert plain(vanished.parts) == {"buyers": pytest.approx(-30), "orders each": 0, "AOV": 0}
    never = factors({"buyers": 0, "AOV": NAN}, {"buyers": 0, "AOV": NAN})
    assert plain(never.parts) == {"buyers": 0, "AOV": 0}
    per = factors({"GMV": 0, "unknown": NAN}, {"GMV": 6, "unknown": 3}, exponents={"unknown": -1})
    assert plain(per.parts) == {"GMV": pytest.approx(2), "unknown": 0}


def test_slices_of_a_cube_are_taken_apart_at_once():
    before = {"buyers": np.array([[10.0, 0.0], [4.0, 2.0]]), "AOV": np.array([[5.0, NAN], [1.0, 2.0]])}
    after = {"buyers": np.array([[20.0, 3.0], [0.0, 2.0]]), "AOV": np.array([[4.0, 7.0], [NAN, 4.0]])}
    moved = factors(before, after)
    assert moved.parts["buyers"] == pytest.approx(np.array([[45, 21], [-4, 0]]))
    assert moved.parts["AOV"] == pytest.approx(np.array([[-15, 0], [0, 4]]))
    assert moved.before.shape == moved.change.shape == (2, 2)


def test_more_factors_than_subsets_could_be_counted():
    names = [f"factor {i}" for i in range(40)]
    moved = factors(dict.fromkeys(names, 1.0), dict.fromkeys(names, 1.1))
    assert list(plain(moved.parts).values()) == pytest.approx([(1.1**40 - 1) / 40] * 40, rel=1e-12)


def test_terms_add_their_own_change():
    profit = Node("profit", "sum", (Node("sales"), Node("refunds")), (1, -1))
    moved = tree(profit, {"sales": 100, "refunds": 5}, {"sales": [120, 90], "refunds": [15, 5]})
    assert moved.parts["sales"].tolist() == [20, -10]
    assert moved.parts["refunds"].tolist() == [-10, 0]
    assert moved.change.tolist() == [10, -10]


def test_a_product_that_was_counted_is_what_its_factors_make():
    before = {"buyers": 10.0, "AOV": 5.0, "GMV": 50.0}
    moved = tree(GMV, before, {"buyers": 20.0, "AOV": 4.0, "GMV": 80.0 * (1 + 1e-12)})
    assert plain(moved.parts) == pytest.approx({"buyers": 45, "AOV": -15})
    known = {"buyers": 0.0, "AOV": NAN, "GMV": 80.0}  # who bought is not known
    profit = Node("profit", "sum", (GMV, Node("cost")), (1, -1))
    for root, more in ((GMV, {}), (profit, {"cost": 1.0})):
        for sides in ((before, known), (known, before)):
            with pytest.raises(BadInputError, match="'GMV' do not multiply to it"):
                tree(root, *({**side, **more} for side in sides))


def test_terms_that_cancel_keep_their_parts():
    gmv = Node("GMV", "product", (Node("visits", "sum", (Node("paid"), Node("organic"))), Node("GMV per visit")))
    moved = tree(gmv, {"paid": 10, "organic": 30, "GMV per visit": 2}, {"paid": 30, "organic": 10, "GMV per visit": 2})
    assert plain(moved.parts) == pytest.approx({"paid": 40, "organic": -40, "GMV per visit": 0})
    assert plain(moved.nodes) == {"visits": 0}


def test_a_tree_by_hand():
    # Profit 100·0.2·5 − 30 = 70 → 120·0.3·5 − 20 = 160.
    orders = Node("orders", "product", (Node("visits"), Node("CVR")))
    gmv = Node("GMV", "product", (orders, Node("AOV")))
    moved = tree(
        Node("profit", "sum", (gmv, Node("cost")), (1, -1)),
        {"visits": 100, "CVR": 0.2, "AOV": 5, "cost": 30},
        {"visits": 120, "CVR": 0.3, "AOV": 5, "cost": 20},
    )
    assert plain(moved.parts) == pytest.approx({"visits": 25, "CVR": 55, "AOV": 0, "cost": 10})
    assert plain(moved.nodes) == pytest.approx({"orders": 80, "GMV": 80})


def test_an_undefined_ratio_leaves_the_change_to_what_appeared():
    each = Node("GMV each", "ratio", (Node("spent"), Node("spenders")))
    gmv = Node("GMV", "product", (Node("buyers"), each))
    before, after = {"buyers": 0, "spent": 0, "spenders": 0}, {"buyers": 5, "spent": 60, "spenders": 20}
    moved = tree(gmv, before, after)
    assert plain(moved.parts) == {"buyers": pytest.approx(15), "spent": 0, "spenders": 0}
    assert plain(moved.nodes) == {"GMV each": 0}


def test_volume_mix_rate_by_hand():
    # Conversion 12/200 → 8/200: search keeps 10 %, the feed keeps 2 %, half of search's visits moved to the feed.
    mix = volume_mix_rate([10, 2], [100, 100], [5, 3], [50, 150])
    assert mix.ratio_rate == pytest.approx([0, 0])
    assert mix.ratio_mix == pytest.approx([-0.25 * (0.1 - 0.05), 0.25 * (0.02 - 0.05)])
    assert mix.volume == pytest.approx([-50 * 0.05, 50 * 0.05])
    # Everything doubled: only volume, and each slice's own.
    volume = volume_mix_rate([10, 2], [100, 100], [20, 4], [200, 200])
    assert volume.volume == pytest.approx([10, 2])
    assert np.abs([volume.mix, volume.rate, volume.ratio_mix, volume.ratio_rate]).max() == 0
    # Only one ratio moved.
    rate = volume_mix_rate([10, 2], [100, 100], [15, 2], [100, 100])
    assert rate.rate == pytest.approx([5, 0])
    assert rate.ratio_rate == pytest.approx([0.025, 0])
    assert np.abs([rate.mix, rate.volume]).max() == 0


def test_a_slice_that_appears_brings_no_rate():
    moved = volume_mix_rate([10, 0, 0], [100, 0, 0], [10, 6, 0], [100, 20, 0])
    assert moved.rate == pytest.approx([0, 0, 0])
    assert moved.volume + moved.mix == pytest.approx([0, 6, 0])
    assert moved.ratio_mix.sum() == pytest.approx(16 / 120 - 0.1)


def test_a_whole_that_appears_is_all_volume():
    moved = volume_mix_rate([0, 0], [0, 0], [4, 6], [40, 10])
    assert moved.volume == pytest.approx([4, 6])
    assert np.abs([moved.mix, moved.rate, moved.ratio_mix, moved.ratio_rate]).max() == 0


# Second implementations.


def shapley(worth: Callable[[frozenset[str]], float], names: list[str]) -> dict[str, float]:
    """Average what each adds over all n! orders."""
    added = dict.fromkeys(names, 0.0)
    for order in permutations(names):
        for i, name in enumerate(order):
            added[name] += worth(frozenset(order[: i + 1])) - worth(frozenset(order[:i]))
    return {name: total / math.factorial(len(names)) for name, total in added.items()}


def worth_of_product(before, after, exponents) -> Callable[[frozenset[str]], float]:
    return lambda moved: math.prod((after if n in moved else before)[n] ** exponents[n] for n in before)


def lmdi(before: dict[str, float], after: dict[str, float], exponents: dict[str, int]) -> dict[str, float]:
    """Additive LMDI-I: the logarithmic mean of the whole times the log of each factor's growth (Ang 2005)."""
    worth = worth_of_product(before, after, exponents)
    old, new = worth(frozenset()), worth(frozenset(before))
    mean = (new - old) / math.log(new / old) if new != old else old
    return {name: mean * exponents[name] * math.log(after[name] / before[name]) for name in before}


LEVELS = st.floats(0.01, 1000)
CASES = st.integers(1, 5).flatmap(
    lambda n: st.lists(st.tuples(LEVELS, LEVELS, st.sampled_from([1, -1])), min_size=n, max_size=n)
)


def as_mappings(case) -> tuple[dict[str, float], dict[str, float], dict[str, int]]:
    return tuple({f"f{i}": row[j] for i, row in enumerate(case)} for j in range(3))


@settings(max_examples=60, deadline=None)
@given(CASES)
def test_factors_equal_the_average_over_all_orders(case):
    before, after, exponents = as_mappings(case)
    worth = worth_of_product(before, after, exponents)
    largest = max(abs(worth(frozenset(s))) for n in range(len(before) + 1) for s in permutations(before, n))
    moved = plain(factors(before, after, exponents).parts)
    assert moved == pytest.approx(shapley(worth, list(before)), rel=1e-9, abs=1e-12 * largest)


SIGNED = st.one_of(st.just(0.0), st.floats(-1e4, 1e4).filter(lambda x: abs(x) > 1e-3))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(SIGNED, SIGNED), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_axioms_of_factors(case, random):
    before, after = ({f"f{i}": row[j] for i, row in enumerate(case)} for j in range(2))
    moved = factors(before, after)
    parts = plain(moved.parts)
    scale = math.prod(max(abs(b), abs(a), abs(a - b)) for b, a in case)
    close = {"rel": 1e-9, "abs": 1e-12 * scale}
    assert math.fsum(parts.values()) == pytest.approx(float(moved.change), **close)
    assert all(parts[name] == 0 for name in before if before[name] == after[name])
    assert plain(factors(after, before).parts) == pytest.approx({n: -p for n, p in parts.items()}, **close)
    order = random.sample(list(before), len(before))
    shuffled = factors({n: before[n] for n in order}, {n: after[n] for n in order})
    assert plain(shuffled.parts) == pytest.approx(parts, **close)
    # A twin that moves by the same ratio gets the same.
    twin = factors({**before, "twin": 3 * before["f0"]}, {**after, "twin": 3 * after["f0"]})
    bound = 3 * scale * max(abs(x) for x in (*case[0], case[0][1] - case[0][0]))
    assert float(twin.parts["twin"]) == pytest.approx(float(twin.parts["f0"]), rel=1e-9, abs=1e-12 * bound)


def test_small_changes_agree_with_the_logarithmic_mean():
    rng = np.random.default_rng(5)
    for _ in range(50):
        names = [f"f{i}" for i in range(4)]
        before = dict(zip(names, rng.uniform(1, 50, 4).tolist(), strict=True))
        after = {name: value * float(rng.uniform(0.98, 1.02)) for name, value in before.items()}
        exponents = dict(zip(names, [1, 1, -1, 1], strict=True))
        moved = factors(before, after, exponents)
        mean = lmdi(before, after, exponents)
        # The two differ in the third order of the changes: less than 2 %³ of the whole, a few times over.
        assert plain(moved.parts) == pytest.approx(mean, abs=1e-5 * abs(float(moved.before)))


def value_of(node: Node, leaves: Mapping[str, float]) -> float:
    if node.kind == "leaf":
        return leaves[node.name]
    values = [value_of(child, leaves) for child in node.children]
    if node.kind == "sum":
        return sum(sign * value for sign, value in zip(node.signs, values, strict=True))
    return math.prod(value**sign for sign, value in zip(node.signs, values, strict=True))


def orders_of(node: Node) -> Iterator[tuple[str, ...]]:
    """Yield every order of the leaves that keeps each subtree together."""
    if node.kind == "leaf":
        yield (node.name,)
        return
    for children in permutations(node.children):
        for chosen in product(*(list(orders_of(child)) for child in children)):
            yield sum(chosen, ())


def owen(root: Node, before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    orders = list(orders_of(root))
    added = dict.fromkeys(before, 0.0)
    for order in orders:
        leaves = dict(before)
        for name in order:
            start = value_of(root, leaves)
            leaves[name] = after[name]
            added[name] += value_of(root, leaves) - start
    return {name: total / len(orders) for name, total in added.items()}


def leaf(name: str) -> Node:
    return Node(name)


NESTED = Node(
    "profit",
    "sum",
    (
        Node(
            "GMV",
            "product",
            (
                Node("visits", "sum", (leaf("paid"), leaf("organic"))),
                Node("CVR", "ratio", (leaf("orders"), Node("all visits", "product", (leaf("users"), leaf("each"))))),
                Node("AOV", "product", (leaf("units"), leaf("price"))),
            ),
        ),
        leaf("cost"),
    ),
    (1, -1),
)


def draw_leaves(root: Node, rng: np.random.Generator) -> dict[str, float]:
    return {node.name: float(rng.uniform(0.5, 3)) for node in root.walk() if node.kind == "leaf"}


def test_a_tree_equals_the_average_over_orders_that_keep_subtrees_together():
    rng = np.random.default_rng(11)
    for _ in range(3):
        before, after = draw_leaves(NESTED, rng), draw_leaves(NESTED, rng)
        assert plain(tree(NESTED, before, after).parts) == pytest.approx(owen(NESTED, before, after), rel=1e-9)


def test_a_sum_in_a_divisor_gets_the_integral_along_the_straight_path():
    total = Node("visits", "sum", (leaf("paid"), leaf("organic")))
    before, after = {"GMV": 50, "paid": 4, "organic": 9}, {"GMV": 50, "paid": 7, "organic": 8}
    moved = tree(Node("GMV per visit", "ratio", (leaf("GMV"), total)), before, after)
    t = (np.arange(200_000) + 0.5) / 200_000
    visits = 13 + 2 * t
    assert float(moved.parts["paid"]) == pytest.approx((-50 * 3 / visits**2).mean(), rel=1e-8)
    assert float(moved.parts["organic"]) == pytest.approx((50 * 1 / visits**2).mean(), rel=1e-8)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_axioms_of_a_tree(seed):
    rng = np.random.default_rng(seed)
    before, after = draw_leaves(NESTED, rng), draw_leaves(NESTED, rng)
    after["organic"] = before["organic"]
    moved = tree(NESTED, before, after)
    assert math.fsum(plain(moved.parts).values()) == pytest.approx(float(moved.change), rel=1e-9, abs=1e-9)
    everything = plain({**moved.parts, **moved.nodes})
    for node in NESTED.walk():
        if node.children and node is not NESTED:
            below = math.fsum(everything[child.name] for child in node.children)
            assert below == pytest.approx(everything[node.name], rel=1e-9, abs=1e-9)
    assert everything["organic"] == 0
    back = tree(NESTED, after, before)
    assert plain(back.parts) == pytest.approx({n: -p for n, p in plain(moved.parts).items()}, rel=1e-9, abs=1e-9)


def test_cutting_a_term_finer_changes_no_other_part():
    def per_visit(*names: str) -> Node:
        return Node("GMV per visit", "ratio", (leaf("GMV"), Node("visits", "sum", tuple(map(leaf, names)))))

    before, after = {"GMV": 60, "paid": 10, "organic": 20}, {"GMV": 90, "paid": 25, "organic": 15}
    whole = plain(tree(per_visit("paid", "organic"), before, after).parts)
    cut_before = {"GMV": 60, "feed": 4, "search": 6, "organic": 20}
    cut_after = {"GMV": 90, "feed": 24, "search": 1, "organic": 15}
    cut = plain(tree(per_visit("feed", "search", "organic"), cut_before, cut_after).parts)
    assert cut["GMV"] == pytest.approx(whole["GMV"])
    assert cut["organic"] == pytest.approx(whole["organic"])
    assert cut["feed"] + cut["search"] == pytest.approx(whole["paid"])


def test_rate_and_mix_equal_shapley_with_shares_as_one_player():
    rng = np.random.default_rng(3)
    n0, d0, n1, d1 = rng.uniform(1, 20, (4, 4))
    moved = volume_mix_rate(n0, d0, n1, d1)
    shares, ratios = (d0 / d0.sum(), d1 / d1.sum()), (n0 / d0, n1 / d1)

    def ratio(gone: frozenset[str]) -> float:
        share = shares["shares" in gone]
        return float(sum(share[k] * ratios[str(k) in gone][k] for k in range(4)))

    expected = shapley(ratio, ["shares", "0", "1", "2", "3"])
    assert moved.ratio_rate == pytest.approx([expected[str(k)] for k in range(4)])
    assert moved.ratio_mix.sum() == pytest.approx(expected["shares"])
    whole = factors({"D": d0.sum(), "R": n0.sum() / d0.sum()}, {"D": d1.sum(), "R": n1.sum() / d1.sum()})
    assert moved.volume.sum() == pytest.approx(float(whole.parts["D"]))
    assert (moved.mix + moved.rate).sum() == pytest.approx(float(whole.parts["R"]))


SLICES = st.lists(
    st.tuples(*[st.one_of(st.just(0.0), st.floats(0.1, 1e4)), st.floats(-2, 2)] * 2), min_size=1, max_size=6
)


@settings(max_examples=150, deadline=None)
@given(SLICES)
def test_volume_mix_rate_sums_in_every_slice(rows):
    d0, r0, d1, r1 = np.array(rows).T
    n0, n1 = d0 * r0, d1 * r1
    moved = volume_mix_rate(n0, d0, n1, d1)
    scale = max(1.0, d0.sum(), d1.sum())
    assert moved.volume + moved.mix + moved.rate == pytest.approx(n1 - n0, rel=1e-9, abs=1e-10 * scale)
    if d0.sum() and d1.sum():
        change = n1.sum() / d1.sum() - n0.sum() / d0.sum()
        assert (moved.ratio_mix + moved.ratio_rate).sum() == pytest.approx(change, rel=1e-9, abs=1e-9)
    back = volume_mix_rate(n1, d1, n0, d0)
    for there, home in ((moved.volume, back.volume), (moved.mix, back.mix), (moved.rate, back.rate)):
        assert there == pytest.approx(-home, rel=1e-9, abs=1e-10 * scale)


@pytest.mark.parametrize("size", [1e13, 1e14, 1e16])
@pytest.mark.parametrize("move", [0.3, 1e-6])
def test_factors_of_any_money_sum_to_the_change_to_the_cent(size, move):
    rng = np.random.default_rng(13)
    for _ in range(50):
        sides, totals = [], []
        first = np.array([1e6, 1.3e6, 2e6, size])
        for _ in range(2):
            buyers, orders, items, gross = np.rint(first * (1 + move * rng.random(4)))
            gmv = round(0.9 * gross)
            sides.append({"buyers": buyers, "orders each": orders / buyers, "items each": items / orders,
                          "price": gross / items, "kept": gmv / gross})  # fmt: skip
            totals.append(gmv)
        parts = [float(part) for part in factors(*sides).parts.values()]
        total = Decimal(totals[1] - totals[0])
        assert sum(apportioned(parts, total, whole=max(totals))) == total


# Bad input: one clear error.

GOOD = {"buyers": 1.0, "AOV": 2.0}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: factors({"x": 1}, {"y": 1}), "same names"),
        (lambda: factors({"x": 1}, {"x": 1, "y": 1}), "same names"),
        (lambda: factors({"x": NAN, "y": 1}, {"x": 1, "y": 1}), "missing values in x"),
        (lambda: factors({"x": math.inf}, {"x": 1}), "infinite"),
        (lambda: factors({"x": "many"}, {"x": 1}), "not numbers"),
        (lambda: factors({"x": [1, 2]}, {"x": [1, 2, 3]}), "do not fit together"),
        (lambda: factors({"x": 1}, {"x": 1}, exponents={"x": 2}), "signs"),
        (lambda: factors({"x": 1, "y": 0}, {"x": 1, "y": 1}, exponents={"y": -1}), "divisor is zero"),
        (lambda: factors({"x": 0, "y": 0}, {"x": 1, "y": 1}, exponents={"y": -1}), "no value on one side"),
        (lambda: factors({"x": 1e200, "y": 1e200}, {"x": 1, "y": 1}), "overflow"),
        (lambda: tree(GMV, GOOD, {"buyers": 1.0}), "same names"),
        (lambda: tree(GMV, {**GOOD, "GMV": 2.0}, GOOD), "same names"),
        (lambda: tree(GMV, {**GOOD, "visits": 2.0}, {**GOOD, "visits": 2.0}), "same names"),
        (lambda: tree(Node("GMV", "sum", (GMV,)), GOOD, GOOD), "several nodes"),
        (lambda: Node("x", "mean"), "unknown kind"),
        (lambda: Node("x", "ratio", (Node("y"),)), "wrong number of children"),
        (lambda: Node("x", "leaf", (Node("y"),)), "wrong number of children"),
        (lambda: Node("x", "sum"), "wrong number of children"),
        (lambda: Node("x", "sum", (Node("y"), Node("z")), (1,)), "signs"),
        (lambda: Node("x", "ratio", (Node("y"), Node("z")), (1, 1)), "signs"),
        (lambda: volume_mix_rate([], [], [], []), "over slices"),
        (lambda: volume_mix_rate(1, 1, 1, 1), "over slices"),
        (lambda: volume_mix_rate([1, 2], [1, 2], [1, 2, 3], [1, 2, 3]), "do not fit together"),
        (lambda: volume_mix_rate([NAN], [1], [1], [1]), "numerator before lacks values"),
        (lambda: volume_mix_rate([1], [-1], [1], [1]), "negative"),
        (lambda: volume_mix_rate([1], [1], [1], [0]), "no denominator"),
    ],
)
def test_bad_input_says_what_is_wrong(call, words):
    with pytest.raises(BadInputError, match=words):
        call()
