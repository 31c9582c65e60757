"""How good estimates are: their skill, their calibration, their spread, and whether they are coherent.

Everything is judged on queries of one's choice, which should not be those that the estimator was fitted on, from the
estimates of each model just before its own call, just after it, and when all models have run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import chi2, norm
from sklearn.metrics import roc_auc_score

from ..outcomes import Outcomes
from .base import Estimator, ask, evidence_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOMENTS = ("before", "after", "all")
_LEVEL = 0.95
# Nominal levels at which the coverage of the spread is reported.
_COVERED = (0.5, 0.8, 0.95)
_BINS = 10


@dataclass(frozen=True, eq=False, repr=False)
class Diagnosis:
    r"""Estimates of u models before their own calls, just after them, and after all calls; made by `diagnose`.

    Parameters
    ----------
    outcomes : Outcomes
        The n queries and the truth about them, for the u models only.
    before : float array, shape (n, u)
        The estimate of each model before it has run.
    after : float array, shape (n, u)
        The estimate of the same model once it has run, besides whatever had run already.
    all : float array, shape (n, u)
        The estimate of the same model once all models have run.
    spread : float array, shape (n, u)
        The standard deviation of the change, as announced before.
    """

    outcomes: Outcomes
    before: np.ndarray
    after: np.ndarray
    all: np.ndarray
    spread: np.ndarray

    @cached_property
    def skill(self) -> pd.DataFrame:
        """How well estimates tell good answers from bad ones, one row per model and moment.

        The moments are "before" the model's own call, "after" it, and "all": once every model has run. The gap in R²
        from "before" to "after" is the *own gap*, that from "before" to "all" the *full gap*; what looking at answers
        can bring is bounded by the full gap only.

        Columns: `r2`, 1 − mean squared error / variance of quality (0 for the mean itself, negative if worse); `auroc`,
        the chance that of a right and a wrong answer the right one has the larger estimate; `brier`, the mean squared
        error; `ece`, the mean absolute difference between mean estimate and mean quality in ten bins of equally many
        queries. R² is NaN where quality does not vary, AUROC where it is not both 0 and 1 and nothing else.
        """
        pairs = [(i, moment) for i in range(self.outcomes.k) for moment in _MOMENTS]
        return pd.DataFrame(
            [_skill(getattr(self, moment)[:, i], self.outcomes.quality[:, i]) for i, moment in pairs],
            index=pd.MultiIndex.from_tuples([(self.outcomes.models[i], moment) for i, moment in pairs]),
            columns=["r2", "auroc", "brier", "ece"],
        )

    @cached_property
    def coverage(self) -> pd.DataFrame:
        """Whether estimates move as far as announced, one row per model.

        Columns: `spread`, announced, and `moved`, realised: root mean squares over queries; then, for each nominal
        level, the share of queries whose estimate after the call lies within the interval around the one before.
        """
        change = self.after - self.before
        table = {"spread": _root_mean_square(self.spread), "moved": _root_mean_square(change)}
        for level in _COVERED:
            reach = norm.ppf((1 + level) / 2) * self.spread
            # An estimate that was not to move and did not is inside, whatever the rounding.
            table[f"{level:.0%}"] = (np.abs(change) <= reach + 1e-12).mean(axis=0)
        return pd.DataFrame(table, index=list(self.outcomes.models))

    @cached_property
    def coherence(self) -> pd.DataFrame:
        r"""Whether estimates before the call are the means of those after it, one row per model.

        The martingale property :math:`E[\hat q_i^{after} \mid \hat q_i^{before}] = \hat q_i^{before}` says that the
        least-squares line of the one on the other has slope 1 and intercept 0. Columns: `slope`, with the ends `low`
        and `high` of its 95% interval, `intercept`; `p`, the chance of deviations as large in both if it holds;
        `coherent`, whether p is above 0.05 divided by the number of models; and what a failure costs: `bias`, the root
        mean square distance of the line from the diagonal; `teaches`, the standard deviation by which the call moves
        the best linear estimate of the truth from both estimates, an honest spread; `overvalued`, how much more
        quality the announced spread promises of a call beside an equally good answer, φ(0) times their difference;
        and `forgotten`, by how much that best estimate would lower the mean squared error after the call.

        Notes
        -----
        Standard errors are robust to heteroscedasticity (HC1). An estimate that is the same for all queries has no
        slope; then only its mean is tested. Passing the test proves nothing: a line sees only linear failures.
        """
        lines = [_line(self.before[:, i], self.after[:, i]) for i in range(self.outcomes.k)]
        columns = ["slope", "low", "high", "intercept", "p", "bias"]
        table = pd.DataFrame(lines, index=list(self.outcomes.models), columns=columns)
        costs = [
            _costs(self.before[:, i], self.after[:, i], self.outcomes.quality[:, i]) for i in range(self.outcomes.k)
        ]
        table[["teaches", "forgotten"]] = costs
        overstated = self.coverage["spread"] - table["teaches"]
        table.insert(7, "overvalued", norm.pdf(0) * overstated)
        table.insert(5, "coherent", table["p"] > (1 - _LEVEL) / len(table))
        return table

    @property
    def words(self) -> list[str]:
        """One sentence or more for every model whose estimates fail the coherence test, saying what that costs."""
        failed = self.coherence[~self.coherence["coherent"]]
        return [_in_words(str(model), row) for model, row in failed.iterrows()] or [
            "No model fails the coherence test: estimates before a call look like means of those after it."
        ]

    def to_frame(self) -> pd.DataFrame:
        """Return everything in one table, one row per model."""
        skill = pd.DataFrame(self.skill.unstack())
        skill.columns = ["_".join(pair) for pair in skill.columns]
        return skill.loc[list(self.outcomes.models)].join(self.coverage).join(self.coherence)

    def plot(self, axes: Sequence[Axes] | None = None) -> Sequence[Axes]:
        """Draw one reliability diagram per model, before and after its call."""
        from .. import plots

        return plots.reliability(self, axes=axes)

    def __repr__(self) -> str:
        """Return skill and coherence of every model, and what is wrong in words."""
        tables = [self.skill, self.coverage, self.coherence[["slope", "low", "high", "intercept", "p"]]]
        return "\n\n".join([table.round(3).to_string() for table in tables] + self.words)

    def _repr_html_(self) -> str:
        tables = [self.skill, self.coverage, self.coherence[["slope", "low", "high", "intercept", "p"]]]
        return "".join([table.round(3).to_html() for table in tables] + [f"<p>{line}</p>" for line in self.words])


def diagnose(estimator: Estimator, outcomes: Outcomes, *, ran: ArrayLike | None = None) -> Diagnosis:
    """Compare estimates of every model before and after its own call, and after all calls, with the truth.

    Parameters
    ----------
    estimator : Estimator
        Where the estimates come from.
    outcomes : Outcomes
        Queries that the estimator was not fitted on, at least 10.
    ran : bool array_like, shape (k,), optional
        Models that have run already. The others are diagnosed. Default: none has run.

    Returns
    -------
    Diagnosis
        With tables `skill`, `coverage` and `coherence`, what fails in `words`, and `plot()`.

    Raises
    ------
    ValueError
        If there are fewer than 10 queries, `ran` has the wrong length, or all models have run.

    References
    ----------
    Chapters "Quality estimation" and "Coherent estimates".

    Examples
    --------
    Estimates that forget on the way what they knew before are not coherent:

    >>> import numpy as np
    >>> from cascade_lib import NoisyEstimator, Outcomes
    >>> pool = Outcomes(np.random.default_rng(0).integers(0, 2, (5000, 1)), np.ones((5000, 1)))
    >>> forgetful = diagnose(NoisyEstimator((0.3, 0.3), seed=1).fit(pool), pool)
    >>> forgetful.coherence["slope"].round(1).item(), forgetful.coherence["coherent"].item()
    (0.7, False)
    >>> diagnose(NoisyEstimator((0.3, 0.3), coherent=True, seed=1).fit(pool), pool).coherence["coherent"].item()
    True
    """
    ran = np.zeros(outcomes.k, dtype=bool) if ran is None else np.asarray(ran, dtype=bool)
    if ran.shape != (outcomes.k,):
        raise ValueError(f"ran must say of each of the {outcomes.k} models whether it has run; got shape {ran.shape}.")
    if ran.all():
        raise ValueError("all models have run: there is no call left to diagnose.")
    if len(outcomes) < 10:
        raise ValueError(f"{len(outcomes)} queries are too few for a diagnosis; at least 10 are needed.")
    rows, left = np.arange(len(outcomes)), np.flatnonzero(~ran)
    one, said = np.eye(outcomes.k, dtype=bool), lambda ran: ask(estimator, evidence_for(estimator, outcomes, ran), rows)
    now, after = said(ran), [said(ran | one[i]).mean[:, i] for i in left]
    everything = said(one.any(axis=0)).mean[:, left]
    part = outcomes.select([outcomes.models[i] for i in left])
    return Diagnosis(part, now.mean[:, left], np.column_stack(after), everything, now.spread[:, left])


def bins(estimate: np.ndarray, count: int = _BINS) -> list[np.ndarray]:
    """Return the positions of the queries in bins of equally many, from the lowest estimates to the highest.

    Examples
    --------
    >>> [part.tolist() for part in bins(np.array([0.3, 0.1, 0.9, 0.5]), 2)]
    [[1, 0], [3, 2]]
    """
    return [part for part in np.array_split(np.argsort(estimate, kind="stable"), count) if len(part)]


def _skill(estimate: np.ndarray, quality: np.ndarray) -> tuple[float, float, float, float]:
    """Return R², AUROC, Brier score and expected calibration error of one model's estimates."""
    brier = ((estimate - quality) ** 2).mean()
    both = set(np.unique(quality)) == {0.0, 1.0}
    gaps = [abs(estimate[part].mean() - quality[part].mean()) * len(part) for part in bins(estimate)]
    return (
        1 - brier / quality.var() if np.ptp(quality) > 0 else np.nan,
        roc_auc_score(quality, estimate) if both else np.nan,
        brier,
        sum(gaps) / len(quality),
    )


