"""A launch that was stopped halfway is finished by the next one, which takes nothing else for it."""

from __future__ import annotations

import io
import os
import shutil
import signal
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pyarrow.csv as pc
import pytest
import sqlalchemy as sa
from rich.console import Console, RenderableType

from tradewind.decisions.plan import read_plan
from tradewind.decisions.plan.interplay import lessened
from tradewind.decisions.plan.proof import Early
from tradewind.engines.store import Store, open_store
from tradewind.errors import BadInputError, ConflictError, NotFoundError
from tradewind.faces import launching, proofs
from tradewind.faces.console.ledger_pages import _parties
from tradewind.faces.launching import Launched, chosen, launch
from tradewind.faces.planning import Asked, Planned, kept, planned
from tradewind.faces.proving import looks, promised, read_due, standing
from tradewind.ledger import Approval, Ledger, Promise, Reading, State, Terms, open_ledger
from tradewind.ledger.track import Pair
from tradewind.measures.assume import Assumptions
from tradewind.money import human, several
from tradewind.period import Period
from tradewind.scope import Scope
from tradewind.study import Choice, Estimate, Evidence, Lever, Party, Subject

ASKED = Asked(("platform=100", "merchant=60"), ("price actions<=3",))


@pytest.fixture
def plan(reefs: str, market_store: Store) -> Planned:
    return planned(market_store, market_store.span, ASKED, "spring")


def eve(store: Store) -> datetime:
    return datetime.combine(store.span.last, time(12), UTC)


def opened(file: Path, store: Store) -> Ledger:
    return open_ledger(file, timezone=store.provenance.timezone, clock=lambda: eve(store))


def launched(store: Store, ledger: Ledger, plan: Any, folder: Path, **more: Any) -> Launched:
    def opening(*, create: bool) -> Ledger:
        return ledger

    return launch(
        store, opening, plan, more.pop("approved", None), folder, who="Bob", approved_by="Ann", holdout=0.3, **more
    )


def meeting(plan: Planned) -> tuple[Planned, str, dict[str, Choice]]:
    """Return a plan one of whose prices takes from its coupon, that price, and the plan's choices without it."""
    coupon = next(each for each in plan.plan.choices if each.action.lever == Lever.COUPON)
    marked = next(each for each in plan.plan.choices if each.action.lever == Lever.PRICE)
    alone = {
        c.action.key: Choice(replace(c.action, menu=(replace(c.setting, attributed=0.0),)), 0)
        for c in plan.plan.choices
    }
    dear, rich = replace(marked.setting, dose={"off": 0.2}, attributed=50.0), replace(coupon.setting, attributed=40.0)
    alone[marked.action.key] = Choice(replace(marked.action, menu=(dear,)), 0)
    alone[coupon.action.key] = Choice(replace(coupon.action, menu=(rich,)), 0)
    lost = {coupon.action.key: 40.0 * 0.2 * 50.0 / 1000.0}
    choices = tuple(lessened(each, lost.get(key, 0.0)) for key, each in alone.items())
    met = replace(plan.plan, choices=choices, raw={}, interplay=lost, sales={"": 1000.0})
    return replace(plan, plan=met), marked.action.key, alone


def test_what_is_launched_promises_what_it_brings_beside_what_is_launched(
    plan: Planned, market_store: Store, tmp_path: Path
) -> None:
    met, marked, alone = meeting(plan)
    assert met.plan.choices != tuple(alone.values())
    whole, part = chosen(met), chosen(met, without=[marked])
    assert whole.choices == met.plan.choices
    for choice in part.choices:
        assert choice.setting.joint is not None
        assert choice.setting.joint.mid == pytest.approx(alone[choice.action.key].setting.joint.mid, abs=1e-9)
    coupon = next(key for key in met.plan.interplay)
    ledger = opened(tmp_path / "l.db", market_store)
    launched(market_store, ledger, met, tmp_path, approved=[marked])
    launched(market_store, ledger, met, tmp_path, approved=[coupon])  # later, beside what runs
    promises = {each.action: each.setting.joint.mid for each in ledger.status().launches if each.setting.joint}
    gone = {each.action for each in ledger.status().launches if each.arm == "holdout"}
    lost = 0.0 if marked in gone else met.plan.interplay[coupon]
    assert promises[coupon] == pytest.approx(alone[coupon].setting.joint.mid - lost, abs=1e-9)
    ledger.close()


