"""How far estimates move when a model runs, learned from held-out estimates before and after."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from .._packing import exactly, listed, pack, unpack
from ..theory.distributions import Atoms, JointGaussian
from ..theory.maximum import normal_draws

# Draws that a joint law is valued with, bins of the current estimate and atoms in each for an empirical one.
_DRAWS, _BINS, _ATOMS = 512, 10, 16
_ARRAYS = ("low", "high", "base", "slope", "correlation")


@dataclass(frozen=True, eq=False)
class Changes:
    """How far the estimate of each of k models moves when it runs, and how much of that is information.

    Parameters
    ----------
    low, high : float array, shape (k,)
        The range of the quality.
    base, slope : float array, shape (k,)
        The line that gives the variance of a move.
    correlation : float array, shape (k, k)
        Of the moves of two models.
    edges : list of float array, shape (b - 1,)
        For each model, the estimates that part b bins.
    shares : list of float array, shape (b, A)
        For each model and bin, moves as shares of the way to the end of the range.
    """

    low: np.ndarray
    high: np.ndarray
    base: np.ndarray
    slope: np.ndarray
    correlation: np.ndarray
    edges: list[np.ndarray]
    shares: list[np.ndarray]

    @classmethod
    def measured(cls, now: np.ndarray, later: np.ndarray, truth: np.ndarray) -> Changes:
        """Measure the moves from held-out estimates now and later, and the quality, each of shape (n, k)."""
        low, high = truth.min(axis=0), truth.max(axis=0)
        news = _residual(later, now)
        worth = _ratio((news * (truth - truth.mean(axis=0))).mean(axis=0), (news**2).mean(axis=0))
        news = np.clip(worth, 0, 1) * news
        base, slope = _variance(news**2, np.maximum((now - low) * (high - now), 0.0))
        standard = _ratio(news, news.std(axis=0))
        # As shares of the way to the end of the range, moves can start from another estimate and stay within it.
        share = np.clip(_ratio(news, np.where(news > 0, high - now, now - low)), -1, 1)
        edges = [_edges(column) for column in now.T]
        shares = [_binned(*three) for three in zip(now.T, share.T, edges, strict=True)]
        return cls(low, high, base, slope, standard.T @ standard / len(standard), edges, shares)

    def laws(self, mean: np.ndarray, future: str, seed: int) -> tuple[np.ndarray, JointGaussian | Atoms | None]:
        """Return the spread of the next estimates around `mean`, shape (m, k), and their law if it is not Gaussian."""
        if future == "empirical":
            law = Atoms(self._atoms(mean), np.full(_ATOMS, 1 / _ATOMS))
            return law.spread, law
        spread = np.sqrt(self.base + self.slope * self._room(mean))
        if future == "independent":
            return spread, None
        covariance = spread[:, :, None] * spread[:, None, :] * self.correlation
        draws = normal_draws(mean.shape[1], _DRAWS, seed=seed)
        return spread, JointGaussian(mean, covariance, draws)

    def _room(self, mean: np.ndarray) -> np.ndarray:
        """Return the largest variance that a random variable with this mean in the range of the quality can have."""
        return np.maximum((mean - self.low) * (self.high - mean), 0.0)

    def _atoms(self, mean: np.ndarray) -> np.ndarray:
        """Return possible next estimates, shape (m, k, A), equally likely."""
        return np.stack([self._atoms_of(i, column) for i, column in enumerate(mean.T)], axis=1)

    def _atoms_of(self, i: int, mean: np.ndarray) -> np.ndarray:
        """Return possible next estimates of one model, shape (m, A)."""
        low, high = self.low[i], self.high[i]
        shares = self.shares[i][np.searchsorted(self.edges[i], mean, side="right")]
        return mean[:, None] + _balanced(shares, (high - mean)[:, None], (mean - low)[:, None])

    def stored(self) -> dict[str, object]:
        """Return it as plain values."""
        arrays = {name: pack(getattr(self, name), "<f8") for name in _ARRAYS}
        lists = {name: [pack(array, "<f8") for array in getattr(self, name)] for name in ("edges", "shares")}
        return {**arrays, **lists}

    @classmethod
    def read(cls, stored: object, k: int) -> Changes:
        """Return what was stored, provided that it is of k models and its numbers make sense."""
        stored = exactly(stored, *_ARRAYS, "edges", "shares")
        arrays = {name: unpack(stored[name], "<f8", (k, k) if name == "correlation" else (k,)) for name in _ARRAYS}
        edges = [unpack(entry, "<f8", (None,)) for entry in listed(stored["edges"], dict, k)]
        shares = [unpack(entry, "<f8", (None, _ATOMS)) for entry in listed(stored["shares"], dict, k)]
        if len(edges) != k or [len(share) for share in shares] != [len(edge) + 1 for edge in edges]:
            raise ValueError("there must be moves for every bin of every model.")
        wrong = (arrays["low"] > arrays["high"]).any() or (arrays["base"] < 0).any() or (arrays["slope"] < 0).any()
        if wrong or any((np.abs(share) > 1).any() for share in shares) or (np.abs(arrays["correlation"]) > 1.001).any():
            raise ValueError("a range, a variance, a share or a correlation is out of range.")
        if any((np.diff(edge) < 0).any() for edge in edges):
            raise ValueError("the edges of bins must rise.")
        return cls(**arrays, edges=edges, shares=shares)


def _edges(now: np.ndarray) -> np.ndarray:
    """Return the estimates that part the bins. Each bin begins at one that occurs, so none is empty."""
    bins = max(1, min(_BINS, len(now) // _ATOMS))
    edges = np.unique(np.quantile(now, np.arange(1, bins) / bins, method="lower"))
    return edges[edges > now.min()]


def _binned(now: np.ndarray, share: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the shares in each bin as _ATOMS numbers."""
    place = np.searchsorted(edges, now, side="right")
    return np.stack([_slices(share[place == b]) for b in range(len(edges) + 1)])


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
