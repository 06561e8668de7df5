"""The columns of the compiled benchmarks that take a problem's program of scalars as it is: fastgrad, CasADi, heyoka.

Each is written as users of the library would: arrays lie as suits it, and results go to arrays that exist already where
it can write to such. `arrays.py` has the columns that want their programs in whole arrays.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
from by_hand import Results
from problems import Array, Problem

LARGE = frozenset({"operations", "west"})


class Column:
    """A problem made ready by a library; making one is what the report calls to prepare."""

    package: ClassVar[str]  # what has to be installed
    modules: ClassVar[tuple[str, ...]] = ()  # what is imported before anything is timed, besides the package
    cannot: ClassVar[frozenset[str]] = frozenset()  # problems without a sensible program, or that compile for minutes

    def __init__(self, problem: Problem, data: Sequence[Array]) -> None:
        self.problem, self.data, self.sizes = problem, list(data), problem.sizes()
        self.first = problem.first(data)
        self.rows = max(len(array) for i, array in enumerate(data) if i not in problem.shared)
        if problem.rate:
            self.data[0] = data[0].copy()  # it is trained

    def parts(self) -> dict[str, Callable[[], Any]]:
        """Return what is timed, by name; each returns when its results are there."""
        if self.problem.rate:
            return {"step": self.step}
        return ({"batch": self.batch} if self.rows > 1 else {}) | ({"row": self.row} if self.problem.row else {})

    def batch(self) -> Any:
        """Compute value and gradient of all rows, or of their sum."""
        raise NotImplementedError

    def row(self) -> Any:
        """Compute value and gradient of the first row."""
        raise NotImplementedError

    def read(self, result: Any) -> Results:
        """Return what `batch` or `row` returned as values and gradients, with an axis of rows."""
        value, gradient = result
        return np.reshape(value, -1), np.reshape(gradient, (-1, self.problem.width()))

    def step(self) -> None:
        """Train once."""
        _, gradient = self.batch()
        self.data[0] -= self.problem.rate / self.rows * np.reshape(gradient, -1)

    def trained(self, part: str) -> Array:
        """Return the parameters after a part that is a step."""
        return self.data[0]

    def threads(self, count: int) -> bool:
        """Set the number of threads, and return whether that could be done."""
        return False

    def space(self) -> Results:
        """Return arrays for the results of `batch`."""
        rows = 1 if self.problem.summed else self.rows
        return np.empty(rows), np.empty((rows, self.problem.width()))

    def arguments(self, new: Callable[[str, int], Any]) -> list[Any]:
        """Return the program's arguments, numbers and lists of numbers, from vectors that `new` makes."""
        vectors = [new(f"x{i}", size or 1) for i, size in enumerate(self.sizes)]
        return [vectors[i][0] if size is None else list(vectors[i]) for i, size in enumerate(self.sizes)]

    def wanted(self, arguments: Sequence[Any]) -> list[Any]:
        """Return the numbers among the arguments whose gradient is wanted."""
        return flat([arguments[i] for i in self.problem.wrt])


def flat(arguments: Sequence[Any]) -> list[Any]:
    """Return numbers and lists of numbers as one list."""
    return [x for argument in arguments for x in (argument if isinstance(argument, list) else [argument])]


def dot(a: Sequence[Any], b: Sequence[Any]) -> Any:
    """Return the sum of products."""
    return sum(x * y for x, y in zip(a, b, strict=True))


def kit(library: Any, **more: Any) -> Any:
    """Return a problem's kit of a library's functions; `more` are those that it has under other names or not at all."""
    m = SimpleNamespace(exp=library.exp, log=library.log, sqrt=library.sqrt, tanh=library.tanh, sum=sum, dot=dot)
    m.ndtr = lambda x: 0.5 + 0.5 * library.erf(x * 0.5**0.5)

    def softmax(terms: Sequence[Any]) -> list[Any]:
        top = terms[0]
        for term in terms[1:]:
            top = m.maximum(top, term)
        powers = [m.exp(term - top) for term in terms]
        total = m.sum(powers)
        return [power / total for power in powers]

    m.softmax = softmax
    vars(m).update(more)
    return m


