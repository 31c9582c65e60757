"""Figures in the book's style. Every strategy has one colour and one line style everywhere, readable in greyscale.

Functions take an optional `ax` and return the axes they drew on; none of them shows or saves anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox, BboxBase

from .estimators.diagnostics import Diagnosis, bins
from .evaluation.baselines import single_models
from .evaluation.frontier import Frontier
from .evaluation.simulate import Play
from .outcomes import Outcomes
from .strategies.base import registered
from .theory import envelope

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

# Okabe and Ito's palette, which colour-blind readers can tell apart; the line styles serve greyscale.
_PALETTE = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#000000"]
# The first of it that no strategy of this library has.
_SPARE = _PALETTE.index("#56b4e9")

STYLE: dict[RcKeyType, Any] = {
    "figure.figsize": (6.0, 3.6),
    "figure.dpi": 100,
    "savefig.dpi": 150,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=_PALETTE),
    "lines.linewidth": 1.8,
    "legend.frameon": False,
}


def __getattr__(name: str) -> dict[str, dict[str, Any]]:
    """Return `LINES`: the colour and dashes of every strategy by its name, and of the two curves that frame all."""
    if name != "LINES":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    lines: dict[str, Any] = {"single models": {"color": "#7f7f7f", "linestyle": (0, (1, 1.5))}}
    for kind in registered().values():
        # A class derived from another with a name of its own is another strategy.
        lines.setdefault(kind.name, vars(kind).get("line"))
    lines["omniscient"] = {"color": "#000000", "linestyle": (0, (4, 3))}
    for number, strategy in enumerate([strategy for strategy, line in lines.items() if line is None]):
        lines[strategy] = _spare(number)
    return lines


def _spare(number: int) -> dict[str, object]:
    """Return the line of a strategy that has none: dashes with so many dots between them as no other has."""
    dots = (1, 1.5) * (number + 3)
    return {"color": _PALETTE[(_SPARE + number) % len(_PALETTE)], "linestyle": (0, (7, 1.5, *dots))}


def plane(outcomes: Outcomes, *, ax: Axes | None = None) -> Axes:
    """Draw the models of a pool in the plane of mean cost and mean quality, with 95% intervals and their hull.

    Parameters
    ----------
    outcomes : Outcomes
        The pool. Intervals are ± 1.96 standard errors of the mean over its queries.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Default: new axes.

    Examples
    --------
    >>> ax = plane(Outcomes([[0, 1], [1, 1]], [[1, 5], [1, 7]], models=["small", "large"], cost_unit="tokens"))
    >>> ax.get_xlabel()
    'mean cost per query (tokens)'
    """
    ax = _axes(ax)
    cost, quality = outcomes.cost.mean(axis=0), outcomes.quality.mean(axis=0)
    margin = 1.96 * outcomes.quality.std(axis=0) / np.sqrt(len(outcomes))
    frontiers([single_models(outcomes, name="hull of the single models")], ax=ax, color="#7f7f7f", linestyle=":")
    ax.errorbar(cost, quality, yerr=margin, fmt="o", color="#0072b2", ecolor="#9ab8cc", capsize=2, zorder=3)
    on_hull = envelope.hull(cost, quality)
    for i, name in enumerate(outcomes.models):
        side = 1 if i in on_hull else -1
        point, va = (cost[i], quality[i] + side * margin[i]), "bottom" if side > 0 else "top"
        ax.annotate(name, point, xytext=(0, 3 * side), textcoords="offset points", fontsize=9, ha="center", va=va)
    ax.margins(y=0.12)
    return ax


def frontiers(curves: Sequence[Frontier], *, ax: Axes | None = None, **line: Any) -> Axes:
    """Draw cost–quality curves of strategies that were played on the same outcomes.

    Parameters
    ----------
    curves : sequence of Frontier
        The curves; each is drawn in the style of its name in `LINES`, and flat from its end to the most expensive
        model.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Default: new axes.
    **line
        Options for ``Axes.plot`` that override the style.

    Raises
    ------
    ValueError
        If there is no curve.

    Examples
    --------
    >>> ax = frontiers([single_models(Outcomes([[0, 1]], [[1, 5]]))])
    >>> ax.get_ylabel()
    'mean quality'
    """
    if not len(curves):
        raise ValueError("there is no curve to draw: give at least one.")
    ax, lines = _axes(ax), __getattr__("LINES")
    for curve in curves:
        start = int(curve.cost.argmin())  # no budget buys the points before the cheapest
        end = max(curve.budget[-1], curve.outcomes.cost.mean(axis=0).max())
        points = np.append(curve.budget[start:], end), np.append(curve.quality[start:], curve.quality[-1])
        ax.plot(*points, **{"label": curve.name, **lines.get(curve.name, {}), **line})
    ax.set(xlabel=cost_label("mean cost per query", curves[0].outcomes), ylabel="mean quality")
    ax.legend(loc="lower right")
    return ax


def saving(curves: Sequence[Frontier], chosen: str, model: str | None = None, *, ax: Axes | None = None) -> Axes:
    """Draw cost–quality curves up to the most expensive useful model, with one curve brought out and all models named.

    Parameters
    ----------
    curves : sequence of Frontier
        The curves.
    chosen : str
        The name of the curve to bring out.
    model : str, optional
        A single model: an arrow leads from it to the point of the chosen curve that has the same quality. Default: no
        arrow.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Default: new axes.

    Examples
    --------
    >>> from cascade_lib import omniscient
    >>> pool = Outcomes([[0, 1], [1, 1]], [[1, 5], [1, 7]], models=["small", "large"])
    >>> ax = saving([single_models(pool), omniscient(pool)], "omniscient", "large")
    >>> [text.get_text() for text in ax.texts if text.get_text()]
    ['same quality, 50% less', 'large', 'small']
    """
    ax, pool = _axes(ax), curves[0].outcomes
    for curve in curves:
        look = {"linewidth": 3.5, "linestyle": "-", "zorder": 2.5} if curve.name == chosen else {"linewidth": 1.2}
        frontiers([curve], ax=ax, **look)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, fontsize=9)
    cost, quality = pool.summary["cost"], pool.summary["quality"]
    useful = [*(pool.models[i] for i in envelope.hull(cost, quality)), *([] if model is None else [model])]
    limit = cost[useful].max()
    shown = pool.summary[cost <= limit]
    ax.plot(shown["cost"], shown["quality"], "o", color="black", markersize=6, zorder=4)
    margin = 0.04 * (limit - cost.min() or limit or 1)
    ax.set_xlim(cost.min() - margin, limit + 1.5 * margin)
    ax.margins(y=0.1)
    if pool.quality.min() >= 0 and pool.quality.max() <= 1:
        ax.yaxis.set_major_formatter(lambda height, _: f"{100 * height:.4g}%")
    said: list[BboxBase] = []
    if model is not None:
        curve = next(curve for curve in curves if curve.name == chosen)
        said.append(_draw_saving(ax, curve, cost[model], quality[model]).get_window_extent())
    _write_names(ax, shown.sort_values("cost"), said)
    return ax


def _draw_saving(ax: Axes, curve: Frontier, cost: float, quality: float) -> Annotation:
    """Draw an arrow from a model's point to that of the same quality on a curve, and say what it saves."""
    end = curve.cost_at(quality - 1e-12)
    look = {"arrowstyle": "-|>", "linewidth": 2, "color": "black", "shrinkA": 7, "shrinkB": 7}
    ax.annotate("", (end, quality), (cost, quality), arrowprops=look, zorder=5)
    ax.plot([cost, end], [quality] * 2, "D", color="white", markeredgecolor="black", markersize=9, mew=2, zorder=6)
    return _write(ax, f"same quality, {1 - end / cost:.0%} less", ((cost + end) / 2, quality), (0, -15), "center")


