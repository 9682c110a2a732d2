"""What a metric would have been: expected values with intervals, so that a normal Monday is not an incident."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from threadpoolctl import threadpool_limits

from tradewind.errors import BadInputError
from tradewind.methods.expect_panel import Panel, panel_outlook
from tradewind.methods.expect_series import Outlook, outlook
from tradewind.study import Estimate

Array = NDArray[np.float64]

AIMS = ("mean", "median", "relative")
PRIOR = 8  # past origins that the model's own word on its intervals counts for


@dataclass(frozen=True)
class Expectation:
    """What was expected of one series, or of several.

    Args:
        days: [h] ordinals of the steps that it speaks of.
        mid: [h] or [series, h] expected values, in the unit of the values.
        low: Lower end of each step's interval, shaped as `mid`.
        high: Upper end of each step's interval, shaped as `mid`.
        totals: One interval per series of the sum over all steps; errors of neighbouring steps are correlated, so it is
            not the sum of the steps' intervals.
        level: Probability with which each interval is meant to hold the truth.
        model: `series` or `panel`: which of the two models answered.
        origins: How many past origins the intervals were checked at; 0 means that history was too short for any.
        stretch: How much wider than the model's own word past misses made the intervals: of a step, of the sum.
    """

    days: NDArray[np.int64]
    mid: Array
    low: Array
    high: Array
    totals: tuple[Estimate, ...]
    level: float
    model: str
    origins: int
    stretch: tuple[float, float]

    @property
    def total(self) -> Estimate:
        """The sum over all steps of the one series."""
        if len(self.totals) != 1:
            raise BadInputError("Several series have no single total", got=len(self.totals), do="read totals[i]")
        return self.totals[0]


class Expect:
    """Expects what one series or several would have been on the steps after their history.

    The rule of choice between the two models, told by `Expectation.model`:

    * `panel` where there are at least 50 series and 20,000 observed values, all above zero, on steps without gaps, over
      26 short seasons plus four horizons: boosted trees learn from all series what each one's own regression misses.
    * `series` everywhere else: each series is fitted by itself with a robust structural model: level, trend, seasons
      and known regressors on a log scale (asinh where values touch or cross zero), noise with memory and heavy tails.

    Args:
        seasons: Periods in steps, shortest first, such as `(7, 365.25)` for days; each counts once the history holds it
            twice, and the shortest must be held twice. Give `()` where there is none.
        level: Probability with which each interval is meant to hold the truth, in (0, 1).
        aim: `mean` makes `mid` the expected value, whose sum is the expected sum; `median` the value exceeded half of
            the time; `relative` makes squared relative errors least, for values above zero.
        origins: Most past origins at which the intervals of a series are checked; 0 takes the model's own word. A panel
            is always checked, at two to five.
        draws: Paths drawn for the intervals of a series.
        seed: Seed of draws and trees: the same seed gives the same answer.

    Raises:
        BadInputError: If a setting is out of range.

    Reference:
        Durbin and Koopman (2012), Time Series Analysis by State Space Methods, chapter 3; Stankevičiūtė, Alaa and van
        der Schaar (2021), Conformal time-series forecasting, section 3.
    """

    def __init__(
        self,
        seasons: Sequence[float] = (7, 365.25),
        level: float = 0.9,
        aim: str = "mean",
        origins: int = 8,
        draws: int = 1000,
        seed: int = 0,
    ):
        if any(not np.isfinite(s) or s < 2 for s in seasons) or list(seasons) != sorted(seasons):
            raise BadInputError("Seasons are periods in steps", got=tuple(seasons), allowed="2 or more, shortest first")
        if not 0 < level < 1:
            raise BadInputError("The level of an interval is a probability", got=level, allowed="between 0 and 1")
        if aim not in AIMS:
            raise BadInputError("Unknown aim", got=aim, allowed=AIMS)
        if origins < 0 or draws < 100:
            raise BadInputError(
                "Too few origins or draws", got=(origins, draws), allowed="origins from 0, draws from 100"
            )
        self.seasons = tuple(float(s) for s in seasons)
        self.level = level
        self.aim = aim
        self.origins = origins
        self.draws = draws
        self.seed = seed

    def __call__(
        self,
        values: Any,
        horizon: int,
        *,
        days: Any = None,
        known: Mapping[str, Any] | None = None,
        trading: Any = None,
        traits: Mapping[str, Any] | None = None,
    ) -> Expectation:
        """Return what was expected on the `horizon` steps after the history.

        Args:
            values: [t] or [series, t] observed values in any one unit; NaN where a step was not observed.
                Zero is a value.
            horizon: Number of steps to expect.
            days: [t] ordinals of the steps, increasing, such as `date.toordinal()`; gaps are steps not observed. 0, 1,
                ... if None. The horizon is the steps right after the last.
            known: Regressors known ahead, by name: [t + horizon] or [series, t + horizon], finite.
            trading: [t + horizon] or [series, t + horizon], False where a step is closed: it is left out of the fit
                and expected to be 0.
            traits: What does not change about a series, by name: [series] numbers or codes, NaN where unknown; only a
                panel learns from them.

        Returns:
            The expectation; arrays are [horizon] for one series, [series, horizon] for several.

        Raises:
            BadInputError: If shapes disagree, a value is infinite, or the history is under two of the shortest seasons.
        """
        table, steps, ahead = _history(values, horizon, days)
        count = table.shape[0]
        every = len(steps) + horizon
        regressors = _regressors(known or {}, count, every)
        still = np.ones((count, every), bool) if trading is None else _shaped("trading", trading, count, every) > 0
        steady = _traits(traits or {}, count)
        if self.aim == "relative" and (table <= 0).any():
            raise BadInputError(
                "Relative errors need values above zero", got=float(np.nanmin(table)), do="aim for the mean"
            )
        if self._is_panel(table, steps, still, horizon):
            return self._of_panel(table, steps, ahead, still, regressors, steady)
        rng = np.random.default_rng(self.seed)
        parts = [self._part(_Part(table[i], steps, ahead, regressors[i], still[i])) for i in range(count)]
        with threadpool_limits(1):  # matrices of a hundred columns: threads would only wait for each other
            outlooks = [self._outlook(part, part.ahead, rng, self.draws) for part in parts]
            pairs = zip(parts, outlooks, strict=True)
            scores = [score for part, out in pairs for score in self._past_misses(part, out, rng)]
        # A handful of past sums cannot show that the model's word on the sum is too careful, only that it is too bold.
        stretch = (_stretch([s for s, _ in scores], self.level, 0.8), _stretch([s for _, s in scores], self.level, 1.0))
        ends = [self._ends(part, out, stretch) for part, out in zip(parts, outlooks, strict=True)]
        mid, low, high = (np.array([end[i] for end in ends]) for i in range(3))
        one = np.ndim(values) == 1
        return Expectation(
            ahead.astype(np.int64),
            mid[0] if one else mid,
            low[0] if one else low,
            high[0] if one else high,
            tuple(end[3] for end in ends),
            self.level,
            "series",
            len(scores),
            stretch,
        )

    def _is_panel(self, table: Array, steps: Array, still: NDArray[np.bool_], horizon: int) -> bool:
        """Return whether the panel's model answers; the class says when."""
        count, length = table.shape
        seen = table[np.isfinite(table) & still[:, :length]]
        whole = bool(self.seasons) and self.seasons[0] % 1 == 0 and self.seasons[0] <= 31
        return bool(
            whole
            and count >= 50
            and seen.size >= 20_000
            and seen.min() > 0
            and (np.diff(steps) == 1).all()
            and length >= 26 * self.seasons[0] + 4 * horizon
        )

    def _of_panel(
        self, table: Array, steps: Array, ahead: Array, still: NDArray[np.bool_], known: Array, traits: Array
    ) -> Expectation:
        season = int(self.seasons[0])
        long = self.seasons[-1] if len(self.seasons) > 1 else 0.0
        year = round(long / season) * season  # the same weekday a year ago
        with np.errstate(invalid="ignore"):
            points = np.where(still[:, : table.shape[1]], np.log(table), np.nan)
        panel = Panel(points, np.concatenate([steps, ahead]), season, year, len(ahead), still, known, traits)
        found = panel_outlook(panel, self.level, self.aim, self.seed)
        totals = tuple(Estimate(m, min(a, m), max(b, m), self.level) for a, m, b in found.totals.tolist())
        low, high = np.minimum(found.low, found.mid), np.maximum(found.high, found.mid)
        days = ahead.astype(np.int64)
        return Expectation(days, found.mid, low, high, totals, self.level, "panel", found.origins, (1.0, 1.0))

    def _part(self, part: _Part) -> _Part:
        """Return the part with the seasons that its history holds twice, or say that it is too short."""
        need = max(2 * self.seasons[0] if self.seasons else 0, 8)
        seen = len(part.seen)
        span = part.steps[part.seen[-1]] - part.steps[part.seen[0]] + 1 if seen else 0
        if seen < 8 or span < need:
            raise BadInputError(
                "The history is too short to expect anything from",
                got=f"{seen} observed steps over {span:.0f}",
                allowed=f"at least 8 observed steps over {need:.0f}: two of the shortest season",
                do="give more history, or seasons=() where there is no season",
            )
        return replace(part, seasons=tuple(s for s in self.seasons if span >= 2 * s))

    def _outlook(self, part: _Part, ahead: Array, rng: np.random.Generator, draws: int, grid: Any = ()) -> Outlook:
        rows = part.seen
        future = np.searchsorted(part.every, ahead)
        regressors = np.vstack([part.known[:, rows].T, part.known[:, future].T])
        return outlook(
            part.values[rows], part.steps[rows], ahead, part.seasons, regressors, rng, draws=draws, grid=grid
        )

    def _past_misses(self, part: _Part, out: Outlook, rng: np.random.Generator) -> list[tuple[Array, Array]]:
        """Return at each past origin the misses of the steps and of the sum, in halves of the model's own interval."""
        horizon = len(part.ahead)
        base = max(2 * self.seasons[0] if self.seasons else 0, 8)
        start = part.steps[part.seen[0]]
        # A long season is hardly known before it has been seen twice; origins so early would tell of another model.
        first = start + max(
            1.5 * base, 0.9 * part.seasons[-1] if len(part.seasons) > 1 else 0, (part.steps[-1] - start) / 3
        )
        cuts = np.flatnonzero(part.steps[:-1] >= first)
        cuts = cuts[cuts <= len(part.steps) - 1 - min(horizon, len(part.steps) // 3)]
        if not len(cuts) or not self.origins:
            return []
        chosen = np.unique(cuts[np.linspace(0, len(cuts) - 1, min(self.origins, len(cuts))).astype(int)])
        misses = []
        for cut in chosen:
            past = part.until(cut)
            if len(past.seen) < 8:
                continue
            rows = np.array([i for i in part.seen if cut < i <= cut + horizon], dtype=int)
            if not len(rows):
                continue
            found = self._outlook(past, part.steps[rows], rng, 300, out.fits)
            truth = part.values[rows]
            misses.append(
                (self._miss(truth, found.paths), self._miss(np.atleast_1d(truth.sum()), found.paths.sum(1)[:, None]))
            )
        return misses

    def _miss(self, truth: Array, paths: Array) -> Array:
        tail = (1 - self.level) / 2
        low, mid, high = np.quantile(paths, [tail, 0.5, 1 - tail], axis=0)
        half = np.where(truth > mid, high - mid, mid - low)
        tiny = 1e-9 * (np.abs(mid) + np.abs(truth)) + 1e-300
        return np.asarray(np.abs(truth - mid) / np.maximum(half, tiny))

    def _ends(self, part: _Part, out: Outlook, stretch: tuple[float, float]) -> tuple[Array, Array, Array, Estimate]:
        open_ = part.trading_ahead
        aims = {"mean": out.mean, "median": out.median}
        wanted = aims[self.aim] if self.aim in aims else (1 / out.paths).mean(axis=0) / (out.paths**-2.0).mean(axis=0)
        mid = np.where(open_, wanted, 0.0)
        paths = np.where(open_, out.paths, 0.0)
        tail = (1 - self.level) / 2
        low, middle, high = np.quantile(paths, [tail, 0.5, 1 - tail], axis=0)
        low, high = middle - stretch[0] * (middle - low), middle + stretch[0] * (high - middle)
        a, m, b = np.quantile(paths.sum(axis=1), [tail, 0.5, 1 - tail])
        a, b = m - stretch[1] * (m - a), m + stretch[1] * (b - m)
        if part.values[part.seen].min() >= 0:  # stretched, an end may not leave what the metric can be
            low, a = np.maximum(low, 0.0), max(a, 0.0)
        total = float(mid.sum())
        return (
            mid,
            np.minimum(low, mid),
            np.maximum(high, mid),
            Estimate(total, min(float(a), total), max(float(b), total), self.level),
        )


@dataclass(frozen=True)
class _Part:
    """One series, ready to be fitted."""

    values: Array
    steps: Array
    ahead: Array
    known: Array
    trading: NDArray[np.bool_]
    seasons: tuple[float, ...] = ()

    @property
    def seen(self) -> NDArray[np.intp]:
        return np.flatnonzero(np.isfinite(self.values) & self.trading[: len(self.values)])

    @property
    def every(self) -> Array:
        return np.concatenate([self.steps, self.ahead])

    @property
    def trading_ahead(self) -> NDArray[np.bool_]:
        return self.trading[len(self.values) :]

    def until(self, cut: int) -> _Part:
        """Return the part as it was known at step `cut`."""
        return replace(self, values=np.where(np.arange(len(self.values)) <= cut, self.values, np.nan))


def _stretch(scores: list[Array], level: float, least: float) -> float:
    """Return how much wider the intervals should be, from misses at past origins; few of them move it little."""
    # Squares of misses say more than a quantile of a few: of a normal law that is right, their mean is this.
    right = float(ndtri((1 + level) / 2)) ** -2
    squares = np.array([float(np.mean(np.minimum(s, 3.0) ** 2)) for s in scores]) / right
    return float(np.clip(np.sqrt((PRIOR + squares.sum()) / (PRIOR + len(squares))), least, 3.0))


def _history(values: Any, horizon: int, days: Any) -> tuple[Array, Array, Array]:
    """Return the values [series, t], their ordinals [t] and the ordinals ahead [h], or say what is wrong with them."""
    try:
        table = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BadInputError(
            "Values are not numbers", got=type(values).__name__, allowed="[t] or [series, t] of numbers"
        ) from error
    if table.ndim not in (1, 2) or table.size == 0:
        raise BadInputError("Values have the wrong shape", got=table.shape, allowed="[t] or [series, t], not empty")
    table = np.atleast_2d(table)
    if np.isinf(table).any():
        raise BadInputError(
            "Values are infinite", got=int(np.isinf(table).sum()), allowed="finite, or NaN where not observed"
        )
    if isinstance(horizon, bool) or not isinstance(horizon, (int, np.integer)) or horizon < 1:
        raise BadInputError("The horizon is a number of steps", got=horizon, allowed="a whole number from 1")
    if days is None:
        steps = np.arange(table.shape[1], dtype=np.float64)
    else:
        steps = np.asarray(days, dtype=np.float64)
        if steps.shape != (table.shape[1],):
            raise BadInputError("Days and values differ in length", got=steps.shape, allowed=f"[{table.shape[1]}]")
        if not np.isfinite(steps).all() or (steps % 1 != 0).any() or (np.diff(steps) < 1).any():
            raise BadInputError("Days are not increasing whole ordinals", do="sort them, one value per day")
    return table, steps, steps[-1] + np.arange(1.0, int(horizon) + 1)


def _shaped(name: str, given: Any, count: int, every: int) -> Array:
    """Return a regressor as [series, t + h], or say which part of it is missing."""
    try:
        array = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BadInputError(f"The known regressor {name} is not numbers", got=type(given).__name__) from error
    if array.shape not in ((every,), (count, every)):
        raise BadInputError(
            f"The known regressor {name} does not cover history and horizon",
            got=array.shape,
            allowed=f"[{every}] or [{count}, {every}]: history, then horizon",
        )
    if not np.isfinite(array).all():
        raise BadInputError(
            f"The known regressor {name} has gaps", got=int((~np.isfinite(array)).sum()), allowed="finite everywhere"
        )
    return np.broadcast_to(array, (count, every))


def _traits(traits: Mapping[str, Any], count: int) -> Array:
    """Return the traits as [series, m]."""
    for name, given in traits.items():
        if np.shape(given) != (count,):
            raise BadInputError(f"The trait {name} is not one per series", got=np.shape(given), allowed=f"[{count}]")
    return (
        np.column_stack([np.asarray(t, dtype=np.float64) for t in traits.values()]) if traits else np.zeros((count, 0))
    )


def _regressors(known: Mapping[str, Any], count: int, every: int) -> Array:
    """Return the known regressors as [series, k, t + h]."""
    if not known:
        return np.zeros((count, 0, every))
    return np.stack([_shaped(name, given, count, every) for name, given in known.items()], axis=1)
