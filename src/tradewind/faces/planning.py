"""Planning, as every face does it: the wings propose, a ledger's record calibrates, the plan picks."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from tradewind import progress
from tradewind.decisions.plan import Planner, Point, budgets, rules, study, write_plan
from tradewind.engines.store import Store
from tradewind.errors import ConflictError
from tradewind.faces import studies
from tradewind.faces.proposals import Answer, Proposals, proposed
from tradewind.ledger import Launch, Ledger, Status, shrunk
from tradewind.methods.calibration import Calibrated
from tradewind.money import human, several
from tradewind.period import Period
from tradewind.study import Action, Party, Plan, Provenance, Rule, Study

TROUBLE = 0.05
"""Share of an average order below which what an action gains is not worth anybody's time, in any currency."""
FLOOR = 0.01
"""Share of what all shops sell that an action may gain whatever its own shop sells."""


@dataclass(frozen=True)
class Asked:
    """What is asked of a plan.

    Args:
        budgets: Budgets as written, such as `platform=50000`.
        rules: Rules as written, such as `coupon<=20%`.
        objective: Whose gain is sought: joint, or a party.
        caution: Share of the way from the middle to the low end of each gain by which it is picked.
        least: Gain that makes an action worth doing; a twentieth of an average order, in one digit, where None.
        wings: Names of the wings that propose; all that act where empty.
        seed: Seed of the wings and of the allocation.
        begin: First day on which an action may still begin, None where any may. Actions of earlier days are moved to
            it, as long as their numbers may be used then.
    """

    budgets: tuple[str, ...]
    rules: tuple[str, ...] = ()
    objective: str = "joint"
    caution: float = 0.0
    least: float | None = None
    wings: tuple[str, ...] = ()
    seed: int = 0
    begin: date | None = None


@dataclass(frozen=True)
class Planned:
    """A plan with all that leads to it.

    Args:
        plan: The plan.
        answer: The plan as a study.
        studies: The studies whose actions it picked from.
        actions: All actions proposed, as calibrated.
        unanswered: By wing, why it could not propose anything.
    """

    plan: Plan
    answer: Study
    studies: tuple[Study, ...]
    actions: tuple[Action, ...]
    unanswered: dict[str, str]


def soonest(origin: Provenance, today: date | None = None) -> date | None:
    """Return the first day on which an action may still begin: the one after today.

    Args:
        origin: Where the numbers come from.
        today: The day; the machine's in the store's timezone where None. Simulated data have no such day.
    """
    if today is None:
        if origin.simulated:
            return None
        today = datetime.now(ZoneInfo(origin.timezone)).date()
    return today + timedelta(days=1)


def planned(store: Store, period: Period, asked: Asked, name: str, ledger: Ledger | None = None) -> Planned:
    """Return a plan: what the wings propose, and what is picked of it.

    Args:
        store: The store, as the caller may see it.
        period: The days that the wings look back on; actions begin on the day after.
        asked: What is asked.
        name: Name of the plan.
        ledger: Whose record calibrates the gains.

    Raises:
        BadInputError: If budgets or rules cannot be read or kept.
        MissingDataError: If no wing can propose anything, with the reason of each.
    """
    _terms(asked, store.provenance.currency)  # refused before the wings are asked
    known = store if ledger is None else store.acted(ledger.deeds())
    return solved(proposed(known, period, asked.wings, asked.seed), asked, name, ledger)


def solved(
    proposals: Proposals,
    asked: Asked,
    name: str,
    ledger: Ledger | None = None,
    without: Mapping[str, str] | None = None,
    given: Ready | None = None,
) -> Planned:
    """Return the plan that is picked from proposals; no store is asked, so that it takes no time.

    Args:
        proposals: What the wings propose.
        asked: What is asked.
        name: Name of the plan.
        ledger: Whose record calibrates the gains.
        without: Why actions were rejected, by their keys. They are left out; keys of what is not proposed change
            nothing.
        given: What `ready` returned for the same proposals, terms and record; made anew where None.

    Raises:
        BadInputError: If budgets or rules cannot be read or kept.
        ConflictError: If the proposals were made with another seed.
        NotFoundError: If a wing was not asked.
        MissingDataError: If no wing can propose anything, with the reason of each.
    """
    money, limits = _terms(asked, proposals.origin.currency)
    of = given or ready(proposals, asked, ledger)
    progress.told("picking", len(of.answers), len(of.answers) + 1)
    shrinks = of.calibrated is not None and bool(of.calibrated.levers)
    plan = _planner(asked, proposals.order, proposals.origin.currency)(
        name,
        of.actions,
        money,
        limits,
        proposals.usual(of.actions),
        of.raw if shrinks else None,
        without,
        of.expired,
    )
    caveats = _caveats(of, money, plan, asked.begin, proposals.origin)
    found = study(plan, proposals.origin, proposals.today, proposals.names, caveats)
    unanswered = {answer.wing: answer.why for answer in of.answers if answer.study is None}
    return Planned(plan, found, of.studies, of.actions, unanswered)


