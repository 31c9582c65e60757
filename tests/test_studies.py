"""A study finds what was planted, its policies keep their budgets, and its report is whole."""

import re
from dataclasses import replace
from html import unescape
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from cascade_lib import LearnedEstimator, Outcomes, study
from cascade_lib.evaluation.report import to_html
from cascade_lib.evaluation.studies import Study, _affordable


def planted(n=400, *, before=False, after=False, seed=0):
    """A pool whose small model is right on half of the queries, which is known before a call, after it, or never."""
    rng = np.random.default_rng(seed)
    right = np.column_stack([rng.random(n) < 0.5, rng.random(n) < 0.9])
    query = pd.DataFrame({"easy": np.where(right[:, 0] & before, "yes", "no")})
    return Outcomes(
        right, np.tile([1.0, 9.0], (n, 1)), ["small", "large"], query,
        answer_features={"score": np.where(right, 0.9, 0.1) if after else np.full((n, 2), 0.5)}, cost_unit="USD",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("known", "recommended"),
    [({}, "single models"), ({"before": True}, "routing"), ({"after": True}, "threshold cascade")],
)
def test_it_recommends_the_simplest_that_the_data_support(known, recommended):
    result = study(planted(**known), resamples=200)
    assert result.recommended == recommended
    assert recommended == "single models" or f"Recommended: {recommended}" in repr(result)


class Curve:
    """Stands in for a frontier of which only the AUC and the interval of its lead over others matter."""

    def __init__(self, auc, leads=None):
        self.auc, self.leads = lambda: auc, leads or {}

    def compare(self, other, **_):
        low, high = self.leads[other.auc()]
        return SimpleNamespace(low=low, high=high)


@pytest.mark.parametrize(
    ("over_single", "over_routing", "recommended"),
    [
        ((0.01, 0.3), (-0.01, 0.02), "routing"),  # as good as the best, for all that one can tell
        ((-0.01, 0.3), (0.01, 0.02), "single models"),
        ((0.01, 0.3), (0.001, 0.02), "cascade routing"),
    ],
)
def test_what_the_best_does_not_clearly_beat_is_recommended_if_it_is_simpler(over_single, over_routing, recommended):
    best = Curve(0.9, {0.7: over_single, 0.89: over_routing})
    curves = {"single models": Curve(0.7), "routing": Curve(0.89), "cascade routing": best, "omniscient": Curve(1.0)}
    strategies = {"routing": None, "cascade routing": None}
    assert Study(None, None, None, None, strategies, curves, 10, 0).recommended == recommended


def test_most_of_the_rest_is_learned_from_and_a_quarter_fits_budgets():
    result = study(planted(400), resamples=10)
    assert [len(part) for part in (result.train, result.calibration, result.test)] == [180, 60, 160]


def test_a_second_study_with_one_estimator_leaves_the_first_as_it_was():
    mine = LearnedEstimator(Ridge(), Ridge(), folds=2)
    first = study(planted(100, before=True), estimator=mine, resamples=10)
    before = first.estimator.beliefs(first.test.evidence(np.zeros(2, dtype=bool))).mean
    study(planted(100, seed=1), estimator=mine, resamples=10)
    np.testing.assert_array_equal(first.estimator.beliefs(first.test.evidence(np.zeros(2, dtype=bool))).mean, before)
    assert not hasattr(mine, "models_")


def changed(result, **columns):
    """Return a study with other numbers in the row of the recommended curve."""
    other = replace(result)
    other.__dict__["table"] = result.table.copy()
    for column, value in columns.items():
        other.table.loc[result.recommended, column.replace("_", " ")] = value
    return other


