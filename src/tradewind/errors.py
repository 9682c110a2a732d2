"""What goes wrong, said so that a merchant can act on it: what, got, allowed, what to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from typing import Any


class TradewindError(Exception):
    """The base of every error that Tradewind raises on purpose.

    Args:
        what: What is wrong, as a sentence without its full stop.
        got: The value that was given, if one was.
        allowed: What would have been accepted: a sentence, or the accepted values.
        do: What the reader can do next.

    Attributes:
        code: Stable machine-readable name of the kind of error.
        status: The HTTP status that an API answers with.
    """

    code = "error"
    status = 500

    def __init__(
        self, what: str, *, got: Any = None, allowed: str | Iterable[Any] | None = None, do: str | None = None
    ):
        self.what = what
        self.got = got
        self.allowed: str | None
        if allowed is None or isinstance(allowed, str):
            self.allowed = allowed
        else:
            self.allowed = ", ".join(str(value) for value in allowed)
        self.do = do
        super().__init__(str(self))

    def __str__(self) -> str:
        parts = [self.what + "."]
        if self.got is not None:
            parts.append(f"Got: {_written(self.got)}.")
        if self.allowed:
            parts.append(f"Allowed: {self.allowed}.")
        if self.do:
            parts.append(f"What to do: {self.do}.")
        return " ".join(parts)

    def as_dict(self) -> dict[str, Any]:
        """Return the one JSON shape of an error."""
        got = None if self.got is None else _written(self.got)
        body = {"code": self.code, "what": self.what, "got": got, "allowed": self.allowed, "do": self.do}
        return {"error": body}


class BadInputError(TradewindError):
    """A setting, argument or file that cannot be used as given."""

    code = "bad_input"
    status = 400


class ForbiddenError(TradewindError):
    """The caller's scope does not cover what was asked."""

    code = "forbidden"
    status = 403


class NotFoundError(TradewindError):
    """A store, source, metric, study or entity that does not exist."""

    code = "not_found"
    status = 404


class MissingDataError(TradewindError):
    """The store lacks the tables, columns or history that the question needs."""

    code = "missing_data"
    status = 422


class BusyError(TradewindError):
    """Another process is writing to the store."""

    code = "busy"
    status = 409


class ConflictError(TradewindError):
    """What is asked for stands already, or contradicts what stands."""

    code = "conflict"
    status = 409


class UnsupportedError(TradewindError):
    """The engine cannot do this; the message names one that can."""

    code = "unsupported"
    status = 501


class CorruptStoreError(TradewindError):
    """The store's files do not agree with its manifest."""

    code = "corrupt_store"
    status = 500


class CorruptLedgerError(TradewindError):
    """The ledger is not what was written into it."""

    code = "corrupt_ledger"
    status = 500


class CorruptAccountsError(TradewindError):
    """The register of users is not what was written into it."""

    code = "corrupt_accounts"
    status = 500


class CorruptDeskError(TradewindError):
    """The register of what was decided is not what was written into it."""

    code = "corrupt_desk"
    status = 500


class UnknownCallerError(TradewindError):
    """Nobody knows who asks: there is no token, no session, or it holds no longer."""

    code = "unknown_caller"
    status = 401


class TooManyError(TradewindError):
    """The same caller asks too often."""

    code = "too_many"
    status = 429


class UnavailableError(TradewindError):
    """A database that cannot be reached, or not be written to."""

    code = "unavailable"
    status = 503


class FullDiskError(TradewindError):
    """There is no room left where the store is."""

    code = "full_disk"
    status = 507


def is_full_disk(error: BaseException) -> bool:
    """Whether an error of the system, of a library or of DuckDB says that there is no room left."""
    return getattr(error, "errno", None) in _FULL or any(words in str(error) for words in _FULL_IN_WORDS)


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_IN_WORDS = (*map(os.strerror, _FULL), "max_temp_directory_size")


def _written(got: Any, between: str = ", ") -> str:
    """Return what was given as words: several things with commas between them, shapes such as 3 × 2."""
    if isinstance(got, tuple | list):
        return between.join(_written(each, " × ") for each in got) or "nothing"
    return str(got)
