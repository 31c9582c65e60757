"""What a study found, in sentences and in a table that explain themselves: the answer first, then what it rests on.

Every number carries its unit, every interval is of 95%, and minus signs are real ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from math import floor, isfinite, log10
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from .studies import Study

DAYS = 30
MIXING = "single models"
_MONEY = {"USD": "$", "EUR": "€", "GBP": "£"}
_COLUMNS = 84
# A smaller share saved is none.
_LEAST = 0.01


def sentences(study: Study) -> list[str]:
    """Return everything in sentences: the answer, what to do and why, and in what sense it is known."""
    return [answer(study), *advice(study), basis(study)]


def answer(study: Study) -> str:
    """Return what is saved at the quality of the best single model, or that nothing is, in a sentence or two."""
    best, chosen, row = study.best, study.recommended, _chosen(study)
    has, costs = _best(study)
    low = row["saved low"]
    known = f"{best} ({level(study, has)} for {amount(study, costs)} per query)"
    if saves(study):
        return (
            f"{best}'s quality ({level(study, has)}) for {_fewer(study, row['cost at best'], costs)} per query: "
            f"{share(row['saved'])} {between(low, row['saved high'], share)} less.{_doubt(low)}"
        )
    if study.test.k == 1:
        return f"Nothing can be saved: there is only one model, {known}."
    if chosen == MIXING:
        return f"Nothing can be saved for certain: no strategy is clearly better than single models, such as {known}."
    at = _widest(study)
    mixed, reached = (study.curves[name].quality_at(at).item() for name in (MIXING, chosen))
    reason = "costs nothing" if costs == 0 else f"has a quality that {chosen} does not reach for less"
    return (
        f"Nothing can be saved: {known} {reason}. But for {amount(study, at)} per query {chosen} has a quality of "
        f"{level(study, reached)}, where mixing single models has {level(study, mixed)}."
    )


def month(study: Study, queries_per_day: float) -> str:
    """Return the answer for so many queries a day: what a month costs, and what of it is saved."""
    row, (_, costs) = _chosen(study), _best(study)
    whole = costs * queries_per_day * DAYS
    at = f"At {number(queries_per_day)} queries a day ({DAYS} days a month)"
    if not saves(study):
        return f"{at} {study.best} costs about {amount(study, whole)} a month."
    saved = between(row["saved low"] * whole, row["saved high"] * whole, lambda value: _money(study, value))
    return (
        f"{at} this saves about {amount(study, row['saved'] * whole)} a month {saved}: "
        f"{_fewer(study, (1 - row['saved']) * whole, whole)}."
    )


def advice(study: Study) -> list[str]:
    """Return what to do, and why it is the simpler of two that are about as good."""
    chosen = study.recommended
    if study.test.k == 1:
        return ["A choice needs a log of two models or more."]
    if chosen == MIXING:
        return [
            f"Keep {study.best}, or mix single models at random to meet a smaller budget. Either the features say too "
            "little of which model will be right, or there are too few queries to show it: log more of both."
        ]
    return [
        f"Recommended: {chosen}. Its mean quality over all budgets (AUC) is {_lead(study, chosen, MIXING)} above that "
        "of mixing single models at random.",
        _why(study),
    ]


def basis(study: Study) -> str:
    """Return how many queries were used for what, and what the intervals are."""
    return (
        f"Judged on {len(study.test):,} queries held out; {len(study.train):,} others were learned from, and budgets "
        f"are fitted on {len(study.calibration):,}. {study.best} is the best single model on those learned from. "
        "[Brackets] hold 95% intervals from a paired bootstrap. The strategy was chosen on the queries that "
        "judge it, which flatters it a little."
    )


def overview(study: Study, *against: str) -> pd.DataFrame:
    """Return the table of all curves in words, with leads over those named; `Study.table` has it in numbers."""
    rows = {}
    for name, row in study.table.iterrows():
        found = {"AUC": _points(study, row["AUC"]) + ("%" if in_shares(study) else "")}
        for other in dict.fromkeys(against):
            found[f"above {other}"] = "–" if name == other else _lead(study, str(name), other, sign="+")
        reached = row["cost at best"]
        found["as good for"] = "never" if reached == np.inf else number(reached)
        found["saved"] = (
            f"{share(row['saved'])} {between(row['saved low'], row['saved high'], share)}" if isfinite(reached) else "–"
        )
        rows["→ " + str(name) if name == study.recommended else str(name)] = found
    return pd.DataFrame(rows).T.rename_axis("strategy")


def legend(study: Study) -> str:
    """Return what the columns of `overview` are."""
    return (
        "AUC: mean quality over all budgets from the cheapest to the most expensive model. As good for: cost per query "
        f"at which a curve has {study.best}'s quality. Saved: share of {study.best}'s cost that this saves. "
        "Omniscient: what a router would reach that knew the quality of every answer beforehand, which none does."
    )


def budget(study: Study) -> float | None:
    """Return a budget to begin with: where the answer's quality is reached, else where most is gained by choosing.

    It has three digits, rounded up, and is no smaller than the least that can be spent. None if there is nothing to do.
    """
    chosen = study.recommended
    if chosen == MIXING:
        return None
    wanted = _chosen(study)["cost at best"] if saves(study) else _widest(study)
    least = study.strategies[chosen].frontier(study.estimator, study.calibration).budget[0]
    # The command line also refuses what is less than the cheapest answers of all parts of the log cost.
    cheapest = [part.cost.min(axis=1).mean() for part in (study.train, study.calibration, study.test)]
    return _rounded_up(max(wanted, least, *cheapest))


def saves(study: Study) -> bool:
    """Whether the recommended curve has the quality of the best model for less; mixing must do so for certain."""
    row = _chosen(study)
    return bool(row["saved"] >= _LEAST and (study.recommended != MIXING or row["saved low"] >= _LEAST))


def in_shares(study: Study) -> bool:
    """Whether qualities are shares, between 0 and 1, and so may be given in percent."""
    parts = (study.train, study.calibration, study.test)
    return all(part.quality.min() >= 0 and part.quality.max() <= 1 for part in parts)


def level(study: Study, quality: float) -> str:
    """Return a mean quality as given, in percent if qualities are shares."""
    return f"{quality:.1%}" if in_shares(study) else number(quality, 4)


def amount(study: Study, cost: float) -> str:
    """Return a cost with its unit, as $1.20 or 1.2 tokens."""
    return _money(study, cost) if _symbol(study) else f"{number(cost)} {unit(study)}"


def unit(study: Study) -> str:
    """Return what costs are counted in."""
    return study.test.cost_unit or "units of cost"


def number(value: float, digits: int = 3) -> str:
    """Return a number with so many digits that count, without an exponent.

    Examples
    --------
    >>> number(1234567), number(12345), number(0.00123456), number(-1.5), number(0)
    ('1.23 million', '12,300', '0.00123', '−1.5', '0')
    """
    if 1e6 <= abs(value) < np.inf:
        return f"{number(value / 1e6, digits)} million" if abs(value) < 1e12 else _minus(f"{value:.{digits}g}")
    if value == 0 or not isfinite(value):
        return {0: "0", np.inf: "∞", -np.inf: "−∞"}.get(value, "–")
    places = digits - 1 - floor(log10(abs(value)))
    text = f"{round(value, places):,.{max(0, places)}f}"
    return _minus(text.rstrip("0").rstrip(".") if "." in text else text)


def share(value: float) -> str:
    """Return a share in percent."""
    return _minus(f"{value:z.0%}") if isfinite(value) else number(value)


def between(low: float, high: float, shown: Callable[[float], str]) -> str:
    """Return an interval."""
    return f"[{shown(low)}, {shown(high)}]"


def unbroken(text: str) -> str:
    """Return a sentence whose intervals no line may break."""
    return re.sub(r" ?\[[^]]*]", lambda found: found[0].replace(" ", "\u00a0"), text)


def wrapped(text: str) -> str:
    """Return a sentence in lines that fit a page, with every interval on one line."""
    return fill(unbroken(text), _COLUMNS, break_long_words=False, break_on_hyphens=False).replace("\u00a0", " ")


def _best(study: Study) -> tuple[float, float]:
    """Return mean quality and mean cost of the best single model."""
    quality, cost = study.test.summary.loc[[study.best]].to_numpy()[0]
    return quality, cost


def _chosen(study: Study) -> dict[Hashable, float]:
    """Return what `Study.table` says of the recommended curve."""
    return dict(study.table.loc[study.recommended])


def _why(study: Study) -> str:
    """Return why the recommended strategy and not one that is more general, or simpler."""
    chosen, names = study.recommended, list(study.strategies)
    # Of curves that are the same but for rounding, the recommended one.
    best = max([chosen, *names], key=lambda name: round(study.curves[name].auc(), 9))
    if best != chosen:
        return (
            f"It is simpler, and its curve is not clearly worse: {best}, the best one here, is "
            f"{_lead(study, best, chosen)} above it, which may be chance."
        )
    simpler = names[: names.index(chosen)]
    if not simpler:
        return "It is the simplest strategy, and none has a better curve here."
    rival = max(simpler, key=lambda name: study.curves[name].auc())
    return (
        f"Its curve is the best one here, and every simpler one is clearly worse: {rival} is "
        f"{_lead(study, chosen, rival)} below it."
    )


def _doubt(low: float) -> str:
    """Return what a lower end of the saving says that is no saving."""
    if low == -np.inf:
        return " It is not certain: by the interval's lower end, that quality may not be reached at all."
    return " It is not certain: by the interval's lower end, nothing may be saved." if low <= 0 else ""


def _widest(study: Study) -> float:
    """Return the cost at which the recommended curve leads by most over mixing single models."""
    curve, hull = study.curves[study.recommended], study.curves[MIXING]
    lead = curve.quality_at(curve.budget) - hull.quality_at(curve.budget)
    return float(curve.budget[np.where(np.isnan(lead), -np.inf, lead).argmax()])


def _fewer(study: Study, now: float, before: float) -> str:
    return f"{_money(study, now) if _symbol(study) else number(now)} instead of {amount(study, before)}"


def _symbol(study: Study) -> str:
    given = study.test.cost_unit
    return given if given in _MONEY.values() else _MONEY.get(given.upper(), "")


def _money(study: Study, cost: float) -> str:
    """Return a cost behind the sign of its currency, if it has one."""
    symbol, text = _symbol(study), number(abs(cost))
    cents = "0" if symbol and text[-2:-1] == "." else ""
    return f"{'−' if cost < 0 else ''}{symbol}{text}{cents}"


def _points(study: Study, hundredths: float, sign: str = "") -> str:
    """Return hundredths of quality, or quality itself if it is no share, with places that suit its range."""
    if in_shares(study):
        return _minus(f"{hundredths:{sign}z.2f}")
    span = float(np.ptp(study.test.quality)) or 1.0
    return _minus(f"{hundredths / 100:{sign}z,.{max(0, 3 - floor(log10(span)))}f}")


def _lead(study: Study, name: str, other: str, *, sign: str = "") -> str:
    """Return by how much one curve is above another, with the interval."""
    lead = study.lead(name, other)
    points = "" if sign or not in_shares(study) else " points"
    interval = between(100 * lead.low, 100 * lead.high, lambda x: _points(study, x))
    return f"{_points(study, 100 * lead.difference, sign)}{points} {interval}"


def _rounded_up(value: float, digits: int = 3) -> float:
    if value <= 0:
        return 0.0
    step = 10.0 ** (floor(log10(value)) + 1 - digits)
    return float(f"{np.ceil(value / step - 1e-9) * step:.{digits}g}")


def _minus(text: str) -> str:
    return text.replace("-", "−")
