import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade_lib import Cascade, CascadeRouter, Outcomes, Router, TabulatedEstimator, omniscient, single_models
from cascade_lib.evaluation.frontier import _auc
from truths import best_by_linear_program, pools, scene


def curve_on_its_own_estimates(pool):
    return Router().frontier(TabulatedEstimator(pool.quality, cost_ex_ante=pool.cost), pool)


@given(pools(max_queries=6), st.floats(0, 1))
def test_routing_equals_the_linear_program_at_every_budget(pool, share):
    curve = curve_on_its_own_estimates(pool)
    least, most = curve.cost[0], pool.cost.max(axis=1).mean()
    budget = least + share * (most - least)
    assert curve.quality_at(budget) == pytest.approx(
        best_by_linear_program(pool.quality, pool.cost, budget), rel=0, abs=1e-9
    )


def test_routing_equals_the_linear_program_on_a_larger_instance():
    rng = np.random.default_rng(0)
    pool = Outcomes(rng.integers(0, 5, (200, 7)) / 4, rng.integers(0, 5, (200, 7)) / 2)
    curve = curve_on_its_own_estimates(pool)
    for budget in np.linspace(curve.cost[0], 2, 15):
        assert curve.quality_at(budget) == pytest.approx(
            best_by_linear_program(pool.quality, pool.cost, budget), rel=0, abs=1e-9
        )


@given(pools())
def test_the_omniscient_bound_is_routing_on_the_truth(pool):
    bound, curve = omniscient(pool), curve_on_its_own_estimates(pool)
    np.testing.assert_array_equal(bound.lam, curve.lam)
    np.testing.assert_array_equal(bound.cost, curve.cost)
    np.testing.assert_array_equal(bound.quality, curve.quality)


@given(pools())
def test_the_hull_of_single_models_lies_between_every_model_and_the_bound(pool):
    hull, bound = single_models(pool), omniscient(pool)
    cost, quality = pool.cost.mean(axis=0), pool.quality.mean(axis=0)
    assert (hull.quality_at(cost) >= quality - 1e-9).all()
    assert (bound.quality_at(hull.cost) >= hull.quality - 1e-9).all()


@given(pools())
def test_each_point_is_what_playing_at_its_price_gives(pool):
    rng = np.random.default_rng(1)
    guess = TabulatedEstimator(rng.random(pool.quality.shape), cost_ex_ante=rng.random(pool.cost.shape))
    curve = Router().frontier(guess, pool)
    for lam, cost, quality in zip(curve.lam, curve.cost, curve.quality, strict=True):
        result = Router().play(guess, pool, lam=lam)
        assert result.cost.mean() == pytest.approx(cost, rel=0, abs=1e-12)
        assert result.quality.mean() == pytest.approx(quality, rel=0, abs=1e-12)


@given(pools(), st.floats(0, 1))
def test_the_price_for_a_budget_spends_it(pool, share):
    guess = TabulatedEstimator(pool.quality, cost_ex_ante=pool.cost)
    curve = Router().frontier(guess, pool)
    budget = curve.cost[0] + share * (curve.cost[-1] - curve.cost[0])
    lam, gamma = curve.price_for(budget)
    assert 0 <= gamma <= 1
    everyone = np.ones(len(pool), dtype=bool)
    cheap, dear = (Router().play(guess, pool, lam=lam, expensive_ties=side) for side in (~everyone, everyone))
    spent = gamma * cheap.cost.mean() + (1 - gamma) * dear.cost.mean()
    gained = gamma * cheap.quality.mean() + (1 - gamma) * dear.quality.mean()
    assert spent == pytest.approx(budget, rel=0, abs=1e-9)
    assert gained == pytest.approx(curve.quality_at(budget), rel=0, abs=1e-9)


