"""Code: running programs over rows, in C and (where both have the same duty) in Python; and the single-row path."""

from __future__ import annotations

import gc
import itertools
import signal
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from backends import Make, implementation, make, make_c, run, same_bits
from programs import Maker, sum_over_rows

from fastgrad._rules import OPCODES

__all__ = ["make", "make_c"]  # fixtures


@pytest.fixture
def entry() -> Any:
    return implementation("c").Entry


# ------------------------------------------------------------------------------------------------------------- running


def shifted_sum(make_: Make) -> Any:
    m = Maker()
    x, y = m.leaf(0), m.leaf(1)
    return make_(m.program(2, m.row("add", m.row("tanh", x), y), m.row("mul", x, y), m.row("less", x, y)))


@pytest.mark.parametrize("rows", [0, 1, 7, 64, 1000, 1025, 5000])
def test_strides_threads_and_lanes_do_not_matter(rows: int, make_c: Make) -> None:
    program = shifted_sum(make_c)
    x = np.linspace(-2.0, 2.0, 2 * rows)
    expected = np.column_stack([np.tanh(x[::2]) + x[1::2], x[::2] * x[1::2], x[::2] < x[1::2]])
    reference = run(program, x[::2], x[1::2]) if rows else np.zeros((0, 3))
    assert np.allclose(reference, expected, rtol=1e-14)
    layouts = [
        [np.ascontiguousarray(x.reshape(-1, 2))],
        [np.asfortranarray(x.reshape(-1, 2))],
        [x.reshape(-1, 2)[::-1][::-1, :1], np.repeat(x[1::2], 3)[::3, None]],
    ]
    for layout, threads, lanes in itertools.product(layouts, (1, 2, 5), (0, 8, 256)):
        out = np.full((3, rows), np.nan).T if threads == 2 else np.full((rows, 3), np.nan)
        program.code([True, True], lanes=lanes).run(layout, [out[:, :1], out[:, 1:]], threads=threads)
        assert same_bits(out, reference)


def test_rows_that_leave_are_marked(make: Make) -> None:
    program = shifted_sum(make)
    x = np.linspace(-1.0, 1.0, 100)[:, None]
    left, out = np.full(100, 9, np.uint8), np.empty((100, 2))
    program.code([True, False], expected=b"\1").run([x, np.array([[0.25]])], [out], left)
    assert (left == (x[:, 0] >= 0.25)).all()
    single = program.code([False, False], expected=b"\1")
    for value, leaves in ((0.0, 0), (0.5, 1)):
        single.run([np.array([[value, 0.25]])], [out], left)
        assert (left == leaves).all()
        assert same_bits(out, np.tile(out[0], (100, 1)))


def test_sums_over_rows_have_one_order(make: Make) -> None:
    program = shifted_sum(make)
    for rows in (1, 9, 1024, 1025, 30_000):
        x = np.sin(np.arange(float(rows)))[:, None] * 1e3
        each, total = np.empty((rows, 3)), np.empty((1, 3))
        program.code([True, False]).run([x, np.array([[0.1]])], [each])
        expected = [sum_over_rows(column.tolist()) for column in each.T]
        for threads, lanes in ((1, 0), (2, 64), (3, 8)):
            code = program.code([True, False], sum=True, lanes=lanes)
            code.run([x, np.array([[0.1]])], [total], threads=threads)
            assert total[0].tolist() == expected


@pytest.mark.parametrize("op", ["mul", "zmul"])
@pytest.mark.parametrize("products", [1, 2, 8, 19])
def test_sums_of_products_with_one_value_are_those_of_each(op: str, products: int, make: Make) -> None:
    m = Maker()
    x, others = m.leaf(0), [m.leaf(1 + k) for k in range(products)]
    program = make(m.program(1 + products, *(m.row(op, x, y) for y in others)))
    draw = np.random.default_rng(products)
    for rows in (1, 8, 13, 300, 2050):
        numbers = draw.standard_normal((rows, 1 + products))
        numbers[::3, 0] = 0.0
        numbers[::6, 1:] = np.inf if op == "zmul" else 2.0
        terms = np.where((op == "zmul") & (numbers[:, :1] == 0.0), 0.0, numbers[:, :1] * np.nan_to_num(numbers[:, 1:]))
        total = np.empty((1, products))
        for lanes in (0, 8, 256):
            program.code([True] * (1 + products), sum=True, lanes=lanes).run([numbers], [total])
            assert total[0].tolist() == [sum_over_rows(column.tolist()) for column in terms.T]


