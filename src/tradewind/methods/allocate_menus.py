"""Menus: what settings gain and cost, read block by block, so that they may be more than memory holds."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from tradewind.errors import BadInputError

Array = NDArray[np.floating[Any]]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Answer = TypeVar("Answer")
Kernel = TypeVar("Kernel", bound=Callable[..., Any])
Read = Callable[[], Iterable[tuple[ArrayLike, ArrayLike]]]

MOST_SETTINGS = 32_767
LARGEST = 1e153
"""Above every gain, cost, weight and finite limit in size: their squares are finite, and their sums over all units."""

BLOCK = 1 << 16
"""Units of one block: some megabytes, so that a block stays in the processor's cache between two looks at it."""


def compiled(function: Kernel) -> Kernel:
    """Compile a loop that NumPy cannot express; it is compiled once, kept on disk, and lets other threads run."""
    return cast(Kernel, njit(nogil=True, cache=True, error_model="numpy")(function))


def inlined(function: Kernel) -> Kernel:
    """Compile a small part into the loops that use it: a call in the innermost loop would cost more than its work."""
    return cast(Kernel, njit(inline="always")(function))


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Block:
    """Some units that follow each other.

    Args:
        first: Number of the first of them.
        gain: [m, L] what each setting gains; −∞ where it is not on offer.
        cost: [K, m, L] what it draws from each budget.
    """

    first: int
    gain: Array
    cost: Array

    @property
    def units(self) -> slice:
        """Where these units lie among all."""
        return slice(self.first, self.first + len(self.gain))


def _joined(blocks: list[Block]) -> Block:
    """Return blocks that follow each other as one."""
    if len(blocks) == 1:
        return blocks[0]
    gain, cost = np.concatenate([block.gain for block in blocks]), np.concatenate([block.cost for block in blocks], 1)
    return Block(blocks[0].first, gain, cost)


def _cut(block: Block, end: int) -> tuple[Block, Block]:
    """Return a block's units before `end`, and the others."""
    here = end - block.first
    return Block(block.first, block.gain[:here], block.cost[:, :here]), Block(
        end, block.gain[here:], block.cost[:, here:]
    )


def _holds(starts: Ints, unit: int) -> bool:
    """Return whether a customer's units start here."""
    return bool(starts[np.searchsorted(starts, unit)] == unit) if unit <= starts[-1] else False


class Menus:
    """The menus of all units, which can be read again and again.

    Args:
        read: Starts at the first unit and yields `(gain [m, L], cost [m, L] or [K, m, L])`, until all units are read.
        units: Number of units in all.
        payers: Number of budgets.
        threads: How many blocks are worked on at a time.
        starts: First units of those that must share a block; None where each unit stands alone.
    """

    def __init__(self, read: Read, units: int, payers: int, threads: int, starts: Ints | None = None):
        self.read = read
        self.units = units
        self.payers = payers
        self.threads = threads
        self.starts = starts
        self.levels = 0

    def parts(self) -> Iterable[tuple[ArrayLike, ArrayLike]]:
        """Return gains and costs part by part, from the first unit on."""
        return self.read()

    def ends(self) -> Ints:
        """Return where blocks end: after so many units each, but no customer is cut in two."""
        ends = np.append(np.arange(BLOCK, self.units, BLOCK), self.units)
        if self.starts is None:
            return ends
        cuts = np.append(self.starts, self.units)
        found: Ints = np.unique(cuts[np.searchsorted(cuts, ends)])
        return found

    def blocks(self) -> Iterator[Block]:
        """Yield all blocks in order, which end at the same units however they are read.

        Sums over blocks are rounded by where these end, and where many tie that decides who gets what.

        Raises:
            BadInputError: As `_read`, and if a block that is read cuts the menus of one customer in two.
        """
        ends = iter(self.ends().tolist())
        end, held = next(ends), list[Block]()
        for block in self._read():
            last = block.units.stop
            if self.starts is not None and last < self.units and not _holds(self.starts, last):
                raise BadInputError(
                    "A block cuts the menus of one customer in two", do="let each block hold whole customers"
                )
            held.append(block)
            while last >= end and held:
                whole, rest = _cut(_joined(held), end)
                yield whole
                held = [rest] if len(rest.gain) else []
                end = next(ends, self.units + 1)
        if held:
            yield _joined(held)

    def _read(self) -> Iterator[Block]:
        """Yield the blocks as they are read.

        Raises:
            BadInputError: If a block is misshapen, or the blocks are not of as many units as were said.
        """
        first = 0
        parts = self.parts()
        if not isinstance(parts, Iterable):
            raise BadInputError("What is read are blocks", got=type(parts), allowed="pairs of gains and costs")
        for number, part in enumerate(parts):
            try:
                gains, costs = part
            except (TypeError, ValueError) as error:
                raise BadInputError("A block is not a pair", got=error, allowed="gains and costs") from error
            gain, cost = table(gains, "The gains"), table(costs, "The costs")
            if cost.ndim == 2:
                cost = cost[None]
            if gain.ndim != 2 or not gain.shape[1] or cost.shape != (self.payers, *gain.shape):
                raise BadInputError(
                    "Gains and costs do not fit together", got=f"gain {gain.shape}, cost {np.shape(costs)}",
                    allowed=f"gain [units, settings], cost [units, settings] or [{self.payers}, units, settings] "
                    f"for {self.payers} budget(s)",
                )  # fmt: skip
            if gain.shape[1] > MOST_SETTINGS:
                raise BadInputError("A menu is too long", got=gain.shape[1], allowed=f"{MOST_SETTINGS} settings")
            if number and gain.shape[1] != self.levels:
                raise BadInputError("Blocks differ in their number of settings", got=(self.levels, gain.shape[1]))
            self.levels = gain.shape[1]
            if first + len(gain) > self.units:
                raise BadInputError("The blocks hold more units than were said", got=f"more than {self.units}")
            yield Block(first, gain, cost)
            first += len(gain)
        if first != self.units:
            raise BadInputError(
                "The blocks hold fewer units than were said", got=first, allowed=str(self.units),
                do="let the callable start anew each time that it is called",
            )  # fmt: skip
        if not self.levels:  # nobody at all, in no block
            yield Block(0, np.empty((0, 1)), np.empty((self.payers, 0, 1)))

    def map(self, work: Callable[[Block], Answer]) -> Iterator[Answer]:
        """Yield what `work` makes of each block, in order; few blocks are held at a time."""
        if self.threads == 1:
            for block in self.blocks():
                yield work(block)
            return
        with ThreadPoolExecutor(self.threads) as pool:
            waiting: deque[Future[Answer]] = deque()
            for block in self.blocks():
                waiting.append(pool.submit(work, block))
                if len(waiting) > self.threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def rows(self, chosen: Ints) -> tuple[Array, Array]:
        """Return gain [s, L] and cost [K, s, L] of the chosen units, whose numbers rise."""
        gains, costs = [], []
        for block in self.blocks():
            start, end = np.searchsorted(chosen, (block.first, block.first + len(block.gain)))
            inside = chosen[start:end] - block.first
            gains.append(block.gain[inside])
            costs.append(block.cost[:, inside])
        return np.concatenate(gains), np.concatenate(costs, axis=1)


