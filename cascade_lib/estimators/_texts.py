"""Free texts as numbers: their lengths, and where they lie along directions of hashed words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer

from .._packing import exactly, listed, pack, unpack
from ._encoding import Encoder

_BUCKETS, _DIRECTIONS = 2**14, 32
# Built from constants and never fitted, so that nothing of it need be stored.
_HASH = HashingVectorizer(n_features=_BUCKETS, alternate_sign=False, norm=None)


class TextReader(BaseEstimator):
    """A transformer for data frames with free text; what is not text is read as by default.

    Parameters
    ----------
    texts : sequence of str
        The columns of free text. A missing text is an empty one.
    random_state : int, optional
        Seed of the directions.

    Examples
    --------
    >>> frame = pd.DataFrame({"prompt": [f"What is {i} plus {i}?" for i in range(40)]})
    >>> TextReader(["prompt"], random_state=0).fit(frame).transform(frame)[:2, :2]
    array([[17.,  5.],
           [17.,  5.]])
    """

    def __init__(self, texts: Sequence[str], random_state: int | None = None) -> None:
        self.texts = texts
        self.random_state = random_state

    def fit(self, frame: pd.DataFrame, y: object = None) -> TextReader:
        """Learn the weights of words and the directions, and how to read the other columns."""
        self._others = Encoder().fit(frame.drop(columns=list(self.texts)))
        self._parts = {name: self._learned(_strings(frame[name])) for name in self.texts}
        return self

    @property
    def width(self) -> int:
        """How many numbers it makes of a row."""
        return self._others.width + sum(2 + len(directions) for _, directions in self._parts.values())

    def transform(self, frame: pd.DataFrame) -> np.ndarray:
        """Return one row of numbers for every row of the frame."""
        blocks = [block for name, part in self._parts.items() for block in _read(_strings(frame[name]), *part)]
        return np.hstack([*blocks, self._others.transform(frame)])

    def stored(self) -> dict[str, object]:
        """Return it as plain values."""
        parts = {
            name: {"weights": pack(weights, "<f8"), "directions": pack(directions, "<f8")}
            for name, (weights, directions) in self._parts.items()
        }
        return {"kind": "texts", "texts": parts, "others": self._others.stored()}

    @classmethod
    def read(cls, stored: object, columns: Sequence[str]) -> TextReader:
        """Return what was stored, provided that it reads no other columns."""
        stored = exactly(stored, "kind", "texts", "others")
        parts = stored["texts"]
        if not isinstance(parts, dict) or not set(parts) <= set(columns):
            raise ValueError("a text is read that is not among the features named.")
        listed(list(parts.values()), dict, 100)
        reader = cls(list(parts))
        reader._others, reader._parts = Encoder.read(stored["others"], columns), {}
        for name, part in parts.items():
            part = exactly(part, "weights", "directions")
            weights = unpack(part["weights"], "<f8", (_BUCKETS,))
            reader._parts[name] = weights, unpack(part["directions"], "<f8", (None, _BUCKETS))
        return reader

    def _learned(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return the weight of every word and the directions."""
        counts = _HASH.transform(texts)
        within = np.bincount(counts.indices, minlength=_BUCKETS)
        weights = np.log((1 + len(texts)) / (1 + within)) + 1
        fit = TruncatedSVD(_DIRECTIONS, random_state=self.random_state).fit(_weighted(counts, weights))
        return weights, np.ascontiguousarray(fit.components_)


def _strings(column: pd.Series) -> list[str]:
    return ["" if missing else str(text) for text, missing in zip(column, column.isna(), strict=True)]


def _read(texts: Sequence[str], weights: np.ndarray, directions: np.ndarray) -> list[np.ndarray]:
    lengths = np.array([[len(text), len(text.split())] for text in texts], dtype=float).reshape(len(texts), 2)
    return [lengths, _weighted(_HASH.transform(texts), weights) @ directions.T]


def _weighted(counts: sparse.csr_matrix, weights: np.ndarray) -> sparse.csr_matrix:
    """Return sublinear counts times the weights of words, with rows of length 1; an empty text stays 0."""
    data = (1 + np.log(counts.data)) * weights[counts.indices]
    table = sparse.csr_matrix((data, counts.indices, counts.indptr), shape=counts.shape)
    length = np.sqrt(np.asarray(table.multiply(table).sum(axis=1))).ravel()
    return sparse.diags(1 / np.where(length > 0, length, 1)) @ table
