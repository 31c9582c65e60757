import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cascade_lib import Outcomes
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
        ({"answers": {"margin": [[1.0], [2.0]]}}, ValueError, r"answers\['margin'\] has shape \(2, 1\)"),
    ],
)
def test_bad_input_is_named_with_its_place_and_mend(arguments, error, message):
    with pytest.raises(error, match=message):
        Outcomes(**{"quality": GOOD, "cost": GOOD, "models": ["small", "large"], **arguments})


def test_the_data_cannot_change_under_an_analysis():
    quality = np.array(GOOD)
    pool = Outcomes(quality, GOOD, answers={"margin": GOOD})
    quality[0, 0] = 9
    assert pool.quality[0, 0] == 0
    for array in (pool.quality, pool.cost, pool.answers["margin"]):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1
    with pytest.raises(TypeError):
        pool.answers["margin"] = GOOD


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
    assert pool.answers["margin"].tolist() == [[0.1, 0.2], [0.3, 0.4]]
    pd.testing.assert_frame_equal(pool.to_frame(), log().astype({"quality": float, "cost": float}))


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
    with pytest.raises(ValueError, match="2 queries are too few for the shares"):
        Outcomes(GOOD, GOOD).split(0.9, 0.05, 0.05, seed=0)
    with pytest.raises(ValueError, match="n must be at least 1; got 0"):
        Outcomes(GOOD, GOOD).resample(0, seed=0)


def test_selecting_models_reorders_everything_and_names_the_unknown():
    pool = Outcomes(GOOD, [[1, 2], [3, 4]], models=["s", "l"], answers={"margin": [[1, 2], [3, 4]]})
    swapped = pool.select(["l", "s"])
    assert swapped.models == ("l", "s")
    assert swapped.cost.tolist() == [[2, 1], [4, 3]]
    assert swapped.answers["margin"].tolist() == [[2, 1], [4, 3]]
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
