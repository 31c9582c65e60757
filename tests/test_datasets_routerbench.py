"""RouterBench is read as it was published, and the draws that stand in for it look like it."""

import importlib.util
import json
import os
import subprocess
import sys
from hashlib import sha256
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pooch
import pytest
from threadpoolctl import threadpool_limits

from cascade_lib import Outcomes, datasets, omniscient, single_models
from cascade_lib.datasets import (
    ROUTERBENCH_MODELS,
    ROUTERBENCH_POOLS,
    fetch,
    routerbench,
    simulate,
    simulate_routerbench,
)

SHORT = ("mistralai/mistral-7b-chat", "gpt-4-1106-preview")


def table(n=6):
    """A table with the columns, in the order, and with the kinds of values of the published files."""
    tasks = ["mmlu-anatomy", "grade-school-math", "hellaswag", "consensus_summary", "arc-challenge", "mtbench-math"]
    rng = np.random.default_rng(0)
    columns = {
        "sample_id": [f"{task}.val.{number}" for number, task in enumerate(tasks)],
        "prompt": ["['Which?\\nA) one\\nB) two']", "['What is 3 + 4?']", "['a', 'b c']", "plain", "['it\\'s']", "['']"],
        "eval_name": tasks,
    }
    answers = ["['\\nB']", "['3+4\\n= 1,007.0']", "['Answer']", "[' Yes. ']", "['C)']", "['']"]
    columns |= {model: rng.choice([0.0, 0.25, 1.0], 6).tolist() for model in ROUTERBENCH_MODELS}
    columns |= {f"{model}|model_response": answers for model in ROUTERBENCH_MODELS[::-1]}
    numbers = {f"{model}|total_cost": rng.uniform(0, 1e-3, 6) for model in ROUTERBENCH_MODELS[::-1]}
    frame = pd.concat([pd.DataFrame(columns, dtype=object), pd.DataFrame(numbers)], axis=1)
    frame["oracle_model_to_route_to"] = pd.Series(["no_model_correct"] * 6, dtype=object)
    return frame.set_axis(pd.Index(list(frame), dtype=object), axis=1).head(n)


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Put a table where the file with so many shots would lie in a mirror."""
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    monkeypatch.setenv(datasets.MIRROR, str(tmp_path))
    monkeypatch.setattr(fetch, "RETRIES", 0)

    def publish(frame, shots=0, protocol=5):
        file = tmp_path / f"routerbench_{shots}shot.pkl"
        frame.to_pickle(file, protocol=protocol)
        monkeypatch.setitem(routerbench.ROUTERBENCH_SHA256, shots, pooch.file_hash(str(file)))

    return publish


def test_whether_a_full_file_is_here_is_told_for_each_of_the_two(publish):
    assert not datasets.routerbench_is_here(shots=0)
    publish(table(), shots=5)
    assert datasets.routerbench_is_here(shots=5)
    assert not datasets.routerbench_is_here()
    with pytest.raises(ValueError, match="shots must be 0 or 5; got 1"):
        datasets.routerbench_is_here(shots=1)


def test_the_pools_are_those_of_the_paper():
    assert ROUTERBENCH_POOLS[3] == ("mistralai/mixtral-8x7b-chat", "gpt-3.5-turbo-1106", "gpt-4-1106-preview")
    assert ROUTERBENCH_POOLS[5] == (
        "WizardLM/WizardLM-13B-V1.2", "mistralai/mixtral-8x7b-chat", "gpt-3.5-turbo-1106", "claude-v2",
        "gpt-4-1106-preview",
    )  # fmt: skip
    assert ROUTERBENCH_POOLS[11] == ROUTERBENCH_MODELS
    assert len(set(ROUTERBENCH_MODELS)) == 11


# Means of the full zero-shot file as others have published them (quality, USD per query), in the order of the columns.
# With them the pools have the areas that the paper reports, which confirms what the numbers of its columns mean.
FULL_QUALITY = [0.4311, 0.5984, 0.6301, 0.6358, 0.6193, 0.7814, 0.2022, 0.3287, 0.3061, 0.5471, 0.6475]
FULL_COST = [73e-6, 233e-6, 2145e-6, 2419e-6, 243e-6, 3293e-6, 172e-6, 203e-6, 46e-6, 135e-6, 186e-6]


@pytest.mark.parametrize(("size", "auc"), [(3, 0.6962), (5, 0.6922), (11, 0.7051)])
def test_the_pools_have_the_papers_areas_of_linear_interpolation(size, auc):
    means = Outcomes([FULL_QUALITY], [FULL_COST], models=ROUTERBENCH_MODELS)
    assert single_models(means.select(ROUTERBENCH_POOLS[size])).auc() == pytest.approx(auc, abs=4e-4)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_the_published_table_becomes_outcomes(publish, protocol):
    frame = table()
    publish(frame, protocol=protocol)
    pool = datasets.fetch_routerbench()
    assert pool.models == ROUTERBENCH_MODELS
    assert pool.cost_unit == "USD"
    assert pool.query.index.tolist() == frame["sample_id"].tolist()
    for number, model in enumerate(ROUTERBENCH_MODELS):
        np.testing.assert_array_equal(pool.quality[:, number], frame[model].astype(float))
        np.testing.assert_array_equal(pool.cost[:, number], frame[f"{model}|total_cost"])


def test_queries_are_described_by_what_is_known_before_any_call(publish):
    publish(table())
    query = datasets.fetch_routerbench().query
    assert query["task"].tolist() == table()["eval_name"].tolist()
    assert query["group"].tolist() == ["mmlu", "gsm8k", "hellaswag", "other", "arc", "mtbench"]
    assert query["prompt"].tolist() == ["Which?\nA) one\nB) two", "What is 3 + 4?", "a\nb c", "plain", "it's", ""]
    assert query["n_chars"].tolist() == [20, 14, 5, 5, 4, 0]
    assert query["n_words"].tolist() == [5, 5, 3, 1, 1, 0]
    assert query["n_lines"].tolist() == [3, 1, 2, 1, 1, 1]
    assert query["n_digits"].tolist() == [0, 2, 0, 0, 0, 0]
    assert query["n_choices"].tolist() == [2, 0, 0, 0, 0, 0]
    assert list(query) == ["task", "group", "prompt", "n_chars", "n_words", "n_lines", "n_digits", "n_choices"]


def test_answers_are_described_by_length_and_label(publish):
    frame = table()
    frame.loc[0, "claude-v2|model_response"] = "['A. because']"
    publish(frame)
    pool = datasets.fetch_routerbench().select((*SHORT, "claude-v2"))
    assert pool.answer_features["answer"][:, 0].tolist() == ["B", "1007", "", "yes", "C", ""]
    assert pool.answer_features["answer"][0].tolist() == ["B", "B", "A"]
    assert pool.answer_features["n_chars"][:, 1].tolist() == [2, 13, 6, 6, 2, 0]
    assert pool.answer_features["n_words"][:, 1].tolist() == [1, 3, 1, 1, 1, 0]
    assert pool.take([0, 2]).to_frame()["answer"].tolist() == ["B", "B", "A", "", "", ""]


@pytest.mark.parametrize(
    ("text", "group", "label"),
    [
        ("A)", "mmlu", "A"), ("\nD", "arc", "D"), ("[B]", "hellaswag", "B"), ("(C) it", "mmlu", "C"),
        ("A\n", "arc", "A"), ("Answer", "mmlu", ""), ("A's", "mmlu", ""), ("I apologize", "mmlu", ""),
        ("10", "winogrande", ""), ("so $3,600.", "gsm8k", "3600"), ("-2.50", "gsm8k", "-2.5"),
        ("33 of 40: 7 left.", "gsm8k", "7"), ("?", "gsm8k", ""), ("是。", "other", "是"),
        ("The  ONE", "other", "the one"), ("x" * 41, "other", ""), ("", "mbpp", ""),
    ],
)  # fmt: skip
def test_labels(text, group, label):
    assert routerbench._label(text, group) == label


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("['one', 'two']", "one\ntwo"),
        ("[step] up", "[step] up"),
        ("[{[]}]", "[{[]}]"),
        ("[1, 'a'", "[1, 'a'"),
        (None, ""),
    ],
)
def test_texts_are_freed_from_the_form_of_a_list(text, plain):
    assert routerbench._plain(text) == plain


def with_gaps():
    """Two rows as in the five-shot file: one sample in two versions of the prompt, each answered by some models."""
    frame = pd.concat([table(), table().tail(1).assign(prompt="another")], ignore_index=True)
    first = [model for model in ROUTERBENCH_MODELS if model.startswith("claude")]
    for row, models in ((5, first), (6, [model for model in ROUTERBENCH_MODELS if model not in first])):
        for model in models:
            frame.loc[row, [model, f"{model}|total_cost", f"{model}|model_response"]] = np.nan
    return frame


def test_missing_answers_count_as_nothing_for_nothing_as_in_the_paper(publish):
    publish(with_gaps(), shots=5)
    pool = datasets.fetch_routerbench(shots=5)
    assert len(pool) == 7
    absent = np.array([name.startswith("claude") for name in ROUTERBENCH_MODELS])
    assert not pool.quality[5, absent].any()
    assert not pool.cost[5, absent].any()
    assert (pool.cost[5, ~absent] > 0).all()
    assert not pool.cost[6, ~absent].any()
    assert set(pool.answer_features["answer"][5]) == {""}
    np.testing.assert_array_equal(pool.quality[:5], table()[list(ROUTERBENCH_MODELS)].to_numpy(float)[:5])


def test_rows_with_missing_answers_can_be_left_out(publish):
    publish(with_gaps(), shots=5)
    pool = datasets.fetch_routerbench(shots=5, missing="drop")
    assert pool.query.index.tolist() == table()["sample_id"].tolist()[:5]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shots": 1}, "shots must be 0 or 5; got 1"),
        ({"missing": "mean"}, "missing must be 'zero' or 'drop'; got 'mean'"),
    ],
)
def test_other_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        datasets.fetch_routerbench(**options)


def change(place, value):
    frame = table()
    frame[place] = frame[place].astype(object)
    frame.loc[2, place] = value
    return frame


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (table().drop(columns=["prompt", "claude-v1|total_cost"]), "lacks the columns prompt, claude-v1.total_cost"),
        (change("claude-v1", 1.5), "query 'hellaswag.val.2', column 'claude-v1': 1.5 is not a quality from 0 to 1"),
        (change("claude-v1", "good"), "query 'hellaswag.val.2', column 'claude-v1': 'good' is not a quality"),
        (change("claude-v2|total_cost", -1e-9), r"column 'claude-v2\|total_cost': -1e-09 is not a cost of at least 0"),
        (pd.concat([table(), table().tail(1)]), "has the query 'mtbench-math.val.5' twice"),
    ],
)
def test_a_table_that_is_not_as_it_should_be_is_refused(publish, frame, message):
    publish(frame)
    with pytest.raises(ValueError, match=f"routerbench_0shot.pkl.*{message}"):
        datasets.fetch_routerbench()


def test_the_file_is_read_only_if_its_hash_is_right(publish, monkeypatch):
    publish(table())
    monkeypatch.setitem(routerbench.ROUTERBENCH_SHA256, 0, "0" * 64)
    monkeypatch.setattr(routerbench, "read_frame_pickle", lambda path: pytest.fail("an unchecked pickle was read"))
    with pytest.raises(ValueError, match="is not the expected file"):
        datasets.fetch_routerbench()


def test_the_pinned_addresses_name_a_revision():
    for shots, digest in routerbench.ROUTERBENCH_SHA256.items():
        assert f"/784021482c3f320c6619ed4b3bb3b41a21424fcb/routerbench_{shots}shot.pkl" in (
            routerbench.ROUTERBENCH_URL.format(shots=shots)
        )
        assert len(digest) == 64


@pytest.fixture(scope="module")
def sample():
    """The 365 real queries, from the cache, the mirror or the network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fetch, "RETRIES", 0)
        try:
            return datasets.fetch_routerbench_sample()
        except ConnectionError:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"the RouterBench sample is neither cached nor reachable, and no {datasets.MIRROR} has it")


