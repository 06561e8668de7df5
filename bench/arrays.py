"""The columns of the compiled benchmarks whose programs are in whole arrays: NumPy by hand, Dr.Jit, JAX, PyTorch.

JAX maps a program of one row over the rows; PyTorch gets all rows at once, the vectors of a row in the last axis, and
maps only where each row's gradient is wanted of arguments that all rows share. Both run the same text.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from by_hand import BY_HAND, Results, rosenbrock_row
from columns import LARGE, Column, kit
from problems import LAYERS, STEPS, Array, Problem, black_scholes


class Numpy(Column):
    """NumPy (and SciPy's normal distribution) with a gradient by hand."""

    package = "numpy"
    cannot = frozenset({"prepare"})

    def __init__(self, problem: Problem, data: Sequence[Array]) -> None:
        super().__init__(problem, data)
        self.function = BY_HAND[problem.name]
        fills = not problem.summed and problem.program.__name__ not in LARGE
        self.out = {"out": self.space()} if fills else {}

    def parts(self) -> dict[str, Callable[[], Any]]:
        return {part: run for part, run in super().parts().items() if part != "row" or self.problem.name == "call"}

    def batch(self) -> Any:
        return self.function(*self.data, **self.out)

    def row(self) -> Any:
        return rosenbrock_row(*self.first)


class Drjit(Column):
    """Dr.Jit's LLVM backend, without what it compiles for minutes and what is not for it: sums and single calls."""

    package = "drjit"
    modules = ("drjit.llvm.ad",)
    cannot = LARGE | {"prepare", "mlp_sum", "moons", "call"}

    def __init__(self, problem: Problem, data: Sequence[Array]) -> None:
        super().__init__(problem, data)
        self.dr = dr = importlib.import_module("drjit")
        self.llvm = importlib.import_module("drjit.llvm.ad")
        self.threads(1)
        self.m = kit(dr, relu=lambda x: dr.select(x > 0.0, x, 0.0))
        self.given = [self.columns(i) for i in range(len(self.data))]

    def columns(self, i: int) -> Any:
        """Return an argument as Dr.Jit's arrays: of the rows, or of the numbers that all rows share."""
        array = self.data[i]
        if i in self.problem.shared or self.sizes[i] is None:
            return self.llvm.Float64(array.reshape(-1))
        return [self.llvm.Float64(np.ascontiguousarray(column)) for column in array.T]

    def argument(self, i: int) -> Any:
        """Return an argument of the program; what rows share each reads for itself, to have a gradient of its own."""
        dr, given, size = self.dr, self.given[i], self.sizes[i]
        if i not in self.problem.shared:
            return type(given)(given)
        places = [dr.full(self.llvm.UInt32, j, self.rows) for j in range(size or 1)]
        numbers = [dr.gather(self.llvm.Float64, given, place) for place in places]
        return numbers if size else numbers[0]

    def batch(self) -> Any:
        dr = self.dr
        arguments = [self.argument(i) for i in range(len(self.data))]
        wanted = self.wanted(arguments)
        dr.enable_grad(wanted)
        value = self.problem.program(self.m, *arguments)
        dr.backward(value)
        results = [dr.detach(value), *map(dr.grad, wanted)]
        dr.eval(results)
        dr.sync_thread()
        return results

    def read(self, result: Any) -> Results:
        value, *gradient = (array.numpy() for array in result)
        return super().read((value, np.stack(gradient, axis=1)))

    def threads(self, count: int) -> bool:
        self.dr.set_thread_count(count)
        return True


def neurons(p: Any, x: Any, activation: Callable[[Any], Any]) -> Any:
    """Return the outputs of the network 2-16-16-1."""
    start = 0
    for inputs, outputs in LAYERS:
        end = start + outputs * (inputs + 1)
        matrix = p[start:end].reshape(outputs, inputs + 1)
        x = x @ matrix[:, :-1].T + matrix[:, -1]
        x = activation(x) if outputs > 1 else x
        start = end
    return x[..., 0]


def rosenbrock(m: Any, x: Any) -> Any:
    """Return Rosenbrock's function of the last axis."""
    a, b = x[..., :-1], x[..., 1:]
    return (100.0 * (b - a * a) ** 2 + (1.0 - a) ** 2).sum(-1)


def network(m: Any, p: Any, x: Any, y: Any) -> Any:
    """Return the squared error of the network with tanh."""
    return (neurons(p, x, m.tanh) - y) ** 2


def moons(m: Any, p: Any, x: Any, y: Any) -> Any:
    """Return max-margin losses with L2 on the parameters."""
    return m.relu(1.0 - y * neurons(p, x, m.relu)) + 1e-4 * (p @ p)


def asian(m: Any, s: Any, k: Any, r: Any, sigma: Any, t: Any, shocks: Any) -> Any:
    """Return the payoff of an arithmetic Asian call."""
    dt = t / STEPS
    drift, deviation = (r - 0.5 * sigma * sigma) * dt, sigma * m.sqrt(dt)
    walk = m.cumsum(drift[..., None] + deviation[..., None] * shocks, -1)
    return m.exp(-r * t) * m.relu((s[..., None] * m.exp(walk)).mean(-1) - k)


ARRAY_PROGRAMS = {f.__name__: f for f in (black_scholes, rosenbrock, network, moons, asian)}


class Jax(Column):
    """JAX's jit of vmap of value_and_grad, in float64 on the CPU."""

    package = "jax"
    modules = ("jax.numpy", "jax.scipy.special")
    cannot = LARGE | {"prepare"}  # XLA compiles them for minutes

    def __init__(self, problem: Problem, data: Sequence[Array]) -> None:
        super().__init__(problem, data)
        self.jax = jax = importlib.import_module("jax")
        jax.config.update("jax_enable_x64", True)
        jnp = importlib.import_module("jax.numpy")
        m = kit(jnp, relu=jax.nn.relu, ndtr=jax.scipy.special.ndtr, cumsum=jnp.cumsum)
        program = ARRAY_PROGRAMS[problem.program.__name__]
        axes = [None if i in problem.shared else 0 for i in range(len(data))]

        def one(*arguments: Any) -> Any:
            return program(m, *arguments)

        def total(*arguments: Any) -> Any:
            return jax.vmap(one, axes)(*arguments).sum()

        gradient = jax.value_and_grad(total if problem.summed else one, problem.wrt)
        self.one = jax.jit(gradient)
        self.function = jax.jit(gradient if problem.summed else jax.vmap(gradient, axes))
        self.update = jax.jit(lambda p, *rows: p - problem.rate / self.rows * gradient(p, *rows)[1][0])
        self.data = [jnp.asarray(array) for array in self.data]

    def batch(self) -> Any:
        return self.jax.block_until_ready(self.function(*self.data))

    def row(self) -> Any:
        value, gradient = self.one(*self.first)
        return float(value), [np.asarray(part) for part in gradient]

    def step(self) -> None:
        self.data[0] = self.update(*self.data).block_until_ready()

    def read(self, result: Any) -> Results:
        value, gradient = result
        parts = [np.reshape(part, (np.size(value), -1)) for part in gradient]
        return super().read((value, np.concatenate(parts, axis=1)))


class Torch(Column):
    """PyTorch, eager; torch.func where each row's gradient of a vector that they share is wanted."""

    package = "torch"
    cannot = frozenset({"prepare"})

    def __init__(self, problem: Problem, data: Sequence[Array]) -> None:
        super().__init__(problem, data)
        self.torch = torch = importlib.import_module("torch")
        self.threads(1)
        self.m = kit(
            torch,
            relu=torch.relu,
            ndtr=torch.special.ndtr,
            cumsum=torch.cumsum,
            softplus=torch.nn.functional.softplus,
            softmax=lambda terms: torch.softmax(torch.stack(terms), 0).unbind(0),
        )
        self.data = [torch.tensor(array) for array in self.data]
        self.each = bool(problem.shared) and not problem.summed
        if problem.rate:
            self.data[0].requires_grad_()
        axes = tuple(None if i in problem.shared else 0 for i in range(len(data)))
        self.mapped = torch.func.vmap(torch.func.grad_and_value(self.program, problem.wrt), axes)

    def program(self, *arguments: Any) -> Any:
        """Return the problem's value of one row or of all rows."""
        name = self.problem.program.__name__
        if name in LARGE:
            return self.problem.program(self.m, arguments[0].unbind(-1))
        return ARRAY_PROGRAMS[name](self.m, *arguments)

    def batch(self) -> Any:
        shared = self.problem.shared if self.each else ()
        if any(self.sizes[i] for i in shared):
            gradient, value = self.mapped(*self.data)
            return value, gradient
        arguments = [x.expand(self.rows) if i in shared else x for i, x in enumerate(self.data)]
        return self.sweep([x.detach().clone() if i in self.problem.wrt else x for i, x in enumerate(arguments)])

    def row(self) -> Any:
        return self.sweep([self.torch.from_numpy(x) for x in self.first])

    def sweep(self, arguments: list[Any]) -> Any:
        """Run forward and backward."""
        for i in self.problem.wrt:
            arguments[i].requires_grad_()
        value = self.program(*arguments)
        value = value.sum() if self.problem.summed else value
        value.sum().backward()
        return value.detach(), [arguments[i].grad for i in self.problem.wrt]

    def step(self) -> None:
        p, *rows = self.data
        p.grad = None
        self.program(p, *rows).mean().backward()
        with self.torch.no_grad():
            p -= self.problem.rate * p.grad

    def trained(self, part: str) -> Array:
        return self.data[0].detach().numpy()

    def read(self, result: Any) -> Results:
        value, gradient = result
        parts = [part.reshape(value.numel(), -1) for part in gradient]
        return super().read((value.numpy(), self.torch.cat(parts, 1).numpy()))

    def threads(self, count: int) -> bool:
        self.torch.set_num_threads(count)
        return True
