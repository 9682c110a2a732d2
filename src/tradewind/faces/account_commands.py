"""The commands `users` and `tokens`: who may sign in, and what programs may ask in their name."""

from __future__ import annotations

import getpass
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from tradewind.errors import BadInputError, MissingDataError
from tradewind.faces import options
from tradewind.faces.voice import Voice

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tradewind.accounts import Accounts, Token, User

ADDRESS = "TRADEWIND_ACCOUNTS"
PASSWORD = "TRADEWIND_PASSWORD"
DEFAULT_ACCOUNTS = "tradewind-accounts.db"

AccountsOption = Annotated[
    str,
    typer.Option(
        "--accounts",
        metavar="ADDRESS",
        help=f"File of the users, or postgresql://USER@HOST/NAME. Else {ADDRESS}, else ./{DEFAULT_ACCOUNTS}.",
    ),
]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The user's name.")]

users_app = typer.Typer(no_args_is_help=True, help="Say who may sign in, and what each may see.")
tokens_app = typer.Typer(no_args_is_help=True, help="Give programs a token each, to ask in a user's name.")


@users_app.command("add")
def add(
    name: NameArgument,
    role: Annotated[str, typer.Option("--role", metavar="ROLE", help="operator, merchant, creator or viewer.")],
    shop: Annotated[
        list[str] | None, typer.Option("--shop", metavar="SHOP", help="A shop that they may see. Repeat for several.")
    ] = None,
    creator: Annotated[
        list[str] | None, typer.Option("--creator", metavar="CREATOR", help="A creator as whom they see. Repeat.")
    ] = None,
    password: Annotated[
        bool, typer.Option("--password/--no-password", help="Ask for a password; without one only tokens let in.")
    ] = True,
    accounts: AccountsOption = "",
    as_json: options.JsonOption = False,
) -> None:
    """Add a user; the first one begins the register."""
    from tradewind.accounts import Role  # noqa: PLC0415 - slow to load

    voice = Voice(as_json)
    if role not in set(Role):
        raise BadInputError("There is no such role", got=role, allowed=Role)
    shops, creators = options.listed(shop), options.listed(creator)
    if (shop and not shops) or (creator and not creators):  # what is not set must not come to mean everything
        raise BadInputError("A shop or creator was asked for, but not named", do="give its id")
    given = _password() if password else None
    with _register(accounts, create=True) as register:
        user = register.add(name, Role(role), shops, creators, given)
    voice.answer(user, lambda: Text(f"Added {user.name}, who {_sees(user)}."))


@users_app.command("list")
def list_(accounts: AccountsOption = "", as_json: options.JsonOption = False) -> None:
    """List the users: role, and what each may see."""
    voice = Voice(as_json)
    with _register(accounts) as register:
        found = register.users()
    voice.answer({"users": found}, lambda: _users(found))


@users_app.command("password")
def password(name: NameArgument, accounts: AccountsOption = "", as_json: options.JsonOption = False) -> None:
    """Give a user a new password; whoever is signed in with the old one is signed out."""
    voice = Voice(as_json)
    with _register(accounts) as register:
        register.user(name)
        register.set_password(name, _password())
    voice.answer({"user": name}, lambda: Text(f"{name} has a new password."))


@users_app.command("disable")
def disable(name: NameArgument, accounts: AccountsOption = "", as_json: options.JsonOption = False) -> None:
    """Keep a user out from now on, tokens and sessions included."""
    voice = Voice(as_json)
    with _register(accounts) as register:
        register.disable(name)
    voice.answer({"user": name, "disabled": True}, lambda: Text(f"{name} is kept out."))


@users_app.command("enable")
def enable(name: NameArgument, accounts: AccountsOption = "", as_json: options.JsonOption = False) -> None:
    """Let a user in again."""
    voice = Voice(as_json)
    with _register(accounts) as register:
        register.disable(name, back=True)
    voice.answer({"user": name, "disabled": False}, lambda: Text(f"{name} may sign in again."))


@tokens_app.command("new")
def new(
    name: NameArgument,
    title: Annotated[str, typer.Option("--title", metavar="WORDS", help="What it is for.")],
    days: Annotated[int, typer.Option("--days", metavar="N", help="Days that it holds, 366 at most.")] = 90,
    accounts: AccountsOption = "",
    as_json: options.JsonOption = False,
) -> None:
    """Make a token and show its secret, this once."""
    voice = Voice(as_json)
    with _register(accounts) as register:
        token, secret = register.make_token(name, title, days)
    words = f"{secret}\nThis is shown once. It asks in the name of {token.user} until {token.expires[:10]}."
    voice.answer({"token": token, "secret": secret}, lambda: Text(words))


@tokens_app.command("list")
def listed(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Only this user's.")] = "",
    accounts: AccountsOption = "",
    as_json: options.JsonOption = False,
) -> None:
    """List tokens, the newest first, without their secrets."""
    voice = Voice(as_json)
    with _register(accounts) as register:
        if name:
            register.user(name)
        found = register.tokens(name or None)
    voice.answer({"tokens": found}, lambda: _tokens(found))


@tokens_app.command("revoke")
def revoke(
    token: Annotated[str, typer.Argument(metavar="ID", help="The token's id, from `tradewind tokens list`.")],
    accounts: AccountsOption = "",
    as_json: options.JsonOption = False,
) -> None:
    """Take a token back; it lets nobody in from now on."""
    from tradewind.accounts import ANYBODY_HERE  # noqa: PLC0415 - slow to load

    voice = Voice(as_json)
    with _register(accounts) as register:
        register.revoke(token, ANYBODY_HERE)
    voice.answer({"token": token, "revoked": True}, lambda: Text(f"Token {token} lets nobody in any more."))


@contextmanager
def _register(given: str, *, create: bool = False) -> Iterator[Accounts]:
    from tradewind.accounts import open_accounts  # noqa: PLC0415 - slow to load

    register = open_accounts(given or os.environ.get(ADDRESS) or DEFAULT_ACCOUNTS, create=create)
    try:
        yield register
    finally:
        register.close()


def _password() -> str:
    """Return a password: from the environment, else typed twice, unseen."""
    if given := os.environ.get(PASSWORD):
        return given
    if not sys.stdin.isatty():
        raise MissingDataError("There is nobody to ask for a password", do=f"set {PASSWORD}, or add --no-password")
    given = getpass.getpass("Password: ")
    if getpass.getpass("The same again: ") != given:
        raise BadInputError("The two passwords differ", do="try again")
    return given


def _sees(user: User) -> str:
    if user.shops:
        return f"sees the shop{'s' if len(user.shops) > 1 else ''} {', '.join(user.shops)}"
    if user.creators:
        return f"sees sessions and offers of {', '.join(user.creators)}"
    return "sees all"


def _users(found: Sequence[User]) -> Table | Text:
    if not found:
        return Text("There are no users.")
    table = Table("User", "Role", "Sees", "", box=None, header_style="dim", padding=(0, 2, 0, 0), pad_edge=False)
    for user in found:
        table.add_row(user.name, user.role, _sees(user).removeprefix("sees "), "disabled" if user.disabled else "")
    return table


def _tokens(found: Sequence[Token]) -> Table | Text:
    if not found:
        return Text("There are no tokens.")
    titles = ("Id", "User", "For", "Until", "Last used", "")
    table = Table(*titles, box=None, header_style="dim", padding=(0, 2, 0, 0), pad_edge=False)
    for token in found:
        used = token.seen[:16].replace("T", " ") if token.seen else "never"
        state = "revoked" if token.revoked else ""
        table.add_row(token.id, token.user, token.title, token.expires[:10], used, state)
    return table
