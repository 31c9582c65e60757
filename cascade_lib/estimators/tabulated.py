"""Estimates that are given as tables."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from .. import _checks
from .._checks import Table
from ..outcomes import Evidence
from .base import Beliefs

Check = Callable[[str, np.ndarray], np.ndarray]


class TabulatedEstimator:
    r"""Estimates that were made elsewhere and are handed in as tables.

    Parameters
    ----------
    ex_ante : array_like, shape (n, k)
        :math:`\hat q_i(x)` before model i has run.
    post_hoc : array_like, shape (n, k), optional
        The estimate once model i has run. Default: `ex_ante`, i.e. running a model teaches nothing about its answer.
    spread : array_like, shape (k,) or (n, k), optional
        Standard deviation of post-hoc minus ex-ante estimate, per model or per query and model. Default: 0.
    cost_ex_ante : array_like, shape (n, k)
        :math:`\hat c_i(x)`, the cost expected before model i has run, not negative.
    cost_post_hoc : array_like, shape (n, k), optional
        The cost expected of a model once any other model has run. Default: `cost_ex_ante`.

    Raises
    ------
    ValueError
        If shapes disagree, or an entry is NaN, infinite or, for spread and costs, negative.

    Notes
    -----
    The rows of the tables go with the rows of the outcomes they are used with, so nothing is fitted; tables of a single
    row say the same of every query. Every post-hoc estimate is taken as given whatever else has run.

    Examples
    --------
    >>> from cascade_lib import Outcomes
    >>> estimator = TabulatedEstimator(ex_ante=[[0.4, 0.9]], post_hoc=[[1.0, 0.8]], cost_ex_ante=[[1, 5]])
    >>> pool = Outcomes([[1, 1]], [[1, 5]])
    >>> estimator.beliefs(pool.evidence([True, False])).mean
    array([[1. , 0.9]])
    """

    def __init__(
        self,
        ex_ante: Table,
        post_hoc: Table | None = None,
        spread: ArrayLike = 0.0,
        cost_ex_ante: Table | None = None,
        cost_post_hoc: Table | None = None,
    ) -> None:
        if cost_ex_ante is None:
            raise TypeError("cost_ex_ante is missing: give the expected cost of every model, shape (n, k).")
        self.ex_ante = _checks.finite("ex_ante", _checks.table("ex_ante", ex_ante))
        shape = self.ex_ante.shape
        self.post_hoc = self._or_default("post_hoc", post_hoc, self.ex_ante, _checks.finite)
        self.cost_ex_ante = _checks.non_negative("cost_ex_ante", _checks.table("cost_ex_ante", cost_ex_ante, shape))
        self.cost_post_hoc = self._or_default("cost_post_hoc", cost_post_hoc, self.cost_ex_ante, _checks.non_negative)
        if np.shape(spread) not in ((), shape[1:], shape):
            raise ValueError(f"spread has shape {np.shape(spread)}; expected {shape[1:]} (per model) or {shape}.")
        spread = _checks.table("spread", np.broadcast_to(np.asarray(spread, dtype=float), shape))
        self.spread = _checks.non_negative("spread", spread)

    def _or_default(self, name: str, value: Table | None, default: np.ndarray, check: Check) -> np.ndarray:
        return default if value is None else check(name, _checks.table(name, value, self.ex_ante.shape))

    def __repr__(self) -> str:
        """Return the size of the tables."""
        n, k = self.ex_ante.shape
        return f"TabulatedEstimator({n} queries × {k} models)"

    def beliefs(self, evidence: Evidence, rows: np.ndarray | None = None) -> Beliefs:
        """Look the estimates up.

        Parameters
        ----------
        evidence : Evidence
            What is seen of the queries that the rows of the tables belong to.
        rows : int array, shape (m,), optional
            Positions of the queries asked about. Default: all.

        Raises
        ------
        ValueError
            If the tables have several rows, but not as many as there are queries, or another number of models.
        """
        (n, k), (known, models), ran = (len(evidence), evidence.k), self.ex_ante.shape, evidence.ran
        if k != models or known not in (1, n):
            raise ValueError(
                f"the tables of this estimator have shape {self.ex_ante.shape}, but the outcomes {(n, k)}: build one "
                "TabulatedEstimator for each set of queries."
            )
        rows = np.arange(n) if rows is None else rows
        rows = rows if known == n else np.zeros_like(rows)
        return Beliefs(
            ran=ran,
            mean=np.where(ran, self.post_hoc[rows], self.ex_ante[rows]),
            spread=np.where(ran, 0.0, self.spread[rows]),
            cost=self.cost_post_hoc[rows] if ran.any() else self.cost_ex_ante[rows],
        )
