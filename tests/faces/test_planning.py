"""From a plan to a launch on the command line: what is said, what is written, and what is refused."""

from __future__ import annotations

import getpass
import json
import os
import re
import shutil
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pyarrow.csv as pc
import pytest
import reef
from typer.testing import CliRunner

from tradewind.decisions.plan import read_plan
from tradewind.engines.store import Store
from tradewind.faces import planning
from tradewind.faces.cli import app
from tradewind.faces.plan_commands import acted
from tradewind.faces.proving import promised
from tradewind.faces.studies import WINGS, Wing
from tradewind.faces.voice import Voice
from tradewind.ledger import Ledger, open_ledger
from tradewind.period import Period

ASSUME = ("--assume", "margin=0.4")


@pytest.fixture
def acting(monkeypatch: pytest.MonkeyPatch, home: Path) -> Path:
    """A folder with the market's store, where one wing acts and the ledger is a file of its own."""
    monkeypatch.setitem(sys.modules, "tradewind.decisions.reef", reef)
    for name in list(WINGS):
        monkeypatch.delitem(WINGS, name)
    monkeypatch.setitem(WINGS, "reef", Wing("reef", "Reef", "Is it alive?", acts=True))
    monkeypatch.setitem(WINGS, "idle", Wing("idle", "Idle", "Does nothing?"))
    monkeypatch.delenv("TRADEWIND_LEDGER", raising=False)
    return home


