import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from cascade_lib.widgets import MOST_FRAMES, explorer


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


def test_figures_are_closed():
    explorer(bar, range(5), label="h", alt="A bar.")
    assert plt.get_fignums() == []


def test_too_few_and_too_many_frames_are_refused():
    with pytest.raises(ValueError, match="values is empty"):
        explorer(bar, [], label="h", alt="")
    with pytest.raises(ValueError, match=f"a page holds {MOST_FRAMES} frames"):
        explorer(bar, range(MOST_FRAMES + 1), label="h", alt="")
