"""Timing that all benchmarks share."""

from statistics import median
from time import perf_counter


def seconds(work, *, runs: int = 3) -> float:
    """Return the least time that `work` took in `runs` runs."""
    return min(once(work) for _ in range(runs))


def median_seconds(works) -> float:
    """Return the median time of several pieces of work, after one warm-up."""
    works[0]()
    return median(once(work) for work in works)


def once(work) -> float:
    """Return how long `work` took."""
    start = perf_counter()
    work()
    return perf_counter() - start
