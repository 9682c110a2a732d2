"""Verdicts: the last one counts, every one stays, and each shop decides on its own; on each database."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from tradewind.accounts import ANYBODY_HERE, Caller, Decision, Role, Verdicts, open_desk
from tradewind.accounts.desk_schema import DESK, METADATA, VERDICTS
from tradewind.accounts.verdicts import fingerprint
from tradewind.database import Database
from tradewind.errors import BadInputError, ConflictError, CorruptDeskError, ForbiddenError, NotFoundError
from tradewind.period import Period
from tradewind.scope import OPERATOR, Scope
from tradewind.study import Action, Choice, Estimate, Lever, Party, Setting, Subject

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OPS = Caller("u0", "ops", Role.OPERATOR, OPERATOR)
MEI = Caller("u1", "mei", Role.MERCHANT, Scope.of(["s1"]))
BO = Caller("u2", "bo", Role.MERCHANT, Scope.of(["s2", "s3"]))
EVE = Caller("u3", "eve", Role.VIEWER, OPERATOR)
OFF = {"price-1": "10 off", "price-2": "10 off"}
KIM = Caller("u4", "kim", Role.CREATOR, Scope.of_creators(["k1"]))


@pytest.fixture
def address(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    return str(tmp_path / "desk.db") if kind == "sqlite" else request.getfixturevalue("server").empty()


@pytest.fixture
def desk(address: str) -> Iterator[Database]:
    opened = open_desk(address)
    yield opened
    opened.close()


@pytest.fixture
def verdicts(desk: Database) -> Verdicts:
    moments = iter(NOON + timedelta(minutes=n) for n in range(1000))
    return Verdicts(desk, lambda: next(moments))


def test_the_steps_lead_to_the_tables_that_the_code_speaks_of(desk: Database) -> None:
    with desk.reading() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": DESK.version_table})
        assert compare_metadata(context, METADATA) == []


def test_the_last_verdict_counts_and_every_one_stays(verdicts: Verdicts, address: str) -> None:
    assert verdicts.of("p", OPERATOR) == {}
    first = verdicts.give("p", "price-1", "approved", "", MEI, "s1", "10 off")
    second = verdicts.give("p", "price-1", Decision.REJECTED, " Too deep. ", OPS, "s1")
    other = verdicts.give("p", "price-2", "approved", "", MEI, "s1", "10 off")
    verdicts.give("q", "price-1", "approved", "", MEI, "s1", "10 off")
    assert verdicts.of("p", OPERATOR) == {("price-1", "s1"): second, ("price-2", "s1"): other}
    assert (second.who, second.at, second.reason) == ("ops", "2026-03-01T12:01:00.000+00:00", "Too deep.")
    assert verdicts.history("p", "price-1", OPERATOR) == [first, second]
    third = verdicts.give("p", "price-1", "open", "", MEI, "s1")
    assert third.number > second.number
    assert verdicts.of("p", OPERATOR)["price-1", "s1"].decision is Decision.OPEN
    again = open_desk(address, create=False)
    assert Verdicts(again).history("p", "price-1", OPERATOR) == [first, second, third]
    again.close()


def test_each_shop_decides_on_its_own(verdicts: Verdicts) -> None:
    mine = verdicts.give("p", "price-1", "approved", "", MEI, "s1", "10 off")
    theirs = verdicts.give("p", "price-2", "approved", "", BO, "s3", "10 off")
    everybodys = verdicts.give("p", "coupon-1", "approved", "", OPS, None, "10 off")
    for caller, shop in ((MEI, "s2"), (MEI, None), (BO, "s1"), (EVE, "s1"), (EVE, None), (KIM, "s1"), (KIM, None)):
        with pytest.raises(ForbiddenError):
            verdicts.give("p", "price-1", "rejected", "No.", caller, shop)
    assert verdicts.of("p", MEI.scope) == {("price-1", "s1"): mine}
    assert verdicts.of("p", BO.scope) == {("price-2", "s3"): theirs}
    assert verdicts.of("p", KIM.scope) == {}
    assert verdicts.of("p", OPERATOR) == {
        ("price-1", "s1"): mine, ("price-2", "s3"): theirs, ("coupon-1", None): everybodys,
    }  # fmt: skip
    assert verdicts.history("p", "price-2", MEI.scope) == []
    namesake = verdicts.give("p", "price-1", "approved", "", BO, "s2", "10 off")  # of one key, and another shop's
    assert verdicts.of("p", MEI.scope) == {("price-1", "s1"): mine}
    assert verdicts.of("p", BO.scope)["price-1", "s2"] == namesake
    assert verdicts.give("p", "price-9", "approved", "", ANYBODY_HERE, "s1", "10 off").who == "this machine"


def test_what_was_decided_since_one_looked_is_not_overridden(verdicts: Verdicts) -> None:
    seen = verdicts.give("p", "price-1", "approved", "", MEI, "s1", "10 off").number
    verdicts.give("p", "price-2", "rejected", "Legal forbids it.", OPS, "s1")
    both = {"price-1": "s1", "price-2": "s1"}
    with pytest.raises(ConflictError, match="ops decided since you looked: rejected"):
        verdicts.give_all("p", both, "approved", "", MEI, seen, OFF)
    assert verdicts.of("p", OPERATOR)["price-2", "s1"].decision is Decision.REJECTED
    assert len(verdicts.history("p", "price-1", OPERATOR)) == 1, "all or none"
    verdicts.give_all("p", {"price-1": "s1", "price-2": "s2"}, "approved", "", OPS, seen, OFF)  # another shop's price-2
    verdicts.give_all("p", both, "approved", "", MEI, settings=OFF)
    assert {each.decision for each in verdicts.of("p", OPERATOR).values()} == {Decision.APPROVED}


@pytest.mark.parametrize(
    ("plan", "action", "decision", "reason", "said"),
    [
        ("p", "a", "rejected", "", "needs a reason"),
        ("p", "a", "rejected", " \n ", "needs a reason"),
        ("p", "a", "maybe", "Perhaps.", "cannot be decided on so"),
        ("p", "a", "approved", "x" * 1001, "reason cannot be kept"),
        ("p", "a", "approved", "\x00", "reason cannot be kept"),
        ("p", "a", "approved", "\ud800", "reason cannot be kept"),
        ("", "a", "approved", "", "key of a plan"),
        ("p", "a\nb", "approved", "", "key of an action"),
        ("p", "x" * 201, "approved", "", "key of an action"),
    ],
)
def test_what_cannot_be_decided(
    verdicts: Verdicts, plan: str, action: str, decision: str, reason: str, said: str
) -> None:
    with pytest.raises(BadInputError, match=said):
        verdicts.give(plan, action, decision, reason, OPS, "s1", "10 off")
    assert verdicts.of("p", OPERATOR) == {}


@pytest.mark.parametrize("setting", [None, "", "a\nb", "x" * 201])
def test_an_approval_is_of_a_setting(verdicts: Verdicts, setting: str | None) -> None:
    with pytest.raises(BadInputError, match=r"approval says what|A setting cannot be used"):
        verdicts.give("p", "price-1", "approved", "", MEI, "s1", setting)
    with pytest.raises(BadInputError, match="approval says what"):
        verdicts.give_all("p", {"price-1": "s1", "price-2": "s1"}, "approved", "", MEI, settings={"price-1": "10 off"})
    assert verdicts.of("p", OPERATOR) == {}


def choice(off: float = 0.1, draws: float = 10.0, shift: int = 0, **more: Any) -> Choice:
    days = Period(date(2026, 3, 2) + timedelta(shift), date(2026, 3, 8) + timedelta(shift))
    setting = Setting({"off": off}, {Party.MERCHANT: draws, Party.PLATFORM: 0.0}, **more)
    return Choice(Action("price-1", Lever.PRICE, Subject("product", "p1", "s1"), days, (setting,)), 0)


def test_an_approval_covers_what_was_approved_and_nothing_else(verdicts: Verdicts) -> None:
    seen = fingerprint(choice())
    approved = verdicts.give("p", "price-1", "approved", "", MEI, "s1", seen)
    assert verdicts.of("p", OPERATOR) == {("price-1", "s1"): approved}
    gain = Estimate(5.0, 4.0, 6.0)
    same = (
        choice(),
        choice(0.1 + 1e-15, draws=12.0),
        choice(shift=1),
        choice(gain={Party.MERCHANT: gain}, joint=gain, attributed=9.0),
    )
    assert all(approved.covers(each) for each in same)
    sold_by_another = replace(choice().action, subject=Subject("product", "p1", "s2"))
    longer = replace(choice().action, days=Period(date(2026, 3, 2), date(2026, 3, 9)))
    other = (choice(0.4), choice(draws=0.0), Choice(longer, 0), Choice(sold_by_another, 0))
    assert not any(approved.covers(each) for each in other)
    paid_by_another = replace(choice().setting, cost={Party.PLATFORM: 10.0})
    assert not approved.covers(Choice(replace(choice().action, menu=(paid_by_another,)), 0))
    for decision in ("rejected", "open"):
        given = verdicts.give("p", "price-1", decision, "No.", MEI, "s1", seen)
        assert (given.setting, given.covers(choice())) == (None, False)


def test_approvals_of_before_settings_were_kept_are_of_none(address: str) -> None:
    before = Database(replace(DESK, revision="0001"), address)
    row = {"plan": "p", "action": "price-1", "shop": "s1", "verdict": "approved", "reason": "", "user": "u1"}
    row |= {"who": "mei", "at": "2026-03-01T12:00:00.000+00:00"}
    with before.preparing(create=True) as to:
        to.execute(VERDICTS.insert().values(**row))
    before.close()
    database = open_desk(address)
    verdicts = Verdicts(database)
    [old] = verdicts.of("p", OPERATOR).values()
    assert (old.decision, old.who, old.setting) == (Decision.APPROVED, "mei", None)
    assert not old.covers(choice())
    with pytest.raises(sa.exc.DBAPIError, match="only ever added to"), database.writing() as to:
        to.execute(VERDICTS.update().values(setting=fingerprint(choice())))
    new = verdicts.give("p", "price-1", "approved", "", MEI, "s1", fingerprint(choice()))
    assert verdicts.history("p", "price-1", OPERATOR) == [old, new]
    database.close()


def test_what_was_decided_is_never_changed(verdicts: Verdicts, desk: Database) -> None:
    given = verdicts.give("p", "price-1", "rejected", "Line one\nand <two>", MEI, "s1")
    for statement in (VERDICTS.update().values(verdict="approved"), VERDICTS.delete()):
        with pytest.raises(sa.exc.DBAPIError, match="only ever added to"), desk.writing() as to:
            to.execute(statement)
    assert verdicts.of("p", OPERATOR) == {("price-1", "s1"): given}


def test_of_several_who_decide_at_once_every_verdict_stays(desk: Database, address: str) -> None:
    def deed(who: int) -> None:
        own = open_desk(address)
        for turn in range(5):
            Verdicts(own).give("p", f"a{turn}", "approved", f"{who}", OPS, None, "10 off")

    processes = []
    for who in range(3):
        if not (process := os.fork()):
            code = 1
            try:
                deed(who)
                code = 0
            finally:
                os._exit(code)
        processes.append(process)
    assert [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes] == [0, 0, 0]
    found = Verdicts(desk)
    histories = [found.history("p", f"a{turn}", OPERATOR) for turn in range(5)]
    assert [sorted(each.reason for each in history) for history in histories] == [["0", "1", "2"]] * 5
    assert found.of("p", OPERATOR) == {(history[-1].action, None): history[-1] for history in histories}


def test_something_else_is_no_desk(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no desk here"):
        open_desk(tmp_path / "desk.db", create=False)
    (tmp_path / "notes.db").write_text("shopping list " * 100)
    with pytest.raises(CorruptDeskError, match="not a desk"):
        open_desk(tmp_path / "notes.db")
