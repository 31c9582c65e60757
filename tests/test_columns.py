"""Columns of one kind have one form, whichever they came in, and a date is the same moment in all of them."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cascade_lib import Outcomes
from cascade_lib._columns import dated, is_text

ZONES = (dt.UTC, dt.timezone(dt.timedelta(hours=5, minutes=30)), dt.timezone(-dt.timedelta(hours=8)))
MOMENTS = st.lists(
    st.none() | st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)).map(lambda t: t.replace(microsecond=0)),
    min_size=1,
    max_size=8,
)


def outcomes(column):
    n = len(column)
    return Outcomes(np.zeros((n, 1)), np.ones((n, 1)), query=pd.DataFrame({"when": column}, index=range(n)))


def forms(moments):
    """Yield columns that say the same in all the ways that pandas and Python have."""
    plain = pd.Series(moments, dtype="datetime64[s]")
    yield plain
    yield from (plain.astype(f"datetime64[{unit}]") for unit in ("ms", "us", "ns"))
    yield pd.Series(moments, dtype=object)
    yield pd.Series(plain.to_numpy(), dtype=object)
    for zone in ZONES:
        yield plain.dt.tz_localize("UTC").dt.tz_convert(zone)
        yield pd.Series([t and t.replace(tzinfo=dt.UTC).astimezone(zone) for t in moments], dtype=object)
    # Every entry in another zone.
    mixed = [t and t.replace(tzinfo=dt.UTC).astimezone(ZONES[i % 3]) for i, t in enumerate(moments)]
    yield pd.Series(mixed, dtype=object)
    if all(t is None or t.time() == dt.time() for t in moments):
        yield pd.Series([t and t.date() for t in moments], dtype=object)


@given(MOMENTS)
def test_a_date_is_the_same_in_whatever_form_it_comes(moments):
    expected = [pd.NaT if t is None else pd.Timestamp(t) for t in moments]
    if all(t is None for t in moments):
        return  # objects of which none is a date: such a column is kept as one of numbers
    pools = [outcomes(column) for column in forms(moments)]
    for pool in pools:
        assert pool.query["when"].dtype == "datetime64[ns]"
        assert [t is pd.NaT or t for t in pool.query["when"]] == [t is pd.NaT or t for t in expected]
    assert len({pool.fingerprint for pool in pools}) == 1


@given(st.lists(st.dates(dt.date(1700, 1, 1), dt.date(2200, 1, 1)), min_size=1, max_size=8))
def test_dates_without_a_time_of_day_are_midnights(days):
    midnights = [dt.datetime.combine(day, dt.time()) for day in days]
    assert outcomes(pd.Series(days, dtype=object)).fingerprint == outcomes(midnights).fingerprint


def test_dates_that_are_all_missing_stay_dates():
    for unit in ("s", "ns"):
        query = outcomes(pd.Series([pd.NaT] * 3, dtype=f"datetime64[{unit}]")).query
        assert query["when"].dtype == "datetime64[ns]"
        assert query["when"].isna().all()


@pytest.mark.parametrize("value", [dt.datetime(9999, 12, 31), dt.date(9999, 12, 31), np.datetime64("0001-01-01", "s")])
def test_dates_too_far_away_are_named(value):
    with pytest.raises(ValueError, match="the column 'when' has a date outside the years 1678 to 2261: correct it, or"):
        outcomes(pd.Series([value], dtype=object))
    table = np.array([[value]], dtype=object)
    with pytest.raises(ValueError, match="the column 'done' has a date outside the years 1678 to 2261"):
        Outcomes([[0.0]], [[1.0]], answer_features={"done": table})


@given(MOMENTS)
def test_dates_survive_a_long_table_and_a_fingerprint_tells_them_apart(moments):
    pool = outcomes(pd.Series(moments, dtype="datetime64[ns]"))
    again = Outcomes.from_frame(pool.to_frame(), query_features=["when"])
    assert again.fingerprint == pool.fingerprint
    later = outcomes(pd.Series(moments, dtype="datetime64[ns]") + pd.Timedelta(1, "ns"))
    assert (later.fingerprint == pool.fingerprint) == all(t is None for t in moments)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-05-17", "2026-05-17"),
        ("2026-05-17T14:30", "2026-05-17 14:30"),
        ("2026-05-17 14:30:15.25", "2026-05-17 14:30:15.25"),
        ("2026-05-17T14:30:15Z", "2026-05-17 14:30:15"),
        ("2026-05-17 14:30:15+02:00", "2026-05-17 12:30:15"),
        ("2026-05-17T14:30:15-0730", "2026-05-17 22:00:15"),
    ],
)
def test_iso_texts_are_dates(text, moment):
    assert dated(pd.Series([None, text])).tolist()[1] == pd.Timestamp(moment)
    assert dated(pd.Series([text])).dtype == "datetime64[ns]"


@pytest.mark.parametrize(
    "text",
    [
        "2026",
        "20260517",
        "2026-05",
        "17.05.2026",
        "05/17/2026",
        "2026-02-30",
        "2026-05-17T25:00",
        "9999-12-31",
        "soon",
        "2026-05-17 ",
        "in 2026-05-17",
        "2026-05-17Z",
        "2026-05-17T14",
        "٢٠٢٦-٠٥-١٧",
        "",
    ],
)
def test_what_is_no_iso_date_stays_as_it_is(text):
    column = pd.Series(["2026-05-17", None, text])
    pd.testing.assert_series_equal(dated(column), column)


def test_labels_are_no_free_text():
    assert not is_text(pd.Series(["x", "y"] * 50))
    assert is_text(pd.Series([str(i) for i in range(100)]))
    assert not is_text(pd.Series(range(100)))
    assert not is_text(pd.Series(pd.date_range("2026-01-01", periods=100)))
    assert not is_text(pd.Series(pd.date_range("2026-01-01", periods=100).date, dtype=object))
    assert not is_text(pd.Series([[1]] * 100)), "cells that are lists"
    assert [is_text(pd.Series([str(i % many) for i in range(200)])) for many in (50, 51)] == [False, True]
    assert [is_text(pd.Series([str(i) for i in range(many)])) for many in (20, 21)] == [False, True]
