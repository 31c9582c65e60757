"""Draw the map of the chapters, book/images/map.svg: which chapter needs which.

    python scripts/draw_map.py            # writes the file anew

The arrows show the main line of what is to be read before; the chapters' own "You need" lines are complete.
"""

from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch

from cascade_lib import plots

TARGET = Path(__file__).resolve().parents[1] / "book" / "images" / "map.svg"
# Name, column, row.
CHAPTERS = {
    1: ("One question,\nmany models", 0, 2), 2: ("A real pool", 0, 1), 3: ("Quality\nestimation", 0, 0),
    4: ("Optimal\nrouting", 1, 2), 5: ("Supermodels", 1, 1), 6: ("Optimal\ncascading", 1, 0),
    7: ("Cascade\nrouting", 2, 1.5), 8: ("The whole curve\nat once", 2, 0.5),
    9: ("The paper,\nreproduced", 3, 2), 10: ("When to route,\nwhen to cascade", 3, 1), 11: ("The local pool", 3, 0),
    12: ("Generation,\nagents", 4, 1), 13: ("Learned\nRouterBench", 4, 0),
    14: ("Coherent\nestimates", 4, 2), 15: ("Pandora's box", 5, 2), 16: ("The price of\nsimplicity", 5, 1),
    17: ("The value of\ninformation", 5, 0),
    18: ("Your own logs", 6, 2), 19: ("A live policy", 6, 1), 20: ("Scaling out", 6, 0),
}  # fmt: skip
PARTS = {"problem": (1, 3), "strategies": (4, 8), "experiments": (9, 13), "beyond": (14, 17), "use": (18, 20)}
COLOURS = dict(zip(PARTS, ("#c6dbe8", "#f6dfb2", "#cfe8dd", "#f3cdb8", "#e8d3e0"), strict=True))
NEEDS = [
    (1, 2), (2, 3), (1, 4), (4, 5), (5, 6), (6, 7), (4, 7), (7, 8), (7, 9), (7, 10), (7, 11), (10, 12), (10, 13),
    (9, 14), (14, 15), (15, 16), (16, 17), (18, 19), (19, 20),
]  # fmt: skip


def draw() -> plt.Figure:
    """Return the map."""
    plots.use_style()
    fig, ax = plt.subplots(figsize=(10.5, 4.2))
    for before, after in NEEDS:
        start, end = CHAPTERS[before][1:], CHAPTERS[after][1:]
        arrow = FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=10, shrinkA=26, shrinkB=26, color="0.55",
            connectionstyle="arc3,rad=0.08",
        )  # fmt: skip
        ax.add_patch(arrow)
    for number, (name, x, y) in CHAPTERS.items():
        part = next(part for part, (first, last) in PARTS.items() if first <= number <= last)
        box = {"boxstyle": "round,pad=0.45", "facecolor": COLOURS[part], "edgecolor": "0.4", "linewidth": 0.8}
        ax.text(x, y, f"{number}\n{name}", ha="center", va="center", fontsize=8, bbox=box)
    ax.set(xlim=(-0.55, 6.55), ylim=(-0.55, 2.55))
    ax.axis("off")
    return fig


if __name__ == "__main__":
    plt.rcParams["svg.hashsalt"] = "map"
    draw().savefig(TARGET, metadata={"Date": None}, facecolor="white")
