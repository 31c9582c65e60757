"""MMLU-Pro: the figures of the docstring, single cells, prices, and damaged files."""

import json
import zipfile

import numpy as np
import pytest

from cascade_lib import datasets
from cascade_lib.datasets import MMLU_PRO_PRICES, fetch, fetch_mmlu_pro, mmlu_pro

TEXT = " ".join(fetch_mmlu_pro.__doc__.split())
GUESSED = (
    "Meta-Llama-3_1-8B-Instruct",
    "Meta-Llama-3_1-70B-Instruct",
    "mathstral-7B",
    "gemini-1.5-flash-002",
    "gemini-1.5-pro-002",
)


@pytest.fixture(scope="module")
def pool():
    try:
        return fetch_mmlu_pro()
    except ConnectionError as error:
        pytest.skip(f"MMLU-Pro cannot be had here: {error}")


@pytest.fixture(scope="module")
def raw(pool):
    """Every model's records, read by other means than the loader."""
    tables = {}
    for name in pool.models:
        url = mmlu_pro.MMLU_PRO_URL.format(model=name)
        path = f"mmlu_pro/model_outputs_{name}_5shots.zip"
        with zipfile.ZipFile(fetch.fetch_file(url, mmlu_pro.MMLU_PRO_SHA256[name], path=path)) as archive:
            records = json.loads(archive.read(archive.namelist()[0]))
        tables[name] = {record["question_id"]: record for record in records if type(record) is dict}
    return tables


def corrected(raw):
    """Return the questions that all these models answered, and those of them that differ between the files."""
    shared = set.intersection(*map(set, raw.values()))
    forms = {q: {(tuple(table[q]["options"]), table[q]["answer"]) for table in raw.values()} for q in shared}
    return shared, {q for q in shared if len(forms[q]) > 1}


def test_what_is_lost_is_what_the_docstring_says(pool, raw):
    everything = {q: record for table in raw.values() for q, record in table.items()}
    shared, differing = corrected(raw)
    lost = set(everything) - shared
    deepseek = set(everything) - set(raw["DeepSeek-Coder-V2"])
    technical = [q for q in lost if everything[q]["category"] in ("chemistry", "engineering")]
    assert set(pool.query.index) == shared - differing
    assert (
        f"Of {len(everything):,} questions {len(lost):,} lack an answer of at least one model, {len(deepseek):,} of "
        f"them that of DeepSeek-Coder-V2; {len(technical):,} of the {len(lost):,} are chemistry or engineering."
    ) in TEXT
    assert f"{len(differing)} more questions are left out" in TEXT
    assert f"{len(pool):,} are left." in TEXT
    others, changed = corrected({name: table for name, table in raw.items() if name != "DeepSeek-Coder-V2"})
    assert f"Without DeepSeek-Coder-V2 it would be {len(others - changed):,}." in TEXT


def test_the_best_model_and_the_best_of_all(pool):
    best = pool.summary["quality"]
    assert f"Best model {best.idxmax()} with {best.max():.3f};" in TEXT
    assert f"for {pool.quality.max(axis=1).mean():.1%} of the questions at least one model is right" in TEXT
    assert pool.summary["cost"].is_monotonic_increasing
    assert pool.query["category"].nunique() == 14


def test_cells_are_those_of_the_files(pool, raw):
    query, answers = pool.query, pool.answer_features
    for row in range(0, len(pool), 211):
        for column, name in enumerate(pool.models):
            record = raw[name][query.index[row]]
            text = record["model_outputs"] if "model_outputs" in record else record["generated_text"]
            paid_in, paid_out = MMLU_PRO_PRICES[name]
            asked = query["n_chars"].iloc[row] + query["n_chars_options"].iloc[row]
            assert query["n_chars_options"].iloc[row] == len("".join(record["options"]))
            assert query["n_options"].iloc[row] == len(record["options"])
            assert pool.quality[row, column] == (record["pred"] == record["answer"])
            assert pool.cost[row, column] == pytest.approx((asked * paid_in + len(text) * paid_out) / 4e6)
            assert answers["n_chars"][row, column] == len(text)
            assert answers["answer"][row, column] == (record["pred"] or "")
    assert query["question"].iloc[0] == raw[pool.models[0]][query.index[0]]["question"]


def test_no_letter_is_wrong(pool):
    none = pool.answer_features["answer"] == ""
    assert none.any()
    assert not pool.quality[none].any()


def test_equal_letters_are_equally_right(pool):
    answers = pool.answer_features["answer"]
    same = answers[:, :1] == answers
    np.testing.assert_array_equal(pool.quality[same], np.broadcast_to(pool.quality[:, :1], same.shape)[same])


@pytest.mark.parametrize("model", GUESSED)
def test_letters_that_no_text_states_are_right_as_often_as_guesses(pool, model):
    own = pool.select([model])
    unstated = (own.answer_features["states"][:, 0] == 0) & (own.answer_features["answer"][:, 0] != "")
    chance, share = (1 / own.query["n_options"][unstated]).mean(), own.quality[unstated, 0].mean()
    assert abs(share - chance) < 3 * np.sqrt(chance * (1 - chance) / unstated.sum())
    assert own.quality[own.answer_features["states"][:, 0] == 1, 0].mean() > share + 0.3


