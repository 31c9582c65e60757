r"""The cost–quality curve of a strategy at every price at once, and the two curves that frame all others.

A `Frontier` holds what a strategy really cost and achieved on n queries as λ falls from ∞ to 0. Below it lies the
hull of the single models, which needs no strategy; above it the omniscient bound, which no router can beat.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.integrate import trapezoid
from scipy.sparse import csr_array

from .. import _checks
from .._arrays import Bools, Floats, Ints
from ..outcomes import Outcomes
from .bootstrap import Comparison, Saving

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Bootstrap replicates follow a curve at this many points at most: enough to fix an AUC to a few parts in a million.
_REPLICATE_POINTS = 2_000
# Bootstrap weights held in memory at once (160 MB).
_WEIGHTS_AT_ONCE = 20_000_000
# Two means of qualities count as equal if they differ by no more than this, ...
_ROUNDING = 1e-12
# ... and two means of costs if they differ by no more than this share: the same numbers may be added in another order.
_SHARE = 2.0**-40


class Leaves(NamedTuple):
    """How every query ends on every stretch of the λ-axis: flat arrays, in any order.

    For prices in [``low``, ``high``) the query ``query`` ends with the realised ``cost`` and ``quality``. The
    stretches of one query tile [0, ∞).
    """

    query: Ints
    high: Floats
    low: Floats
    cost: Floats
    quality: Floats


class Steps(NamedTuple):
    """Leaves as differences, by falling price: passing below ``price`` adds ``cost`` and ``quality`` to a query."""

    query: Ints
    price: Floats
    cost: Floats
    quality: Floats


@dataclass(frozen=True, eq=False, repr=False)
class Frontier:
    r"""A cost–quality curve, exact for all prices λ; made by strategies, `single_models` and `omniscient`.

    Point j is what was really spent and achieved, per query on average, at every price with
    ``lam[j] <= price < lam[j - 1]`` (``lam[-1]`` standing for ∞). The points run from the cheapest to the most
    expensive; between neighbours lie the mixtures of both, so the curve is linear there.

    Parameters
    ----------
    name : str
        What the curve shows, used in legends and tables.
    outcomes : Outcomes
        The queries played, n of them.
    lam : float array, shape (p,)
        Prices in quality per unit of cost, falling, the last one 0. Playing at ``lam[j]`` gives point j.
    cost : float array, shape (p,)
        Mean realised cost per query, in ``outcomes.cost_unit``.
    quality : float array, shape (p,)
        Mean realised quality.
    steps : Steps
        What each query contributes, for resampling.

    Examples
    --------
    >>> from cascade_lib import omniscient, single_models
    >>> pool = Outcomes([[0, 1], [1, 1]], [[1, 5], [1, 5]], models=["small", "large"])
    >>> omniscient(pool)
    omniscient: 2 points, cost 1 to 3, quality 0.5 to 1, AUC 0.8750
    """

    name: str
    outcomes: Outcomes
    lam: Floats
    cost: Floats
    quality: Floats
    steps: Steps

    @classmethod
    def from_leaves(cls, name: str, outcomes: Outcomes, leaves: Leaves) -> Frontier:
        """Pool how all queries end into one curve: sort every change by price and add them up.

        Parameters
        ----------
        name : str
            What the curve shows.
        outcomes : Outcomes
            The n queries played.
        leaves : Leaves
            How they ended.
        """
        steps = _steps(leaves)
        last = np.flatnonzero(np.append(_changes(steps.price), True))
        n = len(outcomes)
        return cls(
            name=name,
            outcomes=outcomes,
            lam=np.append(steps.price[last[1:]], 0.0),
            cost=_running_mean(steps.cost, last, n),
            quality=_running_mean(steps.quality, last, n),
            steps=steps,
        )

    @cached_property
    def budget(self) -> Floats:
        """The mean cost per query that must be granted to get as far as each point: the running maximum of `cost`.

        It starts at the cheapest point, since no budget needs the points before. The two differ only where estimates of
        cost were so wrong that a lower price happened to spend less.
        """
        granted, _ = _by_budget(self.cost, self.quality)
        return np.append(np.full(len(self.cost) - len(granted), granted[0]), granted)

    def quality_at(self, cost: ArrayLike) -> Floats:
        """Return the mean quality that a mean cost per query buys; NaN below the cheapest point.

        The curve is read against `budget`. Where its cost has fallen for a while as the price fell, a flat step of the
        budget hides what happens in between, and this is not exactly what a policy at `price_for` the same budget gets.

        Examples
        --------
        >>> from cascade_lib import omniscient, single_models
        >>> pool = Outcomes([[0, 1], [1, 1]], [[1, 5], [1, 5]])
        >>> omniscient(pool).quality_at([0.5, 2, 100])
        array([ nan, 0.75, 1. ])
        """
        budget, quality = _by_budget(self.cost, self.quality)
        cost, least = np.asarray(cost, dtype=float), budget[0]
        # The mean cost of a model is that of the point where it runs alone, whatever the order in which it was summed.
        cost = np.where(cost >= least * (1 - _SHARE), np.maximum(cost, least), cost)
        return np.interp(cost, budget, quality, left=np.nan)

    def cost_at(self, quality: float) -> float:
        """Return the least mean cost per query at which the curve reaches `quality`; ∞ if it never does.

        Examples
        --------
        >>> from cascade_lib import omniscient, single_models
        >>> pool = Outcomes([[0, 1], [1, 1]], [[1, 5], [1, 5]])
        >>> omniscient(pool).cost_at(0.75), omniscient(pool).cost_at(1.1)
        (2.0, inf)
        """
        return _cost_at(self.cost, self.quality, quality)

    def price_for(self, budget: float) -> tuple[float, float]:
        r"""Return the price λ and the share γ of the cheap side of its tie that spend `budget` per query.

        Parameters
        ----------
        budget : float
            Mean cost per query, at least that of the cheapest point (up to rounding). ∞ is allowed.

        Returns
        -------
        lam, gamma : float
            If the budget is slack, λ = 0 and γ = 1. Otherwise γ mixes the points on both sides of λ.

        Raises
        ------
        TypeError
            If `budget` is not a number.
        ValueError
            If it is NaN, or less than the cheapest point costs.

        References
        ----------
        Theorem "optimal routing": :math:`s^* = \gamma s_{min}^\lambda + (1 - \gamma) s_{max}^\lambda`.

        Examples
        --------
        >>> from cascade_lib import omniscient, single_models
        >>> pool = Outcomes([[0, 1], [1, 1]], [[1, 5], [1, 5]])
        >>> omniscient(pool).price_for(2.5)
        (0.25, 0.25)
        """
        least = self.cost.min()
        mend = f"The cheapest this strategy can do here is {least:g} {self.outcomes.cost_unit}".rstrip() + " per query."
        budget = max(_checks.number("budget", budget, low=least * (1 - _SHARE), high=np.inf, mend=mend), least)
        dearer = int(np.searchsorted(self.budget, budget, side="right"))
        if dearer == len(self.budget):
            return 0.0, 1.0
        # Between these two points the cost first exceeds the budget; mixing them spends it exactly.
        low, high = self.cost[dearer - 1], self.cost[dearer]
        return float(self.lam[dearer - 1]), float((high - budget) / (high - low))

    def price_reaching(self, quality: float) -> tuple[float, float]:
        r"""Return the price λ and the share γ of the cheap side of its tie that reach `quality` at the least cost.

        Raises
        ------
        TypeError
            If `quality` is not a number.
        ValueError
            If it is NaN, or more than the curve ever reaches.

        Examples
        --------
        >>> from cascade_lib import omniscient, single_models
        >>> pool = Outcomes([[0, 1], [1, 1]], [[1, 5], [1, 5]])
        >>> omniscient(pool).price_reaching(0.875)
        (0.25, 0.25)
        """
        best = self.quality.max()
        mend = f"The best this strategy does here is {best:g}, for {self.cost_at(best):g} {self.outcomes.cost_unit}"
        mend = mend.rstrip() + " per query."
        quality = min(_checks.number("quality", quality, low=-np.inf, high=best + _ROUNDING, mend=mend), best)
        dearer = int(np.flatnonzero(self.quality >= quality)[0])
        if dearer == 0:
            return float(self.lam[0]), 1.0
        low, high = self.quality[dearer - 1], self.quality[dearer]
        return float(self.lam[dearer - 1]), float((high - quality) / (high - low))

    def auc(self) -> float:
        r"""Return the area under the curve between the cheapest and the most expensive single model, over that width.

        This is a mean quality over all budgets in that range. A curve that starts later begins at the lowest quality
        of any single model; one that ends earlier is extended flat. If all models cost the same there is no width,
        and the quality at that cost is returned.

        References
        ----------
        Dekoninck, Baader and Vechev (2025), section on experiments.
        """
        return float(_auc(self.cost, self.quality, self.outcomes.cost.mean(axis=0), self.outcomes.quality.mean(axis=0)))

    def bootstrap(self, resamples: int = 1_000, *, seed: int = 0) -> Floats:
        """Return the AUC on `resamples` samples of as many queries drawn with replacement.

        With the same seed, two curves on the same outcomes see the same samples: their differences are paired.

        Returns
        -------
        float array, shape (resamples,)

        Warns
        -----
        UserWarning
            If rows with the same label differ in quality or cost: perhaps the labels name groups and not queries.

        Notes
        -----
        Rows with the same label in ``outcomes.query.index`` are copies of one query, as `Outcomes.resample` makes them;
        they are drawn together, since copies are no new evidence. So give every query a label of its own.

        Prices stay attached to queries, so a replicate needs no replay: its curve is a reweighted sum of steps. The
        price range, and hence the width of the area, is redrawn with the queries. Time grows with resamples × n.

        References
        ----------
        Efron and Tibshirani (1993).
        """
        return np.array([_auc(*replicate) for replicate in self._replicates(resamples, seed)])

    def _replicates(self, resamples: float, seed: int) -> Iterator[tuple[Floats, ...]]:
        """Yield what `_reweighted` makes of one resample after the other."""
        mend = "1,000 is a good choice."
        resamples = int(_checks.number("resamples", resamples, low=1, high=1e9, mend=mend))
        query, distinct = pd.factorize(self.outcomes.query.index)
        _warn_of_groups(self.outcomes, query, distinct)
        n, rng = len(distinct), np.random.default_rng(seed)
        chunk = max(1, _WEIGHTS_AT_ONCE // len(query))
        for done in range(0, resamples, chunk):
            weights = rng.multinomial(n, np.full(n, 1 / n), min(chunk, resamples - done))[:, query]
            yield from zip(*self._reweighted(weights), strict=True)

    def _reweighted(self, weights: Ints) -> tuple[Floats, ...]:
        """Return cost and quality of the curve, cost and quality of the models, for each row of weights."""
        weights = weights / weights.sum(axis=1, keepdims=True)
        cost, quality = (np.cumsum((grouped.T @ weights.T).T, axis=1) for grouped in self._grouped_steps)
        return cost, quality, weights @ self.outcomes.cost, weights @ self.outcomes.quality

    def compare(self, other: Frontier, *, resamples: int = 1_000, level: float = 0.95, seed: int = 0) -> Comparison:
        """Compare the AUC with that of another curve on the same outcomes by paired bootstrap.

        Raises
        ------
        ValueError
            If the two curves were not made on the same outcomes.

        Examples
        --------
        >>> from cascade_lib import omniscient, single_models
        >>> pool = Outcomes([[0, 1], [1, 1], [1, 0]], [[1, 5], [1, 5], [1, 5]])
        >>> round(omniscient(pool).compare(single_models(pool), resamples=200).difference, 3)
        0.278
        """
        if self.outcomes.fingerprint != other.outcomes.fingerprint:
            raise ValueError(f"{self.name!r} and {other.name!r} were played on different outcomes; play both on one.")
        _checks.number("level", level, low=0, high=1, mend="Use 0.95 for a 95% interval.")
        replicates = self.bootstrap(resamples, seed=seed) - other.bootstrap(resamples, seed=seed)
        low, high = np.quantile(replicates, [(1 - level) / 2, (1 + level) / 2])
        return Comparison(self.name, other.name, self.auc() - other.auc(), low, high, level)

    def saving(self, model: str, *, resamples: int = 1_000, level: float = 0.95, seed: int = 0) -> Saving:
        r"""Return what it costs to be as good as one single model, and what share of its cost that saves.

        With :math:`c` the least mean cost at which the curve reaches the mean quality of the model, and :math:`c_i` the
        mean cost of the model, the share saved is :math:`1 - c / c_i`. It is negative if the curve is there for more
        than the model costs, and −∞ if it never is.

        Parameters
        ----------
        model : str
            The model, in practice the best one. It should be chosen on other outcomes than these: the best of several
            on the same outcomes is partly the luckiest.
        resamples : int
            On how many samples of the queries all four means are computed anew for the interval.
        level : float
            The confidence level, 0.95 for 95%.
        seed : int
            Seed of the samples.

        Raises
        ------
        ValueError
            If the pool has no such model, or it is free on these outcomes, so that there is nothing to save.

        Examples
        --------
        >>> from cascade_lib import omniscient, single_models
        >>> pool = Outcomes([[0, 1], [1, 1], [1, 0]], [[1, 5], [1, 5], [1, 5]], models=["small", "large"])
        >>> omniscient(pool).saving("large", resamples=200)
        omniscient is as good as large for 1 instead of 5: saved 80% [0%, 80%] (95%, bootstrap)
        """
        if model not in self.outcomes.models:
            raise ValueError(f"model {model!r} is not in this pool; it has {', '.join(self.outcomes.models)}.")
        _checks.number("level", level, low=0, high=1, mend="Use 0.95 for a 95% interval.")
        i = self.outcomes.models.index(model)
        goal, price = self.outcomes.summary[["quality", "cost"]].to_numpy()[i]
        if price == 0:
            raise ValueError(f"{model!r} costs nothing here, so there is no share of its cost to save.")
        cost = self.cost_at(goal - _ROUNDING)
        found = [
            (_cost_at(spent, quality, model_quality[i] - _ROUNDING), model_cost[i])
            for spent, quality, model_cost, model_quality in self._replicates(resamples, seed)
        ]
        # A sample of free calls only, which happens if most are free, says nothing of a share: nothing is saved there.
        shares = np.sort([1 - c / whole if whole > 0 else 0.0 for c, whole in found])
        # Order statistics, for between −∞ and a number there is nothing to interpolate.
        low, high = np.quantile(shares, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
        return Saving(self.name, model, cost, float(price), 1 - cost / price, low, high, level)

    def to_frame(self) -> pd.DataFrame:
        """Return the points of the curve as a table with the columns lam, cost and quality."""
        return pd.DataFrame({"lam": self.lam, "cost": self.cost, "quality": self.quality})

    def plot(self, ax: Axes | None = None, **line: Any) -> Axes:
        """Draw the curve; `line` goes to matplotlib's ``Axes.plot``."""
        from .. import plots

        return plots.frontiers([self], ax=ax, **line)

    def __repr__(self) -> str:
        """Return the name, the ends of the curve and its AUC."""
        ends = (
            f"cost {self.cost[0]:.4g} to {self.cost[-1]:.4g}, quality {self.quality[0]:.4g} to {self.quality[-1]:.4g}"
        )
        return f"{self.name}: {len(self.lam)} points, {ends}, AUC {self.auc():.4f}"

    @cached_property
    def _grouped_steps(self) -> tuple[csr_array, csr_array]:
        """The steps as two sparse (n, groups) matrices, neighbouring prices pooled where there are too many."""
        price = self.steps.price
        group = np.cumsum(np.append(False, _changes(price)))
        points = group[-1] + 1
        if points > _REPLICATE_POINTS:
            group = np.where(group == 0, 0, 1 + (group - 1) * (_REPLICATE_POINTS - 1) // (points - 1))
        shape = (len(self.outcomes), group[-1] + 1)
        cost, quality = (
            csr_array((d, (self.steps.query, group)), shape) for d in (self.steps.cost, self.steps.quality)
        )
        return cost, quality


def _warn_of_groups(outcomes: Outcomes, query: Ints, distinct: pd.Index) -> None:
    """Warn if rows with one label cannot be copies of one query: they will be drawn together all the same."""
    original = np.unique(query, return_index=True)[1][query]
    differs = [(table != table[original]).any(axis=1) for table in (outcomes.quality, outcomes.cost)]
    rows = np.flatnonzero(np.any(differs, axis=0))
    if rows.size:
        warnings.warn(
            f"the {len(query)} rows have only {len(distinct)} labels, and rows with one label differ, first at "
            f"{distinct[query[rows[0]]]!r}: the bootstrap draws labels. If they name groups and not queries, give "
            "every query a label of its own in outcomes.query.index.",
            stacklevel=4,
        )


def _steps(leaves: Leaves) -> Steps:
    """Return the change at the upper end of every leaf, if there is one, sorted by falling price."""
    order = np.lexsort((-leaves.high, leaves.query))
    query, price = leaves.query[order], leaves.high[order]
    first = np.append(True, _changes(query))
    cost, quality = (np.where(first, v, np.diff(v, prepend=0.0)) for v in (leaves.cost[order], leaves.quality[order]))
    change = first | (cost != 0) | (quality != 0)
    falling = np.flatnonzero(change)[np.argsort(-price[change], kind="stable")]
    return Steps(query[falling], price[falling], cost[falling], quality[falling])


def _changes(values: np.ndarray) -> Bools:
    """Return where an entry differs from the one before it, for all but the first; infinite entries are welcome."""
    return values[1:] != values[:-1]


def _running_mean(change: Floats, last: Ints, n: int) -> Floats:
    """Return the mean over n queries after each of the changes at `last`; the first n are where the queries start."""
    start = change[:n].mean()
    return np.append(start, start + np.cumsum(change[n:])[last[1:] - n] / n)


def _by_budget(cost: Floats, quality: Floats) -> tuple[Floats, Floats]:
    """Return the budget and the quality of the points from the cheapest on, which are those that a budget can buy."""
    start = int(cost.argmin())
    return np.maximum.accumulate(cost[start:]), quality[start:]


def _cost_at(cost: Floats, quality: Floats, goal: float) -> float:
    """Return the least budget at which a curve reaches `goal`, or ∞."""
    budget, quality = _by_budget(cost, quality)
    reached = np.flatnonzero(quality >= goal)
    if not reached.size:
        return np.inf
    j = int(reached[0])
    return float(np.interp(goal, quality[[j - 1, j]], budget[[j - 1, j]]) if j else budget[0])


def _auc(cost: Floats, quality: Floats, model_cost: Floats, model_quality: Floats) -> float:
    """Return the area under one curve as `Frontier.auc` defines it."""
    budget, quality = _by_budget(cost, quality)
    low, high = model_cost.min(), model_cost.max()
    if budget[0] > low * (1 + _SHARE):
        budget, quality = np.append(low, budget), np.append(model_quality.min(), quality)
    if low == high:
        return np.interp(low * (1 + _SHARE), budget, quality)
    # Where several points share a budget the curve jumps: it enters the range above a jump and leaves it below one.
    enter, leave = np.searchsorted(budget, low, side="right"), np.searchsorted(budget, high, side="left")
    left, right = np.interp(low, budget, quality), np.interp(high, budget[: leave + 1], quality[: leave + 1])
    heights = np.concatenate([[left], quality[enter:leave], [right]])
    return trapezoid(heights, np.concatenate([[low], budget[enter:leave], [high]])) / (high - low)
