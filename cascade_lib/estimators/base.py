"""What strategies expect of an estimator: one method, `beliefs`."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ..beliefs import Beliefs
from ..outcomes import Outcomes


class Estimator(Protocol):
    """What strategies expect of an estimator."""

    def beliefs(self, outcomes: Outcomes, ran: np.ndarray, rows: np.ndarray) -> Beliefs:
        """Return beliefs about the queries `rows` of `outcomes` once the models in `ran`, bool (k,), have run."""
