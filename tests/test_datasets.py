"""The embedded sentiment data are what the data card says, and their texts can be fetched."""

import gzip
import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pooch
import pytest

from cascade_lib import datasets
from cascade_lib.datasets import fetch, sentiment

MODELS = ("vader", "tfidf", "zero-shot", "four-shot", "vote-3", "vote-5")
DOMAINS = ["films", "tweets", "products", "editorials"]


@pytest.fixture(scope="module")
def pool():
    return datasets.load_sentiment()


@pytest.fixture(scope="module")
def table():
    return pd.read_csv(datasets.SENTIMENT_TABLE, index_col="id")


def accuracy(pool):
    """Accuracy by model (rows) and domain (columns)."""
    right = pd.DataFrame(pool.quality, columns=pool.models, index=pool.query["domain"].to_numpy())
    return right.groupby(level=0).mean().T


def test_the_pool_has_six_models_and_750_queries_of_every_domain(pool):
    assert pool.models == MODELS
    assert pool.quality.shape == pool.cost.shape == (3000, 6)
    assert pool.query["domain"].value_counts().to_dict() == dict.fromkeys(DOMAINS, 750)
    assert pool.query.index.is_unique
    assert pool.cost_unit == "tokens"
    assert {name: values.shape for name, values in pool.answer_features.items()} == dict.fromkeys(
        ("margin", "answer"), (3000, 6)
    )


def test_quality_is_whether_the_answer_has_the_sign_of_the_human_rating(pool, table):
    answer = table[[f"{model}|answer" for model in MODELS]].to_numpy()
    np.testing.assert_array_equal(pool.quality, answer * table[["rating"]].to_numpy() > 0)
    np.testing.assert_array_equal(pool.answer_features["answer"], np.where(pool.answer_features["margin"] > 0, 1, -1))
    assert table["rating"].abs().min() >= 1


def test_a_router_is_told_nothing_that_gives_the_label_away(pool):
    assert "rating" not in pool.query
    assert not any("|" in column for column in pool.query)


def test_tokens_are_free_for_the_rules_and_grow_along_the_ladder(pool):
    assert (pool.cost[:, :2] == 0).all()
    assert (np.diff(pool.cost[:, 1:], axis=1) > 0).all()


def test_seconds_are_those_of_all_calls(table):
    seconds = datasets.load_sentiment(cost="seconds")
    assert seconds.cost_unit == "seconds"
    np.testing.assert_array_equal(seconds.cost, table[[f"{model}|seconds" for model in MODELS]])
    mean = seconds.cost.mean(axis=0)
    assert mean[:2].max() < 0.01 < mean[2]
    assert mean[3] < mean[4] < mean[5]


def test_the_ladder_is_one(pool):
    by_domain, overall = accuracy(pool), pool.quality.mean(axis=0)
    assert by_domain.loc["vader", "tweets"] > by_domain.loc["vader", "films"] + 0.15
    assert overall[-1] > overall[0] + 0.05
    assert by_domain.loc["vader", "tweets"] > by_domain.loc["vote-5", "tweets"], "routing would be pointless"
    assert by_domain.loc["vote-5", "films"] > by_domain.loc["vader", "films"] + 0.1


def test_margins_mean_confidence(pool):
    sure = np.abs(pool.answer_features["margin"]) > np.median(np.abs(pool.answer_features["margin"]), axis=0)
    for model in range(pool.k):
        right = pool.quality[:, model]
        assert right[sure[:, model]].mean() > right[~sure[:, model]].mean() + 0.05


def test_the_data_card_has_the_figures_of_the_table(pool):
    card = datasets.SENTIMENT_TABLE.with_name("sentiment.md").read_text(encoding="utf-8")
    assert datasets.SENTIMENT_SHA256 in card
    by_domain, seconds = accuracy(pool), datasets.load_sentiment(cost="seconds").cost.mean(axis=0)
    for number, model in enumerate(MODELS):
        figures = [*by_domain.loc[model, DOMAINS], pool.quality[:, number].mean()]
        row = [f"{figure:.3f}" for figure in figures]
        row += [f"{pool.cost[:, number].mean():.1f}", f"{seconds[number]:.4f}"]
        assert f"| {model} | " + " | ".join(row) + " |" in card


def test_another_unit_of_cost_is_refused():
    with pytest.raises(ValueError, match="cost must be 'tokens' or 'seconds'; got 'USD'"):
        datasets.load_sentiment(cost="USD")


