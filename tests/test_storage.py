"""A policy comes back from its file as it was; anything else in the file is refused."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge

from cascade_lib import (
    Cascade,
    LearnedEstimator,
    Outcomes,
    Policy,
    Router,
    TabulatedEstimator,
    ThresholdCascade,
)
from truths import STRATEGIES


def pool(n, seed):
    """Return outcomes with features of every kind, some of them missing."""
    rng = np.random.default_rng(seed)
    hard = rng.random(n)
    right = rng.random((n, 3)) < np.column_stack([1 - hard, 1 - hard / 2, 1 - hard / 4])
    says = np.where(right, "yes", rng.choice(["no", "maybe"], (n, 3))).astype(object)
    says[0, 0] = np.nan
    margin = np.where(right, 0.8, 0.3) + rng.normal(0, 0.2, (n, 3))
    margin[1, 1] = np.nan
    query = pd.DataFrame(
        {
            "length": rng.integers(1, 100, n),
            "hard": np.where(rng.random(n) < 0.1, np.nan, hard),
            "asks": rng.random(n) < 0.5,
            "domain": rng.choice(["films", "tweets"], n),
        },
        index=[f"q{seed}-{i}" for i in range(n)],
    )
    cost = rng.uniform(0.9, 1.1, (n, 3)) * [1, 3, 9]
    return Outcomes(right, cost, models=["a", "b", "c"], query=query, answers={"margin": margin, "says": says})


TRAIN, TEST = pool(300, 0), pool(100, 1)


@pytest.mark.parametrize("strategy", [*STRATEGIES, ThresholdCascade(order=(0, 2), ceiling=0.9)], ids=repr)
def test_a_policy_comes_back_as_it_was(strategy, tmp_path):
    policy = strategy.fit(LearnedEstimator(calibrate=True, seed=7).fit(TRAIN), TRAIN, budget=4.0)
    policy.save(tmp_path / "policy.json")
    again = Policy.load(tmp_path / "policy.json")
    assert repr(again.strategy) == repr(strategy)
    assert (again.lam, again.gamma, again.budget) == (policy.lam, policy.gamma, policy.budget)
    assert (again.schema, again.calibration) == (policy.schema, policy.calibration)
    for outcomes in (TRAIN, TEST):
        before, after = policy.play(outcomes, seed=0), again.play(outcomes, seed=0)
        assert (before.order == after.order).all()
        assert (before.answer == after.answer).all()


def test_step_prices_and_infinite_budgets_are_kept(tmp_path):
    estimator = LearnedEstimator().fit(TRAIN)
    strategy = Cascade().with_step_prices(estimator, TRAIN, lam=0.02)
    strategy.fit(estimator, TRAIN, budget=np.inf).save(tmp_path / "policy.json")
    again = Policy.load(tmp_path / "policy.json")
    assert again.strategy.step_prices == strategy.step_prices
    assert again.budget == np.inf


def test_learners_of_scikit_learn_are_kept(tmp_path):
    texts = TRAIN.query.assign(text=["good" if hard < 0.5 else "bad" for hard in TRAIN.query["hard"]])
    train = Outcomes(TRAIN.quality, TRAIN.cost, models=TRAIN.models, query=texts)
    features = make_column_transformer((TfidfVectorizer(), "text"), ("passthrough", ["length"]))
    quality = HistGradientBoostingRegressor(max_iter=10)
    estimator = LearnedEstimator(quality, Ridge(0.5), features=features, folds=2).fit(train)
    policy = Router().fit(estimator, train, budget=4.0)
    policy.save(tmp_path / "policy.json")
    again = Policy.load(tmp_path / "policy.json")
    assert again.estimator.quality.get_params() == quality.get_params()
    assert (policy.play(train, seed=0).order == again.play(train, seed=0).order).all()


class Mine(RegressorMixin, BaseEstimator):
    def fit(self, X, y):
        self.mean_ = np.mean(y, axis=0)
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)


def test_types_of_ones_own_must_be_trusted_by_name(tmp_path):
    policy = Router().fit(LearnedEstimator(Mine()).fit(TRAIN), TRAIN, budget=4.0)
    policy.save(tmp_path / "policy.json")
    with pytest.raises(ValueError, match="types that are not trusted: test_storage.Mine"):
        Policy.load(tmp_path / "policy.json")
    assert isinstance(Policy.load(tmp_path / "policy.json", trusted=("test_storage.Mine",)).estimator.quality, Mine)


def test_what_cannot_serve_new_queries_is_not_saved(tmp_path):
    policy = Router().fit(TabulatedEstimator(TRAIN.quality, cost_ex_ante=TRAIN.cost), TRAIN, budget=4.0)
    with pytest.raises(TypeError, match="only policies with a LearnedEstimator can be saved"):
        policy.save(tmp_path / "policy.json")
    odd = Outcomes(TRAIN.quality, TRAIN.cost, query=pd.DataFrame({"when": pd.date_range("2026", periods=300)}))
    estimator = LearnedEstimator(features=make_column_transformer(("drop", ["when"]), remainder="drop"))
    with pytest.raises(TypeError, match="features must be numbers or strings to be saved"):
        Router().fit(estimator.fit(odd), odd, budget=4.0).save(tmp_path / "policy.json")
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    path = tmp_path_factory.mktemp("policy") / "policy.json"
    few = TRAIN.take(np.arange(40))
    Router().fit(LearnedEstimator(Ridge(), folds=2).fit(few), few, budget=9.0).save(path)
    return path.read_text()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"format": "cascade_lib policy"', '"format": "recipe"', 'lacks the line "format"'),
        ('"version": 1', '"version": 2', "of version 2, but this library reads version 1: update it"),
        ('"class": "Router"', '"class": "Bandit"', "there is no strategy 'Bandit'; there are Router"),
        ('"gamma": ', '"gamma": 2', "gamma is 2"),
        ('"lam": ', '"lam": "nan", "mal": ', "lam is nan"),
        ('"gamma": ', '"delta": ', "'gamma' is missing"),
        ('"folds": 2', '"folds": 1', "folds must be a whole number of at least 2"),
        ('"cost_unit": ""', '"cost_unit": "USD"', "the schema is not that of the training outcomes"),
        ("{", "[", "it is no JSON"),
    ],
)
def test_a_damaged_file_is_refused(document, old, new, message, tmp_path):
    assert old in document
    path = tmp_path / "policy.json"
    path.write_text(document.replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        Policy.load(path)


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_damage_does_more_than_be_refused(document, data, tmp_path):
    """Any value anywhere in the file is replaced: what comes of it is a policy or a ValueError, and nothing else."""
    tree = json.loads(document)
    place, key = tree, data.draw(st.sampled_from(sorted(tree)))
    while isinstance(place[key], dict | list) and place[key] and data.draw(st.booleans()):
        place = place[key]
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
    junk = st.one_of(
        st.none(), st.booleans(), st.integers(-2, 2), st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=3), st.just([]), st.just({}), st.just([None]), st.just("UEsDBA=="),
    )  # fmt: skip
    place[key] = data.draw(junk)
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(tree))
    try:
        policy = Policy.load(path)
    except (ValueError, UserWarning):  # another version of scikit-learn is warned of, and warnings are errors here
        return
    assert isinstance(policy, Policy)


def test_a_file_appears_whole_or_not_at_all(document, tmp_path, monkeypatch):
    path = tmp_path / "policy.json"
    path.write_text(document)
    policy = Policy.load(path)
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        policy.save(path)
    assert path.read_text() == document
