import collections
import decimal
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxsched.data.sources.safe_pickle import UnsafePickleError, load_plain

HERE = Path("some_batch")


class Calls:
    """Pickles as a call of `function` on `arguments`."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50, deadline=None)
@given(value=plain, protocol=st.sampled_from(range(6)))
def test_plain_values_come_back(value, protocol):
    assert load_plain(HERE, pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, ">i4", bool, "U3"])
@pytest.mark.parametrize("protocol", range(6))
def test_arrays_and_numbers_of_numpy_come_back(dtype, protocol):
    array = np.arange(6).reshape(2, 3).astype(dtype)
    again = load_plain(HERE, pickle.dumps({"data": array, "turned": array.T}, protocol))
    for name, expected in (("data", array), ("turned", array.T)):
        # Before protocol 5 NumPy itself turns an array to the machine's byte order.
        assert again[name].dtype.newbyteorder("=") == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(again[name], expected)
    if array.dtype.kind != "U":
        (number,) = load_plain(HERE, pickle.dumps([array[1, 1]], protocol))
        assert type(number) is type(array[1, 1]) and number == array[1, 1]


@pytest.mark.parametrize("protocol", range(6))
def test_containers_and_bytes_come_back(protocol):
    value = [
        b"", b"\x00\xff", bytearray(b"\xfe"), {1, 2}, frozenset("ab"), 2 + 1j, (), -(2**80),
        collections.OrderedDict(b=1, a=2),
    ]  # fmt: skip
    assert load_plain(HERE, pickle.dumps(value, protocol)) == value


def test_names_of_numpy_before_and_since_version_2_are_read():
    array, number = np.arange(3, dtype=np.int64), np.int64(7)
    for protocol in range(6):
        content = pickle.dumps([array, number], protocol)
        if protocol < 4:  # their names are of no fixed length
            assert b"numpy._core" in content
            content = content.replace(b"numpy._core", b"numpy.core")
        values = load_plain(HERE, content)
        np.testing.assert_array_equal(values[0], array)
        assert values[1] == 7


@pytest.mark.parametrize("protocol", range(6))
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path, protocol):
    trace = tmp_path / "it ran"
    trap = {"labels": [1, 2], "data": Calls(os.mkdir, str(trace))}
    with pytest.raises(UnsafePickleError, match=r"some_batch asks for (posix|nt)\.mkdir"):
        load_plain(HERE, pickle.dumps(trap, protocol))
    assert not trace.exists()


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Calls(eval, "1"), "builtins.eval"),
        (Calls(getattr, np.ndarray, "tofile"), "builtins.getattr"),
        (Calls(exec, "1"), "builtins.exec"),
        (Calls(__import__, "os"), "builtins.__import__"),
        (Calls(bytes.fromhex, "00"), "builtins.getattr"),
        (collections.Counter(a=1), "collections.Counter"),
        (np.int64, "numpy.int64"),
        (decimal.Decimal(1), "decimal.Decimal"),
        (np.ma.masked_array([1]), "numpy.ma"),
        (np.load, "numpy.load"),
        (np.ndarray.tofile, "builtins.getattr"),
    ],
)
def test_everything_else_is_refused_by_name(value, name):
    with pytest.raises(UnsafePickleError, match=f"asks for {name}"):
        load_plain(HERE, pickle.dumps(value, protocol=4))


def test_what_builds_arrays_has_no_attribute_to_reach_or_to_set():
    reach = b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93."  # a dotted global name
    with pytest.raises(UnsafePickleError, match=r"numpy\.ndarray\.tofile"):
        load_plain(HERE, reach)
    for name in (
        b"numpy\ndtype", b"numpy\nndarray", b"numpy.core.multiarray\n_reconstruct",
        b"numpy.core.multiarray\nscalar", b"numpy.core.numeric\n_frombuffer", b"_codecs\nencode",
        b"__builtin__\nbytearray", b"__builtin__\nset", b"collections\nOrderedDict",
    ):  # fmt: skip
        alter = b"\x80\x02c" + name + b"\nN}U\x08__call__I1\ns\x86b."  # setattr by BUILD
        with pytest.raises(ValueError, match="is not a whole pickle"):
            load_plain(HERE, alter)


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=60))
def test_random_bytes_are_an_error_that_names_the_file_or_plain_values(content):
    try:
        load_plain(HERE, content)
    except ValueError as error:
        assert str(error).startswith("some_batch")


def call(module, name, *arguments, state=None):
    """A pickle of a call, and of what it sets of the result, written opcode by opcode."""
    content = b"\x80\x04c" + f"{module}\n{name}\n".encode() + b"("
    for argument in arguments:
        content += pickle.dumps(argument, 4)[2:-1] if not isinstance(argument, Raw) else argument
    content += b"tR"
    return content + (b"." if state is None else pickle.dumps(state, 4)[2:-1] + b"b.")


class Raw(bytes):
    """Opcodes that stand for themselves."""


DTYPE = Raw(call("numpy", "dtype", "O")[2:-1])


@pytest.mark.parametrize(
    "content",
    [
        call("_codecs", "encode", "text", "rot13"),
        call("_codecs", "encode", b"text", "zlib"),
        call("builtins", "bytearray", 10**12),
        call("builtins", "bytes", 10**12),
        call("numpy.core.multiarray", "scalar", DTYPE, b"12345678"),
        call("numpy.core.numeric", "_frombuffer", b"12345678", DTYPE, (1,), "C"),
        call("numpy.core.numeric", "_frombuffer", b"1234", "i4", (7,), "C"),
    ],
    ids=["codec", "codec of bytes", "size", "size of bytes", "object", "objects", "too short"],
)
def test_what_is_allowed_takes_no_other_arguments_than_real_pickles_give(content):
    with pytest.raises(ValueError, match="is not a whole pickle"):
        load_plain(HERE, content)


def test_a_pickle_cannot_change_the_dtypes_of_the_process():
    state = (3, ">", None, None, None, -1, -1, 0)
    load_plain(HERE, call("numpy", "dtype", "i4", 0, 0, state=state))
    assert np.dtype("i4").isnative
