"""Whatever is done to a ledger behind its back is found, and the first entry that does not fit is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa
from deeds import APPROVAL, KEY, Clock, coupon, customers, prices, promise, reading
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from places import Place

from tradewind.errors import BadInputError, ConflictError, CorruptLedgerError
from tradewind.ledger import Head, Terms, open_ledger
from tradewind.ledger.chain import GENESIS, Break, Entry, canonical, first_break, fits, seal
from tradewind.ledger.key import Key
from tradewind.ledger.schema import METADATA
from tradewind.ledger.verification import verify

QUICK = settings(max_examples=40, deadline=None)
SEALED = Key(KEY["TRADEWIND_LEDGER_KEY"], "test")
FORGED = Key("x" * 64, "forger")
FIELDS = ("number", "at", "kind", "who", "payload", "previous", "hash")


def chain(count: int, key: Key = SEALED) -> list[Entry]:
    entries: list[Entry] = []
    for number in range(1, count + 1):
        previous = entries[-1].hash if entries else GENESIS
        said = canonical({"n": str(number)})
        entries.append(seal(key, number, f"2025-03-01T12:00:{number:02d}.000000Z", "launch", "Ann", said, previous))
    return entries


LENGTHS = st.integers(1, 8)


@QUICK
@given(LENGTHS, st.data())
def test_an_edited_field_is_found_at_its_entry(count: int, data: st.DataObject) -> None:
    entries = chain(count)
    at = data.draw(st.integers(0, count - 1))
    field = data.draw(st.sampled_from(FIELDS))
    old = getattr(entries[at], field)
    new = data.draw(st.integers() if field == "number" else st.one_of(st.text(), st.binary(), st.none()))
    if new != old:
        entries[at] = replace(entries[at], **{field: new})
        found = first_break(SEALED, entries)
        assert found is not None
        assert found.number == at + 1


@QUICK
@given(LENGTHS, st.data())
def test_a_swap_is_found_at_the_first_of_the_two(count: int, data: st.DataObject) -> None:
    entries = chain(count + 1)
    i, j = sorted(data.draw(st.lists(st.integers(0, count), min_size=2, max_size=2, unique=True)))
    entries[i], entries[j] = entries[j], entries[i]
    assert first_break(SEALED, entries) == Break(i + 1, f"Entry {i + 1} is missing")
    renumbered = [replace(entry, number=number) for number, entry in enumerate(entries, start=1)]
    assert first_break(SEALED, renumbered).number == i + 1


@QUICK
@given(LENGTHS, st.data())
def test_a_dropped_entry_is_found_unless_it_is_the_last(count: int, data: st.DataObject) -> None:
    entries = chain(count)
    at = data.draw(st.integers(0, count - 1))
    del entries[at]
    found = first_break(SEALED, entries)
    assert found == (None if at == count - 1 else Break(at + 1, f"Entry {at + 1} is missing"))


@QUICK
@given(LENGTHS, st.data())
def test_an_inserted_entry_is_found(count: int, data: st.DataObject) -> None:
    entries = chain(count)
    at = data.draw(st.integers(0, count))
    previous = entries[at - 1].hash if at else GENESIS
    entries.insert(at, seal(FORGED, at + 1, "2025-03-01T12:00:00.000000Z", "launch", "Eve", "{}", previous))
    assert first_break(SEALED, entries).number == at + 1


def test_a_chain_that_nobody_touched_fits() -> None:
    assert first_break(SEALED, chain(20)) is None
    assert first_break(SEALED, []) is None
    assert first_break(FORGED, chain(3)) == first_break(SEALED, chain(3, FORGED))
    assert fits(SEALED, chain(1)[0])
    again = chain(3)
    again[2] = seal(SEALED, 3, again[2].at, "launch", "Ann", again[2].payload, again[0].hash)
    assert first_break(SEALED, again) == Break(3, "Entry 3 does not follow the one before it")


@QUICK
@given(st.integers(0, 10**9) | st.none())
def test_a_head_is_read_as_it_is_written(count: int | None) -> None:
    head = Head("0" * 32, "a" * 64, count)
    assert Head.parse(str(head)) == head


@pytest.mark.parametrize("text", ["", "x", "0:1:2", "0" * 32 + ":-1:" + "a" * 64])
def test_what_is_no_head(text: str) -> None:
    with pytest.raises(BadInputError, match="not the head of a ledger"):
        Head.parse(text)


# --- the same in the database


@pytest.fixture
def written(place: Place, clock: Clock) -> tuple[Place, Head, list[Head]]:
    """A ledger with something in every table, its head, and the heads on the way."""
    ledger = place.open(clock)
    heads = [ledger.head()]
    trial, group = ledger.launch(
        "spring", [promise(coupon("lapsed", customers(0, 12), shop=None), 0.4), *prices(3)], APPROVAL, "Ann"
    ).experiments
    heads.append(ledger.head())
    clock.on(date(2025, 3, 5))
    ledger.stop(trial.launches[0].id, "Ann", "enough")
    ledger.read(reading(group, last=date(2025, 3, 4)), "Ann")
    heads.append(ledger.head())
    assert ledger.verify(heads).sound
    ledger.close()
    return place, heads[-1], heads


@contextmanager
def behind_its_back(place: Place, engine: sa.Engine) -> Iterator[sa.Connection]:
    """Give a connection on which nothing is refused, and nothing stays."""
    with engine.connect() as connection:
        transaction = connection.begin()
        if place.kind == "postgresql":
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        else:
            for (name,) in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").all():
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
        yield connection
        transaction.rollback()


OWNERS = {"entries": "number", "assignments": "experiment"}


@settings(QUICK, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_cell_row_or_table_changes_unseen(written: tuple[Place, Head, list[Head]], data: st.DataObject) -> None:
    place, head, _ = written
    engine = sa.create_engine(place.address if place.kind == "postgresql" else f"sqlite:///{place.address}")
    name = data.draw(st.sampled_from(["entries", "experiments", "launches", "assignments", "stops", "readings"]))
    table = METADATA.tables[name]
    with behind_its_back(place, engine) as connection:
        rows = connection.execute(table.select().order_by(*table.primary_key)).mappings().all()
        row = data.draw(st.sampled_from(rows))
        this = sa.and_(*(column == row[column.name] for column in table.primary_key))
        owner = row[OWNERS.get(name, "number")]
        deed = data.draw(st.sampled_from(["edit", "drop", "insert"]))
        if deed == "edit":
            column = data.draw(st.sampled_from([column for column in table.columns if not column.primary_key]))
            old = row[column.name]
            new = old + 1 if isinstance(old, int) else data.draw(st.sampled_from(["", "x", "Eve", "2025-01-01"]))
            connection.execute(table.update().where(this).values({column.name: new}))
        elif deed == "drop":
            connection.execute(table.delete().where(this))
        else:
            fresh = {**row, "number": 1000} if name != "assignments" else {**row, "unit": "c999"}
            if name in {"experiments", "launches"}:
                fresh["id"] = "f" * 16
            if name == "stops":
                fresh["launch"] = 999
            connection.execute(table.insert().values(fresh))
        verdict = verify(connection, SEALED, [head])
        assert not verdict.sound
        if deed != "insert" or name == "assignments":
            assert verdict.entry == owner
            assert verdict.count == owner - 1
        else:  # a row too many stands where an entry after the last one would
            assert verdict.entry == head.count + 1
    engine.dispose()


def test_a_history_cut_at_its_end_is_found_by_a_head(written: tuple[Place, Head, list[Head]], clock: Clock) -> None:
    place, head, heads = written
    cut = heads[1].count
    place.tamper(*(f"DELETE FROM {table} WHERE number > {cut}" for table in ("stops", "readings", "entries")))
    ledger = place.open(clock)
    assert ledger.verify().sound  # nothing inside it can tell
    assert ledger.verify(heads[:2]).sound
    for kept in heads[:2]:
        ledger.reach(kept)
    for lost in (head, replace(head, count=None), replace(heads[1], count=1)):
        with pytest.raises(CorruptLedgerError, match="was cut or written anew"):
            ledger.reach(lost)
    found = ledger.verify(heads)
    assert (found.sound, found.entry) == (False, cut + 1)
    assert f"{head.count} entries had been written" in found.what
    assert not ledger.verify([replace(head, count=None)]).sound
    assert ledger.verify([replace(heads[1], count=None)]).sound
    ledger.launch("again", prices(4, first=5), APPROVAL, "Ann", Terms(late=True))
    found = ledger.verify(heads)
    assert (found.sound, found.what) == (False, "The ledger was cut and written anew, or the head is wrong")
    ledger.close()


def test_an_emptied_ledger_is_found(written: tuple[Place, Head, list[Head]], clock: Clock) -> None:
    place, head, _ = written
    ledger = place.open(clock)
    tables = ("readings", "stops", "assignments", "launches", "experiments", "entries")
    place.tamper(*(f"DELETE FROM {table}" for table in tables))
    assert ledger.verify().what == "Entry 1 is missing"
    with pytest.raises(CorruptLedgerError, match="no entries"):
        ledger.head()
    ledger.close()
    again = place.open(clock)
    assert again.verify([head]).what == "The head is of another ledger"
    again.close()


def test_nothing_is_written_after_a_forged_entry(written: tuple[Place, Head, list[Head]], clock: Clock) -> None:
    place, head, _ = written
    ledger = place.open(clock)
    place.tamper(f"UPDATE entries SET who = 'Eve' WHERE number = {head.count}")
    with pytest.raises(CorruptLedgerError, match="The last entry of the ledger was changed"):
        ledger.launch("again", prices(4, first=5), APPROVAL, "Ann")
    ledger.close()


PAYLOAD = "UPDATE entries SET payload = REPLACE(payload, '{}', '{}') WHERE kind = '{}'"
UNSEALED = {
    "an arm in the entry of a launch": PAYLOAD.format("holdout", "treated", "launch"),
    "units in the entry of an experiment": PAYLOAD.format("customer", "action", "experiment"),
    "a number in a reading": PAYLOAD.format("4.0", "40.0", "reading"),
    "the day of a stop": PAYLOAD.format("2025-03-05", "2025-03-06", "stop"),
    "the row of a launch": "UPDATE launches SET lever = 'none'",
    "the row of an experiment": "UPDATE experiments SET due = '2030-01-01'",
    "the row of a stop, gone": "DELETE FROM stops",
    "the row of a reading, gone": "DELETE FROM readings",
}


@pytest.mark.parametrize("what", UNSEALED)
def test_nothing_is_read_launched_or_exported_of_what_was_changed(
    written: tuple[Place, Head, list[Head]], clock: Clock, tmp_path: Path, what: str
) -> None:
    place, _, _ = written
    ledger = place.open(clock)
    whole = ledger.status()
    [trial] = [each for each in whole.experiments if each.unit == "customer"]
    place.tamper(UNSEALED[what])
    again = [promise(coupon("lapsed", customers(0, 12), shop=None), 0.4)]
    for refused in (
        ledger.status, ledger.track, lambda: ledger.export(tmp_path / "arms.csv"),
        lambda: ledger.launch("summer", again, APPROVAL, "Ann"), lambda: [ledger.arms(e.id) for e in whole.experiments],
    ):  # fmt: skip
        with pytest.raises(CorruptLedgerError):
            refused()
    assert not (tmp_path / "arms.csv").exists()
    if what == "the row of a launch":
        with pytest.raises(CorruptLedgerError):
            ledger.stop(trial.launches[0].id, "Ann", "again")
    ledger.close()


def test_customers_that_were_taken_out_are_missed(written: tuple[Place, Head, list[Head]], clock: Clock) -> None:
    place, _, _ = written
    ledger = place.open(clock)
    [trial] = [each for each in ledger.status().experiments if each.name == "lapsed"]
    place.tamper("DELETE FROM assignments WHERE unit = 'c3'")
    with pytest.raises(CorruptLedgerError, match="not those that were registered"):
        ledger.arms(trial.id)
    ledger.close()


def test_an_action_whose_row_was_renamed_is_not_launched_twice(
    written: tuple[Place, Head, list[Head]], clock: Clock
) -> None:
    place, _, _ = written
    ledger = place.open(clock)
    place.tamper("UPDATE launches SET id = 'x' || number, lever = 'none'", "UPDATE experiments SET id = 'y' || number")
    with pytest.raises(CorruptLedgerError, match="nothing is launched"):
        ledger.launch("spring", prices(3), APPROVAL, "Ann")
    ledger.close()


def test_a_head_is_reached_by_every_entry_before_it(written: tuple[Place, Head, list[Head]], clock: Clock) -> None:
    place, head, _ = written
    ledger = place.open(clock)
    ledger.reach(head)
    place.tamper("DELETE FROM launches WHERE number = 5", "DELETE FROM entries WHERE number = 5")
    with pytest.raises(CorruptLedgerError, match="was cut or written anew"):
        ledger.reach(head)
    ledger.close()


def test_a_type_that_only_an_embedded_database_keeps(file: Place, clock: Clock) -> None:
    ledger = file.open(clock)
    ledger.launch("spring", prices(3), APPROVAL, "Ann")
    for number, value in ((2, "x'00ff'"), (3, "7"), (4, "NULL")):
        edit = f"UPDATE entries SET payload = {value} WHERE number = {number}"
        if value != "NULL":
            file.tamper(edit)
            assert ledger.verify().entry == 2
    ledger.close()


@pytest.mark.parametrize(
    ("edit", "entry"),
    [
        ("UPDATE entries SET payload = CAST(x'7bff' AS TEXT) WHERE number = 3", 3),
        ("UPDATE assignments SET unit = CAST(x'ff' AS TEXT) WHERE unit = 'c3'", 2),
        ("UPDATE launches SET action = CAST(x'ff' AS TEXT) WHERE number = 3", 3),
    ],
)
def test_a_text_that_only_an_embedded_database_keeps(file: Place, clock: Clock, edit: str, entry: int) -> None:
    ledger = file.open(clock)
    [trial] = ledger.launch("spring", [promise(coupon("lapsed", customers(0, 50)))], APPROVAL, "Ann").experiments
    file.tamper(edit)
    assert ledger.verify().entry == entry
    with pytest.raises(CorruptLedgerError):
        ledger.arms(trial.id)
    ledger.close()


def test_a_table_that_is_gone_is_missed(written: tuple[Place, Head, list[Head]], clock: Clock) -> None:
    place, head, _ = written
    ledger = place.open(clock)
    place.run("ALTER TABLE readings RENAME TO unread")
    try:
        found = ledger.verify([head])
        assert (found.sound, found.entry, found.what) == (False, 1, "The table readings is gone")
    finally:
        place.run("ALTER TABLE unread RENAME TO readings")
    assert ledger.verify([head]).sound
    ledger.close()


def test_another_ledger_under_the_same_key_is_not_this_one(file: Place, clock: Clock, tmp_path: object) -> None:
    other = open_ledger(f"{tmp_path}/other.db", environment=KEY, clock=clock)
    ledger = file.open(clock)
    assert ledger.verify([other.head()]).what == "The head is of another ledger"
    with pytest.raises(ConflictError, match="is of another ledger"):
        ledger.reach(other.head())
    ledger.close()
    other.close()
