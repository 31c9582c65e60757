r"""The value of a set of models: the expected maximum of the estimates that its members will have once they have run.

With b the best estimate among the models that have run and :math:`Q_i` the future estimate of model i, a set N of
models not yet run is worth :math:`E[\max(b, \max_{i \in N} Q_i)]`. Everything here values many sets at once, by
*doubling*: what is known of the sets of the first j models gives the sets of the first j + 1 in one vectorised step.

Sets of u models are numbered 0 to :math:`2^u - 1`: bit j of the number says whether model j is in the set. Where only
sets of at most so many members are asked for, the others are left out and never listed, and the rest stay in order.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri
from scipy.stats import qmc

from .._arrays import Bools, Floats, Ints

MOST_SETS = 2**16
"""More sets than this, all those of 16 models, are too many to list."""

# Mass further than this many standard deviations from the mean changes no value by more than 1e-12 spreads.
_REACH = 7.0
# Nodes that one Gauss–Legendre panel may have; `_density` says for which lengths they suffice. Where even the most do
# not, every model gets two panels of its own, one on each side of its mean.
_NODES = np.array([32, 48, 64, 96, 128, 192, 256])
# One product of sets takes this many times as long by itself as in a product of matrices.
_FEW = 8
# Numbers held at once, for speed (they stay in the cache) more than for memory.
_AT_ONCE = 2_000_000
# Each halves an interval that holds Weitzman's index: to the last bit of a number.
_HALVINGS = 60

Products = Callable[[Floats, Floats], Floats]


class Law(ABC):
    """What is believed of the estimates that u models will have on m queries; `theory` has several.

    A class of your own needs `mean`, `take`, `pick`, `sets` and `reach`. The other methods follow from these, and are
    there to be replaced by faster ones. All answer for `best` of shape (m,), with finite entries or −∞.
    """

    if TYPE_CHECKING:  # to a dataclass an inherited property would be the field's default

        @property
        def mean(self) -> Floats:
            """Means of the future estimates, shape (m, u)."""

    @abstractmethod
    def take(self, rows: slice | np.ndarray) -> Law:
        """Return the law for some of the queries."""

    @abstractmethod
    def pick(self, models: slice | Ints) -> Law:
        """Return the law of some of the models, given by their positions."""

    @abstractmethod
    def sets(self, best: Floats, most: int | None = None) -> Floats:
        """Return E[max(best, max over the set)] for every set of models, or every one of at most `most`."""

    @abstractmethod
    def reach(self) -> tuple[Floats, Floats]:
        """Return, for every model, numbers below and above which there is no mass that matters, both (m, u)."""

    def prefixes(self, best: Floats) -> Floats:
        """Return E[max(best, max over the prefix)] for every prefix, shape (m, u + 1)."""
        whole = [self.pick(slice(0, size)).sets(best)[:, -1] for size in range(self.mean.shape[1] + 1)]
        return np.column_stack(whole)

    def alone(self, best: Floats) -> Floats:
        """Return E[max(best, Q_i)] for every model by itself, shape (m, u)."""
        return self.sets(best, most=1)[:, 1:]

    def reservation(self, price: ArrayLike) -> Floats:
        r"""Return Weitzman's index of every model, shape (m, u): the z with :math:`E[(Q_i - z)^+]` = `price`."""
        low, high = self.reach()
        price = np.broadcast_to(np.asarray(price, dtype=float), low.shape)
        # Below all mass the expectation is mean − z; above, it falls to zero.
        below, level, above = self.mean - price, low, high
        for _ in range(_HALVINGS):
            middle = (level + above) / 2
            gain = np.column_stack([self.alone(z)[:, i] - z for i, z in enumerate(middle.T)])
            level, above = np.where(gain > price, middle, level), np.where(gain > price, above, middle)
        return np.where(below <= low, below, (level + above) / 2)


def subsets(u: int, most: int | None = None) -> Bools:
    """Return all sets of u models, or those of at most `most`, as a bool array of shape (sets, u), by their bits.

    Examples
    --------
    >>> subsets(2).astype(int)
    array([[0, 0],
           [1, 0],
           [0, 1],
           [1, 1]])
    >>> subsets(40, most=2).shape
    (821, 40)
    """
    return np.ascontiguousarray(_doubled(np.zeros((u, 1), dtype=bool), np.eye(u, dtype=bool), np.logical_or, most).T)


