"""Read a data frame from a pickle without letting the pickle make anything but a table of numbers and texts.

A pickle is a small program: it names functions of any module and calls them. Here every name that a pickled table needs
stands for a part of our own, which only notes what it is given; all other names are refused. Of these notes, once
they have been checked, the frame is built. So the pickle calls nothing of numpy's or pandas', sets no attribute of
anything that outlives it, and cannot ask for more memory than its own bytes fill.
It is the second of two locks: what it reads has the hash of a file that others have looked at.
"""

from __future__ import annotations

import pickle
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

# Numbers and references to texts; the most cells, twice those of the largest file read so far.
_TYPES: dict[str, str | type[object]] = {"O8": object, "b1": bool, "i4": "<i4", "i8": "<i8", "f4": "<f4", "f8": "<f8"}
_PLAIN = (str, float, int, bool, type(None))
_MOST_CELLS = 5_000_000

Order = Literal["C", "F"]


def _refuse(what: str, wrong: object) -> None:
    if wrong:
        raise pickle.UnpicklingError(f"{what}, which no table of numbers and texts has")


class _Part:
    """What a name in the pickle stands for: it notes its arguments, and no pickle can set anything else."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        _refuse(f"it changes a {type(self).__name__[1:].lower()}", True)


class _Name(_Part):
    """A class that is only ever an argument."""

    __slots__ = ()


class _Ranges(_Name):
    __slots__ = ()


class _Encoded(_Part):
    """How protocol 2 writes bytes; the real function would look up any codec."""

    __slots__ = ()

    def __new__(cls, text: str, encoding: str) -> bytes:  # type: ignore[misc]  # a pickle calls it for what it returns
        """Return the bytes."""
        if encoding != "latin1":
            raise pickle.UnpicklingError(f"it asks for the codec {encoding}, which no table of numbers and texts needs")
        return text.encode("latin1")


class _Type(_Part):
    __slots__ = ("kind",)

    def __init__(self, name: str, align: bool, copy: bool) -> None:
        _refuse(f"it has values of type {name}", name not in _TYPES)
        self.kind = np.dtype(_TYPES[name])

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Check that the state is that of a plain type in the usual order of bytes; fields and offsets are refused."""
        _refuse("it has a type with fields", state[1] not in ("|", "<") or state[2:7] != (None, None, None, -1, -1))


class _Array(_Part):
    __slots__ = ("values",)
    values: np.ndarray

    def __init__(self, kind: type, shape: tuple[int, ...], code: bytes) -> None:
        _refuse("it has an array that nothing fills", kind is not _Name or shape != (0,))

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take the content, which must fill the shape."""
        _, shape, kind, fortran, content = state
        self.values = _filled(content, kind, shape, "F" if fortran else "C")


class _Buffer(_Part):
    __slots__ = ("values",)

    def __init__(self, content: bytes, kind: _Type, shape: tuple[int, ...], order: Order) -> None:
        self.values = _filled(content, kind, shape, order)


class _Slice(_Part):
    __slots__ = ("values",)

    def __init__(self, start: int, stop: int, step: int) -> None:
        self.values = _range(start, stop, step)


class _Block(_Part):
    __slots__ = ("places", "values")

    def __init__(self, values: _Array | _Buffer, places: _Array | _Slice, ndim: int) -> None:
        self.values, self.places = values.values, places.values


class _Labels(_Part):
    __slots__ = ("values",)

    def __init__(self, kind: type, state: dict[str, Any]) -> None:
        name = state["name"]
        _refuse("it has a strange name", type(name) not in _PLAIN)
        if kind is _Ranges:
            self.values = pd.RangeIndex(_range(state["start"], state["stop"], state["step"]), name=name)
        else:
            values = state["data"].values
            self.values = pd.Index(values, dtype=values.dtype, name=name)


class _Manager(_Part):
    __slots__ = ("axes", "blocks")

    def __init__(self, blocks: tuple[_Block, ...], axes: list[_Labels]) -> None:
        self.blocks, self.axes = blocks, axes


class _Frame(_Part):
    __slots__ = ("manager",)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the content."""
        self.manager = state["_mgr"]

    def build(self) -> pd.DataFrame:
        """Return the frame."""
        columns, rows = (axis.values for axis in self.manager.axes)
        _refuse("it has too many cells", len(columns) * len(rows) > _MOST_CELLS)
        found: dict[int, np.ndarray] = {}
        for block in self.manager.blocks:
            _refuse("it has a block of another shape", block.values.shape != (len(block.places), len(rows)))
            found |= dict(zip(map(int, block.places), block.values, strict=True))
        _refuse("it has columns without a place", sorted(found) != list(range(len(columns))))
        series = {i: pd.Series(found[i].copy(), index=rows, dtype=found[i].dtype) for i in range(len(columns))}
        return pd.DataFrame(series, index=rows).set_axis(columns, axis=1)


