import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cascade_lib import Outcomes
from cascade_lib.datasets import simulate_routerbench
from truths import pools

GOOD = [[0.0, 1.0], [1.0, 1.0]]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"quality": [0.0, 1.0]}, ValueError, r"quality must have one row per query .* got shape \(2,\)"),
        ({"quality": np.empty((0, 2))}, ValueError, r"quality is empty: shape \(0, 2\)"),
        ({"quality": np.empty((2, 0))}, ValueError, r"quality is empty: shape \(2, 0\)"),
        ({"quality": [[0.0, 1.0], [1.0]]}, TypeError, "quality must be a table of numbers with rows of equal length"),
        ({"quality": [["good", "bad"]]}, TypeError, "quality must be a table of numbers"),
        ({"cost": [[1.0, 2.0]]}, ValueError, r"cost has shape \(1, 2\), but \(2, 2\) is expected"),
        ({"cost": [[1.0], [2.0]]}, ValueError, r"cost has shape \(2, 1\), but \(2, 2\) is expected"),
        ({"quality": [[0.0, 1.0], [np.nan, 1.0]]}, ValueError, "quality of model 'small' in row 1 is nan; repair"),
        ({"quality": [[0.0, np.inf], [0.0, 1.0]]}, ValueError, "quality of model 'large' in row 0 is inf"),
        (
            {"cost": [[0.0, np.nan], [0.0, np.nan]]},
            ValueError,
            r"cost of model 'large' in row 0 is nan \(2 such entries",
        ),
        (
            {"cost": [[0.0, 1.0], [0.0, -2.0]]},
            ValueError,
            "cost of model 'large' in row 1 is -2; it must be 0 or more",
        ),
        ({"models": ["a", "a"]}, ValueError, "models has duplicate names: a. Rename"),
        ({"models": ["a"]}, ValueError, "models has 1 names, but quality has 2 columns"),
        ({"models": "ab"}, TypeError, "not the single string 'ab'"),
        ({"query": [[1], [2]]}, TypeError, "query must be a pandas DataFrame with 2 rows; got list"),
        ({"query": pd.DataFrame({"x": [1]})}, ValueError, "query has 1 rows, but quality has 2"),
        ({"query": pd.DataFrame(index=["a", None])}, ValueError, "the query in row 1 has no name"),
        ({"query": pd.DataFrame([[1, 2]] * 2, columns=[7, "7"])}, ValueError, "query has several columns named '7'"),
        (
            {"cost": pd.DataFrame({"a": [1, None], "b": 1}, dtype="Int64")},
            ValueError,
            "cost of model 'small' in row 1",
        ),
        ({"cost": np.ma.masked_equal(GOOD, 0)}, ValueError, "cost of model 'small' in row 0 is nan"),
        ({"cost": np.array(GOOD) * 1j}, TypeError, "cost must be a table of numbers .* complex128"),
        (
            {"cost": np.ones((2, 2), dtype="timedelta64[s]")},
            TypeError,
            "cost must be a table of numbers .* timedelta64",
        ),
        (
            {"answer_features": {"margin": [[1.0], [2.0]]}},
            ValueError,
            r"answer_features\['margin'\] has shape \(2, 1\)",
        ),
    ],
)
def test_bad_input_is_named_with_its_place_and_mend(arguments, error, message):
    with pytest.raises(error, match=message):
        Outcomes(**{"quality": GOOD, "cost": GOOD, "models": ["small", "large"], **arguments})


def test_the_data_cannot_change_under_an_analysis():
    quality = np.array(GOOD)
    pool = Outcomes(quality, GOOD, answer_features={"margin": GOOD})
    quality[0, 0] = 9
    assert pool.quality[0, 0] == 0
    for array in (pool.quality, pool.cost, pool.answer_features["margin"]):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1
    with pytest.raises(TypeError):
        pool.answer_features["margin"] = GOOD


def test_the_features_cannot_change_under_an_analysis():
    features = pd.DataFrame({"x": [1.0, 2.0]})
    pool = Outcomes(GOOD, GOOD, query=features)
    features["x"] = 99
    features.index = ["a", "b"]
    handed_out = pool.query
    handed_out["x"] = 7
    handed_out.iloc[0, 0] = 8
    assert pool.query["x"].tolist() == pool.take([0, 1]).query["x"].tolist() == [1, 2]
    assert pool.query.index.tolist() == [0, 1]