def bad_calls() -> Iterator[tuple[str, list[Any], list[Any], Any, int, str]]:
    x, out = np.zeros((4, 2)), np.empty((4, 2))
    yield "a dtype", [x.astype(np.float32)], [out], None, 1, r"arguments\[0\]: expected a two-dim"
    yield "a shape", [x[:, 0], x[:, 1]], [out], None, 1, r"arguments\[0\]: expected a two-dim"
    yield "a byte order", [x.astype(">f8")], [out], None, 1, r"arguments\[0\]: expected a two-dim"
    yield "no array", [[[1.0, 2.0]]], [out], None, 1, r"arguments\[0\]: expected a two-dim"
    unaligned = np.zeros(4 * 2 * 8 + 1, np.uint8)[1:].view(np.float64).reshape(4, 2)
    yield "alignment", [unaligned], [out], None, 1, r"arguments\[0\]: expected an aligned array"
    yield "rows", [x[:, :1], x[:3, :1]], [out], None, 1, r"arguments\[1\]: expected 4 rows, got 3"
    yield "rows of outputs", [x], [out[:3]], None, 1, r"outputs\[0\]: expected 4 rows, got 3"
    yield "too few columns", [x[:, :1]], [out], None, 1, "arguments: expected 2 columns in all, got 1"
    yield "too many columns", [x, x], [out], None, 1, "arguments: expected 2 columns in all, got more"
    yield "read-only", [x], [np.broadcast_to(0.0, (4, 2))], None, 1, "aligned and writable"
    yield "threads", [x], [out], None, 0, "threads: expected at least 1, got 0"
    yield "no flags", [x], [out], "absent", 1, "left: expected a writable vector of 4 uint8, got None"
    yield "short flags", [x], [out], np.zeros(3, np.uint8), 1, "left: expected a writable vector of 4 uint8"


@pytest.mark.parametrize("case", list(bad_calls()), ids=lambda case: case[0])
def test_run_says_what_is_wrong(case: Any, make_c: Make) -> None:
    _, arguments, outputs, left, threads, message = case
    guarded = shifted_sum(make_c).code([True, True], expected=b"\1")
    flags = np.zeros(4, np.uint8) if left is None else None if isinstance(left, str) else left
    with pytest.raises(ValueError, match=message):
        guarded.run(arguments, outputs, flags, threads=threads)


def test_batched_and_uniform_inputs_do_not_mix_in_an_argument(make_c: Make) -> None:
    code = shifted_sum(make_c).code([True, False])
    with pytest.raises(ValueError, match=r"arguments\[0\]: of its 2 columns some are batched"):
        code.run([np.zeros((4, 2))], [np.empty((4, 3))])
    with pytest.raises(ValueError, match=r"arguments\[1\]: expected 1 rows, got 4"):
        code.run([np.zeros((4, 1)), np.zeros((4, 1))], [np.empty((4, 3))])


def test_code_runs_in_several_threads_at_once(make_c: Make) -> None:
    code = shifted_sum(make_c).code([True, True])
    x = np.linspace(-1.0, 1.0, 20_000).reshape(-1, 2)
    expected = np.empty((len(x), 3))
    code.run([x], [expected])
    wrong: list[int] = []

    def work(number: int) -> None:
        out = np.empty_like(expected)
        for threads in (1, 2, 1, 3) * 5:
            out[:] = np.nan
            code.run([x], [out], threads=threads)
            if not same_bits(out, expected):
                wrong.append(number)

    workers = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


@pytest.mark.skipif(sys.platform == "win32", reason="has no alarm")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_signal_stops_a_long_run(threads: int, make_c: Make) -> None:
    """Uninterrupted it would take minutes."""
    m = Maker()
    node = m.leaf(0)
    for _ in range(2000):
        node = m.row("lgamma", m.row("add", node, m.constant(2.5)))
    code = make_c(m.program(1, node)).code([True])
    x = np.ones((2_000_000, 1))

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            code.run([x], [np.empty_like(x)], threads=threads)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    out = np.empty((10, 1))
    code.run([x[:10]], [out], threads=threads)  # and the threads are there for the next call


def test_stats_and_listing_tell_what_runs(make_c: Make) -> None:
    m = Maker()
    x, w = m.leaf(0), m.leaf(1)
    m.nodes.append((OPCODES["tanh"], 0, w, 0, 0, 1))
    scaled = len(m.nodes) - 1
    m.nodes.append((OPCODES["mul"], 0, x, scaled, 0, 2))
    program = make_c(m.program(2, len(m.nodes) - 1, m.row("less", x, w), m.row("add", x, m.constant(0.5))))
    code = program.with_outputs([program.outputs[0], program.outputs[2], program.outputs[1]]).code(
        [True, False], expected=b"\0"
    )
    stats = code.stats()
    assert stats["nodes"] == 4 and stats["passes"]["dead"][1] == 4
    assert stats["uniform_instructions"] == 1 and stats["slots"] > 0 and stats["lanes"] % 8 == 0
    assert stats["working_set"] == stats["slots"] * stats["lanes"] * 8
    assert isinstance(stats["instruction_set"], str)
    listing = code.listing([("?", 0, ""), ("model.py", 3, "f"), ("model.py", 4, "g")])
    assert "tanh(input 1)" in listing and "model.py:3 in f" in listing
    assert "model.py:4 in g" in listing and "guard 0" in listing and "0.5" in listing


# -------------------------------------------------------------------------------------------------- the single-row path


