"""Splits behind the chapter on the local pool: what every strategy achieves with estimates that are learned anew.

``python book/draws/local_pool.py`` splits, learns, chooses and tests anew for all seeds, on all cores, and writes
`local_pool.csv` beside this file. Options are chosen on the training part of each split; its test part is used once.
"""

from copy import copy
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import OneHotEncoder
from tqdm import tqdm

from cascade_lib import (
    Cascade,
    CascadeRouter,
    LearnedEstimator,
    Outcomes,
    PandoraRouter,
    Router,
    ThresholdCascade,
    datasets,
    diagnose,
    omniscient,
    single_models,
)
from cascade_lib.estimators import WithoutSpread

FILE = Path(__file__).with_name("local_pool.csv")
SPLITS = (11, 1, 2, 3, 4, 5, 6, 7)  # the chapter takes the first as its example
SHARES = (0.4, 0.2, 0.4)  # training, calibration, test
BUDGET = 150
PRICES = (0.05, 0.15, 0.5)  # right answers per 1,000 tokens
DOMAINS = ["films", "tweets", "products", "editorials"]
PAID = ["zero-shot", "four-shot", "vote-3", "vote-5"]
TREES = ExtraTreesRegressor(20, min_samples_leaf=5, max_features=0.5)
STRATEGIES = {
    "routing": Router(),
    "threshold cascade": ThresholdCascade(),
    "cascade": Cascade(),
    "cascade routing": CascadeRouter(),
    "Pandora's box": PandoraRouter(),
}
NO_EXPECT = {"cascade routing, no-expect": CascadeRouter()}


class Remembered:
    """An estimator that makes its estimates for all queries of some outcomes at once, and keeps them."""

    def __init__(self, estimator):
        self.estimator, self.kept = estimator, {}

    def beliefs(self, evidence, rows):
        """Return what is known of some queries once some models have run."""
        key = evidence.fingerprint, evidence.ran.tobytes()
        if key not in self.kept:
            self.kept[key] = self.estimator.beliefs(evidence)
        return self.kept[key].take(rows)


def only(*columns):
    """Return a transformer that lets through the domain, if named, and the numbers named."""
    domain = [(OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["domain"])] if "domain" in columns else []
    return make_column_transformer(*domain, ("passthrough", [c for c in columns if c != "domain"]))


FEATURES = {"domain": only("domain"), "all": None}  # the simplest first, here and below


def fitted_trees(part, *, features=None, calibrate=False):
    """Return estimates of trees in three folds."""
    return LearnedEstimator(clone(TREES), features=features, calibrate=calibrate, folds=3, seed=11).fit(part)


def expecting(estimator, future):
    """Return the same fits with another law of what a call may reveal, remembered."""
    return Remembered(copy(estimator).set_params(future=future))


def options(train):
    """Return estimators fitted on the training queries: two sets of features, calibrated or not, three laws."""
    found = {}
    for features, transformer in FEATURES.items():
        for calibrate in (False, True):
            fitted = fitted_trees(train, features=transformer, calibrate=calibrate)
            for future in ("independent", "joint", "empirical"):
                found[features, calibrate, future] = expecting(fitted, future)
    return found


def trial(candidates, train):
    """Return areas ×100 on the training queries, whose estimates are cross-fitted: a row for each option."""
    areas = {
        row: {name: 100 * STRATEGIES[name].frontier(guess, train).auc() for name in list(STRATEGIES)[:3]}
        for row, guess in candidates.items()
    }
    return pd.DataFrame(areas).T.rename_axis(["features", "calibrated", "future"])


def choice(areas):
    """Return the simplest option within 0.1 points of a strategy's best; the last two strategies take the cascade's."""
    found = {name: areas.index[(areas[name] >= areas[name].max() - 0.1).argmax()] for name in areas}
    return found | dict.fromkeys(["cascade routing", "Pandora's box", *NO_EXPECT], found["cascade"])


def guesses(candidates, chosen):
    """Return the estimates that every strategy uses: those of its option, for no-expect without their spread."""
    return {n: WithoutSpread(candidates[row]) if n in NO_EXPECT else candidates[row] for n, row in chosen.items()}


def tuned_for(strategy, guess, calibration, lam):
    """Return the number that makes a strategy's mean of quality − lam · cost largest on the calibration queries."""
    found = strategy.frontier(guess, calibration)
    return max(found.lam[(found.quality - lam * found.cost).argmax()], 1e-9)


def net_values(guess, calibration, test, lam):
    """Return quality − lam · cost of every test query, by strategy, each tuned on the calibration queries."""
    value = {}
    for name, strategy in STRATEGIES.items():
        number = tuned_for(strategy, guess[name], calibration, lam)
        plays = {name: strategy.play(guess[name], test, lam=number)}
        if name == "threshold cascade":
            bill = Outcomes(
                calibration.quality,
                calibration.cost * lam / number,  # so that the single threshold is the price to start from
                models=calibration.models,
                query=calibration.query,
                answer_features=calibration.answer_features,
            )
            steps = strategy.with_step_prices(Remembered(guess[name].estimator), bill, lam=number)
            plays["threshold for every step"] = steps.play(guess[name], test, lam=number)
        value |= {label: play.quality - lam * play.cost for label, play in plays.items()}
    return value


