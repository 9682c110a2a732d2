"""The reference pages, written from the declarations: `python -m tradewind.faces.reference docs/`."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import tradewind
from tradewind.measures.feature import FEATURES
from tradewind.measures.metric import Metric, Ratio, Total, leaves
from tradewind.measures.metrics import METRICS
from tradewind.measures.query import DIMENSIONS
from tradewind.tables import TABLES, Table

_MADE = "<!-- Written by `python -m tradewind.faces.reference docs/` from the declarations; change those instead. -->"
_FLOORS = (
    ("faces", "What people see: they parse, call and render."),
    ("arena", "Policies compete in worlds whose truth is known."),
    ("decisions", "One wing per business question; no wing knows another."),
    ("ledger", "What was promised, launched, held out and proven, in a database that is only ever added to."),
    ("accounts", "Users, their roles, sessions and tokens, jobs, verdicts on plans, and who did what."),
    ("sources", "Outside data in: a folder of SQL per source."),
    ("engines", "Where tables live and expressions run."),
    ("measures", "Every metric and feature, declared once, as an expression over the tables."),
    ("methods", "Mathematics: arrays in, frozen results with intervals out."),
    ("tables", "What a marketplace's data is, each table declared once."),
    ("ground", "The words that every floor speaks."),
)
_BETTER = {1: "more", -1: "less", 0: "depends"}


def pages() -> dict[str, str]:
    """Return the text of each reference page by its file name."""
    return {
        "metrics.md": metrics_page(),
        "features.md": features_page(),
        "tables.md": tables_page(),
        "architecture.md": architecture_page(),
    }


def metrics_page() -> str:
    """Return the page of metrics and dimensions."""
    rows = [
        (f"`{m.name}`", m.title, m.unit, _BETTER[m.better], m.doc, _made_of(m))
        for m in METRICS.values()
    ]  # fmt: skip
    dimensions = [(f"`{name}`", title) for name, title in DIMENSIONS.items()]
    return "\n".join(
        (
            "# Metrics",
            "",
            _MADE,
            "",
            "Each metric is declared once, in `tradewind.measures.metrics`, and counted by one expression on any",
            "engine. Ratios are sums over sums. A metric whose columns the source does not fill is unknown, never",
            "zero; `tradewind check` says which, and why.",
            "",
            *_table(("Name", "Title", "Unit", "Better", "What is counted", "Made of"), rows),
            "",
            "## Dimensions",
            "",
            "What a metric can be split by (`--by`) and limited to (`--where`).",
            "",
            *_table(("Name", "Title"), dimensions),
            "",
        )
    )


def tables_page() -> str:
    """Return the page of canonical tables."""
    lines = [
        "# Tables",
        "",
        _MADE,
        "",
        "What a marketplace's data is. Every table but `order_lines` is optional: a source fills what it has. Times",
        "are UTC; `day` and `hour` are in the store's timezone. Money is exact, in the store's one currency.",
    ]
    for table in TABLES.values():
        lines += ["", f"## {table.name}", "", table.doc, "", *_facts(table), ""]
        lines += _table(
            ("Column", "Type", "Unit", "May be empty", "Meaning"),
            (
                (f"`{c.name}`", c.kind, c.unit, "yes" if c.null else "no", _meaning(c.doc, c.allowed))
                for c in table.stored
            ),
        )
    return "\n".join(lines) + "\n"


def features_page() -> str:
    """Return the page of features, and how to ask for them."""
    lines = [
        "# Features",
        "",
        _MADE,
        "",
        "A feature is a number about one entity over a window, **as known at a moment**. A row counts at a moment",
        "if it happened in the window and was visible by then: `known_at` of the order and of its payment for",
        "sales, `known_at` of the refund for refunds. A row that arrives late changes no feature of the past; a",
        "test holds that on both engines. Many moments are answered in one pass.",
        "",
        "```python",
        "from datetime import datetime",
        "from tradewind.engines.store import open_store",
        "from tradewind.measures.feature import feature_table",
        "",
        'store = open_store("demo/complete_journey")',
        "moments = [datetime(2017, month, 1) for month in range(4, 13)]",
        'table = store.run(feature_table("customer", store, moments))  # one row a moment and customer',
        "```",
        "",
        "Features whose tables the source lacks are left out, or named in the error where they were asked for.",
    ]
    for entity in dict.fromkeys(feature.entity for feature in FEATURES):
        own = [f for f in FEATURES if f.entity == entity]
        lines += ["", f"## Of a {entity}", ""]
        lines += _table(("Name", "Unit", "What is counted"), ((f"`{f.name}`", f.unit, f.doc) for f in own))
    return "\n".join(lines) + "\n"


def architecture_page() -> str:
    """Return the map of the code: the floors, and one line for each file."""
    root = Path(tradewind.__file__).parent
    lines = [
        "# Architecture",
        "",
        _MADE,
        "",
        "Imports run downward only, checked by import-linter: `faces` > `arena` > `decisions` >",
        "`ledger` | `accounts` | `sources` > `engines` > `measures` | `methods` > `tables` > ground.",
        "Sources fill tables; measures declare expressions; a store runs them on an engine; a wing passes the",
        "answers to methods and returns a study; faces show it.",
    ]
    files = sorted(root.rglob("*.py"), key=lambda file: (_floor(root, file), file))
    for floor in dict.fromkeys(_floor(root, file) for file in files):
        title, doc = _FLOORS[floor]
        own = [(file, _first_line(file)) for file in files if _floor(root, file) == floor]
        lines += ["", f"## {title}", "", doc, ""]
        lines += _table(("File", "What it is"), ((f"`{f.relative_to(root)}`", said) for f, said in own if said))
    return "\n".join(lines) + "\n"


def _floor(root: Path, file: Path) -> int:
    place = file.relative_to(root).parts[0]
    order = [name for name, _ in _FLOORS]
    return order.index(place) if place in order else len(order) - 1


def _first_line(file: Path) -> str:
    doc = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return doc.split("\n", 1)[0]


def main(folder: Path) -> None:
    """Write the reference pages into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


def _made_of(metric: Metric) -> str:
    if isinstance(metric, Ratio):
        times = f" × {metric.times:,}" if metric.times != 1 else ""
        return f"`{metric.over.name}` ÷ `{metric.under.name}`{times}"
    if isinstance(metric, Total):
        return " ".join(f"{'+' if part.sign > 0 else '−'} `{part.metric.name}`" for part in metric.parts)
    return ", ".join(f"`{leaf.fact.table}`" for leaf in leaves(metric))


def _facts(table: Table) -> list[str]:
    facts = [f"Key: {', '.join(f'`{name}`' for name in table.key)}."]
    facts += [f"Points to `{to.table}` by {', '.join(f'`{name}`' for name in to.columns)}." for to in table.references]
    if not table.shop:
        facts.append("For operators only.")
    if table.creator:
        facts.append("Creators see their own.")
    return [" ".join(facts)]


def _meaning(doc: str, allowed: Sequence[str]) -> str:
    values = f"One of {', '.join(f'`{value}`' for value in allowed)}." if allowed else ""
    return " ".join(part for part in (doc, values) if part)


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(titles)} |", f"|{'|'.join(' --- ' for _ in titles)}|"]
    return lines + [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
