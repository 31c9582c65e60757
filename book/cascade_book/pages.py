"""A Sphinx extension for what pages need beyond the theme: map, citation, footer, and words for shared links."""

import subprocess
import tomllib
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from markupsafe import Markup
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util.docutils import SphinxDirective

from .citation import bibtex
from .map import map_of_chapters, read_parts

ROOT = Path(__file__).resolve().parents[2]
COVER = "_static/frontier.png"
LONGEST = 200  # characters of a description that are shown where links are shared


class ChapterMap(SphinxDirective):
    """The map of the chapters."""

    def run(self) -> list[nodes.Node]:
        """Draw it from the table of contents."""
        self.env.note_dependency("_toc.yml")
        return [nodes.raw("", map_of_chapters(read_parts(Path(self.env.srcdir))), format="html")]


class Citation(SphinxDirective):
    """What to cite, as BibTeX to copy."""

    def run(self) -> list[nodes.Node]:
        """Take it from the citation file."""
        text = bibtex(ROOT / "CITATION.cff")
        return [nodes.literal_block(text, text, language="bibtex")]


def footer() -> str:
    """Return version, date of the last commit, if git knows one, and licence."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    date = last_commit()
    parts = [f"{project['name']} {project['version']}", *([date] if date else []), f"{project['license']} licence"]
    return f'<p class="edition">{" · ".join(escape(part) for part in parts)}</p>'


def last_commit() -> str:
    """Return the day of the commit that is built, or nothing if git does not know."""
    call = ["git", "-C", str(ROOT), "log", "-1", "--format=%cs"]
    try:
        return subprocess.run(call, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:
        return ""  # no git: an unpacked archive


def description(page: nodes.document) -> str:
    """Return the beginning of the first paragraph that needs no mathematics to be read."""
    for paragraph in page.findall(nodes.paragraph):
        text = " ".join(paragraph.astext().split())
        if text and not list(paragraph.findall(nodes.math)):
            return text if len(text) <= LONGEST else text[:LONGEST].rsplit(" ", 1)[0].rstrip(",;:") + " …"
    return ""


def tags(title: str, text: str, address: str, page: str) -> str:
    """Return the tags that say what a shared link leads to; addresses only if the site's own is known."""
    named = {"og:type": "article", "og:title": title}
    if text:
        named["og:description"] = text
    if address:
        named |= {"og:url": f"{address}{page}.html", "og:image": f"{address}{COVER}"}
    lines = [f'<meta property="{name}" content="{escape(value)}" />' for name, value in named.items()]
    lines.append(f'<meta name="twitter:card" content="{"summary_large_image" if address else "summary"}" />')
    if text:
        lines.append(f'<meta name="description" content="{escape(text)}" />')
    return "\n".join(lines)


def add_footer(app: Sphinx, config: Config) -> None:
    """Give the theme its footer."""
    config.html_theme_options["extra_footer"] = footer()


def add_tags(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """Describe every page that has a text."""
    if doctree is not None:
        title = Markup(context["title"]).striptags()
        context["metatags"] += tags(title, description(doctree), app.config.html_baseurl, page)


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx what is here."""
    app.add_directive("chapter-map", ChapterMap)
    app.add_directive("citation", Citation)
    app.connect("config-inited", add_footer)
    app.connect("html-page-context", add_tags)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
