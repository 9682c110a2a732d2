"""Verdicts: the last one counts, every one stays, and each shop decides on its own; on each database."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from tradewind.accounts import ANYBODY_HERE, Caller, Decision, Role, Verdicts, open_desk
from tradewind.accounts.desk_schema import DESK, METADATA, VERDICTS
from tradewind.database import Database
from tradewind.errors import BadInputError, ConflictError, CorruptDeskError, ForbiddenError, NotFoundError
from tradewind.scope import OPERATOR, Scope

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OPS = Caller("u0", "ops", Role.OPERATOR, OPERATOR)
MEI = Caller("u1", "mei", Role.MERCHANT, Scope.of(["s1"]))
BO = Caller("u2", "bo", Role.MERCHANT, Scope.of(["s2", "s3"]))
EVE = Caller("u3", "eve", Role.VIEWER, OPERATOR)
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
    first = verdicts.give("p", "price-1", "approved", "", MEI, "s1")
    second = verdicts.give("p", "price-1", Decision.REJECTED, " Too deep. ", OPS, "s1")
    other = verdicts.give("p", "price-2", "approved", "", MEI, "s1")
    verdicts.give("q", "price-1", "approved", "", MEI, "s1")
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
    mine = verdicts.give("p", "price-1", "approved", "", MEI, "s1")
    theirs = verdicts.give("p", "price-2", "approved", "", BO, "s3")
    everybodys = verdicts.give("p", "coupon-1", "approved", "", OPS, None)
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
    namesake = verdicts.give("p", "price-1", "approved", "", BO, "s2")  # of one key, and another shop's
    assert verdicts.of("p", MEI.scope) == {("price-1", "s1"): mine}
    assert verdicts.of("p", BO.scope)["price-1", "s2"] == namesake
    assert verdicts.give("p", "price-9", "approved", "", ANYBODY_HERE, "s1").who == "this machine"


def test_what_was_decided_since_one_looked_is_not_overridden(verdicts: Verdicts) -> None:
    seen = verdicts.give("p", "price-1", "approved", "", MEI, "s1").number
    verdicts.give("p", "price-2", "rejected", "Legal forbids it.", OPS, "s1")
    both = {"price-1": "s1", "price-2": "s1"}
    with pytest.raises(ConflictError, match="ops decided since you looked: rejected"):
        verdicts.give_all("p", both, "approved", "", MEI, seen)
    assert verdicts.of("p", OPERATOR)["price-2", "s1"].decision is Decision.REJECTED
    assert len(verdicts.history("p", "price-1", OPERATOR)) == 1, "all or none"
    verdicts.give_all("p", {"price-1": "s1", "price-2": "s2"}, "approved", "", OPS, seen)  # another shop's price-2
    verdicts.give_all("p", both, "approved", "", MEI)
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
        verdicts.give(plan, action, decision, reason, OPS, "s1")
    assert verdicts.of("p", OPERATOR) == {}


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
            Verdicts(own).give("p", f"a{turn}", "approved", f"{who}", OPS, None)

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
