"""What a call gives: arguments by name as in Python, taken apart, and as arrays."""

from __future__ import annotations

import inspect
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from inspect import Parameter
from typing import Any, NamedTuple

from numpy.typing import NDArray

from . import _compile_errors as _errors
from ._backend import Value
from ._case import Case
from ._derivatives import Space
from ._paths import Subject
from ._questions import Argument
from ._signature import Core, Shape, Signature, sizes
from ._structure import LEAF, Parts, Structure, container, keep_static, take_apart
from ._tracing import Refill, Results

Static = int | str | Iterable[int | str]

_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


class Bound(NamedTuple):
    """Arguments in the order of the function's parameters; a column for each thing that is known of them."""

    names: tuple[str, ...]
    given: tuple[bool, ...]  # rather than a default
    optional: tuple[bool, ...]
    static: tuple[bool, ...]  # declared to be
    keywords: tuple[str, ...] = ()  # the last so many arguments are passed by keyword


class Binder:
    """The parameters of a Python function, and which of them are static."""

    def __init__(self, python: inspect.Signature, name: str, static: Iterable[int | str]) -> None:
        self._name = name
        self._signature = python
        self._parameters = dict(python.parameters)
        self._static = frozenset(self._static_name(which) for which in static)
        simple = all(p.kind in _POSITIONAL for p in self._parameters.values())
        rows = [(name, None, name) for name in self._parameters]
        self._usual = self._bound(rows, (), self._parameters) if simple else None

    def _static_name(self, which: int | str) -> str:
        usual = [p.name for p in self._parameters.values() if p.kind not in _VARIADIC]
        if isinstance(which, int) and which in range(len(usual)):
            return usual[which]
        others = any(p.kind is Parameter.VAR_KEYWORD for p in self._parameters.values())
        if isinstance(which, str) and (which in usual or others):
            return which
        raise _errors.unknown_static(self._name, which, usual)

    def bind(self, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Bound, Sequence[Any]]:
        """Give each parameter its argument, as a call in Python would."""
        if self._usual is not None and not kwargs and len(args) == len(self._usual.names):
            return self._usual, args
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise _errors.call_does_not_fit(self._name, error) from None
        given = set(bound.arguments)
        bound.apply_defaults()
        rows = list(self._rows(bound.arguments))
        return self._bound(rows, tuple(bound.kwargs), given), [value for _, value, _ in rows]

    def _rows(self, arguments: Mapping[str, Any]) -> Iterator[tuple[str, Any, str]]:
        """The name and value of each argument, and the parameter that it belongs to."""
        for parameter, value in arguments.items():
            kind = self._parameters[parameter].kind
            if kind is Parameter.VAR_POSITIONAL:
                yield from ((f"{parameter}[{i}]", item, parameter) for i, item in enumerate(value))
            elif kind is Parameter.VAR_KEYWORD:
                yield from ((name, item, parameter) for name, item in value.items())
            else:
                yield parameter, value, parameter

    def _bound(self, rows: list[tuple[str, Any, str]], keywords: tuple[str, ...], given: Container[str]) -> Bound:
        return Bound(
            tuple(name for name, _, _ in rows),
            tuple(parameter in given for _, _, parameter in rows),
            tuple(_is_optional(self._parameters[parameter]) for _, _, parameter in rows),
            tuple(name in self._static for name, _, _ in rows),
            keywords,
        )


def _is_optional(parameter: Parameter) -> bool:
    """Whether a signature need not name it."""
    by_name = parameter.kind in (Parameter.KEYWORD_ONLY, Parameter.VAR_KEYWORD)
    return by_name or parameter.default is not Parameter.empty


# ---------------------------------------------------------------------------------------------------- layouts


