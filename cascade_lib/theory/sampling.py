r"""Sampling models again until a verifier accepts an answer: the best sequence of samples at every price.

Model j answers question x rightly with a probability :math:`p_j(x)` of its own, each time anew: given the question all
samples are independent. A verifier, such as a suite of tests, looks at every answer, and the first one that it accepts
is returned. Until then nothing is learned but that all answers so far were rejected. So a strategy is a *sequence* of
models, and a state is a vector m of numbers of samples, :math:`m_j` of model j, that were all rejected:

.. math:: W(m) = E\Big[\prod_j (1 - a_j)^{m_j}\Big], \qquad g_j(m) = s\,E\Big[p_j \prod_i (1 - a_i)^{m_i}\Big]

are the probability to get there and that to be right with one more sample of model j, with :math:`a_j` the probability
that a sample is accepted, s that a right one is, and the expectation over questions. A sequence is a path of such
states. One step of it costs :math:`c_j W(m)` and gains :math:`g_j(m)`: the best sequences are longest paths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import comb

from .. import _checks
from .._arrays import Floats
from .envelope import segments

_MOST_STATES = 100_000
_ROUNDING = 1e-12
_LETTERS = "abcdefghijklmnopqrsuvwxyz"


@dataclass(frozen=True, eq=False)
class SamplingPlans:
    """The best sequences of samples on every stretch of the λ-axis, from the cheapest to the best.

    Parameters
    ----------
    sequences : list of tuple of int
        Which model is sampled first, second, …, as long as no answer has been accepted.
    cost, quality : float array, shape (p,)
        What each sequence is expected to spend and to achieve per question.
    high, low : float array, shape (p,)
        Sequence i is best for prices with ``low[i] <= lam < high[i]``.
    """

    sequences: list[tuple[int, ...]]
    cost: Floats
    quality: Floats
    high: Floats
    low: Floats

    def at(self, lam: float) -> tuple[int, ...]:
        """Return the best sequence at a price; of several equally good ones the cheapest.

        Raises
        ------
        ValueError
            If the price is negative or NaN.
        """
        lam = _checks.number("lam", lam, low=0, high=np.inf, mend="A price is quality per unit of cost.")
        return self.sequences[int(np.flatnonzero(self.low <= lam)[0])]


class RepeatedSampling:
    r"""Models that may be asked again and again, the questions that they are asked, and a verifier.

    Parameters
    ----------
    chance : array_like, shape (t, k)
        The probability that a sample of each model is right, for t questions.
    cost : array_like, shape (k,)
        What one sample costs, its verification included, ≥ 0.
    most : int
        The largest number of samples of one model on one question.
    weight : array_like, shape (t,), optional
        How likely each question is; made to add up to 1. Default: all alike.
    sensitivity : float
        The probability that the verifier accepts a right answer.
    specificity : float
        The probability that it rejects a wrong one.

    Raises
    ------
    ValueError
        If shapes disagree, something is NaN or out of range, or there are too many states to go through.

    Notes
    -----
    If no answer is accepted, the one that is right with the highest probability is returned; with a perfect verifier
    none is. That is a restriction where the verifier errs: one could go on after an answer was accepted.

    References
    ----------
    Chapter "Effort and samples are models, too". Adjacent samples of an optimal sequence are in the order of success
    per cost, given what has failed, as in the search problems of Mitten (1960) and Simon and Kadane (1975).

    Examples
    --------
    A small model solves half of the questions always and the others never. Asking it again is worth nothing, and a
    large one is asked, once or more, if its price allows it:

    >>> pool = RepeatedSampling([[1.0, 1.0], [0.0, 0.5], [0.0, 0.9], [1.0, 1.0]], [1.0, 5.0], most=2)
    >>> pool.plans().sequences
    [(), (0,), (0, 1), (0, 1, 1)]
    >>> pool.plans().at(0.12)
    (0, 1)
    """

    def __init__(
        self,
        chance: ArrayLike,
        cost: ArrayLike,
        *,
        most: int,
        weight: ArrayLike | None = None,
        sensitivity: float = 1.0,
        specificity: float = 1.0,
    ) -> None:
        p = np.asarray(chance, dtype=float)
        if p.ndim != 2 or not p.size or not ((p >= 0) & (p <= 1)).all():
            raise ValueError(f"chance must hold probabilities, shape (t, k) with t, k ≥ 1; got shape {p.shape}.")
        most = _whole(most)
        sensitivity, specificity = _verifier(sensitivity, specificity)
        rejects = (1 - sensitivity) * p + specificity * (1 - p)
        rejected = rejects[:, :, None] ** np.arange(most + 1)
        self._set(rejected, p[:, :, None] * rejected, cost, weight, sensitivity)

    @classmethod
    def from_counts(
        cls,
        count: ArrayLike,
        right: ArrayLike,
        cost: ArrayLike,
        *,
        most: int,
        weight: ArrayLike | None = None,
        sensitivity: float = 1.0,
        specificity: float = 1.0,
    ) -> RepeatedSampling:
        r"""Return the same from samples: `right` of `count` answers were right, both of shape (t, k).

        All expectations are then unbiased, which those of the shares ``right / count`` are not: they count questions
        that only luck has kept from being solved as impossible. The probability that m samples without replacement
        are all wrong is :math:`\binom{n - r}{m} / \binom{n}{m}`, and the like for a verifier that errs.

        Raises
        ------
        ValueError
            As above, and if a cell has too few samples: more than `most` are needed.

        Examples
        --------
        Of four answers one was right. Two of them are both wrong in a half of all cases:

        >>> RepeatedSampling.from_counts([[4]], [[1]], [1.0], most=2).outcome((0, 0))
        (array([1.75]), array([0.5]))
        """
        n, r = np.asarray(count, dtype=float), np.asarray(right, dtype=float)
        if n.ndim != 2 or not n.size or n.shape != r.shape or not ((r >= 0) & (r <= n)).all():
            raise ValueError(f"right must be between 0 and count, both of one shape (t, k); got {n.shape}, {r.shape}.")
        most = _whole(most)
        if (n <= most).any():
            row, model = np.argwhere(n <= most)[0]
            raise ValueError(
                f"question {row} has {n[row, model]:g} samples of model {model}: more than most={most} are needed. "
                "Leave the model out, or lower most."
            )
        sensitivity, specificity = _verifier(sensitivity, specificity)
        self = cls.__new__(cls)
        rejected = _all_rejected(n, r, most, 1 - sensitivity, specificity)
        # One right sample set aside, the others are drawn from those that are left.
        others = _all_rejected(n - 1, np.maximum(r - 1, 0), most, 1 - sensitivity, specificity)
        self._set(rejected, (r / n)[:, :, None] * others, cost, weight, sensitivity)
        return self

    def _set(
        self, rejected: Floats, right: Floats, cost: ArrayLike, weight: ArrayLike | None, sensitivity: float
    ) -> None:
        """Take in, for every question, model and m: P(m rejected), and P(m rejected and the next one right)."""
        t, self.k, size = rejected.shape
        self.cost = np.asarray(cost, dtype=float)
        if self.cost.shape != (self.k,) or not np.isfinite(self.cost).all() or (self.cost < 0).any():
            raise ValueError(f"cost must hold one finite number ≥ 0 for each of {self.k} models; got {self.cost}.")
        weight = np.full(t, 1.0) if weight is None else np.asarray(weight, dtype=float)
        if weight.shape != (t,) or not np.isfinite(weight).all() or (weight < 0).any() or not weight.sum() > 0:
            raise ValueError(f"weight must hold one number ≥ 0 for each of {t} questions, and not only zeros.")
        if size**self.k > _MOST_STATES:
            raise ValueError(
                f"{self.k} models with up to {size - 1} samples each have {size**self.k:,} states; at most "
                f"{_MOST_STATES:,} are gone through. Take fewer models, or lower most."
            )
        self._rejected, self._right, self._sensitivity = rejected, right, sensitivity
        self.weight, self.most = weight / weight.sum(), size - 1

    def plans(self) -> SamplingPlans:
        r"""Return the best sequences for all prices at once.

        Notes
        -----
        From the last state backwards: what can be reached from a state are the points of its successors, each shifted
        by the step's cost and gain, and of these only the upper concave envelope matters. That is exact.
        """
        reached, gain, given_up = self._lattice()
        cost: dict[tuple[int, ...], Floats] = {}
        value: dict[tuple[int, ...], Floats] = {}
        origin: dict[tuple[int, ...], list[tuple[int, int]]] = {}
        for state in np.ndindex(*reached.shape[::-1]):
            state = tuple(self.most - m for m in state)
            points = [(0.0, given_up[state], -1, -1)]
            for j in range(self.k):
                onward = _one_more(state, j)
                if onward in cost:
                    step = self.cost[j] * reached[state], gain[j][state]
                    points += [
                        (step[0] + c, step[1] + v, j, i)
                        for i, (c, v) in enumerate(zip(cost[onward], value[onward], strict=True))
                    ]
            spent, achieved, model, follower = (np.array(part) for part in zip(*points, strict=True))
            kept = segments(spent[None], achieved[None]).index
            # A gain that is nothing but rounding would be bought at any cost once the price falls to nearly nothing.
            kept = kept[np.append(True, np.diff(achieved[kept]) > _ROUNDING)]
            cost[state], value[state] = spent[kept], achieved[kept]
            origin[state] = [(int(model[i]), int(follower[i])) for i in kept]
        start = (0,) * self.k
        segs = segments(cost[start][None], value[start][None])
        sequences = [_followed(origin, start, int(i), self.k) for i in segs.index]
        return SamplingPlans(sequences, cost[start][segs.index], value[start][segs.index], segs.high, segs.low)

    def outcome(self, sequence: Sequence[int]) -> tuple[Floats, Floats]:
        """Return what a sequence is expected to spend and to achieve on each question, both of shape (t,).

        Raises
        ------
        ValueError
            If a member is no model, or one is sampled more than `most` times.

        Examples
        --------
        >>> RepeatedSampling([[0.5], [0.1]], [2.0], most=3).outcome((0, 0))
        (array([3. , 3.8]), array([0.75, 0.19]))
        """
        counts, reached = [0] * self.k, np.ones(len(self.weight))
        spent, achieved = np.zeros_like(reached), np.zeros_like(reached)
        for j in sequence:
            if j not in range(self.k) or counts[j] == self.most:
                raise ValueError(
                    f"a sequence names models by positions 0 to {self.k - 1}, each at most {self.most} times; got "
                    f"{tuple(sequence)}."
                )
            spent += self.cost[j] * reached
            achieved += self._sensitivity * self._factor(counts, but=j) * self._right[:, j, counts[j]]
            counts[j] += 1
            reached = self._factor(counts)
        return spent, achieved + self._returned(counts)

    def steps(self, sequence: Sequence[int]) -> pd.DataFrame:
        """Return one row per sample: the model, how likely it is needed, and how likely it is right if it is.

        Examples
        --------
        Each failure makes a question look harder, and the next sample less promising:

        >>> RepeatedSampling([[0.9], [0.1]], [1.0], most=3).steps((0, 0, 0)).round(3)
           model  needed  right
        0      0    1.00   0.50
        1      0    0.50   0.18
        2      0    0.41   0.11
        """
        rows, counts = [], [0] * self.k
        for j in sequence:
            needed = self.weight @ self._factor(counts)
            right = self.weight @ (self._factor(counts, but=j) * self._right[:, j, counts[j]])
            rows.append({"model": j, "needed": needed, "right": right / needed if needed > 0 else np.nan})
            counts[j] += 1
        return pd.DataFrame(rows, columns=["model", "needed", "right"])

    def _factor(self, counts: Sequence[int], but: int | None = None) -> Floats:
        """Return the probability that so many samples, of all models but one, are rejected on each question."""
        parts = [self._rejected[:, j, m] for j, m in enumerate(counts) if j != but]
        return np.prod([np.ones(len(self.weight)), *parts], axis=0)

    def _returned(self, counts: Sequence[int]) -> Floats:
        """Return, for each question, the probability that all are rejected and the one returned then is right."""
        asked = [j for j in range(self.k) if counts[j]]
        each = [(1 - self._sensitivity) * self._factor(counts, but=j) * self._right[:, j, counts[j] - 1] for j in asked]
        # Which one is returned must be decided without knowing the question.
        return max(each, key=lambda right: float(self.weight @ right), default=np.zeros(len(self.weight)))

    def _lattice(self) -> tuple[Floats, list[Floats], Floats]:
        """Return W(m), g_j(m) for every model, and the quality of giving up in m, each of shape (most + 1,) * k."""
        letters = _LETTERS[: self.k]
        subscripts = f"t,{','.join('t' + letter for letter in letters)}->{letters}"
        rejected = [self._rejected[:, j] for j in range(self.k)]

        def expected(factors: list[Floats]) -> Floats:
            return np.einsum(subscripts, self.weight, *factors, optimize=True)

        right = [expected([*rejected[:j], self._right[:, j], *rejected[j + 1 :]]) for j in range(self.k)]
        given_up = np.zeros((self.most + 1,) * self.k)
        for j in range(self.k):
            later = tuple(slice(1, None) if i == j else slice(None) for i in range(self.k))
            before = tuple(slice(None, -1) if i == j else slice(None) for i in range(self.k))
            given_up[later] = np.maximum(given_up[later], (1 - self._sensitivity) * right[j][before])
        return expected(rejected), [self._sensitivity * each for each in right], given_up


def _all_rejected(n: Floats, r: Floats, most: int, miss: float, specificity: float) -> Floats:
    """Return P(m of n samples, of which r are right, are all rejected) for m = 0, …, `most`: shape (t, k, most + 1)."""
    m, h = np.arange(most + 1)[:, None], np.arange(most + 1)
    n, r = n[:, :, None, None], r[:, :, None, None]
    ways = comb(r, h) * comb(n - r, np.maximum(m - h, 0)) * (h <= m)
    return (ways * miss**h * specificity ** np.maximum(m - h, 0)).sum(axis=3) / comb(n[..., 0], m[:, 0])


def _one_more(state: tuple[int, ...], j: int) -> tuple[int, ...]:
    return (*state[:j], state[j] + 1, *state[j + 1 :])


def _followed(
    origin: dict[tuple[int, ...], list[tuple[int, int]]], state: tuple[int, ...], point: int, k: int
) -> tuple[int, ...]:
    """Return the sequence that leads to a point of a state."""
    sequence = []
    while (step := origin[state][point])[0] >= 0:
        sequence.append(step[0])
        state, point = _one_more(state, step[0]), step[1]
    return tuple(sequence)


def _whole(most: int) -> int:
    if isinstance(most, bool) or int(most) != most or most < 1:
        raise ValueError(f"most must be a whole number of at least 1 sample; got {most!r}.")
    return int(most)


def _verifier(sensitivity: float, specificity: float) -> tuple[float, float]:
    mend = "It is a probability."
    return (
        _checks.number("sensitivity", sensitivity, low=0, high=1, mend=mend),
        _checks.number("specificity", specificity, low=0, high=1, mend=mend),
    )
