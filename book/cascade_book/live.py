"""Live figures: drawings whose parts a slider moves continuously in the page itself, without a kernel or a network.

Python draws the first frame of every panel as an SVG picture, and works out what each moving part becomes at all of
the slider's places, some hundred. Both go into one piece of HTML with a small script (`live.js`) that puts the drawing
into the page and moves the parts. Where no script runs, as in a notebook that is not trusted, the picture and the words
of the first frame stay.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy.typing import ArrayLike, NDArray

_HERE = Path(__file__).parent
_LETTER = 7.0  # about the width of a letter
_WIDE = 440  # a wider panel has larger letters on a phone
_LARGER = 1.4
_DASHES = {"-": (), "--": (4, 2), ":": (1, 1.5), "-.": (5, 1.5, 1, 1.5)}
_SHAPES = {
    "o": "M -{r} 0 A {r} {r} 0 1 1 {r} 0 A {r} {r} 0 1 1 -{r} 0 Z",
    "s": "M -{r} -{r} H {r} V {r} H -{r} Z",
    "D": "M 0 -{r} L {r} 0 L 0 {r} L -{r} 0 Z",
    "^": "M 0 -{r} L {r} {r} L -{r} {r} Z",
    "v": "M 0 {r} L {r} -{r} L -{r} -{r} Z",
    "|": "M -1 -{r} H 1 V {r} H -1 Z",
}


Floats = NDArray[np.float64]
Text = str | Sequence[str]
Setting = str | float | Sequence[str]
Dashes = str | tuple[float, Sequence[float]]


@dataclass(frozen=True)
class Axis:
    """What a panel shows along one direction.

    Parameters
    ----------
    label : str
        What is written beside the axis.
    low, high : float
        The numbers at its ends.
    log : bool
        Whether equal ratios take equal lengths.
    percent : bool
        Whether numbers are written as percentages.
    unit : str
        Written after the numbers that appear under the pointer.
    names : sequence of str
        Rows instead of numbers, the first at the top; leave `low` and `high` out.

    Examples
    --------
    >>> Axis("share", 0, 1, percent=True).written(0.25)
    '25%'
    """

    label: str = ""
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    percent: bool = False
    unit: str = ""
    names: Sequence[str] = ()

    def share(self, numbers: ArrayLike) -> Floats:
        """Return how far along the axis numbers lie: 0 at its low end, 1 at its high end."""
        numbers = np.asarray(numbers, dtype=float)
        if self.names:
            return 1 - (numbers + 0.5) / len(self.names)
        if self.log:
            return np.log(numbers / self.low) / np.log(self.high / self.low)
        return (numbers - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Return where the axis has its ticks."""
        if self.names:
            return list(range(len(self.names)))
        locator = LogLocator(numticks=7) if self.log else MaxNLocator(6, steps=[1, 2, 2.5, 5, 10])
        return [float(t) for t in locator.tick_values(self.low, self.high) if -1e-9 <= self.share(t) <= 1 + 1e-9]

    def written(self, number: float) -> str:
        """Return what stands beside a tick."""
        if self.names:
            return self.names[int(number)]
        return f"{100 * number:g}%" if self.percent else f"{number:,.10g}".replace("-", "−")


