import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import multivariate_normal

from cascade_lib.theory import clark_max, expected_max, expected_max_correlated, nested_expected_max, normal_draws
from cascade_lib.theory.maximum import subset_sums, subsets
from truths import GRID, slow_expected_max

SCENES = {  # means, spreads
    "zero, tiny and huge spreads": ([0.5, 0.4, 0.6, 0.5], [0.0, 1e-12, 1e3, 0.3]),
    "means far apart": ([-1e6, 0.0, 1e6, 1e6 + 0.5], [1.0, 0.5, 2.0, 0.0]),
    "everything tied": ([0.5] * 2, [0.2] * 2),
    "ties with and without spread": ([0.5, 0.5, 0.25], [0.0, 0.25, 0.25]),
    "one model": ([0.3], [0.7]),
    "five models": ([0.1, 0.7, 0.4, 0.5, 0.9], [0.5, 0.05, 0.2, 0.8, 0.001]),
}


@pytest.mark.parametrize("best", [-np.inf, "low", "middle", "high", "above everything"])
@pytest.mark.parametrize("scene", SCENES)
def test_every_set_has_the_value_that_adaptive_integration_gives(scene, best):
    mean, spread = map(np.array, SCENES[scene])
    low, high = mean.min() - 4 * spread.max(), mean.max() + 20 * spread.max()
    best = {"low": low, "middle": np.median(mean), "high": mean.max(), "above everything": high}.get(best, best)
    truth = [slow_expected_max(best, mean[some], spread[some]) for some in subsets(len(mean))]
    # The documented 1e-9 largest spreads, and what the integration leaves: some 1e-13 of the length it integrates.
    allowed = min(1e-6, 1e-9 * spread.max() + 2e-13 * np.ptp(mean))
    np.testing.assert_allclose(expected_max([mean], spread, best)[0], truth, rtol=0, atol=allowed)


@pytest.mark.parametrize("u", [6, 11, 16, 60])
def test_many_equal_models_whose_maximum_is_sharp_are_as_accurate(u):
    # One more model, far away, decides where the nodes lie; it does not belong to the set that is checked.
    mean = np.zeros((10, u))
    mean[:, -1] = [0, 0.4, -0.4, 3, -3, 20, -20, 60, -60, 200]
    truth = slow_expected_max(-np.inf, np.zeros(u - 1), np.ones(u - 1))
    np.testing.assert_allclose(nested_expected_max(mean, np.ones(u))[:, u - 1], truth, rtol=0, atol=1e-9)
    if u <= 16:
        np.testing.assert_allclose(expected_max(mean, np.ones(u))[:, 2 ** (u - 1) - 1], truth, rtol=0, atol=1e-9)


def test_a_large_sample_agrees():
    rng = np.random.default_rng(6)
    mean, spread, best = rng.normal(size=6), rng.random(6), 0.1
    sample = mean + spread * rng.normal(size=(100_000, 6))
    maximum = np.array([np.max(sample, axis=1, initial=best, where=some) for some in subsets(6)])
    error = maximum.std(axis=1) / np.sqrt(maximum.shape[1])
    assert (np.abs(expected_max(mean[None], spread, best)[0] - maximum.mean(axis=1)) <= 5 * error + 1e-15).all()


@st.composite
def rows(draw):
    """One row of up to five models, on a grid full of ties or generic, and the best of what has run, if any has."""
    u = draw(st.integers(1, 5))
    number = draw(st.sampled_from([GRID, st.floats(-3, 3)]))
    spreads = st.one_of(st.sampled_from([0.0, 1e-12, 0.25, 1.0]), st.floats(1e-3, 2))
    mean, spread = (np.array(draw(st.lists(kind, min_size=u, max_size=u))) for kind in (number, spreads))
    return mean, spread, draw(st.one_of(number, st.just(-np.inf)))


