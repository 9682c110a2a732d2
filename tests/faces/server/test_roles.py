"""Who may do what: signing in and out, tokens, rights by role, guesses, and the audit log."""

from __future__ import annotations

import re

import pytest
from desks import ONE, PASSWORD, TWO, Server
from starlette.testclient import TestClient

from tradewind.accounts import Role


def form_of(browser: TestClient, path: str = "/account") -> str:
    found = re.search(r'name="form" value="([0-9a-f]+)"', browser.get(path).text)
    assert found
    return found[1]


def token_of(town: Server, name: str) -> dict[str, str]:
    register = town.office.users()
    return {"authorization": f"Bearer {register.make_token(name, 'tests')[1]}"}


@pytest.mark.parametrize("path", ["/", "/why", "/plan", "/data", "/shops/shop-02", "/jobs", "/users"])
def test_nobody_sees_a_page_without_signing_in(town: Server, path: str) -> None:
    answer = town.client.get(path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/sign-in?next=")


def test_nobody_asks_the_api_without_a_token(town: Server) -> None:
    for headers in ({}, {"authorization": "Bearer tw_nothing"}, {"authorization": "Basic x"}):
        answer = town.client.get("/api/v1/me", headers=headers)
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "unknown_caller"


def test_signing_in_leads_back_to_where_one_was_going(town: Server) -> None:
    browser = TestClient(town.client.app, base_url="http://127.0.0.1", follow_redirects=False)
    answer = browser.post("/sign-in", data={"name": "olga", "password": PASSWORD, "to": "/why?metric=aov"})
    assert answer.headers["location"] == "/why?metric=aov"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert browser.get("/why?metric=aov").status_code == 200


@pytest.mark.parametrize("to", ["//evil.example", "https://evil.example", "/\\evil.example", "evil"])
def test_signing_in_never_leads_elsewhere(town: Server, to: str) -> None:
    browser = TestClient(town.client.app, base_url="http://127.0.0.1", follow_redirects=False)
    answer = browser.post("/sign-in", data={"name": "vera", "password": PASSWORD, "to": to})
    assert answer.headers["location"] == "/"


def test_passwords_cannot_be_guessed_fast(town: Server) -> None:
    browser = TestClient(town.client.app, base_url="http://127.0.0.1")
    said = [browser.post("/sign-in", data={"name": "nobody", "password": "x" * 12}).status_code for _ in range(8)]
    assert said[:5] == [401] * 5
    assert said[5:] == [429] * 3


def test_signing_out_ends_the_session(town: Server) -> None:
    browser = town.sign_in("vera")
    cookie = dict(browser.cookies)
    form = form_of(browser)
    assert browser.post("/sign-out", data={"form": form}).headers["location"] == "/sign-in"
    assert browser.get("/", cookies=cookie).status_code == 303


def test_a_form_of_another_session_is_refused(town: Server) -> None:
    mara, milo = town.sign_in("mara"), town.sign_in("milo")
    assert mara.post("/plan/gather", data={"form": form_of(milo)}).status_code == 403


def test_a_token_is_made_shown_once_used_and_revoked(town: Server) -> None:
    browser = town.sign_in("mara")
    page = browser.post("/account/tokens", data={"form": form_of(browser), "title": "reports", "days": "7"})
    secret = re.search(r"<code>(tw_[^<]+)</code>", page.text)
    assert secret
    headers = {"authorization": f"Bearer {secret[1]}"}
    told = town.client.get("/api/v1/me", headers=headers).json()
    assert (told["name"], told["role"]) == ("mara", Role.MERCHANT)
    assert sorted(told["scope"]["shops"]) == sorted(TWO)
    assert secret[1] not in browser.get("/account").text
    [token] = [t for t in town.office.users().tokens("mara") if t.title == "reports"]
    browser.post(f"/account/tokens/{token.id}/revoke", data={"form": form_of(browser)})
    assert town.client.get("/api/v1/me", headers=headers).status_code == 401


@pytest.mark.parametrize(("name", "status"), [("vera", 403), ("cleo", 403), ("mara", 303), ("olga", 303)])
def test_who_may_ask_for_a_plan(town: Server, name: str, status: int) -> None:
    browser = town.sign_in(name)
    answer = browser.post("/plan/gather", data={"form": form_of(browser)})
    assert answer.status_code == status
    for job in town.office.jobs.listed(town.office.users().user("olga").caller)[0]:
        if not job.state.over:
            town.office.jobs.cancel(job.id, town.office.users().user("olga").caller)


@pytest.mark.parametrize("name", ["vera", "mara", "cleo"])
def test_only_operators_manage_users_and_read_the_log(town: Server, name: str) -> None:
    browser = town.sign_in(name)
    assert browser.get("/users").status_code == 403
    fields = {"form": form_of(browser), "name": "eve", "role": "operator", "password": PASSWORD}
    assert browser.post("/users", data=fields).status_code == 403
    assert browser.post("/users/olga/disable", data={"form": fields["form"]}).status_code == 403


def test_an_operator_adds_a_user_who_is_kept_out_and_let_in(town: Server) -> None:
    browser = town.sign_in("olga")
    form = form_of(browser)
    fields = {"form": form, "name": "nina", "role": "merchant", "reach": ONE[0], "password": PASSWORD}
    assert browser.post("/users", data=fields).status_code == 303
    assert browser.post("/users", data=fields).status_code == 409
    assert browser.post("/users", data={**fields, "name": "x", "role": "king"}).status_code == 400
    nina = town.sign_in("nina")
    assert nina.get("/").status_code == 200
    browser.post("/users/nina/disable", data={"form": form})
    assert nina.get("/").status_code == 303
    browser.post("/users/nina/enable", data={"form": form})
    assert town.sign_in("nina").get("/").status_code == 200
    assert browser.post("/users/olga/disable", data={"form": form}).status_code == 400
    log = browser.get("/users").text
    assert "disable user" in log
    assert PASSWORD not in log


def test_a_new_password_ends_every_session(town: Server) -> None:
    register = town.office.users()
    register.add("rosa", Role.VIEWER, password=PASSWORD)
    first, second = town.sign_in("rosa"), town.sign_in("rosa")
    fields = {"form": form_of(first), "old": "wrong password", "new": "another battery staple"}
    assert first.post("/account/password", data=fields).status_code == 401
    assert first.post("/account/password", data={**fields, "old": PASSWORD}).status_code == 303
    assert second.get("/").status_code == 303


def test_a_creator_sees_own_sessions_and_no_shop(town: Server) -> None:
    browser = town.sign_in("cleo")
    assert browser.get("/").headers["location"] == "/creators/k1"
    assert browser.get("/creators/k1").status_code == 200
    assert browser.get("/creators/k2").status_code == 404
    assert browser.get("/live").status_code == 200
    for path in ("/why", "/plan", "/ledger", "/studies/performance"):
        assert browser.get(path).status_code in (403, 404, 422), path


def test_a_program_sends_what_it_wants_with_its_token_alone(town: Server) -> None:
    headers = token_of(town, "mara")
    answer = town.client.post("/api/v1/studies/performance", json={"period": "2024-01"}, headers=headers)
    assert answer.status_code == 202
    job = answer.json()["job"]
    assert answer.headers["location"] == f"/api/v1/jobs/{job['id']}"
    milo = token_of(town, "milo")
    assert town.client.get(f"/api/v1/jobs/{job['id']}", headers=milo).status_code == 404
    assert town.client.get(f"/api/v1/jobs/{job['id']}/events", headers=milo).status_code == 404
    assert town.work() == 1
    events = town.client.get(f"/api/v1/jobs/{job['id']}/events", headers=headers).text
    assert '"state": "done"' in events
    told = town.client.get("/api/v1/studies/performance?period=2024-01", headers=headers).json()
    assert told["wing"] == "performance"
    assert town.client.get("/api/v1/studies/performance?period=2024-01", headers=milo).status_code == 404
