"""Code on a page is narrow; in sight it is short and whole, and folded it stands under words that say what it is."""

import ast
import builtins

import nbformat
import pytest
from book_index import BOOK
from myst_blocks import CODE, blocks

NOTEBOOKS = sorted(BOOK.glob("*.ipynb"))
COLUMNS, LINES = 84, 25
UNSEEN = {"remove-cell", "remove-input", "hide-cell", "hide-input"}


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def cells(request):
    return nbformat.read(request.param, as_version=4).cells


def tags(cell):
    return set(cell.metadata.get("tags", []))


def code(cells):
    return [cell for cell in cells if cell.cell_type == "code"]


def listings(cells):
    """Return the code that stands in texts: in examples and in solutions."""
    texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
    found = [inner for text in texts for block in blocks(text) for inner in block.inner()]
    return [block.body for block in found if block.kind == CODE]


def loaded(tree):
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def imported(tree):
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    return {(alias.asname or alias.name).split(".")[0] for node in imports for alias in node.names}


def defined(tree):
    """Return every name that some part of the code gives a meaning to, arguments of functions included."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    names |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    named = ast.FunctionDef | ast.ClassDef | ast.ExceptHandler
    return names | {node.name for node in ast.walk(tree) if isinstance(node, named) and node.name}


def names_from_nowhere(cells):
    """Return the names that code in sight uses although only code out of sight defines them."""
    known, missing = set(dir(builtins)), set()
    for cell in code(cells):
        tree = ast.parse(cell.source)
        known |= imported(tree)
        if not UNSEEN & tags(cell):
            known |= defined(tree)
            missing |= loaded(tree) - known
    return missing


def test_code_fits_the_width_of_the_page(cells):
    sources = [cell.source for cell in code(cells)] + listings(cells)
    assert [line for source in sources for line in source.split("\n") if len(line) > COLUMNS] == []


def test_code_in_sight_is_short(cells):
    seen = [cell.source.split("\n") for cell in code(cells) if not UNSEEN & tags(cell)]
    assert [f"{len(lines)} lines: {lines[0]}" for lines in seen if len(lines) > LINES] == []


def test_folded_code_says_what_it_is(cells):
    folded = [cell.metadata.get("mystnb", {}) for cell in code(cells) if "hide-input" in tags(cell)]
    words = [shown.get("code_prompt_show", "") for shown in folded]
    assert [shown.get("code_prompt_hide", "") for shown in folded] == words
    assert len(set(words)) == len(words)
    assert [each for each in words if len(each.split()) < 2 and each != "Imports"] == []


def test_code_in_sight_uses_only_names_that_are_in_sight(cells):
    assert names_from_nowhere(cells) == set()


def test_a_name_that_only_folded_code_defines_would_be_noticed():
    folded = nbformat.v4.new_code_cell("import a\nb = a.x\ndef c(d): return d", metadata={"tags": ["hide-input"]})
    shown = nbformat.v4.new_code_cell("e = c(b) + a.y\ndef f(g): return g + e\nlen([h for h in f(e)])")
    assert names_from_nowhere([folded, shown]) == {"b", "c"}
