"""A strategy with its price fixed: what is deployed once a budget has been chosen."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from ..estimators.base import Estimator
from ..evaluation.simulate import Play
from ..outcomes import Outcomes
from ..strategies.base import Strategy
from .session import Schema, Session

# The mean cost is called uncertain if its 95% interval reaches further than this share of the budget to each side.
_TOLERANCE = 0.2
_Z95 = 1.959964


class BudgetWarning(UserWarning):
    """There are too few calibration queries to say what a policy will spend."""


@dataclass(frozen=True)
class Calibration:
    r"""What a policy spent and achieved on the n queries that it was fitted on, per query.

    Parameters
    ----------
    queries : int
        Their number n.
    cost, quality : float
        Means.
    cost_sd, quality_sd : float
        Standard deviations over queries and coins.

    Notes
    -----
    The price is itself chosen on these queries. To first order in :math:`1 / \sqrt n` that only moves the error from
    the sample to new queries: what will be spent on average on these differs from the budget by a standard error of
    :math:`\text{cost\_sd} / \sqrt n`.

    Examples
    --------
    >>> spent = Calibration(queries=100, cost=3.0, quality=0.8, cost_sd=1.0, quality_sd=0.4)
    >>> [round(end, 2) for end in spent.cost_interval]
    [2.8, 3.2]
    """

    queries: int
    cost: float
    quality: float
    cost_sd: float
    quality_sd: float

    @property
    def cost_interval(self) -> tuple[float, float]:
        """A 95% interval for the mean cost per query that the policy will have on queries of the same kind."""
        return _interval(self.cost, self.cost_sd, self.queries)

    @property
    def quality_interval(self) -> tuple[float, float]:
        """A 95% interval for the mean quality on queries of the same kind."""
        return _interval(self.quality, self.quality_sd, self.queries)


@dataclass(frozen=True, repr=False, eq=False)
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
    schema : Schema
        The models, and the features that a live query must bring along.
    calibration : Calibration
        What the policy spent and achieved on the queries that it was fitted on.
    """

    strategy: Strategy
    estimator: Estimator
    lam: float
    gamma: float
    budget: float
    schema: Schema
    calibration: Calibration

    @classmethod
    def calibrated(
        cls,
        strategy: Strategy,
        estimator: Estimator,
        outcomes: Outcomes,
        *,
        budget: float | None,
        quality: float | None,
    ) -> Policy:
        """Choose λ and γ on some outcomes; see `Strategy.calibrate`."""
        if (budget is None) == (quality is None):
            raise TypeError("give either a budget (mean cost per query) or a quality to reach, and not both.")
        curve = strategy.frontier(estimator, outcomes)
        lam, gamma = curve.price_reaching(quality) if quality is not None else curve.price_for(cast(float, budget))
        sides = [
            strategy.play(estimator, outcomes, lam=lam, expensive_ties=np.full(len(outcomes), expensive_ties))
            for expensive_ties in (False, True)
        ]
        cost, cost_sd = _mixed(sides[0].cost, sides[1].cost, gamma)
        reached, quality_sd = _mixed(sides[0].quality, sides[1].quality, gamma)
        calibration = Calibration(len(outcomes), cost, reached, cost_sd, quality_sd)
        budget = cost if budget is None else float(budget)
        _warn_if_uncertain(calibration, budget)
        return cls(strategy, estimator, lam, gamma, budget, Schema.of(outcomes), calibration)

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
        >>> policy = Router().calibrate(TabulatedEstimator(pool.quality, cost_ex_ante=pool.cost), pool, budget=3)
        >>> abs(policy.play(pool, seed=0).cost.mean() - 3) < 0.2
        np.True_
        """
        expensive_ties = np.random.default_rng(seed).random(len(outcomes)) >= self.gamma
        return self.strategy.play(
            self.estimator if estimator is None else estimator, outcomes, lam=self.lam, expensive_ties=expensive_ties
        )

    def start(
        self,
        query: Mapping[str, object] | None = None,
        *,
        name: object = "live",
        seed: int | None = None,
        estimator: Estimator | None = None,
    ) -> Session:
        """Begin with one live query.

        Parameters
        ----------
        query : mapping, optional
            Its features by name, all those of the outcomes that the policy was fitted on; None where unknown. A date
            may be a datetime or an ISO text; without a time zone it is taken as those in training were.
        name : str or int
            What the query is called. A name and features that the estimator was trained on are taken for that query.
        seed : int, optional
            Seed of the coin that decides ties at λ. Default: a fresh coin.
        estimator : Estimator, optional
            Stands in for the policy's own, e.g. a `TabulatedEstimator` with one row.

        Returns
        -------
        Session

        Raises
        ------
        ValueError
            If a feature is missing or unknown.

        Examples
        --------
        >>> from cascade_lib import Outcomes, Router, TabulatedEstimator
        >>> pool = Outcomes([[0, 1]] * 4, [[1, 5]] * 4, models=["small", "large"])
        >>> policy = Router().calibrate(TabulatedEstimator(pool.quality, cost_ex_ante=pool.cost), pool, budget=5)
        >>> policy.start(estimator=TabulatedEstimator([[0.2, 0.9]], cost_ex_ante=[[1, 5]])).next()
        'large'
        """
        return self._session(query, name, self.toss(seed), estimator)

    def toss(self, seed: int | None) -> bool:
        """Toss the coin of one query: True if its ties at λ go to the most expensive choice, at probability 1 − γ."""
        return bool(np.random.default_rng(seed).random() >= self.gamma)

    def resume(self, state: Mapping[str, Any], *, estimator: Estimator | None = None) -> Session:
        """Take up a session where ``session.to_dict()`` left it.

        Raises
        ------
        ValueError
            If the state is not one of a session of such a policy.
        """
        try:
            session = self._session(state["query"], state["name"], bool(state["expensive_ties"]), estimator)
            for step in state["steps"]:
                if step.get("failed"):
                    session.fail(step["model"], cost=step["cost"])
                else:
                    session.observe(step["model"], cost=step["cost"], answer=step["answer"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"this is not the state of a session, as session.to_dict() returns it: {error!r}."
            ) from None
        return session

    def warm(self) -> Policy:
        """Learn every set of models that may come to have run, so that no live query waits for it; return the policy.

        A policy that was loaded is warm.

        Raises
        ------
        TypeError
            If the estimator has no way to become names and numbers; see `save`.
        ValueError
            If there are too many sets. The message says how to have fewer.
        """
        from . import serialization

        serialization.fitted(self)
        return self

    def save(self, path: str | Path) -> None:
        """Write the policy to a JSON file of names and numbers.

        The file holds all that decisions about new queries need, for every set of models that the strategy may come to
        have run, whichever models fail: fitted numbers, names of models and features, and the levels of columns of
        labels. It holds no training query, no prompt, no name of a query and no code. See `serialization`.
        What a `StoredEstimator` of your own stores is up to its author.

        Raises
        ------
        TypeError
            If the estimator cannot become a `StoredEstimator`, as a `LearnedEstimator` can; if a learner or transformer
            of it is not among those that a file can hold; or if the strategy is not of a registered class or has an
            option that is not plain. The message says what is needed.
        ValueError
            If the strategy may reach too many sets of models. The message says how to have fewer.
        """
        from . import serialization

        serialization.save(self, path)

    @staticmethod
    def load(path: str | Path) -> Policy:
        """Read a policy from a file that `save` wrote.

        It decides about new queries as the policy saved did, bit for bit. Nothing is fitted, then or later. It knows no
        training queries any more: these are new to it, and get no held-out estimates.

        Raises
        ------
        ValueError
            If the file is damaged, too large, of another version, or names a class that is not registered: the module
            of an author's class must be imported first. Nothing is built before it has been checked.
        """
        from . import serialization

        return serialization.load(path)

    def to_dict(self) -> dict[str, float | int | str]:
        """Return the policy's figures: strategy, λ or threshold, γ, budget, and those of the calibration queries."""
        low, high = self.calibration.cost_interval
        return {
            "strategy": self.strategy.name,
            **self.strategy.parameters(self.lam),
            "gamma": self.gamma,
            "budget": self.budget,
            "queries": self.calibration.queries,
            "cost": self.calibration.cost,
            "cost low": low,
            "cost high": high,
            "quality": self.calibration.quality,
        }

    def _session(
        self, query: Mapping[str, object] | None, name: object, expensive_ties: bool, estimator: Estimator | None
    ) -> Session:
        estimator = self.estimator if estimator is None else estimator
        return Session(
            self.strategy, estimator, self.schema, query, name=name, lam=self.lam, expensive_ties=expensive_ties
        )

    def __repr__(self) -> str:
        """Return the strategy, λ, γ and the budget."""
        parameters = ", ".join(f"{name}={value:.4g}" for name, value in self.strategy.parameters(self.lam).items())
        return f"Policy({self.strategy.name}, {parameters}, gamma={self.gamma:.4g}, budget={self.budget:g})"


