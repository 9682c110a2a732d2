"""An import that is killed at any moment leaves the store as it was, or as it was meant to be."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from own_market import ORDER_COLUMNS, contents

from tradewind.engines.snapshot import existing
from tradewind.sources import load, run_import

KILLS = 20
PARENT_OF_IMPORTS = """
import os, sys
from pathlib import Path
import duckdb, pyarrow.csv, pyarrow.parquet
from tradewind.sources import load, run_import
source = load(sys.argv[1])
for store in sys.stdin:
    child = os.fork()
    if not child:
        run_import(source, Path(sys.argv[2]), Path(store.strip()))
        os._exit(0)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("ended", flush=True)
"""


def test_a_killed_import_leaves_a_whole_store(own_source, tmp_path):
    source, before, after = own_source(), tmp_path / "before", tmp_path / "after"
    first, second, store = tmp_path / "first", tmp_path / "second", tmp_path / "store"
    for data, price in ((first, "5"), (second, "7")):
        data.mkdir()
        rows = [f"o{n},1,2024-0{n % 3 + 4}-01 10:00,c,s,p,1,{price}" for n in range(300)]
        (data / "orders.csv").write_text("\n".join([",".join(ORDER_COLUMNS), *rows]) + "\n")
    run_import(load(source), first, before)
    for folder in (after, store):
        shutil.copytree(before, folder)
    # One process that has loaded everything forks each import, so that the moments fall into the import itself.
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT_OF_IMPORTS, str(source), str(second)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdin is not None
    assert parent.stdout is not None

    def begin(folder: Path) -> int:
        parent.stdin.write(f"{folder}\n")
        parent.stdin.flush()
        return int(parent.stdout.readline())

    begin(after)
    started = time.monotonic()
    assert parent.stdout.readline() == "ended\n"
    took = time.monotonic() - started
    states = {str(contents(folder, "order_lines")) for folder in (before, after)}
    assert len(states) == 2

    rng = random.Random(11)
    # one at once, the others at any moment, and a last one that is left to end, however busy the machine is
    moments = [0.0, *sorted(rng.uniform(0, 1.5 * took) for _ in range(KILLS - 1)), None]
    seen = set()
    for moment in moments:
        reader = existing(store)
        files = {file.path: (store / file.path).read_bytes() for part in reader.tables.values() for file in part}
        child = begin(store)
        if moment is not None:
            time.sleep(moment)
            with suppress(ProcessLookupError):  # some may have ended before
                os.kill(child, signal.SIGKILL)
        assert parent.stdout.readline() == "ended\n"
        state = str(contents(store, "order_lines"))
        assert state in states
        seen.add(state)
        for path, content in files.items():  # a reader that was there before keeps its snapshot
            assert (store / path).read_bytes() == content
        if existing(store).name != "000001":  # begin again from the former state
            shutil.rmtree(store)
            shutil.copytree(before, store)
    parent.stdin.close()
    parent.wait()
    run_import(load(source), second, store)
    assert contents(store, "order_lines") == contents(after, "order_lines")
    assert not (store / "scratch").exists()
    assert seen == states
