"""The base class of models, and what those of this package share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from numbers import Real
from typing import Any

import numpy as np

from .._backend import Value, module
from .._errors import is_real

__all__ = ["Module"]


class Module:
    """Base class of everything that has parameters.

    A subclass keeps its parameters in attributes (a Value, a Module, or lists, tuples, dicts and object arrays of
    them), and computes in ``__call__``, or in ``forward`` as in PyTorch.

    Examples
    --------
    >>> from fastgrad import Value, nn
    >>> class Line(nn.Module):
    ...     def __init__(self):
    ...         self.slope, self.offset = Value(2.0), Value(1.0)
    ...     def __call__(self, x):
    ...         return self.slope * x + self.offset
    >>> line = Line()
    >>> line(3).backward()
    >>> line.slope.grad
    3.0
    >>> line.state_dict()
    {'slope': 2.0, 'offset': 1.0}
    """

    forward: Callable[..., Any]
    training = True  # whether dropout drops; train() and eval() say so, for all modules below as well

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call ``forward``, where a subclass defines that and no ``__call__``.

        Raises
        ------
        NotImplementedError
            Where it defines neither.

        Examples
        --------
        >>> from fastgrad import nn
        >>> class Twice(nn.Module):
        ...     def forward(self, x):
        ...         return [2.0 * v for v in x]
        >>> Twice()([1.0, 2.0])
        [2.0, 4.0]
        """
        if not hasattr(self, "forward"):
            raise NotImplementedError(f"{type(self).__name__} has to define __call__(self, x) or forward(self, x)")
        return self.forward(*args, **kwargs)

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to 0.

        Examples
        --------
        >>> from fastgrad import nn
        >>> neuron = nn.Neuron(2)
        >>> neuron.b.grad = 5.0
        >>> neuron.zero_grad()
        >>> neuron.b.grad
        0.0
        """
        parameters = tuple(self.parameters())
        module.scatter_grads(parameters, np.zeros(len(parameters)))

    def parameters(self) -> list[Value]:
        """Return the trainable Values, each once.

        They are the Values in the attributes and the parameters of the modules there, in the order in which they were
        assigned; results of operations are left out. A subclass in which others are trained overrides this.

        Examples
        --------
        >>> from fastgrad import nn
        >>> nn.Module().parameters()
        []
        >>> len(nn.Neuron(2).parameters())
        3
        """
        return list({id(p): p for p in _parameters(vars(self))}.values())

    def modules(self) -> Iterator[Module]:
        """Yield this module and all that are in its attributes, and in theirs, each once.

        Examples
        --------
        >>> from fastgrad import nn
        >>> [type(m).__name__ for m in nn.MLP(2, [1]).modules()]
        ['MLP', 'Layer', 'Neuron']
        """
        yield from {id(m): m for m in _modules(self)}.values()

    def train(self, mode: bool = True) -> Module:
        """Say whether this model is being trained, to itself and to all modules in it; return it.

        Dropout drops in training alone. A compiled function has recorded the one or the other: compile one for each.

        Examples
        --------
        >>> from fastgrad import nn
        >>> model = nn.Sequential(nn.Dropout(0.5)).train(False)
        >>> model([1.0, 2.0])
        [1.0, 2.0]
        """
        for m in self.modules():
            m.training = mode
        return self

    def eval(self) -> Module:
        """Do the same as ``train(False)``.

        Examples
        --------
        >>> from fastgrad import nn
        >>> nn.Dropout(0.5).eval().training
        False
        """
        return self.train(False)

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
        >>> from fastgrad import nn
        >>> random.seed(0)
        >>> list(nn.MLP(2, [2, 1]).state_dict())[:3]
        ['layers.0.neurons.0.w', 'layers.0.neurons.0.b', 'layers.0.neurons.1.w']
        >>> nn.Neuron(2).state_dict()
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
        >>> from fastgrad import nn
        >>> neuron = nn.Neuron(2)
        >>> neuron.load_state_dict({"w": [1.0, 2.0], "b": 3.0})
        >>> neuron([1, 1]).relu().data
        6.0
        >>> neuron.load_state_dict({"w": [1.0], "bias": 3.0})
        Traceback (most recent call last):
            ...
        ValueError: Neuron.load_state_dict: missing 'b'; unexpected 'bias'; 'w': expected a list of 2, got a list of 1
        """
        if not isinstance(state, Mapping):
            where = f"{type(self).__name__}.load_state_dict"
            raise TypeError(f"{where}: expected what state_dict() returned, got {type(state).__name__}")
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


def as_row(x: Any) -> list[Any]:
    """Return the inputs as a list; a single Value or number is a row of one."""
    if isinstance(x, (Value, Real)):
        return [x]
    if getattr(x, "ndim", 1) > 1:
        raise ValueError(
            f"expected one row of inputs, got an array of shape {x.shape}; call the model on each row, or "
            f'fg.compile(model, signature="({x.shape[-1]})") on all'
        )
    row = plain(x)
    if getattr(x, "ndim", 1) == 0:
        return [row]
    if isinstance(row, (str, dict)) or not isinstance(row, Iterable):
        raise TypeError(f"expected a number, or numbers in a row, got {type(x).__name__} {x!r:.60}")
    row = list(row)
    if row and isinstance(row[0], (list, tuple, np.ndarray)):
        raise ValueError(
            f"expected one row of inputs, got {type(row[0]).__name__} as item 0; call the model on each row"
        )
    return row


def plain(x: Any) -> Any:
    """Return an array as lists, for which the engine is faster, and anything else as it is."""
    return x.tolist() if hasattr(x, "tolist") else x


def once(modules: Iterable[object]) -> list[Value]:
    return list({id(p): p for module in modules if isinstance(module, Module) for p in module.parameters()}.values())


def check_inputs(layer: object, row: list[Any], size: int) -> list[Any]:
    if len(row) != size:
        raise ValueError(f"{layer!r}: expected {size} inputs, got {len(row)}")
    return row


def _parameters(held: object) -> Iterator[Value]:
    if isinstance(held, Value):
        if not held._children:
            yield held
    elif isinstance(held, Module):
        yield from held.parameters()
    elif isinstance(held, dict):
        yield from _parameters(list(held.values()))
    elif isinstance(held, np.ndarray):
        if held.dtype == object:
            yield from _parameters(held.tolist())
    elif isinstance(held, (list, tuple)):
        for item in held:
            yield from _parameters(item)


def _modules(held: object) -> Iterator[Module]:
    if isinstance(held, Module):
        yield held
        held = vars(held)
    if isinstance(held, dict):
        held = list(held.values())
    if isinstance(held, (list, tuple)):
        for item in held:
            if not isinstance(item, Value):
                yield from _modules(item)


def _walk(name: str, held: object, wanted: set[int]) -> Iterator[tuple[str, Value | list[Value]]]:
    """Yield the attribute name of each wanted Value, or list of wanted Values, in and below what is held."""
    held = plain(held)
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
    numbers = plain(given)
    if is_real(numbers):
        return float(numbers)
    if isinstance(numbers, (list, tuple)) and all(map(is_real, numbers)):
        return [float(number) for number in numbers]
    raise ValueError(f"load_state_dict: {name!r}: expected a number or a list of numbers, got {given!r}")


def _as_list(held: Any) -> list[Any]:
    return held if isinstance(held, list) else [held]


def _size(held: object) -> str:
    return f"a list of {len(held)}" if isinstance(held, list) else "a number"


def _listed(what: str, names: list[str]) -> list[str]:
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return [f"{what} {', '.join(map(repr, names[:10]))}{more}"] if names else []
