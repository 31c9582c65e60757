import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import zscore

from cascade_lib import Cascade, CascadeRouter, PandoraRouter
from cascade_lib.estimators import Beliefs, WithoutSpread
from cascade_lib.theory import (
    Atoms,
    Draws,
    Gaussian,
    JointGaussian,
    Law,
    clark_max,
    expected_max,
    nested_expected_max,
    normal_draws,
)
from cascade_lib.theory.maximum import subsets
from truths import GRID, scene


@st.composite
def tables(draw):
    """Values and weights of up to four models with up to three atoms each, full of ties, and the best so far."""
    k, size = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    value = [[draw(GRID) for _ in range(size)] for _ in range(k)]
    weight = np.array([[draw(st.integers(0, 3)) for _ in range(size)] for _ in range(k)], dtype=float)
    weight[:, 0] += 1
    return np.array(value), weight / weight.sum(axis=1, keepdims=True), draw(st.one_of(GRID, st.just(-np.inf)))


def by_enumeration(value, weight, best):
    """E[max(best, Q_i for i in the set)] of every set, by going through all combinations of atoms."""
    k, size = value.shape
    total = np.zeros(2**k)
    for combination in itertools.product(range(size), repeat=k):
        chance = np.prod(weight[np.arange(k), combination])
        drawn = value[np.arange(k), combination]
        total += chance * np.array([max([best, *drawn[some]]) if some.any() else 0.0 for some in subsets(k)])
    total[0] = best
    return total


