"""Where a ledger lives: begun, brought up to date, copied, and what keeps it from opening."""

from __future__ import annotations

import os
import pickle
import stat
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from deeds import APPROVAL, KEY, START, Clock, coupon, customers, prices, promise
from places import Place

from servers import Server
from tradewind.database import Database, database
from tradewind.errors import (
    BadInputError,
    BusyError,
    ConflictError,
    CorruptLedgerError,
    ForbiddenError,
    MissingDataError,
    NotFoundError,
    UnavailableError,
)
from tradewind.ledger import Ledger, chain, open_ledger
from tradewind.ledger.chain import Entry
from tradewind.ledger.key import Key, find_key
from tradewind.ledger.schema import LEDGER, METADATA
from tradewind.scope import Scope

PLAN = [promise(coupon("lapsed", customers(0, 50))), *prices(4)]


def test_a_ledger_is_begun_where_there_is_none(empty: Place, clock: Clock) -> None:
    with pytest.raises(NotFoundError, match="no ledger here"):
        empty.open(clock, create=False)
    ledger = empty.open(clock)
    assert ledger.head().count == 1
    assert ledger.verify([ledger.head()]).sound
    ledger.close()
    again = empty.open(clock, create=False)
    assert again.head() == ledger.head()
    again.close()


def test_the_steps_lead_to_the_tables_that_the_code_speaks_of(empty: Place, clock: Clock) -> None:
    empty.open(clock).close()
    base = Database(LEDGER, empty.address)
    with base.reading() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": LEDGER.version_table})
        assert compare_metadata(context, METADATA) == []
    base.close()


def test_the_steps_come_with_the_package() -> None:
    assert version("alembic")
    assert (database.ENVIRONMENT / "env.py").is_file()
    assert (LEDGER.steps / "step_0001.py").is_file()


def test_a_newer_ledger_is_not_touched(place: Place, clock: Clock) -> None:
    place.tamper(f"UPDATE {LEDGER.version_table} SET version_num = '9999'")
    with pytest.raises(BadInputError, match="newer Tradewind"):
        place.open(clock)


def test_a_database_of_somebody_elses_is_not_touched(empty: Place, clock: Clock) -> None:
    empty.run("CREATE TABLE entries (number integer)")
    with pytest.raises(BadInputError, match="other tables of the names"):
        empty.open(clock)
    assert empty.run("SELECT count(*) FROM entries") == [(0,)]


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("", "in a file or on a server"),
        (":memory:", "in a file or on a server"),
        ("sqlite://", "in a file or on a server"),
        ("mysql://u:secret@h/d", "cannot live in such a database"),
        ("postgresql://u:secret@host:port/d", "cannot be read"),
        ("/no/such/folder/ledger.db", "no folder"),
    ],
)
def test_an_address_that_cannot_be_used(address: str, words: str) -> None:
    with pytest.raises((BadInputError, NotFoundError), match=words) as raised:
        open_ledger(address, environment=KEY)
    assert "secret" not in str(raised.value)


def test_a_timezone_that_does_not_exist(file: Place, clock: Clock) -> None:
    for wrong in ("Mars/North", "../etc"):
        with pytest.raises(BadInputError, match="no such timezone"):
            file.open(clock, timezone=wrong)


