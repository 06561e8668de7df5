"""A Value: how it is made, what it holds, and how it shows itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from kinds import each_number

# --------------------------------------------------------------------------------------------------------- construction


@each_number
def test_any_real_number_makes_a_leaf_that_stores_a_float(number: Any, fg: ModuleType) -> None:
    v = fg.Value(number)
    assert type(v.data) is float
    assert v.data == float(number)
    assert v.grad == 0.0
    assert (v._op, v.label, v._prev, v._children) == ("", "", set(), ())


def test_zero_dimensional_array_is_a_number(fg: ModuleType) -> None:
    assert fg.Value(np.array(2.5)).data == 2.5


def test_infinities_and_nan_are_numbers(fg: ModuleType) -> None:
    assert fg.Value(math.inf).data == math.inf
    assert math.isnan(fg.Value(math.nan).data)


def test_label_can_be_given_by_keyword(fg: ModuleType) -> None:
    assert fg.Value(2.0, label="weight").label == "weight"


def test_children_and_operation_by_position_as_in_micrograd(fg: ModuleType) -> None:
    a, b = fg.Value(2.0), fg.Value(3.0)
    out = fg.Value(6.0, (a, b), "times")
    assert (out.data, out._op, out._prev) == (6.0, "times", {a, b})


def test_children_and_operation_by_micrograds_keywords(fg: ModuleType) -> None:
    a = fg.Value(2.0)
    out = fg.Value(4.0, _children=(a,), _op="twice", label="out")
    assert (out._op, out._children, out.label) == ("twice", (a,), "out")


def test_tuple_in_third_place_is_local_gradients_as_in_microgpt(fg: ModuleType) -> None:
    a, b = fg.Value(2.0), fg.Value(3.0)
    out = fg.Value(6.0, (a, b), (3.0, 2.0))
    assert out._local_grads == (3.0, 2.0)
    out.backward()
    assert (a.grad, b.grad) == (3.0, 2.0)


@pytest.mark.parametrize("local_grads", [(3, 2), [3.0, 2.0], (np.float64(3), np.int64(2)), (True, 0.5)])
def test_local_gradients_are_any_sequence_of_real_numbers(local_grads: Any, fg: ModuleType) -> None:
    a, b = fg.Value(2.0), fg.Value(3.0)
    fg.Value(6.0, children=(a, b), local_grads=local_grads).backward()
    assert (a.grad, b.grad) == tuple(map(float, local_grads))


def test_children_may_be_a_list_or_a_set(fg: ModuleType) -> None:
    a, b = fg.Value(2.0), fg.Value(3.0)
    assert fg.Value(5.0, [a, b], "+")._children == (a, b)
    assert fg.Value(5.0, {a, b}, "+")._prev == {a, b}


def test_node_with_many_parents(fg: ModuleType) -> None:
    leaves = [fg.Value(float(i)) for i in range(1000)]
    fg.Value(1.0, tuple(leaves), tuple(float(i) for i in range(1000))).backward()
    assert [leaf.grad for leaf in leaves] == [float(i) for i in range(1000)]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda fg: fg.Value("x"), ["real number", "got str"]),
        (lambda fg: fg.Value(None), ["real number", "got NoneType"]),
        (lambda fg: fg.Value(1j), ["real", "complex"]),
        (lambda fg: fg.Value([1]), ["got list", "one Value per element"]),
        (lambda fg: fg.Value((1, 2)), ["got tuple", "one Value per element"]),
        (lambda fg: fg.Value(np.array([1.0, 2.0])), ["got", "ndarray", "one Value per element"]),
        (lambda fg: fg.Value(fg.Value(1)), ["already is a Value"]),
        (lambda fg: fg.Value(), ["data"]),
        (lambda fg: fg.Value(1.0, (2.0,), "+"), ["Value", "float"]),
        (lambda fg: fg.Value(1.0, (fg.Value(1),), ("x",)), ["real number", "got str"]),
    ],
)
def test_constructor_says_what_it_accepts(make: Callable[..., Any], words: list[str], fg: ModuleType) -> None:
    with pytest.raises(TypeError) as caught:
        make(fg)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_one_local_gradient_per_child(fg: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"(?s)2.*1|1.*2"):
        fg.Value(1.0, (fg.Value(1), fg.Value(2)), (1.0,))


def test_integer_beyond_floats_overflows_as_in_python(fg: ModuleType) -> None:
    with pytest.raises(OverflowError):
        fg.Value(10**400)
    with pytest.raises(OverflowError):
        fg.Value(1.0) + 10**400


# ----------------------------------------------------------------------------------------------------------- attributes


@each_number
def test_data_and_grad_take_any_real_number(number: Any, fg: ModuleType) -> None:
    v = fg.Value(1.0)
    v.data, v.grad = number, number
    assert (v.data, v.grad) == (float(number), float(number))
    assert type(v.data) is type(v.grad) is float


@pytest.mark.parametrize("attribute", ["data", "grad"])
@pytest.mark.parametrize("wrong", ["x", None, [1.0], 1j])
def test_data_and_grad_refuse_what_is_no_number(attribute: str, wrong: Any, fg: ModuleType) -> None:
    v = fg.Value(1.0)
    with pytest.raises(TypeError, match=attribute):
        setattr(v, attribute, wrong)
    assert (v.data, v.grad) == (1.0, 0.0)


@pytest.mark.parametrize("attribute", ["data", "grad", "_prev"])
def test_core_attributes_cannot_be_deleted(attribute: str, fg: ModuleType) -> None:
    with pytest.raises((AttributeError, TypeError)):
        delattr(fg.Value(1.0), attribute)


def test_data_and_grad_update_in_place(fg: ModuleType) -> None:
    p = fg.Value(1.0)
    p.grad = 4
    p.data -= 0.5 * p.grad
    p.grad += 1
    assert (p.data, p.grad) == (-1.0, 5.0)


def test_prev_holds_the_very_operands(fg: ModuleType) -> None:
    a, b = fg.Value(2.0), fg.Value(-3.0)
    e = a * b
    assert e._prev == {a, b}
    assert a in e._prev
    assert {id(child) for child in e._prev} == {id(a), id(b)}


def test_prev_is_a_new_set_each_time(fg: ModuleType) -> None:
    e = fg.Value(2.0) * fg.Value(3.0)
    e._prev.clear()
    assert len(e._prev) == 2


def test_prev_of_a_square_has_one_member_and_children_two(fg: ModuleType) -> None:
    x = fg.Value(3.0)
    y = x * x
    assert y._prev == {x}
    assert y._children == (x, x)
    assert y._local_grads == (3.0, 3.0)


def test_children_keep_the_order_of_the_operands(fg: ModuleType) -> None:
    a, b = fg.Value(2.0), fg.Value(-3.0)
    assert (a - b)._children == (a, b)
    assert (b - a)._children == (b, a)


def test_node_that_no_name_holds_is_the_same_object_whenever_it_is_seen(fg: ModuleType) -> None:
    out = (fg.Value(2.0) * fg.Value(3.0)) + fg.Value(1.0)
    first = out._children
    assert out._children == first
    assert out._prev == set(first)
    assert set(map(id, out._prev)) == set(map(id, first))


def test_number_operand_becomes_a_child(fg: ModuleType) -> None:
    a = fg.Value(2.0)
    assert [child.data for child in (a + 1)._children] == [2.0, 1.0]
    assert [child.data for child in (1 - a)._children] == [1.0, 2.0]
    assert (a + 1)._children[0] is a


def test_number_operand_gets_no_gradient(fg: ModuleType) -> None:
    a = fg.Value(2.0)
    y = a * 5.0
    y.backward()
    x, five = y._children
    assert (x.grad, five.grad) == (5.0, 0.0)


@pytest.mark.parametrize(("exponent", "label"), [(2, "**2"), (-1, "**-1"), (0.5, "**0.5"), (-0.5, "**-0.5")])
def test_constant_exponent_is_part_of_the_operation(exponent: float, label: str, fg: ModuleType) -> None:
    a = fg.Value(4.0)
    y = a**exponent
    assert y._op == label
    assert y._children == (a,)
    assert y._local_grads == (exponent * 4.0 ** (exponent - 1),)


def test_power_of_two_values_has_both_as_children(fg: ModuleType) -> None:
    a, b = fg.Value(2.0), fg.Value(3.0)
    assert (a**b)._children == (a, b)
    assert (a**b)._op == "**"
    assert (2.0**b)._children[1] is b


def test_operation_can_be_renamed(fg: ModuleType) -> None:
    y = fg.Value(1.0) + 2
    y._op = "plus"
    assert y._op == "plus"


def test_local_gradients_are_those_at_the_present_data(fg: ModuleType) -> None:
    a, b = fg.Value(2.0), fg.Value(3.0)
    y = a * b
    b.data = 7.0
    assert y._local_grads == (7.0, 2.0)


def test_label_is_any_attribute_and_the_class_has_an_empty_one(fg: ModuleType) -> None:
    a = fg.Value(1.0)
    a.label = "a"
    assert (a.label, fg.Value.label, fg.Value(2.0).label) == ("a", "", "")


def test_programs_hang_their_own_attributes_on_values(fg: ModuleType) -> None:
    p = fg.Value(1.0)
    p.m, p.v, p.color = 0.25, [1, 2], "red"
    assert (p.m, p.v, p.color) == (0.25, [1, 2], "red")
    assert {"m", "v", "color"} <= vars(p).keys()
    del p.color
    assert not hasattr(p, "color")
    with pytest.raises(AttributeError, match="color"):
        _ = p.color


def test_attributes_live_as_long_as_their_node(fg: ModuleType, reclaim: Callable[[ModuleType], None]) -> None:
    """The handle of an inner node dies with its name; the node, and what hangs on it, lives on in the graph."""
    inner = fg.Value(2.0) * fg.Value(3.0)
    inner.label, inner.index, inner.grad = "inner", 7, 0.5
    out = inner + 1.0
    del inner
    reclaim(fg)
    seen = out._children[0]
    assert (seen.label, seen.index, seen.grad, seen.data, seen._op) == ("inner", 7, 0.5, 6.0, "*")


# -------------------------------------------------------------------------------------------------------- text and type


def test_repr_is_micrograds(fg: ModuleType) -> None:
    v = fg.Value(2.5)
    assert repr(v) == str(v) == f"{v}" == "Value(data=2.5, grad=0.0)"
    v.grad = -1e-20
    assert repr(v) == "Value(data=2.5, grad=-1e-20)"
    assert repr([v]) == f"[{v!r}]"


@pytest.mark.parametrize("spec", [".4f", ">10.2f", "+.3e", "8", "g", "06.1f", "%"])
def test_format_formats_the_data(spec: str, fg: ModuleType) -> None:
    assert format(fg.Value(3.14159), spec) == format(3.14159, spec)
    assert "%.2f" % fg.Value(3.14159) == "3.14"  # noqa: UP031


def test_wrong_format_is_pythons_error(fg: ModuleType) -> None:
    with pytest.raises(ValueError, match="format"):
        format(fg.Value(1.0), "q")


def test_methods_and_operators_have_signatures_and_documentation(fg: ModuleType) -> None:
    import inspect

    assert "backward" in dir(fg.Value)
    assert fg.Value.backward.__doc__ and fg.Value.exp.__doc__ and fg.Value.__doc__
    assert len(inspect.signature(fg.Value.exp).parameters) == 1
    assert len(inspect.signature(fg.Value.arctan2).parameters) == 2
    assert fg.Value.__name__ == "Value"
    assert fg.Value.__module__.split(".")[0] == "fastgrad"
