"""Many elasticities shrunk towards what their category has in common, with intervals that allow for not knowing it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, ndtri, polygamma

Array = NDArray[np.float64]

SPREAD = 1.0  # scale of the prior: elasticities of one category differ by a standard deviation like this or less
CROSS = 0.5  # that of cross ones: they are a tenth as large (0.26 beside −2.6 in meta-analyses)
OF_TAU = 1.1981402  # half of B(3/4, 1/2), what the density of the spread integrates to
STEPS = 16  # values of the spread that are tried, and of the spread of the gap
CAUCHY = 1 / ndtri((np.arange(1, 8, 2) + 8) / 16)  # standard deviations of normals that mixed are nearly a Cauchy
ALIKE = 0.125  # chance, before seeing them, that what is not asked for (gaps, first stages, answers) is one for all


@dataclass(frozen=True)
class Shrunk:
    """What products of one category say about each other.

    Args:
        mid: [products] shrunken values; the category's mean for those without an estimate of their own.
        sd: [products] their standard deviations, with what is not known about the category.
        mean: Mean of the category.
        mean_sd: Its standard deviation.
        gap: By how much the estimates that may be confounded lie off on average; 0 where there are no others.
        gap_sd: Its standard deviation.
        spread: Standard deviation of the true values around their mean.
        together: [products] the part of `sd` that products have in common, from the mean, the gap and shared errors.
    """

    mid: Array
    sd: Array
    mean: float
    mean_sd: float
    gap: float
    gap_sd: float
    spread: float
    together: Array


def shrink(
    plain: Array,
    plain_var: Array,
    clean: Array,
    clean_var: Array,
    between: Array,
    shared: Array | None = None,
    alike: float = 0.0,
    scale: float = SPREAD,
) -> Shrunk:
    """Return the values of products, shrunk within their category.

    True values follow N(μ, τ²). Where a product has a clean estimate (from an instrument or a random price) and a
    plain one, the plain one is off by a gap that follows N(β, ω²), taken off those that have the plain one alone. It is
    learnt from the products that have both and, as far as products are alike, from those with a clean one beside those
    with a plain one. μ has a flat prior, β a Cauchy, τ one of √τ (1 + τ²)^(−5/4), ω is 0 with a chance of an eighth and
    else half Cauchy; all four are integrated out, so that the intervals know that they are estimated. An error that
    products share does not average out: it widens the intervals and says nothing of how products differ.

    Args:
        plain: [products] estimates, NaN where there is none.
        plain_var: [products] their sampling variances.
        clean: [products] estimates free of confounding, NaN where there is none.
        clean_var: [products] their sampling variances.
        between: [products] covariance of the two.
        shared: [products, 2] how one error that all products share, of variance 1 and not in the variances above,
            enters the two; nothing where left out.
        alike: Chance that τ is 0.
        scale: That of the priors of τ, β and ω, in whose units the densities above are.

    Reference:
        Gelman (2006), Prior distributions for variance parameters in hierarchical models, Bayesian Analysis 1(3),
        section 3; Morris (1983), Parametric empirical Bayes inference, JASA 78(381), equation 1.12. Of the scales:
        Bijmolt, van Heerde and Pieters (2005), New empirical generalizations on the determinants of price elasticity,
        Journal of Marketing Research 42(2); Auer and Papies (2020), Cross-price elasticities and their determinants,
        Journal of the Academy of Marketing Science 48.
    """
    both = ~np.isnan(clean)
    has = ~np.isnan(plain)
    gapped = bool(both.any() and has.any())
    tau, omega = _grids(plain, plain_var, clean, clean_var, between)
    # Each product gives at most two values; a value that is absent weighs nothing.
    observed = np.column_stack([np.where(has, plain, 0.0), np.where(both, clean, 0.0)])
    design = np.zeros((len(plain), 2, 3))  # of the mean, the gap and the shared error
    design[:, :, 0], design[:, 0, 1], design[:, :, 2] = 1.0, float(gapped), 0.0 if shared is None else shared
    noise_of = np.zeros((len(plain), 2, 2))
    noise_of[:, 0, 0], noise_of[:, 1, 1] = np.where(has, plain_var, 1.0), np.where(both, clean_var, 1.0)
    noise_of[:, 0, 1] = noise_of[:, 1, 0] = np.where(has & both, between, 0.0)
    there = np.column_stack([has, both]).astype(float)
    t, o = (axis.ravel() for axis in np.meshgrid(tau, omega, indexing="ij"))
    pairs = there[:, :, None] * there[:, None, :]
    total = noise_of + (t**2)[:, None, None, None] * pairs  # [steps, products, 2, 2]
    total[:, :, 0, 0] += np.outer(o**2, there[:, 0])
    inverse = np.linalg.inv(total) * pairs
    weighed = inverse @ design
    information = (design.transpose(0, 2, 1) @ weighed).sum(axis=1)
    wide = (CAUCHY * scale)[:, None]  # [sizes of β, 1]; these are the first axis of all that follows
    information = np.repeat(information[None], len(wide), axis=0)
    information[:, :, 1, 1] += 1 / wide**2
    information[:, :, 2, 2] += 1.0
    of_mean = np.linalg.inv(information)
    right = (weighed.transpose(0, 1, 3, 2) @ observed[:, :, None]).sum(axis=1)
    centre = (of_mean @ right)[..., 0]
    left = (observed - (design @ centre[:, :, None, :, None])[..., 0]) * there
    pull = (t**2)[:, None, None] * inverse.sum(axis=2)  # rows of `inverse` that are absent are zero
    loading = np.array([1.0, 0.0, 0.0]) - (pull[:, :, None, :] @ design)[:, :, 0]
    mids = centre[..., :1] + (pull * left).sum(axis=3)
    common = ((loading @ of_mean) * loading).sum(axis=3)
    variances = (t**2)[:, None] * (1 - pull.sum(axis=2)) + common
    chance = -0.5 * (np.linalg.slogdet(total)[1].sum(axis=1) + np.linalg.slogdet(information)[1]) - np.log(wide)
    chance -= 0.5 * ((inverse @ left[..., None])[..., 0] * left).sum(axis=(2, 3))
    chance -= 0.5 * (centre[..., 1] ** 2 / wide**2 + centre[..., 2] ** 2)
    # Flat in τ below the scale, intervals cover too little where τ is like noise; flat in τ², too much: between them.
    of_tau = _chances(tau / scale, np.sqrt(tau / scale) * (1 + (tau / scale) ** 2) ** -1.25 / OF_TAU, alike)
    of_omega = _chances(omega / scale, 2 / np.pi / (1 + (omega / scale) ** 2), ALIKE)
    share = (np.exp(chance - chance.max()) * np.outer(of_tau, of_omega).ravel()).ravel()
    share /= share.sum()
    mids, variances, common, centre, of_mean = (
        values.reshape(len(share), *values.shape[2:]) for values in (mids, variances, common, centre, of_mean)
    )
    mid, variance = _mixed(share, mids, variances)
    mean, mean_var = _mixed(share, centre[:, :1], of_mean[:, :1, 0])
    gap, gap_var = _mixed(share, centre[:, 1:2], of_mean[:, 1:2, 1] * gapped)
    return Shrunk(
        mid=mid,
        sd=np.sqrt(np.maximum(variance, 0.0)),
        mean=float(mean[0]),
        mean_sd=float(np.sqrt(mean_var[0])),
        gap=float(gap[0]) if gapped else 0.0,
        gap_sd=float(np.sqrt(gap_var[0])),
        spread=float(share @ np.tile(t, len(wide))),
        together=np.sqrt(share @ common),
    )


def shrink_alone(value: Array, var: Array, shared: Array | float = 0.0, alike: float = 0.0) -> Shrunk:
    """Return values [products], NaN where there is none, shrunk towards each other; see `shrink`."""
    none = np.full(len(value), np.nan)
    both = np.column_stack([np.broadcast_to(shared, len(value)), np.zeros(len(value))])
    return shrink(value, var, none, none, none, both, alike)


def moderated(ratio: Array, freedom: Array) -> tuple[Array, Array]:
    """Return variance ratios [products] drawn towards each other, and the degrees of freedom that they then have.

    A variance from few clusters is itself uncertain; products share what they know of it.

    Args:
        ratio: [products] estimated variances over what independent rows would give, above 0.
        freedom: [products] degrees of freedom of each, above 0.

    Reference:
        Smyth (2004), Linear models and empirical Bayes methods, Statistical Applications in Genetics and Molecular
        Biology 3(1), section 6.2.
    """
    if len(ratio) < 3:
        return ratio, freedom
    centred = np.log(ratio) - digamma(freedom / 2) + np.log(freedom / 2)
    excess = float(np.var(centred, ddof=1) - np.mean(polygamma(1, freedom / 2)))
    prior = 2 * _inverse_trigamma(excess) if excess > 1e-3 else 1e3
    common = float(np.exp(np.mean(centred) + digamma(prior / 2) - np.log(prior / 2)))
    return (prior * common + freedom * ratio) / (prior + freedom), freedom + prior


def _inverse_trigamma(value: float) -> float:
    x = 0.5 + 1 / value
    for _ in range(20):
        x += float(polygamma(1, x)) * (1 - float(polygamma(1, x)) / value) / float(polygamma(2, x))
    return max(x, 1e-3)


def _grids(plain: Array, plain_var: Array, clean: Array, clean_var: Array, between: Array) -> tuple[Array, Array]:
    """Return the values of τ and of ω that are tried."""
    both, has = ~np.isnan(clean), ~np.isnan(plain)
    seen = np.where(both, clean, plain)
    noise = float(np.sqrt(np.median(np.concatenate([plain_var[has], clean_var[both]]))))
    top = max(3 * float(np.nanstd(seen)), 2 * noise, 1e-6)
    tau = np.linspace(0, top, STEPS)
    if not (both.any() and has.any()):
        return tau, np.zeros(1)
    pair = both & has
    if pair.any():
        noise = float(np.sqrt(np.median((plain_var + clean_var - 2 * between)[pair])))
        top = max(3 * float(np.std((plain - clean)[pair])), 2 * noise, 1e-6)
    return tau, np.linspace(0, top, STEPS)


def _chances(grid: Array, density: Array, none: float) -> Array:
    """Return chances of the evenly spaced values of a spread, the first of which, 0, has the chance `none` as well.

    Spreads beyond the grid have theirs too: the more finely the rows tell spreads, the more zero counts beside others.

    Args:
        grid: [values] the values.
        density: [values] density of the values, which integrates to 1 from 0 on.
        none: Chance that there is no spread.
    """
    if len(grid) == 1:
        return np.ones(1)
    out = (1 - none) * density * (grid[1] - grid[0])
    out[0] = none + out[0] / 2
    return np.asarray(out)


def _mixed(share: Array, mids: Array, variances: Array) -> tuple[Array, Array]:
    mid = share @ mids
    return mid, share @ (variances + (mids - mid) ** 2)