ALIKE = {
    "numbers": [[1, 2], [1.0, 2.0], np.array([1, 2], "float32"), pd.array([1, 2], "Int8"), np.array([1, 2], object)],
    "truths": [[True, False], pd.array([True, False], "boolean"), np.array([True, False], object)],
    "labels": [["1", "2"], pd.Categorical([1, 2]), pd.array(["1", "2"], "string"), np.array(["1", "2"], object)],
    "gaps": [["a", None], ["a", np.nan], pd.array(["a", pd.NA], "string"), pd.Categorical(["a", None])],
}


@pytest.mark.parametrize("columns", ALIKE.values(), ids=ALIKE)
def test_features_are_the_same_in_whatever_type_of_column_they_come(columns):
    pools = [Outcomes(GOOD, GOOD, query=pd.DataFrame({7: column})) for column in columns]
    for pool in pools:
        pd.testing.assert_frame_equal(pool.query, pools[0].query)
        assert pool.query.columns.tolist() == ["7"]
        assert pool.fingerprint == pools[0].fingerprint


def test_equal_outcomes_have_equal_fingerprints_and_others_do_not():
    made = {"quality": GOOD, "cost": GOOD, "models": ["a", "b"], "cost_unit": "s"}
    made |= {
        "query": pd.DataFrame({"x": [1, 2]}, index=["q", "r"]),
        "answer_features": {"says": [["yes", None], ["no", "yes"]]},
    }
    changes = [
        {"quality": np.array(GOOD) + 1},
        {"cost": np.array(GOOD) + 1},
        {"models": ["b", "a"]},
        {"cost_unit": "USD"},
        {"query": pd.DataFrame({"x": [1, 3]}, index=["q", "r"])},
        {"query": pd.DataFrame({"y": [1, 2]}, index=["q", "r"])},
        {"query": pd.DataFrame({"x": [1, 2]}, index=["q", "s"])},
        {"answer_features": {"says": [["yes", "yes"], ["no", "yes"]]}},
        {"answer_features": {}},
    ]
    pool = Outcomes(**made)
    prints = [pool.fingerprint, *(Outcomes(**made | change).fingerprint for change in changes)]
    assert len(set(prints)) == len(prints)
    assert pickle.loads(pickle.dumps(pool)).fingerprint == pool.take([1, 0]).take([1, 0]).fingerprint == prints[0]


def test_reprs_show_the_pool():
    pool = Outcomes(GOOD, GOOD, models=["small", "large"], cost_unit="USD")
    assert "2 queries × 2 models, cost in USD" in repr(pool)
    assert "<table" in pool._repr_html_()
    assert pool.plot().get_xlabel() == "mean cost per query (USD)"


@given(pools())
def test_a_long_table_and_back(pool):
    frame = pool.to_frame().sample(frac=1, random_state=0)
    back = Outcomes.from_frame(frame).select(pool.models)
    place = back.query.index.get_indexer(pool.query.index)
    np.testing.assert_array_equal(back.quality[place], pool.quality)
    np.testing.assert_array_equal(back.cost[place], pool.cost)


def test_a_long_table_keeps_features_that_have_the_same_name():
    pool = simulate_routerbench(5, seed=0)
    frame = pool.to_frame()
    back = Outcomes.from_frame(
        frame, query_features=["group", "n_chars"], answer_features=["answer:n_chars", "answer"], cost_unit="USD"
    )
    assert back.fingerprint == pool.fingerprint
    odd = Outcomes(GOOD, GOOD, query=pd.DataFrame({"model": ["x", "y"]}), answer_features={"cost": GOOD, "model": GOOD})
    back = Outcomes.from_frame(
        odd.to_frame(), query_features=["query:model"], answer_features=["answer:cost", "answer:model"]
    )
    assert back.fingerprint == odd.fingerprint


def log(**changes):
    columns = {
        "query": ["a", "a", "b", "b"],
        "model": ["s", "l", "s", "l"],
        "quality": [0, 1, 1, 1],
        "cost": [1, 2, 3, 4],
        "words": [7, 7, 9, 9],
        "margin": [0.1, 0.2, 0.3, 0.4],
    }
    return pd.DataFrame(columns | changes)


