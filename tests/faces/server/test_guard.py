"""What keeps others out: names, origins, proxies, tokens that make tokens, and days beyond the calendar."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import structlog
from desks import BASE, PASSWORD, Server
from starlette.testclient import TestClient

from tradewind.errors import BadInputError, ConflictError, ForbiddenError, UnavailableError
from tradewind.faces import serve_command
from tradewind.faces.server import board
from tradewind.faces.server.board import Sought
from tradewind.faces.server.office import Office
from tradewind.faces.server.setup import Setup
from tradewind.ledger import open_ledger
from tradewind.period import Period
from tradewind.scope import OPERATOR, Scope
from tradewind.study import Party, jsonable

FAR = "0001-01-01..9999-12-31"


@pytest.mark.parametrize(
    "given",
    [
        {"host": "0.0.0.0"}, {"host": "192.0.2.7"}, {"host": ""}, {"names": ("shop.example",)}, {"secure": True},
        {"host": "::"}, {"names": ("localhost", "Shop.Example")},
    ],
)  # fmt: skip
def test_a_server_without_users_is_not_started_for_others(tmp_path: Path, given: dict[str, Any]) -> None:
    setup = Setup(str(tmp_path), str(tmp_path), str(tmp_path / "ledger.db"), **given)
    with pytest.raises(ForbiddenError):
        serve_command._guarded(setup, None, None)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_a_server_without_users_is_started_on_this_machine(tmp_path: Path, host: str) -> None:
    serve_command._guarded(Setup(str(tmp_path), str(tmp_path), str(tmp_path / "l.db"), host=host), None, None)


def test_a_server_does_not_start_over_a_ledger_of_other_data(tmp_path: Path) -> None:
    file, day = tmp_path / "l.db", date(2025, 1, 1)
    for today, other in ((None, day), (day, None)):
        serve_command._fitting(Setup(str(tmp_path), str(tmp_path), str(file), today=today))  # none was begun yet
        open_ledger(file, simulated=today is not None).close()
        serve_command._fitting(Setup(str(tmp_path), str(tmp_path), str(file), today=today))
        with pytest.raises(ConflictError, match="begun for"):
            serve_command._fitting(Setup(str(tmp_path), str(tmp_path), str(file), today=other))
        file.unlink()


def test_a_ledger_that_cannot_be_reached_is_not_taken_for_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADEWIND_LEDGER_KEY", "0" * 64)
    setup = Setup(str(tmp_path), str(tmp_path / "work"), "postgresql://u@127.0.0.1:1/d")
    with pytest.raises(UnavailableError, match="cannot be reached"):
        serve_command._fitting(setup)
    monkeypatch.setattr(Office, "store_timezone", "UTC")
    office = Office(setup)
    with pytest.raises(UnavailableError, match="cannot be reached"):
        office.ledger()
    office.close()


def test_a_server_for_others_speaks_https_and_has_users(tmp_path: Path) -> None:
    setup = Setup(str(tmp_path), str(tmp_path), str(tmp_path / "l.db"), "users.db", host="192.0.2.7")
    with pytest.raises(ForbiddenError, match="in the open"):
        serve_command._guarded(setup, None, None)


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "via", "x-real-ip", "X-Forwarded-Host"])
def test_a_server_without_users_answers_nobody_through_a_proxy(here: Server, header: str) -> None:
    answer = here.client.get("/api/v1/me", headers={header: "192.0.2.7"})
    assert answer.status_code == 403
    assert here.client.get("/", headers={header: "192.0.2.7"}).status_code == 403


@pytest.mark.parametrize(
    "origin",
    ["http://127.0.0.1:3000", "https://127.0.0.1", "null", "http://localhost", "http://[", "http://127.0.0.1:x"],
)
def test_a_page_of_another_port_or_scheme_is_another_site(here: Server, origin: str) -> None:
    fields = {"form": here.form("/plan")}
    assert here.client.post("/plan/gather", data=fields, headers={"origin": origin}).status_code == 403


def test_a_page_of_the_server_itself_is_none(here: Server) -> None:
    fields = {"form": here.form("/plan"), "period": "2024-01-02..2024-01-09"}
    answer = here.client.post("/studies/performance", data=fields, headers={"origin": BASE})
    assert answer.status_code == 303
    job = here.client.get("/api/v1/jobs").json()["items"][0]
    here.client.post(f"/jobs/{job['id']}/cancel", data={"form": fields["form"]})


@pytest.mark.parametrize(
    "headers", [{"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}]
)
def test_another_sites_page_signs_nobody_in(town: Server, headers: dict[str, str]) -> None:
    browser = TestClient(town.client.app, base_url=BASE, follow_redirects=False)
    answer = browser.post("/sign-in", data={"name": "vera", "password": PASSWORD}, headers=headers)
    assert answer.status_code == 403
    assert not browser.cookies


def test_a_token_makes_no_tokens(town: Server) -> None:
    register = town.office.users()
    before = len(register.tokens("mara"))
    headers = {"authorization": f"Bearer {register.make_token('mara', 'tests')[1]}"}
    assert town.client.post("/account/tokens", data={"title": "more"}, headers=headers).status_code == 403
    assert len(register.tokens("mara")) == before + 1


@pytest.mark.parametrize(
    "path",
    ["/?period={}", "/why?period={}&against=last-year", "/shops/shop-02?period={}", "/studies/performance?period={}",
     "/api/v1/today?period={}&against=last-year", "/plan?period={}", "/api/v1/metrics/values?metric=gmv&period={}"],
)  # fmt: skip
def test_days_beyond_the_calendar_are_refused_clearly(here: Server, path: str) -> None:
    for period in (FAR, "0001..2024", "2024..9999"):
        answer = here.client.get(path.format(period))
        assert answer.status_code == (200 if path.startswith("/plan") else 400), answer.text


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/api/v1/jobs?limit=2&limit=3", 400, "given more than once"),
        ("/api/v1/jobs?ofset=2", 400, "no such parameter"),
        ("/api/v1/studies/fluctuation?setting=metric=nope", 404, "no such metric"),
        ("/api/v1/studies/fluctuation?setting=metric=gmv&setting=seed=1", 404, "Nobody has asked"),
    ],
)
def test_what_the_api_does_not_understand_is_not_ignored(here: Server, path: str, status: int, words: str) -> None:
    found = here.client.get(path)
    assert (found.status_code, words in found.json()["error"]["what"]) == (status, True), found.text


def test_a_word_that_no_question_has_is_refused(here: Server) -> None:
    program = TestClient(here.client.app, base_url=BASE)
    found = program.post("/api/v1/studies/performance", json={"perod": "2024"})
    assert (found.status_code, found.json()["error"]["got"]) == (400, "perod"), found.text


def test_a_bug_is_told_without_its_words_and_with_every_header(here: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("/secret/place shop-09")

    monkeypatch.setattr(here.office, "check", broken)
    client = TestClient(here.client.app, base_url=BASE, raise_server_exceptions=False)
    for path in ("/data", "/api/v1/data"):
        with structlog.testing.capture_logs() as logged:
            answer = client.get(path)
        assert answer.status_code == 500
        assert {"event": "broke", "log_level": "error", "exc_info": True} in logged
        assert "secret" not in answer.text
        assert "content-security-policy" in answer.headers
        assert answer.headers["cache-control"] == "private, no-store"
    assert answer.json()["error"]["code"] == "bug"


def test_an_error_tells_others_nothing_of_where_things_lie(here: Server, town: Server) -> None:
    for server, shown in ((here, True), (town, False)):
        place = server.office.place("0" * 32)
        told = server.office.outward(
            BadInputError("It cannot be read", got=place, do=f"look into {server.office.setup.store}")
        )
        assert (str(server.office.work) in str(told.as_dict())) is shown
        assert (server.office.setup.store in str(told.as_dict())) is shown


def test_a_merchant_never_spends_the_platforms_budget() -> None:
    mine = {Party.MERCHANT: 10.0}
    assert board.read({"merchant": "5"}, mine).budgets == {Party.MERCHANT: 5.0}
    with pytest.raises(ForbiddenError):
        board.read({"platform": "5"}, mine)


def test_a_merchant_is_refused_the_platforms_budget_by_page_and_api(town: Server) -> None:
    headers = {"authorization": f"Bearer {town.office.users().make_token('mara', 'tests')[1]}"}
    for path in ("/plan?platform=5", "/api/v1/plan?platform=5", "/api/v1/plan/curve?payer=platform&platform=5"):
        assert town.client.get(path, headers=headers).status_code == 403, path
    assert town.client.get("/api/v1/plan/curve?payer=platform", headers=headers).status_code == 400
    answer = town.client.post("/api/v1/plan/launch", json={"platform": 5}, headers=headers)
    assert answer.status_code == 403


def test_a_plan_is_named_for_its_caller_and_its_budget_to_the_cent() -> None:
    days = Period(date(2024, 1, 1), date(2024, 1, 28))
    sought = Sought({Party.MERCHANT: 1234567.89})
    assert sought.asked.budgets == ("merchant=1234567.89",)
    names = {sought.named(days, scope) for scope in (OPERATOR, Scope.of(["shop-02"]), Scope.of(["shop-03"]))}
    assert len(names) == 3
    assert sought.named(days, OPERATOR) != Sought({Party.MERCHANT: 1234567.88}).named(days, OPERATOR)


def test_what_json_has_no_word_for_is_null() -> None:
    assert jsonable({"a": float("inf"), "b": [-float("inf"), float("nan")]}) == {"a": None, "b": [None, None]}


def test_nobody_follows_more_jobs_at_once_than_there_are(here: Server) -> None:
    fields = {"form": here.form("/studies/performance"), "period": "2024-01-03..2024-01-09"}
    here.client.post("/studies/performance", data=fields)
    job = here.client.get("/api/v1/jobs").json()["items"][0]
    here.client.post(f"/jobs/{job['id']}/cancel", data={"form": fields["form"]})
    following = here.client.app.state.following  # type: ignore[attr-defined]
    for _ in range(30):  # each ends, and is counted no longer
        assert here.client.get(f"/api/v1/jobs/{job['id']}/events").status_code == 200
    assert following[""] == 0
    following[""] = 20
    assert here.client.get(f"/api/v1/jobs/{job['id']}/events").status_code == 429
    following[""] = 0
