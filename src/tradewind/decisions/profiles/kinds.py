"""Kinds: what has a page of its own, where it is listed, and how one of them is looked up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import ibis

from tradewind.engines.store import Store
from tradewind.errors import NotFoundError


@dataclass(frozen=True)
class Kind:
    """What has a page of its own.

    Args:
        name: Its name, also that of the module with its profile.
        title: What the reader sees.
        plural: Several of them, as the reader sees it.
        table: The canonical table that lists them; None where they are not listed but computed.
        key: The column of its id, there and in every grid that names one.
        called: The column of the table that it is called by.
        seen_in: Tables that name it too, for a source without the table.
    """

    name: str
    title: str
    plural: str
    table: str | None
    key: str
    called: str
    seen_in: tuple[str, ...] = ()


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("shop", "Shop", "Shops", "shops", "shop_id", "name", ("order_lines",)),
        Kind("product", "Product", "Products", "products", "product_id", "title", ("order_lines",)),
        Kind("creator", "Creator", "Creators", "creators", "creator_id", "name", ("order_lines", "live_sessions")),
        Kind("live", "Live session", "Live sessions", "live_sessions", "live_id", "title"),
        Kind("segment", "Customer segment", "Customer segments", None, "segment", "title"),
    )
}


@dataclass(frozen=True)
class Entity:
    """One of a kind, as the caller may see it.

    Args:
        kind: Its kind.
        id: Its id.
        title: What it is called; its id where it has no name.
        facts: Its row in its table; empty where the source has no such table.
    """

    kind: Kind
    id: str
    title: str
    facts: Mapping[str, Any]


def kind(name: str) -> Kind:
    """Return the kind of that name.

    Raises:
        NotFoundError: If there is none.
    """
    if name not in KINDS:
        raise NotFoundError("There is no such kind of page", got=name, allowed=sorted(KINDS))
    return KINDS[name]


def no_such(of: Kind, id: str) -> NotFoundError:
    """Return the error for an id that does not exist, or that the caller may not see: nobody can tell which."""
    return NotFoundError(f"There is no such {of.title.lower()}", got=id)


def entity(store: Store, name: str, id: str) -> Entity:
    """Return one of a kind.

    Raises:
        NotFoundError: If it does not exist, or the caller may not see it, in the same words.
    """
    of = kind(name)
    table = listing(store, of)
    if table is None:
        raise no_such(of, id)
    found = store.run(table.filter(table[of.key] == id).limit(1)).to_pylist()
    if not found:
        raise no_such(of, id)
    return Entity(of, id, found[0].get(of.called) or id, found[0])


def listing(store: Store, of: Kind) -> ibis.Table | None:
    """Return all of a kind that the caller may see, a row each, or None where the source knows of none.

    A source without their table still names them in others; then there is the id alone.
    """
    if of.table is not None and store.has(of.table):
        return store.table(of.table)
    for name in of.seen_in:
        if store.has(name, of.key):
            rows = store.table(name)
            return rows.filter(rows[of.key].notnull()).select(of.key).distinct()
    return None


def titles(store: Store, wanted: Mapping[str, Iterable[str]]) -> dict[tuple[str, str], str]:
    """Return what entities are called, in one pass.

    Args:
        store: The store, as the caller may see it.
        wanted: Ids by kind.

    Returns:
        Title by kind and id, of those that the caller may see and that have one.
    """
    parts = []
    for name, ids in wanted.items():
        of, some = KINDS[name], sorted(set(ids))
        if some and of.table is not None and store.has(of.table, of.called):
            table = store.table(of.table)
            named = table.filter(table[of.key].isin(some), table[of.called].notnull())
            parts.append(named.select(kind=ibis.literal(name), id=named[of.key], title=named[of.called]))
    if not parts:
        return {}
    rows = store.run(ibis.union(*parts) if len(parts) > 1 else parts[0]).to_pylist()
    return {(row["kind"], row["id"]): row["title"] for row in rows}
