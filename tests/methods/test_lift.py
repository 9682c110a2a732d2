"""Lift: recovers a known law, agrees with least squares and with the ratio of means, covers as often as it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from tradewind.errors import BadInputError
from tradewind.methods.lift import Lift, LiftFit, Rows, base_of


def trial(rng: np.random.Generator, count: int, lift: np.ndarray, rate: np.ndarray, chance: float = 0.5) -> Rows:
    """Orders of customers of whom some were given a coupon; the lift is linear in the columns of `lift`'s design."""
    treated = (rng.random(count) < chance).astype(float)
    orders = rng.poisson(rate * (1 + treated * lift)).astype(float)
    mean = rate * (1 + chance * lift)
    return Rows(np.ones((count, 1), np.float32), rate, mean, treated, np.full(count, chance), orders, np.arange(count))


def with_design(rows: Rows, design: np.ndarray) -> Rows:
    return Rows(design.astype(np.float32), rows.base, rows.mean, rows.treated, rows.chance, rows.outcome, rows.cluster)


def test_it_finds_for_whom_orders_rise_and_shrinks_what_tells_nothing() -> None:
    rng = np.random.default_rng(1)
    count = 200_000
    x = rng.normal(size=(count, 6))
    lift = 0.4 + 0.3 * x[:, 0].clip(-1, 1)
    design = np.column_stack([np.ones(count), x.clip(-1, 1)])
    rows = with_design(trial(rng, count, lift, np.full(count, 0.15)), design)
    fit = Lift([-1, 0, 0, 0, 0, 0, 0]).fit(lambda beta: [rows])
    assert fit.coefficients[:2] == pytest.approx([0.4, 0.3], abs=0.05)
    assert np.abs(fit.coefficients[2:]).max() < 0.04
    assert fit.dispersion == pytest.approx(1.0, abs=0.02)
    mid, low, high = fit.linear([[1.0, 1.0, 0, 0, 0, 0, 0]])
    assert low[0] < 0.7 < high[0]
    assert mid[0] == pytest.approx(fit.coefficients[:2].sum())


def test_noise_about_nothing_is_shrunk_to_nothing() -> None:
    rng = np.random.default_rng(2)
    count = 20_000
    design = rng.normal(size=(count, 8))
    rows = with_design(trial(rng, count, np.zeros(count), np.full(count, 0.1)), design)
    fit = Lift(np.zeros(8, int)).fit(lambda beta: [rows])
    plain = 1 / np.sqrt(0.25 * 0.1 * count)
    assert np.abs(fit.coefficients).max() < plain
    assert np.sqrt(np.diag(fit.covariance)).max() < plain


def test_one_number_is_the_ratio_of_means() -> None:
    rng = np.random.default_rng(3)
    count = 50_000
    rows = trial(rng, count, np.full(count, 0.5), np.full(count, 0.2))
    fit = Lift([-1]).fit(lambda beta: [rows])
    means = [rows.outcome[rows.treated == arm].mean() for arm in (1, 0)]
    assert fit.coefficients[0] == pytest.approx(means[0] / means[1] - 1, abs=0.02)


