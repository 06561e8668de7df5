"""Neurons, layers and multi-layer perceptrons built from Values: a drop-in for ``micrograd.nn``.

Weights come from Python's ``random`` in micrograd's order, so a seeded model starts equal there and here. Each neuron
is one ``dot`` node, one sum and its activation, whatever its number of inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import methodcaller
from typing import Any

from .._backend import Value, module
from .._errors import at_least
from .._rules import ROWS
from .init import Generator, Initializer, draws, generator, initializer
from .module import Module, as_row, once

__all__ = ["MLP", "Layer", "Neuron"]

dot = module.dot


def _with_second(method: str) -> Callable[[Value, Any], Value]:
    return lambda total, alpha: methodcaller(method, alpha)(total)


_ROWS = [row for row in ROWS if row.kind == "MATH" and (len(row.operands) == 1 or row.default is not None)]
ACTIVATIONS: dict[str, Callable[[Value], Value]] = {
    "linear": lambda total: total,
    **{name: methodcaller(row.method) for row in _ROWS for name in (row.name, row.method)},
}
WITH_ALPHA: dict[str, Callable[[Value, Any], Value]] = {
    "sigmoid": lambda total, alpha: (alpha * total).sigmoid(),
    **{row.name: _with_second(row.method) for row in _ROWS if row.default is not None},
}
SPELLING = {"relu": "ReLU", "elu": "ELU", "gelu": "GELU", "silu": "SiLU"}


class Neuron(Module):
    """The activation of a weighted sum of inputs and a bias.

    Parameters
    ----------
    nin : int
        Number of inputs.
    nonlin : bool
        False leaves the activation out, as does ``activation="linear"``.
    activation : str
        ``"relu"``, ``"tanh"``, ``"sigmoid"``, ``"linear"`` or any other function of one number that a Value has as a
        method, such as ``"gelu"`` or ``"sin"``.
    alpha : float or Value, optional
        Slope of ``"sigmoid"``, which then is ``sigmoid(alpha * x)``, or parameter of ``"leaky_relu"`` and ``"elu"``.
        A Value is trained with the model: it is among its parameters.
    init : Initializer or str, optional
        What the weights are drawn from, such as ``"he_uniform"`` or ``nn.init.normal(0.02)``; without it from -1 to 1,
        as in micrograd. The bias begins as 0.
    rng : random.Random, numpy.random.Generator or int, optional
        What draws them, or a seed for it; without it Python's ``random``, which ``random.seed`` seeds.

    Examples
    --------
    >>> from fastgrad import nn
    >>> neuron = nn.Neuron(3, activation="tanh")
    >>> neuron
    TanhNeuron(3)
    >>> neuron.load_state_dict({"w": [1.0, 2.0, 3.0], "b": 0.0})
    >>> neuron([1.0, 1.0, -1.0]).data
    0.0
    >>> neuron([1.0, 1.0])
    Traceback (most recent call last):
        ...
    ValueError: TanhNeuron(3): expected 3 inputs, got 2
    """

    def __init__(
        self,
        nin: int,
        nonlin: bool = True,
        *,
        activation: str = "relu",
        alpha: float | Value | None = None,
        init: Initializer | str | None = None,
        rng: Generator = None,
    ) -> None:
        nin = at_least(f"{type(self).__name__}(nin)", nin, 1)
        check_activation(activation, alpha)
        self.w = [Value(x) for x in draws(init, generator(rng), nin, nin, 1)]
        self.b = Value(0)
        self.nonlin = nonlin and activation != "linear"
        self.activation = activation
        self.alpha = alpha

    def __call__(self, x: Any) -> Value:
        row = x if isinstance(x, list) else as_row(x)
        w = self.w
        if len(row) != len(w):
            raise ValueError(f"{self!r}: expected {len(w)} inputs, got {len(row)}")
        total: Value = dot(w, row) + self.b
        if self.nonlin and self.activation == "relu":  # the usual case, without two calls: a fifth of the whole time
            return total.relu()
        return self._activated(total)

    def _activated(self, total: Value) -> Value:
        if not self.nonlin:
            return total
        if self.alpha is None:
            return ACTIVATIONS[self.activation](total)
        return WITH_ALPHA[self.activation](total, self.alpha)

    def parameters(self) -> list[Value]:
        """Return the weights, the bias and, where it is a Value, alpha.

        Examples
        --------
        >>> from fastgrad import Value, nn
        >>> neuron = nn.Neuron(1, activation="sigmoid", alpha=Value(2.0))
        >>> [p.data for p in neuron.parameters()][1:]
        [0.0, 2.0]
        """
        trained_alpha = [self.alpha] if self.nonlin and isinstance(self.alpha, Value) else []
        return [*self.w, self.b, *trained_alpha]

    def __repr__(self) -> str:
        words = (self.activation if self.nonlin else "linear").split("_")
        return f"{''.join(SPELLING.get(word, word.capitalize()) for word in words)}Neuron({len(self.w)})"


class Layer(Module):
    """Neurons that all see the same inputs.

    Parameters
    ----------
    nin, nout : int
        Number of inputs and of neurons.
    **kwargs
        Passed to each :class:`Neuron`.

    Examples
    --------
    >>> from fastgrad import nn
    >>> layer = nn.Layer(2, 3, activation="sigmoid", alpha=0.5)
    >>> layer
    Layer of [SigmoidNeuron(2), SigmoidNeuron(2), SigmoidNeuron(2)]
    >>> len(layer([0.0, 0.0]))
    3
    >>> nn.Layer(2, 1)([0.0, 0.0])
    Value(data=0.0, grad=0.0)
    """

    def __init__(self, nin: int, nout: int, **kwargs: Any) -> None:
        nin, nout = at_least("Layer(nin)", nin, 1), at_least("Layer(nout)", nout, 1)
        init, rng = initializer(kwargs.pop("init", None)), generator(kwargs.pop("rng", None))
        self.neurons = [
            Neuron(nin, **kwargs, init=lambda rng, nin, _: init(rng, nin, nout), rng=rng) for _ in range(nout)
        ]

    def __call__(self, x: Any) -> Any:
        row = as_row(x)
        out = [neuron(row) for neuron in self.neurons]
        return out[0] if len(out) == 1 else out

    def parameters(self) -> list[Value]:
        """Return the parameters of all neurons in order; one that they share comes once.

        Examples
        --------
        >>> from fastgrad import nn
        >>> len(nn.Layer(2, 3).parameters())
        9
        """
        return once(self.neurons)

    def __repr__(self) -> str:
        return f"Layer of [{', '.join(str(neuron) for neuron in self.neurons)}]"


class MLP(Module):
    """Multi-layer perceptron: layers in a row, the last one linear.

    Parameters
    ----------
    nin : int
        Number of inputs.
    nouts : sequence of int
        Number of neurons in each layer.
    **kwargs
        ``activation`` and ``alpha`` of the hidden layers, ``init`` and ``rng``, as for :class:`Neuron`.

    Examples
    --------
    >>> import random
    >>> from fastgrad import nn
    >>> random.seed(1)
    >>> model = nn.MLP(2, [2, 1], activation="tanh")
    >>> model
    MLP of [Layer of [TanhNeuron(2), TanhNeuron(2)], Layer of [LinearNeuron(2)]]
    >>> y = model([1.0, -2.0])
    >>> y.backward()
    >>> len([p for p in model.parameters() if p.grad != 0])
    9
    """

    def __init__(self, nin: int, nouts: Sequence[int], **kwargs: Any) -> None:
        if not isinstance(nouts, Iterable) or isinstance(nouts, str) or not (nouts := list(nouts)):
            raise ValueError(f"MLP(nouts): expected the sizes of the layers such as [16, 16, 1], got {nouts!r}")
        sizes = [nin, *nouts]
        last = len(nouts) - 1
        kwargs["rng"] = generator(kwargs.get("rng"))  # one for all layers, also where a seed is given
        self.layers = [Layer(sizes[i], sizes[i + 1], nonlin=i != last, **kwargs) for i in range(len(nouts))]

    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x

    def parameters(self) -> list[Value]:
        """Return the parameters of all layers in order; one that they share comes once.

        Examples
        --------
        >>> from fastgrad import nn
        >>> len(nn.MLP(2, [16, 16, 1]).parameters())
        337
        """
        return once(self.layers)

    def __repr__(self) -> str:
        return f"MLP of [{', '.join(str(layer) for layer in self.layers)}]"


def check_activation(activation: str, alpha: float | Value | None) -> None:
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation: expected one of {', '.join(sorted(ACTIVATIONS))}; got {activation!r}")
    if alpha is not None and activation not in WITH_ALPHA:
        raise ValueError(f"alpha: only {', '.join(sorted(WITH_ALPHA))} take it, not {activation!r}")
