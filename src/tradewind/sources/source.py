"""Sources: folders that say which files hold a marketplace's data and how they become canonical tables."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from zoneinfo import ZoneInfo

from tradewind.errors import BadInputError, NotFoundError
from tradewind.holidays import countries
from tradewind.money import WHOLE
from tradewind.tables import TABLES

SHIPPED = Path(__file__).parent
DECLARATION = "source.toml"
SKIPPED = "skipped"

Replace = Literal["days", "keys", "parents"]

BLANKS = ("\u0020", "\u00a0", "\u202f")

_AMOUNTS = re.compile(r"1([,.' \u2019\u00a0\u202f]?)234(?:([,.])56)?")  # 1234.56, or 1234 without cents
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")
_CURRENCY = re.compile(r"[A-Z]{3}")


@dataclass(frozen=True, slots=True)
class Files:
    """One kind of file that a source reads, under the name that its SQL selects from.

    Args:
        name: Name of the kind, such as `orders`.
        pattern: Which files these are, as a pattern inside the data folder, such as `orders*.csv`.
        columns: Columns that each file must have.
        optional: Columns that a file may lack; they are then null.
        required: Whether an import without such a file is an error.
        each: Whether each row must be taken by a table, be rejected or be skipped; otherwise rows are combined.
        delimiter: What stands between fields, or None to tell it from the header.
        skip: Why these files are not read at all, where they are not.
    """

    name: str
    pattern: str
    columns: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    required: bool = True
    each: bool = True
    delimiter: str | None = None
    skip: str = ""


@dataclass(frozen=True, slots=True)
class Package:
    """A Python package that carries a source's files.

    Args:
        name: Name by which it is imported.
        folder: Folder inside it that holds the files.
        install: The command that installs it.
    """

    name: str
    folder: str
    install: str


@dataclass(frozen=True)
class Source:
    """A source as declared by its folder.

    Args:
        name: Name of the source; a store remembers it.
        folder: Where `source.toml` and the SQL stand.
        licence: Licence of the data.
        notice: What must be shown beside every number of it.
        currency: ISO 4217 code of every amount.
        timezone: IANA name of the zone whose days the store counts in.
        country: ISO 3166-1 alpha-2 code of the country whose public holidays count; empty where none is named.
        simulated: Whether the data were made rather than observed.
        whole_marketplace: Whether they are of all sellers of a marketplace, not of a part such as a brand's own shops.
        moments: Further formats of moments, in the notation of `strptime`, that the macro `moment` tries.
        amounts: How the macro `money` finds 1234.56 written, such as `1.234,56`; empty where with a point alone.
        files: What it reads.
        tables: SQL text by canonical table.
        steps: SQL text by step, in order; steps are selected from by later steps and by the tables.
        skipped: SQL text that names the rows left out on purpose, with the reason; empty where none are.
        replace: How a later import replaces rows of a table, where not in the usual way.
        package: The package that carries the files, if one does.
    """

    name: str
    folder: Path
    licence: str
    notice: str
    currency: str
    timezone: str
    country: str = ""
    simulated: bool = False
    whole_marketplace: bool = False
    moments: tuple[str, ...] = ()
    amounts: str = ""
    files: tuple[Files, ...] = ()
    tables: Mapping[str, str] = field(default_factory=dict)
    steps: Mapping[str, str] = field(default_factory=dict)
    skipped: str = ""
    replace: Mapping[str, Replace] = field(default_factory=dict)
    package: Package | None = None

    @property
    def whole(self) -> bool:
        """Whether the currency has no cents."""
        return self.currency in WHOLE

    def reads(self, table: str) -> frozenset[str]:
        """Return the kinds of files that a table's SQL selects from, itself or through steps."""
        kinds = {kind.name for kind in self.files}
        found: set[str] = set()
        waiting = [self.tables[table]]
        steps = dict(self.steps)
        while waiting:
            words = set(re.findall(r"\w+", waiting.pop()))
            found |= words & kinds
            waiting += [steps.pop(step) for step in words & set(steps)]
        return frozenset(found)

    def data_folder(self, data: Path | None) -> Path:
        """Return the folder that holds the files: the one given, else the one that the source's package carries.

        Raises:
            BadInputError: If none is given and none can be found, or it is not a folder.
        """
        if data is not None:
            if not data.is_dir():
                raise BadInputError(
                    "The data folder does not exist", got=data, do="name the folder that holds the source's files"
                )
            return data
        if self.package is None:
            raise BadInputError(
                f"The source {self.name} needs a folder of files", do=f"tradewind import {self.name} --data FOLDER"
            )
        found = importlib.util.find_spec(self.package.name)
        if found is None or found.origin is None:
            raise BadInputError(
                f"The source {self.name} reads the Python package {self.package.name}, which is not installed",
                do=f"{self.package.install}, or give --data FOLDER",
            )
        return Path(found.origin).parent / self.package.folder


