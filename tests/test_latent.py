import itertools

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from cascade_lib import CascadeRouter, LatentClassEstimator, NoisyEstimator, Outcomes, PandoraRouter, diagnose
from cascade_lib.estimators.simulated import noisy_signals

SHARE = np.array([0.5, 0.3, 0.2])
CHANCE = np.array([[0.9, 0.95, 0.8], [0.2, 0.7, 0.9], [0.05, 0.2, 0.1]])  # of being right, by class and model


def pool_of(n, seed):
    """Queries of three hidden classes: easy for all, hard for the first model, hard for all."""
    rng = np.random.default_rng(seed)
    quality = rng.random((n, 3)) < CHANCE[rng.choice(3, n, p=SHARE)]
    return Outcomes(quality, np.tile([1.0, 2.0, 5.0], (n, 1)))


def states():
    return [np.array(ran) for ran in itertools.product([False, True], repeat=3)]


def bayes(estimator, pool, ran, noise, seed):
    """Posterior means by going through all classes and all vectors of qualities."""
    (before, after), _ = noisy_signals(pool, noise, (0.0, 0.0), seed)
    total, mean = np.zeros(len(pool)), np.zeros((len(pool), 3))
    for share, chance in zip(estimator.share_, estimator.chance_, strict=True):
        for vector in itertools.product(range(len(estimator.levels_)), repeat=3):
            quality = estimator.levels_[list(vector)]
            weight = share * np.prod(chance[np.arange(3), list(vector)])
            weight = weight * norm.pdf(before, quality, noise[0]).prod(axis=1)
            weight = weight * norm.pdf(after[:, ran], quality[ran], noise[1]).prod(axis=1)
            total, mean = total + weight, mean + weight[:, None] * quality
    return mean / total[:, None]


@pytest.mark.parametrize("ran", states(), ids=str)
def test_the_posterior_is_that_of_bayes_rule(ran):
    pool, noise = pool_of(300, seed=1), (0.8, 0.5)
    estimator = LatentClassEstimator(noise, classes=3, seed=4).fit(pool)
    found = estimator.beliefs(pool.evidence(ran, truth=True)).mean
    np.testing.assert_allclose(found, bayes(estimator, pool, ran, noise, 4), atol=1e-10)


def test_the_joint_law_of_all_qualities_is_found():
    estimator = LatentClassEstimator(classes=3).fit(pool_of(20_000, seed=2))
    np.testing.assert_allclose(estimator.chance_.sum(axis=2), 1)
    # Three models do not tell how the classes are cut, but however they are, the joint law is that of the data.
    for vector in itertools.product([0, 1], repeat=3):
        truth = SHARE @ np.prod(np.where(vector, CHANCE, 1 - CHANCE), axis=1)
        fitted = estimator.share_ @ np.prod(estimator.chance_[:, np.arange(3), list(vector)], axis=1)
        assert fitted == pytest.approx(truth, abs=0.012)


@pytest.fixture(scope="module")
def world():
    estimator = LatentClassEstimator((0.8, 0.5), classes=3, seed=3).fit(pool_of(20_000, seed=3))
    return estimator, pool_of(10_000, seed=5)


@pytest.mark.parametrize("ran", states()[:-1], ids=str)
def test_the_tower_property_holds_and_the_law_announced_is_that_of_what_comes(world, ran):
    estimator, pool = world
    now = estimator.beliefs(pool.evidence(ran, truth=True))
    for i in now.left:
        later = estimator.beliefs(pool.evidence(ran | (np.arange(3) == i), truth=True)).mean[:, i]
        move = later - now.mean[:, i]
        known = np.column_stack([np.ones(len(pool)), now.mean - now.mean.mean(axis=0), now.mean[:, i] ** 2])
        coefficient = np.linalg.lstsq(known, move, rcond=None)[0]
        error = np.sqrt(np.diag(np.linalg.inv(known.T @ known))) * move.std()
        assert (np.abs(coefficient) <= 5 * error).all()
        assert (move**2).mean() == pytest.approx((now.spread[:, i] ** 2).mean(), rel=0.05)
        for level in (0.3, 0.6, 0.9):
            announced = (now.law.weight[:, i] * (now.law.value[:, i] <= level)).sum(axis=1).mean()
            assert (later <= level).mean() == pytest.approx(announced, abs=0.06)
    np.testing.assert_allclose(now.law.mean, now.mean, atol=1e-12)


