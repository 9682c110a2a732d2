"""Silence: what was seen week after week and then no more, for longer than chance would have it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

from tradewind.errors import BadInputError


def silent(seen: ArrayLike, possible: ArrayLike, rare: float = 1e-3) -> NDArray[np.int64]:
    """Return for how many weeks up to the last each thing has fallen silent: 0 where chance may have made it so.

    If something that could be seen in n weeks was seen in k of them, and each week as likely as another, the chance
    that none of these lies among the last m is C(n − m, k) / C(n, k). Where that is rare it is over: it left, was taken
    down, or goes by another name. It counts weeks and not what was seen in them, so that neither large weeks nor what
    comes in lumps makes it surer.

    Args:
        seen: [n, w] whether each thing was seen in a week; or any other step of time, in place of weeks throughout.
        possible: [n, w] whether it could have been.
        rare: Chance below which it is over, in (0, 1).

    Returns:
        [n] weeks since it was last seen, those in which it could not be counted in.

    Raises:
        BadInputError: If shapes differ, or the chance is none.

    Reference:
        Solow (1993), Inferring extinction from sighting data, Ecology 74(3), equation 1, in weeks drawn without
        replacement.
    """
    there, could = np.asarray(seen, bool), np.asarray(possible, bool)
    if there.ndim != 2 or there.shape != could.shape:
        raise BadInputError("Weeks seen and weeks possible do not fit", got=(there.shape, could.shape))
    if not 0 < rare < 1:
        raise BadInputError("A chance is out of range", got=rare, allowed="between 0 and 1")
    could = could | there
    weeks = there.shape[1]
    since = np.where(there.any(axis=1), np.argmax(there[:, ::-1], axis=1), 0)
    after = np.arange(weeks) >= weeks - since[:, None]
    n, k, m = could.sum(axis=1), there.sum(axis=1), (could & after).sum(axis=1)
    chance = gammaln(n - m + 1) - gammaln(n - m - k + 1) - gammaln(n + 1) + gammaln(n - k + 1)
    return np.where((m > 0) & (chance < np.log(rare)), since, 0).astype(np.int64)


__all__ = ["silent"]
