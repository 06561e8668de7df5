"""Whether a gradient is right, and if it is not, which operation of the function is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .._backend import Value, no_grad
from .._compiled import Compiled
from . import _errors
from ._functions import Flat, a_number, checked, number_of
from ._nodes import adjoints, graph_of, local_derivatives
from .numerical import EPSILON, NumericalDerivative, Problem, best_estimate, one_sided

_WHERE = "check_grad"


class Component(NamedTuple):
    """One entry of the gradient.

    Attributes
    ----------
    name : str
        The argument, or the entry of it.
    exact : float
        What the gradient under test says.
    numerical : NumericalDerivative
        What differences say.
    tolerance : float
        How far the two may be apart for reasons of arithmetic.
    excess : float
        By how much more they are apart: 0 if the entry is right.
    """

    name: str
    exact: float
    numerical: NumericalDerivative
    tolerance: float
    excess: float

    def __str__(self) -> str:
        apart = abs(self.exact - self.numerical)
        said = f"{self.name}: {self.exact!r}, by differences {float(self.numerical)!r}"
        return f"{said}; {apart:.1e} apart, tolerance {self.tolerance:.1e}"


class Culprit(NamedTuple):
    """An operation whose derivative does not fit its values.

    Attributes
    ----------
    node : Value
        The node, as computed at the point.
    operation : str
        What it is called: its label ``_op``, and its ``label`` and the place of its ``_backward`` if it has any.
    passed_on : float
        What it passes on along the direction of the wrong component.
    expected : float
        What it ought to, by differences.
    reason : str
        What is wrong, in words.
    """

    node: Value
    operation: str
    passed_on: float
    expected: float
    reason: str

    def __str__(self) -> str:
        return f"{self.operation}: {self.reason}"


class GradientCheck:
    """What `check_grad` found. It is true if the gradient is right.

    Attributes
    ----------
    ok : bool
        Whether all components are within their tolerances.
    components : list of Component
        All of them.
    worst : Component
        The one that is most off, in units of its tolerance.
    culprits : list of Culprit
        The operations whose derivatives are wrong, the one with the largest share in the worst component first.
    """

    def __init__(self, name: str, components: list[Component], culprits: list[Culprit]) -> None:
        self.name = name
        self.components = components
        self.culprits = culprits
        self.ok = all(component.excess == 0.0 for component in components)
        self.worst = max(components, key=_badness)

    @property
    def operation(self) -> Culprit | None:
        """The operation that is wrong; None if there is none, or none alone explains it."""
        return self.culprits[0] if self.culprits else None

    def raise_if_wrong(self) -> None:
        """Raise AssertionError, with the report as its message, unless the gradient is right."""
        if not self.ok:
            raise AssertionError(str(self))

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        count = len(self.components)
        if self.ok:
            return f"the gradient of {self.name} is right in all of {count} components; the worst is {self.worst}"
        wrong = sum(component.excess > 0.0 for component in self.components)
        lines = [f"the gradient of {self.name} is wrong in {wrong} of {count} components; the worst is {self.worst}"]
        if not self.culprits:
            lines.append("no single operation explains it")
        return "\n".join([*lines, *(f"  {culprit}" for culprit in self.culprits)])

    def __repr__(self) -> str:
        return f"<check_grad({self.name}): {'ok' if self.ok else 'wrong'}, worst {self.worst}>"


def _badness(component: Component) -> float:
    if not math.isfinite(component.exact):
        return math.inf
    return abs(component.exact - component.numerical) / max(component.tolerance, 5e-324)


# ------------------------------------------------------------------------------------------------------ components


class _Sweep(NamedTuple):
    """One run of the function on Values, and what a reverse sweep finds."""

    inputs: list[Value]
    nodes: list[Value]  # the last one is the result
    slopes: dict[Value, float]

    @property
    def gradient(self) -> list[float]:
        return [self.slopes.get(leaf, 0.0) for leaf in self.inputs]

    @property
    def noise(self) -> float:
        """The rounding error of the result: each operation rounds, and what comes of it is its adjoint times that.

        Griewank and Walther, *Evaluating Derivatives*, 2nd ed., SIAM 2008, section 3.4.
        """
        return EPSILON * math.fsum(abs(self.slopes[node] * node.data) for node in self.nodes if node._children)

    def rounding(self) -> list[float]:
        """The rounding errors of the gradient: that of each product on each path, however these cancel."""
        sizes = dict.fromkeys(self.nodes, 0.0)
        sizes[self.nodes[-1]] = 1.0
        depth = dict.fromkeys(self.nodes, 0)
        for node in reversed(self.nodes):
            for operand, slope in local_derivatives(node).items():
                sizes[operand] += sizes[node] * abs(slope)
                depth[operand] = max(depth[operand], depth[node] + 1)
        return [2.0 * EPSILON * depth[x] * sizes[x] if x in sizes else 0.0 for x in self.inputs]


def _swept(flat: Flat, numbers: Sequence[float]) -> _Sweep:
    inputs = [Value(number) for number in numbers]
    result = flat(inputs)
    if not isinstance(result, Value):
        result = Value(number_of(_WHERE, flat.name, result))
    nodes = graph_of(result)
    return _Sweep(inputs, nodes, adjoints(nodes))


def _gradient(flat: Flat, grad: Callable[..., Any]) -> list[float]:
    """What a function of the caller's says is the gradient."""
    found = [a_number(f"{_WHERE}(grad)", element) for element in flat.with_function(grad).results(flat.numbers)]
    if len(found) != len(flat.numbers):
        raise _errors.gradient_size(len(flat.numbers), len(found))
    return found


