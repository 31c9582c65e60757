"""Rates, patience and rests of a model: pure clockwork first, then against a server that really refuses."""

import asyncio
import threading
import time

import numpy as np
import pytest
from dummy_server import MODELS, DummyServer, ask, endpoints, policy_of, queries_of
from hypothesis import given
from hypothesis import strategies as st

from cascade_lib import Router
from cascade_lib.live import runner
from cascade_lib.live.endpoint import CallError
from cascade_lib.live.ledger import Pace, Tries
from cascade_lib.live.limits import OUTAGE, RESTS, Gate, Limits
from cascade_lib.live.runner import Local

httpx = pytest.importorskip("httpx")
HURRY = {"timeout": 30, "pause": 0.001, "longest_pause": 0.05, "progress": False, "journal": None}


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        self.now += seconds


def gate_of(**options):
    clock = Clock()
    return Gate(Limits(**options), clock=clock, sleep=clock.sleep), clock


def enter(gate, tokens=0.0, patience=0.0):
    return asyncio.run(gate.enter(tokens, patience))


# --- clockwork ------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.floats(0, 9), st.integers(0, 300)), min_size=1, max_size=60),
    st.sampled_from([30, 600]),
    st.sampled_from([600, 10_000]),
)
def test_no_minute_has_more_requests_or_tokens_than_allowed(arrivals, requests, tokens):
    gate, clock = gate_of(requests_per_minute=requests, tokens_per_minute=tokens)
    turns, sizes = [], []
    for pause, size in arrivals:
        clock.now += pause
        turns.append(clock.now + gate.book(size))
        sizes.append(size)
    turns, sizes = np.array(turns), np.array(sizes)
    for start in turns:
        inside = (turns >= start - 1e-9) & (turns < start + 60 - 1e-6)
        assert inside.sum() <= requests
        assert sizes[inside].sum() <= tokens + sizes[inside][-1]  # the last one may be sent as the minute ends


def test_without_limits_nobody_waits():
    gate, clock = gate_of()
    assert [enter(gate, tokens=10**9) for _ in range(3)] == [0.0] * 3
    assert clock.now == 1000


def test_tokens_that_were_not_used_are_given_back():
    gate, _ = gate_of(tokens_per_minute=600)
    assert [gate.book(100), gate.book(0)] == [0, 10]
    gate.correct(booked=100, used=40)
    assert gate.book(0) == pytest.approx(4)


def test_after_failures_in_a_row_a_model_rests_then_one_call_tries():
    gate, clock = gate_of(rest=30)
    for _ in range(OUTAGE):
        assert enter(gate) == 0
        gate.failed(0)
    assert enter(gate) is None
    clock.now += 31
    assert enter(gate) == 0  # this one tries
    assert enter(gate) is None
    gate.failed(0)
    clock.now += 29
    assert enter(gate) is None
    clock.now += 2
    assert enter(gate) == 0
    gate.passed()
    assert enter(gate) == enter(gate) == 0


def test_one_success_between_failures_is_no_outage():
    gate, _ = gate_of(rest=30)
    for _ in range(3):
        for _ in range(OUTAGE - 1):
            gate.failed(0)
        gate.passed()
    assert enter(gate) == 0


def test_who_is_patient_enough_waits_until_the_rest_is_over():
    gate, clock = gate_of(rest=30)
    for _ in range(OUTAGE):
        gate.failed(0)
    assert enter(gate, patience=29) is None
    assert enter(gate, patience=100) == pytest.approx(70)
    assert clock.now == pytest.approx(1030)


def test_if_the_server_says_how_long_to_wait_all_calls_wait():
    gate, clock = gate_of(patience=60)
    gate.failed(wait=20)
    assert enter(gate, patience=60) == pytest.approx(40)
    assert clock.now == pytest.approx(1020)
    hasty, clock = gate_of()
    hasty.failed(wait=20)
    assert enter(hasty) == 0


