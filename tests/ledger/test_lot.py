"""The lot: the same on every machine, fair, and independent from one experiment to the next."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tradewind.errors import BadInputError
from tradewind.ledger.lot import HOLDOUT, TREATED, Tally, picked, salt, thrown, uniform

UNITS = [f"c{number}" for number in range(5_000)]
ARMS = {HOLDOUT: 0.1, TREATED: 0.9}


def test_the_same_on_every_machine() -> None:
    assert salt(7, "s1", "spring", "lapsed") == '["7","s1","spring","lapsed"]'
    found = hashlib.sha256(b'["7","s1","spring","lapsed"]\0c1').hexdigest()
    assert uniform(salt(7, "s1", "spring", "lapsed"), "c1") == (int(found[:16], 16) >> 11) / 2**53
    assert thrown("x", ["c1", "c2", "ü", "c4", "c5", "c6"], {HOLDOUT: 0.5, TREATED: 0.5}) == [
        TREATED, HOLDOUT, TREATED, TREATED, HOLDOUT, TREATED,
    ]  # fmt: skip


def test_a_plain_loop_draws_the_same() -> None:
    arms = {"a": 0.2, "b": 0.3, "c": 0.5}
    loop = ["a" if (u := uniform("s", unit)) < 0.2 else "b" if u < 0.5 else "c" for unit in UNITS[:500]]
    assert thrown("s", UNITS[:500], arms) == loop


def test_arms_are_as_large_as_their_propensities_and_numbers_uniform() -> None:
    chances = []
    for seed in range(20):
        count = Counter(thrown(salt(seed, "spring"), UNITS, ARMS))
        chances.append(stats.chisquare([count[HOLDOUT], count[TREATED]], [500, 4500]).pvalue)
    assert stats.kstest(chances, "uniform").pvalue > 0.001
    numbers = [uniform("s", unit) for unit in UNITS]
    assert stats.kstest(numbers, "uniform").pvalue > 0.001


def test_arms_are_balanced_over_what_customers_are() -> None:
    """A/A: what a customer is, written into the id or not, tells nothing about the arm."""
    rng = np.random.default_rng(3)
    region = rng.integers(0, 5, len(UNITS))
    chances = []
    for seed in range(20):
        held = np.array(thrown(salt(seed, "a", "b"), UNITS, ARMS)) == HOLDOUT
        for trait in (region, np.arange(len(UNITS)) % 10, np.arange(len(UNITS)) // 2000):
            table = np.array([np.bincount(trait[held == side]) for side in (True, False)])
            chances.append(stats.chi2_contingency(table).pvalue)
    assert stats.kstest(chances, "uniform").pvalue > 0.001


def test_experiments_draw_apart_from_each_other() -> None:
    first = np.array(thrown(salt(0, "spring", "a"), UNITS, ARMS)) == HOLDOUT
    chances = []
    for plan in range(20):
        other = np.array(thrown(salt(0, f"plan {plan}", "a"), UNITS, ARMS)) == HOLDOUT
        table = [[(first & other).sum(), (first & ~other).sum()], [(~first & other).sum(), (~first & ~other).sum()]]
        chances.append(stats.chi2_contingency(table).pvalue)
    assert stats.kstest(chances, "uniform").pvalue > 0.001


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), unique=True, min_size=1), st.data())
def test_a_unit_keeps_its_arm_whoever_is_beside_it(units: list[str], data: st.DataObject) -> None:
    arms = dict(zip(units, thrown("s", units, ARMS), strict=True))
    some = data.draw(st.permutations(units))[: len(units) // 2]
    assert thrown("s", some, ARMS) == [arms[unit] for unit in some]


def test_exactly_so_many_are_picked_each_as_likely() -> None:
    units = [f"p{number}" for number in range(8)]
    times = Counter(unit for seed in range(800) for unit in picked(salt(seed, "x"), units, 3))
    assert sum(times.values()) == 2400
    assert stats.chisquare([times[unit] for unit in units]).pvalue > 0.001
    assert picked("x", units, 0) == frozenset()
    assert picked("x", units, 8) == set(units)
    assert picked("x", units[::-1], 3) == picked("x", units, 3)


@pytest.mark.parametrize("arms", [{}, {"a": 0.5}, {"a": 1.0, "b": 0.0}, {"a": -0.5, "b": 1.5}, {"a": float("nan")}])
def test_arms_that_make_no_whole(arms: dict[str, float]) -> None:
    with pytest.raises(BadInputError, match="do not make one"):
        thrown("s", ["c1"], arms)


def test_a_digest_is_of_the_rows_and_nothing_else() -> None:
    def tally(*rows: tuple[str, str]) -> Tally:
        made = Tally()
        for unit, arm in rows:
            made.add(unit, arm)
        return made

    one = tally(("a", TREATED), ("b", HOLDOUT))
    assert one.digest == hashlib.sha256(b"a\x1ftreated\nb\x1fholdout\n").hexdigest()
    assert one.arms == {TREATED: 1, HOLDOUT: 1}
    assert len({one.digest, tally(("a", TREATED)).digest, tally(("a", HOLDOUT), ("b", HOLDOUT)).digest}) == 3
