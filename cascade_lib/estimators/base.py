"""What is thought of every model at one moment: the only thing that a strategy gets to see.

A `Beliefs` says, for a batch of queries on which the same set of models has run, how good each answer is or would be,
how far running a model would move that estimate, and what it would cost. How the numbers came about is the
estimators' business.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import Bools, Floats
from .._registry import Registry
from ..outcomes import Evidence, Outcomes
from ..theory.distributions import Gaussian
from ..theory.maximum import Law

_KINDS: Registry[StoredEstimator] = Registry(__package__)

# What a law and the tables beside it may differ by, relative to 1 and the estimate.
_LAW_ROUNDING = 1e-6


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
        standard deviations are `mean` and `spread`, save for models in S, of which it is not asked. Default:
        independent Gaussians with these.

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


class Estimator(Protocol):
    """What strategies expect of an estimator.

    One that makes its estimates from the truth, to study strategies, says so by a class attribute ``simulated = True``:
    then `evidence.truth` is the outcomes, and no live session takes it.
    """

    def beliefs(self, evidence: Evidence, rows: np.ndarray | None = None) -> Beliefs:
        """Return beliefs about the queries at positions `rows`, int (m,), of what is seen now; default: about all."""


def is_simulated(estimator: Estimator) -> bool:
    """Return whether an estimator needs the truth, which it says by the attribute `simulated`."""
    return bool(getattr(estimator, "simulated", False))


def evidence_for(estimator: Estimator, outcomes: Outcomes, ran: np.ndarray) -> Evidence:
    """Return what an estimator gets to see of outcomes once the models in `ran`, bool (k,), have run."""
    return outcomes.evidence(ran, truth=is_simulated(estimator))


def refuse_simulated(estimator: Estimator) -> None:
    """Refuse an estimator that needs the truth where there is none."""
    if is_simulated(estimator):
        raise TypeError(
            f"{type(estimator).__name__} is simulated: it makes its estimates from the truth, which no live query has. "
            "Use an estimator that learns from logs, such as LearnedEstimator."
        )


def ask(estimator: Estimator, evidence: Evidence, rows: np.ndarray) -> Beliefs:
    """Return what an estimator says about the queries at positions `rows`, if it can be planned on; checked only here.

    Raises
    ------
    TypeError
        If it does not return `Beliefs`.
    ValueError
        If a table is not of shape (m, k), an estimate is NaN or infinite, a cost of a model that may still run is
        negative, a spread is negative or not 0 for a model that has run, or the law has another mean or spread. The
        message names the estimator, the table, the query and the model, and says how to fix it.
    """
    said, who = estimator.beliefs(evidence, rows), f"the beliefs of {type(estimator).__name__}"
    if not isinstance(said, Beliefs):
        raise TypeError(f"{who} must be Beliefs; they are {type(said).__name__}.")
    if not np.array_equal(said.ran, evidence.ran):
        raise ValueError(f"{who} have another `ran` than the evidence: pass Beliefs(ran=evidence.ran, …).")
    shape = len(rows), evidence.k
    tables = {name: _shaped(who, name, getattr(said, name), shape) for name in ("mean", "spread", "cost")}
    for name, table, bad, rule in _faults(evidence.ran, **tables):
        _refuse(who, name, table, bad, rule, evidence, rows)
    if said.law is not None:
        for name in ("mean", "spread"):
            # What it says of models that have run is never used, and not every kind of law can say a spread.
            own = _shaped(who, f"law with a {name}", getattr(said.law, name, tables[name]), shape)
            off = ~evidence.ran & ~(np.abs(own - tables[name]) <= _LAW_ROUNDING * (1 + np.abs(tables[name])))
            rule = f"its {name} says otherwise; pass {name}=law.{name}"
            _refuse(who, f"law with a {name}", own, off, rule, evidence, rows)
    return replace(said, mean=tables["mean"], spread=tables["spread"], cost=tables["cost"])


def _shaped(who: str, name: str, table: ArrayLike, shape: tuple[int, int]) -> np.ndarray:
    table = np.asarray(table, dtype=float)
    if table.shape != shape:
        raise ValueError(
            f"{who} have a {name} of shape {table.shape} where {shape} is expected: one row for each query asked "
            "about, which are those at `rows`, and one column for each model."
        )
    return table


def _faults(ran: Bools, mean: Floats, spread: Floats, cost: Floats) -> Iterator[tuple[str, Floats, Bools, str]]:
    """Yield the name of a table, the table, which of its entries are wrong, and what is right."""
    yield "mean", mean, ~np.isfinite(mean), "it must be finite; without a better one give a model its mean in training"
    unusable = ~(np.isfinite(cost) & (cost >= 0)) & ~ran
    yield "cost", cost, unusable, "it must be finite and 0 or more; clip what was predicted"
    unusable = ~(np.isfinite(spread) & (spread >= 0))
    yield "spread", spread, unusable, "it must be finite and 0 or more, for it is a standard deviation"
    # Beyond rounding: some estimators compute the spread of what has run, too.
    left_over = ran & (spread > 1e-9 * (1 + np.abs(mean)))
    yield "spread", spread, left_over, "it must be 0, for this model has run; use np.where(evidence.ran, 0.0, spread)"


def _refuse(
    who: str, name: str, table: np.ndarray, bad: np.ndarray, rule: str, evidence: Evidence, rows: np.ndarray
) -> None:
    if bad.any():
        row, model = np.argwhere(bad)[0]
        raise ValueError(
            f"{who} have a {name} of {table[row, model]:g} for query {evidence.query.index[rows[row]]} and model "
            f"{evidence.models[model]!r}: {rule}."
        )


class StoredEstimator(Estimator, ABC):
    """An estimator that is nothing but names and numbers, so that a policy file can hold it.

    Derived classes are registered under their name, unless that begins with an underscore. An estimator that is not
    one, e.g. since it knows its training queries, can be saved too if its own class has a method ``fitted(sets)`` that
    returns a `StoredEstimator` for new queries; `sets` are the sets of models that may come to have run, each by rising
    positions.

    Attributes
    ----------
    sets : set of tuple of int, or None
        The sets of models after which it can be asked. None, the default, for all.
    names : set of str
        The features of queries and answers that it reads. Default: none.
    """

    sets: Set[tuple[int, ...]] | None = None
    names: Set[str] = frozenset()

    def __init_subclass__(cls, **options: object) -> None:
        """Register the class; see `Registry.add`."""
        super().__init_subclass__(**options)
        _KINDS.add(cls)

    def fitted(self, sets: Sequence[tuple[int, ...]]) -> Self:
        """Return itself: nothing is left to fit."""
        return self

    @abstractmethod
    def beliefs(self, evidence: Evidence, rows: np.ndarray | None = None) -> Beliefs:
        """Return beliefs about the queries at positions `rows`; see `Estimator`."""

    @abstractmethod
    def stored(self) -> dict[str, object]:
        """Return it as plain values that JSON can hold: finite numbers, texts, lists and mappings of these.

        Raises
        ------
        TypeError
            If a part of it is not known as numbers.
        """

    @classmethod
    @abstractmethod
    def read(cls, stored: object, models: Sequence[str]) -> Self:
        """Return what was stored, for the pool `models`.

        Raises
        ------
        ValueError
            If anything else is stored. All of it must be checked before anything is built: a file may hold anything.
        """


def registered() -> dict[str, type[StoredEstimator]]:
    """Return all classes that a policy file can hold, by the name of the class.

    Examples
    --------
    >>> "FittedEstimator" in registered()
    True
    """
    return _KINDS.all()


def stored_form(estimator: Estimator, sets: Sequence[tuple[int, ...]]) -> StoredEstimator:
    """Return what an estimator says of new queries at some sets of models that have run, as names and numbers.

    Raises
    ------
    TypeError
        If it cannot become names and numbers. The message says what it would have to offer.
    """
    # A method that is inherited says what an estimator of the other class says.
    fitted = getattr(estimator, "fitted", None)
    if fitted is None or not (isinstance(estimator, StoredEstimator) or "fitted" in vars(type(estimator))):
        raise TypeError(
            f"a policy can be saved or warmed if its estimator can become names and numbers; this one has "
            f"{type(estimator).__name__}: take a LearnedEstimator, derive the class from estimators.StoredEstimator, "
            "or give it a method fitted(sets) of its own, which returns one."
        )
    stored: StoredEstimator = fitted(sets)
    return stored
