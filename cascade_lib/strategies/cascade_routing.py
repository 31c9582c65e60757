"""Cascade routing: any set of models may be planned, and any model may run next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..estimators.base import Beliefs
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
    greedy : bool
        Look only one model ahead: plans add at most one model to S.
    prune : bool
        Leave out, once something has run, every model whose own gain does not cover its cost at the lowest price that
        matters. By the lemma on negative marginal gains this changes no decision. It saves time only where prices are
        high and models many: most work goes into the first state, in which nothing has run and nothing is left out.
        Values are rounded differently, so a tie at exactly the price asked for may fall to its other side.
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

    name = "cascade routing"

    def __init__(
        self,
        *,
        depth: int | None = None,
        greedy: bool = False,
        prune: bool = False,
        order: Sequence[int] | None = None,
    ) -> None:
        if depth is not None and depth < 1:
            raise ValueError(f"depth must be at least 1 model per query; got {depth}.")
        self.depth, self.greedy, self.prune = depth, greedy, prune
        self.order = whole_numbers(order)

    def hopeless(self, beliefs: Beliefs, lam: np.ndarray) -> np.ndarray | None:
        """Return where running a model next would lose even at the price `lam`: by the lemma, no optimal set has it."""
        if not (self.prune and beliefs.ran.any()):
            return None
        every = np.arange(len(beliefs.ran))
        gain = beliefs.future(every).alone(beliefs.best) - beliefs.best[:, None]
        # Where gain and price are equal up to rounding nothing is ruled out.
        return gain < lam[:, None] * beliefs.cost * (1 - 1e-6)

    def plans(self, beliefs: Beliefs) -> Plans:
        """Return one plan for each set of models that may still run, the empty one included."""
        left = np.sort(open_to(self.order, beliefs))
        room = None if self.depth is None else max(self.depth - int(beliefs.ran.sum()), 0)
        most = room if not self.greedy else 1 if room is None else min(room, 1)
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
