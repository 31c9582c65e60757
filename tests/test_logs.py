"""Files with logs: both layouts mean the same, and whatever is wrong is said with its file, line and mend."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade_lib import Outcomes, read_log
from cascade_lib.logs import free_texts
from truths import pools

LONG = """query,model,quality,cost,words,margin
a,small,0,1,7,0.1
a,large,1,5,7,0.2
b,small,1,1,9,0.3
b,large,1,6,9,0.4
"""
WIDE = """query,words,quality:small,cost:small,margin:small,quality:large,cost:large,margin:large
a,7,false,1,0.1,true,5,0.2
b,9,true,1,0.3,true,6,0.4
"""


def written(folder, text, name="log.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("text", [LONG, WIDE, "\ufeff" + LONG])
def test_both_layouts_mean_the_same(tmp_path, text):
    pool = read_log(written(tmp_path, text), cost_unit="USD")
    assert (pool.models, pool.cost_unit) == (("small", "large"), "USD")
    assert pool.quality.tolist() == [[0, 1], [1, 1]]
    assert pool.cost.tolist() == [[1, 5], [1, 6]]
    assert pool.query["words"].to_dict() == {"a": 7, "b": 9}
    assert pool.answers["margin"].tolist() == [[0.1, 0.2], [0.3, 0.4]]


@settings(max_examples=30, deadline=None)
@given(pools())
def test_what_is_written_is_read(tmp_path_factory, pool):
    path = tmp_path_factory.mktemp("logs") / "log.csv.gz"
    pool.to_frame().sample(frac=1, random_state=1).to_csv(path, index=False)
    back = read_log(path).select(pool.models)
    place = back.query.index.get_indexer(pool.query.index)
    np.testing.assert_array_equal(back.quality[place], pool.quality)
    np.testing.assert_array_equal(back.cost[place], pool.cost)


def test_parquet_is_read_too(tmp_path):
    pytest.importorskip("pyarrow", reason="Parquet files need pyarrow")
    path = tmp_path / "log.parquet"
    read_log(written(tmp_path, LONG)).to_frame().to_parquet(path)
    assert read_log(path).quality.tolist() == [[0, 1], [1, 1]]


def test_features_can_be_named(tmp_path):
    pool = read_log(written(tmp_path, LONG), query_features=[], answer_features=["margin", "words"])
    assert list(pool.query) == []
    assert sorted(pool.answers) == ["margin", "words"]
    assert list(read_log(written(tmp_path, LONG), answer_features=["margin"]).query) == ["words"]


def test_incomplete_queries_are_left_out_only_if_asked_for_and_counted(tmp_path):
    path = written(tmp_path, LONG.replace("b,large,1,6,9,0.4\n", ""))
    with pytest.raises(ValueError, match=r"log.csv: query 'b' has 0 rows for model 'large' .* drop_incomplete"):
        read_log(path)
    with pytest.warns(UserWarning, match="1 of 2 queries are left out"):
        assert len(read_log(path, drop_incomplete=True)) == 1
    path = written(tmp_path, LONG.replace("a,large,1", "a,large,").replace("b,large,1", "b,large,"))
    with pytest.raises(ValueError, match="no query has the quality and cost of all 2 models"):
        read_log(path, drop_incomplete=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "log.csv cannot be read: No columns to parse"),
        ("query,model,quality,cost\n", "log.csv has no rows"),
        ("a,b\n1,2\n", "log.csv has the columns a, b; it needs either the columns query, model, quality and cost"),
        ("query,quality:s\na,1\n", "a column quality:s but none named cost:s"),
        ("query,quality:s,cost:s,cost:l\na,1,1,1\n", "a column cost:l but none named quality:l"),
        (LONG.replace("b,small,1", "b,small,good"), "line 4: the quality of model 'small' is good; it must be a fin"),
        (LONG.replace("b,small,1,1", "b,small,1,inf"), "line 4: the cost of model 'small' is inf"),
        (LONG.replace("a,large,1,5", "a,large,1,"), "line 3: the cost of model 'large' is missing; fill it in"),
        (LONG.replace("a,large,1,5", "a,large,1,-5"), "line 3: the cost of model 'large' is -5; costs are ≥ 0"),
        (LONG.replace("a,large", ",large"), "line 3: the query is missing"),
        (LONG.replace("b,large", "b,small"), "line 5: query 'b' and model 'small' stand in line 4 already"),
        (WIDE.replace("b,9,true", "b,9,7e400"), "line 3: the quality of model 'small' is"),
        (LONG + 'c,"small', "cannot be read"),
    ],
)
def test_bad_files_are_refused_with_their_line(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_log(written(tmp_path, text))


def test_bad_names_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file nowhere.csv"):
        read_log("nowhere.csv")
    with pytest.raises(ValueError, match="its name must end in .csv, .tsv or .parquet"):
        read_log(written(tmp_path, LONG, "log.xlsx"))
    with pytest.raises(ValueError, match="has no feature 'colour'; it has words, margin"):
        read_log(written(tmp_path, LONG), query_features=["colour"])


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.integers(0, len(LONG) - 1).flatmap(
    lambda at: st.binary(max_size=6).map(lambda junk: LONG[:at].encode() + junk + LONG[at + len(junk):].encode())
)))  # fmt: skip
def test_any_bytes_give_outcomes_or_one_clear_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "junk.csv"
    path.write_bytes(data)
    try:
        pool, said = read_log(path), "junk.csv"
    except ValueError as error:
        pool, said = None, str(error)
    assert "junk.csv" in said
    assert pool is None or (isinstance(pool, Outcomes) and np.isfinite(pool.quality).all())


def test_missing_texts_are_empty_and_missing_numbers_stay(tmp_path):
    text = "query,topic,words,quality:s,cost:s\na,law,3,1,1\nb,,,0,1\n"
    pool = read_log(written(tmp_path, text))
    assert pool.query["topic"].tolist() == ["law", ""]
    assert np.isnan(pool.query["words"].iloc[1])


def test_labels_are_no_free_text():
    frame = pd.DataFrame({"label": ["x", "y"] * 50, "prompt": [str(i) for i in range(100)], "length": range(100)})
    assert free_texts(frame) == ["prompt"]
