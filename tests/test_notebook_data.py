"""Notebooks whose data cannot be had are skipped by name and keep their outputs; all others run."""

import json
from itertools import permutations

import execute_notebooks
import nbformat
import notebook_data
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from cascade_lib import datasets


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    def unreachable():
        raise ConnectionError("table.csv could not be fetched.")

    monkeypatch.setattr(datasets, "fetch_nothing", unreachable, raising=False)
    monkeypatch.setattr(datasets, "fetch_something", lambda: None, raising=False)
    notebook_data._trouble.cache_clear()
    yield lambda *names: save(tmp_path / "chapter.ipynb", names)
    notebook_data._trouble.cache_clear()


def save(path, names):
    content = new_notebook(cells=[new_code_cell("1 / 0")], metadata={"cascade_lib": {"data": list(names)}})
    nbformat.write(content, path)
    return path


def test_only_what_is_missing_is_a_reason(notebook):
    assert notebook_data.why_not(notebook()) is None
    assert notebook_data.why_not(notebook("fetch_something")) is None
    reason = notebook_data.why_not(notebook("fetch_something", "fetch_nothing"))
    assert reason == "chapter.ipynb needs datasets.fetch_nothing(), but table.csv could not be fetched."


def test_without_its_data_a_notebook_keeps_its_outputs(notebook, capsys):
    path = notebook("fetch_nothing")
    before = path.read_bytes()
    assert execute_notebooks.execute_all([path])
    assert path.read_bytes() == before
    assert "Stored outputs are kept: chapter.ipynb needs" in capsys.readouterr().err


def test_with_its_data_a_notebook_is_executed(notebook, monkeypatch):
    executed = []
    monkeypatch.setattr(execute_notebooks, "execute", executed.append)
    path = notebook("fetch_something")
    assert execute_notebooks.execute_all([path])
    assert executed == [path]


def page(ids):
    """Return a notebook that shows two sliders, with widgets of these ids, in the order of the ids."""
    first, second, layout, link = ids
    state = {
        first: {"model_name": "Slider", "state": {"layout": f"IPY_MODEL_{layout}", "value": 1}},
        second: {"model_name": "Slider", "state": {"layout": f"IPY_MODEL_{layout}", "value": 2}},
        layout: {"model_name": "Layout", "state": {}},
        link: {"model_name": "Link", "state": {"source": [f"IPY_MODEL_{first}", "value"]}},
    }
    shown = [{"data": {execute_notebooks.WIDGET_VIEW: {"model_id": name}}} for name in (first, second)]
    widgets = {execute_notebooks.WIDGET_STATE: {"state": dict(sorted(state.items()))}}
    return json.dumps({"cells": [{"outputs": shown}], "metadata": {"widgets": widgets}})


def test_random_ids_of_widgets_leave_no_trace():
    names = ["a0f", "5b1", "9c2", "3d7"]
    stable = {execute_notebooks.with_stable_widget_ids(page(ids)) for ids in permutations(names)}
    assert len(stable) == 1
    assert not any(name in text for text in stable for name in names)
