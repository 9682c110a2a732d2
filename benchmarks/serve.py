"""Load: the console's first page under many readers, beside Datasette serving the same tables, in one run.

usage: python benchmarks/serve.py STORE --datasette BIN [--readers 200] [--seconds 120] [--workers 2]

Both listen on loopback only and are stopped at the end. The plan's proposals are gathered first, so that Today shows
the top of the plan. Each reader asks one page after another without a pause: half of the time one of a few that
everybody asks, else one with a period, shop or comparison that nobody asked before. Datasette gets SQLite tables of
what Today reads, with indices on day and shop, and its readers ask the table page of order lines with the same periods
and shops as filters. Memory is that of all processes of a server, every ten seconds; processes that one server forks
share pages, which are counted once (proportional set size).
`--imports` commits a new snapshot of the same rows every 15 seconds while readers go on.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tradewind.engines import snapshot
from tradewind.engines.store import open_store

TABLES = ("order_lines", "order_discounts", "refunds", "traffic", "ads", "shops", "products")
INDEXED = ("day", "shop_id")
PATIENCE = 120
COMMON = ("last-28d", "last-7d", "last-month", "last-week", "last-quarter")


@dataclass
class Tally:
    """What readers met.

    Args:
        seconds: How long each answer took.
        errors: What was not an answer, by what it was.
        memory: MiB of all processes, over time.
    """

    seconds: list[float] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)
    memory: list[float] = field(default_factory=list)


def asks(store: str, seed: int, today: bool) -> Iterator[str]:
    """Yield pages to ask for, half of them new each time."""
    opened = open_store(store)
    span, rng = opened.span, random.Random(seed)
    shops = opened.run(opened.table("order_lines").select("shop_id").distinct())["shop_id"].to_pylist()
    while True:
        fresh = rng.random() < 0.5
        if fresh:
            first = span.first + timedelta(days=rng.randrange(span.days - 8))
            last = min(span.last, first + timedelta(days=rng.randrange(6, 60)))
            shop = rng.choice(shops) if rng.random() < 0.5 else ""
            against = rng.choice(("previous", "last-year"))
            if today:
                yield f"/?period={first}..{last}&against={against}" + (f"&shop={shop}" if shop else "")
            else:
                limit = f"&shop_id={shop}" if shop else ""
                yield f"/town/order_lines?day__gte={first}&day__lte={last}{limit}"
        elif today:
            yield f"/?period={rng.choice(COMMON)}"
        else:
            yield rng.choice(("/town/order_lines", f"/town/order_lines?day__gte={span.last - timedelta(days=27)}"))


async def read(port: int, pages: Iterator[str], until: float, tally: Tally) -> None:
    """Ask page after page over one connection until the time is over."""
    reader = writer = None
    while time.monotonic() < until:
        page = next(pages)
        begun = time.perf_counter()
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            said = f"GET {page} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: text/html\r\n\r\n"
            writer.write(said.encode())
            status, closes = await answer(reader)
            if status != 200:
                tally.errors[str(status)] = tally.errors.get(str(status), 0) + 1
            else:
                tally.seconds.append(time.perf_counter() - begun)
            if closes:
                writer.close()
                writer = None
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            name = type(error).__name__
            tally.errors[name] = tally.errors.get(name, 0) + 1
            if writer is not None:
                writer.close()
            writer = None
    if writer is not None:
        writer.close()


async def answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """Read one HTTP answer; return its status and whether the connection closes."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = int(head[0].split()[1])
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    if "content-length" in headers:
        await reader.readexactly(int(headers["content-length"]))
    elif headers.get("transfer-encoding") == "chunked":
        while size := int((await reader.readuntil(b"\r\n")).strip() or b"0", 16):
            await reader.readexactly(size + 2)
        await reader.readuntil(b"\r\n")
    return status, headers.get("connection", "").lower() == "close"


async def load(
    port: int, pid: int, pages: Iterator[str], readers: int, seconds: int, meanwhile: Callable[[], None] | None
) -> Tally:
    """Let many readers ask at once for a time."""
    tally, until = Tally(), time.monotonic() + seconds

    async def weighed() -> None:
        while time.monotonic() < until:
            tally.memory.append(memory(pid))
            await asyncio.sleep(10)

    async def disturbed() -> None:
        while meanwhile is not None and time.monotonic() < until - 15:
            await asyncio.sleep(15)
            await asyncio.to_thread(meanwhile)

    await asyncio.gather(weighed(), disturbed(), *(read(port, pages, until, tally) for _ in range(readers)))
    return tally


def memory(pid: int) -> float:
    """Return the MiB of a process and all below it; what they share counts once."""
    total, todo = 0, [pid]
    while todo:
        each = todo.pop()
        try:
            rollup = Path(f"/proc/{each}/smaps_rollup").read_text()
            total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
            todo += [int(child) for child in Path(f"/proc/{each}/task/{each}/children").read_text().split()]
        except (OSError, StopIteration):
            continue
    return total / 1024


