"""Settings of the coupons study."""

from __future__ import annotations

from dataclasses import dataclass, field

from tradewind.errors import BadInputError
from tradewind.money import amount

PAYERS = ("platform", "merchant", "cofunded")
MOST = 1e12
"""Largest budget."""


@dataclass(frozen=True)
class CouponsSettings:
    """What to propose.

    Args:
        budget: Money that coupons may cost; 0 for no limit.
        payer: Who pays: `platform`, `merchant`, or `cofunded`, which splits it as both sides gain. Where nobody is
            named, the platform, or merchants where the caller sees some shops only.
        faces: Coupons to choose from, face value and threshold, such as 2/8.
        days: Days for which they can be used.
        seed: Seed of everything that is drawn.
    """

    budget: float = field(default=0.0, metadata={"unit": "money"})
    payer: str = ""
    faces: tuple[str, ...] = ()
    days: int = 14
    seed: int = 0

    def __post_init__(self) -> None:
        if self.payer and self.payer not in PAYERS:
            raise BadInputError("Nobody of that name can pay for coupons", got=self.payer, allowed=PAYERS)
        if not 0 <= self.budget <= MOST:
            raise BadInputError("A budget is out of range", got=self.budget, allowed=f"0, for no limit, to {MOST:,.0f}")
        if not 1 <= self.days <= 90:
            raise BadInputError("A coupon can be used for a number of days", got=self.days, allowed="1 to 90")
        self.menu  # noqa: B018 - reading the faces is the check

    @property
    def menu(self) -> tuple[tuple[float, float], ...]:
        """Face value and threshold of each coupon to choose from, by rising face value; empty where none is named."""
        found = []
        for text in self.faces:
            face, _, threshold = text.partition("/")
            try:
                pair = (amount(face), amount(threshold or "0"))
            except BadInputError:
                pair = (0.0, 0.0)
            if not pair[0] > 0:
                raise BadInputError("A coupon cannot be read", got=text, allowed="face value/threshold, such as 2/8")
            found.append(pair)
        return tuple(sorted(set(found)))
