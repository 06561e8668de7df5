"""Scalar automatic differentiation: a drop-in micrograd at compiled speed.

>>> import fastgrad as fg
>>> x = fg.Value(2.0)
>>> y = fg.tanh(x * x - 3.0)
>>> y.backward()
>>> round(x.grad, 6)
1.679897
"""

from __future__ import annotations

import builtins
from importlib import import_module
from typing import Any

from . import _methods as _methods  # gives Value what shows it
from ._backend import Backend, Value, backend, no_grad
from ._errors import AnomalyError, TracingError
from ._version import __version__
from .functions import FUNCTIONS, softmax, take

globals().update(FUNCTIONS)

# Imported at first use: submodules, and what needs NumPy.
_SUBMODULES = ("calculus", "distributed", "nn", "optim", "viz")
_COMPILED = {
    "Compiled": "_compiled",
    "detect_anomaly": "_anomaly",
    **dict.fromkeys(("compile", "load"), "_compile"),
    **dict.fromkeys(("grad", "hessian", "hvp", "jacobian", "jvp", "value_and_grad", "vjp"), "_functional"),
    **dict.fromkeys(("check_grad", "derivative", "differential", "numerical_derivative"), "calculus"),
    **dict.fromkeys(("partial", "sparsity", "taylor", "total"), "calculus"),
    "History": "_history",
    "fit": "_fit",
    "minimize": "_minimize",
    **dict.fromkeys(("get_num_threads", "set_num_threads"), "_threads"),
    **dict.fromkeys(("draw", "draw_dot"), "viz.draw"),
    "show": "viz.page",
}

# What `from fastgrad import *` gives: without the functions that would hide Python's own, such as sum.
__all__ = [
    "AnomalyError",
    "Backend",
    "TracingError",
    "Value",
    "__version__",
    "backend",
    "no_grad",
    "softmax",
    "take",
    *_SUBMODULES,
    *(name for name in _COMPILED if not hasattr(builtins, name)),
    *(name for name in FUNCTIONS if not hasattr(builtins, name)),
]


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return import_module(f".{name}", __name__)
    if name in _COMPILED:
        found = globals()[name] = getattr(import_module(f".{_COMPILED[name]}", __name__), name)
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES, *_COMPILED})
