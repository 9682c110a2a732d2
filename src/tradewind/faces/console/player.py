"""Player: a live session's minutes as the words that its replay shows."""

from __future__ import annotations

from tradewind.decisions.profiles.live_replay import Frame, Replay
from tradewind.money import human


def frames_of(session: Replay) -> list[dict[str, str]]:
    """Return each minute in words; what the source does not say is unknown."""
    return [_words(frame, session.currency) for frame in session.frames]


def _words(frame: Frame, currency: str) -> dict[str, str]:
    joins = [count for count in (frame.joins_organic, frame.joins_paid) if count is not None]
    paid = f" ({frame.joins_paid:,} paid)" if frame.joins_paid else ""
    drops = [f"{drop.claimed or 0:,} of {drop.quantity or 0:,} claimed" for drop in frame.drops]
    return {
        "clock": f"{frame.clock:%H:%M}" if frame.clock else f"minute {frame.minute}",
        "viewers": human(frame.viewers, "count"),
        "joins": human(sum(joins), "count") + paid if joins else "unknown",
        "leaves": human(frame.leaves, "count"),
        "pinned": ", ".join(pinned.title for pinned in frame.pinned) or "nothing",
        "orders_so_far": human(frame.orders_so_far, "count"),
        "gmv_so_far": human(frame.gmv_so_far, "money", currency),
        "drops": "; ".join(drops) or "none",
    }
