import numpy as np
import pandas as pd
import pytest
from scipy.stats import linregress
from sklearn.metrics import brier_score_loss, r2_score, roc_auc_score

from cascade_lib import (
    JointGaussianEstimator,
    LearnedEstimator,
    NoisyEstimator,
    Outcomes,
    TabulatedEstimator,
    diagnose,
    plots,
)


def pool_of(n, seed, means=(0.5, 0.8)):
    quality = np.random.default_rng(seed).random((n, len(means))) < means
    return Outcomes(quality, np.ones(quality.shape), models=["small", "large"][: len(means)])


def given(before, after, quality, spread=0.1):
    """Diagnose tables that are handed in."""
    columns = [np.reshape(values, (-1, 1)) for values in (before, after, quality)]
    pool = Outcomes(columns[2], np.ones(columns[2].shape), models=["only"])
    return diagnose(TabulatedEstimator(columns[0], columns[1], spread, pool.cost), pool)


def test_skill_is_what_scikit_learn_says():
    pool = pool_of(500, seed=0)
    found = diagnose(NoisyEstimator(seed=1).fit(pool), pool)
    for i, model in enumerate(pool.models):
        for moment in ("before", "after", "all"):
            estimate = getattr(found, moment)[:, i]
            row, quality = found.skill.loc[(model, moment)], pool.quality[:, i]
            assert row["r2"] == pytest.approx(r2_score(quality, estimate))
            assert row["auroc"] == pytest.approx(roc_auc_score(quality, estimate))
            assert row["brier"] == pytest.approx(brier_score_loss(quality, np.clip(estimate, 0, 1)), abs=0.02)


def test_calibration_error_by_hand():
    # Ten bins of two queries each; estimates of 0.3 where a half is right, in every bin.
    estimate, quality = np.full(20, 0.3), np.tile([0.0, 1.0], 10)
    assert given(estimate, estimate, quality).skill["ece"].to_numpy() == pytest.approx([0.2] * 3)


def test_a_perfect_and_a_constant_model():
    quality = np.tile([0.0, 1.0], 50)
    perfect = given(quality, quality, quality, spread=0.0)
    assert perfect.skill.iloc[0].tolist() == [1, 1, 0, 0]
    assert perfect.coverage.iloc[0].tolist() == [0, 0, 1, 1, 1]
    assert perfect.coherence["coherent"].all()
    constant = given(np.full(100, 0.9), np.full(100, 0.9), np.full(100, 0.9))
    assert np.isnan(constant.skill[["r2", "auroc"]].to_numpy()).all()
    assert constant.coherence["coherent"].all()
    assert "No model fails" in constant.words[0]


def test_coverage_of_an_announced_spread():
    rng = np.random.default_rng(2)
    before = rng.random(20_000)
    after = before + rng.normal(0, 0.1, before.size)
    right, wide = (given(before, after, before > 0.5, spread).coverage.iloc[0] for spread in (0.1, 0.2))
    np.testing.assert_allclose(right[["50%", "80%", "95%"]].to_list(), [0.5, 0.8, 0.95], atol=0.015)
    assert right["moved"] == pytest.approx(0.1, abs=0.002)
    assert (wide[["50%", "80%", "95%"]] > [0.7, 0.95, 0.999]).all()


def test_the_line_is_that_of_ordinary_least_squares():
    rng = np.random.default_rng(3)
    before = rng.random(400)
    after = 0.2 + 0.5 * before + rng.normal(0, 0.1, 400)
    row, truth = given(before, after, before > 0.5).coherence.iloc[0], linregress(before, after)
    assert (row["slope"], row["intercept"]) == pytest.approx((truth.slope, truth.intercept))
    # The noise is the same everywhere, so the robust interval is close to the classical one.
    assert (row["high"] - row["low"]) / 2 == pytest.approx(1.96 * truth.stderr, rel=0.1)


def test_the_interval_and_the_test_keep_their_promises():
    rng = np.random.default_rng(4)
    inside, kept = [], []
    for _ in range(400):
        before = rng.random(200)
        after = before + rng.normal(0, 0.05 + 0.3 * before)  # more noise where estimates are high
        row = given(before, after, before > 0.5).coherence.iloc[0]
        inside.append(row["low"] <= 1 <= row["high"])
        kept.append(row["coherent"])
    assert 0.91 <= np.mean(inside) <= 0.98
    assert 0.90 <= np.mean(kept) <= 0.98


