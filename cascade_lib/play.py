"""Play a strategy on outcomes: at one price, or exactly for all prices in one pass.

A query moves through *states*: the set of models that have run on it. In each state the λ-axis splits into segments,
and on each of them the strategy either stops or runs one more model. `walk` follows all segments at once; `play`
follows the one that contains a given price. Both take the same decisions from the same arithmetic, and know nothing of
a strategy beyond its decision rule.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import pandas as pd

from . import _checks, envelope
from .beliefs import Beliefs, checked
from .estimators import Estimator
from .frontier import Leaves
from .outcomes import Outcomes

STOP = -1
"""Stands where a model's position would, when nothing more is run."""

# Queries whose plans are looked at in one go: few enough that the arrays stay small even with 2,048 plans for each.
_QUERIES_AT_ONCE = 2_048


class Mover(Protocol):
    """What this module needs to know of a strategy; see `Strategy` for what each part means."""

    name: str
    depth: int | None
    step_prices: tuple[float, ...] | None

    def moves(self, beliefs: Beliefs) -> envelope.Segments:
        """Return which model to run next, or STOP, on every stretch of the λ-axis."""

    def hopeless(self, beliefs: Beliefs, lam: np.ndarray) -> np.ndarray | None:
        """Return which models need not be planned at prices from `lam` upwards, or None."""

    def answer(self, beliefs: Beliefs) -> np.ndarray:
        """Return the model whose answer is kept when stopping in this state."""


@dataclass(frozen=True, eq=False, repr=False)
class Play:
    """What happened when a strategy was played on n queries.

    Parameters
    ----------
    name : str
        The strategy.
    outcomes : Outcomes
        The queries.
    ran : bool array, shape (n, k)
        The models that ran.
    order : int array, shape (n, k)
        The same models in the order in which they ran, then −1.
    answer : int array, shape (n,)
        The model whose answer was kept.

    Examples
    --------
    >>> from cascade_lib import Router, TabulatedEstimator
    >>> pool = Outcomes([[0, 1], [1, 1]], [[1, 5], [1, 5]], models=["small", "large"], cost_unit="tokens")
    >>> Router().play(TabulatedEstimator(pool.quality, cost_ex_ante=pool.cost), pool, lam=0.1)
    routing on 2 queries: 3 tokens, quality 1, 1 calls per query
    """

    name: str
    outcomes: Outcomes
    ran: np.ndarray
    order: np.ndarray
    answer: np.ndarray

    @property
    def cost(self) -> np.ndarray:
        """What each query cost, shape (n,): the sum over the models that ran."""
        return (self.outcomes.cost * self.ran).sum(axis=1)

    @property
    def quality(self) -> np.ndarray:
        """The quality of the answer kept, shape (n,)."""
        return self.outcomes.quality[np.arange(len(self.answer)), self.answer]

    def to_frame(self) -> pd.DataFrame:
        """Return one row per query: the answering model, the number of calls, cost and quality."""
        columns = {
            "answer": np.asarray(self.outcomes.models)[self.answer],
            "calls": self.ran.sum(axis=1),
            "cost": self.cost,
            "quality": self.quality,
        }
        return pd.DataFrame(columns, index=self.outcomes.query.index)

    def plot(self, ax=None):
        """Draw how often each model ran and how often its answer was kept."""
        from . import plots

        return plots.usage(self, ax=ax)

    def __repr__(self) -> str:
        """Return the mean cost, quality and number of calls."""
        cost = f"{self.cost.mean():.4g} {self.outcomes.cost_unit or 'cost'}"
        calls = f"{self.ran.sum(axis=1).mean():.3g} calls per query"
        return f"{self.name} on {len(self.answer)} queries: {cost}, quality {self.quality.mean():.4g}, {calls}"