@contextmanager
def running(command: list[str], port: int, page: str, folder: Path) -> Iterator[int]:
    """Run a server until its block ends; yield its process id once it answers."""
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, start_new_session=True)
    try:
        until = time.monotonic() + PATIENCE
        while True:
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit((folder / "server.log").read_text()[-2000:])
            try:
                asyncio.run(_once(port, page))
                break
            except (OSError, asyncio.IncompleteReadError):
                time.sleep(0.3)
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


async def _once(port: int, page: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {page} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    await answer(reader)
    writer.close()


def gathered(port: int) -> None:
    """Ask for a plan and wait until its proposals are there: Today shows the top of it."""
    root = f"http://127.0.0.1:{port}/api/v1"
    with urllib.request.urlopen(urllib.request.Request(f"{root}/plan/gather", method="POST")) as said:
        job = json.load(said)["job"]["id"]
    while True:
        with urllib.request.urlopen(f"{root}/jobs/{job}") as said:
            state = json.load(said)["state"]
        if state not in ("waiting", "running"):
            if state != "done":
                raise SystemExit(f"the plan's proposals: {state}")
            return
        time.sleep(1)


def as_sqlite(store: str, file: Path) -> None:
    """Write the tables that Today reads as SQLite, with indices on day and shop."""
    folder, manifest = Path(store), snapshot.existing(Path(store))
    with sqlite3.connect(file) as to:
        for name in TABLES:
            made = False
            for data in manifest.tables.get(name, ()):
                for batch in pq.ParquetFile(folder / data.path).iter_batches(100_000):
                    columns = batch.schema.names
                    if not made:
                        to.execute(f"CREATE TABLE {name} ({', '.join(columns)})")
                        made = True
                    marks = ", ".join("?" * len(columns))
                    rows = zip(*(_plain(batch[c]).to_pylist() for c in columns), strict=True)
                    to.executemany(f"INSERT INTO {name} VALUES ({marks})", rows)
            for column in INDEXED:
                if made and column in columns:
                    to.execute(f"CREATE INDEX {name}_{column} ON {name} ({column})")


def _plain(values: pa.Array) -> pa.Array:
    """Return values as SQLite holds them: numbers as they are, days, moments and all else as text."""
    if pa.types.is_decimal(values.type):
        return values.cast(pa.float64())
    kept = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)
    return values if any(each(values.type) for each in kept) else values.cast(pa.string())


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def told(name: str, tally: Tally, seconds: int) -> str:
    """Return a row of the table of results."""
    found = sorted(tally.seconds) or [float("nan")]
    p50, p95, p99 = (found[min(int(q * len(found)), len(found) - 1)] for q in (0.5, 0.95, 0.99))
    errors = ", ".join(f"{count} × {what}" for what, count in sorted(tally.errors.items())) or "0"
    first, last = tally.memory[min(2, len(tally.memory) - 1)], tally.memory[-1]
    return (
        f"| {name} | {len(found) / seconds:.1f} | {p50:.2f} | {p95:.2f} | {p99:.2f} | {errors} | "
        f"{first:.0f} to {last:.0f}, at most {max(tally.memory):.0f} |"
    )


def main() -> None:
    """Put both servers under the same load, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store")
    parser.add_argument("--datasette", help="Datasette's executable, in an environment of its own")
    parser.add_argument("--readers", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--imports", action="store_true", help="commit new snapshots while readers go on")
    given = parser.parse_args()
    print("| server | pages a second | p50, s | p95, s | p99, s | errors | MiB after 20 s to the end |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        folder, store = Path(scratch), given.store
        if given.imports:
            shutil.copytree(store, folder / "store")
            store = str(folder / "store")
        port = free_port()
        ours = [
            str(Path(sys.executable).with_name("tradewind")), "serve", "--store", str(Path(store).absolute()), "--port",
            str(port), "--workers", str(given.workers), "--work", str(folder / "desk"),
        ]  # fmt: skip

        def committed() -> None:
            opened = open_store(store)
            opened.write({"shops": opened.table("shops")})

        with running(ours, port, "/?period=last-28d", folder) as pid:
            gathered(port)
            pages = asks(store, given.seed, True)
            meanwhile = committed if given.imports else None
            tally = asyncio.run(load(port, pid, pages, given.readers, given.seconds, meanwhile))
            print(told(f"Tradewind, Today, {given.workers} processes", tally, given.seconds), flush=True)
        if given.datasette:
            as_sqlite(store, folder / "town.db")
            port = free_port()
            peer = [given.datasette, "serve", str(folder / "town.db"), "--port", str(port), "--host", "127.0.0.1"]
            lean = ["--setting", "suggest_facets", "off"]
            for name, more in (("as it comes", []), ("without suggesting facets", lean)):
                with running([*peer, *more], port, "/town/order_lines", folder) as pid:
                    pages = asks(store, given.seed, False)
                    tally = asyncio.run(load(port, pid, pages, given.readers, given.seconds, None))
                    print(told(f"Datasette, table page, {name}", tally, given.seconds), flush=True)


if __name__ == "__main__":
    main()
