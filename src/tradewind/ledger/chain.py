"""Chain: entries sealed one after another, so that none can be changed, moved, added or dropped unseen."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tradewind.errors import BadInputError
from tradewind.ledger.key import Key

GENESIS = "0" * 64
"""What the first entry names as the one before it."""
OPENED, EXPERIMENT, LAUNCH, STOP, READING = "opened", "experiment", "launch", "stop", "reading"
FORMAT = "1"


@dataclass(frozen=True)
class Entry:
    """One line of the ledger.

    Args:
        number: Its place, from 1, without gaps.
        at: When it was written, ISO 8601, UTC, to the microsecond.
        kind: `opened`, `experiment`, `launch`, `stop` or `reading`.
        who: Who wrote it.
        payload: What it says, as canonical JSON.
        previous: Seal of the entry before it.
        hash: Its seal: HMAC-SHA256 of all the fields above under the ledger's key, in hexadecimal digits.
    """

    number: int
    at: str
    kind: str
    who: str
    payload: str
    previous: str
    hash: str

    @property
    def said(self) -> dict[str, Any]:
        """The payload, read."""
        body: dict[str, Any] = json.loads(self.payload)
        return body


@dataclass(frozen=True)
class Head:
    """How far a ledger had come: to be kept outside it, so that a cut or rewritten history is found out.

    Args:
        ledger: The ledger's own id.
        hash: Seal of its last entry.
        count: Number of its entries; None for a caller who does not see all shops, to whom it would tell how much
            others launch.
    """

    ledger: str
    hash: str
    count: int | None = None

    def __str__(self) -> str:
        return f"{self.ledger}:{'' if self.count is None else self.count}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """Read a head as it is written: the ledger's id, the count and the seal, with colons between.

        Raises:
            BadInputError: If the text is no head.
        """
        found = re.fullmatch(r"([0-9a-f]{32}):(\d*):([0-9a-f]{64})", text.strip())
        if not found:
            raise BadInputError("This is not the head of a ledger", got=text[:120], allowed="id:count:seal")
        return cls(found[1], found[3], int(found[2]) if found[2] else None)


@dataclass(frozen=True)
class Break:
    """The first entry of a chain that does not fit.

    Args:
        number: Its number, or that of the one which should stand there.
        what: What is wrong with it, as a sentence without its full stop.
    """

    number: int
    what: str


def canonical(value: Any) -> str:
    """Return the one JSON text of a value: keys in order, no spaces, ASCII; texts and lists and mappings of them."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def moment(at: datetime) -> str:
    """Return a moment as the ledger writes it: UTC, to the microsecond."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seal(key: Key, number: int, at: str, kind: str, who: str, payload: str, previous: str) -> Entry:
    """Return an entry with its seal.

    Args:
        key: The ledger's key.
        number: Place of the entry.
        at: Its moment, as `moment` writes it.
        kind: What kind of entry it is.
        who: Who writes it.
        payload: What it says, as canonical JSON.
        previous: Seal of the entry before it.

    Returns:
        The entry.

    Reference:
        Krawczyk, Bellare and Canetti (1997), HMAC, RFC 2104; Schneier and Kelsey (1999), Secure audit logs to support
        computer forensics, section 3 (a chain of seals under a key).
    """
    body = canonical([number, at, kind, who, payload, previous])
    return Entry(number, at, kind, who, payload, previous, key.sign(body.encode("ascii")))


def fits(key: Key, entry: Entry) -> bool:
    """Whether an entry's seal is the one that its fields ask for."""
    if type(entry.number) is not int or not all(
        isinstance(field, str) for field in (entry.at, entry.kind, entry.who, entry.payload, entry.previous, entry.hash)
    ):  # an embedded database keeps whatever type somebody writes into it
        return False
    asked = seal(key, entry.number, entry.at, entry.kind, entry.who, entry.payload, entry.previous)
    return hmac.compare_digest(asked.hash.encode(), entry.hash.encode("utf-8", "surrogatepass"))


def first_break(key: Key, entries: Iterable[Entry]) -> Break | None:
    """Return the first entry that does not fit, walking from the first on, or None where all fit.

    Args:
        key: The ledger's key.
        entries: All entries, by number.

    Returns:
        The first break, or None. A history cut at its end fits: only a head kept outside can tell.
    """
    previous = GENESIS
    for number, entry in enumerate(entries, start=1):
        if entry.number != number:
            return Break(number, f"Entry {number} is missing")
        if not fits(key, entry):
            return Break(number, f"Entry {number} was changed after it was written, or written under another key")
        if entry.previous != previous:
            return Break(number, f"Entry {number} does not follow the one before it")
        previous = entry.hash
    return None


def digest(*parts: str | None) -> str:
    """Return SHA-256 of some texts, each kept apart from the others, in hexadecimal digits."""
    return hashlib.sha256(canonical(list(parts)).encode("ascii")).hexdigest()