def play(mover: Mover, estimator: Estimator, outcomes: Outcomes, lam: float, *, dear: np.ndarray | None = None) -> Play:
    """Play a strategy at one price; see `Strategy.play`."""
    lam = _checks.number("lam", lam, low=0, high=np.inf, mend="A price is quality per unit of cost.")
    n, k = outcomes.quality.shape
    dear = np.zeros(n, dtype=bool) if dear is None else np.asarray(dear)
    if dear.shape != (n,) or dear.dtype != bool:
        raise ValueError(f"dear must hold True or False for each of the {n} queries; got {dear.dtype} {dear.shape}.")
    ran, answer = np.zeros((n, k), dtype=bool), np.empty(n, dtype=int)
    order = np.full((n, k), STOP)
    pending = {0: [np.arange(n)]}
    while pending:
        state = min(pending, key=int.bit_count)
        queries = np.sort(np.concatenate(pending.pop(state)))
        segs, answers = _moves(mover, estimator, outcomes, state, queries, np.full(len(queries), lam))
        model = envelope.at_price(segs, lam, dear[queries])
        stop = model == STOP
        answer[queries[stop]] = answers[stop]
        for i in np.unique(model[~stop]):
            onward = queries[model == i]
            ran[onward, i] = True
            order[onward, state.bit_count()] = i
            pending.setdefault(state | 1 << int(i), []).append(onward)
    return Play(mover.name, outcomes, ran, order, answer)


def decide(
    mover: Mover,
    estimator: Estimator,
    outcomes: Outcomes,
    rows: np.ndarray,
    ran: np.ndarray,
    barred: np.ndarray,
    lam: float,
    *,
    dear: np.ndarray,
) -> np.ndarray:
    """Return the model to run next, or STOP, on live queries that are in the same state, int (m,).

    Parameters
    ----------
    mover : Strategy
        The decision rule.
    estimator : Estimator
        Where the estimates come from.
    outcomes : Outcomes
        What is known of the queries, with the costs and answers of the models that have run.
    rows : int array, shape (m,)
        The queries to decide about.
    ran, barred : bool array, shape (k,)
        The models that have answered, and those that cannot be had.
    lam : float
        The price.
    dear : bool array, shape (m,)
        Whether a tie at `lam` goes to the dearest choice.
    """
    if (ran | barred).all():
        return np.full(len(rows), STOP)
    state = sum(1 << i for i in np.flatnonzero(ran).tolist())
    segs, _ = _moves(mover, estimator, outcomes, state, rows, np.full(len(rows), lam), barred)
    return envelope.at_price(segs, lam, dear)


def walk(
    mover: Mover, estimator: Estimator, outcomes: Outcomes, *, free: int | None = None, lam: float | None = None
) -> Leaves:
    """Play a strategy at all prices at once; see `Strategy.frontier`.

    A stretch (query, high, low) says for which prices a query is in some state. Cutting it where the query's segments
    in that state end sends each piece on to the next state, or to a leaf where the query stops. With `free`, only the
    price of the step after `free` calls varies, and all others stand at `lam`.
    """
    n = len(outcomes)
    pending = {0: [(np.arange(n), np.full(n, np.inf), np.zeros(n))]}
    leaves = []
    while pending:
        state = min(pending, key=int.bit_count)
        query, high, low = (np.concatenate(parts) for parts in zip(*pending.pop(state), strict=True))
        queries, row = np.unique(query, return_inverse=True)
        held = free is not None and free != state.bit_count()
        lowest = np.full(len(queries), lam if held else np.inf)
        if not held:
            np.minimum.at(lowest, row, low)
        segs, answers = _moves(mover, estimator, outcomes, state, queries, lowest)
        if held:
            segs = _always(envelope.at_price(segs, lam, np.zeros(len(queries), dtype=bool)))
        piece, model, high, low = _cut(row, high, low, segs)
        row, query, stop = row[piece], query[piece], model == STOP
        leaves.append(_leaves(outcomes, state, query[stop], high[stop], low[stop], answers[row[stop]]))
        for i in np.unique(model[~stop]):
            pending.setdefault(state | 1 << int(i), []).append((query[model == i], high[model == i], low[model == i]))
    return Leaves(*(np.concatenate(parts) for parts in zip(*leaves, strict=True)))


def _moves(
    mover: Mover,
    estimator: Estimator,
    outcomes: Outcomes,
    state: int,
    queries: np.ndarray,
    lowest: np.ndarray,
    barred: np.ndarray | None = None,
) -> tuple[envelope.Segments, np.ndarray]:
    """Return what to do next with `queries` in `state`, at prices from `lowest`, and the answer to keep on stopping.

    The `plan` of the segments returned is the model to run next, or STOP.
    """
    m, ran = len(queries), _models_in(state, outcomes.k)
    if mover.depth == state.bit_count() == 1:
        return _always(np.full(m, STOP)), np.full(m, ran.argmax())
    beliefs = checked(estimator.beliefs(outcomes, ran, queries), ran, m, type(estimator).__name__)
    answer = mover.answer(beliefs) if state else np.full(m, STOP)
    # A live session may have been told of more models than the strategy would have run.
    if state.bit_count() >= (mover.depth or outcomes.k):
        return _always(np.full(m, STOP)), answer
    # At this step a unit of cost is charged weight · λ, so that every breakpoint in λ moves by 1 / weight.
    weight = 1.0 if mover.step_prices is None else mover.step_prices[state.bit_count()]
    segs = _segments(mover, replace(beliefs, barred=barred), lowest * weight)
    return segs._replace(high=segs.high / weight, low=segs.low / weight), answer


