"""AlpacaEval 2: open-ended instructions, with a judge's preference over a reference answer as the quality."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..outcomes import Outcomes
from .fetch import fetch_file

ALPACA_URL = (
    "https://raw.githubusercontent.com/tatsu-lab/alpaca_eval/cd543a149df89434d8a54582c0151c0b945c3d20/results/{model}/"
    "weighted_alpaca_eval_gpt4_turbo/annotations.json"
)
CHARACTERS_PER_TOKEN = 4
"""Tokens were not recorded; this is the usual rule of thumb for English."""


class _Model(NamedTuple):
    """Where a model's answers come from, and what a million tokens in and out are taken to cost, in USD."""

    sha256: str
    price_in: float
    price_out: float


def _open(sha256: str, billions: float) -> _Model:
    # Assumption: cost is proportional to parameters; 0.02 USD per billion is near hosting prices of 2024 and 2025.
    return _Model(sha256, 0.02 * billions, 0.02 * billions)


# From the cheapest to the most expensive. Prices of commercial models are list prices of late 2023, see
# `fetch_alpaca_eval`.
ALPACA_LADDERS = {
    "open": {
        "FuseChat-Llama-3.2-1B-Instruct": _open(
            "40023f8b82d9f0bb30fb937c3dd01d99333e813f964d9d8a64d23d0eeceb6c5f", 1.24
        ),
        "FuseChat-Llama-3.2-3B-Instruct": _open(
            "32d4b6912694012c82c1b822792a3fc9e492119a48d93a10c3fbf2990b3a40ae", 3.21
        ),
        "FuseChat-Llama-3.1-8B-Instruct": _open(
            "7ef73623093cb690473d201417d3c6dfcb0e8d1c1f329180d802ab7dec81b1dc", 8.03
        ),
        "FuseChat-Qwen-2.5-7B-Instruct": _open(
            "c816628e6973dc86ed95e6f6a50fdc09fbc4fcb970ee39140138e652cbf2a505", 7.62
        ),
        "FuseChat-Gemma-2-9B-Instruct": _open("72945b6a549eadcd18940fee835343d62985fced144e5b7a2b69c79e120d3cab", 9.24),
    },
    "commercial": {
        "gpt-3.5-turbo-1106": _Model("4558bed562144780dfcdd5ff55cafc17d76eea62eca143cfcc7ac5f3c154de10", 1.0, 2.0),
        "claude-instant-1.2": _Model("d1e37abd139b989524f2474129eaffc5ca18b050c1a6d9a874a7f1683ee5a50b", 0.8, 2.4),
        "claude-2.1": _Model("8dfc94501f8b783d96facd9158e0333dc83c30112c5c1927838fdcc2ee00d213", 8.0, 24.0),
        "gpt4_1106_preview": _Model("2a05177cffbab8fa409adf7ee1f0f90414cab169afe391b861489a5734c79363", 10.0, 30.0),
    },
}


