"""Shelf and throttle: bounded memory, things made once, and callers who ask too often."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tradewind.errors import TooManyError
from tradewind.faces.server.shelf import Shelf
from tradewind.faces.server.throttle import Throttle


def test_a_thing_is_made_once_however_many_ask_at_a_time() -> None:
    shelf: Shelf[object] = Shelf(4)
    made, start = [], threading.Barrier(8)

    def make() -> object:
        time.sleep(0.05)
        made.append(1)
        return object()

    def ask(_: int) -> object:
        start.wait()
        return shelf.get("key", make)

    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(ask, range(8)))
    assert len(found) == len(made) == 1


def test_what_was_asked_for_last_is_kept() -> None:
    shelf: Shelf[int] = Shelf(2)
    for key in "abacb":
        shelf.get(key, lambda key=key: ord(key))
    assert len(shelf) == 2
    assert shelf.get("c", lambda: -1) == ord("c")
    assert shelf.get("a", lambda: -1) == -1  # c and b were asked for after it


def test_what_cannot_be_made_is_tried_again_by_the_next() -> None:
    shelf: Shelf[int] = Shelf(2)
    with pytest.raises(ZeroDivisionError):
        shelf.get("key", lambda: 1 // 0)
    assert shelf.get("key", lambda: 7) == 7


def test_a_caller_gets_a_burst_and_then_a_rate() -> None:
    now = [0.0]
    throttle = Throttle(burst=3, rate=0.5, clock=lambda: now[0])
    for _ in range(3):
        throttle.check("mara")
    with pytest.raises(TooManyError) as error:
        throttle.check("mara")
    assert (error.value.status, error.value.do) == (429, "wait 2 seconds")
    throttle.check("milo")
    now[0] += 2
    throttle.check("mara")
    with pytest.raises(TooManyError):
        throttle.check("mara")


def test_trying_too_often_does_not_make_the_wait_longer() -> None:
    now = [0.0]
    throttle = Throttle(burst=1, rate=1.0, clock=lambda: now[0])
    throttle.check("mara")
    for _ in range(50):
        with pytest.raises(TooManyError):
            throttle.check("mara")
    now[0] += 1
    throttle.check("mara")


def test_what_was_no_guess_is_taken_back() -> None:
    throttle = Throttle(burst=2, rate=0.001, clock=lambda: 0.0)
    for _ in range(20):
        throttle.check("mara")
        throttle.forgive("mara")
    throttle.forgive("nobody")
