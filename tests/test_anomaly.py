"""fg.detect_anomaly and why_nan: the first operation that makes a nan or inf from finite operands is named."""

from __future__ import annotations

import inspect
import math
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

HUGE = 1e200

FORWARD: list[tuple[Callable[[ModuleType, Any], Any], str, str, type[Exception]]] = [
    (lambda fg, x: x * x, "multiply", "x * x", ArithmeticError),
    (lambda fg, x: x * HUGE, "multiply", "x * 1e+200", ArithmeticError),
    (lambda fg, x: x**2, "power", "x**2", OverflowError),
    (lambda fg, x: x / 0.0, "true_divide", "x / 0", ZeroDivisionError),
    (lambda fg, x: fg.log(x * 0.0), "log", "log(v1)", ValueError),
    (lambda fg, x: x.exp(), "exp", "exp(x)", OverflowError),
    (lambda fg, x: fg.dot([x, 1.0], [x, 1.0]), "dot", "dot(x, 1, x, 1)", ArithmeticError),
    (lambda fg, x: fg.sum([x, x * 1e107, 1.7e308]), "sum", "sum(x, v1, 1.7e+308)", ArithmeticError),
    (lambda fg, x: fg.leaky_relu(-x, HUGE), "leaky_relu", "leaky_relu(v1, 1e+200)", OverflowError),
    (lambda fg, x: fg.where(1.0, x, x) * x, "multiply", "v1 * x", ArithmeticError),
    (lambda fg, x: fg.Value(math.inf, (x,), "mine"), "mine", "mine(x)", ArithmeticError),
]


@pytest.mark.parametrize(("function", "operation", "formula", "kind"), FORWARD)
def test_forward_anomaly_is_named(
    fg: ModuleType, function: Any, operation: str, formula: str, kind: type[Exception]
) -> None:
    x = fg.Value(HUGE, label="x")
    with fg.detect_anomaly(), pytest.raises(fg.AnomalyError) as raised:
        function(fg, x)
    anomaly = raised.value.anomaly
    assert isinstance(raised.value, kind) and isinstance(raised.value, FloatingPointError)
    assert (anomaly.direction, anomaly.operation, anomaly.formula) == ("forward", operation, formula)
    assert not math.isfinite(anomaly.made) and all(map(math.isfinite, anomaly.operands.values()))
    assert anomaly.line.file == __file__ and anomaly.line.function == "<lambda>"
    assert f"{Path(__file__)}:{anomaly.line.line}, in <lambda>: forward, {formula} made" in str(raised.value)


def test_line_is_that_of_the_operation(fg: ModuleType) -> None:
    x = fg.Value(HUGE, label="x")
    with fg.detect_anomaly(), pytest.raises(fg.AnomalyError) as raised:
        y = x * 2.0
        line = inspect.currentframe().f_lineno + 1  # type: ignore[union-attr]
        y * x
    assert raised.value.anomaly.line.line == line
    assert raised.value.anomaly.operands == {"v1": 2 * HUGE, "x": HUGE}


BACKWARD: list[tuple[Callable[[ModuleType, Any], Any], str, str | None, dict[str, float]]] = [
    (lambda fg, x: fg.sqrt(x) * 2.0, "sqrt(x)", "x", {"x": 0.0}),
    (lambda fg, x: x**0.5, "x**0.5", "x", {"x": 0.0}),
    (lambda fg, x: fg.cbrt(x), "cbrt(x)", "x", {"x": 0.0}),
    (lambda fg, x: (x * 1e200) * 1e200, "v1 * 1e+200", None, {}),
    (lambda fg, x: fg.Value(1.0, (x,), (math.nan,)), "made by hand(x)", "x", {"x": 0.0}),
]


@pytest.mark.parametrize(("function", "formula", "wrt", "operands"), BACKWARD)
def test_backward_anomaly_is_named_and_changes_no_grad(
    fg: ModuleType, function: Any, formula: str, wrt: str | None, operands: dict[str, float]
) -> None:
    x = fg.Value(0.0, label="x")
    with fg.detect_anomaly():
        y = function(fg, x)
        with pytest.raises(fg.AnomalyError) as raised:
            y.backward()
    anomaly = raised.value.anomaly
    assert anomaly.direction == "backward" and "backward" in str(raised.value)
    assert (x.grad, y.grad) == (0.0, 0.0)
    assert anomaly.line.file == __file__
    if wrt is not None:
        assert (anomaly.formula, anomaly.wrt, anomaly.operands) == (formula, wrt, operands)


def test_adding_up_can_be_the_anomaly(fg: ModuleType) -> None:
    x = fg.Value(1e-10, label="x")
    with fg.detect_anomaly(), pytest.raises(fg.AnomalyError, match="the sum of what arrived at x") as raised:
        (x * 1.7e308 + x * 1.7e308).backward()
    assert raised.value.anomaly.wrt is None and raised.value.anomaly.made == math.inf


