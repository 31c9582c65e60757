"""What every strategy is measured against: mixtures of single models below, and a router that knows all above."""

from __future__ import annotations

import numpy as np

from ..outcomes import Outcomes
from ..theory.envelope import segments
from .frontier import Frontier, Leaves


def single_models(outcomes: Outcomes, *, name: str = "single models") -> Frontier:
    """Return the upper concave hull of the single models: what mixing them blindly achieves.

    This is the linear-interpolation baseline of Dekoninck, Baader and Vechev (2025).

    Examples
    --------
    >>> single_models(Outcomes([[0, 1], [1, 1]], [[1, 5], [1, 5]])).quality_at(3)
    np.float64(0.75)
    """
    hull = segments(outcomes.summary["cost"].to_numpy()[None], outcomes.summary["quality"].to_numpy()[None])
    n, h = len(outcomes), len(hull.index)
    every = Leaves(
        query=np.repeat(np.arange(n), h),
        high=np.tile(hull.high, n),
        low=np.tile(hull.low, n),
        cost=outcomes.cost[:, hull.index].ravel(),
        quality=outcomes.quality[:, hull.index].ravel(),
    )
    return Frontier.from_leaves(name, outcomes, every)


def omniscient(outcomes: Outcomes, *, name: str = "omniscient") -> Frontier:
    """Return the curve of a router that knows every quality and cost beforehand: the bound for all routers.

    It bounds cascades too, since a cascade pays for every model it runs and answers with one of them.

    Examples
    --------
    >>> omniscient(Outcomes([[0, 1], [1, 1]], [[1, 5], [1, 5]])).quality_at(3)
    np.float64(1.0)
    """
    best = segments(outcomes.cost, outcomes.quality)
    cost, quality = outcomes.cost[best.row, best.index], outcomes.quality[best.row, best.index]
    return Frontier.from_leaves(name, outcomes, Leaves(best.row, best.high, best.low, cost, quality))
