"""Money and patience of a live run: what may still be spent, and how long to wait before asking again."""

from __future__ import annotations

import asyncio
import math
import random
from fractions import Fraction
from typing import NamedTuple


class Pace(NamedTuple):
    """How long to wait for what."""

    timeout: float
    retries: int
    pause: float
    longest: float

    def before(self, attempt: int, wait: float) -> float:
        """Return how long to wait before an attempt, counted from 1: no two callers in step."""
        return max(wait, min(self.longest, random.uniform(0, self.pause * 2**attempt)))


class Account:
    """Money: what is spent, and what is set aside for calls on their way. The sum never passes the cap."""

    def __init__(self, cap: float, spent: Fraction) -> None:
        self._cap = None if math.isinf(cap) else Fraction(cap)
        self.spent, self._aside, self._changed = spent, Fraction(0), asyncio.Event()

    def take(self, amount: Fraction) -> bool:
        """Set an amount aside if it fits now."""
        fits = self._cap is None or self.spent + self._aside + amount <= self._cap
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
