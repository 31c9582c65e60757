"""The branch that Binder, Colab and GitHub show: whole enough to be installed, and legible."""

import json
import os
import shutil
import subprocess
import sys

import nbformat
import pytest
import yaml
from book_index import ROOT
from notebooks_branch import write_branch


@pytest.fixture(scope="module")
def branch(tmp_path_factory):
    output = tmp_path_factory.mktemp("branch") / "tree"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GITHUB_REPOSITORY", "some-one/book")
        write_branch(output)
    return output


def test_it_has_a_plain_notebook_for_every_chapter(branch):
    names = {path.name for path in (ROOT / "book").glob("*.ipynb")}
    assert {path.name for path in (branch / "book").glob("*.ipynb")} == names
    for name in names:
        notebook = nbformat.read(branch / "book" / name, as_version=4)
        assert not [cell for cell in notebook.cells if cell.cell_type == "markdown" and "{glue:" in cell.source]
        assert "https://github.com/some-one/book" in notebook.cells[0].source  # fetches the rest where it stands alone


def test_it_holds_all_that_its_environment_names(branch):
    *_, pip = yaml.safe_load((branch / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    assert (branch / pip["pip"][0].removeprefix("-r ")).exists()
    # What pip asks of a folder that it is to install: its metadata can be built.
    code = "from setuptools.build_meta import prepare_metadata_for_build_editable as p; print(p('.'))"
    made = subprocess.run([sys.executable, "-c", code], cwd=branch, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr


def test_a_chapter_finds_what_it_imports_and_reads(branch):
    code = "import sys; sys.path.insert(0, '..'); import cascade_book, cascade_lib; print(cascade_lib.__file__)"
    environment = {**os.environ, "PYTHONPATH": ""}
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=branch / "book", env=environment, capture_output=True, text=True
    )
    assert os.path.realpath(found.stdout.strip()) == str(branch / "cascade_lib" / "__init__.py"), found.stderr
    assert {path.name for path in (branch / "book" / "draws").iterdir()} >= {"local_pool.csv"}


def test_binder_trusts_the_notebooks(branch, tmp_path):
    environment = os.environ | {
        "JUPYTER_DATA_DIR": str(tmp_path),
        "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}",
    }
    (tmp_path / "book").mkdir()
    for name in ("01_one_question.ipynb", "checklist.ipynb"):
        shutil.copy2(branch / "book" / name, tmp_path / "book")
    done = subprocess.run([str(branch / "postBuild")], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Signing notebook") == 2


def test_the_workflow_pushes_it():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "pages.yml").read_text(encoding="utf-8"))["jobs"]
    steps = json.dumps(jobs["notebooks"]["steps"])
    assert jobs["notebooks"]["permissions"] == {"contents": "write"}
    assert "scripts/notebooks_branch.py _build/branch" in steps
    assert "notebooks" in steps.split("git push")[1]
