"""Copy the notebooks to OUTPUT for their tests, with cells at the end that do what a reader may do after the chapter.

One asks every explorer for its finer steps; then comes the code of every exercise's solution. Their output is not
compared with anything.
"""

import argparse
import re
import shutil
from pathlib import Path

import nbformat

BOOK = Path(__file__).resolve().parents[1] / "book"
SOLUTION = re.compile(r"^(`{3,}|~{3,})\{solution\}[^\n]*\n(.*?)^\1\s*$", flags=re.M | re.S)
CODE = re.compile(r"^```python\n(.*?)^```\s*$", flags=re.M | re.S)

# A function, so that the solutions after it find every name of the chapter as the chapter left it.
FINER_STEPS = """\
def _ask_for_finer_steps(box):
    button = box.children[-1]
    button.click()
    assert button not in box.children, "the button has not swapped the stored frames for a figure drawn on demand"
    *sliders, _busy, picture, _, _back = box.children
    for slider in sliders:
        seen = set()
        for place in (0, len(slider.options) // 2, len(slider.options) - 1):
            slider.index = place
            seen.add(picture.value)
        assert len(seen) > 1, f"{slider.description} does not change the figure"


for _shown in list(Out.values()):
    if "cascade-explorer" in getattr(_shown, "_dom_classes", ()):
        _ask_for_finer_steps(_shown)
"""


def solutions(notebook: nbformat.NotebookNode) -> list[str]:
    """Return the code of all solutions, in order, each solution's in one piece."""
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    found = ["\n".join(CODE.findall(body)) for text in texts for _, body in SOLUTION.findall(text)]
    return [code for code in found if code]


def staged(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Add the finer steps and the solutions to a notebook."""
    count = max((cell.execution_count or 0 for cell in notebook.cells if cell.cell_type == "code"), default=0)
    for number, code in enumerate([FINER_STEPS, *solutions(notebook)]):
        cell = nbformat.v4.new_code_cell(code, id=f"added-{number}", execution_count=count + number + 1)
        cell.metadata["tags"] = ["nbval-ignore-output"]
        notebook.cells.append(cell)
    return notebook


def main() -> None:
    """Stage every notebook, and the files beside them that they read."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    output = parser.parse_args().output
    shutil.rmtree(output, ignore_errors=True)
    shutil.copytree(BOOK, output, ignore=shutil.ignore_patterns(".ipynb_checkpoints", "vendor", "assets", "images"))
    for path in sorted(output.glob("*.ipynb")):
        nbformat.write(staged(nbformat.read(path, as_version=4)), path)


if __name__ == "__main__":
    main()
