"""Take up many queries together, as far as what their models said is known already.

A `Session` decides for one query at a time. A run that is taken up again may have a hundred thousand calls in its
journal: here the queries that are in the same state are decided together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from ..deploy.policy import Policy
from ..estimators.base import ask, refuse_simulated
from ..evaluation.simulate import decide
from ..outcomes import query_frame
from ..strategies.base import STOP

Told = tuple[float, dict[str, object] | None]
"""What came of asking a model: its cost, and the features of its answer by `Schema.answer`; None where it failed."""


def replay(
    policy: Policy, queries: pd.DataFrame, expensive_ties: np.ndarray, tell: Callable[[int, str], Told | None]
) -> list[tuple[bool, str | None]]:
    """Decide for n queries as n sessions would, as far as is known what the models answer.

    Parameters
    ----------
    policy : Policy
        It decides.
    queries : pandas.DataFrame with n rows
        The features that the policy knows; the index names the queries.
    expensive_ties : bool array, shape (n,)
        The queries whose ties at λ go to the most expensive choice.
    tell : callable
        From the position of a query and the name of a model to what came of asking it, or None if it has yet to be
        asked. Called once for every model that a query comes to.

    Returns
    -------
    list of (bool, str or None)
        For each query whether it has ended, and if so the model whose answer to keep, None if none has answered.

    Examples
    --------
    >>> from cascade_lib import LearnedEstimator, Outcomes, Router
    >>> pool = Outcomes([[0, 1], [1, 1]] * 20, [[0, 5]] * 40, models=["rules", "large"])
    >>> policy = Router().calibrate(LearnedEstimator(folds=2).fit(pool), pool, budget=5)
    >>> known: dict[str, Told] = {"a": (5.0, {})}
    >>> queries = pd.DataFrame(index=["a", "b"])
    >>> replay(policy, queries, np.ones(2, dtype=bool), lambda row, model: known.get(queries.index[row]))
    [(True, 'large'), (False, None)]
    """
    refuse_simulated(policy.estimator)
    schema, n = policy.schema, len(queries)
    features = query_frame(queries[list(schema.features)], n)
    ran, barred, cost, answers = schema.nothing_known(n)
    ended, choice = np.zeros(n, dtype=bool), np.full(n, STOP)
    going = np.arange(n)
    while going.size:
        seen = features, cost.copy(), {name: table.copy() for name, table in answers.items()}
        onward: list[tuple[int, int]] = []
        for rows in _alike(going, ran, barred):
            done, failed = ran[rows[0]], barred[rows[0]]
            beliefs = ask(policy.estimator, schema.evidence(done, *seen), rows)
            model = decide(policy.strategy, beliefs, failed, policy.lam, expensive_ties=expensive_ties[rows])
            stop = model == STOP
            ended[rows[stop]] = True
            if stop.any() and done.any():
                choice[rows[stop]] = policy.strategy.choose(beliefs)[stop]
            onward += zip(rows[model != STOP].tolist(), model[model != STOP].tolist(), strict=True)
        told = [row for row, i in onward if _reported(tell(row, schema.models[i]), row, i, ran, barred, cost, answers)]
        going = np.array(told, dtype=int)
    names = [*schema.models, None]  # STOP, which is -1, stands for no model
    return [(bool(end), names[i]) for end, i in zip(ended, choice, strict=True)]


def _reported(
    told: Told | None,
    row: int,
    i: int,
    ran: np.ndarray,
    barred: np.ndarray,
    cost: np.ndarray,
    answers: dict[str, np.ndarray],
) -> bool:
    """Enter what came of asking model i; return whether anything did."""
    if told is None:
        return False
    cost[row, i], features = told
    (barred if features is None else ran)[row, i] = True
    for name, value in (features or {}).items():
        answers[name][row, i] = value
    return True


def _alike(rows: np.ndarray, ran: np.ndarray, barred: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the rows in groups on which the same models have run and the same have failed."""
    _, group = np.unique(np.hstack([ran[rows], barred[rows]]), axis=0, return_inverse=True)
    yield from (rows[group == g] for g in range(group.max() + 1))
