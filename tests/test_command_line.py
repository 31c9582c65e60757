"""The command line: what each command prints and writes, and the code it ends with."""

import hashlib
import pkgutil
import re
import shlex
import subprocess
import sys
import tomllib
from html import escape, unescape
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


@pytest.fixture
def reported(log, tmp_path, capsys, monkeypatch):
    """Return a function that changes the log, reports on it, and returns the page and what was printed."""
    quick = LearnedEstimator(Ridge(), Ridge(), folds=2)
    monkeypatch.setattr("cascade_lib.evaluation.studies.LearnedEstimator", lambda **_: quick)

    def report(*options, **columns):
        pd.read_csv(log).assign(**columns).to_csv(log, index=False)
        assert main(["report", log, "--output", str(tmp_path / "report.html"), *options]) == DONE
        return (tmp_path / "report.html").read_text(encoding="utf-8"), capsys.readouterr().out

    return report


def visible(page):
    """Return the words of a page, with plain spaces."""
    return unescape(re.sub(r"<[^>]*>", " ", page)).replace("\u00a0", " ")


def test_report_answers_first_in_money_and_for_a_month(reported):
    page, out = reported("--cost-unit", "USD", "--queries-per-day", "1000")
    said = " ".join(out.split())
    answer = re.match(
        r"large's quality \(\d\d\.\d%\) for \$[\d.]+ instead of \$9 per query: (\d+)% \[.*?\] less\.", said
    )
    month = re.search(
        r"At 1,000 queries a day \(30 days a month\) this saves about \$(\d+),000 a month \[.*?\]: "
        r"\$(\d+),000 instead of \$270,000\.", said,
    )  # fmt: skip
    saved, left = (float(amount) for amount in month.groups())
    assert saved + left == 270
    assert round(100 * saved / 270) == int(answer[1])
    words = " ".join(visible(page[page.index("<main>") :]).split())
    assert 0 < words.index(answer[0]) < words.index(month[0]) < words.index("What to do")


def test_report_counts_costs_without_a_unit_and_qualities_beyond_1_as_they_are(reported, log):
    frame = pd.read_csv(log)
    _, out = reported(**{f"quality:{name}": 8 * frame[f"quality:{name}"] for name in ("small", "large")})
    said = " ".join(out.split())
    assert re.match(r"large's quality \(7\.\d+\) for [\d.]+ instead of 9 units of cost per query: \d+% \[", said)
    assert re.search(r"\(AUC\) is \d\.\d+ \[\d\.\d+, \d\.\d+\] above", said)


@pytest.mark.parametrize(
    ("options", "columns", "answer"),
    [
        ([], {"easy": 1}, "Nothing can be saved for certain: no strategy is clearly better than single models"),
        (["--models", "large"], {}, "Nothing can be saved: there is only one model, large ("),
        ([], {"cost:large": 0, "easy": 1}, "Nothing can be saved"),
    ],
    ids=["nothing to learn", "one model", "the best is free"],
)  # fmt: skip
def test_report_says_so_if_nothing_can_be_saved(reported, options, columns, answer):
    page, out = reported(*options, "--queries-per-day", "10", **columns)
    said = " ".join(out.split())
    assert said.startswith(answer)
    assert re.search(r"At 10 queries a day .* large costs about [\d,]+ units of cost a month\.", said)
    assert "Next:" not in said
    assert "cascade-lib fit" not in page


def test_the_next_command_of_a_report_runs(reported, log, tmp_path, monkeypatch):
    page, out = reported("--cost-unit", "US cents", "--seed", "3", "--test", "0.5", "--query-features", "easy")
    command = out.splitlines()[-1].removeprefix("Next: ")
    assert f"<pre><code>{escape(command)}</code></pre>" in page
    program, *words = shlex.split(command)
    assert (program, words[:2]) == ("cascade-lib", ["fit", log])
    monkeypatch.chdir(tmp_path)
    assert main(words) == DONE
    assert Policy.load(tmp_path / "policy.json").strategy.name == "routing"
    assert Policy.load(tmp_path / "policy.json").budget == float(words[words.index("--budget") + 1])


def test_a_report_says_where_it_comes_from_and_is_the_same_but_for_the_date(reported, log):
    page, _ = reported("--seed", "5")
    again, _ = reported("--seed", "5")
    made = r"<dt>Made</dt><dd>\d{4}-\d\d-\d\d \d\d:\d\d UTC</dd>"
    assert re.search(made, page)
    assert re.sub(made, "", page) == re.sub(made, "", again)
    foot = visible(page[page.index("<footer") :])
    assert hashlib.sha256(Path(log).read_bytes()).hexdigest() in foot
    assert "300 queries × 2 models" in foot
    assert re.search(r"Seed +5 ", foot)
    assert re.search(r"Version +cascade_lib ", foot)
    assert re.search(rf"Command +cascade-lib report {re.escape(log)} --output .* --seed 5", foot)


def test_queries_per_day_must_be_a_positive_number(log, no_work, capsys):
    for number in ("0", "-3", "nan", "inf", "many"):
        with pytest.raises(SystemExit) as ended:
            main(["report", log, "--queries-per-day", number])
        assert ended.value.code == 2
        assert "--queries-per-day" in capsys.readouterr().err


def test_a_report_fits_a_phone_and_follows_the_theme(reported, browser, tmp_path):
    reported("--cost-unit", "tokens")
    grounds = set()
    for theme in ("light", "dark"):
        wanted = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", wanted)
        phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
        browser.get((tmp_path / "report.html").as_uri())
        browser.execute_script("for (const part of document.querySelectorAll('details')) part.open = true")
        assert browser.execute_script("return document.documentElement.scrollWidth") == 390
        grounds.add(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2


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
