"""What predictions of gains were worth: how much of them came true, and how wide their intervals should have been."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from tradewind.errors import BadInputError
from tradewind.methods.moments import counted, numbers, probability
from tradewind.study import SHARED, Estimate

Array = NDArray[np.float64]

_LASTING = 0.5  # of what is not known of a launch, as a variance: what the next one of its lever may miss alike
_FACTOR = (0.01, 0.5)  # least and most variance of a lever's factor before any reading
_COMMON = np.linspace(-6.0, 6.0, 49)  # what the factors of all levers share, in its own standard deviations
_ALL, _ONE = 0.6, 0.3  # how far widths may be off before any reading, as logarithms: of all levers, of one beside them
_CENTRES = _ALL * np.linspace(-6.0, 6.0, 25)  # logarithm of the width that intervals of all levers lack on average
_WIDTHS = np.linspace(-4.0, 5.0, 61)  # the same of one lever
_AT_ONCE = 256  # predictions whose draws are in memory at a time
_TURNS = 1_000  # directions of which ends are computed, where there are more predictions
_EXACT = 1e6  # standard errors of a gain beyond which likelihoods are lost to rounding
_FARTHEST, _TIMES = 10.0, 2.0  # how far off a reading counts: of its errors, and times what was promised
_MARGIN = 60.0  # how far below the best a place may lie, in logarithms, and still count


@dataclass(frozen=True)
class Shrinkage:
    """What the predictions of one lever are worth.

    Args:
        readings: Number of proven effects of this lever that it rests on.
        factor: What a predicted gain is to be multiplied by.
        width: What the width of a predicted interval is to be multiplied by, before what was learnt of the factor
            narrows it.
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
    _drawn: Mapping[str, _Drawn] = field(repr=False, default_factory=dict)

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

        Each end is as far off as its own side of the interval was told. Ends scale with their prediction, so that they
        depend on the direction of (middle, spread) alone. Of a lever with many predictions they are computed for
        `_TURNS` directions, and between two of these taken as the line. That differs from each one alone by some
        ten-thousandths of the interval's width, five thousandths at most where it was tried: less than other draws
        would.

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
                spreads = 2 * np.stack((spread(lows, mids, levels), spread(mids, highs, levels)))
            if not (np.isfinite(mids) & np.isfinite(spreads)).all():
                raise BadInputError(
                    "A predicted gain or its interval is not finite", got=lever, allowed="finite numbers",
                    do="leave out what cannot be predicted",
                )  # fmt: skip
            drawn = self._drawn[lever if lever in self.levers else ""]
            owns = _own(mids, spreads, drawn.variance)
            ends = self._turned if len(some) > _TURNS else self._ends
            lows, highs = ends(drawn, mids, owns[0])[0], ends(drawn, mids, owns[1])[1]
            scaled = self.of(lever).factor.mid * mids
            for number, mid, low, high in zip(places, scaled.tolist(), lows.tolist(), highs.tolist(), strict=True):
                found[number] = Estimate(mid, min(low, mid), max(high, mid), self.level)
        return [found[number] for number in range(len(predicted))]

    def _ends(self, drawn: _Drawn, mids: Array, owns: Array) -> Array:
        """Return the ends of the intervals of predictions, [2, n]."""
        errors = _errors(len(drawn.factor))
        ends = np.empty((2, len(mids)))
        for start in range(0, len(mids), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            likely = drawn.factor * mids[some, None] + drawn.width * owns[some, None] * errors
            asked = [(1 - self.level) / 2, (1 + self.level) / 2]
            ends[:, some] = np.quantile(likely, asked, axis=1, overwrite_input=True)
        return ends

    def _turned(self, drawn: _Drawn, mids: Array, owns: Array) -> Array:
        """Return the same from the ends of some directions: every prediction lies between two of them."""
        # in units in which what is not known of the factor and of the error weigh alike
        across = max(float(np.ptp(np.quantile(drawn.factor, [0.05, 0.95]))), 1e-9) / float(np.median(drawn.width))
        step = np.pi / _TURNS
        directions = step * np.arange(_TURNS + 1)
        known = self._ends(drawn, np.cos(directions), across * np.maximum(np.sin(directions), 0.0))
        angle, size = np.arctan2(owns / across, mids), np.hypot(owns / across, mids)
        before = np.minimum((angle / step).astype(int), _TURNS - 1)
        over = angle - directions[before]
        parts = size * np.sin(step - over) / np.sin(step), size * np.sin(over) / np.sin(step)
        found: Array = parts[0] * known[:, before] + parts[1] * known[:, before + 1]
        return found


class Calibration:
    """Learns from launches what predicted gains are worth.

    A launch i of lever l was predicted to gain mᵢ, with a standard error sᵢ that its interval stands for, and proved to
    gain yᵢ ± eᵢ. What came true is taken as θᵢ ~ Normal(f_l mᵢ, w_l² oᵢ²), and its reading as yᵢ ~ Normal(θᵢ, eᵢ²).

    Told intervals are the prior, so that readings that tell nothing change next to nothing. Half of what is not known
    of a launch may be its lever's factor, which its next launches share: f_l ~ Normal(1, w_l² v_l), where v_l is the
    mean of ½ sᵢ²/mᵢ², within 0.1² and ½. Half of the variance of factors is common to all levers, in units of w_l √v_l.
    Of its own each launch has oᵢ² = sᵢ² − v_l mᵢ², and at least what actions of one lever do not share. Widths are
    log w_l ~ Normal(ω, 0.3²), ω ~ Normal(c, 0.6²), with c such that an interval holds as often as it was told to. So a
    lever with few readings leans on the others and on what was told. All is integrated on grids, f_l in closed form,
    so that nothing is plugged in as if it were known; results are draws of what remains possible.

    A reading further from its prediction than ten of their errors together, and than twice the prediction, more likely
    shows a fault of one of the two than what all others are worth. It counts as that far off: it says that predictions
    are poor, and cannot carry a plan away by itself. One that brought nothing, or lost as predicted, counts whole.

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
        self._centre = _centre(level)
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
        m, s, y, e = _in_errors(data[0], spread(data[1], data[2], self.level), *data[3:])
        room = np.maximum(_FARTHEST, _TIMES * np.abs(m))
        y = np.clip(y, m - room, m + room)
        at = {name: np.array([each == name for each in names]) for name in found}
        sums = {name: _Sums.of(m[is_], s[is_], y[is_], e[is_]) for name, is_ in at.items()}
        rng = np.random.default_rng(self.seed)
        place = self._places([each.marginal(_COMMON[:, None]) for each in sums.values()], rng)
        drawn = {name: self._draw(each, place, rng) for name, each in sums.items()}
        variance = float(np.mean([each.variance for each in sums.values()])) if found else _FACTOR[1]
        drawn[""] = self._draw(_Sums.nothing(variance), place, rng)
        counts = {name: int(is_.sum()) for name, is_ in at.items()}
        if not found:  # the middle of the prior to the digit
            prior = (self._summed(drawn[""].factor, 1.0), self._summed(drawn[""].width, 1.0))
            return Calibrated({}, Shrinkage(0, *prior), self.level)
        worth = {
            name: Shrinkage(
                counts.get(name, 0),
                self._summed(each.factor, float(each.factor.mean())),
                self._summed(each.width, self._held(each.width)),
            )
            for name, each in drawn.items()
        }
        return Calibrated({name: worth[name] for name in found}, worth[""], self.level, drawn)

    def _summed(self, draws: Array, mid: float) -> Estimate:
        low, high = np.quantile(draws, [(1 - self.level) / 2, (1 + self.level) / 2])
        return Estimate(mid, min(float(low), mid), max(float(high), mid), self.level)

    def _held(self, widths: Array) -> float:
        """Return the width at which an interval holds as often as it says, over all widths that remain possible."""
        off = np.abs(widths * _errors(len(widths)))
        return float(np.quantile(off, self.level) / special.ndtri((1 + self.level) / 2))

    def _places(self, likelihoods: Sequence[Array], rng: np.random.Generator) -> tuple[Array, Array]:
        """Draw what the levers share: [draws] deviation of factors, and centre of widths."""
        centres = _CENTRES + self._centre
        logs = -(_COMMON[:, None] ** 2) / 2 - (_CENTRES / _ALL) ** 2 / 2
        for likelihood in likelihoods:  # [deviations, widths]
            top = likelihood.max()
            near = np.exp(np.maximum(likelihood - top, -700.0)) @ _prior_of_widths(centres).T
            logs = logs + np.log(np.maximum(near, 1e-300)) + top
        weights = np.exp(np.maximum(logs - logs.max(), -_MARGIN)).ravel()
        picks = rng.choice(len(weights), size=self.draws, p=weights / weights.sum())
        i, j = np.unravel_index(picks, logs.shape)
        # a draw lies anywhere in its cell
        step = _COMMON[1] - _COMMON[0]
        return _COMMON[i] + step * (rng.random(self.draws) - 0.5), centres[j]

    def _draw(self, sums: _Sums, place: tuple[Array, Array], rng: np.random.Generator) -> _Drawn:
        """Draw factors and widths of one lever, given what the levers share."""
        common, centre = place
        logs = sums.marginal(common[:, None]) + np.log(_prior_of_widths(centre))
        weights = np.exp(logs - logs.max(axis=1, keepdims=True))
        reached = np.cumsum(weights, axis=1)
        picks = (rng.random(self.draws)[:, None] * reached[:, -1:] > reached).sum(axis=1)
        mu, tau = sums.prior(common[:, None])
        mu, tau = mu[np.arange(self.draws), picks], tau[picks]
        precision = sums.precision[picks] + 1 / tau**2
        factor = (sums.cross[picks] + mu / tau**2) / precision + rng.standard_normal(self.draws) / np.sqrt(precision)
        step = _WIDTHS[1] - _WIDTHS[0]
        return _Drawn(factor, np.exp(_WIDTHS[picks] + step * (rng.random(self.draws) - 0.5)), sums.variance)


@dataclass(frozen=True)
class _Drawn:
    """What remains possible of one lever."""

    factor: Array  # [draws]
    width: Array  # [draws]
    variance: float  # of the factor before any reading, at a width of one


@dataclass(frozen=True)
class _Sums:
    """What the launches of one lever come down to at each width: [widths] each."""

    precision: Array  # Σ m²/v, where v = w²o² + e²
    cross: Array  # Σ my/v
    rest: Array  # Σ y²/v + log v
    variance: float  # of the factor before any reading, at a width of one

    @classmethod
    def of(cls, m: Array, s: Array, y: Array, e: Array) -> _Sums:
        with np.errstate(divide="ignore", invalid="ignore"):
            told = np.where(m == 0, np.inf, _LASTING * (s / m) ** 2)
        variance = max(float(np.minimum(told, _FACTOR[1]).mean()), _FACTOR[0])
        v = np.exp(2 * _WIDTHS)[:, None] * _own(m, s, variance) ** 2 + e**2
        return cls((m**2 / v).sum(axis=1), (m * y / v).sum(axis=1), (y**2 / v + np.log(v)).sum(axis=1), variance)

    @classmethod
    def nothing(cls, variance: float) -> _Sums:
        none = np.zeros(len(_WIDTHS))
        return cls(none, none, none, variance)

    def prior(self, common: Array) -> tuple[Array, Array]:
        """Middle and standard deviation of the factor at each width, given what the levers share."""
        half: Array = np.exp(_WIDTHS) * np.sqrt(self.variance / 2)
        return 1 + common * half, half

    def marginal(self, common: Array) -> Array:
        """Log likelihood of deviations that levers share, [..., 1], the lever's own factor integrated out."""
        mu, tau = self.prior(common)
        missed = self.cross - mu * self.precision
        grown = 1 + tau**2 * self.precision
        squares = self.rest - 2 * mu * self.cross + mu**2 * self.precision - tau**2 * missed**2 / grown
        found: Array = -0.5 * (squares + np.log(grown))
        return found


def _errors(count: int) -> Array:
    """Return as many equally likely errors as there are draws, in a fixed shuffle that each draw meets."""
    return np.random.default_rng(0).permutation(special.ndtri((np.arange(count) + 0.5) / count))


def _prior_of_widths(centres: Array) -> Array:
    """Chance of each width of a lever about each centre: [centres, widths]."""
    logs = -(((_WIDTHS[None, :] - centres[:, None]) / _ONE) ** 2) / 2
    near = np.exp(logs)
    found: Array = np.maximum(near / near.sum(axis=1, keepdims=True), 1e-300)
    return found


def _centre(level: float) -> float:
    """Return the middle of the logarithm of widths at which intervals hold as often as they were told to."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    told, off = special.ndtri((1 + level) / 2), np.hypot(_ALL, _ONE) * nodes

    def more(centre: float) -> float:
        return float(weights @ (2 * special.ndtr(told / np.exp(centre + off)) - 1) / weights.sum()) - level

    return float(optimize.brentq(more, -20.0, 20.0))


def _own(m: Array, s: Array, variance: float) -> Array:
    """Return what is not known of predictions beside their lever's factor, as standard errors.

    The factor accounts for as much as actions of a lever share: were it more, intervals of single actions would shrink
    once a factor is known, however little its actions share.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # what is known exactly has nothing of its own
        share = np.minimum(variance * (m / s) ** 2, SHARED)
    found: Array = s * np.sqrt(1 - np.where(s > 0, share, 0.0))
    return found


def spread(low: ArrayLike, high: ArrayLike, level: ArrayLike) -> Array:
    """Return the standard error that an interval stands for.

    Args:
        low: Its lower end; any shape.
        high: Its upper end, of that shape.
        level: Its level, likewise or one for all.
    """
    found: Array = (np.asarray(high, float) - np.asarray(low, float)) / (2 * reach(level))
    return found


def reach(level: ArrayLike) -> Array:
    """Return how many standard errors an interval of a level, in (0, 1), reaches to either side of its middle."""
    return np.asarray(special.ndtri((1 + np.asarray(level, float)) / 2))


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
