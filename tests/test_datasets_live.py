"""The live run that comes with the package is what its data card says, and a runner can take it up."""

import hashlib
import json

import numpy as np
import pytest

from cascade_lib import datasets
from cascade_lib.datasets import live
from cascade_lib.live.journal import Journal


@pytest.fixture(scope="module")
def run():
    return datasets.load_live_run()


def test_the_file_is_the_one_that_is_pinned(tmp_path, monkeypatch):
    assert hashlib.sha256(live.LIVE_FILE.read_bytes()).hexdigest() == live.LIVE_SHA256
    assert live.LIVE_FILE.stat().st_size < 300_000
    changed = tmp_path / "live_policy.json.gz"
    changed.write_bytes(live.LIVE_FILE.read_bytes() + b"\0")
    monkeypatch.setattr(live, "LIVE_FILE", changed)
    with pytest.raises(ValueError, match=r"live_policy\.json\.gz is not the file .* Reinstall"):
        datasets.load_live_run()


def test_queries_are_new_balanced_and_described_as_the_logged_ones(run):
    logged = datasets.load_sentiment()
    assert run.queries["domain"].value_counts().tolist() == [250] * 4
    assert run.queries.index.is_unique
    assert not set(run.queries.index) & set(logged.query.index)
    assert set(logged.query.columns) == set(run.queries.columns) - {"rating"}
    assert (run.queries["rating"].abs() >= 1).all()
    assert set(run.queries["domain"]) == set(logged.query["domain"])


def test_the_journal_is_a_journal_without_texts_and_says_what_the_card_says(run, tmp_path):
    run.write_journal(tmp_path / "j.jsonl")
    book = Journal(tmp_path / "j.jsonl")
    book.close()
    card = live.LIVE_FILE.with_name("live_policy.md").read_text(encoding="utf-8")
    assert live.LIVE_SHA256 in card
    assert f"{book.spent:,.0f} |" in card
    lost = [call for call in book.calls.values() if call.paid]
    assert f"{sum(call.cost for call in lost)!s}" == "1214"
    assert len(lost) == 3
    answered = [key for key, call in book.calls.items() if call.reply is not None]
    counts = [sum(model == name for _, model, _ in answered) for name in run.scales]
    assert ", ".join(f"{count:,}" for count in counts) in card
    assert len(answered) == len(set(answered))
    assert {key for event in run.events if event.get("event") == "reply" for key in event["reply"]} == {
        "score",
        "usage",
    }
    assert all(call.request is None for call in book.calls.values())
    for call in book.calls.values():
        if call.reply and "usage" in call.reply:
            assert call.cost == sum(call.reply["usage"].values())
    assert len(json.dumps(run.events[1])) < 200


def test_the_margin_is_a_calibration_of_a_mean_of_calibrations(run):
    for model, scale in run.scales.items():
        scores = np.linspace(-1, 1, len(scale["own"]))
        own = [a * x + b for (a, b), x in zip(scale["own"], scores, strict=True)]
        a, b = scale["together"]
        assert run.margin(model, scores) == pytest.approx(a * sum(own) / len(own) + b, abs=1e-4)
        assert run.margin(model, scores + 1) > run.margin(model, scores)


def test_rules_are_as_good_as_on_the_logged_texts(run):
    """The rules were asked about every text, and no text is shared: same model, same kind of text, alike accuracies."""
    logged = datasets.load_sentiment().select(["vader"])
    right = [
        (run.margin("vader", [event["reply"]["score"]]) > 0) == (run.queries.loc[event["query"], "rating"] > 0)
        for event in run.events
        if event.get("event") == "reply" and event["model"] == "vader"
    ]
    assert len(right) == 1_000
    assert np.mean(right) == pytest.approx(logged.quality.mean(), abs=0.03)
