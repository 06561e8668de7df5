"""What weights begin as: an initializer draws one number for a layer of given numbers of inputs and outputs.

A product of many random matrices neither grows nor vanishes if each keeps the variance of what it is given, which says
what the variance of the weights has to be [GB10]_, [HZRS15]_.

.. [GB10] X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks",
   AISTATS 2010: ``xavier_uniform``, ``xavier_normal``.
.. [HZRS15] K. He, X. Zhang, S. Ren and J. Sun, "Delving deep into rectifiers: surpassing human-level performance on
   ImageNet classification", ICCV 2015: ``he_uniform``, ``he_normal``.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from numbers import Integral
from typing import Any, TypeAlias

from .._errors import real

__all__ = ["constant", "he_normal", "he_uniform", "normal", "uniform", "xavier_normal", "xavier_uniform"]

#: Draws a weight: called with the generator, the number of inputs and the number of outputs of the layer.
Initializer: TypeAlias = Callable[[Any, int, int], float]
#: What draws, as random.Random and numpy.random.Generator do; or a seed; or None for Python's global generator.
Generator: TypeAlias = Any


def uniform(low: float = -1.0, high: float = 1.0) -> Initializer:
    """Draw evenly from an interval; as it stands, micrograd's.

    Examples
    --------
    >>> from fastgrad import nn
    >>> layer = nn.Linear(2, 1, init=nn.init.uniform(-0.1, 0.1), rng=0)
    >>> [round(w.data, 3) for w in layer.weight[0]]
    [0.069, 0.052]
    """
    return lambda rng, fan_in, fan_out: rng.uniform(low, high)


def normal(std: float = 1.0, mean: float = 0.0) -> Initializer:
    """Draw from a normal distribution.

    Examples
    --------
    >>> from fastgrad import nn
    >>> table = nn.Embedding(27, 16, init=nn.init.normal(0.08), rng=0)
    >>> len(table.parameters())
    432
    """
    return lambda rng, fan_in, fan_out: _normal(rng, mean, std)


def constant(value: float) -> Initializer:
    """Draw nothing: begin all alike.

    Examples
    --------
    >>> from fastgrad import nn
    >>> nn.Linear(1, 1, init=nn.init.constant(0.5))(2.0).data
    1.0
    """
    return lambda rng, fan_in, fan_out: value


def xavier_uniform(gain: float = 1.0) -> Initializer:
    """Draw evenly, with variance ``gain**2 * 2 / (inputs + outputs)``: for tanh, sigmoid and no activation.

    Examples
    --------
    >>> from fastgrad import nn
    >>> layer = nn.Linear(3, 3, init="xavier_uniform", rng=0)
    >>> max(abs(w.data) for row in layer.weight for w in row) < (6 / (3 + 3)) ** 0.5
    True
    """
    return lambda rng, fan_in, fan_out: _even(rng, gain * math.sqrt(2.0 / (fan_in + fan_out)))


def xavier_normal(gain: float = 1.0) -> Initializer:
    """Draw from a normal distribution with the variance of `xavier_uniform`.

    Examples
    --------
    >>> from fastgrad import nn
    >>> nn.Linear(3, 3, init=nn.init.xavier_normal(), rng=0)
    Linear(3, 3)
    """
    return lambda rng, fan_in, fan_out: _normal(rng, 0.0, gain * math.sqrt(2.0 / (fan_in + fan_out)))


def he_uniform(gain: float = math.sqrt(2.0)) -> Initializer:
    """Draw evenly, with variance ``gain**2 / inputs``: for ReLU and those like it.

    Examples
    --------
    >>> from fastgrad import nn
    >>> model = nn.MLP(3, [8, 1], init="he_uniform", rng=0)
    >>> len(model.parameters())
    41
    """
    return lambda rng, fan_in, fan_out: _even(rng, gain / math.sqrt(fan_in))


def he_normal(gain: float = math.sqrt(2.0)) -> Initializer:
    """Draw from a normal distribution with the variance of `he_uniform`.

    Examples
    --------
    >>> from fastgrad import nn
    >>> nn.Linear(3, 3, init=nn.init.he_normal(gain=1.0), rng=0)
    Linear(3, 3)
    """
    return lambda rng, fan_in, fan_out: _normal(rng, 0.0, gain / math.sqrt(fan_in))


_BY_NAME: dict[str, Callable[[], Initializer]] = {
    "uniform": uniform,
    "normal": normal,
    "xavier_uniform": xavier_uniform,
    "xavier_normal": xavier_normal,
    "he_uniform": he_uniform,
    "he_normal": he_normal,
}


def initializer(init: Initializer | str | None) -> Initializer:
    """Return the initializer of that name, or the one that is given; None is micrograd's."""
    if init is None:
        return uniform()
    if isinstance(init, str) and init in _BY_NAME:
        return _BY_NAME[init]()
    if callable(init):
        return init
    raise ValueError(f"init: expected an initializer or one of {', '.join(_BY_NAME)}; got {init!r}")


def generator(rng: Generator) -> Any:
    """Return what draws, as `Generator` says it is given."""
    if rng is None:
        return random
    if isinstance(rng, Integral) and not isinstance(rng, bool):
        return random.Random(int(rng))
    if hasattr(rng, "uniform") and hasattr(rng, "random"):
        return rng
    raise TypeError(f"rng: expected a random.Random, a numpy.random.Generator or a seed (int), got {rng!r}")


def draws(init: Initializer | str | None, rng: Any, count: int, fan_in: int, fan_out: int) -> list[float]:
    """Draw the numbers that a part of a layer begins with."""
    draw = initializer(init)
    numbers = [draw(rng, fan_in, fan_out) for _ in range(count)]
    return [float(x) if isinstance(x, float) else real("init: what the initializer returned", x) for x in numbers]


def _normal(rng: Any, mean: float, std: float) -> float:
    return float(rng.normal(mean, std) if hasattr(rng, "normal") else rng.normalvariate(mean, std))


def _even(rng: Any, std: float) -> float:
    bound = math.sqrt(3.0) * std
    return float(rng.uniform(-bound, bound))
