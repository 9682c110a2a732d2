"""What a merchant learns of other shops: the rules' edges, an intruder who asks all there is, and no name or id."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import ibis
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fair
import market
from engines.intruder import Intruder, Told, exact_without, rounded
from tradewind.engines.peers import Comparison
from tradewind.engines.store import Store, open_store
from tradewind.errors import BadInputError, ForbiddenError, MissingDataError, NotFoundError, TradewindError
from tradewind.measures.assume import Assumptions
from tradewind.measures.metric import Additive
from tradewind.measures.metrics import AOV, GMV, GROSS_SALES, METRICS, ORDERS, within_a_shop
from tradewind.period import Period, parse_period
from tradewind.scope import Scope

JANUARY = parse_period("2024-01", market.SPAN)
SIZES = {"Tea": 24, "Silk/Scarves": 16, "Spice": 7, None: 6, "Gold": 9}

Opened = Callable[..., Store]


@pytest.fixture
def held(tmp_path: Path) -> Opened:
    """Open a store of the shops given."""
    return lambda stands, **words: open_store(str(fair.write(tmp_path / "fair", stands, **words)))


@pytest.fixture(scope="module")
def town() -> list[fair.Stand]:
    return fair.town(SIZES, seed=2)


@pytest.fixture(scope="module")
def store(town: list[fair.Stand], tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(str(fair.write(tmp_path_factory.mktemp("peers") / "town", town)))


def even(category: str | None, count: int, name: str = "even") -> list[fair.Stand]:
    """Shops of much the same size, no two alike."""
    return [fair.stand(f"{name}-{n:02d}", category, *[100.0 + 7 * n] * 3) for n in range(count)]


def one(store: Store, shop: str, period: Period = JANUARY, own: Sequence[str] = ()) -> Comparison:
    return store.scoped(Scope.of({shop, *own})).peers([GMV], period, shop).metrics[0]


def test_ten_others_are_enough_and_nine_are_not(held: Opened) -> None:
    told = one(held(even("Tea", 11)), "even-00")
    assert (told.own, told.shops, told.reason) == (100, 10, "")
    assert 100 < told.low < told.middle < told.high < 170


def test_with_nine_others_nothing_is_told(held: Opened) -> None:
    told = one(held(even("Tea", 10)), "even-00")
    assert told == Comparison("gmv", 100, reason="fewer than ten comparable shops")


def test_own_shops_are_none_of_the_ten(held: Opened) -> None:
    store = held(even("Tea", 11))
    assert one(store, "even-00", own=("even-01",)).reason == "fewer than ten comparable shops"
    assert one(store, "even-00", own=("elsewhere",)).reason == ""


def test_narrowing_ones_scope_does_not_change_what_is_told(held: Opened) -> None:
    """Who owns two of eleven shops is not told more for leaving one of them out."""
    merchant = held(even("Tea", 11)).scoped(Scope.of(("even-00", "even-01")))
    narrowed = merchant.scoped(Scope.of(("even-00",)))
    for view in (narrowed, narrowed.assuming(Assumptions(margin=0.3)), narrowed.scoped(Scope.of(("even-00",)))):
        assert view.peers([GMV], JANUARY).metrics[0].reason == "fewer than ten comparable shops"


def test_a_dominant_shop_sends_its_category_to_the_others(held: Opened) -> None:
    giant = fair.stand("giant", "Tea", 5000)
    store = held([*even("Tea", 12), giant, *even("Silk", 90, "silk")])
    gmv = [GMV]
    assert store.peers(gmv, JANUARY, "silk-00").who == "all shops", "Tea cannot stand alone, nor hide its giant"
    answer = store.peers(gmv, JANUARY, "even-00")
    assert answer.who == "all shops"
    assert answer.metrics[0].shops == 100
    assert store.peers(gmv, JANUARY, "giant").metrics[0].high < 1000


def test_where_one_shop_dominates_all_nothing_is_told(held: Opened) -> None:
    store = held([*even(None, 30), fair.stand("giant", None, 50_000)])
    assert one(store, "even-00").reason == "one shop is too large a part of the comparable shops"


def test_a_shop_has_the_same_peers_whoever_asks_whatever(store: Store, town: list[fair.Stand]) -> None:
    """Every shop is in one group, so that no group can be taken off another."""
    whos = {}
    for shop in town:
        for names in (("gmv",), ("orders", "aov")):
            answer = store.peers([METRICS[name] for name in names], JANUARY, shop.shop_id)
            whos.setdefault(shop.category, set()).add(answer.who)
    assert whos["Tea"] == {"shops of the category Tea"}
    assert whos["Silk/Scarves"] == {"shops of the category Silk"}
    together = ", taken together so that no shop can be told from the figures"
    assert whos["Spice"] == {f"shops of the category Spice and of others{together}"}
    assert whos[None] == {f"shops of several categories{together}"}
    same = {store.peers([GMV], JANUARY, s.shop_id).metrics[0].middle for s in town if s.category in {"Spice", None}}
    assert len(same) == 1


def test_shops_without_sales_are_nobodys_peers(held: Opened) -> None:
    idle = [fair.stand(f"idle-{n}", "Tea", None, 50.0) for n in range(9)]
    free = [fair.stand(f"free-{n}", "Tea", 0.0) for n in range(9)]
    store = held([*even("Tea", 16), *idle, *free])
    assert one(store, "even-00").shops == 15
    told = one(store, "idle-0")
    assert (told.own, told.shops) == (0, 15)
    assert store.peers([AOV, ORDERS], JANUARY, "idle-0").metrics[0].own is None
    assert store.peers([AOV, ORDERS], JANUARY, "idle-0").metrics[1].own == 0
    assert store.peers([AOV], JANUARY, "free-0").metrics[0].own == 0


def test_ratios_are_compared_over_shops_with_ten_orders(held: Opened) -> None:
    few = [fair.stand(f"few-{n}", "Tea", 90.0 + n, orders=9) for n in range(9)]
    store = held([*even("Tea", 11), *few])
    gmv, aov = store.peers([GMV, AOV], JANUARY, "few-0").metrics
    assert (gmv.shops, aov.shops) == (20, 10)
    assert aov.own == pytest.approx(10)
    assert 100 / 12 < aov.low < aov.high < 170 / 12


def test_a_store_that_names_no_shops_compares_them_all(held: Opened) -> None:
    store = held(even("Tea", 14), named=False)
    answer = store.scoped(Scope.of(("even-03",))).peers([GMV], JANUARY)
    assert (answer.who, answer.shop_id, answer.metrics[0].shops) == ("all shops", "even-03", 10)
    with pytest.raises(NotFoundError, match="Nothing is known of this shop"):
        store.peers([GMV], JANUARY, "nobody")


@pytest.mark.parametrize("asked", ["2024-01-01..2024-01-30", "2024-W03", "2024-01-05", "2023-12", "2024-Q2", "2024",
                                   "2024-01..2024-02", "2024-02..2024-04"])  # fmt: skip
def test_only_whole_months_quarters_and_years_are_answered(store: Store, asked: str) -> None:
    with pytest.raises(BadInputError, match="months from 2024-01 to 2024-03, and the quarters and years") as error:
        store.peers([GMV], parse_period(asked, JANUARY), "hidden-000")
    assert error.value.status == 400


def test_a_month_that_has_only_begun_is_not_answered(held: Opened) -> None:
    store = held(even("Tea", 20))
    lines = store.table("order_lines")
    cut = store.write({"order_lines": lines.filter(lines.day.between("2024-01-03", "2024-03-30"))})
    with pytest.raises(BadInputError, match="months from 2024-02 to 2024-02"):
        cut.peers([GMV], JANUARY, "even-00")
    assert one(cut, "even-00", parse_period("2024-02", JANUARY)).shops == 20
    lines = cut.table("order_lines")
    short = cut.write({"order_lines": lines.filter(lines.day.between("2024-01-03", "2024-02-20"))})
    with pytest.raises(MissingDataError, match="covers none yet"):
        short.peers([GMV], JANUARY, "even-00")


def test_only_metrics_of_the_house_that_one_shop_decides(store: Store) -> None:
    """A metric of the caller's own making could pick one shop out; new buyers depend on orders elsewhere."""
    mine = Additive(name="gmv", title="", unit="money", better=1, doc="", fact=GMV.fact,
                    value=lambda row: (row.shop_id == "hidden-007").ifelse(row.gmv, ibis.literal(0)))  # fmt: skip
    for wrong in (mine, replace(GMV, name="other"), METRICS["new_buyers"], METRICS["repeat_rate"]):
        with pytest.raises(BadInputError, match="cannot be compared between shops"):
            store.peers([GMV, wrong], JANUARY, "hidden-000")
    with pytest.raises(BadInputError, match="at least one metric"):
        store.peers([], JANUARY, "hidden-000")
    with pytest.raises(MissingDataError, match="unit_cost"):
        store.assuming(Assumptions(margin=0.3)).peers([METRICS["merchant_profit"]], JANUARY, "hidden-000")


