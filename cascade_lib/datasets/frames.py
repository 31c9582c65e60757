"""Read a data frame from a pickle without letting the pickle call what it likes.

A pickle is a small program: it names functions of any module and calls them. The reader here looks each name up in a
list of exact names, those that a pickled table of numbers and texts needs, and stops at the first that is not there.
It is the second of two locks: what it reads has the hash of a file that others have looked at.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.compat import pickle_compat

# What frames with columns of objects and floats are pickled to by pandas 1.4 to 3.x and numpy 1 and 2 under the
# protocols 2 to 5. `pickle_compat` sends pandas' names of the past to where things are today.
ALLOWED = frozenset(
    {
        ("builtins", "bytearray"),
        ("builtins", "slice"),
        ("__builtin__", "bytearray"),
        ("__builtin__", "slice"),
        ("_codecs", "encode"),
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy.core.numeric", "_frombuffer"),
        ("numpy._core.numeric", "_frombuffer"),
        ("pandas", "DataFrame"),
        ("pandas", "Index"),
        ("pandas", "RangeIndex"),
        ("pandas._libs.internals", "_unpickle_block"),
        ("pandas.core.frame", "DataFrame"),
        ("pandas.core.indexes.base", "Index"),
        ("pandas.core.indexes.base", "_new_Index"),
        ("pandas.core.indexes.numeric", "Float64Index"),
        ("pandas.core.indexes.numeric", "Int64Index"),
        ("pandas.core.indexes.range", "RangeIndex"),
        ("pandas.core.internals.managers", "BlockManager"),
    }
)

# numpy's are where numpy itself says: its old home still answers, but with a warning.
_ARRAYS = {function.__name__: function for function, *_ in (np.zeros(1).__reduce__(), np.zeros(1).__reduce_ex__(5))}


class _Reader(pickle_compat.Unpickler):
    """Unpickler for which nothing exists but `ALLOWED`."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no table of numbers and texts needs")
        if module == "_codecs":
            return _latin1  # how protocol 2 writes bytes; the real function would look up any codec
        if name in _ARRAYS:
            return _ARRAYS[name]
        return super().find_class(module, name)


def _latin1(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the codec {encoding}, which no table of numbers and texts needs")
    return text.encode("latin1")


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
    except Exception as error:  # a malformed pickle can fail in any way; nothing of it is used
        raise ValueError(f"{path.name} is not a pickled table that can be trusted: {error}") from error
    if not isinstance(content, pd.DataFrame):
        raise ValueError(f"{path.name} holds a {type(content).__name__} instead of a data frame.")
    return content
