"""Checks the fields of specs against their annotations, so that a wrong type is refused by name."""

import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, Union

_UNIONS = (Union, types.UnionType)
_WORDS = {
    float: "a number",
    int: "a whole number",
    bool: "True or False",
    str: "text",
    type(None): "None",
}
_MOST_SPECS = 12


def check_field_types(spec: Any) -> None:
    """Refuses a field of a dataclass, or of a dataclass in it, that has not its annotated type.

    A list or a range in a field for a tuple becomes a tuple, so that the spec can be hashed. Number
    fields take NumPy's and JAX's numbers too, and arrays of them, which a sweep uses.

    Args:
        spec: the dataclass, called from its `__post_init__`.

    Raises:
        ValueError: when a field has another type; names the field, what belongs there and the fix.

    Example:
        >>> from dataclasses import dataclass
        >>> from jaxsched.field_types import check_field_types
        >>> @dataclass(frozen=True)
        ... class Sizes:
        ...     sizes: tuple[int, ...]
        ...
        ...     def __post_init__(self):
        ...         check_field_types(self)
        >>> Sizes([1, 2])
        Sizes(sizes=(1, 2))
        >>> Sizes(3)
        Traceback (most recent call last):
        ValueError: Sizes needs sizes as a tuple of whole numbers, got 3; write sizes=(3,).
    """
    for name, annotation in _annotations(type(spec)).items():
        value = getattr(spec, name)
        if isinstance(value, list | range) and _takes_tuple(annotation):
            object.__setattr__(spec, name, tuple(value))
    for wrong in _wrong_fields(spec, ""):
        raise ValueError(f"{type(spec).__name__} needs {wrong.describe()}")


class _Wrong(NamedTuple):
    """A value that has not the type that belongs there; `name` is its path from the spec."""

    name: str
    annotation: Any
    value: Any

    def describe(self) -> str:
        return f"{self.name} as {_words(self.annotation)}, got {_shown(self.value)}; {self._fix()}."

    def _fix(self) -> str:
        value, field = self.value, self.name.rpartition(".")[2]
        for kind in _alternatives(self.annotation):
            if isinstance(value, type) and isinstance(kind, type) and issubclass(value, kind):
                return f"write {value.__name__}(…)"
            if typing.get_origin(kind) is tuple and _fits(value, typing.get_args(kind)[0]):
                return f"write {field}=({_shown(value)},)"
            if kind is int and isinstance(value, float) and value.is_integer():
                return f"write {int(value)}"
            if kind in (int, float) and isinstance(value, str) and _is_number(value):
                return f"write {value} without quotes"
            if typing.get_origin(kind) is tuple and (found := _specs(typing.get_args(kind)[0])):
                return f"write {field}=({found[0]},)"
            if isinstance(kind, type) and (found := _specs(kind)):
                return f"give {' or '.join(found)}"
        return f"give {_words(self.annotation)}"


@functools.cache
def _annotations(cls: type) -> dict[str, Any]:
    """The types of the fields of a dataclass, by name; none where they cannot be found out."""
    try:
        found = typing.get_type_hints(cls)
    except (NameError, TypeError):  # text that names something that is not there at run time
        return {}
    return {field.name: found[field.name] for field in dataclasses.fields(cls)}


def _wrong_fields(spec: Any, prefix: str) -> Iterator[_Wrong]:
    metadata = {field.name: field.metadata for field in dataclasses.fields(spec)}
    for name, annotation in _annotations(type(spec)).items():
        value = getattr(spec, name)
        if metadata[name].get("described") != "by content":
            yield from _wrong(prefix + name, annotation, value)
        # What is described by its content is no spec: it may be a dataclass of another library,
        # whose annotations are its own affair.
        elif not _fits(value, annotation):
            yield _Wrong(prefix + name, annotation, value)


