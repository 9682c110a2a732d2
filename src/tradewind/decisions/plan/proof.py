"""Proof: what an experiment of the ledger did, read from the store's orders."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from tradewind.decisions.plan.carried import carried
from tradewind.decisions.plan.outcomes import (
    SLOPED,
    Coming,
    before,
    coming,
    foretelling,
    known_before,
    outcomes,
    promised_from,
    require_costed,
    require_discounts,
)
from tradewind.engines.gaps import gaps_said, missing_days
from tradewind.engines.returns import names_orders, told_until
from tradewind.engines.store import Store
from tradewind.errors import BadInputError, MissingDataError
from tradewind.ledger import Crossing, Experiment, Reading
from tradewind.ledger.lot import HOLDOUT, TREATED
from tradewind.ledger.reading import SKEWED
from tradewind.methods.moments import Moments, contrast
from tradewind.methods.readout import Readout
from tradewind.methods.sequence import Sequence
from tradewind.money import human
from tradewind.period import Period
from tradewind.study import Estimate, Evidence, Party

Array = NDArray[np.float64]

LEVEL = 0.9
LATE = 0.05  # share of all refunds still to come from which on it is said


@dataclass(frozen=True)
class Early:
    """What an experiment that is not over has told so far.

    Args:
        days: Its days so far.
        of: Its days until it is read.
        joint: What all treated units gained in the days so far, all parties together. The intervals of all looks hold
            together with the probability of their level, however often one looks, so that whoever stops what proves
            harmful is misled no more often than that.
    """

    days: Period
    of: Period
    joint: Estimate


def read(
    store: Store, experiment: Experiment, arms: Mapping[str, str], later: Collection[Crossing] = ()
) -> Reading:  # fmt: skip
    """Return what an experiment did: treated beside held out, per unit and in total, by party and together.

    The outcome is the contribution profit of each unit from the first day to the day on which the reading is due, less
    what days before foretell (CUPED) where each arm has ten units or more. Of one shop's customers it is what
    they bring in that shop, as was promised. Every unit is counted in the arm that it drew, so that the sizes of the
    arms can tell nothing of whether the shop did as they say. How many of each arm sold or bought something before
    the first day does tell whether the store still knows them: ids that were lost or changed in one arm show there.

    Args:
        store: The store with the days of the experiment.
        experiment: The experiment.
        arms: The arm of each unit: customers, or the products or shops of a group.
        later: What plans that were launched since it began took of its units.

    Returns:
        The reading for the ledger.

    Raises:
        BadInputError: If nothing was held out, or too few for anything to be told.
        MissingDataError: If the store does not hold the days yet, the last one in part only, or not the unit costs of
            what was sold in them.
    """
    days = Period(experiment.days.first, experiment.due)
    if days.last > store.span.last:
        raise MissingDataError(
            "The store does not hold all days that count yet", got=f"{experiment.name}: due after {experiment.due}",
            allowed=f"the store holds days to {store.span.last}", do="import later days, and read again",
        )  # fmt: skip
    if not _over(store, days.last):
        raise MissingDataError(
            "The last day that counts was not over when the store was imported, and would count for less than it was",
            got=f"{experiment.name}: an import at {store.manifest.created_at}", allowed=f"one after {days.last}",
            do="import that day once more, and read again",
        )  # fmt: skip
    store, kind, units, arm, counted = _drawn(store, experiment, arms)
    require_costed(store, kind, units, days)
    require_discounts(store, days)
    until = told_until(store) if names_orders(store) else store.span.last
    still = coming(store, kind, units, days, until)
    now = _less(outcomes(store, kind, units, days), still)
    then = foretelling(store, kind, units, days) if min(counted.values()) >= SLOPED else []
    together = [_joint(each) for each in then]
    readout = Readout(HOLDOUT, {name: count / len(units) for name, count in counted.items()}, LEVEL)
    effect: dict[Party, Estimate] = {}
    for party, values in now.items():
        if np.ptp(values) > 0:
            effect[party] = readout(values, arm, _known([each[party] for each in then] + together[:1])).arms[0].total
    joint = _joint(now)
    if np.ptp(joint) == 0:
        raise BadInputError("All units did the same, so that nothing can be told", got=experiment.name)
    whole = readout(joint, arm, _known(together))
    ratio, lost = _unlike(known_before(store, kind, units, days.first), arm)
    crossing, moved = _crossed(later, counted)
    done = carried(store, experiment, arms)
    undone = [done.sentence] if done is not None and done.sentence else []
    still_said = _still_said(still, until, store.span.last)
    said = [*gaps_said(store, days), *still_said, *lost, *moved, *undone, *whole.cautions]
    if experiment.unit != "customer":
        said.append("What products take from each other is not seen when products are held out.")
    method = "difference in means" + (" less what the days before foretell (CUPED)" if then else "")
    return Reading(
        experiment.id, days, effect, whole.arms[0].total, counted, method, Evidence.RANDOMISED, ratio, " ".join(said),
        missing=len(missing_days(store, days)), crossing=crossing, carried=None if done is None else done.share,
    )  # fmt: skip


def _joint(profit: Mapping[Party, Array]) -> Array:
    return np.asarray(sum(profit.values()))


def _known(columns: list[Array]) -> Array | None:
    return np.column_stack(columns) if columns else None


def _less(profit: Mapping[Party, Array], still: Coming | None) -> Mapping[Party, Array]:
    return profit if still is None else {party: values - still.less[party] for party, values in profit.items()}


def _still_said(still: Coming | None, until: date, last: date) -> list[str]:
    if still is None or still.share < LATE:
        return []
    silent = f" No refund is told after {until}, as if they were not imported." if until < last else ""
    return [
        f"Of what these orders will give back, {human(still.share, 'share')} is still to come: it is counted as older "
        f"orders let expect.{silent}"
    ]


def _over(store: Store, day: date) -> bool:
    """Whether a day was over when the store was last written; of simulated data every day that it holds is."""
    origin = store.provenance
    if origin.simulated or not store.manifest.created_at:
        return True
    end = datetime.combine(day + timedelta(days=1), time(), ZoneInfo(origin.timezone))
    return datetime.fromisoformat(store.manifest.created_at) >= end


def _unlike(there: NDArray[np.bool_], arm: NDArray[np.str_]) -> tuple[float, list[str]]:
    """Return the chance of a lot that splits who was there before as unequally as this, and a sentence where it is low.

    Args:
        there: [n] whether the store knows something of the unit from before.
        arm: [n] its arm.

    Reference:
        Fisher (1935), The logic of inductive inference (exact test); Fabijan et al. (2019), Diagnosing sample ratio
        mismatch in online controlled experiments.
    """
    from scipy.stats import fisher_exact  # noqa: PLC0415 - slow to load

    parts = [there[arm == name] for name in (TREATED, HOLDOUT)]
    chance = float(fisher_exact([[int(part.sum()), int((~part).sum())] for part in parts]).pvalue)
    if chance >= SKEWED:
        return chance, []
    treated, held = (human(part.mean(), "share") for part in parts)
    return chance, [
        f"{treated} of the treated sold or bought something before it began, and {held} of those held out: chance "
        f"alone does that in fewer than one of {1 / SKEWED:,.0f} lots. The store has probably lost or changed ids of "
        "one arm since, so that its outcomes are missing."
    ]


def _crossed(later: Collection[Crossing], counted: Mapping[str, int]) -> tuple[float | None, list[str]]:
    """Return the chance that later plans take the arms as unequally as they did, and a sentence where it is low.

    Of several plans it is that of the most unequal one times their number.

    Args:
        later: What each of them took.
        counted: Number of units by arm.

    Reference:
        Fisher (1935), The logic of inductive inference (exact test); Bonferroni's bound for several plans.
    """
    from scipy.stats import fisher_exact  # noqa: PLC0415 - slow to load

    found = []
    for each in later:
        took = [each.units.get(arm, 0) for arm in (TREATED, HOLDOUT)]
        rows = [[mine, counted[arm] - mine] for mine, arm in zip(took, (TREATED, HOLDOUT), strict=True)]
        found.append((float(fisher_exact(rows).pvalue), each.plan, took))
    if not found:
        return None, []
    least, plan, (treated, held) = min(found)
    chance = min(1.0, least * len(found))
    if chance >= SKEWED:
        return chance, []
    shares = [human(share / counted[arm], "share") for share, arm in ((treated, TREATED), (held, HOLDOUT))]
    return chance, [
        f"The plan {plan}, which was launched since, took {shares[0]} of the treated and {shares[1]} of those held "
        "out, as one does that picks by what sold since: what it did is read here as what this one did, so that this "
        "reading calibrates nothing."
    ]


def look(store: Store, experiment: Experiment, arms: Mapping[str, str], today: date) -> Early:
    """Return what an experiment that is not over has told so far; nothing of it is kept, and nothing calibrates.

    The outcome is each unit's contribution profit per day so far, of all parties together, less what the same days
    before foretell; `Sequence` gives the interval, planned for the error that the days before show.

    Args:
        store: The store with some days of the experiment, and as many before it as it will have.
        experiment: The experiment.
        arms: The arm of each unit: customers, or the products or shops of a group.
        today: Last day that may count, also where the store holds later ones.

    Raises:
        BadInputError: If nothing was held out, or too few for anything to be told.
        MissingDataError: If the store holds no day of it, not those before, or not the unit costs of what was sold.
    """
    whole = Period(experiment.days.first, experiment.due)
    past = before(whole)
    known = Period(store.span.first, max(min(store.span.last, today), store.span.first))
    if (days := whole.clipped(known)) is None or past.clipped(store.span) != past:
        raise MissingDataError(
            "Days that a look needs are not there", got=f"{experiment.name}: {store.span}",
            allowed=f"all days from {past.first}, to {whole.first} at least", do="import them",
        )  # fmt: skip
    store, kind, units, arm, counted = _drawn(store, experiment, arms)
    require_costed(store, kind, units, days)
    store = store.known_by(days.end(store.provenance.timezone))
    require_discounts(store, days)
    still = coming(store, kind, units, days, days.last)
    now = _joint(_less(outcomes(store, kind, units, days), still)) / days.days
    earlier = [_joint(each) for each in foretelling(store, kind, units, whole)]
    then = earlier[0] / past.days
    if not np.ptp(now) > 0 or not np.ptp(then) > 0:
        raise BadInputError("All units did the same so far, or before: nothing can be told", got=experiment.name)

    def moments(outcome: Array, known: Array | None) -> list[Moments]:
        parts = [arm == name for name in (HOLDOUT, TREATED)]
        return [Moments.of(outcome[part], None if known is None else known[part]) for part in parts]

    held, treated = moments(then, None)
    planned = contrast(held, treated).error
    held, treated = moments(now, _known(earlier) if min(counted.values()) >= SLOPED else None)
    found = Sequence(planned, LEVEL)(held, treated).total
    return Early(days, whole, found.scaled(days.days))


def _drawn(
    store: Store, experiment: Experiment, arms: Mapping[str, str]
) -> tuple[Store, str, list[str], NDArray[np.str_], dict[str, int]]:
    """Return the store as far as the promise reaches; kind, ids and arms of the units; and how many are in each arm."""
    if not experiment.proves:
        raise BadInputError(
            "Nothing was held out of this experiment, so that nothing shows what would have been", got=experiment.name
        )
    units = sorted(arms)
    arm = np.array([arms[unit] for unit in units])
    counted = {name: int((arm == name).sum()) for name in (TREATED, HOLDOUT)}
    if not all(counted.values()):
        raise BadInputError(
            "One arm has no units, so that there is nothing to compare", got=f"{experiment.name}: {counted}"
        )
    subject = experiment.launches[0].subject
    kind = "customer" if experiment.unit == "customer" else subject.kind
    return promised_from(store, subject), kind, units, arm, counted
