"""Holdouts: how many of each action's units to leave out, so that what it promises can be proven."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from tradewind.decisions.plan.outcomes import SLOPED, foretelling, outcomes, promised_from
from tradewind.engines.store import Store
from tradewind.errors import BadInputError
from tradewind.methods.moments import tellable
from tradewind.methods.power import Holdout, Power
from tradewind.methods.power_outcome import Outcome
from tradewind.money import human
from tradewind.period import Period
from tradewind.study import Choice, Estimate

LARGEST = 0.2
"""Share held out at most where nobody says otherwise: what is held out forgoes the gain."""
LEVEL = 0.9
"""Level of the readings' intervals."""
SHARE = 0.1
"""Share held out where the effect cannot be proven by this action alone: many such readings together still can."""
FEWEST = {"customer": 20}
"""Units held out at least, 2 of other kinds: customers are drawn one by one, so that by chance fewer would be."""


@dataclass(frozen=True)
class Held:
    """How many units of a choice are held out, and why.

    Args:
        choice: The choice.
        share: Share held out.
        learnable: Whether the effect predicted is proven with that as often as asked.
        sentence: Why, in words.
    """

    choice: Choice
    share: float
    learnable: bool
    sentence: str


def holdouts(store: Store, choices: Sequence[Choice], echo: int, asked: float | None = None) -> list[Held]:
    """Return the share to hold out of each choice.

    Args:
        store: The store, up to the day before the actions begin or longer.
        choices: What is to be launched. Choices on customers hold customers out; like choices on products or shops (one
            lever, the same days) are a group of which some are held out.
        echo: Days after an action that count.
        asked: The share, where it was given; otherwise the smallest that proves the prediction in eight of ten cases.
            Of a choice that is alone of its kind there is nothing to hold out.

    Returns:
        One for each choice, in order.
    """
    if asked is not None and not 0 <= asked < 1:
        raise BadInputError("A holdout is a share", got=asked, allowed="from 0 to below 1, or auto")
    groups: dict[tuple[str, ...], list[Choice]] = {}
    for choice in choices:
        action = choice.action
        alone = (action.key,) if action.assignment is not None else ()
        key = (action.lever, action.subject.kind, str(action.days.first), str(action.days.last), *alone)
        groups.setdefault(key, []).append(choice)
    found: dict[str, Held] = {}
    for members in groups.values():
        share, learnable, words = _share(store, members, echo) if asked is None else _asked(asked, members)
        for choice in members:
            found[choice.action.key] = Held(choice, share, learnable, words)
    return [found[choice.action.key] for choice in choices]


def _asked(share: float, members: Sequence[Choice]) -> tuple[float, bool, str]:
    if share == 0:
        return 0.0, False, "nothing is held out: nothing will be proven"
    kind, units = _units(members)
    count = len(units)
    if kind != "customer" and count == 1:
        return 0.0, False, "alone of its kind, with nothing to compare it with: nothing is held out"
    half = count // 2
    if not tellable(half, count - half, LEVEL):
        return 0.0, False, f"too few {kind}s to hold any out and learn from it: {count}"
    said, (fewest, most) = f"{human(share, 'share')} of {count:,} {kind}s", _drawn(kind, share, count)
    if fewest <= half and not tellable(fewest, count - fewest, LEVEL):
        return 0.0, False, f"{said} are too few to learn from: none is held out"
    if most > half and not tellable(most, count - most, LEVEL):
        raise BadInputError(
            "So large a holdout leaves too few treated to learn from", got=said,
            do="hold out a smaller share, or auto: as many as the proof needs",
        )  # fmt: skip
    return share, False, "as asked"


def _units(members: Sequence[Choice]) -> tuple[str, list[str]]:
    """Return what kind of units draw arms, and their ids."""
    action = members[0].action
    if action.assignment is not None:
        return "customer", list(action.assignment.units)
    return action.subject.kind, sorted({choice.action.subject.id for choice in members})


def _drawn(kind: str, share: float, count: int) -> tuple[int, int]:
    """Return how many of so many units will be held out at least and at most, in 98 of 100 lots."""
    if kind != "customer":
        held = min(max(int(share * count + 0.5), 1), count - 1)
        return held, held
    from scipy.stats import binom  # noqa: PLC0415 - slow to load

    return int(binom.ppf(0.01, count, share)), int(binom.ppf(0.99, count, share))


def _share(store: Store, members: Sequence[Choice], echo: int) -> tuple[float, bool, str]:
    action = members[0].action
    store = promised_from(store, action.subject)
    kind, units = _units(members)
    most, fewest = int(LARGEST * len(units)), FEWEST.get(kind, 2)
    if most < fewest or not tellable(most, len(units) - most, LEVEL):
        return 0.0, False, f"too few {kind}s to hold any out and learn from it: {len(units)}"
    share = max(SHARE, fewest / len(units))
    length = action.days.days + echo
    last = min(action.days.first - timedelta(days=1), store.span.last)
    recent = Period(last - timedelta(days=length - 1), last)
    if recent.clipped(store.span) != recent:
        return share, False, f"the store holds less than the {length} days that the action lasts"
    now = sum(outcomes(store, kind, units, recent).values())
    earlier = [sum(each.values()) for each in foretelling(store, kind, units, recent)]
    then = np.column_stack(earlier) if earlier else None
    joint = [c.setting.joint for c in members if c.setting.joint is not None]
    total = [sum(getattr(value, end) for value in joint) / len(units) for end in ("mid", "low", "high")]
    if np.std(now) == 0 or total[0] == 0:
        return share, False, "nothing was sold to these before, so that no one can say how much they vary"
    level = joint[0].level if joint else 0.9
    effect = Estimate(total[0], total[1], total[2], level)
    power = Power(LEVEL, largest=LARGEST)
    asked = power(Outcome.of(now, then), len(units), effect, days=float(length))
    if isinstance(asked, Holdout) and asked.share * len(units) < SLOPED:  # it would be read without a slope
        asked = power(Outcome.of(now), len(units), effect, days=float(length))
    words = asked.sentence(store.provenance.currency)
    if isinstance(asked, Holdout):
        return max(asked.share, fewest / len(units)), True, words
    held = human(share, "share")
    return share, False, f"{words} {held} is held out, since many such readings together still tell."
