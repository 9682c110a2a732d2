"""Setup: what a server was started with, handed from the command to each of its processes."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import date

from tradewind.errors import MissingDataError

VARIABLE = "TRADEWIND_SERVER"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True)
class Setup:
    """What a server was started with.

    Args:
        store: Address of the store.
        work: Folder of what the server keeps: jobs, answers, proposals.
        ledger: Address of the ledger; it is begun with the first launch.
        accounts: Address of the register of users; empty where whoever sits at this machine needs no sign-in.
        host: Address that it listens on.
        port: Port that it listens on.
        names: Further names under which browsers reach it.
        secure: Whether browsers reach it by HTTPS, so that cookies are kept from anything else.
        today: The day it is, for simulated data; the machine's where None.
        assume: What is assumed where the source says nothing, such as `margin=0.3`.
    """

    store: str
    work: str
    ledger: str
    accounts: str = ""
    host: str = "127.0.0.1"
    port: int = 8000
    names: tuple[str, ...] = ()
    secure: bool = False
    today: date | None = None
    assume: tuple[str, ...] = ()

    @property
    def open(self) -> bool:
        """Whether whoever reaches the server is an operator without signing in: on this machine only."""
        return not self.accounts

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        host = self.host if self.host in LOOPBACK else "127.0.0.1"
        return f"http{'s' if self.secure else ''}://{f'[{host}]' if ':' in host else host}:{self.port}/"

    def handed(self) -> dict[str, str]:
        """Return the environment variable by which another process gets the setup."""
        said = asdict(self) | {"today": None if self.today is None else self.today.isoformat()}
        return {VARIABLE: json.dumps(said)}

    @classmethod
    def taken(cls) -> Setup:
        """Return the setup that the environment hands to this process.

        Raises:
            MissingDataError: If there is none: the process was not started by `tradewind serve`.
        """
        text = os.environ.get(VARIABLE)
        if not text:
            raise MissingDataError("This process does not know which store to serve", do="run `tradewind serve`")
        said = json.loads(text)
        today = said.pop("today")
        said["names"], said["assume"] = tuple(said["names"]), tuple(said["assume"])
        return cls(**said, today=None if today is None else date.fromisoformat(today))
