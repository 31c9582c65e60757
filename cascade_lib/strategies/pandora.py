"""Pandora's box: the strategy that is best among all that adapt, for independent and coherent beliefs.

The strategies in `strategies` value *sets* of models, as if all their members would run whatever is seen on the way.
Weitzman's rule knows that it may stop at every step, and needs one number for each model to do so.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ..estimators.base import Beliefs
from ..outcomes import Outcomes
from ..theory.envelope import segments
from ..theory.maximum import Law
from .base import STOP, Moves, Strategy

# Between which levels of quality, as shares of the range, a change of the order of two models is looked for, ...
_STEPS = np.linspace(0, 1, 64)
# ... and by how many bisections it is found.
_HALVINGS = 44
# Pairs of a query and a level that are looked at together: few queries would otherwise mean many small steps.
_ROWS_AT_ONCE = 2048


class PandoraRouter(Strategy):
    r"""Weitzman's rule: run the model of the highest reservation value while it exceeds the best answer in hand.

    At price λ the reservation value of model i is the :math:`z_i` with

    .. math:: E[(Q_i - z_i)^+] = \lambda \hat c_i,

    the quality in hand at which running i is just not worth its cost. Models run in falling order of it, until the
    best estimate among those that have run is at least the largest of the rest. The first model always runs.

    Notes
    -----
    If the estimates :math:`Q_i` are independent, and means of what will be thought later, no strategy has a larger
    expected quality − λ · cost, however it adapts; the expectation is :math:`E[\max_i \min(Q_i, z_i)]`. Estimates of
    real models are neither quite independent nor quite coherent, and then the rule is a heuristic.

    For one price a decision takes O(u log u) steps for u models left, where valuing all sets takes :math:`O(2^u)`.
    Models are compared for all prices at once: :math:`z_i` exceeds the quality z if and only if λ is less than
    :math:`\lambda_i(z) = E[(Q_i - z)^+] / \hat c_i`. So stopping prices are exact, and two models change places at the
    price at which two of these curves cross. Crossings are looked for between 64 levels of quality and then found to
    rounding; a model that comes first only between two neighbouring levels, hardly a gain, may be missed.

    References
    ----------
    Weitzman (1979); Kleinberg, Waggoner and Weyl (2016) for the value; chapter "Pandora's box".

    Examples
    --------
    The large model may be worth 1 or 0.4: an uncertain box is opened before a sure one of the same mean.

    >>> from cascade_lib import Outcomes, TabulatedEstimator
    >>> pool = Outcomes([[0.7, 1.0]], [[1, 1]])
    >>> guess = TabulatedEstimator([[0.7, 0.7]], pool.quality, [[0.0, 0.3]], cost_ex_ante=pool.cost)
    >>> PandoraRouter().play(guess, pool, lam=0.05).order
    array([[ 1, -1]])
    """

    name, slug, rank = "Pandora's box", "pandora", 5
    line: ClassVar = {"color": "#009e73", "linestyle": (0, (9, 1.5))}

    @classmethod
    def suggested(cls, train: Outcomes, *, depth: int | None, ceiling: float) -> PandoraRouter | None:
        """Return the one there is, unless depth is limited: it has no limit."""
        return cls() if depth is None else None

    def moves(self, beliefs: Beliefs) -> Moves:
        """Return the model of the highest reservation value, or STOP, on every stretch of prices."""
        left, m = beliefs.left, len(beliefs)
        if not len(left):
            return Moves(np.arange(m), np.full(m, STOP), np.full(m, np.inf), np.zeros(m))
        law, cost, best = beliefs.future(left), beliefs.cost[:, left], beliefs.best
        lowest, highest = law.reach()
        nothing = not beliefs.ran.any()
        start = lowest.min(axis=1) if nothing else best
        level, model = _order(law, cost, start, np.maximum(highest.max(axis=1), start))
        # Falling prices: those at which the first model starts to be worth it, then those of the changes.
        price = np.column_stack([_price(law, cost, z).max(axis=1) for z in np.nan_to_num(level, posinf=0.0).T])
        price = np.minimum.accumulate(np.where(np.isfinite(level), price, 0.0), axis=1)
        rows = np.repeat(np.arange(m), model.shape[1])
        found = Moves(rows, left[model.ravel()], price[:, :-1].ravel(), price[:, 1:].ravel())
        if nothing:
            # All mass lies above `start`, so that z_i = mean − λ · cost for all prices that are higher still.
            sure = segments(cost, beliefs.mean[:, left])
            above = Moves(sure.row, left[sure.index], sure.high, np.maximum(sure.low, price[sure.row, 0]))
        else:
            above = Moves(np.arange(m), np.full(m, STOP), np.full(m, np.inf), price[:, 0])
        return _sorted(above, found)


def _price(law: Law, cost: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Return λ_i(z), shape (m, u), for one level z in every row: ∞ for models that are free and may be better."""
    gain = np.maximum(law.alone(level) - level[:, None], 0.0)
    with np.errstate(divide="ignore", over="ignore"):
        return np.divide(gain, cost, out=np.zeros_like(gain), where=gain > 0)


