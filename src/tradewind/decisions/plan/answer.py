"""A plan as a study: what to do, what it is worth to whom, what each budget is worth, who loses, what was left out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import date

from tradewind import charts
from tradewind.decisions.plan.pick import REJECTED, together
from tradewind.decisions.plan.table import JOINT, best_of, gain_of
from tradewind.decisions.plan.words import Names, deed, thing
from tradewind.engines.store import Store
from tradewind.money import human, several
from tradewind.period import Period
from tradewind.study import (
    Action,
    Choice,
    Column,
    Estimate,
    Evidence,
    Finding,
    Grid,
    Party,
    Plan,
    Provenance,
    Study,
    Subject,
)

DRAWN = 12  # bars of the chart
CENT = 0.005  # less of it is not told
LOSSES = 20  # losers that are named
ONE_BY_ONE = 40  # left-out actions that are named


def study(plan: Plan, origin: Provenance, today: date, names: Names, caveats: Sequence[str] = ()) -> Study:
    """Return a plan as findings for people; nothing is asked of a store.

    Args:
        plan: The plan.
        origin: Where its numbers come from.
        today: Last day of the store that it was made from.
        names: Titles of what may be named, see `named`.
        caveats: What the wings could not answer.

    Returns:
        Findings: the plan, the gain by party, budgets with what one more unit of each would gain, levers with the
        attributed GMV beside, who loses where, interplay, and what was left out with the reason.
    """
    teller = _Teller(plan, origin.currency, today, names)
    parts = (
        teller.plan_itself(), teller.parties(), teller.purses(), teller.levers(), teller.losers(), teller.interplay(),
        teller.left_out(),
    )  # fmt: skip
    return Study(
        "plan",
        f"What to do with {teller.budgets()}?",
        teller.days,
        tuple(part for part in parts if part is not None),
        origin,
        {
            "objective": plan.objective, "caution": plan.caution, "rules": [rule.text for rule in plan.rules],
            "budgets": {str(payer): purse.limit for payer, purse in plan.purses.items()},
        },
        tuple(caveats),
        tuple(choice.action for choice in plan.choices),
    )  # fmt: skip


class _Teller:
    def __init__(self, plan: Plan, currency: str, today: date, names: Names):
        self.plan = plan
        self.currency = currency
        actions = [c.action for c in plan.choices] or [left.action for left in plan.left_out]
        self.days = (
            Period(min(a.days.first for a in actions), max(a.days.last for a in actions))
            if actions else Period(today, today)
        )  # fmt: skip
        self.names = names
        self.grade = Evidence.weakest([c.action.evidence for c in plan.choices] or [Evidence.ASSUMED])

    def money(self, value: float | Estimate, *, signed: bool = False) -> str:
        return human(value, "money", self.currency, signed=signed)

    def budgets(self) -> str:
        some = [f"{self.money(p.limit)} of the {payer}" for payer, p in self.plan.purses.items() if p.limit > 0]
        return " and ".join(some) or "no money"

    def _sought(self, choice: Choice) -> Estimate:
        return gain_of(choice.setting, self.plan.objective, choice.action.key)

    def plan_itself(self) -> Finding:
        plan = self.plan
        if not plan.choices:
            return Finding(
                "plan", "Nothing that was proposed is expected to gain under these budgets and rules: do nothing.",
                self.grade, {"actions": 0}, weight=100.0,
            )  # fmt: skip
        spent = sum(purse.spent for purse in plan.purses.values())
        whose = "all parties together" if plan.objective == JOINT else f"the {plan.objective}"
        sought = (
            plan.joint if plan.objective == JOINT else plan.total.get(Party(plan.objective), Estimate(0.0, 0.0, 0.0))
        )
        count = f"{len(plan.choices):,} actions" if len(plan.choices) > 1 else "One action"
        sentence = (
            f"{count} for up to {self.money(spent)} {'are' if len(plan.choices) > 1 else 'is'} expected "
            f"to bring {whose} {self.money(sought.mid)} of contribution profit ({self.money(sought.low)} to "
            f"{self.money(sought.high)}) over doing nothing."
        )
        rows = []
        for choice in plan.choices:
            gain = self._sought(choice)
            rows.append({
                "what": deed(choice, self.currency, self.names), "gain": gain.mid, "low": gain.low,
                "high": gain.high, "cost": sum(choice.setting.cost.values()), "payer": self._payers(choice),
                "attributed": choice.setting.attributed, "evidence": str(choice.action.evidence),
            })  # fmt: skip
        columns = (
            Column("what", "What to do"), Column("gain", "Gain", "money"),
            Column("low", "Low", "money"), Column("high", "High", "money"), Column("cost", "Draws at most", "money"),
            Column("payer", "Paid by"), Column("attributed", "Attributed GMV", "money"), Column("evidence", "Evidence"),
        )  # fmt: skip
        top = [(thing(c, self.currency, self.names), self._sought(c)) for c in plan.choices[:DRAWN]]
        chart = charts.ranked_bars(
            top, currency=self.currency, alt_text="Expected gain of the largest actions, with intervals"
        )
        by = f"with caution {plan.caution:g}, towards the low end" if plan.caution else "by the middle of the interval"
        more = plan.gap / (1 - plan.gap) if plan.gap < 1 else math.inf
        beyond = f"more than {human(more, 'share')} on top" if more < math.inf else "more than can be told"
        note = (
            "Gains are incremental contribution profit over an action's days and what follows, against doing nothing. "
            f"They were picked {by}; by the same numbers no other choice within these budgets and rules gains "
            f"{beyond}, even if none took anything from another. Attributed GMV is what last-touch attribution would "
            "credit."
        )
        numbers: dict[str, float | Estimate] = {
            "actions": len(plan.choices), "gain": sought, "spent": spent, "attributed_gmv": plan.attributed,
        }  # fmt: skip
        return Finding("plan", sentence, self.grade, numbers, Grid(columns, tuple(rows)), chart, note, 100.0)

    @staticmethod
    def _payers(choice: Choice) -> str:
        return ", ".join(str(payer) for payer, cost in choice.setting.cost.items() if cost > 0) or "nobody"

    def _parties(self) -> dict[Party, Estimate]:
        """Gains of those whom the plan touches, by a cent or more."""
        total = self.plan.total.items()
        return {party: value for party, value in total if max(abs(value.low), abs(value.high)) >= CENT}

    def parties(self) -> Finding | None:
        """Who gains what."""
        if not self.plan.total:
            return None
        rows: list[dict[str, object]] = [
            {"party": str(party), "gain": value.mid, "low": value.low, "high": value.high}
            for party, value in sorted(self._parties().items(), key=lambda pair: -pair[1].mid)
        ]
        elsewhere = self.plan.joint.mid - sum(value.mid for value in self.plan.total.values())
        note = "Transfers between parties, such as a commission, cancel in the last line."
        if abs(elsewhere) >= CENT:
            rows.append({"party": "elsewhere", "gain": elsewhere, "low": None, "high": None})
            note += " Elsewhere: what merchants of other shops than an action's gain or lose by it."
        rows.append({
            "party": "all together", "gain": self.plan.joint.mid, "low": self.plan.joint.low,
            "high": self.plan.joint.high,
        })  # fmt: skip
        said = ", ".join(
            f"the {party} {'gains' if value.mid >= 0 else 'loses'} "
            f"{self.money(value if value.mid >= 0 else value.scaled(-1.0))}"
            if abs(value.mid) >= CENT
            else f"the {party} neither gains nor loses"
            for party, value in self._parties().items()
        )
        columns = (
            Column("party", "Party"), Column("gain", "Gain", "money"), Column("low", "Low", "money"),
            Column("high", "High", "money"),
        )  # fmt: skip
        numbers = {str(party): value for party, value in self.plan.total.items()}
        return Finding("parties", _sentence(said), self.grade, numbers, Grid(columns, tuple(rows)), None, note, 90.0)

    def purses(self) -> Finding:
        """What each budget is worth."""
        rows, said = [], []
        for payer, purse in self.plan.purses.items():
            rows.append({
                "payer": str(payer), "limit": purse.limit, "spent": purse.spent, "left": purse.limit - purse.spent,
                "worth": purse.worth,
            })  # fmt: skip
            if purse.limit > 0:
                worth = f"about {self.money(purse.worth)}" if purse.worth >= CENT else "next to nothing"
                said.append(
                    f"the {payer} draws up to {self.money(purse.spent)} of {self.money(purse.limit)}; one more "
                    f"{self.currency} is worth {worth}"
                )
        columns = (
            Column("payer", "Payer"), Column("limit", "Budget", "money"), Column("spent", "Draws at most", "money"),
            Column("left", "Left", "money"), Column("worth", f"Worth of one more {self.currency}", "money"),
        )  # fmt: skip
        numbers = {f"worth_{payer}": purse.worth for payer, purse in self.plan.purses.items()}
        note = (
            f"The worth of one more {self.currency} is the price of the budget (the dual of the linear program): move "
            "money to where it is largest. Actions come in lumps, so that a single one may gain nothing, or more than "
            "that."
        )
        sentence = _sentence("; ".join(said)) if said else "No payer has a budget."
        return Finding("budgets", sentence, self.grade, numbers, Grid(columns, tuple(rows)), None, note, 80.0)

    def levers(self) -> Finding | None:
        """Levers, with attributed GMV beside the incremental profit."""
        if not self.plan.choices:
            return None
        by_lever: dict[str, list[Choice]] = {}
        for choice in self.plan.choices:
            by_lever.setdefault(choice.action.lever, []).append(choice)
        rows = []
        for lever, some in by_lever.items():
            gain = together(some, None)
            rows.append({
                "lever": lever, "actions": len(some), "gain": gain.mid, "low": gain.low, "high": gain.high,
                "cost": sum(sum(c.setting.cost.values()) for c in some),
                "attributed": sum(c.setting.attributed or 0.0 for c in some),
            })  # fmt: skip
        rows.sort(key=lambda row: -float(str(row["gain"])))
        columns = (
            Column("lever", "Lever"), Column("actions", "Actions", "count"), Column("gain", "Gain of all", "money"),
            Column("low", "Low", "money"), Column("high", "High", "money"), Column("cost", "Draws at most", "money"),
            Column("attributed", "Attributed GMV", "money"),
        )  # fmt: skip
        most = max(rows, key=lambda row: abs(float(str(row["gain"]))))
        sentence = (
            f"Attribution would credit these actions with {self.money(self.plan.attributed)} of GMV; what they are "
            f"expected to add is {self.money(self.plan.joint.mid)} of profit, most of it by {most['lever']}."
        )
        note = "Within a lever errors are taken to be shared in part, between levers to be independent."
        return Finding("levers", sentence, self.grade, {}, Grid(columns, tuple(rows)), None, note, 70.0)

    def losers(self) -> Finding:
        """Who loses where someone does."""
        rows = []
        for choice in self.plan.choices:
            for party, value in choice.setting.gain.items():
                if value.mid < 0:
                    pays = choice.setting.cost.get(party, 0.0) > 0
                    rows.append({
                        "what": deed(choice, self.currency, self.names), "party": str(party), "loss": value.mid,
                        "low": value.low, "high": value.high, "pays": "pays for it" if pays else "does not pay",
                    })  # fmt: skip
        rows.sort(key=lambda row: float(str(row["loss"])))
        if not rows:
            return Finding(
                "losers", "Nobody is expected to lose by any of these actions.", self.grade, {"losers": 0}, weight=60.0
            )
        count = Counter(str(row["party"]) for row in rows)
        said = ", ".join(f"the {party} by {number:,}" for party, number in count.most_common())
        columns = (
            Column("what", "Action"), Column("party", "Who loses"), Column("loss", "Expected", "money"),
            Column("low", "Low", "money"), Column("high", "High", "money"), Column("pays", "And"),
        )  # fmt: skip
        together = "gain" if self.plan.joint.mid >= 0 else "lose"
        note = (
            f"All together {together} by the plan, but not everyone alike: agree on a share before launching, or plan "
            "under the rule “payers gain” or “all gain”."
        )
        note += f" Listed are the {LOSSES} largest of {len(rows):,} losses." if len(rows) > LOSSES else ""
        actions = sum(any(value.mid < 0 for value in c.setting.gain.values()) for c in self.plan.choices)
        of = f"{actions:,} of the {len(self.plan.choices):,} actions"
        return Finding(
            "losers", f"Somebody is expected to lose by {of}: {said}.", self.grade, {"losers": actions},
            Grid(columns, tuple(rows[:LOSSES])), None, note, 60.0,
        )  # fmt: skip

    def interplay(self) -> Finding | None:
        """What choices take from each other."""
        if not self.plan.interplay:
            return None
        lost = sum(self.plan.interplay.values())
        sentence = (
            f"{human(len(self.plan.interplay), 'count')} of the choices would sell products that the same plan marks "
            f"down; {self.money(lost)} was taken off their gains."
        )
        note = "An order that a coupon or creator wins at a marked-down price earns less; taken at its largest."
        return Finding("interplay", sentence, Evidence.ASSUMED, {"interplay": lost}, None, None, note, 40.0)

    def _at_best(self, action: Action) -> str:
        """What an action does at the setting that the plan would have taken first."""
        place = best_of(action, self.plan.objective, self.plan.caution)
        return deed(Choice(action, place), self.currency, self.names)

    def left_out(self) -> Finding | None:
        """What was left out, and why."""
        out = self.plan.left_out
        if not out:
            return None
        rows = [
            {"what": self._at_best(left.action), "gain": left.gain.mid,
             "low": left.gain.low, "high": left.gain.high, "reason": left.reason}
            for left in out[:ONE_BY_ONE]
        ]  # fmt: skip
        why = Counter(REJECTED if left.reason.startswith(REJECTED) else left.reason for left in out)
        said = "; ".join(
            f"{number:,} {'rejected by hand' if reason == REJECTED else f'since {reason}'}"
            for reason, number in why.most_common()
        )
        columns = (
            Column("what", "Left out, at its best setting"), Column("gain", "Gain", "money"),
            Column("low", "Low", "money"), Column("high", "High", "money"), Column("reason", "Why"),
        )  # fmt: skip
        note = f"Listed are the {ONE_BY_ONE} that would gain most." if len(out) > ONE_BY_ONE else ""
        sentence = f"{several(len(out), 'proposal')} {'was' if len(out) == 1 else 'were'} left out: {said}."
        return Finding(
            "left-out", sentence, self.grade, {"left_out": len(out)}, Grid(columns, tuple(rows)), None, note, 50.0
        )


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + "."


def named(store: Store, subjects: Collection[Subject]) -> Names:
    """Return the titles of what actions are on, by kind and id: of products, shops and creators that have one."""
    found: dict[str, dict[str, str]] = {}
    for kind, table, key, title, ids in (
        ("product", "products", "product_id", "title", {s.id for s in subjects if s.kind == "product"}),
        ("shop", "shops", "shop_id", "name", {s.id for s in subjects if s.kind == "shop"}),
        ("creator", "creators", "creator_id", "name", {s.partner for s in subjects if s.partner}),
    ):
        if ids and store.has(table, title):
            rows = store.table(table)
            told = store.run(rows.filter(rows[key].isin(sorted(ids))).select(key, title))
            found[kind] = {k: v for k, v in zip(told[key].to_pylist(), told[title].to_pylist(), strict=True) if v}
    return found