def polynomial(make_: Make) -> Any:
    """a, b[2] -> a b0 + b1, its gradient to b, and whether a < b0, as a guard."""
    m = Maker()
    a, b0, b1 = m.leaf(0), m.leaf(1), m.leaf(2)
    p = m.program(3, m.row("add", m.row("mul", a, b0), b1), m.row("less", a, b0))
    derived = make_(p).reverse([0], [1, 2])
    return derived.with_outputs([p.outputs[0], *derived.outputs, p.outputs[1]])


@pytest.fixture
def plain(entry: Any, make_c: Make) -> Any:
    called = entry(lambda *args, **kwargs: ("slow", args, kwargs))
    code = polynomial(make_c).code([False] * 3, expected=b"\1")
    called.set(code, ((), (2,)), ((), (2,)), (0, 1))
    return called


def test_entry_answers_plain_calls(plain: Any) -> None:
    b = np.array([3.0, 5.0])
    value, gradient = plain(2.0, b)
    assert type(value) is float and value == 11.0
    assert type(gradient) is np.ndarray and gradient.tolist() == [2.0, 1.0] and gradient.flags.owndata
    assert plain(-2, b)[0] == plain(np.float64(-2.0), b)[0] == -1.0
    assert plain.calls == 3
    assert plain(2.0, b)[1] is not gradient


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (2.0,),
        (2.0, np.ones(2), 1.0),
        (True, np.ones(2)),
        (np.float32(1.0), np.ones(2)),
        (10**400, np.ones(2)),
        (1.0, [1.0, 2.0]),
        (1.0, np.ones(3)),
        (1.0, np.ones((1, 2))),
        (1.0, np.ones(4)[::2]),
        (1.0, np.ones(2, np.float32)),
        (1.0, np.ones(2, ">f8")),
        (1.0, np.ones(2).view(np.recarray)),
        (np.ones(()), np.ones(2)),
        (5.0, np.ones(2)),  # a guard fails
    ],
)
def test_entry_leaves_all_other_calls_alone(arguments: tuple[Any, ...], plain: Any) -> None:
    got = plain(*arguments)
    assert got[0] == "slow" and got[2] == {}
    assert all(a is b for a, b in zip(got[1], arguments, strict=True))
    assert plain(1.0, b=np.ones(2))[2].keys() == {"b"}
    assert plain.calls == 0


@pytest.mark.parametrize("argnums", [None, 1, "x", (0, "x"), (1,)])
def test_entry_answers_for_the_argnums_that_it_was_set_to(argnums: Any, entry: Any, make_c: Make) -> None:
    called = entry(lambda *args, **kwargs: ("slow", args, kwargs))
    code = polynomial(make_c).with_outputs([0]).code([False] * 3)
    called.set(code, ((3,),), ((),), 0, argnums)
    x = np.ones(3)
    assert type(called(x, argnums=argnums)) is float
    assert (type(called(x)) is float) == (argnums is None)
    for others in ({"argnums": 0}, {"argnums": True}, {"argnums": [1]}, {"out": x}, {"argnums": argnums, "out": x}):
        assert called(x, **others) == ("slow", (x,), others)


def test_entry_arranges_results(entry: Any, make_c: Make) -> None:
    code = polynomial(make_c).with_outputs([6, 0, 1, 2]).code([False] * 3)
    called = entry(None)
    called.set(code, ((1, 3),), ((3,), ()), 1)
    assert called(np.array([[1.0, 2.0, 3.0]])) == 3.0
    called.set(code, ((), (2,)), ((3,), ()), (1, (0, (1,)), ()))
    one, (three, (again,)), none = called(1.0, np.array([2.0, 3.0]))
    assert (one, again, none, three.tolist()[1:]) == (3.0, 3.0, (), [1.0, 2.0])
    called.clear()
    with pytest.raises(TypeError):
        called(1.0, np.array([2.0, 3.0]))  # None cannot be called


@pytest.mark.parametrize(
    ("arguments", "outputs", "result", "message"),
    [
        (((), ()), ((), (2,)), 0, "arguments: expected 3 numbers"),
        (((3,),), ((), (1,)), 0, "outputs: expected 3 numbers"),
        (((3,),), ((), (2,)), 2, "result: expected numbers of the 2 outputs"),
        (((3,),), ((), (2,)), (0, "1"), "result: expected numbers of the 2 outputs"),
    ],
)
def test_entry_checks_what_it_is_set_to(
    arguments: Any, outputs: Any, result: Any, message: str, plain: Any, make_c: Make
) -> None:
    code = polynomial(make_c).code([False] * 3, expected=b"\1")
    with pytest.raises(ValueError, match=message):
        plain.set(code, arguments, outputs, result)
    assert plain(2.0, np.array([3.0, 5.0]))[0] == "slow"
    with pytest.raises(ValueError, match="uniform"):
        plain.set(polynomial(make_c).code([True] * 3), ((3,),), ((3,),), 0)


def test_entry_is_a_function_to_look_at(plain: Any) -> None:
    plain.__doc__, plain.__name__ = "What it does.", "f"
    assert (plain.__doc__, plain.__name__) == ("What it does.", "f")


def test_entry_collects_a_cycle_through_itself(entry: Any) -> None:
    class Owner:
        pass

    owner: Any = Owner()
    owner.entry = entry(owner)
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None
