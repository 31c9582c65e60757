"""The journal of a live run: every call on disk before it is sent, and again before its answer is used.

One JSON object a line, appended and synced. From the journal alone one can tell what every call has cost, or may have
cost, so that a run that was killed goes on where it stood: nothing that was paid is asked again, and nothing that may
have been paid is forgotten.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

FORMAT, VERSION = "cascade_lib journal", 1
LEFT_OPEN = "the run ended before the answer came"
_FAR = 2**30

Event = dict[str, Any]
"""A line of the journal."""

Key = tuple[str, str, int]
"""A call: query, model, and which of the model's requests on that query, counted from 0."""


class Lines:
    """A file to which JSON objects are appended, one a line, each on disk before `append` returns.

    Parameters
    ----------
    path : Path
        The file; it and its folder are made if they do not exist.

    Raises
    ------
    ValueError
        If a line other than the last is no JSON object. (A last line that a crash has cut short is dropped.)
    RuntimeError
        If another process has the file open.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "lines.jsonl"
    >>> lines = Lines(path)
    >>> lines.append([{"a": 1}, {"a": 2}])
    >>> lines.close()
    >>> _ = path.write_bytes(path.read_bytes() + b'{"a": 3, "b')
    >>> again = Lines(path)
    >>> again.close()
    >>> again.found
    [{'a': 1}, {'a': 2}]
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = not path.exists()
        self._path, self._file = path, path.open("a+b")
        try:
            _lock(self._file, path)
            self.check()
            self._file.seek(0)
            content = self._file.read()
            whole = content[: content.rfind(b"\n") + 1]
            self.found = [_parsed(path, number, line) for number, line in enumerate(whole.splitlines(), 1)]
            tail = _or_none(content[len(whole) :])
            if tail is not None:  # complete but for its end: a prefix of an object is never an object
                self.found.append(tail)
                self._write(b"\n")
            elif whole != content:
                self._file.truncate(len(whole))
        except BaseException:
            self._file.close()
            raise
        if fresh:
            _sync_folder(path.parent)

    def check(self) -> None:
        """Make sure that the file under its name is still the one that is written.

        Raises
        ------
        RuntimeError
            If it has been renamed, deleted or replaced: another process could open the name and pay once more.
        """
        try:
            same = os.path.samestat(os.stat(self._path), os.fstat(self._file.fileno()))
        except FileNotFoundError:
            same = False
        if not same:
            raise RuntimeError(
                f"{self._path} was renamed, deleted or replaced while it was in use, so no call is made any more: "
                "another run with this journal would pay again. Put the file back under its name, and run again."
            )

    def append(self, entries: Iterable[Mapping[str, object]]) -> None:
        """Write some objects and wait until they are on disk. After an error, e.g. a full disk, nothing more is taken.

        Raises
        ------
        ValueError
            If an entry holds NaN or an infinite number, which JSON has not; nothing is written then.
        """
        self._write("".join(json.dumps(entry, allow_nan=False) + "\n" for entry in entries).encode())

    def _write(self, data: bytes) -> None:
        try:
            self._file.write(data)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError:
            self._file.close()  # what was written may be torn, and nothing may follow a torn line
            raise

    def close(self) -> None:
        """Close the file and let others have it."""
        self._file.close()


@dataclass
class Call:
    """What the journal knows of one call, over all attempts at it.

    Parameters
    ----------
    cost : Fraction
        What it has cost or, where nobody can know, the most that it can have cost.
    pending : Fraction or None
        The most that the attempt now on its way can cost; None if there is none.
    reply : dict or None
        What the server replied, as it came.
    why : str or None
        What went wrong at last.
    final : bool
        Whether the run that met this failure gave up.
    paid : bool
        Whether an attempt may have been paid without an answer.
    request : str or None
        A hash of what was asked.
    seconds : float or None
        From sending the request to having read the reply.
    """

    cost: Fraction = Fraction(0)
    pending: Fraction | None = None
    reply: dict[str, Any] | None = None
    why: str | None = None
    final: bool = False
    paid: bool = False
    request: str | None = None
    seconds: float | None = None


class Journal:
    """All calls of a run, on disk or, without a path, in memory only.

    Events are plain dictionaries, and `record` is the only way in, both for those that are read and for those that
    happen: so a run that was taken up again knows exactly what one that was never interrupted would know. Sums are
    exact: costs are added as fractions.

    Raises
    ------
    ValueError
        If the file is no such journal, or damaged elsewhere than at its end.

    Examples
    --------
    >>> journal = Journal(None)
    >>> journal.record([{"event": "sent", "query": "q", "model": "m", "worst": 3.0, "request": None}])
    >>> journal.spent, journal.at_most
    (0.0, 3.0)
    >>> journal.record([{"event": "reply", "query": "q", "model": "m", "cost": 2.5, "reply": {"text": "yes"}}])
    >>> journal.spent, journal.calls["q", "m", 0].reply
    (2.5, {'text': 'yes'})
    """

    def __init__(self, path: Path | None) -> None:
        self.calls: dict[Key, Call] = {}
        self.parts: dict[tuple[str, str], int] = {}
        self._spent = self._pending = Fraction(0)
        self._lines = None if path is None else Lines(path)
        found: list[Event] = []
        if self._lines is not None:  # which need not keep in memory what the calls hold
            found, self._lines.found = self._lines.found, []
        try:
            self._read(path, found)
        except BaseException:
            self.close()
            raise

    def _read(self, path: Path | None, found: list[Event]) -> None:
        head = {"journal": FORMAT, "version": VERSION}
        if found and found[0] != head:
            raise ValueError(f"{path} is no journal of a run: its first line should be {json.dumps(head)}.")
        for number, event in enumerate(found[1:], 2):
            try:
                self._apply(event)
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
                raise ValueError(f"line {number} of {path} is damaged: {type(error).__name__}: {error}.") from None
        if self._lines is not None and not found:
            self._lines.append([head])
        cut_short = [(key, call.pending) for key, call in self.calls.items() if call.pending is not None]
        self.record([lost(key, float(pending), LEFT_OPEN) for key, pending in cut_short])

    def record(self, events: list[Event]) -> None:
        """Write events down; once this returns they are on disk and known."""
        if events and self._lines is not None:
            if any(event["event"] == "sent" for event in events):  # what has come home is written wherever the file is
                self._lines.check()
            self._lines.append(events)
        for event in events:
            self._apply(event)

    def of(self, query: str, model: str) -> list[Call | None]:
        """Return the calls that make up a model's answer to a query, None for those not made; empty if unknown."""
        return [self.calls.get((query, model, part)) for part in range(self.parts.get((query, model), 0))]

    @property
    def spent(self) -> float:
        """What all calls have cost, those that may have been paid without an answer at the most they can have."""
        return float(self._spent)

    @property
    def at_most(self) -> float:
        """The same with what is on its way, at the most that it can cost."""
        return float(self._spent + self._pending)

    @property
    def exact(self) -> Fraction:
        """What all calls have cost, without rounding."""
        return self._spent

    def close(self) -> None:
        """Close the file."""
        if self._lines is not None:
            self._lines.close()

    def _apply(self, event: Event) -> None:
        pair = str(event["query"]), str(event["model"])
        call = self.calls.setdefault((*pair, int(event.get("part", 0))), Call())
        kind = event["event"]
        if kind == "sent":
            self.parts[pair] = int(event.get("parts", 1))
            if call.pending is not None:
                raise ValueError("a call is sent again before it is known what became of it")
            call.pending, call.request = _amount(event["worst"]), event.get("request")
            self._pending += call.pending
            return
        if kind not in ("reply", "lost", "unpaid"):
            raise ValueError(f"there is no event {kind!r}")
        self.parts.setdefault(pair, int(event.get("parts", 1)))
        cost = _amount(event["cost"]) if kind != "unpaid" else Fraction(0)
        call.cost, self._spent = call.cost + cost, self._spent + cost
        self._pending -= call.pending or 0
        call.pending = None
        if kind == "reply":
            call.reply, call.seconds = event["reply"], event.get("seconds")
        else:
            call.why, call.final, call.paid = str(event["why"]), bool(event.get("final")), kind == "lost" or call.paid


