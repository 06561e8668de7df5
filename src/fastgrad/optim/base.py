"""What all optimizers share: reading and writing the numbers of all parameters at once, settings, and state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from .. import _errors
from .._backend import Value, module
from .._errors import is_real

__all__ = ["Optimizer", "not_negative"]

Floats = np.ndarray[Any, np.dtype[np.float64]]  # not NDArray: in NumPy 2.5 that is no type at run time


class Optimizer:
    """What the optimizers have in common; a subclass says by which formula arrays of data are moved.

    Parameters
    ----------
    parameters : iterable of Value
        What to train, such as ``model.parameters()``. One that comes twice is moved once.
    **settings
        Those of the subclass.

    Attributes
    ----------
    parameters : tuple of Value
    lr : float
        Learning rate; assign to it to change it during training.

    Examples
    --------
    >>> from fastgrad import Value, optim
    >>> class SignDescent(optim.Optimizer):
    ...     settings = {"lr": optim.not_negative}
    ...     def update(self, data, grad):
    ...         data -= self.lr * np.sign(grad)
    >>> import numpy as np
    >>> x = Value(1.0)
    >>> x.grad = 20.0
    >>> SignDescent([x], lr=0.25).step()
    >>> x.data
    0.75
    """

    #: What checks each setting; it is called with where the setting stands, and with what was given.
    settings: ClassVar[Mapping[str, Callable[[str, Any], Any]]] = {}
    #: The arrays that are kept from step to step, with a number for each parameter, which begins as 0.
    kept: ClassVar[tuple[str, ...]] = ()

    lr: float

    def __init__(self, parameters: Iterable[Value], **settings: Any) -> None:
        name = type(self).__name__
        self.parameters = _trainable(name, parameters)
        self.initial_lr: float | None = None  # before a schedule changed it
        for setting, check in self.settings.items():
            setattr(self, setting, check(f"{name}({setting})", settings[setting]))
        self._numbers = np.empty((2, len(self.parameters)))  # new memory would cost more than the sums
        self._kept = {array: np.zeros(len(self.parameters)) for array in self.kept}

    def step(self) -> None:
        """Move each parameter once, by its present gradient.

        Examples
        --------
        >>> from fastgrad import Value, optim
        >>> x = Value(1.0)
        >>> x.grad = 2.0
        >>> optim.SGD([x], lr=0.25).step()
        >>> x.data
        0.5
        """
        data, grad = self._numbers
        module.gather_data(self.parameters, data)
        module.gather_grads(self.parameters, grad)
        self.update(data, grad)
        module.scatter_data(self.parameters, data)

    def update(self, data: Floats, grad: Floats) -> None:
        """Change ``data`` in place by one step; ``grad`` may be overwritten. A subclass has to define it.

        Raises
        ------
        NotImplementedError
            Where it is not defined.

        Examples
        --------
        >>> import numpy as np
        >>> from fastgrad import Value, optim
        >>> data = np.array([1.0])
        >>> optim.SGD([Value(0.0)], lr=0.5).update(data, np.array([1.0]))
        >>> data
        array([0.5])
        """
        raise NotImplementedError(f"{type(self).__name__} has to define update(self, data, grad)")

    def zero_grad(self) -> None:
        """Set the gradient of each parameter to 0.

        Examples
        --------
        >>> from fastgrad import Value, optim
        >>> x = Value(1.0)
        >>> x.grad = 2.0
        >>> optim.SGD([x], lr=0.25).zero_grad()
        >>> x.grad
        0.0
        """
        module.scatter_grads(self.parameters, np.zeros(len(self.parameters)))

    def __repr__(self) -> str:
        settings = (f"{name}={getattr(self, name)!r}" for name in self.settings)
        return f"{type(self).__name__}({len(self.parameters)} parameters, {', '.join(settings)})"

    def state_dict(self) -> dict[str, Any]:
        """Return what the next step depends on, besides the parameters, as plain Python numbers.

        ``json.dump`` writes them exactly, so that training goes on to the last bit.

        Examples
        --------
        >>> from fastgrad import Value, optim
        >>> optim.SGD([Value(1.0)], lr=0.5, momentum=0.9).state_dict()
        {'lr': 0.5, 'momentum': 0.9, 'weight_decay': 0.0, 'nesterov': False, 'velocity': [0.0]}
        """
        settings = {name: check(name, getattr(self, name)) for name, check in self.settings.items()}  # plain numbers
        settings = {name: list(v) if isinstance(v, tuple) else v for name, v in settings.items()}
        return settings | {name: array.tolist() for name, array in self._kept.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where the optimizer was that returned ``state``.

        Raises
        ------
        ValueError
            If it is not the state of such an optimizer of as many parameters; then nothing has changed.

        Examples
        --------
        >>> from fastgrad import Value, optim
        >>> old, new = optim.Adam([Value(1.0)], lr=0.5), optim.Adam([Value(1.0)])
        >>> new.load_state_dict(old.state_dict())
        >>> new.lr
        0.5
        """
        where, expected = f"{type(self).__name__}.load_state_dict", [*self.settings, *self.kept]
        if not isinstance(state, Mapping):
            raise TypeError(f"{where}: expected what state_dict() returned, got {type(state).__name__}")
        if set(state) != set(expected):
            raise ValueError(f"{where}: expected the names {', '.join(expected)}; got {', '.join(map(str, state))}")
        settings = {name: check(f"{where}: {name!r}", state[name]) for name, check in self.settings.items()}
        arrays = {name: _array(f"{where}: {name!r}", state[name], len(self.parameters)) for name in self.kept}
        vars(self).update(settings)
        self._kept.update(arrays)


