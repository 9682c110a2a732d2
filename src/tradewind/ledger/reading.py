"""Reading: what an experiment was found to have done, as the ledger keeps it; the mathematics is the caller's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tradewind.errors import BadInputError
from tradewind.ledger.promise import estimate_read, estimate_said, name, number, period_read, sentence
from tradewind.period import Period
from tradewind.study import Estimate, Evidence, Party

UNDONE = 0.5  # share carried out below which what is read says nothing of what was planned
SKEWED = 0.001
"""Below such a chance the arms are not as the lot drew them, and what is read is not trusted for a calibration."""


@dataclass(frozen=True)
class Reading:
    """What an experiment was found to have done.

    Args:
        experiment: Id of the experiment.
        days: The days of which the outcomes were counted.
        effect: Incremental contribution profit by party, all that the treated units brought together; of a group, all
            its treated actions together.
        joint: The same of all parties together.
        units: Number of units by arm whose outcomes were counted.
        method: How it was read, such as `difference in means, CUPED`.
        evidence: How it was earned.
        sample_ratio: Chance of arms as unequal as these under the lot, by a count that is not the ledger's own, such as
            of a shop's log; None where there is none.
        note: What else is to be known.
        replaces: Place of the reading that this one corrects, among those of the experiment, from 1.
        missing: How many of the days were probably never imported, and count as days without sales.
        crossing: Chance that plans which were launched since took units of both arms as unequally as they did, if they
            picked whatever the arm had sold; None where none took any.
        carried: Share of the treated to whom it was done, less that of the held out, as the store shows; None where it
            shows nothing.

    Raises:
        BadInputError: If it says no effect, or a number makes no sense.
    """

    experiment: str
    days: Period
    effect: Mapping[Party, Estimate]
    joint: Estimate | None
    units: Mapping[str, int]
    method: str
    evidence: Evidence
    sample_ratio: float | None = None
    note: str = ""
    replaces: int | None = None
    missing: int = 0
    crossing: float | None = None
    carried: float | None = None

    def __post_init__(self) -> None:
        sentence(self.method, "How it was read")
        if not self.effect and self.joint is None:
            raise BadInputError("A reading says no effect", got=self.experiment)
        for chance in (self.sample_ratio, self.crossing):
            if chance is not None and not 0 <= chance <= 1:
                raise BadInputError("The chance of the arms is no probability", got=chance, allowed="0 to 1")
        if self.carried is not None and not 0 <= self.carried <= 1:
            raise BadInputError("What was carried out is no share", got=self.carried, allowed="0 to 1")
        for estimate in (*self.effect.values(), *(() if self.joint is None else (self.joint,))):
            if not estimate.low < estimate.high:
                raise BadInputError(
                    "The interval of an effect has no width", got=(estimate.low, estimate.high),
                    do="give the interval that the method found: an effect is never known exactly",
                )  # fmt: skip
        if wrong := {arm: count for arm, count in self.units.items() if count < 0 or count != int(count)}:
            raise BadInputError("A number of units makes no sense", got=wrong)

    @property
    def skewed(self) -> bool:
        """Whether the arms are too unequal to have been left as the lot drew them."""
        return self.sample_ratio is not None and self.sample_ratio < SKEWED

    @property
    def crossed(self) -> bool:
        """Whether later plans took so much more of one arm that what they did there is read as what this one did."""
        return self.crossing is not None and self.crossing < SKEWED

    @property
    def undone(self) -> bool:
        """Whether the store shows that most of it was not done, or to both arms alike."""
        return self.carried is not None and self.carried < UNDONE


@dataclass(frozen=True)
class Kept:
    """A reading in the ledger.

    Args:
        reading: The reading.
        place: Its place among the readings of its experiment, from 1.
        at: When it was written.
        who: Who wrote it.
        early: Whether days that count are missing from it, so that it is a look and no proof.
        replaced: Whether a later one corrects it.
    """

    reading: Reading
    place: int
    at: str
    who: str
    early: bool
    replaced: bool


def reading_said(reading: Reading, entry: int, early: bool) -> dict[str, Any]:
    """Return a reading as the ledger keeps it."""
    return {
        "experiment": name(reading.experiment, "The id of an experiment"),
        "entry": str(entry),
        "days": [str(reading.days.first), str(reading.days.last)],
        "effect": {str(Party(who)): estimate_said(value, "An effect") for who, value in reading.effect.items()},
        "joint": None if reading.joint is None else estimate_said(reading.joint, "The joint effect"),
        "units": {name(arm, "An arm"): str(int(count)) for arm, count in reading.units.items()},
        "method": reading.method,
        "evidence": str(Evidence(reading.evidence)),
        "sample_ratio": None
        if reading.sample_ratio is None
        else number(reading.sample_ratio, "The chance of the arms"),
        "note": reading.note,
        "replaces": None if reading.replaces is None else str(reading.replaces),
        "early": early,
        **({"missing": str(reading.missing)} if reading.missing else {}),
        **({} if reading.crossing is None else {"crossing": number(reading.crossing, "The chance of later plans")}),
        **({} if reading.carried is None else {"carried": number(reading.carried, "What was carried out")}),
    }


def reading_read(said: Mapping[str, Any]) -> Reading:
    """Return the reading that was kept."""
    return Reading(
        said["experiment"],
        period_read(said["days"]),
        {Party(who): estimate_read(value) for who, value in said["effect"].items()},
        None if said["joint"] is None else estimate_read(said["joint"]),
        {arm: int(count) for arm, count in said["units"].items()},
        said["method"],
        Evidence(said["evidence"]),
        None if said["sample_ratio"] is None else float(said["sample_ratio"]),
        said["note"],
        None if said["replaces"] is None else int(said["replaces"]),
        int(said.get("missing", 0)),
        float(said["crossing"]) if "crossing" in said else None,
        float(said["carried"]) if "carried" in said else None,
    )
