"""Response: how demand answers to price, in all, by category and by product, at once and in the weeks after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

import ibis
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from tradewind.decisions.prices.panel import Panel, by_week, floats, places, strings, summed
from tradewind.engines.store import Store
from tradewind.errors import BadInputError, MissingDataError
from tradewind.methods.within_counts import Slopes, WithinCounts
from tradewind.study import Estimate, Evidence

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Fitted = Callable[..., Slopes]

MOST = 100_000  # rows that slopes are learnt from
FEWEST_DRAWN = 200  # product-weeks with drawn prices, and pieces sold in them, from which these count
GAP = 0.2  # standard deviation that sellers' timing may put into the elasticity that is not randomised, at least
LEFT = 0.7  # share that is left a week later of what makes sales stray, and sellers discount
USUAL, USUAL_SD = 2.2, 1.0
"""Elasticity before the data speaks: the median of published ones in Bijmolt, van Heerde and Pieters (2005)."""
LASTING, LASTING_SD = 0.85, 0.15  # share of a promotion's answer that is not pulled forward, before the data speaks
DIVERTED, DIVERTED_SD = 0.1, 0.07  # share of an answer that other products lose, before the data speaks
BANDS = (0.03, 0.125, 0.175, 0.225, 0.275, 0.35)  # lower ends of bands of depth, each up to the next
LEAST_SPREAD = 0.2  # standard deviation between products that no data can rule out
USUAL_SPAN = (0.3, 5.0)  # elasticities outside of which no product's is taken to lie


@dataclass(frozen=True)
class Band:
    """What promotions of some depth did to the pieces sold.

    Args:
        low: Lower end of the depth.
        high: Upper end.
        uplift: Pieces of all products sold for each one without a promotion, less 1.
    """

    low: float
    high: float
    uplift: Estimate


@dataclass(frozen=True)
class Response:
    """How demand answers to price; elasticities count positive.

    Args:
        elasticity: [n] by how many per cent a product's pieces rise when its price falls by one, steadied.
        error: [n] standard deviation of what is not known of it, apart from what is common to all.
        common: Standard deviation of what is not known of all of them together.
        overall: The elasticity of all products together.
        observed: From prices that sellers set, alone.
        randomised: From prices that were drawn by lot, alone; None without enough of them.
        timing: How many more pieces a week seems to sell for the next week's price, in the terms of an elasticity:
            nought but for luck where sellers do not time discounts to what sells; None where too few weeks follow each
            other, or prices drawn by lot show no more than what sellers set.
        lasting: Share of the answer that is left once two later weeks are counted.
        diverted: Share of the answer that other products of the marketplace lose.
        bands: What promotions of each depth did.
        categories: Elasticity of each category.
        rows: Product-weeks that slopes rest on.
        evidence: How the elasticity was earned.
    """

    elasticity: Array
    error: Array
    common: float
    overall: Estimate
    observed: Estimate
    randomised: Estimate | None
    timing: Estimate | None
    lasting: Estimate
    diverted: Estimate
    bands: tuple[Band, ...]
    categories: dict[str, Estimate]
    rows: int
    evidence: Evidence


def response(store: Store, panel: Panel, seed: int) -> Response:
    """Return how demand answered to prices in the panel.

    Args:
        store: The store, for what was displayed beside.
        panel: Products by weeks.
        seed: Seed of draws among too many products.

    Raises:
        MissingDataError: If no price ever moved, or nothing was sold twice.
    """
    fit = WithinCounts(MOST, seed)
    # Weeks that sold out count as they were: to leave them out would be to pick by what was sold, and what is promised
    # is sold from such stock as well.
    known = ~np.isnan(panel.off) & panel.dense[:, None] & (panel.stocked > 0)
    price = np.log1p(-np.nan_to_num(panel.off))
    beside = _displayed(store, panel)

    def slopes(mask: Flags, *columns: Array) -> Slopes:
        row, week = np.nonzero(mask)
        shown = [column[mask] for column in beside]
        moved = np.column_stack([*(column[mask] for column in columns), *shown])
        return fit(panel.units[mask], moved, row, week)

    try:
        plain = slopes(known, price)
    except BadInputError as still:
        raise MissingDataError(
            "No price moved against those of other products in the same weeks while it sold, so that nothing tells how "
            "demand answers to prices",
            do="vary some prices, best by lot, for some weeks; of one product alone nothing can be told",
        ) from still
    drawn = known & panel.drawn
    clean = None
    if drawn.sum() >= FEWEST_DRAWN and panel.units[drawn].sum() >= FEWEST_DRAWN:
        by_lot = drawn.astype(float)
        clean = slopes(known, price * by_lot, price * (1 - by_lot), by_lot)
    observed, sd = -float(plain.mid[0]), float(plain.error[0])
    timing = _timing(panel, price, known, slopes)
    more, seen = 0.0 if timing is None else timing.own, 1.0
    if clean is not None:
        lot, lot_var = -float(clean.mid[0]), float(clean.covariance[0, 0])
        # Prices drawn by lot show whether timing does anything: no more than sets the two apart beyond chance.
        apart = max((lot - observed) ** 2 - sd**2 - lot_var - GAP**2, 0.0)
        seen = min(apart / more, 1.0) if more > 0 else 1.0
    own_var = sd**2 + GAP**2 + seen * more
    mid, var, randomised, evidence = observed, own_var, None, Evidence.OBSERVATIONAL
    if clean is not None:
        # What sellers' timing puts into the observed elasticity is not known; what was drawn has none of it.
        weight = own_var / (own_var + lot_var)
        mid, var = weight * lot + (1 - weight) * observed, own_var * lot_var / (own_var + lot_var)
        randomised = _estimate(lot, lot_var**0.5)
        evidence = Evidence.RANDOMISED if weight > 0.5 else Evidence.OBSERVATIONAL
    mid, steadied = _joined(mid, var**0.5, USUAL, USUAL_SD)
    var = steadied**2
    code = np.unique(np.array(panel.category), return_inverse=True)[1]
    shift, error, by_category = _steadied(plain, code, len(panel.products))
    lasting, diverted = _afterwards(
        panel, price, known, slopes, mid, 0.0 if timing is None else seen * timing.afterwards
    )
    names = sorted(set(panel.category))
    return Response(
        elasticity=np.clip(mid - shift, *USUAL_SPAN), error=error, common=var**0.5,
        overall=_estimate(mid, var**0.5), observed=_estimate(observed, sd), randomised=randomised,
        timing=timing.told if timing is not None and seen > 0 else None, lasting=lasting, diverted=diverted,
        bands=_bands(panel, known, slopes),
        categories={
            names[n]: _estimate(mid - move, float(np.hypot(spread, var**0.5))) for n, (move, spread) in
            by_category.items()
        },
        rows=int(known.sum()), evidence=evidence,
    )  # fmt: skip


def _steadied(fit: Slopes, code: Ints, count: int) -> tuple[Array, Array, dict[int, tuple[float, float]]]:
    """Return by how much each product's slope lies off the common one, steadied, its error, and each category's.

    One step of Newton's method from the common slope gives each category its own, then each product within its
    category; both are drawn towards what they have in common by the spread that is left beyond chance.

    Reference:
        DerSimonian and Laird (1986), Meta-analysis in clinical trials, Controlled Clinical Trials 7(3), equation 8.
    """
    at = fit.units.astype(np.int64)
    informed = fit.information > 1e-9
    at, score, information = at[informed], fit.score[informed], fit.information[informed]
    noise = fit.noise[informed]
    group = code[at]
    mass = np.bincount(group, information, code.max() + 1)
    there = np.flatnonzero(mass > 0)
    moves = np.bincount(group, score, len(mass))[there] / mass[there]
    kept, left, _ = _drawn_in(moves, np.bincount(group, noise, len(mass))[there] / mass[there] ** 2)
    shift = np.zeros(count)
    error = np.zeros(count)
    of_category = np.zeros(len(mass))
    of_category[there] = kept
    spread_c = np.full(len(mass), float(np.sqrt(left.max(initial=0.0))))
    spread_c[there] = np.sqrt(left)
    own = score / information - of_category[group]
    closer, rest, between = _drawn_in(own, noise / information**2, mean=0.0)
    shift[:] = of_category[code]
    error[:] = np.sqrt(spread_c[code] ** 2 + max(between, LEAST_SPREAD**2))
    shift[at] += closer
    error[at] = np.sqrt(spread_c[group] ** 2 + np.maximum(rest, LEAST_SPREAD**2))
    told = {int(n): (float(of_category[n]), float(spread_c[n])) for n in there}
    return shift, error, told


def _drawn_in(values: Array, noise: Array, mean: float | None = None) -> tuple[Array, Array, float]:
    """Draw values towards their mean; return them, their variances, and the variance between them."""
    weight = 1 / noise
    centre = float((weight * values).sum() / weight.sum()) if mean is None else mean
    excess = float((weight * (values - centre) ** 2).sum()) - (len(values) - 1)
    between = max(0.0, excess / max(float(weight.sum() - (weight**2).sum() / weight.sum()), 1e-300))
    share = between / (between + noise)
    return centre + share * (values - centre), share * noise, between


@dataclass(frozen=True)
class _Timing:
    """What sellers' timing may put into slopes that are not randomised.

    Args:
        told: The slope on the next week's price, as an elasticity.
        own: Variance that timing may put into the slope on the own week's price.
        afterwards: Variance that it may put into the sum of those on the two weeks before.
    """

    told: Estimate
    own: float
    afterwards: float


def _timing(panel: Panel, price: Array, known: Flags, slopes: Fitted) -> _Timing | None:
    """Return how far what sells goes with the prices of the next two weeks, which cannot have sold it.

    Sellers who discount when little sells (or much) leave a slope on prices to come as they leave a bias in the slopes
    on the own week's and earlier ones. How large that is beside the placebo's depends on what they look at, which
    nobody tells: where they know more than past sales do, it is as large in the weeks before, and in the own week as
    much larger as shocks fade in a week. Intervals count it on either side. Prices drawn by lot are timed by nobody.

    Reference:
        Rothstein (2010), Teacher quality in educational production, Quarterly Journal of Economics 125(1), on what
        comes later as a test of how the earlier was assigned.
    """
    near = [_before(price, known, lag) for lag in (1, 2)]
    far = [_before(price, known & panel.sellers, lag) for lag in (-1, -2)]
    mask = np.logical_and.reduce([known, *(there for _, there in (*near, *far))])
    if not mask.any():
        return None
    try:
        found = slopes(mask, price, *(column for column, _ in (*near, *far)))
    except BadInputError:
        return None  # the data does not tell: what timing may do at least stands
    ahead, both = found.covariance[3, 3], found.covariance[3:5, 3:5].sum()
    return _Timing(
        _estimate(-float(found.mid[3]), float(ahead**0.5)), max(float(found.mid[3] ** 2 - ahead), 0.0) / LEFT**2,
        max(float((found.mid[3] + found.mid[4]) ** 2 - both), 0.0),
    )  # fmt: skip


def _afterwards(
    panel: Panel, price: Array, known: Flags, slopes: Fitted, mid: float, timed: float
) -> tuple[Estimate, Estimate]:
    """Return the share of an answer that lasts, and the share that other products of the category lose.

    With an elasticity −ε of the own price and θ of the mean price of the category's others (weighted by what they
    usually sell), a cut that sells ε more of its own pieces takes θ of theirs, whatever its own share is.
    """
    earlier = [_before(price, known, lag) for lag in (1, 2)]
    mask = known & earlier[0][1] & earlier[1][1]
    pace = panel.units.mean(axis=1)
    code = np.unique(np.array(panel.category), return_inverse=True)[1]
    weight = np.where(known, pace[:, None], 0.0)
    total, sums = (_by_code(code, values)[code] for values in (weight, weight * price))
    others = total - weight
    rival = np.where(others > 0, (sums - weight * price) / np.where(others > 0, others, 1.0), 0.0)
    lasting, diverted = (LASTING, LASTING_SD), (DIVERTED, DIVERTED_SD)
    for name, columns in (("rest", (price, earlier[0][0], earlier[1][0])), ("rival", (price, rival))):
        try:
            found = slopes(mask, *columns)
        except BadInputError:
            continue  # the data does not tell: what is known from elsewhere stands, with its wide interval
        if name == "rest":
            last = 1 - float(found.mid[1] + found.mid[2]) / max(mid, 0.5)
            error = float(np.sqrt(found.covariance[1:3, 1:3].sum() + timed)) / max(mid, 0.5)
            lasting = _joined(last, error, LASTING, LASTING_SD)
        else:
            diverted = _joined(float(found.mid[1]) / max(mid, 0.5), float(found.error[1]) / max(mid, 0.5), DIVERTED,
                               DIVERTED_SD)  # fmt: skip
    low, high = diverted[0] - 1.645 * diverted[1], diverted[0] + 1.645 * diverted[1]
    return _estimate(*lasting), Estimate(max(diverted[0], 0.0), max(low, 0.0), max(high, 0.0))


def _before(price: Array, known: Flags, lag: int) -> tuple[Array, Flags]:
    """Return the prices so many weeks before, or after where `lag` is negative, and where they are known."""
    past, there = np.zeros_like(price), np.zeros_like(known)
    to, of = (slice(lag, None), slice(None, -lag)) if lag > 0 else (slice(None, lag), slice(-lag, None))
    past[:, to], there[:, to] = price[:, of], known[:, of]
    return past, there


def _by_code(code: Ints, values: Array) -> Array:
    sums = np.zeros((int(code.max()) + 1, values.shape[1]))
    np.add.at(sums, code, values)
    return sums


def _bands(panel: Panel, known: Flags, slopes: Fitted) -> tuple[Band, ...]:
    """Return what promotions of each depth did, each within its product and week."""
    off = np.nan_to_num(panel.off)
    ends = (*BANDS, 1.0)
    masks = [known & (off >= low) & (off < high) for low, high in pairwise(ends)]
    used = [n for n, mask in enumerate(masks) if mask.sum() >= 30 and panel.units[mask].sum() >= 30]
    if not used:
        return ()
    try:
        found = slopes(known, *(masks[n].astype(float) for n in used))
    except BadInputError:
        return ()
    told = []
    for place, n in enumerate(used):
        line = _estimate(float(found.mid[place]), float(found.error[place]))
        uplift = Estimate(*(float(np.expm1(value)) for value in (line.mid, line.low, line.high)))
        told.append(Band(ends[n], ends[n + 1], uplift))
    return tuple(told)


def _displayed(store: Store, panel: Panel) -> list[Array]:
    """In how many of a product's shops it was displayed or advertised beside its price, a column for each kind.

    A display counts in each week by its days; one without an end goes on, and one said to end before it begins counts
    on its first day.
    """
    if not store.has("promotions", "kind"):
        return []
    table = store.table("promotions")
    last = table.ends_on.fill_null(panel.last) if store.has("promotions", "ends_on") else table.starts_on
    rows = table.mutate(ends_on=ibis.greatest(last, table.starts_on)).filter(
        table.discount.isnull() & table.kind.notnull()
    )
    rows = rows.filter((rows.starts_on <= panel.last) & (rows.ends_on >= panel.weeks[0]))
    counted = store.run(rows.group_by("product_id", "starts_on", "ends_on", "kind").aggregate(shops=rows.count()))
    if not counted.num_rows:
        return []
    monday = np.datetime64(panel.weeks[0] - timedelta(days=panel.weeks[0].weekday()))
    begin, until = (
        (np.asarray(counted[name].to_numpy(), "datetime64[D]") - monday).astype(np.int64)
        for name in ("starts_on", "ends_on")
    )
    begin, until = np.maximum(begin, 0), np.minimum(until + 1, 7 * len(panel.weeks))
    of, week, held = by_week(begin, until)
    row = places(np.array(panel.products), strings(counted["product_id"]))[of]
    kinds, shops = strings(counted["kind"])[of], floats(counted["shops"])[of] * held / 7
    found = []
    for kind in np.unique(kinds).tolist():
        mine = kinds == kind
        column = summed(panel.units.shape, row[mine], week[mine], shops[mine])
        if column[panel.dense].any():
            found.append(column / float(column.max()))
    return found


def _joined(value: float, error: float, usual: float, sd: float) -> tuple[float, float]:
    weight = sd**2 / (sd**2 + error**2)
    return weight * value + (1 - weight) * usual, sd * error / float(np.hypot(sd, error))


def _estimate(mid: float, sd: float, level: float = 0.9) -> Estimate:
    half = float(ndtri((1 + level) / 2)) * sd
    return Estimate(mid, mid - half, mid + half, level)
