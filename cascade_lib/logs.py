"""Logs of your own, from a file to `Outcomes`: CSV or Parquet, one row per query and model or one column per model.

Everything that is wrong with a file is said before any work is done, with the line that it stands in. What is not a
quality, a cost or a name is a feature: known before a call if it is the same for all models, else known after it.
"""

from __future__ import annotations

import gzip
import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ._columns import DATES, dated, held, is_text
from .outcomes import Outcomes

KEYS = ("query", "model", "quality", "cost")
_WORDS = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}
# In a column of numbers these words mean that there is none; elsewhere they may be names, and stay.
_MISSING = ("na", "n/a", "nan", "null", "none", "")
# Bounds on what is read: what a small packed file may become, entries of a table, models, and the size of a number,
# beyond which sums of squares might overflow.
_MOST_UNPACKED, _LEAST_BOUND, _MOST_ENTRIES, _MOST_MODELS, _LARGEST = 100, 2**24, 2 * 10**8, 1_000, 1e100
_LAYOUTS = (
    "either the columns query, model, quality and cost, one row per query and model, or for every model NAME the "
    "columns quality:NAME and cost:NAME, one row per query"
)


def read_log(
    path: str | Path,
    *,
    query_features: Sequence[str] | None = None,
    answer_features: Sequence[str] | None = None,
    cost_unit: str = "",
    models: Sequence[str] | None = None,
    drop_incomplete: bool = False,
) -> Outcomes:
    r"""Read outcomes from a CSV file (``.csv``, ``.tsv``, either also with ``.gz``) or a Parquet file (``.parquet``).

    Parameters
    ----------
    path : str or Path
        The file, in one of two layouts. *Long*: the columns ``query``, ``model``, ``quality`` and ``cost``, one row
        for every query and model. *Wide*: one row per query, and for every model ``NAME`` the columns ``quality:NAME``
        and ``cost:NAME``; ``query``, if there is such a column, names the queries, and ``FEATURE:NAME`` is a feature
        of the answers. Qualities may be numbers, true / false or yes / no.
    query_features : sequence of str, optional
        Columns known before any call. Default: all others that are the same in all rows of a query; in the wide
        layout those without a model's name.
    answer_features : sequence of str, optional
        Columns known after the call, by their names without that of a model. Default: all others.
    cost_unit : str
        The unit of the costs, e.g. ``"USD"``.
    models : sequence of str, optional
        Take only these, in this order, whatever the others lack. Default: all.
    drop_incomplete : bool
        With True, queries that lack the quality or cost of a model are left out. Default: they are an error.

    Returns
    -------
    Outcomes

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        If the file is Parquet and no reader is installed.
    ValueError
        If the file cannot be read, has neither layout, or an entry is unusable; if it is packed and becomes more than a
        hundred times as large (and 16 MiB), has more than 200 million entries or 1,000 models, or a number beyond
        ±1e100. The message names file, line and remedy.

    Warns
    -----
    UserWarning
        If queries are left out, with their number.

    Notes
    -----
    In a CSV file an empty cell is missing. Words such as ``NA``, ``null`` and ``None`` mean missing in columns of
    numbers and dates only; a query, a model or a label may be called so. A feature of queries is read as dates if all
    its entries are ISO dates, such as ``2026-05-17``, or ``2026-05-17 14:00:00+02:00`` with a time of day. What is
    missing stays missing, which learned estimators can deal with, but a free text becomes empty. A feature may have the
    name of a key: the column ``model`` of a wide table is the feature `model` of the queries.

    References
    ----------
    Chapter "Your own logs".

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "log.csv"
    ...     _ = path.write_text("query,words,quality:small,cost:small,quality:large,cost:large\n"
    ...                         "a,7,false,1,true,5\nb,3,true,1,true,6\n")
    ...     pool = read_log(path, cost_unit="USD")
    >>> pool.models, pool.quality.tolist(), pool.query["words"].tolist()
    (('small', 'large'), [[0.0, 1.0], [1.0, 1.0]], [7.0, 3.0])
    """
    path = Path(path)
    frame = _table(path)
    long = _long(path, frame)
    for name in KEYS[:2]:
        _refuse_missing(path, long, name)
    long = _of_models(path, long, models)
    for name in KEYS[2:]:
        long[name] = _numbers(path, long, name)
    if drop_incomplete:
        long = _complete(path, long)
    for name in KEYS[2:]:
        _refuse_missing(path, long, name)
    _refuse_negative(path, long)
    _refuse_repeated(path, long)
    before, after = _features(path, long, query_features, answer_features)
    long = _read_as_text_or_date(long, before)
    try:
        pool = Outcomes.from_frame(long, query_features=before, answer_features=after, cost_unit=cost_unit)
    except ValueError as error:
        more = " With drop_incomplete such queries are left out." if " 0 rows for model " in str(error) else ""
        raise ValueError(f"{path}: {error}{more}") from None
    return pool.select(models) if models else pool


