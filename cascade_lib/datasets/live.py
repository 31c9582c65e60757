"""A live run of a policy on a real language model, as its journal has it: 1,000 texts, without the texts."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .fetch import shipped

LIVE_FILE = Path(__file__).parents[1] / "data" / "live_policy.json.gz"
LIVE_SHA256 = "4d9e489c8b3e6d31442ecebdeeff9651d51a758d42125bdb6f8774d6254795bd"


@dataclass(frozen=True, eq=False, repr=False)
class LiveRun:
    """What happened in a live run.

    Parameters
    ----------
    queries : pandas.DataFrame
        One row per text in the order of the run, named by its id: `rating` (above 0 means positive), and the `domain`
        and the features that the policy knew.
    events : list of dict
        The journal, event by event; the replies are cut down to raw score and usage.
    scales : mapping of str to mapping
        How the raw scores of each model's calls become log-odds; see `margin`.
    """

    queries: pd.DataFrame
    events: list[dict[str, Any]]
    scales: Mapping[str, Mapping[str, list[Any]]]

    def write_journal(self, path: str | Path) -> None:
        """Write the journal to a file, as `runner.run` left it and will take it up."""
        Path(path).write_text("".join(json.dumps(event) + "\n" for event in self.events), encoding="utf-8")

    def margin(self, model: str, scores: Sequence[float]) -> float:
        """Return a model's log-odds that a text is positive, from the raw scores of its calls in their order.

        Each score passes through a logistic regression of its own, and their mean through one more, as in the data card
        of `load_sentiment`.
        """
        scale = self.scales[model]
        own = [slope * score + intercept for (slope, intercept), score in zip(scale["own"], scores, strict=True)]
        slope, intercept = scale["together"]
        return round(slope * float(np.mean(own)) + intercept, 4)

    def __repr__(self) -> str:
        """Return what there is."""
        calls = sum(event.get("event") == "reply" for event in self.events)
        return f"LiveRun({len(self.queries):,} queries, {calls:,} replies of {', '.join(self.scales)})"


def load_live_run() -> LiveRun:
    """Load the live run of the chapter "A live policy": real calls to SmolLM2-135M-Instruct on one core.

    Returns
    -------
    LiveRun

    Raises
    ------
    ValueError
        If the file is not the one this version was made with.

    Examples
    --------
    >>> load_live_run()
    LiveRun(1,000 queries, 2,267 replies of vader, zero-shot, four-shot, vote-3)
    """
    content = json.loads(gzip.decompress(shipped(LIVE_FILE, LIVE_SHA256)))
    queries = pd.DataFrame(content["queries"]).set_index("id")
    return LiveRun(queries, content["journal"], content["scales"])
