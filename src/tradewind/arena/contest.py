"""Contest: policies over many worlds, scored by the truth."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from tradewind.arena.launch import moves
from tradewind.arena.offer import DAYS, offer
from tradewind.arena.oracle import Oracle
from tradewind.arena.policies import POLICIES
from tradewind.engines.store import open_store
from tradewind.errors import BadInputError
from tradewind.sources import fill
from tradewind.sources.worlds.preset import VERSION, preset
from tradewind.sources.worlds.truth import compared
from tradewind.sources.worlds.world import World
from tradewind.study import Choice, Estimate, Lever, Party

ECHO = 14  # days after the actions' last that are counted too: what they pulled forward
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
    """

    preset: str
    version: int
    seeds: tuple[int, ...]
    scores: tuple[Score, ...]

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


def contest(
    name: str, seeds: Sequence[int], policies: Sequence[str], work: Path | None = None, futures: int = 2, jobs: int = 1,
    told: Callable[[str, int, int], None] | None = None,
) -> Contest:  # fmt: skip
    """Let policies compete: each gets the same history, the same budgets and four weeks to act.

    Args:
        name: Preset of the worlds.
        seeds: Their seeds.
        policies: Names of the policies, of `NAMES`.
        work: Folder for the worlds' histories, kept for the next time; a temporary one if None.
        futures: Futures over which truth is averaged.
        jobs: Worlds at a time, each in a process of its own.
        told: Told how far it has come.

    Raises:
        NotFoundError: If there is no such preset.
        BadInputError: If a policy is not known, or there are no seeds.
    """
    preset(name)
    if unknown := [policy for policy in policies if policy not in NAMES]:
        raise BadInputError("There is no such policy in the arena", got=unknown, allowed=NAMES)
    if not seeds or not policies:
        raise BadInputError("A contest needs a world and a policy", got=(list(seeds), list(policies)))
    with tempfile.TemporaryDirectory(prefix="arena-") as temporary:
        folder = work or Path(temporary)
        asked = [(name, seed, tuple(policies), folder, futures) for seed in seeds]
        found: list[Score] = []
        if jobs > 1:
            with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
                running = [pool.submit(bout, *each) for each in asked]
                for done, result in enumerate(as_completed(running), 1):
                    found += result.result()
                    if told:
                        told(f"arena in the world `{name}`", done, len(asked))
        else:
            for done, each in enumerate(asked, 1):
                found += bout(*each)
                if told:
                    told(f"arena in the world `{name}`", done, len(asked))
    return Contest(name, VERSION, tuple(seeds), tuple(found))


def bout(name: str, seed: int, policies: Sequence[str], work: Path, futures: int) -> list[Score]:
    """Let policies compete in one world."""
    size, folder = preset(name), work / f"{name}-{seed}"
    fill(name, seed, folder)
    world = World(size, seed)
    world.advance(size.days)
    offered = offer(open_store(str(folder)))
    knows = Oracle(world, offered) if {ORACLE, LEARNABLE} & set(policies) else None
    plans: dict[str, list[Choice]] = {}
    for policy in policies:
        if policy in POLICIES:
            plans[policy] = POLICIES[policy](offered, seed)
        elif knows is not None:
            plans[policy] = knows.oracle() if policy == ORACLE else knows.learnable(seed)
    acting = {policy: plan for policy, plan in plans.items() if plan}
    ahead = range(1, futures + 1)
    effects = dict(zip(
        acting, compared(world, [moves(world, plan) for plan in acting.values()], DAYS + ECHO, ahead), strict=True
    ))  # fmt: skip
    found = []
    for policy, plan in plans.items():
        effect = effects.get(policy)
        covered, width = _coverage(plan, knows)
        predicts = policy not in (ORACLE, LEARNABLE) and any(choice.setting.joint for choice in plan)
        found.append(Score(
            policy, seed, effect.joint if effect else 0.0, effect.joint_error if effect else 0.0,
            {party: effect.of(party) if effect else 0.0 for party in Party},
            {lever: n for lever in Lever if (n := sum(choice.action.lever == lever for choice in plan))},
            {payer: sum(choice.setting.cost.get(payer, 0.0) for choice in plan) for payer in offered.budgets},
            sum(c.setting.joint.mid for c in plan if c.setting.joint) if predicts else None, covered, width,
            _told(world, plan) if predicts else (),
        ))  # fmt: skip
    return found


def _coverage(plan: Sequence[Choice], knows: Oracle | None) -> tuple[tuple[int, int], float | None]:
    """How many intervals of a plan held the truth, of how many, and how wide they are."""
    with_interval = [c for c in plan if c.setting.joint and c.setting.joint.low < c.setting.joint.high]
    if knows is None or not with_interval:
        return (0, 0), None
    hits, widths = 0, []
    for choice in with_interval:
        interval, truth = choice.setting.joint, knows.truth(choice)
        if interval is not None and truth is not None:
            hits += interval.low <= truth <= interval.high
            widths.append(interval.high - interval.low)
    return (hits, len(widths)), float(np.mean(widths)) if widths else None


def _told(world: World, plan: Sequence[Choice]) -> tuple[Told, ...]:
    """What was said of each lever of a plan beside the truth of it, when it is pulled alone."""
    by_lever = {lever: [c for c in plan if c.action.lever == lever] for lever in Lever}
    used = {lever: some for lever, some in by_lever.items() if some}
    effects = compared(world, [moves(world, some) for some in used.values()], DAYS + ECHO, futures=(1,))
    return tuple(
        Told(
            lever, sum(sum(choice.setting.cost.values()) for choice in some),
            sum(choice.setting.attributed or 0.0 for choice in some), effect.sales,
            sum(choice.setting.joint.mid for choice in some if choice.setting.joint), effect.joint,
        )
        for (lever, some), effect in zip(used.items(), effects, strict=True)
    )  # fmt: skip
