"""What the pages have beyond Jupyter Book's own: which names link, what is numbered, what is listed."""

import re
from pathlib import Path

import pytest
from book_index import BOOK, ROOT, chapter_numbers, chapter_words, read_pages
from book_pages import AuthorYearLabels, entry
from plain_markdown import command_help, documented_in
from pybtex.database import Entry, Person
from sphinx.domains.python import ObjectEntry

OBJECTS = {
    f"cascade_lib.{name}": ObjectEntry("book/reference/page", name, kind, name == "deploy.policy.Policy")
    for name, kind in {
        "deploy.Policy": "class",
        "deploy.policy.Policy": "class",
        "deploy.Policy.save": "method",
        "deploy.Session.to_dict": "method",
        "live.run": "function",
        "live.run_sync": "function",
        "evaluation.study": "function",
        "estimators.StoredEstimator.names": "attribute",
        "estimators": "module",
        "theory.Law.take": "method",
        "deploy.Beliefs": "class",
        "theory.Beliefs": "class",
    }.items()
}


@pytest.mark.parametrize(
    ("code", "name"),
    {
        "Policy": "deploy.Policy",
        "Policy(strategy)": "deploy.Policy",
        "Policy.save": "deploy.Policy.save",
        "Policy.save()": "deploy.Policy.save",
        "study": "evaluation.study",
        "run()": "live.run",
        "run(policy, repeat=(1, 2))": "live.run",
        "run_sync": "live.run_sync",
        "cascade_lib.evaluation.study": "evaluation.study",
        "cascade_lib.estimators": "estimators",
    }.items(),
)
def test_a_name_of_the_library_links_to_its_entry(code, name):
    assert entry(code, OBJECTS) == f"cascade_lib.{name}"


@pytest.mark.parametrize(
    "code",
    [
        "run",
        "take",
        "take()",
        "names",
        "to_dict",
        "save()",
        "policy.save",
        "np.sort",
        "Beliefs",
        "olicy.save",
        "run-sync",
        "study(log).words",
        ".save",
        "estimators",
        "()",
    ],
)
def test_a_word_that_may_mean_something_else_is_no_link(code):
    assert entry(code, OBJECTS) is None


def test_chapters_are_numbered_in_the_order_of_the_table_of_contents():
    numbers = chapter_numbers()
    assert list(numbers.values()) == list(range(1, len(numbers) + 1))
    assert {ROOT / f"{file}.ipynb" for file in numbers} == set(BOOK.glob("[0-9]*.ipynb"))
    for page in read_pages():
        assert page.number == numbers.get(f"book/{Path(page.name).with_suffix('')}")


def test_titles_in_the_table_of_contents_are_those_of_the_chapters():
    contents = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    for page in read_pages():
        if page.number:
            (title,) = re.findall("^# (.+)$", page.notebook.cells[0].source, flags=re.M)
            assert f'title: "{page.number} {title}"' in contents


def test_a_link_to_a_chapter_names_it_as_far_as_a_colon():
    assert chapter_words(7, "Cascade routing: any set, any order") == "Chapter 7, Cascade routing"


def test_sources_are_labelled_as_the_text_cites_them():
    def written(*names):
        return Entry("book", {"year": "1999"}, {"author": [Person(name) for name in names]})

    entries = [
        written("Ann Lee"),
        written("Ann Lee", "Vincent van Gogh"),
        written("A B", "C D", "E F"),
        written("A B", "others"),
    ]
    labels = ["Lee, 1999", "Lee and van Gogh, 1999", "B et al., 1999", "B et al., 1999"]
    assert list(AuthorYearLabels().format_labels(entries)) == labels


def test_the_contents_of_the_reference_list_every_page_of_it():
    listed = re.findall(
        r"^\.\. contents-of:: reference/(\w+)$", (BOOK / "api.md").read_text(encoding="utf-8"), flags=re.M
    )
    assert sorted(listed) == sorted(path.stem for path in (BOOK / "reference").glob("*.md"))
    assert "cascade_lib.deploy.Policy" in documented_in(BOOK / "reference" / "deploy.md")


def test_the_page_of_the_command_line_has_every_command():
    commands = re.findall(r"^    (\w+) ", command_help(), flags=re.M)
    page = (BOOK / "reference" / "command_line.md").read_text(encoding="utf-8")
    assert re.findall(r"^```\{command-help\} (\w+)$", page, flags=re.M) == commands
    assert all(command_help(command).startswith(f"usage: cascade-lib {command} ") for command in commands)


def test_the_paper_its_code_and_all_data_are_linked_where_they_are_named():
    cells = [cell for page in read_pages() for cell in page.notebook.cells if cell.cell_type == "markdown"]
    linked = {address for cell in cells for address in re.findall(r"\]\(https://([^)]+)\)", cell.source)}
    assert {"arxiv.org/abs/2410.10347", "github.com/eth-sri/cascade-routing"} <= linked
    data = ["huggingface.co/datasets/withmartian/routerbench", "pypi.org/project/vaderSentiment/3.3.2/"]
    assert {*data, "www.swebench.com", "github.com/tatsu-lab/alpaca_eval"} <= linked
