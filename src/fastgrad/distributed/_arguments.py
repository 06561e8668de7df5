"""The arguments of a call some of which are Dask arrays: what is the same in all tasks, and where their blocks go."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .._arguments import Layout
from .._backend import Value
from .._compiled import Compiled
from .._signature import Core, as_array
from .._structure import Structure
from . import _errors
from ._shipping import check_picklable, dask


class Template(NamedTuple):
    """A call without its blocks; it travels."""

    structures: tuple[Structure, ...]
    keywords: tuple[str, ...]
    leaves: list[Any]  # something is put into the places
    statics: list[Any]
    places: list[int]

    def filled(self, blocks: Iterable[Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments, by position and by name."""
        leaves = list(self.leaves)
        for place, block in zip(self.places, blocks, strict=True):
            leaves[place] = block
        rest, fixed = iter(leaves), iter(self.statics)
        values = [structure.build(rest, fixed) for structure in self.structures]
        count = len(values) - len(self.keywords)
        return values[:count], dict(zip(self.keywords, values[count:], strict=True))


class Spread(NamedTuple):
    """The arguments on the sender's side."""

    layout: Layout
    template: Template
    arrays: list[Any]  # Dask's, in the order of the template's places

    @property
    def names(self) -> list[str]:
        return [self.layout.leaf_names[place] for place in self.template.places]

    @property
    def cores(self) -> list[Core]:
        return [self.layout.cores[place] for place in self.template.places]

    def empty(self) -> tuple[list[Any], dict[str, Any]]:
        """The arguments with nothing in the place of the Dask arrays' rows."""
        blocks = []
        for name, core, array in zip(self.names, self.cores, self.arrays, strict=True):
            shape = array.shape[array.ndim - len(core) :]
            if any(map(math.isnan, shape)):
                raise _errors.unknown_size(name, array.shape)
            blocks.append(np.ones((0,) * (array.ndim - len(core)) + shape))
        return self.template.filled(blocks)


def check_compiled(where: str, f: Any) -> None:
    if not isinstance(f, Compiled):
        raise _errors.not_compiled(where, f)


def spread(where: str, f: Any, args: Sequence[Any], kwargs: dict[str, Any], more: bool = False) -> Spread:
    """Find the Dask arrays in a call, and check their core dimensions; ``more`` also takes NumPy arrays with rows."""
    array_type = dask("dask.array").Array
    check_compiled(where, f)
    layout, parts = f.take_apart(args, kwargs)
    places = [i for i, leaf in enumerate(parts.leaves) if isinstance(leaf, array_type)]
    if not places:
        raise _errors.no_dask_array(where, f.__name__)
    if more:
        places = [i for i, leaf in enumerate(parts.leaves) if i in places or np.ndim(leaf) > len(layout.cores[i])]
    statics = iter(parts.statics)
    for name, structure in zip(layout.bound.names, layout.structures, strict=True):
        for _ in range(_statics_in(structure)):
            check_picklable(name, next(statics))
    for i, (name, leaf) in enumerate(zip(layout.leaf_names, parts.leaves, strict=True)):
        if i not in places and as_array(name, leaf, Value).dtype == object:
            raise _errors.values_as_argument(name)
    arrays = [parts.leaves[place] for place in places]
    leaves = [None if i in places else leaf for i, leaf in enumerate(parts.leaves)]
    template = Template(layout.structures, layout.bound.keywords, leaves, parts.statics, places)
    found = Spread(layout, template, arrays)
    for name, core, array in zip(found.names, found.cores, arrays, strict=True):
        check_array(name, core, array)
    return found


def _statics_in(structure: Structure) -> int:
    return structure.kind == "static" or sum(map(_statics_in, structure.children))


def check_array(name: str, core: Core, array: Any) -> None:
    if array.dtype.kind not in "biuf":
        raise _errors.wrong_dtype(name, array.dtype)
    if array.ndim < len(core):
        raise _errors.too_few_dimensions(name, array.shape, core)


def check_core_chunks(name: str, core: Sequence[object], array: Any) -> None:
    """Refuse core dimensions in several chunks."""
    first = array.ndim - len(core)
    cut = [axis for axis in range(first, array.ndim) if array.numblocks[axis] > 1]
    if cut:
        raise _errors.core_in_chunks(name, core, array.chunks[first:], cut)