@given(rows())
def test_value_is_monotone_and_submodular(row):
    mean, spread, best = row
    value = expected_max(mean[None], spread, best)[0]
    number = np.arange(len(value))
    for i in 2 ** np.arange(len(mean)):
        without = number[number & i == 0]
        assert (value[without | i] >= value[without] - 1e-8).all()
        for j in 2 ** np.arange(len(mean)):
            neither = without[(without & j == 0) & np.isfinite(value[without])]
            gain_before, gain_after = (value[x | i] - value[x] for x in (neither, neither | j))
            assert i == j or (gain_after <= gain_before + 1e-8).all()


@given(rows(), st.floats(-5, 5), st.floats(0.1, 10), st.randoms(use_true_random=False))
def test_value_moves_and_scales_with_its_arguments_and_permutes_with_the_models(row, move, scale, random):
    mean, spread, best = row
    order = np.array(random.sample(range(len(mean)), len(mean)))
    other = expected_max([move + scale * mean[order]], scale * spread[order], move + scale * best)[0]
    same_set = subsets(len(mean)) @ 2**order
    np.testing.assert_allclose(other, move + scale * expected_max([mean], spread, best)[0, same_set], rtol=0, atol=1e-8)


@given(rows(), st.floats(0, 2))
def test_value_has_bounds_and_rises_with_the_best_but_no_faster(row, more):
    mean, spread, best = row
    best = np.array([-np.inf, best, best + more])
    value = expected_max([mean] * 3, spread, best)
    plain = np.array([np.maximum(best, mean[some].max(initial=-np.inf)) for some in subsets(len(mean))]).T
    assert (value >= plain).all()
    assert (value <= plain + subset_sums([spread]) / np.sqrt(2 * np.pi) + 1e-8).all()
    assert (value[1:] >= value[:-1] - 1e-8).all()
    assert (value[2] <= value[1] + more + 1e-8).all()


@given(rows())
def test_what_is_certain_is_exact(row):
    mean, spread, best = row
    singles = 2 ** np.arange(len(mean))
    plain = [mean[some].max(initial=best) for some in subsets(len(mean))]
    assert expected_max([mean], 0 * spread, best)[0].tolist() == plain
    assert nested_expected_max([mean], 0 * spread, best)[0].tolist() == [best, *np.maximum.accumulate(mean).clip(best)]
    assert expected_max([mean], spread, best)[0, 0] == nested_expected_max([mean], spread, best)[0, 0] == best
    assert expected_max([mean], spread)[0, singles].tolist() == mean.tolist()
    assert nested_expected_max([mean], spread)[0, 1] == mean[0]


def test_prefixes_are_columns_of_all_sets_and_rows_do_not_depend_on_their_company():
    rng = np.random.default_rng(8)
    mean, spread = rng.normal(size=(60, 4)), 10 ** rng.uniform(-3, 1, (60, 4)) * rng.integers(0, 2, (60, 4))
    best = np.where(rng.random(60) < 0.3, -np.inf, rng.normal(size=60))
    prefixes = nested_expected_max(mean, spread, best)
    np.testing.assert_allclose(prefixes, expected_max(mean, spread, best)[:, [0, 1, 3, 7, 15]], rtol=0, atol=1e-8)
    for value in (expected_max, nested_expected_max):
        alone = [value(mean[[i]], spread[i], best[i])[0] for i in range(60)]
        np.testing.assert_allclose(value(mean, spread, best), alone, rtol=0, atol=1e-12)


def test_without_models_or_rows_there_is_nothing_to_value():
    for value, columns in ((expected_max, 8), (nested_expected_max, 4)):
        assert value(np.zeros((2, 0)), np.zeros(0), [0.5, -np.inf]).tolist() == [[0.5], [-np.inf]]
        assert value(np.zeros((0, 3)), np.ones(3)).shape == (0, columns)
    assert expected_max_correlated(np.zeros((0, 2)), np.eye(2), draws=np.ones((2, 2))).shape == (0, 4)


