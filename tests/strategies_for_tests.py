"""Hypothesis strategies and slow truths that several test modules share."""

import numpy as np
from hypothesis import strategies as st
from scipy.optimize import linprog

from cascade_lib import Outcomes

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
