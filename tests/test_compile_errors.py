"""What compiled functions refuse, and what they say then."""

from __future__ import annotations

import signal
import sys
import threading
import time
from types import ModuleType
from typing import Any

import numpy as np
import pytest


def vector(fg: ModuleType) -> Any:
    def f(x: Any, w: Any) -> Any:
        return fg.dot(x, w)

    return fg.compile(f, "(n),(n)->()")


def plain(fg: ModuleType) -> Any:
    def f(x: Any, y: Any) -> Any:
        return x * y

    return fg.compile(f)


# ---------------------------------------------------------------------------------------------------- arguments

WRONG_NUMBERS = [
    (1j, r"argument y: .*complex128"),
    (np.ones(2, complex), r"argument y: .*complex128"),
    (np.array(["a"]), r"argument y: .*dtype <U1"),
    (["a", "b"], r"argument y: .*dtype <U1"),
    (np.array([None, 1.0]), r"argument y: .*dtype object"),
    ([object()], r"argument y: .*dtype object"),
    (np.array(["2020-01-01"], "M8[D]"), r"argument y: .*dtype datetime64\[D\]"),
    (np.array([1], "m8[s]"), r"argument y: .*dtype timedelta64\[s\]"),
    ([10**400, 1], r"argument y: .*dtype object"),
    (np.zeros(2, [("a", "f8")]), r"argument y: .*dtype"),
    ({1, 2}, r"argument y: .*hashable.*set \{1, 2\}"),
    ({"k": {1}}, r"argument y\['k'\]: .*set"),
    ((1.0, ["x"]), r"argument y\[1\]: .*<U1"),
]


