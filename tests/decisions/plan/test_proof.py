"""From a launch to its reading: what was held out, lived through and read agrees with the truth of a world."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import ibis
import numpy as np
import pyarrow as pa
import pytest
from wares import M, P, worth

from tradewind.arena.launch import moves
from tradewind.decisions.plan import holdouts, proof
from tradewind.decisions.plan.carried import carried
from tradewind.decisions.plan.outcomes import coming, outcomes
from tradewind.engines.store import Store, open_store
from tradewind.errors import BadInputError, MissingDataError
from tradewind.ledger import Approval, Crossing, Experiment, Ledger, Promise, Receipt, Terms, open_ledger
from tradewind.period import Period
from tradewind.scope import Scope
from tradewind.sources.worlds.filling import fill
from tradewind.sources.worlds.preset import preset
from tradewind.sources.worlds.truth import realised
from tradewind.sources.worlds.world import World
from tradewind.study import Action, Assignment, Choice, Evidence, Lever, Party, Provenance, Setting, Subject

pytestmark = pytest.mark.xdist_group("proof")

SEED, BEFORE, LIVED, ECHO = 5, 20, 10, 3


class Launched:
    """A coupon for all customers and prices of forty products, launched in the tiny world and lived through."""

    def __init__(self, folder: Path) -> None:
        fill("tiny", SEED, folder / "before", days=BEFORE)
        self.before = open_store(str(folder / "before"))
        first = self.before.span.last + timedelta(days=1)
        days = Period(first, first + timedelta(days=LIVED - ECHO - 1))
        people = self.before.run(self.before.table("customers").select("customer_id"))["customer_id"].to_pylist()
        goods = self.before.run(self.before.table("products").select("product_id", "shop_id")).to_pylist()
        dose = {"face": 5.0, "threshold": 8.0, "platform": 1.0, "brand": 0.0}
        promise = Setting(dose, {P: 4000.0}, {M: worth(900.0, 500), P: worth(-1500.0, 500)}, worth(-600.0, 900), 9000.0)
        self.choices = [
            Choice(
                Action("coupon", Lever.COUPON, Subject("customers", "all"), days, (promise,),
                       assignment=Assignment("all", tuple(sorted(people)))), 0,
            )
        ] + [
            Choice(
                Action(f"price-{row['product_id']}", Lever.PRICE, Subject("product", row["product_id"], row["shop_id"]),
                       days, (Setting({"off": 0.2}, {M: 5.0}, {M: worth(2.0)}, worth(2.0)),)), 0,
            )
            for row in goods[:40]
        ]  # fmt: skip
        self.now = datetime(first.year, first.month, first.day, 12, tzinfo=UTC) - timedelta(days=1)
        self.ledger: Ledger = open_ledger(folder / "ledger.db", clock=lambda: self.now)
        self.held = holdouts(self.before, self.choices, ECHO, 0.5)
        promises = [Promise(each.choice, each.share) for each in self.held]
        self.receipt: Receipt = self.ledger.launch(
            "p", promises, Approval("Bea", self.now), "Ann", Terms(echo=ECHO, seed=1)
        )
        world = World(preset("tiny"), SEED)
        world.advance(BEFORE)
        self.coupon, self.prices = self.receipt.experiments
        treated = [unit for unit, arm in self.ledger.arms(self.coupon.id).items() if arm == "treated"]
        self.world, self.moves = world, moves(world, self._done(treated))
        fill("tiny", SEED, folder / "after", days=BEFORE + LIVED, moves=self.moves)
        self.after: Store = open_store(str(folder / "after"))

    def _done(self, treated: list[str]) -> list[Choice]:
        first = self.choices[0]
        coupon = replace(first, action=replace(first.action, assignment=Assignment("all", tuple(treated))))
        done = {launch.action for launch in self.prices.treated}
        return [coupon, *(choice for choice in self.choices if choice.action.key in done)]


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Launched:
    return Launched(tmp_path_factory.mktemp("launched"))


def test_history_before_the_moves_is_the_same(launched: Launched) -> None:
    seen = launched.before.span
    for store in (launched.before, launched.after):
        lines = store.table("order_lines")
        rows = store.run(
            lines.filter(lines.day <= seen.last).select("order_id", "line", "unit_price").order_by("order_id", "line")
        )
        if store is launched.before:
            kept = rows
    assert rows.equals(kept)
    assert launched.after.span.last == seen.last + timedelta(days=LIVED)


def test_the_reading_holds_the_truth(launched: Launched) -> None:
    found = proof.read(launched.after, launched.coupon, launched.ledger.arms(launched.coupon.id))
    alone = [move for move in launched.moves if move.lever == "coupon"]
    truth = realised(launched.world, alone, LIVED)
    assert found.joint is not None
    assert found.joint.low <= truth.joint <= found.joint.high
    assert found.effect[Party.PLATFORM].low <= truth.of(Party.PLATFORM) <= found.effect[Party.PLATFORM].high
    assert found.effect[Party.PLATFORM].high < 0, "the platform pays for what is redeemed"
    assert found.evidence == Evidence.RANDOMISED
    assert not found.skewed


def test_who_reads_a_shops_experiment_makes_no_difference(launched: Launched) -> None:
    shop = launched.choices[1].action.subject.shop
    assert shop is not None
    promised = Subject("customers", "all", shop)
    launches = tuple(replace(each, subject=promised) for each in launched.coupon.launches)
    trial, arms = replace(launched.coupon, launches=launches), launched.ledger.arms(launched.coupon.id)
    own = launched.after.scoped(Scope.of([shop]))
    found = proof.read(launched.after, trial, arms)
    assert found == proof.read(own, trial, arms)
    assert found.joint != proof.read(launched.after, launched.coupon, arms).joint
    first = replace(launched.choices[0].action, subject=promised)
    choices = [replace(launched.choices[0], action=first)]
    assert holdouts(launched.before, choices, ECHO) == holdouts(launched.before.scoped(Scope.of([shop])), choices, ECHO)


def test_the_reading_agrees_with_means_taken_by_hand(launched: Launched) -> None:
    arms = launched.ledger.arms(launched.coupon.id)
    days = Period(launched.coupon.days.first, launched.coupon.due)
    units = sorted(arms)
    joint = sum(outcomes(launched.after, "customer", units, days).values())
    treated = np.array([arms[unit] == "treated" for unit in units])
    plain = (joint[treated].mean() - joint[~treated].mean()) * treated.sum()
    found = proof.read(launched.after, launched.coupon, arms).joint
    assert found is not None
    assert abs(found.mid - plain) < (found.high - found.low) / 2


def test_the_reading_is_the_arm_beside_what_each_sold_before(launched: Launched) -> None:
    """Least squares on the arm, as many days before, as many before these, and (of longer ones) the last fortnight."""
    arms, asked = launched.ledger.arms(launched.coupon.id), launched.coupon
    units = sorted(arms)
    treated = np.array([arms[unit] == "treated" for unit in units])
    days = Period(asked.days.first, asked.due)
    first = [days.first - timedelta(days=10), days.first - timedelta(days=20)]
    joint = sum(outcomes(launched.after, "customer", units, days).values())
    still = coming(launched.after, "customer", units, days, launched.after.span.last)
    assert still is not None
    joint -= sum(still.less.values())
    windows = [Period(day, day + timedelta(days=9)) for day in first]
    known = [sum(outcomes(launched.after, "customer", units, window).values()) for window in windows]
    slopes = np.linalg.lstsq(np.column_stack([treated, np.ones(len(units)), *known]), joint, rcond=None)[0]
    found = proof.read(launched.after, asked, arms).joint
    assert found is not None
    assert found.mid == pytest.approx(slopes[0] * treated.sum())


def test_outcomes_agree_with_metrics(launched: Launched) -> None:
    """Customers' profits add up to those of the orders of these days, less what these gave back by now."""
    store, days = launched.after, Period(launched.coupon.days.first, launched.coupon.due)
    lines = store.run(store.table("order_lines")).to_pylist()
    status = store.run(store.table("order_status")).to_pylist()
    paid = {(row["order_id"], row["line"]) for row in status if row["status"] == "paid"}
    refunds = store.run(store.table("refunds")).to_pylist()
    sold = [row for row in lines if days.first <= row["day"] <= days.last and (row["order_id"], row["line"]) in paid]
    theirs = {(row["order_id"], row["line"]) for row in sold}
    back = [row for row in refunds if (row["order_id"], row["line"]) in theirs]
    creator = sum(float(row["commission"] or 0) for row in sold)
    creator -= sum(float(row["commission_reversed"] or 0) for row in back)
    people = sorted({row["customer_id"] for row in lines})
    assert outcomes(store, "customer", people, days)[Party.CREATOR].sum() == pytest.approx(creator)