def _component(flat: Flat, i: int, exact: float, noise: float, rounding: float) -> Component:

    def along(number: float) -> float:
        with no_grad():
            return flat.number([Value(number if k == i else other) for k, other in enumerate(flat.numbers)])

    problem = Problem(along, flat.numbers[i], noise)
    numerical = best_estimate(problem)
    tolerance = numerical.error + rounding
    apart = abs(exact - numerical)
    if not apart <= tolerance:
        tolerance += _jump(problem, exact)
    excess = 0.0 if apart <= tolerance else apart - tolerance
    return Component(flat.names[i], exact, numerical, tolerance, math.inf if math.isnan(excess) else excess)


def _jump(problem: Problem, slope: float) -> float:
    """How far the slopes on both sides of a kink are apart, if this slope lies between them; else 0."""
    low, high = sorted([one_sided(problem, -1.0), one_sided(problem, 1.0)])
    allowed = low.error + high.error
    return high - low if high - low > allowed and low - allowed <= slope <= high + allowed else 0.0


def check_grad(f: Callable[..., Any], x: Any, *, grad: Callable[..., Any] | None = None) -> GradientCheck:
    """Compare a gradient with differences of the function, and find the operation whose derivative is wrong.

    Tolerances are what the arithmetic allows: the estimated error of extrapolated differences (see
    `numerical_derivative`), with the rounding error of f as its graph says it, and the rounding errors of the reverse
    sweep. At a kink a gradient between the slopes on both sides is right.

    If a component is wrong, each operation is looked at: the function is run again nearby, and what each node passes on
    must be how its value changes when its operands change as they do.

    Parameters
    ----------
    f : callable
        A function of numbers or of a vector, on Values, with one number as its result; it may have nodes of your own,
        ``Value(data, children, ...)`` with local gradients or a ``_backward``. Or a compiled function.
    x : float, array, tuple or mapping
        The point: a tuple has one number or array for each argument, a mapping one by name; all else is the one
        argument, or if f takes several numbers, as many of them. An array is one vector, as in SciPy.
    grad : callable, optional
        A gradient to check in place of fastgrad's: a function of the same arguments, one number for each number in x.

    Returns
    -------
    GradientCheck
        True if the gradient is right; printed it is a report. ``raise_if_wrong()`` is for tests.

    Raises
    ------
    TypeError
        If f is no function, or returns something else than one number.
    ValueError
        If f is not finite at x, or gives two results for the same x.

    Examples
    --------
    >>> import fastgrad as fg
    >>> bool(fg.check_grad(lambda a, b: fg.tanh(a * b) + a, (0.5, -2.0)))
    True
    >>> def cube(x):
    ...     return fg.Value(x.data**3, (x,), (2.0 * x.data**2,))  # the derivative is 3 x**2
    >>> report = fg.check_grad(lambda x: cube(x) + x, 2.0)
    >>> report.ok, report.worst.exact, round(report.worst.numerical, 6)
    (False, 9.0, 13.0)
    >>> round(report.operation.passed_on, 6), round(report.operation.expected, 6)
    (8.0, 12.0)
    """
    flat = Flat(_WHERE, checked(_WHERE, f), x)
    sweep = _swept(flat, flat.numbers)
    value, again = sweep.nodes[-1].data, _swept(flat, flat.numbers).nodes[-1].data
    if not math.isfinite(value):
        raise _errors.not_finite_at(_WHERE, flat.name, value)
    if value != again:
        raise _errors.not_deterministic(flat.name, value, again)
    if grad is None and isinstance(f, Compiled):
        grad = f.grad
    gradient = sweep.gradient if grad is None else _gradient(flat, grad)
    components = [
        _component(flat, i, gradient[i], sweep.noise, rounding) for i, rounding in enumerate(sweep.rounding())
    ]
    report = GradientCheck(flat.name, components, [])
    if not report.ok:
        report.culprits += _culprits(flat, components.index(report.worst))
    return report


