"""Routing: one model per query."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ..estimators.base import Beliefs
from ..outcomes import Outcomes
from .base import PlanningStrategy, Plans


class Router(PlanningStrategy):
    r"""Optimal routing: one model per query, the one with the largest :math:`\hat q_i(x) - \lambda \hat c_i(x)`.

    References
    ----------
    Dekoninck, Baader and Vechev (2025), theorem on optimal routing; chapter "Optimal routing".

    Examples
    --------
    >>> from cascade_lib import Outcomes, TabulatedEstimator
    >>> pool = Outcomes([[0, 1], [1, 1]], [[1, 5], [1, 5]], models=["small", "large"], cost_unit="tokens")
    >>> guess = TabulatedEstimator(ex_ante=[[0.2, 0.9], [0.7, 0.9]], cost_ex_ante=pool.cost)
    >>> Router().frontier(guess, pool).to_frame()
         lam  cost  quality
    0  0.175   1.0      0.5
    1  0.050   3.0      1.0
    2  0.000   5.0      1.0
    >>> Router().calibrate(guess, pool, budget=1)
    Policy(routing, lam=0.175, gamma=1, budget=1)
    """

    name, rank = "routing", 1
    line: ClassVar = {"color": "#0072b2", "linestyle": "-"}
    depth = 1

    @classmethod
    def suggested(cls, train: Outcomes, *, depth: int | None, ceiling: float) -> Router:
        """Return the one there is."""
        return cls()

    def plans(self, beliefs: Beliefs) -> Plans:
        """Return one plan for each model: run it."""
        left = beliefs.left
        return Plans(beliefs.cost[:, left], beliefs.mean[:, left], np.eye(len(beliefs.ran), dtype=bool)[left])
