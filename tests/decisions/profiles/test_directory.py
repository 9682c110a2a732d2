"""Lists and the search index: what is found, in which order, and how much of it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

import market
from oracles import loops
from tradewind.decisions.profiles import index, kinds, listed
from tradewind.decisions.profiles.index import Index, _plain, plain
from tradewind.engines.store import Store, open_store
from tradewind.errors import BadInputError, NotFoundError
from tradewind.period import Period

NOW = Period(date(2024, 1, 1), date(2024, 1, 28))
NAMED = (
    ("product", "p1", "Crème brûlée"), ("product", "p2", "Red crème"), ("product", "p3", "Scream"),
    ("shop", "creme", "Nothing alike"), ("product", "p4", "CREME"), ("creator", "cremeux", "Zoë"),
    ("shop", "s1", "北京茶庄"), ("shop", "s2", "Straße & Øl"), ("shop", "s3", "Łódź shoes"),
    ("product", "p10", "Ice-cream"),
)  # fmt: skip


@pytest.fixture(scope="module")
def named() -> Index:
    kinds, ids, titles = (pa.array(column) for column in zip(*NAMED, strict=True))
    return Index(kinds, ids, titles)


def found(of: Index, text: str, **how: object) -> list[str]:
    return [hit.id for hit in of.search(text, **how)]  # type: ignore[arg-type]


def test_ranking(named: Index) -> None:
    """The very id, then the start of a title (the shorter first), of a word, of an id, then anywhere."""
    assert found(named, "creme") == ["creme", "p4", "p1", "p2", "cremeux"]
    assert found(named, "cream") == ["p10", "p3"]
    assert found(named, "p1") == ["p1", "p10"]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("CRÈME", ["creme", "p4", "p1", "p2", "cremeux"]), ("brul crem", ["p1"]), ("  red   creme ", ["p2"]),
        ("茶", ["s1"]), ("北京", ["s1"]), ("strasse", ["s2"]), ("ol", ["s2"]), ("lodz", ["s3"]), ("zoe", ["cremeux"]),
        ("", []), ("   ", []), ("nowhere", []), ("red white", []), ("&", ["s2"]), ("-", ["p10"]), ("\n", []),
    ],
)  # fmt: skip
def test_what_is_found(named: Index, text: str, ids: list[str]) -> None:
    assert found(named, text) == ids


def test_limits_and_kinds(named: Index) -> None:
    assert found(named, "creme", limit=2) == ["creme", "p4"]
    assert found(named, "creme", kind="product") == ["p4", "p1", "p2"]
    assert found(named, "c", kind="creator") == ["cremeux"]
    assert sorted(named.ids("creme", "product")) == ["p1", "p2", "p4"]
    assert sorted(named.ids("cream", "product")) == ["p10", "p3"]
    assert named.ids("", "product") == []
    assert named.count("product") == 5


def test_one_by_one_and_all_at_once_are_the_same() -> None:
    texts = [
        "Straße",
        "ÉCLAIR\u00a0x",
        "Łódź  Øl",
        "ﬁne № 7",
        "İstanbul",
        "北京茶庄",
        "",
        "Ao vivo ✨",
        "Äpfel\tÖl",
        "Œuf",
    ]
    assert _plain(pa.array(texts)).to_pylist() == [plain(text) for text in texts]


def test_an_index_of_nothing() -> None:
    nothing = pa.array([], pa.string())
    empty = Index(nothing, nothing, nothing)
    assert empty.search("a") == []
    assert empty.ids("a", "shop") == []


def test_the_markets_index(market_store: Store, market_rows: market.Rows) -> None:
    built = index(market_store)
    for name in ("shop", "product", "creator"):
        assert built.count(name) == len(market_rows[f"{name}s"])
    assert built.count("live") == len(market_rows["live_sessions"])
    assert [hit.kind for hit in built.search("zoe 3")] == ["creator"]
    assert built.search("live-3")[0].title == "Ao vivo ✨"
    assert built.search("one-time")[0].id == "once"


def test_lists(market_store: Store, market_rows: market.Rows) -> None:
    facts = loops.facts(market_rows)
    for name in ("shop", "product", "creator", "live"):
        key = f"{name}_id"
        period = market.SPAN if name == "live" else NOW
        answer = loops.measure(facts, ("gmv", "orders"), period, by=(key,))
        rows = listed(market_store, name, period, limit=1000)
        table = "live_sessions" if name == "live" else f"{name}s"
        assert rows.total == len(rows.rows) == len(market_rows[table])
        for row in rows.rows:
            wanted = answer.get((row[key],), {"gmv": Decimal(0), "orders": 0})
            assert {n: row[n] for n in wanted} == wanted
        gmv = [row["gmv"] for row in rows.rows]
        assert gmv == sorted(gmv, reverse=True)


def test_parts_of_a_list_make_the_whole(market_store: Store) -> None:
    whole = listed(market_store, "product", NOW, limit=1000)
    parts = [listed(market_store, "product", NOW, limit=7, offset=n) for n in range(0, 35, 7)]
    assert tuple(row for part in parts for row in part.rows) == whole.rows
    assert {part.total for part in parts} == {whole.total}


def test_a_list_of_what_fits(market_store: Store, market_rows: market.Rows) -> None:
    wanted = [r["shop_id"] for r in market_rows["shops"] if r["name"].startswith("Maré")]
    rows = listed(market_store, "shop", NOW, query="mare", order="title", limit=1)
    assert rows.total == len(wanted)
    assert rows.rows[0]["shop_id"] in wanted
    assert listed(market_store, "shop", NOW, query="nowhere").total == 0


def test_what_cannot_be_listed(market_store: Store) -> None:
    with pytest.raises(NotFoundError):
        listed(market_store, "parcel", NOW)
    for wrong in ({"order": "colour"}, {"limit": 0}, {"limit": 5000}, {"offset": -1}):
        with pytest.raises(BadInputError):
            listed(market_store, "shop", NOW, **wrong)
    with pytest.raises(BadInputError):
        listed(market_store, "segment", NOW, order="colour")


def test_a_source_that_names_nothing(bare_folder: Path, market_rows: market.Rows) -> None:
    bare = open_store(str(bare_folder))
    rows = listed(bare, "shop", NOW)
    assert rows.total == len({line["shop_id"] for line in market_rows["order_lines"]})
    assert all(row["title"] == row["shop_id"] for row in rows.rows)
    assert listed(bare, "creator", NOW).total == 0
    assert [kind.name for kind in kinds(bare)] == ["shop", "product"]
