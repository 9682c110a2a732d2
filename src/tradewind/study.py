"""Studies: the answer to one business question over one period, what it would have done, and the words for both."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from tradewind.errors import BadInputError
from tradewind.period import Period

SHARED = 0.15
"""Correlation of errors within a lever: what plans brought beside their promise in towns 7 and 8 (`RESULTS.md`)."""


class Party(StrEnum):
    """Who gains or pays."""

    MERCHANT = "merchant"
    PLATFORM = "platform"
    CREATOR = "creator"
    BRAND = "brand"


class Evidence(StrEnum):
    """How a number was earned, strongest first; never claimed higher than earned."""

    MEASURED = "measured"
    RANDOMISED = "randomised"
    QUASI_EXPERIMENTAL = "quasi-experimental"
    OBSERVATIONAL = "observational"
    BENCHMARK = "benchmark"
    ASSUMED = "assumed"

    @classmethod
    def weakest(cls, grades: Sequence[Evidence]) -> Evidence:
        """Return the weakest of the grades: what a number that rests on all of them may claim."""
        order = list(cls)
        return max(grades, key=order.index)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number that was not simply counted, with its interval.

    Args:
        mid: The point estimate.
        low: Lower end of the interval.
        high: Upper end of the interval.
        level: Probability with which the interval is meant to hold the truth, in (0, 1).

    Raises:
        BadInputError: If the ends are out of order or the level is not a probability.
    """

    mid: float
    low: float
    high: float
    level: float = 0.9

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise BadInputError("The level of an interval is a probability", got=self.level, allowed="between 0 and 1")
        if self.low > self.high:
            raise BadInputError("The ends of an interval are out of order", got=(self.low, self.high))

    def __neg__(self) -> Estimate:
        return Estimate(-self.mid, -self.high, -self.low, self.level)

    def scaled(self, factor: float) -> Estimate:
        """Return the estimate in another unit: every number times `factor`."""
        ends = sorted((self.low * factor, self.high * factor))
        return Estimate(self.mid * factor, ends[0], ends[1], self.level)

    def moved(self, by: float) -> Estimate:
        """Return the estimate with a known number added."""
        return Estimate(self.mid + by, self.low + by, self.high + by, self.level)

    @classmethod
    def added(cls, parts: Sequence[Estimate], shared: float = SHARED) -> Estimate:
        """Return the sum of estimates, all at one level, whose errors are correlated by `shared`."""

        def reach(sides: list[float]) -> float:
            return math.sqrt(shared * sum(sides) ** 2 + (1 - shared) * sum(side**2 for side in sides))

        mid = sum(part.mid for part in parts)
        below, above = reach([p.mid - p.low for p in parts]), reach([p.high - p.mid for p in parts])
        return cls(mid, mid - below, mid + above, parts[0].level if parts else 0.9)


class Lever(StrEnum):
    """What can be pulled."""

    COUPON = "coupon"
    COMMISSION = "commission"
    PRICE = "price"
    TRAFFIC = "traffic"
    LISTING = "listing"
    CREATOR = "creator"
    LIVE = "live"
    ASSORTMENT = "assortment"
    OUTREACH = "outreach"


DOSES: Mapping[Lever, frozenset[str]] = {
    Lever.COUPON: frozenset({"face", "threshold", "platform", "brand"}),
    Lever.COMMISSION: frozenset({"rate", "platform"}),
    Lever.PRICE: frozenset({"off"}),
    Lever.TRAFFIC: frozenset({"budget"}),
    Lever.LISTING: frozenset({"effort"}),
    Lever.CREATOR: frozenset({"rate", "platform"}),
    Lever.LIVE: frozenset({"share", "face", "claims", "budget"}),
    Lever.ASSORTMENT: frozenset({"list"}),
    Lever.OUTREACH: frozenset(),
}
"""What a setting of each lever may say.

Money: `face` and `threshold` of a coupon, `budget` a day on a product or for each live room. Shares: `platform` and
`brand` of what a coupon or commission costs, `rate` of the price as commission, `off` the list price, `share` of a
room's minutes for which a product is pinned, `effort` put into a listing made anew. Counts: `claims` of a coupon that a
room drops, `list` 1 to list a product and 0 to take it off.
"""


@dataclass(frozen=True)
class Subject:
    """What a lever is pulled on.

    Args:
        kind: `product`, `shop` or `customers`.
        id: Its id in the store; of customers, the name of the assignment that lists them.
        shop: The shop that it belongs to, None where it is the marketplace's.
        partner: The creator with whom a product gets a contract, or the product that a shop's rooms pin.
    """

    kind: str
    id: str
    shop: str | None = None
    partner: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in {"product", "shop", "customers"}:
            raise BadInputError(
                "A lever is pulled on something else", got=self.kind, allowed=("product", "shop", "customers")
            )


