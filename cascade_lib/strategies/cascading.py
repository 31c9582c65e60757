"""Cascades: models run in a fixed order, and the question is when to stop."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite
from numbers import Real
from typing import ClassVar

import numpy as np

from .. import _checks
from ..estimators.base import Beliefs, Estimator
from ..evaluation.frontier import Frontier
from ..outcomes import Outcomes
from .base import PlanningStrategy, Plans, everyone, open_to, whole_numbers

# The quality of a perfect answer, if nothing else is said, and by how much rounding may exceed it.
_PERFECT, _ROUNDING = 1.0, 1e-12


class _InOrder(PlanningStrategy):
    """What cascades share: the models named in `order` run one after the other, and no others."""

    def __init__(self, order: Sequence[int] | None = None) -> None:
        self.order = whole_numbers(order)
        self.depth = None if self.order is None else len(self.order)


class Cascade(_InOrder):
    r"""Optimal cascading: models in a fixed order; stop when no longer prefix is worth its price.

    After j − 1 calls the plans are the prefixes :math:`M_{1:i}` with i ≥ j − 1, each worth
    :math:`\hat q_{1:i}(x) - \lambda \hat c_{1:i}(x)`.

    Parameters
    ----------
    order : sequence of int, optional
        Positions of the models in the order in which they run; a model that is left out never runs. Default: all, in
        the order of the columns.

    References
    ----------
    Dekoninck, Baader and Vechev (2025), theorem on optimal cascading; chapter "Optimal cascading".

    Examples
    --------
    The second model runs only where the first one's answer turned out to be poor:

    >>> from cascade_lib import Outcomes, TabulatedEstimator
    >>> pool = Outcomes([[0, 1], [1, 1]], [[1, 5], [1, 5]])
    >>> guess = TabulatedEstimator([[0.5, 0.9]] * 2, [[0.1, 0.9], [0.8, 0.9]], 0.3, cost_ex_ante=pool.cost)
    >>> Cascade().play(guess, pool, lam=0.05).ran
    array([[ True,  True],
           [ True, False]])
    """

    name, rank = "cascade", 3
    line: ClassVar = {"color": "#e69f00", "linestyle": (0, (5, 1.5))}

    @classmethod
    def suggested(cls, train: Outcomes, *, depth: int | None, ceiling: float) -> Cascade:
        """Return the one that begins with the cheapest model."""
        return cls(_cheapest_first(train))

    def plans(self, beliefs: Beliefs) -> Plans:
        """Return one plan for each prefix that is at least as long as what has run."""
        left = open_to(self.order, beliefs)
        value = beliefs.future(left).prefixes(beliefs.best)
        cost = np.cumsum(beliefs.cost[:, left], axis=1)
        members = np.zeros((len(left) + 1, len(beliefs.ran)), dtype=bool)
        members[:, left] = np.tri(len(left) + 1, len(left), -1, dtype=bool)
        return Plans(np.pad(cost, ((0, 0), (1, 0))), value, members)


class ThresholdCascade(_InOrder):
    r"""The cascade of practice: stop at the first model whose post-hoc estimate reaches a threshold.

    Every call is charged λ, whatever it costs, and the answer to come is taken to be worth `ceiling`, whatever the
    query. So the threshold is `ceiling` − λ, the same for every model unless `step_prices` are set. The answer kept is
    that of the last model run.

    Parameters
    ----------
    order : sequence of int, optional
        Positions of the models in the order in which they run; a model that is left out never runs. Default: all, in
        the order of the columns.
    ceiling : float, optional
        The highest threshold of interest; estimates above it always stop. Default: 1, a perfect answer. Where quality
        has another scale give its largest value, as `study` does: `frontier` and `calibrate` refuse the default there.

    Notes
    -----
    Here λ is a price for a call and not for a unit of cost. So λ and curves of λ cannot be compared with those of other
    strategies; costs, qualities and AUCs can. Policies and tables show the threshold.

    References
    ----------
    Dekoninck, Baader and Vechev (2025), section on thresholding; Chen, Zaharia and Zou (2023).

    Examples
    --------
    >>> from cascade_lib import Outcomes, TabulatedEstimator
    >>> pool = Outcomes([[0, 1], [1, 1]], [[1, 5], [1, 5]])
    >>> guess = TabulatedEstimator([[0.5, 0.9]] * 2, [[0.1, 0.9], [0.8, 0.9]], cost_ex_ante=pool.cost)
    >>> rule = ThresholdCascade()
    >>> rule.play(guess, pool, lam=rule.lam_at(0.7)).ran
    array([[ True,  True],
           [ True, False]])
    """

    name, rank = "threshold cascade", 2
    line: ClassVar = {"color": "#cc79a7", "linestyle": (0, (3, 1, 1, 1, 1, 1))}

    def __init__(self, order: Sequence[int] | None = None, *, ceiling: float | None = None) -> None:
        super().__init__(order)
        if ceiling is not None and (
            isinstance(ceiling, bool) or not isinstance(ceiling, Real) or not isfinite(ceiling)
        ):
            raise TypeError(f"ceiling must be a finite number, the largest quality; got {ceiling!r}.")
        self.ceiling = None if ceiling is None else float(ceiling)

    @classmethod
    def suggested(cls, train: Outcomes, *, depth: int | None, ceiling: float) -> ThresholdCascade:
        """Return the one that begins with the cheapest model and may ask for the best quality."""
        return cls(_cheapest_first(train), ceiling=ceiling)

    def plans(self, beliefs: Beliefs) -> Plans:
        """Return two plans: stop with the last answer, or run the next model and hope for the best."""
        m, left = len(beliefs), open_to(self.order, beliefs)
        stop = beliefs.mean[:, self._last(beliefs)] if beliefs.ran.any() else np.full(m, -np.inf)
        members = np.zeros((2, len(beliefs.ran)), dtype=bool)
        members[1, left[:1]] = True
        value = np.column_stack([stop, np.full(m, self._top if left.size else -np.inf)])
        return Plans(np.tile([0.0, 1.0], (m, 1)), value, members)

    def frontier(self, estimator: Estimator, outcomes: Outcomes) -> Frontier:
        """Play at every threshold at once; see `Strategy.frontier`."""
        most = outcomes.quality.max()
        if self.ceiling is None and most > _PERFECT + _ROUNDING:
            raise ValueError(
                f"quality reaches {most:g} on these outcomes, but the highest threshold of a threshold cascade is "
                f"{_PERFECT:g} by default: give it the quality of a perfect answer, e.g. ceiling={most:g}."
            )
        return super().frontier(estimator, outcomes)

    def lam_at(self, threshold: float) -> float:
        """Return the λ that makes `threshold` the threshold."""
        mend = "The highest is `ceiling`, the quality of a perfect answer."
        return self._top - _checks.number("threshold", threshold, low=-inf, high=self._top, mend=mend)

    def parameters(self, lam: float) -> dict[str, float]:
        """Return the threshold."""
        return {"threshold": self._top - lam}

    @property
    def _top(self) -> float:
        return _PERFECT if self.ceiling is None else self.ceiling

    def choose(self, beliefs: Beliefs) -> np.ndarray:
        """Return the last model that ran."""
        return np.full(len(beliefs), self._last(beliefs))

    def _last(self, beliefs: Beliefs) -> int:
        order = everyone(self.order, len(beliefs.ran))
        return int(order[beliefs.ran[order]][-1])


def _cheapest_first(train: Outcomes) -> list[int]:
    return np.argsort(train.cost.mean(axis=0), kind="stable").tolist()
