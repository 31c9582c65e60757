r"""Laws of future estimates: what running a model may make us think of its answer.

The value of a set of models depends on how their estimates :math:`Q_i` may come out. `Gaussian` is the paper's choice:
independent, with a mean and a spread each. `JointGaussian` adds covariances. `Atoms` are independent and of any shape:
each model has a few possible outcomes with probabilities. `Draws` are joint and of any shape: equally real scenarios
for all models at once. Strategies treat all of them alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import erfcx, ndtr

from .._arrays import Floats, Ints
from .maximum import (
    Law,
    Products,
    clark_max,
    expected_max,
    gaussian_samples,
    max_over_draws,
    nested_expected_max,
    products_of_prefixes,
    products_of_sets,
)

# Rounding of values, relative to the largest number at hand: sets worth the same must tie exactly, or the last
# 1e-17 of quality would be bought at any cost once the price falls to nearly nothing.
_ROUNDING = 2.0**-44
# Numbers of distribution functions held at once (64 MB).
_AT_ONCE = 8_000_000
# Beyond this many spreads from its mean a Gaussian has no mass that matters.
_REACH = 8.0
_LOSS_AT_0 = 1 / np.sqrt(2 * np.pi)

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Gaussian(Law):
    """Independent Gaussians: mean and spread, both of shape (m, k).

    Examples
    --------
    >>> Gaussian(np.zeros((1, 2)), np.ones((1, 2))).sets(np.array([0.0])).round(4)
    array([[0.    , 0.3989, 0.3989, 0.681 ]])
    """

    mean: np.ndarray
    spread: np.ndarray

    def take(self, rows: slice | np.ndarray) -> Gaussian:
        """Return the law for some of the queries."""
        return Gaussian(self.mean[rows], self.spread[rows])

    def pick(self, models: slice | Ints) -> Gaussian:
        """Return the law of some of the models, given by their positions."""
        return Gaussian(self.mean[:, models], self.spread[:, models])

    def sets(self, best: Floats, most: int | None = None) -> Floats:
        """Return E[max(best, max over the set)] for every set of models, or every one of at most `most`."""
        return expected_max(self.mean, self.spread, best, most=most)

    def prefixes(self, best: Floats) -> Floats:
        """Return E[max(best, max over the prefix)] for every prefix, shape (m, k + 1)."""
        return nested_expected_max(self.mean, self.spread, best)

    def alone(self, best: Floats) -> Floats:
        """Return E[max(best, Q_i)] for every model by itself, shape (m, k); `best` must be finite."""
        return clark_max(best[:, None], self.mean, 0.0, self.spread)

    def reach(self) -> tuple[Floats, Floats]:
        """Return, for every model, numbers below and above which there is no mass that matters, both (m, k)."""
        return self.mean - _REACH * self.spread, self.mean + _REACH * self.spread

    def reservation(self, price: ArrayLike) -> Floats:
        r"""Return Weitzman's index of every model, shape (m, k): the z with :math:`E[(Q_i - z)^+]` = `price`.

        That is μ + σ u, where u inverts the unit normal loss function.
        """
        price = np.broadcast_to(np.asarray(price, dtype=float), self.mean.shape)
        spread = np.where(self.spread > 0, self.spread, 1.0)
        return self.mean + np.where(self.spread > 0, spread * inverse_normal_loss(price / spread), -price)


@dataclass(frozen=True, eq=False)
class JointGaussian(Law):
    r"""Gaussians with covariances, valued with quasi-random draws that all queries and sets share.

    Parameters
    ----------
    mean : array_like, shape (m, k)
        Means of the future estimates.
    covariance : array_like, shape (k, k) or (m, k, k)
        Their covariance, positive semi-definite; zero for models whose estimates will not move.
    draws : array_like, shape (T, k)
        Standard normal draws, e.g. from `normal_draws`.

    Raises
    ------
    ValueError
        If shapes disagree, an entry is NaN or infinite, or a variance is negative.

    Examples
    --------
    Two models that always move together are worth no more than one of them:

    >>> from cascade_lib.theory import normal_draws
    >>> alike = JointGaussian(np.zeros((1, 2)), np.ones((2, 2)), normal_draws(2, 4096, seed=0))
    >>> alike.sets(np.array([0.0])).round(2)
    array([[0. , 0.4, 0.4, 0.4]])
    """

    mean: Floats
    covariance: Floats
    draws: Floats

    def __init__(self, mean: ArrayLike, covariance: ArrayLike, draws: ArrayLike) -> None:
        """Check everything that is handed in."""
        mean, covariance = _numbers(self, "mean", mean), _numbers(self, "covariance", covariance)
        draws = _numbers(self, "draws", draws)
        m, k = mean.shape if mean.ndim == 2 else (-1, -1)
        if covariance.shape not in ((k, k), (m, k, k)) or draws.shape[1:] != (k,) or not len(draws):
            raise ValueError(
                "mean must have shape (m, k), covariance (k, k) or (m, k, k), and draws (T, k) with T ≥ 1; got "
                f"{mean.shape}, {covariance.shape} and {draws.shape}."
            )
        if (np.diagonal(covariance, axis1=-2, axis2=-1) < 0).any():
            raise ValueError("covariance has a negative variance on its diagonal.")

    @property
    def spread(self) -> Floats:
        """Standard deviations of the future estimates, shape (m, k)."""
        return np.broadcast_to(np.sqrt(np.diagonal(self.covariance, axis1=-2, axis2=-1)), self.mean.shape)

    def take(self, rows: slice | np.ndarray) -> JointGaussian:
        """Return the law for some of the queries."""
        shared = self.covariance.ndim == 2
        covariance = self.covariance if shared else self.covariance[rows]
        return _unchecked(JointGaussian, mean=self.mean[rows], covariance=covariance, draws=self.draws)

    def pick(self, models: slice | Ints) -> Draws:
        """Return the law of some of the models, given by their positions, as the draws that it is valued with."""
        # All models' samples come from the same root, so that a set has one value whatever it is picked with.
        samples, size = gaussian_samples(self.mean, self.covariance, self.draws), len(self.draws)
        return _unchecked(Draws, value=samples[:, models], weight=np.full(size, 1 / size))

    def sets(self, best: Floats, most: int | None = None) -> Floats:
        """Return E[max(best, max over the set)] for every set of models, or every one of at most `most`."""
        return self.pick(slice(None)).sets(best, most)

    def prefixes(self, best: Floats) -> Floats:
        """Return E[max(best, max over the prefix)] for every prefix, shape (m, k + 1)."""
        return self.pick(slice(None)).prefixes(best)

    def alone(self, best: Floats) -> Floats:
        """Return E[max(best, Q_i)] for every model by itself, shape (m, k)."""
        return self.pick(slice(None)).alone(best)

    def reach(self) -> tuple[Floats, Floats]:
        """Return, for every model, numbers below and above which there is no mass that matters, both (m, k)."""
        return Gaussian(self.mean, self.spread).reach()

    def reservation(self, price: ArrayLike) -> Floats:
        r"""Return Weitzman's index of every model by itself, shape (m, k); see `Gaussian.reservation`."""
        return Gaussian(self.mean, self.spread).reservation(price)


