"""Crossing: what later plans took of an experiment's units, arm by arm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import sqlalchemy as sa

from tradewind.ledger import standing
from tradewind.ledger.key import Key
from tradewind.ledger.schema import ASSIGNMENTS, ENTRIES, LAUNCHES
from tradewind.ledger.standing import Experiment, Launch
from tradewind.scope import Scope


class Crossing(NamedTuple):
    """What a later plan took of an experiment's units, whichever arm they drew there.

    Args:
        plan: Name of the later plan.
        units: Number of units that it took, by the arm that they drew in the experiment.
    """

    plan: str
    units: Mapping[str, int]


def crossings(
    connection: sa.Connection, key: Key, scope: Scope, number: int, of: Experiment
) -> tuple[Crossing, ...]:  # fmt: skip
    """Return what plans took of an experiment's units that were launched after it began, on days that count.

    Args:
        connection: A connection to the ledger.
        key: The ledger's key.
        scope: The caller's: launches that the caller does not see are not told of.
        number: Number of the experiment's entry.
        of: The experiment.

    Returns:
        One for each such plan that took any, by name.

    Raises:
        CorruptLedgerError: If entries are not what was written.
    """
    found: dict[str, Counter[str]] = {}
    groups: dict[str, set[int]] = {}
    own, subjects = of.launches[0], of.subjects
    seen: set[tuple[str, str]] = set()
    for held, launch in _later(connection, key, scope, number, of):
        elsewhere = bool(launch.source and own.source) and launch.source != own.source  # the same ids, other units
        if elsewhere or launch.subject.kind != own.subject.kind or not launch.held:
            continue
        if of.unit == "customer":
            groups.setdefault(launch.plan, set()).add(held)
        elif (arm := subjects.get(launch.subject.id)) and (launch.plan, launch.subject.id) not in seen:
            seen.add((launch.plan, launch.subject.id))
            found.setdefault(launch.plan, Counter())[arm] += 1
    for plan, experiments in groups.items():
        if counted := _customers(connection, number, experiments):
            found[plan] = counted
    return tuple(Crossing(plan, dict(found[plan])) for plan in sorted(found))


def _later(
    connection: sa.Connection, key: Key, scope: Scope, number: int, of: Experiment
) -> Iterator[tuple[int, Launch]]:  # fmt: skip
    """Yield launches that were registered after an experiment began and before it was due, with their experiments."""
    row = LAUNCHES.c
    since = sa.exists().where(ENTRIES.c.number == row.number, ENTRIES.c.at >= str(of.days.first))
    chosen = sa.select(row.number).where(row.number > number, row.first <= str(of.due), since, standing.seen(scope))
    return standing.launches_of(connection, key, chosen)


def _customers(connection: sa.Connection, number: int, experiments: set[int]) -> Counter[str]:
    """Return how many customers of an experiment are in others too, by the arm that they drew in it."""
    own, other = ASSIGNMENTS.alias("own"), ASSIGNMENTS.alias("other")
    both = own.join(other, sa.and_(other.c.unit == own.c.unit, other.c.experiment.in_(sorted(experiments))))
    counts = sa.select(own.c.arm, sa.func.count(sa.distinct(own.c.unit))).select_from(both)
    rows = connection.execute(counts.where(own.c.experiment == number).group_by(own.c.arm))
    return Counter({arm: count for arm, count in rows})
