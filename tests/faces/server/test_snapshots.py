"""A request keeps to one snapshot of the store, whatever is imported while it is answered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from desks import served

from tradewind.engines.store import open_store
from tradewind.scope import Scope


def after(office: Any, name: str, then: Callable[[], None]) -> None:
    """Let something happen each time that a method of the office has answered."""
    method = getattr(office, name)

    def wrapped(*given: Any) -> Any:
        found = method(*given)
        then()
        return found

    setattr(office, name, wrapped)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/?period=2024-01", "brief"), ("/data", "check"), ("/shops?period=2024-01", "listed"),
        ("/products?period=2024-01&q=p", "listed"), ("/api/v1/metrics", "check"), ("/search?q=shop", "index"),
        ("/shops/shop-02?period=2024-01", "profile"), ("/why?period=2024-01", "tree"),
    ],
)  # fmt: skip
def test_a_reader_keeps_the_snapshot_while_an_import_commits(
    market_copy: Path, tmp_path: Path, path: str, query: str
) -> None:
    """Between the first query of a page and its last, half of the orders go; the page knows nothing of that."""
    store = open_store(str(market_copy))
    lines = store.table("order_lines")
    fewer = store.run(lines.filter(lines.shop_id != "shop-02"))
    with served(market_copy, tmp_path) as server:
        calm = server.client.get(path)
        assert calm.status_code == 200
        assert "000001" in calm.text
        written: list[str] = []

        def imported() -> None:
            if not written:
                written.append(open_store(str(market_copy)).write({"order_lines": fewer}).manifest.name)

        after(server.office, query, imported)
        during = server.client.get(path)
        assert written == ["000002"]
        assert _plain(during.text) == _plain(calm.text)
        later = server.client.get(path)
        assert "000002" in later.text or later.status_code == 404
        assert "000001" not in later.text


def _plain(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if 'name="form"' not in line)


def test_a_shop_is_narrowed_to_in_the_snapshot_that_was_looked_at(market_copy: Path, tmp_path: Path) -> None:
    with served(market_copy, tmp_path) as server:
        seen = server.office.store(Scope.of(["shop-02", "shop-05"]))
        store = open_store(str(market_copy))
        store.write({"shops": store.run(store.table("shops"))})
        assert server.office.store().manifest.name == "000002"
        assert server.office.narrowed(seen, "shop-02").manifest.name == "000001"
