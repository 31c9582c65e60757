"""A language model's server that fails on purpose, with a policy and queries to go with it.

It counts what it would bill, and no answer costs it any thought. It speaks enough of HTTP/1.1 and of OpenAI's protocol
for the runner. What it does with the attempt number j on a query is up to `plan`, a function of (model, query, j);
every way of failing has a name in `FAULTS`.
"""

import asyncio
import json
import threading
from collections import Counter

import numpy as np
import pandas as pd

from cascade_lib import Cascade, Policy
from cascade_lib.deploy import Calibration, Schema
from cascade_lib.estimators import Beliefs
from cascade_lib.live.runner import Endpoint

MODELS = ("small", "medium", "large")

FAULTS = {
    "429": "too many requests, ask again at once",
    "500": "server error",
    "503": "unavailable",
    "400": "a request that no repetition mends",
    "moved": "a redirect",
    "drop": "connection closed instead of an answer",
    "cut": "connection closed in the middle of the body",
    "garbage": "a body that is no JSON",
    "list": "JSON, but no object",
    "nan": "what Python takes for JSON, with NaN in it",
    "deep": "JSON that is nested a thousand deep",
    "empty": "JSON without choices and usage",
    "slow": "an answer that comes too late",
}
BILLED = {"ok", "drop", "cut", "garbage", "list", "nan", "deep", "empty", "slow"}
"""What a provider may bill: everything but an error status."""


BODIES = {
    "garbage": b'{"choices": [',
    "list": b"[1]",
    "empty": b"{}",
    "nan": b'{"choices": [{"logprob": NaN}]}',
    "deep": b'{"choices": ' + b"[" * 998 + b"]" * 998 + b"}",
}


def usage(query):
    """Return the tokens of an answer to a query, from 20 to 29 in all."""
    return {"prompt_tokens": 10 + len(query) % 5, "completion_tokens": 10 + sum(map(ord, query)) % 6}


def tokens(query):
    """Return how many tokens an answer to a query is billed at."""
    return sum(usage(query).values())


class DummyServer:
    """Serves on the loopback, in a thread, until the `with` block ends.

    It answers nobody before `together` requests have been there at the same time.
    """

    def __init__(self, plan=lambda model, query, attempt: "ok", *, delay=0.0, too_late=5.0, wait="0", together=1):
        self.together, self._met = together, asyncio.Event()
        self.plan, self.delay, self.too_late, self.wait = plan, delay, too_late, wait
        self.attempts, self.billed, self.did = Counter(), Counter(), Counter()
        self.now = self.most = 0
        self.keys = set()

    def __enter__(self):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._connection, "127.0.0.1", 0, backlog=512), self._loop
        ).result()
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    def __exit__(self, *trouble):
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def charged(self):
        """Return the tokens billed so far."""
        return sum(times * tokens(query) for (_, query), times in self.billed.items())

    async def _stop(self):
        self._server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connection(self, reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
                self.keys.add(fields.get(b"authorization", b"").decode())
                body = json.loads(await reader.readexactly(int(fields[b"content-length"])))
                self.now += 1
                self.most = max(self.most, self.now)
                if self.now >= self.together:
                    self._met.set()
                await asyncio.wait_for(self._met.wait(), 60)
                try:
                    await self._answer(writer, body["model"], body["messages"][-1]["content"])
                finally:
                    self.now -= 1
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, writer, model, query):
        attempt = self.attempts[model, query]
        self.attempts[model, query] += 1
        act = self.plan(model, query, attempt)
        self.did[act] += 1
        if act in BILLED:
            self.billed[model, query] += 1
        await asyncio.sleep(self.too_late if act == "slow" else self.delay)
        if act == "drop":
            raise ConnectionError
        content = {"choices": [{"message": {"content": f"{model} on {query}"}}], "usage": usage(query)}
        status, headers, data = 200, "", json.dumps(content).encode()
        if act.isdigit():
            status, data = int(act), b'{"error": "on purpose"}'
            headers = f"Retry-After: {self.wait}\r\n" if act == "429" else ""
        elif act == "moved":
            status, data, headers = 302, b"", "Location: /elsewhere\r\n"
        elif act in BODIES:
            data = BODIES[act]
        writer.write(f"HTTP/1.1 {status} .\r\n{headers}Content-Length: {len(data)}\r\n\r\n".encode())
        if act == "cut":
            writer.write(data[: len(data) // 2])
            await writer.drain()
            raise ConnectionError
        writer.write(data)
        await writer.drain()


class Fixed:
    """Thinks the same of every query: larger models are better, and an answer is as good as its score."""

    def beliefs(self, evidence, rows):
        mean = np.tile([0.5, 0.7, 0.9], (len(rows), 1))
        ran = evidence.ran
        if "score" in evidence.answer_features:
            score = evidence.answer_features["score"][rows]
            mean = np.where(np.isnan(score), mean, score)
        return Beliefs(
            ran, mean, np.where(ran, 0.0, 0.2) * np.ones_like(mean), np.tile([1.0, 2.0, 4.0], (len(rows), 1))
        )


def policy_of(strategy=None, answer_features=None, lam=0.001, estimator=None):
    schema = Schema(MODELS, (), answer_features or {}, "tokens")
    return Policy(
        strategy or Cascade(), estimator or Fixed(), lam, 1.0, 30.0, schema, Calibration(100, 30, 0.8, 9, 0.4)
    )


def queries_of(n):
    return pd.DataFrame({"text": [f"q{i}" for i in range(n)]}, index=[f"q{i}" for i in range(n)])


def ask(query):
    return {"messages": [{"role": "user", "content": query["text"]}], "max_tokens": 15}


def endpoints(url, names=MODELS, **options):
    return {name: Endpoint(url, ask, price=(1, 1), model=name, **options) for name in names}
