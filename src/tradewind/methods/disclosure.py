"""What may be told of a group without telling of one in it: who forms a group, and quartiles that are nobody's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tradewind.errors import BadInputError

Array = NDArray[np.float64]

QUARTERS = (0.25, 0.5, 0.75)
WIDEST = 0.15
"""Largest reach of a quartile's band to each side, as a share of the ranks; so nobody's extremes are in it."""


class Withheld(StrEnum):
    """Why nothing is told of a group."""

    FEW = "few"
    DOMINATED = "dominated"
    EXPOSED = "exposed"
    ALIKE = "alike"


@dataclass(frozen=True)
class Quartiles:
    """What is told of a group: three figures, or the reason why none is.

    Args:
        low: First quartile, None where withheld.
        middle: Median, None where withheld.
        high: Third quartile, None where withheld.
        units: Number of units, rounded down; None where withheld.
        withheld: Why nothing is told, or None.
    """

    low: float | None = None
    middle: float | None = None
    high: float | None = None
    units: int | None = None
    withheld: Withheld | None = None


class Disclosure:
    """Forms groups large and even enough to speak of, and tells their quartiles without telling one unit's value.

    A group stands if whoever belongs to it sees `least` others in it and nobody has more than `share` of its size. A
    quartile is the mean over a band of ranks around it, `width` units wide but never more than 15 % of the ranks to
    each side, and is rounded. By the p% rule, whoever takes their own part off the sum over a band must stay uncertain
    of the largest other part by at least `uncertain` of it: the second largest part, and all that the asker owns.

    Since no share is above a quarter, a group that stands meets the rule of two and a half ((2, 50 %) dominance) too.

    Args:
        least: Fewest others in a group.
        share: Largest share of a group's size that one unit may have.
        uncertain: The p of the p% rule, as a share.
        width: Units in the band of a quartile.
        digits: Significant digits of a figure.
        step: Numbers of units are rounded down to a multiple of this.

    Reference:
        Hundepool et al. (2012), Statistical Disclosure Control, chapter 4 (dominance and p% rules);
        Defays and Nanopoulos (1993), Panels of enterprises and confidentiality: the small aggregates method.

    Examples:
        >>> told = Disclosure()(range(100, 142), [False] * 42)
        >>> told.low, told.middle, told.high, told.units
        (110.0, 120.0, 130.0, 40)
        >>> Disclosure()(range(10), [True] + [False] * 9).withheld.value
        'few'
    """

    def __init__(
        self,
        least: int = 10,
        share: float = 0.25,
        uncertain: float = 0.5,
        width: float = 5,
        digits: int = 2,
        step: int = 5,
    ):
        if not (least >= 10 and 0 < share <= 0.25 and uncertain >= 0.1 and width >= 3 and digits >= 1 and step >= 1):
            raise BadInputError(
                "Settings out of range",
                got=(least, share, uncertain, width, digits, step),
                allowed="10 others or more, a share up to 0.25, uncertain by 0.1 or more, 3 units in a band or more",
            )
        self.least, self.share, self.uncertain = least, share, uncertain
        self.width, self.digits, self.step = width, digits, step

    def judged(self, sizes: ArrayLike) -> Withheld | None:
        """Return why a group does not stand, or None where it does.

        Args:
            sizes: [n] size of each unit, above zero.
        """
        size = np.asarray(sizes, float)
        if len(size) <= self.least:
            return Withheld.FEW
        return Withheld.DOMINATED if size.max() > self.share * size.sum() else None

    def alone(self, sizes: ArrayLike, kinds: Sequence[str | None]) -> frozenset[str]:
        """Return the kinds that form a group each; all other units form one group together.

        Every unit belongs to exactly one group, so that no group can be taken off another. Where the others would not
        stand, kinds join them, those of fewest units first, until they do; where that never helps, none joins.

        Args:
            sizes: [n] size of each unit, above zero.
            kinds: [n] kind of each unit; None belongs to no kind.
        """
        size = np.asarray(sizes, float)
        counts = Counter(kind for kind in kinds if kind is not None)
        order = sorted(counts, key=lambda kind: (counts[kind], kind))
        number = {kind: n for n, kind in enumerate(order)}
        of = np.array([number.get(kind, -1) if kind is not None else -1 for kind in kinds], int)
        standing = [n for n in range(len(order)) if self.judged(size[of == n]) is None]
        for joined in range(len(standing) + 1):
            rest = size[~np.isin(of, standing[joined:])]
            if not len(rest) or self.judged(rest) is None:
                return frozenset(order[n] for n in standing[joined:])
        return frozenset(order[n] for n in standing)

    def __call__(self, values: ArrayLike, own: ArrayLike) -> Quartiles:
        """Return the quartiles of a group that stands, as far as they may be told to whoever owns some of it.

        Args:
            values: [n] value of each unit.
            own: [n] whether the unit belongs to whoever asks.

        Raises:
            BadInputError: If shapes disagree or a value is not a number.
        """
        value, mine = np.asarray(values, float), np.asarray(own, bool)
        if value.ndim != 1 or value.shape != mine.shape or not np.isfinite(value).all():
            raise BadInputError("The values do not fit", got=(value.shape, mine.shape), allowed="[n] numbers and [n]")
        if (~mine).sum() < self.least or len(value) <= self.least:
            return Quartiles(withheld=Withheld.FEW)
        order = np.lexsort((mine, value))
        value, mine = value[order], mine[order]
        told = []
        for quarter in QUARTERS:
            weight = self.band(len(value), quarter)
            if not self._kept_apart(weight * np.abs(value), mine):
                return Quartiles(withheld=Withheld.EXPOSED)
            told.append(self._rounded(float(weight @ value)))
        low, middle, high = told
        if low == high:
            return Quartiles(withheld=Withheld.ALIKE)
        return Quartiles(low, middle, high, len(value) // self.step * self.step)

    def band(self, units: int, quarter: float) -> Array:
        """Return what part each unit has in a quartile, by rank from the smallest; the parts add up to one."""
        reach = min(self.width / 2, WIDEST * units)
        edges = np.clip(np.arange(units + 1), units * quarter - reach, units * quarter + reach)
        return np.diff(edges) / (2 * reach)

    def _kept_apart(self, parts: Array, mine: NDArray[np.bool_]) -> bool:
        """The p% rule: what is left after the asker's, or the second largest, part hides the largest one."""
        *smaller, _, largest = np.sort(parts)
        *others, most = np.sort(parts[~mine])
        return bool(sum(smaller) >= self.uncertain * largest and sum(others) >= self.uncertain * most)

    def _rounded(self, value: float) -> float:
        return float(f"{value:.{self.digits - 1}e}")
