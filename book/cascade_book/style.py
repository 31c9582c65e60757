"""The style of the book's figures, and the one figure that only the book draws."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from IPython import get_ipython
from matplotlib.axes import Axes
from matplotlib_inline.backend_inline import set_matplotlib_formats
from numpy.typing import ArrayLike

from cascade_lib.plots import STYLE
from cascade_lib.theory import segments


def use_style() -> None:
    """Draw all figures from now on in the book's style, in a notebook with twice as many pixels as they are wide.

    Examples
    --------
    >>> use_style()
    >>> plt.rcParams["axes.spines.top"]
    False
    """
    plt.rcParams.update(STYLE)
    if get_ipython() is not None:
        set_matplotlib_formats("retina")


def tangent(cost: ArrayLike, value: ArrayLike, lam: float, *, names: Sequence[str], ax: Axes | None = None) -> Axes:
    r"""Draw one query's plans, their upper envelope, and the line of slope λ that touches it at the best plan.

    Parameters
    ----------
    cost, value : array_like, shape (p,)
        The plans as points.
    lam : float
        The price: the slope of the tangent, finite.
    names : sequence of p str
        What to write beside the points.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Default: new axes.

    Examples
    --------
    >>> ax = tangent([1, 5], [0.4, 0.9], 0.05, names=["small", "large"])
    >>> ax.get_title(loc="left")
    'λ = 0.05: large'
    """
    ax = plt.subplots()[1] if ax is None else ax
    cost, value = np.asarray(cost, dtype=float), np.asarray(value, dtype=float)
    segs = segments(cost[None], value[None])
    best = int(segs.at(lam, np.array([False]))[0])
    ax.plot(cost[segs.index], value[segs.index], color="#7f7f7f", linestyle=":", zorder=1)
    ax.scatter(cost, value, color="#0072b2", zorder=3)
    ax.scatter(cost[best], value[best], s=130, facecolor="none", edgecolor="#d55e00", linewidth=2, zorder=4)
    for i, name in enumerate(names):
        drop = -12 if i in segs.index else -20  # so that two plans at nearly the same point do not share their label
        ax.annotate(name, (cost[i], value[i]), xytext=(6, drop), textcoords="offset points", fontsize=9)
    ax.axline((cost[best], value[best]), slope=lam, color="#d55e00", linewidth=1.2, zorder=2)
    ax.set_title(f"λ = {lam:.3g}: {names[best]}", loc="left")
    return ax
