"""Odds: with which chance each customer was given each coupon, by lot, by a rule that was written down, or guessed."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from tradewind.decisions.coupons.record import Record
from tradewind.errors import MissingDataError
from tradewind.methods.crossfit import Crossfit, Nuisance
from tradewind.study import Evidence

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

TRIM = 0.02
"""Who was given a coupon with a smaller chance than this, or not given one with a smaller, is left out."""
RULED = 0.9  # share of the spread of the chances written down that features must explain, for the rule to be known
EVEN = 1e-4  # variance of chances below which all were the same
RECORDED = 0.9  # share of grants whose chance was written down
MOST = 40_000  # cases that teach who is given a coupon
FEWEST = 200  # customers given and not given, each, that are needed


@dataclass(frozen=True)
class Odds:
    """Chances of being given coupons.

    Args:
        how: `lot`, `rule` (chances written down, and reproduced for those who got none) or `guess`.
        chance: [n] of each row; NaN for rows that cannot be used.
        kept: [n] rows that can be used.
        by_lot: Share of the rows kept that were drawn by lot.
        trimmed: Share of the rows left out since customers like these nearly always or nearly never got one.
        skill: How well features tell the chances that were written down, or who was given a coupon.
        recorded: Whether the chances of those given, those of a lot apart, were written down.
        model: What predicts the chance from features; None where all were drawn by lot.
        usual: Mean chance, where no model is needed.
    """

    how: Literal["lot", "rule", "guess"]
    chance: Array
    kept: Bools
    by_lot: float
    trimmed: float
    skill: float
    recorded: bool
    model: Nuisance | None
    usual: float

    @property
    def evidence(self) -> Evidence:
        """What may be claimed."""
        grades = {"lot": Evidence.RANDOMISED, "rule": Evidence.QUASI_EXPERIMENTAL, "guess": Evidence.OBSERVATIONAL}
        return grades[self.how]

    @property
    def sentence(self) -> str:
        """How the chances are known, to be said aloud."""
        cut = f"; {self.trimmed:.1%} of the cases are left out, being nearly always or nearly never given" * (
            self.trimmed > 0.0005
        )
        if self.how == "lot":
            return f"Who got these coupons was drawn by lot{cut}."
        if self.how == "rule":
            return (
                f"The chances by which coupons were given were written down ({self.by_lot:.0%} of the cases by lot); "
                f"what was known of customers tells {self.skill:.0%} of them, so that those who got none compare{cut}."
            )
        unsure = (
            "The chances by which coupons were given were written down, but what was known of customers does not tell "
            "them for those who got none"
            if self.recorded
            else "Nobody wrote down by what chance coupons were given"
        )
        return (
            f"{unsure}: chances are guessed from what customers were like{cut}. "
            "What made both the coupon and the orders likely, and was not known, is taken for its effect."
        )

    def predict(self, features: Array) -> Array:
        """Return the chance [n] of customers with features [n, p] to be given the next coupon."""
        if self.model is None:
            return np.full(len(features), self.usual)
        found = self.model.predict(features)
        return np.clip(found[:, -1] if found.ndim == 2 else found, 0.0, 1.0)


def odds(record: Record, features: Array, customer: Ints, issue: Ints, seed: int) -> Odds:
    """Return the chances of rows, one for each customer and issue.

    Args:
        record: What is known.
        features: [n, p] features of the rows.
        customer: [n] customers.
        issue: [n] issues.
        seed: Draws the folds.

    Raises:
        MissingDataError: If too few were given a coupon, or too few were not.
    """
    issues = record.issues
    given, lot = issues.given[customer, issue], issues.lot[customer, issue]
    chance = np.where(lot, issues.lot_chance[customer, issue], np.nan)
    how: Literal["lot", "rule", "guess"] = "lot"
    model, skill, recorded = None, 1.0, False
    rest = ~lot
    if rest.any() and min(int(given[rest].sum()), int((~given[rest]).sum())) >= FEWEST:
        written = issues.recorded[customer, issue]
        fit = Crossfit(2, seed=seed, most=MOST)
        folds = fit.split(int(rest.sum()), customer[rest])
        with warnings.catch_warnings():
            # A rule that is exact drives slopes far out; how well it is met is checked below.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = fit.chances(folds, features[rest], given[rest].astype(float))
        told = np.full(len(given), np.nan)
        told[rest] = model.values[0][:, 1]
        known = rest & given & np.isfinite(written)
        recorded = bool(known.sum() >= RECORDED * (rest & given).sum())
        if recorded:
            spread, wrong = float(np.var(written[known])), float(np.mean((told - written)[known] ** 2))
            skill = 1 - wrong / spread if spread > EVEN else float(wrong < EVEN)
            how = "rule" if skill >= RULED else how
        if how == "lot" and min(int((lot & given).sum()), int((lot & ~given).sum())) < FEWEST:
            how, skill = "guess", model.skill  # what was drawn by lot would not do by itself
        if how == "lot":
            model = None
        else:
            chance = np.where(lot, chance, told)
    inside = (chance >= TRIM) & (chance <= 1 - TRIM)
    usable = np.isfinite(chance)
    kept = usable & inside
    if min(int(given[kept].sum()), int((~given[kept]).sum())) < FEWEST:
        raise MissingDataError(
            "Too few customers comparable to each other were and were not given a coupon",
            got=f"{int(given[kept].sum())} with and {int((~given[kept]).sum())} without", allowed=f"{FEWEST} of each",
            do="give a coupon to half of some customers by lot for a week",
        )  # fmt: skip
    trimmed = float(1 - kept.sum() / max(usable.sum(), 1))
    return Odds(
        how, chance, kept, float(lot[kept].mean()), trimmed, float(skill), recorded, model,
        float(given[usable].mean()),
    )  # fmt: skip
