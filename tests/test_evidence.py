"""What cannot be known yet cannot be reached: not in play, walk, study, session or replay."""

import numpy as np
import pandas as pd
import pytest
from dummy_server import MODELS, Fixed, policy_of, queries_of
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression

from cascade_lib import (
    CascadeRouter,
    Evidence,
    JointGaussianEstimator,
    LatentClassEstimator,
    LearnedEstimator,
    NoisyEstimator,
    Outcomes,
    Router,
    TabulatedEstimator,
    diagnose,
    study,
)
from cascade_lib.estimators import Beliefs, evidence_for
from cascade_lib.live.replay import replay
from truths import STRATEGIES


def pool_of(n=40, seed=0):
    rng = np.random.default_rng(seed)
    quality = (rng.random((n, 3)) < [0.4, 0.6, 0.8]).astype(float)
    answers = {
        "score": np.where(rng.random((n, 3)) < 0.8, quality, 1 - quality),
        "said": np.where(quality > 0, "yes", "no"),
        "sure": quality > 0,
    }
    query = pd.DataFrame({"hardness": rng.random(n)}, index=[f"q{i}" for i in range(n)])
    return Outcomes(quality, rng.uniform([1, 2, 4], [2, 4, 8], (n, 3)), MODELS, query, answers, "tokens")


class Peeking(Fixed):
    """Tries in every state to read what it should not know, and keeps what it found."""

    def __init__(self):
        self.found, self.states = [], set()

    def beliefs(self, evidence, rows):
        for name in ("quality", "truth"):
            with pytest.raises(AttributeError):
                getattr(evidence, name)
        for table in (evidence.cost, *evidence.answer_features.values()):
            self.found += table[:, ~evidence.ran].ravel().tolist()
            assert not pd.isna(table[rows][:, evidence.ran]).any()
            assert not table.flags.writeable
        self.states.add(tuple(evidence.ran))
        return super().beliefs(evidence, rows)


def walked(peeking, pool):
    CascadeRouter().frontier(peeking, pool)


def played(peeking, pool):
    CascadeRouter().play(peeking, pool, lam=0.001)


def diagnosed(peeking, pool):
    diagnose(peeking, pool)


def answers_of(pool, row, i):
    return {name: table[row, i] for name, table in pool.answer_features.items()}


def kinds_of(pool):
    return {name: name != "said" for name in pool.answer_features}


def asked_live(peeking, pool):
    session = policy_of(CascadeRouter(), kinds_of(pool), estimator=peeking).start(seed=0)
    while (model := session.next()) is not None:
        i = MODELS.index(model)
        session.observe(model, cost=pool.cost[0, i], answer=answers_of(pool, 0, i))
    assert session.choice in MODELS


def replayed(peeking, pool):
    policy = policy_of(CascadeRouter(), kinds_of(pool), estimator=peeking)

    def tell(row, model):
        i = MODELS.index(model)
        return pool.cost[row, i], answers_of(pool, row, i)

    ends = replay(policy, queries_of(len(pool)), np.zeros(len(pool), dtype=bool), tell)
    assert all(ended for ended, _ in ends)


@pytest.mark.parametrize("work", [walked, played, diagnosed, asked_live, replayed])
def test_what_is_hidden_cannot_be_read(work):
    peeking = Peeking()
    work(peeking, pool_of())
    assert pd.isna(np.array(peeking.found, dtype=object)).all()
    assert len(peeking.found)
    assert len(peeking.states) > 1


def test_a_study_shows_no_more(monkeypatch):
    seen, beliefs = [], LearnedEstimator.beliefs

    def watched(self, evidence, rows=None):
        assert not hasattr(evidence, "truth")
        assert not hasattr(evidence, "quality")
        seen.append(np.isnan(evidence.cost[:, ~evidence.ran]).all())
        return beliefs(self, evidence, rows)

    monkeypatch.setattr(LearnedEstimator, "beliefs", watched)
    study(pool_of(300), estimator=LearnedEstimator(LinearRegression(), folds=2), seed=0)
    assert len(seen) > 3
    assert all(seen)


