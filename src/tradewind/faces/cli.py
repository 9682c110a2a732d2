"""The command line: parse, call, render."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tradewind import progress, sources
from tradewind.engines.store import split_address
from tradewind.errors import ForbiddenError, MissingDataError
from tradewind.faces import account_commands, counting, options, plan_commands, serve_command, studies, terminal
from tradewind.faces import check as checks
from tradewind.faces.study_commands import StudyCommands
from tradewind.faces.voice import Commands, Voice

LOOP = ("import", "source", "check", "metrics", "study", "report", "plan", "ledger", "serve")
"""Commands as an analyst comes to need them; the others are listed after them."""


class Loop(Commands):
    """All commands, in the order in which they are used."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands, first those of the loop from data to proof."""
        return sorted(super().list_commands(ctx), key=lambda name: LOOP.index(name) if name in LOOP else len(LOOP))


app = typer.Typer(
    cls=Loop,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Read what happened on a content-commerce marketplace, and say why. Start with `tradewind import`.",
)
source_app = typer.Typer(no_args_is_help=True, help="Describe your own data, so that it can be imported.")
study_app = typer.Typer(cls=StudyCommands, no_args_is_help=True, help="Answer one business question over one period.")
app.add_typer(source_app, name="source")
app.add_typer(study_app, name="study")
app.add_typer(plan_commands.ledger_app, name="ledger")
app.add_typer(account_commands.users_app, name="users")
app.add_typer(account_commands.tokens_app, name="tokens")
app.command("plan")(plan_commands.plan)
app.command("serve")(serve_command.serve)


def main() -> None:
    """Run the command line. What native libraries print joins standard error, so that `--json` prints JSON alone."""
    if sys.stdout is not None:
        ours = os.fdopen(os.dup(1), "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors)
        sys.stdout.flush()
        os.dup2(2, 1)
        sys.stdout = ours
    app()


@app.callback(invoke_without_command=True)
def tradewind(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an unexpected error.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Say the version and stop.")] = False,
) -> None:
    """Set what holds for every command; `Commands` reads `debug` where a command breaks."""
    del debug
    if version:
        typer.echo(importlib.metadata.version("tradewind"))
        raise typer.Exit


@app.command("import")
def import_(  # noqa: PLR0913, PLR0917 - each option of the command is an argument
    source: Annotated[str, typer.Argument(help="A shipped source, or the folder of your own (see `source new`).")],
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FOLDER", help="Folder of the source's files, where it brings none."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Read the files again although they have not changed.")
    ] = False,
    preset: Annotated[
        str,
        typer.Option("--preset", metavar="NAME", help="Size of a simulated `world`: tiny, town, town_b or metropolis."),
    ] = "town",
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Seed of a simulated `world`.")] = 0,
    days: Annotated[
        int | None, typer.Option("--days", metavar="N", help="Only the first days of a simulated `world`.")
    ] = None,
    incidents: Annotated[
        int, typer.Option("--incidents", metavar="N", help="Incidents to plant in a simulated `world`.")
    ] = 0,
    store: options.StoreOption = "",
    as_json: options.JsonOption = False,
) -> None:
    """Read a source's files into the store: a new snapshot, or the days that came with them; `world` simulates one."""
    voice = Voice(as_json)
    _, folder = split_address(options.address(store, voice))
    with voice.counting() as told:
        if source == "world":
            planned = sources.planned_incidents(preset, seed, incidents)
            report = sources.fill(preset, seed, folder, told, force, days, planned)
        else:
            report = sources.run_import(sources.load(source), data, folder, told, force)
    voice.answer(report, lambda: terminal.imported(report))


@source_app.command("new")
def source_new(
    name: Annotated[str, typer.Argument(help="Name of the source: letters, digits and underscores.")],
    folder: Annotated[Path, typer.Option("--folder", metavar="FOLDER", help="Where to put its folder.")] = Path(),
    as_json: options.JsonOption = False,
) -> None:
    """Make a folder to describe your own data in, with everything to fill in marked."""
    voice = Voice(as_json)
    made = sources.new_source(name, folder)
    voice.answer({"source": name, "folder": str(made)}, lambda: terminal.made(made))


@source_app.command("list")
def source_list(as_json: options.JsonOption = False) -> None:
    """List the sources that Tradewind ships."""
    names = sources.names()
    Voice(as_json).answer({"sources": names}, lambda: "\n".join(names))


@app.command()
def check(
    shop: options.ShopOption = None, store: options.StoreOption = "", as_json: options.JsonOption = False
) -> None:
    """Say what the store holds, what is missing, and which studies and metrics it can answer."""
    voice = Voice(as_json)
    opened = options.opened(store, voice, options.listed(shop))
    with voice.working("Looking through the store") as say:
        facts = checks.check(opened, say)
    voice.answer(facts, lambda: terminal.check(facts))