def test_a_plan_says_what_runs_already_draws_of_its_budgets(plan: Planned, market_store: Store, tmp_path: Path) -> None:
    ledger = opened(tmp_path / "l.db", market_store)
    before = planned(market_store, market_store.span, ASKED, "next", ledger).answer.caveats
    launched(market_store, ledger, plan, tmp_path)
    same = planned(market_store, market_store.span, ASKED, "next", ledger).answer.caveats
    assert set(same) == set(before)  # what was launched of a plan is the plan's own
    older = replace(plan.plan.choices[0].action, key="older", subject=Subject("product", "older", "s1"))
    (tmp_path / "older").mkdir()
    other = replace(chosen(plan), name="older", choices=(Choice(older, plan.plan.choices[0].place),), raw={})
    launch(
        market_store, lambda *, create: ledger, other, None, tmp_path / "older", who="Bob", approved_by="Ann",
        holdout=0.0,
    )  # fmt: skip
    [payer, cost] = next(iter(other.choices[0].setting.cost.items()))
    [said] = set(planned(market_store, market_store.span, ASKED, "next", ledger).answer.caveats) - set(before)
    assert f"launched before draw about {human(cost, 'money', plan.answer.provenance.currency)} of the {payer}" in said
    ledger.close()


def test_an_old_folder_is_launched_in_part_as_it_stands_and_says_so(
    plan: Planned, market_store: Store, tmp_path: Path
) -> None:
    met, marked, _ = meeting(plan)
    old = replace(chosen(met), sales=None)
    assert chosen(old, without=[marked]).choices == tuple(c for c in old.choices if c.action.key != marked)
    ledger = opened(tmp_path / "l.db", market_store)
    found = launched(market_store, ledger, old, tmp_path, without=[marked])
    assert "also those that are not launched" in found.caveats[0]
    ledger.close()


def test_what_was_approved_is_launched_and_no_more(plan: Planned, market_store: Store, tmp_path: Path) -> None:
    ledger = opened(tmp_path / "l.db", market_store)
    prices = [c.action.key for c in plan.plan.choices if c.action.lever == "price"]
    found = launched(market_store, ledger, plan, tmp_path, approved=prices)
    assert sorted(each.action for each in ledger.status("spring").launches) == sorted(prices)
    assert [held.choice.action.key for held in found.held] == prices
    assert found.files == (tmp_path / "ledger.json", tmp_path / "deeds.csv", tmp_path / "arms.csv")
    assert ledger.verify([ledger.head()]).sound
    assert launching.head_of(tmp_path) == str(found.receipt.head)
    ledger.close()


def test_what_cannot_be_read_is_told_one_by_one(plan: Planned, market_store: Store, tmp_path: Path) -> None:
    """Experiments of two plans have one name, and neither hides the other."""
    ledger, again = opened(tmp_path / "l.db", market_store), replace(plan, plan=replace(plan.plan, name="autumn"))
    for each in (plan, again):
        folder = tmp_path / each.plan.name
        folder.mkdir()
        launched(market_store, ledger, each, folder, terms=Terms(exclusive=False))
    ledger.close()
    late = eve(market_store) + timedelta(days=300)
    ledger = open_ledger(tmp_path / "l.db", clock=lambda: late)
    due = ledger.status().at(State.DUE)
    read = read_due(market_store, ledger, "Bob")  # its orders end before anything began
    assert not read.found
    assert set(read.unread) == {each.id for each in due}
    assert len({each.name for each in due}) < len(due)
    ledger.close()


def test_an_edited_experiment_does_not_hold_up_the_others(plan: Planned, market_store: Store, tmp_path: Path) -> None:
    ledger = opened(tmp_path / "l.db", market_store)
    launched(market_store, ledger, plan, tmp_path)
    (tmp_path / "autumn").mkdir()
    again = replace(plan, plan=replace(plan.plan, name="autumn"))
    launched(market_store, ledger, again, tmp_path / "autumn", terms=Terms(exclusive=False))
    ledger.close()
    file = sqlite3.connect(tmp_path / "l.db")
    with file:
        for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            file.execute(f"DROP TRIGGER {name}")
        first = "(SELECT min(experiment) FROM assignments)"
        file.execute(f"UPDATE assignments SET arm = 'holdout' WHERE experiment = {first}")
    file.close()
    late = eve(market_store) + timedelta(days=300)
    ledger = open_ledger(tmp_path / "l.db", clock=lambda: late)
    due = ledger.status().at(State.DUE)
    read = read_due(market_store, ledger, "Bob")
    edited = [id_ for id_, why in read.unread.items() if "not those that were registered" in why]
    assert (len(edited), len(due)) == (1, len(read.unread) + len(read.found))
    assert len(due) > 1
    ledger.close()


