"""Fitted learners of scikit-learn as plain arrays: what a decision needs of them, and what a policy file can hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy import sparse
from scipy.special import expit
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import (
    ElasticNet,
    HuberRegressor,
    Lasso,
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeCV,
)
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor, ExtraTreeRegressor
from sklearn.utils import get_tags

from .._packing import exactly, listed, pack, unpack
from ._encoding import Table

_LINEAR = (LinearRegression, Ridge, RidgeCV, Lasso, ElasticNet, HuberRegressor, LogisticRegression)
_FORESTS = (ExtraTreesRegressor, RandomForestRegressor)
_TREES = (DecisionTreeRegressor, ExtraTreeRegressor)
SAVEABLE = ", ".join(kind.__name__ for kind in (*_LINEAR, *_FORESTS, *_TREES)) + (
    ", and pipelines of StandardScaler and one of the linear ones"
)
# Trees are walked for so many queries at once, so that what is in between stays small; and no deeper than this.
_CHUNK, _DEEPEST = 1024, 1000


class Predictor(Protocol):
    """Anything that predicts."""

    def predict(self, known: Table) -> np.ndarray:
        """Return predictions, shape (m, s)."""

    def stored(self) -> dict[str, object]:
        """Return it as plain values."""


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear function of p inputs with s outputs, or its logistic function."""

    slope: np.ndarray
    intercept: np.ndarray
    logistic: bool

    def predict(self, known: Table) -> np.ndarray:
        """Return predictions, shape (m, s)."""
        score = np.asarray(known @ self.slope) + self.intercept
        return expit(score) if self.logistic else score

    def stored(self) -> dict[str, object]:
        """Return it as plain values."""
        return {
            "kind": "linear",
            "slope": pack(self.slope, "<f8"),
            "intercept": pack(self.intercept, "<f8"),
            "logistic": self.logistic,
        }

    @classmethod
    def read(cls, stored: object, p: int, s: int) -> Linear:
        """Return what was stored, provided that it has p inputs and s outputs."""
        stored = exactly(stored, "kind", "slope", "intercept", "logistic")
        slope, intercept = unpack(stored["slope"], "<f8", (p, s)), unpack(stored["intercept"], "<f8", (s,))
        return cls(slope, intercept, listed([stored["logistic"]], bool)[0])


@dataclass(frozen=True, eq=False)
class Trees:
    """The mean of t regression trees, whose nodes stand in one list; a leaf is its own child on both sides.

    Inputs are rounded to single precision, as scikit-learn does, so that the thresholds may be rounded down to it.
    """

    root: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    depth: int

    def predict(self, known: Table) -> np.ndarray:
        """Return predictions, shape (m, s)."""
        chunks = [known[start : start + _CHUNK] for start in range(0, known.shape[0], _CHUNK)]
        return np.concatenate([self._mean(chunk) for chunk in chunks]) if chunks else np.empty((0, self.value.shape[1]))

    def _mean(self, known: Table) -> np.ndarray:
        dense = known.toarray() if sparse.issparse(known) else known
        with np.errstate(over="ignore"):
            inputs = dense.astype(np.float32)
        row, node = np.arange(len(inputs))[:, None], np.tile(self.root, (len(inputs), 1))
        for _ in range(self.depth):
            below = inputs[row, self.feature[node]] <= self.threshold[node]
            node = np.where(below, self.left[node], self.right[node])
        return self.value[node].sum(axis=1) / len(self.root)

    def stored(self) -> dict[str, object]:
        """Return it as plain values."""
        indices = {name: pack(getattr(self, name), "<i4") for name in ("root", "feature", "left", "right")}
        threshold, value = pack(self.threshold, "<f4"), pack(self.value, "<f8")
        return {"kind": "trees", **indices, "threshold": threshold, "value": value, "depth": self.depth}

    @classmethod
    def read(cls, stored: object, p: int, s: int) -> Trees:
        """Return what was stored, provided that every index lies in its range and children come after their parents."""
        stored = exactly(stored, "kind", "root", "feature", "left", "right", "threshold", "value", "depth")
        root, value = unpack(stored["root"], "<i4", (None,)), unpack(stored["value"], "<f8", (None, s))
        nodes, place = len(value), np.arange(len(value))
        feature, left, right = (unpack(stored[name], "<i4", (nodes,)) for name in ("feature", "left", "right"))
        depth = listed([stored["depth"]], int)[0]
        if not 0 <= depth <= _DEEPEST or not len(root) or len(root) > 10_000:
            raise ValueError(f"trees must be 1 to 10,000 and at most {_DEEPEST} deep.")
        within = [(root, nodes), (left, nodes), (right, nodes), (feature, p)]
        if not nodes or any((index < 0).any() or (index >= end).any() for index, end in within):
            raise ValueError("an index of a tree is out of range.")
        leaf = (left == place) & (right == place)
        if not (leaf | ((left > place) & (right > place))).all():
            raise ValueError("a node of a tree comes after one of its children.")
        return cls(root, feature, unpack(stored["threshold"], "<f4", (nodes,)), left, right, value, depth)


