"""Draws behind the chapter on joint beliefs: curves on fresh queries with fresh noise, and the areas under them ×100.

``python book/draws/joint_beliefs.py`` computes all of them anew and writes `joint_beliefs.csv` beside this file.
"""

from functools import cache
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
from scipy.special import softmax
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor
from tqdm import tqdm

from cascade_lib import (
    CascadeRouter,
    JointGaussianEstimator,
    LatentClassEstimator,
    NoisyEstimator,
    PandoraRouter,
    Router,
    TabulatedEstimator,
    datasets,
)
from cascade_lib.estimators import WithoutSpread
from cascade_lib.estimators.simulated import noisy_signals
from cascade_lib.evaluation.frontier import Frontier, Leaves

STORED = Path(__file__).with_suffix(".csv")
MODELS = datasets.ROUTERBENCH_POOLS[5]
NOISE = {
    "low": ((0.6, 0.3), (2e-4, 5e-5)),
    "medium": ((1.6, 0.8), (4e-4, 1e-4)),
    "high": ((2.4, 1.2), (100.0, 100.0)),
}
SEEDS, TRAIN_N, TEST_N = range(10), 1_825, 3_000  # 1,825 queries are 5% of RouterBench, as in the paper
CORRELATIONS = (0.3, 0.6)  # of the errors of two models' signals
COUNTED_N, LEARN_N, SCENARIOS = 60_000, 60_000, 12
WALK = np.append(np.geomspace(3e4, 3, 40), 0.0)  # prices at which the free second look is played


def simulated_pool(n, seed):
    """Return queries of the paper's pool of five models, from the simulator of RouterBench."""
    return datasets.simulate_routerbench(n, seed=seed).select(MODELS)


def parts(seed):
    """Return training and test queries of one draw."""
    both = simulated_pool(TRAIN_N + TEST_N, seed=100 + seed)
    return both.take(np.arange(TRAIN_N)), both.take(np.arange(TRAIN_N, len(both)))


def simple_and_coherent(train, test, noise, seed):
    """Return curves of cascade routing with the paper's estimates and coherent ones, with spread and without."""
    found = {}
    for name, coherent in (("paper's estimates", False), ("coherent", True)):
        estimator = NoisyEstimator(*noise, coherent=coherent, seed=seed).fit(train)
        for ending, guess in (("", estimator), (", no-expect", WithoutSpread(estimator))):
            found[name + ending] = CascadeRouter().frontier(guess, test)
    return found


def variants(train, test, noise, seed):
    """Return curves of the beliefs between the coherent estimates and six classes with relative laws."""
    box = PandoraRouter()
    alone = NoisyEstimator(*noise, coherent=True, seed=seed).fit(train)
    one, six = (LatentClassEstimator(*noise, classes=h, seed=seed).fit(train) for h in (1, 6))
    linear = JointGaussianEstimator(*noise, correlated=False, seed=seed).fit(train)
    return {
        "coherent, Pandora": box.frontier(alone, test),
        "one class, Gaussian law, Pandora": box.frontier(one.set_params(future="gaussian"), test),
        "one class, exact law, Pandora": box.frontier(one.set_params(future="independent"), test),
        "joint Gaussian, Pandora": box.frontier(linear, test),
        "six classes, cascade routing": CascadeRouter().frontier(six, test),
        "six classes, Pandora": box.frontier(six, test),
    }


def relative_classes(train, test, noise, seed):
    """Return the curve of six classes with relative laws in Pandora's box, the variant that the goal is judged on."""
    six = LatentClassEstimator(*noise, classes=6, future="relative", seed=seed).fit(train)
    return {"six classes, relative, Pandora": PandoraRouter().frontier(six, test)}


@cache
def patterns():
    """Return all vectors of grades of a large simulated pool, shape (patterns, k), and the logs of their shares."""
    vectors, times = np.unique(simulated_pool(COUNTED_N, seed=5).quality, axis=0, return_counts=True)
    return vectors, np.log(times / times.sum())


def log_likelihood(signals, noise):
    """Return log-likelihoods, up to a constant, of all patterns given signals (n, k), shape (n, patterns)."""
    vectors, _ = patterns()
    return -((signals**2).sum(axis=1)[:, None] - 2 * signals @ vectors.T + (vectors**2).sum(axis=1)) / 2 / noise**2


def posterior(before, after, quality_noise):
    """Return means of all grades given all signals about quality, under the true distribution of grades."""
    vectors, log_share = patterns()
    seen = log_likelihood(before, quality_noise[0]) + log_likelihood(after, quality_noise[1])
    return softmax(log_share + seen, axis=1) @ vectors


def costs_given_all(train, test, noise, seed):
    """Return estimates of the costs from all signals about them, one model at a time."""
    alike = NoisyEstimator(*noise, coherent=True, seed=seed).fit(train)
    return alike.beliefs(test.evidence(np.ones(test.k, dtype=bool), truth=True)).cost


def free_look(train, test, noise, seed):
    """Return the curve of a router that sees all signals about quality free of charge and pays for its answer."""
    (before, after), _ = noisy_signals(test, *noise, seed)
    seen = TabulatedEstimator(
        posterior(before, after, noise[0]), cost_ex_ante=costs_given_all(train, test, noise, seed)
    )
    return {"free look": Router().frontier(seen, test)}


