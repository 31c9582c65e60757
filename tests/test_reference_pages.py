"""The glossary has the words that readers look up, and the letters on the page of symbols are where it says."""

import html
import re
from pathlib import Path

import nbformat
import pytest

BOOK = Path(__file__).resolve().parents[1] / "book"
NOTEBOOKS = {
    path: "\n".join(c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "markdown")
    for path in sorted(BOOK.glob("*.ipynb"))
}
LOOKED_UP = """advantage, AUROC, bias, chain, clearly, ECE, forgetful, gap, greedy, hundredth, lead, leaf, margin,
net value, no-expect, open loop, overhead, paired bootstrap, percentage point, point, R², verdict, verifier"""
FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$]+)\$|```\{math\}(.*?)```", flags=re.S)


def entries():
    """Return the names of every entry of the glossary: a definition may have several."""
    (body,) = re.findall(r"```\{glossary\}\n(.*?)```", (BOOK / "glossary.md").read_text(encoding="utf-8"), flags=re.S)
    blocks = body.strip("\n").split("\n\n")
    return [[line for line in block.splitlines() if not line.startswith(" ")] for block in blocks]


def spoken(text):
    """Return words as they are compared: in lower case, on one line, R² as it is written in formulas."""
    return re.sub(r"\s+", " ", text.replace("R^2", "R²").lower())


def test_the_glossary_has_the_words_that_readers_look_up():
    names = {name for entry in entries() for name in entry}
    assert set(re.split(r",\s+", LOOKED_UP)) <= names


def test_the_glossary_is_in_alphabetical_order():
    names = [re.sub("[^a-z0-9]", "", spoken(entry[0])) for entry in entries()]
    assert names == sorted(names)


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry[0])
def test_the_book_uses_every_word_of_the_glossary(entry):
    text = spoken("\n".join(NOTEBOOKS.values()))
    assert any(re.search(rf"(?<!\w){re.escape(spoken(name))}", text) for name in entry)


def local_letters():
    """Return (letter, label of a chapter) for every chapter that the table of local letters links to."""
    table = (BOOK / "notation.md").read_text(encoding="utf-8").split("## Letters that are local")[1]
    rows = re.findall(r"^\| (\$[^|]+\$) \| (.+) \|$", table, flags=re.M)
    return [(letter, label) for letter, cell in rows for label in re.findall(r"\{ref\}`[^`<]+ <([^>]+)>`", cell)]


@pytest.mark.parametrize(("letter", "label"), local_letters())
def test_a_local_letter_stands_in_the_chapter_that_the_page_of_symbols_names(letter, label):
    (text,) = [text for text in NOTEBOOKS.values() if text.startswith(f"({label})=")]
    formulas = " ".join("".join(match) for match in FORMULA.findall(text))
    formulas = re.sub(r"\\(?:text|operatorname|label)\{[^}]*\}", "", formulas)
    name = letter.strip("$")
    in_prose = name[0] == "\\" and html.unescape(f"&{name[1:]};") in text  # Greek letters also stand outside formulas
    assert in_prose or re.search(rf"(?<![A-Za-z\\]){re.escape(name)}(?![A-Za-z])", formulas)