def test_a_group_is_read_and_all_of_it_calibrates(launched: Launched) -> None:
    launched.now += timedelta(days=LIVED + 2)
    for each in launched.receipt.experiments:
        launched.ledger.read(proof.read(launched.after, each, launched.ledger.arms(each.id)), "Ann")
    track = launched.ledger.track()
    assert {pair.lever for pair in track.pairs} == {Lever.COUPON, Lever.PRICE}
    assert set(track.calibrated().levers) == {"coupon", "price"}
    assert launched.ledger.verify([launched.receipt.head]).sound


def test_holdouts_by_power_or_as_asked(launched: Launched) -> None:
    by_power = holdouts(launched.before, launched.choices, ECHO)
    assert all(0 < each.share <= 0.2 for each in by_power)
    assert len({each.share for each in by_power[1:]}) == 1, "a group has one share"
    assert "hold out" in by_power[0].sentence.lower() or "cannot learn" in by_power[0].sentence
    for few in range(1, 12):
        found = holdouts(launched.before, launched.choices[1 : 1 + few], ECHO)
        assert (found[0].share > 0) == (few >= 10), "below ten units no fifth of them can be told from luck"
        assert few >= 10 or found[0].sentence == f"too few products to hold any out and learn from it: {few}"
    asked = holdouts(launched.before, launched.choices[:2], ECHO, 0.3)
    assert [each.share for each in asked] == [0.3, 0.0]
    assert asked[1].sentence.startswith("alone of its kind")
    goods = launched.choices[1:]
    for share, count, words in (
        (0.1, 10, "10.0% of 10 products are too few to learn from"), (0.5, 5, "too few products to hold any out"),
        (0.2, 10, "as asked"), (0.1, 40, "as asked"), (0.8, 10, "as asked"),
    ):  # fmt: skip
        found = holdouts(launched.before, goods[:count], ECHO, share)
        assert found[0].sentence.startswith(words)
        assert found[0].share == (share if words == "as asked" else 0.0)
    coupon = launched.choices[0]
    assert coupon.action.assignment is not None
    hundred = Assignment("hundred", coupon.action.assignment.units[:100])
    few = replace(coupon, action=replace(coupon.action, assignment=hundred))
    assert holdouts(launched.before, [few], ECHO, 0.02)[0].sentence.startswith("2.00% of 100 customers are too few")
    for share, choices in ((0.9, goods[:10]), (0.999, [few])):
        with pytest.raises(BadInputError, match="too few treated"):
            holdouts(launched.before, choices, ECHO, share)
    with pytest.raises(BadInputError, match="a share"):
        holdouts(launched.before, launched.choices, ECHO, 1.5)


