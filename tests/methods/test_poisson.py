"""Poisson regression with many levels: known truth, the same with dummies written out, coverage, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from tradewind.errors import BadInputError
from tradewind.methods.poisson import Poisson


def drawn(seed: int, n: int, groups: tuple[int, int], slopes: np.ndarray, lumps: float = 0.5):
    """Counts with two kinds of levels and more variance than a count, shared within groups of the first kind."""
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(0, size, n) for size in groups)
    x = rng.normal(size=(n, len(slopes))) + 0.3 * rng.normal(size=groups[0])[a, None]
    level = rng.normal(0, 0.7, groups[0])[a] + rng.normal(0, 0.7, groups[1])[b]
    offset = rng.uniform(0, 1, n)
    mean = np.exp(offset + level + x @ slopes) * rng.gamma(1 / lumps, lumps, n)
    return rng.poisson(mean).astype(float), x, [a, b], offset


def test_slopes_are_found():
    slopes = np.array([0.8, -0.3, 0.0])
    y, x, levels, offset = drawn(1, 20_000, (1_500, 300), slopes)
    fit = Poisson()(y, x, levels, offset)
    assert fit.slope == pytest.approx(slopes, abs=0.04)
    assert (np.abs(fit.slope - slopes) < 4 * fit.error).all()
    assert fit.dispersion > 1.2


def test_agrees_with_dummies_written_out():
    y, x, (a, b), offset = drawn(2, 300, (12, 7), np.array([0.5, -0.2]))
    design = np.column_stack([x, np.eye(12)[a], np.eye(7)[b][:, 1:]])

    def unlikely(beta: np.ndarray) -> tuple[float, np.ndarray]:
        mean = np.exp(offset + design @ beta)
        return float((mean - y * (offset + design @ beta)).sum()), design.T @ (mean - y)

    plain = minimize(unlikely, np.zeros(design.shape[1]), jac=True, method="L-BFGS-B",
                     options={"maxiter": 5_000, "ftol": 1e-14, "gtol": 1e-9})  # fmt: skip
    fit = Poisson(tolerance=1e-12)(y, x, [a, b], offset)
    assert fit.slope == pytest.approx(plain.x[:2], abs=1e-5)
    mean = np.exp(offset + design @ plain.x)
    assert fit.mean == pytest.approx(mean, rel=1e-3)
    bread = np.linalg.inv((design * mean[:, None]).T @ design)
    scores = design * (y - mean)[:, None]
    sums = np.stack([np.bincount(a, column, 12) for column in scores.T], axis=1)
    robust = (bread @ sums.T @ sums @ bread)[:2, :2] * 12 / 11
    assert fit.covariance == pytest.approx(robust, rel=1e-3)


def test_degrees_of_freedom_are_clusters_that_tell():
    y, x, levels, offset = drawn(3, 4_000, (200, 30), np.array([0.4]))
    fit = Poisson()(y, x, levels, offset)
    assert 60 < fit.freedom[0] < 199  # of 200 clusters that tell more and less
    assert fit.widened()[0] == pytest.approx(fit.error[0], rel=0.03)
    lone = np.where(levels[0] == 0, x[:, 0], 0.0)  # told by one cluster alone
    fit = Poisson()(y, lone[:, None], levels, offset)
    assert fit.freedom[0] == pytest.approx(0.0, abs=0.1)
    assert np.isinf(fit.widened()[0])


def test_what_is_fitted_without_a_row_to_spare_tells_nothing():
    """Two products by two creators, and one slope: an exact fit, whose errors are rounding."""
    y, x = np.array([3.0, 8.0, 5.0, 2.0]), np.array([[0.0], [1.0], [0.3], [0.7]])
    fit = Poisson()(y, x, [np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])], cluster=np.arange(4))
    assert fit.error[0] < 1e-3
    assert np.isinf(fit.widened()[0])
    apart = [np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 0, 1, 2, 2])]  # the third product hangs on no other
    y, x = np.append(y, [4.0, 9.0]), np.vstack([x, [[0.1], [0.9]]])
    fit = Poisson()(y, x, apart, cluster=np.arange(6))
    assert fit.freedom[0] == 1  # 6 rows, 3 + 3 levels in 2 parts, a slope


def test_where_no_column_is_told_nothing_is():
    y, _, levels, offset = drawn(5, 200, (20, 10), np.array([0.3]))
    fit = Poisson()(y, levels[0][:, None].astype(float), levels, offset)  # the same within every level
    assert np.isnan(fit.slope).all()
    assert np.isnan(fit.freedom).all()
    assert np.isnan(fit.widened()).all()
    assert np.isfinite(fit.dispersion)


def test_amounts_of_any_size_have_the_same_slopes():
    y, x, levels, offset = drawn(4, 400, (40, 10), np.array([0.3, 0.0]))
    plain = Poisson()(y, x, levels, offset)
    for scale in (1e-14, 1e-6, 1e6, 1e14):
        assert Poisson()(y * scale, x, levels, offset).slope == pytest.approx(plain.slope, abs=1e-5)


def test_intervals_cover_and_are_no_wider_than_they_must():
    slopes, inside, widths, mids = np.array([0.4]), 0, [], []
    for seed in range(200):
        y, x, levels, offset = drawn(100 + seed, 600, (60, 20), slopes)
        fit = Poisson()(y, x, levels, offset)
        inside += abs(fit.slope[0] - 0.4) < 1.645 * fit.error[0]
        widths.append(fit.error[0])
        mids.append(fit.slope[0])
    assert 0.83 <= inside / 200 <= 0.95  # 0.9 within three binomial deviations, a little less for few clusters
    assert np.mean(widths) == pytest.approx(np.std(mids), rel=0.2)


def test_rows_that_tell_nothing_are_left_out():
    y = [0, 0, 3, 5, 2, 4, 7]
    x = [[0.0], [1.0], [0.0], [1.0], [0.0], [1.0], [2.0]]
    fit = Poisson()(y, x, [[0, 0, 1, 1, 2, 2, 3]])
    assert fit.rows.tolist() == [False, False, True, True, True, True, False]
    assert np.isnan(fit.mean[0])


def test_a_column_that_the_levels_swallow_is_not_told():
    rng = np.random.default_rng(4)
    group = np.repeat(np.arange(20), 5)
    x = np.column_stack([rng.normal(size=100), group.astype(float)])
    fit = Poisson()(rng.poisson(np.exp(0.5 * x[:, 0] + 1)), x, [group])
    assert np.isfinite(fit.slope[0])
    assert np.isnan(fit.slope[1])


def test_huge_counts_do_not_upset_it():
    rng = np.random.default_rng(5)
    group, x = np.repeat(np.arange(30), 10), rng.normal(size=(300, 1))
    fit = Poisson()(rng.poisson(np.exp(14 + 0.2 * x[:, 0])), x, [group])
    assert fit.slope[0] == pytest.approx(0.2, abs=1e-3)


@pytest.mark.parametrize(
    ("y", "x", "levels"),
    [
        ([1, 2], [[1.0]], [[0, 0]]),
        ([1, -2], [[1.0], [2.0]], [[0, 0]]),
        ([1, np.nan], [[1.0], [2.0]], [[0, 0]]),
        ([1, 2], [[1.0], [np.inf]], [[0, 0]]),
        ([1, 2], [[1.0], [2.0]], []),
        ([1, 2], [[1.0], [2.0]], [[0.5, 1.5]]),
        ([1, 2], [[1.0], [2.0]], [[0, -1]]),
        ([0, 0], [[1.0], [2.0]], [[0, 0]]),
        ([], np.zeros((0, 1)), [np.zeros(0, int)]),
    ],
)
def test_bad_input(y, x, levels):
    with pytest.raises(BadInputError):
        Poisson()(y, x, levels)


def test_bad_settings():
    for settings in ({"steps": 0}, {"tolerance": 0}):
        with pytest.raises(BadInputError):
            Poisson(**settings)


def test_the_same_on_machines_with_more_cores():
    y, x, levels, offset = drawn(9, 60_000, (6_000, 40), np.array([0.3, -0.2, 0.1]))
    found = []
    for cores in (1, 4):
        with threadpool_limits(cores):
            found.append(Poisson()(y, x, levels, offset))
    assert found[0].slope.tolist() == found[1].slope.tolist()
    assert found[0].covariance.tolist() == found[1].covariance.tolist()
