"""Estimates learned from logged outcomes, by any learner of scikit-learn."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.optimize import nnls
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import get_tags

from ..beliefs import Beliefs
from ..expected_max import normal_draws
from ..laws import Atoms, JointGaussian
from ..outcomes import Outcomes

_Table = np.ndarray | sparse.csr_array

FUTURES = ("independent", "joint", "empirical")

# While scikit-learn works it changes the filters for warnings of the whole program, which two threads must not do at
# once. A lock of the module, unlike one of the estimator, can stay behind when an estimator is copied or pickled.
_ONE_AT_A_TIME = threading.RLock()
# Stands where the number of a fold would, for queries that were not trained on.
_NEW = -1
# Labels of answers with more levels than this count only by who agrees with whom; a query feature may have this many
# levels however few the queries are.
_FEW_LEVELS = 20
# Draws that a joint law is valued with, bins of the current estimate and atoms in each for an empirical one.
_DRAWS, _BINS, _ATOMS = 512, 10, 16


class LearnedEstimator(BaseEstimator):
    r"""Estimates of quality and cost, learned from outcomes by one fit for every set of models that have run.

    When the models in S have run, what is known of a query x is :math:`X_S`: its features, and the answer features and
    costs of the models in S. From :math:`X_S` the quality of *every* model is predicted, post-hoc for models in S,
    ex-ante in the light of the answers so far for the others, and so is the cost of the models not in S. A set is
    learned when it is first asked about, and kept.

    Parameters
    ----------
    quality : regressor or classifier of scikit-learn, optional
        Learns the quality. A regressor that takes several targets is fitted once for all models, any other once for
        each. Of a classifier, which needs qualities of 0 and 1, the probability of 1 is used. Default: extremely
        randomised trees, which can learn that an answer is right because others agree with it.
    cost : regressor of scikit-learn, optional
        Learns the cost of the models that have not run, from :math:`X_S` and what those in S have cost. Default: ridge
        regression, as costs tend to be linear in the length of a text and in each other.
    features : transformer of scikit-learn, optional
        Turns ``outcomes.query``, a data frame, into numbers without being told any quality. Default: numbers and
        truth values as they are, with the median and an indicator where they are missing, and one column for each
        level of a label.
    folds : int
        How many parts the distinct training queries are split into, at least 2.
    calibrate : bool
        Whether to pass the estimates of each model through an isotonic regression on held-out qualities.
    future : {"independent", "joint", "empirical"}
        What form the law of future estimates has: independent Gaussians, Gaussians with the correlations observed, or
        the distribution observed at similar estimates, independent between models. It can be changed without a new fit.
    seed : int
        Seed of the folds, and of the learners that have a `random_state` which is not set.

    Attributes
    ----------
    models_ : tuple of str
        The models seen by `fit`.

    Notes
    -----
    *Cross-fitting.* Every set is learned once for each fold, without that fold. A query of the training outcomes only
    ever gets estimates from the fit that did not see it, in whatever outcomes it is handed in again; a new query gets
    the average over all fits. So strategies may be tuned on the outcomes that the estimator was fitted on. A query is
    recognised by its label in the index of ``outcomes.query`` together with its features; give queries that are the
    same in two tables the same label in both. Equal queries share a fold. With `calibrate`, the isotonic regression for
    a fold is made without the qualities in it.

    *Answers.* Tables of numbers are used as they are. Tables of labels, such as the answers to a multiple-choice
    question, say for each model that has run which share of the others agrees with it, and, if there are at most 20
    labels, what it said. Give answers as strings if what matters is whether they agree.

    *Spread.* What the call of model i adds to its held-out estimate is the residual r of the regression of the estimate
    under S and i on the one under S. The part of r that is information and not noise of the learner is
    :math:`\beta r`, with :math:`\beta` the slope of quality on r, cut off at 0 and 1. The spread is
    :math:`\sqrt{a + b(\hat q_i - l)(h - \hat q_i)}`, with [l, h] the range of the qualities of model i and a, b ≥ 0 by
    least squares on :math:`(\beta r)^2`. The product is the largest variance that anything on [l, h] with mean
    :math:`\hat q_i` can have: an estimate that is sure moves less, as far as the data show it.

    *Coherence.* Estimates are coherent as far as the learner is unbiased. The default trees are cautious: they keep too
    close to the mean where features say little. With some thousand queries or more, `calibrate` mends that, for almost
    the same time; with a few hundred it loses more than it gains.

    *Time and memory.* ``folds`` fits for each set S asked about and for each set with one model more. Cascade routing
    without a limit of depth may ask about all :math:`2^k` sets. With the default trees, 6 models and 1,500 queries a
    set takes about a quarter of a second and 6 MB. Concurrent calls take turns.

    References
    ----------
    Dekoninck, Baader and Vechev (2025), sections on quality estimation. Geurts, Ernst and Wehenkel (2006) on extremely
    randomised trees; Chernozhukov et al. (2018) on cross-fitting; Bhatia and Davis (2000) on the largest variance.

    Examples
    --------
    The answer tells whether the small model was right, and nothing else does:

    >>> right = np.random.default_rng(0).random((200, 2)) < [0.5, 0.9]
    >>> pool = Outcomes(right, np.tile([1.0, 5.0], (200, 1)), answers={"score": np.where(right, 0.9, 0.1)})
    >>> estimator = LearnedEstimator().fit(pool)
    >>> estimator.beliefs(pool, np.array([False, False])).mean[:2].round(1)
    array([[0.5, 0.9],
           [0.5, 0.9]])
    >>> after = estimator.beliefs(pool, np.array([True, False]))
    >>> bool(np.allclose(after.mean[:, 0], pool.quality[:, 0])), after.cost[0]
    (True, array([1., 5.]))
    """

    def __init__(
        self,
        quality: BaseEstimator | None = None,
        cost: BaseEstimator | None = None,
        *,
        features: BaseEstimator | None = None,
        folds: int = 5,
        calibrate: bool = False,
        future: str = "independent",
        seed: int = 0,
    ) -> None:
        self.quality = quality
        self.cost = cost
        self.features = features
        self.folds = folds
        self.calibrate = calibrate
        self.future = future
        self.seed = seed

    def fit(self, train: Outcomes) -> LearnedEstimator:
        """Take in the training outcomes; the sets are learned when they are asked about.

        Parameters
        ----------
        train : Outcomes
            Logged outcomes, with at least as many distinct queries as folds.

        Raises
        ------
        TypeError
            If a learner or transformer lacks the methods it needs.
        ValueError
            If an option is out of range, there are too few queries, a classifier is to learn qualities other than 0
            and 1, or a feature cannot be turned into numbers. The message names it.
        """
        self._check_options()
        # Asking for None and not for truth: an ensemble of scikit-learn has a length, but not before it is fitted.
        self._quality = _seeded(_default_quality() if self.quality is None else self.quality, self.seed)
        self._cost = _seeded(_default_cost() if self.cost is None else self.cost, self.seed)
        if is_classifier(self._quality):
            _refuse_qualities_other_than_0_and_1(train)
        self.models_ = train.models
        self._reader = _Reader(train, None if self.features is None else _seeded(self.features, self.seed))
        self._keys, self._folds = self._split(_keys(train.query))
        self._train, self._own, self._last = train, None, None
        self._own = self._queries(train)
        self._quality_fits, self._cost_fits, self._changes = {}, {}, {}
        return self

    def beliefs(self, outcomes: Outcomes, ran: np.ndarray, rows: np.ndarray | None = None) -> Beliefs:
        """Return beliefs about the queries `rows` of `outcomes` once the models in `ran`, bool (k,), have run.

        Of the quality of a query, of its cost under models that have not run and of their answers nothing is used.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If `fit` has not been called.
        ValueError
            If the outcomes have other models than those of `fit`, or lack a feature. The message names them.
        """
        self._check_fitted_on(outcomes)
        ran = np.asarray(ran, dtype=bool)
        rows = np.arange(len(outcomes)) if rows is None else rows
        members = tuple(np.flatnonzero(ran).tolist())
        with _ONE_AT_A_TIME:
            known, fold = self._known(outcomes, members, rows)
            mean = self._quality_fit(members).predict(known, fold)
            cost = outcomes.cost[rows]
            if not ran.all():
                expected = self._cost_fit(members).predict(_beside([known, cost[:, members]]), fold)
                cost = np.where(ran, cost, expected)
            spread, law = self._change(members).laws(mean, self.future, self.seed)
        return Beliefs(ran=ran, mean=mean, spread=spread, cost=cost, law=law)

    def _check_options(self) -> None:
        """Refuse options that make no sense, before any work is done."""
        if int(self.folds) != self.folds or self.folds < 2:
            raise ValueError(f"folds must be a whole number of at least 2, for one part is held out; got {self.folds}.")
        if self.future not in FUTURES:
            raise ValueError(f"future must be one of {', '.join(map(repr, FUTURES))}; got {self.future!r}.")
        needs = {"quality": "predict", "cost": "predict", "features": "transform"}
        for name, method in needs.items():
            tool = getattr(self, name)
            if tool is not None and not (hasattr(tool, "fit") and hasattr(tool, method)):
                raise TypeError(f"{name} must have the methods fit and {method}, as in scikit-learn; got {tool!r}.")
        if self.quality is not None and is_classifier(self.quality) and not hasattr(self.quality, "predict_proba"):
            raise TypeError(
                f"quality is a classifier without predict_proba: {self.quality!r}. Wrap it in "
                "sklearn.calibration.CalibratedClassifierCV, or take a regressor."
            )

    def _check_fitted_on(self, outcomes: Outcomes) -> None:
        """Refuse outcomes of other models than those that were learned."""
        if not hasattr(self, "models_"):
            raise NotFittedError("this LearnedEstimator is not fitted: call fit(train) first.")
        if outcomes.models == self.models_:
            return
        strange = [name for name in outcomes.models if name not in self.models_]
        missing = [name for name in self.models_ if name not in outcomes.models]
        if missing:
            mend = "fit another LearnedEstimator on train.select([...]) with just the models of these outcomes"
        else:
            mend = "use outcomes.select(estimator.models_)"
        raise ValueError(
            f"fitted on the models {', '.join(self.models_)}, but these outcomes have {', '.join(outcomes.models)} "
            f"(not learned: {', '.join(strange) or 'none'}; missing: {', '.join(missing) or 'none'}): {mend}."
        )

    def _split(self, keys: np.ndarray) -> tuple[pd.Index, np.ndarray]:
        """Return the distinct keys and the fold of each, then the fold of queries that have none of these keys."""
        distinct = np.unique(keys)
        if len(distinct) < self.folds:
            raise ValueError(
                f"{len(distinct)} distinct queries are too few for folds={self.folds}. Give more queries or take fewer "
                "folds; queries are told apart by their label in the index of outcomes.query and by their features."
            )
        order = np.random.default_rng(self.seed).permutation(len(distinct))
        return pd.Index(distinct), np.append(order % self.folds, _NEW)

    def _queries(self, outcomes: Outcomes) -> _Queries:
        """Return the encoded features and the folds of all queries, which the next state will ask for again."""
        for seen in (self._own, self._last):
            if seen is not None and seen.outcomes is outcomes:
                return seen
        encoded = self._reader.queries(outcomes.query)
        # The indexer is −1 for keys that are new, and the last entry is the fold of these.
        fold = self._folds[self._keys.get_indexer(_keys(outcomes.query[self._reader.columns]))]
        self._last = seen = _Queries(outcomes, encoded, fold)
        return seen

    def _known(self, outcomes: Outcomes, members: Sequence[int], rows: np.ndarray) -> tuple[_Table, np.ndarray]:
        """Return all that is known of some queries once the models `members` have run, and the folds of the queries."""
        _, encoded, fold = self._queries(outcomes)
        return _beside([encoded[rows], *self._reader.answers(outcomes, members, rows)]), fold[rows]

    def _known_of_train(self, members: Sequence[int]) -> tuple[_Table, np.ndarray]:
        return self._known(self._train, members, np.arange(len(self._train)))

    def _quality_fit(self, members: tuple[int, ...]) -> _CrossFit:
        """Return the fits of quality for one set of models that have run."""
        if members not in self._quality_fits:
            known, fold = self._known_of_train(members)
            quality = self._train.quality
            bounds = quality.min(axis=0), quality.max(axis=0)
            self._quality_fits[members] = _CrossFit(
                self._quality, known, quality, fold, bounds, calibrate=self.calibrate
            )
        return self._quality_fits[members]

    def _cost_fit(self, members: tuple[int, ...]) -> _CrossFit:
        """Return the fits of cost for one set of models that have run."""
        if members not in self._cost_fits:
            known, fold = self._known_of_train(members)
            cost = self._train.cost
            known = _beside([known, cost[:, members]])
            self._cost_fits[members] = _CrossFit(self._cost, known, cost, fold, (0.0, np.inf), calibrate=False)
        return self._cost_fits[members]

    def _change(self, members: tuple[int, ...]) -> _Changes:
        """Return how held-out estimates moved when one more model joined `members`."""
        if members not in self._changes:
            now = self._quality_fit(members).held_out
            later = now.copy()
            for i in set(range(len(self.models_))) - set(members):
                later[:, i] = self._quality_fit(tuple(sorted((*members, i)))).held_out[:, i]
            self._changes[members] = _Changes(now, later, self._train.quality)
        return self._changes[members]


class _Queries(NamedTuple):
    """The encoded features of all queries of some outcomes, and the fold of each, or _NEW."""

    outcomes: Outcomes
    encoded: _Table
    fold: np.ndarray


class _CrossFit:
    """One fit for every fold, made without it: a fold gets estimates from its own fit, a new query from all of them."""

    def __init__(
        self,
        learner: BaseEstimator,
        known: _Table,
        truth: np.ndarray,
        fold: np.ndarray,
        bounds: tuple[np.ndarray | float, np.ndarray | float],
        *,
        calibrate: bool,
    ) -> None:
        self._bounds, self._models = bounds, truth.shape[1]
        others = [fold != held_out for held_out in range(fold.max() + 1)]
        self._fits = [_Columns(learner, known[rows], truth[rows]) for rows in others]
        self._calibrators = None
        self.held_out = self.predict(known, fold)
        if calibrate:
            # A fold's calibrator has seen held-out estimates and truth of the other folds only.
            self._calibrators = [
                [_isotonic(*pairs) for pairs in zip(self.held_out[rows].T, truth[rows].T, strict=True)]
                for rows in others
            ]
            self.held_out = self.predict(known, fold)

    def predict(self, known: _Table, fold: np.ndarray) -> np.ndarray:
        """Return estimates for all models, shape (m, k)."""
        mean, count = np.zeros((len(fold), self._models)), np.zeros((len(fold), 1))
        for number, fit in enumerate(self._fits):
            rows = np.flatnonzero((fold == number) | (fold == _NEW))
            if len(rows):
                estimate = np.clip(fit.predict(known[rows]), *self._bounds)
                if self._calibrators is not None:
                    columns = zip(self._calibrators[number], estimate.T, strict=True)
                    estimate = np.column_stack([calibrator.predict(column) for calibrator, column in columns])
                count[rows] += 1
                # A running mean, unlike a sum divided, leaves equal numbers exactly as they are.
                mean[rows] += (estimate - mean[rows]) / count[rows]
        return mean


class _Columns:
    """A learner fitted to a table, once or once for each column; a column that never varies is predicted as it is."""

    def __init__(self, learner: BaseEstimator, known: _Table, truth: np.ndarray) -> None:
        varies = (truth != truth[0]).any(axis=0)
        self._constant = np.where(varies, truth.mean(axis=0), truth[0])
        # Where nothing is known of a query, the mean is all there is to learn.
        columns = np.flatnonzero(varies) if known.shape[1] else np.array([], dtype=int)
        self._probabilities = is_classifier(learner)
        together = len(columns) > 1 and not self._probabilities and get_tags(learner).target_tags.multi_output
        self._groups = [columns] if together else [[column] for column in columns]
        self._fits = [clone(learner).fit(known, self._target(truth, group)) for group in self._groups]

    def predict(self, known: _Table) -> np.ndarray:
        """Return predictions for every column, shape (m, k)."""
        result = np.tile(self._constant, (known.shape[0], 1))
        for group, fit in zip(self._groups, self._fits, strict=True):
            predicted = fit.predict_proba(known)[:, 1] if self._probabilities else np.asarray(fit.predict(known))
            result[:, group] = predicted.reshape(-1, len(group))
        return result

    def _target(self, truth: np.ndarray, group: Sequence[int]) -> np.ndarray:
        target = truth[:, group].astype(int) if self._probabilities else truth[:, group]
        return target if len(group) > 1 else target[:, 0]


class _Changes:
    """How far the estimate of each model moves when it runs, and how much of that is information."""

    def __init__(self, now: np.ndarray, later: np.ndarray, truth: np.ndarray) -> None:
        self._low, self._high, self._now = truth.min(axis=0), truth.max(axis=0), now
        news = _residual(later, now)
        worth = _ratio((news * (truth - truth.mean(axis=0))).mean(axis=0), (news**2).mean(axis=0))
        self._news = np.clip(worth, 0, 1) * news
        self._base, self._slope = _variance(self._news**2, self._room(now))
        standard = _ratio(self._news, self._news.std(axis=0))
        self._correlation = standard.T @ standard / len(standard)

    def laws(self, mean: np.ndarray, future: str, seed: int) -> tuple[np.ndarray, JointGaussian | Atoms | None]:
        """Return the spread of the next estimates around `mean`, shape (m, k), and their law if it is not Gaussian."""
        if future == "empirical":
            law = Atoms(self._atoms(mean), np.full(_ATOMS, 1 / _ATOMS))
            return law.spread, law
        spread = np.sqrt(self._base + self._slope * self._room(mean))
        if future == "independent":
            return spread, None
        covariance = spread[:, :, None] * spread[:, None, :] * self._correlation
        draws = normal_draws(mean.shape[1], _DRAWS, seed=seed)
        return spread, JointGaussian(mean, covariance, draws)

    def _room(self, mean: np.ndarray) -> np.ndarray:
        """Return the largest variance that a random variable with this mean in the range of the quality can have."""
        return np.maximum((mean - self._low) * (self._high - mean), 0.0)

    def _atoms(self, mean: np.ndarray) -> np.ndarray:
        """Return possible next estimates, shape (m, k, A), equally likely."""
        return np.stack([self._atoms_of(i, column) for i, column in enumerate(mean.T)], axis=1)

    def _atoms_of(self, i: int, mean: np.ndarray) -> np.ndarray:
        """Return possible next estimates of one model, shape (m, A)."""
        now, low, high = self._now[:, i], self._low[i], self._high[i]
        # As shares of the way to the end of the range, moves can start from another estimate and stay within it.
        share = np.clip(_ratio(self._news[:, i], np.where(self._news[:, i] > 0, high - now, now - low)), -1, 1)
        # Each bin begins at an estimate that occurs, so none is empty.
        bins = max(1, min(_BINS, len(now) // _ATOMS))
        edges = np.unique(np.quantile(now, np.arange(1, bins) / bins, method="lower"))
        edges = edges[edges > now.min()]
        place = np.searchsorted(edges, now, side="right")
        shares = np.stack([_slices(share[place == b]) for b in range(len(edges) + 1)])
        shares = shares[np.searchsorted(edges, mean, side="right")]
        return mean[:, None] + _balanced(shares, (high - mean)[:, None], (mean - low)[:, None])


class _Reader:
    """What is known of a query, as numbers: its features, and the answers of the models that have run."""

    def __init__(self, train: Outcomes, features: BaseEstimator | None) -> None:
        self.columns = list(train.query.columns)
        repeated = train.query.columns[train.query.columns.duplicated()]
        if len(repeated):
            raise ValueError(f"outcomes.query has several columns named {repeated[0]!r}: rename or drop all but one.")
        # Every query is looked at once, so that a resampled training set has no more rows than it has queries.
        once = np.sort(np.unique(_keys(train.query), return_index=True)[1])
        self._features = _Encoder("the query feature", _MEND) if features is None else features
        self._features.fit(train.query.iloc[once])
        kinds = {name: _kind(pd.Series(table.ravel())) for name, table in train.answers.items()}
        self._labels = [name for name, kind in kinds.items() if kind in _LABELS]
        many = {name for name in self._labels if pd.Series(train.answers[name].ravel()).nunique() > _FEW_LEVELS}
        self._tables, self._encoded = list(kinds), [name for name in kinds if name not in many]
        self._answers = [
            _Encoder(f"model {model!r}: the answer feature", _MEND_ANSWERS).fit(self._frame(train, i, once))
            for i, model in enumerate(train.models)
        ]

    def queries(self, query: pd.DataFrame) -> _Table:
        """Return the features of queries, one row each."""
        missing = [str(name) for name in self.columns if name not in query.columns]
        if missing:
            raise ValueError(
                f"outcomes.query lacks the features {', '.join(missing)}, which this estimator was fitted with: add "
                "these columns, with NaN where a value is not known, or fit without them."
            )
        return _numbers(self._features.transform(query[self.columns]), len(query))

    def answers(self, outcomes: Outcomes, members: Sequence[int], rows: np.ndarray) -> list[np.ndarray]:
        """Return what the answers of the models `members` say, in blocks with one row for each of some queries."""
        missing = [name for name in self._tables if name not in outcomes.answers]
        if members and missing:
            raise ValueError(
                f"outcomes.answers lacks {', '.join(missing)}, which this estimator was fitted with: add these tables, "
                "with NaN where a value is not known, or fit without them."
            )
        own = [self._answers[i].transform(self._frame(outcomes, i, rows)) for i in members]
        if len(members) < 2:
            return own
        return own + [_agreement(outcomes.answers[name][rows][:, members]) for name in self._labels]

    def _frame(self, outcomes: Outcomes, i: int, rows: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame({name: outcomes.answers[name][rows, i] for name in self._encoded}, index=range(len(rows)))


class _Encoder:
    """Numbers from a data frame whose columns are numbers, with median and indicator where missing, or labels."""

    def __init__(self, what: str, mend: str) -> None:
        self._what, self._mend = what, mend

    def fit(self, frame: pd.DataFrame) -> _Encoder:
        """Learn medians and labels."""
        kinds = {name: _kind(frame[name]) for name in frame}
        for name, kind in kinds.items():
            if kind not in _NUMBERS | _LABELS:
                raise ValueError(f"{self._what} {name!r} holds {kind} values: {self._mend}.")
            levels = frame[name].nunique()
            if kind in _LABELS and levels > max(_FEW_LEVELS, len(frame) // 4):
                raise ValueError(
                    f"{self._what} {name!r} looks like free text, with {levels} different values in {len(frame)} "
                    f"queries: {self._mend}."
                )
        self._number_columns = [name for name, kind in kinds.items() if kind in _NUMBERS]
        self._label_columns = [name for name, kind in kinds.items() if kind in _LABELS]
        self._steps = []
        if self._number_columns:
            fill = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
            self._steps.append((self._as_numbers, fill.fit(self._as_numbers(frame))))
        if self._label_columns:
            mark = OneHotEncoder(max_categories=100, handle_unknown="infrequent_if_exist", sparse_output=False)
            self._steps.append((self._as_labels, mark.fit(self._as_labels(frame))))
        return self

    def transform(self, frame: pd.DataFrame) -> np.ndarray:
        """Return one row of numbers for every row of the frame."""
        return np.hstack([np.empty((len(frame), 0)), *(step.transform(read(frame)) for read, step in self._steps)])

    def _as_numbers(self, frame: pd.DataFrame) -> np.ndarray:
        columns = [self._checked(frame, name, _NUMBERS) for name in self._number_columns]
        table = np.column_stack([column.to_numpy(dtype=float, na_value=np.nan) for column in columns])
        for name in np.array(self._number_columns, dtype=object)[np.isinf(table).any(axis=0)]:
            raise ValueError(f"{self._what} {name!r} has an infinite value: replace it by a number or NaN.")
        return table

    def _as_labels(self, frame: pd.DataFrame) -> np.ndarray:
        return np.column_stack([_strings(self._checked(frame, name, _LABELS)) for name in self._label_columns])

    def _checked(self, frame: pd.DataFrame, name: str, kinds: frozenset[str]) -> pd.Series:
        """Return a column, provided that it holds what it held in training."""
        column, kind = frame[name], _kind(frame[name])
        if kind not in kinds and column.notna().any():
            then = "numbers" if kinds is _NUMBERS else "labels"
            raise ValueError(f"{self._what} {name!r} held {then} in training, but {kind} values here: convert it.")
        return column


# Kinds of columns by the names that pandas has for them.
_NUMBERS = frozenset({"integer", "floating", "mixed-integer-float", "boolean", "decimal", "empty"})
_LABELS = frozenset({"string", "categorical"})
_MEND = (
    "pass a transformer as `features`, such as a ColumnTransformer with a TfidfVectorizer for texts, or drop the column"
)
_MEND_ANSWERS = "turn it into numbers or strings, or leave it out"


def _kind(column: pd.Series) -> str:
    """Return what a column holds, leaving out what is missing."""
    return pd.api.types.infer_dtype(column, skipna=True)


def _strings(column: pd.Series) -> np.ndarray:
    """Return labels as strings, the empty one where they are missing."""
    return column.astype("string").fillna("").to_numpy(dtype=object)


def _agreement(labels: np.ndarray) -> np.ndarray:
    """Return for each of s ≥ 2 models the share of the others that gave the same label, shape (m, s).

    A missing label agrees with none.
    """
    codes = pd.factorize(_strings(pd.Series(labels.ravel())))[0].reshape(labels.shape)
    given = pd.notna(labels)
    same = (codes[:, :, None] == codes[:, None, :]) & given[:, :, None] & given[:, None, :]
    return (same.sum(axis=2) - given) / (labels.shape[1] - 1)


def _keys(query: pd.DataFrame) -> np.ndarray:
    """Return a hash of every query's label and features."""
    # Hashing each value by itself is slower than by distinct values, but copes with cells that are lists or arrays.
    return pd.util.hash_pandas_object(query, index=True, categorize=False).to_numpy()


