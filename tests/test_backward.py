"""backward(): exact, repeatable, as deep as memory, and no dearer than what it reaches."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

# -------------------------------------------------------------------------------------------------- what is accumulated


def test_root_gets_one(fg: ModuleType) -> None:
    a = fg.Value(2.0)
    a.backward()
    assert a.grad == 1.0


def test_backward_returns_none(fg: ModuleType) -> None:
    assert (fg.Value(2.0) * 3).backward() is None


def test_every_node_on_the_way_gets_its_gradient(fg: ModuleType) -> None:
    a, b, c, f = (fg.Value(x) for x in (2.0, -3.0, 10.0, -2.0))
    e = a * b
    d = e + c
    loss = d * f
    loss.backward()
    assert loss.data == -8.0
    assert [v.grad for v in (loss, f, d, e, c, a, b)] == [1.0, 4.0, -2.0, -2.0, -2.0, 6.0, -4.0]


def test_value_used_twice_by_one_operation(fg: ModuleType) -> None:
    for f, slope in [
        (lambda x: x + x, 2.0),
        (lambda x: x * x, 6.0),
        (lambda x: x - x, 0.0),
        (lambda x: x / x, 0.0),
        (lambda x: x**x, 27.0 * (math.log(3.0) + 1.0)),
        (lambda x: fg.dot([x, x], [x, x]), 12.0),
        (lambda x: fg.sum([x, x, x]), 3.0),
        (lambda x: x.maximum(x), 1.0),
    ]:
        x = fg.Value(3.0)
        f(x).backward()
        assert x.grad == pytest.approx(slope, rel=1e-15), slope


def test_value_used_on_many_paths(fg: ModuleType) -> None:
    x = fg.Value(1.5)
    y = x
    for _ in range(20):
        y = y + y
    (y * x).backward()
    assert x.grad == 2 * 2**20 * 1.5


def test_second_call_adds_the_same_gradients_again(fg: ModuleType) -> None:
    """Micrograd keeps the inner gradients of the first call and gives 24, then 72."""
    a = fg.Value(3.0)
    b = 2 * a
    c = b**2
    c.backward()
    assert (a.grad, b.grad, c.grad) == (24.0, 12.0, 1.0)
    c.backward()
    assert (a.grad, b.grad, c.grad) == (48.0, 24.0, 2.0)


def test_two_losses_that_share_a_node(fg: ModuleType) -> None:
    a = fg.Value(2.0)
    h = a * a
    (h * 1.0).backward()
    (h + 0.0).backward()
    assert (a.grad, h.grad) == (8.0, 2.0)


def test_backward_from_an_inner_node_leaves_what_is_above_alone(fg: ModuleType) -> None:
    a = fg.Value(2.0)
    h = a * a
    y = h * 3
    h.backward()
    assert (a.grad, h.grad, y.grad) == (4.0, 1.0, 0.0)


def test_gradient_set_before_is_added_to(fg: ModuleType) -> None:
    a = fg.Value(2.0)
    y = a * 3
    a.grad, y.grad = 100.0, 10.0
    y.backward()
    assert (a.grad, y.grad) == (103.0, 11.0)


def test_gradient_of_the_root_does_not_scale_the_sweep(fg: ModuleType) -> None:
    a = fg.Value(2.0)
    y = a * 3
    y.grad = 50.0
    y.backward()
    assert a.grad == 3.0


def test_value_that_is_not_reached_keeps_its_gradient(fg: ModuleType) -> None:
    a, b = fg.Value(2.0), fg.Value(3.0)
    unused = a * b
    unused.grad = b.grad = 5.0
    (a * 2).backward()
    assert (a.grad, b.grad, unused.grad) == (2.0, 5.0, 5.0)


def test_leaf_made_after_the_graph_is_not_touched(fg: ModuleType) -> None:
    a = fg.Value(2.0)
    y = a * a
    later = fg.Value(1.0)
    y.backward()
    assert (a.grad, later.grad) == (4.0, 0.0)


# -------------------------------------------------------------------------------------------------------- data and time


def test_data_written_to_a_leaf_counts_at_backward_time(fg: ModuleType) -> None:
    a, b = fg.Value(2.0), fg.Value(3.0)
    y = a * b
    a.data = 10.0
    y.backward()
    assert (y.data, a.grad, b.grad) == (6.0, 3.0, 10.0)


def test_graph_swept_again_after_its_leaves_moved(fg: ModuleType) -> None:
    x = fg.Value(1.0)
    y = x.sin()
    y.backward()
    x.data, x.grad = 2.0, 0.0
    y.backward()
    assert x.grad == math.cos(2.0)


# ---------------------------------------------------------------------------------------------- zeros and not-a-numbers


def test_adjoint_of_zero_contributes_nothing(fg: ModuleType) -> None:
    """Not even nan: 0 times the infinite slope of sqrt at 0."""
    x = fg.Value(0.0)
    (x.sqrt() * 0.0).backward()
    assert x.grad == 0.0


def test_branch_not_taken_puts_no_nan_into_the_gradient(fg: ModuleType) -> None:
    x = fg.Value(0.0)
    fg.where(x > 0, x.sqrt(), x * 3).backward()
    assert x.grad == 3.0


def test_paths_that_cancel_stop_there(fg: ModuleType) -> None:
    x = fg.Value(0.0)
    root = x.sqrt()
    (root - root).backward()
    assert (root.grad, x.grad) == (0.0, 0.0)


def test_nan_that_is_on_the_path_shows(fg: ModuleType) -> None:
    x = fg.Value(math.nan)
    x.relu().backward()
    assert math.isnan(x.grad)


def test_infinite_slope_shows(fg: ModuleType) -> None:
    x = fg.Value(0.0)
    x.sqrt().backward()
    assert x.grad == math.inf


def test_gradient_to_the_exponent_at_a_negative_base_is_nan_and_to_the_base_exact(fg: ModuleType) -> None:
    a, b = fg.Value(-2.0), fg.Value(-3.0)
    (a**b).backward()
    assert a.grad == -0.1875
    assert math.isnan(b.grad)


@pytest.mark.parametrize(
    ("x", "n", "slope"), [(-3.0, 2, -6.0), (0.0, 2, 0.0), (0.0, 1, 1.0), (0.0, 0, 0.0), (-2.0, 3, 12.0)]
)
def test_constant_powers_at_negative_numbers_and_zero(x: float, n: int, slope: float, fg: ModuleType) -> None:
    v = fg.Value(x)
    (v**n).backward()
    assert v.grad == slope


# ------------------------------------------------------------------------------------------------------------ zero_grad


def test_zero_grad_clears_the_whole_graph(fg: ModuleType) -> None:
    a, b = fg.Value(2.0), fg.Value(3.0)
    h = a * b
    y = h + a
    y.backward()
    y.zero_grad()
    assert [v.grad for v in (a, b, h, y)] == [0.0] * 4
    y.backward()
    assert [v.grad for v in (a, b, h, y)] == [4.0, 2.0, 1.0, 1.0]


def test_zero_grad_of_an_inner_node_clears_what_is_below_it(fg: ModuleType) -> None:
    a, b = fg.Value(2.0), fg.Value(3.0)
    h = a * a
    y = h * b
    y.backward()
    h.zero_grad()
    assert (a.grad, h.grad) == (0.0, 0.0)
    assert (b.grad, y.grad) == (4.0, 1.0)


def test_zero_grad_of_a_leaf_clears_it(fg: ModuleType) -> None:
    a = fg.Value(2.0)
    a.grad = math.nan
    a.zero_grad()
    assert a.grad == 0.0


# -------------------------------------------------------------------------------------------------------------- no_grad


def test_nothing_is_recorded_inside_no_grad(fg: ModuleType) -> None:
    a = fg.Value(2.0)
    with fg.no_grad():
        y = (a * 3 + 1).exp() + fg.sum([a, a]) + a**2 + abs(-a) + a.leaky_relu() + fg.where(a, a, 1)
    assert isinstance(y, fg.Value)
    assert (y._prev, y._children, y._op) == (set(), (), "")
    y.backward()
    assert (a.grad, y.grad) == (0.0, 1.0)


def test_recording_resumes_after_no_grad(fg: ModuleType) -> None:
    a = fg.Value(2.0)
    with fg.no_grad():
        fixed = a * a
    (fixed * a).backward()
    assert a.grad == 4.0


def test_no_grad_nests_and_ends_with_an_exception(fg: ModuleType) -> None:
    a = fg.Value(2.0)
    with pytest.raises(ZeroDivisionError), fg.no_grad():
        with fg.no_grad():
            pass
        assert (a * a)._prev == set()
        a / 0
    assert (a * a)._prev == {a}


def test_no_grad_decorates_a_function(fg: ModuleType) -> None:
    @fg.no_grad()
    def predict(x: Any) -> Any:
        """Predict."""
        return x * x

    a = fg.Value(2.0)
    assert [predict(a)._prev, predict(a)._prev] == [set(), set()]
    assert (predict.__name__, predict.__doc__) == ("predict", "Predict.")
    assert (a * a)._prev == {a}


def test_errors_are_the_same_inside_no_grad(fg: ModuleType) -> None:
    with fg.no_grad(), pytest.raises(ValueError, match=r"log\(0\.0\)"):
        fg.Value(0.0).log()


# ---------------------------------------------------------------------------------------------------------------- depth


def test_deep_chain_needs_no_recursion(fg: ModuleType) -> None:
    depth = 100_000
    x = fg.Value(1.0)
    y = x
    for _ in range(depth):
        y = y + 1.0
    y.backward()
    assert (y.data, x.grad) == (depth + 1.0, 1.0)
    y.zero_grad()
    assert x.grad == 0.0


@pytest.mark.slow
def test_chain_of_ten_million_takes_at_most_600_megabytes(run_python: Callable[..., str]) -> None:
    """Compiled only: in pure Python it would be several gigabytes."""
    program = """if True:
        import resource, sys
        from pathlib import Path
        from fastgrad import Value
        x = y = Value(0.5)
        for _ in range(10_000_000):
            y = -y
        y.backward()
        if sys.platform == "linux":  # where ru_maxrss counts what the process was before this program started in it
            peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
        else:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1)
        print(y.data, x.grad, peak)
    """
    data, grad, kilobytes = map(float, run_python(program, "c").split())
    assert (data, grad) == (0.5, 1.0)
    assert kilobytes <= 600_000


def test_deep_chain_is_freed_without_recursion(fg: ModuleType) -> None:
    """Each node is held by the one above alone; each has attributes, so that there is something to free."""
    y = fg.Value(1.0)
    for i in range(100_000):
        y = y + 1.0
        y.index = i
    del y
    fg.Value(1.0).backward()


def test_wide_sum_of_parameters(fg: ModuleType) -> None:
    """An L2 penalty with Python's sum is as deep as there are parameters."""
    parameters = [fg.Value(i / 1000) for i in range(3000)]
    sum(p * p for p in parameters).backward()
    assert [p.grad for p in parameters] == [2 * p.data for p in parameters]


