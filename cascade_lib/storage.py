"""Policies as files: JSON that can be read by eye, is checked on the way in, and builds nothing but numbers and names.

A file holds the strategy's options, λ and γ, and the training outcomes of the estimator with its options. The fits
themselves are not in it: they are made anew from the outcomes, set by set, when they are first asked about. That takes
seconds, but it means that a file has no code in it. Only a learner other than the default ones is stored as an object,
before it was fitted and in the format of skops, which admits the types of scikit-learn and those that you name.
"""

from __future__ import annotations

import base64
import json
import math
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from inspect import signature
from pathlib import Path

import numpy as np
import pandas as pd
import sklearn

from .estimators import LearnedEstimator
from .outcomes import Outcomes
from .pandora import PandoraRouter
from .policy import Calibration, Policy
from .session import Schema
from .strategies import Cascade, CascadeRouter, Router, ThresholdCascade
from .strategy import Strategy

FORMAT, VERSION = "cascade_lib policy", 1
STRATEGIES = {kind.__name__: kind for kind in (Router, ThresholdCascade, Cascade, CascadeRouter, PandoraRouter)}
_LEARNERS = ("quality", "cost", "features")


def save(policy: Policy, path: str | Path) -> None:
    """Write a policy to a file; see `Policy.save`. The file appears whole or not at all."""
    document = {
        "format": FORMAT,
        "version": VERSION,
        "scikit-learn": sklearn.__version__,
        "strategy": _strategy_out(policy.strategy),
        "lam": policy.lam,
        "gamma": policy.gamma,
        "budget": _number_out(policy.budget),
        "calibration": asdict(policy.calibration),
        "schema": asdict(policy.schema),
        "estimator": _estimator_out(policy.estimator),
    }
    path = Path(path)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(document, allow_nan=False), encoding="utf-8")
    os.replace(part, path)


def load(path: str | Path, *, trusted: tuple[str, ...] = ()) -> Policy:
    """Read a policy from a file; see `Policy.load`."""
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not a policy: it is no JSON ({error}).") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f'{path} is not a policy: it lacks the line "format": "{FORMAT}".')
    if document.get("version") != VERSION:
        raise ValueError(
            f"{path} is of version {document.get('version')!r}, but this library reads version {VERSION}: update it."
        )
    try:
        policy = _policy_in(document, trusted)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        what = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else error
        raise ValueError(f"{path} is a damaged policy: {what}") from error
    if document.get("scikit-learn") != sklearn.__version__:
        warnings.warn(
            f"{path} was written with scikit-learn {document.get('scikit-learn')}, and is read with "
            f"{sklearn.__version__}: the fits are made anew, and may differ a little.",
            stacklevel=3,
        )
    return policy


def _policy_in(document: Mapping[str, object], trusted: tuple[str, ...]) -> Policy:
    schema, known = document["schema"], document["calibration"]
    estimator = _estimator_in(document["estimator"], trusted)
    schema = Schema(
        tuple(schema["models"]), tuple(schema["features"]), dict(schema["answers"]), str(schema["cost_unit"])
    )
    if schema != Schema.of(estimator._train):
        raise ValueError("the schema is not that of the training outcomes.")
    figures = {name: _in_range(name, known[name]) for name in ("cost", "quality", "cost_sd", "quality_sd")}
    return Policy(
        strategy=_strategy_in(document["strategy"], len(schema.models)),
        estimator=estimator,
        lam=_in_range("lam", document["lam"], low=0),
        gamma=_in_range("gamma", document["gamma"], low=0, high=1),
        budget=_in_range("budget", document["budget"], low=0, high=np.inf),
        schema=schema,
        calibration=Calibration(int(_in_range("queries", known["queries"], low=1)), **figures),
    )


def _strategy_out(strategy: Strategy) -> dict[str, object]:
    kind = type(strategy).__name__
    if STRATEGIES.get(kind) is not type(strategy):
        raise TypeError(f"strategy must be one of {', '.join(STRATEGIES)} to be saved; got {strategy!r}.")
    options = {name: getattr(strategy, name) for name in signature(type(strategy)).parameters}
    return {"class": kind, "options": options, "step_prices": strategy.step_prices}


def _strategy_in(stored: Mapping[str, object], k: int) -> Strategy:
    if stored["class"] not in STRATEGIES:
        raise ValueError(f"there is no strategy {stored['class']!r}; there are {', '.join(STRATEGIES)}.")
    strategy = STRATEGIES[stored["class"]](**stored["options"])
    if stored["step_prices"] is not None:
        prices = tuple(_in_range("step_prices", price, low=np.finfo(float).tiny) for price in stored["step_prices"])
        if len(prices) != k:
            raise ValueError(f"step_prices has {len(prices)} entries for {k} models.")
        strategy.step_prices = prices
    return strategy