@given(tables())
def test_sets_of_atoms_have_the_value_that_enumeration_gives(table):
    value, weight, best = table
    law = Atoms(value[None], weight[None])
    found, truth = law.sets(np.array([best]))[0], by_enumeration(value, weight, best)
    np.testing.assert_allclose(found, truth, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(found, expected_max(law, best=best)[0])
    in_front = 2 ** np.arange(len(value) + 1) - 1
    np.testing.assert_allclose(nested_expected_max(law, best=best)[0], truth[in_front], rtol=0, atol=1e-12)
    single = law.alone(np.array([best]))[0]
    np.testing.assert_allclose(single, truth[2 ** np.arange(len(value))], rtol=0, atol=1e-12)


@given(tables())
def test_a_model_that_can_not_better_the_best_adds_exactly_nothing(table):
    value, weight, _ = table
    found = Atoms(value[None], weight[None]).sets(np.array([value.max()]))[0]
    assert (found == value.max()).all()


def test_equal_laws_written_in_different_ways_tie_exactly():
    # Ten draws of weight 1/10 of which j are 0, and one 0 of weight j/10: 0.1 + 0.1 + 0.1 is not 0.3.
    for j in range(1, 10):
        value = np.array([[np.arange(10) >= j, np.arange(10) > 0]], dtype=float)
        weight = np.array([[np.full(10, 0.1), np.array([j / 10, *[(1 - j / 10) / 9] * 9])]])
        _, one, other, _ = Atoms(value, weight).sets(np.array([-np.inf]))[0]
        assert one == other


@pytest.mark.parametrize("most", [0, 1, 2, 4])
@pytest.mark.parametrize("best", [-np.inf, 0.4])
def test_every_law_values_sets_of_a_limited_size_as_among_all(most, best):
    rng = np.random.default_rng(7)
    mean, spread, small = rng.random((6, 5)), rng.random((6, 5)), subsets(5).sum(axis=1) <= most
    for make in LAWS.values():
        law = make(mean, spread, rng)
        found, every = (law.sets(np.full(6, best), *limit) for limit in ([most], []))
        np.testing.assert_allclose(found, every[:, small], rtol=0, atol=1e-9)


def test_atoms_of_many_queries_are_valued_in_parts(monkeypatch):
    rng = np.random.default_rng(7)
    law, best = LAWS["Atoms"](rng.random((9, 4)), rng.random((9, 4)), rng), rng.random(9)
    whole = law.sets(best), law.prefixes(best)
    # Two queries of four models with two atoms.
    monkeypatch.setattr("cascade_lib.theory.distributions._AT_ONCE", 2 * 4 * 4 * 2)
    for found, expected in zip((law.sets(best), law.prefixes(best)), whole, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_atoms_that_copy_a_gaussian_have_its_values():
    law = Gaussian(np.array([[0.2, 0.5, 0.4]]), np.array([[0.3, 0.1, 0.0]]))
    steps = np.random.default_rng(0).permutation(normal_draws(1, 2**13, seed=0).ravel())
    value = law.mean[..., None] + law.spread[..., None] * steps
    copy = Atoms(value, np.full(len(steps), 1 / len(steps)))
    np.testing.assert_allclose(copy.mean, law.mean, atol=1e-12)
    np.testing.assert_allclose(copy.spread, law.spread, rtol=2e-3, atol=1e-12)
    for best in (-np.inf, 0.45):
        np.testing.assert_allclose(expected_max(copy, best=best), law.sets(np.array([best])), atol=2e-4)


def test_draws_are_valued_scenario_by_scenario():
    rng = np.random.default_rng(1)
    value, best = rng.integers(0, 4, (7, 4, 9)) / 4, rng.choice([-np.inf, 0.25, 0.6], 7)
    for weight in (rng.dirichlet(np.ones(9)), rng.dirichlet(np.ones(9), 7)):
        law = Draws(value, weight)
        for number, some in enumerate(subsets(4)):
            highest = np.max(value, axis=1, initial=-np.inf, where=some[:, None])
            with np.errstate(invalid="ignore"):
                truth = (np.maximum(highest, best[:, None]) * np.broadcast_to(weight, (7, 9))).sum(axis=1)
            found = law.sets(best)[:, number]
            np.testing.assert_allclose(found, truth if some.any() else best, atol=1e-12)
        np.testing.assert_allclose(law.prefixes(best), law.sets(best)[:, [0, 1, 3, 7, 15]], atol=1e-12)
        np.testing.assert_allclose(law.alone(best), law.sets(best)[:, [1, 2, 4, 8]], atol=1e-12)


def test_a_joint_gaussian_agrees_with_closed_forms():
    mean, covariance = np.array([[0.4, 0.5], [0.9, 0.1]]), np.array([[0.09, 0.04], [0.04, 0.04]])
    law = JointGaussian(mean, covariance, normal_draws(2, 2**14, seed=3))
    truth = clark_max(mean[:, 0], mean[:, 1], 0.3, 0.2, 0.04 / 0.06)
    nothing = np.full(2, -np.inf)
    np.testing.assert_allclose(law.sets(nothing)[:, 3], truth, atol=1e-5)
    np.testing.assert_allclose(law.prefixes(nothing)[:, 1:], np.column_stack([mean[:, 0], truth]), atol=1e-5)
    np.testing.assert_allclose(law.alone(np.full(2, 0.5)), clark_max(0.5, mean, 0.0, law.spread), atol=1e-5)


LAWS = {
    "Gaussian": lambda mean, spread, rng: Gaussian(mean, spread),
    "JointGaussian": lambda mean, spread, rng: JointGaussian(
        mean, spread[:, :, None] * spread[:, None] * 0.5 + 0.5 * np.eye(mean.shape[1]) * spread[:, None] ** 2,
        normal_draws(mean.shape[1], 64, seed=0),
    ),
    "Atoms": lambda mean, spread, rng: Atoms(mean[..., None] + spread[..., None] * [-1.0, 1.0], 0.5),
    "Draws": lambda mean, spread, rng: Draws(
        mean[..., None] + spread[..., None] * zscore(rng.normal(size=(mean.shape[1], 8)), axis=1)
    ),
}  # fmt: skip


class WithLaw:
    """An estimator that states the law of the future in another form than spreads."""

    def __init__(self, tables, make):
        self.tables, self.make = tables, make

    def beliefs(self, evidence, rows):
        now = self.tables.beliefs(evidence, rows)
        law = self.make(now.mean, now.spread, np.random.default_rng(0))
        return Beliefs(now.ran, now.mean, now.spread, now.cost, law=law)


def test_what_is_taken_and_picked_is_what_was_there():
    rng = np.random.default_rng(5)
    mean, spread = rng.random((6, 4)), rng.random((6, 4))
    rows, models, best = np.array([4, 1]), np.array([2, 0]), np.array([0.3, -np.inf])
    for make in LAWS.values():
        law = make(mean, spread, rng)
        part = law.take(rows).pick(models)
        sets = law.take(rows).sets(best)
        np.testing.assert_allclose(part.sets(best), sets[:, [0, 4, 1, 5]], atol=0.1)
        np.testing.assert_allclose(part.mean, law.mean[np.ix_(rows, models)])
        np.testing.assert_allclose(part.spread, law.spread[np.ix_(rows, models)], rtol=0.1)


@pytest.mark.parametrize("law", LAWS)
def test_strategies_take_any_law_where_they_take_spreads(law):
    pool, tables = scene(40, 4, seed=2)
    estimator = WithLaw(tables, LAWS[law])
    for strategy in (Cascade(), CascadeRouter(), CascadeRouter(lookahead=1)):
        curve = strategy.frontier(estimator, pool)
        for j in np.linspace(0, len(curve.lam) - 1, 9).astype(int):
            played = strategy.play(estimator, pool, lam=curve.lam[j])
            assert played.cost.mean() == pytest.approx(curve.cost[j], abs=1e-12)
            assert played.quality.mean() == pytest.approx(curve.quality[j], abs=1e-12)


class Plain(Law):
    """Atoms that know no more than what a law of one's own must."""

    def __init__(self, atoms):
        self.atoms, self.mean, self.spread = atoms, atoms.mean, atoms.spread

    def take(self, rows):
        return Plain(self.atoms.take(rows))

    def pick(self, models):
        return Plain(self.atoms.pick(models))

    def sets(self, best, most=None):
        return self.atoms.sets(best, most)

    def reach(self):
        return self.atoms.reach()


@given(tables(), st.lists(st.integers(0, 12).map(lambda price: price / 8), min_size=4, max_size=4))
def test_a_law_of_ones_own_needs_five_things_and_the_rest_follows(table, price):
    value, weight, best = table
    atoms, best = Atoms(value[None], weight[None]), np.array([best])
    plain, price = Plain(atoms), np.array([price[: len(value)]])
    np.testing.assert_allclose(plain.prefixes(best), atoms.prefixes(best), rtol=0, atol=1e-12)
    np.testing.assert_allclose(plain.alone(best), atoms.alone(best), rtol=0, atol=1e-12)
    index = atoms.reservation(price)
    found = plain.reservation(price)
    np.testing.assert_allclose(found[price > 0], index[price > 0], rtol=0, atol=1e-9)


@pytest.mark.parametrize("strategy", [CascadeRouter(), Cascade(), PandoraRouter()])
def test_strategies_take_a_law_of_ones_own(strategy):
    pool, tables = scene(20, 3, seed=6)
    make = LAWS["Atoms"]
    plain, atoms = WithLaw(tables, lambda *parts: Plain(make(*parts))), WithLaw(tables, make)
    for lam in (0.037, 0.19, 0.43, 0.91, 2.3):
        expected, found = (strategy.play(estimator, pool, lam=lam) for estimator in (atoms, plain))
        np.testing.assert_array_equal(found.order, expected.order)
        np.testing.assert_array_equal(found.chosen, expected.chosen)


def test_without_spread_the_law_does_not_matter():
    pool, tables = scene(40, 3, seed=3)
    plain = CascadeRouter().frontier(WithoutSpread(tables), pool)
    for make in LAWS.values():
        stated = WithoutSpread(WithLaw(tables, make))
        np.testing.assert_array_equal(CascadeRouter().frontier(stated, pool).cost, plain.cost)


def test_the_gaussian_law_is_the_default():
    pool, tables = scene(40, 3, seed=4)
    stated = CascadeRouter().frontier(WithLaw(tables, LAWS["Gaussian"]), pool)
    np.testing.assert_array_equal(stated.cost, CascadeRouter().frontier(tables, pool).cost)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Atoms([[[0.1, np.nan]]], 0.5), r"value\[0, 0, 1\] of this Atoms is nan"),
        (lambda: Atoms([[0.1]], 1.0), r"value must have shape \(m, k, A\)"),
        (lambda: Atoms([[[0.1, 0.2]]], 0.4), "sums run from 0.8 to 0.8"),
        (lambda: Atoms([[[0.1, 0.2]]], [1.5, -0.5]), "least entry is -0.5"),
        (lambda: Atoms([[[0.1, 0.2]]], [0.2, 0.3, 0.5]), "does not broadcast"),
        (lambda: Draws([[0.1]]), r"value must have shape \(m, k, T\)"),
        (lambda: Draws([[[0.1, 0.2]]], [[[0.5, 0.5]]]), r"weight must have shape \(2,\) or \(1, 2\)"),
        (lambda: JointGaussian([[0.1, 0.2]], np.eye(3), np.zeros((1, 2))), "covariance"),
        (lambda: JointGaussian([[0.1]], [[-1.0]], [[0.0]]), "negative variance"),
        (lambda: expected_max([[0.1]]), "spread is missing"),
        (lambda: expected_max(Atoms([[[0.1]]], 1.0), best=np.nan), "best is nan"),
    ],
)
def test_what_is_wrong_is_said(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()
