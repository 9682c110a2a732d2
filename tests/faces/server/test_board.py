"""The plan on its page: its curve is of the very plan that is shown, and decisions on several actions are one."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from tradewind.accounts import ANYBODY_HERE, Caller, Job, JobState, Role
from tradewind.accounts.verdicts import fingerprint
from tradewind.errors import BadInputError, ConflictError, ForbiddenError
from tradewind.faces.api import plan as api
from tradewind.faces.proposals import keep_proposals, proposed
from tradewind.faces.server import board, desk
from tradewind.faces.server.app import make_app
from tradewind.faces.server.board import Sought
from tradewind.faces.server.gate import Asking
from tradewind.faces.server.office import Office
from tradewind.faces.server.questions import gathering
from tradewind.faces.server.reading import RECENT, period_of
from tradewind.faces.server.work import do, done
from tradewind.scope import OPERATOR, Scope
from tradewind.study import Action, Choice, Estimate, Party

SOUGHT = Sought({Party.PLATFORM: 100.0, Party.MERCHANT: 60.0}, rules=("price actions<=3",))


def asking(office: Office) -> Asking:
    return Asking(office, ANYBODY_HERE, "")


def approve(asker: Asking, keys: Sequence[str], seen: int | None = None, place: int = 0) -> None:
    """Approve a setting of each action, the first one on its menu where no other is named."""
    found = board.board(asker, SOUGHT)
    assert found.proposals is not None
    actions = asker.office.actions(found.question.key, found.proposals, found.sought.asked, asker.ledger)
    settings = {action.key: fingerprint(Choice(action, place)) for action in actions if action.key in keys}
    desk.decide(asker, keys, "approved", "", seen=seen, settings=settings)


def test_a_curve_knows_what_was_rejected(office: Office) -> None:
    before = board.board(asking(office), SOUGHT)
    assert before.found is not None
    curve = board.curve(asking(office), before, "merchant", 4)
    largest = before.found.plan.choices[0].action.key
    desk.decide(asking(office), [largest], "rejected", "Not this one")
    after = board.board(asking(office), SOUGHT)
    assert after.found is not None
    assert largest not in {choice.action.key for choice in after.found.plan.choices}
    less = board.curve(asking(office), after, "merchant", 4)
    assert max(point.gain.mid for point in less) < max(point.gain.mid for point in curve)


def test_the_points_of_a_curve_have_names(office: Office) -> None:
    told = json.loads(bytes(api.curve(asking(office), Party.MERCHANT, platform=100.0, merchant=60.0, points=3).body))
    assert [point.keys() for point in told["points"]] == [{"budget", "gain", "worth"}] * 3
    assert told["points"][0]["budget"] == 0


def test_an_action_of_the_marketplace_among_several_leaves_all_undecided(office: Office) -> None:
    asker = Asking(office, Caller("u", "mara", Role.MERCHANT, Scope.of(["shop-02", "shop-05"])), "")
    wanted = gathering(asker, period_of(RECENT, asker.store))
    keep_proposals(proposed(asker.store, period_of(RECENT, asker.store)), office.place(wanted.key))
    with pytest.raises(ForbiddenError):
        approve(asker, ["price-00", "coupon-all"])
    assert board.board(asker).verdicts == {}
    approve(asker, ["price-00"])
    assert set(board.board(asker).verdicts) == {"price-00"}


def test_an_action_has_one_verdict_whoever_sees_it(office: Office) -> None:
    all_of_them = board.board(asking(office))
    assert all_of_them.proposals is not None
    whole = office.subjects(all_of_them.question.key, all_of_them.proposals)
    key, shops = "price-00", {shop for shop in whole.values() if shop}
    shops.remove(next(shop for shop in whole.values() if shop and shop != whole[key]))  # the others' numbers move up
    mara = Asking(office, Caller("u", "mara", Role.MERCHANT, Scope.of(shops)), "")
    days = period_of(RECENT, mara.store)
    wanted = gathering(mara, days)
    keep_proposals(proposed(mara.store, days), office.place(wanted.key))
    own = office.subjects(wanted.key, proposed(mara.store, days))
    assert own[key] == whole[key]
    other = max(name for name in own if name in whole and own[name] and whole[name] != own[name])
    desk.decide(mara, [key, other], "rejected", "Not my brand's price")
    seen = board.board(asking(office))
    assert (seen.verdicts[key].who, seen.verdicts[key].reason) == ("mara", "Not my brand's price")
    assert other not in seen.verdicts, "another shop's action of the same key"
    approve(asking(office), [key, "coupon-all"])
    verdicts = board.board(mara).verdicts
    assert {name: str(each.decision) for name, each in verdicts.items()} == {key: "approved", other: "rejected"}
    approve(asking(office), [other])
    job = desk.launch(asking(office), board.board(asking(office), replace(SOUGHT, rules=())))
    assert other in job.asked["approved"]
    desk.decide(mara, [other], "open", "")  # her action of that key is not the one being launched
    with pytest.raises(ConflictError, match="is being launched"):
        desk.decide(asking(office), [other], "open", "")


def test_what_somebody_decided_meanwhile_is_not_overridden(office: Office) -> None:
    page = board.board(asking(office), SOUGHT)
    assert page.found is not None
    first, second = (choice.action.key for choice in page.found.plan.choices[:2])
    desk.decide(asking(office), [first], "rejected", "Legal forbids this price")
    with pytest.raises(ConflictError, match="decided since you looked"):
        approve(asking(office), [first, second], seen=page.latest)
    approve(asking(office), [second], seen=page.latest)
    now = board.board(asking(office), SOUGHT)
    with pytest.raises(ConflictError, match="not what the page showed"):
        desk.launch(asking(office), now, desk.stamp(page))
    job = desk.launch(asking(office), now, desk.stamp(now))
    with pytest.raises(ConflictError, match="is being launched"):
        desk.decide(asking(office), [second], "rejected", "changed my mind")
    office.jobs.cancel(job.id, ANYBODY_HERE)
    desk.decide(asking(office), [second], "rejected", "changed my mind")


def launched(office: Office, *keys: str, sought: Sought = SOUGHT) -> Job:
    """Approve and launch actions of a plan."""
    approve(asking(office), keys)
    asked = desk.launch(asking(office), board.board(asking(office), sought))
    job = office.jobs.take()
    assert job is not None
    assert job.id == asked.id
    done(office, job, lambda: True)
    return office.jobs.job(asked.id, ANYBODY_HERE)


def test_launches_follow_each_other(office: Office) -> None:
    page = board.board(asking(office), SOUGHT)
    assert page.found is not None
    first, second, third, *_ = (
        choice.action.key for choice in page.found.plan.choices if choice.action.lever == "price"
    )
    one = launched(office, first)
    assert one.error is None
    after = board.board(asking(office), SOUGHT)
    assert (set(after.standing), after.approved) == ({first}, {})
    assert {row["key"]: row["launch"] for row in board.rows(after, "USD")}[first] in ("launched", "held out")
    with pytest.raises(BadInputError, match="approved actions are launched"):
        desk.launch(asking(office), after)
    two = launched(office, first, second)  # the same budgets, and one of them launched already
    assert two.error is None
    assert two.asked["approved"] == [second]
    other = launched(office, third, sought=replace(SOUGHT, budgets={Party.PLATFORM: 90.0, Party.MERCHANT: 60.0}))
    assert other.error is None
    names = [one.asked["plan"], two.asked["plan"], other.asked["plan"]]
    assert names[1] == f"{names[0]}-2"
    assert len(set(names)) == 3
    for name in names:
        assert {"plan.html", "plan.json", "arms.csv"} <= {
            file.name for file in (office.work / "plans" / name).iterdir()
        }


def test_a_launch_that_is_refused_leaves_no_plan(office: Office) -> None:
    page = board.board(asking(office), SOUGHT)
    assert page.found is not None
    key = page.found.plan.choices[0].action.key
    approve(asking(office), [key])
    asked = desk.launch(asking(office), page_of(office))
    office.setup = replace(office.setup, today=office.store().span.last + timedelta(days=400))
    job = office.jobs.take()
    assert job is not None
    done(office, job, lambda: True)
    assert office.jobs.job(asked.id, ANYBODY_HERE).error is not None
    assert not (office.work / "plans" / asked.asked["plan"]).exists()


def test_a_launch_that_is_cancelled_before_it_is_registered_leaves_no_plan(office: Office) -> None:
    page = page_of(office)
    assert page.found is not None
    approve(asking(office), [page.found.plan.choices[0].action.key])
    asked = desk.launch(asking(office), page_of(office))
    job = office.jobs.take()
    assert job is not None
    folder = office.work / "plans" / asked.asked["plan"]

    def wanted() -> bool:
        if folder.exists() and not office.jobs.job(job.id, ANYBODY_HERE).state.over:
            office.jobs.cancel(job.id, ANYBODY_HERE)
        return True

    done(office, job, wanted)
    assert office.jobs.job(asked.id, ANYBODY_HERE).state == JobState.CANCELLED
    assert not folder.exists()


def page_of(office: Office) -> board.Board:
    return board.board(asking(office), SOUGHT)


@pytest.mark.parametrize("text", ["4.000", "1.000,50", "4,5", "-1", "nan", "lots", "2e12"])
def test_a_budget_that_reads_in_two_ways_or_none_is_refused(text: str) -> None:
    with pytest.raises(BadInputError):
        board.read({"platform": text}, {Party.PLATFORM: 1.0})
    assert board.read({"platform": "4,000.5"}, {Party.PLATFORM: 1.0}).budgets == {Party.PLATFORM: 4000.5}


def test_a_launch_says_who_approved_not_who_launches(office: Office) -> None:
    found = board.board(asking(office), SOUGHT).found
    assert found is not None
    key = found.plan.choices[0].action.key
    ann = Asking(office, Caller("a", "ann", Role.OPERATOR, OPERATOR), "")
    approve(ann, [key])
    job = desk.launch(asking(office), board.board(asking(office), SOUGHT))
    assert job.asked["approved"] == [key]
    assert (job.asked["approved_by"], job.who) == ("ann", ANYBODY_HERE.name)


def test_a_plan_of_data_that_end_days_ago_can_be_launched(office: Office) -> None:
    """A merchant's last sale may be days ago, and a store's last whole day is yesterday."""
    last = office.store().span.last
    office.setup = replace(office.setup, today=last + timedelta(days=4))
    found = board.board(asking(office), SOUGHT)
    assert found.found is not None
    key = found.found.plan.choices[0].action.key
    approve(asking(office), [key])
    asked = desk.launch(asking(office), board.board(asking(office), SOUGHT))
    job = office.jobs.take()
    assert job is not None
    assert job.id == asked.id
    done(office, job, lambda: True)
    after = office.jobs.job(asked.id, ANYBODY_HERE)
    assert after.error is None
    ledger = office.ledger()
    assert ledger is not None
    [launched] = ledger.status().launches
    assert launched.days.first == last + timedelta(days=5)
    for verdict in ("rejected", "open"):  # it goes on whatever the page says
        with pytest.raises(ConflictError, match="stop it in the ledger"):
            desk.decide(asking(office), [key], verdict, "too dear")
    desk.stop(asking(office), launched.id, "too dear")
    desk.decide(asking(office), [key], "rejected", "too dear")


def test_an_answer_is_found_only_by_who_sees_the_same(office: Office) -> None:
    asked, whole = {"wing": "performance", "period": "2024-01"}, office.store()
    scopes = (Scope.of(["shop-02"]), Scope.of(["shop-05"]), Scope.of(["shop-02", "shop-05"]), Scope.of_creators(["k1"]))
    stores = [whole, *(whole.scoped(scope) for scope in scopes)]
    assert len({office.key("study", asked, store) for store in stores}) == len(stores)
    assert office.key("study", asked, office.store()) == office.key("study", asked, whole.scoped(OPERATOR))


@pytest.mark.parametrize("given", [{"lever": "gravity"}, {"payer": "nobody"}])
def test_a_filter_of_a_kind_that_is_not_there_is_refused(office: Office, given: dict[str, str]) -> None:
    with pytest.raises(BadInputError, match="No action is of this kind"):
        list(board.rows(board.board(asking(office), SOUGHT), "USD", **given))


def test_the_api_gives_the_plan_page_by_page(office: Office) -> None:
    def keys(limit: int, offset: int) -> list[str]:
        body = api.plan(asking(office), platform=100.0, merchant=60.0, limit=limit, offset=offset).body
        told = json.loads(bytes(body))
        page = [row["key"] for row in told["actions"]]
        assert {action["key"] for action in told["study"]["actions"]} == set(page)
        return page

    assert len(keys(4, 0)) == 4
    assert keys(4, 0) == keys(2, 0) + keys(2, 2)


SHALLOW, DEEP = (Sought({Party.PLATFORM: 0.0, Party.MERCHANT: budget}) for budget in (20.0, 100.0))


def offer(asker: Asking, *menu: tuple[float, Party, float, float]) -> Action:
    """Propose one price: shares off, who pays, what it draws and what it gains."""
    office = asker.office
    wanted = gathering(asker, period_of(RECENT, asker.store))
    found = proposed(asker.store, period_of(RECENT, asker.store))
    [answer] = found.answers
    assert answer.study is not None
    action = next(each for each in answer.study.actions if each.lever == "price")
    settings = tuple(
        replace(action.menu[0], dose={"off": off}, cost={payer: draws}, joint=Estimate(gain, gain - 1, gain))
        for off, payer, draws, gain in menu
    )
    action = replace(action, menu=settings)
    study = replace(answer.study, actions=(action,))
    keep_proposals(replace(found, answers=(replace(answer, study=study),)), office.place(wanted.key))
    return action


@pytest.fixture
def deep(office: Office) -> str:
    """The key of the one action proposed: 10 % off draws 10, and 40 % off draws 60 and gains more."""
    return offer(asking(office), (0.1, Party.MERCHANT, 10.0, 40.0), (0.4, Party.MERCHANT, 60.0, 90.0)).key


def row_of(office: Office, sought: Sought) -> dict[str, Any]:
    [row] = board.rows(board.board(asking(office), sought), "USD")
    return row


def take(office: Office, key: str, sought: Sought) -> None:
    """Approve an action as the page of a plan shows it."""
    desk.decide(asking(office), [key], "approved", "", settings={key: row_of(office, sought)["setting"]})


def test_an_approval_holds_for_the_setting_that_was_shown(office: Office, deep: str) -> None:
    none = desk.stamp(board.board(asking(office), SHALLOW))
    take(office, deep, SHALLOW)
    shallow, other = (board.board(asking(office), sought) for sought in (SHALLOW, DEEP))
    assert (list(shallow.approved), list(other.approved)) == ([deep], [])
    assert (row_of(office, SHALLOW)["verdict"], row_of(office, DEEP)["verdict"]) == ("approved", "lapsed")
    assert desk.stamp(other) == none != desk.stamp(shallow)
    with pytest.raises(BadInputError, match="None of the plan's actions is approved"):
        desk.launch(asking(office), other)
    take(office, deep, DEEP)
    stamps = {desk.stamp(shallow), desk.stamp(board.board(asking(office), DEEP))}
    assert (row_of(office, SHALLOW)["verdict"], row_of(office, DEEP)["verdict"]) == ("lapsed", "approved")
    assert len(stamps) == 2
    desk.decide(asking(office), [deep], "rejected", "No price cuts")
    for sought in (SHALLOW, DEEP):
        assert list(board.rows(board.board(asking(office), sought), "USD")) == []
    with pytest.raises(BadInputError, match="approval says what is approved"):
        desk.decide(asking(office), [deep], "approved", "")
    with pytest.raises(ConflictError, match="has changed since you looked"):
        desk.decide(asking(office), [deep], "approved", "", settings={deep: "0" * 32})


def test_a_merchant_approves_no_money_of_the_platform(office: Office) -> None:
    menu = ((0.1, Party.MERCHANT, 10.0, 40.0), (0.4, Party.PLATFORM, 60.0, 90.0))
    action = offer(asking(office), *menu)
    shop = action.subject.shop
    assert shop is not None
    mara = Asking(office, Caller("u", "mara", Role.MERCHANT, Scope.of([shop])), "")
    assert offer(mara, *menu).key == action.key
    own, others = (fingerprint(Choice(action, place)) for place in (0, 1))
    with pytest.raises(ForbiddenError, match="budget of the platform"):
        desk.decide(mara, [action.key], "approved", "", settings={action.key: others})
    desk.decide(mara, [action.key], "approved", "", settings={action.key: own})
    paid = Sought({Party.PLATFORM: 100.0, Party.MERCHANT: 20.0})
    assert (row_of(office, paid)["payer"], row_of(office, paid)["verdict"]) == ("platform", "lapsed")
    desk.decide(asking(office), [action.key], "approved", "", settings={action.key: others})
    assert row_of(office, paid)["verdict"] == "approved"


def test_an_approval_holds_though_its_days_move_on_until_it_is_launched(office: Office, deep: str) -> None:
    take(office, deep, SHALLOW)
    seen = row_of(office, SHALLOW)["setting"]
    office.setup = replace(office.setup, today=office.store().span.last + timedelta(days=3))
    assert (row_of(office, SHALLOW)["setting"], row_of(office, SHALLOW)["verdict"]) == (seen, "approved")
    take(office, deep, SHALLOW)
    assert row_of(office, SHALLOW)["verdict"] == "approved"


@pytest.mark.parametrize("what", ["approved anew", "rejected", "picked anew", "no verdicts named"])
def test_a_launch_takes_nothing_but_what_is_approved_when_it_begins(office: Office, deep: str, what: str) -> None:
    take(office, deep, SHALLOW)
    asked = desk.launch(asking(office), board.board(asking(office), SHALLOW))
    job = office.jobs.take()
    assert job is not None
    if what == "approved anew":
        take(office, deep, DEEP)
    elif what == "rejected":  # by somebody who looked before the launch was asked
        key = board.decided(asking(office), gathering(asking(office), period_of(RECENT, office.store())))
        [shop] = job.asked["shops"].values()
        office.verdicts.give(key, deep, "rejected", "No price cuts", ANYBODY_HERE, shop)
    elif what == "picked anew":  # as when what was proven calibrates the gains otherwise
        job = replace(job, asked=job.asked | {"asked": job.asked["asked"] | {"budgets": ["merchant=100"]}})
    else:
        job = replace(job, asked={name: value for name, value in job.asked.items() if name != "verdicts"})
    done(office, job, lambda: True)
    error = office.jobs.job(asked.id, ANYBODY_HERE).error
    assert error is not None
    assert (error["what"], error["got"]) == ("What the plan would do is not what was approved", deep)
    ledger = office.ledger()
    assert ledger is not None
    assert ledger.status().launches == ()
    assert not (office.work / "plans" / job.asked["plan"]).exists()


def test_a_launch_that_stands_is_done_whatever_was_decided_since(office: Office, deep: str) -> None:
    """A job that was stopped after it registered the plan writes its files when it begins anew."""
    take(office, deep, SHALLOW)
    asked = desk.launch(asking(office), board.board(asking(office), SHALLOW))
    job = office.jobs.take()
    assert job is not None
    do(office, job)
    take(office, deep, DEEP)
    assert office.jobs.resume() == 1
    again = office.jobs.take()
    assert again is not None
    done(office, again, lambda: True)
    assert office.jobs.job(asked.id, ANYBODY_HERE).error is None


def test_the_page_and_the_api_approve_the_setting_that_they_show(office: Office, deep: str) -> None:
    def page(merchant: int) -> str:
        return browser.get(f"/plan?platform=0&merchant={merchant}").text

    def send(place: int) -> int:
        form = re.findall(r'<form action="/plan/verdict".*?</form>', page(20))[place]
        fields = re.findall(r'name="(form|seen|back|verdict|action|setting)" value="([^"]*)"', form)
        return browser.post("/plan/verdict", data=dict(fields)).status_code

    def told(merchant: int) -> dict[str, Any]:
        [row] = browser.get(f"/api/v1/plan?platform=0&merchant={merchant}").json()["actions"]
        return dict(row)

    with TestClient(make_app(office.setup), base_url="http://127.0.0.1", follow_redirects=False) as browser:
        for place in (0, 1):  # all that are shown, then this one
            assert send(place) == 303
            assert ">Undo</button>" in page(20)
            assert "this machine approved another setting of it" in page(100)
            assert send(0) == 303
            assert ">Undo</button>" not in page(20)
            assert "approved another" not in page(100)
        assert (told(20)["verdict"], told(100)["verdict"]) == ("", "")
        program = TestClient(browser.app, base_url="http://127.0.0.1")
        decision: dict[str, Any] = {"actions": [deep], "verdict": "approved"}
        assert program.post("/api/v1/plan/verdicts", json=decision).status_code == 400
        decision["settings"] = {deep: told(100)["setting"]}
        assert program.post("/api/v1/plan/verdicts", json=decision).status_code == 200
        assert (told(20)["verdict"], told(100)["verdict"]) == ("lapsed", "approved")