@dataclass(frozen=True)
class Setting:
    """One position of a lever: what it takes and what it brings, over all of the action's days and what they echo.

    Args:
        dose: What is set, in the words of `DOSES`.
        cost: Money that it may draw from each payer's budget.
        gain: Incremental contribution profit by party; empty where nobody has estimated it.
        joint: The same of all parties together, between whom transfers cancel.
        attributed: GMV that last-touch attribution would credit to it; shown beside, never counted.
        own: The part of `joint` that comes of what is sold of the product acted on, which is what shows where products
            are held out; the rest is what others gain or lose by it. None where all of it shows.
    """

    dose: Mapping[str, float]
    cost: Mapping[Party, float]
    gain: Mapping[Party, Estimate] = field(default_factory=dict)
    joint: Estimate | None = None
    attributed: float | None = None
    own: Estimate | None = None

    @property
    def shown(self) -> Estimate | None:
        """The part of the joint gain that a reading sees."""
        return self.joint if self.own is None else self.own

    def __post_init__(self) -> None:
        if wrong := {payer: cost for payer, cost in self.cost.items() if not cost >= 0}:
            raise BadInputError("What a setting draws from a budget is nothing or more", got=wrong)


@dataclass(frozen=True)
class Deed:
    """What a launched plan did to a subject: no habit of whoever that belongs to.

    Args:
        lever: The lever that was pulled.
        subject: On what.
        days: The days on which it held.
    """

    lever: Lever
    subject: Subject
    days: Period


@dataclass(frozen=True)
class Assignment:
    """Which customers an action reaches: a table beside the plan.

    Args:
        name: Its name.
        units: Their ids.
    """

    name: str
    units: Sequence[str]


@dataclass(frozen=True)
class Action:
    """A lever on a subject, with a menu of settings from small to large.

    Args:
        key: Stable name inside a plan.
        lever: The lever.
        subject: What it is pulled on.
        days: When it holds.
        menu: The settings; at most one is chosen.
        evidence: How the gains were earned.
        why: One sentence for whoever approves it.
        expires: Last day on which its numbers may still be used.
        assignment: Whom it reaches, where it reaches customers.

    Raises:
        BadInputError: If the menu is empty, a dose does not fit the lever, or customers are named nowhere.
    """

    key: str
    lever: Lever
    subject: Subject
    days: Period
    menu: tuple[Setting, ...]
    evidence: Evidence = Evidence.ASSUMED
    why: str = ""
    expires: date | None = None
    assignment: Assignment | None = None

    def __post_init__(self) -> None:
        if not self.menu:
            raise BadInputError("An action has at least one setting", got=self.key)
        for setting in self.menu:
            if unknown := set(setting.dose) - DOSES[self.lever]:
                raise BadInputError(
                    f"A setting of the lever {self.lever} says something else", got=sorted(unknown),
                    allowed=sorted(DOSES[self.lever]),
                )  # fmt: skip
        if (self.subject.kind == "customers") != (self.assignment is not None):
            raise BadInputError("An action names the customers whom it reaches in an assignment", got=self.key)


@dataclass(frozen=True)
class Choice:
    """One setting picked from an action's menu.

    Args:
        action: The action.
        place: Place of the setting in its menu.
    """

    action: Action
    place: int

    @property
    def setting(self) -> Setting:
        """The setting."""
        return self.action.menu[self.place]


@dataclass(frozen=True)
class Rule:
    """A limit beside the budgets.

    Args:
        text: The rule as it was given.
        of: What each limit is for: a lever's name, `shop` (each shop), or `product` (each product).
        id: Only this shop or product; all of them where it is empty.
        counts: `spend` (money that all payers draw on it) or `actions`.
        most: At most so much.
        least: At least so much.
        share: Whether these are shares of all budgets together.
    """

    text: str
    of: str
    id: str = ""
    counts: str = "spend"
    most: float = math.inf
    least: float = 0.0
    share: bool = False


@dataclass(frozen=True)
class Purse:
    """What a payer may spend in a plan, and what came of it.

    Args:
        limit: The budget.
        spent: What the plan draws from it at most.
        worth: What one more unit of it is worth in the plan's objective: the price of the budget, the dual of the
            linear program. Actions come in lumps, so that a single unit may gain nothing, or more than that.
    """

    limit: float
    spent: float
    worth: float


@dataclass(frozen=True)
class LeftOut:
    """An action that a plan does not take.

    Args:
        action: The action.
        gain: What its best setting would gain, in the plan's objective.
        reason: Why it was left out, in words.
    """

    action: Action
    gain: Estimate
    reason: str


