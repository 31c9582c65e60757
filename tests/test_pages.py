"""The built pages, as files and in a real browser that is cut off from every network but this machine.

`make pages-test` builds them into _build/check/html first.
"""

import functools
import hashlib
import http.server
import re
import threading
import time
from pathlib import Path

import nbformat
import pytest
from book_index import BOOK, Index, chapter_numbers, read_pages
from book_pages import WORDS
from bs4 import BeautifulSoup
from test_plain_notebooks import left_over

HTML = Path(__file__).resolve().parents[1] / "_build" / "check" / "html"
PAGES = sorted((HTML / "book").rglob("*.html"))


def test_the_pages_have_been_built():
    assert (HTML / "index.html").exists(), "run `make pages-test`, which builds them"
    assert len(PAGES) >= 5


@pytest.fixture(scope="module", params=PAGES, ids=lambda path: path.stem)
def page(request):
    return request.param


@functools.cache
def soup(path):
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@functools.cache
def anchors(path):
    return {element["id"] for element in soup(path).find_all(id=True)}


def test_nothing_is_loaded_from_outside(page):
    for tag, attribute in [("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src")]:
        for element in soup(page).find_all(tag):
            if tag == "link" and not {"stylesheet", "icon", "preload"} & set(element.get("rel", [])):
                continue
            assert not re.match(r"(https?:)?//", element.get(attribute) or ""), element


def test_links_and_files_lead_somewhere(page):
    document = soup(page)
    for element in document.find_all(["a", "img"]):
        target = element.get("href") or element.get("src") or ""
        if re.match(r"[a-z]+:|//", target) or not target:
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name.split("?")[0]).resolve() if name else page
        assert file.exists(), target
        if anchor and file.suffix == ".html":
            assert anchor in anchors(file), target


def test_plain_notebooks_number_everything_as_the_page_does(page):
    article = soup(page).find("article")
    titles = {element.find_parent(id=True)["id"]: text(element) for element in article.select("span.caption-number")}
    formulas = {
        element.a["href"].removeprefix("#equation-"): text(element).rstrip("#")
        for element in article.select("span.eqno")
    }
    numbered = {label: words for label, words in titles.items() if re.search(r"\d$", words)} | formulas
    name = source(page).relative_to(BOOK).as_posix()
    here = {label: each.words for label, each in book_index().targets.items() if each.page == name}
    assert {label: words for label, words in here.items() if re.search(r"\d\)?$", words)} == numbered


def source(page):
    """Return the file that a page was made of."""
    stem = BOOK / page.relative_to(HTML / "book").with_suffix("")
    return next(path for path in (stem.with_suffix(".ipynb"), stem.with_suffix(".md")) if path.exists())


def text(element):
    return " ".join(element.get_text().split())


@functools.cache
def book_index():
    return Index(list(read_pages()))


def test_a_chapter_bears_its_number_in_its_title_and_in_links_to_it(page):
    number = chapter_numbers().get(f"book/{page.stem}")
    document = soup(page)
    title, on_the_tab = (text(each).rstrip("#").replace("’", "'") for each in (document.h1, document.title))
    assert on_the_tab.startswith(title)
    assert re.match(r"\d*", title)[0] == (str(number) if number else "")
    if number:
        (beside,) = {
            text(link).replace("’", "'") for link in document.select(".bd-sidebar-primary .current > a.current")
        }
        assert beside == title
    numbered = {Path(file).stem: number for file, number in chapter_numbers().items()}
    for words in document.select("article span.std-ref"):
        if found := re.match(r"Chapter (\d+), ", text(words)):
            assert int(found[1]) == numbered[Path(words.parent["href"].partition("#")[0]).stem]


def test_links_to_other_sites_are_encrypted(page):
    for link in soup(page).select("a[href*='//']"):
        assert link["href"].startswith("https://"), link
        assert link.get("target") != "_blank" or "noopener" in link.get("rel", []), link


def test_the_bibliography_links_every_source_that_has_an_identifier():
    listed = soup(HTML / "book" / "bibliography.html").select("[role=list] > [role=listitem].citation")
    entries = {text(entry.select_one(".label")): entry for entry in listed}
    sources = book_index().sources.values()
    assert len(entries) == len(sources)  # so no two labels are the same
    for each in sources:
        links = [link["href"] for link in entries[f"[{each.authors}, {each.year}]"].select("a.external")]
        assert (each.link in links) if each.link else links == []


