"""The console in a real browser: every page as everybody, wide and on a phone, light and dark, by keyboard, without
JavaScript, and by the rules of WCAG 2.2 AA.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect, sync_playwright
from stand import DRAWN, PASSWORD, PHONE, RULES, WIDE, Stand, Watch, browser_of, served

pytestmark = pytest.mark.xdist_group("browser")  # one server for all of it, not one for every worker

MONTH = "period=2024-01"
WHY = f"/why?metric=gmv&{MONTH}&against=previous"
OF_ALL = (
    f"/?{MONTH}", WHY, "/plan", "/ledger", f"/shops?{MONTH}", f"/products?{MONTH}", f"/creators?{MONTH}",
    f"/segments?{MONTH}", f"/live?{MONTH}", "/studies", f"/studies/performance?{MONTH}", "/data", "/data/order_lines",
    "/data/rejected", "/jobs", "/search", "/search?q=shop", f"/shops/shop-02?{MONTH}", f"/products/p02?{MONTH}",
    "/account",
)  # fmt: skip
PAGES = {
    "olga": (*OF_ALL, f"/creators/k1?{MONTH}", f"/segments/active?{MONTH}", "/live/live-1", "/users"),
    "mara": (*OF_ALL[:11], "/data", "/jobs", "/search?q=shop", f"/shops/shop-02?{MONTH}", "/account"),
    "cleo": ("/", "/creators/k1?period=all", "/live", "/live/live-1", "/data", "/account"),
}
OF_COLOUR = {
    "runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]},
    "resultTypes": ["violations"],
}
"""The only rules to which another theme makes a difference."""
SCREENS = ((WIDE, "light", "dark"), (PHONE, "dark", "light"))


@pytest.fixture(scope="module")
def stand(market_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """A server of the market and Debian's Chromium."""
    with (
        served(market_folder, tmp_path_factory.mktemp("browser")) as url,
        sync_playwright() as playwright,
        browser_of(playwright) as browser,
    ):
        yield Stand(url, browser)


@pytest.fixture
def page(stand: Stand) -> Iterator[Page]:
    """A page of the operator's on a wide screen, of which no complaint is heard."""
    watch = Watch()
    with stand.context("olga") as context:
        yield watch.over(context.new_page())
    assert not watch.said


def test_a_study_is_followed_until_it_is_done(page: Page) -> None:
    page.goto(WHY)
    expect(page.get_by_text("Slices and dated causes are searched when asked.")).to_be_visible()
    page.get_by_role("button", name="Explain").click()
    expect(page.locator("[data-job] progress")).to_be_visible()
    expect(page.locator(".finding").first).to_be_visible(timeout=60_000)  # the page loads anew by itself
    expect(page.locator("[data-job]")).to_have_count(0)
    page.goto("/jobs")
    page.get_by_role("row").nth(1).get_by_role("link").click()
    expect(page.locator("main .chip")).to_have_text("done")


def test_a_slider_picks_the_plan_anew(page: Page) -> None:
    page.goto("/plan")
    page.get_by_role("button", name="Gather proposals").click()
    slider = page.get_by_role("slider", name="Budget of the merchant")
    expect(slider).to_be_visible(timeout=120_000)  # the page follows the job, and loads anew
    amount, total = page.get_by_role("textbox", name="Budget of the merchant"), page.locator(".plan-total")
    before = float(amount.input_value())
    slider.focus()
    with page.expect_response(lambda answer: "part=1" in answer.url and answer.ok):
        page.keyboard.press("End")
    expect(page.locator("#part")).not_to_have_attribute("aria-busy", "true")
    most = float(amount.input_value())
    assert most > before
    assert f"merchant={most:g}" in page.url
    expect(total).to_contain_text("merchant draws at most")
    page.reload()
    assert float(amount.input_value()) == most
    tables_come_as_csv(page)


def test_search_is_reached_and_used_by_keyboard(page: Page) -> None:
    page.goto("/data")
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("shop-02")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=shop-02")
    page.get_by_role("link", name="shop-02").or_(page.locator("a[href='/shops/shop-02']")).first.click()
    page.wait_for_url("**/shops/shop-02")
    page.keyboard.press("Control+k")
    expect(page.get_by_role("searchbox")).to_be_focused()


