"""Models that can be asked: behind an OpenAI-compatible endpoint, or a function of one's own.

A model says what to send for a query, the most that it can cost, how a reply is read and what it has cost. It knows
nothing of journals, budgets and retries; a call that brings no reply raises a `CallError` that says whether it may
have been paid.
"""

from __future__ import annotations

import asyncio
import email.utils
import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Query = Mapping[str, object]
Body = Mapping[str, object]
Reply = dict
Read = Callable[[Reply | list[Reply]], Mapping[str, object]]

PASSING = {408, 425, 429, 500, 502, 503, 504, 529}
"""HTTP states that another attempt may mend."""

# Tokens that templates and tokenisers may add to a request and to each of its messages, on top of one for each byte.
_EXTRA, _EXTRA_PER_MESSAGE = 64, 16
_EXCERPT = 200


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
        Sent as bearer token. It is never shown, and nothing that a journal holds contains it.
    headers : mapping, optional
        More headers, which are not shown either.
    worst : callable, optional
        From a body to the most that it can cost. Default: one token of the prompt for each byte and some for what
        templates add, `max_tokens` of the answer for each choice, at `price`. A tokeniser that works on bytes, as those
        of all common models do, never makes more tokens than that. Needed where a body has more than text.
    cost : callable, optional
        From a reply to what it has cost. Default: ``usage`` of the reply at `price`.

    Examples
    --------
    >>> small = Endpoint(
    ...     "http://127.0.0.1:8080/v1",
    ...     lambda query: {"prompt": f"{query['text']} It was", "max_tokens": 1},
    ...     price=(1, 4),
    ... )
    >>> body, = small.bodies({"text": "Lovely."})
    >>> body["prompt"], small.most(body)
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
    worst: Callable[[Body], float] | None = None
    cost: Callable[[Reply], float] | None = None

    def __post_init__(self) -> None:
        """Refuse what can never work."""
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
        return [{"model": self.model, **body} if self.model else dict(body) for body in asked]

    def most(self, body: Body) -> float:
        """Return the most that a request can cost."""
        if self.worst is not None:
            return float(self.worst(body))
        prompt, answer = _most_tokens(body)
        return float(prompt * self.price[0] + answer * self.price[1])

    def digest(self, body: Body) -> str | None:
        """Return a hash of what is asked."""
        return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]

    def paid(self, reply: Reply) -> float | None:
        """Return what a reply has cost; None if it does not say."""
        if self.cost is not None:
            return self.cost(reply)
        try:
            usage = reply["usage"]
            return float(usage["prompt_tokens"] * self.price[0] + usage["completion_tokens"] * self.price[1])
        except (KeyError, TypeError):
            return None

    async def ask(self, client: object, body: Body, timeout: float) -> Reply:
        """Send a request by a client of httpx and return the reply.

        Raises
        ------
        CallError
            If there is none, or if it is no JSON object.
        """
        httpx = import_httpx()
        path = "/chat/completions" if "messages" in body else "/completions"
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        headers |= {"Content-Type": "application/json", **self.headers}
        content = json.dumps(body, allow_nan=False).encode()
        # Connecting gets half the time, so that it is known of slow connections that nothing was sent.
        limits = httpx.Timeout(timeout, connect=timeout / 2)
        try:
            async with asyncio.timeout(timeout):
                response = await client.post(
                    self.url.rstrip("/") + path, content=content, headers=headers, timeout=limits
                )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise CallError(f"no connection: {type(error).__name__}", paid=False) from None
        except (TimeoutError, httpx.TimeoutException):
            raise CallError(f"no answer within {timeout:g} s", paid=True) from None
        except httpx.HTTPError as error:
            raise CallError(f"broken off: {type(error).__name__}", paid=True) from None
        if response.is_success:
            return _reply(response.content)
        raise CallError(
            f"status {response.status_code}: {self._without_key(response.text)[:_EXCERPT]}",
            paid=False,
            again=response.status_code in PASSING,
            wait=retry_after(response.headers.get("Retry-After")),
        )

    def _without_key(self, text: str) -> str:
        for secret in filter(None, [self.key, *self.headers.values()]):
            text = text.replace(secret, "[key]")
        return text


@dataclass(frozen=True)
class Local:
    """A model that is a function here: rules, a classifier, a cache. It runs in a thread.

    Parameters
    ----------
    function : callable
        From a query to a reply, a dict that JSON can hold.
    read : callable, optional
        From the reply to the features of the answer. Default: the reply itself.
    price : float
        What each call costs.

    Examples
    --------
    >>> rules = Local(lambda query: {"says": "good" if "love" in query["text"].lower() else "bad"})
    >>> rules.function({"text": "Lovely."})
    {'says': 'good'}
    """

    function: Callable[[Query], Reply]
    read: Read = dict
    price: float = 0.0

    def bodies(self, query: Query) -> list[Body]:
        """Return the query: there is nothing to send."""
        return [query]

    def most(self, body: Body) -> float:
        """Return what a call costs."""
        return float(self.price)

    def digest(self, body: Body) -> str | None:
        """Return None: what a function does may have changed in ways that nobody sees."""
        return None

    def paid(self, reply: Reply) -> float | None:
        """Return what a call costs."""
        return float(self.price)

    async def ask(self, client: object, body: Body, timeout: float) -> Reply:
        """Call the function.

        Raises
        ------
        CallError
            If it raises anything, or does not return a dict for JSON.
        """
        try:
            reply = await asyncio.to_thread(self.function, body)
            return json.loads(json.dumps(dict(reply), allow_nan=False))
        except Exception as error:
            raise CallError(f"{type(error).__name__}: {error}", paid=self.price > 0, again=False) from error


Model = Endpoint | Local


def retry_after(header: str | None) -> float:
    """Return the seconds that a header `Retry-After` asks for, in either of its two forms; 0 if it cannot be read.

    Examples
    --------
    >>> retry_after("1.5"), retry_after("soon"), retry_after("Fri, 01 Jan 2021 00:00:00 GMT")
    (1.5, 0.0, 0.0)
    """
    try:
        seconds = float(header)
    except (TypeError, ValueError):
        try:
            seconds = email.utils.parsedate_to_datetime(header).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            return 0.0
    return max(seconds, 0.0) if math.isfinite(seconds) else 0.0


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


def _reply(content: bytes) -> Reply:
    try:
        reply = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CallError(f"broken JSON: {type(error).__name__}", paid=True) from None
    if not isinstance(reply, dict):
        raise CallError("the reply is no JSON object", paid=True)
    return reply


def _most_tokens(body: Body) -> tuple[int, int]:
    """Return the most tokens that the prompt and the answer of a body can have."""
    limit = body.get("max_tokens", body.get("max_completion_tokens"))
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise ValueError("a request must say max_tokens, or nobody knows the most that it can cost; or give `worst`")
    if "messages" in body:
        texts = [entry for message in body["messages"] for entry in message.values()]
        extra, prompts = _EXTRA + _EXTRA_PER_MESSAGE * len(body["messages"]), 1
    else:
        texts = [body["prompt"]] if isinstance(body["prompt"], str) else list(body["prompt"])
        prompts = len(texts)
        extra = _EXTRA * prompts
    if not all(isinstance(text, str) for text in texts) or body.keys() & {"tools", "functions", "response_format"}:
        raise ValueError("the tokens of a request that is more than text cannot be bounded from here: give `worst`")
    choices = max(int(body.get("n", 1)), int(body.get("best_of", 1)))
    return sum(len(text.encode()) for text in texts) + extra, limit * choices * prompts
