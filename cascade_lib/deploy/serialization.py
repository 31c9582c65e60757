"""Policies as files: JSON that holds names and numbers, all checked before anything is built from them.

A file holds the strategy's options, λ and γ, and the fitted numbers of the estimator for every set of models that the
strategy may come to have run: coefficients, trees, medians, first dates, weights of hashed words. Of the training data
it holds the names of features and answers, the levels of columns of labels, and what a fit keeps of it: a leaf of a
tree is a mean of a few qualities. There is no row, no text and no name of a query in it, and nothing in it is ever
executed.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from inspect import signature
from itertools import chain, combinations
from math import comb
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from .._packing import exactly, listed
from ..estimators import base as estimators
from ..estimators._fitted import MOST_MODELS, MOST_STATES
from ..estimators.base import StoredEstimator
from ..strategies.base import Strategy, everyone, registered
from .policy import Calibration, Policy
from .session import Schema

T = TypeVar("T")

FORMAT, VERSION = "cascade_lib policy", 5
_LARGEST_FILE, _LARGEST_ARRAYS, _MOST_VALUES, _DEEPEST = 2**30, 2**31, 4_000_000, 20
_LONGEST_TEXT, _LARGEST_INT = 200, 2**53
_PARTS = ("format", "version", "strategy", "lam", "gamma", "budget", "calibration", "schema", "estimator")


def save(policy: Policy, path: str | Path) -> None:
    """Write a policy to a file; see `Policy.save`. The file appears whole or not at all."""
    document = {
        "format": FORMAT,
        "version": VERSION,
        "strategy": strategy_out(policy.strategy),
        "lam": policy.lam,
        "gamma": policy.gamma,
        "budget": policy.budget if math.isfinite(policy.budget) else None,
        "calibration": asdict(policy.calibration),
        "schema": asdict(policy.schema),
        "estimator": _estimator_out(fitted(policy)),
    }
    path = Path(path)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(document, allow_nan=False), encoding="utf-8")
    os.replace(part, path)


def load(path: str | Path) -> Policy:
    """Read a policy from a file; see `Policy.load`."""
    size = Path(path).stat().st_size
    if size > _LARGEST_FILE:
        raise ValueError(f"{path} is no policy that can be read: it has {size:,} bytes, over {_LARGEST_FILE:,}.")
    try:
        document = json.loads(_text(path), parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a policy: it is no JSON that can be read ({error}).") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f'{path} is not a policy: it lacks the line "format": "{FORMAT}".')
    version = document.get("version")
    if version in (1, 2, 3, 4):
        raise ValueError(
            f"{path} is of version {version}, which is no longer read: fit the policy anew and save it again."
        )
    if type(version) is not int or version != VERSION:
        raise ValueError(
            f"{path} is of version {str(version)[:20]}, but this library reads version {VERSION}: update it."
        )
    try:
        _refuse_what_is_too_large(document)
        return _policy_in(document)
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise ValueError(f"{path} is a damaged policy: {error}") from error


def fitted(policy: Policy) -> StoredEstimator:
    """Return what the estimator of a policy says of new queries at every set of models that its strategy may reach."""
    return estimators.stored_form(policy.estimator, reachable(policy.strategy, len(policy.schema.models)))


def reachable(strategy: Strategy, k: int) -> list[tuple[int, ...]]:
    """Return the sets of models that may come to have run, whichever fail: those in the order, up to the depth.

    If all models of an order fail, one of the others answers.

    Examples
    --------
    >>> from cascade_lib import Cascade
    >>> reachable(Cascade([2, 0]), 3)
    [(), (0,), (2,), (0, 2), (1,)]
    """
    order = getattr(strategy, "order", None)
    chosen = sorted(everyone(order, k)[: k if order is None else len(order)].tolist())
    depth = min(getattr(strategy, "depth", None) or len(chosen), len(chosen))
    count = sum(comb(len(chosen), size) for size in range(depth + 1)) + k - len(chosen)
    if count > MOST_STATES:
        raise ValueError(
            f"{strategy!r} may reach {count:,} sets of models, and a policy file holds at most {MOST_STATES:,}: give "
            "the strategy a smaller depth or an order with fewer models, or take fewer models with outcomes.select."
        )
    sets = chain.from_iterable(combinations(chosen, size) for size in range(depth + 1))
    return [*sets, *((i,) for i in range(k) if i not in chosen)]


def _text(path: str | Path) -> str:
    """Return what is in a file, unless it has more values than a policy: each takes far more memory than file."""
    data = Path(path).read_bytes()
    # Every value but the first comes after one of these, none of which occurs in the data of an array.
    values = sum(data.count(mark) for mark in (b",", b"[", b"{"))
    if values > _MOST_VALUES:
        raise ValueError(f"it has {values:,} and so over {_MOST_VALUES:,} values")
    return data.decode("utf-8")


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _refuse_what_is_too_large(document: object) -> None:
    """Refuse a document that is nested deeply, or whose arrays are too large altogether, before any is unpacked."""
    pending, total = [(document, 0)], 0
    while pending:
        entry, depth = pending.pop()
        if depth > _DEEPEST:
            raise ValueError(f"it is nested more than {_DEEPEST} deep.")
        if isinstance(entry, dict):
            if set(entry) == {"dtype", "shape", "data"}:
                total += 8 * abs(math.prod(listed(entry["shape"], int, 3)))
            pending.extend((value, depth + 1) for value in entry.values())
        elif isinstance(entry, list):
            pending.extend((value, depth + 1) for value in entry if isinstance(value, dict | list))
    if total > _LARGEST_ARRAYS:
        raise ValueError(f"its arrays have more than {_LARGEST_ARRAYS:,} bytes.")


def _policy_in(document: Mapping[str, object]) -> Policy:
    document = exactly(document, *_PARTS)
    schema = _schema_in(document["schema"])
    k = len(schema.models)
    strategy, budget = strategy_in(document["strategy"], k), document["budget"]
    estimator = _estimator_in(document["estimator"], schema.models)
    sets = set(reachable(strategy, k))
    if not sets <= (estimator.sets or sets) or not estimator.names <= {*schema.features, *schema.answer_features}:
        raise ValueError("the estimates are not those of the strategy and of the features named.")
    return Policy(
        strategy=strategy,
        estimator=estimator,
        lam=_in_range("lam", document["lam"], low=0),
        gamma=_in_range("gamma", document["gamma"], low=0, high=1),
        budget=np.inf if budget is None else _in_range("budget", budget, low=0),
        schema=schema,
        calibration=_calibration_in(document["calibration"]),
    )


def _schema_in(stored: object) -> Schema:
    stored = exactly(stored, "models", "features", "answer_features", "cost_unit")
    models, features, answers = stored["models"], stored["features"], stored["answer_features"]
    names = tuple(listed(models, str, MOST_MODELS))
    if not names or len(set(names)) < len(names) or not all(names):
        raise ValueError("models must be distinct names, at least one.")
    columns = tuple(listed(features, str))
    if len(set(columns)) < len(columns) or not isinstance(answers, dict) or type(stored["cost_unit"]) is not str:
        raise ValueError("features must be distinct names, answers a mapping, and cost_unit a text.")
    listed(list(answers.values()), bool)
    return Schema(names, columns, answers, stored["cost_unit"])


def _calibration_in(stored: object) -> Calibration:
    figures = ("cost", "quality", "cost_sd", "quality_sd")
    stored = exactly(stored, "queries", *figures)
    queries = int(_in_range("queries", stored["queries"], low=1))
    return Calibration(queries, **{name: _in_range(name, stored[name]) for name in figures})


def _estimator_out(estimator: StoredEstimator) -> dict[str, object]:
    kind = type(estimator).__name__
    if estimators.registered().get(kind) is not type(estimator):
        raise TypeError(
            f"an estimator must become one of {', '.join(estimators.registered())} to be saved; this one is a {kind}: "
            "derive that class from estimators.StoredEstimator, under a name that does not begin with _."
        )
    return {"class": kind, "numbers": estimator.stored()}


def _estimator_in(stored: object, models: Sequence[str]) -> StoredEstimator:
    stored = exactly(stored, "class", "numbers")
    return _named("estimator", stored["class"], estimators.registered()).read(stored["numbers"], models)


def strategy_out(strategy: Strategy) -> dict[str, object]:
    """Return a strategy as plain values: its class, the options of that and its step prices.

    Raises
    ------
    TypeError
        If its class is not registered, or an option is neither None, True, False, a finite number, a short text nor a
        sequence of whole numbers.

    Examples
    --------
    >>> from cascade_lib import Cascade
    >>> strategy_out(Cascade([2, 0]))
    {'class': 'Cascade', 'options': {'order': [2, 0]}, 'step_prices': None}
    """
    kind = type(strategy).__name__
    if registered().get(kind) is not type(strategy):
        raise TypeError(
            f"a strategy must be of a registered class to be saved, {', '.join(registered())}; got {strategy!r}."
        )
    options = {name: _option_out(strategy, name) for name in signature(type(strategy)).parameters}
    return {"class": kind, "options": options, "step_prices": strategy.step_prices}


def strategy_in(stored: object, k: int) -> Strategy:
    """Return the strategy that was stored, for k models.

    Raises
    ------
    ValueError
        If its class is not registered, or the options are not those of its class.
    """
    stored = exactly(stored, "class", "options", "step_prices")
    kind, prices = _named("strategy", stored["class"], registered()), stored["step_prices"]
    options = exactly(stored["options"], *signature(kind).parameters)
    strategy = kind(**{name: _option_in(name, value) for name, value in options.items()})
    everyone(getattr(strategy, "order", None), k)
    if prices is not None:
        if not isinstance(prices, list) or len(prices) != k:
            raise ValueError(f"step_prices must have one entry for each of {k} models.")
        strategy.step_prices = tuple(_in_range("step_prices", price, low=np.finfo(float).tiny) for price in prices)
    return strategy


def _named(what: str, name: object, kinds: Mapping[str, type[T]]) -> type[T]:
    """Return the registered class of this name; no other can be meant by a file."""
    if type(name) is not str or name not in kinds:
        raise ValueError(
            f"there is no {what} {str(name)[:40]!r}; there are {', '.join(kinds)}. The module that defines a class of "
            "your own must be imported before a policy with it is loaded."
        )
    return kinds[name]


def _option_out(strategy: Strategy, name: str) -> object:
    if not hasattr(strategy, name):
        raise TypeError(f"the option {name} of {type(strategy).__name__} cannot be saved: keep it as an attribute.")
    value = getattr(strategy, name)
    value = list(value) if isinstance(value, tuple) else value
    try:
        return _option_in(name, value)
    except ValueError as error:
        raise TypeError(f"{strategy!r} cannot be saved: {error}") from None


def _option_in(name: str, value: Any) -> object:
    """Return an option of a strategy, if it is plain; the class's own constructor refuses what it cannot use."""
    plain = value is None or type(value) is bool or (type(value) is str and len(value) <= _LONGEST_TEXT)
    number = type(value) in (int, float) and abs(value) <= (_LARGEST_INT if type(value) is int else np.finfo(float).max)
    if plain or number:
        return value
    if isinstance(value, list):
        return listed(value, int, MOST_MODELS)
    raise ValueError(
        f"the option {name} cannot be {str(value)[:40]}: it must be None, True, False, a finite number, a text of at "
        f"most {_LONGEST_TEXT} characters, or a list of whole numbers."
    )


def _in_range(name: str, value: Any, *, low: float = -np.inf, high: float = np.finfo(float).max) -> float:
    if type(value) not in (int, float):
        raise ValueError(f"{name} must be a number; it is {str(value)[:40]!r}.")
    number = float(value)
    if not low <= number <= high:
        raise ValueError(f"{name} is {number:g}; it must lie between {low:g} and {high:g}.")
    return number
