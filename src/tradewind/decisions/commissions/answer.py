"""The commissions study: rates by product and tier, who should pay for them, and where a side should refuse."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from tradewind import charts, progress
from tradewind.decisions.commissions.effort import SUPPOSED
from tradewind.decisions.commissions.gains import TOGETHER, Gains
from tradewind.decisions.commissions.learning import CommissionsSettings, Learnt, estimates, learn
from tradewind.decisions.commissions.past import TIERS
from tradewind.decisions.commissions.terms import BLOCK, NEAR, SURE, Line, lines, split
from tradewind.engines.store import Store
from tradewind.errors import NotFoundError
from tradewind.money import human, several
from tradewind.period import Period
from tradewind.study import Action, Column, Estimate, Evidence, Finding, Grid, Lever, Party, Setting, Study, Subject

IMPROVED_BY = {
    "product_history": "prices and unit costs that hold now",
    "creator_history": "tiers of creators by their followers",
    "products": "departments, so that products are compared with their like",
    "creators": "names of creators",
    "order_discounts": "what the platform gives away on top",
    "refunds": "commission that is taken back",
}
DRAWN = 12  # bars of the chart
TOP = 200  # lines that a table shows

Array = NDArray[np.float64]
Codes = NDArray[np.int64]


def study(store: Store, period: Period, settings: CommissionsSettings | None = None) -> Study:
    """Tell which rate each product should pay which creators, who should pay for it, and who should refuse.

    Args:
        store: The store, as the caller may see it.
        period: The days whose demand is the base of what is to come.
        settings: What to appraise.

    Returns:
        Findings: how much of what creators sell is new, where a higher or lower rate would pay, who should pay for it,
        which lines to refuse, and how tiers answer. Actions: the rates of each product that would bring more.

    Raises:
        MissingDataError: If the store lacks contracts, exposure by creator or unit costs, or contracts tell nothing.
        NotFoundError: If no contract of that creator holds.
    """
    settings = settings or CommissionsSettings()
    progress.told("learning how creators answer to rates", 0, 3)
    learnt = learn(store, period, settings)
    gains = learnt.gains()
    chosen = gains.signed
    if settings.creator:
        names = dict(zip(learnt.past.creators, range(len(learnt.past.creators)), strict=True))
        if settings.creator not in names:
            raise NotFoundError("No contract here is with that creator", got=settings.creator, do="check the id")
        chosen = chosen & (gains.by == names[settings.creator])
    if not chosen.any():
        whose = f"the creator {settings.creator}" if settings.creator else "any creator"
        raise NotFoundError(
            f"No contract with {whose} holds on the last day of the period", got=learnt.period.last,
            do="choose a period at whose end contracts hold",
        )  # fmt: skip
    progress.told("appraising lines", 1, 3)
    found = lines(gains, settings.menu, learnt.busy(ahead(learnt)), chosen)
    teller = _Teller(learnt, gains, found, chosen, whole=store.provenance.whole_marketplace)
    progress.told("writing the findings", 2, 3)
    findings = (teller.new(), teller.rates(), teller.payers(), teller.refusals(), teller.tiers())
    title = f"Which commission should each product pay from {ahead(learnt).first}, and who pays it?"
    return Study(
        "commissions", title, period, tuple(f for f in findings if f is not None), store.provenance, asdict(settings),
        teller.caveats(), () if settings.creator else proposals(learnt, gains),
    )  # fmt: skip


def ahead(learnt: Learnt) -> Period:
    """Return the days that are asked for."""
    first = learnt.period.last + timedelta(days=1)
    return Period(first, first + timedelta(days=learnt.settings.days - 1))


def proposals(learnt: Learnt, gains: Gains) -> tuple[Action, ...]:
    """Return the actions of products where a rate likely brings all parties more and leaves neither payer worse off."""
    pays = gains.pays()
    under = np.flatnonzero(np.isfinite(pays[0]))
    days = ahead(learnt)
    actions: list[Action] = []
    for start in range(0, len(under), BLOCK):
        actions += _menus(learnt, gains, pays, under[start : start + BLOCK], days)
    return learnt.appraise(actions, gains)


def _menus(learnt: Learnt, gains: Gains, pays: tuple[Array, Array], under: Codes, days: Period) -> list[Action]:
    """The menus of some products: rates that are fine for all, with the platform's share and what each draws."""
    goods, menu = learnt.goods, np.array(learnt.settings.menu)
    flat, then = np.repeat(under, len(menu)), np.tile(menu, len(under))
    rate, share = (each[flat] for each in pays)
    brought = gains(flat, then, np.full(len(flat), learnt.busy(days)))
    merchant, platform = brought.merchant.mean(axis=0), brought.platform.mean(axis=0)
    before, after = brought.before.mean(axis=0), brought.after.mean(axis=0)
    part = np.where(then > rate, split(merchant, platform), share)
    funded = np.round(np.clip((share * before + part * (after - before)) / np.maximum(after, 1e-9), 0.0, 1.0), 4)
    by_platform = funded * after - share * before
    by_merchant = after - before - by_platform
    joint = brought.joint
    fine = (joint.mean(axis=0) > 0) & (gains.likely(joint) >= SURE) & (np.abs(then - rate) > NEAR)
    fine &= (platform >= by_platform) & (merchant >= by_merchant)
    found = []
    for n, product in enumerate(under.tolist()):
        places = [at for at in range(n * len(menu), (n + 1) * len(menu)) if fine[at]]
        settings = tuple(
            Setting(
                {"rate": float(then[at]), "platform": float(funded[at])},
                {Party.MERCHANT: max(0.0, float(by_merchant[at])), Party.PLATFORM: max(0.0, float(by_platform[at]))},
            )
            for at in places
        )
        if settings:
            name = goods.ids[product]
            subject = Subject("product", name, goods.shop[product])
            found.append(Action(f"commission-{name}", Lever.COMMISSION, subject, days, settings))
    return found


