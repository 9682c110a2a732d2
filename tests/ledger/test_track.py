"""What was promised beside what was proven, and the next plan's gains shrunk by it."""

from __future__ import annotations

from datetime import date

import pytest
from deeds import APPROVAL, GAIN, Clock, coupon, customers, price, prices, promise, reading, setting
from places import Place

from tradewind.ledger import Ledger, Promise, Terms, shrunk
from tradewind.period import Period
from tradewind.study import Choice, Estimate, Evidence, Party


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
    assert second.promised == Estimate(60.0, 30.0, 120.0)  # six of eight were done; errors go together
    [first, _] = embedded.track(Party.PLATFORM).pairs or [None, None]
    assert first is None
    assert "the platform was not both" in embedded.track(Party.PLATFORM).left_out[trial.id]
    assert embedded.track(Party.MERCHANT).pairs[0].promised.mid == pytest.approx(10 * share)


def test_what_was_stopped_is_held_to_the_days_that_it_had(embedded: Ledger, clock: Clock) -> None:
    [trial] = launched(embedded, promise(coupon("lapsed", customers(0, 100)), 0.5))
    clock.on(date(2025, 3, 4))
    embedded.stop(trial.launches[0].id, "Ann", "it cost too much")
    clock.on(date(2025, 3, 24))
    embedded.read(reading(embedded.experiment(trial.id)), "Ann")
    [pair] = embedded.track().pairs
    assert pair.promised.mid == pytest.approx(10 * 2 / 7 * trial.units["treated"] / 100)


def test_what_is_left_out_says_why(embedded: Ledger, clock: Clock) -> None:
    names = ("skewed", "unread", "weak", "early")
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
    track = embedded.track()
    assert track.pairs == ()
    assert track.left_out == {
        found["skewed"].id: "its arms are not as the lot drew them",
        found["unread"].id: "it is due and was not read",
        found["weak"].id: "its reading is observational only",
        found["early"].id: "it is due and was not read",
        found["late"].id: "it was registered after it had begun",
    }
    assert len(embedded.track(weakest=Evidence.OBSERVATIONAL).pairs) == 1
    assert track.calibrated().said("coupon") == "not calibrated yet"


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
        assert each.gain[Party.PLATFORM].mid == pytest.approx(factor)
    promised = Promise(Choice(smaller, 1), 0.5, raw=fresh.menu[1])
    [second] = embedded.launch("next", [promised], APPROVAL, "Ann").experiments
    assert second.launches[0].raw == fresh.menu[1]
    assert second.launches[0].setting == smaller.menu[1]


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
