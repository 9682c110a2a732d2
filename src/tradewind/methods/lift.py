"""Lift: by what share a treatment raises what would come anyway, when its chance is known for every row.

Orders of one customer in a week are rare: a difference of means drowns in noise, while the relative rise is told by
every order. The expected outcome need not be right: treatment less its chance is unrelated to all that came before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.special import stdtrit

from tradewind.errors import BadInputError
from tradewind.methods.moments import counted, numbers, probability

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST = 1e-9  # expected outcomes below it carry no weight, and a dispersion not above it is rounding
STEPS = 60  # of the search for the spreads
SETTLED = 0.01  # relative change of every spread at which the search ends
OPEN = 1e4  # prior variance of what is not shrunk, in columns of one scale: a lift of a hundred
NOTHING = 1e-8  # the same, below which a block counts as nothing: a lift of a ten-thousandth
ALIKE = 1e-12  # mean square, in columns of one scale, below which what sets columns apart is rounding
ROUNDS = 2  # of base and lift, of which each rests on the other
STEEPEST = 0.9  # no treatment is taken to drive away more than this share of what comes anyway


@dataclass(frozen=True)
class Rows:
    """Some rows of what was observed.

    Args:
        design: [n, k] what the lift is linear in.
        base: [n] expected outcome without treatment, which the lift multiplies.
        mean: [n] expected outcome over both arms.
        treated: [n] 1 where treated, 0 where not; never a dose.
        chance: [n] chance of treatment that each row had.
        outcome: [n] what came.
        cluster: [n] whole number, from 0, of what a row belongs to: rows of different clusters are independent.
    """

    design: NDArray[np.floating[Any]]
    base: Array
    mean: Array
    treated: Array
    chance: Array
    outcome: Array
    cluster: Ints


@dataclass(frozen=True)
class Known:
    """What the regression needs to know of rows; those of different rows add up.

    Args:
        count: Number of rows.
        gram: [k, k] Σ d d', where d is what each coefficient is multiplied by, over the deviation of the outcome.
        cross: [k] Σ d r, where r is what is left to explain, over the same.
        square: Σ r².
        weight: Σ w², where w is what the design is multiplied by in d: gram / weight is the mean of its products.
    """

    count: int
    gram: Array
    cross: Array
    square: float
    weight: float

    def __add__(self, other: Known) -> Known:
        return Known(
            self.count + other.count, self.gram + other.gram, self.cross + other.cross, self.square + other.square,
            self.weight + other.weight,
        )  # fmt: skip

    def turned(self, turn: Array) -> Known:
        """Return what is known of the columns that the design has after `turn` [k, k]."""
        return replace(self, gram=turn.T @ self.gram @ turn, cross=turn.T @ self.cross)


@dataclass(frozen=True)
class LiftFit:
    """A lift that is linear in features, and how sure that is.

    Args:
        coefficients: [k] of the columns of the design.
        covariance: [k, k] of their posterior law.
        dispersion: Variance of outcomes around their mean, over the mean: 1 where they come independently.
        inflation: How many times the noise of sums exceeds that of independent rows.
        rows: Number of rows that taught.
        freedom: Degrees of freedom of the covariance: clusters that taught, less the parameters learnt.
    """

    coefficients: Array
    covariance: Array
    dispersion: float
    inflation: float
    rows: int
    freedom: float

    def linear(self, sums: ArrayLike, level: float = 0.9) -> tuple[Array, Array, Array]:
        """Return sums that are linear in the coefficients, with the ends of their intervals: three arrays [m].

        Args:
            sums: [m, k] by how much each sum grows with each coefficient.
            level: Probability with which an interval is meant to hold the truth, in (0, 1).

        Returns:
            The sums, and the low and the high ends by Student's t.

        Raises:
            BadInputError: If the sums do not fit the coefficients or are not finite, or the level is no probability.
        """
        weights = np.atleast_2d(numbers(sums, "sum"))
        if weights.ndim != 2 or weights.shape[1] != len(self.coefficients) or not np.isfinite(weights).all():
            raise BadInputError(
                "The sums do not fit the coefficients", got=weights.shape,
                allowed=f"rows of {len(self.coefficients)} finite numbers",
            )  # fmt: skip
        mid = weights @ self.coefficients
        reach = float(-stdtrit(self.freedom, (1 - probability(level, "level")) / 2)) * np.sqrt(self.variance(weights))
        return mid, mid - reach, mid + reach

    def drawn(self, count: int, seed: int) -> Array:
        """Return coefficients [count, k] drawn from their posterior law."""
        rng = np.random.default_rng(counted(seed, "seed"))
        values, ways = np.linalg.eigh(self.covariance)
        steps = rng.standard_normal((counted(count, "number of draws", 1), len(values)))
        found: Array = self.coefficients + (steps * np.sqrt(np.maximum(values, 0.0))) @ ways.T
        return found

    def variance(self, sums: Array) -> Array:
        """Return the variances [m] of sums [m, k] that are linear in the coefficients."""
        found: Array = np.maximum(np.einsum("mi,ij,mj->m", sums, self.covariance, sums), 0.0)
        return found


class Lift:
    """Learns by what share a treatment raises an outcome that is counted, from rows treated by chance.

    With chance e(x), expected outcome μ(x) over both arms and base m(x) without treatment, what is unexpected in the
    outcome is regressed on what is unexpected in the treatment:

        y − μ(x) = (t − e(x)) m(x) λ(x) + noise,   λ(x) = φ(x)'β,   Var(noise) in proportion to μ(x)

    Coefficients of one block share a normal law around zero whose spread maximises the evidence, so that features which
    tell nothing are shrunk to nothing. Whatever μ is, the regression is right on average where e is.

    No answer depends on the units of columns: those that are not shrunk may be scaled, shifted beside a constant or
    mixed with each other, and a block may be scaled as a whole, since its columns share a law.

    The noise is judged by sums over clusters. G clusters that taught p parameters (a shrunk one is a part of one) fit
    their own noise: its variance is raised by G / (G − p), and intervals are Student's t with G − p degrees of freedom.

    Args:
        block: [k] block of each column of the design, from 0; −1 for columns that are not shrunk.

    Raises:
        BadInputError: If there is no column, or a block is no whole number.

    Reference:
        Nie and Wager (2021), Quasi-oracle estimation of heterogeneous treatment effects, Biometrika 108, equation 4;
        Robins (1994), Correcting for non-compliance in randomized trials using structural nested mean models, Comm.
        Statist. Theory Meth. 23, section 3;
        MacKay (1992), Bayesian interpolation, Neural Computation 4(3), equations 3.10 to 3.12;
        Cameron and Miller (2015), A practitioner's guide to cluster-robust inference, Journal of Human Resources 50(2),
        section VI (few clusters).

    Examples:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> t = rng.integers(0, 2, 100_000).astype(float)
        >>> y = rng.poisson(0.2 * (1 + 0.5 * t)).astype(float)
        >>> rows = Rows(np.ones((len(t), 1)), 0 * t + 0.2, 0 * t + 0.25, t, 0 * t + 0.5, y, np.arange(len(t)))
        >>> [round(float(end[0]), 1) for end in Lift([-1]).fit(lambda beta: [rows]).linear([[1.0]])]
        [0.5, 0.5, 0.5]
    """

    def __init__(self, block: ArrayLike):
        given = np.asarray(block)
        if given.ndim != 1 or not len(given) or given.dtype.kind not in "iu" or (given < -1).any():
            raise BadInputError(
                "Every column of the design has a block", got=block,
                allowed="whole numbers from 0, −1 for what is not shrunk",
            )  # fmt: skip
        self.block = given.astype(np.int64)
        self._blocks = [self.block == b for b in np.unique(self.block[self.block >= 0])]

    def fit(self, rows: Callable[[Array], Iterable[Rows]]) -> LiftFit:
        """Return the lift.

        Args:
            rows: Gives all rows, part by part, from the coefficients [k] known so far, on which their base may rest; it
                is called a few times, and parts need not lie in memory together.

        Raises:
            BadInputError: If shapes do not fit, a number is missing or too large, who was treated could not have been,
                nothing varies, columns that are not shrunk say the same, or there are fewer clusters than parameters
                and one.
        """
        beta, learnt = np.zeros(len(self.block)), 0.0
        for _ in range(ROUNDS - 1):
            beta, _, _, learnt = self._solved(self._known(rows(beta), beta)[0], 1.0)
        known, inflation, clusters = self._known(rows(beta), beta)
        learnt = max(learnt, 1.0)
        freedom = clusters - learnt
        if freedom < 1:
            raise BadInputError(
                "There are too few clusters to tell how they vary", got=f"{clusters} for {learnt:.3g} parameters",
                allowed="one more than the parameters learnt", do="add customers treated and not treated by chance",
            )  # fmt: skip
        # That rows are fewer by the parameters is in the noise already.
        inflation = max(inflation * clusters / freedom * (1 - learnt / known.count), 1.0)
        beta, covariance, noise, _ = self._solved(known, inflation)
        return LiftFit(beta, covariance, noise / inflation, inflation, known.count, freedom)

    def _known(self, rows: Iterable[Rows], beta: Array) -> tuple[Known, float, int]:
        """Return what is known of rows, how often the noise of independent rows clusters have, and how many these are.

        Their noise is that of sums along the lift itself, as far as it is known. Counted are those that could teach.
        """
        width = len(self.block)
        known = Known(0, np.zeros((width, width)), np.zeros(width), 0.0, 0.0)
        clusters, sums, alone = np.zeros(0, np.int64), np.zeros(0), 0.0
        # What is not shrunk may lie far from zero beside its spread, which single precision would lose.
        kind = np.float64 if (self.block < 0).any() else np.float32
        for part in rows:
            self._check(part)
            with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused
                root = np.sqrt(np.maximum(part.mean, LEAST))
                push = np.where(part.mean > LEAST, (part.treated - part.chance) * part.base / root, 0.0)
                left = np.where(part.mean > LEAST, (part.outcome - part.mean) / root, 0.0)
                scaled = part.design * push[:, None].astype(kind)
                gram, cross = (scaled.T @ side for side in (scaled, left.astype(kind)))
                square, weight = float(left @ left), float(push @ push)
                known += Known(len(left), gram.astype(float), cross.astype(float), square, weight)
                score = push * (left - scaled @ beta)
                clusters, sums = _added(clusters, sums, part.cluster[push != 0], score[push != 0])
                alone += float(score @ score)
        with np.errstate(over="ignore", invalid="ignore"):
            told = float(sums @ sums)
        if not np.isfinite([*known.gram.ravel(), *known.cross, known.square, known.weight, told, alone]).all():
            raise BadInputError("Outcomes, expected outcomes or features are too large to be added up")
        if known.count == 0 or not np.diag(known.gram).any():
            raise BadInputError(
                "Nothing can be learnt of a lift",
                got=f"{known.count} rows",
                do="add rows treated and not treated by chance",
            )
        return known, told / alone if alone > 0 else 1.0, len(clusters)

    def _solved(self, known: Known, inflation: float) -> tuple[Array, Array, float, float]:
        """Return coefficients, their covariance, the noise, and how many parameters were learnt, by MacKay (1992)."""
        turn = self._turn(known.gram / known.weight)
        known = known.turned(turn)
        width, scale = len(self.block), np.maximum(np.diag(known.gram), LEAST)
        noise = max(known.square / known.count, LEAST) * inflation
        prior = np.full(width, OPEN)
        for own in self._blocks:  # the start: as wide as a coefficient that the rows could just tell from nothing
            prior[own] = np.clip(4 * noise / np.mean(scale[own]), NOTHING, OPEN)
        for _ in range(STEPS):
            covariance = _inverse(known.gram / noise + np.diag(1 / prior))
            beta = covariance @ (known.cross / noise)
            certain = np.clip(1 - np.diag(covariance) / prior, 0.0, 1.0)
            before = prior.copy()
            for own in self._blocks:
                told = float(beta[own] @ beta[own]) / max(float(certain[own].sum()), 1e-9)
                prior[own] = np.clip(told, NOTHING, OPEN)
            left = known.square - 2 * beta @ known.cross + beta @ known.gram @ beta
            noise = max(left / max(known.count - certain.sum(), 1.0), LEAST) * inflation
            if np.all(np.abs(np.log(prior / before)) < SETTLED):
                break
        if noise <= LEAST * inflation:
            raise BadInputError("The outcome is just as expected in every row, so that there is no chance to judge by")
        return turn @ beta, turn @ covariance @ turn.T, float(noise), float(certain.sum())

    def _turn(self, gram: Array) -> Array:
        """Return [k, k] what turns the columns into such of one scale, from the mean of their products [k, k].

        Those that are not shrunk become unrelated, each with a root mean square of one; what they say is taken out of
        the others, as a mean is where one of them is constant; and of what is left each block has that scale.
        """
        free, turn = self.block < 0, np.eye(len(gram))
        size = _root(self._levelled(np.diag(gram)), 0.0)
        gram = gram / np.outer(size, size)
        values, ways = np.linalg.eigh(gram[np.ix_(free, free)])
        if (values <= ALIKE).any():
            raise BadInputError(
                "Columns that are not shrunk say the same, or one of them nothing", got=f"{len(values)} such columns",
                do="leave one out, give them a block, or take its mean off a column far from zero",
            )  # fmt: skip
        apart = ways / np.sqrt(values)
        said = apart.T @ gram[np.ix_(free, ~free)]
        turn[np.ix_(free, free)], turn[np.ix_(free, ~free)] = apart, -apart @ said
        left = np.diag(gram).copy()
        left[~free] -= (said**2).sum(axis=0)
        return np.asarray(turn / size[:, None] / _root(self._levelled(left), ALIKE))

    def _levelled(self, values: Array) -> Array:
        """Return values [k] of columns with those of each block at their mean."""
        found = values.copy()
        for own in self._blocks:
            found[own] = found[own].mean()
        return found

    def _check(self, part: Rows) -> None:
        count, width = len(part.outcome), len(self.block)
        columns = (part.base, part.mean, part.treated, part.chance, part.outcome, part.cluster)
        if part.design.shape != (count, width) or any(column.shape != (count,) for column in columns):
            raise BadInputError("The rows do not fit the design", got=part.design.shape, allowed=f"{(count, width)}")
        if not all(np.isfinite(column).all() for column in (*columns, part.design)):
            raise BadInputError("A number is missing or infinite", do="leave out rows that are not fully known")
        if ((part.chance < 0) | (part.chance > 1)).any() or (part.mean < 0).any() or (part.base < 0).any():
            raise BadInputError("A chance lies outside 0 to 1, or an expected outcome below 0")
        if not np.isin(part.treated, (0, 1)).all() or (part.chance == 1 - part.treated).any():
            raise BadInputError(
                "A row is neither treated nor not, or is what it had no chance to be",
                allowed="treated 0 or 1; 0 at a chance below 1, 1 at a chance above 0",
            )
        if part.cluster.dtype.kind not in "iu" or (part.cluster < 0).any():
            raise BadInputError("A cluster is a whole number from 0", got=part.cluster.dtype, do="number them")


def base_of(mean: Array, raised: Array) -> Array:
    """Return what comes without a treatment [n], from the mean over both arms [n] and the lift in it [n]."""
    return np.asarray(mean / (1 + np.maximum(raised, -STEEPEST)))


def _added(clusters: Ints, sums: Array, cluster: Ints, values: Array) -> tuple[Ints, Array]:
    """Return all clusters, by their numbers, with their sums, from those so far and the values of some rows."""
    new, code = np.unique(cluster, return_inverse=True)
    joint = np.union1d(clusters, new)
    total = np.zeros(len(joint))
    total[np.searchsorted(joint, new)] = np.bincount(code, weights=values, minlength=len(new))
    total[np.searchsorted(joint, clusters)] += sums
    return joint, total


def _root(squares: Array, least: float) -> Array:
    """Return the roots of squares, and one where a square is no more than the least."""
    return np.asarray(np.sqrt(np.where(squares > least, squares, 1.0)))


def _inverse(matrix: Array) -> Array:
    # Scaled to a unit diagonal, so that priors of very different size do not cost digits.
    root = 1 / np.sqrt(np.diag(matrix))
    inner: Array = cho_solve(cho_factor(matrix * np.outer(root, root), lower=True), np.eye(len(matrix)))
    return inner * np.outer(root, root)
