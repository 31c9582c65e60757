"""Files with logs: both layouts mean the same, and whatever is wrong is said with its file, line and mend."""

import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade_lib import Outcomes, read_log
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
    assert pool.answer_features["margin"].tolist() == [[0.1, 0.2], [0.3, 0.4]]


@settings(max_examples=30, deadline=None)
@given(pools())
def test_what_is_written_is_read(tmp_path_factory, pool):
    path = tmp_path_factory.mktemp("logs") / "log.csv.gz"
    pool.to_frame().sample(frac=1, random_state=1).to_csv(path, index=False)
    back = read_log(path).select(pool.models)
    place = back.query.index.get_indexer(pool.query.index)
    # Before version 3 pandas may read other last digits.
    np.testing.assert_allclose(back.quality[place], pool.quality, rtol=1e-12)
    np.testing.assert_allclose(back.cost[place], pool.cost, rtol=1e-12)


def test_parquet_is_read_too(tmp_path):
    pytest.importorskip("pyarrow", reason="Parquet files need pyarrow")
    path = tmp_path / "log.parquet"
    read_log(written(tmp_path, LONG)).to_frame().to_parquet(path)
    assert read_log(path).quality.tolist() == [[0, 1], [1, 1]]
    frame = pd.read_parquet(path)
    frame.assign(cost=[1, 5, -1, 6]).to_parquet(path)
    with pytest.raises(ValueError, match="line 3: the cost of model 'small' is -1"):
        read_log(path)


@pytest.mark.parametrize(
    ("cells", "kind"),
    [([["hello"], ["a", "b"]], "list<"), ([{"role": "user"}, {"role": "user"}], "struct<")],
)
def test_columns_of_lists_in_parquet_are_named(tmp_path, cells, kind):
    pytest.importorskip("pyarrow", reason="Parquet files need pyarrow")
    path = tmp_path / "log.parquet"
    frame = pd.DataFrame({"query": ["a", "b"], "quality:s": [0, 1], "cost:s": [1, 1], "messages": cells})
    frame.to_parquet(path)
    with pytest.raises(ValueError, match=f"the column 'messages' holds values of type {kind}.*turn it into text"):
        read_log(path)


def test_parquet_files_that_say_they_are_huge_are_not_read(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="Parquet files need pyarrow")
    from pyarrow import parquet

    path = tmp_path / "log.parquet"
    same = pyarrow.DictionaryArray.from_arrays(pyarrow.array(np.zeros(2**21, np.int8)), pyarrow.array(["a"]))
    parquet.write_table(pyarrow.table({str(i): same for i in range(100)}), path)
    with pytest.raises(ValueError, match="it has 209,715,200 entries, more than 200,000,000"):
        read_log(path)


def test_features_can_be_named(tmp_path):
    pool = read_log(written(tmp_path, LONG), query_features=[], answer_features=["margin", "words"])
    assert list(pool.query) == []
    assert sorted(pool.answer_features) == ["margin", "words"]
    assert list(read_log(written(tmp_path, LONG), answer_features=["margin"]).query) == ["words"]


def test_incomplete_queries_are_left_out_only_if_asked_for_and_counted(tmp_path):
    path = written(tmp_path, LONG.replace("b,large,1,6,9,0.4\n", ""))
    with pytest.raises(ValueError, match=r"log.csv: query 'b' has 0 rows for model 'large' .* drop_incomplete"):
        read_log(path)
    with pytest.warns(UserWarning, match="1 of 2 queries are left out"):
        assert len(read_log(path, drop_incomplete=True)) == 1
    path = written(tmp_path, LONG.replace("a,large,1", "a,large,").replace("b,large,1", "b,large,"))
    with pytest.raises(ValueError, match="of all 2 models; 'large' has those of 0 of 2. Run all models on the same"):
        read_log(path, drop_incomplete=True)
    assert read_log(path, models=["small"]).quality.tolist() == [[0], [1]]


