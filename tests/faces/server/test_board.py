"""The plan on its page: its curve is of the very plan that is shown, and decisions on several actions are one."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from tradewind.accounts import ANYBODY_HERE, Caller, Job, Role
from tradewind.errors import BadInputError, ConflictError, ForbiddenError
from tradewind.faces.api import plan as api
from tradewind.faces.proposals import keep_proposals, proposed
from tradewind.faces.server import board, desk
from tradewind.faces.server.board import Sought
from tradewind.faces.server.gate import Asking
from tradewind.faces.server.office import Office
from tradewind.faces.server.questions import gathering
from tradewind.faces.server.reading import RECENT, period_of
from tradewind.faces.server.work import done
from tradewind.scope import OPERATOR, Scope
from tradewind.study import Party

SOUGHT = Sought({Party.PLATFORM: 100.0, Party.MERCHANT: 60.0}, rules=("price actions<=3",))


def asking(office: Office) -> Asking:
    return Asking(office, ANYBODY_HERE, "")


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
        desk.decide(asker, ["price-00", "coupon-all"], "approved", "")
    assert board.board(asker).verdicts == {}
    desk.decide(asker, ["price-00"], "approved", "")
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
    desk.decide(asking(office), [key, "coupon-all"], "approved", "")
    verdicts = board.board(mara).verdicts
    assert {name: str(each.decision) for name, each in verdicts.items()} == {key: "approved", other: "rejected"}
    desk.decide(asking(office), [other], "approved", "")
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
        desk.decide(asking(office), [first, second], "approved", "", seen=page.latest)
    desk.decide(asking(office), [second], "approved", "", seen=page.latest)
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
    desk.decide(asking(office), keys, "approved", "")
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
    assert (set(after.standing), after.approved) == ({first}, [])
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
    desk.decide(asking(office), [key], "approved", "")
    asked = desk.launch(asking(office), page_of(office))
    office.setup = replace(office.setup, today=office.store().span.last + timedelta(days=400))
    job = office.jobs.take()
    assert job is not None
    done(office, job, lambda: True)
    assert office.jobs.job(asked.id, ANYBODY_HERE).error is not None
    assert not (office.work / "plans" / asked.asked["plan"]).exists()


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
    desk.decide(ann, [key], "approved", "")
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
    desk.decide(asking(office), [key], "approved", "")
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
