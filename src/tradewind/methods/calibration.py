"""What predictions of gains were worth: how much of them came true, and how wide their intervals should have been."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from tradewind.errors import BadInputError
from tradewind.methods.moments import counted, numbers, probability
from tradewind.study import Estimate

Array = NDArray[np.float64]

_FACTORS = np.linspace(-1.5, 3.5, 41)  # what predictions of all levers are worth on average
_SPREADS = np.geomspace(0.01, 2.0, 14)  # how levers differ about it
_CENTRES = np.linspace(-3.0, 3.0, 16)  # logarithm of the width that intervals of all levers lack on average
_WIDTHS = np.linspace(-4.0, 5.0, 61)  # the same of one lever
_AT_ONCE = 256  # predictions whose draws are in memory at a time
_TURNS = 1_000  # directions of which ends are computed, where there are more predictions
_EXACT = 1e6  # standard errors of a gain beyond which likelihoods are lost to rounding
_MARGIN = 60.0  # how far below the best a place may lie, in logarithms, and still count


@dataclass(frozen=True)
class Shrinkage:
    """What the predictions of one lever are worth.

    Args:
        readings: Number of proven effects of this lever that it rests on.
        factor: What a predicted gain is to be multiplied by.
        width: What the width of a predicted interval is to be multiplied by, about the new middle and before what is
            not known of the factor is added.
    """

    readings: int
    factor: Estimate
    width: Estimate


@dataclass(frozen=True)
class Calibrated:
    """What predictions are worth, lever by lever.

    Args:
        levers: By lever of which something was proven, what its predictions are worth.
        others: The same for a lever of which nothing was proven yet, from those of the others.
        level: Level of the intervals.
    """

    levers: Mapping[str, Shrinkage]
    others: Shrinkage
    level: float
    _draws: Mapping[str, tuple[Array, Array]] = field(repr=False, default_factory=dict)

    def of(self, lever: str) -> Shrinkage:
        """Return what the predictions of a lever are worth."""
        return self.levers.get(lever, self.others)

    def said(self, lever: str) -> str:
        """Say in a few words what the factor of a lever rests on."""
        if not self.levers:
            return "not calibrated yet"
        if lever not in self.levers:
            return "not calibrated yet; taken from what other levers proved"
        count = self.levers[lever].readings
        return f"calibrated on {count} proven launch{'es' if count > 1 else ''}"

    def __call__(self, lever: str, predicted: Estimate) -> Estimate:
        """Return a predicted gain as what came true of the ones before it lets expect.

        Args:
            lever: The lever.
            predicted: The gain as its wing predicts it, in any unit.

        Returns:
            The gain to plan with, at the level of the calibration; as predicted where nothing was ever proven.

        Raises:
            BadInputError: If the lever has no name, or a number of the prediction is not finite.
        """
        return self.each([lever], [predicted])[0]

    def each(self, levers: Sequence[str], predicted: Sequence[Estimate]) -> list[Estimate]:
        """Return many predicted gains.

        Ends of intervals scale with their prediction, so that they depend on the direction of (middle, spread) alone.
        Of a lever with many predictions they are computed for `_TURNS` directions, and between two of these taken as
        the line. That differs from each one alone by some ten-thousandths of the interval's width, five thousandths at
        most where it was tried: less than other draws would.

        Args:
            levers: [n] the lever of each.
            predicted: [n] the gains.

        Returns:
            [n] the gains to plan with.

        Raises:
            BadInputError: If lengths differ, a lever has no name, or a number of a prediction is not finite.
        """
        levers = _names(levers)
        if len(levers) != len(predicted):
            raise BadInputError(
                "There is not one prediction for each lever", got=(len(levers), len(predicted)), allowed="one length"
            )
        if not self.levers:
            return list(predicted)
        at: dict[str, list[int]] = {}
        for number, lever in enumerate(levers):
            at.setdefault(lever, []).append(number)
        found: dict[int, Estimate] = {}
        for lever, places in at.items():
            some = [predicted[number] for number in places]
            mids, lows, highs, levels = np.array([(each.mid, each.low, each.high, each.level) for each in some]).T
            with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused
                spreads = _spread(lows, highs, levels)
            if not (np.isfinite(mids) & np.isfinite(spreads)).all():
                raise BadInputError(
                    "A predicted gain or its interval is not finite", got=lever, allowed="finite numbers",
                    do="leave out what cannot be predicted",
                )  # fmt: skip
            ends = (self._turned if len(some) > _TURNS else self._ends)(lever, mids, spreads)
            scaled = self.of(lever).factor.mid * mids
            for number, mid, low, high in zip(places, scaled.tolist(), *ends.tolist(), strict=True):
                found[number] = Estimate(mid, min(low, mid), max(high, mid), self.level)
        return [found[number] for number in range(len(predicted))]

    def _ends(self, lever: str, mids: Array, spreads: Array) -> Array:
        """Return the ends of the intervals of predictions, [2, n]."""
        factor, width = self._draws[lever if lever in self.levers else ""]
        # as many equally likely errors as draws, each met by each draw's width once over in a fixed shuffle
        errors = special.ndtri((np.arange(len(factor)) + 0.5) / len(factor))
        shuffled = np.random.default_rng(0).permutation(errors)
        ends = np.empty((2, len(mids)))
        for start in range(0, len(mids), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            likely = factor * mids[some, None] + width * spreads[some, None] * shuffled
            asked = [(1 - self.level) / 2, (1 + self.level) / 2]
            ends[:, some] = np.quantile(likely, asked, axis=1, overwrite_input=True)
        return ends

    def _turned(self, lever: str, mids: Array, spreads: Array) -> Array:
        """Return the same from the ends of some directions: every prediction lies between two of them."""
        worth = self.of(lever)
        # in units in which what is not known of the factor and of the error weigh alike
        across = max(worth.factor.high - worth.factor.low, 1e-9) / max(worth.width.mid, 1e-9)
        step = np.pi / _TURNS
        directions = step * np.arange(_TURNS + 1)
        known = self._ends(lever, np.cos(directions), across * np.maximum(np.sin(directions), 0.0))
        angle, size = np.arctan2(spreads / across, mids), np.hypot(spreads / across, mids)
        before = np.minimum((angle / step).astype(int), _TURNS - 1)
        over = angle - directions[before]
        parts = size * np.sin(step - over) / np.sin(step), size * np.sin(over) / np.sin(step)
        found: Array = parts[0] * known[:, before] + parts[1] * known[:, before + 1]
        return found


class Calibration:
    """Learns from launches what predicted gains are worth.

    A launch i of lever l was predicted to gain mᵢ, with a standard error sᵢ that its interval stands for, and proved to
    gain yᵢ ± eᵢ. What came true is taken as θᵢ ~ Normal(f_l mᵢ, w_l² sᵢ²), and its reading as yᵢ ~ Normal(θᵢ, eᵢ²). The
    levers share what they have in common: f_l ~ Normal(μ, τ²), log w_l ~ Normal(ω, ½²), with μ ~ Normal(1, ½²),
    τ ~ |Normal(0, ½²)|, ω ~ Normal(0, 1): without readings predictions are taken as they are, and a lever with few
    readings leans on the others. All is integrated on grids, f_l in closed form, so that nothing is plugged in as if
    it were known; results are draws of what remains possible.

    Args:
        level: Level of the intervals, those given and those returned, in (0, 1).
        draws: Number of draws, 500 or more.
        seed: Seed of the draws, 0 or more.

    Raises:
        BadInputError: If a setting is out of range.

    Reference:
        Gelman et al. (2013), Bayesian Data Analysis, 3rd edition, sections 5.4 (normal hierarchy on a grid) and 5.7
        (priors of τ); Gneiting, Raftery, Westveld and Goldman (2005), Calibrated probabilistic forecasting, equation 2
        (a factor for the middle and one for the spread).
    """

    def __init__(self, level: float = 0.9, draws: int = 4000, seed: int = 0):
        level, seed = probability(level, "level"), counted(seed, "seed")
        draws = counted(draws, "number of draws", 500)
        self.level = level
        self.draws = draws
        self.seed = seed

    def __call__(
        self, lever: Sequence[str], mid: ArrayLike, low: ArrayLike, high: ArrayLike, effect: ArrayLike, error: ArrayLike
    ) -> Calibrated:
        """Return what the predictions of each lever are worth.

        All launches that were chosen and read belong here, not only those that went well: see `docs/methods.md`.

        Args:
            lever: [launches] lever of each.
            mid: [launches] gain that was predicted.
            low: [launches] lower end of its interval.
            high: [launches] upper end.
            effect: [launches] gain that was proven, of the same units in the same days as the prediction.
            error: [launches] its standard error; above zero, and with the spread of the prediction no less than a
                millionth of the gains.

        Returns:
            A factor and a width by lever, each with its interval; one and one where nothing was given.

        Raises:
            BadInputError: If lengths differ, a lever has no name, a number is not finite, an interval is out of order,
                or a standard error is not above zero or too small to compute with.
        """
        names, data = _checked(lever, mid, low, high, effect, error)
        found = sorted(set(names))
        m, s, y, e = _in_errors(data[0], _spread(data[1], data[2], self.level), *data[3:])
        at = {name: np.array([each == name for each in names]) for name in found}
        sums = {name: _Sums.of(m[is_], s[is_], y[is_], e[is_]) for name, is_ in at.items()}
        rng = np.random.default_rng(self.seed)
        place = self._places([each.likelihood() for each in sums.values()], rng)
        drawn = {name: self._drawn(each, place, rng) for name, each in sums.items()}
        drawn[""] = self._drawn(_Sums.nothing(), place, rng)
        counts = {name: int(is_.sum()) for name, is_ in at.items()}
        if not found:  # the middle of the prior to the digit
            prior = (self._summed(drawn[""][0], 1.0), self._summed(drawn[""][1], 1.0))
            return Calibrated({}, Shrinkage(0, *prior), self.level)
        worth = {
            name: Shrinkage(counts.get(name, 0), self._summed(f, float(f.mean())), self._summed(w, float(np.median(w))))
            for name, (f, w) in drawn.items()
        }
        return Calibrated({name: worth[name] for name in found}, worth[""], self.level, drawn)

    def _summed(self, draws: Array, mid: float) -> Estimate:
        low, high = np.quantile(draws, [(1 - self.level) / 2, (1 + self.level) / 2])
        return Estimate(mid, min(float(low), mid), max(float(high), mid), self.level)

    def _places(self, likelihoods: Sequence[Array], rng: np.random.Generator) -> tuple[Array, Array, Array]:
        """Draw what the levers share: [draws] factor, spread of factors, and centre of widths."""
        mu, tau, omega = _FACTORS[:, None, None], _SPREADS[None, :, None], _CENTRES[None, None, :]
        # places of τ are not evenly spaced: each counts for its stretch
        stretch = np.gradient(_SPREADS)[None, :, None]
        logs = -2 * (mu - 1) ** 2 - 2 * tau**2 + np.log(stretch) - omega**2 / 2
        for likelihood in likelihoods:  # [factors, spreads, widths]
            top = likelihood.max()
            near = np.exp(np.maximum(likelihood - top, -700.0)) @ _prior_of_widths(_CENTRES).T
            logs = logs + np.log(np.maximum(near, 1e-300)) + top
        weights = np.exp(np.maximum(logs - logs.max(), -_MARGIN)).ravel()
        picks = rng.choice(len(weights), size=self.draws, p=weights / weights.sum())
        i, j, k = np.unravel_index(picks, logs.shape)
        # a draw lies anywhere in its cell
        step = _FACTORS[1] - _FACTORS[0]
        return _FACTORS[i] + step * (rng.random(self.draws) - 0.5), _SPREADS[j], _CENTRES[k]

    def _drawn(self, sums: _Sums, place: tuple[Array, Array, Array], rng: np.random.Generator) -> tuple[Array, Array]:
        """Draw [draws] factors and widths of one lever, given what the levers share."""
        mu, tau, omega = place
        logs = sums.marginal(mu[:, None], tau[:, None]) + np.log(_prior_of_widths(omega))
        weights = np.exp(logs - logs.max(axis=1, keepdims=True))
        reached = np.cumsum(weights, axis=1)
        picks = (rng.random(self.draws)[:, None] * reached[:, -1:] > reached).sum(axis=1)
        precision = sums.precision[picks] + 1 / tau**2
        factor = (sums.cross[picks] + mu / tau**2) / precision + rng.standard_normal(self.draws) / np.sqrt(precision)
        step = _WIDTHS[1] - _WIDTHS[0]
        return factor, np.exp(_WIDTHS[picks] + step * (rng.random(self.draws) - 0.5))


@dataclass(frozen=True)
class _Sums:
    """What the launches of one lever come down to at each width: [widths] each."""

    precision: Array  # Σ m²/v, where v = w²s² + e²
    cross: Array  # Σ my/v
    rest: Array  # Σ y²/v + log v

    @classmethod
    def of(cls, m: Array, s: Array, y: Array, e: Array) -> _Sums:
        v = np.exp(2 * _WIDTHS)[:, None] * s**2 + e**2
        return cls((m**2 / v).sum(axis=1), (m * y / v).sum(axis=1), (y**2 / v + np.log(v)).sum(axis=1))

    @classmethod
    def nothing(cls) -> _Sums:
        return cls(*(np.zeros(len(_WIDTHS)) for _ in range(3)))

    def likelihood(self) -> Array:
        """Log likelihood at every factor and spread that levers may share: [factors, spreads, widths]."""
        return self.marginal(_FACTORS[:, None, None], _SPREADS[None, :, None])

    def marginal(self, mu: Array, tau: Array) -> Array:
        """Log likelihood with the lever's own factor integrated out."""
        missed = self.cross - mu * self.precision
        grown = 1 + tau**2 * self.precision
        squares = self.rest - 2 * mu * self.cross + mu**2 * self.precision - tau**2 * missed**2 / grown
        found: Array = -0.5 * (squares + np.log(grown))
        return found


