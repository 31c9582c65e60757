"""The strategies: each says only which plans it considers in a state; everything else follows from that.

What differs between routing, cascading and cascade routing is the list of plans: single models, prefixes of an order,
or all supersets of what has run.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .beliefs import Beliefs
from .estimators import Estimator
from .expected_max import subset_sums, subsets
from .frontier import Frontier
from .outcomes import Outcomes
from .strategy import PlanningStrategy, Plans, everyone, open_to

# The quality of a perfect answer, if nothing else is said, and by how much rounding may exceed it.
_PERFECT, _ROUNDING = 1.0, 1e-12


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
    >>> Router().fit(guess, pool, budget=1)
    Policy(routing, lam=0.175, gamma=1, budget=1)
    """

    name = "routing"
    depth = 1

    def plans(self, beliefs: Beliefs) -> Plans:
        """Return one plan for each model: run it."""
        left = beliefs.left
        return Plans(beliefs.cost[:, left], beliefs.mean[:, left], np.eye(len(beliefs.ran), dtype=bool)[left])


class _InOrder(PlanningStrategy):
    """What cascades share: the models named in `order` run one after the other, and no others."""

    def __init__(self, order: Sequence[int] | None) -> None:
        self.order = _whole_numbers(order)

    @property
    def depth(self) -> int | None:
        """The number of models in the order; None for all of them."""
        return None if self.order is None else len(self.order)


class Cascade(_InOrder):
    r"""Optimal cascading: models in a fixed order; stop when no longer prefix is worth its price.

    After j − 1 calls the plans are the prefixes :math:`M_{1:i}` with i ≥ j − 1, each worth
    :math:`\hat q_{1:i}(x) - \lambda \hat c_{1:i}(x)`.

    Parameters
    ----------
    order : sequence of int, optional
        Positions of the models in the order in which they run; a model that is left out never runs. Default: all, in
        the order of the columns.
    expect : bool
        With False the value of a set is the maximum of the estimates, as if their spread were zero.

    References
    ----------
    Dekoninck, Baader and Vechev (2025), theorem on optimal cascading; chapter "Optimal cascading".

    Examples
    --------
    The second model runs only where the first one's answer turned out to be poor:

    >>> from cascade_lib import Outcomes, TabulatedEstimator
    >>> pool = Outcomes([[0, 1], [1, 1]], [[1, 5], [1, 5]])
    >>> guess = TabulatedEstimator([[0.5, 0.9]] * 2, [[0.1, 0.9], [0.8, 0.9]], 0.3, cost_ex_ante=pool.cost)
    >>> Cascade().play(guess, pool, lam=0.05).ran
    array([[ True,  True],
           [ True, False]])
    """

    name = "cascade"

    def __init__(self, order: Sequence[int] | None = None, *, expect: bool = True) -> None:
        super().__init__(order)
        self.expect = expect

    def plans(self, beliefs: Beliefs) -> Plans:
        """Return one plan for each prefix that is at least as long as what has run."""
        left = open_to(self.order, beliefs)
        value = beliefs.future(left, expect=self.expect).prefixes(beliefs.best)
        cost = np.cumsum(beliefs.cost[:, left], axis=1)
        members = np.zeros((len(left) + 1, len(beliefs.ran)), dtype=bool)
        members[:, left] = np.tri(len(left) + 1, len(left), -1, dtype=bool)
        return Plans(np.pad(cost, ((0, 0), (1, 0))), value, members)


