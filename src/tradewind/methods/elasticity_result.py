"""What is known of elasticities: of every product, and of every category."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.errors import BadInputError
from tradewind.methods.moments import single
from tradewind.study import Estimate, Evidence


@dataclass(frozen=True)
class Product:
    """The price elasticity of one product.

    Args:
        product: Its id.
        group: Its category.
        own: By how many per cent the quantity moves when its price moves by one, shrunk within the category; None
            where the rows do not tell.
        raw: The same from its own rows alone.
        cross: For each price of substitutes the same; None where the rows do not tell.
        prior: What its category says of a product of which nothing is known; None below three products.
        evidence: How `own` was earned; where it is None, how `prior` was.
        rows: Rows of the product.
        strength: Effective F of its instrument, infinite where that is the price itself; None without one.
        weak: Interval that holds however weak the instrument, None without one; its ends may be infinite.
        scale: Residual spread of demand over that of the price, by which hidden causes are judged.
        why: Why `own` is None; empty otherwise.
    """

    product: Any
    group: Any
    own: Estimate | None
    raw: Estimate | None
    cross: tuple[Estimate | None, ...]
    prior: Estimate | None
    evidence: Evidence
    rows: int
    strength: float | None
    weak: tuple[float, float] | None
    scale: float
    why: str

    def bounds(self, strength: float) -> Estimate | None:
        """Return the interval widened by what a hidden cause could do; unchanged where the price was not observational.

        Args:
            strength: Share of what is left of the price, and of demand, that the hidden cause would explain, in [0, 1).

        Reference:
            Chernozhukov, Cinelli, Newey, Sharma and Syrgkanis (2022), Long story short: omitted variable bias in
            causal machine learning, theorem 2, for the partially linear model.
        """
        strength = single(strength, "strength of a hidden cause")
        if not 0 <= strength < 1:
            raise BadInputError("The strength of a hidden cause is a share", got=strength, allowed="0 to below 1")
        if self.own is None or self.evidence is not Evidence.OBSERVATIONAL:
            return self.own
        off = self.scale * strength / math.sqrt(1 - strength)
        return Estimate(self.own.mid, self.own.low - off, self.own.high + off, self.own.level)

    def robustness(self, threshold: float = -1.0) -> float | None:
        """Return how strong a hidden cause would have to be for the interval to reach `threshold`; 0 where it does.

        The share of what is left of price and demand that it would explain, as in `bounds`. At −1, the default, a lower
        price stops raising revenue.

        Reference:
            Cinelli and Hazlett (2020), Making sense of sensitivity, JRSS B 82(1), section 4.2.
        """
        threshold = single(threshold, "threshold")
        if math.isnan(threshold):
            raise BadInputError("The threshold is an elasticity", got=threshold, allowed="a number")
        if self.own is None:
            return None
        away = max(self.own.low - threshold, threshold - self.own.high, 0.0) / max(self.scale, 1e-12)
        if away > 1e3:
            return 1.0
        return (math.sqrt(away**4 + 4 * away**2) - away**2) / 2


@dataclass(frozen=True)
class Group:
    """What products of one category have in common.

    Args:
        group: Its id.
        mean: Mean own elasticity.
        spread: Standard deviation of true elasticities around it.
        cross: Mean of each cross elasticity.
        gap: By how much plain estimates lie off those from instruments or random prices; None without them.
        lags: By how many per cent the quantity moves when the price of 1, 2, … weeks ago moved by one; a positive one
            is the dip after a promotion.
        lasting: Share of the immediate answer that is left once later weeks are counted: 1 less what was pulled
            forward; None without lags.
        bend: By how much the elasticity grows when the price grows by one log point; None where it was not asked.
    """

    group: Any
    mean: Estimate
    spread: float
    cross: tuple[Estimate | None, ...]
    gap: Estimate | None
    lags: tuple[Estimate, ...]
    lasting: Estimate | None
    bend: Estimate | None


@dataclass(frozen=True)
class Elasticities:
    """The elasticities of all products.

    Args:
        products: One of each product, by id.
        groups: One of each category in which a product's elasticity is known, by id.
    """

    products: tuple[Product, ...]
    groups: tuple[Group, ...]

    @property
    def evidence(self) -> Evidence:
        """The weakest grade of any product."""
        return Evidence.weakest([product.evidence for product in self.products])

    def at(self, product: Any, price: float, usual: float) -> Estimate | None:
        """Return the own elasticity of a product at another price, as far as the rows carry a bend.

        The bend counts only where its interval leaves out zero; else the elasticity is the same at every price.

        Args:
            product: Its id.
            price: Logarithm of the price.
            usual: Logarithm of its usual price, the mean of its rows.

        Raises:
            BadInputError: If there is no such product, or a price is not a finite number.
        """
        step = single(price, "logarithm of the price") - single(usual, "logarithm of the usual price")
        if not math.isfinite(step):
            raise BadInputError("A price is not a finite number", got=(price, usual), allowed="logarithms of prices")
        found = [each for each in self.products if each.product == product]
        if not found:
            raise BadInputError("No such product", got=product)
        own = found[0].own
        bends = [group.bend for group in self.groups if group.group == found[0].group]
        if own is None or not bends or bends[0] is None or bends[0].low <= 0 <= bends[0].high:
            return own
        bend = bends[0]
        mid = own.mid + bend.mid * step
        half = float(np.hypot(own.high - own.low, (bend.high - bend.low) * step)) / 2
        return Estimate(mid, mid - half, mid + half, own.level)
