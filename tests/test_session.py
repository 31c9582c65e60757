"""A live session decides as a simulated play does, survives failures, and can be put away and taken up again."""

import json
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade_lib import (
    CascadeRouter,
    LearnedEstimator,
    Outcomes,
    Policy,
    Router,
    TabulatedEstimator,
    datasets,
)
from cascade_lib.deploy import BudgetWarning
from cascade_lib.estimators._encoding import Recent
from truths import STRATEGIES


def tables(seed, n=40, k=3):
    """Return a pool with estimates of it as arrays, so that single rows of them can be taken."""
    rng = np.random.default_rng(seed)
    skill = rng.random((n, k))
    pool = Outcomes(rng.random((n, k)) < skill, rng.uniform(0.5, 1.5, (n, k)) * 2.0 ** np.arange(k))
    shown = np.clip(skill + rng.normal(0, 0.2, (n, k)), 0, 1)
    return pool, (skill, shown, np.full((n, k), 0.2), pool.cost)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=repr)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_session_does_what_a_play_does(strategy, seed):
    pool, parts = tables(seed)
    guess = TabulatedEstimator(*parts)
    curve = strategy.frontier(guess, pool)
    policy = _any_policy(strategy, pool, parts, budget=float(np.median(curve.cost)))
    result = strategy.play(guess, pool, lam=policy.lam)
    policy = Policy(**(vars(policy) | {"gamma": 1.0}))  # ties to the cheap side, as in the play
    for i in range(len(pool)):
        session = policy.start(estimator=TabulatedEstimator(*(part[[i]] for part in parts)))
        while (model := session.next()) is not None:
            assert session.next() == model
            session.observe(model, cost=pool.cost[i, pool.models.index(model)])
        assert session.order == tuple(pool.models[j] for j in result.order[i] if j >= 0)
        assert session.choice == pool.models[result.chosen[i]]
        assert session.cost == pytest.approx(result.cost[i])


@pytest.mark.parametrize("strategy", STRATEGIES, ids=repr)
@given(failing=st.sets(st.integers(0, 2)), seed=st.integers(0, 5), lam=st.sampled_from([0.0, 0.05, 0.5, 50.0]))
@settings(max_examples=25, deadline=None)
def test_failures_cost_what_they_cost_and_planning_goes_on(strategy, failing, seed, lam):
    pool, parts = tables(seed, n=6)
    guess = TabulatedEstimator(*(part[[0]] for part in parts))
    policy = Policy(**(vars(_any_policy(strategy, pool, parts)) | {"lam": lam}))
    session, spent = policy.start(estimator=guess, seed=0), 0.0
    while (model := session.next()) is not None:
        if pool.models.index(model) in failing:
            session.fail(model, cost=0.25)
            spent += 0.25
        else:
            session.observe(model, cost=1.0)
            spent += 1.0
    assert session.cost == spent
    assert len(set(session.order)) == len(session.order)
    if len(failing) == 3:
        assert set(session.order) == set(pool.models)
        with pytest.raises(RuntimeError, match="no model has answered: .* failed"):
            _ = session.choice
    else:
        assert pool.models.index(session.choice) not in failing


def _any_policy(strategy, pool, parts, budget=np.inf):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BudgetWarning)
        return strategy.calibrate(TabulatedEstimator(*parts), pool, budget=budget)


def test_a_model_that_fails_is_replaced_by_the_best_of_the_rest():
    pool, parts = tables(0, n=1)
    ex_ante = np.array([[0.5, 0.9, 0.7]])
    policy = _any_policy(Router(), pool, parts)
    session = policy.start(estimator=TabulatedEstimator(ex_ante, cost_ex_ante=pool.cost))
    assert session.next() == "model-1"
    session.fail("model-1")
    assert session.next() == "model-2"
    session.observe("model-2", cost=2.0)
    assert session.next() is None


def learned_policy(**options):
    train, calibration, test = (
        datasets.load_sentiment().select(["vader", "zero-shot", "vote-3"]).split(0.2, 0.2, 0.6, seed=3)
    )
    return CascadeRouter().calibrate(LearnedEstimator(seed=1, **options).fit(train), calibration, budget=150), test


@pytest.fixture(scope="module")
def live():
    return learned_policy()


def play_live(policy, test, i, fail=()):
    session = policy.start(dict(test.query.iloc[i]), name=f"new {i}", seed=0)
    while (model := session.next()) is not None:
        j = test.models.index(model)
        if model in fail:
            session.fail(model, cost=1.0)
        else:
            answer = {name: table[i, j] for name, table in test.answer_features.items()}
            session.observe(model, cost=test.cost[i, j], answer=answer)
    return session


