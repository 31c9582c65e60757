"""Estimates without their spread: strategies value a set by the largest of its means, whatever the estimator says."""

import numpy as np
import pandas as pd
import pytest

from cascade_lib import (
    Cascade,
    CascadeRouter,
    LearnedEstimator,
    NoisyEstimator,
    Outcomes,
    Policy,
    Router,
    TabulatedEstimator,
    ThresholdCascade,
)
from cascade_lib.estimators import WithoutSpread
from truths import largest_mean, scene, slow_decisions

RULES = [(Cascade(), {"in_order": True}), (CascadeRouter(), {}), (CascadeRouter(depth=2), {"depth": 2})]


def eighths(n, k, seed):
    """A scene in which ties are common and exact: all numbers are multiples of 1/8, with large spreads."""
    rng = np.random.default_rng(seed)
    table = lambda: rng.integers(0, 5, (n, k)) / 8  # noqa: E731
    pool = Outcomes(table(), table())
    return pool, TabulatedEstimator(table(), table(), rng.random((n, k)), table(), table())


def slow_means(pool, guess, lam, how):
    """Mean cost and quality by the old rule, query by query, and the runs and answers."""
    found = [slow_decisions(pool, guess, row, lam, value=largest_mean, **how) for row in range(len(pool))]
    cost = np.mean([pool.cost[row, ran].sum() for row, (ran, _) in enumerate(found)])
    return cost, np.mean([pool.quality[row, answer] for row, (_, answer) in enumerate(found)]), found


@pytest.mark.parametrize(("strategy", "how"), RULES, ids=lambda x: repr(x) if not isinstance(x, dict) else "")
@pytest.mark.parametrize("k", [1, 3, 4])
def test_plays_without_spread_follow_the_largest_mean_ties_included(strategy, how, k):
    pool, guess = eighths(25, k, seed=k)
    for lam in [0.0, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 0.3, 0.7, 1.3]:
        play = strategy.play(WithoutSpread(guess), pool, lam=lam)
        *_, found = slow_means(pool, guess, lam, how)
        for row, (ran, answer) in enumerate(found):
            assert play.order[row].tolist() == ran + [-1] * (k - len(ran))
            assert play.chosen[row] == answer


@pytest.mark.parametrize(("strategy", "how"), RULES, ids=lambda x: repr(x) if not isinstance(x, dict) else "")
@pytest.mark.parametrize("made", [scene, eighths])
def test_the_whole_curve_without_spread_follows_the_largest_mean(strategy, how, made):
    pool, guess = made(12, 3, seed=5)
    curve = strategy.frontier(WithoutSpread(guess), pool)
    # The middle of every stretch of prices that play alike.
    for j in range(len(curve.lam)):
        upper = 2 * curve.lam[0] + 1 if j == 0 else curve.lam[j - 1]
        cost, quality, _ = slow_means(pool, guess, (curve.lam[j] + upper) / 2, how)
        assert (curve.cost[j], curve.quality[j]) == pytest.approx((cost, quality), abs=1e-12)


def test_leaving_the_spread_out_makes_a_difference():
    pool, guess = scene(40, 3, seed=1)
    for strategy in (Cascade(), CascadeRouter()):
        curves = [strategy.frontier(estimator, pool) for estimator in (guess, WithoutSpread(guess))]
        assert curves[0].cost[-1] > curves[1].cost[-1]  # without spread nothing is paid for what it may show


@pytest.mark.parametrize("strategy", [Router(), ThresholdCascade()], ids=repr)
def test_strategies_that_use_means_only_are_not_affected(strategy):
    pool, guess = scene(40, 3, seed=1)
    with_spread, without = (strategy.frontier(estimator, pool) for estimator in (guess, WithoutSpread(guess)))
    for field in ("lam", "cost", "quality"):
        np.testing.assert_array_equal(getattr(without, field), getattr(with_spread, field))


def test_only_the_spread_is_left_out():
    pool, guess = scene(6, 3, seed=2)
    ran, rows = np.array([True, False, False]), np.array([4, 1])
    said, left = (estimator.beliefs(pool.evidence(ran), rows) for estimator in (guess, WithoutSpread(guess)))
    for field in ("ran", "mean", "cost"):
        np.testing.assert_array_equal(getattr(left, field), getattr(said, field))
    assert said.spread.any()
    assert not left.spread.any()
    assert repr(WithoutSpread(NoisyEstimator(seed=3))) == "NoisyEstimator(seed=3) without spread"


def test_it_is_simulated_if_and_only_if_what_it_wraps_is():
    class Simulated:
        simulated = True

    assert WithoutSpread(Simulated()).simulated
    assert not WithoutSpread(TabulatedEstimator([[0.5]], cost_ex_ante=[[1.0]])).simulated


def answered(n, seed):
    rng = np.random.default_rng(seed)
    right = rng.random((n, 3)) < [0.5, 0.7, 0.9]
    score = np.where(right, 0.8, 0.3) + rng.normal(0, 0.2, (n, 3))
    query = pd.DataFrame(index=[f"q{seed}-{i}" for i in range(n)])
    cost = rng.uniform(0.9, 1.1, (n, 3)) * [1, 2, 4]
    return Outcomes(right, cost, query=query, answer_features={"score": score})


def test_a_policy_without_spread_comes_back_from_its_file_and_decides_alike(tmp_path):
    train, fresh = answered(300, 0), answered(60, 1)
    learned = LearnedEstimator(folds=2, future="joint").fit(train)
    policy = CascadeRouter().calibrate(WithoutSpread(learned), train, budget=2.0)
    policy.save(tmp_path / "policy.json")
    again = Policy.load(tmp_path / "policy.json")
    before, after = (p.play(fresh, seed=0) for p in (policy, again))
    np.testing.assert_array_equal(after.order, before.order)
    np.testing.assert_array_equal(after.chosen, before.chosen)
    without, with_spread = (CascadeRouter().play(e, fresh, lam=0.05).order for e in (again.estimator, learned))
    assert not np.array_equal(without, with_spread)
    said = again.estimator.beliefs(fresh.evidence([True, False, False]))
    assert said.law is None
    assert not said.spread.any()
