"""Every committed notebook was executed in order, shows no error, and belongs to the book."""

import ast
import json
import re
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
WIDGET_STATE = "application/vnd.jupyter.widget-state+json"


def chapters():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    return [toc["root"], *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"])]


def code_cells(notebook):
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    return [cell for cell in cells if "skip-execution" not in cell.metadata.get("tags", [])]


def test_the_table_of_contents_lists_every_page_once():
    pages = [
        path.relative_to(ROOT).with_suffix("").as_posix()
        for path in (ROOT / "book").glob("*.*")
        if path.suffix in (".md", ".ipynb")
    ]
    assert sorted(chapters()) == sorted(pages)


def test_the_table_of_contents_numbers_the_chapters():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    shown = {chapter["file"]: chapter.get("title") for part in toc["parts"] for chapter in part["chapters"]}
    for path in NOTEBOOKS:
        number, title = re.match(r"0?(\d+)_", path.name), re.search(r"^# (.+)$", first_cell(path), flags=re.M)[1]
        assert shown[f"book/{path.stem}"] == (f"{number[1]} {title}" if number else None)


def first_cell(path):
    return nbformat.read(path, as_version=4).cells[0].source


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    assert request.param.stat().st_size < 2_500_000
    notebook = nbformat.read(request.param, as_version=4)
    nbformat.validate(notebook)
    return notebook


def test_it_was_executed_once_from_top_to_bottom(notebook):
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))


def test_it_shows_neither_errors_nor_warnings(notebook):
    for cell in code_cells(notebook):
        for output in cell.outputs:
            assert output.output_type != "error" or "raises-exception" in cell.metadata.get("tags", [])
            assert output.get("name") != "stderr", output.get("text")


def test_widgets_bring_their_state(notebook):
    views = [
        output.data[WIDGET_VIEW]["model_id"]
        for cell in code_cells(notebook)
        for output in cell.outputs
        if WIDGET_VIEW in output.get("data", {})
    ]
    state = notebook.metadata.get("widgets", {}).get(WIDGET_STATE, {}).get("state", {})
    assert set(views) <= state.keys()
    assert views or not state  # none is left of widgets that have gone


def test_it_names_no_place_on_the_machine_that_ran_it(notebook):
    text = json.dumps(notebook)
    assert not re.search(r"/home/|/root/|/Users/|ipykernel_|/tmp/|site-packages", text)


def test_it_opens_with_a_labelled_title(notebook):
    assert re.match(r"\(ch-[a-z-]+\)=\n# \S", notebook.cells[0].source)


def test_every_figure_has_an_alternative_text(notebook):
    for cell in code_cells(notebook):
        if any("image/png" in output.get("data", {}) for output in cell.outputs):
            assert cell.metadata.get("mystnb", {}).get("image", {}).get("alt"), cell.source


def test_no_function_is_defined_in_two_chapters():
    seen = {}
    for path in NOTEBOOKS:
        for cell in code_cells(nbformat.read(path, as_version=4)):
            for name in re.findall(r"^def (\w+)", cell.source, flags=re.M):
                assert seen.setdefault(name, path) == path, f"{name} is defined in {seen[name].name} and {path.name}"


def test_no_name_of_the_library_is_used_before_it_is_introduced():
    introduced = {"datasets", "plots"}  # modules, whose parts are named where they are used
    for chapter in chapters():
        path = ROOT / f"{chapter}.ipynb"
        if not path.exists():
            continue
        used_here = re.search(r"\*\*Used here:\*\*(.+?)(?:\n\n|\Z)", first_cell(path), flags=re.S)
        introduced |= set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", used_here[1])))) if used_here else set()
        for cell in code_cells(nbformat.read(path, as_version=4)):
            for node in ast.walk(ast.parse(cell.source)):
                if isinstance(node, ast.ImportFrom) and node.module.startswith("cascade_lib"):
                    assert {alias.name for alias in node.names} <= introduced, path.name
