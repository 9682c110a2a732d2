"""Killed at any moment, a launch stands whole or not at all; launched by several at once, it stands once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from deeds import APPROVAL, Clock, coupon, customers, prices, promise
from places import Place

from tradewind.errors import ConflictError
from tradewind.ledger import Ledger, Promise

PLAN = [promise(coupon("lapsed", customers(0, 60))), *prices(2)]


def child(deed: Callable[[], None]) -> int:
    """Do something in another process; it ends with 0 where it went well, 3 on a conflict."""
    if process := os.fork():
        return process
    code = 1
    try:
        deed()
        code = 0
    except ConflictError:
        code = 3
    finally:
        os._exit(code)


def ended(process: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def killing(ledger: Ledger, at: int) -> None:
    """Kill this process at its so many-th step: before a statement, before the commit, after it."""
    engine, done = ledger._database._engine, [0]

    def step(*_: object) -> None:
        done[0] += 1
        if done[0] == at:
            os.kill(os.getpid(), signal.SIGKILL)

    for event in ("before_cursor_execute", "commit", "checkin"):
        sa.event.listen(engine, event, step)


def standing(ledger: Ledger, place: Place, plan: list[Promise]) -> bool:
    """Whether a plan stands whole; fail where it is there in part, or what is there does not fit."""
    launches = ledger.status("spring").launches
    rows = place.run("SELECT count(*) FROM assignments")[0][0]
    reached = [p.choice.action.assignment for p in plan if p.choice.action.assignment]
    whole = (len(plan), sum(len(each.units) for each in reached))
    assert (len(launches), rows) in {(0, 0), whole}
    verdict = ledger.verify()
    experiments = len({p.choice.action.lever for p in plan})
    assert (verdict.sound, verdict.count) == (True, 1 + (experiments + len(plan) if launches else 0))
    return bool(launches)


def test_killed_at_every_step_a_launch_is_whole_or_not_there(file: Place, clock: Clock, tmp_path: Path) -> None:
    begun = Path(file.address).read_bytes()
    outcomes, at = [], 0
    while not outcomes or outcomes[-1][0] != 0:
        at += 1
        place = Place(str(tmp_path / f"{at}.db"), "sqlite")
        Path(place.address).write_bytes(begun)

        def deed(place: Place = place, at: int = at) -> None:
            ledger = place.open(clock)
            killing(ledger, at)
            ledger.launch("spring", PLAN, APPROVAL, "Ann")

        code = ended(child(deed))
        assert code in {0, -signal.SIGKILL}
        ledger = place.open(clock)
        outcomes.append((code, standing(ledger, place, PLAN)))
        if outcomes[-1][1]:
            with pytest.raises(ConflictError, match="launched already"):
                ledger.launch("spring", PLAN, APPROVAL, "Ann")
        elif at % 3 == 0:
            ledger.launch("spring", PLAN, APPROVAL, "Ann")
            assert standing(ledger, place, PLAN)
        ledger.close()
    there = [whole for _, whole in outcomes]
    assert len(there) > 15
    # once it stands it stands: killed before the commit it is not there, after it it is
    assert there == sorted(there)
    assert not there[-3]
    assert there[-1]


def test_killed_at_any_moment_a_launch_is_whole_or_not_there(file: Place, clock: Clock) -> None:
    plan = [promise(coupon("lapsed", customers(0, 20_000)))]
    ledger, killed = file.open(clock), 0
    for delay in (0.02, 0.06, 0.1, 0.15, 0.2, 0.3):
        process = child(lambda: file.open(clock).launch("spring", plan, APPROVAL, "Ann") and None)
        time.sleep(delay)
        os.kill(process, signal.SIGKILL)
        killed += ended(process) != 0
        if standing(ledger, file, plan):
            break
    assert killed
    ledger.close()


def test_of_several_who_launch_one_plan_exactly_one_does(place: Place, clock: Clock) -> None:
    deeds = [child(lambda: place.open(clock).launch("spring", PLAN, APPROVAL, "Ann") and None) for _ in range(4)]
    assert sorted(map(ended, deeds)) == [0, 3, 3, 3]
    ledger = place.open(clock)
    assert standing(ledger, place, PLAN)
    ledger.close()


def test_of_several_who_want_the_same_customers_exactly_one_gets_them(place: Place, clock: Clock) -> None:
    def deed(number: int) -> None:
        plan = [promise(coupon(f"coupon {number}", customers(0, 60)))]
        place.open(clock).launch(f"plan {number}", plan, APPROVAL, "Ann")

    deeds = [child(lambda number=number: deed(number)) for number in range(3)]
    assert sorted(map(ended, deeds)) == [0, 3, 3]


def test_many_who_write_at_once_leave_no_gap(place: Place, clock: Clock) -> None:
    def deed(who: int) -> None:
        ledger = place.open(clock)
        for turn in range(3):
            number = 10 * who + turn
            ledger.launch(f"plan {number}", [promise(coupon(f"c{number}", [f"u{number}"]), 0.0)], APPROVAL, "Ann")

    deeds = [child(lambda who=who: deed(who)) for who in range(3)]
    assert list(map(ended, deeds)) == [0, 0, 0]
    ledger = place.open(clock)
    verdict = ledger.verify()
    assert (verdict.sound, verdict.count) == (True, 1 + 2 * 9)
    assert len(ledger.status().launches) == 9
    ledger.close()


def test_several_who_begin_a_ledger_begin_one(empty: Place, clock: Clock) -> None:
    deeds = [child(lambda: empty.open(clock).close()) for _ in range(3)]
    assert list(map(ended, deeds)) == [0, 0, 0]
    ledger = empty.open(clock, create=False)
    assert ledger.head().count == 1
    ledger.close()


def test_a_launch_that_fails_at_its_last_action_leaves_nothing(file: Place, clock: Clock) -> None:
    ledger = file.open(clock)
    before = ledger.head()
    twice = replace(PLAN[1].choice.action, key="the same product once more")
    with pytest.raises(ConflictError, match="Its subject"):
        ledger.launch("spring", [*PLAN, promise(twice, 0.0, "another group")], APPROVAL, "Ann")
    assert ledger.head() == before
    assert all(file.run(f"SELECT count(*) FROM {table}") == [(0,)] for table in ("experiments", "assignments"))
    ledger.close()