def test_names_in_code_link_to_their_entries():
    linked = {}
    for page in PAGES:
        for link in soup(page).select("article a.internal:has(> code.literal)"):
            assert not link.find_parent(["pre", "h1", "h2", "h3", "h4", "dt"])
            if "reference" not in page.parts and page.stem != "api":
                linked[text(link)] = link["href"].partition("#")[2]
    assert len(linked) >= 60
    for words, target in linked.items():
        assert target.removeprefix("module-").endswith(words.partition("(")[0])
        assert words in WORDS or re.search(r"[A-Z._(]", words)
    assert linked.keys() >= WORDS


def test_no_entry_of_the_reference_links_to_itself(page):
    for entry in soup(page).select("dl.py"):
        names = {signature["id"] for signature in entry.find_all("dt", recursive=False) if signature.get("id")}
        for link in entry.select("a.internal:has(> code.literal)"):
            assert link["href"].removeprefix("#") not in names


def test_the_file_that_a_page_offers_is_plain(page):
    for link in soup(page).select("a.btn-download-source-button"):
        assert link.has_attr("download")
        file = (page.parent / link["href"]).resolve()
        if file.suffix == ".ipynb":
            cells = nbformat.read(file, as_version=4).cells
            content = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        else:
            content = file.read_text(encoding="utf-8")
        assert left_over(content) == {}


def test_it_stays_within_the_page_budget(page):
    assert page.stat().st_size <= 2**20
    scripts = [
        (page.parent / element["src"].split("?")[0]).resolve() for element in soup(page).find_all("script", src=True)
    ]
    if any(script.name == "setup.js" for script in scripts):
        scripts.append(HTML / "_static" / "widgets" / "embed.js")
    assert sum(script.stat().st_size for script in set(scripts)) <= 4_200_000


def test_its_icons_are_the_few_that_it_shows(page):
    styles = (HTML / "_static" / "icons.css").read_text(encoding="utf-8")
    assert len(styles) < 30_000
    for icon in soup(page).select("i[class*=fa-]"):
        name = next(name for name in icon["class"] if name.startswith("fa-") and name not in ("fa-solid", "fa-lg"))
        assert f".{name} {{" in styles
    assert "fontawesome" not in page.read_text(encoding="utf-8")


def test_numbers_have_a_true_minus_sign(page):
    for element in soup(page).select("article :is(td, th, .pasted-text)"):
        assert not re.search(r"(?:^|[\s(\[])-[\d.∞]", element.get_text()), element


def test_every_picture_has_an_alternative_text(page):
    for image in soup(page).select("article img"):
        alt = image.get("alt", "")
        assert alt, image.get("src")
        assert not alt.endswith(".png"), alt


