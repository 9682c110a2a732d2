"""Track record: what was promised beside what was proven, from which the next plan's gains are calibrated."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tradewind.ledger.standing import Experiment, Launch
from tradewind.methods.calibration import Calibrated, Calibration, reach, spread
from tradewind.study import Action, Estimate, Evidence, Lever, Party, Setting


@dataclass(frozen=True)
class Pair:
    """A promise and what came of it, both of the treated units over the days on which the action held.

    Args:
        experiment: Id of the experiment.
        lever: Its lever.
        promised: What was predicted, before any calibration: of all parties together, what a reading sees of it, as far
            as it was carried out.
        proven: What was read.
    """

    experiment: str
    lever: Lever
    promised: Estimate
    proven: Estimate


@dataclass(frozen=True)
class Track:
    """A track record.

    Args:
        pairs: Promises that were proven.
        left_out: By id of an experiment that was read or is due, why it is not among the pairs. A record from which
            those that went badly are missing flatters.
    """

    pairs: tuple[Pair, ...]
    left_out: dict[str, str]

    def calibrated(self, level: float = 0.9, seed: int = 0) -> Calibrated:
        """Return what predictions are worth, by lever.

        Args:
            level: Level of the intervals.
            seed: Seed of the draws.

        Returns:
            Factors and widths by lever.
        """
        promised = [_at(pair.promised, level) for pair in self.pairs]
        errors = [float(spread(p.proven.low, p.proven.high, p.proven.level)) for p in self.pairs]
        return Calibration(level, seed=seed)(
            [str(pair.lever) for pair in self.pairs],
            [each.mid for each in promised],
            [each.low for each in promised],
            [each.high for each in promised],
            [pair.proven.mid for pair in self.pairs],
            errors,
        )


def track(experiments: Iterable[Experiment], due: frozenset[str], party: Party | None, weakest: Evidence) -> Track:
    """Return what was promised beside what was proven.

    Args:
        experiments: Experiments, read or not.
        due: Ids of those that should have been read by now.
        party: Whose gain, or None for all parties together.
        weakest: Weakest evidence of a reading that counts as proof.

    Returns:
        The record.
    """
    pairs: list[Pair] = []
    left_out: dict[str, str] = {}
    for each in experiments:
        found = _pair(each, each.id in due, party, weakest)
        if isinstance(found, Pair):
            pairs.append(found)
        elif found:
            left_out[each.id] = found
    return Track(tuple(pairs), left_out)


def _pair(each: Experiment, due: bool, party: Party | None, weakest: Evidence) -> Pair | str:
    if each.final is None:
        if not each.proves:
            return "nothing was held out of it, so that nothing shows what it brought"
        return "it is due and was not read" if due else ""
    reading = each.final.reading
    doubts = {
        f"its reading is {reading.evidence} only": Evidence.weakest([reading.evidence, weakest]) != weakest,
        f"{reading.missing} of the days that count were probably not imported": reading.missing > 0,
        "its arms are not as the lot drew them": reading.skewed,
        "a later plan took more of one of its arms": reading.crossed,
        f"the store shows it done to {reading.carried or 0:.0%} of the treated more than of the rest": reading.undone,
        "it was registered after it had begun": any(launch.late for launch in each.treated),
    }
    if any(doubts.values()):
        return next(doubt for doubt, holds in doubts.items() if holds)
    proven = reading.joint if party is None else reading.effect.get(party)
    promises = [_promised(launch, party) for launch in each.treated]
    if proven is None or not all(promises):
        return f"{'all parties together were' if party is None else f'the {party} was'} not both promised and read"
    truly = 1.0 if reading.carried is None else reading.carried
    parts = [
        promise.scaled(launch.held * each.done * truly)
        for promise, launch in zip(promises, each.treated, strict=True)
        if promise
    ]
    parts = [_at(part, proven.level) for part in parts]
    if sum(launch.held for launch in each.treated) == 0:
        return "it was stopped before it began"
    # added as a plan adds them: a width that is learnt from sums then fits single actions and plans alike
    return Pair(each.id, each.lever, Estimate.added(parts), proven)


def _promised(launch: Launch, party: Party | None) -> Estimate | None:
    setting = launch.raw or launch.setting
    return setting.shown if party is None else setting.gain.get(party)


def _at(estimate: Estimate, level: float) -> Estimate:
    """Return the estimate with its interval at another level."""
    if estimate.level == level:
        return estimate
    times = float(reach(level) / reach(estimate.level))
    low, high = (estimate.mid + (end - estimate.mid) * times for end in (estimate.low, estimate.high))
    return Estimate(estimate.mid, low, high, level)


def shrunk(actions: Sequence[Action], calibrated: Calibrated) -> list[Action]:
    """Return actions with every gain of their menus as the calibration lets expect; what they cost stays.

    Where a lever proved to bring less than it promised, what its actions gain shrinks, and what somebody is predicted
    to lose by them does not: all together gain f times what was predicted, losers lose as much, gainers bear the rest.
    An action by which all together are predicted to lose is not made better. So no low factor, nor one below zero,
    turns a loss into a gain. Where it proved to bring more, all gains and losses grow.

    Args:
        actions: The actions as their wings predict them. Keep them: a promise names the chosen setting of one as `raw`.
        calibrated: What predictions are worth.

    Returns:
        The actions to plan with.
    """
    told = [
        (str(action.lever), *part)
        for action in actions
        for setting in action.menu
        for part in _parts(setting, calibrated.of(str(action.lever)).factor.mid)
    ]
    scaled = calibrated.each([lever for lever, _, _ in told], [value.moved(-known) for _, value, known in told])
    gains = iter(value.moved(known) for value, (_, _, known) in zip(scaled, told, strict=True))

    def fresh(setting: Setting) -> Setting:
        gain = {who: next(gains) for who in setting.gain}
        joint, own = (None if each is None else next(gains) for each in (setting.joint, setting.own))
        return dataclasses.replace(setting, gain=gain, joint=joint, own=own)

    return [dataclasses.replace(action, menu=tuple(map(fresh, action.menu))) for action in actions]


def _parts(setting: Setting, factor: float) -> list[tuple[Estimate, float]]:
    """Return each gain of a setting, that of all together and what of it shows last, with what no factor scales."""
    values = list(setting.gain.values())
    whole = [each for each in (setting.joint, setting.own) if each is not None]
    if factor >= 1:
        return [(value, 0.0) for value in (*values, *whole)]
    joint = sum(value.mid for value in values) if setting.joint is None else setting.joint.mid
    gained = sum(max(value.mid, 0.0) for value in values)
    scaled = min(joint / gained, 1.0) if joint > 0 and gained > 0 else 0.0  # of what gainers gain
    parts = [(value, value.mid * (1 - scaled if value.mid > 0 else 1.0)) for value in values]
    return [*parts, *((value, min(value.mid, 0.0)) for value in whole)]
