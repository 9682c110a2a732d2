"""Many elasticities shrunk towards what their category has in common, with intervals that allow for not knowing it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, polygamma

Array = NDArray[np.float64]

SPREAD = 1.0  # scale of the prior: elasticities of one category differ by a standard deviation like this or less
STEPS = 16  # values of the spread that are tried, and of the spread of the gap


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
    """

    mid: Array
    sd: Array
    mean: float
    mean_sd: float
    gap: float
    gap_sd: float
    spread: float


def shrink(plain: Array, plain_var: Array, clean: Array, clean_var: Array, between: Array) -> Shrunk:
    """Return the values of products, shrunk within their category.

    True values follow N(μ, τ²). Where a product has a clean estimate (from an instrument or a random price) and a
    plain one, the plain one is off by a gap that follows N(β, ω²), taken off those that have the plain one alone. It is
    learnt from the products that have both and, as far as products are alike, from those with a clean one beside those
    with a plain one. μ and β have flat priors, τ one of √τ (1 + τ²)^(−5/4), ω a half Cauchy one; all four are
    integrated out, so that the intervals know that they are estimated.

    Args:
        plain: [products] estimates, NaN where there is none.
        plain_var: [products] their sampling variances.
        clean: [products] estimates free of confounding, NaN where there is none.
        clean_var: [products] their sampling variances.
        between: [products] covariance of the two.

    Reference:
        Gelman (2006), Prior distributions for variance parameters in hierarchical models, Bayesian Analysis 1(3),
        section 3; Morris (1983), Parametric empirical Bayes inference, JASA 78(381), equation 1.12.
    """
    both = ~np.isnan(clean)
    has = ~np.isnan(plain)
    gapped = bool(both.any() and has.any())
    seen = np.where(both, clean, plain)
    seen = seen[~np.isnan(seen)]
    noise = float(np.sqrt(np.median(np.concatenate([plain_var[has], clean_var[both]]))))
    top = max(3 * float(np.std(seen)), 2 * noise, 1e-6)
    tau = np.linspace(0, top, STEPS)
    omega = tau if gapped else np.zeros(1)
    # Each product gives at most two values; a value that is absent weighs nothing.
    observed = np.column_stack([np.where(has, plain, 0.0), np.where(both, clean, 0.0)])
    design = np.zeros((len(plain), 2, 2))
    design[:, 0] = [1.0, 1.0 if gapped else 0.0]
    design[:, 1] = [1.0, 0.0]
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
    if not gapped:
        information[:, 1, 1] = 1.0
    of_mean = np.linalg.inv(information)
    right = (weighed.transpose(0, 1, 3, 2) @ observed[:, :, None]).sum(axis=1)
    centre = (of_mean @ right)[:, :, 0]
    left = (observed - (design @ centre[:, None, :, None])[..., 0]) * there
    pull = (t**2)[:, None, None] * inverse.sum(axis=2)  # rows of `inverse` that are absent are zero
    loading = np.array([1.0, 0.0]) - (pull[:, :, None, :] @ design)[:, :, 0]
    mids = centre[:, :1] + (pull * left).sum(axis=2)
    variances = (t**2)[:, None] * (1 - pull.sum(axis=2)) + ((loading @ of_mean) * loading).sum(axis=2)
    chance = -0.5 * (np.linalg.slogdet(total)[1].sum(axis=1) + np.linalg.slogdet(information)[1])
    chance -= 0.5 * ((inverse @ left[..., None])[..., 0] * left).sum(axis=(1, 2))
    # Flat in τ below SPREAD, intervals cover too little where τ is like the noise; flat in τ², too much: between them.
    chance += 0.5 * np.log(np.maximum(t, 1e-12)) - 1.25 * np.log1p((t / SPREAD) ** 2) - np.log1p((o / SPREAD) ** 2)
    share = np.exp(chance - chance.max())
    share /= share.sum()
    mid, variance = _mixed(share, mids, variances)
    mean, mean_var = _mixed(share, centre[:, :1], of_mean[:, :1, 0])
    gap, gap_var = _mixed(share, centre[:, 1:], of_mean[:, 1:, 1] * gapped)
    return Shrunk(
        mid=mid,
        sd=np.sqrt(np.maximum(variance, 0.0)),
        mean=float(mean[0]),
        mean_sd=float(np.sqrt(mean_var[0])),
        gap=float(gap[0]) if gapped else 0.0,
        gap_sd=float(np.sqrt(gap_var[0])),
        spread=float(share @ t),
    )


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


def _mixed(share: Array, mids: Array, variances: Array) -> tuple[Array, Array]:
    mid = share @ mids
    return mid, share @ (variances + (mids - mid) ** 2)
