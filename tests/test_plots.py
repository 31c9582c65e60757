import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import same_color

from cascade_lib import Cascade, Outcomes, Router, TabulatedEstimator, omniscient, plots, single_models
from truths import STRATEGIES, scene

POOL, ESTIMATOR = scene(40, 4, seed=9)


def test_the_plane_has_one_marker_and_one_name_per_model():
    ax = plots.plane(POOL)
    cost, quality = POOL.cost.mean(axis=0), POOL.quality.mean(axis=0)
    ((markers, _, (intervals,)),) = ax.containers
    np.testing.assert_array_equal(markers.get_xydata(), np.column_stack([cost, quality]))
    half = 1.96 * POOL.quality.std(axis=0) / np.sqrt(40)
    ends = np.array([segment[:, 1] for segment in intervals.get_segments()])
    np.testing.assert_allclose(ends, np.column_stack([quality - half, quality + half]), rtol=0, atol=1e-12)
    assert [text.get_text() for text in ax.texts] == list(POOL.models)
    place = np.array([text.xy for text in ax.texts])
    np.testing.assert_array_equal(place[:, 0], cost)
    assert (np.abs(place[:, 1] - quality) <= half + 1e-12).all()


def test_curves_are_drawn_in_the_style_of_their_name_and_flat_to_the_dearest_model():
    curves = [single_models(POOL), omniscient(POOL), *(s.frontier(ESTIMATOR, POOL) for s in STRATEGIES)]
    ax = plots.frontiers(curves)
    for line, curve in zip(ax.lines, curves, strict=True):
        style = plots.LINES[curve.name]
        assert line.get_label() == curve.name
        assert same_color(line.get_color(), style["color"])
        assert line._dash_pattern == plt.Line2D([], [], **style)._dash_pattern
        *points, end = line.get_xydata().tolist()
        assert points == np.column_stack([curve.budget, curve.quality])[curve.cost.argmin() :].tolist()
        assert end == [max(curve.budget[-1], POOL.cost.mean(axis=0).max()), curve.quality[-1]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [curve.name for curve in curves]


def test_a_saving_is_an_arrow_to_the_same_quality_on_the_thick_curve():
    pool = Outcomes(
        [[0, 1, 1, 0], [0, 0, 1, 1]] * 20, [[0, 2, 6, 50]] * 40, ["free", "small", "large", "useless"], cost_unit="USD"
    )
    curves = [single_models(pool), omniscient(pool)]
    ax = plots.saving(curves, "omniscient", "large")
    (arrow,) = (text for text in ax.texts if not text.get_text())
    np.testing.assert_allclose([arrow.xyann, arrow.xy], [(6, 1), (omniscient(pool).cost_at(1), 1)], rtol=1e-9)
    assert {text.get_text() for text in ax.texts} == {"", "same quality, 33% less", "free", "small", "large"}
    assert max(line.get_linewidth() for line in ax.lines if line.get_label() == "omniscient") > 3
    assert ax.get_xlim()[0] <= 0
    assert 6 < ax.get_xlim()[1] < 8
    assert not any("less" in text.get_text() for text in plots.saving(curves, "omniscient").texts)


def test_names_of_models_lie_inside_and_not_on_each_other():
    pool = Outcomes(np.tile([0.5, 0.51, 0.52, 0.9], (20, 1)), np.tile([0.0, 1.0, 2.0, 40.0], (20, 1)))
    ax = plots.saving([single_models(pool)], "single models")
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
    assert all(ax.bbox.x0 < box.x0 and box.x1 < ax.bbox.x1 for box in boxes)


def test_what_no_budget_buys_is_not_drawn():
    pool = Outcomes([[0.2, 0.6]], [[0.0, 4.0]])
    curve = Router().frontier(TabulatedEstimator([[0.9, 0.1]], cost_ex_ante=[[1.0, 0.0]]), pool)
    assert curve.cost.tolist() == [4.0, 0.0]
    assert plots.frontiers([curve]).lines[0].get_xydata().tolist() == [[0.0, 0.2], [4.0, 0.2]]


def test_no_curve_is_refused():
    with pytest.raises(ValueError, match="there is no curve to draw"):
        plots.frontiers([])


def test_options_override_the_style_and_given_axes_are_used():
    ax = plt.subplots()[1]
    assert plots.frontiers([single_models(POOL)], ax=ax, color="red", linestyle="--", label="mine") is ax
    assert [(line.get_color(), line.get_linestyle(), line.get_label()) for line in ax.lines] == [("red", "--", "mine")]


def test_bars_show_how_often_models_ran_and_answered():
    play = Cascade().play(ESTIMATOR, POOL, lam=0.1)
    ran, kept = plots.usage(play).containers
    assert [bar.get_width() for bar in ran] == [play.ran[:, i].mean() for i in range(4)]
    assert [bar.get_width() for bar in kept] == [(play.chosen == i).mean() for i in range(4)]
    assert sum(bar.get_width() for bar in ran) > sum(bar.get_width() for bar in kept) == pytest.approx(1)


def test_every_strategy_has_a_line_of_its_own_in_greyscale():
    assert {single_models(POOL).name, omniscient(POOL).name, *(s.name for s in STRATEGIES)} <= set(plots.LINES)
    assert len({str(style["linestyle"]) for style in plots.LINES.values()}) == len(plots.LINES)
