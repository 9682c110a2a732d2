"""Quiet: what a solver prints by itself goes to standard error, since standard output holds answers."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

TURN = threading.Lock()
OUT, ERROR = 1, 2


@contextmanager
def quiet() -> Iterator[None]:
    """Send what compiled code prints on standard output to standard error, for one thread at a time."""
    with TURN:
        try:
            kept = os.dup(OUT)
        except OSError:  # there is no standard output
            yield
            return
        flush = ctypes.CDLL(None).fflush
        flush(None)
        try:
            with suppress(OSError):  # there is no standard error
                os.dup2(ERROR, OUT)
            yield
        finally:
            flush(None)
            os.dup2(kept, OUT)
            os.close(kept)
