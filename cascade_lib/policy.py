"""A strategy with its price fixed: what is deployed once a budget has been chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .estimators import Estimator
from .outcomes import Outcomes
from .play import Play


class Playable(Protocol):
    """What a policy needs to know of a strategy."""

    name: str

    def play(self, estimator: Estimator, outcomes: Outcomes, *, lam: float, dear: np.ndarray | None) -> Play:
        """Play at one price, with ties going to the dear side where `dear` is True."""


@dataclass(frozen=True, repr=False)
class Policy:
    r"""A strategy at the price and mixing weight that spend a budget; made by ``strategy.fit``.

    Parameters
    ----------
    strategy : Strategy
        The decision rule.
    estimator : Estimator
        Where it gets its estimates from.
    lam : float
        The price λ, in quality per unit of cost.
    gamma : float
        The share γ of queries on which ties at λ go to the cheap side.
    budget : float
        The mean cost per query that λ and γ were chosen for.
    """

    strategy: Playable
    estimator: Estimator
    lam: float
    gamma: float
    budget: float

    def play(self, outcomes: Outcomes, *, seed: int, estimator: Estimator | None = None) -> Play:
        r"""Play on new queries, tossing for each query the coin that decides its ties.

        Parameters
        ----------
        outcomes : Outcomes
            The n queries to play.
        seed : int
            Seed of the coins.
        estimator : Estimator, optional
            Stands in for the policy's own, e.g. a `TabulatedEstimator` made for these queries.

        Returns
        -------
        Play
            In expectation over the coins its cost and quality are γ times those of :math:`s_{min}^\lambda` plus
            1 − γ times those of :math:`s_{max}^\lambda`.

        Examples
        --------
        >>> from cascade_lib import Outcomes, Router, TabulatedEstimator
        >>> pool = Outcomes([[0, 1]] * 1000, [[1, 5]] * 1000)
        >>> policy = Router().fit(TabulatedEstimator(pool.quality, cost_ex_ante=pool.cost), pool, budget=3)
        >>> abs(policy.play(pool, seed=0).cost.mean() - 3) < 0.2
        np.True_
        """
        dear = np.random.default_rng(seed).random(len(outcomes)) >= self.gamma
        return self.strategy.play(estimator or self.estimator, outcomes, lam=self.lam, dear=dear)

    def __repr__(self) -> str:
        """Return the strategy, λ, γ and the budget."""
        return f"Policy({self.strategy.name}, lam={self.lam:.4g}, gamma={self.gamma:.4g}, budget={self.budget:g})"
