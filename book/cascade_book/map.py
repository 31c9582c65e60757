"""The map of the chapters as a drawing whose boxes are links, made from the table of contents."""

import json
import re
import textwrap
from dataclasses import dataclass
from html import escape
from pathlib import Path

import yaml

# The main line of what is to be read before what; the chapters' own "You need" is complete.
NEEDS = """
    one_question a_real_pool, a_real_pool quality_estimation, one_question optimal_routing, optimal_routing supermodels,
    supermodels cascading, cascading cascade_routing, cascade_routing whole_curve, cascade_routing reproduction,
    cascade_routing when_to_route, cascade_routing local_pool, when_to_route open_ended,
    when_to_route learned_routerbench, reproduction coherent_estimates, coherent_estimates pandora,
    pandora dynamic_programming, dynamic_programming value_of_information, own_logs live_policy, live_policy scaling_out
"""
GAP, HEADING, LINE = 12, 40, 16  # between boxes, above each part, between lines of text
BOX_HEIGHT = 4 * LINE + 12
CHARACTER = 7.4  # about the width of a letter
ARROW = (
    '<marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    '<path d="M0 0 8 4 0 8z" fill="currentColor"/></marker>'
)


@dataclass(frozen=True)
class Chapter:
    """A page of the book as its table of contents names it."""

    file: str
    title: str

    @property
    def stem(self) -> str:
        """The file's name, as part of an address."""
        return Path(self.file).name

    @property
    def name(self) -> str:
        """The file's name without its number."""
        return re.sub(r"^\d+_", "", self.stem)

    @property
    def words(self) -> str:
        """Its number and title, without what comes after a colon."""
        return self.title.split(":")[0]


@dataclass(frozen=True)
class Box:
    """Where a chapter is drawn: its row counts from the top of the map."""

    x: float
    y: float
    width: float
    row: int
    column: int

    @property
    def middle(self) -> float:
        """Half way along its edges."""
        return self.x + self.width / 2


def read_parts(folder: Path) -> dict[str, list[Chapter]]:
    """Return the chapters of each part, from the table of contents in a folder."""
    contents = yaml.safe_load((folder / "_toc.yml").read_text(encoding="utf-8"))
    return {
        part["caption"]: [
            Chapter(each["file"], each.get("title") or own_title(folder / each["file"])) for each in part["chapters"]
        ]
        for part in contents["parts"]
    }


def own_title(path: Path) -> str:
    """Return the heading that a page opens with."""
    notebook = path.with_suffix(".ipynb")
    if notebook.exists():
        text = "".join(json.loads(notebook.read_text(encoding="utf-8"))["cells"][0]["source"])
    else:
        text = path.with_suffix(".md").read_text(encoding="utf-8")
    return re.search(r"^# (.+)$", text, flags=re.M)[1]  # type: ignore[index]  # every page has one


def needs() -> list[tuple[str, str]]:
    """Return pairs of names: the first chapter should be read before the second."""
    pairs = (pair.split() for pair in NEEDS.split(","))
    return [(before, after) for before, after in pairs]


def map_of_chapters(parts: dict[str, list[Chapter]]) -> str:
    """Return the map in HTML, once for wide screens and once for phones."""
    drawings = draw(parts, columns=5, width=760, arrows=True) + draw(parts, columns=2, width=340, arrows=False)
    return f'<nav class="chapter-map" aria-label="Map of the chapters">\n{drawings}</nav>\n'


def draw(parts: dict[str, list[Chapter]], *, columns: int, width: int, arrows: bool) -> str:
    """Return a drawing with so many boxes beside each other."""
    boxes, headings, height = layout(parts, columns, width, last_to_the_right=arrows)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="columns-{columns}" viewBox="0 0 {width} {height}">',
        *(f'<text class="part" x="1" y="{y}">{escape(part)}</text>' for part, y in headings.items()),
    ]
    if arrows:
        by_name = {chapter.name: box for chapter, box in boxes.items()}
        lines += [ARROW, *(arrow(by_name[before], by_name[after]) for before, after in needs())]
    lines += [link(chapter, box) for chapter, box in boxes.items()]
    return "\n".join([*lines, "</svg>\n"])


def layout(
    parts: dict[str, list[Chapter]], columns: int, width: int, *, last_to_the_right: bool
) -> tuple[dict[Chapter, Box], dict[str, float], float]:
    """Return the boxes, the heights at which the parts' names stand, and that of the whole.

    What does not fit into a part's first row may stand to the right, where no arrow leads down to the next part.
    """
    boxes, headings, y, row = {}, {}, 0.0, 0
    box_width = (width - 2 - (columns - 1) * GAP) / columns
    for part, chapters in parts.items():
        headings[part] = y + HEADING - 12
        y += HEADING
        for start in range(0, len(chapters), columns):
            here = chapters[start : start + columns]
            first = columns - len(here) if start and last_to_the_right else 0
            for column, chapter in enumerate(here, first):
                boxes[chapter] = Box(1 + column * (box_width + GAP), y, box_width, row, column)
            y, row = y + BOX_HEIGHT + GAP, row + 1
    return boxes, headings, y


def arrow(before: Box, after: Box) -> str:
    """Return an arrow: to a neighbour, below the row to others in it, or down, beside the name of the part."""
    side, bottom = before.y + BOX_HEIGHT / 2, before.y + BOX_HEIGHT
    if before.row != after.row:
        end = after.x + 0.96 * after.width
        path = (
            f"M{end if before.column == after.column else before.middle:.0f} {bottom:.0f} {end:.0f} {after.y - 1:.0f}"
        )
    elif after.column == before.column + 1:
        path = f"M{before.x + before.width:.0f} {side:.0f} {after.x - 1:.0f} {side:.0f}"
    else:
        along = after.middle - before.middle
        path = f"M{before.middle:.0f} {bottom:.0f}q{along / 2:.0f} 28 {along:.0f} 1"
    return f'<path d="{path}" fill="none" stroke="currentColor" marker-end="url(#arrow)"/>'


def link(chapter: Chapter, box: Box) -> str:
    """Return a box that leads to its chapter."""
    lines = textwrap.wrap(chapter.words, int((box.width - 12) / CHARACTER))
    top = box.y + BOX_HEIGHT / 2 - (len(lines) - 1) * LINE / 2 + 5
    text = "".join(
        f'<text x="{box.middle:.1f}" y="{top + place * LINE:.1f}">{bold_number(escape(line))}</text> '
        for place, line in enumerate(lines)
    )
    frame = f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{BOX_HEIGHT}" rx="6"/>'
    return f'<a href="{chapter.stem}.html" aria-label="{escape(chapter.title)}">{frame}{text}</a>'


def bold_number(line: str) -> str:
    """Return a line with the number that it opens with, if any, in bold."""
    return re.sub(r"^(\d+)(?= )", r"<tspan>\1</tspan>", line)
