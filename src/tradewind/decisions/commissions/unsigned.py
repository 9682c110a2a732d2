"""Unsigned: what creators show of products by no contract that is known, such as an open plan that names nobody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tradewind.methods.silence import silent

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

Pair = tuple[int, int]


@dataclass(frozen=True)
class Unsigned:
    """Lines that creators show without a known contract: [lines] each, or [lines, weeks].

    Args:
        product: Number of the product.
        creator: Number of the creator; the number beyond the last for all who have no contract of any product,
            together.
        held: [lines, weeks] how many creators showed the product, those who show it more than others counted as more.
        shown: [lines, weeks] how often.
        rate: Commission over GMV of the orders through them.
        now: Whether they show it still.
    """

    product: Codes
    creator: Codes
    held: Array
    shown: Array
    rate: Array
    now: NDArray[np.bool_]


def unsigned(
    shown: Mapping[Pair, Array], signed: Mapping[Pair, Array], paid: Sequence[Mapping[Pair, float]],
    usual: float, creators: int, rare: float,
) -> Unsigned:  # fmt: skip
    """Return what is shown between the first and the last week of a product and creator in which no contract holds.

    Args:
        shown: [weeks] how often, by product and creator; numbers of creators beyond the last are those who have no
            contract.
        signed: [weeks] contract-weeks that held, of the pairs that have contracts.
        paid: Commission over GMV of pairs: what is known best comes first.
        usual: The rate where no order tells one.
        creators: Number of creators who have contracts.
        rare: Chance below which who was not shown lately is taken to be gone.
    """
    pairs, spans, counts = [], [], []
    for pair, often in shown.items():
        seen = np.flatnonzero(often)
        if not len(seen):
            continue
        among = np.zeros(len(often), bool)
        among[seen[0] : seen[-1] + 1] = True
        among &= signed[pair] == 0 if pair in signed else True
        if often[among].any():
            pairs.append(pair)
            spans.append(among)
            counts.append(often * among)
    weeks = len(next(iter(shown.values()), ()))
    span: NDArray[np.bool_] = np.array(spans, bool).reshape(-1, weeks)
    count: Array = np.array(counts, float).reshape(-1, weeks)
    at: Codes = np.array(pairs, np.int64).reshape(-1, 2)
    rate = np.array([next((each[pair] for each in paid if pair in each), usual) for pair in pairs], float)
    begun = np.maximum.accumulate(span, axis=1)
    gone = silent(count > 0, begun, rare) if pairs else np.zeros(0, np.int64)
    for n, since in enumerate(gone.tolist()):
        span[n, weeks - since :] = False
    still = (gone == 0) & np.array([pair not in signed or signed[pair][-1] == 0 for pair in pairs], bool)
    free = np.array([signed[pair] == 0 if pair in signed else np.ones(weeks, bool) for pair in pairs], bool)
    after = np.cumsum(span[:, ::-1], axis=1)[:, ::-1] == 0
    span |= still[:, None] & begun & after & free.reshape(span.shape)  # not shown lately by chance only
    keys, line = np.unique(np.stack([at[:, 0], np.minimum(at[:, 1], creators)], axis=1), axis=0, return_inverse=True)
    line, size = line.ravel(), len(keys)
    each = count.sum(axis=1) / np.maximum(span.sum(axis=1), 1)
    together = np.bincount(line, each, size) / np.maximum(np.bincount(line, minlength=size), 1)
    held, total = np.zeros((size, weeks)), np.zeros((size, weeks))
    np.add.at(held, line, span * (each / np.maximum(together[line], 1e-12))[:, None])
    np.add.at(total, line, count)
    pays = np.bincount(line, each * rate, size) / np.maximum(np.bincount(line, each, size), 1e-12)
    return Unsigned(keys[:, 0], keys[:, 1], held, total, pays, np.bincount(line, still, size) > 0)


__all__ = ["Unsigned", "unsigned"]
