"""Sequences: the mixture by quadrature, and errors over all looks together on money as it is."""

import numpy as np
import pytest
from scipy import integrate, stats

from tradewind.errors import BadInputError
from tradewind.methods.moments import Moments, Verdict, contrast
from tradewind.methods.sequence import Sequence, boundary, narrowest


def plain(count, mean, square):
    """Moments of units with one weight each, from their mean and their sum of squares about it."""
    return Moments(count, count, np.array([1.0, mean]), np.array([[0.0, 0.0], [0.0, square]]))


def prices(seed, buyers=0.1, people=200_000):
    """Money of a day: nine of ten spend nothing, and few spend much."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(people) < buyers, np.exp(rng.normal(3, 1, people)), 0.0)


def new_units(money, rng, runs, days, held, treated):
    """Moments by run and day of two arms to which every day brings new units."""
    arms = []
    for each in (held, treated):
        values = money[rng.integers(0, len(money), (runs, days, each))]
        count = each * np.arange(1, days + 1)
        mean = values.sum(axis=2).cumsum(axis=1) / count
        square = (values**2).sum(axis=2).cumsum(axis=1) - count * mean**2
        arms.append([[plain(int(n), m, s) for n, m, s in zip(count, *row, strict=True)]
                     for row in zip(mean, square, strict=True)])  # fmt: skip
    return arms


def same_units(money, rng, runs, days, held, treated):
    """The same for units that are all there from the start and come when they come: outcome per day so far."""
    arms = []
    for each in (held, treated):
        habit = rng.gamma(0.5, 2.0, (runs, 1, each))
        came = rng.random((runs, days, each)) < np.minimum(0.05 * habit, 1)
        so_far = (came * money[rng.integers(0, len(money), came.shape)]).cumsum(axis=1)
        so_far /= np.arange(1, days + 1)[:, None]
        mean = so_far.mean(axis=2)
        square = ((so_far - mean[:, :, None]) ** 2).sum(axis=2)
        arms.append([[plain(each, m, s) for m, s in zip(*row, strict=True)] for row in zip(mean, square, strict=True)])
    return arms


def looked_at(sequence, arms, gain=0.0):
    """By run: whether a gain or a harm was ever proven, and whether all intervals held the truth."""
    said = []
    for held, treated in zip(*arms, strict=True):
        looks = [
            sequence(a, plain(b.count, b.mean[1] + gain, b.scatter[1, 1])) for a, b in zip(held, treated, strict=True)
        ]
        said.append((
            any(look.verdict is Verdict.GAIN for look in looks),
            any(look.verdict is Verdict.HARM for look in looks),
            all(look.effect.low <= gain <= look.effect.high for look in looks),
        ))  # fmt: skip
    return np.mean(said, axis=0)


def planned(arms):
    """The standard error at the last look."""
    return contrast(arms[0][0][-1], arms[1][0][-1]).error


@pytest.mark.parametrize("error", [3.0, 1.0, 0.2])
def test_agrees_with_the_mixture_by_quadrature(error):
    """The interval ends where the likelihood, averaged over normal effects, is 1/α times that of the effect tested."""
    count = 10**7
    arms = [plain(count, mean, error**2 / 2 * count * (count - 1)) for mean in (5.0, 5.0 + 2.5 * error + 0.3)]
    sequence = Sequence(1.0, level=0.95)
    look = sequence(*arms)
    assert look.error == pytest.approx(error)

    def ratio(tested):
        def weight(effect):
            return stats.norm.pdf(effect, 0, np.sqrt(sequence.prior)) * np.exp(
                stats.norm.logpdf(look.effect.mid, tested + effect, error)
                - stats.norm.logpdf(look.effect.mid, tested, error)
            )

        reach = 12 * np.sqrt(sequence.prior)
        return integrate.quad(weight, -reach, reach, points=[look.effect.mid - tested], limit=400)[0]

    assert ratio(look.effect.low) == pytest.approx(20, rel=1e-3)
    assert ratio(look.effect.high) == pytest.approx(20, rel=1e-3)
    assert look.p_value == pytest.approx(min(1, 1 / ratio(0.0)), rel=1e-3)


def test_is_narrowest_at_the_planned_look():
    for level, times in ((0.9, 2.7638), (0.95, 3.0351)):
        best = narrowest(level)
        assert boundary(best, level) == pytest.approx(times, abs=1e-3)
        assert boundary(best, level) < min(boundary(best * 1.01, level), boundary(best / 1.01, level))
        assert boundary(best, level) == pytest.approx(np.sqrt(best + 1))


def test_the_p_value_and_the_interval_say_the_same():
    rng = np.random.default_rng(2)
    for _ in range(60):
        count = int(rng.integers(5, 200))
        arms = [Moments.of(rng.normal(shift, 5, count)) for shift in (0, rng.normal(0, 3))]
        look = Sequence(0.5)(*arms)
        assert (look.p_value < 0.1) == (look.verdict is not Verdict.OPEN)


@pytest.mark.parametrize(("held", "treated"), [(20, 180), (60, 60)])
def test_looking_every_day_at_new_units_does_not_inflate_the_error(held, treated):
    """40 looks from the first day on, when the holdout has two buyers: never more than the level, over all looks."""
    rng, runs = np.random.default_rng(3), 120
    arms = new_units(prices(3), rng, runs, 40, held, treated)
    gain, harm, covered = looked_at(Sequence(planned(arms)), arms)
    assert max(gain, harm) < 0.05
    assert covered > 0.9
    daily = np.mean(
        [any(contrast(a, b, "own").p_value < 0.1 for a, b in zip(*run, strict=True)) for run in zip(*arms, strict=True)]
    )
    assert daily > 0.2


def test_looking_every_day_at_the_same_units_does_not_inflate_the_error():
    rng, runs = np.random.default_rng(4), 120
    arms = same_units(prices(4, buyers=1.0), rng, runs, 30, 150, 850)
    gain, harm, covered = looked_at(Sequence(planned(arms)), arms)
    assert max(gain, harm) < 0.05
    assert covered > 0.9


def test_intervals_hold_the_truth_at_all_looks_and_stop_early():
    rng, runs = np.random.default_rng(5), 100
    arms = new_units(prices(5), rng, runs, 40, 60, 240)
    error = planned(arms)
    gain, harm, covered = looked_at(Sequence(error), arms, gain=4 * error)
    assert covered > 0.9
    assert gain > 0.8
    assert harm == 0


def test_totals_and_counts():
    look = Sequence(1.0)(Moments.of([0.0, 1, 2, 3] * 10), Moments.of([3.0, 4, 5, 6] * 20))
    assert look.units == 120
    assert look.total.mid == pytest.approx(look.effect.mid * 80) == pytest.approx(240)
    assert look.verdict is Verdict.GAIN


def test_the_total_of_a_ratio_is_that_of_all_orders():
    """Money per order from the sums of customers, some without any order."""
    rng = np.random.default_rng(6)
    orders = rng.poisson(0.8, 4000)
    spent, treated = orders * rng.gamma(2, 10, 4000), np.arange(4000) < 3000
    rows = np.column_stack([orders, spent + 2.0 * orders * treated])
    arms = [
        Moments.from_sums(int(who.sum()), rows[who].sum(axis=0), rows[who].T @ rows[who], units=int(orders[who].sum()))
        for who in (~treated, treated)
    ]
    look = Sequence(0.3)(*arms)
    assert look.effect.mid == pytest.approx(2, abs=1)
    assert look.total.mid == pytest.approx(look.effect.mid * orders[treated].sum())


@pytest.mark.parametrize("error", [1e-9, 1e9])
def test_a_plan_far_off_is_wide_but_finite(error):
    look = Sequence(error)(Moments.of([0.0, 1, 2, 3]), Moments.of([1.0, 4, 5, 6]))
    assert np.isfinite([look.effect.low, look.effect.high, look.p_value]).all()
    assert look.verdict is Verdict.OPEN


@pytest.mark.parametrize(
    "make",
    [
        lambda: Sequence(0.0),
        lambda: Sequence(np.nan),
        lambda: Sequence(1.0, level=0.0),
        lambda: Sequence(1.0, spread="mine"),
        lambda: Sequence(1.0, level=1e-17),
        lambda: Sequence(1.0, level="0.9"),
        lambda: Sequence("a"),
        lambda: Sequence(None),
        lambda: Sequence(1e99)(*[Moments.of(np.arange(30) * 1e-60)] * 2),
        lambda: Sequence(1.0)(Moments.of([1.0, 2.0]), Moments.of([1.0])),
        lambda: Sequence(1.0)(Moments.of([0.0] * 50), Moments.of([0.0] * 50)),
    ],
)
def test_bad_input_is_one_clear_error(make):
    with pytest.raises(BadInputError):
        make()
