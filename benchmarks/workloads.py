"""The workload that the benchmarks share: as many queries as RouterBench, with noisy and then calibrated estimates.

Mean quality and mean cost of the eleven models are those of the 365-query sample of RouterBench (Hu et al. 2024) that
FrontierCS publishes; everything else is drawn here, so that the benchmarks need no download. Only speed is measured
on it, so its qualities need not be realistic beyond that.
"""

import numpy as np

from cascade_lib import NoisyEstimator, Outcomes, TabulatedEstimator

QUERIES = 36_497
MODELS = {  # mean quality, mean cost in USD per 1,000 queries
    "mistral-7b-chat": (0.3041, 0.0465),
    "WizardLM-13B": (0.4397, 0.0742),
    "mixtral-8x7b-chat": (0.5596, 0.1375),
    "code-llama-34b": (0.2178, 0.1733),
    "Yi-34B-Chat": (0.6849, 0.1926),
    "llama-2-70b-chat": (0.3041, 0.2059),
    "claude-instant-v1": (0.6370, 0.2375),
    "gpt-3.5-turbo": (0.6336, 0.2443),
    "claude-v1": (0.6260, 2.2196),
    "claude-v2": (0.6390, 2.5303),
    "gpt-4": (0.7815, 3.5907),
}
FIVE = ["mistral-7b-chat", "code-llama-34b", "Yi-34B-Chat", "llama-2-70b-chat", "claude-v2"]


def simulate(n: int, models=tuple(MODELS), *, noise=(0.6, 0.3), seed: int = 0) -> tuple[Outcomes, TabulatedEstimator]:
    """Draw n queries and the estimates of the paper's simulation: truth plus noise, calibrated by regression."""
    rng = np.random.default_rng(seed)
    quality_mean, cost_mean = np.array([MODELS[name] for name in models]).T
    ease = rng.normal(size=(n, 1))
    level = np.log(quality_mean / (1 - quality_mean)) * 1.4
    quality = (rng.random((n, len(models))) < 1 / (1 + np.exp(-(level + 1.2 * ease)))).astype(float)
    cost = cost_mean * np.exp(rng.normal(-0.125, 0.5, (n, 1)))
    pool = Outcomes(quality, cost, models=models, cost_unit="USD per 1,000 queries")
    return pool, NoisyEstimator(noise, (0.2, 0.05), seed=seed).fit(pool).tabulate(pool)
