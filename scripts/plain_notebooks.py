"""Write the book as plain notebooks, in which nothing but standard Markdown, HTML and LaTeX stands, into OUTPUT.

The sources in book/ are MyST, which JupyterLab, Colab and GitHub show as raw text. Everything that chapters import
or read is copied beside them, so they run where they are. A copy that stood there before is kept as OUTPUT.earlier.
"""

import argparse
import html
import re
import shutil
from pathlib import Path

import nbformat
from book_index import BOOK, ROOT, Index, Page, read_pages
from build_book import repository
from myst_blocks import pieces
from nbformat import NotebookNode
from plain_markdown import PlainMarkdown

FOLDED = {"remove-cell", "remove-input", "hide-cell", "hide-input"}
WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
ONLY_IN_THE_PAGES = (
    "*.ipynb",
    "*.md",
    "*.bib",
    "*.toml",
    "vendor",
    "assets",
    "landing",
    "templates",
    "__pycache__",
    ".ipynb_checkpoints",
)

FETCH_THE_BOOK = """\
# A notebook that was opened alone, as in Colab, fetches the book that it is a part of. Elsewhere this does nothing.
import importlib.util
import os
import subprocess
import sys

if not os.path.exists("draws"):
    if not os.path.exists("the-book"):
        subprocess.run(["git", "clone", "--quiet", "--depth", "1", "{address}", "the-book"], check=True)
    if importlib.util.find_spec("cascade_lib") is None:
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "./the-book[book]"], check=True)
        importlib.invalidate_caches()
    os.chdir("the-book/book")
"""


def plain(page: Page, index: Index, address: str | None = None) -> NotebookNode:
    """Return a page as a plain notebook; one that is opened alone can fetch the rest from the repository `address`."""
    writer = PlainMarkdown(index, page.name)
    state = page.notebook.metadata.get("widgets", {}).get(WIDGET_STATE, {}).get("state", {})
    cells = [new for cell in page.notebook.cells for new in plain_cells(cell, writer, state)]
    if page.number:
        cells[0].source = re.sub("^# ", f"# {page.number} ", cells[0].source, count=1, flags=re.M)
    if writer.cited:
        cells.append(markdown_cell("references", f"## References\n\n{writer.references(writer.cited)}"))
    if address:
        cells.insert(0, setup_cell(address))
    return nbformat.from_dict({**page.notebook, "cells": cells})


def plain_cells(cell: NotebookNode, writer: PlainMarkdown, state: dict) -> list[NotebookNode]:
    """Return what becomes of one cell."""
    if cell.cell_type == "markdown":
        return [markdown_cell(name, writer.write(text).strip("\n")) for name, text in pieces(cell.id, cell.source)]
    if cell.cell_type == "code":
        return plain_code(cell, writer, state)
    return [cell]


def plain_code(cell: NotebookNode, writer: PlainMarkdown, state: dict) -> list[NotebookNode]:
    """Return a cell of code, folded where the page hides its code, and the caption of its figure."""
    cell = nbformat.from_dict(cell)
    shown = cell.metadata.pop("mystnb", {})
    if FOLDED & set(cell.metadata.get("tags", [])):
        cell.metadata["jupyter"] = {"source_hidden": True}
    if "code_prompt_show" in shown:
        # Of folded code JupyterLab shows the first line.
        cell.source = f"# {shown['code_prompt_show']}\n{cell.source}"
    for output in cell.outputs:
        if WIDGET_VIEW in output.get("data", {}):
            show_first_frame(output, state)
        if "image/png" in output.get("data", {}) and "image" in shown:
            output.metadata.setdefault("image/png", {})["alt"] = shown["image"]["alt"]
    if "figure" not in shown:
        return [cell]
    figure = shown["figure"]
    return [cell, markdown_cell(figure["name"], writer.caption(figure["name"], figure["caption"]))]


def show_first_frame(output: NotebookNode, state: dict) -> None:
    """Add the first frame of an explorer and its words, for viewers without a kernel and those that trust no widget."""
    box = state[output.data[WIDGET_VIEW]["model_id"]]["state"]
    parts = [state[name.removeprefix("IPY_MODEL_")] for name in box["children"]]
    settings = [setting(part["state"]) for part in parts if part["model_name"] == "SelectionSliderModel"]
    picture = next(frame(part, state) for part in parts if part["model_name"] == "StackModel")
    words = plain_words(next(part["state"]["value"] for part in parts if part["model_name"] == "HTMLModel"))
    output.data["image/png"] = picture
    output.data["text/plain"] = f"{', '.join(settings)}. {words}"
    output.data["text/html"] = (
        f'<img src="data:image/png;base64,{picture}" alt="{html.escape(words)}">\n'
        f"<p><b>{html.escape(', '.join(settings))}.</b> {html.escape(words)}</p>\n"
        "<p><i>Run the notebook to move the slider.</i></p>"
    )


def setting(slider: dict) -> str:
    """Return what a slider is set to, such as "budget: 317 tokens"."""
    return f"{slider['description']}: {slider['_options_labels'][slider['index']]}"


def frame(part: dict, state: dict) -> str:
    """Return the picture that a stack of pictures, or of such stacks, shows first, in base64."""
    if part["model_name"] == "ImageModel":
        return part["buffers"][0]["data"]
    chosen = part["state"]["children"][part["state"]["selected_index"]]
    return frame(state[chosen.removeprefix("IPY_MODEL_")], state)


def plain_words(text: str) -> str:
    """Return a text without its HTML tags and its style."""
    return html.unescape(re.sub(r"<style>.*?</style>|<[^>]+>", "", text, flags=re.S)).strip()


def markdown_cell(name: str, source: str) -> NotebookNode:
    """Return a cell of Markdown; links find it by its name."""
    return nbformat.v4.new_markdown_cell(source, id=name)


def setup_cell(address: str) -> NotebookNode:
    """Return a folded cell that makes a notebook run that stands alone."""
    source = FETCH_THE_BOOK.format(address=address).rstrip("\n")
    return nbformat.v4.new_code_cell(source, id="setup", metadata={"jupyter": {"source_hidden": True}})


def write_page(page: Page, index: Index, output: Path, address: str | None) -> None:
    """Write a page: a notebook as a notebook, a Markdown file as a Markdown file."""
    notebook = plain(page, index, address if page.name.endswith(".ipynb") else None)
    if page.name.endswith(".ipynb"):
        nbformat.write(notebook, output / page.name)
    else:
        text = "\n\n".join(cell.source for cell in notebook.cells)
        (output / page.name).write_text(text + "\n", encoding="utf-8")


def write_book(output: Path) -> None:
    """Write all pages, and what they need, into a fresh folder."""
    earlier = output.with_name(f"{output.name}.earlier")
    if output.exists():
        shutil.rmtree(earlier, ignore_errors=True)
        output.rename(earlier)
    shutil.copytree(BOOK, output, ignore=shutil.ignore_patterns(*ONLY_IN_THE_PAGES))
    index, address = Index(list(read_pages())), repository()
    for page in index.pages:
        write_page(page, index, output, address)


def main() -> None:
    """Write the book."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, nargs="?", default=ROOT / "_build" / "notebooks")
    write_book(parser.parse_args().output)


if __name__ == "__main__":
    main()