def not_negative(where: str, number: Any) -> float:
    """Return a number of at least 0, or raise: a check for `Optimizer.settings`.

    Examples
    --------
    >>> from fastgrad import optim
    >>> optim.not_negative("lr", 1)
    1.0
    """
    return _errors.not_negative(where, number)


def fraction(where: str, number: Any) -> float:
    if not is_real(number) or not 0.0 <= number < 1.0:
        raise ValueError(f"{where}: expected a number from 0 to 1, without 1, got {number!r}")
    return float(number)


def betas(where: str, pair: Any) -> tuple[float, float]:
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise ValueError(f"{where}: expected a pair of numbers from 0 to 1, without 1, got {pair!r}")
    return fraction(f"{where}[0]", pair[0]), fraction(f"{where}[1]", pair[1])


def flag(where: str, flag: Any) -> bool:
    if not isinstance(flag, (bool, np.bool_)):
        raise ValueError(f"{where}: expected True or False, got {flag!r}")
    return bool(flag)


def count(where: str, count: Any) -> int:
    return _errors.at_least(where, count, 0)


def _array(where: str, given: Any, size: int) -> Floats:
    try:
        array = np.array(given, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: expected a number for each of {size} parameters: {error}") from error
    if array.shape != (size,):
        raise ValueError(f"{where}: expected a number for each of {size} parameters, got shape {array.shape}")
    return array


def _trainable(name: str, parameters: Iterable[Value]) -> tuple[Value, ...]:
    if not isinstance(parameters, Iterable):
        raise TypeError(
            f"{name}(parameters): expected an iterable of Values such as model.parameters(), got {parameters!r}"
        )
    given = list(parameters)
    if not given:
        raise ValueError(f"{name}(parameters): the list is empty, there is nothing to train")
    for i, p in enumerate(given):
        if not isinstance(p, Value):
            raise TypeError(f"{name}(parameters): expected Values, got {type(p).__name__} {p!r} at position {i}")
        if p._children:
            raise ValueError(
                f"{name}(parameters): the Value at position {i} is the result of {p._op!r}: its data would not "
                "outlast the next forward pass; give the leaves that it is computed from"
            )
    return tuple({id(p): p for p in given}.values())
