"""Features as numbers: every kind of column against a reference by hand, and back from plain values bit for bit."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

from cascade_lib._packing import pack
from cascade_lib.estimators._encoding import Encoder

RNG = np.random.default_rng(0)
PROMPTS = [f"{RNG.choice(['prove that', 'say hello to', ''])} {RNG.integers(50)} of Zürich ({i})" for i in range(60)]


def by_hand(texts, train, seed):
    """Lengths and directions from the pieces of scikit-learn."""
    hashing = HashingVectorizer(n_features=2**14, alternate_sign=False, norm=None)
    weigh = TfidfTransformer(sublinear_tf=True).fit(hashing.transform(train))
    turn = TruncatedSVD(32, random_state=seed).fit(weigh.transform(hashing.transform(train)))
    lengths = [[len(text), len(text.split())] for text in texts]
    return np.hstack([lengths, turn.transform(weigh.transform(hashing.transform(texts)))])


def test_texts_are_read_as_the_pieces_of_scikit_learn_do():
    train, new = pd.DataFrame({"prompt": PROMPTS[:40]}), pd.DataFrame({"prompt": [*PROMPTS[40:], "", None]})
    encoder = Encoder(random_state=7).fit(train)
    expected = by_hand([*PROMPTS[40:], "", ""], PROMPTS[:40], seed=7)
    np.testing.assert_allclose(encoder.transform(new), expected, atol=1e-12)
    assert encoder.width == expected.shape[1]


@pytest.mark.parametrize(
    "texts",
    [[chr(0x1F300 + i) for i in range(40)], ["hello" + "!" * i for i in range(40)]],
    ids=["no words", "one word"],
)
def test_texts_that_differ_in_no_word_have_their_lengths(texts):
    frame = pd.DataFrame({"prompt": texts})
    table = Encoder(random_state=0).fit(frame).transform(frame)
    assert np.isfinite(table).all()
    assert table[:, 0].tolist() == list(map(len, texts))


def test_dates_are_read_as_days_hours_and_weekdays():
    timed = pd.Series(pd.date_range("2026-03-28 22:10:30", periods=50, freq="7h"))
    days = pd.Series(pd.date_range("2026-05-17", periods=50, freq="-1D"))
    frame = pd.DataFrame({"timed": timed, "day": days})
    table = Encoder().fit(frame).transform(frame)
    since = (timed - timed.min()).dt.total_seconds() / 86_400
    hours = timed.dt.hour + timed.dt.minute / 60 + timed.dt.second / 3600
    expected = np.column_stack([since, hours, timed.dt.day_of_week, (days - days.min()).dt.days])
    np.testing.assert_allclose(table, expected, atol=1e-8)


def test_the_last_moment_of_a_day_is_of_that_day():
    frame = pd.DataFrame({"when": pd.to_datetime(["2026-05-17 23:59:59.999999999", "1969-12-31 23:59:59.999999999"])})
    table = Encoder().fit(frame).transform(frame)
    assert table[:, 2].tolist() == [6, 2], "a Sunday and a Wednesday"
    np.testing.assert_allclose(table[:, 1], 24)


def test_a_missing_date_is_the_median_with_one_indicator():
    when = pd.to_datetime(["2026-01-01 06:00", "2026-01-02 07:00", None, "2026-01-05 09:00"])
    frame = pd.DataFrame({"when": when})
    table = Encoder().fit(frame).transform(frame)
    np.testing.assert_allclose(table[2], [1 + 1 / 24, 7, 3, 1])
    np.testing.assert_array_equal(table[:, 3], [0, 0, 1, 0])
    assert Encoder().fit(frame.iloc[[0]]).transform(frame)[2].tolist() == [0, 6, 3], "none was missing in training"


def test_frequent_labels_have_a_column_each():
    labels = [f"level {i}" for i in range(150) for _ in range(5)] + ["level 3", "level 7"]
    frame = pd.DataFrame({"label": labels})
    table = Encoder().fit(frame).transform(frame)
    assert table.shape == (752, 100)
    np.testing.assert_array_equal(table.sum(axis=1), 1)
    unseen = Encoder().fit(frame).transform(pd.DataFrame({"label": ["new"]}))
    assert unseen[0].tolist() == [0] * 99 + [1]


KINDS = {
    "number": st.floats(-1e6, 1e6),
    "flag": st.booleans(),
    "label": st.sampled_from(["law", "maths", ""]),
    "date": st.dates(pd.Timestamp("1700-01-01").date(), pd.Timestamp("2200-01-01").date()),
    "moment": st.datetimes(pd.Timestamp("1700-01-01"), pd.Timestamp("2200-01-01")),
    "text": st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
}


@st.composite
def frames(draw, length=None):
    """Columns of every kind, with any entries missing; texts are many enough to be free."""
    n = draw(st.integers(21, 30)) if length is None else length
    frame = pd.DataFrame(index=range(n))
    for name, entries in KINDS.items():
        entries = st.lists(
            entries if name == "text" else entries | st.none(), min_size=n, max_size=n, unique=name == "text"
        )
        column = pd.Series(draw(entries), dtype=object)
        frame[name] = column.where(column.notna(), None)
    return frame


@given(frames(), st.data())
@settings(max_examples=25, deadline=None)
def test_any_columns_are_read_stored_and_read_again(train, data):
    encoder = Encoder(random_state=0).fit(train)
    new = data.draw(frames(length=data.draw(st.integers(1, 3))))
    for name, column in new.items():  # a column that was missing in training is one of numbers
        if train[name].isna().all() or data.draw(st.booleans()):
            new[name] = pd.Series([None] * len(column), dtype=object)
    again = Encoder.read(json.loads(json.dumps(encoder.stored())), list(train.columns))
    for frame in (train, new):
        table = encoder.transform(frame)
        assert table.shape == (len(frame), encoder.width)
        assert np.isfinite(table).all()
        np.testing.assert_array_equal(again.transform(frame), table)
        np.testing.assert_allclose(encoder.transform(frame.iloc[[0]])[0], table[0], atol=1e-9)
    assert again.stored() == encoder.stored()


def test_without_columns_there_are_no_numbers():
    frame = pd.DataFrame(index=range(3))
    assert Encoder().fit(frame).transform(frame).shape == (3, 0)
    assert Encoder.read(Encoder().fit(frame).stored(), []).width == 0


def test_it_follows_the_conventions_of_scikit_learn():
    encoder = Encoder("small", random_state=3)
    assert clone(encoder).get_params() == {"model": "small", "random_state": 3}
    assert repr(encoder) == "Encoder(model='small', random_state=3)"


FRAME = pd.DataFrame(
    {
        "prompt": PROMPTS,
        "length": [*map(len, PROMPTS[:-1]), np.nan],
        "topic": ["law", "maths"] * 30,
        "when": [*pd.date_range("2026-05-17", periods=59, freq="3h"), pd.NaT],
    }
)
STORED = Encoder(random_state=0).fit(FRAME).stored()
HOSTILE = {
    "no mapping": lambda stored: [stored],
    "another kind": lambda stored: stored | {"code": stored["labels"]},
    "a column that is not named": lambda stored: stored | {"labels": stored["labels"] | {"names": ["other"]}},
    "a column read twice": lambda stored: stored | {"labels": stored["labels"] | {"names": ["length"]}},
    "no column": lambda stored: stored | {"labels": stored["labels"] | {"names": []}},
    "names of names": lambda stored: stored | {"labels": stored["labels"] | {"names": [["topic"]]}},
    "another option": lambda stored: stored | {"labels": stored["labels"] | {"input": "filename"}},
    "nothing in it": lambda stored: stored | {"dates": None},
}
CHANGES = {
    "dates": [
        {"first": pack(np.zeros(2), "<f8")},
        {"first": pack(np.array(["2026-05-17"], dtype="M8[ns]").astype("<i8"), "<i8")},
        {"first": 0.0},
        {"timed": [True, True]},
        {"timed": [1]},
        {"timed": [False]},
        {"timed": "yes"},
        {"numbers": STORED["numbers"]["reader"]},
        {"numbers": None},
        {"unit": "ns"},
    ],
    "numbers": [{"medians": pack(np.zeros(2), "<f8")}, {"marked": []}, {"marked": [0]}, {"medians": [1.0]}],
    "labels": [{"levels": []}, {"levels": ["law"]}, {"levels": [["law"] * 101]}, {"rare": []}, {"rare": [None]}],
    "texts": [{"words": []}, {"words": [None]}, {"words": STORED["texts"]["reader"]["words"] * 2}, {"input": "file"}],
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_hostile_columns_are_refused(change):
    assert Encoder.read(STORED, list(FRAME)).width == 2 + 32 + 2 + 2 + 4
    with pytest.raises(ValueError, match="must|read|list"):
        Encoder.read(change(STORED), list(FRAME))


@pytest.mark.parametrize(("kind", "change"), [(kind, change) for kind, some in CHANGES.items() for change in some])
def test_hostile_readers_are_refused(kind, change):
    entry = STORED[kind]
    with pytest.raises(ValueError, match="must|need|declared"):
        Encoder.read(STORED | {kind: entry | {"reader": entry["reader"] | change}}, list(FRAME))


@pytest.mark.parametrize("name", FRAME.columns)
@pytest.mark.parametrize("other", FRAME.columns)
def test_a_column_that_became_another_is_named(name, other):
    encoder = Encoder().fit(FRAME)
    changed = FRAME.assign(**{name: FRAME[other]})
    was, now = (dict(zip(FRAME, kinds, strict=True)) for kinds in (
        ("texts", "numbers", "labels", "dates"), ("string", "floating", "string", "datetime64"))
    )  # fmt: skip
    if {name, other} <= {"prompt", "topic"} or name == other:
        assert np.isfinite(encoder.transform(changed)).all()
        return
    remedy = "write it as ISO dates, such as" if name == "when" else "convert it"
    message = f"the query feature {name!r} held {was[name]} in training, but {now[other]} values here: {remedy}"
    with pytest.raises(ValueError, match=message):
        encoder.transform(changed)


def test_dates_of_answers_are_refused_as_the_session_could_not_take_them():
    with pytest.raises(
        ValueError, match="model 'small': the answer feature 'when' holds datetime64 values: turn it into"
    ):
        Encoder("small").fit(FRAME[["when"]])
