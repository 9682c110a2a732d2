"""Scores: what policies did in worlds, and how they stand over all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tradewind.arena.policies import POLICIES
from tradewind.study import Estimate, Lever, Party

LEVEL = 0.9
ORACLE, LEARNABLE = "oracle", "learnable"
NAMES = (*POLICIES, LEARNABLE, ORACLE)


@dataclass(frozen=True)
class Told:
    """What a policy said of a lever, and what was true of it.

    Args:
        lever: The lever.
        cost: What its settings draw from budgets.
        attributed: GMV that attribution credits to them.
        sales: Gross sales that truly came more.
        claimed: Profit that the policy predicted.
        truth: Profit that truly came more.
        worth: What its settings are worth to the first order, in sum; not a number without an oracle.
    """

    lever: Lever
    cost: float
    attributed: float
    sales: float
    claimed: float
    truth: float
    worth: float


@dataclass(frozen=True)
class Interval:
    """What a policy said of one setting.

    Args:
        lever: The lever.
        low: Lower end of the profit that it predicted.
        high: Upper end.
        worth: What the setting is worth to the first order, in closed form.
    """

    lever: Lever
    low: float
    high: float
    worth: float


@dataclass(frozen=True)
class Score:
    """What one policy did in one world.

    Args:
        policy: The policy.
        seed: The world's seed.
        joint: Incremental contribution profit of all parties, expected.
        error: Standard error of what is left of chance in it.
        parties: The same by party.
        actions: Number of actions by lever.
        cost: What they draw from each payer's budget.
        predicted: Profit that the policy predicted, where it predicts.
        intervals: Its predictions with an interval, where an oracle knows the truth.
        told: Lever by lever what it said, where it predicts.
    """

    policy: str
    seed: int
    joint: float
    error: float
    parties: Mapping[Party, float]
    actions: Mapping[Lever, int]
    cost: Mapping[Party, float]
    predicted: float | None = None
    intervals: tuple[Interval, ...] = ()
    told: tuple[Told, ...] = ()


@dataclass(frozen=True)
class Standing:
    """One policy over all worlds.

    Args:
        policy: The policy.
        joint: Mean incremental contribution profit of a world.
        of_oracle: Its sum as a share of the oracle's, with an interval over seeds; None without an oracle.
        of_learnable: The same of the best that can be learnt without the hidden state.
        above_none: Worlds in which it did better than nothing.
        predicted: Mean of what it predicted, None where it predicts nothing.
        coverage: Share of its intervals that held the truth (`Contest.scale`), None where it has none.
        width: Mean width of those intervals.
    """

    policy: str
    joint: float
    of_oracle: Estimate | None
    of_learnable: Estimate | None
    above_none: int
    predicted: float | None
    coverage: float | None
    width: float | None


@dataclass(frozen=True)
class Contest:
    """What policies did over some worlds.

    Args:
        preset: The worlds' preset.
        version: Version of their laws.
        seeds: Their seeds.
        scores: A score for each policy and seed.
        offered: What was on offer.
    """

    preset: str
    version: int
    seeds: tuple[int, ...]
    scores: tuple[Score, ...]
    offered: tuple[Lever, ...]

    def of(self, policy: str) -> list[Score]:
        """Return a policy's scores, in the order of the seeds."""
        mine = {score.seed: score for score in self.scores if score.policy == policy}
        return [mine[seed] for seed in self.seeds if seed in mine]

    def standings(self) -> list[Standing]:
        """Return how the policies stand, in the order in which they were given."""
        names = list(dict.fromkeys(score.policy for score in self.scores))
        return [self._standing(name) for name in sorted(names, key=NAMES.index)]

    def _standing(self, policy: str) -> Standing:
        mine = self.of(policy)
        scale = self.scale(policy)
        said = [each for score in mine for each in score.intervals]
        held = [each.low <= scale.get(each.lever, 1.0) * each.worth <= each.high for each in said]
        told = [score.predicted for score in mine if score.predicted is not None]
        return Standing(
            policy, float(np.mean([score.joint for score in mine])), self._share(mine, ORACLE),
            self._share(mine, LEARNABLE), sum(score.joint > 0 for score in mine),
            float(np.mean(told)) if told else None, float(np.mean(held)) if said else None,
            float(np.mean([each.high - each.low for each in said])) if said else None,
        )  # fmt: skip

    def scale(self, policy: str) -> dict[Lever, float]:
        """Return how much a policy's settings truly brought for each unit of their closed form, lever by lever.

        Closed forms are to the first order. What all settings of a lever brought together, over all worlds, beside the
        sum of their closed forms says how far that is off; one world alone says it with the luck of its futures. The
        oracle's own scale (`Oracle.scale`) would not do: it chose by the closed forms, so that their errors are in it.
        """
        return {told.lever: max(told.truth / told.worth, 0.0) for told in self.levers(policy) if told.worth > 0}

    def _share(self, mine: Sequence[Score], of: str) -> Estimate | None:
        """Sum over sum, with a bootstrap interval over the seeds."""
        whole = self.of(of)
        if not whole:
            return None
        above, below = np.array([s.joint for s in mine]), np.array([s.joint for s in whole])
        draw = np.random.default_rng(0).integers(0, len(above), (2_000, len(above)))
        shares = above[draw].sum(axis=1) / below[draw].sum(axis=1)
        low, high = np.quantile(shares, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        mid = float(above.sum() / below.sum())
        return Estimate(mid, min(float(low), mid), max(float(high), mid), LEVEL)

    def levers(self, policy: str) -> list[Told]:
        """Return what a policy said of each lever beside the truth, summed over the worlds."""
        found = []
        for lever in Lever:
            told = [each for score in self.of(policy) for each in score.told if each.lever == lever]
            if told:
                sums = [
                    sum(getattr(each, name) for each in told) for name in Told.__dataclass_fields__ if name != "lever"
                ]
                found.append(Told(lever, *sums))
        return found