def test_without_shrinkage_it_is_weighted_least_squares() -> None:
    rng = np.random.default_rng(4)
    count = 5_000
    x = rng.normal(size=count)
    rate = rng.gamma(2.0, 0.1, count) + 0.01
    rows = with_design(trial(rng, count, 0.3 + 0.1 * x, rate, 0.3), np.column_stack([np.ones(count), x]))
    push = (rows.treated - rows.chance) * rows.base
    left = (rows.outcome - rows.mean) / np.sqrt(rows.mean)
    columns = rows.design * (push / np.sqrt(rows.mean))[:, None]
    expected = np.linalg.lstsq(columns, left, rcond=None)[0]
    fit = Lift([-1, -1]).fit(lambda beta: [rows])
    assert fit.coefficients == pytest.approx(expected, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize(
    ("block", "turn"),
    [
        ([-1, -1], [[1.0, 0.0], [0.0, 1e-5]]),
        ([-1, -1], [[1.0, 1e4], [0.0, 1.0]]),
        ([-1, -1], [[2e-3, 5e3], [-1e-3, 1e3]]),
        ([-1, 0], [[1e-4, 0.0], [0.0, 1e-5]]),
        ([-1, 0], [[1.0, 1e4], [0.0, 1.0]]),
        ([0, 1], [[1e-5, 0.0], [0.0, 1e6]]),
        ([0, 0], [[1e-5, 0.0], [0.0, 1e-5]]),
    ],
)
def test_units_of_columns_change_nothing(block: list[int], turn: list[list[float]]) -> None:
    rng = np.random.default_rng(10)
    count = 10_000
    x = rng.normal(size=count)
    design, asked = np.column_stack([np.ones(count), x]), np.array([[1.0, 0.0], [0.0, 1.0], [1.0, -2.0]])
    rows = replace(trial(rng, count, 0.3 + 0.2 * x.clip(-1, 1), np.full(count, 0.3)), design=design)
    found, again = (Lift(block).fit(lambda beta, d=d: [replace(rows, design=d)]) for d in (design, design @ turn))
    for plain, told in zip(found.linear(asked), again.linear(asked @ np.array(turn)), strict=True):
        assert told == pytest.approx(plain, abs=1e-6)
    assert again.freedom == pytest.approx(found.freedom, rel=1e-9)


def test_a_column_of_single_digits_far_from_zero_is_told() -> None:
    rng = np.random.default_rng(11)
    x = rng.normal(size=10_000)
    rows = trial(rng, len(x), 0.3 + 0.2 * x.clip(-1, 1), np.full(len(x), 0.3))
    near, far = (with_design(rows, np.column_stack([np.ones(len(x)), x + shift])) for shift in (0, 1e4))
    found, again = (Lift([-1, -1]).fit(lambda beta, some=some: [some]) for some in (near, far))
    assert again.coefficients[1] == pytest.approx(found.coefficients[1], abs=1e-3)


@pytest.mark.parametrize("second", [lambda x: 3 * x, lambda x: 0 * x, lambda x: x + 1e8])
def test_columns_that_are_not_shrunk_and_say_the_same_are_refused(second) -> None:
    rows = trial(np.random.default_rng(12), 1_000, np.full(1_000, 0.3), np.full(1_000, 0.3))
    x = np.linspace(-1, 1, 1_000)
    design = np.column_stack([np.ones(1_000), x, second(x)])
    with pytest.raises(BadInputError, match="say the same, or one of them nothing"):
        Lift([-1, -1, -1]).fit(lambda beta: [replace(rows, design=design)])
    told = Lift([-1, -1, 0]).fit(lambda beta: [replace(rows, design=design)])  # shrunk, it adds nothing
    alone = Lift([-1, -1]).fit(lambda beta: [replace(rows, design=design[:, :2])])
    for left, right in zip(told.linear([[1.0, 0.5, second(0.5)]]), alone.linear([[1.0, 0.5]]), strict=True):
        assert left == pytest.approx(right, abs=5e-3)


def test_parts_may_lie_apart() -> None:
    rng = np.random.default_rng(5)
    rows = trial(rng, 10_000, np.full(10_000, 0.5), np.full(10_000, 0.2))
    parts = [
        Rows(*(getattr(rows, f)[at] for f in Rows.__dataclass_fields__)) for at in (slice(0, 4_000), slice(4_000, None))
    ]
    whole, split = (Lift([-1]).fit(lambda beta, some=some: some) for some in ([rows], parts))
    assert split.coefficients == pytest.approx(whole.coefficients, rel=1e-5)
    assert split.covariance == pytest.approx(whole.covariance, rel=1e-4)
    assert split.rows == whole.rows == 10_000


def test_customers_who_come_again_and_again_widen_the_interval() -> None:
    rng = np.random.default_rng(6)
    people, weeks = 2_000, 10
    cluster = np.repeat(np.arange(people), weeks)
    eager = np.repeat(rng.gamma(0.3, 1 / 0.3, people), weeks)
    treated = np.repeat((rng.random(people) < 0.5).astype(float), weeks)  # given for good: rows of one are alike
    orders = rng.poisson(0.2 * eager * (1 + 0.3 * treated)).astype(float)
    ones = np.ones(len(cluster))
    rows = Rows(ones[:, None], 0.2 * ones, 0.23 * ones, treated, 0.5 * ones, orders, cluster)
    apart = Rows(ones[:, None], 0.2 * ones, 0.23 * ones, treated, 0.5 * ones, orders, np.arange(len(cluster)))
    found, naive = (Lift([-1]).fit(lambda beta, some=some: [some]) for some in (rows, apart))
    assert naive.inflation == pytest.approx(1.0, abs=0.01)
    assert found.inflation > 3
    assert found.covariance[0, 0] > 3 * naive.covariance[0, 0]


def test_nine_of_ten_intervals_hold_the_truth_and_are_no_wider_than_they_must() -> None:
    rng = np.random.default_rng(7)
    count, runs, held, widths = 4_000, 300, 0, []
    for _ in range(runs):
        rate = rng.gamma(2.0, 0.1, count)
        rows = trial(rng, count, np.full(count, 0.4), rate)
        # A wrong expectation: the mean over all, whoever it is.
        flat = np.full(count, rows.outcome.mean())
        rows = Rows(rows.design, flat / 1.2, flat, rows.treated, rows.chance, rows.outcome, rows.cluster)
        _, low, high = Lift([-1]).fit(lambda beta, some=rows: [some]).linear([[1.0]])
        held += int(low[0] <= 0.4 <= high[0])
        widths.append(high[0] - low[0])
    assert binomtest(held, runs, 0.9).pvalue > 0.001
    # The least that orders drawn by chance allow, their mean known: the deviation is √(μ / (e (1 − e) n)) / base.
    best = 2 * 1.645 * np.sqrt(0.24 / (0.25 * count)) / 0.2
    assert best < np.mean(widths) < 1.15 * best


def test_base_of_never_falls_below_a_tenth() -> None:
    assert base_of(np.array([1.2, 1.0]), np.array([0.2, -5.0])) == pytest.approx([1.0, 10.0])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"outcome": np.array([1.0, np.nan, 0.0])}, "missing or infinite"),
        ({"base": np.array([1.0, np.inf, 0.0])}, "missing or infinite"),
        ({"chance": np.array([0.5, 1.5, 0.5])}, "outside 0 to 1"),
        ({"mean": np.array([-0.5, 0.5, 0.5])}, "below 0"),
        ({"treated": np.array([1.0, 0.0])}, "do not fit"),
        ({"design": np.ones((3, 2))}, "do not fit"),
        ({"treated": np.array([1.0, 0.0, 1.0]), "chance": np.array([1.0, 0.0, 1.0])}, "Nothing can be learnt"),
        ({"treated": np.array([5.0, 0.0, 5.0])}, "neither treated nor not"),
        ({"chance": np.array([0.0, 0.5, 0.5])}, "no chance to be"),
        ({"chance": np.array([0.5, 1.0, 0.5])}, "no chance to be"),
        ({"cluster": np.arange(3) - 5}, "whole number from 0"),
        ({"cluster": np.arange(3.0)}, "whole number from 0"),
        ({"cluster": np.zeros(3, int), "outcome": np.array([2.0, 0.0, 1.0])}, "too few clusters"),
        ({"outcome": np.array([1e300, 0.0, 1.0])}, "too large"),
        ({}, "just as expected in every row"),
        ({"mean": np.zeros(3)}, "Nothing can be learnt"),
    ],
)
def test_what_cannot_be_used_is_refused(change: dict[str, np.ndarray], says: str) -> None:
    usual = {
        "design": np.ones((3, 1)), "base": np.ones(3), "mean": np.ones(3), "treated": np.array([1.0, 0.0, 1.0]),
        "chance": np.full(3, 0.5), "outcome": np.ones(3), "cluster": np.arange(3),
    }  # fmt: skip
    with pytest.raises(BadInputError, match=says):
        Lift([-1]).fit(lambda beta: [Rows(**(usual | change))])


