"""The copies of the book for JupyterLab, Colab and GitHub hold standard Markdown only, and say what the pages say."""

import base64
import functools
import html
import json
import re

import nbformat
import pytest
from book_index import BOOK, Index, Page, read_pages
from myst_blocks import blocks, pieces
from nbformat.v4 import new_markdown_cell, new_notebook
from plain_notebooks import plain, setup_cell, write_book

from cascade_book.map import read_parts
from cascade_book.typeset import with_minus

SOURCES = {page.name: page for page in read_pages()}
INDEX = Index(list(SOURCES.values()))
NOTEBOOKS = [name for name in SOURCES if name.endswith(".ipynb")]
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
STATEMENT = re.compile(
    r"^`{3,}\{prf:(theorem|proposition|lemma|corollary|definition)\} *(.*)\n:label: (\S+)", flags=re.M
)
LINK = re.compile(r"\]\(([^()\s]+)\)")
LEFT_OVER = {
    "role": r"\{[\w:+-]+\}`",
    "directive": r"^[>\s]*(`{3,}|~{3,})\s*\{",
    "colon fence": r"^[>\s]*:::",
    "option": r"^[>\s]*:[\w-]+: ",
    "label": r"^[>\s]*\([\w-]+\)=",
    "equation's label": r"\$\$ *\([\w-]+\)",
    "footnote": r"\[\^",
    "definition list": r"^: ",
    "comment or break": r"^(%|\+\+\+)",
    "the pages' own macro": r"\\(E|qhat|chat)(?![a-zA-Z])",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("book") / "notebooks"
    write_book(folder)
    return folder


@pytest.fixture(params=SOURCES)
def name(request):
    return request.param


@functools.cache
def cells_of(path):
    if path.suffix == ".md":
        return [new_markdown_cell(path.read_text(encoding="utf-8"), id="all")]
    return nbformat.read(path, as_version=4).cells


@functools.cache
def text_of(path):
    return "\n\n".join(cell.source for cell in cells_of(path) if cell.cell_type == "markdown")


def source_of(name):
    return "\n\n".join(cell.source for cell in SOURCES[name].notebook.cells if cell.cell_type == "markdown")


def left_over(text):
    return {what: found[0] for what, pattern in LEFT_OVER.items() if (found := re.search(pattern, text, flags=re.M))}


def converted(text):
    """Return the plain text of a small page."""
    page = Page("page.ipynb", new_notebook(cells=[new_markdown_cell(text, id="cell-000")]))
    cells = plain(page, Index([page])).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def test_only_standard_markdown_is_left(folder, name):
    assert left_over(text_of(folder / name)) == {}


def test_each_left_over_would_be_noticed():
    sample = "{ref}`a`\n```{note}\n:::\n:label: x\n(a)=\n$$ (a)\n[^1]\n: text\n% text\n$\\E x$"
    assert left_over(sample).keys() == LEFT_OVER.keys()


def test_what_has_no_plain_form_is_refused():
    with pytest.raises(ValueError, match=r"no plain form is known for \{tableofcontents\}"):
        converted("```{tableofcontents}\n```")
    with pytest.raises(ValueError, match=r"no plain form is known for \{abbr\}`a`"):
        converted("{abbr}`a`")
    with pytest.raises(LookupError, match="has the label 'nowhere'"):
        converted("See {ref}`this <nowhere>`.")
    with pytest.raises(ValueError, match="a reference to here needs words"):
        converted("(here)=\nText. {ref}`here`")
    with pytest.raises(ValueError, match="the label twice is taken"):
        converted("(twice)=\n# A\n\n(twice)=\n# B")


def test_cutting_a_text_loses_nothing(name):
    for cell in SOURCES[name].notebook.cells:
        assert "\n".join(block.source for block in blocks(cell.source)) == cell.source
        assert "\n".join(text for _, text in pieces(cell.id, cell.source)) == cell.source


def test_every_glued_number_stands_where_its_key_stood(name, monkeypatch):
    monkeypatch.setattr(INDEX, "glue", lambda page, reference: f"⟦{reference}⟧")
    text = "\n".join(cell.source for cell in plain(SOURCES[name], INDEX).cells if cell.cell_type == "markdown")
    assert re.findall("⟦(.+?)⟧", text) == re.findall(r"\{glue:text\}`([^`]+)`", source_of(name))


def test_glued_numbers_are_those_that_are_stored():
    assert len(INDEX.glued) > 1000
    for (page, key), value in INDEX.glued.items():
        stored = with_minus(value.strip("'").replace("\\xa0", "\xa0"))
        assert INDEX.glue(page, key) == INDEX.glue("other.ipynb", f"{page}::{key}:s") == stored


def test_a_key_that_no_cell_has_glued_is_refused():
    with pytest.raises(LookupError, match=r"page\.ipynb glues no number under 'nothing'"):
        converted("{glue:text}`nothing`")


def test_links_lead_to_a_file_and_a_place_in_it(folder, name):
    for address in LINK.findall(text_of(folder / name)):
        if address.startswith("https://"):
            continue
        file, _, place = address.partition("#")
        path = folder / (file or name)
        assert path.exists(), address
        if place and path.suffix == ".ipynb":
            assert place.removeprefix("cell-id=") in {cell.id for cell in cells_of(path)}, address
        elif place:
            assert f'id="{place}"' in path.read_text(encoding="utf-8"), address


def test_every_reference_has_become_a_link(folder, name):
    roles = re.findall(r"\{(?:ref|numref|eq|prf:ref)\}`", source_of(name))
    cited = sum(len(keys.split(",")) for keys in re.findall(r"\{cite:[tp]\}`([^`]+)`", source_of(name)))
    text = text_of(folder / name).split("## References\n\n*")[0]
    listed = sum(bool(each.link) for each in INDEX.sources.values()) if name == "bibliography.md" else 0
    written = len(re.findall(r"\]\(https://", source_of(name)))
    on_maps = sum(map(len, read_parts(BOOK.parent).values())) * source_of(name).count("{chapter-map}")
    assert len(LINK.findall(text)) - text.count("](images/") == len(roles) + cited + listed + written + on_maps


def test_sources_that_a_page_cites_are_listed_at_its_end(folder, name):
    cited = {key.strip() for keys in re.findall(r"\{cite:[tp]\}`([^`]+)`", source_of(name)) for key in keys.split(",")}
    last = cells_of(folder / name)[-1].source.split("## References\n\n")
    assert set(re.findall(r'^\* <a id="(\w+)"', last[-1], flags=re.M)) == cited or name == "bibliography.md"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_is_a_notebook_with_the_same_code(folder, name):
    copy = nbformat.read(folder / name, as_version=4)
    nbformat.validate(copy)
    code = [cell for cell in copy.cells if cell.cell_type == "code" and cell.id != "setup"]
    source = [cell for cell in SOURCES[name].notebook.cells if cell.cell_type == "code"]
    assert [(c.id, c.execution_count) for c in code] == [(c.id, c.execution_count) for c in source]
    for ours, theirs in zip(code, source, strict=True):
        summary = theirs.metadata.get("mystnb", {}).get("code_prompt_show")
        assert ours.source == (f"# {summary}\n{theirs.source}" if summary else theirs.source)
    for ours, theirs in zip(code, source, strict=True):
        for new, old in zip(ours.outputs, theirs.outputs, strict=True):
            shown = {kind: new.data[kind] for kind in old.data} if "data" in old else new.text
            expected = old.data if "data" in old else old.text
            assert shown == expected or WIDGET_VIEW in old.data
    assert {cell.id for cell in SOURCES[name].notebook.cells} <= {cell.id for cell in copy.cells}


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_code_that_pages_hide_is_folded(folder, name):
    for cell in cells_of(folder / name):
        hidden = {"remove-cell", "hide-input"} & set(cell.metadata.get("tags", []))
        assert cell.metadata.get("jupyter", {}).get("source_hidden", False) == bool(hidden) or cell.id == "setup"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_explorers_show_a_frame_and_words_without_a_kernel(folder, name):
    shown = [o.data for c in cells_of(folder / name) for o in c.get("outputs", []) if WIDGET_VIEW in o.get("data", {})]
    assert len(shown) == json.dumps(SOURCES[name].notebook.cells).count(WIDGET_VIEW)
    for data in shown:
        assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
        assert f'src="data:image/png;base64,{data["image/png"]}"' in data["text/html"]
        words = data["text/plain"].split(". ", maxsplit=1)[1]
        assert "VBox" not in data["text/plain"]
        assert len(words) > 80
        assert html.escape(words) in data["text/html"]


def test_the_first_frame_is_the_one_that_the_sliders_stand_at():
    source = SOURCES["09_reproduction.ipynb"]  # two sliders: a stack of stacks
    state = source.notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"].state
    sliders = [widget.state for widget in state.values() if widget.model_name == "SelectionSliderModel"]
    stacks = {name: widget.state for name, widget in state.items() if widget.model_name == "StackModel"}
    inside = {child for stack in stacks.values() for child in stack.children}
    (outer,) = [stack for name, stack in stacks.items() if f"IPY_MODEL_{name}" not in inside]
    row, column = [slider["index"] for slider in sliders]
    inner = state[outer.children[row].removeprefix("IPY_MODEL_")].state
    picture = state[inner.children[column].removeprefix("IPY_MODEL_")]
    outputs = [output for cell in plain(source, INDEX).cells for output in cell.get("outputs", [])]
    (data,) = [output.data for output in outputs if WIDGET_VIEW in output.get("data", {})]
    assert data["image/png"] == picture.buffers[0].data
    values = [f"{slider.description}: {slider._options_labels[slider['index']]}" for slider in sliders]
    assert data["text/plain"].startswith(f"{values[0]}, {values[1]}. ")


def test_statements_are_titled_quotes_whose_numbers_run_through_the_book(folder):
    numbers = {}
    for name in SOURCES:
        text = text_of(folder / name)
        for kind, title, label in STATEMENT.findall(source_of(name)):
            number = numbers[kind] = numbers.get(kind, 0) + 1
            quote = f'<div id="cell-id={label}"></div>\n\n> **{kind.title()} {number}**'
            assert quote + (f" ({title.split('$')[0]}" if title else "\n") in text
    assert numbers["theorem"] >= 13
    assert numbers["proposition"] >= 41


def test_exercises_are_numbered_and_solutions_folded(folder):
    text = "\n".join(text_of(folder / name) for name in NOTEBOOKS)
    numbers = re.findall(r"^> \*\*Exercise (\d+)\*\*$", text, flags=re.M)
    assert numbers == [str(number + 1) for number in range(len(numbers))]
    assert re.findall(r"<summary><b>Solution to Exercise (\d+)</b></summary>", text) == numbers
    assert len(numbers) >= 87
    proofs = re.findall(r"^`{3,}\{prf:proof\}", "\n".join(map(source_of, NOTEBOOKS)), flags=re.M)
    assert text.count("<details><summary><b>Proof") == len(proofs) >= 58
    assert text.count("<details>") == text.count("</details>") == len(proofs) + len(numbers)


def test_a_live_figure_in_a_page_of_markdown_leaves_its_words(folder):
    text = text_of(folder / "index.md")
    assert re.search(r"^With 150 tokens a text, cascade routing spends \d+ and", text, flags=re.M)


def test_labelled_formulas_bear_their_numbers(folder):
    tags = re.findall(r"\\tag\{(\d+)\}", "\n".join(text_of(folder / name) for name in SOURCES))
    assert tags == [str(number + 1) for number in range(len(tags))]
    assert len(tags) >= 20


def test_no_formula_runs_over_two_lines_of_a_quote(folder, name):
    for line in text_of(folder / name).split("\n"):
        if line.startswith(">"):
            assert line.replace("$$", "").replace(r"\$", "").count("$") % 2 == line.count("$$") % 2 == 0, line


def test_formulas_that_are_written_over_two_lines_are_joined_in_a_quote():
    formula = "$$\n  \\E a\n  = b\n  $$ (eq-ab)"
    text = converted(f"```{{admonition}} Title\nLet $a =\nb$.\n\n* Then\n\n  {formula}\n\n  and $5 or \\$6.\n```")
    quoted = [
        "**Title**",
        "",
        "Let $a = b$.",
        "",
        "* Then",
        "",
        r"  $$\mathbb{E} a = b \tag{1}$$",
        "",
        r"  and $5 or \$6.",
    ]
    assert text.split("\n") == [f"> {line}".rstrip() for line in quoted]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_pictures_keep_their_alternative_texts_and_captions(folder, name):
    cells = cells_of(folder / name)
    for old in SOURCES[name].notebook.cells:
        if "figure" in old.metadata.get("mystnb", {}):
            place = next(position for position, cell in enumerate(cells) if cell.id == old.id)
            pictures = [
                o.metadata["image/png"]["alt"] for o in cells[place].outputs if "image/png" in o.get("data", {})
            ]
            assert pictures == [old.metadata.mystnb.image.alt]
            assert re.match(r"\*Fig\. \d+\.\* ", cells[place + 1].source)


def test_a_notebook_that_stands_alone_fetches_the_book_and_one_in_the_book_does_nothing(tmp_path, monkeypatch):
    page = SOURCES["checklist.ipynb"]
    assert plain(page, INDEX).cells[0].id != "setup"
    cell = plain(page, INDEX, "https://github.com/someone/something").cells[0]
    assert cell == setup_cell("https://github.com/someone/something")
    assert cell.metadata.jupyter.source_hidden
    calls = []
    monkeypatch.setattr("subprocess.run", lambda call, check: calls.append(call))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "draws").mkdir()
    exec(cell.source, {})
    assert calls == []
    (tmp_path / "draws").rmdir()
    (tmp_path / "the-book" / "book").mkdir(parents=True)
    exec(cell.source, {})
    assert calls == []  # the library is installed here, and the book has been fetched before
    assert tmp_path.joinpath("the-book", "book").samefile(".")


