r"""Upper concave envelopes of (cost, value) points and their λ-breakpoints: the geometry that everything shares.

Whatever a strategy may do next is a *plan*, a point in the plane of cost and value. At price λ (value per unit of
cost) the best plan maximises value − λ·cost: it is where a line of slope λ touches the upper concave envelope of the
plans. As λ falls from ∞ to 0 the tangent rolls along the envelope from the cheapest plan to the best one, and the
λ-axis splits into *segments* with one plan each.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import Bools, Floats, Ints

# Points looked at in one go: so few that all arrays of a step stay in the processor's cache.
_AT_ONCE = 2**17


class Segments(NamedTuple):
    """The best plan of each row on every stretch of the λ-axis, for a batch of rows.

    All fields are flat arrays of the same length, sorted by `row` and, within a row, by falling price. The segments
    of a row tile [0, ∞): the plan at position `index` is best for every price with ``low <= lam < high`` (and, as one
    of a tie, also at ``lam == high``).
    """

    row: Ints
    index: Ints  # type: ignore[assignment]  # in place of the method that tuples have
    high: Floats
    low: Floats

    def at(self, lam: float, expensive_ties: Bools) -> Ints:
        """Return the plan of every row at the price `lam`, int (m,); see `at_price` for ties.

        Examples
        --------
        >>> found = segments([[1.0, 3.0]], [[0.0, 1.0]])
        >>> [found.at(0.5, np.array([tie])) for tie in (False, True)]
        [array([0]), array([1])]
        """
        return self.index[at_price(self.row, self.low, lam, expensive_ties)]


def segments(cost: ArrayLike, value: ArrayLike) -> Segments:
    r"""Split the λ-axis of every row by the plan that maximises :math:`\tau_p = v_p - \lambda c_p`.

    Parameters
    ----------
    cost, value : array_like, shape (m, p)
        The points of p plans in each of m ≥ 1 rows. A plan that does not exist in some row has value −∞.

    Returns
    -------
    Segments
        At most p segments a row; the first has ``high = inf``, the last ``low = 0``. Among plans that are equally
        good at a price the cheapest is best; a plan in the middle of an edge of the envelope never appears.

    Raises
    ------
    ValueError
        If the shapes differ, or a row has no plan of finite value.

    Notes
    -----
    Gift wrapping, vectorised over the rows: from the current plan go to the one reached by the steepest rise, the
    most expensive if several lie on that line. This takes O(p) work for each vertex, and envelopes are short.

    References
    ----------
    Chapter "Optimal routing". The multiple-choice knapsack view is that of Sinha and Zoltners (1979).

    Examples
    --------
    Three plans; the middle one lies below the line through the others and is never best:

    >>> segments([[1.0, 2.0, 3.0]], [[0.0, 0.4, 1.0]])
    Segments(row=array([0, 0]), index=array([0, 2]), high=array([inf, 0.5]), low=array([0.5, 0. ]))
    """
    cost, value = np.asarray(cost, dtype=float), np.asarray(value, dtype=float)
    if cost.shape != value.shape or cost.ndim != 2:
        raise ValueError(f"cost and value must have one common shape (m, p); got {cost.shape} and {value.shape}.")
    exists = np.isfinite(value).any(axis=1)
    if not exists.all():
        row = int(np.flatnonzero(~exists)[0])
        raise ValueError(f"row {row} has no plan of finite value: every row needs at least one.")
    size = max(1, _AT_ONCE // max(1, cost.shape[1]))
    starts = range(0, len(cost), size)
    parts = [_gift_wrap(cost[start : start + size], value[start : start + size]) for start in starts]
    parts = [part._replace(row=part.row + start) for part, start in zip(parts, starts, strict=True)]
    return Segments(*(np.concatenate(fields) for fields in zip(*parts, strict=True)))


def _gift_wrap(cost: Floats, value: Floats) -> Segments:
    """Find the segments of a few rows, one vertex of all envelopes after the other."""
    rows, plan = np.arange(len(cost)), _cheapest_plan(cost, value)
    high = np.full(len(cost), np.inf)
    found = []
    while rows.size:
        slope, follower = _steepest_rise(cost, value, plan)
        # Rounding may let a later slope exceed an earlier one by an ulp; the envelope is concave, so cap it.
        low = np.minimum(slope, high)
        found.append((rows, plan, high, low))
        on = low > 0
        rows, plan, high = rows[on], follower[on], low[on]
        cost, value = (cost, value) if on.all() else (cost[on], value[on])
    row, plan, high, low = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(row, kind="stable")
    return Segments(row[order], plan[order], high[order], low[order])


def at_price(row: Ints, low: Floats, lam: float, expensive_ties: Bools) -> Ints:
    """Return the position of each row's segment at the price `lam`.

    Parameters
    ----------
    row, low : arrays of one length
        Of the segments of m rows, as in `Segments`.
    lam : float
        The price, in [0, ∞].
    expensive_ties : bool array, shape (m,)
        Where True, a tie at exactly `lam` goes to the most expensive of the tied plans on the envelope (the limit from
        lower prices); elsewhere to the cheapest.

    Returns
    -------
    int array, shape (m,)

    Examples
    --------
    >>> segs = segments([[1.0, 3.0]], [[0.0, 1.0]])
    >>> [at_price(segs.row, segs.low, 0.5, np.array([tie])) for tie in (False, True)]
    [array([0]), array([1])]
    """
    # Segments fall in price within a row, so the plan is the first one whose range reaches down to lam; where ties
    # go to the expensive side a range must reach below lam. At lam = 0 nothing lies below, and the last plan stands.
    reaches = np.where(expensive_ties[row] & (low > 0), low < lam, low <= lam)
    candidates = np.flatnonzero(reaches)
    _, first = np.unique(row[candidates], return_index=True)
    return candidates[first]


def hull(cost: ArrayLike, quality: ArrayLike) -> Ints:
    """Return the models on the upper concave hull of k points (cost, quality), cheapest first.

    Mixing neighbours on the hull is the best that can be done without looking at the query.

    Parameters
    ----------
    cost, quality : array_like, shape (k,)
        Mean cost and mean quality of each model.

    Returns
    -------
    int array
        Positions of the hull's vertices, from the cheapest point to the one of highest quality.

    Examples
    --------
    >>> hull([1.0, 2.0, 3.0, 4.0], [0.5, 0.6, 0.9, 0.8])
    array([0, 2])
    """
    return segments(np.asarray(cost)[None], np.asarray(quality)[None]).index


def _cheapest_plan(cost: Floats, value: Floats) -> Ints:
    """Return the plan for an infinite price: the cheapest, and the best of those that cost the same."""
    exists = np.isfinite(value)
    least = np.where(exists, cost, np.inf).min(axis=1, keepdims=True)
    return np.where(exists & (cost == least), value, -np.inf).argmax(axis=1)


def _steepest_rise(cost: Floats, value: Floats, plan: Ints) -> tuple[Floats, Ints]:
    """Return, for each row, the largest slope from `plan` to a more expensive and better plan (or 0), and that plan."""
    here = plan[:, None]
    run = cost - np.take_along_axis(cost, here, axis=1)
    rise = value - np.take_along_axis(value, here, axis=1)
    slope = np.zeros_like(run)
    with np.errstate(over="ignore"):  # a rise over a denormal cost may overflow to an infinite price: that is right
        np.divide(rise, run, out=slope, where=(run > 0) & (rise > 0))
    best = slope.max(axis=1)
    return best, np.where(slope == best[:, None], cost, -np.inf).argmax(axis=1)
