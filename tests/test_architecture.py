"""Imports point one way, heavy libraries stay where they belong, and importing has no side effects."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import cascade_lib

PACKAGE = Path(cascade_lib.__file__).parent
# `play`, `frontier` and `policy` know a strategy only by its interface, so the strategies come after them.
ORDER = [
    "_checks", "packing", "outcomes", "logs", "expected_max", "laws", "envelope", "beliefs",
    "estimators.base", "estimators.diagnostics", "estimators.tabulated", "estimators.noisy", "estimators.joint",
    "estimators.latent", "estimators.features", "estimators.texts", "estimators.predictors", "estimators.changes",
    "estimators.fitted", "estimators.learned", "estimators", "dynamic",
    "frontier", "pooling", "play", "session", "policy", "strategy", "strategies", "pandora", "storage", "studies",
    "journal", "limits", "endpoint", "account", "answers", "replay", "runner",
    "datasets.fetch", "datasets.frames", "datasets.live", "datasets.sentiment", "datasets.routerbench",
    "datasets.simulate",
    "datasets.alpaca", "datasets.swebench", "datasets",
    "plots", "widgets", "report", "__main__",
]  # fmt: skip
# Results draw and store themselves, and only then need the figures and the file format.
LATE = {"plots", "storage"}
FILES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
    if path != PACKAGE / "__init__.py"
}
MODULES = sorted(FILES)
AT_HOME = {
    "matplotlib": {"plots", "widgets", "report"},
    "ipywidgets": {"widgets"},
    "pooch": {"datasets"},
    "PIL": {"widgets"},
    "httpx": {"endpoint"},
}


def imports(module):
    """Yield (imported name, whether it is a sibling module, whether at the top level) of one module."""
    tree = ast.parse(FILES[module].read_text())
    top = set(tree.body)
    folder = FILES[module].relative_to(PACKAGE).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            home = folder[: len(folder) + 1 - node.level]
            for name in [node.module] if node.module else [alias.name for alias in node.names]:
                yield ".".join((*home, name)), True, node in top
        elif isinstance(node, ast.ImportFrom):
            yield node.module, False, node in top
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, False, node in top


def test_every_module_has_its_place():
    assert sorted(ORDER) == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module):
    for name, sibling, top in imports(module):
        if sibling and (top or name not in LATE):
            assert ORDER.index(name) < ORDER.index(module), f"{module} imports {name}"


@pytest.mark.parametrize("module", MODULES)
def test_heavy_libraries_stay_where_they_belong(module):
    home = module.split(".")[0]
    for name, sibling, _ in imports(module):
        if not sibling:
            assert home in AT_HOME.get(name.split(".")[0], {home}), f"{module} imports {name}"


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
