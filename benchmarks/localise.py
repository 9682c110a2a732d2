"""Localise RobustSpot's live-stream incidents: predictions for the root-cause scorer.

usage: python benchmarks/localise.py DATA_DIR --predictions OUT.csv

Of each case it reads the rows up to the incident's minute and that minute's `timestamp`, never its causes: earlier
minutes are the history, the ratio is stalling viewers over viewers.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradewind.methods.localise import Localisation, Localise

MEASURES = ("min", "value", "cnt")


def read(path: Path) -> tuple[dict[str, NDArray[np.str_]], NDArray[np.float64]]:
    """Return the attributes as text, and minute, stalling viewers and viewers, one row each."""
    with path.open(encoding="utf-8", newline="") as handle:
        header, *rows = list(csv.reader(handle))
    columns = dict(zip(header, np.array(rows).T, strict=True))
    numbers = np.stack([columns.pop(name).astype(float) for name in MEASURES])
    return columns, numbers


def localise(path: Path, timestamp: float, method: Localise) -> Localisation:
    """Return where the stalls of the minute at `timestamp` came from."""
    attributes, (minute, value, count) = read(path)
    known = minute <= timestamp
    keys = np.stack([column[known] for column in attributes.values()], axis=1)
    leaves, leaf = np.unique(keys, axis=0, return_inverse=True)
    minutes, when = np.unique(minute[known], return_inverse=True)
    value_by, count_by = (np.zeros((len(leaves), len(minutes))) for _ in range(2))
    np.add.at(value_by, (leaf, when), value[known])
    np.add.at(count_by, (leaf, when), count[known])
    return method(
        dict(zip(attributes, leaves.T, strict=True)),
        value_by[:, -1],
        weight=count_by[:, -1],
        history=value_by[:, :-1],
        history_weight=count_by[:, :-1],
    )


def main() -> None:
    """Write a prediction for each incident."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with labels.json (case, timestamp) and cases/*.csv")
    parser.add_argument("--predictions", type=Path, required=True, help="where to write case, prediction, seconds")
    arguments = parser.parse_args()
    labels: list[dict[str, Any]] = json.loads((arguments.data / "labels.json").read_text(encoding="utf-8"))
    method = Localise(certain=True)  # each case is an incident: an alarm has said so
    seconds = []
    with arguments.predictions.open("w", encoding="utf-8", newline="") as handle:
        out = csv.writer(handle)
        out.writerow(["case", "prediction", "seconds"])
        for label in labels:
            start = time.perf_counter()
            result = localise(arguments.data / "cases" / f"{label['case']}.csv", label["timestamp"], method)
            seconds.append(time.perf_counter() - start)
            rose = [found for found in result.slices if found.change > 0]  # what fell does not explain why stalls rose
            named = ("&".join(f"{name}={value}" for name, value in found.where.items()) for found in rose)
            out.writerow([label["case"], ";".join(named), f"{seconds[-1]:.4f}"])
    print(f"{len(seconds)} cases, {np.mean(seconds):.3f} s a case, at most {np.max(seconds):.3f} s")


if __name__ == "__main__":
    main()
