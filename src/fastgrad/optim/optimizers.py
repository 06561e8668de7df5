"""Optimizers: what moves parameters along their gradients, all of them in one pass over arrays.

The formulas, names and defaults are PyTorch's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from .._backend import Value
from .base import Floats, Optimizer, betas, count, flag, fraction, not_negative

__all__ = ["SGD", "Adam", "AdamW", "RMSprop"]


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum [P64]_ or Nesterov's [SMDH13]_, and weight decay.

    One step is ``g = grad + weight_decay * data``, ``velocity = momentum * velocity + g``,
    ``data = data - lr * velocity``; with ``nesterov`` it is ``data = data - lr * (g + momentum * velocity)``.

    Parameters
    ----------
    parameters : iterable of Value
        What to train, such as ``model.parameters()``. One that comes twice is moved once.
    lr : float
        Learning rate; assign to ``optimizer.lr`` to change it during training.
    momentum, weight_decay : float
        0 or more.
    nesterov : bool
        Whether the step looks ahead; it needs a momentum.

    References
    ----------
    .. [P64] B. T. Polyak, "Some methods of speeding up the convergence of iteration methods", USSR Computational
       Mathematics and Mathematical Physics 4(5), 1964.
    .. [SMDH13] I. Sutskever, J. Martens, G. Dahl and G. Hinton, "On the importance of initialization and momentum in
       deep learning", ICML 2013.

    Examples
    --------
    >>> from fastgrad import Value, optim
    >>> x = Value(1.0)
    >>> optimizer = optim.SGD([x], lr=0.25)
    >>> for _ in range(3):
    ...     optimizer.zero_grad()
    ...     ((x - 3.0) ** 2).backward()
    ...     optimizer.step()
    >>> x.data
    2.75
    """

    settings: ClassVar[Mapping[str, Callable[[str, Any], Any]]] = {
        "lr": not_negative,
        "momentum": not_negative,
        "weight_decay": not_negative,
        "nesterov": flag,
    }
    kept = ("velocity",)
    momentum: float
    weight_decay: float
    nesterov: bool

    def __init__(
        self,
        parameters: Iterable[Value],
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        if nesterov and not momentum:
            raise ValueError("SGD(nesterov): it needs a momentum greater than 0")
        super().__init__(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov)

    def update(self, data: Floats, grad: Floats) -> None:
        if self.weight_decay:
            grad = grad + self.weight_decay * data
        if self.momentum:
            velocity = self._kept["velocity"] = self.momentum * self._kept["velocity"] + grad
            grad = grad + self.momentum * velocity if self.nesterov else velocity
        data -= self.lr * grad


class Adam(Optimizer):
    """Adaptive moments [KB15]_: each parameter's step is as long as its gradients are alike.

    One step is ``g = grad + weight_decay * data``, ``m = beta1 * m + (1 - beta1) * g``,
    ``v = beta2 * v + (1 - beta2) * g**2``, and, with ``m`` and ``v`` divided by ``1 - beta**steps`` because they began
    as 0, ``data = data - lr * m / (sqrt(v) + eps)``.

    Parameters
    ----------
    parameters : iterable of Value
        What to train, such as ``model.parameters()``.
    lr : float
        Learning rate; assign to ``optimizer.lr`` to change it during training.
    betas : pair of float
        How much of the means of gradients and of their squares is kept from step to step.
    eps : float
        Added to the root, against division by 0.
    weight_decay : float
        0 or more; `AdamW` has the better one.

    References
    ----------
    .. [KB15] D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.

    Examples
    --------
    >>> from fastgrad import Value, optim
    >>> x = Value(1.0)
    >>> optimizer = optim.Adam([x], lr=0.1)
    >>> for _ in range(200):
    ...     optimizer.zero_grad()
    ...     ((x - 3.0) ** 2).backward()
    ...     optimizer.step()
    >>> abs(x.data - 3.0) < 1e-3
    True
    """

    settings: ClassVar[Mapping[str, Callable[[str, Any], Any]]] = {
        "lr": not_negative,
        "betas": betas,
        "eps": not_negative,
        "weight_decay": not_negative,
        "steps": count,
    }
    kept = ("mean", "square")
    betas: tuple[float, float]
    eps: float
    weight_decay: float
    steps: int

    def __init__(
        self,
        parameters: Iterable[Value],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, steps=0)

    def update(self, data: Floats, grad: Floats) -> None:
        if self.weight_decay:
            grad = grad + self.weight_decay * data
        self._move(data, grad)

    def _move(self, data: Floats, grad: Floats) -> None:
        self.steps += 1
        (beta1, beta2), mean, square = self.betas, self._kept["mean"], self._kept["square"]
        mean *= beta1
        mean += (1.0 - beta1) * grad
        square *= beta2
        square += (1.0 - beta2) * grad * grad
        root = np.sqrt(square) / (1.0 - beta2**self.steps) ** 0.5 + self.eps
        data -= self.lr / (1.0 - beta1**self.steps) * mean / root


class AdamW(Adam):
    """`Adam` whose weight decay is not part of the gradient [LH19]_: first ``data = data * (1 - lr * weight_decay)``.

    Parameters
    ----------
    parameters, lr, betas, eps
        As for `Adam`.
    weight_decay : float
        0 or more.

    References
    ----------
    .. [LH19] I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019.

    Examples
    --------
    >>> from fastgrad import Value, optim
    >>> x = Value(1.0)  # its gradient is 0
    >>> optim.AdamW([x], lr=0.5, weight_decay=0.5).step()
    >>> x.data
    0.75
    """

    def __init__(
        self,
        parameters: Iterable[Value],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay)

    def update(self, data: Floats, grad: Floats) -> None:
        data *= 1.0 - self.lr * self.weight_decay
        self._move(data, grad)


class RMSprop(Optimizer):
    """Gradients divided by the root of the mean of their squares [TH12]_, which fades as time goes on.

    One step is ``g = grad + weight_decay * data``, ``v = alpha * v + (1 - alpha) * g**2``, and
    ``data = data - lr * g / (sqrt(v) + eps)``. If ``centered``, the square of the mean of gradients is taken off ``v``
    [G13]_. With a momentum the quotient is added to ``momentum * velocity``, and ``lr`` times this sum is the step.

    Parameters
    ----------
    parameters : iterable of Value
        What to train, such as ``model.parameters()``.
    lr : float
        Learning rate; assign to ``optimizer.lr`` to change it during training.
    alpha : float
        How much of the mean of squares is kept from step to step.
    eps : float
        Added to the root, against division by 0.
    weight_decay, momentum : float
        0 or more.
    centered : bool
        Whether the variance takes the place of the mean square.

    References
    ----------
    .. [TH12] T. Tieleman and G. Hinton, "Lecture 6.5: RMSProp", Neural Networks for Machine Learning, Coursera 2012.
    .. [G13] A. Graves, "Generating sequences with recurrent neural networks", arXiv:1308.0850, 2013.

    Examples
    --------
    >>> from fastgrad import Value, optim
    >>> x = Value(1.0)
    >>> optimizer = optim.RMSprop([x], lr=0.01)
    >>> for _ in range(300):
    ...     optimizer.zero_grad()
    ...     ((x - 3.0) ** 2).backward()
    ...     optimizer.step()
    >>> abs(x.data - 3.0) < 0.1
    True
    """

    settings: ClassVar[Mapping[str, Callable[[str, Any], Any]]] = {
        "lr": not_negative,
        "alpha": fraction,
        "eps": not_negative,
        "weight_decay": not_negative,
        "momentum": not_negative,
        "centered": flag,
    }
    kept = ("square", "mean", "velocity")
    alpha: float
    eps: float
    weight_decay: float
    momentum: float
    centered: bool

    def __init__(
        self,
        parameters: Iterable[Value],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        super().__init__(
            parameters, lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered
        )

    def update(self, data: Floats, grad: Floats) -> None:
        if self.weight_decay:
            grad = grad + self.weight_decay * data
        square, mean, velocity = (self._kept[name] for name in self.kept)
        square *= self.alpha
        square += (1.0 - self.alpha) * grad * grad
        variance = square
        if self.centered:
            mean *= self.alpha
            mean += (1.0 - self.alpha) * grad
            variance = np.maximum(square - mean * mean, 0.0)  # rounding may make it negative
        direction = grad / (np.sqrt(variance) + self.eps)
        if self.momentum:
            velocity *= self.momentum
            velocity += direction
            direction = velocity
        data -= self.lr * direction