def _write_names(ax: Axes, models: pd.DataFrame, taken: list[BboxBase]) -> None:
    """Name points, each at the first of some places that is inside the figure and not taken."""
    places = [(x, y, side) for y in (-13, -25, 6, -37) for x, side in ((5, "left"), (-5, "right"))]
    points = ax.transData.transform(models[["cost", "quality"]])
    taken = [*taken, *(Bbox.from_extents(*(point - 4), *(point + 4)) for point in points)]
    for name, (quality, cost) in models[::-1].iterrows():
        tried = [_write(ax, str(name), (cost, quality), (x, y), side) for x, y, side in places]
        boxes = [words.get_window_extent() for words in tried]
        free = [ax.bbox.x0 < box.x0 and box.x1 < ax.bbox.x1 and not box.count_overlaps(taken) for box in boxes]
        best = int(np.argmax(free))
        taken.append(boxes[best])
        for words in tried[:best] + tried[best + 1 :]:
            words.remove()


def _write(ax: Axes, text: str, point: tuple[float, float], offset: tuple[int, int], side: str) -> Annotation:
    """Write some words beside a point, readable on top of lines."""
    words = ax.annotate(text, point, offset, textcoords="offset points", ha=side, fontsize=8.5, zorder=7)
    words.set_path_effects([withStroke(linewidth=3, foreground="white")])
    return words


