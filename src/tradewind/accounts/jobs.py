"""Jobs: what takes longer than a page may, asked for in one process and done in another, across restarts."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tradewind.accounts.job_schema import JOBS, WORK
from tradewind.accounts.roles import Caller, Right
from tradewind.database import Database
from tradewind.errors import BusyError, ConflictError, NotFoundError
from tradewind.scope import Scope

TRIES = 3
"""So often a job is begun: one that ends the process each time is not begun for ever."""
MOST_WAITING = 20
"""Jobs of one caller that may wait or run at once."""
KEPT = timedelta(days=30)
"""So long an ended job is remembered."""

Clock = Callable[[], datetime]


class JobState(StrEnum):
    """How far a job has come."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True)
class Job:
    """A job.

    Args:
        id: Its id.
        key: What it makes: two askers of the same get the same job.
        kind: What kind of work it is.
        title: What it does, in the user's words.
        asked: What was asked for.
        scope: What the asker may see; it is done with no more.
        who: Name of who asked.
        state: How far it has come.
        step: What is being done now.
        done: Steps that are done.
        total: Steps in all; 0 while that is not known.
        tries: How often it was begun.
        made: When it was asked for, UTC in ISO 8601.
        begun: When it was last begun, or None.
        ended: When it ended, or None.
        error: What went wrong, in the one JSON shape of an error, or None.
    """

    id: str
    key: str
    kind: str
    title: str
    asked: Mapping[str, Any]
    scope: Scope
    who: str
    state: JobState
    step: str
    done: int
    total: int
    tries: int
    made: str
    begun: str | None
    ended: str | None
    error: Mapping[str, Any] | None

    @property
    def share(self) -> float | None:
        """How much of it is done, from 0 to 1; None while that is not known."""
        return None if not self.total else min(self.done / self.total, 1.0)


class Jobs:
    """The list of jobs.

    Args:
        database: Where it is kept; `open_jobs` makes it.
        clock: What says the time.
    """

    def __init__(self, database: Database, clock: Clock):
        self._database = database
        self._clock = clock

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    # For who asks

    def ask(self, key: str, kind: str, title: str, asked: Mapping[str, Any], caller: Caller) -> Job:
        """Ask for a job, or join one that waits or runs for the same key.

        Raises:
            BusyError: If the caller has too many waiting already.
        """
        with self._database.writing() as to:
            open_ = JOBS.c.state.in_([JobState.WAITING, JobState.RUNNING])
            standing = to.execute(JOBS.select().where(JOBS.c.key == key, open_)).first()
            if standing is not None:
                return _job(standing)
            mine = sa.select(sa.func.count()).where(open_, JOBS.c.user == caller.user)
            if (to.scalar(mine) or 0) >= MOST_WAITING:
                raise BusyError("You have many jobs waiting already", got=MOST_WAITING, do="wait until some are done")
            to.execute(JOBS.delete().where(JOBS.c.ended < _text(self._clock() - KEPT)))
            id_ = secrets.token_hex(8)
            row = {
                "id": id_, "key": key, "kind": kind, "title": title, "asked": json.dumps(asked, sort_keys=True),
                "scope": _scope_said(caller.scope), "user": caller.user, "who": caller.name,
                "state": JobState.WAITING, "step": "", "done": 0, "total": 0, "tries": 0, "made": self._now(),
            }  # fmt: skip
            to.execute(JOBS.insert().values(**row))
            return _job(to.execute(JOBS.select().where(JOBS.c.id == id_)).one())

    def job(self, id_: str, caller: Caller) -> Job:
        """Return a job; raise `NotFoundError` where there is none, or it is of what the caller may not see.

        Who asks for what another one asked for already gets that one's job, and may see how far it has come.
        """
        with self._database.reading() as of:
            row = of.execute(JOBS.select().where(JOBS.c.id == id_)).one_or_none()
        if row is None or not (_owns(caller, row) or _within(_scope_read(row.scope), caller.scope)):
            raise NotFoundError("There is no such job", got=ascii(id_)[1:-1])
        return _job(row)

    def latest(self, key: str) -> Job | None:
        """Return the newest job of a key, whoever asked for it, or None; the key holds what its asker may see."""
        with self._database.reading() as of:
            row = of.execute(JOBS.select().where(JOBS.c.key == key).order_by(JOBS.c.number.desc()).limit(1)).first()
        return None if row is None else _job(row)

    def underway(self, kind: str) -> list[Job]:
        """Return the jobs of a kind that wait or run, whoever asked for them."""
        open_ = JOBS.c.state.in_([JobState.WAITING, JobState.RUNNING])
        with self._database.reading() as of:
            return [_job(row) for row in of.execute(JOBS.select().where(JOBS.c.kind == kind, open_)).all()]

    def listed(self, caller: Caller, most: int = 50, skip: int = 0) -> tuple[list[Job], int]:
        """Return the caller's jobs, an operator's being all, the newest first, and how many there are."""
        whose = sa.true() if caller.may(Right.MANAGE) else JOBS.c.user == caller.user
        with self._database.reading() as of:
            asked = JOBS.select().where(whose).order_by(JOBS.c.number.desc()).limit(most).offset(skip)
            rows = of.execute(asked).all()
            count = of.scalar(sa.select(sa.func.count()).select_from(JOBS).where(whose)) or 0
        return [_job(row) for row in rows], count

    def cancel(self, id_: str, caller: Caller) -> Job:
        """Cancel a job: one that waits at once, one that runs at its next step.

        Raises:
            NotFoundError: If there is none, or it is somebody else's.
            ConflictError: If it is over.
        """
        with self._database.writing() as to:
            row = to.execute(JOBS.select().where(JOBS.c.id == id_)).one_or_none()
            if row is None or not _owns(caller, row):
                raise NotFoundError("There is no such job of yours", got=ascii(id_)[1:-1])
            if JobState(row.state).over:
                raise ConflictError("The job is over already", got=row.state)
            to.execute(
                JOBS.update().where(JOBS.c.id == id_).values(state=JobState.CANCELLED, ended=self._now(), step="")
            )
            return _job(to.execute(JOBS.select().where(JOBS.c.id == id_)).one())

    # For who does the work

    def resume(self) -> int:
        """Let jobs wait anew that were running when the one who did them ended; return how many.

        Those that ended it `TRIES` times have failed.
        """
        lost = {
            "code": "stopped", "what": "The server was stopped each time while this ran", "got": None,
            "allowed": None, "do": "ask again; where it fails again, ask for fewer days",
        }  # fmt: skip
        with self._database.writing() as to:
            running = JOBS.c.state == JobState.RUNNING
            failed = {"state": JobState.FAILED, "ended": self._now(), "error": json.dumps(lost)}
            to.execute(JOBS.update().where(running, JOBS.c.tries >= TRIES).values(**failed))
            again = {"state": JobState.WAITING, "step": "", "done": 0, "total": 0}
            return to.execute(JOBS.update().where(running).values(**again)).rowcount

    def take(self) -> Job | None:
        """Begin the oldest job that waits and return it; None where none waits."""
        with self._database.reading() as of:
            if of.scalar(sa.select(JOBS.c.number).where(JOBS.c.state == JobState.WAITING).limit(1)) is None:
                return None
        with self._database.writing() as to:
            waiting = JOBS.select().where(JOBS.c.state == JobState.WAITING).order_by(JOBS.c.number).limit(1)
            row = to.execute(waiting).first()
            if row is None:
                return None
            begun = {"state": JobState.RUNNING, "begun": self._now(), "tries": row.tries + 1}
            to.execute(JOBS.update().where(JOBS.c.number == row.number).values(**begun))
            return _job(to.execute(JOBS.select().where(JOBS.c.number == row.number)).one())

    def tell(self, id_: str, step: str, done: int, total: int, tries: int | None = None) -> bool:
        """Note how far a job has come; return whether it is still wanted, of whoever began it as the so many-th."""
        with self._database.writing() as to:
            running = (JOBS.c.id == id_, JOBS.c.state == JobState.RUNNING, *_of(tries))
            told = {"step": step, "done": done, "total": total}
            return to.execute(JOBS.update().where(*running).values(**told)).rowcount > 0

    def finish(self, id_: str, error: Mapping[str, Any] | None = None, tries: int | None = None) -> None:
        """Note that a job has ended, with what went wrong where something did.

        What was done before it heard that it was cancelled is done, and said to be; a cancelled one that went wrong
        stays cancelled.

        Args:
            id_: Its id.
            error: What went wrong.
            tries: As the how many-th it was begun by who says so: one that was begun anew since is another's to end.
        """
        ended = {
            "state": JobState.DONE if error is None else JobState.FAILED, "ended": self._now(), "step": "",
            "error": None if error is None else json.dumps(error),
        }  # fmt: skip
        states = [JobState.RUNNING, *([JobState.CANCELLED] if error is None else [])]
        with self._database.writing() as to:
            begun = (JOBS.c.id == id_, JOBS.c.state.in_(states), JOBS.c.tries > 0, *_of(tries))
            to.execute(JOBS.update().where(*begun).values(**ended))

    def _now(self) -> str:
        return _text(self._clock())


