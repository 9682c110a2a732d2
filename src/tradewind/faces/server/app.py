"""App: the routes of console and API over one office, and what holds for every answer."""

from __future__ import annotations

import importlib.metadata
import os
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import anyio.to_thread
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tradewind.errors import BadInputError, NotFoundError, TooManyError, TradewindError, UnknownCallerError
from tradewind.faces import api, console
from tradewind.faces.console import assets, rendering
from tradewind.faces.server import logs
from tradewind.faces.server.office import Office
from tradewind.faces.server.setup import Setup
from tradewind.faces.server.throttle import Throttle

LOG = structlog.get_logger()
THREADS = 8
"""Requests that a process works on at a time: what they compute is bound to one core."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "x-frame-options": "DENY",
}
HTTPS_ONLY = "max-age=31536000"
LONGEST = 1_000_000
"""Bytes of a request's body that are read."""


def make_app(setup: Setup | None = None) -> FastAPI:
    """Return the application of one process.

    Args:
        setup: What the server was started with; the one that the environment hands over where left out.
    """
    if setup is None:
        logs.begin()
        setup = Setup.taken()
    office = Office(setup)
    app = FastAPI(
        title="Tradewind",
        version=importlib.metadata.version("tradewind"),
        description="Everything that the console shows: metrics, studies, the plan, the ledger, and what they are of.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        lifespan=_life,
    )
    app.state.office = office
    app.state.throttle = Throttle(burst=200, rate=20.0)
    app.state.guesses = Throttle(burst=5, rate=1 / 30)
    app.state.following = Counter()
    app.state.callers = Throttle(burst=30, rate=1 / 4)
    app.include_router(api.router)
    app.include_router(console.router)
    app.add_middleware(_Guard, secure=setup.secure)
    app.add_exception_handler(TradewindError, _told)
    app.add_exception_handler(RequestValidationError, _misread)
    app.add_exception_handler(HTTPException, _unrouted)
    app.add_exception_handler(Exception, _broken)
    return app


@asynccontextmanager
async def _life(app: FastAPI) -> AsyncIterator[None]:
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    threading.Thread(target=_warmed, args=(app.state.office,), daemon=True, name="warming").start()
    parent = os.environ.get("TRADEWIND_PARENT")
    if parent and parent != str(os.getpid()):
        threading.Thread(target=_ends_with, args=(int(parent),), daemon=True, name="parent").start()
    yield
    app.state.office.close()


def _ends_with(parent: int) -> None:
    """End this process when the one that started it is gone, so that none goes on answering alone."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _warmed(office: Office) -> None:
    """Make what the first reader would wait for; what goes wrong here is told to whoever asks for it."""
    assets.addresses()
    try:
        office.ready()
    except TradewindError as error:
        LOG.warning("not ready", code=error.code)


def _told(request: Request, error: Exception) -> Response:
    """Answer with an error of the house: one JSON shape, or a page."""
    if not isinstance(error, TradewindError):
        raise error
    office: Office = request.app.state.office
    said = office.outward(error)
    headers = {"retry-after": str(error.do).split()[1]} if isinstance(error, TooManyError) else {}
    if isinstance(error, UnknownCallerError):
        headers["www-authenticate"] = "Bearer"
    if error.status >= 500:
        LOG.error("error", code=error.code)
    if _by_program(request):
        return JSONResponse(said.as_dict(), error.status, headers)
    if isinstance(error, UnknownCallerError) and request.method == "GET":
        there = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/sign-in?next={quote(there, safe='')}", 303)
    response = rendering.failed(request, said)
    response.headers.update(headers)
    return response


def _misread(request: Request, error: Exception) -> Response:
    """Say which parameter cannot be read, in the house's words."""
    if not isinstance(error, RequestValidationError):
        raise error
    first: dict[str, Any] = dict(error.errors()[0])
    if first["type"] == "json_invalid":
        return _told(request, BadInputError("The body is no JSON that can be read", do="send one JSON object"))
    where = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        return _told(request, BadInputError("The body has no such field", got=where, do="see /api/v1/openapi.json"))
    got = first.get("input")
    said = BadInputError(
        f"The parameter {where} cannot be read", got=ascii(got)[:100] if isinstance(got, str | int | float) else None,
        allowed=str(first["msg"]),
    )  # fmt: skip
    return _told(request, said)


def _unrouted(request: Request, error: Exception) -> Response:
    """Say that there is no such address, or that it does not take this method."""
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == 405:
        wrong: TradewindError = BadInputError("This address does not take the method", got=request.method)
        wrong.status = 405
    elif error.status_code == 404:
        wrong = NotFoundError("There is nothing at this address", do="start from the first page")
    else:
        wrong = BadInputError("The request cannot be read", got=error.detail)
        wrong.status = error.status_code
    response = _told(request, wrong)
    response.headers.update(error.headers or {})
    return response


def _broken(request: Request, error: Exception) -> Response:
    """Say that this is a bug, without its traceback; the log has it."""
    said = TradewindError(
        "This is a bug in Tradewind", got=type(error).__name__, do="try again; the server's log has more"
    )
    said.code = "bug"
    return _told(request, said)


def _by_program(request: Request) -> bool:
    return request.url.path.startswith("/api/")


class _Guard:
    """Puts the security headers on every answer, refuses bodies that are too long, and logs what was answered.

    What is logged names the route, never an id of anybody in it.
    """

    def __init__(self, app: ASGIApp, secure: bool):
        self._app = app
        headers = HEADERS | ({"strict-transport-security": HTTPS_ONLY} if secure else {})
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 0
        size = 0

        async def received() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > LONGEST:
                raise HTTPException(413, "The request is too long")
            return message

        async def answered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message.get("headers", ()), *self._headers]
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"private, no-store"))
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self._app(scope, received, answered)
        except Exception as error:
            LOG.exception("broke")
            if status:  # half of the answer is out already
                raise
            await _broken(Request(scope), error)(scope, receive, answered)
        finally:
            route = getattr(scope.get("route"), "path", "")
            milliseconds = round(1e3 * (time.perf_counter() - begun), 1)
            LOG.info("answered", method=scope["method"], route=route, status=status, ms=milliseconds)
