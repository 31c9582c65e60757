"""The start page, opened from the folder in which it was built, in a real browser that is cut off from every network.

`make pages-test` builds it into _build/check/html first.
"""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from book_index import Index, read_pages
from bs4 import BeautifulSoup

from cascade_book.calculator import savings
from cascade_book.pages import COVER

HTML = Path(__file__).resolve().parents[1] / "_build" / "check" / "html"
START = HTML / "book" / "index.html"
NAMES = ("low", "high", "worse", "better", "before", "after")


@pytest.fixture
def start(browser):
    show(browser, 1280)
    return browser


def show(browser, width):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(START.as_uri())


def fields(browser):
    return {field.get_attribute("name"): field for field in browser.find_elements("css selector", ".calculator input")}


def fill(browser, **values):
    for name, value in values.items():
        field = fields(browser)[name]
        field.clear()
        field.send_keys(str(value))


def said(browser):
    return browser.find_element("css selector", ".calculator output").text


def test_the_calculator_computes_what_the_library_computes(start):
    prices = [(0.2, 4.0), (1.0, 1.0), (0.0, 5.0), (3.0, 2.0)]
    accuracies = [(0.82, 0.9), (0.8, 0.8), (0.9, 0.7), (0.0, 1.0), (0.5, 0.501), (0.999, 1.0)]
    skill = [(0, 0), (0.05, 0.2), (0.3, 0.1), (1, 1), (0, 1), (1e-6, 1e-4)]
    grid = list(product(prices, accuracies, skill))
    pairs = [dict(zip(NAMES, [*p, *a, *s], strict=True)) for p, a, s in grid]
    ours = start.execute_script(
        "return arguments[0].map(window.cascadeCalculator.savings).map(each => [each.routing, each.cascade])", pairs
    )
    truth = [savings(p, a, before, after) for p, a, (before, after) in grid]
    np.testing.assert_allclose(ours, truth, rtol=1e-9, atol=1e-9)


def test_the_calculator_opens_with_the_example_of_the_page_that_derives_it(start):
    index = Index(list(read_pages()))
    saved, now = (index.glue("calculator.ipynb", f"{key}:s") for key in ("calc_saved", "calc_now"))
    assert said(start).startswith(f"{saved} USD a month")
    assert f"of {now} USD" in said(start)


def test_every_field_of_the_calculator_has_a_name(start):
    names = [field.accessible_name for field in fields(start).values()]
    assert all(names)
    assert len(fields(start)) == 7


def test_the_calculator_answers_as_one_types(start):
    fill(start, before=0, after=0)
    assert said(start).startswith("Nothing.")
    fill(start, better=82)
    assert said(start).startswith("1,140 USD a month")
    fill(start, better=101)
    assert "Please fill in" in said(start)


@pytest.mark.parametrize("width", [1280, 390])
def test_one_drawing_of_the_map_is_shown_and_its_texts_stay_in_their_boxes(browser, width):
    show(browser, width)
    (drawing,) = (each for each in browser.find_elements("css selector", ".chapter-map svg") if each.is_displayed())
    outside = browser.execute_script(
        "return [...arguments[0].querySelectorAll('a')].filter(link => {"
        "  const box = link.querySelector('rect').getBoundingClientRect();"
        "  return [...link.querySelectorAll('text')].map(each => each.getBoundingClientRect()).some(text =>"
        "    text.left < box.left || text.right > box.right || text.top < box.top || text.bottom > box.bottom)"
        "}).map(link => link.textContent)",
        drawing,
    )
    assert not outside


def test_a_box_of_the_map_shows_that_it_has_the_focus_and_opens_its_chapter(start):
    from selenium.webdriver.common.keys import Keys

    first, second = start.find_elements("css selector", ".columns-5 a")[:2]
    start.execute_script("arguments[0].focus()", first)
    start.switch_to.active_element.send_keys(Keys.TAB)
    assert start.switch_to.active_element == second
    width, other = (
        start.execute_script("return getComputedStyle(arguments[0].querySelector('rect')).strokeWidth", each)
        for each in (second, first)
    )
    assert float(width.removesuffix("px")) >= 2 + float(other.removesuffix("px"))
    target = second.get_attribute("aria-label")
    second.send_keys(Keys.ENTER)
    assert target.split(" ", 1)[1] in start.title


def test_the_title_of_the_start_page_is_the_name_of_the_book_once():
    page = BeautifulSoup(START.read_text(encoding="utf-8"), "html.parser")
    assert page.title.text == page.h1.contents[0].text
    other = BeautifulSoup((HTML / "book" / "glossary.html").read_text(encoding="utf-8"), "html.parser")
    assert other.title.text.endswith(page.title.text)
    assert other.title.text != page.title.text


def test_every_page_describes_itself_in_words_of_its_own():
    described = {}
    for path in sorted((HTML / "book").glob("*.html")):
        tag = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser").find(attrs={"name": "description"})
        assert len(tag["content"]) > 20, path.stem
        assert described.setdefault(tag["content"], path) == path
    assert (HTML / COVER).exists()


def test_what_to_cite_can_be_copied(start):
    box = start.find_element("css selector", ".highlight-bibtex")
    assert box.find_elements("css selector", "button.copybtn")
    assert "@software{" in box.text