def sent(key: Key, worst: float, request: str | None, parts: int) -> Event:
    """Return the event of a call about to be sent that can cost `worst` at the most."""
    event = _event("sent", key) | {"worst": worst, "request": request}
    return event | {"parts": parts} if parts > 1 else event


def replied(key: Key, cost: float, reply: dict[str, Any], seconds: float) -> Event:
    """Return the event of a reply and what it cost."""
    return _event("reply", key) | {"cost": cost, "reply": reply, "seconds": round(seconds, 6)}


def unpaid(key: Key, why: str, *, final: bool, parts: int = 1) -> Event:
    """Return the event of a call that failed and cost nothing, or was not even made."""
    event = _event("unpaid", key) | {"why": why, "final": final}
    return event | {"parts": parts} if parts > 1 else event


def lost(key: Key, cost: float, why: str, *, final: bool = True) -> Event:
    """Return the event of a call that may have been paid but brought no answer."""
    return _event("lost", key) | {"cost": float(cost), "why": why, "final": final}


def _event(kind: str, key: Key) -> Event:
    query, model, part = key
    event: Event = {"event": kind, "query": query, "model": model}
    return event | {"part": part} if part else event


def _amount(value: object) -> Fraction:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ValueError(f"an amount must be a number of 0 or more; got {value!r}")
    return Fraction(value)


def _parsed(path: Path, number: int, line: bytes) -> Event:
    entry = _or_none(line)
    if entry is None:
        raise ValueError(f"line {number} of {path} is no JSON object: {line[:60]!r}. Only the last may be torn.")
    return entry


def _or_none(line: bytes) -> Event | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _lock(file: BinaryIO, path: Path) -> None:
    """Keep other processes out; the lock goes with the process, however it ends."""
    try:
        try:
            import fcntl
        except ImportError:  # Windows
            _lock_a_byte(file)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise RuntimeError(f"{path} is in use: another run writes this journal. Two would pay twice.") from None


def _lock_a_byte(file: BinaryIO) -> None:
    """Lock a byte far behind the end of the file, for on Windows others cannot read what is locked."""
    import msvcrt

    file.seek(_FAR)
    msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]  # they exist on Windows only


def _sync_folder(folder: Path) -> None:
    """Make the name of a new file survive a power cut, where folders can be synced."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
