"""Compiled functions in PyTorch and JAX: by those libraries' own checks of gradients. Without them these tests skip."""

from __future__ import annotations

import doctest
import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

EXTRAS = {"torch": "torch", "jax": "jax"}
RNG = np.random.default_rng(0)
P, X, S = RNG.standard_normal(2), RNG.standard_normal((3, 2)), RNG.standard_normal((4, 1))


@pytest.fixture
def bridges(fg: ModuleType) -> Any:
    return importlib.import_module("fastgrad.bridges")


def needed(name: str) -> Any:
    return pytest.importorskip(name, reason=f"{name} is not installed: pip install 'fastgrad[{name}]'")


@pytest.fixture
def torch(fg: ModuleType) -> Any:
    return needed("torch")


@pytest.fixture
def jax(fg: ModuleType) -> Any:
    jax = needed("jax")
    jax.config.update("jax_enable_x64", True)
    return jax


def several(fg: ModuleType) -> Any:
    """A function of a vector, rows and a number, with a number and a vector as its results."""
    return fg.compile(
        lambda p, x, s: (fg.sin(fg.dot(p, x)) * s, [p[0] * x[1], s**2, fg.exp(x[0] * 0.1)]),
        signature="(n),(n),()->(),(m)",
    )


def branched(fg: ModuleType) -> Any:
    return fg.compile(lambda x: x**3 if x > 0.0 else -x)


def leaves(torch: Any, *arrays: Any) -> list[Any]:
    return [torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in arrays]


# ---------------------------------------------------------------------------------------------- without either library


def test_gradients_are_summed_to_the_shapes_of_the_arguments(bridges: ModuleType, fg: ModuleType) -> None:
    bridged = importlib.import_module("fastgrad._bridge").Bridged(several(fg))
    p, s = P.reshape(1, 1, 2), S
    x = X.reshape(1, 3, 2)
    cotangents = [RNG.standard_normal((4, 3)), RNG.standard_normal((4, 3, 3))]
    found = bridged.pull([p, x, s], cotangents, (0, 1, 2))
    by_rows = bridged.f.vjp(p, x, s, tuple(cotangents))
    assert [g.shape for g in found] == [p.shape, x.shape, s.shape]
    np.testing.assert_allclose(found[0].ravel(), by_rows[0].sum(axis=(0, 1)), rtol=1e-12)
    np.testing.assert_allclose(found[1][0], by_rows[1].sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found[2][:, 0], by_rows[2].sum(axis=1), rtol=1e-12)


@pytest.mark.parametrize("name", EXTRAS)
def test_without_the_library_the_extra_is_named(
    bridges: ModuleType, fg: ModuleType, monkeypatch: Any, name: str
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=rf"pip install 'fastgrad\[{name}\]'"):
        getattr(bridges, f"to_{name}")(branched(fg))


@pytest.mark.parametrize("name", EXTRAS)
def test_the_examples_of_the_documentation_run(bridges: ModuleType, name: str) -> None:
    needed(name)
    function = getattr(bridges, f"to_{name}")
    (example,) = doctest.DocTestFinder().find(function, name, module=False, globs={})
    said: list[str] = []
    assert doctest.DocTestRunner().run(example, out=said.append).failed == 0, "".join(said)


# ------------------------------------------------------------------------------------------------------------- PyTorch


def test_torch_agrees_with_differences_to_second_order(bridges: ModuleType, fg: ModuleType, torch: Any) -> None:
    f = bridges.to_torch(several(fg))
    assert torch.autograd.gradcheck(f, leaves(torch, P, X, S))
    assert torch.autograd.gradgradcheck(f, leaves(torch, P[:1].repeat(2), X[:2], 0.7))
    g = bridges.to_torch(branched(fg))
    assert torch.autograd.gradcheck(g, leaves(torch, [-1.0, 2.0]))
    assert torch.autograd.gradgradcheck(g, leaves(torch, [-1.0, 2.0]))