class Hidden(Outcomes):
    """Outcomes whose evidence has other values wherever they are hidden."""

    def evidence(self, ran, *, truth=False):
        rng = np.random.default_rng(int(np.packbits(ran)[0]))
        order = rng.permutation(len(self))

        def mixed(table):
            return np.where(np.asarray(ran), table, table[order])

        answers = {name: mixed(table) for name, table in self.answer_features.items()}
        other = Outcomes(self.quality[order], mixed(self.cost), self.models, self.query, answers, self.cost_unit)
        return other.evidence(ran, truth=truth)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=repr)
@pytest.mark.parametrize("kind", ["learned", "tabulated"])
def test_hidden_values_change_no_decision(strategy, kind):
    train, test = pool_of(60, seed=1), pool_of(30, seed=2)
    rng = np.random.default_rng(3)
    tables = TabulatedEstimator(rng.random((30, 3)), rng.random((30, 3)), 0.2, test.cost, test.cost[::-1])
    estimator = tables if kind == "tabulated" else LearnedEstimator(LinearRegression(), folds=2).fit(train)
    other = Hidden(test.quality, test.cost, test.models, test.query, test.answer_features, test.cost_unit)
    for lam in (0.001, 0.05, 0.2):
        one, two = (strategy.play(estimator, pool, lam=lam) for pool in (test, other))
        np.testing.assert_array_equal(one.order, two.order)
        np.testing.assert_array_equal(one.chosen, two.chosen)
    for one, two in zip(*(vars(strategy.frontier(estimator, p)).values() for p in (test, other)), strict=True):
        if isinstance(one, np.ndarray):
            np.testing.assert_array_equal(one, two)


@given(ran=st.lists(st.booleans(), min_size=3, max_size=3))
@settings(max_examples=8)
def test_evidence_is_what_the_models_that_ran_have_shown(ran):
    pool, ran = pool_of(), np.array(ran)
    now = pool.evidence(ran)
    assert (len(now), now.k, now.models, now.cost_unit) == (len(pool), 3, pool.models, "tokens")
    assert now.fingerprint == pool.fingerprint
    pd.testing.assert_frame_equal(now.query, pool.query)
    shown = {"cost": (now.cost, pool.cost)}
    shown |= {name: (now.answer_features[name], table) for name, table in pool.answer_features.items()}
    for one, whole in shown.values():
        np.testing.assert_array_equal(one[:, ran], whole[:, ran])
        assert pd.isna(one[:, ~ran]).all()
    assert now.answer_features["said"].dtype == object


def test_a_state_copies_neither_features_nor_anything_that_is_not_asked_for():
    pool = pool_of()
    one, two = pool.evidence([True, False, False]), pool.evidence([False] * 3)
    assert np.shares_memory(one.query["hardness"].to_numpy(), two.query["hardness"].to_numpy())
    assert not {"cost", "answer_features", "fingerprint"} & set(vars(one))
    frame = one.query
    frame["hardness"] = 0.0
    frame["new"] = 1.0
    pd.testing.assert_frame_equal(one.query, pool.query)