def usage(play: Play, *, ax: Axes | None = None) -> Axes:
    """Draw the share of queries on which each model ran and on which its answer was kept.

    Examples
    --------
    >>> from cascade_lib import Router, TabulatedEstimator
    >>> pool = Outcomes([[0, 1]], [[1, 5]], models=["small", "large"])
    >>> ax = usage(Router().play(TabulatedEstimator(pool.quality, cost_ex_ante=pool.cost), pool, lam=0))
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['small', 'large']
    """
    ax = _axes(ax)
    models = play.outcomes.models
    at = np.arange(len(models))
    kept = np.bincount(play.chosen, minlength=len(models)) / len(play.chosen)
    ax.barh(at, play.ran.mean(axis=0), color="#c6dbe8", edgecolor="#0072b2", label="ran")
    ax.barh(at, kept, height=0.4, color="#0072b2", label="answer kept")
    ax.set(yticks=at, yticklabels=models, xlim=(0, 1), xlabel="share of queries")
    ax.invert_yaxis()
    ax.legend(loc="lower right")
    return ax


def reliability(diagnosis: Diagnosis, *, axes: Sequence[Axes] | None = None) -> Sequence[Axes]:
    """Draw, for every model, mean quality against estimate in ten bins of equally many queries, with 95% intervals.

    Parameters
    ----------
    diagnosis : Diagnosis
        The estimates, before and after each model's own call.
    axes : sequence of matplotlib.axes.Axes, optional
        Where to draw, one for each model. Default: a new row or grid of them.

    Returns
    -------
    sequence of matplotlib.axes.Axes

    Examples
    --------
    >>> from cascade_lib import NoisyEstimator, diagnose
    >>> pool = Outcomes([[0], [1]] * 50, [[1]] * 100, models=["small"])
    >>> reliability(diagnose(NoisyEstimator().fit(pool), pool))[0].get_title(loc="left")
    'small'
    """
    moments = {
        "before the call": (diagnosis.before, {"color": "#0072b2", "fmt": "o", "mfc": "white"}),
        "after the call": (diagnosis.after, {"color": "#d55e00", "fmt": "s"}),
    }
    axes = _grid(diagnosis.outcomes.models, axes)
    for i, ax in enumerate(axes):
        for label, (estimate, look) in moments.items():
            _binned(ax, estimate[:, i], diagnosis.outcomes.quality[:, i], label=label, **look)
    axes = _diagonal(axes, "estimate", "mean quality")
    axes[0].legend(loc="lower right", fontsize=8)
    return axes


