"""How demand answers to prices: own and cross elasticities of every product, shrunk within their category."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from tradewind.errors import BadInputError
from tradewind.methods.crossfit import Crossfit
from tradewind.methods.elasticity_control import Beside, Moments, answers, free, passed, rivalled, with_columns
from tradewind.methods.elasticity_instrument import SAME, folds_of, instruments
from tradewind.methods.elasticity_panel import Clusters, Fit, Slopes
from tradewind.methods.elasticity_prior import CROSS, Shrunk, shrink
from tradewind.methods.elasticity_result import Elasticities, Group, Product
from tradewind.methods.elasticity_rows import Checked, Rows, alive, checked, lagged, rivals
from tradewind.methods.elasticity_strength import STRONG, USABLE, strength
from tradewind.methods.moments import counted, probability
from tradewind.study import Estimate, Evidence

__all__ = ["Elasticities", "Elasticity", "Group", "Product", "Rows", "rivals"]

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

BEND = 2.5  # standard deviation from which a bend is not told: that of a logit is about as large as its elasticities
STEPS = 60  # of reweighting counts


@dataclass
class _Slopes:
    """Slopes of products in one market with their variances; filled market by market, then shrunk by category."""

    plain: Array
    plain_var: Array
    clean: Array
    clean_var: Array
    between: Array
    cross: Array
    cross_var: Array
    cross_shared: Array
    cross_clean: Array
    cross_clean_var: Array
    cross_clean_shared: Array
    cross_between: Array
    strength: Array
    weak: Array
    drawn: NDArray[np.bool_]
    scale: Array
    reach: Array
    beside: Beside


class Elasticity:
    """Estimates own and cross price elasticities from rows of product, shop and week.

    The level of each product in each shop and the effects of weeks are taken out exactly, what is not linear in the
    controls by models that never saw the row's week. What is left of the price moves what is left of demand (orthogonal
    moments). Where prices were drawn at random, or instruments are given, these are used as far as they are strong, and
    the gap that they show corrects the other products of the category.

    Args:
        level: Probability with which intervals are meant to hold the truth, in (0, 1).
        counts: Whether outcomes are counts, in which zeros may occur, rather than logarithms.
        weeks: Whose weeks have effects of their own: `group` (a category's), `all`, `product` (only differences between
            shops within a week are left) or `none`.
        lags: Weeks after a price for which it may still move demand, for stockpiling and pull-forward.
        bend: Whether elasticities may change with the price level, as far as instruments tell.
        learner: How controls act: `linear` (a smooth curve), `auto` or `boosted` (trees as well).
        shrink: Whether products are shrunk within their category.
        seed: Seed of the folds.

    Reference:
        Chernozhukov et al. (2018), Double/debiased machine learning, The Econometrics Journal 21(1), equations 4.3 and
        4.8; Semenova, Goldman, Chernozhukov and Taddy (2023), Inference on heterogeneous treatment effects in
        high-dimensional dynamic panels under weak dependence, Quantitative Economics 14(2); Hausman (1996), Valuation
        of new goods, for prices of other shops as instruments.
    """

    def __init__(
        self,
        level: float = 0.9,
        counts: bool = False,
        weeks: Literal["group", "all", "product", "none"] = "group",
        lags: int = 0,
        bend: bool = False,
        learner: Literal["linear", "auto", "boosted"] = "linear",
        shrink: bool = True,
        seed: int = 0,
    ):
        if weeks not in ("group", "all", "product", "none"):
            raise BadInputError("Unknown effects of weeks", got=weeks, allowed=("group", "all", "product", "none"))
        self.level = probability(level, "level")
        self.counts = counts
        self.weeks = weeks
        self.lags = counted(lags, "number of lags", 0, 26)
        self.bend = bend
        self.shrink = shrink
        self.crossfit = Crossfit(folds=5, seed=seed, learner=learner)
        self.z = float(ndtri((1 + level) / 2))

    def __call__(self, rows: Rows) -> Elasticities:
        """Return the elasticities.

        Args:
            rows: Sales and prices.

        Raises:
            BadInputError: If columns do not fit, a value is missing, instruments come with counts, a category changes
                within a product, or no product's price ever moved.
        """
        data = checked(rows, self.counts)
        if self.counts and data.instruments.shape[1]:
            raise BadInputError(
                "Instruments do not go with counts", do="give logarithms of quantities, or sum up to rows without zeros"
            )
        count, crosses = len(data.products), data.cross.shape[1]
        nothing = np.full(count, np.nan)
        found = _Slopes(
            nothing.copy(), nothing.copy(), nothing.copy(), nothing.copy(), nothing.copy(),
            np.full((count, crosses), np.nan), np.full((count, crosses), np.nan), np.zeros((count, crosses)),
            np.full((count, crosses), np.nan), np.full((count, crosses), np.nan), np.zeros((count, crosses)),
            np.full((count, crosses), np.nan),
            nothing.copy(), np.full((count, 2), np.nan), np.zeros(count, bool), nothing.copy(),
            np.bincount(data.product, minlength=count).astype(float),
            Beside(
                nothing.copy(), nothing.copy(), nothing.copy(), nothing.copy(), nothing.copy(), np.zeros(count)
            ),
        )  # fmt: skip
        market = {"group": data.group, "product": data.product, "none": data.group}.get(
            self.weeks, np.zeros_like(data.group)
        )
        common: dict[int, list[tuple[Array, Array]]] = {}
        for place in range(int(market.max()) + 1):
            slopes = self._market(data, np.flatnonzero(market == place), found, self.bend)
            for group in np.unique(data.group[market == place]):
                common.setdefault(int(group), []).append(slopes)
        if np.isnan(found.plain).all() and np.isnan(found.clean).all():
            raise BadInputError(
                "No price ever moved apart from all the others", do="vary some prices, best at random, for some weeks"
            )
        return self._told(data, found, common)

    # One market: the rows whose weeks share effects.

    def _market(self, data: Checked, rows: Codes, found: _Slopes, bend: bool) -> tuple[Array, Array]:
        """Estimate a market's slopes into `found`; return slopes and covariance of lags and bend."""
        if self.counts:
            rows = alive(data.sold, data.unit, data.week, rows)
            if not len(rows):
                return np.zeros(0), np.zeros((0, 0))
        ids, product = np.unique(data.product[rows], return_inverse=True)
        unit = np.unique(data.unit[rows], return_inverse=True)[1]
        week = np.unique(data.week[rows], return_inverse=True)[1]
        solver = Slopes(product, unit, week, self.weeks != "none")
        y, price = data.sold[rows], data.price[rows]
        clean, others, drawn, has = instruments(data, rows, solver, self.crossfit, rivals_too=not self.counts)
        x = self._columns(data, rows, price, product, bend)
        z = x if clean is None else self._columns(data, rows, clean, product, bend)
        slots = 1 + data.cross.shape[1] + data.flags.shape[1]
        if data.controls.shape[1] and not self.counts:
            y, x, z, others = self._without_controls(data.controls[rows], solver, (y, x, z, others), slots)
        plain = self._fit(solver, y, x, x, slots)
        of = Moments(solver, Clusters(product, unit, week), y, x, z, slots, self.level)
        steps, crossed = of.own, of.own[:, None] + 1 + np.arange(data.cross.shape[1])
        var = of.variances(plain, steps)
        found.plain[ids], found.plain_var[ids] = plain.slope[steps], var
        found.scale[ids] = np.sqrt(plain.variance[steps] * np.bincount(product) * plain.freedom / len(rows))
        last = plain
        if clean is not None:
            own = has & (free(solver, x[:, 0], z[:, 0]) > SAME)
            told, beside = (own, None) if others is None else rivalled(of, others, own)
            if beside is not None and others is not None:
                z = z.copy()
                z[:, 1] = np.where(told[product], others, z[:, 1])
            last = self._fit(solver, y, x, z, slots)
            if bend and not of.clusters.covariance(last, np.array([len(last.slope) - 1]))[0, 0] <= BEND**2:
                slope, cov = self._market(data, rows, found, bend=False)
                return np.append(slope, np.nan), np.pad(cov, (0, 1), constant_values=np.nan)
            force, weak = strength(solver, last, (x, z), slots, self.z**2)
            used = has & (force >= USABLE)
            clean_var = of.variances(last, steps)
            found.clean[ids], found.clean_var[ids] = np.where(used, last.slope[steps], np.nan), clean_var
            found.between[ids] = of.clusters.correlation(plain, last, steps) * np.sqrt(clean_var * var)
            found.strength[ids], found.drawn[ids] = np.where(has, force, np.nan), drawn
            found.weak[ids] = np.where(has[:, None], weak, np.nan)
            whole = used & drawn & (np.bincount(product, ~data.randomised[rows]) == 0)
            found.plain[ids[whole]] = np.nan  # the same number twice would count twice
            if beside is not None and others is not None:
                self._both(of._replace(z=z), (used & own, told), (beside, last), ids, found)
            elif used.any():
                self._beside(of, last, used & own, ids, found)
            else:
                last = plain
        if last is plain:
            for k, column in enumerate(crossed.T):
                found.cross[ids, k], found.cross_var[ids, k] = plain.slope[column], of.variances(plain, column)
        tail = len(ids) * slots + np.arange(x.shape[1] - slots)[data.controls.shape[1] :]
        return last.slope[tail], of.clusters.covariance(last, tail)

    def _beside(self, of: Moments, clean: Fit, told: NDArray[np.bool_], ids: Codes, found: _Slopes) -> None:
        """Take slopes of prices with the own instrument beside them, where rivals' prices have none."""
        slots, crosses = of.slots, found.cross.shape[1]
        wide = with_columns(of, of.z[:, :1], told)
        fit = self._fit(of.solver, of.y, wide, wide, slots + 1)
        at = np.arange(len(ids)) * (slots + 1)
        if not self.counts and (beside := passed(of, (fit, clean), [told])) is not None:
            found.beside.take(ids, beside, told)
        answer = answers(of, crosses, np.where(told, fit.slope[at + slots], 0.0))
        found.cross_shared[ids] = answer[2]
        for k in range(crosses):
            found.cross[ids, k] = fit.slope[at + 1 + k] + answer[0][:, k]
            found.cross_var[ids, k] = of.variances(fit, at + 1 + k) + answer[1][:, k]

    def _both(
        self, of: Moments, has: tuple[NDArray[np.bool_], NDArray[np.bool_]], fits: tuple[Fit, Fit],
        ids: Codes, found: _Slopes,
    ) -> None:  # fmt: skip
        """Take slopes of prices with the instruments of own and of rivals' prices beside them, and in their place."""
        (own, told), (beside, clean) = has, fits
        at, steps = np.arange(len(ids)) * (of.slots + 2), of.own
        if (slopes := passed(of, fits, [own, told])) is not None:
            found.beside.take(ids, slopes, own)
        places = (beside, at + 1), (clean, steps + 1)
        (var, common), (clean_var, clean_common) = (of.parted(fit, where, told) for fit, where in places)
        like = of.clusters.correlation(beside, clean, at + 1, steps + 1)
        between = like * np.sqrt((var + common**2) * (clean_var + clean_common**2)) - common * clean_common
        most = 0.95 * np.sqrt(var * clean_var)  # what products do not share of the two cannot go together more
        between = np.clip(between, -most, most)
        found.cross[ids, 0], found.cross_var[ids, 0] = beside.slope[at + 1], var
        found.cross_clean[ids, 0] = np.where(told, clean.slope[steps + 1], np.nan)
        found.cross_clean_var[ids, 0], found.cross_between[ids, 0] = clean_var, between
        found.cross_shared[ids, 0], found.cross_clean_shared[ids, 0] = common, clean_common

    def _columns(self, data: Checked, rows: Codes, own: Array, product: Codes, bend: bool) -> Array:
        """Return the columns: own price, cross prices and flags, then controls, lags and the bend."""
        parts = [own[:, None], data.cross[rows], data.flags[rows], data.controls[rows]]
        unit, week = data.unit[rows], data.week[rows]
        parts += [lagged(own, unit, week, lag)[:, None] for lag in range(1, self.lags + 1)]
        if bend:
            count = np.bincount(product)
            away = own - (np.bincount(product, own) / count)[product]
            parts.append(0.5 * away[:, None] ** 2)
        return np.column_stack(parts)

    def _without_controls(
        self, controls: Array, solver: Slopes, values: tuple[Array, Array, Array, Array | None], slots: int
    ) -> tuple[Array, Array, Array, Array | None]:
        """Return outcomes, columns, instruments and rivals' ones less what controls say of them beyond a line."""
        folds = folds_of(self.crossfit, solver.week)
        if folds is None:
            return values
        y, x, z, others = values
        features = np.column_stack([controls, solver.product])

        def less(values: Array) -> Array:
            known = self.crossfit.mean(folds, features, solver.purge(values[:, None])[:, 0]).values[0]
            return np.asarray(values - known)

        first, last = slots, slots + controls.shape[1]
        fewer_x, fewer_z = x.copy(), z.copy()
        for k in [*range(first), *range(last, x.shape[1])]:
            fewer_x[:, k] = less(x[:, k])
            fewer_z[:, k] = fewer_x[:, k] if np.array_equal(x[:, k], z[:, k]) else less(z[:, k])
        return less(y), fewer_x, fewer_x if z is x else fewer_z, None if others is None else less(others)

    def _fit(self, solver: Slopes, y: Array, x: Array, z: Array, slots: int) -> Fit:
        if not self.counts:
            return solver(y, x, z, slots)
        line = np.log((y + y.mean()) / 2)
        for _ in range(STEPS):
            mean = np.exp(line)
            working = line + (y - mean) / mean
            fit = solver(working, x, z, slots, mean)
            new = np.clip(working - fit.residual, -30, 30)
            moved = float(np.max(np.abs(np.exp(new) - mean)) / y.mean())
            line = new
            if moved < 1e-7:
                return fit
        raise BadInputError(
            "The counts have no stable answer", do="leave out products with few sales, or take fewer columns"
        )

    # From markets to products and categories.

    def _told(self, data: Checked, found: _Slopes, common: dict[int, list[tuple[Array, Array]]]) -> Elasticities:
        group_of = np.zeros(len(data.products), np.int64)
        group_of[data.product] = data.group
        products: dict[int, Product] = {}
        groups = []
        for group, name in enumerate(data.groups):
            members = np.flatnonzero(group_of == group)
            known = ~np.isnan(found.plain[members]) | ~np.isnan(found.clean[members])
            told = self._own(found, members) if known.any() else None
            crossed = self._crossed(found, members)
            for place, product in enumerate(members):
                products[int(product)] = self._product(data, found, int(product), (name, told, place), crossed)
            if told is not None:
                groups.append(self._group(name, told, crossed, common.get(group, []), found, members))
        return Elasticities(tuple(products[k] for k in sorted(products)), tuple(groups))

    def _own(self, found: _Slopes, members: Codes) -> Shrunk:
        """Return the shrunken elasticities of a category.

        Products differ more in their gaps, which hold by how much each price follows its instrument, than in κ: where
        no product has a plain estimate alone, κ takes the gap's place.
        """
        plain, plain_var, clean, clean_var, between = (
            values[members] for values in (found.plain, found.plain_var, found.clean, found.clean_var, found.between)
        )
        told = shrink(plain, plain_var, clean, clean_var, between)
        beside = {name: values[members] for name, values in vars(found.beside).items()}
        has = ~np.isnan(beside["own"])
        if not has.any() or (~has & ~np.isnan(plain)).any():
            return told
        better = shrink(
            beside["price"], beside["price_var"], np.where(has, beside["own"], clean),
            np.where(has, beside["own_var"], clean_var), beside["between"],
            np.column_stack([np.zeros(len(members)), beside["shared"]]),
        )  # fmt: skip
        return replace(better, gap=told.gap, gap_sd=told.gap_sd)

    def _crossed(self, found: _Slopes, members: Codes) -> list[Shrunk | None]:
        out: list[Shrunk | None] = []
        for k in range(found.cross.shape[1]):
            slope, var, clean, clean_var, between, shared, clean_shared = (
                v[members, k]
                for v in (
                    found.cross, found.cross_var, found.cross_clean, found.cross_clean_var, found.cross_between,
                    found.cross_shared, found.cross_clean_shared,
                )
            )  # fmt: skip
            both = np.column_stack([shared, clean_shared])
            known = not np.isnan(slope).all()
            out.append(shrink(slope, var, clean, clean_var, between, both, scale=CROSS) if known else None)
        return out

    def _product(
        self,
        data: Checked,
        found: _Slopes,
        product: int,
        told: tuple[Any, Shrunk | None, int],
        crossed: list[Shrunk | None],
    ) -> Product:
        name, common, place = told
        strong = not np.isnan(found.clean[product]) and found.strength[product] >= STRONG
        known = not (np.isnan(found.plain[product]) and np.isnan(found.clean[product]))
        earned = Evidence.RANDOMISED if found.drawn[product] else Evidence.QUASI_EXPERIMENTAL
        raw = own = prior = None
        if known:
            best, var = (
                (found.clean[product], found.clean_var[product])
                if strong or np.isnan(found.plain[product])
                else (found.plain[product], found.plain_var[product])
            )
            raw = own = self._estimate(float(best), float(np.sqrt(var)))
            if self.shrink and common is not None:
                own = self._estimate(float(common.mid[place]), float(common.sd[place]))
        if common is not None and len(common.mid) >= 3:
            prior = self._estimate(common.mean, float(np.hypot(common.mean_sd, common.spread)))
        cross: list[Estimate | None] = []
        for k, shared in enumerate(crossed):
            best = (found.cross_clean, found.cross_clean_var, found.cross_clean_shared)
            if np.isnan(best[0][product, k]):
                best = (found.cross, found.cross_var, found.cross_shared)
            mid, var, common = (values[product, k] for values in best)
            sd = np.sqrt(var + common**2)
            if self.shrink and shared is not None and not np.isnan(mid):
                mid, sd = shared.mid[place], shared.sd[place]
            cross.append(None if np.isnan(mid) else self._estimate(float(mid), float(sd)))
        weak = found.weak[product]
        return Product(
            product=data.products[product],
            group=name,
            own=own,
            raw=raw,
            cross=tuple(cross),
            prior=prior,
            evidence=earned if strong else Evidence.OBSERVATIONAL,
            rows=int(found.reach[product]),
            strength=None if np.isnan(found.strength[product]) else float(found.strength[product]),
            weak=None if np.isnan(weak).any() else (float(weak[0]), float(weak[1])),
            scale=float(found.scale[product]),
            why="" if known else "its price never moved apart from everything else: move it, best at random",
        )

    def _group(
        self,
        name: Any,
        told: Shrunk,
        crossed: list[Shrunk | None],
        common: list[tuple[Array, Array]],
        found: _Slopes,
        members: Codes,
    ) -> Group:
        slope, cov = _pooled(common, self.lags + self.bend)
        clean = bool((~np.isnan(found.clean[members])).any() and (~np.isnan(found.plain[members])).any())
        lags, lasting, bend = [], None, None
        if self.lags and not np.isnan(slope[: self.lags]).any():
            lags = [self._estimate(float(slope[k]), float(np.sqrt(cov[k, k]))) for k in range(self.lags)]
            late, late_var = float(slope[: self.lags].sum()), float(cov[: self.lags, : self.lags].sum())
            sd = np.hypot(np.sqrt(late_var) / told.mean, late * told.mean_sd / told.mean**2)
            lasting = self._estimate(1 + late / told.mean, float(sd))
        if self.bend and not np.isnan(slope[self.lags]):
            bend = self._estimate(float(slope[self.lags]), float(np.sqrt(cov[self.lags, self.lags])))
        return Group(
            group=name,
            mean=self._estimate(told.mean, told.mean_sd),
            spread=told.spread,
            cross=tuple(None if s is None else self._estimate(s.mean, s.mean_sd) for s in crossed),
            gap=self._estimate(told.gap, told.gap_sd) if clean else None,
            lags=tuple(lags),
            lasting=lasting,
            bend=bend,
        )

    def _estimate(self, mid: float, sd: float) -> Estimate:
        return Estimate(mid, mid - self.z * sd, mid + self.z * sd, self.level)


def _pooled(parts: list[tuple[Array, Array]], size: int) -> tuple[Array, Array]:
    """Return slopes in common over markets, each weighed by its precision, and covariance; NaN where none tells."""
    told, right = np.zeros((size, size)), np.zeros(size)
    for slope, cov in parts:
        known = np.flatnonzero(~np.isnan(slope) & ~np.isnan(np.diag(cov)))
        if len(slope) == size and len(known):
            weight = np.linalg.pinv(cov[np.ix_(known, known)])
            told[np.ix_(known, known)] += weight
            right[known] += weight @ slope[known]
    pooled = np.asarray(np.linalg.pinv(told))
    mids = np.asarray(pooled @ right)
    nothing = np.diag(told) <= 0
    mids[nothing], pooled[nothing], pooled[:, nothing] = np.nan, np.nan, np.nan
    return mids, pooled