def test_a_promise_is_read_under_its_own_assumptions(plan: Planned, market_store: Store, tmp_path: Path) -> None:
    ledger = opened(tmp_path / "l.db", market_store)
    launched(market_store, ledger, plan, tmp_path)
    supposed = market_store.provenance.assumptions
    assert {each.assumptions for each in ledger.status().launches} == {supposed}
    ledger.close()
    late = eve(market_store) + timedelta(days=300)
    ledger = open_ledger(tmp_path / "l.db", clock=lambda: late)
    for store, other in ((market_store, False), (market_store.assuming(Assumptions(margin=0.55)), True)):
        unread = read_due(store, ledger, "Bob").unread.values()
        assert unread
        assert all(("other assumptions" in why) == other for why in unread)
    ledger.close()


def test_a_promise_is_read_after_the_costs_that_it_supposed_have_come(
    plan: Planned, market_store: Store, tmp_path: Path
) -> None:
    """Who was told to import costs, or to assume them until then, is not left with what can never be read."""
    store = market_store.assuming(Assumptions(margin=0.4))
    ledger = opened(tmp_path / "l.db", market_store)
    launched(store, ledger, planned(store, store.span, ASKED, "spring"), tmp_path)
    ledger.close()
    ledger = open_ledger(tmp_path / "l.db", clock=lambda: eve(market_store) + timedelta(days=300))
    shutil.copytree(market_store.folder, tmp_path / "store")
    costed = open_store(str(tmp_path / "store"))
    lines = costed.table("order_lines")
    costed = costed.write({"order_lines": lines.mutate(unit_cost=lines.unit_cost.fill_null(1))})
    assert costed.assuming(Assumptions(margin=0.4)).provenance.assumptions == ()
    for margin, refused in ((0.4, False), (0.2, True), (None, True)):
        unread = read_due(costed.assuming(Assumptions(margin=margin)), ledger, "Bob").unread.values()
        assert unread
        assert all(("other assumptions" in why) == refused for why in unread)
    ledger.close()


def test_a_promise_is_read_from_the_store_that_it_was_made_from(
    plan: Planned, market_store: Store, tmp_path: Path
) -> None:
    ledger = opened(tmp_path / "l.db", market_store)
    launched(market_store, ledger, plan, tmp_path)
    ledger.close()
    late = eve(market_store) + timedelta(days=300)
    ledger = open_ledger(tmp_path / "l.db", clock=lambda: late)
    manifest = market_store.manifest
    for what, other in (("source", "another marketplace"), ("currency", "XXX"), ("notice", "Seed 2.")):
        origin = replace(manifest.provenance, **{what: other})
        elsewhere = Store(market_store.folder, market_store.engine, replace(manifest, provenance=origin))
        unread = read_due(elsewhere, ledger, "Bob").unread.values()
        assert unread
        assert all(f"its {what} differs" in why for why in unread)
    grown = Store(market_store.folder, market_store.engine, replace(manifest, name="000099"))
    assert not any("differs" in why for why in read_due(grown, ledger, "Bob").unread.values())
    ledger.close()


def test_a_launch_that_does_not_say_its_notice_is_read_as_before(
    plan: Planned, market_store: Store, tmp_path: Path
) -> None:
    ledger = opened(tmp_path / "l.db", market_store)
    origin, wanted = market_store.provenance, chosen(plan)
    held = launching.weighed(market_store, wanted, 0.3, Terms())
    terms = Terms(assumptions=origin.assumptions, source=origin.source, currency=origin.currency)
    promises = [Promise(each.choice, each.share) for each in held]
    ledger.launch("old", promises, Approval("Ann", eve(market_store)), "Bob", terms)
    ledger.close()
    late = eve(market_store) + timedelta(days=300)
    ledger = open_ledger(tmp_path / "l.db", clock=lambda: late)
    unread = read_due(market_store, ledger, "Bob").unread.values()
    assert unread
    assert not any("other data" in why for why in unread)
    ledger.close()


