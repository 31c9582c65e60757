"""Let a policy loose on 1,000 texts that no model has seen, on a real language model, and keep what happened.

The policy is learned from the logged table of `load_sentiment()`; its language models answer over the OpenAI-compatible
endpoint of a llama.cpp server on this machine. Needs the same packages as `collect_sentiment.py`; see its head::

    python scripts/live_policy.py                                   # about half an hour on one core
    python scripts/live_policy.py --url http://127.0.0.1:8080/v1    # another server of the same model

Interrupt it, or kill it, and run it again: no answered call is ever repeated. What is written to the package is the
journal of the run without texts, with the texts' ids, ratings and features; `cascade_lib/data/live_policy.md` tells
more.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from collect_sentiment import (
    INSTRUCTION,
    Journal,
    Prompt,
    Scale,
    _read_reply,
    collect,
    complete,
    few_shot,
    server,
    split,
    usable,
)
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from cascade_lib import CascadeRouter, LearnedEstimator, Outcomes, Policy
from cascade_lib.datasets import LiveRun, fetch_sentiment_texts, load_sentiment, sentiment_features
from cascade_lib.live.runner import Endpoint, Local, run_sync

SEED = 20261124
PER_DOMAIN = 250
BUDGET, CAP = 80, 88_000  # tokens: per query on average, and for all queries at the most
LIKELIEST = 50
# The few-shot prompts that the collector chose; see cascade_lib/data/sentiment.md.
PROMPTS = {
    "four-shot": [("sentiment", "tweets-3696, editorials-2607, films-9089, products-2332")],
    "vote-3": [
        ("sentiment", "products-3629, films-3614, editorials-4432, tweets-3849"),
        ("verdict", "editorials-1224, tweets-0339, products-3151, films-5048"),
        ("was", "products-0694, films-5496, editorials-0085, tweets-0339"),
    ],
}
MODELS = ("vader", "zero-shot", *PROMPTS)


def prompts_of(shots: pd.DataFrame) -> dict[str, list[Prompt]]:
    """Return the prompts of every language model."""
    examples = shots.set_index("id", drop=False)
    few = {
        model: [few_shot(examples.loc[names.split(", ")], form) for form, names in chosen]
        for model, chosen in PROMPTS.items()
    }
    return {"zero-shot": [Prompt(INSTRUCTION, "sentiment")], **few}


def fit_policy(logged: Outcomes) -> Policy:
    """Fit cascade routing to the budget; a regression that is quick to ask serves live queries well."""
    quality = make_pipeline(StandardScaler(), PolynomialFeatures(2, include_bias=False), StandardScaler(), Ridge(300.0))
    return CascadeRouter().calibrate(LearnedEstimator(quality, folds=2).fit(logged), logged, budget=BUDGET)


def live_queries(training: pd.DataFrame) -> pd.DataFrame:
    """Draw texts that no language model has been asked about, in random order, with their features."""
    drawn = pd.concat([rows.sample(PER_DOMAIN, random_state=SEED) for _, rows in training.groupby("domain", sort=True)])
    drawn = drawn.sample(frac=1, random_state=SEED).reset_index(drop=True)
    return pd.concat([drawn, sentiment_features(drawn["text"]).round(4)], axis=1).set_index("id")


def scales_of(journal: Journal, calibration: pd.DataFrame, members: list[str]) -> dict[str, list]:
    """Fit what turns the raw scores of a model's calls into log-odds: one scale for each call, one for their mean."""
    positive = (calibration["rating"] > 0).to_numpy()
    scores = [journal.column(key, calibration["id"], "score") for key in members]
    own = [Scale.fit(score, positive) for score in scores]
    together = Scale.fit(np.mean([scale(score) for scale, score in zip(own, scores, strict=True)], axis=0), positive)
    return {"own": [[s.slope, s.intercept] for s in own], "together": [together.slope, together.intercept]}


