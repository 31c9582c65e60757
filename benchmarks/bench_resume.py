"""How long a run takes to go through a journal with all of its calls, against reading the journal alone.

The policy is a learned one; the journal has all three models on 33,333 queries, whatever the policy asks for.
"""

import asyncio
import tempfile
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from cascade_lib import Cascade, LearnedEstimator, Outcomes, Policy
from cascade_lib.live.journal import Journal, replied, sent
from cascade_lib.live.runner import Endpoint, run

CALLS, MODELS = 100_000, ("small", "medium", "large")


def policy_of(rng: np.random.Generator) -> Policy:
    """Return a policy that learned from 1,000 queries with a difficulty and answers with a score."""
    difficulty = rng.uniform(size=1000)
    right = rng.uniform(size=(1000, 3)) > difficulty[:, None] * [0.9, 0.7, 0.5]
    score = right + rng.normal(0, 0.5, (1000, 3))
    query = pd.DataFrame({"difficulty": difficulty, "length": rng.integers(1, 500, 1000).astype(float)})
    cost = np.tile([1.0, 4.0, 15.0], (1000, 1))
    pool = Outcomes(right, cost, models=MODELS, query=query, answer_features={"score": score})
    return Cascade().calibrate(LearnedEstimator(folds=2).fit(pool), pool, budget=10)


def events_of(queries: pd.DataFrame, models: dict[str, Endpoint]) -> Iterator[dict]:
    """Yield the events of a journal in which every model has answered every query."""
    rng = np.random.default_rng(1)
    for name, query in zip(queries.index, queries.to_dict("records"), strict=True):
        for price, model in zip((1.0, 4.0, 15.0), MODELS, strict=True):
            key = (str(name), model, 0)
            [body] = models[model].bodies(query)
            reply = {"choices": [{"message": {"content": "yes"}}], "score": rng.uniform(0, 2)}
            yield sent(key, price, models[model].digest(body), 1)
            yield replied(key, price, reply, 0.1)


async def longest_pause(work: Coroutine) -> tuple[object, float]:
    """Return what came of some work and the longest time for which the event loop did nothing else meanwhile."""
    longest, task = 0.0, asyncio.ensure_future(work)
    while not task.done():
        start = time.perf_counter()
        await asyncio.sleep(0.005)
        longest = max(longest, time.perf_counter() - start - 0.005)
    return task.result(), longest


def rows() -> Iterator[tuple[str, str, float]]:
    """Measure, and yield what was measured, its unit and the figure."""
    rng = np.random.default_rng(0)
    policy, n = policy_of(rng), CALLS // len(MODELS)
    queries = pd.DataFrame({"difficulty": rng.uniform(size=n), "length": rng.integers(1, 500, n).astype(float)})
    options = {"request": _request, "read": lambda reply: {"score": reply["score"]}}
    models = {name: Endpoint("http://127.0.0.1:9/v1", model=name, **options) for name in MODELS}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        journal = Journal(path)
        journal.record(list(events_of(queries, models)))
        journal.close()
        start = time.perf_counter()
        Journal(path).close()
        read = time.perf_counter() - start
        start = time.perf_counter()
        result, pause = asyncio.run(longest_pause(run(policy, queries, models, journal=path, progress=False)))
        whole = time.perf_counter() - start
    assert result.asked == 0
    yield f"reading a journal of {len(MODELS) * n:,} calls", "s", read
    yield "resuming the run that made them", "s", whole
    yield "resuming against reading alone", "times", whole / read
    yield "longest time for which the event loop stood still", "ms", 1000 * pause


def _request(query: dict) -> dict:
    return {"messages": [{"role": "user", "content": str(query["difficulty"])}], "max_tokens": 5}
