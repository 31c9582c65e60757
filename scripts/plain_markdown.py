"""MyST text as standard Markdown: numbers filled in, statements in quotes, proofs folded, references as links."""

import html
import importlib
import inspect
import os
import posixpath
import re
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from textwrap import indent
from unittest.mock import patch

from book_index import BOOK, ROOT, Index, Target
from myst_blocks import CODE, CONFIG, MATH, TARGET, TERMS, TEXT, Block, blocks

from cascade_book.citation import bibtex
from cascade_book.map import Chapter, read_parts

ROLE = re.compile(r"\{([\w:]+)\}`([^`]+)`")
WITH_WORDS = re.compile(r"(.+?)\s*<(\S+)>", flags=re.S)
INLINE_MATH = re.compile(r"(?<![\\$])\$(?!\$)(?:[^$\\]|\\.)+\$", flags=re.S)
DISPLAY = re.compile(r"^( *)\$\$\n(.*?)\n *\$\$$", flags=re.M | re.S)
TERM = re.compile(r"^(\S.*)\n: +", flags=re.M)
MACROS = CONFIG["sphinx"]["config"]["mathjax3_config"]["tex"]["macros"]
RST_MATH = re.compile(r":math:`([^`]+)`")
DOCUMENTED = re.compile(
    r"^\.\. (py:module|currentmodule|autoclass|autofunction|automodule|contents-of):: (\S+)$", flags=re.M
)


