"""A policy at work on many live queries: calls side by side, none paid twice, never more spent than allowed.

Every query is a `Session`; `run` asks the models that the sessions name. What a call can cost at the most is set aside
before it is sent and settled when it is over, so the cap holds whatever happens meanwhile; and both moments are in a
`Journal` first, so it holds for a run that was killed and taken up again.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import time
import warnings
from collections import Counter
from collections.abc import Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from .. import _checks
from ..deploy.policy import Policy
from ..deploy.session import Session
from . import journal
from .endpoint import CallError, Endpoint, Local, Model, Query, import_httpx, text_of, used
from .journal import Journal, Key
from .ledger import Ledger, Pace, Tries
from .limits import RESTS, Gate, Limits
from .replay import Told, replay
from .results import QueryResult, Run

__all__ = ["CostBoundWarning", "Endpoint", "Limits", "Local", "QueryResult", "Run", "run", "run_sync"]

CAP = "spend cap"
REPEAT = ("never", "unpaid", "lost")
# Queries of a journal that are followed in one go, between two of which a run can be broken off.
_AT_ONCE = 4_096


class CostBoundWarning(UserWarning):
    """A call has cost more than was said to be the most, so the spend cap may be passed by the difference."""


class _UnknownFeatureError(ValueError):
    """Answers are read as the policy does not know them."""


async def run(
    policy: Policy,
    queries: pd.DataFrame,
    models: Mapping[str, Model],
    *,
    journal: str | Path | None,
    spend_cap: float = math.inf,
    concurrency: int = 8,
    timeout: float = 60.0,
    retries: int = 4,
    pause: float = 0.5,
    longest_pause: float = 60.0,
    repeat: str = "never",
    seed: int = 0,
    progress: bool | None = None,
    transport: object = None,
) -> Run:
    r"""QueryResult live queries under a policy, several at a time.

    Parameters
    ----------
    policy : Policy
        Names the models and decides.
    queries : pandas.DataFrame
        One row per query: at least the features that the policy knows, and whatever `request` of the models needs,
        such as the text. The index names the queries; a query is recognised in the journal by its name.
    models : mapping of str to Endpoint or Local
        How to ask each model of the policy.
    journal : path or None
        The file of the journal. A run with the journal of an earlier one takes all calls in it as made, whatever
        policy asked for them. None: nothing outlives the run.
    spend_cap : float
        The most that all calls in the journal together may cost, in the unit of the policy. A call is made only if what
        has been spent, what calls on their way can cost, and what it can cost fit under the cap; a model that no longer
        fits counts as failed on that query, and planning goes on with cheaper ones.
    concurrency : int
        Queries in work at a time, and so the most calls on their way.
    timeout : float
        Seconds for one attempt, all in all.
    retries : int
        Further attempts where one failed at no cost: no connection, or a status that may pass (429, 500, 503, …).
        Failures that are waited out do not count; see `patience` of `Limits`.
    pause, longest_pause : float
        Before repetition number j, from 1, wait a random time up to ``pause * 2**j`` seconds, or as long as the server
        asks, but no longer than `longest_pause`; a server that asks for more has failed.
    repeat : {"never", "unpaid", "lost"}
        Which calls to make once more: none, those of the journal that failed for good at no cost, or also those, of the
        journal and of this run, that may have been paid without an answer. Only with the last a call may be paid twice.
    seed : int
        Seed of the coins of all queries; the coin of a query depends on the seed and its name only.
    progress : bool, optional
        Whether to show a bar. Default: on a terminal only.
    transport : httpx.AsyncBaseTransport, optional
        In place of the network.

    Returns
    -------
    Run

    Raises
    ------
    TypeError, ValueError
        If an argument is unusable, if the journal is damaged, or if it has the answer to another request than the one
        that would be made.
    RuntimeError
        If another run has the journal open, or if the journal was renamed or replaced during the run.

    Notes
    -----
    *What counts as paid.* A call that found no connection, or whose reply has an error status, is taken to have cost
    nothing. That a refusal costs nothing is an assumption about the provider; that no call is paid twice rests on it.
    Whatever else goes wrong after the request was sent (no answer in time, a connection broken off, a reply that is no
    JSON, the death of this process) may have been paid. Such a call is taken to have cost the most it can, the model
    counts as failed on that query, and it is not asked again. A reply that cannot be read costs what its ``usage``
    says; it stays in the journal, and a run with a better `read` will use it.

    *The cap* is proved in the chapter "A live policy". It needs that no call costs more than its model says it can.

    *Interruption.* On Ctrl-C, cancellation or an error, no call is started, and those on their way are waited for and
    written down. When the process is killed, they count as perhaps paid.

    Examples
    --------
    >>> from cascade_lib import LearnedEstimator, Outcomes, Router
    >>> pool = Outcomes([[0, 1], [1, 1]] * 20, [[0, 5]] * 40, models=["rules", "large"])
    >>> policy = Router().calibrate(LearnedEstimator(folds=2).fit(pool), pool, budget=5)
    >>> models = {"rules": Local(lambda query: {}), "large": Local(lambda query: {"text": "x"}, lambda r: {}, price=5)}
    >>> run_sync(policy, pd.DataFrame(index=["a", "b"]), models, journal=None, spend_cap=8)
    2 queries: 2 answered, 0 without an answer; 2.5 each
    2 calls made (0 repeated attempts), 0 taken from the journal
    5 spent of at most 8, 0 of it perhaps paid for nothing
      1 × large: spend cap
    """
    names = _names(policy, queries, models)
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
        raise ValueError(f"concurrency must be a whole number of 1 or more; got {concurrency!r}.")
    if repeat not in REPEAT:
        raise ValueError(f"repeat must be one of {', '.join(map(repr, REPEAT))}; got {repeat!r}.")
    most = _checks.number("spend_cap", spend_cap, low=0, high=math.inf, mend="It is what all calls may cost together.")
    for name, value in {"timeout": timeout, "retries": retries, "pause": pause, "longest_pause": longest_pause}.items():
        _checks.number(name, value, low=0, high=1e9, mend="It must not be negative.")
    pace = Pace(timeout, int(retries), pause, longest_pause)
    book = await asyncio.to_thread(Journal, None if journal is None else Path(journal))
    try:
        work = _Work(policy, dict(models), book, Ledger(most, book.exact), pace, repeat, seed, transport)
        bar = tqdm(total=len(names), unit="query", disable=None if progress is None else not progress)
        with bar:
            answers = await work.all(names, queries, concurrency, bar)
    finally:
        book.close()
    lost = sum((call.cost for call in book.calls.values() if call.paid and call.reply is None), Fraction(0))
    return Run(
        tuple(answers[name] for name in names), book.spent, most, float(lost), work.asked, work.replayed, work.retries,
        policy.schema.cost_unit,
    )  # fmt: skip


def run_sync(policy: Policy, queries: pd.DataFrame, models: Mapping[str, Model], **options: object) -> Run:
    """Do what `run` does, from code that is not asynchronous; also where an event loop is at work, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(run(policy, queries, models, **options))
    started: list[tuple[asyncio.AbstractEventLoop, asyncio.Task]] = []

    async def elsewhere() -> Run:
        started.append((asyncio.get_running_loop(), asyncio.current_task()))
        return await run(policy, queries, models, **options)

    with ThreadPoolExecutor(1) as thread:
        result = thread.submit(lambda: asyncio.run(elsewhere()))
        try:
            return result.result()
        except BaseException:  # an interrupted cell interrupts the run, which writes down what is on its way
            if started and not result.done():
                loop, task = started[0]
                loop.call_soon_threadsafe(task.cancel)
            raise


