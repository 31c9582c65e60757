import json

import numpy as np
import pytest

from cascade_lib import datasets
from cascade_lib.datasets import alpaca, swebench


def fetched(fetch, *arguments):
    try:
        return fetch(*arguments)
    except ConnectionError as error:
        pytest.skip(f"{fetch.__name__} cannot be had here: {error}")


def test_the_open_ladder():
    pool = fetched(datasets.fetch_alpaca_eval, "open")
    assert pool.quality.shape == (805, 5)
    np.testing.assert_allclose(pool.quality.mean(axis=0), [0.2992, 0.5130, 0.6333, 0.6464, 0.7050], atol=5e-5)
    np.testing.assert_allclose(1e3 * pool.cost.mean(axis=0), [0.0150, 0.0344, 0.0883, 0.0891, 0.1072], atol=6e-5)
    assert pool.quality.max(axis=1).mean() == pytest.approx(0.8485, abs=5e-5)
    assert pool.query["dataset"].value_counts().to_dict() == {
        "selfinstruct": 252, "oasst": 188, "koala": 156, "helpful_base": 129, "vicuna": 80,
    }  # fmt: skip
    np.testing.assert_allclose(pool.answer_features["n_chars"].mean(axis=0), [2259, 1976, 2034, 2174, 2155], atol=1)


def test_the_commercial_ladder_has_the_reference_itself():
    pool = fetched(datasets.fetch_alpaca_eval, "commercial")
    np.testing.assert_allclose(pool.quality.mean(axis=0), [0.0918, 0.1613, 0.1573, 0.5], atol=5e-5)
    np.testing.assert_allclose(1e3 * pool.cost.mean(axis=0), [0.4396, 0.7004, 6.9112, 15.7828], atol=6e-5)
    assert (pool.quality[:, 3] == 0.5).all()


def test_coding_agents():
    pool = fetched(datasets.fetch_swebench)
    assert pool.quality.shape == (500, 24)
    summary = pool.summary
    assert summary.loc["DeepSeek V3.2 Reasoner"].round(4).tolist() == [0.6, 0.0281]
    assert summary.loc["Claude 4.5 Opus medium (20251101)"].round(4).tolist() == [0.744, 0.7212]
    assert "Claude 3.7 Sonnet (20250219)" not in pool.models
    assert summary["cost"].is_monotonic_increasing
    assert pool.quality.max(axis=1).mean() == pytest.approx(0.872)
    assert pool.query["repository"].value_counts()["django__django"] == 231
    failed = [pool.cost[pool.quality[:, i] == 0, i].mean() > pool.cost[:, i].mean() for i in range(pool.k)]
    assert all(failed)


def annotation(number, **changes):
    good = {
        "instruction": f"Write code {number}",
        "dataset": "koala",
        "generator_2": "tiny",
        "output_2": "No. I'm sorry.",
        "preference": 1.25,
    }
    return good | changes


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Let a ladder of one or two models be read from files written by the test."""

    def make(**files):
        monkeypatch.setitem(alpaca.ALPACA_LADDERS, "tiny", {name: alpaca._Model("", 1.0, 2.0) for name in files})
        for name, rows in files.items():
            (tmp_path / name).write_text(json.dumps(rows))
        monkeypatch.setattr(alpaca, "fetch_file", lambda url, sha256, path: tmp_path / path.split("/")[1])
        return datasets.fetch_alpaca_eval("tiny")

    return make


def test_quality_cost_and_features_of_an_answer_by_hand(tiny):
    pool = tiny(tiny=[annotation(1), annotation(2, output_2="- code\n- more ```x```", preference=2)])
    assert pool.quality.ravel().tolist() == [0.25, 1.0]
    assert pool.cost[0, 0] == pytest.approx((12 * 1 + 14 * 2) / 4e6)
    found = {name: table.ravel().tolist() for name, table in pool.answer_features.items()}
    assert found["declines"] == [1, 0]
    assert found["n_items"] == [0, 2]
    assert found["has_code"] == [0, 1]
    assert found["echo"] == [0, 0.5]
    assert pool.query["asks_code"].tolist() == [True, True]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"tiny": [{"instruction": "x"}]}, "lacks dataset, generator_2, output_2, preference"),
        ({"tiny": [annotation(1, generator_2="other")]}, "has answers of other"),
        ({"tiny": [annotation(1, preference=2.5)]}, "preferences outside 1 to 2"),
        ({"tiny": [annotation(1)], "big": [annotation(2, generator_2="big")]}, "big has other instructions than"),
    ],
)
def test_a_file_of_answers_that_is_not_what_it_should_be(tiny, files, message):
    with pytest.raises(ValueError, match=message):
        tiny(**files)


def test_an_unknown_ladder():
    with pytest.raises(ValueError, match="ladder must be one of 'open', 'commercial'"):
        datasets.fetch_alpaca_eval("rope")


def board(*entries):
    return {"leaderboards": [{"name": "bash-only", "results": list(entries)}]}


def entry(name, resolved, *, total=None, tasks=("a__b-1", "a__b-2")):
    details = {t: {"resolved": r, "cost": 0.1, "api_calls": 3} for t, r in zip(tasks, resolved, strict=True)}
    share = 100 * np.mean(resolved) if total is None else total
    return {"name": name, "resolved": share, "per_instance_details": details}


ODD = entry("Claude 3.7 Sonnet (20250219)", [True, False], total=99)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"leaderboards": []}, "is not a table of leaderboards"),
        ({"boards": 1}, "is not a table of leaderboards"),
        (board(ODD, entry("m", [True, True], total=40)), "m resolved 40% by its entry, 100.0% by its details"),
        (board(ODD, entry("m", [True, True]), entry("o", [True, True], tasks=("c-1", "c-2"))), "run on other tasks"),
    ],
)
def test_a_table_of_leaderboards_that_is_not_what_it_should_be(tmp_path, monkeypatch, content, message):
    file = tmp_path / "leaderboards.json"
    file.write_text(json.dumps(content))
    monkeypatch.setattr(swebench, "fetch_file", lambda *_, **__: file)
    with pytest.raises(ValueError, match=message):
        datasets.fetch_swebench()
