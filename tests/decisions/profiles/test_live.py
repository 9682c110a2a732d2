"""The profile of a live session beside plain loops over the rows it was made from, in every scope."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median

import pytest

import market
from tradewind.decisions.profiles.live import LiveSettings, profile, replay
from tradewind.engines.store import Store, open_store
from tradewind.errors import BadInputError, NotFoundError
from tradewind.measures import metrics as m
from tradewind.measures.query import Query
from tradewind.period import Period
from tradewind.scope import Scope
from tradewind.study import Evidence, jsonable

START = datetime(2024, 1, 10, 1, 30)  # 22:30 of the day before, on the local clock
LENGTH = 40
LOST = (12, 13)  # minutes of which nothing is recorded
MUTE = 20  # a minute without a row of a product
SURGE = 26
DROPS = ((4, "coupon-0", 20, 5), (25, "coupon-2", 30, None))
PRODUCTS = ("p02", "p14", "p99")


def minutes(live: str, length: int, draw: random.Random, lost=(), surge=None) -> list[dict]:
    rows, viewers = [], 30
    for n in range(length):
        viewers += 80 if n == surge else draw.choice((-2, -1, 0, 1, 2))
        if n not in lost:
            rows.append({"live_id": live, "minute": n, "viewers": viewers, "joins_organic": draw.randint(0, 5),
                         "joins_paid": 78 if n == surge else 0, "leaves": draw.randint(0, 4), "comments": n,
                         "likes": None})  # fmt: skip
    return rows


def sales(live: str, length: int, owners: dict[str, str], draw: random.Random, lost=()) -> list[dict]:
    names = list(owners)
    rows = []
    for n in range(length):
        for k, (product, shop) in enumerate(owners.items()):
            if n not in lost:
                clicks, orders = draw.randint(0, 9), draw.choice((0, 0, 1, 2))
                rows.append({"live_id": live, "minute": n, "product_id": product, "shop_id": shop,
                             "pinned": (n // 5) % len(names) == k, "impressions": 10 * clicks, "clicks": clicks,
                             "orders": orders, "gmv": market.money(1, 30, draw) * orders})  # fmt: skip
    return rows


def session(live: str, host: str, shop: str | None, began: datetime, lasts: int | None, **more) -> dict:
    ended = None if lasts is None else began + timedelta(minutes=lasts)
    return {"live_id": live, "creator_id": host, "shop_id": shop, "title": "Chá ✨", "started_at": began,
            "ended_at": ended, **more}  # fmt: skip


@pytest.fixture(scope="module")
def rows() -> market.Rows:
    """The market, with sessions of every kind beside its own bare ones."""
    found = copy.deepcopy(market.rows())
    draw = random.Random(5)
    costs = {"host_cost": Decimal("40"), "slot_fee": Decimal("15.5")}
    hour = timedelta(hours=1)
    found["live_sessions"] = [
        session("L", "k1", "shop-02", START, LENGTH, **costs),
        session("both", "k1", "shop-02", START - 100 * hour, 30, **costs),
        session("host", "k1", "shop-05", START - 50 * hour, 20),
        session("open", "k2", "shop-02", START - 20 * hour, None),  # its minutes tell when it ended
        session("endless", "k1", "shop-02", START - 30 * hour, None),
        session("still on", "k1", "shop-02", START - hour, 61),
        session("later", "k1", "shop-02", START + 3 * hour, 10),
        session("shared", "k3", None, START, 20),
        session("silent", "k4", "shop-05", START, 30),
    ]
    own = dict.fromkeys(PRODUCTS, "shop-02")
    found["live_minutes"] = minutes("L", LENGTH, draw, LOST, SURGE)
    found["live_product_minutes"] = sales("L", LENGTH, own, draw, (*LOST, MUTE))
    for live, length, owners in (
        ("both", 30, own), ("host", 20, {"p05": "shop-05"}), ("open", 25, {"p02": "shop-02"}),
        ("still on", 61, own), ("later", 10, own), ("shared", 20, {"p02": "shop-02", "p09": "shop-09"}),
    ):  # fmt: skip
        found["live_minutes"] += minutes(live, length, draw)
        found["live_product_minutes"] += sales(live, length, owners, draw)
    found["live_drops"] = [
        {"live_id": "L", "at": START + timedelta(minutes=n, seconds=30), "coupon_id": coupon, "shop_id": "shop-02",
         "quantity": quantity, "claimed": claimed}
        for n, coupon, quantity, claimed in DROPS
    ]  # fmt: skip
    for table in ("order_lines", "ads"):
        for row in found[table]:
            row["live_id"] = {"live-1": "L", "live-2": "shared"}.get(row.get("live_id"))
    for row in found["live_sessions"]:
        clock = market.local(row["started_at"])
        row["day"], row["hour"] = clock.date(), clock.replace(minute=0, second=0, microsecond=0)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, rows: market.Rows) -> Path:
    made = tmp_path_factory.mktemp("rooms") / "store"
    market.write(made, rows)
    return made


@pytest.fixture(scope="module")
def store(folder: Path) -> Store:
    return open_store(str(folder))


def of(rows: market.Rows, table: str, live: str = "L") -> list[dict]:
    return [row for row in rows[table] if row.get("live_id") == live]


def rate(found: list[dict]) -> float:
    """GMV for each minute that has a row."""
    return float(sum(row["gmv"] for row in found)) / len({row["minute"] for row in found})


def test_the_summary_is_counted(opened: Callable[[Path], Store], folder: Path, rows: market.Rows):
    told = profile(opened(folder), "L").finding("summary")
    sold, crowd = of(rows, "live_product_minutes"), of(rows, "live_minutes")
    viewers = [row["viewers"] for row in crowd]
    numbers = told.numbers
    gmv = sum(row["gmv"] for row in sold)
    orders, clicks = sum(row["orders"] for row in sold), sum(row["clicks"] for row in sold)
    assert (numbers["gmv"], numbers["orders"], numbers["clicks"]) == (gmv, orders, clicks)
    assert (numbers["peak"], numbers["watched"], numbers["minutes"]) == (max(viewers), sum(viewers), LENGTH)
    assert numbers["viewers"] == pytest.approx(sum(viewers) / len(viewers))
    assert numbers["per_hour"] == pytest.approx(float(gmv) / (sum(viewers) / 60))
    assert numbers["conversion"] == pytest.approx(orders / clicks)
    assert numbers["claimed"] == 5
    assert numbers["joins"] == sum(row["joins_organic"] + row["joins_paid"] for row in crowd)
    assert "22:30 to 23:10 (40 min)" in told.sentence
    assert told.evidence is Evidence.MEASURED


def test_earlier_sessions_had_ended_before_it_began(store: Store, rows: market.Rows):
    told = profile(store, "L")
    numbers = told.finding("summary").numbers

    def worth(live):
        return sum(row["gmv"] for row in of(rows, "live_product_minutes", live))

    assert (numbers["host_sessions"], numbers["shop_sessions"]) == (2, 2)
    assert numbers["host_gmv"] == median([worth("both"), worth("host")])
    assert numbers["shop_gmv"] == median([worth("both"), worth("open")])
    assert numbers["shop_minutes"] == median([30, 25])
    peaks = [max(row["viewers"] for row in of(rows, "live_minutes", live)) for live in ("both", "host")]
    assert numbers["host_peak"] == median(peaks)
    assert numbers["host_claimed"] is None
    assert any("1 earlier sessions are left out" in caveat for caveat in told.caveats)
    recent = Period(market.local(START - timedelta(hours=50)).date(), market.local(START).date())
    within = profile(store, "L", recent).finding("summary").numbers
    assert (within["host_sessions"], within["host_gmv"]) == (1, worth("host"))


def test_medians_are_spoken_of_where_they_stand(store: Store):
    began = market.local(START).date()
    for period, shown in ((None, True), (Period(began + timedelta(days=1), began + timedelta(days=2)), False)):
        told = profile(store, "L", period).finding("summary")
        assert (len(told.grid.columns) > 2) == ("medians" in told.note) == shown


def test_what_order_lines_credit_stands_apart(store: Store, rows: market.Rows):
    numbers = profile(store, "L").finding("summary").numbers
    paid = {(x["order_id"], x["line"]) for x in rows["order_status"] if x["status"] == "paid"}
    lines = [x for x in of(rows, "order_lines") if (x["order_id"], x["line"]) in paid]
    own = {}
    for x in rows["order_discounts"]:
        if x["payer"] == "merchant":
            own[x["order_id"], x["line"]] = own.get((x["order_id"], x["line"]), 0) + x["amount"]
    gmv = sum(x["unit_price"] * x["quantity"] - own.get((x["order_id"], x["line"]), 0) for x in lines)
    assert numbers["credited_gmv"] == gmv != numbers["gmv"]
    assert numbers["credited_orders"] == len({x["order_id"] for x in lines})
    every = Period(date(2020, 1, 1), date(2030, 1, 1))
    profit = {x["live_id"]: x["merchant_profit"] for x in
              store.metrics(Query((m.MERCHANT_PROFIT,), every, by=("live_id",))).to_pylist()}["L"]  # fmt: skip
    assert numbers["merchant_profit"] == profit
    assert numbers["profit_after_room"] == profit - Decimal("55.5")


def test_pins_are_spans_without_a_break(store: Store, rows: market.Rows):
    told = profile(store, "L").finding("pins")
    sold = of(rows, "live_product_minutes")
    spans = []
    for product in PRODUCTS:
        pinned = [row["minute"] for row in sold if row["product_id"] == product and row["pinned"]]
        for n in pinned:
            if n - 1 not in pinned:
                last = n
                while last + 1 in pinned:
                    last += 1
                spans.append((n, product, last))
    assert [(r["first"], r["product_id"], r["last"]) for r in told.grid.rows] == sorted(spans)
    assert (10, "p99", 11) in spans
    for row in told.grid.rows:
        inside = [x for x in sold if row["first"] <= x["minute"] <= row["last"]]
        own = [x for x in inside if x["product_id"] == row["product_id"]]
        for name in ("impressions", "clicks", "orders", "gmv"):
            assert row[name] == sum(x[name] for x in own)
        assert row["ctr"] == pytest.approx(sum(x["clicks"] for x in own) / sum(x["impressions"] for x in own))
        assert row["rate"] == pytest.approx(rate(own))
        assert row["room"] == pytest.approx(rate(inside))
        assert row["elsewhere"] == pytest.approx(rate([x for x in sold if x not in inside]))
    assert told.evidence is Evidence.OBSERVATIONAL
    assert "not what it caused" in told.note


def test_drops_have_as_many_minutes_before_as_after(store: Store, rows: market.Rows):
    told = profile(store, "L").finding("drops")
    sold, crowd = of(rows, "live_product_minutes"), of(rows, "live_minutes")
    assert [(r["minute"], r["window"], r["claimed"]) for r in told.grid.rows] == [(4, 4, 5), (25, 10, None)]
    for row in told.grid.rows:
        at, window = row["minute"], row["window"]
        for side, inside in (("before", range(at - window, at)), ("after", range(at, at + window))):
            seen = [x["viewers"] for x in crowd if x["minute"] in inside]
            assert row[f"viewers_{side}"] == pytest.approx(sum(seen) / len(seen))
            assert row[f"orders_{side}"] == sum(x["orders"] for x in sold if x["minute"] in inside)
    assert told.evidence is Evidence.OBSERVATIONAL
    assert [r["window"] for r in profile(store, "L", settings=LiveSettings(window=3)).finding("drops").grid.rows] == [
        3,
        3,
    ]


def test_products_add_up(store: Store, rows: market.Rows):
    told = profile(store, "L").finding("products")
    sold = of(rows, "live_product_minutes")
    for row in told.grid.rows:
        own = [x for x in sold if x["product_id"] == row["product_id"]]
        assert row["pinned"] == sum(x["pinned"] for x in own)
        assert [row[n] for n in ("clicks", "orders", "gmv")] == [
            sum(x[n] for x in own) for n in ("clicks", "orders", "gmv")
        ]
    worth = [row["gmv"] for row in told.grid.rows]
    assert worth == sorted(worth, reverse=True)
    assert sum(worth) == profile(store, "L").finding("summary").numbers["gmv"]
    assert {row["product"] for row in told.grid.rows} == {"Crème № 2", "Crème № 14", "p99"}


def test_moments_are_what_is_beyond_the_usual(store: Store):
    told = profile(store, "L").finding("moments")
    [row] = told.grid.rows
    assert (row["minute"], row["clock"]) == (SURGE, "22:56")
    assert row["change"] == 80
    assert "78 came by paid traffic" in row["beside"]
    assert "coupon drop in minute 25" in row["beside"]
    assert "no longer" not in row["beside"]
    assert told.evidence is Evidence.OBSERVATIONAL


def test_the_timeline_shows_every_part(store: Store):
    spec = profile(store, "L").finding("timeline").chart
    said = json.dumps(spec, ensure_ascii=False)
    for words in (
        "Viewers",
        "organic joins",
        "paid joins",
        "leaves below",
        "GMV a minute",
        "Pinned",
        "5 of 20 claimed",
    ):
        assert words in said
    assert "Minute 12: nothing is known" in said


def test_a_replay_adds_up_to_the_profile(store: Store, rows: market.Rows):
    told = replay(store, "L")
    assert [frame.minute for frame in told.frames] == list(range(LENGTH))
    assert told.frames[0].clock == datetime(2024, 1, 9, 22, 30)
    assert told.frames[-1].gmv_so_far == profile(store, "L").finding("summary").numbers["gmv"]
    so_far = Decimal(0)
    for frame in told.frames:
        own = [x for x in of(rows, "live_product_minutes") if x["minute"] == frame.minute]
        assert frame.gmv == (sum(x["gmv"] for x in own) if own else None)
        so_far += frame.gmv or 0
        assert frame.gmv_so_far == so_far
        assert [pin.id for pin in frame.pinned] == [x["product_id"] for x in own if x["pinned"]]
    assert {f.minute: [d.coupon_id for d in f.drops] for f in told.frames if f.drops} == {
        4: ["coupon-0"],
        25: ["coupon-2"],
    }
    assert (told.frames[12].viewers, told.frames[12].orders, told.frames[MUTE].orders) == (None, None, None)
    assert told.beyond == ()
    plain = json.loads(json.dumps(jsonable(told), allow_nan=False))
    assert Decimal(plain["frames"][-1]["gmv_so_far"]) == so_far


def test_minutes_that_are_not_recorded_are_said(store: Store):
    caveats = " ".join(profile(store, "L").caveats)
    assert "The viewers of 2 of its 40 minutes are not recorded" in caveats
    assert "3 of its 40 minutes have no row of a product" in caveats
    assert "1 of its 3 products have no title" in caveats


def test_a_session_of_which_only_the_row_is_there(store: Store):
    told = profile(store, "silent")
    assert [finding.key for finding in told.findings] == ["summary"]
    caveats = " ".join(told.caveats)
    for words in ("no minutes of its viewers", "no minutes of its products", "no coupon drop"):
        assert words in caveats
    numbers = told.finding("summary").numbers
    assert (numbers["minutes"], numbers["gmv"], numbers["peak"], numbers["claimed"]) == (30, None, None, None)
    assert replay(store, "silent").frames == ()


def test_a_session_without_drops_has_no_such_finding(store: Store):
    told = profile(store, "both")
    assert "drops" not in [finding.key for finding in told.findings]
    assert any("no coupon drop" in caveat for caveat in told.caveats)


def test_a_bare_session_keeps_what_is_unknown_unknown(market_store: Store):
    """The market's own sessions name neither clicks nor orders nor when they ended."""
    told = profile(market_store, "live-3")
    numbers = told.finding("summary").numbers
    assert (numbers["gmv"], numbers["orders"], numbers["minutes"], numbers["peak"]) == (None, None, 3, 32)
    assert any("counted from its minutes" in caveat for caveat in told.caveats)
    assert any("Too few minutes of viewers" in caveat for caveat in told.caveats)
    assert told.finding("pins").grid.rows[0]["gmv"] is None
    json.dumps(told.as_dict(), allow_nan=False)


