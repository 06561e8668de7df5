"""What is refused, and what is said then: every error text of the engine, and the checks that both backends share.

A text says what was expected, what came, where, and what to do. Functions named after what is wrong return the
exception, for the caller to raise; the others check, and raise it themselves.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from math import isfinite, isnan
from numbers import Integral, Real
from reprlib import repr as short
from typing import TYPE_CHECKING, Any, NoReturn

from ._frames import Line, user_line
from ._rules import BY_NAME, Row

if TYPE_CHECKING:
    from ._anomaly import Anomaly

# ---------------------------------------------------------------------------------------------------- numbers


def is_real(got: object) -> bool:
    """Whether ``got`` is a number that operators take: a ``numbers.Real`` or a scalar of NumPy that is real."""
    return isinstance(got, (float, int, Real)) or _is_numpy("bool_", got)


def at_least(where: str, got: Any, least: int) -> int:
    """Return the int that a whole number is, one of NumPy's as well, or raise ValueError."""
    if isinstance(got, Integral) and not isinstance(got, bool) and int(got) >= least:
        return int(got)
    raise ValueError(f"{where}: expected a whole number of {least} or more, got {got!r}")


def not_negative(where: str, got: Any) -> float:
    if is_real(got) and got >= 0.0:
        return float(got)
    raise ValueError(f"{where}: expected a number of at least 0, got {got!r}")


def positive(where: str, got: Any) -> float:
    if is_real(got) and got > 0.0:
        return float(got)
    raise ValueError(f"{where}: expected a number greater than 0, got {got!r}")


def is_array(got: object) -> bool:
    return _is_numpy("ndarray", got)


def _is_numpy(name: str, got: object) -> bool:
    # Before NumPy is imported nothing can be of a type of NumPy's, so there is no need to import it here.
    return "numpy" in sys.modules and isinstance(got, getattr(sys.modules["numpy"], name))


def real(where: str, got: Any) -> float:
    """Return the float that ``got`` is, also if it is in an array without dimensions, or raise TypeError."""
    if is_array(got) and got.ndim == 0:
        got = got.item()
    if is_real(got):
        return float(got)
    raise not_a_number(where, got)


def not_a_number(where: str, got: object) -> TypeError:
    """``where`` is the place as the user sees it, such as ``Value(data)`` or ``Value.grad``."""
    expected = "expected a real number (int, float, bool or NumPy scalar)"
    return TypeError(f"{where}: {expected}, got {_described(got)}{_advice(got)}")


def not_an_operand(name: str, position: int, got: object) -> TypeError:
    """For a module function or a method; ``name`` and ``position`` are those of the row and of the operand."""
    row = BY_NAME[name]
    operand = row.parameter if row.parameter and position else row.operands[position]
    expected = "expected a Value, a real number, or an array or list of them"
    return TypeError(f"{row.method}({operand}): {expected}, got {_described(got)}")


def _described(got: object) -> str:
    return f"{type(got).__name__} {short(got)}"


def _is_value(got: object) -> bool:
    return any(base.__name__ == "Value" for base in type(got).__mro__)


def _advice(got: object) -> str:
    if _is_value(got):
        return "; it already is a Value: use it as it is, or Value(v.data) for a new leaf"
    if hasattr(got, "__array__") or isinstance(got, (list, tuple)):
        return "; build one Value per element: [Value(x) for x in row]"
    if isinstance(got, complex):
        return "; only real numbers have a gradient here"
    return ""


# ------------------------------------------------------------------------------------------------- operations


def check(name: str, operands: tuple[float, ...], result: float) -> None:
    """Raise if an eager operation failed, by the rules at the head of ops.def; do nothing if it is only unusual.

    Both backends call it where the result is not finite, or the operands are outside the domain.
    """
    row: Row = BY_NAME[name]
    if any(map(isnan, operands)):
        return
    inside = row.domain(*operands)
    if row.kind == "ARITH":
        if not inside:
            raise ZeroDivisionError(f"division by zero: {_call(row, operands)}")
    elif not all(map(isfinite, operands)):
        if isnan(result):
            raise ValueError(f"{_call(row, operands)} is undefined: {_domain(row, inside)}")
    elif not isfinite(result):
        raise _failure(row, operands, inside)


def _failure(row: Row, operands: tuple[float, ...], inside: bool) -> ArithmeticError | ValueError:
    call = _call(row, operands)
    if inside:
        return OverflowError(f"{call} is too large for a float")
    if row.kind != "POWER":
        return ValueError(f"{call} is undefined: {_domain(row, inside)}")
    if operands[0] == 0.0:
        return ZeroDivisionError(f"{call}: zero cannot be raised to a negative power")
    return ValueError(f"{call} is not real: a negative number needs a whole exponent")


def _call(row: Row, operands: tuple[float, ...]) -> str:
    if row.kind == "MATH":
        return f"{row.method}({', '.join(map(repr, operands))})"
    return f" {row.label} ".join(map(repr, operands))


