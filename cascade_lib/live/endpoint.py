"""Models that can be asked: behind an OpenAI-compatible endpoint, or a function of one's own.

A model says what to send for a query, the most that it can cost, how a reply is read and what it has cost. It knows
nothing of journals, budgets and retries; a call that brings no reply raises a `CallError` that says whether it may
have been paid.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import email.utils
import hashlib
import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .limits import NO_LIMITS, Limits

Query = Mapping[str, object]
Body = Mapping[str, object]
Reply = dict
Read = Callable[[Reply | list[Reply]], Mapping[str, object]]

PASSING = {408, 425, 429, 500, 502, 503, 504, 529}
"""HTTP states that another attempt may mend."""

# Tokens that templates and tokenisers may add to a request and to each of its messages, on top of one for each byte.
_EXTRA, _EXTRA_PER_MESSAGE = 64, 16
_EXCERPT = 200
_DAY = 86_400.0
_DEEPEST = 50  # levels of a reply; real ones have fewer than ten, and Python's own JSON gives up before 1,000
_SHORTEST_SECRET = 8  # shorter values of headers are found in any text by chance

_BOUNDED = {
    "model", "messages", "prompt", "max_tokens", "max_completion_tokens", "n", "best_of", "stream",
    "temperature", "top_p", "top_k", "min_p", "stop", "seed", "logprobs", "top_logprobs", "logit_bias", "user",
    "presence_penalty", "frequency_penalty", "repeat_penalty", "cache_prompt", "n_probs",
}  # fmt: skip
"""What a request may have where its cost is bounded from here: nothing else in it can be charged for."""


class CallError(Exception):
    """A call brought no reply.

    Parameters
    ----------
    why : str
        What happened, fit for a journal: without keys.
    paid : bool
        Whether it may have been paid all the same: the request was sent, and nobody can know.
    again : bool
        Whether another attempt may do better.
    wait : float
        Seconds that the server asked to wait before it.
    """

    def __init__(self, why: str, *, paid: bool, again: bool = True, wait: float = 0.0) -> None:
        super().__init__(why)
        self.why, self.paid, self.again, self.wait = why, paid, again, wait


def no_features(reply: Reply | list[Reply]) -> dict[str, object]:
    """Read nothing from a reply: for policies that know no features of answers."""
    return {}


@dataclass(frozen=True)
class Endpoint:
    r"""A model behind any server that speaks OpenAI's protocol.

    Parameters
    ----------
    url : str
        Where the protocol begins, e.g. ``"https://api.openai.com/v1"`` or ``"http://127.0.0.1:8080/v1"``.
    request : callable
        From a query, the row of the data frame as a mapping, to the body of the request. A body with ``messages`` goes
        to ``/chat/completions``, one with ``prompt`` to ``/completions``; it must bound the answer by ``max_tokens``
        or ``max_completion_tokens``. A list of bodies is sent one after the other: a model that votes, say.
    read : callable, optional
        From the reply, a dict, or the list of them, to the features of the answer that the policy knows.
    price : pair of float
        Cost of a token of the prompt and of a token of the answer, each 0 or more.
    model : str, optional
        The model's name on the server.
    key : str, optional
        Sent as bearer token. It is never shown, and nothing that a journal or a result holds contains it: where a
        server repeats it, ``[key]`` stands in its place.
    headers : mapping, optional
        More headers, which are not shown either; in replies, those of at least 8 characters are masked.
    cost_bound : callable, optional
        From a body to the most that it can cost. Default: one token of the prompt for each byte and some for what
        templates add, `max_tokens` of the answer for each choice, at `price`. A tokeniser that works on bytes, as those
        of all common models do, never makes more tokens than that. Needed where a body has more than text, or a key
        that may be charged for (``tools``, ``suffix``, ``prediction``, ``web_search_options``, any unknown one).
    cost : callable, optional
        From a reply to what it has cost. Default: ``usage`` of the reply at `price`.
    limits : Limits
        What the server allows of this model, and how patient to be with it. Default: no limits, no patience.
    largest_reply : int
        Bytes. The rest of a longer reply is not read, and the call counts as perhaps paid.

    Examples
    --------
    >>> small = Endpoint(
    ...     "http://127.0.0.1:8080/v1",
    ...     lambda query: {"prompt": f"{query['text']} It was", "max_tokens": 1},
    ...     price=(1, 4),
    ... )
    >>> body, = small.bodies({"text": "Lovely."})
    >>> body["prompt"], small.bound(body)
    ('Lovely. It was', 82.0)
    >>> small.paid({"usage": {"prompt_tokens": 7, "completion_tokens": 1}})
    11.0
    """

    url: str
    request: Callable[[Query], Body | list[Body]]
    read: Read = no_features
    price: tuple[float, float] = (0.0, 0.0)
    model: str | None = None
    key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    cost_bound: Callable[[Body], float] | None = None
    cost: Callable[[Reply], float] | None = None
    limits: Limits = NO_LIMITS
    largest_reply: int = 10_000_000

    def __post_init__(self) -> None:
        """Refuse what can never work."""
        if isinstance(self.largest_reply, bool) or not self.largest_reply >= 1:
            raise ValueError(f"largest_reply must be 1 byte or more; got {self.largest_reply!r}.")
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(f"url must begin with http:// or https://; got {self.url!r}.")
        price = tuple(map(float, self.price))
        if len(price) != 2 or not all(math.isfinite(p) and p >= 0 for p in price):
            raise ValueError(
                f"price must be two numbers of 0 or more, per token of prompt and answer; got {self.price}."
            )

    def bodies(self, query: Query) -> list[Body]:
        """Return what to send for a query."""
        asked = self.request(query)
        asked = [asked] if isinstance(asked, Mapping) else list(asked)
        if not asked:
            raise ValueError("request returned an empty list: there is nothing to ask")
        if any(body.get("stream") for body in asked):
            raise ValueError("a reply is read as a whole: leave `stream` out of the request")
        return [{"model": self.model, **body} if self.model else dict(body) for body in asked]

    def bound(self, body: Body) -> float:
        """Return the most that a request can cost."""
        if self.cost_bound is not None:
            return float(self.cost_bound(body))
        prompt, answer = _most_tokens(body)
        return float(prompt * self.price[0] + answer * self.price[1])

    def digest(self, body: Body) -> str | None:
        """Return a hash of what is asked."""
        return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]

    def paid(self, reply: Reply) -> float | None:
        """Return what a reply has cost; None if it does not say."""
        if self.cost is not None:
            return self.cost(reply)
        tokens = used(reply)
        return None if tokens is None else float(tokens[0] * self.price[0] + tokens[1] * self.price[1])

    def tokens(self, body: Body) -> float:
        """Return how many tokens to book for a request at the model's rate: the most that it can come to."""
        if math.isinf(self.limits.tokens_per_minute):
            return 0.0
        return float(len(json.dumps(body).encode()) if self.cost_bound else sum(_most_tokens(body)))

    async def ask(self, client: object, body: Body, timeout: float) -> Reply:
        """Send a request by a client of httpx and return the reply.

        Raises
        ------
        CallError
            If there is none, or if it is no JSON object.
        """
        httpx = import_httpx()
        try:
            async with asyncio.timeout(timeout):
                return await self._send(client, body, timeout)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise CallError(f"no connection: {type(error).__name__}", paid=False) from None
        except (TimeoutError, httpx.TimeoutException):
            raise CallError(f"no answer within {timeout:g} s", paid=True) from None
        except httpx.HTTPError as error:
            raise CallError(f"broken off: {type(error).__name__}", paid=True) from None

    async def _send(self, client: object, body: Body, timeout: float) -> Reply:
        """Send a request, read no more of its reply than is allowed, and make sense of it."""
        path = "/chat/completions" if "messages" in body else "/completions"
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        headers |= {"Content-Type": "application/json", **self.headers}
        content = json.dumps(body, allow_nan=False).encode()
        # Connecting gets half the time, so that it is known of slow connections that nothing was sent.
        limits = import_httpx().Timeout(timeout, connect=timeout / 2)
        url = self.url.rstrip("/") + path
        async with client.stream("POST", url, content=content, headers=headers, timeout=limits) as response:
            if not response.is_success:
                raise await self._refused(response)
            content, whole = await _read(response, self.largest_reply)
        if not whole:
            raise CallError(f"the reply is longer than {self.largest_reply:,} bytes", paid=True)
        return _reply(content, self._without_key)

    async def _refused(self, response: object) -> CallError:
        """Return what an error status means. It costs nothing, even if its text is broken off."""
        text = b""
        with contextlib.suppress(import_httpx().HTTPError):
            text, _ = await _read(response, 10 * _EXCERPT)
        return CallError(
            f"status {response.status_code}: {self._shown(text.decode(errors='replace'))[:_EXCERPT]}",
            paid=False,
            again=response.status_code in PASSING,
            wait=retry_after(response.headers.get("Retry-After"), response.headers.get("Date")),
        )

    def _secrets(self) -> list[str]:
        """Return what must not be written down; of a header such as ``Bearer abc`` also what follows the blank."""
        values = [*self.headers.values(), *(value.split()[-1] for value in self.headers.values() if value.strip())]
        return sorted({self.key, *values} - {None, ""}, key=len, reverse=True)

    def _shown(self, text: str) -> str:
        """Return an error's text without any value of a header."""
        for secret in self._secrets():
            text = text.replace(secret, "[key]")
        return text

    def _without_key(self, text: str) -> str:
        """Return a reply's text without the key, and without values of headers that it cannot have by chance."""
        for secret in self._secrets():
            if secret == self.key or len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, "[key]")
        return text


