"""How a command speaks: an answer for people or one JSON document, progress aside, and errors that end it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text
from typer.core import TyperGroup

from tradewind.errors import (
    BadInputError,
    ForbiddenError,
    FullDiskError,
    NotFoundError,
    TradewindError,
    is_full_disk,
)
from tradewind.faces import terminal
from tradewind.study import jsonable

OTHER, BAD_INPUT = 1, 2
_WRONG_INPUT = (BadInputError, NotFoundError, ForbiddenError)


class Commands(TyperGroup):
    """The commands, whose errors end as one panel, or as one JSON document where JSON was asked for."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; an error of the house sets the exit code, any other is a bug and says so."""
        as_json = "--json" in (*getattr(ctx, "_protected_args", ()), *ctx.args)
        try:
            return super().invoke(ctx)
        except TradewindError as error:
            _fail(error, as_json)
            raise typer.Exit(BAD_INPUT if isinstance(error, _WRONG_INPUT) else OTHER) from error
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            usage = getattr(error, "format_message", None)  # Typer's own errors have no public base class
            if usage and as_json:
                said = BadInputError(usage().rstrip("."), do="add --help to see what the command takes")
                _fail(said, as_json)
                raise typer.Exit(BAD_INPUT) from error
            if usage or ctx.params.get("debug"):
                raise
            _fail(_full(error) if is_full_disk(error) else _bug(error), as_json)
            raise typer.Exit(OTHER) from error


class Voice:
    """Where a command's words go: answers to standard output, everything else to standard error.

    Args:
        as_json: Whether the answer is one JSON document.
    """

    def __init__(self, as_json: bool):
        self.as_json = as_json
        self.out = terminal.Screen(highlight=False)
        self.aside = terminal.Screen(stderr=True, highlight=False)

    def answer(self, document: Any, shown: Callable[[], RenderableType]) -> None:
        """Say the answer: `document` as JSON, or what `shown` returns."""
        if self.as_json:
            typer.echo(json.dumps(jsonable(document), ensure_ascii=False, indent=2, allow_nan=False))
        else:
            self.out.print(shown())

    def note(self, words: str) -> None:
        """Say something beside the answer, whatever form that has."""
        self.aside.print(Text(words, style="dim"))

    @contextmanager
    def working(self, words: str) -> Iterator[Callable[[str], None]]:
        """Show that something is being done; the value that it yields changes the words."""
        with self.aside.status(words) as status:
            yield status.update

    @contextmanager
    def counting(self) -> Iterator[Callable[[str, int, int], None]]:
        """Show how far a longer task has come: what it yields takes the step, how many are done, and of how many."""
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, TimeElapsedColumn(), console=self.aside, transient=True) as bars:
            task = bars.add_task("Beginning", total=None)

            def told(step: str, done: int, total: int) -> None:
                bars.update(task, description=step.capitalize(), completed=done, total=total)

            yield told


def _fail(error: TradewindError, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(error.as_dict(), ensure_ascii=False, indent=2))
    else:
        terminal.Screen(stderr=True, highlight=False).print(terminal.failure(error))


def _full(error: Exception) -> TradewindError:
    return FullDiskError("There is no room left on the disk", got=str(error), do="make room, and run it again")


def _bug(error: Exception) -> TradewindError:
    words = str(error).splitlines()
    said = TradewindError(
        f"This is a bug in Tradewind: {type(error).__name__}" + (f": {words[0]}" if words else ""),
        do="run `tradewind --debug …` to see the traceback, and report it",
    )
    said.code = "bug"
    return said
