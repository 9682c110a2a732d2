"""Nothing that a user can ask for is undocumented."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from tradewind.faces import reference
from tradewind.faces.cli import app
from tradewind.faces.studies import WINGS
from tradewind.measures.metrics import METRICS
from tradewind.sources.worlds.preset import Laws
from tradewind.tables import TABLES

DOCS = Path(__file__).parents[2] / "docs"


def commands(group: Any, path: str = "tradewind") -> Iterator[tuple[str, Any]]:
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if hasattr(command, "list_commands"):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def test_every_command_and_option_is_documented() -> None:
    page = (DOCS / "cli.md").read_text()
    sections = dict(re.findall(r"^## (tradewind [^\n]*?)\n(.*?)(?=^## |\Z)", page, re.S | re.M))
    shared = page[: page.index("## tradewind import")]
    for name, command in commands(typer.main.get_command(app)):
        title = next((t for t in sections if t == name or t.startswith((f"{name} ", f"{name}["))), None)
        assert title, f"{name} has no section in docs/cli.md"
        assert command.help, f"{name} has no help"
        for parameter in command.params:
            for option in (o for o in parameter.opts if o.startswith("--")):
                assert option in sections[title] + shared, f"{name} {option} is not in docs/cli.md"
                assert parameter.help, f"{name} {option} has no help"


def test_every_wing_is_documented() -> None:
    page = (DOCS / "cli.md").read_text()
    for name, wing in WINGS.items():
        assert f"tradewind study {name}" in page
        assert wing.question in page


@pytest.mark.parametrize("name", reference.pages())
def test_the_reference_is_what_the_declarations_say(name: str) -> None:
    written = (DOCS / name).read_text()
    assert written == reference.pages()[name], "run `python -m tradewind.faces.reference docs/`"


def test_every_metric_and_table_is_in_the_reference() -> None:
    pages = reference.pages()
    assert all(f"`{name}`" in pages["metrics.md"] for name in METRICS)
    assert all(f"## {name}\n" in pages["tables.md"] for name in TABLES)
    for table in TABLES.values():
        assert all(f"`{column.name}`" in pages["tables.md"] for column in table.stored)


def test_the_reference_is_written_to_a_folder(tmp_path: Path) -> None:
    reference.main(tmp_path / "docs")
    assert {path.name for path in (tmp_path / "docs").iterdir()} == set(reference.pages())


def test_every_law_of_a_world_is_documented_with_its_value() -> None:
    page = (DOCS / "worlds.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    for law in dataclasses.fields(Laws):
        [row] = [line for line in rows if f"`{law.name}`" in line.split("|")[1]]
        values = getattr(Laws(), law.name)
        for value in values if isinstance(values, tuple) else (values,):
            if not isinstance(value, bool):
                assert f"{value:g}" in row.replace("0.10", "0.1"), f"{law.name} is {value}"
