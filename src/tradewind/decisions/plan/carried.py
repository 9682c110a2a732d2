"""Carried out: whether the store shows that what was launched was done, to the treated and to nobody held out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tradewind.engines.store import Store
from tradewind.ledger import Experiment
from tradewind.ledger.lot import HOLDOUT, TREATED
from tradewind.money import human
from tradewind.period import Period
from tradewind.study import Lever

Array = NDArray[np.float64]

NEAR = {Lever.PRICE: 0.03, Lever.COMMISSION: 0.005}
"""How far from what was planned a share off the list price (prices end on 99 cents) or a rate may be."""
CENT = 0.005  # by how much face values and thresholds may differ
SURE = 2.0  # standard errors beyond which those held out had more of it than before
WHOLE = 0.9  # share carried out below which it is said


@dataclass(frozen=True)
class Carried:
    """How far what was launched was done, as far as the store shows it.

    Args:
        treated: Share of the treated who got what was planned: customers their coupon, products their price or rate, by
            the share of their days.
        held: The same of those held out, beyond what they had in as many days before.
    """

    treated: float
    held: float

    @property
    def share(self) -> float:
        """What sets the arms apart, from 0 to 1."""
        return min(max(self.treated - self.held, 0.0), 1.0)

    @property
    def sentence(self) -> str:
        """What is to be said of it; empty where all was done."""
        if self.share >= WHOLE:
            return ""
        held = f", and to {human(self.held, 'share')} of those held out" if self.held > 1 - WHOLE else ""
        return (
            f"As the store tells, what was planned was done to {human(self.treated, 'share')} of the treated{held}: "
            "what is read is what was truly done."
        )


def carried(store: Store, experiment: Experiment, arms: Mapping[str, str]) -> Carried | None:
    """Return how far an experiment was carried out, by listings, coupons in customers' hands, or contracts.

    Args:
        store: The store with the days of the experiment.
        experiment: The experiment.
        arms: The arm of each unit.

    Returns:
        None where the store has no such records, where they tell of no treated unit, or of other levers.
    """
    lasts = [min(each.stopped or each.days.last, each.days.last) for each in experiment.treated]
    if not lasts or max(lasts) < experiment.days.first:
        return None
    if (days := Period(experiment.days.first, max(lasts)).clipped(store.span)) is None:
        return None
    before = Period(days.first - timedelta(days=days.days), days.first - timedelta(days=1))
    asked = {Lever.COUPON: _granted, Lever.PRICE: _listed, Lever.COMMISSION: _contracted}.get(experiment.lever)
    if asked is None or (now := asked(store, experiment, days)) is None:
        return None
    past = asked(store, experiment, before) or {}

    def shares(of: Mapping[str, float], arm: str) -> Array:
        units = [unit for unit, drawn in sorted(arms.items()) if drawn == arm]
        if experiment.unit != "customer":  # what is not listed at all tells nothing
            units = [unit for unit in units if unit in now]
        return np.array([of.get(unit, 0.0) for unit in units])

    treated = shares(now, TREATED)
    if not len(treated):
        return None
    rise = shares(now, HOLDOUT) - shares(past, HOLDOUT)
    # Sellers' own discounts come and go: what a few held out had more often by chance is not laid to the plan.
    much = len(rise) > 0 and rise.mean() > SURE * rise.std() / len(rise) ** 0.5
    return Carried(float(treated.mean()), float(rise.mean()) if much else 0.0)


def _granted(store: Store, experiment: Experiment, days: Period) -> dict[str, float] | None:
    """Customers who were given a coupon of the same face value and threshold in some days."""
    if not (store.has("coupon_grants", "granted_at") and store.has("coupons", "face_value")):
        return None
    launch = experiment.launches[0]
    coupons, grants = store.table("coupons"), store.table("coupon_grants")
    dose = launch.setting.dose
    alike = (coupons.face_value.cast("float64") - dose.get("face", 0.0)).abs() < CENT
    if store.has("coupons", "threshold"):
        alike &= (coupons.threshold.cast("float64").fill_null(0.0) - dose.get("threshold", 0.0)).abs() < CENT
    if launch.subject.shop is not None and store.has("coupons", "shop_id"):
        alike &= coupons.shop_id.isnull() | (coupons.shop_id == launch.subject.shop)
    start, end = _ends(store, days)
    given = grants.filter((grants.granted_at >= start) & (grants.granted_at < end))
    rows = store.run(given.semi_join(coupons.filter(alike), "coupon_id").select("customer_id").distinct())
    return dict.fromkeys(rows["customer_id"].to_pylist(), 1.0)


def _listed(store: Store, experiment: Experiment, days: Period) -> dict[str, float] | None:
    """Share of the days on which each product was listed, that it was at the planned share off its list price."""
    if not (store.has("product_history", "sale_price") and store.has("product_history", "list_price")):
        return None
    table = store.table("product_history")
    full = table.list_price.cast("float64")
    price = table.sale_price.fill_null(table.list_price).cast("float64")
    rows = table.filter(full > 0).mutate(value=1 - price / full, begin=table.valid_from, until=table.valid_to)
    return _by_time(store, rows, experiment, days, "off")


def _contracted(store: Store, experiment: Experiment, days: Period) -> dict[str, float] | None:
    """Share of the time of each product's contracts that was at the planned rate."""
    whole = all(each.subject.partner is None for each in experiment.launches)
    if not whole or not (store.has("commissions", "rate") and store.has("commissions", "accepted_at")):
        return None
    table = store.table("commissions")
    until = table.ends_at if store.has("commissions", "ends_at") else ibis.null("timestamp")
    rows = table.filter(table.rate.notnull()).mutate(
        value=table.rate.cast("float64"), begin=table.accepted_at, until=until
    )
    return _by_time(store, rows, experiment, days, "rate")


