"""A study as one HTML file that needs nothing else: the answer, what to do, and what it rests on."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from html import escape
from importlib.metadata import PackageNotFoundError, version
from string import Template

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .. import plots
from . import _findings
from .studies import Study

# Nothing that is drawn depends on the hour or on chance, and the page's own ground shows through.
_DRAWN = {**plots.STYLE, "figure.figsize": (6.0, 4.4), "svg.hashsalt": "cascade_lib", "savefig.transparent": True}

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; --ink: #1c1c1c; --ground: #fff; --soft: #eef4f8; --line: #c9d2d9; --accent: #0b5c8c; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --ground: #14181c; --soft: #1f2a33; --line: #46525c; --accent: #7cc0ea; }
  img { filter: invert(1) hue-rotate(180deg); }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); margin: 0; }
main { max-width: 64rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; } p, dd { max-width: 48rem; }
h1 { font-size: 1.1rem; font-weight: normal; } h1, h2 { line-height: 1.25; } h2 { margin-top: 2.5rem; }
.answer { background: var(--soft); border-left: 5px solid var(--accent); padding: 0.25rem 1.25rem; }
.answer p:first-child { font-size: 1.45rem; font-weight: 600; line-height: 1.3; margin: 0.75rem 0; }
.small { font-size: 0.85rem; }
pre { background: var(--soft); padding: 0.75rem 1rem; white-space: pre-wrap; }
figure { margin: 1rem 0; } img { display: block; width: 100%; max-width: 46rem; height: auto; }
.table { overflow-x: auto; } table { border-collapse: collapse; font-size: 0.9rem; }
th, td { padding: 0.3rem 0.7rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child { text-align: left; } tbody th { font-weight: normal; }
tr.chosen > * { font-weight: 700; background: var(--soft); }
summary { cursor: pointer; font-size: 1.25rem; font-weight: 600; margin-top: 2.5rem; }
dl { display: grid; grid-template-columns: fit-content(40%) 1fr; gap: 0.3rem 1rem; }
dt { font-weight: 600; } dd { margin: 0; }
footer { margin-top: 3rem; border-top: 1px solid var(--line); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
@media print { h2 { break-after: avoid; } figure, tr { break-inside: avoid; } }
</style>
</head>
<body>
<main>
<h1>$title</h1>
$body
</main>
</body>
</html>
""")

_WORDS = {
    "before, after, all": "estimates of an answer's quality before its model is called, after it, and after all calls",
    "r2": "share of the variance of quality that the estimates explain: 1 is perfect, 0 no better than the mean",
    "auroc": "chance that of a right and a wrong answer the right one has the larger estimate",
    "brier": "mean squared error of the estimates",
    "ece": "calibration error: mean distance between estimates and mean quality, in ten bins of equally many queries",
    "spread": "by how much a call was expected to change the estimate (standard deviation)",
    "moved": "by how much it did",
    "50%, 80%, 95%": "share of estimates that moved within the interval of that level: right if it is about the level",
    "λ (lam)": "price of quality: a unit of cost is spent if it is expected to bring at least so much quality",
    "threshold": "the estimate at which a cascade is content with an answer, used in place of λ",
    "γ (gamma)": "share of queries on which the cheaper of two equally good choices is taken, to meet a budget exactly",
}


