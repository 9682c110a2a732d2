"""Proving, as every face does it: every experiment that is due is read from the store's orders and kept."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tradewind import progress
from tradewind.errors import BadInputError, ConflictError, CorruptLedgerError, MissingDataError
from tradewind.ledger import Experiment, Kept, Ledger, Reading, State
from tradewind.study import Column, Estimate, Grid, Party

if TYPE_CHECKING:
    from tradewind.decisions.plan.proof import Early
    from tradewind.engines.store import Store


@dataclass(frozen=True)
class Read:
    """What came of reading all that is due.

    Args:
        found: Experiments that were read, each with what is kept of it.
        unread: By id of an experiment, its name and why it could not be read.
    """

    found: tuple[tuple[Experiment, Kept], ...]
    unread: dict[str, str]


def read_due(store: Store, ledger: Ledger, who: str, again: Collection[str] = ()) -> Read:
    """Read every experiment that is due, and keep what was found.

    Args:
        store: The store.
        ledger: The ledger.
        who: Who reads.
        again: Ids of experiments that were read already and are read once more, such as after days were imported anew:
            the new reading corrects the old one, and both are kept.

    Raises:
        NotFoundError: If one to be read again is not there.
        BadInputError: If it was not read yet.
    """
    from tradewind.decisions.plan import proof  # noqa: PLC0415 - slow to load

    due, found, unread = [*_read_before(ledger, again), *ledger.status().at(State.DUE)], [], {}
    for n, each in enumerate(due):
        progress.told(f"reading {each.name}", n, len(due))
        try:
            _promised_here(store, each)
            reading = proof.read(store, each, ledger.arms(each.id), ledger.crossings(each.id))
            if each.final is not None:
                reading = _correction(reading, each.final)
            found.append((each, ledger.read(reading, who)))
        except (BadInputError, MissingDataError, ConflictError, CorruptLedgerError) as error:
            unread[each.id] = f"{each.name}: {error}"
    return Read(tuple(found), unread)


def _read_before(ledger: Ledger, ids: Collection[str]) -> list[Experiment]:
    found = [ledger.experiment(id_) for id_ in dict.fromkeys(ids)]
    if unread := [each.id for each in found if each.final is None]:
        raise BadInputError(
            "What was not read yet is not read again", got=", ".join(unread), do="leave --again out: read what is due"
        )
    return found


def _correction(reading: Reading, of: Kept) -> Reading:
    if replace(reading, replaces=of.reading.replaces) == of.reading:
        raise ConflictError("It reads as it did before", do="nothing: the reading that is kept stands")
    if reading.missing > of.reading.missing:
        raise ConflictError(
            "Days that the kept reading counted are missing from the store now", got=f"{reading.missing} days",
            allowed=f"at most {of.reading.missing}", do="import them and read again; the kept reading stands till then",
        )  # fmt: skip
    return replace(reading, replaces=of.place)


def look(store: Store, ledger: Ledger, each: Experiment) -> Early | str | None:
    """Return what an experiment that has begun and is not due tells so far, or why it tells nothing; None of others."""
    from tradewind.decisions.plan import proof  # noqa: PLC0415 - slow to load

    under_way = each.proves and each.state(ledger.today) in {State.RUNNING, State.ECHOING}
    if not under_way or each.days.first > store.span.last:
        return None
    progress.told(f"looking at {each.name}", 0, 1)
    try:
        _promised_here(store, each)
        return proof.look(store, each, ledger.arms(each.id), ledger.today)
    except (BadInputError, MissingDataError, ConflictError, CorruptLedgerError) as error:
        return str(error)


def looks(store: Store, ledger: Ledger) -> tuple[tuple[Experiment, Early | str], ...]:
    """Return what each experiment under way tells so far, see `look`."""
    found = ((each, look(store, ledger, each)) for each in ledger.status().experiments)
    return tuple((each, seen) for each, seen in found if seen is not None)


def _promised_here(store: Store, experiment: Experiment) -> None:
    """Refuse to read what was promised from another store, or under other assumptions than it is looked at with now."""
    origin = store.provenance
    now = origin.assumptions
    supposed = store.assumptions.sentences()  # also where all costs have come since, so that nothing rests on it
    for launch in experiment.launches:
        for what, said, here in (
            ("source", launch.source, origin.source), ("currency", launch.currency, origin.currency),
            ("notice", launch.notice, origin.notice),
        ):  # fmt: skip
            if said not in ("", here):
                raise BadInputError(
                    f"What was promised is of other data than this store: its {what} differs", got=here, allowed=said,
                    do="read it from the store that it was launched on"
                    + (", or import this one anew under its old notice" if what == "notice" else ""),
                )  # fmt: skip
        if launch.assumptions not in (None, now, supposed):
            raise BadInputError(
                "What was promised rests on other assumptions than those given here",
                got=" ".join(now) or "none", allowed=" ".join(launch.assumptions or ()) or "none",
                do="read it under the same --assume",
            )  # fmt: skip


def promised(experiment: Experiment, party: Party | None = None) -> Estimate | None:
    """Return what was promised of what was done in an experiment: not of who is held out, nor of days after a stop.

    Args:
        experiment: The experiment.
        party: Whose gain, or None for all parties together.

    Returns:
        The sum over its launches, added as a plan adds them; None where one of them does not say.
    """
    parts = []
    for launch in experiment.treated:
        gain = launch.setting.shown if party is None else launch.setting.gain.get(party)
        if gain is None:
            return None
        parts.append(gain.scaled(experiment.done * launch.held))
    return Estimate.added(parts) if parts else None


def standing(ledger: Ledger, plan: str | None = None) -> Grid:
    """Return promised beside proven, a row an experiment."""
    status = ledger.status(plan)
    rows = tuple(
        {
            "name": each.name, "href": f"/ledger/{each.id}", "plan": each.launches[0].plan, "lever": str(each.lever),
            "state": str(each.state(status.today)), "first": each.days.first, "last": each.days.last, "due": each.due,
            "treated": each.units.get("treated", 0), "held_out": each.units.get("holdout", 0),
            "promised": promised(each), "proven": each.final.reading.joint if each.final else None,
        }
        for each in reversed(status.experiments)
    )  # fmt: skip
    columns = (
        Column("name", "Experiment"), Column("lever", "Lever"), Column("state", "State"),
        Column("promised", "Promised", "money"), Column("proven", "Proven", "money"),
        Column("treated", "Treated", "count"), Column("held_out", "Held out", "count"),
        Column("first", "From", "day"), Column("last", "To", "day"), Column("due", "Read after", "day"),
        Column("plan", "Plan"),
    )  # fmt: skip
    return Grid(columns, rows)


def record(ledger: Ledger) -> Grid:
    """Return how much of what was promised came true, a row a lever of which something was proven."""
    found = ledger.track().calibrated()
    rows = tuple(
        {"lever": lever, "readings": worth.readings, "factor": worth.factor, "width": worth.width.mid}
        for lever, worth in sorted(found.levers.items())
    )
    columns = (
        Column("lever", "Lever"), Column("readings", "Proven experiments", "count"),
        Column("factor", "Came true, of what was promised", "share"),
        Column("width", "Intervals should be wider by a factor of", "ratio"),
    )  # fmt: skip
    return Grid(columns, rows)
