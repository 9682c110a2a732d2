"""Keeping: values of the ground as JSON text and back, without loss.

The text is `{"format", "types", "words", "value"}`. In `value` a JSON array is a node, whose first item says which kind
it is of, and whatever is no array stands for itself. A declared type is `["Estimate", 1.0, 0.5, 1.5, 0.9]`, its fields
in the order that `types` says. Long lists of texts, such as customers, are numbers into `words`, so that a plan with
millions of them is read in a second. Only types that are declared here are made: nothing is looked up or evaluated.
"""

from __future__ import annotations

import base64
import dataclasses
import gc
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal, DecimalException
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from tradewind.errors import BadInputError
from tradewind.period import Period
from tradewind.study import (
    Action,
    Assignment,
    Choice,
    Column,
    Estimate,
    Evidence,
    Finding,
    Grid,
    LeftOut,
    Lever,
    Party,
    Plan,
    Provenance,
    Purse,
    Rule,
    Setting,
    Study,
    Subject,
)

FORMAT = 1
TYPES: Mapping[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        Action, Assignment, Choice, Column, Estimate, Finding, Grid, LeftOut, Period, Plan, Provenance, Purse, Rule,
        Setting, Study, Subject,
    )
}  # fmt: skip
"""The frozen dataclasses that can be kept, by name."""
ENUMS: Mapping[str, type[StrEnum]] = {kind.__name__: kind for kind in (Evidence, Lever, Party)}
"""The enumerations that can be kept, by name."""

LIST, TUPLE, MAP, TEXTS, PLAIN = "list", "tuple", "map", "texts", "plain"
FLOAT, DECIMAL, DAY, MOMENT = "float", "decimal", "day", "moment"
LONG = 16
"""Texts from which on a list of them is kept as numbers into the table of words."""
NARROW, WIDE = "<u2", "<u4"
"""How numbers of words are kept: in two bytes, while there are few enough words, or in four."""

Read = Callable[[list[Any]], Any]

_FIELDS = {kind: tuple(field.name for field in dataclasses.fields(kind)) for kind in TYPES.values()}


def kept(value: Any) -> str:
    """Return a value as text, from which `read` makes one that is equal to it and of the same types.

    Kept are None, truth values, whole numbers, floats (not finite ones too), decimals, texts, days, moments, lists,
    tuples, mappings (as dictionaries), and the types and enumerations declared here. Numbers of NumPy become Python's.

    Raises:
        BadInputError: If there is something else in it.
    """
    writer = _Writer()
    node = writer.node(value)
    writer.end()
    types = {kind.__name__: _FIELDS[kind] for kind in TYPES.values() if kind in writer.types}
    said = {"format": FORMAT, "types": types, "words": list(writer.words), "value": node}
    try:
        return json.dumps(said, allow_nan=False, separators=(",", ":"))
    except ValueError as error:  # such as a whole number of more digits than Python reads back
        raise BadInputError("A value cannot be kept", got=str(error)) from error


def read(text: str) -> Any:
    """Return the value that a text keeps.

    Raises:
        BadInputError: If the text is no such one or of another format, names a type that is not declared, or holds
            what its type refuses.
    """
    with _uncollected(), _understood():
        said = json.loads(text, parse_constant=_refused)
        if not isinstance(said, dict) or "format" not in said:
            raise BadInputError("This text keeps no value of Tradewind's", got=text[:40])
        if said["format"] != FORMAT:
            raise BadInputError(
                "What is kept is of another format", got=said["format"], allowed=str(FORMAT), do="make it anew"
            )
        kinds, node = _kinds(said["types"], said["words"]), said["value"]
        return kinds[node[0]](node) if type(node) is list else node


@contextmanager
def _understood() -> Iterator[None]:
    """Turn what is wrong with a text into words."""
    try:
        yield
    except (LookupError, TypeError, ValueError, DecimalException, RecursionError) as error:
        raise BadInputError("What is kept cannot be read", got=str(error)[:200], do="make it anew") from error


@contextmanager
def _uncollected() -> Iterator[None]:
    """Let no garbage be looked for meanwhile: all that is made is there to stay, and looking takes half of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


class _Writer:
    """Makes nodes of values.

    Attributes:
        words: Words of long lists with their numbers.
        types: Types met.
    """

    def __init__(self) -> None:
        self.words: dict[str, int] = {}
        self.types: set[type[Any]] = set()
        self._texts: list[tuple[list[Any], NDArray[np.uint32]]] = []

    def end(self) -> None:
        """Write the numbers of all words, each as wide as need be."""
        code = NARROW if len(self.words) <= 1 << 16 else WIDE
        for node, numbers in self._texts:
            node += [code, base64.b64encode(numbers.astype(code).tobytes()).decode("ascii")]

    def node(self, value: Any) -> Any:
        """Return a value's node."""
        kind = type(value)
        if value is None or kind is str or kind is bool or kind is int:
            return value
        if kind is float:
            return value if math.isfinite(value) else [FLOAT, repr(value)]
        if (fields := _FIELDS.get(kind)) is not None:
            self.types.add(kind)
            return [kind.__name__, *(self.node(getattr(value, name)) for name in fields)]
        if kind is dict or isinstance(value, Mapping):
            return self._map(value)
        if kind is list or kind is tuple:
            return self._items(value, LIST if kind is list else TUPLE)
        return self._rare(value)

    def _map(self, value: Mapping[Any, Any]) -> list[Any]:
        if _plain(value):
            return [PLAIN, dict(value)]
        found: list[Any] = [MAP]
        for key, part in value.items():
            found += (self.node(key), self.node(part))
        return found

    def _items(self, value: list[Any] | tuple[Any, ...], tag: str) -> list[Any]:
        if len(value) >= LONG and set(map(type, value)) == {str}:
            node: list[Any] = [TEXTS, tag]
            self._texts.append((node, self._numbers(value)))
            return node
        if tag == LIST and _plain(value):
            return [PLAIN, value]
        return [tag, *map(self.node, value)]

    def _numbers(self, texts: Sequence[str]) -> NDArray[np.uint32]:
        words = self.words
        try:
            return np.array(list(map(words.__getitem__, texts)), np.uint32)
        except KeyError:
            for word in texts:
                words.setdefault(word, len(words))
            return np.array(list(map(words.__getitem__, texts)), np.uint32)

    def _rare(self, value: Any) -> Any:
        if isinstance(value, StrEnum):
            if ENUMS.get(type(value).__name__) is type(value):
                return [type(value).__name__, str(value)]
        elif isinstance(value, Decimal):
            return [DECIMAL, str(value)]
        elif isinstance(value, datetime):
            return [MOMENT, value.replace(tzinfo=None).isoformat(), value.fold, _zone_said(value)]
        elif isinstance(value, date):
            return [DAY, value.isoformat()]
        elif type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
            plain = value.item()
            if type(plain) is not type(value):
                return self.node(plain)
        raise BadInputError(
            "A value of this type cannot be kept", got=type(value).__qualname__,
            allowed=["numbers", "texts", "days", "lists", "mappings", *TYPES, *ENUMS],
        )  # fmt: skip


