"""Estimates from fitted numbers alone: what a policy file holds of a learned estimator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from .._packing import exactly, listed
from ..outcomes import Evidence
from ._encoding import Reader, Recent, Table, beside
from ._predictors import Estimate
from ._revisions import Changes
from .base import Beliefs, StoredEstimator

FUTURES = ("independent", "joint", "empirical")
# Queries whose encoded features are kept, as each is asked about again after every call.
KEPT = 256
# Sets of models that one file may hold, and models.
MOST_STATES, MOST_MODELS = 4096, 1000


@dataclass(frozen=True, eq=False)
class State:
    """What is estimated once some models have run: quality, the cost of the others if there are any, and changes."""

    quality: Estimate
    cost: Estimate | None
    change: Changes


class FittedEstimator(StoredEstimator):
    """Says of new queries what a `LearnedEstimator` says, from its fitted numbers; it knows no training query.

    Parameters
    ----------
    models : sequence of str
        The pool.
    reader : Reader
        Turns features and answers into numbers.
    states : mapping of tuple of int to State
        By the positions of the models that have run, in rising order.
    future : {"independent", "joint", "empirical"}
        The form of the law of future estimates.
    seed : int
        Of the draws of joint laws.

    Notes
    -----
    If models have run whose set is not among the states, which a strategy never does but a caller may report, it goes
    by the largest known set of them: what the others answered is then not used, only what they cost.
    """

    def __init__(
        self, models: Sequence[str], reader: Reader, states: Mapping[tuple[int, ...], State], future: str, seed: int
    ) -> None:
        self.models_, self.future, self.seed = tuple(models), future, seed
        self._reader, self._states = reader, dict(states)
        self._recent: Recent[Table] = Recent(KEPT)
        self.sets, self.names = set(self._states), reader.names

    def beliefs(self, evidence: Evidence, rows: np.ndarray | None = None) -> Beliefs:
        """Return beliefs about the queries at positions `rows`; default: about all.

        Raises
        ------
        ValueError
            If the outcomes have other models, or lack a feature. The message names them.
        """
        if evidence.models != self.models_:
            raise ValueError(f"the policy knows the models {', '.join(self.models_)}: use outcomes.select of these.")
        ran, rows = evidence.ran, np.arange(len(evidence)) if rows is None else rows
        members = self._nearest(ran)
        state, encoded = self._states[members], self._recent.get(evidence.query, self._reader.queries)
        known = beside([encoded[rows], *self._reader.answers(evidence, members, rows)])
        mean, cost = state.quality.predict(known), evidence.cost[rows]
        if state.cost is not None and not ran.all():
            cost = np.where(ran, cost, state.cost.predict(beside([known, cost[:, members]])))
        spread, law = state.change.laws(mean, self.future, self.seed)
        if len(members) < ran.sum():
            spread, law = np.where(ran, 0.0, spread), None
        return Beliefs(ran=ran, mean=mean, spread=spread, cost=cost, law=law)

    def without_spread(self) -> FittedEstimator:
        """Return the same estimates, none of which will move; see `WithoutSpread`."""
        nil = np.zeros(len(self.models_))
        states = {m: replace(s, change=replace(s.change, base=nil, slope=nil)) for m, s in self._states.items()}
        return FittedEstimator(self.models_, self._reader, states, "independent", self.seed)

    def _nearest(self, ran: np.ndarray) -> tuple[int, ...]:
        members = tuple(np.flatnonzero(ran).tolist())
        if members in self._states:
            return members
        return max(
            (known for known in self._states if set(known) <= set(members)), key=lambda known: (len(known), known)
        )

    def __repr__(self) -> str:
        """Return how many models and states it knows."""
        return f"FittedEstimator({len(self.models_)} models, {len(self._states)} states)"

    def stored(self) -> dict[str, object]:
        """Return it as plain values.

        Raises
        ------
        TypeError
            If a learner or transformer is not known as numbers.
        """
        states = [
            {
                "ran": list(members),
                "quality": state.quality.stored(),
                "cost": None if state.cost is None else state.cost.stored(),
                "change": state.change.stored(),
            }
            for members, state in self._states.items()
        ]
        return {"future": self.future, "seed": self.seed, "reader": self._reader.stored(), "states": states}

    @classmethod
    def read(cls, stored: object, models: Sequence[str]) -> Self:
        """Return what was stored, provided that all of its parts fit together."""
        stored = exactly(stored, "future", "seed", "reader", "states")
        if stored["future"] not in FUTURES:
            raise ValueError(f"future must be one of {', '.join(FUTURES)}.")
        seed = listed([stored["seed"]], int)[0]
        if not 0 <= seed < 2**63:
            raise ValueError("seed must be a whole number of at least 0.")
        reader = Reader.read(stored["reader"], models)
        states = dict(_read_state(entry, reader, len(models)) for entry in listed(stored["states"], dict, MOST_STATES))
        if () not in states:
            raise ValueError("the state in which nothing has run is missing.")
        return cls(models, reader, states, stored["future"], seed)


def _read_state(stored: object, reader: Reader, k: int) -> tuple[tuple[int, ...], State]:
    stored = exactly(stored, "ran", "quality", "cost", "change")
    members = tuple(listed(stored["ran"], int, k))
    if list(members) != sorted(set(members)) or not set(members) <= set(range(k)):
        raise ValueError("the models that have run must be distinct positions in rising order.")
    change, width = Changes.read(stored["change"], k), reader.width(members)
    words_end = 0 if reader.words is None else reader.of_queries
    quality, cost = Estimate.read(stored["quality"], width, change.low, change.high, words_end), None
    if len(members) < k:
        cost = Estimate.read(stored["cost"], width + len(members), np.zeros(k), np.full(k, np.inf))
    return members, State(quality, cost, change)
