"""Each strategy attains the optimum of its class, found by enumeration; thresholds coincide and lose as stated."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade_lib import Cascade, CascadeRouter, Outcomes, Router, TabulatedEstimator, ThresholdCascade
from cascade_lib.estimators.base import Beliefs
from cascade_lib.strategies import PlanningStrategy
from cascade_lib.strategies.tuning import _line_search
from cascade_lib.theory import segments
from truths import scene, slow_decisions, slow_expected_max


def beliefs_for(seed, k, ran, m=3, ties=False):
    pool, estimator = scene(m, k, seed, ties=ties)
    return estimator.beliefs(pool.evidence([i in ran for i in range(k)]), np.arange(m))


def slow_plans(strategy, beliefs, row):
    """All (cost, value) pairs that the strategy's class allows for one query, straight from the definition."""
    k, ran = len(beliefs.ran), set(np.flatnonzero(beliefs.ran))
    if isinstance(strategy, Router):
        sets = [{i} for i in range(k)]
    elif isinstance(strategy, Cascade):
        sets = [set(range(i)) for i in range(max(len(ran), 1), k + 1)]
    else:
        sets = [set(s) for size in range(1, k + 1) for s in itertools.combinations(range(k), size) if ran <= set(s)]
    best = max((beliefs.mean[row, i] for i in ran), default=-np.inf)
    for chosen in sets:
        more = sorted(chosen - ran)
        value = slow_expected_max(best, beliefs.mean[row, more], beliefs.spread[row, more])
        yield beliefs.cost[row, more].sum(), value


def best_of_all_assignments(plans, budget):
    """The largest mean value of one plan per query within a mean budget, mixing two assignments: by enumeration."""
    points = [tuple(np.mean(choice, axis=0)) for choice in itertools.product(*plans)]
    within = [p for p in points if p[0] <= budget]
    best = max(value for _, value in within)
    for (c1, v1), (c2, v2) in itertools.product(within, (p for p in points if p[0] > budget)):
        best = max(best, v1 + (v2 - v1) * (budget - c1) / (c2 - c1))
    return best


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from([Router(), Cascade(), CascadeRouter()]), st.booleans(), st.floats(0, 1))
def test_every_step_attains_the_optimum_of_its_class_at_every_budget(seed, strategy, ties, share):
    """Optimal routing, optimal cascading and optimal cascade routing: one theorem with three lists of plans."""
    ran = () if isinstance(strategy, Router) else (0,) if seed % 2 else ()
    beliefs = beliefs_for(seed, 3, ran, ties=ties)
    truth = [list(slow_plans(strategy, beliefs, row)) for row in range(len(beliefs))]
    plans = strategy.plans(beliefs)
    segs = segments(plans.cost, plans.value)

    least = np.mean([min(cost for cost, _ in row) for row in truth])
    most = np.mean([max(cost for cost, _ in row) for row in truth])
    budget = least + share * (most - least)
    reached = []
    for lam in np.append(np.unique(segs.low), np.inf):
        for dear in (False, True):
            plan = segs.at(lam, np.full(len(beliefs), dear))
            rows = np.arange(len(beliefs))
            reached.append((plans.cost[rows, plan].mean(), plans.value[rows, plan].mean()))
    cost, value = np.array(sorted(reached)).T
    assert np.interp(budget, cost, value) == pytest.approx(best_of_all_assignments(truth, budget), abs=2e-6)


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.integers(0, 2), st.floats(0, 8))
def test_a_negative_marginal_gain_rules_out_every_larger_set(seed, ran, lam):
    """The pruning lemma: if leaving m out of M is better, no superset of M is optimal."""
    k = 4
    beliefs = beliefs_for(seed, k, tuple(range(ran)))
    plans = CascadeRouter().plans(beliefs)
    for row in range(len(beliefs)):
        worth = {
            frozenset(np.flatnonzero(s)): w
            for s, w in zip(plans.members, plans.value[row] - lam * plans.cost[row], strict=True)
        }
        best = max(worth.values())
        for chosen, mine in worth.items():
            if any(mine < worth[chosen - {m}] - 1e-5 for m in chosen):
                assert all(worth[larger] < best for larger in worth if larger >= chosen)


