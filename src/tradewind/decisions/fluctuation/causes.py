"""Dated changes in the tables near the break, each with its share of the change and what that share rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import ibis
import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from tradewind.decisions.fluctuation.comparison import Comparison
from tradewind.decisions.fluctuation.silences import SHOWN, Silence, sold_out, unshown
from tradewind.engines.campaigns import campaign_days, marketplace_days, meets
from tradewind.engines.store import Store
from tradewind.measures.metric import Additive, Distinct, Metric
from tradewind.measures.metrics import BUYERS, GMV, GROSS_SALES, ITEMS, NEW_BUYERS, ORDERS, RETURNING_BUYERS
from tradewind.measures.query import Query, lights_up
from tradewind.methods.difference import FEWEST_GROUPS, Difference
from tradewind.money import human, several
from tradewind.period import Period
from tradewind.study import Estimate, Evidence

GROUPS = 256  # random groups of customers or products whose sums cross the engine's boundary
SHIFT = 0.2  # a campaign counts as a change where its share of the days, or theirs of its own, differs by at least this
WEEKS, FEWEST_WEEKS = 4, 2  # weeks before a short campaign that tell what its days would have been: at most, at least
LEVEL = 0.9  # probability with which the interval of what they brought is meant to hold the truth

FEWEST_DAYS = 3  # days with sales before there is a pace to speak of
SAME = 1e-3  # part of a price by which it may differ and count as the same
SILENCE = 3.0  # days of sales missing before silence means more than chance: exp(-3) is one in twenty

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Cause:
    """A dated change, and how much of the metric's change goes with it.

    Args:
        name: What happened, in the user's words.
        when: Since when, or in which days.
        amount: Its part of the change, in the metric's unit; None where the data cannot tell it apart.
        evidence: How the amount was earned.
        how: How it was computed, in a sentence.
        names: Which products or creators it counts, the largest first; empty where it counts something else.
        beyond: Whether it is more than chance would give, so that it is unusual whatever the whole did.
    """

    name: str
    when: str
    amount: float | Estimate | None
    evidence: Evidence
    how: str
    names: tuple[str, ...] = ()
    beyond: bool = False

    @property
    def size(self) -> float:
        """The amount without its interval; 0 where it is not known."""
        return self.amount.mid if isinstance(self.amount, Estimate) else self.amount or 0.0


def causes(store: Store, comparison: Comparison, seed: int) -> list[Cause]:
    """Return the dated changes between the periods, the largest amount first.

    Prices and what appeared or vanished are accounting: their amounts are counted. Campaigns and promotions are judged
    by those that they did not reach, so they are observational. Amounts overlap, since a product that appeared may be
    promoted as well; they need not add up to the change.
    """
    metric = comparison.metric
    if not isinstance(metric, Additive | Distinct):
        return []
    found = [*_products(store, comparison), *_prices(store, comparison), *_shops(store, comparison)]
    found += _promotions(store, comparison, seed) if store.has("promotions") else []
    found += _campaigns(store, comparison, seed) if store.has("campaigns") else []
    found += _stock_outs(store, comparison) if store.has("inventory") else []
    found += _unshown(store, comparison)
    return sorted(found, key=lambda cause: (not cause.beyond, -abs(cause.size)))


def _products(store: Store, comparison: Comparison) -> list[Cause]:
    """What appeared and what vanished."""
    metric = comparison.metric
    if not _adds_up(store, metric, ("product_id",)):
        return []
    leaves = comparison.leaves(store, (metric,), ("product_id",))
    old, new = leaves.before(metric.name), leaves.now(metric.name)
    once, since = (old == 0) | (new == 0), _since(comparison)
    fresh, gone = _lives(store, comparison, "product_id", leaves.attributes["product_id"])
    fresh, gone = once & fresh, once & gone & ~fresh
    test = "where chance would leave so long a silence in fewer than one of twenty cases at the product's own pace."
    found = [
        Cause(several(int(fresh.sum()), "new product"), since, float((new - old)[fresh].sum()), Evidence.MEASURED,
              f"Counted: products whose first order lies after the days compared with, {test}"),
        Cause(f"{several(int(gone.sum()), 'product')} that stopped selling", since, float((new - old)[gone].sum()),
              Evidence.MEASURED, f"Counted: products whose last order lies before the period, {test}"),
    ]  # fmt: skip
    return [cause for cause in found if cause.size]


def _prices(store: Store, comparison: Comparison) -> list[Cause]:
    """What changed its price: of a product each shop's by itself, since sales that move between shops change none."""
    metric = comparison.metric
    if metric not in (GMV, GROSS_SALES):
        return []
    keys = ("product_id", "shop_id") if _adds_up(store, metric, ("product_id", "shop_id")) else ("product_id",)
    leaves = comparison.leaves(store, (metric, ITEMS), keys)
    old, new = leaves.before(metric.name), leaves.now(metric.name)
    pieces_old, pieces_new = leaves.before(ITEMS.name), leaves.now(ITEMS.name)
    kept = (pieces_old > 0) & (pieces_new > 0)
    was, now = old[kept] / pieces_old[kept], new[kept] / pieces_new[kept]
    pieces = (pieces_old[kept] + pieces_new[kept]) / 2
    moved = np.abs(now - was) > SAME * np.maximum(np.abs(now), np.abs(was))
    if not moved.any():
        return []
    names = leaves.attributes["product_id"][kept]
    changed, products = len(np.unique(names[moved])), len(np.unique(names))
    paid = " after sellers' discounts" if metric is GMV else ""
    return [
        Cause(
            f"Prices that changed at {changed:,} of {several(products, 'product')} sold in both periods",
            _since(comparison), float(((now - was) * pieces)[moved].sum()), Evidence.MEASURED,
            f"Counted: change in price{paid} times mean pieces, over products that the same shop sold in both periods "
            "(Bennet's indicator). It says what the price change was worth at the pieces sold, not how demand "
            "answered.",
        )
    ]  # fmt: skip


