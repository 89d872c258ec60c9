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
@given(value=plain, protocol=st.sampled_from([3, 4, 5]))
def test_plain_values_come_back(value, protocol):
    assert load_plain(HERE, pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
@pytest.mark.parametrize("protocol", [3, 4])
def test_arrays_come_back(dtype, protocol):
    array = np.arange(6, dtype=dtype).reshape(2, 3)
    again = load_plain(HERE, pickle.dumps({"data": array}, protocol))["data"]
    assert again.dtype == dtype
    np.testing.assert_array_equal(again, array)


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
        (collections.OrderedDict(a=1), "collections.OrderedDict"),
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
    for name in (b"numpy\ndtype", b"numpy\nndarray", b"numpy.core.multiarray\n_reconstruct"):
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
