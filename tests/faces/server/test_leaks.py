"""Nothing of another shop reaches a merchant, by whatever route, filter, export, job or search it is asked for.

What is foreign is counted from the market's rows: every id and name that the merchant's own store never shows, and to
the cent every total of another shop, or of all, over the days asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import pytest
from desks import ONE, TWO, Server, served
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

import market
from tradewind.engines.store import Store
from tradewind.ledger import Approval, Promise
from tradewind.measures import metrics as m
from tradewind.measures.query import Query
from tradewind.period import Period, parse_period
from tradewind.scope import Scope
from tradewind.study import Action, Choice, Estimate, Evidence, Lever, Party, Setting, Subject
from tradewind.tables import TABLES

pytestmark = pytest.mark.xdist_group("leaks")  # beside the other servers: it has one of its own
SHORTEST = 3
OWN = {"mara": TWO, "milo": ONE}
IDS = (
    "shop-02",
    "shop-03",
    "shop-05",
    "shop-09",
    "nowhere",
    "p02",
    "p03",
    "p09",
    "p30",
    "k1",
    "k2",
    "live-1",
    "live-3",
)
PERIODS = ("all", "2024-01", "2023-12", "last-28d", "last-week", "2023-12-04..2023-12-31", "2023-Q4", "yesterday")
DAYS = st.tuples(st.integers(0, 80), st.integers(0, 40)).map(
    lambda pair: f"{market.SPAN.first + timedelta(days=pair[0])}..{market.SPAN.first + timedelta(days=sum(pair))}"
)
WORDS = st.sampled_from((
    *IDS, "", "a", "shop", "gmv", "aov", "buyers", "merchant_profit", "title", "previous", "last-year", "expected",
    "performance", "fluctuation", "price", "coupon", "platform", "merchant", "order_lines", "customers", "creators",
    "tree", "headline", "movers", "factors", "trend", "actions", "rows", "tables", "columns", "experiments", "launches",
    "peers", "who", "secret plan", "0", "5", "shop_id", "product_id", "creator_id", "customer_id", "live_id",
    "category",    "shop_id=shop-09", "product_id=p09", "joint", "metric=orders",
))  # fmt: skip
NAMES = (
    "period", "shop", "metric", "against", "q", "order", "limit", "offset", "lever", "payer", "plan", "csv", "chart",
    "by", "where", "every", "setting", "curve", "rule", "platform", "merchant", "part", "objective",
)  # fmt: skip
HOLES = st.sampled_from((*IDS, "performance", "fluctuation", "shop", "product", "creator", "live", "segment", "active",
                         "order_lines", "customers", "assignments", "rejected"))  # fmt: skip


@pytest.fixture(scope="module")
def full(market_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on which an operator and each merchant did everything that there is to do."""
    with served(market_folder, tmp_path_factory.mktemp("full"), users=True, today=market.SPAN.last) as server:
        users = server.office.users()
        for name, wing in (("olga", "performance"), ("mara", "performance"), ("mara", "fluctuation")):
            server.client.post(f"/api/v1/studies/{wing}", json={"period": "2024-01"}, headers=token(server, name))
        server.client.post("/api/v1/plan/gather", headers=token(server, "mara"))
        server.work()
        launched(server)
        users.note(users.user("olga").caller, "launch", "secret plan", "shop-09")
        yield server


