"""Shared by tests, doctests and notebooks: figures stay off screen; what needs data that cannot be had is skipped.

Outputs of notebooks are compared with the stored ones by `Written`, which forgives a difference in the last digit.
"""

import matplotlib
import pytest
from notebook_data import why_not
from notebook_numbers import Written

matplotlib.use("agg")
pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def close_figures():
    """Close whatever a test drew, and undo changes of style."""
    import matplotlib.pyplot as plt

    with plt.rc_context():
        yield
    plt.close("all")


def pytest_collection_modifyitems(items):
    """Forgive last digits in outputs of notebooks; skip those whose data cannot be had, and say which and why."""
    notebooks = {item.path for item in items if item.path.suffix == ".ipynb"}
    reasons = {path: why_not(path) for path in sorted(notebooks)}
    for item in items:
        if item.path in reasons:
            # What nbval compares is what this method returns: texts, mostly.
            item.sanitize = lambda output, clean=item.sanitize: _written(clean(output))
        if reason := reasons.get(item.path):
            item.add_marker(pytest.mark.skip(reason=reason))


def _written(output):
    return Written(output) if isinstance(output, str) else output
