"""What ``python -m fastgrad run`` does: run an unmodified micrograd program on fastgrad."""

from __future__ import annotations

import os
import random
import runpy
import sys
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from types import ModuleType
from typing import Any

from . import nn
from ._backend import Value, set_micrograd_mode


def run(script: str, argv: list[str]) -> None:
    """Run ``script`` as ``python script *argv`` would, its micrograd being fastgrad.

    What the script raises passes through, SystemExit among it.
    """
    install()
    sys.argv = [script, *argv]
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = os.path.dirname(os.path.realpath(script))
    runpy.run_path(script, run_name="__main__")


def install() -> None:
    """Make ``import micrograd`` mean fastgrad in this process, with micrograd's primitives."""
    set_micrograd_mode(True)
    for name, method in _PRIMITIVES.items():
        setattr(Value, name, method)
    setattr(nn.Neuron, "__call__", _neuron_call)  # noqa: B010 (mypy refuses the assignment)
    engine = _register("micrograd.engine", Value=Value)
    layers = {cls.__name__: cls for cls in (nn.Module, nn.Neuron, nn.Layer, nn.MLP)}
    network = _register("micrograd.nn", Value=Value, random=random, **layers)
    _register("micrograd", engine=engine, nn=network)


def _register(name: str, **contents: Any) -> ModuleType:
    module = module_from_spec(ModuleSpec(name, None, is_package=name == "micrograd"))
    vars(module).update(contents)
    sys.modules[name] = module
    return module


def _neuron_call(self: nn.Neuron, x: Any) -> Value:
    # One node per product and per sum, starting from the bias: the graph that micrograd draws.
    return self._activated(sum((w * xi for w, xi in zip(self.w, x, strict=False)), self.b))


def _reciprocal(x: Any) -> Any:
    # NumPy refuses negative powers of its integers; times 1.0 they are floats.
    return x**-1 if isinstance(x, Value) else (1.0 * x) ** -1


_PRIMITIVES = {
    "__neg__": lambda self: self * -1,
    "__sub__": lambda self, other: self + (-other),
    "__rsub__": lambda self, other: other + (-self),
    "__truediv__": lambda self, other: self * _reciprocal(other),
    "__rtruediv__": lambda self, other: other * self**-1,
}
