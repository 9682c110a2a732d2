"""The search index: everything with a page of its own that one caller may see, found by what it is called or by its id.

Titles are compared in lower case and without accents. What is written at the start of a title, of a word or of an id is
found in sorted arrays, so that a search costs as much as it finds; only where too few are found is the whole text read.
"""

from __future__ import annotations

import re
import threading
import unicodedata
import weakref
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tradewind.decisions.profiles.kinds import KINDS, Kind, listing
from tradewind.decisions.profiles.segments import SEGMENTS, known
from tradewind.engines.store import Store

Places = npt.NDArray[np.int64]

LAST = "\U0010ffff"
"""Sorts after every letter: a prefix reaches from itself to itself with this behind."""
_APART = {"ß": "ss", "ø": "o", "ł": "l", "đ": "d", "æ": "ae", "œ": "oe", "ı": "i", "þ": "th"}
"""Letters that Unicode does not take apart into a plain one and an accent."""
_ROOM = 100_000
"""Most characters of a query that are read; nobody calls anything by more."""


@dataclass(frozen=True)
class Hit:
    """One thing that was found.

    Args:
        kind: Its kind, from `KINDS`.
        id: Its id.
        title: What it is called.
    """

    kind: str
    id: str
    title: str


class Index:
    """What one caller may see, made ready to be searched.

    Args:
        kinds: Kind of each entity.
        ids: Its id.
        titles: What it is called.
    """

    def __init__(self, kinds: pa.Array, ids: pa.Array, titles: pa.Array):
        plain = _plain(titles)
        order = _order(kinds, ids, plain)
        self._kinds, self._ids, self._titles, self._plain = (
            column.take(order) for column in (kinds, ids, titles, plain)
        )
        self._by_title = _Sorted(self._plain)
        self._by_id = _Sorted(_plain(self._ids))
        self._words = _Words(self._plain)
        self._text = "\n".join(["", *self._plain.to_pylist(), ""])
        lengths = pc.utf8_length(self._plain).to_numpy(zero_copy_only=False).astype(np.int64)
        self._starts = np.cumsum(np.concatenate([[1], lengths + 1]))[:-1]

    def __len__(self) -> int:
        return len(self._ids)

    def count(self, kind: str) -> int:
        """Return how many of a kind there are."""
        return int(pc.sum(pc.equal(self._kinds, kind)).as_py() or 0)

    def search(self, text: str, limit: int = 20, kind: str | None = None) -> list[Hit]:
        """Return what fits a text best.

        First what has that very id, then titles that begin with it, titles of which some word begins with each word of
        it, ids that begin with it, and titles that hold it anywhere; of alike ones the shorter title.

        Args:
            text: What was typed; an empty one finds nothing.
            limit: Most entities to return.
            kind: Only of this kind; of all where None.
        """
        query = plain(text)
        found: dict[int, None] = {}
        for places in self._tiers(query) if query else ():
            found |= dict.fromkeys(self._first(places, limit, kind).tolist())
            if len(found) >= limit:
                break
        for place in self._holding(query) if query else ():
            if len(found) >= limit:
                break
            if kind is None or self._kinds[place].as_py() == kind:
                found.setdefault(place)
        return [self._hit(place) for place in list(found)[:limit]]

    def ids(self, text: str, kind: str) -> list[str]:
        """Return the ids of all of a kind that fit a text, for lists that show every one."""
        query = plain(text)
        if not query:
            return []
        holding = np.flatnonzero(pc.match_substring(self._plain, query).to_numpy(zero_copy_only=False))
        places = np.unique(np.concatenate([*self._tiers(query), holding]))
        ids: list[str] = self._ids.take(pa.array(self._of(places, kind))).to_pylist()
        return ids

    def _tiers(self, query: str) -> Iterator[Places]:
        """Places of what fits, the best fit first; later ones hold some of the earlier again."""
        yield self._by_id.equal(query)
        yield self._by_title.prefixed(query)
        yield self._words.prefixed(_words(query), len(self))
        yield self._by_id.prefixed(query)

    def _holding(self, query: str) -> Iterator[int]:
        """Places of titles that hold the query anywhere, in their order."""
        at = self._text.find(query)
        while at >= 0:
            place = int(np.searchsorted(self._starts, at, "right")) - 1
            yield place
            if place + 1 == len(self):
                return
            at = self._text.find(query, int(self._starts[place + 1]))

    def _first(self, places: Places, limit: int, kind: str | None) -> Places:
        kept = self._of(places, kind)
        return np.sort(np.partition(kept, limit)[:limit] if len(kept) > limit else kept)

    def _of(self, places: Places, kind: str | None) -> Places:
        if kind is None or not len(places):
            return places
        alike = pc.equal(self._kinds.take(pa.array(places)), kind).to_numpy(zero_copy_only=False)
        kept: Places = places[alike]
        return kept

    def _hit(self, place: int) -> Hit:
        return Hit(*(column[place].as_py() for column in (self._kinds, self._ids, self._titles)))