def test_wrong_cost_estimates_cannot_hide_a_budget():
    # The model thought dearer is really cheaper: as the price falls, the realised cost goes down.
    pool = Outcomes([[0.0, 1.0], [0.0, 1.0]], [[5.0, 1.0], [1.0, 4.0]])
    guess = TabulatedEstimator([[0.0, 1.0], [0.0, 0.5]], cost_ex_ante=[[1.0, 2.0], [1.0, 2.0]])
    curve = Router().frontier(guess, pool)
    assert curve.cost.tolist() == [3.0, 1.0, 2.5]
    assert curve.budget.tolist() == [1.0, 1.0, 2.5]
    assert curve.price_for(3.0) == curve.price_for(2.5) == (0.0, 1.0)
    with pytest.raises(ValueError, match="The cheapest this strategy can do here is 1 per query"):
        curve.price_for(0.9)
    assert np.isnan(curve.quality_at(0.9))
    for budget in (1.0, 1.9, 2.5):
        lam, gamma = curve.price_for(budget)
        sides = [Router().play(guess, pool, lam=lam, expensive_ties=np.full(2, dear)) for dear in (False, True)]
        spent, gained = ([getattr(play, what).mean() for play in sides] for what in ("cost", "quality"))
        assert np.dot([gamma, 1 - gamma], spent) == pytest.approx(budget)
        assert np.dot([gamma, 1 - gamma], gained) == pytest.approx(curve.quality_at(budget))
    # The first point costs 3 for a quality of 0, and no budget needs it: the least one for that quality is 1.
    assert curve.cost_at(0.0) == 1.0


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(8, 400))
def test_the_mean_cost_of_the_cheapest_model_buys_it(seed, n):
    rng = np.random.default_rng(seed)
    pool = Outcomes(rng.random((n, 2)), np.column_stack([rng.random(n), 1 + rng.random(n)]))
    curve = curve_on_its_own_estimates(pool)
    for budget in (pool.cost[:, 0].mean(), pool.cost.mean(axis=0)[0], pool.summary["cost"].iloc[0]):
        assert curve.price_for(budget) == pytest.approx((curve.lam[0], 1.0), rel=1e-9)
        assert curve.quality_at(budget) == pytest.approx(pool.quality[:, 0].mean(), rel=1e-9)
    best = sum(pool.quality.max(axis=1).tolist()) / n
    lam, gamma = curve.price_reaching(best)
    assert lam == pytest.approx(curve.lam[-2], rel=1e-9)
    # γ is the rounding of `best` over the last step of the curve, which may be as small as one wishes.
    step = curve.quality[-1] - curve.quality[-2]
    assert gamma * step == pytest.approx(0, abs=1e-12)


@given(st.integers(2, 200), st.floats(0.01, 1))
def test_models_of_equal_cost_have_the_area_of_the_quality_there(n, cost):
    pool = Outcomes(np.random.default_rng(n).random((n, 3)), np.full((n, 3), cost))
    guess = TabulatedEstimator(pool.quality, cost_ex_ante=pool.cost)
    assert Router().frontier(guess, pool).auc() == pytest.approx(pool.quality.max(axis=1).mean())


def test_area_by_hand():
    pool = Outcomes([[0.0, 1.0]], [[1.0, 3.0]])
    assert single_models(pool).auc() == pytest.approx(0.5)
    # Single models cost 1 and 2 on average; the curve runs from (0, 0.5) to (2, 1), so it is 0.75 at the left end.
    curve = omniscient(Outcomes([[0.0, 1.0], [1.0, 1.0]], [[0.0, 4.0], [2.0, 0.0]]))
    assert list(zip(curve.cost, curve.quality, strict=True)) == [(0.0, 0.5), (2.0, 1.0)]
    assert curve.auc() == pytest.approx((0.75 + 1) / 2)
    # A curve that ends at cost 1.5 of 1 to 2 is extended flat: 0.5 to 1 on the first half, 1 on the second.
    short = omniscient(Outcomes([[0.0, 1.0], [1.0, 0.0]], [[1.0, 2.0], [1.0, 2.0]]))
    assert short.auc() == pytest.approx((0.75 + 1) / 2)