def test_torch_values_and_gradients_are_the_compiled_ones(bridges: ModuleType, fg: ModuleType, torch: Any) -> None:
    f = fg.compile(lambda p, x: fg.tanh(fg.dot(p, x)), signature="(n),(n)->()")
    p, x = leaves(torch, P, X)
    result = bridges.to_torch(f)(p, x)
    np.testing.assert_array_equal(result.detach().numpy(), f(P, X))
    result.sum().backward()
    np.testing.assert_allclose(p.grad.numpy(), f.sum_grad(P, X, argnums=0)[1], rtol=1e-15)
    np.testing.assert_array_equal(x.grad.numpy(), f.grad(P, X, argnums=1))


def test_torch_computes_only_the_gradients_asked_for(bridges: ModuleType, fg: ModuleType, torch: Any) -> None:
    p, x, s = leaves(torch, P, X, S)
    bridges.to_torch(several(fg))(p, x.detach(), s.detach())[0].sum().backward()
    assert p.grad.shape == (2,) and x.grad is None and s.grad is None


def test_torch_keeps_single_precision_outside(bridges: ModuleType, fg: ModuleType, torch: Any) -> None:
    f = bridges.to_torch(lambda x, y: x * fg.exp(-y))
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    result = f(x, 0.5)
    assert result.dtype == torch.float32
    result.sum().backward()
    assert x.grad.dtype == torch.float32
    np.testing.assert_allclose(x.grad.numpy(), np.exp(-0.5), rtol=1e-7)
    assert f(torch.tensor([1, 2]), 0).dtype == torch.float64
    assert f(x, torch.tensor(0.5, dtype=torch.float64)).dtype == torch.float64


def test_torch_transforms(bridges: ModuleType, fg: ModuleType, torch: Any) -> None:
    f = bridges.to_torch(several(fg))
    p, x, s = (t.detach() for t in leaves(torch, P, X, S))
    per_row = torch.vmap(torch.func.grad(lambda p, x: f(p, x, 1.5)[0]), (None, 0))(p, x)
    np.testing.assert_allclose(
        per_row.numpy(), several(fg).vjp(P, X, 1.5, (np.ones(3), np.zeros((3, 3))))[0], rtol=1e-13
    )
    np.testing.assert_array_equal(torch.vmap(f, (None, None, 0))(p, x, s)[0], f(p, x, s)[0])


def test_torch_trains_through_a_compiled_function(bridges: ModuleType, fg: ModuleType, torch: Any) -> None:
    f = bridges.to_torch(lambda w, x: w[0] * x + w[1], signature="(2),()->()")
    (w,) = leaves(torch, [0.0, 0.0])
    x = torch.linspace(-1.0, 1.0, 20, dtype=torch.float64)
    sgd = torch.optim.SGD([w], lr=0.5)
    for _ in range(60):
        sgd.zero_grad()
        ((f(w, x) - (3.0 * x - 1.0)) ** 2).mean().backward()
        sgd.step()
    np.testing.assert_allclose(w.detach().numpy(), [3.0, -1.0], atol=1e-4)


def test_torch_arguments_that_do_not_fit_are_refused(bridges: ModuleType, fg: ModuleType, torch: Any) -> None:
    f = bridges.to_torch(several(fg))
    p, x, s = (t.detach() for t in leaves(torch, P, X, S))
    with pytest.raises(TypeError, match="argument 0: expected a tensor of real numbers, or a number, got str"):
        f("p", x, s)
    with pytest.raises(
        TypeError, match=r"argument 1: expected a tensor of real numbers, or a number, got torch.complex"
    ):
        f(p, x.to(torch.complex128), s)
    with pytest.raises(ValueError, match=r"argument 2: expected a tensor on the CPU, got one on meta: pass x.cpu\(\)"):
        f(p, x, s.to("meta"))
    with pytest.raises(ValueError, match=r"argument 0: expected at least 1 dimension, \(n\) in the signature; got"):
        f(1.0, x, s)
    with pytest.raises(ValueError, match="core dimension n is 2"):
        f(p, x[:, :1], s)
    with pytest.raises(ValueError, match="broadcast"):
        f(p, x, s[:, 0])
    with pytest.raises(TypeError, match="argument"):
        f(p, x)
    with pytest.raises(TypeError, match="expected a function that returns one number or array, or a tuple"):
        bridges.to_torch(lambda x: {"a": x})(1.0)
    with pytest.raises(TypeError, match="expected a function, got float"):
        bridges.to_torch(1.0)


