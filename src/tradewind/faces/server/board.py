"""Board: the plan as the console's pages show it, solved anew for whatever budgets are asked."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any

from tradewind.accounts.verdicts import Decision, Verdict, fingerprint
from tradewind.decisions.plan import JOINT, Point, deed, gain_of
from tradewind.errors import BadInputError, ForbiddenError
from tradewind.faces.planning import Asked, Planned, soonest
from tradewind.faces.proposals import Proposals
from tradewind.faces.server import questions
from tradewind.faces.server.gate import Asking
from tradewind.faces.server.questions import Question
from tradewind.faces.server.reading import RECENT, period_of
from tradewind.ledger import Launch
from tradewind.ledger.lot import HOLDOUT
from tradewind.measures import metrics as m
from tradewind.money import amount, plainly
from tradewind.period import Period
from tradewind.scope import Scope
from tradewind.study import Choice, Column, Grid, Lever, Party

PAYERS = (Party.PLATFORM, Party.MERCHANT)
USUAL = {Party.PLATFORM: 0.01, Party.MERCHANT: 0.02}
"""Budgets that a plan begins with, as a share of GMV."""
STEPS = 100
"""Places of a slider."""
LAPSED = "lapsed"
"""Of an approval that was of another setting."""
MOST = 10**12
"""Largest budget."""


@dataclass(frozen=True)
class Sought:
    """What is asked of a plan on its page.

    Args:
        budgets: Money by payer.
        objective: Whose gain is sought.
        caution: From 0, expected gains, to 1, their low ends.
        rules: Limits as written.
        begin: First day on which an action may still begin; None where any may.
    """

    budgets: Mapping[Party, float]
    objective: str = JOINT
    caution: float = 0.0
    rules: tuple[str, ...] = ()
    begin: date | None = None

    @property
    def asked(self) -> Asked:
        """The same as planning takes it."""
        written = tuple(f"{payer}={plainly(limit)}" for payer, limit in self.budgets.items())
        return Asked(written, self.rules, self.objective, self.caution, begin=self.begin)

    def named(self, period: Period, scope: Scope) -> str:
        """Return a name for the plan that this leads to: the same for the same on any day, and no other caller's."""
        shops = None if scope.shops is None else sorted(scope.shops)
        said = json.dumps([str(period), shops, asdict(replace(self, begin=None).asked)], sort_keys=True)
        return f"plan-{period.last}-{hashlib.sha256(said.encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class Board:
    """A plan on its page.

    Args:
        question: Which proposals it picks from, and how far they have come.
        proposals: They, where they are there.
        sought: What is asked of the plan.
        found: The plan, where there are proposals.
        verdicts: What was decided of its actions, by key.
        standing: Launches of its actions that hold still, held-out ones among them, by key.
    """

    question: Question
    proposals: Proposals | None
    sought: Sought
    found: Planned | None
    verdicts: Mapping[str, Verdict]
    standing: Mapping[str, Launch]

    @property
    def approved(self) -> dict[str, Choice]:
        """The plan's choices that are approved, just as the plan has them, and not launched yet, by key."""
        choices = () if self.found is None else self.found.plan.choices
        return {
            key: choice
            for key, choice in ((choice.action.key, choice) for choice in choices)
            if key not in self.standing and key in self.verdicts and self.verdicts[key].covers(choice)
        }

    @property
    def latest(self) -> int:
        """Number of the last verdict that is shown."""
        return max((verdict.number for verdict in self.verdicts.values()), default=0)


def board(asker: Asking, sought: Sought | None = None, period: str = RECENT) -> Board:
    """Return the plan for what is asked, solved anew where nobody asked the same before."""
    office, store, days = asker.office, asker.store, period_of(period, asker.store)
    wanted = questions.gathering(asker, days)
    proposals = office.proposals(wanted.key, wanted.store)
    sought = begun(asker, sought or Sought(usual(asker, period)))
    if proposals is None:
        return Board(wanted, None, sought, None, {}, {})
    shops = office.subjects(wanted.key, proposals)
    given = office.verdicts.of(decided(asker, wanted), asker.caller.scope)
    verdicts = {key: given[key, shop] for key, shop in shops.items() if (key, shop) in given}
    launches = office.launches(asker.ledger)
    name, names = sought.named(days, store.scope), {each.plan for each in launches}
    again = next(n for n in itertools.count(1) if (name if n == 1 else f"{name}-{n}") not in names)
    name = name if again == 1 else f"{name}-{again}"  # what was launched of it is a plan of its own
    found = office.solved(wanted.key, proposals, sought.asked, name, asker.ledger, rejected(verdicts))
    return Board(wanted, proposals, sought, found, verdicts, standing(asker, shops, days))


