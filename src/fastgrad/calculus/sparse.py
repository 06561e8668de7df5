"""Which derivatives can be other than zero, and Jacobians and Hessians computed with few sweeps because of it.

Columns of a Jacobian that have no row in common can be computed together: one sweep along the sum of their directions
gives both, and the pattern says which number belongs to which [1]_. To find few such groups is to colour a graph.

.. [1] A. R. Curtis, M. J. D. Powell and J. K. Reid, "On the estimation of sparse Jacobian matrices", IMA Journal of
   Applied Mathematics 13, 1974.
.. [2] T. F. Coleman and J. J. Moré, "Estimation of sparse Hessian matrices and graph coloring problems", Mathematical
   Programming 28, 1984.
.. [3] A. H. Gebremedhin, F. Manne and A. Pothen, "What color is your Jacobian? Graph coloring for computing
   derivatives", SIAM Review 47(4), 2005: algorithm 4.1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from importlib import import_module
from operator import or_
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._compiled import Compiled
from .._paths import Path
from .._rules import BY_NAME, OPCODES, REDUCTIONS, Reduction, Row
from . import _errors
from ._functions import Flat, checked, name_of, required
from ._recorded import recorded

Floats = np.ndarray[Any, np.dtype[np.float64]]  # not NDArray: in NumPy 2.5 that is no type at run time
Integers = np.ndarray[Any, np.dtype[np.intp]]


class Sparsity(NamedTuple):
    """Where a matrix of derivatives can be other than zero.

    Attributes
    ----------
    shape : tuple of int
        Results and inputs; of second derivatives inputs and inputs.
    rows : ndarray of int
        The row of each place, from the first row to the last.
    columns : ndarray of int
        The column of each.
    """

    shape: tuple[int, int]
    rows: Integers
    columns: Integers

    def toarray(self) -> NDArray[np.bool_]:
        """Return a dense array of bools."""
        dense = np.zeros(self.shape, bool)
        dense[self.rows, self.columns] = True
        return dense

    def tocsr(self, data: Floats | None = None) -> Any:
        """Return a ``scipy.sparse.csr_array``: of these numbers, in the order of the places, or of bools."""
        entries = np.ones(len(self.rows), bool) if data is None else data
        return _scipy_sparse().csr_array((entries, (self.rows, self.columns)), shape=self.shape)

    def __str__(self) -> str:
        return "\n".join(" ".join("x" if entry else "." for entry in row) for row in self.toarray())

    def by_row(self) -> list[list[int]]:
        """The columns of each row."""
        ends = np.searchsorted(self.rows, np.arange(1, self.shape[0]))
        return [part.tolist() for part in np.split(self.columns, ends)] if self.shape[0] else []

    def by_column(self) -> list[list[int]]:
        """The rows of each column."""
        order = np.lexsort((self.rows, self.columns))
        transposed = Sparsity((self.shape[1], self.shape[0]), self.columns[order], self.rows[order])
        return transposed.by_row()


def _scipy_sparse() -> Any:
    try:
        return import_module("scipy.sparse")
    except ImportError as error:
        raise _errors.no_scipy(error) from error


# --------------------------------------------------------------------------------------------------------- patterns

_NAMES = {code: name for name, code in OPCODES.items()}
_TABLE: tuple[Row | Reduction, ...] = (*BY_NAME.values(), *REDUCTIONS)
_PASSES = {row.name: [text != "0.0" for text in row.partial_texts] for row in _TABLE}


def _pattern(program: Any, outputs: Sequence[int], inputs: int) -> Sparsity:
    """Which outputs depend on which of the first inputs, by the operations in between whose partials are not 0.

    A set of inputs is the bits of an int.
    """
    pool = program.pool.tolist()
    found: list[int] = []
    for op, _, a, b, c, _ in program.nodes.tolist():
        name = _NAMES[op]
        if name == "leaf":
            found.append(1 << a if a < inputs else 0)
        elif name == "const":
            found.append(0)
        elif name in BY_NAME:
            passing = zip(_PASSES[name], (a, b, c), strict=False)
            found.append(reduce(or_, [found[k] for passes, k in passing if passes], 0))
        else:  # of any number of operands; the first of take is an index
            found.append(reduce(or_, [found[k] for k in pool[a + (name not in _PASSES) : a + b]], 0))
    columns = [_bits(found[node]) for node in outputs]
    rows = np.repeat(np.arange(len(columns)), [len(row) for row in columns])
    flat = np.array([column for row in columns for column in row], np.intp)
    return Sparsity((len(columns), inputs), rows, flat)


def _bits(number: int) -> list[int]:
    text = np.frombuffer(number.to_bytes((number.bit_length() + 7) // 8, "little"), np.uint8)
    found: list[int] = np.flatnonzero(np.unpackbits(text, bitorder="little")).tolist()
    return found


def _jacobian_pattern(path: Path, inputs: int) -> Sparsity:
    return _pattern(path.program, path.recording.outputs.tolist(), inputs)


def _hessian_pattern(path: Path, inputs: int) -> Sparsity:
    """Which entries of the gradient depend on which inputs: the gradient is a program as well."""
    gradient = path.program.reverse([0], range(inputs))
    directed = _pattern(gradient, gradient.outputs.tolist(), inputs)
    places = [directed.rows * inputs + directed.columns, directed.columns * inputs + directed.rows]
    rows, columns = np.divmod(np.unique(np.concatenate(places)), max(inputs, 1))
    return Sparsity((inputs, inputs), rows, columns)


def sparsity(f: Callable[..., Any], x: Any = None, *, order: int = 1) -> Sparsity:
    """Find which derivatives of a function can be other than zero, from its recording.

    Parameters
    ----------
    f : callable
        A function, made of fastgrad's operations and functions.
    x : int, array, tuple or mapping, optional
        How many numbers there are in the one vector that f takes; or a point, as for `differential`, if f branches:
        the pattern is that of the branch taken there. Without it f takes numbers, and the point is all ones.
    order : {1, 2}
        First derivatives of all results, or second derivatives of the one result.

    Returns
    -------
    Sparsity
        The places, with ``toarray()`` and ``tocsr()``. What is not among them is exactly 0, for all numbers that take
        the same branches; what is may happen to be 0 all the same.

    Raises
    ------
    TypeError
        If f is no function, or for second derivatives has other results than one number.

    Examples
    --------
    >>> import fastgrad as fg
    >>> print(fg.sparsity(lambda a, b, c: (a * b, c, b + fg.exp(c))))
    x x .
    . . x
    . x x
    >>> print(fg.sparsity(lambda x: fg.sum([x[i] * x[i + 1] for i in range(3)]), 4, order=2))
    . x . .
    x . x .
    . x . x
    . . x .
    """
    if order not in (1, 2):
        raise _errors.bad_sparsity_order(order)
    function = _Recorded("sparsity", f, _point(f, x))
    path = function.path(function.flat.numbers)
    if order == 1:
        return _jacobian_pattern(path, len(function.flat.numbers))
    function.flat.check_returns_number()
    return _hessian_pattern(path, len(function.flat.numbers))


def _point(f: Any, x: Any) -> Any:
    if x is None:
        return (1.0,) * len(required(checked("sparsity", f)))
    if isinstance(x, int) and not isinstance(x, bool):
        return (np.ones(x),)
    return x


class _Recorded:
    """A function of a row of numbers, compiled."""

    def __init__(self, where: str, f: Any, x: Any) -> None:
        self.flat = Flat(where, f, x)
        flat = self.flat  # of this point's structure
        self.compiled = Compiled(flat.results, "(n)->(m)")
        self.scalar = Compiled(lambda row: flat.results(row)[0], "(n)->()")

    def path(self, numbers: Sequence[float]) -> Path:
        return recorded(self.compiled, np.asarray(numbers, float))[0]


# --------------------------------------------------------------------------------------------------------- colourings


def column_colours(pattern: Sparsity) -> Integers:
    """Colour columns so that two of one colour have no row in common, greedily, those with most entries first [1]_."""
    return _distinct(pattern.by_row(), pattern.by_column())


def row_colours(pattern: Sparsity) -> Integers:
    """The same for rows."""
    return _distinct(pattern.by_column(), pattern.by_row())


def _distinct(members: list[list[int]], groups: list[list[int]]) -> Integers:
    """Colour things, which are each in some groups, so that no two in a group have the same colour."""
    used: list[set[int]] = [set() for _ in members]  # the colours in each group
    colours = np.zeros(len(groups), np.intp)
    for thing in sorted(range(len(groups)), key=lambda i: -len(groups[i])):
        forbidden = set().union(*(used[group] for group in groups[thing]))
        colours[thing] = colour = _smallest(forbidden)
        for group in groups[thing]:
            used[group].add(colour)
    return colours


def _smallest(forbidden: set[int]) -> int:
    colour = 0
    while colour in forbidden:
        colour += 1
    return colour


def star_colours(pattern: Sparsity) -> Integers:
    """Colour the columns of a symmetric matrix so that no path of four columns has only two colours [2]_, [3]_.

    Then each entry, or the one across the diagonal, is alone in its row among the columns of some colour.
    """
    neighbours = [[w for w in row if w != v] for v, row in enumerate(pattern.by_row())]
    colours = np.full(pattern.shape[0], -1, np.intp)
    for v in sorted(range(len(neighbours)), key=lambda v: -len(neighbours[v])):
        forbidden = set()
        for w in neighbours[v]:
            if colours[w] >= 0:
                forbidden.add(int(colours[w]))
            for x in neighbours[w]:
                if x == v or colours[x] < 0:
                    continue
                if colours[w] < 0 or any(y != w and colours[y] == colours[w] for y in neighbours[x]):
                    forbidden.add(int(colours[x]))
        colours[v] = _smallest(forbidden)
    return colours


def _seeds(colours: Integers) -> Floats:
    """For each colour the sum of the directions that have it."""
    return np.equal.outer(np.arange(colours.max(initial=-1) + 1), colours).astype(float)


# ---------------------------------------------------------------------------------------------- sparse derivatives


class _Plan(NamedTuple):
    """How the derivatives on one path are computed."""

    pattern: Sparsity
    colours: Integers
    by_rows: bool = False


class SparseDerivative:
    """A function that computes a sparse matrix of derivatives; `sparse_jacobian` and `sparse_hessian` make it.

    Attributes
    ----------
    sweeps : int
        How many sweeps the latest call took; a dense matrix takes one for each column, or for each row.
    pattern : Sparsity
        The pattern on the path that it took.
    """

    def __init__(self, where: str, f: Callable[..., Any]) -> None:
        self._where = where
        self._f = checked(where, f)
        self._functions: dict[Any, _Recorded] = {}  # by structure of the point
        self._plans: dict[Path, _Plan] = {}
        self._latest: _Plan | None = None

    def __call__(self, *x: Any) -> Any:
        """Compute the matrix at a point: the arguments of f, numbers or arrays.

        Returns
        -------
        scipy.sparse.csr_array
            A row for each result, a column for each number in the arguments.
        """
        _scipy_sparse()  # before all else: without it nothing comes of this
        point = Flat(self._where, self._f, x)
        if point.structure not in self._functions:
            self._functions[point.structure] = _Recorded(self._where, self._f, x)
        function = self._functions[point.structure]
        numbers = np.array(point.numbers)
        path = function.path(point.numbers)
        if path not in self._plans:
            self._plans[path] = self._planned(function, path, len(numbers))
        self._latest = self._plans[path]
        return self._latest.pattern.tocsr(self._entries(function, self._latest, numbers))

    def _planned(self, function: _Recorded, path: Path, inputs: int) -> _Plan:
        raise NotImplementedError

    def _entries(self, function: _Recorded, plan: _Plan, numbers: Floats) -> Floats:
        raise NotImplementedError

    @property
    def sweeps(self) -> int:
        return 0 if self._latest is None else int(self._latest.colours.max(initial=-1)) + 1

    @property
    def pattern(self) -> Sparsity | None:
        return None if self._latest is None else self._latest.pattern

    def __repr__(self) -> str:
        if self._latest is None:
            return f"<fg.calculus.{self._where}({name_of(self._f)})>"
        rows, columns = self._latest.pattern.shape
        entries = len(self._latest.pattern.rows)
        size = f"{rows} x {columns}, {entries} entries, {self.sweeps} sweeps"
        return f"<fg.calculus.{self._where}({name_of(self._f)}): {size}>"


class _SparseJacobian(SparseDerivative):
    def _planned(self, function: _Recorded, path: Path, inputs: int) -> _Plan:
        pattern = _jacobian_pattern(path, inputs)
        forward, reverse = column_colours(pattern), row_colours(pattern)
        if reverse.max(initial=-1) < forward.max(initial=-1):
            return _Plan(pattern, reverse, by_rows=True)
        return _Plan(pattern, forward)

    def _entries(self, function: _Recorded, plan: _Plan, numbers: Floats) -> Floats:
        rows, columns = plan.pattern.rows, plan.pattern.columns
        sweep = function.compiled.vjp if plan.by_rows else function.compiled.jvp
        swept = sweep(numbers, _seeds(plan.colours))
        found: Floats = swept[plan.colours[rows], columns] if plan.by_rows else swept[plan.colours[columns], rows]
        return found


class _SparseHessian(SparseDerivative):
    def _planned(self, function: _Recorded, path: Path, inputs: int) -> _Plan:
        function.flat.check_returns_number()
        pattern = _hessian_pattern(path, inputs)
        return _Plan(pattern, star_colours(pattern))

    def _entries(self, function: _Recorded, plan: _Plan, numbers: Floats) -> Floats:
        rows, columns, colours = plan.pattern.rows, plan.pattern.columns, plan.colours
        seeds = _seeds(colours)
        swept = function.scalar.hvp(numbers, seeds)
        counts = np.zeros((plan.pattern.shape[0], len(seeds)), int)  # of a colour in a row
        np.add.at(counts, (rows, colours[columns]), 1)
        alone = counts[rows, colours[columns]] == 1
        found: Floats = np.where(alone, swept[colours[columns], rows], swept[colours[rows], columns])
        return found


def sparse_jacobian(f: Callable[..., Any]) -> SparseDerivative:
    """Return the function that computes the Jacobian as a sparse matrix, with few sweeps.

    Columns without a row in common are computed together in one forward sweep, or rows without a column in common in
    one reverse sweep, whatever takes fewer; all sweeps are one call of a compiled program.

    Parameters
    ----------
    f : callable
        A function of one vector or of numbers, with a list, tuple or array as its result, made of fastgrad's
        operations and functions.

    Returns
    -------
    SparseDerivative
        Called with the arguments of f it returns a ``scipy.sparse.csr_array``, whose pattern is that of the branches
        taken. It counts ``sweeps``.

    Raises
    ------
    ImportError
        When it is called, if SciPy is not installed.

    Examples
    --------
    >>> import fastgrad as fg
    >>> import numpy as np
    >>> def differences(x):
    ...     return [x[i] ** 2 - x[i + 1] for i in range(len(x) - 1)]
    >>> jacobian = fg.calculus.sparse_jacobian(differences)
    >>> matrix = jacobian(np.arange(1000.0))
    >>> matrix.shape, matrix.nnz, jacobian.sweeps
    ((999, 1000), 1998, 2)
    """
    return _SparseJacobian("sparse_jacobian", f)


def sparse_hessian(f: Callable[..., Any]) -> SparseDerivative:
    """Return the function that computes the matrix of second derivatives as a sparse matrix, with few sweeps.

    Parameters
    ----------
    f : callable
        A function of one vector or of numbers, with one number as its result, made of fastgrad's operations and
        functions.

    Returns
    -------
    SparseDerivative
        Called with the arguments of f it returns a ``scipy.sparse.csr_array``. Its columns are coloured so that by
        symmetry each entry can be read off (T. F. Coleman and J. J. Moré, 1984); each colour takes one product of the
        Hessian and a vector. It counts ``sweeps``.

    Raises
    ------
    ImportError
        When it is called, if SciPy is not installed.
    TypeError
        When it is called, if the result is no number.

    Examples
    --------
    >>> import fastgrad as fg
    >>> import numpy as np
    >>> def chain(x):
    ...     return fg.sum([(b - a**2) ** 2 for a, b in zip(x, x[1:])])
    >>> hessian = fg.calculus.sparse_hessian(chain)
    >>> matrix = hessian(np.ones(1000))
    >>> matrix.shape, matrix.nnz, hessian.sweeps
    ((1000, 1000), 2998, 3)
    """
    return _SparseHessian("sparse_hessian", f)
