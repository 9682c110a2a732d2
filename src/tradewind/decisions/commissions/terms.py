"""Terms: for every product and tier, the rate that brings most, who should pay for it, and who should refuse."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tradewind.decisions.commissions.gains import Gains
from tradewind.decisions.commissions.learning import estimates
from tradewind.study import Estimate

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

NEAR = 0.005  # rates that lie closer to what is paid are no change


@dataclass(frozen=True)
class Line:
    """One product with the creators of one tier.

    Args:
        product: Number of the product.
        tier: Number of the tier.
        contracts: Contracts that hold.
        now: Rate that they pay, by effort.
        rate: The rate proposed; as now where no other brings more.
        joint: What that brings all parties.
        merchant: What it brings the merchant, the platform's part of the raise paid by the platform.
        platform: What it brings the platform.
        creator: What it brings the creators.
        share: Part of the change of the commission that the platform should pay; not a number where nobody should.
        refused: Whether the next rate above costs merchant and platform more than it brings them, whatever the split.
        short: What they would lack together at that rate; None where it is not refused.
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
    share: float
    refused: bool
    short: Estimate | None


def split(merchant: Array, platform: Array) -> Array:
    """Return the part of a raise that the platform should pay: in proportion to what each side gains by it.

    Who gains nothing pays nothing, so that whoever pays, gains, wherever both together gain more than the raise.

    Args:
        merchant: [n] what it brings the merchant before it is paid for.
        platform: [n] the same for the platform.
    """
    ours, theirs = np.maximum(merchant, 0.0), np.maximum(platform, 0.0)
    return np.asarray(np.divide(theirs, ours + theirs, out=np.zeros(len(ours)), where=ours + theirs > 0))


def lines(gains: Gains, rates: tuple[float, ...], days: int, chosen: NDArray[np.bool_]) -> list[Line]:
    """Return the terms of all products and tiers with contracts.

    Args:
        gains: What tells the gains.
        rates: The rates to consider, in rising order.
        days: For how many days.
        chosen: [lines that hold] those to speak of.
    """
    width = int(gains.tier.max()) + 1 if len(gains.tier) else 1
    keys = np.unique((gains.of * width + gains.tier)[chosen])
    if not len(keys):
        return []
    member = np.searchsorted(keys, gains.of * width + gains.tier)
    inside = (member < len(keys)) & (keys[np.minimum(member, len(keys) - 1)] == gains.of * width + gains.tier)
    effort = np.where(inside, gains.given.mean(axis=0), 0.0)
    at = np.where(inside, member, 0)
    weight = np.bincount(at, effort, len(keys))
    now = np.bincount(at, effort * gains.rate, len(keys)) / np.maximum(weight, 1e-12)
    contracts = np.bincount(at[inside], minlength=len(keys))
    product, tier = np.divmod(keys, width)
    menu = np.array(rates)
    count = len(menu)
    brought = gains(
        np.repeat(product, count), np.tile(menu, len(keys)), np.full(len(keys) * count, float(days)),
        np.repeat(tier, count),
    )  # fmt: skip
    raised = brought.after - brought.before
    mean = {
        "merchant": brought.merchant.mean(axis=0), "platform": brought.platform.mean(axis=0),
        "raised": raised.mean(axis=0),
    }  # fmt: skip
    joint = brought.merchant + brought.platform + brought.creators + brought.others
    part = np.bincount(at, effort * gains.share, len(keys)) / np.maximum(weight, 1e-12)  # a cut is saved as it is paid
    share = np.where(mean["raised"] > 0, split(mean["merchant"], mean["platform"]), np.repeat(part, count))
    surplus = mean["merchant"] + mean["platform"] - mean["raised"]
    moved = np.abs(np.tile(menu, len(keys)) - np.repeat(now, count)) > NEAR
    value = np.where(moved & (surplus > 0), joint.mean(axis=0), -np.inf).reshape(len(keys), count)
    best = np.argmax(value, axis=1)
    found = np.arange(len(keys)) * count + best
    better = value[np.arange(len(keys)), best] > 0
    above = np.minimum(np.searchsorted(menu, now + NEAR), count - 1)
    above_at = np.arange(len(keys)) * count + above
    asks = menu[above] > now + NEAR
    short = estimates((brought.merchant + brought.platform - raised)[:, above_at])
    told = {
        "joint": estimates(joint[:, found]),
        "merchant": estimates((brought.merchant - (1 - share) * raised)[:, found]),
        "platform": estimates((brought.platform - share * raised)[:, found]),
        "creator": estimates((brought.creators + raised)[:, found]),
    }
    nothing = Estimate(0.0, 0.0, 0.0)
    out = []
    for n in range(len(keys)):
        gain = {name: each[n] if better[n] else nothing for name, each in told.items()}
        refused = bool(asks[n] and surplus[above_at[n]] < 0)
        out.append(
            Line(
                int(product[n]), int(tier[n]), int(contracts[n]), float(now[n]),
                float(menu[best[n]]) if better[n] else float(now[n]), gain["joint"], gain["merchant"],
                gain["platform"], gain["creator"], float(share[found[n]]) if better[n] else float("nan"), refused,
                short[n] if refused else None,
            )
        )  # fmt: skip
    return out


__all__ = ["Line", "lines", "split"]
