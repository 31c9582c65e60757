"""Explorers: a figure with a slider that moves in the built page, without a kernel and without a network.

All frames are drawn beforehand and put into a stack of images; slider and stack are linked in the browser. That costs
some kilobytes a frame and nothing else, so an explorer never waits, and looks the same for every reader.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import ipywidgets as widgets
import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

MOST_FRAMES = 250
"""The page budget: more frames would make a page slow to load."""

_COLOURS = 48
_DPI = 110


def explorer(
    draw: Callable[[object], Figure],
    values: Sequence[object],
    *,
    label: str,
    alt: str,
    unit: str = "",
    start: int = 0,
) -> widgets.VBox:
    """Return a figure with a slider that runs through `values`.

    Parameters
    ----------
    draw : callable
        Takes one of the values and returns a new matplotlib figure. All figures must have the same size.
    values : sequence
        What the slider runs through, at most 250 values; shown beside the slider with three significant digits.
    label : str
        What the slider sets, e.g. ``"price λ"``.
    alt : str
        What the figure shows and what moving the slider changes, in words, for readers who cannot see it.
    unit : str
        The unit of the values, shown beside them.
    start : int
        Position of the value shown first.

    Returns
    -------
    ipywidgets.VBox
        The slider, which takes the arrow keys once it has the focus, the figure, and the text.

    Raises
    ------
    ValueError
        If there are no values, or more frames than the page budget allows.

    Examples
    --------
    >>> def line(slope):
    ...     figure, ax = plt.subplots()
    ...     ax.axline((0, 0), slope=slope)
    ...     return figure
    >>> len(explorer(line, [0.5, 1.0, 2.0], label="slope", alt="A line; the slider turns it.").children)
    3
    """
    values = list(values)
    if not values:
        raise ValueError("values is empty: an explorer needs at least one frame.")
    if len(values) > MOST_FRAMES:
        raise ValueError(f"values has {len(values)} entries; a page holds {MOST_FRAMES} frames: take coarser steps.")
    frames = [_frame(draw(value)) for value in values]
    layout = widgets.Layout(width="100%", max_width="720px")
    stack = widgets.Stack([widgets.Image(value=png, format="png", layout=layout) for png in frames], layout=layout)
    stack.selected_index = start
    options = [(f"{_shown(value)} {unit}".rstrip(), place) for place, value in enumerate(values)]
    slider = widgets.SelectionSlider(
        options=options,
        index=start,
        description=label,
        layout=widgets.Layout(width="100%", max_width="560px"),
        style={"description_width": "initial"},
        continuous_update=True,
    )
    widgets.jslink((slider, "index"), (stack, "selected_index"))
    words = widgets.HTML(f"<p class='cascade-explorer-text'>{alt}</p>")
    box = widgets.VBox([slider, stack, words], layout=widgets.Layout(width="100%"))
    box.add_class("cascade-explorer")
    return box


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _frame(figure: Figure) -> bytes:
    """Return a figure as a small PNG with few colours, and close it."""
    raw, small = io.BytesIO(), io.BytesIO()
    figure.savefig(raw, format="png", dpi=_DPI)
    plt.close(figure)
    image = Image.open(raw).convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
    image.save(small, format="png", optimize=True)
    return small.getvalue()