def test_a_merchant_sees_their_own_session_whole(store: Store):
    whole, own = profile(store, "L"), profile(store.scoped(Scope.of(["shop-02"])), "L")
    assert own.finding("summary").numbers["gmv"] == whole.finding("summary").numbers["gmv"]
    assert own.finding("summary").numbers["host_sessions"] == 1  # the host's session in another shop is not theirs
    assert any("your own products only" in caveat for caveat in own.caveats)


def test_in_a_session_of_several_shops_a_merchant_sees_their_own_products(store: Store, rows: market.Rows):
    own = store.scoped(Scope.of(["shop-02"]))
    told = profile(own, "shared")
    assert [finding.key for finding in told.findings] == ["summary", "timeline", "products", "pins"]
    numbers = told.finding("summary").numbers
    mine = [row for row in of(rows, "live_product_minutes", "shared") if row["shop_id"] == "shop-02"]
    assert numbers["gmv"] == sum(row["gmv"] for row in mine)
    assert (numbers["peak"], numbers["host_cost"]) == (None, None)
    assert any("sells for several shops" in caveat for caveat in told.caveats)
    for hidden in ("p09", "k3", "Zoë 3", "Chá", "shop-09"):
        assert hidden not in json.dumps(told.as_dict(), ensure_ascii=False)
    again = replay(own, "shared")
    assert again.own_only
    assert {pin.id for frame in again.frames for pin in frame.pinned} == {"p02"}
    assert again.frames[0].clock is None


