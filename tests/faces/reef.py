"""A wing that acts, made for the tests."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta

from tradewind.engines.store import Store
from tradewind.period import Period
from tradewind.study import (
    Action,
    Assignment,
    Estimate,
    Evidence,
    Finding,
    Lever,
    Party,
    Setting,
    Study,
    Subject,
)

NEEDS = ("order_lines",)
IMPROVED_BY: dict[str, str] = {}


@dataclass(frozen=True)
class ReefSettings:
    """What the reef is asked.

    Args:
        seed: Seed.
    """

    seed: int = 0


def _setting(dose: dict[str, float], payer: Party, cost: float, gain: float) -> Setting:
    told = Estimate(gain, gain - 30, gain + 30)
    lost = Estimate(-cost, -cost - 1, -cost + 1)
    return Setting(dose, {payer: cost}, {Party.MERCHANT: told, Party.PLATFORM: lost}, told, 9 * gain)


def study(store: Store, period: Period, settings: ReefSettings | None = None) -> Study:
    """Propose a coupon for all customers and a price for each product of the first shops."""
    settings = settings or ReefSettings()
    days = Period(period.last + timedelta(days=1), period.last + timedelta(days=7))
    people = store.run(store.table("order_lines").select("customer_id").distinct())["customer_id"].to_pylist()
    names = tuple(sorted(name for name in people if name))
    coupon = {"face": 5.0, "threshold": 20.0, "platform": 1.0, "brand": 0.0}
    actions = [
        Action("coupon-all", Lever.COUPON, Subject("customers", "everybody"), days,
               (_setting(coupon, Party.PLATFORM, 40.0, 60.0),), Evidence.RANDOMISED, "They answer.",
               assignment=Assignment("everybody", names)),
    ]  # fmt: skip
    goods = store.run(store.table("products").select("product_id", "shop_id").order_by("product_id")).to_pylist()
    for n, row in enumerate(goods[:12]):
        menu = tuple(_setting({"off": off}, Party.MERCHANT, 100 * off, 10 * n - 100 * off) for off in (0.1, 0.2))
        subject = Subject("product", row["product_id"], row["shop_id"])
        actions.append(
            Action(f"price-{n:02d}", Lever.PRICE, subject, days, menu, Evidence.OBSERVATIONAL, "It answers.")
        )
    said = Finding("reef", "The reef is alive.", Evidence.MEASURED)
    return Study("reef", "Is it?", period, (said,), store.provenance, asdict(settings), ("No tides.",), tuple(actions))
