"""Proof: what an experiment of the ledger did, read from the store's orders."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tradewind.decisions.plan.outcomes import SLOPED, before, outcomes, promised_from
from tradewind.engines.gaps import gaps_said
from tradewind.engines.store import Store
from tradewind.errors import BadInputError, MissingDataError
from tradewind.ledger import Experiment, Reading
from tradewind.ledger.lot import HOLDOUT, TREATED
from tradewind.methods.readout import Readout
from tradewind.period import Period
from tradewind.study import Estimate, Evidence, Party

LEVEL = 0.9


def read(store: Store, experiment: Experiment, arms: Mapping[str, str]) -> Reading:
    """Return what an experiment did: treated beside held out, per unit and in total, by party and together.

    The outcome is the contribution profit of each unit from the first day to the day on which the reading is due, less
    what the same days before foretell (CUPED) where each arm has ten units or more. Of one shop's customers it is what
    they bring in that shop, as was promised. Every unit is counted in the arm that it drew, so that the sizes of the
    arms can tell nothing of whether the shop did as they say.

    Args:
        store: The store with the days of the experiment.
        experiment: The experiment.
        arms: The arm of each unit: customers, or the products or shops of a group.

    Returns:
        The reading for the ledger.

    Raises:
        BadInputError: If nothing was held out, or too few for anything to be told.
        MissingDataError: If the store does not hold the days yet.
    """
    if not experiment.proves:
        raise BadInputError(
            "Nothing was held out of this experiment, so that nothing shows what would have been", got=experiment.name
        )
    days = Period(experiment.days.first, experiment.due)
    if days.last > store.span.last:
        raise MissingDataError(
            "The experiment is not over", got=f"{experiment.name}: due after {experiment.due}",
            allowed=f"the store holds days to {store.span.last}", do="import later days, and read again",
        )  # fmt: skip
    units = sorted(arms)
    kind = "customer" if experiment.unit == "customer" else experiment.launches[0].subject.kind
    store = promised_from(store, experiment.launches[0].subject)
    now = outcomes(store, kind, units, days)
    past = before(days)
    arm = np.array([arms[unit] for unit in units])
    counted = {name: int((arm == name).sum()) for name in (TREATED, HOLDOUT)}
    if not all(counted.values()):
        raise BadInputError(
            "One arm has no units, so that there is nothing to compare", got=f"{experiment.name}: {counted}"
        )
    foretold = past.clipped(store.span) == past and min(counted.values()) >= SLOPED
    then = outcomes(store, kind, units, past) if foretold else None
    readout = Readout(HOLDOUT, {name: count / len(units) for name, count in counted.items()}, LEVEL)
    effect: dict[Party, Estimate] = {}
    for party, values in now.items():
        if np.ptp(values) > 0:
            known = None if then is None else np.column_stack([then[party], sum(then.values())])
            effect[party] = readout(values, arm, known).arms[0].total
    joint = sum(now.values())
    if np.ptp(joint) == 0:
        raise BadInputError("All units did the same, so that nothing can be told", got=experiment.name)
    whole = readout(joint, arm, None if then is None else sum(then.values()))
    said = [*gaps_said(store, days), *whole.cautions]
    if experiment.unit != "customer":
        said.append("What products take from each other is not seen when products are held out.")
    method = "difference in means" + (" less what the days before foretell (CUPED)" if then is not None else "")
    return Reading(
        experiment.id, days, effect, whole.arms[0].total, counted, method, Evidence.RANDOMISED, note=" ".join(said)
    )
