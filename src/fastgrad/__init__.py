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

from ._backend import Backend, Value, backend, no_grad
from ._version import __version__
from .functions import FUNCTIONS, softmax

globals().update(FUNCTIONS)

_SUBMODULES = ("nn", "optim")  # imported at first use

# What `from fastgrad import *` gives: without the functions that would hide Python's own, such as sum.
__all__ = [
    "Backend",
    "Value",
    "__version__",
    "backend",
    "no_grad",
    "softmax",
    *_SUBMODULES,
    *(name for name in FUNCTIONS if not hasattr(builtins, name)),
]


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES})
