import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cascade_lib.theory.envelope import hull, segments
from truths import pools


@given(pools(), st.floats(1e-3, 50))
def test_the_plan_at_a_price_maximises_value_minus_price_times_cost(pool, lam):
    segs = segments(pool.cost, pool.quality)
    rows = np.arange(len(pool))
    for dear in (False, True):
        plan = segs.at(lam, np.full(len(pool), dear))
        chosen = pool.quality[rows, plan] - lam * pool.cost[rows, plan]
        best = (pool.quality - lam * pool.cost).max(axis=1)
        np.testing.assert_allclose(chosen, best, rtol=0, atol=1e-12 * (1 + lam))


@given(pools())
def test_segments_tile_the_axis_and_climb(pool):
    segs = segments(pool.cost, pool.quality)
    for row in range(len(pool)):
        mine = segs.row == row
        high, low, plan = segs.high[mine], segs.low[mine], segs.index[mine]
        assert high[0] == np.inf
        assert low[-1] == 0
        assert (high[1:] == low[:-1]).all()
        assert (high >= low).all()
        assert (np.diff(pool.cost[row, plan]) > 0).all()
        assert (np.diff(pool.quality[row, plan]) > 0).all()


def test_rounding_turns_no_segment_around():
    # Points on one line: the slope from the second to the third may exceed that from the first by an ulp.
    for seed in range(200):
        rng = np.random.default_rng(seed)
        cost = np.unique(rng.integers(1, 50, 8) / 10)[None]
        segs = segments(cost, rng.random() * cost)
        assert (segs.low <= segs.high).all()


@given(pools())
def test_ties_go_to_the_cheap_or_the_dear_end_of_an_edge(pool):
    segs = segments(pool.cost, pool.quality)
    rows = np.arange(len(pool))
    for lam in segs.low[segs.low > 0]:
        cheap = segs.at(lam, np.zeros(len(pool), dtype=bool))
        dear = segs.at(lam, np.ones(len(pool), dtype=bool))
        score = pool.quality - lam * pool.cost
        for row in rows:
            tied = np.abs(score[row] - score[row].max()) <= 1e-12
            assert pool.cost[row, cheap[row]] <= pool.cost[row, tied].min() + 1e-12
            assert pool.cost[row, dear[row]] >= pool.cost[row, tied].max() - 1e-12


def test_infinite_price_takes_the_cheapest_and_zero_price_the_cheapest_of_the_best():
    segs = segments([[2.0, 1.0, 1.0, 3.0, 4.0]], [[0.5, 0.1, 0.2, 0.9, 0.9]])
    cheap, dear = np.array([False]), np.array([True])
    assert segs.at(np.inf, cheap) == segs.at(np.inf, dear) == 2
    assert segs.at(0.0, cheap) == segs.at(0.0, dear) == 3


def test_a_point_on_an_edge_is_skipped_and_an_absent_plan_ignored():
    segs = segments([[0.0, 1.0, 2.0, 0.5]], [[0.0, 0.5, 1.0, -np.inf]])
    assert segs.index.tolist() == [0, 2]
    assert segs.low.tolist() == [0.5, 0.0]


def test_a_rise_over_a_denormal_cost_has_an_infinite_price():
    segs = segments([[0.0, 5e-324, 1.0]], [[0.0, 0.5, 1.0]])
    assert segs.at(1e300, np.array([False])) == 1
    assert segs.at(0.1, np.array([False])) == 2


def test_rows_without_plans_and_unequal_shapes_are_refused():
    with pytest.raises(ValueError, match="row 1 has no plan of finite value"):
        segments([[0.0], [0.0]], [[1.0], [-np.inf]])
    with pytest.raises(ValueError, match="one common shape"):
        segments([[0.0]], [[1.0, 2.0]])


@given(pools(max_queries=1))
def test_the_hull_lies_above_every_model(pool):
    cost, quality = pool.cost[0], pool.quality[0]
    on = hull(cost, quality)
    assert (np.interp(cost, cost[on], quality[on]) >= quality - 1e-12).all()