class _Sorted:
    """Texts in their order, with the place of each."""

    def __init__(self, texts: pa.Array):
        order = pc.sort_indices(texts)
        self._texts = texts.take(order).to_pylist()
        self._places: Places = order.to_numpy().astype(np.int64)

    def equal(self, text: str) -> Places:
        """Places of those that are the text."""
        return self._places[bisect_left(self._texts, text) : bisect_left(self._texts, text + "\0")]

    def prefixed(self, text: str) -> Places:
        """Places of those that begin with the text."""
        return self._places[self.span(text)]

    def span(self, text: str) -> slice:
        """Where those that begin with the text stand in the order."""
        return slice(bisect_left(self._texts, text), bisect_left(self._texts, text + LAST))


class _Words:
    """All words of all titles in their order, with the titles that hold each."""

    def __init__(self, titles: pa.Array):
        split = pc.split_pattern_regex(titles, pattern=r"[^\p{L}\p{N}]+")
        words = pc.list_flatten(split)
        parents = pc.list_parent_indices(split).to_numpy().astype(np.int64)
        order = pc.sort_indices(words).to_numpy().astype(np.int64)
        encoded = words.take(pa.array(order)).dictionary_encode()
        self._vocabulary: list[str] = encoded.dictionary.to_pylist()
        numbers = encoded.indices.to_numpy(zero_copy_only=False)
        self._begins = np.searchsorted(numbers, np.arange(len(self._vocabulary) + 1))
        self._places = parents[order]

    def prefixed(self, words: Sequence[str], size: int) -> Places:
        """Places of titles of which some word begins with each of these."""
        if not words:
            return np.empty(0, np.int64)
        every = np.ones(size, bool)
        for word in words:
            first, last = bisect_left(self._vocabulary, word), bisect_left(self._vocabulary, word + LAST)
            has = np.zeros(size, bool)
            has[self._places[self._begins[first] : self._begins[last]]] = True
            every &= has
        return np.flatnonzero(every)


_BUILT: weakref.WeakKeyDictionary[Store, Index] = weakref.WeakKeyDictionary()
_BUILDING = threading.Lock()


def index(store: Store) -> Index:
    """Return the search index of one caller, built once for each store instance.

    Args:
        store: The store, as the caller may see it: nothing that its scope does not show is in its index.
    """
    if store not in _BUILT:
        with _BUILDING:  # two who come at once wait for one to build
            if store not in _BUILT:
                _BUILT[store] = _built(store)
    return _BUILT[store]


def plain(text: str) -> str:
    """Return a text as it is compared: in lower case, without accents, spaces once."""
    apart = unicodedata.normalize("NFKD", text[:_ROOM].casefold())
    bare = "".join(letter for letter in apart if unicodedata.category(letter) != "Mn")
    for letter, instead in _APART.items():
        bare = bare.replace(letter, instead)
    return " ".join(bare.split())


def _words(query: str) -> list[str]:
    return [word for word in re.split(r"[\W_]+", query) if word]


def _plain(texts: pa.Array) -> pa.Array:
    """Return all texts as they are compared, as `plain` would one by one."""
    bare = pc.utf8_normalize(pc.utf8_lower(texts), form="NFKD")
    bare = pc.replace_substring_regex(bare, pattern=r"\p{Mn}+", replacement="")
    for letter, instead in _APART.items():
        bare = pc.replace_substring(bare, pattern=letter, replacement=instead)
    bare = pc.replace_substring_regex(bare, pattern=r"[\pZ\s]+", replacement=" ")
    return pc.utf8_trim(bare, characters=" ")


def _order(kinds: pa.Array, ids: pa.Array, titles: pa.Array) -> pa.Array:
    """Return the order in which equally good finds are told: the shorter title first, then by kind and id."""
    table = pa.table({"long": pc.utf8_length(titles), "kind": pc.index_in(kinds, pa.array(list(KINDS))), "id": ids})
    return pc.sort_indices(table, sort_keys=[(name, "ascending") for name in table.column_names])


def _built(store: Store) -> Index:
    parts = [part for kind in KINDS.values() if (part := _entities(store, kind)) is not None]
    table = store.run(ibis.union(*parts) if len(parts) > 1 else parts[0]) if parts else None
    kinds, ids, titles = (_column(table, name) for name in ("kind", "id", "title"))
    if known(store):
        kinds = pa.concat_arrays([kinds, pa.array(["segment"] * len(SEGMENTS), pa.string())])
        ids = pa.concat_arrays([ids, pa.array(list(SEGMENTS), pa.string())])
        titles = pa.concat_arrays([titles, pa.array([title for title, _ in SEGMENTS.values()], pa.string())])
    return Index(kinds, ids, titles)


def _entities(store: Store, of: Kind) -> ibis.Table | None:
    table = listing(store, of)
    if table is None:
        return None
    called = table[of.called] if of.called in table.columns else ibis.null("string")
    return table.select(kind=ibis.literal(of.name), id=table[of.key], title=called.coalesce(table[of.key]))


def _column(table: pa.Table | None, name: str) -> pa.Array:
    if table is None:
        return pa.array([], pa.string())
    return pc.cast(table[name].combine_chunks(), pa.string())