def _segments(mover: Mover, beliefs: Beliefs, lowest: np.ndarray) -> envelope.Segments:
    """Return the mover's moves, which hold for prices from `lowest` upwards."""
    size = _QUERIES_AT_ONCE
    jobs = [
        (rows[start : start + size], barred)
        for rows, barred in _alike(mover.hopeless(beliefs, lowest), len(beliefs))
        for start in range(0, len(rows), size)
    ]
    if len(jobs) == 1:
        return _segments_of(mover, beliefs, *jobs[0])
    # NumPy lets go of the interpreter while it works, so threads share the processor's cores.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(lambda job: _segments_of(mover, beliefs, *job), jobs))
    segs = envelope.Segments(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
    order = np.argsort(segs.row, kind="stable")
    return envelope.Segments(*(part[order] for part in segs))


def _segments_of(mover: Mover, beliefs: Beliefs, rows: np.ndarray, barred: np.ndarray | None) -> envelope.Segments:
    """Return the segments of some rows of the beliefs, none of which may run the models in `barred`, bool (k,)."""
    part = beliefs.take(rows)
    if barred is not None:
        part = replace(part, barred=barred if part.barred is None else barred | part.barred)
    segs = mover.moves(part)
    return segs._replace(row=rows[segs.row])


def _alike(hopeless: np.ndarray | None, m: int) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """Return the rows in groups that have the same hopeless models, with these."""
    if hopeless is None:
        return [(np.arange(m), None)]
    patterns, group = np.unique(hopeless, axis=0, return_inverse=True)
    by_group = np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])
    return list(zip(by_group, patterns, strict=True))


def _always(model: np.ndarray) -> envelope.Segments:
    """Return the segments of rows that do the same at every price."""
    m = len(model)
    return envelope.Segments(np.arange(m), model, np.full(m, np.inf), np.zeros(m))


def _cut(
    row: np.ndarray, high: np.ndarray, low: np.ndarray, segs: envelope.Segments
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Cut stretches of price by the segments of their rows; return each piece's stretch, next model, high and low."""
    # Neighbouring segments that run the same model next need no cut between them.
    begins = np.append(True, (segs.row[1:] != segs.row[:-1]) | (segs.plan[1:] != segs.plan[:-1]))
    ends = np.append(begins[1:], True)
    seg_row, seg_model, seg_high, seg_low = segs.row[begins], segs.plan[begins], segs.high[begins], segs.low[ends]
    # Pair every stretch with every segment of its row, then keep the pairs that overlap.
    first, beyond = np.searchsorted(seg_row, row), np.searchsorted(seg_row, row, side="right")
    count = beyond - first
    stretch = np.repeat(np.arange(len(row)), count)
    seg = np.arange(count.sum()) + np.repeat(first - np.cumsum(count) + count, count)
    high, low = np.minimum(high[stretch], seg_high[seg]), np.maximum(low[stretch], seg_low[seg])
    overlap = high > low
    return stretch[overlap], seg_model[seg[overlap]], high[overlap], low[overlap]


def _leaves(
    outcomes: Outcomes, state: int, query: np.ndarray, high: np.ndarray, low: np.ndarray, answer: np.ndarray
) -> Leaves:
    """Return the leaves of queries that stop in `state`, with what they really cost and achieved."""
    ran = _models_in(state, outcomes.k)
    return Leaves(query, high, low, outcomes.cost[np.ix_(query, ran)].sum(axis=1), outcomes.quality[query, answer])


def _models_in(state: int, k: int) -> np.ndarray:
    """Return the set of models that the bits of `state` stand for, bool (k,)."""
    # Bit by bit, for the sets of more than 63 models do not fit into the integers of NumPy.
    return np.array([state >> i & 1 for i in range(k)], dtype=bool)
