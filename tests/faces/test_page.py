"""The report in a real browser: nothing is cut off on a phone or a wide screen, and nothing is fetched."""

from __future__ import annotations

import html
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

import market
from needs import chromium
from tradewind.decisions import fluctuation, performance
from tradewind.engines.store import Store
from tradewind.faces.report import render
from tradewind.measures.assume import Assumptions

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--virtual-time-budget=3000",
)  # fmt: skip
MEASURED = """<!doctype html><title>measuring</title>
<iframe id="page" style="border:0;width:{width}px;height:900px" srcdoc="{page}"></iframe>
<script>
addEventListener("load", () => {{
  const seen = document.getElementById("page");
  const root = seen.contentDocument.documentElement;
  const fetched = seen.contentWindow.performance.getEntriesByType("resource").length;
  document.title = `wide=${{root.scrollWidth}} fetched=${{fetched}} sections=${{root.querySelectorAll("h2").length}}`;
}});
</script>"""


@pytest.fixture(scope="module")
def browser() -> str:
    """Debian's Chromium."""
    return chromium()


@pytest.fixture(scope="module")
def page(market_store: Store) -> str:
    """The report of a month of the market."""
    store = market_store.assuming(Assumptions(margin=0.3))
    month = market.Period(market.date(2024, 1, 1), market.date(2024, 1, 31))
    return render([performance.study(store, month), fluctuation.study(store, month)])


@pytest.mark.parametrize("width", [360, 768, 1440])
def test_the_report_fits_its_screen_and_fetches_nothing(browser: str, page: str, width: int, tmp_path: Path):
    wide, fetched, sections = measured(browser, page, width, tmp_path)
    assert wide <= width
    assert fetched == 0
    assert sections >= 2


@pytest.mark.parametrize("width", [360, 1440])
def test_a_name_without_a_break_does_not_widen_the_page(browser: str, market_store: Store, width: int, tmp_path: Path):
    month = market.Period(market.date(2024, 1, 1), market.date(2024, 1, 31))
    answer = fluctuation.study(market_store, month)
    findings = tuple(replace(finding, sentence="X" * 300 + finding.sentence) for finding in answer.findings)
    wide, *_ = measured(browser, render([replace(answer, findings=findings)]), width, tmp_path)
    assert wide <= width


def measured(browser: str, page: str, width: int, folder: Path) -> tuple[int, int, int]:
    """Return how wide the page is on a screen of a width, how many files it fetched, and how many sections it has."""
    framed = folder / "framed.html"
    framed.write_text(MEASURED.format(width=width, page=html.escape(page)), encoding="utf-8")
    run = [browser, *FLAGS, f"--user-data-dir={folder / 'profile'}", "--dump-dom", framed.as_uri()]
    shown = subprocess.run(run, capture_output=True, text=True, timeout=120, check=True).stdout
    told = re.search(r"<title>wide=(\d+) fetched=(\d+) sections=(\d+)</title>", shown)
    assert told, shown[:500]
    wide, fetched, sections = map(int, told.groups())
    return wide, fetched, sections
