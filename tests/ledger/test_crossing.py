"""What later plans took of an experiment's units is counted arm by arm, whoever they belong to now."""

from __future__ import annotations

from datetime import date

from deeds import APPROVAL, Clock, coupon, customers, price, prices, promise
from places import Place

from tradewind.ledger import Crossing, Experiment, Ledger, Promise, Terms
from tradewind.period import Period
from tradewind.scope import Scope

NEXT = Period(date(2025, 3, 12), date(2025, 3, 18))  # the week before is still counted


def launched(ledger: Ledger, plan: str, *promises: Promise, source: str = "town") -> tuple[Experiment, ...]:
    return ledger.launch(plan, promises, APPROVAL, "Ann", Terms(exclusive=False, source=source)).experiments


def test_what_later_plans_took_is_told_by_arm(place: Place, clock: Clock) -> None:
    ledger = place.open(clock)
    trial, group = launched(ledger, "first", promise(coupon("a", customers(0, 100))), *prices(8))
    arms = ledger.arms(trial.id)
    treated = sorted(unit for unit, arm in arms.items() if arm == "treated")
    held = sorted(unit for unit, arm in arms.items() if arm == "holdout")
    launched(ledger, "beside", promise(coupon("b", customers(0, 100), shop="s2")))
    assert ledger.crossings(trial.id) == ledger.crossings(group.id) == ()
    clock.on(date(2025, 3, 10))
    more, two = (
        [*treated[:30], *held[:2], "stranger"],
        [promise(price(f"n{n}", f"p{n}", days=NEXT), 0.0) for n in (0, 1)],
    )
    again = promise(coupon("again", treated[:5], days=NEXT), 0.0)
    launched(ledger, "second", promise(coupon("more", more, "s2", NEXT)), again, *two)
    launched(ledger, "third", promise(coupon("other", held[:9], None, NEXT), 0.0))
    launched(ledger, "elsewhere", promise(coupon("far", held, None, NEXT), 0.0), source="moon")
    [gone] = launched(ledger, "stopped", promise(coupon("gone", held, "s3", NEXT), 0.0))
    ledger.stop(gone.launches[0].id, "Ann", "before it began")
    afterwards = Period(date(2025, 3, 24), date(2025, 3, 30))
    launched(ledger, "after", promise(coupon("late", held, "s4", afterwards), 0.0))
    third = Crossing("third", {"holdout": 9})
    assert trial.due < afterwards.first
    assert ledger.crossings(trial.id) == (Crossing("second", {"treated": 30, "holdout": 2}), third)
    [goods] = ledger.crossings(group.id)
    assert goods.plan == "second"
    assert sum(goods.units.values()) == 2
    assert all(goods.units[arm] == [group.subjects["p0"], group.subjects["p1"]].count(arm) for arm in goods.units)
    narrow = ledger.seen_by(Scope.of(["s1"]))
    assert narrow.crossings(trial.id) == (Crossing("second", {"treated": 5}),)
    ledger.close()
