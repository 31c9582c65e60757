"""Estimates of a quality of one's choice, simulated from the truth."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
from scipy.special import ndtri
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from ..outcomes import Evidence, Outcomes
from ..theory.maximum import Law
from .base import Beliefs
from .tabulated import TabulatedEstimator


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
        Seed of the noise. The noise of a query under a model is drawn by the names of both, so it is the same in
        whatever part of the data they occur; copies of one query, i.e. rows with the same name, get noise of their own.

    Attributes
    ----------
    spread_ : float array, shape (k,)
        Standard deviation of post-hoc minus ex-ante estimates on the training queries.

    Notes
    -----
    These estimates are made from the truth, so they serve to study strategies, never to deploy one. What the answer of
    one model says about another is ignored. Queries that share a name in two tables share their noise, so that name
    queries differently if they are different.

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

    simulated = True

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
        self._tables: tuple[str, TabulatedEstimator] | None = None
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

    def beliefs(self, evidence: Evidence, rows: np.ndarray | None = None) -> Beliefs:
        """Return beliefs about the queries at positions `rows`; default: about all. They need ``evidence.truth``."""
        # Read once and written once, so that another thread may do the same meanwhile.
        seen = getattr(self, "_tables", None)
        if seen is None or seen[0] != evidence.truth.fingerprint:
            seen = self._tables = (evidence.fingerprint, self.tabulate(evidence.truth))
        return seen[1].beliefs(evidence, rows)

    def _signals(self, outcomes: Outcomes) -> list[tuple[list[np.ndarray], np.ndarray]]:
        """Return, for each of the four estimates, the signals it is made from and the truth behind them."""
        signals = noisy_signals(outcomes, self.quality_noise, self.cost_noise, self.seed)
        pairs = []
        for truth, (first, second) in zip((outcomes.quality, outcomes.cost), signals, strict=True):
            pairs += [([first], truth), ([first, second] if self.coherent else [second], truth)]
        return pairs

    def _predictions(self, outcomes: Outcomes) -> list[np.ndarray]:
        """Return ex-ante and post-hoc quality, ex-ante and post-hoc cost, each (n, k)."""
        found = []
        for (signals, _), (slopes, intercept) in zip(self._signals(outcomes), self._lines, strict=True):
            found.append(intercept + sum(slope * signal for slope, signal in zip(slopes, signals, strict=True)))
        return found


class FromSignals(BaseEstimator):
    """What estimators share that get the signals of `NoisyEstimator` and think of all models at once.

    A subclass has the options `quality_noise`, `cost_noise` and `seed`, calls `_fit_costs`, and says by `_posterior`
    what it thinks of quality. Costs are estimated one model at a time, as by ``NoisyEstimator(coherent=True)``.
    """

    simulated = True

    def _fit_costs(self, outcomes: Outcomes) -> None:
        alike = NoisyEstimator(self.quality_noise, self.cost_noise, coherent=True, seed=self.seed)
        self._costs = alike.fit(outcomes)

    def _signals(self, outcomes: Outcomes, rows: np.ndarray | slice) -> tuple[np.ndarray, np.ndarray]:
        """Return the signals about quality before and after a call, each (m, k)."""
        before, after = noisy_signals(outcomes, self.quality_noise, self.cost_noise, self.seed)[0]
        return before[rows], after[rows]

    def _posterior(
        self, outcomes: Outcomes, ran: np.ndarray, rows: np.ndarray | slice
    ) -> tuple[np.ndarray, np.ndarray, Law | None]:
        """Return mean and spread, each (m, k), and the law of the estimates to come."""
        raise NotImplementedError

    def beliefs(self, evidence: Evidence, rows: np.ndarray | None = None) -> Beliefs:
        """Return beliefs about some queries.

        Parameters
        ----------
        evidence : Evidence
            What is seen of the queries, with the truth that the signals are made from.
        rows : int array, shape (m,), optional
            Positions of the queries asked about. Default: all.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If `fit` has not been called.
        ValueError
            If the outcomes have another number of models than those of `fit`.
        """
        check_is_fitted(self)
        cost = self._costs.beliefs(evidence, rows).cost
        mean, spread, law = self._posterior(evidence.truth, evidence.ran, slice(None) if rows is None else rows)
        return Beliefs(evidence.ran, mean, spread, cost, law=law)


def noisy_signals(
    outcomes: Outcomes, quality_noise: tuple[float, float], cost_noise: tuple[float, float], seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the signals about quality before and after a call, and those about cost, each of shape (n, k)."""
    return [
        tuple(truth + _noise(outcomes, f"{seed} {what} {when}", sd) for when, sd in enumerate(noise))
        for what, truth, noise in (("quality", outcomes.quality, quality_noise), ("cost", outcomes.cost, cost_noise))
    ]


def _noise(outcomes: Outcomes, signal: str, sd: float) -> np.ndarray:
    """Return Gaussian noise, shape (n, k), that is a function of the signal and of the names of query and model."""
    names = outcomes.query.index.astype(str)
    # The j-th row of one name gets the j-th noise of that name.
    copies = pd.Series(names).groupby(names).cumcount().to_numpy().astype(np.uint64)
    queries = pd.util.hash_array(names.to_numpy(dtype=object), categorize=False) + copies * _ODD
    models = np.array([_digest(f"{signal} {model}") for model in outcomes.models], dtype=np.uint64)
    # The middle of one of 2^53 equal parts of (0, 1), so that the ends are never met.
    return sd * ndtri(((_mixed(queries[:, None] ^ models) >> np.uint64(11)) + 0.5) * 2.0**-53)


# 2^64 divided by the golden ratio, and the factors of the mixing function of SplitMix64.
_ODD, _FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def _mixed(keys: np.ndarray) -> np.ndarray:
    """Return keys that look independent and uniform, one for one (Steele, Lea and Flood 2014)."""
    keys = keys + _ODD
    keys = (keys ^ (keys >> np.uint64(30))) * _FIRST
    keys = (keys ^ (keys >> np.uint64(27))) * _SECOND
    return keys ^ (keys >> np.uint64(31))


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _regress(signals: list[np.ndarray], truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return slopes (signals, k) and intercepts (k,) of the least-squares line of the truth, for each model."""
    centred = np.stack([signal - signal.mean(axis=0) for signal in signals])
    gram = np.einsum("ank,bnk->kab", centred, centred)
    moment = np.einsum("ank,nk->ka", centred, truth - truth.mean(axis=0))
    # The pseudo-inverse leaves out signals that never vary or repeat another: their slope is 0 or shared.
    slopes = np.einsum("kab,kb->ak", np.linalg.pinv(gram, hermitian=True), moment)
    intercept = truth.mean(axis=0) - sum(s * signal.mean(axis=0) for s, signal in zip(slopes, signals, strict=True))
    return slopes, intercept
