"""The checks for authors pass whatever is right, and every single one of them fails on something that is wrong."""

import subprocess
import sys
from dataclasses import replace
from inspect import isabstract, signature
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor

from cascade_lib import (
    Cascade,
    CascadeRouter,
    JointGaussianEstimator,
    LatentClassEstimator,
    LearnedEstimator,
    NoisyEstimator,
    Outcomes,
    Router,
    TabulatedEstimator,
    ThresholdCascade,
    estimators,
)
from cascade_lib.estimators import Beliefs, StoredEstimator
from cascade_lib.strategies import STOP, Moves, PlanningStrategy, Plans, Strategy
from cascade_lib.testing import check_estimator, check_strategy
from cascade_lib.theory.distributions import Gaussian
from truths import STRATEGIES

VARIANTS = [
    ThresholdCascade(order=[2, 0, 1], ceiling=0.9),
    ThresholdCascade(order=[0, 2]),
    Cascade(order=[1, 2, 0]),
    Cascade(order=[0, 1]),
    Cascade(order=[0]),
    CascadeRouter(depth=2),
    CascadeRouter(order=[3, 0, 1]),
]


def weighted(strategy):
    strategy.step_prices = (2.0, 1.0, 0.5)
    return strategy


@pytest.mark.parametrize("strategy", [*STRATEGIES, *VARIANTS, weighted(Cascade())], ids=repr)
def test_what_is_right_passes(strategy):
    check_strategy(strategy)


def test_other_pools_are_drawn_with_another_seed():
    check_strategy(Router(), seed=7)


class _Bare:
    """No strategy at all."""


class _NoName(PlanningStrategy):
    plans = Router.plans


class _Forgets(Router):
    def __init__(self, mark=3):
        self.remark = mark


class _NoPickle(Router):
    def __init__(self):
        self.helper = lambda: None


class _ChangedByPickle(Router):
    def __init__(self, mark=3):
        self.mark = mark

    def __getstate__(self):
        return {"mark": self.mark + 1}


class ChangedByFiles(Router):
    def __init__(self, mark=3):
        self.mark = mark + 1


class RefusedByFiles(Router):
    def __init__(self, mark=3):
        if mark == [1]:
            raise ValueError("mark must be a tuple")
        self.mark = (1,)


class _Plans(Router):
    """Routing, with something changed in its plans."""

    def __init__(self, change):
        self.change = change

    def plans(self, beliefs):
        cost, value, members = (part.copy() for part in super().plans(beliefs))
        return self.change(beliefs, cost, value, members)


def broken(beliefs, cost, value, members):
    raise IndexError("the third one")


def no_plans(beliefs, cost, value, members):
    return cost, value, members


def members_as_numbers(beliefs, cost, value, members):
    return Plans(cost, value, members.astype(int))


def members_of_two(beliefs, cost, value, members):
    return Plans(cost, value, members[:, :2])


def too_few_values(beliefs, cost, value, members):
    return Plans(cost, value[:, 1:], members)


def too_few_costs(beliefs, cost, value, members):
    return Plans(cost[:1], value, members)


def failed_models(beliefs, cost, value, members):
    every = np.eye(members.shape[1], dtype=bool)
    return Plans(beliefs.cost, beliefs.mean, every)


def deep_plans(beliefs, cost, value, members):
    return Plans(cost, value, np.ones_like(members) & ~beliefs.barred & ~beliefs.ran)


def nan_values(beliefs, cost, value, members):
    value[-1, 0] = np.nan
    return Plans(cost, value, members)


def endless_values(beliefs, cost, value, members):
    value[-1, 0] = np.inf
    return Plans(cost, value, members)


def nothing_to_do(beliefs, cost, value, members):
    value[2:3] = -np.inf
    return Plans(cost, value, members)


def nothing_after_a_failure(beliefs, cost, value, members):
    return Plans(cost, np.where(beliefs.barred.any(), -np.inf, value), members)


def costs_below_zero(beliefs, cost, value, members):
    return Plans(cost - 2, value, members)


def stops_at_once(beliefs, cost, value, members):
    return Plans(cost, value, np.zeros_like(members))


