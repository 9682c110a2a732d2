"""Signing in and out, one's own tokens, and for operators the users and the audit log."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from tradewind.accounts import Right, Role
from tradewind.errors import BadInputError, ForbiddenError, NotFoundError, TradewindError
from tradewind.faces.console.rendering import page
from tradewind.faces.server.gate import Asker, Sender, cookie_name, keep, local, office_of, reached

router = APIRouter()
Words = Annotated[str, Form(max_length=1_000)]
Next = Annotated[str, Query(alias="next", max_length=2_000)]


@router.get("/sign-in")
def sign_in_page(request: Request, to: Next = "/") -> Response:
    """Show the form to sign in with."""
    office_of(request).users()
    return page(request, "sign_in.html", "Sign in", to=local(to), error=None, name="")


@router.post("/sign-in")
def sign_in(request: Request, name: Words = "", password: Words = "", to: Words = "/") -> Response:
    """Begin a session; guesses are slowed, by name and by where they come from."""
    office = office_of(request)
    users = office.users()
    try:
        reached(request, office)
        client = request.client.host if request.client else ""
        request.app.state.callers.check(client)
        request.app.state.guesses.check(f"{client} {name}")
        session = users.sign_in(name, password)
        request.app.state.callers.forgive(client)
        request.app.state.guesses.forgive(f"{client} {name}")
    except TradewindError as error:
        return page(request, "sign_in.html", "Sign in", status=error.status, to=local(to), error=error, name=name[:100])
    response = RedirectResponse(local(to), 303)
    keep(response, office, session.secret)
    return response


@router.post("/sign-out")
def sign_out(asker: Sender) -> Response:
    """End the session."""
    office = asker.office
    if office.accounts is not None and asker.secret:
        office.accounts.sign_out(asker.secret)
    response = RedirectResponse("/sign-in", 303)
    response.delete_cookie(cookie_name(office), path="/", secure=office.setup.secure, httponly=True)
    return response


@router.get("/account")
def account(request: Request, asker: Asker) -> Response:
    """Show one's own tokens."""
    tokens = asker.office.users().tokens(asker.caller.name)
    return page(request, "account.html", "Your account", tokens=tokens, secret="", error=None)


@router.post("/account/tokens")
def make_token(
    request: Request, asker: Sender, title: Words = "", days: Annotated[int, Form(ge=1, le=366)] = 90
) -> Response:
    """Make a token and show its secret, this once."""
    users, error, secret = asker.office.users(), None, ""
    if not asker.secret:  # whoever took one could make more, which outlive it
        raise ForbiddenError("A token makes no tokens", do="sign in")
    try:
        _, secret = users.make_token(asker.caller.name, title, days, asker.caller)
    except BadInputError as wrong:
        error = wrong
    tokens = users.tokens(asker.caller.name)
    status = 200 if error is None else error.status
    return page(request, "account.html", "Your account", status=status, tokens=tokens, secret=secret, error=error)


@router.post("/account/tokens/{token}/revoke")
def revoke(asker: Sender, token: str) -> Response:
    """Take a token back."""
    asker.office.users().revoke(token, asker.caller)
    return RedirectResponse("/account", 303)


@router.post("/account/password")
def password(request: Request, asker: Sender, old: Words = "", new: Words = "") -> Response:
    """Change one's own password; every session of it ends, this one too."""
    users = asker.office.users()
    try:
        request.app.state.guesses.check(f"change {asker.caller.name}")
        users.sign_in(asker.caller.name, old)
        users.set_password(asker.caller.name, new, asker.caller)
    except TradewindError as error:
        tokens = users.tokens(asker.caller.name)
        return page(request, "account.html", "Your account", status=error.status, tokens=tokens, secret="", error=error)
    return RedirectResponse("/sign-in", 303)


@router.get("/users")
def users(request: Request, asker: Asker, before: Annotated[int | None, Query(ge=1, le=10**12)] = None) -> Response:
    """Show the users and the audit log to who may manage them."""
    asker.caller.check(Right.MANAGE)
    register = asker.office.users()
    deeds = register.deeds(asker.caller, before)
    return page(request, "users.html", "Users", users=register.users(), deeds=deeds, roles=list(Role), error=None)


@router.post("/users")
def add(
    request: Request,
    asker: Sender,
    name: Words = "",
    role: Words = "",
    reach: Words = "",
    password: Words = "",
) -> Response:
    """Add a user."""
    asker.caller.check(Right.MANAGE)
    register, error = asker.office.users(), None
    ids = tuple(dict.fromkeys(part.strip() for part in reach.split(",") if part.strip()))
    try:
        if role not in set(Role):
            raise BadInputError("There is no such role", got=role, allowed=Role)
        mine = Role(role) == Role.CREATOR
        register.add(name, Role(role), () if mine else ids, ids if mine else (), password or None, asker.caller)
    except TradewindError as wrong:
        error = wrong
    if error is None:
        return RedirectResponse("/users", 303)
    deeds = register.deeds(asker.caller)
    return page(
        request, "users.html", "Users", status=error.status, users=register.users(), deeds=deeds, roles=list(Role),
        error=error,
    )  # fmt: skip


@router.post("/users/{name}/{what}")
def disable(asker: Sender, name: str, what: str) -> Response:
    """Keep a user out, or let them in again."""
    asker.caller.check(Right.MANAGE)
    if what not in ("disable", "enable"):
        raise NotFoundError("There is nothing of that name to do with a user", got=what)
    if name == asker.caller.name:
        raise BadInputError("You cannot keep yourself out", do="ask another operator")
    asker.office.users().disable(name, back=what == "enable", by=asker.caller)
    return RedirectResponse("/users", 303)