def test_learned_estimates_serve_live_queries_as_they_serve_tables(live):
    policy, test = live
    cheap = Policy(**(vars(policy) | {"gamma": 1.0}))
    result = policy.strategy.play(policy.estimator, test, lam=policy.lam)
    sessions = [play_live(cheap, test, i) for i in range(60)]
    assert [s.order for s in sessions] == [tuple(test.models[j] for j in o if j >= 0) for o in result.order[:60]]
    assert [s.choice for s in sessions] == [test.models[a] for a in result.chosen[:60]]
    assert len({s.order for s in sessions}) > 1


def test_a_session_is_put_away_as_json_and_taken_up_again(live):
    policy, test = live
    for i in range(20):
        session = policy.start(dict(test.query.iloc[i]), name=f"new {i}", seed=i)
        while (model := session.next()) is not None:
            j = test.models.index(model)
            if j == 1:
                session.fail(model, cost=2.5)
            else:
                session.observe(
                    model, cost=test.cost[i, j], answer={n: t[i, j] for n, t in test.answer_features.items()}
                )
            again = policy.resume(json.loads(json.dumps(session.to_dict(), allow_nan=False)))
            assert (again.next(), again.cost, again.order) == (session.next(), session.cost, session.order)
            session = again


@pytest.mark.parametrize(
    "state", [{}, {"query": {}, "name": 1, "expensive_ties": False, "steps": [{"model": "vader"}]}, []]
)
def test_what_is_not_a_state_is_refused(live, state):
    with pytest.raises(ValueError, match="not the state of a session|query lacks"):
        live[0].resume(state)


def test_sessions_are_independent_and_may_share_threads(live):
    policy, test = live
    alone = [play_live(policy, test, i).to_dict() for i in range(30)]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda i: play_live(policy, test, i).to_dict(), range(30)))
    assert alone == together


def test_sessions_may_take_turns_and_are_not_all_remembered(live, monkeypatch):
    policy, test = live
    monkeypatch.setattr(policy.estimator, "_recent", Recent(3))
    alone = [play_live(policy, test, i).to_dict() for i in range(8)]
    sessions = [policy.start(dict(test.query.iloc[i]), name=f"new {i}", seed=0) for i in range(8)]
    at_work = dict(enumerate(sessions))
    while at_work:
        for i, session in list(at_work.items()):
            if (model := session.next()) is None:
                del at_work[i]
                continue
            j = test.models.index(model)
            session.observe(model, cost=test.cost[i, j], answer={n: t[i, j] for n, t in test.answer_features.items()})
    assert [session.to_dict() for session in sessions] == alone
    assert len(policy.estimator._recent.kept) <= 4


def test_one_session_may_be_reported_on_by_several_threads(live):
    policy, test = live
    session = policy.start(dict(test.query.iloc[0]), name="shared")
    gate, refused = threading.Barrier(8), []

    def report(_):
        gate.wait()
        try:
            session.observe("vader", cost=1.0)
        except ValueError as error:
            refused.append(str(error))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(report, range(8)))
    assert (session.cost, len(refused)) == (1.0, 7)


@pytest.mark.parametrize(
    ("report", "error", "message"),
    [
        (lambda s: s.observe("gpt", cost=1), ValueError, "model 'gpt' is not in the pool: vader, zero-shot, vote-3"),
        (lambda s: s.observe("vader", cost=-1), ValueError, "cost must lie between 0 .*; got -1.* model 'vader'"),
        (lambda s: s.observe("vader", cost=float("nan")), ValueError, "cost must lie between"),
        (lambda s: s.observe("vader", cost=np.inf), ValueError, "cost must lie between"),
        (lambda s: s.observe("vader", cost="a lot"), TypeError, "cost must be one number; got 'a lot'"),
        (lambda s: s.observe("vader", cost=1, answer={"mood": 1}), ValueError, "'vader' has mood, which the policy"),
        (lambda s: s.observe("vader", cost=1, answer={"margin": "x"}), TypeError, "'margin' of model 'vader' must be"),
        (lambda s: s.fail("vote-3", cost=-1), ValueError, "cost must lie between 0"),
        (lambda s: (s.fail("vader"), s.observe("vader", cost=1)), ValueError, "model 'vader' has already failed"),
    ],
)
def test_bad_reports_are_refused_and_leave_no_trace(live, report, error, message):
    policy, test = live
    session = policy.start(dict(test.query.iloc[0]), name="bad reports")
    with pytest.raises(error, match=message):
        report(session)
    assert session.cost == 0
    assert len(session.order) <= 1


def test_queries_must_have_the_features_of_the_policy(live):
    policy, test = live
    features = dict(test.query.iloc[0])
    name = next(iter(features))
    with pytest.raises(ValueError, match=f"query lacks {name}"):
        policy.start({key: value for key, value in features.items() if key != name})
    with pytest.raises(ValueError, match="query has colour, which the policy does not know"):
        policy.start(features | {"colour": "red"})
    assert policy.start(dict.fromkeys(features)).next() in test.models


