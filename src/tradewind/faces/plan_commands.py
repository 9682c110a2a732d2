"""The commands `plan` and `ledger`: what to do, and whether it worked."""

from __future__ import annotations

import getpass
import os
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tradewind import progress
from tradewind.errors import BadInputError, ConflictError, NotFoundError, TradewindError
from tradewind.faces import options, terminal
from tradewind.faces.voice import Voice
from tradewind.money import amount
from tradewind.scope import OPERATOR, Scope

if TYPE_CHECKING:
    from tradewind.engines.store import Store
    from tradewind.ledger import Ledger
    from tradewind.study import Provenance

ADDRESS = "TRADEWIND_LEDGER"
DEFAULT_LEDGER = "tradewind-ledger.db"

LedgerOption = Annotated[
    str,
    typer.Option(
        "--ledger",
        metavar="ADDRESS",
        help=f"File of the ledger, or postgresql://USER@HOST/NAME. Else {ADDRESS}, else ./{DEFAULT_LEDGER}.",
    ),
]
TodayOption = Annotated[
    str, typer.Option("--today", metavar="DAY", help="The day it is, for simulated data only: 2025-06-30.")
]

ledger_app = typer.Typer(
    no_args_is_help=True, help="Register what is launched, and prove afterwards what it was worth."
)


def plan(  # noqa: PLR0913, PLR0917 - one parameter an option
    budget: Annotated[
        list[str] | None,
        typer.Option("--budget", metavar="PAYER=AMOUNT", help="What a payer may spend: platform=50000. Repeat."),
    ] = None,
    rule: Annotated[
        list[str] | None,
        typer.Option(
            "--rule", metavar="RULE", help='A limit: "coupon<=20%", "shop actions<=3", "payers gain". Repeat.'
        ),
    ] = None,
    objective: Annotated[
        str, typer.Option("--objective", metavar="PARTY", help="Whose gain is sought: joint, merchant, platform, …")
    ] = "joint",
    caution: Annotated[
        float, typer.Option("--caution", metavar="SHARE", help="0 picks by expected gains, 1 by their low ends.")
    ] = 0.0,
    least: Annotated[
        float | None,
        typer.Option(
            "--least",
            metavar="AMOUNT",
            parser=amount,
            help="Leave out what is expected to gain less: a twentieth of an order else.",
        ),
    ] = None,
    wings: Annotated[
        list[str] | None, typer.Option("--wings", metavar="NAME", help="Only these studies propose. Repeat.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Write the plan, its tables and its page here.")
    ] = None,
    name: Annotated[
        str,
        typer.Option("--name", metavar="NAME", help="Name of the plan; the folder's with its first day otherwise."),
    ] = "",
    seed: Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Seed of all draws.")] = 0,
    ledger: LedgerOption = "",
    period: options.LatelyOption = "",
    shop: options.ShopOption = None,
    assume: options.AssumeOption = None,
    top: options.TopOption = None,
    store: options.StoreOption = "",
    as_json: options.JsonOption = False,
) -> None:
    """Pick among the actions of all studies, under budgets and rules, for the most incremental profit."""
    from tradewind.decisions.plan import check_folder  # noqa: PLC0415 - slow to load
    from tradewind.faces import proofs  # noqa: PLC0415 - slow to load
    from tradewind.faces.planning import Asked, kept, planned, soonest  # noqa: PLC0415 - slow to load

    voice = Voice(as_json)
    opened = options.opened(store, voice, options.listed(shop), assume)
    if out:
        out = out.absolute()
        check_folder(out)
    days, origin = options.days(period or options.LATELY, opened, voice), opened.provenance
    asked = Asked(
        tuple(budget or ()), tuple(rule or ()), objective, caution, least, options.listed(wings), seed,
        soonest(origin),
    )  # fmt: skip
    first = days.last + timedelta(days=1)
    usual = f"{out.name}-{max(first, asked.begin or first)}" if out else "plan"
    record = _record(ledger, origin, opened.span.last, voice, options.listed(shop))
    with voice.counting() as told, progress.listening(told):
        found = planned(opened, days, asked, name or usual, record)
        if out:
            check_folder(out)  # it may have been launched meanwhile
        files = kept(found, out) if out else []
    limit = terminal.ROWS if top is None else top
    document = {"plan": found.plan, "study": found.answer, "files": [str(file) for file in files]}
    voice.answer(document, lambda: proofs.planned(found, files, limit))


