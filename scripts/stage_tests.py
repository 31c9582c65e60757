"""Copy the notebooks to OUTPUT for their tests, with the code of every exercise's solution as cells at the end.

So the solutions run in the state that a reader has after the chapter. Their output is not compared with anything.
"""

import argparse
import re
import shutil
from pathlib import Path

import nbformat

BOOK = Path(__file__).resolve().parents[1] / "book"
SOLUTION = re.compile(r"^(`{3,}|~{3,})\{solution\}[^\n]*\n(.*?)^\1\s*$", flags=re.M | re.S)
CODE = re.compile(r"^```python\n(.*?)^```\s*$", flags=re.M | re.S)


def solutions(notebook: nbformat.NotebookNode) -> list[str]:
    """Return the code of all solutions, in order, each solution's in one piece."""
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    found = ["\n".join(CODE.findall(body)) for text in texts for _, body in SOLUTION.findall(text)]
    return [code for code in found if code]


def staged(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Add the solutions to a notebook."""
    count = max((cell.execution_count or 0 for cell in notebook.cells if cell.cell_type == "code"), default=0)
    for number, code in enumerate(solutions(notebook), start=1):
        cell = nbformat.v4.new_code_cell(code, id=f"solution-{number}", execution_count=count + number)
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
