"""What a page of the book may refer to: labels with their numbers, numbers computed by cells, and sources.

Numbers run through the whole book in the order of its table of contents, as in the built pages; there Sphinx,
sphinx-proof and sphinx-exercise count, each kind by itself.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import nbformat
import pybtex.database
import yaml
from myst_blocks import MATH, TARGET, Block, blocks, pieces
from myst_nb.core.variables import format_plain_text
from pybtex.plugin import find_plugin
from pybtex.richtext import Text

from cascade_book.typeset import with_minus

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
NUMBERED = {
    "prf:theorem": "Theorem",
    "prf:proposition": "Proposition",
    "prf:lemma": "Lemma",
    "prf:corollary": "Corollary",
    "prf:definition": "Definition",
    "exercise": "Exercise",
    "figure": "Fig.",
}
GLUED = "application/papermill.record/text/plain"
GLUE_KEY = re.compile(r"(?:(?P<page>.+\.ipynb)::)?(?P<key>[^:]+)(?::(?P<form>.*))?")
HEADING = re.compile(r"\s*#+ (.+)")
ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")


@dataclass(frozen=True)
class Target:
    """Where a label is, and what a link to it says if it has no words of its own."""

    page: str
    cell: str
    words: str


@dataclass(frozen=True)
class Page:
    """A source of the book: its file's name, and its cells; a Markdown file is one cell."""

    name: str
    notebook: nbformat.NotebookNode


@dataclass
class Index:
    """All pages in order, and what they hold that can be referred to."""

    pages: list[Page]
    targets: dict[str, Target] = field(default_factory=dict)
    glued: dict[tuple[str, str], str] = field(default_factory=dict)

    def __post_init__(self):
        """Go through all pages once."""
        self._counts = Counter()
        for page in self.pages:
            for cell in page.notebook.cells:
                if cell.cell_type == "markdown":
                    self._enter_text(page.name, cell)
                elif cell.cell_type == "code":
                    self._enter_outputs(page.name, cell)

    def glue(self, page: str, reference: str) -> str:
        """Return the number that a cell has glued under a key, of this page or as ``PAGE.ipynb::KEY``, as written."""
        found = GLUE_KEY.fullmatch(reference)
        page = found["page"] or page
        if (page, found["key"]) not in self.glued:
            raise LookupError(f"{page} glues no number under {found['key']!r}.")
        return with_minus(format_plain_text(self.glued[page, found["key"]], found["form"] or ""))

    def target(self, label: str) -> Target:
        """Return where a label is."""
        if label not in self.targets:
            raise LookupError(f"No page of the book has the label {label!r}.")
        return self.targets[label]

    @cached_property
    def sources(self) -> dict[str, "Source"]:
        """The bibliography, by key."""
        parsed = pybtex.database.parse_file(str(BOOK / "references.bib"))
        style = find_plugin("pybtex.style.formatting", "unsrt")()
        markdown = find_plugin("pybtex.backends", "markdown")()
        entries = list(parsed.entries.values())
        written = [each.text.render(markdown) for each in style.format_entries(entries, parsed)]
        return {entry.key: Source(entry, text) for entry, text in zip(entries, written, strict=True)}

    def _count(self, kind: str) -> int:
        self._counts[kind] += 1
        return self._counts[kind]

    def _enter_text(self, page: str, cell: nbformat.NotebookNode) -> None:
        for name, text in pieces(cell.id, cell.source):
            top = blocks(text)
            for position, block in enumerate(top):
                for inner in block.inner():
                    self._enter_block(Target(page, name, ""), inner, top[position + 1 :])

    def _enter_block(self, place: Target, block: Block, after: tuple[Block, ...]) -> None:
        words = ""
        if block.kind in NUMBERED:
            words = f"{NUMBERED[block.kind]} {self._count(block.kind)}"
        elif block.kind == MATH and block.label:
            words = f"({self._count(MATH)})"
        elif block.kind == TARGET:
            words = _heading(after)
        if block.label:
            self._enter(block.label, place.page, place.cell, words)

    def _enter_outputs(self, page: str, cell: nbformat.NotebookNode) -> None:
        if figure := cell.metadata.get("mystnb", {}).get("figure"):
            self._enter(figure["name"], page, cell.id, f"{NUMBERED['figure']} {self._count('figure')}")
        for output in cell.outputs:
            if GLUED in output.get("data", {}):
                self.glued[page, output.metadata.scrapbook.name] = output.data[GLUED]

    def _enter(self, label: str, page: str, cell: str, words: str) -> None:
        if label in self.targets:
            raise ValueError(f"{page}: the label {label} is taken by {self.targets[label].page}; choose another.")
        self.targets[label] = Target(page, cell, words)


def _heading(after: tuple[Block, ...]) -> str:
    """Return the heading that a label stands before, maybe with other labels between; else nothing."""
    following = next((block for block in after if block.kind != TARGET), None)
    found = following and HEADING.match(following.source)
    return found[1] if found else ""


@dataclass(frozen=True)
class Source:
    """An entry of the bibliography, and how it is written in a list of references."""

    entry: pybtex.database.Entry
    written: str

    @property
    def authors(self) -> str:
        """Who is named in a text."""
        persons = self.entry.persons["author"]
        names = [str(Text.from_latex(" ".join(each.prelast_names + each.last_names))) for each in persons]
        return f"{names[0]} et al." if len(names) > 2 or names[-1] == "others" else " and ".join(names)

    @property
    def year(self) -> str:
        """When it appeared."""
        return self.entry.fields["year"]

    @property
    def link(self) -> str | None:
        """Where it can be read, if the entry says so."""
        fields = self.entry.fields
        arxiv = ARXIV.search(fields.get("note", ""))
        number = fields.get("eprint") or (arxiv and arxiv[1])
        known = {"doi": "https://doi.org/{}", "url": "{}"}
        found = [form.format(fields[name]) for name, form in known.items() if name in fields]
        return found[0] if found else number and f"https://arxiv.org/abs/{number}"

    @property
    def reference(self) -> str:
        """The entry in a list of references, in Markdown, on one line."""
        line = re.sub(r"\\([.\-():])", r"\1", " ".join(self.written.split()))
        return re.sub(r"(?<!\[)" + ARXIV.pattern, r"[arXiv:\1](https://arxiv.org/abs/\1)", line)


def read_pages() -> Iterator[Page]:
    """Yield the pages of the book in the order of its table of contents."""
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    for name in [contents["root"], *(chapter["file"] for part in contents["parts"] for chapter in part["chapters"])]:
        path = ROOT / f"{name}.ipynb"
        if path.exists():
            yield Page(path.name, nbformat.read(path, as_version=4))
        else:
            yield Page(f"{path.stem}.md", _as_notebook(path.with_suffix(".md")))


def _as_notebook(path: Path) -> nbformat.NotebookNode:
    cell = nbformat.v4.new_markdown_cell(path.read_text(encoding="utf-8"), id=path.stem)
    return nbformat.v4.new_notebook(cells=[cell])