def test_whose_shop_is_compared(store: Store) -> None:
    merchant = store.scoped(Scope.of(("hidden-000", "hidden-030")))
    with pytest.raises(BadInputError, match="hidden-000, hidden-030"):
        merchant.peers([GMV], JANUARY)
    with pytest.raises(BadInputError, match="a shop's id"):
        store.peers([GMV], JANUARY)
    for other in ("hidden-001", "no-such-shop"):
        with pytest.raises(ForbiddenError) as error:
            merchant.peers([GMV], JANUARY, other)
        assert other not in str(error.value)
    with pytest.raises(ForbiddenError):
        store.scoped(Scope.of(())).peers([GMV], JANUARY, "hidden-001")
    with pytest.raises(ForbiddenError, match="operators and merchants only"):
        store.scoped(Scope.of_creators(("anna",))).peers([GMV], JANUARY, "hidden-000")


def test_an_operator_is_told_what_the_shop_is_told(store: Store) -> None:
    for shop in ("hidden-000", "hidden-030", "hidden-041"):
        wanted = store.peers([GMV, AOV], JANUARY, shop)
        assert store.scoped(Scope.of((shop,))).peers([GMV, AOV], JANUARY) == wanted


def test_many_threads_ask_once(held: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores of many callers share what was counted, and are told the same at the same time."""
    store, asked = held(even("Tea", 40)), []
    metrics = Store.metrics
    monkeypatch.setattr(Store, "metrics", lambda self, query: (asked.append(query), metrics(self, query))[1])
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda n: one(store, f"even-{n % 40:02d}"), range(160)))
    assert len({(told.low, told.middle, told.high, told.shops) for told in found}) == 1
    assert [told.own for told in found[:40]] == [100 + 7 * n for n in range(40)]
    assert len(asked) == 1
    store.peers([GMV, GROSS_SALES], JANUARY, "even-00")
    assert [metric.name for metric in asked[1].metrics] == ["gross_sales"]


def all_told(store: Store, group: Sequence[fair.Stand], own: int) -> list[Told]:
    """Ask every metric that adds up, every period, as every part of one's shops, about each of them."""
    me = store.scoped(Scope.of(shop.shop_id for shop in group[:own]))
    told = []
    for months in (*((n,) for n in range(len(fair.MONTHS))), tuple(range(len(fair.MONTHS)))):
        period = parse_period(fair.MONTHS[months[0]] if len(months) == 1 else fair.QUARTER, JANUARY)
        for name in ("gmv", "gross_sales", "merchant_discount"):
            answers = set()
            for some in (s for n in range(1, own + 1) for s in combinations(group[:own], n)):
                narrowed = me.scoped(Scope.of(shop.shop_id for shop in some))
                for shop in some:
                    answer = narrowed.peers([METRICS[name]], period, shop.shop_id)
                    assert answer.who == "shops of the category Tea"
                    [found] = answer.metrics
                    answers.add((found.low, found.middle, found.high, found.shops, found.reason))
            [(low, middle, high, _, reason)] = answers  # the same, whatever part of one's shops asks
            assert not reason, (name, period, reason)
            told.append(rounded(name, months, (low, middle, high), len(group)))
    return told


@pytest.mark.parametrize("seed", [2, 3])
def test_an_intruder_learns_no_shop_that_public_quartiles_do_not_give_away(held: Opened, seed: int) -> None:
    town = fair.town(SIZES, seed)
    group = [shop for shop in town if shop.category == "Tea"]
    intruder = Intruder(group, own=3)
    told = all_told(held(town), group, own=3)
    # public: a month's quartiles of GMV; of all else the intruder has the order of the shops, but no figure
    public = [said if said.metric == "gmv" and len(said.months) == 1 else said.unsaid() for said in told]
    alone, all_of_it = intruder.haul(public), intruder.haul(told)
    assert all_of_it.certain <= alone.certain, "not one of 63 amounts becomes certain for asking on"
    assert all_of_it.guessed <= alone.guessed + 0.12
    assert all_of_it.certain < 0.08
    # the same intruder, told plain quartiles of the others, gets hold of a third: it is able
    naive = [exact_without(intruder.truth[0, month], month, range(3)) for month in range(len(fair.MONTHS))]
    assert intruder.haul(naive).certain > 0.3


NAMES = re.compile(r"hidden-\d{3}|Secret")


def spoken(answer: Any) -> str:
    return repr(asdict(answer)) + str(answer)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    own=st.sets(st.integers(0, 61), min_size=0, max_size=20),
    like=st.integers(0, 63) | st.none(),
    names=st.lists(st.sampled_from(sorted(METRICS)), max_size=4),
    period=st.sampled_from(("2024-01", "2024-02", "2024-Q1", "2024-W05", "2024", "2023-12", "2024-01-01")),
    margin=st.none() | st.just(0.4),
)
def test_no_answer_and_no_error_names_another_shop(
    store: Store, own: set[int], like: int | None, names: list[str], period: str, margin: float | None
) -> None:
    mine = {f"hidden-{n:03d}" for n in own}
    merchant = store.scoped(Scope.of(mine)).assuming(Assumptions(margin=margin))
    shop = None if like is None else f"hidden-{like:03d}"
    try:
        said = spoken(merchant.peers([METRICS[n] for n in names], parse_period(period, JANUARY), shop))
    except TradewindError as error:
        said = str(error) + repr(error.as_dict())
    assert set(NAMES.findall(said)) <= mine


def test_every_metric_is_told_or_withheld_with_a_reason(store: Store) -> None:
    names = [name for name, metric in METRICS.items() if within_a_shop(metric)]
    answered = 0
    for name in names:
        try:
            [told] = store.peers([METRICS[name]], JANUARY, "hidden-000").metrics
        except MissingDataError:
            continue
        numbers = (told.low, told.middle, told.high, told.shops)
        assert all(n is None for n in numbers) if told.reason else all(n is not None for n in numbers)
        answered += 1
    assert answered > 5
