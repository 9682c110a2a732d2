"""Measure what knowing public holidays does to forecasts of daily GMV, on imported stores.

usage: python benchmarks/public_holidays.py STORE [STORE …]

From origins a week apart over the last 260 days of each store, the next 14 days are expected without holidays, with one
regressor for all public holidays, and with further ones for the day before and the day after. Errors are RMSE over mean
GMV a day: over all days, and over days on or next to a holiday.
"""

from __future__ import annotations

import sys

import numpy as np

from tradewind.engines.store import open_store
from tradewind.holidays import REGRESSOR, holidays_as_known
from tradewind.measures.metrics import metric
from tradewind.methods.expect import Expect

HORIZON, REACH, STEP, FEWEST = 14, 260, 7, 120


def main() -> None:
    """Run the benchmark and print a table."""
    print("| store | regressors | RMSE | near holidays | days held | near holidays | sums held |")
    print("|---|---|---|---|---|---|---|")
    for folder in sys.argv[1:]:
        store = open_store(folder)
        days, columns = store.series((metric("gmv"),), store.span)
        gmv = np.array(columns["gmv"])
        flags = holidays_as_known(store.provenance.country, days[0], len(days))[REGRESSOR]
        before, after = np.append(flags[1:], 0), np.append(0, flags[:-1])
        sets = {"none": {}, "one": {"h": flags}, "and the days beside": {"h": flags, "b": before, "a": after}}
        near = flags + before + after > 0
        ordinals = np.array([day.toordinal() for day in days])
        for name, known in sets.items():
            rows = []
            for cut in range(max(FEWEST, len(gmv) - REACH), len(gmv) - HORIZON + 1, STEP):
                start = int(np.flatnonzero(gmv[:cut])[0])
                end = cut + HORIZON
                told = {key: values[start:end] for key, values in known.items()}
                found = Expect(origins=4, draws=300)(gmv[start:cut], HORIZON, days=ordinals[start:cut], known=told)
                truth = gmv[cut:end]
                total = found.total.low <= truth.sum() <= found.total.high
                held = (found.low <= truth) & (truth <= found.high)
                rows += list(
                    zip(((found.mid - truth) / gmv.mean()) ** 2, held, near[cut:end], [total] * HORIZON, strict=True)
                )
            squares, held, close, totals = (np.array(column, float) for column in zip(*rows, strict=True))
            beside = close > 0
            print(
                f"| {store.provenance.source} | {name} | {squares.mean() ** 0.5:.3f} | "
                f"{squares[beside].mean() ** 0.5:.3f} | {held.mean():.3f} | {held[beside].mean():.3f} | "
                f"{totals.mean():.3f} |", flush=True,
            )  # fmt: skip


if __name__ == "__main__":
    main()
