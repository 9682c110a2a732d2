"""Issues: coupons of the whole marketplace, who was given them and by what chance, as a store tells them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tradewind.engines.store import Store
from tradewind.errors import MissingDataError
from tradewind.measures.fact import WIDE, whole_seconds

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

DAY = 86_400
FEWEST_GRANTS = 50
"""Customers to whom a coupon of the marketplace was given, from which on it teaches anything."""
BY_USE = 0.9
"""Share of the known holders of a coupon who used it, from which on they are taken to be known by that alone."""
HANDFUL = 10
"""Holders below which it says nothing that nearly all used theirs."""
LOT = 0.95
"""Share of one arm that has a coupon, and of the others that has none, for an experiment to be this coupon's lot."""


@dataclass(frozen=True)
class Issues:
    """Coupons of the marketplace, those of the same days taken as one, in the order of their first moment.

    Args:
        names: Their ids.
        start: [issues] second from which it could be used.
        end: [issues] second at which it ended.
        face: [issues] face value; where coupons name none, what was taken off on average of orders that used any.
        threshold: [issues] least value of an order that it could be used on.
        told: [issues] whether the face value is the coupon's own, and not what was seen.
        given: [customers, issues] who was given it.
        used: [customers, issues] whether it was used.
        cost: [issues] what was taken off where it was used, as far as orders or its face value tell.
        untold: [issues] uses of which neither tells.
        recorded: [customers, issues] chance with which it was given, as written down; NaN where it was not.
        lot: [customers, issues] whether it was drawn by lot whether this customer gets it.
        lot_chance: [customers, issues] the chance of that lot; NaN where there was none.
        unwritten: How many more coupons there are whose chances nobody wrote down, while those of these were.
        claimed: How many more coupons there are that customers took themselves.
    """

    names: tuple[str, ...]
    start: Ints
    end: Ints
    face: Array
    threshold: Array
    told: Bools
    given: Bools
    used: Bools
    cost: Array
    untold: Ints
    recorded: Array
    lot: Bools
    lot_chance: Array
    unwritten: int = 0
    claimed: int = 0

    def __len__(self) -> int:
        return len(self.start)


def given_by(store: Store, moment: datetime) -> pa.Table:
    """Every coupon given by then: to whom, when, by what chance, which order used it and what was taken off there."""
    for table in ("coupons", "coupon_grants"):
        if not store.has(table):
            raise MissingDataError(
                f"The source has no {table.replace('_', ' ')}", got=store.provenance.source,
                do="import who was given which coupon, or give one to half of the customers by lot first",
            )  # fmt: skip
    grants, coupons = store.table("coupon_grants"), store.table("coupons")
    terms = coupons.select(
        "coupon_id", "shop_id", start=whole_seconds(coupons.starts_at), end=whole_seconds(coupons.ends_at),
        face=coupons.face_value.cast("float64"), rate=coupons.rate.cast("float64"),
        threshold=coupons.threshold.cast("float64"),
    )  # fmt: skip
    given = grants.filter(grants.granted_at < ibis.literal(moment))
    joined = given.join(terms, "coupon_id")
    dropped: ir.Value = ibis.literal(value=False)
    if store.has("live_drops", "coupon_id"):  # there for the first to take them
        drops = store.table("live_drops").select(thrown="coupon_id").distinct()
        joined = joined.left_join(drops, joined.coupon_id == drops.thrown)
        dropped = joined.thrown.notnull()
    joined = joined.mutate(took=joined.claimed.fill_null(dropped))
    taken: ir.Value = ibis.null("float64")
    if store.has("order_discounts", "coupon_id"):
        discounts = store.table("order_discounts").filter(lambda rows: rows.coupon_id.notnull())
        off = discounts.group_by(of=discounts.coupon_id, on=discounts.order_id).aggregate(
            taken=discounts.amount.cast(WIDE).sum().cast("float64")
        )
        joined = joined.left_join(off, (joined.coupon_id == off.of) & (joined.redeemed_order_id == off.on))
        taken = joined.taken
    return store.run(joined.select(
        "coupon_id", "customer_id", "shop_id", "start", "end", "face", "rate", "threshold",
        granted=whole_seconds(joined.granted_at), chance=joined.propensity.cast("float64"),
        order_id=joined.redeemed_order_id, taken=taken, claimed=joined.took,
    ).order_by("coupon_id", "customer_id"))  # fmt: skip