def test_the_sample_is_what_others_say_it_is(sample):
    assert len(sample) == 365
    assert sample.query.index.is_unique
    assert sample.query["group"].value_counts().to_dict() == {
        "mmlu": 138, "hellaswag": 90, "gsm8k": 78, "other": 20, "arc": 17, "winogrande": 13, "mbpp": 9,
    }  # fmt: skip
    assert sample.query["task"].nunique() == 61
    summary = sample.summary
    assert summary.loc["gpt-4-1106-preview"].round(6).tolist() == [0.781507, 0.003591]
    assert summary.loc["mistralai/mistral-7b-chat"].round(6).tolist() == [0.30411, 0.000046]
    assert sample.quality.max(axis=1).mean() == pytest.approx(0.8993, abs=5e-5)


def test_the_sample_is_a_draw_from_the_full_file(sample):
    error = sample.quality.std(axis=0) / np.sqrt(len(sample))
    assert (np.abs(sample.quality.mean(axis=0) - FULL_QUALITY) < 3 * error).all()
    error = sample.cost.std(axis=0) / np.sqrt(len(sample))
    assert (np.abs(sample.cost.mean(axis=0) - FULL_COST) < 3 * error).all()


def test_right_answers_agree_and_wrong_ones_do_less(sample):
    rows = sample.query["group"].isin(["mmlu", "hellaswag", "arc"]).to_numpy()
    answer, right = sample.answer_features["answer"][rows], sample.quality[rows] == 1
    assert (answer[right] != "").all()
    pairs = list(combinations(range(sample.k), 2))
    agree = np.array([answer[:, i] == answer[:, j] for i, j in pairs])
    both = np.array([right[:, i] & right[:, j] for i, j in pairs])
    one = np.array([right[:, i] ^ right[:, j] for i, j in pairs])
    assert agree[both].all()
    assert not agree[one].any()