def _lives(store: Store, comparison: Comparison, by: str, names: Any) -> tuple[Flags, Flags]:
    """Return which products or shops are new since the days compared with, and which stopped before the period.

    Silence tells something only of what sells often: at its pace between its first and last day of sales, three such
    days or more must be missing, which chance (Poisson) leaves out in fewer than one of twenty cases.
    """
    lines = store.table("order_lines")
    days = lines.group_by(by).aggregate(first=lines.day.min(), last=lines.day.max(), sold=lines.day.nunique())
    life = {row[by]: row for row in store.run(days).to_pylist()}
    fresh, gone = np.zeros(len(names), bool), np.zeros(len(names), bool)
    for n, row in enumerate(life.get(name) for name in names):
        if row is None or row["sold"] < FEWEST_DAYS:
            continue
        pace = (row["sold"] - 1) / max(1, (row["last"] - row["first"]).days)
        came, went = row["first"] > comparison.base.last, row["last"] < comparison.period.first
        fresh[n] = came and pace * (row["first"] - store.span.first).days >= SILENCE
        gone[n] = went and pace * (comparison.period.last - row["last"]).days >= SILENCE
    return fresh, gone


def _shops(store: Store, comparison: Comparison) -> list[Cause]:
    metric = comparison.metric
    if not _adds_up(store, metric, ("shop_id",)):
        return []
    leaves = comparison.leaves(store, (metric,), ("shop_id",))
    old, new = leaves.before(metric.name), leaves.now(metric.name)
    since = _since(comparison)
    once = (old == 0) | (new == 0)
    fresh, gone = _lives(store, comparison, "shop_id", leaves.attributes["shop_id"])
    fresh, gone = once & fresh, once & gone & ~fresh
    test = "where chance would leave so long a silence in fewer than one of twenty cases at the shop's own pace."
    found = [
        Cause(several(int(fresh.sum()), "new shop"), since, float((new - old)[fresh].sum()), Evidence.MEASURED,
              f"Counted: shops whose first order lies after the days compared with, {test}"),
        Cause(f"{several(int(gone.sum()), 'shop')} that stopped selling", since, float((new - old)[gone].sum()),
              Evidence.MEASURED, f"Counted: shops whose last order lies before the period, {test}"),
    ]  # fmt: skip
    return [cause for cause in found if cause.size]