class Fastgrad(Column):
    """fastgrad, exact."""

    package = "fastgrad"
    modules = ("fastgrad._compile",)
    fastmath = False

    def __init__(self, problem: Problem, data: Sequence[Array]) -> None:
        super().__init__(problem, data)
        self.fg = importlib.import_module("fastgrad")

        def program(*arguments: Any) -> Any:
            return problem.program(self.fg, *arguments)

        self.f = self.fg.compile(program, signature=problem.signature, fastmath=self.fastmath)
        value, gradient = self.space()
        if not any(self.sizes[i] for i in problem.wrt):
            gradient = np.empty(gradient.shape, order="F")  # numbers: an array for each, as when there is no `out`
        starts = np.cumsum([self.sizes[i] or 1 for i in problem.wrt])[:-1]
        views = np.split(gradient, starts, axis=1)
        self.out = value, tuple(v if self.sizes[i] else v[:, 0] for i, v in zip(problem.wrt, views, strict=True))
        self.results = value, gradient
        self.model = Model(self.fg, data, problem.rate) if problem.rate else None

    def parts(self) -> dict[str, Callable[[], Any]]:
        return super().parts() | ({"model": self.model.step} if self.model else {})

    def trained(self, part: str) -> Array:
        return np.array([p.data for p in self.model.parameters]) if part == "model" else super().trained(part)

    def batch(self) -> Any:
        if self.problem.summed:
            return self.f.sum_grad(*self.data, argnums=0)
        self.f.value_and_grad(*self.data, argnums=self.problem.wrt, out=self.out)
        return self.results

    def row(self) -> Any:
        return self.f.value_and_grad(*self.first)

    def threads(self, count: int) -> bool:
        self.fg.set_num_threads(count)
        return True


class FastgradFastmath(Fastgrad):
    """fastgrad with ``fastmath=True``."""

    fastmath = True


class Model:
    """The loss of micrograd's demo on the Values of a model, with its optimizer."""

    def __init__(self, fg: Any, data: Sequence[Array], rate: float) -> None:
        nn, optim = (importlib.import_module(f"fastgrad.{name}") for name in ("nn", "optim"))
        self.net = nn.MLP(2, [16, 16, 1])
        self.parameters = self.net.parameters()
        for p, number in zip(self.parameters, data[0].tolist(), strict=True):
            p.data = number
        self.rows = data[1:]
        self.sgd = optim.SGD(self.parameters, lr=rate)

        @fg.compile(signature="(n),()->()")
        def loss(x: Any, y: Any) -> Any:
            return fg.relu(1.0 - y * self.net(x)) + 1e-4 * fg.dot(self.parameters, self.parameters)

        self.loss = loss

    def step(self) -> None:
        """Train once."""
        self.sgd.zero_grad()
        self.loss.backward(*self.rows, reduction="mean")
        self.sgd.step()