def test_the_answer_comes_first_with_its_unit_and_interval():
    result = study(planted(before=True), resamples=100)
    row, quality = result.table.loc["routing"], result.test.summary.loc["large", "quality"]
    first, use, why, basis = result.words
    cost = f"{row['cost at best']:.3g}".rstrip("0")
    assert first == (
        f"large's quality ({quality:.1%}) for ${cost} instead of $9 per query: "
        f"{row['saved']:.0%} [{row['saved low']:.0%}, {row['saved high']:.0%}] less."
    )
    assert use.startswith(
        f"Recommended: routing. Its mean quality over all budgets (AUC) is {row['lead']:.2f} points ["
    )
    assert "simplest" in why or "simpler" in why
    assert basis.startswith("Judged on 160 queries held out; 180 others were learned from, and budgets")
    assert repr(result).replace("\n", " ").startswith(first)
    assert max(map(len, repr(result).splitlines())) <= 88
    assert f"<p><strong>{first.split(':')[0].replace(chr(39), '&#x27;')}" in result._repr_html_()


def test_the_findings_say_so_if_nothing_can_be_saved():
    result = study(planted(), resamples=10)
    assert result.words[0].startswith(
        "Nothing can be saved for certain: no strategy is clearly better than single models"
    )
    assert result.words[1].startswith("Keep large")
    assert result.first_budget is None
    result = study(planted(before=True), resamples=100)
    never = changed(result, saved=-np.inf, cost_at_best=np.inf)
    assert re.fullmatch(
        r"Nothing can be saved: large \(.*% for \$9 per query\) has a quality that routing does not reach for less\. "
        r"But for \$(\S+) per query routing has a quality of (\S+)%, where mixing single models has (\S+)%\.",
        never.words[0],
    )
    curve, hull = (result.curves[name] for name in ("routing", "single models"))
    lead = curve.quality_at(at := np.linspace(1, 9, 400)) - hull.quality_at(at)
    assert at[lead.argmax()] == pytest.approx(never.first_budget, abs=0.05)
    assert "large (" in changed(result, saved=np.nan).words[0]


@pytest.mark.parametrize(
    ("low", "doubt"), [(0.1, "less."), (-0.2, "nothing may be saved."), (-np.inf, "reached at all.")]
)
def test_a_saving_that_may_be_none_is_called_uncertain(low, doubt):
    result = changed(study(planted(before=True), resamples=10), saved_low=low)
    assert result.words[0].endswith(doubt)
    assert ("not certain" in result.words[0]) == (low <= 0)


def test_the_saving_of_a_month_is_that_of_its_queries():
    result = changed(study(planted(before=True), resamples=10), saved=0.5, saved_low=0.25, saved_high=0.75)
    assert result.month(1000) == (
        "At 1,000 queries a day (30 days a month) this saves about $135,000 a month [$67,500, $202,000]: $135,000 "
        "instead of $270,000."
    )


@pytest.mark.parametrize(
    ("recommended", "why"),
    [
        ("threshold cascade", "Its curve is the best one here"),
        ("routing", "It is simpler, and its curve is not clearly worse: threshold cascade"),
    ],
)
def test_a_recommendation_is_justified_by_the_paired_difference(recommended, why):
    result = study(planted(after=True), resamples=100)
    assert result.recommended == "threshold cascade"
    other = replace(result)
    other.__dict__["recommended"] = recommended
    lead = result.curves["threshold cascade"].compare(result.curves["routing"], resamples=100, seed=0)
    assert other.words[2].startswith(why)
    assert f"{100 * lead.difference:.2f} points [{100 * lead.low:.2f}, {100 * lead.high:.2f}]" in other.words[2]


def test_the_scale_of_quality_changes_no_recommendation_and_no_curve():
    noise = np.random.default_rng(3).normal(0, 0.15, (400, 2))
    known = planted(after=True)
    answers = {"score": known.answer_features["score"] + noise}
    results = [
        study(Outcomes(scale * known.quality, known.cost, known.models, known.query, answers), resamples=100)
        for scale in (1, 8)
    ]
    assert results[1].recommended == results[0].recommended == "threshold cascade"
    for name, curve in results[0].curves.items():
        np.testing.assert_allclose(results[1].curves[name].cost, curve.cost, rtol=1e-9, err_msg=name)
        np.testing.assert_allclose(results[1].curves[name].quality, 8 * curve.quality, rtol=1e-9, err_msg=name)


