"""Checks for authors: whether a strategy or an estimator of your own does what all of them must do.

Each raises an `AssertionError` that says in one sentence what is wrong, and where. Neither pytest nor hypothesis is
needed; in a test of your own write e.g. ``check_strategy(MyStrategy(depth=2))``.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from inspect import signature
from itertools import product
from typing import Any, TypeVar

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError

from .deploy import serialization
from .estimators.base import Beliefs, Estimator, StoredEstimator, ask, evidence_for, is_simulated
from .estimators.tabulated import TabulatedEstimator
from .evaluation.frontier import Frontier
from .evaluation.simulate import walk
from .outcomes import Outcomes
from .strategies.base import STOP, Moves, PlanningStrategy, Plans, Strategy

# Means of costs and qualities are equal if they differ by no more: they may be added in another order.
_ROUNDING = 1e-9
_QUERIES, _BREAKPOINTS = 24, 6

T = TypeVar("T")
Draw = Callable[[tuple[int, int]], np.ndarray]


def check_strategy(strategy: Strategy, *, seed: int = 0) -> None:
    """Check that a strategy decides by the rules that simulation, sessions and policies rely on.

    Parameters
    ----------
    strategy : Strategy
        What to check, with its options; check each set of options whose rule differs.
    seed : int
        Seed of the random pools that it is tried on: with ties, with models that are free, with one query, with one
        model.

    Raises
    ------
    AssertionError
        If a plan, a move or a choice is none that can be followed in some state of some pool, whatever has run or
        failed; if play at a price is not what the whole curve says, or a budget is missed; if the strategy does not
        come back from pickle or, where its options allow that, from a policy file.

    Examples
    --------
    >>> from cascade_lib import Router
    >>> check_strategy(Router())
    >>> wrong = Router()
    >>> wrong.depth = 0
    >>> check_strategy(wrong)
    Traceback (most recent call last):
    AssertionError: Router: depth must be None or a whole number of at least 1; it is 0.
    """
    _check_class(strategy)
    _check_copies(strategy)
    for scene in _scenes(strategy, np.random.default_rng(seed)):
        for where, beliefs in _states(strategy, scene):
            if beliefs.left.size and beliefs.ran.sum() < (strategy.depth or np.inf):
                _check_decision(strategy, beliefs, where)
            if beliefs.ran.any():
                _check_choice(strategy, beliefs, where)
        _check_walk(strategy, scene)
        _check_budgets(strategy, scene)


def check_estimator(estimator: Estimator, outcomes: Outcomes, *, seed: int = 0) -> None:
    """Check that an estimator says what strategies rely on, and uses no more than what can be known.

    Parameters
    ----------
    estimator : Estimator
        What to check. If it has a method `fit`, copies of it are fitted on a half of the outcomes and asked about the
        other half, and it stays as it is. If not, it is asked about all of them.
    outcomes : Outcomes
        Queries with the features that it needs: some dozens at least for one that learns, better some hundreds.
    seed : int
        Seed of the halves and of permutations.

    Raises
    ------
    AssertionError
        If beliefs have a wrong shape, entries that are not finite, negative costs or spreads, or a spread for a model
        that has run; if they change with the rows asked about, when asked again, or with what is hidden; if a law has
        other means and spreads than the tables. For one that learns, too: if it answers before it is fitted, if copies
        share what they learn, if a second fit remembers the first, or if it has skill after it was fitted on qualities
        in random order. For one that can be saved: if it comes back otherwise.

    Examples
    --------
    >>> from cascade_lib import TabulatedEstimator
    >>> pool = Outcomes(np.tile([0.0, 1.0], (60, 1)), np.tile([1.0, 5.0], (60, 1)))
    >>> check_estimator(TabulatedEstimator(pool.quality, cost_ex_ante=pool.cost), pool)
    >>> class Wrong(TabulatedEstimator):
    ...     def beliefs(self, evidence, rows=None):
    ...         return super().beliefs(evidence)
    >>> check_estimator(Wrong(pool.quality, cost_ex_ante=pool.cost), pool)
    Traceback (most recent call last):
    AssertionError: Wrong, once models [] have run: the beliefs of Wrong have a mean of shape (60, 2) where (21, 2) is
    expected: one row for each query asked about, which are those at `rows`, and one column for each model.
    """
    judged = outcomes
    if hasattr(estimator, "fit"):
        train, judged = outcomes.split(0.5, 0.5, seed=seed)
        estimator = _check_fitting(estimator, train, judged, seed)
    for where, ran in _known(estimator, judged):
        beliefs = _check_beliefs(estimator, judged, ran, where)
        if not is_simulated(estimator):
            _check_hidden(estimator, judged, ran, beliefs, where, seed)
    _check_stored(estimator, judged)


def _require(fine: bool | np.bool_, where: object, sentence: str) -> None:
    if not fine:
        raise AssertionError(f"{where}: {sentence}.")


def _require_rows(fine: np.ndarray | np.bool_, where: object, sentence: Callable[[int], str]) -> None:
    """Require something of every row; the sentence is about the first for which it is not so."""
    if not fine.all():
        _require(False, where, sentence(int(np.flatnonzero(~fine)[0])))


def _asked(where: object, what: str, ask: Callable[..., T], *arguments: object) -> T:
    """Return what a method says; one that raises an error has said nothing."""
    try:
        return ask(*arguments)
    except Exception as error:
        raise AssertionError(f"{where}: {what} raised {type(error).__name__}: {error}") from error


@dataclass(frozen=True)
class _Scene:
    """Outcomes with estimates about them."""

    name: str
    pool: Outcomes
    tables: TabulatedEstimator

    def beliefs(self, ran: np.ndarray, barred: np.ndarray) -> Beliefs:
        """Return what is thought of all queries in one state."""
        t = self.tables
        cost = t.cost_post_hoc if ran.any() else t.cost_ex_ante
        return Beliefs(ran, np.where(ran, t.post_hoc, t.ex_ante), np.where(ran, 0.0, t.spread), cost, barred)


def _scenes(strategy: Strategy, rng: np.random.Generator) -> Iterator[_Scene]:
    k = len(strategy.step_prices or ()) or max(3, 1 + max(strategy.order or (0,)))

    def grid(shape: tuple[int, int]) -> np.ndarray:
        return rng.integers(0, 5, shape) / 4

    yield _scene("random pool", rng.random, rng.random, (_QUERIES, k))
    yield _scene("pool with ties", grid, grid, (_QUERIES, k))
    yield _scene("pool of free models", rng.random, np.zeros, (_QUERIES, k))
    yield _scene("pool of one query", rng.random, rng.random, (1, k))
    if strategy.order in (None, (0,)) and strategy.step_prices is None:
        yield _scene("pool of one model", rng.random, rng.random, (_QUERIES, 1))


def _scene(name: str, quality: Draw, cost: Draw, shape: tuple[int, int]) -> _Scene:
    before, after, spread = (quality(shape) for _ in range(3))
    tables = TabulatedEstimator(before, after, 0.4 * spread, cost(shape), cost(shape))
    return _Scene(name, Outcomes(quality(shape), cost(shape)), tables)


def _states(strategy: Strategy, scene: _Scene) -> Iterator[tuple[str, Beliefs]]:
    """Yield every state of the pool: some models have run, some have failed, some are left."""
    for fate in product(("left", "ran", "failed"), repeat=scene.pool.k):
        ran, barred = (np.array([what == this for what in fate]) for this in ("ran", "failed"))
        where = f"{strategy!r}, {scene.name}, once models {_list(ran)} have run"
        yield where + f" and {_list(barred)} failed" * bool(barred.any()), scene.beliefs(ran, barred)


def _list(models: np.ndarray) -> list[int]:
    return np.flatnonzero(models).tolist()


def _check_class(strategy: Strategy) -> None:
    where = type(strategy).__name__
    _require(isinstance(strategy, Strategy), where, "its class does not derive from Strategy or PlanningStrategy")
    name, depth, prices = getattr(strategy, "name", None), strategy.depth, strategy.step_prices
    _require(
        isinstance(name, str) and name != "", where, f"name must be a text, for figures and tables; it is {name!r}"
    )
    whole = depth is None or (isinstance(depth, int) and not isinstance(depth, bool) and depth >= 1)
    _require(whole, where, f"depth must be None or a whole number of at least 1; it is {depth!r}")
    _require(prices is None or min(prices) > 0, where, f"step_prices must be None or positive; they are {prices!r}")


def _check_copies(strategy: Strategy) -> None:
    where = repr(strategy)
    for option in signature(type(strategy)).parameters:
        _require(
            hasattr(strategy, option), where, f"the option {option} is not kept in an attribute {option}, as files need"
        )
    again = _asked(where, "pickle", lambda: pickle.loads(pickle.dumps(strategy)))
    _require(repr(again) == where, where, f"it comes back from pickle as {again!r}")
    try:
        stored = json.loads(json.dumps(serialization.strategy_out(strategy)))
    except TypeError:
        return  # Its options are none that a file holds, which it may choose.
    k = len(strategy.step_prices or ()) or 1 + max(strategy.order or (0,))
    again = _asked(where, "reading it from a policy file", serialization.strategy_in, stored, k)
    _require(repr(again) == where, where, f"it comes back from a policy file as {again!r}")


def _check_decision(strategy: Strategy, beliefs: Beliefs, where: str) -> None:
    if isinstance(strategy, PlanningStrategy):
        _check_plans(strategy, beliefs, where)
    _check_moves(strategy, beliefs, where)
    _check_rows_alone(strategy, beliefs, where)


def _check_plans(strategy: PlanningStrategy, beliefs: Beliefs, where: str) -> None:
    plans = _asked(where, "plans", strategy.plans, beliefs)
    _require(isinstance(plans, Plans), where, f"plans must return Plans(cost, value, members); it returns {plans!r}")
    cost, value, members = np.asarray(plans.cost), np.asarray(plans.value), np.asarray(plans.members)
    m, k, p = len(beliefs), len(beliefs.ran), members.size // len(beliefs.ran)
    _require(
        members.shape == (p, k) and members.dtype == bool,
        where,
        f"members of plans must be True or False for each plan and model, shape (p, {k}); they are {members.dtype} of "
        f"shape {members.shape}",
    )
    for name, table in (("cost", cost), ("value", value)):
        _require(table.shape == (m, p), where, f"{name} of plans has shape {table.shape} where {(m, p)} is needed")
    _check_values(cost, value, where)
    real = np.isfinite(value)
    _check_members(strategy, members & real.any(axis=0, keepdims=True).T, beliefs, where)
    _require_rows(
        ~(real & ~members.any(axis=1)).any(axis=1) | beliefs.ran.any(),
        where,
        lambda row: f"a plan stops for row {row} before any model has run, so that there would be no answer",
    )


def _check_values(cost: np.ndarray, value: np.ndarray, where: str) -> None:
    _require_rows(
        ((value < np.inf) & ~np.isnan(value)).all(axis=1),
        where,
        lambda row: f"the value of a plan is NaN or infinite for row {row}; only −∞ may say that there is no such plan",
    )
    real = np.isfinite(value)
    _require_rows(real.any(axis=1), where, lambda row: f"row {row} has no plan of finite value, so nothing can be done")
    _require_rows(
        (np.isfinite(cost) & (cost >= 0) | ~real).all(axis=1),
        where,
        lambda row: f"the cost of a plan is negative, NaN or infinite for row {row}",
    )


def _check_members(strategy: PlanningStrategy, members: np.ndarray, beliefs: Beliefs, where: str) -> None:
    k = len(beliefs.ran)
    gone = ~np.isin(np.arange(k), beliefs.left)
    _require_rows(
        ~(members & gone).any(axis=1), where, lambda j: f"plan {j} runs {_list(members[j] & gone)}, done or failed"
    )
    # Models beyond the order run only if all of it has failed, or a session was told of them.
    beyond = np.ones(k, dtype=bool)
    beyond[list(strategy.order or range(k))] = False
    _require_rows(
        (members.sum(axis=1) + beliefs.ran.sum() <= (strategy.depth or k))
        | ((members | beliefs.ran) & beyond).any(axis=1),
        where,
        lambda j: f"plan {j} runs {_list(members[j])}, more models than a depth of {strategy.depth} allows",
    )


def _check_moves(strategy: Strategy, beliefs: Beliefs, where: str) -> None:
    moves = _asked(where, "moves", strategy.moves, beliefs)
    _require(isinstance(moves, Moves), where, f"moves must return Moves(row, model, high, low); it returns {moves!r}")
    row, model = np.asarray(moves.row), np.asarray(moves.model)
    high, low = np.asarray(moves.high), np.asarray(moves.low)
    m = len(beliefs)
    sizes = [np.shape(part) for part in moves]
    _require(len(set(sizes)) == 1 and len(sizes[0]) == 1, where, f"the parts of moves have different shapes, {sizes}")
    rows = np.unique(row).tolist()
    _require(rows == list(range(m)), where, f"moves must say something of each of {m} rows; they do of {rows}")
    _check_tiles(row, high, low, where)
    known = np.isin(model, np.append(beliefs.left, STOP))
    _require_rows(
        known, where, lambda j: f"moves run model {model[j]} for row {row[j]}, which is done, failed or not there"
    )
    _require_rows(
        (model != STOP) | beliefs.ran.any(),
        where,
        lambda j: f"moves stop for row {row[j]} before any model has run, so that there would be no answer",
    )
    again = _asked(where, "moves, asked again,", strategy.moves, beliefs)
    same = all(np.array_equal(one, other) for one, other in zip(moves, again, strict=True))
    _require(same, where, "moves decide otherwise when they are asked again")


def _check_tiles(row: np.ndarray, high: np.ndarray, low: np.ndarray, where: str) -> None:
    first, last = np.append(True, row[1:] != row[:-1]), np.append(row[1:] != row[:-1], True)
    joined = (high == np.where(first, np.inf, np.append(np.inf, low[:-1]))) & np.where(last, low == 0, low > 0)
    _require_rows(
        joined & (high > low) & np.append(True, row[1:] >= row[:-1]),
        where,
        lambda j: (
            f"the moves of row {row[j]} do not tile all prices from ∞ down to 0: piece {j} goes from {high[j]:g} "
            f"to {low[j]:g}"
        ),
    )


def _check_rows_alone(strategy: Strategy, beliefs: Beliefs, where: str) -> None:
    """Check that what is done with a query does not depend on which others are asked about with it."""
    together = strategy.moves(beliefs)
    for row in {0, len(beliefs) - 1}:
        alone = _asked(where, f"moves, asked about row {row} alone,", strategy.moves, beliefs.take(np.array([row])))
        for price in np.geomspace(0.013, 7.7, 5):
            ties = np.zeros(len(beliefs), dtype=bool)
            one, other = alone.at(price, ties[:1])[0], together.at(price, ties)[row]
            # Where a price is all but a breakpoint, rounding decides; asked beside it, both sides are seen.
            near = np.abs(together.low[together.row == row] / price - 1).min() < _ROUNDING
            _require(
                one == other or near,
                where,
                f"at the price {price:.3g} moves take {other} for row {row} among others, but {one} for that row alone",
            )


def _check_choice(strategy: Strategy, beliefs: Beliefs, where: str) -> None:
    kept = np.asarray(_asked(where, "choose", strategy.choose, beliefs))
    m = len(beliefs)
    _require(
        kept.shape == (m,) and kept.dtype.kind == "i",
        where,
        f"choose must return the position of one model for each of {m} rows; it returns {kept.dtype} of {kept.shape}",
    )
    _require_rows(
        np.isin(kept, np.flatnonzero(beliefs.ran)),
        where,
        lambda row: f"choose keeps model {kept[row]} for row {row}, which has not run",
    )


def _check_walk(strategy: Strategy, scene: _Scene) -> None:
    """Check play at some prices, at and around breakpoints, against the walk over all prices."""
    where = f"{strategy!r}, {scene.name}"
    curve = Frontier.from_leaves(strategy.name, scene.pool, walk(strategy, scene.tables, scene.pool))
    some = curve.lam[:: 1 + len(curve.lam) // _BREAKPOINTS]
    for lam in [*some, *(some * (1 + _ROUNDING)), *(some * (1 - _ROUNDING)), 0.37, np.inf]:
        play = _asked(where, "play", lambda lam=lam: strategy.play(scene.tables, scene.pool, lam=lam))
        j = int(np.flatnonzero(curve.lam <= lam)[0])
        got, said = (play.cost.mean(), play.quality.mean()), (curve.cost[j], curve.quality[j])
        _require(
            np.allclose(got, said, rtol=_ROUNDING, atol=_ROUNDING),
            where,
            f"at the price {lam:.6g} play has a mean cost of {got[0]:.6g} and quality of {got[1]:.6g}, but the walk "
            f"over all prices {said[0]:.6g} and {said[1]:.6g}",
        )


def _check_budgets(strategy: Strategy, scene: _Scene) -> None:
    """Check that the price and the share of ties for a budget spend just that."""
    where = f"{strategy!r}, {scene.name}"
    curve = _asked(where, "frontier", strategy.frontier, scene.tables, scene.pool)
    _require(isinstance(curve, Frontier), where, f"frontier must return a Frontier; it returns {curve!r}")
    for budget in np.linspace(curve.budget[0], curve.budget[-1], 5)[:-1]:
        lam, gamma = curve.price_for(budget)
        low, high = (
            strategy.play(scene.tables, scene.pool, lam=lam, expensive_ties=np.full(len(scene.pool), side)).cost.mean()
            for side in (False, True)
        )
        spent = gamma * low + (1 - gamma) * high
        _require(
            abs(spent - budget) <= _ROUNDING,
            where,
            f"a policy for a budget of {budget:.6g} spends {spent:.6g}: frontier and play do not agree",
        )


def _known(estimator: Estimator, outcomes: Outcomes) -> list[tuple[str, np.ndarray]]:
    """Return some sets of models that may have run, the empty one and that of all among them."""
    k, name = outcomes.k, type(estimator).__name__
    sets = dict.fromkeys([(), (0,), (k - 1,), tuple(range(1, k)), tuple(range(k))])
    return [(f"{name}, once models {list(models)} have run", np.isin(np.arange(k), models)) for models in sets]


def _says(
    estimator: Estimator, outcomes: Outcomes, ran: np.ndarray, where: str, rows: np.ndarray | None = None
) -> Beliefs:
    """Return the beliefs about some queries, which must be such that strategies can plan on them."""
    evidence = evidence_for(estimator, outcomes, ran)
    rows = np.arange(len(outcomes)) if rows is None else rows
    try:
        return ask(estimator, evidence, rows)
    except (TypeError, ValueError) as error:
        raise AssertionError(f"{where}: {str(error).rstrip('.')}.") from error


def _differs(one: Beliefs, other: Beliefs) -> str | None:
    """Return the first table in which two beliefs are not the same bit for bit, with the place."""
    for name in ("mean", "spread", "cost"):
        # What is expected of a model that has run is not used.
        first, second = (np.where(one.ran & (name == "cost"), 0.0, getattr(said, name)) for said in (one, other))
        if not np.array_equal(first, second):
            row, model = np.argwhere(first != second)[0]
            return (
                f"the {name} of model {model} for query {row} is {first[row, model]:.6g}, then {second[row, model]:.6g}"
            )
    return None


def _check_beliefs(estimator: Estimator, outcomes: Outcomes, ran: np.ndarray, where: str) -> Beliefs:
    beliefs = _says(estimator, outcomes, ran, where)
    again = _differs(beliefs, _says(estimator, outcomes, ran, where))
    _require(again is None, where, f"it says otherwise when it is asked again: {again}")
    rows = np.random.default_rng(0).permutation(len(outcomes))[: 1 + len(outcomes) // 3]
    part = _differs(beliefs.take(rows), _says(estimator, outcomes, ran, where, rows))
    _require(part is None, where, f"asked about some rows it says otherwise than about all: {part}")
    whole = _asked(where, "beliefs without rows", estimator.beliefs, evidence_for(estimator, outcomes, ran))
    _require(np.array_equal(beliefs.mean, whole.mean), where, "asked without rows it must speak of all queries")
    return beliefs


def _check_hidden(
    estimator: Estimator, outcomes: Outcomes, ran: np.ndarray, beliefs: Beliefs, where: str, seed: int
) -> None:
    """Check that nothing changes with the qualities, and with the costs and answers of models that have not run."""
    rng = np.random.default_rng(seed)
    hidden = lambda table: np.where(ran, table, table[rng.permutation(len(table))])  # noqa: E731
    other = Outcomes(
        outcomes.quality[rng.permutation(len(outcomes))],
        hidden(outcomes.cost),
        models=outcomes.models,
        query=outcomes.query,
        answer_features={name: hidden(table) for name, table in outcomes.answer_features.items()},
        cost_unit=outcomes.cost_unit,
    )
    changed = _differs(beliefs, _says(estimator, other, ran, where))
    _require(changed is None, where, f"it uses what is hidden, as it changes with that: {changed}")


def _check_fitting(estimator: Estimator, train: Outcomes, judged: Outcomes, seed: int) -> Estimator:
    """Check how an estimator learns, and return a copy that has been fitted on `train`."""
    where, nothing = type(estimator).__name__, np.zeros(train.k, dtype=bool)
    copied = lambda: _asked(where, "sklearn.base.clone", clone, estimator)  # noqa: E731
    _check_unfitted(copied(), judged, nothing, where)
    fitted, twin, twice = copied(), copied(), copied()
    _require(_asked(where, "fit", fitted.fit, train) is fitted, where, "fit must return the estimator itself")
    first = [_says(fitted, judged, ran, at) for at, ran in _known(fitted, judged)]
    twice.fit(judged).beliefs(evidence_for(twice, judged, nothing))
    for again, what in (
        (lambda: fitted, "it changes when a copy of it is fitted on other queries"),
        (lambda: twin.fit(train), "copies that were fitted on the same queries do not agree; does it need a seed"),
        (lambda: twice.fit(train), "a second fit does not forget the first"),
    ):
        other = again()
        for before, (at, ran) in zip(first, _known(fitted, judged), strict=True):
            changed = _differs(before, _says(other, judged, ran, at))
            _require(changed is None, at, f"{what}: {changed}")
    if not is_simulated(estimator):
        _check_skill(copied(), train, judged, seed)
    return fitted


def _check_unfitted(estimator: Estimator, outcomes: Outcomes, ran: np.ndarray, where: str) -> None:
    try:
        estimator.beliefs(evidence_for(estimator, outcomes, ran))
    except NotFittedError:
        return
    except Exception as error:
        said = f"raises {type(error).__name__}"
    else:
        said = "answers"
    _require(False, where, f"asked before it was fitted it {said}; it must raise sklearn.exceptions.NotFittedError")


def _check_skill(estimator: BaseEstimator, train: Outcomes, judged: Outcomes, seed: int) -> None:
    """Check that there is no skill on new queries after fits on qualities in random order, on average over three."""
    rng, name, skill = np.random.default_rng(seed), type(estimator).__name__, []
    for _ in range(3):
        estimator.fit(replace(train, quality=train.quality[rng.permutation(len(train))]))
        for ran in (np.zeros(train.k, dtype=bool), np.ones(train.k, dtype=bool)):
            error = ((_says(estimator, judged, ran, name).mean - judged.quality) ** 2).mean(axis=0)
            variance = judged.quality.var(axis=0)
            skill.append(np.where(variance > 0, 1 - error / np.where(variance > 0, variance, 1), 0.0))
    skill = np.mean(skill, axis=0)
    best = int(skill.argmax())
    _require(
        skill[best] < min(3 / np.sqrt(len(judged)), 0.9),
        name,
        f"fitted on qualities in random order it still explains {skill[best]:.0%} of the variance of the quality of "
        f"model {best}: it knows more than what it is shown",
    )


def _check_stored(estimator: Any, outcomes: Outcomes) -> None:
    """Check that an estimator that can be saved comes back as what it became."""
    if not isinstance(estimator, StoredEstimator) and "fitted" not in vars(type(estimator)):
        return
    where, states = type(estimator).__name__, _known(estimator, outcomes)
    kept = _asked(where, "fitted", estimator.fitted, [tuple(_list(ran)) for _, ran in states])
    _require(isinstance(kept, StoredEstimator), where, f"fitted must return a StoredEstimator; it returns {kept!r}")
    try:
        stored = kept.stored()
    except TypeError:
        return  # A learner that is not known as numbers.
    text = _asked(where, "writing what is stored as JSON", lambda: json.dumps(stored, allow_nan=False))
    again = _asked(where, "read", kept.read, json.loads(text), outcomes.models)
    for at, ran in states:
        changed = _differs(_says(kept, outcomes, ran, at), _says(again, outcomes, ran, at))
        _require(changed is None, at, f"it comes back from a file otherwise: {changed}")
    for nonsense in (None, {}, [1], {**json.loads(text), "another": 1}):
        try:
            kept.read(nonsense, outcomes.models)
        except (ValueError, TypeError, LookupError):
            continue
        _require(False, where, f"read accepts {str(nonsense)[:40]}; it must refuse what was never stored")
