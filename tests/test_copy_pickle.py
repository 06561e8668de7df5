"""Leaves copy and pickle whole; what was computed says why it does not, and is never silently wrong."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

COPIES: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle{n}": lambda v, n=n: pickle.loads(pickle.dumps(v, n)) for n in range(pickle.HIGHEST_PROTOCOL + 1)},
}
each_copy = pytest.mark.parametrize("duplicate", COPIES.values(), ids=COPIES)


@each_copy
def test_leaf_is_copied_with_gradient_label_and_attributes(duplicate: Callable[[Any], Any], fg: ModuleType) -> None:
    v = fg.Value(2.5, label="w")
    v.grad, v.m = -0.5, {"step": 3}
    twin = duplicate(v)
    assert type(twin) is fg.Value
    assert twin is not v
    assert (twin.data, twin.grad, twin.label, twin.m) == (2.5, -0.5, "w", {"step": 3})
    assert (twin._prev, twin._op) == (set(), "")


@each_copy
def test_copy_is_independent(duplicate: Callable[[Any], Any], fg: ModuleType) -> None:
    v = fg.Value(2.0)
    twin = duplicate(v)
    twin.data, twin.grad, twin.color = 7.0, 1.0, "red"
    (twin * 3).backward()
    assert (v.data, v.grad, hasattr(v, "color")) == (2.0, 0.0, False)
    assert twin.grad == 4.0


@pytest.mark.parametrize("number", [float("inf"), -0.0, 5e-324, 0.1])
@each_copy
def test_copy_keeps_every_bit(duplicate: Callable[[Any], Any], number: float, fg: ModuleType) -> None:
    assert repr(duplicate(fg.Value(number)).data) == repr(number)


@each_copy
def test_computed_value_refuses_and_says_what_to_do(duplicate: Callable[[Any], Any], fg: ModuleType) -> None:
    with pytest.raises(TypeError, match=r"Value\(v\.data\)"):
        duplicate(fg.Value(2.0) * 3)


@each_copy
def test_node_made_by_hand_is_computed_too(duplicate: Callable[[Any], Any], fg: ModuleType) -> None:
    with pytest.raises(TypeError, match=r"Value\(v\.data\)"):
        duplicate(fg.Value(4.0, (fg.Value(2.0),), "square"))


@each_copy
def test_result_of_no_grad_is_a_leaf(duplicate: Callable[[Any], Any], fg: ModuleType) -> None:
    with fg.no_grad():
        y = fg.Value(2.0) * 3
    assert duplicate(y).data == 6.0


def test_list_of_parameters_keeps_its_sharing(fg: ModuleType) -> None:
    w, b = fg.Value(1.0), fg.Value(2.0)
    for duplicate in (copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))):
        first, second, third = duplicate([w, b, w])
        assert first is third and first is not second and first is not w


def test_attribute_that_holds_the_value_itself(fg: ModuleType) -> None:
    v = fg.Value(1.0)
    v.me = v
    twin = copy.deepcopy(v)
    assert twin.me is twin


class Tagged:
    """Stands in for a user's class, which pickle finds by its name."""


@each_copy
def test_subclass_is_copied_as_itself(duplicate: Callable[[Any], Any], fg: ModuleType, monkeypatch: Any) -> None:
    class Parameter(fg.Value):  # type: ignore[misc]
        def __init__(self, data: float, name: str) -> None:
            super().__init__(data)
            self.name = name

    Parameter.__qualname__ = "Tagged"
    monkeypatch.setitem(globals(), "Tagged", Parameter)
    twin = duplicate(Parameter(2.0, "w"))
    assert (type(twin), twin.data, twin.name) == (Parameter, 2.0, "w")


def test_pickle_crosses_processes_and_backends(both: dict[str, ModuleType], run_python: Callable[..., str]) -> None:
    program = """if True:
        import fastgrad as fg, pickle
        v = fg.Value(2.5, label="w")
        v.grad, v.m = 1.0, [3]
        print(pickle.dumps(v).hex())
    """
    read = "import pickle; v = pickle.loads(bytes.fromhex('{}')); print(type(v).__name__, v.data, v.grad, v.label, v.m)"
    for writer in both:
        dumped = run_python(program, writer).strip()
        for reader in both:
            assert run_python(read.format(dumped), reader).split() == ["Value", "2.5", "1.0", "w", "[3]"]
