"""Imports point one way, heavy libraries stay where they belong, and importing has no side effects."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from importlinter.cli import lint_imports
from plain_markdown import documented_in

import cascade_lib

PACKAGE = Path(cascade_lib.__file__).parent
FILES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
    if path != PACKAGE / "__init__.py"
}
MODULES = sorted(FILES)
PROJECT = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
DEPENDENCIES = [re.match(r"[\w.-]+", line)[0] for line in PROJECT["dependencies"]]
AT_HOME = {
    "matplotlib": {"plots", "evaluation.report"},
    "pooch": {"datasets.fetch"},
    "httpx": {"live.endpoint"},
}


def imports(module):
    """Yield the libraries that a module imports when it runs."""
    tree = ast.parse(FILES[module].read_text())
    tree.body = [
        node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_imports_point_one_way():
    """The layers stand in pyproject.toml."""
    assert lint_imports(config_filename=str(PACKAGE.parent / "pyproject.toml"), no_cache=True) == 0


@pytest.mark.parametrize("module", MODULES)
def test_heavy_libraries_stay_where_they_belong(module):
    for name in imports(module):
        assert module in AT_HOME.get(name.split(".")[0], {module}), f"{module} imports {name}"


def test_importing_the_package_is_light_and_silent():
    heavy = ["matplotlib", "ipywidgets", "PIL", "httpx", "sklearn", "scipy", "pandas", "numpy"]
    code = f"import sys, cascade_lib; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (result.stdout.strip(), result.stderr) == ("[]", "")


@pytest.mark.parametrize("module", [module for module in MODULES if module != "__main__"])
def test_no_module_prints(module):
    calls = [node for node in ast.walk(ast.parse(FILES[module].read_text())) if isinstance(node, ast.Call)]
    assert not [call for call in calls if getattr(call.func, "id", "") == "print"]


ROOMS = ["", ".theory", ".estimators", ".strategies", ".evaluation", ".deploy", ".live"]


@pytest.mark.parametrize("room", ROOMS)
def test_public_names_exist_and_are_documented(room):
    module = importlib.import_module(f"cascade_lib{room}")
    pages = (PACKAGE.parent / "book" / "reference").glob(f"{room[1:] or '*'}.md")
    reference = {name.rpartition(".")[2] for page in pages for name in documented_in(page)}
    assert list(module.__all__) == sorted(module.__all__)
    for name in module.__all__:
        thing = getattr(module, name)
        if callable(thing):
            assert thing.__doc__
            assert name in reference, f"{name} is missing in book/reference"


def test_what_is_at_the_top_is_in_a_room_too():
    rooms = {name for room in ROOMS[1:] for name in importlib.import_module(f"cascade_lib{room}").__all__}
    assert set(cascade_lib.__all__) <= rooms | {"Evidence", "Outcomes", "read_log"}


def test_every_public_module_imports_with_nothing_but_what_the_package_requires():
    """Everything that pip would not install with the package alone is hidden from the imports."""
    code = f"""
import importlib, pkgutil, re, sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
needed, pending = set(), {DEPENDENCIES!r}
while pending:
    name = re.sub("[-_.]+", "-", pending.pop()).lower()
    if name not in needed:
        needed.add(name)
        try:
            listed = requires(name) or []
        except PackageNotFoundError:
            continue
        pending += [re.match(r"[A-Za-z0-9._-]+", line)[0] for line in listed if "extra ==" not in line]
of = {{module: {{re.sub("[-_.]+", "-", d).lower() for d in ds}} for module, ds in packages_distributions().items()}}
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name in of and name != "cascade_lib" and not of[name] & needed:
            raise ModuleNotFoundError(f"{{name}} is not required by cascade_lib", name=name)
sys.meta_path.insert(0, Hidden())
import cascade_lib
for module in pkgutil.walk_packages(cascade_lib.__path__, "cascade_lib."):
    importlib.import_module(module.name)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
