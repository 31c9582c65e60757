"""From outcomes to a recommendation: every strategy on the same held-out queries, with the simplest good one named.

A study is what one would do by hand with a log: set some queries aside, learn estimates from the rest, draw every
strategy's curve on the queries set aside, and ask whether the differences are real.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from html import escape
from math import comb
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.base import clone
from tqdm import tqdm

from .. import _checks
from ..deploy.policy import Policy
from ..estimators.diagnostics import Diagnosis, diagnose
from ..estimators.learned import LearnedEstimator
from ..outcomes import Outcomes
from ..strategies.base import Strategy, registered
from . import _findings
from .baselines import omniscient, single_models
from .bootstrap import Comparison
from .frontier import Frontier

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Every set of models that is looked at costs a fit of the estimator.
_SETS = 128
_BUDGETS = 7
_FEWEST = 30


@dataclass(frozen=True, eq=False, repr=False)
class Study:
    """Strategies on held-out queries; made by `study`.

    Parameters
    ----------
    train, calibration, test : Outcomes
        The queries that estimates were learned from, those that budgets are fitted on, and those that judge.
    estimator : LearnedEstimator
        Fitted on `train`.
    strategies : mapping of str to Strategy
        From the simplest to the most general.
    curves : mapping of str to Frontier
        One for every strategy, on `test`, between those of ``single models`` and ``omniscient``.
    resamples, seed : int
        Of the bootstrap.
    """

    train: Outcomes
    calibration: Outcomes
    test: Outcomes
    estimator: LearnedEstimator
    strategies: Mapping[str, Strategy]
    curves: Mapping[str, Frontier]
    resamples: int
    seed: int

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per curve: AUC × 100, its lead over the single models with a 95% interval, and what it saves.

        `cost at best` is the least mean cost at which the curve reaches the mean quality of `best`, and `saved` the
        share of that model's cost that this saves, with its interval; −∞ if it never does, NaN if that model is free.
        """
        hull, room = self.curves["single models"], self.curves["omniscient"]
        free = self.test.summary.loc[self.best, "cost"] == 0
        width = room.auc() - hull.auc()
        rows = {}
        for name, curve in self.curves.items():
            lead = self.lead(name, "single models")
            saving = None if free else curve.saving(self.best, resamples=self.resamples, seed=self.seed)
            rows[name] = {
                "AUC": 100 * curve.auc(),
                "lead": 100 * lead.difference,
                "low": 100 * lead.low,
                "high": 100 * lead.high,
                "of omniscient": lead.difference / width if width > 0 else np.nan,
                "cost at best": saving.cost if saving else np.nan,
                "saved": saving.share if saving else np.nan,
                "saved low": saving.low if saving else np.nan,
                "saved high": saving.high if saving else np.nan,
            }
        return pd.DataFrame(rows).T

    @property
    def best(self) -> str:
        """The best single model, chosen on the training queries."""
        return str(self.train.summary["quality"].idxmax())

    @cached_property
    def recommended(self) -> str:
        """The simplest strategy, mixing single models included, that the best one does not clearly beat.

        Clearly means that the 95% paired bootstrap interval of the difference in AUC lies above 0. Choosing by the test
        queries makes the chosen one look a little better there than it is.
        """
        candidates = ["single models", *self.strategies]
        best = max(candidates, key=lambda name: self.curves[name].auc())
        for name in candidates:
            if name == best or self.lead(best, name).low <= 0:
                return name
        raise AssertionError("the best is as good as itself")

    @property
    def deployed(self) -> str:
        """The strategy to make policies of: the recommended one, or routing if that is to mix single models."""
        return self.recommended if self.recommended in self.strategies else "routing"

    @cached_property
    def diagnosis(self) -> Diagnosis:
        """How good the estimates are on the test queries, before and after each model's call."""
        return diagnose(self.estimator, self.test)

    @property
    def words(self) -> list[str]:
        """The findings in sentences: the answer, what to do and why, and what that rests on."""
        return _findings.sentences(self)

    def lead(self, name: str, other: str) -> Comparison:
        """Compare the AUC of two curves, by their names, with a 95% interval."""
        if (name, other) not in self._leads:
            options = {"resamples": self.resamples, "seed": self.seed}
            self._leads[name, other] = self.curves[name].compare(self.curves[other], **options)
        return self._leads[name, other]

    @cached_property
    def _leads(self) -> dict[tuple[str, str], Comparison]:
        """What `lead` has found, for it takes a while."""
        return {}

    def month(self, queries_per_day: float) -> str:
        """Return in a sentence what the recommended strategy saves in a month of 30 days with so many queries."""
        return _findings.month(self, queries_per_day)

    @cached_property
    def first_budget(self) -> float | None:
        """A budget to begin with, that the recommended strategy can keep; None if no strategy is recommended.

        It is where the curve has the quality of the best single model for less; if it never has, where the curve is
        furthest above mixing single models.
        """
        return _findings.budget(self)

    def policy(
        self, *, budget: float | None = None, quality: float | None = None, strategy: str | None = None
    ) -> Policy:
        """Fit a strategy to a budget, or to a quality to reach, on the calibration queries.

        The estimator has not seen these, so that ties fall at the same prices as with new queries.

        Parameters
        ----------
        budget, quality : float
            One of them; see `Strategy.calibrate`.
        strategy : str, optional
            A name in `strategies`. Default: `deployed`.

        Raises
        ------
        ValueError
            If there is no such strategy, or the request cannot be met; see `Strategy.calibrate`.
        """
        name = strategy or self.deployed
        if name not in self.strategies:
            raise ValueError(f"there is no strategy {name!r} in this study; there are {', '.join(self.strategies)}.")
        return self.strategies[name].calibrate(self.estimator, self.calibration, budget=budget, quality=quality)

    def budgets(self, strategy: str | None = None) -> pd.DataFrame:
        """Fit policies to a ladder of budgets on the calibration queries and play them on the test queries.

        One row per budget, evenly spaced on a log scale between the least that the strategy can spend and the mean cost
        of the most expensive model: λ or the threshold, γ, realised cost with its 95% interval, and realised quality.
        """
        name = strategy or self.deployed
        curve = self.strategies[name].frontier(self.estimator, self.calibration)
        low = max(curve.budget[0], 1e-3 * curve.budget[-1])
        high = max(self.calibration.cost.mean(axis=0).max(), low)
        rows = {}
        for budget in np.unique(np.geomspace(low, high, _BUDGETS) if low > 0 else [0.0]):
            lam, gamma = curve.price_for(budget)
            expensive_ties = np.random.default_rng(self.seed).random(len(self.test)) >= gamma
            play = self.strategies[name].play(self.estimator, self.test, lam=lam, expensive_ties=expensive_ties)
            half = 1.96 * play.cost.std() / np.sqrt(len(self.test))
            rows[budget] = {
                **self.strategies[name].parameters(lam),
                "gamma": gamma,
                "cost": play.cost.mean(),
                "low": play.cost.mean() - half,
                "high": play.cost.mean() + half,
                "quality": play.quality.mean(),
            }
        return pd.DataFrame(rows).T.rename_axis("budget")

    def to_frame(self) -> pd.DataFrame:
        """Return `table`."""
        return self.table

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw all curves and single models, with the recommended curve and what it saves brought out."""
        from .. import plots

        return plots.saving(
            list(self.curves.values()), self.recommended, self.best if _findings.saves(self) else None, ax=ax
        )

    def __repr__(self) -> str:
        """Return the findings in sentences and a table of all curves, in lines that fit a page."""
        table = _findings.overview(self, "single models").to_string()
        return "\n".join([*map(_findings.wrapped, self.words), "", table, _findings.wrapped(_findings.legend(self))])

    def _repr_html_(self) -> str:
        first, *rest = (escape(_findings.unbroken(line)) for line in self.words)
        lines = [f"<strong>{first}</strong>", *rest]
        return "".join(
            [
                *(f"<p>{line}</p>" for line in lines),
                _findings.overview(self, "single models", self.recommended).to_html(),
            ]
        )


def study(
    outcomes: Outcomes,
    *,
    estimator: LearnedEstimator | None = None,
    test: float = 0.4,
    depth: int | None = None,
    seed: int = 0,
    resamples: int = 1_000,
    progress: bool = False,
) -> Study:
    """Compare all strategies on a part of some outcomes, with estimates learned from the rest.

    Parameters
    ----------
    outcomes : Outcomes
        A log with features, at least 30 queries.
    estimator : LearnedEstimator, optional
        What learns; a copy of it is fitted. Default: `LearnedEstimator` with this seed.
    test : float
        The share of queries to judge on, between 0 and 1. Of the rest three quarters serve to learn from.
    depth : int, optional
        The largest number of models that cascade routing runs on one query. Default: the largest for which at most 128
        sets of models need to be learned; 7 models or fewer have no limit.
    seed : int
        Of the split, the estimator's folds and the bootstrap.
    resamples : int
        Bootstrap replicates.
    progress : bool
        Whether to show a progress bar on the error stream.

    Returns
    -------
    Study

    Raises
    ------
    ValueError
        If an option is out of range, there are too few queries, or a feature cannot be learned from.

    Notes
    -----
    The Pandora rule is only tried where all sets of models may be learned, since it has no limit of depth.

    References
    ----------
    Chapter "Your own logs".

    Examples
    --------
    >>> right = np.random.default_rng(0).random((300, 2)) < [0.5, 0.9]
    >>> log = Outcomes(right, np.tile([1.0, 5.0], (300, 1)), answer_features={"score": np.where(right, 0.9, 0.1)})
    >>> study(log, resamples=200).recommended
    'threshold cascade'
    """
    test = _checks.number("test", test, low=0.05, high=0.95, mend="It is the share of queries to judge on.")
    if len(outcomes) < _FEWEST:
        raise ValueError(
            f"{len(outcomes)} queries are too few to learn from and judge on; at least {_FEWEST} are needed."
        )
    if depth is not None and depth < 1:
        raise ValueError(f"depth must be at least 1 model per query; got {depth}.")
    rest = 1 - test
    train, calibration, held_out = outcomes.split(0.75 * rest, 0.25 * rest, test, seed=seed)
    # A copy, so that policies of another study with the same estimator do not change.
    estimator = (LearnedEstimator(seed=seed) if estimator is None else clone(estimator)).fit(train)
    strategies = _strategies(train, depth, ceiling=float(outcomes.quality.max()))
    curves = {"single models": single_models(held_out)}
    for name, strategy in tqdm(strategies.items(), desc="playing strategies", disable=not progress):
        curves[name] = strategy.frontier(estimator, held_out)
    curves["omniscient"] = omniscient(held_out)
    return Study(train, calibration, held_out, estimator, strategies, curves, resamples, seed)


def candidates() -> dict[str, type[Strategy]]:
    """Return the classes that a study tries, by their names: those that say themselves what is to be tried of them."""
    return {kind.name: kind for kind in registered().values() if "suggested" in vars(kind)}


def _strategies(train: Outcomes, depth: int | None, *, ceiling: float) -> dict[str, Strategy]:
    """Return the strategies from the simplest to the most general, for a quality of at most `ceiling`."""
    depth = depth or _affordable(train.k)
    found = {name: kind.suggested(train, depth=depth, ceiling=ceiling) for name, kind in candidates().items()}
    return {name: strategy for name, strategy in found.items() if strategy is not None}


def _affordable(k: int) -> int | None:
    """Return the largest depth at which not too many sets of models need to be learned; None if all may be."""
    sizes = np.cumsum([comb(k, size) for size in range(k + 1)])
    return None if sizes[-1] <= _SETS else max(1, int(np.flatnonzero(sizes <= _SETS)[-1]))
