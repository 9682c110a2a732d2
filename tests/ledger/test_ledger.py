"""The contract of a ledger, the same on SQLite and PostgreSQL."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta

import pytest
import sqlalchemy as sa
from deeds import APPROVAL, KEY, START, WEEK, Clock, coupon, customers, price, prices, promise, reading
from places import Place

from tradewind.errors import BadInputError, ConflictError, CorruptLedgerError, NotFoundError
from tradewind.ledger import Approval, Ledger, Promise, State, Terms, open_ledger
from tradewind.ledger.schema import METADATA
from tradewind.period import Period
from tradewind.study import Choice, Estimate, Evidence, Lever, Party, Setting, Subject

TRIAL = [promise(coupon("lapsed", customers(0, 200)))]


def launched(ledger: Ledger, plan: str = "spring", promises: list[Promise] | None = None, **terms: object):
    return ledger.launch(plan, promises or TRIAL, APPROVAL, "Ann", Terms(**terms))


def test_a_launch_is_registered_with_all_that_was_promised(ledger: Ledger) -> None:
    receipt = launched(ledger, promises=TRIAL + prices(8))
    trial, group = receipt.experiments
    assert (trial.name, trial.unit, trial.lever, trial.days) == ("lapsed", "customer", Lever.COUPON, WEEK)
    assert trial.due == date(2025, 3, 23)
    assert sum(trial.units.values()) == 200
    assert trial.arms == {"holdout": 0.2, "treated": 0.8}
    assert group.units == {"holdout": 2, "treated": 6}
    assert group.arms == {"holdout": 0.25, "treated": 0.75}
    [launch] = trial.launches
    assert (launch.arm, launch.who, launch.approved_by, launch.late) == (None, "Ann", "Bea", False)
    assert launch.at == "2025-03-01T12:00:00.000000Z"
    assert launch.setting == TRIAL[0].choice.setting
    assert sorted(each.arm for each in group.launches) == ["holdout"] * 2 + ["treated"] * 6
    assert sorted(ledger.arms(trial.id)) == sorted(customers(0, 200))
    assert receipt.head == ledger.head()
    assert receipt.head.count == 1 + 2 + 9
    assert ledger.status().experiments == receipt.experiments
    assert ledger.verify([receipt.head]).sound


def test_actions_on_one_subject_share_its_arm(ledger: Ledger) -> None:
    """A product's profit is that of all its creators together: in two arms at once it would tell nothing."""
    pairs = [(f"p{number}", creator) for number in range(40) for creator in ("k1", "k2", "k3")]
    actions = [
        replace(price(f"{of}-{creator}", of), subject=Subject("product", of, "s1", creator)) for of, creator in pairs
    ]
    [group] = launched(ledger, promises=[promise(action, 0.2) for action in actions]).experiments
    assert group.units == {"holdout": 8, "treated": 32}
    assert group.arms == {"holdout": 0.2, "treated": 0.8}
    assert Counter(ledger.arms(group.id).values()) == group.units
    assert Counter(each.arm for each in group.launches) == {"holdout": 24, "treated": 96}
    one = [promise(replace(action, key=f"{action.key} again"), 0.5) for action in actions[:3]]
    with pytest.raises(BadInputError, match="alone of its kind"):
        launched(ledger, "summer", one, exclusive=False)


def test_a_ledger_opened_again_says_the_same(place: Place, clock: Clock, ledger: Ledger) -> None:
    receipt = launched(ledger)
    again = place.open(clock, create=False)
    assert again.status() == ledger.status()
    assert again.head() == receipt.head
    again.close()


def test_a_launch_repeated_is_refused_whole(ledger: Ledger) -> None:
    before = launched(ledger, promises=prices(4)).head
    with pytest.raises(ConflictError, match="launched already") as raised:
        launched(ledger, promises=prices(1, first=3, holdout=0.0) + TRIAL)
    assert raised.value.got == "price-3"
    assert ledger.head() == before
    more = launched(ledger, promises=prices(3, first=4)).experiments  # the plan grows by a group of its own
    assert more[0].id not in {each.id for each in ledger.status().experiments[:1]}
    assert launched(ledger).head.count == before.count + 4 + 2


