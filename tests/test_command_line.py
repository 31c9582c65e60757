"""The command line: what each command prints and writes, and the code it ends with."""

import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from cascade_lib import LearnedEstimator, Policy
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


def test_texts_and_dates_are_named_and_a_policy_reads_them(log, tmp_path, capsys):
    when = pd.date_range("2026-05-17", periods=300, freq="5h", tz="UTC")
    prompts = [f"query number {i}" for i in range(300)]
    frame = pd.read_csv(log).assign(prompt=prompts, when=when.map(pd.Timestamp.isoformat), topic=["law", "maths"] * 150)
    frame.to_csv(log, index=False)
    assert main(["describe", log]) == DONE
    assert "known before a call: easy, prompt (text), when (date), topic\n" in capsys.readouterr().out
    path = tmp_path / "policy.json"
    assert main(["fit", log, "--budget", "5", "--output", str(path)]) == DONE
    query = {"easy": True, "prompt": "query number 7", "when": "2026-05-18T09:00+02:00", "topic": None}
    assert Policy.load(path).start(query).next() == "small"


def test_report_is_one_file(log, tmp_path):
    assert main(["report", log, "--output", str(tmp_path / "report.html")]) == DONE
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")


def test_failures_have_codes_and_one_clear_line(log, tmp_path, capsys):
    bad = tmp_path / "bad.csv"
    bad.write_text("query,model,quality,cost\na,small,good,1\n")
    cases = [
        (["describe", "nowhere.csv"], LOG, "there is no file nowhere.csv"),
        (["describe", str(bad)], LOG, "line 2: the quality of model 'small' is good"),
        (["describe", log, "--models", "huge"], LOG, "models not in this log: huge. It has: small, large"),
        (["frontier", log, "--test", "2"], REQUEST, "test must lie between"),
    ]
    for words, code, message in cases:
        assert main(words) == code
        assert message in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["fit", log])
    assert ended.value.code == 2


@pytest.fixture
def no_work(monkeypatch):
    monkeypatch.setattr("cascade_lib.__main__.study", lambda *_, **__: pytest.fail("the work was begun"))


@pytest.mark.parametrize("command", [["frontier"], ["fit", "--budget", "5"], ["report"]], ids=lambda words: words[0])
def test_outputs_are_tried_before_the_work(log, tmp_path, capsys, no_work, monkeypatch, command):
    for path, reason in [(tmp_path / "no" / "file", "there is no folder"), (tmp_path, "it is a folder")]:
        assert main([*command, log, "--output", str(path)]) == OUTPUT
        assert f"{path} cannot be written: {reason}" in capsys.readouterr().err
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)
    assert main([*command, log, "--output", str(tmp_path / "new")]) == OUTPUT
    assert "permission denied" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [tmp_path / "log.csv"]


@pytest.mark.parametrize(
    ("goal", "message"),
    [
        (["--quality", "0.99"], "quality 0.99 cannot be reached: the best answers in the log have 0.9"),
        (["--quality", "nan"], "quality nan cannot be reached"),
        (["--budget", "0.5"], "budget 0.5 cannot be kept: the cheapest answers in the log cost 1."),
    ],
)
def test_what_no_strategy_can_reach_is_refused_before_the_work(log, tmp_path, capsys, no_work, goal, message):
    assert main(["fit", log, *goal, "--output", str(tmp_path / "p.json")]) == REQUEST
    assert message in capsys.readouterr().err


def test_what_the_fitted_strategy_cannot_reach_is_refused_with_a_way_to_see_why(log, tmp_path, capsys):
    assert main(["fit", log, "--quality", "0.94", "--output", str(tmp_path / "p.json")]) == REQUEST
    assert "On the 45 queries that policies are fitted on, quality" in (said := capsys.readouterr().err)
    assert "`frontier` shows what each strategy reaches" in said


def test_eighteen_models_are_described_compared_and_reported_on(tmp_path, capsys, monkeypatch):
    quick = LearnedEstimator(Ridge(), Ridge(), folds=2)
    monkeypatch.setattr("cascade_lib.evaluation.studies.LearnedEstimator", lambda **_: quick)
    rng = np.random.default_rng(0)
    names = [f"m{i:02}" for i in range(18)]
    frame = pd.DataFrame({"query": range(90), "x": rng.random(90)})
    for i, name in enumerate(names):
        frame[f"quality:{name}"], frame[f"cost:{name}"] = rng.random(90) < 0.3 + i / 30, i + 1
    path = tmp_path / "log.csv"
    frame.to_csv(path, index=False)
    for command in ("frontier", "report"):
        output = tmp_path / command
        assert main([command, str(path), "--output", str(output)]) == DONE
        assert output.stat().st_size > 0
    assert "90 queries × 18 models" in (main(["describe", str(path)]), capsys.readouterr().out)[1]


def test_an_interrupt_ends_quietly(log, monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("cascade_lib.__main__.read_log", interrupted)
    assert main(["describe", log]) == INTERRUPTED
    assert "Interrupted" in capsys.readouterr().err


def test_it_runs_as_a_module():
    result = subprocess.run([sys.executable, "-m", "cascade_lib", "--help"], capture_output=True, text=True, check=True)
    assert all(command in result.stdout for command in ("describe", "frontier", "fit", "report"))


def test_the_console_script_is_the_command_line():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert pkgutil.resolve_name(project["scripts"]["cascade-lib"]) is main
