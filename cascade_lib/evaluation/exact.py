r"""The true optimum of small problems, by dynamic programming: a yardstick for every other strategy.

A *small problem* has m kinds of queries and k ≤ 4 or so models. Running model i shows one of :math:`L_i` signals; the
joint law of all signals may be anything, and so may be what they say about the quality of every answer. A state is the
set of models that have run with the signals they have shown. There are :math:`\prod_i (1 + L_i)` of them, and all are
visited: clear rather than fast.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import Bools, Floats, Ints
from ..estimators.base import Beliefs
from ..outcomes import Evidence, Outcomes
from ..theory.distributions import Atoms


class FiniteProblem:
    r"""Queries whose models show signals from a finite set, with the joint law of everything.

    It is an estimator too: its `beliefs` are exact, and so coherent, on the outcomes that `enumerated` returns.

    Parameters
    ----------
    chance : array_like, shape (m, L_1, …, L_k)
        Probability of every combination of signals, for each of m kinds of queries; adds up to 1 for each kind.
    quality : array_like, shape (m, L_1, …, L_k, k)
        Expected quality of every model's answer, given all signals.
    cost : array_like, shape (m, k)
        What running a model costs, ≥ 0.

    Raises
    ------
    ValueError
        If shapes disagree, an entry is NaN or infinite, or probabilities are negative or do not add up to 1.

    References
    ----------
    Chapter "The price of each simplification".

    Examples
    --------
    The signal of the first model says whether it is right (a half of the time); the second is always worth 0.6:

    >>> problem = FiniteProblem([[[0.5], [0.5]]], [[[[0.0, 0.6]], [[1.0, 0.6]]]], [[1.0, 2.0]])
    >>> problem.optimum(0.1)
    array([0.6])

    That is to run the first, and the second too where the first is wrong: 0.5 · 1 + 0.5 · 0.6 − 0.1 · (1 + 0.5 · 2).
    """

    def __init__(self, chance: ArrayLike, quality: ArrayLike, cost: ArrayLike) -> None:
        self.chance = np.asarray(chance, dtype=float)
        self.quality = np.asarray(quality, dtype=float)
        self.cost = np.asarray(cost, dtype=float)
        self.m, self.k = self.chance.shape[0], self.chance.ndim - 1
        if self.quality.shape != (*self.chance.shape, self.k) or self.cost.shape != (self.m, self.k):
            raise ValueError(
                f"for chance of shape {self.chance.shape}, quality needs {(*self.chance.shape, self.k)} and cost "
                f"{(self.m, self.k)}; got {self.quality.shape} and {self.cost.shape}."
            )
        for name in ("chance", "quality", "cost"):
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"{name} has an entry that is NaN or infinite.")
        total = self.chance.reshape(self.m, -1).sum(axis=1)
        if (self.chance < 0).any() or (np.abs(total - 1) > 1e-9).any() or (self.cost < 0).any():
            raise ValueError("chance must be ≥ 0 and add up to 1 for every kind of query, and cost must be ≥ 0.")

    def optimum(self, lam: float) -> Floats:
        r"""Return the largest expected quality − λ · cost of any strategy, shape (m,).

        Notes
        -----
        Bellman's equation, from the states in which everything has run backwards. With probabilities that are not
        divided by that of the state, the expectation over the next signal is a plain sum.
        """
        value: dict[tuple[bool, ...], Floats] = {}
        for ran in sorted(itertools.product([False, True], repeat=self.k), key=sum, reverse=True):
            chance, worth = self._marginal(np.array(ran))
            choices = [worth[..., i] for i in range(self.k) if ran[i]]
            for i in np.flatnonzero(~np.array(ran)):
                after = value[tuple(r or j == i for j, r in enumerate(ran))].sum(axis=1 + i, keepdims=True)
                price = lam * self.cost[:, i].reshape(self.m, *[1] * self.k)
                choices.append(after - price * chance)
            value[ran] = np.max(choices, axis=0)
        return value[(False,) * self.k].reshape(self.m)

    def enumerated(self) -> tuple[Outcomes, Floats]:
        """Return every kind of query with every combination of signals as a row, and the rows' probabilities.

        The quality in a row is the expected quality given all its signals. Probabilities, shape (n,), add up to 1 if
        all kinds of queries are equally frequent.
        """
        per_kind = self.chance[0].size
        quality = self.quality.reshape(-1, self.k)
        return Outcomes(quality, np.repeat(self.cost, per_kind, axis=0)), self.chance.ravel() / self.m

    def beliefs(self, evidence: Evidence, rows: Ints | None = None) -> Beliefs:
        """Return exact beliefs about rows of the `enumerated` outcomes once the models that have run have shown theirs.

        The row of a query says which signals these are; nothing else is used of it.
        """
        ran, rows = evidence.ran, np.arange(len(evidence)) if rows is None else rows
        shape = (*self.chance.shape, self.k)
        mean = np.broadcast_to(self._estimates(ran), shape).reshape(-1, self.k)[rows]
        largest = max(self.chance.shape[1:])
        value = np.repeat(mean[..., None], largest, axis=2)
        weight = np.full(value.shape, 1 / largest)
        for i in np.flatnonzero(~ran).tolist():
            value[:, i], weight[:, i] = (part[rows] for part in self._next(ran, i, largest))
        law = Atoms(value, weight)
        cost = np.repeat(self.cost, self.chance[0].size, axis=0)
        return Beliefs(ran, mean, law.spread, cost[rows], law=law)

    def _marginal(self, ran: Bools) -> tuple[Floats, Floats]:
        """Return the probability of what has been seen, and quality times it; axes not seen have length 1."""
        hidden = tuple(1 + np.flatnonzero(~ran))
        worth = self.quality * self.chance[..., None]
        return self.chance.sum(axis=hidden, keepdims=True), worth.sum(axis=hidden, keepdims=True)

    def _estimates(self, ran: Bools) -> Floats:
        chance, worth = self._marginal(ran)
        # What never happens may be thought to be worth anything.
        return np.divide(worth, chance[..., None], out=np.zeros_like(worth), where=chance[..., None] > 0)

    def _next(self, ran: Bools, i: int, largest: int) -> tuple[Floats, Floats]:
        """Return the estimates that model i may have after its own signal, and their chances, for all rows."""
        now, later = self._marginal(ran)[0], ran | (np.arange(self.k) == i)
        estimate, chance = self._estimates(later)[..., i], self._marginal(later)[0]
        likely = np.divide(chance, now, out=np.full(chance.shape, 1 / chance.shape[1 + i]), where=now > 0)
        parts = []
        for table in (estimate, likely):
            table = np.moveaxis(table, 1 + i, -1)[..., None, :]
            table = np.moveaxis(table, -2, 1 + i)
            table = np.broadcast_to(table, (*self.chance.shape, table.shape[-1])).reshape(-1, table.shape[-1])
            parts.append(np.pad(table, ((0, 0), (0, largest - table.shape[1]))))
        return parts[0], parts[1]
