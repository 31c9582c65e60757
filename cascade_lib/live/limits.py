"""When a live model may be asked: its rate, its calls at a time, and rests after an outage.

Nothing here sends anything. `Limits` says what a model allows; a `Gate` keeps to it for all queries of one run.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass

from .. import _checks

OUTAGE = 5
"""So many failures in a row that another attempt may repair are an outage."""
RESTS = "not asked: it rests after failures, for longer than a call may wait"

_MINUTE = 60.0
_LOOK = 0.05  # seconds between two looks at whether a rest is over


@dataclass(frozen=True)
class Limits:
    """What a model allows. By default it allows everything, and no failure is waited out.

    Parameters
    ----------
    requests_per_minute : float
        Requests are sent at least ``60 / requests_per_minute`` seconds apart.
    tokens_per_minute : float
        After a request for t tokens nothing is sent for ``60 * t / tokens_per_minute`` seconds. Before the reply, t is
        the most that the request can come to, afterwards what the reply's ``usage`` says.
    concurrency : int, optional
        Calls of this model on their way at a time. Default: as many as the run allows.
    patience : float
        Seconds that one call may wait in all for a refusal to pass that cost nothing: a rate limit (429), an outage
        (500, 503, …), no connection. Meanwhile, such refusals are no failed attempts, so that they do not count in
        `retries` of the run. If the server says how long to wait, all calls of the model wait.
    rest : float
        Seconds that the model is left alone after five failures in a row that might have passed. A call whose
        patience is longer waits; any other fails at once and costs nothing. Then one call tries; if it fails too, the
        rest begins anew. 0: never.

    Raises
    ------
    TypeError, ValueError
        If a rate is not above 0, `concurrency` is no whole number of 1 or more, or a time is negative.

    Examples
    --------
    >>> Limits(requests_per_minute=600, patience=120)
    Limits(requests_per_minute=600, tokens_per_minute=inf, concurrency=None, patience=120, rest=0.0)
    """

    requests_per_minute: float = math.inf
    tokens_per_minute: float = math.inf
    concurrency: int | None = None
    patience: float = 0.0
    rest: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what can never work."""
        for name in ("requests_per_minute", "tokens_per_minute"):
            _checks.number(name, getattr(self, name), low=1e-9, high=math.inf, mend="It must be above 0.")
        for name in ("patience", "rest"):
            _checks.number(name, getattr(self, name), low=0, high=1e9, mend="It is a time in seconds.")
        whole = isinstance(self.concurrency, int) and not isinstance(self.concurrency, bool)
        if self.concurrency is not None and (not whole or self.concurrency < 1):
            raise ValueError(
                f"concurrency of Limits must be a whole number of 1 or more, or None; got {self.concurrency!r}."
            )


NO_LIMITS = Limits()


class Gate:
    """Lets the calls of one model through, as its limits allow. All times are those of `clock`, in seconds.

    Examples
    --------
    >>> gate = Gate(Limits(requests_per_minute=30), clock=lambda: 100.0)
    >>> [gate.book(tokens=7) for _ in range(3)]
    [0.0, 2.0, 4.0]
    """

    def __init__(
        self,
        limits: Limits,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.limits, self._clock, self._sleep = limits, clock, sleep
        self._next = self._closed_until = -math.inf
        self._failures = 0
        few = limits.concurrency
        self.place: AbstractAsyncContextManager[None] = nullcontext() if few is None else asyncio.Semaphore(few)

    async def enter(self, tokens: float, patience: float) -> float | None:
        """Wait until a request may be sent; return the seconds of `patience` left, or None if they do not suffice.

        Waiting for one's turn at the model's rate takes no patience.
        """
        await self._sleep(self.book(tokens))
        while (closed := self._closed_until - self._clock()) > 0:
            if closed > patience:
                return None
            pause = min(closed, _LOOK)
            patience -= pause
            await self._sleep(pause)
        if self._failures >= OUTAGE:  # this call tries for all the others, which go on waiting
            self._close(self.limits.rest)
        return patience

    def book(self, tokens: float) -> float:
        """Take the next turn; return how many seconds it is away."""
        now = self._clock()
        turn = max(now, self._next)
        self._next = turn + self._apart(tokens)
        return turn - now

    def correct(self, booked: float, used: float) -> None:
        """Learn how many tokens a request has used, for which so many were booked."""
        self._next += self._apart(used) - self._apart(booked)

    def passed(self) -> None:
        """Learn that the model is at work: it has answered, or refused for good."""
        if self._failures >= OUTAGE:
            self._closed_until = -math.inf
        self._failures = 0

    def failed(self, wait: float) -> None:
        """Learn of a failure that may pass, after which the server asked to wait so many seconds."""
        self._failures += 1
        if self.limits.patience > 0:
            self._close(wait)
        if self._failures >= OUTAGE:
            self._close(self.limits.rest)

    def _close(self, seconds: float) -> None:
        self._closed_until = max(self._closed_until, self._clock() + seconds)

    def _apart(self, tokens: float) -> float:
        return _MINUTE * max(1 / self.limits.requests_per_minute, tokens / self.limits.tokens_per_minute)