def test_what_was_stopped_early_promised_as_much_wherever_it_is_shown(
    plan: Planned, market_store: Store, tmp_path: Path
) -> None:
    file = tmp_path / "l.db"
    ledger = opened(file, market_store)
    launched(market_store, ledger, plan, tmp_path)
    trial = next(each for each in ledger.status().experiments if each.unit == "customer" and each.proves)
    [setting] = [each.setting for each in trial.treated]
    whole = promised(trial)
    ledger.close()
    ledger = open_ledger(file, clock=lambda: eve(market_store) + timedelta(days=2))
    ledger.stop(trial.launches[0].id, "Bob", "too dear")
    ledger.close()
    ledger = open_ledger(file, clock=lambda: eve(market_store) + timedelta(days=300))
    trial = ledger.experiment(trial.id)
    held = trial.treated[0].held
    assert 0 < held == 2 / trial.days.days < 1
    found = promised(trial)
    assert found is not None
    assert whole is not None
    assert found.mid == pytest.approx(held * whole.mid)
    assert found.low == pytest.approx(held * whole.low)
    effect = Estimate(1.0, 0.0, 2.0)
    days = Period(trial.days.first, trial.due)
    ledger.read(Reading(trial.id, days, {}, effect, trial.units, "means", Evidence.RANDOMISED), "Bob")
    [pair] = ledger.track().pairs
    assert pair.promised.mid == pytest.approx(found.mid)
    [row] = [row for row in standing(ledger).rows if row["href"].endswith(trial.id)]
    assert row["promised"] == found
    for row in _parties(ledger.experiment(trial.id)).rows:
        gain = setting.gain[Party(row["party"])]
        assert row["promised"] == pytest.approx(held * trial.done * gain.mid)
    ledger.close()


def test_what_is_under_way_is_looked_at_and_nothing_of_it_kept(
    plan: Planned, market_store: Store, tmp_path: Path
) -> None:
    file, back = tmp_path / "l.db", timedelta(days=10)
    store = market_store.assuming(Assumptions(margin=0.4))  # some products have no cost
    terms = Terms(echo=7, assumptions=store.provenance.assumptions)
    earlier = [
        replace(choice, action=replace(action, days=Period(action.days.first - back, action.days.last - back)))
        for choice in plan.plan.choices
        for action in [choice.action]
    ]
    begun = open_ledger(file, timezone=market_store.provenance.timezone, clock=lambda: eve(market_store) - back)
    promises = [Promise(choice, 0.4) for choice in earlier]
    begun.launch("p", promises, Approval("Ann", eve(market_store) - back), "Bob", terms)
    assert looks(store, begun) == (), "nothing has begun yet"
    begun.close()
    ledger = open_ledger(file, clock=lambda: eve(market_store))
    head, seen = ledger.head(), looks(store, ledger)
    assert ledger.head() == head
    by_unit = {each.unit: (each, look) for each, look in seen}
    trial, early = by_unit["customer"]
    assert isinstance(early, Early)
    assert early.days == Period(trial.days.first, market_store.span.last)
    assert early.of == Period(trial.days.first, trial.due)
    products, why = by_unit["action"]
    assert isinstance(why, str), "of so few products nothing can be told"
    supposing_less = looks(market_store.assuming(Assumptions(margin=0.2)), ledger)
    assert all("other assumptions" in str(said) for _, said in supposing_less), "of what was promised under others"
    assert len(supposing_less) == len(seen)
    read = read_due(market_store, ledger, "Bob")
    assert not read.found

    def told(joint: Estimate) -> str:
        shown = (trial, replace(early, joint=joint)), (products, why)
        out = Console(file=io.StringIO(), width=160)
        out.print(proofs.readings(read, shown, "EUR", ledger.today, head))
        return " ".join(out.file.getvalue().split())  # type: ignore[attr-defined]

    assert "Under way: 2 experiments" in told(early.joint)
    assert f"{early.days.days} of {early.of.days}" in told(early.joint)
    assert "hold however often you look" in told(early.joint)
    harm, gain = told(Estimate(-5.0, -8.0, -1.0)), told(Estimate(5.0, 1.0, 8.0))
    assert f"tradewind ledger stop {trial.id}" in harm
    assert "ledger stop" not in gain
    ledger.close()


