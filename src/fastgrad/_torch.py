"""Compiled functions in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, reduce, wraps
from importlib import import_module
from typing import Any

from ._bridge import Bridged, compiled_of, wrong_argument
from ._errors import is_real


def to_torch(f: Callable[..., Any], signature: str | None = None) -> Callable[..., Any]:
    """Return a compiled function as a function of PyTorch tensors, which autograd differentiates any number of times.

    Batches broadcast as for the compiled function. Computing is in double precision: other tensors are converted, and
    the results have the common dtype of the tensors given (float32 in, float32 out). What ``f`` captures is constant.

    Parameters
    ----------
    f : callable
        A compiled function, or one to be compiled, that returns one number or array or a tuple of them.
    signature : str, optional
        As for ``compile``.

    Returns
    -------
    callable
        It takes tensors on the CPU and numbers, by position, and returns a tensor or a tuple of them. It works with
        ``torch.func.grad`` and ``torch.vmap``; there is no forward mode.

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    TypeError
        When it is called, if an argument is neither a real tensor nor a number.
    ValueError
        When it is called, if a tensor is not on the CPU, or shapes do not fit.

    Examples
    --------
    >>> import fastgrad as fg, torch
    >>> from fastgrad.bridges import to_torch
    >>> f = to_torch(fg.compile(lambda x, y: x * fg.exp(-y)))
    >>> x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    >>> f(x, 0.0).sum().backward()
    >>> x.grad
    tensor([1., 1.], dtype=torch.float64)
    """
    torch = _torch()
    bridged = Bridged(compiled_of(f, signature))

    @wraps(bridged.f, updated=())
    def call(*args: Any) -> Any:
        tensors = [_tensor(torch, bridged.name, i, x) for i, x in enumerate(args)]
        floating = [t.dtype for t, x in zip(tensors, args, strict=True) if t is x and t.is_floating_point()]
        dtype = reduce(torch.promote_types, floating) if floating else torch.float64
        shapes, cores = bridged.aligned([t.shape for t in tensors])
        several = bridged.results(cores).several
        aligned = [t.to(torch.float64).reshape(shape) for t, shape in zip(tensors, shapes, strict=True)]
        results = tuple(result.to(dtype) for result in _function().apply(bridged, *aligned))
        return results if several else results[0]

    return call


def _torch() -> Any:
    try:
        return import_module("torch")
    except ImportError as error:
        raise ImportError(
            f"to_torch needs PyTorch, which cannot be imported ({error}): pip install 'fastgrad[torch]'"
        ) from error


def _tensor(torch: Any, name: str, position: int, given: Any) -> Any:
    if is_real(given):
        return torch.tensor(float(given), dtype=torch.float64)
    if not isinstance(given, torch.Tensor) or given.is_complex():
        what = given.dtype if isinstance(given, torch.Tensor) else type(given).__name__
        raise wrong_argument(name, position, "a tensor", what, "to_torch")
    if given.device.type != "cpu":
        raise ValueError(
            f"{name}: argument {position}: expected a tensor on the CPU, got one on {given.device}: pass x.cpu()"
        )
    return given


@lru_cache(maxsize=1)
def _function() -> Any:
    """The autograd function of all bridged functions; its first argument is the bridged function."""
    torch = _torch()

    def forward(bridged: Bridged, *tensors: Any) -> Any:
        arrays = bridged([t.detach().numpy() for t in tensors])
        return tuple(torch.from_numpy(array) for array in arrays)

    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.bridged = inputs[0]
        ctx.save_for_backward(*inputs[1:])

    def backward(ctx: Any, *cotangents: Any) -> Any:
        bridged, tensors = ctx.bridged, ctx.saved_tensors
        wanted = tuple(i for i, needed in enumerate(ctx.needs_input_grad[1:]) if needed)
        if torch.is_grad_enabled():  # the gradients will be differentiated
            _, cores = bridged.split([t.shape for t in tensors])
            rows = applied.apply(bridged.pullback(wanted, cores), *tensors, *cotangents)
            found = [g.sum_to_size(tensors[i].shape) for i, g in zip(wanted, rows, strict=True)]
        else:
            arrays, given = ([t.detach().numpy() for t in part] for part in (tensors, cotangents))
            found = [torch.from_numpy(g) for g in bridged.pull(arrays, given, wanted)]
        by_place = dict(zip(wanted, found, strict=True))
        return (None, *(by_place.get(i) for i in range(len(tensors))))

    def vmap(info: Any, in_dims: Any, bridged: Bridged, *tensors: Any) -> Any:
        pairs = zip(tensors, in_dims[1:], strict=True)
        results = applied.apply(bridged, *(t.unsqueeze(0) if d is None else t.movedim(d, 0) for t, d in pairs))
        return results, (0,) * len(results)

    parts = (forward, setup_context, backward, vmap)
    applied: Any = type("Compiled", (torch.autograd.Function,), {part.__name__: staticmethod(part) for part in parts})
    return applied
