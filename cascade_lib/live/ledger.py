"""Money and patience of a live run: what may still be spent, and how long to wait before asking again."""

from __future__ import annotations

import asyncio
import math
import random
from fractions import Fraction
from typing import NamedTuple

from .endpoint import CallError


class Pace(NamedTuple):
    """How long to wait for what."""

    timeout: float
    retries: int
    pause: float
    longest: float

    def before(self, attempt: int, wait: float) -> float:
        """Return how long to wait before an attempt, counted from 1: no two callers in step."""
        return max(wait, min(self.longest, random.uniform(0, self.pause * 2.0 ** min(attempt, 50))))


class Tries:
    """How often one call may still be tried, and how long it may wait for a refusal to pass.

    Parameters
    ----------
    pace : Pace
        That of the run.
    patience : float
        Seconds; see `Limits`.
    twice : bool
        Whether what may have been paid is tried again.
    """

    def __init__(self, pace: Pace, patience: float, *, twice: bool) -> None:
        self._pace, self.patience, self._twice = pace, patience, twice
        self._failed = self._refused = 0

    def over(self, trouble: CallError) -> bool:
        """Return whether this failure was the last."""
        if not trouble.again or (trouble.paid and not self._twice):
            return True
        return not self._waits(trouble) and (trouble.wait > self._pace.longest or self._failed >= self._pace.retries)

    def pause(self, trouble: CallError) -> float:
        """Count a failure that was not the last; return how long to wait before the next attempt."""
        if self._waits(trouble):
            self._refused += 1
            pause = min(self._pace.before(self._refused, trouble.wait), self.patience)
            self.patience -= pause
            return pause
        self._failed += 1
        return self._pace.before(self._failed, trouble.wait)

    def _waits(self, trouble: CallError) -> bool:
        return not trouble.paid and self.patience > 0 and trouble.wait <= self.patience


class Ledger:
    """Money: what is spent, and what is set aside for calls on their way. The sum never passes the cap."""

    def __init__(self, cap: float, spent: Fraction) -> None:
        self._cap = cap if math.isinf(cap) else Fraction(cap)
        self.spent, self._aside, self._changed = spent, Fraction(0), asyncio.Event()

    def take(self, amount: Fraction) -> bool:
        """Set an amount aside if it fits now."""
        fits = self.spent + self._aside + amount <= self._cap
        if fits:
            self._aside += amount
        return fits

    async def reserve(self, amount: Fraction) -> bool:
        """Set an amount aside as soon as it fits; return False once it can never fit."""
        while not self.take(amount):
            if self.spent + amount > self._cap:
                return False
            await self._changed.wait()
        return True

    def settle(self, aside: Fraction, cost: Fraction) -> None:
        """Spend `cost` in place of what was set aside, and tell those who wait."""
        self._aside -= aside
        self.spent += cost
        self._changed.set()
        self._changed = asyncio.Event()