def _table(path: Path) -> pd.DataFrame:
    """Return the file as a frame, with the numbers of its lines as the index."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}.")
    name = path.name.lower()
    parquet = name.endswith(".parquet")
    try:
        if parquet:
            frame = _parquet(path)
        elif name.removesuffix(".gz").endswith((".csv", ".tsv")):
            frame = _csv(path)
        else:
            raise ValueError("its name must end in .csv, .tsv or .parquet, or in .csv.gz or .tsv.gz")
    except ImportError:
        raise ImportError(f"{path}: Parquet files need a reader: pip install pyarrow.") from None
    except (ValueError, OSError, EOFError) as error:  # pandas' and Arrow's errors are of these kinds
        raise ValueError(f"{path} cannot be read: {str(error).strip().removesuffix('.')}.") from None
    if frame.empty:
        raise ValueError(f"{path} has no rows.")
    # The first line of a CSV file holds the names. Cells with line breaks make the count too small.
    return frame.set_axis(np.arange(len(frame)) + (1 if parquet else 2))


def _csv(path: Path) -> pd.DataFrame:
    sep = "\t" if ".tsv" in path.name.lower() else ","
    source = _unpacked(path) if path.name.lower().endswith(".gz") else path.read_bytes()

    def read(**options: Any) -> pd.DataFrame:
        common: dict[str, Any] = {"sep": sep, "encoding": "utf-8-sig", "low_memory": False, "keep_default_na": False}
        return pd.read_csv(io.BytesIO(source), **common, **options)

    # pandas gives a second column of one name another name, so the names are looked at before.
    header = read(header=None, nrows=1, dtype=str)
    _refuse_repeated_names(header.iloc[0])
    frame = read(na_values=[""])
    if frame.shape[1] != header.shape[1] or not isinstance(frame.index, pd.RangeIndex):
        raise ValueError("its first line has fewer entries than the others: name every column")
    return frame.apply(lambda column: column if column.name in KEYS[:2] else _without_words(column))


def _unpacked(path: Path) -> bytes:
    """Return what was packed, unless it is suspiciously much."""
    most = max(_LEAST_BOUND, _MOST_UNPACKED * path.stat().st_size)
    with gzip.open(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it unpacks to more than {most / 2**20:.0f} MiB: unpack it first if that is meant")
    return content


def _without_words(column: pd.Series) -> pd.Series:
    """Return a column as numbers if it holds nothing else but words for missing ones."""
    if pd.api.types.is_numeric_dtype(column):
        return column
    given = _given(column)
    numbers = pd.to_numeric(given, errors="coerce")
    return numbers if numbers.notna().equals(given.notna()) and given.notna().any() else column


def _parquet(path: Path) -> pd.DataFrame:
    """Return a Parquet file as a frame, after a look at what it says that it holds."""
    from pyarrow import parquet, types

    file = parquet.ParquetFile(path)
    size = file.metadata.num_rows * file.metadata.num_columns
    if size > _MOST_ENTRIES:
        raise ValueError(f"it has {size:,} entries, more than {_MOST_ENTRIES:,}: take a part of its rows or columns")
    for field in file.schema_arrow:
        if types.is_nested(field.type):
            raise ValueError(
                f"the column {field.name!r} holds values of type {field.type}: turn it into text or numbers, one "
                "column each, or drop it"
            )
    _refuse_repeated_names(pd.Series(file.schema_arrow.names))
    return pd.read_parquet(path).reset_index(drop=True)


def _refuse_repeated_names(names: pd.Series) -> None:
    repeated = names[names.duplicated() & (names != "")]
    if len(repeated):
        raise ValueError(f"it has several columns named {repeated.iloc[0]!r}: rename or drop all but one")


def _long(path: Path, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table in the long layout, whichever it came in."""
    long = set(KEYS) <= set(frame.columns)
    wide = any(str(name).startswith("quality:") for name in frame.columns)
    if long and wide:
        raise ValueError(f"{path} has the columns of both layouts; it needs {_LAYOUTS}.")
    if not long and not wide:
        raise ValueError(f"{path} has the columns {', '.join(map(str, frame.columns))}; it needs {_LAYOUTS}.")
    return frame if long else _lengthened(path, frame)


