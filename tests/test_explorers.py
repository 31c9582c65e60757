import io

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from cascade_book.explorers import MOST_FRAMES, explorer, explorer2


def bar(height):
    figure, ax = plt.subplots(figsize=(3, 2))
    ax.bar([0], [height])
    ax.set_ylim(0, 5)
    return figure


def parts(widget):
    slider, stack, text = widget.children
    return slider, stack, text


def test_the_slider_runs_through_one_frame_for_each_value():
    slider, stack, text = parts(explorer(bar, [1.0, 2.5, 4.0], label="height", unit="m", alt="A bar.", start=1))
    assert [label for label, _ in slider.options] == ["1 m", "2.5 m", "4 m"]
    assert slider.index == stack.selected_index == 1
    assert len(stack.children) == 3
    assert "A bar." in text.value
    pixels = [np.asarray(Image.open(io.BytesIO(frame.value)).convert("L"), dtype=float) for frame in stack.children]
    darkness = [(255 - image).sum() for image in pixels]
    assert darkness[0] < darkness[1] < darkness[2]
    assert len({image.shape for image in pixels}) == 1


def test_frames_are_small_and_the_same_every_time():
    first, second = (parts(explorer(bar, [1.0, 2.0], label="h", alt="A bar."))[1] for _ in range(2))
    assert [a.value for a in first.children] == [b.value for b in second.children]
    assert max(len(frame.value) for frame in first.children) < 10_000


def test_a_small_mark_among_many_shades_keeps_its_colour():
    def marked(_):
        figure, ax = plt.subplots(figsize=(5, 3))
        ax.imshow(np.random.default_rng(0).random((6, 4)), cmap="Blues")
        ax.plot(0, 0, "o", color="#e69f00", markersize=4)
        return figure

    picture = parts(explorer(marked, [1.0], label="h", alt="A mark."))[1].children[0]
    distance = np.abs(pixels(picture).astype(int) - [0xE6, 0x9F, 0x00]).sum(axis=2)
    assert distance.min() <= 30


def test_figures_are_closed():
    explorer(bar, range(5), label="h", alt="A bar.")
    assert plt.get_fignums() == []


def test_too_few_and_too_many_frames_are_refused():
    with pytest.raises(ValueError, match="values is empty"):
        explorer(bar, [], label="h", alt="")
    with pytest.raises(ValueError, match=f"a page holds {MOST_FRAMES} frames"):
        explorer(bar, range(MOST_FRAMES + 1), label="h", alt="")


def brick(width, height):
    figure, ax = plt.subplots(figsize=(3, 2))
    ax.bar([0], [height], width)
    ax.set(xlim=(-3, 3), ylim=(0, 5))
    return figure


def two(first=(1.0, 2.0), second=(1.0, 2.5, 4.0), **changes):
    options = {"labels": ("width", "height"), "units": ("m", "cm"), "alt": "A brick.", "start": (1, 2)} | changes
    return explorer2(brick, first, second, **options).children


def test_two_sliders_have_one_frame_for_each_pair_of_values():
    across, up, stack, text = two()
    assert [label for label, _ in across.options] == ["1 m", "2 m"]
    assert [label for label, _ in up.options] == ["1 cm", "2.5 cm", "4 cm"]
    assert (across.description, up.description) == ("width", "height")
    assert "A brick." in text.value
    assert across.index == stack.selected_index == 1
    assert [row.selected_index for row in stack.children] == [up.index] * 2 == [2, 2]
    darkness = np.array(
        [
            [(255 - np.asarray(Image.open(io.BytesIO(frame.value)).convert("L"), dtype=float)).sum() for frame in row]
            for row in (row.children for row in stack.children)
        ]
    )
    assert darkness.shape == (2, 3)
    assert (np.diff(darkness, axis=0) > 0).all()
    assert (np.diff(darkness, axis=1) > 0).all()