@pytest.mark.parametrize(
    "model",
    ["Mistral-7B-Instruct-v0.2", "Mixtral-8x7B-Instruct-v0.1", "Phi-3-mini-4k-instruct", "c4ai-command-r-v01"],
)
def test_where_most_unstated_answers_have_no_letter(pool, model):
    answers = pool.select([model]).answer_features
    assert (answers["answer"][answers["states"] == 0] == "").mean() > 0.97


def record(number, **changes):
    good = {
        "question_id": number,
        "question": "Which?",
        "options": ["one", "two", "three"],
        "answer": "B",
        "category": "math",
        "pred": "B",
        "model_outputs": "The answer is (B).",
    }
    return good | changes


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Let two models be read from files written by the test."""

    def make(first, second, **options):
        for name, rows in zip(("mathstral-7B", "jamba-1.5-large"), (first, second), strict=True):
            with zipfile.ZipFile(tmp_path / name, "w") as archive:
                archive.writestr("answers.json", json.dumps(rows))
        monkeypatch.setattr(
            mmlu_pro,
            "fetch_file",
            lambda url, sha256, path: tmp_path / path.split("outputs_")[1][: -len("_5shots.zip")],
        )
        return fetch_mmlu_pro(models=["mathstral-7B", "jamba-1.5-large"], **options)

    return make


def test_quality_cost_and_features_by_hand(tiny):
    odd = record(1, pred=None)
    odd["generated_text"] = odd.pop("model_outputs")[:4]
    other = record(1, model_outputs=r"\boxed{A}", pred="A")
    pool = tiny([odd], [other, ["total", 3]], prices={"mathstral-7B": (4, 8)})
    assert pool.quality.tolist() == [[0, 0]]
    asked = len("Which?onetwothree")
    assert pool.cost[0].tolist() == pytest.approx([(asked * 4 + 4 * 8) / 4e6, (asked * 2 + 9 * 8) / 4e6])
    assert pool.answer_features["answer"].tolist() == [["", "A"]]
    assert pool.answer_features["states"].tolist() == [[0, 1]]
    assert pool.query.iloc[0].to_dict() == {
        "question": "Which?", "category": "math", "n_options": 3, "n_chars": 6, "n_chars_options": 11,
    }  # fmt: skip


def test_questions_that_not_all_were_asked_in_the_same_form(tiny):
    pool = tiny(
        [record(n) for n in (1, 2, 3, 4)],
        [record(4), record(3, options=["one", "two", "four"]), record(2, answer="C"), record(9)],
    )
    assert list(pool.query.index) == [4]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([record(1), record(1)], "has question 1 of mathstral-7B twice"),
        ([{"question_id": 1}], "is not a file of answers to MMLU-Pro"),
        ({"a": 1}, "is not a file of answers to MMLU-Pro"),
    ],
)
def test_a_file_that_is_not_what_it_should_be(tiny, rows, message):
    with pytest.raises(ValueError, match=message):
        tiny(rows, [record(1)])


def test_a_file_that_is_no_archive(tmp_path):
    file = tmp_path / "file.zip"
    file.write_text("no archive")
    with pytest.raises(ValueError, match="is not a file of answers to MMLU-Pro"):
        mmlu_pro._read(file, "tiny")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": ["gpt-4o"]}, r"models must name one or more of .*; got \['gpt-4o'\]"),
        ({"models": []}, "models must name one or more"),
        ({"models": ["mathstral-7B"] * 2}, "each once"),
        ({"prices": {"gpt-4o": (1, 2)}}, "prices has no model 'gpt-4o'"),
        ({"prices": {"mathstral-7B": (1, -2)}}, r"prices\['mathstral-7B'\] must be two numbers"),
        ({"prices": {"mathstral-7B": 1}}, r"prices\['mathstral-7B'\] must be two numbers"),
    ],
)
def test_arguments_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        fetch_mmlu_pro(**options)


def test_one_name_instead_of_several():
    with pytest.raises(TypeError, match="not the single string"):
        fetch_mmlu_pro(models="mathstral-7B")


@pytest.mark.parametrize(
    ("call", "path"),
    [
        (lambda: fetch_mmlu_pro(models=["mathstral-7B"]), "mmlu_pro/model_outputs_mathstral-7B_5shots.zip"),
        (lambda: datasets.fetch_openhands("gaia", models=["GLM-5"]), "openhands_index/GLM-5/gaia.json"),
        (lambda: datasets.fetch_repeated_samples("mbpp"), "all_the_noises/lowk_temp0.7/input_table_mbpp.csv"),
    ],
)
def test_a_wrong_hash_is_refused_and_a_lack_is_explained(tmp_path, monkeypatch, call, path):
    monkeypatch.setattr(fetch.pooch, "os_cache", lambda name: tmp_path / "cache")
    monkeypatch.setattr(fetch, "_get", lambda url, *_: (_ for _ in ()).throw(FileNotFoundError("HTTP 404")))
    monkeypatch.setenv(datasets.MIRROR, str(tmp_path))
    with pytest.raises(ConnectionError, match=f"{path} could not be fetched .* CASCADE_LIB_MIRROR"):
        call()
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text("something else")
    with pytest.raises(ValueError, match="is not the expected file: its SHA-256"):
        call()