@dataclass(frozen=True)
class Local:
    """A model that is a function here: rules, a classifier, a cache. It runs in a thread.

    A thread cannot be stopped from outside: if the function takes longer than the run's `timeout`, the run goes on
    without it, and the function goes on by itself until it returns or the process ends.

    Parameters
    ----------
    function : callable
        From a query to a reply, a dict that JSON can hold.
    read : callable, optional
        From the reply to the features of the answer. Default: the reply itself.
    price : float
        What each call costs.
    limits : Limits
        How often and how many at a time it may be called. Default: no limits.

    Examples
    --------
    >>> rules = Local(lambda query: {"says": "good" if "love" in query["text"].lower() else "bad"})
    >>> rules.function({"text": "Lovely."})
    {'says': 'good'}
    """

    function: Callable[[Query], Reply]
    read: Read = dict
    price: float = 0.0
    limits: Limits = NO_LIMITS

    def bodies(self, query: Query) -> list[Body]:
        """Return the query: there is nothing to send."""
        return [query]

    def bound(self, body: Body) -> float:
        """Return what a call costs."""
        return float(self.price)

    def digest(self, body: Body) -> str | None:
        """Return None: what a function does may have changed in ways that nobody sees."""
        return None

    def paid(self, reply: Reply) -> float | None:
        """Return what a call costs."""
        return float(self.price)

    def tokens(self, body: Body) -> float:
        """Return 0: a function has no tokens."""
        return 0.0

    async def ask(self, client: object, body: Body, timeout: float) -> Reply:
        """Call the function.

        Raises
        ------
        CallError
            If it raises anything, takes longer than `timeout` seconds, or does not return a dict for JSON.
        """
        called = _in_daemon(lambda: dict(self.function(body)))
        done, _ = await asyncio.wait([called], timeout=timeout)
        if not done:
            called.cancel()
            raise CallError(f"no answer within {timeout:g} s", paid=self.price > 0, again=False)
        try:
            return _plain(json.loads(json.dumps(called.result(), allow_nan=False)), str)
        except Exception as error:
            raise CallError(f"{type(error).__name__}: {error}", paid=self.price > 0, again=False) from error


