"""A Gaussian posterior over the qualities of all models at once: what one answer says about the others."""

from __future__ import annotations

import numpy as np

from ..outcomes import Outcomes
from ..theory.distributions import JointGaussian
from ..theory.maximum import normal_draws
from .simulated import FromSignals

# Draws that all queries and sets share; a power of two.
_DRAWS = 256


class JointGaussianEstimator(FromSignals):
    r"""Estimates that use every signal seen so far, about every model, as if all of them were jointly Gaussian.

    The vector of qualities of a query is taken to be :math:`q \sim N(\mu, \Sigma)`. The signals are those of
    `NoisyEstimator`: :math:`q_i + \varepsilon` about every model before anything has run, and
    :math:`q_i + \varepsilon'` once model i has run. With R the diagonal matrix of the noise variances of what has been
    seen so far, two signals about one model being pooled into their precision-weighted mean z, the estimates are

    .. math:: m = \mu + \Sigma (\Sigma + R)^{-1} (z - \mu), \qquad P = \Sigma - \Sigma (\Sigma + R)^{-1} \Sigma .

    Running model i next moves its estimate with variance :math:`g_i^2 (P_{ii} + \sigma_i'^2)`, where
    :math:`g_i = P_{ii} / (P_{ii} + \sigma_i'^2)`; the moves of two models have covariance :math:`g_i g_j P_{ij}`.

    Parameters
    ----------
    quality_noise : pair of float
        Standard deviations of the noise on quality before and after a call, ≥ 0.
    cost_noise : pair of float
        Standard deviations of the noise on cost before and after any call, in units of cost, ≥ 0. Costs are estimated
        one model at a time, as by ``NoisyEstimator(coherent=True)``.
    correlated : bool
        With False strategies are told the spreads but not the covariances: the estimates are the same, and only the
        value of sets of two models or more differs.
    seed : int
        Seed of the noise; `NoisyEstimator` with the same seed sees the same signals.

    Attributes
    ----------
    mean_ : float array, shape (k,)
        :math:`\mu`, the mean quality of each model in training.
    covariance_ : float array, shape (k, k)
        :math:`\Sigma`, the covariance of the qualities in training.

    Notes
    -----
    If qualities are Gaussian these are conditional expectations, so that the estimates are coherent: what is expected
    of an estimate after a call is the estimate before it. For any other qualities, such as 0 and 1, they are the best
    *linear* estimates from the same signals; they are still uncorrelated with every revision, but no longer the
    conditional mean. The law of the future looks at each model's estimate right after its own call; that the calls of
    others will move it too is left out. Once all have been heard, the estimates of positively correlated models lie
    closer together than that, so that sets of two models and more are valued too high.

    References
    ----------
    Chapter "Coherent estimates".

    Examples
    --------
    Two models that are always right on the same queries: an answer of the first says as much about the second.

    >>> pool = Outcomes([[0, 0], [1, 1]] * 50, [[1, 5]] * 100)
    >>> estimator = JointGaussianEstimator((1.0, 0.1)).fit(pool)
    >>> now = estimator.beliefs(pool.evidence([True, False], truth=True), np.arange(2))
    >>> np.abs(now.mean[:, 0] - now.mean[:, 1]).max() < 1e-9
    np.True_
    """

    def __init__(
        self,
        quality_noise: tuple[float, float] = (0.6, 0.3),
        cost_noise: tuple[float, float] = (0.0, 0.0),
        *,
        correlated: bool = True,
        seed: int = 0,
    ) -> None:
        self.quality_noise = quality_noise
        self.cost_noise = cost_noise
        self.correlated = correlated
        self.seed = seed

    def fit(self, outcomes: Outcomes) -> JointGaussianEstimator:
        """Learn mean and covariance of the qualities from training queries.

        Raises
        ------
        ValueError
            If a noise is not a pair of standard deviations, or there are fewer than three queries.
        """
        self._fit_costs(outcomes)
        self.mean_ = outcomes.quality.mean(axis=0)
        self.covariance_ = np.atleast_2d(np.cov(outcomes.quality.T, bias=True))
        self._draws = normal_draws(outcomes.k, _DRAWS, seed=0)
        return self

    def _posterior(
        self, outcomes: Outcomes, ran: np.ndarray, rows: np.ndarray | slice
    ) -> tuple[np.ndarray, np.ndarray, JointGaussian | None]:
        before, after = np.square(self.quality_noise)
        seen, noise = _pooled(*self._signals(outcomes, rows), before, after, ran)
        gain = _gain(self.covariance_, noise)
        mean = self.mean_ + (seen - self.mean_) @ gain.T
        left = self.covariance_ - gain @ self.covariance_
        covariance = _moves((left + left.T) / 2, self.quality_noise[1] ** 2, ran)
        spread = np.broadcast_to(np.sqrt(np.diagonal(covariance)), mean.shape)
        return mean, spread, JointGaussian(mean, covariance, self._draws) if self.correlated else None


def _pooled(
    before: np.ndarray, after: np.ndarray, var_before: float, var_after: float, ran: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return one signal per query and model, and its noise variance, shape (k,): both signals where it has run."""
    total = var_before + var_after
    # The precision-weighted mean; of two signals without noise either will do.
    share = var_before / total if total else 1.0
    seen = np.where(ran, before + share * (after - before), before)
    return seen, np.where(ran, var_before * (1 - share), var_before)


def _gain(covariance: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return Σ (Σ + R)⁺: the pseudo-inverse leaves out directions that neither vary nor are noisy."""
    return covariance @ np.linalg.pinv(covariance + np.diag(noise), hermitian=True)


def _moves(left: np.ndarray, var_after: float, ran: np.ndarray) -> np.ndarray:
    """Return the covariance, shape (k, k), of the moves of the estimates, each by its own model's call."""
    variance = np.maximum(np.diagonal(left), 0.0)
    total = variance + var_after
    gain = np.where(ran | (total == 0), 0.0, variance / np.where(total > 0, total, 1.0))
    return gain[:, None] * (left + np.diag(np.full(len(ran), var_after) + variance - np.diagonal(left))) * gain