def test_what_was_read_too_soon_is_read_again_and_both_are_kept(
    plan: Planned, market_store: Store, tmp_path: Path
) -> None:
    """Days that were missing count as days without sales, the reading says so, and is corrected once they are there."""
    shutil.copytree(market_store.folder, tmp_path / "store")
    store = open_store(str(tmp_path / "store")).assuming(Assumptions(margin=0.4))
    back = timedelta(days=30)
    [action] = [choice.action for choice in plan.plan.choices if choice.action.assignment]
    days = Period(action.days.first - back, action.days.last - back)
    lines = store.table("order_lines").mutate(quantity=20)
    whole = store.write({"order_lines": lines})
    holed = store.write({"order_lines": lines.filter(~lines.day.between(days.first, days.first + timedelta(days=2)))})
    ledger = open_ledger(tmp_path / "l.db", clock=lambda: eve(store) - back)
    promise = Promise(Choice(replace(action, days=days), 0), 0.4)
    terms = Terms(echo=7, assumptions=store.provenance.assumptions)
    [trial] = ledger.launch("p", [promise], Approval("Ann", eve(store) - back), "Bob", terms).experiments
    ledger.close()
    ledger = open_ledger(tmp_path / "l.db", clock=lambda: eve(store))
    with pytest.raises(BadInputError, match="not read yet"):
        read_due(holed, ledger, "Bob", [trial.id])
    first = read_due(holed, ledger, "Bob")
    said = " ".join(printed(proofs.readings(first, (), "BRL", ledger.today, ledger.head())).split())
    assert "Nothing at all was sold on 3 of the days looked at" in said
    assert read_due(whole, ledger, "Bob").found == (), "it was read"
    assert "as it did before" in read_due(holed, ledger, "Bob", [trial.id]).unread[trial.id]
    [(_, second)] = read_due(whole, ledger, "Bob", [trial.id]).found
    assert (second.place, second.reading.replaces) == (2, 1)
    assert "Nothing at all" not in second.reading.note
    now = ledger.experiment(trial.id)
    assert now.final == second
    assert now.readings[0].replaced
    assert now.readings[0].reading == first.found[0][1].reading
    assert (first.found[0][1].reading.missing, second.reading.missing) == (3, 0)
    assert "missing from the store now" in read_due(holed, ledger, "Bob", [trial.id]).unread[trial.id]
    assert ledger.experiment(trial.id).final == second
    assert "as it did before" in read_due(whole, ledger, "Bob", [trial.id]).unread[trial.id]
    with pytest.raises(NotFoundError):
        read_due(whole, ledger, "Bob", ["nosuch"])
    ledger.close()


def test_money_of_two_currencies_is_never_summed(plan: Planned, market_store: Store, tmp_path: Path) -> None:
    ledger, wanted = opened(tmp_path / "l.db", market_store), chosen(plan)
    held = launching.weighed(market_store, wanted, 0.3, Terms())
    promises = [Promise(each.choice, each.share) for each in held]
    for source, currency in (("brazil", "BRL"), ("japan", "JPY")):
        terms = Terms(source=source, currency=currency)
        ledger.launch(source, promises, Approval("Ann", eve(market_store)), "Bob", terms)
    ledger.close()
    ledger = open_ledger(tmp_path / "l.db", clock=lambda: eve(market_store) + timedelta(days=300))
    for each in ledger.status().at(State.DUE):
        mid = 400.0 if each.currency == "BRL" else 60_000.0
        days, effect = Period(each.days.first, each.due), Estimate(mid, mid - 10, mid + 10)
        ledger.read(Reading(each.id, days, {}, effect, each.units, "means", Evidence.RANDOMISED), "Bob")
    experiments, record = ledger.status().experiments, ledger.track()
    said = printed(proofs.calibrated(record, experiments))
    for currency, mid in (("BRL", 400.0), ("JPY", 60_000.0)):
        count = sum(each.currency == currency for each in experiments if each.final)
        whole = Estimate.added([Estimate(mid, mid - 10, mid + 10)] * count, shared=0.0)
        told = f"promised by {several(count, 'experiment')}, {human(whole, 'money', currency)} was read; the interval"
        assert told in said
        assert "neither from nothing" not in said, "what was read is sure"
    assert "launches" not in said
    status = printed(proofs.status(ledger.status()))
    assert "¥" in status
    for each in experiments:
        assert human(promised(each), "money", each.currency, signed=True) in status, "a promise has its interval"
    assert "Of products only what their own sales bring" in status
    ledger.close()