def test_a_session_says_how_far_it_is(live):
    policy, test = live
    session = policy.start(dict(test.query.iloc[0]))
    assert repr(session) == "Session(nothing asked yet; cost 0 tokens)"
    session.fail("zero-shot", cost=3)
    session.observe("vader", cost=0)
    assert repr(session) == "Session(zero-shot (failed) → vader; cost 3 tokens)"
    assert session.beliefs.mean.shape == (1, 3)


@pytest.mark.parametrize("value", ["0.3", float("inf")])
def test_a_feature_that_cannot_be_read_is_refused_at_the_start_by_name(live, value):
    policy, test = live
    query = dict(test.query.iloc[0])
    name = next(name for name, column in test.query.items() if column.dtype == float)
    with pytest.raises(ValueError, match=f"the query feature {name!r}"):
        policy.start(query | {name: value})


@pytest.mark.parametrize("missing", [None, np.nan])
def test_a_missing_text_is_an_empty_one(missing):
    prompts = pd.DataFrame({"prompt": [f"number {i}" for i in range(60)]}, index=[f"q{i}" for i in range(60)])
    pool = Outcomes(np.random.default_rng(0).random((60, 2)) < 0.5, np.ones((60, 2)), query=prompts)
    policy = Router().calibrate(LearnedEstimator().fit(pool), pool, budget=9.0)
    one, other = (policy.start({"prompt": text}).beliefs.mean for text in (missing, ""))
    np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def dated():
    """A policy that knows when a query came in."""
    when = pd.date_range("2026-05-17 08:00", periods=80, freq="5h")
    right = np.column_stack([when.hour < 12, np.ones(80)])
    pool = Outcomes(right, np.tile([1.0, 5.0], (80, 1)), query=pd.DataFrame({"when": when}))
    return CascadeRouter().calibrate(LearnedEstimator().fit(pool), pool, budget=3.0)


MOMENT = pd.Timestamp("2026-05-20 09:30", tz="UTC")


@pytest.mark.parametrize(
    "when",
    [
        MOMENT.to_pydatetime(),
        MOMENT.tz_convert("Asia/Tokyo").to_pydatetime(),
        MOMENT.tz_localize(None),
        MOMENT.tz_localize(None).to_datetime64(),
        "2026-05-20T09:30",
        "2026-05-20 11:30:00+02:00",
    ],
    ids=repr,
)
def test_a_live_query_may_bring_a_date_in_any_form(dated, when, tmp_path):
    expected = dated.start({"when": MOMENT}).beliefs.mean
    session = dated.start({"when": when})
    np.testing.assert_array_equal(session.beliefs.mean, expected)
    written = json.loads(json.dumps(session.to_dict(), allow_nan=False))
    np.testing.assert_array_equal(dated.resume(written).beliefs.mean, expected)
    dated.save(tmp_path / "policy.json")
    np.testing.assert_array_equal(Policy.load(tmp_path / "policy.json").start({"when": when}).beliefs.mean, expected)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NaT, np.datetime64("NaT"), pd.NA], ids=repr)
def test_a_missing_date_is_allowed_and_written_down(dated, missing):
    session = dated.start({"when": missing})
    assert json.loads(json.dumps(session.to_dict()))["query"] == {"when": None}
    np.testing.assert_array_equal(session.beliefs.mean, dated.start({"when": None}).beliefs.mean)


@pytest.mark.parametrize("when", ["yesterday", "20.05.2026", 20260520, True])
def test_what_is_no_date_is_refused_at_the_start(dated, when):
    with pytest.raises(ValueError, match="'when' held dates in training, but .* values here: write it as ISO dates"):
        dated.start({"when": when})


def test_an_answer_feature_that_is_missing_counts_as_left_out(live):
    policy, test = live
    means = []
    for answer in ({}, dict.fromkeys(test.answer_features, np.nan), dict.fromkeys(test.answer_features)):
        session = policy.start(dict(test.query.iloc[0]), name="new")
        session.observe("vader", cost=1.0, answer=answer)
        means.append(session.beliefs.mean)
    np.testing.assert_array_equal(means[0], means[1])
    np.testing.assert_array_equal(means[0], means[2])


def test_an_estimator_is_asked_once_about_each_set_of_a_session(live, monkeypatch):
    policy, test = live
    asked, beliefs = [], type(policy.estimator).beliefs
    monkeypatch.setattr(
        type(policy.estimator),
        "beliefs",
        lambda self, evidence, rows: asked.append(tuple(evidence.ran)) or beliefs(self, evidence, rows),
    )
    play_live(policy, test, 0).choice  # noqa: B018
    assert len(asked) == len(set(asked)) > 1


def test_a_policy_can_be_hashed(live):
    assert len({live[0], live[0]}) == 1
