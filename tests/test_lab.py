"""The plain notebooks in JupyterLab, in a real browser: legible before any cell has run, and alive once it has."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from book_index import ROOT
from nbformat import read
from nbformat.sign import NotebookNotary
from plain_notebooks import write_book
from selenium.webdriver import ActionChains

NEEDED = "01_one_question.ipynb", "05_supermodels.ipynb", "06_cascading.ipynb"
PATIENCE = 180  # seconds until something that should happen is given up
EXPLORER = ".jp-OutputArea-output img[alt]:not([alt=''])"
SLIDER = ".jp-OutputArea-output .noUi-handle"
FRAME = ".jp-OutputArea-output .widget-image"
# The command runs the notebook in front, and runs nothing as long as that has no kernel.
READY = """
const { currentWidget } = window.jupyterapp.shell;
return currentWidget?.sessionContext?.session?.kernel?.status === "idle";
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """Return a folder with the settings of `make lab`, and one that draws all cells and not only those in view."""
    folder = tmp_path_factory.mktemp("settings")
    shutil.copytree(ROOT / "scripts" / "jupyterlab", folder, dirs_exist_ok=True)
    overrides = json.loads((folder / "overrides.json").read_text())
    overrides["@jupyterlab/notebook-extension:tracker"] = {"windowingMode": "none"}
    (folder / "overrides.json").write_text(json.dumps(overrides))
    return folder


@pytest.fixture(scope="module")
def lab(settings, browser, tmp_path_factory):
    """Start JupyterLab on the plain notebooks; return its address and their folder."""
    folder, home = tmp_path_factory.mktemp("lab") / "notebooks", tmp_path_factory.mktemp("home")
    write_book(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [f"--port={port}", "--ip=127.0.0.1", "--no-browser", "--allow-root", "--ServerApp.token="]
    options += [f"--LabApp.app_settings_dir={settings}", "--LabApp.news_url=None", "--expose-app-in-browser"]
    places = {
        "HOME": home,
        "JUPYTER_CONFIG_DIR": home / "config",
        "JUPYTER_DATA_DIR": home / "data",
        "IPYTHONDIR": home,
    }
    environment = os.environ | {name: str(place) for name, place in places.items()}
    with (home / "log").open("w") as log:
        call = [sys.executable, "-m", "jupyterlab", *options, str(folder)]
        server = subprocess.Popen(call, env=environment, stdout=log, stderr=log)
        try:
            until(lambda: reachable(f"http://127.0.0.1:{port}/api"), "JupyterLab did not start")
            yield f"http://127.0.0.1:{port}/lab/tree/", folder, home / "data"
        finally:
            server.terminate()
            server.wait()


def reachable(address):
    try:
        return urllib.request.urlopen(address).status == 200
    except OSError:
        return False


def until(happened, trouble):
    end = time.monotonic() + PATIENCE
    while not (result := happened()):
        assert time.monotonic() < end, trouble
        time.sleep(0.5)
    return result


def opened(browser, lab, name):
    """Open a notebook and wait for its last cell and its formulas."""
    address, folder, _ = lab
    browser.get(f"{address}{name}?reset")
    wanted = sum(cell.cell_type == "markdown" for cell in read(folder / name, as_version=4).cells)
    count = "return document.querySelectorAll('.jp-MarkdownCell .jp-RenderedMarkdown').length"
    until(lambda: browser.execute_script(count) >= wanted, f"{name} was not shown")
    until(lambda: all_of(browser, "mjx-container"), "no formula was set")


def all_of(browser, selector):
    return browser.find_elements("css selector", selector)


def texts(browser, selector):
    return browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map(element => element.textContent)", selector
    )


@pytest.mark.parametrize("name", NEEDED)
def test_it_can_be_read_before_any_cell_has_run(browser, lab, name):
    opened(browser, lab, name)
    titles = [text for text in texts(browser, ".jp-MarkdownCell blockquote strong") if re.search(r"^\w+ \d+$", text)]
    assert any(title.startswith(("Theorem", "Proposition")) for title in titles)
    assert all_of(browser, "mjx-container[display='true']")
    (picture,) = all_of(browser, EXPLORER)
    assert int(picture.get_property("naturalWidth")) > 400
    for text in texts(browser, ".jp-RenderedMarkdown, .jp-OutputArea-output"):
        assert not re.search(r"VBox\(|\{[\w:]+\}`|\]\(#|^> ", text), text
    assert not texts(browser, "mjx-merror, .jp-Dialog")


def test_a_link_leads_to_the_passage(browser, lab):
    opened(browser, lab, "05_supermodels.ipynb")
    link = next(each for each in all_of(browser, ".jp-MarkdownCell a") if each.text == "Theorem 3")
    browser.execute_script("arguments[0].click()", link)
    near = (
        "return [...document.querySelectorAll('.jp-MarkdownCell')].filter(cell => cell.querySelector('blockquote')"
        " && Math.abs(cell.getBoundingClientRect().top - 100) < 200).map(cell => cell.textContent).join()"
    )
    until(lambda: "Gains shrink" in browser.execute_script(near), "the link led elsewhere")


def moved(browser):
    """Press an arrow key on the slider, and wait until another frame is shown."""
    shown = (
        "return [...document.querySelectorAll(arguments[0])].filter(frame => frame.offsetParent).map(each => each.src)"
    )
    handle = until(lambda: all_of(browser, SLIDER), "there is no slider")[0]
    before = until(lambda: browser.execute_script(shown, FRAME), "there is no frame")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", handle)
    handle.send_keys("\ue014")  # arrow right
    until(lambda: browser.execute_script(shown, FRAME) != before, "the slider did not move the figure")
    until(lambda: handle.get_attribute("aria-label"), "the slider has no name")
    assert handle.get_attribute("aria-valuetext") in texts(browser, ".jp-OutputArea-output .widget-readout")


def test_sliders_move_before_any_cell_has_run_once_the_notebook_is_trusted(browser, lab):
    _, folder, data = lab
    name = "06_cascading.ipynb"
    NotebookNotary(data_dir=str(data)).sign(read(folder / name, as_version=4))
    opened(browser, lab, name)
    moved(browser)


def test_a_live_figure_takes_the_arrow_keys(browser, lab):
    _, folder, data = lab
    name = "20_scaling_out.ipynb"
    NotebookNotary(data_dir=str(data)).sign(read(folder / name, as_version=4))
    opened(browser, lab, name)
    (slider,) = until(lambda: all_of(browser, ".live-figure input[type=range]"), "the figure did not come to life")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'}); arguments[0].focus()", slider)
    before = slider.get_attribute("aria-valuetext")
    ActionChains(browser).send_keys("\ue012").perform()  # arrow left
    until(lambda: slider.get_attribute("aria-valuetext") != before, "the slider did not move")


def test_it_runs_from_top_to_bottom_and_its_slider_moves(browser, lab):
    opened(browser, lab, "01_one_question.ipynb")
    until(lambda: browser.execute_script(READY), "the notebook never had a kernel that waits for work")
    browser.execute_script("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    until(lambda: "[*]" in "".join(texts(browser, ".jp-InputPrompt")), "no cell has begun to run")
    until(lambda: all_of(browser, SLIDER), "the explorer's cell did not run")
    until(lambda: not re.search(r"\[\*\]", "".join(texts(browser, ".jp-InputPrompt"))), "it did not end")
    assert "Error" not in "".join(texts(browser, ".jp-OutputArea-output[data-mime-type*='error']"))
    moved(browser)
