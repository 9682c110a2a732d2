"""The prices study: which products should be dearer or cheaper, which promotions lose money, what cannot be told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from tradewind import progress
from tradewind.decisions.prices.bulk import without_bulk, without_odd_weeks
from tradewind.decisions.prices.caveats import caveats
from tradewind.decisions.prices.economics import economics, require_costed
from tradewind.decisions.prices.findings import Teller
from tradewind.decisions.prices.learnt import CHEAPEST, DEAREST, Learnt
from tradewind.decisions.prices.outlook import outlook
from tradewind.decisions.prices.panel import read
from tradewind.decisions.prices.response import response
from tradewind.decisions.prices.surge import surge
from tradewind.engines.store import Store
from tradewind.errors import BadInputError, MissingDataError, NotFoundError
from tradewind.money import several
from tradewind.period import Period
from tradewind.study import Action, Finding, Lever, Party, Setting, Study, Subject

Ints = NDArray[np.int64]

NEEDS = ("order_lines",)
IMPROVED_BY = {
    "product_history": "prices of products that did not sell, and unit costs",
    "products": "categories, by which few sales are steadied",
    "order_discounts": "prices paid, where listings tell none",
    "promotions": "displays and mailers, so that they are not taken for the price",
    "campaigns": "weeks of the marketplace's campaigns told apart, past and to come",
    "assignments": "prices drawn by lot, which no seller's timing confounds",
    "traffic": "what products with few sales are likely to sell",
    "refunds": "refunds in the profit of a piece",
    "inventory": "slow stock, and days without any taken out of demand",
}
NAMED = 20  # categories that an error names
JUDGED = 20_000  # products that are judged at most, those that would sell for most
FAMOUS = 500  # products that are judged for a campaign, likewise
LEAST_PIECES = 0.25  # pieces that a product is taken to sell when it hardly sells: no discount is free of cost


@dataclass(frozen=True)
class PricesSettings:
    """What to propose.

    Args:
        category: Only products of this category, or below it, such as `Beauty` or `Beauty/Hair`; all if empty.
        days: Days for which a price would hold.
        campaign: Days of a campaign, from the first day on.
        offs: Shares off the list price to choose from, each from -0.5 to 0.9.
        most: Most actions to propose, the most valuable ones.
        seed: Seed of intervals.
    """

    category: str = ""
    days: int = 28
    campaign: int = 3
    offs: tuple[str, ...] = ("0", "0.1", "0.2", "0.3")
    most: int = 200
    seed: int = 0

    def menu(self) -> tuple[float, ...]:
        """Return the shares as numbers, from small to large.

        Raises:
            BadInputError: If one is no such share, or another setting is out of range.
        """
        try:
            shares = tuple(sorted({float(off) for off in self.offs}))
        except ValueError as error:
            raise BadInputError(
                "A share off the list price is a number", got=", ".join(map(str, self.offs)), allowed="0.1,0.2"
            ) from error
        if not shares or not all(DEAREST <= off <= CHEAPEST for off in shares):
            raise BadInputError(
                "A share off the list price is out of range",
                got=", ".join(map(str, self.offs)),
                allowed=f"from {DEAREST} to {CHEAPEST}",
            )
        if not 1 <= self.days <= 182 or not 1 <= self.campaign <= 28 or self.most < 0:
            raise BadInputError(
                "Settings out of range", got=(self.days, self.campaign, self.most),
                allowed="1 to 182 days, a campaign of 1 to 28 days, 0 or more actions",
            )  # fmt: skip
        return shares


def require(store: Store) -> None:
    """Refuse a store in which nothing tells how demand answers to prices, or what products cost.

    Raises:
        MissingDataError: If there are fewer than six weeks of sales, no price ever moved, or no unit cost is told.
    """
    usual = without_bulk(read(store, store.span.last))
    require_costed(usual)
    response(store, without_odd_weeks(usual)[0], 0)


def learn(store: Store, period: Period, settings: PricesSettings | None = None) -> Learnt:
    """Learn how demand answers to price, and what is to come, from all that is known by the end of a period.

    Args:
        store: The store, as the caller may see it.
        period: The days whose demand is taken as the base of what is to come.
        settings: What to propose.

    Raises:
        MissingDataError: If the period does not meet the data, no price ever moved, or nothing tells unit costs.
    """
    settings = settings or PricesSettings()
    seen = period.within(store.span)
    store = store.known_by(seen.end(store.provenance.timezone))
    steps: tuple[str, ...] = ("reading prices and sales", "reading profit", "learning elasticities", "looking ahead")
    progress.told(steps[0], 0, len(steps))
    panel = read(store, seen.last)
    usual = without_bulk(panel)
    progress.told(steps[1], 1, len(steps))
    profit = economics(store, usual)
    progress.told(steps[2], 2, len(steps))
    ordinary, odd = without_odd_weeks(usual)
    answer = response(store, ordinary, settings.seed)
    progress.told(steps[3], 3, len(steps))
    coming = outlook(ordinary, answer.elasticity * answer.lasting.mid, seen)
    bulk = float((panel.units - usual.units).sum())
    weeks = tuple(week for week, out in zip(panel.weeks, odd.tolist(), strict=True) if out)
    return Learnt(
        panel, profit, answer, coming, surge(usual, answer.elasticity), store.provenance.currency, settings.seed, bulk,
        weeks,
    )  # fmt: skip


def study(store: Store, period: Period, settings: PricesSettings | None = None) -> Study:
    """Tell which prices and promotions pay, and propose prices.

    Args:
        store: The store, as the caller may see it.
        period: The days whose demand is taken as the base of what is to come.
        settings: What to propose.

    Returns:
        Findings: which products should be dearer or cheaper, how demand answers to price, what past promotions of each
        depth brought, what was pulled forward, slow stock; and actions of the lever price.

    Raises:
        MissingDataError: If the period does not meet the data, no price ever moved, nothing tells unit costs, or no
            product of the category is on sale.
        BadInputError: If a setting is out of range.
    """
    settings = settings or PricesSettings()
    menu = settings.menu()
    learnt = learn(store, period, settings)
    panel = learnt.panel
    rows = _chosen(learnt, settings.category)
    first = panel.last + timedelta(days=1)
    days = Period(first, first + timedelta(days=settings.days - 1))
    worth = learnt.worth(rows, menu, days)
    best = np.argmax(worth.joint[:, :, 0], axis=1)
    gain = worth.joint[np.arange(len(rows)), best, 0]
    order = np.argsort(-gain, kind="stable")
    order = order[gain[order] > 0]
    order, unnamed = order[: settings.most], max(len(order) - settings.most, 0)
    proposed = [
        Action(
            f"price-{panel.products[rows[at]]}", Lever.PRICE,
            Subject("product", panel.products[rows[at]], panel.shops[rows[at]] or None), days,
            tuple(
                Setting(
                    {"off": off},
                    {Party.MERCHANT: max(off, 0.0) * float(panel.list_price[rows[at]])
                     * max(float(worth.pieces[at, k]), LEAST_PIECES)},
                )
                for k, off in enumerate(menu)
            ),
        )
        for at in order.tolist()
    ]  # fmt: skip
    actions = learnt.appraise(proposed)
    teller = Teller(store, learnt, rows, worth, menu, days)
    famous, short = _largest(learnt, rows, FAMOUS), Period(first, first + timedelta(days=settings.campaign - 1))

    def campaign() -> Finding | None:
        return teller.campaign(famous, learnt.worth(famous, menu, short), short)

    parts: tuple[Callable[[], Finding | None], ...] = (
        teller.prices, teller.promotions, campaign, teller.losers, teller.answer, teller.aftermath, teller.slow_stock,
    )  # fmt: skip
    told = [part() for part in parts]
    title = f"Which prices pay after {Period(period.last, period.last).title}?"
    more = f"{several(unnamed, 'more product')} would gain by another price, each less than what is proposed."
    cut = (more,) if unnamed and settings.most else ()
    found = tuple(sorted((f for f in told if f is not None), key=lambda finding: -finding.weight))
    return Study(
        "prices", title, period, found, store.provenance, asdict(settings),
        (*cut, *caveats(learnt, rows, days, int(worth.beyond[order, best[order]].sum()))), actions,
    )  # fmt: skip


def _chosen(learnt: Learnt, category: str) -> Ints:
    """Places of the products on sale in a category, with a price and a cost."""
    panel = learnt.panel
    path = category.strip("/")
    inside = np.array([not path or name == path or name.startswith(path + "/") for name in panel.category])
    if not inside.any():
        known = sorted({name.split("/")[0] for name in panel.category if name})
        raise NotFoundError(
            "Nothing of that category is sold there", got=category, allowed=known[:NAMED] or "none: products have none"
        )
    rows = np.flatnonzero(inside & panel.active & (panel.list_price > 0) & ~np.isnan(panel.cost) & ~panel.out)
    if not len(rows):
        raise MissingDataError(
            "No product with a price, a unit cost and stock is on sale there", got=category or None,
            do="choose another category, or assume a margin with --assume margin=0.3",
        )  # fmt: skip
    return _largest(learnt, rows, JUDGED)


def _largest(learnt: Learnt, rows: Ints, most: int) -> Ints:
    """Those of some products that would sell for most at their usual list prices."""
    sales = learnt.outlook.weekly[rows] * learnt.panel.usual[rows]
    return np.sort(rows[np.argsort(-sales, kind="stable")[:most]])
