"""Draws behind the chapter on coherent estimates: areas under curves ×100 on fresh queries with fresh noise.

``python book/draws/coherent.py`` computes all of them anew and writes `coherent_spread.csv` and `coherent_worlds.csv`
beside this file.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from cascade_lib import (
    CascadeRouter,
    JointGaussianEstimator,
    NoisyEstimator,
    Outcomes,
    Router,
    TabulatedEstimator,
    datasets,
    diagnose,
)
from cascade_lib.estimators import WithoutSpread

SPREAD, WORLD = (Path(__file__).with_name(f"coherent_{name}.csv") for name in ("spread", "worlds"))
NOISE = {
    "low": ((0.6, 0.3), (2e-4, 5e-5)),
    "medium": ((1.6, 0.8), (4e-4, 1e-4)),
    "high": ((2.4, 1.2), (100.0, 100.0)),
}
KINDS = {"forgetful": False, "coherent": True}
SEEDS, SIZES, TRAIN_N, TEST_N = range(6), (3, 5), 1_825, 2_000
WORLDS = {"as it is": (False, False), "independent": (True, False), "Gaussian": (False, True), "both": (True, True)}


class WithSpread:
    """The same estimates, taken as independent Gaussians, with a spread that is a function of the announced one."""

    def __init__(self, estimator, change):
        self.estimator, self.change, self.seen = estimator, change, {}
        self.simulated = getattr(estimator, "simulated", False)

    def beliefs(self, evidence, rows=None):
        """Return beliefs with the other spread; what the estimator says is looked up once for each state."""
        key = (evidence.fingerprint, tuple(evidence.ran))
        if key not in self.seen:
            every = self.estimator.beliefs(evidence)
            self.seen[key] = replace(every, spread=np.where(evidence.ran, 0.0, self.change(every.spread)), law=None)
        return self.seen[key].take(slice(None) if rows is None else rows)


def two_kinds(train, level, seed=0):
    """Return forgetful and coherent estimates from the same signals."""
    return {kind: NoisyEstimator(*NOISE[level], coherent=flag, seed=seed).fit(train) for kind, flag in KINDS.items()}


def using_all_signals(train, level, seed=0):
    """Return estimates from the signals about all models: a Gaussian posterior over the vector of qualities."""
    return JointGaussianEstimator(*NOISE[level], correlated=False, seed=seed).fit(train)


def foreseen(estimator, train, test):
    """Return forgetful estimates that foresee their forgetting: the line of after on before, and its residual."""
    learn, judge = estimator.tabulate(train), estimator.tabulate(test)
    lines = [np.polyfit(*pair, 1) for pair in zip(learn.ex_ante.T, learn.post_hoc.T, strict=True)]
    slope, intercept = np.transpose(lines)
    rest = (learn.post_hoc - slope * learn.ex_ante - intercept).std(axis=0)
    blunt = slope * judge.ex_ante + intercept
    return TabulatedEstimator(blunt, judge.post_hoc, rest, judge.cost_ex_ante, judge.cost_post_hoc)


def spread_choices(estimator, train):
    """Return the announced, the honest and the squared spread, as functions of the announced one."""
    teaches = diagnose(estimator, train).coherence["teaches"].to_numpy()
    return {"announced": lambda s: s, "honest": lambda s: np.broadcast_to(teaches, s.shape), "squared": np.square}


def area(estimator, test):
    """Return the area ×100 under the curve of cascade routing."""
    return 100 * CascadeRouter().frontier(estimator, test).auc()


def drawn(size, seed):
    """Return training and test queries of one draw from one of the paper's pools."""
    both = datasets.simulate_routerbench(TRAIN_N + TEST_N, seed=1_400 + seed).select(datasets.ROUTERBENCH_POOLS[size])
    return both.take(np.arange(TRAIN_N)), both.take(np.arange(TRAIN_N, len(both)))


def crossed(seed, size, level):
    """Return the areas of cascade routing for every combination of estimates and spread, on one draw."""
    (train, test), found = drawn(size, seed), {}
    for kind, estimator in two_kinds(train, level, seed).items():
        for name, change in spread_choices(estimator, train).items():
            if kind == "forgetful" or name != "honest":
                found[kind, name] = area(WithSpread(estimator, change), test)
        found[kind, "zero"] = area(WithoutSpread(estimator), test)
        if kind == "forgetful":
            found[kind, "foreseen"] = area(foreseen(estimator, train, test), test)
    everything = using_all_signals(train, level, seed)
    found["all signals", "announced"] = area(everything, test)
    found["all signals", "zero"] = area(WithoutSpread(everything), test)
    found["either", "routing"] = 100 * Router().frontier(estimator, test).auc()
    return found


def other_world(outcomes, *, independent, gaussian, seed=1):
    """Return the same costs and means, with qualities made independent, or Gaussian, or both."""
    rng, q = np.random.default_rng(seed), outcomes.quality
    if gaussian:
        covariance = np.cov(q.T)
        covariance = np.diag(np.diag(covariance)) if independent else covariance
        q = rng.multivariate_normal(q.mean(axis=0), covariance, len(q), method="cholesky")
    elif independent:
        q = np.column_stack([rng.permutation(column) for column in q.T])
    return Outcomes(q.round(9), outcomes.cost, models=outcomes.models, cost_unit=outcomes.cost_unit)


def in_world(seed, world, level):
    """Return the areas of cascade routing and no-expect by kind of estimates in one of four worlds, on one draw."""
    independent, gaussian = WORLDS[world]
    whole = datasets.simulate_routerbench(TRAIN_N + TEST_N, seed=1_450 + seed).select(datasets.ROUTERBENCH_POOLS[5])
    made = other_world(whole, independent=independent, gaussian=gaussian, seed=seed)
    train, test = made.take(np.arange(TRAIN_N)), made.take(np.arange(TRAIN_N, len(made)))
    estimators = two_kinds(train, level, seed) | {"all signals": using_all_signals(train, level, seed)}
    found = {}
    for kind, estimator in estimators.items():
        found[kind, "full"] = area(estimator, test)
        found[kind, "no-expect"] = area(WithoutSpread(estimator), test)
    best = test.quality.mean(axis=0).max()
    found["omniscient", "over the best model"] = 100 * (test.quality.max(axis=1).mean() - best)
    return found


def stored(path):
    """Return stored areas: rows by setting and seed, columns by estimates and variant."""
    return pd.read_csv(path, index_col=[0, 1, 2], header=[0, 1]).sort_index()


def written(function, levels, names, path):
    """Compute one of the two tables and write it."""
    cases = pd.MultiIndex.from_product([*levels, SEEDS], names=[*names, "seed"])
    rows = {case: pd.Series(function(case[2], *case[:2])) for case in tqdm(cases)}
    pd.DataFrame(rows).T.rename_axis(index=cases.names).round(3).to_csv(path)


if __name__ == "__main__":
    written(in_world, [WORLDS, NOISE], ["world", "level"], WORLD)
    written(crossed, [SIZES, NOISE], ["size", "level"], SPREAD)
