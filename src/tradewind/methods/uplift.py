"""Uplift: what a treatment changes, for whom, and how sure that is.

Units were treated by chance that is known, or can be learnt from their features. Cross-fitted expectations turn every
unit into a noisy gain that is right on average (doubly robust); the effect is what features tell of these gains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from tradewind.errors import BadInputError
from tradewind.methods.crossfit import Crossfit, Folds, coded, features_of, sized, whole
from tradewind.methods.learner import columns, set_aside
from tradewind.methods.moments import numbers, probability, single
from tradewind.methods.uplift_effect import EffectLearner, Effects, Taught
from tradewind.methods.uplift_gains import (
    Observed,
    calibration,
    equal_weight,
    interval,
    not_falling,
    refuse_still,
)
from tradewind.methods.uplift_outcome import Expected, Kind, expected, kind_of
from tradewind.study import Estimate

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

FEWEST = 4  # units of an arm for each fold
KEPT = 0.1  # share of the units, and of what a trial by lot would tell, that must be left
MANY = 100_000  # units from which two folds are enough
JUDGES = 200_000  # most units that say how far what was learnt from others is to be believed
LEAST = 10.0  # units of equal weight, treated and untreated, that an effect needs
LARGEST = 1e15  # of an outcome, and one over it the least: squares of gains must fit single precision


@dataclass(frozen=True)
class Overlap:
    """How comparable the treated of an arm are with the untreated.

    Args:
        arm: Number of the arm.
        lowest: Lowest chance of the arm rather than none, of all units.
        highest: Highest such chance.
        trim: Chances below it, or above one less it, are left out.
        trimmed: Share of the units left out of the effect.
        treated: Number of treated units of equal weight that would tell as much as those kept.
        untreated: The same of untreated units.
    """

    arm: int
    lowest: float
    highest: float
    trim: float
    trimmed: float
    treated: float
    untreated: float

    @property
    def sentence(self) -> str:
        """What to say aloud."""
        out = "no unit is left out"
        if self.trimmed > 0:
            out = (
                f"{self.trimmed:.1%} of the units are almost always or almost never treated (chance below "
                f"{self.trim:.3g} or above {1 - self.trim:.3g}) and are left out of the effect"
            )
        return (
            f"Arm {self.arm}: the chance of treatment runs from {self.lowest:.3g} to {self.highest:.3g}; {out}; what "
            f"is kept tells as much as {self.treated:,.0f} treated and {self.untreated:,.0f} untreated units."
        )


@dataclass(frozen=True)
class UnitEffects:
    """Effects of single units, arm by arm.

    Args:
        mid: [n, arms − 1] effect of each arm over none, in the unit of the outcome.
        low: [n, arms − 1] lower end of its interval.
        high: [n, arms − 1] upper end of it.
        level: Share of the units whose effect the intervals are meant to hold.
    """

    mid: Array
    low: Array
    high: Array
    level: float


@dataclass(frozen=True)
class ArmModel:
    """What was learnt of one arm.

    Args:
        effects: How the effect depends on features.
        lift: Average effect over average outcome: the start is the expected outcome times it; 0 where there is none.
        through: Of a zero-inflated outcome, what was learnt of the chance of being above zero; the start is then the
            effect on that chance times the expected size.
        corners: Predicted effects, and effects in their stead, between which lines run; None where units held out ask
            for no calibration.
    """

    effects: Effects
    lift: float
    through: ArmModel | None
    corners: tuple[Array, Array] | None

    def start(self, known: Expected, x: Array) -> tuple[Array, Array]:
        """Return the start [n] at features [n, p], and its variance [n]."""
        if self.through is not None and known.above is not None:
            effect, variance = self.through.predict(known.above, x)
            size = known.size.predict(x)
            return effect * size, variance * size**2
        if self.lift == 0:
            return np.zeros(len(x)), np.zeros(len(x))
        mean, variance = known.predict(x)
        return self.lift * mean, self.lift**2 * variance

    def predict(self, known: Expected, x: Array) -> tuple[Array, Array]:
        """Return the effect [n] at features [n, p], and its variance [n]."""
        start, shaky = self.start(known, x)
        effect, variance = self.effects.predict(x, start)
        return self.calibrated(effect), variance + self.effects.follows**2 * shaky

    def calibrated(self, effect: Array) -> Array:
        """Return the effect that units of this predicted effect showed."""
        return effect if self.corners is None else np.interp(effect, *self.corners)


@dataclass(frozen=True)
class UpliftFit:
    """What treatments change, for whom, and how sure that is.

    Args:
        average: By arm, the average effect over none on the units kept.
        slope: By arm, by how much the units' gains rise with their predicted effect, out of fold and within folds: 1
            where predictions are calibrated, around 0 where they tell nothing of who gains; exactly 0, with no width,
            where one effect is predicted for all.
        held_out: Effects of the units that taught, from models that did not see their cluster, where asked for.
        gains: [n, arms − 1] doubly robust gains of the units, for curves; NaN where trimmed.
        overlap: By arm, how comparable the treated are with the untreated.
        kind: Kind of outcome: `binary`, `amount`, `zero-inflated` or `real`.
        settings: What it was learnt with.
        expected: What units do anyhow, over all arms.
        arms: By arm, what was learnt of it.
        columns: Number of features.
    """

    average: tuple[Estimate, ...]
    slope: tuple[Estimate, ...]
    held_out: UnitEffects | None
    gains: Array
    overlap: tuple[Overlap, ...]
    kind: Kind
    settings: Uplift
    expected: Expected
    arms: tuple[ArmModel, ...]
    columns: int

    def effect(self, x: ArrayLike) -> UnitEffects:
        """Return the effects of units, each with its interval.

        Args:
            x: [m, p] features, NaN where missing.

        Raises:
            BadInputError: If the features cannot be used.
        """
        features = features_of(x, self.settings.categorical)
        if features.shape[1] != self.columns:
            raise BadInputError("Other features were learnt from", got=features.shape[1], allowed=f"{self.columns}")
        return self.settings.told([arm.predict(self.expected, features) for arm in self.arms])


class Uplift:
    """Learns what treatments change, for whom, from units that were treated by chance.

    Args:
        learner: `dr` regresses doubly robust gains on features; `r` regresses what is unexpected in the outcome on
            what is unexpected in the treatment.
        folds: Number of folds of the cross-fitting; 5 below 100,000 units and 2 from there on where left out.
        repeats: Number of splits over which what must be known first is averaged.
        seed: Seed of everything random.
        level: Probability with which each interval is meant to hold the truth, in (0, 1).
        categorical: Which features are categories, coded as whole numbers from 0.
        trim: Units whose chance of an arm rather than none is below it, or above one less it, are left out.
        doses: By arm, its face value; effects are then made not to fall as it rises. None leaves them as they are.

    Reference:
        Kennedy (2023), Towards optimal doubly robust estimation of heterogeneous causal effects, EJS 17, algorithm 1;
        Nie and Wager (2021), Quasi-oracle estimation of heterogeneous treatment effects, Biometrika 108, equation 4;
        van der Laan et al. (2023), Causal isotonic calibration for heterogeneous treatment effects, ICML, algorithm 2.

    Examples:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> x, arm = rng.normal(size=(2000, 2)), rng.integers(0, 2, 2000)
        >>> y = x[:, 1] + arm * (1 + x[:, 0]) + rng.normal(size=2000)
        >>> fit = Uplift().fit(x, arm, y, propensity=[0.5, 0.5])
        >>> fit.effect([[-1.0, 0.0], [1.0, 0.0]]).mid[:, 0].round().tolist()
        [0.0, 2.0]
    """

    def __init__(
        self,
        learner: Literal["dr", "r"] = "dr",
        folds: int | None = None,
        repeats: int = 1,
        seed: int = 0,
        level: float = 0.9,
        categorical: Sequence[int] = (),
        trim: float = 0.01,
        doses: Sequence[float] | None = None,
    ):
        if learner not in ("dr", "r"):
            raise BadInputError("Unknown learner", got=learner, allowed=("dr", "r"))
        self.level = probability(single(level, "level"), "level")
        self.trim = single(trim, "trim")
        if not 0 <= self.trim < 0.5:
            raise BadInputError("The trim is out of range", got=trim, allowed="from 0 to below 0.5")
        worth = np.atleast_1d(numbers(() if doses is None else doses, "face value of an arm"))
        if len(np.unique(worth)) < len(worth) or not np.isfinite(worth).all():
            raise BadInputError("The arms' face values must differ, and be numbers", got=doses)
        self.learner = learner
        Crossfit(2 if folds is None else folds, repeats, seed)  # says at once what is out of range
        self.folds = folds
        self.repeats = repeats
        self.seed = seed
        self.categorical = columns(categorical)
        self.doses = None if doses is None else tuple(worth.tolist())

    def fit(
        self,
        x: ArrayLike,
        arm: ArrayLike,
        y: ArrayLike,
        propensity: ArrayLike | None = None,
        unit: ArrayLike | None = None,
        cluster: ArrayLike | None = None,
        held_out: bool = True,
    ) -> UpliftFit:
        """Return what the arms change.

        Args:
            x: [n, p] features known before treatment, NaN where missing.
            arm: [n] 0 where not treated, 1, 2, … for the treatments.
            y: [n] outcomes: yes or no as 1 or 0, counts, money, or any number.
            propensity: [n, arms] or [arms] chances with which units were given each arm; learnt from the features where
                left out, which is right only if these hold all that treatment and outcome both depended on.
            unit: [n] ids of the units, each once; rows are units where left out. Folds then go by them, not by the
                order of rows.
            cluster: [n] ids of what units belong to, where those of one cluster are alike or were treated together.
            held_out: Whether to tell the effects of these units by what did not see them, which takes a while of many.

        Raises:
            BadInputError: If shapes do not fit, a value is missing, infinite, too large or too small, there is one arm,
                an arm has too few units or clusters, the outcome is constant or the same for all treated alike, a unit
                comes twice, or treated and untreated do not overlap.
        """
        data = self.observed(x, arm, y, propensity, unit, cluster)
        parts = [self._arm(data, a, held_out) for a in range(1, data.chances.shape[1])]
        average, slope, gains, overlap, arms, told = zip(*parts, strict=True)
        return UpliftFit(
            average, slope, self.told(told) if held_out else None, np.column_stack(gains), overlap, data.kind,
            self, data.known, arms, data.x.shape[1],
        )  # fmt: skip

    def observed(
        self,
        x: ArrayLike,
        arm: ArrayLike,
        y: ArrayLike,
        propensity: ArrayLike | None = None,
        unit: ArrayLike | None = None,
        cluster: ArrayLike | None = None,
    ) -> Observed:
        """Return what was observed of units and what was expected of them, of which effects are learnt; see `fit`."""
        features = features_of(x, self.categorical)
        treatment = whole("arm", arm, len(features))
        parts = (2 if len(features) >= MANY else 5) if self.folds is None else self.folds
        crossfit = Crossfit(parts, self.repeats, self.seed, categorical=self.categorical, most=MANY)
        outcome = numbers(y, "outcome")
        _check(treatment, outcome, unit)
        count = int(treatment.max()) + 1
        short = np.flatnonzero(np.bincount(treatment) < FEWEST * parts)
        if len(short):
            raise BadInputError(
                "An arm has too few units", got=f"arm {short[0]} has {int(np.sum(treatment == short[0]))}",
                allowed=f"{FEWEST * parts} or more", do="leave the arm out, or take fewer folds",
            )  # fmt: skip
        if self.doses is not None and len(self.doses) != count - 1:
            raise BadInputError("Each arm has one face value", got=len(self.doses), allowed=f"{count - 1}")
        for a in range(1, count):
            refuse_still(treatment, outcome, a)
        folds = crossfit.split(len(features), unit if cluster is None else cluster, treatment)
        kind = kind_of(outcome)
        known = expected(crossfit, folds, features, outcome, kind)
        chances = self._chances(crossfit, folds, features, treatment, propensity)
        by_arm = None
        if propensity is None:
            by_arm = [expected(crossfit, folds, features, outcome, kind, treatment == a) for a in range(count)]
        return Observed(features, treatment, outcome, chances, folds, kind, known, by_arm)

    def told(self, parts: Sequence[tuple[Array, Array]]) -> UnitEffects:
        """Return effects as they are told, from each arm's effects [n] and their variances [n]."""
        mid, variance = (np.column_stack([part[k] for part in parts]) for k in (0, 1))
        reach = float(ndtri((1 + self.level) / 2)) * np.sqrt(variance)
        low, high = mid - reach, mid + reach
        if self.doses is not None:
            rising = np.argsort(self.doses)
            weight = 1 / np.maximum(variance[:, rising], 1e-300)
            for values in (mid, low, high):
                values[:, rising] = not_falling(values[:, rising], weight)
        return UnitEffects(mid, low, high, self.level)

    @staticmethod
    def _chances(
        crossfit: Crossfit, folds: Folds, x: Array, arm: NDArray[np.int64], propensity: ArrayLike | None
    ) -> Array:
        count = int(arm.max()) + 1
        if propensity is None:
            return np.asarray(crossfit.chances(folds, x, arm).values.mean(axis=0))
        given = numbers(propensity, "propensity")
        if given.shape not in ((count,), (len(arm), count)):
            raise BadInputError(
                "Chances do not fit the arms", got=given.shape, allowed=f"({count},) or (units, {count})"
            )
        chances = np.broadcast_to(given, (len(arm), count))
        if not np.isfinite(given).all() or (given < 0).any() or (np.abs(chances.sum(axis=1) - 1) > 1e-3).any():
            raise BadInputError(
                "Chances of the arms are not chances", allowed="0 or more, adding up to 1 for every unit"
            )
        if (chances[np.arange(len(arm)), arm] == 0).any():
            raise BadInputError("A unit was given an arm that it had no chance of", do="check arms and chances")
        return chances

    def _arm(
        self, data: Observed, arm: int, everyone: bool
    ) -> tuple[Estimate, Estimate, Array, Overlap, ArmModel, tuple[Array, Array]]:
        kept, overlap = self._overlap(data, arm)
        gains = np.where(kept, data.gains(arm), np.nan)
        middle = float(gains[kept].mean())
        average = data.draw(arm, kept, self.level).estimate(middle, gains[kept] - middle)
        two = kept & ((data.arm == 0) | (data.arm == arm))
        judges = two.copy()
        if two.sum() > JUDGES:
            judges[two] = set_aside(data.folds.cluster[two], JUDGES / two.sum(), np.random.default_rng(self.seed))
        told = np.ones(len(two), bool) if everyone else judges
        gain, weight = data.pair(arm, self.learner)
        model, held_out = self._model(data, arm, average.mid, (gain, weight), (two, judges, told))
        corners, slope, error = calibration(held_out[0][judges], gain[judges], weight[judges], data, judges)
        model = replace(model, corners=corners)
        held_out = (model.calibrated(held_out[0]), held_out[1])
        sure = interval(slope, error, data.folds.clusters - 1.0, self.level)
        return average, sure, gains, overlap, model, held_out

    def _model(
        self, data: Observed, arm: int, average: float, pair: tuple[Array, Array], units: tuple[Mask, Mask, Mask]
    ) -> tuple[ArmModel, tuple[Array, Array]]:
        """Return the model of an arm, and for units told the effect [n] and variance [n] of what did not see them.

        Args:
            data: What was observed.
            arm: The arm.
            average: Its average effect.
            pair: [n] gains and their precisions.
            units: Which units teach, which of them judge, and which are told.
        """
        (gain, weight), (two, judges, told) = pair, units
        start, shaky = np.zeros(len(data.arm)), np.zeros(len(data.arm))
        through, lift = None, 0.0
        if data.kind == "zero-inflated":
            above = data.above()
            everyone = np.ones(len(two), bool)
            chance = float(above.gains(arm)[two].mean())
            through, (effect, variance) = self._model(
                above, arm, chance, above.pair(arm, self.learner), (two, judges, everyone)
            )
            size = data.known.size.values.mean(axis=0)
            start, shaky = effect * size, variance * size**2
        elif data.kind != "real":
            lift = average / float(data.known.values[two].mean())
            start = lift * data.known.values
            shaky = lift**2 * data.known.predict(data.x)[1]
        about = np.where(two, weight * (gain - np.average(gain[two], weights=weight[two])), 0.0)
        sums, alone = data.folds.sums(about), float(about @ about)
        inflation = max(1.0, float(sums @ sums) / alone) if alone > 0 else 1.0  # 0: all gain the same
        learner = EffectLearner(self.categorical, inflation, self.seed)
        taught = Taught(data.x, gain, weight / weight[two].mean(), start, data.folds.held[0], data.folds.cluster)
        effects, middle, variance = learner(taught, two, judges, told)
        return ArmModel(effects, lift, through, None), (middle, variance + effects.follows**2 * shaky)

    def _overlap(self, data: Observed, arm: int) -> tuple[Mask, Overlap]:
        chance = data.share(arm)
        kept = (chance >= max(self.trim, 1e-12)) & (chance <= 1 - max(self.trim, 1e-12))
        treated, untreated = (
            equal_weight(1 / data.chances[kept & (data.arm == a), a]) if (kept & (data.arm == a)).any() else 0.0
            for a in (arm, 0)
        )
        seen = Overlap(
            arm, float(chance.min()), float(chance.max()), self.trim, float(1 - kept.mean()), treated, untreated
        )
        # Next to a trial by lot with as many treated, how much do chances vary within units rather than between?
        lot = float(np.mean(chance * (1 - chance)) / (chance.mean() * (1 - chance.mean())))
        if kept.mean() < KEPT or lot < KEPT or min(treated, untreated) < LEAST:
            raise BadInputError(
                "Treated and untreated do not overlap: there are hardly any alike to compare", got=seen.sentence,
                do="treat by chance, leaving some of every kind untreated, or compare within a narrower group",
            )  # fmt: skip
        return kept, seen


def _check(arm: NDArray[np.int64], y: Array, unit: ArrayLike | None) -> None:
    if y.shape != arm.shape or not np.isfinite(y).all():
        raise BadInputError(
            "Every unit needs an outcome that is a number", got=y.shape, allowed=arm.shape, do="leave out the others"
        )
    seen = np.unique(arm)
    if len(seen) < 2:
        raise BadInputError("All units are in one arm", got=f"arm {seen[0]}", do="bring treated and untreated units")
    if len(seen) <= arm.max():
        raise BadInputError("The arms are not numbered without gaps", got=seen.tolist(), do="number them 0, 1, 2, …")
    if y.min() == y.max():
        raise BadInputError("The outcome is constant, so that nothing can have changed it", got=float(y[0]))
    sized("outcome", y, LARGEST)
    if unit is not None:
        codes = coded("unit", unit, len(arm))
        times = np.bincount(codes)
        if times.max() > 1:
            raise BadInputError(
                "A unit comes more than once", got=f"{np.asarray(unit)[times[codes].argmax()]}, {times.max()} times",
                do="keep one row a unit, or give the ids as clusters if its rows are separate trials",
            )  # fmt: skip