def _in_daemon(work: Callable[[], object]) -> asyncio.Future:
    """Start work in a thread that nobody has to wait for; return the future of its result."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()

    def tell(setter: Callable, value: object) -> None:
        if not future.done():
            setter(value)

    def run() -> None:
        try:
            outcome = future.set_result, work()
        except BaseException as error:
            # A future cannot hold StopIteration, which would end whoever waits for it.
            wrapped = RuntimeError(repr(error)) if isinstance(error, StopIteration) else error
            outcome = future.set_exception, wrapped
        with contextlib.suppress(RuntimeError):  # the run, and with it the loop, may be over
            loop.call_soon_threadsafe(tell, *outcome)

    threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=True, name="model").start()
    return future


Model = Endpoint | Local


def used(reply: Reply) -> tuple[float, float] | None:
    """Return the tokens of prompt and answer that a reply reports, as numbers or as strings; None if it does not.

    Examples
    --------
    >>> used({"usage": {"prompt_tokens": "7", "completion_tokens": 1}}), used({"usage": None})
    ((7.0, 1.0), None)
    """
    try:
        tokens = tuple(float(reply["usage"][name]) for name in ("prompt_tokens", "completion_tokens"))
    except (KeyError, TypeError, ValueError):
        return None
    return tokens if all(0 <= count < math.inf for count in tokens) else None


def retry_after(header: str | None, date: str | None = None) -> float:
    """Return the seconds that a header `Retry-After` asks for, in either of its two forms.

    Parameters
    ----------
    header : str or None
        Seconds or a date.
    date : str or None
        The header `Date` of the same reply, from which a date is counted: either clock may be wrong. Default: now.

    Returns
    -------
    float
        0 if the header cannot be read, is negative, or asks for more than a day: then the usual pauses apply.

    Examples
    --------
    >>> retry_after("1.5"), retry_after("soon"), retry_after("Fri, 01 Jan 2021 00:00:00 GMT")
    (1.5, 0.0, 0.0)
    >>> retry_after("Fri, 01 Jan 2021 00:00:09 GMT", "Fri, 01 Jan 2021 00:00:02 GMT")
    7.0
    """
    try:
        seconds = float(header)
    except (TypeError, ValueError):
        until, now = _moment(header), _moment(date) or time.time()
        seconds = 0.0 if until is None else until - now
    return seconds if 0 <= seconds <= _DAY else 0.0


def _moment(date: str | None) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def text_of(reply: Reply | list[Reply]) -> str | None:
    """Return the text of a reply in OpenAI's form, or what a function's reply calls its text; None if there is none.

    Examples
    --------
    >>> text_of({"choices": [{"message": {"content": "four"}}]}), text_of({"choices": []})
    ('four', None)
    """
    if not isinstance(reply, dict):
        return None
    try:
        choice = reply["choices"][0]
        text = choice["message"]["content"] if "message" in choice else choice["text"]
    except (KeyError, IndexError, TypeError):
        text = reply.get("text")
    return text if isinstance(text, str) else None


def import_httpx():
    """Return httpx, which nothing else in the library needs."""
    try:
        import httpx
    except ImportError:
        raise ImportError("asking an endpoint needs httpx: pip install cascade_lib[live], or httpx alone.") from None
    return httpx


async def _read(response: object, most: int) -> tuple[bytes, bool]:
    """Return the body of a reply up to so many bytes, and whether that is all of it."""
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > most:
            return bytes(content[:most]), False
    return bytes(content), True


def _reply(content: bytes, mask: Callable[[str], str]) -> Reply:
    try:
        reply = _plain(json.loads(content), mask)
    except (ValueError, RecursionError) as error:
        raise CallError(f"broken JSON: {type(error).__name__}", paid=True) from None
    if not isinstance(reply, dict):
        raise CallError("the reply is no JSON object", paid=True)
    return reply


def _plain(value: object, mask: Callable[[str], str], depth: int = 0) -> object:
    """Return a parsed reply with its texts masked; refuse what a journal could not hold: NaN, infinity, deep nests."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("JSON has no NaN and no infinity")
    if depth > _DEEPEST:
        raise ValueError(f"nested more than {_DEEPEST} deep")
    if isinstance(value, dict):
        return {mask(key): _plain(entry, mask, depth + 1) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry, mask, depth + 1) for entry in value]
    return value