def to_html(
    study: Study,
    *,
    title: str,
    queries_per_day: float | None = None,
    next_step: str = "",
    source: Mapping[str, str] | None = None,
) -> str:
    """Return a report on a study as a self-contained HTML document.

    Parameters
    ----------
    study : Study
        The study.
    title : str
        The heading, e.g. the name of the log.
    queries_per_day : float, optional
        With it, the answer is also given for a month.
    next_step : str
        What to run next. Default: the line of Python that fits and saves the recommended policy.
    source : mapping of str to str, optional
        What else to say at the end of where the report comes from, e.g. the hash of the log.

    Returns
    -------
    str
        The answer; what to do, and how; all curves; the models; a ladder of budgets; diagnostics of the estimates,
        folded; and date and version. Figures are inside; nothing is loaded from elsewhere.

    Examples
    --------
    >>> import numpy as np
    >>> from cascade_lib import Outcomes, study
    >>> right = np.random.default_rng(0).random((200, 2)) < [0.5, 0.9]
    >>> log = Outcomes(right, np.tile([1.0, 5.0], (200, 1)), answer_features={"score": np.where(right, 0.9, 0.1)})
    >>> page = to_html(study(log, resamples=100), title="two <models>")
    >>> page.count("data:image/svg+xml;base64,"), "<h1>two &lt;models&gt;</h1>" in page, "http" in page
    (2, True, False)
    """
    ladder = study.budgets()
    with plt.rc_context(_DRAWN):
        body = "\n".join(
            [
                *_answer(study, queries_per_day, next_step),
                *_curves(study),
                *_models(study),
                *_budgets(study, ladder),
                *_estimates(study, ladder),
                *_origin(study, source or {}),
            ]
        )
    return _PAGE.substitute(title=escape(title), body=body)


def _answer(study: Study, queries_per_day: float | None, next_step: str) -> Iterator[str]:
    month = [] if queries_per_day is None else [study.month(queries_per_day)]
    small = _paragraph(_findings.basis(study), "small")
    yield f"<div class='answer'>{''.join(map(_paragraph, [_findings.answer(study), *month]))}{small}</div>"
    yield "<h2>What to do</h2>"
    yield from map(_paragraph, _findings.advice(study))
    budget = study.first_budget
    if budget is not None:
        step = next_step or f'result.policy(budget={budget!r}).save("policy.json")'
        spent = _findings.amount(study, budget)
        yield _paragraph(f"Next, fit a policy that spends {spent} per query on average, and save it for your service:")
        yield f"<pre><code>{escape(step)}</code></pre>"


def _curves(study: Study) -> Iterator[str]:
    chosen, best = study.recommended, study.best
    yield "<h2>All strategies at all budgets</h2>"
    caption = f"Mean quality against mean cost per query: {chosen} is the thick line."
    alt = [caption]
    if _findings.saves(study):
        caption += f" The arrow leads from {best} to the same quality for less."
        alt += ["The arrow shows this:", _findings.answer(study)]
    models = [f"{name} {_point(study, *row)}" for name, row in study.test.summary.iterrows()]
    ends = [f"{name} {_findings.level(study, curve.quality[-1])}" for name, curve in study.curves.items()]
    alt += [f"Single models: {', '.join(models)}.", f"Where the curves end: {', '.join(ends)}."]
    yield _figure(study.plot(), caption, " ".join(alt))
    yield _paragraph(_findings.legend(study))
    against = ["single models", chosen]
    yield _table(_findings.overview(study, *against), "All strategies")


def _models(study: Study) -> Iterator[str]:
    yield "<h2>The models</h2>"
    half = 1.96 * study.test.quality.std(axis=0) / len(study.test) ** 0.5
    rows = {
        name: {
            "mean quality": f"{_findings.level(study, quality)} "
            + _findings.between(quality - width, quality + width, lambda x: _findings.level(study, x)),
            f"mean cost ({_findings.unit(study)})": _findings.number(cost),
        }
        for (name, (quality, cost)), width in zip(study.test.summary.iterrows(), half, strict=True)
    }
    yield _table(pd.DataFrame(rows).T.rename_axis("model"), "The models")


def _budgets(study: Study, ladder: pd.DataFrame) -> Iterator[str]:
    yield f"<h2>What budgets buy with {escape(study.deployed)}</h2>"
    yield "<p>Policies fitted to a budget on calibration queries: what they spent and achieved on held-out ones.</p>"
    rows = [
        {
            "spent": f"{_findings.number(row['cost'])} {_findings.between(row['low'], row['high'], _findings.number)}",
            "mean quality": _findings.level(study, row["quality"]),
        }
        for _, row in ladder.iterrows()
    ]
    budgets = [_findings.number(budget) for budget in ladder.index]
    yield _table(pd.DataFrame(rows, budgets).rename_axis(f"budget ({_findings.unit(study)})"), "Budgets")


