"""Options that commands share, and what they stand for: a store, a period, a caller's shops."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Annotated

import typer

from tradewind.engines.store import FOLDER, Store, open_store
from tradewind.errors import BadInputError, MissingDataError, NotFoundError
from tradewind.faces.voice import Voice
from tradewind.measures.assume import Assumptions
from tradewind.period import ALLOWED, Period, parse_period
from tradewind.scope import Scope

DEFAULT_STORE = "tradewind-store"
DEFAULT_PERIOD = "last-month"
LATELY = "last-28d"
"""Days that actions rest on where none are named: they begin on the day after, which is none of the past."""

StoreOption = Annotated[
    str,
    typer.Option(
        "--store",
        metavar="ADDRESS",
        help=f"Folder of the store, or spark+MASTER:FOLDER. Else {FOLDER}, else ./{DEFAULT_STORE}.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer with one JSON document on standard output.")]
PeriodOption = Annotated[
    str, typer.Option("--period", metavar="PERIOD", help=f"Days in question: {ALLOWED}. The last complete month else.")
]
LatelyOption = Annotated[
    str, typer.Option("--period", metavar="PERIOD", help=f"Days to look back on; actions begin after. Else {LATELY}.")
]
ShopOption = Annotated[
    list[str] | None,
    typer.Option("--shop", metavar="SHOP", help="See what this shop may see, by shop id; repeat for several."),
]
AssumeOption = Annotated[
    list[str] | None,
    typer.Option("--assume", metavar="NAME=VALUE", help="Suppose where the source says nothing: margin=0.3."),
]
TopOption = Annotated[
    int | None,
    typer.Option("--top", min=0, metavar="N", help="Rows to show of each table; 0 for all.", show_default=False),
]


def address(given: str, voice: Voice) -> str:
    """Return the store's address: the one given, else the environment's, else the default, said aloud."""
    if given or os.environ.get(FOLDER):
        return given or os.environ[FOLDER]
    voice.note(f"Store: ./{DEFAULT_STORE}; name another with --store or {FOLDER}.")
    return DEFAULT_STORE


def opened(given: str, voice: Voice, shops: Sequence[str] = (), assume: Iterable[str] | None = None) -> Store:
    """Return the store that a command speaks of, as these shops see it and under these assumptions.

    Raises:
        NotFoundError: If there is no store there, or a shop is not in it.
        BadInputError: If the address or an assumption cannot be read.
    """
    store = open_store(address(given, voice)).assuming(Assumptions.parse(assume or ()))
    if not shops:
        return store
    lines = store.table("order_lines")
    known = set(
        store.run(lines.filter(lines.shop_id.isin(list(shops))).select("shop_id").distinct())["shop_id"].to_pylist()
    )
    for shop in shops:
        if shop not in known:
            near = get_close_matches(shop, store.run(lines.select("shop_id").distinct())["shop_id"].to_pylist())
            meant = f"is {' or '.join(near)} meant? " if near else ""
            do = f"{meant}`tradewind metrics gmv --by shop_id` lists them"
            raise NotFoundError("There is no such shop", got=shop, do=do)
    return store.scoped(Scope.of(shops))


def days(given: str, store: Store, voice: Voice) -> Period:
    """Return the period in question.

    Raises:
        BadInputError: If it cannot be read.
        MissingDataError: If the store holds no day of it.
    """
    period = parse_period(given or DEFAULT_PERIOD, store.span)
    inside = period.clipped(store.span)
    if inside is None:
        raise MissingDataError(
            "The store holds no day of this period",
            got=period,
            allowed=f"days from {store.span.first} to {store.span.last}",
        )
    if inside != period:
        voice.note(f"The store holds {inside.days} of the {period.days} days of {period.title}: {inside.title}.")
    return period


def listed(values: Iterable[str] | None) -> tuple[str, ...]:
    """Return values that were repeated or joined by commas, each once."""
    return tuple(dict.fromkeys(part.strip() for value in values or () for part in value.split(",") if part.strip()))


def filters(values: Iterable[str] | None) -> dict[str, tuple[str | None, ...]]:
    """Read filters as written on a command line: `department=GROCERY`, and `brand=` for rows without a brand.

    Raises:
        BadInputError: If one has no equals sign.
    """
    found: dict[str, tuple[str | None, ...]] = {}
    for value in values or ():
        name, equals, wanted = value.partition("=")
        if not equals:
            raise BadInputError(
                "A filter needs an equals sign", got=value, allowed="DIMENSION=VALUE, such as department=GROCERY"
            )
        found[name.strip()] = (*found.get(name.strip(), ()), wanted or None)
    return found


def parts(given: str) -> list[str]:
    """Return the names between commas."""
    return [part for part in (each.strip() for each in given.split(",")) if part]


def seeds(given: str) -> list[int]:
    """Return the seeds that `10` (the first ten), `100-109` or `3,5` stand for.

    Raises:
        BadInputError: If it can be read as none of these.
    """
    try:
        if "," in given:
            return [int(part) for part in parts(given)]
        first, dash, last = given.partition("-")
        return list(range(int(first), int(last) + 1)) if dash else list(range(int(first)))
    except ValueError:
        raise BadInputError("Seeds cannot be read", got=given, allowed=("10", "100-109", "3,5")) from None