def concentrated(seed, n=30):
    """Two models; costs and the second one's ex-ante estimate are the same for all, and it always beats the first."""
    rng = np.random.default_rng(seed)
    pool = Outcomes(rng.random((n, 2)), np.tile([1.0, 4.0], (n, 1)))
    first = rng.random(n) * 0.9
    ex_ante = np.column_stack([np.full(n, 0.5), np.full(n, 0.95)])
    post_hoc = np.column_stack([first, np.full(n, 0.95)])
    return pool, TabulatedEstimator(ex_ante, post_hoc, 0.0, pool.cost)


@pytest.mark.parametrize("seed", range(5))
def test_thresholds_coincide_with_optimal_cascading_under_the_stated_conditions(seed):
    pool, estimator = concentrated(seed)
    for lam in np.linspace(0.001, 0.1, 23):
        # Going on is worth 0.95 − 4 λ whatever the query; so stop exactly where the first estimate reaches that.
        threshold = 0.95 - 4 * lam
        optimal = Cascade().play(estimator, pool, lam=lam)
        simple = ThresholdCascade(ceiling=1.0).play(estimator, pool, lam=1 - threshold)
        np.testing.assert_array_equal(optimal.ran, simple.ran)
        np.testing.assert_array_equal(optimal.chosen, simple.chosen)


def test_thresholds_lose_when_the_next_model_is_known_to_fail():
    # Half the queries are hopeless for both models and known to be so; a threshold pays for them all the same.
    n = 400
    easy = np.arange(n) % 2 == 0
    first = np.where(easy, np.arange(n) % 4 == 0, False).astype(float)
    quality = np.column_stack([first, easy.astype(float)])
    pool = Outcomes(quality, np.tile([1.0, 10.0], (n, 1)))
    estimator = TabulatedEstimator(np.column_stack([np.full(n, 0.25), easy]), quality, 0.0, pool.cost)
    optimal, simple = Cascade().frontier(estimator, pool), ThresholdCascade().frontier(estimator, pool)
    assert optimal.quality_at(3.5) == pytest.approx(0.5)  # the 100 queries where the second model helps, and no other
    assert simple.quality_at(3.5) == pytest.approx(0.25 + 0.25 * (3.5 - 1) / (8.5 - 1))
    assert optimal.auc() > simple.auc() + 0.05


def test_a_threshold_cascade_is_what_it_says():
    pool, estimator = scene(50, 3, seed=9)
    for threshold in (0.2, 0.5, 0.8):
        result = ThresholdCascade(order=[1, 0, 2]).play(estimator, pool, lam=1 - threshold)
        for row in range(50):
            reached = [i for i in (1, 0, 2) if estimator.post_hoc[row, i] >= threshold]
            last = reached[0] if reached else 2
            assert result.chosen[row] == last
            assert result.order[row].tolist() == [1, 0, 2][: [1, 0, 2].index(last) + 1] + [-1] * (
                2 - [1, 0, 2].index(last)
            )


def test_a_threshold_cascade_knows_its_ceiling_or_says_that_it_does_not():
    pool, estimator = scene(50, 3, seed=9)
    tenfold = Outcomes(10 * pool.quality, pool.cost)
    tables = (10 * estimator.ex_ante, 10 * estimator.post_hoc, 10 * estimator.spread)
    known = TabulatedEstimator(*tables, estimator.cost_ex_ante, estimator.cost_post_hoc)
    with pytest.raises(
        ValueError, match=r"reaches 9\.9\d+ on these outcomes, but the highest threshold .* is 1 by default"
    ):
        ThresholdCascade().calibrate(known, tenfold, budget=1)
    small, large = ThresholdCascade().frontier(estimator, pool), ThresholdCascade(ceiling=10).frontier(known, tenfold)
    np.testing.assert_allclose(large.cost, small.cost)
    np.testing.assert_allclose(large.quality, 10 * small.quality)


@pytest.mark.parametrize("strategy", [Cascade, CascadeRouter, ThresholdCascade])
@pytest.mark.parametrize("order", [[0, 0, 1], [], [1, 2, 3], [-1]])
def test_an_order_that_names_models_twice_or_that_do_not_exist_is_refused(strategy, order):
    pool, estimator = scene(3, 3, seed=0)
    with pytest.raises(ValueError, match="order must name models by distinct positions 0 to 2"):
        strategy(order=order).play(estimator, pool, lam=0.0)