# ----------------------------------------------------------------------------------------------------------------- JAX


def test_jax_agrees_with_differences_to_second_order(bridges: ModuleType, fg: ModuleType, jax: Any) -> None:
    check_grads = importlib.import_module("jax.test_util").check_grads
    check_grads(bridges.to_jax(several(fg)), (P, X, S), order=2, modes=["rev"])
    check_grads(bridges.to_jax(branched(fg)), (np.array([-1.0, 2.0]),), order=2, modes=["rev"])


def test_jax_values_and_gradients_are_the_compiled_ones(bridges: ModuleType, fg: ModuleType, jax: Any) -> None:
    f = fg.compile(lambda p, x: fg.tanh(fg.dot(p, x)), signature="(n),(n)->()")
    g = bridges.to_jax(f)
    np.testing.assert_array_equal(g(P, X), f(P, X))
    slope = jax.grad(lambda p: g(p, X).sum())
    for compute in (slope, jax.jit(slope)):
        np.testing.assert_allclose(compute(P), f.sum_grad(P, X, argnums=0)[1], rtol=1e-14)
    hessian = sum(f.hessian(P, x, argnums=0) for x in X)
    np.testing.assert_allclose(jax.jit(jax.jacrev(slope))(P), hessian, rtol=1e-12)


def test_jax_transforms(bridges: ModuleType, fg: ModuleType, jax: Any) -> None:
    f = bridges.to_jax(several(fg))
    per_row = jax.vmap(jax.grad(lambda p, x: f(p, x, 1.5)[0]), (None, 0))(P, X)
    np.testing.assert_allclose(per_row, several(fg).vjp(P, X, 1.5, (np.ones(3), np.zeros((3, 3))))[0], rtol=1e-13)
    np.testing.assert_array_equal(jax.jit(jax.vmap(f, (None, None, 0)))(P, X, S)[0], f(P, X, S)[0])


def test_jax_keeps_single_precision_outside(bridges: ModuleType, fg: ModuleType, jax: Any) -> None:
    f = bridges.to_jax(lambda x, y: x * fg.exp(-y))
    x = jax.numpy.array([1.0, 2.0], np.float32)
    assert f(x, 0.5).dtype == np.float32
    assert jax.grad(lambda x: f(x, 0.5).sum())(x).dtype == np.float32
    assert f(np.array([1, 2]), 0).dtype == np.float64


def test_jax_reads_what_the_function_captures_at_each_run(bridges: ModuleType, fg: ModuleType, jax: Any) -> None:
    w = fg.Value(2.0)
    f = jax.jit(bridges.to_jax(lambda x: w * x))
    assert f(3.0) == 6.0
    w.data = 5.0
    assert f(3.0) == 15.0


def test_jax_without_double_precision_says_how_to_switch_it_on(bridges: ModuleType, fg: ModuleType, jax: Any) -> None:
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(RuntimeError, match=r'jax.config.update\("jax_enable_x64", True\)'):
            bridges.to_jax(branched(fg))(1.0)
    finally:
        jax.config.update("jax_enable_x64", True)


def test_jax_arguments_that_do_not_fit_are_refused(bridges: ModuleType, fg: ModuleType, jax: Any) -> None:
    f = bridges.to_jax(several(fg))
    cases: list[tuple[Callable[[], Any], type[Exception], str]] = [
        (lambda: f("p", X, S), TypeError, "argument 0: expected an array of real numbers, or a number, got str"),
        (lambda: f(P, X + 0j, S), TypeError, "argument 1: expected an array of real numbers, or a number, got complex"),
        (lambda: f(1.0, X, S), ValueError, r"argument 0: expected at least 1 dimension, \(n\) in the signature"),
        (lambda: f(P, X[:, :1], S), ValueError, "core dimension n is 2"),
        (lambda: f(P, X, S[:, 0]), ValueError, r"do not broadcast: "),
    ]
    for call, error, message in cases:
        for run in (call, jax.jit(call)) if "str" not in message else (call,):
            with pytest.raises(error, match=message):
                run()
