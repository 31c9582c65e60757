"""The OpenHands index: which tasks 34 models of 2025 and 2026 resolved as agents, and what each run cost in USD."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from ..outcomes import Outcomes
from . import _openhands_files
from .fetch import fetch_file

OPENHANDS_URL = (
    "https://raw.githubusercontent.com/OpenHands/openhands-index-results/3015ac612e7196f428e6e8a3948965d32d9a3331/results/"
    "{model}/instance_results/{benchmark}.json"
)
_SHA256 = {path: digest for digest, path in map(str.split, _openhands_files.FILES.splitlines())}
OPENHANDS_BENCHMARKS = {"swe-bench": 500, "gaia": 165, "swt-bench": 433}
"""The benchmarks, and how many tasks each has."""
ENOUGH = 0.95
"""The share of a benchmark's tasks for which a model must have a result and a cost, or it is left out."""
# Much worse than models beside them, against all that the same models do on the other benchmarks.
_IMPLAUSIBLE = {"gaia": ("DeepSeek-V4-Pro", "claude-sonnet-4-6")}


def fetch_openhands(
    benchmark: str = "swe-bench", *, models: Sequence[str] | None = None, keep_suspect: bool = False
) -> Outcomes:
    """Fetch the runs of one agent with many models on a benchmark of the OpenHands index (34 small files, once).

    Parameters
    ----------
    benchmark : {"swe-bench", "gaia", "swt-bench"}
        SWE-bench Verified (500 issues to resolve), GAIA (165 questions to an assistant) or SWT-bench (433 issues to
        write a failing test for).
    models : sequence of str, optional
        The models wanted, in this order, suspect or not. Default: all that are not suspect, from the cheapest to the
        most expensive on average. `openhands_coverage` lists them.
    keep_suspect : bool
        Whether to keep the suspect models by default too.

    Returns
    -------
    Outcomes
        `quality` is 1 where the run resolved the task, `cost` what it cost in USD. The index of `query` holds the
        tasks' ids; on the two benchmarks of code it has the `repository`, on GAIA no column. There is no text.

    Raises
    ------
    ConnectionError
        If a file is neither cached nor reachable; see `fetch_file`.
    ValueError
        If `benchmark` or a model is unknown, a file does not hold what is expected, or no task is left.

    Notes
    -----
    *What is left out.* A run without a result, without a cost or at a cost of 0 is not usable: an agent that calls a
    model is not free, its cost was not recorded. Only tasks that every model has a usable run of are kept. A model is
    suspect, and left out by default, if fewer than 95% of the tasks have a usable run; on GAIA also DeepSeek-V4-Pro and
    claude-sonnet-4-6, whose shares of resolved tasks (0.127 and 0.133) contradict all that they do elsewhere. Left:

    =========  ======  =====  ===========================  ==================
    benchmark  models  tasks  best model                   any model resolves
    =========  ======  =====  ===========================  ==================
    swe-bench      32    460  claude-fable-5, 0.957                     0.978
    gaia           18    132  GPT-5.5, 0.886                            0.985
    swt-bench      32    340  claude-fable-5, 0.918                     0.959
    =========  ======  =====  ===========================  ==================

    With all 34 models 353, 42 and 12 tasks would be left.

    *The tasks left are easier.* Most runs without a cost failed, so dropping them drops hard tasks: GPT-5.5 resolves
    0.861 of all its runs on GAIA. Fewer models leave more tasks; choose them by `models` where levels matter.

    One run for each task and model. Dates of the runs and prices differ. The repository's README says MIT licence; the
    data are not part of this package.

    References
    ----------
    OpenHands/openhands-index-results on GitHub, June 2026.

    Examples
    --------
    >>> pair = fetch_openhands("gaia", models=["GPT-5.4", "claude-fable-5"])  # doctest: +SKIP
    >>> pair.summary.round(3)  # doctest: +SKIP
                    quality   cost
    GPT-5.4           0.834  0.553
    claude-fable-5    0.847  7.641
    >>> fetch_openhands("swebench")
    Traceback (most recent call last):
    ...
    ValueError: benchmark must be one of 'swe-bench', 'gaia', 'swt-bench'; got 'swebench'.
    """
    chosen = _chosen(benchmark, models)
    runs = _fetch(benchmark, chosen)
    if models is None:
        coverage = _coverage(benchmark, runs)
        chosen = [name for name in coverage.index if keep_suspect or not coverage["suspect"][name]]
    usable = {name: table[_is_usable(table)] for name, table in ((name, runs[name]) for name in chosen)}
    tasks = sorted(set.intersection(*(set(table.index) for table in usable.values())))
    if not tasks:
        raise ValueError(f"models: no task of {benchmark} has a usable run of all {len(chosen)}. Choose fewer.")
    tables = [table.loc[tasks] for table in usable.values()]
    names = pd.Index(tasks, name="task")
    query = pd.DataFrame(index=names)
    if benchmark != "gaia":
        query["repository"] = names.str.rsplit("-", n=1).str[0]
    pool = Outcomes(
        np.column_stack([table["resolved"] for table in tables]),
        np.column_stack([table["cost"] for table in tables]),
        models=chosen,
        query=query,
        cost_unit="USD",
    )
    return pool if models is not None else pool.select(list(pool.summary["cost"].sort_values(kind="stable").index))