def test_a_ledger_keeps_its_timezone_and_its_kind_of_days(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    day = date(2025, 3, 1)
    ledger = open_ledger(file, timezone="Pacific/Kiritimati", environment=KEY, clock=day)  # 14 hours before UTC
    assert ledger.today == day
    ledger.close()
    asked = open_ledger(file, environment=KEY, create=False)
    assert asked.today == day
    assert asked.timezone.key == "Pacific/Kiritimati"
    with pytest.raises(ConflictError, match="begun for simulated data"):
        asked.launch("spring", PLAN, APPROVAL, "Ann")
    asked.close()
    with pytest.raises(ConflictError, match="begun for simulated data"):
        open_ledger(file, environment=KEY, simulated=False)
    later = open_ledger(file, environment=KEY, clock=date(2025, 3, 2))
    assert later.today == date(2025, 3, 2)
    later.close()
    real = tmp_path / "real.db"
    open_ledger(real, environment=KEY).close()
    with pytest.raises(ConflictError, match="not simulated"):
        open_ledger(real, environment=KEY, clock=day)
    asked = open_ledger(real, environment=KEY)
    assert abs((asked.now - datetime.now(UTC)).total_seconds()) < 60
    asked.close()


def test_a_ledger_of_before_takes_any_days(place: Place, clock: Clock) -> None:
    """Its first entry names neither timezone nor kind of days."""
    ledger = place.open(clock)
    [entry] = [Entry(*row) for row in place.run("SELECT * FROM entries")]
    ledger.close()
    said = {"ledger": entry.said["ledger"], "format": entry.said["format"]}
    old = chain.seal(find_key(KEY, None, fresh=False), 1, entry.at, entry.kind, entry.who, chain.canonical(said),
                     entry.previous)  # fmt: skip
    place.tamper(f"UPDATE entries SET payload = '{old.payload}', hash = '{old.hash}'")
    again = place.open(clock)
    assert again.verify().sound
    assert again.today == clock.now.date()
    again.close()
    now = open_ledger(place.address, environment=KEY, simulated=False)
    assert now.timezone.key == "UTC"
    assert abs((now.now - datetime.now(UTC)).total_seconds()) < 60
    now.close()


def test_a_server_that_cannot_be_reached() -> None:
    with pytest.raises(UnavailableError, match="cannot be reached") as raised:
        open_ledger("postgresql://u:secret@127.0.0.1:1/d", environment=KEY)
    assert "secret" not in str(raised.value)


def test_a_driver_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDataError, match="pip install"):
        open_ledger("postgresql://u@h/d", environment=KEY)


def test_a_file_that_is_no_ledger(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("shopping list " * 100)
    with pytest.raises(CorruptLedgerError, match="not a ledger"):
        open_ledger(tmp_path / "notes.db", environment=KEY)


def test_a_writer_who_waits_too_long_is_told(place: Place, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "PATIENCE", 1)
    ledger, other = place.open(clock), Database(LEDGER, place.address)
    with other.writing(), pytest.raises(BusyError, match="Somebody else"):
        ledger.launch("spring", PLAN, APPROVAL, "Ann")
    other.close()
    ledger.launch("spring", PLAN, APPROVAL, "Ann")
    ledger.close()


def test_a_reader_waits_for_nobody(place: Place, clock: Clock) -> None:
    ledger, other = place.open(clock), Database(LEDGER, place.address)
    with other.writing():
        assert ledger.verify().sound
        assert ledger.status().launches == ()
    other.close()
    ledger.close()


# --- the key


def test_an_embedded_ledger_makes_a_key_file_of_its_owners_only(tmp_path: Path, clock: Clock) -> None:
    file = tmp_path / "ledger.db"
    ledger = open_ledger(file, environment={}, clock=clock)
    head = ledger.launch("spring", PLAN, APPROVAL, "Ann").head
    ledger.close()
    key = tmp_path / "ledger.db.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ledger.db", "ledger.db.key"]
    text = key.read_text().strip()
    for settings in ({}, {"TRADEWIND_LEDGER_KEY": text}):
        again = open_ledger(file, environment=settings, clock=clock)
        assert again.verify([head]).sound
        again.close()
    key.chmod(0o640)
    with pytest.raises(ForbiddenError, match="chmod 600"):
        open_ledger(file, environment={}, clock=clock)
    key.unlink()
    with pytest.raises(MissingDataError, match="is missing"):
        open_ledger(file, environment={}, clock=clock)
    assert not key.exists()


def test_two_who_begin_at_once_take_one_key(tmp_path: Path) -> None:
    first = find_key({}, tmp_path / "key", fresh=True)
    second = find_key({}, tmp_path / "key", fresh=True)
    assert first.sign(b"x") == second.sign(b"x")


