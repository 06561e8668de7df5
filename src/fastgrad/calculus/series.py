"""Taylor coefficients: power series go through the recording of a function, by the rules of the table alone.

For an operation ``z = phi(x, y)`` on series in t the chain rule reads ``z' = p x' + q y'``, where p and q are the
partials that the table gives, in terms of x, y and z. Coefficient k of z follows from the coefficients below k of p and
q: so the partials are evaluated on series as well, one coefficient at a time, and only as far as they are needed. That
is how the recurrences for exp, sin, pow... are found in books; here none is written down. See A. Griewank and A.
Walther, *Evaluating Derivatives*, 2nd ed., SIAM 2008, chapter 13.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._derivatives import is_scalar
from .._functional import _compiled
from .._paths import Path
from .._rules import BY_NAME, OPCODES, REDUCTIONS, Reduction, Row
from . import _errors
from ._functions import a_number, name_of, of_one_number, whole
from ._recorded import recorded

_NAMES = {code: name for name, code in OPCODES.items()}
_TAKE = "take"
_ROWS: dict[str, Row | Reduction] = {**BY_NAME, **{row.name: row for row in REDUCTIONS}}


class _Undecided(Exception):
    """Two series with the same constant term were compared: what is greater changes there."""


class Series:
    """A power series in t, whose coefficients are computed when they are asked for, each once."""

    def __init__(self, constant: float, rule: Callable[[int], float]) -> None:
        self._found = [constant]
        self._rule = rule  # of the order, from 1 on

    def __getitem__(self, order: int) -> float:
        while len(self._found) <= order:
            self._found.append(self._rule(len(self._found)))
        return self._found[order]

    def __add__(self, other: Any) -> Series:
        series = as_series(other)
        return Series(self[0] + series[0], lambda k: self[k] + series[k])

    def __mul__(self, other: Any) -> Series:
        if not isinstance(other, Series):
            return Series(self[0] * other, lambda k: self[k] * other)
        return Series(self[0] * other[0], lambda k: sum([self[i] * other[k - i] for i in range(k + 1)]))

    def __neg__(self) -> Series:
        return self * -1.0

    def __sub__(self, other: Any) -> Series:
        return self + -as_series(other)

    def __rsub__(self, other: float) -> Series:
        return as_series(other) + -self

    __radd__ = __add__
    __rmul__ = __mul__
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self[0] == as_series(other)[0]

    def _apart(self, other: Any) -> float:
        """Which of the two is greater in the neighbourhood, by its sign."""
        difference = self[0] - as_series(other)[0]
        if difference == 0.0 and other is not self:
            raise _Undecided
        return difference

    def __lt__(self, other: Any) -> bool:
        return self._apart(other) < 0.0

    def __gt__(self, other: Any) -> bool:
        return self._apart(other) > 0.0

    __le__ = __lt__
    __ge__ = __gt__


def as_series(given: Any) -> Series:
    return given if isinstance(given, Series) else Series(float(given), lambda k: 0.0)


class Operations:
    """The operations of the table on series. The same operation on the same operands is done once.

    This is also what ends recursion: the partial of sin is cos, whose partial is again this sin.
    """

    def __init__(self) -> None:
        self._done: dict[tuple[Any, ...], Series] = {}
        self._names: dict[str, Any] = {name: self._by_name(name) for name in BY_NAME}

    def _by_name(self, name: str) -> Callable[..., Any]:
        def call(*operands: Any) -> Any:
            if not any(isinstance(operand, Series) for operand in operands):
                return BY_NAME[name].forward(*operands)
            return self.apply(name, operands, BY_NAME[name].forward(*map(_constant, operands)))

        return call

    def apply(self, name: str, operands: Sequence[Any], constant: float) -> Series:
        """The result of an operation, whose constant term is known."""
        key = (name, *(id(x) if isinstance(x, Series) else x for x in operands))
        if key not in self._done:
            self._done[key] = Applied(self, name, operands, constant)
        return self._done[key]

    def partials(self, name: str, operands: Sequence[Any], z: Series) -> list[Any]:
        """The partials of an operation, by its rule in the table, as series and numbers."""
        row = _ROWS[name]
        rule: Any = FunctionType(row.partials.__code__, self._names)  # the rule, on series in place of floats
        if isinstance(row, Row):
            if not row.domain(*map(_constant, operands)):
                raise _errors.no_series(
                    row.method, [_constant(x) for x in operands], f"its domain is {row.domain_text}"
                )
            return list(rule(*operands, z))
        n = len(operands) // len(row.operands)
        terms = zip(*[operands[i * n : (i + 1) * n] for i in range(len(row.operands))], strict=True)
        by_term = [rule(*term, z, float(n)) for term in terms]
        return [partial for column in zip(*by_term, strict=True) for partial in column]


def _constant(operand: Any) -> float:
    return float(operand[0] if isinstance(operand, Series) else operand)


class Applied(Series):
    """The result of an operation of the table."""

    def __init__(self, operations: Operations, name: str, operands: Sequence[Any], constant: float) -> None:
        super().__init__(constant, self._coefficient)
        self._operations = operations
        self._name = name
        self._operands = operands
        self._factors: list[tuple[Series, Series]] | None = None

    @property
    def factors(self) -> list[tuple[Series, Series]]:
        """Pairs of a partial and its operand, those that pass something on."""
        if self._factors is None:
            try:
                partials = self._operations.partials(self._name, self._operands, self)
            except _Undecided:
                at = [_constant(x) for x in self._operands]
                raise _errors.no_series(_ROWS[self._name].method, at, "it has a kink") from None
            self._factors = [
                (as_series(partial), operand)
                for partial, operand in zip(partials, self._operands, strict=True)
                if isinstance(operand, Series) and (isinstance(partial, Series) or partial != 0.0)
            ]
        return self._factors

    def _coefficient(self, k: int) -> float:
        return sum([p[i] * (k - i) * x[k - i] for p, x in self.factors for i in range(k)], 0.0) / k


# ------------------------------------------------------------------------------------------------------ expansion


def taylor(f: Callable[..., Any], x: Any, order: int) -> NDArray[np.float64]:
    """Compute the Taylor coefficients of a function of one number.

    Coefficient k is the k-th derivative divided by k!, so that ``f(x + t)`` is ``c[0] + c[1] t + c[2] t**2 + ...`` for
    small t. They are computed by power series that go through the recording of f, not by differences, and not by
    differentiating again and again: n coefficients take about n**2 times what f takes.

    Parameters
    ----------
    f : callable
        A function of one number with one number as its result, made of fastgrad's operations and functions.
    x : float or Value
        Where.
    order : int
        The last coefficient.

    Returns
    -------
    ndarray
        ``order + 1`` coefficients.

    Raises
    ------
    TypeError
        If f is no function of one number, or returns something else than one.
    ValueError
        If the order is negative; if f has no Taylor series at x: at a kink, or where a derivative is infinite. Where f
        branches, the series is that of the branch taken.

    Examples
    --------
    >>> import fastgrad as fg
    >>> fg.taylor(lambda x: 1.0 / (1.0 - x), 0.0, 4)
    array([1., 1., 1., 1., 1.])
    >>> fg.taylor(fg.sin, 0.0, 5) * [1, 1, 2, 6, 24, 120]  # the derivatives
    array([ 0.,  1.,  0., -1.,  0.,  1.])
    """
    function = _compiled(of_one_number("taylor", f, "hold the others: lambda x: f(x, 2.0)"), None)
    highest, at = whole("taylor", order, 0), a_number("taylor(x)", x)
    path, results = recorded(function, at)
    if not is_scalar(results):
        raise _errors.several_results("taylor", name_of(f), str(results))
    coefficients = _expand(path, [at, *(parameter.data for parameter in path.parameters)], highest)
    for k, coefficient in enumerate(coefficients):
        if not math.isfinite(coefficient):
            raise _errors.not_analytic(name_of(f), at, k, coefficient)
    return np.array(coefficients)


def _expand(path: Path, inputs: Sequence[float], order: int) -> list[float]:
    """The coefficients of the output, where the first input is its number and t."""
    result = as_series(_in_series(path.program, inputs)[path.program.outputs[0]])
    needed = _needed(result)
    for k in range(1, order + 1):  # operands first, so that nothing recurses deeply
        for series in needed:
            series[k]
    return [result[k] for k in range(order + 1)]


def _in_series(program: Any, inputs: Sequence[float]) -> list[Any]:
    """The nodes of a program as series; as numbers what does not depend on the first input."""
    numbers, pool, operations = _numbers(program, inputs), program.pool.tolist(), Operations()
    found: list[Any] = []
    for node, (op, _, a, b, c, _) in enumerate(program.nodes.tolist()):
        name = _NAMES[op]
        row = BY_NAME.get(name)
        places = (a, b, c)[: len(row.operands)] if row else pool[a : a + b] if name in _ROWS or name == _TAKE else []
        operands = [found[k] for k in places]
        if name == "leaf" and a == 0:
            found.append(Series(numbers[node], lambda k: float(k == 1)))
        elif name == _TAKE:
            found.append(operands[1 + int(numbers[places[0]])])
        elif any(isinstance(operand, Series) for operand in operands):
            found.append(operations.apply(name, operands, numbers[node]))
        else:
            found.append(numbers[node])
    return found


def _numbers(program: Any, inputs: Sequence[float]) -> list[float]:
    """The value of each node."""
    values = np.empty((1, program.size))
    code = program.with_outputs(np.arange(program.size)).code([False] * program.inputs)
    code.run([np.array([inputs])], [values])
    numbers: list[float] = values[0].tolist()
    return numbers


def _needed(result: Series) -> list[Series]:
    """The operations that the result depends on, operands before their users."""
    found: list[Series] = []
    seen: set[int] = set()
    stack = [(result, False)]
    while stack:
        series, is_done = stack.pop()
        if is_done:
            found.append(series)
        elif id(series) not in seen:
            seen.add(id(series))
            stack.append((series, True))
            if isinstance(series, Applied):
                stack += [(operand, False) for _, operand in series.factors]
    return found
