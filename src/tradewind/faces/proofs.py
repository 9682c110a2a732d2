"""Plans and what became of them, on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tradewind.decisions.plan import Held
from tradewind.decisions.plan.proof import Early
from tradewind.faces import proving, terminal
from tradewind.faces.planning import Planned
from tradewind.ledger import Experiment, Exported, Head, Launch, Receipt, State, Status, Track, Verdict
from tradewind.ledger.track import Pair
from tradewind.methods.moments import Verdict as Told
from tradewind.money import human, several
from tradewind.study import Estimate

ROWS = 30
PROMISED = (
    "Promised: the gain of all parties by what is done to the treated. Of products only what their own sales bring, "
    "since what others gain or lose by it does not show where products are held out."
)
NAMED = 20  # letters of a word in a name that are kept together


def planned(found: Planned, files: Sequence[Path], limit: int) -> RenderableType:
    """Return a plan: the study of it, and where its files are."""
    parts: list[RenderableType] = [terminal.study(found.answer, limit)]
    if files:
        folder = files[0].parent
        lines = Text.assemble("Written to ", (str(folder), "bold"), ": ", ", ".join(file.name for file in files), ".")
        lines.append(f"\nNext: look at {folder / 'plan.html'}, then tradewind ledger launch {folder}", "dim")
        parts.append(Padding(lines, (1, 0, 0, 0)))
    return Group(*parts)


def launched(receipt: Receipt, held: Sequence[Held], files: Sequence[Path], weighed: bool) -> RenderableType:
    """Return what a launch registered.

    Args:
        receipt: What the ledger wrote.
        held: Who is held out of each action.
        files: The file of the head, the file that says what is done, and the file that says who gets it.
        weighed: Whether holdouts were weighed, not given.
    """
    table = _table("Experiment", "Lever", "Treated", "Held out", "Days", "Read after")
    for each in receipt.experiments[:ROWS]:
        count = each.units
        table.add_row(
            each.name, str(each.lever), f"{count.get('treated', 0):,}", f"{count.get('holdout', 0):,}",
            f"{each.days.first} to {each.days.last}", str(each.due),
        )  # fmt: skip
    parts: list[RenderableType] = [
        Text(
            f"Registered {several(len(held), 'action')} of the plan {receipt.plan}: "
            f"{several(len(receipt.experiments), 'experiment')}.",
            style="bold",
        ),
        table, *_more(len(receipt.experiments)),
    ]  # fmt: skip
    of: dict[str, list[str]] = {}
    for one in held:
        of.setdefault(one.sentence, []).append(one.choice.action.key)
    for sentence, keys in sorted(of.items(), key=lambda item: (-len(item[1]), item[0]))[:8]:
        parts.append(
            Text(f"  • {keys[0] if len(keys) == 1 else several(len(keys), 'action')}: {sentence}", style="dim")
        )
    small = sum(not each.learnable and each.share > 0 for each in held) if weighed else 0
    if small:
        parts.append(
            Text(
                f"{small:,} of {len(held):,} cannot be proven alone, being small: read together they still calibrate "
                "the next plan.", "yellow",
            )
        )  # fmt: skip
    if bare := sum(each.share == 0 for each in held):
        parts.append(Text(f"{bare:,} of {len(held):,} hold nothing out: they prove and calibrate nothing.", "yellow"))
    parts.append(
        Text.assemble(
            "What is done: ", (str(files[1]), "bold"), ", and who gets it: ", (str(files[-1]), "bold"),
            ". The ledger's head is in ", (str(files[0]), "bold"),
            f": keep it, it shows whether the history was changed.\nHead: {receipt.head}",
        )
    )  # fmt: skip
    return Group(*parts)


def status(found: Status) -> RenderableType:
    """Return what a ledger says today."""
    if not found.launches:
        return Text("Nothing was launched yet. Make a plan: tradewind plan --budget platform=50000 --out plan/")
    if not found.experiments:
        return Text(
            f"{len(found.launches):,} actions of these shops are launched, in experiments that reach beyond them: what "
            "is read of those is the operator's."
        )
    table = _table("Experiment", "State", "Promised", "Proven", "Days", "Read after", "Treated, held out")
    names = [each.name for each in found.experiments]
    for column, words in ((0, names), (1, list(State)), (4, ["2025-01-01"])):
        table.columns[column].min_width = min(max(len(word) for text in words for word in text.split()), NAMED)
    for each in found.experiments[:ROWS]:
        count = each.units
        promised = proving.promised(each)
        proven = each.final.reading.joint if each.final else None
        table.add_row(
            each.name, str(each.state(found.today)),
            "" if promised is None else human(promised, "money", each.currency, signed=True),
            "" if proven is None else human(proven, "money", each.currency, signed=True),
            f"{each.days.first} to {each.days.last}", str(each.due),
            f"{count.get('treated', 0):,}, {count.get('holdout', 0):,}",
        )  # fmt: skip
    counts = {state: len(found.at(state)) for state in State}
    said = ", ".join(f"{count:,} {state}" for state, count in counts.items() if count)
    parts: list[RenderableType] = [
        Text(f"{found.today}: {several(len(found.experiments), 'experiment')}: {said}.", style="bold"),
        table, *_more(len(found.experiments)), Text(PROMISED, style="dim"),
    ]  # fmt: skip
    if counts[State.DUE]:
        parts.append(Text("Next: tradewind ledger read", style="dim"))
    return Group(*parts)


def readings(
    read: proving.Read, looks: Sequence[tuple[Experiment, Early | str]], currency: str, day: date, head: Head
) -> RenderableType:
    """Return what was read on a day, what those under way tell so far, and the ledger's head."""
    parts: list[RenderableType] = []
    if not read.found and not read.unread:
        parts.append(Text(f"Nothing is due to be read on {day}. See tradewind ledger status for the days."))
    else:
        parts.append(Text(f"Read {several(len(read.found), 'experiment')}.", style="bold"))
    if read.found:
        table = _table("Experiment", "Lever", "Promised", "Proven", "Treated", "Held out", "Verdict")
        for each, kept in read.found[:ROWS]:
            joint, count = kept.reading.joint, kept.reading.units
            promised = proving.promised(each)
            table.add_row(
                each.name, str(each.lever),
                "" if promised is None else human(promised, "money", currency, signed=True),
                "" if joint is None else human(joint, "money", currency, signed=True), f"{count.get('treated', 0):,}",
                f"{count.get('holdout', 0):,}", "" if joint is None else Told.of(joint),
            )  # fmt: skip
        parts += [table, *_more(len(read.found)), Text(PROMISED, style="dim")]
        told = [(each.name, kept.reading) for each, kept in read.found[:ROWS] if kept.reading.note]
        parts += [
            Text(
                f"  • {name}: {reading.note}",
                style="yellow" if reading.skewed or reading.crossed or reading.undone else "dim",
            )
            for name, reading in told
        ]
    parts += [Text(f"  • {why}", style="yellow") for why in list(read.unread.values())[:ROWS]]
    if read.found:
        parts.append(Text(f"Head: {head}\nKeep it: it shows whether a reading was taken out."))
        again = " (or, once missing days are imported: tradewind ledger read --again ID)" if told else ""
        parts.append(Text(f"Next: tradewind ledger calibrate{again}", style="dim"))
    return Group(*parts, *_looked(looks, currency))


