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


def points_with_interval(comparison, digits=2):
    """Write a comparison of two areas in points with its interval, like “+0.10 [0.05, 0.15]”, on one line."""
    figures = (round(100 * x, digits) + 0.0 for x in (comparison.difference, comparison.low, comparison.high))
    return "{:+.{d}f} [{:.{d}f},\u00a0{:.{d}f}]".format(*figures, d=digits).replace("-", "−")


def saving_in_words(saving):
    """Write a saving with its interval; what is never reached saves nothing."""
    figures = (f"{share:.0%}" if share > -1 else "none" for share in (saving.share, saving.low, saving.high))
    return "{} [{},\u00a0{}]".format(*figures)


def cost_in_words(cost):
    """Write a mean cost, which is infinite for a quality that is never reached."""
    if not np.isfinite(cost):
        return "never"
    return f"{cost:.0f}" if cost > 10 else f"{cost:.2f}"


def lead_text(row):
    """Write the lead of a row with its interval, which are in points."""
    low, lead, high = (x + 0.0 for x in row[["low", "lead", "high"]].astype(float).round(1))
    return f"{lead:+.1f} [{low:.1f}, {high:.1f}]".replace("-", "−")


def saved_text(row):
    """Write the saving of a row with its interval; −∞ is a quality that is never reached."""
    shares = row[["saved", "saved low", "saved high"]].round(2)
    return "{} [{}, {}]".format(*(f"{x + 0.0:.0%}" if np.isfinite(x) else "never" for x in shares)).replace("-", "−")


def with_interval(runs, digits=1):
    """Write a value with the 95% interval of its bootstrap replicates, which follow it, like “+0.1 [−0.3, 0.5]”."""
    ends = np.quantile(runs[1:], [0.025, 0.975])
    value, low, high = (round(x, digits) + 0.0 for x in (runs[0], *ends))
    return f"{value:+.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]".replace("-", "−")


def split_as_share(values, ratio=1.0):
    """Write the mean share over random splits of one pool with its interval, like “12% [10%, 14%]”."""
    mean, half = float(np.mean(values)), split_margin(values, ratio)
    return f"{mean:.0%} [{mean - half:.0%},\u00a0{mean + half:.0%}]".replace("-", "−")
