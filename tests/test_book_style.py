"""The style of the book's figures, and the tangent that only the book draws."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from cascade_book import tangent, use_style
from cascade_lib import plots
from truths import scene


@pytest.mark.parametrize("lam", [0.0, 0.05, 0.2, 3.0])
def test_the_tangent_touches_the_best_plan_and_no_plan_lies_above_it(lam):
    cost, value = np.random.default_rng(2).random((2, 12)) * [[5], [1]]
    ax = tangent(cost, value, lam, names=[f"plan {i}" for i in range(12)])
    best = int(ax.get_title(loc="left").rsplit(" ", 1)[1])
    assert ax.lines[-1].get_slope() == lam
    assert ax.lines[-1].get_xy1() == (cost[best], value[best])
    assert (value <= value[best] + lam * (cost - cost[best]) + 1e-12).all()
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), np.column_stack([cost, value]))
    np.testing.assert_array_equal(ax.collections[1].get_offsets(), [[cost[best], value[best]]])


def test_only_use_style_changes_settings_and_only_those_of_the_style():
    before = dict(plt.rcParams)
    plots.plane(scene(40, 4, seed=9)[0])
    assert dict(plt.rcParams) == before
    with plt.rc_context():
        use_style()
        changed = {name for name, value in plt.rcParams.items() if value != before[name]}
    assert {"figure.figsize", "axes.prop_cycle", "axes.spines.top"} <= changed <= set(plots.STYLE)