WRONG_PLANS = {
    broken: r"once models \[\] have run: plans raised IndexError: the third one",
    no_plans: r"plans must return Plans\(cost, value, members\)",
    members_as_numbers: "members of plans must be True or False .* they are int64 of shape",
    members_of_two: r"members of plans must be True or False .*\(p, 3\); they are bool of shape \(3, 2\)",
    too_few_values: r"value of plans has shape \(24, 2\) where \(24, 3\)",
    too_few_costs: r"cost of plans has shape \(1, 3\) where \(24, 3\)",
    failed_models: r"models \[\] have run and \[2\] failed: plan 2 runs \[2\], done or failed",
    deep_plans: r"plan 0 runs \[0, 1, 2\], more models than a depth of 1 allows",
    nan_values: "value of a plan is NaN or infinite for row 23",
    endless_values: "value of a plan is NaN or infinite for row 23",
    nothing_to_do: "row 2 has no plan of finite value",
    nothing_after_a_failure: r"have run and \[2\] failed: row 0 has no plan of finite value",
    costs_below_zero: "cost of a plan is negative, NaN or infinite for row 0",
    stops_at_once: "a plan stops for row 0 before any model has run",
}


@pytest.mark.parametrize("change", WRONG_PLANS, ids=lambda change: change.__name__)
def test_wrong_plans_are_found(change):
    with pytest.raises(AssertionError, match=WRONG_PLANS[change]):
        check_strategy(_Plans(change))


def one_plan_for_each_model_that_may_run(beliefs, cost, value, members):
    """A plan of value −∞ is none, so it may name any model."""
    left = np.isin(np.arange(len(beliefs.ran)), beliefs.left)
    value = np.where(left, beliefs.mean, -np.inf)
    return Plans(beliefs.cost, value, np.eye(len(left), dtype=bool))


def test_plans_that_do_not_exist_may_be_listed():
    check_strategy(_Plans(one_plan_for_each_model_that_may_run))


class _Moves(Strategy):
    """The first model that is left, then stop, with something changed in its moves."""

    name = "first of all"

    def __init__(self, change=None):
        self.change = change

    def moves(self, beliefs):
        m, first = len(beliefs), STOP if beliefs.ran.any() else beliefs.left[0]
        found = Moves(np.arange(m), np.full(m, first), np.full(m, np.inf), np.zeros(m))
        return found if self.change is None else self.change(beliefs, found)


def breaks(beliefs, moves):
    raise KeyError("model")


def no_moves(beliefs, moves):
    return tuple(moves)


def uneven(beliefs, moves):
    return moves._replace(low=moves.low[1:])


def forgets_a_row(beliefs, moves):
    return Moves(*(part[1:] for part in moves)) if len(beliefs) > 1 else moves


def forgets_low_prices(beliefs, moves):
    return moves._replace(low=moves.low + 0.1)


def forgets_high_prices(beliefs, moves):
    return moves._replace(high=np.full(len(moves.row), 9.0))


def leaves_a_gap(beliefs, moves):
    upper, lower = moves._replace(low=moves.low + 2), moves._replace(high=moves.low + 1)
    order = np.repeat(np.arange(len(beliefs)), 2)
    return Moves(*(np.stack(pair, axis=1).ravel() for pair in zip(upper, lower, strict=True)))._replace(row=order)


def out_of_order(beliefs, moves):
    return Moves(*(part[::-1] for part in moves))


def runs_what_failed(beliefs, moves):
    return moves._replace(model=np.where(moves.model == STOP, STOP, np.argmin(beliefs.ran)))


def runs_it_twice(beliefs, moves):
    return moves._replace(model=np.zeros_like(moves.model)) if beliefs.ran[0] else moves


def runs_what_is_not_there(beliefs, moves):
    return moves._replace(model=np.full_like(moves.model, 5))


def stops_before(beliefs, moves):
    return moves._replace(model=np.full_like(moves.model, STOP))


def as_it_pleases(beliefs, moves, rng=np.random.default_rng(0)):  # noqa: B008
    return moves._replace(model=rng.choice(beliefs.left, len(beliefs)))