def open_jobs(address: str | Path, clock: Clock | None = None) -> Jobs:
    """Open the list of jobs, begun where there is none.

    Args:
        address: A file, `sqlite:///FILE`, or `postgresql://USER@HOST/NAME`.
        clock: What says the time; the machine's clock when left out.
    """
    database = Database(WORK, address)
    try:
        if not database.prepared():
            with database.preparing(create=True):
                pass
    except BaseException:
        database.close()
        raise
    return Jobs(database, clock or (lambda: datetime.now(UTC)))


def _owns(caller: Caller, row: sa.Row[Any]) -> bool:
    return caller.may(Right.MANAGE) or row.user == caller.user


def _within(inner: Scope, outer: Scope) -> bool:
    """Whether all that one scope sees is seen in the other."""
    if outer.everything or inner.shops is None:
        return outer.everything
    return inner.shops <= (outer.shops or frozenset()) and (inner.creators or frozenset()) <= (
        outer.creators or frozenset()
    )


def _of(tries: int | None) -> tuple[sa.ColumnElement[bool], ...]:
    return () if tries is None else (JOBS.c.tries == tries,)


def _scope_said(scope: Scope) -> str:
    said = {"shops": scope.shops, "creators": scope.creators}
    return json.dumps({name: None if ids is None else sorted(ids) for name, ids in said.items()})


def _scope_read(text: str) -> Scope:
    said = {name: None if ids is None else frozenset(ids) for name, ids in json.loads(text).items()}
    return Scope(said["shops"], said["creators"])


def _job(row: sa.Row[Any]) -> Job:
    return Job(
        row.id, row.key, row.kind, row.title, json.loads(row.asked), _scope_read(row.scope), row.who,
        JobState(row.state), row.step, row.done, row.total, row.tries, row.made, row.begun, row.ended,
        None if row.error is None else json.loads(row.error),
    )  # fmt: skip


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
