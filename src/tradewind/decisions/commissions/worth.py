"""Worth: what being shown once more brings, of every product, and what stands in the way of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tradewind.decisions.commissions.goods import Goods
from tradewind.decisions.commissions.past import WEEK, Past
from tradewind.errors import MissingDataError
from tradewind.methods.rates import Drawn, Rates
from tradewind.methods.standout import ordinary, standout

Array = NDArray[np.float64]

# Share of what the usual time shown of the department brings that a further one drives away: nobody has measured it.
DISPLACED = (0.6, 1.0)
OUTSIDE = (0.0, 0.2)  # the same where most of what is driven away belongs to sellers who are not in the data


@dataclass(frozen=True)
class Worth:
    """What exposure brings; arrays are [products] unless told otherwise.

    Args:
        sells: Pieces sold for each unit of exposure where creators are at work.
        shape: How sure that is, as the shape of a gamma distribution.
        seen: Exposure there in a day, lately.
        joint: What a unit of exposure of the usual product of its department brings all parties.
        platform: The same for the platform.
        merchant: The same for the product's own merchant, who owns a part of that exposure.
        through: Pieces sold through creators in a day, lately.
        elsewhere: Pieces sold in a day where creators are not at work, lately.
        displaced: Least and most share of these that is lost where a product is shown once more.
        odd: Number of weeks that stand out, such as a mega campaign's, in whose place ordinary ones before them count.
    """

    sells: Array
    shape: Array
    seen: Array
    joint: Array
    platform: Array
    merchant: Array
    through: Array
    elsewhere: Array
    displaced: tuple[float, float]
    odd: int


def worth(past: Past, goods: Goods, *, whole: bool) -> Worth:
    """Return what exposure brings.

    Products that are clicked alike, cost alike, stand in one department and sell alike elsewhere sell alike where
    creators are at work; each is drawn towards these.

    Args:
        past: Contracts, exposure and sales through creators.
        goods: Products, and what a piece brings.
        whole: Whether all sellers of the marketplace are among them.
    """
    shown, elsewhere = past.seen.sum(axis=1), past.elsewhere.sum(axis=1)
    if not _told(past.pieces[:, 0], shown).any():
        raise MissingDataError("Nothing was sold where creators are at work", do="take a longer period or more shops")
    kinds = np.eye(int(goods.department.max()) + 1)[goods.department]
    common = kinds.sum(axis=0) >= max(10, len(kinds) // 200)
    x = np.column_stack([np.log(np.maximum(goods.price, 0.01)), kinds[:, common][:, 1:]])
    if _told(past.clicked[:, 0], past.clicked[:, 1]).any():
        x = np.column_stack([x, np.log(_rates(past.clicked[:, 0], past.clicked[:, 1]).mean)])
    if _told(past.pieces[:, 1], elsewhere).any():
        others = _rates(past.pieces[:, 1], elsewhere, x)
        x = np.column_stack([x, np.log(others.mean)])
    found = _rates(past.pieces[:, 0], shown, x)
    lately = max(1, min(past.weeks, round(past.base / WEEK)))
    out = standout(past.seen.sum(axis=0) + 1.0)
    seen = past.seen[:, ordinary(out, lately)].mean(axis=1) / WEEK
    asked = past.seen[:, -lately:].mean(axis=1) / WEEK
    elsewhere = past.bought[:, ordinary(out, lately)].mean(axis=1) / WEEK
    joint = _stands(seen, found.mean * goods.joint, goods.department)
    platform = _stands(seen, found.mean * goods.platform, goods.department)
    names = {name: n for n, name in enumerate(sorted({shop or "" for shop in goods.shop}))}
    shop = np.array([names[name or ""] for name in goods.shop])
    both = np.unique(goods.department * len(names) + shop, return_inverse=True)[1]
    own = np.bincount(both, seen * found.mean * goods.merchant)[both]
    merchant = own / np.maximum(np.bincount(goods.department, seen)[goods.department], 1e-9)
    through = np.zeros(len(seen))
    if _told(past.through[:, 0], past.through[:, 1]).any():
        sold = _rates(past.through[:, 0], past.through[:, 1], np.log(found.mean)[:, None])
        through = sold.mean * past.through[:, 2] / past.base
        through *= np.divide(seen, asked, out=np.ones(len(seen)), where=asked > 0)
    return Worth(
        found.mean, found.shape, seen, joint, platform, merchant, through, elsewhere, DISPLACED if whole else OUTSIDE,
        int(out[-lately:].sum()),
    )  # fmt: skip


def _rates(events: Array, exposure: Array, x: Array | None = None) -> Drawn:
    return Rates()(_told(events, exposure), exposure, x)


def _told(events: Array, exposure: Array) -> Array:
    """Return events; what came where no exposure is told, such as by a link from outside, tells nothing of rates."""
    return np.where(exposure > 0, events, 0.0)


def _stands(seen: Array, value: Array, department: NDArray[np.int64]) -> Array:
    """What a unit of exposure in the department of each product brings now."""
    total = np.bincount(department, seen * value)
    return np.asarray((total / np.maximum(np.bincount(department, seen), 1e-9))[department])


__all__ = ["Worth", "worth"]
