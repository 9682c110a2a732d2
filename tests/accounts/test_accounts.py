"""Users, sessions and tokens: who is let in, as whom, for how long; on each database."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from tradewind.accounts import ANYBODY_HERE, Accounts, Caller, Right, Role, open_accounts, secrecy
from tradewind.accounts import accounts as register
from tradewind.accounts.schema import ACCOUNTS, METADATA
from tradewind.database import Database
from tradewind.errors import (
    BadInputError,
    ConflictError,
    CorruptAccountsError,
    ForbiddenError,
    NotFoundError,
    TradewindError,
    UnknownCallerError,
)
from tradewind.scope import OPERATOR, Scope

PASSWORD = "correct horse battery"


class Hand:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def later(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def address(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    return str(tmp_path / "users.db") if kind == "sqlite" else request.getfixturevalue("server").empty()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are slow to guess on purpose; two tests are about that, the others need not wait."""
    monkeypatch.setattr(secrecy, "COST", 4)


@pytest.fixture
def accounts(address: str, hand: Hand) -> Iterator[Accounts]:
    opened = open_accounts(address, create=True, clock=hand)
    yield opened
    opened.close()


@pytest.fixture
def file(tmp_path: Path, hand: Hand) -> Iterator[Accounts]:
    opened = open_accounts(tmp_path / "users.db", create=True, clock=hand)
    yield opened
    opened.close()


def signed_up(accounts: Accounts, name: str = "mei", role: Role = Role.MERCHANT, **reach: Any) -> None:
    accounts.add(name, role, **(reach or {"shops": ("s1",)} if role is Role.MERCHANT else reach))
    accounts.set_password(name, PASSWORD)


def test_the_steps_lead_to_the_tables_that_the_code_speaks_of(accounts: Accounts, address: str) -> None:
    base = Database(ACCOUNTS, address)
    with base.reading() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": ACCOUNTS.version_table})
        assert compare_metadata(context, METADATA) == []
    base.close()


def test_who_signs_in_is_who_they_are(accounts: Accounts) -> None:
    signed_up(accounts)
    session = accounts.sign_in("mei", PASSWORD)
    again = accounts.session(session.secret)
    assert again.caller == session.caller
    assert (again.caller.name, again.caller.role, again.caller.scope) == ("mei", Role.MERCHANT, Scope.of(["s1"]))
    assert again.form == session.form
    assert session.secret not in again.form
    accounts.sign_out(session.secret)
    with pytest.raises(UnknownCallerError, match="ended"):
        accounts.session(session.secret)
    accounts.sign_out(session.secret)


@pytest.mark.parametrize(("name", "password"), [("mei", "correct horse"), ("nobody", PASSWORD), ("MEI", PASSWORD)])
def test_who_does_not_fit_is_not_told_why(accounts: Accounts, name: str, password: str) -> None:
    signed_up(accounts)
    accounts.add("new", Role.VIEWER)
    said = set()
    for who, what in ((name, password), ("new", PASSWORD)):
        with pytest.raises(UnknownCallerError) as raised:
            accounts.sign_in(who, what)
        said.add(str(raised.value))
    assert len(said) == 1


def test_a_session_ends_when_idle_and_in_the_end(accounts: Accounts, hand: Hand) -> None:
    signed_up(accounts)
    idle, busy = accounts.sign_in("mei", PASSWORD), accounts.sign_in("mei", PASSWORD)
    for _ in range(23):
        hand.later(minutes=30)
        accounts.session(busy.secret)
    with pytest.raises(UnknownCallerError):
        accounts.session(idle.secret)
    hand.later(minutes=30)
    with pytest.raises(UnknownCallerError):
        accounts.session(busy.secret)