class _Teller:
    """Puts what was found into words and tables."""

    def __init__(self, learnt: Learnt, gains: Gains, found: list[Line], chosen: NDArray[np.bool_], *, whole: bool):
        self.learnt, self.gains, self.found, self.chosen = learnt, gains, found, chosen
        self.whole, self.currency = whole, learnt.currency
        self.grade = Evidence.ASSUMED if learnt.supposed else Evidence.OBSERVATIONAL

    def _money(self, value: float | Estimate, *, signed: bool = True) -> str:
        return human(value, "money", self.currency, signed=signed)

    def _named(self, line: Line) -> str:
        return f"{self.learnt.goods.title[line.product]} · {TIERS[line.tier]}"

    def new(self) -> Finding:
        """How much of what creators sell would not have been sold without them."""
        share = estimates(self.gains.new_sales(np.unique(self.gains.of[self.chosen]))[:, None])[0]
        effort = self.learnt.effort
        sentence = (
            f"Of what is sold through creators, {human(share, 'share')} is new; the rest would have come through other "
            "surfaces, and a higher rate on it only moves money from merchant to creator."
        )
        numbers = {
            "new": share, "answer": _slope(effort.new.mid, effort.new.error),
            "crowding": _slope(effort.crowding.mid, effort.crowding.error),
            "taken": _slope(effort.taken.mid, effort.taken.error),
        }  # fmt: skip
        note = (
            "Learnt from how the exposure of the same product moves as contracts begin and end, beside its department "
            "in the same week, less what is sold elsewhere when they show less. Of the effort that a rate brings to "
            "one line, "
            f"{human(effort.crowding.mid, 'share')} is taken from the same creators' other lines."
        )
        told = effort.new.told and effort.crowding.told and effort.taken.told
        grade = Evidence.OBSERVATIONAL if told else Evidence.ASSUMED
        return Finding("new", sentence, grade, numbers, None, None, note, 100.0)

    def rates(self) -> Finding:
        """Where a higher or a lower rate would bring all parties more."""
        moved = sorted((line for line in self.found if line.rate != line.now), key=lambda line: -line.joint.mid)
        higher = [line for line in moved if line.rate > line.now]
        lower = [line for line in moved if line.rate < line.now]
        total = sum(line.joint.mid for line in moved)
        days = self.learnt.settings.days
        sentence = (
            f"Of {several(len(self.found), 'line')} of product and tier, {human(len(higher), 'count')} would earn "
            f"more at a higher rate and {human(len(lower), 'count')} at a lower one; together the lines' own gains "
            f"come to {self._money(total)} in {several(days, 'day')}. For the rest no other rate is better for sure."
        )
        columns = (
            Column("line", "Product · tier"), Column("now", "Rate now", "share"), Column("rate", "Proposed", "share"),
            Column("joint", "All parties", "money"), Column("merchant", "Merchant", "money"),
            Column("platform", "Platform", "money"), Column("creator", "Creators", "money"),
            Column("others", "Others", "money"),
        )  # fmt: skip
        rows = tuple(
            {"line": self._named(line), "now": line.now, "rate": line.rate, "joint": line.joint,
             "merchant": line.merchant, "platform": line.platform, "creator": line.creator, "others": line.others}
            for line in moved[:TOP]
        )  # fmt: skip
        chart = (
            charts.ranked_bars(
                [(f"{self._named(line)}: {human(line.now, 'share')} → {human(line.rate, 'share')}", line.joint)
                 for line in moved[:DRAWN]],
                currency=self.currency,
            )
            if moved
            else None
        )  # fmt: skip
        note = (
            "Rates differ between contracts of one product, and of one creator, at the same time: that is what is "
            f"compared. A rate is proposed where all parties together gain with a chance of {human(SURE, 'share')}. "
            "Others are other shops, which gain or lose by what creators show of their products instead, and brands "
            "that fund discounts."
        )
        numbers = {"higher": len(higher), "lower": len(lower), "lines": len(self.found), "total": total}
        return Finding("rates", sentence, self.grade, numbers, Grid(columns, rows), chart, note, 90.0)

    def payers(self) -> Finding | None:
        """Who should pay for each raise, in proportion to what each side gains."""
        raised = sorted((line for line in self.found if line.rate > line.now), key=lambda line: -line.joint.mid)
        if not raised:
            return None
        shared = [line for line in raised if 0.05 < line.share < 0.95]
        alone = [line for line in raised if line.share <= 0.05]
        theirs = len(raised) - len(shared) - len(alone)
        middle = float(np.median([line.share for line in shared])) if shared else None
        even = self.gains.break_even()
        sentence = (
            f"Of {several(len(raised), 'raise')} that would pay, the merchant should fund "
            f"{human(len(alone), 'count')} alone, the platform {human(theirs, 'count')} alone, and both together "
            f"{human(len(shared), 'count')}"
            + ("" if middle is None else f" (the platform's part of these is {human(middle, 'share')} in the middle)")
            + ": each side pays in proportion to what it gains, so that whoever pays keeps a gain."
        )
        columns = (
            Column("line", "Product · tier"), Column("rate", "Rate", "share"),
            Column("share", "Platform's part of the raise", "share"), Column("merchant", "Merchant keeps", "money"),
            Column("platform", "Platform keeps", "money"), Column("even", "Merchant's break-even rate", "share"),
        )  # fmt: skip
        rows = tuple(
            {"line": self._named(line), "rate": line.rate, "share": line.share, "merchant": line.merchant,
             "platform": line.platform,
             "even": estimates(even[:, [line.product]])[0]}
            for line in raised[:TOP]
        )  # fmt: skip
        note = "At the break-even rate a merchant would be as well off without any creator on the product."
        numbers = {
            "raises": len(raised), "merchant": len(alone), "platform": theirs, "shared": len(shared), "part": middle,
        }  # fmt: skip
        return Finding("payers", sentence, self.grade, numbers, Grid(columns, rows), None, note, 80.0)

    def refusals(self) -> Finding:
        """Lines where a raise costs those who pay more than it brings them, however they split it."""
        refused = [line for line in self.found if line.refused and line.short is not None]
        refused.sort(key=lambda line: line.short.mid if line.short else 0.0)
        short = sum(line.short.mid for line in refused if line.short)
        theirs = sum(line.theirs for line in refused)
        sentence = (
            f"Refuse a higher rate on {human(len(refused), 'count')} of {several(len(self.found), 'line')}: the "
            f"next rate up would cost merchant and platform {self._money(-short, signed=False)} more than it brings "
            f"them, however they split it. On {human(theirs, 'count')} of these all parties together would gain, but "
            "the creators more than all of it."
        )
        columns = (
            Column("line", "Product · tier"), Column("now", "Rate now", "share"),
            Column("short", "Merchant and platform together", "money"), Column("contracts", "Contracts", "count"),
        )  # fmt: skip
        rows = tuple(
            {"line": self._named(line), "now": line.now, "short": line.short, "contracts": line.contracts}
            for line in refused[:TOP]
        )
        return Finding("refusals", sentence, self.grade, {"refused": len(refused), "short": short, "theirs": theirs},
                       Grid(columns, rows), None, "", 70.0)  # fmt: skip

    def tiers(self) -> Finding:
        """How the tiers of creators answer to a rate, and what they are paid."""
        past, curve = self.learnt.past, self.learnt.effort.curve
        log = np.log(curve.knots)
        rows = []
        for number, name in enumerate(TIERS):
            mine = self.chosen & (self.gains.tier == number)
            if not mine.any():
                continue
            answer = curve.mid[number, -1] / (log[-1] - log[0])
            error = curve.error[number, -1] / (log[-1] - log[0])
            held = [line for line in self.found if line.tier == number]
            rows.append({
                "tier": name, "creators": len(np.unique(self.gains.by[mine])),
                "contracts": int(self.gains.contracts[mine].sum()),
                "rate": float(np.average(self.gains.rate[mine], weights=self.gains.given.mean(axis=0)[mine])),
                "answer": human(_slope(float(answer), float(error)), "ratio"),
                "gmv": float(past.gmv[np.isfinite(past.rate)][mine].sum()),
                "higher": sum(line.rate > line.now for line in held), "refused": sum(line.refused for line in held),
            })  # fmt: skip
        columns = (
            Column("tier", "Tier"), Column("creators", "Creators", "count"), Column("contracts", "Contracts", "count"),
            Column("rate", "Rate now", "share"), Column("answer", "Effort for 1% more rate, in %"),
            Column("gmv", "GMV in the period", "money"), Column("higher", "Higher pays", "count"),
            Column("refused", "Refuse higher", "count"),
        )  # fmt: skip
        most = max(rows, key=lambda row: float(str(row["gmv"])), default=None)
        words = f"; most is sold by the {most['tier']} tier" if most else ""
        sentence = f"Contracts of {several(len(rows), 'tier')} of creators hold{words}."
        note = (
            "Tiers by followers on the last day: small below a third, large the top tenth of creators with contracts."
        )
        return Finding("tiers", sentence, Evidence.OBSERVATIONAL, {}, Grid(columns, tuple(rows)), None, note, 60.0)

    def caveats(self) -> tuple[str, ...]:
        """What the data cannot answer, and the cheapest test that would."""
        least, most = self.learnt.worth.displaced
        whose = (
            ""
            if self.whole
            else " (of products here, which are not the whole marketplace: what other sellers lose is not counted; "
            "`whole_marketplace` in source.toml says otherwise)"
        )
        told = [
            "Rates were not set by lot: a shop that pays more may also do more for its creators. Cheapest test: for "
            "four weeks offer half of the contracts of a hundred products two points more, drawn by lot within the "
            "product.",
            f"How far a time shown drives away another product's is assumed to lie between {least:.0%} and "
            f"{most:.0%}{whose}, and what single gains are worth when many rates move at once is taken as "
            f"{human(TOGETHER[0], 'share')} of their sum. Both rest on no data: the ledger's holdouts would tell.",
        ]
        high = self.learnt.effort.curve.knots[-1]
        if max(self.learnt.settings.menu) > high:
            told.append(
                f"Rates above {human(float(high), 'share')} were hardly ever paid; beyond it the answer is drawn on "
                "from below, with a wider interval."
            )
        if straight := self.learnt.effort.curve.straight:
            asked = {"each": "each tier is", "some": "each tier is, some of them together,", "all": "all creators are"}
            told.append(
                f"Contracts are too few to tell {'tiers or ' if straight == 'all' else ''}rates apart: "
                f"{asked[straight]} taken to answer to a rate by one "
                f"line, which lies between what contracts say and {SUPPOSED['answer'].mid}% of effort for 1% of rate, "
                f"give or take {SUPPOSED['answer'].error}, which is supposed of any. Cheapest test: offer two rates "
                "by lot."
            )
        if idle := self.learnt.past.idle:
            told.append(
                f"{several(idle, 'contract')} on paper {'counts' if idle == 1 else 'count'} as ended: the creator or "
                "the product has not been shown for longer than chance would have it, or no listing stands."
            )
        if nobodys := self.learnt.past.nobodys:
            told.append(
                f"{several(nobodys, 'contract')} that {'names' if nobodys == 1 else 'name'} no creator, such as open "
                "plans, stay as they are: what creators show without a contract of their own counts at the rate that "
                "orders paid, and no rate proposed changes it."
            )
        if doubled := self.learnt.past.doubled:
            told.append(
                f"{several(doubled, 'pair')} of product and creator had two contracts at once, such as an open plan "
                "beside a targeted one: the one whose rate orders were paid counts, where none tell it the higher one."
            )
        past, days = self.learnt.past, self.learnt.settings.days
        ends = past.ends[np.isfinite(past.rate)][self.chosen]
        if soon := int((ends < days - 0.001).sum()):  # one that holds to the last second holds to the end
            told.append(
                f"Of {several(len(ends), 'pair')} of product and creator under contract, the contracts of "
                f"{human(soon, 'count')} end before the {several(days, 'day')} are over: what is told takes them to be "
                "renewed, at the new rate where one is proposed."
            )
        if odd := self.learnt.worth.odd:
            told.append(
                f"{several(odd, 'week')} of the base came to half as much again as the weeks beside, or as far less, "
                "as in a mega campaign or a holiday: ordinary weeks before count instead, since it does not come again."
            )
        if due := self.learnt.rush.due(ahead(self.learnt)):
            told.append(due)
        told += [
            f"Of {f'the {TIERS[tier]} tier' if tier < len(TIERS) else 'tiers with few contracts'} {said}: what is told "
            "of them here is less sure than it says."
            for tier, said in self.learnt.effort.curve.misfit.items()
        ]
        told += [f"The data do not tell {what}: it is supposed, widely." for what in self.learnt.supposed]
        return tuple(told)


def _slope(mid: float, error: float) -> Estimate:
    return Estimate(mid, mid - 1.645 * error, mid + 1.645 * error)


__all__ = ["IMPROVED_BY", "proposals", "study"]
