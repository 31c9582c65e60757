"""Live runs: every query ends with a choice or with reasons, the cap holds, no call is paid twice, nothing is lost."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from dummy_server import FAULTS, MODELS, DummyServer, Fixed, ask, endpoints, policy_of, queries_of, tokens
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cascade_lib import Policy, Router
from cascade_lib.deploy import Schema
from cascade_lib.estimators import Beliefs
from cascade_lib.live import runner
from cascade_lib.live.endpoint import retry_after
from cascade_lib.live.journal import Journal
from cascade_lib.live.runner import CostBoundWarning, Endpoint, Local

httpx = pytest.importorskip("httpx")
HURRY = {"timeout": 30, "pause": 0.001, "longest_pause": 0.01, "progress": False}


def run(policy, n, models, journal=None, **options):
    return runner.run_sync(policy, queries_of(n), models, journal=journal, **{**HURRY, **options})


def same(first, second):
    """Whether two runs ended alike, query for query."""
    return first.to_frame().equals(second.to_frame()) and first.spent == second.spent


# --- without faults -------------------------------------------------------------------------------------------------


def test_every_query_is_asked_what_its_session_asks_and_every_token_is_counted(tmp_path):
    with DummyServer() as server:
        result = run(policy_of(), 50, endpoints(server.url), tmp_path / "j.jsonl")
    frame = result.to_frame()
    assert (frame["choice"] == "large").all()
    assert (frame["text"] == [f"large on {name}" for name in frame.index]).all()
    assert (frame["order"] == "small → medium → large").all()
    assert (frame["cost"] == [3 * tokens(name) for name in frame.index]).all()
    assert result.spent == frame["cost"].sum() == server.charged
    assert (result.asked, result.replayed, result.retries, result.lost) == (150, 0, 0, 0)
    assert set(server.billed.values()) == {1}


def test_answers_are_read_into_the_features_that_the_policy_decides_by():
    read = lambda reply: {"score": 0.95 if reply["choices"][0]["message"]["content"].endswith("0") else 0.1}  # noqa: E731
    with DummyServer() as server:
        models = endpoints(server.url, read=read)
        result = run(policy_of(answer_features={"score": True}, lam=0.05), 20, models)
    assert [answer.order for answer in result][:2] == [("small",), MODELS]
    assert result.results[1].features == {name: {"score": 0.1} for name in MODELS}


def test_a_finished_journal_answers_everything_without_a_call(tmp_path):
    journal = tmp_path / "j.jsonl"
    with DummyServer() as server:
        first = run(policy_of(), 30, endpoints(server.url), journal)
        calls = sum(server.attempts.values())
        again = run(policy_of(), 30, endpoints(server.url), journal)
        assert sum(server.attempts.values()) == calls
    assert same(first, again)
    assert (again.asked, again.replayed) == (0, 90)


def test_another_policy_uses_what_is_there_and_pays_for_the_rest_only(tmp_path):
    journal = tmp_path / "j.jsonl"
    with DummyServer() as server:
        run(policy_of(Router()), 30, endpoints(server.url), journal)
        assert set(server.billed) == {("large", f"q{i}") for i in range(30)}
        result = run(policy_of(), 40, endpoints(server.url), journal)
        assert set(server.billed.values()) == {1}
        assert result.spent == server.charged
    assert (result.asked, result.replayed) == (90, 30)


def test_a_changed_prompt_is_not_answered_from_an_old_journal(tmp_path):
    with DummyServer() as server:
        run(policy_of(), 3, endpoints(server.url), tmp_path / "j.jsonl")
        models = {name: Endpoint(server.url, lambda q: ask(q) | {"max_tokens": 9}, model=name) for name in MODELS}
        with pytest.raises(ValueError, match="calls of model 'small' for query 'q0', but for another request"):
            run(policy_of(), 3, models, tmp_path / "j.jsonl")


def test_a_model_that_votes_is_one_model_of_several_calls(tmp_path):
    votes = lambda query: [ask({"text": f"{query['text']}/{i}"}) for i in range(3)]  # noqa: E731
    seen = []
    fail = {"q1/2"}
    with DummyServer(lambda model, query, attempt: "400" if query in fail else "ok") as server:
        models = endpoints(server.url, MODELS[:2]) | {
            "large": Endpoint(server.url, votes, lambda replies: seen.append(len(replies)) or {}, (1, 1), "large")
        }
        result = run(policy_of(Router()), 2, models, tmp_path / "j.jsonl", concurrency=1)
        assert seen == [3]
        assert result.results[0].cost == sum(tokens(f"q0/{i}") for i in range(3))
        assert result.results[1].order == ("large", "medium")
        assert result.results[1].costs["large"] == sum(tokens(f"q1/{i}") for i in range(2))
        fail.clear()
        again = run(policy_of(Router()), 2, models, tmp_path / "j.jsonl", repeat="unpaid")
        assert [answer.order for answer in again] == [("large",)] * 2
        assert {times for (model, _), times in server.billed.items() if model == "large"} == {1}
        assert again.spent == server.charged


def test_functions_are_models_too(tmp_path):
    ran = []
    models = {
        "small": Local(lambda query: ran.append(query["text"]) or {"score": 0.1, "text": "rules"}, lambda r: {}),
        "medium": Local(lambda query: 1 / 0),
        "large": Local(lambda query: {"text": "bought"}, lambda r: {}, price=2.5),
    }
    result = run(policy_of(), 4, models, tmp_path / "j.jsonl")
    assert result.to_frame()["text"].tolist() == ["bought"] * 4
    assert result.results[0].failures == {"medium": "ZeroDivisionError: division by zero"}
    assert (result.spent, len(ran)) == (10.0, 4)
    assert same(result, run(policy_of(), 4, models, tmp_path / "j.jsonl"))
    assert len(ran) == 4


def test_no_estimate_is_made_where_the_replies_come_in(monkeypatch):
    """An estimate takes time, in which the event loop would take answers for late."""
    policy, loops, beliefs = policy_of(), [], Fixed.beliefs

    def watched(self, *args):
        loops.append(asyncio._get_running_loop())
        return beliefs(self, *args)

    monkeypatch.setattr(Fixed, "beliefs", watched)
    with DummyServer() as server:
        run(policy, 3, endpoints(server.url))
    assert loops
    assert set(loops) == {None}


def test_it_runs_where_an_event_loop_runs_already():
    async def notebook():
        models = {name: Local(lambda query: {}) for name in MODELS}
        return run(policy_of(), 2, models), await runner.run(policy_of(), queries_of(2), models, journal=None)

    first, second = asyncio.run(notebook())
    assert same(first, second)


def test_coins_depend_on_the_name_of_the_query_and_the_seed_only():
    class Tied(Fixed):
        def beliefs(self, evidence, rows):
            return Beliefs(evidence.ran, np.array([[0.25, 0.5, 0.75]]), np.zeros((1, 3)), np.array([[1.0, 2.0, 3.0]]))

    policy = Policy(**(vars(policy_of(Router(), lam=0.25, estimator=Tied())) | {"gamma": 0.5}))
    models = {name: Local(lambda query: {}) for name in MODELS}
    table = queries_of(60)
    choice = [answer.choice for answer in runner.run_sync(policy, table, models, journal=None, concurrency=1)]
    back = runner.run_sync(policy, table.iloc[::-1], models, journal=None, concurrency=16)
    assert [answer.choice for answer in back] == choice[::-1]
    assert 15 < choice.count("small") < 45
    assert [a.choice for a in runner.run_sync(policy, table, models, journal=None, seed=1)] != choice


# --- faults ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["429", "500", "503"])
def test_passing_failures_are_tried_again_at_no_cost(fault):
    with DummyServer(lambda model, query, attempt: fault if attempt < 2 else "ok") as server:
        result = run(policy_of(Router()), 5, endpoints(server.url), retries=2)
    assert all(answer.choice == "large" for answer in result)
    assert (result.asked, result.retries, result.spent) == (5, 10, server.charged)


def test_a_server_is_given_the_time_it_asks_for():
    with DummyServer(lambda model, query, attempt: "ok" if attempt else "429", wait="0.2") as server:
        start = time.perf_counter()
        result = run(policy_of(Router()), 1, endpoints(server.url), longest_pause=1)
        assert time.perf_counter() - start > 0.2
    assert result.results[0].choice == "large"


def test_a_server_that_asks_for_too_long_has_failed():
    with DummyServer(lambda model, query, attempt: "429" if model == "large" else "ok", wait="3600") as server:
        result = run(policy_of(Router()), 1, endpoints(server.url))
    assert result.results[0].choice == "medium"
    assert result.results[0].failures["large"].startswith("status 429")
    assert server.attempts["large", "q0"] == 1


def test_retry_after_may_be_a_date():
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 100))
    assert 97 < retry_after(date) <= 100
    assert retry_after(None) == retry_after("-3") == retry_after("nan") == retry_after("inf") == 0
    assert retry_after("1e7") == 0  # more than a day is no answer to "when again?"


def test_a_date_to_wait_for_is_counted_from_the_servers_own_clock():
    def respond(request):
        if len(asked.append(request) or asked) > 1:
            return httpx.Response(200, json={"choices": [], "usage": {}})
        wrong = {"Date": "Fri, 01 Jan 2100 00:00:00 GMT", "Retry-After": "Fri, 01 Jan 2100 00:00:00 GMT"}
        return httpx.Response(429, headers=wrong)

    asked = []
    result = run(policy_of(Router()), 1, endpoints("http://nowhere"), transport=httpx.MockTransport(respond))
    assert (result.results[0].choice, len(asked)) == ("large", 2)


def test_a_refused_connection_costs_nothing_and_others_take_over():
    with DummyServer() as server, DummyServer() as closed:
        pass
    with DummyServer() as server:
        models = endpoints(server.url, MODELS[:2]) | endpoints(closed.url, MODELS[2:])
        result = run(policy_of(Router()), 4, models, retries=1)
        nobody = run(policy_of(Router()), 4, endpoints(closed.url), retries=1)
    assert all(answer.choice == "medium" for answer in result)
    assert {answer.failures["large"] for answer in result} == {"no connection: ConnectError"}
    assert (result.retries, result.spent) == (4, server.charged)
    assert all(answer.choice is None and set(answer.failures) == set(MODELS) for answer in nobody)
    assert nobody.spent == 0
    assert "4 without an answer" in repr(nobody)
    assert "4 × large: no connection: ConnectError" in repr(nobody)


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("slow", "no answer within 1 s"),
        ("drop", "broken off: RemoteProtocolError"),
        ("cut", "broken off: RemoteProtocolError"),
        ("garbage", "broken JSON: JSONDecodeError"),
        ("nan", "broken JSON: ValueError"),
        ("deep", "broken JSON: (ValueError|RecursionError)"),
        ("list", "the reply is no JSON object"),
    ],
)
def test_what_may_have_been_paid_is_counted_at_its_most_and_not_asked_again(fault, why, tmp_path):
    plan = lambda model, query, attempt: fault if model == "large" else "ok"  # noqa: E731
    with DummyServer(plan) as server:
        models = endpoints(server.url)
        result = run(policy_of(Router()), 3, models, tmp_path / "j.jsonl", timeout=1)
        most = models["large"].bound(models["large"].bodies({"text": "q0"})[0])
        assert all(re.fullmatch(why, answer.failures["large"]) for answer in result)
        assert all(answer.choice == "medium" and answer.costs["large"] == most for answer in result)
        assert (result.lost, result.spent) == (3 * most, sum(answer.cost for answer in result))
        assert server.charged <= result.spent
        again = run(policy_of(Router()), 3, models, tmp_path / "j.jsonl", repeat="unpaid")
        assert same(result, again)
        assert set(server.billed.values()) == {1}
        server.plan = lambda model, query, attempt: "ok"
        paid = run(policy_of(Router()), 3, models, tmp_path / "j.jsonl", repeat="lost")
        assert [answer.choice for answer in paid] == ["large"] * 3
        assert server.charged <= paid.spent
        assert paid.lost == 0


def test_an_unreadable_reply_costs_what_it_says_and_a_better_reader_gets_it_for_nothing(tmp_path):
    with DummyServer(lambda model, query, attempt: "empty" if model == "large" else "ok") as server:
        models = endpoints(server.url)
        models["large"] = Endpoint(server.url, ask, lambda reply: reply["choices"][0] and {}, (1, 1), "large")
        result = run(policy_of(Router()), 2, models, tmp_path / "j.jsonl")
        assert result.results[0].failures == {"large": "unreadable reply: KeyError: 'choices'"}
        most = models["large"].bound(models["large"].bodies({"text": "q0"})[0])
        assert result.results[0].costs["large"] == most  # a reply without usage has cost the most it can
        models["large"] = Endpoint(server.url, ask, lambda reply: {}, (1, 1), "large")
        again = run(policy_of(Router()), 2, models, tmp_path / "j.jsonl")
    assert all(answer.choice == "large" for answer in again)
    assert (again.asked, server.attempts["large", "q0"]) == (0, 1)


def test_features_that_the_policy_does_not_know_stop_the_run_before_more_is_spent(tmp_path):
    with DummyServer() as server:
        models = endpoints(server.url, read=lambda reply: {"mood": 1.0})
        with pytest.raises(ValueError, match="read of model 'small' gives mood, but the policy knows no features"):
            run(policy_of(), 50, models, tmp_path / "j.jsonl", concurrency=2)
        assert sum(server.attempts.values()) <= 4
        result = run(policy_of(), 50, endpoints(server.url), tmp_path / "j.jsonl")
        assert set(server.billed.values()) == {1}
    assert result.spent == server.charged


def test_a_query_that_cannot_be_put_into_a_request_fails_alone():
    table = queries_of(3)
    table.loc["q1", "text"] = None
    with DummyServer() as server:
        result = runner.run_sync(policy_of(Router()), table, endpoints(server.url), journal=None, **HURRY)
    assert [answer.choice for answer in result] == ["large", None, "large"]
    assert result.results[1].failures["large"].startswith("request: ValueError: the tokens of a request")


def test_a_redirect_and_a_bad_request_are_final():
    for fault in ("moved", "400"):
        with DummyServer(lambda model, query, attempt, fault=fault: fault) as server:
            result = run(policy_of(Router()), 1, endpoints(server.url))
        assert result.results[0].choice is None
        assert (set(server.attempts.values()), result.spent) == ({1}, 0)


@given(
    seed=st.integers(0, 10**6),
    share=st.sampled_from([0.1, 0.5, 1.0]),
    cap=st.sampled_from([np.inf, 3000.0, 700.0, 99.0, 0.0]),
    concurrency=st.sampled_from([1, 3, 16]),
    repeat=st.sampled_from(["never", "unpaid"]),
)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_faults(seed, share, cap, concurrency, repeat, tmp_path):
    """Each query ends with a choice or reasons, spend stays below the cap, and no call is paid twice."""
    journal = tmp_path / f"{time.monotonic_ns()}.jsonl"
    plan = _random_plan(seed, share)
    with DummyServer(plan, too_late=0.6) as server:
        models = endpoints(server.url)
        options = {"timeout": 0.2, "concurrency": concurrency, "spend_cap": cap, "retries": 2}
        first = run(policy_of(), 12, models, journal, **options)
        after = server.charged
        second = run(policy_of(), 12, models, journal, repeat=repeat, **options)
    for result in (first, second):
        for answer in result:
            assert (answer.choice is None) == (set(answer.failures) == set(MODELS))
            assert answer.choice is None or answer.choice not in answer.failures
            assert all(answer.failures.values())
            assert answer.cost == sum(answer.costs.values())
        assert result.spent <= cap
    assert after <= first.spent
    assert server.charged <= second.spent
    assert set(server.billed.values()) <= {1}
    if repeat == "never" and cap == np.inf:
        assert same(first, second)
        assert second.asked == 0


def _random_plan(seed, share):
    def plan(model, query, attempt):
        rng = np.random.default_rng([seed, MODELS.index(model), int(query[1:]), attempt])
        return rng.choice(list(FAULTS)) if rng.random() < share else "ok"

    return plan


# --- the cap and the bound on concurrency ---------------------------------------------------------------------------


@pytest.mark.parametrize("cap", [100, 500, 1234.5])
def test_the_cap_is_never_passed_with_16_calls_at_a_time_and_what_fits_is_bought(cap, tmp_path):
    with DummyServer(delay=0.002) as server:
        models = endpoints(server.url)
        result = run(policy_of(Router()), 200, models, tmp_path / "j.jsonl", spend_cap=cap, concurrency=16)
        most = models["large"].bound(models["large"].bodies({"text": "q100"})[0])
        assert server.charged == result.spent <= cap
        assert cap - result.spent < most
        capped = [answer for answer in result if answer.choice is None]
        assert all(set(answer.failures.values()) == {"spend cap"} for answer in capped)
        assert capped
        more = run(policy_of(Router()), 200, models, tmp_path / "j.jsonl", spend_cap=1e6, concurrency=16)
        assert all(answer.choice == "large" for answer in more)
        assert set(server.billed.values()) == {1}


def test_under_a_tight_cap_cheaper_models_are_asked():
    models = {
        "small": Local(lambda query: {}), "medium": Local(lambda query: {}, price=1),
        "large": Local(lambda query: {}, price=3),
    }  # fmt: skip
    result = run(policy_of(Router()), 6, models, spend_cap=8, concurrency=1)
    assert [answer.choice for answer in result] == ["large", "large", "medium", "medium", "small", "small"]
    assert result.spent == 8


def test_cents_add_up_exactly():
    models = {name: Local(lambda query: {}, price=0.1) for name in MODELS}
    result = run(policy_of(Router()), 30, models, spend_cap=1.0, concurrency=4)
    assert sum(answer.choice is not None for answer in result) == 9  # ten times the double 0.1 is a trifle more than 1
    assert result.spent <= 1.0


def test_the_bound_on_concurrency_holds_and_is_used():
    with DummyServer(together=7) as server:
        run(policy_of(), 30, endpoints(server.url), concurrency=7)
        assert server.most == 7


def test_a_call_that_costs_more_than_the_most_is_told_of():
    models = endpoints("http://nowhere", cost_bound=lambda body: 1.0)

    async def respond(request):
        return httpx.Response(200, json={"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 1}})

    with pytest.warns(CostBoundWarning, match="'large' has cost 6 on query 'q0', more than the 1"):
        result = run(policy_of(Router()), 1, models, transport=httpx.MockTransport(respond))
    assert result.spent == 6


def test_thousands_of_queries(tmp_path):
    with DummyServer(delay=0.001) as server:
        result = run(policy_of(Router()), 2_000, endpoints(server.url), tmp_path / "j.jsonl", concurrency=32)
    assert (len(result), result.asked) == (2_000, 2_000)
    assert result.spent == server.charged
    assert set(server.billed.values()) == {1}


# --- interruption ---------------------------------------------------------------------------------------------------

PROGRAM = """
import sys
sys.path[:0] = {paths!r}
from test_runner import MODELS, policy_of, endpoints, run
run(policy_of(), 200, endpoints({url!r}), {journal!r}, concurrency=8, timeout=30)
"""


def _start(url, journal):
    here = Path(__file__).parent
    code = PROGRAM.format(paths=[str(here), str(here.parent)], url=url, journal=str(journal))
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)


def _wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_a_killed_run_goes_on_where_it_stood(tmp_path):
    journal, policy, kills = tmp_path / "j.jsonl", policy_of(), 2
    with DummyServer(delay=0.01) as server:
        for kill in range(kills):
            target = (kill + 1) * 100
            process = _start(server.url, journal)
            _wait_for(lambda target=target: sum(server.attempts.values()) >= target)
            process.send_signal(signal.SIGKILL)
            process.wait()
            time.sleep(0.1)  # the calls on their way are billed, whoever is there to hear the answer
        paid = sum(server.billed.values())
        assert 100 <= paid < 600
        book = Journal(journal)
        book.close()
        replies = sum(call.reply is not None for call in book.calls.values())
        lost = [key for key, call in book.calls.items() if call.paid]
        result = run(policy, 200, endpoints(server.url), journal, timeout=30)
        assert set(server.billed.values()) == {1}
    assert paid - replies <= len(lost) <= 8 * kills
    assert result.replayed >= replies
    assert all(answer.choice for answer in result)
    failed = [why for answer in result for why in answer.failures.values()]
    assert failed == ["the run ended before the answer came"] * len(lost)
    assert server.charged <= result.spent


def test_a_run_that_is_cancelled_brings_home_the_calls_on_their_way(tmp_path):
    async def interrupted(url):
        work = runner.run(policy_of(), queries_of(50), endpoints(url), journal=tmp_path / "j.jsonl", concurrency=4)
        task = asyncio.ensure_future(work)
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with DummyServer(delay=0.05) as server:
        asyncio.run(interrupted(server.url))
        paid = sum(server.billed.values())
        assert 0 < paid < 150
        result = run(policy_of(), 50, endpoints(server.url), tmp_path / "j.jsonl")
        assert set(server.billed.values()) == {1}
    assert result.replayed == paid
    assert (result.lost, result.spent) == (0, server.charged)
    assert all(answer.choice == "large" for answer in result)


def test_an_interrupted_cell_of_a_notebook_interrupts_the_run(tmp_path):
    async def cell(url):
        run(policy_of(), 500, endpoints(url), tmp_path / "j.jsonl", concurrency=2)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored, as under nohup
    loop = asyncio.new_event_loop()
    main = threading.main_thread().ident
    try:
        with DummyServer(delay=0.05) as server:
            timer = threading.Timer(0.5, lambda: signal.pthread_kill(main, signal.SIGINT))
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                loop.run_until_complete(cell(server.url))
            timer.join()
            paid = sum(server.billed.values())
    finally:
        loop.close()
        signal.signal(signal.SIGINT, before)
    assert 0 < paid < 500
    book = Journal(tmp_path / "j.jsonl")
    book.close()
    assert sum(call.reply is not None for call in book.calls.values()) == paid == len(book.calls)


def test_a_full_disk_stops_the_run_and_nothing_is_paid_twice(tmp_path, monkeypatch):
    writes, real = [], os.fsync

    def full(handle):
        writes.append(handle)
        if len(writes) == 20:
            raise OSError(28, "No space left on device")
        real(handle)

    with DummyServer() as server:
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises((OSError, ValueError), match="No space left|closed file"):
            run(policy_of(), 50, endpoints(server.url), tmp_path / "j.jsonl", concurrency=1)
        monkeypatch.undo()
        result = run(policy_of(), 50, endpoints(server.url), tmp_path / "j.jsonl")
        assert set(server.billed.values()) == {1}
    assert server.charged <= result.spent


def test_two_runs_cannot_share_a_journal(tmp_path):
    pytest.importorskip("fcntl")
    book = Journal(tmp_path / "j.jsonl")
    with pytest.raises(RuntimeError, match="is in use: another run writes this journal"):
        run(policy_of(), 1, {name: Local(lambda query: {}) for name in MODELS}, tmp_path / "j.jsonl")
    book.close()


@pytest.mark.parametrize("replaced", [False, True])
def test_a_journal_that_is_taken_away_stops_the_run_and_nothing_is_paid_twice(replaced, tmp_path):
    journal, away = tmp_path / "j.jsonl", tmp_path / "away.jsonl"

    def plan(model, query, attempt):
        if sum(server.attempts.values()) == 20:
            journal.rename(away)
            if replaced:
                shutil.copy(away, journal)
        return "ok"

    with DummyServer(plan) as server:
        with pytest.raises(RuntimeError, match="was renamed, deleted or replaced while it was in use"):
            run(policy_of(), 50, endpoints(server.url), journal, concurrency=1)
        assert sum(server.attempts.values()) == 20
        book = Journal(away)  # what was on its way came home into the file that the run had
        book.close()
        assert sum(call.reply is not None for call in book.calls.values()) == 20
        if not replaced:
            away.rename(journal)
        result = run(policy_of(), 50, endpoints(server.url), journal)
        assert set(server.billed.values()) == {1}
    assert server.charged <= result.spent


def test_where_files_are_locked_byte_by_byte_two_runs_cannot_share_a_journal_either(tmp_path, monkeypatch):
    locked = set()

    def locking(handle, mode, size):
        file = os.fstat(handle).st_ino, os.lseek(handle, 0, os.SEEK_CUR), size
        if file in locked:
            raise OSError(13, "Permission denied")
        locked.add(file)

    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=2))
    book = Journal(tmp_path / "j.jsonl")
    with pytest.raises(RuntimeError, match="is in use: another run writes this journal"):
        Journal(tmp_path / "j.jsonl")
    book.close()
    ((_, position, size),) = locked
    assert position > 10**9  # locked bytes cannot be read by others there
    assert size == 1


# --- the journal ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("journal") / "j.jsonl"
    with DummyServer(lambda model, query, attempt: "garbage" if query == "q3" else "ok") as server:
        run(policy_of(), 5, endpoints(server.url), path, concurrency=2)
    return path.read_bytes()


def test_keys_are_never_written_down(tmp_path):
    def parrot(request):
        return httpx.Response(401, text=f"wrong key: {request.headers['Authorization']} {request.headers['X-Org']}")

    models = endpoints("http://nowhere", key="sk-secret", headers={"X-Org": "org-hidden"})
    result = run(policy_of(), 2, models, tmp_path / "j.jsonl", transport=httpx.MockTransport(parrot))
    with DummyServer() as server:
        run(policy_of(), 2, endpoints(server.url, key="sk-secret"), tmp_path / "k.jsonl")
        assert server.keys == {"bearer sk-secret"}
    written = (tmp_path / "j.jsonl").read_text() + (tmp_path / "k.jsonl").read_text()
    for text in (written, repr(result), repr(models), result.to_frame().to_csv()):
        assert "secret" not in text
        assert "hidden" not in text
    assert "status 401: wrong key: Bearer [key] [key]" in written


def test_a_key_that_a_server_repeats_in_an_answer_is_masked(tmp_path):
    key, token = 'sk-"secret"/\\', "hidden-token"

    def parrot(request):
        text = f"{key} and {token} in version 2"
        return httpx.Response(200, json={"choices": [{"message": {"content": text}}], text: 1})

    models = endpoints("http://nowhere", key=key, headers={"X-Token": f"Basic {token}", "X-Version": "2"})
    result = run(policy_of(Router()), 1, models, tmp_path / "j.jsonl", transport=httpx.MockTransport(parrot))
    assert result.results[0].text == "[key] and [key] in version 2"
    for text in ((tmp_path / "j.jsonl").read_text(), result.to_frame().to_csv(), repr(result.results)):
        assert "secret" not in text
        assert "hidden" not in text


def _parsed(line):
    try:
        return json.loads(line)
    except ValueError:
        return None


def test_a_journal_cut_anywhere_is_taken_up_and_nothing_in_it_is_asked_again(finished, tmp_path):
    path = tmp_path / "j.jsonl"
    for length in range(0, len(finished) + 1, 37):
        path.write_bytes(finished[:length])
        book = Journal(path)
        book.close()
        again = Journal(path)
        again.close()
        assert again.calls == book.calls
        assert all(call.pending is None for call in again.calls.values())
        whole = [event for line in finished[:length].splitlines() if (event := _parsed(line)) and "event" in event]
        asked = {(e["query"], e["model"], 0) for e in whole if e["event"] == "sent"}
        assert set(again.calls) == asked
        assert again.spent >= sum(event.get("cost", 0) for event in whole)


@pytest.mark.parametrize(
    ("line", "damage", "message"),
    [
        (0, b'{"journal": "something else"}', "no journal of a run: its first line should be"),
        (2, b"\0\0\0\0", "line 3 of .* is no JSON object"),
        (2, b'{"event": "sent", "query": "q", "model": "m", "worst": -1}', "line 3 of .* is damaged.*amount"),
        (2, b'{"event": "sent", "query": "q", "model": "m", "worst": NaN}', "line 3 of .* is damaged.*amount"),
        (2, b'{"event": "reply", "query": "q", "model": "m"}', "line 3 of .* is damaged: KeyError: 'cost'"),
        (2, b'{"event": "won", "query": "q", "model": "m"}', "line 3 of .* is damaged.*no event 'won'"),
    ],
)
def test_a_damaged_journal_is_refused_with_the_line(finished, tmp_path, line, damage, message):
    lines = finished.splitlines()
    lines[line] = damage
    path = tmp_path / "j.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    before = path.read_bytes()
    with pytest.raises(ValueError, match=message):
        Journal(path)
    assert path.read_bytes() == before


# --- what is handed in ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"models": {"small": Local(dict)}}, "models must say how to ask small, medium, large; got small"),
        ({"queries": pd.DataFrame(index=["a", "a"])}, "has the name 'a' more than once"),
        ({"concurrency": 0}, "concurrency must be a whole number of 1 or more; got 0"),
        ({"spend_cap": -1}, "spend_cap must lie between 0"),
        ({"spend_cap": float("nan")}, "spend_cap must lie between 0"),
        ({"timeout": -1}, "timeout must lie between 0"),
        ({"repeat": "always"}, "repeat must be one of 'never', 'unpaid', 'lost'; got 'always'"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_asked(change, message, tmp_path):
    arguments = {"queries": queries_of(1), "models": {name: Local(dict) for name in MODELS}} | change
    queries, models = arguments.pop("queries"), arguments.pop("models")
    with pytest.raises(ValueError, match=message):
        runner.run_sync(policy_of(), queries, models, journal=tmp_path / "j.jsonl", **arguments)
    assert not (tmp_path / "j.jsonl").exists()


def test_features_of_queries_must_be_there():
    schema = Schema(MODELS, ("length",), {}, "tokens")
    policy = Policy(**(vars(policy_of()) | {"schema": schema}))
    with pytest.raises(ValueError, match="queries lacks the columns length"):
        run(policy, 1, {name: Local(dict) for name in MODELS})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"prompt": "x"}, "must say max_tokens"),
        ({"prompt": "x", "max_tokens": 1.5}, "must say max_tokens"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}], "max_tokens": 1}, "more than text"),
        ({"messages": [{"role": "user", "content": "x"}], "max_tokens": 1, "tools": []}, "tools may be charged for"),
        ({"prompt": "x", "max_tokens": 1, "suffix": "y" * 1_000}, "suffix may be charged for"),
        ({"prompt": "x", "max_tokens": 1, "web_search_options": {}}, "web_search_options may be charged for"),
        ({"prompt": "x", "max_tokens": 1, "prediction": {}, "x_new": 1}, "prediction, x_new may be charged for"),
        ({"prompt": "x", "max_tokens": 1, "n": -3}, "n and best_of must be whole numbers of 1 or more"),
        ({"prompt": "x", "max_tokens": 1, "best_of": True}, "n and best_of must be whole numbers of 1 or more"),
        ({"prompt": "x", "max_tokens": 1, "max_completion_tokens": -1}, "must say max_tokens"),
    ],
)
def test_what_cannot_be_bounded_is_not_sent(body, message):
    with pytest.raises(ValueError, match=message):
        Endpoint("http://x", lambda query: body).bound(body)


def test_of_two_bounds_on_the_answer_the_larger_one_counts():
    one = Endpoint("http://x", dict, price=(0, 1))
    assert one.bound({"prompt": "x", "max_tokens": 1, "max_completion_tokens": 50}) == 50


def test_what_may_be_charged_for_is_sent_where_its_bound_is_given():
    body = {"prompt": "x", "max_tokens": 1, "suffix": "y"}
    assert Endpoint("http://x", dict, cost_bound=lambda body: 9).bound(body) == 9


def test_a_streamed_reply_is_refused_before_anything_is_sent():
    models = {
        name: Endpoint("http://nowhere", lambda q: ask(q) | {"stream": True}, cost_bound=lambda body: 1)
        for name in MODELS
    }
    result = run(policy_of(), 1, models, transport=httpx.MockTransport(lambda request: 1 / 0))
    assert result.results[0].failures["large"].startswith("request: ValueError: a reply is read as a whole")
    assert result.asked == 0


def test_usage_may_be_told_in_strings_and_nonsense_in_it_is_not_counted():
    one = Endpoint("http://x", dict, price=(1, 4))
    assert one.paid({"usage": {"prompt_tokens": "7", "completion_tokens": "1"}}) == 11
    for odd in ("many", -1, None, float("nan"), [1]):
        assert one.paid({"usage": {"prompt_tokens": 7, "completion_tokens": odd}}) is None


@given(text=st.text(), n=st.integers(1, 4), limit=st.integers(0, 50))
def test_the_most_tokens_are_bounded_by_bytes_and_choices(text, n, limit):
    one = Endpoint("http://x", dict, price=(1, 100))
    body = {"messages": [{"role": "user", "content": text}], "max_tokens": limit, "n": n}
    if any("\ud800" <= sign <= "\udfff" for sign in text):
        return
    most = one.bound(body)
    assert most >= len(text.encode()) + 100 * n * limit
    assert one.bound(body | {"max_tokens": limit + 1}) == most + 100 * n


@pytest.mark.parametrize("options", [{"url": "localhost:80"}, {"url": "http://x", "price": (1, -1)}])
def test_endpoints_that_cannot_work_are_refused(options):
    with pytest.raises(ValueError, match="must b"):
        Endpoint(request=dict, **options)


def test_importing_the_runner_needs_no_httpx():
    code = "import sys; sys.modules['httpx'] = None\nfrom cascade_lib.live import runner; print('fine')"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (result.stdout, result.stderr) == ("fine\n", "")


def test_without_httpx_endpoints_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(ImportError, match=r"needs httpx: pip install cascade_lib\[live\]"):
        run(policy_of(), 1, endpoints("http://nowhere"))
