import numpy as np
import pytest
from scipy.stats import kstest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from cascade_lib import NoisyEstimator, Outcomes, Router, TabulatedEstimator
from cascade_lib.datasets import simulate_routerbench
from cascade_lib.estimators.simulated import noisy_signals

POOL = Outcomes([[0, 1], [1, 1], [1, 0]], [[1, 5], [1, 6], [1, 7]])
BEFORE = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])


def test_tables_are_looked_up_by_row_and_by_what_has_run():
    estimator = TabulatedEstimator(BEFORE, BEFORE + 1, [0.5, 0.25], BEFORE * 10, BEFORE * 20)
    first = estimator.beliefs(POOL.evidence([False, False]), np.array([2, 0]))
    np.testing.assert_array_equal(first.mean, BEFORE[[2, 0]])
    np.testing.assert_array_equal(first.spread, [[0.5, 0.25]] * 2)
    np.testing.assert_array_equal(first.cost, 10 * BEFORE[[2, 0]])
    later = estimator.beliefs(POOL.evidence([False, True]), np.array([2, 0]))
    np.testing.assert_array_equal(later.mean, [[0.5, 1.6], [0.1, 1.2]])
    np.testing.assert_array_equal(later.spread, [[0.5, 0.0]] * 2)
    np.testing.assert_array_equal(later.cost, 20 * BEFORE[[2, 0]])


def test_without_post_hoc_tables_running_a_model_teaches_nothing():
    estimator = TabulatedEstimator(BEFORE, cost_ex_ante=BEFORE)
    later = estimator.beliefs(POOL.evidence([True, True]))
    np.testing.assert_array_equal(later.mean, BEFORE)
    assert not later.spread.any()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"cost_ex_ante": None}, TypeError, "cost_ex_ante is missing"),
        ({"cost_ex_ante": -BEFORE}, ValueError, "cost_ex_ante of column 0 in row 0 is -0.1"),
        ({"post_hoc": BEFORE[:2]}, ValueError, r"post_hoc has shape \(2, 2\), but \(3, 2\) is expected"),
        ({"post_hoc": BEFORE * np.nan}, ValueError, "post_hoc of column 0 in row 0 is nan"),
        ({"spread": [0.1, -0.1]}, ValueError, "spread of column 1 in row 0 is -0.1"),
        (
            {"spread": [0.1, 0.2, 0.3]},
            ValueError,
            r"spread has shape \(3,\); expected \(2,\) \(per model\) or \(3, 2\)",
        ),
        ({"ex_ante": BEFORE * np.inf}, ValueError, "ex_ante of column 0 in row 0 is inf"),
    ],
)
def test_bad_tables_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        TabulatedEstimator(**{"ex_ante": BEFORE, "cost_ex_ante": BEFORE, **arguments})


def test_tables_for_other_queries_are_refused():
    with pytest.raises(ValueError, match=r"tables of this estimator have shape \(3, 2\), but the outcomes \(2, 2\)"):
        TabulatedEstimator(BEFORE, cost_ex_ante=BEFORE).beliefs(POOL.take([0, 1]).evidence([False, False]))


def coins(n, seed, p=(0.3, 0.6, 0.9)):
    rng = np.random.default_rng(seed)
    return Outcomes(rng.random((n, len(p))) < p, rng.exponential([1, 2, 5][: len(p)], (n, len(p))))


def test_noisy_estimates_shrink_the_signal_as_regression_says():
    train, test = coins(40_000, 0), coins(20_000, 1)
    estimator = NoisyEstimator((0.6, 0.3), (2.0, 0.5)).fit(train)
    tables = estimator.tabulate(test)
    for estimate, truth, noise in (
        (tables.ex_ante, "quality", 0.6),
        (tables.post_hoc, "quality", 0.3),
        (tables.cost_ex_ante, "cost", 2.0),
        (tables.cost_post_hoc, "cost", 0.5),
    ):
        values = getattr(test, truth)
        reliability = values.var(axis=0) / (values.var(axis=0) + noise**2)
        # A regression with this reliability explains that share of the variance; costs are cut off at 0.
        explained = [np.corrcoef(a, b)[0, 1] ** 2 for a, b in zip(estimate.T, values.T, strict=True)]
        np.testing.assert_allclose(explained, reliability, atol=0.03)
        np.testing.assert_allclose(estimate.mean(axis=0), values.mean(axis=0), rtol=0.05)


@pytest.mark.parametrize("coherent", [False, True])
def test_only_coherent_estimates_are_a_martingale(coherent):
    train, test = coins(40_000, 0), coins(40_000, 1)
    tables = NoisyEstimator((0.6, 0.3), coherent=coherent).fit(train).tabulate(test)
    for before, after, truth in zip(tables.ex_ante.T, tables.post_hoc.T, test.quality.T, strict=True):
        slope = np.polyfit(before, after, 1)[0]
        # The paper's post-hoc estimate has this slope on the ex-ante one: its own reliability.
        expected = 1 if coherent else truth.var() / (truth.var() + 0.3**2)
        assert slope == pytest.approx(expected, abs=0.03)


def test_the_spread_is_that_of_the_change_in_the_estimate():
    train, test = coins(20_000, 0), coins(20_000, 1)
    estimator = NoisyEstimator(coherent=True).fit(train)
    tables = estimator.tabulate(test)
    np.testing.assert_allclose(estimator.spread_, (tables.post_hoc - tables.ex_ante).std(axis=0), rtol=0.03)
    np.testing.assert_array_equal(tables.spread, np.tile(estimator.spread_, (len(test), 1)))


