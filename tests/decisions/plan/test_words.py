"""Settings in words: what is said is what is to be done, without a sign or a digit that nobody needs."""

from __future__ import annotations

import pytest

from tradewind.decisions.plan.words import worded
from tradewind.study import Lever, Party, Setting, Subject


@pytest.mark.parametrize(
    ("lever", "given", "said"),
    [
        (Lever.PRICE, {"off": 0.2}, "20% off Silk scarf (p1)"),
        (Lever.PRICE, {"off": 0.125}, "12.5% off Silk scarf (p1)"),
        (Lever.PRICE, {"off": 0.0}, "full price for Silk scarf (p1)"),
        (Lever.PRICE, {"off": -0.1}, "10% above the list price for Silk scarf (p1)"),
        (Lever.COMMISSION, {"rate": 0.15}, "commission of 15%, paid by the merchant, on Silk scarf (p1)"),
        (Lever.COMMISSION, {"rate": 0.15, "platform": 0.4},
         "commission of 15%, 40% of it paid by the platform, on Silk scarf (p1)"),
        (Lever.COUPON, {"face": 5.0, "threshold": 20.0, "platform": 1.0},
         "coupon of $5 from $20, paid by the platform, for Silk scarf (p1)"),
    ],
)  # fmt: skip
def test_says_what_is_to_be_done(lever: Lever, given: dict[str, float], said: str):
    setting = Setting(given, {Party.MERCHANT: 1.0})
    assert worded(setting, lever, Subject("product", "p1"), None, "USD", {"product": {"p1": "Silk scarf"}}) == said
