"""The identities that tie the strategies together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade_lib import Cascade, CascadeRouter, Outcomes, Router, TabulatedEstimator, omniscient
from cascade_lib.strategies import Strategy
from cascade_lib.strategies.base import Plans
from truths import STRATEGIES, scene


def same_curve(a, b, *, atol=0.0):
    for field in ("lam", "cost", "quality"):
        np.testing.assert_allclose(getattr(a, field), getattr(b, field), rtol=0, atol=atol)


class PrefixesOnly(CascadeRouter):
    """Cascade routing whose plans are restricted to prefixes of the columns."""

    order = None

    def plans(self, beliefs):
        every = super().plans(beliefs)
        run = every.members | beliefs.ran
        prefix = (np.diff(run.astype(int), axis=1) <= 0).all(axis=1) & (run[:, 0])
        return Plans(every.cost[:, prefix], every.value[:, prefix], every.members[prefix])


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 4), st.booleans())
def test_cascade_routing_of_depth_one_is_routing(seed, k, ties):
    pool, estimator = scene(15, k, seed, ties=ties)
    same_curve(CascadeRouter(depth=1).frontier(estimator, pool), Router().frontier(estimator, pool))


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_cascade_routing_with_prefixes_only_is_cascading(seed, k):
    pool, estimator = scene(15, k, seed)
    prefixes = PrefixesOnly(order=range(k))
    for lam in (0.0, 0.03, 0.3, 1.7, np.inf):
        a, b = prefixes.play(estimator, pool, lam=lam), Cascade().play(estimator, pool, lam=lam)
        np.testing.assert_array_equal(a.order, b.order)
        np.testing.assert_array_equal(a.chosen, b.chosen)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.floats(0, 5))
def test_the_greedy_plan_is_never_worth_more_than_the_full_one(seed, lam):
    pool, estimator = scene(10, 4, seed)
    beliefs = estimator.beliefs(pool.evidence([True, False, False, False]), np.arange(10))
    greedy, full = (CascadeRouter(lookahead=a).plans(beliefs) for a in (1, None))
    worth = [(plans.value - lam * plans.cost).max(axis=1) for plans in (greedy, full)]
    assert (worth[0] <= worth[1] + 1e-12).all()


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.permutations(range(4)))
def test_permuting_the_models_changes_nothing(seed, order):
    pool, guess = scene(15, 4, seed)
    order = list(order)
    pool_2 = pool.select([pool.models[i] for i in order])
    guess_2 = TabulatedEstimator(
        *(t[:, order] for t in (guess.ex_ante, guess.post_hoc, guess.spread, guess.cost_ex_ante, guess.cost_post_hoc))
    )
    for one, two in [
        (Router(), Router()),
        (CascadeRouter(), CascadeRouter()),
        (Cascade(order=range(4)), Cascade(order=np.argsort(order))),
    ]:
        for lam in (0.01, 0.2, 1.1):
            a, b = one.play(guess, pool, lam=lam), two.play(guess_2, pool_2, lam=lam)
            np.testing.assert_array_equal(a.ran[:, order], b.ran)


@pytest.mark.parametrize("strategy", [Router(), Cascade(), CascadeRouter()], ids=repr)
def test_scaling_all_costs_scales_prices_and_leaves_the_area_alone(strategy):
    pool, guess = scene(60, 3, seed=5)
    pool_2 = Outcomes(pool.quality, 8 * pool.cost)
    guess_2 = TabulatedEstimator(
        guess.ex_ante, guess.post_hoc, guess.spread, 8 * guess.cost_ex_ante, 8 * guess.cost_post_hoc
    )
    one, two = strategy.frontier(guess, pool), strategy.frontier(guess_2, pool_2)
    np.testing.assert_allclose(8 * two.lam, one.lam, rtol=1e-12)
    np.testing.assert_allclose(two.cost, 8 * one.cost, rtol=1e-12)
    assert two.auc() == pytest.approx(one.auc(), abs=1e-12)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=repr)
def test_one_model_leaves_no_choice(strategy):
    pool, guess = scene(9, 1, seed=0)
    curve = strategy.frontier(guess, pool)
    assert curve.cost.tolist() == [pytest.approx(pool.cost.mean())]
    assert curve.quality.tolist() == [pytest.approx(pool.quality.mean())]


@pytest.mark.parametrize("strategy", [Router(), Cascade(), CascadeRouter()], ids=repr)
def test_free_models_are_run_while_they_promise_anything(strategy):
    pool, guess = scene(30, 3, seed=2)
    free = TabulatedEstimator(guess.ex_ante, guess.post_hoc, 0.5, np.zeros((30, 3)))
    pool = Outcomes(pool.quality, np.zeros((30, 3)))
    curve = strategy.frontier(free, pool)
    assert len(curve.lam) == 1
    if isinstance(strategy, CascadeRouter):
        assert strategy.play(free, pool, lam=5.0).ran.all()


@pytest.mark.parametrize("strategy", STRATEGIES, ids=repr)
def test_no_strategy_beats_the_omniscient_bound(strategy):
    rng = np.random.default_rng(1)
    pool, guess = scene(200, 3, seed=1)
    pool = Outcomes(rng.random((200, 3)) < guess.post_hoc, pool.cost)
    curve, bound = strategy.frontier(guess, pool), omniscient(pool)
    assert (curve.quality <= bound.quality_at(np.maximum(curve.cost, bound.cost[0])) + 1e-9).all()


@pytest.mark.parametrize("strategy", STRATEGIES, ids=repr)
def test_budgets_from_the_least_to_infinity(strategy):
    pool, guess = scene(400, 3, seed=7)
    curve = strategy.frontier(guess, pool)
    for budget in np.linspace(curve.budget[0], curve.budget[-1], 5):
        assert strategy.calibrate(guess, pool, budget=budget).play(pool, seed=0).cost.mean() <= budget + 0.02
    assert strategy.calibrate(guess, pool, budget=np.inf).lam == 0
    with pytest.raises(ValueError, match="The cheapest this strategy can do here is"):
        strategy.calibrate(guess, pool, budget=curve.budget[0] * 0.99)


def test_strategy_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        Strategy()
