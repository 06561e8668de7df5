"""What Value is on either backend: its documentation, and what it does in terms of its own surface."""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Iterable
from typing import Any

from . import _errors


class ValueMethods:
    """A number that knows how it was computed, and its gradient.

    Parameters
    ----------
    data : float
        Any real number; kept as a float.
    _children, children : iterable of Value
        For a node of one's own: the Values that ``data`` was computed from.
    _op : str or tuple of float
        The label of such a node, or its local gradients.
    label : str
        A name, for drawings and for the reader.
    local_grads : tuple of float
        The derivatives of ``data`` with respect to each of the children.

    Raises
    ------
    TypeError
        If ``data`` is not a real number, or a child is not a Value.
    ValueError
        If there are not as many local gradients as children.

    Examples
    --------
    >>> from fastgrad import Value
    >>> x = Value(3.0)
    >>> y = x * x + 2.0 * x
    >>> y.backward()
    >>> y.data, x.grad
    (15.0, 8.0)
    """

    label = ""
    _line = None  # where it was made, if that was noted
    __array_priority__ = 1000.0  # so that NumPy's scalars and arrays on the left leave the operation to Value

    def __repr__(self: Any) -> str:
        self._refuse("repr")
        return f"Value(data={self.data}, grad={self.grad})"

    def __format__(self: Any, spec: str) -> str:
        self._refuse("repr")
        return format(self.data, spec) if spec else repr(self)

    def __round__(self: Any, digits: int | None = None) -> float:
        self._refuse("round")
        rounded: float = round(self.data, digits)
        return rounded

    def __floor__(self: Any) -> Any:
        return self.floor()

    def __ceil__(self: Any) -> Any:
        return self.ceil()

    def __index__(self: Any) -> int:
        self._refuse("index")
        raise _errors.not_an_index(self.data)

    def __reduce__(self: Any) -> tuple[Any, ...]:
        self._refuse("copy")
        if self._children or "_backward" in self.__dict__:
            raise _errors.unpicklable(self._op, self.data)
        return copyreg.__newobj__, (type(self),), (self.data, self.grad, self.__dict__)  # type: ignore[attr-defined]

    def __setstate__(self: Any, state: tuple[float, float, dict[str, Any]]) -> None:
        data, grad, attributes = state
        _value_type(type(self)).__init__(self, data)
        self.grad = grad
        for name, attribute in attributes.items():
            setattr(self, name, attribute)


DOCUMENTATION = {
    "backward": """Add the derivatives of this Value to the ``grad`` of everything it was computed from.

        Raises
        ------
        RuntimeError
            If it is called from inside a ``_backward`` closure.

        Examples
        --------
        >>> from fastgrad import Value
        >>> x = Value(3.0)
        >>> (x**2).backward()
        >>> x.grad
        6.0
        """,
    "zero_grad": """Set ``grad`` to 0 here and in everything that this Value was computed from.

        Examples
        --------
        >>> from fastgrad import Value
        >>> x = Value(3.0)
        >>> y = x**2
        >>> y.backward()
        >>> y.zero_grad()
        >>> x.grad, y.grad
        (0.0, 0.0)
        """,
}


def _value_type(cls: type) -> Any:
    return next(base for base in cls.__mro__ if base.__name__ == "Value" and "data" in vars(base))


def initialiser(value_type: type, build: Callable[..., None]) -> Callable[..., None]:
    """Return Value.__init__; build(self, data, children, op, local_grads) makes the node."""

    def __init__(
        self: Any,
        data: Any,
        _children: Iterable[Any] = (),
        _op: Any = "",
        label: str = "",
        *,
        children: Iterable[Any] = (),
        local_grads: Iterable[float] = (),
    ) -> None:
        usual = data.__class__ is float and _children.__class__ is tuple and _op.__class__ is str and not local_grads
        if usual and all([type(child) is value_type for child in _children]):
            build(self, data, _children, _op, ())
        else:
            number = _errors.real("Value(data)", data)
            build(self, number, *_errors.node_arguments(value_type, _children or children, _op, local_grads))
        if label != "":
            self.label = label

    __init__.__qualname__ = "Value.__init__"
    return __init__


def array_operator(method: str, left: Any, right: Any, traced: bool = False) -> Any:
    """What NumPy answers for an operator between a Value and an array; where a comparison is traced, Values."""
    import numpy as np

    return getattr(np, method)(left, right, dtype=object) if traced else getattr(np, method)(left, right)


def equip(value_type: type, members: dict[str, Any]) -> None:
    """Give a backend's type what is written here, and its own members."""
    for name, member in {**vars(ValueMethods), **members}.items():
        if name not in ("__dict__", "__weakref__", "__module__", "__qualname__"):
            setattr(value_type, name, member)
    for name, text in DOCUMENTATION.items():
        getattr(value_type, name).__doc__ = text
