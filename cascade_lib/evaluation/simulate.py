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
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .. import _checks
from .._arrays import Bools, Floats, Ints
from ..estimators.base import Beliefs, Estimator, ask, evidence_for
from ..outcomes import Outcomes
from ..strategies.base import STOP, Moves, Strategy
from .frontier import Leaves

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Queries whose plans are looked at in one go: few enough that the arrays stay small even with 2,048 plans for each.
_QUERIES_AT_ONCE = 2_048


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
    chosen : int array, shape (n,)
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
    ran: Bools
    order: Ints
    chosen: Ints

    @property
    def cost(self) -> Floats:
        """What each query cost, shape (n,): the sum over the models that ran."""
        return (self.outcomes.cost * self.ran).sum(axis=1)

    @property
    def quality(self) -> Floats:
        """The quality of the answer kept, shape (n,)."""
        return self.outcomes.quality[np.arange(len(self.chosen)), self.chosen]

    def to_frame(self) -> pd.DataFrame:
        """Return one row per query: the answering model, the number of calls, cost and quality."""
        columns = {
            "answer": np.asarray(self.outcomes.models)[self.chosen],
            "calls": self.ran.sum(axis=1),
            "cost": self.cost,
            "quality": self.quality,
        }
        return pd.DataFrame(columns, index=self.outcomes.query.index)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw how often each model ran and how often its answer was kept."""
        from .. import plots

        return plots.usage(self, ax=ax)

    def __repr__(self) -> str:
        """Return the mean cost, quality and number of calls."""
        cost = f"{self.cost.mean():.4g} {self.outcomes.cost_unit or 'cost'}"
        calls = f"{self.ran.sum(axis=1).mean():.3g} calls per query"
        return f"{self.name} on {len(self.chosen)} queries: {cost}, quality {self.quality.mean():.4g}, {calls}"


def play(
    strategy: Strategy,
    estimator: Estimator,
    outcomes: Outcomes,
    lam: float,
    *,
    expensive_ties: Bools | None = None,
) -> Play:
    """Play a strategy at one price; see `Strategy.play`."""
    lam = _checks.number("lam", lam, low=0, high=np.inf, mend="A price is quality per unit of cost.")
    n, k = outcomes.quality.shape
    expensive_ties = np.zeros(n, dtype=bool) if expensive_ties is None else np.asarray(expensive_ties)
    if expensive_ties.shape != (n,) or expensive_ties.dtype != bool:
        raise ValueError(
            f"expensive_ties must hold True or False for each of the {n} queries; got "
            f"{expensive_ties.dtype} {expensive_ties.shape}."
        )
    ran, answer = np.zeros((n, k), dtype=bool), np.empty(n, dtype=int)
    order = np.full((n, k), STOP)
    pending = {0: [np.arange(n)]}
    while pending:
        state = min(pending, key=int.bit_count)
        queries = np.sort(np.concatenate(pending.pop(state)))
        moves, answers = _moves(strategy, estimator, outcomes, state, queries)
        model = moves.at(lam, expensive_ties[queries])
        stop = model == STOP
        answer[queries[stop]] = answers[stop]
        for i in np.unique(model[~stop]):
            onward = queries[model == i]
            ran[onward, i] = True
            order[onward, state.bit_count()] = i
            pending.setdefault(state | 1 << int(i), []).append(onward)
    return Play(strategy.name, outcomes, ran, order, answer)


def decide(strategy: Strategy, beliefs: Beliefs, barred: Bools, lam: float, *, expensive_ties: Bools) -> Ints:
    """Return the model to run next, or STOP, on live queries that are in the same state, int (m,).

    Parameters
    ----------
    strategy : Strategy
        The decision rule.
    beliefs : Beliefs
        What is thought of the m queries.
    barred : bool array, shape (k,)
        The models that cannot be had.
    lam : float
        The price.
    expensive_ties : bool array, shape (m,)
        Whether a tie at `lam` goes to the most expensive choice.
    """
    if (beliefs.ran | barred).all():
        return np.full(len(beliefs), STOP)
    moves = _next_moves(strategy, replace(beliefs, barred=barred))
    return moves.at(lam, expensive_ties)


def walk(
    strategy: Strategy, estimator: Estimator, outcomes: Outcomes, *, free: int | None = None, lam: float = np.inf
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
        moves, answers = _moves(strategy, estimator, outcomes, state, queries)
        if free is not None and free != state.bit_count():
            moves = _always(moves.at(lam, np.zeros(len(queries), dtype=bool)))
        piece, model, high, low = _cut(row, high, low, moves)
        row, query, stop = row[piece], query[piece], model == STOP
        leaves.append(_leaves(outcomes, state, query[stop], high[stop], low[stop], answers[row[stop]]))
        for i in np.unique(model[~stop]):
            pending.setdefault(state | 1 << int(i), []).append((query[model == i], high[model == i], low[model == i]))
    return Leaves(*(np.concatenate(parts) for parts in zip(*leaves, strict=True)))


def _moves(
    strategy: Strategy, estimator: Estimator, outcomes: Outcomes, state: int, queries: Ints
) -> tuple[Moves, Ints]:
    """Return what to do next with `queries` in `state`, and the model to keep on stopping."""
    m, ran = len(queries), _models_in(state, outcomes.k)
    if strategy.depth == state.bit_count() == 1:
        return _always(np.full(m, STOP)), np.full(m, ran.argmax())
    beliefs = ask(estimator, evidence_for(estimator, outcomes, ran), queries)
    answer = strategy.choose(beliefs) if state else np.full(m, STOP)
    return _next_moves(strategy, beliefs), answer


def _next_moves(strategy: Strategy, beliefs: Beliefs) -> Moves:
    """Return what to do next."""
    calls = int(beliefs.ran.sum())
    # A live session may have been told of more models than the strategy would have run.
    if calls >= (strategy.depth or len(beliefs.ran)):
        return _always(np.full(len(beliefs), STOP))
    moves = _in_parts(strategy, beliefs)
    # At this step a unit of cost is charged weight · λ, so that every breakpoint in λ moves by 1 / weight.
    weight = 1.0 if strategy.step_prices is None else strategy.step_prices[calls]
    return moves._replace(high=moves.high / weight, low=moves.low / weight)


def _in_parts(strategy: Strategy, beliefs: Beliefs) -> Moves:
    """Return the strategy's moves, asked for a few queries at a time."""
    starts = range(0, len(beliefs), _QUERIES_AT_ONCE)
    if len(starts) == 1:
        return strategy.moves(beliefs)

    def moves_from(start: int) -> Moves:
        moves = strategy.moves(beliefs.take(slice(start, start + _QUERIES_AT_ONCE)))
        return moves._replace(row=moves.row + start)

    # NumPy lets go of the interpreter while it works, so threads share the processor's cores.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        parts = list(pool.map(moves_from, starts))
    return Moves(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def _always(model: Ints) -> Moves:
    """Return the moves of rows that do the same at every price."""
    m = len(model)
    return Moves(np.arange(m), model, np.full(m, np.inf), np.zeros(m))


def _cut(row: Ints, high: Floats, low: Floats, moves: Moves) -> tuple[Ints, Ints, Floats, Floats]:
    """Cut stretches of price by the moves of their rows; return each piece's stretch, next model, high and low."""
    # Neighbouring moves that run the same model next need no cut between them.
    begins = np.append(True, (moves.row[1:] != moves.row[:-1]) | (moves.model[1:] != moves.model[:-1]))
    ends = np.append(begins[1:], True)
    seg_row, seg_model, seg_high, seg_low = moves.row[begins], moves.model[begins], moves.high[begins], moves.low[ends]
    # Pair every stretch with every segment of its row, then keep the pairs that overlap.
    first, beyond = np.searchsorted(seg_row, row), np.searchsorted(seg_row, row, side="right")
    count = beyond - first
    stretch = np.repeat(np.arange(len(row)), count)
    seg = np.arange(count.sum()) + np.repeat(first - np.cumsum(count) + count, count)
    high, low = np.minimum(high[stretch], seg_high[seg]), np.maximum(low[stretch], seg_low[seg])
    overlap = high > low
    return stretch[overlap], seg_model[seg[overlap]], high[overlap], low[overlap]


def _leaves(outcomes: Outcomes, state: int, query: Ints, high: Floats, low: Floats, answer: Ints) -> Leaves:
    """Return the leaves of queries that stop in `state`, with what they really cost and achieved."""
    ran = _models_in(state, outcomes.k)
    return Leaves(query, high, low, outcomes.cost[np.ix_(query, ran)].sum(axis=1), outcomes.quality[query, answer])


def _models_in(state: int, k: int) -> Bools:
    """Return the set of models that the bits of `state` stand for, bool (k,)."""
    # Bit by bit, for the sets of more than 63 models do not fit into the integers of NumPy.
    return np.array([state >> i & 1 for i in range(k)], dtype=bool)
