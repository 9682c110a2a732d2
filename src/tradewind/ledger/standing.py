"""Standing: what the ledger says of each experiment and launch, as one caller may see it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from tradewind.errors import CorruptLedgerError, NotFoundError
from tradewind.ledger import chain
from tradewind.ledger.chain import Entry
from tradewind.ledger.key import Key
from tradewind.ledger.lot import HOLDOUT, TREATED, Tally
from tradewind.ledger.promise import period_read, setting_read
from tradewind.ledger.reading import Kept, reading_read
from tradewind.ledger.schema import ASSIGNMENTS, ENTRIES, EXPERIMENTS, LAUNCHES, READINGS, STOPS, rows_of
from tradewind.period import Period
from tradewind.scope import Scope
from tradewind.study import Lever, Setting, Subject

_PAGE, _UNITS = 500, 50_000


class State(StrEnum):
    """How far an experiment has come."""

    WAITING = "waiting"
    RUNNING = "running"
    ECHOING = "echoing"
    DUE = "due"
    READ = "read"
    STOPPED = "stopped"
    UNPROVEN = "unproven"


@dataclass(frozen=True)
class Launch:
    """An action that was registered.

    Args:
        id: Its id: the same for the same shop, plan and action on every machine.
        plan: Name of its plan.
        action: Key of the action in the plan.
        lever: Its lever.
        subject: What it is pulled on.
        days: When it holds.
        setting: What was chosen, with what was promised.
        raw: The same before a calibration; None where none shrank it.
        arm: `treated` or `holdout` where the action as a whole drew one; a held-out action is not to be done. None
            where its customers drew theirs.
        who: Who launched it.
        at: When it was registered, ISO 8601, UTC.
        approved_by: Who approved it.
        approved_at: When.
        late: Whether it had begun before it was registered.
        stopped: The day on which it was stopped early, or None.
        why: Why it was stopped.
        assumptions: What its promise supposes, a sentence each; None of launches that do not say.
        source: Name of the source of the store that it was promised from; empty of launches that do not say.
        currency: ISO 4217 code of its money; empty alike.
        notice: What that store's data say of themselves; empty alike.
    """

    id: str
    plan: str
    action: str
    lever: Lever
    subject: Subject
    days: Period
    setting: Setting
    raw: Setting | None
    arm: str | None
    who: str
    at: str
    approved_by: str
    approved_at: str
    late: bool
    stopped: date | None = None
    why: str = ""
    assumptions: tuple[str, ...] | None = None
    source: str = ""
    currency: str = ""
    notice: str = ""

    @property
    def held(self) -> float:
        """Share of its days on which it held: less than one where it was stopped early."""
        return self.within(self.days)

    @property
    def lived(self) -> Period | None:
        """The days on which it held; None where it was stopped before the first."""
        last = self.days.last if self.stopped is None else min(self.stopped, self.days.last)
        return None if last < self.days.first else Period(self.days.first, last)

    def within(self, days: Period) -> float:
        """Return the share of its days on which it holds and that lie in a period."""
        lived = self.lived and self.lived.clipped(days)
        return lived.days / self.days.days if lived else 0.0


@dataclass(frozen=True)
class Experiment:
    """What is proven together: one action among its customers, or a group of like actions.

    Args:
        id: Its id.
        name: What it is called: the action's key, or the group's name.
        lever: The lever.
        unit: `customer`, where customers of an action drew arms, or `action`, where the subjects of a group's actions
            did.
        days: When it holds.
        due: Last day on which what it brings is counted. A stop does not move it: whoever looks and stops when it looks
            proven would let chance decide.
        arms: Propensity of each arm; only `treated` where nothing was held out.
        units: Number of units by arm.
        launches: Its launches.
        readings: What was read of it, in order.
    """

    id: str
    name: str
    lever: Lever
    unit: str
    days: Period
    due: date
    arms: Mapping[str, float]
    units: Mapping[str, int]
    launches: tuple[Launch, ...]
    readings: tuple[Kept, ...] = ()

    @property
    def currency(self) -> str:
        """ISO 4217 code of its money; empty where its launches do not say."""
        return self.launches[0].currency

    @property
    def proves(self) -> bool:
        """Whether something was held out at random, so that it can be read as randomised."""
        return HOLDOUT in self.arms

    @property
    def subjects(self) -> dict[str, str]:
        """The arm of each subject of its actions; one in both arms, as older lots left some, tells nothing."""
        seen: dict[str, set[str]] = {}
        for each in self.launches:
            seen.setdefault(each.subject.id, set()).add(each.arm or TREATED)
        return {unit: arms.pop() for unit, arms in seen.items() if len(arms) == 1}

    @property
    def treated(self) -> tuple[Launch, ...]:
        """The launches that were done, if only to some of their customers."""
        return tuple(launch for launch in self.launches if launch.arm != HOLDOUT)

    @property
    def done(self) -> float:
        """Share of what was promised that can come: of an action among its customers only the treated ones bring it."""
        return self.units.get("treated", 0) / max(sum(self.units.values()), 1) if self.unit == "customer" else 1.0

    @property
    def final(self) -> Kept | None:
        """The reading that counts: of all the days that count, and not corrected."""
        return next((kept for kept in self.readings if not kept.early and not kept.replaced), None)

    def state(self, today: date) -> State:
        """Return how far it has come on a day."""
        if self.final is not None:
            return State.READ
        if all(launch.held == 0 for launch in self.treated):
            return State.STOPPED  # before it began: there is nothing to read
        if today < self.days.first:
            return State.WAITING
        if today > self.due:
            return State.DUE if self.proves else State.UNPROVEN  # nothing was held out: nothing can be read
        stopped = all(launch.stopped is not None for launch in self.treated)
        return State.ECHOING if stopped or today > self.days.last else State.RUNNING


def experiments(connection: sa.Connection, key: Key, scope: Scope, plan: str | None = None) -> list[Experiment]:
    """Return the experiments of which the caller may see every launch, by age.

    Args:
        connection: A connection to the ledger.
        key: The ledger's key.
        scope: The caller's.
        plan: Only those of a plan.

    Returns:
        The experiments, with their launches and readings.

    Raises:
        CorruptLedgerError: If entries, or what other tables say of them, are not what was written.
    """
    chosen = sa.select(EXPERIMENTS.c.number).where(whole(scope))
    if plan is not None:
        chosen = chosen.where(_some(LAUNCHES.c.plan == plan))
    return list(_experiments(connection, key, chosen))


def experiment(connection: sa.Connection, key: Key, scope: Scope, id_: str) -> tuple[int, Experiment]:
    """Return an experiment with the number of its entry.

    Raises:
        NotFoundError: If there is none of that id, or the caller may not see all of it; the message tells no which.
        CorruptLedgerError: As `experiments`.
    """
    number = connection.scalar(sa.select(EXPERIMENTS.c.number).where(EXPERIMENTS.c.id == id_, whole(scope)))
    if number is None:
        raise NotFoundError(
            "There is no such experiment", got=id_, do="look at the ledger's status for those you may see"
        )
    [found] = _experiments(connection, key, sa.select(EXPERIMENTS.c.number).where(EXPERIMENTS.c.number == number))
    return number, found


def launches(connection: sa.Connection, key: Key, scope: Scope, plan: str | None = None) -> list[Launch]:
    """Return the launches that the caller may see, by age; also those whose group reaches beyond the caller's shops.

    Raises:
        CorruptLedgerError: As `experiments`.
    """
    chosen = sa.select(LAUNCHES.c.number).where(seen(scope))
    if plan is not None:
        chosen = chosen.where(LAUNCHES.c.plan == plan)
    return [launch for _, launch in launches_of(connection, key, chosen)]


def launch(connection: sa.Connection, key: Key, scope: Scope, id_: str) -> tuple[int, Launch]:
    """Return a launch with the number of its entry.

    Raises:
        NotFoundError: If there is none of that id that the caller may see; the message tells no which.
        CorruptLedgerError: As `experiments`.
    """
    number = connection.scalar(sa.select(LAUNCHES.c.number).where(LAUNCHES.c.id == id_, seen(scope)))
    if number is None:
        raise NotFoundError("There is no such launch", got=id_, do="look at the ledger's status for those you may see")
    [(_, found)] = launches_of(connection, key, sa.select(LAUNCHES.c.number).where(LAUNCHES.c.number == number))
    return number, found


def assigned(connection: sa.Connection, key: Key, number: int) -> Iterator[Sequence[tuple[str, str]]]:
    """Yield the units of the experiment of an entry with their arms, by page and unit.

    Raises:
        CorruptLedgerError: If the entry was changed; at the end, if they are not those that were registered.
    """
    said, tally = _entry(connection, key, number).said, Tally()
    rows = sa.select(ASSIGNMENTS.c.unit, ASSIGNMENTS.c.arm).where(ASSIGNMENTS.c.experiment == number)
    query = rows.order_by(ASSIGNMENTS.c.unit).execution_options(yield_per=_UNITS)
    for page in connection.execute(query).partitions():
        for unit, arm in page:
            tally.add(unit, arm)
        yield [(unit, arm) for unit, arm in page]
    if tally.digest != said["digest"]:
        raise CorruptLedgerError(
            "The units of an experiment are not those that were registered", got=said["experiment"],
            do="verify the ledger",
        )  # fmt: skip


def seen(scope: Scope) -> sa.ColumnElement[bool]:
    """Return the condition that a launch may be seen."""
    return sa.true() if scope.shops is None else LAUNCHES.c.shop.in_(sorted(scope.shops))


def whole(scope: Scope) -> sa.ColumnElement[bool]:
    """Return the condition that every launch of an experiment may be seen."""
    if scope.shops is None:
        return sa.true()
    return sa.not_(_some(sa.or_(LAUNCHES.c.shop.is_(None), LAUNCHES.c.shop.not_in(sorted(scope.shops)))))


def _some(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    return sa.exists().where(LAUNCHES.c.experiment == EXPERIMENTS.c.number, condition)


def _experiments(connection: sa.Connection, key: Key, chosen: sa.Select[tuple[int]]) -> Iterator[Experiment]:
    members: dict[int, list[Launch]] = {}
    of = sa.select(LAUNCHES.c.number).where(LAUNCHES.c.experiment.in_(chosen))
    for held, found in launches_of(connection, key, of):
        members.setdefault(held, []).append(found)
    readings: dict[int, list[Entry]] = {}
    for entry, row in _sealed(connection, key, READINGS, READINGS.c.experiment.in_(chosen)):
        readings.setdefault(row["experiment"], []).append(entry)
    for entry, _ in _sealed(connection, key, EXPERIMENTS, EXPERIMENTS.c.number.in_(chosen)):
        yield _experiment(entry.said, tuple(members[entry.number]), readings.get(entry.number, []))


def _experiment(said: Mapping[str, Any], members: tuple[Launch, ...], readings: Sequence[Entry]) -> Experiment:
    days = period_read(said["days"])
    corrected = {entry.said["replaces"] for entry in readings}
    kept = (
        Kept(reading_read(entry.said), place, entry.at, entry.who, entry.said["early"], str(place) in corrected)
        for place, entry in enumerate(readings, start=1)
    )
    return Experiment(
        said["experiment"], said["name"], Lever(said["lever"]), said["unit"], days,
        date.fromisoformat(said["due"]),
        {arm: float(share) for arm, share in said["arms"].items()},
        {arm: int(count) for arm, count in said["units"].items()}, members, tuple(kept),
    )  # fmt: skip


def launches_of(
    connection: sa.Connection, key: Key, chosen: sa.Select[tuple[int]]
) -> Iterator[tuple[int, Launch]]:  # fmt: skip
    """Yield the launches whose entries are chosen, each with the number of its experiment's entry, by age.

    Raises:
        CorruptLedgerError: As `experiments`.
    """
    _spread(connection)
    stops = {row["launch"]: entry.said for entry, row in _sealed(connection, key, STOPS, STOPS.c.launch.in_(chosen))}
    for entry, row in _sealed(connection, key, LAUNCHES, LAUNCHES.c.number.in_(chosen)):
        said, ended = entry.said, stops.get(entry.number)
        promise, approval = said["promise"], said["approval"]
        subject = promise["subject"]
        yield row["experiment"], Launch(
            said["launch"], said["plan"], promise["key"], Lever(promise["lever"]),
            Subject(subject["kind"], subject["id"], subject["shop"], subject["partner"]), period_read(promise["days"]),
            setting_read(promise["menu"][int(promise["place"])]),
            None if promise["raw"] is None else setting_read(promise["raw"]), said["arm"], entry.who, entry.at,
            approval["who"], approval["at"], said["late"],
            date.fromisoformat(ended["day"]) if ended else None, ended["reason"] if ended else "",
            None if (supposed := said.get("assumptions")) is None else tuple(supposed),
            said.get("source", ""), said.get("currency", ""), said.get("notice", ""),
        )  # fmt: skip


def _entry(connection: sa.Connection, key: Key, number: int) -> Entry:
    entry = Entry(*connection.execute(ENTRIES.select().where(ENTRIES.c.number == number)).one())
    if not chain.fits(key, entry):
        raise _changed()
    return entry


def _sealed(
    connection: sa.Connection, key: Key, table: sa.Table, chosen: sa.ColumnElement[bool]
) -> Iterator[tuple[Entry, dict[str, Any]]]:
    """Yield the entries of chosen rows of a table with what those say, by age; refuse what was changed."""
    width = len(table.columns)
    rows = connection.execute(
        sa.select(*table.c, *ENTRIES.c)
        .join(ENTRIES, ENTRIES.c.number == table.c.number, isouter=True)
        .where(chosen)
        .order_by(table.c.number)
        .execution_options(yield_per=_PAGE)
    )
    for fields in rows:
        entry, row = Entry(*fields[width:]), dict(zip(table.c.keys(), fields[:width], strict=True))
        if not chain.fits(key, entry) or list(rows_of(entry)) != [(table, row)]:
            raise _changed()
        yield entry, row


def _spread(connection: sa.Connection) -> None:
    """Refuse a ledger from which entries, or what other tables say of them, were taken out before its last one."""
    count, last = connection.execute(sa.select(sa.func.count(), sa.func.max(ENTRIES.c.number))).one()
    tables = {chain.EXPERIMENT: EXPERIMENTS, chain.LAUNCH: LAUNCHES, chain.STOP: STOPS, chain.READING: READINGS}
    gone = (
        sa.and_(ENTRIES.c.kind == kind, ~sa.exists().where(table.c.number == ENTRIES.c.number))
        for kind, table in tables.items()
    )
    if count != (last or 0) or connection.scalar(sa.select(ENTRIES.c.number).where(sa.or_(*gone)).limit(1)) is not None:
        raise _changed()


def _changed() -> CorruptLedgerError:
    return CorruptLedgerError(
        "An entry of the ledger was changed after it was written, or what another table says of it",
        do="verify the ledger: tradewind ledger verify",
    )
