"""Contest: policies over many worlds, scored by the truth."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from tradewind.arena import memory
from tradewind.arena.launch import moves
from tradewind.arena.offer import DAYS, LEVERS, offer
from tradewind.arena.oracle import Oracle
from tradewind.arena.policies import POLICIES
from tradewind.arena.score import LEARNABLE, NAMES, ORACLE, Contest, Interval, Score, Told
from tradewind.engines.store import open_store
from tradewind.errors import BadInputError
from tradewind.sources import fill
from tradewind.sources.worlds.preset import VERSION, preset
from tradewind.sources.worlds.truth import compared
from tradewind.sources.worlds.world import World
from tradewind.study import Choice, Lever, Party

ECHO = 14  # days after the actions' last that are counted too: what they pulled forward


def contest(
    name: str, seeds: Sequence[int], policies: Sequence[str], work: Path | None = None, futures: int = 2, jobs: int = 1,
    told: Callable[[str, int, int], None] | None = None, levers: Sequence[str] = LEVERS,
) -> Contest:  # fmt: skip
    """Let policies compete: each gets the same history, the same budgets and four weeks to act.

    Args:
        name: Preset of the worlds.
        seeds: Their seeds.
        policies: Names of the policies, of `NAMES`.
        work: Folder for the worlds' histories and scores, kept for the next time; a temporary one if None.
        futures: Futures over which truth is averaged.
        jobs: Worlds at a time, each in a process of its own.
        told: Told how far it has come.
        levers: What is on offer.

    Raises:
        NotFoundError: If there is no such preset.
        BadInputError: If a policy or lever is not known, or there are no seeds.
    """
    preset(name)
    if unknown := [policy for policy in policies if policy not in NAMES]:
        raise BadInputError("There is no such policy in the arena", got=unknown, allowed=NAMES)
    if (unknown := [str(lever) for lever in levers if lever not in LEVERS]) or not levers:
        raise BadInputError("This lever is not on offer in the arena", got=unknown, allowed=LEVERS)
    offered = tuple(lever for lever in LEVERS if lever in levers)
    if not seeds or not policies:
        raise BadInputError("A contest needs a world and a policy", got=(list(seeds), list(policies)))
    with tempfile.TemporaryDirectory(prefix="arena-") as temporary:
        folder = work or Path(temporary)
        asked = [(name, seed, tuple(policies), folder, futures, offered) for seed in seeds]
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
    return Contest(name, VERSION, tuple(seeds), tuple(found), offered)


def bout(
    name: str, seed: int, policies: Sequence[str], work: Path, futures: int, levers: Sequence[Lever] = LEVERS
) -> list[Score]:
    """Let policies compete in one world; what was scored by the same code before is not scored again."""
    asked = (name, seed, VERSION, tuple(policies), futures, *(() if levers == LEVERS else (tuple(levers),)))
    path = work / "scores" / f"{name}-{seed}-{memory.short(asked)}.json"
    found = memory.recalled(path, asked)
    if found is None:
        found = _scored(name, seed, policies, work, futures, levers)
        memory.keep(path, asked, found)
    return found


def _scored(
    name: str, seed: int, policies: Sequence[str], work: Path, futures: int, levers: Sequence[Lever]
) -> list[Score]:
    size, folder = preset(name), work / f"{name}-{seed}"
    fill(name, seed, folder)
    world = World(size, seed)
    world.advance(size.days)
    offered = offer(open_store(str(folder)), levers)
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
        predicts = policy not in (ORACLE, LEARNABLE) and any(choice.setting.joint for choice in plan)
        found.append(Score(
            policy, seed, effect.joint if effect else 0.0, effect.joint_error if effect else 0.0,
            {party: effect.of(party) if effect else 0.0 for party in Party},
            {lever: n for lever in Lever if (n := sum(choice.action.lever == lever for choice in plan))},
            {payer: sum(choice.setting.cost.get(payer, 0.0) for choice in plan) for payer in offered.budgets},
            sum(c.setting.joint.mid for c in plan if c.setting.joint) if predicts else None, _intervals(plan, knows),
            _told(world, plan, knows, ahead) if predicts else (),
        ))  # fmt: skip
    return found


def _intervals(plan: Sequence[Choice], knows: Oracle | None) -> tuple[Interval, ...]:
    """The intervals that were predicted for the settings of a plan, beside what these are worth to the first order."""
    return tuple(
        Interval(choice.action.lever, told.low, told.high, knows.worth(choice))
        for choice in plan if knows and (told := choice.setting.joint) and told.low < told.high
    )  # fmt: skip


def _told(world: World, plan: Sequence[Choice], knows: Oracle | None, futures: Iterable[int]) -> tuple[Told, ...]:
    """What was said of each lever of a plan beside the truth of it, when it is pulled alone."""
    by_lever = {lever: [c for c in plan if c.action.lever == lever] for lever in Lever}
    used = {lever: some for lever, some in by_lever.items() if some}
    effects = compared(world, [moves(world, some) for some in used.values()], DAYS + ECHO, futures)
    return tuple(
        Told(
            lever, sum(sum(choice.setting.cost.values()) for choice in some),
            sum(choice.setting.attributed or 0.0 for choice in some), effect.sales,
            sum(choice.setting.joint.mid for choice in some if choice.setting.joint), effect.joint,
            sum(knows.worth(choice) for choice in some) if knows else float("nan"),
        )
        for (lever, some), effect in zip(used.items(), effects, strict=True)
    )  # fmt: skip