def known_by_use(grants: pa.Table, whose: Ints) -> tuple[Bools, tuple[int, int]]:
    """Find the marketplace's coupons of which only those who used one are known: to have had one is to have ordered.

    Where the chances were written down, or more than a few are known to have let theirs lapse, holders are known.

    Returns:
        Which grants are of these; how many such coupons there are, and how many holders of them.
    """
    some = np.flatnonzero(_marketwide(grants) & (whose >= 0))
    spans, of = _spans(grants.take(some))
    people = int(whose.max(initial=0)) + 1
    pairs, place = np.unique(of * people + whose[some], return_inverse=True)
    used = np.bincount(place, np.asarray(pc.is_valid(grants["order_id"]))[some], len(pairs)) > 0
    holders = np.bincount(pairs // people, minlength=len(spans))
    users = np.bincount(pairs // people, used, len(spans))
    written = np.bincount(of, np.isfinite(floats(grants, "chance"))[some], len(spans)) > 0
    only = (holders >= HANDFUL) & (users >= BY_USE * holders) & ~written
    silent = np.zeros(len(grants), bool)
    silent[some] = only[of]
    return silent, (int(only.sum()), int(holders[only].sum()))


def issues_of(store: Store, grants: pa.Table, ids: pa.Array, moment: datetime, now: int, by_use: int) -> Issues:
    """Gather the marketplace's coupons of the same days; those that customers took themselves teach nothing."""
    every = grants.filter(pa.array(_marketwide(grants)))
    mine, claimed = _given_out(every)
    given_out = pc.count_distinct(mine["coupon_id"]).as_py()
    if mine["chance"].null_count < len(mine):
        mine = mine.filter(pc.is_valid(mine["chance"]))
    unwritten = given_out - pc.count_distinct(mine["coupon_id"]).as_py()
    spans, of = _spans(mine)
    whose = numbers(mine["customer_id"], ids)
    people = np.unique(np.stack([of, whose], axis=1)[whose >= 0], axis=0)[:, 0]
    large = np.bincount(people, minlength=len(spans)) >= FEWEST_GRANTS
    spans, place = spans[large], np.where(large, np.cumsum(large) - 1, -1)[of]
    if not len(spans):
        raise MissingDataError(
            "No coupon of the whole marketplace was given by the end of the period"
            + ", but for those of which only who used one is known" * (by_use > 0)
            + ", but for those that customers took themselves" * (claimed > 0),
            got=store.provenance.source,
            do="give one to half of some customers by lot for a week",
        )  # fmt: skip
    shape = (len(ids), len(spans))
    real = (whose >= 0) & (place >= 0)
    who, which = whose[real], place[real]
    given, used = np.zeros(shape, bool), np.zeros(shape, bool)
    given[who, which] = True
    redeemed = np.asarray(pc.is_valid(mine["order_id"]))[real]
    used[who[redeemed], which[redeemed]] = True
    recorded = np.full(shape, np.nan)
    recorded[who, which] = floats(mine, "chance")[real]
    face, threshold, told = _terms(mine.filter(pa.array(real)), which, len(spans))
    cost, untold = _cost(mine.filter(pa.array(real)), which, len(spans))
    lot, chance = _lots(store, ids, spans[:, 0], given, moment)
    names = tuple(f"{int(start)}" for start in spans[:, 0])
    return Issues(
        names, spans[:, 0].astype(np.int64), np.minimum(spans[:, 1], now + 10**9).astype(np.int64) + 1, face, threshold,
        told, given, used, cost, untold, recorded, lot, chance, unwritten, claimed,
    )  # fmt: skip


def _given_out(grants: pa.Table) -> tuple[pa.Table, int]:
    """Return the grants of coupons that were given, and how many coupons most of whose holders took them themselves.

    Who takes a coupon is about to order, whether or not it does anything.
    """
    took = pc.and_(grants["claimed"], pc.is_null(grants["chance"]))
    counted = grants.append_column("took", took).group_by("coupon_id").aggregate([("took", "mean")])
    taken = counted.filter(pc.greater(counted["took_mean"], 0.5))["coupon_id"]
    return grants.filter(pc.invert(pc.is_in(grants["coupon_id"], value_set=taken))), len(taken)


def _marketwide(grants: pa.Table) -> Bools:
    """Which grants are of coupons of the whole marketplace that name their days."""
    dated = pc.and_(pc.is_valid(grants["start"]), pc.is_valid(grants["end"]))
    return np.asarray(pc.and_(pc.is_null(grants["shop_id"]), dated), bool)


def _spans(grants: pa.Table) -> tuple[Array, Ints]:
    """First and last second [spans, 2] of coupons, those of the same days once, and the span of each grant."""
    key = np.stack([floats(grants, "start"), floats(grants, "end")], axis=1)
    spans, of = np.unique(key, axis=0, return_inverse=True)
    return spans, of.ravel()


def _terms(mine: pa.Table, which: Ints, count: int) -> tuple[Array, Array, Bools]:
    """Face value and threshold of each issue, and whether coupons name them or only their use shows them."""
    face, taken = floats(mine, "face"), floats(mine, "taken")
    told = np.isfinite(face)
    weight = np.bincount(which[told], minlength=count)
    mean = np.bincount(which[told], face[told], count) / np.maximum(weight, 1)
    least = np.nan_to_num(floats(mine, "threshold"))
    threshold = np.bincount(which, least, count) / np.maximum(np.bincount(which, minlength=count), 1)
    known = weight > 0
    orders = pc.count_distinct(mine["order_id"].filter(pa.array(np.isfinite(taken)))).as_py()
    return np.where(known, mean, np.nansum(taken) / max(orders, 1)), threshold, known


def _cost(mine: pa.Table, which: Ints, count: int) -> tuple[Array, Ints]:
    """What was taken off by coupons of each issue, and how many uses tell neither that nor a face value."""
    taken = floats(mine, "taken")
    each = np.where(np.isfinite(taken), taken, floats(mine, "face"))
    used, told = np.asarray(pc.is_valid(mine["order_id"])), np.isfinite(each)
    cost = np.bincount(which[used & told], each[used & told], count)
    return np.asarray(cost, float), np.bincount(which[used & ~told], minlength=count).astype(np.int64)


def _lots(store: Store, ids: pa.Array, start: Array, given: Bools, moment: datetime) -> tuple[Bools, Array]:
    """Whose coupon was drawn by lot, and with which chance: experiments whose one arm has the coupon and no other."""
    lot, chance = np.zeros(given.shape, bool), np.full(given.shape, np.nan)
    if not store.has("assignments", "propensity"):
        return lot, chance
    table = store.table("assignments")
    rows = store.run(
        table.filter((table.unit_kind == "customer") & (table.assigned_at < ibis.literal(moment)))
        .select("experiment_id", "unit_id", "arm", "propensity", at=whole_seconds(table.assigned_at))
        .order_by("experiment_id", "unit_id")
    )  # fmt: skip
    whose = numbers(rows["unit_id"], ids)
    names = rows["experiment_id"].dictionary_encode().combine_chunks()
    arms = rows["arm"].dictionary_encode().combine_chunks()
    number, arm = np.asarray(names.indices), np.asarray(arms.indices)
    at, odds = rows["at"].to_numpy().astype(float), rows["propensity"].to_numpy().astype(float)
    order = np.argsort(number, kind="stable")
    for some in np.split(order, np.flatnonzero(np.diff(number[order])) + 1):
        mine = some[whose[some] >= 0]
        if not len(mine):
            continue
        for issue in np.flatnonzero(np.abs(start - np.median(at[mine])) <= DAY):
            has = given[whose[mine], issue]
            rates = {a: has[arm[mine] == a].mean() for a in np.unique(arm[mine])}
            treated = [a for a, rate in rates.items() if rate >= LOT]
            if len(treated) == 1 and all(rate <= 1 - LOT for a, rate in rates.items() if a != treated[0]):
                lot[whose[mine], issue] = True
                in_arm = arm[mine] == treated[0]
                chance[whose[mine], issue] = np.where(in_arm, odds[mine], 1 - odds[mine])
    return lot, chance


def numbers(names: pa.ChunkedArray, ids: pa.Array) -> Ints:
    """The number of each name among the ids, -1 where it is none of them."""
    return np.asarray(pc.fill_null(pc.index_in(names, value_set=ids), -1), np.int64)


def floats(table: pa.Table, name: str) -> Array:
    """A column as numbers, NaN where there is none."""
    return np.asarray(table[name].to_numpy(), float)