def test_only_the_models_named_are_taken_in_that_order(tmp_path):
    for text in (LONG, WIDE):
        path = written(tmp_path, text)
        assert read_log(path, models=["large", "small"]).quality.tolist() == [[1, 0], [1, 1]]
        assert read_log(path, models=["large"]).models == ("large",)
        with pytest.raises(ValueError, match="models not in this log: huge. It has: small, large"):
            read_log(path, models=["huge"])


def test_words_and_tabs(tmp_path):
    yes = WIDE.replace("false", "No").replace("true", "YES")
    assert read_log(written(tmp_path, yes)).quality.tolist() == [[0, 1], [1, 1]]
    tabs = written(tmp_path, LONG.replace(",", "\t").replace("\t7\t", "\t7,5\t"), "log.tsv")
    assert read_log(tabs).query["words"].tolist() == ["7,5", "9"]
    packed = tmp_path / "log.tsv.gz"
    packed.write_bytes(gzip.compress(LONG.replace(",", "\t").encode()))
    assert read_log(packed).cost.tolist() == [[1, 5], [1, 6]]


def test_words_for_missing_mean_so_in_columns_of_numbers_only(tmp_path):
    text = "query,topic,words,quality:NA,cost:NA\nnull,None,NaN,1,1\nnan,law,3,0,1\nc,,n/a,1,1\n"
    pool = read_log(written(tmp_path, text))
    assert pool.models == ("NA",)
    assert pool.query.index.tolist() == ["null", "nan", "c"]
    assert pool.query["topic"].tolist()[:2] == ["None", "law"]
    np.testing.assert_array_equal(pool.query["words"], [np.nan, 3, np.nan])
    long = "query,model,quality,cost,label\na,NA,no,1,None\na,null,NA,1,x\nb,NA,1,1,None\nb,null,1,1,\n"
    with pytest.raises(ValueError, match="line 3: the quality of model 'null' is missing"):
        read_log(written(tmp_path, long))
    pool = read_log(written(tmp_path, long.replace("NA,1,x", "1,1,x")))
    assert pool.models == ("NA", "null")
    assert pool.answer_features["label"][:, 0].tolist() == ["None", "None"]
    assert pd.isna(pool.answer_features["label"][1, 1])


def test_features_called_like_keys_are_kept(tmp_path):
    text = WIDE.replace("words", "model").replace("margin:", "query:")
    pool = read_log(written(tmp_path, text))
    assert pool.query["model"].tolist() == [7, 9]
    assert pool.answer_features["query"].tolist() == [[0.1, 0.2], [0.3, 0.4]]
    named = read_log(written(tmp_path, text), query_features=["model"], answer_features=["query"])
    assert (list(named.query), list(named.answer_features)) == (["model"], ["query"])
    pool = read_log(written(tmp_path, WIDE.replace("words", "cost").replace("margin:", "cost of:")))
    assert pool.cost.tolist() == [[1, 5], [1, 6]]
    assert pool.query["cost"].tolist() == [7, 9]
    both = read_log(written(tmp_path, WIDE.replace("words", "margin")))
    assert both.query["margin"].tolist() == [7, 9]
    assert both.answer_features["margin"].tolist() == [[0.1, 0.2], [0.3, 0.4]]


def test_what_unpacks_to_far_more_is_not_unpacked(tmp_path):
    path = tmp_path / "log.csv.gz"
    with gzip.open(path, "wb") as file:
        file.write(LONG.encode() + b"\n" * 2**25)
    assert path.stat().st_size < 2**16
    with pytest.raises(ValueError, match="log.csv.gz cannot be read: it unpacks to more than 16 MiB: unpack it first"):
        read_log(path)


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
        (LONG.replace("words", "quality"), "several columns named 'quality': rename or drop all but one"),
        (WIDE.replace(":large", ":small"), "several columns named 'quality:small'"),
        (LONG.replace(",words,margin", ",words"), "first line has fewer entries than the others"),
        (LONG.replace("a,large", "a,  "), "log.csv has a model without a name"),
        (WIDE.replace(":large", ":"), "log.csv has a model without a name"),
        (WIDE.replace("words", "model").replace("margin:small", "quality").replace("margin:large", "cost"), "of both"),
        (LONG.replace("a,large,1,5", "a,large,1,1e308"), r"line 3: the cost of model 'large' is 1e\+308"),
        (LONG.replace("a,large,1,5", "a,large,-1e101,5"), r"line 3: the quality of model 'large' is -1e\+101"),
        ("query,model,quality,cost\n" + "".join(f"q,m{i},1,1\n" for i in range(1_001)), "1,001 models, more than"),
        ("query," + ",".join(f"quality:{i}" for i in range(1_001)) + "\n" + ",".join("1" * 1_002), "has 1,001 models"),
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