@pytest.mark.parametrize("rho", [-1, -0.5, 0, 0.5, 1])
def test_correlated_pairs_agree_with_clark(rho):
    mean, spread = np.array([[0.5, 0.5], [0.2, 0.7], [-1.0, 1.0]]), np.array([0.3, 0.5])
    covariance = np.outer(spread, spread) * [[1, rho], [rho, 1]]
    value = expected_max_correlated(mean, covariance, [-np.inf, 0.4, 5.0], draws=normal_draws(2, 2**14, seed=1))
    # The tolerance for 16,384 draws: two to ten times what they leave, over seeds.
    assert value[0, 3] == pytest.approx(clark_max(*mean[0], *spread, rho), rel=0, abs=2e-4 * spread[1])
    np.testing.assert_allclose(value[1, 1:3], clark_max(mean[1], 0.4, spread, 0.0), rtol=0, atol=2e-4 * spread[1])
    np.testing.assert_allclose(value[0, 1:3], mean[0], rtol=0, atol=1e-14)
    np.testing.assert_allclose(value[2], 5.0, rtol=0, atol=1e-14)
    assert value[:, 0].tolist() == [-np.inf, 0.4, 5.0]


def test_correlated_models_without_correlation_are_independent():
    mean, spread = np.array([[0.1, 0.5, 0.4, 0.2], [0.0, 2.0, 0.3, 0.3]]), np.array([0.5, 0.1, 0.0, 0.3])
    draws = normal_draws(4, 2**14, seed=2)
    value = expected_max_correlated(mean, [np.diag(spread**2)] * 2, [0.3, -np.inf], draws=draws)
    np.testing.assert_allclose(value, expected_max(mean, spread, [0.3, -np.inf]), rtol=0, atol=2e-4 * 0.5)
    sure = expected_max_correlated(mean, np.zeros((4, 4)), 0.3, draws=draws)
    np.testing.assert_allclose(sure, expected_max(mean, np.zeros(4), 0.3), rtol=0, atol=1e-14)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_correlated_value_is_monotone_exactly(seed, rank):
    rng = np.random.default_rng(seed)
    factor, mean = rng.normal(size=(2, 4, rank)), rng.normal(size=(2, 4))
    covariance = factor @ factor.transpose(0, 2, 1)
    value = expected_max_correlated(mean, covariance, [-np.inf, 0.2], draws=normal_draws(4, 64, seed=0))
    for i in (1, 2, 4, 8):
        assert (value[:, np.arange(16) | i] >= value).all()


@pytest.mark.parametrize("rho", [-0.9, -0.3, 0.0, 0.6, 0.95])
def test_clark_is_the_integral_of_the_joint_distribution(rho):
    joint = multivariate_normal([0.2, 0.5], [[0.09, rho * 0.15], [rho * 0.15, 0.25]])
    integral = -4 + quad(lambda t: 1 - joint.cdf([t, t]), -4, 5, points=[-0.5, 0.2, 0.5, 1.5], epsabs=1e-9)[0]
    assert clark_max(0.2, 0.5, 0.3, 0.5, rho) == pytest.approx(integral, rel=0, abs=1e-7)


def test_special_cases_of_clark():
    assert clark_max(0.4, 0.7, 0.3, 0.3, 1.0) == clark_max(0.4, 0.7, 0.0, 0.0, 0.3) == 0.7
    one, other = np.array([[0.1], [0.5]]), np.array([0.2, 0.5, 0.9])
    for rho, theta in ((-1.0, one + other), (1.0, abs(one - other)), (0.0, np.hypot(one, other))):
        value = clark_max(0.4, 0.4, one, other, correlation=rho)
        np.testing.assert_allclose(value, 0.4 + theta / np.sqrt(2 * np.pi), rtol=0, atol=1e-14)
    pair = expected_max([[0.4, 0.7]], [0.3, 0.2])[0, 3]
    assert clark_max(0.4, 0.7, 0.3, 0.2) == clark_max(0.7, 0.4, 0.2, 0.3) == pytest.approx(pair, rel=0, abs=1e-9)


