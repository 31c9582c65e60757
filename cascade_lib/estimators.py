"""Turn what is known of queries and answers into beliefs.

An estimator is anything with a method ``beliefs(outcomes, ran, rows)`` that returns `Beliefs` about the queries at
positions `rows` of `outcomes` when the models in `ran` have run. It must use no more than that situation reveals:
ex-ante features, and the answers of the models that have run. Estimators know nothing of budgets or strategies.
"""

from __future__ import annotations

import zlib
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from . import _checks
from .beliefs import Beliefs
from .outcomes import Outcomes


class Estimator(Protocol):
    """What strategies expect of an estimator."""

    def beliefs(self, outcomes: Outcomes, ran: np.ndarray, rows: np.ndarray) -> Beliefs:
        """Return beliefs about the queries `rows` of `outcomes` once the models in `ran`, bool (k,), have run."""


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
    The rows of the tables go with the rows of the outcomes they are used with, so nothing is fitted. Every post-hoc
    estimate is taken as given whatever else has run.

    Examples
    --------
    >>> estimator = TabulatedEstimator(ex_ante=[[0.4, 0.9]], post_hoc=[[1.0, 0.8]], cost_ex_ante=[[1, 5]])
    >>> pool = Outcomes([[1, 1]], [[1, 5]])
    >>> estimator.beliefs(pool, np.array([True, False])).mean
    array([[1. , 0.9]])
    """

    def __init__(
        self,
        ex_ante: ArrayLike,
        post_hoc: ArrayLike | None = None,
        spread: ArrayLike = 0.0,
        cost_ex_ante: ArrayLike | None = None,
        cost_post_hoc: ArrayLike | None = None,
    ) -> None:
        if cost_ex_ante is None:
            raise TypeError("cost_ex_ante is missing: give the expected cost of every model, shape (n, k).")
        self.ex_ante = _checks.finite("ex_ante", _checks.table("ex_ante", ex_ante))
        shape = self.ex_ante.shape
        self.post_hoc = self._or_default("post_hoc", post_hoc, self.ex_ante, _checks.finite)
        self.cost_ex_ante = self._or_default("cost_ex_ante", cost_ex_ante, None, _checks.non_negative)
        self.cost_post_hoc = self._or_default("cost_post_hoc", cost_post_hoc, self.cost_ex_ante, _checks.non_negative)
        if np.shape(spread) not in ((), shape[1:], shape):
            raise ValueError(f"spread has shape {np.shape(spread)}; expected {shape[1:]} (per model) or {shape}.")
        spread = _checks.table("spread", np.broadcast_to(np.asarray(spread, dtype=float), shape))
        self.spread = _checks.non_negative("spread", spread)

    def _or_default(self, name, value, default, check) -> np.ndarray:
        return default if value is None else check(name, _checks.table(name, value, self.ex_ante.shape))

    def __repr__(self) -> str:
        """Return the size of the tables."""
        n, k = self.ex_ante.shape
        return f"TabulatedEstimator({n} queries × {k} models)"

    def beliefs(self, outcomes: Outcomes, ran: np.ndarray, rows: np.ndarray | None = None) -> Beliefs:
        """Look the estimates up.

        Parameters
        ----------
        outcomes : Outcomes
            The queries that the rows of the tables belong to.
        ran : bool array, shape (k,)
            The models that have run.
        rows : int array, shape (m,), optional
            Positions of the queries asked about. Default: all.

        Raises
        ------
        ValueError
            If the tables have another shape than `outcomes`.
        """
        if outcomes.quality.shape != self.ex_ante.shape:
            raise ValueError(
                f"the tables of this estimator have shape {self.ex_ante.shape}, but the outcomes "
                f"{outcomes.quality.shape}: build one TabulatedEstimator for each set of queries."
            )
        rows = slice(None) if rows is None else rows
        return Beliefs(
            ran=ran,
            mean=np.where(ran, self.post_hoc[rows], self.ex_ante[rows]),
            spread=np.where(ran, 0.0, self.spread[rows]),
            cost=self.cost_post_hoc[rows] if ran.any() else self.cost_ex_ante[rows],
        )


class NoisyEstimator(BaseEstimator):
    r"""Simulated estimates: the truth plus noise, before and after a call, calibrated by linear regression.

    Every model i gives two signals, :math:`q_i(x) + \varepsilon` before it has run and :math:`q_i(x) + \varepsilon'`
    afterwards, with independent Gaussian noise. An estimate is the linear regression of the truth on a signal; the
    spread of model i is the standard deviation of post-hoc minus ex-ante estimates. Costs are estimated likewise.

    Parameters
    ----------
    quality_noise : pair of float
        Standard deviations of the noise on quality before and after a call, ≥ 0.
    cost_noise : pair of float
        Standard deviations of the noise on cost before and after any call, in units of cost, ≥ 0.
    coherent : bool
        With True the post-hoc estimate is the regression on both signals, so that the ex-ante estimate is its mean
        given the first signal, as the theory assumes. With False it forgets the first signal, as in the paper.
    seed : int
        Seed of the noise. The same outcomes always get the same noise, different outcomes get different noise.

    Attributes
    ----------
    spread_ : float array, shape (k,)
        Standard deviation of post-hoc minus ex-ante estimates on the training queries.

    Notes
    -----
    These estimates are made from the truth, so they serve to study strategies, never to deploy one. What the answer of
    one model says about another is ignored.

    References
    ----------
    Dekoninck, Baader and Vechev (2025), experiments on RouterBench.

    Examples
    --------
    Without noise the estimates are the truth:

    >>> pool = Outcomes([[0, 1], [1, 1], [0, 0]], [[1, 5], [1, 6], [1, 7]])
    >>> NoisyEstimator((0, 0), (0, 0)).fit(pool).tabulate(pool).ex_ante.round(6)
    array([[0., 1.],
           [1., 1.],
           [0., 0.]])
    """

    def __init__(
        self,
        quality_noise: tuple[float, float] = (0.6, 0.3),
        cost_noise: tuple[float, float] = (0.0, 0.0),
        *,
        coherent: bool = False,
        seed: int = 0,
    ) -> None:
        self.quality_noise = quality_noise
        self.cost_noise = cost_noise
        self.coherent = coherent
        self.seed = seed

    def fit(self, outcomes: Outcomes) -> NoisyEstimator:
        """Calibrate the regressions and the spread on training queries.

        Raises
        ------
        ValueError
            If a noise is not a pair of standard deviations, or there are fewer than three queries.
        """
        for name in ("quality_noise", "cost_noise"):
            pair = np.asarray(getattr(self, name), dtype=float)
            if pair.shape != (2,) or not (np.isfinite(pair) & (pair >= 0)).all():
                raise ValueError(
                    f"{name} must be two finite numbers ≥ 0, before and after a call; got {pair.tolist()}."
                )
        if len(outcomes) < 3:
            raise ValueError(f"{len(outcomes)} queries are too few to calibrate on; at least 3 are needed.")
        self._tables = None
        self.n_models_ = outcomes.k
        self._lines = [_regress(signals, truth) for signals, truth in self._signals(outcomes)]
        ex_ante, post_hoc, *_ = self._predictions(outcomes)
        self.spread_ = (post_hoc - ex_ante).std(axis=0)
        return self

    def tabulate(self, outcomes: Outcomes) -> TabulatedEstimator:
        """Return the estimates for some queries as tables.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If `fit` has not been called.
        ValueError
            If the outcomes have another number of models than those of `fit`.
        """
        if not hasattr(self, "_lines"):
            raise NotFittedError("this NoisyEstimator is not fitted: call fit(train) first.")
        if outcomes.k != self.n_models_:
            raise ValueError(f"fitted on {self.n_models_} models, but these outcomes have {outcomes.k}.")
        ex_ante, post_hoc, *cost = self._predictions(outcomes)
        return TabulatedEstimator(ex_ante, post_hoc, self.spread_, *(np.maximum(table, 0) for table in cost))

    def beliefs(self, outcomes: Outcomes, ran: np.ndarray, rows: np.ndarray | None = None) -> Beliefs:
        """Return beliefs about the queries `rows` of `outcomes` once the models in `ran`, bool (k,), have run."""
        if getattr(self, "_tables", None) is None or self._tables[0] is not outcomes:
            self._tables = (outcomes, self.tabulate(outcomes))
        return self._tables[1].beliefs(outcomes, ran, rows)

    def _signals(self, outcomes: Outcomes) -> list[tuple[list[np.ndarray], np.ndarray]]:
        """Return, for each of the four estimates, the signals it is made from and the truth behind them."""
        digest = zlib.crc32(outcomes.quality.tobytes() + outcomes.cost.tobytes())
        rng = np.random.default_rng([self.seed, digest])
        pairs = []
        for truth, (before, after) in ((outcomes.quality, self.quality_noise), (outcomes.cost, self.cost_noise)):
            first, second = (truth + rng.normal(0.0, sd, truth.shape) for sd in (before, after))
            pairs += [([first], truth), ([first, second] if self.coherent else [second], truth)]
        return pairs

    def _predictions(self, outcomes: Outcomes) -> list[np.ndarray]:
        """Return ex-ante and post-hoc quality, ex-ante and post-hoc cost, each (n, k)."""
        found = []
        for (signals, _), (slopes, intercept) in zip(self._signals(outcomes), self._lines, strict=True):
            found.append(intercept + sum(slope * signal for slope, signal in zip(slopes, signals, strict=True)))
        return found


def _regress(signals: list[np.ndarray], truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return slopes (signals, k) and intercepts (k,) of the least-squares line of the truth, for each model."""
    centred = np.stack([signal - signal.mean(axis=0) for signal in signals])
    gram = np.einsum("ank,bnk->kab", centred, centred)
    moment = np.einsum("ank,nk->ka", centred, truth - truth.mean(axis=0))
    # The pseudo-inverse leaves out signals that never vary or repeat another: their slope is 0 or shared.
    slopes = np.einsum("kab,kb->ak", np.linalg.pinv(gram, hermitian=True), moment)
    intercept = truth.mean(axis=0) - sum(s * signal.mean(axis=0) for s, signal in zip(slopes, signals, strict=True))
    return slopes, intercept
