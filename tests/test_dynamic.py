import functools
import itertools

import numpy as np
import pytest

from cascade_lib import Cascade, CascadeRouter, PandoraRouter, Router
from cascade_lib.evaluation import FiniteProblem


def random_problem(seed, k=3, signals=2, m=2):
    """Signals with any joint law, each saying something about every answer."""
    rng = np.random.default_rng(seed)
    shape = (m, *[signals] * k)
    chance = rng.dirichlet(np.full(signals**k, 0.5), m).reshape(shape)
    return FiniteProblem(chance, rng.integers(0, 5, (*shape, k)) / 4, 0.3 * rng.random((m, k)))


def all_policies(problem, kind, lam):
    """The best value over all adaptive strategies, by going through the tree of what may be seen, without sums kept."""
    chance, quality, cost = problem.chance[kind], problem.quality[kind], problem.cost[kind]
    vectors = list(itertools.product(*[range(size) for size in chance.shape]))

    @functools.cache
    def best(seen):
        known = dict(seen)
        fits = [v for v in vectors if all(v[i] == s for i, s in known.items())]
        total = sum(chance[v] for v in fits)
        if total == 0:
            return 0.0
        worth = [sum(chance[v] * quality[v][i] for v in fits) / total for i in known]
        for i in set(range(problem.k)) - set(known):
            onward = 0.0
            for signal in range(chance.shape[i]):
                share = sum(chance[v] for v in fits if v[i] == signal) / total
                onward += share * best(tuple(sorted({**known, i: signal}.items())))
            worth.append(onward - lam * cost[i])
        return max(worth)

    return best(())


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("lam", [0.0, 0.2, 1.0, 5.0])
def test_the_optimum_is_that_of_the_tree_of_all_strategies(seed, lam):
    problem = random_problem(seed)
    truth = [all_policies(problem, kind, lam) for kind in range(2)]
    np.testing.assert_allclose(problem.optimum(lam), truth, atol=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_no_strategy_beats_the_optimum(seed):
    problem = random_problem(seed, k=4)
    pool, chance = problem.enumerated()
    for lam, strategy in itertools.product([0.05, 0.4, 1.5], [Router(), Cascade(), CascadeRouter(), PandoraRouter()]):
        played = strategy.play(problem, pool, lam=lam)
        assert chance @ (played.quality - lam * played.cost) <= problem.optimum(lam).mean() + 1e-12


@pytest.mark.parametrize("seed", range(3))
def test_beliefs_are_coherent_and_right(seed):
    problem = random_problem(seed, signals=3)
    pool, chance = problem.enumerated()
    assert chance.sum() == pytest.approx(1)
    everything = problem.beliefs(pool.evidence(np.ones(3, dtype=bool)))
    np.testing.assert_allclose(everything.mean, pool.quality)
    for ran in itertools.product([False, True], repeat=3):
        now = problem.beliefs(pool.evidence(np.array(ran)))
        for i in np.flatnonzero(~np.array(ran)):
            later = problem.beliefs(pool.evidence(np.array(ran) | (np.arange(3) == i)))
            # Estimates after the call, weighted by their chances, are on average those before, for rows that look
            # alike now; and the law announced is the law of the estimate to come.
            for alike in np.unique(now.mean.round(12), axis=0, return_inverse=True)[1:]:
                for group in np.unique(alike):
                    rows = alike.ravel() == group
                    share = chance[rows] / chance[rows].sum()
                    assert share @ later.mean[rows, i] == pytest.approx(now.mean[rows, i][0])
            np.testing.assert_allclose(now.law.mean[:, i], now.mean[:, i], atol=1e-12)
            for power in (2, 3):
                announced = chance @ (now.law.weight[:, i] * now.law.value[:, i] ** power).sum(axis=1)
                assert announced == pytest.approx(chance @ later.mean[:, i] ** power)


def test_signals_that_never_come_and_models_with_other_numbers_of_signals():
    chance = np.array([[[0.5, 0.0, 0.0], [0.2, 0.3, 0.0]]])
    quality = np.broadcast_to([[[[0.0], [0.5], [1.0]], [[1.0], [0.2], [0.9]]]], (1, 2, 3, 1)) * [1.0, 0.8]
    problem = FiniteProblem(chance, quality, [[0.1, 0.2]])
    pool, weight = problem.enumerated()
    assert len(pool) == 6
    played = CascadeRouter().play(problem, pool, lam=0.5)
    assert weight @ (played.quality - 0.5 * played.cost) <= problem.optimum(0.5)[0] + 1e-12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chance": [[[0.5], [0.6]]]}, "add up to 1"),
        ({"cost": [[1.0]]}, r"cost \(1, 2\); got"),
        ({"cost": [[1.0, -1.0]]}, "cost must be ≥ 0"),
        ({"quality": [[[[0.0, 0.6]], [[np.nan, 0.6]]]]}, "quality has an entry that is NaN"),
    ],
)
def test_what_is_wrong_is_said(change, message):
    good = {
        "chance": [[[0.5], [0.5]]],
        "quality": [[[[0.0, 0.6]], [[1.0, 0.6]]]],
        "cost": [[1.0, 2.0]],
    }
    with pytest.raises(ValueError, match=message):
        FiniteProblem(**good | change)
