"""Queries taken up together end as they would one by one, whatever is known of them."""

import numpy as np
import pandas as pd
import pytest
from dummy_server import MODELS, Fixed, policy_of, queries_of
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade_lib.estimators import Beliefs
from cascade_lib.live import runner
from cascade_lib.live.journal import Journal
from cascade_lib.live.replay import replay
from cascade_lib.live.runner import Local
from truths import STRATEGIES


class ByScore(Fixed):
    """Thinks of every query as much as its feature says, and of every answer as much as its score."""

    def beliefs(self, evidence, rows):
        said, ran = super().beliefs(evidence, rows), evidence.ran
        hope = evidence.query["hope"].to_numpy()[rows, None]
        mean = np.where(ran, said.mean, said.mean * hope)
        return Beliefs(ran, mean, said.spread, said.cost)


def one_by_one(policy, queries, dear, tell):
    """Ask a session for each query; return what `replay` should."""
    ends = []
    for row, (name, query) in enumerate(zip(queries.index, queries.to_dict("records"), strict=True)):
        policy_of_row = type(policy)(**(vars(policy) | {"gamma": 0.0 if dear[row] else 1.0}))
        session, known, ended = policy_of_row.start(query, name=name, seed=0), set(), False
        while not ended and (model := session.next()) is not None:
            if (told := tell(row, model)) is None:
                break
            cost, features = told
            session.fail(model, cost=cost) if features is None else session.observe(model, cost=cost, answer=features)
            known |= {model} if features is not None else set()
        else:
            ended = True
        ends.append((ended, session.choice if ended and known else None))
    return ends


@pytest.mark.parametrize("strategy", STRATEGIES, ids=repr)
@given(seed=st.integers(0, 10_000), lam=st.sampled_from([0.0, 0.02, 0.2, 1.0]), n=st.integers(1, 8))
@settings(max_examples=15)
def test_replay_decides_as_sessions_do(strategy, seed, lam, n):
    rng = np.random.default_rng(seed)
    fate = rng.choice(["answer", "failure", "not asked"], (n, 3), p=[0.6, 0.2, 0.2])
    score, cost = rng.choice([0.1, 0.5, 0.9, np.nan], (n, 3)), rng.uniform(0, 5, (n, 3))
    policy = policy_of(strategy, {"score": True}, lam, ByScore())
    policy = type(policy)(**(vars(policy) | {"schema": type(policy.schema)(MODELS, ("hope",), {"score": True})}))
    queries = pd.DataFrame({"hope": rng.choice([0.5, 1.0], n)}, index=[f"q{i}" for i in range(n)])
    dear = rng.random(n) < 0.5
    asked = []

    def tell(row, model):
        i = MODELS.index(model)
        asked.append((row, model))
        answer = {"answer": {"score": score[row, i]}, "failure": None}
        return None if fate[row, i] == "not asked" else (cost[row, i], answer[fate[row, i]])

    together, first = replay(policy, queries, dear, tell), sorted(asked)
    asked.clear()
    assert together == one_by_one(policy, queries, dear, tell)
    assert first == sorted(asked)  # and nothing was looked up that no session would ask for


def functions(calls, limit=None):
    """Return models that answer with a score that depends on their name and the query, and count their calls."""

    def answer(query, name):
        if limit is not None and len(calls) >= limit:
            raise KeyboardInterrupt
        calls.append((query["text"], name))
        return {"score": (sum(map(ord, query["text"] + name)) % 10) / 10}

    return {name: Local(lambda query, name=name: answer(query, name), price=1.0 + i) for i, name in enumerate(MODELS)}


def test_a_run_taken_up_starts_no_session_for_a_query_that_has_ended(tmp_path, monkeypatch):
    policy, path, calls = policy_of(answer_features={"score": True}, lam=0.05), tmp_path / "j.jsonl", []
    options = {"journal": path, "progress": False, "concurrency": 1}
    whole = runner.run_sync(policy, queries_of(60), functions(calls), **options)
    made, lines = len(calls), path.read_text().splitlines(keepends=True)
    # All but the last 15 calls: most queries have ended, one may be half-way, and others are not begun.
    path.write_text("".join(lines[:-30]))
    monkeypatch.setattr(runner, "_AT_ONCE", 7)
    started, start = [], type(policy).start
    monkeypatch.setattr(
        type(policy),
        "start",
        lambda self, *given, name, **more: started.append(name) or start(self, *given, name=name, **more),
    )
    calls.clear()
    again = runner.run_sync(policy, queries_of(60), functions(calls), **options)
    ended = 60 - len(started)
    assert ended > 30
    assert started == [f"q{i}" for i in range(ended, 60)]
    assert again.to_frame().equals(whole.to_frame())
    assert again.replayed + again.asked == made == again.replayed + len(calls)


def test_reading_a_journal_keeps_each_reply_once(tmp_path):
    path = tmp_path / "j.jsonl"
    runner.run_sync(
        policy_of(answer_features={"score": True}), queries_of(5), functions([]), journal=path, progress=False
    )
    journal = Journal(path)
    assert len(journal.calls) == 15
    assert journal._lines.found == []
    journal.close()
