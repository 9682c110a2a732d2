"""The coupons study: which customers are worth which coupon, who is left alone, and what past coupons were spent on."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradewind import charts, progress
from tradewind.decisions.coupons.audiences import Group, groups
from tradewind.decisions.coupons.learnt import Learnt, dose, learn, shares
from tradewind.decisions.coupons.meeting import Audience
from tradewind.decisions.coupons.settings import CouponsSettings
from tradewind.engines.store import Store
from tradewind.methods.allocate import Allocate, frontier
from tradewind.money import gained, human, several
from tradewind.period import Period
from tradewind.study import (
    Action,
    Assignment,
    Column,
    Estimate,
    Evidence,
    Finding,
    Grid,
    Lever,
    Party,
    Setting,
    Study,
    Subject,
)

Array = NDArray[np.float64]

NEEDS = ("order_lines", "coupons", "coupon_grants")
IMPROVED_BY = {
    "assignments": "coupons drawn by lot, which no habit of giving confounds",
    "order_discounts": "what was taken off, where coupons name no face value",
    "events": "how often customers come, by which coupons work or not",
    "customers": "customers who have not bought yet",
    "refunds": "what comes back of the orders that a coupon brings",
    "order_status": "orders that were never paid",
}
SHOWN = 12  # audiences in the chart
DRAWS = 40  # of what coupons bring, from which it is told how sure it is what was spent in vain
POINTS = 12  # of the curve from cost to gain
SHOWS = 0.005  # share of orders that what is hidden brings, from which it is told
USUAL_DEPTH = 0.1  # of a coupon that is proposed where none names its face value


def study(store: Store, period: Period, settings: CouponsSettings | None = None) -> Study:
    """Tell which customers are worth which coupon, and propose whom to give one.

    Args:
        store: The store, as the caller may see it.
        period: The days whose demand is taken as the base of what is to come.
        settings: What to propose.

    Returns:
        Findings: what coupons are worth by audience, what of their cost goes to orders that come anyway, who is left
        alone, whom to give which coupon within the budget, and what other budgets would gain; and actions of the lever
        coupon.

    Raises:
        MissingDataError: If the period does not meet the data, no coupon taught anything, or nothing tells unit costs.
    """
    settings = settings or CouponsSettings()
    if not settings.payer:
        settings = replace(settings, payer="platform" if store.scope.everything else "merchant")
    seen = period.within(store.span)
    progress.told("learning what coupons do", 0, 2)
    learnt = learn(store, seen, settings)
    progress.told("appraising coupons", 1, 2)
    teller = _Teller(store, learnt, seen, settings)
    findings = (teller.worth(), teller.recommended(), teller.anyway(), teller.alone(), teller.curve(), teller.lift())
    told = tuple(sorted((f for f in findings if f is not None), key=lambda finding: -finding.weight))
    title = f"Who is worth a coupon after {Period(period.last, period.last).title}?"
    return Study(
        "coupons", title, period, told, store.provenance, asdict(settings), teller.caveats(), teller.proposed
    )  # fmt: skip


class _Teller:
    """Appraises coupons for every audience, picks under the budget, and turns both into findings."""

    def __init__(self, store: Store, learnt: Learnt, seen: Period, settings: CouponsSettings):
        self.store, self.learnt, self.settings = store, learnt, settings
        self.currency = store.provenance.currency
        first = seen.last + timedelta(days=1)
        self.days = Period(first, first + timedelta(days=settings.days - 1))
        self.shop = next(iter(store.scope.shops)) if store.scope.shops and len(store.scope.shops) == 1 else None
        self.menu = settings.menu or learnt.tried or self._usual()
        self.groups = groups(learnt)
        self.meetings = {terms: learnt.meeting(*terms, self.days) for terms in self.menu}
        self.audiences: list[list[Audience]] = []
        actions, places = [], []
        for group in self.groups:
            menu, told = [], []
            for terms in self.menu:
                setting = Setting(
                    {"face": terms[0], "threshold": terms[1], **self._paid(self.meetings[terms], group)}, {}
                )
                audience = self.meetings[terms].among(group.who, shares(setting, self.shop))
                menu.append(replace(setting, cost=self._cost(setting, audience)))
                told.append(audience)
            order = np.argsort([sum(setting.cost.values()) for setting in menu], kind="stable")
            places.append(order)
            name = f"coupon-{group.key}"
            units = [learnt.record.ids[n] for n in group.who]
            actions.append(Action(
                name, Lever.COUPON, Subject("customers", name, self.shop), self.days, tuple(menu[n] for n in order),
                assignment=Assignment(name, units),
            ))  # fmt: skip
            self.audiences.append([told[n] for n in order])
        self.actions = learnt.appraise(actions)
        self.terms = np.stack(places)  # of each audience's settings, by rising cost, an index into the menu
        self.mid = self._matrix(lambda setting: setting.joint.mid if setting.joint else 0.0)
        self.spend = self._matrix(lambda setting: sum(setting.cost.values()))
        budget = settings.budget or np.inf
        self.choice = Allocate(seed=settings.seed, threads=1)(self.mid, self.spend, [budget]).choice
        best = self.mid.max(axis=1)
        order = np.argsort(-best, kind="stable")
        self.proposed = tuple(self._funded(n) for n in order.tolist() if best[n] > 0)
        self.order = order

    def _matrix(self, read: Any) -> Array:
        return np.array([[float(read(setting)) for setting in action.menu] for action in self.actions])

    def _usual(self) -> tuple[tuple[float, float], ...]:
        """A coupon of what one took off on average, where coupons name no face value."""
        issues = self.learnt.record.issues
        face = round(float(np.mean(issues.face[self.learnt.cases.teaching])), 2)
        return ((face, 0.0), (2 * face, round(2 * face / USUAL_DEPTH, 2)))

    def _paid(self, meeting: Any, group: Group) -> dict[str, float]:
        """The platform's share: all, nothing, or as both sides gain from the orders that the coupon brings."""
        if self.settings.payer != "cofunded":
            return {"platform": 1.0 if self.settings.payer == "platform" else 0.0, "brand": 0.0}
        free = meeting.among(group.who, np.zeros(4))
        gains = np.maximum(free.sums @ self.learnt.fit.coefficients + free.still, 0.0)
        both = float(gains[0] + gains[1])
        return {"platform": round(float(gains[1]) / both, 2) if both > 0 else 0.5, "brand": 0.0}

    def _funded(self, number: int) -> Action:
        """Return an action with who may pay: where both may, either may alone as well, as a plan's budgets have it."""
        action, who = self.actions[number], self.groups[number].who
        if self.settings.payer != "cofunded":
            return action
        menu = []
        for setting in action.menu:
            menu.append(setting)
            for part in sorted({1.0, 0.0} - {setting.dose["platform"]}):
                other = replace(setting, dose={**setting.dose, "platform": part})
                audience = self.meetings[dose(setting, action.key)].among(who, shares(other, self.shop))
                other = self.learnt.setting(replace(other, cost=self._cost(other, audience)), audience)
                menu.append(replace(other, joint=setting.joint))  # to the last digit: who pays only moves it
        return replace(action, menu=tuple(menu))

    def _cost(self, setting: Setting, audience: Audience) -> dict[Party, float]:
        """What the coupon draws from each payer's budget: its face value on every order on which it is used."""
        merchant, platform, _, brand = shares(setting, self.shop)
        parts = {Party.MERCHANT: merchant, Party.PLATFORM: platform, Party.BRAND: brand}
        return {party: float(part * audience.cost) for party, part in parts.items() if part > 0}

    def _said(self, value: float) -> str:
        return human(value, "money", self.currency)

    def _gained(self, value: Estimate | float) -> str:
        return gained(value, self.currency)

    def _terms(self, setting: Setting) -> str:
        face, threshold = dose(setting, "")
        return f"{self._said(face)} off" + (f" from {self._said(threshold)}" if threshold else "")

    @property
    def _evidence(self) -> Evidence:
        return self.learnt.evidence

    def worth(self) -> Finding:
        """What the best coupon is worth in each audience."""
        rows, bars = [], []
        for n in self.order.tolist():
            action = self.actions[n]
            place = int(np.argmax(self.mid[n]))
            setting, audience = action.menu[place], self.audiences[n][place]
            rows.append({
                "audience": self.groups[n].title, "customers": len(self.groups[n].who), "coupon": self._terms(setting),
                "orders": round(audience.orders, 1), "brought": round(audience.brought, 1),
                "cost": sum(setting.cost.values()), "gain": setting.joint, "attributed": setting.attributed,
            })  # fmt: skip
            bars.append((self.groups[n].label, setting.joint))
        best = self.mid.max(axis=1)
        settings = (action.menu[int(np.argmax(self.mid[n]))] for n, action in enumerate(self.actions))
        sure = sum(setting.joint is not None and setting.joint.low > 0 for setting in settings)
        pays = int((best > 0).sum())
        of = f"{pays} of {several(len(best), 'audience')}"
        surely = f"are worth a coupon, {sure or 'none'} of them surely"
        if pays == 1:
            surely = f"is worth a coupon, {'surely' if sure else 'not surely'}"
        everybody = max(float(self.mid[self.terms == n].sum()) for n in range(len(self.menu)))
        sentence = (
            f"{of} {surely}: together {self._gained(float(best[best > 0].sum()))} of joint profit over "
            f"{several(self.settings.days, 'day')} and the two weeks after"
            if pays
            else "No audience is worth a coupon"
        )
        sentence += f"; given to everybody, the best one would make {self._gained(everybody)}."
        columns = (
            Column("audience", "Audience"), Column("customers", "Customers", "count"), Column("coupon", "Best coupon"),
            Column("orders", "Orders that come anyway", "count"), Column("brought", "Orders it brings", "count"),
            Column("cost", "Cost where used", "money"), Column("gain", "Joint gain", "money"),
            Column("attributed", "GMV attributed to it", "money"),
        )  # fmt: skip
        shown = [*bars[: SHOWN // 2], *bars[-(SHOWN - SHOWN // 2) :]] if len(bars) > SHOWN else bars
        chart = charts.ranked_bars([(label, value) for label, value in shown if value], currency=self.currency)
        numbers = {"audiences": len(best), "worth_it": pays, "surely": sure, "everybody": everybody}
        note = (
            self.learnt.cases.odds.sentence + " GMV attributed is what coupons would be credited with, not their gain."
        )
        return Finding("worth", sentence, self._evidence, numbers, Grid(columns, tuple(rows)), chart, note, 100.0)

    def recommended(self) -> Finding:
        """Whom to give which coupon within the budget."""
        rows, joints, cost = [], [], 0.0
        parties = dict.fromkeys((Party.MERCHANT, Party.PLATFORM, Party.CREATOR, Party.BRAND), 0.0)
        customers = 0
        for n, place in enumerate(self.choice.tolist()):
            if place < 0:
                continue
            action, setting = self.actions[n], self.actions[n].menu[place]
            joint = setting.joint or Estimate(0.0, 0.0, 0.0)
            joints.append(joint)
            cost += sum(setting.cost.values())
            customers += len(self.groups[n].who)
            for party, gain in setting.gain.items():
                parties[party] += gain.mid
            rows.append({
                "audience": self.groups[n].title, "customers": len(self.groups[n].who), "coupon": self._terms(setting),
                "platform": setting.dose.get("platform"), "cost": sum(setting.cost.values()), "gain": joint,
                "assignment": action.assignment.name if action.assignment else "",
            })  # fmt: skip
        total = Estimate.added(joints)
        budget = self.settings.budget
        limit = f"of a budget of {self._said(budget)} " if budget else ""
        if not rows:
            sentence = f"Give none: nothing {limit}is better spent on coupons than kept."
        else:
            sentence = (
                f"Give coupons to {several(customers, 'customer')} in {several(len(rows), 'audience')}: they cost "
                f"{self._said(cost)} {limit}where used, and gain {self._gained(total)}."
            )
            losers = [
                f"{party}s" if party == Party.MERCHANT else f"the {party}"
                for party, g in parties.items()
                if g < 0 and self._said(g) != self._said(0.0)
            ]
            if losers:
                sentence += f" It costs {' and '.join(losers)} more than it brings in there."
        columns = (
            Column("audience", "Audience"), Column("customers", "Customers", "count"), Column("coupon", "Coupon"),
            Column("platform", "Paid by the platform", "share"), Column("cost", "Cost where used", "money"),
            Column("gain", "Joint gain", "money"), Column("assignment", "Assignment"),
        )  # fmt: skip
        numbers: dict[str, Any] = {"customers": customers, "cost": cost, "gain": total}
        numbers |= {f"gain_{party}": gain for party, gain in parties.items()}
        note = "The interval of the total is added up as a plan does: errors of audiences go together in part."
        return Finding("recommended", sentence, self._evidence, numbers, Grid(columns, tuple(rows)), None, note, 95.0)

    def anyway(self) -> Finding:
        """What of the cost of coupons given lately went to orders that would have come anyway."""
        learnt, issues = self.learnt, self.learnt.record.issues
        rows, cost, untold, anyway = [], 0.0, 0, np.zeros(1 + DRAWS)  # the middle first
        draws = learnt.fit.drawn(DRAWS, self.settings.seed)
        for issue in learnt.cases.teaching[-4:].tolist():
            who = np.flatnonzero(issues.given[:, issue])
            face, threshold = float(issues.face[issue]), float(issues.threshold[issue])
            days = max(round((issues.end[issue] - issues.start[issue]) / 86_400), 1)
            found = [learnt.cases.spent(issue, beta) for beta in (learnt.fit.coefficients, *draws)]
            used, shares = found[0][0], np.array([each[1] for each in found])
            paid, unknown = float(issues.cost[issue]), int(issues.untold[issue])
            rows.append({
                "coupon": self._terms(Setting({"face": face, "threshold": threshold}, {})), "days": days,
                "customers": len(who), "used": used, "cost": paid if paid or not unknown else None,
                "anyway": _share(shares),
            })  # fmt: skip
            cost, anyway, untold = cost + paid, anyway + paid * shares, untold + unknown
        share = _share(anyway / cost) if cost > 0 else Estimate(0.0, 0.0, 0.0)
        lately = f"the last {len(rows)} coupons" if len(rows) > 1 else "the last coupon"
        if cost > 0:
            sentence = f"Of what {lately} cost, {human(share, 'share')} went to orders that would have come anyway."
        else:
            sentence = f"What {lately} cost is not known." if untold else "Coupons given lately were not used."
        columns = (
            Column("coupon", "Coupon"), Column("days", "Days", "count"), Column("customers", "Customers", "count"),
            Column("used", "Used by", "count"), Column("cost", "Cost", "money"),
            Column("anyway", "On orders that come anyway", "share"),
        )  # fmt: skip
        note = (
            "Orders that come anyway are those expected without it, with what is not known of what a coupon brings. "
            "Who used it counts once, however often."
        )
        if untold:
            note += f" Cost is what was taken off, as far as orders tell; of {several(untold, 'use')} they do not."
        numbers: dict[str, Any] = {"share": share, "cost": cost}
        return Finding(
            "anyway", sentence, learnt.cases.odds.evidence, numbers, Grid(columns, tuple(rows)), None, note, 85.0
        )

    def alone(self) -> Finding:
        """Who is better left without any coupon."""
        rows, customers, lost = [], 0, 0.0
        for n in self.order[::-1].tolist():
            settings = [setting.joint for setting in self.actions[n].menu if setting.joint]
            if not all(joint.high < 0 for joint in settings):
                continue
            place = int(np.argmax(self.mid[n]))
            customers += len(self.groups[n].who)
            lost += settings[place].mid
            rows.append({
                "audience": self.groups[n].title, "customers": len(self.groups[n].who), "gain": settings[place],
                "brought": round(self.audiences[n][place].brought, 1),
            })  # fmt: skip
        fewer = (round(told[0].brought, 1) < 0 for told in self.audiences)
        annoyed = sum(len(group.who) for group, some in zip(self.groups, fewer, strict=True) if some)
        known = (
            f" In audiences of {several(annoyed, 'customer')} a small coupon is expected to bring fewer orders."
            if annoyed
            else " No audience as a whole buys less for having one; single customers who do cannot be told apart."
        )
        everyone = len(self.learnt.record.ids)
        sentence = (
            f"Leave {customers:,} of {several(everyone, 'customer')} alone: even the best coupon would surely lose "
            f"there, {self._gained(lost)} in all.{known}"
            if rows
            else f"For no audience is it sure that every coupon loses.{known}"
        )
        columns = (
            Column("audience", "Audience"), Column("customers", "Customers", "count"),
            Column("brought", "Orders the best one brings", "count"), Column("gain", "Joint gain", "money"),
        )  # fmt: skip
        numbers = {"customers": customers, "annoyed": annoyed, "lost": lost}
        return Finding("alone", sentence, self._evidence, numbers, Grid(columns, tuple(rows)), None, "", 80.0)

    def curve(self) -> Finding:
        """What each budget would gain."""
        found = frontier(self.mid, self.spend, POINTS)
        rows = tuple(
            {"cost": float(cost), "gain": float(gain)} for cost, gain in zip(found.cost, found.gain, strict=True)
        )
        last = rows[-1]
        sentence = (
            f"Spending up to {self._said(last['cost'])} on coupons gains up to {self._gained(last['gain'])}; beyond, "
            "each coupon loses."
            if last["gain"] > 0
            else "Every sum spent on coupons would lose."
        )
        columns = (Column("cost", "Cost where used", "money"), Column("gain", "Joint gain, expected", "money"))
        note = "Each point spends where the next unit of money gains most."
        return Finding("curve", sentence, self._evidence, {}, Grid(columns, rows), None, note, 70.0)

    def lift(self) -> Finding:
        """By what share coupons raise orders, by how deep they are."""
        learnt = self.learnt
        rows = [
            {"depth": float(depth), "lift": learnt.typical(float(depth))} for depth in (0.05, 0.10, 0.15, 0.20, 0.25)
        ]
        some = rows[3]["lift"]
        echo = learnt.effect.later
        later = Estimate(echo.mid, echo.mid - 1.645 * echo.deviation, echo.mid + 1.645 * echo.deviation)
        sentence = (
            f"A coupon worth a fifth of an order raises such orders by {human(some, 'share')} among those who hold it; "
            f"for each order that it brings, {human(later, 'ratio', signed=True)} follow in the two weeks after it."
        )
        columns = (Column("depth", "Face value over order value", "share"), Column("lift", "More orders", "share"))
        note = "Over all customers as coupons met them, weighted by their orders."
        return Finding(
            "lift", sentence, learnt.cases.odds.evidence, {"later": later}, Grid(columns, tuple(rows)), None, note, 60.0
        )

    def caveats(self) -> tuple[str, ...]:
        """What the data could not answer, and the cheapest test that would."""
        learnt = self.learnt
        told = [learnt.cases.odds.sentence]
        coupons, holders = learnt.record.by_use
        if coupons:
            told.append(
                f"Left out: {several(coupons, 'coupon')} (those of the same days count as one) with "
                f"{several(holders, 'known holder')}, nearly all of whom used theirs. The source seems to tell who "
                "used one, but not who else had it: to have had one is then to have ordered, and tells no effect."
            )
        if unwritten := learnt.record.issues.unwritten:
            told.append(
                f"Left out: {several(unwritten, 'coupon')} whose chances nobody wrote down, since the chances of "
                "others are known."
            )
        if claimed := learnt.record.issues.claimed:
            told.append(
                f"Left out: {several(claimed, 'coupon')} that customers took themselves, as in live rooms: who takes a "
                "coupon is about to order, whether or not it does anything."
            )
        if learnt.odd:
            told.append(
                f"{several(learnt.odd, 'week')} of the base had half as many orders again as the weeks beside, or as "
                "far fewer, as in a mega campaign or a holiday: ordinary weeks before count instead, since it does not "
                "come again."
            )
        if due := learnt.rush.due(self.days):
            told.append(f"{due} Who orders then is taken to answer to a coupon as on other days.")
        if learnt.cases.hidden >= SHOWS:
            told.append(
                f"Who was given a coupon made {human(learnt.cases.hidden, 'share')} more orders too small for it than "
                "customers like them, which no coupon brings: larger orders are taken to be as many more for the same "
                "unknown reason, and that is not counted as its effect."
            )
        if learnt.cases.odds.evidence != Evidence.RANDOMISED:
            told.append(
                "The cheapest test that would tell for sure: give the recommended coupons to half of each audience, "
                "drawn by lot, for two weeks."
            )
        untried = [terms for terms in self.menu if (round(terms[0], 2), round(terms[1], 2)) not in learnt.tried]
        if untried:
            names = ", ".join(self._terms(Setting({"face": f, "threshold": t}, {})) for f, t in untried)
            told.append(f"Not known to have been given: {names}. What they do is read off coupons of other depths.")
        longest = max(
            round((learnt.record.issues.end[n] - learnt.record.issues.start[n]) / 86_400) for n in learnt.cases.teaching
        )
        if self.settings.days > longest:
            told.append(
                f"Coupons ran for {several(longest, 'day')} at most; for {several(self.settings.days, 'day')} they are "
                "taken to work as well."
            )
        if learnt.record.orders.by_piece:
            told.append(
                "Thresholds are held against the dearest piece of an order: several cheap pieces were not enough."
            )
        if self.store.scope.shops is not None:
            told.append(
                "Only orders and customers of these shops are seen; what a coupon takes from other shops is not in it."
            )
        if learnt.margin is not None:
            told.append("Profit rests on an assumed margin; the break-even margin is in each action.")
        told.append(
            "Coupons that shops gave to their own buyers do not teach here, since nobody knows who else could have."
        )
        return tuple(told)


def _share(drawn: Array) -> Estimate:
    """Return a share [middle, draws] as it is told: its middle, and an interval from the deviation of the draws."""
    mid, reach = float(drawn[0]), 1.645 * float(np.std(drawn[1:]))
    return Estimate(mid, max(mid - reach, 0.0), min(mid + reach, 1.0))
