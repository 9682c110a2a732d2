"""Jobs: asked for once, done one after another, told of as they go, and not lost; on each database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from test_accounts import Hand

from tradewind.accounts import Caller, Job, Jobs, JobState, Role, open_jobs
from tradewind.accounts import jobs as module
from tradewind.accounts.job_schema import METADATA, WORK
from tradewind.database import Database
from tradewind.errors import BusyError, ConflictError, NotFoundError
from tradewind.scope import OPERATOR, Scope

MARA = Caller("u1", "mara", Role.MERCHANT, Scope.of(["S1"]))
MILO = Caller("u2", "milo", Role.MERCHANT, Scope.of(["S2"]))
OLGA = Caller("u3", "olga", Role.OPERATOR, OPERATOR)
ASKED = {"wing": "performance", "period": "2025-08-01..2025-08-28"}


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def address(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    return str(tmp_path / "jobs.db") if kind == "sqlite" else request.getfixturevalue("server").empty()


@pytest.fixture
def jobs(address: str, hand: Hand) -> Iterator[Jobs]:
    found = open_jobs(address, hand)
    yield found
    found.close()


def ask(jobs: Jobs, key: str = "k", caller: Caller = MARA) -> Job:
    return jobs.ask(key, "study", "Performance", ASKED, caller)


def test_a_job_goes_from_waiting_to_done(jobs: Jobs) -> None:
    asked = ask(jobs)
    assert (asked.state, asked.asked, asked.scope, asked.who, asked.share) == (
        JobState.WAITING, ASKED, MARA.scope, "mara", None,
    )  # fmt: skip
    taken = jobs.take()
    assert taken is not None
    assert (taken.id, taken.state, taken.tries) == (asked.id, JobState.RUNNING, 1)
    assert jobs.take() is None
    assert jobs.tell(asked.id, "counting", 1, 4)
    seen = jobs.job(asked.id, MARA)
    assert (seen.step, seen.share) == ("counting", 0.25)
    jobs.finish(asked.id)
    assert jobs.job(asked.id, MARA).state == JobState.DONE
    assert jobs.latest("k") == jobs.job(asked.id, MARA)
    assert jobs.latest("another") is None


def test_who_asks_the_same_joins_the_job_that_is_open(jobs: Jobs) -> None:
    first = ask(jobs)
    assert ask(jobs).id == first.id
    jobs.take()
    assert ask(jobs).id == first.id
    jobs.finish(first.id, {"code": "bug", "what": "It broke"})
    assert jobs.job(first.id, MARA).error == {"code": "bug", "what": "It broke"}
    assert ask(jobs).id != first.id


def test_the_oldest_is_done_first(jobs: Jobs) -> None:
    made = [ask(jobs, key).id for key in "abc"]
    taken = [jobs.take() for _ in "abc"]
    assert [job.id for job in taken if job] == made


def test_nobody_sees_or_cancels_the_job_of_another_but_an_operator(jobs: Jobs) -> None:
    mine = ask(jobs)
    for act in (jobs.job, jobs.cancel):
        with pytest.raises(NotFoundError) as foreign:
            act(mine.id, MILO)
        with pytest.raises(NotFoundError) as unknown:
            act("0" * 16, MILO)
        assert str(foreign.value).replace(mine.id, "") == str(unknown.value).replace("0" * 16, "")
    assert jobs.listed(MILO) == ([], 0)
    assert jobs.listed(OLGA) == ([mine], 1)
    assert jobs.job(mine.id, OLGA) == mine


def test_lists_come_in_pages_newest_first(jobs: Jobs) -> None:
    made = [ask(jobs, str(n)).id for n in range(5)]
    found, total = jobs.listed(MARA, most=2, skip=1)
    assert ([job.id for job in found], total) == ([made[3], made[2]], 5)


def test_a_cancelled_job_is_not_wanted_any_more(jobs: Jobs) -> None:
    waiting, running = ask(jobs, "waits"), ask(jobs, "runs")
    jobs.cancel(waiting.id, MARA)
    taken = jobs.take()
    assert taken is not None
    assert taken.id == running.id
    jobs.cancel(running.id, MARA)
    assert not jobs.tell(running.id, "counting", 1, 2)
    jobs.finish(running.id, {"code": "bug", "what": "It broke"})
    assert jobs.job(running.id, MARA).state == JobState.CANCELLED
    with pytest.raises(ConflictError):
        jobs.cancel(running.id, MARA)


def test_what_was_done_before_it_heard_of_being_cancelled_is_done(jobs: Jobs) -> None:
    """A launch that stands in the ledger is never said to be cancelled."""
    asked = ask(jobs)
    jobs.take()
    jobs.cancel(asked.id, MARA)
    jobs.finish(asked.id)
    assert jobs.job(asked.id, MARA).state == JobState.DONE
    never = ask(jobs, "never begun")
    jobs.cancel(never.id, MARA)
    jobs.finish(never.id)
    assert jobs.job(never.id, MARA).state == JobState.CANCELLED


def test_who_was_left_behind_ends_nothing_that_was_begun_anew(jobs: Jobs) -> None:
    asked = ask(jobs)
    left, _ = jobs.take(), jobs.resume()
    again = jobs.take()
    assert left is not None
    assert again is not None
    assert not jobs.tell(asked.id, "counting", 1, 2, left.tries)
    jobs.finish(asked.id, {"code": "conflict", "what": "Launched already"}, left.tries)
    assert jobs.job(asked.id, MARA).state == JobState.RUNNING
    assert jobs.tell(asked.id, "counting", 1, 2, again.tries)
    jobs.finish(asked.id, None, again.tries)
    assert jobs.job(asked.id, MARA).state == JobState.DONE


def test_who_joins_a_job_sees_how_far_it_has_come_and_cannot_cancel_it(jobs: Jobs) -> None:
    twin = Caller("u4", "mia", Role.MERCHANT, MARA.scope)
    first = ask(jobs)
    assert ask(jobs, caller=twin).id == first.id
    assert jobs.job(first.id, twin) == first
    assert jobs.job(first.id, Caller("u5", "vera", Role.VIEWER, OPERATOR)) == first
    with pytest.raises(NotFoundError):
        jobs.cancel(first.id, twin)
    whole = ask(jobs, "all", OLGA)
    for caller in (twin, MILO, Caller("u6", "cleo", Role.CREATOR, Scope.of_creators(["k1"]))):
        with pytest.raises(NotFoundError):
            jobs.job(whole.id, caller)


def test_a_job_that_was_running_when_the_server_died_is_begun_anew_three_times(jobs: Jobs) -> None:
    asked = ask(jobs)
    for n in range(1, module.TRIES + 1):
        taken = jobs.take()
        assert taken is not None
        assert taken.tries == n
        jobs.tell(asked.id, "counting", 3, 4)
        assert jobs.resume() == (1 if n < module.TRIES else 0)
    ended = jobs.job(asked.id, MARA)
    assert ended.state == JobState.FAILED
    assert ended.error is not None
    assert ended.error["code"] == "stopped"


def test_one_caller_cannot_fill_the_line(jobs: Jobs) -> None:
    for n in range(module.MOST_WAITING):
        ask(jobs, str(n))
    with pytest.raises(BusyError):
        ask(jobs, "one more")
    ask(jobs, "0")  # to join is no more
    assert ask(jobs, "x", MILO).state == JobState.WAITING


def test_old_jobs_are_forgotten(jobs: Jobs, hand: Hand) -> None:
    old = ask(jobs)
    jobs.take()
    jobs.finish(old.id)
    hand.later(days=31)
    ask(jobs, "new")
    with pytest.raises(NotFoundError):
        jobs.job(old.id, MARA)


def test_jobs_outlast_the_process(address: str, jobs: Jobs, hand: Hand) -> None:
    asked = ask(jobs)
    again = open_jobs(address, hand)
    assert again.job(asked.id, MARA) == asked
    again.close()


def test_the_steps_lead_to_the_tables_as_declared(address: str) -> None:
    database = Database(WORK, address)
    with database.preparing(create=True) as connection:
        context = MigrationContext.configure(connection, opts={"version_table": WORK.version_table})
        assert compare_metadata(context, METADATA) == []
    database.close()