MEETING = {
    "10 of its customers": coupon("same", customers(190, 400)),
    "9 of its customers": coupon("last day", customers(0, 9), days=Period(date(2025, 3, 9), date(2025, 3, 12))),
    "Its subject": price("same product", "p1"),
}
APART = (
    coupon("after", customers(0, 100), days=Period(date(2025, 3, 10), date(2025, 3, 12))),
    coupon("others", customers(200, 300)),
    coupon("other shop", customers(0, 100), shop="s2"),
    coupon("marketplace", customers(0, 100), shop=None),
    replace(
        coupon("note", customers(0, 100)), lever=Lever.OUTREACH,
        menu=(Setting({}, {}, {Party.MERCHANT: Estimate(1.0, 0.0, 2.0)}),),
    ),
    price("same product, other shop", "p1", shop="s2"),
    price("other product", "p2"),
)  # fmt: skip


def test_a_unit_is_in_one_action_of_a_lever_at_a_time(ledger: Ledger) -> None:
    launched(ledger, promises=[*TRIAL, promise(price("first", "p1"), 0.0)])
    before = ledger.head()
    for words, action in MEETING.items():
        with pytest.raises(ConflictError, match=words):
            launched(ledger, "summer", [promise(action, 0.0)])
    assert ledger.head() == before
    launched(ledger, "summer", [promise(action, 0.0) for action in APART])
    launched(ledger, "autumn", [promise(action, 0.0) for action in MEETING.values()], exclusive=False)
    assert ledger.verify([before]).sound


def test_the_same_ids_of_another_source_are_others(ledger: Ledger) -> None:
    first = [*TRIAL, promise(price("first", "p1"), 0.0)]
    launched(ledger, promises=first, source="brazil", currency="BRL")
    launched(ledger, "japan", first, source="japan", currency="JPY")
    for source in ("brazil", "japan", ""):
        for words, action in MEETING.items():
            with pytest.raises(ConflictError, match=words):
                launched(ledger, "summer", [promise(action, 0.0)], source=source)
    launched(ledger, "unsaid", [promise(price("other", "p3"), 0.0)])
    with pytest.raises(ConflictError, match="Its subject is"):
        launched(ledger, "summer", [promise(price("same", "p3"), 0.0)], source="japan")


def test_actions_of_one_plan_do_not_meet_either(ledger: Ledger) -> None:
    with pytest.raises(ConflictError, match="100 of its customers"):
        launched(ledger, promises=[*TRIAL, promise(coupon("more", customers(100, 300)))])
    assert not ledger.status().launches


def test_two_actions_of_one_plan_on_one_product_do_not_meet(ledger: Ledger) -> None:
    later = price("later", "p1", days=Period(date(2025, 3, 10), date(2025, 3, 12)))
    apart = [promise(each, 0.0) for each in (price("first", "p1"), later, price("all's", "p1", shop=None))]
    with pytest.raises(ConflictError, match="'twice' cannot be proven beside another") as refused:
        launched(ledger, promises=[*apart, promise(price("twice", "p1"), 0.0)])
    assert refused.value.got == "spring/first"
    assert not ledger.status().launches
    launched(ledger, promises=apart)
    ledger.stop(next(each.id for each in ledger.status().launches if each.action == "first"), "Ann", "too dear")
    launched(ledger, "summer", [promise(price("again", "p1"), 0.0)])  # stopped before it began


