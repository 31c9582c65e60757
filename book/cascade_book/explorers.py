"""Explorers: a figure with one or two sliders that move in the built page, without a kernel and without a network.

All frames are drawn beforehand and put into a stack of images; slider and stack are linked in the browser. That costs
some kilobytes a frame and nothing else, so an explorer never waits, and looks the same for every reader. With two
sliders there is a stack of stacks: the first slider picks a row of frames, the second a frame in every row.

Where a kernel runs, a button swaps the stack for a figure that is drawn anew at finer steps, and another one swaps it
back. A built page has no kernel, and its style sheet hides the button.
"""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
from IPython import get_ipython
from IPython.display import HTML, display
from matplotlib.figure import Figure
from PIL import Image

MOST_FRAMES = 250
"""The page budget: more frames would make a page slow to load."""

T = TypeVar("T")
_COLOURS = 48
_DPI = 110
_BUSY = "<style>.cascade-explorer-live { opacity: 0.4; }</style>computing…"
_LIVE_DPI = 80  # drawn anew with every move, so speed counts, and a running kernel need not save bytes


def explorer(
    draw: Callable[[Any], Figure],
    values: Sequence[object],
    *,
    label: str,
    alt: str,
    unit: str = "",
    start: int = 0,
    finer: Sequence[float] | None = None,
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
    finer : sequence of float, optional
        Many more values, any of which `draw` takes. A button under the figure then lets a running kernel draw at these,
        each once it is asked for.

    Returns
    -------
    ipywidgets.VBox
        The slider, which takes the arrow keys once it has the focus, the figure, the text, and with `finer` the button.

    Raises
    ------
    ValueError
        If there are no values, more frames than the page budget allows, or values beside `finer` that are no numbers.

    Examples
    --------
    >>> def line(slope):
    ...     figure, ax = plt.subplots()
    ...     ax.axline((0, 0), slope=slope)
    ...     return figure
    >>> len(explorer(line, [0.5, 1.0, 2.0], label="slope", alt="A line; the slider turns it.").children)
    3
    """
    values = _listed("values", values)
    if len(values) > MOST_FRAMES:
        raise ValueError(f"values has {len(values)} entries; a page holds {MOST_FRAMES} frames: take coarser steps.")
    layout = _wide()
    stack = _stack([_image(draw(value), layout) for value in values], start, layout)
    slider = _slider(values, label, unit, start)
    widgets.jslink((slider, "index"), (stack, "selected_index"))
    box = _explorer([slider], stack, alt)
    return box if finer is None else _with_finer(box, draw, [values], [finer], [unit])


def explorer2(
    draw: Callable[[Any, Any], Figure],
    first: Sequence[object],
    second: Sequence[object],
    *,
    labels: tuple[str, str],
    alt: str,
    units: tuple[str, str] = ("", ""),
    start: tuple[int, int] = (0, 0),
    finer: tuple[Sequence[float], Sequence[float]] | None = None,
) -> widgets.VBox:
    """Return a figure with two sliders, one that runs through `first` and one that runs through `second`.

    Parameters
    ----------
    draw : callable
        Takes one of the first and one of the second values and returns a new matplotlib figure. All figures must have
        the same size.
    first, second : sequence
        What the sliders run through, shown beside them with three significant digits. There is one frame for each pair,
        at most 250 in all.
    labels : pair of str
        What the sliders set, e.g. ``("noise before", "noise after")``.
    alt : str
        What the figure shows and what moving each slider changes, in words, for readers who cannot see it.
    units : pair of str
        The units of the values, shown beside them.
    start : pair of int
        Positions of the values shown first.
    finer : pair of sequences of float, optional
        Many more values for each slider, as for `explorer`.

    Returns
    -------
    ipywidgets.VBox
        The two sliders, which take the arrow keys once they have the focus, the figure, the text, and with `finer` the
        button.

    Raises
    ------
    ValueError
        If there are no values, more frames than the page budget allows, or values beside `finer` that are no numbers.

    Examples
    --------
    >>> def line(slope, height):
    ...     figure, ax = plt.subplots()
    ...     ax.axline((0, height), slope=slope)
    ...     return figure
    >>> box = explorer2(line, [0.5, 1.0], [0, 1, 2], labels=("slope", "height"), alt="A line; one slider turns it.")
    >>> [len(row.children) for row in box.children[2].children]
    [3, 3]
    """
    first, second = _listed("first", first), _listed("second", second)
    if len(first) * len(second) > MOST_FRAMES:
        raise ValueError(
            f"{len(first)} × {len(second)} values make {len(first) * len(second)} frames; a page holds {MOST_FRAMES} "
            "frames: take coarser steps."
        )
    layout = _wide()
    rows = [_stack([_image(draw(a, b), layout) for b in second], start[1], layout) for a in first]
    stack = _stack(rows, start[0], layout)
    width = max(map(len, labels))  # so that both tracks begin at the same place
    sliders = [_slider(*parts, width) for parts in zip((first, second), labels, units, start, strict=True)]
    widgets.jslink((sliders[0], "index"), (stack, "selected_index"))
    for row in rows:
        widgets.jslink((sliders[1], "index"), (row, "selected_index"))
    box = _explorer(sliders, stack, alt)
    return box if finer is None else _with_finer(box, draw, [first, second], finer, units)


def _listed(name: str, values: Sequence[T]) -> list[T]:
    values = list(values)
    if not values:
        raise ValueError(f"{name} is empty: an explorer needs at least one frame.")
    return values


def _wide() -> widgets.Layout:
    return widgets.Layout(width="100%", max_width="720px")


def _image(figure: Figure, layout: widgets.Layout) -> widgets.Image:
    return widgets.Image(value=_frame(figure), format="png", layout=layout)


def _stack(children: Sequence[widgets.Widget], start: int, layout: widgets.Layout) -> widgets.Stack:
    stack = widgets.Stack(children, layout=layout)
    stack.selected_index = start
    return stack


def _slider(
    values: Sequence[object], label: str, unit: str, start: int, width: int | None = None
) -> widgets.SelectionSlider:
    return widgets.SelectionSlider(
        options=[(f"{_shown(value)} {unit}".rstrip(), place) for place, value in enumerate(values)],
        index=start,
        description=label,
        layout=widgets.Layout(width="100%", max_width="560px"),
        style={"description_width": f"{width}ch" if width else "initial"},
        continuous_update=True,
    )


def _explorer(sliders: Sequence[widgets.SelectionSlider], stack: widgets.Stack, alt: str) -> widgets.VBox:
    words = widgets.HTML(f"<style>{_asset('explorers.css')}</style><p class='cascade-explorer-text'>{alt}</p>")
    if get_ipython() is not None:
        display(HTML(f"<script>{_asset('explorers.js')}</script>"))
    box = widgets.VBox([*sliders, stack, words], layout=widgets.Layout(width="100%"))
    box.add_class("cascade-explorer")
    return box


def _asset(name: str) -> str:
    """Return a file of this folder without its comments."""
    return re.sub(r"^// .*\n", "", (Path(__file__).parent / name).read_text(encoding="utf-8"), flags=re.M)


def _with_finer(
    box: widgets.VBox,
    draw: Callable[..., Figure],
    values: Sequence[list[object]],
    finer: Sequence[Sequence[float]],
    units: Sequence[str],
) -> widgets.VBox:
    """Add the button that swaps stored frames for a figure drawn on demand, and starts it where the sliders stand."""
    coarse = [_numbers("values", each) for each in values]
    finer = [_numbers("finer", each) for each in finer]
    *sliders, _, words = box.children
    button = widgets.Button(description="finer steps", tooltip="Draw anew between these steps, with the running kernel")
    button.add_class("cascade-explorer-finer")

    stored = (*box.children, button)

    def swap(_: widgets.Button) -> None:
        fine = []
        for slider, old, new, unit in zip(sliders, coarse, finer, units, strict=True):
            nearest = int(np.abs(np.subtract(new, old[slider.index])).argmin())
            fine.append(_slider(new, slider.description, unit, nearest))
            fine[-1].style.description_width = slider.style.description_width
        back = widgets.Button(description="stored steps", tooltip="Back to the figures that need no kernel")
        back.add_class("cascade-explorer-stored")
        back.on_click(lambda _: setattr(box, "children", stored))
        busy = widgets.HTML()
        picture, show = _on_demand(draw, fine, finer, busy)
        box.children = (*fine, busy, picture, words, back)
        show()

    button.on_click(swap)
    box.children = stored
    return box


def _on_demand(
    draw: Callable[..., Figure],
    sliders: Sequence[widgets.SelectionSlider],
    values: Sequence[Sequence[float]],
    busy: widgets.HTML,
) -> tuple[widgets.Image, Callable[..., None]]:
    """Return a figure that the kernel draws whenever a slider is released, and keeps for the next visit.

    While it draws, `busy` says so and the figure is pale.
    """

    @functools.cache
    def frame(*places: int) -> bytes:
        return _drawn(draw(*(each[place] for each, place in zip(values, places, strict=True))), _LIVE_DPI)

    def show(*_: object) -> None:
        busy.value = _BUSY
        picture.value = frame(*(slider.index for slider in sliders))
        busy.value = ""

    picture = widgets.Image(format="png", layout=_wide())
    picture.add_class("cascade-explorer-live")
    for slider in sliders:
        slider.continuous_update = False
        slider.observe(show, "index")
    return picture, show


def _numbers(name: str, values: Sequence[Any]) -> list[float]:
    values = _listed(name, values)
    for value in values:
        if not isinstance(value, (int, float, np.number)):
            raise ValueError(f"Finer steps lie between numbers, but {name} holds {value!r}: leave `finer` out.")
    return values


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _drawn(figure: Figure, dpi: int) -> bytes:
    """Return a figure as a PNG, and close it."""
    raw = io.BytesIO()
    figure.savefig(raw, format="png", dpi=dpi)
    plt.close(figure)
    return raw.getvalue()


def _frame(figure: Figure) -> bytes:
    """Return a figure as a small PNG with few colours, and close it."""
    raw, small = io.BytesIO(_drawn(figure, _DPI)), io.BytesIO()
    # Rounds of k-means keep a colour that covers few pixels, such as a marker's, from drifting to its neighbours.
    image = Image.open(raw).convert("RGB").quantize(_COLOURS, kmeans=3, dither=Image.Dither.NONE)
    image.save(small, format="png", optimize=True)
    return small.getvalue()
