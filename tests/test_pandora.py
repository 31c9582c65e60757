"""Weitzman's rule: its index, its value, and that nothing adaptive beats it where its assumptions hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm

from cascade_lib import CascadeRouter, Outcomes, PandoraRouter, Router, TabulatedEstimator
from cascade_lib.estimators import Beliefs
from cascade_lib.evaluation import FiniteProblem
from cascade_lib.theory import Atoms, Draws, Gaussian, JointGaussian, inverse_normal_loss, normal_draws
from truths import scene


def normal_loss(u):
    return norm.pdf(u) - u * norm.sf(u)


@given(st.floats(-50, 30))
def test_the_loss_function_is_inverted(u):
    # For large u the loss itself is rounded by u² ulps, and below −8 it is −u to the last digit.
    assert inverse_normal_loss(normal_loss(u)) == pytest.approx(u, rel=1e-10, abs=1e-10)


def test_the_inverse_at_its_ends():
    ends = inverse_normal_loss([0.0, np.finfo(float).tiny, 1e-300, 1e200, np.inf])
    assert ends[[0, 4]].tolist() == [np.inf, -np.inf]
    assert (np.diff(ends) < 0).all()
    assert ends[3] == -1e200
    assert inverse_normal_loss(norm.pdf(0)) == pytest.approx(0, abs=1e-12)


@given(st.floats(0, 1), st.sampled_from([0.0, 1e-9, 0.1, 0.5]), st.floats(1e-6, 3))
def test_the_gaussian_index_solves_its_equation(mean, spread, price):
    z = Gaussian(np.array([[mean]]), np.array([[spread]])).reservation(price)[0, 0]
    if spread:
        u = (z - mean) / spread
        gain = spread * (normal_loss(u) if u > -30 else -u)
        assert gain == pytest.approx(price, rel=1e-8)
    else:
        assert z == mean - price


def test_an_index_for_prices_of_zero_and_infinity():
    law = Gaussian(np.array([[0.4, 0.6]]), np.array([[0.1, 0.0]]))
    assert law.reservation([[0.0, 0.0]]).tolist() == [[np.inf, 0.6]]
    assert law.reservation(np.inf).tolist() == [[-np.inf, -np.inf]]
    atoms = Atoms([[[0.2, 0.9], [0.5, 0.5]]], [[[1.0, 0.0], [0.5, 0.5]]])
    assert atoms.reservation(0.0).tolist() == [[0.2, 0.5]]  # an atom of weight 0 is not there
    assert atoms.reservation(np.inf).tolist() == [[-np.inf, -np.inf]]


@given(st.integers(0, 2**32 - 1), st.floats(0.001, 2))
def test_the_index_of_atoms_solves_its_equation(seed, price):
    rng = np.random.default_rng(seed)
    value, weight = rng.integers(0, 5, (3, 2, 4)) / 4, rng.dirichlet(np.ones(4), (3, 2))
    z = Atoms(value, weight).reservation(price)
    gain = (weight * np.maximum(value - z[..., None], 0)).sum(axis=2)
    np.testing.assert_allclose(gain, price, atol=1e-12)
    even = Draws(value)
    np.testing.assert_allclose(even.reservation(price), Atoms(value, 0.25).reservation(price))


def test_the_index_of_a_joint_law_is_that_of_its_margins():
    covariance, mean = np.array([[0.09, 0.05], [0.05, 0.04]]), np.array([[0.5, 0.6]])
    law = JointGaussian(mean, covariance, normal_draws(2, 64, seed=0))
    np.testing.assert_allclose(law.reservation(0.05), Gaussian(mean, np.array([[0.3, 0.2]])).reservation(0.05))


class Coherent:
    """Independent Gaussian estimates: the post-hoc estimate is the truth, scattered around the ex-ante estimate."""

    def __init__(self, n, seed, k=3):
        rng = np.random.default_rng(seed)
        self.mean, self.spread, self.cost = rng.random(k), 0.4 * rng.random(k), 0.2 * rng.random(k) + 0.01
        later = self.mean + self.spread * rng.normal(size=(n, k))
        self.pool = Outcomes(later, np.tile(self.cost, (n, 1)))
        self.estimator = TabulatedEstimator(np.tile(self.mean, (n, 1)), later, self.spread, cost_ex_ante=self.pool.cost)


def weitzmans_value(mean, spread, cost, lam):
    """E[max_i min(Q_i, z_i)] by integration."""
    z = [brentq(lambda t, m=m, s=s, c=c: s * normal_loss((t - m) / s) - lam * c, m - 50, m + 9 * s)
         for m, s, c in zip(mean, spread, cost, strict=True)]  # fmt: skip
    below = lambda t: np.prod([norm.cdf(t, m, s) if t < zi else 1.0 for m, s, zi in zip(mean, spread, z, strict=True)])  # noqa: E731
    low, high = min(min(mean - 9 * spread), *z), max(z)
    return low + quad(lambda t: 1 - below(t), low, high, points=sorted({*z, *mean}), limit=200, epsabs=1e-9)[0]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("lam", [0.05, 0.5, 2.0])
def test_its_value_is_the_one_of_the_theorem(seed, lam):
    world = Coherent(40_000, seed)
    played = PandoraRouter().play(world.estimator, world.pool, lam=lam)
    worth = played.quality - lam * played.cost
    truth = weitzmans_value(world.mean, world.spread, world.cost, lam)
    assert worth.mean() == pytest.approx(truth, abs=5 * worth.std() / np.sqrt(len(worth)) + 1e-8)
    # And, draw by draw, the mean of the smaller of estimate and index of the best box.
    index = Gaussian(world.mean[None], world.spread[None]).reservation(lam * world.cost)
    capped = np.minimum(world.pool.quality, index).max(axis=1)
    assert capped.mean() == pytest.approx(truth, abs=5 * capped.std() / np.sqrt(len(worth)) + 1e-8)


@pytest.mark.parametrize("seed", range(4))
def test_it_is_never_below_cascade_routing_or_routing_in_expectation(seed):
    world = Coherent(10_000, seed)
    for lam in (0.05, 0.3, 1.0):
        worth = {}
        for strategy in (PandoraRouter(), CascadeRouter(), Router()):
            played = strategy.play(world.estimator, world.pool, lam=lam)
            worth[strategy.name] = played.quality - lam * played.cost
        for name in ("cascade routing", "routing"):
            ahead = worth["Pandora's box"] - worth[name]
            assert ahead.mean() >= -5 * ahead.std() / np.sqrt(len(ahead))


def independent_problem(seed, k=3, signals=3):
    """A small problem whose models show independent signals, each about its own answer only."""
    rng = np.random.default_rng(seed)
    chances, worths = rng.dirichlet(np.ones(signals), (2, k)), rng.integers(0, 5, (2, k, signals)) / 4
    chance = np.ones((2, *[signals] * k))
    quality = np.zeros((*chance.shape, k))
    for i in range(k):
        along = (2, *[signals if j == i else 1 for j in range(k)])
        chance = chance * chances[:, i].reshape(along)
        quality[..., i] = worths[:, i].reshape(along)
    return FiniteProblem(chance, quality, 0.3 * rng.random((2, k)))


def worth_of(strategy, problem, lam):
    """The exact expected quality − λ cost of a strategy on a small problem."""
    pool, chance = problem.enumerated()
    played = strategy.play(problem, pool, lam=lam)
    return chance @ (played.quality - lam * played.cost)


@pytest.mark.parametrize("seed", range(12))
def test_no_adaptive_strategy_beats_it_on_independent_boxes(seed):
    problem = independent_problem(seed)
    for lam in (0.0, 0.02, 0.3, 1.0, 4.0, 50.0):
        best = problem.optimum(lam).mean()
        assert worth_of(PandoraRouter(), problem, lam) == pytest.approx(best, abs=1e-9)
        assert worth_of(CascadeRouter(), problem, lam) <= best + 1e-9


def slow_pandora(law, cost, lam, values):
    """Weitzman's rule for one query, step by step."""
    index = law.reservation(lam * cost)[0]
    ran, best = [], -np.inf
    while len(ran) < len(cost):
        i = int(np.argmax([-np.inf if j in ran else index[j] for j in range(len(cost))]))
        if ran and index[i] <= best:
            break
        ran.append(i)
        best = max(best, values[i])
    return ran


