"""Tables on a terminal: nothing is cut in two, and what finds no room is named."""

from __future__ import annotations

import io
import re
from datetime import date

import pytest
from rich.console import Console

from tradewind.faces.terminal import GridView, Screen, study
from tradewind.period import Period
from tradewind.study import Column, Estimate, Grid, Provenance, Study

COLUMNS = (
    Column("what", "What to do"), Column("before", "As usual", "money"), Column("share", "Usually off", "share"),
    Column("pieces", "Pieces at that price", "count"), Column("party", "Paid by"),
    Column("elasticity", "Elasticity", "ratio"), Column("margin", "Needed to break even", "share"),
    Column("gain", "Gain", "money"),
)  # fmt: skip
ROWS = tuple(
    {
        "what": f"10% off the long title of product number {n}", "before": 123_456.78 * n, "pieces": 98_765,
        "share": 0.1234, "party": "merchant", "elasticity": Estimate(-1.23, -4.56, -0.12), "margin": 0.5,
        "gain": Estimate(4_321.5 / n, -123.45, 9_876.5),
    }
    for n in (1, 2, 3)
)  # fmt: skip


@pytest.mark.parametrize("width", [40, 60, 80, 100, 160])
def test_a_table_fits_its_terminal(width: int) -> None:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(GridView(Grid(COLUMNS, ROWS), "USD"))
    shown = console.file.getvalue()
    assert all(len(line.rstrip()) <= width for line in shown.splitlines())
    words = shown.split()
    for said in ("Gain", "$4,322", "(−$123.45", "$9,876)", "product", "number"):
        assert said in words, f"{said} is cut at {width}"
    for column in COLUMNS[1:-1]:
        assert all(word in words or f"{word}," in words for word in column.title.split()), "a column is lost in silence"
    assert ("In a wider terminal also" in shown) == (width < 100)


def test_a_name_from_outside_does_not_move_the_cursor() -> None:
    screen = Screen(width=80, file=io.StringIO(), force_terminal=True, color_system="standard")
    rows = ({"what": "\x1b]0;owned\x07Tea\x9b2J\u202eHouse", "before": 5.0},)
    screen.print(GridView(Grid(COLUMNS[:2], rows), "USD"))
    shown = screen.file.getvalue()
    assert "TeaHouse" in shown.replace("]0;owned", "").replace("2J", "")
    assert not re.search("\x1b[^\\[]|\x9b|\x07|\u202e", shown)
    assert "\x1b[" in shown, "what the screen is told itself still has its style"


@pytest.mark.parametrize("title", ["How did the business do from 2 Aug to 29 Aug 2025?", "Which prices pay?"])
def test_a_study_names_its_period_once(title: str) -> None:
    console = Console(width=80, file=io.StringIO(), color_system=None)
    origin = Provenance("reef", "CC0-1.0", "", "USD", "UTC", simulated=False)
    console.print(study(Study("reef", title, Period(date(2025, 8, 2), date(2025, 8, 29)), (), origin, {}, ())))
    assert console.file.getvalue().count("2 Aug to 29 Aug 2025") == 1
