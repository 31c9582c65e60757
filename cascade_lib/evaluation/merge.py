"""Curves of more queries than fit in memory: one chunk at a time, pooled into one frontier."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .. import _checks
from .._arrays import Floats
from ..outcomes import Outcomes
from .frontier import Frontier, Leaves


def merge_frontiers(curves: Iterable[Frontier], *, points: int = 2_000) -> Frontier:
    r"""Pool curves of one strategy on different queries into the curve of all of them.

    Parameters
    ----------
    curves : iterable of Frontier
        The curves, e.g. a generator that plays one chunk of queries after the other. Of each only price, cost and
        quality of its points and the means of its models are kept when the next is asked for.
    points : int
        At how many prices the pooled curve is kept: all those of all curves, or evenly chosen ones of them, the first
        and the last included. So both ends of the pooled curve are exact.

    Returns
    -------
    Frontier
        Its rows of ``outcomes`` stand for the chunks, so that its bootstrap resamples chunks.

    Raises
    ------
    ValueError
        If there is no curve, or their models, units or names differ.

    Notes
    -----
    At one price every query is played by itself, so the mean cost and quality of all queries at this price are the
    means over chunks, weighted by their sizes: each point kept is exact. Between points lie mixtures of two exact
    points, which a policy can play; the exact curve may do slightly better there. A chunk of another size than the mean
    enters its row scaled by the ratio, so that the means over rows are those over queries.

    References
    ----------
    Chapter "Scaling out".

    Examples
    --------
    >>> from cascade_lib import omniscient
    >>> chunks = (Outcomes([[0, 1], [1, 1]], [[1, 5], [1, 5]]) for _ in range(3))
    >>> merge_frontiers(omniscient(chunk) for chunk in chunks)
    omniscient: 2 points, cost 1 to 3, quality 0.5 to 1, AUC 0.8750
    """
    points = int(_checks.number("points", points, low=2, high=1e9, mend="2,000 is a good choice."))
    sizes: list[int] = []
    kept: list[tuple[Floats, Floats, Floats]] = []
    models: list[tuple[Floats, Floats]] = []
    first = None
    for curve in curves:
        here = (curve.name, curve.outcomes.models, curve.outcomes.cost_unit)
        first = first or here
        if here != first:
            raise ValueError(f"curve {len(sizes)} is of {here}, but the first of {first}: pool curves of one kind.")
        sizes.append(len(curve.outcomes))
        kept.append((curve.lam, curve.cost, curve.quality))
        models.append((curve.outcomes.cost.mean(axis=0), curve.outcomes.quality.mean(axis=0)))
    if first is None:
        raise ValueError("there is no curve to pool: give at least one.")
    name, names, unit = first
    prices = _some(np.unique(np.concatenate([lam for lam, *_ in kept]))[::-1], points)
    scale = np.array(sizes)[:, None] / np.mean(sizes)
    places = [np.searchsorted(-lam, -prices) for lam, *_ in kept]
    cost, quality = (scale * [curve[which][at] for curve, at in zip(kept, places, strict=True)] for which in (1, 2))
    model_cost, model_quality = (np.array(part) * scale for part in zip(*models, strict=True))
    outcomes = Outcomes(model_quality, model_cost, names, cost_unit=unit)
    chunk = np.repeat(np.arange(len(sizes)), len(prices))
    high, low = (np.tile(ends, len(sizes)) for ends in (np.append(np.inf, prices[:-1]), prices))
    return Frontier.from_leaves(name, outcomes, Leaves(chunk, high, low, cost.ravel(), quality.ravel()))


def _some(prices: Floats, points: int) -> Floats:
    """Return at most `points` of some falling prices, evenly chosen by rank, the first and the last one included."""
    if len(prices) <= points:
        return prices
    return prices[np.linspace(0, len(prices) - 1, points).round().astype(int)]