class _Scribe:
    """Writes events into the journal in a thread; those that come meanwhile share the next write."""

    def __init__(self, book: Journal) -> None:
        self._book, self._waiting, self._at_work = book, [], None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")

    async def write(self, event: dict) -> None:
        """Return once the event is on disk."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((event, done))
        if self._at_work is None:
            self._at_work = asyncio.ensure_future(self._flush())
        await done

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            error = None
            try:
                await loop.run_in_executor(self._thread, self._book.record, [event for event, _ in batch])
            except Exception as trouble:
                error = trouble
            for done in [done for _, done in batch if not done.done()]:
                if error is None:
                    done.set_result(None)
                else:
                    done.set_exception(error)
        self._at_work = None

    def close(self) -> None:
        """Let the thread go."""
        self._thread.shutdown()


class _Asked(NamedTuple):
    """What came of asking a model: its reply or replies, or why there is none; and the cost."""

    reply: object
    why: str | None
    cost: float


class _Part(NamedTuple):
    """One request: its body, a hash of it, the most that it can cost, and the tokens to book at the model's rate."""

    body: object
    digest: str | None
    bound: Fraction
    tokens: float


@dataclass
class _Course:
    """What has happened on one query; models in the order in which they were asked."""

    name: str
    query: dict
    costs: dict[str, float] = field(default_factory=dict)
    seen: dict[str, dict[str, object]] = field(default_factory=dict)
    texts: dict[str, str | None] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def report(self, session: Session, model: str) -> None:
        """Tell a session what came of asking a model."""
        if model in self.failures:
            session.fail(model, cost=self.costs[model])
        else:
            session.observe(model, cost=self.costs[model], answer=self.seen[model])

    def result(self, choice: str | None) -> QueryResult:
        """Return how the query ended, with the answer of the model `choice`."""
        order, cost = tuple(self.costs), math.fsum(self.costs.values())
        return QueryResult(self.name, choice, self.texts.get(choice), order, cost, self.failures, self.seen, self.costs)


