"""What two models save at the quality of the expensive one, if estimates are normal.

The page "What would two models save?" derives the formula. The landing page computes it once more, in JavaScript.
"""

from scipy.optimize import brentq
from scipy.stats import norm

FAR = 9.0  # standard deviations; what lies beyond has no weight in double precision


def cheap_share(gap: float, spread: float) -> float:
    """Return the largest share of cheap answers that leaves the mean quality at that of the expensive model.

    The expensive model is better by `gap` on average; the estimates of this difference have the standard deviation
    `spread` over queries.
    """
    if gap <= 0:
        return 1.0
    if gap >= FAR * spread:
        return 0.0
    return float(norm.cdf(brentq(lambda z: spread * norm.pdf(z) - gap * norm.cdf(z), -FAR, FAR, xtol=1e-13)))


def savings(
    prices: tuple[float, float], accuracies: tuple[float, float], before: float, after: float
) -> tuple[float, float]:
    """Return what is saved per query by choosing before a call, and by asking the cheap model first.

    `prices` and `accuracies` are those of the cheap and of the expensive model. `before` is the R² of the estimates of
    both before a call, `after` that of the estimate for the cheap model once it has answered. A saving below zero is a
    loss.
    """
    (low, high), (worse, better) = prices, accuracies
    variances = worse * (1 - worse), better * (1 - better)
    routed = cheap_share(better - worse, (before * sum(variances)) ** 0.5)
    looked = cheap_share(better - worse, (after * variances[0] + before * variances[1]) ** 0.5)
    return routed * (high - low), looked * high - low
