"""A compiled function as another library's automatic differentiation wants to see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _compile_errors as _errors
from ._compiled import Compiled
from ._derived import Derivative
from ._signature import Core, Shape
from .functions import FUNCTIONS

Floats = NDArray[np.float64]


class Results(NamedTuple):
    """What a function returns: the core shapes, and whether it is a tuple."""

    cores: tuple[Shape, ...]
    several: bool


class Bridged:
    """A function of arrays that returns a list of arrays, and its pullbacks, which are such functions again."""

    def __init__(self, f: Any) -> None:
        if not callable(f):
            raise _errors.not_callable(f)
        self.f = f if isinstance(f, Compiled) else Compiled(f)
        self._results: dict[tuple[Shape, ...], Results] = {}
        self._pullbacks: dict[tuple[tuple[int, ...], tuple[Shape, ...]], Bridged] = {}
        self._sums: dict[tuple[Shape, ...], Compiled] = {}
        self.cached: dict[str, Any] = {}  # what a library keeps here

    @property
    def name(self) -> str:
        return self.f.__name__

    def _core(self, i: int) -> Core:
        inputs = () if self.f.gufunc is None else self.f.gufunc.inputs
        return inputs[i] if i < len(inputs) else ()

    def split(self, shapes: Sequence[Shape]) -> tuple[tuple[Shape, ...], tuple[Shape, ...]]:
        """Return the batch dimensions of each argument, and its core dimensions."""
        batches, cores = [], []
        for i, shape in enumerate(map(tuple, shapes)):
            core = self._core(i)
            if len(shape) < len(core):
                raise _errors.core_dimensions(f"{self.name}: argument {i}", core, shape)
            batches.append(shape[: len(shape) - len(core)])
            cores.append(shape[len(shape) - len(core) :])
        return tuple(batches), tuple(cores)

    def aligned(self, shapes: Sequence[Shape]) -> tuple[list[Shape], tuple[Shape, ...]]:
        """Return shapes with as many batch dimensions for all, so that vmap can put one in front of each; and cores."""
        batches, cores = self.split(shapes)
        rank = max(map(len, batches), default=0)
        return [(1,) * (rank - len(b)) + b + c for b, c in zip(batches, cores, strict=True)], cores

    def results(self, cores: tuple[Shape, ...]) -> Results:
        """Return what the function gives for such arguments: by a batch that has no rows."""
        found = self._results.get(cores)
        if found is None:
            nothing = self.f(*(np.zeros((0, *core)) for core in cores))
            several = isinstance(nothing, tuple)
            parts = nothing if several else (nothing,)
            for part in parts:
                if not isinstance(part, np.ndarray):
                    raise TypeError(
                        f"{self.name}: expected a function that returns one number or array, or a tuple of them; got a "
                        f"{type(part).__name__} in its result"
                    )
            found = self._results[cores] = Results(tuple(part.shape[1:] for part in parts), several)
        return found

    def __call__(self, arrays: Sequence[Floats]) -> list[Floats]:
        """Compute all results."""
        found = self.f(*arrays)
        return [np.asarray(part) for part in (found if isinstance(found, tuple) else (found,))]

    # ----------------------------------------------------------------------------------------------------- derivatives

    def pullback(self, wanted: tuple[int, ...], cores: tuple[Shape, ...]) -> Bridged:
        """Return the function of arguments and cotangents that computes the gradients to some arguments, by rows."""
        results, count = self.results(cores), len(cores)

        def pulled(*leaves: Any) -> Any:
            given = leaves[count:] if results.several else leaves[count]
            return self.f.vjp(*leaves[:count], given, argnums=wanted)

        if (wanted, cores) not in self._pullbacks:
            self._pullbacks[wanted, cores] = Bridged(_named(pulled, self, cores, results))
        return self._pullbacks[wanted, cores]

    def _weighted(self, cores: tuple[Shape, ...]) -> Compiled:
        """The sum of all results times cotangents, a function of arguments and cotangents."""
        results, count = self.results(cores), len(cores)

        def weighted(*leaves: Any) -> Any:
            found = self.f(*leaves[:count])
            parts = zip(found if results.several else (found,), leaves[count:], strict=True)
            pairs = [pair for part, weights in parts for pair in zip(np.ravel(part), np.ravel(weights), strict=True)]
            return FUNCTIONS["dot"](*map(list, zip(*pairs, strict=True)))

        if cores not in self._sums:
            self._sums[cores] = _named(weighted, self, cores, results)
        return self._sums[cores]

    def pull(self, arrays: Sequence[Floats], cotangents: Sequence[Floats], wanted: tuple[int, ...]) -> list[Floats]:
        """Return the gradients to some arguments, each in the shape of its argument.

        Those to arguments without a batch, such as parameters, are summed while they are computed; there is no array of
        one gradient for each row.
        """
        batches, cores = self.split([array.shape for array in arrays])
        results = self.results(cores)
        shared = tuple(i for i in wanted if np.prod(batches[i], dtype=int) == 1)
        others = tuple(i for i in wanted if i not in shared)
        found: dict[int, Floats] = {}
        if shared:
            _, sums = self._weighted(cores).sum_grad(*arrays, *cotangents, argnums=shared)
            found |= zip(shared, map(np.asarray, sums), strict=True)
        if others:
            given = tuple(cotangents) if results.several else cotangents[0]
            found |= zip(others, self.f.vjp(*arrays, given, argnums=others), strict=True)
        return [_summed_to(found[i], arrays[i].shape) for i in wanted]


def _named(function: Callable[..., Any], of: Bridged, cores: tuple[Shape, ...], results: Results) -> Compiled:
    """Compile a function of arguments and cotangents."""
    function.__name__ = f"{of.name}.{function.__name__}"
    inputs = (f"({','.join(map(str, core))})" for core in (*cores, *results.cores))
    return Compiled(function, ",".join(inputs), fastmath=of.f.subject.fastmath)


def _summed_to(array: Floats, shape: Shape) -> Floats:
    """Add up the dimensions that broadcasting has added."""
    if array.shape == shape:
        return array
    extra = array.ndim - len(shape)
    axes = tuple(i for i, n in enumerate(array.shape) if i < extra or (n != 1 and shape[i - extra] == 1))
    total: Floats = array.sum(axis=axes).reshape(shape)
    return total


def wrong_argument(name: str, position: int, expected: str, got: object, bridge: str) -> TypeError:
    return TypeError(
        f"{name}: argument {position}: expected {expected} of real numbers, or a number, got {got}; fix other "
        f"arguments in a function of your own before {bridge}"
    )


def compiled_of(f: Any, signature: str | None) -> Any:
    """The function itself if it is compiled or a derivative, or compiled by this signature."""
    if isinstance(f, (Compiled, Derivative)) and signature is None:
        return f
    return Compiled(f, signature)
