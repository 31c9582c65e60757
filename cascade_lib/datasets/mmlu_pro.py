"""MMLU-Pro: eleven models' full answers to multiple-choice questions, with up to ten options each."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from ..outcomes import Outcomes
from .alpaca import CHARACTERS_PER_TOKEN
from .fetch import fetch_file

MMLU_PRO_URL = (
    "https://raw.githubusercontent.com/TIGER-AI-Lab/MMLU-Pro/f418b116db00b065c2aea046518d8fcf74d39872/eval_results/"
    "model_outputs_{model}_5shots.zip"
)
MMLU_PRO_SHA256 = {
    "gemini-1.5-flash-002": "fed3caed9a9c1bfc7da74e5116f70ffdb9023794d1677eb2f7d48a2a4adec2e7",
    "Mistral-7B-Instruct-v0.2": "ff1c5ae8a0f6412cca52537746f192476398c24590a3fb79e8f10c300ffa8248",
    "mathstral-7B": "c5613c4778e8dfe18d53015aa5f163fd86141cde22cdb7667f235d496e025f9a",
    "Meta-Llama-3_1-8B-Instruct": "d5e76b2564b5baad90892c3664287a51f562a3be792a130acaec458b8560a1cf",
    "Phi-3-mini-4k-instruct": "7f45083108479ef586cc6c855325294c1220a9fcb614066abf22234a26d7037e",
    "DeepSeek-Coder-V2": "7a1cb6f4f2dbb89c98d42c339f1b4008e8c33c5d48370822beef6826016a13d0",
    "Mixtral-8x7B-Instruct-v0.1": "4716478ca233a86baa39b1c99452589191d8db3df3b398c871ff2832959408aa",
    "c4ai-command-r-v01": "246e2da80791811b1f5a283b40b4f7d62dafc5128d2653edcfe9b81557762e52",
    "Meta-Llama-3_1-70B-Instruct": "26573565138fcd27358a0945c9f525a7d9a75a756689058a0d5bfcbc64fa55cb",
    "gemini-1.5-pro-002": "7d95c116e999dc15012d753e871bbbc8fd4e74b9feb49b992ea55247576af370",
    "jamba-1.5-large": "c4685b28a9b56fcb1270d9d2674f4989f5fc45129f3f635207d3543d67da1a15",
}
# Assumption: list prices, USD per million tokens in and out. From the cheapest to the most expensive on average.
MMLU_PRO_PRICES = {
    "gemini-1.5-flash-002": (0.075, 0.3),
    "Mistral-7B-Instruct-v0.2": (0.2, 0.2),
    "mathstral-7B": (0.2, 0.2),
    "Meta-Llama-3_1-8B-Instruct": (0.18, 0.18),
    "Phi-3-mini-4k-instruct": (0.13, 0.52),
    "DeepSeek-Coder-V2": (0.14, 0.28),
    "Mixtral-8x7B-Instruct-v0.1": (0.6, 0.6),
    "c4ai-command-r-v01": (0.5, 1.5),
    "Meta-Llama-3_1-70B-Instruct": (0.88, 0.88),
    "gemini-1.5-pro-002": (1.25, 5.0),
    "jamba-1.5-large": (2.0, 8.0),
}
"""The models of MMLU-Pro, with what a million tokens in and out are taken to cost, in USD."""
_TEXT = ("model_outputs", "generated_text")  # the answer goes by either name
_STATED = re.compile(r"answer is \(?[A-J]\b|boxed\{(?:\\text\{)?\(?[A-J]\b")


def fetch_mmlu_pro(
    *, models: Sequence[str] | None = None, prices: Mapping[str, tuple[float, float]] | None = None
) -> Outcomes:
    """Fetch the answers of eleven models to some 10,000 questions of MMLU-Pro (40 MB, once).

    Parameters
    ----------
    models : sequence of str, optional
        The models wanted, in this order. Default: all of `MMLU_PRO_PRICES`. Questions are kept if each of these has an
        answer on record, so that fewer models may leave more questions.
    prices : mapping of str to (float, float), optional
        Prices to take for some models instead of those of `MMLU_PRO_PRICES`, in USD per million tokens in and out.

    Returns
    -------
    Outcomes
        `quality` is 1 where the letter on record is the right one; no letter is wrong. `cost` is in USD. The index of
        `query` holds the questions' ids. Known before a call: the `question` (text), its `category` (14), `n_options`,
        `n_chars` (of the question) and `n_chars_options`. `answer_features`, known after it: `n_chars`, `states`
        (1 where the text says "the answer is (X)" or boxes a letter) and `answer`, the letter, or ``""`` where there
        is none. Letters are comparable: models that agree chose the same option.

    Raises
    ------
    ConnectionError
        If a file is neither cached nor reachable; see `fetch_file`.
    ValueError
        If `models` or `prices` names an unknown model, a price is not a number of at least 0, or a file does not hold
        what is expected.

    Notes
    -----
    *What is lost.* Of 12,032 questions 1,706 lack an answer of at least one model, 1,681 of them that of
    DeepSeek-Coder-V2; 1,617 of the 1,706 are chemistry or engineering. The benchmark was corrected between the runs: 41
    more questions are left out because their options or right answers differ between the files. 10,285 are left.
    Without DeepSeek-Coder-V2 it would be 11,960.

    *Cost is derived, not recorded*: (characters of the question and its options × input price + characters of the
    answer × output price) / 4 / 1,000,000. The prompts had five worked examples, which are not in the files and not
    paid for here, so that the true cost of input was several times as high. Prices are assumptions, USD per million
    tokens: see `MMLU_PRO_PRICES`.

    *Letters nobody gave.* In the files of Llama 3.1 (both), mathstral and Gemini (both) hardly any letter is missing:
    where an answer states none, one was made up or picked from the text, and is right about as often as a guess. That
    is what `states` tells. With Mistral, Mixtral, Phi-3 and command-r nearly all such answers have no letter and are
    wrong. So the models' means are not quite comparable.

    Best model gemini-1.5-pro-002 with 0.719; for 91.1% of the questions at least one model is right. One answer
    per model, of 2024. The data are licensed Apache-2.0 and are not part of this package.

    References
    ----------
    Wang et al., MMLU-Pro: A More Robust and Challenging Multi-Task Language Understanding Benchmark, NeurIPS 2024;
    TIGER-AI-Lab/MMLU-Pro on GitHub.

    Examples
    --------
    >>> pool = fetch_mmlu_pro(models=["Meta-Llama-3_1-8B-Instruct", "gemini-1.5-pro-002"])  # doctest: +SKIP
    >>> pool.query["category"].nunique()  # doctest: +SKIP
    14
    >>> fetch_mmlu_pro(models=["gpt-4o"])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: models must name one or more of ...; got ['gpt-4o'].
    """
    chosen = _chosen(models)
    charged = _prices(prices)
    answers = {}
    for name in tqdm(chosen, desc="MMLU-Pro", delay=10):
        file = fetch_file(
            MMLU_PRO_URL.format(model=name), MMLU_PRO_SHA256[name], path=f"mmlu_pro/model_outputs_{name}_5shots.zip"
        )
        answers[name] = _read(file, name)
    tables = _joined(answers)
    first = next(iter(tables.values()))
    query = pd.DataFrame(
        {
            "question": first["question"],
            "category": first["category"],
            "n_options": first["options"].str.len(),
            "n_chars": first["question"].str.len(),
            "n_chars_options": [sum(map(len, options)) for options in first["options"]],
        }
    )
    asked = query["n_chars"] + query["n_chars_options"]
    lengths = np.column_stack([table["text"].str.len() for table in tables.values()])
    per_token = np.array([charged[name] for name in chosen]) / (CHARACTERS_PER_TOKEN * 1_000_000)
    letters = np.column_stack([table["pred"].fillna("") for table in tables.values()]).astype(object)
    return Outcomes(
        letters == first["answer"].to_numpy(object)[:, None],
        np.outer(asked, per_token[:, 0]) + lengths * per_token[:, 1],
        models=chosen,
        query=query,
        answer_features={
            "n_chars": lengths,
            "states": np.column_stack([_states(table["text"]) for table in tables.values()]),
            "answer": letters,
        },
        cost_unit="USD",
    )


def _chosen(models: Sequence[str] | None) -> list[str]:
    """Return the models wanted, after checking their names."""
    if models is None:
        return list(MMLU_PRO_PRICES)
    if isinstance(models, str):
        raise TypeError(f"models must be a sequence of names, not the single string {models!r}.")
    unknown = [name for name in models if name not in MMLU_PRO_PRICES]
    if unknown or not len(models) or len(set(models)) < len(models):
        raise ValueError(
            f"models must name one or more of {', '.join(MMLU_PRO_PRICES)}, each once; got {list(models)}."
        )
    return list(models)


def _prices(replaced: Mapping[str, tuple[float, float]] | None) -> dict[str, tuple[float, float]]:
    """Return the prices of all models, those replaced that are asked for."""
    replaced = dict(replaced or {})
    for name, pair in replaced.items():
        if name not in MMLU_PRO_PRICES:
            raise ValueError(f"prices has no model {name!r} to price; there are {', '.join(MMLU_PRO_PRICES)}.")
        numbers = np.asarray(pair, dtype=float)
        if numbers.shape != (2,) or not np.isfinite(numbers).all() or (numbers < 0).any():
            raise ValueError(
                f"prices[{name!r}] must be two numbers of at least 0, USD per million tokens in and out; got {pair!r}."
            )
    return MMLU_PRO_PRICES | replaced


def _read(file: Path, model: str) -> pd.DataFrame:
    """Return a model's answers, one row per question, named by its id."""
    try:
        with zipfile.ZipFile(file) as archive:
            (name,) = archive.namelist()
            content: list[Any] = json.loads(archive.read(name))
        # One file has lists among the records: totals by category, which the script that asked wrote there.
        table = pd.DataFrame([row for row in content if isinstance(row, dict)]).set_index("question_id")
        text = next(table[name] for name in _TEXT if name in table)
        table = table[["question", "options", "answer", "category", "pred"]].assign(text=text)
    except (zipfile.BadZipFile, KeyError, StopIteration, TypeError, ValueError) as error:
        raise ValueError(f"{file.name} is not a file of answers to MMLU-Pro: {error!r}.") from error
    if table.index.has_duplicates:
        raise ValueError(f"{file.name} has question {table.index[table.index.duplicated()][0]} of {model} twice.")
    return table


def _joined(answers: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return the answers to questions that were put to all, with the same options and the same right answer."""
    shared = sorted(set.intersection(*(set(table.index) for table in answers.values())))
    tables = {name: table.loc[shared] for name, table in answers.items()}
    first = next(iter(tables.values()))
    same = np.ones(len(shared), dtype=bool)
    for table in tables.values():
        same &= (table["options"] == first["options"]).to_numpy() & (table["answer"] == first["answer"]).to_numpy()
    return {name: table[same] for name, table in tables.items()}


def _states(texts: pd.Series) -> list[bool]:
    return [_STATED.search(text) is not None for text in texts]
