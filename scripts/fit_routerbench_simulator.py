"""Fit the parameters of `simulate_routerbench` to the RouterBench sample and write them to the package's data.

    python scripts/fit_routerbench_simulator.py            # writes cascade_lib/data/routerbench_simulator.json

Needs the sample (1 MB, fetched and checked by `fetch_routerbench_sample`). The same sample gives the same file.
"""

import json
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri
from scipy.stats import norm

from cascade_lib import Outcomes
from cascade_lib.datasets import fetch_routerbench_sample
from cascade_lib.datasets.routerbench import SAMPLE_SHA256
from cascade_lib.datasets.simulate import LEVELS, SIMULATOR_FILE

OWN_CORRELATION = ("mmlu", "hellaswag", "gsm8k")  # the other groups are too small and share one
CHOICES = {"mmlu": 4, "hellaswag": 4, "arc": 4, "winogrande": 2, "gsm8k": None}  # None: any number
RIGHT_FROM = {"gsm8k": 0.5}  # numbers with a grade of 0.5 or more agree in nine pairs of ten; elsewhere 1 is right
LIMIT = 0.95  # of a latent correlation: with few queries, pairs that never differ say nothing more
GRID = ndtri((np.arange(1000) + 0.5) / 1000)


def main() -> None:
    SIMULATOR_FILE.write_text(write(fit(fetch_routerbench_sample())), encoding="utf-8")


def write(parameters: dict) -> str:
    """Return JSON with one line per group and table: small, and readable in a diff."""
    parts = []
    for name, content in parameters.items():
        lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in content.items()]
        parts.append(f"{json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n}")
    return "{" + ",\n".join(parts) + "}\n"


def fit(sample: Outcomes) -> dict:
    """Return everything the simulator needs, rounded."""
    label = sample.query["group"].to_numpy()
    sizes = np.log(
        np.column_stack([sample.query["n_chars"], sample.cost, np.maximum(sample.answer_features["n_chars"], 1)])
    )
    groups, scores = {}, np.empty_like(sizes)
    for name in pd.unique(label):
        rows = label == name
        sd = sizes[rows].std(axis=0)
        mean = np.log(np.exp(sizes[rows]).mean(axis=0)) - sd**2 / 2  # meets the mean itself, not that of logarithms
        scores[rows] = (sizes[rows] - sizes[rows].mean(axis=0)) / np.where(sd > 0, sd, 1)
        groups[name] = {
            "queries": int(rows.sum()),
            "correlation": name if name in OWN_CORRELATION else "rest",
            "probability": (sample.quality[rows, :, None] == LEVELS).mean(axis=0),
            "log_mean": mean,
            "log_sd": sd,
            **labels(sample.take(rows), name),
        }
    tables = {}
    for name in (*OWN_CORRELATION, "rest"):
        rows = np.array([groups[group]["correlation"] == name for group in label])
        tables[name] = correlations(sample.quality[rows], scores[rows], label[rows], groups)
    lower = {name: np.round(table[np.tril_indices(len(table), -1)], 2) + 0.0 for name, table in tables.items()}
    source = {"sample": SAMPLE_SHA256, "script": "scripts/fit_routerbench_simulator.py"}
    return plain({"source": source, "groups": groups, "correlations": lower})


def plain(value: object) -> object:
    """Turn arrays into lists and round to six significant digits."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(part) for part in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def labels(part: Outcomes, name: str) -> dict:
    """How often wrong answers have no label, and how strongly one mistake attracts the others."""
    choices, right_from = CHOICES.get(name, 0), RIGHT_FROM.get(name, 1.0)
    answer, wrong = part.answer_features["answer"], part.quality < right_from
    silent = ((answer == "") & wrong).sum(axis=0) / np.maximum(wrong.sum(axis=0), 1)
    both = same = 0
    for i, j in combinations(range(part.k), 2):
        pair = wrong[:, i] & wrong[:, j] & (answer[:, i] != "") & (answer[:, j] != "")
        both, same = both + pair.sum(), same + (answer[pair, i] == answer[pair, j]).sum()
    return {"choices": choices, "right_from": right_from, "lure": lure(same / max(both, 1), choices), "silent": silent}


def lure(agreement: float, choices: int | None) -> float:
    """Solve lure² + (1 − lure)² / (choices − 2) = agreement for the larger root."""
    if choices is None:
        return float(np.sqrt(agreement))
    if choices <= 2:
        return 1.0
    others = choices - 2
    root = np.sqrt(max(1 - (1 + others) * (1 - others * agreement), 0))
    return float(min((1 + root) / (1 + others), 1.0))


def correlations(quality: np.ndarray, scores: np.ndarray, label: np.ndarray, groups: dict) -> np.ndarray:
    """Return the correlations of the latent numbers behind quality (k) and of the scores of sizes (2 k + 1)."""
    k = quality.shape[1]
    parts = [(quality[label == name], scores[label == name], cuts(groups[name])) for name in pd.unique(label)]
    table = np.eye(k + scores.shape[1])
    table[k:, k:] = np.corrcoef(scores.T + 1e-9 * np.arange(len(scores)))  # a constant column correlates with none
    for i, j in combinations(range(k), 2):
        table[i, j] = table[j, i] = between_qualities(parts, i, j)
    for i in range(k):
        slope = sum(len(q) * steps(cut[i]) for q, _, cut in parts)
        shared = sum((q[:, i] - q[:, i].mean()) @ s for q, s, _ in parts)
        table[i, k:] = table[k:, i] = np.clip(shared / max(slope, 1e-9), -LIMIT, LIMIT)
    return nearest_correlation(table)


def cuts(group: dict) -> np.ndarray:
    return ndtri(np.clip(np.asarray(group["probability"]).cumsum(axis=1)[:, :-1], 0, 1))


def steps(cut: np.ndarray) -> float:
    """Covariance of a quality with its latent number: each cut adds its step times the density there."""
    return float(np.diff(LEVELS) @ norm.pdf(cut))


def between_qualities(parts: list, i: int, j: int) -> float:
    """Return the latent correlation at which the product of two qualities has the mean it has in the data."""

    def excess(rho: float) -> float:
        total = 0.0
        for quality, _, cut in parts:
            first = LEVELS[(GRID[:, None] > cut[i]).sum(axis=1)]
            second = ndtr((rho * GRID[:, None] - cut[j]) / np.sqrt(1 - rho**2)) @ np.diff(LEVELS)
            total += len(quality) * (first * second).mean() - quality[:, i] @ quality[:, j]
        return total

    low, high = excess(-LIMIT), excess(LIMIT)
    if low >= 0 or high <= 0:
        return -LIMIT if low >= 0 else LIMIT
    return brentq(excess, -LIMIT, LIMIT, xtol=1e-6)


def nearest_correlation(table: np.ndarray) -> np.ndarray:
    """Higham's alternating projections: the nearest positive semidefinite table with ones on the diagonal."""
    current, correction = table.copy(), np.zeros_like(table)
    for _ in range(500):
        values, vectors = np.linalg.eigh(current - correction)
        projected = (vectors * np.maximum(values, 1e-6)) @ vectors.T
        correction = projected - (current - correction)
        current = projected.copy()
        np.fill_diagonal(current, 1.0)
    return current


if __name__ == "__main__":
    main()
