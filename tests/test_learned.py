"""Learned estimates: no query is judged by a fit that saw it, learning helps, and wrong input is named."""

from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import HuberRegressor, LinearRegression, LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeRegressor

from cascade_lib import CascadeRouter, LearnedEstimator, Outcomes, datasets, single_models
from cascade_lib.estimators._encoding import _agreement, keys
from cascade_lib.estimators.learned import FUTURES
from cascade_lib.theory import Gaussian


def gaussian_pool(n, seed, k=3):
    """Qualities with linear posteriors: a noisy hint of each before, a better one after, a common difficulty."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(n, 1))
    quality = 0.5 + 0.3 * common + 0.3 * rng.normal(size=(n, k))
    hint = quality + rng.normal(size=(n, k))
    look = quality + 0.4 * rng.normal(size=(n, k))
    query = pd.DataFrame(hint, columns=[f"hint-{i}" for i in range(k)])
    query.index = pd.Index([f"{seed}-{row}" for row in range(n)])
    cost = np.exp(rng.normal(size=(n, 1))) * np.arange(1, k + 1) + 0.1
    return Outcomes(quality, cost, query=query, answer_features={"look": look})


def posterior(pool, ran):
    """The conditional mean of every quality of `gaussian_pool` given what is known, by Gaussian conditioning."""
    k = pool.k
    covariance = 0.09 * np.ones((k, k)) + 0.09 * np.eye(k)
    select = np.vstack([np.eye(k), np.eye(k)[ran]])
    seen = np.hstack([pool.query.to_numpy(), pool.answer_features["look"][:, ran]])
    noise = np.diag(np.repeat([1.0, 0.16], [k, ran.sum()]))
    gain = covariance @ select.T @ np.linalg.inv(select @ covariance @ select.T + noise)
    return 0.5 + (seen - 0.5) @ gain.T


def coin_pool(n, seed, k=2):
    """Right or wrong answers that features before and after foretell a little."""
    rng = np.random.default_rng(seed)
    hardness = rng.normal(size=n)
    right = rng.random((n, k)) < expit(1 + np.arange(k) - 1.5 * hardness[:, None])
    query = pd.DataFrame({"hardness": hardness + rng.normal(size=n)}, index=[f"{seed}-{row}" for row in range(n)])
    score = right + rng.normal(size=(n, k))
    return Outcomes(right, np.tile(np.arange(1.0, k + 1), (n, 1)), query=query, answer_features={"score": score})


def change(outcomes, **fields):
    now = {
        name: getattr(outcomes, name) for name in ("quality", "cost", "models", "query", "answer_features", "cost_unit")
    }
    return Outcomes(**(now | fields))


def states(k):
    return [np.array([number >> i & 1 for i in range(k)], dtype=bool) for number in range(2**k)]


def r2(estimate, truth):
    return 1 - ((truth - estimate) ** 2).mean(axis=0) / truth.var(axis=0)


LINEAR = LearnedEstimator(LinearRegression(), LinearRegression())
NOTHING, FIRST = np.zeros(2, dtype=bool), np.array([True, False])


# What is learned


@pytest.mark.parametrize("ran", states(3), ids=str)
def test_estimates_approach_the_conditional_expectation(ran):
    test = gaussian_pool(2_000, seed=1)
    truth = posterior(test, ran)
    skills = [
        r2(LINEAR.fit(gaussian_pool(n, seed=0)).beliefs(test.evidence(ran)).mean, truth).mean()
        for n in (50, 500, 5_000)
    ]
    assert skills[0] < skills[1] < skills[2]
    assert skills[2] > 0.98


def test_trees_by_default_come_close_too():
    test, ran = gaussian_pool(1_000, seed=1), np.array([True, True, False])
    skills = [
        r2(
            LearnedEstimator().fit(gaussian_pool(n, seed=0)).beliefs(test.evidence(ran)).mean, posterior(test, ran)
        ).mean()
        for n in (100, 2_000)
    ]
    assert skills[1] > max(0.85, skills[0] + 0.05)


@pytest.mark.parametrize("options", [{"calibrate": True}, {"quality": LinearRegression()}], ids=str)
def test_estimates_are_coherent(options):
    """On average the next estimate is the present one, whatever that is."""
    estimator, test = LearnedEstimator(**options).fit(gaussian_pool(2_000, seed=0)), gaussian_pool(3_000, seed=1)
    for before, i in ((np.array([False] * 3), 0), (np.array([True, False, False]), 1)):
        now = estimator.beliefs(test.evidence(before)).mean[:, i]
        later = estimator.beliefs(test.evidence(before | (np.arange(3) == i))).mean[:, i]
        slope = np.polyfit(now, later, 1)[0]
        assert slope == pytest.approx(1, abs=0.15)
        assert (later - now).mean() == pytest.approx(0, abs=0.03)


def test_the_answers_of_one_model_tell_about_the_others():
    train, test = gaussian_pool(1_000, seed=0), gaussian_pool(1_000, seed=1)
    estimator = LINEAR.fit(train)
    before, after = (
        r2(estimator.beliefs(test.evidence(ran)).mean, test.quality) for ran in (states(3)[0], states(3)[1])
    )
    assert (after > before + 0.03).all()
    assert after[0] > after[1:].max() + 0.1


def test_what_a_model_has_cost_tells_what_the_others_will_cost():
    train, test = gaussian_pool(500, seed=0), gaussian_pool(500, seed=1)
    for estimator in (LINEAR, LearnedEstimator()):
        estimator.fit(train)
        before, after = (estimator.beliefs(test.evidence(ran)).cost for ran in (states(3)[0], states(3)[2]))
        assert r2(before, test.cost).max() < 0.1
        np.testing.assert_allclose(after, test.cost, rtol=0.05, atol=0.05)
        np.testing.assert_array_equal(after[:, 1], test.cost[:, 1])


def test_costs_are_never_negative():
    train = gaussian_pool(100, seed=0)
    steep = change(train, cost=np.exp(3 * train.query.to_numpy()))
    assert LINEAR.fit(steep).beliefs(steep.evidence(states(3)[0])).cost.min() == 0


def test_agreement_between_labels_is_understood():
    """Three of four models are right independently; a wrong answer is one of nine, so those who agree are right."""
    rng = np.random.default_rng(0)
    truth, wrong = rng.integers(100, size=(2_000, 1)), rng.integers(1, 10, size=(2_000, 4))
    right = rng.random((2_000, 4)) < 0.7
    said = np.where(right, truth, truth + wrong).astype(str).astype(object)
    pool = Outcomes(right, np.ones((2_000, 4)), answer_features={"said": said})
    train, test = pool.split(0.5, 0.5, seed=0)
    estimator = LearnedEstimator().fit(train)
    assert np.abs(r2(estimator.beliefs(test.evidence([True, False, False, False])).mean, test.quality)).max() < 0.02
    assert r2(estimator.beliefs(test.evidence([True, True, True, False])).mean, test.quality)[:3].min() > 0.5


def test_a_label_out_of_few_counts_in_itself():
    rng = np.random.default_rng(0)
    refused = rng.random((400, 2)) < 0.3
    said = np.where(refused, "sorry", "done").astype(object)
    pool = Outcomes(~refused & (rng.random((400, 2)) < 0.9), np.ones((400, 2)), answer_features={"said": said})
    mean = LearnedEstimator().fit(pool).beliefs(pool.evidence(FIRST)).mean[:, 0]
    assert mean[refused[:, 0]].max() < 0.05
    assert mean[~refused[:, 0]].min() > 0.75


# Cross-fitting


OVERGROWN = [
    KNeighborsRegressor(1),
    KNeighborsClassifier(1),
    DecisionTreeRegressor(random_state=0),
    make_pipeline(StandardScaler(), KNeighborsRegressor(1)),
]


def later_looks(train):
    """The training queries as they may come back, each with the rows of `train` that it shows."""
    some = np.random.default_rng(5).permutation(len(train))[: len(train) // 2]
    again = np.random.default_rng(5).integers(len(train), size=2 * len(train))
    yield "same object", train, np.arange(len(train))
    yield "copy", train.take(np.arange(len(train))), np.arange(len(train))
    yield "subset", train.take(some), some
    yield "resample", train.take(again), again
    yield "other costs", change(train, cost=3 * train.cost), np.arange(len(train))
    yield "quality unknown", change(train, quality=0 * train.quality), np.arange(len(train))
    yield "further column", change(train, query=train.query.assign(new=1)), np.arange(len(train))
    yield "single precision", change(train, query=train.query.astype(np.float32)), np.arange(len(train))
    yield "one of them", train.take([17]), np.array([17])


@pytest.mark.parametrize("future", FUTURES)
def test_a_training_query_gets_the_same_held_out_estimate_wherever_it_comes_up(future):
    train = coin_pool(120, seed=0)
    estimator = LearnedEstimator(DecisionTreeRegressor(), LinearRegression(), future=future).fit(train)
    for ran in states(2):
        first = estimator.beliefs(train.evidence(ran))
        for name, look, rows in later_looks(train):
            mean = estimator.beliefs(look.evidence(ran)).mean
            np.testing.assert_array_equal(mean, first.mean[rows], err_msg=name)


def test_a_query_is_recognised_by_what_it_says_whatever_the_types():
    names = [f"q{i}" for i in range(6)]
    labels = ["a", None, "b", "a", "b", "a"]
    frame = pd.DataFrame({"size": [7, 8, 9, 1, 0, 3], "sure": [True, False] * 3, "kind": labels}, index=names)
    first = keys(frame)
    assert len(set(first)) == 6
    looks = [
        frame.astype({"size": np.float32, "sure": float, "kind": "category"}),
        frame.astype({"size": "Int64", "sure": "boolean", "kind": "string"}),
        frame.astype({"size": object, "sure": int}).rename(index=str),
    ]
    for look in looks:
        np.testing.assert_array_equal(keys(look), first)
    for i, name in enumerate(names):
        live = pd.DataFrame([[float(frame["size"].iloc[i]), frame["sure"].iloc[i], labels[i]]], index=[name])
        np.testing.assert_array_equal(keys(live), first[[i]])
    assert keys(frame.rename(index={"q0": "other"}))[0] != first[0]
    assert keys(frame.assign(size=0.0))[0] != first[0]
    np.testing.assert_array_equal(keys(frame.set_axis(range(6))), keys(frame.set_axis(list("012345"))))


def test_a_new_query_gets_one_fit_on_all_queries():
    train, test = coin_pool(200, seed=0), coin_pool(50, seed=1)
    mean = LearnedEstimator(LinearRegression()).fit(train).beliefs(test.evidence(FIRST)).mean
    known = [np.column_stack([pool.query, pool.answer_features["score"][:, 0]]) for pool in (train, test)]
    alone = LinearRegression().fit(known[0], train.quality).predict(known[1])
    np.testing.assert_allclose(mean, np.clip(alone, 0, 1), atol=1e-12)


def test_new_queries_are_calibrated_by_all_held_out_estimates():
    train, test = coin_pool(200, seed=0), coin_pool(50, seed=1)
    plain = LearnedEstimator(LinearRegression()).fit(train)
    held_out, raw = (plain.beliefs(look.evidence(FIRST)).mean for look in (train, test))
    mean = LearnedEstimator(LinearRegression(), calibrate=True).fit(train).beliefs(test.evidence(FIRST)).mean
    for i in range(2):
        isotonic = IsotonicRegression(out_of_bounds="clip").fit(held_out[:, i], train.quality[:, i])
        np.testing.assert_allclose(mean[:, i], isotonic.predict(raw[:, i]), atol=1e-12)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, ""], ids=repr)
def test_each_model_is_told_which_share_of_the_others_agrees_with_it(missing):
    said = np.array([list("aab"), list("aaa"), ["a", missing, missing], [missing] * 3], dtype=object)
    np.testing.assert_array_equal(_agreement(said), [[0.5, 0.5, 0], [1, 1, 1], [0, 0, 0], [0, 0, 0]])


def test_the_label_of_a_query_does_not_touch_its_own_estimate():
    """One label at a time is turned round: its own estimate stays, others change."""
    train = coin_pool(100, seed=0)
    learner = LearnedEstimator(KNeighborsRegressor(3))
    before = learner.fit(train).beliefs(train.evidence(FIRST)).mean
    for row in range(8):
        turned = np.array(train.quality)
        turned[row] = 1 - turned[row]
        after = learner.fit(change(train, quality=turned)).beliefs(train.evidence(FIRST)).mean
        np.testing.assert_array_equal(after[row], before[row])
        assert not np.array_equal(after, before)


@pytest.mark.parametrize("learner", OVERGROWN, ids=str)
def test_overgrown_learners_have_no_more_skill_on_training_queries(learner):
    train, test = coin_pool(1_500, seed=0), coin_pool(1_500, seed=1)
    estimator = LearnedEstimator(learner).fit(train)
    twice = estimator.fit(train.take(np.repeat(np.arange(len(train)), 2)))
    for ran in (NOTHING, FIRST):
        for look in (train, train.resample(seed=1)):
            mean = twice.beliefs(look.evidence(ran)).mean
            seen = r2(mean, look.quality).mean()
            # A fit that had seen them would reach 1; held-out fits do no better than the fit on all does on new ones.
            assert seen < r2(twice.beliefs(test.evidence(ran)).mean, test.quality).mean() + 0.2
            assert roc_auc_score(look.quality.ravel(), mean.ravel()) < 0.9


@pytest.mark.parametrize("calibrate", [False, True])
@pytest.mark.parametrize("learner", [None, *OVERGROWN], ids=str)
def test_shuffled_labels_give_no_skill(learner, calibrate):
    pool = coin_pool(1_000, seed=0)
    shuffled = np.random.default_rng(1).permutation(pool.quality)
    train = change(pool, quality=shuffled, answer_features={"score": np.random.default_rng(2).normal(size=(1_000, 2))})
    estimator = LearnedEstimator(learner, calibrate=calibrate).fit(train)
    for ran in states(2):
        mean = estimator.beliefs(train.evidence(ran)).mean
        for i in range(2):
            right = train.quality[:, i] == 1
            assert r2(mean[:, i], train.quality[:, i]) < 0.01
            sd = np.sqrt((1 / right.sum() + 1 / (~right).sum()) / 12)
            assert abs(roc_auc_score(right, mean[:, i]) - 0.5) < 4 * sd
    assert estimator.beliefs(train.evidence(NOTHING)).spread.max() < 0.1


def test_which_queries_an_estimate_comes_from():
    """Without any features estimates are means; qualities of 1, 2, 4, … tell of which rows."""
    quality = 2.0 ** np.arange(20)[:, None]
    train = Outcomes(quality, np.ones((20, 1)), query=pd.DataFrame(index=[f"query-{row}" for row in range(20)]))
    estimator = LearnedEstimator().fit(train)
    mean = estimator.beliefs(train.evidence([False])).mean[:, 0]
    used = (16 * mean).round().astype(int)[:, None] >> np.arange(20) & 1
    assert not used.diagonal().any()
    np.testing.assert_array_equal(used.sum(axis=1), 16)
    assert len(np.unique(used, axis=0)) == 5
    # A new query gets the fit on all.
    new = change(train, query=pd.DataFrame(index=[f"new-{row}" for row in range(20)]))
    np.testing.assert_allclose(estimator.beliefs(new.evidence([False])).mean, quality.mean())


def test_repeated_queries_share_a_fold():
    quality = 2.0 ** np.arange(12)[:, None]
    labels = pd.DataFrame(index=[f"query-{row % 6}" for row in range(12)])
    estimator = LearnedEstimator(folds=6).fit(Outcomes(quality, np.ones((12, 1)), query=labels))
    mean = estimator.beliefs(change(estimator._train).evidence([False])).mean[:, 0]
    used = (10 * mean).round().astype(int)[:, None] >> np.arange(12) & 1
    np.testing.assert_array_equal(used, 1 - np.tile(np.eye(6, dtype=int), (2, 2)))


# The law of what comes next


def sequences(estimator, test, ran, i):
    """The estimates of model i now and after its call, and the beliefs now."""
    now = estimator.beliefs(test.evidence(ran))
    return now.mean[:, i], estimator.beliefs(test.evidence(ran | (np.arange(test.k) == i))).mean[:, i], now


@pytest.mark.parametrize("pool", [gaussian_pool, coin_pool])
def test_the_spread_is_that_of_the_change(pool):
    train, test = pool(2_000, seed=0), pool(2_000, seed=1)
    estimator = LearnedEstimator(LinearRegression()).fit(train)
    for future, i in product(FUTURES, range(test.k)):
        estimator.set_params(future=future)
        now, later, beliefs = sequences(estimator, test, np.zeros(test.k, dtype=bool), i)
        assert np.sqrt((beliefs.spread[:, i] ** 2).mean()) == pytest.approx((later - now).std(), rel=0.1)
        np.testing.assert_allclose(beliefs.future(beliefs.left).mean[:, i], now, atol=1e-12)
    ran = np.arange(test.k) == 0
    assert not estimator.beliefs(test.evidence(ran)).spread[:, 0].any()


def test_an_estimate_that_is_sure_moves_less():
    train, test = coin_pool(3_000, seed=0), coin_pool(3_000, seed=1)
    estimator = LearnedEstimator(LogisticRegression()).fit(train)
    now, later, beliefs = sequences(estimator, test, NOTHING, 1)
    thirds = np.searchsorted(np.quantile(now, [1 / 3, 2 / 3]), now)
    moved = [np.sqrt(((later - now)[thirds == t] ** 2).mean()) for t in range(3)]
    spread = [np.sqrt((beliefs.spread[thirds == t, 1] ** 2).mean()) for t in range(3)]
    assert moved[0] > moved[1] > moved[2]
    np.testing.assert_allclose(spread, moved, rtol=0.35)


def test_joint_futures_have_the_correlation_of_the_changes():
    train, test = gaussian_pool(3_000, seed=0), gaussian_pool(3_000, seed=1)
    estimator = LearnedEstimator(LinearRegression(), LinearRegression(), future="joint").fit(train)
    nothing = np.zeros(3, dtype=bool)
    pairs = [sequences(estimator, test, nothing, i) for i in range(3)]
    moves = np.column_stack([later - now for now, later, _ in pairs])
    covariance = estimator.beliefs(test.evidence(nothing)).law.covariance
    deviation = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    correlation = covariance / deviation[:, :, None] / deviation[:, None, :]
    np.testing.assert_allclose(correlation[0], np.corrcoef(moves.T), atol=0.05)
    assert np.corrcoef(moves.T)[0, 1] > 0.2
    ran = np.array([True, False, False])
    assert not estimator.beliefs(test.evidence(ran)).law.covariance[:, 0].any()


def test_empirical_futures_follow_the_changes_of_similar_queries():
    """The answer says whether it is right, so the next estimate is 0 or 1: far from Gaussian."""
    rng = np.random.default_rng(0)
    chance = rng.uniform(0.1, 0.9, 4_000)
    right = rng.random((4_000, 1)) < chance[:, None]
    pool = Outcomes(
        right, np.ones((4_000, 1)), query=pd.DataFrame({"chance": chance}), answer_features={"checked": right}
    )
    train, test = pool.split(0.5, 0.5, seed=0)
    estimator = LearnedEstimator(LinearRegression(), future="empirical").fit(train)
    beliefs = estimator.beliefs(test.evidence([False]))
    value, now = beliefs.law.value[:, 0], beliefs.mean[:, 0]
    np.testing.assert_allclose(value.mean(axis=1), now, atol=1e-12)
    assert value.min() >= -1e-12
    assert value.max() <= 1 + 1e-12
    middle = np.abs(now - 0.5) < 0.2
    assert (np.minimum(value, 1 - value)[middle] < 0.2).mean() > 0.93
    # E[max(0.5, Q)] is then p + (1 − p) / 2, which a Gaussian of the same spread gets wrong.
    best, truth = np.full(len(now), 0.5), (1 + now) / 2
    error, of_gaussian = (
        np.abs(law.alone(best)[:, 0] - truth)[middle].mean()
        for law in (beliefs.law, Gaussian(beliefs.mean, beliefs.spread))
    )
    assert error < 0.03
    assert error < 0.6 * of_gaussian


@pytest.mark.parametrize("calibrate", [False, True])
@pytest.mark.parametrize("learner", [ExtraTreesRegressor(5), LogisticRegression(), HuberRegressor()], ids=str)
def test_models_that_never_vary_are_known_for_sure(learner, calibrate):
    pool = coin_pool(200, seed=0, k=3)
    quality = np.column_stack([np.ones(200), pool.quality[:, 0], np.zeros(200)])
    cost = np.column_stack([np.full(200, 0.1), pool.query["hardness"] ** 2, np.full(200, 0.7)])
    pool = change(pool, quality=quality, cost=cost)
    train, test = pool.split(0.5, 0.5, seed=0)
    estimator = LearnedEstimator(learner, calibrate=calibrate).fit(train)
    for future, ran in product(FUTURES, states(3)):
        beliefs = estimator.set_params(future=future).beliefs(test.evidence(ran))
        np.testing.assert_array_equal(beliefs.mean[:, [0, 2]], test.quality[:, [0, 2]])
        np.testing.assert_array_equal(beliefs.cost[:, [0, 2]], test.cost[:, [0, 2]])
        assert not beliefs.spread[:, [0, 2]].any()
        assert beliefs.mean[:, 1].std() > 0


def test_calibration_mends_estimates_that_are_too_sure():
    train, test = coin_pool(2_000, seed=0), coin_pool(2_000, seed=1)
    brier = {}
    for calibrate in (False, True):
        estimator = LearnedEstimator(KNeighborsRegressor(5), calibrate=calibrate).fit(train)
        for name, look in (("train", train), ("test", test)):
            mean = estimator.beliefs(look.evidence(FIRST)).mean
            brier[calibrate, name] = ((mean - look.quality) ** 2).mean()
            if calibrate:
                slope = np.polyfit(mean[:, 0], look.quality[:, 0], 1)[0]
                assert slope == pytest.approx(1, abs=0.2)
    assert brier[True, "train"] < brier[False, "train"] - 0.01
    assert brier[True, "test"] < brier[False, "test"] + 0.005


def test_continuous_qualities_stay_within_the_range_seen():
    train, test = gaussian_pool(300, seed=0), gaussian_pool(2_000, seed=1)
    for calibrate in (False, True):
        mean = (
            LearnedEstimator(LinearRegression(), calibrate=calibrate)
            .fit(train)
            .beliefs(test.evidence(states(3)[7]))
            .mean
        )
        assert (mean >= train.quality.min(axis=0) - 1e-12).all()
        assert (mean <= train.quality.max(axis=0) + 1e-12).all()
        assert r2(mean, test.quality).min() > 0.5


# Invariances


def test_permuting_models_permutes_beliefs():
    train, test = gaussian_pool(300, seed=0), gaussian_pool(50, seed=1)
    turn = [2, 0, 1]
    names = [train.models[i] for i in turn]
    straight, turned = (clone(LINEAR).fit(train.select(order)) for order in (train.models, names))
    for future, ran in product(FUTURES, states(3)):
        one = straight.set_params(future=future).beliefs(test.evidence(ran))
        other = turned.set_params(future=future).beliefs(test.select(names).evidence(ran[turn]))
        for field in ("mean", "spread", "cost"):
            np.testing.assert_allclose(getattr(other, field), getattr(one, field)[:, turn], rtol=1e-7, atol=1e-9)


def test_the_order_of_training_queries_does_not_matter():
    train, test = gaussian_pool(300, seed=0), gaussian_pool(50, seed=1)
    back = train.take(np.arange(len(train))[::-1])
    for ran in states(3):
        one, other = (LINEAR.fit(look).beliefs(test.evidence(ran)).mean for look in (train, back))
        np.testing.assert_allclose(one, other, rtol=1e-9)


@pytest.mark.parametrize("calibrate", [False, True])
def test_estimates_depend_on_the_seed_only(calibrate):
    train, test = coin_pool(150, seed=0), coin_pool(60, seed=1)
    estimator = LearnedEstimator(ExtraTreesRegressor(5), calibrate=calibrate, seed=3)
    one = [estimator.fit(train).beliefs(test.evidence(ran)).mean for ran in states(2)]
    asked_backwards = clone(estimator).fit(train)
    other = [asked_backwards.beliefs(test.evidence(ran)).mean for ran in states(2)[::-1]][::-1]
    with ThreadPoolExecutor(8) as pool:
        shared = clone(estimator).fit(train)
        at_once = list(pool.map(lambda ran: shared.beliefs(test.evidence(ran)).mean, states(2) * 4))
    for number in range(4):
        np.testing.assert_array_equal(one[number], other[number])
        for again in at_once[number::4]:
            np.testing.assert_array_equal(one[number], again)
    assert not np.array_equal(
        one[0], clone(estimator).set_params(seed=4).fit(train).beliefs(test.evidence(NOTHING)).mean
    )


def test_the_seed_draws_the_folds():
    train = coin_pool(150, seed=0)
    one, other = (clone(LINEAR).set_params(seed=seed).fit(train).beliefs(train.evidence(FIRST)).mean for seed in (0, 1))
    assert np.abs(one - other).max() > 1e-6


def test_a_random_state_that_was_set_is_left_alone():
    train = coin_pool(150, seed=0)
    forest = RandomForestRegressor(5, random_state=7)
    means = [
        LearnedEstimator(clone(forest).set_params(random_state=state)).fit(train).beliefs(train.evidence(FIRST)).mean
        for state in (7, 8)
    ]
    estimator = LearnedEstimator(forest).fit(train)
    np.testing.assert_array_equal(estimator.beliefs(train.evidence(FIRST)).mean, means[0])
    assert not np.array_equal(*means)
    assert not hasattr(forest, "estimators_"), "the learner handed in was fitted itself"


def test_rows_are_positions():
    train, test = coin_pool(100, seed=0), coin_pool(30, seed=1)
    estimator = LearnedEstimator(LinearRegression(), future="empirical").fit(train)
    rows = np.array([7, 3, 3])
    some, every = estimator.beliefs(test.evidence(FIRST), rows), estimator.beliefs(test.evidence(FIRST))
    for field in ("mean", "spread", "cost"):
        np.testing.assert_allclose(getattr(some, field), getattr(every, field)[rows], rtol=1e-12)


# Features


def with_features(n, **columns):
    pool = coin_pool(n, seed=0)
    return change(pool, query=pd.DataFrame(columns, index=pool.query.index))


def test_columns_of_every_kind_are_read():
    pool = coin_pool(400, seed=0)
    hard = pool.query["hardness"].to_numpy() > 0
    kinds = {
        "bool": hard,
        "nullable bool": pd.array(hard, dtype="boolean"),
        "nullable integer": pd.array(hard, dtype="Int64"),
        "integer": hard.astype(int),
        "objects": hard.astype(object),
        "strings": np.where(hard, "hard", "easy"),
        "string": pd.array(np.where(hard, "hard", "easy"), dtype="string"),
        "category": pd.Categorical(np.where(hard, "hard", "easy")),
        "category of numbers": pd.Categorical(hard.astype(int)),
    }
    train, test = np.arange(200), np.arange(200, 400)
    means = {}
    for kind, values in kinds.items():
        look = change(pool, query=pd.DataFrame({"hard": values}, index=pool.query.index))
        estimator = LearnedEstimator(DecisionTreeRegressor(min_samples_leaf=10)).fit(look.take(train))
        means[kind] = estimator.beliefs(look.take(test).evidence(NOTHING)).mean
        assert means[kind][hard[test]].mean() < means[kind][~hard[test]].mean() - 0.1, kind


def test_missing_features_are_filled_and_marked():
    """Here missing is what matters."""
    rng = np.random.default_rng(0)
    missing = rng.random(300) < 0.5
    for filled in (np.where(missing, np.nan, rng.normal(size=300)), np.where(missing, None, "known")):
        pool = Outcomes(~missing[:, None], np.ones((300, 1)), query=pd.DataFrame({"feature": filled}))
        mean = LearnedEstimator(LinearRegression()).fit(pool).beliefs(pool.evidence([False])).mean[:, 0]
        np.testing.assert_allclose(mean, ~missing, atol=1e-6)


def test_missing_answers_are_filled_and_marked():
    rng = np.random.default_rng(0)
    right = rng.random((300, 2)) < 0.6
    for said in (np.where(right, rng.normal(size=(300, 2)), np.nan), np.where(right, "yes", None)):
        pool = Outcomes(right, np.ones((300, 2)), answer_features={"said": said})
        estimator = LearnedEstimator(LinearRegression()).fit(pool)
        mean = estimator.beliefs(pool.evidence(FIRST)).mean[:, 0]
        np.testing.assert_allclose(mean, right[:, 0], atol=1e-6)
        # Nothing is read of models that have not run.
        blank = change(pool, answer_features={"said": np.where([True, False], said.astype(object), None)})
        np.testing.assert_allclose(estimator.beliefs(blank.evidence(FIRST)).mean[:, 0], mean)


def test_features_missing_only_later_are_filled():
    train = with_features(100, size=np.arange(100.0), kind=["a", "b"] * 50)
    estimator = LearnedEstimator().fit(train)
    later = with_features(100, size=np.nan, kind=None)
    assert np.isfinite(estimator.beliefs(later.evidence(NOTHING)).mean).all()
    unknown = with_features(100, size=np.arange(100.0), kind="c")
    assert np.isfinite(estimator.beliefs(unknown.evidence(NOTHING)).mean).all()


def test_texts_and_dates_are_read_by_default():
    """What matters stands in a word of a text, or in the day, the hour or the weekday of a date."""
    rng = np.random.default_rng(0)
    when = pd.Timestamp("2026-05-17") + pd.to_timedelta(rng.integers(0, 8 * 7 * 24 * 60, 600), unit="min")
    signs = {
        "a word": rng.random(600) < 0.5,
        "day": when < when.min() + pd.Timedelta(28, "D"),
        "hour": when.hour < 12,
        "weekday": when.day_of_week < 4,
    }
    prompts = [f"please {'prove' if sign else 'greet'} number {i}" for i, sign in enumerate(signs["a word"])]
    query = pd.DataFrame({"prompt": prompts, "when": when})
    for name, sign in signs.items():
        pool = Outcomes(np.column_stack([sign, sign]), np.ones((600, 2)), query=query)
        train, test = pool.take(np.arange(400)), pool.take(np.arange(400, 600))
        mean = LearnedEstimator().fit(train).beliefs(test.evidence(NOTHING)).mean[:, 0]
        assert roc_auc_score(test.quality[:, 0], mean) > 0.95, name


def topical(n, seed):
    """Texts of many words, one of which, out of 80, says which of two models is likely to be right."""
    rng = np.random.default_rng(seed)
    sign = rng.integers(80, size=n)
    filling = [" ".join(f"w{i}" for i in rng.integers(400, size=12)) for _ in range(n)]
    texts = [f"{words} sign{i}" for words, i in zip(filling, sign, strict=True)]
    chance = np.where((sign % 2 == 0)[:, None], [0.9, 0.2], [0.2, 0.9])
    return Outcomes(rng.random((n, 2)) < chance, np.ones((n, 2)), query=pd.DataFrame({"prompt": texts}))


def test_many_words_are_read_better_than_trees_alone_read_them():
    train, test = topical(1500, 1), topical(1500, 2)
    nothing = [False, False]
    by_words = LearnedEstimator().fit(train).beliefs(test.evidence(nothing)).mean
    trees = ExtraTreesRegressor(50, min_samples_leaf=5, max_features=0.5)
    by_trees = LearnedEstimator(trees).fit(train).beliefs(test.evidence(nothing)).mean
    assert r2(by_words, test.quality).mean() > r2(by_trees, test.quality).mean() + 0.05


def test_what_words_say_of_a_training_query_was_learned_without_it():
    pool = topical(300, 3)
    noise = np.random.default_rng(4).random((300, 2)) < 0.5
    shuffled = Outcomes(noise, pool.cost, pool.models, pool.query)
    held_out = LearnedEstimator().fit(shuffled).beliefs(shuffled.evidence([False, False])).mean
    assert abs(np.corrcoef(held_out.ravel(), noise.ravel())[0, 1]) < 0.15


def test_words_serve_qualities_between_0_and_1_and_models_that_never_vary():
    pool = topical(400, 5)
    quality = np.column_stack([0.25 + 0.5 * pool.quality[:, 0], np.full(400, 0.5)])
    estimator = LearnedEstimator().fit(Outcomes(quality, pool.cost, pool.models, pool.query))
    mean = estimator.beliefs(pool.evidence([False, False])).mean
    assert ((mean >= 0.25) & (mean <= 0.75)).all()
    np.testing.assert_allclose(mean[:, 1], 0.5, atol=1e-6)


def test_a_learner_of_ones_own_reads_no_words():
    pool = topical(60, 6)
    assert LearnedEstimator(LinearRegression()).fit(pool)._reader.words is None
    assert LearnedEstimator().fit(pool)._reader.words is not None
    assert LearnedEstimator().fit(gaussian_pool(60, 6))._reader.words is None


def test_a_training_query_is_recognised_with_its_date_as_text():
    rng = np.random.default_rng(0)
    when = pd.Series(pd.date_range("2026-05-17", periods=60, freq="5h"))
    forms = [when, when.dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"), when.map(pd.Timestamp.isoformat)]
    quality = rng.random((60, 2)) < 0.5
    pools = [Outcomes(quality, np.ones((60, 2)), query=pd.DataFrame({"when": form})) for form in forms]
    estimator = LearnedEstimator(DecisionTreeRegressor()).fit(pools[0])
    held_out, *others = (estimator.beliefs(pool.evidence(NOTHING)).mean for pool in pools)
    for other in others:
        np.testing.assert_array_equal(other, held_out)
    assert (held_out != quality).any(), "they are no estimates of fits that saw the query"


def test_a_date_that_became_another_text_is_named():
    when = pd.date_range("2026-05-17", periods=60)
    estimator = LearnedEstimator().fit(with_features(60, when=when))
    with pytest.raises(
        ValueError, match="'when' held dates in training, but string values here: write it as ISO dates"
    ):
        estimator.beliefs(with_features(60, when=when.strftime("%d.%m.%Y")).evidence(NOTHING))
    with pytest.raises(ValueError, match="'when' held dates in training, but floating values here"):
        estimator.beliefs(with_features(60, when=np.arange(60.0)).evidence(NOTHING))


def test_texts_can_be_read_by_a_transformer():
    pool = coin_pool(200, seed=0)
    words = np.where(pool.query["hardness"] > 0, "prove the theorem", "say hello")
    query = pd.DataFrame({"text": words, "size": 1.0}, index=pool.query.index)
    query["text"] = [f"{text} {number}" for number, text in enumerate(query["text"])]
    pool = change(pool, query=query)
    read = ColumnTransformer([("words", TfidfVectorizer(min_df=5), "text")], sparse_threshold=1)
    estimator = LearnedEstimator(LogisticRegression(), features=read).fit(pool)
    for ran in states(2):
        mean = estimator.beliefs(pool.evidence(ran)).mean
        assert roc_auc_score(pool.quality[:, 0], mean[:, 0]) > 0.58
    for every_learner in (LearnedEstimator(features=read), LearnedEstimator(KNeighborsRegressor(5), features=read)):
        assert np.isfinite(every_learner.fit(pool).beliefs(pool.evidence(FIRST)).mean).all()
    assert not hasattr(read, "transformers_"), "the transformer handed in was fitted itself"


def test_without_features_and_answers_the_means_are_predicted():
    rng = np.random.default_rng(0)
    pool = Outcomes(rng.random((90, 2)) < [0.3, 0.8], rng.random((90, 2)))
    for estimator in (LearnedEstimator(), LearnedEstimator(LogisticRegression()), LearnedEstimator(calibrate=True)):
        beliefs = estimator.fit(pool).beliefs(pool.evidence(NOTHING))
        np.testing.assert_allclose(beliefs.mean, np.tile(pool.quality.mean(axis=0), (90, 1)), atol=0.07)
        np.testing.assert_allclose(beliefs.cost, np.tile(pool.cost.mean(axis=0), (90, 1)), atol=0.05)
        assert beliefs.spread.max() < 0.03


def test_one_model_is_enough():
    pool = coin_pool(100, seed=0, k=1)
    curve = CascadeRouter().frontier(LearnedEstimator().fit(pool), pool)
    np.testing.assert_allclose(curve.quality, pool.quality.mean())


@pytest.mark.parametrize(
    "learner",
    [
        LinearRegression(),
        make_pipeline(StandardScaler(), KNeighborsRegressor(7)),
        make_pipeline(StandardScaler(), LogisticRegression()),
        HuberRegressor(),
        ExtraTreesRegressor(5),
        KNeighborsClassifier(15),
    ],
    ids=str,
)
def test_any_learner_will_do(learner):
    train, test = coin_pool(300, seed=0), coin_pool(300, seed=1)
    estimator = LearnedEstimator(learner).fit(train)
    for ran, least in zip(states(2), (0.58, 0.58, 0.58, 0.65), strict=True):
        mean = estimator.beliefs(test.evidence(ran)).mean
        assert mean.shape == (300, 2)
        assert roc_auc_score(test.quality.ravel(), mean.ravel()) > least


# What users may get wrong


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"folds": 1}, ValueError, "folds must be a whole number of at least 2"),
        ({"folds": 2.5}, ValueError, "folds must be a whole number of at least 2.*got 2.5"),
        ({"folds": 31}, ValueError, "30 distinct queries are too few for folds=31"),
        ({"future": "certain"}, ValueError, "future must be one of 'independent', 'joint', 'empirical'; got 'certain'"),
        ({"quality": "trees"}, TypeError, "quality must have the methods fit and predict"),
        ({"cost": StandardScaler()}, TypeError, "cost must have the methods fit and predict"),
        ({"features": LinearRegression()}, TypeError, "features must have the methods fit and transform"),
        ({"quality": LinearSVC()}, TypeError, "classifier without predict_proba.*CalibratedClassifierCV"),
    ],
)
def test_bad_options_are_named(options, error, message):
    with pytest.raises(error, match=message):
        LearnedEstimator(**options).fit(coin_pool(30, seed=0))


def test_too_few_distinct_queries_are_counted_once():
    with pytest.raises(ValueError, match="3 distinct queries are too few for folds=5"):
        LearnedEstimator().fit(coin_pool(3, seed=0).resample(100, seed=0))


def test_a_classifier_needs_right_and_wrong():
    pool = gaussian_pool(30, seed=0)
    with pytest.raises(ValueError, match="qualities of 0 and 1, but that of model 'model-0' in row 0 is .*regressor"):
        LearnedEstimator(LogisticRegression()).fit(pool)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([1, "a"] * 50, "'x' holds mixed-integer values: turn it into numbers or strings, pass a transformer"),
        (pd.timedelta_range("1s", periods=100), "'x' holds timedelta64 values"),
        ([[1.0, 2.0]] * 100, "'x' holds mixed values"),
        ([np.inf] + [0.0] * 99, "'x' has an infinite value"),
    ],
)
def test_features_that_cannot_be_read_are_named(column, message):
    with pytest.raises(ValueError, match=f"the query feature {message}"):
        LearnedEstimator().fit(with_features(100, x=column))


def test_texts_are_recognised_in_resampled_queries_too():
    """What makes a text is the share of levels in distinct queries, and not in copies of them."""
    texts = with_features(100, x=[f"question {n}" for n in range(100)])
    estimator = LearnedEstimator().fit(texts.resample(2_000, seed=0))
    assert estimator.beliefs(with_features(3, x=["new", "", None]).evidence(NOTHING)).mean.shape == (3, 2)


def test_answers_that_are_no_numbers_or_labels_are_named():
    pool = coin_pool(20, seed=0)
    odd = np.array([[{"a": 1}, {"b": 2}]] * 20, dtype=object)
    with pytest.raises(ValueError, match="the answer feature 'said' holds mixed values"):
        LearnedEstimator().fit(change(pool, answer_features={"said": odd}))


def test_repeated_columns_are_named():
    pool = coin_pool(20, seed=0)
    twice = pd.concat([pool.query, pool.query], axis=1)
    with pytest.raises(ValueError, match="several columns named 'hardness'"):
        LearnedEstimator().fit(change(pool, query=twice))


def test_outcomes_that_do_not_fit_are_named():
    pool = coin_pool(30, seed=0)
    estimator = LearnedEstimator().fit(pool)
    cases = [
        (pool.select(pool.models[::-1]), r"use outcomes.select\(estimator.models_\)"),
        (pool.select(pool.models[:1]), "missing: model-1.*fit another LearnedEstimator"),
        (change(pool, models=["model-0", "new"]), "not learned: new; missing: model-1"),
        (change(pool, query=pool.query[[]]), "outcomes.query lacks the features hardness"),
        (change(pool, query=pool.query.astype(str)), "'hardness' held numbers in training, but string values here"),
        (change(pool, answer_features={}), "outcomes.answer_features lacks score"),
        (
            change(pool, answer_features={"score": np.full((30, 2), "a")}),
            "model 'model-0': the answer feature 'score' held numbers",
        ),
    ]
    for outcomes, message in cases:
        with pytest.raises(ValueError, match=message):
            estimator.beliefs(outcomes.evidence(FIRST[: outcomes.k]))
    # Before any answer has been given none is needed.
    np.testing.assert_array_equal(
        estimator.beliefs(change(pool, answer_features={}).evidence(NOTHING)).mean,
        estimator.beliefs(pool.evidence(NOTHING)).mean,
    )


def test_labels_that_became_numbers_are_named():
    estimator = LearnedEstimator().fit(with_features(40, kind=["1", "2"] * 20))
    with pytest.raises(ValueError, match="'kind' held labels in training, but floating values here"):
        estimator.beliefs(with_features(40, kind=[1, 2] * 20).evidence(NOTHING))


def test_transformers_that_go_wrong_are_named():
    for function, error, message in (
        (lambda frame: frame.astype(str) + "!", TypeError, "features must turn outcomes.query into a table of numbers"),
        (lambda frame: np.zeros((3, 1)), ValueError, r"one row for each of 30 queries; got shape \(3, 1\)"),
    ):
        with pytest.raises(error, match=message):
            LearnedEstimator(features=FunctionTransformer(function)).fit(coin_pool(30, seed=0))


def test_it_must_be_fitted_first():
    with pytest.raises(NotFittedError, match="call fit"):
        LearnedEstimator().beliefs(coin_pool(10, seed=0).evidence(FIRST))


def test_it_follows_the_conventions_of_scikit_learn():
    estimator = LearnedEstimator(LogisticRegression(C=2), folds=3, calibrate=True)
    assert estimator.get_params()["quality__C"] == 2
    assert clone(estimator.set_params(quality__C=0.5)).quality.C == 0.5
    assert repr(estimator) == "LearnedEstimator(calibrate=True, folds=3, quality=LogisticRegression(C=0.5))"
    train = coin_pool(30, seed=0)
    assert estimator.fit(train) is estimator
    assert estimator.models_ == train.models


# End to end


def test_learned_cascade_routing_beats_the_single_models():
    pool = datasets.load_sentiment().select(["vader", "zero-shot", "four-shot", "vote-5"])
    train, test = pool.split(0.5, 0.5, seed=0)
    estimator, hull = LearnedEstimator(folds=3).fit(train), single_models(test)
    for future in FUTURES:
        curve = CascadeRouter().frontier(estimator.set_params(future=future), test)
        assert curve.compare(hull, resamples=200).low > 0.01
        assert curve.auc() > 0.9
