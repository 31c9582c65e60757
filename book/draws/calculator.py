"""Splits behind the page on the calculator: what its formula says of pairs of real models, and what they saved.

``python book/draws/calculator.py`` learns and measures anew for all pairs and seeds, and writes `calculator.csv`
beside this file.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from cascade_book.calculator import savings
from cascade_lib import Cascade, LearnedEstimator, Router, datasets

FILE = Path(__file__).with_name("calculator.csv")
SPLITS = range(8)
PAIRS = (
    ("vader", "zero-shot"),
    ("vader", "vote-5"),
    ("zero-shot", "vote-3"),
    ("zero-shot", "vote-5"),
    ("four-shot", "vote-5"),
)
STRATEGIES = {"routing": Router(), "cascade": Cascade()}


def r2(estimate, truth):
    """Return the share of the variance of the truth that an estimate explains, at least 0."""
    return max(1 - np.mean((estimate - truth) ** 2) / truth.var(), 0.0)


def compared(pair, seed):
    """Return what the formula says of a pair on one split, and what was measured, as shares of the expensive price."""
    train, test = datasets.load_sentiment().select(pair).split(0.5, 0.5, seed=seed)
    estimator = LearnedEstimator(seed=seed).fit(train)
    first, answered = (estimator.beliefs(test.evidence([ran, False])).mean for ran in (False, True))
    before = np.mean([r2(first[:, i], test.quality[:, i]) for i in range(2)])
    after = r2(answered[:, 0], test.quality[:, 0])
    prices, accuracies = test.cost.mean(axis=0), test.quality.mean(axis=0)
    said = np.array(savings(tuple(prices), tuple(accuracies), before, after)) / prices[1]
    saved = [s.frontier(estimator, test).saving(pair[1], resamples=2).share for s in STRATEGIES.values()]
    row = {"cheap": pair[0], "expensive": pair[1], "seed": seed, "R² before": before, "R² after": after}
    return row | {"said": max(0.0, *said), "saved": max(0.0, *saved)}


def stored():
    """Return all splits of all pairs."""
    return pd.read_csv(FILE)


if __name__ == "__main__":
    rows = Parallel(n_jobs=-1)(delayed(compared)(pair, seed) for pair in PAIRS for seed in SPLITS)
    pd.DataFrame(rows).round(4).to_csv(FILE, index=False)
