"""Draws behind the chapter on when to route: areas under curves ×100, on fresh queries with fresh noise every time.

``python book/draws/when_to_route.py`` computes all of them anew, on all cores, and writes `when_to_route_*.csv` beside
this file. One draw of the whole map takes some tens of seconds.
"""

from itertools import chain, combinations
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.linear_model import RidgeCV
from tqdm import tqdm

from cascade_lib import (
    Cascade,
    CascadeRouter,
    LearnedEstimator,
    NoisyEstimator,
    Outcomes,
    Router,
    TabulatedEstimator,
    datasets,
    diagnose,
    single_models,
)
from cascade_lib.estimators import WithoutSpread, evidence_for

STRATEGIES = {"routing": Router(), "cascade": Cascade(), "cascade routing": CascadeRouter()}
NO_EXPECT = {"no-expect": CascadeRouter()}
SENTIMENT = ["vader", "zero-shot", "vote-3", "vote-5"]
USD_NOISE = (2e-4, 5e-5)  # on costs, before and after a call: the paper's easiest setting
FIT_N, TEST_N = 2_000, 750
SIGMA = np.round(np.arange(0, 3.1, 0.2), 1)
MAPS, DRAWS = range(8), range(6)
TRIAL_NOISE = [0.7, 1.5, 2.7]
PLACES = {
    "five models, new queries": (5, 0.0),
    "three models": (3, 0.0),
    "sentiment": ("sentiment", 0.0),
    "sentiment, fee 200": ("sentiment", 200.0),
}
CHARGED = {
    "three models": (3, 0.0),
    "sentiment": ("sentiment", 0.0),
    "sentiment, fee 50 tokens": ("sentiment", 50.0),
    "sentiment, fee 200 tokens": ("sentiment", 200.0),
    "sentiment, fee 400 tokens": ("sentiment", 400.0),
    "five models": (5, 0.0),
    "five models, fee 0.0005 USD": (5, 0.0005),
    "three models, fee 0.0005 USD": (3, 0.0005),
}
CHAIN_NOISE = [(0.6, 0.3), (1.6, 0.8), (2.4, 1.2), (2.4, 2.4)]
CHAIN_N = 400
CHAINS = [chain for size in range(2, 6) for chain in combinations(range(5), size)]


def seen_by(name, guess):
    """Return the estimates that a strategy uses: no-expect is cascade routing on those without their spread."""
    return WithoutSpread(guess) if name == "no-expect" else guess


def scene(pool, *, seed=0, n=TEST_N):
    """Return training queries, n test queries drawn at random, and the noise on costs before and after a call."""
    if pool == "sentiment":
        train, test = datasets.load_sentiment().select(SENTIMENT).split(0.5, 0.5, seed=seed)
        return train, test.take(np.random.default_rng(seed).permutation(len(test))[:n]), (20, 5)
    queries = datasets.simulate_routerbench(FIT_N + n, seed=seed).select(datasets.ROUTERBENCH_POOLS[pool])
    return queries.take(np.arange(FIT_N)), queries.take(np.arange(FIT_N, FIT_N + n)), USD_NOISE


def map_row(pool, before, afters, *, coherent, fee=0.0, seed=0, n=TEST_N, variants=None):
    """Return one setting after the other: curves of all strategies at one noise before a call and several after it.

    `fee` is added to the cost of every call.
    """
    train, test, cost_noise = scene(pool, seed=seed, n=n)
    judge = Outcomes(test.quality, test.cost + fee, models=test.models, query=test.query, cost_unit=test.cost_unit)
    routed, row = None, []
    for after in afters:
        raw = NoisyEstimator((before, after), cost_noise, coherent=coherent, seed=seed).fit(train).tabulate(test)
        dues = (raw.cost_ex_ante + fee, raw.cost_post_hoc + fee)
        guess = TabulatedEstimator(raw.ex_ante, raw.post_hoc, raw.spread, *dues)
        r2 = diagnose(guess, judge).skill["r2"].unstack().mean()
        routed = routed or STRATEGIES["routing"].frontier(guess, judge)  # the same along the row
        others = STRATEGIES | (variants or {})
        curves = {"routing": routed} | {
            n: s.frontier(seen_by(n, guess), judge) for n, s in others.items() if n != "routing"
        }
        setting = {"coherent": coherent, "before": before, "after": after}
        row.append(setting | {"R² before": r2["before"], "R² after": r2["after"], "curves": curves})
    return row


