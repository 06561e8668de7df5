"""The module functions: the backend's own for Values and numbers, element by element over arrays and lists.

Each operation of the table is here under both its names, NumPy's and libm's: ``arctan2`` and ``atan2``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from typing import Any

from . import _errors
from ._backend import Value, module
from ._rules import REDUCTIONS, ROWS, Reduction, Row

_TABLE: tuple[Row | Reduction, ...] = (*ROWS, *REDUCTIONS)

FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: getattr(module, row.name) for row in _TABLE for name in (row.name, row.method)
}


def elementwise(name: str, operands: tuple[Any, ...]) -> Any:
    """Apply a scalar function over arrays and sequences, with NumPy's broadcasting.

    The backend's functions come here with operands that are not all Values and numbers.

    Parameters
    ----------
    name : str
        A row of the table, such as ``"exp"``.
    operands : tuple
        One for each operand of the row.

    Returns
    -------
    ndarray or scalar
        Of floats if there is no Value in it, else of objects; without dimensions what the function itself returns.

    Raises
    ------
    TypeError
        If an operand is neither a Value, a number, nor an array or list of them.

    Examples
    --------
    >>> elementwise("exp2", ([1, 2, 3],))
    array([2., 4., 8.])
    """
    import numpy as np  # here, because most programs never come here and start faster without

    for position, operand in enumerate(operands):
        scalar = isinstance(operand, Value) or _errors.is_real(operand)
        # NumPy's scalars have __array__ too: one that is no real number would come back here for ever.
        array = isinstance(operand, (list, tuple)) or hasattr(operand, "__array__")
        if not scalar and (not array or isinstance(operand, np.generic)):
            raise _errors.not_an_operand(name, position, operand)
    result = np.frompyfunc(getattr(module, name), len(operands), 1)(*operands)
    if not isinstance(result, np.ndarray) or any(isinstance(element, Value) for element in result.flat):
        return result
    return result.astype(float)


def softmax(values: Iterable[Any]) -> list[Any]:
    """Exponentials of the values, divided by their sum.

    Parameters
    ----------
    values : iterable of Value and float
        Anything with one dimension.

    Returns
    -------
    list of Value
        As many as there are values, or floats if all the values are; they sum to 1.

    Raises
    ------
    ValueError
        If an operand has more than one dimension, or there is no value.

    Examples
    --------
    >>> import fastgrad as fg
    >>> [round(p, 6) for p in fg.softmax([1.0, 2.0, 3.0])]
    [0.090031, 0.244728, 0.665241]
    >>> x = fg.Value(0.0)
    >>> fg.softmax([x, 0.0])[0].backward()
    >>> x.grad
    0.25
    """
    terms = _errors.terms("softmax", values)
    # Out of the exponents, so that they can neither overflow nor lose digits. A recorded function shall not branch.
    largest = FUNCTIONS["stop_gradient"](reduce(FUNCTIONS["maximum"], terms) if module.is_recording() else max(terms))
    exps = [FUNCTIONS["exp"](term - largest) for term in terms]
    inverse = 1.0 / FUNCTIONS["sum"](exps)  # a division takes as long as eight multiplications, and more backwards
    return [e * inverse for e in exps]


def take(table: Any, index: Any) -> Any:
    """Pick an entry of a table, or a row.

    In a function that is being recorded the index may differ from row to row: the result depends on it, and gradients
    reach the entry that it picks.

    Parameters
    ----------
    table : sequence or array
        Of Values and numbers, or of rows of them, all of one length.
    index : int, float or Value
        A whole number. An int counts from the end where it is negative, as it does in Python; a traced one may not.

    Returns
    -------
    Value, float or list
        The entry; for a table of rows a list.

    Raises
    ------
    IndexError
        If there is no such entry.
    TypeError
        If the index is no whole number.

    Examples
    --------
    >>> import fastgrad as fg
    >>> fg.take([0.5, 0.25, 0.125], 2)
    0.125
    >>> table = [[fg.Value(1.0), fg.Value(2.0)], [fg.Value(3.0), fg.Value(4.0)]]
    >>> fg.sum(fg.take(table, 1)).backward()
    >>> [entry.grad for row in table for entry in row]
    [0.0, 0.0, 1.0, 1.0]
    """
    entries = table.tolist() if hasattr(table, "tolist") else table
    if isinstance(index, Value) and module.is_recording():
        return _traced_take(entries, index)
    found = entries[_errors.whole(index, len(entries), isinstance(index, Value))]
    return list(found) if isinstance(found, (list, tuple)) else found


def _traced_take(entries: Sequence[Any], index: Value) -> Any:
    size = len(entries)
    both, same = FUNCTIONS["logical_and"], FUNCTIONS["equal"]
    if not both(both(index >= 0.0, index < size), same(FUNCTIONS["floor"](index), index)):  # a guard
        _errors.whole(module.peek(index), size, True)
    if not any(isinstance(entry, (list, tuple)) or getattr(entry, "ndim", 0) for entry in entries):
        return module.record_take([index, *entries])
    return [module.record_take([index, *column]) for column in zip(*entries, strict=True)]


module.set_elementwise_hook(elementwise)