# -------------------------------------------------------------------------------------------------------- operations

#: The step for central differences extrapolated from two: there the errors, h**4 and the last bit over h, balance.
_STEP = EPSILON ** (1.0 / 5.0)


class _Tangents(NamedTuple):
    """How the nodes of a graph change along one input, by differences; and how far off that may be."""

    slopes: dict[Value, float]
    errors: dict[Value, float]
    h: float


def _tangents(flat: Flat, i: int, nodes: list[Value]) -> _Tangents | None:
    """Run the function nearby; None if it does other operations there."""
    h = _STEP * max(1.0, abs(flat.numbers[i]))
    data: list[list[float]] = []
    for step in (-h, -h / 2.0, h / 2.0, h):
        moved = [number + step if k == i else number for k, number in enumerate(flat.numbers)]
        other = _swept(flat, moved).nodes
        if _shape(other) != _shape(nodes):
            return None
        data.append([node.data for node in other])
    slopes, errors = {}, {}
    for node, far_left, left, right, far_right in zip(nodes, *data, strict=True):
        wide, narrow = (far_right - far_left) / (2.0 * h), (right - left) / h
        slopes[node] = (4.0 * narrow - wide) / 3.0
        errors[node] = abs(slopes[node] - narrow)
    return _Tangents(slopes, errors, h)


def _shape(nodes: list[Value]) -> list[tuple[str, int]]:
    return [(node._op, len(node._children)) for node in nodes]


def _culprits(flat: Flat, i: int) -> list[Culprit]:
    """The operations that pass on something else than how their values change, along one input."""
    sweep = _swept(flat, flat.numbers)
    tangents = _tangents(flat, i, sweep.nodes)
    if tangents is None:
        return []
    found: dict[Value, Culprit] = {}
    for node in sweep.nodes:
        # What uses a leaf that hides its dependence is not wrong because of that.
        if node not in sweep.inputs and not any(
            operand in found for operand in node._children if not operand._children
        ):
            culprit = _examined(node, tangents)
            if culprit is not None:
                found[node] = culprit

    def share(culprit: Culprit) -> float:
        return abs(sweep.slopes[culprit.node] * (culprit.passed_on - culprit.expected))

    return sorted(found.values(), key=share, reverse=True)


def _examined(node: Value, tangents: _Tangents) -> Culprit | None:
    slopes, expected = local_derivatives(node), tangents.slopes[node]
    passed_on = math.fsum(slope * tangents.slopes[x] for x, slope in slopes.items())
    sizes = abs(node.data) + math.fsum(abs(slope * x.data) for x, slope in slopes.items())
    truncation = tangents.errors[node] + math.fsum(abs(slope) * tangents.errors[x] for x, slope in slopes.items())
    name = _operation(node)
    if not abs(passed_on - expected) <= truncation + 4.0 * EPSILON * sizes / tangents.h:
        reason = f"along this component it passes on {passed_on:.9g}, but its value changes by {expected:.9g}"
        if not slopes:
            reason = f"its number changes by {expected:.9g} along this component, but it has no operands: "
            reason += "it was made from .data, float() or the like, where the derivative is lost"
        return Culprit(node, name, passed_on, expected, reason)
    return None


def _operation(node: Value) -> str:
    operands = ", ".join(repr(operand.data) for operand in node._children)
    name = f"{node._op or 'a node'}({operands}) = {node.data!r}" if operands else f"Value({node.data!r})"
    if node.label:
        name = f"{node.label} = {name}"
    code = getattr(node._backward, "__code__", None)
    if code is not None and "_backward" in vars(node):
        name += f", whose _backward is at {code.co_filename}:{code.co_firstlineno}"
    return name
