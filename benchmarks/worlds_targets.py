"""What a world should resemble: by statistic the source nearest to a content-commerce marketplace, and how nearly.

The bands were chosen by the kind of statistic and the likeness of the source, not by what a world shows: a factor of
1.25 for shares and concentrations of a like source, 1.5 for times, depths and shapes, 2 for levels whose sources differ
in who is asked; where sources bracket a marketplace without one of them being like it, from the smallest to the largest
of them, widened by a quarter.
"""

from __future__ import annotations

from dataclasses import dataclass

OLIST, RETAIL, GROCER, MUSIC = "olist", "online_retail", "complete_journey", "CDNOW"
NAMES = {OLIST: "Olist", RETAIL: "Online Retail", GROCER: "Complete Journey"}


@dataclass(frozen=True)
class Target:
    """What a statistic of a world should come to.

    Args:
        sources: The sources that it is held against: one, or those that bracket it.
        factor: By what factor it may miss one source, or the range of several.
        why: Why they.
        plus: By how much it may be off, instead of a factor.
    """

    sources: tuple[str, ...]
    factor: float
    why: str
    plus: float = 0

    @property
    def tolerance(self) -> str:
        """The band in words."""
        if self.plus:
            return f"± {self.plus:g}" if len(self.sources) == 1 else f"their range, ± {self.plus:g} beyond"
        return f"× {self.factor:g} either way" if len(self.sources) == 1 else f"their range, × {self.factor:g} beyond"

    def band(self, values: list[float]) -> tuple[float, float]:
        """Return the least and the most that is within, given what the sources tell."""
        if self.plus:
            return min(values) - self.plus, max(values) + self.plus
        return min(values) / self.factor, max(values) * self.factor


_CATALOGUE = "a catalogue whose products sell as often each as the world's"
_MARKET = "the one marketplace of many sellers; the world is thinned to as few orders each as its sample has"
_SELLERS = "a grocer, a marketplace and a gift wholesaler agree on it, unlike as they are"
_BASKET = "the one marketplace; its baskets are of one thing, as content sells"
_BRACKET = "a grocer's regulars, wholesale buyers, music buyers and one-time buyers bracket a marketplace's customers"
_AGAIN = (
    "buyers on the web of small goods, casual and by trade; Olist's sample leaves out four orders in five and the "
    "grocer's households were chosen as regulars"
)
_DEALS = "the only source with discounts by line; a grocer's, whose card deals are deep and common"
_LETTERS = "the only randomised messages; e-mail of a clothing shop to customers of the last year"
_LEVELS = _LETTERS + "; levels differ with whom one writes to"

TARGETS: dict[str, Target] = {
    "products: share of the best tenth": Target((RETAIL,), 1.25, _CATALOGUE),
    "products: Gini": Target((RETAIL,), 1.25, _CATALOGUE),
    "products: share of the best tenth, thinned": Target((OLIST,), 1.25, _MARKET),
    "products: Gini, thinned": Target((OLIST,), 1.25, _MARKET),
    "products: Gini of lines": Target((RETAIL,), 1.25, _CATALOGUE),
    "products: share of lines of the best seller": Target((GROCER, OLIST, RETAIL), 1.25, _SELLERS),
    "products: correlation of log price and log lines": Target((GROCER, OLIST, RETAIL), 1, _SELLERS, plus=0.1),
    "products: log deviation of price": Target((OLIST,), 1.25, "the one marketplace of many sorts"),
    "customers: share of the best tenth": Target((GROCER, RETAIL, MUSIC, OLIST), 1.25, _BRACKET),
    "customers: Gini": Target((GROCER, RETAIL, MUSIC, OLIST), 1.25, _BRACKET),
    "shops: share of the best tenth, thinned": Target((OLIST,), 1.25, _MARKET),
    "shops: Gini, thinned": Target((OLIST,), 1.25, _MARKET),
    "lines per order": Target((OLIST,), 1.25, _BASKET),
    "items per order": Target((OLIST,), 1.25, _BASKET),
    "share of single-line orders": Target((OLIST,), 1.25, _BASKET),
    "log deviation of order value": Target((OLIST,), 1.25, _BASKET),
    "share of orders of several lines": Target((OLIST,), 2, _BASKET + "; of all statistics sources differ most in it"),
    "order values: Gini": Target((OLIST,), 1.25, _BASKET),
    "days between orders: median": Target((RETAIL, MUSIC), 1.25, _AGAIN),
    "days between orders: 90th percentile": Target((RETAIL, MUSIC), 1.25, _AGAIN),
    "share who come again within 90 days": Target((RETAIL, MUSIC), 1.25, _AGAIN),
    "the same, of new customers": Target((RETAIL, MUSIC), 1.25, _AGAIN),
    "discount over gross sales": Target((GROCER,), 1.5, _DEALS),
    "share of lines with a discount": Target((GROCER,), 1.5, _DEALS),
    "median depth of discounted lines": Target((GROCER,), 1.5, _DEALS),
    "refunds over GMV": Target((RETAIL,), 1.5, "the only source with money given back (cancelled invoices)"),
    "refunds per line": Target((RETAIL,), 1.5, "the only source with money given back (cancelled invoices)"),
    "weekdays: deviation over mean": Target(
        (OLIST,), 1.5, "a marketplace open all week; Online Retail shuts on Saturdays"
    ),
    "hours: deviation over mean": Target((OLIST,), 1.5, "people at home at any hour; the others keep a shop's hours"),
    "peak hour": Target((OLIST,), 1, "people at home at any hour; the others keep a shop's hours", plus=3),
    "share of orders from 18:00 to midnight": Target(
        (OLIST,), 1.5, "people at home at any hour; the others keep a shop's hours"
    ),
    "days: log deviation after weekday and trend": Target((OLIST,), 1.5, "a marketplace with campaign days"),
    "new products: share that sell in the fourth week": Target((RETAIL,), 1.25, _CATALOGUE),
    "new products: share that sell in weeks 8 to 12": Target((RETAIL,), 1.25, _CATALOGUE),
    "new products: weeks 1 to 4 of the pieces of weeks 1 to 12": Target((RETAIL,), 1.25, _CATALOGUE),
    "new products: share that sell in weeks 8 to 12, thinned": Target((OLIST,), 1.5, _MARKET),
    "new products: weeks 1 to 4 of weeks 1 to 12, thinned": Target((OLIST,), 1.5, _MARKET),
    "CTR of cards in the mall": Target(
        ("Open Bandit, bts",), 2, "slots of recommendations filled by a policy that learns, as the mall's are"
    ),
    "visits within 14 days, not written to": Target(("Hillstrom",), 2, _LEVELS),
    "visits within 14 days, written to": Target(("Hillstrom",), 2, _LEVELS),
    "visits: ratio of written to to not": Target(("Hillstrom",), 1.25, _LETTERS),
    "visits: ratio of rates a day, written to to not": Target(("Hillstrom",), 1.25, _LETTERS),
    "orders within 14 days, not written to": Target(("Hillstrom",), 2, _LEVELS),
    "orders within 14 days, written to": Target(("Hillstrom",), 2, _LEVELS),
    "orders: ratio of written to to not": Target(("Hillstrom",), 1.25, _LETTERS),
    "viewers from one minute to the next, log deviation beyond counting": Target(
        ("RobustSpot",), 1.5, "real live rooms, though larger by far and near an incident"
    ),
}
"""The statistics that have a like in real data; any other is shown beside none."""