def test_line_of_the_forward_operation_is_named_backward(fg: ModuleType) -> None:
    x = fg.Value(0.0, label="x")
    with fg.detect_anomaly():
        line = inspect.currentframe().f_lineno + 1  # type: ignore[union-attr]
        y = fg.sqrt(x)
        with pytest.raises(fg.AnomalyError) as raised:
            y.backward()
    assert raised.value.anomaly.line.line == line


def test_graph_from_outside_is_looked_through_without_its_lines(fg: ModuleType) -> None:
    y = fg.sqrt(fg.Value(0.0, label="x"))
    with fg.detect_anomaly(), pytest.raises(fg.AnomalyError, match=r"^backward, the derivative of sqrt") as raised:
        y.backward()
    assert raised.value.anomaly.line.line == 0


def test_what_is_fine_goes_on_as_ever(fg: ModuleType) -> None:
    def compute() -> tuple[float, float]:
        x = fg.Value(1.5)
        y = fg.tanh(x * x) + fg.log(x) / 3.0
        y.backward()
        return y.data, x.grad

    with fg.detect_anomaly():
        watched = compute()
    assert watched == compute()


def test_nan_that_comes_in_is_nobodys_fault(fg: ModuleType) -> None:
    x = fg.Value(math.inf, label="x")
    with fg.detect_anomaly():
        assert math.isnan((x - x).data)
        (x * 2.0).backward()
        with pytest.raises(ValueError, match="undefined") as raised:
            fg.log(-x)
        assert not isinstance(raised.value, fg.AnomalyError)


def test_outside_nothing_is_raised(fg: ModuleType) -> None:
    x = fg.Value(HUGE)
    with fg.detect_anomaly(), fg.detect_anomaly():
        pass
    assert (x * x).data == math.inf
    with pytest.raises(ValueError, match="domain") as raised:
        fg.log(x * 0.0)
    assert not isinstance(raised.value, fg.AnomalyError)


def test_contexts_nest_and_an_error_leaves_them(fg: ModuleType) -> None:
    x = fg.Value(HUGE)
    with fg.detect_anomaly():
        with pytest.raises(fg.AnomalyError), fg.detect_anomaly():
            x * x
        with pytest.raises(fg.AnomalyError):
            x * x
    assert (x * x).data == math.inf


def test_it_decorates(fg: ModuleType) -> None:
    @fg.detect_anomaly()
    def square(x: Any) -> Any:
        return x * x

    for _ in range(2):
        with pytest.raises(fg.AnomalyError):
            square(fg.Value(HUGE))
    assert square(fg.Value(2.0)).data == 4.0


def test_no_grad_inside_changes_nothing_about_it(fg: ModuleType) -> None:
    x = fg.Value(HUGE, label="x")
    with fg.detect_anomaly(), fg.no_grad():
        y = fg.sum([x, 2.0]) + fg.where(1.0, x, x) * 2.0
        assert y._children == ()
        y.backward()
        with pytest.raises(fg.AnomalyError, match=r"x \* x"):
            x * x
    assert x.grad == 0.0


def test_other_threads_go_on(fg: ModuleType) -> None:
    x = fg.Value(HUGE)
    seen: list[Any] = []

    def other() -> None:
        seen.append((x * x).data)
        for raising in (lambda: fg.log(x * 0.0), lambda: x / 0.0, lambda: x.exp()):
            try:
                raising()
            except Exception as error:
                seen.append(type(error))
        with fg.no_grad():
            seen.append((x + x)._children)

    with fg.detect_anomaly():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert seen == [math.inf, ValueError, ZeroDivisionError, OverflowError, ()]


def test_recording_inside_is_left_alone(fg: ModuleType) -> None:
    with fg.detect_anomaly():
        f = fg.compile(lambda x: x * 1e300 * 1e300)
        assert f([1.0, 0.0]).tolist() == [math.inf, 0.0]
        with pytest.raises(fg.AnomalyError):
            f(fg.Value(1.0))


def test_closure_is_looked_through(fg: ModuleType) -> None:
    x = fg.Value(2.0, label="x")
    with fg.detect_anomaly():
        y = fg.Value(1.0, (x,), "own")

        def backward() -> None:
            x.grad += math.inf * y.grad

        y._backward = backward
        with pytest.raises(fg.AnomalyError, match=r"own\(x\) with respect to x"):
            y.backward()


def test_memory_of_a_watched_loop_is_given_back(fg: ModuleType, reclaim: Any) -> None:
    x = fg.Value(1.0)
    with fg.detect_anomaly():
        for _ in range(100):
            y = x
            for _ in range(100):
                y = y * 0.999 + 0.001
            y.backward()
    assert fg._backend.tape_stats()["nodes"] < 20_000


