"""Learners as arrays predict what scikit-learn predicts."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import (
    ElasticNet,
    HuberRegressor,
    Lasso,
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeCV,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor, ExtraTreeRegressor

from cascade_lib.estimators._predictors import Foreign, Isotonic, Linear, Trees, predictor

RNG = np.random.default_rng(0)
X, NEW = RNG.normal(size=(200, 5)), RNG.normal(size=(300, 5))
Y = X[:, :2] + RNG.normal(size=(200, 2))


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize(
    "learner",
    [
        LinearRegression(),
        Ridge(3),
        RidgeCV(),
        Lasso(0.1),
        ElasticNet(0.1),
        make_pipeline(StandardScaler(), Ridge()),
        make_pipeline(StandardScaler(with_mean=False), StandardScaler(with_std=False), RidgeCV()),
        DecisionTreeRegressor(random_state=0),
        ExtraTreeRegressor(random_state=0),
        ExtraTreesRegressor(7, random_state=0),
        RandomForestRegressor(7, max_leaf_nodes=20, random_state=0),
    ],
    ids=repr,
)
def test_predictions_are_those_of_scikit_learn(learner, outputs):
    learner.fit(X, Y if outputs == 2 else Y[:, 0])
    ours = predictor(learner)
    theirs = learner.predict(NEW).reshape(len(NEW), outputs)
    np.testing.assert_allclose(ours.predict(NEW), theirs, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ours.predict(sparse.csr_array(NEW)), theirs, rtol=1e-12, atol=1e-12)
    again = type(ours).read(ours.stored(), 5, outputs)
    np.testing.assert_array_equal(again.predict(NEW), ours.predict(NEW))


@pytest.mark.parametrize("learner", [LogisticRegression(C=3), make_pipeline(StandardScaler(), LogisticRegression())])
def test_probabilities_are_those_of_scikit_learn(learner):
    learner.fit(X, Y[:, 0] > 0)
    np.testing.assert_allclose(predictor(learner).predict(NEW)[:, 0], learner.predict_proba(NEW)[:, 1], atol=1e-12)


def test_values_on_a_threshold_go_the_way_they_go_in_scikit_learn():
    tree = DecisionTreeRegressor(random_state=0).fit(X, Y[:, 0])
    on = np.repeat(tree.tree_.threshold[tree.tree_.feature >= 0], 3)
    on[1::3], on[2::3] = np.nextafter(on[1::3], np.inf), on[2::3].astype(np.float32)
    edges = np.tile(on[:, None], 5)
    np.testing.assert_array_equal(predictor(tree).predict(edges)[:, 0], tree.predict(edges))


def test_isotonic_regressions_are_those_of_scikit_learn():
    ours = Isotonic.fitted(X[:, :2], Y)
    for i in range(2):
        theirs = IsotonicRegression(out_of_bounds="clip").fit(X[:, i], Y[:, i]).predict(NEW[:, i])
        np.testing.assert_allclose(ours.predict(NEW[:, :2])[:, i], theirs, atol=1e-12)


def test_what_is_not_known_is_used_as_it_is_and_not_stored():
    class Mine(Ridge):
        """May predict anything."""

    for learner in (Mine(), make_pipeline(StandardScaler(), DecisionTreeRegressor())):
        ours = predictor(learner.fit(X, Y))
        assert isinstance(ours, Foreign)
        np.testing.assert_array_equal(ours.predict(NEW), learner.predict(NEW))
        with pytest.raises(TypeError, match="cannot be saved.*Take one of"):
            ours.stored()


def test_huber_is_linear():
    huber = HuberRegressor().fit(X, Y[:, 0])
    assert isinstance(predictor(huber), Linear)
    np.testing.assert_allclose(predictor(huber).predict(NEW)[:, 0], huber.predict(NEW), atol=1e-12)


def test_trees_of_another_width_are_refused():
    trees = predictor(DecisionTreeRegressor().fit(X, Y))
    for p, s in ((1, 2), (5, 1)):
        with pytest.raises(ValueError, match=r"out of range|has shape"):
            Trees.read(trees.stored(), p, s)
