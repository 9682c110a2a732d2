"""Expect: known truth, a second implementation, intervals that cover as often as they say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from needs import DATA, shared
from tradewind.errors import BadInputError
from tradewind.methods.expect import Expect, Expectation
from tradewind.methods.expect_panel import Panel, rows

Array = NDArray[np.float64]
WEEK = np.array([0.9, 0.95, 1.0, 1.05, 1.2, 1.4, 0.7])


def weekly(steps: Array) -> Array:
    return WEEK[np.asarray(steps, int) % 7]


class TestKnownTruth:
    def test_trend_week_year_holiday_and_promotion_are_recovered(self) -> None:
        rng = np.random.default_rng(3)
        count, horizon = 1000, 42
        t = np.arange(count + horizon, dtype=float)
        promo = (rng.random(len(t)) < 0.3).astype(float)
        holiday = np.isin(t, rng.choice(len(t) - horizon, 20, replace=False)).astype(float)
        holiday[count + 10] = 1
        year = 0.25 * np.sin(2 * np.pi * t / 365.25) + 0.1 * np.cos(4 * np.pi * t / 365.25)
        truth = 5000 * weekly(t) * np.exp(0.0005 * t + year + 0.4 * promo - 0.9 * holiday)
        noisy = truth * np.exp(0.06 * rng.standard_normal(len(t)))

        found = Expect()(noisy[:count], horizon, known={"promotion": promo, "holiday": holiday})

        error = found.mid / truth[count:] - 1
        assert np.abs(error).mean() < 0.03
        assert abs(error[10]) < 0.08  # the holiday itself
        assert found.total.mid == pytest.approx(truth[count:].sum(), rel=0.03)
        assert found.total.low < truth[count:].sum() < found.total.high

    def test_anomalous_days_do_not_poison_the_answer(self) -> None:
        rng = np.random.default_rng(5)
        t = np.arange(134)
        clean = 200 * weekly(t) * np.exp(0.05 * rng.standard_normal(134))
        dirty = clean[:120].copy()
        dirty[[40, 77, 101, 117]] *= [8, 0.02, 12, 6]
        plain, poisoned = Expect()(clean[:120], 14), Expect()(dirty, 14)
        np.testing.assert_allclose(poisoned.mid, plain.mid, rtol=0.06)
        assert np.mean(poisoned.high - poisoned.low) < 1.8 * np.mean(plain.high - plain.low)

    def test_a_level_shift_is_followed(self) -> None:
        rng = np.random.default_rng(6)
        t = np.arange(127)
        level = np.where(t < 92, 100.0, 60.0)
        values = level * weekly(t) * np.exp(0.05 * rng.standard_normal(127))
        found = Expect()(values[:120], 7)
        np.testing.assert_allclose(found.mid, 60 * weekly(t[120:]), rtol=0.12)

    def test_negative_values_zeros_and_missing_days(self) -> None:
        rng = np.random.default_rng(7)
        t = np.arange(97)
        profit = 50 * (weekly(t) - 1) + 10 + 8 * rng.standard_normal(97)
        found = Expect()(profit[:90], 7)
        assert np.abs(found.mid - (50 * (weekly(t[90:]) - 1) + 10)).max() < 12
        assert found.mid.min() < 0 < found.mid.max()

        orders = rng.poisson(4 * weekly(t)).astype(float)
        holed = orders[:90].copy()
        holed[[3, 30, 31, 32, 70]] = np.nan
        found = Expect()(holed, 7)
        assert found.total.mid == pytest.approx(4 * weekly(t[90:]).sum(), rel=0.2)
        assert (found.low >= 0).all()

    def test_closed_days_are_expected_to_be_nothing(self) -> None:
        t = np.arange(97)
        closed = t % 7 == 6
        values = np.where(closed, 0.0, 100 * weekly(t))
        found = Expect()(values[:90], 7, trading=~closed)
        expected = np.where(closed[90:], 0.0, 100 * weekly(t[90:]))
        np.testing.assert_allclose(found.mid, expected, rtol=1e-6)
        np.testing.assert_array_equal(found.high[closed[90:]], 0)

    def test_less_history_is_answered_with_wider_intervals(self) -> None:
        widths = []
        for count in (28, 120):
            parts = []
            for seed in range(6):
                rng = np.random.default_rng(seed)
                t = np.arange(count)
                found = Expect()(100 * weekly(t) * np.exp(0.1 * rng.standard_normal(count)), 14)
                parts.append((found.total.high - found.total.low) / found.total.mid)
            widths.append(np.mean(parts))
        assert widths[0] > 1.2 * widths[1]

    def test_hours_and_weeks_are_steps_too(self) -> None:
        t = np.arange(24 * 24)
        values = 50 * (1.2 + np.sin(2 * np.pi * t / 24)) * weekly(t // 24)
        found = Expect(seasons=(24, 168), origins=2)(values[:504], 24)
        assert found.total.mid == pytest.approx(values[504:528].sum(), rel=0.05)
        weeks = np.arange(60)
        flat = Expect(seasons=())(300 + 0.0 * weeks, 4)
        np.testing.assert_allclose(flat.mid, 300)


class TestSecondImplementation:
    def test_a_season_without_noise_is_expected_exactly(self) -> None:
        t = np.arange(74)
        found = Expect()(100 * weekly(t[:60]), 14)
        np.testing.assert_allclose(found.mid, 100 * weekly(t[60:]), rtol=1e-8)
        assert found.total.high - found.total.low < 1e-4 * found.total.mid

    def test_a_regression_on_dummies_agrees(self) -> None:
        """On calm data with no drift, log-OLS on weekday dummies and the promotion is the textbook answer."""
        rng = np.random.default_rng(11)
        count, horizon = 400, 14
        t = np.arange(count + horizon)
        promo = (rng.random(len(t)) < 0.4).astype(float)
        values = 80 * weekly(t) * np.exp(0.3 * promo + 0.02 * rng.standard_normal(len(t)))
        matrix = np.column_stack([np.eye(7)[t % 7], promo])
        beta, rest, *_ = np.linalg.lstsq(matrix[:count], np.log(values[:count]), rcond=None)
        plain = np.exp(matrix[count:] @ beta)
        sigma = np.sqrt(rest[0] / (count - 8))
        found = Expect(aim="median")(values[:count], horizon, known={"promotion": promo})
        np.testing.assert_allclose(found.mid, plain, rtol=0.012)
        width = np.mean((found.high - found.low) / found.mid) / (2 * 1.645 * sigma)
        assert 0.85 < width < 1.3


def ar1(rho: float, sigma: float) -> Callable[[np.random.Generator, int], Array]:
    def draw(rng: np.random.Generator, size: int) -> Array:
        fresh = sigma * rng.standard_normal(size)
        out = fresh.copy()
        for i in range(1, size):
            out[i] = rho * out[i - 1] + np.sqrt(1 - rho**2) * fresh[i]
        return out

    return draw


def heavy(rng: np.random.Generator, size: int) -> Array:
    return 0.06 * rng.standard_t(3, size)


def walk(rng: np.random.Generator, size: int) -> Array:
    return np.cumsum(0.02 * rng.standard_normal(size)) + 0.1 * rng.standard_normal(size)


class TestCoverage:
    @pytest.mark.parametrize(
        ("noise", "widest"),
        [(ar1(0.0, 0.1), (1.25, 2.2)), (ar1(0.6, 0.1), (1.4, 2.0)), (heavy, (1.5, 2.2)), (walk, (1.5, 2.0))],
        ids=["iid", "ar1", "heavy", "walk"],
    )
    def test_days_and_sums_are_held_as_often_as_said(
        self, noise: Callable[[np.random.Generator, int], Array], widest: tuple[float, float]
    ) -> None:
        count, horizon, cases = 70, 14, 40
        day, total, width, total_width, oracle, oracle_total = [], [], [], [], [], []
        for seed in range(cases):
            rng = np.random.default_rng(900 + seed)
            t = np.arange(count + horizon)
            base = 100 * weekly(t)
            values = base * np.exp(noise(rng, 150)[-len(t) :])
            found = Expect(seed=seed, origins=5)(values[:count], horizon)
            truth = values[count:]
            day.append(np.mean((truth >= found.low) & (truth <= found.high)))
            total.append(found.total.low <= truth.sum() <= found.total.high)
            width.append(np.mean((found.high - found.low) / found.mid))
            total_width.append((found.total.high - found.total.low) / found.total.mid)
            # The oracle knows season and law, not what the future holds.
            paths = base[count:] * np.exp(
                np.array(
                    [(z := noise(rng, 150))[-horizon:] - (z[-horizon - 1] if noise is walk else 0) for _ in range(60)]
                )
            )
            low, high = np.quantile(paths, [0.05, 0.95], axis=0)
            oracle.append(np.mean((high - low) / base[count:]))
            oracle_total.append(np.ptp(np.quantile(paths.sum(axis=1), [0.05, 0.95])) / base[count:].sum())
        assert 0.85 <= np.mean(day) <= 0.96
        assert 0.80 <= np.mean(total) <= 1.0
        assert np.mean(width) < widest[0] * np.mean(oracle)
        assert np.mean(total_width) < widest[1] * np.mean(oracle_total)


class TestInvariance:
    @pytest.fixture
    def values(self) -> Array:
        t = np.arange(90)
        return np.asarray(100 * weekly(t) * np.exp(0.1 * np.random.default_rng(2).standard_normal(90)))

    def test_same_seed_same_answer(self, values: Array) -> None:
        one, two = Expect(seed=4)(values, 10), Expect(seed=4)(values, 10)
        np.testing.assert_array_equal(one.low, two.low)
        assert one.total == two.total

    @pytest.mark.parametrize("shift", [0.0, -110.0])
    def test_units_do_not_matter(self, values: Array, shift: float) -> None:
        one, two = Expect()(values + shift, 10), Expect()(1000 * (values + shift), 10)
        np.testing.assert_allclose(two.low, 1000 * one.low, rtol=1e-6)
        np.testing.assert_allclose(two.mid, 1000 * one.mid, rtol=1e-6)
        assert two.total.high == pytest.approx(1000 * one.total.high, rel=1e-6)

    def test_whole_weeks_do_not_matter(self, values: Array) -> None:
        days = 738_000 + np.arange(90)
        one, two = Expect()(values, 10, days=days), Expect()(values, 10, days=days + 7 * 31)
        np.testing.assert_allclose(two.mid, one.mid, rtol=1e-6)
        np.testing.assert_allclose(two.high, one.high, rtol=1e-5)
        assert two.days[0] == one.days[0] + 7 * 31

    def test_a_gap_in_days_is_a_missing_value(self, values: Array) -> None:
        keep = np.ones(90, bool)
        keep[[20, 21, 50]] = False
        one = Expect()(np.where(keep, values, np.nan), 10)
        two = Expect()(values[keep], 10, days=np.flatnonzero(keep))
        np.testing.assert_allclose(two.mid, one.mid, rtol=1e-6)

    def test_several_series_keep_their_own_answers(self, values: Array) -> None:
        both = Expect()(np.stack([values, 3 * values[::-1]]), 5)
        assert both.mid.shape == (2, 5)
        assert len(both.totals) == 2
        np.testing.assert_allclose(both.mid[0], Expect()(values, 5).mid, rtol=1e-9)
        with pytest.raises(BadInputError, match="no single total"):
            _ = both.total

    def test_a_surer_interval_is_wider(self, values: Array) -> None:
        half, most = Expect(level=0.5)(values, 7), Expect(level=0.95)(values, 7)
        assert (half.high - half.low < 0.6 * (most.high - most.low)).all()
        assert most.total.low < half.total.low < half.total.high < most.total.high

    def test_aims_are_ordered_where_noise_is_skewed(self, values: Array) -> None:
        mean, median, relative = (Expect(aim=aim)(values, 10).mid.sum() for aim in ("mean", "median", "relative"))
        assert relative < median < mean


class TestBadInput:
    @pytest.mark.parametrize(
        ("setting", "words"),
        [
            ({"level": 1.0}, "probability"),
            ({"seasons": (365, 7)}, "Seasons"),
            ({"aim": "mode"}, "aim"),
            ({"draws": 5}, "Too few"),
        ],
    )
    def test_settings(self, setting: dict[str, object], words: str) -> None:
        with pytest.raises(BadInputError, match=words):
            Expect(**setting)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("values", "horizon", "more", "words"),
        [
            (np.ones(13), 7, {}, "too short"),
            (np.full(60, np.nan), 7, {}, "too short"),
            (np.append(np.ones(59), np.inf), 7, {}, "infinite"),
            (np.ones(60), 0, {}, "horizon"),
            (np.ones(60), 2.5, {}, "horizon"),
            (np.ones((2, 3, 4)), 7, {}, "shape"),
            (["a"] * 60, 7, {}, "not numbers"),
            (np.ones(60), 7, {"days": np.arange(59)}, "differ in length"),
            (np.ones(60), 7, {"days": np.arange(60)[::-1]}, "increasing"),
            (np.ones(60), 7, {"known": {"promotion": np.ones(60)}}, "promotion does not cover"),
            (np.ones(60), 7, {"known": {"promotion": np.full(67, np.nan)}}, "promotion has gaps"),
            (np.ones(60), 7, {"trading": np.ones(60)}, "trading does not cover"),
            (np.ones((2, 60)), 7, {"traits": {"size": np.ones(3)}}, "size is not one per series"),
        ],
    )
    def test_data(self, values: object, horizon: int, more: dict[str, object], words: str) -> None:
        with pytest.raises(BadInputError, match=words):
            Expect()(values, horizon, **more)  # type: ignore[arg-type]

    def test_relative_errors_need_values_above_zero(self) -> None:
        with pytest.raises(BadInputError, match="above zero"):
            Expect(aim="relative")(np.arange(60.0), 7)


def panel(seed: int, count: int = 60, length: int = 420, horizon: int = 14) -> tuple[Array, Array, Array]:
    """Return values, their noiseless truth and the promotion of a panel with a known law."""
    rng = np.random.default_rng(seed)
    t = np.arange(length + horizon)
    promo = np.broadcast_to(((t // 7) % 2).astype(float), (count, len(t)))
    size = np.exp(rng.normal(6, 0.5, count))[:, None]
    lift = rng.normal(0.3, 0.08, count)[:, None]
    level = np.cumsum(0.004 * rng.standard_normal((count, len(t))), axis=1)
    truth = size * weekly(t) * np.exp(lift * promo + level)
    return truth * np.exp(0.08 * rng.standard_normal(truth.shape)), truth, promo


def panel_answer() -> Expectation:
    values, _, promo = panel(1)
    return Expect(seasons=(7,), seed=3)(values[:, :420], 14, known={"promotion": promo})


@pytest.mark.xdist_group("panel")  # its answer is made once, not by every worker
class TestPanel:
    @pytest.fixture(scope="class")
    def found(self) -> Expectation:
        return panel_answer()

    def test_known_truth_is_recovered_and_held(self, found: Expectation) -> None:
        values, truth, _ = panel(1)
        assert found.model == "panel"
        error = found.mid / truth[:, 420:] - 1
        assert np.sqrt(np.mean(error**2)) < 0.06
        future = values[:, 420:]
        assert 0.85 <= np.mean((future >= found.low) & (future <= found.high)) <= 0.96
        oracle = 2 * 1.645 * 0.08
        assert np.mean((found.high - found.low) / found.mid) < 1.4 * oracle
        held = [t.low <= s <= t.high for t, s in zip(found.totals, future.sum(axis=1), strict=True)]
        assert np.mean(held) >= 0.8

    def test_same_seed_same_answer(self, found: Expectation) -> None:
        again = panel_answer()
        np.testing.assert_array_equal(again.mid, found.mid)
        np.testing.assert_array_equal(again.low, found.low)
        assert again.totals == found.totals

    def test_the_future_is_not_read(self) -> None:
        """A case of an early origin is the same whatever came after it."""
        values, _, promo = panel(3)
        points = np.log(values[:, :420])
        trading = np.ones(promo.shape, bool)
        changed = points.copy()
        changed[:, 301:] = 99.0
        known = promo[:, None, :].copy()
        other = known.copy()
        other[:, :, 315:] = 1 - other[:, :, 315:]
        parts = [
            rows(Panel(p, np.arange(434.0), 7, 364, 14, trading, k, np.zeros((60, 0))), 300)
            for p, k in ((points, known), (changed, other))
        ]
        np.testing.assert_array_equal(parts[0].columns, parts[1].columns)
        np.testing.assert_array_equal(parts[0].base, parts[1].base)


@shared("rossmann")
def test_stores_are_expected_better_than_by_last_weeks() -> None:
    """Nineteen stores of the shared data, each by itself: within reach of the truth and held by the intervals."""
    table = pq.read_table(DATA / "rossmann" / "rossmann.parquet", columns=["Store", "Date", "Sales", "Promo"])
    store, sales = table["Store"].to_numpy(), table["Sales"].to_numpy().astype(float)
    day = table["Date"].to_numpy().astype("datetime64[D]").astype(int)
    promo_by_day = np.zeros(day.max() - day.min() + 1)
    promo_by_day[day - day.min()] = table["Promo"].to_numpy()
    horizon, count = 14, 300
    last = day.max() - 42 - day.min()  # a block before the benchmark's test
    window = slice(last - count - horizon + 1, last + 1)
    error, naive, held = [], [], []
    for one in range(1, 1115, 60):
        values = np.full(len(promo_by_day), np.nan)
        mine = store == one
        values[day[mine] - day.min()] = np.where(sales[mine] > 0, sales[mine], np.nan)
        series, promo = values[window], promo_by_day[window]
        future = series[count:]
        seen = np.isfinite(future)
        found = Expect(seasons=(7,), origins=4)(series[:count], horizon, known={"promotion": promo})
        error.append(np.mean(np.abs(found.mid / future - 1)[seen]))
        naive.append(np.nanmean(np.abs(series[count - horizon : count] / future - 1)[seen]))
        held.append(np.mean(((future >= found.low) & (future <= found.high))[seen]))
    assert np.mean(error) < np.mean(naive)
    assert 0.8 < np.mean(held) < 0.97
