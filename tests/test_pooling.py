"""Pooled curves are the curves of all queries, at every price that is kept."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade_lib import CascadeRouter, Outcomes, Router, TabulatedEstimator, merge_frontiers, omniscient, single_models


def scene(n, seed):
    rng = np.random.default_rng(seed)
    pool = Outcomes(rng.integers(0, 2, (n, 3)), rng.random((n, 3)), cost_unit="USD")
    return pool, TabulatedEstimator(rng.random((n, 3)), rng.random((n, 3)), 0.2, pool.cost)


def parts(pool, guess, cuts):
    for rows in np.split(np.arange(len(pool)), cuts):
        tables = (guess.ex_ante, guess.post_hoc, guess.spread, guess.cost_ex_ante, guess.cost_post_hoc)
        yield TabulatedEstimator(*(table[rows] for table in tables)), pool.take(rows)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(1, 59), min_size=1, max_size=5, unique=True), st.integers(2, 50))
def test_every_point_is_a_play_on_all_queries(seed, cuts, points):
    pool, guess = scene(60, seed)
    for strategy in (Router(), CascadeRouter()):
        pooled = merge_frontiers((strategy.frontier(*part) for part in parts(pool, guess, sorted(cuts))), points=points)
        assert len(pooled.lam) <= points
        assert pooled.lam[-1] == 0
        assert pooled.lam[0] == max(strategy.frontier(*part).lam[0] for part in parts(pool, guess, sorted(cuts)))
        for j in {0, len(pooled.lam) // 2, len(pooled.lam) - 1}:
            play = strategy.play(guess, pool, lam=pooled.lam[j])
            assert pooled.cost[j] == pytest.approx(play.cost.mean(), abs=1e-12)
            assert pooled.quality[j] == pytest.approx(play.quality.mean(), abs=1e-12)
        np.testing.assert_allclose(pooled.outcomes.cost.mean(axis=0), pool.cost.mean(axis=0))
        np.testing.assert_allclose(pooled.outcomes.quality.mean(axis=0), pool.quality.mean(axis=0))


def test_one_chunk_is_its_own_curve():
    pool, guess = scene(200, 1)
    whole = CascadeRouter().frontier(guess, pool)
    pooled = merge_frontiers([whole], points=10**6)
    np.testing.assert_array_equal(pooled.lam, whole.lam)
    np.testing.assert_allclose(pooled.quality, whole.quality)
    assert pooled.auc() == pytest.approx(whole.auc(), abs=1e-12)


def test_many_chunks_come_close_to_the_exact_area_and_know_their_error():
    pool, guess = scene(4000, 2)
    whole = Router().frontier(guess, pool)
    pooled = merge_frontiers(Router().frontier(*part) for part in parts(pool, guess, np.arange(200, 4000, 200)))
    assert pooled.auc() == pytest.approx(whole.auc(), abs=2e-3)
    assert pooled.bootstrap(200).std() == pytest.approx(whole.bootstrap(200).std(), rel=0.5)


def test_curves_that_do_not_belong_together_are_refused():
    pool, _ = scene(10, 0)
    with pytest.raises(ValueError, match="there is no curve to pool"):
        merge_frontiers([])
    with pytest.raises(ValueError, match="curve 1 is of"):
        merge_frontiers([omniscient(pool), single_models(pool)])
    with pytest.raises(ValueError, match="points must lie between 2"):
        merge_frontiers([omniscient(pool)], points=1)


def test_a_first_chunk_that_is_easy_hides_nothing():
    easy = Outcomes([[1, 1]], [[3, 3]])
    hard = Outcomes([[0, 1]], [[1, 5]])
    pooled = merge_frontiers([omniscient(easy), omniscient(hard)])
    assert pooled.cost.tolist() == [2, 4]
    assert pooled.quality.tolist() == [0.5, 1]
