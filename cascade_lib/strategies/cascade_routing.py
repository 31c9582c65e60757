"""Cascade routing: any set of models may be planned, and any model may run next."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import ClassVar

import numpy as np

from ..estimators.base import Beliefs
from ..outcomes import Outcomes
from ..theory.maximum import subset_sums, subsets
from .base import PlanningStrategy, Plans, open_to, whole_numbers


class CascadeRouter(PlanningStrategy):
    r"""Cascade routing: any set of models may be planned, and any model may run next.

    With S the set that has run, the plans are all supersets M ⊇ S, each worth
    :math:`\hat q_M(x) - \lambda \hat c_M(x)`. Stop if M = S, else run one model of M \ S and plan again.

    Parameters
    ----------
    depth : int, optional
        The largest number of models run on one query. 1 is routing. Default: no limit.
    lookahead : int, optional
        How many models a plan may add to S. 1 is the *greedy* rule, which looks one call ahead. Default: no limit. It
        limits what is planned and not what is run: after each call there is a new plan.
    order : sequence of int, optional
        Positions of the models in the order in which the members of a plan run; a model that is left out never runs.
        Default: all, the cheapest expected first.

    Notes
    -----
    All plans of a state are valued at once. With u models left there are :math:`2^u` of them, or with a `depth` only
    the sets of as many models as may still run: 1,831 for depth 2 and 60 models.

    References
    ----------
    Dekoninck, Baader and Vechev (2025), section on cascade routing; chapter "Cascade routing".

    Examples
    --------
    The first query goes straight to the large model, the second tries the small one first:

    >>> from cascade_lib import Outcomes, TabulatedEstimator
    >>> pool = Outcomes([[0, 1], [1, 1]], [[1, 5], [1, 5]])
    >>> guess = TabulatedEstimator([[0.1, 0.9], [0.6, 0.7]], pool.quality, 0.3, cost_ex_ante=pool.cost)
    >>> CascadeRouter().play(guess, pool, lam=0.05).ran
    array([[False,  True],
           [ True, False]])
    """

    name, rank = "cascade routing", 4
    line: ClassVar = {"color": "#d55e00", "linestyle": (0, (6, 1, 1, 1))}

    def __init__(
        self,
        *,
        depth: int | None = None,
        lookahead: int | None = None,
        order: Sequence[int] | None = None,
    ) -> None:
        self.depth, self.lookahead = _limit("depth", depth), _limit("lookahead", lookahead)
        self.order = whole_numbers(order)

    @classmethod
    def suggested(cls, train: Outcomes, *, depth: int | None, ceiling: float) -> CascadeRouter:
        """Return the one with this depth."""
        return cls(depth=depth)

    def plans(self, beliefs: Beliefs) -> Plans:
        """Return one plan for each set of models that may still run, the empty one included."""
        left = np.sort(open_to(self.order, beliefs))
        room = None if self.depth is None else max(self.depth - int(beliefs.ran.sum()), 0)
        most = min((limit for limit in (room, self.lookahead) if limit is not None), default=None)
        sets = subsets(len(left), most)
        members = np.zeros((len(sets), len(beliefs.ran)), dtype=bool)
        members[:, left] = sets
        value = beliefs.future(left).sets(beliefs.best, most)
        return Plans(subset_sums(beliefs.cost[:, left], most), value, members)

    def next_model(self, cost: np.ndarray, members: np.ndarray) -> np.ndarray:
        """Return the member of each plan that is cheapest in expectation, or the first in `order` if one was given."""
        if self.order is None:
            return np.where(members, cost, np.inf).argmin(axis=1)
        return super().next_model(cost, members)


def _limit(name: str, value: int | None) -> int | None:
    """Return a number of models, at least 1, as a Python integer, or None."""
    if value is None:
        return None
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number of models; got {value!r}.")
    if value < 1:
        raise ValueError(f"{name} must be at least 1 model per query; got {value}.")
    return int(value)
