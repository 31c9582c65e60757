"""Shared by tests, doctests and notebooks: figures stay off screen; what needs data that cannot be had is skipped."""

import matplotlib
import pytest
from notebook_data import why_not

matplotlib.use("agg")


@pytest.fixture(autouse=True)
def close_figures():
    """Close whatever a test drew, and undo changes of style."""
    import matplotlib.pyplot as plt

    with plt.rc_context():
        yield
    plt.close("all")


def pytest_collection_modifyitems(items):
    """Skip the cells of notebooks whose data can neither be found nor downloaded, and say which and why."""
    notebooks = {item.path for item in items if item.path.suffix == ".ipynb"}
    reasons = {path: why_not(path) for path in sorted(notebooks)}
    for item in items:
        if reason := reasons.get(item.path):
            item.add_marker(pytest.mark.skip(reason=reason))