def test_a_handful_held_out_is_read_without_a_slope(launched: Launched) -> None:
    arms = launched.ledger.arms(launched.prices.id)
    held = sorted(unit for unit, arm in arms.items() if arm == "holdout")[:2]
    few = {unit: arm for unit, arm in arms.items() if arm == "treated" or unit in held}
    share = len(held) / len(few)
    asked = replace(launched.prices, arms={"treated": 1 - share, "holdout": share})
    found = proof.read(launched.after, asked, few)
    assert found.method == "difference in means"
    units = sorted(few)
    days = Period(asked.days.first, asked.due)
    joint = sum(outcomes(launched.after, "product", units, days).values())
    still = coming(launched.after, "product", units, days, launched.after.span.last)
    assert still is not None
    joint -= sum(still.less.values())
    treated = np.array([few[unit] == "treated" for unit in units])
    assert found.joint is not None
    assert found.joint.mid == pytest.approx((joint[treated].mean() - joint[~treated].mean()) * treated.sum())


def test_a_rare_lot_is_read_like_any_other(launched: Launched) -> None:
    arms = launched.ledger.arms(launched.prices.id)
    out = sorted(unit for unit, arm in arms.items() if arm == "holdout")[:3]
    few = {unit: arm for unit, arm in arms.items() if arm == "treated" or unit in out}
    found = proof.read(launched.after, launched.prices, few)  # 3 held out where 12 were to be expected
    assert found.units == {"treated": 20, "holdout": 3}
    assert not found.skewed
    assert "split" not in found.note
    with pytest.raises(BadInputError, match="One arm has no units"):
        proof.read(launched.after, launched.prices, {unit: "treated" for unit in few})


