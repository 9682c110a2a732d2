"""Learnt: what coupons do, as far as a store tells, and what any coupon for any customers is worth by that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from tradewind.decisions.coupons.calendar import background
from tradewind.decisions.coupons.issues import DAY
from tradewind.decisions.coupons.meeting import Audience, Effect, Meeting, People
from tradewind.decisions.coupons.past import Past
from tradewind.decisions.coupons.record import PARTIES, Record, read
from tradewind.decisions.coupons.settings import CouponsSettings
from tradewind.decisions.coupons.teaching import Cases, cases, lifted
from tradewind.decisions.coupons.worth import DEEP, Worth
from tradewind.engines.campaigns import Rush, rush
from tradewind.engines.store import Store
from tradewind.errors import BadInputError
from tradewind.measures.metrics import COST, assumed
from tradewind.methods.lift import LiftFit
from tradewind.methods.standout import ordinary, standout
from tradewind.money import gained, human
from tradewind.period import Period
from tradewind.study import Action, Estimate, Evidence, Lever, Setting

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

LEVEL = 0.9
FOLLOWS = 0.3
"""Deviation, before the data, of how many other orders change for each that a coupon brings."""
UNLIKE = 0.3
"""Share by which what an audience does anyway, and what a coupon adds to it, may differ from customers like it; set so
that intervals held the truth of simulated towns."""
UNTRIED = 0.5
"""Deviation of the lift of a coupon twice as deep as any tried, as a share of that lift; judged."""
STEP = 0.1
"""The same of a coupon within the depths that were tried, at a face value or threshold that was not."""
HIDDEN = 0.3
"""Share by which what is hidden may raise orders that a coupon fits otherwise than those too small for it; judged."""
EXPIRY = 56  # days for which numbers may be used
STEADY = 16.0  # orders by which weeks are steadied, so that few do not stand out by chance
SMOOTH = 20.0  # orders for which the expected number counts beside the observed


@dataclass(frozen=True)
class Learnt:
    """What coupons do, from everything known at the end of a period.

    Args:
        record: What is known.
        cases: The cases that taught.
        fit: The lift.
        people: The customers as they are now.
        effect: What coupons do.
        shaken: Deviation of the number of orders to come, as a share.
        currency: Currency of all money.
        period: The days whose demand is the base of what is to come.
        margin: The margin that is assumed, where some costs are not known; else None.
        odd: Number of weeks of the base that stand out, in whose place ordinary ones before them count.
        rush: Days of the marketplace's campaigns, and how many orders come on them.
    """

    record: Record
    cases: Cases
    fit: LiftFit
    people: People
    effect: Effect
    shaken: float
    currency: str
    period: Period
    margin: float | None = None
    odd: int = 0
    rush: Rush = field(default_factory=Rush)

    @property
    def evidence(self) -> Evidence:
        """How the gains were earned: as the effects were, and no better than assumed where the margin is."""
        grades = [self.cases.odds.evidence, *([Evidence.ASSUMED] if self.margin is not None else [])]
        return Evidence.weakest(grades)

    @cached_property
    def tried(self) -> tuple[tuple[float, float], ...]:
        """Face value and threshold of every coupon that taught, by rising face value."""
        issues = self.record.issues
        taught = [n for n in self.cases.teaching if issues.told[n]]
        return tuple(sorted({(round(float(issues.face[n]), 2), round(float(issues.threshold[n]), 2)) for n in taught}))

    def typical(self, depth: float) -> Estimate:
        """Return by what share a coupon of some depth raises orders, over all customers weighted by their orders."""
        features, weight = self.cases.features, self.cases.mean / self.cases.mean.sum()
        looks = self.cases.looks
        line = weight @ ((features - looks.centre) / looks.scale)
        cells = looks.by_cell(features, weight)
        deep = depth / DEEP
        sums = np.concatenate([[1.0, deep], line, line * deep, cells * deep])
        mid, low, high = (float(end[0]) for end in self.fit.linear(sums[None, :], LEVEL))
        return Estimate(mid, low, high, LEVEL)

    def meeting(self, face: float, threshold: float, days: Period) -> Meeting:
        """Return what a coupon does with each customer over some days."""
        first = self.record.now + (days.first - self.period.last).days * DAY - DAY
        others = background(self.record, first, first + days.days * DAY)
        worth = self.cases.worth
        return Meeting(
            self.people, worth, worth.terms(face, threshold, others, self.effect.use), others, self.effect,
            self.rush.ordinary(days),
        )  # fmt: skip

    def numbers(self, units: Sequence[str]) -> Ints:
        """Return the numbers of customers among those known, without those who are not, each once."""
        place = [self._place[name] for name in units if name in self._place]
        return np.unique(np.array(place, np.int64))

    @cached_property
    def _deepest(self) -> float:
        """The deepest that any coupon that taught could be: its face value over its threshold."""
        issues = self.record.issues
        return max(float(issues.face[n] / max(issues.threshold[n], issues.face[n], 0.01)) for n in self.cases.teaching)

    @cached_property
    def _place(self) -> dict[str, int]:
        return {name: n for n, name in enumerate(self.record.ids)}

    def appraise(self, actions: Sequence[Action]) -> tuple[Action, ...]:
        """Return coupon actions with what every setting is expected to gain by party, and how sure that is.

        Args:
            actions: Actions of the lever `coupon`, each with the customers whom it reaches.

        Raises:
            BadInputError: If an action is not of this lever, holds in the past, or a setting names no face value.
        """
        met: dict[tuple[float, float, Period], Meeting] = {}
        found = []
        for action in actions:
            if action.lever != Lever.COUPON or action.assignment is None or action.days.first <= self.period.last:
                raise BadInputError(
                    "Only coupons for customers, in days to come, can be appraised here", got=action.key,
                    allowed=f"actions of the lever coupon after {self.period.last}",
                )  # fmt: skip
            who = self.numbers(action.assignment.units)
            menu, told = [], []
            for setting in action.menu:
                terms = (*dose(setting, action.key), action.days)
                if terms not in met:
                    met[terms] = self.meeting(*terms)
                audience = met[terms].among(who, shares(setting, action.subject.shop))
                menu.append(self.setting(setting, audience))
                told.append(audience)
            expires = min(self.period.last + timedelta(days=EXPIRY), action.days.last)
            why = self._why(menu, told)
            found.append(replace(action, menu=tuple(menu), evidence=self.evidence, why=why, expires=expires))
        return tuple(found)

    def setting(self, setting: Setting, audience: Audience) -> Setting:
        """Return a setting with what it is expected to gain among an audience."""
        face, threshold = dose(setting, "")
        gain = {party: self._estimate(audience.of(n), face, threshold) for n, party in enumerate(PARTIES)}
        joint = self._estimate(audience.of(slice(None)), face, threshold)
        return replace(setting, gain=gain, joint=joint, attributed=audience.gmv)

    def _estimate(self, gain: tuple[Array, float, float, float], face: float, threshold: float) -> Estimate:
        """A gain that is linear in the lift, with all that is not known of it."""
        sums, still, later, small = gain
        brings = float(sums @ self.fit.coefficients)
        mid = still + brings
        few = -stdtrit(self.fit.freedom, (1 - LEVEL) / 2) / ndtri((1 + LEVEL) / 2)  # Student's t of few clusters
        variance = float(few**2 * self.fit.variance(sums[None, :])[0])
        variance += (self.effect.later.deviation * later) ** 2 + (self.effect.small.deviation * small) ** 2
        variance += (self.shaken * mid) ** 2 + UNLIKE**2 * (still**2 + brings**2)
        variance += (HIDDEN * self.cases.hidden * float(sums[0])) ** 2
        if (round(face, 2), round(threshold, 2)) not in self.tried:
            beyond = max(face / max(threshold, face) / self._deepest - 1, 0.0)
            variance += ((STEP + UNTRIED * beyond) * brings) ** 2
        reach = float(ndtri((1 + LEVEL) / 2) * np.sqrt(variance))
        return Estimate(mid, mid - reach, mid + reach, LEVEL)

    def _why(self, menu: Sequence[Setting], told: Sequence[Audience]) -> str:
        best = int(np.argmax([setting.joint.mid if setting.joint else -np.inf for setting in menu]))
        face, threshold = dose(menu[best], "")
        audience = told[best]
        wasted = min(audience.anyway / audience.cost, 1.0) if audience.cost > 0 else 0.0
        tried = (
            "" if (round(face, 2), round(threshold, 2)) in self.tried else " Such a coupon is not known to be tried."
        )
        least = f" from {human(threshold, 'money', self.currency)}" if threshold else ""
        come = "comes" if round(audience.orders) == 1 else "come"
        return (
            f"{human(face, 'money', self.currency)} off{least} would bring "
            f"{audience.brought:,.1f} orders beside {audience.orders:,.0f} that {come} anyway, and "
            f"{human(wasted, 'share')} of its cost would go to these: {self._said(menu[best])} is left.{tried}"
            f"{self.break_even(menu[best], audience)}"
        )

    def break_even(self, setting: Setting, audience: Audience) -> str:
        """The margin from which on a setting pays, where a margin is assumed; empty where costs are known."""
        if self.margin is None or setting.joint is None:
            return ""
        if audience.more <= 0:
            return " It pays at no margin, since it brings nothing."
        least = self.margin - setting.joint.mid / audience.more
        if least >= 1:
            return " It pays at no margin."
        if least <= 0:
            return f" It pays at any margin; {human(self.margin, 'share')} is assumed."
        return f" It pays from a margin of {human(least, 'share')}; {human(self.margin, 'share')} is assumed."

    def _said(self, setting: Setting) -> str:
        return gained(setting.joint, self.currency) if setting.joint else "unknown"


def dose(setting: Setting, key: str) -> tuple[float, float]:
    """Return the face value and the threshold of a setting.

    Raises:
        BadInputError: If it has none.
    """
    face, threshold = float(setting.dose.get("face", 0.0)), float(setting.dose.get("threshold", 0.0))
    if not 0 < face < np.inf or not 0 <= threshold < np.inf:
        raise BadInputError(
            "A coupon has a face value above zero and a threshold", got=f"{key} {dict(setting.dose)}".strip(),
            allowed="face and threshold in money",
        )  # fmt: skip
    return face, threshold


def shares(setting: Setting, shop: str | None) -> Array:
    """Return who pays a coupon: merchant, platform, creator, brand. A shop pays its own unless the dose says other."""
    by_platform = float(setting.dose.get("platform", 0.0 if shop else 1.0))
    by_brand = float(setting.dose.get("brand", 0.0))
    return np.array([max(1 - by_platform - by_brand, 0.0), by_platform, 0.0, by_brand])


def learn(store: Store, period: Period, settings: CouponsSettings | None = None) -> Learnt:
    """Learn what coupons do from everything known at the end of a period.

    Args:
        store: The store, as the caller may see it.
        period: The days whose demand is taken as the base of what is to come.
        settings: What to propose.

    Raises:
        MissingDataError: If unit costs are unknown and no margin is assumed, or no coupon has taught anything.
    """
    settings = settings or CouponsSettings()
    record = read(store, period)
    past = Past(record)
    taught = cases(record, past, Worth(record, past), settings.seed)
    taught, fit = lifted(taught)
    everybody = np.arange(len(record.ids))
    features = past.features(everybody, record.now)
    rate = taught.expected(features)
    busy, weight = _rush(store, record, period)
    seen, odd = _seen(record, period.days, weight)
    rate = rate * (seen + SMOOTH) / (rate.sum() * period.days + SMOOTH)
    people = People(features, taught.worth.kind(past.usual(everybody, record.now)), rate, taught.odds.predict(features))
    effect = Effect(taught.looks, fit, *taught.follows(fit, FOLLOWS), taught.use())
    return Learnt(
        record, taught, fit, people, effect, _shaken(record),
        store.provenance.currency, period, store.assumptions.margin if assumed(COST, store) else None, odd,
        busy,
    )  # fmt: skip


def _rush(store: Store, record: Record, period: Period) -> tuple[Rush, Array]:
    """Return how busy days of campaigns are, and what each order counts, as if it came on an ordinary day."""
    known = Period(min(store.span.first, period.last), period.last)
    day = np.clip((record.orders.at - record.first) // DAY, 0, known.days - 1)
    busy = rush(store, known, np.bincount(day, minlength=known.days))
    special = np.array([known.first + timedelta(days=n) in busy.days for n in range(known.days)])
    return busy, np.where(special[day], 1 / (busy.times or 1.0), 1.0)


def _seen(record: Record, days: int, weight: Array) -> tuple[float, int]:
    """Return the orders of the last days, and how many of their weeks stand out, in whose place those before count."""
    seen = float(weight[record.orders.at >= record.now - days * DAY].sum())
    back = (record.now - 1 - record.orders.at) // (7 * DAY)
    whole = (record.now - record.first) // (7 * DAY)
    inside = (back >= 0) & (back < whole)
    count = np.bincount(whole - 1 - back[inside], weight[inside], whole)
    out, weeks = standout(count + STEADY), -(-days // 7)
    odd = int(out[-weeks:].sum())
    return (float(count[ordinary(out, weeks)].mean()) * days / 7 if odd else seen), odd


def _shaken(record: Record) -> float:
    """How far orders of two weeks stray from those of the four weeks before, as a share, through history."""
    at, week = np.sort(record.orders.at), 7 * DAY
    moments = np.arange(record.now - 2 * week, record.first + 4 * week, -2 * week)
    from_, now, to = (np.searchsorted(at, moments + shift).astype(float) for shift in (-4 * week, 0, 2 * week))
    before, after = now - from_, to - now
    both = (before > 0) & (after > 0)
    if both.sum() < 3:
        return 0.2
    strayed = np.log(2 * after[both] / before[both])
    return float(np.clip(np.sqrt(np.mean(strayed**2)), 0.05, 0.5))


__all__ = ["Audience", "Learnt", "learn"]