def begun(asker: Asking, sought: Sought) -> Sought:
    """Return what is asked of a plan whose actions begin after today."""
    return replace(sought, begin=soonest(asker.store.provenance, asker.office.setup.today))


def decided(asker: Asking, wanted: Question) -> str:
    """Return under which key verdicts are kept: one verdict an action, whoever sees it, so that of the whole store."""
    return asker.office.key(wanted.wing, wanted.asked, asker.office.store())


def standing(asker: Asking, shops: Mapping[str, str | None], days: Period) -> dict[str, Launch]:
    """Return by key the launches that hold after some days and were not stopped, of actions of these shops."""
    return {
        each.action: each
        for each in asker.office.launches(asker.ledger)
        if each.stopped is None and each.days.last > days.last and (each.action, each.subject.shop) in shops.items()
    }


def curve(asker: Asking, found: Board, payer: str, points: int) -> Sequence[Point]:
    """Return what plans would gain along the budget of one payer, picked as the plan itself is.

    Raises:
        BadInputError: If the payer has no budget here.
    """
    if payer not in found.sought.budgets:
        raise BadInputError("There is no budget of this payer", got=payer, allowed=list(found.sought.budgets))
    if found.proposals is None:
        return ()
    asked, without = found.sought.asked, rejected(found.verdicts)
    key, ledger = found.question.key, asker.ledger
    return asker.office.frontier(key, found.proposals, asked, Party(payer), points, ledger, without)


def rejected(verdicts: Mapping[str, Verdict]) -> dict[str, str]:
    """Return the reason of each action that was rejected, by key."""
    return {key: verdict.reason for key, verdict in verdicts.items() if verdict.decision == Decision.REJECTED}


def usual(asker: Asking, period: str = RECENT) -> dict[Party, float]:
    """Return budgets to begin with: shares of the period's GMV, rounded."""
    store = asker.store
    gmv = float(store.panel((m.GMV,)).values(period_of(period, store))["gmv"] or 0)
    return {payer: nice(gmv * USUAL[payer]) for payer in payers_of(asker)}


def payers_of(asker: Asking) -> tuple[Party, ...]:
    """Return whose money the asker may spend."""
    return PAYERS if asker.caller.scope.everything else (Party.MERCHANT,)


def nice(amount: float) -> float:
    """Return an amount rounded to one digit that counts, or one and a half."""
    if amount <= 0:
        return 0.0
    size = 10 ** math.floor(math.log10(amount))
    return float(round(amount / size * 2) / 2 * size)


def step(amount: float) -> float:
    """Return the money that one place of a slider stands for, so that it reaches some five times the amount."""
    return max(nice(max(amount, 1.0) * 5 / STEPS), 1.0)


def rows(found: Board, currency: str, lever: str = "", shop: str = "", payer: str = "") -> Iterator[dict[str, Any]]:
    """Yield the plan's choices as rows, the largest gain first, those of a lever, shop or payer only.

    Raises:
        BadInputError: If there is no such lever or payer.
    """
    for given, known in ((lever, Lever), (payer, Party)):
        if given and given not in set(known):
            raise BadInputError("No action is of this kind", got=given, allowed=list(known))
    if found.found is None or found.proposals is None:
        return
    for rank, choice in enumerate(found.found.plan.choices, 1):
        action, setting = choice.action, choice.setting
        payers = [str(party) for party, cost in setting.cost.items() if cost > 0]
        if (
            (lever and action.lever != lever)
            or (shop and action.subject.shop != shop)
            or (payer and payer not in payers)
        ):
            continue
        gain = gain_of(choice.setting, found.found.plan.objective)
        what = deed(choice, currency, found.proposals.names)
        standing = found.standing.get(action.key)
        row = {
            "rank": rank, "what": what[:1].upper() + what[1:], "gain": gain,
            "cost": sum(setting.cost.values()), "payer": ", ".join(payers) or "nobody",
            "attributed": setting.attributed, "evidence": str(action.evidence), "key": action.key,
            "lever": str(action.lever), "first": action.days.first, "last": action.days.last, "why": action.why,
            "setting": fingerprint(choice), "verdict": _verdict(found.verdicts.get(action.key), choice),
            "launch": "" if standing is None else "held out" if standing.arm == HOLDOUT else "launched",
        }  # fmt: skip
        if action.subject.kind == "product":
            row["product_id"] = action.subject.id
        elif action.subject.kind == "shop":
            row["shop_id"] = action.subject.id
        yield row


