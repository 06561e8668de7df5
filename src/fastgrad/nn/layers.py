"""Layers built from Values, and `Sequential` to put them in a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .. import dot, mean, take, where
from .._backend import Value
from .._errors import at_least, is_real, not_negative
from .init import Generator, Initializer, draws, generator
from .module import Module, as_row, check_inputs, once
from .randomness import drawn

__all__ = ["Dropout", "Embedding", "LayerNorm", "Linear", "RMSNorm", "Sequential"]


class Sequential(Module):
    """Layers in a row: each gets what the one before returned.

    Parameters
    ----------
    *layers : Module or callable
        At least one.

    Examples
    --------
    >>> from fastgrad import nn
    >>> model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3), nn.Softmax())
    >>> model
    Sequential(Linear(2, 8), ReLU(), Linear(8, 3), Softmax())
    >>> len(model.parameters()), len(model([1.0, 2.0]))
    (51, 3)
    """

    def __init__(self, *layers: Callable[..., Any]) -> None:
        if not layers:
            raise ValueError("Sequential(*layers): expected at least one layer, got none")
        for i, layer in enumerate(layers):
            if not callable(layer):
                raise TypeError(f"Sequential(*layers): expected modules, got {type(layer).__name__} as layer {i}")
        self.layers = list(layers)

    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, i: int) -> Callable[..., Any]:
        return self.layers[i]

    def __iter__(self) -> Iterator[Callable[..., Any]]:
        return iter(self.layers)

    def parameters(self) -> list[Value]:
        """Return the parameters of all layers in order; one that they share comes once.

        Examples
        --------
        >>> from fastgrad import nn
        >>> len(nn.Sequential(nn.Linear(2, 8), nn.Linear(8, 1)).parameters())
        33
        """
        return once(self.layers)

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(_name, self.layers))})"


class Linear(Module):
    """Weighted sums of the inputs: a matrix times a row.

    Parameters
    ----------
    nin, nout : int
        Number of inputs and of outputs.
    bias : bool
        Whether a number is added to each output; it begins as 0.
    init : Initializer or str
        What the weights are drawn from, see :mod:`fastgrad.nn.init`.
    rng : random.Random, numpy.random.Generator or int, optional
        What draws them, or a seed for it; without it Python's ``random``.

    Attributes
    ----------
    weight : list of list of Value
        A row for each output.
    bias : list of Value
        Empty without bias.

    Examples
    --------
    >>> from fastgrad import nn
    >>> layer = nn.Linear(2, 3, rng=0)
    >>> len(layer([1.0, -1.0])), len(layer.parameters())
    (3, 9)
    >>> nn.Linear(2, 1, init="he_uniform")([0.0, 0.0])  # one output comes as it is, as from nn.Layer
    Value(data=0.0, grad=0.0)
    """

    def __init__(
        self,
        nin: int,
        nout: int,
        bias: bool = True,
        *,
        init: Initializer | str = "xavier_uniform",
        rng: Generator = None,
    ) -> None:
        self.nin, self.nout = at_least("Linear(nin)", nin, 1), at_least("Linear(nout)", nout, 1)
        self.weight = _matrix(nout, nin, init, generator(rng), nin, nout)
        self.bias = [Value(0.0) for _ in range(nout)] if bias else []

    def __call__(self, x: Any) -> Any:
        row = check_inputs(self, as_row(x), self.nin)
        out = [dot(weights, row) for weights in self.weight]
        if self.bias:
            out = [y + b for y, b in zip(out, self.bias, strict=True)]
        return out[0] if self.nout == 1 else out

    def parameters(self) -> list[Value]:
        """Return the weights, row by row, and the biases.

        Examples
        --------
        >>> from fastgrad import nn
        >>> len(nn.Linear(2, 3, bias=False).parameters())
        6
        """
        return [*(w for weights in self.weight for w in weights), *self.bias]

    def __repr__(self) -> str:
        return f"Linear({self.nin}, {self.nout}{'' if self.bias else ', bias=False'})"


class Embedding(Module):
    """A row of parameters for each of several things, which are called by their numbers.

    Rows are picked by `fastgrad.take`: in a compiled function the number may differ from row to row.

    Parameters
    ----------
    count : int
        How many things there are, numbered from 0 on.
    size : int
        How many parameters each of them has.
    init : Initializer or str
        What they are drawn from, see :mod:`fastgrad.nn.init`.
    rng : random.Random, numpy.random.Generator or int, optional
        What draws them, or a seed for it; without it Python's ``random``.

    Raises
    ------
    IndexError
        When it is called with a number that is out of range.

    Examples
    --------
    >>> from fastgrad import nn
    >>> table = nn.Embedding(27, 16)
    >>> table(3) == table.weight[3]
    True
    >>> table(27)
    Traceback (most recent call last):
        ...
    IndexError: take(index): 27 is out of range for a table of 27
    """

    def __init__(self, count: int, size: int, *, init: Initializer | str = "normal", rng: Generator = None) -> None:
        self.count, self.size = at_least("Embedding(count)", count, 1), at_least("Embedding(size)", size, 1)
        self.weight = _matrix(count, size, init, generator(rng), count, size)

    def __call__(self, index: Any) -> list[Any]:
        found: list[Any] = take(self.weight, index)
        return found

    def parameters(self) -> list[Value]:
        """Return the rows one behind the other.

        Examples
        --------
        >>> from fastgrad import nn
        >>> len(nn.Embedding(3, 2).parameters())
        6
        """
        return [w for row in self.weight for w in row]

    def __repr__(self) -> str:
        return f"Embedding({self.count}, {self.size})"


class RMSNorm(Module):
    """A row divided by the root of the mean of its squares, and then scaled by parameters [ZS19]_.

    Parameters
    ----------
    size : int
        Number of inputs.
    eps : float
        Added to the mean, so that a row of zeros stays one.
    affine : bool
        Whether there are parameters; they begin as 1.

    References
    ----------
    .. [ZS19] B. Zhang and R. Sennrich, "Root mean square layer normalization", NeurIPS 2019.

    Examples
    --------
    >>> from fastgrad import nn
    >>> nn.RMSNorm(2, eps=0.0, affine=False)([3.0, -3.0])
    [1.0, -1.0]
    """

    def __init__(self, size: int, eps: float = 1e-5, affine: bool = True) -> None:
        self.size, self.eps = at_least("RMSNorm(size)", size, 1), not_negative("RMSNorm(eps)", eps)
        self.weight = [Value(1.0) for _ in range(size)] if affine else []

    def __call__(self, x: Any) -> list[Any]:
        row = check_inputs(self, as_row(x), self.size)
        return _scaled(_normed(row, self.eps), self.weight)

    def parameters(self) -> list[Value]:
        """Return the scales.

        Examples
        --------
        >>> from fastgrad import nn
        >>> len(nn.RMSNorm(3).parameters())
        3
        """
        return list(self.weight)

    def __repr__(self) -> str:
        return f"RMSNorm({self.size})"


class LayerNorm(Module):
    """A row shifted to mean 0 and divided by its standard deviation, then scaled and shifted by parameters [BKH16]_.

    Parameters
    ----------
    size : int
        Number of inputs.
    eps : float
        Added to the variance, so that a row of equal numbers becomes zeros.
    affine : bool
        Whether there are parameters; scales begin as 1, shifts as 0.

    References
    ----------
    .. [BKH16] J. L. Ba, J. R. Kiros and G. E. Hinton, "Layer normalization", arXiv:1607.06450, 2016.

    Examples
    --------
    >>> from fastgrad import nn
    >>> nn.LayerNorm(2, eps=0.0, affine=False)([5.0, 1.0])
    [1.0, -1.0]
    """

    def __init__(self, size: int, eps: float = 1e-5, affine: bool = True) -> None:
        self.size, self.eps = at_least("LayerNorm(size)", size, 1), not_negative("LayerNorm(eps)", eps)
        self.weight = [Value(1.0) for _ in range(size)] if affine else []
        self.bias = [Value(0.0) for _ in range(size)] if affine else []

    def __call__(self, x: Any) -> list[Any]:
        row = check_inputs(self, as_row(x), self.size)
        center = mean(row)
        scaled = _scaled(_normed([v - center for v in row], self.eps), self.weight)
        return [v + b for v, b in zip(scaled, self.bias, strict=True)] if self.bias else scaled

    def parameters(self) -> list[Value]:
        """Return the scales and the shifts.

        Examples
        --------
        >>> from fastgrad import nn
        >>> len(nn.LayerNorm(3).parameters())
        6
        """
        return [*self.weight, *self.bias]

    def __repr__(self) -> str:
        return f"LayerNorm({self.size})"


class Dropout(Module):
    """In training sets each input to 0 with probability ``p``, and divides the others by ``1 - p`` [SHK14]_.

    After ``model.eval()`` it returns what it gets. In a compiled function the random numbers are an argument: see
    `noise`. `fastgrad.fit` takes care of both.

    Parameters
    ----------
    p : float
        From 0 to 1, without 1.
    rng : random.Random, numpy.random.Generator or int, optional
        What draws, or a seed for it; without it Python's ``random``.

    References
    ----------
    .. [SHK14] N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15, 2014.

    Examples
    --------
    >>> from fastgrad import nn
    >>> nn.Dropout(0.5, rng=1)([1.0, 1.0, 1.0, 1.0])
    [0.0, 2.0, 2.0, 0.0]
    """

    def __init__(self, p: float = 0.5, *, rng: Generator = None) -> None:
        if not is_real(p) or not 0.0 <= p < 1.0:
            raise ValueError(f"Dropout(p): expected a probability from 0 to 1, without 1, got {p!r}")
        self.p = float(p)
        self.rng = None if rng is None else generator(rng)

    def __call__(self, x: Any) -> Any:
        if not self.training or not self.p:
            return x
        row = as_row(x)
        scale = 1.0 / (1.0 - self.p)
        kept = [
            v * where(u < self.p, 0.0, scale) for v, u in zip(row, drawn(generator(self.rng), len(row)), strict=True)
        ]
        return kept[0] if isinstance(x, Value) else kept

    def __repr__(self) -> str:
        return f"Dropout({self.p})"


def _normed(row: list[Any], eps: float) -> list[Any]:
    scale = (dot(row, row) / len(row) + eps) ** -0.5
    return [v * scale for v in row]


def _scaled(row: list[Any], weights: list[Value]) -> list[Any]:
    return [v * w for v, w in zip(row, weights, strict=True)] if weights else row


def _matrix(rows: int, columns: int, init: Initializer | str, rng: Any, fan_in: int, fan_out: int) -> list[list[Value]]:
    return [[Value(x) for x in draws(init, rng, columns, fan_in, fan_out)] for _ in range(rows)]


def _name(layer: Callable[..., Any]) -> str:
    return repr(layer) if isinstance(layer, Module) else getattr(layer, "__name__", repr(layer))
