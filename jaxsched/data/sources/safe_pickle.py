"""Reads pickled arrays without running what else a pickle may hold."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np


class UnsafePickleError(ValueError):
    """A pickle asks for something other than arrays, lists, dicts, strings, bytes and numbers."""


def load_plain(path: Path, content: bytes) -> Any:
    """Unpickles what is made of NumPy arrays, lists, dicts, strings, bytes and numbers alone.

    Python's own `pickle.load` runs whatever code a file names. This one looks up nothing but the
    three names by which NumPy rebuilds an array. Strings of Python 2 come back as str, each byte a
    character.

    Args:
        path: where the content is from, for the errors.
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
        jaxsched.data.safe_pickle.UnsafePickleError: trap asks for builtins.print, ...
    """
    try:
        return _PlainUnpickler(path, content).load()
    except UnsafePickleError:
        raise
    except Exception as error:  # Random bytes can raise nearly anything: pickle is a machine code.
        raise ValueError(
            f"{path} is not a whole pickle ({type(error).__name__}: {error}); it is cut short or "
            "damaged: download and unpack it again."
        ) from error


class _Dtype:
    """`numpy.dtype` as pickles call it; it has no attributes that a pickle could set."""

    __slots__ = ()

    def __call__(self, code: str, align: int = 0, copy: int = 0) -> np.dtype:
        # Python 2 wrote integers where NumPy now wants booleans.
        return np.dtype(code, align=bool(align), copy=bool(copy))


_reconstruct = np.empty(0).__reduce__()[0]
_ALLOWED = {
    ("numpy", "dtype"): _Dtype(),
    ("numpy", "ndarray"): np.ndarray,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
}


class _PlainUnpickler(pickle.Unpickler):
    """An unpickler that finds what an array is made of, and nothing else."""

    def __init__(self, path: Path, content: bytes):
        super().__init__(io.BytesIO(content), encoding="latin1")
        self._path = path

    def find_class(self, module_name: str, global_name: str) -> Any:
        """What the pickle asks for by name, if that is part of an array."""
        if (module_name, global_name) not in _ALLOWED:
            raise UnsafePickleError(
                f"{self._path} asks for {module_name}.{global_name}, which no CIFAR file holds, "
                "and could run any code; nothing was run. Do not use this file: download it from "
                "its official source."
            )
        return _ALLOWED[module_name, global_name]
