"""The programs that are timed: each written once, for any number type.

A *kit* is a number type with the functions that have no operator: Python floats, a ``Value``, a torch tensor. A
program takes a kit, and the columns of the report differ in nothing else.
"""

from __future__ import annotations

import importlib
import importlib.util
import keyword
import math
import os
import random
import sys
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

FUNCTIONS = ("relu", "tanh")


class Kit(NamedTuple):
    """A number type, its functions, and what the harness must know about it."""

    number: Callable[[float], Any]
    read: Callable[[Any], float]
    package: ModuleType  # where it is from; for floats the fastgrad whose functions take them
    relu: Callable[[Any], Any] | None
    tanh: Callable[[Any], Any] | None
    mlp: Callable[..., Any] | None = None  # the library's own class
    zero: Any = 0.0  # what resets a gradient
    deepest: int = 10**9  # nodes in a row that it survives
    gradients: bool = True
    collector: bool = True  # Python's cyclic garbage collector, on or off


def kits(full: bool = True) -> dict[str, Kit]:
    """Return one kit per column, in the order of the report, without those that cannot run here; or the first three."""
    fallback, ours = fastgrad("python"), fastgrad("c")
    found: dict[str, Kit | None] = {
        "floats": Kit(float, float, ours or fallback, lambda x: x if x > 0.0 else 0.0, math.tanh, gradients=False),
        "fallback": package_kit(fallback, deepest=2 * 10**5 if full else 10**4),
        "fastgrad": package_kit(ours),
    }
    if full:
        found |= {"micrograd": micrograd_kit(), "torch": torch_kit()}
        for name in ("fallback", "micrograd"):
            found[f"{name}, gc off"] = found[name] and found[name]._replace(collector=False)
    return {column: kit for column in COLUMNS if (kit := found.get(column))}


COLUMNS = ("floats", "fastgrad", "fallback", "fallback, gc off", "micrograd", "micrograd, gc off", "torch")


def fastgrad(backend: str) -> ModuleType | None:
    """Import a copy of fastgrad of its own for a backend, so that both can be timed in turns in one process."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "fastgrad"]:
        del sys.modules[name]
    os.environ["FASTGRAD_BACKEND"] = "python" if backend == "python" else ""
    package = importlib.import_module("fastgrad")
    importlib.import_module("fastgrad.nn")
    del os.environ["FASTGRAD_BACKEND"]
    return package if package.backend().name == backend else None


def package_kit(package: ModuleType | None, **more: Any) -> Kit | None:
    """Return the kit of a package with micrograd's names."""
    if package is None:
        return None
    value = package.Value
    functions = {name: getattr(value, name, None) for name in FUNCTIONS}
    return Kit(value, attrgetter("data"), package, **functions, mlp=package.nn.MLP, **more)


def micrograd_kit() -> Kit | None:
    """Return micrograd's kit: it has no tanh, and its backward() recurses."""
    if importlib.util.find_spec("micrograd") is None:
        return None
    package = importlib.import_module("micrograd")
    package.Value = importlib.import_module("micrograd.engine").Value
    importlib.import_module("micrograd.nn")
    return package_kit(package, deepest=1000)


def torch_kit() -> Kit | None:
    """Return the kit of torch's 0-dimensional tensors, on one thread."""
    if importlib.util.find_spec("torch") is None:
        return None
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)

    def number(x: float) -> Any:
        return torch.tensor(x, dtype=torch.float64, requires_grad=True)

    return Kit(number, torch.Tensor.item, torch, torch.relu, torch.tanh, zero=None, deepest=10**6)


class Program:
    """A program on numbers of one kit: `leaves` are its inputs, `forward` returns its result."""

    needs: tuple[str, ...] = ()
    depth = 1
    operations = 0  # where known without counting

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self.leaves: list[Any] = []

    def forward(self) -> Any:
        """Return the result of the whole program."""
        raise NotImplementedError

    def step(self) -> None:
        """Train once."""
        raise NotImplementedError

    def gradient(self) -> list[float]:
        """Return the derivatives by the leaves, after a backward run."""
        return [float(leaf.grad or 0.0) for leaf in self.leaves]

    def expected(self) -> dict[str, list[float]]:
        """Return the gradient of the leaves where it is known otherwise, under the name of the way."""
        return {}

    def runs(self) -> bool:
        """Return whether the kit has what the program needs."""
        return self.depth <= self.kit.deepest and all(getattr(self.kit, name) is not None for name in self.needs)


