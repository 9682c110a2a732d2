"""Audiences: customers alike in what tells how a coupon works with them, and in words who they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tradewind.decisions.coupons.learnt import Learnt

Ints = NDArray[np.int64]

ORDERS = ("no order yet", "1 order", "2 or 3 orders", "4 orders or more")
USED = ("never used a coupon", "used a coupon before")
SEEN = ("seen on at most 2 days", "seen on 3 to 7 days", "seen on 8 days or more")
AWAY = (28.0,)
SINCE = ("bought in the last 4 weeks", "bought longer ago")
LABELS = (("0 orders", "1 order", "2–3 orders", "4+ orders"), ("recent", "lapsed"), ("", "coupon user"),
          ("0–2 days", "3–7 days", "8+ days"))  # fmt: skip
SMALLEST = 20
"""Customers below which an audience is left to the rest."""


@dataclass(frozen=True)
class Group:
    """Customers of one kind.

    Args:
        key: Short stable name.
        title: Who they are, in words.
        label: The same, short enough for a chart.
        who: [n] their numbers.
    """

    key: str
    title: str
    label: str
    who: Ints


def groups(learnt: Learnt) -> tuple[Group, ...]:
    """Return all customers in groups by orders, coupons used, visits and how long ago they bought."""
    features = learnt.people.features
    orders = np.digitize(np.expm1(features[:, 0]), [0.5, 1.5, 3.5])
    used = (features[:, 4] > 0).astype(int)
    seen = np.digitize(np.expm1(features[:, 8]), [2.5, 7.5])
    away = np.where(orders > 0, np.digitize(np.expm1(features[:, 2]), AWAY), 0)
    code = orders + 4 * (used + 2 * (seen + 3 * away))
    visits = learnt.record.visits is not None
    found, rest = [], []
    for number in np.unique(code).tolist():
        who = np.flatnonzero(code == number)
        if len(who) < SMALLEST:
            rest.append(who)
            continue
        n, u, s, a = number % 4, number // 4 % 2, number // 8 % 3, number // 24
        words = [ORDERS[n], *([SINCE[a]] if n else []), USED[u], *([SEEN[s]] if visits else [])]
        short = [LABELS[0][n], *([LABELS[1][a]] if n else []), LABELS[2][u], *([LABELS[3][s]] if visits else [])]
        found.append(Group(f"{n}{u}{s}{a}", ", ".join(words), ", ".join(filter(None, short)), who))
    if rest:
        found.append(Group("rest", "all others", "all others", np.sort(np.concatenate(rest))))
    return tuple(found)