@dataclass(frozen=True)
class Plan:
    """What to do: one setting of each chosen menu, under budgets and rules.

    Args:
        name: Its name; with it an action is launched once.
        objective: Whose gain was sought: `joint` or a party.
        caution: Share of the way from the middle to the low end of each gain by which it was picked.
        choices: What was picked, the largest gain first; gains are net of interplay and as calibrated.
        raw: Chosen settings as predicted before a calibration, what interplay takes taken off, by the action's key;
            empty where none was applied.
        interplay: Money that a choice loses by what else was picked, by the action's key; taken off its gain already.
        purses: Budgets by payer.
        rules: Rules that were kept.
        left_out: What was not picked, and why.
        total: Gain of all choices by party.
        joint: Gain of all parties together.
        attributed: GMV that last-touch attribution would credit to the choices; not a gain.
        gap: By what share of a bound on the best that is possible the plan lies below it, interplay taken off the plan
            and not off the bound.
        sales: GMV by which interplay was reckoned, of as many days as actions hold, by shop and under "" in all; empty
            where nothing meets.
    """

    name: str
    objective: str
    caution: float
    choices: tuple[Choice, ...]
    raw: Mapping[str, Setting]
    interplay: Mapping[str, float]
    purses: Mapping[Party, Purse]
    rules: tuple[Rule, ...]
    left_out: tuple[LeftOut, ...]
    total: Mapping[Party, Estimate]
    joint: Estimate
    attributed: float
    gap: float
    sales: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Column:
    """One column of a finding's table.

    Args:
        name: Key of the value in each row.
        title: What the reader sees above the column.
        unit: `money`, `count`, `share`, `text`, `day`, `estimate` or another unit known to `money.human`.
    """

    name: str
    title: str
    unit: str = "text"


@dataclass(frozen=True)
class Grid:
    """A small table that a finding shows: columns, and one mapping per row."""

    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Finding:
    """One sentence in the user's words, and what it rests on.

    Args:
        key: Stable short name inside its study, such as `decomposition`.
        sentence: The finding, in the user's words.
        evidence: How it was earned.
        numbers: The numbers of the sentence by name: counted totals, or estimates with their interval.
        grid: The table behind the sentence.
        chart: A Vega-Lite specification, from `tradewind.charts`.
        note: How far to trust it, or how it was computed, in a sentence or two.
        weight: Headline order; the highest comes first.
    """

    key: str
    sentence: str
    evidence: Evidence
    numbers: Mapping[str, Decimal | Estimate | float | int | str | None] = field(default_factory=dict)
    grid: Grid | None = None
    chart: Mapping[str, Any] | None = None
    note: str = ""
    weight: float = 0.0


@dataclass(frozen=True)
class Provenance:
    """Where a store's numbers come from; shown with every study, page and export.

    Args:
        source: Name of the source.
        licence: Its licence.
        notice: What its licence or nature asks to be said beside its numbers.
        currency: ISO 4217 code of all money.
        timezone: Timezone of the days.
        simulated: Whether the numbers describe no real business.
        assumptions: What the caller supposes where the source says nothing, a sentence each.
        snapshot: The snapshot that was read.
        country: ISO 3166-1 alpha-2 code of the country whose public holidays count; empty where none is named.
        shops: The shops that the numbers are limited to, as a reader would say it; empty where they are of all.
        whole_marketplace: Whether they are of all sellers of a marketplace, not of a part such as a brand's own shops.
    """

    source: str
    licence: str
    notice: str
    currency: str
    timezone: str
    simulated: bool = False
    assumptions: tuple[str, ...] = ()
    snapshot: str = ""
    country: str = ""
    shops: str = ""
    whole_marketplace: bool = False


@dataclass(frozen=True)
class Study:
    """The answer to one business question over one period.

    Args:
        wing: Name of the wing that answered.
        title: The question, in the user's words.
        period: The days that it speaks of.
        findings: What was found, headline first.
        provenance: Where the numbers come from.
        settings: The settings that it was computed with, as given.
        caveats: What the data could not answer, and the cheapest test that would.
        actions: What it proposes, for the plan to pick from.
    """

    wing: str
    title: str
    period: Period
    findings: tuple[Finding, ...]
    provenance: Provenance
    settings: Mapping[str, Any] = field(default_factory=dict)
    caveats: tuple[str, ...] = ()
    actions: tuple[Action, ...] = ()

    def finding(self, key: str) -> Finding:
        """Return the finding of that key; raise `KeyError` where the study has none."""
        for finding in self.findings:
            if finding.key == key:
                return finding
        raise KeyError(key)

    def as_dict(self) -> dict[str, Any]:
        """Return the study as JSON-ready values: money as strings, so that no cent is lost."""
        plain = jsonable(self)
        if not isinstance(plain, dict):
            raise TypeError("a study is a mapping")
        return plain


def jsonable(value: Any) -> Any:
    """Return `value` as JSON-ready values: decimals as strings, days and moments in ISO 8601."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: jsonable(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [jsonable(v) for v in value]
    if hasattr(value, "item") and callable(value.item):  # a NumPy scalar
        return jsonable(value.item())
    if isinstance(value, float) and not math.isfinite(value):  # JSON has no word for it
        return None
    return value