def _lengthened(path: Path, frame: pd.DataFrame) -> pd.DataFrame:
    """Return a wide table as a long one."""
    pairs = [str(name).partition(":") for name in frame.columns]
    models = [model for kind, colon, model in pairs if colon and kind == "quality"]
    _refuse_strange_models(path, models)
    for model in models:
        if f"cost:{model}" not in frame.columns:
            raise ValueError(f"{path} has a column quality:{model} but none named cost:{model}; it needs {_LAYOUTS}.")
    for kind, colon, model in pairs:
        if colon and kind == "cost" and model not in models:
            raise ValueError(f"{path} has a column cost:{model} but none named quality:{model}; it needs {_LAYOUTS}.")
    kinds = list(dict.fromkeys(kind for kind, colon, model in pairs if colon and model in models))
    shared = [name for name, (_, colon, model) in zip(frame.columns, pairs, strict=True) if model not in models]
    # A feature with the name of a key gets the prefix that `Outcomes.from_frame` takes off again.
    base = frame[shared].rename(columns={name: f"query:{name}" for name in KEYS[1:]})
    if "query" not in base:
        base = base.assign(query=np.arange(len(base)))
    taken = {*base.columns, "model"}
    names = {kind: f"answer:{kind}" if kind in taken else kind for kind in kinds}
    parts = []
    for model in models:
        own = {names[kind]: frame.get(f"{kind}:{model}", np.nan) for kind in kinds}
        parts.append(base.assign(model=model, **own))
    return pd.concat(parts)


def _of_models(path: Path, long: pd.DataFrame, models: Sequence[str] | None) -> pd.DataFrame:
    """Return the rows of the models wanted, all of which must be there."""
    found = list(map(str, long["model"].unique()))
    _refuse_strange_models(path, found)
    unknown = [name for name in models or () if name not in found]
    if unknown:
        raise ValueError(f"{path}: models not in this log: {', '.join(unknown)}. It has: {', '.join(found)}.")
    return long[long["model"].astype(str).isin(models)].copy() if models else long.copy()


def _refuse_strange_models(path: Path, models: Sequence[str]) -> None:
    if len(models) > _MOST_MODELS:
        raise ValueError(
            f"{path} has {len(models):,} models, more than {_MOST_MODELS:,}: is the column of models the right one?"
        )
    if not all(name.strip() for name in models):
        raise ValueError(f"{path} has a model without a name: give it one.")


def _refuse_missing(path: Path, long: pd.DataFrame, name: str) -> None:
    missing = long[name].isna()
    if missing.any():
        row = long[missing].iloc[0]
        where = "" if name in KEYS[:2] else f" of model {row['model']!r}"
        more = f" ({int(missing.sum())} such entries in all)" if missing.sum() > 1 else ""
        mend = "fill it in or drop the line" if name in KEYS[:2] else "fill it in, or leave out queries that lack one"
        raise ValueError(f"{path}, line {row.name}: the {name}{where} is missing{more}; {mend}.")


def _numbers(path: Path, long: pd.DataFrame, name: str) -> pd.Series:
    """Return a column as finite numbers, NaN where it is empty; true and false are 1 and 0."""
    column = long[name]
    if pd.api.types.is_bool_dtype(column):
        return column.astype(float)
    if not pd.api.types.is_numeric_dtype(column):
        words = column.astype("string").str.strip().str.lower()
        given = words.where(~words.isin(_MISSING))
        column = pd.to_numeric(given.replace({word: str(number) for word, number in _WORDS.items()}), errors="coerce")
    else:
        given = column
    column = column.astype(float)
    bad = (column.isna() & given.notna()) | (column.abs() > _LARGEST)
    if bad.any():
        row = long[bad].iloc[0]
        more = f" ({int(bad.sum())} such entries in all)" if bad.sum() > 1 else ""
        raise ValueError(
            f"{path}, line {row.name}: the {name} of model {row['model']!r} is {row[name]}{more}; "
            f"it must be a finite number within ±{_LARGEST:g}."
        )
    return column


