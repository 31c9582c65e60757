import numpy as np
import pytest

from cascade_lib import Outcomes, TabulatedEstimator

POOL = Outcomes([[0, 1], [1, 1], [1, 0]], [[1, 5], [1, 6], [1, 7]])
BEFORE = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])


def test_tables_are_looked_up_by_row_and_by_what_has_run():
    estimator = TabulatedEstimator(BEFORE, BEFORE + 1, [0.5, 0.25], BEFORE * 10, BEFORE * 20)
    first = estimator.beliefs(POOL, np.array([False, False]), np.array([2, 0]))
    np.testing.assert_array_equal(first.mean, BEFORE[[2, 0]])
    np.testing.assert_array_equal(first.spread, [[0.5, 0.25]] * 2)
    np.testing.assert_array_equal(first.cost, 10 * BEFORE[[2, 0]])
    later = estimator.beliefs(POOL, np.array([False, True]), np.array([2, 0]))
    np.testing.assert_array_equal(later.mean, [[0.5, 1.6], [0.1, 1.2]])
    np.testing.assert_array_equal(later.spread, [[0.5, 0.0]] * 2)
    np.testing.assert_array_equal(later.cost, 20 * BEFORE[[2, 0]])


def test_without_post_hoc_tables_running_a_model_teaches_nothing():
    estimator = TabulatedEstimator(BEFORE, cost_ex_ante=BEFORE)
    later = estimator.beliefs(POOL, np.array([True, True]))
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
        TabulatedEstimator(BEFORE, cost_ex_ante=BEFORE).beliefs(POOL.take([0, 1]), np.array([False, False]))