@pytest.mark.parametrize("coherent", [False, True])
def test_without_noise_estimates_are_the_truth_even_for_constant_models(coherent):
    pool = Outcomes([[0, 1, 1], [1, 1, 0], [0, 1, 1], [1, 1, 0]], [[1, 5, 0], [1, 6, 0], [1, 7, 0], [1, 5, 0]])
    tables = NoisyEstimator((0, 0), (0, 0), coherent=coherent).fit(pool).tabulate(pool)
    for estimate, truth in [
        (tables.ex_ante, pool.quality),
        (tables.post_hoc, pool.quality),
        (tables.cost_ex_ante, pool.cost),
        (tables.cost_post_hoc, pool.cost),
    ]:
        np.testing.assert_allclose(estimate, truth, atol=1e-12)


def test_noise_belongs_to_the_queries_and_the_seed():
    train, test = coins(100, 0), coins(100, 1)
    estimator = NoisyEstimator().fit(train)
    first, again, copy = (e.fit(train).tabulate(test).ex_ante for e in (estimator, estimator, clone(estimator)))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, copy)
    other_noise = NoisyEstimator(seed=1).fit(train).tabulate(test).ex_ante
    assert np.abs(np.corrcoef(first.ravel(), other_noise.ravel())[0, 1]) < 0.9
    assert not np.array_equal(estimator.tabulate(train).ex_ante, first)


def test_noisy_beliefs_are_those_of_its_tables():
    train, test, other = coins(100, 0), coins(50, 1), coins(40, 2)
    estimator = NoisyEstimator().fit(train)
    for part in (test, other, test):
        by_table = Router().frontier(estimator.tabulate(part), part)
        np.testing.assert_array_equal(Router().frontier(estimator, part).quality, by_table.quality)


@pytest.mark.parametrize("bad", [(0.1,), (0.1, -0.1), (np.nan, 0.1), (0.1, np.inf), 0.3])
def test_a_noise_that_is_no_pair_of_deviations_is_named(bad):
    with pytest.raises(ValueError, match="cost_noise must be two finite numbers ≥ 0"):
        NoisyEstimator(cost_noise=bad).fit(coins(10, 0))


def test_noisy_estimators_say_what_they_need():
    with pytest.raises(ValueError, match="2 queries are too few"):
        NoisyEstimator().fit(coins(2, 0))
    with pytest.raises(NotFittedError, match="call fit"):
        NoisyEstimator().tabulate(coins(5, 0))
    with pytest.raises(ValueError, match="fitted on 3 models, but these outcomes have 2"):
        NoisyEstimator().fit(coins(10, 0)).tabulate(coins(5, 1, p=(0.1, 0.2)))


def test_noise_belongs_to_the_query_and_the_model_wherever_they_occur():
    pool = simulate_routerbench(300, seed=1)
    estimator = NoisyEstimator(coherent=True).fit(pool)
    whole = estimator.tabulate(pool)
    rows = np.random.default_rng(0).permutation(300)[:50]
    np.testing.assert_array_equal(estimator.tabulate(pool.take(rows)).post_hoc, whole.post_hoc[rows])
    some = pool.select(pool.models[3:5])
    for few, all_of_them in zip(signals(some), signals(pool), strict=True):
        np.testing.assert_array_equal(few, all_of_them[:, 3:5])


def signals(pool, seed=0):
    """Return the four tables of signals: about quality and cost, before and after a call."""
    return [table for pair in noisy_signals(pool, (1, 1), (1, 1), seed) for table in pair]


def test_noise_is_gaussian_and_independent():
    n = 20_000
    pool = Outcomes(np.zeros((n, 2)), np.zeros((n, 2)))
    table = np.hstack(signals(pool, 0) + signals(pool, 1))
    assert table.shape == (n, 16)
    # No more than 4 standard errors off: the sixteen columns have 136 covariances.
    np.testing.assert_allclose(np.cov(table.T), np.eye(16), atol=4 * np.sqrt(2 / n))
    assert min(kstest(column, "norm").pvalue for column in table.T) > 1e-3
    assert abs(np.corrcoef(table[:-1, 0], table[1:, 0])[0, 1]) < 4 / np.sqrt(n)


def test_copies_of_a_query_get_noise_of_their_own():
    pool = Outcomes([[0.0]], [[1.0]]).take([0] * 5000)
    before, after, *_ = signals(pool)
    assert len(np.unique(before)) == 5000
    assert abs(np.corrcoef(before[:, 0], after[:, 0])[0, 1]) < 4 / np.sqrt(5000)


def test_a_table_of_one_row_says_the_same_of_every_query():
    one = TabulatedEstimator([[0.2, 0.9]], [[0.4, 0.8]], [[0.1, 0.3]], [[1.0, 5.0]])
    many = TabulatedEstimator([[0.2, 0.9]] * 4, [[0.4, 0.8]] * 4, [[0.1, 0.3]] * 4, [[1.0, 5.0]] * 4)
    pool = Outcomes([[0, 1]] * 4, [[1, 5]] * 4)
    for ran in ([False, False], [True, False]):
        for rows in (None, np.array([3, 1])):
            ours, theirs = (table.beliefs(pool.evidence(ran), rows) for table in (one, many))
            for part in ("mean", "spread", "cost"):
                np.testing.assert_array_equal(getattr(ours, part), getattr(theirs, part))
    with pytest.raises(ValueError, match="shape .1, 2., but the outcomes .4, 3."):
        one.beliefs(Outcomes(np.ones((4, 3)), np.ones((4, 3))).evidence([False] * 3))
