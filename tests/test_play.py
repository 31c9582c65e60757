"""The walk over all prices, and play at one price, against a slow simulation that shares no code with either."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from cascade_lib import Cascade, CascadeRouter, Outcomes, Router, ThresholdCascade
from cascade_lib.estimators.base import Beliefs
from cascade_lib.evaluation.simulate import STOP, decide
from cascade_lib.theory import Atoms
from truths import STRATEGIES, scene, slow_decisions

WITH_ORDERS = [
    *STRATEGIES,
    ThresholdCascade(order=[2, 0, 1], ceiling=0.9),
    Cascade(order=[1, 2, 0]),
    CascadeRouter(depth=2),
    CascadeRouter(order=[2, 0, 1]),
    # Parts of the pool: what if just these fail, or others have run?
    ThresholdCascade(order=[0, 2], ceiling=0.9),
    Cascade(order=[0, 1]),
    CascadeRouter(order=[1, 0], lookahead=1),
]


@pytest.mark.parametrize("lam", [0.05, 0.4, 1.3, 6.0])
def test_cascade_routing_follows_its_definition(lam):
    pool, estimator = scene(25, 3, seed=4)
    result = CascadeRouter().play(estimator, pool, lam=lam)
    for row in range(len(pool)):
        ran, answer = slow_decisions(pool, estimator, row, lam)
        assert result.order[row, : len(ran)].tolist() == ran
        assert (result.order[row, len(ran) :] == -1).all()
        assert result.chosen[row] == answer
        assert result.cost[row] == pytest.approx(pool.cost[row, ran].sum())


def mean_at(curve, lam):
    """Mean cost and quality of the curve at a price: the first point whose interval reaches down to it."""
    j = int(np.flatnonzero(curve.lam <= lam)[0])
    return curve.cost[j], curve.quality[j]


@pytest.mark.parametrize("strategy", WITH_ORDERS, ids=repr)
@pytest.mark.parametrize("ties", [False, True])
def test_the_walk_equals_play_at_random_prices_and_at_and_around_every_breakpoint(strategy, ties):
    pool, estimator = scene(40, 3, seed=1, ties=ties)
    curve = strategy.frontier(estimator, pool)
    rng = np.random.default_rng(0)
    some = rng.permutation(curve.lam)[:40]
    prices = np.concatenate([10 ** rng.uniform(-4, 3, 40), some, some * (1 + 1e-9), some * (1 - 1e-9), [0.0, np.inf]])
    for lam in prices:
        result = strategy.play(estimator, pool, lam=lam)
        assert (result.cost.mean(), result.quality.mean()) == pytest.approx(mean_at(curve, lam), rel=0, abs=1e-12)


@pytest.mark.parametrize("strategy", WITH_ORDERS, ids=repr)
def test_ties_on_the_dear_side_are_the_limit_from_lower_prices(strategy):
    pool, estimator = scene(40, 3, seed=2, ties=True)
    curve = strategy.frontier(estimator, pool)
    everyone = np.ones(len(pool), dtype=bool)
    for j, lam in enumerate(curve.lam[:-1]):
        result = strategy.play(estimator, pool, lam=lam, expensive_ties=everyone)
        expected = (curve.cost[j + 1], curve.quality[j + 1])
        assert (result.cost.mean(), result.quality.mean()) == pytest.approx(expected, rel=0, abs=1e-12)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 4), st.booleans(), st.floats(0, 20))
def test_every_play_is_consistent_with_itself(seed, k, ties, lam):
    pool, estimator = scene(12, k, seed, ties=ties)
    result = CascadeRouter().play(estimator, pool, lam=lam)
    assert result.ran.any(axis=1).all()
    assert result.ran[np.arange(12), result.chosen].all()
    for row in range(12):
        order = [i for i in result.order[row] if i >= 0]
        assert sorted(order) == np.flatnonzero(result.ran[row]).tolist()
    table = result.to_frame()
    np.testing.assert_array_equal(table["calls"], result.ran.sum(axis=1))
    np.testing.assert_allclose(table["cost"], (pool.cost * result.ran).sum(axis=1))


@pytest.mark.parametrize("lam", [-1.0, float("nan"), "dear"])
def test_bad_prices_are_refused(lam):
    pool, estimator = scene(3, 2, seed=0)
    with pytest.raises((ValueError, TypeError), match="lam must"):
        CascadeRouter().play(estimator, pool, lam=lam)


def test_a_play_shows_itself():
    pool, estimator = scene(30, 3, seed=0)
    result = CascadeRouter().play(estimator, pool, lam=0.1)
    assert "cascade routing on 30 queries" in repr(result)
    assert result.plot().get_xlabel() == "share of queries"
    assert CascadeRouter().frontier(estimator, pool).plot().get_ylabel() == "mean quality"


class Pruned(CascadeRouter):
    """Without the plans that have a model whose own gain does not cover its cost at the price `lam`."""

    lam, left_out = 0.0, 0

    def plans(self, beliefs):
        found = super().plans(beliefs)
        if not beliefs.ran.any():
            return found
        gain = beliefs.future(np.arange(len(beliefs.ran))).alone(beliefs.best) - beliefs.best[:, None]
        negative = gain < self.lam * beliefs.cost * (1 - 1e-6)
        lost = (negative @ found.members.T.astype(int)) > 0
        self.left_out += lost.sum()
        return found._replace(value=np.where(lost, -np.inf, found.value))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("options", [{}, {"depth": 3}, {"lookahead": 1}, {"order": [3, 1, 0, 2]}])
def test_plans_with_a_negative_gain_are_never_taken(options, ties):
    pool, estimator = scene(60, 4, seed=11, ties=ties)
    whole, pruned = CascadeRouter(**options), Pruned(**options)
    for lam in (0.05, 0.3, 0.9, 2.0, 7.0):
        pruned.lam = lam
        expected, found = (strategy.play(estimator, pool, lam=lam) for strategy in (whole, pruned))
        np.testing.assert_array_equal(found.order, expected.order)
        np.testing.assert_array_equal(found.chosen, expected.chosen)
    assert pruned.left_out


def test_seventy_models_are_not_too_many_where_few_may_run():
    pool, guess = scene(12, 70, seed=3)
    router, one, two = Router(), CascadeRouter(depth=1), CascadeRouter(depth=2)
    assert one.frontier(guess, pool).auc() == pytest.approx(router.frontier(guess, pool).auc(), abs=1e-12)
    for lam in (0.0, 0.3, 1.0):
        worth = guess.ex_ante - lam * guess.cost_ex_ante
        np.testing.assert_array_equal(router.play(guess, pool, lam=lam).chosen, worth.argmax(axis=1))
        ran = two.play(guess, pool, lam=lam).ran
        for i in range(len(pool)):
            plans = [(j,) for j in range(70)] + list(itertools.combinations(range(70), 2))
            value = [_slow_plan(guess, i, plan, lam) for plan in plans]
            best = plans[int(np.argmax(value))]
            first = min(best, key=lambda j: guess.cost_ex_ante[i, j])
            assert ran[i, first]
            assert ran[i].sum() <= 2


def _slow_plan(guess, i, plan, lam):
    """Return the net value of a plan of one or two models for query i, by Clark's formula."""
    mean, spread = guess.ex_ante[i, list(plan)], guess.spread[i, list(plan)]
    cost = lam * guess.cost_ex_ante[i, list(plan)].sum()
    if len(plan) == 1:
        return mean[0] - cost
    width = np.hypot(*spread)
    z = (mean[0] - mean[1]) / width
    # Clark (1961): the mean of the larger of two independent Gaussians.
    return mean[0] * norm.cdf(z) + mean[1] * norm.cdf(-z) + width * norm.pdf(z) - cost


