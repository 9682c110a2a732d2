"""Registration: promises as the entries and assignment rows that are written before anything is launched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from tradewind.errors import BadInputError, ConflictError, ForbiddenError
from tradewind.ledger import chain
from tradewind.ledger.appender import SKEW, Appender
from tradewind.ledger.lot import HOLDOUT, TREATED, Tally, picked, salt, thrown
from tradewind.ledger.promise import Approval, Promise, name, number, promise_said
from tradewind.ledger.schema import ASSIGNMENTS, ENTRIES, LAUNCHES, STOPS
from tradewind.scope import OPERATOR, Scope
from tradewind.study import Action

LONGEST_ECHO = 366
CUSTOMERS = "customers"
NAMED = 3
"""Most units or launches that an error names one by one."""
LISTED = 20
"""Most actions that an error lists for a command line."""


@dataclass(frozen=True)
class Terms:
    """How a plan's promises are registered.

    Args:
        echo: Days after an action's last day during which what it brings is still counted; the reading is due after.
        seed: Seed of the lots.
        exclusive: Whether a unit may be in one action of a lever and a shop on a day only.
        late: Whether actions that have begun already may be registered; each then says so for ever.
        assumptions: What was supposed where the source says nothing, a sentence each: readings must suppose the same.
        source: Name of the source of the store that the promises were made from; readings must be of the same.
        currency: ISO 4217 code of its money.
        notice: What the store's data say of themselves, which tells one simulated world from another.

    Raises:
        BadInputError: If the echo is out of range.
    """

    echo: int = 14
    seed: int = 0
    exclusive: bool = True
    late: bool = False
    assumptions: tuple[str, ...] = ()
    source: str = ""
    currency: str = ""
    notice: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.echo <= LONGEST_ECHO:
            raise BadInputError("The days of echo are out of range", got=self.echo, allowed=f"0 to {LONGEST_ECHO}")


@dataclass(frozen=True)
class Draft:
    """An experiment about to be registered.

    Args:
        said: What its entry says.
        launches: What the entries of its launches say.
        rows: Its units with their arms, sorted by unit; empty where the units are the launches themselves.
    """

    said: dict[str, Any]
    launches: tuple[dict[str, Any], ...]
    rows: tuple[tuple[str, str], ...]


def draft(plan: str, promises: Sequence[Promise], approval: Approval, terms: Terms, scope: Scope) -> list[Draft]:
    """Return what a launch of a plan will write, all lots drawn; nothing is asked of the database.

    Args:
        plan: Name of the plan.
        promises: What is to be launched.
        approval: Who approved it.
        terms: How it is registered.
        scope: The caller's.

    Returns:
        One draft for each action that reaches customers, and one for each group of other actions.

    Raises:
        ForbiddenError: If a subject lies outside the scope.
        BadInputError: If a promise cannot be kept or proven as asked.
    """
    name(plan, "The name of a plan")
    if not promises:
        raise BadInputError("The plan has no actions to launch", got=plan)
    keys = [promise.choice.action.key for promise in promises]
    if len(set(keys)) < len(keys):
        twice = sorted(key for key, times in Counter(keys).items() if times > 1)
        raise BadInputError("An action stands in the plan twice", got=", ".join(twice[:NAMED]))
    _inside(promises, scope)
    common = {
        "plan": plan, "approval": {"who": approval.who, "at": chain.moment(approval.at)},
        "assumptions": list(terms.assumptions), "source": terms.source, "currency": terms.currency,
        "notice": terms.notice,
    }  # fmt: skip
    found: list[Draft] = []
    groups: dict[tuple[str, ...], list[Promise]] = {}
    for promise in promises:
        action = promise.choice.action
        if action.assignment is not None:
            found.append(_on_customers(plan, promise, terms, common))
        else:
            # a group is of like actions, whatever it is called: of one lever, kind of subject and days
            like = (
                promise.group,
                str(action.lever),
                action.subject.kind,
                str(action.days.first),
                str(action.days.last),
            )
            groups.setdefault(like, []).append(promise)
    return found + [_on_group(plan, like, members, terms, common) for like, members in groups.items()]


def _inside(promises: Sequence[Promise], scope: Scope) -> None:
    shops = {promise.choice.action.subject.shop for promise in promises}
    if not scope.everything and None in shops:
        raise ForbiddenError(
            "Only an operator launches what is the marketplace's", do="name your shop as its subject's"
        )
    scope.narrowed(shop for shop in shops if shop is not None)


def _on_customers(plan: str, promise: Promise, terms: Terms, common: Mapping[str, Any]) -> Draft:
    action = promise.choice.action
    units = sorted(_units(promise))
    lot = salt(terms.seed, action.subject.shop, plan, action.key)
    held = {HOLDOUT: promise.holdout} if promise.holdout else {}
    arms = {**held, TREATED: 1 - promise.holdout}
    drawn = thrown(lot, units, arms)
    tally = Tally()
    for unit, arm in zip(units, drawn, strict=True):
        tally.add(unit, arm)
    if missing := set(arms) - set(tally.arms):
        do = "hold out a larger share, or none" if HOLDOUT in missing else "hold out a smaller share"
        raise BadInputError(
            f"The lot of the action '{action.key}' left one arm empty, so that there is nothing to compare",
            got=f"{len(units)} customers, none in the arm {', '.join(missing)}", do=f"{do}, or reach more customers",
        )  # fmt: skip
    experiment = chain.digest("experiment", action.subject.shop, plan, action.key)[:16]
    said = {
        **_experiment(experiment, action.key, promise, terms), "unit": "customer", "salt": lot,
        "arms": {arm: number(share, "A propensity") for arm, share in arms.items()},
        "units": {arm: str(tally.arms[arm]) for arm in arms}, "digest": tally.digest,
    }  # fmt: skip
    launch = {**common, **_launch(plan, promise), "arm": None}
    return Draft(said, (launch,), tuple(zip(units, drawn, strict=True)))


def _units(promise: Promise) -> Sequence[str]:
    action = promise.choice.action
    units = action.assignment.units if action.assignment is not None else ()
    if not len(units):
        raise BadInputError(f"The action '{action.key}' reaches nobody", do="leave it out of the plan")
    checked = [name(unit, f"A customer of the action '{action.key}'") for unit in units]
    if len(unique := set(checked)) < len(checked):
        twice = sorted(unit for unit, times in Counter(checked).items() if times > 1)
        raise BadInputError(
            f"Customers stand in the list of the action '{action.key}' twice",
            got=f"{len(checked) - len(unique)} of {len(checked)}, such as {', '.join(twice[:NAMED])}",
            do="name each customer once",
        )
    return checked


def _on_group(
    plan: str, like: tuple[str, ...], members: Sequence[Promise], terms: Terms, common: Mapping[str, Any]
) -> Draft:
    first = members[0]
    shares = {promise.holdout for promise in members}
    if len(shares) > 1:
        raise BadInputError(
            f"Actions of one group hold out different shares: {_called(first)}", got=sorted(shares),
            do="give the group one share, or give the actions groups of their own",
        )  # fmt: skip
    [share] = shares
    by_key = {promise.choice.action.key: promise for promise in members}
    # actions on one subject, such as those with several partners, are read together: they draw one arm, as the first
    first_on: dict[str, str] = {}
    for key in sorted(by_key):
        first_on.setdefault(by_key[key].choice.action.subject.id, key)
    size = len(first_on)
    if share and size < 2:
        raise BadInputError(
            f"The action '{first.choice.action.key}' is alone of its kind, so that one arm would be empty", got=share,
            do="hold out 0 of it, and read it by comparison; or launch it among like actions on other subjects",
        )  # fmt: skip
    # so many exactly, at least one in each arm: a throw for each would leave small groups without a holdout
    held = min(max(int(share * size + 0.5), 1), size - 1) if share else 0
    shops = sorted({promise.choice.action.subject.shop or "" for promise in members})
    lot = salt(terms.seed, *shops, plan, *like)
    out = picked(lot, sorted(first_on.values()), held)
    counts = {HOLDOUT: held, TREATED: size - held}
    experiment = chain.digest("group", *shops, plan, *sorted(by_key))[:16]
    said = {
        **_experiment(experiment, _called(first), first, terms), "unit": "action", "salt": lot,
        "arms": {arm: number(count / size, "A propensity") for arm, count in counts.items() if count},
        "units": {arm: str(count) for arm, count in counts.items() if count}, "digest": None,
    }  # fmt: skip
    launches = (
        {
            **common,
            **_launch(plan, promise),
            "arm": HOLDOUT if first_on[promise.choice.action.subject.id] in out else TREATED,
        }
        for promise in by_key.values()
    )
    return Draft(said, tuple(launches), ())


def _called(promise: Promise) -> str:
    action = promise.choice.action
    if promise.group:
        return name(promise.group, "The name of a group")
    return f"{action.lever} on {action.subject.kind}s, {action.days.title}"


def _experiment(experiment: str, called: str, promise: Promise, terms: Terms) -> dict[str, Any]:
    action = promise.choice.action
    return {
        "experiment": experiment,
        "name": called,
        "lever": str(action.lever),
        "days": [str(action.days.first), str(action.days.last)],
        "due": str(action.days.last + timedelta(days=terms.echo)),
        "seed": str(terms.seed),
        "exclusive": terms.exclusive,
    }


def launch_id(plan: str, action: Action) -> str:
    """Return the id of the launch of a plan's action: of its shop, the plan's name and its key."""
    return chain.digest("launch", action.subject.shop, plan, action.key)[:16]


def _launch(plan: str, promise: Promise) -> dict[str, Any]:
    return {"launch": launch_id(plan, promise.choice.action), "promise": promise_said(promise)}


def register(appender: Appender, drafts: Sequence[Draft], who: str, today: date, terms: Terms) -> None:
    """Write drafts: entries and assignment rows in the writer's one transaction, so that all of it stands or nothing.

    Args:
        appender: The writer.
        drafts: What to write.
        who: Who launches.
        today: The day, in the ledger's timezone.
        terms: How it is registered.

    Raises:
        ConflictError: If a launch stands already, or units are in another action of the lever on those days.
        BadInputError: If an action has begun, is over, or rests on numbers that have expired.
    """
    approved = max(launch["approval"]["at"] for each in drafts for launch in each.launches)
    if approved > chain.moment(appender.now + SKEW):
        raise BadInputError("The approval lies in the future", got=approved)
    _timely(drafts, today, terms)
    _once(appender.connection, drafts)
    beside: dict[str, tuple[str, list[str]]] = {}
    holding = _holding(appender.connection, drafts) if terms.exclusive else {}
    for each in drafts:
        experiment = appender.add(chain.EXPERIMENT, who, each.said)
        appender.assign(experiment.number, each.rows)
        for launch in each.launches:
            late = launch["promise"]["days"][0] <= str(today)
            entry = appender.add(chain.LAUNCH, who, {**launch, "entry": str(experiment.number), "late": late})
            if terms.exclusive and (met := _met(appender.connection, launch, entry.number, experiment.number, holding)):
                beside[launch["promise"]["key"]] = met
    if beside:
        raise _unprovable(beside)


def check(plan: str, promises: Sequence[Promise], approval: Approval, terms: Terms, today: date) -> None:
    """Refuse what no ledger would take on a day, before there is one.

    Raises:
        BadInputError: As `draft` and `register`.
    """
    _timely(draft(plan, promises, approval, terms, OPERATOR), today, terms)


def _timely(drafts: Sequence[Draft], today: date, terms: Terms) -> None:
    for promise in (launch["promise"] for each in drafts for launch in each.launches):
        first, last = (date.fromisoformat(day) for day in promise["days"])
        key = promise["key"]
        if last < today:
            raise BadInputError(
                f"The action '{key}' is over already", got=last, do="import the days up to now, then plan anew"
            )
        if first <= today and not terms.late:
            raise BadInputError(
                f"The action '{key}' begins too early to be registered before its launch", got=first,
                allowed=f"after {today}", do="move its days, or say that it is registered late",
            )  # fmt: skip
        if promise["expires"] is not None and date.fromisoformat(promise["expires"]) < today:
            raise BadInputError(
                f"The numbers of the action '{key}' have expired",
                got=promise["expires"],
                do="import the days up to now, then plan anew",
            )


def _once(connection: sa.Connection, drafts: Sequence[Draft]) -> None:
    keys = {launch["launch"]: launch["promise"]["key"] for each in drafts for launch in each.launches}
    ids = list(keys)
    stand = []
    for at in range(0, len(ids), 500):
        found = connection.execute(sa.select(LAUNCHES.c.id).where(LAUNCHES.c.id.in_(ids[at : at + 500])))
        stand += [keys[id_] for (id_,) in found]
    if stand:
        more = f" and {len(stand) - NAMED} more" if len(stand) > NAMED else ""
        raise ConflictError(
            "Actions of this plan are launched already; nothing was launched again",
            got=", ".join(sorted(stand)[:NAMED]) + more,
            do="write the plan's files once more with tradewind ledger export PLAN, or give a new plan another name: "
            "tradewind plan --name",
        )  # fmt: skip


class _Holding(NamedTuple):
    """A launch, by the number of its entry, that holds its subject from one day until another."""

    number: int
    called: str
    first: str
    until: str


_UNTIL = sa.case((STOPS.c.day < LAUNCHES.c.last, STOPS.c.day), else_=LAUNCHES.c.last)
_RUNNING = LAUNCHES.join(STOPS, STOPS.c.launch == LAUNCHES.c.number, isouter=True)


def _holding(connection: sa.Connection, drafts: Sequence[Draft]) -> dict[tuple[str | None, ...], list[_Holding]]:
    """Return the launches that hold the subjects of these drafts on days of theirs, by subject.

    They are all read at once: a question for each launch would go through all others of its shop.
    """
    promises = [launch["promise"] for each in drafts for launch in each.launches]
    found: dict[tuple[str | None, ...], list[_Holding]] = {_subject(promise): [] for promise in promises}
    first, last = (pick(promise["days"][n] for promise in promises) for n, pick in enumerate((min, max)))
    of = LAUNCHES.c
    rows = (
        sa.select(of.shop, of.lever, of.subject_kind, of.subject_id, of.partner)
        .add_columns(of.number, of.plan, of.action, of.first, of.last)
        .where(of.subject_kind != CUSTOMERS, of.first <= last, of.last >= first)
    )
    ended = _ended(connection, first)
    for *subject, entry, plan, action, begin, until in connection.execute(rows):
        if (held := found.get(tuple(subject))) is not None:
            let_go = min(until, ended.get(entry, until))
            if max(begin, first) <= let_go:
                held.append(_Holding(entry, f"{plan}/{action}", begin, let_go))
    return found


def _ended(connection: sa.Connection, first: str) -> dict[int, str]:
    """Return by number when launches on anything but customers were let go, of those that last to a day or longer.

    Of a group, part of which is held out, all are let go once all that were treated are stopped, and none before: a
    later action on those of one arm only would be taken for what this one did.
    """
    of = LAUNCHES.c
    stopped = sa.select(of.experiment).join_from(STOPS, LAUNCHES).where(of.subject_kind != CUSTOMERS, of.last >= first)
    rows = (
        sa.select(of.experiment, STOPS.c.day, *ENTRIES.c)
        .select_from(_RUNNING.join(ENTRIES, ENTRIES.c.number == of.number))
        .where(of.experiment.in_(stopped))
    )
    groups: dict[int, list[tuple[int, str | None, str]]] = {}
    for group, day, *fields in connection.execute(rows):
        entry = chain.Entry(*fields)
        groups.setdefault(group, []).append((entry.number, day, entry.said["arm"]))
    found: dict[int, str] = {}
    for launches in groups.values():
        days = [day for _, day, arm in launches if arm == TREATED]
        if all(arm == TREATED for *_, arm in launches):
            found |= {entry: day for entry, day, _ in launches if day is not None}
        elif None not in days:
            found |= dict.fromkeys((entry for entry, *_ in launches), max(day for day in days if day is not None))
    return found


def _on(first: str, last: str) -> tuple[sa.ColumnElement[bool], ...]:
    """Conditions that a launch holds units on one of these days; one that was stopped before it began held nobody."""
    return LAUNCHES.c.first <= last, LAUNCHES.c.first <= _UNTIL, sa.literal(first) <= _UNTIL


def _subject(promise: Mapping[str, Any]) -> tuple[str | None, ...]:
    subject = promise["subject"]
    return subject["shop"], promise["lever"], subject["kind"], subject["id"], subject["partner"]


def _met(
    connection: sa.Connection, said: Mapping[str, Any], launch: int, experiment: int,
    holding: Mapping[tuple[str | None, ...], list[_Holding]],
) -> tuple[str, list[str]] | None:  # fmt: skip
    """Return which launches of the same source, lever and shop hold units of this one on the same days, in words.

    Args:
        connection: The writer's connection.
        said: What the entry of the launch says.
        launch: Number of that entry.
        experiment: Number of its experiment's entry.
        holding: Launches by subject, other than customers; this one is added.
    """
    promise, source = said["promise"], said["source"]
    if promise["subject"]["kind"] == CUSTOMERS:
        shared = _sharing(connection, promise, launch, experiment)
        alike = [each for each in shared if _alike(connection, each.number, source)]
        names = [each.called for each in alike]
        who = f"{len(set().union(*(shared[each] for each in alike)))} of its customers are"
    else:
        first, last = promise["days"]
        held = holding[_subject(promise)]
        meets = [each for each in held if each.first <= last and first <= each.until]
        names = [each.called for each in meets if _alike(connection, each.number, source)]
        held.append(_Holding(launch, f"{said['plan']}/{promise['key']}", first, last))
        who = "Its subject is"
    return (
        (f"{who} in other actions of the lever {promise['lever']} on the same days", sorted(names)) if names else None
    )


def _sharing(
    connection: sa.Connection, promise: Mapping[str, Any], launch: int, experiment: int
) -> dict[_Holding, set[str]]:
    """Return the launches of the lever and shop that hold customers of this one on the same days, and whom."""
    of = LAUNCHES.c
    running = (
        sa.select(of.experiment, of.number, of.plan, of.action, of.first, _UNTIL)
        .select_from(_RUNNING)
        .where(
            of.number != launch,
            _is(of.shop, promise["subject"]["shop"]),
            of.lever == promise["lever"],
            of.subject_kind == CUSTOMERS,
            *_on(*promise["days"]),
        )
    )
    own, other = ASSIGNMENTS.alias("own"), ASSIGNMENTS.alias("other")
    found = {}
    for theirs, entry, plan, action, first, until in connection.execute(running).all():
        both = own.join(other, sa.and_(other.c.unit == own.c.unit, other.c.experiment == theirs))
        shared = set(connection.scalars(sa.select(own.c.unit).select_from(both).where(own.c.experiment == experiment)))
        if shared:
            found[_Holding(entry, f"{plan}/{action}", first, until)] = shared
    return found


def _unprovable(beside: Mapping[str, tuple[str, list[str]]]) -> ConflictError:
    """Return the refusal of actions that cannot be proven beside others, the first of them in words."""
    keys = list(beside)
    said, names = beside[keys[0]]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    alike = f"; so it is with {len(keys) - 1} more of this plan" if len(keys) > 1 else ""
    out = " ".join(f"--without '{key}'" for key in keys[:LISTED]) + (" …" if len(keys) > LISTED else "")
    return ConflictError(
        f"The action '{keys[0]}' cannot be proven beside another. {said}{alike}", got=", ".join(names[:NAMED]) + more,
        do=f"leave out what meets (tradewind ledger launch PLAN {out}), choose other days, or stop the others first "
        f"(tradewind ledger stop '{names[0]}')",
    )  # fmt: skip


def _alike(connection: sa.Connection, number: int, source: str) -> bool:
    """Whether the launch of an entry may be of a source; one that says another shares ids with it, and no units."""
    row = connection.execute(ENTRIES.select().where(ENTRIES.c.number == number)).one()
    other = chain.Entry(*row).said.get("source", "")
    return other in ("", source) or not source


def _is(column: sa.Column[Any], value: str | None) -> sa.ColumnElement[bool]:
    return column.is_(None) if value is None else column == value