class Casadi(Column):
    """CasADi's virtual machine, mapped over blocks of rows, through buffers."""

    package = "casadi"
    gcc = False

    def __init__(self, problem: Problem, data: Sequence[Array]) -> None:
        super().__init__(problem, data)
        self.data = [np.ascontiguousarray(array) for array in self.data]
        ca = importlib.import_module("casadi")
        m = kit(ca, relu=lambda x: ca.fmax(x, 0.0), softplus=lambda x: ca.log1p(ca.exp(x)), maximum=ca.fmax)
        vectors = [ca.SX.sym(f"x{i}", size or 1) for i, size in enumerate(self.sizes)]
        arguments = [v if size is None else ca.vertsplit(v) for v, size in zip(vectors, self.sizes, strict=True)]
        value = problem.program(m, *arguments)
        derivative = ca.gradient(value, ca.vertcat(*(vectors[i] for i in problem.wrt)))
        large = problem.program.__name__ in LARGE
        function = ca.Function(
            "f", vectors, [value, derivative], self.options("-O1") if large or self.rows == 1 else {}
        )
        gradient = np.empty((1, problem.width()))
        self.one = Buffers(function, [np.array(array) for array in self.first], np.empty(1), gradient)
        self.results = self.space()
        if self.rows > 1:
            self.prepare_blocks(ca, function, {} if large else self.options("-O3"))

    def prepare_blocks(self, ca: Any, function: Any, options: dict[str, Any]) -> None:
        """Map the function over blocks of rows."""
        problem = self.problem
        block = next(n for n in range(min(self.rows, 4096), 0, -1) if self.rows % n == 0)
        function = function.map("map", "serial", block, list(problem.shared), [0, 1] if problem.summed else [])
        if options:
            inputs = function.mx_in()
            function = ca.Function("compiled", inputs, function.call(inputs), options)
        self.blocks = []
        for start in range(0, self.rows, block):
            rows = slice(start, start + block)
            arrays = [array if i in problem.shared else array[rows] for i, array in enumerate(self.data)]
            results = self.space() if problem.summed else [array[rows] for array in self.results]
            self.blocks.append(Buffers(function, arrays, *results))

    def options(self, level: str) -> dict[str, Any]:
        """Return the options of a function that a C compiler makes; at -O3 a large one takes it minutes."""
        if not self.gcc:
            return {}
        return {"jit": True, "compiler": "shell", "jit_options": {"flags": [level, "-march=native", "-ffast-math"]}}

    def batch(self) -> Any:
        for block in self.blocks:
            block.run()
        if self.problem.summed:
            for k, total in enumerate(self.results):
                total[:] = np.sum([block.results[k] for block in self.blocks], axis=0)
        return self.results

    def row(self) -> Any:
        for own, array in zip(self.one.arrays, self.first, strict=True):
            own[...] = array
        self.one.run()
        value, gradient = self.one.results
        return float(value[0]), gradient.copy()


class Buffers:
    """A CasADi function bound to arrays."""

    def __init__(self, function: Any, arrays: Sequence[Array], *results: Array) -> None:
        self.function = function  # the buffer does not keep it alive
        self.buffer, self.run = function.buffer()
        self.arrays, self.results = arrays, results
        for i, array in enumerate(arrays):
            self.buffer.set_arg(i, memoryview(array))
        for i, array in enumerate(results):
            self.buffer.set_res(i, memoryview(array))


class CasadiGcc(Casadi):
    """CasADi's C code, compiled by gcc; its time to prepare holds the compiler's."""

    gcc = True
    cannot = frozenset({"west"})  # gcc takes more than four minutes for it


class Heyoka(Column):
    """heyoka, compiled for eight rows at a time; shared arguments are repeated, since it has no other way."""

    package = "heyoka"

    def __init__(self, problem: Problem, data: Sequence[Array]) -> None:
        super().__init__(problem, data)
        self.hy = hy = importlib.import_module("heyoka")
        hy.llvm_state.set_diskcache_enabled(False)  # to find what was compiled earlier is not to prepare
        hy.llvm_state.clear_memcache()
        self.threads(1)
        m = kit(hy, relu=hy.relu, sum=hy.sum, softplus=lambda x: hy.log(1.0 + hy.exp(x)), maximum=lambda x, y: 0.0)
        arguments = self.arguments(lambda name, size: [hy.make_vars(f"{name}_{j}") for j in range(size)])
        value = problem.program(m, *arguments)
        gradient = hy.diff_tensors([value], diff_args=self.wanted(arguments), diff_order=1).gradient
        large = problem.program.__name__ in LARGE
        options = {"fast_math": True, "compact_mode": large, "batch_size": 8, "force_avx512": True}
        self.function = hy.cfunc([value, *gradient], flat(arguments), **options)
        columns = [
            np.broadcast_to(array.reshape(-1, 1), (array.size, self.rows)) if i in problem.shared else array.T
            for i, array in enumerate(self.data)
        ]
        self.inputs = np.ascontiguousarray(np.vstack(columns))
        self.results = np.empty((1 + len(gradient), self.rows))

    def batch(self) -> Any:
        self.function(self.inputs, outputs=self.results)
        results = self.results.sum(axis=1) if self.problem.summed else self.results
        return results[0], results[1:]

    def row(self) -> Any:
        results = self.function(np.concatenate([array.reshape(-1) for array in self.first]))
        return results[0], results[1:]

    def read(self, result: Any) -> Results:
        value, gradient = result
        return super().read((value, gradient.T))

    def threads(self, count: int) -> bool:
        self.hy.set_nthreads(count)
        return True