def in_numbers(row, **labels):
    """Return settings with areas ×100 in the place of curves."""
    return [
        labels
        | {key: value for key, value in setting.items() if key != "curves"}
        | {name: 100 * curve.auc() for name, curve in setting["curves"].items()}
        for setting in row
    ]


def part_of_map(seed, before, coherent):
    """Return one row of the map: every noise after a call that is no larger than the one before it."""
    afters = SIGMA[before >= SIGMA]
    return in_numbers(map_row(5, before, afters, coherent=coherent, seed=seed, variants=NO_EXPECT), seed=seed)


def travel(seed):
    """Return the settings at which the rule is tried, on queries that had no part in the map."""
    rows = []
    for place, (pool, fee) in PLACES.items():
        for before in TRIAL_NOISE:
            afters = [after for after in TRIAL_NOISE if after <= before]
            row = map_row(pool, before, afters, coherent=True, fee=fee, seed=100 + seed, n=1_500)
            rows += in_numbers(row, seed=seed, place=place)
    return rows


def overhead(seed):
    """Return what forced calls cost a cascade, from outcomes alone, and by how much cascade routing leads it."""
    rows = []
    for place, (pool, fee) in CHARGED.items():
        plain = scene(pool, seed=200 + seed)[1]
        charged = Outcomes(plain.quality, plain.cost + fee)
        knowing = TabulatedEstimator(charged.quality, cost_ex_ante=charged.cost)
        forced = np.subtract(*(100 * s.frontier(knowing, charged).auc() for s in (Router(), Cascade())))
        (row,) = in_numbers(map_row(pool, 1.5, [1.5], coherent=True, fee=fee, seed=200 + seed))
        rows.append({"seed": seed, "place": place, "overhead": forced, "lead": row["cascade routing"] - row["cascade"]})
    return rows


def chains(seed):
    """Return the chain that is best on training queries, and areas on others, at four noises."""
    few, fresh, _ = scene(5, seed=300 + seed, n=1_500)
    part, rows = few.take(np.arange(CHAIN_N)), []
    for noise in CHAIN_NOISE:
        estimator = NoisyEstimator(noise, USD_NOISE, coherent=True, seed=seed).fit(few)
        tables = {outcomes: estimator.tabulate(outcomes) for outcomes in (part, fresh)}
        picked = max(CHAINS, key=lambda c: Cascade(order=c).frontier(tables[part], part).auc())
        row = {"seed": seed, "noise": "{}, {}".format(*noise), "models": "".join(str(i + 1) for i in picked)}
        contenders = {"short": Cascade(order=picked)} | STRATEGIES
        rows.append(row | {name: 100 * s.frontier(tables[fresh], fresh).auc() for name, s in contenders.items()})
    return rows


def blind(seed):
    """Return areas where next to nothing is known of quality, with costs known and not."""
    train, test, _ = scene(5, seed=400 + seed, n=2_000)
    quality, cost = (np.tile(table.mean(axis=0), (len(test), 1)) for table in (train.quality, train.cost))
    noises = {
        "σ = 3, costs known": (3.0, USD_NOISE),
        "σ = 3, costs unknown": (3.0, (100.0, 100.0)),
        "blind, costs known": (1000.0, USD_NOISE),
    }
    guesses = {
        label: NoisyEstimator((noise, noise), costs, coherent=True, seed=seed).fit(train).tabulate(test)
        for label, (noise, costs) in noises.items()
    }
    guesses["blind, costs unknown"] = TabulatedEstimator(quality, cost_ex_ante=cost)  # all queries look exactly alike
    hull = {"hull": 100 * single_models(test).auc()}
    return [
        {"seed": seed, "known": label} | hull | {n: 100 * s.frontier(guess, test).auc() for n, s in STRATEGIES.items()}
        for label, guess in guesses.items()
    ]


