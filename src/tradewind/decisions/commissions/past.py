"""The past of contracts: who was paid what for which product, and what creators and sellers showed, week by week."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradewind.decisions.commissions.gifts import PIECES
from tradewind.decisions.commissions.unsigned import unsigned
from tradewind.engines.store import Store
from tradewind.errors import MissingDataError
from tradewind.measures import metrics as m
from tradewind.measures.metric import Metric
from tradewind.measures.query import Query
from tradewind.methods.silence import silent
from tradewind.period import Period

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
Where = Mapping[str, tuple[str | None, ...]]

WEEK = 7
WEEKS = 26  # weeks of history that are looked at
TIERS = ("small", "middle", "large", "unknown")
MIDDLE, LARGE = 1 / 3, 0.9  # shares of creators with a contract, by followers, at which tiers begin
COMMON = 0.01  # share of a place's exposure that sellers and creators must each have to be compared there

MOMENT = 1e-4  # days: what ends with the last day, or at the midnight after, holds no more
SILENT = 0.01  # chance below which who or what was not shown lately is taken to be gone


@dataclass(frozen=True)
class Rows:
    """Lines week by week; a line is a product with a creator; arrays are [n].

    Args:
        line: Number of the line.
        week: Number of the week, from 0, the oldest.
        rate: Mean rate of the contracts that held.
        held: Contract-weeks that held: 1 for one contract all week.
        shown: Times that the creator showed the product, where sellers show theirs in the same way.
    """

    line: Codes
    week: Codes
    rate: Array
    held: Array
    shown: Array


@dataclass(frozen=True)
class Past:
    """Contracts, exposure and sales through creators up to a day.

    Args:
        creators: Ids of the creators who have contracts; an empty one for all others, where these are at work.
        tier: [creators] number of the tier, an index into `TIERS`.
        product: [lines] number of each line's product.
        creator: [lines] number of each line's creator.
        rows: Lines week by week.
        unsigned: [lines] whether no contract of the line is known, whose rate is that which orders paid; those of
            creators without any contract are one line of each product.
        rate: [lines] mean rate that holds when the last day is over; not a number where no contract holds.
        share: [lines] the platform's share of that commission.
        contracts: [lines] number of contracts that hold then.
        ends: [lines] days from the last day's end until none of these holds; infinite where no end is told.
        own: [products, weeks] times that sellers showed the product where creators show theirs in the same way.
        seen: [products, weeks] exposure where creators are at work, rooms aside; places weighted by what they sell.
        elsewhere: [products, weeks] exposure in all other places.
        bought: [products, weeks] pieces sold in all other places, rooms aside.
        clicked: [products, 2] clicks and exposure, of all weeks and places.
        sold: [products, 2, 2] by sellers and by creators: pieces and exposure where both show products alike.
        pieces: [products, 2] pieces sold where creators are at work and elsewhere, rooms aside, in all weeks.
        gmv: [lines] GMV through the line in the base period, rooms counted.
        through: [products, 3] through creators, rooms counted: pieces and exposure of all weeks, exposure of the base.
        base: Number of days of the base period.
        idle: Number of contracts that stand on paper only, and are taken to have ended.
        nobodys: Number of contracts that name no creator, such as open plans, and are left out.
        doubled: Number of lines with two contracts at once that pay different rates, of which one counts.
    """

    creators: tuple[str, ...]
    tier: Codes
    product: Codes
    creator: Codes
    unsigned: NDArray[np.bool_]
    rows: Rows
    rate: Array
    share: Array
    contracts: Codes
    ends: Array
    own: Array
    seen: Array
    elsewhere: Array
    bought: Array
    clicked: Array
    sold: Array
    pieces: Array
    gmv: Array
    through: Array
    base: int
    idle: int
    nobodys: int
    doubled: int

    @property
    def weeks(self) -> int:
        """Number of weeks."""
        return int(self.own.shape[1])


def past(store: Store, ids: Sequence[str], period: Period) -> Past:
    """Return what contracts did up to the end of a period.

    Args:
        store: The store, as the caller may see it.
        ids: Ids of the products, in rising order.
        period: The days whose demand is the base of what is to come.

    Raises:
        MissingDataError: If no contract names product, creator and rate, or no exposure is told by creator.
    """
    return _Reader(store, ids, period).read()


def weeks_until(store: Store, last: date) -> tuple[Period, ...]:
    """Return the whole weeks that end on a day, the oldest first: at most 26, and none before the data."""
    count = min(WEEKS, max(1, ((last - store.span.first).days + 1) // WEEK))
    return tuple(
        Period(last - timedelta(days=WEEK * n - 1), last - timedelta(days=WEEK * (n - 1))) for n in range(count, 0, -1)
    )


class _Reader:
    """Reads the past of contracts out of a store."""

    def __init__(self, store: Store, ids: Sequence[str], period: Period):
        self.store, self.period = store, period
        self.weeks = weeks_until(store, period.last)
        self.window = Period(self.weeks[0].first, period.last)
        self.product = {name: n for n, name in enumerate(ids)}

    def read(self) -> Past:
        contracts = self._contracts()
        names = sorted(set(contracts["creator_id"]))
        number = {name: n for n, name in enumerate(names)}
        product = np.array([self.product[name] for name in contracts["product_id"]], np.int64)
        creator = np.array([number[name] for name in contracts["creator_id"]], np.int64)
        keys, line = np.unique(product * len(names) + creator, return_inverse=True)
        of, by = keys // len(names), keys % len(names)
        line_of = {(int(p), int(c)): n for n, (p, c) in enumerate(zip(of, by, strict=True))}
        begins = contracts["begins"]
        ends = self._lasting(contracts)
        rate, share = np.array(contracts["rate"], float), np.array(contracts["platform_share"], float)
        same, places = self._places()
        affiliate: Where = {"relation": ("affiliate",), **same}
        shown, every = self._shown(affiliate, number)
        now = (begins < 0) & (ends > MOMENT)
        held = np.bincount(line[now], minlength=len(keys))
        until = np.full(len(keys), -np.inf)
        np.maximum.at(until, line[now], ends[now])
        mean = [
            np.divide(np.bincount(line[now], v[now], len(keys)), held, out=np.full(len(keys), np.nan), where=held > 0)
            for v in (rate, share)
        ]
        pairs = list(zip(of.tolist(), by.tolist(), strict=True))
        weekly, pays = self._held(line, begins, ends, rate, len(keys))
        theirs = np.array([shown.get(pair, np.zeros(len(self.weeks))) for pair in pairs])
        paid = [
            {(self.product.get(p, -1), every.get(c, -1)): pays for (p, c), pays in self._paid(days).items()}
            for days in (self.period, self.window)
        ]
        rest = unsigned(shown, dict(zip(pairs, weekly, strict=True)), paid, float(rate.mean()), len(names), SILENT)
        more = len(rest.product)
        tiers = self._tiers(names)
        if (rest.creator == len(names)).any():
            names, tiers = [*names, ""], np.append(tiers, TIERS.index("unknown"))
        exposure = self._exposure(places)
        return Past(
            tuple(names), tiers, np.append(of, rest.product), np.append(by, rest.creator),
            np.arange(len(keys) + more) >= len(keys),
            _rows(
                np.append(weekly, rest.held, axis=0), np.append(pays, rest.held * rest.rate[:, None], axis=0),
                np.append(theirs, rest.shown, axis=0),
            ),
            np.append(mean[0], np.where(rest.now, rest.rate, np.nan)),
            np.append(mean[1], np.where(rest.now, 0.0, np.nan)),
            np.append(held, np.zeros(more, np.int64)), np.append(until, np.where(rest.now, np.inf, -np.inf)),
            self._by_week({"relation": ("own",), **same}), *exposure, self._bought(places),
            self._clicked(), self._sold(same), self._pieces(tuple(places)),
            self._through_lines(line_of, number, len(keys) + more), self._through(), self.period.days,
            int(((begins < 0) & (contracts["ends"] > MOMENT) & (ends <= MOMENT)).sum()),
            self._nobodys(), contracts["doubled"],
        )  # fmt: skip

    def _shown(self, where: Where, number: dict[str, int]) -> tuple[dict[tuple[int, int], Array], dict[str, int]]:
        """Times shown week by week, by product and creator; creators without a contract get the numbers beyond."""
        found = self._run((m.IMPRESSIONS,), ("product_id", "creator_id"), where, weekly=True)
        beyond = sorted({name for name in found["creator_id"] if name is not None} - set(number))
        every = number | {name: len(number) + n for n, name in enumerate(beyond)}
        shown: dict[tuple[int, int], Array] = {}
        for p, c, week, count in zip(
            found["product_id"], found["creator_id"], found["slot"], found["impressions"], strict=True
        ):
            pair = self.product.get(p, -1), every.get(c, -1)
            if min(pair) >= 0:
                shown.setdefault(pair, np.zeros(len(self.weeks)))[int(week)] += float(count)
        return shown, every

    def _contracts(self) -> dict[str, Any]:
        """Contracts that name product, creator and rate, with when they hold in days before the last one's end."""
        table = self.store.table("commissions")
        whole = table.filter(
            table.product_id.notnull(), table.creator_id.notnull(), table.rate.notnull(), table.accepted_at.notnull()
        )
        rows = self.store.run(
            whole.order_by("contract_id").select(
                "product_id", "creator_id", "rate", "platform_share", "accepted_at", "ends_at"
            )
        ).to_pydict()
        end = self.period.end(self.store.provenance.timezone)
        begins = np.array([(moment - end).total_seconds() / 86_400 for moment in rows["accepted_at"]])
        ends = np.array([
            np.inf if moment is None else (moment - end).total_seconds() / 86_400 + 1 / 86_400
            for moment in rows["ends_at"]
        ])  # fmt: skip
        kept = [
            n
            for n in np.flatnonzero((begins < 0) & (ends > -WEEK * len(self.weeks))).tolist()
            if rows["product_id"][n] in self.product
        ]
        if not kept:
            raise MissingDataError(
                "No contract names a product, a creator, a rate and when it was accepted",
                do="import contracts with these columns",
            )
        told: dict[str, Any] = {name: [rows[name][n] for n in kept] for name in ("product_id", "creator_id", "rate")}
        told["platform_share"] = [rows["platform_share"][n] or 0.0 for n in kept]
        # what is not known by the last day does not count: an end that lies ahead is told with the contract
        return {**told, **self._one_at_a_time(told, begins[kept], ends[kept])}

    def _one_at_a_time(self, told: Mapping[str, Any], begins: Array, ends: Array) -> dict[str, Any]:
        """When contracts hold if one of a line holds at a time: where two do, that whose rate orders were paid.

        Where no order tells, the higher one. Of the other what is left after it counts, else what came before it.
        """
        of: dict[tuple[str, str], list[int]] = {}
        for n, pair in enumerate(zip(told["product_id"], told["creator_id"], strict=True)):
            of.setdefault(pair, []).append(n)
        rate, doubled = np.array(told["rate"], float), 0
        paid = self._paid() if any(len(each) > 1 for each in of.values()) else {}
        for pair, each in of.items():
            usual = paid.get(pair, np.inf)
            each.sort(key=lambda n: (abs(rate[n] - usual) if np.isfinite(usual) else -rate[n], n))
            beside = False
            for place, n in enumerate(each):
                for first in each[:place]:
                    if rate[first] == rate[n] or min(ends[n], ends[first]) - max(begins[n], begins[first]) <= MOMENT:
                        continue
                    beside = True
                    if ends[n] > ends[first] + MOMENT:
                        begins[n] = ends[first]
                    else:
                        ends[n] = min(ends[n], max(begins[n], begins[first]))
            doubled += beside
        return {"begins": begins, "ends": ends, "doubled": doubled}

    def _paid(self, days: Period | None = None) -> dict[tuple[str, str], float]:
        """Commission over GMV of each product with each creator."""
        if not self.store.has("order_lines", "commission"):
            return {}
        query = Query(
            (m.COMMISSION, m.GMV), days or self.window, by=("product_id", "creator_id"),
            where={"relation": ("affiliate",)},
        )  # fmt: skip
        found = self.store.metrics(query).to_pydict()
        rows = zip(found["product_id"], found["creator_id"], found["commission"], found["gmv"], strict=True)
        return {(p, c): float(fee) / float(gmv) for p, c, fee, gmv in rows if c is not None and fee and gmv}

    def _nobodys(self) -> int:
        """Number of contracts that hold on the last day and name no creator."""
        end, table = self.period.end(self.store.provenance.timezone), self.store.table("commissions")
        holds = (table.accepted_at < end) & (table.ends_at.isnull() | (table.ends_at >= end))
        rows = table.filter(table.creator_id.isnull() & table.rate.notnull() & holds)
        return int(self.store.run(rows.select("contract_id")).num_rows)

    def _lasting(self, contracts: Mapping[str, Any]) -> Array:
        """Return when contracts end: those whose creator or product fell silent, then; those of no listing, now."""
        begins, ends = contracts["begins"], contracts["ends"]
        last = -WEEK * np.arange(len(self.weeks) - 1, -1, -1)
        during = (begins[:, None] < last) & (ends[:, None] > last - WEEK)
        for key, where in (("creator_id", {"relation": ("affiliate",)}), ("product_id", {})):
            of = np.unique(contracts[key], return_inverse=True)
            place = {name: n for n, name in enumerate(of[0].tolist())}
            seen = np.zeros((len(place), len(self.weeks)), bool)
            told = np.zeros(len(self.weeks), bool)  # weeks without any traffic say nothing
            found = self._run((m.IMPRESSIONS,), (key,), where, weekly=True)
            for name, week, count in zip(found[key], found["slot"], found["impressions"], strict=True):
                told[int(week)] |= count > 0
                if name in place:
                    seen[place[name], int(week)] = count > 0
            possible = np.zeros(seen.shape, bool)
            np.logical_or.at(possible, of[1], during)
            since = WEEK * silent(seen, possible & told, SILENT)[of[1]]
            ends = np.where(since > 0, np.minimum(ends, -since), ends)
        unlisted = self._unlisted()
        off = np.array([name in unlisted for name in contracts["product_id"]])
        return np.asarray(np.where(off, np.minimum(ends, -1e-9), ends), float)

    def _unlisted(self) -> frozenset[str]:
        """Products of which listings are told, none of which stands on the last day."""
        if not self.store.has("product_history"):
            return frozenset()
        history, end = self.store.table("product_history"), self.period.end(self.store.provenance.timezone)
        begun = history.filter(history.valid_from < end)
        stands = (begun.valid_to.isnull() | (begun.valid_to >= end)) & begun.active.fill_null(True)
        rows = self.store.run(begun.group_by("product_id").aggregate(stands=stands.any())).to_pydict()
        return frozenset(name for name, on in zip(rows["product_id"], rows["stands"], strict=True) if not on)

    def _places(self) -> tuple[dict[str, tuple[str | None, ...]], dict[str | None, float]]:
        """Where sellers and creators show products alike, and the surfaces where creators are at work.

        Surfaces come with the pieces that a time shown sells there, relative to all of them.
        """
        found = self._run((m.IMPRESSIONS,), ("surface", "form", "relation"), {"form": _NO_ROOM})
        by: dict[tuple[str | None, str | None], dict[str, float]] = {}
        rows = zip(found["surface"], found["form"], found["relation"], found["impressions"], strict=True)
        for surface, form, relation, count in rows:
            cell = by.setdefault((surface, form), {})
            cell[relation or "own"] = cell.get(relation or "own", 0.0) + float(count)
        total = sum(cell.get("affiliate", 0.0) for cell in by.values())
        if not total > 0:
            raise MissingDataError("No exposure is told by creator", do="import traffic with its relation and creator")
        alike = [
            place for place, cell in by.items()
            if min(cell.get("affiliate", 0.0), cell.get("own", 0.0)) > COMMON * sum(cell.values())
        ]  # fmt: skip
        if not alike:
            raise MissingDataError(
                "Creators show products nowhere beside their sellers, so that effort cannot be compared",
                do="import the traffic of sellers' own videos too",
            )
        at_work = sorted({surface for (surface, _), cell in by.items() if cell.get("affiliate", 0) > COMMON * total},
                         key=str)  # fmt: skip
        sold = self._run((PIECES,), ("surface",), {"form": _NO_ROOM})
        pieces = {surface: float(count) for surface, count in zip(sold["surface"], sold[PIECES.name], strict=True)}
        shown = {s: sum(sum(cell.values()) for (at, _), cell in by.items() if at == s) for s in at_work}
        usual = sum(pieces.get(s, 0.0) for s in at_work) / max(sum(shown.values()), 1.0)
        weight = {s: pieces.get(s, 0.0) / max(shown[s], 1.0) / usual if usual > 0 else 1.0 for s in at_work}
        same: dict[str, tuple[str | None, ...]] = {
            "surface": tuple(sorted({s for s, _ in alike}, key=str)),
            "form": tuple(sorted({f for _, f in alike}, key=str)),
        }  # fmt: skip
        return same, weight

    def _held(self, line: Codes, begins: Array, ends: Array, rate: Array, lines: int) -> tuple[Array, Array]:
        """Contract-weeks that held, and these times their rates: [lines, weeks] each."""
        weeks = len(self.weeks)
        held, pays = np.zeros((lines, weeks)), np.zeros((lines, weeks))
        for week in range(weeks):
            last = -WEEK * (weeks - 1 - week)
            days = np.clip(np.minimum(ends, last) - np.maximum(begins, last - WEEK), 0.0, None) / WEEK
            held[:, week] = np.bincount(line, days, lines)
            pays[:, week] = np.bincount(line, days * rate, lines)
        return held, pays

    def _exposure(self, places: Mapping[str | None, float]) -> tuple[Array, Array]:
        """Exposure where creators are at work and elsewhere: [products, weeks] each."""
        found = self._run((m.IMPRESSIONS,), ("product_id", "surface"), {"form": _NO_ROOM}, weekly=True)
        at = np.array([self.product.get(name, -1) for name in found["product_id"]], np.int64)
        week, count = np.array(found["slot"], np.int64), np.array(found["impressions"], float)
        weight = np.array([places.get(name, 0.0) for name in found["surface"]])
        inside = np.array([name in places for name in found["surface"]], bool)
        out = []
        for chosen, values in ((inside, count * weight), (~inside, count)):
            table = np.zeros((len(self.product), len(self.weeks)))
            mine = chosen & (at >= 0)
            np.add.at(table, (at[mine], week[mine]), values[mine])
            out.append(table)
        return out[0], out[1]

    def _bought(self, places: Mapping[str | None, float]) -> Array:
        """Pieces sold where creators are not at work, rooms aside: [products, weeks]."""
        found = self._run((PIECES,), ("product_id", "surface"), {"form": _NO_ROOM}, weekly=True)
        out = np.zeros((len(self.product), len(self.weeks)))
        for name, surface, week, count in zip(
            found["product_id"], found["surface"], found["slot"], found[PIECES.name], strict=True
        ):
            if surface not in places and name in self.product:
                out[self.product[name], int(week)] += float(count)
        return out

    def _clicked(self) -> Array:
        told = (m.CLICKS, m.IMPRESSIONS) if self.store.has("traffic", "clicks") else (m.IMPRESSIONS,)
        columns = [self._column(metric, self.window, {"form": _NO_ROOM}) for metric in told]
        return np.stack(columns if len(columns) > 1 else [np.zeros(len(self.product)), *columns], axis=1)

    def _pieces(self, places: tuple[str | None, ...]) -> Array:
        there = self._column(PIECES, self.window, {"surface": places, "form": _NO_ROOM})
        return np.stack([there, self._column(PIECES, self.window, {"form": _NO_ROOM}) - there], axis=1)

    def _sold(self, same: Where) -> Array:
        return np.stack(
            [
                np.stack([self._column(metric, self.window, {"relation": (who,), **same})
                          for metric in (PIECES, m.IMPRESSIONS)], axis=1)
                for who in ("own", "affiliate")
            ],
            axis=1,
        )  # fmt: skip

    def _through(self) -> Array:
        by: Where = {"relation": ("affiliate",)}
        asked = ((PIECES, self.window), (m.IMPRESSIONS, self.window), (m.IMPRESSIONS, self.period))
        return np.stack([self._column(metric, days, by) for metric, days in asked], axis=1)

    def _through_lines(self, line_of: Mapping[tuple[int, int], int], number: Mapping[str, int], lines: int) -> Array:
        query = Query((m.GMV,), self.period, by=("product_id", "creator_id"), where={"relation": ("affiliate",)})
        found = self.store.metrics(query).to_pydict()
        out = np.zeros(lines)
        for p, c, gmv in zip(found["product_id"], found["creator_id"], found["gmv"], strict=True):
            at = line_of.get((self.product.get(p, -1), number.get(c, -1)))
            if at is not None:
                out[at] += float(gmv)
        return out

    def _by_week(self, where: Where) -> Array:
        found = self._run((m.IMPRESSIONS,), ("product_id",), where, weekly=True)
        out = np.zeros((len(self.product), len(self.weeks)))
        for name, week, count in zip(found["product_id"], found["slot"], found["impressions"], strict=True):
            if name in self.product:
                out[self.product[name], int(week)] += float(count)
        return out

    def _column(self, metric: Metric, days: Period, where: Where) -> Array:
        found = self.store.metrics(Query((metric,), days, by=("product_id",), where=where)).to_pydict()
        out = np.zeros(len(self.product))
        for name, value in zip(found["product_id"], found[metric.name], strict=True):
            if name in self.product:
                out[self.product[name]] = float(value)
        return out

    def _run(
        self, metrics: tuple[Metric, ...], by: tuple[str, ...], where: Where, weekly: bool = False
    ) -> dict[str, list[Any]]:
        slots = self.weeks if weekly else ()
        found: dict[str, list[Any]] = self.store.metrics(
            Query(metrics, self.window, by=by, where=where, slots=slots)
        ).to_pydict()
        return found

    def _tiers(self, names: Sequence[str]) -> Codes:
        """Tiers of creators by their followers on the last day."""
        if not self.store.has("creator_history", "followers"):
            return np.full(len(names), TIERS.index("unknown"))
        history = self.store.table("creator_history")
        rows = self.store.run(
            history.filter(history.valid_from < self.period.end(self.store.provenance.timezone))
            .select("creator_id", "valid_from", "followers")
            .order_by("valid_from")
        ).to_pydict()
        last = {c: f for c, f in zip(rows["creator_id"], rows["followers"], strict=True) if f is not None}
        followers = np.array([float(last[name]) if name in last else np.nan for name in names])
        known = np.isfinite(followers)
        if not known.any():
            return np.full(len(names), TIERS.index("unknown"))
        edges = np.quantile(followers[known], (MIDDLE, LARGE))
        return np.where(known, np.searchsorted(edges, np.nan_to_num(followers), side="right"), TIERS.index("unknown"))


def _rows(held: Array, pays: Array, shown: Array) -> Rows:
    at, week = np.nonzero(held > 0.1)
    return Rows(at, week, pays[at, week] / held[at, week], held[at, week], shown[at, week])


_NO_ROOM: tuple[str | None, ...] = ("card", "video", None)

__all__ = ["TIERS", "Past", "Rows", "past", "weeks_until"]
