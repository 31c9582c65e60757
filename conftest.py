"""Shared by all tests and doctests: figures are drawn off screen and closed again."""

import matplotlib
import pytest

matplotlib.use("agg")


@pytest.fixture(autouse=True)
def close_figures():
    """Close whatever a test drew, and undo changes of style."""
    import matplotlib.pyplot as plt

    with plt.rc_context():
        yield
    plt.close("all")
