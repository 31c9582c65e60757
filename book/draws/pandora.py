"""Draws behind the chapter on Pandora's box: areas under curves ×100 on fresh queries and noise, or on fresh splits.

``python book/draws/pandora.py`` computes all of them anew and writes `pandora_simulated.csv` and `pandora_local.csv`
beside this file.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesRegressor
from tqdm import tqdm

from cascade_lib import Cascade, CascadeRouter, LearnedEstimator, NoisyEstimator, PandoraRouter, Router, datasets
from cascade_lib.estimators import WithoutSpread

SIMULATED, LOCAL = (Path(__file__).with_name(f"pandora_{name}.csv") for name in ("simulated", "local"))
NOISES = {"low": (0.6, 0.3), "medium": (1.6, 0.8), "high": (2.4, 1.2)}
USD_NOISE = (2e-4, 5e-5)
CONTENDERS = {
    "Pandora's box": PandoraRouter(),
    "cascade routing": CascadeRouter(),
    "no-expect": CascadeRouter(),
    "greedy": CascadeRouter(lookahead=1),
    "routing": Router(),
}
DRAWS, FIT_N, TEST_N, SIZES = range(8), 2_000, 800, (3, 5, 11)  # queries to fit on and to test on, numbers of models
SPLITS, TEXTS_N, LAWS = range(8), 1_000, {"independent": "Gaussian", "empirical": "empirical"}


def seen_by(name, guess):
    """Return the estimates that a strategy uses: no-expect is cascade routing on those without their spread."""
    return WithoutSpread(guess) if name == "no-expect" else guess


def simulated(seed, size, kind, level):
    """Return areas of all contenders on one draw of queries and noise of simulated RouterBench."""
    queries = datasets.simulate_routerbench(FIT_N + TEST_N, seed=200 + seed).select(datasets.ROUTERBENCH_POOLS[size])
    fit, test = queries.take(np.arange(FIT_N)), queries.take(np.arange(FIT_N, len(queries)))
    guess = NoisyEstimator(NOISES[level], USD_NOISE, coherent=kind == "coherent", seed=seed).fit(fit)
    return {name: 100 * strategy.frontier(seen_by(name, guess), test).auc() for name, strategy in CONTENDERS.items()}


def local_curves(seed):
    """Return curves of all contenders and the cascade on a random split of the local pool, by name and law."""
    learn, judge, _ = datasets.load_sentiment().split(0.25, TEXTS_N / 3_000, 0.75 - TEXTS_N / 3_000, seed=seed)
    trees = ExtraTreesRegressor(20, min_samples_leaf=5, max_features=0.5)
    learned, curves = LearnedEstimator(trees, folds=3, seed=0).fit(learn), {}
    for law, word in LAWS.items():
        learned.future = law
        for name, strategy in {**CONTENDERS, "cascade": Cascade()}.items():
            # Routing and no-expect use no law, so that their first curve will do for both.
            known = curves.get((name, "Gaussian")) if name in ("routing", "no-expect") else None
            curves[name, word] = known or strategy.frontier(seen_by(name, learned), judge)
    return curves


def local(seed):
    """Return areas of all contenders and the cascade on a random split of the local pool, by name and law."""
    return {key: 100 * curve.auc() for key, curve in local_curves(seed).items()}


def stored_simulated():
    """Return all stored areas on simulated queries: a row for each number of models, estimates, noise and seed."""
    return pd.read_csv(SIMULATED, index_col=["size", "kind", "level", "seed"]).sort_index()


def stored_local():
    """Return all stored areas on the local pool: a row for each split, columns by strategy and law."""
    return pd.read_csv(LOCAL, index_col=0, header=[0, 1])


if __name__ == "__main__":
    splits = {seed: pd.Series(local(seed)) for seed in tqdm(SPLITS)}
    pd.DataFrame(splits).T.round(3).to_csv(LOCAL)
    names = ["size", "kind", "level", "seed"]
    cases = pd.MultiIndex.from_product([SIZES, ("forgetful", "coherent"), NOISES, DRAWS], names=names)
    found = [simulated(seed, size, kind, level) for size, kind, level, seed in tqdm(cases)]
    pd.DataFrame(found, index=cases).round(3).to_csv(SIMULATED)
