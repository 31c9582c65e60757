import numpy as np
import pytest

from cascade_lib import Outcomes, Router, TabulatedEstimator
from cascade_lib.deploy import BudgetWarning


def pool_and_guess(n=4_000, seed=0):
    rng = np.random.default_rng(seed)
    skill = rng.random((n, 3))
    pool = Outcomes(rng.random((n, 3)) < skill, np.tile([1.0, 3.0, 10.0], (n, 1)), cost_unit="tokens")
    return pool, TabulatedEstimator(skill, cost_ex_ante=pool.cost)


@pytest.mark.parametrize("budget", [1.0, 1.7, 3.0, 4.4])
def test_a_fitted_policy_spends_its_budget(budget):
    pool, guess = pool_and_guess()
    policy = Router().calibrate(guess, pool, budget=budget)
    result = policy.play(pool, seed=0)
    assert result.cost.mean() == pytest.approx(budget, abs=0.01)
    assert result.quality.mean() == pytest.approx(Router().frontier(guess, pool).quality_at(budget), abs=0.01)


def test_ties_of_all_queries_at_one_price_are_split_by_the_coins():
    n = 10_000
    pool = Outcomes(np.tile([0.0, 1.0], (n, 1)), np.tile([1.0, 5.0], (n, 1)))
    guess = TabulatedEstimator(pool.quality, cost_ex_ante=pool.cost)
    policy = Router().calibrate(guess, pool, budget=2.0)
    assert (policy.lam, policy.gamma) == (0.25, 0.75)
    assert policy.play(pool, seed=1).cost.mean() == pytest.approx(2.0, abs=0.1)
    assert (policy.play(pool, seed=1).cost == policy.play(pool, seed=1).cost).all()
    assert (policy.play(pool, seed=1).cost != policy.play(pool, seed=2).cost).any()


def test_a_policy_carries_over_to_new_queries_with_their_own_estimates():
    pool, guess = pool_and_guess()
    new, new_guess = pool_and_guess(seed=1)
    policy = Router().calibrate(guess, pool, budget=3.0)
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
        ("much", TypeError, "budget must be one number; got 'much'"),
        (None, TypeError, "give either a budget \\(mean cost per query\\) or a quality"),
    ],
)
def test_bad_budgets_are_refused(budget, error, message):
    pool, guess = pool_and_guess(100)
    with pytest.raises(error, match=message):
        Router().calibrate(guess, pool, budget=budget)


def test_an_infinite_budget_buys_the_best_without_waste():
    pool = Outcomes([[0.5, 0.9, 0.9]], [[1.0, 2.0, 8.0]])
    policy = Router().calibrate(TabulatedEstimator(pool.quality, cost_ex_ante=pool.cost), pool, budget=np.inf)
    assert policy.play(pool, seed=0).chosen.tolist() == [1]


def test_a_policy_can_be_fitted_to_a_quality_instead():
    pool, guess = pool_and_guess()
    curve = Router().frontier(guess, pool)
    policy = Router().calibrate(guess, pool, quality=0.6)
    result = policy.play(pool, seed=0)
    assert policy.calibration.quality == pytest.approx(0.6)
    assert result.quality.mean() == pytest.approx(0.6, abs=0.01)
    assert policy.budget == pytest.approx(curve.cost_at(0.6)) == pytest.approx(result.cost.mean(), abs=0.05)
    with pytest.raises(ValueError, match="quality must lie between -inf and 0.* The best this strategy does here is 0"):
        Router().calibrate(guess, pool, quality=0.99)
    with pytest.raises(TypeError, match="either a budget .* or a quality"):
        Router().calibrate(guess, pool, quality=0.6, budget=3)


def test_the_interval_of_the_cost_covers_what_is_spent_on_new_queries():
    """200 policies, each fitted on 150 queries: 95% of the intervals hold what the policy spends in the long run."""
    world, guess = pool_and_guess(40_000)
    covered, rng = 0, np.random.default_rng(0)
    for _ in range(200):
        rows = rng.choice(len(world), 150, replace=False)
        few = TabulatedEstimator(guess.ex_ante[rows], cost_ex_ante=world.cost[rows])
        policy = Router().calibrate(few, world.take(rows), budget=3.0)
        low, high = policy.calibration.cost_interval
        covered += low <= _long_run(world, guess, policy) <= high
    assert 0.9 <= covered / 200 <= 0.985


def _long_run(world, guess, policy):
    sides = [
        Router().play(guess, world, lam=policy.lam, expensive_ties=np.full(len(world), dear)).cost.mean()
        for dear in (False, True)
    ]
    return policy.gamma * sides[0] + (1 - policy.gamma) * sides[1]


def test_too_few_calibration_queries_are_warned_of():
    pool, guess = pool_and_guess(20)
    with pytest.warns(BudgetWarning, match="20 calibration queries say little .* budget of 3. About [0-9]+ would"):
        Router().calibrate(guess, pool, budget=3.0)


def test_a_policy_shows_its_figures():
    pool, guess = pool_and_guess()
    figures = Router().calibrate(guess, pool, budget=3.0).to_dict()
    assert figures["strategy"] == "routing"
    assert figures["cost"] == pytest.approx(3.0)
    assert figures["cost low"] < figures["cost"] < figures["cost high"]
