"""One live query: which model to ask next, what it answered, which answer to keep.

A `Session` decides exactly as a simulated play would. Models that fail are barred and planning goes on with the rest;
nothing is ever forgotten, so a session can be written down at any moment and taken up again elsewhere.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from .. import _checks
from .._columns import LABELS, held
from ..estimators.base import Beliefs, Estimator, ask, refuse_simulated
from ..evaluation.simulate import decide
from ..outcomes import Evidence, Outcomes, query_frame
from ..strategies.base import STOP, Strategy


@dataclass(frozen=True)
class Schema:
    """What a query and its answers look like: the names that a live query must bring along.

    Parameters
    ----------
    models : tuple of str
        The pool.
    features : tuple of str
        What is known of a query before any call.
    answer_features : mapping of str to bool
        What is known of an answer once it has been given, and whether it is a number (else it is a label).
    cost_unit : str
        The unit of costs.

    Examples
    --------
    >>> pool = Outcomes([[0, 1]], [[1, 5]], answer_features={"margin": [[0.2, 0.9]], "says": [["yes", "no"]]})
    >>> Schema.of(pool).answer_features
    {'margin': True, 'says': False}
    """

    models: tuple[str, ...]
    features: tuple[str, ...]
    answer_features: Mapping[str, bool]
    cost_unit: str = ""

    @classmethod
    def of(cls, outcomes: Outcomes) -> Schema:
        """Read the schema off some outcomes."""
        numbers = {name: _numeric(table) for name, table in outcomes.answer_features.items()}
        return cls(outcomes.models, tuple(map(str, outcomes.query.columns)), numbers, outcomes.cost_unit)

    def query(self, features: Mapping[str, object] | None, name: object) -> pd.DataFrame:
        """Return the features of one query as a data frame with one row, whose index is its name."""
        given = dict(features or {})
        missing = [column for column in self.features if column not in given]
        strange = [str(column) for column in given if column not in self.features]
        if missing or strange:
            wrong = [f"lacks {', '.join(missing)}"] * bool(missing)
            wrong += [f"has {', '.join(strange)}, which the policy does not know"] * bool(strange)
            raise ValueError(
                f"query {' and '.join(wrong)}; it needs {', '.join(self.features) or 'no features'} "
                "(None where a value is not known)."
            )
        frame = pd.DataFrame([[given[column] for column in self.features]], columns=list(self.features), index=[name])
        return query_frame(frame, 1)

    def answer(self, model: str, features: Mapping[str, object] | None) -> dict[str, object]:
        """Return the features of one answer, NaN where they are missing; refuse those that are unknown or unusable."""
        given = dict(features or {})
        strange = [str(name) for name in given if name not in self.answer_features]
        if strange:
            raise ValueError(
                f"the answer of model {model!r} has {', '.join(strange)}, which the policy does not know; it knows "
                f"{', '.join(self.answer_features) or 'no features of answers'}."
            )
        return {name: _value(model, name, given.get(name), number) for name, number in self.answer_features.items()}

    def nothing_known(self, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """Return arrays (n, k) of n queries at their beginning: models that ran, that failed, costs, and answers."""
        shape = n, len(self.models)
        answers = {
            name: np.full(shape, np.nan, dtype=float if number else object)
            for name, number in self.answer_features.items()
        }
        return np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool), np.zeros(shape), answers

    def evidence(
        self, ran: np.ndarray, query: pd.DataFrame, cost: np.ndarray, answers: Mapping[str, np.ndarray]
    ) -> Evidence:
        """Return what is seen of live queries when the models in `ran`, bool (k,), have run; `query` as above."""
        return Evidence(ran.copy(), self.models, query, cost, answers, self.cost_unit)


def _numeric(table: np.ndarray) -> bool:
    return held(pd.Series(table.ravel())) not in LABELS


def _value(model: str, name: str, value: Any, number: bool) -> object:
    if value is None or value != value:  # only NaN differs from itself
        return np.nan
    if not number:
        return str(value)
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"answer feature {name!r} of model {model!r} must be a number; got {value!r}.") from None


class Session:
    r"""One live query under a policy; made by ``policy.start``.

    Ask `next` for a model, run it, report back with `observe` or `fail`, and so on until `next` returns None. Then
    `choice` names the model whose answer to keep.

    Notes
    -----
    A session may be used by several threads; its methods take turns. Sessions share nothing but the estimator, which
    is only read.

    Examples
    --------
    >>> from cascade_lib import CascadeRouter, TabulatedEstimator
    >>> pool = Outcomes([[0, 1]] * 4, [[1, 5]] * 4, models=["small", "large"])
    >>> policy = CascadeRouter().calibrate(TabulatedEstimator(pool.quality, cost_ex_ante=pool.cost), pool, budget=5)
    >>> session = policy.start(estimator=TabulatedEstimator([[0.2, 0.9]], cost_ex_ante=[[1, 5]]))
    >>> session.next()
    'large'
    >>> session.fail("large")
    >>> session.next()
    'small'
    >>> session.observe("small", cost=1.0)
    >>> session.next(), session.choice, session.cost
    (None, 'small', 1.0)
    """

    def __init__(
        self,
        strategy: Strategy,
        estimator: Estimator,
        schema: Schema,
        query: Mapping[str, object] | None,
        *,
        name: object,
        lam: float,
        expensive_ties: bool,
    ) -> None:
        refuse_simulated(estimator)
        self._strategy, self._estimator, self._schema = strategy, estimator, schema
        self._query, self._features = schema.query(query, name), dict(query or {})
        self._name, self._lam, self._expensive_ties = name, lam, expensive_ties
        ran, barred, spent, self._answers = schema.nothing_known(1)
        self._ran, self._barred, self._spent = ran[0], barred[0], spent[0]
        self._steps: list[dict[str, Any]] = []
        self._thought: Beliefs | None = None
        self._lock = threading.RLock()
        # A feature that cannot be read is refused now and not at the first question.
        self._beliefs()

    def next(self) -> str | None:
        """Return the model to run now, or None to stop. Asking again without reporting back gives the same answer."""
        with self._lock:
            if (self._ran | self._barred).all():
                return None
            side = np.array([self._expensive_ties])
            [model] = decide(self._strategy, self._beliefs(), self._barred, self._lam, expensive_ties=side)
            return None if model == STOP else self._schema.models[model]

    def observe(self, model: str, *, cost: float, answer: Mapping[str, object] | None = None) -> None:
        """Report that a model has answered.

        Parameters
        ----------
        model : str
            Any model of the pool that has neither answered nor failed, usually the one that `next` named.
        cost : float
            What the answer cost, 0 or more, in the unit of the policy.
        answer : mapping, optional
            Features of the answer by name, as in ``outcomes.answer_features``. Those left out count as missing.

        Raises
        ------
        TypeError
            If the cost or a feature is not a number where one is needed.
        ValueError
            If the model is unknown or done with, the cost negative, NaN or infinite, or a feature unknown. The session
            is then as it was before.
        """
        with self._lock:
            i = self._open(model)
            cost, features = _price(model, cost), self._schema.answer(model, answer)
            for name, value in features.items():
                self._answers[name][0, i] = value
            self._ran[i], self._spent[i], self._thought = True, cost, None
            self._steps.append({"model": model, "cost": cost, "answer": features})

    def fail(self, model: str, *, cost: float = 0.0) -> None:
        """Report that a model gave no usable answer: it is barred from this query, and its `cost`, if any, is kept."""
        with self._lock:
            i = self._open(model)
            cost = _price(model, cost)
            self._barred[i], self._spent[i] = True, cost
            self._steps.append({"model": model, "cost": cost, "failed": True})

    @property
    def cost(self) -> float:
        """What has been spent on this query so far, failed calls included."""
        return float(self._spent.sum())

    @property
    def order(self) -> tuple[str, ...]:
        """The models reported on so far, in that order, failed ones included."""
        with self._lock:
            return tuple(step["model"] for step in self._steps)

    @property
    def choice(self) -> str:
        """The model whose answer to keep, of those that have answered.

        Raises
        ------
        RuntimeError
            If no model has answered.
        """
        with self._lock:
            if not self._ran.any():
                failed = f": {', '.join(self.order)} failed" if self._steps else " yet"
                raise RuntimeError(f"no model has answered{failed}. There is no answer to choose.")
            return self._schema.models[int(self._strategy.choose(self._beliefs())[0])]

    @property
    def beliefs(self) -> Beliefs:
        """What is thought of every model at this moment, for one query."""
        with self._lock:
            return self._beliefs()

    def to_dict(self) -> dict[str, object]:
        """Return all there is to know as plain values, ready for JSON; ``policy.resume`` takes it up again."""
        with self._lock:
            steps = [{key: _plain(value) for key, value in step.items()} for step in self._steps]
            return {
                "name": _plain(self._name),
                "query": _plain(self._features),
                "expensive_ties": self._expensive_ties,
                "steps": steps,
            }

    def __repr__(self) -> str:
        """Return how far the session is."""
        failed = [step["model"] for step in self._steps if "failed" in step]
        asked = " → ".join(f"{name} (failed)" if name in failed else name for name in self.order) or "nothing asked yet"
        return f"Session({asked}; cost {self.cost:.4g}{' ' + self._schema.cost_unit if self._schema.cost_unit else ''})"

    def _beliefs(self) -> Beliefs:
        """Return what the estimator says, which is asked only once about each set of models that have run."""
        if self._thought is None:
            answers = {name: table.copy() for name, table in self._answers.items()}
            known = self._schema.evidence(self._ran, self._query, self._spent[None].copy(), answers)
            self._thought = ask(self._estimator, known, np.array([0]))
        return self._thought

    def _open(self, model: str) -> int:
        """Return the position of a model that may still be reported on."""
        if model not in self._schema.models:
            raise ValueError(f"model {model!r} is not in the pool: {', '.join(self._schema.models)}.")
        i = self._schema.models.index(model)
        if self._ran[i] or self._barred[i]:
            raise ValueError(f"model {model!r} has already {'answered' if self._ran[i] else 'failed'} on this query.")
        return i


def _price(model: str, cost: float) -> float:
    mend = f"It is what the call of model {model!r} cost."
    return _checks.number("cost", cost, low=0, high=np.finfo(float).max, mend=mend)


def _plain(value: object) -> object:
    """Return a value as JSON has it: no NumPy types, ISO texts for dates, and None for what is missing."""
    if isinstance(value, Mapping):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if value is None or value is pd.NA or value != value:
        return None
    if isinstance(value, date | np.datetime64):
        return pd.Timestamp(value).isoformat()
    return value.item() if isinstance(value, np.generic) else value