def as_the_others_do(beliefs, moves):
    best = beliefs.left[beliefs.mean[:, beliefs.left].mean(axis=0).argmax()]
    return moves._replace(model=np.full_like(moves.model, best))


def once_only(beliefs, moves, calls=[]):  # noqa: B006
    calls.append(len(beliefs))
    if len(calls) > 1:
        raise RuntimeError("asked before")
    return moves


def in_pairs(beliefs, moves):
    if len(beliefs) == 1:
        raise RuntimeError("where is the other?")
    return moves


WRONG_MOVES = {
    once_only: "moves, asked again, raised RuntimeError: asked before",
    in_pairs: "moves, asked about row 0 alone, raised RuntimeError: where is the other",
    breaks: r"once models \[\] have run: moves raised KeyError: 'model'",
    no_moves: r"moves must return Moves\(row, model, high, low\)",
    uneven: "the parts of moves have different shapes",
    forgets_a_row: r"moves must say something of each of 24 rows; they do of \[1, 2",
    forgets_low_prices: "the moves of row 0 do not tile all prices .* piece 0 goes from inf to 0.1",
    forgets_high_prices: "the moves of row 0 do not tile all prices .* piece 0 goes from 9 to 0",
    leaves_a_gap: "the moves of row 0 do not tile all prices .* piece 1 goes from 1 to 0",
    out_of_order: "the moves of row 22 do not tile",
    runs_what_failed: "moves run model 0 for row 0, which is done, failed or not there",
    runs_it_twice: r"models \[0\] have run: moves run model 0 for row 0, which is done",
    runs_what_is_not_there: "moves run model 5 for row 0",
    stops_before: "moves stop for row 0 before any model has run",
    as_it_pleases: "moves decide otherwise when they are asked again",
    as_the_others_do: "at the price 0.013 moves take . for row .* among others, but . for that row alone",
}


@pytest.mark.parametrize("change", WRONG_MOVES, ids=lambda change: change.__name__)
def test_wrong_moves_are_found(change):
    with pytest.raises(AssertionError, match=WRONG_MOVES[change]):
        check_strategy(_Moves(change))


def test_a_strategy_need_not_plan():
    check_strategy(_Moves())


class _Keeps(Cascade):
    """A cascade that keeps some other answer, or none."""

    def __init__(self, kept):
        super().__init__()
        self.kept = kept

    def choose(self, beliefs):
        return self.kept(beliefs)


def no_answer(beliefs):
    raise ZeroDivisionError


def one_for_all(beliefs):
    return np.array([0])


def its_estimate(beliefs):
    return beliefs.best


def the_best_of_all(beliefs):
    return beliefs.mean.argmax(axis=1)


class _Twofold(Cascade):
    """It is played at twice the price."""

    def play(self, estimator, outcomes, *, lam, expensive_ties=None):
        return super().play(estimator, outcomes, lam=2 * lam, expensive_ties=expensive_ties)


class _HalfCurve(Cascade):
    """Its curve is that of other queries."""

    def frontier(self, estimator, outcomes):
        curve = super().frontier(estimator, outcomes)
        return type(curve)(curve.name, curve.outcomes, curve.lam, curve.cost / 2, curve.quality, curve.steps)


class _NoneAsCurve(Cascade):
    def frontier(self, estimator, outcomes):
        return None


class _NoCurve(Cascade):
    def frontier(self, estimator, outcomes):
        raise NotImplementedError("no curve yet")


class _NoPlay(Cascade):
    def play(self, estimator, outcomes, *, lam, expensive_ties=None):
        raise NotImplementedError("not yet")


def with_(strategy, **attributes):
    for name, value in attributes.items():
        setattr(strategy, name, value)
    return strategy