def _line(before: np.ndarray, after: np.ndarray) -> tuple[float, ...]:
    """Return slope, its interval, intercept, p and bias of one model; see `coherence`."""
    n, varies = len(before), np.ptp(before) > 1e-9 * np.abs(before).max()
    centre = before.mean()
    design = np.column_stack([np.ones(n), before - centre])[:, : 1 + varies]
    fitted = np.linalg.lstsq(design, after, rcond=None)[0]
    residual = after - design @ fitted
    bread = np.linalg.inv(design.T @ design)
    meat = (design * residual[:, None] ** 2).T @ design * n / (n - design.shape[1])
    covariance = bread @ meat @ bread
    # At the centre of the data the line says by how much estimates move on average; coherent ones do not.
    off = fitted - [centre, 1.0][: 1 + varies]
    bias = _root_mean_square((design @ off)[:, None])[0]
    if bias < 1e-9:
        p = 1.0
    else:
        p = chi2.sf(off @ np.linalg.pinv(covariance, hermitian=True) @ off, len(off)) if residual.std() > 1e-9 else 0.0
    slope = fitted[1] if varies else np.nan
    margin = norm.ppf((1 + _LEVEL) / 2) * np.sqrt(covariance[-1, -1]) if varies else np.nan
    intercept = fitted[0] - slope * centre if varies else off[0]
    return slope, slope - margin, slope + margin, intercept, p, bias