def test_area_of_a_curve_that_starts_late_begins_at_the_lowest_single_quality():
    pool = Outcomes([[0.2, 0.6]], [[0.0, 4.0]])
    curve = Cascade([1]).frontier(TabulatedEstimator(pool.quality, cost_ex_ante=pool.cost), pool)
    assert curve.budget.tolist() == [4.0]
    assert curve.auc() == pytest.approx((0.2 + 0.6) / 2)


def test_area_leaves_out_what_no_budget_buys():
    pool = Outcomes([[0.2, 0.6]], [[0.0, 4.0]])
    guess = TabulatedEstimator([[0.9, 0.1]], cost_ex_ante=[[1.0, 0.0]])
    curve = Router().frontier(guess, pool)  # thinks that the free model is the expensive one, and takes it last
    assert curve.cost.tolist() == [4.0, 0.0]
    assert curve.price_for(4.0) == curve.price_for(0.0) == (0.0, 1.0)
    assert curve.auc() == pytest.approx(0.2)
    assert curve.bootstrap(3).tolist() == [pytest.approx(0.2)] * 3


def test_area_without_width_is_the_quality_there():
    assert single_models(Outcomes([[0.2, 0.6]], [[1.0, 1.0]])).auc() == pytest.approx(0.6)
    assert single_models(Outcomes([[0.2]], [[1.0]])).auc() == pytest.approx(0.2)


def test_quality_and_cost_at_are_inverse_on_the_rising_part():
    rng = np.random.default_rng(3)
    curve = omniscient(Outcomes(rng.random((50, 4)), rng.random((50, 4))))
    for cost in np.linspace(curve.cost[0], curve.cost[-1], 9):
        assert curve.cost_at(curve.quality_at(cost)) == pytest.approx(cost)
    assert np.isnan(curve.quality_at(curve.cost[0] - 1e-6))
    assert curve.cost_at(curve.quality[0] - 1) == curve.cost[0]


@pytest.mark.parametrize("budget", [float("nan"), -1.0, 0.5])
def test_a_budget_that_cannot_be_met_is_refused_with_the_least_that_can(budget):
    pool = Outcomes([[0.0, 1.0]], [[1.0, 3.0]], cost_unit="tokens")
    with pytest.raises(ValueError, match=r"budget must lie between 1 and inf; .*cheapest .* is 1 tokens per query"):
        single_models(pool).price_for(budget)


def test_a_budget_that_is_no_number_is_refused_and_an_infinite_one_is_slack():
    curve = single_models(Outcomes([[0.0, 1.0]], [[1.0, 3.0]]))
    with pytest.raises(TypeError, match="budget must be one number"):
        curve.price_for("a lot")
    assert curve.price_for(np.inf) == (0.0, 1.0)


def slow_replicate(curve, weights):
    """The AUC of a reweighted sample, by playing the omniscient router on the repeated queries."""
    rows = np.repeat(np.arange(len(curve.outcomes)), weights)
    return omniscient(curve.outcomes.take(rows)).auc()


@settings(max_examples=20)
@given(pools())
def test_bootstrap_replicates_are_replays_of_resampled_queries(pool):
    n = len(pool)
    weights = np.random.default_rng(7).multinomial(n, np.full(n, 1 / n), 5)
    curve = omniscient(pool)
    expected = [slow_replicate(curve, row) for row in weights]
    np.testing.assert_allclose(curve.bootstrap(5, seed=7), expected, rtol=0, atol=1e-9)


def test_pooling_points_for_the_bootstrap_hardly_moves_it():
    rng = np.random.default_rng(5)
    curve = omniscient(Outcomes(rng.random((5_000, 5)), rng.random((5_000, 5))))
    assert len(curve.lam) > 5_000
    once = np.full((1, 5_000), 1 / 5_000)
    budget, quality, *_ = (part[0] for part in curve._reweighted(once))
    assert len(budget) <= 2_000
    ends = [curve.outcomes.cost.mean(axis=0).min(), curve.outcomes.cost.mean(axis=0).max()]
    inside = np.linspace(*ends, 4_001)
    np.testing.assert_allclose(np.interp(inside, budget, quality), curve.quality_at(inside), atol=2e-3)
    pooled = _auc(*(part[0] for part in curve._reweighted(once)))
    assert pooled == pytest.approx(curve.auc(), abs=2e-5)


