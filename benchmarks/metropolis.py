"""Run the first days of the largest world, and tell what they cost: time, memory day by day, rows a second, disk.

usage: python benchmarks/metropolis.py FOLDER [DAYS] [PRESET]

FOLDER is made, and holds the store afterwards. The world runs in a process of its own with one thread for linear
algebra; memory is what the kernel says is resident (Linux only), sampled five times a second.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from tradewind.engines.snapshot import existing
from tradewind.sources.worlds.preset import preset

SEED = 7
TICK = 0.2
RUN = """
import sys
from pathlib import Path
from tradewind.sources import fill
fill(sys.argv[2], int(sys.argv[3]), Path(sys.argv[1]), lambda step, day, days: print(day, flush=True),
     days=int(sys.argv[4]))
"""


def resident(process: int) -> float:
    """Return the memory of a process in GiB; 0 once it is gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 2**20 for line in lines if line.startswith("VmRSS")), 0.0)


def worked(process: int) -> float:
    """Return the seconds that all cores together have worked for a process."""
    parts = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Print the tables."""
    folder, name = Path(sys.argv[1]), sys.argv[3] if len(sys.argv) > 3 else "metropolis"
    days = int(sys.argv[2]) if len(sys.argv) > 2 else round(0.02 * preset(name).days)
    threads = {key: "1" for key in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    command = [sys.executable, "-c", RUN, str(folder), name, str(SEED), str(days)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **threads})
    most, over = [0.0], threading.Event()

    def sample() -> None:
        while not over.is_set():
            most[0] = max(most[0], resident(child.pid))
            time.sleep(TICK)

    threading.Thread(target=sample, daemon=True).start()
    print("| day | seconds | core seconds | GiB at its end | most GiB in it |\n|---|---|---|---|---|")
    began, before, peak = time.monotonic(), (time.monotonic(), 0.0), 0.0
    if child.stdout is None:
        raise RuntimeError("the world's process has no output to read")
    for line in child.stdout:
        now = (time.monotonic(), worked(child.pid))
        wall, cores = now[0] - before[0], now[1] - before[1]
        print(f"| {line.strip()} | {wall:.1f} | {cores:.1f} | {resident(child.pid):.2f} | {most[0]:.2f} |", flush=True)
        before, peak = now, max(peak, most[0])
        most[0] = 0.0
    _, status, usage = os.wait4(child.pid, 0)
    whole, closing = time.monotonic() - began, time.monotonic() - before[0]
    over.set()
    if status:
        sys.exit(f"the world's process ended with {status}")
    peak = max(peak, most[0])
    cores = usage.ru_utime + usage.ru_stime
    manifest = existing(folder)
    rows = {table: manifest.rows(table) for table in manifest.tables}
    size = sum(path.stat().st_size for path in (folder / "data").glob("*/*"))
    count = sum(rows.values())
    print(f"| the end | {closing:.1f} | {cores - before[1]:.1f} | | {most[0]:.2f} |\n")
    print(f"rows {count:,}, of which traffic {rows['traffic']:,}; {size / 1e9:.2f} GB, {size / count:.1f} bytes a row")
    print(f"{whole:.0f} seconds, {cores:.0f} core seconds: {count / whole:,.0f} rows a second")
    print(f"{count / cores:,.0f} rows a second and core")
    print(f"most memory {peak:.2f} GiB, {usage.ru_maxrss / 2**20:.2f} by the kernel's own high-water mark")


if __name__ == "__main__":
    main()