def _wrong(name: str, annotation: Any, value: Any) -> Iterator[_Wrong]:
    """The value itself, if its type is wrong as a whole, or what is wrong in it."""
    element = _element_type(annotation)
    if isinstance(value, tuple | list) and element is not None:
        for index, part in enumerate(value):
            yield from _wrong(f"{name}.{index}", element, part)
    elif not _fits(value, annotation):
        yield _Wrong(name, annotation, value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from _wrong_fields(value, f"{name}.")


def _element_type(annotation: Any) -> Any:
    """The type of the elements, for a tuple of any length; None for any other type."""
    for kind in _alternatives(annotation):
        if typing.get_origin(kind) is tuple and typing.get_args(kind)[1:] == (...,):
            return typing.get_args(kind)[0]
    return None


def _takes_tuple(annotation: Any) -> bool:
    return any(tuple in (kind, typing.get_origin(kind)) for kind in _alternatives(annotation))


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, or the type alone."""
    is_union = typing.get_origin(annotation) in _UNIONS
    return typing.get_args(annotation) if is_union else (annotation,)


def _fits(value: Any, annotation: Any) -> bool:
    """Whether a value has this type; types that cannot be checked fit everything."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any:
        return True
    if origin in _UNIONS:
        return any(_fits(value, kind) for kind in inner)
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in inner)
    if annotation in (int, float):
        return _is_of_kind(value, "iu" if annotation is int else "iuf")
    if annotation is bool:
        return _is_of_kind(value, "b")
    if origin is tuple:
        return _fits_tuple(value, inner)
    if origin is not None and issubclass(origin, Mapping):
        return isinstance(value, origin) and all(
            _fits(key, inner[0]) and _fits(entry, inner[1]) for key, entry in value.items()
        )
    if Callable in (annotation, origin):
        return callable(value)
    return not isinstance(annotation, type) or isinstance(value, annotation)


def _fits_tuple(value: Any, inner: tuple[Any, ...]) -> bool:
    if not isinstance(value, tuple | list):
        return False
    if inner[1:] == (...,):
        return all(_fits(part, inner[0]) for part in value)
    return len(value) == len(inner) and all(map(_fits, value, inner))


def _is_of_kind(value: Any, kinds: str) -> bool:
    """Whether a number, or an array of numbers, is of one of NumPy's kinds of dtype."""
    for kind, plain in ("b", bool), ("i", int), ("f", float):
        if isinstance(value, plain):
            return kind in kinds
    if hasattr(value, "__jax_array__"):  # a variable of Flax, whose dtype is not known yet
        return True
    dtype = getattr(value, "dtype", None)
    # The kind of bfloat16 is "V".
    return dtype is not None and dtype.kind in (kinds + "V" if "f" in kinds else kinds)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _words(annotation: Any) -> str:
    """A type in words: what belongs there."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in _UNIONS:
        return " or ".join(dict.fromkeys(map(_words, inner)))
    if origin is Literal:
        return " or ".join(map(repr, inner))
    if origin is tuple and inner[1:] == (...,):
        return f"a tuple of {_plural(inner[0])}"
    if origin is tuple:
        return f"a tuple of {' and '.join(map(_words, inner))}"
    if origin is not None and issubclass(origin, Mapping):
        return f"a dict from {_plural(inner[0])} to {_plural(inner[1])}"
    if Callable in (annotation, origin):
        return "a function"
    if annotation in _WORDS:
        return _WORDS[annotation]
    name = getattr(annotation, "__name__", str(annotation))
    return f"{'an' if name[0] in 'AEIO' else 'a'} {name}"


def _plural(annotation: Any) -> str:
    words = {float: "numbers", int: "whole numbers", str: "texts"}
    return words.get(annotation) or _words(annotation).removeprefix("a ").removeprefix("an ")


def _shown(value: Any) -> str:
    """A value in a message: short, and with its type where its text does not tell it."""
    if inspect.isclass(value):
        return f"the class {value.__name__}"
    text, kind = " ".join(repr(value).split()), type(value)
    text = text if len(text) <= 60 else f"{text[:57]}…"
    tells = kind.__module__ == "builtins" or kind.__name__ in text
    return text if tells else f"{text}, a {kind.__name__}"


def _specs(kind: Any) -> list[str]:
    """The calls that make a value of this type: those of its dataclasses, at most twelve."""
    below, found = [kind] if isinstance(kind, type) else [], []
    while below:
        cls = below.pop()
        below += cls.__subclasses__()
        if dataclasses.is_dataclass(cls) and (cls is not kind or not cls.__subclasses__()):
            found.append(f"{cls.__name__}(…)")
    return sorted(found)[:_MOST_SPECS]
