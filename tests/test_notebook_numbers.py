"""Outputs of notebooks are compared number by number: last digits may differ, nothing else."""

import operator

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from notebook_numbers import Written

NEAR = [
    ("+3.8 [2.8, 4.8]", "+3.9 [2.8, 4.8]"),
    ("<td>90.54</td>", "<td>90.53</td>"),
    ("-0.00", "+0.00"),
    ("−0.58", "-0.57"),
    ("2,115 leaves", "2116 leaves"),
    ("9.385e-05 USD", "9.386e-05 USD"),
    ("  9.99  a", " 10.00  a"),
    ("from 2-3.1", "from 2-3.2"),
]
FAR = [
    ("+3.8 [2.8, 4.8]", "+4.0 [2.8, 4.8]"),
    ("+0.4", "-0.4"),
    ("12 of 20", "13 of 20"),
    ("1 calls", "2 calls"),
    ("2115", "2118"),
    ("vote-3", "vote-5"),
    ("0.5 ahead", "0.5 behind"),
    ("0.5", "0.5 0.5"),
    ("1.2e-5", "1.2e-6"),
    ("nan", "0.0"),
    ("col7", "col8"),
]


@pytest.mark.parametrize(("one", "other"), NEAR)
def test_last_digits_may_differ(one, other):
    assert Written(one) == Written(other)
    assert Written(other) == one
    assert not operator.ne(Written(one), other)


@pytest.mark.parametrize(("one", "other"), FAR)
def test_nothing_else_may_differ(one, other):
    assert Written(one) != Written(other)
    assert Written(other) != one
    assert not operator.eq(Written(one), other)


@given(st.text())
def test_every_text_equals_itself(text):
    assert Written(text) == text


@given(st.floats(-1e6, 1e6), st.integers(1, 4), st.floats(-1e-9, 1e-9))
def test_rounding_a_number_that_differs_in_last_bits_makes_no_difference(value, digits, change):
    one, other = f"{value:.{digits}f}", f"{value + change:.{digits}f}"
    assert Written(one) == other


@pytest.mark.parametrize(("printed", "passes"), [("0.50", True), ("0.51", True), ("0.52", False)])
def test_nbval_compares_so(pytester, request, printed, passes):
    stored = nbformat.v4.new_output("stream", text="AUC 0.50\n")
    cell = nbformat.v4.new_code_cell(f"print('AUC {printed}')", outputs=[stored], execution_count=1)
    notebook = nbformat.v4.new_notebook(cells=[cell])
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(notebook, pytester.path / "one.ipynb")
    pytester.makeconftest((request.config.rootpath / "conftest.py").read_text())
    pytester.makeini(f"[pytest]\npythonpath = {request.config.rootpath / 'scripts'}")
    result = pytester.runpytest_subprocess("--nbval", "--nbval-current-env", "-p", "no:xdist")
    result.assert_outcomes(passed=passes, failed=not passes)
