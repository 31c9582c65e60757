"""A study as one HTML file that needs nothing else: tables, figures and findings, to be mailed or archived."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from html import escape
from string import Template

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .. import plots
from .studies import Study

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; }
figure { margin: 1rem 0; } img { max-width: 100%; height: auto; }
.table { overflow-x: auto; } table { border-collapse: collapse; font-size: 0.9rem; }
th, td { padding: 0.25rem 0.7rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child { text-align: left; }
.found { background: #eef4f8; border-left: 4px solid #0072b2; padding: 0.5rem 1rem; }
@media print { h2 { break-after: avoid; } figure, table { break-inside: avoid; } }
</style>
</head>
<body>
<h1>$title</h1>
$body
</body>
</html>
""")


def to_html(study: Study, *, title: str) -> str:
    """Return a report on a study as a self-contained HTML document.

    Parameters
    ----------
    study : Study
        The study.
    title : str
        The heading, e.g. the name of the log.

    Returns
    -------
    str
        Findings, the pool, all curves and their table, a ladder of budgets for the recommended strategy, and the
        diagnostics of the estimates. Figures are inside; nothing is loaded from elsewhere.

    Examples
    --------
    >>> import numpy as np
    >>> from cascade_lib import Outcomes, study
    >>> right = np.random.default_rng(0).random((200, 2)) < [0.5, 0.9]
    >>> log = Outcomes(right, np.tile([1.0, 5.0], (200, 1)), answer_features={"score": np.where(right, 0.9, 0.1)})
    >>> page = to_html(study(log, resamples=100), title="two <models>")
    >>> page.count("data:image/png;base64,"), "<h1>two &lt;models&gt;</h1>" in page, "http" in page
    (3, True, False)
    """
    with plt.rc_context(plots.STYLE):
        body = "\n".join(_sections(study))
    return _PAGE.substitute(title=escape(title), body=body)


def _sections(study: Study) -> Iterator[str]:
    unit = escape(study.test.cost_unit or "units of cost")
    yield f"<div class='found'>{''.join(f'<p>{escape(line)}</p>' for line in study.words)}</div>"
    yield "<h2>The pool</h2>"
    yield _figure(study.test.plot(), "Every model by its mean cost and mean quality on the held-out queries.")
    yield _table(study.test.summary, 4)
    yield "<h2>Every strategy at every budget</h2>"
    yield _figure(study.plot(), "Mean quality against mean cost per query, for all strategies and all budgets.")
    yield _table(study.table, 2)
    yield (
        f"<p>AUC: mean quality × 100 over all budgets between the cheapest and the most expensive model. Lead: over "
        f"the single models, with a 95% paired bootstrap interval. Cost at best: {unit} per query at which the curve "
        f"reaches the quality of the best single model.</p>"
    )
    chosen = study.deployed
    yield f"<h2>Budgets: {escape(chosen)}</h2>"
    yield "<p>Policies fitted to a budget on calibration queries: what they spent and achieved on held-out ones.</p>"
    yield _table(study.budgets(chosen).reset_index(), 4, index=False)
    yield "<h2>How good are the estimates?</h2>"
    yield _figure(study.diagnosis.plot()[0], "Mean quality against estimate, before and after each call.")
    yield _table(study.diagnosis.skill.reset_index(names=["model", "moment"]), 3, index=False)
    yield _table(study.diagnosis.coverage, 3)
    yield "".join(f"<p>{escape(line)}</p>" for line in study.diagnosis.words)


def _figure(ax: Axes, words: str) -> str:
    """Return the figure that `ax` belongs to as an image within the page, and close it."""
    png = io.BytesIO()
    assert isinstance(ax.figure, Figure)  # not a part of one
    ax.figure.savefig(png, format="png", dpi=110)
    plt.close(ax.figure)
    data = base64.b64encode(png.getvalue()).decode("ascii")
    image = f"<img alt='{escape(words)}' src='data:image/png;base64,{data}'>"
    return f"<figure>{image}<figcaption>{escape(words)}</figcaption></figure>"


def _table(frame: pd.DataFrame, digits: int, *, index: bool = True) -> str:
    shown = frame.to_html(
        index=index, border=0, float_format=f"{{:.{digits}g}}".format if digits > 2 else "{:.2f}".format
    )
    return f"<div class='table'>{shown}</div>"
