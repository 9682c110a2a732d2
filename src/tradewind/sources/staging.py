"""Staging: a source's files as text columns with file and row number, so that one bad value aborts nothing."""

from __future__ import annotations

import codecs
import csv
import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from tradewind.engines.duckdb import literal, parquet_files
from tradewind.errors import BadInputError, is_full_disk
from tradewind.sources.source import Files, Source

DELIMITERS = (",", ";", "\t", "|")
BLOCK = 8 * 2**20
NO_ROWS = "an empty row"

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row that could not be told apart into its fields."""

    file: str
    row: int
    reason: str
    allowed: str
    text: str


@dataclass
class Staged:
    """One file of a source, ready for its SQL.

    Args:
        kind: The kind of file that it is.
        name: Its path inside the data folder.
        path: Where its columns can be read from: a Parquet file.
        rows: Number of rows in it, unreadable and empty ones included.
        first: Number of its first row; a CSV's header is row 1.
        columns: The columns that it has, of those declared.
        converted: Whether `path` holds `_row` and text columns already.
        unreadable: Rows that could not be told apart into fields.
        empty: Number of rows without any value.
    """

    kind: Files
    name: str
    path: Path
    rows: int = 0
    first: int = 1
    columns: dict[str, str] = field(default_factory=dict)
    converted: bool = False
    unreadable: list[Unreadable] = field(default_factory=list)
    empty: int = 0

    def select(self) -> str:
        """Return SQL for its rows as text columns with `_file` and `_row`."""
        parts = []
        for column in (*self.kind.columns, *self.kind.optional):
            value = (
                f"CAST({quoted(self.columns[column])} AS VARCHAR)"
                if column in self.columns
                else "CAST(NULL AS VARCHAR)"
            )
            parts.append(f"{value} AS {quoted(column)}")
        row = "_row" if self.converted else "file_row_number + 1"
        rows = f"read_parquet({parquet_files([self.path])}, file_row_number = true)"
        return f"SELECT {', '.join(parts)}, {literal(self.name)} AS _file, CAST({row} AS BIGINT) AS _row FROM {rows}"

    def check(self) -> None:
        """Read a Parquet file as a whole, which nobody has done before its SQL runs.

        Raises:
            BadInputError: If a part of it cannot be read.
        """
        if self.converted:
            return
        try:
            for _ in pq.ParquetFile(self.path).iter_batches():
                pass
        except (pa.ArrowException, OSError) as error:
            raise BadInputError(
                "The Parquet file is damaged", got=f"{self.name}: {error}", do="export it again"
            ) from error


def quoted(name: str) -> str:
    """Return a name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def find_files(source: Source, data: Path) -> dict[str, list[Path]]:
    """Return the files of each kind, sorted by name.

    Raises:
        BadInputError: If a required kind has none, or no file of the source is there at all.
    """
    found: dict[str, list[Path]] = {}
    taken: dict[Path, str] = {}
    for kind in source.files:
        found[kind.name] = sorted(path for path in data.glob(kind.pattern) if path.is_file())
        for path in found[kind.name]:
            if path in taken:
                raise BadInputError(
                    "One file fits two kinds of files",
                    got=f"{path.name}: {taken[path]} and {kind.name}",
                    do=f"narrow the patterns in {source.folder / 'source.toml'}",
                )
            taken[path] = kind.name
        if kind.required and not found[kind.name]:
            there = sorted(path.name for path in data.iterdir())
            raise BadInputError(
                f"A file of the source {source.name} is missing from {data}",
                got=", ".join(there[:20]) or "an empty folder",
                allowed=kind.pattern,
                do=f"add the file, or set required = false under [files.{kind.name}]",
            )
    if not taken:
        raise BadInputError(
            f"No file of the source {source.name} is in {data}", allowed=[kind.pattern for kind in source.files]
        )
    return found


def stage(kind: Files, path: Path, name: str, out: Path) -> Staged:
    """Read one file.

    Args:
        kind: The kind of file that it is.
        path: The file.
        name: Its name in messages.
        out: Where to write its columns, if they must be converted.

    Returns:
        The file, ready for SQL.

    Raises:
        BadInputError: If it is empty, not readable as a whole, or lacks a declared column.
    """
    if path.stat().st_size == 0:
        if kind.required:
            raise BadInputError("The file is empty", got=name, do="export it again")
        return Staged(kind, name, _nothing(out), converted=True)
    if path.suffix == ".parquet":
        return _parquet(kind, path, name)
    return _csv(kind, path, name, out)


