"""Terms: for every product and tier, the rate that brings most, who should pay for it, and who should refuse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tradewind.decisions.commissions.gains import Gains
from tradewind.decisions.commissions.learning import estimates
from tradewind.study import Estimate

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

NEAR = 0.005  # rates that lie closer to what is paid are no change
SURE = 0.8  # chance that all parties together gain by one rate alone, from which it is proposed
BLOCK = 800  # lines that are appraised at once


@dataclass(frozen=True)
class Line:
    """One product with the creators of one tier.

    Args:
        product: Number of the product.
        tier: Number of the tier.
        contracts: Contracts that hold.
        now: Rate that they pay, by effort.
        rate: The rate proposed; as now where no other brings more and leaves neither payer worse off in the middle.
        joint: What that brings all parties.
        merchant: What it brings the merchant, the platform's part of the raise paid by the platform.
        platform: What it brings the platform.
        creator: What it brings the creators.
        others: What it brings all other merchants.
        share: Part of the change of the commission that the platform should pay; not a number where nobody should.
        refused: Whether the next rate above costs merchant and platform more than it brings them, whatever the split.
        short: What they would lack together at that rate; None where it is not refused.
        theirs: Whether all parties together would likely gain by it nevertheless, the creators more than the whole.
    """

    product: int
    tier: int
    contracts: int
    now: float
    rate: float
    joint: Estimate
    merchant: Estimate
    platform: Estimate
    creator: Estimate
    others: Estimate
    share: float
    refused: bool
    short: Estimate | None
    theirs: bool


def split(merchant: Array, platform: Array) -> Array:
    """Return the part of a raise that the platform should pay: in proportion to what each side gains by it.

    Who gains nothing pays nothing, so that whoever pays, gains, wherever both together gain more than the raise.

    Args:
        merchant: [n] what it brings the merchant before it is paid for.
        platform: [n] the same for the platform.
    """
    ours, theirs = np.maximum(merchant, 0.0), np.maximum(platform, 0.0)
    return np.asarray(np.divide(theirs, ours + theirs, out=np.zeros(len(ours)), where=ours + theirs > 0))


def lines(gains: Gains, rates: tuple[float, ...], days: float, chosen: NDArray[np.bool_]) -> list[Line]:
    """Return the terms of all products and tiers with contracts.

    Args:
        gains: What tells the gains.
        rates: The rates to consider, in rising order.
        days: For how many days such as those known.
        chosen: [lines that hold] the contracts to speak of, and to change.
    """
    found: list[Line] = []
    menu, held = np.array(rates), _held(gains, chosen)
    for start in range(0, len(held.product), BLOCK):
        found += _terms(gains, menu, days, held.part(slice(start, start + BLOCK)), chosen)
    return found


class _Held(NamedTuple):
    """Products with the creators of one tier, and the contracts that hold between them: [n] each.

    Args:
        product: Number of the product.
        tier: Number of the tier.
        contracts: Contracts that hold.
        now: Rate that they pay, by effort.
        funded: The platform's part of it, by effort.
    """

    product: Codes
    tier: Codes
    contracts: Codes
    now: Array
    funded: Array

    def part(self, some: slice) -> _Held:
        """Return some of them."""
        return _Held(self.product[some], self.tier[some], self.contracts[some], self.now[some], self.funded[some])


def _held(gains: Gains, chosen: NDArray[np.bool_]) -> _Held:
    """Return all products and tiers with chosen contracts, in order."""
    pairs = np.stack([gains.of, gains.tier], axis=1)[chosen]
    keys, at = np.unique(pairs, axis=0, return_inverse=True)
    at, size = at.ravel(), len(keys)
    effort = gains.given.mean(axis=0)[chosen]
    whole = np.maximum(np.bincount(at, effort, size), 1e-12)
    now, funded = (np.bincount(at, effort * v[chosen], size) / whole for v in (gains.rate, gains.share))
    return _Held(keys[:, 0], keys[:, 1], np.bincount(at, gains.contracts[chosen], size), now, funded)


def _terms(gains: Gains, menu: Array, days: float, held: _Held, chosen: NDArray[np.bool_]) -> list[Line]:
    product, tier, contracts, now, funded = held
    count, size = len(menu), len(product)
    rate, before = np.tile(menu, size), np.repeat(now, count)
    brought = gains(np.repeat(product, count), rate, np.full(size * count, days), np.repeat(tier, count), chosen)
    raised = brought.after - brought.before
    merchant, platform = brought.merchant.mean(axis=0), brought.platform.mean(axis=0)
    # A raise is paid in proportion to what it brings; a cut is saved by whoever pays now.
    share = np.where(rate > before, split(merchant, platform), np.repeat(funded, count))
    cost = raised.mean(axis=0)
    surplus = merchant + platform - cost
    joint = brought.joint
    good = (np.abs(rate - before) > NEAR) & (surplus > 0) & (gains.likely(joint) >= SURE)
    good &= (merchant >= (1 - share) * cost) & (platform >= share * cost)  # whoever pays keeps a gain
    value = np.where(good, joint.mean(axis=0), -np.inf).reshape(size, count)
    best = np.arange(size) * count + np.argmax(value, axis=1)
    better = value.max(axis=1) > 0
    above = np.minimum(np.searchsorted(menu, now + NEAR), count - 1)
    next_up = np.arange(size) * count + above
    refused = (menu[above] > now + NEAR) & (surplus[next_up] < 0)
    theirs = refused & (gains.likely(joint[:, next_up]) >= SURE)
    short = estimates((brought.merchant + brought.platform - raised)[:, next_up])
    parts = [
        estimates(values[:, best])
        for values in (
            joint, brought.merchant - (1 - share) * raised, brought.platform - share * raised,
            brought.creators + raised, brought.others,
        )
    ]  # fmt: skip
    nothing = Estimate(0.0, 0.0, 0.0)
    found = []
    for n in range(size):
        by_all, by_merchant, by_platform, by_creator, by_others = (part[n] if better[n] else nothing for part in parts)
        to, pays = (float(rate[best[n]]), float(share[best[n]])) if better[n] else (float(now[n]), float("nan"))
        found.append(
            Line(
                int(product[n]), int(tier[n]), int(contracts[n]), float(now[n]), to, by_all, by_merchant,
                by_platform, by_creator, by_others, pays, bool(refused[n]), short[n] if refused[n] else None,
                bool(theirs[n]),
            )
        )  # fmt: skip
    return found


__all__ = ["Line", "lines", "split"]
