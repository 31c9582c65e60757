"""The checks for authors pass whatever is right, and every single one of them fails on something that is wrong."""

import numpy as np
import pytest

from cascade_lib import Cascade, CascadeRouter, Router, ThresholdCascade
from cascade_lib.strategies import STOP, Moves, PlanningStrategy, Plans, Strategy
from cascade_lib.testing import check_strategy
from truths import STRATEGIES

VARIANTS = [
    ThresholdCascade(order=[2, 0, 1], ceiling=0.9),
    ThresholdCascade(order=[0, 2]),
    Cascade(order=[1, 2, 0], expect=False),
    Cascade(order=[0, 1]),
    Cascade(order=[0]),
    CascadeRouter(depth=2),
    CascadeRouter(order=[3, 0, 1]),
    CascadeRouter(prune=True),
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


class _RulesOut(CascadeRouter):
    """It rules out models that it would run."""

    def hopeless(self, beliefs, lam):
        return np.tile([False, True, False], (len(beliefs), 1))[:, : len(beliefs.ran)]


class _RulesOutNonsense(CascadeRouter):
    def hopeless(self, beliefs, lam):
        return [1.5]


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
    (_RulesOut(), "hopeless rules out a model that is run for row"),
    (_RulesOutNonsense(), "hopeless raised"),
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