class PlainMarkdown:
    """Writes the texts of one page, and notes which sources they cite."""

    def __init__(self, index: Index, page: str) -> None:
        self.index = index
        self.page = page
        self.cited: list[str] = []
        self._anchored: set[str] = set()
        self._kinds: dict[str, Callable[[Block], str]] = {
            TEXT: lambda block: self._running(block.source),
            CODE: lambda block: block.source,
            MATH: self._formula,
            TARGET: lambda block: self._anchor(block.label),
            TERMS: lambda block: self._running(TERM.sub(r"**\1**: ", block.source)),
            "admonition": lambda block: self._quote(f"**{self._running(block.argument)}**", block),
            "chapter-map": lambda _: list_of_chapters(read_parts(ROOT)),
            "citation": lambda _: f"```bibtex\n{bibtex(ROOT / 'CITATION.cff')}\n```",
            "div": lambda block: self.write(block.body),
            "grid": lambda block: self.write(block.body),
            "grid-item-card": lambda block: f"**{block.argument}**\n\n{self.write(block.body)}",
            "command-help": lambda block: f"```text\n{command_help(*block.argument.split())}\n```",
            "bibliography": lambda block: self.references(list(self.index.sources)),
            "eval-rst": lambda block: documented(block.body),
            "exercise": self._statement,
            "figure": self._figure,
            "glossary": lambda block: self._running(glossary(block.body)),
            "raw": lambda block: live_words(block.options["file"]),
            "prf:proof": lambda block: self._folded(f"Proof{self._title(block)}", block),
            "solution": lambda block: self._folded(f"Solution to {self.index.target(block.argument).words}", block),
        }
        self._roles: dict[str, Callable[[str], str]] = {
            "cite:p": lambda keys: f"({self._citations(keys, '{}, {}', '; ')})",
            "cite:t": lambda keys: self._citations(keys, "{} ({})", ", "),
            "glue:text": lambda key: self.index.glue(self.page, key),
            "math": lambda formula: f"${formula}$",
            "term": lambda term: f"*{term}*",
        } | dict.fromkeys(("eq", "numref", "prf:ref", "ref"), self._link)

    def write(self, text: str) -> str:
        """Return a text in standard Markdown."""
        return "\n".join(self._block(block) for block in blocks(text))

    def references(self, keys: list[str]) -> str:
        """Return a list of sources, in order of their authors' names."""
        ordered = sorted(keys, key=lambda key: (self.index.sources[key].authors, self.index.sources[key].year))
        return "\n".join(f'* <a id="{key}"></a>{self.index.sources[key].reference}' for key in ordered)

    def _block(self, block: Block) -> str:
        if block.kind in self._kinds:
            return self._kinds[block.kind](block)
        if block.kind.startswith("prf:"):
            return self._statement(block)
        raise ValueError(f"{self.page}: no plain form is known for {{{block.kind}}}; add one to {__name__}.")

    def _running(self, text: str) -> str:
        text = ROLE.sub(self._role, text)
        # A quote sets a mark before every line, and viewers would take a mark inside a formula for a part of it.
        return INLINE_MATH.sub(lambda found: without_macros(found[0].replace("\n", " ")), text)

    def _role(self, found: re.Match) -> str:
        name, content = found.groups()
        if name not in self._roles:
            raise ValueError(f"{self.page}: no plain form is known for {found[0]}; add one to {__name__}.")
        return self._roles[name](content)

    def _link(self, content: str) -> str:
        named = WITH_WORDS.fullmatch(content)
        words, label = named.groups() if named else ("", content)
        target = self.index.target(label)
        if not (words or target.words):
            raise ValueError(f"{self.page}: a reference to {label} needs words of its own.")
        return f"[{words or self._running(target.words)}]({self.address(label)})"

    def address(self, label: str) -> str:
        """Return where a label is, as seen from this page; JupyterLab finds a cell by its id."""
        target = self.index.target(label)
        place = f"#{fragment(target, label)}" if target.cell != "cell-000" else ""
        page = posixpath.relpath(target.page, posixpath.dirname(self.page) or ".")
        return place if target.page == self.page and place else f"{page}{place}"

    def _anchor(self, label: str) -> str:
        """Return an anchor for viewers that know nothing of cells; labels may share one."""
        name = fragment(self.index.target(label), label)
        if name in self._anchored:
            return ""
        self._anchored.add(name)
        return f'<div id="{name}"></div>\n'

    def _citations(self, keys: str, form: str, between: str) -> str:
        keys = [key.strip() for key in keys.split(",")]
        self.cited += [key for key in keys if key not in self.cited]
        return between.join(self._citation(key, form) for key in keys)

    def _citation(self, key: str, form: str) -> str:
        source = self.index.sources[key]
        listed = "#cell-id=references" if self.page.endswith(".ipynb") else f"#{key}"
        return f"[{form.format(source.authors, source.year)}]({source.link or listed})"

    def _formula(self, block: Block) -> str:
        number = f" \\tag{{{self.index.target(block.label).words[1:-1]}}}" if block.label else ""
        return indent(f"$$\n{without_macros(block.body.strip())}{number}\n$$", block.indent)

    def _title(self, block: Block) -> str:
        return f" ({self._running(block.argument)})" if block.argument else ""

    def _statement(self, block: Block) -> str:
        target = self.index.target(block.label)
        quote = self._quote(f"**{target.words}**{self._title(block)}", block)
        return f"{self._anchor(block.label)}\n{quote}"

    def _quote(self, title: str, block: Block) -> str:
        inner = on_one_line(f"{title}\n\n{self.write(block.body)}")
        return "\n".join(f"> {line}".rstrip() for line in inner.split("\n"))

    def _folded(self, title: str, block: Block) -> str:
        return f"<details><summary><b>{title}</b></summary>\n\n{self.write(block.body)}\n\n</details>"

    def _figure(self, block: Block) -> str:
        target = self.index.target(block.label)
        picture = f"![{block.options['alt']}]({block.argument})"
        return f"{self._anchor(block.label)}\n{picture}\n\n*{target.words}.* {self._running(block.body)}"

    def caption(self, name: str, text: str) -> str:
        """Return the caption of a figure that a cell draws."""
        return f"*{self.index.target(name).words}.* {self._running(text)}"