def by_learner(trees, train, test):
    """Return R² of two learners at three moments and the lead of cascade routing over routing, on one pool."""
    straight = LearnedEstimator(RidgeCV(np.geomspace(0.1, 1e4, 6)), features=only("domain"), folds=3, seed=11).fit(
        train
    )
    found = {}
    for key, guess in {"trees": trees, "linear": Remembered(straight)}.items():
        r2 = diagnose(guess.estimator, test).skill["r2"].unstack().mean()
        found |= {f"{key}: R² {moment}": r2[moment] for moment in ("before", "after", "all")}
        looks, blind = (s.frontier(guess, test).auc() for s in (CascadeRouter(), Router()))
        found[f"{key}: lead over routing"] = 100 * (looks - blind)
    return found


def failures(policy, test):
    """Return shares of the test queries on which a policy ends wrong, and why."""
    play, right = policy.play(test, seed=11), test.quality.astype(bool)
    wrong, seen = play.quality == 0, (right & play.ran).any(axis=1)
    kinds = {"nobody right": ~right.any(axis=1), "not kept": seen, "not asked": right.any(axis=1) & ~seen}
    return {"wrong": wrong.mean()} | {kind: (wrong & where).mean() for kind, where in kinds.items()}


def above_the_best(guess, calibration, train, test):
    """Return quality − λ · cost above the best single model on films, at the price that spends the budget."""
    lam = CascadeRouter().calibrate(guess["cascade routing"], calibration, budget=BUDGET).lam
    single = (train.quality - lam * train.cost).mean(axis=0).argmax()
    films, found = (test.query["domain"] == "films").to_numpy(), {}
    for name in ("routing", "cascade routing"):
        play = STRATEGIES[name].play(guess[name], test, lam=lam)
        gain = play.quality - lam * play.cost - (test.quality[:, single] - lam * test.cost[:, single])
        found[f"films: {name}"] = 100 * gain[films].mean()
    return found


def split(seed, **pool):
    """Return training, calibration and test queries of one random split."""
    return datasets.load_sentiment(**pool).split(*SHARES, seed=seed)


def areas_and_savings(guess, test, model):
    """Return areas ×100 of all strategies, and the share of a model's cost that each saves at its quality."""
    found = {"hull": 100 * single_models(test).auc(), "omniscient": 100 * omniscient(test).auc()}
    goal = test.summary.loc[model]
    for name, strategy in (STRATEGIES | NO_EXPECT).items():
        curve = strategy.frontier(guess[name], test)
        found |= {name: 100 * curve.auc(), f"saved by {name}": 1 - curve.cost_at(goal["quality"]) / goal["cost"]}
    return found


def draw(seed):
    """Return all numbers of one split."""
    train, calibration, test = split(seed)
    candidates = options(train)
    chosen = choice(trial(candidates, train))
    guess = guesses(candidates, chosen)
    best = max(train.models, key=lambda model: train.summary.loc[model, "quality"])
    found = areas_and_savings(guess, test, best)
    for price in PRICES:
        value = net_values(guess, calibration, test, price / 1000)
        ahead = {name: 100 * (value["cascade routing"] - v).mean() for name, v in value.items()}
        found |= {f"{price}: {name}": lead for name, lead in ahead.items() if name != "cascade routing"}
    policy = CascadeRouter().calibrate(guess["cascade routing"], calibration, budget=BUDGET)
    found |= failures(policy, test) | above_the_best(guess, calibration, train, test)
    found |= by_learner(candidates["domain", False, "empirical"], train, test)
    blind = expecting(fitted_trees(train, features=only()), "empirical")
    found["answers alone"] = 100 * CascadeRouter().frontier(blind, test).auc()
    train, test = train.select(PAID), test.select(PAID)
    fits = {row: fitted_trees(train, features=FEATURES[row[0]], calibrate=row[1]) for row in set(chosen.values())}
    guess = guesses({row: expecting(fit, row[2]) for row, fit in fits.items()}, chosen)
    return found | {f"paid: {key}": value for key, value in areas_and_savings(guess, test, best).items()}


def stored():
    """Return all stored splits: a row for each seed."""
    return pd.read_csv(FILE, index_col=0)


if __name__ == "__main__":
    found = list(tqdm(Parallel(n_jobs=-1, return_as="generator")(delayed(draw)(s) for s in SPLITS), total=len(SPLITS)))
    pd.DataFrame(found, index=pd.Index(SPLITS, name="seed")).round(4).to_csv(FILE)
