"""One series, short to long: a robust structural model, averaged over how fast its level moves.

On a log scale (asinh where values touch or cross zero) the series is level + slope + seasons + known regressors +
noise. The level is a random walk, the noise an AR(1) with heavy tails. How fast the level moves and how long noise
lasts cannot be read from one short history, so the answer is averaged over a small grid of both, by likelihood.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.special import gammaln

Array = NDArray[np.float64]

# How fast the level moves: variance of one step of the walk over variance of the noise, and how plausible each speed
# is before the data speak. Never only zero: a level that surely stays makes the interval of a sum far too narrow.
SPEEDS = ((0.0, 0.05), (0.0005, 0.10), (0.002, 0.20), (0.01, 0.25), (0.04, 0.20), (0.15, 0.15), (0.6, 0.05))
MEMORIES = ((0.0, 0.45), (0.3, 0.30), (0.6, 0.15), (0.85, 0.10))
TAIL = 4.0  # degrees of freedom of the noise in the fit: an anomalous day loses its weight instead of moving the level
LIMIT = 5.0  # noise beyond so many robust deviations is an anomaly, not something to expect again
SLOPE = 0.02  # prior deviation of the trend per season of the shortest kind, on the log scale
SEASON = 1.0  # prior deviation of a seasonal harmonic
KNOWN = 0.5  # prior deviation of a known regressor's effect over its range; one never seen before widens the interval


@dataclass(frozen=True)
class Scale:
    """The scale on which a series is additive: log where all is positive, asinh where values touch or cross zero."""

    unit: float
    log: bool

    @classmethod
    def of(cls, values: Array) -> Scale:
        """Return the scale that suits the finite `values`; it follows their unit, so that units do not matter."""
        size = np.abs(values)
        if not size.any():
            return cls(1.0, False)
        typical = float(np.median(size[size > 0]))
        if values.min() > 0:
            return cls(typical, True)
        # Near-logarithmic above a quarter of a usual day, linear through zero; linear in the bulk where signs change.
        return cls(typical * (0.25 if values.min() == 0 else 2.0), False)

    def forward(self, values: Array) -> Array:
        """Return `values` on the additive scale."""
        scaled = values / self.unit
        return np.log(scaled) if self.log else np.arcsinh(scaled)

    def back(self, points: Array) -> Array:
        """Return points of the additive scale in the unit of the values."""
        held = np.clip(points, -60.0, 60.0)
        return self.unit * (np.exp(held) if self.log else np.sinh(held))


@dataclass(frozen=True)
class Design:
    """Columns of the regression at every step of the history and of the horizon, with the prior deviation of each.

    Args:
        past: [t, p] columns at the observed steps.
        ahead: [h, p] columns at the steps to expect.
        deviation: [p] prior standard deviation; of the walk's columns relative to one step of the walk.
        walk: [p] True for the columns that carry the random walk of the level.
        gaps: [t] steps since the observation before.
        reach: [h] steps from the last observation to each step to expect.
    """

    past: Array
    ahead: Array
    deviation: Array
    walk: NDArray[np.bool_]
    gaps: Array
    reach: Array


def _harmonics(steps: Array, seasons: Sequence[float], span: float) -> tuple[list[Array], list[float]]:
    """Return Fourier columns of every season; a short whole season gets all its harmonics."""
    columns: list[Array] = []
    deviations: list[float] = []
    taken: list[float] = []
    for place, whole in enumerate(seasons):
        # A week of hours is a day's season and seven plateaus: blocks of the season before are its steps.
        block = (
            seasons[place - 1]
            if place and whole % seasons[place - 1] == 0 and whole <= 31 * seasons[place - 1]
            else 1.0
        )
        season, clock = whole / block, np.floor(steps / block) if block > 1 else steps
        full = season <= 31 and (place == 0 or block > 1)
        most = int(season // 2) if full else min(int(season // 2), 6 if season > 200 else 12)
        for k in range(1, most + 1):
            frequency = k / season
            if block == 1 and any(abs(frequency - other) < 0.25 / span for other in taken):
                continue
            taken.append(frequency / block)
            angle = 2 * np.pi * np.mod(clock * frequency, 1.0)
            pair = [np.cos(angle), np.sin(angle)]
            pair = pair[:1] if 2 * k == season else pair
            columns += pair
            deviations += [SEASON if place == 0 else SEASON / (2 * k)] * len(pair)
    return columns, deviations


def design(steps: Array, ahead: Array, seasons: Sequence[float], known: Array) -> Design:
    """Return the regression's columns.

    Args:
        steps: [t] ordinals of the observed steps.
        ahead: [h] ordinals of the steps to expect.
        seasons: Periods in steps, shortest first, each held by the history.
        known: [t + h, k] regressors at the observed steps and the steps to expect.
    """
    last = steps[-1]
    every = np.concatenate([steps, ahead])
    base = seasons[0] if seasons else 7.0
    span = float(last - steps[0] + 1)
    columns, deviations = [np.ones_like(every), (every - last) / base], [10.0, SLOPE]
    fourier, widths = _harmonics(every, seasons, span)
    columns += fourier
    deviations += widths
    for column in known.T:
        reach = float(np.ptp(column))
        columns.append((column - column.min()) / reach if reach > 0 else np.zeros_like(column))
        deviations.append(KNOWN)
    # The walk is fine where it matters, near the end, and coarse far back.
    step = max(1.0, base / 2) if base <= 31 else max(1.0, span / 40)
    back = np.concatenate([np.arange(0, 4 * base, step), np.arange(4 * base, 12 * base, 2 * step)])
    back = np.concatenate([back, np.arange(12 * base, span, max(4 * base, span / 40))])
    edges = last - np.unique(np.append(back[back < span - 1], span - 1))
    gaps = edges[:-1] - edges[1:]
    columns += [-np.clip((near - every) / gap, 0.0, 1.0) for near, gap in zip(edges[:-1], gaps, strict=True)]
    deviations += list(np.sqrt(gaps))
    walk = np.zeros(len(columns), dtype=bool)
    walk[len(columns) - len(gaps) :] = True
    matrix = np.column_stack(columns)
    count = len(steps)
    return Design(
        matrix[:count],
        matrix[count:],
        np.array(deviations),
        walk,
        np.diff(steps, prepend=steps[0] - 1),
        ahead - last,
    )


@dataclass(frozen=True)
class Fit:
    """The posterior of the model at one speed of the level and one memory of the noise."""

    speed: float
    memory: float
    evidence: float
    sigma: float
    centre: Array  # [h] expected points of the additive scale
    spread: Array  # [h, h] their covariance: parameters and the walk to come, without noise
    noise: Array  # [t] innovations, in units of sigma
    final: float  # noise of the last observed step


def fit(points: Array, columns: Design, speed: float, memory: float, start: Fit | None = None) -> Fit:
    """Return the posterior mode and Laplace evidence at one speed and one memory.

    Args:
        points: [t] the series on its additive scale.
        columns: The regression's columns.
        speed: Variance of one step of the walk over variance of the noise.
        memory: Correlation of the noise from one step to the next.
        start: A fit of the same points at a near speed and memory, to begin the reweighting from.

    Returns:
        The fit.

    Reference:
        Lange, Little and Taylor (1989), Robust statistical modeling using the t distribution, section 3 (weights);
        Durbin and Koopman (2012), Time Series Analysis by State Space Methods, section 2.2 (local level).
    """
    keep = ~columns.walk if speed == 0 else np.ones(len(columns.walk), dtype=bool)
    carried = memory**columns.gaps if memory else np.zeros(len(points))
    carried[0] = 0.0
    shrink = np.sqrt(1 - carried**2)
    before = np.concatenate([[0.0], points[:-1]])
    target = (points - carried * before) / shrink
    shifted = np.vstack([np.zeros((1, columns.past.shape[1])), columns.past[:-1]])
    matrix = ((columns.past - carried[:, None] * shifted) / shrink[:, None])[:, keep]
    walk, deviation, count = columns.walk[keep], columns.deviation[keep], len(points)

    floor = 1e-9 * (1.0 + float(np.abs(points).max()))
    sigma = max(float(np.std(target - np.median(target))), floor)
    weights, jumps = np.ones(count), np.ones(len(deviation))
    if start is not None:
        sigma, weights = start.sigma, (TAIL + 1) / (TAIL + start.noise**2)
    beta = np.zeros(len(deviation))
    residual = target
    for _ in range(6 if start is None else 3):
        scale = np.where(walk, max(speed, 1e-12) * sigma**2, 1.0) * deviation**2
        weighted = matrix * (weights / sigma**2)[:, None]
        gram = matrix.T @ weighted
        # A weekday that never trades leaves a season's columns dependent; without noise the prior is too small.
        ridge = jumps / scale + 1e-11 * np.diag(gram)
        factor = cho_factor(gram + np.diag(ridge), check_finite=False)
        beta = cho_solve(factor, weighted.T @ target, check_finite=False)
        residual = target - matrix @ beta
        # The first round sees anomalies at full weight: start from the median deviation, which does not.
        freedom = max(count - _spent(factor, weighted, matrix), 2.0)
        sigma = max(float(np.sqrt(np.sum(weights * residual**2) / freedom)), floor)
        if (weights == 1).all():
            sigma = max(1.4826 * float(np.median(np.abs(residual))), floor, 0.2 * sigma)
        weights = (TAIL + 1) / (TAIL + (residual / sigma) ** 2)
        # A step of the walk far beyond its fellows is a level shift: it may jump there instead of being smoothed over.
        jumps = np.where(walk, (TAIL + 1) / (TAIL + beta**2 / scale), 1.0)
    scale = np.where(walk, max(speed, 1e-12) * sigma**2, 1.0) * deviation**2
    inverse = cho_solve(factor, np.eye(len(beta)), check_finite=False)
    log_noise = (
        count * (gammaln((TAIL + 1) / 2) - gammaln(TAIL / 2) - 0.5 * np.log(TAIL * np.pi) - np.log(sigma))
        - (TAIL + 1) / 2 * np.log1p((residual / sigma) ** 2 / TAIL).sum()
        - np.log(shrink).sum()
    )
    log_prior = -0.5 * np.sum(jumps * beta**2 / scale - np.log(jumps) + np.log(scale))
    evidence = float(log_noise + log_prior - np.log(np.diag(factor[0])).sum())
    raw = points - columns.past[:, keep] @ beta
    final = float(np.clip(raw[-1], -2 * sigma, 2 * sigma))
    ahead = columns.ahead[:, keep]
    centre = ahead @ beta + final * memory**columns.reach * (memory > 0)
    walked = speed * sigma**2 * np.minimum.outer(columns.reach, columns.reach)
    return Fit(speed, memory, evidence, sigma, centre, ahead @ inverse @ ahead.T + walked, residual / sigma, final)


def _spent(factor: tuple[Array, bool], weighted: Array, matrix: Array) -> float:
    """Return the degrees of freedom that the fit has spent."""
    return float(np.trace(cho_solve(factor, weighted.T @ matrix, check_finite=False)))


@dataclass(frozen=True)
class Outlook:
    """What one series is expected to do, on the scale of its values.

    Args:
        mean: [h] expected value of each step.
        median: [h] value that each step exceeds half of the time.
        paths: [n, h] draws of the whole horizon, correlated over its steps as errors are.
        fits: The settings that carry the answer, `(speed, memory)`.
    """

    mean: Array
    median: Array
    paths: Array
    fits: tuple[tuple[float, float], ...]


def outlook(
    values: Array,
    steps: Array,
    ahead: Array,
    seasons: Sequence[float],
    known: Array,
    rng: np.random.Generator,
    *,
    draws: int = 1000,
    grid: Sequence[tuple[float, float]] = (),
) -> Outlook:
    """Return what a series is expected to do on the steps ahead.

    Args:
        values: [t] observed values, finite.
        steps: [t] their ordinals.
        ahead: [h] ordinals of the steps to expect, after the last observed.
        seasons: Periods in steps, shortest first, each held by the history.
        known: [t + h, k] known regressors.
        rng: Source of the draws.
        draws: Number of paths.
        grid: The (speed, memory) pairs to average over; all where empty.

    Returns:
        The outlook.
    """
    scale = Scale.of(values)
    points = scale.forward(values)
    columns = design(steps, ahead, seasons, known)
    prior = {(s, m): np.log(p) + np.log(w) for s, p in SPEEDS for m, w in MEMORIES}
    cells = list(grid) or list(prior)
    fits: list[Fit] = []
    for speed, memory in cells:
        fits.append(fit(points, columns, speed, memory, fits[-1] if fits else None))
    score = np.array([f.evidence + prior[cell] for f, cell in zip(fits, cells, strict=True)])
    share = np.exp(score - score.max())
    share /= share.sum()
    strong = [i for i in np.argsort(-share) if share[i] >= 0.03]
    share = share[strong] / share[strong].sum()
    fits = [fits[i] for i in strong]
    counts = np.diff(np.round(np.cumsum(np.append(0.0, share)) * draws).astype(int))
    drawn, means, centre = [], np.zeros(len(ahead)), np.zeros(len(ahead))
    for f, part, number in zip(fits, share, counts, strict=True):
        paths = f.centre + _errors(f, columns.reach, number, rng)
        drawn.append(paths)
        # Jensen's gap of the scale, from the variance of its bounded part: draws would add their own noise to the mean.
        gap = np.diag(f.spread) + f.sigma**2 * min(float(np.mean(np.clip(f.noise, -LIMIT, LIMIT) ** 2)), 4.0)
        factor = np.exp(np.minimum(0.5 * gap, 0.5))
        means += part * scale.back(f.centre) * factor
        centre += part * f.centre
    return Outlook(means, scale.back(centre), scale.back(np.vstack(drawn)), tuple(cells[i] for i in strong))


def _errors(f: Fit, reach: Array, number: int, rng: np.random.Generator) -> Array:
    """Return `number` draws [n, h] of the error of the additive scale: parameters, the walk to come, noise."""
    size, count = len(reach), len(f.noise)
    jitter = 1e-9 * float(np.trace(f.spread)) / size + 1e-24
    root = np.linalg.cholesky(f.spread + jitter * np.eye(size))
    heavy = np.sqrt(count / rng.chisquare(max(count - 8, 6), size=(number, 1)))
    smooth = (rng.standard_normal((number, size)) @ root.T) * heavy
    # History speaks for the shape of the noise once there is enough of it; before, a heavy-tailed law does.
    bounded = np.clip(f.noise, -LIMIT, LIMIT)
    history = rng.choice(bounded, size=(number, size))
    law = rng.standard_t(5, size=(number, size)) * float(np.sqrt(np.mean(bounded**2) * 3 / 5))
    fresh = np.where(rng.random((number, size)) < count / (count + 60), history, law) * f.sigma * heavy
    noise = np.empty((number, size))
    held = np.zeros(number)
    before = 0.0
    for i in range(size):
        carried = f.memory ** (reach[i] - before) if f.memory else 0.0
        held = carried * held + np.sqrt(1 - carried**2) * fresh[:, i]
        noise[:, i] = held
        before = reach[i]
    return smooth + noise