def fragment(target: Target, label: str) -> str:
    """Return the part of an address after the page: a cell of a notebook, an anchor in a Markdown page."""
    return f"cell-id={target.cell}" if target.page.endswith(".ipynb") else label


def without_macros(formula: str) -> str:
    r"""Write out the macros that the pages define, such as \E."""
    for name, meaning in MACROS.items():
        formula = re.sub(rf"\\{name}(?![a-zA-Z])", lambda _, meaning=meaning: meaning, formula)
    return formula


def on_one_line(text: str) -> str:
    """Write every display formula on one line, for the reason given for inline formulas."""
    return DISPLAY.sub(lambda found: f"{found[1]}$${' '.join(found[2].split())}$$", text)


def list_of_chapters(parts: dict[str, list[Chapter]]) -> str:
    """Return the chapters of each part as a list of links."""
    return "\n".join(f"* *{part}:* {', '.join(map(link_to, chapters))}" for part, chapters in parts.items())


def link_to(chapter: Chapter) -> str:
    """Return a link to a chapter's own file."""
    kind = "ipynb" if (ROOT / f"{chapter.file}.ipynb").exists() else "md"
    return f"[{chapter.title}]({chapter.stem}.{kind})"


def glossary(body: str) -> str:
    """Return a glossary as paragraphs that open with their terms."""
    entries = re.findall(r"((?:^\S.*\n)+)((?:^  .*\n?|^\n)+)", body, flags=re.M)
    return "\n\n".join(
        f"**{', '.join(terms.split(chr(10))[:-1])}.** {inspect.cleandoc(meaning)}" for terms, meaning in entries
    )


def live_words(file: str) -> str:
    """Return what a live figure says when it stands still; it needs a script, and Markdown has none."""
    found = re.search(r'<p class="live-words">(.*?)</p>', (BOOK / file).read_text(encoding="utf-8"))
    if not found:
        return "*(Here the built pages have something that computes in the browser.)*"
    return html.unescape(found[1])


def documented(body: str) -> str:
    """Return the names of a part of the library, each with the first sentence that it says about itself."""
    return "\n".join(f"* `{name}`: {summary(name)}" for name in documented_names(body))


def documented_names(body: str) -> list[str]:
    """Return the full names that directives document."""
    module, names = "", []
    for kind, name in DOCUMENTED.findall(body):
        if kind in ("py:module", "currentmodule"):
            module = name
        elif kind == "automodule":
            names += public_names(name)
        elif kind == "contents-of":
            names += documented_in(BOOK / f"{name}.md")
        else:
            names.append(f"{module}.{name}")
    return names


def documented_in(page: Path) -> list[str]:
    """Return the full names that a page of the reference documents."""
    parts = blocks(page.read_text(encoding="utf-8"))
    return [name for block in parts if block.kind == "eval-rst" for name in documented_names(block.body)]


def public_names(name: str) -> list[str]:
    """Return the full names of all functions and classes that a module offers."""
    module = importlib.import_module(name)
    own = [each for each, value in vars(module).items() if getattr(value, "__module__", "") == name and each[0] != "_"]
    offered = getattr(module, "__all__", own)
    return [f"{name}.{each}" for each in offered if callable(getattr(module, each))]


def summary(name: str) -> str:
    """Return the first sentence that a name says about itself, in Markdown."""
    return RST_MATH.sub(lambda found: f"${found[1]}$", first_sentence(name))


def first_sentence(name: str) -> str:
    """Return the first sentence of a docstring as it stands there."""
    place, _, last = name.rpartition(".")
    return " ".join(inspect.getdoc(getattr(importlib.import_module(place), last)).split("\n\n")[0].split())


def command_help(*command: str) -> str:
    """Return what the command line, or one of its commands, says about itself."""
    from cascade_lib.__main__ import main

    with patch.dict(os.environ, COLUMNS="84"), redirect_stdout(StringIO()) as shown, suppress(SystemExit):
        main([*command, "--help"])
    return shown.getvalue().rstrip()
