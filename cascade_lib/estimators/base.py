"""What is thought of every model at one moment: the only thing that a strategy gets to see.

A `Beliefs` says, for a batch of queries on which the same set of models has run, how good each answer is or would be,
how far running a model would move that estimate, and what it would cost. How the numbers came about is the
estimators' business.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from ..outcomes import Outcomes
from ..theory.distributions import Gaussian
from ..theory.maximum import Law


@dataclass(frozen=True, eq=False)
class Beliefs:
    r"""Estimates of quality and cost for m queries on which the same models have run.

    Parameters
    ----------
    ran : bool array, shape (k,)
        The models that have run, the set S.
    mean : float array, shape (m, k)
        :math:`\hat q_i(x)`: for a model that has run its post-hoc estimate, for the others the ex-ante estimate.
    spread : float array, shape (m, k)
        Standard deviation of the change in :math:`\hat q_i(x)` that running model i would bring; 0 for models in S.
    cost : float array, shape (m, k)
        :math:`\hat c_i(x)`, the expected cost of running model i; not used for models in S.
    barred : bool array, shape (k,), optional
        Models that may not run any more, because no plan with them can be optimal or they cannot be had. Default: none.
    law : Law, optional
        The law of the future estimates of all k models, e.g. `JointGaussian`, `Atoms` or `Draws`. Its means and
        standard deviations are `mean` and `spread`. Default: independent Gaussians with these.

    References
    ----------
    Dekoninck, Baader and Vechev (2025), section on cascade routing; chapter "Quality estimation".

    Examples
    --------
    >>> now = Beliefs(np.array([True, False]), np.array([[0.2, 0.7]]), np.array([[0, 0.1]]), np.array([[1.0, 5.0]]))
    >>> len(now)
    1
    """

    ran: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    cost: np.ndarray
    barred: np.ndarray | None = None
    law: Law | None = None

    @property
    def left(self) -> np.ndarray:
        """The positions of the models that may still run."""
        return np.flatnonzero(~self.ran if self.barred is None else ~(self.ran | self.barred))

    @property
    def best(self) -> np.ndarray:
        """The best estimate among the models that have run, shape (m,); −∞ if none has."""
        return self.mean[:, self.ran].max(axis=1, initial=-np.inf)

    def future(self, models: np.ndarray) -> Law:
        """Return the law of the estimates that `models`, given by positions, will have once they have run.

        Examples
        --------
        >>> now = Beliefs(np.array([True, False]), np.array([[0.6, 0.7]]), np.array([[0, 0.3]]), np.array([[1.0, 5.0]]))
        >>> now.future(now.left).sets(now.best).round(3)
        array([[0.6  , 0.776]])
        """
        law = Gaussian(self.mean, self.spread) if self.law is None else self.law
        return law.pick(models)

    def __len__(self) -> int:
        """Return the number of queries in the batch, m."""
        return len(self.mean)

    def take(self, rows: slice | np.ndarray) -> Beliefs:
        """Return the beliefs about some queries of the batch.

        Examples
        --------
        >>> two = Beliefs(np.array([False]), np.array([[0.2], [0.4]]), np.zeros((2, 1)), np.ones((2, 1)))
        >>> two.take(slice(1, 2)).mean
        array([[0.4]])
        """
        law = None if self.law is None else self.law.take(rows)
        return replace(self, mean=self.mean[rows], spread=self.spread[rows], cost=self.cost[rows], law=law)


def checked(beliefs: Beliefs, ran: np.ndarray, m: int, who: str) -> Beliefs:
    """Return what an estimator has said about m queries on which the models in `ran` have run, if it can be planned on.

    Raises
    ------
    ValueError
        If a table is not of shape (m, k), an estimate is NaN or infinite, a cost of a model that may still run is
        negative, or a spread is negative or not 0 for a model that has run. The message names the estimator.
    """
    shape = (m, len(ran))
    for name, table in (("mean", beliefs.mean), ("spread", beliefs.spread), ("cost", beliefs.cost)):
        if np.shape(table) != shape:
            raise ValueError(
                f"the beliefs of {who} have a {name} of shape {np.shape(table)} where {shape} is expected: one row for "
                "each query asked about, one column for each model."
            )
    cost, usable = np.where(ran, 0.0, beliefs.cost), lambda table: np.isfinite(table) & (table >= 0)
    _refuse(who, "mean", beliefs.mean, ~np.isfinite(beliefs.mean), "it must be finite")
    _refuse(who, "cost", cost, ~usable(cost), "it must be finite and 0 or more")
    _refuse(who, "spread", beliefs.spread, ~usable(beliefs.spread), "it must be finite and 0 or more")
    # Beyond rounding: some estimators compute the spread of what has run, too.
    left_over = ran & (beliefs.spread > 1e-9 * (1 + np.abs(beliefs.mean)))
    _refuse(who, "spread", beliefs.spread, left_over, "it must be 0, for this model has run")
    return beliefs


def _refuse(who: str, name: str, table: np.ndarray, bad: np.ndarray, rule: str) -> None:
    if bad.any():
        row, model = np.argwhere(bad)[0]
        raise ValueError(
            f"the beliefs of {who} have a {name} of {table[row, model]:g} for query {row} of those asked about and "
            f"model {model}: {rule}."
        )


class Estimator(Protocol):
    """What strategies expect of an estimator."""

    def beliefs(self, outcomes: Outcomes, ran: np.ndarray, rows: np.ndarray) -> Beliefs:
        """Return beliefs about the queries `rows` of `outcomes` once the models in `ran`, bool (k,), have run."""