def test_bootstrap_interval_covers_about_as_often_as_it_says():
    rng = np.random.default_rng(11)
    population = Outcomes(rng.random((40_000, 2)) < [0.6, 0.8], np.tile([1.0, 3.0], (40_000, 1)))
    truth = omniscient(population).auc() - single_models(population).auc()
    covered = 0
    for trial in range(100):
        sample = population.take(rng.integers(40_000, size=200))
        result = omniscient(sample).compare(single_models(sample), resamples=200, seed=trial)
        covered += result.low <= truth <= result.high
    assert 88 <= covered <= 100


def test_comparing_a_curve_with_itself_gives_exactly_nothing():
    pool = Outcomes([[0.0, 1.0], [1.0, 1.0]], [[1.0, 3.0], [1.0, 3.0]])
    result = omniscient(pool).compare(omniscient(pool), resamples=50)
    assert (result.difference, result.low, result.high) == (0.0, 0.0, 0.0)
    assert "AUC ×100 of omniscient − omniscient: +0.00" in repr(result)
    assert result.to_frame().loc[0, "level"] == 0.95


def test_curves_on_different_outcomes_cannot_be_compared():
    with pytest.raises(ValueError, match="different outcomes"):
        omniscient(Outcomes([[0.0]], [[1.0]])).compare(omniscient(Outcomes([[0.0]], [[2.0]])))


def test_curves_that_come_back_from_a_worker_can_be_compared():
    pool, estimator = scene(30, 3, seed=1)
    here, there = omniscient(pool), pickle.loads(pickle.dumps(CascadeRouter().frontier(estimator, pool)))
    assert here.compare(there, resamples=20) == here.compare(CascadeRouter().frontier(estimator, pool), resamples=20)


def test_a_budget_is_spent_exactly_even_where_the_cost_falls_with_the_price():
    pool, estimator = scene(40, 3, seed=1)
    strategy = CascadeRouter()
    curve = strategy.frontier(estimator, pool)
    assert (np.diff(curve.cost) < 0).any(), "the case is there to be tested"
    for budget in np.linspace(curve.cost[0], curve.cost.max(), 50)[1:-1]:
        lam, gamma = curve.price_for(budget)
        assert 0 <= gamma <= 1
        sides = [
            strategy.play(estimator, pool, lam=lam, expensive_ties=np.full(len(pool), side)) for side in (False, True)
        ]
        cheap, dear = (play.cost.mean() for play in sides)
        assert gamma * cheap + (1 - gamma) * dear == pytest.approx(budget, rel=1e-12)


def test_copies_of_a_query_are_drawn_together():
    pool = scene(30, 3, seed=9)[0]
    copies = pool.take(np.tile(np.arange(30), 20))
    once, often = (omniscient(outcomes).bootstrap(300, seed=1) for outcomes in (pool, copies))
    # The same 30 queries are drawn, so twenty copies of each change nothing.
    np.testing.assert_allclose(often, once, atol=1e-12)
    renamed = Outcomes(copies.quality, copies.cost)
    assert omniscient(renamed).bootstrap(300, seed=1).std() < 0.5 * once.std()


def test_labels_of_groups_are_noticed():
    pool = scene(30, 3, seed=9)[0]
    domains = Outcomes(pool.quality, pool.cost, query=pd.DataFrame(index=["law", "code", "code"] * 10))
    with pytest.warns(
        UserWarning, match="the 30 rows have only 2 labels, and rows with one label differ, first at 'code'"
    ):
        omniscient(domains).bootstrap(3)
    with pytest.warns(UserWarning, match="give every query a label of its own"):
        omniscient(domains).compare(single_models(domains), resamples=3)