def fetch_alpaca_eval(ladder: str = "open") -> Outcomes:
    """Fetch the answers of several models to the 805 instructions of AlpacaEval 2 (4 MB for each model, once).

    Parameters
    ----------
    ladder : {"open", "commercial"}
        Five open models of 1 to 9 billion parameters tuned in the same way (FuseChat 3.0), or four commercial models of
        2023. The two should not be mixed: the open ones are later models, tuned for the judge's preference.

    Returns
    -------
    Outcomes
        `quality` is the judge's probability, 0 to 1, that the model's answer is better than the reference's. `cost` is
        in USD. `query` has the `instruction`, the `dataset` it comes from and the numbers of `n_chars`, `n_words` and
        `n_lines`, `asks_code` and `asks_list`; `answer_features` has numbers for each answer: `n_chars`, `n_words`,
        `n_lines`, `n_items` (lines that begin like items of a list), `has_code`, `declines` and `echo` (the share of
        the instruction's words that the answer takes up).

    Raises
    ------
    ConnectionError
        If a file is neither cached nor reachable; see `fetch_file`.
    ValueError
        If `ladder` is neither of the two, or a file does not hold what is expected.

    Notes
    -----
    *Cost is derived, not recorded*: (characters of the instruction × input price + characters of the answer × output
    price) / 4 / 1,000,000. Prices are assumptions, in USD per million tokens in / out: gpt-4-1106-preview 10 / 30,
    claude-2.1 8 / 24, claude-instant-1.2 0.80 / 2.40, gpt-3.5-turbo-1106 1 / 2 (list prices of late 2023); open models
    0.02 per billion parameters both ways.

    *The reference is one of the commercial models.* Its quality against itself is 0.5 in every row. The judge is the
    same model, likes long answers, and is sure of itself: most preferences are close to 0 or 1.

    The data are licensed CC BY-NC 4.0 and are not part of this package.

    References
    ----------
    Li et al., AlpacaEval, 2023; tatsu-lab/alpaca_eval on GitHub. Chapter "Open-ended answers and agents".

    Examples
    --------
    >>> fetch_alpaca_eval("commercial").summary.round(3)["quality"].to_list()  # doctest: +SKIP
    [0.092, 0.161, 0.157, 0.5]
    """
    if ladder not in ALPACA_LADDERS:
        raise ValueError(f"ladder must be one of {', '.join(map(repr, ALPACA_LADDERS))}; got {ladder!r}.")
    models = ALPACA_LADDERS[ladder]
    frames = {}
    for name, model in models.items():
        file = fetch_file(ALPACA_URL.format(model=name), model.sha256, path=f"alpaca_eval/{name}/annotations.json")
        frames[name] = _read(file, name)
    first = next(iter(frames.values()))
    for name, frame in frames.items():
        if not frame["instruction"].equals(first["instruction"]):
            raise ValueError(f"the file of {name} has other instructions than that of {next(iter(frames))}.")
    cost = [
        (first["instruction"].str.len() * model.price_in + frames[name]["output_2"].str.len() * model.price_out)
        / (CHARACTERS_PER_TOKEN * 1_000_000)
        for name, model in models.items()
    ]
    answers = [_describe_answers(frame) for frame in frames.values()]
    return Outcomes(
        np.column_stack([frame["preference"] - 1 for frame in frames.values()]),
        np.column_stack(cost),
        models=list(models),
        query=_describe_instructions(first),
        answer_features={name: np.column_stack([table[name] for table in answers]) for name in answers[0]},
        cost_unit="USD",
    )


def _read(file: Path, model: str) -> pd.DataFrame:
    """Read the judge's annotations of one model, checking that they are what they should be."""
    frame = pd.DataFrame(json.loads(file.read_text(encoding="utf-8")))
    wanted = {"instruction", "dataset", "generator_2", "output_2", "preference"}
    if missing := wanted - set(frame):
        raise ValueError(f"{file.name} of {model} lacks {', '.join(sorted(missing))}.")
    if set(frame["generator_2"]) != {model}:
        raise ValueError(f"{file.name} of {model} has answers of {', '.join(sorted(set(frame['generator_2'])))}.")
    if not frame["preference"].between(1, 2).all():
        raise ValueError(f"{file.name} of {model} has preferences outside 1 to 2.")
    return frame


_CODE = re.compile(r"```|\bdef |\bclass |</?[a-z]+>|;\s*$", re.M)
_ITEM = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s", re.M)
_DECLINES = re.compile(r"\b(?:I'm sorry|I apologi[sz]e|I cannot|I can't|I am unable|I'm unable|as an AI)\b", re.I)
_ASKS_CODE = re.compile(r"\b(?:code|function|script|program|python|java|sql|html|regex|bash|c\+\+)\b", re.I)
_ASKS_LIST = re.compile(r"\b(?:list|steps?|ideas|examples|names|ways|top \d+|\d+ )\b", re.I)
_WORD = re.compile(r"[a-z0-9]{4,}")


def _describe_instructions(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what is known of each instruction before any call."""
    texts = frame["instruction"]
    features = {
        "instruction": texts,
        "dataset": frame["dataset"],
        "n_chars": texts.str.len(),
        "n_words": texts.str.split().map(len),
        "n_lines": texts.str.count("\n") + 1,
        "asks_code": texts.str.contains(_ASKS_CODE),
        "asks_list": texts.str.contains(_ASKS_LIST),
    }
    return pd.DataFrame(features).rename_axis("alpaca_eval")


def _describe_answers(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return what is known of the answers of one model after the call."""
    texts = frame["output_2"]
    echo = []
    for asked, answered in zip(frame["instruction"], texts, strict=True):
        words = set(_WORD.findall(asked.lower()))
        echo.append(len(words & set(_WORD.findall(answered.lower()))) / max(len(words), 1))
    features = {
        "n_chars": texts.str.len(),
        "n_words": texts.str.split().map(len),
        "n_lines": texts.str.count("\n") + 1,
        "n_items": texts.map(lambda text: len(_ITEM.findall(text))),
        "has_code": texts.str.contains(_CODE),
        "declines": texts.str.contains(_DECLINES),
        "echo": echo,
    }
    return {name: np.asarray(values, dtype=float) for name, values in features.items()}