def test_texts_of_the_sample_are_clean(sample):
    assert not sample.query["prompt"].str.startswith(("['", '["')).any()
    assert (sample.query["n_chars"] == sample.query["prompt"].str.len()).all()
    choice = sample.query["group"].isin(["mmlu", "hellaswag", "arc"])
    assert (sample.query.loc[choice, "n_choices"] >= 3).mean() > 0.99
    assert (
        sample.answer_features["n_chars"][choice].mean() < 4 < 200 < sample.answer_features["n_chars"][~choice].mean()
    )


@pytest.fixture(scope="module")
def drawn():
    return simulate_routerbench(20_000, seed=1)


def test_draws_are_outcomes_like_those_of_the_file(drawn):
    assert (len(drawn), drawn.k, drawn.cost_unit) == (20_000, 11, "USD")
    assert drawn.models == ROUTERBENCH_MODELS
    assert set(np.unique(drawn.quality)) <= {0.0, 0.25, 0.5, 0.75, 1.0}
    assert (drawn.cost > 0).all()
    assert (drawn.query["n_chars"] >= 1).all()
    assert (drawn.answer_features["n_chars"] >= 1).all()
    for group, rows in drawn.query.groupby("group").indices.items():
        graded = np.isin(drawn.quality[rows], [0.25, 0.5, 0.75]).any()
        assert graded == (group in ("gsm8k", "other"))


