"""One command for each study, made from the study's own settings: a new wing needs no line here."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tradewind import progress
from tradewind.faces import options, terminal
from tradewind.faces.plan_commands import acted
from tradewind.faces.studies import WINGS, Answerer, Wing, answered, described
from tradewind.faces.voice import Voice
from tradewind.money import amount

_SHARED: dict[str, tuple[Any, Any]] = {
    "shop": (options.ShopOption, None),
    "assume": (options.AssumeOption, None),
    "top": (options.TopOption, None),
    "store": (options.StoreOption, ""),
    "as_json": (options.JsonOption, False),
}


class StudyCommands(TyperGroup):
    """The studies as commands, each built when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the signature is Typer's
        """Return the names of the studies."""
        return list(WINGS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - the signature is Typer's
        """Return the command of a study, or None where there is no such study."""
        return command(WINGS[cmd_name]) if cmd_name in WINGS else None


def command(wing: Wing) -> Any:
    """Return the command that answers a wing's question: its settings as options, then the shared ones."""
    answerer = wing.load()
    app = typer.Typer(add_completion=False)
    app.command(wing.name, help=f"{wing.title}. {wing.question}")(_runner(answerer, wing.acts))
    return typer.main.get_command(app)


def _runner(answerer: Answerer, acts: bool) -> Callable[..., None]:
    own = _settings(answerer.settings)

    def run(**given: Any) -> None:
        voice = Voice(given["as_json"])
        store = options.opened(given["store"], voice, options.listed(given["shop"]), given["assume"])
        period = options.days(given["period"] or (options.LATELY if acts else ""), store, voice)
        if acts:  # what plans did is no habit
            store = acted(store, voice, options.listed(given["shop"]))
        values = {n: options.listed(given[n]) if isinstance(given[n], list | tuple) else given[n] for n in own}
        with voice.counting() as told, progress.listening(told):
            answer = answered(answerer, store, period, answerer.settings(**values))
        limit = terminal.ROWS if given["top"] is None else given["top"]
        voice.answer(answer, lambda: terminal.study(answer, limit))

    taken = {**own, "period": (options.LatelyOption if acts else options.PeriodOption, ""), **_SHARED}
    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter(n, kind, default=d, annotation=a) for n, (a, d) in taken.items()]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # inspect reads it
    run.__annotations__ = {name: annotation for name, (annotation, _) in taken.items()}
    return run


def _settings(settings: type[Any]) -> dict[str, tuple[Any, Any]]:
    """Return the option and default of each setting, with the words of the settings' own docstring."""
    hints = typing.get_type_hints(settings)
    words = described(settings)
    found = {}
    for field in dataclasses.fields(settings):
        many = typing.get_origin(hints[field.name]) is tuple
        flag = "--" + field.name.replace("_", "-")
        repeat = " Repeat, or join by commas." if many else ""
        least = 0 if field.name == "seed" else None
        help_ = words.get(field.name, "") + repeat
        if field.metadata.get("unit") == "money":
            option = typer.Option(flag, help=help_, parser=amount, metavar="AMOUNT")
        else:
            option = typer.Option(flag, help=help_, min=least)
        default = field.default if field.default is not dataclasses.MISSING else None
        found[field.name] = (Annotated[list[str] if many else hints[field.name], option], default)
    return found