def test_the_table_agrees_with_the_curves():
    result = study(planted(before=True), resamples=100)
    curve, table = result.curves["routing"], result.table
    assert table.loc["routing", "AUC"] == pytest.approx(100 * curve.auc())
    assert table.loc["single models", "lead"] == 0
    assert table.loc["omniscient", "of omniscient"] == pytest.approx(1)
    assert result.best == "large"
    goal = result.test.quality[:, 1].mean()
    assert curve.quality_at(table.loc["routing", "cost at best"]) == pytest.approx(goal)
    assert 0 < table.loc["routing", "saved"] < 1
    assert result.to_frame() is table


def test_policies_keep_their_budget_on_held_out_queries():
    result = study(planted(2000, before=True), resamples=100)
    assert result.policy(budget=4.0).play(result.test, seed=0).cost.mean() == pytest.approx(4, abs=0.5)
    ladder = result.budgets()
    assert ((ladder["low"] <= ladder["cost"]) & (ladder["cost"] <= ladder["high"])).all()
    within = ladder.index < 4.5  # beyond that more money buys nothing
    assert np.abs(ladder["cost"] - ladder.index)[within].max() < 0.6
    with pytest.raises(ValueError, match="there is no strategy 'luck' in this study; there are routing"):
        result.policy(budget=4, strategy="luck")


def test_free_text_is_learned_from():
    rng = np.random.default_rng(1)
    hard = rng.random(300) < 0.5
    prompts = [f"{'prove that' if h else 'say hello to'} {rng.integers(1000)}" for h in hard]
    right = np.column_stack([~hard, np.ones(300)])
    pool = Outcomes(right, np.tile([1.0, 5.0], (300, 1)), query=pd.DataFrame({"prompt": prompts, "n": range(300)}))
    train, test = pool.split(0.5, 0.5, seed=0)
    guess = LearnedEstimator().fit(train).beliefs(test.evidence(np.zeros(2, dtype=bool))).mean[:, 0]
    assert np.corrcoef(guess, test.quality[:, 0])[0, 1] > 0.8


class ByHand(BaseEstimator):
    """Length and directions of a prompt from the pieces of scikit-learn, then the number as it is."""

    def fit(self, frame, y=None):
        counts = HashingVectorizer(n_features=2**14, alternate_sign=False, norm=None)
        turn = TruncatedSVD(32, random_state=4)
        self.words = make_pipeline(counts, TfidfTransformer(sublinear_tf=True), turn).fit(frame["prompt"])
        return self

    def transform(self, frame):
        lengths = [[len(text), len(text.split())] for text in frame["prompt"]]
        return np.hstack([lengths, self.words.transform(frame["prompt"]), frame[["n"]]])


def test_texts_are_learned_from_as_by_hand():
    rng = np.random.default_rng(1)
    prompts = [
        f"{rng.choice(['prove', 'say'])} {rng.choice(['that', 'hello'])} {rng.integers(1000)}" for _ in range(200)
    ]
    right = np.column_stack([["prove" not in prompt for prompt in prompts], rng.random(200) < 0.8])
    query = pd.DataFrame({"n": range(200), "prompt": prompts})
    pool = Outcomes(right, np.tile([1.0, 5.0], (200, 1)), query=query)
    # The default learner would also read the words themselves.
    trees = ExtraTreesRegressor(20, min_samples_leaf=5)
    default = study(pool, seed=4, resamples=10, estimator=LearnedEstimator(trees, seed=4))
    by_hand = study(pool, seed=4, resamples=10, estimator=LearnedEstimator(trees, features=ByHand(), seed=4))
    for ran in ([False, False], [True, False], [True, True]):
        for part in (default.train, default.test):
            one, other = (result.estimator.beliefs(part.evidence(np.array(ran))) for result in (default, by_hand))
            for field in ("mean", "spread", "cost"):
                np.testing.assert_allclose(getattr(one, field), getattr(other, field), rtol=1e-9, atol=1e-9)
    for name, curve in default.curves.items():
        assert curve.auc() == pytest.approx(by_hand.curves[name].auc(), rel=1e-9), name


