"""Repeated sampling against enumeration of all sequences, Monte Carlo, and what theory says."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cascade_lib import Outcomes, single_models
from cascade_lib.evaluation import sampling_frontier
from cascade_lib.theory import RepeatedSampling

CHANCE = st.integers(0, 4).map(lambda i: i / 4)


@st.composite
def pools(draw):
    """Some questions with probabilities full of ties, 0s and 1s; up to three models with up to three samples each."""
    t, k = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    chance = np.array([[draw(CHANCE) for _ in range(k)] for _ in range(t)])
    cost = [draw(st.integers(0, 4)) / 2 for _ in range(k)]
    weight = [draw(st.integers(1, 3)) for _ in range(t)]
    verifier = draw(st.sampled_from([(1.0, 1.0), (0.75, 0.5), (1.0, 0.75), (0.5, 1.0), (0.0, 0.0)]))
    options = {"most": draw(st.integers(1, 3 if k < 3 else 2)), "weight": weight}
    return RepeatedSampling(chance, cost, **options, sensitivity=verifier[0], specificity=verifier[1]), chance, verifier


def every_sequence(k, most):
    """All sequences in which no model stands more than `most` times."""
    for length in range(k * most + 1):
        for sequence in itertools.product(range(k), repeat=length):
            if all(sequence.count(j) <= most for j in range(k)):
                yield sequence


def by_hand(chance, cost, sequence, sensitivity, specificity):
    """Cost and quality on one question, step by step."""
    spent = achieved = 0.0
    reached, held = 1.0, {}
    for j in sequence:
        p = chance[j]
        spent += reached * cost[j]
        achieved += reached * p * sensitivity
        rejects = p * (1 - sensitivity) + (1 - p) * specificity
        held[j] = p * (1 - sensitivity) / rejects if rejects else 0.0
        reached *= rejects
    return spent, achieved, reached, held


@given(pools())
def test_sequences_are_the_envelope_of_all_of_them(drawn):
    pool, chance, verifier = drawn
    points = []
    for sequence in every_sequence(pool.k, pool.most):
        parts = [by_hand(row, pool.cost, sequence, *verifier) for row in chance]
        spent = pool.weight @ [part[0] for part in parts]
        achieved = pool.weight @ [part[1] for part in parts]
        returned = [pool.weight @ [part[2] * part[3][j] for part in parts] for j in set(sequence)]
        points.append((spent, achieved + max(returned, default=0.0)))
        cost, quality = pool.outcome(sequence)
        np.testing.assert_allclose((pool.weight @ cost, pool.weight @ quality), points[-1], atol=1e-12)
    plans = pool.plans()
    for lam in (0.0, 0.03, 0.11, 0.26, 0.7, 5.0):
        best = max(value - lam * spent for spent, value in points)
        i = plans.sequences.index(plans.at(lam))
        assert plans.quality[i] - lam * plans.cost[i] == pytest.approx(best, abs=1e-9)
    for sequence, spent, achieved in zip(plans.sequences, plans.cost, plans.quality, strict=True):
        cost, quality = pool.outcome(sequence)
        np.testing.assert_allclose((pool.weight @ cost, pool.weight @ quality), (spent, achieved), atol=1e-12)
    assert (np.diff(plans.cost) > 0).all()
    assert plans.high[0] == np.inf
    assert plans.low[-1] == 0
    np.testing.assert_array_equal(plans.high[1:], plans.low[:-1])


@given(pools())
def test_neighbours_are_in_the_order_of_success_per_cost(drawn):
    pool, _, verifier = drawn
    if verifier != (1.0, 1.0) or (pool.cost == 0).any():
        return
    for sequence in pool.plans().sequences:
        counts = [0] * pool.k
        for first, second in itertools.pairwise(sequence):
            success = [
                pool.weight @ (pool._factor(counts, but=j) * pool._right[:, j, counts[j]]) for j in (first, second)
            ]
            assert success[0] / pool.cost[first] >= success[1] / pool.cost[second] - 1e-12
            counts[first] += 1


@given(st.lists(CHANCE, min_size=1, max_size=5), st.integers(1, 6))
def test_of_one_model_one_samples_as_long_as_the_posterior_pays(chance, most):
    pool = RepeatedSampling(np.array(chance)[:, None], [1.0], most=most)
    right = pool.steps((0,) * most)["right"].to_numpy()
    known = right[~np.isnan(right)]
    assert (np.diff(known) <= 1e-12).all()
    for lam in (0.02, 0.13, 0.37, 0.81):
        assert len(pool.plans().at(lam)) == (known > lam + 1e-12).sum()


@given(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=6))
def test_a_second_sample_is_worth_the_share_of_variance_within_questions(chance):
    chance = np.array(chance)
    first, second = RepeatedSampling(chance[:, None], [1.0], most=2).steps((0, 0))["right"]
    within = (chance * (1 - chance)).mean() / (chance.mean() * (1 - chance.mean()))
    assert second / first == pytest.approx(within)


@pytest.mark.parametrize("verifier", [(1.0, 1.0), (0.8, 0.9)])
def test_counts_give_unbiased_expectations(verifier):
    rng = np.random.default_rng(0)
    chance, count, sequence = np.array([[0.3, 0.6], [0.05, 0.9]]), 6, (0, 1, 0, 0, 1)
    options = {"most": 4, "sensitivity": verifier[0], "specificity": verifier[1]}
    truth = RepeatedSampling(chance, [1.0, 3.0], **options).outcome(sequence)
    draws = rng.binomial(count, chance, size=(20_000, 2, 2)).reshape(-1, 2)
    found = RepeatedSampling.from_counts(np.full(draws.shape, count), draws, [1.0, 3.0], **options).outcome(sequence)
    for estimate, expected in zip(found, truth, strict=True):
        estimate = estimate.reshape(-1, 2)
        error = 5 * estimate.std(axis=0) / np.sqrt(len(estimate))
        assert (np.abs(estimate.mean(axis=0) - expected) < error).all()


def test_a_verifier_that_errs_is_simulated():
    rng, n = np.random.default_rng(1), 200_000
    chance, sequence, sensitivity, specificity = np.array([0.4, 0.7]), (0, 0, 1), 0.7, 0.8
    pool = RepeatedSampling(chance[None], [1.0, 2.0], most=2, sensitivity=sensitivity, specificity=specificity)
    spent, right, going = np.zeros(n), np.zeros(n), np.ones(n, dtype=bool)
    for j in sequence:
        spent[going] += [1.0, 2.0][j]
        correct = rng.random(n) < chance[j]
        accepted = rng.random(n) < np.where(correct, sensitivity, 1 - specificity)
        right[going & accepted] = correct[going & accepted]
        last = correct
        going &= ~accepted
    # The last answer is that of the better model, so it is the one to return.
    right[going] = last[going]
    cost, quality = pool.outcome(sequence)
    assert spent.mean() == pytest.approx(cost[0], abs=0.02)
    assert right.mean() == pytest.approx(quality[0], abs=0.006)


def test_the_curve_has_the_plans_as_points_and_can_be_compared():
    rng = np.random.default_rng(3)
    chance, cost = rng.beta(0.5, 0.5, (40, 2)), [1.0, 4.0]
    pool, once = RepeatedSampling(chance, cost, most=4), Outcomes(chance, np.tile(cost, (40, 1)))
    plans = pool.plans()
    curve = sampling_frontier(plans, pool, once)
    np.testing.assert_allclose(curve.cost, plans.cost, atol=1e-12)
    np.testing.assert_allclose(curve.quality, plans.quality, atol=1e-12)
    np.testing.assert_allclose(curve.lam, plans.low)
    # The best single model is a sequence, too, so that nothing can be lost.
    assert curve.compare(single_models(once)).low > 0
    with pytest.raises(ValueError, match="sampled has 40 questions and 2 models, outcomes 39 and 2"):
        sampling_frontier(plans, pool, once.take(np.arange(39)))


def test_many_states_do_not_take_long_to_go_through():
    rng = np.random.default_rng(2)
    pool = RepeatedSampling(rng.beta(0.5, 1.0, (300, 2)), [1.0, 6.0], most=32)
    plans = pool.plans()
    assert (np.diff(plans.quality) > 0).all()
    assert plans.sequences[-1].count(0) == plans.sequences[-1].count(1) == 32


@pytest.mark.parametrize(
    ("chance", "cost", "options", "message"),
    [
        ([[1.5]], [1.0], {}, "chance must hold probabilities"),
        ([[np.nan]], [1.0], {}, "chance must hold probabilities"),
        ([0.5], [1.0], {}, "chance must hold probabilities"),
        ([[0.5]], [1.0, 2.0], {}, "cost must hold one finite number"),
        ([[0.5]], [-1.0], {}, "cost must hold one finite number"),
        ([[0.5]], [1.0], {"most": 0}, "most must be a whole number"),
        ([[0.5]], [1.0], {"most": 1.5}, "most must be a whole number"),
        ([[0.5]], [1.0], {"weight": [0.0]}, "weight must hold"),
        ([[0.5]], [1.0], {"weight": [1.0, 1.0]}, "weight must hold"),
        ([[0.5]], [1.0], {"sensitivity": 1.2}, "sensitivity must lie"),
        ([[0.5]], [1.0], {"specificity": np.nan}, "specificity must"),
        ([[0.5] * 6], [1.0] * 6, {"most": 9}, "6 models with up to 9 samples each have 1,000,000 states"),
    ],
)
def test_what_makes_no_sense_is_refused(chance, cost, options, message):
    with pytest.raises(ValueError, match=message):
        RepeatedSampling(chance, cost, **{"most": 2, **options})


def test_counts_that_do_not_reach_are_refused():
    with pytest.raises(ValueError, match="question 1 has 3 samples of model 0: more than most=3 are needed"):
        RepeatedSampling.from_counts([[4], [3]], [[1], [1]], [1.0], most=3)
    with pytest.raises(ValueError, match="right must be between 0 and count"):
        RepeatedSampling.from_counts([[4]], [[5]], [1.0], most=3)


def test_sequences_of_strangers_and_bad_prices_are_refused():
    pool = RepeatedSampling([[0.5]], [1.0], most=2)
    for sequence in [(1,), (0, 0, 0), (-1,)]:
        with pytest.raises(ValueError, match="a sequence names models by positions 0 to 0, each at most 2 times"):
            pool.outcome(sequence)
    with pytest.raises(ValueError, match="lam must lie"):
        pool.plans().at(-1.0)
