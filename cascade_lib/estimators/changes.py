"""How far estimates move when a model runs, learned from held-out estimates before and after."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from ..expected_max import normal_draws
from ..laws import Atoms, JointGaussian

# Draws that a joint law is valued with, bins of the current estimate and atoms in each for an empirical one.
_DRAWS, _BINS, _ATOMS = 512, 10, 16


class Changes:
    """How far the estimate of each model moves when it runs, and how much of that is information."""

    def __init__(self, now: np.ndarray, later: np.ndarray, truth: np.ndarray) -> None:
        self._low, self._high, self._now = truth.min(axis=0), truth.max(axis=0), now
        news = _residual(later, now)
        worth = _ratio((news * (truth - truth.mean(axis=0))).mean(axis=0), (news**2).mean(axis=0))
        self._news = np.clip(worth, 0, 1) * news
        self._base, self._slope = _variance(self._news**2, self._room(now))
        standard = _ratio(self._news, self._news.std(axis=0))
        self._correlation = standard.T @ standard / len(standard)

    def laws(self, mean: np.ndarray, future: str, seed: int) -> tuple[np.ndarray, JointGaussian | Atoms | None]:
        """Return the spread of the next estimates around `mean`, shape (m, k), and their law if it is not Gaussian."""
        if future == "empirical":
            law = Atoms(self._atoms(mean), np.full(_ATOMS, 1 / _ATOMS))
            return law.spread, law
        spread = np.sqrt(self._base + self._slope * self._room(mean))
        if future == "independent":
            return spread, None
        covariance = spread[:, :, None] * spread[:, None, :] * self._correlation
        draws = normal_draws(mean.shape[1], _DRAWS, seed=seed)
        return spread, JointGaussian(mean, covariance, draws)

    def _room(self, mean: np.ndarray) -> np.ndarray:
        """Return the largest variance that a random variable with this mean in the range of the quality can have."""
        return np.maximum((mean - self._low) * (self._high - mean), 0.0)

    def _atoms(self, mean: np.ndarray) -> np.ndarray:
        """Return possible next estimates, shape (m, k, A), equally likely."""
        return np.stack([self._atoms_of(i, column) for i, column in enumerate(mean.T)], axis=1)

    def _atoms_of(self, i: int, mean: np.ndarray) -> np.ndarray:
        """Return possible next estimates of one model, shape (m, A)."""
        now, low, high = self._now[:, i], self._low[i], self._high[i]
        # As shares of the way to the end of the range, moves can start from another estimate and stay within it.
        share = np.clip(_ratio(self._news[:, i], np.where(self._news[:, i] > 0, high - now, now - low)), -1, 1)
        # Each bin begins at an estimate that occurs, so none is empty.
        bins = max(1, min(_BINS, len(now) // _ATOMS))
        edges = np.unique(np.quantile(now, np.arange(1, bins) / bins, method="lower"))
        edges = edges[edges > now.min()]
        place = np.searchsorted(edges, now, side="right")
        shares = np.stack([_slices(share[place == b]) for b in range(len(edges) + 1)])
        shares = shares[np.searchsorted(edges, mean, side="right")]
        return mean[:, None] + _balanced(shares, (high - mean)[:, None], (mean - low)[:, None])


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Return top / bottom, and 0 where the bottom is 0."""
    return np.divide(top, bottom, out=np.zeros(np.broadcast_shapes(np.shape(top), np.shape(bottom))), where=bottom != 0)


def _residual(later: np.ndarray, now: np.ndarray) -> np.ndarray:
    """Return what is left of each column of `later` after its regression on the same column of `now`."""
    later, now = later - later.mean(axis=0), now - now.mean(axis=0)
    return later - _ratio((later * now).mean(axis=0), (now**2).mean(axis=0)) * now


def _variance(square: np.ndarray, room: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a, b ≥ 0 of the line a + b · room through squared changes, for each column, with the mean of these."""
    lines = np.array([nnls(np.column_stack([np.ones_like(x), x]), y)[0] for x, y in zip(room.T, square.T, strict=True)])
    lines *= _ratio(square.mean(axis=0), lines[:, 0] + lines[:, 1] * room.mean(axis=0))[:, None]
    return lines[:, 0], lines[:, 1]


def _slices(values: np.ndarray) -> np.ndarray:
    """Return the means of _ATOMS slices of the sorted values, equally large as far as their number allows."""
    # With fewer values than slices each is repeated, so that no slice is empty.
    values = np.repeat(np.sort(values), -(-_ATOMS // len(values)))
    return np.array([part.mean() for part in np.array_split(values, _ATOMS)])


def _balanced(shares: np.ndarray, above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Return moves with mean zero: shares of the room above if positive, of that below if negative."""
    up, down = np.maximum(shares, 0) * above, np.maximum(-shares, 0) * below
    rise, fall = up.sum(axis=1, keepdims=True), down.sum(axis=1, keepdims=True)
    up, down = up * np.sqrt(_ratio(fall, rise)), down * np.sqrt(_ratio(rise, fall))
    # Where one side was stretched beyond its room, both shrink until it fits.
    fit = np.minimum(_ratio(above, up.max(axis=1, keepdims=True)), _ratio(below, down.max(axis=1, keepdims=True)))
    return np.clip(fit, 0, 1) * (up - down)
