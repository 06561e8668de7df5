"""Optimizers: what moves parameters along their gradients, all of them in one pass over arrays.

The formulas, names and defaults are PyTorch's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .._backend import Value, module
from .._errors import is_real

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "RMSprop"]

Floats = NDArray[np.float64]


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
        data, grad = np.empty((2, len(self.parameters)))
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

    def state_dict(self) -> dict[str, Any]:
        """Return what the next step depends on, besides the parameters, as plain Python numbers.

        ``json.dump`` writes them exactly, so that training goes on to the last bit.

        Examples
        --------
        >>> from fastgrad import Value, optim
        >>> optim.SGD([Value(1.0)], lr=0.5, momentum=0.9).state_dict()
        {'lr': 0.5, 'momentum': 0.9, 'weight_decay': 0.0, 'nesterov': False, 'velocity': [0.0]}
        """
        settings = {name: getattr(self, name) for name in self.settings}
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
    if not is_real(number) or not number >= 0.0:
        raise ValueError(f"{where}: expected a number of at least 0, got {number!r}")
    return float(number)


def _fraction(where: str, number: Any) -> float:
    if not is_real(number) or not 0.0 <= number < 1.0:
        raise ValueError(f"{where}: expected a number from 0 to 1, without 1, got {number!r}")
    return float(number)


def _betas(where: str, pair: Any) -> tuple[float, float]:
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise ValueError(f"{where}: expected a pair of numbers from 0 to 1, without 1, got {pair!r}")
    return _fraction(f"{where}[0]", pair[0]), _fraction(f"{where}[1]", pair[1])


def _flag(where: str, flag: Any) -> bool:
    if not isinstance(flag, bool):
        raise ValueError(f"{where}: expected True or False, got {flag!r}")
    return flag


def _count(where: str, count: Any) -> int:
    if not isinstance(count, int) or count < 0:
        raise ValueError(f"{where}: expected a whole number of at least 0, got {count!r}")
    return count


def _array(where: str, given: Any, size: int) -> Floats:
    array = np.array(given, np.float64)
    if array.shape != (size,):
        raise ValueError(f"{where}: expected a number for each of {size} parameters, got shape {array.shape}")
    return array


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
        "nesterov": _flag,
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
        """Change ``data`` in place by one step.

        Examples
        --------
        >>> import numpy as np
        >>> from fastgrad import Value, optim
        >>> data = np.array([1.0])
        >>> optim.SGD([Value(0.0)], lr=0.5).update(data, np.array([1.0]))
        >>> data
        array([0.5])
        """
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
        "betas": _betas,
        "eps": not_negative,
        "weight_decay": not_negative,
        "steps": _count,
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
        """Change ``data`` in place by one step.

        Examples
        --------
        >>> import numpy as np
        >>> from fastgrad import Value, optim
        >>> data = np.array([1.0])
        >>> optim.Adam([Value(0.0)], lr=0.5).update(data, np.array([7.0]))
        >>> data.round(6)
        array([0.5])
        """
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
        """Change ``data`` in place by one step.

        Examples
        --------
        >>> import numpy as np
        >>> from fastgrad import Value, optim
        >>> data = np.array([1.0])
        >>> optim.AdamW([Value(0.0)], lr=0.5, weight_decay=0.0).update(data, np.array([7.0]))
        >>> data.round(6)
        array([0.5])
        """
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
        "alpha": _fraction,
        "eps": not_negative,
        "weight_decay": not_negative,
        "momentum": not_negative,
        "centered": _flag,
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
        """Change ``data`` in place by one step.

        Examples
        --------
        >>> import numpy as np
        >>> from fastgrad import Value, optim
        >>> data = np.array([1.0])
        >>> optim.RMSprop([Value(0.0)], lr=0.5, alpha=0.75).update(data, np.array([7.0]))
        >>> data.round(6)
        array([0.])
        """
        if self.weight_decay:
            grad = grad + self.weight_decay * data
        square, mean, velocity = (self._kept[name] for name in self.kept)
        square *= self.alpha
        square += (1.0 - self.alpha) * grad * grad
        variance = square
        if self.centered:
            mean *= self.alpha
            mean += (1.0 - self.alpha) * grad
            variance = square - mean * mean
        direction = grad / (np.sqrt(variance) + self.eps)
        if self.momentum:
            velocity *= self.momentum
            velocity += direction
            direction = velocity
        data -= self.lr * direction


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
