"""Whom does an e-mail move? Uplift on the Hillstrom trial (64,000 customers, three arms), ours or a peer's.

usage: python benchmarks/uplift.py DATA_DIR --contrast womens|mens --outcome visit|spend|conversion
           --predictions OUT.csv [--method ours|response|ridge_t|solo|econml_dr|econml_linear] [--seed 0]

DATA_DIR holds hillstrom.csv. Written are row and score of the two arms of the contrast; the score of a row comes from a
model that saw no row of its fold (row % 5). Ours learns from all three arms, peers from the two of the contrast. The
EconML methods run where econml is installed, which need not be where tradewind is.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import numpy as np

FOLDS = 5
ARMS = {"No E-Mail": 0, "Womens E-Mail": 1, "Mens E-Mail": 2}
NUMBERS = ("recency", "history", "mens", "womens", "newbie", "history_segment")
LEVELS = ("zip_code", "channel")


def load(folder, outcome):
    """Return features (numbers first, then codes of levels), arms and outcomes of all customers."""
    with (Path(folder) / "hillstrom.csv").open() as file:
        rows = list(csv.DictReader(file))
    columns = [[float(row[name].split(")")[0]) for row in rows] for name in NUMBERS]  # segments are "2) $100 - $200"
    for name in LEVELS:
        seen = sorted({row[name] for row in rows})
        columns.append([float(seen.index(row[name])) for row in rows])
    arm = np.array([ARMS[row["treatment"]] for row in rows])
    return np.array(columns).T, arm, np.array([float(row[outcome]) for row in rows])


def one_hot(x):
    """Return features with the levels as columns of their own."""
    plain = len(NUMBERS)
    codes = [x[:, j] == level for j in range(plain, x.shape[1]) for level in np.unique(x[:, j])[1:]]
    numbers = (x[:, :plain] - x[:, :plain].mean(axis=0)) / x[:, :plain].std(axis=0)
    return np.column_stack([numbers, *codes]).astype(float)


def ours(x, arm, y, new, contrast, seed):
    """Return scores of new customers; all three arms teach."""
    from tradewind.methods.uplift import Uplift

    levels = range(len(NUMBERS), x.shape[1])
    fit = Uplift(seed=seed, categorical=levels).fit(x, arm, y, propensity=[1 / 3] * 3)
    return fit.effect(new).mid[:, contrast - 1]


def trees(seed):
    """Return the trees that the peers learn with."""
    from lightgbm import LGBMRegressor

    return LGBMRegressor(
        n_estimators=100, num_leaves=15, learning_rate=0.05, min_child_samples=200, random_state=seed, n_jobs=1,
        verbose=-1,
    )  # fmt: skip


def response(x, _, y, new, seed):
    """Expected outcome, whatever the arm."""
    return trees(seed).fit(x, y).predict(new)


def solo(x, t, y, new, seed):
    """One model with the arm as a feature (scikit-uplift's SoloModel)."""
    model = trees(seed).fit(np.column_stack([x, t]), y)
    one, none = (model.predict(np.column_stack([new, np.full(len(new), arm)])) for arm in (1, 0))
    return one - none


def ridge_t(x, t, y, new, _):
    """A ridge regression for each arm."""
    from sklearn.linear_model import Ridge

    one, none = (Ridge(1.0).fit(x[t == arm], y[t == arm]).predict(new) for arm in (1, 0))
    return one - none


def econml_dr(x, t, y, new, seed):
    """EconML's DRLearner with trees."""
    from econml.dr import DRLearner
    from sklearn.dummy import DummyClassifier

    model = DRLearner(
        model_propensity=DummyClassifier(), model_regression=trees(seed), model_final=trees(seed), cv=2,
        random_state=seed,
    )  # fmt: skip
    return model.fit(y, t, X=x).effect(new).ravel()


def econml_linear(x, t, y, new, seed):
    """EconML's LinearDRLearner with trees for the means."""
    from econml.dr import LinearDRLearner
    from sklearn.dummy import DummyClassifier

    model = LinearDRLearner(
        model_propensity=DummyClassifier(), model_regression=trees(seed), cv=2, random_state=seed
    )  # fmt: skip
    return model.fit(y, t, X=x).effect(new).ravel()


PEERS = {"response": response, "solo": solo, "ridge_t": ridge_t, "econml_dr": econml_dr, "econml_linear": econml_linear}


def scores(method, x, arm, y, contrast, seed):
    """Return out-of-fold scores of all customers."""
    fold, out = np.arange(len(y)) % FOLDS, np.empty(len(y))
    hot = one_hot(x)
    for k in range(FOLDS):
        held, teach = fold == k, fold != k
        if method == "ours":
            out[held] = ours(x[teach], arm[teach], y[teach], x[held], contrast, seed)
            continue
        teach &= (arm == 0) | (arm == contrast)
        out[held] = PEERS[method](hot[teach], (arm[teach] > 0).astype(int), y[teach], hot[held], seed)
    return out


def main():
    """Score one contrast and outcome by one method, and write rows and scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--contrast", required=True, choices=["womens", "mens"])
    parser.add_argument("--outcome", required=True, choices=["visit", "spend", "conversion"])
    parser.add_argument("--predictions", required=True)
    parser.add_argument("--method", default="ours", choices=["ours", *PEERS])
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    x, arm, y = load(given.data, given.outcome)
    contrast = {"womens": 1, "mens": 2}[given.contrast]
    started = time.process_time()
    out = scores(given.method, x, arm, y, contrast, given.seed)
    seconds = time.process_time() - started
    rows = np.flatnonzero((arm == 0) | (arm == contrast))
    with open(given.predictions, "w", newline="") as file:
        csv.writer(file).writerows([("row", "score"), *zip(rows.tolist(), out[rows].tolist(), strict=True)])
    print(f"{given.method}, {given.contrast}, {given.outcome}, seed {given.seed}: {seconds:.1f} CPU s")


if __name__ == "__main__":
    main()
