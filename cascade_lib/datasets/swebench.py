"""SWE-bench Verified: which of 500 software issues each of 24 models resolved as an agent, and at what cost."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from ..outcomes import Outcomes
from .fetch import fetch_file

SWEBENCH_URL = (
    "https://raw.githubusercontent.com/SWE-bench/swe-bench.github.io/f1176b65ae29d14f4f52208b48e3d8cfc972bc17/data/"
    "leaderboards.json"
)
SWEBENCH_SHA256 = "91bb31c7b8b6b0a8cf9d3210c9f40c45c8d7e00341f33fc81768d51f487914d2"
SWEBENCH_PATH = "swebench/leaderboards.json"
_LEADERBOARD = "bash-only"
# Its details per task say 10.2% resolved where its own entry says 52.8%.
_CONTRADICTORY = "Claude 3.7 Sonnet (20250219)"
_POINTS = 0.5  # by which the details may differ from the entry, in per cent of the tasks


def fetch_swebench() -> Outcomes:
    """Fetch the outcomes of 24 models with mini-SWE-agent on the 500 tasks of SWE-bench Verified (4 MB, once).

    Returns
    -------
    Outcomes
        `quality` is 1 where the run resolved the issue, `cost` what the whole run cost in USD, as the agent recorded
        it. Models go from the cheapest to the most expensive on average. `query` has the `repository` (12 of them); its
        index holds the tasks' ids. `answer_features` has `calls`, the number of calls to the model that the run took.

    Raises
    ------
    ConnectionError
        If the file is neither cached nor reachable; see `fetch_file`.
    ValueError
        If it does not hold what is expected.

    Notes
    -----
    One run for each task and model; versions of the agent, dates and prices differ between models. Costs have heavy
    tails, and runs that fail cost more than runs that succeed. The standard error of a mean quality is about 0.02.
    One more model in the file, Claude 3.7 Sonnet, is left out because its details contradict its own total. The data
    are licensed CC BY-NC 4.0 and are not part of this package.

    References
    ----------
    Jimenez et al., SWE-bench, ICLR 2024; SWE-bench/swe-bench.github.io on GitHub, 10 December 2025. Chapter
    "Open-ended answers and agents".

    Examples
    --------
    >>> fetch_swebench().select(["DeepSeek V3.2 Reasoner"]).summary.round(3)  # doctest: +SKIP
                            quality   cost
    DeepSeek V3.2 Reasoner      0.6  0.028
    """
    file = fetch_file(SWEBENCH_URL, SWEBENCH_SHA256, path=SWEBENCH_PATH)
    content = json.loads(file.read_text(encoding="utf-8"))
    try:
        entries = next(board["results"] for board in content["leaderboards"] if board["name"] == _LEADERBOARD)
        runs = {entry["name"]: _runs(entry) for entry in entries if entry.get("per_instance_details")}
    except (KeyError, TypeError, StopIteration) as error:
        raise ValueError(f"{file.name} is not a table of leaderboards with details per task: {error!r}.") from error
    del runs[_CONTRADICTORY]
    runs = dict(sorted(runs.items(), key=lambda item: item[1]["cost"].mean()))
    tasks = next(iter(runs.values())).index
    for name, table in runs.items():
        if not table.index.equals(tasks):
            raise ValueError(f"{file.name}: {name} was run on other tasks than {next(iter(runs))}.")
    tables = {field: np.column_stack([table[field] for table in runs.values()]) for field in table}
    return Outcomes(
        tables["resolved"],
        tables["cost"],
        models=list(runs),
        query=pd.DataFrame({"repository": tasks.str.rsplit("-", n=1).str[0]}, index=tasks),
        answer_features={"calls": tables["api_calls"]},
        cost_unit="USD",
    )


def _runs(entry: dict[str, Any]) -> pd.DataFrame:
    """Return one model's runs, one row per task, after checking them against the model's own total."""
    table = pd.DataFrame.from_dict(entry["per_instance_details"], orient="index").rename_axis("task").sort_index()
    table = table[["resolved", "cost", "api_calls"]].astype(float)
    share = 100 * table["resolved"].mean()
    if entry["name"] != _CONTRADICTORY and abs(share - entry["resolved"]) > _POINTS:
        raise ValueError(f"{entry['name']} resolved {entry['resolved']}% by its entry, {share:.1f}% by its details.")
    return table