def _estimates(study: Study, ladder: pd.DataFrame) -> Iterator[str]:
    found = study.diagnosis
    skill = found.skill.reset_index(names=["model", "moment"])
    skill.index = pd.Index(skill.pop("model") + ", " + skill.pop("moment"), name="model, moment")
    off = ", ".join(f"{name} {error:.3f}" for name, error in skill["ece"].items())
    yield "<details><summary>For those who built the estimator</summary>"
    yield _figure(
        found.plot()[0],
        "Mean quality against estimate, before and after each call: reliable estimates lie on the diagonal.",
        f"One panel per model, with ten bins before and after its call. Mean distances from the diagonal: {off}.",
    )
    yield _table(_numbers(skill), "Skill of the estimates")
    yield _table(_numbers(found.coverage.rename_axis("model")), "Spread of the estimates")
    yield from map(_paragraph, found.words)
    settings = ladder.drop(columns=["cost", "low", "high", "quality"])
    budgets = [_findings.number(budget) for budget in ladder.index]
    yield _table(_numbers(settings.set_axis(budgets).rename_axis("budget")), "Settings of the policies")
    yield _list(_WORDS)
    yield "</details>"


def _origin(study: Study, source: Mapping[str, str]) -> Iterator[str]:
    parts = study.train, study.calibration, study.test
    facts = {
        **source,
        "Data": f"{sum(map(len, parts)):,} queries × {study.test.k} models",
        "Seed": f"{study.seed} (split and bootstrap, {study.resamples:,} resamples)",
        "Version": f"cascade_lib {_version()}",
        "Made": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    }
    yield f"<footer class='small'>{_list(facts)}</footer>"


def _version() -> str:
    try:
        return version("cascade_lib")
    except PackageNotFoundError:  # it runs from a folder
        return "(not installed)"


def _point(study: Study, quality: float, cost: float) -> str:
    return f"{_findings.level(study, quality)} for {_findings.number(cost)}"


def _paragraph(words: str, kind: str = "plain") -> str:
    return f"<p class='{kind}'>{escape(_findings.unbroken(words))}</p>"


def _list(facts: Mapping[str, str]) -> str:
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(fact)}</dd>' for name, fact in facts.items())}</dl>"


def _figure(ax: Axes, caption: str, alt: str) -> str:
    """Return the figure that `ax` belongs to as an image within the page, and close it."""
    svg = io.BytesIO()
    assert isinstance(ax.figure, Figure)  # not a part of one
    ax.figure.savefig(svg, format="svg", metadata={"Date": None})
    plt.close(ax.figure)
    data = base64.b64encode(svg.getvalue()).decode("ascii")
    image = f"<img alt='{escape(alt)}' src='data:image/svg+xml;base64,{data}'>"
    return f"<figure>{image}<figcaption class='small'>{escape(caption)}</figcaption></figure>"


def _numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table of numbers in words."""
    return frame.apply(lambda column: column.map(_findings.number))


def _table(frame: pd.DataFrame, name: str) -> str:
    """Return a table of words; it can be scrolled by keyboard where it is too wide."""
    heads = "".join(f"<th scope='col'>{escape(str(column))}</th>" for column in (frame.index.name, *frame.columns))
    rows = "".join(
        f"<tr class='{'chosen' if str(row).startswith('→') else 'other'}'><th scope='row'>{escape(str(row))}</th>"
        f"{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
        for row, *cells in frame.itertuples()
    )
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    return f"<div class='table' tabindex='0' role='region' aria-label='{escape(name)}'>{table}</div>"
