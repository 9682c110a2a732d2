"""The key that seals a ledger's entries: from the environment, or beside an embedded ledger in a file of its own."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

from tradewind.errors import BadInputError, ForbiddenError, MissingDataError

VARIABLE = "TRADEWIND_LEDGER_KEY"
SHORTEST = 32
_MAKE = (
    "make one with `python -c 'import secrets; print(secrets.token_hex(32))'`, keep it where secrets are kept, and set "
    f"{VARIABLE} to it"
)


class Key:
    """A key; nothing prints it.

    Args:
        text: The secret, at least 32 characters.
        origin: Where it comes from, for messages.

    Raises:
        BadInputError: If it is too short to keep anybody out.
    """

    __slots__ = ("__secret", "origin")

    def __init__(self, text: str, origin: str):
        if len(text) < SHORTEST:
            raise BadInputError(
                f"The key of the ledger in {origin} is too short", got=f"{len(text)} characters",
                allowed=f"at least {SHORTEST}", do=_MAKE,
            )  # fmt: skip
        self.__secret = text.encode("utf-8", "surrogateescape")
        self.origin = origin

    def __repr__(self) -> str:
        return f"Key(from {self.origin})"

    def __reduce__(self) -> str:
        raise TypeError("a key is not written down")

    def sign(self, body: bytes) -> str:
        """Return HMAC-SHA256 of some bytes in hexadecimal digits."""
        return hmac.new(self.__secret, body, hashlib.sha256).hexdigest()


def find_key(environment: Mapping[str, str], file: Path | None, *, fresh: bool) -> Key:
    """Return the ledger's key: from the environment, else from the file beside an embedded ledger.

    A file guards against slips and edits by whoever cannot read it. Who can read the ledger's folder can forge its
    entries, so that a ledger which others must trust takes its key from the environment.

    Args:
        environment: The environment's variables.
        file: The key file of an embedded ledger; None where there is no such thing.
        fresh: Whether the ledger is new, so that a file may be made.

    Returns:
        The key.

    Raises:
        MissingDataError: If there is no key and none may be made.
        ForbiddenError: If others than its owner may read the file.
        BadInputError: If the key is too short.
    """
    if text := environment.get(VARIABLE, "").strip():
        return Key(text, VARIABLE)
    if file is None:
        raise MissingDataError(f"The ledger has no key: {VARIABLE} is not set", do=_MAKE)
    if not file.exists():
        if not fresh:
            raise MissingDataError(
                "The key of this ledger is missing", got=file,
                do=f"put the file back, or set {VARIABLE} to the key that the ledger was begun with",
            )  # fmt: skip
        _make(file)
    if stat.S_IMODE(file.stat().st_mode) & 0o077:
        raise ForbiddenError(
            "Others may read the key of the ledger", got=file, do=f"run `chmod 600 {file}`, or set {VARIABLE}"
        )
    return Key(file.read_text(encoding="ascii", errors="replace").strip(), str(file))


def _make(file: Path) -> None:
    """Write a new key whole or not at all; where two do so at once, the first one's stands."""
    draft = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as writing:
            writing.write(secrets.token_hex(32) + "\n")
            writing.flush()
            os.fsync(writing.fileno())
        try:
            os.link(draft, file)
        except FileExistsError:
            return
        except OSError as error:
            raise MissingDataError(
                "No key file can be made beside the ledger, on whose disk files have no links", got=error, do=_MAKE
            ) from error
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        draft.unlink()
