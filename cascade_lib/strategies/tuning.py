"""A price of its own for every step of a strategy, by exact line searches."""

from __future__ import annotations

from copy import copy

import numpy as np

from .. import _checks
from ..estimators.base import Estimator
from ..evaluation.frontier import Frontier
from ..evaluation.simulate import walk
from ..outcomes import Outcomes
from .base import Strategy


def with_step_prices(
    strategy: Strategy, estimator: Estimator, outcomes: Outcomes, *, lam: float, sweeps: int
) -> Strategy:
    """Return a copy of a strategy with step prices; see `Strategy.with_step_prices`."""
    lam = _checks.number("lam", lam, low=np.finfo(float).tiny, high=np.finfo(float).max, mend="Give a price > 0.")
    tuned = copy(strategy)
    tuned.step_prices = (1.0,) * outcomes.k
    steps = range(strategy.depth or outcomes.k)
    # λ itself is a poor place to start from where calls are charged and not costs, as in a threshold cascade.
    for step in [None, *(step for _ in range(sweeps) for step in steps)]:
        tuned.step_prices = _line_search(tuned, estimator, outcomes, lam, step)
    return tuned


def _line_search(
    strategy: Strategy, estimator: Estimator, outcomes: Outcomes, lam: float, step: int | None
) -> tuple[float, ...]:
    """Return the step prices with that of `step`, or of all, at its best, or left alone if that is as good."""
    assert strategy.step_prices is not None
    leaves = walk(strategy, estimator, outcomes, free=step, lam=lam)
    curve = Frontier.from_leaves(strategy.name, outcomes, leaves)
    gain = curve.quality - lam * curve.cost
    here = int(np.flatnonzero(curve.lam <= lam)[0])
    best = int(gain.argmax())
    if gain[best] <= gain[here]:
        return strategy.step_prices
    # Any price within the best interval plays alike; its middle is the one least moved by new data.
    upper = curve.lam[best - 1] if best else 2 * curve.lam[best]
    factor = (curve.lam[best] + upper) / (2 * lam)
    return tuple(w * factor if step in (None, j) else w for j, w in enumerate(strategy.step_prices))
