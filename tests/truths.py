"""Pools to test on and slow truths to test against, shared by the test modules."""

import itertools

import numpy as np
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import linprog
from scipy.stats import norm

from cascade_lib import CascadeRouter, Outcomes, TabulatedEstimator
from cascade_lib.strategies.base import registered

# What all strategies must do is tested on these: each class of the library, and the variants whose rule differs.
STRATEGIES = [
    *(kind() for kind in registered().values() if kind.__module__.startswith("cascade_lib.")),
    CascadeRouter(lookahead=1),
]

# Values on a coarse grid make ties, equal costs, dominated models and zero costs the rule rather than the exception.
GRID = st.integers(0, 6).map(lambda step: step / 4)


@st.composite
def pools(draw, max_queries=8, max_models=5):
    """Small pools: half of them on a grid full of ties, half with generic numbers."""
    n, k = draw(st.integers(1, max_queries)), draw(st.integers(1, max_models))
    if draw(st.booleans()):
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        return Outcomes(rng.random((n, k)), rng.random((n, k)))
    tables = st.lists(st.lists(GRID, min_size=k, max_size=k), min_size=n, max_size=n)
    return Outcomes(draw(tables), draw(tables))


def best_by_linear_program(quality, cost, budget):
    """The largest mean quality of a randomised choice of one model per query at mean cost `budget`, by HiGHS."""
    n, k = quality.shape
    one_model_each = np.kron(np.eye(n), np.ones(k))
    solution = linprog(
        -quality.ravel() / n,
        A_ub=cost.ravel()[None] / n,
        b_ub=[budget],
        A_eq=one_model_each,
        b_eq=np.ones(n),
        method="highs",
    )
    assert solution.success, solution.message
    return -solution.fun


def scene(n, k, seed, *, ties=False):
    """Random outcomes and random tables of estimates about them; with `ties`, all on a coarse grid."""
    rng = np.random.default_rng(seed)
    table = (lambda: rng.integers(0, 5, (n, k)) / 4) if ties else (lambda: rng.random((n, k)))
    pool = Outcomes(table(), table())
    spread = rng.choice([0.0, 0.25], (n, k)) if ties else 0.4 * rng.random((n, k))
    return pool, TabulatedEstimator(table(), table(), spread, 0.3 * table(), 0.3 * table())


def slow_expected_max(best, means, spreads):
    """E[max(best, Gaussians)] by adaptive integration."""
    sure = max([best, *(m for m, s in zip(means, spreads, strict=True) if s == 0)])
    open_ones = [(m, s) for m, s in zip(means, spreads, strict=True) if s > 0]
    if not open_ones:
        return sure
    low = max(sure, min(m - 9 * s for m, s in open_ones))
    high = max([low, *(m + 9 * s for m, s in open_ones)])
    if sure == -np.inf:
        low = min(m - 9 * s for m, s in open_ones)
    miss = lambda t: 1 - np.prod([norm.cdf((t - m) / s) for m, s in open_ones])  # noqa: E731
    kinks = sorted({float(np.clip(m + z * s, low, high)) for m, s in open_ones for z in (-5, 0, 5)})
    return low + quad(miss, low, high, points=kinks, epsabs=1e-10, limit=200)[0]


def largest_mean(best, means, spreads):
    """The value of a set where spreads are left out: the largest of its means, or the best so far."""
    return max([best, *means])


def slow_decisions(pool, estimator, row, lam, *, in_order=False, value=slow_expected_max, depth=None, lookahead=None):
    """Run one query by definition: of all plans take the best, run its cheapest model, or the first in order, repeat.

    Returns the models in the order in which they ran, and the one whose answer is kept. Ties go to the cheapest plan.
    """
    k, ran = pool.k, []
    while True:
        cost = (estimator.cost_post_hoc if ran else estimator.cost_ex_ante)[row]
        best = max((estimator.post_hoc[row, i] for i in ran), default=-np.inf)
        left = [i for i in range(k) if i not in ran]
        most = min(x for x in (len(left), lookahead, None if depth is None else depth - len(ran)) if x is not None)
        if in_order:
            plans = [tuple(left[:size]) for size in range(not ran, most + 1)]
        else:
            plans = [more for size in range(not ran, most + 1) for more in itertools.combinations(left, size)]
        spent = [cost[list(more)].sum() for more in plans]
        worth = [
            value(best, estimator.ex_ante[row, list(more)], estimator.spread[row, list(more)]) - lam * price
            for more, price in zip(plans, spent, strict=True)
        ]
        # Equally good and equally expensive plans in the order in which the library lists them: by binary counting.
        rank = [(-w, price, sum(1 << i for i in plan)) for w, price, plan in zip(worth, spent, plans, strict=True)]
        chosen = plans[rank.index(min(rank))]
        if not chosen:
            return ran, max(sorted(ran), key=lambda i: estimator.post_hoc[row, i])
        ran.append(chosen[0] if in_order else min(chosen, key=lambda i: cost[i]))