def _looked(looks: Sequence[tuple[Experiment, Early | str]], currency: str) -> list[RenderableType]:
    """Return what experiments under way tell so far."""
    if not looks:
        return []
    table = _table("Experiment", "Lever", "Days so far", "Gained so far", "Verdict")
    for each, look in looks[:ROWS]:
        if not isinstance(look, str):
            days = f"{look.days.days} of {look.of.days}"
            gained = human(look.joint, "money", currency, signed=True)
            table.add_row(each.name, str(each.lever), days, gained, Told.of(look.joint))
    told = [Text(f"\nUnder way: {several(len(looks), 'experiment')}. What they tell so far:", style="bold")]
    parts: list[RenderableType] = [*told, *([table] if table.row_count else []), *_more(len(looks))]
    parts += [Text(f"  • {each.name}: {look}", style="dim") for each, look in looks[:ROWS] if isinstance(look, str)]
    if table.row_count:
        parts.append(Text("These intervals hold however often you look. Nothing of them is kept.", style="dim"))
    if harmful := [each.id for each, look in looks if not isinstance(look, str) and look.joint.high < 0]:
        parts.append(Text(f"Stop what harms: tradewind ledger stop {' '.join(harmful[:ROWS])}", style="yellow"))
    return parts


def stopped(found: Sequence[Launch], head: Head) -> RenderableType:
    """Return what was stopped, and the ledger's head after it."""
    lines = [f"Stopped as of {each.stopped}: {each.plan}/{each.action}" for each in found[:ROWS]]
    return Group(*map(Text, lines), *_more(len(found)), Text(f"Head: {head}"))