@ledger_app.command("launch")
def launch(  # noqa: PLR0913, PLR0917 - one parameter an option
    folder: Annotated[Path, typer.Argument(metavar="PLAN", help="Folder of the plan.")],
    holdout: Annotated[
        str, typer.Option("--holdout", metavar="SHARE", help="Share held out, or auto: as many as the proof needs.")
    ] = "auto",
    approved_by: Annotated[
        str, typer.Option("--approved-by", metavar="NAME", help="Who approved it; you, where left out.")
    ] = "",
    echo: Annotated[int, typer.Option("--echo", metavar="DAYS", help="Days after an action that still count.")] = 14,
    seed: Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Seed of the lots.")] = 0,
    without: Annotated[
        list[str] | None, typer.Option("--without", metavar="ACTION", help="Leave this action out. Repeat.")
    ] = None,
    late: Annotated[
        bool, typer.Option("--late", help="Register actions that have begun; they never calibrate a plan.")
    ] = False,
    today: TodayOption = "",
    ledger: LedgerOption = "",
    assume: options.AssumeOption = None,
    store: options.StoreOption = "",
    as_json: options.JsonOption = False,
) -> None:
    """Register a plan before it starts: what it promises, who is held out, when it is read."""
    from tradewind.decisions.plan import read_plan  # noqa: PLC0415 - slow to load
    from tradewind.faces import launching, proofs  # noqa: PLC0415 - slow to load
    from tradewind.ledger import Terms  # noqa: PLC0415 - slow to load

    voice = Voice(as_json)
    plan, share = read_plan(folder), _share(holdout)
    launching.chosen(plan, without=without or ())  # refused before the store is opened
    opened = options.opened(store, voice, (), assume)
    said, who = taken(today, opened.provenance.simulated, opened.span.last), _user()

    def opening(*, create: bool) -> Ledger | None:
        try:
            return _ledger(ledger, plan.timezone, said, plan.simulated, create=create)
        except NotFoundError:
            if create:
                raise
            return None

    with voice.counting() as told, progress.listening(told):
        found = launching.launch(
            opened, opening, plan, None, folder, who=who, approved_by=approved_by or who, without=without or (),
            holdout=share, terms=Terms(echo, seed, late=late), today=said,
        )  # fmt: skip
    for caveat in found.caveats:
        voice.note(caveat)
    document = {
        "receipt": found.receipt, "holdouts": found.held, "files": [str(file) for file in found.files],
        "caveats": found.caveats,
    }  # fmt: skip
    voice.answer(document, lambda: proofs.launched(found.receipt, found.held, found.files, share is None))


@ledger_app.command("stop")
def stop(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...", help="PLAN/ACTION, or the id of a launch, or of an experiment for all of it."
        ),
    ],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept with the stop.")],
    today: TodayOption = "",
    ledger: LedgerOption = "",
    as_json: options.JsonOption = False,
) -> None:
    """Note that launched actions are stopped early, as of today: their units are free for others from tomorrow on."""
    from tradewind.faces import launching, proofs  # noqa: PLC0415 - slow to load

    voice = Voice(as_json)
    where = _ledger(ledger, None, _said(today), create=False)
    if where.timeless:
        where = _ledger(ledger, None, where.today, create=False)
    found = launching.stopped(where, names, _user(), reason)
    head = where.head()
    voice.answer({"stopped": found, "head": str(head)}, lambda: proofs.stopped(found, head))


