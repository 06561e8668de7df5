"""Arguments and results taken apart: into numbers and arrays, and a structure that says how they were put together.

A structure is a value: it can be hashed, compared, pickled, and composed with another one.
"""

from __future__ import annotations

import dataclasses
import enum
import numbers
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from . import _compile_errors as _errors


class Structure(NamedTuple):
    """A leaf, something static, or a container: its type, its keys or names, and what is in it."""

    kind: Any  # "leaf", "static", or the type of the container
    keys: tuple[Any, ...] = ()
    children: tuple[Structure, ...] = ()

    def compose(self, inner: Structure) -> Structure:
        """Return this structure with another one in the place of each leaf."""
        if self.kind == "leaf":
            return inner
        return self._replace(children=tuple(child.compose(inner) for child in self.children))

    def names(self, name: str = "") -> Iterator[str]:
        """What each leaf is called, in terms of the whole: ``name[0]['key'].field``."""
        if self.kind == "leaf":
            yield name
        for key, child in zip(self.keys, self.children, strict=False):
            yield from child.names(f"{name}.{key}" if _has_fields(self.kind) else f"{name}[{key!r}]")

    def build(self, leaves: Iterator[Any], statics: Iterator[Any] | None = None) -> Any:
        """Put the whole together again; what was static comes from ``statics``, or is None."""
        if self.kind == "leaf":
            return next(leaves)
        if self.kind == "static":
            return None if statics is None else next(statics)
        return _together(self, [child.build(leaves, statics) for child in self.children])

    def __str__(self) -> str:
        if not self.children:
            return {"leaf": "a number or array", "static": "something static"}.get(self.kind, f"an empty {self.kind}")
        return f"a {self.kind.__name__} of {', '.join(map(str, self.children))}"


LEAF = Structure("leaf")


def sequence(children: Iterable[Structure], kind: type = tuple) -> Structure:
    """Return the structure of a tuple (or list) of such parts."""
    children = tuple(children)
    return Structure(kind, tuple(range(len(children))), children)


@lru_cache(maxsize=1024)
def _has_fields(kind: Any) -> bool:
    return dataclasses.is_dataclass(kind) or (isinstance(kind, type) and hasattr(kind, "_fields"))


def _together(structure: Structure, parts: list[Any]) -> Any:
    kind = structure.kind
    if kind is tuple or kind is list:
        return kind(parts)
    if issubclass(kind, dict):
        return dict(zip(structure.keys, parts, strict=True))
    if issubclass(kind, tuple):
        return kind(*parts)
    made = object.__new__(kind)  # a dataclass: its fields as they were, whatever its __init__ does
    for name, part in zip(structure.keys, parts, strict=True):
        object.__setattr__(made, name, part)
    return made


Opened = tuple[tuple[Any, ...], Iterable[Any]]  # keys or names, and parts


@lru_cache(maxsize=1024)
def container(kind: type) -> Callable[[Any], Opened] | None:
    """Return what gives the keys and the parts of a container of this type; None if it is none."""
    if issubclass(kind, dict):
        return lambda whole: (tuple(whole), whole.values())
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return lambda whole: (whole._fields, whole)
    if kind is tuple or kind is list:
        return lambda whole: (tuple(range(len(whole))), whole)
    if dataclasses.is_dataclass(kind):
        fields = tuple(field.name for field in dataclasses.fields(kind))
        return lambda whole: (fields, [getattr(whole, name) for name in fields])
    return None


# -------------------------------------------------------------------------------------------------- arguments


class Parts(NamedTuple):
    """What was found in arguments."""

    leaves: list[Any]
    statics: list[Any]


@lru_cache(maxsize=1024)
def _is_traced(kind: type) -> bool:
    """Whether arguments of this type are numbers or arrays; a list is one, as in NumPy."""
    if issubclass(kind, (bool, str, bytes, enum.Enum)):
        return False
    return issubclass(kind, (numbers.Number, np.ndarray, np.generic, list)) or hasattr(kind, "__array__")


def take_apart(name: str, whole: Any, value_type: type, parts: Parts) -> Structure:
    """Append the leaves of an argument to the parts, and return its structure."""
    kind: Any = type(whole)
    if kind is float or kind is np.ndarray or isinstance(whole, value_type) or _is_traced(kind):
        parts.leaves.append(whole)
        return LEAF
    opened = container(kind)
    if opened is None:
        return keep_static(name, whole, parts)
    keys, items = opened(whole)
    inside = zip(keys, items, strict=True)
    return Structure(kind, keys, tuple(take_apart(f"{name}[{key!r}]", x, value_type, parts) for key, x in inside))


def keep_static(name: str, whole: Any, parts: Parts) -> Structure:
    """Append an argument to the static parts; its structure tells it from all that are not the same."""
    structure = Structure("static", (frozen(whole),))
    try:
        hash(structure)
    except TypeError as error:
        raise _errors.unhashable_static(name, whole) from error
    parts.statics.append(whole)
    return structure


def frozen(static: Any) -> Any:
    """Return what is equal only for the same: 1, 1.0 and True are equal in Python, and so are 0.0 and -0.0."""
    if isinstance(static, tuple):
        return (type(static), tuple(map(frozen, static)))
    return (type(static), static.hex() if isinstance(static, float) else static)


# ---------------------------------------------------------------------------------------------------- results


def take_result_apart(name: str, result: Any, value_type: type, leaves: list[Any]) -> Structure:
    """Append what a function returned to the leaves, Values, numbers and arrays of them, and return its structure."""
    kind: Any = type(result)
    if isinstance(result, (value_type, np.ndarray)) or _errors.is_real(result):
        leaves.append(result)
        return LEAF
    opened = container(kind)
    if opened is None:
        raise _errors.no_result(name, result)
    keys, items = opened(result)
    return Structure(kind, keys, tuple(take_result_apart(name, x, value_type, leaves) for x in items))