def _interval(mean: float, sd: float, n: int) -> tuple[float, float]:
    half = _Z95 * sd / np.sqrt(n)
    return float(mean - half), float(mean + half)


def _mixed(cheap: np.ndarray, expensive_ties: np.ndarray, gamma: float) -> tuple[float, float]:
    """Return mean and standard deviation over queries and coins, with the cheap side at probability γ."""
    mean = gamma * cheap.mean() + (1 - gamma) * expensive_ties.mean()
    square = gamma * (cheap**2).mean() + (1 - gamma) * (expensive_ties**2).mean()
    return float(mean), float(np.sqrt(max(square - mean**2, 0.0)))


def _warn_if_uncertain(calibration: Calibration, budget: float) -> None:
    low, high = calibration.cost_interval
    half = (high - low) / 2
    if np.isfinite(budget) and half > _TOLERANCE * budget:
        enough = int(np.ceil(calibration.queries * (half / (_TOLERANCE * budget)) ** 2))
        warnings.warn(
            f"{calibration.queries} calibration queries say little about what will be spent: {calibration.cost:.4g} ± "
            f"{half:.2g} per query (95%) for a budget of {budget:.4g}. About {enough:,} would bring that to ± "
            f"{_TOLERANCE:.0%}.",
            BudgetWarning,
            stacklevel=4,
        )