@pytest.mark.parametrize("kind", ["spread", "no spread"])
def test_it_follows_its_definition_and_the_walk_equals_play(kind):
    pool, tables = scene(60, 4, seed=3)
    if kind == "no spread":
        tables.spread = np.zeros_like(tables.spread)
    tables.cost_post_hoc = tables.cost_ex_ante
    curve = PandoraRouter().frontier(tables, pool)
    rng = np.random.default_rng(0)
    for lam in [*10 ** rng.uniform(-3, 1.5, 25), *rng.choice(curve.lam, 15)]:
        played = PandoraRouter().play(tables, pool, lam=lam)
        j = int(np.flatnonzero(curve.lam <= lam)[0])
        assert (played.cost.mean(), played.quality.mean()) == pytest.approx(
            (curve.cost[j], curve.quality[j]), abs=1e-12
        )
        if lam not in curve.lam:
            for row in range(len(pool)):
                law = Gaussian(tables.ex_ante[[row]], tables.spread[[row]])
                ran = slow_pandora(law, tables.cost_ex_ante[row], lam, tables.post_hoc[row])
                assert played.order[row, : len(ran)].tolist() == ran
                assert played.ran[row].sum() == len(ran)


def test_models_that_cost_nothing_run_first_if_they_may_help():
    pool = Outcomes([[0.4, 0.9, 0.3]], [[0.0, 1.0, 0.0]])
    guess = TabulatedEstimator([[0.4, 0.8, 0.3]], pool.quality, [[0.1, 0.2, 0.0]], cost_ex_ante=pool.cost)
    for lam in (0.1, 1.0, 1e6, np.inf):
        order = PandoraRouter().play(guess, pool, lam=lam).order[0]
        assert order[0] == 0  # the free one that is uncertain
        assert 2 not in order  # the free one that is surely worse
    assert PandoraRouter().play(guess, pool, lam=0.1).order[0, 1] == 1