def test_error_pickles(fg: ModuleType) -> None:
    with fg.detect_anomaly(), pytest.raises(fg.AnomalyError) as raised:
        fg.Value(HUGE, label="x") * HUGE
    again = pickle.loads(pickle.dumps(raised.value))
    assert str(again) == str(raised.value) and again.anomaly == raised.value.anomaly


# ------------------------------------------------------------------------------------------------------ why_nan


def test_first_row_and_operation_are_found(fg: ModuleType) -> None:
    f = fg.compile(lambda x, y: fg.log(x) / y)
    anomaly = f.why_nan([1.0, 2.0, 0.0, -1.0], [1.0, 0.0, 1.0, 1.0])
    assert (anomaly.row, anomaly.direction, anomaly.operation) == (1, "forward", "true_divide")
    assert anomaly.operands == {"v1": math.log(2.0), "y": 0.0}
    assert anomaly.line.file == __file__
    assert f.why_nan([1.0, 2.0, 0.0], 1.0, row=2).operation == "log"
    assert f.why_nan([1.0, 2.0, 0.0], 1.0, row=-1).row == 2
    assert f.why_nan([1.0, 2.0, 0.0], 1.0, row=0) is None


def test_derivative_is_looked_through_where_the_value_is_finite(fg: ModuleType) -> None:
    f = fg.compile(lambda x: fg.sqrt(x * x))
    assert f([1.0, 0.0]).tolist() == [1.0, 0.0]
    anomaly = f.why_nan([1.0, 0.0])
    assert (anomaly.row, anomaly.direction, anomaly.formula, anomaly.adjoint) == (1, "backward", "sqrt(v1)", 1.0)
    assert "row 1: backward" in str(anomaly)


def test_parameters_are_looked_through_and_keep_their_grads(fg: ModuleType) -> None:
    w = fg.Value(0.0, label="w")
    f = fg.compile(lambda x: fg.sqrt(w) * fg.sum(x), signature="(n)->()")
    anomaly = f.why_nan([[1.0, 2.0]])
    assert (anomaly.formula, anomaly.operands, anomaly.row) == ("sqrt(w)", {"w": 0.0}, 0)
    assert (w.grad, w.data, w.label) == (0.0, 0.0, "w")


def test_branches_that_are_not_taken_make_nothing(fg: ModuleType) -> None:
    safe = fg.compile(lambda x: fg.where(x > 0.0, fg.log(x), x))
    assert safe.why_nan([1.0, 0.0, -1.0]) is None
    branching = fg.compile(lambda x: fg.log(x) if x >= 0.0 else x)
    anomaly = branching.why_nan([-1.0, 2.0, 0.0])
    assert (anomaly.row, anomaly.formula, anomaly.made) == (2, "log(x)", -math.inf)


def test_nan_among_the_arguments_is_no_anomaly(fg: ModuleType) -> None:
    f = fg.compile(lambda x, y: x / y)
    assert f.why_nan([math.nan, math.inf], 2.0) is None
    assert f.why_nan([math.nan, 1.0], [1.0, 0.0]).row == 1


def test_elements_are_named_by_their_place_and_batches_by_theirs(fg: ModuleType) -> None:
    f = fg.compile(lambda x: (x[1] / x[0], x[0] * 2.0), signature="(2)->(),()")
    anomaly = f.why_nan(np.array([[[1.0, 1.0], [2.0, 1.0]], [[1.0, 1.0], [0.0, 3.0]]]))
    assert (anomaly.row, anomaly.formula) == ((1, 1), "x[1] / x[0]")
    assert f.why_nan([0.0, 3.0]).row is None


def test_what_was_loaded_is_looked_through(fg: ModuleType, tmp_path: Path) -> None:
    f = fg.compile(lambda x: fg.log(x))
    f([1.0, 2.0])
    f.save(tmp_path / "f")
    anomaly = fg.load(tmp_path / "f").why_nan([1.0, 0.0])
    assert (anomaly.row, anomaly.operation, anomaly.line.file) == (1, "log", __file__)


def test_nothing_that_operations_raise_is_raised(fg: ModuleType) -> None:
    f = fg.compile(lambda x: 1.0 / (fg.exp(x) * 0.0 + fg.log(x - x)) + (fg.Value(-1.0) - 1.0) ** 0.5)
    assert f.why_nan(1000.0).direction == "forward"


@pytest.mark.parametrize(
    ("row", "error", "says"),
    [(3, IndexError, "batch of shape"), ((0, 0), IndexError, "no row"), ("a", TypeError, "expected an int")],
)
def test_wrong_row_is_an_error(fg: ModuleType, row: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        fg.compile(lambda x: x).why_nan([1.0, 2.0], row=row)


def test_a_single_row_has_no_number(fg: ModuleType) -> None:
    with pytest.raises(IndexError, match="a single row; leave it out"):
        fg.compile(lambda x: x).why_nan(1.0, row=0)