def _refuse_negative(path: Path, long: pd.DataFrame) -> None:
    negative = long[long["cost"] < 0]
    if len(negative):
        row = negative.iloc[0]
        raise ValueError(
            f"{path}, line {row.name}: the cost of model {row['model']!r} is {row['cost']:g}; costs are ≥ 0."
        )


def _refuse_repeated(path: Path, long: pd.DataFrame) -> None:
    again = long[long.duplicated(["query", "model"])]
    if len(again):
        row = again.iloc[0]
        first = long[(long["query"] == row["query"]) & (long["model"] == row["model"])].iloc[0]
        raise ValueError(
            f"{path}, line {row.name}: query {row['query']!r} and model {row['model']!r} stand in line "
            f"{first.name} already: keep one of them, or give each query a name of its own."
        )


def _complete(path: Path, long: pd.DataFrame) -> pd.DataFrame:
    """Return the queries that have a quality and a cost for every model."""
    usable = long.dropna(subset=["quality", "cost"])
    full = usable.groupby("query", sort=False)["model"].transform("nunique") == long["model"].nunique()
    if not full.any():
        least = usable.groupby("model")["query"].nunique().reindex(long["model"].unique(), fill_value=0)
        raise ValueError(
            f"{path}: no query has the quality and cost of all {len(least)} models; {least.idxmin()!r} has those of "
            f"{least.min()} of {long['query'].nunique()}. Run all models on the same queries, or take only the models "
            "that did answer the same ones."
        )
    every, kept = long["query"].nunique(), usable[full]["query"].nunique()
    if kept < every:
        warnings.warn(f"{path}: {every - kept} of {every} queries are left out, as they are incomplete.", stacklevel=3)
    return usable[full]


def _features(
    path: Path, long: pd.DataFrame, before: Sequence[str] | None, after: Sequence[str] | None
) -> tuple[list[str], list[str]]:
    """Return the features known before a call, and those known after it."""
    others = [name for name in long.columns if name not in KEYS]
    before, after = _prefixed("query", before, others), _prefixed("answer", after, others)
    strange = [name for name in [*(before or ()), *(after or ())] if name not in others]
    if strange:
        raise ValueError(f"{path} has no feature {strange[0]!r}; it has {', '.join(map(str, others)) or 'none'}.")
    left = [name for name in others if name not in {*(before or ()), *(after or ())}]
    varies: pd.Series[bool] | dict[str, bool]
    varies = long.groupby("query", sort=False)[left].nunique(dropna=False).gt(1).any() if left else {}
    before = [name for name in left if not varies[name]] if before is None else list(before)
    after = [name for name in left if varies[name]] if after is None else list(after)
    return before, after


def _prefixed(prefix: str, names: Sequence[str] | None, columns: Sequence[str]) -> list[str] | None:
    """Return the columns that features named by a user stand in: with a prefix if a key has the name."""
    full = {name: f"{prefix}:{name}" for name in names or ()}
    return None if names is None else [full[name] if full[name] in columns else name for name in names]


def _read_as_text_or_date(long: pd.DataFrame, features: Sequence[str]) -> pd.DataFrame:
    """Return the table with dates where a feature of queries has nothing else, and free texts empty where missing."""
    columns = {name: dated(_given(long[name])) for name in features if held(long[name]) == "string"}
    long = long.assign(**{name: column for name, column in columns.items() if held(column) in DATES})
    once = long.drop_duplicates("query")
    texts = [name for name in features if is_text(once[name])]
    return long.assign(**{name: long[name].astype(object).where(long[name].notna(), "") for name in texts})


def _given(column: pd.Series) -> pd.Series:
    """Return a column without words for what is missing."""
    return column.where(~column.astype("string").str.strip().str.lower().isin(_MISSING))
