"""Checks of what users hand in: one clear sentence about the first thing that is wrong, before any work is done."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

Table = Sequence[Sequence[float] | np.ndarray] | np.ndarray | pd.DataFrame
"""A table of numbers with rows of equal length, as users may hand it in."""


def table(name: str, value: Table, shape: tuple[int, int] | None = None) -> np.ndarray:
    """Return a read-only (n, k) float copy of `value`; its entries are for `finite` and `non_negative` to judge."""
    try:
        array = _floats(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be a table of numbers with rows of equal length: {error}.") from None
    if array.ndim != 2:
        raise ValueError(
            f"{name} must have one row per query and one column per model, i.e. shape (n, k); got shape "
            f"{array.shape}. For a single query write [[...]]; for a single model use {name}.reshape(-1, 1)."
        )
    if 0 in array.shape:
        raise ValueError(f"{name} is empty: shape {array.shape}. At least one query and one model are needed.")
    if shape is not None and array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, but {shape} is expected: (queries, models).")
    array.flags.writeable = False
    return array


def _floats(value: Table) -> np.ndarray:
    """Return a float copy in which whatever is missing or masked is NaN; complex numbers and times are no numbers."""
    if isinstance(value, pd.DataFrame | pd.Series):
        value = value.to_numpy(na_value=np.nan)
    array: np.ndarray = np.ma.asarray(value)
    if array.dtype.kind == "O":
        array = np.where(pd.isna(np.ma.getdata(array)), np.nan, np.ma.getdata(array))
    elif array.dtype.kind in "cmM":
        raise TypeError(f"its entries are of type {array.dtype}")
    return np.array(np.ma.filled(array.astype(float), np.nan))


def finite(name: str, array: np.ndarray, models: Sequence[str] | None = None) -> np.ndarray:
    """Return `array` unless one of its entries is NaN or infinite."""
    _refuse(name, array, ~np.isfinite(array), models, "repair or drop that row, for every entry must be finite")
    return array


def non_negative(name: str, array: np.ndarray, models: Sequence[str] | None = None) -> np.ndarray:
    """Return `array` unless one of its entries is negative, NaN or infinite."""
    finite(name, array, models)
    _refuse(name, array, array < 0, models, "it must be 0 or more")
    return array


def number(name: str, value: float, *, low: float, high: float, mend: str) -> float:
    """Return `value` as a float in [low, high]; NaN is always refused."""
    try:
        result = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be one number; got {value!r}. {mend}") from None
    if not low <= result <= high:
        raise ValueError(f"{name} must lie between {low:g} and {high:g}; got {result:g}. {mend}")
    return result


def names(value: Sequence[str] | None, k: int) -> tuple[str, ...]:
    """Return `k` distinct model names; without any they are numbered."""
    if value is None:
        return tuple(f"model-{i}" for i in range(k))
    if isinstance(value, str):
        raise TypeError(f"models must be a sequence of {k} names, not the single string {value!r}.")
    result = tuple(str(name) for name in value)
    if len(result) != k:
        raise ValueError(f"models has {len(result)} names, but quality has {k} columns: give one name per column.")
    repeated = sorted({name for name in result if result.count(name) > 1})
    if repeated:
        raise ValueError(f"models has duplicate names: {', '.join(repeated)}. Rename or drop the repeated columns.")
    return result


def _refuse(name: str, array: np.ndarray, bad: np.ndarray, models: Sequence[str] | None, mend: str) -> None:
    if not bad.any():
        return
    row, column = np.argwhere(bad)[0]
    model = f"model {models[column]!r}" if models is not None else f"column {column}"
    more = f" ({int(bad.sum())} such entries in all)" if bad.sum() > 1 else ""
    raise ValueError(f"{name} of {model} in row {row} is {array[row, column]:g}{more}; {mend}.")
