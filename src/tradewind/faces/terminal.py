"""Answers and errors on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, JustifyMethod, RenderableType, RenderResult
from rich.padding import Padding
from rich.panel import Panel
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from tradewind.errors import TradewindError
from tradewind.faces.check import Check, MetricCheck
from tradewind.faces.counting import Counted
from tradewind.faces.order import is_numeric, long_columns, number, ranked, ranked_column, told_apart
from tradewind.letters import legible
from tradewind.money import human, several
from tradewind.sources import FileCount, ImportReport, Reason, TableCount
from tradewind.study import Column, Evidence, Finding, Grid, Provenance, Study

GRADES = {
    Evidence.MEASURED: "green",
    Evidence.RANDOMISED: "green",
    Evidence.QUASI_EXPERIMENTAL: "cyan",
    Evidence.OBSERVATIONAL: "yellow",
    Evidence.BENCHMARK: "yellow",
    Evidence.ASSUMED: "magenta",
}
ROWS = 12
_BAR = 10
_ROOMY = 96
_GAP = 2
_WORD = 16


class Screen(Console):
    """A terminal that shows names from outside, and does not obey them."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Yield what is shown; only what the terminal itself was told may move its cursor."""
        for part in super().render(renderable, options):
            yield part if part.control else Segment(legible(part.text), part.style)


def failure(error: TradewindError) -> Panel:
    """Return an error as one panel: what, got, allowed, what to do."""
    lines = Table.grid(padding=(0, 2))
    lines.add_column(style="dim", no_wrap=True)
    lines.add_column(overflow="fold")
    for label, value in (("Got", error.got), ("Allowed", error.allowed), ("What to do", error.do)):
        if value is not None and value != "":
            lines.add_row(label, Text(str(value)))
    body: RenderableType = Text(error.what + ".", style="bold")
    if lines.row_count:
        body = Group(body, lines)
    return Panel(body, title=error.code.replace("_", " "), title_align="left", border_style="red")


def provenance(origin: Provenance) -> RenderableType:
    """Return where the numbers come from, to stand under every answer."""
    lines = Text(style="dim")
    if origin.shops:
        lines.append(f"Only {origin.shops}.\n", style="bold")
    lines.append(f"Source: {origin.source}; licence: {origin.licence}; in {origin.currency}, days in {origin.timezone}")
    lines.append("; the whole marketplace" if origin.whole_marketplace else "")
    lines.append(f"; snapshot {origin.snapshot}." if origin.snapshot else ".")
    if origin.notice:
        lines.append("\n" + origin.notice)
    if origin.simulated:
        lines.append("\nSimulated: these numbers describe no real business.", style="bold magenta")
    for assumption in origin.assumptions:
        lines.append(f"\nAssumed: {assumption}", style="magenta")
    return Padding(lines, (1, 0, 0, 0))


