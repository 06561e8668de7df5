"""Value and gradient of the problems by hand in NumPy: a column of the report, and what the others are compared with.

Each function takes the problem's arrays and returns values and gradients, one of each for every row, or of the sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from problems import KINDS, LAYERS, STEPS, TURNS, Array

try:
    from scipy.special import ndtr
except ImportError:  # then it is there to compare with, and no column

    def ndtr(x: Array) -> Array:
        """Return the normal distribution function."""
        return np.array([0.5 * math.erfc(v * -math.sqrt(0.5)) for v in x.tolist()])


Results = tuple[Array, Array]
BLOCK = 4096  # rows at a time, so that intermediate arrays stay in the cache


def black_scholes(*option: Array, out: Results | None = None) -> Results:
    """Return prices and sensitivities by their closed forms."""
    rows = len(option[0])
    price, greeks = out or (np.empty(rows), np.empty((rows, 5)))
    for start in range(0, rows, BLOCK):
        part = slice(start, start + BLOCK)
        s, k, r, sigma, t = (x[part] for x in option)
        delta, strike, rho, vega, theta = greeks[part].T
        root = np.sqrt(t)
        d1 = (np.log(s / k) + (r + 0.5 * sigma * sigma) * t) / (sigma * root)
        delta[:] = ndtr(d1)
        strike[:] = -np.exp(-r * t) * ndtr(d1 - sigma * root)
        claim = k * strike
        price[part] = s * delta + claim
        rho[:] = -claim * t
        vega[:] = s * np.exp(-0.5 * d1 * d1) * (1.0 / math.sqrt(2.0 * math.pi)) * root
        theta[:] = vega * sigma / (2.0 * t) - r * claim
    return price, greeks


def rosenbrock(x: Array, out: Results | None = None) -> Results:
    """Return Rosenbrock's function and its gradient."""
    value, gradient = out or (np.empty(len(x)), np.empty(x.shape))
    for start in range(0, len(x), BLOCK // 16):
        part = slice(start, start + BLOCK // 16)
        a, g = x[part, :-1], gradient[part]
        u, v = x[part, 1:] - a * a, 1.0 - a
        value[part] = 100.0 * np.einsum("ij,ij->i", u, u) + np.einsum("ij,ij->i", v, v)
        g[:, -1] = 0.0
        g[:, :-1] = -400.0 * a * u - 2.0 * v
        g[:, 1:] += 200.0 * u
    return value, gradient


def rosenbrock_row(x: Array) -> tuple[float, Array]:
    """Return Rosenbrock's function and its gradient at one point."""
    a = x[:-1]
    u, v = x[1:] - a * a, 1.0 - a
    gradient = np.zeros(len(x))
    gradient[:-1] = -400.0 * a * u - 2.0 * v
    gradient[1:] += 200.0 * u
    return 100.0 * (u @ u) + v @ v, gradient


def weights(p: Array) -> list[Array]:
    """Return the parameters of each layer as a matrix, a neuron in a row, the bias last."""
    ends = np.cumsum([(inputs + 1) * outputs for inputs, outputs in LAYERS])
    return [part.reshape(outputs, -1) for part, (_, outputs) in zip(np.split(p, ends[:-1]), LAYERS, strict=True)]


Pull = Callable[[Array], tuple[list[Array], list[Array]]]


def forward(p: Array, x: Array, tanh: bool) -> tuple[Array, Pull]:
    """Return the network's outputs, and what turns their adjoints into each layer's inputs and adjoints."""
    matrices, inputs = weights(p), [x]
    for w in matrices[:-1]:
        z = inputs[-1] @ w[:, :-1].T + w[:, -1]
        inputs.append(np.tanh(z) if tanh else np.maximum(z, 0.0))
    output = inputs[-1] @ matrices[-1][0, :-1] + matrices[-1][0, -1]

    def pull(adjoint: Array) -> tuple[list[Array], list[Array]]:
        deltas = [adjoint[:, None]]
        for w, h in zip(matrices[:0:-1], inputs[:0:-1], strict=True):
            deltas.insert(0, (deltas[0] @ w[:, :-1]) * (1.0 - h * h if tanh else h > 0.0))
        return inputs, deltas

    return output, pull


def network(p: Array, x: Array, y: Array, out: Results | None = None) -> Results:
    """Return squared errors and each row's gradient."""
    value, gradient = out or (np.empty(len(y)), np.empty((len(y), len(p))))
    for start in range(0, len(y), BLOCK // 16):
        part = slice(start, start + BLOCK // 16)
        output, pull = forward(p, x[part], tanh=True)
        error = output - y[part]
        value[part] = error * error
        column = 0
        for h, delta in zip(*pull(2.0 * error), strict=True):
            block = gradient[part, column : column + delta.shape[1] * (h.shape[1] + 1)]
            block = block.reshape(len(error), delta.shape[1], h.shape[1] + 1)
            np.multiply(delta[:, :, None], h[:, None, :], out=block[:, :, :-1])
            block[:, :, -1] = delta
            column += delta.shape[1] * (h.shape[1] + 1)
    return value, gradient


def network_sum(p: Array, x: Array, y: Array) -> Results:
    """Return the sum of the squared errors and its gradient, by matrix products."""
    total, gradient = 0.0, np.zeros(len(p))
    for start in range(0, len(y), BLOCK):
        part = slice(start, start + BLOCK)
        output, pull = forward(p, x[part], tanh=True)
        error = output - y[part]
        total += error @ error
        gradient += products(*pull(2.0 * error))
    return np.array([total]), gradient[None]


def products(inputs: list[Array], deltas: list[Array]) -> Array:
    """Return the gradient of the sum over rows, in the order of the parameters."""
    parts = [np.c_[d.T @ h, d.sum(0)].ravel() for h, d in zip(inputs, deltas, strict=True)]
    return np.concatenate(parts)


def moons(p: Array, x: Array, y: Array) -> Results:
    """Return the sum of the losses in micrograd's demo and its gradient."""
    output, pull = forward(p, x, tanh=False)
    margin = 1.0 - y * output
    total = np.maximum(margin, 0.0).sum() + len(y) * 1e-4 * (p @ p)
    gradient = products(*pull(np.where(margin > 0.0, -y, 0.0))) + len(y) * 2e-4 * p
    return np.array([total]), gradient[None]


def asian(s0: Array, k: Array, r: Array, sigma: Array, t: Array, shocks: Array, out: Results | None = None) -> Results:
    """Return the payoff of each path and its sensitivities: each price on a path has them in closed form."""
    value, greeks = out or (np.empty(len(shocks)), np.empty((len(shocks), 5)))
    years = t / STEPS * np.arange(1, STEPS + 1)
    for start in range(0, len(shocks), BLOCK // 16):
        part = slice(start, start + BLOCK // 16)
        walk = np.cumsum(shocks[part], axis=1) * np.sqrt(t / STEPS)
        prices = s0 * np.exp((r - 0.5 * sigma * sigma) * years + sigma * walk)
        discount, average = np.exp(-r * t), prices.mean(axis=1)
        payoff = np.maximum(average - k, 0.0) * discount
        alive = np.where(payoff > 0.0, discount / STEPS, 0.0)
        by_years, by_walk = prices @ years, np.einsum("ij,ij->i", prices, walk)
        value[part], g = payoff, greeks[part]
        g[:, 0] = alive * STEPS * average / s0
        g[:, 1] = -alive * STEPS
        g[:, 2] = alive * by_years - t * payoff
        g[:, 3] = alive * (by_walk - sigma * by_years)
        g[:, 4] = alive * ((r - 0.5 * sigma * sigma) * by_years + 0.5 * sigma * by_walk) / t - r * payoff
    return value, greeks


def operations(x: Array) -> Results:
    """Return the function of 10,000 operations and its gradient: a loop forward and a loop back, over all rows."""
    now, tape = list(x.T.copy()), []
    for i, j, k, n in TURNS:
        h = np.tanh(now[i] * now[j] + now[k] - now[n])
        tape.append((now[i], now[j], h))
        now[i] = 0.75 * h
    adjoint = [np.ones(len(x)) for _ in now]
    for (i, j, k, n), (xi, xj, h) in zip(reversed(TURNS), reversed(tape), strict=True):
        d = adjoint[i] * (0.75 - 0.75 * h * h)
        adjoint[i] = np.zeros(len(x))
        adjoint[i] += d * xj
        adjoint[j] += d * xi
        adjoint[k] += d
        adjoint[n] -= d
    return np.sum(now, axis=0), np.stack(adjoint, axis=1)


def west(x: Array) -> Results:
    """Return the value and the gradient of the graph of 10,000 operations, over all rows; `at` says who made a node."""
    values, at = list(x.T.copy()), [-1] * x.shape[1]
    for turn in range(10_000):
        kind, size = turn % KINDS, len(values)
        at.extend([size] * (4 if kind == 3 else 1))
        if kind == 0:
            values.append(np.logaddexp(0.0, values[-10]))
        elif kind == 1:
            values.append(sum(values[-30:-10:5]))
        elif kind == 2:
            values.append(values[-20] * values[-10])
        else:
            last = np.array(values[-4:])
            powers = np.exp(last - last.max(axis=0))
            values.extend(powers / powers.sum(axis=0))
    chosen = range(len(values) - 1, -1, -100)
    adjoints = np.zeros((len(values), len(x)))
    adjoints[chosen] = 1.0
    west_back(values, at, adjoints)
    return np.sum([values[i] for i in chosen], axis=0), adjoints[: x.shape[1]].T


def west_back(values: list[Any], at: list[int], adjoints: Array) -> None:
    """Pass the adjoints of all nodes on, from the last operation to the first."""
    i = len(values) - 1
    for turn in range(9_999, -1, -1):
        kind, i = turn % KINDS, at[i]
        d = adjoints[i]
        if kind == 0:
            adjoints[i - 10] += d / (1.0 + np.exp(-values[i - 10]))
        elif kind == 1:
            adjoints[range(i - 30, i - 10, 5)] += d
        elif kind == 2:
            adjoints[i - 20] += d * values[i - 10]
            adjoints[i - 10] += d * values[i - 20]
        else:
            shares, given = np.array(values[i : i + 4]), adjoints[i : i + 4]
            adjoints[i - 4 : i] += shares * (given - np.einsum("ij,ij->j", shares, given))
        i -= 1


BY_HAND: dict[str, Callable[..., Results]] = {
    "black_scholes": black_scholes,
    "rosenbrock": rosenbrock,
    "mlp": network,
    "mlp_sum": network_sum,
    "asian": asian,
    "prepare": operations,
    "operations": operations,
    "west": west,
    "call": rosenbrock,
    "moons": moons,
}
