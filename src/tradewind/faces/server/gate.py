"""Gate: who asks, what of them is believed, and what no other site may make their browser do."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request, Response

from tradewind.accounts import ANYBODY_HERE, Caller, Right
from tradewind.accounts.secrecy import derived
from tradewind.engines.store import Store
from tradewind.errors import BadInputError, ForbiddenError, UnknownCallerError
from tradewind.faces.server.office import Office
from tradewind.faces.server.setup import LOOPBACK
from tradewind.faces.server.throttle import Throttle
from tradewind.ledger import Ledger

FORM = "form"
HEADER = "x-tradewind-form"
PROXIED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
"""Headers by which a proxy says that somebody else asks."""
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_LONGEST = 300


@dataclass(frozen=True)
class Asking:
    """One request, as far as who asks goes.

    Args:
        office: What all requests share.
        caller: Who asks.
        secret: What their browser showed, or was given with this answer; empty for a program with a token.
        fresh: Whether the browser is to keep that secret from now on.
    """

    office: Office
    caller: Caller
    secret: str
    fresh: bool = False

    @cached_property
    def store(self) -> Store:
        """The store as the caller may see it, of one snapshot from the request's first look at it to its last."""
        return self.office.store(self.caller.scope)

    @cached_property
    def ledger(self) -> Ledger | None:
        """The ledger as the caller may see it, or None where nothing was launched yet."""
        return self.office.ledger(self.caller.scope)

    @property
    def form(self) -> str:
        """What each form carries, so that no other site can send one; drawn anew each time, against compression."""
        return masked(derived(self.secret, FORM))


def cookie_name(office: Office) -> str:
    """Return the name of the cookie: one that other hosts cannot set, where browsers come by HTTPS."""
    return "__Host-tradewind" if office.setup.secure else "tradewind"


def keep(response: Response, office: Office, secret: str) -> None:
    """Let the browser keep a secret."""
    response.set_cookie(
        cookie_name(office), secret, httponly=True, samesite="lax", secure=office.setup.secure, path="/"
    )


def office_of(request: Request) -> Office:
    """Return what all requests share."""
    office: Office = request.app.state.office
    return office


def asking(request: Request) -> Asking:
    """Return who asks.

    Raises:
        BadInputError: If the address holds what no database reads.
        UnknownCallerError: If nobody known does.
        ForbiddenError: If another site made the browser ask.
        TooManyError: If the caller asks too often.
    """
    office = office_of(request)
    reached(request, office)
    said = [request.scope["path"], *(text for pair in request.query_params.multi_items() for text in pair)]
    if any("\x00" in text for text in said):
        raise BadInputError("The address holds a character that no text has", got="%00", do="leave it out")
    bearer = request.headers.get("authorization", "")
    shown = request.cookies.get(cookie_name(office), "")
    if bearer:
        found = _by_token(office, bearer)
    elif office.accounts is not None:
        if not 0 < len(shown) <= _LONGEST:
            raise UnknownCallerError("Nobody is signed in", do="sign in")
        found = Asking(office, office.accounts.session(shown).caller, shown)
    else:
        known = 0 < len(shown) <= _LONGEST
        found = Asking(office, ANYBODY_HERE, shown if known else secrets.token_urlsafe(32), fresh=not known)
    if found.caller.user:
        throttle: Throttle = request.app.state.throttle
        throttle.check(found.caller.user)
    request.state.asking = found
    return found


Asker = Annotated[Asking, Depends(asking)]


async def sent(request: Request, asker: Asker) -> Asking:
    """Return who sends a form, or asks by the API to change something.

    Raises:
        ForbiddenError: If it does not come from one of the server's own pages, or a program with a token.
    """
    if asker.secret:
        given = request.headers.get(HEADER, "")
        if not given and not request.headers.get("content-type", "").startswith("application/json"):
            given = str((await request.form()).get(FORM, ""))
        outside = "origin" not in request.headers and "sec-fetch-site" not in request.headers
        program = asker.fresh and asker.caller is ANYBODY_HERE and outside  # curl on this machine, no browser
        if not program and not hmac.compare_digest(unmasked(given), derived(asker.secret, FORM)):
            raise ForbiddenError("The form is too old, or comes from somewhere else", do="load the page anew")
    return asker


Sender = Annotated[Asking, Depends(sent)]


def right(which: Right) -> type[Asking]:
    """Return a dependency: whoever sends something, where they have a right."""

    def checked(asker: Sender) -> Asking:
        asker.caller.check(which)
        return asker

    return Annotated[Asking, Depends(checked)]  # type: ignore[return-value]  # FastAPI reads it as an annotation


def masked(secret: str) -> str:
    """Return a secret so that it looks different each time, for pages that are compressed (BREACH)."""
    pad = secrets.token_bytes(32)
    return (pad + bytes(a ^ b for a, b in zip(pad, bytes.fromhex(secret), strict=True))).hex()


def unmasked(given: str) -> str:
    """Return the secret that was masked; nothing where it is none."""
    try:
        both = bytes.fromhex(given)
    except ValueError:
        return ""
    return bytes(a ^ b for a, b in zip(both[:32], both[32:], strict=False)).hex() if len(both) == 64 else ""


def local(path: str) -> str:
    """Return a path of this server to go on to, and the start page for anything else."""
    parts = urlsplit(path)
    fine = path.startswith("/") and not path.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    return path if fine and path.isprintable() else "/"


def _by_token(office: Office, bearer: str) -> Asking:
    kind, _, secret = bearer.partition(" ")
    if kind.lower() != "bearer" or not 0 < len(secret) <= _LONGEST:
        raise UnknownCallerError("The Authorization header cannot be read", allowed="Bearer TOKEN")
    if office.accounts is None:
        raise UnknownCallerError(
            "This server has no users and knows no tokens", do="leave the Authorization header out"
        )
    return Asking(office, office.accounts.token(secret), "")


def reached(request: Request, office: Office) -> None:
    """Refuse what came under a foreign name (DNS rebinding), or was sent by another site's page."""
    setup, host = office.setup, _host(request.headers.get("host", ""))
    if setup.open and any(name in request.headers for name in PROXIED):
        raise ForbiddenError(
            "This server has no users, and answers to nobody but this machine",
            do="start it with --accounts to reach it through a proxy",
        )
    names = {*LOOPBACK, *setup.names}
    if host not in names and (setup.open or setup.names):
        raise BadInputError(
            "The server is not reached under this name", got=host, allowed=sorted(names), do="start it with --name"
        )
    if request.method in _SAFE:
        return
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site", "same-origin")
    foreign = origin is not None and not _same(origin, request.headers.get("host", ""), setup.secure)
    if foreign or site not in ("same-origin", "none"):
        raise ForbiddenError("Another site's page sent this")


def _same(origin: str, host: str, secure: bool) -> bool:
    """Whether a page's origin is the server itself: its scheme, name and port too, for cookies know no ports."""
    scheme, usual = ("https", 443) if secure else ("http", 80)
    try:
        page, here = urlsplit(origin), urlsplit(f"//{host}")
        return page.scheme == scheme and (page.hostname, page.port or usual) == (here.hostname, here.port or usual)
    except ValueError:  # no port, or brackets that hold no address
        return False


def _host(netloc: str) -> str:
    try:
        return urlsplit(f"//{netloc}").hostname or ""
    except ValueError:  # brackets that hold no address
        return ""