def test_draws_come_in_opposite_pairs_and_from_their_seed():
    draws = normal_draws(3, 1024, seed=4)
    np.testing.assert_array_equal(draws[:512], -draws[512:])
    np.testing.assert_array_equal(draws, normal_draws(3, 1024, seed=4))
    assert (draws != normal_draws(3, 1024, seed=5)).all()
    np.testing.assert_allclose(np.cov(draws.T), np.eye(3), rtol=0, atol=0.02)
    for size in (-2, 0, 1, 3, 1000):
        with pytest.raises(ValueError, match="size must be a power of two"):
            normal_draws(2, size, seed=0)


def test_sets_are_numbered_by_their_bits():
    assert subsets(3).astype(int).tolist()[:6] == [[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [1, 0, 1]]
    values = np.array([[1.0, 10.0, 100.0], [0.5, 0.25, 2.0]])
    np.testing.assert_array_equal(subset_sums(values), values @ subsets(3).T)
    assert subset_sums(np.zeros((2, 0))).tolist() == [[0.0], [0.0]]


WRONG = {
    "mean": (0.5, [0.0, 1.0], [[0.0, np.nan]], [[0.0, -np.inf]]),
    "spread": (0.1, [0.1], [0.1, -0.1], [[np.nan, 0.1]], [0.1, np.inf]),
    "best": ([0.0, 1.0], np.nan, np.inf, [np.nan]),
    "covariance": (1.0, np.eye(3), np.diag([1.0, -1.0]), np.diag([np.inf, 1.0]), [[1.0, np.nan], [np.nan, 1.0]]),
    "draws": (0.5, np.ones(2), np.ones((4, 1)), np.ones((0, 2)), [[np.nan, 1.0]]),
}


@pytest.mark.parametrize(("name", "wrong"), [(name, wrong) for name, several in WRONG.items() for wrong in several])
def test_wrong_arguments_are_refused_by_name(name, wrong):
    both = {"mean": [[0.0, 1.0]], "best": 0.0}
    independent, correlated = both | {"spread": [0.1, 0.1]}, both | {"covariance": np.eye(2), "draws": np.ones((2, 2))}
    pairs = [(expected_max, independent), (nested_expected_max, independent), (expected_max_correlated, correlated)]
    for value, arguments in pairs:
        if name in arguments:
            with pytest.raises(ValueError, match=rf"\b{name}(\[.*\])? (is|needs|must have shape|\()"):
                value(**(arguments | {name: wrong}))


@pytest.mark.parametrize("most", [0, 1, 2, 3, 9])
@pytest.mark.parametrize("u", [1, 4, 11])
@pytest.mark.parametrize("some", [False, True], ids=["nothing has run", "some have"])
def test_sets_of_a_limited_size_are_columns_of_all_sets(u, most, some):
    rng = np.random.default_rng(u)
    mean, spread = rng.normal(size=(30, u)), 10 ** rng.uniform(-3, 1, (30, u)) * rng.integers(0, 2, (30, u))
    best = np.where(rng.random(30) < 0.3, -np.inf, rng.normal(size=30)) if some else np.full(30, -np.inf)
    small = subsets(u).sum(axis=1) <= most
    np.testing.assert_array_equal(subsets(u, most), subsets(u)[small])
    np.testing.assert_allclose(subset_sums(mean, most), subset_sums(mean)[:, small], rtol=1e-14)
    np.testing.assert_allclose(
        expected_max(mean, spread, best, most=most), expected_max(mean, spread, best)[:, small], rtol=0, atol=1e-8
    )


def test_seventeen_models_are_too_many_for_all_sets_but_not_for_prefixes():
    with pytest.raises(ValueError, match="17 models not yet run have 131,072 sets; at most 65,536 can be listed"):
        expected_max(np.zeros((1, 17)), np.ones(17))
    assert nested_expected_max(np.zeros((1, 17)), np.ones(17)).shape == (1, 18)
