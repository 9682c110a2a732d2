"""The console walked on the stores of the demo: every kind of page that links lead to, as everybody, wide and narrow.

`make walk` makes the stores and says in TRADEWIND_DEMO where they are; pictures of all pages are left in its `shots`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect, sync_playwright
from stand import DRAWN, PHONE, RULES, WIDE, Stand, Watch, browser_of, served

from tradewind.engines.store import Store, open_store

DEMO = os.environ.get("TRADEWIND_DEMO", "")
STORES = {"town": (), "complete_journey": ("margin=0.3",)}
"""The stores and what is assumed of each."""
PATIENCE = 600_000
"""Milliseconds that studies of a whole store have."""
MOST = 60
"""Pages that a walk visits at most; it fails before it has gone through more."""
FILES = {"csv", "chart", "picture"}

pytestmark = pytest.mark.skipif(not DEMO, reason="walks the stores that `make demo` makes: make walk")


@pytest.fixture(scope="module", params=list(STORES))
def name(request: pytest.FixtureRequest) -> str:
    """Name of a store."""
    return str(request.param)


@pytest.fixture(scope="module")
def stand(name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """A server of a store and Debian's Chromium, with users whose shops and creators the store has."""
    folder = Path(DEMO, name).absolute()
    store = open_store(str(folder))
    users = {"shops": largest(store, "shop_id", 2), "creators": largest(store, "creator_id", 1)}
    with (
        served(folder, tmp_path_factory.mktemp(name), assume=STORES[name], **users) as url,
        sync_playwright() as playwright,
        browser_of(playwright) as browser,
    ):
        yield Stand(url, browser)


def largest(store: Store, column: str, count: int) -> tuple[str, ...]:
    """Return the ids with the most order lines; none where orders name nobody."""
    if not store.has("order_lines", column):
        return ()
    lines = store.table("order_lines")
    many = lines.filter(lines[column].notnull()).group_by(column).agg(lines=lambda of: of.count())
    rows = store.run(many).to_pylist()
    return tuple(row[column] for row in sorted(rows, key=lambda row: (-row["lines"], row[column]))[:count])


def kind_of(address: str) -> tuple[str, ...]:
    """Return what makes two addresses pages of one kind: the path without ids, and the names in the query."""
    parts = urlsplit(address)
    path = re.sub(r"^/(shops|products|creators|segments|live|jobs|ledger|data|studies)/.+", r"/\1/…", parts.path)
    return (path, *sorted({key for key, _ in parse_qsl(parts.query)} - {"period", "against", "shop", "q"}))


def walked(page: Page, watch: Watch, shots: Path, axe: Axe | None) -> list[str]:
    """Visit one page of each kind that links lead to; return the rules of WCAG that they break."""
    todo, known, broken = ["/"], {kind_of("/")}, []
    shots.mkdir(parents=True, exist_ok=True)
    for number in range(MOST):
        if not todo:
            return broken
        where = todo.pop(0)
        page.goto(where, timeout=PATIENCE)
        title = re.sub(r"\W+", "-", where.strip("/") or "today")[:60]
        for screen, size in (("phone", PHONE), ("wide", WIDE)):
            page.set_viewport_size(size)  # type: ignore[arg-type]
            page.wait_for_timeout(400)  # charts follow once the screen stays as it is
            for chart in page.locator(".chart[data-spec]:visible").all():
                chart.scroll_into_view_if_needed()
                page.wait_for_function(DRAWN)
            page.evaluate("scrollTo(0, 0)")
            watch.fits(page, f"{where}, {screen}")
            page.screenshot(path=shots / f"{number:02}-{title}-{screen}.png", full_page=True)
        if axe is not None:
            found = axe.run(page, options=RULES).response["violations"]
            broken += [f"{where}: {rule['id']}: {node['html'][:200]}" for rule in found for node in rule["nodes"][:3]]
        links = page.locator("a[href^='/']").evaluate_all("all => all.map((link) => link.getAttribute('href'))")
        for link in links:
            if not {key for key, _ in parse_qsl(urlsplit(link).query)} & FILES and kind_of(link) not in known:
                known.add(kind_of(link))
                todo.append(link)
    raise AssertionError(f"there is no end of pages: {todo}")


def test_a_plan_is_gathered_approved_and_launched(stand: Stand) -> None:
    watch = Watch()
    with stand.context("olga") as context:
        page = watch.over(context.new_page())
        asked: list[str] = []
        page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.accept()))
        page.goto("/plan")
        page.get_by_role("button", name="Gather proposals").click()
        expect(page.locator(".plan-total")).to_be_visible(timeout=PATIENCE)  # the page follows the job, and loads anew
        page.locator(".verdict").first.get_by_role("button", name="Approve").click()
        amount = page.get_by_role("textbox", name="Budget of the merchant")
        with page.expect_response(lambda answer: "part=1" in answer.url and answer.ok):
            amount.fill(f"{float(amount.input_value()) + 10:g}")
            expect(page.get_by_role("button", name="Launch 1 approved")).to_be_disabled()  # it is of other budgets
        page.get_by_role("button", name="Launch 1 approved").click()  # of the plan that was picked anew
        page.wait_for_url("**/jobs/**")
        assert len(asked) == 1
        assert "Launch 1 approved action of this plan?" in asked[0]
        page.goto("/ledger")
        for _ in range(180):
            if page.locator("main a[href^='/ledger/']").count():
                break
            page.wait_for_timeout(1000)
            page.reload()
        expect(page.locator("main a[href^='/ledger/']").first).to_be_visible()
        page.goto("/plan")
        expect(page.locator(".chip", has_text="1 launched")).to_be_visible()
        expect(page.get_by_role("button", name="Launch 0 approved")).to_be_disabled()
    assert not watch.said


@pytest.mark.parametrize("who", ["olga", "mara", "cleo"])
def test_every_kind_of_page_fits_draws_and_breaks_nothing(stand: Stand, name: str, who: str) -> None:
    if who == "cleo" and not open_store(str(Path(DEMO, name).absolute())).has("order_lines", "creator_id"):
        assert name != "town", "a town has creators"
        pytest.skip(f"the orders of {name} name no creators, so that none can sign in")
    watch = Watch()
    with stand.context(who, bypass_csp=True) as context:
        broken = walked(watch.over(context.new_page()), watch, Path(DEMO, "shots", name, who), Axe())
    assert not broken, "\n".join(broken)
    assert not watch.said