@dataclass(frozen=True, eq=False)
class Atoms(Law):
    r"""Independent laws of any shape: model i will be at one of A values, with known probabilities.

    Parameters
    ----------
    value : array_like, shape (m, k, A)
        The possible future estimates, in any order; repeated values are welcome.
    weight : array_like, shape (m, k, A), or any shape that broadcasts to it
        Their probabilities, ≥ 0, adding up to 1 over the last axis.

    Raises
    ------
    ValueError
        If shapes disagree, an entry is NaN or infinite, or probabilities are negative or do not add up to 1.

    Notes
    -----
    Values of sets are exact: between neighbouring atoms the distribution function of a maximum is constant. A table of
    A equally likely draws per model, e.g. bootstrap predictions, is a set of atoms of weight 1 / A.

    Examples
    --------
    A coin that shows 1 in a third of all cases, and one that always shows 0.5:

    >>> coins = Atoms([[[0.0, 1.0], [0.5, 0.5]]], [[[2 / 3, 1 / 3], [0.5, 0.5]]])
    >>> coins.sets(np.array([-np.inf])).round(4)
    array([[  -inf, 0.3333, 0.5   , 0.6667]])
    """

    value: Floats
    weight: Floats

    def __init__(self, value: ArrayLike, weight: ArrayLike) -> None:
        """Check everything that is handed in."""
        value, weight = _numbers(self, "value", value), _numbers(self, "weight", weight)
        if value.ndim != 3 or not value.shape[2]:
            raise ValueError(f"value must have shape (m, k, A) with A ≥ 1; got {value.shape}.")
        try:
            object.__setattr__(self, "weight", np.broadcast_to(weight, value.shape))
        except ValueError:
            raise ValueError(f"weight has shape {weight.shape}, which does not broadcast to {value.shape}.") from None
        _probabilities(self.weight)

    @property
    def mean(self) -> Floats:
        """Means of the future estimates, shape (m, k)."""
        return (self.value * self.weight).sum(axis=2)

    @property
    def spread(self) -> Floats:
        """Standard deviations of the future estimates, shape (m, k)."""
        return np.sqrt((self.weight * (self.value - self.mean[..., None]) ** 2).sum(axis=2))

    def take(self, rows: slice | np.ndarray) -> Atoms:
        """Return the law for some of the queries."""
        return _unchecked(Atoms, value=self.value[rows], weight=self.weight[rows])

    def pick(self, models: slice | Ints) -> Atoms:
        """Return the law of some of the models, given by their positions."""
        return _unchecked(Atoms, value=self.value[:, models], weight=self.weight[:, models])

    def sets(self, best: Floats, most: int | None = None) -> Floats:
        """Return E[max(best, max over the set)] for every set of models, or every one of at most `most`."""
        return self._integrate(best, partial(products_of_sets, most=most))

    def prefixes(self, best: Floats) -> Floats:
        """Return E[max(best, max over the prefix)] for every prefix, shape (m, k + 1)."""
        return self._integrate(best, products_of_prefixes)

    def alone(self, best: Floats) -> Floats:
        """Return E[max(best, Q_i)] for every model by itself, shape (m, k)."""
        return (self.weight * np.maximum(self.value, best[:, None, None])).sum(axis=2)

    def reach(self) -> tuple[Floats, Floats]:
        """Return the least and the largest value of every model, both (m, k)."""
        return self.value.min(axis=2), self.value.max(axis=2)

    def reservation(self, price: ArrayLike) -> Floats:
        r"""Return Weitzman's index of every model, shape (m, k): the z with :math:`E[(Q_i - z)^+]` = `price`.

        Of all tails of the distribution, z is the largest mean less price / probability.
        """
        return _reservation(self.value, self.weight, price)

    def _integrate(self, best: Floats, products: Products) -> Floats:
        """Return h − ∫ Π F, where F, the distribution functions, are constant between neighbouring atoms."""
        m, k, atoms = self.value.shape
        if not k:
            return best[:, None].copy()
        size = max(1, _AT_ONCE // (k * k * atoms))
        if m > size:
            parts = [slice(start, start + size) for start in range(0, m, size)]
            return np.concatenate([self.take(rows)._integrate(best[rows], products) for rows in parts])
        flat = self.value.reshape(m, k * atoms)
        order = flat.argsort(axis=1)
        grid = np.maximum(np.take_along_axis(flat, order, axis=1), best[:, None])
        weight = np.take_along_axis(self.weight.reshape(m, k * atoms), order, axis=1)
        cdf = np.cumsum(np.where(order[:, None] // atoms == np.arange(k)[:, None], weight[:, None], 0.0), axis=2)
        # Divided by its last entry, a distribution function ends at exactly 1, and adds nothing from there on.
        cdf /= cdf[:, :, -1:]
        gap = np.diff(grid, axis=1, append=grid[:, -1:])
        value = grid[:, -1:] - products(cdf, gap[:, None])
        unit = _ROUNDING * np.abs(grid).max(axis=1, keepdims=True)
        value = np.round(value / np.where(unit > 0, unit, 1.0)) * unit
        value[:, 0] = best
        return np.maximum(value, best[:, None])


@dataclass(frozen=True, eq=False)
class Draws(Law):
    """Joint laws of any shape: T scenarios, each with the future estimates of all models.

    Parameters
    ----------
    value : array_like, shape (m, k, T)
        The future estimates; entry t of every model belongs to the same scenario.
    weight : array_like, shape (T,) or (m, T), optional
        Probabilities of the scenarios, ≥ 0, adding up to 1. Default: all equally likely.

    Raises
    ------
    ValueError
        If shapes disagree, an entry is NaN or infinite, or probabilities are negative or do not add up to 1.

    Examples
    --------
    Two models of which always exactly one is right are worth a right answer together:

    >>> Draws([[[0.0, 1.0], [1.0, 0.0]]]).sets(np.array([-np.inf]))
    array([[-inf,  0.5,  0.5,  1. ]])
    """

    value: Floats
    weight: Floats

    def __init__(self, value: ArrayLike, weight: ArrayLike | None = None) -> None:
        """Check everything that is handed in."""
        value = _numbers(self, "value", value)
        if value.ndim != 3 or not value.shape[2]:
            raise ValueError(f"value must have shape (m, k, T) with T ≥ 1; got {value.shape}.")
        m, _, size = value.shape
        weight = _numbers(self, "weight", np.full(size, 1 / size) if weight is None else weight)
        if weight.shape not in ((size,), (m, size)):
            raise ValueError(f"weight must have shape {(size,)} or {(m, size)}; got {weight.shape}.")
        _probabilities(weight)

    @property
    def mean(self) -> Floats:
        """Means of the future estimates, shape (m, k)."""
        return (self.value * self._weights()).sum(axis=2)

    @property
    def spread(self) -> Floats:
        """Standard deviations of the future estimates, shape (m, k)."""
        return np.sqrt((self._weights() * (self.value - self.mean[..., None]) ** 2).sum(axis=2))

    def take(self, rows: slice | np.ndarray) -> Draws:
        """Return the law for some of the queries."""
        weight = self.weight if self.weight.ndim == 1 else self.weight[rows]
        return _unchecked(Draws, value=self.value[rows], weight=weight)

    def pick(self, models: slice | Ints) -> Draws:
        """Return the law of some of the models, given by their positions."""
        return _unchecked(Draws, value=self.value[:, models], weight=self.weight)

    def sets(self, best: Floats, most: int | None = None) -> Floats:
        """Return E[max(best, max over the set)] for every set of models, or every one of at most `most`."""
        return max_over_draws(self.value, self.weight, best, most=most)

    def prefixes(self, best: Floats) -> Floats:
        """Return E[max(best, max over the prefix)] for every prefix, shape (m, k + 1)."""
        return max_over_draws(self.value, self.weight, best, nested=True)

    def alone(self, best: Floats) -> Floats:
        """Return E[max(best, Q_i)] for every model by itself, shape (m, k)."""
        return (self._weights() * np.maximum(self.value, best[:, None, None])).sum(axis=2)

    def reach(self) -> tuple[Floats, Floats]:
        """Return the least and the largest value of every model, both (m, k)."""
        return self.value.min(axis=2), self.value.max(axis=2)

    def reservation(self, price: ArrayLike) -> Floats:
        r"""Return Weitzman's index of every model by itself, shape (m, k); see `Atoms.reservation`."""
        return _reservation(self.value, np.broadcast_to(self._weights(), self.value.shape), price)

    def _weights(self) -> Floats:
        return np.atleast_2d(self.weight)[:, None]


def inverse_normal_loss(loss: ArrayLike) -> Floats:
    r"""Return u with :math:`\varphi(u) - u (1 - \Phi(u))` = `loss`, the inverse of the unit normal loss function.

    Parameters
    ----------
    loss : array_like
        In [0, ∞]: what a standard Gaussian is expected to exceed u by.

    Returns
    -------
    float array
        ∞ where the loss is 0, −∞ where it is ∞; otherwise right to 1e-10 or better, absolute or relative.

    Notes
    -----
    Newton's method: below u = 0 on the loss, which is convex, and above on its logarithm, which is concave; from the
    sides chosen here eight steps suffice.

    Examples
    --------
    >>> inverse_normal_loss([1 / np.sqrt(2 * np.pi), 10.0, 0.0]).round(6) + 0.0
    array([  0., -10.,  inf])
    """
    loss = np.asarray(loss, dtype=float)
    y = np.clip(loss, np.finfo(float).tiny, 1e300)
    down, up = -np.maximum(y, _LOSS_AT_0), np.sqrt(np.maximum(-2 * np.log(y / _LOSS_AT_0), 0.0))
    for _ in range(8):
        # E[(Z − u)⁺] = −u + E[(Z + u)⁺] is φ(u) (1 − u R(u)) for u ≥ 0, with R the Mills ratio.
        beyond = _density(down) * (1 + down * _mills(-down)) - down - np.maximum(y, _LOSS_AT_0)
        down = np.minimum(down + beyond / ndtr(-down), 0.0)
        rest = 1 - up * _mills(up)
        up = np.maximum(up + (np.log(rest) - up**2 / 2 + np.log(_LOSS_AT_0 / y)) * rest / _mills(up), 0.0)
    u = np.where(y >= _LOSS_AT_0, down, up)
    return np.where(loss == 0, np.inf, np.where(np.isposinf(loss), -np.inf, u))


def _density(u: Floats) -> Floats:
    return _LOSS_AT_0 * np.exp(-(np.maximum(u, -40.0) ** 2) / 2)  # beyond 40 it is 0


def _mills(u: Floats) -> Floats:
    """Return (1 − Φ(u)) / φ(u)."""
    return np.sqrt(np.pi / 2) * erfcx(u / np.sqrt(2))


def _reservation(value: Floats, weight: Floats, price: ArrayLike) -> Floats:
    """Return the z of every model from atoms, shape (m, k)."""
    order = value.argsort(axis=2)[:, :, ::-1]
    chance = np.cumsum(np.take_along_axis(weight, order, axis=2), axis=2)
    worth = np.cumsum(np.take_along_axis(value * weight, order, axis=2), axis=2)
    price = np.broadcast_to(np.asarray(price, dtype=float), value.shape[:2])[..., None]
    index = np.full(value.shape, -np.inf)
    np.divide(worth - price, chance, out=index, where=chance > 0)
    return index.max(axis=2)


def _unchecked(kind: type[T], **fields: np.ndarray) -> T:
    """Return a law made of parts of one that was checked when it was built."""
    law = object.__new__(kind)
    for name, array in fields.items():
        object.__setattr__(law, name, array)
    return law


def _numbers(law: object, name: str, given: ArrayLike) -> Floats:
    """Make what is given a field of a frozen law, as an array of finite numbers, and return it."""
    array = np.asarray(given, dtype=float)
    bad = ~np.isfinite(array)
    if bad.any():
        place = np.argwhere(bad)[0].tolist()
        raise ValueError(f"{name}{place} of this {type(law).__name__} is {array[tuple(place)]}; it must be finite.")
    object.__setattr__(law, name, array)
    return array


def _probabilities(weight: Floats) -> None:
    """Refuse weights that are negative or do not add up to 1."""
    total = weight.sum(axis=-1)
    if (weight < 0).any() or (np.abs(total - 1) > 1e-9).any():
        raise ValueError(
            f"weight must be ≥ 0 and add up to 1 over its last axis; its least entry is {weight.min():g}, and its "
            f"sums run from {total.min():.6g} to {total.max():.6g}."
        )
