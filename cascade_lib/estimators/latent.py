"""A joint belief that is not Gaussian: queries come in hidden kinds, on which models succeed together or not."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri, softmax
from scipy.stats import qmc

from ..outcomes import Outcomes
from ..theory.distributions import Atoms, Draws
from .simulated import FromSignals

FUTURES = ("independent", "gaussian", "joint", "relative")

_MOST_LEVELS = 20
# Steps of expectation-maximisation, starts of it, and what must be gained per query to go on.
_STEPS, _STARTS, _GAIN = 500, 4, 1e-7
# Each kind's frequencies start from this many imagined queries with the frequencies of all: empty kinds do no harm.
_IMAGINED = 2.0
# Signals after the call looked at for each level of quality, and scenarios for a joint law.
_SIGNALS, _SCENARIOS = 5, 256


class LatentClassEstimator(FromSignals):
    r"""Exact posteriors, given the signals of `NoisyEstimator`, if queries belong to hidden classes.

    A query is of class h with probability :math:`\pi_h`; given the class, the qualities of the models are independent,
    and model i has quality level v with probability :math:`\theta_{hiv}`. These are fitted to training outcomes. From
    all signals seen so far, about every model, Bayes' rule gives the probability of every class, and so of every level
    of every model, whether it has run or not:

    .. math:: P(q_i = v \mid \text{signals}) \propto \sum_h P(h \mid \text{signals}) \,
              \frac{\theta_{hiv} f_i(v)}{\sum_{v'} \theta_{hiv'} f_i(v')},

    with :math:`f_i(v)` the likelihood of the signals about model i. Estimates are the means of these laws.

    Parameters
    ----------
    quality_noise : pair of float
        Standard deviations of the noise on quality before and after a call, ≥ 0.
    cost_noise : pair of float
        Standard deviations of the noise on cost before and after any call, in units of cost, ≥ 0. Costs are estimated
        one model at a time, as by ``NoisyEstimator(coherent=True)``.
    classes : int
        The number of hidden classes, at least 1. With 1 the models are independent.
    future : {"independent", "gaussian", "joint", "relative"}
        What strategies are told of the estimates to come: for each model the law that it will have once it has run;
        only its standard deviation, as if it were Gaussian; scenarios for all models together; or the law of each
        estimate less the move that the same call gives to the best answer in hand (see Notes).
    seed : int
        Seed of the noise; `NoisyEstimator` with the same seed sees the same signals.

    Attributes
    ----------
    levels_ : float array, shape (v,)
        The levels of quality in training.
    share_ : float array, shape (h,)
        :math:`\pi_h`.
    chance_ : float array, shape (h, k, v)
        :math:`\theta_{hiv}`.

    Notes
    -----
    If the model of the data is right the estimates are coherent, whatever runs in whichever order. The law of the
    future is that of each estimate right after its own call, as for `JointGaussianEstimator`. It is nearly exact: five
    signals stand for all that a level may send. Its mean is right, and its gain on an answer in hand is off by at most
    0.012 on any query, and by 0.0016 on average, in the pools of the tests with noise (0.6, 0.3) and (0.8, 0.5).

    Where queries are hard for all, a good answer of model i also raises the estimate b of the best answer in hand, and
    gains less on it than the law of :math:`Q_i` alone says. Let :math:`b'` be the revised estimate. On average it is b,
    so that :math:`E[\max(b', Q_i)] = b + E[(Q_i - b')^+]`: the law of :math:`b + Q_i - b'`, of the same mean, has the
    right gain. This is what "relative" announces; as long as nothing has run it is the same as "independent".

    References
    ----------
    Chapter "Beliefs that know that queries are hard for all".

    Examples
    --------
    Queries are easy for both models or hard for both. One model's answer, seen to be right, speaks for the other:

    >>> pool = Outcomes([[0, 0], [1, 1]] * 50, [[1, 5]] * 100)
    >>> estimator = LatentClassEstimator((1.0, 0.1), classes=2).fit(pool)
    >>> (estimator.beliefs(pool.evidence([True, False], truth=True), np.arange(2)).mean > 0.5).tolist()
    [[False, False], [True, True]]
    """

    def __init__(
        self,
        quality_noise: tuple[float, float] = (0.6, 0.3),
        cost_noise: tuple[float, float] = (0.0, 0.0),
        *,
        classes: int = 12,
        future: str = "independent",
        seed: int = 0,
    ) -> None:
        self.quality_noise = quality_noise
        self.cost_noise = cost_noise
        self.classes = classes
        self.future = future
        self.seed = seed

    def fit(self, outcomes: Outcomes) -> LatentClassEstimator:
        """Fit the classes to training outcomes by expectation-maximisation, from several starts.

        Raises
        ------
        ValueError
            If an option is out of range, there are fewer than three queries, or quality has more than 20 levels.
        """
        if int(self.classes) != self.classes or self.classes < 1:
            raise ValueError(f"classes must be a whole number of at least 1; got {self.classes}.")
        if self.future not in FUTURES:
            raise ValueError(f"future must be one of {', '.join(map(repr, FUTURES))}; got {self.future!r}.")
        levels = np.unique(outcomes.quality)
        if len(levels) > _MOST_LEVELS:
            raise ValueError(
                f"quality takes {len(levels)} different values, more than {_MOST_LEVELS}: round it to a few levels."
            )
        self._fit_costs(outcomes)
        self.levels_ = levels
        self.share_, self.chance_ = _fit_classes(outcomes.quality[:, :, None] == levels, self.classes)
        return self

    def _posterior(
        self, outcomes: Outcomes, ran: np.ndarray, rows: np.ndarray | slice
    ) -> tuple[np.ndarray, np.ndarray, Atoms | Draws | None]:
        kind, level = self._classes(outcomes, ran, rows)
        chance = (kind[:, None] @ level.reshape(*kind.shape, -1)).reshape(len(kind), *level.shape[2:])
        mean = chance @ self.levels_
        atoms = self._atoms(chance, mean, ran)
        if self.future == "relative" and ran.any():
            atoms = self._relative(kind, level, atoms, mean, ran)
        law: Atoms | Draws = atoms
        if self.future == "joint":
            law = self._draws(kind, level, chance, mean, ran)
        return mean, law.spread, None if self.future == "gaussian" else law

    def _classes(self, outcomes: Outcomes, ran: np.ndarray, rows: np.ndarray | slice) -> tuple[np.ndarray, np.ndarray]:
        """Return P(class), shape (m, h), and P(level | class), shape (m, h, k, v), given the signals."""
        first, second = (self._log_likelihood(signal, i) for i, signal in enumerate(self._signals(outcomes, rows)))
        likelihood = first + np.where(ran[:, None], second, 0.0)
        likelihood = np.exp(likelihood - likelihood.max(axis=2, keepdims=True))
        joint = self.chance_ * likelihood[:, None]
        evidence = joint.sum(axis=3)
        kind = softmax(np.log(self.share_) + np.log(evidence).sum(axis=2), axis=1)
        return kind, joint / evidence[..., None]

    def _log_likelihood(self, signal: np.ndarray, moment: int) -> np.ndarray:
        """Return the log-likelihood, up to a constant, of every level given one signal a model, shape (m, k, v)."""
        return -(((signal[:, :, None] - self.levels_) / self._noise(moment)) ** 2) / 2

    def _noise(self, moment: int) -> float:
        # Without noise the levels are still told apart, by a noise far below their distance.
        return max(self.quality_noise[moment], 1e-6 * max(np.ptp(self.levels_), 1.0))

    def _nodes_likelihood(self) -> np.ndarray:
        """Return how likely every level makes the signals that stand for all, a few around each level, shape (v, s)."""
        steps = np.polynomial.hermite_e.hermegauss(_SIGNALS)[0]
        signal = self.levels_[:, None] + self._noise(1) * steps
        found = self._log_likelihood(signal.reshape(1, -1), 1)[0].T
        return np.exp(found - found.max(axis=0))

    def _later(self, chance: np.ndarray, signal: np.ndarray) -> np.ndarray:
        """Return the estimate after a call with this signal, for chances (m, k, v) and signals (m, k, s)."""
        likelihood = self._log_likelihood(signal.reshape(len(signal), -1), 1).reshape(*signal.shape, -1)
        with np.errstate(divide="ignore"):  # a level without a chance stays without one
            joint = np.log(chance)[:, :, None] + likelihood
        weight = np.exp(joint - joint.max(axis=3, keepdims=True))
        return (weight @ self.levels_) / weight.sum(axis=3)

    def _atoms(self, chance: np.ndarray, mean: np.ndarray, ran: np.ndarray) -> Atoms:
        """Return the law of each estimate right after its own call."""
        share = np.polynomial.hermite_e.hermegauss(_SIGNALS)[1]
        likelihood = self._nodes_likelihood()
        total = chance @ likelihood
        # Where the total underflows the signal has no chance, and what it would say is of no account.
        value = np.divide((chance * self.levels_) @ likelihood, total, out=np.zeros_like(total), where=total > 0)
        weight = (chance[..., None] * share).reshape(value.shape)
        weight /= weight.sum(axis=2, keepdims=True)
        return Atoms(_centred(np.where(ran[:, None], mean[..., None], value), weight, mean), weight)

    def _relative(self, kind: np.ndarray, level: np.ndarray, law: Atoms, mean: np.ndarray, ran: np.ndarray) -> Atoms:
        """Return a law of estimates after their own calls with the moves of the best answer in hand taken off."""
        m = len(mean)
        best = np.where(ran, mean, -np.inf).argmax(axis=1)
        given_class = level[np.arange(m), :, best] @ self.levels_  # the best answer's quality, shape (m, h)
        likelihood = self._nodes_likelihood()
        value = law.value.copy()
        for i in np.flatnonzero(~ran):
            later = kind[..., None] * (level[:, :, i] @ likelihood)  # classes after each signal of i, (m, h, s)
            now, total = mean[np.arange(m), best][:, None], later.sum(axis=1)
            moved = (given_class[:, None] @ later)[:, 0] - now * total
            value[:, i] -= np.divide(moved, total, out=np.zeros_like(total), where=total > 0)
        return Atoms(_centred(value, law.weight, mean), law.weight)

    def _draws(
        self, kind: np.ndarray, level: np.ndarray, chance: np.ndarray, mean: np.ndarray, ran: np.ndarray
    ) -> Draws:
        """Return scenarios: a class, then levels given the class, then signals and the estimates they lead to."""
        m, k = mean.shape
        points = qmc.Sobol(1 + 2 * k, rng=np.random.default_rng(0)).random(_SCENARIOS)
        which = (np.cumsum(kind, axis=1)[:, None] < points[:, :1]).sum(axis=2).clip(max=kind.shape[1] - 1)
        steps = np.cumsum(level[np.arange(m)[:, None], which], axis=3)  # (m, scenarios, k, v)
        place = (steps < points[:, 1 : 1 + k, None]).sum(axis=3).clip(max=len(self.levels_) - 1)
        noise = self._noise(1) * ndtri(points[:, 1 + k :].clip(2.0**-32, 1 - 2.0**-32))
        value = self._later(chance, (self.levels_[place] + noise).transpose(0, 2, 1))
        weight = np.full(_SCENARIOS, 1 / _SCENARIOS)
        return Draws(_centred(np.where(ran[:, None], mean[..., None], value), weight, mean), weight)


def _centred(value: np.ndarray, weight: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return the values moved so that their mean, which nodes and draws only come close to, is right."""
    return value + (mean - (value * weight).sum(axis=2))[..., None]


def _fit_classes(seen: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return shares (h,) and chances (h, k, v) that make what was seen, bool (n, k, v), most likely."""
    n, k, v = seen.shape
    # Queries that look alike belong to the classes alike, so each pattern is gone through once.
    seen, times = np.unique(seen.reshape(n, k * v), axis=0, return_counts=True)
    seen = seen.astype(float)
    everywhere = _IMAGINED * (times @ seen / n + 1e-9)
    fits = []
    for start in range(_STARTS if classes > 1 else 1):
        member = np.random.default_rng(start).dirichlet(np.full(classes, 0.3), len(seen))
        before = -np.inf
        for _ in range(_STEPS):
            member *= times[:, None]
            size = member.sum(axis=0)
            share = (size + 1) / (size + 1).sum()
            chance = (member.T @ seen + everywhere).reshape(classes, k, v)
            chance /= chance.sum(axis=2, keepdims=True)
            log_joint = np.log(share) + seen @ np.log(chance).reshape(classes, k * v).T
            likelihood = np.logaddexp.reduce(log_joint, axis=1) @ times / n
            member = softmax(log_joint, axis=1)
            if likelihood - before < _GAIN:
                break
            before = likelihood
        fits.append((likelihood, start, share, chance))
    return max(fits)[2:]
