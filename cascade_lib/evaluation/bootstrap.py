"""What the bootstrap says of curves: differences and savings, with intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True, repr=False)
class Comparison:
    """The difference in AUC between two curves on the same queries, with a paired bootstrap interval.

    Parameters
    ----------
    name, other : str
        The two curves; the difference is the first minus the second.
    difference, low, high : float
        The difference on all queries and the ends of its interval, in units of quality.
    level : float
        The confidence level of the interval.
    """

    name: str
    other: str
    difference: float
    low: float
    high: float
    level: float

    def __repr__(self) -> str:
        """Return the difference and its interval in hundredths, as AUCs are usually quoted."""
        low, high = 100 * self.low, 100 * self.high
        interval = f"[{low:.2f}, {high:.2f}] ({self.level:.0%}, paired bootstrap)"
        return f"AUC ×100 of {self.name} − {self.other}: {100 * self.difference:+.2f} {interval}"

    def to_frame(self) -> pd.DataFrame:
        """Return a table with one row."""
        return pd.DataFrame([self.__dict__])


@dataclass(frozen=True, repr=False)
class Saving:
    """What a curve saves at the quality of one single model, with a bootstrap interval.

    Parameters
    ----------
    name, model : str
        The curve and the model.
    cost : float
        The least mean cost per query at which the curve is as good as the model; ∞ if it never is.
    model_cost : float
        The mean cost of the model.
    share, low, high : float
        The share of the model's cost that is saved, at most 1, on all queries, and the ends of its interval.
    level : float
        The confidence level of the interval.
    """

    name: str
    model: str
    cost: float
    model_cost: float
    share: float
    low: float
    high: float
    level: float

    def __repr__(self) -> str:
        """Return the costs and the share saved with its interval."""
        if not np.isfinite(self.cost):
            return f"{self.name} is never as good as {self.model} (interval of the share saved: up to {self.high:.0%})"
        interval = f"[{self.low:.0%}, {self.high:.0%}] ({self.level:.0%}, bootstrap)"
        return (
            f"{self.name} is as good as {self.model} for {self.cost:.4g} instead of {self.model_cost:.4g}: "
            f"saved {self.share:.0%} {interval}"
        )

    def to_frame(self) -> pd.DataFrame:
        """Return a table with one row."""
        return pd.DataFrame([self.__dict__])