def test_each_slider_is_linked_to_its_stacks_in_the_browser(monkeypatch):
    links = []
    monkeypatch.setattr("cascade_book.explorers.widgets.jslink", lambda source, target: links.append((source, target)))
    across, up, stack, _ = two()
    rows = [((up, "index"), (row, "selected_index")) for row in stack.children]
    assert links == [((across, "index"), (stack, "selected_index")), *rows]


def test_two_sliders_leave_no_figure_open_and_draw_the_same_every_time():
    once, again = two()[2], two()[2]
    assert plt.get_fignums() == []
    for row, other in zip(once.children, again.children, strict=True):
        assert [frame.value for frame in row.children] == [frame.value for frame in other.children]


def test_two_sliders_refuse_too_few_and_too_many_frames():
    with pytest.raises(ValueError, match="second is empty"):
        two(second=[])
    with pytest.raises(ValueError, match="first is empty"):
        two(first=[])
    with pytest.raises(ValueError, match=f"16 × 16 values make 256 frames; a page holds {MOST_FRAMES} frames"):
        two(first=range(16), second=range(16))


def pixels(picture):
    return np.asarray(Image.open(io.BytesIO(picture.value)).convert("RGB"))


def finer_steps(box):
    """Press the button and return what stands where the slider and the stored frames stood."""
    (button,) = [child for child in box.children if "cascade-explorer-finer" in child._dom_classes]
    button.click()
    *sliders, _, picture, text, _ = box.children
    assert "A b" in text.value
    return sliders, picture


def test_a_running_kernel_draws_between_the_frames():
    drawn = []

    def bar_noted(height):
        drawn.append(height)
        return bar(height)

    finer = [1.0, 1.4, 1.8, 2.2, 4.0]
    options = {"label": "height", "unit": "m", "alt": "A bar.", "start": 1}
    box = explorer(bar_noted, [1.0, 2.1, 4.0], finer=finer, **options)
    assert drawn == [1.0, 2.1, 4.0]  # nothing fine is drawn before it is asked for
    (slider,), picture = finer_steps(box)
    assert [label for label, _ in slider.options] == ["1 m", "1.4 m", "1.8 m", "2.2 m", "4 m"]
    assert slider.index == 3  # 2.2 is nearest to 2.1, where the other slider stood
    slider.index = 1
    lower = pixels(picture).mean()
    slider.index = 3
    assert drawn == [1.0, 2.1, 4.0, 2.2, 1.4]  # 2.2 was kept
    assert pixels(picture).mean() < lower  # a higher bar is darker
    assert plt.get_fignums() == []


def test_it_says_that_it_computes_and_there_is_a_way_back():
    said = []

    def bar_noted(height):
        said.append(next(child.value for child in box.children if isinstance(child, widgets.HTML)) if box else "")
        return bar(height)

    box = None
    box = explorer(bar_noted, [1.0, 4.0], label="height", alt="A bar.", finer=[1.0, 2.0, 4.0])
    before = box.children
    finer_steps(box)
    assert "computing" in said[-1]
    *_, busy, _, _, back = box.children
    assert busy.value == ""
    back.click()
    assert box.children == before
    assert box.children[0].index == 0
    finer_steps(box)  # and forth again


def test_two_sliders_draw_between_the_frames():
    box = explorer2(
        brick, (1.0, 2.0), (1.0, 4.0), labels=("width", "height"), alt="A brick.", finer=([1, 1.5, 2], [1, 2, 3, 4])
    )
    (across, up), picture = finer_steps(box)
    assert (across.description, up.description) == ("width", "height")
    before = pixels(picture)
    across.index = 2
    wider = pixels(picture)
    up.index = 3
    assert before.mean() > wider.mean() > pixels(picture).mean()


def test_finer_steps_lie_between_numbers():
    with pytest.raises(ValueError, match="values holds 'low'"):
        explorer(lambda level: bar(1), ["low", "high"], label="noise", alt="", finer=[0.1, 0.2])
    with pytest.raises(ValueError, match="finer is empty"):
        explorer(bar, [1.0], label="noise", alt="", finer=[])