def subset_sums(values: ArrayLike, most: int | None = None) -> Floats:
    """Return the sum over every set, or over those of at most `most`, shape (m, sets), of values of shape (m, u).

    Examples
    --------
    >>> subset_sums([[1.0, 10.0]])
    array([[ 0.,  1., 10., 11.]])
    """
    values = np.asarray(values, dtype=float)
    return _doubled(np.zeros((len(values), 1)), values.T, np.add, most)


def expected_max(
    mean: ArrayLike | Law, spread: ArrayLike | None = None, best: ArrayLike = -np.inf, *, most: int | None = None
) -> Floats:
    r"""Return the value of every set of models, by default for independent Gaussian future estimates.

    .. math:: E[\max(b, \max_{i \in N} Q_i)] = h - \int_b^h \prod_{i \in N} \Phi\Big(\frac{t - \mu_i}{\sigma_i}\Big)\,dt

    with h above all mass (and, if nothing has run, b below it).

    Parameters
    ----------
    mean : array_like, shape (m, u), or Law
        :math:`\mu_i`, finite. Or the whole law of the future estimates, e.g. `Atoms`, which takes the place of mean
        and spread and is valued in its own way.
    spread : array_like, shape (m, u) or (u,)
        :math:`\sigma_i \ge 0`, finite.
    best : array_like, shape (m,) or ()
        The best estimate among models that have run, or −∞ if none has.
    most : int, optional
        Value only the sets of at most so many models, in the order of their bits. Default: all.

    Returns
    -------
    float array, shape (m, 2**u), or less with `most`
        Column 0 is `best`: the value of running nothing more. Sets of models without spread, and a single model when
        nothing has run, are exact; everything else has an absolute error below 1e-9 times the largest spread, besides
        rounding relative to the largest of the numbers given.

    Raises
    ------
    ValueError
        If shapes disagree, an entry is NaN or infinite, a spread is negative, or there are more than 65,536 sets, which
        are all those of 16 models.

    Notes
    -----
    All sets share one Gauss–Legendre rule. The sum over its T nodes is a product of two matrices, one for the sets of
    the first u/2 models and one for the sets of the others, so that the :math:`O(2^u T)` work per row is done by BLAS.

    References
    ----------
    Dekoninck, Baader and Vechev (2025), section on cascade routing; chapter "Supermodels".

    Examples
    --------
    Two standard Gaussians have an expected maximum of :math:`1/\sqrt\pi`:

    >>> expected_max([[0.0, 0.0]], [[1.0, 1.0]]).round(6)
    array([[   -inf, 0.     , 0.     , 0.56419]])
    """
    if hasattr(mean, "sets"):
        law = cast(Law, mean)
        return law.sets(_checked_best(best, len(law.mean)), most)
    mean, spread, best = _checked(mean, spread, best, most)
    nothing = np.isneginf(best)
    if most in (1, 2) and nothing.all():
        return _up_to_two(mean, spread, most)
    products = partial(products_of_sets, most=most)
    value = _by_quadrature(mean, spread, best, products, number_of_sets(mean.shape[1], most))
    certain = _doubled(np.ones((len(mean), 1), dtype=bool), (spread == 0).T, np.logical_and, most)
    # Without spread the maximum is certain; and it is never worth less than the best of the means (Jensen).
    plain = _doubled(best[:, None], mean.T, np.maximum, most)
    value = np.where(certain, plain, np.maximum(value, plain))
    if most != 0:
        value[np.ix_(nothing, sizes(mean.shape[1], most) == 1)] = mean[nothing]
    return value


def _up_to_two(mean: Floats, spread: Floats, most: int) -> Floats:
    """Return the value of the sets of one model, or of one and two, where nothing has run: closed forms."""
    u = mean.shape[1]
    value = np.full((len(mean), number_of_sets(u, most)), -np.inf)
    value[:, sizes(u, most) == 1] = mean
    if most == 2:
        # In the order of their bits: sorted by the second member, then by the first.
        second, first = np.tril_indices(u, -1)
        pairs = clark_max(mean[:, first], mean[:, second], spread[:, first], spread[:, second])
        value[:, sizes(u, most) == 2] = np.maximum(pairs, np.maximum(mean[:, first], mean[:, second]))
    return value


