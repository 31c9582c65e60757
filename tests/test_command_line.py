"""The command line: what each command prints and writes, and the code it ends with."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from cascade_lib import Policy
from cascade_lib.__main__ import DONE, INTERRUPTED, LOG, OUTPUT, REQUEST, main


@pytest.fixture
def log(tmp_path):
    rng = np.random.default_rng(0)
    easy, n = rng.random(300) < 0.5, 300
    frame = pd.DataFrame({"query": range(n), "easy": easy, "quality:small": easy, "quality:large": rng.random(n) < 0.9})
    path = tmp_path / "log.csv"
    frame.assign(**{"cost:small": 1, "cost:large": 9}).to_csv(path, index=False)
    return str(path)


def test_describe_says_what_is_in_the_log(log, capsys):
    assert main(["describe", log, "--cost-unit", "USD"]) == DONE
    out = capsys.readouterr().out
    assert "300 queries × 2 models, cost in USD" in out
    assert "known before a call: easy" in out
    assert "omniscient" in out


def test_frontier_writes_all_curves(log, tmp_path, capsys):
    assert main(["frontier", log, "--output", str(tmp_path / "curves.csv")]) == DONE
    curves = pd.read_csv(tmp_path / "curves.csv")
    assert {"single models", "routing", "cascade routing", "omniscient"} <= set(curves["strategy"])
    assert "Recommended: routing" in capsys.readouterr().out


def test_fit_saves_a_policy_that_decides(log, tmp_path):
    path = tmp_path / "policy.json"
    assert main(["fit", log, "--budget", "5", "--output", str(path)]) == DONE
    policy = Policy.load(path)
    assert policy.start({"easy": True}).next() == "small"
    assert main(["fit", log, "--quality", "0.8", "--strategy", "cascade-routing", "--output", str(path)]) == DONE
    assert Policy.load(path).strategy.name == "cascade routing"


def test_report_is_one_file(log, tmp_path):
    assert main(["report", log, "--output", str(tmp_path / "report.html")]) == DONE
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")


def test_failures_have_codes_and_one_clear_line(log, tmp_path, capsys):
    bad = tmp_path / "bad.csv"
    bad.write_text("query,model,quality,cost\na,small,good,1\n")
    cases = [
        (["describe", "nowhere.csv"], LOG, "there is no file nowhere.csv"),
        (["describe", str(bad)], LOG, "line 2: the quality of model 'small' is good"),
        (["describe", log, "--models", "huge"], LOG, "models not in this pool: huge"),
        (["fit", log, "--budget", "0.5", "--output", str(tmp_path / "p.json")], REQUEST, "budget must lie between 1"),
        (["frontier", log, "--test", "2"], REQUEST, "test must lie between"),
        (["report", log, "--output", str(tmp_path / "no" / "report.html")], OUTPUT, "cannot be written"),
    ]
    for words, code, message in cases:
        assert main(words) == code
        assert message in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["fit", log])
    assert ended.value.code == 2


def test_an_interrupt_ends_quietly(log, monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("cascade_lib.__main__.read_log", interrupted)
    assert main(["describe", log]) == INTERRUPTED
    assert "Interrupted" in capsys.readouterr().err


def test_it_runs_as_a_module():
    result = subprocess.run([sys.executable, "-m", "cascade_lib", "--help"], capture_output=True, text=True, check=True)
    assert all(command in result.stdout for command in ("describe", "frontier", "fit", "report"))