class Chain(Program):
    """A serial chain of + - * / and tanh: Euler's method on ``ds/dt = -tanh(x*s + y) / z``, five operations a turn."""

    needs = ("tanh",)

    def __init__(self, kit: Kit, operations: int) -> None:
        super().__init__(kit)
        self.leaves = [kit.number(x) for x in (1.5, 1e-6, 0.5, 1.25)]
        self.depth = self.operations = operations

    def forward(self) -> Any:
        tanh = self.kit.tanh
        s, x, y, z = self.leaves
        for _ in range(self.operations // 5):
            a = s * x
            b = a + y
            c = tanh(b)
            d = c / z
            s = s - d
        return s


class Powers(Program):
    """A running product and its running sum: two operations a turn on 100 leaves, as deep as it is long."""

    def __init__(self, kit: Kit, operations: int) -> None:
        super().__init__(kit)
        self.points = [1.0 + 0.01 * (-1) ** i for i in range(100)]
        self.points[1::2] = [1.0 / x for x in self.points[::2]]
        self.leaves = [kit.number(x) for x in self.points]
        self.depth = self.operations = operations

    def forward(self) -> Any:
        x = self.leaves
        p = self.kit.number(1.0)
        s = self.kit.number(0.0)
        for i in range(self.operations // 2):
            p = p * x[i % 100]
            s = s + p
        return s

    def expected(self) -> dict[str, list[float]]:
        """Return the gradient by its closed form, since no other column reaches ten million nodes."""
        products = np.cumprod(np.resize(self.points, self.operations // 2))
        tails = np.cumsum(products[::-1])[::-1]
        return {"closed form": [float(tails[i::100].sum()) / x for i, x in enumerate(self.points)]}


class Neuron:
    """micrograd's Neuron, on numbers of any kit."""

    def __init__(self, kit: Kit, nin: int, nonlin: bool) -> None:
        self.w = [kit.number(random.uniform(-1, 1)) for _ in range(nin)]
        self.b = kit.number(0.0)
        self.relu = kit.relu
        self.nonlin = nonlin

    def __call__(self, x: list[Any]) -> Any:
        act = sum((wi * xi for wi, xi in zip(self.w, x, strict=False)), self.b)
        return self.relu(act) if self.nonlin else act

    def parameters(self) -> list[Any]:
        return [*self.w, self.b]


class Layer:
    """micrograd's Layer."""

    def __init__(self, kit: Kit, nin: int, nout: int, nonlin: bool) -> None:
        self.neurons = [Neuron(kit, nin, nonlin) for _ in range(nout)]

    def __call__(self, x: list[Any]) -> Any:
        out = [neuron(x) for neuron in self.neurons]
        return out[0] if len(out) == 1 else out

    def parameters(self) -> list[Any]:
        return [p for neuron in self.neurons for p in neuron.parameters()]


class MLP:
    """micrograd's MLP."""

    def __init__(self, kit: Kit, nin: int, nouts: list[int]) -> None:
        sizes = [nin, *nouts]
        self.layers = [Layer(kit, sizes[i], sizes[i + 1], nonlin=i != len(nouts) - 1) for i in range(len(nouts))]

    def __call__(self, x: list[Any]) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x

    def parameters(self) -> list[Any]:
        return [p for layer in self.layers for p in layer.parameters()]


def moons(rows: int, noise: float = 0.1) -> tuple[list[list[float]], list[float]]:
    """Return two interleaving half circles and their labels -1.0 and 1.0, as Python floats."""
    draw = random.Random(1337)
    angles = [math.pi * i / (rows // 2 - 1) for i in range(rows // 2)]
    outer = [[math.cos(t), math.sin(t)] for t in angles]
    inner = [[1.0 - math.cos(t), 0.5 - math.sin(t)] for t in angles]
    points = [[x + draw.gauss(0.0, noise) for x in point] for point in outer + inner]
    return points, [-1.0] * len(outer) + [1.0] * len(inner)


class Moons(Program):
    """micrograd's demo: MLP 2-16-16-1, 100 rows, max-margin loss with L2, gradient descent."""

    def __init__(self, kit: Kit, shipped: bool = False) -> None:
        super().__init__(kit)
        random.seed(1337)
        self.needs = ("relu", "mlp") if shipped and kit.gradients else ("relu",)
        self.model = kit.mlp(2, [16, 16, 1]) if shipped and kit.mlp else MLP(kit, 2, [16, 16, 1])
        self.leaves = self.model.parameters()
        self.rows, self.labels = moons(100)

    def forward(self) -> Any:
        number, relu = self.kit.number, self.kit.relu
        inputs = [list(map(number, row)) for row in self.rows]
        scores = list(map(self.model, inputs))
        losses = [relu(1 + -yi * score) for yi, score in zip(self.labels, scores, strict=True)]
        data_loss = sum(losses) * (1.0 / len(losses))
        reg_loss = 1e-4 * sum(p * p for p in self.model.parameters())
        return data_loss + reg_loss

    def step(self) -> None:
        loss = self.forward()
        for p in self.model.parameters():
            p.grad = self.kit.zero
        loss.backward()
        for p in self.model.parameters():
            p.data -= 0.1 * p.grad


EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
sys.path.append(str(EXAMPLES))
WORDS = sorted(word for word in keyword.kwlist if len(word) == 6 and word.islower())  # so every step costs the same


class Microgpt(Program):
    """examples/microgpt.py in Values: a transformer of 4,224 scalars, trained with Adam in Python, one word a step."""

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit)
        if self.runs():
            self.example = example(kit.package)
            size = self.example.Size()
            self.documents = [self.example.encode(word)[np.newaxis] for word in WORDS]
            self.trainer = self.prepared(self.example.initial(size, random.Random(42)), size)

    def runs(self) -> bool:
        return self.kit.package.__name__ == "fastgrad"

    def prepared(self, weights: list[float], size: Any) -> Any:
        """Choose the leaves, and return what trains them."""
        trainer = self.example.Eager(weights, size)
        self.leaves = trainer.parameters if self.kit.gradients else weights
        return trainer

    def document(self) -> Any:
        return self.documents[self.trainer.steps % len(WORDS)]

    def tokens(self) -> list[int]:
        return self.document()[0].astype(int).tolist()

    def forward(self) -> Any:
        return self.example.loss(self.leaves, self.tokens(), self.trainer.size)

    def step(self) -> None:
        self.trainer.step(self.document(), 0.01)


class TorchMicrogpt(Microgpt):
    """examples/microgpt_torch.py: the same on torch's tensors, all positions of a word at once."""

    def runs(self) -> bool:
        return True

    def prepared(self, weights: list[float], size: Any) -> Any:
        self.model = importlib.import_module("microgpt_torch").model
        trainer = importlib.import_module("microgpt_torch").Trainer(weights, size)
        self.leaves = [trainer.vector]
        return trainer

    def forward(self) -> Any:
        return self.model(self.trainer.vector, self.trainer.tokens(self.document()), self.trainer.size)

    def gradient(self) -> list[float]:
        return self.trainer.vector.grad.tolist()


class CompiledMicrogpt(Microgpt):
    """examples/microgpt.py, where a step is a call of a compiled function, and Adam is in NumPy."""

    def runs(self) -> bool:
        return super().runs() and (not self.kit.gradients or self.kit.package.backend().name == "c")

    def prepared(self, weights: list[float], size: Any) -> Any:
        self.leaves = list(map(self.kit.number, weights))
        return self.example.Compiled(weights, size)

    def forward(self) -> Any:
        if self.kit.gradients:
            for leaf, weight in zip(self.leaves, self.trainer.weights, strict=True):
                leaf.data = weight
        return super().forward()

    def expected(self) -> dict[str, list[float]]:
        """Return the gradient that the step takes, since the other columns have the one of Values."""
        _, gradient = self.trainer.loss.sum_grad(self.trainer.array, self.document(), argnums=0)
        return {"compiled": gradient.tolist()}


def example(package: ModuleType) -> ModuleType:
    """Return a copy of examples/microgpt.py for a column: what it calls `fg` is the column's package."""
    spec = importlib.util.spec_from_file_location("microgpt", EXAMPLES / "microgpt.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.fg = package
    return module


def microgpt(kit: Kit) -> Microgpt:
    """Return the form of the example that trains step by step."""
    return (TorchMicrogpt if kit.package.__name__ == "torch" else Microgpt)(kit)


SIZES = (10**3, 10**4, 10**5, 10**6, 10**7)
GRAPHS: dict[str, Callable[[Kit], Program]] = {  # timed as forward and backward
    "chain 1400": lambda kit: Chain(kit, 1_400),
    "chain 140000": lambda kit: Chain(kit, 140_000),
    "moons": Moons,
    **{f"powers {size}": lambda kit, size=size: Powers(kit, size) for size in SIZES},
}
STEPS: dict[str, Callable[[Kit], Program]] = {  # timed as whole training steps
    "moons step": Moons,
    "moons step, nn": lambda kit: Moons(kit, shipped=True),
    "microgpt step": microgpt,
    "microgpt step, compiled": CompiledMicrogpt,
}
WORKLOADS = GRAPHS | STEPS