def _promotions(store: Store, comparison: Comparison, seed: int) -> list[Cause]:
    """Products put on promotion in a shop, or taken off, against those whose promotion did not change."""
    metric = comparison.metric
    if not _adds_up(store, metric, ("product_id", "shop_id")):
        return []
    keys = ["product_id", "shop_id"]
    cells = _cells(store, comparison, keys)
    rows = store.table("promotions")
    for name, periods in (("was", comparison.bases), ("now", (comparison.period,))):
        on = ibis.or_(*(_overlaps(rows.starts_on, rows.ends_on, period) for period in periods))
        flags = rows.filter(on).select(*keys).distinct().mutate(**{name: True})
        cells = cells.left_join(flags, keys).drop(*(f"{key}_right" for key in keys))
    was, now = cells.was.fill_null(False), cells.now.fill_null(False)
    cells = cells.mutate(status=ibis.cases((now & ~was, "started"), (was & ~now, "ended"), else_="same"))
    sums = _grouped(store, cells, "product_id")
    return [
        cause
        for status, title in (("started", "Promotions that started"), ("ended", "Promotions that ended"))
        if (cause := _judged(sums, status, title, comparison.period.title, "products in shops", seed))
    ]


def _campaigns(store: Store, comparison: Comparison, seed: int) -> list[Cause]:
    """Campaigns that began or ended between the periods, by the customers or products that they addressed."""
    found = []
    for campaign in campaign_days(store, comparison.period.last):
        days = campaign["days"]
        now = _share(days, comparison.period)
        was = float(np.mean([_share(days, base) for base in comparison.bases]))
        is_short = abs(now - was) < SHIFT
        # a sale of one day is little of a month, and may be most of what moved it
        if is_short and abs(now - was) * comparison.period.days / days.days < SHIFT:
            continue
        verb = "ran" if now > was else "had ended"
        name = campaign["name"] or f"Campaign {campaign['campaign_id']}"
        title = f"{name} {verb}"
        sides = (comparison.period,) if now > was else comparison.bases
        cause = None
        if is_short:
            runs = [run for side in sides if (run := days.clipped(side)) is not None]
            cause = _short_campaign(store, comparison, title, campaign, runs)
        cause = cause or _campaign(store, comparison, campaign["campaign_id"], title, days.title, seed)
        found.append(cause or Cause(title, days.title, None, Evidence.OBSERVATIONAL,
                                    "The data cannot tell those that it reached from the rest; hold some customers "
                                    "out of the next one to learn what it is worth."))  # fmt: skip
    return found


def _short_campaign(
    store: Store, comparison: Comparison, title: str, campaign: Mapping[str, Any], runs: Sequence[Period]
) -> Cause | None:
    """Judge a campaign that is little of the periods by its own days, beside the same weekdays of weeks before.

    What else differs between two months would drown, or turn round, what a few days of them brought; and a sale of a
    day draws those whom it did not address as well, so that they are nobody to hold it against.
    """
    metric, days, shop = comparison.metric, campaign["days"], campaign["shop_id"]
    by = () if shop is None else ("shop_id",)
    if not _adds_up(store, metric, by):
        return None
    found = Estimate(0.0, 0.0, 0.0, LEVEL)
    others = marketplace_days(store, Period(store.span.first, comparison.period.last), 0)
    for run in runs:
        weeks = _weeks_before(store, days, run, others)
        if len(weeks) < FEWEST_WEEKS:
            return None
        table = store.metrics(Query((metric,), run, by, slots=(run, *weeks))).to_pylist()
        sold = dict.fromkeys((run, *weeks), 0.0)
        for row in table:
            if shop is None or row["shop_id"] == shop:
                sold[(run, *weeks)[row["slot"]]] += float(row[metric.name] or 0)
        before = np.array([sold[week] for week in weeks])
        wide = float(stdtrit(len(weeks) - 1, (1 + LEVEL) / 2) * before.std(ddof=1) * np.sqrt(1 + 1 / len(weeks)))
        gain = sold[run] - float(before.mean())
        found = Estimate(found.mid + gain, found.low + gain - wide, found.high + gain + wide, LEVEL)
    if runs[0].first not in comparison.period:
        found = found.scaled(-comparison.scale / len(comparison.bases))  # what it brought then is missing now
    whose = "all sales" if shop is None else "all sales of its shop"
    how = (
        f"Its own days beside the same weekdays of up to {WEEKS} weeks before without a sale of the marketplace, over "
        f"{whose}. Whatever else these days brought is in it, and what was bought sooner or later because of it is not "
        "taken off; a holdout would prove it."
    )
    return Cause(title, days.title, found, Evidence.OBSERVATIONAL, how)


