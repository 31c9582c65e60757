"""Which data a notebook downloads, and whether they can be had here.

A notebook names them in its metadata: ``{"cascade_lib": {"data": ["fetch_routerbench_sample"]}}``, functions of
`cascade_lib.datasets`. Where they cannot be had, its tests are skipped by name and its stored outputs are shown.
"""

import json
from functools import cache
from pathlib import Path

from cascade_lib import datasets


def why_not(path: Path) -> str | None:
    """Return why the notebook at `path` cannot be executed here; None if it can."""
    names = json.loads(path.read_text(encoding="utf-8"))["metadata"].get("cascade_lib", {}).get("data", [])
    for name in names:
        if reason := _trouble(name):
            return f"{path.name} needs datasets.{name}(), but {reason}"
    return None


@cache
def _trouble(name: str) -> str | None:
    try:
        getattr(datasets, name)()
    except ConnectionError as error:
        return str(error)
    return None
