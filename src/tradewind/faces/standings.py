"""Standings: what a contest in the arena came to, as tables for the terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tradewind.arena.contest import ECHO
from tradewind.arena.offer import DAYS
from tradewind.arena.score import LEVEL, Contest, Standing, Told
from tradewind.money import human
from tradewind.study import Estimate

CURRENCY = "USD"
TRUTH = ("oracle", "learnable")


def standings(found: Contest) -> RenderableType:
    """Return how policies stand, and how far attribution overstates each lever."""
    seeds = f"{len(found.seeds)} world{'s' if len(found.seeds) > 1 else ''} of `{found.preset}`"
    head = Text(f"{seeds}, seeds {_spans(found.seeds)}, laws of version {found.version}. Simulated.", style="bold")
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("Policy", no_wrap=True)
    table.add_column("Profit a world", justify="right")
    table.add_column("Of the oracle's", justify="right")
    table.add_column("Of the learnable", justify="right")
    table.add_column("Gains in", justify="right", no_wrap=True)
    table.add_column("Predicted", justify="right")
    held = any(each.coverage is not None for each in found.standings())
    for title in ("Held", "Width") if held else ():
        table.add_column(title, justify="right")
    for each in found.standings():
        table.add_row(*_row(each, len(found.seeds), held))
    notes = [
        f"Profit: incremental contribution profit of all parties, expected, over {DAYS} days of action and {ECHO} "
        f"after. Shares: sums over sums, with {LEVEL:.0%} intervals over worlds.",
        "Gains in: worlds in which it did better than nothing. Learnable: the best choice from what can be seen.",
        f"Levers offered: {', '.join(found.offered)}. Every policy has the same history, actions, costs and budgets.",
    ]
    if held:
        notes.append(
            "Held: intervals of single settings that hold the setting's closed form, scaled by what all settings of "
            "its lever brought together in runs of them alone, over all these worlds. Width: their mean width."
        )
    parts: list[RenderableType] = [head, table, *(Text(note, style="dim") for note in notes)]
    for policy, title in (("attributed", "What attribution claims"), ("tradewind", "What the plan promises")):
        if told := found.levers(policy):
            parts += [Text(), Text(f"{title}, and what is true", style="bold"), _told(told)]
    return Group(*parts)


def _row(each: Standing, worlds: int, with_intervals: bool) -> tuple[str, ...]:
    width = "" if each.width is None else human(each.width, "money", CURRENCY)
    predicted = "" if each.predicted is None else human(each.predicted, "money", CURRENCY)
    held = "" if each.coverage is None else human(each.coverage, "share")
    return (
        each.policy, human(each.joint, "money", CURRENCY), _share(each.of_oracle), _share(each.of_learnable),
        f"{each.above_none} of {worlds}", predicted, *((held, width) if with_intervals else ()),
    )  # fmt: skip


def _share(share: Estimate | None) -> str:
    if share is None:
        return ""
    mid, low, high = (f"{round(100 * end)}" for end in (share.mid, share.low, share.high))
    return f"{mid}% [{low},{high}]"  # without spaces, so that a narrow cell breaks before it


def _told(told: list[Told]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("Lever", no_wrap=True)
    for title in ("Cost", "Attributed GMV", "True GMV", "Overstated", "Claimed profit", "True profit"):
        table.add_column(title, justify="right", no_wrap=title == "Overstated")
    for each in told:
        over = f"{each.attributed / each.sales:.1f} ×" if each.sales > 0 else "no gain"
        table.add_row(
            each.lever, *(human(value, "money", CURRENCY) for value in (each.cost, each.attributed, each.sales)), over,
            *(human(value, "money", CURRENCY) for value in (each.claimed, each.truth)),
        )  # fmt: skip
    return table


def _spans(seeds: tuple[int, ...]) -> str:
    """Seeds as a reader would write them: `0–9`, or one by one."""
    if len(seeds) > 2 and seeds == tuple(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]}–{seeds[-1]}"
    return ", ".join(str(seed) for seed in seeds)
