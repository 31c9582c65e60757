"""What a column of features holds, numbers, labels, dates or free text, and the one form in which each is kept."""

from __future__ import annotations

import numpy as np
import pandas as pd

# What a column may hold, by the names that pandas has for it.
NUMBERS = frozenset({"integer", "floating", "mixed-integer-float", "boolean", "decimal", "empty"})
LABELS = frozenset({"string", "categorical"})
DATES = frozenset({"datetime64", "datetime", "date"})
# Labels with no more levels than this are never free text, however few the queries are.
FEW_LEVELS = 20
_ISO = r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"


def held(column: pd.Series) -> str:
    """Return what a column holds by pandas' name for it, leaving out what is missing."""
    return pd.api.types.infer_dtype(column, skipna=True)


def is_text(column: pd.Series) -> bool:
    """Whether a column holds free text: strings with more levels than a fourth of its length.

    Examples
    --------
    >>> is_text(pd.Series([f"number {i}" for i in range(40)])), is_text(pd.Series(["maths", "law"] * 20))
    (True, False)
    """
    return held(column) in LABELS and column.nunique() > max(FEW_LEVELS, len(column) // 4)


def normal(column: pd.Series) -> pd.Series:
    """Return a copy of a column with one type for all of a kind: bool, float64, datetime64[ns], or str in objects."""
    kind = held(column)
    if kind == "boolean" and not column.hasnans:
        return column.astype(bool)
    if kind in NUMBERS:
        return pd.Series(column.to_numpy(dtype=float, na_value=np.nan), index=column.index)
    if kind in LABELS:
        return pd.Series(strings(column, missing=np.nan), index=column.index, dtype=object)
    return dates(column) if kind in DATES else column.copy()


def strings(column: pd.Series, missing: object = "") -> np.ndarray:
    """Return the entries of a column as strings, and `missing` where there are none."""
    texts = [missing if gone else str(value) for value, gone in zip(column, column.isna(), strict=True)]
    return np.array(texts, dtype=object)


def dates(column: pd.Series) -> pd.Series:
    """Return dates to the nanosecond, in UTC if they have a time zone, as they are if not, NaT where missing."""
    try:
        return pd.to_datetime(column, utc=True).dt.tz_localize(None).astype("datetime64[ns]")
    except pd.errors.OutOfBoundsDatetime:
        raise ValueError(
            f"the column {column.name!r} has a date outside the years 1678 to 2261: correct it, or leave it out if it "
            "stands for none."
        ) from None


def dated(column: pd.Series) -> pd.Series:
    """Return texts that are all ISO dates, but for missing ones, as dates, and any other column as it is.

    Examples
    --------
    >>> dated(pd.Series(["2026-05-17", None, "2026-05-17T14:00+02:00"])).tolist()
    [Timestamp('2026-05-17 00:00:00'), NaT, Timestamp('2026-05-17 12:00:00')]
    >>> dated(pd.Series(["2026-05-17", "soon"])).tolist()
    ['2026-05-17', 'soon']
    """
    given = column.dropna()
    if given.empty or held(given) != "string" or not given.str.fullmatch(_ISO).all():
        return column
    try:
        return dates(pd.to_datetime(column, format="ISO8601", utc=True))
    except ValueError:  # no day of the calendar, or one too far away
        return column