JUNK = st.one_of(
    st.binary(max_size=6), st.sampled_from([b"", b",", b"\n", b"NA", b"1e999", b":", b"quality:", b"\x00"])
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from([LONG, WIDE]), st.lists(st.tuples(st.integers(0, len(WIDE)), JUNK), min_size=1, max_size=3))
def test_any_bytes_give_outcomes_or_one_clear_error(tmp_path_factory, text, places):
    data = text.encode()
    for at, junk in places:
        data = data[:at] + junk + data[at + len(junk) :]
    path = tmp_path_factory.getbasetemp() / "junk.csv"
    path.write_bytes(data)
    try:
        pool, said = read_log(path), "junk.csv"
    except ValueError as error:
        pool, said = None, str(error)
    assert "junk.csv" in said
    assert pool is None or (isinstance(pool, Outcomes) and np.isfinite(pool.quality).all())


def test_missing_labels_and_numbers_stay_so_and_missing_texts_are_empty(tmp_path):
    rows = "".join(f"q{i},text number {i},law,3,1,1\n" for i in range(30))
    pool = read_log(written(tmp_path, f"query,prompt,topic,words,quality:s,cost:s\n{rows}last,,,,0,1\n"))
    assert pool.query["prompt"].iloc[-1] == ""
    assert pd.isna(pool.query["topic"].iloc[-1])
    assert np.isnan(pool.query["words"].iloc[-1])


DATED = "query,when,due,said,quality:s,cost:s,at:s,quality:l,cost:l,at:l\n" + "".join(
    f"q{i},2026-05-{i + 1:02}T0{i % 7}:30+02:00,{'NA' if i == 3 else f'2026-06-{i + 1:02}'},"
    f"{'soon' if i == 9 else '2026-06-01'},1,1,2026-07-01,0,2,2026-07-0{i % 3 + 1}\n"
    for i in range(30)
)


def test_iso_dates_of_queries_are_read_as_dates(tmp_path):
    pool = read_log(written(tmp_path, DATED))
    assert pool.query["when"].dtype == pool.query["due"].dtype == "datetime64[ns]"
    assert pool.query["when"].iloc[2] == pd.Timestamp("2026-05-03 00:30")
    assert pool.query["due"].isna().to_list() == [i == 3 for i in range(30)], "a word for missing means it here too"
    assert set(pool.query["said"]) == {"2026-06-01", "soon"}, "one entry that is no date makes it a column of labels"
    assert pool.answer_features["at"][0].tolist() == ["2026-07-01", "2026-07-01"], "answers are compared as labels"


def test_dates_are_the_same_from_every_file(tmp_path):
    pool = read_log(written(tmp_path, DATED))
    for name in ("log.csv", "log.parquet"):
        long = pool.to_frame()
        getattr(long, "to_csv" if name.endswith("csv") else "to_parquet")(tmp_path / name, index=False)
        assert read_log(tmp_path / name).fingerprint == pool.fingerprint, name
    days = pool.to_frame()
    days["due"] = days["due"].dt.date  # which Arrow writes as days
    days.to_parquet(tmp_path / "days.parquet", index=False)
    assert read_log(tmp_path / "days.parquet").fingerprint == pool.fingerprint


def test_a_column_of_words_for_missing_holds_no_dates(tmp_path):
    pool = read_log(written(tmp_path, "query,when,quality:s,cost:s\na,NA,1,1\nb,none,0,1\n"))
    assert pool.query["when"].tolist() == ["NA", "none"]
