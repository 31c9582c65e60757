"""Repeated samples: the figures of the docstring, the estimator of success, the draws, and damaged tables."""

import csv
from itertools import combinations
from math import comb

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cascade_lib import datasets
from cascade_lib.datasets import RepeatedSamples, fetch, fetch_repeated_samples, repeated


def fetched(task):
    try:
        return fetch_repeated_samples(task)
    except ConnectionError as error:
        pytest.skip(f"{task} cannot be had here: {error}")


def table_of_the_docstring():
    """Return the rows of the table in the docstring of `fetch_repeated_samples`, by task."""
    cells = [line.split() for line in fetch_repeated_samples.__doc__.splitlines()]
    return {row[0]: row[1:] for row in cells if row and row[0] in datasets.REPEATED_TASKS and len(row) == 6}


def test_the_docstring_has_every_task():
    assert set(table_of_the_docstring()) == set(datasets.REPEATED_TASKS)


@pytest.mark.parametrize("task", datasets.REPEATED_TASKS)
def test_the_figures_of_the_docstring(task):
    samples = fetched(task)
    n, k = samples.count.shape
    each = f"{samples.count.min():,}-{samples.count.max():,}"
    best, of_all = samples.rate.mean(axis=0).max(), samples.rate.max(axis=1).mean()
    assert table_of_the_docstring()[task] == [f"{n:,}", str(k), each, f"{best:.3f}", f"{of_all:.3f}"]


@pytest.mark.parametrize(("task", "with_counts"), [("human_eval_plus", True), ("lcb_codegen_v6", False)])
def test_cells_are_those_of_the_file(task, with_counts):
    samples = fetched(task)
    folder, sha256 = datasets.REPEATED_TASKS[task]
    url = repeated.REPEATED_URL.format(folder=folder, task=task)
    file = fetch.fetch_file(url, sha256, path=f"all_the_noises/{folder}/input_table_{task}.csv")
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == (samples.count > 0).sum() == len(samples.to_frame())
    at = {str(name): i for i, name in enumerate(samples.query.index)}
    for row in rows[::97]:
        cell = at[row["example_id"]], samples.models.index(row["model"])
        assert samples.count[cell] == float(row["count"])
        assert samples.rate[cell] == pytest.approx(float(row["pass1"]), abs=1e-9)
        if with_counts:
            assert samples.correct[cell] == int(row["correct"])
        else:
            assert samples.query["date"].iloc[cell[0]].timestamp() == float(row["date"]) / 1000


def test_a_small_model_with_tests_overtakes_a_large_one():
    samples = fetched("human_eval_plus")
    found = {
        name: [samples.select([name]).success(n).mean() for n in (1, 4, 16)]
        for name in ("qwen2.5-coder-7b-instruct", "qwen2.5-coder-32b-instruct", "google_gemma_3_12b_it")
    }
    small, large, gemma = found.values()
    np.testing.assert_allclose(small, [0.474, 0.766, 0.877], atol=5e-4)
    np.testing.assert_allclose(large, [0.750, 0.852, 0.881], atol=5e-4)
    np.testing.assert_allclose([gemma[0], gemma[2]], [0.729, 0.783], atol=5e-4)
    assert small[2] > large[1] > large[0]


def test_sizes_are_read_from_names():
    sizes = fetched("human_eval_plus").billions
    assert sizes["mistralai_mixtral_8x22b_instruct_v0.1"] == 8 * 22
    assert sizes["google_codegemma_1.1_7b_it"] == 7
    assert sizes["qwen2.5-coder-1.5b-instruct"] == 1.5
    assert list(sizes[sizes.isna()].index) == ["deepseek_v2_lite_chat"]


def made(count, correct, models=("tiny-1b", "tiny-4b")):
    query = pd.DataFrame(index=[f"q{i}" for i in range(len(count))])
    return RepeatedSamples("sums", models[: len(count[0])], query, np.array(count), np.array(correct), 0.7)


@given(st.integers(1, 8).flatmap(lambda m: st.tuples(st.just(m), st.integers(0, m), st.integers(1, m))))
def test_success_is_the_share_of_subsets_with_a_right_answer(cell):
    m, right, n = cell
    answers = [1] * right + [0] * (m - right)
    share = np.mean([max(subset) for subset in combinations(answers, n)])
    assert made([[m]], [[right]]).success(n)[0, 0] == pytest.approx(share, abs=1e-12)


