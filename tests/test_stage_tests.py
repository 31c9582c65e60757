"""The code of solutions is found and put behind the chapter, as cells that run and are not compared."""

from pathlib import Path

import nbformat
import pytest
from stage_tests import solutions, staged

BOOK = Path(__file__).resolve().parents[1] / "book"
TEXT = """```{exercise}
:label: ex-a
```

````{solution} ex-a
:class: dropdown

Words, then code in two parts.

```python
x = 1
```

```python
assert x == 1
```
````

```{solution} ex-b
Words only.
```
"""


def test_each_solution_with_code_becomes_one_cell():
    cells = [nbformat.v4.new_code_cell("y = 0", execution_count=1), nbformat.v4.new_markdown_cell(TEXT)]
    notebook = staged(nbformat.v4.new_notebook(cells=cells))
    assert solutions(nbformat.v4.new_notebook(cells=cells)) == ["x = 1\n\nassert x == 1\n"]
    last = notebook.cells[-1]
    assert (last.cell_type, last.execution_count, last.metadata["tags"]) == ("code", 2, ["nbval-ignore-output"])


@pytest.mark.parametrize("path", sorted(BOOK.glob("[0-9]*.ipynb")), ids=lambda path: path.stem)
def test_every_chapter_has_three_exercises_with_solutions(path):
    text = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown")
    exercises = text.count("{exercise}")
    assert exercises >= 3
    assert text.count("{solution}") == exercises
