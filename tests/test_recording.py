"""Recording: what a function did to its inputs, node by node, and what that says when it is run again."""

from __future__ import annotations

import functools
import operator
import pickle
import random
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from exact import REDUCTIONS, ROWS, Row, points
from recordings import bits, check_form, here, names, operands_of, operations, outputs, record, run


def each(rows: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in rows])


# ------------------------------------------------------------------------------------------------- rows x properties


@each(ROWS)
def test_row_is_recorded_as_itself(row: Row, fg: ModuleType) -> None:
    f = getattr(fg, row.name)
    for operands in points(row, 12):
        recording = record(fg, f, *operands)
        check_form(recording)
        assert names(recording) == ["leaf"] * len(operands) + [row.name]
        assert [int(recording.nodes[k]["a"]) for k in operands_of(recording, len(operands))] == list(
            range(len(operands))
        )
        assert bits(outputs(fg, recording, operands)) == bits([f(*map(fg.Value, operands)).data])


@each([row for row in ROWS if len(row.operands) > 1])
def test_number_operands_are_constants_in_their_place(row: Row, fg: ModuleType) -> None:
    operands = next(points(row, 1))
    for i in range(len(operands)):

        def f(x: Any, i: int = i) -> Any:
            return getattr(fg, row.name)(*operands[:i], x, *operands[i + 1 :])

        recording = record(fg, f, operands[i])
        check_form(recording)
        [place] = recording.outputs
        values = [
            operands[i] if recording.nodes[k]["op"] == 0 else recording.constants[recording.nodes[k]["a"]]
            for k in operands_of(recording, place)
        ]
        assert values == list(operands)
        assert bits(outputs(fg, recording, [operands[i]])) == bits([f(fg.Value(operands[i])).data])


@each([row for row in ROWS if row.kind == "MATH" and len(row.operands) < 3])
def test_methods_are_recorded_as_functions_are(row: Row, fg: ModuleType) -> None:
    first, *others = next(points(row, 1))
    by_method = record(fg, lambda x: getattr(x, row.method)(*others), first)
    by_function = record(fg, lambda x: getattr(fg, row.name)(x, *others), first)
    assert by_method.nodes["op"].tolist() == by_function.nodes["op"].tolist()
    assert by_method.constants.tolist() == by_function.constants.tolist()


@each(REDUCTIONS)
@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 100])
def test_reduction_stays_one_node(row: Row, n: int, fg: ModuleType) -> None:
    draw = random.Random(n)
    values = [draw.uniform(-2.0, 2.0) for _ in range(n)]
    columns = len(row.operands)

    def f(*xs: Any) -> Any:
        return getattr(fg, row.name)(*([*xs, 0.5][k:] + [0.25] * k for k in range(columns)))

    recording = record(fg, f, *values)
    check_form(recording)
    assert operations(recording) == [row.name]
    assert bits(outputs(fg, recording, values)) == bits([f(*map(fg.Value, values)).data])