@dataclass(frozen=True)
class GridView:
    """A table with numbers as a person reads them: bars where there is room, long words below instead of in a column.

    Args:
        answer: The table.
        currency: ISO 4217 code, for money.
        limit: Most rows to show; None for all.
    """

    answer: Grid
    currency: str
    limit: int | None = ROWS

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay the table out for the width at hand."""
        long = long_columns(self.answer)
        columns = [column for column in self.answer.columns if column not in long]
        of_rank = ranked_column(self.answer)
        ranked = of_rank if options.max_width >= _ROOMY else None
        rows = self.answer.rows if self.limit is None else self.answer.rows[: self.limit]
        least = {column.name: self._least(column, rows) for column in columns}
        left_out: list[str] = []
        while len(columns) > 2 and sum(least[c.name] + _GAP for c in columns) > options.max_width:
            last = columns.pop(-2 if columns[-1] is of_rank else -1)
            left_out.insert(0, last.title)
        more = {column.name: self._widest(column, rows) - least[column.name] for column in columns}
        spare = options.max_width - (_BAR + _GAP if ranked in columns else 0) - sum(least[name] + _GAP for name in more)
        while sum(more.values()) > max(spare, 0):
            more[max(more, key=lambda name: more[name])] -= 1
        table = _table()
        for column in columns:
            justify: JustifyMethod = "right" if is_numeric(self.answer, column) else "left"
            table.add_column(
                column.title, justify=justify, width=least[column.name] + more[column.name], overflow="fold"
            )
            if column is ranked:
                table.add_column("", no_wrap=True, width=_BAR)
        top = max((abs(number(row.get(ranked.name))) for row in self.answer.rows), default=0.0) if ranked else 0.0
        for row in rows:
            cells: list[RenderableType] = []
            for column in columns:
                cells.append(Text(self._said(row, column)))
                if column is ranked:
                    cells.append(_bar(number(row.get(column.name)), top))
            table.add_row(*cells)
        yield table
        if len(rows) < len(self.answer.rows):
            unseen = len(self.answer.rows) - len(rows)
            yield Text(f"… and {unseen:,} more row{'s' if unseen > 1 else ''}", style="dim")
        if left_out:
            yield Text(f"In a wider terminal also: {', '.join(left_out)}", style="dim")
        for column in long:
            for words, names in told_apart(replace(self.answer, rows=tuple(rows)), column).items():
                yield _bullet(Text.assemble((f"{', '.join(names)}. ", "dim italic"), (words, "dim")))

    def _widest(self, column: Column, rows: Sequence[Mapping[str, Any]]) -> int:
        """Characters with which nothing of a column would be wrapped."""
        return max(map(cell_len, [column.title, *(self._said(row, column) for row in rows)]))

    def _least(self, column: Column, rows: Sequence[Mapping[str, Any]]) -> int:
        """Characters below which numbers would be cut, and words where they are not too long."""
        cells = [self._said(row, column) for row in rows]
        words = max(map(_longest, cells), default=0)
        if not is_numeric(self.answer, column):
            whole = max(map(cell_len, cells), default=0) if column is self.answer.columns[0] else words
            words = min(max(words, whole), _WORD)
        return max(words, _longest(column.title))

    def _said(self, row: Mapping[str, Any], column: Column) -> str:
        return human(row.get(column.name), column.unit, self.currency)


def study(answer: Study, limit: int = ROWS) -> RenderableType:
    """Return a study: each finding's sentence, evidence, table and note, headline first."""
    currency = answer.provenance.currency
    when = "" if answer.period.title in answer.title else f"  {answer.period.title}"
    parts: list[RenderableType] = [Text.assemble((answer.title, "bold underline"), (when, "dim"))]
    for finding in ranked(answer.findings):
        parts.append(Padding(_headline(finding), (1, 0, 0, 0)))
        if finding.grid is not None and finding.grid.rows:
            parts.append(Padding(GridView(finding.grid, currency, limit or None), (0, 0, 0, 2)))
        if finding.note:
            parts.append(Padding(Text(finding.note, style="dim"), (0, 0, 0, 2)))
    if answer.caveats:
        parts.append(Padding(Text("What the data cannot answer", style="bold"), (1, 0, 0, 0)))
        parts += [_bullet(Text(caveat)) for caveat in answer.caveats]
    return Group(*parts, provenance(answer.provenance))


def metrics(known: Sequence[MetricCheck]) -> RenderableType:
    """Return the list of metrics, those that are unknown here with what is missing."""
    table = _table()
    table.add_column("Metric", no_wrap=True)
    table.add_column("Title")
    table.add_column("Unit")
    table.add_column("What is counted", overflow="fold")
    for metric in known:
        said = Text(metric.doc)
        if not metric.known:
            said.append(f"\nUnknown here: {metric.why}", style="yellow")
        table.add_row(Text(metric.name, style="" if metric.known else "dim"), metric.title, metric.unit, said)
    return table


