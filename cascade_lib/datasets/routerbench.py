"""RouterBench: what eleven models of 2023 answered to 36,497 benchmark questions, and what each answer cost."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from ..outcomes import Outcomes
from .fetch import fetch_file, have_file
from .frames import read_frame_pickle

ROUTERBENCH_URL = (
    "https://huggingface.co/datasets/withmartian/routerbench/resolve/784021482c3f320c6619ed4b3bb3b41a21424fcb/"
    "routerbench_{shots}shot.pkl"
)
ROUTERBENCH_SHA256 = {
    0: "ba4f77f19517610a707c374e99322d7750c30fc4ae7ff5527888595a1e65d36d",
    5: "fbd7d3d16fba2759a18fa0ad44409d3e0e92ba80d03d90827eed1a6d084c9ffe",
}
SAMPLE_URL = (
    "https://raw.githubusercontent.com/FrontierCS/Frontier-CS/4d508c1954766e0dda0347e1f14946978ef6b761/research/problems/"
    "llm_router/resources/reference_data.csv"
)
SAMPLE_SHA256 = "7f78353344322a06d69b87d67ec8ee80c2fba44c07e57f2f5e048f4147815ffd"
SAMPLE_PATH = "routerbench_sample/reference_data.csv"  # its plain name says too little

# The order of the columns in the published files, which the numbers of the paper's pools refer to.
ROUTERBENCH_MODELS = (
    "WizardLM/WizardLM-13B-V1.2",
    "claude-instant-v1",
    "claude-v1",
    "claude-v2",
    "gpt-3.5-turbo-1106",
    "gpt-4-1106-preview",
    "meta/code-llama-instruct-34b-chat",
    "meta/llama-2-70b-chat",
    "mistralai/mistral-7b-chat",
    "mistralai/mixtral-8x7b-chat",
    "zero-one-ai/Yi-34B-Chat",
)
# The pools of Dekoninck et al. (2025), by number of models: columns 9, 4, 5; columns 0, 9, 4, 3, 5; all columns.
ROUTERBENCH_POOLS = {
    size: tuple(ROUTERBENCH_MODELS[column] for column in columns)
    for size, columns in {3: (9, 4, 5), 5: (0, 9, 4, 3, 5), 11: range(11)}.items()
}
_GROUPS = {"grade-school-math": "gsm8k", "arc-challenge": "arc"}
_CHOICES = {"mmlu", "hellaswag", "arc", "winogrande"}


def fetch_routerbench(*, shots: int = 0, missing: str = "zero") -> Outcomes:
    """Fetch RouterBench in full: 36,497 queries, 11 models (about 100 MB once, 160 MB with five shots).

    Parameters
    ----------
    shots : {0, 5}
        How many worked examples the prompts of the multiple-choice tasks carry. The zero-shot file has 36,497 rows,
        the five-shot file 36,511; an id may occur twice there, with different prompts.
    missing : {"zero", "drop"}
        What to do where a model has no answer on record, which occurs in 28 rows of the five-shot file (all of them
        ARC) and nowhere else: count it as quality 0 at cost 0, as the code of the paper does, or leave such rows out.

    Returns
    -------
    Outcomes
        `quality` from 0 to 1, `cost` in USD per query. Models in the order of the file (`ROUTERBENCH_MODELS`).
        The index of `query` holds the sample ids. Its columns: `task` (86 names, the ``eval_name`` of the file),
        `group` ("mmlu", "hellaswag", "gsm8k", "arc", "winogrande", "mbpp", "mtbench" or "other"), `prompt` (the text;
        several messages are joined by a line feed), and counts `n_chars`, `n_words`, `n_lines`, `n_digits`,
        `n_choices` (lines that begin like ``B)``). `answer_features`, known after the call: `n_chars`, `n_words`
        and `answer`, a short label or ``""`` (see Notes).

    Raises
    ------
    ValueError
        If an option is none of those named, or the file is not what it should be: wrong hash, a pickle that asks for
        more than a table needs, missing columns, a row twice, a quality outside 0 to 1, a negative cost.
    ConnectionError
        If the file is neither cached nor reachable; see `fetch_file`.

    Notes
    -----
    Labels make answers of different models comparable: in multiple choice the letter, in GSM8K the last number,
    elsewhere the whole answer in lower case if it has at most 40 characters. An answer without such a label has ``""``
    and agrees with none. For post-hoc estimates compare the labels of models *that have run*; a table
    of agreement among all models would tell about answers not yet bought.

    Quality is 0 or 1 except in tasks graded by a model. In GSM8K the grades run from 0.25 to 0.75 for nearly
    all answers. Some low scores of 0-shot MMLU are artefacts: Llama 2 and Code Llama often answer just ``Answer``.

    The 365 queries of `fetch_routerbench_sample` are part of the zero-shot file. To test on it what was tuned on them,
    leave them out by their ids, as in the example.

    References
    ----------
    Hu et al., RouterBench: A Benchmark for Multi-LLM Routing System, arXiv 2403.12031 (2024). Dekoninck, Baader &
    Vechev, A Unified Approach to Routing and Cascading for LLMs, ICML 2025, section 5.

    Examples
    --------
    >>> full, sample = fetch_routerbench(), fetch_routerbench_sample()  # doctest: +SKIP
    >>> fresh = full.take(~full.query.index.isin(sample.query.index))  # doctest: +SKIP
    >>> pool = fresh.select(ROUTERBENCH_POOLS[3])  # doctest: +SKIP
    """
    address = _published(shots)
    if missing not in ("zero", "drop"):
        raise ValueError(f"missing must be 'zero' or 'drop'; got {missing!r}.")
    file = fetch_file(*address)
    frame = read_frame_pickle(file)
    if missing == "drop":
        frame = frame[frame[[name for name in frame if name in ROUTERBENCH_MODELS]].notna().all(axis=1)]
    return _outcomes(frame, file.name)


def routerbench_is_here(*, shots: int = 0) -> bool:
    """Return whether `fetch_routerbench` would find its file on this machine, so that nothing need be downloaded.

    Parameters
    ----------
    shots : {0, 5}
        As in `fetch_routerbench`.

    Raises
    ------
    ValueError
        If `shots` is neither 0 nor 5.

    Notes
    -----
    Looks into the cache and into the folder that `CASCADE_LIB_MIRROR` names, if it names one, and checks the hash.
    """
    return have_file(*_published(shots))


def fetch_routerbench_sample() -> Outcomes:
    """Fetch 365 queries of the zero-shot RouterBench, drawn at random by the makers of another benchmark (1 MB).

    Returns
    -------
    Outcomes
        The same tables as from `fetch_routerbench`. The standard error of a model's mean quality is about 0.025.

    Raises
    ------
    ValueError, ConnectionError
        As `fetch_routerbench`.

    References
    ----------
    FrontierCS/Frontier-CS on GitHub (MIT licence), ``research/problems/llm_router``; the rows are those of
    ``DataFrame.sample(frac=0.01, random_state=42)``.

    Examples
    --------
    >>> fetch_routerbench_sample().summary.round(4).loc["gpt-4-1106-preview", "quality"]  # doctest: +SKIP
    0.7815
    """
    file = fetch_file(SAMPLE_URL, SAMPLE_SHA256, path=SAMPLE_PATH)
    return _outcomes(pd.read_csv(file, keep_default_na=False), file.name)


def _published(shots: int) -> tuple[str, str]:
    """Return address and hash of a file."""
    if shots not in ROUTERBENCH_SHA256:
        raise ValueError(f"shots must be 0 or 5; got {shots!r}.")
    return ROUTERBENCH_URL.format(shots=shots), ROUTERBENCH_SHA256[shots]


def _outcomes(frame: pd.DataFrame, file: str) -> Outcomes:
    """Turn the wide table of RouterBench into outcomes, after checking it."""
    costs, responses = (
        [f"{model}|{part}" for model in ROUTERBENCH_MODELS] for part in ("total_cost", "model_response")
    )
    lacking = [
        c for c in ("sample_id", "prompt", "eval_name", *ROUTERBENCH_MODELS, *costs, *responses) if c not in frame
    ]
    if lacking:
        raise ValueError(f"{file} lacks the columns {', '.join(lacking)}: it is not a RouterBench table.")
    if (twice := frame.duplicated(["sample_id", "prompt"])).any():
        raise ValueError(f"{file} has the query {frame['sample_id'][twice].iloc[0]!r} twice.")
    query = _describe_queries(frame)
    return Outcomes(
        _figures(frame, list(ROUTERBENCH_MODELS), file, "a quality from 0 to 1", upper=1.0),
        _figures(frame, costs, file, "a cost of at least 0", upper=np.inf),
        models=ROUTERBENCH_MODELS,
        query=query,
        answer_features=_describe_answers(frame[responses], query["group"]),
        cost_unit="USD",
    )


def _figures(frame: pd.DataFrame, columns: list[str], file: str, what: str, *, upper: float) -> np.ndarray:
    """Return columns as floats, 0 for what is missing, refusing what is no number or out of range."""
    numbers = frame[columns].apply(pd.to_numeric, errors="coerce")  # the pickles keep quality as objects
    table = numbers.to_numpy(float, copy=True)
    table[frame[columns].isna()] = 0.0
    rows, places = np.nonzero(~((table >= 0) & (table <= upper)))
    if len(rows):
        query, column = frame["sample_id"].iloc[rows[0]], columns[places[0]]
        raise ValueError(f"{file}, query {query!r}, column {column!r}: {frame[column].iloc[rows[0]]!r} is not {what}.")
    return table


def _describe_queries(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what is known of each query before any call, indexed by sample id."""
    prompts = [_plain(text) for text in frame["prompt"]]
    features = {
        "task": frame["eval_name"].to_numpy(),
        "group": [_group(task) for task in frame["eval_name"]],
        "prompt": prompts,
        "n_chars": [len(text) for text in prompts],
        "n_words": [len(text.split()) for text in prompts],
        "n_lines": [text.count("\n") + 1 for text in prompts],
        "n_digits": [len(_DIGIT.findall(text)) for text in prompts],
        "n_choices": [len(_CHOICE.findall(text)) for text in prompts],
    }
    return pd.DataFrame(features, index=pd.Index(frame["sample_id"], name="sample_id"))


