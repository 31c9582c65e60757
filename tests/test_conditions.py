"""Every result of the book has a proof, a cell that checks it, links both ways, and a row on the page of conditions."""

import re
from pathlib import Path

import nbformat
import pytest

BOOK = Path(__file__).resolve().parents[1] / "book"
CONDITIONS = (BOOK / "conditions.md").read_text(encoding="utf-8")
RESULT = re.compile(r"\{prf:(?:theorem|proposition|lemma|corollary)\}[^\n]*\n:label: (\S+)")
NOTEBOOKS = {path: nbformat.read(path, as_version=4).cells for path in sorted(BOOK.glob("*.ipynb"))}


def words(cells):
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


RESULTS = [(label, path) for path, cells in NOTEBOOKS.items() for label in RESULT.findall(words(cells))]


def test_every_result_is_listed_with_its_conditions_and_its_check():
    rows = re.findall(r"^\| (\{prf:ref\}.+?) \|(?:.*\|){3} (.+) \|$", CONDITIONS, flags=re.M)
    listed = [(re.findall(r"`([^`]+)`", results), re.findall(r"<check-([^>]+)>", checks)) for results, checks in rows]
    assert all(results == checks for results, checks in listed)
    assert sorted(label for results, _ in listed for label in results) == sorted(label for label, _ in RESULTS)


@pytest.mark.parametrize(("label", "path"), RESULTS, ids=[label for label, _ in RESULTS])
def test_every_result_is_proved_and_links_to_a_cell_that_can_fail(label, path):
    cells = NOTEBOOKS[path]
    after = words(cells).split(f":label: {label}\n", 1)[1]
    proof, end = after.index("{prf:proof}"), RESULT.search(after)
    assert end is None or proof < end.start()
    assert f"<check-{label}>" in after
    (place,) = [
        i for i, cell in enumerate(cells) if cell.cell_type == "markdown" and f"(check-{label})=" in cell.source
    ]
    check = next(cell for cell in cells[place + 1 :] if cell.cell_type == "code")
    assert re.search(r"\bassert\b|\bnp\.testing\.", check.source)
