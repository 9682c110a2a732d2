"""Servers of the hand-made market: one for whoever sits here, one with users of every role; jobs done at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.testclient import TestClient

from tradewind.accounts import Role, open_accounts
from tradewind.faces.server import work
from tradewind.faces.server.app import make_app
from tradewind.faces.server.office import Office
from tradewind.faces.server.setup import Setup

PASSWORD = "correct horse battery"
BASE = "http://127.0.0.1"
TWO = ("shop-02", "shop-05")
"""Shops of the merchant `mara`; `milo` has another."""
ONE = ("shop-03",)


@dataclass
class Server:
    """A server in this process.

    Args:
        client: Somebody's browser.
        office: What its requests share.
    """

    client: TestClient
    office: Office

    def form(self, path: str = "/") -> str:
        """Return what a form of a page carries."""
        found = re.search(r'name="form" value="([0-9a-f]+)"', self.client.get(path).text)
        assert found, path
        return found[1]

    def sign_in(self, name: str) -> TestClient:
        """Return a browser in which somebody is signed in."""
        browser = TestClient(self.client.app, base_url=BASE, follow_redirects=False)
        answer = browser.post("/sign-in", data={"name": name, "password": PASSWORD, "to": "/"})
        assert answer.status_code == 303, answer.text
        return browser

    def work(self) -> int:
        """Do every job that waits, as the process of jobs would; return how many."""
        done = 0
        while (job := self.office.jobs.take()) is not None:
            work.done(self.office, job, lambda: True)
            done += 1
        return done


@contextmanager
def served(store: Path, folder: Path, *, users: bool = False, **given: object) -> Iterator[Server]:
    """Serve a store from this process, with users of every role or for whoever sits here."""
    accounts = ""
    if users:
        accounts = str(folder / "users.db")
        register = open_accounts(accounts, create=True)
        register.add("olga", Role.OPERATOR, password=PASSWORD)
        register.add("vera", Role.VIEWER, password=PASSWORD)
        register.add("mara", Role.MERCHANT, shops=TWO, password=PASSWORD)
        register.add("milo", Role.MERCHANT, shops=ONE, password=PASSWORD)
        register.add("cleo", Role.CREATOR, creators=["k1"], password=PASSWORD)
        register.close()
    setup = Setup(str(store), str(folder / "desk"), str(folder / "ledger.db"), accounts, names=("testserver",), **given)  # type: ignore[arg-type]
    app = make_app(setup)
    with TestClient(app, base_url=BASE, follow_redirects=False) as client:
        yield Server(client, app.state.office)