def nested_expected_max(mean: ArrayLike | Law, spread: ArrayLike | None = None, best: ArrayLike = -np.inf) -> Floats:
    """Return the value of the first 0, 1, …, u models: the prefixes that a cascade may plan.

    Parameters, errors and accuracy are those of `expected_max`, but u may be any number.

    Returns
    -------
    float array, shape (m, u + 1)

    Examples
    --------
    >>> nested_expected_max([[0.0, 0.0]], [[1.0, 1.0]]).round(6)
    array([[   -inf, 0.     , 0.56419]])
    """
    if hasattr(mean, "prefixes"):
        law = cast(Law, mean)
        return law.prefixes(_checked_best(best, len(law.mean)))
    mean, spread, best = _checked(mean, spread, best, most=0)
    value = _by_quadrature(mean, spread, best, products_of_prefixes, mean.shape[1] + 1)
    certain = np.logical_and.accumulate(np.pad(spread == 0, ((0, 0), (1, 0)), constant_values=True), axis=1)
    plain = np.maximum.accumulate(np.column_stack([best, mean]), axis=1)
    value = np.where(certain, plain, np.maximum(value, plain))
    nothing = np.isneginf(best)
    if mean.shape[1]:
        value[nothing, 1] = mean[nothing, 0]
    return value


def expected_max_correlated(
    mean: ArrayLike, covariance: ArrayLike, best: ArrayLike = -np.inf, *, draws: Floats
) -> Floats:
    r"""Return the value of every set of models whose future estimates are jointly Gaussian.

    Parameters
    ----------
    mean : array_like, shape (m, u)
        :math:`\mu_i`.
    covariance : array_like, shape (m, u, u) or (u, u)
        Positive semi-definite; zero variances and perfect correlation are welcome.
    best : array_like, shape (m,) or ()
        The best estimate among models that have run, or −∞ if none has.
    draws : float array, shape (T, u)
        Standard normal draws shared by all rows and sets, e.g. from `normal_draws`.

    Returns
    -------
    float array, shape (m, 2**u)
        Means over the draws. Since all sets share them, no set is ever worth less than one of its subsets.

    Raises
    ------
    ValueError
        If shapes disagree, an entry is NaN or infinite, or a variance is negative.

    Notes
    -----
    :math:`O(2^u T)` work and memory per row.

    Examples
    --------
    Two perfectly correlated models are worth no more than one:

    >>> draws = normal_draws(2, 1024, seed=0)
    >>> expected_max_correlated([[0.5, 0.5]], [[1.0, 1.0], [1.0, 1.0]], draws=draws).round(6)
    array([[-inf,  0.5,  0.5,  0.5]])
    """
    mean = np.asarray(mean, dtype=float)
    mean, _, best = _checked(mean, np.zeros(mean.shape[1:]), best)
    m, u = mean.shape
    covariance, draws = np.asarray(covariance, dtype=float), np.asarray(draws, dtype=float)
    if covariance.shape not in ((m, u, u), (u, u)) or draws.shape[1:] != (u,) or not len(draws):
        raise ValueError(
            f"for mean of shape {(m, u)}, covariance needs {(m, u, u)} or {(u, u)} and draws (T, {u}) with T ≥ 1; "
            f"got {covariance.shape} and {draws.shape}."
        )
    _refuse("covariance", covariance, ~np.isfinite(covariance) | (np.eye(u, dtype=bool) & (covariance < 0)))
    _refuse("draws", draws, ~np.isfinite(draws))
    samples = gaussian_samples(np.broadcast_to(mean, (m, u)), covariance, draws)
    return max_over_draws(samples, np.full(len(draws), 1 / len(draws)), best)


def gaussian_samples(mean: Floats, covariance: Floats, draws: Floats) -> Floats:
    """Return jointly Gaussian samples, shape (m, u, T), made from standard normal draws of shape (T, u)."""
    # The symmetric root exists where Cholesky fails, for zero variances and perfect correlation, and does not depend on
    # which eigenvectors a machine finds.
    eigenvalue, vector = np.linalg.eigh(covariance)
    root = vector * np.sqrt(np.maximum(eigenvalue, 0.0))[..., None, :] @ np.swapaxes(vector, -1, -2)
    return mean[..., None] + np.einsum("...ij,tj->...it", root, draws)


