"""The problems of the compiled benchmarks: programs of scalars, and the arrays that they run on.

A program is written once, for any number type that has operators; what has no operator comes in a *kit* ``m``. Its
arguments are those of a NumPy generalised-ufunc signature: some arrays hold a row each, others are shared by all rows.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Problem(NamedTuple):
    """A function of scalars and lists, the rows to run it on, and what is wanted of it."""

    name: str
    program: Callable[..., Any]  # of a kit and the arguments; returns a number
    signature: str
    shared: tuple[int, ...]  # arguments that have no rows
    wrt: tuple[int, ...]  # arguments whose gradient is wanted
    rows: int
    data: Callable[[int], tuple[Array, ...]]
    summed: bool = False  # value and gradient of the sum over the rows
    rate: float = 0.0  # if not 0, a run is a training step on the mean: argument 0 -= rate * gradient
    row: bool = False  # also run on the first row alone

    def sizes(self) -> list[int | None]:
        """Return how many numbers a row of each argument has; None for an argument that is no list."""
        cores = re.findall(r"\(([^)]*)\)", self.signature.split("->")[0])
        return [array.shape[-1] if core else None for core, array in zip(cores, self.data(1), strict=True)]

    def width(self) -> int:
        """Return how many numbers a row's gradient has."""
        sizes = self.sizes()
        return sum(sizes[i] or 1 for i in self.wrt)

    def first(self, data: Sequence[Array]) -> list[Array]:
        """Return the arguments of the first row."""
        return [array if i in self.shared else array[0] for i, array in enumerate(data)]


def black_scholes(m: Any, s: Any, k: Any, r: Any, sigma: Any, t: Any) -> Any:
    """Return the price of a European call."""
    deviation = sigma * m.sqrt(t)
    d1 = (m.log(s / k) + (r + 0.5 * sigma * sigma) * t) / deviation
    return s * m.ndtr(d1) - k * m.exp(-r * t) * m.ndtr(d1 - deviation)


def options(rows: int) -> tuple[Array, ...]:
    """Return spot, strike, rate, volatility and time to maturity of as many options."""
    draw = np.random.default_rng(1)
    ranges = ((80.0, 120.0), (80.0, 120.0), (0.01, 0.05), (0.1, 0.5), (0.1, 2.0))
    return tuple(draw.uniform(*ends, rows) for ends in ranges)


def rosenbrock(m: Any, x: Sequence[Any]) -> Any:
    """Return Rosenbrock's function of n variables."""
    return m.sum([100.0 * (b - a * a) ** 2 + (1.0 - a) ** 2 for a, b in pairwise(x)])


def points(n: int) -> Callable[[int], tuple[Array]]:
    """Return a function that draws as many points of n coordinates."""
    return lambda rows: (np.random.default_rng(2).uniform(-2.0, 2.0, (rows, n)),)


LAYERS = ((2, 16), (16, 16), (16, 1))  # inputs and outputs
PARAMETERS = sum((inputs + 1) * outputs for inputs, outputs in LAYERS)


def neurons(m: Any, p: Sequence[Any], x: Sequence[Any], activation: Callable[[Any], Any]) -> Any:
    """Return the output of a network 2-16-16-1; the parameters are in micrograd's order, neuron by neuron."""
    start = 0
    for inputs, outputs in LAYERS:
        end = start + outputs * (inputs + 1)
        rows = [p[i : i + inputs + 1] for i in range(start, end, inputs + 1)]
        x = [m.dot(row[:-1], x) + row[-1] for row in rows]
        x = list(map(activation, x)) if outputs > 1 else x
        start = end
    return x[0]


def network(m: Any, p: Sequence[Any], x: Sequence[Any], y: Any) -> Any:
    """Return the squared error of a network with tanh."""
    return (neurons(m, p, x, m.tanh) - y) ** 2


def moons(m: Any, p: Sequence[Any], x: Sequence[Any], y: Any) -> Any:
    """Return the loss of one sample in micrograd's demo: max-margin, and L2 on the parameters."""
    return m.relu(1.0 - y * neurons(m, p, x, m.relu)) + 1e-4 * m.dot(p, p)