@ledger_app.command("export")
def export(
    folder: Annotated[Path, typer.Argument(metavar="PLAN", help="Folder of a launched plan.")],
    ledger: LedgerOption = "",
    as_json: options.JsonOption = False,
) -> None:
    """Write once more what is done to whom under a launched plan, and the ledger's head."""
    from tradewind.decisions.plan import read_plan  # noqa: PLC0415 - slow to load
    from tradewind.faces import launching, proofs  # noqa: PLC0415 - slow to load

    voice = Voice(as_json)
    plan = read_plan(folder)
    where = _ledger(ledger, plan.timezone, simulated=plan.simulated, create=False)
    if not launching.own(where, plan).launches:
        raise NotFoundError(
            "No action of this plan was launched", got=plan.name, do=f"tradewind ledger launch {folder}"
        )
    launching.reached(where, folder)
    found = launching.keep_arms(where, plan, folder)
    head, deeds = launching.keep_head(folder, found.head), launching.keep_deeds(where, plan, folder)
    document = {"files": [str(head), str(deeds), str(found.file)], "rows": found.rows}
    voice.answer(document, lambda: proofs.exported(found, head, deeds))


@ledger_app.command("status")
def status(
    plan: Annotated[str | None, typer.Option("--plan", metavar="NAME", help="Only this plan.")] = None,
    shop: options.ShopOption = None,
    today: TodayOption = "",
    ledger: LedgerOption = "",
    as_json: options.JsonOption = False,
) -> None:
    """Say what waits, runs, is due to be read and was read."""
    from tradewind.faces import proofs  # noqa: PLC0415 - slow to load

    voice = Voice(as_json)
    where = _ledger(ledger, None, _said(today), create=False, shops=options.listed(shop))
    found = where.status(plan)
    if shop and not found.launches:
        raise NotFoundError(
            "No action of these shops is in the ledger", got=", ".join(options.listed(shop)),
            do="tradewind ledger status, without --shop, lists what was launched",
        )  # fmt: skip
    if plan and not found.launches:
        raise NotFoundError(
            "There is no such plan in the ledger", got=plan,
            allowed=sorted({each.plan for each in where.status().launches}), do="name one that was launched",
        )  # fmt: skip
    voice.answer(found, lambda: proofs.status(found))


@ledger_app.command("read")
def read(
    again: Annotated[
        list[str] | None,
        typer.Option(
            "--again", metavar="EXPERIMENT", help="Read once more what was read, such as after a new import. Repeat."
        ),
    ] = None,
    today: TodayOption = "",
    ledger: LedgerOption = "",
    assume: options.AssumeOption = None,
    store: options.StoreOption = "",
    as_json: options.JsonOption = False,
) -> None:
    """Read every experiment that is due from the store's orders, and keep what was found; look at those under way."""
    from tradewind.faces import proofs, proving  # noqa: PLC0415 - slow to load

    voice = Voice(as_json)
    opened = options.opened(store, voice, (), assume)
    origin = opened.provenance
    said = taken(today, origin.simulated, opened.span.last)
    where = _ledger(ledger, origin.timezone, said, origin.simulated, create=False)
    with voice.counting() as told, progress.listening(told):
        read = proving.read_due(opened, where, _user(), again or ())
        looks = proving.looks(opened, where)
    head = where.head()
    document = {
        "readings": [kept for _, kept in read.found], "unread": read.unread,
        "looks": {each.id: look for each, look in looks}, "head": str(head),
    }  # fmt: skip
    voice.answer(document, lambda: proofs.readings(read, looks, origin.currency, where.today, head))


@ledger_app.command("calibrate")
def calibrate(ledger: LedgerOption = "", today: TodayOption = "", as_json: options.JsonOption = False) -> None:
    """Say how much of what was promised came true, lever by lever: the next plan's gains are scaled by it."""
    from tradewind.faces import proofs  # noqa: PLC0415 - slow to load

    voice = Voice(as_json)
    where = _ledger(ledger, None, _said(today), create=False)
    record = where.track()
    found = record.calibrated()
    voice.answer(
        {"track": record, "levers": found.levers, "others": found.others},
        lambda: proofs.calibrated(record, where.status().experiments),
    )