def test_texts_survive_a_saved_policy(tmp_path):
    from cascade_lib import Policy

    pool = planted(600, before=True)
    pool = Outcomes(pool.quality, pool.cost, pool.models,
                    pool.query.assign(prompt=[f"query number {i}" for i in range(600)]))  # fmt: skip
    result = study(pool, resamples=50)
    policy = result.policy(budget=5)
    policy.save(tmp_path / "policy.json")
    again = Policy.load(tmp_path / "policy.json")
    np.testing.assert_array_equal(again.play(result.test, seed=0).ran, policy.play(result.test, seed=0).ran)


def test_large_pools_get_a_limit_of_depth():
    assert [_affordable(k) for k in (1, 7, 8, 11, 40)] == [None, None, 3, 2, 1]
    rng = np.random.default_rng(0)
    pool = Outcomes(rng.random((60, 8)), rng.random((60, 8)))
    result = study(pool, depth=1, resamples=20)
    assert "Pandora's box" not in result.curves
    assert result.strategies["cascade routing"].depth == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [({"test": 1.5}, "test must lie between 0.05 and 0.95"), ({"depth": 0}, "depth must be at least 1")],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        study(planted(40), **options)
    with pytest.raises(ValueError, match="20 queries are too few"):
        study(planted(20))


def test_the_report_is_whole_and_loads_nothing():
    pool = planted(200, before=True)
    pool = Outcomes(pool.quality, pool.cost, ["<b>small</b>", "large"], pool.query)
    page = to_html(study(pool, resamples=50), title="a & b")
    assert "<h1>a &amp; b</h1>" in page
    assert "<b>small</b>" not in page
    assert not re.search(r"(src|href)=['\"](?!data:)|url\(|@import", page)
    assert page.count("<figure>") == 2
    assert all(word in page for word in ("Recommended", "auroc", "gamma", "omniscient"))


def test_the_report_can_be_read_by_everybody():
    result = study(planted(200, before=True), resamples=50)
    page = to_html(result, title="log")
    assert '<html lang="en">' in page
    assert page.count("<main>") == page.count("<h1>") == 1
    assert not re.findall(r"<th(?! scope='(?:row|col)')[ >]", page)
    assert not re.findall(r"<th[^>]*></th>", page)
    assert page.count("<table>") == page.count("tabindex='0' role='region' aria-label='") == 6
    alt = unescape(re.search(r"<img alt='([^']*)'", page)[1])
    assert result.words[0] in alt
    assert re.search(r"small \d\d\.\d% for 1, large \d\d\.\d% for 9\.", alt)
    assert not re.findall(r">[^<]*-\d[^<]*</td>", page)


def test_words_of_the_trade_are_folded_and_explained():
    page = to_html(study(planted(200, after=True), resamples=50), title="log")
    before, folded = page.split("<details>")
    for word in ("auroc", "brier", "ece", "spread", "gamma", "moved"):
        assert not re.search(rf"\b{word}\b", before), word
        assert re.search(rf"<dt>[^<]*{word}", folded), word


def test_a_study_of_more_models_than_have_all_their_sets_listed():
    rng = np.random.default_rng(0)
    right = rng.random((90, 20)) < np.linspace(0.3, 0.9, 20)
    log = Outcomes(right, np.tile(np.arange(1.0, 21.0), (90, 1)), query=pd.DataFrame({"x": rng.random(90)}))
    found = study(log, estimator=LearnedEstimator(Ridge(), Ridge(), folds=2), resamples=20)
    assert list(found.strategies)[:4] == ["routing", "threshold cascade", "cascade", "cascade routing"]
    assert "Pandora's box" not in found.strategies
    assert all(np.isfinite(curve.auc()) for curve in found.curves.values())
