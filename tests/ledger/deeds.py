"""What the ledger's tests launch: small actions, a clock that is set by hand, and a key."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from tradewind.ledger import Approval, Experiment, Promise, Reading
from tradewind.period import Period
from tradewind.study import Action, Assignment, Choice, Estimate, Evidence, Lever, Party, Setting, Subject

KEY = {"TRADEWIND_LEDGER_KEY": "0123456789abcdef" * 4}
START = datetime(2025, 3, 1, 12, tzinfo=UTC)
WEEK = Period(date(2025, 3, 3), date(2025, 3, 9))
APPROVAL = Approval("Bea", START - timedelta(hours=1))
GAIN = Estimate(10.0, 5.0, 20.0)


class Clock:
    """Says what it was set to."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def on(self, day: date) -> None:
        """Set it to noon of a day."""
        self.now = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def setting(dose: dict[str, float], gain: Estimate = GAIN) -> Setting:
    return Setting(dose, {Party.MERCHANT: 3.5}, {Party.MERCHANT: gain, Party.PLATFORM: gain.scaled(0.1)}, gain, 99.0)


def coupon(
    key: str, units: Sequence[str], shop: str | None = "s1", days: Period = WEEK, gain: Estimate = GAIN
) -> Action:
    menu = (setting({"face": 2.0, "threshold": 8.0}, gain), setting({"face": 5.0, "threshold": 20.0}, gain))
    return Action(
        key, Lever.COUPON, Subject("customers", key, shop), days, menu, Evidence.OBSERVATIONAL, "they used coupons",
        assignment=Assignment(f"{key} customers", tuple(units)),
    )  # fmt: skip


def price(key: str, product: str, shop: str | None = "s1", days: Period = WEEK, gain: Estimate = GAIN) -> Action:
    return Action(key, Lever.PRICE, Subject("product", product, shop), days, (setting({"off": 0.1}, gain),))


def customers(first: int, last: int) -> list[str]:
    return [f"c{number}" for number in range(first, last)]


def promise(action: Action, holdout: float = 0.2, group: str = "") -> Promise:
    return Promise(Choice(action, 0), holdout, group)


def prices(count: int, shop: str | None = "s1", holdout: float = 0.25, first: int = 0) -> list[Promise]:
    return [promise(price(f"price-{i}", f"p{i}", shop), holdout) for i in range(first, first + count)]


def reading(
    of: Experiment, mid: float = 4.0, last: date | None = None, evidence: Evidence = Evidence.RANDOMISED,
    **said: object,
) -> Reading:  # fmt: skip
    effect = Estimate(mid, mid - 2.0, mid + 2.0)
    days = Period(of.days.first, last or of.due)
    fields = {"sample_ratio": 0.4, **said}
    return Reading(
        of.id, days, {Party.MERCHANT: effect}, effect, dict(of.units), "difference in means", evidence, **fields
    )