@pytest.mark.parametrize("strategy", [Cascade, CascadeRouter, ThresholdCascade])
@pytest.mark.parametrize("order", [[2, 0], [1], [0, 3, 1]])
def test_models_left_out_of_an_order_might_as_well_not_exist(strategy, order):
    pool, estimator = scene(40, 4, seed=3)
    small = pool.select([pool.models[i] for i in order])
    tables = (estimator.ex_ante, estimator.post_hoc, estimator.spread, estimator.cost_ex_ante, estimator.cost_post_hoc)
    alone = TabulatedEstimator(*(table[:, order] for table in tables))
    for lam in (0.05, 0.5, 2.0):
        part = strategy(order=order).play(estimator, pool, lam=lam)
        whole = strategy(order=range(len(order))).play(alone, small, lam=lam)
        np.testing.assert_array_equal(part.chosen, np.array(order)[whole.chosen])
        np.testing.assert_array_equal(part.ran[:, order], whole.ran)
        assert part.ran.sum() == whole.ran.sum()
    part, whole = (
        strategy(order=order).frontier(estimator, pool),
        strategy(order=range(len(order))).frontier(alone, small),
    )
    np.testing.assert_allclose(part.quality, whole.quality)


def test_a_depth_of_nothing_is_refused():
    with pytest.raises(ValueError, match="depth must be at least 1"):
        CascadeRouter(depth=0)


def test_a_new_strategy_needs_only_its_name_and_its_plans():
    class CheapestOrAll(PlanningStrategy):
        name = "cheapest or all"

        def plans(self, beliefs: Beliefs):
            everything = CascadeRouter().plans(beliefs)
            size = everything.members.sum(axis=1)
            keep = np.isin(size, [0, 1, size.max()])
            return type(everything)(everything.cost[:, keep], everything.value[:, keep], everything.members[keep])

    pool, estimator = scene(30, 3, seed=3)
    strategy = CheapestOrAll()
    assert strategy.frontier(estimator, pool).name == "cheapest or all"
    assert strategy.calibrate(estimator, pool, budget=1.0).play(pool, seed=0).cost.mean() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("strategy", [Cascade(), CascadeRouter(), ThresholdCascade()], ids=repr)
def test_step_prices_only_help_where_they_were_tuned(strategy):
    pool, estimator = scene(200, 3, seed=6)
    lam = 0.2
    tuned = strategy.with_step_prices(estimator, pool, lam=lam)
    gain = [
        r.quality.mean() - lam * r.cost.mean() for r in (s.play(estimator, pool, lam=lam) for s in (strategy, tuned))
    ]
    assert gain[1] >= gain[0] - 1e-12
    assert strategy.step_prices is None
    assert len(tuned.step_prices) == 3


def test_the_line_search_finds_the_best_price_of_a_step():
    pool, estimator = scene(60, 3, seed=8)
    lam = 0.3
    start = CascadeRouter()
    start.step_prices = (1.0, 1.0, 1.0)
    searched = _line_search(start, estimator, pool, lam, 1)
    assert searched[0] == searched[2] == 1.0

    def gain(weight):
        start.step_prices = (1.0, weight, 1.0)
        result = start.play(estimator, pool, lam=lam)
        return result.quality.mean() - lam * result.cost.mean()

    best = gain(searched[1])
    assert best == pytest.approx(max(best, *(gain(w) for w in np.geomspace(1e-3, 1e3, 300))), abs=1e-12)


@pytest.mark.parametrize("strategy", [Cascade(), CascadeRouter(), ThresholdCascade()], ids=repr)
@pytest.mark.parametrize("lam", [1e-3, 0.2, 50.0])
def test_step_prices_are_at_least_as_good_as_the_best_single_price(strategy, lam):
    """λ need be no good price: for a threshold cascade it is none at all."""
    pool, estimator = scene(200, 3, seed=6)
    curve = strategy.frontier(estimator, pool)
    for sweeps in (0, 2):
        tuned = strategy.with_step_prices(estimator, pool, lam=lam, sweeps=sweeps)
        play = tuned.play(estimator, pool, lam=lam)
        assert play.quality.mean() - lam * play.cost.mean() >= (curve.quality - lam * curve.cost).max() - 1e-9