def test_the_first_stop_of_the_keyboard_skips_to_the_page(page: Page) -> None:
    page.goto("/data")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_the_theme_is_kept_and_charts_follow_it(page: Page) -> None:
    page.goto(f"/?{MONTH}")
    chart = page.locator(".chart[data-drawn]").first
    chart.scroll_into_view_if_needed()
    expect(chart).to_have_attribute("data-drawn", re.compile("false"))
    page.get_by_role("button", name="Light or dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(chart).to_have_attribute("data-drawn", re.compile("true"))
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.get_by_role("button", name="Light or dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")


def test_a_room_is_replayed(page: Page) -> None:
    page.goto("/live/live-1")
    player = page.locator(".player")
    clock, minute = player.locator("[data-field=clock]"), player.get_by_role("slider")
    first = clock.inner_text()
    assert re.fullmatch(r"\d\d:\d\d", first)
    minute.focus()
    page.keyboard.press("ArrowRight")
    expect(clock).not_to_have_text(first)
    last = str(minute.get_attribute("max"))
    player.get_by_role("button", name="Play").click()
    expect(player.get_by_role("button", name="Pause")).to_be_visible()
    expect(minute).to_have_value(last)
    expect(player.get_by_role("button", name="Play")).to_be_visible()  # it stops by itself


@pytest.mark.parametrize("where", [f"/?{MONTH}", f"/shops?{MONTH}", "/data", f"/products/p02?{MONTH}"])
def test_tables_come_as_csv(page: Page, where: str) -> None:
    page.goto(where)
    tables_come_as_csv(page)


def tables_come_as_csv(page: Page) -> None:
    links = page.locator("main a[href*='csv=']").evaluate_all("links => links.map((link) => link.href)")
    assert links
    for link in links:
        answer = page.request.get(link)
        assert answer.ok, link
        assert len(list(csv.reader(io.StringIO(answer.text())))) >= 1
        assert "attachment" in answer.headers["content-disposition"]


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(("screen", "scheme", "other"), SCREENS, ids=("wide", "phone"))
def test_every_page_fits_draws_and_breaks_nothing(
    stand: Stand, name: str, screen: dict[str, int], scheme: str, other: str
) -> None:
    watch = Watch()
    with stand.context(name, viewport=screen, color_scheme=scheme) as context:
        page = watch.over(context.new_page())
        for where in PAGES[name]:
            page.goto(where)
            watch.fits(page, where)
            page.emulate_media(color_scheme=other)  # type: ignore[arg-type]
            watch.fits(page, f"{where} in {other}")
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    assert not watch.said


@pytest.mark.parametrize("where", [f"/?{MONTH}", f"/shops?{MONTH}", f"/live?{MONTH}", f"/shops/shop-02?{MONTH}"])
def test_a_phone_shows_gmv_and_its_change_without_pushing_tables_aside(stand: Stand, where: str) -> None:
    with stand.context("olga", viewport=PHONE) as context:
        page = context.new_page()
        page.goto(where)
        heads = page.locator("main .scroll thead th", has_text=re.compile(r"^(GMV|Change)$"))
        assert heads.count()
        cut = "head => head.getBoundingClientRect().right > head.closest('.scroll').getBoundingClientRect().right + 1"
        cut_off = [head for head in heads.filter(visible=True).all() if head.evaluate(cut)]
        assert not [head.evaluate("head => head.closest('tr').innerText") for head in cut_off]


def test_every_page_keeps_the_rules_of_wcag(stand: Stand) -> None:
    broken, axe = [], Axe()
    for name, paths in ("olga", PAGES["olga"]), ("cleo", ("/", "/live")), ("", ("/sign-in",)):
        with stand.context(name, bypass_csp=True) as context:
            page = context.new_page()
            for where in paths:
                page.goto(where)
                for scheme, rules in ("light", RULES), ("dark", OF_COLOUR):
                    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                    page.wait_for_function(DRAWN)
                    broken += [
                        f"{where} in {scheme}: {rule['id']}: {node['html'][:200]}: {node['failureSummary'][:300]}"
                        for rule in axe.run(page, options=rules).response["violations"] for node in rule["nodes"][:3]
                    ]  # fmt: skip
                page.emulate_media(color_scheme="light")
    assert not broken, "\n".join(broken)


def test_without_javascript_pages_have_their_tables_and_forms(stand: Stand) -> None:
    watch = Watch()
    with stand.context("olga", java_script_enabled=False) as context:
        page = watch.over(context.new_page())
        for where in PAGES["olga"]:
            page.goto(where)
            expect(page.locator("h1")).to_be_visible()
        page.goto(f"/?{MONTH}")
        assert page.locator("table").count() >= 2
        picture = page.locator(".chart img").first
        expect(picture).to_be_visible()
        assert page.request.get(str(picture.get_attribute("src"))).headers["content-type"].startswith("image/svg+xml")
        page.locator("input[name=period]").fill("2023-12")
        page.get_by_role("button", name="Show").click()
        expect(page.locator(".sub").first).to_contain_text("December 2023")
        page.goto("/studies/performance?period=2024-01-01..2024-01-20")
        page.get_by_role("button", name="Ask").click()
        expect(page.locator("[data-job]")).to_be_visible()
        page.get_by_role("button", name="Cancel").click()
        page.goto("/search")
        page.get_by_role("searchbox").fill("shop-05")
        page.keyboard.press("Enter")
        page.wait_for_url("**/search?q=shop-05")
        expect(page.locator("main a[href='/shops/shop-05']").first).to_be_visible()
    assert not watch.said


def test_whoever_signs_out_is_out(stand: Stand) -> None:
    with stand.browser.new_context(base_url=stand.url) as context:
        page = context.new_page()
        page.goto("/ledger")
        assert page.url.endswith("/sign-in?next=%2Fledger")
        page.get_by_label("Name").fill("mara")
        page.get_by_label("Password").fill("a wrong one")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_be_visible()
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/ledger")
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/sign-in")
        page.goto("/")
        assert "/sign-in" in page.url