@pytest.mark.parametrize("strategy", WITH_ORDERS, ids=repr)
@given(seed=st.integers(0, 50), lam=st.sampled_from([0.0, 0.2, 5.0]))
@settings(max_examples=20, deadline=None)
def test_whatever_has_run_or_failed_there_is_a_next_step(strategy, seed, lam):
    rng = np.random.default_rng(seed)
    pool, guess = scene(1, 4, seed)
    fate = rng.integers(0, 3, 4)  # 0: may still run, 1: has run, 2: has failed
    ran, barred = fate == 1, fate == 2
    beliefs = guess.beliefs(pool.evidence(ran))
    [model] = decide(strategy, beliefs, barred, lam, expensive_ties=np.array([False]))
    assert model == STOP or fate[model] == 0
    if not ran.any() and (fate == 0).any():
        assert model != STOP
    beyond = strategy.depth is not None and ran.sum() >= strategy.depth
    assert not (beyond and model != STOP)
    if ran.any():
        assert ran[strategy.choose(beliefs)[0]]


LAW = Atoms([[[0.0, 0.0], [0.0, 1.0]]], 0.5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"mean": np.full((1, 2), np.nan)},
            "Author have a mean of nan for query a and model 'small': .* finite; .* training",
        ),
        ({"mean": np.zeros(2)}, r"a mean of shape \(2,\) where \(1, 2\) is expected"),
        ({"mean": np.zeros((5, 2))}, r"a mean of shape \(5, 2\) where \(1, 2\) is expected.* at `rows`"),
        ({"spread": -np.ones((1, 2))}, "a spread of -1 .* 0 or more"),
        ({"cost": np.full((1, 2), np.inf)}, "a cost of inf .* clip"),
        ({"cost": np.array([[1.0, -1.0]])}, "a cost of -1 for query a and model 'large'"),
        ({"ran": np.ones(2, dtype=bool)}, "another `ran` than the evidence: pass .*evidence.ran"),
        ({"law": LAW}, "a law with a mean of 0.5 for query a and model 'large': .* pass mean=law.mean"),
        ({"law": LAW, "mean": LAW.mean}, "a law with a spread of 0.5 .* pass spread=law.spread"),
        ({"law": LAW.pick([0])}, r"a law with a mean of shape \(1, 1\)"),
    ],
)
def test_wrong_beliefs_are_refused_by_the_name_of_their_estimator(wrong, message):
    class Author:
        def beliefs(self, evidence, rows=None):
            right = {"mean": np.zeros((1, 2)), "spread": np.zeros((1, 2)), "cost": np.ones((1, 2))}
            return Beliefs(**({"ran": evidence.ran} | right | wrong))

    pool = Outcomes([[0, 1]], [[1, 2]], models=["small", "large"], query=pd.DataFrame(index=["a"]))
    for work in (lambda: Router().frontier(Author(), pool), lambda: Cascade().play(Author(), pool, lam=1.0)):
        with pytest.raises(ValueError, match=message):
            work()


