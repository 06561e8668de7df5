"""Compiled functions in other libraries that differentiate: PyTorch and JAX."""

from ._jax import to_jax
from ._torch import to_torch

__all__ = ["to_jax", "to_torch"]