def _estimator_out(estimator: object) -> dict[str, object]:
    if not isinstance(estimator, LearnedEstimator):
        raise TypeError(
            f"only policies with a LearnedEstimator can be saved, for only these can say anything about a new query; "
            f"this one has {type(estimator).__name__}."
        )
    options = estimator.get_params(deep=False)
    learners = {name: _learner_out(options.pop(name)) for name in _LEARNERS}
    return {"options": options, "learners": learners, "train": _outcomes_out(estimator._train)}


def _estimator_in(stored: Mapping[str, object], trusted: tuple[str, ...]) -> LearnedEstimator:
    learners = {name: _learner_in(stored["learners"][name], trusted) for name in _LEARNERS}
    return LearnedEstimator(**stored["options"], **learners).fit(_outcomes_in(stored["train"]))


def _learner_out(learner: object) -> str | None:
    if learner is None:
        return None
    return base64.b64encode(_skops().dumps(sklearn.clone(learner))).decode("ascii")


def _learner_in(stored: str | None, trusted: tuple[str, ...]) -> object:
    if stored is None:
        return None
    data = base64.b64decode(stored, validate=True)
    try:
        strange = set(_skops().get_untrusted_types(data=data)) - set(trusted)
        if strange:
            raise ValueError(f"it has a learner of types that are not trusted: {', '.join(sorted(strange))}.")
        return _skops().loads(data, trusted=list(trusted))
    except ValueError:
        raise
    except Exception as error:  # a damaged archive fails in many ways; none of them may look like a policy
        raise ValueError(f"a learner cannot be read: {type(error).__name__}: {error}") from None


def _skops():
    try:
        import skops.io
    except ImportError:
        raise ImportError("learners other than the default ones are stored by skops: pip install skops.") from None
    return skops.io


def _outcomes_out(outcomes: Outcomes) -> dict[str, object]:
    return {
        "models": list(outcomes.models),
        "cost_unit": outcomes.cost_unit,
        "quality": outcomes.quality.tolist(),
        "cost": outcomes.cost.tolist(),
        "names": _column_out(outcomes.query.index.to_series()),
        "query": {str(name): _column_out(column) for name, column in outcomes.query.items()},
        "answers": {
            name: _column_out(pd.Series(table.ravel()).infer_objects()) for name, table in outcomes.answers.items()
        },
    }


def _outcomes_in(stored: Mapping[str, object]) -> Outcomes:
    shape = len(stored["quality"]), len(stored["models"])
    query = pd.DataFrame(
        {name: _column_in(column).to_numpy() for name, column in stored["query"].items()},
        index=pd.Index(_column_in(stored["names"]).to_numpy()),
    )
    return Outcomes(
        stored["quality"],
        stored["cost"],
        models=stored["models"],
        query=query,
        answers={name: _column_in(column).to_numpy().reshape(shape) for name, column in stored["answers"].items()},
        cost_unit=str(stored["cost_unit"]),
    )


def _column_out(column: pd.Series) -> dict[str, object]:
    """Return a column as plain values, None where they are missing, with the kind that brings them back."""
    if pd.api.types.is_bool_dtype(column) and not column.hasnans:
        kind, plain = "bool", bool
    elif pd.api.types.is_integer_dtype(column) and not column.hasnans:
        kind, plain = "int64", int
    elif pd.api.types.is_numeric_dtype(column):
        kind, plain = "float64", float
    else:
        kind, plain = "object", _label_out
    return {"kind": kind, "values": [None if pd.isna(value) else plain(value) for value in column]}


def _label_out(value: object) -> str | float | bool:
    if isinstance(value, str | bool | float | int):
        return value
    raise TypeError(f"features must be numbers or strings to be saved; got {value!r}. Convert the column first.")


def _column_in(stored: Mapping[str, object]) -> pd.Series:
    kinds: dict[str, Callable[[list], pd.Series]] = {
        "bool": lambda values: pd.Series(values, dtype=bool),
        "int64": lambda values: pd.Series(values, dtype="int64"),
        "float64": lambda values: pd.Series([math.nan if v is None else float(v) for v in values], dtype=float),
        "object": lambda values: pd.Series([math.nan if v is None else v for v in values], dtype=object),
    }
    return kinds[stored["kind"]](list(stored["values"]))


def _number_out(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


def _in_range(name: str, value: object, *, low: float = -np.inf, high: float = np.finfo(float).max) -> float:
    number = float(value)
    if not low <= number <= high:
        raise ValueError(f"{name} is {number:g}; it must lie between {low:g} and {high:g}.")
    return number