def test_a_changed_table_is_refused(tmp_path, monkeypatch):
    lines = gzip.decompress(datasets.SENTIMENT_TABLE.read_bytes())
    changed = tmp_path / "sentiment.csv.gz"
    changed.write_bytes(gzip.compress(lines.replace(b",1,", b",-1,", 1), mtime=0))
    monkeypatch.setattr(sentiment, "SENTIMENT_TABLE", changed)
    with pytest.raises(ValueError, match=r"sentiment\.csv\.gz is not the file .* Reinstall"):
        datasets.load_sentiment()


def test_the_table_is_compact_and_has_no_texts(table):
    assert datasets.SENTIMENT_TABLE.stat().st_size < 1_000_000
    assert [column for column in table if not pd.api.types.is_numeric_dtype(table[column])] == ["domain"]


def test_features_count_what_they_say():
    features = datasets.sentiment_features(["I did NOT like it... but @you didn't ask! http://x.y #fail :(", ""])
    expected = {
        "n_chars": 61, "n_words": 12, "n_exclaim": 1, "n_question": 0, "n_digits": 0, "n_capital_words": 1,
        "n_negations": 2, "n_contrasts": 1, "n_emoticons": 1, "has_link": 1, "has_mention": 1, "has_hashtag": 1,
    }  # fmt: skip
    assert features.loc[0, list(expected)].to_dict() == expected
    assert features.loc[0, "mean_word_length"] == pytest.approx(50 / 12)
    assert features.loc[0, "share_upper"] == pytest.approx(4 / 37)
    assert (features.loc[1] == 0).all()


def test_only_emoticons_count_as_emoticons():
    features = datasets.sentiment_features([":) :-( ;D =p 8) :/ :o) xD <3", "http://a.b (1978) re:post x8) 10:30"])
    assert features["n_emoticons"].tolist() == [9, 0]


def archive(members):
    """Return a gzipped tar archive in memory."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A mirror with a small source distribution, and an empty cache."""
    inner = {
        f"hutto_ICWSM_2014/{stem}_GroundTruth.txt": f'1\t1.5\t{stem} &amp; "so  on\n2\t-2.0\tbad\n'.encode()
        for stem in datasets.SENTIMENT_FILES.values()
    }
    content = archive({sentiment.VADER_INNER: archive(inner)})
    folder = tmp_path / "mirror"
    folder.mkdir()
    file = folder / Path(sentiment.VADER_URL).name
    file.write_bytes(content)
    monkeypatch.setattr(sentiment, "VADER_SHA256", pooch.file_hash(str(file)))
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    monkeypatch.setenv(datasets.MIRROR, str(folder))
    return file


def test_texts_come_from_the_mirror_then_from_the_cache(mirror, monkeypatch):
    texts = datasets.fetch_sentiment_texts()
    assert texts["id"].tolist() == [f"{domain}-{number:04d}" for domain in DOMAINS for number in (1, 2)]
    assert texts["domain"].tolist() == [domain for domain in DOMAINS for _ in range(2)]
    assert texts["rating"].tolist() == [1.5, -2.0] * 4
    assert texts["text"][0] == 'movieReviewSnippets & "so on'
    mirror.unlink()
    monkeypatch.delenv(datasets.MIRROR)
    pd.testing.assert_frame_equal(datasets.fetch_sentiment_texts(), texts)


def real_texts(monkeypatch):
    monkeypatch.setattr(fetch, "RETRIES", 0)
    try:
        return datasets.fetch_sentiment_texts()
    except ConnectionError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"the real texts cannot be had: {error}")


def test_the_real_texts_belong_to_the_table(table, monkeypatch):
    texts = real_texts(monkeypatch).set_index("id")
    assert texts.groupby("domain").size().to_dict() == {
        "films": 10605, "tweets": 4200, "products": 3708, "editorials": 5190
    }  # fmt: skip
    assert texts.index.is_unique
    asked = texts.loc[table.index]
    np.testing.assert_allclose(asked["rating"], table["rating"], atol=5e-5)
    assert not asked["text"].str.casefold().duplicated().any()
    features = datasets.sentiment_features(asked["text"]).set_index(table.index)
    pd.testing.assert_frame_equal(features, table[features.columns], check_dtype=False, rtol=0, atol=5.1e-5)