def test_waiting_out_a_refusal_is_no_failed_attempt_until_patience_ends():
    tries = Tries(Pace(1, 2, 1.0, 10.0), 100.0, twice=False)
    refused, asked = CallError("429", paid=False), CallError("429", paid=False, wait=30)
    pauses = []
    while not tries.over(refused):
        pauses.append(tries.pause(refused))
    assert len(pauses) > 2
    assert tries.patience == 0
    assert sum(pauses[:-2]) == pytest.approx(100)
    assert Tries(Pace(1, 0, 1.0, 10.0), 100.0, twice=False).over(asked) is False
    assert Tries(Pace(1, 9, 1.0, 10.0), 20.0, twice=False).over(asked)
    assert Tries(Pace(1, 9, 1.0, 10.0), 99.0, twice=False).over(CallError("late", paid=True))
    assert Tries(Pace(1, 9, 1.0, 10.0), 99.0, twice=False).over(CallError("400", paid=False, again=False))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"requests_per_minute": 0}, "requests_per_minute must lie between"),
        ({"tokens_per_minute": float("nan")}, "tokens_per_minute must lie between"),
        ({"patience": -1}, "patience must lie between 0"),
        ({"rest": -1}, "rest must lie between 0"),
        ({"concurrency": 0}, "concurrency of Limits must be a whole number of 1 or more, or None; got 0"),
        ({"concurrency": True}, "concurrency of Limits must be"),
    ],
)
def test_limits_that_cannot_work_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Limits(**options)


# --- against a server -----------------------------------------------------------------------------------------------


def limited(rate, burst):
    """Answer so many requests a second to the large model, a few at once, and refuse the others."""
    state = {"left": burst, "at": time.monotonic()}

    def plan(model, query, attempt):
        if model != "large":
            return "ok"
        now = time.monotonic()
        state["left"] = min(burst, state["left"] + (now - state["at"]) * rate)
        state["at"] = now
        if state["left"] < 1:
            return "429"
        state["left"] -= 1
        return "ok"

    return plan


def kept(limits, plan, n, concurrency=32, **options):
    with DummyServer(plan) as server:
        models = endpoints(server.url, limits=limits)
        result = runner.run_sync(policy_of(Router()), queries_of(n), models, concurrency=concurrency, **HURRY | options)
    return [answer.choice for answer in result], result, server


def test_under_a_rate_limit_no_query_loses_its_model_to_a_cheaper_one():
    choice, result, server = kept(Limits(requests_per_minute=6_000, patience=60), limited(150, 5), 150)
    assert choice == ["large"] * 150
    assert set(server.billed.values()) == {1}
    assert result.spent == server.charged


def test_without_limits_some_do():
    choice, _, _ = kept(Limits(), limited(1, 5), 150)
    assert choice.count("medium") > 100


def test_an_outage_is_waited_out():
    with DummyServer() as server:
        server.plan = lambda model, query, attempt: "503" if sum(server.attempts.values()) <= 300 else "ok"
        models = endpoints(server.url, limits=Limits(patience=120))
        result = runner.run_sync(policy_of(Router()), queries_of(40), models, concurrency=16, **HURRY | {"retries": 0})
    assert {answer.choice for answer in result} == {"large"}
    assert result.retries == 300
    assert set(server.billed.values()) == {1}


def test_a_model_that_is_out_of_order_is_left_alone_and_others_answer():
    choice, result, server = kept(
        Limits(rest=3_600), lambda model, query, attempt: "503" if model == "large" else "ok", 100, 4, retries=3
    )
    assert choice == ["medium"] * 100
    assert sum(times for (model, _), times in server.attempts.items() if model == "large") <= OUTAGE + 4
    assert sum(answer.failures["large"] == RESTS for answer in result) >= 90
    assert result.spent == server.charged


def test_what_was_not_asked_stays_so_in_a_finished_journal_and_is_asked_if_wanted(tmp_path):
    down = {"large"}

    def votes(query):
        return [ask({"text": f"{query['text']}/{i}"}) for i in range(2)]

    with DummyServer(lambda model, query, attempt: "503" if model in down else "ok") as server:
        models = endpoints(server.url) | {
            "large": runner.Endpoint(server.url, votes, price=(1, 1), model="large", limits=Limits(rest=3_600))
        }
        options = HURRY | {"journal": tmp_path / "j.jsonl", "concurrency": 1, "retries": 3}
        first = runner.run_sync(policy_of(Router()), queries_of(9), models, **options)
        again = runner.run_sync(policy_of(Router()), queries_of(9), models, **options)
        assert first.to_frame().equals(again.to_frame())
        assert again.asked == 0
        assert {answer.failures["large"] for answer in first} > {RESTS}
        down.clear()
        unpaid = runner.run_sync(policy_of(Router()), queries_of(9), models, **options | {"repeat": "unpaid"})
    assert [answer.choice for answer in unpaid] == ["large"] * 9
    assert unpaid.spent == server.charged


