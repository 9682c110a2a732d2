"""What a store holds and what it can answer: tables, gaps, rejected rows, studies and metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import ibis

from tradewind.engines.store import Store
from tradewind.errors import MissingDataError
from tradewind.faces.studies import WINGS, Wing
from tradewind.measures.fact import WHOLE, WIDE
from tradewind.measures.metric import Metric
from tradewind.measures.metrics import ITEMS, METRICS
from tradewind.measures.query import Query, present
from tradewind.money import human, several
from tradewind.period import Period
from tradewind.sources import FileCount, Reason, TableCount
from tradewind.study import Provenance
from tradewind.tables import TABLES

Progress = Callable[[str], None]
BELOW_COST = 0.2
"""Share of order lines sold below cost from which on the costs are in doubt."""
PLACE = ("surface", "form", "relation")
AWAY = 0.2
"""Share of order lines from places without any traffic, from which on it is in doubt whether places are named alike."""


@dataclass(frozen=True)
class TableCheck:
    """What is in one canonical table.

    Args:
        name: Its name.
        rows: Number of rows.
        first: First day, where it has days.
        last: Last day.
        nulls: Share of rows that lack a value, from 0 to 1, by column that is filled for some rows only.
        empty: Columns that no row fills.
    """

    name: str
    rows: int
    first: date | None
    last: date | None
    nulls: Mapping[str, float]
    empty: tuple[str, ...]


@dataclass(frozen=True)
class StudyCheck:
    """Whether a study can be answered.

    Args:
        name: Name of its wing.
        title: What the reader sees.
        question: The question that it answers.
        ready: Whether the store has what it needs.
        missing: Tables, and columns of tables that are there (`traffic.surface`), that it needs and the store lacks.
        would_add: What each further table that the store lacks would add.
        why: Why it cannot be answered though nothing of that is missing, in words; empty otherwise.
    """

    name: str
    title: str
    question: str
    ready: bool
    missing: tuple[str, ...]
    would_add: Mapping[str, str]
    why: str = ""


@dataclass(frozen=True)
class MetricCheck:
    """Whether a metric is known.

    Args:
        name: Its name.
        title: What the reader sees.
        unit: Its unit.
        doc: What exactly is counted.
        known: Whether the store has what it needs.
        why: Why it is unknown, in a sentence; empty where it is known.
    """

    name: str
    title: str
    unit: str
    doc: str
    known: bool
    why: str


@dataclass(frozen=True)
class LastImport:
    """What the last import took and left out.

    Args:
        at: When it ran, UTC.
        tables: Counts by canonical table.
        files: Counts by file.
        reasons: Why rows were rejected, the most frequent first.
    """

    at: str
    tables: Mapping[str, TableCount]
    files: tuple[FileCount, ...]
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class Check:
    """What a store holds and what it can answer.

    Args:
        store: The store's folder.
        provenance: Where it came from.
        period: First to last day with an order line.
        tables: What is in each table that is filled.
        absent: Canonical tables that the source does not fill.
        days_without_sales: Days inside the period on which nothing was sold.
        doubts: What is there and looks wrong, each in a sentence that says what to do.
        imported: What the last import took and left out; None where the store was not made by one, or to a merchant.
        studies: Which studies light up.
        metrics: Which metrics are known.
    """

    store: str
    provenance: Provenance
    period: Period
    tables: tuple[TableCheck, ...]
    absent: tuple[str, ...]
    days_without_sales: tuple[date, ...]
    doubts: tuple[str, ...]
    imported: LastImport | None
    studies: tuple[StudyCheck, ...]
    metrics: tuple[MetricCheck, ...]


def check(store: Store, progress: Progress | None = None) -> Check:
    """Look through a store.

    Args:
        store: The store, as the caller may see it.
        progress: Told what is being looked at.
    """
    say = progress or (lambda _: None)
    say("Counting rows and gaps")
    filled = tuple(_table(store, name) for name in TABLES if store.has(name))
    say("Looking for days without sales")
    quiet = _quiet_days(store)
    say("Looking for what does not fit together")
    looks = (_cancelled, _below_cost, _elsewhere)
    doubts = tuple(said for look in looks if (said := look(store))) if store.has("order_lines") else ()
    say("Asking each study what it needs")
    return Check(
        str(store.folder),
        store.provenance,
        store.span,
        filled,
        tuple(name for name in TABLES if not store.has(name)),
        quiet,
        doubts,
        _imported(store.manifest.imported) if store.scope.everything else None,
        studies(store),
        metrics(store),
    )


def metrics(store: Store) -> tuple[MetricCheck, ...]:
    """Return, for every metric, whether the store knows it."""
    return tuple(_metric(store, metric) for metric in METRICS.values())


def studies(store: Store) -> tuple[StudyCheck, ...]:
    """Return, for every study, whether the store has what it needs."""
    return tuple(_study(store, wing) for wing in WINGS.values())


def _table(store: Store, name: str) -> TableCheck:
    found = store.counts(name)
    gaps = {column: 1 - filled / found.rows for column, filled in found.filled.items()}
    span = found.span
    return TableCheck(
        name,
        found.rows,
        span.first if span else None,
        span.last if span else None,
        {column: gap for column, gap in gaps.items() if 0 < gap < 1},
        tuple(column for column, gap in gaps.items() if gap == 1),
    )


def _quiet_days(store: Store) -> tuple[date, ...]:
    if not store.has("order_lines"):  # as a creator sees it
        return ()
    sold = store.metrics(Query((ITEMS,), store.span, every="day"))["day"].to_pylist()
    days = (store.span.first + timedelta(days=n) for n in range(store.span.days))
    return tuple(sorted(set(days) - set(sold)))


def _cancelled(store: Store) -> str:
    """Lines that were paid and cancelled, and of which nothing was given back: they count as sold."""
    if not store.has("order_status"):
        return ""
    line, steps = ["order_id", "line"], store.table("order_status")
    lines = store.table("order_lines").semi_join(steps.filter(steps.status == "paid"), line)
    kept = lines.semi_join(steps.filter(steps.status == "cancelled"), line)
    if store.has("refunds"):
        back = store.table("refunds")  # those that name no line are of all lines of their order
        kept = kept.anti_join(back, (kept.order_id == back.order_id) & (back.line.isnull() | (back.line == kept.line)))
    worth = (kept.unit_price.cast(WIDE) * kept.quantity.cast(WHOLE)).sum().cast("float64")
    [found] = store.run(kept.aggregate(count=kept.count(), worth=worth)).to_pylist()
    if not found["count"]:
        return ""
    sum_of = human(found["worth"], "money", store.provenance.currency)
    return (
        f"{several(found['count'], 'order line')} worth {sum_of} (before discounts) were paid and then cancelled, and "
        "nothing was refunded of them: they count as sold. If the money went back, import it as refunds."
    )


def _below_cost(store: Store) -> str:
    """Many pieces that cost more than they sell for: rather costs of whole lines, or in another currency."""
    if not store.has("order_lines", "unit_cost"):
        return ""
    lines = store.table("order_lines")
    below = (lines.unit_cost > lines.unit_price).mean()
    [found] = store.run(lines.filter(lines.unit_cost.notnull()).aggregate(below=below)).to_pylist()
    if found["below"] < BELOW_COST:
        return ""
    return (
        f"{human(found['below'], 'share')} of the order lines with a unit cost cost more than they sell for: see "
        "unit_cost is that of one piece and in the same currency as unit_price."
    )


def _elsewhere(store: Store) -> str:
    """Orders of places of which no traffic is told: what is sold for each time shown is told wrong then."""
    where = [name for name in PLACE if store.has("order_lines", name) and store.has("traffic", name)]
    if not where:
        return ""
    lines, traffic = (
        rows.select(**{name: rows[name].fill_null("") for name in where})
        for rows in (store.table("order_lines"), store.table("traffic"))
    )
    whole = lines.group_by(where).aggregate(count=lines.count())
    away = store.run(whole.anti_join(traffic.distinct(), where).order_by(ibis.desc("count"), *where)).to_pylist()
    total = store.run(whole.aggregate(total=whole["count"].sum())).to_pylist()[0]["total"]
    share = sum(row["count"] for row in away) / max(total or 0, 1)
    if share < AWAY:
        return ""
    first = ", ".join(f"{name} {away[0][name] or 'empty'}" for name in where)
    return (
        f"{human(share, 'share')} of the order lines came from places of which no traffic is told, most of them from "
        f"{first}: what sells for each time it is shown cannot be told there. Name places alike in traffic and orders."
    )


def _imported(remembered: Mapping[str, Any]) -> LastImport | None:
    if not {"at", "tables", "files", "reasons"} <= set(remembered):
        return None
    return LastImport(
        remembered["at"],
        {name: TableCount(**count) for name, count in remembered["tables"].items()},
        tuple(FileCount(**file) for file in remembered["files"]),
        tuple(Reason(**reason) for reason in remembered["reasons"]),
    )


def _study(store: Store, wing: Wing) -> StudyCheck:
    answerer = wing.load()
    lacks = [name for name in answerer.needs if not store.has(*name.split(".", 1))]
    missing = tuple(name for name in lacks if name.partition(".")[0] not in lacks or "." not in name)
    would_add = {name: gain for name, gain in answerer.improved_by.items() if not store.has(*name.split(".", 1))}
    why = ""
    if not missing and answerer.require is not None:
        try:
            answerer.require(store)
        except MissingDataError as error:
            why = str(error)
    return StudyCheck(wing.name, wing.title, wing.question, not missing and not why, missing, would_add, why)


def _metric(store: Store, metric: Metric) -> MetricCheck:
    try:
        present(metric, store)
    except MissingDataError as error:
        return MetricCheck(metric.name, metric.title, metric.unit, metric.doc, False, _why(error))
    return MetricCheck(metric.name, metric.title, metric.unit, metric.doc, True, "")


def _why(error: MissingDataError) -> str:
    """Name what is missing: a table that is not there at all stands for its columns."""
    head, lacks, names = error.what.rpartition(" lacks ")
    lacking = names.split(", ")
    kept = [name for name in lacking if name.partition(".")[0] not in lacking or "." not in name]
    return f"The source lacks {', '.join(kept)}." if head and lacks else error.what + "."