def check(facts: Check) -> RenderableType:
    """Return what a store holds and what it can answer."""
    held = _table("Table", "Rows", "First day", "Last day", "Lacking a value")
    held.columns[1].justify = "right"
    for table in facts.tables:
        days = [str(day) if day else "" for day in (table.first, table.last)]
        gaps = [f"{name} {human(gap, 'share')}" for name, gap in table.nulls.items()]
        held.add_row(table.name, f"{table.rows:,}", *days, ", ".join(gaps) or "—")
    parts: list[RenderableType] = [
        Text.assemble(("What is here", "bold"), (f"  {facts.store}, {facts.period.title}", "dim")),
        held,
        *_empty(facts),
        *(_bullet(Text(doubt, style="yellow")) for doubt in facts.doubts),
        Text(_quiet(facts)),
        Text(
            f"Not in this source: {', '.join(facts.absent)}." if facts.absent else "Every table is filled.", style="dim"
        ),
    ]
    if facts.imported is not None:
        parts += _left_out(facts.imported.files, facts.imported.reasons)
    parts.append(_title("Studies: ● can be answered, ○ cannot yet"))
    for wing in facts.studies:
        mark = ("● ", "green") if wing.ready else ("○ ", "yellow")
        line = Text.assemble(mark, (wing.name, "bold"), f"  {wing.question}")
        if wing.missing:
            line.append(f" Needs {', '.join(wing.missing)}.", style="yellow")
        if wing.why:
            line.append(f" {wing.why}", style="yellow")
        parts.append(line)
        parts += [_bullet(Text(f"{name} would add {gain}", style="dim")) for name, gain in wing.would_add.items()]
    known = [metric.name for metric in facts.metrics if metric.known]
    parts += [_title(f"Metrics: {len(known)} of {len(facts.metrics)} known"), Text(", ".join(known))]
    unknown = _table("Why unknown", "Metrics")
    for why, names in _reasons(facts.metrics).items():
        unknown.add_row(why, ", ".join(names))
    return Group(*parts, *([unknown] if unknown.row_count else []), provenance(facts.provenance))


def counted(answer: Counted, top: int | None = None) -> RenderableType:
    """Return counted metrics: the rows, what was left out of a metric, and where the numbers come from."""
    limit = 40 if top is None else top
    parts: list[RenderableType] = [Text(answer.period.title, style="bold")]
    parts.append(GridView(answer.grid, answer.provenance.currency, limit or None))
    for metric in answer.metrics:
        if metric.without:
            parts.append(
                Text(
                    f"{metric.title} is without {', '.join(metric.without)}: not in this source, or not by this split.",
                    "yellow",
                )
            )
    parts += [Text(gap, "yellow") for gap in answer.gaps]
    return Group(*parts, provenance(answer.provenance))


def pairs(title: str, values: Mapping[str, Any]) -> RenderableType:
    """Return names and values as two columns under a title."""
    lines = Table.grid(padding=(0, 2))
    lines.add_column(style="dim", no_wrap=True)
    lines.add_column(overflow="fold")
    for name, value in values.items():
        lines.add_row(name, Text(str(value)))
    return Group(Text(title, style="bold"), lines)


def imported(report: ImportReport) -> RenderableType:
    """Return what an import did."""
    if report.unchanged:
        return Text(f"Nothing to do: these files of {report.source} are in snapshot {report.snapshot} already.")
    head = f"Imported {report.source} as snapshot {report.snapshot} in {report.seconds:.1f} s: "
    head += f"{report.days_added:,} days added, {report.days_replaced:,} replaced."
    parts = [Text(head, style="bold"), _rows(report.tables), *_left_out(report.files, report.reasons)]
    return Group(*parts, Text("Next: tradewind check", style="dim"))


def made(folder: Path) -> RenderableType:
    """Return what to do with a new source."""
    return Text.assemble(
        ("A new source stands in ", ""), (str(folder), "bold"),
        f". Say in it what your files hold (docs: Sources), then run: tradewind import {folder} --data FOLDER",
    )  # fmt: skip