def shuffled(seed):
    """Return areas on queries as they are, and with the queries of every model shuffled by themselves."""
    whole = datasets.simulate_routerbench(4_500, seed=500 + seed).select(datasets.ROUTERBENCH_POOLS[5])
    orders = [np.random.default_rng([seed, i]).permutation(len(whole)) for i in range(5)]
    mixed = Outcomes(*(np.column_stack([t[o, i] for i, o in enumerate(orders)]) for t in (whole.quality, whole.cost)))
    rows = []
    for label, outcomes in (("as they are", whole), ("shuffled", mixed)):
        learn, judge = outcomes.take(np.arange(FIT_N)), outcomes.take(np.arange(FIT_N, len(outcomes)))
        guess = NoisyEstimator((2.6, 1.4), USD_NOISE, coherent=True, seed=seed).fit(learn).tabulate(judge)
        areas = {n: 100 * s.frontier(seen_by(n, guess), judge).auc() for n, s in (STRATEGIES | NO_EXPECT).items()}
        rows.append({"seed": seed, "qualities": label} | areas)
    return rows


def kept_and_thought(strategy, estimator, test, lam):
    """Return calls per query, and by how much kept answers are worse than thought, in points."""
    result = strategy.play(estimator, test, lam=lam)
    thought = np.empty(len(test))
    for ran in np.unique(result.ran, axis=0):
        rows = np.flatnonzero((result.ran == ran).all(axis=1))
        thought[rows] = estimator.beliefs(evidence_for(estimator, test, ran), rows).mean[
            np.arange(len(rows)), result.chosen[rows]
        ]
    return {"calls": result.ran.sum(axis=1).mean(), "optimism": 100 * (thought - result.quality).mean()}


def learned_by(seed, learner):
    """Return areas, R² and optimism at 0.1 right answers per 1,000 tokens, with estimates learned on a random half."""
    train, test, _ = scene("sentiment", seed=600 + seed, n=1_500)
    line = RidgeCV(alphas=np.geomspace(0.1, 1e4, 6))
    estimator = LearnedEstimator(**({} if learner == "trees" else {"quality": line}), seed=seed).fit(train)
    r2 = diagnose(estimator, test).skill["r2"].unstack().mean()
    r2 = {f"R² {moment}": r2[moment] for moment in ("before", "after", "all")}
    rows = []
    for name, strategy in (STRATEGIES | NO_EXPECT).items():
        labels = {"seed": seed, "learner": learner, "strategy": name}
        area = {"area": 100 * strategy.frontier(seen_by(name, estimator), test).auc()}
        rows.append(labels | r2 | area | kept_and_thought(strategy, estimator, test, 1e-4))
    return rows


def learned(seed):
    """Return what both learners achieve on one split."""
    return [row for learner in ("trees", "linear regression") for row in learned_by(seed, learner)]


TABLES = {
    "travel": travel,
    "overhead": overhead,
    "chains": chains,
    "blind": blind,
    "shuffled": shuffled,
    "learned": learned,
}


def stored(name):
    """Return all stored draws of one table."""
    return pd.read_csv(Path(__file__).with_name(f"when_to_route_{name}.csv"))


def write(name, jobs):
    """Compute a table on all cores and write it."""
    found = Parallel(n_jobs=-1, return_as="generator")(jobs)
    rows = chain.from_iterable(tqdm(found, desc=name, total=len(jobs)))
    pd.DataFrame(rows).round(3).to_csv(Path(__file__).with_name(f"when_to_route_{name}.csv"), index=False)


if __name__ == "__main__":
    write("map", [delayed(part_of_map)(s, b, c) for s in MAPS for c in (False, True) for b in SIGMA[::-1]])
    for name, table in TABLES.items():
        write(name, [delayed(table)(seed) for seed in DRAWS])