class _Work:
    """One run under way."""

    def __init__(
        self,
        policy: Policy,
        models: dict[str, Model],
        book: Journal,
        ledger: Ledger,
        pace: Pace,
        repeat: str,
        seed: int,
        transport: object,
    ) -> None:
        self.policy, self.models, self.book, self.ledger, self.pace = policy, models, book, ledger, pace
        self.repeat, self.seed, self.transport = repeat, seed, transport
        self.asked = self.replayed = self.retries = 0
        self._scribe, self._client = _Scribe(book), None
        self._thinking = ThreadPoolExecutor(1, thread_name_prefix="planning")
        self._on_their_way: set[asyncio.Task] = set()
        self._gates = {name: Gate(spec.limits) for name, spec in models.items()}

    async def all(self, names: list[str], queries: pd.DataFrame, concurrency: int, bar: tqdm) -> dict[str, QueryResult]:
        """Work through the queries; on any error let the calls on their way come home, then raise it."""
        answers: dict[str, QueryResult] = {}
        begun: dict[str, _Course] = {}
        rows, workers = _rows(names, queries), []

        async def worker() -> None:
            for name, query in rows:
                if name not in answers:
                    answers[name] = await self._query(begun.pop(name, None) or _Course(name, query))
                    bar.set_postfix_str(f"{float(self.ledger.spent):,.6g} spent", refresh=False)
                    bar.update()

        try:
            in_journal = {query for query, _ in self.book.parts}
            taken_up = [row for row, name in enumerate(names) if name in in_journal]
            for at in range(0, len(taken_up), _AT_ONCE):
                part = taken_up[at : at + _AT_ONCE]
                replayed = await self._in_thread(partial(self._replay, [names[i] for i in part], queries.iloc[part]))
                for course, (ended, choice) in replayed:
                    if ended:
                        answers[course.name] = course.result(choice)
                        bar.update()
                    else:
                        begun[course.name] = course
            workers = [asyncio.ensure_future(worker()) for _ in range(concurrency)]
            await asyncio.gather(*workers)
        finally:
            for task in workers:
                task.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            await asyncio.gather(*self._on_their_way, return_exceptions=True)
            self._thinking.shutdown(cancel_futures=True)
            self._scribe.close()
            if self._client is not None:
                await self._client.aclose()
        return answers

    def _replay(self, names: list[str], queries: pd.DataFrame) -> list[tuple[_Course, tuple[bool, str | None]]]:
        """Follow queries as far as the journal goes; return how far each is, whether it has ended and what is kept."""
        courses = [_Course(name, query) for name, query in _rows(names, queries)]
        expensive_ties = np.array([self.policy.toss(_coin(self.seed, name)) for name in names])

        def tell(row: int, model: str) -> Told | None:
            course = courses[row]
            asked = self._known(course.name, model, course.query)
            return None if asked is None else (asked.cost, self._note(course, model, asked))

        ends = replay(self.policy, queries.set_axis(names), expensive_ties, tell)
        return list(zip(courses, ends, strict=True))

    async def _query(self, course: _Course) -> QueryResult:
        """Go on with a query to its end."""
        session = await self._in_thread(partial(self._session, course))
        while (model := await self._in_thread(session.next)) is not None:
            asked = await self._ask(course.name, model, course.query)
            self._note(course, model, asked)
            course.report(session, model)
        return course.result((await self._in_thread(lambda: session.choice)) if course.seen else None)

    def _session(self, course: _Course) -> Session:
        """Return the session of a query, told of all that has happened on it."""
        features = {feature: course.query[feature] for feature in self.policy.schema.features}
        session = self.policy.start(features, name=course.name, seed=_coin(self.seed, course.name))
        for model in course.costs:
            course.report(session, model)
        return session

    def _note(self, course: _Course, model: str, asked: _Asked) -> dict[str, object] | None:
        """Note what came of asking a model; return the features of its answer, None if there is no usable one."""
        course.costs[model], why = asked.cost, asked.why
        if why is None:
            try:
                answer = dict(self.models[model].read(asked.reply))
                self._all_known(model, answer)
                features = self.policy.schema.answer(model, answer)
                course.seen[model], course.texts[model] = answer, text_of(asked.reply)
                return features
            except _UnknownFeatureError:
                raise
            except Exception as error:
                why = f"unreadable reply: {type(error).__name__}: {error}"
        course.failures[model] = why
        return None

    def _all_known(self, model: str, answer: Mapping[str, object]) -> None:
        """Refuse features that the policy does not know: that is no matter of one reply but of how models are read."""
        strange = [str(name) for name in answer if name not in self.policy.schema.answer_features]
        if strange:
            raise _UnknownFeatureError(
                f"read of model {model!r} gives {', '.join(strange)}, but the policy knows "
                f"{', '.join(self.policy.schema.answer_features) or 'no features of answers'}. The reply is in the "
                "journal: mend read and run again."
            )

    async def _in_thread(self, work: object) -> object:
        """Plan in a thread, so that no answer has to wait for it and be taken for late."""
        return await asyncio.get_running_loop().run_in_executor(self._thinking, work)

    async def _ask(self, name: str, model: str, query: Query) -> _Asked:
        """Get a model's answer to a query, from the journal as far as it is there.

        ==================================================  =====================================================
        the journal has                                     what is done
        ==================================================  =====================================================
        a failure that is not to be repeated                the model has failed; nothing is asked
        all replies, of a function (no hash of a request)   they are the answer; nothing is asked
        all replies, of an endpoint                         the same, once the request is found to be the same
        some replies, or none                               the rest is asked, if the request is the same
        ==================================================  =====================================================

        A query for which there is no request, or none whose cost is bounded, fails before anything is sent.
        """
        known = self._known(name, model, query)
        if known is not None:
            return known
        spec, calls = self.models[model], self.book.of(name, model)
        try:
            parts = [
                _Part(body, spec.digest(body), Fraction(_amount(spec.bound(body))), spec.tokens(body))
                for body in spec.bodies(query)
            ]
        except Exception as error:
            return _no_request(error, calls)
        self._same_request(name, model, calls, [part.digest for part in parts])
        return await self._ask_parts(name, model, parts)

    def _known(self, name: str, model: str, query: Query) -> _Asked | None:
        """Return what the journal has of a model's answer to a query; None where calls have yet to be made."""
        spec, calls = self.models[model], self.book.of(name, model)
        trouble = next((call.why for call in calls if call and call.reply is None and self._over(call)), None)
        if trouble is None:
            if not calls or not all(call and call.reply is not None for call in calls):
                return None
            if any(call.request is not None for call in calls):
                try:
                    digests = [spec.digest(body) for body in spec.bodies(query)]
                except Exception as error:
                    return _no_request(error, calls)
                self._same_request(name, model, calls, digests)
        self.replayed += len(calls)
        return _Asked(_one_or_all(calls) if trouble is None else None, trouble, _cost(calls))

    async def _ask_parts(self, name: str, model: str, parts: list[_Part]) -> _Asked:
        """Make the calls that are missing, one after the other, with the money for all of them set aside first."""
        calls = self.book.of(name, model) or [None] * len(parts)
        missing = [part for part, call in enumerate(calls) if call is None or call.reply is None]
        self.replayed += len(parts) - len(missing)
        left = sum((parts[part].bound for part in missing), Fraction(0))
        why = None if await self.ledger.reserve(left) else CAP
        for part in missing if why is None else ():
            left -= parts[part].bound
            self.asked += 1
            why = await self._call((name, model, part), parts[part], len(parts))
            if why is not None:
                self.ledger.settle(left, Fraction(0))
                break
        calls = self.book.of(name, model)
        return _Asked(_one_or_all(calls) if why is None else None, why, _cost(calls))

    async def _call(self, key: Key, part: _Part, parts: int) -> str | None:
        """Attempt one call until it is answered or over; return what went wrong, if it did. Its bound is set aside."""
        gate = self._gates[key[1]]
        tries = Tries(self.pace, gate.limits.patience, twice=self.repeat == "lost")
        while True:
            async with gate.place:
                patience = await gate.enter(part.tokens, tries.patience)
                if patience is None:
                    return await self._not_sent(key, part.bound, parts)
                tries.patience = patience
                trouble = await self._shielded(self._attempt(key, part, parts, tries))
            if trouble is None:
                return None
            if tries.over(trouble):
                return trouble.why
            self.retries += 1
            await asyncio.sleep(tries.pause(trouble))
            if trouble.paid and not self.ledger.take(part.bound):
                return f"{trouble.why}; then {CAP}"

    async def _shielded(self, work: Coroutine) -> CallError | None:
        """Wait for an attempt; if the waiting is broken off, the attempt goes on."""
        task = asyncio.ensure_future(work)
        self._on_their_way.add(task)
        task.add_done_callback(self._on_their_way.discard)
        return await asyncio.shield(task)

    async def _not_sent(self, key: Key, bound: Fraction, parts: int) -> str:
        """Give back what was set aside for a call that its model's rest does not let through."""
        try:
            await self._scribe.write(journal.unpaid(key, RESTS, final=True, parts=parts))
        finally:
            self.ledger.settle(bound, Fraction(0))
        return RESTS

    async def _attempt(self, key: Key, part: _Part, parts: int, tries: Tries) -> CallError | None:
        """Write down, send, write down, settle; this is never broken off halfway.

        ===========================================  ======================  =========================
        what came of it                              no longer set aside     spent
        ===========================================  ======================  =========================
        a reply                                      the most it can cost    what it says it cost
        perhaps paid                                 the most it can cost    the most it can cost
        not paid, and there will be another attempt  nothing                 nothing
        not paid, and it was the last                the most it can cost    nothing
        the journal cannot be written                the most it can cost    the most it can cost
        ===========================================  ======================  =========================
        """
        spec, gate, bound = self.models[key[1]], self._gates[key[1]], part.bound
        aside, cost = bound, bound
        try:
            await self._scribe.write(journal.sent(key, float(bound), part.digest, parts))
            start = time.perf_counter()
            try:
                reply = await spec.ask(self._http(spec), part.body, self.pace.timeout)
            except CallError as trouble:
                if trouble.again:
                    gate.failed(trouble.wait)
                else:
                    gate.passed()
                last = tries.over(trouble)
                if trouble.paid:
                    await self._scribe.write(journal.lost(key, float(bound), trouble.why, final=last))
                else:
                    await self._scribe.write(journal.unpaid(key, trouble.why, final=last))
                    aside, cost = bound if last else Fraction(0), Fraction(0)
                return trouble
            gate.passed()
            if part.tokens and (tokens := used(reply)):
                gate.correct(part.tokens, sum(tokens))
            cost = _known(spec, reply, bound)
            await self._scribe.write(journal.replied(key, float(cost), reply, time.perf_counter() - start))
        finally:
            self.ledger.settle(aside, cost)
        if cost > bound:
            warnings.warn(_more_than_the_most(key, float(cost), float(bound)), CostBoundWarning, stacklevel=2)
        return None

    def _http(self, spec: Model) -> object:
        """Return the one client of this run, made when it is first needed."""
        if self._client is None and isinstance(spec, Endpoint):
            httpx = import_httpx()
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
            self._client = httpx.AsyncClient(limits=limits, transport=self.transport)
        return self._client

    def _over(self, call: journal.Call) -> bool:
        """Return whether a call of the journal that has no reply is not to be made again."""
        if call.paid:
            return self.repeat != "lost"
        return call.final and self.repeat == "never"

    def _same_request(self, name: str, model: str, calls: list, digests: list[str | None]) -> None:
        known = [call.request for call in calls if call]
        if calls and (
            len(calls) != len(digests) or any(k not in (None, d) for k, d in zip(known, digests, strict=False))
        ):
            raise ValueError(
                f"the journal has calls of model {model!r} for query {name!r}, but for another request than the one to "
                "be made now. Take a new journal where prompts or texts have changed."
            )