def run(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


def told(*words: str) -> dict[str, Any]:
    found = run(*words, "--json")
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


def test_a_launch_that_is_refused_begins_no_ledger(acting: Path) -> None:
    told("plan", "--budget", "platform=100", "--out", "spring", *ASSUME)
    late = run("ledger", "launch", "spring", "--today", "2099-01-01", "--ledger", "none.db", *ASSUME)
    assert "is over already" in " ".join(late.output.replace("│", " ").split())
    assert not list(acting.glob("none.db*"))


def test_a_plan_is_made_launched_and_verified(acting: Path) -> None:  # noqa: PLR0915 - one story, told in order
    found = told("plan", "--budget", "platform=100", "--budget", "merchant=60", "--rule", "price actions<=3",
                 "--out", "spring", *ASSUME)  # fmt: skip
    chosen = [choice["action"]["key"] for choice in found["plan"]["choices"]]
    assert chosen[0] == "price-11"
    assert "coupon-all" in chosen
    assert sum(key.startswith("price") for key in chosen) == 3
    page = (acting / "spring" / "plan.html").read_text()
    assert re.search(r"<title>Plan spring: \d", page), "days are told once"
    assert "What to do with" in page
    assert "The reef is alive." in page
    assert "The reef is alive." not in page.split('aria-labelledby="short"')[1].split("</section>")[0]  # of the plan
    assert "To choose from: " in page
    assert page.count("<script") == 0
    today = found["study"]["provenance"]
    assert today["simulated"]
    last = told("plan", "--budget", "platform=1")["study"]["period"]["first"]
    day = f"{last[:8]}{int(last[8:]) - 1:02d}"
    launched = told("ledger", "launch", "spring", "--holdout", "0.3", *ASSUME)  # on the last day of simulated data
    plan = f"spring-{last}"
    assert launched["receipt"]["plan"] == found["plan"]["name"] == plan
    arms = pc.read_csv(acting / "spring" / "arms.csv")
    assert set(arms["arm"].to_pylist()) == {"treated", "holdout"}
    doses = {
        choice["action"]["key"]: choice["action"]["menu"][choice["place"]]["dose"]
        for choice in found["plan"]["choices"]
    }
    deeds = {row["action"]: row for row in pc.read_csv(acting / "spring" / "deeds.csv").to_pylist()}
    assert set(deeds) == set(chosen)
    drawn = {row["unit_id"]: row["arm"] for row in arms.to_pylist() if row["unit_kind"] == "product"}
    for key, row in deeds.items():
        assert {name: row[name] for name in doses[key]} == pytest.approx(doses[key])
        assert row["experiment_id"] in set(arms["experiment_id"].to_pylist())
        assert (row["arm"] or None) == drawn.get(row["subject_id"]), "customers draw their own"
        assert row["stopped"] in ("", None)
    assert "off" in next(row["what"] for key, row in deeds.items() if key.startswith("price") and row["off"] > 0)
    assert told("ledger", "status")["today"] == day  # that of the ledger's last entry, for its days are simulated
    status = told("ledger", "status", "--today", day)
    assert {each["lever"] for each in status["experiments"]} == {"coupon", "price"}
    assert "waiting" in run("ledger", "status", "--today", day).output
    assert told("ledger", "verify", "spring")["sound"]
    head = str(open_ledger("tradewind-ledger.db").head())
    assert told("ledger", "read", *ASSUME) == {"readings": [], "unread": {}, "looks": {}, "head": head}
    assert f"Nothing is due to be read on {day}" in run("ledger", "read", *ASSUME).output
    assert told("ledger", "calibrate", "--today", day)["levers"] == told("ledger", "calibrate")["levers"] == {}
    (acting / "spring" / "arms.csv").unlink()
    done = next(key for key, row in deeds.items() if row["arm"] == "treated")
    told("ledger", "stop", f"{plan}/{done}", "--reason", "sold out")
    assert told("ledger", "export", "spring")["rows"] == arms.num_rows
    after = {row["action"]: row for row in pc.read_csv(acting / "spring" / "deeds.csv").to_pylist()}
    assert {key for key, row in after.items() if row["stopped"]} == {done}
    assert pc.read_csv(acting / "spring" / "arms.csv").equals(arms)
    assert told("ledger", "verify", "spring")["sound"]
    assert told("ledger", "copy", "copy.db")["head"] == str(open_ledger("tradewind-ledger.db").head())
    shutil.copy("tradewind-ledger.db.key", "copy.db.key")
    assert told("ledger", "verify", "spring", "--ledger", "copy.db")["sound"]
    assert "There is a ledger already" in run("ledger", "copy", "copy.db").output
    assert "no such plan" in run("ledger", "status", "--plan", "autumn", "--today", day).output
    assert "No action of these shops" in run("ledger", "status", "--shop", "nosuch", "--today", day).output
    again = run("ledger", "launch", "spring", "--today", day, "--holdout", "0.3", *ASSUME)
    assert again.exit_code != 0
    assert "launched already" in again.output
    before = json.loads((acting / "spring" / "plan.json").read_text())
    assert "was launched" in run("plan", "--budget", "platform=1", "--out", "spring", *ASSUME).output
    assert json.loads((acting / "spring" / "plan.json").read_text()) == before
    told("plan", "--budget", "merchant=60", "--rule", "price actions<=1", "--name", plan, "--out", "summer", *ASSUME)
    assert "another name" in " ".join(run("ledger", "launch", "summer", *ASSUME).output.replace("│", " ").split())
    assert "Another plan of this name" in run("ledger", "export", "summer").output
    assert not (acting / "summer" / "arms.csv").exists()
    experiments = open_ledger("tradewind-ledger.db").status().experiments
    coupons = next(each for each in experiments if each.unit == "customer" and each.units.get("holdout"))
    assert coupons.done == coupons.units["treated"] / sum(coupons.units.values()) < 1
    [launch] = coupons.treated
    assert promised(coupons).mid == pytest.approx(coupons.done * launch.setting.joint.mid)
    assert "not calibrated yet" in run("plan", "--budget", "platform=100").output


def test_what_was_not_read_is_not_read_again(acting: Path) -> None:
    told("plan", "--budget", "platform=100", "--budget", "merchant=60", "--out", "p", *ASSUME)
    [one, *_] = told("ledger", "launch", "p", "--holdout", "0.3", *ASSUME)["receipt"]["experiments"]
    for name, said in (("nosuch", "no such experiment"), (one["id"], "not read yet")):
        assert said in " ".join(run("ledger", "read", "--again", name, *ASSUME).output.replace("│", " ").split())


def test_what_people_read(acting: Path) -> None:
    said = run("plan", "--budget", "platform=100", "--budget", "merchant=60", "--out", "p").output
    for words in (
        "What to do with",
        "Draws at most",
        "one more ",
        "coupon of R$5 from R$20",
        "Next: look at",
        "No tides.",
    ):
        assert words in said
    assert "left out" in said
    told("plan", "--budget", "platform=100", "--budget", "merchant=60", "--out", "q", *ASSUME)
    shown = " ".join(run("ledger", "launch", "q", "--holdout", "0.3", *ASSUME).output.split())
    assert "• coupon-all: " in shown
    assert re.search(r"Registered \d+ actions of the plan q-\d{4}-\d\d-\d\d: \d+ experiments\.", shown)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("plan",), "needs a budget"),
        (("plan", "--budget", "platform=1", "--seed", "-1"), "greater than or equal to 0"),
        (("plan", "--budget", "platform=-1"), "nothing or more"),
        (("plan", "--budget", "shop=1"), "no such payer"),
        (("plan", "--budget", "platform=1USD"), "another currency"),
        (("plan", "--budget", "platform=1", "--rule", "moon<=1"), "cannot be read"),
        (("plan", "--budget", "platform=1", "--rule", "shop actions>=99"), "more than can be done"),
        (("plan", "--budget", "platform=1", "--rule", "coupon>=900"), "more than can be done"),
        (("plan", "--budget", "platform=1", "--caution", "3"), "from 0 to 1"),
        (("plan", "--budget", "platform=1", "--objective", "me"), "no such objective"),
        (("plan", "--budget", "platform=1", "--wings", "idle"), "proposes no actions"),
        (("ledger", "launch", "nowhere"), "no plan in this folder"),
        (("ledger", "status"), "no ledger"),
    ],
)
def test_what_cannot_be_done_says_so(acting: Path, words: tuple[str, ...], said: str) -> None:
    found = run(*words)
    assert found.exit_code in (1, 2)
    assert said in " ".join(found.output.replace("│", " ").split())


