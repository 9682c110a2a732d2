"""Every command answers people and programs, and every error says what to do."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sea import HOSTILE
from typer.testing import CliRunner, Result

from tradewind.engines.snapshot import Draft
from tradewind.faces.cli import app
from tradewind.measures.metrics import METRICS
from tradewind.tables import TABLES

pytestmark = pytest.mark.usefixtures("tides")
RUN = CliRunner()


def run(*arguments: str) -> Result:
    return RUN.invoke(app, list(arguments), catch_exceptions=False)


def answer(*arguments: str, code: int = 0) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_check_says_what_is_there_and_what_lights_up(home: Path) -> None:
    facts = answer("check")
    assert {table["name"] for table in facts["tables"]} == set(TABLES)
    assert facts["absent"] == []
    assert facts["period"] == {"first": "2023-11-20", "last": "2024-02-17"}
    assert [study["ready"] for study in facts["studies"]] == [True]
    assert len(facts["metrics"]) == len(METRICS)
    assert facts["provenance"]["simulated"] is True
    for table in facts["tables"]:
        assert all(0 < share < 1 for share in table["nulls"].values())


def test_check_says_why_a_metric_is_unknown_and_what_would_help(home: Path, bare_folder: Path) -> None:
    facts = answer("check", "--store", str(bare_folder))
    unknown = {metric["name"]: metric["why"] for metric in facts["metrics"] if not metric["known"]}
    assert unknown["cost"] == "The source lacks order_lines.unit_cost."
    assert "gmv" not in unknown
    assert facts["studies"][0]["would_add"] == {"creators": "who sells", "live_sessions": "what happens live"}
    shown = run("check", "--store", str(bare_folder)).output
    assert "creators would add who sells" in shown
    assert "Simulated" in shown


@pytest.mark.parametrize("command", ["check", "metrics"])
def test_no_name_is_cut_on_a_narrow_terminal(market_folder: Path, bare_folder: Path, command: str) -> None:
    for folder in (market_folder, bare_folder):
        shown = RUN.invoke(app, [command, "--store", str(folder)], env={"COLUMNS": "72"})
        assert shown.exit_code == 0
        assert "…" not in shown.output


def test_commands_are_listed_in_the_order_of_their_use() -> None:
    shown = run("--help").output
    loop = ["import", "check", "metrics", "study", "report", "plan", "ledger", "serve", "users"]
    places = [shown.index(f"│ {name} ") for name in loop]
    assert places == sorted(places)


def test_metrics_without_a_name_lists_them_all(home: Path) -> None:
    listed = answer("metrics")
    assert [metric["name"] for metric in listed["metrics"]] == list(METRICS)
    shown = run("metrics").output
    assert all(name in shown for name in METRICS)


def test_metrics_are_counted_sorted_and_limited(home: Path) -> None:
    counted = answer("metrics", "gmv", "orders", "--by", "shop_id", "--period", "2024-01", "--top", "3")
    values = [float(row["gmv"]) for row in counted["rows"]]
    assert values == sorted(values, reverse=True)
    assert len(values) == 3 < counted["rows_total"]
    assert counted["metrics"][0]["title"] == "GMV"
    assert isinstance(counted["rows"][0]["gmv"], str), "money is text, so that no cent is lost"
    shown = run("metrics", "gmv", "--by", "shop_id", "--period", "2024-01", "--top", "3").output
    assert f"{counted['rows_total'] - 3} more rows" in shown
    assert "Source: market" in shown


def test_metrics_by_time_keep_the_order_of_time(home: Path) -> None:
    days = [row["week"] for row in answer("metrics", "gmv", "--every", "week", "--period", "all")["rows"]]
    assert days == sorted(days)
    assert "Jan 2024" in run("metrics", "gmv", "--every", "month", "--period", "all").output


def test_filters_leave_only_what_they_name(home: Path) -> None:
    whole = answer("metrics", "items", "--by", "form", "--period", "all")["rows"]
    some = answer("metrics", "items", "--by", "form", "--where", "form=live", "--where", "form=", "--period", "all")[
        "rows"
    ]
    assert {row["form"] for row in some} == {"live", None}
    assert [row for row in whole if row["form"] in ("live", None)] == some


def test_a_shop_sees_only_its_own(home: Path) -> None:
    own = answer("metrics", "gmv", "--by", "shop_id", "--shop", "shop-02,shop-05", "--period", "all")["rows"]
    assert {row["shop_id"] for row in own} == {"shop-02", "shop-05"}


def test_what_is_assumed_is_said(home: Path, bare_folder: Path) -> None:
    arguments = (
        "metrics",
        "merchant_profit",
        "--assume",
        "margin=0.3",
        "--store",
        str(bare_folder),
        "--period",
        "2024-01",
    )
    counted = answer(*arguments)
    assert counted["metrics"][0]["assumed"] is True
    assert "Refunds" in counted["metrics"][0]["without"]
    shown = run(*arguments).output
    assert "(assumed)" in shown
    assert "gross margin of 30%" in shown
    assert "is without Refunds" in shown


def test_costs_that_are_partly_known_are_said(home: Path) -> None:
    arguments = ("metrics", "merchant_profit", "gmv", "--period", "2024-01")
    profit, gmv = answer(*arguments)["metrics"]
    assert 0 < profit["partly"]["order_lines.unit_cost"] < 1
    assert gmv["partly"] == {}
    assert "others count as free" in " ".join(run(*arguments).output.split())
    assert "count as free" not in run(*arguments, "--assume", "margin=0.3").output


def test_a_study_takes_its_own_settings_as_options(home: Path) -> None:
    found = answer("study", "tides", "--metric", "aov", "--by", "shop,brand", "--depth", "5", "--period", "2024-01")
    assert found["settings"] == {"metric": "aov", "by": ["shop", "brand"], "depth": 5, "strict": False}
    assert found["period"] == {"first": "2024-01-01", "last": "2024-01-31"}
    help_ = run("study", "tides", "--help").output
    assert "The metric that rises and falls." in help_
    assert "--strict" in help_


def test_a_study_is_shown_headline_first_with_its_evidence_and_origin(home: Path) -> None:
    shown = run("study", "tides", "--period", "2024-01", "--top", "2").output
    assert shown.index(HOSTILE[:8]) < shown.index("Low tide")
    for words in (
        "measured",
        "observational",
        "The moon is not recorded.",
        "Source: market",
        "Simulated",
        "18 more rows",
    ):
        assert words in shown


def test_the_default_period_is_the_last_complete_month(home: Path) -> None:
    assert answer("study", "tides")["period"] == {"first": "2024-01-01", "last": "2024-01-31"}


def test_a_period_that_reaches_beyond_the_data_says_so(home: Path) -> None:
    assert "17 of the 29 days of February 2024" in run("study", "tides", "--period", "2024-02").output
    error = answer("study", "tides", "--period", "2030", code=1)["error"]
    assert error["code"] == "missing_data"
    assert error["allowed"] == "days from 2023-11-20 to 2024-02-17"


def test_the_report_is_written_with_its_pictures(home: Path) -> None:
    written = answer("report", "--period", "2024-01", "--out", "pages/january.html", "--png", "pages")
    assert (home / written["page"]).read_text().startswith("<!DOCTYPE html>")
    assert len(written["charts"]) == 2
    assert written["studies"][0]["wing"] == "tides"
    assert "pages/january.html" in run("report", "--period", "2024-01", "--out", "pages/january.html").output


def test_the_default_store_is_said_aloud(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRADEWIND_STORE")
    result = run("check")
    assert result.exit_code == 2
    assert "./tradewind-store" in result.stderr
    assert "tradewind import" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "kind", "words"),
    [
        (("metrics", "gvm"), 2, "not_found", "gmv"),
        (("metrics", "gmv", "--by", "colour"), 2, "bad_input", "category"),
        (("metrics", "gmv", "--where", "brand"), 2, "bad_input", "DIMENSION=VALUE"),
        (("metrics", "gmv", "--every", "decade"), 2, "bad_input", "week"),
        (("metrics", "gmv", "--period", "soon"), 2, "bad_input", "last-month"),
        (("metrics", "gmv", "--assume", "luck=1"), 2, "bad_input", "margin=0.3"),
        (("metrics", "gmv", "--shop", "shop-99"), 2, "not_found", "shop-99"),
        (("metrics", "gmv", "--shop", "shop_05"), 2, "not_found", "is shop-05 or "),
        (("metrics", "gmv", "--store", "nowhere"), 2, "not_found", "tradewind import"),
        (("metrics", "gmv", "--colour"), 2, "bad_input", "--colour"),
        (("study", "weather"), 2, "bad_input", "weather"),
        (("study", "tides", "--strict"), 1, "missing_data", "import it"),
        (("report", "--metric", "gmv", "--store", "nowhere"), 2, "not_found", "nowhere"),
        (("import", "no_such_source"), 2, "not_found", "no_such_source"),
    ],
)
def test_errors_have_one_shape_and_an_exit_code(
    home: Path, arguments: tuple[str, ...], code: int, kind: str, words: str
) -> None:
    error = answer(*arguments, code=code)["error"]
    assert set(error) == {"code", "what", "got", "allowed", "do"}
    assert error["code"] == kind
    assert words in json.dumps(error)
    shown = run(*arguments)
    assert shown.exit_code == code
    assert shown.stdout == ""
    assert words in " ".join(shown.stderr.split())


def test_a_bug_says_that_it_is_one(home: Path) -> None:
    error = answer("study", "tides", "--depth", "-1", code=1)["error"]
    assert error["code"] == "bug"
    assert error["what"] == "This is a bug in Tradewind: ZeroDivisionError: the sea is dry"
    assert "--debug" in error["do"]
    with pytest.raises(ZeroDivisionError):
        run("--debug", "study", "tides", "--depth", "-1")


def test_a_full_disk_is_no_bug(home: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limits[1]))
    try:
        error = answer("report", "--period", "2024-01", "--out", "january.html", code=1)["error"]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (error["code"], error["what"]) == ("full_disk", "There is no room left on the disk")


def test_a_store_that_is_being_written_to_is_busy(home: Path, market_copy: Path) -> None:
    with Draft(market_copy):
        error = answer("import", "complete_journey", "--store", str(market_copy), code=1)["error"]
    assert error["code"] == "busy"


def test_sources_are_listed_and_begun(home: Path) -> None:
    assert "complete_journey" in answer("source", "list")["sources"]
    made = answer("source", "new", "my_market")
    assert Path(made["folder"]).is_dir()


def test_what_an_import_did_not_take_is_shown_by_its_first_row(home: Path) -> None:
    """The skeleton imports as it stands once its file is there; what it rejects is told so that it can be found."""
    answer("source", "new", "my_market")
    data = home / "exports"
    data.mkdir()
    head, row = "order_id,line,ordered_at,product_id,quantity,unit_price", "2024-06-01 10:00,p1,1"
    months = {
        "05": [f"o1,1,{row},5.00"],
        "06": [f"o2,1,{row},6.00", f'o3,1,{row},"1,234.50"', f'o4,1,{row},"2,000.00"'],
    }
    for month, lines in months.items():
        (data / f"orders-{month}.csv").write_text("\n".join([head, *lines, ",,,,,", ""]))
    said = " ".join(run("import", "my_market", "--data", "exports", "--store", "own").output.split())
    assert "order_lines: 2 rows rejected: unit_price cannot be read, the first in orders-06.csv, row 3" in said
    assert "'1,234.50'; allowed: an amount" in said
    assert "2 files: an empty row (2 rows)" in said
    first = answer("check", "--store", "own")["imported"]["reasons"][0]
    assert (first["file"], first["row"], first["value"]) == ("orders-06.csv", 3, "1,234.50")


def test_the_version_is_said(home: Path) -> None:
    said = run("--version").output
    assert said.strip().count(".") >= 1
    words = [sys.executable, "-m", "tradewind", "--version"]
    assert subprocess.run(words, capture_output=True, text=True, timeout=120, check=True).stdout == said


def test_what_native_libraries_print_stays_out_of_the_answer() -> None:
    """HiGHS prints from C++ in the midst of a search, past every option; `--json` must still be JSON."""
    code = "\n".join([
        "import os",
        "from tradewind.faces import cli",
        "cli.app = lambda: (os.write(1, b'a solver speaks'), print('{}'))",
        "cli.main()",
    ])  # fmt: skip
    heard = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert (heard.stdout, heard.stderr) == ("{}\n", "a solver speaks")