def frontier(
    proposals: Proposals, asked: Asked, payer: Party, points: int = 7, ledger: Ledger | None = None,
    without: Mapping[str, str] | None = None, given: Ready | None = None,
) -> tuple[Point, ...]:  # fmt: skip
    """Return what plans would gain along the budget of one payer, the others' being as asked.

    Args:
        proposals: What the wings propose.
        asked: What is asked; the payer's own budget may be missing.
        payer: Whose budget varies.
        points: How many points.
        ledger: Whose record calibrates the gains.
        without: As for `solved`.

    Raises:
        BadInputError: As `solved`, and if there are too few points.
        ConflictError: As `solved`.
        NotFoundError: As `solved`.
        MissingDataError: As `solved`.
    """
    money, limits = _terms(asked, proposals.origin.currency)
    of = given or ready(proposals, asked, ledger)
    planner = _planner(asked, proposals.order)
    out = {**of.expired, **(without or {})}
    return planner.frontier(of.actions, money, payer, points, limits, proposals.usual(of.actions), out)


@dataclass(frozen=True)
class Ready:
    """What plans are picked from, whatever their budgets and rules are.

    Args:
        answers: What each wing said.
        raw: The actions as their wings predict them, by key.
        actions: The actions as a record calibrates them.
        calibrated: How it does; None where there is no record.
        beyond: Keys of actions left out, since they promise more than their shop sells.
        expired: Why actions can be launched no more, by their keys.
        status: What the ledger says of what was launched; None where there is none.
    """

    answers: tuple[Answer, ...]
    raw: dict[str, Action]
    actions: tuple[Action, ...]
    calibrated: Calibrated | None
    beyond: tuple[str, ...] = ()
    expired: Mapping[str, str] = field(default_factory=dict)
    status: Status | None = None

    @property
    def studies(self) -> tuple[Study, ...]:
        """The studies of the wings that could answer."""
        return tuple(answer.study for answer in self.answers if answer.study is not None)


def ready(proposals: Proposals, asked: Asked, ledger: Ledger | None = None) -> Ready:
    """Return what plans are picked from: the actions of the wings, moved to where they can begin, calibrated.

    Args:
        proposals: What the wings propose.
        asked: What is asked; the wings, the seed and the first day count.
        ledger: Whose record calibrates the gains.

    Raises:
        ConflictError: If the proposals were made with another seed.
        NotFoundError: If a wing was not asked.
        MissingDataError: If no wing can propose anything, with the reason of each.
    """
    if asked.seed != proposals.seed:
        raise ConflictError(
            "These proposals were made with another seed", got=proposals.seed, allowed=str(asked.seed),
            do="ask the studies anew, or plan with the seed of the proposals",
        )  # fmt: skip
    answers = proposals.of(asked.wings)
    raw = {
        action.key: _moved(action, asked.begin) for answer in answers if answer.study for action in answer.study.actions
    }
    whole = sum(proposals.sales.values())
    beyond = tuple(key for key, action in raw.items() if not _plausible(action, proposals, whole))
    for key in beyond:
        del raw[key]
    actions = tuple(raw.values())
    calibrated = None if ledger is None else ledger.track().calibrated(seed=asked.seed)
    if calibrated is not None and calibrated.levers:
        actions = tuple(shrunk(actions, calibrated))
    expired = {
        action.key: f"its numbers have expired on {action.expires}"
        for action in actions if asked.begin and _expired(action, asked.begin)
    }  # fmt: skip
    return Ready(answers, raw, actions, calibrated, beyond, expired, None if ledger is None else ledger.status())


def footing(asked: Asked) -> Hashable:
    """Return all of what is asked that `ready` hangs on, beside proposals and record."""
    return asked.wings, asked.seed, asked.begin


def _planner(asked: Asked, order: float = 0.0, currency: str = "") -> Planner:
    least = float(f"{TROUBLE * order:.1g}") if asked.least is None else asked.least
    return Planner(asked.objective, asked.caution, least, asked.seed, currency)


def _terms(asked: Asked, currency: str) -> tuple[dict[Party, float], tuple[Rule, ...]]:
    _planner(asked)
    return budgets(asked.budgets, currency), rules(asked.rules)