def _nothing(out: Path) -> Path:
    pq.write_table(pa.table({"_row": pa.array([], pa.int64())}), out)
    return out


def _parquet(kind: Files, path: Path, name: str) -> Staged:
    try:
        meta = pq.read_metadata(path)
        have = meta.schema.to_arrow_schema().names
    except (pa.ArrowInvalid, OSError) as error:
        raise BadInputError("The file is not a Parquet file", got=name, do="export it again") from error
    return Staged(kind, name, path, meta.num_rows, 1, _fit(kind, have, name))


def _csv(kind: Files, path: Path, name: str, out: Path) -> Staged:
    text = out.with_suffix(".txt")
    _transcode(path, text, name)
    header, delimiter = _header(kind, text, name)
    staged = Staged(kind, name, out, 0, 2, {}, True)
    wanted = _fit(kind, [cell.strip() for cell in header], name)
    # Columns are told apart by their place: a header may carry blanks that the source does not name.
    places = {column: [cell.strip() for cell in header].index(there) for column, there in wanted.items()}
    staged.columns = {column: column for column in places}
    schema = pa.schema([(column, pa.string()) for column in places] + [("_row", pa.int64())])
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for batch, numbers in _rows(staged, text, delimiter, header):
            columns = [batch.column(place) for place in places.values()]
            table = pa.table([*columns, numbers], schema=schema)
            filled = pc.is_valid(table.column(0))
            for n in range(1, len(columns)):
                filled = pc.or_(filled, pc.is_valid(table.column(n)))
            kept = table.filter(filled)
            staged.empty += len(table) - len(kept)
            writer.write_table(kept)
    text.unlink()
    return staged


def _rows(staged: Staged, text: Path, delimiter: str, header: list[str]) -> Iterator[tuple[pa.RecordBatch, pa.Array]]:
    """Yield the readable rows in order with their numbers, noting the unreadable ones."""
    odd: list[Any] = []

    def note(row: Any) -> str:
        odd.append(row)
        return "skip"

    closed = _ends_closed(text)
    try:
        reader = pacsv.open_csv(
            text,
            read_options=pacsv.ReadOptions(
                use_threads=False, block_size=BLOCK, column_names=[f"c{n}" for n in range(len(header))]
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, ignore_empty_lines=False, invalid_row_handler=note
            ),
            convert_options=pacsv.ConvertOptions(
                null_values=[""],
                strings_can_be_null=True,
                column_types={f"c{n}": pa.string() for n in range(len(header))},
            ),
        )
        number, seen = 1, 0
        held: pa.RecordBatch | None = None
        for batch in reader:
            if held is not None:
                numbers, number, seen = _numbered(len(held), number, odd, seen)
                yield _body(held, numbers)
            held = batch
        if held is not None:
            numbers, number, seen = _numbered(len(held), number, odd, seen)
            if not closed and len(held) and "\n" in (held.column(len(header) - 1)[-1].as_py() or ""):
                row = numbers[-1].as_py()
                left = delimiter.join(held.column(n)[-1].as_py() or "" for n in range(len(header)))
                staged.unreadable.append(
                    Unreadable(staged.name, row, "a quote is never closed", "a quote at both ends of a value", left)
                )
                held, numbers = held.slice(0, len(held) - 1), numbers.slice(0, len(numbers) - 1)
            yield _body(held, numbers)
        staged.rows = number - 1 + len(odd) - seen - 1
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise BadInputError(
            "The file cannot be read as a table",
            got=f"{staged.name}: {error}",
            do="look for a quote that is never closed",
        ) from error
    for row in odd:
        staged.unreadable.append(
            Unreadable(
                staged.name,
                row.number,
                f"has {row.actual_columns} fields where the header has {row.expected_columns}",
                f"{row.expected_columns} fields",
                row.text,
            )
        )


def _body(batch: pa.RecordBatch, numbers: pa.Array) -> tuple[pa.RecordBatch, pa.Array]:
    """Leave the header out."""
    start = 1 if len(numbers) and numbers[0].as_py() == 1 else 0
    return batch.slice(start), numbers.slice(start)


def _numbered(rows: int, number: int, odd: list[Any], seen: int) -> tuple[pa.Array, int, int]:
    """Number `rows` readable rows from `number` on, stepping over the unreadable ones between them."""
    numbers: list[int] = []
    while len(numbers) < rows:
        stop = odd[seen].number if seen < len(odd) else None
        run = rows - len(numbers) if stop is None else min(rows - len(numbers), stop - number)
        numbers.extend(range(number, number + run))
        number += run
        if stop is not None and number == stop:
            number, seen = number + 1, seen + 1
    return pa.array(numbers, pa.int64()), number, seen


