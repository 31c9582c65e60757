"""environment.yml, requirements.lock and pyproject.toml say the same."""

import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
GROUPS = PROJECT["optional-dependencies"]
NEEDED = [Requirement(text) for text in [*PROJECT["dependencies"], *GROUPS["book"], *GROUPS["test"]]]
PINNED = [Requirement(line) for line in (ROOT / "requirements.lock").read_text().splitlines() if line.strip()]


@pytest.mark.parametrize("requirement", NEEDED, ids=lambda requirement: requirement.name)
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_every_requirement_is_pinned_at_a_version_that_it_admits(requirement, python):
    here = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    pins = [
        pin
        for pin in PINNED
        if pin.name.lower() == requirement.name.lower() and (pin.marker is None or pin.marker.evaluate(here))
    ]
    assert len(pins) == 1
    (pin,) = pins[0].specifier
    assert pin.operator == "=="
    assert requirement.specifier.contains(pin.version)


def test_the_lock_names_no_index_and_no_place():
    assert not any(word in (ROOT / "requirements.lock").read_text() for word in ("://", "--", "file:", " @ "))


def test_the_conda_environment_installs_the_same_packages():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    python = next(name.removeprefix("python=") for name in conda if name.startswith("python="))
    assert "pip" in conda
    assert Version(python) >= Version(PROJECT["requires-python"].removeprefix(">="))
    assert pip["pip"] == ["-r requirements.lock", "-e .[book,test]"]
    assert {"book", "test"} <= GROUPS.keys()
