"""Estimates learned from logged outcomes, by any learner of scikit-learn."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ..outcomes import Evidence, Outcomes
from ._encoding import Encoder, Reader, Recent, Table, beside, keys
from ._fitted import FUTURES, KEPT, FittedEstimator, State
from ._predictors import Columns, Estimate, Isotonic
from ._revisions import Changes
from ._words import Words, blend_weight
from .base import Beliefs

# While scikit-learn works it changes the filters for warnings of the whole program, which two threads must not do at
# once. A lock of the module, unlike one of the estimator, can stay behind when an estimator is copied or pickled.
_ONE_AT_A_TIME = threading.RLock()
# Stands where the number of a fold would, for queries that were not trained on.
_NEW = -1


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
        Turns ``outcomes.query``, a data frame, into numbers without being told any quality. Default: each column is
        read as what it holds; see Notes.
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
    *Cross-fitting.* Every set is learned once for each fold, without that fold, and once on all queries. A query of the
    training outcomes only ever gets estimates from the fit that did not see it, in whatever outcomes it is handed in
    again; a new query gets those of the fit on all. So strategies may be tuned on the outcomes that the estimator was
    fitted on. A query is recognised by its name in the index of ``outcomes.query`` together with its features, whatever
    their types; give queries that are the same in two tables the same name in both. Equal queries share a fold. With
    `calibrate`, the isotonic regression for a fold is made without the qualities in it, and that for new queries from
    all held-out estimates.

    *Features.* Numbers and truth values are used as they are, with the median and an indicator where they are missing.
    A label has one column for each of its up to 100 most frequent levels. Strings with more than 20 levels, and more
    than a fourth as many as there are distinct training queries, are free text: of them the numbers of letters and
    words are read, the position along 32 directions of hashed words, and, with the default learner, what a logistic
    regression on words and labels says of every model; see *Words*. A missing text is an empty one. Of a date the
    days since the first one in training are read, and if there is a time of day, the hour and the weekday. A date may
    also be given as ISO text later on. What else a column holds is refused by name.

    *Words.* Trees read many words badly, a logistic regression reads them well. Its estimates, made for each query
    without its fold, are features of the trees; and the estimate is a mixture of both, for each set of models with the
    weight that has the least squared error on held-out queries: usually some share before a call, little after one.

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

    *Time and memory.* ``folds`` + 1 fits for each set S asked about and for each set with one model more. Cascade
    routing without a limit of depth may ask about all :math:`2^k` sets. Concurrent calls take turns.

    References
    ----------
    Dekoninck, Baader and Vechev (2025), sections on quality estimation. Geurts, Ernst and Wehenkel (2006) on extremely
    randomised trees; Chernozhukov et al. (2018) on cross-fitting; Bhatia and Davis (2000) on the largest variance.

    Examples
    --------
    The answer tells whether the small model was right, and nothing else does:

    >>> right = np.random.default_rng(0).random((200, 2)) < [0.5, 0.9]
    >>> pool = Outcomes(right, np.tile([1.0, 5.0], (200, 1)), answer_features={"score": np.where(right, 0.9, 0.1)})
    >>> estimator = LearnedEstimator().fit(pool)
    >>> before = estimator.beliefs(pool.evidence([False, False]))
    >>> bool(np.allclose(before.mean, right.mean(axis=0), atol=0.05))
    True
    >>> after = estimator.beliefs(pool.evidence([True, False]))
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
        self._reader = Reader.fitted(train, _seeded(Encoder() if self.features is None else self.features, self.seed))
        self._keys, self._folds = self._split(keys(train.query))
        self._train = train
        self._read_words()
        self._recent: Recent[_Queries] = Recent(KEPT)
        self._own = self._recent.get(train.query, self._read)
        self._quality_fits: dict[tuple[int, ...], _CrossFit] = {}
        self._cost_fits: dict[tuple[int, ...], _CrossFit] = {}
        self._changes: dict[tuple[int, ...], Changes] = {}
        return self

    def beliefs(self, evidence: Evidence, rows: np.ndarray | None = None) -> Beliefs:
        """Return beliefs about the queries at positions `rows`; default: about all.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If `fit` has not been called.
        ValueError
            If the outcomes have other models than those of `fit`, or lack a feature. The message names them.
        """
        self._check_fitted_on(evidence)
        ran, rows = evidence.ran, np.arange(len(evidence)) if rows is None else rows
        members = tuple(np.flatnonzero(ran).tolist())
        with _ONE_AT_A_TIME:
            known, fold = self._known(evidence, members, rows)
            mean = self._quality_fit(members).predict(known, fold)
            cost = evidence.cost[rows]
            if not ran.all():
                expected = self._cost_fit(members).predict(beside([known, cost[:, members]]), fold)
                cost = np.where(ran, cost, expected)
            spread, law = self._change(members).laws(mean, self.future, self.seed)
        return Beliefs(ran=ran, mean=mean, spread=spread, cost=cost, law=law)

    def fitted(self, sets: Iterable[tuple[int, ...]]) -> FittedEstimator:
        """Return the fits for new queries at some sets of models that have run, each given by rising positions.

        It decides about new queries as this estimator does, bit for bit, but knows no training query, and later calls
        of `fit` do not change it. What is not learned yet is learned now.
        """
        self._check_is_fitted()
        with _ONE_AT_A_TIME:
            states = {members: self._state(members) for members in sets}
        return FittedEstimator(self.models_, self._reader, states, self.future, self.seed)

    def _state(self, members: tuple[int, ...]) -> State:
        cost = self._cost_fit(members).fits[_NEW] if len(members) < len(self.models_) else None
        return State(self._quality_fit(members).fits[_NEW], cost, self._change(members))

    def _check_is_fitted(self) -> None:
        if not hasattr(self, "models_"):
            raise NotFittedError("this LearnedEstimator is not fitted: call fit(train) first.")

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

    def _check_fitted_on(self, evidence: Evidence) -> None:
        """Refuse outcomes of other models than those that were learned."""
        self._check_is_fitted()
        if evidence.models == self.models_:
            return
        strange = [name for name in evidence.models if name not in self.models_]
        missing = [name for name in self.models_ if name not in evidence.models]
        if missing:
            mend = "fit another LearnedEstimator on train.select([...]) with just the models of these outcomes"
        else:
            mend = "use outcomes.select(estimator.models_)"
        raise ValueError(
            f"fitted on the models {', '.join(self.models_)}, but these outcomes have {', '.join(evidence.models)} "
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

    def _read_words(self) -> None:
        """Learn what words say, for each fold without it, if there are free texts and nobody has chosen how to read."""
        self._words: list[Words] = []
        encoder = self._reader.features
        if self.quality is not None or not isinstance(encoder, Encoder) or "texts" not in encoder.names_:
            return
        known, quality = self._reader.known(self._train.query), self._train.quality
        words, fold, bounds = encoder.words(known), self._fold_of(known), (quality.min(axis=0), quality.max(axis=0))
        used = [fold != held_out for held_out in (*range(fold.max() + 1), _NEW)]
        self._words = [Words.fitted(words[rows], quality[rows], *bounds) for rows in used]
        self._reader.words = self._words[_NEW]

    def _read(self, query: pd.DataFrame) -> _Queries:
        encoded, known = self._reader.queries(query), self._reader.known(query)
        fold = self._fold_of(known)
        if self._words and (fold != _NEW).any():
            words = self._reader.features.words(known)
            for number in set(fold.tolist()) - {_NEW}:
                rows = np.flatnonzero(fold == number)
                encoded[rows, -len(self.models_) :] = self._words[number].predict(words[rows])
        return _Queries(encoded, fold)

    def _fold_of(self, known: pd.DataFrame) -> np.ndarray:
        # The indexer is −1 for keys that are new, and the last entry is the fold of these.
        return self._folds[self._keys.get_indexer(pd.Index(keys(known)))]

    def _known(self, evidence: Evidence, members: Sequence[int], rows: np.ndarray) -> tuple[Table, np.ndarray]:
        """Return all that is known of some queries once the models `members` have run, and the folds of the queries."""
        encoded, fold = self._recent.get(evidence.query, self._read)
        return beside([encoded[rows], *self._reader.answers(evidence, members, rows)]), fold[rows]

    def _known_of_train(self, members: Sequence[int]) -> tuple[Table, np.ndarray]:
        encoded, fold = self._own
        known = self._train.evidence(np.isin(np.arange(self._train.k), members))
        return beside([encoded, *self._reader.answers(known, members, np.arange(len(fold)))]), fold

    def _quality_fit(self, members: tuple[int, ...]) -> _CrossFit:
        """Return the fits of quality for one set of models that have run."""
        if members not in self._quality_fits:
            known, fold = self._known_of_train(members)
            quality = self._train.quality
            bounds = quality.min(axis=0), quality.max(axis=0)
            words_end = self._reader.of_queries if self._words else 0
            self._quality_fits[members] = _CrossFit(
                self._quality, known, quality, fold, bounds, calibrate=self.calibrate, words_end=words_end
            )
        return self._quality_fits[members]

    def _cost_fit(self, members: tuple[int, ...]) -> _CrossFit:
        """Return the fits of cost for one set of models that have run."""
        if members not in self._cost_fits:
            known, fold = self._known_of_train(members)
            cost = self._train.cost
            known = beside([known, cost[:, members]])
            self._cost_fits[members] = _CrossFit(self._cost, known, cost, fold, (0.0, np.inf), calibrate=False)
        return self._cost_fits[members]

    def _change(self, members: tuple[int, ...]) -> Changes:
        """Return how held-out estimates moved when one more model joined `members`."""
        if members not in self._changes:
            now = self._quality_fit(members).held_out
            later = now.copy()
            for i in set(range(len(self.models_))) - set(members):
                later[:, i] = self._quality_fit(tuple(sorted((*members, i)))).held_out[:, i]
            self._changes[members] = Changes.measured(now, later, self._train.quality)
        return self._changes[members]


class _Queries(NamedTuple):
    """The encoded features of all queries of some outcomes, and the fold of each, or _NEW."""

    encoded: Table
    fold: np.ndarray


class _CrossFit:
    """One fit for every fold, made without it, whose queries it predicts, and one on all for queries that are new."""

    def __init__(
        self,
        learner: BaseEstimator,
        known: Table,
        truth: np.ndarray,
        fold: np.ndarray,
        bounds: tuple[np.ndarray | float, np.ndarray | float],
        *,
        calibrate: bool,
        words_end: int = 0,
    ) -> None:
        self._models = truth.shape[1]
        # The last fit, number −1 and so that of _NEW, leaves no fold out.
        used = [fold != held_out for held_out in (*range(fold.max() + 1), _NEW)]
        self.fits = [Estimate(Columns.fitted(learner, known[rows], truth[rows]), *bounds, words_end) for rows in used]
        self.held_out = self.predict(known, fold)
        if words_end:
            said = np.asarray(known[:, words_end - self._models : words_end])
            for fit in self.fits:
                fit.blend = blend_weight(self.held_out, said, truth)
            self.held_out = self.predict(known, fold)
        if calibrate:
            # A fold's calibrator has seen held-out estimates and truth of the other folds only.
            for fit, rows in zip(self.fits, used, strict=True):
                fit.isotonic = Isotonic.fitted(self.held_out[rows], truth[rows])
            self.held_out = self.predict(known, fold)

    def predict(self, known: Table, fold: np.ndarray) -> np.ndarray:
        """Return estimates for all models, shape (m, k)."""
        mean = np.zeros((len(fold), self._models))
        for number in np.unique(fold):
            rows = np.flatnonzero(fold == number)
            mean[rows] = self.fits[number].predict(known[rows])
        return mean


def _default_quality() -> BaseEstimator:
    return ExtraTreesRegressor(50, min_samples_leaf=5, max_features=0.5)


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
