"""Counts within units: a planted truth, the regression with every dummy written out, and intervals that cover."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import binom

from tradewind.errors import BadInputError
from tradewind.methods.within_counts import WithinCounts

UNITS, WEEKS = 60, 12


def planted(seed: int, slope: tuple[float, ...] = (-2.0, 0.5), shape: float | None = None):
    """Counts of units with levels and weeks of their own; with a shape, a gamma factor makes them vary more."""
    draw = np.random.default_rng(seed)
    unit, week = (axis.ravel() for axis in np.meshgrid(np.arange(UNITS), np.arange(WEEKS), indexing="ij"))
    level, season = draw.normal(0.5, 1.0, UNITS), draw.normal(0.0, 0.4, WEEKS)
    # Columns follow the level: only what moves within a unit may count.
    x = draw.normal(0.0, 0.4, (len(unit), len(slope))) + 0.3 * level[unit, None]
    mean = np.exp(level[unit] + season[week] + x @ slope)
    if shape:
        mean = mean * draw.gamma(shape, 1 / shape, len(mean))
    return draw.poisson(mean), x, unit, week


def test_recovers_what_was_planted():
    counts, x, unit, week = planted(1)
    found = WithinCounts()(counts, x, unit, week)
    assert np.abs((found.mid - [-2.0, 0.5]) / found.error).max() < 3
    assert found.error.max() < 0.1
    assert (found.noise >= found.information).all()
    assert (found.score**2).sum() == pytest.approx(found.noise.sum(), rel=0.6)  # sixty units, few of which weigh most


def test_agrees_with_every_dummy_written_out():
    counts, x, unit, week = planted(2)
    keep = np.bincount(unit, counts)[unit] > 0
    counts, x, unit, week = counts[keep], x[keep], unit[keep], week[keep]
    dummies = np.column_stack([x, unit[:, None] == np.unique(unit), week[:, None] == np.arange(1, WEEKS)]).astype(float)

    def loss(b):
        line = dummies @ b
        mean = np.exp(line)
        return float((mean - counts * line).sum()), dummies.T @ (mean - counts)

    second = minimize(
        loss, np.zeros(dummies.shape[1]), jac=True, method="BFGS", options={"gtol": 1e-7, "maxiter": 5000}
    )
    found = WithinCounts()(counts, x, unit, week)
    assert found.mid == pytest.approx(second.x[:2], abs=1e-4)
    mean = np.exp(dummies @ second.x)
    information = np.linalg.inv((dummies * mean[:, None]).T @ dummies)
    # With Poisson counts the robust errors come near those of the likelihood.
    assert found.error == pytest.approx(np.sqrt(np.diag(information))[:2], rel=0.35)


def test_intervals_cover_even_where_counts_vary_more_than_poisson():
    runs, hits, width = 200, 0, []
    for seed in range(runs):
        counts, x, unit, week = planted(100 + seed, (-2.0,), shape=1.5)
        found = WithinCounts()(counts, x, unit, week)
        hits += abs(found.mid[0] + 2.0) <= 1.645 * found.error[0]
        width.append(found.error[0])
    low, high = binom.ppf([0.005, 0.995], runs, 0.9)
    assert low - 6 <= hits <= high  # sixty units: robust errors are known to be slightly small
    assert np.mean(width) < 0.2


def test_units_that_tell_nothing_change_nothing():
    counts, x, unit, week = planted(3)
    plain = WithinCounts()(counts, x, unit, week)
    more = WithinCounts()(
        np.append(counts, [0, 0, 7]), np.vstack([x, np.ones((3, 2))]), np.append(unit, [900, 900, 901]),
        np.append(week, [0, 1, 0]),
    )  # fmt: skip
    assert more.mid == pytest.approx(plain.mid)
    assert more.error == pytest.approx(plain.error)


def test_too_many_rows_are_drawn_from_by_the_seed():
    counts, x, unit, week = planted(4)
    few = [WithinCounts(most=240, seed=seed)(counts, x, unit, week) for seed in (1, 1, 2)]
    assert len(few[0].units) <= 240 // WEEKS
    assert (few[0].mid == few[1].mid).all()
    assert (few[0].mid != few[2].mid).any()


def test_scores_of_units_add_up_to_none_at_the_slopes():
    found = WithinCounts()(*planted(5))
    assert abs(found.score.sum()) < 1e-6
    assert (found.information >= 0).all()
    assert len(found.score) == len(found.units)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda y, x, u, w: (y[:-1], x, u, w), "do not fit"),
        (lambda y, x, u, w: (-y, x, u, w), "negative"),
        (lambda y, x, u, w: (y, np.where(x > 1, np.nan, x), u, w), "missing"),
        (lambda y, x, u, w: (y * 0, x, u, w), "two weeks"),
        (lambda y, x, u, w: (y, np.arange(len(y)), u, w), "unit"),
        (lambda y, x, u, w: (y, u.astype(float), u, w), "does not move"),
        (lambda y, x, u, w: (y, np.column_stack([x, x[:, 0]]), u, w), "does not move"),
    ],
)
def test_bad_input_is_one_clear_error(change, says):
    y, x, u, w = planted(6)
    if says == "unit":  # every row a unit of its own
        with pytest.raises(BadInputError, match="two weeks"):
            WithinCounts()(y, x, np.arange(len(y)), w)
        return
    with pytest.raises(BadInputError, match=says):
        WithinCounts()(*change(y, x, u, w))


def test_fewer_than_two_rows_cannot_be_asked_for():
    with pytest.raises(BadInputError, match="Too few rows"):
        WithinCounts(most=1)
