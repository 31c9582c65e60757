import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from cascade_lib import CascadeRouter, JointGaussianEstimator, NoisyEstimator, Outcomes
from cascade_lib.estimators.simulated import noisy_signals

MEAN, ROOT = np.array([0.2, 0.5, 0.6]), np.array([[0.4, 0, 0], [0.3, 0.2, 0], [0.1, -0.2, 0.3]])


def gaussian_pool(n, seed):
    """Qualities that really are jointly Gaussian."""
    quality = MEAN + np.random.default_rng(seed).normal(size=(n, 3)) @ ROOT.T
    return Outcomes(quality, np.tile([1.0, 2.0, 5.0], (n, 1)))


def states(k=3):
    return [np.array([number >> i & 1 for i in range(k)], dtype=bool) for number in range(2**k)]


@pytest.mark.parametrize("noise", [(0.6, 0.3), (0.3, 0.6), (0.0, 0.4), (0.5, 0.0), (0.0, 0.0)])
@pytest.mark.parametrize("ran", states(), ids=str)
def test_the_posterior_is_that_of_all_signals_stacked(noise, ran):
    pool = gaussian_pool(50, seed=1)
    estimator = JointGaussianEstimator(noise, seed=3).fit(pool)
    (before, after), _ = noisy_signals(pool, noise, (0.0, 0.0), 3)
    seen = np.column_stack([before, after[:, ran]])
    look = np.vstack([np.eye(3), np.eye(3)[ran]])
    covariance = look @ estimator.covariance_ @ look.T
    covariance += np.diag(np.repeat(np.square(noise), [3, ran.sum()]))
    gain = estimator.covariance_ @ look.T @ np.linalg.pinv(covariance)
    truth = estimator.mean_ + (seen - estimator.mean_ @ look.T) @ gain.T
    np.testing.assert_allclose(estimator.beliefs(pool.evidence(ran, truth=True)).mean, truth, atol=1e-7)


def test_one_model_has_the_textbook_posterior():
    pool = Outcomes(np.random.default_rng(0).normal(0.5, 0.4, (400, 1)), np.ones((400, 1)))
    estimator = JointGaussianEstimator((0.6, 0.3), seed=1).fit(pool)
    (before, after), _ = noisy_signals(pool, (0.6, 0.3), (0.0, 0.0), 1)
    mu, var = pool.quality.mean(), pool.quality.var()
    precision = 1 / var + 1 / 0.36
    mean = (mu / var + before / 0.36) / precision
    prior, posterior = (
        estimator.beliefs(pool.evidence([False], truth=True)),
        estimator.beliefs(pool.evidence([True], truth=True)),
    )
    np.testing.assert_allclose(prior.mean, mean)
    np.testing.assert_allclose(posterior.mean, (mean * precision + after / 0.09) / (precision + 1 / 0.09))
    np.testing.assert_allclose(prior.spread, np.sqrt(1 / precision**2 / (1 / precision + 0.09)))
    assert (posterior.spread == 0).all()


@pytest.mark.parametrize("ran", states()[:-1], ids=str)
def test_the_tower_property_holds_and_moves_have_the_covariance_announced(ran):
    estimator = JointGaussianEstimator((0.6, 0.3), seed=2).fit(gaussian_pool(100_000, seed=5))
    pool = gaussian_pool(20_000, seed=6)
    now = estimator.beliefs(pool.evidence(ran, truth=True))
    moves = np.zeros_like(now.mean)
    for i in now.left:
        moves[:, i] = (
            estimator.beliefs(pool.evidence(ran | (np.arange(3) == i), truth=True)).mean[:, i] - now.mean[:, i]
        )
    # What is known now predicts no move: every coefficient is within five standard errors of zero.
    known = np.column_stack([np.ones(len(pool)), now.mean - MEAN])
    coefficient = np.linalg.lstsq(known, moves, rcond=None)[0]
    error = np.sqrt(np.diag(np.linalg.inv(known.T @ known)))[:, None] * moves.std(axis=0)
    assert (np.abs(coefficient) <= 5 * error).all()
    np.testing.assert_allclose(np.cov(moves.T), now.law.covariance, atol=0.03 * np.max(now.law.covariance))
    np.testing.assert_allclose(np.broadcast_to(np.sqrt(np.diag(now.law.covariance)), now.mean.shape), now.spread)