def _first(law: Law, cost: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Return the model of the highest price at every level, for levels of shape (m, g); several levels at a time."""
    m, size = levels.shape
    step = max(1, _ROWS_AT_ONCE // max(m, 1))
    parts = []
    for start in range(0, size, step):
        part = levels[:, start : start + step]
        rows = np.repeat(np.arange(m), part.shape[1])
        parts.append(_price(law.take(rows), cost[rows], part.ravel()).argmax(axis=1).reshape(part.shape))
    return np.concatenate(parts, axis=1)


def _order(law: Law, cost: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the levels between which one model has the highest reservation value, and which one.

    Levels are of shape (m, e + 1), from `low` upwards, then ∞; models of shape (m, e).
    """
    m = len(low)
    knots = np.concatenate([*law.reach(), law.mean, low[:, None] + (high - low)[:, None] * _STEPS], axis=1)
    grid = np.sort(np.clip(knots, low[:, None], high[:, None]), axis=1)
    first = _first(law, cost, grid)
    row, cell = np.nonzero(first[:, 1:] != first[:, :-1])
    below, above, model, last = grid[row, cell], grid[row, cell + 1], first[row, cell], first[row, cell + 1]
    found = [(np.arange(m), low, first[:, 0])]
    # A cell in which the order changes more often than there are models holds nothing but rounding.
    for _ in range(cost.shape[1]):
        here, left, right = law.take(row), below, above
        for _ in range(_HALVINGS):
            middle = (left + right) / 2
            same = _price(here, cost[row], middle).argmax(axis=1) == model
            left, right = np.where(same, middle, left), np.where(same, right, middle)
        follower = _price(here, cost[row], right).argmax(axis=1)
        found.append((row, right, follower))
        # Where a third model comes first in between, its end is looked for in the rest of the cell.
        on = (follower != last) & (right < above)
        row, below, above, model, last = row[on], right[on], above[on], follower[on], last[on]
        if not row.size:
            break
    row, level, model = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((level, row))
    count = np.bincount(row, minlength=m)
    place = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    levels = np.full((m, count.max(initial=1) + 1), np.inf)
    models = np.zeros((m, levels.shape[1] - 1), dtype=int)
    levels[row[order], place], models[row[order], place] = level[order], model[order]
    return levels, models


def _sorted(*parts: Moves) -> Moves:
    """Join moves, drop the empty ones and sort by row and falling price."""
    row, model, high, low = (np.concatenate(fields) for fields in zip(*parts, strict=True))
    order = np.lexsort((-low, -high, row))
    order = order[high[order] > low[order]]
    return Moves(row[order], model[order], high[order], low[order])
