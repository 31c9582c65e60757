"""The strategies: each says only which plans it considers in a state; everything else follows from that.

A new strategy is one class with a `name` and a method `plans`. Price, budget, curve and simulation come from
`Strategy`, which all of them share. What differs between routing, cascading and cascade routing is the list of plans:
single models, prefixes of an order, or all supersets of what has run.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy

import numpy as np

from . import _checks
from . import play as playing
from .beliefs import Beliefs
from .estimators import Estimator
from .expected_max import clark_max, expected_max, nested_expected_max, subset_sums, subsets
from .frontier import Frontier
from .outcomes import Outcomes
from .play import Plans, Play
from .policy import Policy


class Strategy(ABC):
    r"""A rule that decides, at a price λ, which model to run next or whether to stop.

    In every state it plans: it lists what may be done from here, with expected cost and value, takes the plan that
    maximises value − λ·cost, does the first step of it, and plans again.

    Attributes
    ----------
    name : str
        What the strategy is called in figures and tables.
    depth : int or None
        The largest number of models run on one query; None for no limit.
    order : tuple of int or None
        Positions of the models in the order in which the members of a plan run; None for that of the columns.
    step_prices : tuple of k positive floats, or None
        Weights w: after j calls the price is :math:`w_j \lambda`. None for one price at every step.
    """

    name: str
    depth: int | None = None
    order: tuple[int, ...] | None = None
    step_prices: tuple[float, ...] | None = None

    @abstractmethod
    def plans(self, beliefs: Beliefs) -> Plans:
        """Return what may be done next with each query of the batch, on all of which the same models have run."""

    def next_model(self, cost: np.ndarray, members: np.ndarray) -> np.ndarray:
        """Return the member of each plan that runs first: the first in `order`.

        Parameters
        ----------
        cost : float array, shape (s, k)
            Expected cost of every model, for each of s plans.
        members : bool array, shape (s, k)
            The models that the plan runs.

        Returns
        -------
        int array, shape (s,)
            A position among the k models; without meaning for plans without members.
        """
        order = _chain(self.order, members.shape[1])
        return order[members[:, order].argmax(axis=1)]

    def hopeless(self, beliefs: Beliefs, lam: np.ndarray) -> np.ndarray | None:
        """Return the models that no plan worth taking at a price of `lam` (m,) or more has, bool (m, k).

        None, the default, rules nothing out.
        """
        return None

    def answer(self, beliefs: Beliefs) -> np.ndarray:
        """Return the model whose answer is kept when stopping: of those that ran, the one with the best estimate."""
        return np.where(beliefs.ran, beliefs.mean, -np.inf).argmax(axis=1)

    def frontier(self, estimator: Estimator, outcomes: Outcomes) -> Frontier:
        """Play at every price at once and return the exact cost–quality curve.

        Parameters
        ----------
        estimator : Estimator
            Where the estimates come from. It must not have seen these outcomes.
        outcomes : Outcomes
            The n queries to play.

        Returns
        -------
        Frontier
            What was really spent and achieved, with one point for each interval of prices that play alike.

        References
        ----------
        Chapter "Optimal routing".
        """
        return Frontier.from_leaves(self.name, outcomes, playing.walk(self, estimator, outcomes))

    def play(self, estimator: Estimator, outcomes: Outcomes, *, lam: float, dear: np.ndarray | None = None) -> Play:
        r"""Play at one price.

        Parameters
        ----------
        estimator : Estimator
            Where the estimates come from.
        outcomes : Outcomes
            The n queries to play.
        lam : float
            The price λ in quality per unit of cost, in [0, ∞].
        dear : bool array, shape (n,), optional
            The queries on which ties at exactly `lam` go to the dearest choice, :math:`s_{max}^\lambda`. Everywhere
            else, and by default, they go to the cheapest, :math:`s_{min}^\lambda`.

        Returns
        -------
        Play
            The models run, their order and the answer kept, for every query.

        Raises
        ------
        ValueError
            If `lam` is negative or NaN.
        """
        return playing.play(self, estimator, outcomes, lam, dear=dear)

    def fit(self, estimator: Estimator, outcomes: Outcomes, *, budget: float) -> Policy:
        """Choose λ and γ so that the mean cost per query on `outcomes` is `budget`.

        Parameters
        ----------
        estimator : Estimator
            Where the estimates come from.
        outcomes : Outcomes
            Calibration queries, which the estimator must not have been fitted on.
        budget : float
            Mean cost per query in ``outcomes.cost_unit``.

        Returns
        -------
        Policy

        Raises
        ------
        TypeError
            If `budget` is not a number.
        ValueError
            If it is NaN, or below the least that the strategy can spend on these queries.
        """
        curve = self.frontier(estimator, outcomes)
        lam, gamma = curve.price_for(budget)
        return Policy(self, estimator, lam, gamma, float(budget))

    def with_step_prices(self, estimator: Estimator, outcomes: Outcomes, *, lam: float, sweeps: int = 2) -> Strategy:
        r"""Return the same strategy with a price of its own for every step, :math:`\lambda_j = w_j \lambda`.

        Starting from one price for all, each step's price in turn is set to the one that maximises the realised
        mean quality − λ · mean cost on `outcomes` with the others held fixed.

        Parameters
        ----------
        estimator : Estimator
            Where the estimates come from.
        outcomes : Outcomes
            Queries to tune on; not those on which the result is judged.
        lam : float
            The trade-off λ between quality and cost, positive and finite.
        sweeps : int
            How often to go through all steps.

        Notes
        -----
        Along one step's price the objective is piecewise constant with known breakpoints, so each line search is
        exact: no grid and no step size. Coordinate ascent may still end in a local optimum.

        References
        ----------
        Dekoninck, Baader and Vechev (2025), theorem on optimal cascading, which has one λ for every step.
        """
        lam = _checks.number("lam", lam, low=np.finfo(float).tiny, high=np.finfo(float).max, mend="Give a price > 0.")
        tuned = copy(self)
        tuned.step_prices = (1.0,) * outcomes.k
        steps = range(self.depth or outcomes.k)
        for step in [step for _ in range(sweeps) for step in steps]:
            tuned.step_prices = tuned._line_search(estimator, outcomes, lam, step)
        return tuned

    def _line_search(self, estimator: Estimator, outcomes: Outcomes, lam: float, step: int) -> tuple[float, ...]:
        """Return the step prices with the one of `step` set to its best value, or left alone if that is as good."""
        leaves = playing.walk(self, estimator, outcomes, free=step, lam=lam)
        curve = Frontier.from_leaves(self.name, outcomes, leaves)
        gain = curve.quality - lam * curve.cost
        here = int(np.flatnonzero(curve.lam <= lam)[0])
        best = int(gain.argmax())
        if gain[best] <= gain[here]:
            return self.step_prices
        # Any price within the best interval plays alike; its middle is the one least moved by new data.
        upper = curve.lam[best - 1] if best else 2 * curve.lam[best] + lam
        weight = self.step_prices[step] * (curve.lam[best] + upper) / (2 * lam)
        return (*self.step_prices[:step], weight, *self.step_prices[step + 1 :])

    def __repr__(self) -> str:
        """Return the class and those of its options that are not at their default."""
        options = ", ".join(f"{name}={value!r}" for name, value in vars(self).items() if value not in (None, False))
        return f"{type(self).__name__}({options})"


class Router(Strategy):
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
    >>> Router().fit(guess, pool, budget=2)
    Policy(routing, lam=0.175, gamma=0.5, budget=2)
    """

    name = "routing"
    depth = 1

    def plans(self, beliefs: Beliefs) -> Plans:
        """Return one plan for each model: run it."""
        return Plans(beliefs.cost, beliefs.mean, np.eye(len(beliefs.ran), dtype=bool))