def test_a_seed_gives_the_same_draws():
    first, again, other = (simulate_routerbench(50, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.quality, again.quality)
    np.testing.assert_array_equal(first.cost, again.cost)
    np.testing.assert_array_equal(first.answer_features["answer"], again.answer_features["answer"])
    pd.testing.assert_frame_equal(first.query, again.query)
    assert (first.cost != other.cost).any()


@pytest.mark.parametrize("n", [2703, 2750, 2801])
def test_the_draws_are_the_same_bytes_on_any_number_of_threads(n):
    """Noise is seeded by the bytes of outcomes, so that a last bit would change every number of a chapter."""
    here = simulate_routerbench(n, seed=0)
    with threadpool_limits(1):
        alone = simulate_routerbench(n, seed=0)
    assert here.cost.tobytes() == alone.cost.tobytes()
    assert here.quality.tobytes() == alone.quality.tobytes()


@pytest.mark.parametrize("processor", ["Nehalem", "Sandybridge", "Haswell"])
def test_the_draws_are_the_same_bytes_on_other_processors(processor):
    """OpenBLAS is told to multiply and decompose as on an older processor; elsewhere the name is not heeded."""
    code = (
        "from cascade_lib.datasets import simulate_routerbench; from hashlib import sha256; "
        "pool = simulate_routerbench(3000, seed=0); "
        "print(sha256(pool.cost.tobytes() + pool.quality.tobytes()).hexdigest())"
    )
    here = simulate_routerbench(3000, seed=0)
    there = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "OPENBLAS_CORETYPE": processor},
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.strip() == sha256(here.cost.tobytes() + here.quality.tobytes()).hexdigest()


@pytest.mark.parametrize("n", [1, 2])
def test_few_queries_can_be_drawn(n):
    assert len(simulate_routerbench(n, seed=0)) == n


def test_no_queries_cannot():
    with pytest.raises(ValueError, match="n must be at least 1; got 0"):
        simulate_routerbench(0, seed=0)


def parameters():
    return json.loads(simulate.SIMULATOR_FILE.read_text(encoding="utf-8"))


def test_the_parameters_are_small_and_carry_no_texts():
    assert simulate.SIMULATOR_FILE.stat().st_size < 30_000
    assert parameters()["source"]["sample"] == routerbench.SAMPLE_SHA256
    assert sum(group["queries"] for group in parameters()["groups"].values()) == 365


