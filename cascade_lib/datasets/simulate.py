"""Draws that look like RouterBench, for when neither the file nor the network is there."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from ..outcomes import Outcomes
from .routerbench import ROUTERBENCH_MODELS

SIMULATOR_FILE = Path(__file__).parents[1] / "data" / "routerbench_simulator.json"
LEVELS = np.array([0.0, 0.25, 0.5, 0.75, 1.0])


def simulate_routerbench(n: int, *, seed: int) -> Outcomes:
    """Draw `n` queries with the outcomes of the eleven models of RouterBench, without any file or network.

    Each query falls into a group (MMLU, HellaSwag, GSM8K, …) by chance. Within a group 34 numbers are drawn
    from a multivariate normal distribution: one for each model's quality, which cut points turn into 0, 0.25, …, 1; the
    logarithms of the prompt's length, of each model's cost and of the length of each answer. Answers also get labels:
    right ones agree, wrong ones agree with each other as often as in the data.

    Parameters
    ----------
    n : int
        Number of queries, at least 1.
    seed : int
        Seed of all draws; the same seed gives the same outcomes.

    Returns
    -------
    Outcomes
        Models, units and names as from `fetch_routerbench`, but `query` has no texts, only `group` and `n_chars`;
        `answer_features` has `n_chars` and `answer`. Costs are rounded to a billionth of a dollar, so that every
        machine gets the same bytes.

    Raises
    ------
    ValueError
        If `n` is less than 1.

    Notes
    -----
    All parameters were fitted to the 365 queries of `fetch_routerbench_sample` by
    ``scripts/fit_routerbench_simulator.py``. The draws therefore have the *sample's* means of quality and cost, within
    0.1 its correlations of quality between any two models, and within 0.01 the area under its curve of single models
    (11 models: 0.73 here, 0.72 in the sample, 0.705 in the full file). What they do not have:

    * the means of the full file, from which the sample's differ by up to 0.04 (Yi 34B: 0.685 here, 0.648 there);
    * difficulty that could be foreseen from a text: only group and length of the prompt are informative, so a learned
      router finds less than in the real data, where subjects of MMLU differ too;
    * good estimates for small groups: ARC, Winogrande, MBPP and the rest have 9 to 20 queries each and share
      one table of correlations;
    * dependence beyond pairs: all models have a grade of at least 0.5 on 5 % of the queries (sample: 7.7 %, standard
      error 1.4), none has on 4 % (4.9 %, 1.1), and the best of all models per query gains up to 0.01 in area;
    * the way in which real costs end: their tail here is lognormal;
    * MT-Bench, which the sample lacks, and the finer grades of some tasks.

    References
    ----------
    Hu et al., RouterBench: A Benchmark for Multi-LLM Routing System, arXiv 2403.12031 (2024).

    Examples
    --------
    >>> pool = simulate_routerbench(1000, seed=0)
    >>> len(pool), pool.k, pool.cost_unit
    (1000, 11, 'USD')
    >>> bool(pool.quality[:, pool.models.index("gpt-4-1106-preview")].mean() > 0.7)
    True
    """
    if n < 1:
        raise ValueError(f"n must be at least 1; got {n}.")
    rng = np.random.default_rng(seed)
    groups, roots = _parameters()
    k = len(ROUTERBENCH_MODELS)
    counts = np.array([group["queries"] for group in groups.values()])
    member = rng.choice(len(groups), size=n, p=counts / counts.sum())
    normal = rng.standard_normal((n, 3 * k + 1))
    quality, sizes, labels = np.empty((n, k)), np.empty((n, 2 * k + 1)), np.empty((n, k), dtype=object)
    for number, group in enumerate(groups.values()):
        rows = np.flatnonzero(member == number)
        latent = normal[rows] @ roots[group["correlation"]].T
        quality[rows] = _grade(latent[:, :k], np.array(group["probability"]))
        sizes[rows] = np.exp(group["log_mean"] + np.array(group["log_sd"]) * latent[:, k:])
        labels[rows] = _label(quality[rows], group, rng)
    lengths = np.maximum(np.rint(sizes), 1)
    # The last bits of a product of matrices depend on the machine; rounding takes them off, so that the same queries
    # are simulated everywhere. They are named after the seed, for `NoisyEstimator` draws noise by their names.
    return Outcomes(
        quality,
        sizes[:, 1 : k + 1].round(9),
        models=ROUTERBENCH_MODELS,
        query=pd.DataFrame(
            {"group": np.array(list(groups))[member], "n_chars": lengths[:, 0]},
            index=[f"simulated-{seed}-{i}" for i in range(n)],
        ),
        answer_features={"n_chars": lengths[:, k + 1 :].astype(int), "answer": labels},
        cost_unit="USD",
    )


@cache
def _parameters() -> tuple[dict[str, dict[str, Any]], dict[str, np.ndarray]]:
    """Return the groups' parameters and, by name, a root of each table of correlations."""
    content = json.loads(SIMULATOR_FILE.read_text(encoding="utf-8"))
    d = 3 * len(ROUTERBENCH_MODELS) + 1
    roots = {}
    for name, lower in content["correlations"].items():
        table = np.eye(d)
        table[np.tril_indices(d, -1)] = lower
        values, vectors = np.linalg.eigh(table + np.tril(table, -1).T)
        # Two digits are kept, so the smallest values may be below 0. One that should be exactly 0 comes out as some
        # 1e-17, whose root would not be small; its vector and sign depend on the machine.
        root = (vectors * np.sqrt(np.where(values > 1e-9, values, 0))) @ vectors.T
        roots[name] = (root / np.linalg.norm(root, axis=1, keepdims=True)).round(9)
    return content["groups"], roots


def _grade(latent: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Cut standard normal numbers, shape (n, k), so that level j occurs with ``probability[model, j]``."""
    cuts = ndtri(np.clip(probability.cumsum(axis=1)[:, :-1], 0, 1))
    return LEVELS[(latent[:, :, None] > cuts).sum(axis=2)]


def _label(quality: np.ndarray, group: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
    """Draw labels: one for all right answers, mostly one more for the wrong ones, and ``""`` for none at all.

    With `choices` labels to choose from, a wrong answer takes the query's favourite mistake with probability `lure`,
    otherwise any other mistake. Where every number is possible, other mistakes never agree.
    """
    n, k = quality.shape
    if group["choices"] == 0:
        return np.full((n, k), "", dtype=object)
    if group["choices"] is None:
        right = rng.integers(1, 200, size=(n, 1))
        other = 1000 + np.arange(n * k).reshape(n, k)
        names = np.arange(1000 + n * k).astype(str).astype(object)
        wrong = np.where(rng.random((n, k)) < group["lure"], 2 * right + 200, other)
    else:
        names = np.array(list("ABCD")[: group["choices"]], dtype=object)
        order = rng.permuted(np.tile(np.arange(len(names)), (n, 1)), axis=1)
        right, mistakes = order[:, :1], order[:, 1:]
        place = rng.integers(1, max(len(names) - 1, 2), size=(n, k)) * (rng.random((n, k)) >= group["lure"])
        wrong = np.take_along_axis(mistakes, np.minimum(place, len(names) - 2), axis=1)
    is_right = quality >= group["right_from"]
    silent = ~is_right & (rng.random((n, k)) < group["silent"])
    return np.where(silent, "", names[np.where(is_right, right, wrong)])