def test_scenarios_have_the_margins_and_the_correlation_of_the_classes():
    pool, ran = pool_of(500, seed=6), np.array([False, False, False])
    joint, apart = (
        LatentClassEstimator((3.0, 0.3), classes=3, future=future).fit(pool).beliefs(pool.evidence(ran, truth=True)).law
        for future in ("joint", "independent")
    )
    np.testing.assert_allclose(joint.mean, apart.mean, atol=1e-12)
    np.testing.assert_allclose(joint.spread, apart.spread, atol=0.05)
    # With hardly any signal the estimates to come are correlated as the qualities are.
    centred = joint.value - joint.mean[..., None]
    correlation = (centred[:, 0] * centred[:, 1]).mean(axis=1) / joint.spread[:, 0] / joint.spread[:, 1]
    assert correlation.mean() == pytest.approx(np.corrcoef(pool.quality[:, 0], pool.quality[:, 1])[0, 1], abs=0.1)


@pytest.mark.parametrize("ran", [ran for ran in states() if ran.any() and not ran.all()], ids=str)
def test_relative_laws_have_the_gain_of_an_estimate_on_an_answer_that_the_same_call_moves(ran):
    """Against Bayes' rule over all classes and vectors of qualities, and integration over the next signal."""
    pool, noise = pool_of(40, seed=12), (0.8, 0.5)
    estimator = LatentClassEstimator(noise, classes=3, future="relative").fit(pool_of(5_000, seed=13))
    now = estimator.beliefs(pool.evidence(ran, truth=True))
    (before, after), _ = noisy_signals(pool, noise, (0.0, 0.0), 0)
    vectors = np.array(list(itertools.product([0, 1], repeat=3)))
    chance = [estimator.share_ @ np.prod(estimator.chance_[:, np.arange(3), vector], axis=1) for vector in vectors]
    seen = norm.pdf(before[:, None], vectors, noise[0]).prod(axis=2)
    seen *= norm.pdf(after[:, None][..., ran], vectors[:, ran], noise[1]).prod(axis=2)
    posterior = seen * chance / (seen @ chance)[:, None]
    np.testing.assert_allclose(posterior @ vectors, now.mean, atol=1e-10)
    best = np.where(ran, now.mean, -np.inf).argmax(axis=1)
    signal = np.linspace(-4, 5, 3_001)
    for i in now.left:
        joint = posterior[:, None] * norm.pdf(signal[:, None], vectors[:, i], noise[1])  # (m, signals, vectors)
        lead = vectors[:, i] - vectors[:, best].T
        gain = np.maximum(np.einsum("msv,mv->ms", joint, lead), 0).sum(axis=1) * (signal[1] - signal[0])
        np.testing.assert_allclose(now.law.alone(now.best)[:, i] - now.best, gain, atol=0.015)
    np.testing.assert_allclose(now.law.mean, now.mean, atol=1e-12)


def test_relative_laws_of_independent_models_and_of_new_queries_are_the_plain_ones():
    pool = pool_of(300, seed=14)
    for classes, some in ((1, states()), (3, states()[:1])):
        plain, relative = (
            LatentClassEstimator((0.8, 0.5), classes=classes, future=future).fit(pool)
            for future in ("independent", "relative")
        )
        for ran in some:
            laws = [estimator.beliefs(pool.evidence(ran, truth=True)).law for estimator in (plain, relative)]
            np.testing.assert_allclose(laws[1].value, laws[0].value, atol=1e-12)


def test_of_several_starts_the_likeliest_classes_are_kept():
    """On these draws the first start alone ends in a worse place."""
    rng = np.random.default_rng(2)
    kind, chance = rng.choice(4, 300), rng.random((4, 6))
    quality = (rng.random((300, 6)) < chance[kind]).astype(int)
    estimator = LatentClassEstimator(classes=4).fit(Outcomes(quality, np.ones((300, 6))))
    given_class = estimator.chance_[:, np.arange(6), quality].prod(axis=2)
    assert np.log(estimator.share_ @ given_class).mean() > -3.881