def _prior_of_widths(centres: Array) -> Array:
    """Chance of each width of a lever about each centre: [centres, widths]."""
    logs = -2 * (_WIDTHS[None, :] - centres[:, None]) ** 2
    near = np.exp(logs)
    found: Array = np.maximum(near / near.sum(axis=1, keepdims=True), 1e-300)
    return found


def _spread(low: ArrayLike, high: ArrayLike, level: ArrayLike) -> Array:
    """Return the standard error that an interval of a level stands for."""
    found: Array = (np.asarray(high, float) - np.asarray(low, float)) / (
        2 * special.ndtri((1 + np.asarray(level, float)) / 2)
    )
    return found


def _in_errors(m: Array, s: Array, y: Array, e: Array) -> list[Array]:
    """Return every launch in units of its own spread and error together: what gains are worth has no unit."""
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused
        told = [each / np.hypot(s, e) for each in (m, s, y, e)]
    most = max((float(np.abs(each).max(initial=0.0)) for each in (told[0], told[2])), default=0.0)
    if not most <= _EXACT or not np.isfinite(told[1]).all():
        raise BadInputError(
            "A launch was predicted and read too exactly, or too wide, to compute with",
            got=f"a gain of {most:g} standard errors", allowed=f"up to {_EXACT:,.0f}", do="check the standard errors",
        )  # fmt: skip
    return told


def _names(levers: Sequence[str]) -> list[str]:
    if isinstance(levers, str):
        raise BadInputError("Levers are given one by one", got=levers, do="give a list of levers")
    names: list[Any] = list(levers)
    if not all(isinstance(name, str) and name for name in names):
        raise BadInputError("A launch or a prediction names no lever", allowed="words that are not empty")
    return [str(name) for name in names]


def _checked(lever: Sequence[str], *given: ArrayLike) -> tuple[list[str], list[Array]]:
    names, data = _names(lever), [numbers(each, "number of a launch") for each in given]
    if any(each.shape != (len(names),) for each in data):
        raise BadInputError(
            "The launches do not fit together", got=[each.shape for each in data], allowed=f"({len(names)},) each"
        )
    if not all(np.isfinite(each).all() for each in data):
        raise BadInputError("A number of a launch is not finite", do="leave out launches that were not read")
    mid, low, high, _, error = data
    if ((low > mid) | (mid > high)).any():
        raise BadInputError("A prediction lies outside its own interval")
    if (error <= 0).any():
        raise BadInputError("The standard error of an effect is not above zero", got=float(error.min()))
    return names, data