def test_what_chapters_read_lies_beside_them(folder):
    for path in BOOK.rglob("*"):
        beside = path.relative_to(BOOK)
        if path.is_file() and beside.parts[0] in ("draws", "cascade_book", "images", "benchmarks.csv"):
            assert (folder / beside).exists() or "__pycache__" in beside.parts or path.name == "ruff.toml"


def test_what_a_reader_has_changed_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("plain_notebooks.read_pages", list)
    folder = tmp_path / "notebooks"
    for note in ("first", "second"):
        write_book(folder)
        (folder / "note.txt").write_text(note)
    write_book(folder)
    assert not (folder / "note.txt").exists()
    assert (tmp_path / "notebooks.earlier" / "note.txt").read_text() == "second"


def test_lists_of_terms_and_glossaries_become_paragraphs():
    assert converted("# A\n\none\n: first\n  line\n").endswith("**one**: first\n  line")
    assert "**a, b.** Both\nof them.\n\n**c.** Third." in converted(
        "```{glossary}\na\nb\n  Both\n  of them.\n\nc\n  Third.\n```"
    )


def test_a_cell_starts_at_every_label():
    cells = pieces(
        "cell-003", "Text.\n\n(one)=\n(two)=\n## Head\n\n$$\nx\n$$ (three)\n\n```{exercise}\n:label: four\nDo.\n```"
    )
    assert [name for name, _ in cells] == ["cell-003", "one", "four"]
