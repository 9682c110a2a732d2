"""What is usual: what the next days were to be in total, judging by the days before, in a millisecond.

A day is its weekday's factor times a level that drifts, plus noise that keeps something of the day before. How fast the
level drifts and how long noise lasts is not known: a small grid of both is filtered side by side and averaged by how
well each foretold days and runs of days so far. A ratio is filtered alike, its denominator in the place of the number
of days. At every earlier origin the same forecast is made from what was known there; its misses, which bear all that
the model does not know (trends, campaigns, days out of the ordinary), correct the middle and set the width.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from tradewind.errors import BadInputError
from tradewind.study import Estimate

Array = NDArray[np.float64]

FEWEST = 28  # days from the first that counts before anything is usual
BEGIN = 14  # days of which weekdays and level are first learnt
WARM = 21  # days before a forecast is made whose miss counts
# What the noise of a day keeps of the day before, and variance of a day's drift of the level over that of a day's fresh
# noise; with how plausible each is before the data speak.
MEMORIES = ((0.0, 0.5), (0.35, 0.3), (0.7, 0.2))
SPEEDS = ((2e-4, 0.2), (2e-3, 0.3), (0.01, 0.25), (0.05, 0.17), (0.25, 0.08))
GRID = np.array([(speed, memory) for memory, _ in MEMORIES for speed, _ in SPEEDS])
PLAUSIBLE = np.log([p * w for _, w in MEMORIES for _, p in SPEEDS])
PRIOR = 5.0  # windows without overlap that the model's own word on its width counts for
LASTING = 4.0  # windows without overlap before half of a lasting miss is believed
DAILY, RUNS = 2.0, 1.0  # what days foretold, and what runs foretold, count for beside each other
MOST = 1e9  # no surprise counts for more, so that nothing overflows
LEVEL, SURE, NOISE, SCORE, TOTAL = range(5)  # what is known of each cell of the grid
LEAST = 0.01  # of the level: noise of the first days that were all alike, else the first odd one would hardly be seen
CLIP = 4.0  # a day's surprise beyond so many deviations moves the level no further


class Usual:
    """Tells what a total over the next days was to be, or a ratio of totals, with its interval.

    Args:
        level: Probability with which the interval is meant to hold the truth, in (0, 1).

    Raises:
        BadInputError: If the level is not a probability.

    Reference:
        Harvey (1989), Forecasting, structural time series models and the Kalman filter, section 4.1 (local level);
        Raftery, Kárný and Ettler (2010), Online prediction under model uncertainty via dynamic model averaging.
    """

    def __init__(self, level: float = 0.9):
        if not 0 < level < 1:
            raise BadInputError("The level of an interval is a probability", got=level, allowed="between 0 and 1")
        self.level = level

    def __call__(
        self, values: ArrayLike, length: int, *, under: ArrayLike | None = None, windows: ArrayLike | None = None
    ) -> Estimate | None:
        """Return what was usual for the `length` days right after the history.

        Args:
            values: [t] a value a day, in any one unit, the last of the day before the period; NaN where it was not
                observed. Zero is a value.
            length: Days of the period.
            under: [t] denominator a day, for a ratio of sums; not negative.
            windows: [t − length + 1] what every run of `length` days came to in truth, by its first day, where that is
                not the sum of its days, such as a number of different buyers; NaN where it is unknown.

        Returns:
            The total or the ratio of totals with its interval, in the unit of the values; None where that is unknown:
            since the first day with anything there were fewer days than 28, or than the period's and three weeks.

        Raises:
            BadInputError: If shapes disagree, the length is no number of days, or a value is infinite.
        """
        above, below = _checked("values", values), None if under is None else _checked("denominators", under)
        if length < 1:
            raise BadInputError("A period has days", got=length, allowed="1 or more")
        if below is not None and (below.shape != above.shape or np.nanmin(below, initial=0.0) < 0):
            raise BadInputError("The denominators do not fit", allowed="one a value, not negative")
        runs = max(len(above) - length + 1, 0)
        actual = np.full(runs, np.nan) if windows is None else np.asarray(windows, dtype=np.float64)
        if len(actual) != runs:
            raise BadInputError("The windows do not fit the values", got=len(actual), allowed=str(runs))
        there = (above != 0) & (above == above) if below is None else below > 0  # noqa: PLR0124  NaN is nothing
        if not there.any():
            return None
        begun = there if below is None else there & (above != 0)  # refunds begin later than sales
        start = int(np.argmax(begun if begun.any() else there))  # what had not begun yet says nothing of what is usual
        above = above[start:]
        if np.isfinite(above).sum() < max(FEWEST, length + WARM):
            return None
        of = np.ones(len(above)) if below is None else below[start:]
        middles, deviations = _walk(above, of, below is not None, length, GRID, PLAUSIBLE)
        plain = _runs(above, of, below is not None, length)
        truth = plain if windows is None else actual[start:]
        return self._estimate(middles, deviations, plain, truth, length, float(np.nanmin(above)))

    def _estimate(
        self, middles: Array, deviations: Array, plain: Array, truth: Array, length: int, least: float
    ) -> Estimate | None:
        found = _judged(middles, deviations, plain, truth, length, WARM - 1)
        mid, deviation, spread, windows, logarithmic = found
        if not math.isfinite(mid):
            return None
        quantile = float(stdtrit(2 * PRIOR + windows, (1 + self.level) / 2))
        wide = quantile * deviation * math.sqrt(spread)
        low, high = (mid * math.exp(-wide), mid * math.exp(wide)) if logarithmic else (mid - wide, mid + wide)
        if least >= 0:  # the end may not leave what the metric can be
            low, mid = max(low, 0.0), max(mid, 0.0)
        return Estimate(mid, low, max(high, mid), self.level)


def _checked(name: str, given: Any) -> Array:
    values = np.asarray(given, dtype=np.float64)
    if values.ndim != 1 or np.isinf(values).any():
        raise BadInputError(f"The {name} are not one finite number a day", got=f"shape {values.shape}")
    return values


@njit(cache=True, nogil=True, error_model="numpy")
def _walk(above: Array, below: Array, ratio: bool, length: int, cells: Array, plausible: Array) -> tuple[Array, Array]:
    """Return [t] what the next `length` days were to be after each day, and the model's deviation of it.

    A total where `ratio` is false, then `below` is one a day; else a ratio of sums.
    """
    count, grid = len(above), len(cells)
    middles, deviations = np.full(count, np.nan), np.full(count, np.nan)
    state = np.zeros((5, grid))
    state[TOTAL] = plausible
    foretold, variance = np.zeros((count, grid)), np.zeros((count, grid))
    over, under, gaps = np.zeros(count + 1), np.zeros(count + 1), np.zeros(count + 1)
    factor, mean, met = np.ones(7), np.ones(7), np.zeros(7)
    rough, usual = 0.1, 1.0
    seen, last = 0, np.nan
    for t in range(count):
        known = np.isfinite(above[t]) and below[t] > 0
        here = above[t] / below[t] if known else np.nan
        over[t + 1] = over[t] + (above[t] if known else 0.0)
        under[t + 1] = under[t] + (below[t] if known else 0.0)
        gaps[t + 1] = gaps[t] + (0.0 if np.isfinite(above[t]) else 1.0)
        if known and seen:
            weight = below[t] / usual
            usual += 0.03 * (below[t] - usual) if ratio else 0.0
            _filtered(here, last, weight, factor[t % 7], factor[(t - 1) % 7], seen, state, cells)
            seen += 1
        elif seen:
            state[SURE] += cells[:, 0]
        last = here
        if t < 6:
            continue
        week_above, week_below = _week(above, below, t)
        if not seen and t >= BEGIN - 1 and week_below > 0:
            seen, usual = BEGIN, week_below / 7
            _begun(above, below, factor, t, week_above / week_below, state, cells)
        if known and week_above > 0:
            share = here * week_below / week_above
            met[t % 7] = min(met[t % 7] + 1, 25)
            mean[t % 7] += (min(max(share, 0.0), 4.0) - mean[t % 7]) / met[t % 7]
            rough += max(1 / (t - 4), 0.02) * (min((share - mean[t % 7]) ** 2, 4.0) - rough)
            _shrunk(factor, mean, met, rough)
        if seen:
            origin = t - length
            told = origin >= 0 and np.isfinite(middles[origin]) and gaps[t + 1] == gaps[origin + 1]
            if told and under[t + 1] > under[origin + 1]:
                truth = (over[t + 1] - over[origin + 1]) / (under[t + 1] - under[origin + 1])
                _scored(truth, length, foretold[origin], variance[origin], state)
            worth = (length // 7) * factor.sum()
            for step in range(length % 7):
                worth += factor[(t + 1 + step) % 7]
            off = here - factor[t % 7] * state[LEVEL] if known else np.zeros(grid)
            middle, deviation = _ahead(worth / length, length, off, state, cells, foretold[t], variance[t])
            times = 1.0 if ratio else float(length)
            middles[t], deviations[t] = middle * times, deviation * times
    return middles, deviations


@njit(cache=True, nogil=True, error_model="numpy")
def _begun(above: Array, below: Array, factor: Array, t: int, level: float, state: Array, cells: Array) -> None:
    """Begin with the level of the last week, and the noise of the first days about it."""
    spread = 0.0
    for day in range(t + 1):
        if np.isfinite(above[day]) and below[day] > 0:
            spread += (above[day] / below[day] - factor[day % 7] * level) ** 2 / (t + 1)
    state[LEVEL], state[SURE] = level, 1 / 7
    state[NOISE] = max(spread, (LEAST * level) ** 2) * (1 - cells[:, 1] ** 2)


@njit(cache=True, nogil=True, error_model="numpy")
def _filtered(
    here: float, last: float, weight: float, today: float, yesterday: float, seen: int, state: Array, cells: Array
) -> None:
    """Learn from one day, for every cell of the grid: its value, the day's before, its weight and weekday factors."""
    level, sure, noise, score, _ = state
    after = np.isfinite(last)
    for g in range(len(cells)):
        memory = cells[g, 1] if after else 0.0
        echo = memory * last if after else 0.0
        before = sure[g] + cells[g, 0]
        slope = weight * (today - memory * yesterday)
        size = slope * slope * before + weight * (1.0 if after else 1 / (1 - cells[g, 1] ** 2))
        miss = weight * (here - echo) - slope * level[g]
        expected = noise[g] * size + 1e-300
        odd = min(1 + miss * miss / (4 * expected), MOST)  # Student's t of four degrees: one odd day decides nothing
        score[g] = 0.998 * score[g] - 0.5 * math.log(expected * odd * odd * odd * odd * odd)
        most = CLIP * math.sqrt(expected)
        miss = min(max(miss, -most), most)
        gain = slope * before / size
        level[g] += gain * miss
        sure[g] = before * (1 - gain * slope)
        noise[g] += max(1 / (seen + 4), 0.02) * (miss * miss / size - noise[g])


