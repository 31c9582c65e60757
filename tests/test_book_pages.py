"""What the built pages have beyond the theme: the map, the citation, the footer, and words for shared links."""

import re
import subprocess
import tomllib
from html import unescape
from itertools import pairwise
from pathlib import Path

import pybtex.database
import pytest
import yaml
from bs4 import BeautifulSoup
from docutils import nodes

from cascade_book import pages
from cascade_book.citation import bibtex
from cascade_book.map import Chapter, draw, layout, map_of_chapters, needs, read_parts

ROOT = Path(__file__).resolve().parents[1]
PARTS = read_parts(ROOT)
CHAPTERS = [chapter for chapters in PARTS.values() for chapter in chapters]


def test_both_drawings_of_the_map_have_a_link_for_each_chapter_in_order():
    drawings = BeautifulSoup(map_of_chapters(PARTS), "html.parser").find_all("svg")
    assert len(drawings) == 2
    for drawing in drawings:
        links = [(link["href"], link["aria-label"]) for link in drawing.find_all("a")]
        assert links == [(f"{chapter.stem}.html", chapter.title) for chapter in CHAPTERS]
        assert [each.text for each in drawing.select("text.part")] == list(PARTS)


def test_the_titles_of_the_map_are_those_of_the_table_of_contents():
    listed = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))["parts"]
    titles = [each["title"] for part in listed for each in part["chapters"] if "title" in each]
    assert [chapter.title for chapter in CHAPTERS if chapter.title[0].isdigit()] == titles
    assert all(chapter.title for chapter in CHAPTERS)


def test_every_numbered_chapter_but_the_first_of_a_line_needs_another():
    names = {chapter.name for chapter in CHAPTERS if chapter.title[0].isdigit()}
    assert {name for pair in needs() for name in pair} == names
    assert names - {after for _, after in needs()} == {"one_question", "own_logs"}


@pytest.mark.parametrize("columns", [2, 5])
def test_boxes_do_not_overlap(columns):
    boxes, _, height = layout(PARTS, columns, 700, last_to_the_right=True)
    corners = sorted((box.y, box.x, box.width) for box in boxes.values())
    assert len(set(corners)) == len(CHAPTERS)
    for (y, x, width), (below, right, _) in pairwise(corners):
        assert below > y + 76 or right >= x + width
    assert max(y for y, _, _ in corners) < height


def test_a_title_may_hold_any_character():
    parts = {"A & B": [Chapter("book/x", 'Why <b> & "c"?')]}
    drawing = BeautifulSoup(draw(parts, columns=2, width=300, arrows=False), "html.parser")
    assert drawing.a["aria-label"] == 'Why <b> & "c"?'
    assert "".join(text.text for text in drawing.a.find_all("text")) == 'Why <b> & "c"?'


def test_the_citation_says_what_the_citation_file_says():
    given = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    entries = pybtex.database.parse_string(bibtex(ROOT / "CITATION.cff"), "bibtex").entries.values()
    ours, paper = entries
    assert ours.fields["version"] == given["version"]
    assert ours.fields["year"] == str(given["date-released"])[:4]
    assert ours.fields["title"].strip("{}").replace("\\_", "_") == given["title"]
    assert [str(each) for each in paper.persons["author"]] == [
        f"{each['family-names']}, {each['given-names']}" for each in given["references"][0]["authors"]
    ]
    assert paper.fields["pages"] == "12987--13010"


def test_the_footer_names_version_licence_and_the_day_of_the_commit(monkeypatch):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    known, unknown = (subprocess.CompletedProcess([], 0, stdout=text) for text in ("2031-02-03\n", ""))
    monkeypatch.setattr(pages.subprocess, "run", lambda *_, **__: known)
    assert project["version"] in pages.footer()
    assert project["license"] in pages.footer()
    assert "2031-02-03" in pages.footer()
    monkeypatch.setattr(pages.subprocess, "run", lambda *_, **__: unknown)
    assert not re.search(r"\d{4}-\d\d-\d\d|· ·", pages.footer())


def paragraphs(*texts):
    page = nodes.document(None, None)
    for text in texts:
        content = nodes.math(text, text) if text.startswith("$") else nodes.Text(text)
        page += nodes.paragraph("", "", content)
    return page


def test_a_page_is_described_by_its_first_paragraph_without_formulas():
    assert pages.description(paragraphs("$x$", "Some\nwords.", "More.")) == "Some words."
    assert pages.description(paragraphs()) == ""


def test_a_long_description_ends_after_a_word():
    words = pages.description(paragraphs("one two, " * 100))
    assert len(words) <= 202
    assert re.fullmatch(r"(one two, )*one two …|(one two, )*one …", words)


def test_only_a_site_with_an_address_has_a_picture_for_shared_links():
    with_address = pages.tags("Q & A", 'a "b"', "https://some-one.github.io/book/", "book/page")
    assert 'content="https://some-one.github.io/book/_static/frontier.png"' in with_address
    assert 'content="https://some-one.github.io/book/book/page.html"' in with_address
    found = BeautifulSoup(with_address, "html.parser")
    assert found.find(property="og:title")["content"] == "Q & A"
    assert found.find(attrs={"name": "description"})["content"] == 'a "b"'
    assert "http" not in unescape(pages.tags("T", "words", "", "book/page"))
