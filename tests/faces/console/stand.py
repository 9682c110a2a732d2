"""A stand: the console served by its own process on loopback, with users of every role, and a browser to look at it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, Response

from needs import chromium
from tradewind.accounts import Role, open_accounts

PASSWORD = "correct horse battery"
USERS = {"olga": Role.OPERATOR, "mara": Role.MERCHANT, "cleo": Role.CREATOR}
SHOPS, CREATORS = ("shop-02", "shop-05"), ("k1",)
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
COMMAND = "from tradewind.faces.cli import main; main()"
PATIENCE = 180
"""Seconds that the server has to answer."""
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"], "resultTypes": ["violations"]}
DRAWN = """() => [...document.querySelectorAll(".chart[data-spec]")].every((place) => {
  const { top, bottom } = place.getBoundingClientRect();
  return bottom <= 0 || top >= innerHeight || place.querySelector("svg");
})"""
TOO_WIDE = "() => document.documentElement.scrollWidth > innerWidth"
POLICY_BROKEN = 'addEventListener("securitypolicyviolation", (e) => console.error(`policy: ${e.violatedDirective}`));'


@dataclass
class Stand:
    """A server that runs and a browser.

    Args:
        url: Where the server is, without a slash at the end.
        browser: The browser.
        known: Cookies of whom is signed in, by name.
    """

    url: str
    browser: Browser
    known: dict[str, list] = field(default_factory=dict)  # type: ignore[type-arg]

    def context(self, name: str = "", **given: object) -> BrowserContext:
        """Return a browser of its own, in which somebody is signed in."""
        context = self.browser.new_context(base_url=self.url, **{"viewport": WIDE, **given})  # type: ignore[arg-type]
        context.set_default_timeout(60_000)
        if name and name not in self.known:
            page = context.new_page()
            page.goto("/sign-in")
            page.get_by_label("Name").fill(name)
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Sign in").click(timeout=180_000)  # the first page after a start
            page.wait_for_url(lambda url: "/sign-in" not in url)
            page.close()
            self.known[name] = context.cookies()
        elif name:
            context.add_cookies(self.known[name])
        return context


@dataclass
class Watch:
    """What a page complains of: errors on its console, broken policies, exceptions and answers that failed.

    Args:
        said: The complaints.
    """

    said: list[str] = field(default_factory=list)

    def over(self, page: Page) -> Page:
        """Watch a page from before it loads anything."""
        page.add_init_script(POLICY_BROKEN)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.said.append(f"{page.url}: {error}"))
        page.on("response", self._answer)
        return page

    def fits(self, page: Page, where: str) -> None:
        """Complain where a page is wider than its screen, or a chart in view was not drawn."""
        page.wait_for_function(DRAWN)
        if page.evaluate(TOO_WIDE):
            self.said.append(f"{where}: wider than its screen")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.said.append(f"{message.location.get('url')}: {message.text}")

    def _answer(self, answer: Response) -> None:
        if answer.status >= 400:
            self.said.append(f"{answer.url}: {answer.status}")


@contextmanager
def browser_of(playwright: Playwright) -> Iterator[Browser]:
    """Run Debian's Chromium."""
    flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    browser = playwright.chromium.launch(executable_path=chromium(), args=flags)
    try:
        yield browser
    finally:
        browser.close()


@contextmanager
def served(
    store: Path,
    folder: Path,
    shops: tuple[str, ...] = SHOPS,
    creators: tuple[str, ...] = CREATORS,
    assume: tuple[str, ...] = (),
) -> Iterator[str]:
    """Serve a store from its own process, under what is assumed; return its address."""
    accounts = str(folder / "users.db")
    register = open_accounts(accounts, create=True)
    for name, role in USERS.items():
        if role != Role.CREATOR or creators:
            own = shops if role == Role.MERCHANT else (), creators if role == Role.CREATOR else ()
            register.add(name, role, *own, PASSWORD)
    register.close()
    command = [
        sys.executable, "-c", COMMAND, "serve", "--store", str(store), "--work", str(folder / "desk"),
        "--ledger", str(folder / "ledger.db"), "--accounts", accounts, "--port", "0", "--workers", "1",
        *(word for each in assume for word in ("--assume", each)),
    ]  # fmt: skip
    log = folder / "server.log"
    with log.open("w") as out:
        environment = os.environ | {"PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment)
    try:
        yield _answering(log, process)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def _answering(log: Path, process: subprocess.Popen[bytes]) -> str:
    """Wait until the server answers; return its address."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        told = re.search(r"Tradewind is at (http://127\.0\.0\.1:\d+)/", log.read_text(encoding="utf-8"))
        if told:
            try:
                with urllib.request.urlopen(f"{told[1]}/sign-in", timeout=PATIENCE):
                    return told[1]
            except urllib.error.URLError:
                pass  # it told where it will be before it is there
        time.sleep(0.1)
    raise AssertionError(f"the server does not answer:\n{log.read_text(encoding='utf-8')[-3000:]}")