def test_an_early_look_holds_the_truth_and_ends_where_the_reading_does(launched: Launched, tmp_path: Path) -> None:
    arms = launched.ledger.arms(launched.coupon.id)
    fill("tiny", SEED, tmp_path, days=BEFORE + 4, moves=launched.moves)
    early = proof.look(some := open_store(str(tmp_path)), launched.coupon, arms, some.span.last)
    assert (early.days.days, early.of.days) == (4, LIVED)
    truth = realised(launched.world, [move for move in launched.moves if move.lever == "coupon"], 4)
    assert early.joint.low <= truth.joint <= early.joint.high
    later = proof.look(launched.after, launched.coupon, arms, some.span.last)  # of days that are to come nothing counts
    assert later.days == early.days
    assert early.joint.low <= later.joint.mid <= early.joint.high  # what is given back of these days is known by then
    last = launched.after.span.last
    whole = proof.look(launched.after, launched.coupon, arms, last)
    read = proof.read(launched.after, launched.coupon, arms)
    assert whole.days == read.days
    assert read.joint is not None
    assert whole.joint.mid == pytest.approx(read.joint.mid)
    assert 1.3 < (whole.joint.high - whole.joint.low) / (read.joint.high - read.joint.low) < 2.5
    with pytest.raises(MissingDataError, match="Days that a look needs"):
        proof.look(launched.before, launched.coupon, arms, last)


def test_ids_that_one_arm_lost_are_noticed(launched: Launched) -> None:
    """Half of the treated are merged into other customers, whose orders of all days are theirs then."""
    arms = launched.ledger.arms(launched.coupon.id)
    lines = launched.after.table("order_lines")
    for arm, noticed in ((("treated",), True), (("treated", "holdout"), False)):
        merged = [unit for unit in sorted(arms) if arms[unit] in arm and int(unit[-1]) % 2]
        who = lines.customer_id.isin(merged).ifelse("merged", lines.customer_id)
        found = proof.read(launched.after.write({"order_lines": lines.mutate(customer_id=who)}), launched.coupon, arms)
        assert (found.skewed, "lost or changed ids of one arm" in found.note) == (noticed, noticed)


def test_a_later_plan_that_took_more_of_one_arm_is_noticed(launched: Launched) -> None:
    arms = launched.ledger.arms(launched.coupon.id)
    whole = {arm: list(arms.values()).count(arm) for arm in ("treated", "holdout")}
    half, most, few = ({arm: int(share * n) for arm, n in whole.items()} for share in (0.5, 0.9, 0.1))
    uneven = {"treated": most["treated"], "holdout": few["holdout"]}
    for later, chance, noticed in (
        ([], None, False), ([Crossing("b", half), Crossing("c", {"treated": 1})], 0.5, False),
        ([Crossing("b", half), Crossing("c", uneven)], 0.0, True),
    ):  # fmt: skip
        found = proof.read(launched.after, launched.coupon, arms, later)
        assert (found.crossed, "The plan c, which was launched since" in found.note) == (noticed, noticed)
        assert found.crossing is None if chance is None else (found.crossing or 0.0) >= chance
        assert found.joint == proof.read(launched.after, launched.coupon, arms).joint


def test_both_engines_read_the_same(launched: Launched, opened: Callable[[Path], Store]) -> None:
    store, trial = opened(Path(launched.after.folder)), launched.prices
    arms = launched.ledger.arms(trial.id)
    here, there = proof.read(launched.after, trial, arms), proof.read(store, trial, arms)
    assert here.joint is not None
    assert there.joint is not None
    assert (there.joint.mid, there.joint.low) == pytest.approx((here.joint.mid, here.joint.low))
    assert (there.carried, there.units, there.note) == (here.carried, here.units, here.note)
    for each in (launched.coupon, replace(trial, lever=Lever.COMMISSION)):
        arms = launched.ledger.arms(each.id)
        assert carried(store, each, arms) == carried(launched.after, each, arms)