def token(server: Server, name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {server.office.users().make_token(name, 'tests')[1]}"}


def launched(server: Server) -> None:
    """Register price cuts of several shops, some in one experiment."""
    ledger = server.office.ledger(create=True)
    assert ledger is not None
    days = Period(market.SPAN.last + timedelta(days=2), market.SPAN.last + timedelta(days=9))
    gain = Estimate(777.25, 700.0, 800.0)

    def promise(shop: str, product: str) -> Promise:
        setting = Setting({"off": 0.1}, {Party.MERCHANT: 5.0}, {Party.MERCHANT: gain}, gain)
        subject = Subject("product", product, shop)
        action = Action(
            f"price {product} {shop}", Lever.PRICE, subject, days, (setting,), Evidence.OBSERVATIONAL, "why"
        )
        return Promise(Choice(action, 0), 0.0)

    approval = Approval("olga", ledger.now)
    ledger.launch("secret plan", [promise("shop-09", "p09"), promise("shop-03", "p03")], approval, "olga")
    ledger.launch("own plan", [promise("shop-02", "p02")], approval, "olga")
    ledger.launch("mixed plan", [promise("shop-05", "p05"), promise("shop-09", "p10")], approval, "olga")


class Foreign:
    """Finds ids and names in a text: those of one word among its words, which is quick, and the others by a pattern."""

    WORD = re.compile(r"[\w-]+")

    def __init__(self, hidden: set[str]):
        self.words = {text for text in hidden if self.WORD.fullmatch(text)}
        others = sorted(re.escape(text) for text in hidden - self.words)
        self.others = re.compile(rf"(?<![\w-])(?:{'|'.join(others) or '(?!)'})(?![\w-])")

    def __call__(self, text: str) -> set[str]:
        return self.words.intersection(self.WORD.findall(text)) | set(self.others.findall(text))


def test_what_is_foreign_is_found() -> None:
    foreign = Foreign({"shop-09", "p09", "Blue shirt (M)"})
    assert foreign("at shop-09, p09.csv and Blue shirt (M)!") == {"shop-09", "p09", "Blue shirt (M)"}
    assert foreign("shop-091, xp09 and a Blue shirt (MM)") == set()


@cache
def foreign(store: Store, name: str) -> Foreign:
    """Return what finds any id or name that the merchant's own store never shows."""
    scoped = store.scoped(Scope.of(OWN[name]))
    everything, seen = set(), set()
    for table in TABLES.values():
        columns = [
            c.name for c in table.stored if (c.unit == "id" and c.name != "unit_kind") or c.name in ("name", "title")
        ]
        if not columns or not store.has(table.name):
            continue
        everything |= values(store, table.name, columns)
        if scoped.has(table.name):
            seen |= values(scoped, table.name, columns)
    hidden = {text for text in everything - seen if len(text) >= SHORTEST and not text.isdigit()}
    assert "shop-09" in hidden
    return Foreign(hidden)


def values(store: Store, table: str, columns: list[str]) -> set[str]:
    rows = store.run(store.table(table).select(*columns).distinct()).to_pydict()
    return {str(value) for column in rows.values() for value in column if value}


@cache
def totals(store: Store, name: str, period: Period) -> frozenset[Decimal]:
    """Return GMV of every other shop and of all over a period, to the cent, but for what is the merchant's own."""
    rows = store.metrics(Query((m.GMV,), period, ("shop_id",))).to_pylist()
    sums = {row["shop_id"]: row["gmv"] for row in rows}
    own = {value for shop, value in sums.items() if shop in OWN[name]}
    hidden = {value for shop, value in sums.items() if shop not in OWN[name]} | {sum(sums.values(), Decimal(0))}
    return frozenset(round(value, 2) for value in hidden - own if abs(value) > 20)


def numbers(text: str) -> set[Decimal]:
    found = re.findall(r"(?<![\w.])\d[\d,\u202f]*\.\d{2,4}(?![\w.])", text)
    return {round(Decimal(re.sub(r"[,\u202f]", "", number)), 2) for number in found}


def routes(server: Server) -> list[str]:
    """Return every address that is read, console and API alike."""
    schema = server.client.get("/api/v1/openapi.json").json()
    api = [path for path, methods in schema["paths"].items() if "get" in methods and not path.endswith("/events")]
    pages = [
        "/", "/why", "/plan", "/ledger", "/ledger/{x}", "/shops", "/products", "/creators", "/segments", "/live",
        "/shops/{x}", "/products/{x}", "/creators/{x}", "/segments/{x}", "/live/{x}", "/studies", "/studies/{x}",
        "/data",        "/data/{x}", "/jobs", "/jobs/{x}", "/search", "/users", "/account",
    ]  # fmt: skip
    return [*api, *pages]


def held(store: Store, name: str, answer: Any, path: str) -> None:
    """Refuse an answer that tells anything foreign, but for words that the request itself held."""
    text = unquote_plus(answer.text)
    asked = unquote_plus(path)
    found = {word for word in foreign(store, name)(text) if word not in asked}
    assert not found, f"{name} was told {found} by {path}"
    period = re.search(r"period=([^&]+)", path)
    try:
        days = parse_period(unquote_plus(period[1]) if period else "last-28d", store.span)
    except Exception:
        return
    shown = numbers(text) & totals(store, name, days)
    assert not shown, f"{name} was told totals {shown} by {path}"


@pytest.mark.parametrize("name", sorted(OWN))
@settings(
    max_examples=40, phases=(Phase.generate,), deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
@given(data=st.data())
def test_no_request_tells_of_another_shop(full: Server, name: str, data: st.DataObject) -> None:
    store = full.office.store()
    ledger = full.office.ledger()
    assert ledger is not None
    status = ledger.status()
    ids = [*(e.id for e in status.experiments), *(x.id for x in status.launches)]
    jobs = [job.id for job in full.office.jobs.listed(full.office.users().user("olga").caller)[0]]
    path = data.draw(st.sampled_from(routes(full)))
    path = re.sub(r"\{[^}]+\}", lambda _: data.draw(st.one_of(HOLES, st.sampled_from([*ids, *jobs]))), path)
    query = data.draw(st.dictionaries(st.sampled_from(NAMES), st.one_of(WORDS, DAYS), max_size=4))
    query["period"] = data.draw(st.one_of(st.sampled_from(PERIODS), DAYS))
    said = "&".join(f"{key}={value}" for key, value in query.items())
    browser = signed_in(full, name)
    answer = browser.get(f"{path}?{said}")
    assert answer.status_code < 500, answer.text
    held(store, name, answer, f"{path}?{said}")


_BROWSERS: dict[tuple[int, str], TestClient] = {}


def signed_in(server: Server, name: str) -> TestClient:
    return _BROWSERS.setdefault((id(server), name), server.sign_in(name))


@pytest.mark.parametrize("name", sorted(OWN))
def test_every_page_and_file_of_a_merchant_is_their_own(full: Server, name: str) -> None:
    """Follow every link from every page, as far as they lead."""
    browser, store = signed_in(full, name), full.office.store()
    todo, done = ["/", "/why?period=2024-01", "/plan", "/ledger", "/studies/performance?period=2024-01"], set()
    while todo and len(done) < 50:
        path = todo.pop(0)
        if path in done:
            continue
        done.add(path)
        answer = browser.get(path)
        assert answer.status_code < 500, path
        held(store, name, answer, path)
        if answer.headers["content-type"].startswith("text/html"):
            links = re.findall(r'(?:href|action)="(/[^"#]*)"', answer.text)
            todo += [link.replace("&amp;", "&") for link in links if not link.startswith(("/assets", "/sign-out"))]
    assert len(done) == 50


def test_what_is_foreign_and_what_is_unknown_read_alike(full: Server) -> None:
    browser = signed_in(full, "mara")
    for page in ("/shops", "/products", "/live", "/ledger", "/jobs"):
        said = []
        for id_ in ("shop-09" if page == "/shops" else _hidden(full, page), "x" * 8):
            answer = browser.get(f"{page}/{id_}")
            text = re.sub(r'name="form" value="[0-9a-f]+"', "", answer.text)  # drawn anew each time
            said.append((answer.status_code, text.replace(id_, "")))
        assert said[0] == said[1], page
        assert said[0][0] == 404


def _hidden(server: Server, page: str) -> str:
    store, scope = server.office.store(), Scope.of(TWO)
    if page == "/ledger":
        ledger = server.office.ledger()
        assert ledger is not None
        return ledger.status("secret plan").experiments[0].id
    if page == "/jobs":
        return server.office.jobs.listed(server.office.users().user("olga").caller)[0][-1].id
    table, key = {"/products": ("products", "product_id"), "/live": ("live_sessions", "live_id")}[page]
    mine = values(store.scoped(scope), table, [key])
    return min(values(store, table, [key]) - mine)


def test_a_merchant_asks_and_decides_for_nobody_else(full: Server) -> None:
    headers = token(full, "mara")
    asked = {"period": "2024-01", "shop": "shop-09"}
    assert full.client.post("/api/v1/studies/performance", json=asked, headers=headers).status_code == 404
    for path in ("/api/v1/today?shop=shop-09", "/api/v1/metrics/values?metric=gmv&shop=shop-09"):
        assert full.client.get(path, headers=headers).status_code == 404
    ledger = full.office.ledger()
    assert ledger is not None
    [launch] = [x for x in ledger.status().launches if x.subject.shop == "shop-09" and x.plan == "mixed plan"]
    said = full.client.post(f"/api/v1/ledger/launches/{launch.id}/stop", json={"reason": "mine"}, headers=headers)
    assert said.status_code == 404
    verdict = {"actions": ["price p09 shop-09"], "verdict": "approved"}
    assert full.client.post("/api/v1/plan/verdicts", json=verdict, headers=headers).status_code in (400, 403, 422)