def _by_time(store: Store, rows: ir.Table, experiment: Experiment, days: Period, dose: str) -> dict[str, float]:
    """Return, by product, the share of the time covered by rows in some days whose value is as planned."""
    first, last = _ends(store, days)
    start, end = np.datetime64(first, "us"), np.datetime64(last, "us")
    chosen = rows.filter(rows.begin.notnull() & (rows.begin < last))
    chosen = chosen.filter(chosen.until.isnull() | (chosen.until > first))
    told = store.run(chosen.select("product_id", "value", "begin", "until"))
    planned = {each.subject.id: each.setting.dose.get(dose, np.nan) for each in experiment.launches}
    told = told.filter(pc.is_in(told["product_id"], pa.array(list(planned), pa.string())))
    names = told["product_id"].to_pylist()
    begin = np.maximum(_moments(told["begin"], start), start)
    until = np.minimum(_moments(told["until"], end), end)
    stops = {each.subject.id: each.stopped for each in experiment.launches if each.stopped is not None}
    ends = {name: np.datetime64(Period(day, day).end(store.provenance.timezone), "us") for name, day in stops.items()}
    until = np.minimum(until, np.array([ends.get(name, end) for name in names], "datetime64[us]"))
    time = np.maximum((until - begin).astype("timedelta64[s]").astype(float), 0.0)
    near = np.abs(np.array(told["value"].to_pylist(), float) - np.array([planned[name] for name in names], float))
    kept, whole = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    for name, seconds, off in zip(names, time.tolist(), near.tolist(), strict=True):
        whole[name] += seconds
        kept[name] += seconds if off <= NEAR[experiment.lever] + 1e-9 else 0.0
    return {name: kept[name] / seconds for name, seconds in whole.items() if seconds > 0}


def _moments(column: pa.ChunkedArray, missing: np.datetime64) -> NDArray[np.datetime64]:
    found = pc.cast(column, pa.timestamp("us")).to_numpy(zero_copy_only=False).astype("datetime64[us]")
    return np.where(np.isnat(found), missing, found)


def _ends(store: Store, days: Period) -> tuple[datetime, datetime]:
    """When some days begin and end, in UTC."""
    zone, eve = store.provenance.timezone, days.first - timedelta(days=1)
    return Period(eve, eve).end(zone), days.end(zone)
