"""How a mean over independent draws is written, with an interval that covers whatever differs between the draws."""

import numpy as np
from scipy.stats import t


def margin(values, axis=-1):
    """Return half the 95% t interval of the mean over draws."""
    values = np.asarray(values)
    n = values.shape[axis]
    return t.ppf(0.975, n - 1) * values.std(axis=axis, ddof=1) / np.sqrt(n)


def in_words(values, digits=2):
    """Write the mean over draws with its margin, like “+0.10 ± 0.03”."""
    mean = round(float(np.mean(values)), digits) + 0.0  # no −0.00
    return f"{mean:+.{digits}f} ± {margin(values):.{digits}f}".replace("-", "−")


def settled(values):
    """Return +1 if the interval of the mean lies above zero, −1 if below, 0 if it holds zero."""
    return int(np.sign(np.mean(values)) * (abs(np.mean(values)) > margin(values)))


def split_margin(values, ratio, axis=-1):
    """Return half the 95% interval for a random split of one pool; `ratio` is test queries over training queries.

    Splits of one pool share queries, so their standard error is enlarged as Nadeau and Bengio (2003) propose.
    """
    values = np.asarray(values)
    n = values.shape[axis]
    return t.ppf(0.975, n - 1) * values.std(axis=axis, ddof=1) * np.sqrt(1 / n + ratio)


def split_in_words(values, ratio=1.0, digits=2):
    """Write the mean over random splits of one pool with its interval, like “+0.10 [0.05, 0.15]”."""
    mean, half = float(np.mean(values)), split_margin(values, ratio)
    ends = (round(end, digits) + 0.0 for end in (mean - half, mean + half))
    return "{:+.{d}f} [{:.{d}f}, {:.{d}f}]".format(round(mean, digits) + 0.0, *ends, d=digits).replace("-", "−")


def split_as_share(values, ratio=1.0):
    """Write the mean share over random splits of one pool with its interval, like “12% [10%, 14%]”."""
    mean, half = float(np.mean(values)), split_margin(values, ratio)
    return f"{mean:.0%} [{mean - half:.0%},\u00a0{mean + half:.0%}]".replace("-", "−")