def _cost(calls: list[journal.Call | None]) -> float:
    return float(sum((call.cost for call in calls if call), Fraction(0)))


def _no_request(error: Exception, calls: list[journal.Call | None]) -> _Asked:
    return _Asked(None, f"request: {type(error).__name__}: {error}", _cost(calls))


def _one_or_all(calls: list[journal.Call]) -> object:
    return calls[0].reply if len(calls) == 1 else [call.reply for call in calls]


def _coin(seed: int, name: str) -> int:
    """Return a seed for one query's coin, the same whenever and in whatever order the query is taken up."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8])


def _amount(value: float) -> float:
    return _checks.number("the most that a call can cost", value, low=0, high=1e300, mend="See `cost_bound`.")


def _known(spec: Model, reply: dict, bound: Fraction) -> Fraction:
    """Return what a reply has cost, or the most it can have cost where it does not say so in plain numbers."""
    with contextlib.suppress(Exception):  # whatever a server writes there, the reply is paid and must be kept
        cost = float(spec.paid(reply))
        if math.isfinite(cost) and cost >= 0:
            return Fraction(cost)
    return bound


def _more_than_the_most(key: Key, cost: float, bound: float) -> str:
    query, model, _ = key
    return (
        f"model {model!r} has cost {cost:.6g} on query {query!r}, more than the {bound:.6g} that it was said to cost "
        "at the most: the spend cap may be passed by the difference. Give it a better `cost_bound`."
    )


def _names(policy: Policy, queries: pd.DataFrame, models: Mapping[str, Model]) -> list[str]:
    """Return the names of the queries as the journal has them, once everything fits together."""
    if set(models) != set(policy.schema.models):
        raise ValueError(
            f"models must say how to ask {', '.join(policy.schema.models)}; got "
            f"{', '.join(map(str, models)) or 'none'}."
        )
    names = [str(name) for name in queries.index]
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise ValueError(f"queries has the name {repeated[0]!r} more than once; the index must tell queries apart.")
    missing = [feature for feature in policy.schema.features if feature not in queries.columns]
    if missing:
        raise ValueError(f"queries lacks the columns {', '.join(missing)}, features that the policy knows.")
    return names


def _rows(names: list[str], queries: pd.DataFrame) -> Iterator[tuple[str, dict]]:
    columns = [str(column) for column in queries.columns]
    for name, values in zip(names, queries.itertuples(index=False, name=None), strict=True):
        yield name, dict(zip(columns, values, strict=True))
