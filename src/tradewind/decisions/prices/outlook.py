"""Outlook: what each product would sell at its list price in the days to come, and how often it would be discounted."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from tradewind.decisions.prices.panel import Panel
from tradewind.methods.silence import silent
from tradewind.period import Period

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

BACK = 4  # weeks that are held out to choose how fast the past is forgotten
FORGETTING = (0.5, 0.65, 0.8, 0.9, 0.97)  # weight of a week for each week that it lies back
SHAPES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # of the gamma distribution around what a product's clicks say
TAUGHT = 10_000  # products that choose by, at most
LEAST_DRIFT, MOST_DRIFT = 0.08, 1.0  # standard deviation by which all demand may come out otherwise than lately
STEADY = 16.0  # pieces by which a week is steadied: weeks differ by a fourth, as far as few pieces tell
DISCOUNTED = 0.03  # share off the list price from which a week counts as discounted
STEP = 0.05  # of depths of discounts
ALIKE = 26.0  # weeks that vary as chance has it, beside a product's own, by which it is told how much its sales vary
SETTLED = 2  # rounds of how much sales vary and how busy weeks were, which rest on each other
CLASSES = (0.3, 0.5, 0.65, 0.77, 0.86, 0.92, 0.96, 0.985, 0.995)
"""Quantiles of what products sell, between which sellers may discount differently: finer where most is sold."""


@dataclass(frozen=True)
class Outlook:
    """What is to come if nobody does anything, in weeks without a campaign of the marketplace.

    The list price is the one that is usual, which today's may be above for a while.

    Args:
        shape: [n] shape of the gamma distribution of what a product sells at its list price in a week.
        rate: [n] its rate, so that the mean is shape over rate.
        drift: Standard deviation of the logarithm of what all products together sell, against that.
        often: [n, 2] the two parameters of the beta distribution of the share of weeks in which it is discounted.
        depths: [k] depths of discounts.
        chances: [n, k] chance of each depth, given a discount.
        now: [n] share off the list price on the last day that is known.
        rest: Days for which that price still stands.
        forgetting: Weight of a week for each week that it lies back, as chosen.
        gone: [n] weeks for which a product that used to sell has sold nothing, longer than chance would have it; what
            it sold before is no demand any more.
    """

    shape: Array
    rate: Array
    drift: float
    often: Array
    depths: Array
    chances: Array
    now: Array
    rest: int
    forgetting: float
    gone: Ints

    @property
    def weekly(self) -> Array:
        """[n] pieces that each product is expected to sell in a week at its list price."""
        return self.shape / self.rate

    @property
    def discount(self) -> Array:
        """[n] mean share off the list price that is to be expected."""
        often = self.often[:, 0] / self.often.sum(axis=1)
        return np.asarray(often * (self.chances @ self.depths))


def outlook(panel: Panel, elasticity: Array, period: Period) -> Outlook:
    """Return what is to come.

    Weeks with a campaign of the marketplace tell what each product sells beside others, but neither how much is sold in
    other weeks nor how often sellers discount.

    Args:
        panel: Products by weeks.
        elasticity: [n] of each product, positive: the share that lasts, since weeks after a promotion are among those
            that tell what is sold at the list price.
        period: The days whose demand is taken as the base of what is to come.
    """
    known = ~np.isnan(panel.off)
    pull = np.where(known, (1 - np.nan_to_num(panel.off)) ** -elasticity[:, None], 0.0) * panel.stocked
    units = np.where(known, panel.units, 0.0)  # what was sold at no known price teaches nothing
    gone = silent(units > 0, known)
    after = np.arange(units.shape[1]) >= units.shape[1] - gone[:, None]
    units, pull = (np.where((gone == 0)[:, None] | after, values, 0.0) for values in (units, pull))
    busy, lumps = busy_weeks(units, pull), np.ones(len(units))
    for _ in range(SETTLED):
        lumps = _lumps(units, pull * busy)
        busy = busy_weeks(units / lumps[:, None], pull / lumps[:, None])
    panel = replace(panel, units=units / lumps[:, None], clicks=(panel.clicks + 0.5) / lumps[:, None])
    exposure = pull * busy / lumps[:, None]
    forgetting, shape, drift = _learnt(panel, exposure)
    prior = _prior(panel, exposure, exposure.shape[1], 1)
    a, b = _posterior(panel.units, exposure, prior, forgetting, shape)
    told = np.asarray(known.any(axis=0)) & ~panel.campaign  # whether anything tells how busy such a week was
    inside = [n for n, week in enumerate(panel.weeks) if week in period and told[n]]
    inside = inside or np.flatnonzero(told)[-BACK:].tolist() or [len(told) - 1]
    usual = 7 * float(busy[inside].sum()) / float(panel.days[inside].sum())
    drift = min(max(drift, _swings(busy, panel.days, panel.units.sum(axis=0), np.flatnonzero(told))), MOST_DRIFT)
    now = 1 - np.where(panel.usual > 0, panel.price / panel.usual, np.nan)
    depths, often, chances = _usual(panel, np.log(a / b))
    return Outlook(
        a, b / max(usual, 1e-9), drift, often, depths, chances, np.clip(np.nan_to_num(now), 0.0, 0.95),
        6 - panel.last.weekday(), forgetting, gone,
    )  # fmt: skip


def busy_weeks(units: Array, pull: Array) -> Array:
    """Return [w] how much was sold each week beside what prices and what was on sale explain, 1 on average."""
    pace = units.sum(axis=1) / np.maximum(pull.sum(axis=1), 1e-9)
    expected = (pace[:, None] * pull).sum(axis=0)
    busy = (units.sum(axis=0) + STEADY) / (expected + STEADY)
    return np.asarray(busy / max(float(busy.mean()), 1e-9))


def _lumps(units: Array, exposure: Array) -> Array:
    """[n] how many times as much a product's weeks vary as pieces that are bought one by one, 1 at least.

    Pieces that come together tell less of what is to come than as many that come one by one: counted by this, a
    product's pieces, and what they were sold at, weigh as much as they tell. No rate of one to the other changes.

    Reference:
        McCullagh and Nelder (1989), Generalized linear models, section 6.2.3 (Pearson's estimate of dispersion).
    """
    weeks = np.maximum((exposure > 0).sum(axis=1) - 1.0, 0.0)
    mean = units.sum(axis=1) / np.maximum(exposure.sum(axis=1), 1e-9)
    expected = mean[:, None] * exposure
    strayed = np.where(expected > 0, (units - expected) ** 2 / np.where(expected > 0, expected, 1.0), 0.0).sum(axis=1)
    return np.asarray(np.maximum((strayed + ALIKE) / (weeks + ALIKE), 1.0))


def _prior(panel: Panel, exposure: Array, end: int, slot: int) -> Array:
    """Return what a product's clicks of the last four weeks, or else its category, would make it sell in a week."""
    recent = slice(max(end - BACK, 0), end)
    sold, seen = panel.units[:, recent].sum(axis=1), exposure[:, recent].sum(axis=1)
    code = np.unique(np.array(panel.category), return_inverse=True)[1]
    clicks = panel.clicks[:, slot]
    measure = seen if np.isnan(clicks).any() else clicks
    overall = sold.sum() / max(float(measure.sum()), 1e-9)
    ratio = (np.bincount(code, sold) + 20 * overall) / (np.bincount(code, measure) + 20)
    expected = ratio[code] * measure / np.maximum(seen, 1e-9)
    return np.where(seen > 0, np.maximum(expected, 1e-6), max(float(sold.sum() / max(seen.sum(), 1e-9)), 1e-6))


def _posterior(units: Array, exposure: Array, prior: Array, forgetting: float, shape: float) -> tuple[Array, Array]:
    """Return shape and rate of what each product sells in a week at its list price.

    A gamma distribution around the prior, followed by the product's own sales, the older the less.
    """
    weight = forgetting ** np.arange(units.shape[1] - 1, -1, -1)
    return shape + units @ weight, shape / prior + exposure @ weight


def _learnt(panel: Panel, exposure: Array) -> tuple[float, float, float]:
    """Choose how fast to forget, and how far to trust clicks, by what tells the last weeks best from those before."""
    end = exposure.shape[1] - BACK
    prior, seen = _prior(panel, exposure, end, 0), exposure[:, end:].sum(axis=1)
    there = np.flatnonzero(seen > 0)
    there = there[:: len(there) // TAUGHT + 1]
    y, t, prior = panel.units[there, end:].sum(axis=1), seen[there], prior[there]
    units, past = panel.units[there, :end], exposure[there, :end]
    best = (-np.inf, FORGETTING[-1], 1.0, LEAST_DRIFT)
    for forgetting in FORGETTING:
        for shape in SHAPES:
            a, b = _posterior(units, past, prior, forgetting, shape)
            chance = gammaln(y + a) - gammaln(a) + a * np.log(b / (b + t)) + y * np.log(t / (b + t))
            if (told := float(chance.sum())) > best[0]:
                off = float(np.log((y.sum() + 0.5) / (float((a / b * t).sum()) + 0.5)))
                luck = 1 / (y.sum() + 0.5)  # what so few pieces vary by themselves
                drift = float(np.sqrt(max(off**2 - luck, 0.0)))
                best = (told, forgetting, shape, min(max(LEAST_DRIFT, drift), MOST_DRIFT))
    return best[1], best[2], best[3]


def _swings(busy: Array, days: Array, pieces: Array, told: Ints) -> float:
    """Return the deviation of the logarithm of what four weeks sold beside the four before, less what is luck."""
    blocks = [told[end - BACK : end] for end in range(len(told), BACK - 1, -BACK)]
    if len(blocks) < 2:
        return 0.0
    level = np.array([busy[block].sum() / days[block].sum() for block in blocks])
    luck = np.array([1 / (pieces[block].sum() + 0.5) for block in blocks])
    return float(np.sqrt(max(float((np.diff(np.log(level)) ** 2 - luck[1:] - luck[:-1]).mean()), 0.0)))


def _usual(panel: Panel, pace: Array) -> tuple[Array, Array, Array]:
    """Return depths, how often each product is discounted without a campaign, and the chance of each depth.

    A product's own weeks are steadied by those of products that sell as much: by as many weeks as products differ
    little. Prices that were drawn by lot or set by a launched plan do not tell what a seller would do.
    """
    known = panel.sellers
    off = np.where(known, np.nan_to_num(panel.off), 0.0)
    on = known & (off >= DISCOUNTED)
    calm = ~panel.campaign
    weeks, hits = known[:, calm].sum(axis=1).astype(float), on[:, calm].sum(axis=1).astype(float)
    sort = np.digitize(pace, np.quantile(pace, CLASSES))
    total, times = np.bincount(sort, weeks), np.bincount(sort, hits)
    overall = max(float(hits.sum()), 0.5) / max(float(weeks.sum()), 1.0)
    mean = np.clip((times + 10 * overall) / (total + 10), 1e-3, 1 - 1e-3)[sort]
    strength = _strength(hits, weeks, mean)
    often = np.stack([strength * mean + hits, strength * (1 - mean) + weeks - hits], axis=1)
    step = np.where(on, np.round(off / STEP), 0).astype(np.int64)
    size = max(int(step.max()), 1)
    counted = np.stack([(step == k).sum(axis=1) for k in range(1, size + 1)], axis=1).astype(float)
    common = (counted.sum(axis=0) + 1e-3) / (counted.sum() + 1e-3 * size)
    depths = STEP * np.arange(1, size + 1)
    variance = float(common @ (depths - common @ depths) ** 2)
    held = counted.sum(axis=1)
    several = held >= 2
    own = counted[several] @ depths / held[several] if several.any() else np.zeros(1)
    chance = variance * float((1 / held[several]).mean()) if several.any() else 0.0
    between = max(float(own.var()) - chance, 1e-6)
    pieces = min(max(variance / between, 1.0), 1e4)
    chances = (pieces * common + counted) / (pieces + held)[:, None]
    return np.asarray(depths, float), often, np.asarray(chances, float)


def _strength(hits: Array, weeks: Array, mean: Array) -> float:
    """Return how many weeks of products alike steady a product's own: the method of moments of a beta-binomial."""
    told = weeks >= 4
    if not told.any():
        return 1e3
    n, y, p = weeks[told], hits[told], mean[told]
    excess = float(((y - n * p) ** 2 - n * p * (1 - p)).sum())
    most = float((n * (n - 1) * p * (1 - p)).sum())
    alike = min(max(excess / max(most, 1e-9), 1e-3), 0.9)
    return (1 - alike) / alike
