"""Reads pickled arrays without running any code that a pickle may name."""

import collections
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np


class UnsafePickleError(ValueError):
    """Raised when a pickle needs more than arrays, numbers, strings, bytes and containers."""


def load_plain(path: Path, content: bytes) -> Any:
    """Unpickles NumPy arrays and numbers, plain values and containers of these, and nothing else.

    Python's own `pickle.load` runs any code that a file names. This function looks up only the
    names that Python 2, Python 3 and NumPy write for such values, in any protocol, and gives each a
    stand-in that takes no other arguments than theirs. Strings of Python 2 become str, one
    character a byte.

    Args:
        path: the file that the content is from, for the messages of errors.
        content: the pickle.

    Raises:
        UnsafePickleError: when the pickle names anything else.
        ValueError: when the content is no pickle, or is cut short.

    Example:
        >>> import pickle
        >>> from pathlib import Path
        >>> from jaxsched.data.sources.safe_pickle import load_plain
        >>> load_plain(Path("numbers"), pickle.dumps({"some": [1, 2]}))
        {'some': [1, 2]}
        >>> load_plain(Path("trap"), pickle.dumps(print))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        jaxsched.data.sources.safe_pickle.UnsafePickleError: trap asks for builtins.print, ...
    """
    try:
        return _PlainUnpickler(path, content).load()
    except UnsafePickleError:
        raise
    except Exception as error:  # A pickle is a program: random bytes can raise nearly anything.
        raise ValueError(
            f"{path} is not a whole pickle ({type(error).__name__}: {error}); it is cut short or "
            "damaged: download and unpack it again."
        ) from error


# The stand-ins are instances without attributes, because a pickle can set attributes of what it
# looks up, also those of a function.
class _Dtype:
    """Stands for `numpy.dtype`."""

    __slots__ = ()

    def __call__(self, code: str, align: int = 0, copy: int = 0) -> np.dtype:
        del copy  # always, since the pickle goes on to change the dtype, which others may share
        # Python 2 wrote integers where NumPy now expects booleans.
        return np.dtype(code, align=bool(align), copy=True)


class _Scalar:
    """Stands for NumPy's private function that rebuilds a number."""

    __slots__ = ()

    def __call__(self, dtype: np.dtype, content: bytes | str) -> np.generic:
        if dtype.kind not in "biufc":
            raise ValueError(f"expected a number, got a scalar of {dtype}")
        # Python 2 wrote the bytes as a string.
        raw = content.encode("latin1") if isinstance(content, str) else content
        (value,) = np.frombuffer(raw, dtype)
        return value


class _FromBuffer:
    """Stands for NumPy's private function that rebuilds an array in protocol 5."""

    __slots__ = ()

    def __call__(
        self, content: bytes | bytearray, dtype: np.dtype, shape: tuple[int, ...], order: Any
    ) -> np.ndarray:
        return np.frombuffer(content, dtype).reshape(shape, order=order)


class _Encode:
    """Stands for `_codecs.encode`, by which protocols 0 to 2 write bytes of Python 3."""

    __slots__ = ()

    def __call__(self, text: str, encoding: str) -> bytes:
        if encoding not in ("latin1", "latin-1"):
            raise ValueError(f"expected bytes written as latin1, got {encoding}")
        return text.encode("latin1")


class _Bytes:
    """Stands for `bytes` and `bytearray`, made of bytes, or of text in protocols 0 to 2."""

    __slots__ = ()

    def __call__(self, content: bytes | str = b"", encoding: str = "latin-1") -> bytes:
        return _Encode()(content, encoding) if isinstance(content, str) else b"".join([content])


# NumPy's private function that rebuilds an array, taken from where its own pickles name it.
_reconstruct = np.empty(0).__reduce__()[0]
_ALLOWED = {
    ("numpy", "dtype"): _Dtype(),
    ("numpy", "ndarray"): np.ndarray,
    ("_codecs", "encode"): _Encode(),
    ("collections", "OrderedDict"): collections.OrderedDict,
}
for _module in ("__builtin__", "builtins"):  # in protocols 0 to 2, and since
    _ALLOWED[_module, "bytes"] = _ALLOWED[_module, "bytearray"] = _Bytes()
    _ALLOWED |= {(_module, kind.__name__): kind for kind in (set, frozenset, complex)}
for _core in ("numpy.core", "numpy._core"):  # before and since NumPy 2
    _ALLOWED[f"{_core}.multiarray", "_reconstruct"] = _reconstruct
    _ALLOWED[f"{_core}.multiarray", "scalar"] = _Scalar()
    _ALLOWED[f"{_core}.numeric", "_frombuffer"] = _FromBuffer()


class _PlainUnpickler(pickle.Unpickler):
    """An unpickler that can look up only what plain values are made of."""

    def __init__(self, path: Path, content: bytes):
        super().__init__(io.BytesIO(content), encoding="latin1")
        self._path = path

    def find_class(self, module_name: str, global_name: str) -> Any:
        """Looks up a name of the pickle; raises `UnsafePickleError` unless it is allowed."""
        if (module_name, global_name) not in _ALLOWED:
            raise UnsafePickleError(
                f"{self._path} asks for {module_name}.{global_name}, which no array, number, text "
                "or container needs, and which could run any code; nothing was run. Do not use "
                "this file: download it from its official source."
            )
        return _ALLOWED[module_name, global_name]