@app.command()
def metrics(  # noqa: PLR0913, PLR0917 - one parameter an option
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[METRIC]...", help="Metrics; all are listed without.")
    ] = None,
    by: Annotated[
        list[str] | None, typer.Option("--by", metavar="DIMENSION", help="Split by this; repeat for several.")
    ] = None,
    every: Annotated[
        str | None, typer.Option("--every", metavar="STEP", help="A row for each day, week or month.")
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option("--where", metavar="DIMENSION=VALUE", help="Only these; repeat for several.")
    ] = None,
    period: options.PeriodOption = "",
    shop: options.ShopOption = None,
    assume: options.AssumeOption = None,
    top: options.TopOption = None,
    store: options.StoreOption = "",
    as_json: options.JsonOption = False,
) -> None:
    """Count metrics over a period, or list them all."""
    voice = Voice(as_json)
    opened = options.opened(store, voice, options.listed(shop), assume)
    if not names:
        known = checks.metrics(opened)
        voice.answer({"metrics": known, "provenance": opened.provenance}, lambda: terminal.metrics(known))
        return
    days = options.days(period, opened, voice)
    with voice.working(f"Counting {', '.join(names)}"):
        counted = counting.counted(opened, names, days, options.listed(by), every, options.filters(where))
    voice.answer(counted.limited(top), lambda: terminal.counted(counted, top))


@app.command()
def report(  # noqa: PLR0913, PLR0917 - one parameter an option
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write the page.")] = Path("report.html"),
    png: Annotated[Path | None, typer.Option("--png", metavar="FOLDER", help="Write each chart as PNG too.")] = None,
    metric: Annotated[str, typer.Option("--metric", help="The metric whose change is explained.")] = "gmv",
    against: Annotated[
        str, typer.Option("--against", help="What it is compared with: previous, last-year or expected.")
    ] = "previous",
    period: options.PeriodOption = "",
    shop: options.ShopOption = None,
    assume: options.AssumeOption = None,
    store: options.StoreOption = "",
    as_json: options.JsonOption = False,
) -> None:
    """Answer every question that the store can, in one page that needs no network."""
    from tradewind.faces import report as reports  # noqa: PLC0415 - slow to load, and no other command draws

    voice = Voice(as_json)
    opened = options.opened(store, voice, options.listed(shop), assume)
    opened = plan_commands.acted(opened, voice, options.listed(shop))
    days = options.days(period, opened, voice)
    settings = {"fluctuation": {"metric": metric, "against": against}}
    answers, unanswered = [], {}
    for wing in studies.WINGS.values():
        with voice.counting() as told, progress.listening(told):
            try:
                answers.append(studies.answer(wing.name, opened, days, settings.get(wing.name)))
            except (MissingDataError, ForbiddenError) as error:
                unanswered[wing.question] = str(error)
    if not answers:
        raise MissingDataError("The store can answer none of the questions", do="see `tradewind check`")
    with voice.working("Drawing the page"):
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(reports.render(answers, unanswered=unanswered), encoding="utf-8")
        drawn = reports.pictures(answers, png) if png else []
    document = {"page": str(out), "charts": [str(path) for path in drawn], "unanswered": unanswered}
    voice.answer({**document, "studies": answers}, lambda: terminal.reported(out, drawn, unanswered))


@app.command()
def arena(
    preset: Annotated[
        str, typer.Option("--preset", metavar="NAME", help="The worlds to compete in: tiny, town or town_b.")
    ] = "town",
    seeds: Annotated[
        str, typer.Option("--seeds", metavar="SEEDS", help="How many worlds (10), or which (100-109, or 3,5).")
    ] = "10",
    policies: Annotated[
        str, typer.Option("--policies", metavar="NAMES", help="Who competes, with commas between.")
    ] = "none,uniform,rule,attributed,tradewind,learnable,oracle",
    levers: Annotated[
        str, typer.Option("--levers", metavar="NAMES", help="What is on offer, with commas between; everything else.")
    ] = "",
    futures: Annotated[
        int, typer.Option("--futures", min=1, metavar="N", help="Futures over which truth is averaged.")
    ] = 2,
    jobs: Annotated[int, typer.Option("--jobs", min=1, metavar="N", help="Worlds at a time.")] = 1,
    work: Annotated[
        Path | None,
        typer.Option("--work", metavar="FOLDER", help="Keep the worlds' histories and scores here for the next time."),
    ] = None,
    as_json: options.JsonOption = False,
) -> None:
    """Let policies compete in simulated worlds, each under the same budgets, and score them by the truth."""
    from tradewind.arena.contest import contest  # noqa: PLC0415 - slow to load, and no other command competes
    from tradewind.arena.offer import LEVERS  # noqa: PLC0415
    from tradewind.faces.standings import standings  # noqa: PLC0415

    voice = Voice(as_json)
    offered = tuple(dict.fromkeys(options.parts(levers))) or LEVERS
    with voice.counting() as told:
        found = contest(preset, options.seeds(seeds), options.parts(policies), work, futures, jobs, told, offered)
    document = {
        "standings": found.standings(),
        "levers": found.levers("attributed"),
        "promises": found.levers("tradewind"),
        "contest": found,
    }
    voice.answer(document, lambda: standings(found))
