"""Imports point one way, heavy libraries stay where they belong, and importing has no side effects."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

import cascade_lib

PACKAGE = Path(cascade_lib.__file__).parent
FILES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
    if path != PACKAGE / "__init__.py"
}
MODULES = sorted(FILES)
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
    heavy = ["matplotlib", "ipywidgets", "PIL", "httpx"]
    code = f"import sys, cascade_lib; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (result.stdout.strip(), result.stderr) == ("[]", "")


@pytest.mark.parametrize("module", [module for module in MODULES if module != "__main__"])
def test_no_module_prints(module):
    calls = [node for node in ast.walk(ast.parse(FILES[module].read_text())) if isinstance(node, ast.Call)]
    assert not [call for call in calls if getattr(call.func, "id", "") == "print"]


def test_public_names_exist_and_are_documented():
    reference = (PACKAGE.parent / "book" / "api.md").read_text()
    for name in cascade_lib.__all__:
        assert getattr(cascade_lib, name).__doc__
        assert f":: {name}\n" in reference or f"cascade_lib.{name}\n" in reference, f"{name} is missing in book/api.md"
