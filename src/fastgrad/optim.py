"""Optimizers: what moves parameters along their gradients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ._backend import Value

__all__ = ["SGD"]


class SGD:
    """Stochastic gradient descent with momentum and weight decay, by PyTorch's formula.

    One step is ``g = grad + weight_decay * data``, ``velocity = momentum * velocity + g``,
    ``data = data - lr * velocity``.

    Parameters
    ----------
    parameters : iterable of Value
        What to train, such as ``model.parameters()``. One that comes twice is moved once.
    lr : float
        Learning rate; assign to ``optimizer.lr`` to change it during training.
    momentum, weight_decay : float
        0 or more.

    Examples
    --------
    >>> from fastgrad import Value
    >>> x = Value(1.0)
    >>> optimizer = SGD([x], lr=0.25)
    >>> for _ in range(3):
    ...     optimizer.zero_grad()
    ...     ((x - 3.0) ** 2).backward()
    ...     optimizer.step()
    >>> x.data
    2.75
    """

    def __init__(
        self, parameters: Iterable[Value], lr: float, momentum: float = 0.0, weight_decay: float = 0.0
    ) -> None:
        self.parameters = _trainable(parameters)
        self.lr = _not_negative("lr", lr)
        self.momentum = _not_negative("momentum", momentum)
        self.weight_decay = _not_negative("weight_decay", weight_decay)
        self._velocity = [0.0] * len(self.parameters)

    def step(self) -> None:
        """Move each parameter once, by its present gradient.

        Examples
        --------
        >>> x = Value(1.0)
        >>> x.grad = 2.0
        >>> SGD([x], lr=0.25).step()
        >>> x.data
        0.5
        """
        steps = [p.grad for p in self.parameters]
        if self.weight_decay:
            steps = [g + self.weight_decay * p.data for g, p in zip(steps, self.parameters, strict=True)]
        if self.momentum:
            steps = [self.momentum * v + g for v, g in zip(self._velocity, steps, strict=True)]
            self._velocity = steps
        for p, step in zip(self.parameters, steps, strict=True):
            p.data -= self.lr * step

    def zero_grad(self) -> None:
        """Set the gradient of each parameter to 0.

        Examples
        --------
        >>> x = Value(1.0)
        >>> x.grad = 2.0
        >>> SGD([x], lr=0.25).zero_grad()
        >>> x.grad
        0.0
        """
        for p in self.parameters:
            p.grad = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Return what the next step depends on, besides the parameters, as plain Python numbers.

        Examples
        --------
        >>> SGD([Value(1.0)], lr=0.5, momentum=0.9).state_dict()
        {'lr': 0.5, 'momentum': 0.9, 'weight_decay': 0.0, 'velocity': [0.0]}
        """
        settings = {"lr": self.lr, "momentum": self.momentum, "weight_decay": self.weight_decay}
        return {**settings, "velocity": list(self._velocity)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where the optimizer was that returned ``state``.

        Raises
        ------
        ValueError
            If it is not the state of an optimizer of as many parameters; then nothing has changed.

        Examples
        --------
        >>> optimizer = SGD([Value(1.0)], lr=0.5)
        >>> optimizer.load_state_dict({"lr": 0.1, "momentum": 0.9, "weight_decay": 0.0, "velocity": [2.0]})
        >>> optimizer.lr
        0.1
        """
        expected = self.state_dict()
        if set(state) != set(expected):
            raise ValueError(f"SGD.load_state_dict: expected the names {', '.join(expected)}; got {', '.join(state)}")
        velocity = [float(v) for v in state["velocity"]]
        if len(velocity) != len(self.parameters):
            raise ValueError(f"SGD.load_state_dict: expected {len(self.parameters)} velocities, got {len(velocity)}")
        settings = {name: _not_negative(name, state[name]) for name in ("lr", "momentum", "weight_decay")}
        vars(self).update(settings, _velocity=velocity)


def _trainable(parameters: Iterable[Value]) -> list[Value]:
    if not isinstance(parameters, Iterable):
        raise TypeError(
            f"SGD(parameters): expected an iterable of Values such as model.parameters(), got {parameters!r}"
        )
    given = list(parameters)
    if not given:
        raise ValueError("SGD(parameters): the list is empty, there is nothing to train")
    for i, p in enumerate(given):
        if not isinstance(p, Value):
            raise TypeError(f"SGD(parameters): expected Values, got {type(p).__name__} {p!r} at position {i}")
        if p._children:
            raise ValueError(
                f"SGD(parameters): the Value at position {i} is the result of {p._op!r}: its data would not "
                "outlast the next forward pass; give the leaves that it is computed from"
            )
    return list({id(p): p for p in given}.values())


def _not_negative(name: str, number: float) -> float:
    if not number >= 0.0:
        raise ValueError(f"SGD({name}): expected a number of at least 0, got {number!r}")
    return float(number)