def test_running_one_model_revises_what_is_thought_of_the_others():
    pool = gaussian_pool(5_000, seed=7)
    estimator = JointGaussianEstimator((1.0, 0.1)).fit(pool)
    error = [
        np.abs(estimator.beliefs(pool.evidence(ran, truth=True)).mean[:, 1] - pool.quality[:, 1]).mean()
        for ran in states()
    ]
    assert error[1] < 0.95 * error[0]  # model 0 has run, model 1 has not
    assert error[2] < error[1]


def test_it_beats_estimates_that_look_at_one_model_at_a_time():
    train, test = gaussian_pool(5_000, seed=8), gaussian_pool(5_000, seed=9)
    joint, alone = JointGaussianEstimator().fit(train), NoisyEstimator(coherent=True).fit(train)
    for ran in states():
        errors = [
            ((each.beliefs(test.evidence(ran, truth=True)).mean - test.quality) ** 2).mean() for each in (joint, alone)
        ]
        assert errors[0] < errors[1]


def test_sets_of_correlated_models_are_valued_too_high():
    rng = np.random.default_rng(0)
    for shared, surplus in ((0.0, 0.0), (0.9, 0.1)):
        common, own = rng.normal(size=(40_000, 1)), rng.normal(size=(40_000, 3))
        quality = np.sqrt(shared) * common + np.sqrt(1 - shared) * own
        pool = Outcomes(quality, np.ones_like(quality))
        estimator = JointGaussianEstimator((2.0, 1.0)).fit(pool)
        now = estimator.beliefs(pool.evidence(np.zeros(3, dtype=bool), truth=True)).take(slice(0, 2000))
        promised = now.future(np.arange(3)).sets(now.best)[:, -1].mean()
        kept = estimator.beliefs(pool.evidence(np.ones(3, dtype=bool), truth=True)).mean.max(axis=1).mean()
        assert promised - kept == pytest.approx(0, abs=0.03) if surplus == 0 else promised - kept > surplus


def test_without_noise_the_estimates_are_the_truth_and_nothing_moves():
    pool = gaussian_pool(30, seed=1)
    now = JointGaussianEstimator((0.0, 0.0)).fit(pool).beliefs(pool.evidence(states()[0], truth=True))
    np.testing.assert_allclose(now.mean, pool.quality, atol=1e-9)
    np.testing.assert_allclose(now.spread, 0, atol=1e-6)


def test_a_constant_and_a_repeated_model_are_welcome():
    quality = np.random.default_rng(0).random((60, 1)) @ [[1.0, 1.0, 0.0]] + [0.0, 0.0, 0.7]
    pool = Outcomes(quality, np.ones((60, 3)))
    for noise in [(0.6, 0.3), (0.0, 0.0)]:
        for ran in states():
            now = JointGaussianEstimator(noise).fit(pool).beliefs(pool.evidence(ran, truth=True))
            np.testing.assert_allclose(now.mean[:, 0], now.mean[:, 1], atol=1e-9)
            np.testing.assert_allclose(now.mean[:, 2], 0.7)
            np.testing.assert_allclose(now.spread[:, 2], 0, atol=1e-12)
            assert np.isfinite(now.law.sets(now.best)[:, 1:]).all()


def test_strategies_use_the_covariances():
    # Most of the models are right together, so a second answer is worth less than if they were independent.
    pool = gaussian_pool(300, seed=3)
    with_them, without = (
        CascadeRouter().play(JointGaussianEstimator(correlated=correlated).fit(pool), pool, lam=0.01).ran
        for correlated in (True, False)
    )
    assert (with_them != without).any(axis=1).mean() > 0.1
    assert with_them.sum() < 0.95 * without.sum()


def test_conventions():
    pool = gaussian_pool(20, seed=0)
    estimator = JointGaussianEstimator((0.5, 0.2), correlated=False, seed=4)
    assert clone(estimator).get_params() == estimator.get_params()
    with pytest.raises(NotFittedError):
        estimator.beliefs(pool.evidence(states()[0], truth=True))
    estimator.fit(pool)
    np.testing.assert_array_equal(
        estimator.beliefs(pool.evidence(states()[1], truth=True), np.array([5, 2])).mean,
        estimator.beliefs(pool.evidence(states()[1], truth=True)).mean[[5, 2]],
    )
    with pytest.raises(ValueError, match="fitted on 3 models"):
        estimator.beliefs(pool.select(["model-0"]).evidence([False], truth=True))
    with pytest.raises(ValueError, match="quality_noise must be two finite numbers"):
        JointGaussianEstimator((-1, 0)).fit(pool)
