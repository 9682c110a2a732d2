"""Cohorts: how customers who first bought in a month come back."""

from __future__ import annotations

from datetime import date, timedelta

from tradewind import charts
from tradewind.engines.store import Store
from tradewind.measures import metrics as m
from tradewind.measures.query import Query, lights_up
from tradewind.money import human
from tradewind.period import Period
from tradewind.study import Evidence, Finding

COHORTS = 12


def cohorts(store: Store, seen: Period) -> Finding | None:
    """Tell how many customers of each month come back in the months after, up to the last day seen."""
    first = _months_back(seen.last, COHORTS - 1)
    start = max(store.span.first, first)
    window = Period(start, seen.last)
    if not lights_up(m.BUYERS, store, ("cohort",)) or window.days < 60:
        return None
    table = store.metrics(Query((m.BUYERS,), window, ("cohort",), every="month")).to_pylist()
    sizes = {(row["cohort"], row["month"]): row["buyers"] for row in table if row["cohort"]}
    months = [_months_back(start, -n) for n in range(COHORTS) if _months_back(start, -n) <= seen.last]
    grown = [c for c in sorted({c for c, _ in sizes}) if c >= start.replace(day=1) and sizes.get((c, c), 0) >= 10]
    if len(grown) < 2:
        return None
    cells, came = [], []
    for cohort in grown:
        later = [month for month in months if month > cohort]
        row = [sizes.get((cohort, month), 0) / sizes[cohort, cohort] for month in later]
        if later and _months_back(later[0], -1) <= seen.last + timedelta(days=1):
            came.append((sizes.get((cohort, later[0]), 0), sizes[cohort, cohort]))
        cells.append([*row, *([None] * (len(months) - 1 - len(row)))])
    if not came:
        return None
    back = sum(a for a, _ in came) / sum(b for _, b in came)
    sentence = f"Of customers who first bought in a month, {human(back, 'share')} bought again in the month after."
    chart = charts.heatmap(
        [f"{c:%b %Y} ({sizes[c, c]:,})" for c in grown], [str(n) for n in range(1, len(months))], cells,
        titles=("First order (customers)", "Months later"),
    )  # fmt: skip
    note = (
        "Counted by calendar month. Customers who first bought before the data began seem new in its first month; "
        "the last month is complete only where the data reaches its end, and the sentence "
        "counts complete months only."
    )
    return Finding("cohorts", sentence, Evidence.MEASURED, {"back_next_month": back}, None, chart, note, 30.0)


def _months_back(day: date, months: int) -> date:
    """Return the first day of the month so many months before a day's."""
    index = day.year * 12 + day.month - 1 - months
    return date(index // 12, index % 12 + 1, 1)
