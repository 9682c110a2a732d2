"""Throttle: how often the same caller may ask, counted in the process that answers."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from tradewind.errors import TooManyError

REMEMBERED = 10_000


class Throttle:
    """Lets through so many at once, and so many a second after.

    Args:
        burst: How many may come at once.
        rate: How many come free again a second.
        clock: Seconds that only go forward.

    Reference:
        Turner (1986), New directions in communications, IEEE Communications Magazine 24(10): the leaky bucket.
    """

    def __init__(self, burst: int, rate: float, clock: Callable[[], float] = time.monotonic):
        self._burst, self._rate, self._clock = burst, rate, clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, who: str) -> None:
        """Count one more of a caller.

        Raises:
            TooManyError: If it is one too many; it says after how many seconds to try again.
        """
        now = self._clock()
        with self._lock:
            level, at = self._levels.pop(who, (0.0, now))
            level = max(0.0, level - (now - at) * self._rate)
            late = level + 1 > self._burst
            self._levels[who] = (level if late else level + 1, now)
            while len(self._levels) > REMEMBERED:
                self._levels.popitem(last=False)
        if late:
            wait = max(1, round((level + 1 - self._burst) / self._rate))
            raise TooManyError("You ask too often", allowed=f"{self._burst} at once", do=f"wait {wait} seconds")

    def forgive(self, who: str) -> None:
        """Take back the last one that was counted of a caller: it was no guess."""
        with self._lock:
            if who in self._levels:
                level, at = self._levels[who]
                self._levels[who] = (max(0.0, level - 1), at)
