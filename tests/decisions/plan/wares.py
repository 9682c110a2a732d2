"""Actions made by hand for the planner's tests."""

from __future__ import annotations

from datetime import date

import numpy as np

from tradewind.period import Period
from tradewind.study import Action, Assignment, Choice, Estimate, Evidence, Lever, Party, Setting, Subject

DAYS = Period(date(2025, 3, 3), date(2025, 3, 30))
M, P, C = Party.MERCHANT, Party.PLATFORM, Party.CREATOR


def worth(mid: float, wide: float = 2.0) -> Estimate:
    return Estimate(mid, mid - wide, mid + wide)


def setting(
    dose: dict[str, float],
    cost: dict[Party, float],
    gain: dict[Party, float],
    attributed: float = 0.0,
    wide: float = 2.0,
) -> Setting:
    told = {party: worth(value, wide) for party, value in gain.items()}
    return Setting(dose, cost, told, worth(sum(gain.values()), wide), attributed)


def price(product: str, *menu: Setting, shop: str = "s1") -> Action:
    why = f"{product} answers to price"
    return Action(
        f"price-{product}", Lever.PRICE, Subject("product", product, shop), DAYS, menu, Evidence.OBSERVATIONAL, why
    )


def coupon(name: str, units: list[str], *menu: Setting, shop: str | None = None) -> Action:
    return Action(
        f"coupon-{name}", Lever.COUPON, Subject("customers", name, shop), DAYS, menu, Evidence.RANDOMISED, "so",
        assignment=Assignment(name, tuple(units)),
    )  # fmt: skip


def off(depth: float, cost: float, gain: float, attributed: float = 0.0, **more: float) -> Setting:
    return setting({"off": depth}, {M: cost}, {M: gain, P: 0.1 * gain}, attributed, **more)


def face(amount: float, cost: float, gain: float, attributed: float = 0.0) -> Setting:
    dose = {"face": amount, "threshold": 4 * amount, "platform": 1.0, "brand": 0.0}
    return setting(dose, {P: cost}, {M: gain + cost, P: -cost}, attributed)


def many(seed: int, count: int = 60) -> list[Action]:
    """Draw prices and coupons at random."""
    draw = np.random.default_rng(seed)
    found: list[Action] = []
    for n in range(count):
        size = draw.uniform(5, 50)
        if n % 3:
            menu = [off(d, 10 * d * size, size * (d - 2 * d * d) + draw.normal(0, 2)) for d in (0.1, 0.2, 0.3)]
            found.append(price(f"p{n}", *menu, shop=f"s{n % 4}"))
        else:
            menu = [face(f, f * size / 10, size * f / 20 - f / 2 + draw.normal(0, 2)) for f in (2.0, 5.0)]
            found.append(coupon(f"a{n}", [f"c{n}-{k}" for k in range(5)], *menu))
    return found


def doses(choices: tuple[Choice, ...]) -> dict[str, int]:
    return {choice.action.key: choice.place for choice in choices}


def clashing(seed: int) -> tuple[list[Action], dict[str | None, float]]:
    """Prices whose discounts take from coupons and commissions on the same goods, drawn at random."""
    draw = np.random.default_rng(seed)
    actions: list[Action] = []
    for n in range(5):
        gain = draw.uniform(2, 12, 2)
        sold = draw.uniform(40, 120)
        actions.append(price(f"p{n}", *(off(d, 10 * d * sold / 10, float(g), sold)
                                        for d, g in zip((0.1, 0.3), gain, strict=True))))  # fmt: skip
    for n in range(2):
        rate = setting({"rate": 0.2, "platform": 0.0}, {M: 1.0}, {M: float(draw.uniform(5, 25))}, draw.uniform(20, 90))
        actions.append(Action(f"commission-p{n}", Lever.COMMISSION, Subject("product", f"p{n}", "s1"), DAYS, (rate,)))
    actions.append(coupon("all", ["a"], face(2, 5, float(draw.uniform(10, 60)), draw.uniform(100, 300))))
    return actions, {None: 500.0, "s1": 500.0}