class Cascade(Strategy):
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
        self.order, self.expect = _whole_numbers(order), expect
        self.depth = self.order and len(self.order)

    def plans(self, beliefs: Beliefs) -> Plans:
        """Return one plan for each prefix that is at least as long as what has run."""
        order = _chain(self.order, len(beliefs.ran))
        left = order[~beliefs.ran[order]]
        value = nested_expected_max(*_unrun(beliefs, left, self.expect))
        cost = np.cumsum(beliefs.cost[:, left], axis=1)
        members = np.zeros((len(left) + 1, len(beliefs.ran)), dtype=bool)
        members[:, left] = np.tri(len(left) + 1, len(left), -1, dtype=bool)
        return Plans(np.pad(cost, ((0, 0), (1, 0))), value, members)


class ThresholdCascade(Strategy):
    r"""The cascade of practice: stop at the first model whose post-hoc estimate reaches a threshold.

    The threshold is t = `ceiling` − λ, the same for every model unless `step_prices` are set: going on is taken to be
    worth `ceiling` at unit cost, whatever the query. The answer kept is that of the last model run.

    Parameters
    ----------
    order : sequence of int, optional
        Positions of the models in the order in which they run; a model that is left out never runs. Default: all, in
        the order of the columns.
    ceiling : float
        The highest threshold of interest; estimates above it always stop. Default: 1, a perfect answer.

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

    def __init__(self, order: Sequence[int] | None = None, *, ceiling: float = 1.0) -> None:
        self.order, self.ceiling = _whole_numbers(order), ceiling
        self.depth = self.order and len(self.order)

    def plans(self, beliefs: Beliefs) -> Plans:
        """Return two plans: stop with the last answer, or run the next model and hope for the best."""
        order = _chain(self.order, len(beliefs.ran))
        m, ran = len(beliefs), int(beliefs.ran.sum())
        members = np.zeros((2, len(beliefs.ran)), dtype=bool)
        members[1, order[ran]] = True
        stop = beliefs.mean[:, order[ran - 1]] if ran else np.full(m, -np.inf)
        value = np.column_stack([stop, np.full(m, self.ceiling)])
        return Plans(np.tile([0.0, 1.0], (m, 1)), value, members)

    def answer(self, beliefs: Beliefs) -> np.ndarray:
        """Return the last model that ran."""
        last = _chain(self.order, len(beliefs.ran))[int(beliefs.ran.sum()) - 1]
        return np.full(len(beliefs), last)


class CascadeRouter(Strategy):
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
    order : sequence of int, optional
        Positions of the models in the order in which the members of a plan run; a model that is left out never runs.
        Default: all, the cheapest expected first.

    Notes
    -----
    All :math:`2^u` plans of a state with u models left are valued at once, which takes :math:`O(2^u)` work per query.

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
        best = beliefs.mean[:, beliefs.ran].max(axis=1, keepdims=True)
        spread = beliefs.spread if self.expect else 0.0
        gain = clark_max(best, beliefs.mean, 0.0, spread) - best
        # Where gain and price are equal up to rounding nothing is ruled out.
        return gain < lam[:, None] * beliefs.cost * (1 - 1e-6)

    def plans(self, beliefs: Beliefs) -> Plans:
        """Return one plan for each set of models that may still run, the empty one included."""
        k = len(beliefs.ran)
        left = np.intersect1d(beliefs.left, _chain(self.order, k))
        sets = subsets(len(left))
        size, room = sets.sum(axis=1), k if self.depth is None else self.depth - int(beliefs.ran.sum())
        allowed = size <= (1 if self.greedy else room)
        members = np.zeros((int(allowed.sum()), k), dtype=bool)
        members[:, left] = sets[allowed]
        value = expected_max(*_unrun(beliefs, left, self.expect))
        return Plans(subset_sums(beliefs.cost[:, left])[:, allowed], value[:, allowed], members)

    def next_model(self, cost: np.ndarray, members: np.ndarray) -> np.ndarray:
        """Return the member of each plan that is cheapest in expectation, or the first in `order` if one was given."""
        if self.order is None:
            return np.where(members, cost, np.inf).argmin(axis=1)
        return super().next_model(cost, members)


def _unrun(beliefs: Beliefs, left: np.ndarray, expect: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean and spread of the models `left`, and the best estimate among those that have run."""
    best = beliefs.mean[:, beliefs.ran].max(axis=1, initial=-np.inf)
    spread = beliefs.spread[:, left] if expect else np.zeros((len(beliefs), len(left)))
    return beliefs.mean[:, left], spread, best


def _whole_numbers(order: Sequence[int] | None) -> tuple[int, ...] | None:
    return None if order is None else tuple(int(i) for i in order)


def _chain(order: tuple[int, ...] | None, k: int) -> np.ndarray:
    """Return the models in the order in which they run; by default all of them in the order of the columns."""
    result = np.arange(k) if order is None else np.array(order, dtype=int)
    if not result.size or len(set(result)) < len(result) or not set(result) <= set(range(k)):
        raise ValueError(f"order must name models by distinct positions 0 to {k - 1}, at least one; got {order}.")
    return result
