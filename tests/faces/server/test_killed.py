"""A server that is killed while it launches a plan: the ledger has all of it or nothing, and the job is done after."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tradewind.accounts import ANYBODY_HERE, Caller, Job, JobState, Role, open_accounts
from tradewind.accounts.verdicts import fingerprint
from tradewind.faces.server import board, desk, work
from tradewind.faces.server.board import Sought
from tradewind.faces.server.gate import Asking
from tradewind.faces.server.office import Office
from tradewind.faces.server.setup import Setup
from tradewind.scope import OPERATOR
from tradewind.study import Party

PATIENCE = 180.0
START = "from tradewind.faces.cli import main; main()"
SOUGHT = Sought({Party.PLATFORM: 100.0, Party.MERCHANT: 60.0}, rules=("price actions<=3",))


def until(true: Callable[[], bool], what: str) -> None:
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def group(leader: int) -> list[int]:
    """Return the processes of a group that run."""
    found = subprocess.run(["ps", "-eo", "pid=,pgid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in found.splitlines()]
    return [int(pid) for pid, of, state in rows if int(of) == leader and not state.startswith("Z")]


@contextmanager
def writing(ledger: str, held: bool) -> Iterator[None]:
    """Write to a ledger all the while, so that whoever launches waits for it; nothing stays written."""
    connection = sqlite3.connect(ledger, isolation_level=None)
    try:
        if held:
            connection.execute("BEGIN IMMEDIATE")
        yield
    finally:
        connection.close()


@contextmanager
def serving(setup: Setup, workers: int) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start a server as a user does, in a group of processes of its own, and end it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable, "-c", START, "serve", "--port", str(port), "--work", setup.work, "--ledger",
        setup.ledger, "--store", setup.store, "--workers", str(workers),
    ]  # fmt: skip
    process = subprocess.Popen(command, start_new_session=True, cwd=Path(setup.work).parent)
    try:
        until(lambda: listens(port) or process.poll() is not None, "the server listens")
        assert process.poll() is None
        yield process, port
    finally:
        for pid in group(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.wait(PATIENCE)


def asked(office: Office) -> Job:
    """Approve every action of the plan and ask for its launch."""
    asker = Asking(office, ANYBODY_HERE, "")
    found = board.board(asker, SOUGHT).found
    assert found is not None
    settings = {choice.action.key: fingerprint(choice) for choice in found.plan.choices}
    desk.decide(asker, list(settings), "approved", "", settings=settings)
    return desk.launch(Asking(office, ANYBODY_HERE, ""), board.board(Asking(office, ANYBODY_HERE, ""), SOUGHT))


def state(office: Office, job: Job) -> JobState:
    return office.jobs.job(job.id, ANYBODY_HERE).state


def whole_or_nothing(office: Office, job: Job) -> bool:
    """Say whether the launch stands, and refuse one that stands in part."""
    ledger = office.ledger()
    if ledger is None:
        return False
    stand = {launch.action for launch in ledger.status(job.asked["plan"]).launches}
    assert stand in (set(), set(job.asked["approved"]))
    assert ledger.verify().sound
    return bool(stand)


def test_killed_while_it_launches_a_server_leaves_all_or_nothing(setup: Setup, office: Office) -> None:
    """Killed whole while it waits to write, and its first process alone at any moment before or after."""
    job, ledger = asked(office), office.ledger(create=True)
    assert ledger is not None
    seen = []
    for held in (True, False):
        with writing(setup.ledger, held), serving(setup, 1 if held else 2) as (process, port):
            until(lambda: state(office, job) != JobState.WAITING, "the job is begun")
            if held:
                until(lambda: office.jobs.job(job.id, ANYBODY_HERE).step == "writing the ledger", "it writes")
            if held:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                os.kill(process.pid, signal.SIGKILL)
            process.wait(PATIENCE)
            until(lambda of=process.pid: not group(of), "every process of the killed server ends")
            assert not listens(port)
        seen.append((state(office, job), whole_or_nothing(office, job)))
    assert seen[0] == (JobState.RUNNING, False)
    with serving(setup, 1) as (_, port):
        until(lambda: state(office, job).over, "the job is over")
        assert state(office, job) == JobState.DONE, office.jobs.job(job.id, ANYBODY_HERE).error
        assert whole_or_nothing(office, job)
        folder = office.work / "plans" / job.asked["plan"]
        assert {"plan.json", "arms.csv", "ledger.json"} <= {file.name for file in folder.iterdir()}
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ledger", timeout=PATIENCE) as answer:
            assert "history unchanged" in answer.read().decode()


def test_a_process_of_jobs_that_dies_is_followed_by_another(setup: Setup, office: Office) -> None:
    with serving(setup, 1) as (process, _):
        until(lambda: len(group(process.pid)) == 2, "there is a process of jobs")
        [jobs] = [pid for pid in group(process.pid) if pid != process.pid]
        os.kill(jobs, signal.SIGKILL)
        job = asked(office)
        until(lambda: state(office, job).over, "the job is over")
        assert state(office, job) == JobState.DONE, office.jobs.job(job.id, ANYBODY_HERE).error
        assert whole_or_nothing(office, job)


def test_a_server_killed_as_it_starts_leaves_no_process_of_jobs(setup: Setup) -> None:
    """Its process of jobs looks for the server that started it, not for whoever inherited it."""
    environment = {**os.environ, **setup.handed(), "TRADEWIND_PARENT": str(os.getppid() + 10_000_000)}
    command = [sys.executable, "-m", "tradewind.faces.server.work"]
    found = subprocess.run(command, env=environment, timeout=PATIENCE, check=False)
    assert found.returncode in (0, 1)


def test_a_launch_by_who_was_kept_out_since_is_refused(setup: Setup, office: Office, tmp_path: Path) -> None:
    accounts = tmp_path / "users.db"
    register = open_accounts(accounts, create=True)
    olga = register.add("olga", Role.OPERATOR, password="correct horse battery")
    other = Office(replace(setup, accounts=str(accounts)))
    caller = Caller(olga.id, "olga", Role.OPERATOR, OPERATOR)
    job = other.jobs.ask("k", "launch", "Launch", {"plan": "p"}, caller)
    register.disable("olga")
    begun = other.jobs.take()
    assert begun is not None
    work.done(other, begun, lambda: True)
    assert other.jobs.job(job.id, caller).error["code"] == "forbidden"  # type: ignore[index]
    other.close()
    register.close()
