import numpy as np
import pytest

from cascade_lib import Outcomes, Router, TabulatedEstimator


def pool_and_guess(n=4_000, seed=0):
    rng = np.random.default_rng(seed)
    skill = rng.random((n, 3))
    pool = Outcomes(rng.random((n, 3)) < skill, np.tile([1.0, 3.0, 10.0], (n, 1)), cost_unit="tokens")
    return pool, TabulatedEstimator(skill, cost_ex_ante=pool.cost)


@pytest.mark.parametrize("budget", [1.0, 1.7, 3.0, 4.4])
def test_a_fitted_policy_spends_its_budget(budget):
    pool, guess = pool_and_guess()
    policy = Router().fit(guess, pool, budget=budget)
    result = policy.play(pool, seed=0)
    assert result.cost.mean() == pytest.approx(budget, abs=0.01)
    assert result.quality.mean() == pytest.approx(Router().frontier(guess, pool).quality_at(budget), abs=0.01)


def test_ties_of_all_queries_at_one_price_are_split_by_the_coins():
    n = 10_000
    pool = Outcomes(np.tile([0.0, 1.0], (n, 1)), np.tile([1.0, 5.0], (n, 1)))
    guess = TabulatedEstimator(pool.quality, cost_ex_ante=pool.cost)
    policy = Router().fit(guess, pool, budget=2.0)
    assert (policy.lam, policy.gamma) == (0.25, 0.75)
    assert policy.play(pool, seed=1).cost.mean() == pytest.approx(2.0, abs=0.1)
    assert (policy.play(pool, seed=1).cost == policy.play(pool, seed=1).cost).all()
    assert (policy.play(pool, seed=1).cost != policy.play(pool, seed=2).cost).any()


def test_a_policy_carries_over_to_new_queries_with_their_own_estimates():
    pool, guess = pool_and_guess()
    new, new_guess = pool_and_guess(seed=1)
    policy = Router().fit(guess, pool, budget=3.0)
    assert policy.play(new, estimator=new_guess, seed=0).cost.mean() == pytest.approx(3.0, abs=0.15)


@pytest.mark.parametrize(
    ("budget", "error", "message"),
    [
        (
            0.5,
            ValueError,
            "budget must lie between 1 and inf; got 0.5. The cheapest this strategy can do here is 1 token",
        ),
        (float("nan"), ValueError, "budget must lie between 1 and inf; got nan"),
        (None, TypeError, "budget must be one number; got None"),
    ],
)
def test_bad_budgets_are_refused(budget, error, message):
    pool, guess = pool_and_guess(100)
    with pytest.raises(error, match=message):
        Router().fit(guess, pool, budget=budget)


def test_an_infinite_budget_buys_the_best_without_waste():
    pool = Outcomes([[0.5, 0.9, 0.9]], [[1.0, 2.0, 8.0]])
    policy = Router().fit(TabulatedEstimator(pool.quality, cost_ex_ante=pool.cost), pool, budget=np.inf)
    assert policy.play(pool, seed=0).answer.tolist() == [1]