@dataclass(frozen=True, eq=False)
class Foreign:
    """A fitted learner that is used as it is, and cannot be stored."""

    fit: BaseEstimator

    def predict(self, known: Table) -> np.ndarray:
        """Return predictions, shape (m, s)."""
        predicted = self.fit.predict_proba(known)[:, 1] if is_classifier(self.fit) else self.fit.predict(known)
        predicted = np.asarray(predicted, dtype=float)
        return predicted.reshape(len(predicted), -1)

    def stored(self) -> dict[str, object]:
        """Refuse."""
        raise TypeError(
            f"a policy with the learner {self.fit!r} cannot be saved: a file holds numbers only, and this learner is "
            f"not known as numbers. Take one of {SAVEABLE}."
        )


def predictor(fit: BaseEstimator) -> Predictor:
    """Return a fitted learner as arrays, or as it is if that is not known how."""
    if type(fit) is Pipeline:
        return _of_pipeline(fit)
    if type(fit) in _LINEAR:
        return _of_linear(fit)
    if type(fit) in _FORESTS:
        return _of_trees([tree.tree_ for tree in fit.estimators_])
    return _of_trees([fit.tree_]) if type(fit) in _TREES else Foreign(fit)


def _of_linear(fit: BaseEstimator) -> Linear:
    slope = np.atleast_2d(fit.coef_).T.astype(float)
    intercept = np.broadcast_to(np.asarray(fit.intercept_, dtype=float), (slope.shape[1],))
    return Linear(np.ascontiguousarray(slope), np.ascontiguousarray(intercept), type(fit) is LogisticRegression)


def _of_pipeline(fit: Pipeline) -> Predictor:
    """Return the linear function of what was not scaled."""
    *scalers, last = (step for _, step in fit.steps)
    if type(last) not in _LINEAR or not all(type(scaler) is StandardScaler for scaler in scalers):
        return Foreign(fit)
    linear = _of_linear(last)
    slope, intercept = linear.slope, linear.intercept
    for scaler in reversed(scalers):
        slope = slope if scaler.scale_ is None else slope / scaler.scale_[:, None]
        intercept = intercept - scaler.mean_ @ slope if scaler.with_mean else intercept
    return Linear(np.ascontiguousarray(slope), np.ascontiguousarray(intercept), linear.logistic)


def _of_trees(trees: Sequence[Any]) -> Trees:
    starts = np.cumsum([0, *(tree.node_count for tree in trees)])
    place = np.arange(starts[-1])
    start = np.repeat(starts[:-1], np.diff(starts))
    children = [np.concatenate([getattr(tree, name) for tree in trees]) for name in ("children_left", "children_right")]
    left, right = (np.where(child < 0, place, child + start).astype("i4") for child in children)
    feature = np.maximum(np.concatenate([tree.feature for tree in trees]), 0).astype("i4")
    value = np.concatenate([tree.value[:, :, 0] for tree in trees])
    threshold = _rounded_down(np.concatenate([tree.threshold for tree in trees]))
    depth = int(max(tree.max_depth for tree in trees))
    return Trees(starts[:-1].astype("i4"), feature, threshold, left, right, value, depth)


def _rounded_down(threshold: np.ndarray) -> np.ndarray:
    """Return the largest numbers of single precision that are not larger: no such number lies in between."""
    single = threshold.astype(np.float32)
    return np.where(single > threshold, np.nextafter(single, np.float32(-np.inf)), single)