def test_draws_have_the_means_of_their_parameters(drawn):
    for name, group in parameters()["groups"].items():
        rows = (drawn.query["group"] == name).to_numpy()
        share = group["queries"] / 365
        assert abs(rows.mean() - share) < 4 * np.sqrt(share / len(drawn))
        expected = np.array(group["probability"]) @ simulate.LEVELS
        error = np.sqrt(expected * (1 - expected) / rows.sum()) + 1e-6
        assert (np.abs(drawn.quality[rows].mean(axis=0) - expected) < 4 * error).all(), name
        log, sd = np.array(group["log_mean"])[1:12], np.array(group["log_sd"])[1:12]
        found = np.log(drawn.cost[rows])
        assert (np.abs(found.mean(axis=0) - log) < 4 * sd / np.sqrt(rows.sum())).all(), name
        np.testing.assert_allclose(found.std(axis=0), sd, rtol=0.15)


def test_labels_of_draws_agree_as_quality_says(drawn):
    answer, quality = drawn.answer_features["answer"], drawn.quality
    for name, group in parameters()["groups"].items():
        rows = (drawn.query["group"] == name).to_numpy()
        label, right = answer[rows], quality[rows] >= group["right_from"]
        if group["choices"] == 0:
            assert (label == "").all()
            continue
        assert (label[right] != "").all()
        i, j = ROUTERBENCH_MODELS.index(SHORT[0]), ROUTERBENCH_MODELS.index(SHORT[1])
        assert (label[:, i] == label[:, j])[right[:, i] & right[:, j]].all()
        assert not (label[:, i] == label[:, j])[right[:, i] ^ right[:, j]].any()
        both = ~right[:, i] & ~right[:, j] & (label[:, i] != "") & (label[:, j] != "")
        others = {None: np.inf, 2: 1}.get(group["choices"], (group["choices"] or 0) - 2)
        expected = group["lure"] ** 2 + (1 - group["lure"]) ** 2 / others
        assert abs((label[:, i] == label[:, j])[both].mean() - expected) < 4 * np.sqrt(0.25 / both.sum())


def test_draws_have_the_means_of_the_sample(sample, drawn):
    for what in ("quality", "cost"):
        real, found = getattr(sample, what), getattr(drawn, what)
        error = found.std(axis=0) / np.sqrt(len(found))  # of the draws alone: the sample is what they were fitted to
        assert (np.abs(found.mean(axis=0) - real.mean(axis=0)) < 4 * error).all(), what


def test_draws_have_the_correlations_of_the_sample(sample, drawn):
    lower = np.tril_indices(11, -1)
    real, found = (np.corrcoef(pool.quality.T)[lower] for pool in (sample, drawn))
    assert np.abs(found - real).max() < 0.12
    assert abs((found - real).mean()) < 0.02
    real, found = (np.corrcoef(np.log(pool.cost.T))[lower] for pool in (sample, drawn))
    assert np.abs(found - real).max() < 0.03


def test_draws_have_nearly_the_extremes_and_areas_of_the_sample(sample, drawn):
    for find in (np.min, np.max):
        real, found = ((find(pool.quality, axis=1) >= 0.5).mean() for pool in (sample, drawn))
        assert abs(real - found) < 2 * np.sqrt(real * (1 - real) / len(sample))
    for models in ROUTERBENCH_POOLS.values():
        real, found = sample.select(models), drawn.select(models)
        assert single_models(found).auc() == pytest.approx(single_models(real).auc(), abs=0.01)
        assert omniscient(found).auc() == pytest.approx(omniscient(real).auc(), abs=0.015)


def test_the_script_gives_the_committed_parameters(sample):
    path = Path(__file__).parents[1] / "scripts" / "fit_routerbench_simulator.py"
    spec = importlib.util.spec_from_file_location("fit_routerbench_simulator", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    found, committed = json.loads(script.write(script.fit(sample))), parameters()
    assert found["source"] == committed["source"]
    assert list(found["groups"]) == list(committed["groups"])
    for name, group in committed["groups"].items():
        for key, value in group.items():
            if isinstance(value, list):
                np.testing.assert_allclose(
                    found["groups"][name][key], value, rtol=1e-5, atol=1e-6, err_msg=f"{name} {key}"
                )
            else:
                assert found["groups"][name][key] == (pytest.approx(value) if isinstance(value, float) else value)
    for name, lower in committed["correlations"].items():
        np.testing.assert_allclose(found["correlations"][name], lower, atol=0.0101, err_msg=name)