def _domain(row: Row, inside: bool) -> str:
    return "it has no limit there" if inside else f"its domain is {row.domain_text}"


def reduction_error(name: str, xs: Any, ys: Any = None) -> NoReturn:
    """Raise what is wrong with the arguments of a reduction: of ``dot`` if ``ys`` is given, else of one column."""
    columns = [items(name, column) for column in ([xs] if ys is None else [xs, ys])]
    if len(columns) > 1 and len(columns[0]) != len(columns[1]):
        raise ValueError(f"{name}(): expected as many xs as ys, got {len(columns[0])} xs and {len(columns[1])} ys")
    for column in columns:
        terms(name, column)
    raise AssertionError(f"{name}(): nothing is wrong with its arguments")


def terms(name: str, column: Any) -> list[Any]:
    """Return what a reduction is over, one Value or number at least, or raise what is wrong with it."""
    found = items(name, column)
    for i, item in enumerate(found):
        _check_item(name, i, item)
    if not found:
        raise ValueError(f"{name}() of nothing is undefined: expected at least one Value or number")
    return found


def items(name: str, column: Any) -> list[Any]:
    """Return what an argument of a reduction iterates over."""
    if not isinstance(column, Iterable) or getattr(column, "ndim", 1) == 0:
        raise TypeError(f"{name}(): expected an iterable of Values and numbers, got {_described(column)}")
    return list(column)


def _check_item(name: str, i: int, item: Any) -> None:
    if isinstance(item, (list, tuple)) or (is_array(item) and item.ndim):
        raise ValueError(
            f"{name}(): expected one dimension, got {_described(item)} as item {i}; "
            f"flatten it first, or call {name} on each row"
        )
    if not is_real(item) and not hasattr(type(item), "_local_grads"):
        raise TypeError(f"{name}(): expected Values and real numbers, got {_described(item)} as item {i}")


# --------------------------------------------------------------------------------------------------- the type


def node_arguments(
    value_type: type, children: Iterable[Any], op: Any, local_grads: Iterable[Any]
) -> tuple[tuple[Any, ...], str, tuple[float, ...]]:
    """Check what a Value is given besides its data: return its children, its label and their local gradients.

    As third positional argument (``op``) micrograd has the label, microgpt the local gradients: both are taken.
    """
    if isinstance(op, (tuple, list)):
        op, local_grads = "", op
    if not isinstance(op, str):
        raise TypeError(f"Value(_op): expected a label (str) or a tuple of local gradients, got {_described(op)}")
    children = _as_tuple("Value(_children): expected an iterable of Values", children)
    for i, child in enumerate(children):
        if not isinstance(child, value_type):
            raise TypeError(f"Value(_children): expected Values, got {_described(child)} as child {i}")
    given = _as_tuple("Value(local_grads): expected an iterable of real numbers", local_grads)
    local = tuple(real(f"Value(local_grads[{i}])", gradient) for i, gradient in enumerate(given))
    if local and len(local) != len(children):
        raise ValueError(f"Value(local_grads): expected one for each of {len(children)} children, got {len(local)}")
    return children, op, local


def _as_tuple(expected: str, got: object) -> tuple[Any, ...]:
    if not isinstance(got, Iterable):
        raise TypeError(f"{expected}, got {_described(got)}")
    return tuple(got)


def not_a_value(got: object) -> TypeError:
    """For a method of Value that is called on something else."""
    return TypeError(f"expected a Value, got {_described(got)}")


def uninitialised(value_type: type) -> AttributeError:
    return AttributeError(
        f"this {value_type.__name__} has no value yet: its __init__ has to call super().__init__(data)"
    )


def unpicklable(op: str, data: float) -> TypeError:
    """For copy, deepcopy and pickle of a Value that was computed."""
    return TypeError(
        f"cannot copy or pickle a computed Value ({op!r}, data={data}): gradients of the copy would not reach the "
        "leaves of the original; copy its leaves and compute it from them, or take Value(v.data) for its number alone"
    )


def not_an_index(data: float) -> TypeError:
    return TypeError(f"a Value is no index and no count (data={data}): take the number out, as in int(v.data)")


def not_callable(got: object) -> TypeError:
    return TypeError(
        f"Value._backward: expected a callable without arguments that adds to the gradients of the children, "
        f"got {_described(got)}"
    )


def nested_backward() -> RuntimeError:
    return RuntimeError(
        "backward() was called from inside a _backward closure, while backward() of the same thread is under way; "
        "let the closure only add to the gradients of its node's children"
    )


def out_of_memory(nodes: int, too_large: bool) -> MemoryError:
    """When the tape cannot grow; ``too_large`` if its numbering is at its end rather than the memory."""
    why = "a tape holds at most 2**31 nodes and operands" if too_large else "the operating system has no memory for it"
    return MemoryError(
        f"the tape cannot grow beyond its {nodes} nodes: {why}; let go of the results of earlier computations, "
        "or compute what needs no gradient under fastgrad.no_grad()"
    )


# -------------------------------------------------------------------------------------------------- recording


