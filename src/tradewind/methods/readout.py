"""Readout: what an action did to those who got it, judged by the holdout that was drawn for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft

from tradewind.errors import BadInputError
from tradewind.methods.moments import (
    Contrast,
    Moments,
    Slope,
    Spread,
    Verdict,
    contrast,
    enough,
    labels,
    numbers,
    probability,
    propensities,
    single,
)
from tradewind.study import Estimate

FEW = 20
"""Randomised units in an arm, as many as tell as much as they do, below which the reading says that they are few."""


@dataclass(frozen=True)
class Split:
    """Whether the arms are as large as they were registered to be.

    Args:
        counted: Randomised units by arm.
        expected: How many were to be expected by arm.
        p_value: Probability of a split at least as far off, had it been drawn as registered.
        holds: Whether that is not too small to be chance.
        among: Of whom these are the numbers: all where it is empty, or where only some of them are split otherwise.
    """

    counted: Mapping[str, int]
    expected: Mapping[str, float]
    p_value: float
    holds: bool
    among: str = ""

    @property
    def sentence(self) -> str:
        """What it means, in words."""
        said = ", ".join(f"{n:,} in '{arm}', {self.expected[arm]:,.0f} due" for arm, n in self.counted.items())
        said += self.among
        if self.holds:
            return f"The split is the one that was registered: {said}."
        chance = f"in one of {1 / self.p_value:,.0f} draws" if self.p_value > 1e-12 else "as good as never"
        return (
            f"The split is not the one that was registered: {said}; chance alone does that {chance}. Do not trust the "
            "effects: find out whom the log has lost, or who came in by another way."
        )


@dataclass(frozen=True)
class ArmReading:
    """What one arm did beside the control.

    Args:
        arm: Its name.
        units: Number of its units.
        drawn: Number of its randomised units: the same, or its clusters.
        mean: Mean outcome of its units.
        contrast: The difference to the control with its standard error.
        effect: Gain per unit over the control.
        total: The same over all its units.
        p_value: Probability of a difference as large or larger where there is no effect: uniform in an A/A test.
        p_family: The same, Holm's, so that any false alarm among all arms is as rare.
    """

    arm: str
    units: int
    drawn: int
    mean: float
    contrast: Contrast
    effect: Estimate
    total: Estimate
    p_value: float
    p_family: float

    @property
    def verdict(self) -> Verdict:
        """Proven gain, proven harm, or still open."""
        return Verdict.of(self.effect)


@dataclass(frozen=True)
class Reading:
    """What an experiment did.

    Args:
        control: Name of the control arm.
        units: Number of its units.
        drawn: Number of its randomised units.
        mean: Mean outcome of its units.
        arms: The other arms, in the order of their names.
        split: Whether the split is the registered one; None where none was registered.
        cautions: What limits the reading, a sentence each.
    """

    control: str
    units: int
    drawn: int
    mean: float
    arms: tuple[ArmReading, ...]
    split: Split | None
    cautions: tuple[str, ...]

    @property
    def trusted(self) -> bool:
        """Whether a split was registered and holds; what is not trusted proves nothing."""
        return self.split is not None and self.split.holds


class Readout:
    """Reads an experiment at its stop date: the effect of each arm per unit and in total, and whether to trust it.

    The effect is the difference of mean outcomes between an arm and the control: of all units with one weight each, or
    with weights of one over the propensity (Hájek). Values from before the start take away the variance that they
    foretell (CUPED). Where whole clusters were drawn, the spread is that between clusters. An arm's variance is never
    taken to be below that of both arms together, since a small holdout of rare and large amounts seldom holds one and
    then seems to vary little: with its own variance alone such a holdout proves gains that are none two to four times
    as often as it says. This costs some width, and `spread="own"` (Welch) is there for who knows better.

    Read once, at the stop date; whoever looks every day takes `Sequence`.

    Args:
        control: Name of the arm that got nothing.
        shares: By arm, the share of randomised units that it was registered to get; they sum to 1.
        level: Probability with which each interval is meant to hold the truth, in (0, 1).
        mismatch: A split is not the registered one where chance would be as far off with less than this probability.
        spread: `larger` or `own`, see `contrast`.
        slope: `common` to both arms, or each arm's `own` (Lin), see `contrast`.
        cap: Outcomes above this count as this, in their unit; the reading says so. None, as usual, leaves all as is.

    Reference:
        Deng, Xu, Kohavi and Walker (2013), section 3; Lin (2013); Hájek (1971), Comment on a paper by Basu;
        Fabijan et al. (2019), Diagnosing sample ratio mismatch; Hong (2013), On computing the distribution function for
        the Poisson binomial distribution (propensities); Holm (1979), A simple sequentially rejective procedure.
    """

    def __init__(
        self,
        control: str = "holdout",
        shares: Mapping[str, float] | None = None,
        level: float = 0.9,
        mismatch: float = 0.001,
        spread: Spread = "larger",
        slope: Slope = "common",
        cap: float | None = None,
    ):
        self.control = str(control)
        if shares is not None and not isinstance(shares, Mapping):
            raise BadInputError("The registered shares name their arms", got=shares, allowed="{'holdout': 0.1, …}")
        self.shares = None
        if shares is not None:
            self.shares = {str(arm): single(share, f"share of '{arm}'") for arm, share in shares.items()}
        if self.shares is not None and (
            self.control not in self.shares
            or not all(0 < share < 1 for share in self.shares.values())
            or not math.isclose(sum(self.shares.values()), 1, abs_tol=1e-6)
        ):
            allowed = f"one between 0 and 1 for each arm, '{self.control}' among them, that sum to 1"
            raise BadInputError("The registered shares do not fit", got=self.shares, allowed=allowed)
        if spread not in ("larger", "own") or slope not in ("common", "own"):
            raise BadInputError(
                "Settings out of range", got=(spread, slope), allowed="spread larger or own, slope common or own"
            )
        if cap is not None and not math.isfinite(single(cap, "cap of an outcome")):
            raise BadInputError("The cap of an outcome is a number", got=cap)
        self.level = probability(level, "level")
        self.mismatch = probability(mismatch, "probability of a mismatch")
        self.spread = spread
        self.slope = slope
        self.cap = None if cap is None else float(cap)

    def __call__(
        self,
        outcome: ArrayLike,
        arm: ArrayLike,
        before: ArrayLike | None = None,
        cluster: ArrayLike | None = None,
        propensity: ArrayLike | None = None,
        unit: ArrayLike | None = None,
    ) -> Reading:
        """Return what the arms did.

        Args:
            outcome: [units] outcome of each unit that was drawn, also of those that did nothing: 0, not left out.
            arm: [units] name of the arm that it was drawn for, not of what it took.
            before: [units] or [units, covariates] what was known before the start, such as its money in as many days.
            cluster: [units] label of its cluster, where whole clusters were drawn.
            propensity: [units] probability with which it was drawn for its arm, where these differ; in (0, 1). With
                more than two arms [units, arms], that of each arm in the order of their names. The split is then judged
                by these.
            unit: [units] its id, to find units that are there twice.

        Returns:
            The reading.

        Raises:
            BadInputError: If there is one arm only, arms and registered shares differ, an outcome is not a number or
                the same for all, a unit is there twice, a cluster in two arms, a propensity out of range, those of a
                unit do not sum to 1, one unit outweighs its arm, or so few were drawn that nothing can be told.
        """
        values = numbers(outcome, "outcome")
        if values.ndim != 1 or not len(values):
            raise BadInputError("The outcome is one number for each unit", got=values.shape, allowed="one or more")
        names, place = labels(arm, len(values), "arm")
        if unit is not None:
            _refuse_twice(unit, place)
        codes = None if cluster is None else labels(cluster, len(values), "cluster")[1]
        if codes is not None:
            _refuse_spread(codes, place)
        known = None if before is None else numbers(before, "value from before")
        if known is not None and known.shape[:1] != values.shape:
            raise BadInputError("Values from before do not fit", got=known.shape, allowed=f"{len(values)} rows")
        chances = None if propensity is None else _chances(propensity, place, len(names))
        own = None if chances is None else chances[np.arange(len(values)), place]
        capped = 0 if self.cap is None else int((values > self.cap).sum())
        if self.cap is not None:
            values = np.minimum(values, self.cap)
        moments = {}
        for number, name in enumerate(names):
            here = place == number
            parts = (None if each is None else each[here] for each in (known, codes, own))
            moments[name] = Moments.of(values[here], *parts)
        split = self._split(moments)
        if chances is not None:
            split = self._unequal_split(chances, place, codes, names)
        said = []
        if self.cap is not None:
            said.append(
                f"Outcomes above {self.cap:,.12g} count as {self.cap:,.12g}, as was declared: {capped:,} of "
                f"{len(values):,} units; the effect is on the outcome so cut."
            )
        return self._reading(moments, split, said, "units" if cluster is None else "clusters")

    def of(self, moments: Mapping[str, Moments]) -> Reading:
        """Return what the arms did, from their moments.

        Args:
            moments: By arm, its moments, over different units.

        Returns:
            The reading; the split is judged by the number of randomised units.

        Raises:
            BadInputError: As for arrays.
        """
        moments = {str(arm): moments[arm] for arm in sorted(moments, key=str)}
        clustered = any(each.units != each.count for each in moments.values())
        return self._reading(moments, self._split(moments), [], "clusters" if clustered else "units")

    def _reading(self, moments: Mapping[str, Moments], split: Split | None, said: list[str], what: str) -> Reading:
        """Compare each arm with the control; arms as they are sorted."""
        held = moments[self.control]
        others = [arm for arm in moments if arm != self.control]
        for arm in others:
            enough(held.count, moments[arm].count, self.level, what)
        found = [contrast(held, moments[arm], self.spread, self.slope) for arm in others]
        family = _holm([each.p_value for each in found])
        arms = tuple(
            ArmReading(
                arm, moments[arm].units, moments[arm].count, moments[arm].outcome, each,
                each.interval(self.level), each.interval(self.level).scaled(moments[arm].units), each.p_value, of_all,
            )
            for arm, each, of_all in zip(others, found, family, strict=True)
        )  # fmt: skip
        if split is None:
            said.append("No split was registered, so that none could be checked: the effects are not to be trusted.")
        elif not split.holds:
            said.append(split.sentence)
        least = min(moments.values(), key=lambda each: each.effective)
        if least.effective < FEW:
            alike = "" if least.count < least.effective + 0.5 else f" that tell as much as {least.effective:.1f}"
            count = f"{least.count:,} {what}{alike}"
            said.append(f"The smallest arm holds {count}: the interval leans on their being alike.")
        if len(arms) > 1:
            said.append(
                f"{len(arms)} arms were tried: each interval holds on its own; go by the p-values of the family to say "
                "that any of them works."
            )
        return Reading(self.control, held.units, held.count, held.outcome, arms, split, tuple(said))

    def _split(self, moments: Mapping[str, Moments]) -> Split | None:
        """Check that the arms are those registered, and how likely their sizes are."""
        if self.control not in moments or len(moments) < 2:
            raise BadInputError(
                "There is nothing to compare", got=sorted(moments), allowed=f"'{self.control}' and another arm"
            )
        if self.shares is None:
            return None
        if set(self.shares) != set(moments):
            raise BadInputError("The arms are not those registered", got=sorted(moments), allowed=sorted(self.shares))
        from scipy.stats import binomtest, chisquare  # noqa: PLC0415  a second and 50 MiB that a server has no use for until it reads

        counted = {arm: each.count for arm, each in moments.items()}
        total = sum(counted.values())
        expected = {arm: total * self.shares[arm] for arm in counted}
        if len(counted) == 2:
            p_value = float(binomtest(counted[self.control], total, self.shares[self.control]).pvalue)
        elif min(expected.values()) >= 5:
            p_value = float(chisquare(list(counted.values()), list(expected.values()), sum_check=False).pvalue)
        else:
            each = [binomtest(counted[arm], total, self.shares[arm]).pvalue for arm in counted]
            p_value = min(1.0, len(each) * float(min(each)))
        return Split(counted, expected, p_value, p_value >= self.mismatch)

    def _unequal_split(
        self, chances: NDArray[np.float64], place: NDArray[np.intp], codes: NDArray[np.intp] | None, names: list[str]
    ) -> Split:
        """Check the number in each arm by its exact law: of all, and of those with more and with less chance of it.

        All together would not tell propensities that were mixed up; of two arms the first tells of the other.
        """
        if codes is not None:
            first = np.unique(codes, return_index=True)[1]
            if not np.allclose(chances, chances[first][codes], rtol=1e-9):
                raise BadInputError("A cluster has several propensities", do="give the one with which it was drawn")
            chances, place = chances[first], place[first]
        whole = np.ones(len(place), bool)
        tests = []
        for number, name in enumerate(names[:1] if len(names) == 2 else names):
            chance = chances[:, number]
            apart = chance - chance.mean()
            said = f"than the average chance of '{name}'"
            sets = {
                "": whole,
                f", of those with more {said}": apart > 1e-6,
                f", of those with less {said}": apart < -1e-6,
            }
            for among, who in sets.items():
                if who.any():
                    tests.append((_as_far_off(place[who] == number, chance[who]), among, who))
        least, among, who = min(tests, key=lambda test: test[0])
        p_value = min(1.0, len(tests) * least)
        holds = p_value >= self.mismatch
        if holds:
            among, who = "", whole
        counted = {name: int((place[who] == number).sum()) for number, name in enumerate(names)}
        expected = dict(zip(names, chances[who].sum(axis=0).tolist(), strict=True))
        return Split(counted, expected, p_value, holds, among)


def _holm(values: list[float]) -> list[float]:
    """P-values that hold for the family."""
    order = np.argsort(values, kind="stable")
    raised = np.maximum.accumulate(np.asarray(values)[order] * np.arange(len(values), 0, -1))
    held = np.empty(len(values))
    held[order] = np.minimum(raised, 1.0)
    return [float(value) for value in held]


def _chances(given: ArrayLike, place: NDArray[np.intp], arms: int) -> NDArray[np.float64]:
    """Probability of each arm, by unit; of two arms that of the own one tells both."""
    if arms <= 2 and np.ndim(given) == 1:
        own = propensities(given, (len(place),))
        return np.column_stack([np.where(place == number, own, 1 - own) for number in range(2)])
    chances = propensities(given, (len(place), arms))
    if not np.allclose(chances.sum(axis=1), 1, atol=1e-6):
        raise BadInputError("The propensities of a unit do not sum to 1", got=chances.sum(axis=1).min())
    return chances


def _as_far_off(drawn: NDArray[np.bool_], chances: NDArray[np.float64]) -> float:
    """Probability of a number of drawn that is as rare or rarer, where each has its own chance."""
    parts = np.zeros((1 << (len(chances) - 1).bit_length(), 2))  # laws of the number, of ever more units together
    parts[:, 0] = 1
    parts[: len(chances)] = np.column_stack([1 - chances, chances])
    while len(parts) > 1:
        size = 2 * parts.shape[1] - 1
        fast = fft.next_fast_len(size, real=True)
        waves = fft.rfft(parts, fast, axis=1)
        parts = fft.irfft(waves[::2] * waves[1::2], fast, axis=1)[:, :size]
    law = np.maximum(parts[0], 0)
    return float(law[law <= law[drawn.sum()] * (1 + 1e-7)].sum())


def _refuse_twice(unit: ArrayLike, place: NDArray[np.intp]) -> None:
    codes = labels(unit, len(place), "id")[1]
    times = np.bincount(codes)
    if (times > 1).any():
        twice = int((times > 1).sum())
        first = np.asarray(unit)[np.argmax(times[codes] > 1)]
        across = len(np.unique(np.column_stack([codes, place]), axis=0)) - len(times)
        raise BadInputError(
            f"{twice} units are there more than once, {across} of them in more than one arm", got=f"first: {first}",
            do="sum each unit's outcome, and leave out those whom two arms reached" if across else "sum them by unit",
        )  # fmt: skip


def _refuse_spread(codes: NDArray[np.intp], place: NDArray[np.intp]) -> None:
    pairs = len(np.unique(codes * (place.max() + 1) + place))
    if pairs > codes.max() + 1:
        raise BadInputError(
            "A cluster has units in two arms, so that clusters were not drawn as a whole",
            got=f"{pairs - codes.max() - 1} of {codes.max() + 1}", do="leave the clusters out where units were drawn",
        )  # fmt: skip
