"""Live decisions of a policy whose estimates are learned: what a user waits for, from the file of the policy on.

The queries are the texts of the sentiment pool, six models, estimates by the default learner from 1,500 of them.
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
from timing import once

from cascade_lib import CascadeRouter, LearnedEstimator, Policy, datasets


def judged():
    """Return training, calibration and test texts, whose answers say what each model claims and which word it said."""
    pool = datasets.load_sentiment()
    claim = 1 / (1 + np.exp(-np.abs(pool.answer_features["margin"])))
    said = np.where(pool.answer_features["answer"] > 0, "positive", "negative")
    return replace(pool, answer_features={"claim": claim, "said": said}).split(0.5, 0.25, 0.25, seed=0)


def decisions(policy, live, row):
    """Serve one text and return how many seconds each decision took; the calls themselves take none."""
    session, times = policy.start(live.query.iloc[row].to_dict(), name=live.query.index[row], seed=0), []
    while True:
        # Asked again, a session gives the same answer.
        times.append(once(session.next))
        model = session.next()
        if model is None:
            return times
        i = live.models.index(model)
        answer = {name: table[row, i] for name, table in live.answer_features.items()}
        session.observe(model, cost=live.cost[row, i], answer=answer)


def rows():
    """Time the first decision after the policy is loaded, and those that follow."""
    train, calibration, live = judged()
    policy = CascadeRouter().calibrate(LearnedEstimator().fit(train), calibration, budget=150)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "policy.json"
        policy.save(path)
        loading = once(lambda: Policy.load(path))
        policy = Policy.load(path)
        size = path.stat().st_size / 2**20
    served = [decisions(policy, live, row) for row in range(200)]
    warm = [time for times in served[100:] for time in times]
    yield "size of the file of a learned policy", "MiB", size
    yield "loading it", "s", loading
    yield "first decision of a learned policy, k = 6", "ms", 1000 * served[0][0]
    yield "one live decision of a learned policy, k = 6 (median)", "ms", 1000 * median(warm)
    yield "all decisions about one query, learned policy (median)", "ms", 1000 * median(map(sum, served[100:]))
