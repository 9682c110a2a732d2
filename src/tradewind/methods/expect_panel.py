"""A panel of many series with regressors known ahead: boosted trees on what recent comparable steps leave unexplained.

Each series has its own ridge regression on season and known regressors, held towards the panel's, with recent steps
weighing more. Trees learn from many past origins what that baseline misses at the same distance ahead: how levels
drift, how the year turns, what the days around a promotion or a closure do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

if TYPE_CHECKING:
    import lightgbm as lgb

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Floats32 = NDArray[np.float32]

HALF_LIFE = 26.0  # seasons after which a step weighs half as much in a series' own regression
HOLD = 4.0  # observations that the panel's coefficients count for in a series' own
WINDOWS = (1, 2, 4, 8, 13, 26)  # seasons over which the recent level is read
FIRST = 22  # seasons of history before the first origin that teaches
MOST_ROWS = 300_000  # cases that teach; more are sampled down
CLIP = 0.6  # a miss beyond this is an accident, not a lesson
CHECKS = 5  # past horizons that the intervals come from
ROUNDS = 200
ENSEMBLE = 1
TREES = {
    "objective": "regression",
    "learning_rate": 0.08,
    "num_leaves": 63,
    "min_data_in_leaf": 200,
    "feature_fraction": 0.4,
    "bagging_fraction": 0.6,
    "bagging_freq": 1,
    "max_bin": 127,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
MEMORY = 63  # steps beyond which "how long since" no longer counts


@dataclass(frozen=True)
class Panel:
    """Many series over the same steps.

    Args:
        points: [series, t] log of the values, NaN where closed or not observed.
        steps: [t + h] ordinals of history and horizon, without gaps.
        season: Length of the short season in steps.
        year: Length of the long season in steps, a multiple of the short; 0 where there is none.
        horizon: Steps ahead.
        trading: [series, t + h] False where closed.
        known: [series, k, t + h] regressors known ahead.
        traits: [series, m] numbers that do not change; NaN where unknown.
    """

    points: Array
    steps: Array
    season: int
    year: int
    horizon: int
    trading: Mask
    known: Array
    traits: Array

    @property
    def last(self) -> int:
        """Index of the last step of history."""
        return int(self.points.shape[1]) - 1


@dataclass(frozen=True)
class Rows:
    """Cases to learn from or to answer: one per series and open step of an origin's horizon.

    Args:
        series: [n] which series.
        step: [n] index of the step.
        base: [n] the baseline's answer, on the log scale.
        columns: [n, f] features.
    """

    series: NDArray[np.int64]
    step: NDArray[np.int64]
    base: Array
    columns: Floats32


def binary(known: Array) -> list[int]:
    """Return which regressors only take two values, 0 and 1."""
    return [k for k in range(known.shape[1]) if np.isin(known[:, k], (0.0, 1.0)).all() and known[:, k].any()]


def regular(panel: Panel, flags: list[int]) -> list[int]:
    """Return which flags come and go often enough for an own weekday profile each: up on 20 to 80 % of open steps."""
    open_ = panel.trading
    return [k for k in flags if 0.2 <= float(panel.known[:, k][open_].mean()) <= 0.8][:2]


def own_design(panel: Panel, first: int, end: int) -> Floats32:
    """Return columns [series, end - first, p] of the own regressions: season, flags, season by regular flag."""
    flags = binary(panel.known)
    phase = np.eye(panel.season, dtype=np.float32)[(panel.steps[first:end] % panel.season).astype(int)][:, 1:]
    count = len(panel.points)
    parts = [np.ones((count, end - first, 1), np.float32)]
    parts.append(np.broadcast_to(phase, (count, *phase.shape)))
    parts += [panel.known[:, k, first:end, None].astype(np.float32) for k in flags]
    parts += [panel.known[:, k, first:end, None].astype(np.float32) * phase for k in regular(panel, flags)]
    return np.concatenate(parts, axis=2)


def own_coefficients(points: Floats32, matrix: Floats32, weights: Floats32) -> Array:
    """Return each series' ridge coefficients [series, p], held towards those of the panel.

    Args:
        points: [series, t] log values; those of weight 0 do not count.
        matrix: [series, t, p] columns, the first constant.
        weights: [series, t] weights from 0.
    """
    heavy = matrix * weights[:, :, None]
    gram = np.matmul(heavy.transpose(0, 2, 1), matrix).astype(np.float64)
    moment = np.matmul(heavy.transpose(0, 2, 1), points[:, :, None])[:, :, 0].astype(np.float64)
    size = np.maximum(gram[:, 0, 0], 1e-9)
    # Pooled within series: each series' level is taken out before the panel's slopes are found.
    within = (gram - gram[:, :, :1] * gram[:, :1, :] / size[:, None, None])[:, 1:, 1:].sum(axis=0)
    target = (moment - gram[:, :, 0] * (moment[:, :1] / size[:, None]))[:, 1:].sum(axis=0)
    shared = np.linalg.solve(within + np.eye(len(within)), target)
    hold = np.full(gram.shape[1], HOLD)
    hold[0] = 1e-6
    pull = hold * np.append(0.0, shared)
    return np.linalg.solve(gram + np.diag(hold), (moment + pull)[:, :, None])[:, :, 0]


def _mean_over(values: Floats32, seen: Mask) -> Floats32:
    """Return the mean [series] over seen entries [series, w]; NaN where there is none."""
    count = seen.sum(axis=1)
    total = np.where(seen, values, 0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)


def _runs(flag: Mask) -> tuple[Floats32, Floats32]:
    """Return for each step of [series, w] how long its flag has lasted, and how long ago it was last down."""
    count, width = flag.shape
    lasted = np.zeros((count, width), np.float32)
    past = np.full((count, width), MEMORY, np.float32)
    for j in range(width):
        if j:
            lasted[:, j] = np.where(flag[:, j] == flag[:, j - 1], np.minimum(lasted[:, j - 1] + 1, MEMORY), 0)
            past[:, j] = np.where(flag[:, j], np.minimum(past[:, j - 1] + 1, MEMORY), 0)
    return lasted, past


def _around(flag: Mask, take: slice) -> list[Floats32]:
    """Return what surrounds each step: the run behind and ahead, neighbours, counts of the week before and after."""
    behind = _runs(flag)[0]
    ahead = _runs(flag[:, ::-1])[0][:, ::-1]
    number = np.pad(np.cumsum(flag, axis=1, dtype=np.float32), ((0, 0), (8, 7)), mode="edge")
    number[:, :8] = 0
    width = flag.shape[1]
    here = number[:, 8 : 8 + width]
    week_before = number[:, 7 : 7 + width] - number[:, :width]
    week_after = number[:, 15 : 15 + width] - here
    neighbours = np.pad(flag.astype(np.float32), ((0, 0), (1, 1)), constant_values=np.nan)
    parts = [behind, ahead, neighbours[:, :-2], neighbours[:, 2:], week_before, week_after]
    return [part[:, take] for part in parts]


def _same_phase(panel: Panel, miss: Floats32, seen: Mask, flags: list[int]) -> list[Floats32]:
    """Return what the baseline has missed lately at the same phase under the same regular flags: two of [series, h]."""
    count, known = miss.shape
    end = known + panel.horizon
    cell = np.broadcast_to((panel.steps[:end] % panel.season).astype(int), (count, end)).copy()
    for k in regular(panel, flags):
        cell = cell * 2 + (panel.known[:, k, :end] > 0)
    found = []
    for w in (8, 26):
        mean_miss = np.full((count, panel.horizon), np.nan, np.float32)
        tail = slice(max(0, known - w * panel.season), known)
        for c in np.unique(cell[:, known:]):
            there = seen[:, tail] & (cell[:, tail] == c)
            mean_miss = np.where(cell[:, known:] == c, _mean_over(miss[:, tail], there)[:, None], mean_miss)
        found.append(mean_miss)
    return found


def _years_ago(panel: Panel, miss: Floats32, seen: Mask) -> list[Floats32]:
    """Return what was missed at the same time one and two years ago, against the level of that time.

    By series and over all series: each [series, h].
    """
    count, known = miss.shape
    found: list[Floats32] = []
    for back in (panel.year, 2 * panel.year) if panel.year else ():
        level_then = np.full(count, np.nan, np.float32)
        start = known - 1 - back
        if start - 4 * panel.season >= 0:
            eight_weeks = slice(start - 8 * panel.season + 1, start + 1)
            level_then = _mean_over(miss[:, eight_weeks], seen[:, eight_weeks])
        for reach in (0, 3, 10):
            then = np.full((count, panel.horizon), np.nan, np.float32)
            for i, step in enumerate(np.arange(panel.horizon) + known - back):
                low, high = step - reach, min(step + reach + 1, known)
                if low >= 0:
                    then[:, i] = _mean_over(miss[:, low:high], seen[:, low:high])
            then -= level_then[:, None]
            found.append(then)
            if reach != 3:
                some = np.isfinite(then).any(axis=0)
                shared = np.full(panel.horizon, np.nan, np.float32)
                shared[some] = np.nanmedian(then[:, some], axis=0)
                found.append(np.broadcast_to(shared, then.shape))
    return found


def rows(panel: Panel, origin: int) -> Rows:
    """Return the cases of one origin: what was known at step `origin` about the open steps of its horizon.

    Args:
        panel: The panel; nothing of `points` after `origin` is read, nor any regressor beyond its horizon.
        origin: Index of the last step known.
    """
    season, horizon = panel.season, panel.horizon
    end = origin + horizon + 1
    count = len(panel.points)
    past = panel.points[:, : origin + 1]
    seen = np.isfinite(past)
    points = np.where(seen, past, 0).astype(np.float32)
    age = (origin - np.arange(origin + 1)) / season
    weights = (seen * 0.5 ** (age / HALF_LIFE)).astype(np.float32)
    matrix = own_design(panel, 0, end)
    beta = own_coefficients(points, matrix[:, : origin + 1], weights)
    fitted = np.matmul(matrix, beta[:, :, None].astype(np.float32))[:, :, 0]
    miss = points - fitted[:, : origin + 1]

    wide: list[Floats32] = []  # [series, h]
    tall: list[Floats32] = []  # [series]
    ahead = np.arange(1, horizon + 1)
    phase = (panel.steps[:end] % season).astype(int)

    recent = [_mean_over(miss[:, -w * season :], seen[:, -w * season :]) for w in WINDOWS]
    tall += recent
    tall += [recent[2] - recent[4], recent[0] - recent[2]]
    for w in (8, 26):
        part, there = miss[:, -w * season :], seen[:, -w * season :]
        centre = _mean_over(part, there)
        tall.append(np.sqrt(_mean_over((part - centre[:, None]) ** 2, there)))
    level = _mean_over(points, seen & (age < 26))
    tall.append(level)
    tall += [beta[:, k].astype(np.float32) for k in range(1, beta.shape[1])]
    tall.append(seen.sum(axis=1).astype(np.float32))
    tall.append(_mean_over(seen.astype(np.float32)[:, -13 * season :], np.ones_like(seen[:, -13 * season :])))
    tall += [np.asarray(panel.traits[:, m], np.float32) for m in range(panel.traits.shape[1])]
    common = np.array([np.nanmean(r) for r in recent[:4]], np.float32)
    tall += [np.full(count, c, np.float32) for c in common]

    flags = binary(panel.known)
    wide += _same_phase(panel, miss, seen, flags)
    wide += _years_ago(panel, miss, seen)

    first = max(0, origin - MEMORY)
    take = slice(origin + 1 - first, None)
    for k in flags:
        wide += _around(panel.known[:, k, first:end] > 0, take)
    trading = panel.trading[:, first:end]
    wide += _around(trading, take)
    closed_long = _long_runs(~trading, 3)
    wide.append(_runs(~closed_long)[1][:, take])
    wide.append(_runs(~closed_long[:, ::-1])[1][:, ::-1][:, take])
    wide += [panel.known[:, k, origin + 1 : end].astype(np.float32) for k in range(panel.known.shape[1])]
    wide.append(np.broadcast_to(phase[origin + 1 :].astype(np.float32), (count, horizon)))
    wide.append(np.broadcast_to(ahead.astype(np.float32), (count, horizon)))
    wide.append(np.broadcast_to(np.float32(0) + fitted[:, origin + 1 :] - level[:, None], (count, horizon)))

    series, place = np.nonzero(panel.trading[:, origin + 1 : end] & np.isfinite(level)[:, None])
    columns = np.empty((len(series), len(tall) + len(wide)), np.float32)
    for j, one in enumerate(tall):
        columns[:, j] = one[series]
    for j, many in enumerate(wide):
        columns[:, len(tall) + j] = many[series, place]
    return Rows(series, place + origin + 1, fitted[:, origin + 1 :][series, place].astype(np.float64), columns)


def _long_runs(flag: Mask, least: int) -> Mask:
    """Return the flags of [series, w] that belong to a run of at least `least`."""
    long = np.zeros_like(flag)
    for shift in range(least):
        run = np.ones_like(flag)
        for other in range(least):
            moved = np.zeros_like(flag)
            offset = other - shift
            if offset >= 0:
                moved[:, : flag.shape[1] - offset] = flag[:, offset:]
            else:
                moved[:, -offset:] = flag[:, :offset]
            run &= moved
        long |= run
    return long


@dataclass(frozen=True)
class PanelOutlook:
    """What a panel is expected to do.

    Args:
        mid: [series, h] expected values; 0 where closed.
        low: [series, h] lower ends.
        high: [series, h] upper ends.
        totals: [series, 3] low, mid and high of each series' sum.
        origins: Past origins at which the intervals were found.
    """

    mid: Array
    low: Array
    high: Array
    totals: Array
    origins: int


@dataclass(frozen=True)
class Misses:
    """What the trees missed at past origins, on the log scale, and how large misses are where.

    Args:
        error: [n] truth less answer.
        marks: [n] which past horizon each is of.
        slope: Coefficients of the log size of a miss on a series' own unrest and the distance ahead.
        ends: Quantiles of error over size, lower and upper.
        total_ends: The same of the sum's error.
    """

    error: Array
    marks: NDArray[np.int64]
    slope: Array
    ends: tuple[float, float]
    total_ends: tuple[float, float]


def fit_trees(panel: Panel, origins: list[int], seed: int) -> list[lgb.Booster]:
    """Return trees that answer what the baseline misses, learnt from the cases of past origins."""
    import lightgbm as lgb  # noqa: PLC0415  a second and 60 MiB that a server has no use for until it forecasts

    rng = np.random.default_rng(seed)
    share = min(1.0, MOST_ROWS / (len(origins) * panel.horizon * float(panel.trading.mean(axis=1).sum())))
    columns, targets = [], []
    for origin in origins:
        part = rows(panel, origin)
        target = panel.points[part.series, part.step] - part.base
        keep = np.isfinite(target) & (rng.random(len(target)) < share)
        columns.append(part.columns[keep])
        targets.append(np.clip(target[keep], -CLIP, CLIP))
    data = lgb.Dataset(np.concatenate(columns), np.concatenate(targets), params={"max_bin": 127})
    return [lgb.train({**TREES, "seed": seed + i}, data, ROUNDS) for i in range(ENSEMBLE)]


def _answer(trees: list[lgb.Booster], part: Rows) -> Array:
    return np.asarray(part.base + np.mean([np.asarray(tree.predict(part.columns)) for tree in trees], axis=0))


def _unrest(panel: Panel, origin: int) -> Array:
    """Return how restless each series has been: the median size of its change over two seasons."""
    past = panel.points[:, max(0, origin + 1 - 26 * panel.season) : origin + 1]
    change = np.abs(past[:, 2 * panel.season :] - past[:, : -2 * panel.season])
    seen = np.isfinite(change).sum(axis=1)
    with np.errstate(all="ignore"):
        middle = np.nanmedian(np.where(seen[:, None] > 0, change, 0.0), axis=1)
    usual = float(np.median(middle[seen > 20])) if (seen > 20).any() else 0.1
    return np.asarray((20 * usual + seen * middle) / (20 + seen)) + 1e-6


def find_misses(panel: Panel, trees: list[lgb.Booster], origins: list[int], level: float) -> Misses:
    """Return what the trees missed at origins whose horizons they have not seen.

    Reference:
        Lei, G'Sell, Rinaldo, Tibshirani and Wasserman (2018), Distribution-free predictive inference for regression,
        section 5.2 (locally weighted conformal intervals).
    """
    errors, sizes, sums, marks, sum_marks = [], [], [], [], []
    for mark, origin in enumerate(origins):
        part = rows(panel, origin)
        truth = panel.points[part.series, part.step]
        seen = np.isfinite(truth)
        answer = _answer(trees, part)
        errors.append((truth - answer)[seen])
        unrest = np.log(_unrest(panel, origin))
        distance = np.log(part.step[seen] - origin)
        sizes.append(np.column_stack([np.ones(len(distance)), unrest[part.series[seen]], distance]))
        told = np.bincount(part.series[seen], np.exp(answer[seen]), minlength=len(panel.points))
        was = np.bincount(part.series[seen], np.exp(truth[seen]), minlength=len(panel.points))
        there = was > 0
        sums.append(np.column_stack([np.log(was[there] / told[there]), unrest[there]]))
        marks.append(np.full(int(seen.sum()), mark))
        sum_marks.append(np.full(int(there.sum()), mark))
    error, matrix, total = np.concatenate(errors), np.concatenate(sizes), np.concatenate(sums)
    mark_of = np.concatenate(marks)
    slope = np.linalg.lstsq(matrix, np.log(np.abs(error) + 0.01), rcond=None)[0]
    # The sum's misses follow a series' unrest as the steps' do; its distance is that of the whole horizon.
    total_size = np.exp(slope[1] * total[:, 1])
    return Misses(
        error,
        mark_of,
        slope,
        _conformal(error / np.exp(matrix @ slope), mark_of, level),
        _conformal(total[:, 0] / total_size, np.concatenate(sum_marks), level),
    )


def _conformal(scores: Array, marks: NDArray[np.int64], level: float) -> tuple[float, float]:
    """Return the ends that hold `level` of future scores; `marks` tell which past horizon each score is of.

    Series miss together: a warm month lifts all of them. Scores of one horizon are one draw of what they share, and few
    draws of it must count for more: what a horizon shares is stretched as Student's interval of one more draw.
    """
    number = int(marks.max()) + 1
    shared = np.bincount(marks, scores) / np.bincount(marks)
    stretch = float(stdtrit(number - 1, (1 + level) / 2) / ndtri((1 + level) / 2) * np.sqrt(1 + 1 / number))
    centre = float(shared.mean())
    spread = scores + ((stretch - 1) * (shared - centre))[marks]
    tail = max((1 - level) / 2 - 1 / (len(scores) + 1), 0.0)
    return float(np.quantile(spread, tail)), float(np.quantile(spread, 1 - tail))


def _factor(error: Array, aim: str) -> float:
    """Return what the answer is to be multiplied by, for what it aims at, from errors of the log scale."""
    ratio = np.exp(np.clip(-error, -1.0, 1.0))
    if aim == "mean":
        return float(np.mean(1 / ratio))
    if aim == "median":
        return float(np.exp(np.median(error)))
    # Least squared relative errors lie below the median: an overshoot costs more than its mirror.
    return float(ratio.sum() / (ratio**2).sum())


def panel_outlook(panel: Panel, level: float, aim: str, seed: int) -> PanelOutlook:
    """Return what a panel is expected to do over its horizon.

    Args:
        panel: The panel.
        level: Probability of the intervals.
        aim: `mean`, `median` or `relative`.
        seed: Seed of the trees.
    """
    horizon, last = panel.horizon, panel.last
    step = panel.season * max(1, round(horizon / 3 / panel.season))
    origins = list(range(last - horizon, FIRST * panel.season, -step))
    # Intervals come from horizons that a first set of trees has not seen; then all origins teach the second set.
    number = min(CHECKS, max(2, (last - FIRST * panel.season) // horizon // 3))
    early = [origin for origin in origins if origin <= last - (number + 1) * horizon]
    checks = [last - (i + 1) * horizon for i in range(number)]
    misses = find_misses(panel, fit_trees(panel, early, seed), checks, level)
    part = rows(panel, last)
    answer = _answer(fit_trees(panel, origins, seed), part)
    count = len(panel.points)
    # The middle of the past horizons: one month in which many series went wrong must not bend the answer.
    factor = float(np.median([_factor(misses.error[misses.marks == mark], aim) for mark in range(len(checks))]))
    unrest = np.log(_unrest(panel, last))
    size = np.exp(misses.slope[0] + misses.slope[1] * unrest[part.series] + misses.slope[2] * np.log(part.step - last))
    shape = (count, horizon)
    mid, low, high = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    place = (part.series, part.step - last - 1)
    mid[place] = np.exp(answer) * factor
    low[place] = np.exp(answer + misses.ends[0] * size)
    high[place] = np.exp(answer + misses.ends[1] * size)
    plain = np.bincount(part.series, np.exp(answer), minlength=count)
    wide = np.exp(misses.slope[1] * unrest)
    totals = np.column_stack(
        [plain * np.exp(misses.total_ends[0] * wide), mid.sum(axis=1), plain * np.exp(misses.total_ends[1] * wide)]
    )
    return PanelOutlook(mid, low, high, totals, len(checks))
