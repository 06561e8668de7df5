"""Neurons, layers and multi-layer perceptrons built from Values: a drop-in for ``micrograd.nn``.

Weights come from Python's ``random`` in micrograd's order, so a seeded model starts equal there and here. Each neuron
is one ``dot`` node, one sum and its activation, whatever its number of inputs.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from numbers import Real
from operator import methodcaller
from typing import Any

from ._backend import Value, module
from ._errors import is_real
from ._rules import ROWS

__all__ = ["MLP", "Layer", "Module", "Neuron"]

dot = module.dot


def _with_second(method: str) -> Callable[[Value, Any], Value]:
    return lambda total, alpha: methodcaller(method, alpha)(total)


_ROWS = [row for row in ROWS if row.kind == "MATH" and (len(row.operands) == 1 or row.default is not None)]
_ACTIVATIONS: dict[str, Callable[[Value], Value]] = {
    "linear": lambda total: total,
    **{name: methodcaller(row.method) for row in _ROWS for name in (row.name, row.method)},
}
_WITH_ALPHA: dict[str, Callable[[Value, Any], Value]] = {
    "sigmoid": lambda total, alpha: (alpha * total).sigmoid(),
    **{row.name: _with_second(row.method) for row in _ROWS if row.default is not None},
}
_SPELLING = {"relu": "ReLU", "elu": "ELU", "gelu": "GELU", "silu": "SiLU"}


class Module:
    """Base class of everything that has parameters.

    A subclass keeps its parameters in attributes (a Value, a Module, or lists, tuples, dicts and object arrays of
    them) and returns them from :meth:`parameters`.

    Examples
    --------
    >>> from fastgrad import Value
    >>> class Line(Module):
    ...     def __init__(self):
    ...         self.slope, self.offset = Value(2.0), Value(1.0)
    ...     def __call__(self, x):
    ...         return self.slope * x + self.offset
    ...     def parameters(self):
    ...         return [self.slope, self.offset]
    >>> line = Line()
    >>> line(3).backward()
    >>> line.slope.grad
    3.0
    >>> line.state_dict()
    {'slope': 2.0, 'offset': 1.0}
    """

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to 0.

        Examples
        --------
        >>> neuron = Neuron(2)
        >>> neuron.b.grad = 5.0
        >>> neuron.zero_grad()
        >>> neuron.b.grad
        0.0
        """
        for p in self.parameters():
            p.grad = 0.0

    def parameters(self) -> list[Value]:
        """Return the trainable Values, each once; a subclass overrides this.

        Examples
        --------
        >>> Module().parameters()
        []
        >>> len(Neuron(2).parameters())
        3
        """
        return []

    def state_dict(self) -> dict[str, Any]:
        """Return the data of all parameters under the names of the attributes that hold them.

        Returns
        -------
        dict
            For each attribute a float, or a list of floats where it is a list of parameters. It holds plain Python
            numbers only, so ``json.dump`` writes it exactly.

        Examples
        --------
        >>> import random
        >>> random.seed(0)
        >>> list(MLP(2, [2, 1]).state_dict())[:3]
        ['layers.0.neurons.0.w', 'layers.0.neurons.0.b', 'layers.0.neurons.1.w']
        >>> Neuron(2).state_dict()
        {'w': [0.5675971780695452, -0.3933745478421451], 'b': 0.0}
        """
        return {
            name: [p.data for p in held] if isinstance(held, list) else held.data
            for name, held in self._holders().items()
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Set the data of all parameters to what :meth:`state_dict` of an equal model returned.

        Parameters
        ----------
        state : mapping
            Exactly the names of ``self.state_dict()``, with as many numbers in each.

        Raises
        ------
        ValueError
            If names are missing or unexpected or sizes differ; all that is wrong is named, and nothing has changed.

        Examples
        --------
        >>> neuron = Neuron(2)
        >>> neuron.load_state_dict({"w": [1.0, 2.0], "b": 3.0})
        >>> neuron([1, 1]).relu().data
        6.0
        >>> neuron.load_state_dict({"w": [1.0], "bias": 3.0})
        Traceback (most recent call last):
            ...
        ValueError: Neuron.load_state_dict: missing 'b'; unexpected 'bias'; 'w': expected a list of 2, got a list of 1
        """
        holders = self._holders()
        new = {name: _numbers(name, state[name]) for name in holders if name in state}
        problems = _listed("missing", [name for name in holders if name not in state])
        problems += _listed("unexpected", [str(name) for name in state if name not in holders])
        problems += [
            f"{name!r}: expected {_size(holders[name])}, got {_size(numbers)}"
            for name, numbers in new.items()
            if _size(numbers) != _size(holders[name])
        ]
        if problems:
            raise ValueError(f"{type(self).__name__}.load_state_dict: {'; '.join(problems)}")
        for name, numbers in new.items():
            for p, number in zip(_as_list(holders[name]), _as_list(numbers), strict=True):
                p.data = number

    def _holders(self) -> dict[str, Value | list[Value]]:
        wanted = {id(p) for p in self.parameters()}
        holders = dict(_walk("", self, wanted))
        lost = len(wanted - {id(p) for held in holders.values() for p in _as_list(held)})
        if lost:
            raise TypeError(
                f"{type(self).__name__}.state_dict: {lost} of {len(wanted)} parameters() are in no attribute; "
                "keep each in an attribute: a Value, a Module, or a list, tuple, dict or object array of them"
            )
        return holders


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

    Examples
    --------
    >>> neuron = Neuron(3, activation="tanh")
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
        self, nin: int, nonlin: bool = True, *, activation: str = "relu", alpha: float | Value | None = None
    ) -> None:
        _check_activation(activation, alpha)
        self.w = [Value(random.uniform(-1, 1)) for _ in range(nin)]
        self.b = Value(0)
        self.nonlin = nonlin and activation != "linear"
        self.activation = activation
        self.alpha = alpha

    def __call__(self, x: Any) -> Value:
        row = x if isinstance(x, list) else _row(x)
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
            return _ACTIVATIONS[self.activation](total)
        return _WITH_ALPHA[self.activation](total, self.alpha)

    def parameters(self) -> list[Value]:
        """Return the weights, the bias and, where it is a Value, alpha.

        Examples
        --------
        >>> neuron = Neuron(1, activation="sigmoid", alpha=Value(2.0))
        >>> [p.data for p in neuron.parameters()][1:]
        [0.0, 2.0]
        """
        trained_alpha = [self.alpha] if self.nonlin and isinstance(self.alpha, Value) else []
        return [*self.w, self.b, *trained_alpha]

    def __repr__(self) -> str:
        words = (self.activation if self.nonlin else "linear").split("_")
        return f"{''.join(_SPELLING.get(word, word.capitalize()) for word in words)}Neuron({len(self.w)})"


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
    >>> layer = Layer(2, 3, activation="sigmoid", alpha=0.5)
    >>> layer
    Layer of [SigmoidNeuron(2), SigmoidNeuron(2), SigmoidNeuron(2)]
    >>> len(layer([0.0, 0.0]))
    3
    >>> Layer(2, 1)([0.0, 0.0])
    Value(data=0.0, grad=0.0)
    """

    def __init__(self, nin: int, nout: int, **kwargs: Any) -> None:
        self.neurons = [Neuron(nin, **kwargs) for _ in range(nout)]

    def __call__(self, x: Any) -> Any:
        row = _row(x)
        out = [neuron(row) for neuron in self.neurons]
        return out[0] if len(out) == 1 else out

    def parameters(self) -> list[Value]:
        """Return the parameters of all neurons in order; one that they share comes once.

        Examples
        --------
        >>> len(Layer(2, 3).parameters())
        9
        """
        return _once(self.neurons)

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
        ``activation`` and ``alpha`` of the hidden layers, as for :class:`Neuron`.

    Examples
    --------
    >>> import random
    >>> random.seed(1)
    >>> model = MLP(2, [2, 1], activation="tanh")
    >>> model
    MLP of [Layer of [TanhNeuron(2), TanhNeuron(2)], Layer of [LinearNeuron(2)]]
    >>> y = model([1.0, -2.0])
    >>> y.backward()
    >>> len([p for p in model.parameters() if p.grad != 0])
    9
    """

    def __init__(self, nin: int, nouts: Sequence[int], **kwargs: Any) -> None:
        sizes = [nin, *nouts]
        last = len(nouts) - 1
        self.layers = [Layer(sizes[i], sizes[i + 1], nonlin=i != last, **kwargs) for i in range(len(nouts))]

    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x

    def parameters(self) -> list[Value]:
        """Return the parameters of all layers in order; one that they share comes once.

        Examples
        --------
        >>> len(MLP(2, [16, 16, 1]).parameters())
        337
        """
        return _once(self.layers)

    def __repr__(self) -> str:
        return f"MLP of [{', '.join(str(layer) for layer in self.layers)}]"


def _row(x: Any) -> list[Any]:
    """Return the inputs as a list; a single Value or number is a row of one."""
    if isinstance(x, (Value, Real)):
        return [x]
    if getattr(x, "ndim", 1) != 1:
        raise ValueError(f"expected one row of inputs, got an array of shape {x.shape}; call the model on each row")
    return list(_plain(x))


def _plain(x: Any) -> Any:
    """Return an array as lists, for which the engine is faster, and anything else as it is."""
    return x.tolist() if hasattr(x, "tolist") else x


def _once(modules: Iterable[Module]) -> list[Value]:
    return list({id(p): p for module in modules for p in module.parameters()}.values())


def _check_activation(activation: str, alpha: float | Value | None) -> None:
    if activation not in _ACTIVATIONS:
        raise ValueError(f"activation: expected one of {', '.join(sorted(_ACTIVATIONS))}; got {activation!r}")
    if alpha is not None and activation not in _WITH_ALPHA:
        raise ValueError(f"alpha: only {', '.join(sorted(_WITH_ALPHA))} take it, not {activation!r}")


def _walk(name: str, held: object, wanted: set[int]) -> Iterator[tuple[str, Value | list[Value]]]:
    """Yield the attribute name of each wanted Value, or list of wanted Values, in and below what is held."""
    held = _plain(held)
    if isinstance(held, Value):
        if id(held) in wanted:
            yield name, held
        return
    if isinstance(held, (list, tuple)):
        if held and all(isinstance(item, Value) and id(item) in wanted for item in held):
            yield name, list(held)
            return
        held = dict(enumerate(held))
    below = vars(held) if isinstance(held, Module) else held
    if isinstance(below, dict):
        for key, item in below.items():
            yield from _walk(f"{name}.{key}" if name else str(key), item, wanted)


def _numbers(name: str, given: Any) -> float | list[float]:
    plain = _plain(given)
    if is_real(plain):
        return float(plain)
    if isinstance(plain, (list, tuple)) and all(map(is_real, plain)):
        return [float(number) for number in plain]
    raise ValueError(f"load_state_dict: {name!r}: expected a number or a list of numbers, got {given!r}")


def _as_list(held: Any) -> list[Any]:
    return held if isinstance(held, list) else [held]


def _size(held: object) -> str:
    return f"a list of {len(held)}" if isinstance(held, list) else "a number"


def _listed(what: str, names: list[str]) -> list[str]:
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return [f"{what} {', '.join(map(repr, names[:10]))}{more}"] if names else []
