"""Cascade routing: the exact curve for all prices, one live decision, growth with n and k, and the honest baseline.

The baseline decides query by query in plain Python at one price, valuing each set by 100 draws, as a straightforward
implementation would.
"""

import itertools
import resource

import numpy as np
from timing import median_seconds, seconds
from workloads import FIVE, MODELS, QUERIES, simulate

from cascade_lib import CascadeRouter

DRAWS = 100


def plain_decision(mean, spread, cost, lam, draws):
    """Return the best set of models for one query by looping over all sets."""
    best, chosen = -np.inf, ()
    samples = mean + spread * draws
    for size in range(1, len(mean) + 1):
        for models in itertools.combinations(range(len(mean)), size):
            worth = samples[:, models].max(axis=1).mean() - lam * cost[list(models)].sum()
            if worth > best:
                best, chosen = worth, models
    return chosen


def curve_rows():
    """Time the exact curve on as many queries as RouterBench has."""
    for models in (FIVE, tuple(MODELS)):
        pool, estimator = simulate(QUERIES, models)
        time = seconds(lambda e=estimator, p=pool: CascadeRouter().frontier(e, p), runs=1)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        single = seconds(lambda e=estimator, p=pool: CascadeRouter().play(e, p, lam=0.1), runs=1)
        yield f"exact curve, n = {QUERIES:,}, k = {len(models)}", "s", time
        yield f"exact curve / play at one price, k = {len(models)}", "×", time / single
        yield f"peak memory so far, k = {len(models)}", "GiB", peak


def decision_rows():
    """Time one live decision, and the first decision of a batch against the plain loop."""
    for models in (FIVE, tuple(MODELS)):
        k = len(models)
        pool, estimator = simulate(200, models)
        start = pool.evidence(np.zeros(k, dtype=bool))
        beliefs = [estimator.beliefs(start, np.array([row])) for row in range(100)]
        plan = CascadeRouter().plans

        def decide(belief, plan=plan):
            plans = plan(belief)
            return (plans.value - 0.1 * plans.cost).argmax()

        live = median_seconds([lambda b=b: decide(b) for b in beliefs])
        draws = np.random.default_rng(0).normal(size=(DRAWS, k))
        loop = median_seconds(
            [
                lambda b=b, z=draws: plain_decision(b.mean[0], b.spread[0], b.cost[0], 0.1, z)
                for b in beliefs[: 20 if k == 5 else 3]
            ]
        )
        yield f"one live decision, k = {k} (median)", "ms", 1e3 * live
        yield f"plain Python, {DRAWS} draws, k = {k} (median)", "ms", 1e3 * loop
        yield f"plain Python / library, k = {k}", "×", loop / live


def growth_rows():
    """Time the exact curve as n and k grow."""
    for n in (2_000, 4_000, 8_000, 16_000, 32_000):
        pool, estimator = simulate(n, FIVE)
        time = seconds(lambda e=estimator, p=pool: CascadeRouter().frontier(e, p), runs=1)
        yield f"growth with n, k = 5, n = {n}", "s", time
    for k in range(2, 12):
        pool, estimator = simulate(1_000, tuple(MODELS)[:k])
        time = seconds(lambda e=estimator, p=pool: CascadeRouter().frontier(e, p), runs=1)
        yield f"growth with k, n = 1000, k = {k}", "s", time


def rows():
    """Yield (what, unit, figure), all measured in this run."""
    yield from decision_rows()
    yield from growth_rows()
    yield from curve_rows()
