"""Compiled functions in JAX."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce, wraps
from importlib import import_module
from typing import Any

import numpy as np

from ._bridge import Bridged, compiled_of, wrong_argument
from ._errors import is_real


def to_jax(f: Callable[..., Any], signature: str | None = None) -> Callable[..., Any]:
    """Return a compiled function as a function of JAX arrays, which JAX differentiates in reverse any number of times.

    It can be jitted and vmapped; what JAX compiles calls back to the compiled function. Batches broadcast as for the
    compiled function. Computing is in double precision: other arrays are converted, and the results have the common
    dtype of the arrays given (float32 in, float32 out). What ``f`` captures is constant.

    Parameters
    ----------
    f : callable
        A compiled function, or one to be compiled, that returns one number or array or a tuple of them.
    signature : str, optional
        As for ``compile``.

    Returns
    -------
    callable
        It takes arrays and numbers, by position, and returns an array or a tuple of them.

    Raises
    ------
    ImportError
        If JAX is not installed.
    RuntimeError
        When it is called, if JAX has double precision switched off, as it has by default.
    TypeError
        When it is called, if an argument is neither a real array nor a number.
    ValueError
        When it is called, if shapes do not fit.

    Examples
    --------
    >>> import fastgrad as fg, jax
    >>> from fastgrad.bridges import to_jax
    >>> jax.config.update("jax_enable_x64", True)
    >>> f = to_jax(fg.compile(lambda x, y: x * fg.exp(-y)))
    >>> float(jax.jit(jax.grad(f))(2.0, 0.0))
    1.0
    """
    jax = _jax()
    bridged = Bridged(compiled_of(f, signature))

    @wraps(bridged.f, updated=())
    def call(*args: Any) -> Any:
        if not jax.config.jax_enable_x64:
            raise RuntimeError(
                f"{bridged.name}: fastgrad computes in double precision, which JAX has switched off: "
                'jax.config.update("jax_enable_x64", True) at the start of the program'
            )
        arrays = [_array(jax, bridged.name, i, x) for i, x in enumerate(args)]
        floating = [a.dtype for a, x in zip(arrays, args, strict=True) if not is_real(x) and _is_float(jax, a)]
        dtype = reduce(jax.numpy.promote_types, floating) if floating else np.float64
        shapes, cores = bridged.aligned([a.shape for a in arrays])
        aligned = [a.astype(np.float64).reshape(shape) for a, shape in zip(arrays, shapes, strict=True)]
        results = tuple(result.astype(dtype) for result in _function(jax, bridged)(*aligned))
        return results if bridged.results(cores).several else results[0]

    return call


def _jax() -> Any:
    try:
        return import_module("jax")
    except ImportError as error:
        raise ImportError(
            f"to_jax needs JAX, which cannot be imported ({error}): pip install 'fastgrad[jax]'"
        ) from error


def _array(jax: Any, name: str, position: int, given: Any) -> Any:
    try:
        array = jax.numpy.asarray(given)
    except (TypeError, ValueError):
        array = None
    if array is None or not (jax.numpy.issubdtype(array.dtype, np.integer) or _is_float(jax, array)):
        what = type(given).__name__ if array is None else array.dtype
        raise wrong_argument(name, position, "an array", what, "to_jax")
    return array


def _is_float(jax: Any, array: Any) -> bool:
    return bool(jax.numpy.issubdtype(array.dtype, np.floating))


def _function(jax: Any, bridged: Bridged) -> Any:
    """The function with its derivative rule, of arrays that all have the same number of batch dimensions."""
    if "jax" in bridged.cached:
        return bridged.cached["jax"]

    def host(*arrays: Any) -> Any:
        return tuple(bridged([np.asarray(array) for array in arrays]))

    def value(*arrays: Any) -> Any:
        batches, cores = bridged.split([a.shape for a in arrays])
        try:
            batch = np.broadcast_shapes(*batches)
        except ValueError:
            raise ValueError(f"{bridged.name}: the batches of the arguments do not broadcast: {batches}") from None
        shapes = [jax.ShapeDtypeStruct(batch + core, np.float64) for core in bridged.results(cores).cores]
        return jax.pure_callback(host, tuple(shapes), *arrays, vmap_method="expand_dims")

    def forward(*given: Any) -> Any:
        arrays = [x.value for x in given]
        wanted = tuple(() if x.perturbed else None for x in given)  # without leaves, so that tracing keeps it as it is
        return function(*arrays), (arrays, wanted)  # not value: this may be differentiated again

    def backward(kept: Any, cotangents: Any) -> Any:
        arrays, flags = kept
        wanted = tuple(i for i, flag in enumerate(flags) if flag is not None)
        zero = jax.custom_derivatives.SymbolicZero
        given = [jax.numpy.zeros(c.shape, c.dtype) if isinstance(c, zero) else c for c in cotangents]
        _, cores = bridged.split([a.shape for a in arrays])
        rows = _function(jax, bridged.pullback(wanted, cores))(*arrays, *given)
        found = {i: _summed_to(g, arrays[i].shape) for i, g in zip(wanted, rows, strict=True)}
        return tuple(found.get(i) for i in range(len(arrays)))

    function = jax.custom_vjp(value)
    function.defvjp(forward, backward, symbolic_zeros=True)
    return bridged.cached.setdefault("jax", function)


def _summed_to(gradient: Any, shape: tuple[int, ...]) -> Any:
    """Add up the dimensions that broadcasting has stretched."""
    return gradient.sum(axis=tuple(i for i, n in enumerate(gradient.shape) if n != shape[i]), keepdims=True)
