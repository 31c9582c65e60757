"""The types of arrays inside the library; what users hand in is `ArrayLike`, or a `Table` of `_checks`."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]
