"""Activations as modules, for `Sequential`: each maps a number to one, and a row of numbers to a list.

They are rows of the table of operations, under the names that PyTorch has for its modules.
"""

from __future__ import annotations

from typing import Any

from .._backend import Value
from .._errors import is_real
from ..functions import FUNCTIONS, softmax
from .module import Module, as_row
from .perceptron import check_activation

__all__ = [
    "ELU",
    "GELU",
    "Activation",
    "LeakyReLU",
    "ReLU",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
]


class Activation(Module):
    """Any function of one number that a Value has as a method, as a module.

    Parameters
    ----------
    activation : str
        Its name, as for :class:`Neuron`.
    alpha : float or Value, optional
        As for :class:`Neuron`: a Value is trained.

    Examples
    --------
    >>> from fastgrad import nn
    >>> nn.Activation("arctan")([0.0, 1.0])
    [0.0, 0.7853981633974483]
    >>> nn.Sequential(nn.Linear(2, 2), nn.Activation("softsign"))
    Sequential(Linear(2, 2), Activation('softsign'))
    """

    def __init__(self, activation: str, alpha: float | Value | None = None) -> None:
        check_activation(activation, alpha)
        self.activation = activation
        self.alpha = alpha

    def __call__(self, x: Any) -> Any:
        if isinstance(x, Value) or is_real(x):
            return self._of(x)
        return [self._of(v) for v in as_row(x)]

    def _of(self, x: Any) -> Any:
        if self.activation == "linear":
            return x
        function = FUNCTIONS[self.activation]
        if self.alpha is None:
            return function(x)
        return function(self.alpha * x) if self.activation == "sigmoid" else function(x, self.alpha)

    def parameters(self) -> list[Value]:
        """Return alpha where it is a Value.

        Examples
        --------
        >>> from fastgrad import Value, nn
        >>> len(nn.LeakyReLU(Value(0.1)).parameters())
        1
        """
        return [self.alpha] if isinstance(self.alpha, Value) else []

    def __repr__(self) -> str:
        name = repr(self.activation) if type(self) is Activation else ""
        alpha = "" if self.alpha is None else f"alpha={self.alpha!r}"
        return f"{type(self).__name__}({', '.join(filter(None, [name, alpha]))})"


class ReLU(Activation):
    """The greater of x and 0.

    Examples
    --------
    >>> from fastgrad import nn
    >>> nn.ReLU()([-1.0, 2.0])
    [0.0, 2.0]
    """

    def __init__(self) -> None:
        super().__init__("relu")


class Tanh(Activation):
    """Hyperbolic tangent.

    Examples
    --------
    >>> from fastgrad import nn
    >>> nn.Tanh()(0.0)
    0.0
    """

    def __init__(self) -> None:
        super().__init__("tanh")


class Sigmoid(Activation):
    """Logistic function ``1 / (1 + exp(-alpha * x))``.

    Examples
    --------
    >>> from fastgrad import nn
    >>> nn.Sigmoid()(0.0)
    0.5
    """

    def __init__(self, alpha: float | Value | None = None) -> None:
        super().__init__("sigmoid", alpha)


class GELU(Activation):
    """x times the normal distribution function of x (D. Hendrycks and K. Gimpel, arXiv:1606.08415).

    Examples
    --------
    >>> from fastgrad import nn
    >>> nn.GELU()(0.0)
    0.0
    """

    def __init__(self) -> None:
        super().__init__("gelu")


class SiLU(Activation):
    """x times the logistic function of x.

    Examples
    --------
    >>> from fastgrad import nn
    >>> nn.SiLU()(0.0)
    0.0
    """

    def __init__(self) -> None:
        super().__init__("silu")


class Softplus(Activation):
    """``log(1 + exp(x))``.

    Examples
    --------
    >>> from fastgrad import nn
    >>> round(nn.Softplus()(0.0), 6)
    0.693147
    """

    def __init__(self) -> None:
        super().__init__("softplus")


class LeakyReLU(Activation):
    """x where it is positive, else ``alpha * x``.

    Examples
    --------
    >>> from fastgrad import nn
    >>> nn.LeakyReLU(0.5)([-1.0, 2.0])
    [-0.5, 2.0]
    """

    def __init__(self, alpha: float | Value | None = None) -> None:
        super().__init__("leaky_relu", alpha)


class ELU(Activation):
    """x where it is positive, else ``alpha * (exp(x) - 1)``.

    Examples
    --------
    >>> from fastgrad import nn
    >>> nn.ELU()([-1000.0, 2.0])
    [-1.0, 2.0]
    """

    def __init__(self, alpha: float | Value | None = None) -> None:
        super().__init__("elu", alpha)


class Softmax(Module):
    """Exponentials of a row, divided by their sum, as `fastgrad.softmax` computes them.

    For training leave it out and use `cross_entropy`, which takes what stands before it and loses no digits.

    Examples
    --------
    >>> from fastgrad import nn
    >>> nn.Softmax()([1.0, 1.0])
    [0.5, 0.5]
    """

    def __call__(self, x: Any) -> list[Any]:
        return softmax(as_row(x))

    def __repr__(self) -> str:
        return "Softmax()"