class TablesInMemory(Menus):
    """Menus in two arrays, which may be files mapped into memory; they are read where they lie.

    Args:
        gain: [n, L] what each setting gains.
        cost: [n, L] or [K, n, L] what each draws from each budget.
        payers: Number of budgets K.
        threads: How many blocks are worked on at a time.
        starts: First units of those that must share a block; None where each unit stands alone.
    """

    def __init__(self, gain: ArrayLike, cost: ArrayLike, payers: int, threads: int, starts: Ints | None = None):
        self.gain = table(gain, "The gains")
        self.cost = table(cost, "The costs")
        if self.cost.ndim == 2:
            self.cost = self.cost[None]
        super().__init__(tuple, len(self.gain) if self.gain.ndim else 0, payers, threads, starts)

    def blocks(self) -> Iterator[Block]:
        """Yield all blocks in order; they are cut where they end."""
        return self._read()

    def parts(self) -> Iterator[tuple[Array, Array]]:
        """Return slices of the arrays: by a method, since a reference to itself would keep them in memory."""
        if self.gain.ndim != 2 or self.cost.shape != (self.payers, *self.gain.shape):
            yield self.gain, self.cost  # one block, which is refused with its shape
            return
        start = 0
        for end in self.ends().tolist():
            yield np.ascontiguousarray(self.gain[start:end]), self.cost[:, start:end]
            start = end

    def rows(self, chosen: Ints) -> tuple[Array, Array]:
        """Return gain [s, L] and cost [K, s, L] of the chosen units."""
        return self.gain[chosen], self.cost[:, chosen]


def table(values: ArrayLike, name: str) -> Array:
    """Return the values as an array of float32 or float64; what is one already is not copied."""
    array = unmasked(values, name)
    if array.dtype in (np.float32, np.float64):
        return array
    try:
        if array.dtype.kind not in "biufO":
            raise TypeError(array.dtype)
        return cast(Array, array.astype(np.float64))
    except (TypeError, ValueError) as error:
        raise BadInputError(f"{name} are not numbers in rows of one length", got=error) from error


def unmasked(values: ArrayLike, name: str) -> NDArray[Any]:
    """Return the values as an array; raise where they are masked, or in rows of different lengths."""
    if np.ma.isMaskedArray(values):
        raise BadInputError(f"{name} are masked", do="leave masked units out, or mark what is not on offer by −∞")
    try:
        return np.asarray(values)
    except ValueError as error:
        raise BadInputError(f"{name} are not numbers in rows of one length", got=error) from error


def refuse(unit: int, setting: int, gain: float, cost: Iterable[float]) -> None:
    """Raise the error that a setting's gain or cost calls for."""
    where = f"setting {setting} of unit {unit}"
    if not abs(gain) < LARGEST:
        raise BadInputError(
            f"The gain of {where} is not a finite number, or too large", got=gain,
            allowed=f"a number below {LARGEST:g} in size, or −∞ for what is not on offer",
            do="leave out what has no estimate, or mark it with −∞",
        )  # fmt: skip
    raise BadInputError(
        f"A cost of {where} is negative, not a finite number, or too large", got=[float(c) for c in cost],
        allowed=f"0 to below {LARGEST:g}; a transfer belongs into the gains",
    )  # fmt: skip