def test_evidence_cannot_be_changed():
    ran = np.array([True, False, False])
    now = pool_of().evidence(ran)
    ran[:] = True
    assert now.ran.tolist() == [True, False, False]
    for array in (now.ran, now.cost, now.answer_features["score"]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(TypeError, match="does not support item assignment"):
        now.answer_features["new"] = now.cost
    with pytest.raises(AttributeError, match="cannot assign"):
        now.models = ()


@pytest.mark.parametrize("ran", [[True], [1, 0, 0], [[True, False, False]], [0.5, 0.2, 0.1]])
def test_ran_is_one_truth_value_a_model(ran):
    with pytest.raises(ValueError, match="ran must say True or False for each of the 3 models; got"):
        pool_of().evidence(ran)


def test_the_truth_is_shown_to_those_who_ask_by_name():
    pool = pool_of()
    for estimator in (NoisyEstimator(), JointGaussianEstimator(), LatentClassEstimator()):
        assert evidence_for(estimator, pool, np.zeros(3, dtype=bool)).truth is pool
    with pytest.raises(AttributeError, match="class attribute `simulated = True`"):
        NoisyEstimator().fit(pool).beliefs(pool.evidence([False] * 3))
    with pytest.raises(AttributeError, match="live queries have none"):
        evidence_for(LearnedEstimator(), pool, np.zeros(3, dtype=bool)).truth  # noqa: B018


def test_a_simulated_estimator_is_refused_live():
    pool = pool_of()
    policy = Router().calibrate(NoisyEstimator().fit(pool), pool, budget=50.0)
    with pytest.raises(TypeError, match="NoisyEstimator is simulated: .* no live query has. Use .*LearnedEstimator"):
        policy.start({"hardness": 0.5})
    with pytest.raises(TypeError, match="NoisyEstimator is simulated"):
        replay(policy, pool.query, np.zeros(len(pool), dtype=bool), lambda row, model: None)
    tables = TabulatedEstimator([[0.2, 0.4, 0.6]], cost_ex_ante=[[1, 2, 4]])
    assert policy.start({"hardness": 0.5}, estimator=tables).next() in MODELS


def test_estimates_from_the_truth_are_those_of_equal_outcomes():
    """What is kept of one table serves an equal one, and no other."""
    pool, other = pool_of(), pool_of(seed=1)
    estimator, nothing = NoisyEstimator().fit(pool), np.zeros(3, dtype=bool)
    means = [estimator.beliefs(evidence_for(estimator, p, nothing)).mean for p in (pool, other, pool_of())]
    np.testing.assert_array_equal(means[0], means[2])
    assert not np.array_equal(means[0], means[1])


def test_live_evidence_is_told_apart_by_all_that_is_seen():
    schema = policy_of(answer_features={"score": True}).schema
    ran, query = np.array([True, False, False]), pd.DataFrame(index=["a"])

    def fingerprint(cost, score, ran=ran):
        table = np.full((1, 3), score)
        return schema.evidence(ran, query, np.full((1, 3), cost), {"score": table}).fingerprint

    assert fingerprint(1.0, 0.5) == fingerprint(1.0, 0.5)
    assert len({fingerprint(1.0, 0.5), fingerprint(2.0, 0.5), fingerprint(1.0, 0.6)}) == 3


def test_an_estimate_of_one_column_is_not_taken_for_that_of_another():
    """Features with the same values under other names are another table."""
    pool = pool_of()
    estimator = LearnedEstimator(LinearRegression(), folds=2).fit(pool)
    renamed = Outcomes(pool.quality, pool.cost, pool.models, pool.query.rename(columns={"hardness": "other"}))
    with pytest.raises(ValueError, match="lacks the features hardness"):
        estimator.beliefs(renamed.evidence([False] * 3))


def test_beliefs_are_checked_at_the_door_and_not_again(monkeypatch):
    """Parts of beliefs and of their laws are made of what was checked."""
    from cascade_lib.theory import Atoms, Draws, JointGaussian, distributions

    laws = [
        Atoms([[[0.0, 1.0], [0.5, 0.5]]] * 3, 0.5),
        Draws([[[0.0, 1.0], [0.5, 0.5]]] * 3),
        JointGaussian(np.zeros((3, 2)), np.eye(2), np.ones((4, 2))),
    ]
    ran, tables = np.array([False, False]), np.ones((3, 2))
    beliefs = [Beliefs(ran, law.mean, law.spread, tables, law=law) for law in laws]
    monkeypatch.setattr(distributions, "_numbers", lambda *args: pytest.fail("checked again"))
    for said in beliefs:
        assert said.take(np.array([2, 0])).future(np.array([1])).mean.shape == (2, 1)
    with pytest.raises(pytest.fail.Exception, match="checked again"):
        Draws([[[0.0]]])


def test_evidence_says_what_it_is():
    assert repr(pool_of().evidence([True, True, False])) == "Evidence: 40 queries × 3 models; have run: small, medium"
    assert repr(pool_of().evidence([False] * 3)).endswith("have run: none")
    assert isinstance(pool_of().evidence([False] * 3), Evidence)