def test_operators_on_either_side(fg: ModuleType) -> None:
    def f(x: Any, y: Any) -> list[Any]:
        return [
            *(x + y, x - y, x * y, x / y, x // y, x % y, x**y, -x, abs(-x), +x),
            *(x + 2, 2 + x, x - 2, 2 - x, x * 2, 2 * x, x / 2, 2 / x, x**2, x**0.5, 2**x, x // 2, 7 // x, x % 2, 7 % x),
            *(x + np.float64(0.1), np.float64(0.1) * x, x ** np.int64(3), np.float32(2.5) - x),
        ]

    eager = [z.data for z in f(fg.Value(1.75), fg.Value(0.6))]
    recording = record(fg, f, 1.75, 0.6)
    check_form(recording)
    assert bits(outputs(fg, recording, [1.75, 0.6])) == bits(eager)


MOVES: list[Callable[..., Any]] = [
    lambda fg, a, b, c: a + b,
    lambda fg, a, b, c: a * b,
    lambda fg, a, b, c: a - 0.5,
    lambda fg, a, b, c: (a * a + 0.1).sqrt(),
    lambda fg, a, b, c: a.tanh() ** 2,
    lambda fg, a, b, c: fg.where(a > b, b, c),
    lambda fg, a, b, c: fg.maximum(a, b),
    lambda fg, a, b, c: fg.sin(a) / (b * b + 1.0),
    lambda fg, a, b, c: fg.dot([a, b, 1.5], [c, a, b]),
    lambda fg, a, b, c: fg.mean([a, b, c]),
    lambda fg, a, b, c: fg.less(a, b) * c,
]


@pytest.mark.parametrize("seed", range(20))
def test_random_functions_replay_with_the_values_and_gradients_of_eager(seed: int, fg: ModuleType) -> None:
    """Replayed on Values, a recording is the same graph: gradients agree to the last bit as well."""

    def f(*inputs: Any) -> Any:
        draw = random.Random(seed)
        nodes = list(inputs)
        for _ in range(60):
            nodes.append(draw.choice(MOVES)(fg, *(draw.choice(nodes) for _ in range(3))).tanh())
        return fg.sum(nodes)

    values = [0.3, -0.7, 1.1]
    eager = [fg.Value(value) for value in values]
    result = f(*eager)
    result.backward()
    recording = record(fg, f, *values)
    check_form(recording)
    assert bits(outputs(fg, recording, values)) == bits([result.data])
    again = [fg.Value(value) for value in values]
    [root] = outputs(fg, recording, again)
    root.backward()
    assert bits([x.grad for x in again]) == bits([x.grad for x in eager])


def test_what_no_output_needs_is_not_there(fg: ModuleType) -> None:
    def f(x: Any, y: Any, unused: Any) -> Any:
        for _ in range(100):
            x.exp() * unused
        return x * y

    recording = record(fg, f, 1.0, 2.0, 3.0)
    assert names(recording) == ["leaf", "leaf", "mul"]
    assert recording.inputs == 3


def test_outputs_of_every_kind(fg: ModuleType) -> None:
    recording = record(fg, lambda x, y: [y, 2.5, x, 3, True, x > y, fg.Value(7.0), y], 1.0, 2.0)
    check_form(recording)
    assert outputs(fg, recording, [1.0, 2.0]) == [2.0, 2.5, 1.0, 3.0, 1.0, 0.0, 7.0, 2.0]
    assert recording.outputs[0] == recording.outputs[-1]


def test_an_output_that_is_no_number_is_refused_and_the_recording_goes_on(fg: ModuleType) -> None:
    backend = fg._backend.module
    [x] = backend.start_recording([1.0])
    for wrong in ("a", 1j, None, [x]):
        with pytest.raises(TypeError):
            backend.finish_recording([wrong])
        assert backend.is_recording()
    assert names(backend.finish_recording([x])) == ["leaf"]
    with pytest.raises(RuntimeError, match="records no function"):
        backend.finish_recording([x])
    with pytest.raises(RuntimeError, match="records no function"):
        backend.abandon_recording()


def test_long_chains(fg: ModuleType) -> None:
    def f(x: Any) -> Any:
        for _ in range(50_000):
            x = x * 0.5 + 1.0
        return x

    recording = record(fg, f, 3.0)
    assert len(operations(recording)) == 100_000
    assert outputs(fg, recording, [3.0]) == [f(3.0)]


def test_domain_errors_are_numbers_as_over_arrays(fg: ModuleType) -> None:
    def f(x: Any) -> list[Any]:
        return [1.0 / x, x / 0.0, fg.log(x), (x - 1.0).sqrt(), fg.exp(x + 1e3), x**-1, (x - 2.0) ** 0.5, x % 0.0]

    found = []
    record(fg, lambda x: found.extend([fg._backend.module.peek(z) for z in f(x)]) or x, 0.0)
    assert [repr(z).lstrip("-") for z in found] == ["inf", "nan", "inf", "nan", "inf", "inf", "nan", "nan"]
    with pytest.raises(ZeroDivisionError):
        1.0 / fg.Value(0.0)
    with pytest.raises(ValueError, match="log"):
        record(fg, lambda x: fg.log(-1.0) * x, 1.0)  # an operation on numbers fails as ever


# -------------------------------------------------------------------------------------------------- guards and branches


def guards(recording: Any) -> list[tuple[bool, int]]:
    """Each guard's outcome and its line, and that the node had that outcome."""
    return [
        (bool(outcome), recording.lines[line].line)
        for outcome, line in zip(recording.expected, recording.guard_lines, strict=True)
    ]


def test_decisions_are_guards_with_outcome_and_line(fg: ModuleType) -> None:
    file, line = here()

    def f(x: Any, y: Any) -> Any:
        if x > y:  # line + 3
            x = x * 2.0
        while x < 10.0:  # line + 5
            x = x * 3.0
        if not y:  # line + 7
            x = x + 1.0
        return x if 0.0 <= y <= 1.0 else -x  # line + 9

    recording = record(fg, f, 2.0, 0.5)
    check_form(recording)
    expected = [(True, 3), (True, 5), (False, 5), (True, 7), (True, 9), (True, 9)]
    assert guards(recording) == [(outcome, line + below) for outcome, below in expected]
    assert recording.lines[recording.guard_lines[0]] == (file, line + 3, "f")
    results = run(fg, recording, [2.0, 0.5])
    assert [results[k] != 0.0 for k in recording.guards] == [outcome for outcome, _ in expected]


@pytest.mark.parametrize(
    ("decide", "count"),
    [
        (lambda fg, x, y, z: max(x, y, z), 2),
        (lambda fg, x, y, z: min([x, y, z]), 2),
        (lambda fg, x, y, z: sorted([x, y, z])[1], 2),
        (lambda fg, x, y, z: x and y, 1),
        (lambda fg, x, y, z: x or y, 1),
        (lambda fg, x, y, z: z if all([x < y, y < z]) else x, 2),
        (lambda fg, x, y, z: abs(x) + fg.maximum(y, z), 0),
        (lambda fg, x, y, z: fg.where(x > y, y, z), 0),
        (lambda fg, x, y, z: fg.where(fg.logical_and(x < y, fg.logical_not(y == z)), y, z), 0),
        (lambda fg, x, y, z: z if x == y or x != x else y, 0),
        (lambda fg, x, y, z: x if y in [x, y] else z, 0),
        (lambda fg, x, y, z: fg.relu(x) + fg.sign(y) + fg.floor(z), 0),
    ],
)
def test_how_many_decisions(decide: Callable[..., Any], count: int, fg: ModuleType) -> None:
    values = [1.5, 2.5, 3.5]
    recording = record(fg, functools.partial(decide, fg), *values)
    check_form(recording)
    assert len(recording.guards) == count
    result = decide(fg, *map(fg.Value, values))
    assert outputs(fg, recording, values) == [result.data]


def test_comparisons_outside_of_a_recording_are_bools(fg: ModuleType) -> None:
    x, y = fg.Value(1.0), fg.Value(2.0)
    assert [x < y, x <= y, x > y, x >= y, x == y, x != y] == [True, True, False, False, False, True]
    assert {type(x < y), type(x > 1.0), type(operator.ge(1.0, x))} == {bool}
    assert type(fg.less(x, y)) is fg.Value
    assert fg.less(1.0, 2.0) == 1.0
    assert fg.greater_equal([1.0, 2.0], 1.5).tolist() == [0.0, 1.0]


def test_comparisons_are_nodes(fg: ModuleType) -> None:
    def f(x: Any, y: Any) -> list[Any]:
        return [x < y, x <= y, x > y, x >= y, operator.lt(1.0, x), operator.ge(2, y), x < np.float64(3.0), x > True]

    recording = record(fg, f, 1.0, 2.0)
    assert operations(recording) == [
        "less",
        "less_equal",
        "greater",
        "greater_equal",
        *["greater", "less_equal"],
        *["less", "greater"],
    ]
    assert outputs(fg, recording, [1.0, 2.0]) == [1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0]
    with pytest.raises(TypeError):
        record(fg, lambda x: x < "1", 1.0)


def test_comparisons_with_arrays_are_arrays_of_values(fg: ModuleType) -> None:
    def f(x: Any) -> Any:
        chosen = fg.where(x > np.array([0.5, 1.5, 2.5]), x, np.array([1.0, 2.0, 3.0]))
        return list(chosen) + list(np.array([1.0, 3.0]) <= x)

    recording = record(fg, f, 2.0)
    assert len(recording.guards) == 0
    assert outputs(fg, recording, [2.0]) == [2.0, 2.0, 3.0, 1.0, 0.0]


# ----------------------------------------------------------------------------------------------------- lines of nodes


def lines_of(recording: Any, name: str) -> list[tuple[str, int, str]]:
    return [
        recording.lines[node["line"]] for node, op in zip(recording.nodes, names(recording), strict=True) if op == name
    ]


def test_nodes_know_their_line(fg: ModuleType) -> None:
    file, line = here()

    def inner(v: Any) -> Any:
        return v.exp()  # line + 3

    def f(x: Any) -> Any:
        y = [x * k for k in (2.0, 3.0)]  # line + 6
        z = inner(y[0]) + (
            inner(y[1])  # line + 8
        )
        return fg.softmax([x, z])[0] + np.exp(np.array([x, z], object)).sum()  # line + 10

    recording = record(fg, f, 1.0)
    assert {(found[0], found[1]) for found in lines_of(recording, "mul")} == {(file, line + 6), (file, line + 10)}
    assert set(lines_of(recording, "exp")) == {(file, line + 3, "inner"), (file, line + 10, "f")}
    assert set(lines_of(recording, "maximum")) == {(file, line + 10, "f")}
    assert recording.lines[0] == ("", 0, "")
    assert tuple(recording.lines)[1:] == pickle.loads(pickle.dumps(recording.lines))[1:]


def test_the_line_is_that_of_the_user_in_nn_and_the_standard_library(fg: ModuleType) -> None:
    model = fg.nn.MLP(2, [3, 1], activation="tanh")
    file, line = here(below=1)
    recording = record(fg, lambda x, y: model([x, y]) + functools.reduce(fg.hypot, [x, y]), 0.5, 0.25)
    assert set(lines_of(recording, "tanh")) | set(lines_of(recording, "hypot")) == {(file, line, "<lambda>")}
    assert len(lines_of(recording, "dot")) == 4


def test_generated_code_of_many_lines(fg: ModuleType) -> None:
    space: dict[str, Any] = {}
    exec(compile("def f(x):\n" + "    x = x * x + x\n" * 2000 + "    return x\n", "<generated>", "exec"), space)
    recording = record(fg, space["f"], 0.1)
    assert [found.line for found in lines_of(recording, "add")] == list(range(2, 2002))


# ------------------------------------------------------------------------------------------------ what is captured


def test_captured_leaves_are_parameters_in_the_order_of_their_first_use(fg: ModuleType) -> None:
    a, b, c = (fg.Value(float(k)) for k in range(3))
    recording = record(fg, lambda x: [c * x + a, x * c, b], 5.0)
    check_form(recording)
    assert [id(p) for p in recording.parameters] == [id(c), id(a), id(b)]
    assert recording.inputs == 4
    c.data = 10.0  # what they are now is for those to read who run it
    assert outputs(fg, recording, [5.0, *[p.data for p in recording.parameters]]) == [50.0, 50.0, 1.0]


def test_captured_history_is_recorded_down_to_its_leaves(fg: ModuleType) -> None:
    w, b = fg.Value(3.0), fg.Value(0.5)
    hidden = fg.sum([w * w, b.exp(), 2.0]) ** 2
    recording = record(fg, lambda x: hidden * x, 2.0)
    check_form(recording)
    assert {id(p) for p in recording.parameters} == {id(w), id(b)}
    leaves = [fg.Value(2.0), *[fg.Value(p.data) for p in recording.parameters]]
    [again] = outputs(fg, recording, leaves)
    again.backward()
    x = fg.Value(2.0)
    (hidden * x).backward()
    assert bits([again.data]) == bits([(hidden * x).data])
    assert bits([leaf.grad for leaf in leaves]) == bits([x.grad, *[p.grad for p in recording.parameters]])


def test_a_captured_leaf_whose_name_is_gone(fg: ModuleType, reclaim: Callable[[ModuleType], None]) -> None:
    hidden = fg.Value(3.0) * 2.0
    recording = record(fg, lambda x: hidden * x, 2.0)
    reclaim(fg)
    assert [p.data for p in recording.parameters] == [3.0]
    assert outputs(fg, recording, [2.0, 3.0]) == [12.0]


def test_values_made_inside_are_constants(fg: ModuleType) -> None:
    recording = record(fg, lambda x: x * fg.Value(2.0) + fg.Value(3.0, label="c") + fg.Value(4.0, (), "d"), 1.0)
    assert recording.parameters == ()
    assert sorted(recording.constants.tolist()) == [2.0, 3.0, 4.0]


def test_subclasses_of_value(fg: ModuleType) -> None:
    class Mine(fg.Value):  # type: ignore[name-defined, misc]
        def __init__(self, x: float) -> None:
            super().__init__(x)
            self.note = "mine"

    w = Mine(2.0)
    recording = record(fg, lambda x: x * w + Mine(5.0), 3.0)
    assert [id(p) for p in recording.parameters] == [id(w)]
    assert recording.constants.tolist() == [5.0]
    assert outputs(fg, recording, [3.0, 2.0]) == [11.0]


def test_attributes_may_be_hung_on_traced_values(fg: ModuleType, reclaim: Callable[[ModuleType], None]) -> None:
    def f(x: Any) -> Any:
        y = x * 2.0
        y.label = "twice"
        reclaim(fg) if fg.backend().name == "python" else [fg.Value(0.0) for _ in range(20_000)]
        return y + 1.0

    assert operations(record(fg, f, 1.0)) == ["mul", "add"]
