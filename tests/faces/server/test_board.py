"""The plan on its page: its curve is of the very plan that is shown, and decisions on several actions are one."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from tradewind.accounts import ANYBODY_HERE, Caller, Role
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
    assert office.verdicts.of(wanted.key, asker.caller.scope) == {}
    desk.decide(asker, ["price-00"], "approved", "")
    assert set(office.verdicts.of(wanted.key, asker.caller.scope)) == {"price-00"}


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
        return [row["key"] for row in json.loads(bytes(body))["actions"]]

    assert len(keys(4, 0)) == 4
    assert keys(4, 0) == keys(2, 0) + keys(2, 2)