def exported(found: Exported, head: Path, deeds: Path) -> RenderableType:
    """Return where the deeds and the arms of a plan were written."""
    return Text(
        f"What is done: {deeds}. Who gets it: {found.file}, {found.rows:,} rows. The ledger's head is in {head}."
    )


def calibrated(record: Track, experiments: Sequence[Experiment]) -> RenderableType:
    """Return what predictions were worth, lever by lever, of experiments that a ledger holds."""
    found, of = record.calibrated(), {each.id: each for each in experiments}
    left = [(of[id_].name, why) for id_, why in list(record.left_out.items())[:ROWS]]
    if not record.pairs:
        lines = Text("Nothing was proven yet: plans take predictions as they are.", style="bold")
        for name, why in left:
            lines.append(f"\n  • {name}: {why}", style="dim")
        return Group(lines, *_more(len(record.left_out)))
    table = _table(
        "Lever", "Proven experiments", "Came true, share of what was promised", "Interval should be wider by"
    )
    for lever, worth in found.levers.items():
        width = worth.width
        table.add_row(lever, f"{worth.readings:,}", human(worth.factor, "share"), f"× {width.mid:.2f}")
    by_currency: dict[str, list[Pair]] = {}
    for pair in record.pairs:  # stores of several currencies may share a ledger
        by_currency.setdefault(of[pair.experiment].currency, []).append(pair)
    parts: list[RenderableType] = [Text(_came_true(by_currency[c], c), style="bold") for c in sorted(by_currency)]
    parts.append(table)
    parts += [Text(f"  • {name} is left out: {why}", style="dim") for name, why in left]
    parts += _more(len(record.left_out))
    parts.append(
        Text(
            "Promised is counted here for what was truly done, as far as the store tells. The next `tradewind plan` "
            "scales its gains by these.", style="dim",
        )
    )  # fmt: skip
    return Group(*parts)


def _came_true(pairs: Sequence[Pair], currency: str) -> str:
    promised = sum(pair.promised.mid for pair in pairs)
    proven = Estimate.added([pair.proven for pair in pairs], shared=0.0)
    agree = sum(pair.promised.low <= pair.proven.high and pair.proven.low <= pair.promised.high for pair in pairs)
    said = (
        f"Of {human(promised, 'money', currency)} promised by {several(len(pairs), 'experiment')}, "
        f"{human(proven, 'money', currency)} was read; "
        + (f"the intervals of {agree:,} readings meet" if agree != 1 else "the interval of 1 reading meets")
        + " what was promised."
    )
    if proven.low <= min(promised, 0.0) and proven.high >= max(promised, 0.0):
        said += " It can be told neither from nothing nor from what was promised: too few units were held out."
    return said


def verdict(found: Verdict) -> RenderableType:
    """Return whether a ledger is what was written into it."""
    if found.sound:
        count = "" if found.count is None else f": {found.count:,} entries"
        return Text(f"The ledger is what was written into it{count}.", style="green")
    where = "" if found.entry is None else f" Entry {found.entry:,}: "
    return Text(f"The ledger is not what was written into it.{where}{found.what}.", style="bold red")


def _table(*titles: str) -> Table:
    table = Table(*titles, box=None, header_style="dim", padding=(0, 2, 0, 0), pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    return table


def _more(count: int) -> list[RenderableType]:
    return [Text(f"… and {count - ROWS:,} more", style="dim")] if count > ROWS else []