def test_experiments_are_told_apart_in_a_narrow_terminal(acting: Path) -> None:
    told("plan", "--budget", "platform=100", "--budget", "merchant=60", "--out", "spring", *ASSUME)
    told("ledger", "launch", "spring", *ASSUME)
    names = {each["name"] for each in told("ledger", "status")["experiments"]}
    shown = CliRunner().invoke(app, ["ledger", "status"], env={"COLUMNS": "80"}).output
    assert "…" not in shown
    assert all(word in shown for name in names for word in name.split() if len(word) <= 20)


def test_a_first_plan_may_name_the_ledger_that_it_will_be_launched_in(acting: Path) -> None:
    words = ("plan", "--budget", "platform=100", "--out", "spring", "--ledger", "own.db", *ASSUME)
    found = run(*words)
    assert found.exit_code == 0
    assert "no ledger at own.db yet" in " ".join(found.output.split())
    assert told("ledger", "launch", "spring", "--ledger", "own.db", *ASSUME)["receipt"]["plan"].startswith("spring-")
    assert "no ledger at own.db" not in run(*words[:3], "--ledger", "own.db").output


def test_a_plan_of_some_shops_is_calibrated_by_what_they_launched(
    acting: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told("plan", "--budget", "platform=100", "--budget", "merchant=60", "--out", "spring", *ASSUME)
    told("ledger", "launch", "spring", *ASSUME)
    records: list[Ledger] = []

    def seen(store: Store, period: Period, asked: planning.Asked, name: str, ledger: Ledger) -> planning.Planned:
        records.append(ledger)
        return real(store, period, asked, name, ledger)

    real = planning.planned
    monkeypatch.setattr(planning, "planned", seen)
    told("plan", "--budget", "platform=100", *ASSUME)
    told("plan", "--budget", "platform=100", "--shop", "shop-02", *ASSUME)
    all_shops, own = ({each.subject.shop for each in record.status().launches} for record in records)
    assert len(all_shops) > 1
    assert own <= {"shop-02"}


def test_what_holds_nothing_out_is_said_to_prove_nothing(acting: Path) -> None:
    told("plan", "--budget", "platform=100", "--budget", "merchant=60", "--out", "spring", *ASSUME)
    first = told("plan", "--budget", "platform=1")["study"]["period"]["first"]
    day = f"{first[:8]}{int(first[8:]) - 1:02d}"
    said = " ".join(run("ledger", "launch", "spring", "--today", day, "--holdout", "0", *ASSUME).output.split())
    assert "hold nothing out: they prove and calibrate nothing" in said
    assert "too small" not in said
    status = told("ledger", "status", "--today", "2099-01-01")
    assert {each["arms"].get("holdout") for each in status["experiments"]} == {None}
    assert "unproven" in run("ledger", "status", "--today", "2099-01-01").output
    assert "Nothing is due" in run("ledger", "read", "--today", "2099-01-01", *ASSUME).output
    assert "nothing was held out" in " ".join(run("ledger", "calibrate", "--today", "2099-01-01").output.split())


def test_a_ledger_is_for_one_kind_of_data(acting: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_ledger("tradewind-ledger.db", simulated=False).close()
    told("plan", "--budget", "platform=100", "--budget", "merchant=60", "--out", "spring", *ASSUME)
    said = "begun for data that are not simulated"
    for words in (("ledger", "launch", "spring", *ASSUME), ("ledger", "read", *ASSUME), ("ledger", "export", "spring"),
                  ("ledger", "status", "--today", "2099-01-01")):  # fmt: skip
        found = run(*words)
        assert found.exit_code == 1
        assert said in " ".join(found.output.replace("│", " ").split())
    noted = run("plan", "--budget", "platform=1")  # nobody named that ledger
    assert noted.exit_code == 0
    assert said in " ".join(noted.stderr.split())
    monkeypatch.setenv("TRADEWIND_LEDGER", "another.db")  # nothing was launched yet, so that there is none
    assert run("plan", "--budget", "platform=1").exit_code == 0
    monkeypatch.setenv("TRADEWIND_LEDGER", "tradewind-ledger.db")
    assert said in " ".join(run("plan", "--budget", "platform=1").output.replace("│", " ").split())


def test_studies_know_what_plans_did(
    acting: Path, market_store: Store, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    def known(*shops: str) -> set[str]:
        return {each.subject.id for each in acted(market_store, Voice(as_json=True), shops).deeds}

    assert not known()
    told("plan", "--budget", "platform=100", "--budget", "merchant=60", "--out", "spring", *ASSUME)
    assert not known()
    told("ledger", "launch", "spring", "--holdout", "0", *ASSUME)
    assert known() == {each.action.subject.id for each in read_plan(Path("spring")).choices}
    assert not known("nobodys")
    Path("tradewind-ledger.db").write_bytes(b"edited by hand" * 1000)
    assert not known()
    assert "may be taken for what sellers usually do" in " ".join(capsys.readouterr().err.split())


def test_who_launches_has_a_name_or_a_number(acting: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr(getpass, "getuser", nobody)
    told("plan", "--budget", "platform=100", "--budget", "merchant=60", "--out", "spring", *ASSUME)
    told("ledger", "launch", "spring", *ASSUME)
    assert {each["who"] for each in told("ledger", "status")["launches"]} == {f"user {os.getuid()}"}


def test_a_launch_that_cannot_keep_its_files_registers_nothing(acting: Path) -> None:
    told("plan", "--budget", "platform=100", "--budget", "merchant=60", "--out", "spring", *ASSUME)
    first = told("plan", "--budget", "platform=1")["study"]["period"]["first"]
    day = f"{first[:8]}{int(first[8:]) - 1:02d}"
    (acting / "spring" / "arms.csv").mkdir()
    assert "cannot write there" in run("ledger", "launch", "spring", "--today", day, *ASSUME).output
    assert "no ledger" in run("ledger", "status").output
    (acting / "spring" / "arms.csv").rmdir()
    file = acting / "spring" / "plan.json"
    said = json.loads(file.read_text())
    for edited in ({"currency": "EUR"}, {"simulated": False}, {"source": "moon"}, {"notice": "Another world."}):
        file.write_text(json.dumps({**said, **edited}))
        assert "other data" in run("ledger", "launch", "spring", "--today", day, *ASSUME).output
    file.write_text(json.dumps(said))
    for other in ((), ("--assume", "margin=0.5")):
        assert "other assumptions" in run("ledger", "launch", "spring", *other).output
    assert "no ledger" in run("ledger", "status").output


def test_an_edited_plan_or_ledger_is_found_out(acting: Path) -> None:
    told("plan", "--budget", "platform=100", "--budget", "merchant=60", "--out", "spring", *ASSUME)
    first = told("plan", "--budget", "platform=1")["study"]["period"]["first"]
    day = f"{first[:8]}{int(first[8:]) - 1:02d}"
    assert run("ledger", "launch", "spring", "--today", day, "--holdout", "2", *ASSUME).exit_code == 2
    assert run("ledger", "launch", "spring", "--today", "soon", *ASSUME).exit_code == 2
    assert not (acting / "spring" / "ledger.json").exists()
    told("ledger", "launch", "spring", "--today", day, "--holdout", "0.3", *ASSUME)
    file = acting / "spring" / "ledger.json"
    kept = json.loads(file.read_text())
    file.write_text(json.dumps({**kept, "head": kept["head"][:-4] + "0000"}))
    found = run("ledger", "verify", "spring")
    assert found.exit_code == 1
    assert "is not what was written" in found.output


def test_a_head_that_shows_a_cut_is_not_written_over(acting: Path) -> None:
    told("plan", "--budget", "platform=100", "--budget", "merchant=60", "--out", "spring", *ASSUME)
    told("ledger", "launch", "spring", "--holdout", "0.3", *ASSUME)
    kept = (acting / "spring" / "ledger.json").read_bytes()
    other = run("ledger", "launch", "spring", "--ledger", "other.db", *ASSUME)
    assert "is of another ledger" in " ".join(other.output.replace("│", " ").split())
    with sqlite3.connect("tradewind-ledger.db") as ledger:
        for (name,) in ledger.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            ledger.execute(f"DROP TRIGGER {name}")
        for table in ("launches", "entries"):
            ledger.execute(f"DELETE FROM {table} WHERE number = (SELECT max(number) FROM entries)")
    for words in (("export", "spring"), ("launch", "spring", *ASSUME)):
        found = run("ledger", *words)
        assert found.exit_code == 1
        assert "was cut or written anew" in " ".join(found.output.replace("│", " ").split())
        assert (acting / "spring" / "ledger.json").read_bytes() == kept
    assert "was cut" in run("ledger", "verify", "spring").output


def test_a_plan_is_launched_beside_one_that_still_runs(acting: Path) -> None:
    for name in ("spring", "summer"):
        told("plan", "--budget", "platform=100", "--budget", "merchant=60", "--out", name, *ASSUME)
    first = told("ledger", "launch", "spring", "--holdout", "0", "--without", "coupon-all", *ASSUME)
    running = [each["action"] for of in first["receipt"]["experiments"] for each in of["launches"]]
    assert "coupon-all" not in running
    said = refused("ledger", "launch", "summer", *ASSUME)
    assert f"so it is with {len(running) - 1} more of this plan" in said
    assert all(f"--without '{key}'" in said for key in running)
    assert f"tradewind ledger stop '{first['receipt']['plan']}/" in said
    without = [word for key in running for word in ("--without", key)]
    assert "no such action" in refused("ledger", "launch", "summer", "--without", "moon", *ASSUME)
    assert "no actions to launch" in refused("ledger", "launch", "summer", "--without", "coupon-all", *without, *ASSUME)
    rest = told("ledger", "launch", "summer", *without, *ASSUME)
    assert [each["name"] for each in rest["receipt"]["experiments"]] == ["coupon-all"]
    key = running[0]
    assert "can be stopped" in refused("ledger", "stop", "winter", "--reason", "a better one")
    assert "reason" in refused("ledger", "stop", key, "--reason", " ")
    found = told("ledger", "stop", f"{first['receipt']['plan']}/{key}", "--reason", "a better one")
    assert [(each["action"], each["why"]) for each in found["stopped"]] == [(key, "a better one")]
    assert found["head"] == str(open_ledger("tradewind-ledger.db").head())
    assert "stopped already" in refused("ledger", "stop", key, "--reason", "again")
    [group] = [of["id"] for of in first["receipt"]["experiments"] if key in {e["action"] for e in of["launches"]}]
    assert "Stopped as of" in run("ledger", "stop", group, "--reason", "all of it").output
    late = told("ledger", "launch", "summer", "--without", "coupon-all", *ASSUME)
    assert late["receipt"]["plan"] == rest["receipt"]["plan"]


def refused(*words: str) -> str:
    found = run(*words)
    assert found.exit_code in {1, 2}, found.output
    return " ".join(found.output.replace("│", " ").split())