def _filled(content: Any, kind: _Type, shape: tuple[int, ...], order: Order) -> np.ndarray:
    """Return an array of a shape that its content fills."""
    _refuse("it has a strange shape", type(shape) is not tuple or not all(type(n) is int and n >= 0 for n in shape))
    if kind.kind.hasobject:
        _refuse(
            "it has a strange value", type(content) is not list or not all(type(cell) in _PLAIN for cell in content)
        )
        values, order = np.empty(len(content), dtype=object), "C"  # lists are in this order whatever is said
        values[:] = content
    else:
        _refuse("it has a strange buffer", type(content) not in (bytes, bytearray))
        values = np.frombuffer(content, dtype=kind.kind)
    _refuse("it has an array that its content does not fill", prod(shape) != len(values))
    return values.reshape(shape, order=order)


def _range(start: int, stop: int, step: int) -> range:
    found = range(start, stop, step)
    _refuse("it has a range of too many numbers", max(map(abs, (start, stop, step))) > _MOST_CELLS)
    return found


# What frames with columns of objects and floats are pickled to by pandas 1.4 to 3.x and numpy 1 and 2 under the
# protocols 2 to 5, by the names of today and of the past.
ALLOWED = {
    ("builtins", "slice"): _Slice,
    ("__builtin__", "slice"): _Slice,
    ("_codecs", "encode"): _Encoded,
    ("numpy", "dtype"): _Type,
    ("numpy", "ndarray"): _Name,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.numeric", "_frombuffer"): _Buffer,
    ("numpy._core.numeric", "_frombuffer"): _Buffer,
    ("pandas", "DataFrame"): _Frame,
    ("pandas", "Index"): _Name,
    ("pandas", "RangeIndex"): _Ranges,
    ("pandas._libs.internals", "_unpickle_block"): _Block,
    ("pandas.core.frame", "DataFrame"): _Frame,
    ("pandas.core.indexes.base", "Index"): _Name,
    ("pandas.core.indexes.base", "_new_Index"): _Labels,
    ("pandas.core.indexes.numeric", "Float64Index"): _Name,
    ("pandas.core.indexes.numeric", "Int64Index"): _Name,
    ("pandas.core.indexes.range", "RangeIndex"): _Ranges,
    ("pandas.core.internals.managers", "BlockManager"): _Manager,
}


# The one written in Python: its memo is a dictionary, in which no number of a place asks for memory.
class _Reader(pickle._Unpickler):
    """Unpickler for which nothing exists but `ALLOWED`."""

    def find_class(self, module: str, name: str) -> type[_Part]:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no table of numbers and texts needs")
        return ALLOWED[module, name]


def read_frame_pickle(path: Path) -> pd.DataFrame:
    """Read a pickled data frame of numbers and texts.

    Parameters
    ----------
    path : pathlib.Path
        A file written by ``DataFrame.to_pickle`` without compression.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    ValueError
        If the file is not a pickle, asks for a name that is not in `ALLOWED`, or holds something else.

    Notes
    -----
    Extension types (categories, dates with zones, arrow strings) are refused too: what is not needed is not let in.

    Examples
    --------
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "frame.pkl")
    ...     _ = path.write_bytes(pickle.dumps(os.getcwd))
    ...     read_frame_pickle(path)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: frame.pkl is not a pickled table that can be trusted: it asks for posix.getcwd, which no table ...
    """
    try:
        with path.open("rb") as file:
            content = _Reader(file).load()
        content = content.build() if isinstance(content, _Frame) else content
    except Exception as error:  # a malformed pickle can fail in any way; nothing of it is used
        raise ValueError(f"{path.name} is not a pickled table that can be trusted: {error}") from error
    if not isinstance(content, pd.DataFrame):
        raise ValueError(f"{path.name} holds a {type(content).__name__} instead of a data frame.")
    return content
