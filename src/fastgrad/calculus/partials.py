"""Exact derivatives: of one variable, partial, total, and the differential."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import Parameter, Signature
from operator import index
from typing import Any

from .. import _errors as _engine_errors
from .._backend import Value
from .._compiled import Compiled
from .._derived import Derivative
from .._functional import _compiled, grad
from . import _errors
from ._functions import Flat, Function, checked, name_of, names_of, of_one_number, parameters_of, required, whole
from ._nodes import adjoints, find, graph_of, local_derivatives

# -------------------------------------------------------------------------------------------------- one variable


def derivative(f: Any, x: Any, order: int = 1) -> Any:
    """Compute the exact derivative of a function of one number.

    Parameters
    ----------
    f : callable or Value
        A function of one number with one number as its result, made of fastgrad's operations and functions; or a Value
        that has been computed.
    x : float, array, Value or str
        Where; for an array the derivative at each element. If ``f`` is a Value: a Value that it was computed from, or
        its label.
    order : int
        Which derivative: the first, the second... For high orders at one place `taylor` is faster.

    Returns
    -------
    float, ndarray, or Value
        As ``x`` is. If ``f`` is a Value a float: the derivative along all paths of the graph. No ``grad`` is changed.

    Raises
    ------
    TypeError
        If f is no function of one number, or returns something else than one.
    ValueError
        If the order is no whole number above 0; if x is not in the graph of a Value.

    Examples
    --------
    >>> import fastgrad as fg
    >>> fg.derivative(lambda x: 3 * x**2 - 4 * x + 5, 3.0)
    14.0
    >>> fg.derivative(fg.sin, [0.0, fg.Value(0.0).data], order=3)
    array([-1., -1.])
    >>> a, b = fg.Value(2.0, label="a"), fg.Value(-3.0)
    >>> fg.derivative(a * b + a, "a")
    -2.0
    """
    if isinstance(f, Value):
        nodes = graph_of(f)
        return adjoints(nodes)[find("derivative(x)", nodes, x)]
    function = of_one_number("derivative", f, "partial(f, wrt) is the derivative with respect to one of them")
    for _ in range(whole("derivative", order, 1)):
        function = grad(function, 0)
    return function(x)


# --------------------------------------------------------------------------------------------------------- partial


def partial(f: Any, wrt: Any) -> Any:
    """Return the partial derivative with respect to one argument: the others are held, whatever they may depend on.

    Parameters
    ----------
    f : callable or Value
        A function, made of fastgrad's operations and functions; or a Value that has been computed.
    wrt : str or int, or Value
        The argument, by name or position. If ``f`` is a Value: one of its operands, or the label of one.

    Returns
    -------
    callable or float
        The function of the same arguments that computes the derivative of each result; itself a function to take a
        partial derivative of. If ``f`` is a Value the local derivative, a float: with the other operands held, even if
        they depend on this one.

    Raises
    ------
    TypeError
        If f is no function, or one without arguments.
    ValueError
        If there is no such argument; if wrt is no operand of a Value.

    See Also
    --------
    total : with the dependencies.

    Examples
    --------
    >>> import fastgrad as fg
    >>> def d(a, b, c):
    ...     return a * b + a * c**2
    >>> fg.partial(d, "a")(2.0, 3.0, 5.0)  # b + c**2
    28.0
    >>> fg.partial(fg.partial(d, "a"), "c")(2.0, 3.0, 5.0)  # 2 c
    10.0
    >>> x = fg.Value(3.0)
    >>> y = 2.0 * x
    >>> z = x * y
    >>> fg.partial(z, x), fg.total(z, x)
    (6.0, 12.0)
    """
    if isinstance(f, Value):
        return _local(f, wrt)
    function = checked("partial", f)
    _argument("partial(wrt)", function, wrt)
    return Derivative(_compiled(function, None), "jacobian", wrt)


def _local(value: Value, wrt: Any) -> float:
    node = find("partial(wrt)", graph_of(value), wrt)
    found = local_derivatives(value)
    if node not in found:
        raise _errors.not_an_operand(wrt, value, value._op)
    return found[node]


def _argument(what: str, f: Function, wrt: Any) -> str:
    """The name of an argument, which is given by name or position."""
    names = names_of(f)
    if len(names) < len(parameters_of(f)):  # *args: who calls knows
        return str(wrt)
    if isinstance(wrt, str) and wrt in names:
        return wrt
    try:
        return names[index(wrt)]
    except (TypeError, IndexError):
        raise _errors.unknown_name(what, name_of(f), wrt, names) from None


# ----------------------------------------------------------------------------------------------------------- total


class Total:
    """The total derivative as a function of the free variables; `total` makes it."""

    def __init__(self, f: Function, wrt: Any, given: Mapping[str, Function]) -> None:
        self.name = name_of(f)
        self._f = f
        self._arguments = names_of(f)
        self._given = dict(given)
        self._inner = {name: _inner_names(name, function) for name, function in given.items()}
        self._check_names()
        self._order = self._sorted()
        inner = [name for names in self._inner.values() for name in names]
        #: The variables that are free: those arguments that depend on nothing, and what dependencies use besides.
        self.free = tuple(name for name in dict.fromkeys([*self._arguments, *inner]) if name not in given)
        self.wrt = self._free_variable(wrt)
        self.__signature__ = Signature([Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in self.free])
        self.__name__ = f"total({self.name}, {self.wrt!r})"
        self.substituted = Compiled(_Substituted(self))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the derivative; the arguments are the free variables."""
        return self.substituted.jacobian(*args, **kwargs, argnums=self.wrt)

    def terms(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return by argument of f what it contributes: its partial derivative times its own total derivative.

        Examples
        --------
        >>> import fastgrad as fg
        >>> area = fg.total(lambda a, b: a * b, "a", given={"b": lambda a: a**2})
        >>> area.terms(3.0)  # b * 1, a * 2 a
        {'a': 9.0, 'b': 18.0}
        """
        bound = self.__signature__.bind(*args, **kwargs).arguments
        slopes: dict[str, Any] = {name: 1.0 if name == self.wrt else 0.0 for name in self.free}
        point = dict(bound)
        for name in self._order:
            function, inner = self._given[name], self._inner[name]
            numbers = [point[other] for other in inner]
            point[name] = _compiled(function, None)(*numbers)
            slopes[name] = sum((partial(function, i)(*numbers) * slopes[other] for i, other in enumerate(inner)), 0.0)
        numbers = [point[name] for name in self._arguments]
        return {
            name: partial(self._f, i)(*numbers) * slopes[name]
            for i, name in enumerate(self._arguments)
            if name == self.wrt or self.wrt in self._all_under(name)
        }

    def resolve(self, values: dict[str, Any]) -> Any:
        """The value of f for values of the free variables."""
        for name in self._order:
            values[name] = self._given[name](*[values[other] for other in self._inner[name]])
        return self._f(*[values[name] for name in self._arguments])

    def _all_under(self, name: str) -> set[str]:
        """What a variable depends on, directly or not."""
        direct = self._inner.get(name, [])
        return {*direct, *(under for other in direct for under in self._all_under(other))}

    def _check_names(self) -> None:
        used = {*self._arguments, *(name for names in self._inner.values() for name in names)}
        for name in self._given:
            if name not in used:
                raise _errors.no_dependency(self.name, name, self._arguments)

    def _sorted(self) -> list[str]:
        """The dependent variables, each behind those that it depends on."""
        order: list[str] = []

        def visit(name: str, path: tuple[str, ...]) -> None:
            if name in path:
                raise _errors.circle([*path[path.index(name) :], name])
            for other in self._inner[name]:
                if other in self._given and other not in order:
                    visit(other, (*path, name))
            order.append(name)

        for name in self._given:
            if name not in order:
                visit(name, ())
        return order

    def _free_variable(self, wrt: Any) -> str:
        if isinstance(wrt, str) and wrt in self.free:
            return wrt
        name = _argument("total(wrt)", self._f, wrt) if wrt not in self._given else str(wrt)
        if name in self._given:
            raise _errors.dependent_wrt(name, self.free)
        return name

    def __repr__(self) -> str:
        return f"<fg.total({self.name}, {self.wrt!r}) of {', '.join(self.free)}>"


class _Substituted:
    """The function of the free variables alone."""

    def __init__(self, total: Total) -> None:
        self._total = total
        self.__name__ = total.name
        self.__signature__ = total.__signature__

    def __call__(self, *values: Any) -> Any:
        return self._total.resolve(dict(zip(self._total.free, values, strict=True)))


def _inner_names(name: str, function: Any) -> list[str]:
    if isinstance(function, Value) or not callable(function):
        raise _errors.not_a_dependency(name, function)
    if len(required(function)) < len(parameters_of(function)):
        if len(names_of(function)) < len(parameters_of(function)):
            raise _errors.nameless_dependency(name)
        return required(function)
    return names_of(function)


def total(f: Any, wrt: Any, given: Mapping[str, Callable[..., Any]] | None = None) -> Any:
    """Return the total derivative: the variables that depend on the one in question change along with it.

    The partial derivative of V(a, b) with respect to a holds b. If b depends on a, the total derivative takes that in,
    by the chain rule: ``dV/da = (partial V/partial a) + (partial V/partial b) (db/da)``. It is the derivative of what
    is left when the dependencies are put into f first.

    Parameters
    ----------
    f : callable or Value
        A function of numbers, made of fastgrad's operations and functions; or a Value that has been computed.
    wrt : str or int, or Value
        The variable: an argument of f that is free, or a variable that only the dependencies use. If ``f`` is a Value:
        a Value that it was computed from, or its label.
    given : mapping from str to callable
        For each argument of f that depends on others a function whose parameters say by their names on which. It may
        depend on variables that f has not, and on other dependent ones.

    Returns
    -------
    Total or float
        The function that computes the derivative. Its arguments are the free variables: those of f that are left, in
        their order, then what the dependencies use besides. Its method ``terms`` gives the summands of the chain rule.
        If ``f`` is a Value a float: all paths of the graph, which holds the dependencies already.

    Raises
    ------
    TypeError
        If f, or a dependency, is no function of numbers.
    ValueError
        If the dependencies form a circle, name an unknown variable, or wrt is itself dependent.

    Examples
    --------
    >>> import fastgrad as fg
    >>> def V(a, b, c):
    ...     return a * b * c
    >>> fg.partial(V, "a")(2.0, 2.0, 5.0)
    10.0
    >>> fg.total(V, "a", given={"b": lambda a: a})(2.0, 5.0)  # of a and c
    20.0
    >>> path = {"a": lambda t: 2.0 * t, "b": lambda a: a**2, "c": lambda t: 1.0 / t}
    >>> fg.total(V, "t", given=path)(1.0)  # 2 t * 4 t**2 / t
    16.0
    """
    if isinstance(f, Value):
        return derivative(f, wrt)
    function = checked("total", f)
    signature = getattr(function, "signature", None) if isinstance(function, Compiled) else None
    if signature is not None and any(character.isalnum() for character in signature):
        raise _errors.not_numbers(name_of(function), signature)
    if given is None:
        given = {}
    if not isinstance(given, Mapping):
        raise _errors.not_a_mapping(given)
    return Total(function, wrt, given)


# ------------------------------------------------------------------------------------------------------ differential


def differential(f: Any, x: Any, dx: Any) -> Any:
    """Compute the differential ``df = sum_i (partial f/partial x_i) dx_i``: how f changes, to first order, along dx.

    It is the product of the Jacobian with a vector; nothing is divided, so that dx may have any length. The true change
    ``f(x + dx) - f(x)`` differs from it by something that shrinks as the square of dx.

    Parameters
    ----------
    f : callable or Value
        A function, made of fastgrad's operations and functions; or a Value that has been computed.
    x : float, array, tuple or mapping
        The point: a tuple has one number or array for each argument of f, a mapping one by name; all else is the one
        argument of f, or if f takes several numbers, as many of them. An array is one vector. If ``f`` is a Value: a
        Value that it was computed from or its label, or a tuple of these.
    dx : float, array, tuple or mapping
        The direction, with the structure and the shapes of x.

    Returns
    -------
    float or ndarray
        One number for each number that f returns; a float if that is one number.

    Raises
    ------
    TypeError
        If f is no function, or x are not its arguments.
    ValueError
        If x and dx have different shapes.

    Examples
    --------
    >>> import fastgrad as fg
    >>> def V(a, b, c):
    ...     return a * b * c
    >>> fg.differential(V, (1.0, 2.0, 3.0), (0.1, 0.0, 0.1))
    0.8
    >>> fg.differential(lambda x: fg.dot(x, x), [3.0, 4.0], [1.0, 0.0])
    6.0
    """
    if isinstance(f, Value):
        return _differential_of_value(f, x, dx)
    flat = Flat("differential", f, x)
    direction = flat.row(dx, "dx")
    found = Compiled(flat.results, "(n)->(m)").jvp(flat.numbers, direction)
    return float(found[0]) if flat.returns_number else found


def _differential_of_value(value: Value, x: Any, dx: Any) -> float:
    nodes = graph_of(value)
    wrt, steps = (x, dx) if isinstance(x, tuple) else ((x,), (dx,))
    if not isinstance(steps, tuple) or len(steps) != len(wrt):
        raise _errors.shapes_differ("differential", "dx", (len(wrt),), _shape_of(steps))
    slopes = adjoints(nodes)
    numbers = [_engine_errors.real("differential(dx)", step) for step in steps]
    return sum(slopes[find("differential(x)", nodes, one)] * step for one, step in zip(wrt, numbers, strict=True))


def _shape_of(given: Any) -> tuple[int, ...]:
    return (len(given),) if hasattr(given, "__len__") else ()