class TracingError(TypeError):
    """A function that is being recorded does what a recording cannot hold, such as reading a number out of a Value.

    The message names the line and says what to write instead.
    """


#: What cannot be while a function is recorded: what it is called, and what to write instead.
_REFUSED = {
    "data": ("reading .data", "compute with the Value itself"),
    "set_data": ("setting .data", "compute a new Value; set parameters outside of the function"),
    "grad": ("reading or setting .grad", "take derivatives of the compiled function: f.grad(...), f.backward(...)"),
    "backward": ("backward()", "take derivatives of the compiled function: f.grad(...), f.backward(...)"),
    "zero_grad": ("zero_grad()", "set gradients to 0 outside of the function"),
    "float": ("float(), which the functions of math call too,", "compute with the Value itself, as in fg.exp(v)"),
    "int": ("int()", "round with fg.floor(v), pick from a table with fg.take(table, v)"),
    "index": ("an index or a count that is a Value", "pick with fg.take(table, v), choose with fg.where(c, a, b)"),
    "round": ("round()", "round with fg.floor(v + 0.5)"),
    "repr": ("printing or formatting a Value", "return it as one more output, and print that"),
    "copy": ("copying or pickling a Value", "use the Value itself"),
    "node": ("a node made by hand, Value(data, children),", "write it with operations and functions of fastgrad"),
    "walk": ("looking at the graph of a Value", "call the function with Values of yours, and look at what it returns"),
    "rule": ("_backward or _local_grads", "write the node with operations and functions of fastgrad"),
}


def refuse(what: str) -> NoReturn:
    """Raise that ``what`` cannot be while a function is recorded."""
    called, instead = _REFUSED[what]
    raise TracingError(
        f"{user_line()}: {called} is not possible while this function is recorded, "
        f"for a Value stands there for another number in each row; {instead}"
    )


def hand_made(line: Line) -> TracingError:
    """The recorded function uses a Value from outside that depends on a node made by hand."""
    return TracingError(
        f"{line}: the recorded function uses a Value that was computed from a node made by hand, "
        "Value(data, children) or one with a _backward of its own, whose derivative cannot be recorded; "
        "write that node with operations and functions of fastgrad, or use Value(v.data), made outside of the function"
    )


def of_another_recording(line: Line) -> TracingError:
    return TracingError(
        f"{line}: the recorded function uses a Value that was made while a function was recorded before, and kept: "
        "its number is that of one row of many; return it as an output, or make it outside of the function"
    )


def not_recording() -> RuntimeError:
    return RuntimeError("this thread records no function: start_recording() comes first")


def whole(index: Any, size: int, traced: bool) -> int:
    """Return the int that an index of take() is, or raise; a ``traced`` one does not count from the end."""
    number = float(index) if _is_value(index) else real("take(index)", index)
    if not isfinite(number) or number != int(number):
        raise TypeError(f"take(index): expected a whole number, got {index!r}")
    if not (0 if traced else -size) <= number < size:
        raise IndexError(f"take(index): {int(number)} is out of range for a table of {size}")
    return int(number)


# -------------------------------------------------------------------------------------------------- anomalies


class AnomalyError(FloatingPointError):
    """An operation made a nan or an infinity from finite operands; ``anomaly`` says which.

    `detect_anomaly` raises it.
    """

    def __init__(self, anomaly: Anomaly) -> None:
        super().__init__(anomaly)
        self.anomaly = anomaly


AnomalyError.__module__ = "fastgrad"


class DivisionAnomalyError(AnomalyError, ZeroDivisionError):
    """The same where the operation raises ZeroDivisionError by itself."""


class OverflowAnomalyError(AnomalyError, OverflowError):
    """The same where the operation raises OverflowError by itself."""


class DomainAnomalyError(AnomalyError, ValueError):
    """The same where the operation raises ValueError by itself."""


_ANOMALIES: tuple[tuple[type[AnomalyError], type[Exception]], ...] = (
    (DivisionAnomalyError, ZeroDivisionError),
    (OverflowAnomalyError, OverflowError),
    (DomainAnomalyError, ValueError),
)


def anomaly(found: Anomaly, failure: Exception | None) -> AnomalyError:
    """``failure`` is what the operation raises when nobody watches."""
    for kind, raised in _ANOMALIES:
        if isinstance(failure, raised):
            return kind(found)
    return AnomalyError(found)


# ------------------------------------------------------------------------------------------------ the backend


def unknown_backend(got: str) -> ValueError:
    return ValueError(f"FASTGRAD_BACKEND={got!r}: expected 'c', 'python', or nothing for the faster one there is")


def no_extension(cause: ImportError) -> ImportError:
    return ImportError(
        f"FASTGRAD_BACKEND=c: the compiled extension fastgrad._core cannot be imported ({cause}); install fastgrad "
        "with a C compiler present (pip install --force-reinstall --no-binary fastgrad fastgrad), or unset "
        "FASTGRAD_BACKEND to run in pure Python"
    )