@pytest.mark.xdist_group("postgresql")
def test_without_a_key_nothing_is_begun_on_a_server(server: Server, clock: Clock) -> None:
    place = Place(server.empty(), "postgresql")
    with pytest.raises(MissingDataError, match="token_hex"):
        place.open(clock, environment={})
    with pytest.raises(NotFoundError):
        place.open(clock, create=False)


def test_another_key_is_told_from_a_forged_history(place: Place, clock: Clock) -> None:
    with pytest.raises(CorruptLedgerError, match="does not fit the ledger's first entry"):
        place.open(clock, environment={"TRADEWIND_LEDGER_KEY": "f" * 64})
    with pytest.raises(BadInputError, match="too short"):
        place.open(clock, environment={"TRADEWIND_LEDGER_KEY": "short"})


def test_nothing_prints_the_key() -> None:
    key = Key("s3cret" * 8, "TRADEWIND_LEDGER_KEY")
    assert "s3cret" not in repr(key) + str(key) + str(dir(key))
    with pytest.raises(TypeError):
        pickle.dumps(key)


# --- copies


@pytest.mark.xdist_group("postgresql")
def test_a_copy_is_the_same_ledger(place: Place, clock: Clock, tmp_path: Path, server: Server) -> None:
    ledger = place.open(clock)
    ledger.launch("spring", PLAN, APPROVAL, "Ann")
    embedded = Place(str(tmp_path / "copy.db"), "sqlite")
    target = Place(server.empty(), "postgresql") if place.kind == "sqlite" else embedded
    head = ledger.copy(target.address)
    copy = target.open(clock, create=False)
    assert copy.head() == head == ledger.head()
    assert copy.status() == ledger.status()
    assert copy.verify([head]).sound
    with pytest.raises(ConflictError, match="a ledger already"):
        ledger.copy(target.address)
    with pytest.raises(ForbiddenError):
        ledger.seen_by(Scope.of(["s1"])).copy(tmp_path / "stolen.db")
    ledger.close()
    copy.close()


def test_a_copy_makes_edited_tables_whole_again(file: Place, clock: Clock, tmp_path: Path) -> None:
    ledger = file.open(clock)
    before = ledger.launch("spring", PLAN, APPROVAL, "Ann").experiments
    file.tamper("UPDATE launches SET shop = 's9'", "DELETE FROM experiments WHERE number > 2")
    assert not ledger.verify().sound
    ledger.copy(tmp_path / "copy.db")
    copy = open_ledger(tmp_path / "copy.db", environment=KEY, clock=clock)
    assert copy.verify([ledger.head()]).sound
    assert copy.status().experiments == before
    ledger.close()
    copy.close()


@pytest.mark.parametrize(
    "edit", ["UPDATE entries SET who = 'Eve' WHERE number = 2", "DELETE FROM assignments WHERE unit = 'c7'"]
)
def test_what_was_forged_is_not_copied(file: Place, clock: Clock, tmp_path: Path, edit: str) -> None:
    ledger = file.open(clock)
    ledger.launch("spring", PLAN, APPROVAL, "Ann")
    file.tamper(edit)
    with pytest.raises(CorruptLedgerError):
        ledger.copy(tmp_path / "copy.db")
    with pytest.raises(NotFoundError):
        open_ledger(tmp_path / "copy.db", environment=KEY, clock=clock, create=False)
    ledger.close()


def test_the_process_environment_and_clock_are_the_usual_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "TRADEWIND_LEDGER_KEY", "e" * 64)
    ledger: Ledger = open_ledger(tmp_path / "ledger.db")
    assert ledger.today > START.date()
    assert not (tmp_path / "ledger.db.key").exists()
    ledger.close()
    assert sa.inspect(sa.create_engine(f"sqlite:///{tmp_path}/ledger.db")).has_table("entries")