def free_second_look(train, test, noise, seed):
    """Return the curve where a first model is chosen and paid for, and all other signals about quality are free."""
    cost, n, k = costs_given_all(train, test, noise, seed), len(test), test.k
    (before, after), _ = noisy_signals(test, *noise, seed)
    vectors, log_share = patterns()
    first = log_share + log_likelihood(before, noise[0][0])
    later, rng, steps = np.empty((SCENARIOS, n, k)), np.random.default_rng(0), softmax(first, axis=1).cumsum(axis=1)
    for scenario in later:
        which = (steps < rng.random((n, 1))).sum(axis=1).clip(max=len(vectors) - 1)
        signals = vectors[which] + rng.normal(0, noise[0][1], (n, k))
        scenario[:] = softmax(first + log_likelihood(signals, noise[0][1]), axis=1) @ vectors
    all_seen, ends = posterior(before, after, noise[0]), []
    for lam in WALK:
        best = (later - lam * cost).max(axis=2)[..., None]
        paid = np.arange(k) == (np.maximum(best, later).mean(axis=0) - lam * cost).argmax(axis=1)[:, None]
        answer = np.where(paid, all_seen, all_seen - lam * cost).argmax(axis=1)
        spent = (test.cost * (paid | (np.arange(k) == answer[:, None]))).sum(axis=1)
        ends.append((spent, test.quality[np.arange(n), answer]))
    spent, graded = (part.ravel() for part in np.transpose(ends, (1, 2, 0)))
    high, low = (np.tile(edge, n) for edge in (np.append(np.inf, WALK[:-1]), WALK))
    leaves = Leaves(np.repeat(np.arange(n), len(WALK)), high, low, spent, graded)
    return {"free second look": Frontier.from_leaves("free second look", test, leaves)}


def seen_with_costs(outcomes, noise, seed):
    """Return posterior means, and beside them the means of the signals about cost, which tell something too."""
    (before, after), (cost_before, cost_after) = noisy_signals(outcomes, *noise, seed)
    weight = np.square(noise[1][::-1]) / np.square(noise[1]).sum()
    means = posterior(before, after, noise[0])
    return means, np.hstack([means, weight[0] * cost_before + weight[1] * cost_after])


@cache
def corrections(level):
    """Return learners, one for each model, of what the signals about cost add to the posterior means."""
    learn = simulated_pool(LEARN_N, seed=77)
    means, seen = seen_with_costs(learn, NOISE[level], seed=77)
    options = {"max_iter": 80, "learning_rate": 0.08, "max_leaf_nodes": 12, "min_samples_leaf": 150}
    learner = HistGradientBoostingRegressor(**options, l2_regularization=5, random_state=0)
    return [clone(learner).fit(seen, learn.quality[:, i] - means[:, i]) for i in range(learn.k)]


def free_look_with_costs(train, test, noise, seed):
    """Return the curve of the free look if its router lets the signals about cost speak about quality."""
    level = next(name for name, value in NOISE.items() if value == noise)
    means, seen = seen_with_costs(test, noise, seed)
    means = means + np.column_stack([learner.predict(seen) for learner in corrections(level)])
    better = TabulatedEstimator(means, cost_ex_ante=costs_given_all(train, test, noise, seed))
    return {"free look, with cost signals": Router().frontier(better, test)}


def correlated_signals(rho):
    """Return a function like `noisy_signals` with errors of quality signals that two models share by correlation ρ."""

    def signals(outcomes, quality_noise, cost_noise, seed):
        quality, cost = noisy_signals(outcomes, quality_noise, cost_noise, seed)
        shared = np.random.default_rng([seed, len(outcomes), 7]).normal(size=(2, len(outcomes), 1))
        pairs = zip(quality, quality_noise, shared, strict=True)
        mixed = tuple(
            outcomes.quality + np.sqrt(1 - rho) * (signal - outcomes.quality) + np.sqrt(rho) * sd * common
            for signal, sd, common in pairs
        )
        return [mixed, cost]

    return signals


VERDICT = (simple_and_coherent, relative_classes)
OTHERS = (variants, free_look, free_second_look, free_look_with_costs)


def curves(seed, level, steps=VERDICT + OTHERS, rho=0.0):
    """Return the curves of some of the functions above for one draw of training queries, test queries and noise."""
    found, (train, test) = {}, parts(seed)
    with patch("cascade_lib.estimators.simulated.noisy_signals", correlated_signals(rho) if rho else noisy_signals):
        for step in steps:
            found |= step(train, test, NOISE[level], seed)
    return found


def draw(seed, level, steps=VERDICT + OTHERS, rho=0.0):
    """Return the areas ×100 under these curves."""
    return {name: 100 * curve.auc() for name, curve in curves(seed, level, steps, rho).items()}


def stored():
    """Return all stored areas: a row for each seed, level and correlation of errors, a column for each variant."""
    return pd.read_csv(STORED, index_col=["rho", "level", "seed"]).sort_index()


if __name__ == "__main__":
    cases = pd.MultiIndex.from_product([(0.0, *CORRELATIONS), NOISE, SEEDS], names=["rho", "level", "seed"])
    found = [draw(seed, level, VERDICT if rho else VERDICT + OTHERS, rho) for rho, level, seed in tqdm(cases)]
    pd.DataFrame(found, index=cases).round(3).to_csv(STORED)
