"""Logs of your own, from a file to `Outcomes`: CSV or Parquet, one row per query and model or one column per model.

Everything that is wrong with a file is said before any work is done, with the line that it stands in. What is not a
quality, a cost or a name is a feature: known before a call if it is the same for all models, else known after it.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from .outcomes import Outcomes

KEYS = ("query", "model", "quality", "cost")
_WORDS = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}
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
    drop_incomplete: bool = False,
) -> Outcomes:
    r"""Read outcomes from a CSV file (``.csv``, ``.csv.gz``, ``.tsv``) or a Parquet file (``.parquet``).

    Parameters
    ----------
    path : str or Path
        The file, in one of two layouts. *Long*: the columns ``query``, ``model``, ``quality`` and ``cost``, one row
        for every query and model. *Wide*: one row per query, and for every model ``NAME`` the columns ``quality:NAME``
        and ``cost:NAME``; ``query``, if there is such a column, names the queries, and ``FEATURE:NAME`` is a feature
        of the answers. Qualities may be numbers or true / false.
    query_features : sequence of str, optional
        Columns known before any call. Default: all others that are the same in all rows of a query; in the wide
        layout those without a model's name.
    answer_features : sequence of str, optional
        Columns known after the call, by their names without that of a model. Default: all others.
    cost_unit : str
        The unit of the costs, e.g. ``"USD"``.
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
        If the file cannot be read, has neither layout, or an entry is unusable. The message names file, line and mend.

    Warns
    -----
    UserWarning
        If queries are left out, with their number.

    Notes
    -----
    Missing texts and labels become empty strings; missing numbers stay NaN, which learned estimators can deal with.

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
    if set(KEYS) <= set(frame.columns):
        long = frame
    elif any(str(name).startswith("quality:") for name in frame.columns):
        long = _lengthened(path, frame)
    else:
        raise ValueError(f"{path} has the columns {', '.join(map(str, frame.columns))}; it needs {_LAYOUTS}.")
    for name in KEYS[:2]:
        _refuse_missing(path, long, name)
    for name in KEYS[2:]:
        long[name] = _numbers(path, long, name)
    if drop_incomplete:
        long = _complete(path, long)
    for name in KEYS[2:]:
        _refuse_missing(path, long, name)
    _refuse_negative(path, long)
    _refuse_repeated(path, long)
    before, after = _features(path, long, query_features, answer_features)
    long = _filled(long, [*before, *after])
    try:
        return Outcomes.from_frame(long, query_features=before, answer_features=after, cost_unit=cost_unit)
    except ValueError as error:
        more = " With drop_incomplete such queries are left out." if " 0 rows for model " in str(error) else ""
        raise ValueError(f"{path}: {error}{more}") from None


def free_texts(query: pd.DataFrame) -> list[str]:
    """Return the columns that hold free text: strings most of which occur only once.

    Examples
    --------
    >>> free_texts(pd.DataFrame({"prompt": [f"number {i}" for i in range(40)], "topic": ["maths", "law"] * 20}))
    ['prompt']
    """
    labels = query.select_dtypes(include=["object", "string", "category"])
    return [str(name) for name in labels if labels[name].nunique() > max(20, len(query) // 4)]


def _table(path: Path) -> pd.DataFrame:
    """Return the file as a frame, with the numbers of its lines as the index."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}.")
    kind = [suffix.lower() for suffix in path.suffixes]
    try:
        if ".parquet" in kind:
            frame = pd.read_parquet(path).reset_index(drop=True)
        elif ".csv" in kind or ".tsv" in kind:
            frame = pd.read_csv(path, sep="\t" if ".tsv" in kind else ",", encoding="utf-8-sig", low_memory=False)
        else:
            raise ValueError("its name must end in .csv, .tsv or .parquet")
    except ImportError:
        raise ImportError(f"{path}: Parquet files need a reader: pip install pyarrow.") from None
    except (ValueError, OSError, EOFError) as error:  # pandas' and Arrow's errors are of these kinds
        raise ValueError(f"{path} cannot be read: {str(error).strip()}.") from None
    if frame.empty:
        raise ValueError(f"{path} has no rows.")
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        raise ValueError(f"{path} has several columns named {repeated[0]!r}: rename or drop all but one.")
    # The first line of a CSV file holds the names. Cells with line breaks make the count too small.
    return frame.set_axis(np.arange(len(frame)) + (1 if ".parquet" in kind else 2))


def _lengthened(path: Path, frame: pd.DataFrame) -> pd.DataFrame:
    """Return a wide table as a long one."""
    pairs = [str(name).partition(":") for name in frame.columns]
    models = [model for kind, _, model in pairs if kind == "quality"]
    for model in models:
        if f"cost:{model}" not in frame.columns:
            raise ValueError(f"{path} has a column quality:{model} but none named cost:{model}; it needs {_LAYOUTS}.")
    for kind, colon, model in pairs:
        if colon and kind == "cost" and model not in models:
            raise ValueError(f"{path} has a column cost:{model} but none named quality:{model}; it needs {_LAYOUTS}.")
    kinds = list(dict.fromkeys(kind for kind, colon, model in pairs if colon and model in models))
    shared = [name for name, (_, colon, model) in zip(frame.columns, pairs, strict=True) if model not in models]
    base = frame[shared]
    if "query" not in base:
        base = base.assign(query=np.arange(len(base)))
    parts = []
    for model in models:
        own = {kind: frame.get(f"{kind}:{model}", np.nan) for kind in kinds}
        parts.append(base.assign(model=model, **own))
    return pd.concat(parts)


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
        column = pd.to_numeric(words.replace({word: str(number) for word, number in _WORDS.items()}), errors="coerce")
    column = column.astype(float)
    bad = (column.isna() & long[name].notna()) | np.isinf(column)
    if bad.any():
        row = long[bad].iloc[0]
        more = f" ({int(bad.sum())} such entries in all)" if bad.sum() > 1 else ""
        raise ValueError(
            f"{path}, line {row.name}: the {name} of model {row['model']!r} is {row[name]}{more}; "
            "it must be a finite number."
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
        raise ValueError(f"{path}: no query has the quality and cost of all {long['model'].nunique()} models.")
    every, kept = long["query"].nunique(), usable[full]["query"].nunique()
    if kept < every:
        warnings.warn(f"{path}: {every - kept} of {every} queries are left out, as they are incomplete.", stacklevel=3)
    return usable[full]


def _features(
    path: Path, long: pd.DataFrame, before: Sequence[str] | None, after: Sequence[str] | None
) -> tuple[list[str], list[str]]:
    """Return the features known before a call, and those known after it."""
    others = [name for name in long.columns if name not in KEYS]
    strange = [name for name in [*(before or ()), *(after or ())] if name not in others]
    if strange:
        raise ValueError(f"{path} has no feature {strange[0]!r}; it has {', '.join(map(str, others)) or 'none'}.")
    left = [name for name in others if name not in {*(before or ()), *(after or ())}]
    varies = long.groupby("query", sort=False)[left].nunique(dropna=False).gt(1).any() if left else {}
    before = [name for name in left if not varies[name]] if before is None else list(before)
    after = [name for name in left if varies[name]] if after is None else list(after)
    return before, after


def _filled(long: pd.DataFrame, features: Sequence[str]) -> pd.DataFrame:
    """Return the table with empty strings where a text is missing."""
    texts = [name for name in features if pd.api.types.infer_dtype(long[name], skipna=True) == "string"]
    return long.assign(**{name: long[name].fillna("") for name in texts})