def test_a_token_holds_until_it_expires_or_is_revoked(accounts: Accounts, hand: Hand) -> None:
    signed_up(accounts)
    token, secret = accounts.make_token("mei", "nightly export", days=30)
    hand.later(seconds=1)
    other, kept = accounts.make_token("mei", "a second one")
    assert accounts.token(secret).scope == Scope.of(["s1"])
    assert [t.title for t in accounts.tokens()] == ["a second one", "nightly export"]
    assert next(t for t in accounts.tokens("mei") if t.id == token.id).seen is not None
    accounts.revoke(other.id, accounts.user("mei").caller)
    with pytest.raises(UnknownCallerError):
        accounts.token(kept)
    hand.later(days=30)
    with pytest.raises(UnknownCallerError, match="holds no longer"):
        accounts.token(secret)


def test_a_token_is_revoked_by_its_user_or_an_operator_only(accounts: Accounts) -> None:
    signed_up(accounts)
    accounts.add("lee", Role.MERCHANT, shops=("s2",))
    token, secret = accounts.make_token("mei", "export")
    with pytest.raises(NotFoundError) as hidden:
        accounts.revoke(token.id, accounts.user("lee").caller)
    with pytest.raises(NotFoundError) as absent:
        accounts.revoke("0f0f", accounts.user("lee").caller)
    assert str(hidden.value).replace(token.id, "") == str(absent.value).replace("0f0f", "")
    accounts.token(secret)
    accounts.revoke(token.id, ANYBODY_HERE)
    with pytest.raises(UnknownCallerError):
        accounts.token(secret)


def test_who_is_disabled_is_out_at_once(accounts: Accounts) -> None:
    signed_up(accounts)
    session, (_, secret) = accounts.sign_in("mei", PASSWORD), accounts.make_token("mei", "export")
    accounts.disable("mei")
    for asked in (
        lambda: accounts.session(session.secret), lambda: accounts.token(secret),
        lambda: accounts.sign_in("mei", PASSWORD),
    ):  # fmt: skip
        with pytest.raises(UnknownCallerError):
            asked()
    accounts.disable("mei", back=True)
    assert accounts.sign_in("mei", PASSWORD).caller.name == "mei"
    assert accounts.token(secret).name == "mei"


def test_a_new_password_ends_the_sessions_of_the_old_one(accounts: Accounts) -> None:
    signed_up(accounts)
    session = accounts.sign_in("mei", PASSWORD)
    accounts.set_password("mei", "staple of another kind")
    with pytest.raises(UnknownCallerError):
        accounts.session(session.secret)
    with pytest.raises(UnknownCallerError):
        accounts.sign_in("mei", PASSWORD)
    assert accounts.sign_in("mei", "staple of another kind").caller.name == "mei"


def test_no_secret_stands_in_the_database(accounts: Accounts, address: str, kind: str) -> None:
    signed_up(accounts)
    session, (_, secret) = accounts.sign_in("mei", PASSWORD), accounts.make_token("mei", "export")
    engine = sa.create_engine(f"sqlite:///{address}" if kind == "sqlite" else address)
    with engine.connect() as connection:
        rows = [str(row) for table in METADATA.sorted_tables for row in connection.execute(table.select())]
    engine.dispose()
    assert len(rows) > 3
    for word in (PASSWORD, session.secret, secret, session.form):
        assert not any(word in row for row in rows)
    assert session.secret not in repr(session)


def test_the_audit_log_is_only_added_to(accounts: Accounts, address: str, kind: str) -> None:
    signed_up(accounts)
    mei = accounts.user("mei").caller
    for n in range(5):
        accounts.note(mei, "approved", f"action-{n}", "of plan spring")
    first = accounts.deeds(ANYBODY_HERE, most=2)
    rest = accounts.deeds(ANYBODY_HERE, before=first[-1].number, most=3)
    assert [deed.subject for deed in (*first, *rest)] == [f"action-{n}" for n in (4, 3, 2, 1, 0)]
    assert {(deed.who, deed.what) for deed in rest} == {("mei", "approved")}
    with pytest.raises(ForbiddenError, match="As merchant"):
        accounts.deeds(mei)
    engine = sa.create_engine(f"sqlite:///{address}" if kind == "sqlite" else address)
    for wrong in ("UPDATE audit SET who = 'lee'", "DELETE FROM audit"):
        with pytest.raises(sa.exc.DBAPIError, match="only ever added to"), engine.begin() as connection:
            connection.exec_driver_sql(wrong)
    engine.dispose()


