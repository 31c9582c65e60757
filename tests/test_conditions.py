"""Every result of the book stands on the page of conditions."""

import re
from pathlib import Path

import nbformat

BOOK = Path(__file__).resolve().parents[1] / "book"


def test_every_result_is_listed_with_its_conditions():
    listed = set(re.findall(r"\{prf:ref\}`([^`]+)`", (BOOK / "conditions.md").read_text(encoding="utf-8")))
    proved = set()
    for path in BOOK.glob("*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            found = re.findall(r"\{prf:(?:theorem|proposition|lemma)\}[^\n]*\n:label: (\S+)", cell.source)
            proved |= set(found) if cell.cell_type == "markdown" else set()
    assert proved == listed