def _numbers(encoded: object, n: int) -> _Table:
    """Return what a transformer made of n queries as a table of numbers."""
    try:
        table = sparse.csr_array(encoded, dtype=float) if sparse.issparse(encoded) else np.asarray(encoded, dtype=float)
    except (TypeError, ValueError) as error:
        raise TypeError(f"features must turn outcomes.query into a table of numbers: {error}.") from None
    if table.ndim != 2 or table.shape[0] != n:
        raise ValueError(f"features must return one row for each of {n} queries; got shape {table.shape}.")
    return table


def _beside(blocks: Sequence[_Table]) -> _Table:
    """Put tables side by side."""
    if any(sparse.issparse(block) for block in blocks):
        return sparse.hstack([sparse.csr_array(block) for block in blocks], format="csr")
    return np.hstack(blocks)


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Return top / bottom, and 0 where the bottom is 0."""
    return np.divide(top, bottom, out=np.zeros(np.broadcast_shapes(np.shape(top), np.shape(bottom))), where=bottom != 0)


def _residual(later: np.ndarray, now: np.ndarray) -> np.ndarray:
    """Return what is left of each column of `later` after its regression on the same column of `now`."""
    later, now = later - later.mean(axis=0), now - now.mean(axis=0)
    return later - _ratio((later * now).mean(axis=0), (now**2).mean(axis=0)) * now


def _variance(square: np.ndarray, room: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a, b ≥ 0 of the line a + b · room through squared changes, for each column, with the mean of these."""
    lines = np.array([nnls(np.column_stack([np.ones_like(x), x]), y)[0] for x, y in zip(room.T, square.T, strict=True)])
    lines *= _ratio(square.mean(axis=0), lines[:, 0] + lines[:, 1] * room.mean(axis=0))[:, None]
    return lines[:, 0], lines[:, 1]