def models_of(url: str, prompts: dict[str, list[Prompt]], scales: dict[str, dict]) -> dict[str, Endpoint | Local]:
    """Say how each model is asked and read."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    rules = SentimentIntensityAnalyzer()

    def features(scores: list[float], model: str) -> dict[str, float]:
        log_odds = LiveRun(None, [], scales).margin(model, scores)
        return {"margin": log_odds, "answer": 1 if log_odds > 0 else -1}

    def endpoint(model: str) -> Endpoint:
        def request(query: Mapping[str, object]) -> list[dict]:
            fixed = {"max_tokens": 1, "temperature": 0, "logprobs": LIKELIEST}
            return [{"prompt": prompt.about(query["text"]), **fixed} for prompt in prompts[model]]

        def read(replies: dict | list[dict]) -> dict[str, float]:
            replies = replies if isinstance(replies, list) else [replies]
            words = [prompt.words for prompt in prompts[model]]
            return features([_read_reply(r, w)["score"] for r, w in zip(replies, words, strict=True)], model)

        return Endpoint(url, request, read, price=(1, 1))

    local = Local(
        lambda query: {"score": rules.polarity_scores(query["text"])["compound"]},
        lambda reply: features([reply["score"]], "vader"),
    )
    return {"vader": local, **{model: endpoint(model) for model in prompts}}


def without_texts(path: Path, words: dict[str, list[tuple[str, str]]]) -> list[dict]:
    """Return the events of a journal with replies cut down to score and usage, and without hashes of requests."""
    events = [json.loads(line) for line in path.read_text().splitlines()]
    for event in events[1:]:
        event.pop("request", None)
        if event["event"] == "reply" and event["model"] in words:
            reply = _read_reply(event["reply"], words[event["model"]][event.get("part", 0)])
            event["reply"] = {"score": reply["score"], "usage": _counts(event["reply"]["usage"])}
        if event["event"] == "reply":
            event["seconds"] = round(event["seconds"], 4)
    return events


def _counts(usage: dict) -> dict[str, int]:
    return {name: usage[name] for name in ("prompt_tokens", "completion_tokens")}


def write(path: Path, content: dict) -> str:
    """Write the file so that equal contents give equal bytes; return the SHA-256 to be pinned in `datasets`."""
    data = gzip.compress(json.dumps(content, separators=(",", ":")).encode(), mtime=0)
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def main() -> None:
    """Calibrate, fit, run, and write down what happened."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="where the protocol begins, …/v1 (default: start a server with SmolLM2)")
    parser.add_argument("--work", type=Path, default=Path("_build/live"), help="folder of the journals")
    parser.add_argument("--out", type=Path, default=Path("cascade_lib/data/live_policy.json.gz"), help="the file")
    parser.add_argument("--threads", type=int, default=1, help="threads of our own server")
    parser.add_argument("--concurrency", type=int, default=2, help="queries in work at a time")
    args = parser.parse_args()
    parts = split(usable(fetch_sentiment_texts()))
    prompts, calibration = prompts_of(parts["shots"]), parts["calibration"]
    base = args.url.removesuffix("/").removesuffix("/v1") if args.url else None
    with server(base, args.concurrency, args.threads) as client:
        url = str(client.base_url).rstrip("/") + "/v1"
        journal = Journal(args.work / "calibration.jsonl")
        for prompt in [prompt for chosen in prompts.values() for prompt in chosen]:
            collect(
                lambda text, prompt=prompt: complete(client, prompt.about(text), prompt.words), prompt.key, calibration,
                journal, slots=args.concurrency, label=f"calibration, {prompt.format}",
            )  # fmt: skip
        rules = models_of(url, {}, {})["vader"].function
        collect(lambda text: rules({"text": text}), "vader", calibration, journal, label="calibration, vader")
        keys = {"vader": ["vader"], **{model: [prompt.key for prompt in prompts[model]] for model in prompts}}
        scales = {model: scales_of(journal, calibration, keys[model]) for model in MODELS}
        journal.close()
        policy = fit_policy(load_sentiment().select(list(MODELS)))
        queries = live_queries(parts["training"])
        models = models_of(url, prompts, scales)
        result = run_sync(
            policy, queries, models, journal=args.work / "journal.jsonl", spend_cap=CAP,
            concurrency=args.concurrency, timeout=60,
        )  # fmt: skip
    print(policy, result, sep="\n")
    words = {model: [prompt.words for prompt in chosen] for model, chosen in prompts.items()}
    content = {
        "scales": scales,
        "queries": {name: column.tolist() for name, column in queries.drop(columns="text").reset_index().items()},
        "journal": without_texts(args.work / "journal.jsonl", words),
    }
    print(f"{args.out}: SHA-256 {write(args.out, content)}, {args.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
