"""The ledger: what was promised, launched, held out and proven, as one caller may see it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from tradewind.database import Database
from tradewind.errors import ConflictError, CorruptLedgerError, ForbiddenError
from tradewind.ledger import (
    admission,
    chain,
    copying,
    crossing,
    export,
    reading,
    registration,
    standing,
    track,
    verification,
)
from tradewind.ledger.appender import Appender, Clock, first_entry, last_entry
from tradewind.ledger.chain import Head
from tradewind.ledger.crossing import Crossing
from tradewind.ledger.export import Exported
from tradewind.ledger.key import Key
from tradewind.ledger.lot import HOLDOUT
from tradewind.ledger.promise import Approval, Promise, name, sentence
from tradewind.ledger.reading import Kept, Reading
from tradewind.ledger.registration import Terms
from tradewind.ledger.schema import LEDGER
from tradewind.ledger.standing import Experiment, Launch, State
from tradewind.ledger.track import Track
from tradewind.ledger.verification import Verdict
from tradewind.period import Period
from tradewind.scope import Scope
from tradewind.study import Deed, Evidence, Party


@dataclass(frozen=True)
class Receipt:
    """What a launch wrote.

    Args:
        plan: Name of the plan.
        head: How far the ledger had come with it; to be kept with the plan, outside the ledger.
        experiments: What was registered. Only their `treated` launches are to be done.
    """

    plan: str
    head: Head
    experiments: tuple[Experiment, ...]


@dataclass(frozen=True)
class Status:
    """What the ledger says on a day.

    Args:
        today: The day.
        experiments: The experiments that the caller sees whole, by age.
        launches: Every launch that the caller sees, also of experiments that reach beyond the caller's shops.
    """

    today: date
    experiments: tuple[Experiment, ...]
    launches: tuple[Launch, ...]

    def at(self, *states: State) -> tuple[Experiment, ...]:
        """Return the experiments that are in one of these states."""
        return tuple(each for each in self.experiments if each.state(self.today) in states)

    def drawn(self, days: Period, counted: Callable[[Launch], bool]) -> dict[Party, float]:
        """Return what launched actions are expected to draw from each payer in some days, evenly over their own days.

        Args:
            days: The days.
            counted: Which launches count.

        Returns:
            Money by payer, of what is done only: not of what is held out, nor of days after a stop.
        """
        done = {launch.id: each.done for each in self.experiments for launch in each.launches}
        found: dict[Party, float] = {}
        for launch in self.launches:
            share = launch.within(days) * done.get(launch.id, 1.0)
            if launch.arm != HOLDOUT and share > 0 and counted(launch):
                for payer, cost in launch.setting.cost.items():
                    found[payer] = found.get(payer, 0.0) + share * cost
        return found


class Ledger:
    """A ledger, opened by `opening.open_ledger`.

    Args:
        database: Where it lives.
        key: What seals its entries.
        scope: Which shops the caller may see.
        timezone: Whose days count: the store's.
        clock: What says the time; None where days are simulated and nobody said which it is.
    """

    def __init__(self, database: Database, key: Key, scope: Scope, timezone: ZoneInfo, clock: Clock | None):
        self._database = database
        self._key = key
        self.scope = scope
        self.timezone = timezone
        self._clock = clock

    def seen_by(self, scope: Scope) -> Ledger:
        """Return the same ledger as a caller of a narrower scope sees it.

        Raises:
            ForbiddenError: If the scope is wider than this one.
        """
        narrow = self.scope.limited(scope)
        return Ledger(self._database, self._key, narrow, self.timezone, self._clock)

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    @property
    def timeless(self) -> bool:
        """Whether it is of simulated data and nobody said which day it is, so that it is only read."""
        return self._clock is None

    @property
    def now(self) -> datetime:
        """The moment, in UTC: of a simulated ledger without a clock that of its last entry."""
        if self._clock is not None:
            return self._clock()
        with self._database.reading() as connection:
            return self._moment(connection)

    @property
    def today(self) -> date:
        """The day, in the ledger's timezone."""
        return self._day(self.now)

    def launch(
        self, plan: str, promises: Sequence[Promise], approval: Approval, who: str, terms: Terms | None = None
    ) -> Receipt:
        """Register a plan's actions before they start, and draw who goes without; all of it, or nothing.

        Args:
            plan: Name of the plan: with its key an action is launched once.
            promises: What is to be launched.
            approval: Who approved it, and when.
            who: Who launches it.
            terms: How it is registered.

        Returns:
            What was written, with the head to keep.

        Raises:
            ConflictError: If an action is launched already, or its units are in another one of the same lever, shop and
                days.
            ForbiddenError: If a subject lies outside the caller's scope.
            BadInputError: If a promise cannot be kept or proven as asked, has begun, or rests on expired numbers.
            BusyError: If another launch does not end in time.
            CorruptLedgerError: If the ledger is not what was written into it.
        """
        terms = terms or Terms()
        name(who, "Who launches")
        drafts = registration.draft(plan, promises, approval, terms, self.scope)
        with self._database.writing() as connection:
            appender = self._appender(connection)
            if not (found := verification.verify(connection, self._key, (), units=False)).sound:
                raise CorruptLedgerError(
                    "The ledger is not what was written into it, so that nothing is launched",
                    got=found.what if self.scope.everything else None,
                    do="say which entry is the first to differ: tradewind ledger verify",
                )
            registration.register(appender, drafts, who, self._day(appender.now), terms)
            ids = [draft.said["experiment"] for draft in drafts]
            made = tuple(standing.experiment(connection, self._key, self.scope, id_)[1] for id_ in ids)
            return Receipt(plan, self._head(connection), made)

    def stop(self, launch: str, who: str, reason: str) -> Launch:
        """Note that a launched action is stopped early, see `stop_all`, and return the launch as it stands then."""
        [stopped] = self.stop_all([launch], who, reason)
        return stopped

    def stop_all(self, launches: Sequence[str], who: str, reason: str) -> list[Launch]:
        """Note that launched actions are stopped early, as of today: all of them, or none.

        Args:
            launches: Ids of the launches, each once.
            who: Who stops them.
            reason: Why.

        Returns:
            The launches as they stand then.

        Raises:
            NotFoundError: If the caller sees no such launch.
            ConflictError: If one was stopped already, is over, or was held out.
            CorruptLedgerError: If one is not what was registered.
        """
        name(who, "Who stops")
        sentence(reason, "The reason")
        with self._database.writing() as connection:
            appender = self._appender(connection)
            today = self._day(appender.now)
            for launch in launches:
                number, found = standing.launch(connection, self._key, self.scope, launch)
                if found.stopped is not None:
                    raise ConflictError("This launch was stopped already", got=f"{found.action}, {found.stopped}")
                if found.arm == HOLDOUT:
                    raise ConflictError("This action was held out, and never launched", got=found.action)
                if found.days.last < today:
                    raise ConflictError("This action is over", got=f"{found.action}, {found.days}")
                appender.add(
                    chain.STOP, who, {"launch": found.id, "entry": str(number), "day": str(today), "reason": reason}
                )
            return [standing.launch(connection, self._key, self.scope, launch)[1] for launch in launches]

    def read(self, found: Reading, who: str) -> Kept:
        """Keep what an experiment was found to have done; a look at some of the days is marked as early.

        Args:
            found: The reading.
            who: Who read it.

        Returns:
            The reading as it is kept.

        Raises:
            NotFoundError: If the caller sees no such experiment whole.
            BadInputError: If it cannot be of this experiment, or claims more than was earned.
            ConflictError: If the experiment was read already and this one does not say what it corrects.
        """
        name(who, "Who reads")
        with self._database.writing() as connection:
            number, of = standing.experiment(connection, self._key, self.scope, found.experiment)
            appender = self._appender(connection)
            early = admission.admit(found, of, self._day(appender.now))
            appender.add(chain.READING, who, reading.reading_said(found, number, early))
            return standing.experiment(connection, self._key, self.scope, found.experiment)[1].readings[-1]

    def status(self, plan: str | None = None) -> Status:
        """Return what waits, runs, is due to be read and was read.

        Args:
            plan: Only what belongs to a plan of this name.

        Returns:
            The status today.
        """
        with self._database.reading() as connection:
            whole = standing.experiments(connection, self._key, self.scope, plan)
            today = self._day(self._moment(connection))
            return Status(today, tuple(whole), tuple(standing.launches(connection, self._key, self.scope, plan)))

    def deeds(self) -> tuple[Deed, ...]:
        """Return what launched plans did to what the caller sees: on what, on which days; of those held out nothing.

        A store that knows them (`Store.acted`) takes none of it for a habit of sellers.
        """
        lived = ((each, each.lived) for each in self.status().launches if each.arm != HOLDOUT)
        return tuple(Deed(each.lever, each.subject, days) for each, days in lived if days is not None)

    def experiment(self, id_: str) -> Experiment:
        """Return an experiment; raise `NotFoundError` where the caller sees no such one whole."""
        with self._database.reading() as connection:
            return standing.experiment(connection, self._key, self.scope, id_)[1]

    def arms(self, id_: str) -> dict[str, str]:
        """Return the arm of each unit of an experiment: of its customers, or of the subjects of its group's actions.

        A subject on which one action was done and another held out tells nothing, and is left out: lots draw subjects
        now, older ones drew actions.

        Raises:
            NotFoundError: If the caller sees no such experiment whole.
            CorruptLedgerError: If its units or entries are not those that were registered.
        """
        with self._database.reading() as connection:
            number, found = standing.experiment(connection, self._key, self.scope, id_)
            if found.unit == "customer":
                return {unit: arm for page in standing.assigned(connection, self._key, number) for unit, arm in page}
        return found.subjects

    def crossings(self, id_: str) -> tuple[Crossing, ...]:
        """Return what plans that were launched since an experiment began took of its units, arm by arm.

        A plan that picks by what sold since takes more of one arm, and moves the reading.

        Raises:
            NotFoundError: If the caller sees no such experiment whole.
            CorruptLedgerError: If entries are not those that were registered.
        """
        with self._database.reading() as connection:
            number, found = standing.experiment(connection, self._key, self.scope, id_)
            return crossing.crossings(connection, self._key, self.scope, number, found)

    def head(self) -> Head:
        """Return how far the ledger has come, to be kept outside it."""
        with self._database.reading() as connection:
            return self._head(connection)

    def reach(self, head: Head) -> None:
        """Refuse where the entries no longer lead to a head that was kept outside; `verify` looks at units too.

        Raises:
            ConflictError: If the head is of another ledger.
            CorruptLedgerError: If the ledger was cut or written anew since.
        """
        with self._database.reading() as connection:
            own = self._head(connection)
            found = verification.verify(connection, self._key, [head], units=False)
        if head.ledger != own.ledger:
            raise ConflictError(
                "The head that was kept is of another ledger", got=head.ledger, allowed=own.ledger,
                do="name the ledger that it is of: --ledger ADDRESS; if it should be this one, this one was begun anew",
            )  # fmt: skip
        if not found.sound:
            raise CorruptLedgerError(
                "The ledger was cut or written anew: its entries do not lead to the head that was kept", got=head,
                do="keep that head, and say which entry is the first to differ: tradewind ledger verify PLAN",
            )  # fmt: skip

    def verify(self, heads: Sequence[Head] = ()) -> Verdict:
        """Say whether the ledger is what was written into it, and which entry is the first that does not fit.

        Args:
            heads: Heads that were kept outside. Without one, a history that was cut at its end looks like a short one.

        Returns:
            The verdict; to a caller who does not see all shops it says only whether all is well.
        """
        with self._database.reading() as connection:
            found = verification.verify(connection, self._key, heads)
        if self.scope.everything:
            return found
        return Verdict(found.sound, None, None, "" if found.sound else "The ledger is not what was written into it")

    def export(self, file: Path, plan: str | None = None, launches: Collection[str] | None = None) -> Exported:
        """Write who drew which arm to a CSV or Parquet file, with the ledger's head beside it.

        Args:
            file: Where to; its ending says which format.
            plan: Only what belongs to a plan of this name.
            launches: Only the experiments that hold one of these launches, by id.

        Returns:
            What was written.

        Raises:
            BadInputError: If the ending is of another format.
            CorruptLedgerError: If units are not those that were registered.
        """
        with self._database.reading() as connection:
            found = standing.experiments(connection, self._key, self.scope, plan)
            if launches is not None:
                found = [each for each in found if any(launch.id in launches for launch in each.launches)]
            return export.export(connection, self._key, found, self._head(connection), file)

    def track(self, party: Party | None = None, weakest: Evidence = Evidence.RANDOMISED) -> Track:
        """Return what was promised beside what was proven, for calibration.

        Args:
            party: Whose gain, or None for all parties together.
            weakest: Weakest evidence of a reading that counts as proof.

        Returns:
            The record, of the caller's own shops only.
        """
        status = self.status()
        due = frozenset(each.id for each in status.at(State.DUE))
        return track.track(status.experiments, due, party, weakest)

    def copy(self, address: str | Path) -> Head:
        """Copy the ledger into an empty file or database, under the same key.

        Args:
            address: Where to.

        Returns:
            The head of both.

        Raises:
            ForbiddenError: If the caller is no operator.
            ConflictError: If there is a ledger already.
            CorruptLedgerError: If entries or units do not fit their seals.
        """
        if not self.scope.everything:
            raise ForbiddenError("Only an operator copies a ledger")
        target = Database(LEDGER, address)
        try:
            with self._database.reading() as source, target.preparing(create=True) as connection:
                head = self._head(source)
                copying.copy(source, connection, self._key, head)
                return head
        finally:
            target.close()

    def _head(self, connection: sa.Connection) -> Head:
        last, first = last_entry(connection), first_entry(connection)
        if last is None or first is None:
            raise _empty()
        return Head(first.said["ledger"], last.hash, last.number if self.scope.everything else None)

    def _appender(self, connection: sa.Connection) -> Appender:
        if self._clock is None:
            raise other_days(simulated=False)
        return Appender(connection, self._key, self._clock)

    def _moment(self, connection: sa.Connection) -> datetime:
        if self._clock is not None:
            return self._clock()
        if (last := last_entry(connection)) is None:
            raise _empty()
        return datetime.fromisoformat(last.at)

    def _day(self, at: datetime) -> date:
        return at.astimezone(self.timezone).date()


def other_days(simulated: bool) -> ConflictError:
    """Return the refusal to open a ledger for simulated data, or for others, that was begun for the other kind."""
    return ConflictError(
        "This ledger was begun for " + ("data that are not simulated" if simulated else "simulated data"),
        do="keep a ledger of its own for each: --ledger FILE; a ledger that believes any day proves nothing",
    )


def _empty() -> CorruptLedgerError:
    return CorruptLedgerError("The ledger has no entries", do="restore it from a copy")