@ledger_app.command("verify")
def verify(
    plans: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PLAN]...", help="Folders of launched plans, whose heads are held up."),
    ] = None,
    ledger: LedgerOption = "",
    as_json: options.JsonOption = False,
) -> None:
    """Say whether the ledger is what was written into it."""
    from tradewind.faces import launching, proofs  # noqa: PLC0415 - slow to load
    from tradewind.ledger import Head  # noqa: PLC0415 - slow to load

    voice = Voice(as_json)
    where = _ledger(ledger, None, create=False)
    verdict = where.verify([Head.parse(launching.head_of(folder)) for folder in plans or ()])
    voice.answer(verdict, lambda: proofs.verdict(verdict))
    if not verdict.sound:
        raise typer.Exit(1)


@ledger_app.command("copy")
def copy(
    to: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="An empty file or database: postgresql://USER@HOST/NAME.")
    ],
    ledger: LedgerOption = "",
    as_json: options.JsonOption = False,
) -> None:
    """Write the ledger anew from its entries elsewhere: a backup, or a move to a server; its key goes along by hand."""
    voice = Voice(as_json)
    head = _ledger(ledger, None, create=False).copy(to)
    voice.answer({"head": str(head)}, lambda: f"Copied. Its key stays the one it was begun with. Head: {head}")


def ledger_address(given: str) -> str:
    """Return where the ledger is: the address given, else the environment's, else the default."""
    return given or os.environ.get(ADDRESS) or DEFAULT_LEDGER


def acted(store: Store, voice: Voice, shops: tuple[str, ...] = ()) -> Store:
    """Return the store knowing what the ledger that plans go by launched, where there is one that can be read.

    Args:
        store: The store.
        voice: Told where it cannot: who studies needs no ledger.
        shops: Whose launches count; all where empty.
    """
    try:
        record = _record("", store.provenance, store.span.last, voice, shops)
        return store if record is None else store.acted(record.deeds())
    except TradewindError as error:
        voice.note(f"What plans did is not known here, and may be taken for what sellers usually do. {error}")
        return store


def _record(
    given: str, origin: Provenance, last: date, voice: Voice, shops: tuple[str, ...] = ()
) -> Ledger | None:  # fmt: skip
    """Return the ledger that calibrates a plan: the one named, or the default one where it is there and fits.

    A plan of some shops is calibrated by what those shops launched; one of all by all.
    """
    address, named = ledger_address(given), bool(given or os.environ.get(ADDRESS))
    if "://" not in address and not Path(address).exists():
        if given:
            voice.note(f"There is no ledger at {address} yet: gains are taken as they are predicted.")
        return None  # the first plan comes before the first launch
    try:
        today = taken("", origin.simulated, last)
        return _ledger(given, origin.timezone, today, origin.simulated, create=False, shops=shops)
    except ConflictError as error:
        if named:
            raise
        voice.note(f"{address} tells nothing here. {error.what}.")
        return None


def _ledger(
    given: str, timezone: str | None, today: date | None = None, simulated: bool | None = None, *,
    create: bool = True, shops: tuple[str, ...] = (),
) -> Ledger:  # fmt: skip
    """Open the ledger, on a simulated day if one is given."""
    from tradewind.ledger import open_ledger  # noqa: PLC0415 - slow to load

    scope = Scope.of(shops) if shops else OPERATOR
    return open_ledger(ledger_address(given), scope, timezone, create=create, clock=today, simulated=simulated)


def taken(given: str, simulated: bool, last: date) -> date | None:
    """Return the day that it is taken to be: of simulated data the one given, else their last; None for the machine's.

    Raises:
        BadInputError: If a day is given and the data are not simulated, or it cannot be read.
    """
    if simulated:
        return _said(given) or last
    if given:
        raise BadInputError(
            "The day is the machine's, save for simulated data: a ledger that believes any day proves nothing",
            got=given, do="leave --today out",
        )  # fmt: skip
    return None


def _said(today: str) -> date | None:
    return day(today) if today else None


def day(text: str) -> date:
    """Return the day that was written; raise `BadInputError` where it is none."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadInputError("A day cannot be read", got=text, allowed="such as 2025-06-30") from None


def _user() -> str:
    """Return the name of whoever sits at the machine, or the number where it has no name there."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def _share(text: str) -> float | None:
    if text == "auto":
        return None
    try:
        return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise BadInputError("A holdout is a share", got=text, allowed="auto, or such as 0.1 or 10%") from None