WRONG = [
    (_Bare(), "_Bare: its class does not derive from Strategy or PlanningStrategy"),
    (_NoName(), "name must be a text, for figures and tables; it is None"),
    (with_(Router(), name=""), "name must be a text"),
    (with_(CascadeRouter(), depth=0), "depth must be None or a whole number of at least 1; it is 0"),
    (with_(CascadeRouter(), depth=1.5), "depth must be None or a whole number of at least 1; it is 1.5"),
    (with_(Router(), step_prices=(1.0, 0.0)), "step_prices must be None or positive"),
    (_Forgets(), "the option mark is not kept in an attribute mark"),
    (_NoPickle(), r"_NoPickle\(\): pickle raised"),
    (_ChangedByPickle(), r"comes back from pickle as _ChangedByPickle\(mark=4\)"),
    (ChangedByFiles(), r"comes back from a policy file as ChangedByFiles\(mark=5\)"),
    (RefusedByFiles(), "reading it from a policy file raised ValueError: mark must be a tuple"),
    (_Keeps(no_answer), "choose raised ZeroDivisionError"),
    (_Keeps(one_for_all), "position of one model for each of 24 rows; it returns int64 of"),
    (_Keeps(its_estimate), "position of one model for each of 24 rows; it returns float64 of"),
    (
        _Keeps(the_best_of_all),
        "choose keeps model . for row .*, which has not run",
    ),
    (_Twofold(), "random pool: at the price .* play has a mean cost of .*, but the walk over all prices"),
    (_NoPlay(), "play raised NotImplementedError: not yet"),
    (_HalfCurve(), "a policy for a budget of .* spends .*: frontier and play do not agree"),
    (_NoneAsCurve(), "frontier must return a Frontier; it returns None"),
    (_NoCurve(), "frontier raised NotImplementedError: no curve yet"),
]


