"""The expected maximum of all sets of models: accuracy, and speed against the Monte Carlo of a plain implementation.

The baseline values the sets of one query, one after the other, each by the mean over the same 100 draws in NumPy.
"""

import itertools

import numpy as np
from scipy.integrate import quad
from scipy.special import ndtr
from timing import median_seconds, seconds

from cascade_lib.theory import expected_max

DRAWS = 100


def plain_values(mean, spread, best, draws):
    """Return the value of every set for one query, by looping over the sets in the order of `combinations`."""
    samples = mean + spread * draws
    values = {(): best}
    for size in range(1, len(mean) + 1):
        for models in itertools.combinations(range(len(mean)), size):
            values[models] = np.maximum(samples[:, models].max(axis=1), best).mean()
    return values


def precise_value(mean, spread, best):
    """Return the value of one set to about 1e-14, by adaptive integration between break points around the means."""
    high = max(best, (mean + 9 * spread).max())
    knots = np.unique(np.clip(np.concatenate([[best, high], *(mean + z * spread for z in (-4, 0, 4))]), best, high))
    pieces = itertools.pairwise(knots)
    miss = lambda t: 1 - np.prod(ndtr((t - mean) / spread))  # noqa: E731
    return best + sum(quad(miss, low, end, epsabs=1e-15, epsrel=1e-12)[0] for low, end in pieces)


def errors(u, mean, spread, best, sets=100):
    """Return the errors of the library and of the plain loop on a sample of the sets of some queries."""
    rng = np.random.default_rng(1)
    value = expected_max(mean, spread, best)
    ours, plain = [], []
    for row in range(len(mean)):
        sampled = plain_values(mean[row], spread[row], best[row], rng.normal(size=(DRAWS, u)))
        for number in rng.choice(np.arange(1, 2**u), size=min(sets, 2**u - 1), replace=False):
            models = tuple(i for i in range(u) if number >> i & 1)
            truth = precise_value(mean[row, list(models)], spread[row, list(models)], best[row])
            ours.append(value[row, number] - truth)
            plain.append(sampled[models] - truth)
    return np.abs(ours), np.abs(plain)


def rows():
    """Yield (what, unit, figure), all measured in this run."""
    rng = np.random.default_rng(0)
    for u, queries, loops in ((2, 20_000, 200), (5, 20_000, 50), (11, 1_000, 5)):
        mean, spread = rng.random((queries, u)), rng.uniform(0.05, 0.4, (queries, u))
        best = rng.random(queries)
        ours, plain = errors(u, mean[:10], spread[:10], best[:10])
        draws = rng.normal(size=(DRAWS, u))
        batch = seconds(lambda m=mean, s=spread, b=best: expected_max(m, s, b)) / queries
        alone = median_seconds(
            [lambda i=i, m=mean, s=spread, b=best: expected_max(m[[i]], s[i], b[i]) for i in range(200)]
        )
        loop = median_seconds(
            [lambda i=i, m=mean, s=spread, b=best, z=draws: plain_values(m[i], s[i], b[i], z) for i in range(loops)]
        )
        yield f"largest error of the library, u = {u}", "quality", ours.max()
        yield f"largest error of {DRAWS} draws, u = {u}", "quality", plain.max()
        yield f"all {2**u:,} sets, u = {u}, per row of {queries:,}", "µs", 1e6 * batch
        yield f"all {2**u:,} sets, u = {u}, one row alone (median)", "µs", 1e6 * alone
        yield f"all {2**u:,} sets, u = {u}, plain Python, {DRAWS} draws (median)", "µs", 1e6 * loop
        yield f"plain Python / library, u = {u}, many rows", "×", loop / batch
        yield f"plain Python / library, u = {u}, one row", "×", loop / alone