class ThresholdCascade(_InOrder):
    r"""The cascade of practice: stop at the first model whose post-hoc estimate reaches a threshold.

    The threshold is t = `ceiling` − λ, the same for every model unless `step_prices` are set: going on is taken to be
    worth `ceiling` at unit cost, whatever the query. The answer kept is that of the last model run.

    Parameters
    ----------
    order : sequence of int, optional
        Positions of the models in the order in which they run; a model that is left out never runs. Default: all, in
        the order of the columns.
    ceiling : float, optional
        The highest threshold of interest; estimates above it always stop. Default: 1, a perfect answer. Where quality
        has another scale give its largest value, as `study` does: `frontier` and `fit` refuse the default there.

    Notes
    -----
    Here λ is no price: it says how far below perfect an estimate may be. So λ and curves of λ cannot be compared
    with those of other strategies; costs, qualities and AUCs can.

    References
    ----------
    Dekoninck, Baader and Vechev (2025), section on thresholding; Chen, Zaharia and Zou (2023).

    Examples
    --------
    >>> from cascade_lib import Outcomes, TabulatedEstimator
    >>> pool = Outcomes([[0, 1], [1, 1]], [[1, 5], [1, 5]])
    >>> guess = TabulatedEstimator([[0.5, 0.9]] * 2, [[0.1, 0.9], [0.8, 0.9]], cost_ex_ante=pool.cost)
    >>> ThresholdCascade().play(guess, pool, lam=1 - 0.7).ran
    array([[ True,  True],
           [ True, False]])
    """

    name = "threshold cascade"

    def __init__(self, order: Sequence[int] | None = None, *, ceiling: float | None = None) -> None:
        super().__init__(order)
        self.ceiling = ceiling

    def plans(self, beliefs: Beliefs) -> Plans:
        """Return two plans: stop with the last answer, or run the next model and hope for the best."""
        m, left = len(beliefs), open_to(self.order, beliefs)
        stop = beliefs.mean[:, self._last(beliefs)] if beliefs.ran.any() else np.full(m, -np.inf)
        members = np.zeros((2, len(beliefs.ran)), dtype=bool)
        members[1, left[:1]] = True
        ceiling = _PERFECT if self.ceiling is None else self.ceiling
        value = np.column_stack([stop, np.full(m, ceiling if left.size else -np.inf)])
        return Plans(np.tile([0.0, 1.0], (m, 1)), value, members)

    def frontier(self, estimator: Estimator, outcomes: Outcomes) -> Frontier:
        """Play at every threshold at once; see `Strategy.frontier`."""
        most = outcomes.quality.max()
        if self.ceiling is None and most > _PERFECT + _ROUNDING:
            raise ValueError(
                f"quality reaches {most:g} on these outcomes, but the highest threshold of a threshold cascade is "
                f"{_PERFECT:g} by default: give it the quality of a perfect answer, e.g. ceiling={most:g}."
            )
        return super().frontier(estimator, outcomes)

    def answer(self, beliefs: Beliefs) -> np.ndarray:
        """Return the last model that ran."""
        return np.full(len(beliefs), self._last(beliefs))

    def _last(self, beliefs: Beliefs) -> int:
        order = everyone(self.order, len(beliefs.ran))
        return int(order[beliefs.ran[order]][-1])


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
    expect : bool
        With False the value of a set is the maximum of the estimates, as if their spread were zero.
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
        expect: bool = True,
        prune: bool = False,
        order: Sequence[int] | None = None,
    ) -> None:
        if depth is not None and depth < 1:
            raise ValueError(f"depth must be at least 1 model per query; got {depth}.")
        self.depth, self.greedy, self.expect, self.prune = depth, greedy, expect, prune
        self.order = _whole_numbers(order)

    def hopeless(self, beliefs: Beliefs, lam: np.ndarray) -> np.ndarray | None:
        """Return where running a model next would lose even at the price `lam`: by the lemma, no optimal set has it."""
        if not (self.prune and beliefs.ran.any()):
            return None
        every = np.arange(len(beliefs.ran))
        gain = beliefs.future(every, expect=self.expect).alone(beliefs.best) - beliefs.best[:, None]
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
        value = beliefs.future(left, expect=self.expect).sets(beliefs.best, most)
        return Plans(subset_sums(beliefs.cost[:, left], most), value, members)

    def next_model(self, cost: np.ndarray, members: np.ndarray) -> np.ndarray:
        """Return the member of each plan that is cheapest in expectation, or the first in `order` if one was given."""
        if self.order is None:
            return np.where(members, cost, np.inf).argmin(axis=1)
        return super().next_model(cost, members)


def _whole_numbers(order: Sequence[int] | None) -> tuple[int, ...] | None:
    return None if order is None else tuple(int(i) for i in order)