def test_a_host_sees_their_own_session(store: Store):
    told = profile(store.scoped(Scope.of_creators(["k1"])), "L")
    numbers = told.finding("summary").numbers
    assert numbers["gmv"] == profile(store, "L").finding("summary").numbers["gmv"]
    assert "credited_gmv" not in numbers
    assert any("contribution is unknown" in caveat for caveat in told.caveats)
    assert numbers["shop_sessions"] == 1  # that of another host is not theirs


@pytest.mark.parametrize("scope", [Scope.of(["shop-05"]), Scope.of_creators(["k2"]), Scope.of([])])
@pytest.mark.parametrize("ask", [profile, replay])
def test_what_is_not_the_callers_reads_as_if_it_were_not_there(store: Store, scope: Scope, ask):
    def answer(id):
        with pytest.raises(NotFoundError, match="There is no such live session") as caught:
            ask(store.scoped(scope), id)
        return str(caught.value).replace(id, "…")

    assert answer("L") == answer("nobody's")


def test_a_source_without_live_sessions_has_none(bare_store: Store):
    with pytest.raises(NotFoundError, match="There is no such live session"):
        profile(bare_store, "live-1")


@pytest.mark.parametrize("wrong", [{"window": 0}, {"unusual": 0}, {"most_moments": 0}])
def test_settings_out_of_range_are_refused(wrong: dict):
    with pytest.raises(BadInputError, match="out of range"):
        LiveSettings(**wrong)