class Layout:
    """Calls with the same arguments, structures and static values: what they have in common, and their cases."""

    def __init__(
        self,
        subject: Subject,
        signature: Signature | None,
        bound: Bound,
        structures: tuple[Structure, ...],
    ) -> None:
        self._subject = subject
        self._signature = signature
        self.bound = bound
        self.structures = structures
        self._cases: dict[tuple[Shape, ...], Case] = {}
        self.leaf_names: list[str] = []
        arguments: list[Argument] = []
        required = 0  # leaves that the signature has to name
        for name, structure, given, optional in zip(bound.names, structures, bound.given, bound.optional, strict=True):
            start = len(self.leaf_names)
            self.leaf_names += structure.names(name)
            arguments.append(Argument(name, structure, slice(start, len(self.leaf_names)), given))
            if not optional:
                required = len(self.leaf_names)
        self.arguments = tuple(arguments)
        self.cores = self._assign_cores(required)
        self._scalars = None if any(self.cores) else ((),) * len(self.cores)
        self._positional = (
            all(structure == LEAF for structure in structures) and not bound.keywords and all(bound.given)
        )

    def _assign_cores(self, required: int) -> tuple[Core, ...]:
        count = len(self.leaf_names)
        if self._signature is None:
            return ((),) * count
        cores = self._signature.inputs
        if not required <= len(cores) <= count:
            static = [a.name for a in self.arguments if a.leaves.start == a.leaves.stop]
            raise _errors.signature_count(self._subject.name, self._signature.text, len(cores), self.leaf_names, static)
        return cores + ((),) * (count - len(cores))

    def case(self, arrays: Sequence[NDArray[Any]]) -> Case:
        """Return the case with these core shapes."""
        if self._scalars is not None:
            return self.case_of(self._scalars)
        shapes: list[Shape] = []
        for name, core, array in zip(self.leaf_names, self.cores, arrays, strict=True):
            if array.ndim < len(core):
                raise _errors.core_dimensions(name, core, array.shape)
            shapes.append(array.shape[array.ndim - len(core) :])
        return self.case_of(tuple(shapes))

    def case_of(self, shapes: tuple[Shape, ...]) -> Case:
        case = self._cases.get(shapes)
        return self._cases.setdefault(shapes, self._new_case(shapes)) if case is None else case

    def _new_case(self, shapes: tuple[Shape, ...]) -> Case:
        found = sizes(self.leaf_names, self.cores, shapes)
        outputs = None if self._signature is None else self._signature.outputs
        results = Results(self._subject.name, outputs, found)
        return Case(self._subject, self.arguments, Space(LEAF, shapes), results, self._positional)

    @property
    def cases(self) -> list[Case]:
        return list(self._cases.values())

    def refill(self, statics: Sequence[Any]) -> Refill:
        """Return what calls the function with given leaves in the places of the arguments'."""

        def call(leaves: Sequence[Any]) -> Any:
            rest, fixed = iter(leaves), iter(statics)
            values = [structure.build(rest, fixed) for structure in self.structures]
            count = len(values) - len(self.bound.keywords)
            assert self._subject.function is not None
            return self._subject.function(
                *values[:count], **dict(zip(self.bound.keywords, values[count:], strict=True))
            )

        return call


def take_arguments_apart(bound: Bound, values: Sequence[Any], parts: Parts) -> tuple[Structure, ...]:
    """Return the structure of each argument, and append its leaves to the parts."""
    return tuple(
        [
            keep_static(name, value, parts) if static else take_apart(name, value, Value, parts)
            for name, value, static in zip(bound.names, values, bound.static, strict=True)
        ]
    )


# ------------------------------------------------------------------------------------- derivatives, and outputs


def matched(name: str, structure: Structure, given: Any) -> list[Any]:
    """Return the leaves of something that must have a known structure."""
    leaves: list[Any] = []
    _match(name, structure, given, leaves)
    return leaves


def _match(name: str, structure: Structure, given: Any, leaves: list[Any]) -> None:
    if structure.kind == "leaf":
        leaves.append(given)
    elif structure.kind != "static":
        kind: Any = type(given)
        opened = container(kind)
        keys, items = opened(given) if opened else ((), ())
        parts = dict(zip(keys, items, strict=True))
        if not opened or len(parts) != len(structure.children):
            raise _errors.wrong_structure(name, str(structure), given)
        for key, child in zip(structure.keys, structure.children, strict=True):
            if key not in parts:
                raise _errors.wrong_structure(name, str(structure), given)
            _match(f"{name}[{key!r}]", child, parts[key], leaves)
