"""Arrays as text, for files that hold data and nothing else: what is unpacked has been checked first."""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

# No array of a file may be larger than this, in bytes: it is refused before memory is taken for it.
_LARGEST = 2**28

T = TypeVar("T")


def pack(array: np.ndarray, dtype: str) -> dict[str, object]:
    """Return an array as plain values: its type, its shape, and its bytes, compressed, as text.

    Examples
    --------
    >>> unpack(pack(np.array([[1.0, 2.0]]), "<f8"), "<f8", (None, 2))
    array([[1., 2.]])
    """
    data = np.ascontiguousarray(array, dtype=dtype).tobytes()
    text = base64.b64encode(zlib.compress(data, 1)).decode("ascii")
    return {"dtype": dtype, "shape": list(np.shape(array)), "data": text}


def unpack(stored: object, dtype: str, shape: Sequence[int | None]) -> np.ndarray:
    """Return the array that `pack` was given, provided that it has this type and shape; None stands for any length.

    Raises
    ------
    ValueError
        If anything else is stored, or a number is NaN or infinite.
    """
    if not isinstance(stored, dict) or set(stored) != {"dtype", "shape", "data"} or stored["dtype"] != dtype:
        raise ValueError(f"an array of type {dtype} is needed, as dtype, shape and data.")
    found, text = stored["shape"], stored["data"]
    if not isinstance(found, list) or not all(type(n) is int and 0 <= n <= _LARGEST for n in found):
        raise ValueError("the shape of an array must be a list of whole numbers.")
    if len(found) != len(shape) or any(n not in (None, m) for n, m in zip(shape, found, strict=True)):
        raise ValueError(f"an array has shape {str(found)[:60]}, but {list(shape)} is needed.")
    size = math.prod(found) * np.dtype(dtype).itemsize
    if size > _LARGEST or not isinstance(text, str) or len(text) > 2 * _LARGEST:
        raise ValueError(f"an array of {size} bytes is too large, or its data is no text.")
    values = np.frombuffer(_inflated(text, size), dtype=dtype).reshape(found)
    if not np.isfinite(values).all():
        raise ValueError("an array has a number that is NaN or infinite.")
    return values


def _inflated(text: str, size: int) -> bytes:
    """Return the bytes, which must be just as many as were declared; no more than these are ever made."""
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(base64.b64decode(text, validate=True), size + 1)
    except (ValueError, zlib.error) as error:
        raise ValueError(f"the data of an array cannot be read: {error}.") from None
    if len(data) != size or not stream.eof or stream.unused_data:
        raise ValueError(f"the data of an array are not the {size} bytes declared.")
    return data


def exactly(stored: object, *names: str) -> Mapping[str, object]:
    """Return a mapping, provided that it has just these entries."""
    if not isinstance(stored, dict) or set(stored) != set(names):
        raise ValueError(f"an entry must have {', '.join(names)} and nothing else.")
    return stored


def listed(stored: object, kind: type[T], most: int = 10_000) -> list[T]:
    """Return a list, provided that all its entries are just of this type and not too many."""
    if not isinstance(stored, list) or len(stored) > most or not all(type(entry) is kind for entry in stored):
        raise ValueError(f"a list of at most {most:,} entries of type {kind.__name__} is needed.")
    return stored
