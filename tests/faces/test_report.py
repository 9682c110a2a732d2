"""The page holds every finding, asks nothing of the network, and trusts no word from outside."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from datetime import date
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pytest
from sea import HOSTILE, PROVENANCE, made

from tradewind.faces import report
from tradewind.period import Period
from tradewind.study import Column, Estimate, Grid, Study

JUNE = Period(date(2017, 6, 1), date(2017, 6, 30))
VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """What stands in a page: tags in order, attributes, and the words outside styles."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)
        assert self.open == [], "tags left open"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words += data


@pytest.fixture(scope="module")
def study() -> Study:
    return made(JUNE, metric="gmv", by=())


@pytest.fixture(scope="module")
def text(study: Study) -> str:
    return report.render([study, replace(study, wing="waves")], unanswered={"Why is it wet?": "No table of rain."})


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_every_finding_note_caveat_and_gap_is_on_the_page(page: Page, study: Study) -> None:
    for finding in study.findings:
        assert page.words.count(finding.sentence) >= 2
        assert finding.note in page.words
    assert study.caveats[0] in page.words
    assert "Why is it wet? No table of rain." in page.words


def test_findings_stand_in_headline_order(page: Page) -> None:
    assert page.words.index("GMV fell by R$1,234") < page.words.index("Low tide was on Monday.")


def test_the_origin_of_the_numbers_is_on_the_page(page: Page) -> None:
    for words in (
        PROVENANCE.licence,
        PROVENANCE.notice,
        PROVENANCE.snapshot,
        *PROVENANCE.assumptions,
        "Simulated data",
    ):
        assert words in page.words


def test_the_page_asks_nothing_of_the_network_and_runs_no_script(text: str, page: Page) -> None:
    tags = [tag for tag, _ in page.tags]
    assert not {"script", "link", "iframe", "img", "object", "embed"} & set(tags)
    for tag, attributes in page.tags:
        assert not {"src", "srcset", "data", "action"} & set(attributes), tag
        assert (attributes.get("href") or "#").startswith("#"), tag
        assert not [name for name in attributes if name.startswith("on")], tag
    assert not re.search(r"@import|url\((?!#)", text)


def test_words_from_outside_are_escaped(text: str, page: Page) -> None:
    assert "<script" not in text
    assert HOSTILE in page.words


def test_headings_do_not_skip_a_level_and_landmarks_are_there(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    assert {"main", "header", "footer"} <= {tag for tag, _ in page.tags}


def test_every_chart_is_drawn_for_wide_and_narrow_pages_with_words_beside_it(page: Page) -> None:
    drawn = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert len(drawn) == 2 * 2 * 2
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in drawn)


def test_ids_are_unique_and_links_lead_somewhere(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {(attributes["href"] or "")[1:] for tag, attributes in page.tags if tag == "a"}
    assert links <= set(ids)


def test_long_tables_show_their_first_rows_and_keep_the_rest_at_hand(page: Page) -> None:
    assert "10 more rows" in page.words
    assert f"{HOSTILE} 19" in page.words


def test_metrics_that_are_spoken_of_are_defined(study: Study) -> None:
    titles = [title for title, _ in report.definitions([study])]
    assert titles == ["GMV"]


def test_the_page_is_small(text: str) -> None:
    assert len(text.encode()) < 1_500_000


def test_the_same_studies_give_the_same_page(study: Study) -> None:
    assert report.render([study]) == report.render([study])


def test_bars_stand_in_the_column_that_the_rows_are_ranked_by() -> None:
    columns = (Column("name", "Name"), Column("n", "Orders", "count"), Column("gain", "Gain", "money"))
    values = [(3, 9), (5, -6), (4, 3)]
    grid = Grid(columns, tuple({"name": "x", "n": n, "gain": Decimal(gain)} for n, gain in values))
    cells = report.rows(grid, "USD").rows
    assert [[cell.bar is not None for cell in row] for row in cells] == [[False, False, True]] * 3
    assert [row[2].falls for row in cells] == [False, True, False]
    assert cells[1][2].bar == pytest.approx(100 * 6 / 9)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (Decimal("-1234.5000"), "−1,234.5"), (Decimal("1200"), "1,200"), (12, "12"), (None, "unknown"), ("a", "a"),
        (0.25, "0.25"), (Estimate(1.0, -0.5, 2.0), "1 (90% interval −0.5 to 2)"),
    ],
)  # fmt: skip
def test_numbers_are_written_in_full(value: object, said: str) -> None:
    assert report.exact(value) == said


def test_charts_are_written_as_pictures(study: Study, tmp_path: Path) -> None:
    written = report.pictures([study], tmp_path / "charts")
    assert [path.name for path in written] == ["tides-heavy.png", "tides-assumed.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)


def test_names_turn_no_words_around_and_hide_no_letters(study: Study) -> None:
    [first, *others] = study.findings
    named = replace(first, sentence="\u202eTea\x0bHouse\x1b sold most.")
    page = report.render([replace(study, findings=(named, *others))])
    assert "TeaHouse sold most." in page
    assert not re.search("[\u202a-\u202e\x00-\x08\x0b-\x1f]", page)