def samples(rows: int) -> tuple[Array, ...]:
    """Return the parameters of a network, points of the plane, and their labels -1 and 1."""
    draw = np.random.default_rng(3)
    x = draw.uniform(-1.0, 1.0, (rows, 2))
    return draw.uniform(-1.0, 1.0, PARAMETERS), x, np.where(x[:, 0] * x[:, 1] > 0.0, 1.0, -1.0)


STEPS = 252


def asian(m: Any, s: Any, k: Any, r: Any, sigma: Any, t: Any, shocks: Sequence[Any]) -> Any:
    """Return the discounted payoff of an arithmetic Asian call on one path of geometric Brownian motion."""
    dt = t / float(STEPS)
    drift, deviation = (r - 0.5 * sigma * sigma) * dt, sigma * m.sqrt(dt)
    total = 0.0
    for shock in shocks:
        s = s * m.exp(drift + deviation * shock)
        total = s + total
    return m.exp(-r * t) * m.relu(total * (1.0 / STEPS) - k)


def paths(rows: int) -> tuple[Array, ...]:
    """Return the option and the shocks of as many paths."""
    option = [np.array(x) for x in (100.0, 100.0, 0.05, 0.2, 1.0)]
    return (*option, np.random.default_rng(4).standard_normal((rows, STEPS)))


def turns() -> list[tuple[int, int, int, int]]:
    """Return which of 20 numbers each turn combines."""
    draw = random.Random(1337)
    return [(i % 20, draw.randrange(20), draw.randrange(20), draw.randrange(20)) for i in range(2000)]


TURNS = turns()


def operations(m: Any, x: Sequence[Any]) -> Any:
    """Return a function of 20 numbers in 10,000 operations: multiply, add, subtract, tanh, scale, and a sum."""
    x = list(x)
    for i, j, k, n in TURNS:
        x[i] = 0.75 * m.tanh(x[i] * x[j] + x[k] - x[n])
    return m.sum(x)


KINDS = 4


def west(m: Any, x: Sequence[Any]) -> Any:
    """Return a function of 100 numbers: the graph of Rogozhnikov's "Fastest Autograd in the West", 10,000 operations.

    The gradient of his last node underflows to zero before it reaches the inputs; that of every hundredth does not.
    """
    nodes = list(x)
    for turn in range(10_000):
        kind = turn % KINDS
        if kind == 0:
            nodes.append(m.softplus(nodes[-10]))
        elif kind == 1:
            nodes.append(m.sum(nodes[-30:-10:5]))
        elif kind == 2:
            nodes.append(nodes[-20] * nodes[-10])
        else:
            nodes.extend(m.softmax(nodes[-4:]))
    return m.sum(nodes[::-100])


def ramps(rows: int) -> tuple[Array]:
    """Return as many points of 100 coordinates that rise from 0 to 1."""
    return (np.linspace(0.0, 1.0, 100) + np.random.default_rng(5).uniform(0.0, 0.1, (rows, 100)),)


OPTION = "(),(),(),(),()"
PROBLEMS = {
    problem.name: problem
    for problem in (
        Problem("black_scholes", black_scholes, f"{OPTION}->()", (), (0, 1, 2, 3, 4), 10**6, options),
        Problem("rosenbrock", rosenbrock, "(n)->()", (), (0,), 10**5, points(100)),
        Problem("mlp", network, "(p),(n),()->()", (0,), (0,), 10**5, samples),
        Problem("mlp_sum", network, "(p),(n),()->()", (0,), (0,), 10**5, samples, summed=True),
        Problem("asian", asian, f"{OPTION},(n)->()", (0, 1, 2, 3, 4), (0, 1, 2, 3, 4), 10**5, paths),
        Problem("prepare", operations, "(n)->()", (), (0,), 64, points(20)),
        Problem("operations", operations, "(n)->()", (), (0,), 4096, points(20)),
        Problem("west", west, "(n)->()", (), (0,), 1024, ramps, row=True),
        Problem("call", rosenbrock, "(n)->()", (), (0,), 1, points(10), row=True),
        Problem("moons", moons, "(p),(n),()->()", (0,), (0,), 100, samples, summed=True, rate=0.1),
    )
}