def _group(task: str) -> str:
    for family in ("mmlu", "mtbench"):
        if task.startswith(family):
            return family
    if task in ("hellaswag", "winogrande", "mbpp"):
        return task
    return _GROUPS.get(task, "other")


def _describe_answers(responses: pd.DataFrame, groups: Iterable[str]) -> dict[str, np.ndarray]:
    """Return what is known of each answer after the call, as tables of shape (n, k)."""
    shape, texts = responses.shape, [_plain(text) for text in responses.to_numpy().ravel()]
    kinds = np.repeat(np.asarray(groups), shape[1])
    tables: dict[str, Sequence[int] | np.ndarray] = {
        "n_chars": [len(text) for text in texts],
        "n_words": [len(text.split()) for text in texts],
        "answer": np.array([_label(text, kind) for text, kind in zip(texts, kinds, strict=True)], dtype=object),
    }
    return {name: np.reshape(values, shape) for name, values in tables.items()}


_DIGIT = re.compile(r"\d")
_CHOICE = re.compile(r"^[A-E]\) ?\S", re.M)
_LETTER = re.compile(r"[\s(\[]*([A-E])(?!\w|['’])")
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_SIMPLE = re.compile(r"\['([^'\\]*)'\]")


def _plain(text: object) -> str:
    """Undo the form in which the file keeps texts: a Python list of messages, written out."""
    if not isinstance(text, str):
        return ""  # no answer on record
    if not text.startswith("["):
        return text  # it is plain already
    if simple := _SIMPLE.fullmatch(text):
        return simple[1]  # most answers; the general way takes twenty times as long
    try:
        parts = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError):
        return text  # it only looks like a list
    return "\n".join(map(str, parts)) if isinstance(parts, list) else text


def _label(text: str, group: str) -> str:
    """Return the short label by which answers of different models to one query are compared, or ``""``."""
    if group in _CHOICES:
        letter = _LETTER.match(text)
        return letter[1] if letter else ""
    if group == "gsm8k":
        numbers = _NUMBER.findall(text)
        return f"{float(numbers[-1].replace(',', '')):.10g}" if numbers else ""
    short = " ".join(text.lower().split()).strip(" .,;:!?\"'。，")
    return short if len(short) <= 40 else ""