class Panel:
    """One coordinate system of a live figure, made by `LiveFigure.panel`; its methods draw, in the order of calls."""

    def __init__(
        self, figure: LiveFigure, x: Axis, y: Axis, title: Sequence[str] | str, alt: str, size: tuple[int, int]
    ):
        self._figure, self._x, self._y, self.alt = figure, x, y, alt
        self._width, self._height = size
        self._larger = _LARGER if self._width > _WIDE else 1.0
        self.most = round(1.3 * self._width)  # pixels on the page
        self._drawn: list[str] = []
        self._legend: list[tuple[str, str]] = []
        left = 14 + int(_LETTER * self._larger * max(len(y.written(tick)) for tick in y.ticks()))
        top = 16 + 24 * bool(title) + 24 * bool(y.label)
        self._box = left, top, self._width - left - 20, self._height - top - 48
        self._title = figure._part("text", {"x": 2, "y": 18, "font-weight": "bold"}, title)[0] if title else ""

    def _at(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """Return the pixels of points."""
        left, top, width, height = self._box
        across, down = np.broadcast_arrays(left + width * self._x.share(x), top + height * (1 - self._y.share(y)))
        return across, down

    def line(
        self, x: ArrayLike, y: ArrayLike, *, name: str = "", color: str = "#0072b2", linestyle: Dashes = "-",
        width: float = 2.2,
    ) -> None:  # fmt: skip
        """Draw a line through points; with two dimensions, `x` or `y` has a row for each place of the slider."""
        across, down = self._at(x, y)
        look: dict[str, Setting] = {
            "fill": "none",
            "stroke-width": width,
            "style": f"stroke:{_colour(color)}",
            "stroke-dasharray": " ".join(f"{width * each:.3g}" for each in _dashes(linestyle)),
        }
        moves = across.ndim == 2
        path = [_path(*points) for points in zip(across, down, strict=True)] if moves else _path(across, down)
        self._draw("path", {**look, "d": path, "class": "live-line", "data-name": name})
        if name:
            self._legend.append((name, _tag("path", {**look, "d": "M 0 0 H 26"})))

    def rule(self, *, x: ArrayLike | None = None, y: ArrayLike | None = None, linestyle: Dashes = ":") -> None:
        """Draw a line across the whole panel at one number, or at one number for each place of the slider."""
        across = [self._x.low, self._x.high] if x is None else np.asarray(x)[..., None] * [1, 1]
        down = [self._y.low, self._y.high] if y is None else np.asarray(y)[..., None] * [1, 1]
        self.line(across, down, color="#7f7f7f", linestyle=linestyle, width=1.2)

    def marks(
        self, x: ArrayLike, y: ArrayLike, names: Sequence[str],
        offsets: Mapping[str, tuple[float, float]] | None = None, *, color: str = "#333333",
    ) -> None:  # fmt: skip
        """Draw points that stay, with their names beside them, by default below and to the right."""
        for name, across, down in zip(names, *self._at(x, y), strict=True):
            self._mark(f"translate({across:.1f} {down:.1f})", name, _filled(color), "o", 4)
            aside, below = (offsets or {}).get(name, (5, 16))
            on_the_left = across > self._box[0] + 0.8 * self._box[2]  # where a long name would be cut off
            place = {"x": f"{across + (-aside if on_the_left else aside):.1f}", "y": f"{down + below:.1f}"}
            self._draw("text", place | {"text-anchor": "end" if on_the_left else "start"}, name)

    def mover(
        self, x: ArrayLike, y: ArrayLike, *, name: str = "", color: str = "#d55e00", marker: str = "o",
        size: float = 7, ring: bool = False, drag: str = "",
    ) -> None:  # fmt: skip
        """Draw a mark that moves: `x` or `y` has an entry for each place of the slider.

        With `drag`, which is "x", "y" or "xy", readers can take hold of it and move it along these directions.
        """
        points = [f"{across:.1f} {down:.1f}" for across, down in zip(*self._at(x, y), strict=True)]
        places = [f"translate({point})" for point in points]
        self._mark(places, name, _ringed(color) if ring else _filled(color), marker, size)
        if drag:
            part = self._draw("circle", {"transform": places, "r": 18, "fill": "transparent", "data-drag": drag})
            self._figure._drags.append([part, drag, packed(points)])

    def bars(
        self, values: ArrayLike, *, color: str = "#0072b2", shown: str = "", width: float = 0.6, shift: float = 0.0
    ) -> None:
        """Draw a bar from zero in each row; `values` has a row of lengths for each place of the slider.

        With `shown`, a format such as "{:.0%}", the number stands at the end of the bar. Bars of several calls stand
        beside each other: `width` is their share of a row, and `shift` moves them down by a share of it.
        """
        values = np.asarray(values, dtype=float)
        ends, middles = self._at(values, np.arange(values.shape[1]) + shift)
        zero, half = self._at(0, 0)[0], width * self._box[3] / len(self._y.names) / 2
        for row, middle in enumerate(middles[0]):
            paths = [
                f"M {zero:.1f} {middle - half:.1f} H {end:.1f} V {middle + half:.1f} H {zero:.1f} Z"
                for end in ends[:, row]
            ]
            self._draw("path", {"d": paths, "style": _filled(color)})
            if shown:
                places = [f"translate({end + 4:.1f} {middle + 4:.1f})" for end in ends[:, row]]
                self._draw("text", {"transform": places}, [shown.format(value) for value in values[:, row]])

    def _mark(self, place: Text, name: str, look: str, marker: str, size: float) -> None:
        shape: dict[str, Setting] = {
            "d": _SHAPES[marker].format(r=size),
            "class": "live-mark",
            "data-name": name,
            "style": look,
        }
        self._draw("path", shape | {"transform": place})

    def _draw(self, tag: str, settings: Mapping[str, Setting], text: Text = "") -> int:
        markup, part = self._figure._part(tag, settings, text)
        self._drawn.append(markup)
        return part

    def svg(self) -> str:
        """Return the first frame."""
        left, top, width, height = self._box
        legend, below = self._legend_below()
        ends = {"x": _ends(self._x, left, left + width), "y": _ends(self._y, top + height, top)}
        settings = {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {self._width} {self._height + below}",
            "class": "live-wide" if self._larger > 1 else "",
            "font-size": 13,
            "style": "font-family:var(--pst-font-family-base,var(--jp-ui-font-family,sans-serif))",
            "fill": "currentColor",
            "data-axes": json.dumps(ends),
        }
        return _tag("svg", settings, self._title + self._axes() + self._cut_off("".join(self._drawn)) + legend)

    def _cut_off(self, drawn: str) -> str:
        """Return what is drawn, cut off a little outside the axes: a drawing within a drawing does so by itself."""
        left, top, width, height = self._box
        left, top, width, height = left - 9, top - 9, width + 28, height + 18
        size = {"x": left, "y": top, "width": width, "height": height}
        return _tag("svg", size | {"viewBox": f"{left} {top} {width} {height}"}, drawn)

    def _axes(self) -> str:
        left, top, width, height = self._box
        bottom, faint = top + height, {"stroke": "currentColor", "stroke-opacity": 0.14}
        drawn = []
        for tick in self._x.ticks():
            x = f"{left + width * self._x.share(tick):.1f}"
            drawn.append(_tag("path", {"d": f"M {x} {top} V {bottom}"} | faint))
            drawn.append(_tag("text", {"x": x, "y": bottom + 19, "text-anchor": "middle"}, self._x.written(tick)))
        for tick in self._y.ticks():
            y = top + height * (1 - self._y.share(tick))
            drawn.append(_tag("path", {"d": f"M {left} {y:.1f} H {left + width}"} | faint))
            written = html.escape(self._y.written(tick))
            drawn.append(_tag("text", {"x": left - 6, "y": f"{y + 4:.1f}", "text-anchor": "end"}, written))
        frame = {"d": f"M {left} {top} V {bottom} H {left + width}", "fill": "none", "stroke": "currentColor"}
        end = {"x": left + width, "y": bottom + 40, "text-anchor": "end"}
        drawn += [_tag("path", frame), _tag("text", end, html.escape(self._x.label))]
        drawn.append(_tag("text", {"x": 2, "y": top - 10}, html.escape(self._y.label)))
        return "".join(drawn)

    def _legend_below(self) -> tuple[str, int]:
        """Return the legend, which stands below the panel so that it covers nothing, and its height."""
        x, y, drawn = 2, 10, []
        for name, sample in self._legend:
            width = 44 + int(_LETTER * self._larger * len(name))
            if x > 2 and x + width > self._width:
                x, y = 2, y + 24
            text = _tag("text", {"x": 32, "y": 4}, html.escape(name))
            drawn.append(_tag("g", {"transform": f"translate({x} {self._height + y})"}, sample + text))
            x += width
        return "".join(drawn), y + 10 if drawn else 0


class LiveFigure:
    """A figure that a slider moves in the page.

    Parameters
    ----------
    values : sequence of str
        What stands beside the slider at each of its places, e.g. "150 tokens a text"; take some hundred places.
    label : str
        What the slider sets, e.g. "budget".
    words : sequence of str
        What is seen at each place, in words: they stand under the figure and are read out.
    start : int
        The place shown first.

    Raises
    ------
    ValueError
        If there are not as many words as values.

    Examples
    --------
    >>> slopes = np.linspace(0, 1, 101)
    >>> words = [f"The line rises by {slope:.2f}." for slope in slopes]
    >>> figure = LiveFigure([f"{slope:.2f}" for slope in slopes], label="slope", words=words)
    >>> panel = figure.panel(Axis("x", 0, 1), Axis("y", 0, 1), alt="A line from the origin.")
    >>> panel.line([0, 1], np.outer(slopes, [0, 1]), name="line")
    >>> "The line rises by 0.00." in figure.html()
    True
    """

    def __init__(self, values: Sequence[str], *, label: str, words: Sequence[str], start: int = 0) -> None:
        if len(values) != len(words):
            raise ValueError(f"There are {len(values)} values but {len(words)} words: each place needs both.")
        self.values, self.label, self.words, self.start = list(values), label, list(words), start
        self._panels: list[Panel] = []
        self._moves: list[list[object]] = []
        self._drags: list[list[object]] = []
        self._parts = 0

    def panel(self, x: Axis, y: Axis, *, alt: str, title: Text = "", size: tuple[int, int] = (360, 300)) -> Panel:
        """Add a coordinate system; `alt` says what it shows, and a list of titles has one for each place."""
        self._panels.append(Panel(self, x, y, title, alt, size))
        return self._panels[-1]

    def _part(self, tag: str, settings: Mapping[str, Setting], text: Text = "") -> tuple[str, int]:
        """Return an element as it stands first, and its number; settings and text that are lists move."""
        still: dict[str, str | float] = {}
        for name, setting in [*settings.items(), ("", text)]:
            if isinstance(setting, str | int | float):
                still[name] = setting
                continue
            if len(setting) != len(self.values):
                raise ValueError(f"A part moves through {len(setting)} places, but the slider has {len(self.values)}.")
            still[name] = setting[self.start]
            pieces = packed(setting)
            if any(isinstance(piece, list) for piece in pieces):
                still["data-part"] = self._parts
                self._moves.append([self._parts, name, pieces])
        self._parts += 1
        inside = html.escape(str(still.pop("")))
        return _tag(tag, still, inside), self._parts - 1

    def html(self) -> str:
        """Return the figure as a piece of HTML that needs nothing else."""
        data = {
            "label": self.label,
            "places": len(self.values),
            "start": self.start,
            "shown": packed(self.values),
            "words": packed(self.words),
            "moves": self._moves,
            "drags": self._drags,
        }
        stored = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
        return "\n".join(
            [
                '<div class="live-figure">',
                f"<style>{_asset('live.css')}</style>",
                f'<div class="live-panels">{"".join(map(_framed, self._panels))}</div>',
                f'<p class="live-words">{html.escape(self.words[self.start])}</p>',
                f'<script type="application/json">{stored}</script>',
                f"<script>{_asset('live.js')}</script>",
                "</div>",
            ]
        )

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        words = f"{self.label}: {self.values[self.start]}. {self.words[self.start]}"
        return {"text/html": self.html(), "text/plain": words}


def packed(strings: Sequence[str]) -> list[str | list[str]]:
    """Split strings into pieces, and store those that are the same in all of them once.

    Examples
    --------
    >>> packed(["spent 10 of 20", "spent 15 of 20"])
    ['spent ', ['10|15'], ' of 20']
    """
    if any("|" in each for each in strings):
        raise ValueError("No string may hold |, which separates them where they are stored.")
    rows = [re.split(r"([ (),])", each) for each in strings]
    columns = list(zip(*rows, strict=True)) if len({len(row) for row in rows}) == 1 else [tuple(strings)]
    pieces: list[str | list[str]] = []
    for column in columns:
        if len(set(column)) > 1:
            pieces.append(["|".join(column)])
        elif pieces and isinstance(pieces[-1], str):
            pieces[-1] += column[0]
        else:
            pieces.append(column[0])
    return pieces


def _framed(panel: Panel) -> str:
    """Return the picture of a panel's first frame."""
    source = "data:image/svg+xml," + quote(panel.svg(), safe=" =:/;,()'")
    picture = _tag("img", {"src": source, "alt": panel.alt})
    return _tag("div", {"class": "live-frame", "style": f"max-width:{panel.most}px"}, picture)


def _asset(name: str) -> str:
    """Return a file of this folder without its comments and blank lines, as HTML in Markdown ends at a blank line."""
    text = re.sub(r"^//.*\n", "", (_HERE / name).read_text(encoding="utf-8"), flags=re.M)
    return "\n".join(line for line in text.splitlines() if line.strip())


def _tag(name: str, settings: Mapping[str, object], inside: str = "") -> str:
    written = "".join(f' {key}="{html.escape(str(value))}"' for key, value in settings.items() if value != "")
    return f"<{name}{written}>{inside}</{name}>" if name != "img" else f"<{name}{written}>"


def _colour(color: str) -> str:
    """Return a colour that a page in dark mode can replace."""
    return f"var(--live-{color.removeprefix('#')},{color})"


def _filled(color: str) -> str:
    return f"fill:{_colour(color)};stroke:var(--live-ground,#fff);stroke-width:1"


def _ringed(color: str) -> str:
    return f"fill:none;stroke:{_colour(color)};stroke-width:2.5"


def _dashes(linestyle: Dashes) -> Sequence[float]:
    return _DASHES[linestyle] if isinstance(linestyle, str) else linestyle[1]


def _path(across: Floats, down: Floats) -> str:
    """Return a line through pixels; corners that nobody could tell from the one before are left out."""
    corners = [(across[0], down[0])]
    for corner in zip(across[1:-1], down[1:-1], strict=True):
        if np.hypot(corner[0] - corners[-1][0], corner[1] - corners[-1][1]) >= 1.5:
            corners.append(corner)
    corners.append((across[-1], down[-1]))
    return "M " + " L ".join(f"{x:.1f} {y:.1f}" for x, y in corners)


def _ends(axis: Axis, low: float, high: float) -> dict[str, object]:
    """Return what turns pixels back into numbers."""
    if axis.names:
        return {}
    return {
        "low": [low, axis.low],
        "high": [high, axis.high],
        "log": axis.log,
        "percent": axis.percent,
        "unit": axis.unit,
    }