def test_features_travel_with_the_long_table():
    pool = Outcomes.from_frame(log(), query_features=["words"], answer_features=["margin"], cost_unit="s")
    assert pool.query["words"].tolist() == [7, 9]
    assert pool.answer_features["margin"].tolist() == [[0.1, 0.2], [0.3, 0.4]]
    pd.testing.assert_frame_equal(pool.to_frame(), log().astype(dict.fromkeys(["quality", "cost", "words"], float)))


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (log().drop(columns="cost"), "the frame lacks the columns cost; it has query, model, quality, words, margin"),
        (log().drop(index=3), "query 'b' has 0 rows for model 'l' instead of one: fill it in or drop the query"),
        (log(query=["a", "a", "a", "b"]), "query 'a' has 2 rows for model 's' instead of one: keep one of them"),
        (log(words=[7, 8, 9, 9]), "the query feature 'words' takes several values within query 'a'"),
        (log(quality=[0, np.nan, 1, 1]), "quality of model 'l' in row 0 is nan"),
    ],
)
def test_bad_long_tables_are_refused(frame, message):
    with pytest.raises(ValueError, match=message):
        Outcomes.from_frame(frame, query_features=["words"] if "words" in frame else [])


@given(pools(max_queries=30), st.integers(0, 1000))
def test_split_parts_are_disjoint_and_complete(pool, seed):
    if len(pool) < 4:
        return
    parts = pool.split(0.5, 0.5, seed=seed)
    ids = np.concatenate([part.query.index for part in parts])
    assert sorted(ids) == list(range(len(pool)))
    np.testing.assert_array_equal(parts[0].quality, pool.quality[parts[0].query.index])


@pytest.mark.parametrize("shares", [(), (0.5, 0.4), (1.5, -0.5), (0.5, 0.5, 0.0)])
def test_bad_shares_are_refused(shares):
    with pytest.raises(ValueError, match="shares must be positive and add up to 1"):
        Outcomes(GOOD, GOOD).split(*shares, seed=0)


def test_empty_parts_and_empty_samples_are_refused():
    with pytest.raises(ValueError, match="2 queries, 2 of them distinct, are too few for the shares"):
        Outcomes(GOOD, GOOD).split(0.9, 0.05, 0.05, seed=0)
    with pytest.raises(ValueError, match="n must be at least 1; got 0"):
        Outcomes(GOOD, GOOD).resample(0, seed=0)


def test_selecting_models_reorders_everything_and_names_the_unknown():
    pool = Outcomes(GOOD, [[1, 2], [3, 4]], models=["s", "l"], answer_features={"margin": [[1, 2], [3, 4]]})
    swapped = pool.select(["l", "s"])
    assert swapped.models == ("l", "s")
    assert swapped.cost.tolist() == [[2, 1], [4, 3]]
    assert swapped.answer_features["margin"].tolist() == [[2, 1], [4, 3]]
    with pytest.raises(ValueError, match="models not in this pool: xl. It has: s, l"):
        pool.select(["s", "xl"])


def test_resampling_repeats_whole_rows():
    pool = Outcomes([[0.0, 1.0], [2.0, 3.0]], [[0.0, 1.0], [2.0, 3.0]])
    drawn = pool.resample(500, seed=0)
    np.testing.assert_array_equal(drawn.quality, drawn.cost)
    assert 200 < drawn.query.index.tolist().count(0) < 300


def test_a_copy_for_another_process_is_the_same_and_frozen():
    pool = Outcomes([[0, 1]], [[1, 5]], ["a", "b"], pd.DataFrame({"words": [3]}), {"margin": [[0.1, 0.2]]}, "USD")
    copy = pickle.loads(pickle.dumps(pool))
    pd.testing.assert_frame_equal(copy.to_frame(), pool.to_frame())
    assert (copy.models, copy.cost_unit) == (pool.models, pool.cost_unit)
    with pytest.raises(ValueError, match="read-only"):
        copy.quality[0, 0] = 1


@given(st.lists(st.integers(0, 30), min_size=20, max_size=60), st.integers(0, 5))
def test_copies_of_a_query_fall_into_one_part_and_rows_keep_their_order(names, seed):
    pool = Outcomes(np.arange(len(names))[:, None], np.ones((len(names), 1)), query=pd.DataFrame(index=names))
    try:
        parts = pool.split(0.5, 0.5, seed=seed)
    except ValueError:
        assert len(set(names)) < 4
        return
    assert not set(parts[0].query.index) & set(parts[1].query.index)
    rows = [part.quality[:, 0] for part in parts]
    assert sorted(np.concatenate(rows)) == list(range(len(names)))
    assert all((np.diff(part) > 0).all() for part in rows)


def test_names_of_models_are_a_list_of_names():
    pool = Outcomes(GOOD, GOOD, models=["small", "large"])
    with pytest.raises(TypeError, match="not the single string 'small'"):
        pool.select("small")
    with pytest.raises(ValueError, match="duplicate names: small"):
        pool.select(["small", "small"])
    with pytest.raises(ValueError, match="at least one"):
        pool.take([])