def test_readings_that_tell_nothing_are_not_told_as_losses() -> None:
    pairs = [Pair(f"e{n}", Lever.PRICE, Estimate(500, 200, 900), Estimate(-4_000, -12_000, 4_000)) for n in range(3)]
    said = proofs._came_true(pairs, "EUR")
    assert "Of €1,500 promised by 3 experiments, −€12.0k (−€25.9k to €1,856) was read" in said
    assert "the intervals of 3 readings meet what was promised" in said
    assert "neither from nothing nor from what was promised" in said
    assert "the interval of 1 reading meets what was promised" in proofs._came_true(pairs[:1], "EUR")


def printed(what: RenderableType) -> str:
    console = Console(width=300, file=io.StringIO(), record=True)
    console.print(what)
    return console.export_text()


def test_a_plan_as_solved_and_as_kept_are_launched_alike(plan: Planned, market_store: Store, tmp_path: Path) -> None:
    kept(plan, tmp_path / "spring")
    assert chosen(read_plan(tmp_path / "spring")) == chosen(plan)


def test_what_is_not_in_the_plan_or_nothing_is_refused(plan: Planned, market_store: Store, tmp_path: Path) -> None:
    ledger = opened(tmp_path / "l.db", market_store)
    with pytest.raises(NotFoundError, match="no such action"):
        launched(market_store, ledger, plan, tmp_path, approved=["price-99"])
    with pytest.raises(BadInputError, match="no actions to launch"):
        launched(market_store, ledger, plan, tmp_path, approved=[])
    with pytest.raises(BadInputError, match="cannot write there"):
        launched(market_store, ledger, plan, tmp_path / "nowhere")
    assert not ledger.status().launches
    ledger.close()


def test_a_second_launch_is_refused_unless_it_is_the_same_again(
    plan: Planned, market_store: Store, tmp_path: Path
) -> None:
    ledger = opened(tmp_path / "l.db", market_store)
    first = launched(market_store, ledger, plan, tmp_path, again=True)
    arms, head = (tmp_path / "arms.csv").read_bytes(), ledger.head()
    for file in first.files:
        file.unlink()
    with pytest.raises(ConflictError, match="launched already"):
        launched(market_store, ledger, plan, tmp_path)
    again = launched(market_store, ledger, plan, tmp_path, again=True)
    assert again.receipt == first.receipt
    assert (again.files, again.held) == (first.files, ())
    assert (tmp_path / "arms.csv").read_bytes() == arms
    assert ledger.head() == head
    one = plan.plan.choices[0].action.key
    with pytest.raises(ConflictError, match="Another plan of this name"):
        launched(market_store, ledger, plan, tmp_path, approved=[one], again=True)
    kept_ = chosen(plan)
    largest = kept_.choices[0]
    other = replace(largest, place=1 - largest.place)
    with pytest.raises(ConflictError, match="Another plan of this name"):
        launched(market_store, ledger, replace(kept_, choices=(other, *kept_.choices[1:])), tmp_path, again=True)
    assert ledger.head() == head
    ledger.close()


def test_plans_of_one_name_keep_their_files_apart(plan: Planned, market_store: Store, tmp_path: Path) -> None:
    """Neither a plan of the month before nor a merchant's stands in the files of another one of its name."""
    ledger, whole = opened(tmp_path / "l.db", market_store), chosen(plan)
    goods = [choice for choice in whole.choices if choice.action.lever == Lever.PRICE]
    rest = tuple(choice for choice in whole.choices if choice.action.lever != Lever.PRICE)
    parts, arms = [replace(whole, choices=tuple(goods)), replace(whole, choices=rest)], []
    for n, each in enumerate(parts):
        (tmp_path / str(n)).mkdir()
        launched(market_store, ledger, each, tmp_path / str(n))
        arms.append((tmp_path / str(n) / "arms.csv").read_bytes())
    merchant = ledger.seen_by(Scope.of(["s9"]))
    theirs = replace(goods[0].action, subject=Subject("product", "theirs", "s9"))
    merchant.launch("spring", [Promise(Choice(theirs, 0), 0.0)], Approval("Mo", eve(market_store)), "Mo")
    for n, each in enumerate(parts):
        again = launched(market_store, ledger, each, tmp_path / str(n), again=True)
        deeds = pc.read_csv(again.files[1]).to_pylist()
        assert sorted(row["action"] for row in deeds) == sorted(choice.action.key for choice in each.choices)
        assert (tmp_path / str(n) / "arms.csv").read_bytes() == arms[n]
    later = eve(market_store).date() + timedelta(days=60)
    other = replace(goods[0].action, days=Period(later, later))
    month = replace(whole, choices=(replace(goods[0], action=other), *rest))
    with pytest.raises(ConflictError, match="Another plan of this name"):
        launching.written(ledger, month, tmp_path / "1", ledger.head())
    assert (tmp_path / "1" / "arms.csv").read_bytes() == arms[1]
    ledger.close()