def test_one_class_is_independence():
    pool = pool_of(2_000, seed=7)
    estimator = LatentClassEstimator((0.8, 0.5), classes=1).fit(pool)
    now = estimator.beliefs(pool.evidence([False, False, False], truth=True))
    after = estimator.beliefs(pool.evidence([True, False, False], truth=True))
    np.testing.assert_allclose(after.mean[:, 1:], now.mean[:, 1:], atol=1e-12)
    np.testing.assert_allclose(estimator.chance_[0, :, 1], pool.quality.mean(axis=0), atol=1e-6)


def test_it_knows_more_than_linear_estimates_and_is_coherent():
    train, test = pool_of(4_000, seed=8), pool_of(4_000, seed=9)
    exact, linear = LatentClassEstimator(classes=3).fit(train), NoisyEstimator(coherent=True).fit(train)
    for ran in states():
        errors = [
            ((each.beliefs(test.evidence(ran, truth=True)).mean - test.quality) ** 2).mean() for each in (exact, linear)
        ]
        assert errors[0] < errors[1]
    assert diagnose(exact, test).coherence["coherent"].all()


def test_strategies_profit_from_it():
    train, test = pool_of(2_000, seed=10), pool_of(3_000, seed=11)
    exact, linear = LatentClassEstimator(classes=3).fit(train), NoisyEstimator(coherent=True).fit(train)
    for strategy in (CascadeRouter(), PandoraRouter()):
        difference = strategy.frontier(exact, test).compare(strategy.frontier(linear, test), resamples=200)
        assert difference.low > 0


def test_no_noise_a_constant_model_and_levels_unseen_in_training():
    quality = np.column_stack([np.tile([0.0, 1.0], 20), np.ones(40)])
    pool = Outcomes(quality, np.ones((40, 2)))
    for noise, future in itertools.product([(0.0, 0.0), (0.5, 0.0), (0.0, 0.5)], ["independent", "relative"]):
        estimator = LatentClassEstimator(noise, classes=2, future=future).fit(pool)
        for ran in ([False, False], [True, False]):
            now = estimator.beliefs(pool.evidence(np.array(ran), truth=True))
            assert np.isfinite(now.law.sets(now.best)[:, 1:]).all()
            if noise[0] == 0:
                np.testing.assert_allclose(now.mean, quality, atol=0.01)
    half = Outcomes(np.full((5, 2), 0.5), np.ones((5, 2)))
    assert np.isfinite(estimator.beliefs(half.evidence([True, False], truth=True)).mean).all()


def test_conventions():
    pool = pool_of(60, seed=0)
    estimator = LatentClassEstimator((0.5, 0.2), classes=4, future="gaussian", seed=4)
    assert clone(estimator).get_params() == estimator.get_params()
    with pytest.raises(NotFittedError):
        estimator.beliefs(pool.evidence(states()[0], truth=True))
    now = estimator.fit(pool).beliefs(pool.evidence(states()[1], truth=True), np.array([5, 2]))
    assert now.law is None
    np.testing.assert_array_equal(now.mean, estimator.beliefs(pool.evidence(states()[1], truth=True)).mean[[5, 2]])
    with pytest.raises(ValueError, match="fitted on 3 models"):
        estimator.beliefs(pool.select(["model-0"]).evidence([False], truth=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": 0}, "classes must be a whole number of at least 1"),
        ({"future": "bright"}, "future must be one of 'independent', 'gaussian', 'joint', 'relative'"),
        ({"quality_noise": (0.1, -1)}, "quality_noise must be two finite numbers"),
    ],
)
def test_what_is_wrong_is_said(options, message):
    with pytest.raises(ValueError, match=message):
        LatentClassEstimator(**options).fit(pool_of(50, seed=0))


def test_too_many_levels_are_refused():
    pool = Outcomes(np.random.default_rng(0).random((30, 2)), np.ones((30, 2)))
    with pytest.raises(ValueError, match="quality takes 60 different values, more than 20"):
        LatentClassEstimator().fit(pool)