class Columns:
    """A learner fitted to a table, once or once for each column; a column that never varies is predicted as it is."""

    def __init__(self, constant: np.ndarray, groups: Sequence[Sequence[int]], fits: Sequence[Predictor]) -> None:
        self._constant, self._groups, self._fits = constant, groups, fits

    @classmethod
    def fitted(cls, learner: BaseEstimator, known: Table, truth: np.ndarray) -> Columns:
        """Fit copies of a learner."""
        varies = (truth != truth[0]).any(axis=0)
        constant = np.where(varies, truth.mean(axis=0), truth[0])
        # Where nothing is known of a query, the mean is all there is to learn.
        columns = np.flatnonzero(varies).tolist() if known.shape[1] else []
        probabilities = is_classifier(learner)
        together = len(columns) > 1 and not probabilities and get_tags(learner).target_tags.multi_output
        groups = [columns] if together else [[column] for column in columns]
        targets = [truth[:, group] if len(group) > 1 else truth[:, group[0]] for group in groups]
        targets = [target.astype(int) if probabilities else target for target in targets]
        return cls(constant, groups, [predictor(clone(learner).fit(known, target)) for target in targets])

    def predict(self, known: Table) -> np.ndarray:
        """Return predictions for every column, shape (m, k)."""
        result = np.tile(self._constant, (known.shape[0], 1))
        for group, fit in zip(self._groups, self._fits, strict=True):
            result[:, group] = fit.predict(known)
        return result

    def stored(self) -> dict[str, object]:
        """Return it as plain values."""
        return {
            "constant": pack(self._constant, "<f8"),
            "groups": self._groups,
            "fits": [fit.stored() for fit in self._fits],
        }

    @classmethod
    def read(cls, stored: object, p: int, k: int) -> Columns:
        """Return what was stored, provided that it has p inputs and k outputs."""
        stored = exactly(stored, "constant", "groups", "fits")
        groups = [listed(group, int, k) for group in listed(stored["groups"], list, k)]
        columns = [column for group in groups for column in group]
        if len(set(columns)) < len(columns) or not set(columns) <= set(range(k)):
            raise ValueError("the columns of fits must be distinct models.")
        fits = listed(stored["fits"], dict, k)
        if len(fits) != len(groups):
            raise ValueError("there must be as many fits as groups of columns.")
        read: dict[str, Callable[[object, int, int], Predictor]] = {"linear": Linear.read, "trees": Trees.read}
        if not all(type(fit.get("kind")) is str and fit["kind"] in read for fit in fits):
            raise ValueError(f"a fit must be of the kind {' or '.join(read)}.")
        pairs = zip(fits, groups, strict=True)
        return cls(
            unpack(stored["constant"], "<f8", (k,)), groups, [read[fit["kind"]](fit, p, len(g)) for fit, g in pairs]
        )


class Isotonic:
    """A rising function for each of k columns: straight between its points, flat beyond them."""

    def __init__(self, points: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
        self._points = points

    @classmethod
    def fitted(cls, estimate: np.ndarray, truth: np.ndarray) -> Isotonic:
        """Fit one function for each column."""
        pairs = zip(estimate.T, truth.T, strict=True)
        fits = [IsotonicRegression(out_of_bounds="clip").fit(*pair) for pair in pairs]
        return cls([(fit.X_thresholds_, fit.y_thresholds_) for fit in fits])

    def predict(self, estimate: np.ndarray) -> np.ndarray:
        """Return the functions' values, shape (m, k)."""
        return np.column_stack([np.interp(x, *points) for x, points in zip(estimate.T, self._points, strict=True)])

    def stored(self) -> list[object]:
        """Return it as plain values."""
        return [pack(np.stack(points), "<f8") for points in self._points]

    @classmethod
    def read(cls, stored: object, k: int) -> Isotonic:
        """Return what was stored, provided that it has k functions that rise."""
        points = [unpack(entry, "<f8", (2, None)) for entry in listed(stored, dict, k)]
        if len(points) != k or any(not pair.size or (np.diff(pair, axis=1) < 0).any() for pair in points):
            raise ValueError("the points of an isotonic regression must be given for every model, and rise.")
        return cls([tuple(pair) for pair in points])


class Estimate:
    """Fitted columns whose predictions are cut off at bounds, and calibrated if there is an isotonic regression.

    With a `blend` they are mixed with what the words say, which is this share of the mixture, and stands in the k
    columns of the input that end at `words_end`.
    """

    def __init__(self, columns: Columns, low: np.ndarray | float, high: np.ndarray | float, words_end: int = 0) -> None:
        self._columns, self._low, self._high, self._words_end = columns, low, high, words_end
        self.blend = 0.0
        self.isotonic: Isotonic | None = None

    def predict(self, known: Table) -> np.ndarray:
        """Return estimates for all models, shape (m, k)."""
        estimate = np.clip(self._columns.predict(known), self._low, self._high)
        if self.blend:
            said = known[:, self._words_end - estimate.shape[1] : self._words_end]
            estimate = (1 - self.blend) * estimate + self.blend * said
        return estimate if self.isotonic is None else self.isotonic.predict(estimate)

    def stored(self) -> dict[str, object]:
        """Return it as plain values, without the bounds."""
        isotonic = None if self.isotonic is None else self.isotonic.stored()
        return {"columns": self._columns.stored(), "blend": self.blend, "isotonic": isotonic}

    @classmethod
    def read(cls, stored: object, p: int, low: np.ndarray, high: np.ndarray, words_end: int = 0) -> Estimate:
        """Return what was stored, provided that it has p inputs and an output for each bound."""
        stored = exactly(stored, "columns", "blend", "isotonic")
        estimate = cls(Columns.read(stored["columns"], p, len(low)), low, high, words_end)
        estimate.blend = listed([stored["blend"]], float)[0]
        if not 0 <= estimate.blend <= 1 or (estimate.blend and not words_end):
            raise ValueError("a blend must be a share from 0 to 1, and needs words.")
        if stored["isotonic"] is not None:
            estimate.isotonic = Isotonic.read(stored["isotonic"], len(low))
        return estimate
