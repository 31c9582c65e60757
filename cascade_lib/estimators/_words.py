"""What the words of a query say of every model's quality: a logistic regression that trees read as features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from .._packing import exactly, pack, unpack

# Strong enough that words seen once or twice say little, measured on texts of 1,000 to 4,000 queries.
_INVERSE_PENALTY = 0.3


@dataclass(frozen=True, eq=False)
class Words:
    """Logistic functions of weighted words and labels, one for each of k models, between the bounds of its quality.

    Of single precision, so that a file holds just what was fitted.
    """

    slope: np.ndarray
    intercept: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def fitted(cls, words: sparse.csr_array, quality: np.ndarray, low: np.ndarray, high: np.ndarray) -> Words:
        """Fit one function for each column of the qualities, shape (m, k)."""
        share = (quality - low) / np.where(high > low, high - low, 1.0)
        fits = [_fit(words, column) for column in share.T]
        slope, intercept = (np.array(part, dtype=np.float32) for part in zip(*fits, strict=True))
        return cls(slope, intercept, low, high)

    def predict(self, words: sparse.csr_array) -> np.ndarray:
        """Return estimates of quality, shape (m, k)."""
        share = expit(words @ self.slope.T.astype(float) + self.intercept.astype(float))
        return self.low + (self.high - self.low) * share

    def stored(self) -> dict[str, object]:
        """Return it as plain values."""
        bounds = pack(np.stack([self.low, self.high]), "<f8")
        return {"slope": pack(self.slope, "<f4"), "intercept": pack(self.intercept, "<f4"), "bounds": bounds}

    @classmethod
    def read(cls, stored: object, width: int, k: int) -> Words:
        """Return what was stored, provided that it reads `width` numbers and says something of k models."""
        stored = exactly(stored, "slope", "intercept", "bounds")
        low, high = unpack(stored["bounds"], "<f8", (2, k))
        return cls(unpack(stored["slope"], "<f4", (k, width)), unpack(stored["intercept"], "<f4", (k,)), low, high)


def _fit(words: sparse.csr_array, share: np.ndarray) -> tuple[np.ndarray, float]:
    """Return slope and intercept of one function; a quality between the bounds counts partly as right, partly not."""
    if (share == share[0]).all():
        mean = np.clip(share[0], 1e-6, 1 - 1e-6)
        return np.zeros(words.shape[1]), float(np.log(mean / (1 - mean)))
    right, wrong = np.flatnonzero(share > 0), np.flatnonzero(share < 1)
    rows, weight = np.append(right, wrong), np.append(share[right], 1 - share[wrong])
    label = np.repeat([1, 0], [len(right), len(wrong)])
    learner = LogisticRegression(C=_INVERSE_PENALTY, solver="liblinear", random_state=0)
    fit = learner.fit(sparse.csr_matrix(words[rows]), label, weight)
    return fit.coef_[0], float(fit.intercept_[0])


def blend_weight(estimate: np.ndarray, other: np.ndarray, truth: np.ndarray) -> float:
    """Return the w in [0, 1] for which (1 − w) · estimate + w · other has the least squared error.

    Examples
    --------
    >>> blend_weight(np.array([0.0, 0.0]), np.array([1.0, 1.0]), np.array([0.0, 0.5]))
    0.25
    """
    move = other - estimate
    length = float((move**2).sum())
    return float(np.clip(((truth - estimate) * move).sum() / length, 0.0, 1.0)) if length > 0 else 0.0


def stacked(blocks: Sequence[sparse.csr_array | sparse.csr_matrix | np.ndarray]) -> sparse.csr_array:
    """Put blocks of words and labels side by side."""
    return sparse.csr_array(sparse.hstack([sparse.csr_array(block) for block in blocks], format="csr"))