MISSING = []  # what the server was asked for and did not have


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serve the pages and remember what was not found."""

    def log_message(self, *args):
        """Say nothing."""

    def send_error(self, code, *args, **kwargs):
        """Remember the path."""
        MISSING.append((code, self.path))
        super().send_error(code, *args, **kwargs)


@pytest.fixture(scope="module")
def site():
    handler = functools.partial(Quiet, directory=str(HTML))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(scope="module", params=[1280, 390], ids=["desktop", "phone"])
def opened(request, browser, site, page):
    """Open the page at a width and wait until formulas and widgets stand; tests leave it as they found it."""
    from selenium.webdriver.support.ui import WebDriverWait

    # A window cannot be narrower than some 500 pixels, but the device that it pretends to be can.
    size = {"width": request.param, "height": 900, "deviceScaleFactor": 1, "mobile": request.param < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get_log("browser"), browser.get_log("performance"), MISSING.clear()
    browser.get(f"{site}/{page.relative_to(HTML).as_posix()}")
    wait = WebDriverWait(browser, 30)
    wait.until(lambda b: b.execute_script("return document.readyState") == "complete")
    wait.until(lambda b: b.execute_script("return !window.MathJax || !!(MathJax.startup && MathJax.startup.document)"))
    browser.execute_async_script(
        "const done = arguments[0]; (window.MathJax ? MathJax.startup.promise : Promise.resolve()).then(() => done())"
    )
    views = soup(page).find_all("script", type="application/vnd.jupyter.widget-view+json")
    if views:  # they load once they come near
        browser.execute_script("document.querySelector('.explorer-place').scrollIntoView({behavior: 'instant'})")
    wait.until(lambda b: len(b.find_elements("css selector", ".cascade-explorer")) >= len(views))
    return browser


def test_it_opens_without_complaint_and_fits_the_screen(opened):
    severe = [entry for entry in opened.get_log("browser") if entry["level"] == "SEVERE"]
    assert not severe
    assert not MISSING
    network = " ".join(entry["message"] for entry in opened.get_log("performance"))
    assert not re.findall(r'"url":"(https?://(?!127\.0\.0\.1)[^"]+)"', network)
    width, screen = opened.execute_script(
        "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert width <= screen
    assert not opened.find_elements("css selector", "mjx-merror, [data-mjx-error]")
    article = opened.execute_script(
        "const copy = document.querySelector('article').cloneNode(true);"
        "copy.querySelectorAll('pre, code, script, mjx-container').forEach(e => e.remove()); return copy.textContent"
    )
    assert not re.search(r"\\\(|\\\[|\$[^$\s][^$]*\$|\\(frac|lambda|hat|sum)\b", article)


AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
STILL = (
    "const still = document.createElement('style'); still.textContent = '* {transition: none !important}';"
    "document.head.append(still)"
)


def grave_faults(browser, theme):
    """Return what axe finds serious or critical on the open page in a theme."""
    browser.execute_script(f"if (!window.axe) {{ {AXE}; {STILL} }}")
    # The theme changes nothing but colours, and these take the longest to look at.
    rules = "{runOnly: ['color-contrast']}" if theme == "dark" else "{resultTypes: ['violations']}"
    return browser.execute_async_script(
        "const [theme, done] = arguments, root = document.documentElement.dataset, before = root.theme;"
        "const said = node => [node.target.join(' '), (node.any[0] || node.all[0] || node.none[0] || {}).message];"
        f"root.theme = theme; axe.run(document, {rules}).then(({{violations}}) => {{"
        "  root.theme = before; const grave = violations.filter(v => ['serious', 'critical'].includes(v.impact));"
        "  done(grave.map(v => [v.id, ...v.nodes.slice(0, 3).map(said)]))})",
        theme,
    )


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_everybody_can_use_it(opened, theme):
    assert not grave_faults(opened, theme)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    "address", ["prf-prf.html", "genindex.html", "search.html", f"book/{PAGES[0].name}?highlight=the"]
)
def test_everybody_can_use_lists_the_search_and_what_it_marks(browser, site, address, theme):
    browser.get(f"{site}/{address}")
    assert not grave_faults(browser, theme)


def test_no_formula_is_a_stop_of_the_tab_key(opened):
    stops = opened.execute_script(
        "return [...document.querySelectorAll('article [tabindex=\"0\"]:not([role=slider], .live-figure svg)')]"
        ".filter(e => e.scrollWidth <= e.clientWidth + 1).map(e => e.outerHTML.slice(0, 100))"
    )
    assert not stops  # only what scrolls is one


def test_intervals_stand_on_one_line(opened):
    wrapped = opened.execute_script(
        "const lines = cell => {const text = document.createRange(); text.selectNodeContents(cell);"
        "  return new Set([...text.getClientRects()].map(part => Math.round(part.top))).size};"
        "return [...document.querySelectorAll('article table.dataframe td')]"
        ".filter(e => /\\[.*,.*\\]/.test(e.textContent) && lines(e) > 1).map(e => e.textContent)"
    )
    assert not wrapped


def of_live(image):
    return image.find_parent(class_="live-figure")


def test_figures_keep_their_shape(opened):
    stretched = opened.execute_script(
        "return [...document.querySelectorAll('article a.enlarge img')].filter(e => e.complete && e.clientWidth &&"
        " Math.abs(e.naturalHeight / e.naturalWidth * e.clientWidth - e.clientHeight) > 3).map(e => e.alt.slice(0, 40))"
    )
    assert not stretched


def test_a_figure_opens_above_the_page_and_closes(opened, page):
    from selenium.webdriver.support.ui import WebDriverWait

    links = opened.find_elements("css selector", "article a.enlarge")
    pictures = [image for image in soup(page).select("article :is(.cell_output, figure) img") if not of_live(image)]
    assert len(links) == len(pictures)
    if not links:
        return
    assert links[0].get_attribute("aria-label").startswith("Enlarge: ")
    opened.execute_script("arguments[0].click()", links[0])
    (dialog,) = opened.find_elements("css selector", "dialog[open]")
    assert dialog.find_element("tag name", "img").get_attribute("alt")
    dialog.find_element("tag name", "button").send_keys("\ue00c")  # escape
    # The browser tells of the closing a moment later, and then the dialog is taken away.
    WebDriverWait(opened, 10).until(lambda b: not b.find_elements("css selector", "dialog"))


def test_no_code_of_the_reference_is_cut_off(opened, page):
    if page.parent.name == "reference":
        wider = "e => e.scrollWidth > e.clientWidth + 1"
        assert not opened.execute_script(f"return [...document.querySelectorAll('article pre')].filter({wider})")


def test_it_fits_on_paper(opened):
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        cut_off = opened.execute_script(
            "return [...document.querySelectorAll('article pre')]"
            ".filter(e => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1).map(e => e.textContent)"
        )
        assert not cut_off
        controls = (
            ".cascade-explorer [role=slider], .cascade-explorer button, .live-figure input, .bd-sidebar-primary,"
            " .prev-next-footer"
        )
        assert not [element for element in opened.find_elements("css selector", controls) if element.is_displayed()]
    finally:
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_no_code_is_cut_off_at_the_right_of_a_laptop(opened):
    if opened.execute_script("return innerWidth") < 1280:
        pytest.skip("on a phone code scrolls")
    cut_off = opened.execute_script(
        "const folded = [...document.querySelectorAll('article details:not([open])')],"
        "      hidden = [...document.querySelectorAll('.solution.toggle-hidden')];"
        "folded.forEach(e => e.open = true); hidden.forEach(e => e.classList.remove('toggle-hidden'));"
        "const cut = [...document.querySelectorAll('div.cell_input pre, .solution div.highlight pre')]"
        "  .filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent);"
        "folded.forEach(e => e.open = false); hidden.forEach(e => e.classList.add('toggle-hidden'));"
        "return cut"
    )
    assert cut_off == []


def test_figures_keep_their_white_ground_in_dark_mode(opened):
    grounds = opened.execute_script(
        "const root = document.documentElement.dataset, before = root.theme; root.theme = 'dark';"
        "const found = [...document.querySelectorAll('article figure img, article .cell_output img')]"
        "  .map(e => getComputedStyle(e).backgroundColor);"
        "root.theme = before; return found"
    )
    assert set(grounds) <= {"rgb(255, 255, 255)"}


def test_long_proofs_are_folded_and_unfold_on_paper(opened):
    for proof in opened.find_elements("css selector", "details.folded-proof"):
        assert proof.get_attribute("open") is None
        assert not proof.find_element("css selector", "div.proof").is_displayed()
    long = opened.execute_script(
        "return [...document.querySelectorAll('article div.proof.admonition')].filter(e => !e.closest('details') &&"
        " !e.querySelector('.admonition-title') && e.innerText.length > 3000).map(e => e.innerText.slice(0, 60))"
    )
    assert not long
    opened.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    assert not opened.find_elements("css selector", "article details:not([open])")
    opened.execute_script("document.querySelectorAll('article details[open]').forEach(each => each.open = false)")


def test_every_slider_says_what_it_is_and_where_it_stands(opened):
    for explorer in opened.find_elements("css selector", ".cascade-explorer"):
        assert not [button for button in explorer.find_elements("tag name", "button") if button.is_displayed()]
        (words,) = {image.get_attribute("alt") for image in explorer.find_elements("tag name", "img")}
        handles = explorer.find_elements("css selector", "[role=slider]")
        assert handles
        for handle in handles:
            name, value = handle.get_attribute("aria-label"), handle.get_attribute("aria-valuetext")
            assert name
            assert f"{name} {value}" in words


def test_every_slider_moves_its_figure(opened):
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    def visible(explorer):
        images = [image for image in explorer.find_elements("tag name", "img") if image.is_displayed()]
        assert len(images) <= 1
        script = "return fetch(arguments[0].src).then(r => r.arrayBuffer()).then(b => Array.from(new Uint8Array(b)))"
        return hashlib.sha256(bytes(opened.execute_script(script, images[0]))).hexdigest() if images else None

    for explorer in opened.find_elements("css selector", ".cascade-explorer"):
        WebDriverWait(opened, 10).until(lambda _, e=explorer: visible(e))
        for handle in explorer.find_elements("css selector", "[role=slider], .noUi-handle, input[type=range]"):
            before = visible(explorer)
            now, most = (float(handle.get_attribute(f"aria-value{what}")) for what in ("now", "max"))
            handle.send_keys(Keys.ARROW_LEFT if now >= most else Keys.ARROW_RIGHT)
            WebDriverWait(opened, 10).until(lambda _, e=explorer, b=before: visible(e) not in (b, None))


# Go through all places of the slider of a live figure, and say what each of them shows.
EVERY_PLACE = """
const [figure] = arguments, slider = figure.querySelector("input");
return Array.from({ length: Number(slider.max) + 1 }, (_, place) => {
  slider.value = place;
  slider.dispatchEvent(new Event("input"));
  const [value, words] = ["output", ".live-words"].map((part) => figure.querySelector(part).textContent);
  const drawn = [...figure.querySelectorAll("svg")].map((panel) => panel.outerHTML).join();
  return { value, words, drawn, spoken: slider.getAttribute("aria-valuetext") };
});
"""


def live_figures(browser):
    return browser.find_elements("css selector", ".live-figure")


def test_every_place_of_a_live_figure_shows_something_of_its_own(opened):
    for figure in live_figures(opened):
        shown = opened.execute_script(EVERY_PLACE, figure)
        assert len({each["value"] for each in shown}) == len(shown) >= 100
        assert all(each["spoken"] == each["value"] for each in shown)
        assert len({each["words"] for each in shown}) >= 3  # an order of models, say, changes seldom
        assert len({each["drawn"] for each in shown}) >= len(shown) / 2  # policies for nearby budgets may be the same
        assert not re.search("undefined|NaN", "".join(each["drawn"] + each["words"] for each in shown))


def test_a_live_figure_can_be_used_with_keys_and_pointer(opened):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    for figure in live_figures(opened):
        slider, value = (figure.find_element("css selector", part) for part in ("input", "output"))
        assert slider.get_attribute("aria-label")
        assert slider.size["height"] >= 24
        slider.send_keys(Keys.HOME)
        first = value.text
        slider.send_keys(Keys.ARROW_RIGHT)
        second = value.text
        slider.send_keys(Keys.END)
        assert len({first, second, value.text}) == 3
        for handle in figure.find_elements("css selector", "[data-drag]"):
            opened.execute_script(TO_THE_MIDDLE, slider, handle)
            WebDriverWait(opened, 10).until(lambda _, h=handle: at_rest(h))  # pictures above may still arrive
            opened.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", handle)
            middle = value.text
            right = -40 if handle.rect["x"] > opened.execute_script("return innerWidth") / 2 else 40
            aside = {"x": (right, 0), "y": (0, 40), "xy": (right, -20)}[handle.get_attribute("data-drag")]
            ActionChains(opened).click_and_hold(handle).move_by_offset(*aside).release().perform()
            assert value.text != middle


TO_THE_MIDDLE = """
const [slider, handle] = arguments;
slider.value = slider.max / 2;
slider.dispatchEvent(new Event("input"));
handle.scrollIntoView({ block: "center", behavior: "instant" });
"""


def at_rest(element):
    before = element.rect
    time.sleep(1)
    return element.rect == before


def test_a_live_figure_tells_the_values_under_the_pointer_and_at_the_focus(opened):
    for figure in live_figures(opened):
        for panel in figure.find_elements("css selector", "svg[role=img]"):
            assert panel.get_attribute("aria-label")
            if panel.get_attribute("tabindex"):
                # Another test may have left the pointer on the figure.
                opened.execute_script(
                    "for (const each of arguments[1].querySelectorAll('svg[role=img]'))"
                    "  each.dispatchEvent(new PointerEvent('pointerleave'));"
                    "arguments[0].blur(); arguments[0].focus()",
                    panel,
                    figure,
                )
                tips = [tip.text for tip in figure.find_elements("css selector", ".live-tip") if tip.is_displayed()]
                assert len(tips) == 1
                assert re.search(r"\d", tips[0])


def test_a_live_figure_has_the_ink_of_the_page(opened):
    same = (
        "const figures = [...document.querySelectorAll('.live-figure')], root = document.documentElement.dataset;"
        "const before = root.theme, ink = (element) => getComputedStyle(element).color; root.theme = 'dark';"
        "const found = figures.map(figure => ink(figure.querySelector('svg text')) === ink(document.body));"
        "root.theme = before; return found"
    )
    assert all(opened.execute_script(same))


def test_live_figures_move_in_pages_opened_from_a_folder(browser, page):
    if not soup(page).select(".live-figure"):
        pytest.skip("this page has no live figure")
    browser.get_log("browser")
    browser.get(page.as_uri())
    for figure in live_figures(browser):
        assert len({each["drawn"] for each in browser.execute_script(EVERY_PLACE, figure)}) > 1
    complaints = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert not [message for message in complaints if "/webfonts/" not in message]  # a folder may not lend fonts
