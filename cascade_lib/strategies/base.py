"""What all strategies share: curve, budget, simulation and tuning follow from one decision rule.

A new strategy is one class with a `name` and a method: `plans`, if it takes the best of several plans at every step,
or `moves`, if it decides in some other way. `cascade_lib.testing.check_strategy` says whether it does what all must do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from inspect import signature
from math import inf
from numbers import Integral
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from .._arrays import Bools, Floats, Ints
from .._registry import Registry
from ..estimators.base import Beliefs, Estimator
from ..outcomes import Outcomes
from ..theory.envelope import at_price, segments

if TYPE_CHECKING:
    from ..deploy.policy import Policy
    from ..evaluation.frontier import Frontier
    from ..evaluation.simulate import Play


_KINDS: Registry[Strategy] = Registry(__package__)

STOP = -1
"""Stands where a model's position would, when nothing more is run."""


class Moves(NamedTuple):
    """What to do next at every price: from `low` (exclusive) to `high`, row `row` runs `model`, or stops at `STOP`.

    Sorted by row and falling price, as the `Segments` of an envelope are.
    """

    row: Ints
    model: Ints
    high: Floats
    low: Floats

    def at(self, lam: float, expensive_ties: Bools) -> Ints:
        """Return the model of every row at the price `lam`, with ties as in `at_price`."""
        return self.model[at_price(self.row, self.low, lam, expensive_ties)]


class Plans(NamedTuple):
    """What may be done next with m queries, p plans for each.

    `cost` (m, p) is the expected cost still to be paid, `value` (m, p) the expected quality in the end, −∞ where a
    plan does not exist, and `members` (p, k) says which models a plan runs from now on: none if it stops.
    """

    cost: Floats
    value: Floats
    members: Bools


class Strategy(ABC):
    r"""A rule that decides, at every price λ, which model to run next or whether to stop.

    Every derived class that has a `name` is registered under the name of the class, unless that begins with an
    underscore. So it can be saved, drawn and, if it has a `suggested` of its own, compared by `study`.

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
    slug : str
        What the class is called on the command line. Default: its name with hyphens for spaces.
    rank : float
        Where the class stands in lists of strategies, which go from the simplest to the most general. Default: last.
    line : mapping, optional
        Its colour and dashes in figures, as options of ``Axes.plot``. Default: some that no other class has.
    """

    name: str
    slug: str
    rank: float = inf
    line: ClassVar[Mapping[str, object] | None] = None
    depth: int | None = None
    order: tuple[int, ...] | None = None
    step_prices: tuple[float, ...] | None = None

    def __init_subclass__(cls, **options: object) -> None:
        """Register the class; see `Registry.add`."""
        super().__init_subclass__(**options)
        if hasattr(cls, "name"):
            _KINDS.add(cls)
        if isinstance(vars(cls).get("name"), str) and "slug" not in vars(cls):
            cls.slug = cls.name.replace(" ", "-")

    @classmethod
    def suggested(cls, train: Outcomes, *, depth: int | None, ceiling: float) -> Strategy | None:
        """Return the strategy of this class that `study` is to try, or None. A class without its own is not tried.

        Parameters
        ----------
        train : Outcomes
            The queries that estimates are learned from.
        depth : int or None
            The largest number of models per query; None if all sets of models may be learned.
        ceiling : float
            The largest quality.
        """
        return None

    @abstractmethod
    def moves(self, beliefs: Beliefs) -> Moves:
        """Return what to do next with each query of the batch, on all of which the same models have run."""

    def choose(self, beliefs: Beliefs) -> Ints:
        """Return the model whose answer is kept when stopping: of those that ran, the one with the best estimate."""
        return np.where(beliefs.ran, beliefs.mean, -np.inf).argmax(axis=1)

    def parameters(self, lam: float) -> dict[str, float]:
        """Return by name what λ means to those who use the strategy, for tables and reprs: usually the price itself."""
        return {"lam": lam}

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
        Chapter "The whole curve at once".
        """
        from ..evaluation.frontier import Frontier
        from ..evaluation.simulate import walk

        return Frontier.from_leaves(self.name, outcomes, walk(self, estimator, outcomes))

    def play(
        self, estimator: Estimator, outcomes: Outcomes, *, lam: float, expensive_ties: Bools | None = None
    ) -> Play:
        r"""Play at one price.

        Parameters
        ----------
        estimator : Estimator
            Where the estimates come from.
        outcomes : Outcomes
            The n queries to play.
        lam : float
            The price λ in quality per unit of cost, in [0, ∞].
        expensive_ties : bool array, shape (n,), optional
            The queries on which ties at exactly `lam` go to the most expensive choice, :math:`s_{max}^\lambda`.
            Everywhere else, and by default, they go to the cheapest, :math:`s_{min}^\lambda`.

        Returns
        -------
        Play
            The models run, their order and the answer kept, for every query.

        Raises
        ------
        ValueError
            If `lam` is negative or NaN.
        """
        from ..evaluation.simulate import play

        return play(self, estimator, outcomes, lam, expensive_ties=expensive_ties)

    def calibrate(
        self, estimator: Estimator, outcomes: Outcomes, *, budget: float | None = None, quality: float | None = None
    ) -> Policy:
        """Choose λ and γ so that the mean cost per query on `outcomes` is `budget`, or the mean quality `quality`.

        Parameters
        ----------
        estimator : Estimator
            Where the estimates come from.
        outcomes : Outcomes
            Calibration queries, which the estimator must not have been fitted on; one that is cross-fitted may.
        budget : float, optional
            Mean cost per query in ``outcomes.cost_unit``.
        quality : float, optional
            Instead of a budget: the mean quality to reach at the least cost.

        Returns
        -------
        Policy

        Raises
        ------
        TypeError
            If neither or both are given, or one is not a number.
        ValueError
            If the budget is NaN or below the least that the strategy can spend on these queries, or the quality NaN
            or above what it reaches.

        Warns
        -----
        BudgetWarning
            If there are so few queries that the mean cost is not known to within 20% of the budget.
        """
        from ..deploy.policy import Policy

        return Policy.calibrated(self, estimator, outcomes, budget=budget, quality=quality)

    def with_step_prices(self, estimator: Estimator, outcomes: Outcomes, *, lam: float, sweeps: int = 2) -> Strategy:
        r"""Return the same strategy with a price of its own for every step, :math:`\lambda_j = w_j \lambda`.

        First one price for all steps, then each step's price in turn with the others held fixed, is set to the one that
        maximises the realised mean quality − λ · mean cost on `outcomes`.

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
        from .tuning import with_step_prices

        return with_step_prices(self, estimator, outcomes, lam=lam, sweeps=sweeps)

    def __repr__(self) -> str:
        """Return the class and those of its options that are not at their default."""
        usual = {name: option.default for name, option in signature(type(self)).parameters.items()}
        usual["step_prices"] = None
        now = {name: getattr(self, name, default) for name, default in usual.items()}
        options = ", ".join(f"{name}={value!r}" for name, value in now.items() if value != usual[name])
        return f"{type(self).__name__}({options})"


