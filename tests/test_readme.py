"""The README's example prints what it says, its figure is the notebook's, and its links lead somewhere."""

import re
import sys
import tomllib
from pathlib import Path

import nbformat
import yaml

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
sys.path.insert(0, str(ROOT / "scripts"))

import execute_notebooks  # noqa: E402
import plain_markdown  # noqa: E402
from book_index import Index, read_pages  # noqa: E402
from build_book import PLAIN_BRANCH  # noqa: E402


def test_the_example_prints_what_the_readme_says(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    (printed,) = re.findall(r"```text\n(.*?)```", README, flags=re.S)
    assert len([line for line in example.splitlines() if line.strip()]) <= 12
    exec(compile(example, "README.md", "exec"), {})
    assert capsys.readouterr().out == printed


def test_the_first_sentence_is_that_of_the_landing_page():
    start = (ROOT / "book" / "index.md").read_text(encoding="utf-8")
    sentence = plain_markdown.PlainMarkdown(Index(list(read_pages())), "index.md").write(
        re.search(r":::\{div\} headline\n(.+?)\n:::", start, flags=re.S)[1]
    )
    (headline,) = re.findall(r"^\*\*(.+?)\*\*", README, flags=re.S | re.M)
    assert f"{' '.join(headline.split())}." == " ".join(sentence.split())


def test_the_figure_comes_from_the_notebook():
    chapter, name, picture = execute_notebooks.README_FIGURE
    assert f"]({picture.relative_to(ROOT).as_posix()})" in README
    notebook = nbformat.read(ROOT / "book" / chapter, as_version=4)
    assert picture.read_bytes() == execute_notebooks.figure(notebook, name)


def test_the_landing_page_shows_the_live_figure_of_its_notebook():
    chapter, page = execute_notebooks.LIVE_FIGURE
    notebook = nbformat.read(ROOT / "book" / chapter, as_version=4)
    assert page.read_text(encoding="utf-8") == execute_notebooks.live_figure(notebook) + "\n"
    assert f":file: {page.relative_to(ROOT / 'book').as_posix()}" in (ROOT / "book" / "index.md").read_text("utf-8")


PLAIN = f"../../blob/{PLAIN_BRANCH}/"  # from a README on GitHub: the same repository's plain notebooks


def test_pictures_and_links_lead_somewhere():
    for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", README):
        assert (ROOT / target.removeprefix(PLAIN)).exists(), target
        assert target.startswith(PLAIN) or not target.endswith(".ipynb"), f"{target} shows MyST as raw text"


def test_every_chapter_is_on_the_map():
    for path in sorted((ROOT / "book").glob("[0-9]*.ipynb")):
        assert f"({PLAIN}book/{path.name})" in README


def test_the_citation_names_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
