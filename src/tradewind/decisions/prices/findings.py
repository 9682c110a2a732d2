"""Findings of the prices study: what is known of prices in the user's words, with tables and charts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradewind import charts
from tradewind.decisions.prices.learnt import LEVEL, Learnt, Worth
from tradewind.decisions.prices.promoted import promoted, within
from tradewind.engines.store import Store
from tradewind.money import gained, human, several
from tradewind.period import Period
from tradewind.study import Column, Estimate, Evidence, Finding, Grid

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

SHOWN = 15  # rows of a table
SLOW = 26.0  # weeks of cover from which stock counts as slow
SETTLED = 8  # weeks for which a product must have been on sale before its stock counts as slow
DUST = 0.01  # share of a gain below which its low end is nothing: what sells at that price anyway gains nothing
DEEPER = 0.05  # how much deeper than usual a campaign's price must be for buyers to notice
ABSURD = 9.0  # rise in pieces from which a need is told in words


class Teller:
    """Turns what was learnt into findings.

    Args:
        store: The store, for titles and stock.
        learnt: What was learnt.
        rows: [n] places of the products in question.
        worth: What each share off is worth for them.
        menu: The shares.
        days: When they would hold.
    """

    def __init__(self, store: Store, learnt: Learnt, rows: Ints, worth: Worth, menu: tuple[float, ...], days: Period):
        self.store = store
        self.learnt = learnt
        self.rows = rows
        self.worth = worth
        self.menu = menu
        self.days = days
        self.currency = learnt.currency
        self.weakest = Evidence.ASSUMED if learnt.economics.margin is not None else Evidence.OBSERVATIONAL

    def _money(self, value: float, *, signed: bool = False) -> str:
        return human(value, "money", self.currency, signed=signed)

    def _gained(self, value: float | Estimate) -> str:
        return gained(value, self.currency)

    def _names(self, products: list[str]) -> dict[str, str]:
        """Titles of some products, with the id where another one is called the same; ids where they have none."""
        if not self.store.has("products", "title") or not products:
            return {name: name for name in products}
        table = self.store.table("products")
        rows = self.store.run(table.filter(table.product_id.isin(products)).select("product_id", "title")).to_pylist()
        titles = {row["product_id"]: row["title"] for row in rows if row["title"]}
        alike = table.filter(table.title.isin(sorted(set(titles.values()))))
        counted = self.store.run(alike.group_by("title").aggregate(products=alike.count())).to_pylist()
        shared = {row["title"] for row in counted if row["products"] > 1}
        told = {name: f"{title} ({name})" if title in shared else title for name, title in titles.items()}
        return {name: told.get(name, name) for name in products}

    def prices(self) -> Finding:
        """Which products should be dearer or cheaper than they are usually sold."""
        panel, worth = self.learnt.panel, self.worth
        best = np.argmax(worth.joint[:, :, 0], axis=1)
        each = np.arange(len(self.rows))
        gain = worth.joint[each, best, 0]
        offs = np.array(self.menu)[best]
        good = gain > 0
        sure = good & (worth.joint[each, best, 1] > DUST * gain)
        dearer = sure & (offs < worth.before)
        together = Estimate.added([_estimate(worth.joint[n, best[n]]) for n in np.flatnonzero(good)])
        order = np.argsort(-gain, kind="stable")[:SHOWN]
        order = order[good[order]]
        names = self._names([panel.products[self.rows[n]] for n in order])
        share, amount = self.learnt.economics.joint
        shown: list[dict[str, Any]] = []
        for n in order.tolist():
            row = int(self.rows[n])
            full = float(panel.list_price[row])
            shown.append({
                "product": names[panel.products[row]], "before": float(worth.before[n]), "off": float(offs[n]),
                "price": full * (1 - float(offs[n])), "without": float(worth.without[n]),
                "pieces": float(worth.pieces[n, best[n]]),
                "each_before": float(share[row] * full * (1 - worth.before[n]) - amount[row]),
                "each": float(share[row] * full * (1 - offs[n]) - amount[row]),
                "elasticity": float(-self.learnt.response.elasticity[row]),
                "elsewhere": float(worth.elsewhere[n, best[n]]), "gain": _estimate(worth.joint[n, best[n]]),
            })  # fmt: skip
        columns = (
            Column("product", "Product"), Column("before", "Usually off", "share"), Column("off", "Best off", "share"),
            Column("price", "Price", "money"), Column("without", "Pieces as usual", "ratio"),
            Column("pieces", "Pieces at that price", "ratio"),
            Column("each_before", "A piece brings as usual", "money"),
            Column("each", "A piece brings", "money"), Column("elasticity", "Elasticity", "ratio"),
            Column("elsewhere", "Other products bring more", "money"), Column("gain", "Gain", "money"),
        )  # fmt: skip
        dearest = panel.list_price[self.rows] * (1 - min(self.menu))
        losing = int((share[self.rows] * dearest < amount[self.rows]).sum())
        numbers: dict[str, Estimate | int] = {
            "dearer": int(dearer.sum()),
            "cheaper": int((sure & ~dearer).sum()),
            "gain": together,
            "losing": losing,
        }
        if good.any():
            sentence = (
                f"{int(sure.sum()):,} of {several(len(good), 'product')} would surely earn more at a steady price for "
                f"{several(self.days.days, 'day')}: {numbers['dearer']:,} dearer than they are usually sold, "
                f"{numbers['cheaper']:,} cheaper. With those that may, it is "
                f"{self._money(together.mid, signed=True)} contribution profit "
                f"({self._money(together.low, signed=True)} to {self._money(together.high, signed=True)})."
            )
        else:
            sentence = (
                f"None of {several(len(good), 'product')} would earn more at any of these prices than as it is usually "
                "sold."
            )
        if losing:
            lose, them = ("loses", "it") if losing == 1 else ("lose", "them")
            sentence += (
                f" {several(losing, 'product')} {lose} money on each piece at every one of these prices: a list price "
                f"that is dearer, or taking {them} off sale, is what would help."
            )
        chart = None
        if shown:
            chart = charts.ranked_bars([(row["product"], row["gain"]) for row in shown], currency=self.currency)
        note = (
            "Gain is incremental contribution profit of all parties against the seller's usual discounting, over the "
            "days and what is pulled forward from after them: pieces times what a piece brings, less the same as "
            "usual, and what other products bring more. Usually off: on average of the pieces. GMV would fall where a "
            "product gets dearer."
        )
        return Finding("prices", sentence, self.weakest, numbers, Grid(columns, tuple(shown)), chart, note, 100.0)

    def campaign(self, rows: Ints, worth: Worth, days: Period) -> Finding | None:
        """The price for a campaign of a few days, and what of its sales would have come later or elsewhere.

        Args:
            rows: [m] places of the products in question.
            worth: What each share off is worth for them in these days.
            days: The campaign.
        """
        panel, answer = self.learnt.panel, self.learnt.response
        offs = np.array(self.menu)
        # a price below the usual one in the middle may still sell less than deep cuts now and then do: no campaign
        cut = np.asarray((offs[None] >= worth.before[:, None] + DEEPER) & (worth.pieces > worth.without[:, None]))
        joint = np.where(cut, worth.joint[:, :, 0], -np.inf)
        best, each = np.argmax(joint, axis=1), np.arange(len(rows))
        gain = joint[each, best]
        cuts = np.isfinite(gain)
        if not cuts.any():
            return None
        steep = answer.elasticity[rows]
        deeper = (1 - offs[best]) / (1 - worth.before)
        ahead = deeper ** (-steep * max(1 - answer.lasting.mid, 0.0))  # what is missing later, sold on these days
        on_days = worth.pieces[each, best] * ahead
        good = gain > 0
        together = Estimate.added([_estimate(worth.joint[n, best[n]]) for n in np.flatnonzero(good)])
        order = np.argsort(-gain, kind="stable")[:SHOWN]
        order = order[cuts[order]]
        names = self._names([panel.products[rows[n]] for n in order])
        shown: list[dict[str, Any]] = [
            {
                "product": names[panel.products[rows[n]]], "off": float(offs[best[n]]),
                "price": float(panel.list_price[rows[n]] * (1 - offs[best[n]])),
                "without": float(worth.without[n]), "pieces": float(on_days[n]),
                "pulled": float(on_days[n] - worth.pieces[n, best[n]]),
                "drawn": float(answer.diverted.mid * (worth.pieces[n, best[n]] - worth.without[n])),
                "gain": _estimate(worth.joint[n, best[n]]),
            }
            for n in order.tolist()
        ]  # fmt: skip
        columns = (
            Column("product", "Product"), Column("off", "Off", "share"), Column("price", "Campaign price", "money"),
            Column("without", "Pieces as usual", "ratio"), Column("pieces", "Pieces on the days", "ratio"),
            Column("pulled", "Missing afterwards", "ratio"), Column("drawn", "Missing elsewhere", "ratio"),
            Column("gain", "Gain", "money"),
        )  # fmt: skip
        top = shown[0]
        if good.any():
            sentence = (
                f"In a campaign of {several(days.days, 'day')} {int(good.sum())} of {several(len(rows), 'product')} "
                f"would earn more at a lower price: {self._gained(together.mid)} "
                f"({self._money(together.low, signed=True)} to {self._money(together.high, signed=True)}), first of "
                f"all {top['product']} at {human(top['off'], 'share')} off: {top['pieces']:.1f} pieces instead of "
                f"{top['without']:.1f}, of which {top['pulled']:.1f} are missing afterwards."
            )
        else:
            each_of = f"each of {int(cuts.sum())} products, least on " if cuts.sum() > 1 else ""
            sentence = (
                f"A campaign price for {several(days.days, 'day')} would lose on {each_of}{top['product']} at "
                f"{human(top['off'], 'share')} off: {self._gained(top['gain'].mid)}."
            )
        chart = charts.ranked_bars([(row["product"], row["gain"]) for row in shown], currency=self.currency)
        note = (
            f"Best share off for each product, {100 * DEEPER:.0f} points deeper than usual or more, for these days "
            "alone. Missing afterwards: what buyers would have bought in the two weeks after. The traffic that a "
            "platform gives to campaigns is not in it."
            + (f" Judged are the {len(rows)} products that would sell for most." if len(rows) < len(self.rows) else "")
        )
        numbers: dict[str, Estimate | int] = {"gain": together, "products": int(good.sum())}
        return Finding("campaign", sentence, self.weakest, numbers, Grid(columns, tuple(shown)), chart, note, 85.0)

    def promotions(self) -> Finding | None:
        """What past promotions of each depth sold more, beside what they would have had to sell more."""
        panel, bands = self.learnt.panel, self.learnt.response.bands
        share, amount = (np.nan_to_num(values)[self.rows, None] for values in self.learnt.economics.joint)
        full, off = np.nan_to_num(panel.usual)[self.rows, None], np.nan_to_num(panel.off)[self.rows]
        lasting, diverted = self.learnt.response.lasting, self.learnt.response.diverted.mid
        masks = [(off >= band.low) & (off < band.high) for band in bands]
        rise = np.ones(off.shape)
        for band, on in zip(bands, masks, strict=True):
            rise[on] = 1 + band.uplift.mid
        units, at_list = panel.units[self.rows], share * full - amount
        mid, low, high = (
            promoted(units, share * full * (1 - off) - amount, at_list, rise, lasts)
            for lasts in (lasting.mid, lasting.low, lasting.high)
        )
        shown: list[dict[str, Any]] = []
        every: list[tuple[float, ...]] = []
        for band, on in zip(bands, masks, strict=True):
            if not (pieces := float(units[on].sum())):
                continue
            times, told = 1 + band.uplift.mid, mid.of(on)
            brought, *by_rise = (
                float(told.brought(1 + uplift, lasting.mid, diverted))
                for uplift in (band.uplift.mid, band.uplift.low, band.uplift.high)
            )
            by_lasting = [
                float(other.of(on).brought(times, lasts, diverted))
                for other, lasts in ((low, lasting.low), (high, lasting.high))
            ]
            every.append((brought, *by_rise, *by_lasting))
            shown.append({
                "depth": _said(band.low, band.high), "weeks": int(on.sum()), "pieces": pieces, "uplift": band.uplift,
                "needed": told.needed(lasting.mid, diverted),
                "one_more": float(told.paid - diverted * told.listed) / pieces,
                "brought": within(brought, by_rise, by_lasting, level=LEVEL),
            })  # fmt: skip
        if not shown:
            return None
        columns = (
            Column("depth", "Depth"), Column("weeks", "Product-weeks", "count"),
            Column("pieces", "Pieces sold", "count"), Column("uplift", "Sold more, all products", "share"),
            Column("needed", "Needed to break even", "share"), Column("one_more", "One more piece brings", "money"),
            Column("brought", "Profit against no promotion", "money"),
        )  # fmt: skip
        losing = [row for row in shown if row["brought"].high < 0]
        # all depths are compared with the same weeks at the list price, and err together
        brought, *ends = np.sum(every, axis=0).tolist()
        total = within(brought, ends[:2], ends[2:], level=LEVEL)
        sentence = f"Promotions of the last {len(panel.weeks)} weeks brought {self._gained(total)} against no promotion"
        if losing:
            worst = min(losing, key=lambda row: row["brought"].mid)
            sentence += (
                f". At {worst['depth']} off all products together sold {_more(worst['uplift'].mid)}; "
                f"{self._needed(worst)}."
            )
        else:
            sentence += "; no depth surely lost money."
        chart = charts.ranked_bars([(row["depth"], row["brought"]) for row in shown], currency=self.currency)
        note = (
            "Sold more: of all products in the data, also where a category is asked for; within each product, against "
            "its weeks at the list price, weeks of all products taken out. All else is of the products judged. "
            "Needed: by how much pieces must rise for profit to stay the same; unknown where one more piece, less what "
            "other products lose by it, brings all parties nothing. What is missing in the two weeks after, and from "
            "other products, is taken off; the interval carries the errors of what is sold more and of what lasts. The "
            "sum of all depths has those errors at once, since all are compared with the same weeks at the list price."
        )
        grade = Evidence.weakest([self.weakest, Evidence.OBSERVATIONAL])
        return Finding(
            "promotions", sentence, grade, {"brought": total}, Grid(columns, tuple(shown)), chart, note, 90.0
        )

    def _needed(self, row: dict[str, Any]) -> str:
        """What products would have had to sell more at a depth, in words."""
        needed = row["needed"]
        if needed is None:
            return (
                "no rise could have paid, since one more piece of those judged, after refunds, shipping, subsidies and "
                f"what other products lose by it, brought all parties {self._gained(row['one_more'])}"
            )
        much = "more than ten times as many pieces" if needed > ABSURD else f"{human(needed, 'share')} more"
        return f"those judged needed {much} to break even"

    def losers(self) -> Finding | None:
        """The products whose past discounts cost most."""
        panel, answer = self.learnt.panel, self.learnt.response
        off = np.nan_to_num(panel.off)[self.rows]
        on = off >= 0.03
        units = panel.units[self.rows]
        sold = np.where(on, units, 0.0)
        share, amount = (np.nan_to_num(values)[self.rows, None] for values in self.learnt.economics.joint)
        full = np.nan_to_num(panel.usual)[self.rows, None]
        at_price, at_list = share * full * (1 - off) - amount, share * full - amount

        def brought(steep: Array) -> Array:
            rise = np.where(on, (1 - off) ** -steep[:, None], 1.0)
            told = promoted(units, at_price, at_list, rise, answer.lasting.mid)
            against = told.brought(rise, answer.lasting.mid, answer.diverted.mid)
            return np.asarray(np.where(on, against, 0.0).sum(axis=1))

        mid = answer.elasticity[self.rows]
        far = 1.645 * np.hypot(answer.error[self.rows], answer.common)
        values, low, high = brought(mid), brought(mid - far), brought(mid + far)
        order = np.argsort(values, kind="stable")[:SHOWN]
        order = order[(values[order] < 0) & (np.maximum(low, high)[order] < 0)]
        if not len(order):
            return None
        names = self._names([panel.products[self.rows[n]] for n in order])
        shown: list[dict[str, Any]] = [
            {
                "product": names[panel.products[self.rows[n]]], "weeks": int(on[n].sum()),
                "pieces": float(sold[n].sum()),
                "depth": float((sold[n] * off[n]).sum() / max(float(sold[n].sum()), 1e-9)),
                "brought": Estimate(float(values[n]), float(min(low[n], high[n])), float(max(low[n], high[n])), LEVEL),
            }
            for n in order.tolist()
        ]  # fmt: skip
        columns = (
            Column("product", "Product"), Column("weeks", "Weeks discounted", "count"),
            Column("pieces", "Pieces sold meanwhile", "count"), Column("depth", "Mean depth of what was sold", "share"),
            Column("brought", "Profit against no promotion", "money"),
        )  # fmt: skip
        first = shown[0]
        sentence = (
            f"The discounts of {first['product']} cost most: {self._money(first['brought'].mid, signed=True)} "
            "against its "
            f"list price, over {several(first['weeks'], 'week')} at {human(first['depth'], 'share')} off."
        )
        chart = charts.ranked_bars([(row["product"], row["brought"]) for row in shown], currency=self.currency)
        note = (
            "Products whose interval leaves out nought. Pieces at the list price follow from the product's elasticity; "
            "what is missing afterwards and from other products is taken off."
        )
        return Finding("losers", sentence, self.weakest, {}, Grid(columns, tuple(shown)), chart, note, 80.0)

    def answer(self) -> Finding:
        """How demand answers to price."""
        answer = self.learnt.response
        share, amount = (values[self.rows] for values in self.learnt.economics.joint)
        full, others = self.learnt.panel.list_price[self.rows], float(self.learnt.economics.others.sum())
        # A price 1 % lower loses that of what all pieces pay, and sells ε % more, of which λ lasts and δ is others'.
        brings = answer.lasting.mid * (share * full - amount - answer.diverted.mid * others)
        least = np.where(brings > 0, share * full / np.where(brings > 0, brings, 1.0), np.inf)
        middle = float(np.nanmedian(least))
        enough = middle if np.isfinite(middle) else None
        rows: list[dict[str, Any]] = [{"of": "All products", "elasticity": -answer.overall},
                                      {"of": "Prices that sellers set", "elasticity": -answer.observed}]  # fmt: skip
        if answer.randomised is not None:
            rows.append({"of": "Prices drawn by lot", "elasticity": -answer.randomised})
        there = {self.learnt.panel.category[n] for n in self.rows.tolist()}
        by = sorted(
            ((k, v) for k, v in answer.categories.items() if k and k in there), key=lambda kv: (-kv[1].mid, kv[0])
        )
        rows += [{"of": name, "elasticity": -value} for name, value in by[:SHOWN]]
        pays = (
            f"; at the usual margin a lower price would pay from an elasticity of {human(-enough, 'ratio')}"
            if enough is not None
            else ""
        )
        sentence = (
            f"When a price falls by 1%, {answer.overall.mid:.2f}% more pieces are sold ({answer.overall.low:.2f} to "
            f"{answer.overall.high:.2f}){pays}."
        )
        columns = (Column("of", "Of"), Column("elasticity", "Elasticity", "ratio"))
        chart = charts.ranked_bars([(row["of"], row["elasticity"]) for row in rows], unit="ratio", signed=False)
        note = f"From {answer.rows:,} product-weeks, each product and each week of its own. Categories are steadied."
        numbers = {"elasticity": -answer.overall, "enough": None if enough is None else -enough}
        return Finding("answer", sentence, answer.evidence, numbers, Grid(columns, tuple(rows)), chart, note, 70.0)

    def aftermath(self) -> Finding:
        """What of a promotion lasts, what is pulled forward, and what other products lose."""
        answer = self.learnt.response
        rows: list[dict[str, Any]] = [
            {"part": "Lasts over the two weeks after", "share": answer.lasting},
            {"part": "Pulled forward", "share": _less(answer.lasting)},
            {"part": "Drawn from other products", "share": answer.diverted},
        ]
        pulled = _less(answer.lasting)
        missing = (
            f"nothing is surely missing in the two weeks after ({human(pulled.low, 'share')} to "
            f"{human(pulled.high, 'share')})"
            if pulled.low <= 0
            else f"{human(pulled.mid, 'share')} ({human(pulled.low, 'share')} to {human(pulled.high, 'share')}) is "
            f"missing in the two weeks after"
        )
        sentence = (
            f"Of what a promotion sells more, {missing}, and {human(answer.diverted.mid, 'share')} "
            f"({human(answer.diverted.low, 'share')} to {human(answer.diverted.high, 'share')}) is drawn from other "
            f"products."
        )
        columns = (Column("part", "Of what is sold more"), Column("share", "Share", "share"))
        chart = charts.ranked_bars([(row["part"], row["share"]) for row in rows], unit="share", signed=False)
        note = "Both start from what is usual elsewhere, with a wide interval, and follow the data as far as it tells."
        return Finding(
            "aftermath", sentence, Evidence.OBSERVATIONAL, {"lasting": answer.lasting, "diverted": answer.diverted},
            Grid(columns, tuple(rows)), chart, note, 60.0,
        )  # fmt: skip

    def slow_stock(self) -> Finding | None:
        """Stock that would take half a year to sell, and what a markdown would free."""
        if not self.store.has("inventory", "on_hand"):
            return None
        panel = self.learnt.panel
        table = self.store.table("inventory")
        recent = table.filter(table.day.between(panel.last - timedelta(days=6), panel.last))
        latest = recent.group_by("product_id").aggregate(day=recent.day.max())
        stock = recent.inner_join(latest, ["product_id", "day"])
        held = self.store.run(stock.group_by("product_id").aggregate(pieces=stock.on_hand.sum())).to_pylist()
        pieces = {row["product_id"]: float(row["pieces"] or 0) for row in held}
        here = np.array([pieces.get(panel.products[n], 0.0) for n in self.rows])
        weekly = self.worth.without * 7 / self.days.days
        cover = here / np.maximum(weekly, 1e-3)
        settled = (~np.isnan(panel.off[self.rows])).sum(axis=1) >= SETTLED
        bound = here * np.nan_to_num(panel.cost[self.rows])
        slow = settled & (cover > SLOW) & (here > 0)
        if not slow.any():
            return None
        deepest = len(self.menu) - 1
        share, amount = self.learnt.economics.joint
        order = np.flatnonzero(slow)
        order = order[np.argsort(-bound[order], kind="stable")][:SHOWN]
        names = self._names([panel.products[self.rows[n]] for n in order])
        shown: list[dict[str, Any]] = [
            {
                "product": names[panel.products[self.rows[n]]], "pieces": here[n], "cover": float(cover[n]),
                "bound": float(bound[n]), "floor": float(amount[self.rows[n]] / max(float(share[self.rows[n]]), 1e-9)),
                "more": float(self.worth.pieces[n, deepest] - self.worth.without[n]),
                "gain": _estimate(self.worth.joint[n, deepest]),
            }
            for n in order.tolist()
        ]  # fmt: skip
        off, count = human(self.menu[deepest], "share"), int(slow.sum())
        have, they = ("has", "it") if count == 1 else ("have", "they")
        more = float((self.worth.pieces[:, deepest] - self.worth.without)[slow].sum())
        columns = (
            Column("product", "Product"), Column("pieces", "On hand", "count"),
            Column("cover", "Weeks of cover", "count"),
            Column("bound", "Bound at cost", "money"), Column("floor", "Lowest price that covers costs", "money"),
            Column("more", f"Pieces more at {off} off", "count"), Column("gain", f"Gain at {off} off", "money"),
        )  # fmt: skip
        sentence = (
            f"{several(count, 'product')} {have} stock for more than {SLOW:.0f} weeks, "
            f"{self._money(float(bound[slow].sum()))} at cost; at {off} off {they} would sell "
            f"{several(abs(round(more)), 'piece')} {'more' if more >= 0 else 'fewer'} in "
            f"{several(self.days.days, 'day')}."
        )
        chart = charts.ranked_bars(
            [(row["product"], row["bound"]) for row in shown], currency=self.currency, signed=False
        )
        note = (
            "Gain counts a piece's cost as always, as if it could be sold later. Where it cannot, its cost is "
            "lost already, "
            "and any price above nought is a gain. What storage costs is not known."
        )
        return Finding("slow_stock", sentence, self.weakest, {}, Grid(columns, tuple(shown)), chart, note, 50.0)


def _said(low: float, high: float) -> str:
    return f"{human(low, 'share')} or more" if high >= 1 else f"{human(low, 'share')} to {human(high, 'share')}"


def _more(share: float) -> str:
    return f"{human(abs(share), 'share')} {'more' if share >= 0 else 'less'}"


def _estimate(ends: Array) -> Estimate:
    return Estimate(float(ends[0]), float(ends[1]), float(ends[2]), LEVEL)


def _less(share: Estimate) -> Estimate:
    return Estimate(1 - share.mid, 1 - share.high, 1 - share.low, share.level)