def _most_tokens(body: Body) -> tuple[int, int]:
    """Return the most tokens that the prompt and the answer of a body can have."""
    unknown = sorted(body.keys() - _BOUNDED)
    limits = [body[name] for name in ("max_tokens", "max_completion_tokens") if name in body]
    if not limits or not all(_whole(limit, 0) for limit in limits):
        raise ValueError("a request must say max_tokens, or nobody knows the most that it costs; or give `cost_bound`")
    if "messages" in body:
        texts = [entry for message in body["messages"] for entry in message.values()]
        extra, prompts = _EXTRA + _EXTRA_PER_MESSAGE * len(body["messages"]), 1
    else:
        texts = [body["prompt"]] if isinstance(body["prompt"], str) else list(body["prompt"])
        prompts = len(texts)
        extra = _EXTRA * prompts
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("the tokens of a request that is more than text cannot be bounded here: give `cost_bound`")
    if unknown:
        raise ValueError(f"{', '.join(unknown)} may be charged for, and nobody here knows how much: give `cost_bound`")
    choices = [body.get(name, 1) for name in ("n", "best_of")]
    if not all(_whole(count, 1) for count in choices):
        raise ValueError("n and best_of must be whole numbers of 1 or more")
    return sum(len(text.encode()) for text in texts) + extra, max(limits) * max(choices) * prompts


def _whole(value: object, low: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= low
