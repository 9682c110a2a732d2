"""The command `serve`: the console and the API over a store, until it is stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from tradewind.errors import BadInputError, ConflictError, ForbiddenError, NotFoundError
from tradewind.faces import account_commands, options, plan_commands
from tradewind.faces.voice import Voice

if TYPE_CHECKING:
    from tradewind.faces.server.setup import Setup

DEFAULT_WORK = "tradewind-desk"
MOST_WORKERS = 8
PATIENCE = 10
"""Seconds that the process of jobs has to end by itself."""


def serve(  # noqa: PLR0913, PLR0917 - one parameter an option
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, metavar="N", help="Port; 0 for any free.")] = 8000,
    accounts: Annotated[
        str,
        typer.Option(
            "--accounts",
            metavar="ADDRESS",
            help="Register of the users who sign in. Without it whoever sits at this machine sees all.",
        ),
    ] = "",
    https: Annotated[
        bool, typer.Option("--https", help="Browsers reach it by HTTPS, through a proxy on this machine.")
    ] = False,
    certificate: Annotated[
        Path | None, typer.Option("--certificate", metavar="FILE", help="Certificate chain, to speak HTTPS itself.")
    ] = None,
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help="The certificate's private key.")] = None,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="HOST", help="A further name under which browsers reach it. Repeat."),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", min=0, max=MOST_WORKERS, metavar="N", help="Processes; 0 for one a core.")
    ] = 0,
    work: Annotated[
        Path, typer.Option("--work", metavar="FOLDER", help="Where jobs, answers and approvals are kept.")
    ] = Path(DEFAULT_WORK),
    browser: Annotated[bool, typer.Option("--open", help="Open it in this machine's browser.")] = False,
    log: Annotated[bool, typer.Option("--log", help="Print a line for every request, without anybody's id.")] = False,
    today: plan_commands.TodayOption = "",
    ledger: plan_commands.LedgerOption = "",
    assume: options.AssumeOption = None,
    store: options.StoreOption = "",
) -> None:
    """Open a console over a store, and the API beneath it."""
    import uvicorn  # noqa: PLC0415 - slow to load

    from tradewind.faces.server.setup import Setup  # noqa: PLC0415 - slow to load

    voice = Voice(False)
    opened = options.opened(store, voice, (), assume)
    day = plan_commands.taken(today, opened.provenance.simulated, opened.span.last)
    register = accounts or os.environ.get(account_commands.ADDRESS, "")
    setup = Setup(
        options.address(store, voice), str(work.absolute()), plan_commands.ledger_address(ledger), register, host,
        port or _free(host), tuple(name or ()), bool(https or certificate), day, tuple(assume or ()),
    )  # fmt: skip
    _guarded(setup, certificate, key)
    _fitting(setup)
    _vacant(setup)
    if day is not None:
        voice.note(f"Simulated data: it is taken to be {day}, the day after which nothing is known yet.")
    count = workers or min(os.cpu_count() or 1, MOST_WORKERS)
    os.environ |= setup.handed() | {"TRADEWIND_LOG": "info" if log else "warning"}
    os.environ["TRADEWIND_PARENT"] = str(os.getpid())
    jobs = _Jobs()
    jobs.start()
    voice.out.print(Text.assemble("Tradewind is at ", (setup.url, "bold"), ". Stop it with Ctrl+C."))
    if browser:
        threading.Timer(1.5, webbrowser.open, [setup.url]).start()
    try:
        uvicorn.run(
            "tradewind.faces.server.app:make_app", factory=True, host=host, port=setup.port, workers=count,
            log_config=None, access_log=False, server_header=False, proxy_headers=https, timeout_graceful_shutdown=5,
            ssl_certfile=certificate, ssl_keyfile=key,
        )  # fmt: skip
    finally:
        jobs.end()


class _Jobs(threading.Thread):
    """Keeps a process that does jobs, and begins another where it ends while the server goes on."""

    def __init__(self) -> None:
        super().__init__(daemon=True, name="jobs")
        self._over = threading.Event()
        self._process = self._begun()

    def run(self) -> None:
        """Look after the process."""
        while not self._over.is_set():
            self._process.wait()
            if not self._over.wait(1):
                self._process = self._begun()

    def end(self) -> None:
        """End the process, at once where it does not by itself."""
        self._over.set()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()

    @staticmethod
    def _begun() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", "tradewind.faces.server.work"])


def _guarded(setup: Setup, certificate: Path | None, key: Path | None) -> None:
    """Refuse to serve others than this machine without users, or in the open.

    Raises:
        ForbiddenError: If that is what was asked.
        BadInputError: If a certificate and its key are not both given.
        NotFoundError: If there is no register of users.
    """
    from tradewind.accounts import open_accounts  # noqa: PLC0415 - slow to load
    from tradewind.faces.server.setup import LOOPBACK  # noqa: PLC0415 - slow to load

    if (certificate is None) != (key is None):
        raise BadInputError("A certificate goes with its key", do="give --certificate and --key together")
    elsewhere = setup.host not in LOOPBACK
    if setup.open and (strange := [name for name in setup.names if name.lower() not in LOOPBACK]):
        raise ForbiddenError(
            "Others than this machine would see everything without signing in", got=strange[0],
            do="add users with `tradewind users add`, and name their register with --accounts",
        )  # fmt: skip
    if setup.open and setup.secure and certificate is None:
        raise ForbiddenError(
            "Behind a proxy others than this machine would see everything without signing in", got="--https",
            do="add users with `tradewind users add`, and name their register with --accounts",
        )  # fmt: skip
    if elsewhere and setup.open:
        raise ForbiddenError(
            "Others than this machine would see everything without signing in", got=setup.host,
            do="add users with `tradewind users add`, and name their register with --accounts",
        )  # fmt: skip
    if elsewhere and not setup.secure:
        raise ForbiddenError(
            "Passwords would travel in the open", got=setup.host,
            do="give --certificate and --key, or --https where a proxy speaks HTTPS",
        )  # fmt: skip
    if setup.accounts:
        register = open_accounts(setup.accounts)
        users = [user for user in register.users() if not user.disabled]
        register.close()
        if not users:
            raise ForbiddenError("Nobody could sign in: the register has no users", do="`tradewind users add`")


def _fitting(setup: Setup) -> None:
    """Say it at once where the ledger cannot be opened, or was begun for the other kind of data."""
    from tradewind.ledger import open_ledger  # noqa: PLC0415 - slow to load

    if "://" in setup.ledger or Path(setup.ledger).exists():
        with suppress(NotFoundError):  # a server's database in which none was begun yet
            open_ledger(setup.ledger, create=False, simulated=setup.today is not None).close()


def _vacant(setup: Setup) -> None:
    """Say it at once where the port is taken."""
    family = socket.AF_INET6 if ":" in setup.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((setup.host, setup.port))
        except OSError as error:
            raise ConflictError(
                f"The server cannot listen there ({error.strerror})", got=f"{setup.host}:{setup.port}",
                do="name another port with --port, or 0 for any free one",
            ) from error  # fmt: skip


def _free(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
