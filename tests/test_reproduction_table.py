"""Every number of ours in the reproduction table is glued in a chapter, as text that the table can show."""

import re
from functools import cache
from pathlib import Path

import nbformat

BOOK = Path(__file__).resolve().parents[1] / "book"
REFERENCE = re.compile(r"\{glue:text\}`([^`]+)`")
RECORD = "application/papermill.record/text/plain"


@cache
def glued(name):
    cells = nbformat.read(BOOK / name, as_version=4).cells
    outputs = [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]
    kept = [output for output in outputs if "scrapbook" in output.get("metadata", {})]
    return {output.metadata["scrapbook"]["name"]: output.data.get(RECORD, "") for output in kept}


def test_every_number_of_ours_is_computed_in_a_chapter():
    references = REFERENCE.findall((BOOK / "reproduction_table.md").read_text(encoding="utf-8"))
    assert len(references) > 200
    for reference in references:
        page, key = re.fullmatch(r"(\w+\.ipynb)::([\w-]+):s", reference).groups()  # without the :s it would be local
        assert glued(page).get(key), f"{page} glues no {key}"