@pytest.mark.parametrize(
    ("role", "shops", "creators", "scope"),
    [
        (Role.OPERATOR, (), (), OPERATOR),
        (Role.VIEWER, (), (), OPERATOR),
        (Role.VIEWER, ("s1",), (), Scope.of(["s1"])),
        (Role.MERCHANT, ("s1", "s2", "s1"), (), Scope.of(["s1", "s2"])),
        (Role.CREATOR, (), ("k1",), Scope.of_creators(["k1"])),
        (Role.OPERATOR, ("s1",), (), None),
        (Role.MERCHANT, (), (), None),
        (Role.MERCHANT, ("s1",), ("k1",), None),
        (Role.CREATOR, (), (), None),
        (Role.CREATOR, ("s1",), ("k1",), None),
        (Role.VIEWER, (), ("k1",), None),
    ],
)
def test_what_each_role_sees(file: Accounts, role: Role, shops: Any, creators: Any, scope: Scope | None) -> None:
    if scope is None:
        with pytest.raises(BadInputError, match="does not fit"):
            file.add("mei", role, shops, creators)
        assert file.users() == []
    else:
        assert file.add("mei", role, shops, creators).caller.scope == scope


def test_what_each_role_may() -> None:
    may = {role: {right for right in Right if Caller("", "x", role, OPERATOR).may(right)} for role in Role}
    assert may[Role.OPERATOR] == set(Right)
    assert may[Role.MERCHANT] == set(Right) - {Right.MANAGE}
    assert may[Role.CREATOR] == may[Role.VIEWER] == {Right.READ}


@pytest.mark.parametrize("name", ["", "Mei", "-mei", "a" * 65, "mei lin", "<b>", "mei\n"])
def test_a_name_that_cannot_be_used(file: Accounts, name: str) -> None:
    with pytest.raises(BadInputError, match="name cannot be used"):
        file.add(name, Role.VIEWER)


def test_a_name_stands_once(file: Accounts) -> None:
    file.add("mei", Role.VIEWER)
    with pytest.raises(ConflictError):
        file.add("mei", Role.OPERATOR)
    assert [user.role for user in file.users()] == [Role.VIEWER]


@pytest.mark.parametrize("password", ["short", "x" * 1001])
def test_a_password_that_cannot_be_used(file: Accounts, password: str) -> None:
    file.add("mei", Role.VIEWER)
    with pytest.raises(BadInputError, match="password is too"):
        file.set_password("mei", password)
    file.add("a-very-long-name", Role.VIEWER)
    with pytest.raises(BadInputError, match="user's name"):
        file.set_password("a-very-long-name", "A-very-long-name")


@pytest.mark.parametrize(("title", "days"), [("export", 0), ("export", 367), (" ", 30), ("x" * 101, 30)])
def test_a_token_that_cannot_be_made(file: Accounts, title: str, days: int) -> None:
    file.add("mei", Role.VIEWER)
    with pytest.raises(BadInputError):
        file.make_token("mei", title, days)
    assert file.tokens() == []


def test_nobody_of_that_name(file: Accounts) -> None:
    for asked in (file.user, file.disable, lambda n: file.set_password(n, PASSWORD), lambda n: file.make_token(n, "x")):
        with pytest.raises(NotFoundError, match="no such user"):
            asked("mei")


