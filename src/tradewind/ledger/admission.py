"""Admission: whether a reading can be of the experiment that it names."""

from __future__ import annotations

from collections import Counter
from datetime import date

from tradewind.errors import BadInputError, ConflictError
from tradewind.ledger.lot import HOLDOUT, TREATED
from tradewind.ledger.reading import Reading
from tradewind.ledger.standing import Experiment
from tradewind.study import Evidence


def admit(reading: Reading, of: Experiment, today: date) -> bool:
    """See that a reading can be of an experiment, and return whether it is an early look.

    Args:
        reading: The reading.
        of: The experiment.
        today: The day, in the ledger's timezone.

    Returns:
        Whether days that count are missing from it.

    Raises:
        BadInputError: If it speaks of days before the start or still to come, of units that were not there, of all days
            but not all units, or claims more than was earned.
        ConflictError: If it was read already and this one does not say what it corrects.
    """
    days, due, units = of.days, of.due, of.units
    if reading.days.first < days.first or reading.days.last >= today:
        raise BadInputError(
            "A reading speaks of days on which nothing was to be seen", got=reading.days,
            allowed=f"from {days.first}, when it began, to the day before {today}",
        )  # fmt: skip
    if reading.days.last > due:
        raise BadInputError(
            "A reading counts days that were registered not to count", got=reading.days, allowed=f"to {due}"
        )
    if unknown := {arm: count for arm, count in reading.units.items() if count > units.get(arm, 0)}:
        raise BadInputError(
            "A reading counts units that were not registered", got=unknown, allowed=", ".join(map(str, units.items()))
        )
    if reading.evidence == Evidence.MEASURED:
        raise BadInputError("An effect is never simply counted", got=reading.evidence, do="say how it was estimated")
    if reading.evidence == Evidence.RANDOMISED:
        if HOLDOUT not in units:
            raise BadInputError(
                "Nothing was held out, so that the reading cannot claim to be randomised", got=reading.evidence,
                do="say quasi-experimental or observational, whichever it is",
            )  # fmt: skip
        if any(reading.units.get(arm, 0) == 0 for arm in units):
            raise BadInputError(
                "One arm has no units, so that there is nothing to compare",
                got=dict(reading.units),
                do="count both arms",
            )
    early = reading.days.last < due or reading.days.first > days.first
    there = units if of.unit == "customer" else Counter(of.subjects.values())
    asked = units if reading.evidence == Evidence.RANDOMISED else (TREATED,)
    if not early and (missing := {arm: there[arm] for arm in asked if reading.units.get(arm, 0) < there.get(arm, 0)}):
        raise BadInputError(
            "A reading that counts some of the units only is no proof", got=dict(reading.units),
            allowed=", ".join(f"{arm} {count}" for arm, count in missing.items()),
            do="count every unit, one that did nothing as 0",
        )  # fmt: skip
    standing = {kept.place: kept for kept in of.readings if not kept.replaced}
    if reading.replaces is not None:
        if reading.replaces not in standing:
            raise ConflictError(
                "The reading to correct does not stand", got=reading.replaces, allowed=sorted(standing) or "none"
            )
        if standing[reading.replaces].early != early:
            raise BadInputError("A correction is of the same days", got=reading.days, do="read it as a new reading")
    elif finals := [kept.place for kept in standing.values() if not kept.early and not early]:
        raise ConflictError(
            "This experiment was read already", got=f"reading {finals[0]}", do="name it as the one that this corrects"
        )
    return early
