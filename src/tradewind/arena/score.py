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
    """

    lever: Lever
    cost: float
    attributed: float
    sales: float
    claimed: float
    truth: float


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
        covered: Of its predictions with an interval, how many held the truth, and how many there are.
        width: Mean width of those intervals.
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
    covered: tuple[int, int] = (0, 0)
    width: float | None = None
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
        coverage: Share of its intervals that held the truth, None where it has none.
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
        hits, count = (sum(score.covered[n] for score in mine) for n in (0, 1))
        widths = [score.width for score in mine if score.width is not None]
        told = [score.predicted for score in mine if score.predicted is not None]
        return Standing(
            policy, float(np.mean([score.joint for score in mine])), self._share(mine, ORACLE),
            self._share(mine, LEARNABLE), sum(score.joint > 0 for score in mine),
            float(np.mean(told)) if told else None, hits / count if count else None,
            float(np.mean(widths)) if widths else None,
        )  # fmt: skip

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
