"""What came of a live run: how every query ended, and what all of them cost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pandas as pd


@dataclass(frozen=True)
class QueryResult:
    """How one query ended: with a choice or with a reason for each model why there is none.

    Parameters
    ----------
    name : str
        The query.
    choice : str or None
        The model whose answer to keep; None if no model has answered.
    text : str or None
        The text of that answer, where the reply has one.
    order : tuple of str
        The models asked, failed ones included.
    cost : float
        What they cost, those that failed included.
    failures : mapping of str to str
        Why each model that failed did so.
    features : mapping of str to mapping
        What the policy learned of each answer.
    costs : mapping of str to float
        What each model asked has cost.
    """

    name: str
    choice: str | None
    text: str | None
    order: tuple[str, ...]
    cost: float
    failures: Mapping[str, str]
    features: Mapping[str, Mapping[str, object]] = field(repr=False)
    costs: Mapping[str, float] = field(repr=False)


@dataclass(frozen=True, repr=False)
class Run:
    """What came of a run.

    Parameters
    ----------
    results : tuple of QueryResult
        One for each query, in their order.
    spent : float
        What all calls in the journal have cost, those that may have been paid without an answer at the most they can
        have cost.
    cap : float
        What might have been spent at the most.
    lost : float
        The part of `spent` for calls that may have been paid and brought no answer.
    asked, replayed, retries : int
        Calls answered or failed in this run, calls taken from the journal, and attempts beyond the first.
    cost_unit : str
        The unit of costs.
    """

    results: tuple[QueryResult, ...]
    spent: float
    cap: float
    lost: float
    asked: int
    replayed: int
    retries: int
    cost_unit: str = ""

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self.results)

    def __iter__(self) -> Iterator[QueryResult]:
        """Iterate over the answers."""
        return iter(self.results)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per query: choice, text, the models asked, their number, the cost, and what failed why."""
        rows = [
            {
                "choice": result.choice,
                "text": result.text,
                "order": " → ".join(result.order),
                "calls": len(result.order),
                "cost": result.cost,
                "failed": "; ".join(f"{model}: {why}" for model, why in result.failures.items()),
            }
            for result in self.results
        ]
        columns = ["choice", "text", "order", "calls", "cost", "failed"]
        return pd.DataFrame(
            rows, columns=columns, index=pd.Index([result.name for result in self.results], name="query")
        )

    def __repr__(self) -> str:
        """Return the figures in a few lines."""
        unit = f" {self.cost_unit}" if self.cost_unit else ""
        kept = sum(result.choice is not None for result in self.results)
        mean = sum(result.cost for result in self.results) / max(len(self), 1)
        cap = "" if math.isinf(self.cap) else f" of at most {self.cap:,.6g}"
        lines = [
            f"{len(self):,} queries: {kept:,} answered, {len(self) - kept:,} without an answer; {mean:.4g}{unit} each",
            f"{self.asked:,} calls made ({self.retries:,} repeated attempts), {self.replayed:,} taken from the journal",
            f"{self.spent:,.6g}{unit} spent{cap}, {self.lost:,.6g} of it perhaps paid for nothing",
        ]
        reasons = Counter(f"{model}: {why}" for result in self.results for model, why in result.failures.items())
        lines += [f"  {times:,} × {reason}" for reason, times in reasons.most_common(3)]
        return "\n".join(lines)
