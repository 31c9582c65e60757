"""Estimates that are taken as certain, whoever made them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..outcomes import Evidence
from ._fitted import FittedEstimator
from .base import Beliefs, Estimator, stored_form


@dataclass(frozen=True, eq=False, repr=False)
class WithoutSpread:
    r"""The same estimates with a spread of 0 and no law, as if no call could change them.

    Strategies then value a set M of models by the largest of its means, :math:`\max_{i \in M} \hat q_i(x)`, where they
    would take the expected maximum. With `CascadeRouter` this is the *no-expect* variant of cascade routing.

    Parameters
    ----------
    estimator : Estimator
        Where means and costs come from, already fitted.

    References
    ----------
    Dekoninck, Baader and Vechev (2025), ablation study; chapter "Cascade routing".

    Examples
    --------
    The first model answers; the second may be better, but no better on average, so only its spread is a reason to pay:

    >>> from cascade_lib import CascadeRouter, Outcomes, TabulatedEstimator
    >>> pool = Outcomes([[1, 1]], [[1, 2]])
    >>> guess = TabulatedEstimator([[0.5, 0.5]], spread=[0.0, 0.4], cost_ex_ante=pool.cost)
    >>> [CascadeRouter().play(e, pool, lam=0.05).ran[0].tolist() for e in (guess, WithoutSpread(guess))]
    [[True, True], [True, False]]
    >>> WithoutSpread(guess)
    TabulatedEstimator(1 queries × 2 models) without spread
    """

    estimator: Estimator

    def beliefs(self, evidence: Evidence, rows: np.ndarray | None = None) -> Beliefs:
        """Return what the estimator says of the queries at positions `rows`, without spread."""
        said = self.estimator.beliefs(evidence, rows)
        return replace(said, spread=np.zeros(np.shape(said.mean)), law=None)

    def fitted(self, sets: Sequence[tuple[int, ...]]) -> FittedEstimator:
        """Return the fitted numbers of a learned estimator, without spread; see `LearnedEstimator.fitted`."""
        stored = stored_form(self.estimator, sets)
        if not isinstance(stored, FittedEstimator):
            raise TypeError(f"{type(stored).__name__} without spread cannot be saved: only a LearnedEstimator can.")
        return stored.without_spread()

    @property
    def simulated(self) -> bool:
        """Whether the estimates are made from the truth."""
        return getattr(self.estimator, "simulated", False)

    def __repr__(self) -> str:
        """Return what was wrapped."""
        return f"{self.estimator!r} without spread"
