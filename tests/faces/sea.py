"""A wing made for the tests, so that the faces are tested apart from what real wings find."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, timedelta
from decimal import Decimal

from tradewind import charts
from tradewind.engines.store import Store
from tradewind.errors import MissingDataError
from tradewind.period import Period
from tradewind.study import Column, Estimate, Evidence, Finding, Grid, Provenance, Study

HOSTILE = "<script>alert('x')</script> & \"Søn\""
PROVENANCE = Provenance("market", "CC0-1.0", "Made by hand & shown.", "BRL", "UTC", True, ("Margin is 30%.",), "000007")


BARS = charts.ranked_bars([(HOSTILE, 1)])


@dataclass(frozen=True)
class TidesSettings:
    """What the tides are asked.

    Args:
        metric: The metric that rises
            and falls.
        by: Dimensions to look in.
        depth: How deep to look.
        strict: Whether to fail.
    """

    metric: str = "gmv"
    by: tuple[str, ...] = ()
    depth: int = 3
    strict: bool = False


def made(period: Period, provenance: Provenance = PROVENANCE, **settings: object) -> Study:
    """Return a study with every kind of finding."""
    days = [period.first + timedelta(days=n) for n in range(period.days)]
    grid = Grid(
        (Column("name", "Product"), Column("day", "Since", "day"), Column("change", "Change of GMV", "money")),
        tuple(
            {"name": f"{HOSTILE} {n}", "day": date(2024, 1, n + 1), "change": Decimal(-900 + 40 * n)} for n in range(20)
        ),
    )
    findings = (
        Finding("light", "Low tide was on Monday.", Evidence.OBSERVATIONAL, {"p": Estimate(0.2, 0.1, 0.3)}, weight=1),
        Finding(
            "heavy", f"GMV fell by R$1,234 because of {HOSTILE}.", Evidence.MEASURED,
            {"fall": Decimal("1234.50"), "orders": 12, "cause": None}, grid,
            charts.trend(days, [1.5] * len(days), currency="BRL"), "Counted, not estimated.", 9,
        ),
        Finding("assumed", "At a margin of 30% that is R$370.", Evidence.ASSUMED, chart=BARS),
    )  # fmt: skip
    return Study("tides", "What are the tides?", period, findings, provenance, settings, ("The moon is not recorded.",))


def study(store: Store, period: Period, settings: TidesSettings) -> Study:
    """Answer, or say what is missing."""
    if settings.strict:
        raise MissingDataError("The moon is missing", do="import it")
    if settings.depth < 0:
        raise ZeroDivisionError("the sea is dry")
    return made(period, store.provenance, **asdict(settings))


NEEDS = ("order_lines",)
IMPROVED_BY = {"creators": "who sells", "live_sessions": "what happens live"}
