"""Planning, as every face does it: the wings propose, a ledger's record calibrates, the plan picks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tradewind import progress
from tradewind.decisions.plan import Planner, budgets, rules, study, write_plan
from tradewind.engines.store import Store
from tradewind.errors import BadInputError, MissingDataError
from tradewind.faces import studies
from tradewind.ledger import Ledger, shrunk
from tradewind.measures import metrics as m
from tradewind.measures.query import Query
from tradewind.period import Period
from tradewind.study import Action, Party, Plan, Study

MOST = 2_000
"""Actions that a wing may propose to a plan, where it has a limit: more than a study would show."""


@dataclass(frozen=True)
class Asked:
    """What is asked of a plan.

    Args:
        budgets: Budgets as written, such as `platform=50000`.
        rules: Rules as written, such as `coupon<=20%`.
        objective: Whose gain is sought: joint, or a party.
        caution: Share of the way from the middle to the low end of each gain by which it is picked.
        least: Gain that makes an action worth doing.
        wings: Names of the wings that propose; all that act where empty.
        seed: Seed of the wings and of the allocation.
    """

    budgets: tuple[str, ...]
    rules: tuple[str, ...] = ()
    objective: str = "joint"
    caution: float = 0.0
    least: float = 0.0
    wings: tuple[str, ...] = ()
    seed: int = 0


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


def acting(names: Iterable[str] = ()) -> list[str]:
    """Return the wings that propose actions, those named or all.

    Raises:
        NotFoundError: If there is no such wing.
        BadInputError: If one proposes nothing.
    """
    known = [wing.name for wing in studies.WINGS.values() if wing.acts]
    for name in (chosen := list(names)):
        if not studies.wing(name).acts:
            raise BadInputError("This study proposes no actions", got=name, allowed=known)
    return chosen or known


def planned(store: Store, period: Period, asked: Asked, name: str, ledger: Ledger | None = None) -> Planned:
    """Return a plan.

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
    money, limits = budgets(asked.budgets, store.provenance.currency), rules(asked.rules)
    planner = Planner(asked.objective, asked.caution, asked.least, asked.seed)
    answers, unanswered = [], {}
    names = acting(asked.wings)
    for n, wing in enumerate(names):
        progress.told(f"asking {wing}", n, len(names) + 1)
        try:
            answers.append(studies.answer(wing, store, period, _settings(wing, money, asked.seed)))
        except MissingDataError as error:
            unanswered[wing] = str(error)
    if not answers:
        raise MissingDataError(
            "No study can propose an action from this store", got="; ".join(f"{k}: {v}" for k, v in unanswered.items())
        )
    raw = {action.key: action for answer in answers for action in answer.actions}
    actions = tuple(raw.values())
    calibrated = None if ledger is None else ledger.track().calibrated(seed=asked.seed)
    if calibrated is not None and calibrated.levers:
        actions = tuple(shrunk(action, calibrated) for action in actions)
    progress.told("picking", len(names), len(names) + 1)
    plan = planner(
        name, actions, money, limits, _sales(store, period, actions),
        raw if calibrated is not None and calibrated.levers else None,
    )  # fmt: skip
    caveats = [caveat for answer in answers for caveat in answer.caveats]
    caveats += [f"{studies.WINGS[wing].title} proposed nothing. {why}" for wing, why in unanswered.items()]
    for payer, purse in plan.purses.items():
        if payer not in money:
            caveats.append(
                f"Settings that the {payer} would pay for were left out: there is no budget for the {payer}."
            )
        elif purse.spent == 0:
            caveats.append(f"Nothing was drawn from the budget of the {payer}.")
    if calibrated is not None:
        for lever in sorted({action.lever for action in actions}):
            caveats.append(f"Gains of the lever {lever}: {calibrated.said(lever)}.")
    return Planned(plan, study(store, plan, tuple(dict.fromkeys(caveats))), tuple(answers), actions, unanswered)


def _settings(wing: str, money: Mapping[Party, float], seed: int) -> dict[str, Any]:
    """Return what a wing is asked: who pays follows from who has a budget."""
    fields = {field.name for field in dataclasses.fields(studies.wing(wing).load().settings)}
    found: dict[str, Any] = {"seed": seed} | ({"most": MOST} if "most" in fields else {})
    if "payer" in fields:
        funds = [str(party) for party in (Party.PLATFORM, Party.MERCHANT) if money.get(party, 0.0) > 0]
        found["payer"] = "cofunded" if len(funds) == 2 else (funds or ["platform"])[0]
    return found


def _sales(store: Store, period: Period, actions: Sequence[Action]) -> dict[str | None, float]:
    """GMV that is usual in as many days as actions hold, by shop and in all."""
    length = max((action.days.days for action in actions), default=0)
    seen = period.clipped(store.span) or store.span
    times = length / seen.days
    rows = store.metrics(Query((m.GMV,), seen, ("shop_id",)))
    found: dict[str | None, float] = {
        shop: float(value or 0) * times
        for shop, value in zip(rows["shop_id"].to_pylist(), rows["gmv"].to_pylist(), strict=True)
    }
    found[None] = sum(found.values())
    return found


def kept(found: Planned, folder: Path) -> list[Path]:
    """Write a plan into a folder, its page among the files, and return the files."""
    from tradewind.faces import report  # noqa: PLC0415 - slow to load

    files = write_plan(found.plan, found.answer.provenance, folder, found.actions)
    days = found.answer.period
    title = f"Plan {found.plan.name}: {days.first:%-d %b} to {days.last:%-d %b %Y}"
    page = folder / "plan.html"
    page.write_text(report.render([found.answer, *found.studies], title), encoding="utf-8")
    return [page, *files]
