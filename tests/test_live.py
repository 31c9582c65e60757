"""Live figures: what Python works out is what the page will show, at every place of the slider."""

import json
import re
from urllib.parse import unquote

import numpy as np
import pytest
from bs4 import BeautifulSoup

from cascade_book.live import Axis, LiveFigure, packed

SLOPES = np.linspace(0, 1, 5)


def rising(**changes):
    options = {"label": "slope", "words": [f"It rises by {slope:.2f}." for slope in SLOPES], "start": 2} | changes
    figure = LiveFigure([f"{slope:.2f} m" for slope in SLOPES], **options)
    panel = figure.panel(Axis("x", 0, 10), Axis("y", 0, 1, percent=True), alt="A line.", size=(300, 200))
    panel.line([0, 10], np.outer(SLOPES, [0, 1]), name="line < 1")
    panel.mover(10, SLOPES, name="its end", drag="y")
    return figure


def parts(figure):
    """Return the panels of the first frame, and what moves."""
    page = BeautifulSoup(figure.html(), "html.parser")
    panels = [
        BeautifulSoup(unquote(image["src"].partition(",")[2]), "html.parser").svg for image in page.find_all("img")
    ]
    return panels, json.loads(page.find("script", type="application/json").string)


def unpacked(pieces, place):
    return "".join(piece if isinstance(piece, str) else piece[0].split("|")[place] for piece in pieces)


def test_strings_are_packed_without_loss():
    for strings in (["a 1 b", "a 2 b"], ["a", "a b"], ["f(1 2)", "f(1 3)"], ["same", "same"], ["", "x"]):
        assert [unpacked(packed(strings), place) for place in range(2)] == strings
    assert packed(["same"] * 9) == ["same"]
    with pytest.raises(ValueError, match=r"No string may hold \|"):
        packed(["a|b", "c"])


def test_the_first_frame_is_the_one_at_which_the_slider_starts():
    (panel,), data = parts(rising())
    moves = {(part, name): pieces for part, name, pieces in data["moves"]}
    assert len(moves) >= 3
    for (part, name), pieces in moves.items():
        element = panel.find(attrs={"data-part": part})
        assert element[name] == unpacked(pieces, data["start"])
        assert element[name] != unpacked(pieces, 0)
    assert unpacked(data["shown"], 2) == "0.50 m"
    assert ">It rises by 0.50.</p>" in rising().html()


def test_parts_lie_where_the_axes_say():
    (panel,), data = parts(rising())
    axes = json.loads(panel["data-axes"])
    (left, low_x), (right, high_x) = axes["x"]["low"], axes["x"]["high"]
    (bottom, low_y), (top, high_y) = axes["y"]["low"], axes["y"]["high"]
    assert (low_x, high_x, low_y, high_y) == (0, 10, 0, 1)
    (_, _, path), *_ = data["moves"]
    for place, slope in enumerate(SLOPES):
        numbers = [float(number) for number in re.findall(r"[\d.]+", unpacked(path, place))]
        assert np.allclose(numbers, [left, bottom, right, bottom + slope * (top - bottom)], atol=0.06)


def test_what_can_be_dragged_is_stored_with_its_places():
    _, data = parts(rising())
    ((_, direction, pieces),) = data["drags"]
    heights = [float(unpacked(pieces, place).split()[1]) for place in range(5)]
    assert direction == "y"
    assert (np.diff(heights) < 0).all()


def test_equal_ratios_take_equal_lengths_on_a_logarithmic_axis():
    axis = Axis("price", 0.01, 100, log=True)
    assert np.allclose(axis.share([0.01, 0.1, 1, 10, 100]), [0, 0.25, 0.5, 0.75, 1])
    assert [axis.written(tick) for tick in axis.ticks()] == ["0.01", "0.1", "1", "10", "100"]


def test_rows_stand_below_each_other_in_their_order():
    axis = Axis(names=["first", "second"])
    assert np.allclose(axis.share([0, 1]), [0.75, 0.25])
    assert [axis.written(tick) for tick in axis.ticks()] == ["first", "second"]


def test_bars_have_the_lengths_of_their_values():
    figure = rising()
    rows = Axis(names=["one", "two"])
    figure.panel(Axis("share", 0, 2), rows, alt="Bars.").bars(np.outer(SLOPES, [1, 2]), shown="{:.1f}")
    panel = parts(figure)[0][1]
    one, two = (path for path in panel.find_all("path") if "Z" in path["d"])
    one, two = ([float(x) for x in re.findall(r"[\d.]+", bar["d"])] for bar in (one, two))
    assert np.isclose(two[2] - two[0], 2 * (one[2] - one[0]), atol=0.2)
    assert [text.string for text in panel.find_all("text") if text.get("data-part")] == ["0.5", "1.0"]


def test_the_same_figure_gives_the_same_bytes():
    assert rising().html() == rising().html()


def test_a_line_through_thousands_of_points_is_thinned_but_keeps_its_ends():
    figure = rising()
    panel = figure.panel(Axis("x", 0, 1), Axis("y", 0, 1), alt="A diagonal.", size=(300, 200))
    panel.line(np.linspace(0, 1, 5_000), np.linspace(0, 1, 5_000))
    corners = parts(figure)[0][1].find("path", class_="live-line")["d"].split(" L ")
    assert len(corners) < 250
    axes = json.loads(parts(figure)[0][1]["data-axes"])
    assert corners[-1] == f"{axes['x']['high'][0]:.1f} {axes['y']['high'][0]:.1f}"


def test_names_are_written_as_text():
    assert "line &lt; 1" in str(parts(rising())[0][0])
    words = ["</script><b>&"] * 5
    html = rising(words=words).html()
    assert "</script><b>" not in html
    assert parts(rising(words=words))[1]["words"] == words[:1]


def test_what_does_not_fit_the_slider_is_refused():
    with pytest.raises(ValueError, match="There are 5 values but 1 words"):
        rising(words=["one"])
    with pytest.raises(ValueError, match="moves through 3 places, but the slider has 5"):
        rising().panel(Axis(), Axis(), alt="").mover([1, 2, 3], 1)


def test_a_notebook_that_is_not_run_still_says_what_is_seen():
    bundle = rising()._repr_mimebundle_()
    assert bundle["text/plain"] == "slope: 0.50 m. It rises by 0.50."
    assert bundle["text/html"].startswith('<div class="live-figure">')