def _weeks_before(store: Store, days: Period, run: Period, others: frozenset[date]) -> list[Period]:
    """Return the same weekdays as a campaign's run, before all its days and without other campaigns."""
    back = -(-((run.last - days.first).days + 1) // 7)  # weeks from which on its own days are behind
    apart, found = -(-run.days // 7), list[Period]()
    for n in range(2 * WEEKS):
        shift = timedelta(days=7 * (back + n * apart))
        week = Period(run.first - shift, run.last - shift)
        if week.clipped(store.span) == week and not meets(others, week.first, week.days) and len(found) < WEEKS:
            found.append(week)
    return found


def _campaign(store: Store, comparison: Comparison, campaign: str, title: str, when: str, seed: int) -> Cause | None:
    for table, unit in (("campaign_customers", "customer_id"), ("campaign_products", "product_id")):
        if not store.has(table) or not _adds_up(store, comparison.metric, (unit,)):
            continue
        rows = store.table(table)
        reached = rows.filter(rows.campaign_id == campaign).select(unit).distinct().mutate(reached=True)
        cells = _cells(store, comparison, [unit]).left_join(reached, [unit]).drop(f"{unit}_right")
        status = cells.reached.fill_null(False).ifelse("started", "same")
        sums = _grouped(store, cells.mutate(status=status), unit)
        if cause := _judged(sums, "started", title, when, f"{unit[:-3]}s", seed):
            return cause
    return None


def _cells(store: Store, comparison: Comparison, keys: list[str]) -> ibis.Table:
    """Return the metric by cell, `before` and `after`, as one expression."""
    slots = (comparison.period, *comparison.bases)
    cells = Query((comparison.metric,), comparison.period, tuple(keys), slots=slots).expression(store)
    value, zero = cells[comparison.metric.name].cast("float64"), ibis.literal(0.0)
    sides = cells.mutate(
        before=(cells.slot > 0).ifelse(value * (comparison.scale / len(comparison.bases)), zero),
        after=(cells.slot == 0).ifelse(value, zero),
    )
    return sides.group_by(keys).aggregate(before=sides.before.sum(), after=sides.after.sum())


def _grouped(store: Store, cells: ibis.Table, unit: str) -> Mapping[str, tuple[Floats, Floats]]:
    """Return before and after by status, summed over random groups of units: [groups] each."""
    known = cells.filter(cells[unit].notnull())
    digest = known[unit].cast("string").hexdigest("md5").substr(0, 2)
    sums = known.mutate(bucket=digest).group_by("status", "bucket")
    table = store.run(sums.aggregate(before=known.before.sum(), after=known.after.sum())).to_pydict()
    found: dict[str, tuple[Floats, Floats]] = {}
    for n, status in enumerate(table["status"]):
        before, after = found.setdefault(status, (np.zeros(GROUPS), np.zeros(GROUPS)))
        at = int(table["bucket"][n], 16)
        before[at], after[at] = table["before"][n], table["after"][n]
    return found


def _judged(
    sums: Mapping[str, tuple[Floats, Floats]], status: str, title: str, when: str, of: str, seed: int
) -> Cause | None:
    if status not in sums or "same" not in sums or sums["same"][0].sum() <= 0:
        return None
    reached, rest = sums[status], sums["same"]
    if (reached[0] + reached[1] > 0).sum() < FEWEST_GROUPS:
        return None
    effect = Difference(seed=seed)(*reached, *rest)
    how = (
        f"Difference in differences: the {of} reached against those not reached. Who is reached was chosen, not drawn, "
        "so other differences between them may hide in it; a holdout would prove it."
    )
    return Cause(title, when, effect, Evidence.OBSERVATIONAL, how)


def _stock_outs(store: Store, comparison: Comparison) -> list[Cause]:
    """Sales that product-days without stock would have brought at the product's own usual pace."""
    metric = comparison.metric
    if not _adds_up(store, metric, ("product_id", "shop_id")):
        return []
    keys = ["product_id", "shop_id"]
    rows = store.table("inventory")
    cells = _cells(store, comparison, keys)
    for name, periods in (("was", comparison.bases), ("now", (comparison.period,))):
        inside = ibis.or_(*(rows.day.between(period.first, period.last) for period in periods))
        out = rows.filter(inside & (rows.on_hand == 0)).group_by(keys).aggregate(**{name: ibis._.count()})
        cells = cells.left_join(out, keys).drop(*(f"{key}_right" for key in keys))
    length = comparison.period.days / comparison.base.days
    was, now = cells.was.fill_null(0) * length / len(comparison.bases), cells.now.fill_null(0)
    pace = cells.before / comparison.base.days
    hit = (cells.before > 0) & (now > 0)
    sold = cells.before > 0
    missed = store.run(
        cells.aggregate(missed=(pace * (now - was)).sum(where=sold), now=now.sum(where=sold), was=was.sum(where=sold))
    ).to_pylist()[0]
    lost = cells.filter(hit).group_by("product_id").aggregate(lost=(pace * now).sum())
    out = store.run(lost.order_by(ibis.desc("lost"), "product_id")).to_pydict()["product_id"]
    if not out:
        return []
    silence = sold_out(store, comparison)
    return [
        Cause(
            f"{several(int(missed['now']), 'product-day')} without stock at {several(len(out), 'product')}, "
            f"{round(missed['was']):,} in the days compared with",
            comparison.period.title, -float(missed["missed"]), Evidence.OBSERVATIONAL,
            "Days without stock, less those of the days compared with, at the product's pace in these; buyers who took "
            "another product instead are not counted back, so it is an upper bound.",
            tuple(out), bool(silence and _unusual(comparison, silence)),
        )
    ]  # fmt: skip


def _unshown(store: Store, comparison: Comparison) -> list[Cause]:
    """Products and creators that are usually shown, and were not shown once in the period."""
    found = []
    for dimension, who, which in (
        ("product_id", "product", "products with stock"), ("creator_id", "creator", "creators"),
    ):  # fmt: skip
        silence = unshown(store, comparison, dimension)
        if silence is None:
            continue
        cost = human(silence.usual, comparison.metric.unit, store.provenance.currency)
        found.append(
            Cause(
                f"{several(len(silence.names), who)} no longer shown", comparison.period.title, -silence.missed,
                Evidence.OBSERVATIONAL,
                f"Counted: {which} that are shown {SHOWN:.0f} times or more in a usual period and not once in this "
                "one, at their usual pace; buyers who took another product instead are not counted back, so it is an "
                f"upper bound. Such silence costs {cost} in an earlier period, on average.",
                silence.names, _unusual(comparison, silence),
            )
        )  # fmt: skip
    return found


def _unusual(comparison: Comparison, silence: Silence) -> bool:
    """Whether a silence is unusual by itself: beyond chance, large enough to matter, and felt by the metric."""
    return silence.beyond and comparison.weighs(silence.missed) and comparison.is_short(silence.missed)


def _since(comparison: Comparison) -> str:
    """Since when what differs between the periods may have: since the period where the days compared with end there."""
    before, first = comparison.base.last, comparison.period.first
    return f"since {first}" if before + timedelta(days=1) == first else f"after {before}"


def _adds_up(store: Store, metric: Metric, by: tuple[str, ...]) -> bool:
    """Whether parts by these dimensions sum to the whole; different orders and buyers do so by customer only."""
    by_customer = by == ("customer_id",) and metric in (ORDERS, BUYERS, NEW_BUYERS, RETURNING_BUYERS)
    return (isinstance(metric, Additive) or by_customer) and lights_up(metric, store, by)


def _overlaps(starts: Any, ends: Any, period: Period) -> Any:
    return (starts <= ibis.literal(period.last)) & (ends.isnull() | (ends >= ibis.literal(period.first)))


def _share(days: Period, period: Period) -> float:
    inside = days.clipped(period)
    return inside.days / period.days if inside else 0.0
