"""The arena: the same history, actions and budgets for all, and a score that is the truth."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tradewind.arena import memory
from tradewind.arena.contest import bout, contest
from tradewind.arena.launch import moves
from tradewind.arena.offer import LEVERS, Offer, segments
from tradewind.arena.oracle import guessed
from tradewind.arena.policies import POLICIES, credited
from tradewind.arena.score import Contest, Interval, Score, Told
from tradewind.errors import BadInputError, NotFoundError
from tradewind.faces.cli import app
from tradewind.faces.options import seeds
from tradewind.sources.worlds.preset import preset
from tradewind.sources.worlds.world import World
from tradewind.study import Lever, Party, jsonable

pytestmark = pytest.mark.xdist_group("arena")  # one history for all of it, not one for every worker

NAMES = ["none", "uniform", "rule", "attributed", "tradewind", "learnable", "oracle"]


@pytest.fixture(scope="session")
def found(work: Path) -> Contest:
    return contest("tiny", [3], NAMES, work, futures=1)


def test_an_offer_says_what_each_setting_costs(offered: Offer) -> None:
    assert {action.lever for action in offered.actions} == set(LEVERS)
    assert min(cost for *_, setting in offered.settings() for cost in setting.cost.values()) >= 0
    assert all(setting.joint is None for *_, setting in offered.settings()), "an offer knows no gains"
    assert set(offered.budgets) == {Party.PLATFORM, Party.MERCHANT}
    reached = Counter(
        unit for action in offered.actions if action.lever == Lever.COUPON and action.assignment
        for unit in action.assignment.units
    )  # fmt: skip
    assert set(reached) == set(offered.customers.ids), "each customer is in one segment"
    assert set(reached.values()) == {1}
    assert offered.days.first == offered.store.span.last.fromordinal(offered.store.span.last.toordinal() + 1)


def test_what_is_known_is_what_the_tables_say(offered: Offer) -> None:
    """Units, GMV through creators and exposure of a product, counted again by hand."""
    goods, store = offered.products, offered.store
    since = store.span.last.toordinal() - 27
    lines = store.run(store.table("order_lines")).to_pylist()
    status = store.run(store.table("order_status")).to_pylist()
    cancelled = {(row["order_id"], row["line"]) for row in status if row["status"] == "cancelled"}
    best = int(np.argmax(goods["units"]))
    mine = [
        row for row in lines
        if row["product_id"] == goods.ids[best] and row["day"].toordinal() >= since
        and (row["order_id"], row["line"]) not in cancelled
    ]  # fmt: skip
    assert goods["units"][best] == sum(row["quantity"] for row in mine) > 0
    through = sum(float(row["unit_price"]) * row["quantity"] for row in mine if row["creator_id"])
    assert goods["creator_gross"][best] == pytest.approx(through)
    traffic = store.run(store.table("traffic")).to_pylist()
    seen = [row["impressions"] for row in traffic
            if row["product_id"] == goods.ids[best] and row["day"].toordinal() >= since]  # fmt: skip
    assert goods["impressions"][best] == sum(seen)
    assert (segments(offered.customers) == offered.segment).all()


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_a_policy_keeps_to_its_budgets_and_menus(offered: Offer, name: str) -> None:
    plan = POLICIES[name](offered, 3)
    known = {action.key: action for action in offered.actions}
    assert len({choice.action.key for choice in plan}) == len(plan)
    for choice in plan:
        assert choice.setting.dose == known[choice.action.key].menu[choice.place].dose
    for payer, limit in offered.budgets.items():
        assert sum(choice.setting.cost.get(payer, 0.0) for choice in plan) <= limit + 1e-6
    assert [c.action.key for c in plan] == [c.action.key for c in POLICIES[name](offered, 3)], "same seed, same plan"
    world = World(preset("tiny"), 3)
    world.state.day = preset("tiny").days
    assert len(moves(world, plan)) == len(plan)


def test_attribution_credits_what_was_sold_anyway(offered: Offer) -> None:
    worth = credited(offered)
    prices = [n for n, action in enumerate(offered.actions) if action.lever == Lever.PRICE]
    units = np.array([offered.unit[n] for n in prices])
    told = np.array([worth.get((n, 0), 0.0) for n in prices])
    np.testing.assert_allclose(told, 0.9 * offered.products["gross"][units])


def test_knowing_more_earns_more(found: Contest) -> None:
    joint = {score.policy: score.joint for score in found.scores}
    assert joint["none"] == 0
    assert joint["oracle"] > max(joint[name] for name in ("none", "uniform", "rule", "attributed"))
    assert joint["oracle"] > joint["learnable"] > 0


def test_standings_are_sums_over_sums(found: Contest) -> None:
    standing = {each.policy: each for each in found.standings()}
    joint = {score.policy: score.joint for score in found.scores}
    assert standing["oracle"].of_oracle is not None
    assert standing["oracle"].of_oracle.mid == 1
    assert standing["rule"].of_learnable is not None
    assert standing["rule"].of_learnable.mid == pytest.approx(joint["rule"] / joint["learnable"])
    told = found.levers("attributed")
    assert {each.lever for each in told} <= set(LEVERS)
    [score] = found.of("attributed")
    assert score.predicted == pytest.approx(sum(each.claimed for each in told))
    assert sum(each.claimed for each in told) > sum(each.truth for each in told), "attribution overstates"


def test_intervals_are_held_against_what_a_lever_brought_over_all_worlds(found: Contest) -> None:
    [mine] = found.of("tradewind")
    assert {each.lever for each in mine.intervals} <= {told.lever for told in mine.told}
    by_lever = {told.lever: told.worth for told in mine.told}
    assert by_lever[Lever.PRICE] == pytest.approx(sum(i.worth for i in mine.intervals if i.lever == Lever.PRICE))
    assert found.of("rule")[0].intervals == ()

    def score(seed: int, truth: float, *intervals: tuple[float, float, float]) -> Score:
        said = tuple(Interval(Lever.PRICE, *each) for each in intervals)
        worth = sum(each.worth for each in said)
        told = (Told(Lever.PRICE, 0.0, 0.0, 0.0, 0.0, truth, worth),)
        return Score("tradewind", seed, 0.0, 0.0, {}, {}, {}, 0.0, said, told)

    # Together 30 truly came where closed forms say 20, so that each counts for half as much again.
    scores = (score(1, 28.0, (5.0, 8.0, 4.0), (1.0, 5.0, 4.0)), score(2, 2.0, (17.0, 19.0, 12.0)))
    both = Contest("tiny", 3, (1, 2), scores, (Lever.PRICE,))
    assert both.scale("tradewind") == {Lever.PRICE: 1.5}
    [standing] = both.standings()
    assert standing.coverage == pytest.approx(2 / 3)
    assert standing.width == pytest.approx(3.0)
    nothing = Contest("tiny", 3, (1,), (score(1, -5.0, (-1.0, 1.0, 4.0)),), (Lever.PRICE,))
    assert nothing.scale("tradewind") == {Lever.PRICE: 0.0}
    assert nothing.standings()[0].coverage == 1.0


def test_the_command_tells_the_same(found: Contest, work: Path) -> None:
    told = CliRunner().invoke(
        app, ["arena", "--preset", "tiny", "--seeds", "3,", "--policies", "none,uniform", "--futures", "1", "--work",
              str(work), "--json"],
    )  # fmt: skip
    assert told.exit_code == 0, told.output
    document = json.loads(told.stdout)
    uniform = {score["policy"]: score for score in document["contest"]["scores"]}["uniform"]
    [score] = found.of("uniform")
    assert uniform["joint"] == pytest.approx(score.joint)
    shown = CliRunner().invoke(
        app, ["arena", "--preset", "tiny", "--seeds", "3,", "--policies", "none", "--work", str(work)]
    )
    assert "1 world of `tiny`, seeds 3" in shown.output


def test_what_was_scored_is_kept_until_the_code_changes(
    found: Contest, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("tiny", 3, 2, ("none",), 1)
    path = tmp_path / "scores" / "tiny-3.json"
    assert memory.recalled(path, asked) is None
    memory.keep(path, asked, found.scores)
    back = memory.recalled(path, asked)
    assert back is not None
    assert jsonable(back) == jsonable(found.scores)
    assert memory.recalled(path, ("tiny", 4, 2, ("none",), 1)) is None
    path.write_text("{")
    assert memory.recalled(path, asked) is None
    monkeypatch.setattr("tradewind.arena.contest._scored", lambda *_: pytest.fail("scored again"))
    assert len(bout("tiny", 3, tuple(NAMES), work, 1)) == len(NAMES)
    monkeypatch.setattr(memory, "fingerprint", lambda: "other code")
    with pytest.raises(pytest.fail.Exception, match="scored again"):
        bout("tiny", 3, tuple(NAMES), work, 1)


@pytest.mark.parametrize(
    ("changed", "other"), [("engines/campaigns.py", True), ("study.py", True), ("faces/cli.py", False)]
)
def test_scores_are_of_all_code_that_they_depend_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str, other: bool
):
    for name in ("__init__.py", "engines/campaigns.py", "study.py", "faces/cli.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    monkeypatch.setattr(memory.tradewind, "__file__", str(tmp_path / "__init__.py"))
    before = memory.fingerprint()
    (tmp_path / changed).write_text("changed")
    assert (memory.fingerprint() != before) is other


def test_what_can_be_seen_is_learnt_and_noise_is_not() -> None:
    draw = np.random.default_rng(0)
    seen = draw.normal(size=(2_000, 3))
    hidden = draw.normal(size=2_000)
    worth = (2 * seen[:, 0] + hidden)[:, None]
    told = guessed(seen, worth, 1)[:, 0]
    assert np.corrcoef(told, seen[:, 0])[0, 1] > 0.95
    assert abs(np.corrcoef(told, hidden)[0, 1]) < 0.1


def test_what_cannot_be_asked_is_refused(work: Path) -> None:
    with pytest.raises(NotFoundError, match="no such world"):
        contest("village", [1], ["none"], work)
    with pytest.raises(BadInputError, match="no such policy"):
        contest("tiny", [1], ["luck"], work)
    with pytest.raises(BadInputError, match="needs a world"):
        contest("tiny", [], ["none"], work)
    with pytest.raises(BadInputError, match="not on offer"):
        contest("tiny", [1], ["none"], work, levers=["live"])
    with pytest.raises(BadInputError, match="Seeds"):
        seeds("ten")
    assert seeds("3") == [0, 1, 2]
    assert seeds("100-102") == [100, 101, 102]
