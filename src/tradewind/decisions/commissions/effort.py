"""Effort: how creators answer to a rate, how their hours are shared, and how much of what they show is new."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tradewind.decisions.commissions.goods import Goods
from tradewind.decisions.commissions.past import TIERS, Past
from tradewind.errors import BadInputError, MissingDataError
from tradewind.methods.poisson import Counted, Poisson
from tradewind.methods.rates import Rates
from tradewind.methods.response import Response

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]

KNOTS = (0.02, 0.25, 0.5, 0.75, 0.98)  # quantiles of the rates paid between which the answer to a rate is a line
EVERY = 4  # weeks from one comparison of rates to the next: contracts last for months, so that others add little
WHOLE = (0.98, 1.02)  # contract-weeks of a line that held one contract all week
BENDS = (0.03, 0.1, 0.3, 1.0, 3.0)  # efforts, inverted, at which what they add may begin to wear off
LEVEL = 0.9
Z = 1.6449  # deviations of a normal at either end of an interval of that level
ENOUGH = 60_000  # rows of lines and weeks from which crowding is learnt; more are drawn from
FEW = 20  # degrees of freedom below which rates are not compared within a creator's week
MANY = 60  # degrees of freedom of each knot below which a tier's answer is one line
FALLS = 2.0  # deviations by which an answer falls from which on it is said
STEPS, LEAST = 8, 0.1  # Newton's steps to what creators take elsewhere, and the least of it that they leave there
FEWEST = 30  # lines below which nothing is learnt from them


@dataclass(frozen=True)
class Curve:
    """How effort answers to a rate, by tier.

    Args:
        knots: [knots] rates, in rising order.
        mid: [tiers, knots] logarithm of effort against the smallest rate.
        error: [tiers, knots] its deviation.
        told: Whether contracts tell more of it than is supposed beforehand.
        straight: Whose answers are straight lines, contracts being too few for more: `each` tier's; one line for `some`
            tiers, or for `all` of them; empty for none.
        misfit: What the contracts of tiers contradict, in words, by tier; those of too few contracts under one number
            beyond the tiers'.
    """

    knots: Array
    mid: Array
    error: Array
    told: bool
    straight: str
    misfit: dict[int, str]

    def log_effort(self, tier: Codes, rate: Array, luck: Array, beyond: Array) -> Array:
        """Return the logarithm of effort at rates, against the smallest knot: [draws, n].

        Args:
            tier: [n] tier of each.
            rate: [n] rates; beyond the knots the curve goes on along its outer part, as far as `beyond` lets it.
            luck: [draws, tiers] how many deviations from the middle each curve lies.
            beyond: [draws] share of its slope that the curve keeps above the largest knot.
        """
        grid = np.log(self.knots)
        at = np.log(np.maximum(rate, 1e-4))
        half = len(grid) // 2
        out = np.empty((len(luck), len(rate)))
        for number in np.unique(tier).tolist():
            mine = tier == number
            curves = np.maximum.accumulate(self.mid[number] + luck[:, number, None] * self.error[number], axis=1)
            inside = np.clip(at[mine], grid[0], grid[-1])
            place = np.clip(np.searchsorted(grid, inside, side="right") - 1, 0, len(grid) - 2)
            part = (inside - grid[place]) / (grid[place + 1] - grid[place])
            told = curves[:, place] * (1 - part) + curves[:, place + 1] * part
            above = (curves[:, -1] - curves[:, half]) / (grid[-1] - grid[half])
            below = (curves[:, half] - curves[:, 0]) / (grid[half] - grid[0])
            told += (above * beyond)[:, None] * np.maximum(at[mine] - grid[-1], 0.0)
            told += below[:, None] * np.minimum(at[mine] - grid[0], 0.0)
            out[:, mine] = told
        return out


@dataclass(frozen=True)
class Slope:
    """One number with its error; `told` says whether the data told it, or it had to be supposed."""

    mid: float
    error: float
    told: bool = True


SUPPOSED = {
    "answer": Slope(0.5, 0.7, False), "crowding": Slope(0.5, 0.3, False), "new": Slope(0.3, 0.3, False),
    "lift": Slope(0.0, 0.3, False), "taken": Slope(0.5, 0.5, False),
}  # fmt: skip
"""What is supposed before the data: wide, and said so where they tell less than it does. `answer` is per log rate."""


def believed(mid: float, error: float, prior: Slope) -> Slope:
    """Return an estimate once what is supposed beforehand is counted in, told where it says more than that does.

    One that is no number, or whose error is none or endless, says nothing.
    """
    told = 1 / max(error, 1e-9) ** 2 if np.isfinite(mid) and np.isfinite(error) else 0.0
    before = 1 / prior.error**2
    middle = (told * mid if told else 0.0) + before * prior.mid
    return Slope(middle / (told + before), (told + before) ** -0.5, told > before)


def _slope(fit: Counted, name: str) -> Slope:
    """Return the first slope of a fit as it is to be believed."""
    return believed(float(fit.slope[0]), float(fit.widened(LEVEL)[0]), SUPPOSED[name])


@dataclass(frozen=True)
class Effort:
    """What contracts tell of creators' effort.

    Args:
        curve: How effort answers to a rate.
        crowding: Share of the effort for a line that a creator's other lines take: 0 where hours are free, 1 where
            all that one line gets another loses.
        new: Power with which exposure answers to effort: 0 where creators only take what would have been shown anyway.
        bend: Inverse of the effort at which that answer begins to wear off.
        lift: [2] logarithm of how much better a time shown by a creator sells than by the seller, and its deviation.
        taken: Pieces less that are sold elsewhere for one that creators sell: 0 where they lose nothing, 1 where they
            lose as much as creators sell.
        little: [products] whether so little is sold elsewhere that what creators sell moves by more than all of it.
        taken_of_little: The same of these, at the margin: what would be sold there without any creator nothing tells.
        level: [lines] effort of each line at its usual rate, in units of what its seller shows.
        shape: [lines] how sure that is, as the shape of a gamma distribution.
        usual: [lines] the rate at which it was seen.
    """

    curve: Curve
    crowding: Slope
    new: Slope
    bend: float
    lift: Slope
    taken: Slope
    little: Mask
    taken_of_little: Slope
    level: Array
    shape: Array
    usual: Array


def effort(past: Past, goods: Goods, seed: int) -> Effort:
    """Learn what contracts tell of creators' effort.

    Raises:
        MissingDataError: If fewer than thirty lines were shown beside another of the same product and creator.
    """
    curve = _curve(past, seed)
    rows = past.rows
    lines = len(past.product)
    held = np.bincount(rows.line, rows.held, lines)
    usual = np.divide(np.bincount(rows.line, rows.held * rows.rate, lines), held, where=held > 0, out=past.rate.copy())
    beside = np.bincount(rows.line, rows.held * past.own[past.product[rows.line], rows.week], lines)
    shown = np.bincount(rows.line, rows.shown, lines)
    shown = np.where(beside > 0, shown, 0.0)  # what was shown beside nothing tells nothing
    if not shown.any():
        raise MissingDataError(
            "No exposure is told of creators under contract, or of sellers beside them",
            do="check that the creators of contracts and of traffic have the same ids",
        )
    dispersion = _crowding(past, (shown + 1) / (beside + 1))[2]
    like = curve.log_effort(
        past.tier[past.creator], np.nan_to_num(usual, nan=0.1), np.zeros((1, len(TIERS))), np.ones(1)
    )[0]
    tiers = np.eye(len(TIERS))[past.tier[past.creator]]
    x = np.column_stack([like, np.log(np.maximum(goods.price[past.product], 0.01)), tiers[:, tiers.any(axis=0)][:, 1:]])
    drawn = Rates()(shown / dispersion, beside / dispersion, x)
    crowding, load, _ = _crowding(past, drawn.mean)
    weekly = np.zeros(past.own.shape)
    now = rows.held * drawn.mean[rows.line] * np.exp(-crowding.mid * load)
    np.add.at(weekly, (past.product[rows.line], rows.week), now)
    new, bend = _new(past, goods, weekly)
    return Effort(curve, crowding, new, bend, _lift(past), *_taken(past, goods), drawn.mean, drawn.shape, usual)


def _curve(past: Past, seed: int) -> Curve:
    """Compare contracts of one product at one time, and of one creator at one time, that pay different rates."""
    rows = past.rows
    signed = ~past.unsigned[rows.line]  # what orders paid is no rate that was agreed
    some = np.flatnonzero(signed & _whole(rows.held) & ((past.weeks - 1 - rows.week) % EVERY == 0))
    line, week, rate, shown = rows.line[some], rows.week[some], rows.rate[some], rows.shown[some]
    if len(line) < FEWEST:
        raise MissingDataError(
            "There are too few contracts to learn how creators answer to a rate", got=f"contract-weeks: {len(line)}",
            allowed=f"{FEWEST} or more", do="take more shops, or wait for more contracts",
        )  # fmt: skip
    knots = np.unique(np.round(np.quantile(rate, KNOTS), 4))
    knots = knots[knots > 0]
    if len(knots) < 2:
        raise MissingDataError(
            "All contracts pay one rate: nothing tells how creators answer to it",
            got=", ".join(map(str, knots.tolist())), do="offer two rates by lot to some products",
        )  # fmt: skip
    tier = past.tier[past.creator[line]]
    grid = np.log(knots)
    at = np.clip(np.log(np.maximum(rate, 1e-4)), grid[0], grid[-1])
    hats = np.stack([np.interp(at, grid, row) for row in np.eye(len(grid))[1:]], axis=1)
    enough = np.bincount(tier, minlength=len(TIERS)) >= FEWEST
    tier = np.where(enough[tier], tier, len(TIERS))  # tiers with too few contracts are taken together
    kinds = np.unique(tier).tolist()
    wide = np.hstack([hats * (tier == number)[:, None] for number in kinds])
    steps = np.tile(grid[1:] - grid[0], len(kinds))
    told, prior = (line, week, shown), SUPPOSED["answer"]
    straight, least = _lines(past, told, at, tier, knots)
    fit = _compared(past, told, wide)
    wider = np.full(len(steps), np.inf) if fit is None else fit.widened(LEVEL)
    sharp = fit is not None and bool((wider < prior.error * steps).all())  # NaN too: a tier is not told at a rate
    if fit is None or not sharp or not (fit.freedom >= MANY).all():
        return straight
    group = np.repeat(kinds, len(grid) - 1)
    found = Response(level=LEVEL, shape="auto", seed=seed)(steps, fit.slope, wider, group)
    mid, error = np.zeros((len(TIERS), len(grid))), np.zeros((len(TIERS), len(grid)))
    mid[:, 1:] = found.common
    spread = (found.high - found.low) / (2 * Z)
    error[:, 1:] = spread.max(axis=0)
    for n, number in enumerate(found.groups.tolist()):
        if number < len(TIERS):
            mid[number, 1:], error[number, 1:] = found.mid[n], spread[n]
    error = np.maximum(error, least[:, None] * (grid - grid[0]))
    misfit = {int(n): said for n, said in zip(found.groups, found.misfit, strict=True) if said}
    return Curve(knots, mid, error, True, "", misfit)


def _lines(past: Past, told: tuple[Codes, Codes, Array], at: Array, tier: Codes, knots: Array) -> tuple[Curve, Array]:
    """Return one straight line for each tier, and how wide each is at least, held to what is supposed of any answer.

    Lines are drawn towards each other as far as tiers are alike. One that falls counts as level, as wide as it would be
    if it could fall; a tier of which contracts tell too little has the line of all of them.
    """
    kinds = np.unique(tier)
    fit = _compared(past, told, (at - np.median(at))[:, None] * (tier[:, None] == kinds))
    slope, wide = (np.full(len(kinds), np.nan),) * 2 if fit is None else _alike(fit.slope, fit.widened(LEVEL))
    single = None if (wide < SUPPOSED["answer"].error).all() else _line(past, told, at)
    answers: dict[int, Slope] = {}
    misfit: dict[int, str] = {}
    for number, mid, error in zip(kinds.tolist(), slope.tolist(), wide.tolist(), strict=True):
        told_here = believed(mid, error, SUPPOSED["answer"])
        answers[number] = told_here if told_here.told or single is None else single
        if told_here.told and mid < -FALLS * error:
            misfit[number] = "exposure falls where the rate is higher"
    rest = answers.get(len(TIERS)) or single or max(answers.values(), key=lambda each: each.error)
    mine = [answers.get(number, rest) for number in range(len(TIERS))]
    grid = np.log(knots)
    along, error = grid - grid[0], np.array([each.error for each in mine])
    mid = np.array([max(each.mid, 0.0) for each in mine])
    lines = "" if single is None else "all" if all(each is single for each in answers.values()) else "some"
    return Curve(
        knots, mid[:, None] * along, error[:, None] * along, all(each.told for each in mine), lines or "each", misfit
    ), error


def _alike(mid: Array, error: Array) -> tuple[Array, Array]:
    """Return numbers drawn towards their mean as far as they differ by no more than chance, and their errors.

    Args:
        mid: [n] estimates; those that are no numbers, or have no finite error, stay as they are.
        error: [n] their deviations.

    Reference:
        DerSimonian and Laird (1986), Meta-analysis in clinical trials, Controlled Clinical Trials 7(3), formula 8.
    """
    known = np.isfinite(mid) & np.isfinite(error) & (error > 0)
    if known.sum() < 2:
        return mid, error
    told, weight = mid[known], error[known] ** -2.0
    among = float(weight @ (told - np.average(told, weights=weight)) ** 2) - (len(told) - 1)
    apart = max(0.0, among / float(weight.sum() - (weight**2).sum() / weight.sum()))
    total = 1 / (1 / weight + apart)
    mean, keeps = np.average(told, weights=total), apart * total
    out, wide = mid.copy(), error.copy()
    out[known] = mean + keeps * (told - mean)
    wide[known] = np.sqrt(keeps / weight + (1 - keeps) ** 2 / total.sum())
    return out, wide


def _line(past: Past, told: tuple[Codes, Codes, Array], at: Array) -> Slope:
    """Return the slope of one straight line for all tiers, held to what is supposed of any.

    Raises:
        MissingDataError: If contracts tell nothing of it.
    """
    fit = _compared(past, told, at[:, None])
    if fit is None or not np.isfinite(fit.widened(LEVEL)[0]):
        raise MissingDataError(
            "Too few contracts of one product that pay different rates, to creators who also had other contracts, were "
            "shown at one time: nothing tells how creators answer to a rate",
            do="take more shops or more weeks, or offer two rates by lot to some products",
        )
    return _slope(fit, "answer")


def _compared(past: Past, told: tuple[Codes, Codes, Array], x: Array) -> Counted | None:
    """Return how exposure goes with rates beside other contracts of the same product and week, and of the same creator.

    Creators are compared with themselves in the same week. A shop alone seldom has two contracts of a creator at once:
    there, with themselves at any time. None where no contract is beside another one that tells.

    Args:
        past: Contracts.
        told: [n] line, week and exposure of contract-weeks.
        x: [n, columns] what is told of their rates.
    """
    line, week, shown = told
    creator = past.creator[line]
    product = _codes(past.product[line] * past.weeks + week)
    best = None
    for same in (creator * past.weeks + week, creator):
        try:
            fit = Poisson()(shown, x, [product, _codes(same)], cluster=creator)
        except BadInputError:  # no row is left that tells
            continue
        if (np.nan_to_num(fit.freedom) >= FEW).all():
            return fit
        best = fit
    return best


def _crowding(past: Past, level: Array) -> tuple[Slope, Array, float]:
    """How a line fares in weeks in which its creator has more or less else to show.

    The other lines count with the effort that they usually get. Each line is compared with itself, beside what else
    was shown of its product in the same week. What is left over tells how much more than a count exposure varies.
    """
    rows = past.rows
    creator = past.creator[rows.line]
    of = creator * past.weeks + rows.week
    load = np.bincount(of, rows.held * level[rows.line], len(past.creators) * past.weeks)[of]
    product = past.product[rows.line] * past.weeks + rows.week
    logs = np.log(load)
    usual = np.bincount(rows.line, rows.held * logs, len(level)) / np.maximum(
        np.bincount(rows.line, rows.held, len(level)), 1e-9
    )
    change = logs - usual[rows.line]
    known = np.array([bool(name) for name in past.creators])[creator]  # of creators taken together nobody is busy
    some = _sample(past.product[rows.line], _whole(rows.held) & known)
    try:
        fit = Poisson()(
            rows.shown[some], change[some, None], [_codes(rows.line[some]), _codes(product[some])],
            np.log(rows.held[some]), creator[some],
        )  # fmt: skip
    except BadInputError:  # no line was seen for two weeks beside another
        return SUPPOSED["crowding"], change, 1.0
    fit = replace(fit, slope=-fit.slope)
    slope = _slope(fit, "crowding")
    return replace(slope, mid=float(np.clip(slope.mid, 0.0, 1.0))), change, max(fit.dispersion, 1.0)


def _new(past: Past, goods: Goods, given: Array) -> tuple[Slope, float]:
    """How exposure of a product changes with the effort given to it, as contracts begin and end; where that bends.

    Exposure follows (1 + bend × effort) to the power of the slope: a straight line where the slope is 1, and the
    faster it wears off the larger the bend. Products are compared with themselves, beside their department's week.
    """
    weeks, products = past.weeks, len(past.own)
    product, week = np.divmod(np.arange(products * weeks), weeks)
    mine = np.isin(product, past.product) & _offered(past).ravel()
    levels = [_codes(product[mine]), _codes(goods.department[product[mine]] * weeks + week[mine])]
    elsewhere, seen = np.log1p(past.elsewhere.ravel()[mine]), past.seen.ravel()[mine]
    best: tuple[float, Slope, float] | None = None
    for bend in BENDS if weeks > 1 else ():
        x = np.column_stack([np.log1p(bend * given.ravel()[mine]), elsewhere])
        fit = Poisson()(seen, x, levels)
        fair = np.isfinite(fit.slope[0]) and fit.slope[0] < 1 + 2 * fit.error[0]  # effort never pays more and more
        if fair and (best is None or fit.deviance < best[0]):
            best = fit.deviance, _slope(fit, "new"), bend
    return (best[1], best[2]) if best else (SUPPOSED["new"], 1.0)


def _lift(past: Past) -> Slope:
    """How much better what a creator shows sells, of the same product in the same place."""
    pieces, shown = past.sold[:, :, 0].ravel(), past.sold[:, :, 1].ravel()
    product, who = np.divmod(np.arange(len(pieces)), 2)
    seen = shown > 0
    if not _placed(past):
        return SUPPOSED["lift"]
    try:
        fit = Poisson()(pieces[seen], who[seen, None].astype(float), [product[seen]], np.log(shown[seen]))
    except BadInputError:  # no product was sold by both
        return SUPPOSED["lift"]
    return _slope(fit, "lift")


def _taken(past: Past, goods: Goods) -> tuple[Slope, Mask, Slope]:
    """How many pieces less of a product are sold elsewhere for one that creators sell, beside its department's week.

    What creators sell is told by how often they show it, since demand moves sales here and there alike. Where sales
    elsewhere are too few, exposure there stands for them. Below 0 sales elsewhere rise with creators, which counts as
    no gain of theirs. Where creators' sales move by more than is sold elsewhere at all, they cannot take a share of it
    all the way: such products are told apart, as long as these tell anything.
    """
    none = np.zeros(len(past.own), bool)
    if not past.bought.any():
        return Slope(0.0, 0.0), none, Slope(0.0, 0.0)
    if not _placed(past):
        return SUPPOSED["taken"], none, SUPPOSED["taken"]
    shown = np.zeros(past.own.shape)
    np.add.at(shown, (past.product[past.rows.line], past.rows.week), past.rows.shown)
    ours = past.sold[:, 1, 0][:, None] * shown / np.maximum(shown.sum(axis=1, keepdims=True), 1e-9)
    offered = _offered(past)
    weeks = np.maximum(offered.sum(axis=1), 1)
    usual, often = ((each * offered).sum(axis=1) / weeks for each in (past.bought, ours))
    more = (ours - often[:, None]) / np.where(usual > 0, usual, 1.0)[:, None]
    product, week = np.divmod(np.arange(shown.size), past.weeks)
    little = (usual > 0) & (np.abs(np.where(offered, more, 0.0)).max(axis=1) > 1)

    def told(chosen: Mask, counts: Array) -> Slope:
        mine = offered.ravel() & ((usual > 0) & ours.any(axis=1) & chosen)[product]
        levels = (_codes(product[mine]), _codes(goods.department[product[mine]] * past.weeks + week[mine]))
        try:
            return _lost(counts.ravel()[mine], more.ravel()[mine], levels)
        except BadInputError:  # no product was sold there in two weeks beside another
            return SUPPOSED["taken"]

    found = told(~little, past.bought)
    if not found.told:
        found = told(~little, past.elsewhere)
    theirs = told(little, past.bought)
    return (found, little, theirs) if theirs.told else (found, none, found)


def _lost(counts: Array, more: Array, levels: tuple[Codes, Codes]) -> Slope:
    """Return the share s with which counts go as (1 - s × more) times their levels, by Newton's steps from none.

    Args:
        counts: [n] what is counted.
        more: [n] how much more creators sell than usually, in units of what is usually counted.
        levels: Products, which errors are clustered by, and weeks of departments: [n] each.
    """
    share = 0.0
    for _ in range(STEPS):
        left = 1 - share * more
        left = np.maximum(left, LEAST)
        x = np.where(left > LEAST, -more / left, 0.0)
        fit = Poisson()(counts, x[:, None], levels, np.log(left), levels[0])
        if not np.isfinite(fit.slope[0]):
            break
        before, share = share, float(np.clip(share + fit.slope[0], -1.0, 1.0))
        if abs(share - before) < 1e-3:
            break
    return _slope(replace(fit, slope=fit.slope + before), "taken") if np.isfinite(fit.slope[0]) else SUPPOSED["taken"]


def _offered(past: Past) -> Mask:
    """Weeks in which products were there from the first day to the last: [products, weeks].

    A product that is not launched yet, or is gone, is neither shown by creators nor sold elsewhere: neither is why the
    other is missing.
    """
    there = past.seen + past.elsewhere > 0
    begun = np.maximum.accumulate(there, axis=1)
    left = np.maximum.accumulate(there[:, ::-1], axis=1)[:, ::-1]
    inside = begun & left
    whole = inside.copy()
    whole[:, 1:] &= inside[:, :-1]  # launched within the week
    whole[:, :-1] &= inside[:, 1:]
    return np.asarray(whole, bool)


def _placed(past: Past) -> bool:
    """Whether both sellers and creators sell where they show alike; where not, places of orders and traffic differ."""
    return bool(past.sold[:, :, 0].sum(axis=0).all())


def _whole(held: Array) -> Mask:
    return (held > WHOLE[0]) & (held < WHOLE[1])


def _sample(product: Codes, good: Mask) -> Codes:
    """Return the good rows of as many products as are enough, all weeks and lines of each; the same ones each time."""
    order = np.random.default_rng(0).permutation(int(product.max()) + 1)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    rows = np.cumsum(np.bincount(rank[product[good]], minlength=len(order)))
    return np.flatnonzero(good & (rank[product] <= np.searchsorted(rows, ENOUGH)))


def _codes(values: Codes) -> Codes:
    return np.asarray(np.unique(values, return_inverse=True)[1], np.int64)


__all__ = ["Curve", "Effort", "Slope", "effort"]