@njit(cache=True, nogil=True, error_model="numpy")
def _week(above: Array, below: Array, t: int) -> tuple[float, float]:
    """Return what was observed on the seven days up to one, above and below the line."""
    over, under = 0.0, 0.0
    for day in range(t - 6, t + 1):
        if np.isfinite(above[day]) and below[day] > 0:
            over += above[day]
            under += below[day]
    return over, under


@njit(cache=True, nogil=True, error_model="numpy")
def _shrunk(factor: Array, mean: Array, met: Array, rough: float) -> None:
    """Draw weekday factors towards one as far as they could be noise."""
    least = met.min()
    if least < 1:
        return
    middle = mean.mean()
    between = ((mean - middle) ** 2).sum() / 6
    kept = max(0.0, 1 - rough / least / between) if between > 0 else 0.0
    for k in range(7):
        factor[k] = max(1 + kept * (mean[k] - middle), 0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _ahead(
    worth: float, length: int, off: Array, state: Array, cells: Array, foretold: Array, variance: Array
) -> tuple[float, float]:
    """Foretell the mean of the days to come in every cell; return the average over the grid, and its deviation."""
    level, sure, noise = state[LEVEL], state[SURE], state[NOISE]
    best, total = -np.inf, 0.0
    for g in range(len(cells)):
        speed, memory = cells[g]
        drift = speed * (length + 1) * (2 * length + 1) / (6 * length)
        echo = memory * (1 - memory**length) / (1 - memory) / length * off[g]
        foretold[g] = level[g] * worth + echo
        variance[g] = noise[g] * (worth * worth * (sure[g] + drift) + 1 / (1 - memory) ** 2 / length)
        best = max(best, state[SCORE, g] * DAILY / length + state[TOTAL, g])
    middle, square = 0.0, 0.0
    for g in range(len(cells)):
        share = math.exp(state[SCORE, g] * DAILY / length + state[TOTAL, g] - best)
        total += share
        middle += share * foretold[g]
        square += share * (variance[g] + foretold[g] ** 2)
    middle /= total
    return middle, math.sqrt(max(square / total - middle * middle, 0.0))


@njit(cache=True, nogil=True, error_model="numpy")
def _scored(truth: float, length: int, foretold: Array, variance: Array, state: Array) -> None:
    """Score every cell by what it foretold of a run of days that is over; runs overlap, so each counts for a part."""
    for g in range(len(foretold)):
        expected = variance[g] + 1e-300
        odd = min(1 + (truth - foretold[g]) ** 2 / (4 * expected), MOST)
        state[TOTAL, g] -= RUNS / length * 0.5 * math.log(expected * odd * odd * odd * odd * odd)


@njit(cache=True, nogil=True, error_model="numpy")
def _runs(above: Array, below: Array, ratio: bool, length: int) -> Array:
    """Return what each run of days came to, by its first day; NaN where a day of it was not observed."""
    count = len(above) - length + 1
    found = np.full(count, np.nan)
    for n in range(count):
        over, under = 0.0, 0.0
        for step in range(length):
            over += above[n + step]
            under += below[n + step]
        if not ratio:
            found[n] = over
        elif under > 0:
            found[n] = over / under
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def _judged(
    middles: Array, deviations: Array, plain: Array, truth: Array, length: int, first: int
) -> tuple[float, float, float, float, bool]:
    """Judge the last forecast by the misses of all before it whose days are over.

    Returns:
        Its middle as corrected; its deviation; how many times its variance the misses were on average, drawn towards
        one; to how many misses without overlap they come; and whether the deviation is of the logarithm.
    """
    count = len(middles)
    last = count - 1
    corrected = middles.copy()
    usual, met = 1.0, 0
    for origin in range(count):
        over = origin - length + 1  # the run that ended on this day
        if over >= 0 and np.isfinite(truth[over]) and plain[over] != 0:
            met += 1
            usual += (truth[over] / plain[over] - usual) / min(met, 90)
        if met > 0:
            corrected[origin] *= usual
    logarithmic = corrected[last] > 0 and deviations[last] < 0.5 * corrected[last]
    for origin in range(first, count - length):
        if np.isfinite(truth[origin + 1]) and np.isfinite(corrected[origin]):
            logarithmic = logarithmic and corrected[origin] > 0 and truth[origin + 1] > 0
    weights, bias, squares = 0.0, 0.0, 0.0
    keep = 0.5 ** (1 / 180)  # what was missed half a year ago counts half
    for turn in range(2):
        total, found = 0.0, 0.0
        for origin in range(first, count - length):
            true, foretold = truth[origin + 1], corrected[origin]
            if not (np.isfinite(true) and np.isfinite(foretold)):
                continue
            share = keep ** (last - origin)
            miss = math.log(true / foretold) if logarithmic else true - foretold
            spread = deviations[origin] / middles[origin] if logarithmic else deviations[origin]
            if turn == 0:
                found += share * miss
            elif spread > 0:
                found += share * min(((miss - bias) / spread) ** 2, 25.0)
            total += share
        if total > 0 and turn == 0:
            weights = total / length
            bias = found / total * weights / (weights + LASTING)
        elif total > 0:
            squares = found / total
    spread = (PRIOR + weights * squares) / (PRIOR + weights) * (1 + 1 / (PRIOR + weights))
    middle = corrected[last] * math.exp(bias) if logarithmic else corrected[last] + bias
    deviation = deviations[last] / middles[last] if logarithmic else deviations[last]
    return middle, deviation, spread, weights, logarithmic