def _slices(values: np.ndarray) -> np.ndarray:
    """Return the means of _ATOMS slices of the sorted values, equally large as far as their number allows."""
    # With fewer values than slices each is repeated, so that no slice is empty.
    values = np.repeat(np.sort(values), -(-_ATOMS // len(values)))
    return np.array([part.mean() for part in np.array_split(values, _ATOMS)])


def _balanced(shares: np.ndarray, above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Return moves with mean zero: shares of the room above if positive, of that below if negative."""
    up, down = np.maximum(shares, 0) * above, np.maximum(-shares, 0) * below
    rise, fall = up.sum(axis=1, keepdims=True), down.sum(axis=1, keepdims=True)
    up, down = up * np.sqrt(_ratio(fall, rise)), down * np.sqrt(_ratio(rise, fall))
    # Where one side was stretched beyond its room, both shrink until it fits.
    fit = np.minimum(_ratio(above, up.max(axis=1, keepdims=True)), _ratio(below, down.max(axis=1, keepdims=True)))
    return np.clip(fit, 0, 1) * (up - down)


def _isotonic(estimate: np.ndarray, truth: np.ndarray) -> IsotonicRegression:
    return IsotonicRegression(out_of_bounds="clip").fit(estimate, truth)


def _default_quality() -> BaseEstimator:
    # A new query gets the average over all folds, so that few trees in each are as good as many.
    return ExtraTreesRegressor(30, min_samples_leaf=5, max_features=0.5)


def _default_cost() -> BaseEstimator:
    # Not centred, so that sparse features stay sparse; the regression has an intercept.
    return make_pipeline(StandardScaler(with_mean=False), RidgeCV(np.logspace(-1, 4, 6), alpha_per_target=True))


def _seeded(tool: BaseEstimator, seed: int) -> BaseEstimator:
    """Return an unfitted copy in which every random state that was not set is `seed`."""
    copy = clone(tool)
    names = [name for name, value in copy.get_params().items() if name.endswith("random_state") and value is None]
    return copy.set_params(**dict.fromkeys(names, seed))


def _refuse_qualities_other_than_0_and_1(train: Outcomes) -> None:
    rows, columns = np.nonzero((train.quality != 0) & (train.quality != 1))
    if len(rows):
        raise ValueError(
            f"a classifier learns qualities of 0 and 1, but that of model {train.models[columns[0]]!r} in row "
            f"{rows[0]} is {train.quality[rows[0], columns[0]]:g}: pass a regressor as `quality`."
        )
