"""Gradients cut to size, between ``backward()`` and ``step()``."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .._backend import Value, module
from .._errors import positive
from .base import Floats

__all__ = ["clip_grad_norm", "clip_grad_value"]


def clip_grad_norm(parameters: Iterable[Value], max_norm: float) -> float:
    """Scale all gradients alike, so that their Euclidean norm is at most ``max_norm`` [PMB13]_.

    It is PyTorch's ``clip_grad_norm_``: they are multiplied by ``max_norm / (norm + 1e-6)`` where that is below 1.

    Parameters
    ----------
    parameters : iterable of Value
        Those whose gradients to look at, such as ``model.parameters()``.
    max_norm : float
        Greater than 0.

    Returns
    -------
    float
        The norm as it was.

    References
    ----------
    .. [PMB13] R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of training recurrent neural networks", ICML
       2013.

    Examples
    --------
    >>> from fastgrad import Value, optim
    >>> x, y = Value(0.0), Value(0.0)
    >>> x.grad, y.grad = 3.0, 4.0
    >>> optim.clip_grad_norm([x, y], max_norm=1.0)
    5.0
    >>> round(x.grad, 6), round(y.grad, 6)
    (0.6, 0.8)
    """
    positive("clip_grad_norm(max_norm)", max_norm)
    values, grad = _gradients("clip_grad_norm", parameters)
    norm = float(np.linalg.norm(grad))
    if norm + 1e-6 > max_norm:
        module.scatter_grads(values, grad * (max_norm / (norm + 1e-6)))
    return norm


def clip_grad_value(parameters: Iterable[Value], clip_value: float) -> None:
    """Cut each gradient to the interval from ``-clip_value`` to ``clip_value``.

    Parameters
    ----------
    parameters : iterable of Value
        Those whose gradients to cut, such as ``model.parameters()``.
    clip_value : float
        Greater than 0.

    Examples
    --------
    >>> from fastgrad import Value, optim
    >>> x, y = Value(0.0), Value(0.0)
    >>> x.grad, y.grad = 3.0, -0.25
    >>> optim.clip_grad_value([x, y], 0.5)
    >>> x.grad, y.grad
    (0.5, -0.25)
    """
    positive("clip_grad_value(clip_value)", clip_value)
    values, grad = _gradients("clip_grad_value", parameters)
    module.scatter_grads(values, np.clip(grad, -clip_value, clip_value))


def _gradients(where: str, parameters: Iterable[Value]) -> tuple[tuple[Value, ...], Floats]:
    expected = f"{where}(parameters): expected Values such as model.parameters()"
    if isinstance(parameters, Value) or not isinstance(parameters, Iterable):
        raise TypeError(f"{expected}, got {parameters!r:.60}")
    values = tuple({id(p): p for p in parameters}.values())
    for p in values:
        if not isinstance(p, Value):
            raise TypeError(f"{expected}, got {p!r:.60} among them")
    grad = np.empty(len(values))
    module.gather_grads(values, grad)
    return values, grad
