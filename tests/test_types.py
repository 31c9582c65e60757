"""A program that uses the library is free of type errors, and a wrong call is reported: one run of mypy on both.

The program is the README's example and those of all docstrings, each as a module of its own.
"""

import doctest
import importlib
import re
from pathlib import Path

import pytest
from mypy import api

import cascade_lib

PACKAGE = Path(cascade_lib.__file__).parent
README = (PACKAGE.parent / "README.md").read_text(encoding="utf-8")
WRONG = {
    'Outcomes("x", 3)': 'Argument 1 to "Outcomes" has incompatible type "str"',
    "Outcomes([[0, 1]], [[1, 5]]).qualty": '"Outcomes" has no attribute "qualty"',
    "Router().calibrate(TabulatedEstimator([[0]], cost_ex_ante=[[1]]), [[0]], budget=1)": 'Argument 2 to "calibrate"',
    'read_log("log.csv", models=3)': 'Argument "models" to "read_log"',
}


def examples():
    """Yield a name and the source of the examples of every docstring, but for those that show an error."""
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        for test in doctest.DocTestFinder().find(importlib.import_module(module)):
            lines = [example.source for example in test.examples if example.exc_msg is None]
            if lines:
                yield test.name, f"import pandas as pd\nfrom {module} import *\n\n{''.join(lines)}"


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """What mypy says, by the name of the program that it says it of."""
    folder = tmp_path_factory.mktemp("programs")
    (readme,) = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    wrong = "\n".join(["from cascade_lib import *", *WRONG])
    programs = {"README": readme, "wrong": wrong, **dict(examples())}
    files = {name: folder / f"program_{i}.py" for i, name in enumerate(programs)}
    for name, file in files.items():
        file.write_text(programs[name], encoding="utf-8")
    options = ["--config-file=", f"--cache-dir={folder / 'cache'}", "--follow-imports=silent", "--no-error-summary"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MYPYPATH", str(PACKAGE.parent))
        out, problems, _ = api.run([*options, "--ignore-missing-imports", *map(str, files.values())])
    assert not problems
    return {
        name: [line for line in out.splitlines() if file.name in line and "error:" in line]
        for name, file in files.items()
    }


def test_programs_of_readme_and_docstrings_have_the_right_types(reported):
    assert {name: lines for name, lines in reported.items() if lines and name != "wrong"} == {}


def test_a_wrong_call_is_reported(reported):
    for number, (call, words) in enumerate(WRONG.items(), 2):
        assert any(f":{number}: error: {words}" in line for line in reported["wrong"]), call


def test_the_package_says_that_it_has_types():
    assert (PACKAGE / "py.typed").is_file()