def test_forgetful_estimates_fail_and_coherent_ones_pass():
    train, test = pool_of(4000, seed=5), pool_of(4000, seed=6)
    forgetful = diagnose(NoisyEstimator((0.4, 0.4), seed=2).fit(train), test)
    assert not forgetful.coherence["coherent"].any()
    # Of the deviation known before the call, the share kept is the share of truth in the signal after it.
    variance = train.quality.var(axis=0)
    np.testing.assert_allclose(forgetful.coherence["slope"], variance / (variance + 0.16), atol=0.06)
    # Closed forms: prior variance after the first signal, and what the second teaches on top of it.
    first = variance * 0.16 / (variance + 0.16)
    np.testing.assert_allclose(forgetful.coherence["teaches"], first / np.sqrt(first + 0.16), rtol=0.05)
    np.testing.assert_allclose(forgetful.coherence["forgotten"], first - first * 0.16 / (first + 0.16), rtol=0.1)
    assert (forgetful.coherence["overvalued"] > 0.01).all()
    assert len(forgetful.words) == 2
    assert forgetful.words[0].startswith("small: of 0.10 by which")
    assert forgetful.words[0] in repr(forgetful)
    for estimator in (NoisyEstimator((0.4, 0.4), coherent=True, seed=2), JointGaussianEstimator((0.4, 0.4), seed=2)):
        found = diagnose(estimator.fit(train), test).coherence
        assert found["coherent"].all()
        np.testing.assert_allclose(found[["overvalued", "forgotten"]], 0, atol=0.004)


def test_a_move_that_all_queries_share_could_have_been_foreseen():
    rng = np.random.default_rng(0)
    found = given(np.full(50, 0.5), 0.6 + rng.normal(0, 0.01, 50), rng.integers(0, 2, 50))
    assert not found.coherence["coherent"].any()
    assert "its estimates move by +0.1" in found.words[0]
    assert np.isnan(found.coherence["slope"]).all()


def test_what_has_run_is_not_diagnosed_but_used():
    pool = pool_of(300, seed=7)
    estimator = JointGaussianEstimator().fit(pool)
    found = diagnose(estimator, pool, ran=[True, False])
    assert found.outcomes.models == ("large",)
    now = estimator.beliefs(pool.evidence([True, False], truth=True))
    np.testing.assert_array_equal(found.before[:, 0], now.mean[:, 1])


def test_what_other_answers_show_of_a_model_is_in_the_last_moment_only():
    # Two cheap answers say nothing of themselves; whether they agree says if the third model is right.
    coins = np.random.default_rng(0).integers(0, 2, (600, 2))
    right = np.column_stack([np.ones((600, 2)), coins[:, 0] == coins[:, 1]])
    pool = Outcomes(
        right, np.ones((600, 3)), answer_features={"says": np.column_stack([coins, np.zeros((600, 1))]).astype(str)}
    )
    skill = diagnose(LearnedEstimator(folds=2).fit(pool), pool).skill["r2"].loc["model-2"]
    assert skill["before"] < 0.05
    assert skill["after"] < 0.05
    assert skill["all"] > 0.9


def test_standard_errors_are_those_of_hc1():
    rng = np.random.default_rng(11)
    before = rng.random(12)
    after = before + rng.normal(0, 0.1 + before)
    row = given(before, after, np.tile([0, 1], 6)).coherence.iloc[0]
    # White's estimator by hand, with the factor n / (n − 2) that matters for twelve queries.
    x = before - before.mean()
    slope = (x @ after) / (x @ x)
    residual = after - after.mean() - slope * x
    error = np.sqrt(12 / 10 * (x**2 @ residual**2)) / (x @ x)
    assert row["high"] - row["low"] == pytest.approx(2 * 1.959964 * error)


def test_the_level_of_the_test_is_shared_among_the_models():
    rng = np.random.default_rng(12)
    found = []
    for _ in range(150):
        before = rng.random((60, 8))
        after = before + rng.normal(0, 0.2, (60, 8))
        pool = Outcomes(rng.integers(0, 2, (60, 8)), np.ones((60, 8)))
        found.append(diagnose(TabulatedEstimator(before, after, 0.1, pool.cost), pool).coherence["coherent"].all())
    # With a level of 5% for each of eight models, a third of the tables would fail.
    assert np.mean(found) > 0.85


def test_results_show_themselves():
    pool = pool_of(200, seed=8)
    found = diagnose(NoisyEstimator().fit(pool), pool)
    frame = found.to_frame()
    assert frame.index.tolist() == ["small", "large"]
    assert frame.loc["large", "auroc_after"] == found.skill.loc[("large", "after"), "auroc"]
    assert "<table" in found._repr_html_()
    assert isinstance(found.coverage, pd.DataFrame)
    panels = found.plot()
    assert [ax.get_title(loc="left") for ax in panels] == ["small", "large"]
    points = panels[0].containers[0].lines[0].get_xydata()
    assert points[:, 1].mean() == pytest.approx(pool.quality[:, 0].mean())
    plots.revisions(found, axes=panels)


@pytest.mark.parametrize(
    ("n", "ran", "message"),
    [
        (9, None, "9 queries are too few"),
        (20, [True], r"each of the 2 models whether it has run; got shape \(1,\)"),
        (20, [True, True], "no call left"),
    ],
)
def test_what_is_wrong_is_said(n, ran, message):
    pool = pool_of(n, seed=1)
    with pytest.raises(ValueError, match=message):
        diagnose(NoisyEstimator().fit(pool), pool, ran=ran)