def test_what_was_done_is_told_from_what_was_not(launched: Launched, tmp_path: Path) -> None:
    for trial in launched.receipt.experiments:
        done = carried(launched.after, trial, launched.ledger.arms(trial.id))
        assert done is not None
        assert (done.share, done.sentence) == (1.0, "")
    fill("tiny", SEED, tmp_path, days=BEFORE + LIVED)
    undone = open_store(str(tmp_path))
    for trial in launched.receipt.experiments:
        found = proof.read(undone, trial, launched.ledger.arms(trial.id))
        assert found.undone
        assert "what was planned was done to" in found.note


def test_a_coupon_that_all_were_given_is_no_experiment(launched: Launched) -> None:
    """As where a shop gives it to everybody, or to every fourth of the treated only."""
    arms, trial = launched.ledger.arms(launched.coupon.id), launched.coupon
    grants, coupons = launched.after.table("coupon_grants"), launched.after.table("coupons")
    rows = launched.after.run(grants).to_pylist()
    fives = launched.after.run(coupons.filter((coupons.face_value == 5) & (coupons.threshold == 8)))["coupon_id"]
    mine = [row for row in rows if row["coupon_id"] in fives.to_pylist() and arms.get(row["customer_id"]) == "treated"]
    held = [unit for unit, arm in sorted(arms.items()) if arm == "holdout"]
    everybody = [*rows, *({**mine[0], "customer_id": unit} for unit in held)]
    some = [row for row in rows if row not in mine[: 3 * len(mine) // 4]]
    for given, share, words in ((everybody, 0.0, "and to 100% of those held out"), (some, 0.25, "done to 25.0%")):
        store = launched.after.write({"coupon_grants": pa.Table.from_pylist(given, launched.after.run(grants).schema)})
        found = carried(store, trial, arms)
        assert found is not None
        assert found.share == pytest.approx(share, abs=0.01)
        assert words in found.sentence


def test_a_price_counts_by_its_days_until_it_is_stopped(launched: Launched) -> None:
    arms, trial = launched.ledger.arms(launched.prices.id), launched.prices
    table = launched.after.table("product_history")
    half = trial.days.first + timedelta(days=3)
    over = datetime(half.year, half.month, half.day, tzinfo=UTC).replace(tzinfo=None)
    late = (table.valid_from < ibis.timestamp(over)) & (table.valid_from >= ibis.timestamp(over - timedelta(days=9)))
    price = late.ifelse(table.list_price, table.sale_price)
    store = launched.after.write({"product_history": table.mutate(sale_price=price)})
    found = carried(store, trial, arms)
    assert found is not None
    assert found.treated < 0.2  # listed for whole weeks, all of them at the list price then
    stopped = tuple(replace(each, stopped=trial.days.first - timedelta(days=1)) for each in trial.launches)
    assert carried(launched.after, replace(trial, launches=stopped), arms) is None


def test_what_those_held_out_had_anyway_is_not_laid_to_the_plan(launched: Launched) -> None:
    arms, trial = launched.ledger.arms(launched.prices.id), launched.prices
    full = Setting({"off": 0.0}, {}, {})
    found = carried(
        launched.after, replace(trial, launches=tuple(replace(e, setting=full) for e in trial.launches)), arms
    )
    assert found is not None
    assert found.treated < 0.1  # they are a fifth off
    assert found.held < 0.2  # at the list price now, and before
    table, one = launched.after.table("product_history"), min(unit for unit, arm in arms.items() if arm == "holdout")
    price = (table.product_id == one).ifelse((table.list_price.cast("float64") * 0.8).cast("decimal(18, 4)"),
                                            table.sale_price)  # fmt: skip
    days = (table.valid_to.isnull() | (table.valid_to > ibis.timestamp(str(trial.days.first)))).ifelse(
        price, table.sale_price
    )
    store = launched.after.write({"product_history": table.mutate(sale_price=days)})
    found = carried(store, trial, arms)
    assert found is not None
    assert (found.treated, found.held) == (1.0, 0.0)  # one of twenty is chance


def test_rates_are_told_by_contracts(launched: Launched) -> None:
    """Contracts of a product, half of their time at the planned rate: of one they all are, of another none."""
    days, at = launched.prices.days, launched.prices.launches
    zone = ZoneInfo(launched.after.provenance.timezone)
    start = datetime.combine(days.first, time(), zone).astimezone(UTC).replace(tzinfo=None)
    middle = start + timedelta(days=days.days / 2)

    def contract(n: int, product: str, rate: float, begin: datetime, end: datetime | None) -> dict[str, object]:
        return {"contract_id": f"x{n}", "shop_id": at[0].subject.shop, "product_id": product, "creator_id": "k",
                "rate": rate, "accepted_at": begin, "ends_at": end}  # fmt: skip

    goods = [each for each in at if each.arm == "treated"][:3]
    rate = Setting({"rate": 0.2}, {}, {})
    trial = replace(launched.prices, lever=Lever.COMMISSION, launches=tuple(
        replace(each, lever=Lever.COMMISSION, setting=rate) for each in goods
    ))  # fmt: skip
    names = [each.subject.id for each in goods]
    old = start - timedelta(days=60)
    rows = [
        contract(0, names[0], 0.2, old, None), contract(1, names[1], 0.1, old, None),
        contract(2, names[2], 0.1, old, middle), contract(3, names[2], 0.2, middle, None),
    ]  # fmt: skip
    schema = launched.after.run(launched.after.table("commissions")).schema
    store = launched.after.write({"commissions": pa.Table.from_pylist(rows, schema)})
    found = carried(store, trial, dict.fromkeys(names, "treated"))
    assert found is not None
    assert found.treated == pytest.approx(0.5)
    assert carried(store, replace(trial, lever=Lever.TRAFFIC), dict.fromkeys(names, "treated")) is None


def test_days_whose_costs_are_not_there_are_not_read(launched: Launched) -> None:
    lines, trial = launched.after.table("order_lines"), launched.prices
    known = (lines.day < trial.days.first).ifelse(lines.unit_cost, ibis.null(lines.unit_cost.type()))
    late = launched.after.write({"order_lines": lines.mutate(unit_cost=known)})
    arms = launched.ledger.arms(trial.id)
    with pytest.raises(MissingDataError, match="no unit cost"):
        proof.read(late, trial, arms)
    with pytest.raises(MissingDataError, match="no unit cost"):
        proof.look(late, trial, arms, late.span.last)


def test_a_last_day_that_was_imported_before_its_end_is_not_read(launched: Launched) -> None:
    store, trial = launched.after, launched.prices
    real = replace(store.manifest.provenance, simulated=False, timezone="America/Sao_Paulo")
    after = datetime.combine(trial.due + timedelta(days=1), time(3), UTC)  # midnight in São Paulo

    def imported(at: datetime, origin: Provenance) -> Store:
        manifest = replace(store.manifest, provenance=origin, created_at=at.isoformat())
        return Store(store.folder, store.engine, manifest)

    arms = launched.ledger.arms(trial.id)
    soon = after - timedelta(minutes=1)
    with pytest.raises(MissingDataError, match="not over when the store was imported"):
        proof.read(imported(soon, real), trial, arms)
    assert proof.read(imported(after, real), trial, arms) == proof.read(store, trial, arms)
    proof.read(imported(soon, store.manifest.provenance), trial, arms)  # of simulated data all days are there


def test_what_cannot_be_read_says_why(launched: Launched) -> None:
    arms = launched.ledger.arms(launched.coupon.id)
    with pytest.raises(MissingDataError, match="does not hold all days"):
        proof.read(launched.before, launched.coupon, arms)
    bare: Experiment = replace(launched.coupon, arms={"treated": 1.0})
    with pytest.raises(BadInputError, match="Nothing was held out"):
        proof.read(launched.after, bare, dict.fromkeys(arms, "treated"))
    with pytest.raises(BadInputError, match="Nothing was held out"):
        proof.look(launched.after, bare, dict.fromkeys(arms, "treated"), launched.after.span.last)
