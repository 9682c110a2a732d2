"""The minutes that mattered in a live session: viewers gained or lost beyond what is usual in it, and what happened."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tradewind.decisions.profiles.live_minutes import Room

FEWEST = 10  # changes from minute to minute before any of them is unusual
_NORMAL = (1.4826, 1.2533)  # from the median and the mean absolute deviation to a standard deviation


@dataclass(frozen=True)
class Moment:
    """A minute in which viewers came or went beyond what is usual.

    Args:
        minute: The minute.
        before: Viewers in the minute before.
        after: Viewers in it.
        score: By how many usual deviations the change differs from the usual one.
        beside: What happened there, in words.
    """

    minute: int
    before: int
    after: int
    score: float
    beside: tuple[str, ...]


def moments(room: Room, unusual: float, most: int) -> tuple[Moment, ...] | None:
    """Return the minutes of the largest unusual changes of viewers, in order of time.

    Args:
        room: The session.
        unusual: Least score, up or down, that counts as unusual.
        most: At most so many, the largest scores first.

    Returns:
        The minutes; None where too little is known to say what is usual.

    Reference:
        Iglewicz and Hoaglin (1993), How to detect and handle outliers, section 3.3: (x − median) / (1.4826 MAD); where
        more than half of the changes are alike, 1.2533 × the mean absolute deviation instead.
    """
    viewers = room.crowd("viewers")
    changes = {
        n: viewers[n] - viewers[n - 1]
        for n in range(1, len(viewers))
        if viewers[n] is not None and viewers[n - 1] is not None
    }
    if len(changes) < FEWEST:
        return None
    moves = np.array(list(changes.values()), dtype=float)
    away = np.abs(moves - np.median(moves))
    spread = _NORMAL[0] * float(np.median(away)) or _NORMAL[1] * float(np.mean(away))
    if not spread:
        return ()
    scores = {n: (change - float(np.median(moves))) / spread for n, change in changes.items()}
    found = sorted((n for n, score in scores.items() if abs(score) >= unusual), key=lambda n: (-abs(scores[n]), n))
    return tuple(
        Moment(n, viewers[n - 1], viewers[n], float(scores[n]), _beside(room, n)) for n in sorted(found[:most])
    )


def _beside(room: Room, minute: int) -> tuple[str, ...]:
    """What happened in a minute, and drops of the minute before, whose coupons are still being claimed."""
    words = []
    pinned, before = (
        {row["product_id"] for row in room.sold.get(n, ()) if row["pinned"]} for n in (minute, minute - 1)
    )
    if new := sorted(pinned - before):
        words.append(f"{', '.join(room.title_of(id) for id in new)} pinned")
    elif minute - 1 in room.sold and minute in room.sold and before - pinned:
        words.append(f"{', '.join(room.title_of(id) for id in sorted(before - pinned))} no longer pinned")
    for drop in room.drops:
        if drop.minute is not None and drop.minute in (minute - 1, minute):
            words.append(f"coupon drop in minute {drop.minute}")
    row = room.minutes[minute]
    if row["joins_paid"]:
        words.append(f"{row['joins_paid']:,} came by paid traffic")
    if row["joins_organic"]:
        words.append(f"{row['joins_organic']:,} came by themselves")
    if row["leaves"]:
        words.append(f"{row['leaves']:,} left")
    if minute == room.length - 1:
        words.append("the last minute")
    return tuple(words)
