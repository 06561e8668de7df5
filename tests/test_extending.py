"""What programs do to the class from outside: subclasses, patches, closures of their own."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

# -------------------------------------------------------------------------- subclasses and classes changed from outside


def test_subclass_with_its_own_constructor_and_hash(fg: ModuleType) -> None:
    class Named(fg.Value):  # type: ignore[misc]
        def __init__(self, name: str, data: float) -> None:
            super().__init__(data)
            self.name = name

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Named) and self.name == other.name

        def __hash__(self) -> int:
            return hash(self.name)

    a, b = Named("a", 2.0), Named("b", 3.0)
    y = a * b + 1
    y.backward()
    assert (a.name, a.grad, b.grad) == ("a", 3.0, 2.0)
    assert type(y) is fg.Value
    assert {a: 1}[Named("a", 0.0)] == 1
    assert isinstance(a, fg.Value)
    product = next(child for child in y._children if child._op == "*")
    assert product._children[0] is a


def test_method_of_a_subclass_is_used(fg: ModuleType) -> None:
    class Loud(fg.Value):  # type: ignore[misc]
        def __add__(self, other: Any) -> str:
            return "loud"

        def __repr__(self) -> str:
            return f"<{self.data}>"

    assert Loud(1.0) + 1 == "loud"
    assert repr(Loud(1.0)) == "<1.0>"


def test_subclass_that_forgot_super_init_says_so(fg: ModuleType) -> None:
    class Forgetful(fg.Value):  # type: ignore[misc]
        def __init__(self, data: float) -> None:
            self.remembered = data

    for use in (lambda v: v.data, lambda v: v + 1, lambda v: 1 + v, lambda v: v.backward(), lambda v: v.exp(), repr):
        with pytest.raises(AttributeError, match=r"__init__"):
            use(Forgetful(1.0))


def test_method_can_be_assigned_to_the_class(fg: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def doubled(self: Any) -> Any:
        return self * 2

    monkeypatch.setattr(fg.Value, "doubled", doubled, raising=False)
    assert fg.Value(3.0).doubled().data == 6.0


def test_existing_method_can_be_replaced_on_the_class(fg: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fg.Value, "tanh", lambda self: "replaced")
    assert fg.Value(3.0).tanh() == "replaced"
    monkeypatch.undo()
    assert fg.Value(0.0).tanh().data == 0.0


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("__pow__", lambda v: v**2),
        ("__add__", lambda v: v + 1),
        ("__radd__", lambda v: 1 + v),
        ("__mul__", lambda v: v * v),
        ("__truediv__", lambda v: v / 2),
        ("__neg__", lambda v: -v),
        ("__matmul__", lambda v: v @ v),
        ("__getitem__", lambda v: v[0]),
        ("__call__", lambda v: v()),
        ("__lt__", lambda v: v < 3),
        ("__eq__", lambda v: v == 1.0),
        ("__repr__", repr),
        ("__str__", str),
        ("__bool__", bool),
    ],
)
def test_dunder_can_be_assigned_to_the_class_and_taken_back(
    name: str, use: Callable[[Any], Any], fg: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer: Any = {"__repr__": "patched", "__str__": "patched", "__bool__": False}.get(name, True)
    v = fg.Value(2.0)
    operators_before = (v + 1).data, (1 + v).data, (v * v).data, (v**2).data
    monkeypatch.setattr(fg.Value, name, lambda self, *others: answer, raising=False)
    assert use(v) is answer
    monkeypatch.undo()
    assert ((v + 1).data, (1 + v).data, (v * v).data, (v**2).data) == operators_before
    assert v in {v}


def test_backward_can_be_replaced_on_the_class(fg: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    monkeypatch.setattr(fg.Value, "backward", lambda self: seen.append(self.data))
    fg.Value(3.0).backward()
    assert seen == [3.0]


# --------------------------------------------------------------------------------------------------------- own closures


def test_closure_set_from_outside_is_the_rule_of_its_node(fg: ModuleType) -> None:
    a, b = fg.Value(2.0), fg.Value(3.0)
    out = fg.Value(a.data * b.data, (a, b), "custom")

    def _backward() -> None:
        a.grad += 100 * out.grad
        b.grad += 10 * out.grad

    out._backward = _backward
    loss = out * 2
    loss.backward()
    assert (a.grad, b.grad, out.grad, loss.grad) == (200.0, 20.0, 2.0, 1.0)
    loss.backward()
    assert (a.grad, b.grad, out.grad, loss.grad) == (400.0, 40.0, 4.0, 2.0)


def test_closure_replaces_the_rule_of_an_operation(fg: ModuleType) -> None:
    x = fg.Value(3.0)
    y = x.exp()

    def straight_through() -> None:
        x.grad += y.grad

    y._backward = straight_through
    y.backward()
    assert x.grad == 1.0


def test_gradients_flow_on_below_a_closure(fg: ModuleType) -> None:
    x = fg.Value(3.0)
    square = x * x
    out = fg.Value(-square.data, (square,), "minus")

    def _backward() -> None:
        square.grad -= out.grad

    out._backward = _backward
    (out + square).backward()
    assert (square.grad, x.grad) == (0.0, 0.0)
    out.backward()
    assert (square.grad, x.grad) == (-1.0, -6.0)


def test_closure_sees_its_own_adjoint_and_may_assign(fg: ModuleType) -> None:
    x = fg.Value(1.0)
    x.grad = 5.0
    out = fg.Value(1.0, (x,), "f")
    out.grad = 7.0
    seen: list[float] = []

    def _backward() -> None:
        seen.append(out.grad)
        x.grad = 3.0

    out._backward = _backward
    (2 * out).backward()
    assert seen == [2.0]
    assert (out.grad, x.grad) == (9.0, 8.0)


def test_children_that_compare_equal_are_two_operands(fg: ModuleType) -> None:
    class Alike(fg.Value):  # type: ignore[misc]
        def __eq__(self, other: object) -> bool:
            return isinstance(other, Alike)

        def __hash__(self) -> int:
            return 1

    x = fg.Value(1.0)
    a, b = Alike(2.0, (x,), (1.0,)), Alike(3.0, (x,), (100.0,))
    out = fg.Value(6.0, (a, b), "*")

    def _backward() -> None:
        a.grad += b.data * out.grad
        b.grad += a.data * out.grad

    out._backward = _backward
    out.backward()
    assert (a.grad, b.grad, x.grad) == (3.0, 2.0, 203.0)


def test_node_made_with_children_alone_stops_the_sweep(fg: ModuleType) -> None:
    a = fg.Value(2.0)
    fg.Value(4.0, (a,), "?").backward()
    assert a.grad == 0.0


def test_backward_closure_of_an_operation_can_be_called_by_hand(fg: ModuleType) -> None:
    a, b = fg.Value(2.0), fg.Value(3.0)
    y = a * b
    y.grad = 10.0
    y._backward()
    assert (a.grad, b.grad) == (30.0, 20.0)
    y._backward()
    assert (a.grad, b.grad) == (60.0, 40.0)


def test_backward_closure_of_a_leaf_does_nothing(fg: ModuleType) -> None:
    a = fg.Value(2.0)
    a.grad = 1.0
    assert a._backward() is None
    assert (a.data, a.grad) == (2.0, 1.0)


def test_closure_must_be_callable(fg: ModuleType) -> None:
    y = fg.Value(2.0) * 3
    with pytest.raises(TypeError, match="callable"):
        y._backward = 3


# ------------------------------------------------------------------------------------------------- what must not crash


@pytest.mark.parametrize("stranger", [12345678.5, "abc", [1, 2], None])
def test_method_called_on_a_stranger_is_refused(stranger: Any, fg: ModuleType) -> None:
    for method in (fg.Value.backward, fg.Value.zero_grad):
        with pytest.raises((TypeError, AttributeError)):
            method(stranger)


def test_child_that_only_claims_to_be_a_value_is_refused(fg: ModuleType) -> None:
    class Impostor:
        __class__ = fg.Value  # type: ignore[assignment]

    with pytest.raises((TypeError, AttributeError)):
        fg.Value(1.0, (Impostor(),), "f").backward()


def test_closure_set_without_recording_is_not_called(fg: ModuleType) -> None:
    x = fg.Value(3.0)

    def _backward() -> None:
        x.grad += 1.0

    with fg.no_grad():
        out = fg.Value(9.0, (x,), "square")
        out._backward = _backward
    (out * 2).backward()
    assert x.grad == 0.0


def test_finalizer_that_fills_the_tape_takes_nobodys_room(fg: ModuleType, run_python: Callable[..., str]) -> None:
    """Asking whether this thread records can start Python's collector, and that any program's finalizer."""
    program = """
import gc, threading, fastgrad as fg
from fastgrad import Value

class Filler:
    def __init__(self):
        self.itself = self
    def __del__(self):
        for _ in range(20000):
            Value(1.0)

inside, done = threading.Event(), threading.Event()
def elsewhere():
    with fg.no_grad():
        inside.set()
        done.wait()
thread = threading.Thread(target=elsewhere)
thread.start()
inside.wait()
a, b = Value(2.0), Value(3.0)
gc.set_threshold(1)
for _ in range(200):
    Filler()
    c = a * b + fg.dot([a, b], [b, a])
    assert c.data == 18.0 and [child.data for child in c._children] == [6.0, 12.0]
    c.backward()
done.set()
thread.join()
print(a.grad == 200 * 9.0, b.grad == 200 * 6.0)
"""
    assert run_python(program, fg.backend().name) == "True True\n"