def _plain(value: Any) -> bool:
    """Whether JSON says a value as it is, all that is in it too."""
    kind = type(value)
    if kind is float:
        return math.isfinite(value)
    if kind is dict:
        return all(type(key) is str and _plain(part) for key, part in value.items())
    if kind is list:
        return all(map(_plain, value))
    return value is None or kind is str or kind is bool or kind is int


def _zone_said(moment: datetime) -> str | None:
    """Return a moment's timezone: a name, an offset from UTC in seconds as `+3600.0`, or None."""
    zone = moment.tzinfo
    if zone is None:
        return None
    if isinstance(zone, ZoneInfo) and zone.key is not None:
        return zone.key
    if isinstance(zone, timezone):
        return f"{zone.utcoffset(None).total_seconds():+}"
    raise BadInputError("A moment's timezone cannot be kept", got=repr(zone), allowed="one with a name, or an offset")


class _Kinds(dict[str, Read]):
    """What makes a value of each kind of node."""

    def __missing__(self, name: object) -> Read:
        raise BadInputError(
            "What is kept names a type that is not known here", got=str(name)[:80], allowed=[*TYPES, *ENUMS],
            do="update Tradewind, or make it anew",
        )  # fmt: skip


def _kinds(types: Mapping[str, list[str]], words: list[str]) -> _Kinds:
    """Return what makes a value of each kind of node.

    Args:
        types: Names of the fields of each type, as they were written.
        words: The words of long lists.
    """
    known = np.array([*words, None], object)[:-1]  # not an array of texts, each as long as the longest

    def every(nodes: list[Any]) -> list[Any]:
        return [kinds[node[0]](node) if type(node) is list else node for node in nodes]

    def mapping(node: list[Any]) -> dict[Any, Any]:
        parts = every(node[1:])
        return dict(zip(parts[::2], parts[1::2], strict=True))

    def texts(node: list[Any]) -> list[str] | tuple[str, ...]:
        _, tag, code, packed = node
        if code not in {NARROW, WIDE} or tag not in {LIST, TUPLE}:
            raise ValueError(f"a list of texts is kept as {tag} {code}")
        found = known.take(np.frombuffer(base64.b64decode(packed, validate=True), code)).tolist()
        return found if tag == LIST else tuple(found)

    def made(kind: type[Any], fields: list[str]) -> Read:
        declared = _FIELDS[kind]
        if strange := set(fields) - set(declared):
            raise BadInputError(
                f"A {kind.__name__} has no such field", got=sorted(strange), allowed=declared, do="update Tradewind"
            )
        if tuple(fields) != declared:  # written before a field was added, which has a default
            return lambda node: kind(**dict(zip(fields, every(node[1:]), strict=True)))

        def whole(node: list[Any]) -> Any:
            # as `every` does, without a call: there are a hundred thousand of these in a plan
            return kind(*[kinds[part[0]](part) if type(part) is list else part for part in node[1:]])

        return whole

    kinds = _Kinds(
        {
            LIST: lambda node: every(node[1:]),
            TUPLE: lambda node: tuple(every(node[1:])),
            MAP: mapping,
            TEXTS: texts,
            PLAIN: lambda node: node[1],
            FLOAT: lambda node: float(node[1]),
            DECIMAL: lambda node: Decimal(node[1]),
            DAY: lambda node: date.fromisoformat(node[1]),
            MOMENT: _moment,
        }
    )
    for name, members in ENUMS.items():
        kinds[name] = _member({str(member): member for member in members})
    for name, fields in types.items():
        kinds[name] = made(TYPES[name], fields) if name in TYPES else kinds[name]
    return kinds


def _member(members: Mapping[str, StrEnum]) -> Read:
    return lambda node: members[node[1]]


def _moment(node: list[Any]) -> datetime:
    _, said, fold, name = node
    zone: timezone | ZoneInfo | None = None
    if name is not None:
        zone = timezone(timedelta(seconds=float(name))) if name[0] in "+-" else ZoneInfo(name)
    return datetime.fromisoformat(said).replace(tzinfo=zone, fold=fold)


def _refused(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