def max_over_draws(
    samples: Floats, weight: Floats, best: Floats, *, most: int | None = None, nested: bool = False
) -> Floats:
    """Return the weighted mean maximum over joint draws of every set, or with `nested` of every prefix.

    Parameters
    ----------
    samples : float array, shape (m, u, T)
        Draws of all models together.
    weight : float array, shape (T,) or (m, T)
        The weights of the draws, adding up to 1.
    best : float array, shape (m,)
        The best estimate among models that have run, or −∞.
    most : int, optional
        Value only the sets of at most so many models.
    nested : bool
        Return the u + 1 prefixes instead of the 2**u sets.
    """
    m, u, size = samples.shape
    weight, start = np.broadcast_to(weight, (m, size)), np.broadcast_to(best[:, None, None], (m, 1, size))
    value = np.empty((m, u + 1 if nested else number_of_sets(u, most)))
    step = max(1, _AT_ONCE // (value.shape[1] * size))
    for rows in (slice(first, first + step) for first in range(0, m, step)):
        if nested:
            table = np.maximum.accumulate(np.concatenate([start[rows], samples[rows]], axis=1), axis=1)
        else:
            table = _doubled(start[rows], samples[rows].transpose(1, 0, 2), np.maximum, most)
        # `best` is filled in below; −∞ times a weight of zero would be no number.
        value[rows, 1:] = (table[:, 1:] * weight[rows, None]).sum(axis=2)
    # Without the maximum, a mean of many equal numbers may be rounded below them.
    value[:, 1:] = np.maximum(value[:, 1:], best[:, None])
    value[:, 0] = best
    return value


def normal_draws(u: int, size: int, *, seed: int) -> Floats:
    """Return quasi-random standard normal draws, shape (size, u), that come in pairs of opposite sign.

    Parameters
    ----------
    u : int
        The number of models.
    size : int
        The number of draws: a power of two, at least 2.
    seed : int
        Seed of the scrambling.

    Raises
    ------
    ValueError
        If `size` is not a power of two.

    Notes
    -----
    Scrambled Sobol points, mapped by the normal quantile function. The pairs make all means exactly zero, so that a
    single model that has not run is worth its mean.

    Examples
    --------
    >>> abs(normal_draws(3, 256, seed=0).mean(axis=0)).max() < 1e-12
    np.True_
    """
    if size < 2 or size & (size - 1):
        raise ValueError(f"size must be a power of two, at least 2; got {size}.")
    points = qmc.Sobol(u, rng=np.random.default_rng(seed)).random(size // 2)
    half = ndtri(np.clip(points, 2.0**-32, 1 - 2.0**-32))
    return np.concatenate([half, -half])


def clark_max(
    mean_a: ArrayLike, mean_b: ArrayLike, spread_a: ArrayLike, spread_b: ArrayLike, correlation: ArrayLike = 0.0
) -> Floats:
    r"""Return the expected maximum of two jointly Gaussian variables in closed form; arguments broadcast.

    .. math:: E[\max(A, B)] = \mu_A \Phi(z) + \mu_B \Phi(-z) + \theta \varphi(z), \quad
              \theta^2 = \sigma_A^2 + \sigma_B^2 - 2 \rho \sigma_A \sigma_B, \quad z = (\mu_A - \mu_B) / \theta

    Parameters
    ----------
    mean_a, mean_b : array_like
        The means.
    spread_a, spread_b : array_like
        The standard deviations, ≥ 0.
    correlation : array_like
        ρ in [−1, 1].

    References
    ----------
    Clark (1961).

    Examples
    --------
    >>> clark_max(0.0, 0.0, 1.0, 1.0).round(6), clark_max(0.0, 2.0, 1.0, 1.0, correlation=1.0)
    (np.float64(0.56419), np.float64(2.0))
    """
    mean_a, mean_b = np.asarray(mean_a, dtype=float), np.asarray(mean_b, dtype=float)
    spread_a, spread_b = np.asarray(spread_a, dtype=float), np.asarray(spread_b, dtype=float)
    variance = (spread_a - spread_b) ** 2 + 2 * (1 - np.asarray(correlation, dtype=float)) * spread_a * spread_b
    theta = np.sqrt(np.maximum(variance, 0.0))
    z = (mean_a - mean_b) / np.where(theta > 0, theta, 1.0)
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    mixed = mean_a * ndtr(z) + mean_b * ndtr(-z) + theta * density
    return np.where(theta > 0, mixed, np.maximum(mean_a, mean_b))[()]


def _checked(
    mean: ArrayLike, spread: ArrayLike | None, best: ArrayLike, most: int | None = None
) -> tuple[Floats, Floats, Floats]:
    """Return mean and spread of shape (m, u) and best of shape (m,), or say what is wrong with them."""
    mean = np.asarray(mean, dtype=float)
    if mean.ndim != 2:
        raise ValueError(f"mean must have shape (m, u): rows by models not yet run; got {mean.shape}.")
    m, u = mean.shape
    number_of_sets(u, most)
    if spread is None:
        raise TypeError(
            "spread is missing: give the standard deviations of the future estimates, shape (m, u) or (u,)."
        )
    spread, best = np.asarray(spread, dtype=float), np.asarray(best, dtype=float)
    if spread.shape not in ((m, u), (u,)) or best.shape not in ((m,), ()):
        raise ValueError(
            f"for mean of shape {(m, u)}, spread needs {(m, u)} or {(u,)} and best {(m,)} or (); "
            f"got {spread.shape} and {best.shape}."
        )
    _refuse("mean", mean, ~np.isfinite(mean))
    _refuse("spread", spread, ~(np.isfinite(spread) & (spread >= 0)))
    return mean, np.broadcast_to(spread, (m, u)), _checked_best(best, m)


def _checked_best(best: ArrayLike, m: int) -> Floats:
    """Return best of shape (m,), or say what is wrong with it."""
    best = np.asarray(best, dtype=float)
    if best.shape not in ((m,), ()):
        raise ValueError(f"best needs shape {(m,)} or (); got {best.shape}.")
    _refuse("best", best, np.isnan(best) | np.isposinf(best))
    return np.broadcast_to(best, (m,))


def _refuse(name: str, array: Floats, bad: Bools) -> None:
    """Say which entry of an argument is the first bad one, if there is one."""
    if bad.any():
        place = np.argwhere(bad)[0].tolist()
        also = {"spread": ", 0 or more", "covariance": ", a variance 0 or more", "best": " or −∞"}.get(name, "")
        raise ValueError(f"{name}{place or ''} is {array[tuple(place)]}; it must be finite{also}.")


def number_of_sets(u: int, most: int | None = None) -> int:
    """Return how many sets of u models there are, or how many of at most `most`; refuse more than can be held.

    Examples
    --------
    >>> number_of_sets(11), number_of_sets(60, most=2)
    (2048, 1831)
    """
    number = 2**u if most is None or most >= u else sum(math.comb(u, size) for size in range(most + 1))
    if number > MOST_SETS:
        raise ValueError(
            f"{u} models not yet run have {number:,} sets{'' if most is None else f' of at most {most}'}; at most "
            f"{MOST_SETS:,} can be listed, all those of 16 models: use a smaller pool, or limit the depth."
        )
    return number


@cache
def sizes(u: int, most: int | None = None) -> Ints:
    """Return the number of members of every set, in the order of `subsets`."""
    found = _doubled(np.zeros((1, 1), dtype=int), np.ones((u, 1), dtype=int), np.add, most)[0]
    found.flags.writeable = False
    return found


def _doubled(start: np.ndarray, models: np.ndarray, combine: np.ufunc, most: int | None = None) -> np.ndarray:
    """Extend a table of the empty set, shape (m, 1, …), by one model after the other, each doubling the sets.

    With `most`, only sets with fewer members than that are extended.
    """
    u = len(models)
    table = np.empty((len(start), number_of_sets(u, most), *start.shape[2:]), dtype=start.dtype)
    table[:, :1] = start
    size, end = np.zeros(table.shape[1], dtype=int), 1
    for values in models:
        small = slice(end) if most is None or most >= u else np.flatnonzero(size[:end] < most)
        begin, end = end, end + len(size[small])
        combine(table[:, small], values[:, None], out=table[:, begin:end])
        size[begin:end] = size[small] + 1
    return table


def _by_quadrature(mean: Floats, spread: Floats, best: Floats, products: Products, columns: int) -> Floats:
    """Return h − ∫ Π Φ for the sets that `products` forms, row by row with as few nodes as that row needs."""
    value = np.repeat(best[:, None], columns, axis=1)
    open_rows = (spread > 0).any(axis=1)
    high = np.maximum((mean + _REACH * spread).max(axis=1, initial=-np.inf), best)
    low = np.where(np.isneginf(best), (mean - _REACH * spread).min(axis=1, initial=np.inf), best)
    matters = mean + _REACH * spread > low[:, None]
    finest = np.where(matters, spread, np.inf).min(axis=1, initial=np.inf)
    density = _density(mean.shape[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        needed = density * (high - low) / finest
    open_rows &= high > low
    one_panel = open_rows & (needed <= _NODES[-1])
    choice = np.searchsorted(_NODES, needed)
    for number in np.unique(choice[one_panel]):
        rows = np.flatnonzero(one_panel & (choice == number))
        edges = np.column_stack([low[rows], high[rows]])
        _integrate(value, rows, edges, int(_NODES[number]), mean, spread, products)
    rows = np.flatnonzero(open_rows & ~one_panel)
    knots = np.concatenate([mean[rows] + z * spread[rows] for z in (-_REACH, 0.0, _REACH)], axis=1)
    ends = np.column_stack([low[rows], high[rows]])
    edges = np.sort(np.column_stack([ends, np.clip(knots, low[rows, None], high[rows, None])]), axis=1)
    _integrate(value, rows, edges, math.ceil(6.5 * density), mean, spread, products)
    return value


def _density(u: int) -> float:
    """Return how many nodes per smallest spread are accurate to 1e-9 spreads for the maximum of up to u models.

    The more models, the sharper is the distribution of their maximum. Fitted to u equal models, the sharpest case, for
    u from 1 to 1000 and at all positions in the panel.
    """
    return 1.6 + 1.06 * math.log(max(u, 2))


def _integrate(
    value: Floats,
    rows: Ints,
    edges: Floats,
    nodes: int,
    mean: Floats,
    spread: Floats,
    products: Products,
) -> None:
    """Fill in `value` of `rows`, with `nodes` Gauss–Legendre nodes between any two neighbouring edges."""
    x, weight = _rule(nodes)
    u = mean.shape[1]
    held = min(value.shape[1], 2 ** ((u + 1) // 2))
    size = max(1, _AT_ONCE // ((edges.shape[1] - 1) * nodes * (u + held) + value.shape[1]))
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        row, edge = rows[part], edges[part]
        half = np.diff(edge, axis=1)[:, :, None] / 2
        t = (edge[:, :-1, None] + half * (1 + x)).reshape(len(row), 1, -1)
        w = (half * weight).reshape(len(row), 1, -1)
        mu, sigma = mean[row, :, None], spread[row, :, None]
        # A model without spread is a step; steps are edges, so no node ever lies on one.
        z = (t - mu) / np.where(sigma > 0, sigma, np.finfo(float).tiny ** 0.5)
        value[row] = edge[:, -1:] - products(ndtr(z), w)


@cache
def _rule(nodes: int) -> tuple[Floats, Floats]:
    return np.polynomial.legendre.leggauss(nodes)


def products_of_sets(cdf: Floats, weight: Floats, most: int | None = None) -> Floats:
    """Return Σ_t w_t Π_{i in N} cdf_i(t) for all sets N, or those of at most `most` models, shape (m, sets)."""
    m, u, nodes = cdf.shape
    listed = number_of_sets(u, most)
    # Few of all sets are formed one by one, for the product of matrices knows all or none.
    if _FEW * listed < 2**u:
        value, step = np.empty((m, listed)), max(1, _AT_ONCE // (listed * nodes))
        for rows in (slice(first, first + step) for first in range(0, m, step)):
            table = _products(cdf[rows], most)
            value[rows] = np.matmul(table, weight[rows].transpose(0, 2, 1))[:, :, 0]
        return value
    first, second = (_products(part) for part in (cdf[:, : u // 2], cdf[:, u // 2 :]))
    value = np.matmul(second, (first * weight).transpose(0, 2, 1)).reshape(m, 2**u)
    return value if most is None or listed == 2**u else value[:, sizes(u) <= most]


def _products(cdf: Floats, most: int | None = None) -> Floats:
    """Return Π_{i in N} cdf_i(t) for all sets N, or those of at most `most` models, shape (m, sets, T)."""
    return _doubled(np.ones((len(cdf), 1, cdf.shape[2])), cdf.transpose(1, 0, 2), np.multiply, most)


def products_of_prefixes(cdf: Floats, weight: Floats) -> Floats:
    """Return Σ_t w_t Π_{i < j} cdf_i(t) for j = 0, …, u, shape (m, u + 1)."""
    products = np.cumprod(np.concatenate([np.ones_like(weight), cdf], axis=1), axis=1)
    return (products * weight).sum(axis=2)
