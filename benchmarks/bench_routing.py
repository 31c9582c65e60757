"""The whole routing frontier of a million queries and eleven models, as a multiple of one sort of as many floats."""

import numpy as np
from timing import seconds

from cascade_lib import Outcomes, Router, TabulatedEstimator

QUERIES, MODELS = 1_000_000, 11


def rows():
    """Yield (what, unit, figure), all measured in this run."""
    rng = np.random.default_rng(0)
    quality, cost = rng.random((QUERIES, MODELS)), rng.random((QUERIES, MODELS))
    pool = Outcomes(quality, cost)
    estimator = TabulatedEstimator(quality, cost_ex_ante=cost)
    flat = quality.ravel()
    frontier = seconds(lambda: Router().frontier(estimator, pool))
    sort = seconds(lambda: np.sort(flat))
    yield f"routing frontier, n = {QUERIES:,}, k = {MODELS}", "s", frontier
    yield f"np.sort of {flat.size:,} floats", "s", sort
    yield "routing frontier / np.sort", "×", frontier / sort
