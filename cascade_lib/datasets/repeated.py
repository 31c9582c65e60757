"""Repeated samples: how often each of some 30 to 50 models was right on a question, out of up to 1,100 answers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from .. import _checks
from .._arrays import Floats, Ints
from ..outcomes import Outcomes
from .fetch import fetch_file

REPEATED_URL = (
    "https://raw.githubusercontent.com/all-the-noises/all-the-noises.github.io/929a82c51850af814dabdc333a643c4bc1b4267c/"
    "{folder}/assets/tables/input_table_{task}.csv"
)
REPEATED_TASKS = {
    "human_eval_plus": ("highk_temp0.7", "dbc29dae2abd524d323d2464a76fc54335b4bcd42ab6b3444a1b29f6f41f2929"),
    "math500_cot": ("highk_temp0.7", "21d0c4fc8912e2c8bb5ff26f07d7611c2cb47ec6d2317b94c928ea76cebf808b"),
    "aime2025_cot": ("highk_temp0.7", "011a6c3b27c0b693ea4efee59d4a55d1f96c9fe5f48415b7412d6f679cb031b8"),
    "gpqa_cot": ("lowk_temp0.7", "a3800e3a946b7bc71b76885fd5fde64007ce6d6131ce8ed00b46edd6cbeb247b"),
    "lsat_cot": ("lowk_temp0.7", "f376203080ac82c2f561299e394f890336868e7d4c1aba72b9737bd1c0c045d7"),
    "mbpp": ("lowk_temp0.7", "fd3cafb870282d6a8345bca811e4bfcf11cb01259807446ccd62c1d8248c6bbc"),
    "lcb_codegen_v6": ("main", "282a46baab222588068b6d9d49f5b6e7cc0ac5df8ceaeb460840cd6014dcad8a"),
}
"""The tasks of `fetch_repeated_samples`, each with the folder and the SHA-256 of its table."""
_BILLIONS = re.compile(r"(?<![a-z\d.])(?:(\d+)x)?(\d+(?:\.\d+)?)b(?![a-z\d])", re.I)


@dataclass(frozen=True, eq=False, repr=False)
class RepeatedSamples:
    r"""How often each of k models was right on each of n questions, when asked several times.

    Parameters
    ----------
    task : str
        Name of the task.
    models : tuple of k str
        Names of the models.
    query : pandas.DataFrame with n rows
        What is known of the questions; its index holds their ids.
    count : int array, shape (n, k)
        How often the model was asked; 0 where it never was.
    correct : int array, shape (n, k)
        How often it was right.
    temperature : float
        At which the answers were sampled; NaN where this was not recorded.

    Raises
    ------
    ValueError
        If shapes disagree, a count is not a whole number of at least 0, or `correct` is more than `count`.

    Examples
    --------
    >>> questions = pd.DataFrame(index=["first", "second"])
    >>> count, correct = np.array([[4, 4], [4, 2]]), np.array([[1, 4], [0, 1]])
    >>> samples = RepeatedSamples("sums", ("tiny-1b", "tiny-4b"), questions, count, correct, temperature=0.7)
    >>> samples
    RepeatedSamples of sums: 2 questions × 2 models, 2 to 4 samples per cell, temperature 0.7
    >>> samples.rate
    array([[0.25, 1.  ],
           [0.  , 0.5 ]])
    """

    task: str
    models: tuple[str, ...]
    query: pd.DataFrame
    count: Ints
    correct: Ints
    temperature: float

    def __post_init__(self) -> None:
        """Check and freeze the counts."""
        shape = (len(self.query), len(self.models))
        object.__setattr__(self, "models", _checks.names(self.models, shape[1]))
        for name in ("count", "correct"):
            given = np.asarray(getattr(self, name))
            if given.shape != shape:
                raise ValueError(
                    f"{name} must have one row per question and one column per model, {shape}; got {given.shape}."
                )
            whole = given.astype(np.int64)
            if (whole != given).any() or (whole < 0).any():
                raise ValueError(f"{name} must hold whole numbers of at least 0.")
            whole.flags.writeable = False
            object.__setattr__(self, name, whole)
        if (self.correct > self.count).any():
            row, column = np.argwhere(self.correct > self.count)[0]
            raise ValueError(
                f"correct must not exceed count; it does for {self.models[column]!r} on {self.query.index[row]!r}."
            )

    @cached_property
    def rate(self) -> Floats:
        """The share of right answers, shape (n, k); NaN where a model was never asked."""
        missing = np.full(self.count.shape, np.nan)
        return np.divide(self.correct, self.count, out=missing, where=self.count > 0)

    @cached_property
    def billions(self) -> pd.Series:
        """The size of each model in billions of parameters as its name says it; NaN if it does not.

        "8x7b" is 56. Of two sizes in a name, such as 235B-A22B, the first is taken: all parameters, not those that
        are active.
        """
        found = [_BILLIONS.search(name) for name in self.models]
        sizes = [float(match[1] or 1) * float(match[2]) if match else np.nan for match in found]
        return pd.Series(sizes, index=list(self.models), name="billions")

    def select(self, models: Sequence[str]) -> RepeatedSamples:
        """Return the samples of the models named, in the order named.

        Raises
        ------
        TypeError
            If `models` is a single string.
        ValueError
            If a name is unknown, occurs twice or there is none.
        """
        models = _checks.names(models, len(models))
        unknown = [name for name in models if name not in self.models]
        if unknown or not models:
            raise ValueError(f"models not among these: {', '.join(unknown)}. There are {', '.join(self.models)}.")
        at = [self.models.index(name) for name in models]
        return RepeatedSamples(self.task, models, self.query, self.count[:, at], self.correct[:, at], self.temperature)

    def success(self, n: int) -> Floats:
        r"""Return the chance that at least one of `n` samples is right, for each question and model.

        Parameters
        ----------
        n : int
            How many samples are drawn, at least 1 and at most as many as were taken of every cell.

        Returns
        -------
        array, shape (n questions, k)

        Raises
        ------
        ValueError
            If `n` is not a whole number of at least 1, or some cell has fewer samples; the message names the models.

        Notes
        -----
        Of m samples r are right. Drawing n of them without replacement misses all right ones with probability
        :math:`\binom{m-r}{n} / \binom{m}{n}`; one minus this is unbiased for :math:`1 - (1 - p)^n`, which the rate in
        place of p is not.

        Examples
        --------
        >>> count, correct = np.array([[4]]), np.array([[1]])
        >>> samples = RepeatedSamples("sums", ("tiny-1b",), pd.DataFrame(index=["first"]), count, correct, 0.7)
        >>> samples.success(2)
        array([[0.5]])
        """
        if isinstance(n, bool) or n != int(n) or n < 1:
            raise ValueError(f"n must be a whole number of at least 1; got {n!r}.")
        few = [name for name, least in zip(self.models, self.count.min(axis=0), strict=True) if least < n]
        if few:
            raise ValueError(
                f"n is {n}, but some questions have fewer samples of {', '.join(few)}. Take a smaller n, or select "
                "other models."
            )
        wrong, missed = self.count - self.correct, np.ones(self.count.shape)
        for drawn in range(int(n)):
            missed *= np.clip(wrong - drawn, 0, None) / (self.count - drawn)
        return 1 - missed

    def draw(self, seed: int, *, cost: Mapping[str, float] | None = None) -> Outcomes:
        """Return outcomes with one of the samples in each cell, drawn at random.

        Parameters
        ----------
        seed : int
            Seed of the draw.
        cost : mapping of str to float, optional
            What one sample of each model costs. Default: its size in billions of parameters, `billions`. That is an
            assumption: cost proportional to parameters, and answers of all models equally long.

        Returns
        -------
        Outcomes
            `quality` is 1 where the sample drawn is right; `cost` is the same for all questions.

        Raises
        ------
        ValueError
            If a model has no cost, or was never asked some question; the message names the models.

        Examples
        --------
        >>> count = np.array([[4]])
        >>> samples = RepeatedSamples("sums", ("tiny-1b",), pd.DataFrame(index=["first"]), count, count, 0.7)
        >>> samples.draw(seed=0)
        Outcomes: 1 queries × 1 models, cost in billions of parameters
                 quality  cost
        tiny-1b        1     1
        """
        prices = self._costs(cost)
        if missing := [name for name, least in zip(self.models, self.count.min(axis=0), strict=True) if not least]:
            raise ValueError(f"some questions have no sample of {', '.join(missing)}. Select other models.")
        right = np.random.default_rng(seed).random(self.rate.shape) < self.rate
        return Outcomes(
            right,
            np.broadcast_to(prices, right.shape),
            models=self.models,
            query=self.query,
            cost_unit="billions of parameters" if cost is None else "",
        )

    def _costs(self, cost: Mapping[str, float] | None) -> Floats:
        given = self.billions.to_dict() if cost is None else cost
        prices = np.array([float(given.get(name, np.nan)) for name in self.models])
        if lacking := [name for name, price in zip(self.models, prices, strict=True) if np.isnan(price)]:
            known = "the names tell no size" if cost is None else "cost has no entry"
            raise ValueError(
                f"{known} for {', '.join(lacking)}. Pass cost= with one number for each model, or select other models."
            )
        return prices

    def to_frame(self) -> pd.DataFrame:
        """Return a long table with one row per question and model that was asked: count, correct and rate."""
        rows, columns = np.nonzero(self.count)
        return pd.DataFrame(
            {
                "query": self.query.index.to_numpy()[rows],
                "model": np.array(self.models, dtype=object)[columns],
                "count": self.count[rows, columns],
                "correct": self.correct[rows, columns],
                "rate": self.rate[rows, columns],
            }
        )

    def __repr__(self) -> str:
        """Return what there is."""
        n, k = self.count.shape
        least, most = self.count.min(), self.count.max()
        each = f"{least:,}" if least == most else f"{least:,} to {most:,}"
        warmth = "unknown" if np.isnan(self.temperature) else f"{self.temperature:g}"
        return (
            f"RepeatedSamples of {self.task}: {n:,} questions × {k} models, {each} samples per cell, "
            f"temperature {warmth}"
        )


def fetch_repeated_samples(task: str = "human_eval_plus") -> RepeatedSamples:
    """Fetch how often 33 to 51 models were right on each question of a benchmark, asked many times (0.1 to 3 MB).

    Parameters
    ----------
    task : str
        One of the names in the table below. In human_eval_plus, mbpp and lcb_codegen_v6 tests tell a right program, so
        that of several samples the right one can be found; in the others only a judge could.

    Returns
    -------
    RepeatedSamples

    Raises
    ------
    ConnectionError
        If the file is neither cached nor reachable; see `fetch_file`.
    ValueError
        If `task` is unknown, or the file does not hold what is expected.

    Notes
    -----
    ===============  =========  ======  ==========  ==========  ====================
    task             questions  models  samples     best model  best per question
    ===============  =========  ======  ==========  ==========  ====================
    human_eval_plus        164      49  7-1,100          0.776                 0.897
    math500_cot            500      48  8-1,100          0.865                 0.938
    aime2025_cot            30      50  140-1,100        0.266                 0.332
    gpqa_cot               448      51  7-17             0.494                 0.933
    lsat_cot               403      45  1-15             0.801                 0.977
    mbpp                   500      35  10-15            0.722                 0.900
    lcb_codegen_v6       1,055      33  1-10             0.873                 0.960
    ===============  =========  ======  ==========  ==========  ====================

    *The last column* takes the largest rate on each question. With few samples this is much too high, for it picks the
    luckiest model; only where there are 50 samples or more does it say how well models complement each other.

    Temperature is 0.7, except for lcb_codegen_v6, where it was not recorded; that table has the same model at
    several efforts ("O4-Mini (Low)", "(Medium)", "(High)"), and each question's `date`. There is no text, no number of
    tokens and no cost. The questions of these benchmarks were public when most of the models were made.

    The repository states no licence. The tables are downloaded from it and are no part of this package; cite the paper.

    References
    ----------
    Measuring all the noises of LLM evals, arXiv 2512.21326 (2025); all-the-noises/all-the-noises.github.io on GitHub.

    Examples
    --------
    >>> samples = fetch_repeated_samples()  # doctest: +SKIP
    >>> coder = samples.select(["qwen2.5-coder-7b-instruct", "qwen2.5-coder-32b-instruct"])  # doctest: +SKIP
    >>> [coder.success(n).mean(axis=0).round(3).tolist() for n in (1, 4, 16)]  # doctest: +SKIP
    [[0.474, 0.75], [0.766, 0.852], [0.877, 0.881]]
    >>> fetch_repeated_samples("humaneval")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: task must be one of 'human_eval_plus', ...; got 'humaneval'.
    """
    if task not in REPEATED_TASKS:
        raise ValueError(f"task must be one of {', '.join(map(repr, REPEATED_TASKS))}; got {task!r}.")
    folder, sha256 = REPEATED_TASKS[task]
    url = REPEATED_URL.format(folder=folder, task=task)
    return _read(fetch_file(url, sha256, path=f"all_the_noises/{folder}/input_table_{task}.csv"), task)


def _read(file: Path, task: str) -> RepeatedSamples:
    table = pd.read_csv(file)
    lacking = [name for name in ("model", "example_id", "count", "pass1") if name not in table]
    if lacking:
        raise ValueError(f"{file.name} lacks the columns {', '.join(lacking)}: it is not a table of repeated samples.")
    if table.duplicated(["model", "example_id"]).any():
        raise ValueError(f"{file.name} has a pair of model and question twice.")
    right = table["pass1"] * table["count"]
    table["correct"] = right.round() if "correct" not in table else table["correct"]
    if (abs(right - table["correct"]) > 0.01).any():
        raise ValueError(f"{file.name}: count, correct and pass1 contradict each other.")
    temperatures = table["temperature"].unique() if "temperature" in table else [np.nan]
    if len(temperatures) > 1:
        raise ValueError(f"{file.name} mixes the temperatures {', '.join(map(str, temperatures))}.")
    grid = table.pivot(index="example_id", columns="model", values=["count", "correct"]).fillna(0)
    query = pd.DataFrame(index=grid.index)
    if "date" in table:
        query["date"] = pd.to_datetime(table.groupby("example_id")["date"].first(), unit="ms")
    models = tuple(grid["count"].columns)
    counts, correct = (grid[name].to_numpy() for name in ("count", "correct"))
    return RepeatedSamples(task, models, query, counts, correct, float(temperatures[0]))