def revisions(diagnosis: Diagnosis, *, axes: Sequence[Axes] | None = None) -> Sequence[Axes]:
    """Draw, for every model, the mean estimate after its call against the one before, with the least-squares line.

    Coherent estimates lie on the diagonal: what is thought after the call is on average what was thought before.

    Parameters
    ----------
    diagnosis : Diagnosis
        The estimates, before and after each model's own call.
    axes : sequence of matplotlib.axes.Axes, optional
        Where to draw, one for each model. Default: a new row or grid of them.

    Returns
    -------
    sequence of matplotlib.axes.Axes

    Examples
    --------
    >>> from cascade_lib import NoisyEstimator, diagnose
    >>> pool = Outcomes([[0], [1]] * 50, [[1]] * 100, models=["small"])
    >>> revisions(diagnose(NoisyEstimator().fit(pool), pool))[0].get_xlabel()
    'estimate before the call'
    """
    axes = _grid(diagnosis.outcomes.models, axes)
    for i, ax in enumerate(axes):
        before, line = diagnosis.before[:, i], diagnosis.coherence.iloc[i]
        _binned(ax, before, diagnosis.after[:, i], label="mean in ten bins", color="#0072b2", fmt="o")
        ends = np.array([before.min(), before.max()])
        if np.isfinite(line["slope"]):
            label = f"slope {line['slope']:.2f} [{line['low']:.2f}, {line['high']:.2f}]"
            ax.plot(ends, line["intercept"] + line["slope"] * ends, color="#d55e00", label=label)
    axes = _diagonal(axes, "estimate before the call", "mean estimate after it")
    for ax in axes:
        ax.legend(loc="upper left", fontsize=8)
    return axes


def _grid(models: Sequence[str], axes: Sequence[Axes] | None) -> Sequence[Axes]:
    """Return one titled axes per model, three in a row, sharing their scales."""
    if axes is None:
        columns = min(3, len(models))
        rows = -(-len(models) // columns)
        size = (max(2.4 * columns, 3.6), 2.5 * rows + 0.3)
        _, grid = plt.subplots(rows, columns, figsize=size, sharex=True, sharey=True, squeeze=False)
        for ax in grid.ravel()[len(models) :]:
            ax.remove()
        axes = grid.ravel()[: len(models)].tolist()
    for ax, model in zip(axes, models, strict=True):
        ax.set_title(model, loc="left")
    return axes


def _binned(ax: Axes, x: np.ndarray, y: np.ndarray, **look: Any) -> None:
    """Draw the means of y over bins of x with equally many points, with ± 1.96 standard errors."""
    parts = bins(x)
    error = [1.96 * y[part].std() / np.sqrt(len(part)) for part in parts]
    at = [x[part].mean() for part in parts], [y[part].mean() for part in parts]
    ax.errorbar(*at, yerr=error, markersize=4, linewidth=0, elinewidth=1, capsize=1.5, **look)


def _diagonal(axes: Sequence[Axes], xlabel: str, ylabel: str) -> Sequence[Axes]:
    """Add the diagonal to every panel, and labels at the edges of the grid."""
    for ax in axes:
        ax.axline((0, 0), slope=1, color="#7f7f7f", linestyle=":", linewidth=1.2)
        place = ax.get_subplotspec()
        last_row, first_column = place is None or place.is_last_row(), place is None or place.is_first_col()
        ax.set(xlabel=xlabel if last_row else "", ylabel=ylabel if first_column else "")
    return axes


def cost_label(text: str, outcomes: Outcomes) -> str:
    """Return `text` with the unit of cost, for an axis.

    Examples
    --------
    >>> cost_label("budget", Outcomes([[1]], [[1]], cost_unit="USD"))
    'budget (USD)'
    """
    return f"{text} ({outcomes.cost_unit})" if outcomes.cost_unit else text


def _axes(ax: Axes | None) -> Axes:
    return plt.subplots()[1] if ax is None else ax