def test_a_model_can_have_a_bound_on_concurrency_of_its_own():
    with DummyServer(together=3) as server:
        models = endpoints(server.url, limits=Limits(concurrency=3))
        runner.run_sync(policy_of(Router()), queries_of(30), models, concurrency=12, **HURRY)
        assert server.most == 3


def test_tokens_per_minute_are_booked_at_their_most_and_corrected_by_what_the_reply_says(monkeypatch):
    booked, corrected = [], []
    monkeypatch.setattr(Gate, "book", lambda self, tokens: booked.append(tokens) or 0.0)
    monkeypatch.setattr(Gate, "correct", lambda self, *tokens: corrected.append(tokens))
    _, result, _ = kept(Limits(tokens_per_minute=10**9), lambda *asked: "ok", 1)
    most = 64 + 16 + len("user") + len("q0") + 15
    assert booked == [most]
    assert corrected == [(most, result.spent)]


# --- functions that hang --------------------------------------------------------------------------------------------


def test_a_function_that_hangs_does_not_hang_the_run():
    release = threading.Event()
    models = {name: Local(lambda query: {}) for name in MODELS}
    models["large"] = Local(lambda query: release.wait(120) and {}, price=2)
    try:
        options = HURRY | {"timeout": 0.1}
        result = runner.run_sync(policy_of(Router()), queries_of(3), models, **options)
        assert not release.is_set()
    finally:
        release.set()
    assert {(answer.choice, answer.failures["large"]) for answer in result} == {("medium", "no answer within 0.1 s")}
    assert (result.spent, result.lost) == (6, 6)


def test_a_function_may_raise_whatever_it_likes():
    def exhausted(query):
        return next(iter(()))

    models = {name: Local(exhausted) for name in MODELS}
    result = runner.run_sync(policy_of(Router()), queries_of(1), models, **HURRY)
    assert result.results[0].failures["large"] == "RuntimeError: StopIteration()"


# --- what is read and what is not -----------------------------------------------------------------------------------


class Endless(httpx.AsyncByteStream):
    """A body without an end."""

    sent = 0

    async def __aiter__(self):
        while True:
            self.sent += 1
            yield b" " * 1_000


@pytest.mark.parametrize(("status", "why"), [(200, "the reply is longer than 5,000 bytes"), (400, "status 400: ")])
def test_of_a_reply_without_an_end_no_more_is_read_than_allowed(status, why):
    bodies = []

    def respond(request):
        bodies.append(Endless())
        return httpx.Response(status, stream=bodies[-1])

    models = endpoints("http://nowhere", largest_reply=5_000)
    transport = httpx.MockTransport(respond)
    result = runner.run_sync(policy_of(Router()), queries_of(1), models, transport=transport, **HURRY)
    assert result.results[0].failures["large"].startswith(why)
    assert max(body.sent for body in bodies) <= 6
    assert (result.lost > 0) == (status == 200)


def test_a_bound_on_replies_must_be_one():
    with pytest.raises(ValueError, match="largest_reply must be 1 byte or more; got 0"):
        endpoints("http://nowhere", largest_reply=0)


def test_a_connection_that_is_slow_to_come_has_cost_nothing():
    async def slow(request):
        await asyncio.sleep(1.2 * request.extensions["timeout"]["connect"])
        raise httpx.ConnectTimeout("still connecting")

    result = runner.run_sync(
        policy_of(Router()), queries_of(1), endpoints("http://nowhere"), transport=httpx.MockTransport(slow),
        **HURRY | {"timeout": 0.5, "retries": 0},
    )  # fmt: skip
    assert set(result.results[0].failures.values()) == {"no connection: ConnectTimeout"}
    assert result.lost == 0