@pytest.mark.parametrize(("strategy", "sentence"), WRONG, ids=[type(strategy).__name__ for strategy, _ in WRONG])
def test_other_mistakes_are_found(strategy, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check_strategy(strategy)


def for_money_only(beliefs, moves):
    return moves if beliefs.cost.any() else moves._replace(high=np.full_like(moves.high, 7))


def more_than_one(beliefs, moves):
    assert len(beliefs.ran) > 1, "nothing to choose"
    return moves


class _OfMany(Cascade):
    def frontier(self, estimator, outcomes):
        assert len(outcomes) > 1, "too few for an interval"
        return super().frontier(estimator, outcomes)


def mistaken_about_ties(beliefs, moves):
    tie = (beliefs.mean[:, :1] == beliefs.mean[:, 1:]).any(axis=1)
    return moves._replace(model=np.where(tie[moves.row], STOP, moves.model))


@pytest.mark.parametrize(
    ("strategy", "sentence"),
    [
        (_Moves(mistaken_about_ties), "pool with ties.*moves stop for row"),
        (_Moves(for_money_only), "pool of free models.*do not tile"),
        (_OfMany(), "pool of one query: frontier raised AssertionError: too few for an interval"),
        (_Moves(more_than_one), "pool of one model.*moves raised AssertionError: nothing to choose"),
    ],
    ids=["ties", "free", "one query", "one model"],
)
def test_what_is_wrong_only_in_some_pools_is_found_there(strategy, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check_strategy(strategy)


def pool_of(n, seed=0):
    """Queries whose difficulty is half known, with a score for each answer; the first answers are the hard ones'."""
    rng = np.random.default_rng(seed)
    hard = rng.random(n)
    right = (rng.random((n, 3)) > hard[:, None] * [0.9, 0.6, 0.3]).astype(float)
    query = pd.DataFrame({"hard": hard + rng.normal(0, 0.2, n)}, index=[f"q{seed}-{i}" for i in range(n)])
    score = right + rng.normal(0, 0.3, (n, 3))
    return Outcomes(right, rng.uniform(1, 2, (n, 3)), query=query, answer_features={"score": score})


POOL = pool_of(120)
RIDGE = {"quality": Ridge(), "cost": Ridge(), "folds": 2}
SETS = [(), (0,), (2,), (1, 2), (0, 1, 2)]


PUBLIC = [getattr(estimators, name) for name in estimators.__all__ if name.endswith("Estimator")]


def made_without_arguments(kind):
    return not isabstract(kind) and not any(
        option.default is option.empty for option in signature(kind).parameters.values()
    )


@pytest.mark.parametrize(
    "estimator",
    [
        *(kind() for kind in PUBLIC if made_without_arguments(kind)),
        TabulatedEstimator(POOL.quality, cost_ex_ante=POOL.cost),
        LearnedEstimator(KNeighborsRegressor(), Ridge(), folds=2),
        LearnedEstimator(**RIDGE, future="joint", calibrate=True),
        LearnedEstimator(**RIDGE, future="empirical"),
        LearnedEstimator(**RIDGE).fit(POOL),
        LearnedEstimator(**RIDGE).fit(POOL).fitted(SETS),
        NoisyEstimator(coherent=False),
        LatentClassEstimator(future="joint"),
    ],
    ids=repr,
)
def test_estimators_that_are_right_pass(estimator):
    check_estimator(estimator, POOL)


def test_all_estimators_of_the_library_are_among_these():
    made = {kind for kind in PUBLIC if made_without_arguments(kind)}
    assert {LearnedEstimator, NoisyEstimator, JointGaussianEstimator, LatentClassEstimator} <= made
    assert set(PUBLIC) - made == {estimators.Estimator, StoredEstimator, TabulatedEstimator}


def test_the_estimator_handed_in_stays_as_it_is():
    estimator = LearnedEstimator(**RIDGE)
    check_estimator(estimator, POOL)
    assert not hasattr(estimator, "models_")


class _Says:
    """The average of the tables, the same of every query, with something changed."""

    def __init__(self, change=None):
        self.change = change

    def beliefs(self, evidence, rows=None):
        rows = np.arange(len(evidence)) if rows is None else rows
        shape = len(rows), evidence.k
        mean, spread = np.full(shape, 0.5), np.where(evidence.ran, 0.0, np.full(shape, 0.2))
        said = Beliefs(ran=evidence.ran, mean=mean, spread=spread, cost=np.ones(shape))
        return said if self.change is None else self.change(evidence, rows, said)


def changed(**tables):
    """Return a change that puts some entries into tables."""

    def change(evidence, rows, said):
        for name, value in tables.items():
            table = getattr(said, name).copy()
            table[-1, -1] = value
            said = replace(said, **{name: table})
        return said

    return change


def all_rows(evidence, rows, said):
    return Beliefs(said.ran, *(np.tile(getattr(said, n)[:1], (len(evidence), 1)) for n in ("mean", "spread", "cost")))


def one_row(evidence, rows, said):
    return replace(said, mean=said.mean[0])


def by_place(evidence, rows, said):
    return replace(said, mean=said.mean + np.arange(len(rows))[:, None] / 1000)


def by_place_in_cost(evidence, rows, said):
    return replace(said, cost=said.cost + np.arange(len(rows))[:, None] / 1000)


def other_models_ran(evidence, rows, said):
    return replace(said, ran=~evidence.ran)


def no_beliefs(evidence, rows, said):
    return SimpleNamespace(ran=said.ran, mean=said.mean, spread=said.spread, cost=said.cost)


def at_random(evidence, rows, said, rng=np.random.default_rng(0)):  # noqa: B008
    return replace(said, mean=said.mean + rng.random())


def spread_of_what_ran(evidence, rows, said):
    return replace(said, spread=np.full_like(said.spread, 0.2))


def law_of_other_means(evidence, rows, said):
    return replace(said, law=Gaussian(said.mean + 0.1, said.spread))


def law_of_other_spreads(evidence, rows, said):
    return replace(said, law=Gaussian(said.mean, said.spread * 2))


def law_of_fewer_models(evidence, rows, said):
    return replace(said, law=Gaussian(said.mean[:, 1:], said.spread[:, 1:]))


def the_quality(evidence, rows, said):
    return replace(said, mean=evidence._source.quality[rows])


def the_cost_to_come(evidence, rows, said):
    return replace(said, cost=evidence._source.cost[rows])


def the_answers_to_come(evidence, rows, said):
    score = evidence._source.answer_features["score"][rows]
    return replace(said, mean=np.where(evidence.ran, 0.5, score))


class _NeedsRows(_Says):
    def beliefs(self, evidence, rows):
        return super().beliefs(evidence, rows)


class _FirstHalf(_Says):
    def beliefs(self, evidence, rows=None):
        return super().beliefs(evidence, np.arange(len(evidence) // 2) if rows is None else rows)


WRONG_BELIEFS = [
    (_Says(all_rows), r"mean of shape \(120, 3\) where \(41, 3\)"),
    (_Says(one_row), r"mean of shape \(3,\) where \(120, 3\)"),
    (_Says(changed(mean=np.nan)), "mean of nan for query q0-119 and model 'model-2': it must be finite"),
    (_Says(changed(cost=-1)), "cost of -1 for query q0-119 .* it must be finite and 0 or more"),
    (_Says(changed(cost=np.inf)), "cost of inf for query q0-119"),
    (_Says(changed(spread=-0.1)), "spread of -0.1 for query q0-119"),
    (
        _Says(spread_of_what_ran),
        r"models \[0\] have run: .* spread of 0.2 .* it must be 0, for this model has run",
    ),
    (_Says(no_beliefs), "the beliefs of _Says must be Beliefs; they are SimpleNamespace"),
    (_Says(other_models_ran), "have another `ran` than the evidence"),
    (_Says(at_random), "it says otherwise when it is asked again: the mean of model 0"),
    (_Says(by_place), "asked about some rows it says otherwise than about all: the mean of model 0"),
    (_Says(by_place_in_cost), "asked about some rows it says otherwise than about all: the cost of model 0"),
    (_NeedsRows(), "beliefs without rows raised TypeError"),
    (_FirstHalf(), "asked without rows it must speak of all queries"),
    (_Says(law_of_other_means), "a law with a mean of 0.6 for query q0-0 and model 'model-0': its mean says otherwise"),
    (_Says(law_of_other_spreads), "a law with a spread of 0.4 for query q0-0 .* its spread says otherwise"),
    (_Says(law_of_fewer_models), r"a law with a mean of shape \(120, 2\) where \(120, 3\) is expected"),
    (_Says(the_quality), "it uses what is hidden, as it changes with that: the mean of model 0"),
    (_Says(the_cost_to_come), "it uses what is hidden, as it changes with that: the cost of model 0"),
    (_Says(the_answers_to_come), "it uses what is hidden, as it changes with that: the mean of model 0"),
]


@pytest.mark.parametrize(("estimator", "sentence"), WRONG_BELIEFS, ids=[sentence for _, sentence in WRONG_BELIEFS])
def test_wrong_beliefs_are_found(estimator, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check_estimator(estimator, POOL)


def test_beliefs_that_say_the_same_of_all_pass():
    check_estimator(_Says(), POOL)


class _Means(BaseEstimator):
    """It learns the average of every model, and of every model the slope of quality on the feature."""

    def __init__(self, memory=None):
        self.memory = memory

    def fit(self, outcomes):
        hard = outcomes.query["hard"].to_numpy()
        self.slope_, self.mean_ = np.polyfit(hard, outcomes.quality, 1)
        return self

    def beliefs(self, evidence, rows=None):
        if not hasattr(self, "mean_"):
            raise NotFittedError("call fit first")
        said = _Says().beliefs(evidence, rows)
        hard = evidence.query["hard"].to_numpy()[slice(None) if rows is None else rows]
        return replace(said, mean=self.mean_ + self.slope_ * hard[:, None])


class _Ready(_Means):
    mean_, slope_ = np.zeros(3), np.zeros(3)


class _Fails(_Means):
    def beliefs(self, evidence, rows=None):
        self.mean_  # noqa: B018
        return super().beliefs(evidence, rows)


class _NoFit(_Means):
    def fit(self, outcomes):
        raise MemoryError("too large")


class _NoSelf(_Means):
    def fit(self, outcomes):
        super().fit(outcomes)


class _NoClone(_Says):
    def fit(self, outcomes):
        return self


class _Lucky(_Means):
    def fit(self, outcomes, rng=np.random.default_rng(0)):  # noqa: B008
        super().fit(outcomes)
        self.mean_ = self.mean_ + rng.random() / 100
        return self


class _Remembers(_Means):
    def fit(self, outcomes):
        before = getattr(self, "mean_", 0)
        super().fit(outcomes)
        self.mean_ = self.mean_ + before / 10
        return self


class _Shares(_Means):
    """What is learned last stands in the class, for all of them."""

    latest = ()

    def fit(self, outcomes):
        super().fit(outcomes)
        _Shares.latest = (*_Shares.latest, outcomes.query.index[0])
        return self

    def beliefs(self, evidence, rows=None):
        said = super().beliefs(evidence, rows)
        return replace(said, mean=said.mean + len(set(_Shares.latest)) / 100)


class _Knows(_Means):
    """It knows the qualities from elsewhere."""

    def beliefs(self, evidence, rows=None):
        said = super().beliefs(evidence, rows)
        names = evidence.query.index[slice(None) if rows is None else rows]
        return replace(said, mean=POOL.quality[[int(name.split("-")[1]) for name in names]])


WRONG_FITS = [
    (_Ready(), "asked before it was fitted it answers; it must raise sklearn.exceptions.NotFittedError"),
    (_Fails(), "asked before it was fitted it raises AttributeError; it must raise"),
    (_NoFit(), "fit raised MemoryError: too large"),
    (_NoSelf(), "fit must return the estimator itself"),
    (_NoClone(), "sklearn.base.clone raised TypeError"),
    (_Lucky(), "copies that were fitted on the same queries do not agree; does it need a seed: the mean of model 0"),
    (_Remembers(), "a second fit does not forget the first: the mean of model 0"),
    (_Shares(), "it changes when a copy of it is fitted on other queries: the mean of model 0"),
    (_Knows(), "fitted on qualities in random order it still explains 100% of the variance"),
]


@pytest.mark.parametrize(("estimator", "sentence"), WRONG_FITS, ids=[type(wrong).__name__ for wrong, _ in WRONG_FITS])
def test_wrong_ways_to_learn_are_found(estimator, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check_estimator(estimator, POOL)


def test_an_estimator_that_learns_by_itself_passes():
    check_estimator(_Means(), POOL)


class _Kept(_Says, StoredEstimator):
    """It can be saved."""

    def stored(self):
        return {"level": 0.5}

    @classmethod
    def read(cls, stored, models):
        if not isinstance(stored, dict) or list(stored) != ["level"]:
            raise ValueError("a level is needed.")
        return cls()


class _NotJson(_Kept):
    def stored(self):
        return {"level": np.nan}


class _ReadsNothing(_Kept):
    @classmethod
    def read(cls, stored, models):
        raise ValueError("no")


class _ReadsAnything(_Kept):
    @classmethod
    def read(cls, stored, models):
        return cls()


class _ReadsOtherwise(_Kept):
    @classmethod
    def read(cls, stored, models):
        return cls(changed(mean=0.6))


class _BecomesNothing(_Says):
    def fitted(self, sets):
        return None


class _CannotBecome(_Says):
    def fitted(self, sets):
        raise KeyError(sets[0])


class _NotKnownAsNumbers(_Kept):
    def stored(self):
        raise TypeError("a learner of another library")


WRONG_FILES = [
    (_NotJson(), "writing what is stored as JSON raised ValueError"),
    (_ReadsNothing(), "read raised ValueError: no"),
    (_ReadsAnything(), "read accepts None; it must refuse what was never stored"),
    (_ReadsOtherwise(), "it comes back from a file otherwise: the mean of model 2 for query 119 is 0.5, then 0.6"),
    (_BecomesNothing(), "fitted must return a StoredEstimator; it returns None"),
    (_CannotBecome(), "fitted raised KeyError"),
]


@pytest.mark.parametrize(("estimator", "sentence"), WRONG_FILES, ids=[type(wrong).__name__ for wrong, _ in WRONG_FILES])
def test_wrong_files_are_found(estimator, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check_estimator(estimator, POOL)


@pytest.mark.parametrize("kind", [_Kept, _NotKnownAsNumbers])
def test_what_can_be_saved_or_says_why_not_passes(kind):
    check_estimator(kind(), POOL)


def test_neither_pytest_nor_hypothesis_is_needed():
    code = "import sys, cascade_lib.testing; print([name for name in ('pytest', 'hypothesis') if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
