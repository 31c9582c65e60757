"""The OpenHands index: the figures of the docstring, what is left out and why, single cells, and damaged files."""

import json

import numpy as np
import pytest

from cascade_lib import datasets
from cascade_lib.datasets import fetch, fetch_openhands, openhands, openhands_coverage


def fetched(function, *arguments, **options):
    try:
        return function(*arguments, **options)
    except ConnectionError as error:
        pytest.skip(f"{function.__name__} cannot be had here: {error}")


def raw(model, benchmark):
    """Return a file as it is, read by other means than the loader."""
    path = f"{model}/{benchmark}.json"
    url = openhands.OPENHANDS_URL.format(model=model, benchmark=benchmark)
    return json.loads(fetch.fetch_file(url, openhands._SHA256[path], path=f"openhands_index/{path}").read_text())


def usable(run):
    return run["resolved"] is not None and run["cost"] is not None and run["cost"] > 0


BENCHMARKS = tuple(datasets.OPENHANDS_BENCHMARKS)


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_the_figures_of_the_docstring(benchmark):
    pool = fetched(fetch_openhands, benchmark)
    (row,) = [line.split() for line in fetch_openhands.__doc__.splitlines() if line.split()[:1] == [benchmark]]
    best, any_of_them = pool.summary["quality"], pool.quality.max(axis=1).mean()
    assert row == [
        benchmark, str(pool.k), str(len(pool)), f"{best.idxmax()},", f"{best.max():.3f}", f"{any_of_them:.3f}",
    ]  # fmt: skip
    assert pool.summary["cost"].is_monotonic_increasing


def test_how_many_tasks_all_models_would_leave():
    left = [len(fetched(fetch_openhands, name, keep_suspect=True)) for name in BENCHMARKS]
    assert "With all 34 models {}, {} and {} tasks would be left.".format(*left) in fetch_openhands.__doc__


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_tasks_and_cells_are_those_that_all_have(benchmark):
    pool = fetched(fetch_openhands, benchmark)
    files = {name: raw(name, benchmark) for name in pool.models}
    common = set.intersection(*({task for task, run in runs.items() if usable(run)} for runs in files.values()))
    assert set(pool.query.index) == common
    for row in range(0, len(pool), 29):
        runs = [files[name][pool.query.index[row]] for name in pool.models]
        assert pool.quality[row].tolist() == [run["resolved"] for run in runs]
        assert pool.cost[row].tolist() == [run["cost"] for run in runs]


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_who_is_suspect(benchmark):
    coverage = fetched(openhands_coverage, benchmark)
    total = datasets.OPENHANDS_BENCHMARKS[benchmark]
    assert coverage["tasks"].max() == total
    counted = {name: sum(map(usable, raw(name, benchmark).values())) for name in coverage.index}
    assert coverage["usable"].to_dict() == counted
    few = {name for name, number in counted.items() if number < 0.95 * total}
    odd = {"DeepSeek-V4-Pro", "claude-sonnet-4-6"} if benchmark == "gaia" else set()
    assert set(coverage.index[coverage["suspect"]]) == few | odd
    assert set(fetched(fetch_openhands, benchmark).models) == set(coverage.index) - few - odd


def test_the_two_on_gaia_are_as_bad_as_the_docstring_says():
    coverage = fetched(openhands_coverage, "gaia")
    assert coverage["resolved"][["DeepSeek-V4-Pro", "claude-sonnet-4-6"]].round(3).to_list() == [0.127, 0.133]
    assert fetched(openhands_coverage, "swe-bench")["resolved"]["DeepSeek-V4-Pro"] > 0.7


def test_the_tasks_left_are_easier():
    coverage, pool = fetched(openhands_coverage, "gaia"), fetched(fetch_openhands, "gaia")
    assert coverage["resolved"]["GPT-5.5"] == pytest.approx(0.861, abs=5e-4)
    assert (pool.summary["quality"] >= coverage["resolved"][list(pool.models)]).mean() > 0.9


def test_models_by_name_in_their_order_suspect_or_not():
    names = ["claude-fable-5", "DeepSeek-V4-Pro"]
    pool = fetched(fetch_openhands, "gaia", models=names)
    assert pool.models == tuple(names)
    pair = fetched(fetch_openhands, "gaia", models=["GPT-5.4", "claude-fable-5"])
    assert pair.summary.round(3).to_numpy().tolist() == [[0.834, 0.553], [0.847, 7.641]]


def test_repositories():
    assert fetched(fetch_openhands, "swe-bench").query["repository"].nunique() == 12
    assert list(fetched(fetch_openhands, "gaia").query) == []


@pytest.mark.parametrize("names", [["GPT-2"], [], ["GLM-5", "GLM-5"]])
def test_models_that_cannot_be_chosen(names):
    with pytest.raises(ValueError, match=r"models must name one or more .* It has: DeepSeek-V3.2-Reasoner"):
        fetch_openhands("gaia", models=names)


def test_arguments_of_another_kind():
    with pytest.raises(TypeError, match="not the single string 'GLM-5'"):
        fetch_openhands("gaia", models="GLM-5")
    with pytest.raises(ValueError, match="benchmark must be one of 'swe-bench'"):
        openhands_coverage("swebench")


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Let two models be read from files written by the test."""

    def make(first, second):
        for name, runs in {"GLM-5": first, "GPT-5.4": second}.items():
            (tmp_path / name).write_text(json.dumps(runs))
        monkeypatch.setattr(openhands, "fetch_file", lambda url, sha256, path: tmp_path / path.split("/")[1])
        return fetch_openhands("gaia", models=["GLM-5", "GPT-5.4"])

    return make


def run(resolved=True, cost=0.5):
    return {"resolved": resolved, "cost": cost}


def test_runs_that_are_not_usable_are_dropped(tiny):
    first = {"a": run(), "b": run(None), "c": run(cost=None), "d": run(cost=0), "e": run(False, 2)}
    pool = tiny(first, {task: run() for task in "abcdef"})
    assert list(pool.query.index) == ["a", "e"]
    np.testing.assert_array_equal(pool.quality, [[1, 1], [0, 1]])
    np.testing.assert_array_equal(pool.cost, [[0.5, 0.5], [2, 0.5]])


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ({"a": {"cost": 1}}, "GLM-5 is not a table of runs"),
        ([1, 2], "GLM-5 is not a table of runs"),
        ({"a": run(2)}, "other than true and false"),
        ({"a": run(cost=-1)}, "a negative cost"),
        ({"b": run()}, "no task of gaia has a usable run of all 2"),
    ],
)
def test_a_file_that_is_not_what_it_should_be(tiny, runs, message):
    with pytest.raises(ValueError, match=message):
        tiny(runs, {"a": run()})