def _verdict(given: Verdict | None, choice: Choice) -> str:
    if given is None or given.decision is Decision.OPEN:
        return ""
    return LAPSED if given.decision is Decision.APPROVED and not given.covers(choice) else str(given.decision)


COLUMNS = (
    Column("rank", "Rank", "count"), Column("what", "What to do"), Column("gain", "Gain", "money"),
    Column("cost", "Draws at most", "money"), Column("payer", "Paid by"),
    Column("attributed", "Attributed GMV", "money"), Column("evidence", "Evidence"),
)  # fmt: skip
EXPORTED = (
    *COLUMNS, Column("lever", "Lever"), Column("first", "From", "day"), Column("last", "To", "day"),
    Column("verdict", "Verdict"), Column("launch", "Launch"), Column("why", "Why"), Column("key", "Key"),
)  # fmt: skip


@dataclass(frozen=True)
class Top:
    """The largest actions of the plan, for the first page.

    Args:
        sentence: What the plan brings, in words.
        grid: The actions.
    """

    sentence: str
    grid: Grid


def top(asker: Asking, count: int) -> Top | None:
    """Return the largest actions of the plan at its usual budgets, or None where no proposals were gathered yet."""
    found = board(asker)
    if found.found is None:
        return None
    kept = tuple(itertools.islice(rows(found, asker.store.provenance.currency), count))
    return Top(found.found.answer.finding("plan").sentence, Grid(COLUMNS[1:], kept))


def of(asker: Asking, kind: str, id_: str) -> Grid | None:
    """Return what the plan at its usual budgets would do with something, or None where there is no plan."""
    if kind not in ("shop", "product", "creator") or asker.caller.scope.creators is not None:
        return None
    found = board(asker)
    if found.found is None:
        return None
    mine = {
        choice.action.key
        for choice in found.found.plan.choices
        if ((subject := choice.action.subject).id == id_ and subject.kind == kind)
        or (kind == "shop" and subject.shop == id_)
        or (kind == "creator" and subject.partner == id_)
    }  # fmt: skip
    kept = tuple(row for row in rows(found, asker.store.provenance.currency) if row["key"] in mine)
    return Grid(COLUMNS, kept)


def read(given: Mapping[str, str], fallback: Mapping[Party, float], rules: Sequence[str] = ()) -> Sought:
    """Read what is asked of a plan from the fields of its form.

    Raises:
        BadInputError: If an amount or a share cannot be read.
        ForbiddenError: If a budget is of somebody whose money the caller does not spend: it has no fallback.
    """
    budgets: dict[Party, float] = {}
    for payer in PAYERS:
        text = given.get(payer, "").strip()
        if payer not in fallback:
            if text:
                raise ForbiddenError(f"You cannot spend the budget of the {payer}", do="leave it out")
            continue
        budgets[payer] = amount(text) if text else fallback[payer]
        if budgets[payer] > MOST:
            raise BadInputError("No budget is as large", got=text, allowed=f"up to {MOST:,}")
    caution = _number(given.get("caution") or "0", "caution", 1.0)
    objective = given.get("objective") or JOINT
    if objective not in (JOINT, *Party):
        raise BadInputError("There is no such objective", got=objective, allowed=(JOINT, *Party))
    return Sought(budgets, objective, caution, tuple(rule.strip() for rule in rules if rule.strip()))


def _number(text: str, name: str, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= most:
        raise BadInputError(f"What was given for {name} is no number that can be", got=text, allowed=f"0 to {most:g}")
    return value