def test_small_graph_above_a_large_tape(fg: ModuleType) -> None:
    """Only what is reached is touched: the other parameters keep their marks."""
    parameters = [fg.Value(1.0) for _ in range(100_000)]
    for p in parameters:
        p.grad = 7.0
    (parameters[0] * parameters[-1]).backward()
    assert (parameters[0].grad, parameters[-1].grad) == (8.0, 8.0)
    assert all(p.grad == 7.0 for p in parameters[1:-1])


def test_closures_run_once_and_only_where_reached(fg: ModuleType) -> None:
    """The cost of a sweep, counted: one call for each reached node, whatever else is on the tape."""
    calls: list[int] = []
    x = fg.Value(1.0)

    def node(i: int, *children: Any) -> Any:
        out = fg.Value(1.0, children, "counted")

        def _backward() -> None:
            calls.append(i)
            for child in children:
                child.grad += out.grad

        out._backward = _backward
        return out

    chain = [node(0, x)]
    for i in range(1, 50):
        chain.append(node(i, chain[-1], chain[i // 2]))
    chain[9].backward()
    assert calls == list(range(9, -1, -1))


# ---------------------------------------------------------------------------------------------- closures that misbehave


def closure_node(fg: ModuleType, child: Any, backward: Any) -> Any:
    out = fg.Value(child.data, (child,), "closure")
    out._backward = backward
    return out


def test_backward_inside_a_closure_is_an_error(fg: ModuleType) -> None:
    x = fg.Value(1.0)
    out = closure_node(fg, x, lambda: (x * 2).backward())
    with pytest.raises(RuntimeError, match="backward"):
        out.backward()


@pytest.mark.parametrize("error", [KeyError("mine"), ZeroDivisionError("mine"), KeyboardInterrupt()])
def test_exception_in_a_closure_arrives_and_leaves_the_tape_usable(error: BaseException, fg: ModuleType) -> None:
    def fail() -> None:
        raise error

    x = fg.Value(3.0)
    inner = closure_node(fg, x, fail)
    y = inner * 2 + x * x
    x.grad = 0.5
    with pytest.raises(type(error)):
        y.backward()
    y.zero_grad()
    z = x * x
    z.backward()
    assert (x.grad, z.grad) == (6.0, 1.0)
    inner._backward = lambda: setattr(x, "grad", x.grad + inner.grad)
    y.zero_grad()
    y.backward()
    assert x.grad == 8.0


def test_closure_may_build_and_drop_values(fg: ModuleType) -> None:
    """Even so many that the tape has to make room in the middle of a sweep."""
    x = fg.Value(3.0)

    def build() -> None:
        y = fg.Value(0.0)
        for _ in range(50_000):
            y = y * 0.5 + 1.0
        x.grad += out.grad * y.data

    out = closure_node(fg, x * 1, build)
    (out * out + x).backward()
    assert x.grad == pytest.approx(1.0 + 6.0 * 2.0)


def test_closure_may_drop_the_last_reference_to_its_graph(fg: ModuleType) -> None:
    x = fg.Value(3.0)
    held = {"graph": x * 2}

    def drop() -> None:
        held.clear()
        x.grad += 1.0

    out = closure_node(fg, held["graph"], drop)
    out.backward()
    assert x.grad == 1.0


def test_closure_may_clear_the_gradients_of_another_graph(fg: ModuleType) -> None:
    """In the middle of a sweep that has yet to visit nodes on either side of that graph."""
    x = fg.Value(2.0)
    before = x * 5
    w = fg.Value(3.0)
    w.grad = 1.0
    other = w * 2

    def _backward() -> None:
        other.zero_grad()
        x.grad += out.grad

    out = closure_node(fg, x, _backward)
    y = out * 3 + before
    for sweeps in (1, 2):
        y.backward()
        assert (x.grad, before.grad, out.grad, w.grad) == (8.0 * sweeps, 1.0 * sweeps, 3.0 * sweeps, 0.0)