def test_a_spread_left_after_a_call_is_refused():
    class Author:
        def beliefs(self, evidence, rows=None):
            return Beliefs(evidence.ran, np.zeros((1, 2)), np.ones((1, 2)), np.array([[0.0, 0.01]]))

    with pytest.raises(ValueError, match="a spread of 1 .* model 'model-0': it must be 0, .*evidence.ran"):
        Cascade().frontier(Author(), Outcomes([[0, 1]], [[1, 2]]))


def test_what_a_law_says_of_a_model_that_has_run_does_not_matter():
    class Author:
        def beliefs(self, evidence, rows=None):
            mean = np.where(evidence.ran, [0.7, 0.9], LAW.mean)
            return Beliefs(evidence.ran, mean, np.where(evidence.ran, 0.0, LAW.spread), np.ones((1, 2)), law=LAW)

    assert len(Cascade().frontier(Author(), Outcomes([[0, 1]], [[1, 2]])).cost)


def test_sides_of_ties_are_one_truth_value_a_query():
    pool, guess = scene(3, 2, seed=0)
    for dear in (True, [True, False], [0, 1, 1]):
        with pytest.raises(ValueError, match="expensive_ties must hold True or False for each of the 3 queries"):
            Router().play(guess, pool, lam=0.1, expensive_ties=dear)
