"""Progress: how far a longer task has come, told to whoever listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str, int, int], None]

_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Let a listener hear what is told meanwhile: the step begun, how many are done, and of how many."""
    before = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(before)


def told(step: str, done: int, total: int) -> None:
    """Tell that a step begins, how many are done, and of how many; nothing happens where nobody listens."""
    if (listener := _LISTENER.get()) is not None:
        listener(step, done, total)
