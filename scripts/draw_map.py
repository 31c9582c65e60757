"""Draw the map of the chapters, book/images/map.svg: which chapter needs which.

    python scripts/draw_map.py            # writes the file anew

A row is a part of the book. The arrows show the main line of what is to be read before; the chapters' own "You need"
lines are complete.
"""

from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch

from cascade_book import use_style

TARGET = Path(__file__).resolve().parents[1] / "book" / "images" / "map.svg"
PARTS = {
    "The problem": ("#c6dbe8", {1: "One question,\nmany models", 2: "A real pool", 3: "Quality\nestimation"}),
    "The strategies": ("#f6dfb2", {4: "Optimal\nrouting", 5: "Supermodels", 6: "Optimal\ncascading",
                                   7: "Cascade\nrouting", 8: "The whole\ncurve"}),
    "Experiments": ("#cfe8dd", {9: "The paper,\nrecomputed", 10: "When to route,\nwhen to cascade",
                                11: "The local pool", 12: "Open-ended,\nagents", 13: "Learned\nRouterBench"}),
    "Beyond the paper": ("#f3cdb8", {14: "Coherent\nestimates", 15: "Pandora's box", 16: "The price of\nsimplicity",
                                     17: "The value of\ninformation"}),
    "Use it": ("#e8d3e0", {18: "Your own logs", 19: "A live policy", 20: "Scaling out"}),
}  # fmt: skip
NEEDS = [
    (1, 2), (2, 3), (1, 4), (4, 5), (5, 6), (6, 7), (7, 8), (7, 9), (7, 10), (7, 11), (10, 12), (10, 13),
    (9, 14), (14, 15), (15, 16), (16, 17), (18, 19), (19, 20),
]  # fmt: skip
BENT = {(10, 12): 0.45, (10, 13): 0.4}  # below the chapters in between


def draw() -> plt.Figure:
    """Return the map."""
    use_style()
    fig, ax = plt.subplots(figsize=(7.2, 6.0))
    boxes, right = {}, max(len(chapters) for _, chapters in PARTS.values()) - 0.5
    for row, (part, (colour, chapters)) in enumerate(PARTS.items()):
        ax.text(right, 0.38 - row, part, ha="right", fontsize=10, color="0.25", style="italic")
        for column, (number, name) in enumerate(chapters.items()):
            look = {"boxstyle": "round,pad=0.4", "facecolor": colour, "edgecolor": "0.4", "linewidth": 0.8}
            words = f"{number}\n{name}"
            boxes[number] = ax.text(column, -row, words, ha="center", va="center", fontsize=9, bbox=look, zorder=2)
    for before, after in NEEDS:
        ends = {"patchA": boxes[before].get_bbox_patch(), "patchB": boxes[after].get_bbox_patch()}
        bend = f"arc3,rad={BENT.get((before, after), 0)}"
        look = {"arrowstyle": "-|>", "mutation_scale": 12, "color": "0.45", "connectionstyle": bend, "zorder": 3}
        spots = boxes[before].get_position(), boxes[after].get_position()
        ax.add_patch(FancyArrowPatch(*spots, **ends, **look))
    ax.set(xlim=(-0.5, right), ylim=(0.65 - len(PARTS), 0.55))
    ax.axis("off")
    return fig


if __name__ == "__main__":
    plt.rcParams["svg.hashsalt"] = "map"
    draw().savefig(TARGET, metadata={"Date": None}, facecolor="white")