def openhands_coverage(benchmark: str = "swe-bench") -> pd.DataFrame:
    """Return how many runs of each model `fetch_openhands` can use, and why not all.

    Returns
    -------
    pandas.DataFrame
        One row per model: `tasks` (of which the file speaks), `no_result`, `no_cost`, `free` (at a cost of 0) and
        `usable`, in numbers of tasks; `resolved`, the share of runs with a result that resolved the task; `suspect`,
        whether `fetch_openhands` leaves the model out by default.

    Raises
    ------
    ConnectionError, ValueError
        As `fetch_openhands`.

    Examples
    --------
    >>> int(openhands_coverage("gaia")["usable"]["GPT-5.5"])  # doctest: +SKIP
    158
    """
    return _coverage(benchmark, _fetch(benchmark, _chosen(benchmark, None)))


def _chosen(benchmark: str, models: Sequence[str] | None) -> list[str]:
    """Return the models wanted, after checking what was asked for."""
    if benchmark not in OPENHANDS_BENCHMARKS:
        raise ValueError(f"benchmark must be one of {', '.join(map(repr, OPENHANDS_BENCHMARKS))}; got {benchmark!r}.")
    known = list(dict.fromkeys(path.split("/")[0] for path in _SHA256))
    if models is None:
        return known
    if isinstance(models, str):
        raise TypeError(f"models must be a sequence of names, not the single string {models!r}.")
    unknown = [name for name in models if name not in known]
    if unknown or not len(models) or len(set(models)) < len(models):
        raise ValueError(
            f"models must name one or more of the index's, each once; got {list(models)}. It has: {', '.join(known)}."
        )
    return list(models)


def _fetch(benchmark: str, models: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Return each model's runs, one row per task."""
    runs = {}
    for name in tqdm(models, desc=f"OpenHands {benchmark}", delay=10):
        path = f"{name}/{benchmark}.json"
        url = OPENHANDS_URL.format(model=name, benchmark=benchmark)
        runs[name] = _read(fetch_file(url, _SHA256[path], path=f"openhands_index/{path}"), name)
    return runs


def _read(file: Path, model: str) -> pd.DataFrame:
    content = json.loads(file.read_text(encoding="utf-8"))
    try:
        rows = [[run["resolved"], run["cost"]] for run in content.values()]
        table = pd.DataFrame(rows, index=list(content), columns=["resolved", "cost"], dtype=float)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file.name} of {model} is not a table of runs: {error!r}.") from error
    if not table["resolved"].dropna().isin([0, 1]).all() or (table["cost"] < 0).any():
        raise ValueError(f"{file.name} of {model} has results other than true and false, or a negative cost.")
    return table


def _is_usable(table: pd.DataFrame) -> pd.Series:
    return table["resolved"].notna() & (table["cost"] > 0)


def _coverage(benchmark: str, runs: dict[str, pd.DataFrame]) -> pd.DataFrame:
    counts = pd.DataFrame(
        {
            name: {
                "tasks": len(table),
                "no_result": table["resolved"].isna().sum(),
                "no_cost": table["cost"].isna().sum(),
                "free": (table["cost"] == 0).sum(),
                "usable": _is_usable(table).sum(),
            }
            for name, table in runs.items()
        }
    ).T
    implausible = counts.index.isin(_IMPLAUSIBLE.get(benchmark, ()))
    few = counts["usable"] < ENOUGH * OPENHANDS_BENCHMARKS[benchmark]
    resolved = [table["resolved"].mean() for table in runs.values()]
    return counts.assign(resolved=resolved, suspect=few | implausible)
