"""A MyST text as a list of blocks: running text, and everything that standard Markdown lacks or writes otherwise."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser

ROOT = Path(__file__).resolve().parents[1]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
DIRECTIVE = re.compile(r"\{([\w:-]+)\}\s*(.*)")
OPTION = re.compile(r":([\w-]+):\s*(.*)")
MATH, CODE, TARGET, TERMS, TEXT = "math", "code", "target", "terms", "text"
KINDS = {  # what the parser calls them
    "math_block": MATH,
    "math_block_label": MATH,
    "amsmath": MATH,
    "fence": CODE,
    "colon_fence": CODE,
    "code_block": CODE,
    "myst_target": TARGET,
    "dl_open": TERMS,
}


@dataclass(frozen=True)
class Block:
    """A part of a text: its kind (one of the five above, or a directive's name), its own words, and its source."""

    kind: str
    body: str
    source: str
    argument: str = ""
    label: str = ""
    options: dict[str, str] = field(default_factory=dict)

    @property
    def indent(self) -> str:
        """The blanks before it, in a list."""
        return self.source[: len(self.source) - len(self.source.lstrip(" "))]

    def inner(self) -> Iterator["Block"]:
        """Yield the block and all blocks inside it."""
        yield self
        if self.kind not in (MATH, CODE, TARGET, TERMS, TEXT):
            for block in blocks(self.body):
                yield from block.inner()


@cache
def parser() -> MarkdownIt:
    """Return the parser of the book's pages."""
    return create_md_parser(MdParserConfig(enable_extensions=CONFIG["parse"]["myst_enable_extensions"]), RendererHTML)


@cache
def blocks(text: str) -> tuple[Block, ...]:
    """Cut a text into its blocks, in order; joined by line breaks, their sources are the text.

    Inside lists and quotes only display formulas are found, where they start a line.
    """
    lines, found, done = text.split("\n"), [], 0
    for token in parser().parse(text):
        if token.type not in KINDS:
            continue
        start, end = token.map
        if start < done or (token.level and not lines[start].lstrip().startswith("$$")):
            continue
        found += _running(lines[done:start])
        found.append(_block(token, "\n".join(lines[start:end])))
        done = end
    return (*found, *_running(lines[done:]))


def _running(lines: list[str]) -> list[Block]:
    source = "\n".join(lines)
    return [Block(TEXT, source, source)] if lines else []


def _block(token: Token, source: str) -> Block:
    directive = DIRECTIVE.fullmatch(token.info.strip()) if token.type in ("fence", "colon_fence") else None
    if directive:
        return _directive(*directive.groups(), token.content, source)
    label = {TARGET: token.content, MATH: token.info}.get(KINDS[token.type], "")
    return Block(KINDS[token.type], token.content, source, label=label)


def _directive(kind: str, argument: str, content: str, source: str) -> Block:
    lines, options = content.split("\n"), {}
    while lines and (option := OPTION.fullmatch(lines[0])):
        options[option[1]] = option[2].strip()
        lines.pop(0)
    label = options.get("label") or options.get("name", "")
    return Block(kind, "\n".join(lines).strip("\n"), source, argument, label, options)


def pieces(name: str, text: str) -> list[tuple[str, str]]:
    """Cut a cell so that each labelled passage starts a cell that bears its label; what stands before keeps `name`."""
    cut = [(name, [])]
    for block in blocks(text):
        _, before = cut[-1]
        at_start = not any(each.source.strip() for each in before)
        if block.label and block.kind != MATH and not at_start and before[-1].kind != TARGET:
            cut.append((block.label, []))
        cut[-1][1].append(block)
    return [(label, "\n".join(block.source for block in part)) for label, part in cut]
