"""What was promised beside what was proven, and the next plan's gains shrunk by it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from deeds import APPROVAL, GAIN, Clock, coupon, customers, price, prices, promise, reading, setting
from places import Place

from tradewind.faces import proving
from tradewind.ledger import Ledger, Promise, Terms, shrunk
from tradewind.ledger.track import Pair, Track
from tradewind.methods.calibration import Calibrated
from tradewind.period import Period
from tradewind.study import SHARED, Choice, Estimate, Evidence, Lever, Party, Setting


@pytest.fixture
def embedded(file: Place, clock: Clock) -> Ledger:
    return file.open(clock)


def launched(ledger: Ledger, *promises: Promise, plan: str = "spring", late: bool = False):
    return ledger.launch(plan, promises, APPROVAL, "Ann", Terms(late=late, exclusive=False)).experiments


def test_only_what_the_treated_could_bring_was_promised(embedded: Ledger, clock: Clock) -> None:
    trial, group = launched(embedded, promise(coupon("lapsed", customers(0, 100))), *prices(8))
    clock.on(date(2025, 3, 24))
    for each in (trial, group):
        embedded.read(reading(each), "Ann")
    [first, second] = embedded.track().pairs
    share = trial.units["treated"] / 100
    assert first.promised.mid == pytest.approx(10 * share)
    assert (first.promised.low, first.promised.high) == (pytest.approx(5 * share), pytest.approx(20 * share))
    assert first.proven == Estimate(4.0, 2.0, 6.0)
    below, above = ((SHARED * (6 * side) ** 2 + (1 - SHARED) * 6 * side**2) ** 0.5 for side in (5.0, 10.0))
    assert second.promised.mid == 60.0  # six of eight were done, and are added as a plan adds them
    assert (second.promised.low, second.promised.high) == (pytest.approx(60 - below), pytest.approx(60 + above))
    [first, _] = embedded.track(Party.PLATFORM).pairs or [None, None]
    assert first is None
    assert "the platform was not both" in embedded.track(Party.PLATFORM).left_out[trial.id]
    assert embedded.track(Party.MERCHANT).pairs[0].promised.mid == pytest.approx(10 * share)


def test_what_other_products_gain_or_lose_is_not_held_against_a_reading(embedded: Ledger, clock: Clock) -> None:
    """Where products are held out only their own sales tell, so that only these are set beside what was read."""
    own, raw = Estimate(3.0, 2.0, 5.0), Estimate(7.0, 6.0, 8.0)
    group = []
    for each in prices(8):
        [only] = each.choice.action.menu
        fresh = replace(each.choice.action, menu=(replace(only, own=own),))
        group.append(Promise(replace(each.choice, action=fresh), each.holdout, raw=replace(only, own=raw)))
    [trial] = launched(embedded, *group)
    assert all(launch.setting.own == own and launch.raw and launch.raw.own == raw for launch in trial.launches)
    clock.on(date(2025, 3, 24))
    embedded.read(reading(trial), "Ann")
    [pair] = embedded.track().pairs
    assert pair.promised.mid == pytest.approx(7 * len(trial.treated))
    assert proving.promised(trial).mid == pytest.approx(3 * len(trial.treated))
    found = embedded.track().calibrated()
    [shrunken] = shrunk([group[0].choice.action], found)
    assert shrunken.menu[0].own.mid == pytest.approx(found.levers["price"].factor.mid * 3, rel=0.2)


def test_what_was_stopped_is_held_to_the_days_that_it_had(embedded: Ledger, clock: Clock) -> None:
    [trial] = launched(embedded, promise(coupon("lapsed", customers(0, 100)), 0.5))
    clock.on(date(2025, 3, 4))
    embedded.stop(trial.launches[0].id, "Ann", "it cost too much")
    clock.on(date(2025, 3, 24))
    embedded.read(reading(embedded.experiment(trial.id)), "Ann")
    [pair] = embedded.track().pairs
    assert pair.promised.mid == pytest.approx(10 * 2 / 7 * trial.units["treated"] / 100)


def test_what_is_left_out_says_why(embedded: Ledger, clock: Clock) -> None:
    names = ("skewed", "unread", "weak", "early", "gaps", "crossed", "undone", "met")
    found = {
        name: launched(embedded, promise(coupon(name, customers(0, 50))), plan=name)[0] for name in names
    }  # fmt: skip
    clock.on(date(2025, 3, 4))
    found["late"] = launched(embedded, promise(coupon("late", customers(0, 50))), plan="late", late=True)[0]
    clock.on(date(2025, 3, 24))
    embedded.read(reading(found["skewed"], sample_ratio=0.0001), "Ann")
    embedded.read(reading(found["weak"], evidence=Evidence.OBSERVATIONAL), "Ann")
    embedded.read(reading(found["early"], last=date(2025, 3, 20)), "Ann")
    embedded.read(reading(found["late"]), "Ann")
    embedded.read(reading(found["gaps"], missing=3), "Ann")
    embedded.read(reading(found["crossed"], crossing=0.0001), "Ann")
    embedded.read(reading(found["undone"], carried=0.4), "Ann")
    embedded.read(reading(found["met"], crossing=0.2, carried=0.8), "Ann")
    track = embedded.track()
    assert [pair.experiment for pair in track.pairs] == [found["met"].id]
    kept = embedded.experiment(found["met"].id).final.reading
    assert (kept.crossing, kept.carried) == (0.2, 0.8)
    share = found["met"].units["treated"] / 50
    assert track.pairs[0].promised.mid == pytest.approx(10 * share * 0.8)  # as far as it was done
    assert track.left_out == {
        found["crossed"].id: "a later plan took more of one of its arms",
        found["undone"].id: "the store shows it done to 40% of the treated more than of the rest",
        found["skewed"].id: "its arms are not as the lot drew them",
        found["gaps"].id: "3 of the days that count were probably not imported",
        found["unread"].id: "it is due and was not read",
        found["weak"].id: "its reading is observational only",
        found["early"].id: "it is due and was not read",
        found["late"].id: "it was registered after it had begun",
    }
    assert len(embedded.track(weakest=Evidence.OBSERVATIONAL).pairs) == 2


def test_the_next_plan_is_shrunk_once_not_twice(embedded: Ledger, clock: Clock) -> None:
    action = coupon("lapsed", customers(0, 100))
    [trial] = launched(embedded, promise(action, 0.5))
    clock.on(date(2025, 3, 24))
    embedded.read(reading(trial, 1.0), "Ann")
    calibrated = embedded.track().calibrated()
    fresh = coupon("again", customers(0, 100), days=Period(date(2025, 3, 25), date(2025, 4, 2)))
    [smaller] = shrunk([fresh], calibrated)
    assert [each.cost for each in smaller.menu] == [each.cost for each in fresh.menu]
    factor = calibrated.of("coupon").factor.mid
    assert 0 < factor < 1
    for each in smaller.menu:
        assert each.joint is not None
        assert each.joint.mid == pytest.approx(10 * factor)
        # the parties gain 11, so that somebody else is predicted to lose 1: that loss does not shrink
        assert each.gain[Party.PLATFORM].mid == pytest.approx(1 - (1 - factor) * 10 / 11)
    promised = Promise(Choice(smaller, 1), 0.5, raw=fresh.menu[1])
    [second] = embedded.launch("next", [promised], APPROVAL, "Ann").experiments
    assert second.launches[0].raw == fresh.menu[1]
    assert second.launches[0].setting == smaller.menu[1]


def worth(reads: float, readings: int = 6) -> Calibrated:
    """What a lever is worth of which every action that promised 10 brought `reads`."""
    pairs = [Pair(str(n), Lever.PRICE, GAIN, Estimate(reads, reads - 1, reads + 1)) for n in range(readings)]
    return Track(tuple(pairs), {}).calibrated()


@pytest.mark.parametrize("reads", [-12.0, -3.0, 4.0, 16.0])
def test_no_factor_turns_a_loss_into_a_gain(reads: float) -> None:
    calibrated = worth(reads)
    factor = calibrated.of("price").factor.mid
    gains = {Party.MERCHANT: Estimate(12.0, 6.0, 18.0), Party.PLATFORM: Estimate(-2.0, -3.0, -1.0)}
    losing = {Party.MERCHANT: Estimate(1.0, 0.0, 2.0), Party.PLATFORM: Estimate(-5.0, -6.0, -4.0)}
    menu = (
        Setting({"off": 0.1}, {}, gains, Estimate(10.0, 4.0, 16.0)),
        Setting({"off": 0.3}, {}, losing, Estimate(-4.0, -5.0, -3.0)),
    )
    [action] = shrunk([replace(price("p", "p0"), menu=menu)], calibrated)
    first, second = action.menu
    assert first.joint.mid == pytest.approx(10 * factor)
    assert first.gain[Party.PLATFORM].mid == pytest.approx(-2 * max(factor, 1.0))
    assert second.joint.mid == pytest.approx(-4 * max(factor, 1.0))
    for each in action.menu:
        assert sum(value.mid for value in each.gain.values()) == pytest.approx(each.joint.mid)
        assert all(value.low <= value.mid <= value.high for value in (*each.gain.values(), each.joint))


def test_intervals_that_are_honest_stay_as_wide() -> None:
    """Errors of a lever's actions are partly shared: what groups of them prove keeps the width of single ones."""
    kept = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        pairs = []
        for launch in range(12):
            mids = rng.uniform(5, 40, 60)
            promised = [Estimate(mid, mid * (1 - 1.645 * 0.6), mid * (1 + 1.645 * 0.6)) for mid in mids]
            errors = SHARED**0.5 * rng.standard_normal() + (1 - SHARED) ** 0.5 * rng.standard_normal(60)
            proven = float((mids * (1 + 0.6 * errors)).sum()) + 50 * rng.standard_normal()
            pairs.append(
                Pair(str(launch), Lever.PRICE, Estimate.added(promised), Estimate(proven, proven - 82, proven + 82))
            )
        kept.append(Track(tuple(pairs), {}).calibrated().of("price").width.mid)
    assert 0.8 < np.mean(kept) < 1.25


def test_the_record_compares_with_what_was_predicted_before_a_calibration(embedded: Ledger, clock: Clock) -> None:
    raw = setting({"off": 0.1}, GAIN.scaled(3.0))
    promises = [Promise(Choice(price(f"a{i}", f"p{i}"), 0), 0.5, raw=raw) for i in range(4)]
    [group] = launched(embedded, *promises)
    clock.on(date(2025, 3, 24))
    embedded.read(reading(group), "Ann")
    [pair] = embedded.track().pairs
    assert pair.promised.mid == pytest.approx(2 * 30.0)


def test_levels_of_promise_and_reading_need_not_agree(embedded: Ledger, clock: Clock) -> None:
    gain = Estimate(10.0, 10.0 - 1.2815515655446004, 10.0 + 1.2815515655446004, 0.8)
    [trial] = launched(embedded, promise(coupon("lapsed", customers(0, 100), gain=gain), 0.5))
    clock.on(date(2025, 3, 24))
    embedded.read(reading(trial), "Ann")
    [pair] = embedded.track().pairs
    share = trial.units["treated"] / 100
    assert pair.promised.level == 0.9
    assert pair.promised.high - pair.promised.mid == pytest.approx(1.6448536269514722 * share)
