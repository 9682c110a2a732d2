"""What will be sold at prices that are known: demand of the coming weeks, product by product and shop by shop."""

from __future__ import annotations

from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
from numpy.typing import ArrayLike, NDArray

from tradewind.errors import BadInputError
from tradewind.methods.elasticity_rows import column, ids, table, weeks
from tradewind.methods.moments import counted, numbers, probability, single

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

PENALTY = 1.0  # of a standardised column, in rows; few rows per product are shrunk, many are not
MEMORY = 4.0  # weeks in which the price that customers remember fades by half
APART = 0.7  # the two structural forms are no farther from each other, in log points
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # shares of the trees that are tried
FEWEST = 1_000  # rows below which no trees are grown
TREES = {
    "objective": "regression",
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_data_in_leaf": 50,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


@dataclass(frozen=True)
class Shelf:
    """One row for each product, shop and week, past and coming.

    Args:
        sold: [n] logarithm of the quantity sold; NaN in the weeks that are asked for.
        price: [n] logarithm of the own price.
        product: [n] id of the product.
        week: [n] whole number of the week.
        store: [n] id of the shop.
        others: [n, k] logarithms of the prices of all products on the shelf, the own one among them.
        flags: [n, f] what acts on the product in that week, such as display or feature.
        traits: [n, q] what is known of the shop.
    """

    sold: ArrayLike
    price: ArrayLike
    product: ArrayLike
    week: ArrayLike
    store: ArrayLike
    others: ArrayLike
    flags: ArrayLike
    traits: ArrayLike


@dataclass(frozen=True)
class Demanded:
    """What will be sold.

    Args:
        mid: [n] median of the logarithm of the quantity; NaN where it was known.
        low: [n] lower end of the interval.
        high: [n] upper end.
        share: Share of the trees in `mid`, 0 to 1.
        error: Weighted absolute error in units on the weeks that were set aside to choose the share.
        level: Probability with which the interval is meant to hold the outcome.
    """

    mid: Array
    low: Array
    high: Array
    share: float
    error: float
    level: float


class Demand:
    """Predicts demand at known prices by a structural model and trees, in shares that past weeks chose.

    The structural model is linear in logarithms, product by product: all prices on the shelf, flags, the own price with
    traits of the shop and with the flags, a shrunk level for each shop, older weeks forgotten by half every
    `half_life` weeks. The trees also see remembered prices, the weeks before and the place among rivals. The last weeks
    before those asked for, as many as are asked for, choose the share of the trees and give the interval. No quantity
    of a week that is asked for, or of one after the weeks that teach, is ever used.

    Args:
        half_life: Weeks by which an old row counts half.
        rounds: Number of trees.
        level: Probability with which the interval is meant to hold the outcome.
        seed: Seed of the trees.
    """

    def __init__(self, half_life: float = 30.0, rounds: int = 200, level: float = 0.9, seed: int = 0):
        self.half_life = single(half_life, "half-life")
        if not self.half_life > 0:
            raise BadInputError("The half-life is out of range", got=half_life, allowed="a number of weeks above 0")
        self.rounds = counted(rounds, "number of trees", 1)
        self.level = probability(level, "level")
        self.seed = counted(seed, "seed")

    def __call__(self, shelf: Shelf) -> Demanded:
        """Return the demand of the rows without a quantity.

        Args:
            shelf: Rows past and coming.

        Raises:
            BadInputError: If columns do not fit, a value beside `sold` is missing, nothing is asked for, a product was
                never sold before, or there are fewer than eight weeks to learn from.
        """
        table = _Table(shelf)
        asked, past = np.flatnonzero(np.isnan(table.sold)), np.flatnonzero(~np.isnan(table.sold))
        weeks = np.unique(table.week[past])
        if len(asked) == 0 or len(weeks) < 8:
            raise BadInputError(
                "There is nothing to predict, or too little to learn from",
                got=f"{len(asked)} rows, {len(weeks)} weeks",
                allowed="1 row or more, 8 weeks or more",
            )  # fmt: skip
        if not np.isin(table.product[asked], table.product[past]).all():
            raise BadInputError("A product was never sold before", do="leave it out: launches are another question")
        ahead = int(np.clip(len(np.unique(table.week[asked])), 1, len(weeks) // 3))
        first = weeks[-ahead]
        teach, aside = past[table.week[past] < first], past[table.week[past] >= first]
        aside = aside[np.isin(table.product[aside], table.product[teach])]
        if len(aside) == 0:
            raise BadInputError("No product has both earlier and later weeks", do="take a longer history")
        tried = self._both(table, teach, aside)
        truth = table.sold[aside]
        errors = [_error(truth, (1 - share) * tried[0] + share * tried[1]) for share in SHARES]
        best = int(np.argmin(errors))
        share = SHARES[best]
        off = truth - ((1 - share) * tried[0] + share * tried[1])
        low, high = np.quantile(off, [(1 - self.level) / 2, (1 + self.level) / 2])
        plain, boosted = self._both(table, past, asked)
        mid = np.full(len(table.sold), np.nan)
        mid[asked] = (1 - share) * plain + share * boosted
        return Demanded(
            mid, mid + min(float(low), 0.0), mid + max(float(high), 0.0), share, float(errors[best]), self.level
        )

    def _both(self, table: _Table, teach: Codes, held: Codes) -> tuple[Array, Array]:
        """Return the predictions for `held` of the structural model, and of the trees."""
        rows = np.concatenate([teach, held])
        plain = (
            self._structural(table, teach, rows, crossed=False),
            self._structural(table, teach, rows, crossed=True),
        )
        both = (plain[0] + np.clip(plain[1], plain[0] - APART, plain[0] + APART)) / 2
        there = both[len(teach) :]
        if len(teach) < FEWEST:
            return there, there
        x = np.column_stack([table.features, table.levels(teach)])[rows]
        # Errors are weighed in units: a row that sells much counts more, within reason.
        weight = np.exp(0.5 * (both[: len(teach)] - both[: len(teach)].mean()))
        data = lgb.Dataset(x[: len(teach)], table.sold[teach], weight=weight, free_raw_data=False)
        trees = lgb.train(dict(TREES, seed=self.seed), data, self.rounds)
        return there, np.asarray(trees.predict(x[len(teach) :], num_threads=1), float)

    def _structural(self, table: _Table, teach: Codes, rows: Codes, crossed: bool) -> Array:
        """Return the structural prediction of `rows`, learnt from `teach`."""
        out = np.empty(len(rows))
        last = float(table.week[teach].max())
        for product in np.unique(table.product[rows]):
            own, to = teach[table.product[teach] == product], np.flatnonzero(table.product[rows] == product)
            x, new = (table.columns(which, crossed) for which in (own, rows[to]))
            mean, spread = x.mean(axis=0), x.std(axis=0)
            moved = spread > 1e-6
            x, new = ((values[:, moved] - mean[moved]) / spread[moved] for values in (x, new))
            x, new = (
                np.hstack([np.ones((len(values), 1)), values, table.store[which][:, None] == np.arange(table.stores)])
                for values, which in ((x, own), (new, rows[to]))
            )
            weighed = x * (0.5 ** ((last - table.week[own]) / self.half_life))[:, None]
            cross = weighed.T @ x
            # Adding the penalty to all but the constant; a shop never seen keeps a level of zero.
            cross[np.diag_indices_from(cross)] += np.append(1e-9, np.full(x.shape[1] - 1, PENALTY))
            out[to] = new @ np.linalg.solve(cross, weighed.T @ table.sold[own])
        return out


class _Table:
    """The shelf as arrays, with what can be known of a row before its week is over."""

    def __init__(self, shelf: Shelf):
        self.sold = numbers(shelf.sold, "value of 'sold'")
        if self.sold.ndim != 1 or not len(self.sold) or np.isinf(self.sold).any():
            raise BadInputError(
                "Quantities cannot be used", got=self.sold.shape,
                allowed="one column of one row or more, finite logarithms, NaN where they are asked for",
            )  # fmt: skip
        n = len(self.sold)
        self.price = column("price", shelf.price, n)
        self.others, self.flags, self.traits = (
            table(name, values, n)
            for name, values in (("others", shelf.others), ("flags", shelf.flags), ("traits", shelf.traits))
        )
        self.week = weeks(shelf.week, n)
        self.product, self.store = ids("product", shelf.product, n)[1], ids("store", shelf.store, n)[1]
        self.stores = int(self.store.max()) + 1
        self.unit = self.product * self.stores + self.store
        if len(np.unique(np.column_stack([self.unit, self.week]), axis=0)) != n:
            raise BadInputError("A product has two rows in one shop and week", do="sum them up first")
        mean = (np.bincount(self.product, self.price) / np.bincount(self.product))[self.product]
        self.away = self.price - mean
        spread = np.where(self.traits.std(axis=0) > 0, self.traits.std(axis=0), 1.0)
        self.traits = (self.traits - self.traits.mean(axis=0)) / spread
        self.features = self._features()

    def columns(self, rows: Codes, crossed: bool) -> Array:
        """Return the columns of the structural model."""
        away, flags = self.away[rows][:, None], self.flags[rows]
        parts = [self.others[rows], flags, away * self.traits[rows]]
        return np.hstack([*parts, away * flags] if crossed else parts)

    def levels(self, teach: Codes) -> Array:
        """Return the mean [n] of what each product sold in each shop; the product's where the shop is new."""
        product = np.asarray(np.bincount(self.product[teach], self.sold[teach], int(self.product.max()) + 1), float)
        product /= np.maximum(np.bincount(self.product[teach], minlength=len(product)), 1)
        size = np.bincount(self.unit[teach], minlength=int(self.unit.max()) + 1)
        total = np.bincount(self.unit[teach], self.sold[teach], len(size))
        level: Array = np.where(
            size[self.unit] > 0, total[self.unit] / np.maximum(size[self.unit], 1), product[self.product]
        )
        return level

    def _features(self) -> Array:
        """Return what trees see: prices now and before, flags now and before, rivals, the season."""
        units, row = np.unique(self.unit, return_inverse=True)
        span = int(self.week.max()) + 1
        place = (row, self.week)

        def before(values: Array) -> Array:
            """Return values [units, weeks], gaps filled by the latest known."""
            grid = np.full((len(units), span), np.nan)
            grid[place] = values
            for week in range(1, span):
                grid[:, week] = np.where(np.isnan(grid[:, week]), grid[:, week - 1], grid[:, week])
            return grid

        def back(grid: Array, lag: int) -> Array:
            moved = np.full_like(grid, np.nan)
            moved[:, lag:] = grid[:, : max(span - lag, 0)]
            return moved

        prices = before(self.price)
        memory = np.full_like(prices, np.nan)
        fade = 0.5 ** (1 / MEMORY)
        for week in range(1, span):
            old, new = memory[:, week - 1], prices[:, week - 1]
            memory[:, week] = np.where(np.isnan(old), new, fade * old + (1 - fade) * new)
        top = np.full_like(prices, -np.inf)
        for lag in range(1, 9):
            top = np.fmax(top, back(prices, lag))
        top[np.isinf(top)] = np.nan
        where = np.unique(np.column_stack([self.store, self.week]), axis=0, return_inverse=True)[1].reshape(-1)
        rivals = np.sort(self.others, axis=1) if self.others.shape[1] else self.price[:, None]
        # The own price is among those on the shelf: where it is the lowest, the next one is the lowest rival.
        lowest = rivals[:, 0]
        if rivals.shape[1] > 1:
            lowest = np.where(self.price <= rivals[:, 0] + 1e-12, rivals[:, 1], rivals[:, 0])
        parts = [self.price, memory[place], top[place], self.price - memory[place], self.price - top[place]]
        parts += [back(prices, lag)[place] for lag in (1, 2, 3)]
        parts += [lowest, self.price - lowest, rivals.mean(axis=1)]
        for k in range(self.flags.shape[1]):
            flag = self.flags[:, k]
            grid = before(flag)
            parts += [flag, back(grid, 1)[place], back(grid, 2)[place], np.bincount(where, flag)[where] - flag]
        parts += [self.product.astype(float), (self.week % 52).astype(float)]
        return np.column_stack([*parts, self.traits, self.others - self.price[:, None]])


def _error(truth: Array, guess: Array) -> float:
    return float(np.abs(np.exp(truth) - np.exp(guess)).sum() / np.exp(truth).sum())
