"""Reads pickled arrays without running any code that a pickle may name."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np


class UnsafePickleError(ValueError):
    """Raised when a pickle needs more than arrays, lists, dicts, strings, bytes and numbers."""


def load_plain(path: Path, content: bytes) -> Any:
    """Unpickles NumPy arrays, lists, dicts, strings, bytes and numbers, and nothing else.

    Python's own `pickle.load` runs any code that a file names. This function looks up only the
    names by which NumPy rebuilds an array. Strings of Python 2 become str, one character a byte.

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


class _Dtype:
    """A stand-in for `numpy.dtype` in pickles, without attributes that a pickle could set."""

    __slots__ = ()

    def __call__(self, code: str, align: int = 0, copy: int = 0) -> np.dtype:
        # Python 2 wrote integers where NumPy now expects booleans.
        return np.dtype(code, align=bool(align), copy=bool(copy))


# NumPy's private function that rebuilds an array, taken from where its own pickles name it.
_reconstruct = np.empty(0).__reduce__()[0]
_ALLOWED = {
    ("numpy", "dtype"): _Dtype(),
    ("numpy", "ndarray"): np.ndarray,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
}


class _PlainUnpickler(pickle.Unpickler):
    """An unpickler that can look up only the parts of an array."""

    def __init__(self, path: Path, content: bytes):
        super().__init__(io.BytesIO(content), encoding="latin1")
        self._path = path

    def find_class(self, module_name: str, global_name: str) -> Any:
        """Looks up a name of the pickle; raises `UnsafePickleError` unless an array needs it."""
        if (module_name, global_name) not in _ALLOWED:
            raise UnsafePickleError(
                f"{self._path} asks for {module_name}.{global_name}, which no CIFAR file holds, "
                "and could run any code; nothing was run. Do not use this file: download it from "
                "its official source."
            )
        return _ALLOWED[module_name, global_name]
