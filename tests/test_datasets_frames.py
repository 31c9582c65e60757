"""The reader of pickled tables reads tables, of today and of the past, and runs nothing else."""

import codecs
import os
import pickle
import subprocess

import numpy as np
import pandas as pd
import pytest

from cascade_lib.datasets.frames import ALLOWED, read_frame_pickle

PROTOCOLS = (2, 3, 4, 5)


def frame():
    """Columns of texts, of numbers kept as objects and of floats; all labels are objects, as older versions wrote."""
    columns = {
        "id": pd.Series(["a", "ü", ""], dtype=object),
        "score": pd.Series([0.0, 0.25, np.nan], dtype=object),
        "cost": [1e-4, 0.0, np.nan],
        "more": [3.0, 2.0, 1.0],
    }
    return pd.DataFrame(columns).set_axis(pd.Index(list(columns), dtype=object), axis=1)


INDEXES = {
    "range": pd.RangeIndex(3),
    "integers": pd.Index([7, 1, 3]),
    "floats": pd.Index([0.5, 1.5, 2.5]),
    "texts": pd.Index(["x", "y", "z"], dtype=object, name="key"),
}


@pytest.fixture
def read(tmp_path):
    """Read bytes as if they were a file; the folder is where malice would leave its mark."""

    def read(content):
        file = tmp_path / "frame.pkl"
        file.write_bytes(content)
        return read_frame_pickle(file)

    return read


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("index", INDEXES)
def test_frames_come_back_as_they_were(tmp_path, index, protocol):
    expected = frame().set_axis(INDEXES[index], axis=0)
    expected.to_pickle(tmp_path / "frame.pkl", protocol=protocol)
    found = read_frame_pickle(tmp_path / "frame.pkl")
    pd.testing.assert_frame_equal(found, expected)
    assert found["score"].dtype == object


# Protocol 2 writes names as text, so that the names of the past can be put into a pickle of today.
PAST = {
    b"cpandas\nDataFrame\n": b"cpandas.core.frame\nDataFrame\n",
    b"cpandas\nIndex\n": b"cpandas.core.indexes.base\nIndex\n",
    b"cpandas\nRangeIndex\n": b"cpandas.core.indexes.range\nRangeIndex\n",
    b"cnumpy._core.multiarray\n": b"cnumpy.core.multiarray\n",
}


@pytest.mark.parametrize("index", ["range", "texts"])
def test_names_of_the_past_lead_to_where_things_are_today(read, index):
    expected = frame().set_axis(INDEXES[index], axis=0)
    content = pickle.dumps(expected, protocol=2)
    for today, past in PAST.items():
        content = content.replace(today, past)
    assert b"cpandas.core.frame\n" in content
    assert b"_core" not in content
    pd.testing.assert_frame_equal(read(content), expected)


@pytest.mark.parametrize(("name", "index"), [(b"Int64Index", "integers"), (b"Float64Index", "floats")])
def test_the_typed_indexes_of_pandas_1_become_plain_ones(read, name, index):
    expected = frame().set_axis(INDEXES[index], axis=0)
    content = pickle.dumps(expected, protocol=2)
    content = content.replace(b"cpandas\nIndex\n", b"cpandas.core.indexes.numeric\n" + name + b"\n")
    pd.testing.assert_frame_equal(read(content), expected)


