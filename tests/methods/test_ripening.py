"""Ripening: known truth, a plain loop, and coverage with width."""

import numpy as np
import pytest

from tradewind.errors import BadInputError
from tradewind.methods.ripening import Ripening

PATTERN = np.array([0.04, 0.03, 0.02, 0.01, 0.005])


def orders(rng, cohorts=60, size=200.0):
    """Cohorts of a day each, the last one newest; refunds of single pieces at a price of ten."""
    exposure = rng.uniform(0.5, 1.5, cohorts) * size * 10
    amounts = rng.poisson(exposure[:, None] / 10 * PATTERN) * 10.0
    lived = np.minimum((cohorts - 1 - np.arange(cohorts)) // 7, len(PATTERN))
    return amounts, exposure, lived


def test_recovers_a_known_pattern_and_remainder():
    amounts, exposure, lived = orders(np.random.default_rng(1), cohorts=400, size=5000)
    found = Ripening()(amounts, exposure, lived, lived < len(PATTERN))
    assert found.pattern == pytest.approx(PATTERN, rel=0.05)
    truth = sum(exposure[i] * PATTERN[lived[i] :].sum() for i in range(400))
    assert found.remaining.mid == pytest.approx(truth, rel=0.05)


def test_agrees_with_a_plain_loop():
    amounts, exposure, lived = orders(np.random.default_rng(2))
    rates = []
    for age in range(len(PATTERN)):
        old = [i for i in range(len(lived)) if lived[i] > age]
        rates.append(sum(amounts[i, age] for i in old) / sum(exposure[i] for i in old))
    remaining = [exposure[i] * sum(rates[lived[i] :]) for i in range(len(lived))]
    found = Ripening()(amounts, exposure, lived, np.ones(len(lived), bool))
    assert found.by_cohort == pytest.approx(remaining)
    assert found.remaining.mid == pytest.approx(sum(remaining))


def test_intervals_cover_as_often_as_they_say():
    held, widths, errors, runs = 0, [], [], 300
    for seed in range(runs):
        amounts, exposure, lived = orders(np.random.default_rng(seed))
        truth = amounts[np.arange(len(PATTERN)) >= lived[:, None]].sum()
        found = Ripening(draws=300)(amounts, exposure, lived, np.ones(len(lived), bool)).remaining
        held += found.low <= truth <= found.high
        widths.append(found.high - found.low)
        errors.append(found.mid - truth)
    assert 0.85 <= held / runs <= 0.95
    assert np.mean(widths) == pytest.approx(2 * 1.645 * np.std(errors), rel=0.2)


def test_what_has_not_been_lived_through_is_not_read():
    amounts, exposure, lived = orders(np.random.default_rng(3))
    hidden = np.where(np.arange(len(PATTERN)) < lived[:, None], amounts, np.nan)
    everyone = np.ones(len(lived), bool)
    assert (
        Ripening()(hidden, exposure, lived, everyone).remaining
        == Ripening()(amounts, exposure, lived, everyone).remaining
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda a, e, n: (a[:-1], e, n),
        lambda a, e, n: (a, -e, n),
        lambda a, e, n: (a, e, n * 0),
        lambda a, e, n: (np.full_like(a, np.nan), e, n),
    ],
)
def test_bad_input_is_one_clear_error(change):
    amounts, exposure, lived = change(*orders(np.random.default_rng(4)))
    with pytest.raises(BadInputError):
        Ripening()(amounts, exposure, lived, np.ones(len(lived), bool))