def marks(sample: str) -> tuple[str, str] | None:
    """Return what stands between thousands and before cents where 1234.56 is written so; None where it is not.

    >>> marks("1.234,56")
    ('.', ',')
    """
    found = _AMOUNTS.fullmatch(sample)
    if found is None or found[1] == found[2]:
        return None
    return found[1], found[2] or ""


def names() -> list[str]:
    """Return the names of the sources that ship with Tradewind."""
    return sorted(path.parent.name for path in SHIPPED.glob(f"*/{DECLARATION}"))


def load(name_or_path: str | Path) -> Source:
    """Read a source.

    Args:
        name_or_path: Name of a shipped source, or the folder of one's own.

    Returns:
        The source as its folder declares it.

    Raises:
        NotFoundError: If there is no such source.
        BadInputError: If its folder does not declare a source properly.
    """
    named = str(name_or_path)
    folder = SHIPPED / named if named in names() else Path(name_or_path)
    if not (folder / DECLARATION).is_file():
        raise NotFoundError(
            "There is no such source",
            got=named,
            allowed=[*names(), f"a folder with a {DECLARATION}"],
            do="name one of these, or begin one with `tradewind source new NAME`",
        )
    try:
        body = tomllib.loads((folder / DECLARATION).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInputError(f"{folder / DECLARATION} is not TOML", got=error, do="mend it at that line") from error
    return _Reader(folder).source(body)


class _Reader:
    """Reads one source's folder; every complaint names the file and the setting."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.path = folder / DECLARATION

    def source(self, body: dict[str, Any]) -> Source:
        known = {*Source.__dataclass_fields__} - {"folder", "steps", "skipped"}
        self._only(body, known, "the source")
        if not isinstance(body.get("tables", {}), dict) or not isinstance(body.get("files", {}), dict):
            raise BadInputError(f"`files` and `tables` of {self.path} are sections", allowed="[files.orders]")
        files = tuple(self._files(name, part) for name, part in body.get("files", {}).items())
        if not files:
            raise BadInputError(f"{self.path} declares no files", do="add a section such as [files.orders]")
        tables, steps, skipped = self._sql()
        package = body.get("package")
        if package is not None:
            self._only(package, {"name", "folder", "install"}, "[package]")
            package = Package(*(self._text(package, key) for key in ("name", "folder", "install")))
        return Source(
            name=self._name(body),
            folder=self.folder,
            licence=self._text(body, "licence"),
            notice=self._text(body, "notice"),
            currency=self._currency(body),
            timezone=self._zone(body),
            country=self._country(body),
            simulated=self._flag(body, "simulated", False),
            whole_marketplace=self._flag(body, "whole_marketplace", False),
            moments=self._texts(body, "moments"),
            amounts=self._amounts(body),
            files=files,
            tables=tables,
            steps=steps,
            skipped=skipped,
            replace=self._replace(body.get("tables", {})),
            package=package,
        )

    def _files(self, name: str, body: Any) -> Files:
        where = f"[files.{name}]"
        if not isinstance(body, dict):
            raise BadInputError(f"{where} of {self.path} is not a section", got=body)
        self._only(body, {"pattern", "columns", "optional", "required", "rows", "delimiter", "skip"}, where)
        if not _IDENTIFIER.fullmatch(name):
            raise BadInputError(
                f"The name of {where} cannot be selected from in SQL",
                got=name,
                allowed="small letters, digits and _, beginning with a letter",
            )
        pattern = self._text(body, "pattern")
        if PurePosixPath(pattern).is_absolute() or ".." in PurePosixPath(pattern).parts:
            raise BadInputError(f"The pattern of {where} leaves the data folder", got=pattern, allowed="orders*.csv")
        rows = body.get("rows", "each")
        if rows not in ("each", "together"):
            raise BadInputError(f"`rows` of {where} is neither of two", got=rows, allowed=["each", "together"])
        delimiter = body.get("delimiter")
        if delimiter is not None and (not isinstance(delimiter, str) or len(delimiter) != 1):
            raise BadInputError(f"`delimiter` of {where} is not one character", got=delimiter, allowed=", ; | or a tab")
        skip = body.get("skip", "")
        columns = self._texts(body, "columns")
        if not columns and not skip:
            raise BadInputError(f"{where} of {self.path} names no columns", do='add columns = ["order_id", ...]')
        required = self._flag(body, "required", not skip)
        return Files(
            name, pattern, columns, self._texts(body, "optional"), required, rows == "each", delimiter, str(skip)
        )

    def _sql(self) -> tuple[dict[str, str], dict[str, str], str]:
        tables: dict[str, str] = {}
        steps: dict[str, str] = {}
        skipped = ""
        for path in sorted(self.folder.glob("*.sql")):
            text = path.read_text(encoding="utf-8").strip().rstrip(";")
            if path.stem == SKIPPED:
                skipped = text
            elif path.stem.startswith("_"):
                steps[path.stem] = text
            elif path.stem in TABLES:
                tables[path.stem] = text
            else:
                raise BadInputError(
                    f"{path} fills no canonical table",
                    got=path.stem,
                    allowed=[*sorted(TABLES), SKIPPED],
                    do="name the file after the table, or begin its name with _ where it is a step of others",
                )
        if not tables:
            raise BadInputError(f"{self.folder} has no SQL", do="add order_lines.sql")
        return tables, self._in_order(steps), skipped

    def _in_order(self, steps: dict[str, str]) -> dict[str, str]:
        """Return the steps with those that are selected from before those that select from them."""
        ordered: dict[str, str] = {}
        while left := [name for name in steps if name not in ordered]:
            ready = [a for a in left if not any(b != a and re.search(rf"\b{b}\b", steps[a]) for b in left)]
            if not ready:
                raise BadInputError(f"Steps of {self.folder} select from each other in a circle", got=", ".join(left))
            ordered |= {name: steps[name] for name in ready}
        return ordered

    def _replace(self, body: dict[str, Any]) -> dict[str, Replace]:
        ways: dict[str, Replace] = {}
        for name, part in body.items():
            way = part.get("replace") if isinstance(part, dict) else None
            if name not in TABLES or way not in ("days", "keys", "parents"):
                raise BadInputError(
                    f"[tables.{name}] of {self.path} cannot be read",
                    got=part,
                    allowed='a canonical table, with replace = "days", "keys" or "parents"',
                )
            table = TABLES[name]
            if (way == "days" and not table.replaced_by_day) or (way == "parents" and not table.references):
                raise BadInputError(f"The table {name} has no {way} to be replaced by", allowed="keys")
            ways[name] = way
        return ways

    def _only(self, body: dict[str, Any], known: set[str], where: str) -> None:
        if unknown := set(body) - known:
            raise BadInputError(
                f"{self.path} has settings that {where} does not know",
                got=", ".join(sorted(unknown)),
                allowed=sorted(known),
            )

    def _text(self, body: dict[str, Any], key: str) -> str:
        value = body.get(key)
        if not isinstance(value, str) or not value.strip():
            raise BadInputError(f"{self.path} does not say `{key}`", got=value, allowed="text", do=f'add {key} = "..."')
        return value.strip()

    def _texts(self, body: dict[str, Any], key: str) -> tuple[str, ...]:
        value = body.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise BadInputError(f"`{key}` of {self.path} is not a list of texts", got=value, allowed='["a", "b"]')
        return tuple(value)

    def _flag(self, body: dict[str, Any], key: str, default: bool) -> bool:
        value = body.get(key, default)
        if not isinstance(value, bool):
            raise BadInputError(f"`{key}` of {self.path} is neither of two", got=value, allowed=["true", "false"])
        return value

    def _name(self, body: dict[str, Any]) -> str:
        name = self._text(body, "name")
        if not _IDENTIFIER.fullmatch(name):
            raise BadInputError(
                f"The name of {self.path} is not a name",
                got=name,
                allowed="small letters, digits and _, such as my_shop",
            )
        return name

    def _amounts(self, body: dict[str, Any]) -> str:
        sample = body.get("amounts", "")
        if sample != "" and (not isinstance(sample, str) or marks(sample) is None):
            raise BadInputError(
                f"`amounts` of {self.path} does not show how amounts are written", got=sample,
                allowed='1234.56 as the files write it: "1,234.56", "1.234,56", "1 234,56", or "1.234" without cents',
            )  # fmt: skip
        return str(sample)

    def _country(self, body: dict[str, Any]) -> str:
        country = body.get("country", "")
        if country != "" and country not in countries():
            raise BadInputError(
                f"The country of {self.path} is not a code whose public holidays are known",
                got=country,
                allowed="ISO 3166-1 alpha-2, such as DE; leave it out where the shops are in many countries",
            )
        return str(country)

    def _currency(self, body: dict[str, Any]) -> str:
        currency = self._text(body, "currency")
        if not _CURRENCY.fullmatch(currency):
            raise BadInputError(
                f"The currency of {self.path} is not a code", got=currency, allowed="ISO 4217, such as EUR"
            )
        return currency

    def _zone(self, body: dict[str, Any]) -> str:
        zone = self._text(body, "timezone")
        try:
            ZoneInfo(zone)
        except (ValueError, KeyError, OSError) as error:
            raise BadInputError(
                f"The timezone of {self.path} is not known", got=zone, allowed="an IANA name, such as Europe/London"
            ) from error
        return zone
