"""Live runs: load held against a server that answers at once, and faults injected and survived.

Every figure that ought to be 0 is counted by the server, which knows what it has billed, or from the journal.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path.append(str(TESTS))

from dummy_server import FAULTS, DummyServer, endpoints, policy_of, queries_of  # noqa: E402

from cascade_lib import Router  # noqa: E402
from cascade_lib.live.runner import run_sync  # noqa: E402

PROGRAM = """
import sys
sys.path.append({tests!r})
from dummy_server import endpoints, policy_of, queries_of
from cascade_lib import run_sync
run_sync(policy_of(), queries_of({n}), endpoints({url!r}), journal={journal!r}, concurrency=8, progress=False)
"""


def random_faults(seed, share):
    """Plan a fault of a random kind for some attempts, the same for the same seed in whatever order they come."""

    def plan(model, query, attempt):
        rng = np.random.default_rng([seed, len(model), int(query[1:]), attempt])
        return rng.choice(list(FAULTS)) if rng.random() < share else "ok"

    return plan


def load_rows(folder, n=3_000):
    """Measure queries per second, one call each; the journal is synced before and after every call."""
    for concurrency in (1, 8, 32):
        with DummyServer() as server:
            start = time.perf_counter()
            journal = folder / f"load-{concurrency}.jsonl"
            run_sync(
                policy_of(Router()), queries_of(n), endpoints(server.url), journal=journal, concurrency=concurrency,
                progress=False,
            )  # fmt: skip
            yield f"queries answered per second, {concurrency} at a time", "/s", n / (time.perf_counter() - start)
            assert server.charged > 0
    start = time.perf_counter()
    run_sync(policy_of(Router()), queries_of(n), endpoints("http://nowhere"), journal=journal, progress=False)
    yield "queries taken from a journal per second", "/s", n / (time.perf_counter() - start)


def fault_rows(folder, n=2_000):
    """Run the same queries twice through random faults, under a cap that binds."""
    cap = 90_000.0
    with DummyServer(random_faults(0, 0.3), too_late=1.5) as server:
        options = {"spend_cap": cap, "concurrency": 32, "timeout": 1.0, "pause": 0.001, "progress": False}
        results = [
            run_sync(policy_of(), queries_of(n), endpoints(server.url), journal=folder / "faults.jsonl", **options)
            for _ in range(2)
        ]
    injected = sum(times for act, times in server.did.items() if act != "ok")
    answers = [answer for result in results for answer in result]
    unexplained = sum(answer.choice is None and len(answer.failures) < 3 for answer in answers)
    yield f"queries run through faults of {len(FAULTS)} kinds", "", n
    yield "faults injected", "", injected
    yield "queries with an answer all the same", "", sum(answer.choice is not None for answer in results[0])
    yield "queries with neither a choice nor a reason for every model", "", unexplained
    yield "calls billed twice, second run included", "", sum(times > 1 for times in server.billed.values())
    yield "billed / spend cap", "", server.charged / cap
    yield "counted as spent / spend cap", "", results[1].spent / cap


def kill_rows(folder, n=400, kills=10):
    """Kill the process at ten points of a run and take it up again each time."""
    journal = folder / "kills.jsonl"
    with DummyServer(delay=0.01) as server:
        for kill in range(kills):
            code = PROGRAM.format(tests=str(TESTS), n=n, url=server.url, journal=str(journal))
            process = subprocess.Popen([sys.executable, "-c", code])
            while sum(server.attempts.values()) < (kill + 1) * 100:
                time.sleep(0.002)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            time.sleep(0.1)
        result = run_sync(policy_of(), queries_of(n), endpoints(server.url), journal=journal, progress=False)
    yield "processes killed", "", kills
    yield "calls made", "", sum(server.attempts.values())
    yield "calls billed twice", "", sum(times > 1 for times in server.billed.values())
    yield "queries without an answer", "", sum(answer.choice is None for answer in result)
    yield "calls whose answer died with a process", "", sum(len(answer.failures) for answer in result)
    yield "billed but not counted as spent", "", max(server.charged - result.spent, 0)


def rows():
    """Yield (what, unit, figure), all measured in this run."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        yield from load_rows(folder)
        yield from fault_rows(folder)
        yield from kill_rows(folder)