def test_the_price_found_for_a_step_lies_inside_the_best_interval():
    # The second model is never worth its cost: every price above 0.3 / 4 stops after the first.
    pool = Outcomes([[0.6, 0.6]] * 5, [[1.0, 4.0]] * 5)
    estimator = TabulatedEstimator([[0.5, 0.9]] * 5, [[0.6, 0.9]] * 5, cost_ex_ante=pool.cost)
    tuned = Cascade().with_step_prices(estimator, pool, lam=0.01)
    assert 0.01 * tuned.step_prices[1] > 1.01 * 0.3 / 4


def test_equal_step_prices_are_one_price():
    pool, estimator = scene(40, 3, seed=8)
    weighted = CascadeRouter()
    weighted.step_prices = (2.0, 2.0, 2.0)
    for lam in (0.01, 0.1, 0.7):
        a, b = weighted.play(estimator, pool, lam=lam), CascadeRouter().play(estimator, pool, lam=2 * lam)
        np.testing.assert_array_equal(a.order, b.order)


@pytest.mark.parametrize(
    ("strategy", "text"),
    [
        (Router(), "Router()"),
        (Cascade(), "Cascade()"),
        (Cascade(order=[2, 0]), "Cascade(order=(2, 0))"),
        (ThresholdCascade(ceiling=0.0), "ThresholdCascade(ceiling=0.0)"),
        (CascadeRouter(depth=2, lookahead=1), "CascadeRouter(depth=2, lookahead=1)"),
    ],
)
def test_a_strategy_shows_the_options_that_are_not_at_their_default(strategy, text):
    assert repr(strategy) == text
    strategy.step_prices = (1.0, 2.0)
    assert repr(strategy) == text[:-1] + (", " if "=" in text else "") + "step_prices=(1.0, 2.0))"


@pytest.mark.parametrize("lookahead", [1, 2, 3])
@pytest.mark.parametrize("depth", [None, 2])
@pytest.mark.parametrize("seed", range(4))
def test_a_limited_lookahead_plans_by_definition(lookahead, depth, seed):
    pool, guess = scene(12, 4, seed)
    strategy = CascadeRouter(lookahead=lookahead, depth=depth)
    for lam in (0.02, 0.05, 0.3):  # at 0 the largest sets differ by less than what the slow truth knows
        play = strategy.play(guess, pool, lam=lam)
        for row in range(len(pool)):
            ran, chosen = slow_decisions(pool, guess, row, lam, depth=depth, lookahead=lookahead)
            assert play.order[row].tolist() == ran + [-1] * (4 - len(ran))
            assert play.chosen[row] == chosen


def test_looking_ahead_beyond_the_depth_changes_nothing():
    pool, guess = scene(60, 4, seed=3)
    plain, ahead = (CascadeRouter(depth=2, lookahead=a).frontier(guess, pool) for a in (None, 2))
    assert (plain.cost.tolist(), plain.quality.tolist()) == (ahead.cost.tolist(), ahead.quality.tolist())
    greedy = CascadeRouter(depth=2, lookahead=1).frontier(guess, pool)
    assert greedy.quality.tolist() != plain.quality.tolist()


def test_users_of_a_threshold_cascade_meet_its_threshold():
    pool, guess = scene(50, 3, seed=2)
    rule = ThresholdCascade(ceiling=0.9)
    for threshold in (0.9, 0.6, 0.0, -0.5):
        play = rule.play(guess, pool, lam=rule.lam_at(threshold))
        assert rule.parameters(rule.lam_at(threshold)) == {"threshold": pytest.approx(threshold)}
        for row in range(len(pool)):
            stops = [*(guess.post_hoc[row, :2] >= threshold), True]
            assert play.ran[row].sum() == 1 + stops.index(True)
    for wrong in (0.91, float("nan")):
        with pytest.raises(ValueError, match="threshold must lie between -inf and 0.9"):
            rule.lam_at(wrong)
    policy = rule.calibrate(guess, pool, budget=pool.cost[:, 0].mean() * 1.5)
    assert policy.to_dict()["threshold"] == 0.9 - policy.lam
    assert f"threshold={0.9 - policy.lam:.4g}" in repr(policy)
    assert "lam" not in policy.to_dict()
