"""The strategies: each says only which plans it considers in a state; everything else follows from that.

A new strategy is one class with a `name` and a method `plans`. Price, budget, curve and simulation come from
`Strategy`, which all of them share.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from . import play as playing
from .beliefs import Beliefs
from .estimators import Estimator
from .frontier import Frontier
from .outcomes import Outcomes
from .play import Plans, Play
from .policy import Policy


class Strategy(ABC):
    """A rule that decides, at a price λ, which model to run next or whether to stop.

    In every state it plans: it lists what may be done from here, with expected cost and value, takes the plan that
    maximises value − λ·cost, does the first step of it, and plans again.

    Attributes
    ----------
    name : str
        What the strategy is called in figures and tables.
    depth : int or None
        The largest number of models run on one query; None for no limit.
    order : tuple of int or None
        Positions of all models in the order in which the members of a plan run; None for cheapest expected first.
    """

    name: str
    depth: int | None = None
    order: tuple[int, ...] | None = None

    @abstractmethod
    def plans(self, beliefs: Beliefs) -> Plans:
        """Return what may be done next with each query of the batch."""

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

    def __repr__(self) -> str:
        """Return the class and its options."""
        options = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
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
