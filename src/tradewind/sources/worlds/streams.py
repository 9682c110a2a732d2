"""Random numbers that belong to what they are drawn for, not to the order in which they are drawn.

Every draw is a function of the seed, the name of its stream and the keys of what it decides: a customer, a day, a
product. So an action changes only the draws of what it causes, and the same world with and without the action can be
set side by side, number by number (common random numbers). The mixing is SplitMix64's finaliser over a chain of keys.

Reference:
    Steele, Lea and Flood (2014), Fast splittable pseudorandom number generators; Salmon, Moraes, Dror and Shaw (2011),
    Parallel random numbers: as easy as 1, 2, 3.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Array = NDArray[np.float64]
Hash = NDArray[np.uint64]
Keys = NDArray[Any] | int

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def _mixed(values: Hash) -> Hash:
    """SplitMix64's finaliser: each bit of the input moves half of the bits of the output."""
    mixed = values >> np.uint64(30)
    mixed ^= values
    mixed *= _FIRST
    shifted = mixed >> np.uint64(27)  # the rest in place: what is drawn for a block of customers is large
    mixed ^= shifted
    mixed *= _SECOND
    np.right_shift(mixed, np.uint64(31), out=shifted)
    mixed ^= shifted
    return mixed


class Streams:
    """Keyed random numbers of one world.

    Args:
        seed: The world's seed.
        luck: 0, or a number that gives other draws for the same seed.
    """

    def __init__(self, seed: int, luck: int = 0):
        self.seed = seed
        self.luck = luck
        roots = np.array([seed & 0xFFFFFFFFFFFFFFFF, luck & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64)
        with np.errstate(over="ignore"):
            first, other = _mixed(roots + _STEP)
        self._root = first ^ (other if luck else np.uint64(0))

    def hashes(self, stream: str, *keys: Keys) -> Hash:
        """Return 64 random bits for each combination of keys.

        Args:
            stream: What is decided: draws of different streams are independent.
            keys: Whole numbers or arrays of them that broadcast together.

        Returns:
            An array of the keys' common shape, or of shape [1] where all are single numbers.
        """
        with np.errstate(over="ignore"):
            state = np.array([self._root ^ np.uint64(zlib.crc32(stream.encode()))], dtype=np.uint64)
            state = _mixed(state * _STEP + _STEP)
            for key in keys:
                state = state ^ np.asarray(key).astype(np.uint64)
                state *= _STEP
                state += _STEP
                state = _mixed(state)
        return state

    def uniform(self, stream: str, *keys: Keys) -> Array:
        """Return draws from (0, 1), one for each combination of keys."""
        drawn = (self.hashes(stream, *keys) >> np.uint64(11)).astype(np.float64)
        drawn += 0.5
        drawn *= 2.0**-53
        return drawn

    def normal(self, stream: str, *keys: Keys) -> Array:
        """Return standard normal draws, one for each combination of keys."""
        return np.asarray(ndtri(self.uniform(stream, *keys)))

    def gumbel(self, stream: str, *keys: Keys) -> Array:
        """Return standard Gumbel draws: added to utilities, the largest sum is a multinomial logit choice."""
        drawn = self.exponential(stream, *keys)
        np.log(drawn, out=drawn)
        return np.negative(drawn, out=drawn)

    def exponential(self, stream: str, *keys: Keys) -> Array:
        """Return draws from the exponential distribution of mean 1, one for each combination of keys."""
        drawn = self.uniform(stream, *keys)
        np.log(drawn, out=drawn)
        return np.negative(drawn, out=drawn)

    def below(self, most: Any, stream: str, *keys: Keys) -> NDArray[np.int64]:
        """Return whole numbers from 0 to below `most`, one for each combination of keys."""
        return np.asarray(self.uniform(stream, *keys) * most).astype(np.int64)


class Urn:
    """Groups of things with weights, to draw one thing of a given group in constant time (Vose's alias method).

    Args:
        groups: [n] group of each thing, from 0.
        weights: [n] weight of each thing, above zero.
        count: Number of groups; one may be empty.

    Reference:
        Vose (1991), A linear algorithm for generating random numbers with a given distribution.
    """

    def __init__(self, groups: NDArray[np.int64], weights: Array, count: int):
        self.order = np.argsort(groups, kind="stable")
        self.sizes = np.bincount(groups, minlength=count)
        self.starts = np.concatenate([[0], np.cumsum(self.sizes)[:-1]])
        self.keep = np.ones(len(groups))
        self.alias = np.arange(len(groups))
        for start, size in zip(self.starts.tolist(), self.sizes.tolist(), strict=True):
            if size:
                part = weights[self.order[start : start + size]]
                self._fill(start, part * (size / part.sum()))

    def _fill(self, start: int, scaled: Array) -> None:
        scaled = scaled.copy()
        small = [n for n, value in enumerate(scaled.tolist()) if value < 1]
        large = [n for n, value in enumerate(scaled.tolist()) if value >= 1]
        while small and large:
            poor, rich = small.pop(), large[-1]
            self.keep[start + poor] = scaled[poor]
            self.alias[start + poor] = start + rich
            scaled[rich] -= 1 - scaled[poor]
            if scaled[rich] < 1:
                small.append(large.pop())

    def draw(self, group: NDArray[np.int64], first: Array, second: Array) -> NDArray[np.int64]:
        """Return one thing of each group asked for; -1 where the group is empty.

        Args:
            group: Groups.
            first: Uniform draws, shaped as `group`: which cell.
            second: Uniform draws, shaped as `group`: the cell's own thing or its alias.
        """
        size = self.sizes[group]
        at = self.starts[group] + np.minimum((first * size).astype(np.int64), np.maximum(size - 1, 0))
        at = np.minimum(at, max(len(self.keep) - 1, 0))
        found: NDArray[np.int64] = self.order[np.where(second < self.keep[at], at, self.alias[at])]
        return np.where(size > 0, found, -1)


def softmax(values: Array, axis: int = -1) -> Array:
    """Return exponentials that sum to one along an axis."""
    raised = np.exp(values - values.max(axis=axis, keepdims=True))
    return np.asarray(raised / raised.sum(axis=axis, keepdims=True))


def names(prefix: str, numbers: Iterable[int], width: int) -> list[str]:
    """Return ids such as `p00042`."""
    return [f"{prefix}{number:0{width}d}" for number in numbers]