def test_a_plan_of_many_products_asks_once_who_holds_them(ledger: Ledger) -> None:
    asked: list[str] = []

    def hears(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", hears)
    took = {}
    try:
        for plan, count, first in (("spring", 4, 0), ("summer", 40, 100)):
            asked.clear()
            launched(ledger, plan, prices(count, first=first))
            took[count] = sum("LEFT OUTER JOIN stops" in statement for statement in asked)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", hears)
    assert took[40] == took[4] > 0


def test_what_was_stopped_lets_go_of_its_units_the_next_day(ledger: Ledger, clock: Clock) -> None:
    [trial] = launched(ledger).experiments
    clock.on(date(2025, 3, 5))
    stopped = ledger.stop(trial.launches[0].id, "Ann", "the coupon was abused")
    assert (stopped.stopped, stopped.why) == (date(2025, 3, 5), "the coupon was abused")
    assert stopped.held == pytest.approx(3 / 7)
    after = [promise(coupon("next", customers(0, 200), days=Period(date(2025, 3, 6), date(2025, 3, 9))))]
    launched(ledger, "summer", after)
    trial = ledger.experiment(trial.id)
    assert trial.due == date(2025, 3, 23)  # as registered: who stops when it looks proven would let chance decide
    assert trial.state(ledger.today) == trial.state(date(2025, 3, 23)) == State.ECHOING
    assert trial.state(date(2025, 3, 24)) == State.DUE
    clock.on(date(2025, 3, 20))
    assert ledger.read(reading(trial, last=date(2025, 3, 19)), "Ann").early
    with pytest.raises(ConflictError, match="stopped already"):
        ledger.stop(trial.launches[0].id, "Ann", "again")


def test_a_group_lets_go_of_all_its_units_or_of_none(ledger: Ledger, clock: Clock) -> None:
    """Else a later plan would act on treated ones only, and what it does would be read as what this one did."""
    [group] = launched(ledger, promises=prices(4)).experiments
    held = [each for each in group.launches if each.arm == "holdout"]
    assert held
    clock.on(date(2025, 3, 5))
    days = Period(date(2025, 3, 6), date(2025, 3, 9))
    again = [
        Promise(replace(each.choice, action=replace(each.choice.action, days=days)), 0.0) for each in prices(4)
    ]  # fmt: skip
    first, *others = group.treated
    ledger.stop(first.id, "Ann", "it sold out")
    with pytest.raises(ConflictError, match="beside another"):
        launched(ledger, "summer", again)
    for each in others:
        ledger.stop(each.id, "Ann", "the season is over")
    assert launched(ledger, "summer", again).experiments


def test_of_a_group_that_proves_nothing_each_lets_go_alone(ledger: Ledger, clock: Clock) -> None:
    bare = [Promise(each.choice, 0.0) for each in prices(4)]
    [group] = launched(ledger, promises=bare).experiments
    clock.on(date(2025, 3, 5))
    ledger.stop(group.treated[0].id, "Ann", "it sold out")
    days = Period(date(2025, 3, 6), date(2025, 3, 9))
    [one] = [each for each in bare if each.choice.action.key == group.treated[0].action]
    moved = replace(one.choice, action=replace(one.choice.action, days=days))
    assert launched(ledger, "summer", [Promise(moved, 0.0)]).experiments


def test_what_cannot_be_stopped(ledger: Ledger, clock: Clock) -> None:
    [group] = launched(ledger, promises=prices(4)).experiments
    out = next(each for each in group.launches if each.arm == "holdout")
    with pytest.raises(ConflictError, match="never launched"):
        ledger.stop(out.id, "Ann", "why not")
    clock.on(date(2025, 3, 10))
    with pytest.raises(ConflictError, match="is over"):
        ledger.stop(group.treated[0].id, "Ann", "too late")
    with pytest.raises(BadInputError, match="reason"):
        ledger.stop(group.treated[0].id, "Ann", " ")
    with pytest.raises(NotFoundError, match="no such launch"):
        ledger.stop("0" * 16, "Ann", "who")


def test_what_was_stopped_before_it_began_is_never_due(ledger: Ledger, clock: Clock) -> None:
    [trial] = launched(ledger).experiments
    assert ledger.stop(trial.launches[0].id, "Ann", "wrong face value").held == 0
    clock.on(date(2025, 6, 1))
    assert not ledger.status().at(State.DUE)
    assert ledger.status().at(State.STOPPED)
    assert ledger.track().left_out == {}


def test_the_status_follows_the_days(ledger: Ledger, clock: Clock) -> None:
    [trial] = launched(ledger).experiments
    for day, state in [
        (date(2025, 3, 2), State.WAITING), (date(2025, 3, 3), State.RUNNING), (date(2025, 3, 9), State.RUNNING),
        (date(2025, 3, 10), State.ECHOING), (date(2025, 3, 23), State.ECHOING), (date(2025, 3, 24), State.DUE),
    ]:  # fmt: skip
        clock.on(day)
        [found] = ledger.status("spring").experiments
        assert found.state(ledger.today) == state
    ledger.read(reading(trial), "Ann")
    assert [each.id for each in ledger.status().at(State.READ)] == [trial.id]
    assert ledger.status("autumn").experiments == ()


def test_what_plans_did_is_told_without_what_was_held_out_or_never_held(ledger: Ledger, clock: Clock) -> None:
    launches = [each for of in launched(ledger, promises=prices(8)).experiments for each in of.launches]
    treated = [each for each in launches if each.arm != "holdout"]
    assert 0 < len(treated) < len(launches)
    assert {each.subject.id for each in ledger.deeds()} == {each.subject.id for each in treated}
    assert {(each.lever, each.days) for each in ledger.deeds()} == {(Lever.PRICE, WEEK)}
    clock.on(date(2025, 3, 5))
    ledger.stop_all([each.id for each in treated], "Ann", "sold out")
    assert {each.days for each in ledger.deeds()} == {Period(WEEK.first, date(2025, 3, 5))}
    later = Period(date(2025, 3, 10), date(2025, 3, 16))
    [gone] = launched(ledger, "summer", [promise(price("gone", "p99", days=later), 0.0)]).experiments
    ledger.stop(gone.launches[0].id, "Ann", "a mistake")
    assert "p99" not in {each.subject.id for each in ledger.deeds()}


def test_days_are_those_of_the_ledgers_timezone(place: Place, clock: Clock) -> None:
    clock.now = START.replace(day=2, hour=23)  # the 3rd already in Shanghai
    ledger = place.open(clock, timezone="Asia/Shanghai")
    with pytest.raises(BadInputError, match="begins too early"):
        launched(ledger)
    ledger.close()
    ledger = place.open(clock, timezone="America/Sao_Paulo")
    launched(ledger)
    ledger.close()


def test_what_begins_too_early_is_refused_unless_said(ledger: Ledger, clock: Clock) -> None:
    clock.on(date(2025, 3, 4))
    with pytest.raises(BadInputError, match="begins too early"):
        launched(ledger)
    [trial] = launched(ledger, late=True).experiments
    assert trial.launches[0].late
    clock.on(date(2025, 3, 10))
    with pytest.raises(BadInputError, match="is over already"):
        launched(ledger, "again", late=True)


def test_readings_are_added_never_changed(ledger: Ledger, clock: Clock) -> None:
    [trial] = launched(ledger).experiments
    clock.on(date(2025, 3, 6))
    early = ledger.read(reading(trial, last=date(2025, 3, 5)), "Ann")
    assert early.early
    assert ledger.experiment(trial.id).final is None
    clock.on(date(2025, 3, 24))
    late = replace(reading(trial), days=Period(trial.due, trial.due), units={"treated": 1, "holdout": 1})
    assert ledger.read(late, "Ann").early
    assert ledger.experiment(trial.id).state(ledger.today) == State.DUE
    clock.on(date(2025, 3, 24))
    first = ledger.read(reading(trial), "Ann")
    assert (first.early, first.place) == (False, 3)
    with pytest.raises(ConflictError, match="read already"):
        ledger.read(reading(trial, 5.0), "Ann")
    second = ledger.read(reading(trial, 5.0, note="two refunds came late", replaces=3), "Ann")
    found = ledger.experiment(trial.id)
    assert found.final == second
    assert [kept.replaced for kept in found.readings] == [False, False, True, False]
    with pytest.raises(ConflictError, match="does not stand"):
        ledger.read(reading(trial, 6.0, replaces=3), "Ann")
    with pytest.raises(BadInputError, match="same days"):
        ledger.read(reading(trial, 6.0, replaces=1), "Ann")
    assert ledger.verify().sound


WRONG_READINGS: list[tuple[dict[str, object], str]] = [
    ({"days": Period(date(2025, 3, 2), date(2025, 3, 9))}, "nothing was to be seen"),
    ({"days": Period(date(2025, 3, 3), date(2025, 3, 24))}, "nothing was to be seen"),
    ({"units": {"treated": 300, "holdout": 1}}, "not registered"),
    ({"units": {"red": 1}}, "not registered"),
    ({"units": {"treated": 1, "holdout": 1}}, "some of the units only"),
    ({"units": {"holdout": 30}, "evidence": Evidence.OBSERVATIONAL}, "some of the units only"),
    ({"units": {"treated": 100}}, "One arm has no units"),
    ({"evidence": Evidence.MEASURED}, "never simply counted"),
    ({"experiment": "f" * 16}, "no such experiment"),
]


def test_a_reading_must_be_of_its_experiment(ledger: Ledger, clock: Clock) -> None:
    [trial] = launched(ledger).experiments
    clock.on(date(2025, 3, 24))
    for change, words in WRONG_READINGS:
        with pytest.raises((BadInputError, NotFoundError), match=words):
            ledger.read(replace(reading(trial), **change), "Ann")
    assert not ledger.experiment(trial.id).readings


def test_a_reading_does_not_reach_beyond_what_was_registered(ledger: Ledger, clock: Clock) -> None:
    [trial] = launched(ledger).experiments
    clock.on(date(2025, 6, 1))
    with pytest.raises(BadInputError, match="registered not to count"):
        ledger.read(reading(trial, last=date(2025, 3, 24)), "Ann")


def test_without_a_holdout_nothing_is_randomised(ledger: Ledger, clock: Clock) -> None:
    [trial] = launched(ledger, promises=[promise(price("one", "p1"), 0.0)]).experiments
    assert not trial.proves
    clock.on(date(2025, 3, 24))
    with pytest.raises(BadInputError, match="cannot claim to be randomised"):
        ledger.read(reading(trial), "Ann")
    ledger.read(reading(trial, evidence=Evidence.QUASI_EXPERIMENTAL), "Ann")
    assert ledger.track().left_out == {trial.id: "its reading is quasi-experimental only"}


IMPOSSIBLE: list[tuple[list[Promise], str]] = [
    ([], "no actions"),
    ([promise(price("a", "p1")), promise(price("a", "p2"))], "in the plan twice"),
    ([promise(price("a", "p1"))], "alone of its kind"),
    ([promise(price("a", "p1"), 0.1), promise(price("b", "p2"), 0.2)], "different shares"),
    ([promise(coupon("a", ["c1", "c2", "c1"]))], "twice.*1 of 3, such as c1"),
    ([promise(coupon("a", []))], "reaches nobody"),
    ([promise(coupon("a", ["c1"]))], "one arm empty.*larger share, or none"),
    ([promise(coupon("a", ["c1"]), 0.999)], "one arm empty.*a smaller share"),
    ([promise(coupon("a", ["c1", ""]))], "not a name"),
    ([promise(coupon("a", ["c1", "c\x002"]))], "not a name"),
    ([promise(coupon("a", [1, 2]))], "not a name"),
    ([promise(price("", "p1"), 0.0)], "not a name"),
    ([promise(replace(price("a", "p1"), expires=date(2025, 2, 28)), 0.0)], "expired"),
    ([promise(replace(price("a", "p1"), menu=(Setting({"off": 0.1}, {}),)), 0.0)], "promises nothing"),
    ([promise(price("a", "p1", gain=Estimate(float("nan"), 0.0, 1.0)), 0.0)], "outside its own interval"),
    ([promise(price("a", "p1", gain=Estimate(float("inf"), 0.0, float("inf"))), 0.0)], "not a finite number"),
    ([Promise(Choice(price("a", "p1"), 0), 0.0, raw=Setting({"off": 0.1}, {}))], "promises nothing"),
]


def test_what_cannot_be_promised_is_refused(file: Place, clock: Clock) -> None:
    ledger = file.open(clock)
    before = ledger.head()
    for promises, words in IMPOSSIBLE:
        with pytest.raises(BadInputError, match=words):
            ledger.launch("spring", promises, APPROVAL, "Ann")
    assert ledger.head() == before
    ledger.close()


def test_whoever_launches_and_approves_is_named(ledger: Ledger) -> None:
    with pytest.raises(BadInputError, match="Who launches"):
        ledger.launch("spring", TRIAL, APPROVAL, "")
    with pytest.raises(BadInputError, match="Who approved"):
        Approval("", START)
    with pytest.raises(BadInputError, match="no timezone"):
        Approval("Bea", START.replace(tzinfo=None))
    with pytest.raises(BadInputError, match="in the future"):
        ledger.launch("spring", TRIAL, Approval("Bea", START + timedelta(hours=1)), "Ann")


def test_time_in_the_ledger_never_runs_backwards(ledger: Ledger, clock: Clock) -> None:
    launched(ledger)
    clock.now = START - timedelta(minutes=4)
    [second] = ledger.launch("summer", prices(2), Approval("Bea", clock.now), "Ann").experiments
    assert second.launches[0].at == "2025-03-01T12:00:00.000000Z"
    clock.now = START - timedelta(minutes=6)
    with pytest.raises(BadInputError, match="clock of this machine is behind"):
        launched(ledger, "autumn", prices(2, first=2))


def test_the_database_itself_refuses_to_change_what_stands(ledger: Ledger, clock: Clock, place: Place) -> None:
    [trial] = launched(ledger).experiments
    clock.on(date(2025, 3, 4))
    ledger.read(reading(trial, last=date(2025, 3, 3)), "Ann")
    ledger.stop(trial.launches[0].id, "Ann", "enough")
    for table in METADATA.tables.values():
        column = table.columns.keys()[-1]
        statements = [f"DELETE FROM {table}", f"UPDATE {table} SET {column} = {column}"]
        if place.kind == "postgresql":
            statements.append(f"TRUNCATE {table} CASCADE")
        for statement in statements:
            with pytest.raises(sa.exc.DBAPIError, match="only ever added to"):
                place.run(statement)
    assert ledger.verify().sound


def test_the_database_itself_refuses_a_gap(ledger: Ledger, place: Place) -> None:
    with pytest.raises(sa.exc.DBAPIError, match="follows the last one"):
        place.run("INSERT INTO entries SELECT number + 2, at, kind, who, payload, previous, hash FROM entries")
    assert ledger.verify().sound


EDITS = [
    ("UPDATE assignments SET arm = 'holdout' WHERE unit = 'c7' OR unit = 'c8'", "not those that were registered"),
    ("UPDATE assignments SET unit = 'c900' WHERE unit = 'c7'", "not those that were registered"),
    ("UPDATE entries SET payload = REPLACE(payload, 'treated', 'holdout')", "was changed after it was written"),
]


@pytest.mark.parametrize(("edit", "words"), EDITS)
def test_arms_that_were_edited_are_not_given_out(ledger: Ledger, place: Place, edit: str, words: str) -> None:
    trial, group = launched(ledger, promises=TRIAL + prices(8)).experiments
    assert set(ledger.arms(trial.id)) == set(customers(0, 200))
    assert sorted(ledger.arms(group.id).values()) == ["holdout"] * 2 + ["treated"] * 6
    place.tamper(edit)
    with pytest.raises(CorruptLedgerError, match=words):
        ledger.arms(trial.id)
    if "entries" in edit:
        with pytest.raises(CorruptLedgerError, match=words):
            ledger.arms(group.id)


def test_a_status_asks_by_one_connection(place: Place, clock: Clock) -> None:
    """By a second one it would stand in the way of a writer that waits for the first."""
    ledger = place.open(clock, simulated=True)
    ledger.launch("spring", prices(3), APPROVAL, "Ann")
    ledger.close()
    ledger = open_ledger(place.address, environment=KEY)
    taken: list[object] = []
    sa.event.listen(ledger._database._engine, "checkout", lambda *_: taken.append(None))
    assert ledger.status().today == clock.now.date()
    assert len(taken) == 1
    ledger.close()


def test_what_runs_draws_on_the_days_that_it_still_has(file: Place, clock: Clock) -> None:
    ledger = file.open(clock)
    trial, group = launched(
        ledger, promises=[promise(coupon("lapsed", customers(0, 200)), 0.2), *prices(8)]
    ).experiments
    whole = 3.5 * (trial.units["treated"] / 200 + group.units["treated"])

    def everything(_: object) -> bool:
        return True

    assert ledger.status().drawn(WEEK, everything) == {Party.MERCHANT: pytest.approx(whole)}
    later = Period(WEEK.last - timedelta(days=2), WEEK.last + timedelta(days=20))
    assert ledger.status().drawn(later, everything) == {Party.MERCHANT: pytest.approx(whole * 3 / 7)}
    assert ledger.status().drawn(Period(WEEK.last + timedelta(days=1), later.last), everything) == {}
    clock.on(WEEK.first + timedelta(days=1))
    ledger.stop(trial.launches[0].id, "Ann", "sold out")
    left = 3.5 * group.units["treated"] * 3 / 7
    assert ledger.status().drawn(later, everything) == {Party.MERCHANT: pytest.approx(left)}
    assert ledger.status().drawn(WEEK, lambda each: each.lever == Lever.COUPON) == {
        Party.MERCHANT: pytest.approx(3.5 * trial.units["treated"] / 200 * 2 / 7)
    }
    ledger.close()