def test_without_spread_it_routes():
    pool, tables = scene(80, 4, seed=6)
    tables.spread, tables.post_hoc = np.zeros_like(tables.spread), tables.ex_ante
    tables.cost_post_hoc = tables.cost_ex_ante
    pandora, routing = PandoraRouter().frontier(tables, pool), Router().frontier(tables, pool)
    # Once one model has run, no other is worth more than it was thought to be worth.
    np.testing.assert_allclose(pandora.cost, routing.cost, atol=1e-12)
    np.testing.assert_allclose(pandora.quality, routing.quality, atol=1e-12)


def test_one_model_and_equal_models():
    pool = Outcomes([[0.7, 0.7]] * 3, [[1.0, 1.0]] * 3)
    guess = TabulatedEstimator(pool.quality, spread=0.2, cost_ex_ante=pool.cost)
    assert PandoraRouter().play(guess, pool, lam=10).ran.sum(axis=1).tolist() == [1, 1, 1]
    alone = pool.select(["model-0"])
    guess = TabulatedEstimator(alone.quality, spread=0.2, cost_ex_ante=alone.cost)
    assert len(PandoraRouter().frontier(guess, alone).lam) == 1


def slow_order(mean, spread, cost):
    """The models of the highest reservation value as the price falls to 1e-6, and the prices of the changes.

    On a fine grid of levels, between which the change is found by a root search.
    """

    def price(i, z):
        return spread[i] * normal_loss((z - mean[i]) / spread[i]) / cost[i]

    low, high = (mean - 8 * spread).min(), (mean + 8 * spread).max()
    levels = np.append(low - np.geomspace(1e4, 1e-4, 2_001), np.linspace(low, high, 50_001))
    table = np.array([price(i, levels) for i in range(len(mean))])
    first = table.argmax(axis=0)[table.max(axis=0) > 1e-6]
    at = np.flatnonzero(np.diff(first))
    changes = [
        price(i, brentq(lambda z, i=i, j=j: price(i, z) - price(j, z), *levels[[n, n + 1]], xtol=1e-15))
        for n, i, j in zip(at, first[at], first[at + 1], strict=True)
    ]
    return first[np.append(at, len(first) - 1)].tolist(), changes


@pytest.mark.parametrize("seed", [*range(20), 194, 260, 797])
def test_the_order_of_models_and_the_prices_of_its_changes_are_found(seed):
    """In the last three seeds a model comes first only on a short stretch of levels."""
    rng = np.random.default_rng(seed)
    mean, spread, cost = rng.random(3), 10 ** rng.uniform(-2.5, -0.5, 3), 10 ** rng.uniform(-1, 1, 3)
    models, changes = slow_order(mean, spread, cost)
    found = PandoraRouter().moves(Beliefs(np.zeros(3, dtype=bool), mean[None], spread[None], cost[None]))
    above = found.high > 1e-6
    keep = np.append(True, np.diff(found.model[above]) != 0)
    assert found.model[above][keep].tolist() == models
    np.testing.assert_allclose(found.high[above][keep][1:], changes, rtol=1e-10)


def test_a_law_of_atoms_is_used():
    # Both models have mean 0.5 and the same cost; the second may be perfect, which no Gaussian of small spread says.
    class Estimator:
        simulated = True

        def beliefs(self, evidence, rows):
            ran, outcomes = evidence.ran, evidence.truth
            value = np.array([[[0.4, 0.6], [0.0, 1.0]]] * len(rows))
            mean = np.where(ran, outcomes.quality[rows], 0.5)
            value = np.where(ran[:, None], mean[..., None], value)
            return Beliefs(ran, mean, Atoms(value, 0.5).spread, outcomes.cost[rows], law=Atoms(value, 0.5))

    pool = Outcomes([[0.6, 1.0], [0.6, 0.0]], [[1.0, 1.0]] * 2)
    played = PandoraRouter().play(Estimator(), pool, lam=0.05)
    assert played.order.tolist() == [[1, -1], [1, 0]]
