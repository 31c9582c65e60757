"""A Sphinx extension with what the book's pages have beyond Jupyter Book's own.

Numbers of chapters, names in code that link to the reference, tables of contents of the reference, labels of sources
as the text cites them, and plain notebooks to download.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from book_index import Index, Source, chapter_numbers, chapter_words, read_pages
from build_book import repository
from docutils import nodes
from docutils.statemachine import StringList
from plain_markdown import command_help, documented_in, first_sentence
from plain_notebooks import write_page
from pybtex.database import Entry
from pybtex.plugin import register_plugin
from pybtex.style.formatting.unsrt import Style
from pybtex.style.labels import BaseLabelStyle
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.ext.autosummary import Autosummary
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

NAME = re.compile(r"(?P<name>[A-Za-z_][\w.]*)(?P<call>\(.*\))?", flags=re.S)
WORDS = {
    "diagnose",
    "hull",
    "omniscient",
    "segments",
    "study",
    "walk",
}  # in code type always the function
WITHOUT_LINKS = (nodes.reference, nodes.title, addnodes.desc_signature)
DOWNLOAD = re.compile(r'(<a href="[^"]*_sources/[^"]*") target="_blank"')
ELSEWHERE = re.compile(r'(<a href="https://[^"]*" target="_blank")(?! rel=)')


def number_chapter(app: Sphinx, document: nodes.document) -> None:
    """Set the number of a chapter before its title, and "Chapter" with the number into the words of links to it."""
    number = chapter_numbers(Path(app.srcdir)).get(app.env.docname)
    if number is None:
        return
    title = next(document.findall(nodes.title))
    words = title.astext()
    labels = app.env.get_domain("std").labels
    for label, (page, place, named) in labels.items():
        if page == app.env.docname and named == words:
            labels[label] = (page, place, chapter_words(number, words))
    title.insert(0, nodes.Text(f"{number} "))


class CodeLinks(SphinxPostTransform):
    """Links names in code type to their entries in the reference; plain lower-case words may mean something else."""

    default_priority = 20  # after references have become links
    formats = ("html",)

    def run(self, **_) -> None:
        """Link every name that has one entry."""
        objects = self.env.get_domain("py").objects
        for literal in list(self.document.findall(nodes.literal)):
            found = entry(literal.astext(), objects)
            if found and not any(closed_to(found, parent) for parent in parents(literal)):
                place = objects[found]
                if place.objtype == "module" and place.docname == self.env.docname:
                    continue  # its entry is the whole page
                link = make_refnode(
                    self.app.builder, self.env.docname, place.docname, place.node_id, literal.deepcopy(), found
                )
                literal.replace_self(link)


def entry(code: str, objects: dict) -> str | None:
    """Return the full name of the one entry of the reference that code such as "Policy.save" or "study(…)" means."""
    words = NAME.fullmatch(code)
    if not words or not (words["call"] or words["name"] in WORDS or re.search(r"[A-Z._]", words["name"])):
        return None
    name = words["name"]
    entries = {each: place.objtype for each, place in objects.items() if not place.aliased}
    found = [each for each in entries if each == name or each.endswith(f".{name}")]
    if "." not in name:  # a method or an attribute alone does not say what it belongs to
        found = [each for each in found if entries[each] in ("class", "exception", "function", "module")]
    return found[0] if len(found) == 1 else None


def parents(node: nodes.Node) -> Iterator[nodes.Node]:
    """Yield all nodes that a node lies in."""
    while node := node.parent:
        yield node


def closed_to(name: str, parent: nodes.Node) -> bool:
    """Whether no link to a name may stand inside a node: in links, in titles, and in the name's own entry."""
    own = isinstance(parent, addnodes.desc) and name in parent[0]["ids"]
    return own or isinstance(parent, WITHOUT_LINKS)


class ContentsOf(Autosummary):
    """A table of the names on a page of the reference, each with the first sentence that it says about itself."""

    required_arguments = 1
    has_content = False

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        page = Path(self.env.srcdir, "book", f"{self.arguments[0]}.md")
        self.content = StringList(documented_in(page), str(page))
        self.options["nosignatures"] = None
        self.env.note_dependency(str(page))
        return super().run()

    def get_items(self, names: list[str]) -> list[tuple[str, str, str, str]]:
        """Return the rows: the name in its room, no signature, the sentence, and the name to link to."""
        return [(name.rpartition(".")[2], "", first_sentence(name), name) for name in names]


class CommandHelp(SphinxDirective):
    """What a command of the command line says about itself."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return it as it is printed."""
        text = command_help(*self.arguments)
        return [nodes.literal_block(text, text, language="text")]


class AuthorYearLabels(BaseLabelStyle):
    """Labels of sources that read as the text cites them."""

    def format_labels(self, entries: list[Entry]) -> Iterator[str]:
        """Yield the label of each."""
        for each in entries:
            source = Source(each, "")
            yield f"{source.authors}, {source.year}"


class AuthorYear(Style):
    """The bibliography's style: in order of authors and years, and labelled by them."""

    default_sorting_style = "author_year_title"
    default_label_style = AuthorYearLabels


def with_list_items(app: Sphinx, page: str, template: str, context: dict, document: nodes.document | None) -> None:
    """Call the entries of the bibliography items of a list, for docutils calls them so that screen readers see none."""
    if "body" in context:
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')


def offer_plain_notebooks(app: Sphinx, failure: Exception | None) -> None:
    """Put plain notebooks where the pages' download buttons point."""
    if failure or app.builder.name != "html":
        return
    output = Path(app.outdir)
    index = Index(list(read_pages(Path(app.srcdir))))
    for page in index.pages:
        write_page(page, index, output / "_sources" / "book", repository())


def finish_buttons(app: Sphinx, failure: Exception | None) -> None:
    """Let the theme's download buttons save a file, and give the pages that others open no hold on this one."""
    for path in Path(app.outdir).rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        text = ELSEWHERE.sub(r'\1 rel="noopener"', DOWNLOAD.sub(r"\1 download", text))
        path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register everything."""
    register_plugin("pybtex.style.formatting", "author_year", AuthorYear)
    app.add_directive("contents-of", ContentsOf)
    app.add_directive("command-help", CommandHelp)
    app.add_post_transform(CodeLinks)
    app.connect("doctree-read", number_chapter, priority=400)  # before titles are collected, after labels are
    app.connect("html-page-context", with_list_items)
    app.connect("build-finished", offer_plain_notebooks)
    app.connect("build-finished", finish_buttons)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