def test_nothing_and_no_columns_are_refused() -> None:
    with pytest.raises(BadInputError, match="Nothing can be learnt"):
        Lift([-1]).fit(lambda beta: [])
    for block in ([], [0.5, 0.7], [-2]):
        with pytest.raises(BadInputError, match="Every column"):
            Lift(block)


@pytest.mark.parametrize("count", [4, 20])
def test_intervals_of_a_few_clusters_that_were_treated_whole_hold_the_truth(count: int) -> None:
    rng, runs = np.random.default_rng(8), 300
    cluster, ones, held = np.repeat(np.arange(count), 50), np.ones(50 * count), 0
    for _ in range(runs):
        treated = rng.integers(0, 2, count).astype(float)[cluster]
        orders = rng.poisson(0.2 * rng.gamma(4, 1 / 4, count)[cluster]).astype(float)
        rows = Rows(ones[:, None], 0.2 * ones, 0.2 * ones, treated, 0.5 * ones, orders, cluster)
        _, low, high = Lift([-1]).fit(lambda beta, some=rows: [some]).linear([[1.0]])
        held += int(low[0] <= 0 <= high[0])
    assert binomtest(held, runs, 0.9).pvalue > 0.001


def test_clusters_may_have_any_numbers() -> None:
    rows = trial(np.random.default_rng(9), 2_000, np.full(2_000, 0.5), np.full(2_000, 0.2))
    far = replace(rows, cluster=rows.cluster * 10**12)
    found, again = (Lift([-1]).fit(lambda beta, some=some: [some]) for some in (rows, far))
    assert found.linear([[1.0]]) == again.linear([[1.0]])
    assert found.freedom == pytest.approx(1_999)


def test_sums_of_nothing_have_no_width() -> None:
    fit = LiftFit(np.array([0.2]), np.eye(1), 1.0, 1.0, 1, 9.0)
    assert [float(end[0]) for end in fit.linear([[0.0]])] == [0.0, 0.0, 0.0]


def test_sums_that_do_not_fit_and_levels_that_are_none_are_refused() -> None:
    fit = LiftFit(np.array([0.2]), np.eye(1), 1.0, 1.0, 1, 9.0)
    for level in (1.5, -3.0):
        with pytest.raises(BadInputError, match="level is out of range"):
            fit.linear([[1.0]], level)
    for sums in ([[1.0, 2.0]], [[np.nan]]):
        with pytest.raises(BadInputError, match="do not fit the coefficients"):
            fit.linear(sums)


def test_coefficients_are_drawn_from_their_law():
    rng = np.random.default_rng(5)
    root = rng.standard_normal((3, 3))
    fit = LiftFit(np.array([1.0, -2.0, 0.5]), root @ root.T, 1.0, 1.0, 100, 50.0)
    drawn = fit.drawn(20_000, 0)
    assert drawn.mean(axis=0) == pytest.approx(fit.coefficients, abs=0.08)
    assert np.cov(drawn.T) == pytest.approx(fit.covariance, abs=0.15)
    assert (fit.drawn(5, 3) == fit.drawn(5, 3)).all()
    with pytest.raises(BadInputError):
        fit.drawn(0, 0)
