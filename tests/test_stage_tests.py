"""What a reader may do after a chapter is put behind it, as cells that run and are not compared."""

from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import pytest
from stage_tests import FINER_STEPS, solutions, staged

from cascade_book import explorer

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
    *_, finer, last = notebook.cells
    assert finer.source == FINER_STEPS
    assert (last.cell_type, last.execution_count, last.metadata["tags"]) == ("code", 3, ["nbval-ignore-output"])


def shows(explorer):
    names = {"Out": {1: "something else", 2: explorer}}
    exec(FINER_STEPS, names)
    assert {name for name in names if not name.startswith("_")} == {"Out"}, "a solution may need a name of the chapter"


def bar(height):
    figure, ax = plt.subplots(figsize=(3, 2))
    ax.bar([0], [height])
    ax.set_ylim(0, 5)
    return figure


def test_finer_steps_are_asked_for():
    shows(explorer(bar, [1, 2], label="height", alt="A bar.", finer=[1, 1.5, 2]))
    with pytest.raises(AttributeError, match="click"):
        shows(explorer(bar, [1, 2], label="height", alt="A bar."))


def test_a_figure_that_stays_the_same_is_noticed():
    with pytest.raises(AssertionError, match="height does not change the figure"):
        shows(explorer(lambda _: bar(1), [1, 2], label="height", alt="A bar.", finer=[1, 1.5, 2]))


@pytest.mark.parametrize("path", sorted(BOOK.glob("[0-9]*.ipynb")), ids=lambda path: path.stem)
def test_every_chapter_has_three_to_five_exercises_with_solutions(path):
    text = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown")
    exercises = text.count("{exercise}")
    assert 3 <= exercises <= 5
    assert text.count("{solution}") == exercises