def _costs(before: np.ndarray, after: np.ndarray, quality: np.ndarray) -> tuple[float, float]:
    """Return what the call of one model teaches and what its later estimate forgets; see `coherence`."""
    ones = np.ones(len(before))
    first, both = (
        design @ np.linalg.lstsq(design, quality, rcond=None)[0]
        for design in (np.column_stack([ones, before]), np.column_stack([ones, before, after]))
    )
    own = np.column_stack([ones, after])
    alone = own @ np.linalg.lstsq(own, quality, rcond=None)[0]
    return (both - first).std(), ((alone - quality) ** 2).mean() - ((both - quality) ** 2).mean()


def _in_words(model: str, row: pd.Series) -> str:
    """Say what the failure of one model's estimates means and costs."""
    if np.isnan(row["slope"]):
        what = f"its estimates move by {row['intercept']:+.3f} on average when it runs, which could have been foreseen."
    else:
        side = "less" if row["slope"] < 1 else "more"
        what = (
            f"of 0.10 by which its estimate is above average before the call {0.1 * row['slope']:.3f} remain after it "
            f"(slope {row['slope']:.2f}, 95% interval {row['low']:.2f} to {row['high']:.2f}), {side} than the 0.10 of "
            f"a coherent estimate; before the call it is off by {row['bias']:.3f}."
        )
    promise = "too much" if row["overvalued"] >= 0 else "too little"
    return (
        f"{model}: {what} Its spread promises {abs(row['overvalued']):.3f} {promise} quality of a call beside an "
        f"equally good answer, and the estimate after the call has forgotten {row['forgotten']:.3f} of squared error."
    )


def _root_mean_square(table: np.ndarray) -> np.ndarray:
    return np.sqrt((table**2).mean(axis=0))
