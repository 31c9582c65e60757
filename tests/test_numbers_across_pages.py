"""Numbers that one page shows from another are glued there: a chapter that drops one would leave a hole elsewhere."""

import re

import nbformat
import pytest
from test_reproduction_table import BOOK, REFERENCE, glued

ELSEWHERE = re.compile(r"(\w+\.ipynb)::([\w.-]+):s")


def text_of(page):
    if page.suffix == ".md":
        return page.read_text(encoding="utf-8")
    cells = nbformat.read(page, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


PAGES = [page for page in sorted(BOOK.glob("*.*")) if page.suffix in (".md", ".ipynb")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_numbers_from_other_pages_are_glued_there(page):
    for reference in REFERENCE.findall(text_of(page)):
        if "::" in reference:
            found = ELSEWHERE.fullmatch(reference)
            assert found, f"{reference}: write page.ipynb::key:s"
            assert glued(found[1]).get(found[2]), f"{found[1]} glues no {found[2]}"


def test_the_checklist_shows_numbers_of_several_chapters():
    pages = {reference.split("::")[0] for reference in REFERENCE.findall(text_of(BOOK / "checklist.ipynb"))}
    assert len(pages) >= 5
