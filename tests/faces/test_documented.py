"""Nothing that a user can ask for is undocumented."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from fastapi import FastAPI

from tradewind import errors
from tradewind.faces import api, console, reference
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


def routes(*routers: Any) -> set[tuple[str, str]]:
    served = FastAPI()
    for router in routers:
        served.include_router(router)
    return {(method.upper(), path) for path, methods in served.openapi()["paths"].items() for method in methods}


def test_every_route_of_the_api_is_documented_and_no_other() -> None:
    page = (DOCS / "api.md").read_text()
    listed = re.findall(r"^\| `([A-Z]+) (/[^`]*)` \| \S", page, re.M)
    assert len(listed) == len(set(listed))
    assert {(method, f"/api/v1{path}") for method, path in listed} == routes(api.router)


def test_every_error_that_the_api_answers_is_documented_with_its_status() -> None:
    page = (DOCS / "api.md").read_text()
    rows = dict(re.findall(r"^\| (\d{3}) \| ([^|]*) \|", page, re.M))
    for kind in vars(errors).values():
        if isinstance(kind, type) and kind.__module__ == errors.__name__ and kind is not errors.TradewindError:
            assert f"`{kind.code}`" in rows.get(str(kind.status), ""), f"{kind.code} ({kind.status}) is not in api.md"


def test_every_part_of_the_console_is_documented() -> None:
    page = (DOCS / "console.md").read_text()
    names = [f"{console.__name__}.{module.name}" for module in pkgutil.iter_modules(console.__path__)]
    parts = [part for name in names if hasattr(part := importlib.import_module(name), "router")]
    groups = {path.split("/")[1] for _, path in routes(*(part.router for part in parts))}
    assert len(groups) > 10
    for group in sorted(groups):
        assert f"`/{group}`" in page, f"/{group} is not in docs/console.md"
    for title, path in console.rendering.NAVIGATION:
        row = next((line for line in page.splitlines() if line.startswith("| ") and f"`{path}`" in line), "")
        assert title in row, f"{title} is not in docs/console.md"


def test_every_option_of_the_server_is_explained_where_it_is_run() -> None:
    page = (DOCS / "console.md").read_text()
    serve = dict(commands(typer.main.get_command(app)))["tradewind serve"]
    rows = "\n".join(line for line in page.splitlines() if line.startswith("| `--"))
    for option in (o for parameter in serve.params for o in parameter.opts if o != "--help"):
        assert f"`{option}" in rows, f"{option} is not in docs/console.md"


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