class Call:
    """What pickles to the call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


# What is called, and the name that is to be refused: the first that is not allowed.
MALICE = {
    "system": (lambda mark: Call(os.system, f"touch {mark}"), "system"),
    "process": (lambda mark: Call(subprocess.Popen, ["touch", mark]), "Popen"),
    "eval": (lambda mark: Call(eval, f"open({mark!r}, 'w')"), "eval"),
    "exec": (lambda mark: Call(exec, f"open({mark!r}, 'w')"), "exec"),
    "open": (lambda mark: Call(open, mark, "w"), "open"),
    "getattr": (lambda mark: Call(getattr, pd.DataFrame, "eval"), "getattr"),
    "numpy.load": (lambda mark: Call(np.load, mark, None, True), "numpy.load"),
    "numpy.savetxt": (lambda mark: Call(np.savetxt, mark, [1.0]), "numpy.savetxt"),
    "read_pickle": (lambda mark: Call(pd.read_pickle, mark), "read_pickle"),
    "pandas.eval": (lambda mark: Call(pd.eval, "1 + 1"), "eval"),
    "a method": (lambda mark: Call(pd.DataFrame.to_csv, frame(), mark), "(Frame.to_csv|getattr)"),
    "another codec": (lambda mark: Call(codecs.encode, "text", "rot13"), "the codec rot13"),
    "nested": (lambda mark: Call(slice, Call(slice, Call(os.system, f"touch {mark}"))), "system"),
    "in an array": (lambda mark: np.array([Call(os.system, f"touch {mark}")], dtype=object), "system"),
    "in a frame": (lambda mark: frame().assign(id=[Call(os.system, f"touch {mark}")] * 3), "system"),
    "in a label": (lambda mark: frame().set_axis([Call(os.system, f"touch {mark}"), 1, 2], axis=0), "system"),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", MALICE)
def test_whatever_calls_something_else_is_refused(tmp_path, read, kind, protocol):
    make, refused = MALICE[kind]
    content = pickle.dumps(make(str(tmp_path / "mark")), protocol=protocol)
    with pytest.raises(
        ValueError, match=f"it asks for [A-Za-z_.]*{refused}, which no table of numbers and texts needs"
    ):
        read(content)
    assert os.listdir(tmp_path) == ["frame.pkl"]


def test_the_refused_name_is_told(read):
    with pytest.raises(ValueError, match=r"frame\.pkl is not a pickled table .* it asks for builtins\.eval, which"):
        read(pickle.dumps(Call(eval, "1")))


class Part:
    """What pickles to the call of a function with arguments, and then to the setting of a state."""

    def __init__(self, function, arguments, state):
        self.call = function, arguments, state

    def __reduce__(self):
        return self.call


class Global:
    """What pickles to a name alone, with a state set on what it stands for."""

    def __init__(self, module, name, state):
        self.module, self.name, self.state = module, name, state

    def content(self):
        name = f"c{self.module}\n{self.name}\n".encode()
        return pickle.PROTO + b"\x02" + name + pickle.dumps(self.state, protocol=2)[2:-1] + pickle.BUILD + b"."


EMPTY, REBUILD = np.empty(0).__reduce__()[1], np.empty(0).__reduce__()[0]
FIELDS = np.dtype([("a", "O"), ("b", "f8")])
OBJECTS = (3, "|", None, None, None, -1, -1, 63)
RAW = b"\x01" * 16


def block(values, *places, rows=None):
    """A frame with these values in a block at each of the places, made by the same calls as pandas makes."""
    places = places or (slice(0, 1, 1),)
    columns = [f"column {i}" for i in range(len(places))]
    frame = pd.DataFrame([[1.0] * len(places)] * 2).set_axis(pd.Index(columns, dtype=object), axis=1)
    state = frame.__getstate__()
    remake, (blocks, axes) = state["_mgr"].__reduce__()
    parts = tuple(Call(blocks[0].__reduce__()[0], values, place, 2) for place in places)
    axes = [axes[0], axes[1] if rows is None else rows]
    return Part(pd.DataFrame, (), state | {"_mgr": Call(remake, parts, axes)})


def numbers(shape, content, kind="f8"):
    kind = np.dtype(kind) if isinstance(kind, str) else kind
    return Part(REBUILD, EMPTY, (1, shape, kind, False, content))


def kind_with(state, name="f8"):
    return Part(np.dtype, (name, False, True), state)


def range_of(stop, step=1):
    state = {"name": None, "start": 0, "stop": stop, "step": step}
    return Call(pd.RangeIndex(1).__reduce__()[0], pd.RangeIndex, state)


ATTACKS = {
    "an array larger than its content": (block(numbers((1, 10**9), RAW)), "its content does not fill"),
    "an array that nothing fills": (block(Call(REBUILD, np.ndarray, (1, 1000), b"b")), "nothing fills"),
    "an array left empty": (block(Call(REBUILD, np.ndarray, (0,), b"b")), ""),
    "an array built by its class": (block(Call(np.ndarray, (1, 2))), ""),
    "a negative length": (block(numbers((-1, -2), RAW)), "a strange shape"),
    "numbers as references": (block(numbers((1, 2), RAW, kind_with(OBJECTS, "O8"))), "a strange value"),
    "references as numbers": (block(numbers((1, 2), ["a", "b"])), "a strange buffer"),
    "a type with fields": (block(numbers((1, 2), RAW, FIELDS)), "values of type V16"),
    "negative offsets": (
        block(numbers((1, 2), RAW, kind_with((3, "<", None, ("a",), {"a": (np.dtype("f8"), -64)}, 8, 1, 0)))),
        "a type with fields",
    ),
    "a sub-array": (
        block(numbers((1, 2), RAW, kind_with((3, "<", (np.dtype("f8"), (9,)), None, None, -1, -1, 0)))), "with fields",
    ),
    "another size": (block(numbers((1, 2), RAW, kind_with((3, "<", None, None, None, 2**30, 1, 0)))), "with fields"),
    "a range of a million million": (block(numbers((1, 2), RAW), rows=range_of(10**12)), "a range of too many"),
    "a slice of a million million": (block(numbers((1, 2), RAW), slice(0, 10**12, 1)), "a range of too many"),
    "columns twice in one place": (block(numbers((2, 2), 2 * RAW), slice(1, -1, -1)), "columns without a place"),
    "rows of another number": (block(numbers((1, 2), RAW), rows=range_of(3)), "a block of another shape"),
    "an array in a cell": (block(numbers((1, 2), [np.zeros(1), 1], "O")), "a strange value"),
    "a slice that is changed": (block(numbers((1, 2), RAW), Part(slice, (0, 1), {"start": 0})), ""),
    "memory for the asking": (Call(bytearray, 10**12), "it asks for [a-z_]*.bytearray"),
}  # fmt: skip


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", ATTACKS)
def test_arrays_types_and_ranges_that_are_not_what_they_say_are_refused(read, kind, protocol):
    attack, message = ATTACKS[kind]
    with pytest.raises(ValueError, match=f"not a pickled table that can be trusted: .*{message}"):
        read(pickle.dumps(attack, protocol=protocol))


def test_the_attacks_differ_from_a_frame_in_one_thing_each(read):
    assert read(pickle.dumps(block(numbers((1, 2), RAW)), protocol=2)).shape == (2, 1)


@pytest.mark.parametrize("state", [{"__new__": None, "__setstate__": None}, (None, {"__new__": 1, "__init__": 1})])
@pytest.mark.parametrize(("module", "name"), sorted(ALLOWED))
def test_nothing_that_outlives_the_reading_can_be_changed(read, module, name, state):
    part = ALLOWED[module, name]
    before = dict(vars(part))
    with pytest.raises(ValueError, match="is not a pickled table that can be trusted"):
        read(Global(module, name, state).content())
    assert dict(vars(part)) == before
    pd.testing.assert_frame_equal(read(pickle.dumps(frame(), protocol=2)), frame())


def test_no_more_cells_than_any_file_needs(read):
    values = numbers((1, 3_000_000), bytes(24_000_000))
    wide = block(values, slice(0, 1, 1), slice(1, 2, 1), rows=range_of(3_000_000))
    with pytest.raises(ValueError, match="too many cells"):
        read(pickle.dumps(wide, protocol=4))
    assert read(pickle.dumps(block(values, rows=range_of(3_000_000)), protocol=4)).shape == (3_000_000, 1)


@pytest.mark.parametrize("name", ["DataFrame.to_csv", "DataFrame.eval", "DataFrame.__reduce__"])
def test_attributes_of_allowed_names_are_not_allowed(read, name):
    content = pickle.PROTO + b"\x04" + b"\x8c\x06pandas\x8c" + bytes([len(name)]) + name.encode() + pickle.STACK_GLOBAL
    with pytest.raises(ValueError, match=f"it asks for pandas.{name}, which"):
        read(content + b".")


def test_the_list_has_exact_names_only():
    assert all(name.isidentifier() and "*" not in module for module, name in ALLOWED)
    callables = {"eval", "exec", "open", "getattr", "system", "load", "read_pickle", "__import__", "apply"}
    assert not callables & {name for _, name in ALLOWED}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "frame.pkl is not a pickled table"),
        (b"sample_id,prompt\n1,2\n", "frame.pkl is not a pickled table"),
        (pickle.dumps(frame())[:-100], "frame.pkl is not a pickled table"),
        (pickle.dumps({"a": 1}), "frame.pkl holds a dict instead of a data frame"),
        (pickle.dumps(frame().astype({"id": "category"})), "frame.pkl is not a pickled table .* asks for"),
        (pickle.dumps(frame().assign(day=pd.Timestamp("2024-01-01", tz="UTC"))), "frame.pkl is not .* asks for"),
    ],
    ids=["empty", "text", "cut", "no frame", "categories", "dates"],
)
def test_anything_but_a_table_of_numbers_and_texts_is_refused(read, content, message):
    with pytest.raises(ValueError, match=message):
        read(content)