class PlanningStrategy(Strategy):
    r"""A strategy that plans in every state: it lists what may be done from here, with expected cost and value.

    It takes the plan that maximises value − λ·cost, does the first step of it, and plans again.
    """

    @abstractmethod
    def plans(self, beliefs: Beliefs) -> Plans:
        """Return what may be done next with each query of the batch, on all of which the same models have run."""

    def next_model(self, cost: Floats, members: Bools) -> Ints:
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
        order = everyone(self.order, members.shape[1])
        return order[members[:, order].argmax(axis=1)]

    def moves(self, beliefs: Beliefs) -> Moves:
        """Return the first step of the best plan at every price: the plans' upper concave envelope says which."""
        cost, value, members = self.plans(beliefs)
        segs = segments(cost, value)
        first = self.next_model(beliefs.cost[segs.row], members[segs.index])
        model = np.where(members[segs.index].any(axis=1), first, STOP)
        return Moves(segs.row, model, segs.high, segs.low)


def registered() -> dict[str, type[Strategy]]:
    """Return all classes of strategies by the name of the class, from the simplest to the most general.

    Those of this library are always among them, those of other authors once their module has been imported.

    Examples
    --------
    >>> list(registered())[:3]
    ['Router', 'ThresholdCascade', 'Cascade']
    """
    # A rank that is inherited is another's.
    return dict(sorted(_KINDS.all().items(), key=lambda entry: vars(entry[1]).get("rank", inf)))


def chain(order: tuple[int, ...] | None, k: int) -> Ints:
    """Return the models in the order in which they run; by default all of them in the order of the columns."""
    result = np.arange(k) if order is None else np.array(order, dtype=int)
    if not result.size or len(set(result)) < len(result) or not set(result) <= set(range(k)):
        raise ValueError(f"order must name models by distinct positions 0 to {k - 1}, at least one; got {order}.")
    return result


def everyone(order: tuple[int, ...] | None, k: int) -> Ints:
    """Return all models: those of `chain` first, then the others, which run only if all of these have failed."""
    first = chain(order, k)
    return np.append(first, np.setdiff1d(np.arange(k), first))


def open_to(order: tuple[int, ...] | None, beliefs: Beliefs) -> Ints:
    """Return the models that a strategy with this `order` may still run, in this order.

    If nothing has run and none of them is left, for all have failed, these are all others: some model must answer.
    """
    first = chain(order, len(beliefs.ran))
    left = first[np.isin(first, beliefs.left)]
    return left if left.size or beliefs.ran.any() else beliefs.left


def whole_numbers(order: Sequence[int] | None) -> tuple[int, ...] | None:
    """Return positions of models as a tuple of Python's own integers."""
    if order is None:
        return None
    if isinstance(order, str) or not np.iterable(order) or not all(isinstance(i, Integral) for i in order):
        raise TypeError(f"order must be a sequence of positions of models, whole numbers; got {order!r}.")
    return tuple(int(i) for i in order)