def _ends_closed(text: Path) -> bool:
    with text.open("rb") as handle:
        handle.seek(max(handle.seek(0, 2) - 64, 0))
        return handle.read().rstrip(b"\r\n").endswith(b'"')


def _fit(kind: Files, have: list[str], name: str) -> dict[str, str]:
    """Return the declared columns that a file has, each with its name there."""
    double = sorted({column for column in have if have.count(column) > 1} & {*kind.columns, *kind.optional})
    if double:
        raise BadInputError(
            f"A column stands twice in {name}", got=", ".join(double), do="rename or remove one of them"
        )
    missing = [column for column in kind.columns if column not in have]
    if missing:
        raise BadInputError(
            f"{name} lacks columns: {', '.join(missing)}",
            got=", ".join(have)[:500],
            allowed=kind.columns,
            do=f"export them, or move them to `optional` under [files.{kind.name}]",
        )
    return {column: column for column in (*kind.columns, *kind.optional) if column in have}


def _header(kind: Files, text: Path, name: str) -> tuple[list[str], str]:
    """Return the header and the delimiter under which it holds the most of the declared columns."""
    wanted = {*kind.columns, *kind.optional}
    best: tuple[int, list[str], str] | None = None
    for delimiter in dict.fromkeys(([kind.delimiter] if kind.delimiter else []) + list(DELIMITERS)):
        with text.open(encoding="utf-8", newline="") as handle:
            try:
                header = next(csv.reader(handle, delimiter=delimiter), [])
            except csv.Error as error:
                raise BadInputError(f"The header of {name} cannot be read", got=error, do="export it again") from error
        hits = len(wanted & {cell.strip() for cell in header})
        if best is None or hits > best[0]:
            best = (hits, header, delimiter)
    if best is None or not any(cell.strip() for cell in best[1]):
        raise BadInputError(f"{name} has no header", allowed=kind.columns, do="put the column names in its first line")
    return best[1], best[2]


def _transcode(path: Path, text: Path, name: str) -> None:
    """Write the file as UTF-8 without a byte-order mark, whatever its encoding is."""
    try:
        with _opened(path) as handle, text.open("wb") as out:
            head = handle.read(4)
            mark, encoding = next(((m, e) for m, e in _MARKS if head.startswith(m)), (b"", ""))
            rest = head[len(mark) :]
            if encoding.startswith("utf-16"):
                decoder = codecs.getincrementaldecoder(encoding)()
                while rest or (rest := handle.read(BLOCK)):
                    out.write(_without_nul(decoder.decode(rest).encode("utf-8"), name))
                    rest = b""
                out.write(decoder.decode(b"", final=True).encode("utf-8"))
                return
            while block := handle.read(BLOCK):
                block = rest + block
                cut = block.rfind(b"\n") + 1
                out.write(_as_utf8(_without_nul(block[:cut], name)))
                rest = block[cut:]
            out.write(_as_utf8(_without_nul(rest, name)))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BadInputError(
            "The packed file is cut short or damaged", got=f"{name}: {error}", do="fetch it or pack it again"
        ) from error
    except (UnicodeError, OSError) as error:
        if is_full_disk(error):
            raise
        raise BadInputError("The file cannot be read", got=f"{name}: {error}", do="save it as UTF-8") from error


def _opened(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def _without_nul(block: bytes, name: str) -> bytes:
    if b"\x00" in block:
        raise BadInputError(
            "The file holds NUL bytes, so it is not a text table", got=name, do="save it as CSV in UTF-8, or as Parquet"
        )
    return block


def _as_utf8(block: bytes) -> bytes:
    try:
        block.decode("utf-8")
        return block
    except UnicodeDecodeError:
        # Line by line: a file may be joined from exports of different programs.
        return b"".join(_line_as_utf8(line) for line in block.splitlines(keepends=True))


def _line_as_utf8(line: bytes) -> bytes:
    for encoding in ("utf-8", "cp1252"):
        try:
            return line.decode(encoding).encode("utf-8")
        except UnicodeDecodeError:
            continue
    return line.decode("latin-1").encode("utf-8")


def as_record(text: str) -> str:
    """Return the raw text of an unreadable row as the JSON that rejected rows carry."""
    return json.dumps({"text": text}, ensure_ascii=False)