def test_a_register_of_others_eyes_only_is_made(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no register of users here"):
        open_accounts(tmp_path / "users.db")
    open_accounts(tmp_path / "users.db", create=True).close()
    assert stat.S_IMODE((tmp_path / "users.db").stat().st_mode) == 0o600
    open_accounts(tmp_path / "users.db").close()
    (tmp_path / "users.db").chmod(0o644)
    with pytest.raises(ForbiddenError, match="Others may read"):
        open_accounts(tmp_path / "users.db")
    (tmp_path / "notes.db").write_text("shopping list " * 100)
    (tmp_path / "notes.db").chmod(0o600)
    with pytest.raises(CorruptAccountsError, match="not a register of users"):
        open_accounts(tmp_path / "notes.db")
    with pytest.raises(TradewindError, match="no folder"):
        open_accounts(tmp_path / "nowhere" / "users.db", create=True)


def test_a_password_is_slow_to_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    kept = secrecy.sealed(PASSWORD)
    assert kept.startswith("scrypt$15$8$1$")
    assert secrecy.sealed(PASSWORD) != kept
    assert secrecy.fits(PASSWORD, kept)
    assert not secrecy.fits(PASSWORD + "!", kept)
    assert not secrecy.fits(PASSWORD, None)


def test_what_changes_who_is_let_in_stands_in_the_audit_log(file: Accounts) -> None:
    signed_up(file)
    token, secret = file.make_token("mei", "export")
    file.revoke(token.id, file.user("mei").caller)
    file.disable("mei")
    file.disable("mei", back=True)
    deeds = [(deed.who, deed.what, deed.subject, deed.detail) for deed in file.deeds(ANYBODY_HERE)]
    assert deeds[::-1] == [
        ("this machine", "add user", "mei", "merchant s1"),
        ("this machine", "set password", "mei", ""),
        ("this machine", "make token", token.id, "mei: export"),
        ("mei", "revoke token", token.id, ""),
        ("this machine", "disable user", "mei", ""),
        ("this machine", "enable user", "mei", ""),
    ]
    assert not any(word in str(deeds) for word in (PASSWORD, secret))


def test_a_password_changed_meanwhile_lets_nobody_in(file: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    signed_up(file)

    def slowly(password: str, kept: str | None) -> bool:
        right = secrecy.fits(password, kept)
        file.set_password("mei", "staple of another kind")  # nothing is locked while a password is stretched
        return right

    monkeypatch.setattr(register, "fits", slowly)
    with pytest.raises(UnknownCallerError):
        file.sign_in("mei", PASSWORD)


@pytest.mark.parametrize("name", ["nobody", "new", "mei", "out", "\ud800", "a\0b"])
def test_whoever_does_not_fit_waits_as_long(file: Accounts, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    signed_up(file)
    signed_up(file, "out")
    file.disable("out")
    file.add("new", Role.VIEWER)
    times, stretched = [], secrecy._stretched
    monkeypatch.setattr(secrecy, "_stretched", lambda *given: times.append(1) or stretched(*given))
    with pytest.raises(UnknownCallerError):
        file.sign_in(name, PASSWORD if name == "out" else "another password")
    assert len(times) == 1


@pytest.mark.parametrize("text", ["", " ", "a\0b", "\ud800", "\x1b[2J", "x" * 101])
def test_what_cannot_be_printed_is_not_kept(file: Accounts, text: str) -> None:
    file.add("mei", Role.VIEWER)
    for asked in (
        lambda: file.add("kay", Role.VIEWER, shops=(text,)), lambda: file.make_token("mei", text),
        lambda: file.revoke(text, ANYBODY_HERE),
    ):  # fmt: skip
        with pytest.raises(BadInputError, match="cannot be used"):
            asked()
    with pytest.raises(NotFoundError, match="no such user"):
        file.user(text)
    assert [user.name for user in file.users()] == ["mei"]


def test_an_accent_is_an_accent_however_it_is_typed(file: Accounts) -> None:
    file.add("zoe", Role.VIEWER, password="Zo\u00eb and eleven more")
    assert file.sign_in("zoe", "Zoe\u0308 and eleven more").caller.name == "zoe"
    with pytest.raises(UnknownCallerError):
        file.sign_in("zoe", "x" * 2000)


def test_errors_show_neither_digest_nor_password(file: Accounts) -> None:
    file.add("mei", Role.VIEWER)
    with pytest.raises(ConflictError) as raised:
        file.add("mei", Role.VIEWER, password=PASSWORD)
    assert "scrypt$" not in str(raised.value.__cause__)
    shown = Database(ACCOUNTS, "postgresql://u:secret@localhost:1/x?password=secret").shown
    assert "secret" not in shown