def test_of_several_all_are_stopped_or_none(market_store: Store, plan: Planned, tmp_path: Path) -> None:
    ledger, action = opened(tmp_path / "l.db", market_store), plan.plan.choices[0].action
    goods = [replace(action, key=f"p{n}", subject=Subject("product", f"p{n}", "s1")) for n in range(8)]
    ledger.launch(
        "spring", [Promise(Choice(each, 0), 0.25) for each in goods], Approval("Ann", eve(market_store)), "Bob"
    )
    arms = {f"spring/{each.action}": each.arm for each in ledger.status().launches}
    done, head = [name for name, arm in arms.items() if arm == "treated"], ledger.head()
    with pytest.raises(ConflictError, match="held out"):
        launching.stopped(ledger, [*done, *arms], "Ann", "harm")
    assert ledger.head() == head
    assert not any(each.stopped for each in ledger.status().launches)
    found = launching.stopped(ledger, done, "Ann", "harm")
    assert [f"spring/{each.action}" for each in found if each.stopped] == done
    assert ledger.verify([head]).sound
    ledger.close()


def test_what_is_launched_later_of_a_plan_stands_in_its_files_too(
    plan: Planned, market_store: Store, tmp_path: Path
) -> None:
    ledger, keys = opened(tmp_path / "l.db", market_store), {choice.action.key for choice in plan.plan.choices}
    launched(market_store, ledger, plan, tmp_path, approved=["coupon-all"])
    launched(market_store, ledger, plan, tmp_path, approved=keys - {"coupon-all"})
    assert {row["action"] for row in pc.read_csv(tmp_path / "deeds.csv").to_pylist()} == keys
    ledger.close()


def killing(ledger: Ledger, at: int) -> None:
    """Kill this process at its so many-th step of the ledger: before a statement, before a commit, after it."""
    done = [0]

    def step(*_: object) -> None:
        done[0] += 1
        if done[0] == at:
            os.kill(os.getpid(), signal.SIGKILL)

    for event in ("before_cursor_execute", "commit", "checkin"):
        sa.event.listen(ledger._database._engine, event, step)


def test_killed_at_every_step_a_launch_is_finished_by_the_next(
    plan: Planned, market_store: Store, tmp_path: Path
) -> None:
    begun = tmp_path / "begun.db"
    opened(begun, market_store).close()
    key, seen, at, code = Path(f"{begun}.key").read_bytes(), [], 0, -1
    while code != 0:
        at += 1
        folder, file = tmp_path / str(at), tmp_path / f"{at}.db"
        folder.mkdir()
        file.write_bytes(begun.read_bytes())
        os.close(os.open(f"{file}.key", os.O_CREAT | os.O_WRONLY, 0o600))
        Path(f"{file}.key").write_bytes(key)
        if not (process := os.fork()):
            code = 1
            try:
                ledger = opened(file, market_store)
                killing(ledger, at)
                launched(market_store, ledger, plan, folder, again=True)
                code = 0
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        assert code in {0, -signal.SIGKILL}
        ledger = opened(file, market_store)
        seen.append((bool(ledger.status("spring").launches), (folder / "arms.csv").exists()))
        found = launched(market_store, ledger, plan, folder, again=True)
        assert len(ledger.status("spring").launches) == len(plan.plan.choices)
        assert ledger.verify().sound
        assert launching.head_of(folder) == str(ledger.head()) == str(found.receipt.head)
        assert set(pc.read_csv(folder / "arms.csv")["arm"].to_pylist()) == {"treated", "holdout"}
        ledger.close()
    assert (False, False) in seen
    assert (True, False) in seen  # registered, and killed before its files were written
    assert seen[-1] == (True, True)
