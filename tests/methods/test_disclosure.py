"""What may be told of a group: quartiles by another hand, the rules' edges, and nobody's own value."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.errors import BadInputError
from tradewind.methods.disclosure import QUARTERS, Disclosure, Withheld

RULE = Disclosure()
NOBODYS = [False] * 40


def by_steps(values: np.ndarray, quarter: float, reach: float, steps: int = 200_000) -> float:
    """The mean of the quantile function over a band of ranks, by a fine grid."""
    at = quarter + (np.arange(steps) + 0.5) / steps * 2 * reach - reach
    return float(np.sort(values)[(at * len(values)).astype(int)].mean())


@pytest.mark.parametrize("units", [11, 12, 13, 17, 18, 25, 40, 333])
def test_quartiles_are_means_over_bands_of_ranks(units: int) -> None:
    values = np.random.default_rng(units).lognormal(5, 0.5, units)
    told = RULE(values, [False] * units)
    assert told.withheld is None
    assert told.units == units - units % 5
    for figure, quarter in zip((told.low, told.middle, told.high), QUARTERS, strict=True):
        wanted = by_steps(values, quarter, min(2.5 / units, 0.15))
        assert figure == pytest.approx(wanted, rel=0.051)
        assert figure == float(f"{RULE.band(units, quarter) @ np.sort(values):.1e}")
        assert RULE.band(units, quarter) @ np.sort(values) == pytest.approx(wanted, rel=1e-3)


@given(st.integers(11, 400), st.sampled_from(QUARTERS))
def test_a_band_holds_at_least_four_units_and_nobodys_extremes(units: int, quarter: float) -> None:
    weight = RULE.band(units, quarter)
    assert weight.sum() == pytest.approx(1)
    assert (weight > 0).sum() >= 4
    assert weight.max() <= 0.304
    assert weight[0] == weight[-1] == 0


def test_quartiles_do_not_depend_on_order_or_scale() -> None:
    rng = np.random.default_rng(1)
    values = rng.gamma(3, 10, 40)
    told, mixed, large = (RULE(v, NOBODYS) for v in (values, rng.permutation(values), values * 1000))
    assert told == mixed
    assert (large.low, large.middle) == (pytest.approx(told.low * 1000), pytest.approx(told.middle * 1000))
    assert RULE(-values, NOBODYS).low == -told.high


def test_ten_others_are_needed_and_enough() -> None:
    values = np.arange(100.0, 111.0) ** 2
    one, two = [True] + [False] * 10, [True, True] + [False] * 9
    assert RULE(values, one).withheld is None
    assert RULE(values[:10], [True] + [False] * 9).withheld is Withheld.FEW
    assert RULE(values[:10], [False] * 10).withheld is Withheld.FEW, "one more than ten, whoever asks"
    assert RULE(values, two).withheld is Withheld.FEW
    assert RULE.judged([1] * 10) is Withheld.FEW
    assert RULE.judged([1] * 11) is None


def test_nobody_may_be_above_a_quarter() -> None:
    assert RULE.judged([10.0] + [1.0] * 30) is None
    assert RULE.judged([10.1] + [1.0] * 30) is Withheld.DOMINATED
    assert RULE.judged([10.0, 10.0, 10.0, *[1.0] * 10]) is None


@given(st.lists(st.floats(0.01, 1e6), min_size=11, max_size=60))
def test_a_group_that_stands_meets_the_other_classical_rules(sizes: list[float]) -> None:
    if RULE.judged(sizes) is None:
        *rest, second, largest = sorted(sizes)
        assert largest + second <= sum(sizes) / 2 * (1 + 1e-9), "(2, 50 %) dominance"
        assert sum(rest) >= 2 * largest * (1 - 1e-9), "the p% rule, of any p up to 200"


def test_a_figure_may_not_rest_on_one_unit() -> None:
    values = np.ones(20)
    values[15:] = (2, 2, 2, 2, 900)
    assert RULE(values, [False] * 20).withheld is None, "the largest lies outside the band, ranks 13 to 18"
    values[15:] = (2, 2, 900, 900, 900)
    assert RULE(values, [False] * 20).withheld is Withheld.EXPOSED, "half a part of the 18th is nearly all of the sum"
    values[15:] = 900
    assert RULE(values, [False] * 20).withheld is None, "three large ones hide each other"
    values[15:] = (1, 900, 900, 900, 900)
    assert RULE(values, [False] * 20).withheld is Withheld.EXPOSED, "either of two could tell the other"


def test_what_the_asker_owns_does_not_hide_others() -> None:
    values = np.arange(1.0, 41.0)
    rank = np.flatnonzero(RULE.band(40, 0.5))
    own = np.zeros(40, bool)
    own[rank[:-1]] = True
    assert RULE(values, own).withheld is Withheld.EXPOSED, "all but one of a band are the asker's"
    own[rank[2:]] = False
    assert RULE(values, own) == RULE(values, NOBODYS), "the figures are the same for everybody"


def test_a_group_whose_units_are_alike_is_not_told() -> None:
    assert RULE([0.0] * 40, NOBODYS).withheld is Withheld.ALIKE
    assert RULE([7.0] * 39 + [8.0], NOBODYS).withheld is Withheld.ALIKE
    assert RULE([0.0] * 20 + [5.0] * 20, NOBODYS).withheld is None


@given(st.lists(st.tuples(st.floats(0.01, 1e4), st.sampled_from((*"abcd", None))), max_size=120))
def test_every_group_stands_and_every_unit_has_one(units: list[tuple[float, str | None]]) -> None:
    sizes, kinds = np.array([size for size, _ in units]), [kind for _, kind in units]
    alone = RULE.alone(sizes, kinds)
    assert alone <= {kind for kind in kinds if kind}
    for kind in alone:
        assert RULE.judged(sizes[[k == kind for k in kinds]]) is None
    rest = sizes[[k not in alone for k in kinds]] if units else sizes
    if len(rest) and RULE.judged(rest) is not None:
        by_itself = {k for k in set(kinds) - {None} if RULE.judged(sizes[[x == k for x in kinds]]) is None}
        assert alone == by_itself, "others join only where that helps"


def test_the_smallest_kinds_join_those_that_cannot_stand() -> None:
    kinds = ["a"] * 30 + ["b"] * 12 + ["c"] * 15 + ["d"] * 3 + [None]
    assert RULE.alone(np.ones(61), kinds) == {"a", "c"}
    assert RULE.alone(np.ones(57), kinds[:57]) == {"a", "b", "c"}
    sizes = np.ones(61)
    sizes[-1] = 1000
    assert RULE.alone(sizes, kinds) == {"a", "b", "c"}, "nobody can hide the giant, so nobody joins it"
    assert RULE.alone([], []) == frozenset()


@settings(max_examples=200)
@given(st.lists(st.floats(1, 1e6), min_size=11, max_size=50, unique=True), st.integers(0, 10**6))
def test_a_told_figure_moves_by_less_than_the_unit_that_moves(values: list[float], pick: int) -> None:
    """One unit's move changes a figure by a third of it at most, before rounding."""
    moved = np.array(values)
    moved[pick % len(values)] *= 1.5
    for quarter in QUARTERS:
        weight = RULE.band(len(values), quarter)
        before, after = weight @ np.sort(values), weight @ np.sort(moved)
        assert abs(after - before) <= 0.304 * np.abs(moved - values).max() * (1 + 1e-9)


def test_what_does_not_fit() -> None:
    for values, own in (([1.0, 2.0], [True]), ([[1.0]], [[True]]), ([1.0, np.nan], [True, False])):
        with pytest.raises(BadInputError):
            RULE(values, own)
    for wrong in ({"least": 9}, {"share": 0.3}, {"uncertain": 0.05}, {"width": 1}, {"digits": 0}, {"step": 0}):
        with pytest.raises(BadInputError):
            Disclosure(**wrong)