@pytest.mark.parametrize(("wrong", "message"), WRONG_NUMBERS, ids=[repr(wrong)[:20] for wrong, _ in WRONG_NUMBERS])
def test_wrong_dtypes(fg: ModuleType, wrong: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        plain(fg)(1.0, wrong)


def test_numbers_and_lists_that_are_none(fg: ModuleType) -> None:
    with pytest.raises(OverflowError, match="argument x"):
        plain(fg)(10**400, 1.0)
    with pytest.raises(ValueError, match="argument x"):
        plain(fg)([[1.0], [2.0, 3.0]], 1.0)
    with pytest.raises(TypeError, match=r"argument x.*'s'"):
        plain(fg)(np.array([fg.Value(1.0), "s"], object), 1.0)


def test_masked_arrays(fg: ModuleType) -> None:
    with pytest.raises(TypeError, match=r"argument x: masked arrays"):
        plain(fg)(np.ma.array([1.0, 2.0], mask=[True, False]), 1.0)


WRONG_SHAPES = [
    ((np.ones(3), np.ones(4)), r"w: core dimension n is 3 in x, .*\(4,\)"),
    ((2.0, np.ones(4)), r"x: expected at least 1 dimension, \(n\).* got shape \(\)"),
    ((np.ones((2, 3)), np.ones((5, 3))), r"broadcast.*x \(2, 3\) \(batch \(2,\)\), w \(5, 3\) \(batch \(5,\)\)"),
    ((np.ones((2, 3)), np.ones((5, 4))), r"w: core dimension n is 3 in x, .*\(4,\)"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG_SHAPES)
def test_wrong_shapes(fg: ModuleType, arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        vector(fg)(*arguments)
    with pytest.raises(ValueError, match=message):
        vector(fg).grad(*arguments)


def test_wrong_shapes_of_scalars(fg: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"shapes are x \(2,\), y \(3,\)"):
        plain(fg)(np.ones(2), np.ones(3))
    with pytest.raises(ValueError, match=r"x: core dimension 2 is 2 in the signature, .*\(3,\)"):
        fg.compile(lambda x: x[0], "(2)->()")(np.ones(3))


def test_calls_that_do_not_fit_the_function(fg: ModuleType) -> None:
    f = plain(fg)
    for arguments, keywords, message in [
        ((1.0,), {}, r"f\(\): missing.*'y'"),
        ((1.0, 2.0, 3.0), {}, r"f\(\): too many"),
        ((1.0,), {"z": 1.0}, r"f\(\): missing"),
        ((1.0, 2.0), {"x": 1.0}, r"f\(\): multiple values.*'x'"),
    ]:
        with pytest.raises(TypeError, match=message):
            f(*arguments, **keywords)


def test_vectors_tangents_and_cotangents(fg: ModuleType) -> None:
    f = vector(fg)
    x = w = np.ones(3)
    with pytest.raises(ValueError, match=r"vectors: expected the shape \(3,\), .*got \(4,\)"):
        f.hvp(x, w, np.ones(4), argnums=0)
    with pytest.raises(TypeError, match=r"tangents: expected a tuple.*got ndarray"):
        f.jvp(x, w, np.ones(3))
    with pytest.raises(TypeError, match=r"tangents: expected a tuple"):
        f.jvp(x, w, (x, w, x))
    with pytest.raises(TypeError, match=r"argument cotangents: .*complex"):
        f.vjp(x, w, 1j)
    with pytest.raises(ValueError, match=r"broadcast.*cotangents \(2,\)"):
        f.vjp(np.ones((3, 3)), w, np.ones(2))
    with pytest.raises(TypeError, match=r"hvp\(\) of f: expected.*vectors"):
        f.hvp()


def test_argnums_that_are_none(fg: ModuleType) -> None:
    f = fg.compile(lambda x, mode: x * 2.0)
    with pytest.raises(ValueError, match=r"argnums: 'z' is none of.*'x', 'mode'"):
        f.grad(1.0, "m", argnums="z")
    with pytest.raises(ValueError, match=r"argnums: 7 is none of"):
        f.grad(1.0, "m", argnums=7)
    with pytest.raises(ValueError, match=r"argnums: 1.5 is none of"):
        f.grad(1.0, "m", argnums=1.5)
    with pytest.raises(ValueError, match=r"argnums: 'mode' is static"):
        f.grad(1.0, "m", argnums=1)
    with pytest.raises(TypeError, match=r"grad\(\) of .*no argument.*argnums='parameters'"):
        fg.compile(lambda mode: fg.Value(2.0)).grad("m")


def test_outputs_that_cannot_be_filled(fg: ModuleType) -> None:
    f = plain(fg)
    frozen = np.empty(2)
    frozen.flags.writeable = False
    with pytest.raises(TypeError, match=r"out: expected a writeable array of float64, got an array of float32"):
        f([1.0, 2.0], 1.0, out=np.empty(2, np.float32))
    with pytest.raises(TypeError, match=r"out: expected a writeable array of float64"):
        f([1.0, 2.0], 1.0, out=frozen)
    with pytest.raises(TypeError, match=r"out: expected a writeable array of float64, got list"):
        f([1.0, 2.0], 1.0, out=[0.0, 0.0])
    with pytest.raises(ValueError, match=r"out: expected an array of shape \(2,\), got \(3,\)"):
        f([1.0, 2.0], 1.0, out=np.empty(3))
    with pytest.raises(ValueError, match=r"out\[1\]: expected an array of shape \(2,\), got \(1,\)"):
        f.grad([1.0, 2.0], 1.0, out=(np.empty(2), np.empty(1)))
    with pytest.raises(TypeError, match=r"out: expected a tuple"):
        f.grad([1.0, 2.0], 1.0, out=np.empty(2))
    with pytest.raises(TypeError, match=r"out= is for arrays of numbers"):
        f(fg.Value(1.0), 1.0, out=np.empty(()))


# ---------------------------------------------------------------------------------------------------- fg.compile


def test_options_that_are_none(fg: ModuleType) -> None:
    with pytest.raises(TypeError, match=r"fg\.compile\(f\): expected a function, got str '\(n\)->\(\)'"):
        fg.compile("(n)->()")
    for wrong in (0, -1, 1.5, True, "3"):
        with pytest.raises(ValueError, match=r"max_paths"):
            fg.compile(lambda x: x, max_paths=wrong)
    for wrong in ("y", 3, -1):
        with pytest.raises(ValueError, match=r"static=.*none of its arguments, which are 'x'"):
            fg.compile(lambda x: x, static=wrong)
    with pytest.raises(TypeError, match=r"signature: expected a string"):
        fg.compile(lambda x: x, signature=["(n)"])
    for wrong in ("", "n", "(n", "(n)(m)", "(n),->()", "(n?)->()", "(n|1)", "(n m)", "(1a)", "(n)->", "(n,)", "->()"):
        with pytest.raises(ValueError, match=r"signature .*cannot read"):
            fg.compile(lambda x: x, signature=wrong)
    with pytest.raises(ValueError, match=r"signature '\(n\)->\(\)' is for 1 arrays, but the call has 2: 'x', 'y'"):
        fg.compile(lambda x, y: x, signature="(n)->()")([1.0], 2.0)
    with pytest.raises(ValueError, match=r"has 2: 'x\[0\]', 'x\[1\]';.*a tuple is several arrays"):
        fg.compile(lambda x: x, signature="(n)->()")((1.0, 2.0))
    with pytest.raises(ValueError, match=r"is for 1 arrays, but the call has 0: none; .*static arguments \(here x\)"):
        fg.compile(lambda x: x, signature="(n)->()")("a")
    with pytest.raises(ValueError, match=r"is for 2 arrays, but the call has 1: 'x'"):
        fg.compile(lambda x: x, signature="(),()->()")(1.0)


def test_threads_that_are_none(fg: ModuleType) -> None:
    before = fg.get_num_threads()
    for wrong in (0, -2):
        with pytest.raises(ValueError, match="1 or more"):
            fg.set_num_threads(wrong)
    for wrong in (1.5, "2", None):
        with pytest.raises(TypeError, match="whole number"):
            fg.set_num_threads(wrong)
    assert fg.get_num_threads() == before


# -------------------------------------------------------------------------------------------------------- results


def test_results_that_are_none(fg: ModuleType) -> None:
    for wrong, message in [
        (None, r"returned None.*forget to return"),
        ("text", r"returned str 'text'"),
        ([1.0, None], r"returned None"),
        (1j, r"returned complex"),
        (np.array(["a"]), r"returned str"),
        ({1.0}, r"returned set"),
    ]:
        f = fg.compile(returning(wrong))
        with pytest.raises(TypeError, match=message):
            f(1.0)
        with pytest.raises(TypeError, match=message):
            f.grad([1.0])


def returning(result: Any) -> Any:
    def f(x: Any) -> Any:
        return result

    return f


def test_results_that_are_not_in_the_signature(fg: ModuleType) -> None:
    with pytest.raises(TypeError, match=r"returned .*expected a tuple of 2 results"):
        fg.compile(lambda x: x, "()->(),()")(1.0)
    with pytest.raises(ValueError, match=r"result of <lambda>: expected 1 dimension, \(n\).* got shape \(\)"):
        fg.compile(lambda x: x[0], "(n)->(n)")([1.0, 2.0])
    with pytest.raises(ValueError, match=r"result of <lambda>: core dimension n is 2 in x, .*\(1,\)"):
        fg.compile(lambda x: [x[0]], "(n)->(n)")([1.0, 2.0])
    with pytest.raises(TypeError, match=r"returned"):
        fg.compile(lambda x: (x, x), "()->()")(1.0)


@pytest.mark.parametrize("kind", ["grad", "value_and_grad", "hessian"])
def test_gradients_are_of_one_number(fg: ModuleType, kind: str) -> None:
    for f in (lambda x: (x, x), lambda x: [x], lambda x: np.array([x])):
        with pytest.raises(TypeError, match=rf"{kind}\(\) of <lambda>: .*one number.*jacobian\(\)"):
            getattr(fg.compile(f), kind)(1.0)


# ------------------------------------------------------------------------------------------------ while recording


def test_reading_numbers_out_of_traced_values(fg: ModuleType) -> None:
    import math

    for read, advice in [
        (lambda x: x.data, r"\.data.*Value itself"),
        (float, r"float\(\)"),
        (int, r"int\(\).*fg\.floor"),
        (math.exp, r"fg\.exp"),
        (range, r"fg\.take"),
        (lambda x: [1, 2][x], r"fg\.take"),
        (lambda x: f"{x:.2f}", r"output"),
        (str, r"output"),
        (lambda x: x.backward(), r"f\.grad"),
        (round, r"fg\.floor"),
    ]:

        @fg.compile
        def f(x: Any, read: Any = read) -> Any:
            return x * 2.0 if read(x) else x

        with pytest.raises(fg.TracingError, match=rf"test_compile_errors\.py.*{advice}"):
            f(1.0)
        assert not fg._backend.module.is_recording()
    assert issubclass(fg.TracingError, TypeError)


def test_exceptions_inside_propagate_and_leave_the_tape_intact(fg: ModuleType) -> None:
    a = fg.Value(2.0)
    b = a * a

    @fg.compile
    def f(x: Any) -> Any:
        y = x * b
        if x > 1.0:
            raise KeyError("too large")
        return y

    for _ in range(3):
        with pytest.raises(KeyError, match="too large"):
            f([0.5, 2.0])
        with pytest.raises(KeyError, match="too large"):
            fg.compile(lambda x: f(x) * 2.0)(3.0)
    assert not fg._backend.module.is_recording()
    c = b * a
    c.backward()
    assert (a.grad, b.grad) == (12.0, 2.0)
    assert f([0.5, 0.25]).tolist() == [2.0, 1.0]


def test_values_that_a_recording_leaves_behind(fg: ModuleType) -> None:
    """A side effect on a captured list happens once, at the recording; its Value is of no use later."""
    kept = []

    @fg.compile
    def f(x: Any) -> Any:
        kept.append(x * 2.0)
        return x * 3.0

    assert f([1.0, 2.0, 3.0]).tolist() == [3.0, 6.0, 9.0]
    assert len(kept) == 1 and kept[0].data == 2.0
    with pytest.raises(fg.TracingError, match="recorded before, and kept"):
        fg.compile(lambda x: x + kept[0])(1.0)


def test_recursion(fg: ModuleType) -> None:
    def factorial(x: Any) -> Any:
        return x * compiled(x - 1.0) if x > 1.0 else 1.0

    def endless(x: Any) -> Any:
        return recursive(2.0) + x

    def eternal(x: Any) -> Any:
        return same(x)

    compiled = fg.compile(factorial)
    assert compiled([1.0, 4.0, 5.0]).tolist() == [1.0, 24.0, 120.0]
    recursive, same = fg.compile(endless), fg.compile(eternal)
    with pytest.raises(RecursionError, match=r"endless calls itself with numbers"):
        recursive(1.0)
    with pytest.raises(RecursionError):
        same(1.0)
    assert not fg._backend.module.is_recording()
    assert compiled(3.0) == 6.0


def test_backward_inside_of_a_function(fg: ModuleType) -> None:
    w = fg.Value(1.0)
    inner = fg.compile(lambda x: w * x)
    with pytest.raises(fg.TracingError, match=r"backward\(\) of <lambda>"):
        fg.compile(lambda x: x * inner.backward([1.0]))(1.0)
    assert w.grad == 0.0


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_interrupt(fg: ModuleType) -> None:
    """Ctrl-C stops a long call within a second, and leaves everything as it was."""
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals come to the main thread")

    @fg.compile
    def f(x: Any) -> Any:
        for _ in range(2000):
            x = fg.tanh(x) + fg.exp(-x * x)
        return x

    x = np.random.default_rng(1).normal(size=400_000)
    expected = f(x[:10])
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    start = time.perf_counter()
    try:
        with pytest.raises(KeyboardInterrupt):
            f(x)
            raise AssertionError("it was done before the signal came")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    assert time.perf_counter() - start < 5.0
    assert np.array_equal(f(x[:10]), expected)


@pytest.mark.parametrize(
    "use", [lambda x: x[0] * 2.0, lambda x: 2.0 * sum(x), lambda x: len(x) * x[0], lambda x: max(*x)]
)
def test_a_number_taken_for_an_array_is_told_of_signatures(fg: ModuleType, use: Any) -> None:
    with pytest.raises(fg.TracingError, match=r"test_compile_errors\.py:\d+: .*\(n\)->\(\)"):
        fg.compile(use)([1.0, 2.0])
    assert fg.compile(use, "(n)->()")([1.0, 2.0]) is not None