@given(st.integers(1, 12).flatmap(lambda m: st.tuples(st.just(m), st.integers(1, m))), st.floats(0, 1))
def test_success_is_unbiased(sizes, p):
    m, n = sizes
    chances = [comb(m, r) * p**r * (1 - p) ** (m - r) for r in range(m + 1)]
    success = made([[m]] * (m + 1), [[r] for r in range(m + 1)]).success(n)[:, 0]
    assert np.dot(chances, success) == pytest.approx(1 - (1 - p) ** n, abs=1e-9)


def test_draws_have_the_rates_and_follow_the_seed():
    samples = made([[4, 4]] * 4000, [[1, 4]] * 4000)
    pool = samples.draw(seed=1)
    assert pool.quality[:, 0].mean() == pytest.approx(0.25, abs=0.03)  # more than four standard errors
    assert pool.quality[:, 1].all()
    assert pool.cost[0].tolist() == [1, 4]
    assert pool.fingerprint == samples.draw(seed=1).fingerprint != samples.draw(seed=2).fingerprint
    assert samples.draw(seed=1, cost={"tiny-1b": 2.5, "tiny-4b": 3}).cost[0].tolist() == [2.5, 3]


def test_what_was_never_asked_is_missing():
    samples = made([[4, 0], [4, 4]], [[1, 0], [1, 1]])
    assert np.isnan(samples.rate[0, 1])
    assert len(samples.to_frame()) == 3
    with pytest.raises(ValueError, match=r"no sample of tiny-4b. Select other models"):
        samples.draw(seed=0)
    with pytest.raises(ValueError, match="fewer samples of tiny-4b"):
        samples.success(1)
    assert samples.select(["tiny-1b"]).draw(seed=0).models == ("tiny-1b",)


@pytest.mark.parametrize("n", [0, 1.5, True])
def test_a_number_of_samples_that_is_none(n):
    with pytest.raises(ValueError, match="n must be a whole number of at least 1"):
        made([[4]], [[1]]).success(n)


def test_more_samples_than_were_taken():
    with pytest.raises(ValueError, match=r"n is 5, but some questions have fewer samples of tiny-1b"):
        made([[4, 9]], [[1, 1]]).success(5)


def test_costs_that_are_not_known():
    samples = made([[4, 4]], [[1, 1]], models=("tiny-1b", "nameless"))
    with pytest.raises(ValueError, match=r"the names tell no size for nameless. Pass cost="):
        samples.draw(seed=0)
    with pytest.raises(ValueError, match="cost has no entry for nameless"):
        samples.draw(seed=0, cost={"tiny-1b": 1})


@pytest.mark.parametrize(
    ("count", "correct", "message"),
    [
        ([[4]], [[5]], "correct must not exceed count; it does for 'tiny-1b' on 'q0'"),
        ([[-1]], [[0]], "count must hold whole numbers"),
        ([[1]], [[0.5]], "correct must hold whole numbers"),
        ([[1]], [[0, 0]], "correct must have one row per question"),
    ],
)
def test_counts_that_cannot_be(count, correct, message):
    with pytest.raises(ValueError, match=message):
        made(count, correct)


def test_unknown_models_and_tasks():
    samples = made([[4]], [[1]])
    with pytest.raises(ValueError, match=r"models not among these: big. There are tiny-1b"):
        samples.select(["big"])
    with pytest.raises(ValueError, match="task must be one of 'human_eval_plus'"):
        fetch_repeated_samples("humaneval")


GOOD = "model,example_id,count,correct,pass1,temperature\na-1b,0,4,1,0.25,0.7\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("model,example_id\na,0\n", "lacks the columns count, pass1"),
        (GOOD + "a-1b,0,4,1,0.25,0.7\n", "a pair of model and question twice"),
        (GOOD + "a-1b,1,4,1,0.75,0.7\n", "contradict each other"),
        (GOOD + "a-1b,1,4,1,0.25,1.0\n", "mixes the temperatures 0.7, 1.0"),
    ],
)
def test_a_table_that_is_not_what_it_should_be(tmp_path, monkeypatch, content, message):
    file = tmp_path / "table.csv"
    file.write_text(content)
    monkeypatch.setattr(repeated, "fetch_file", lambda *_, **__: file)
    with pytest.raises(ValueError, match=message):
        fetch_repeated_samples("mbpp")


def test_a_pair_that_the_table_lacks_counts_as_never_asked(tmp_path, monkeypatch):
    file = tmp_path / "table.csv"
    file.write_text(GOOD + "b-2b,1,2,2,1.0,0.7\n")
    monkeypatch.setattr(repeated, "fetch_file", lambda *_, **__: file)
    assert fetch_repeated_samples("mbpp").count.tolist() == [[4, 0], [0, 2]]