def slow_saving(curve, model, weights):
    """Search for the least budget that reaches a model's quality, on a fine grid of mixtures, by replaying leaves."""
    i = curve.outcomes.models.index(model)
    weights = weights / weights.sum()
    cost, quality, spent, gained = 0.0, 0.0, [], []
    steps = curve.steps
    for price in np.unique(steps.price)[::-1]:
        here = steps.price == price
        cost += weights[steps.query[here]] @ steps.cost[here]
        quality += weights[steps.query[here]] @ steps.quality[here]
        spent.append(cost)
        gained.append(quality)
    goal = weights @ curve.outcomes.quality[:, i]
    share = np.linspace(0, 1, 20_001)
    cheapest = int(np.argmin(spent))  # what comes before it costs more at a higher price
    spent, gained, most = spent[cheapest:], gained[cheapest:], spent[cheapest]
    for a, b, q, r in zip([spent[0], *spent], spent, [gained[0], *gained], gained, strict=False):
        mixed = q + share * (r - q)
        if (mixed >= goal - 1e-9).any():
            left, right = most, max(most, b)
            found = left + share[int(np.argmax(mixed >= goal - 1e-9))] * (right - left)
            return 1 - found / (weights @ curve.outcomes.cost[:, i])
        most = max(most, a, b)
    return -np.inf


def test_saving_is_that_of_a_slow_search_on_all_queries_and_on_resamples():
    pool, estimator = scene(60, 3, seed=4)
    curve = CascadeRouter().frontier(estimator, pool)
    model = pool.models[int(pool.quality.mean(axis=0).argmax())]
    result = curve.saving(model, resamples=50, seed=2)
    assert result.share == pytest.approx(slow_saving(curve, model, np.ones(60)), abs=1e-3)
    draws = np.random.default_rng(2).multinomial(60, np.full(60, 1 / 60), 50)
    shares = np.sort([slow_saving(curve, model, row) for row in draws])
    assert result.low == pytest.approx(shares[1], abs=1e-3)
    assert result.high == pytest.approx(shares[-2], abs=1e-3)
    assert np.isfinite(shares).any(), "the case is there to be tested"


def test_a_curve_that_is_never_as_good_saves_nothing():
    pool = Outcomes([[1.0, 1.0]] * 20, [[1.0, 2.0]] * 20, models=["small", "large"])
    never = Router().frontier(TabulatedEstimator([[1.0, 0.0]] * 20, cost_ex_ante=pool.cost), pool)
    assert never.saving("large", resamples=20).share == pytest.approx(0.5)
    poor = Outcomes([[0.0, 1.0]] * 20, [[1.0, 2.0]] * 20, models=["small", "large"])
    result = Router().frontier(TabulatedEstimator([[1.0, 0.0]] * 20, cost_ex_ante=pool.cost), poor).saving("large")
    assert (result.cost, result.share, result.low, result.high) == (np.inf, -np.inf, -np.inf, -np.inf)
    assert "never as good as large" in repr(result)
    assert result.to_frame().loc[0, "model"] == "large"


def test_saving_refuses_unknown_and_free_models():
    curve = omniscient(Outcomes([[0.0, 1.0]] * 3, [[0.0, 2.0]] * 3, models=["small", "large"]))
    with pytest.raises(ValueError, match="it has small, large"):
        curve.saving("huge")
    with pytest.raises(ValueError, match="costs nothing"):
        curve.saving("small")


def test_the_interval_of_a_saving_covers_about_as_often_as_it_says():
    rng = np.random.default_rng(5)
    right = rng.random((40_000, 2)) < [0.6, 0.8]
    hint = np.where(rng.random((40_000, 2)) < 0.8, right, ~right) * 0.5 + 0.25
    population = Outcomes(right, np.tile([1.0, 3.0], (40_000, 1)), models=["small", "large"])

    def curve(rows):
        part = population.take(rows)
        return Router().frontier(TabulatedEstimator(hint[rows], cost_ex_ante=part.cost), part)

    truth = curve(np.arange(40_000)).saving("large", resamples=1).share
    covered = 0
    for trial in range(100):
        result = curve(rng.integers(40_000, size=300)).saving("large", resamples=200, seed=trial)
        covered += result.low <= truth <= result.high
    assert 88 <= covered <= 100