def reported(page: Path, drawn: Sequence[Path], unanswered: Mapping[str, str]) -> RenderableType:
    """Return where a report was written, and what it could not answer."""
    lines = Text.assemble("The page is in ", (str(page), "bold"), ".")
    if drawn:
        lines.append(f" {len(drawn)} charts are in {drawn[0].parent}.")
    for question, why in unanswered.items():
        lines.append(f"\nNot answered: {question} {why}", style="yellow")
    return lines


def _headline(finding: Finding) -> Text:
    badge = (f" {finding.evidence.value} ", f"{GRADES[finding.evidence]} reverse")
    return Text.assemble(badge, " ", (finding.sentence, "bold"))


def _empty(facts: Check) -> list[RenderableType]:
    """Name the columns that no row fills, so that nobody looks for them in vain."""
    rows = [(table.name, ", ".join(table.empty)) for table in facts.tables if table.empty]
    if not rows:
        return []
    listed = _table("Table", "Columns that the source never fills")
    for row in rows:
        listed.add_row(*row, style="dim")
    return [listed]


def _reasons(metrics: Sequence[MetricCheck]) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for metric in metrics:
        if not metric.known:
            reasons.setdefault(metric.why, []).append(metric.name)
    return reasons


def _quiet(facts: Check) -> str:
    days = facts.days_without_sales
    if not days:
        return "Something was sold on every day."
    named = ", ".join(str(day) for day in days[:5]) + (" …" if len(days) > 5 else "")
    return f"Nothing was sold on {len(days)} of {facts.period.days} days: {named}"


def _rows(tables: Mapping[str, TableCount]) -> Table:
    counts = _table("Table", "Read", "Kept", "Rejected", "Replaced", "Dropped")
    for column in counts.columns[1:]:
        column.justify = "right"
    for name, count in tables.items():
        numbers = (count.staged, count.kept, count.rejected, count.replaced, count.dropped)
        counts.add_row(name, *(f"{value:,}" if value else "—" for value in numbers))
    return counts


def _left_out(files: Iterable[FileCount], reasons: Iterable[Reason]) -> list[RenderableType]:
    """Say which rows of the files are not in the store, and why: rejected, unreadable, or left out on purpose."""
    lines = []
    for found in reasons:
        place = found.table or "In the files"
        why = f"{found.column or 'the row'} {found.reason}"
        where = f", the first in {found.file}, row {found.row}" if found.file else ""
        value = f": {found.value[:60]!r}" if found.value else ""
        allowed = f"; allowed: {found.allowed}" if found.allowed else ""
        told = f"{place}: {several(found.rows, 'row')} rejected: {why}{where}{value}{allowed}"
        lines.append(_bullet(Text(told, style="yellow")))
    skipped: dict[str, list[tuple[str, int]]] = {}
    for file in files:
        for why, rows in file.skipped.items():
            skipped.setdefault(why, []).append((file.name, rows))
    for why, parts in skipped.items():
        rows = sum(count for _, count in parts)
        place = parts[0][0] if len(parts) == 1 else several(len(parts), "file")
        lines.append(_bullet(Text(f"{place}: {why}" + (f" ({several(rows, 'row')})" if rows else ""))))
    return [_title("Not taken"), *lines] if lines else [Text("Every row was taken.", style="dim")]


def _title(words: str) -> RenderableType:
    return Padding(Text(words, style="bold"), (1, 0, 0, 0))


def _bullet(words: Text) -> RenderableType:
    line = Table.grid(padding=(0, 1))
    line.add_row("  •", words)
    return line


def _table(*titles: str) -> Table:
    table = Table(*titles, box=None, header_style="dim", padding=(0, 2, 0, 0), pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    return table


def _longest(words: str) -> int:
    """Length of the longest word, so that none is broken."""
    return max(map(cell_len, words.split()), default=1)


def _bar(value: float, top: float) -> Text:
    length = round(_BAR * abs(value) / top) if top else 0
    return Text("█" * length, style="blue" if value >= 0 else "dark_orange3")
