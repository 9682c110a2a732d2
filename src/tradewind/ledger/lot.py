"""Lot: which arm a unit falls into, by a seeded hash that every machine computes alike."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from tradewind.errors import BadInputError
from tradewind.ledger.chain import canonical

TREATED, HOLDOUT = "treated", "holdout"


def salt(seed: int, *names: str | None) -> str:
    """Return the salt of an experiment: its seed and names, as a text that can be read in the ledger."""
    return canonical([str(seed), *names])


def uniform(salt: str, unit: str) -> float:
    """Return the unit's number in [0, 1): the first 53 bits of SHA-256 of the salt and the unit.

    Examples:
        >>> uniform("a", "customer 1")
        0.6282203303450009
    """
    return _bits(salt.encode("utf-8"), unit) / 2**53


def _bits(salt: bytes, unit: str) -> int:
    found = hashlib.sha256(salt + b"\0" + unit.encode("utf-8")).digest()
    return int.from_bytes(found[:8], "big") >> 11


def thrown(salt: str, units: Iterable[str], arms: Mapping[str, float]) -> list[str]:
    """Return the arm of each unit, each thrown by itself: the arm whose stretch of [0, 1) holds the unit's number.

    Args:
        salt: Salt of the experiment.
        units: Ids of the units; what one gets does not depend on the others.
        arms: Propensity of each arm, in their order; together one.

    Returns:
        The arms, in the order of the units.

    Raises:
        BadInputError: If the propensities are not all above nothing and together one.
    """
    total = sum(arms.values())
    if not all(share > 0 for share in arms.values()) or not abs(total - 1) < 1e-9:
        raise BadInputError("The propensities of the arms do not make one", got=dict(arms), allowed="each above 0")
    ends, reached = [], 0.0
    for name, share in arms.items():
        reached += share
        ends.append((round(reached * 2**53), name))
    ends[-1] = (2**53, ends[-1][1])
    prefix = salt.encode("utf-8")
    if len(ends) == 2:  # the common case, for millions of customers
        (end, first), (_, second) = ends
        return [first if _bits(prefix, unit) < end else second for unit in units]
    return [next(name for end, name in ends if _bits(prefix, unit) < end) for unit in units]


def picked(salt: str, units: Sequence[str], count: int) -> frozenset[str]:
    """Return so many of the units: those of the lowest numbers, so that each is as likely as any other.

    Args:
        salt: Salt of the experiment.
        units: Ids of the units, each once.
        count: How many to pick.

    Returns:
        The picked ones.
    """
    return frozenset(sorted(units, key=lambda unit: (_bits(salt.encode("utf-8"), unit), unit))[:count])


class Tally:
    """A digest of assignment rows and how many are in each arm; the rows come sorted by the bytes of the unit."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.arms: dict[str, int] = {}

    def add(self, unit: str, arm: str) -> None:
        """Count a row."""
        # neither ids nor arms hold control characters, so that no two tables share a digest
        self._hash.update(f"{unit}\x1f{arm}\n".encode("utf-8", "surrogatepass"))
        self.arms[arm] = self.arms.get(arm, 0) + 1

    @property
    def digest(self) -> str:
        """SHA-256 of the rows so far, in hexadecimal digits."""
        return self._hash.hexdigest()
