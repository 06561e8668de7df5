"""Contests in other libraries: fastgrad's functions where SciPy, PyTorch, JAX and Dask call them."""

from __future__ import annotations

import atexit
import importlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import by_hand
import numpy as np
from arrays import ARRAY_PROGRAMS
from columns import kit
from problems import black_scholes, options, rosenbrock
from ways import OURS, Way, one_thread, there

import fastgrad as fg
from fastgrad import nn

COORDINATES = 100


#: What makes all ways end in the same place.
THOROUGH = {
    "L-BFGS-B": {"ftol": 1e-12, "gtol": 1e-6, "maxfun": 10**6},
    "Newton-CG": {"xtol": 1e-8},
}


def minimizers(method: str) -> Callable[[], Iterator[Way]]:
    """Return a contest: to find the minimum of Rosenbrock's function."""

    def ways() -> Iterator[Way]:
        if not there("scipy"):
            return
        optimize = importlib.import_module("scipy.optimize")
        start = np.zeros(COORDINATES)
        ours = fg.compile(lambda x: rosenbrock(fg, x), signature="(n)->()")
        second = {"hessp": optimize.rosen_hess_prod} if method == "Newton-CG" else {}

        def way(name: str, minimize: Callable[..., Any], f: Callable[..., Any], **derivatives: Any) -> Way:
            def run() -> Any:
                return minimize(f, start, method=method, options=THOROUGH[method], **derivatives)

            return Way(name, run, lambda: run().x)

        yield way(OURS, fg.minimize, ours)
        yield way("SciPy, derivatives by hand", optimize.minimize, optimize.rosen, jac=optimize.rosen_der, **second)
        if method != "Newton-CG":  # which has to be told the gradient
            yield way("SciPy, differences", optimize.minimize, optimize.rosen)
        if there("jax"):
            yield way("SciPy, JAX's derivatives", optimize.minimize, **jax_rosenbrock(bool(second)))

    return ways


def jax_rosenbrock(second: bool) -> dict[str, Any]:
    """Return Rosenbrock's function and its derivatives by JAX, compiled, as SciPy takes them."""
    jax = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)

    def f(x: Any) -> Any:
        return ARRAY_PROGRAMS["rosenbrock"](jax.numpy, x)

    def product(x: Any, v: Any) -> Any:
        return jax.jvp(jax.grad(f), (x,), (v,))[1]

    both = jax.jit(jax.value_and_grad(f))
    products = {"hessp": jax.jit(product)} if second else {}
    return {"f": lambda x: tuple(map(np.asarray, both(x))), "jac": True, **products}


OPTIONS = 100_000


def in_torch() -> Iterator[Way]:
    """Price options in PyTorch and go backward: fastgrad's function as a function of tensors, and PyTorch's own."""
    if not there("torch"):
        return
    torch = one_thread("torch")
    m, to_torch = kit(torch, ndtr=torch.special.ndtr), importlib.import_module("fastgrad.bridges").to_torch
    data = [torch.tensor(x, requires_grad=True) for x in options(OPTIONS)]

    def way(name: str, f: Callable[..., Any]) -> Way:
        def run() -> Any:
            return torch.autograd.grad(f(*data).sum(), data)

        return Way(name, run, lambda: [part.numpy() for part in run()], OPTIONS)

    yield way(OURS, to_torch(fg.compile(partial(black_scholes, fg))))
    yield way("PyTorch's own operations", partial(black_scholes, m))


def in_jax() -> Iterator[Way]:
    """The same in JAX, under jit: fastgrad's function, and JAX's own."""
    if not there("jax"):
        return
    jax = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)
    m, to_jax = kit(jax.numpy, ndtr=jax.scipy.special.ndtr), importlib.import_module("fastgrad.bridges").to_jax
    data = tuple(map(jax.numpy.asarray, options(OPTIONS)))

    def way(name: str, f: Callable[..., Any]) -> Way:
        gradient = jax.jit(jax.grad(lambda data: f(*data).sum()))

        def run() -> Any:
            return jax.block_until_ready(gradient(data))

        return Way(name, run, lambda: [np.asarray(part) for part in run()], OPTIONS)

    yield way(OURS, to_jax(fg.compile(partial(black_scholes, fg))))
    yield way("JAX's own operations", partial(black_scholes, m))


BLOCKS, BLOCK = 4, 250_000


def on_dask() -> Iterator[Way]:
    """Price options in Dask arrays, and differentiate: the same on NumPy arrays, and NumPy's gradients by hand."""
    if not there("dask"):
        return
    dask, da = map(importlib.import_module, ("dask", "dask.array"))
    distributed = importlib.import_module("fastgrad.distributed")
    rows = BLOCKS * BLOCK
    data = options(rows)
    blocks = [da.from_array(x, chunks=BLOCK) for x in data]
    f = fg.compile(partial(black_scholes, fg))
    f.grad(*data)  # so that all ways find it recorded
    ours = distributed.apply(f, *blocks, method="grad")
    theirs = da.map_blocks(lambda *block: by_hand.black_scholes(*block)[1], *blocks, new_axis=1, chunks=(BLOCK, 5))

    def way(name: str, arrays: Sequence[Any]) -> Way:
        def run() -> Any:
            return dask.compute(*arrays, scheduler="synchronous")

        return Way(name, run, lambda: np.column_stack(run()), rows)

    yield way(OURS, ours)
    yield Way("the same without Dask", lambda: f.grad(*data), lambda: np.column_stack(f.grad(*data)), rows)
    yield way("NumPy by hand on Dask", [theirs])


CLUSTER_ROWS = 2**18


def cluster() -> Iterator[Way]:
    """Sum a loss and its gradient over rows that lie on two processes, and over rows that lie in this one."""
    if not there("distributed"):
        return
    da, dask = importlib.import_module("dask.array"), importlib.import_module("dask.distributed")
    backward = importlib.import_module("fastgrad.distributed").backward
    client = dask.Client(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None)
    atexit.register(client.shutdown)
    model = nn.MLP(8, [32, 32, 1], activation="tanh", rng=0)
    loss = fg.compile(lambda x, y: (model(list(x)) - y) ** 2, signature="(8),()->()")
    draw, half = da.random.default_rng(0), CLUSTER_ROWS // 2
    parts = client.persist([draw.standard_normal((CLUSTER_ROWS, *core), chunks=(half, *core)) for core in ((8,), ())])
    x, y = client.gather(client.compute(parts))

    def way(name: str, sweep: Callable[[], float]) -> Way:
        def gradient() -> list[float]:
            model.zero_grad()
            return [sweep(), *(p.grad for p in model.parameters())]

        return Way(name, sweep, gradient, CLUSTER_ROWS)

    yield way(OURS, lambda: backward(loss, *parts, client=client))
    yield way("one process", lambda: loss.backward(x, y))
