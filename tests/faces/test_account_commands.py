"""The commands `users` and `tokens`, as somebody at a terminal uses them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tradewind.accounts import open_accounts, secrecy
from tradewind.errors import UnknownCallerError
from tradewind.faces.cli import app

PASSWORD = "correct horse battery"


@pytest.fixture
def register(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(secrecy, "COST", 4)
    monkeypatch.setenv("TRADEWIND_ACCOUNTS", str(tmp_path / "users.db"))
    monkeypatch.setenv("TRADEWIND_PASSWORD", PASSWORD)
    return tmp_path / "users.db"


def run(*words: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_a_user_signs_in_asks_and_is_kept_out(register: Path) -> None:
    assert run("users", "list", code=2)["error"]["what"] == "There is no register of users here"
    run("users", "add", "mei", "--role", "merchant", "--shop", "s1,s2")
    [user] = run("users", "list")["users"]
    assert (user["name"], user["role"], user["shops"], user["disabled"]) == ("mei", "merchant", ["s1", "s2"], False)
    made = run("tokens", "new", "mei", "--title", "nightly export", "--days", "7")
    accounts = open_accounts(register)
    assert accounts.sign_in("mei", PASSWORD).caller.name == accounts.token(made["secret"]).name == "mei"
    assert made["secret"] not in json.dumps(run("tokens", "list", "mei"))
    run("users", "disable", "mei")
    with pytest.raises(UnknownCallerError):
        accounts.token(made["secret"])
    run("users", "enable", "mei")
    accounts.token(made["secret"])
    run("tokens", "revoke", made["token"]["id"])
    with pytest.raises(UnknownCallerError):
        accounts.token(made["secret"])
    accounts.close()


def test_a_new_password_takes_the_place_of_the_old(register: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("users", "add", "lee", "--role", "viewer")
    monkeypatch.setenv("TRADEWIND_PASSWORD", "staple of another kind")
    run("users", "password", "lee")
    accounts = open_accounts(register)
    assert accounts.sign_in("lee", "staple of another kind").caller.name == "lee"
    accounts.close()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--role", "boss"), "There is no such role"),
        (("--role", "viewer", "--shop", ","), "A shop or creator was asked for, but not named"),
        (("--role", "merchant"), "What somebody sees as merchant does not fit"),
        (("--role", "creator", "--shop", "s1"), "What somebody sees as creator does not fit"),
    ],
)
def test_a_user_who_cannot_be(register: Path, words: tuple[str, ...], said: str) -> None:
    assert run("users", "add", "mei", *words, code=2)["error"]["what"] == said
    run("users", "add", "kay", "--role", "viewer", "--no-password")
    assert [user["name"] for user in run("users", "list")["users"]] == ["kay"]


def test_a_password_that_cannot_be_leaves_nobody(register: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("users", "add", "kay", "--role", "viewer", "--no-password")
    for wrong in ("short", "correct-horse-battery"):
        monkeypatch.setenv("TRADEWIND_PASSWORD", wrong)
        run("users", "add", "correct-horse-battery", "--role", "viewer", code=2)
    monkeypatch.delenv("TRADEWIND_PASSWORD")
    found = run("users", "add", "mei", "--role", "viewer", code=1)
    assert found["error"]["what"] == "There is nobody to ask for a password"
    assert [user["name"] for user in run("users", "list")["users"]] == ["kay"]


def test_lists_are_read_by_people_too(register: Path) -> None:
    run("users", "add", "mei", "--role", "merchant", "--shop", "s1")
    run("users", "add", "kay", "--role", "creator", "--creator", "k1", "--no-password")
    told = CliRunner().invoke(app, ["tokens", "new", "mei", "--title", "export"]).stdout
    assert "shown once" in told
    users = CliRunner().invoke(app, ["users", "list"]).stdout
    assert "the shop s1" in users
    assert "sessions and offers of k1" in users
    assert "export" in CliRunner().invoke(app, ["tokens", "list"]).stdout
    assert "no tokens" in CliRunner().invoke(app, ["tokens", "list", "kay"]).stdout