def _plausible(action: Action, proposals: Proposals, sold: float) -> bool:
    """Whether an action is expected to gain no more than its shop sells in as many days, or a hundredth of all do.

    Gains are a small part of sales (7 % of a shop's at most in the demo). What lies beyond all of them is a fault of an
    estimate, which nobody should stake money on, whatever it came from.
    """
    times = action.days.days / proposals.seen.days
    whole = sold * times
    own = whole if action.subject.shop is None else proposals.sales.get(action.subject.shop, 0.0) * times
    most = max((setting.joint.mid for setting in action.menu if setting.joint), default=0.0)
    return whole <= 0 or most <= max(own, FLOOR * whole)


def _expired(action: Action, begin: date) -> bool:
    """Whether an action's own first day is past, and its numbers hold no more on the first day that is left."""
    return action.days.first < begin and action.expires is not None and action.expires < begin


def _moved(action: Action, begin: date | None) -> Action:
    if begin is None or action.days.first >= begin or _expired(action, begin):
        return action
    return replace(action, days=Period(begin, begin + timedelta(days=action.days.days - 1)))


def _caveats(
    ready: Ready, money: Mapping[Party, float], plan: Plan, begin: date | None, origin: Provenance
) -> Sequence[str]:  # fmt: skip
    """Return what the wings could not answer, which budgets were of no use, and how gains were calibrated."""
    found = [caveat for one in ready.studies for caveat in one.caveats]
    meant = {action.key: action.days.first for one in ready.studies for action in one.actions}
    days = {(meant[action.key], action.days.first) for action in ready.actions}
    found += [
        f"Gains are of actions that begin on {first}, the day after the data end. They are taken to be the same from "
        f"{begins}, the first day on which an action can still begin."
        for first, begins in sorted(days)
        if first != begins
    ]
    if begin and (stale := [action for action in ready.actions if action.days.first < begin]):
        found.append(
            f"{several(len(stale), 'action')} cannot be launched any more: the data end before "
            f"{min(action.days.first for action in stale)}, and what they tell holds for some weeks only. Import the "
            "days up to now, then plan anew."
        )
    found += [
        f"{studies.WINGS[answer.wing].title} proposed nothing. {answer.why}"
        for answer in ready.answers
        if answer.study is None
    ]
    if ready.beyond:
        found.append(
            f"{len(ready.beyond)} actions were left out since each promises more than its shop sells in as many days, "
            f"which no action brings: {', '.join(ready.beyond[:3])}. Their estimates are at fault; please report them."
        )
    for payer, purse in plan.purses.items():
        if payer not in money:
            found.append(f"Settings that the {payer} would pay for were left out: there is no budget for the {payer}.")
        elif purse.spent == 0:
            found.append(f"Nothing was drawn from the budget of the {payer}.")
    found += _running(ready.status, money, plan, origin)
    if ready.calibrated is not None:
        for lever in sorted({action.lever for action in ready.actions}):
            found.append(f"Gains of the lever {lever}: {ready.calibrated.said(lever)}.")
    return tuple(dict.fromkeys(found))


def _running(status: Status | None, money: Mapping[Party, float], plan: Plan, origin: Provenance) -> list[str]:
    """Return what earlier launches still draw in the plan's days, of each payer that a budget is given for."""
    if status is None or not plan.choices:
        return []
    own = {(choice.action.key, choice.action.subject, choice.action.days) for choice in plan.choices}
    days = [choice.action.days for choice in plan.choices]
    whole = Period(min(each.first for each in days), max(each.last for each in days))

    def counted(launch: Launch) -> bool:  # what the plan itself launched is among its choices
        here = launch.source in ("", origin.source) and launch.currency in ("", origin.currency)
        return here and (launch.action, launch.subject, launch.days) not in own

    drawn = status.drawn(whole, counted)
    return [
        f"Actions that were launched before draw about {human(drawn[payer], 'money', origin.currency)} of the {payer} "
        f"from {whole.first} to {whole.last}. The {payer}'s budget of this plan is for new actions alone: give it less "
        "where both are paid from one purse."
        for payer in money if drawn.get(payer, 0.0) > 0
    ]  # fmt: skip


def kept(found: Planned, folder: Path) -> list[Path]:
    """Write a plan into a folder, its page among the files, and return the files."""
    from tradewind.faces import report  # noqa: PLC0415 - slow to load

    files = write_plan(found.plan, found.answer.provenance, folder, found.actions)
    days = found.answer.period
    name = found.plan.name.removesuffix(f"-{days.first}")  # of a plan that was not named: its folder and first day
    called = "Plan" if name.lower() == "plan" else f"Plan {name}"
    title = f"{called}: {days.first:%-d %b} to {days.last:%-d %b %Y}"
    page = folder / "plan.html"
    # what studies say holds for what was to choose from, not for what was picked
    asked = [replace(study, title=f"To choose from: {study.title}") for study in found.studies]
    page.write_text(report.render([found.answer, *asked], title, told=1), encoding="utf-8")
    return [page, *files]
