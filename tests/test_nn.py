"""fastgrad.nn is micrograd.nn with more to it: same draws, same numbers, activations, clear errors, state."""

from __future__ import annotations

import copy
import json
import math
import pickle
import random

import numpy as np
import pytest

# Printed by micrograd 0.1.0 (PyPI) on CPython 3.11 for the model and the four rows below, seed 1337.
XS = [[2.0, 3.0, -1.0], [3.0, -1.0, 0.5], [0.5, 1.0, 1.0], [1.0, 1.0, -1.0]]
YS = [1.0, -1.0, -1.0, 1.0]
MICROGRAD_LOSSES = [18.432196474034008, 8.70539077176091, 4.462660471200248, 4.083062330540901, 3.9252772308642685]
MICROGRAD_GRADIENTS = {
    0: 19.69764253983007,
    5: -2.8386772742651365,
    19: 11.086517880430083,
    24: -0.19094040315747327,
    36: 19.515282853838233,
    40: 15.609365787889754,
}
MICROGRAD_PARAMETER_SUM = -7.60084566076074


def close(expected):
    return pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.fixture
def model(fg):
    random.seed(1337)
    return fg.nn.MLP(3, [4, 4, 1])


def test_a_seeded_model_starts_with_the_draws_of_micrograd(fg, model):
    random.seed(1337)
    drawn = [random.uniform(-1, 1) for _ in range(3 * 4 + 4 * 4 + 4)]
    assert [w.data for layer in model.layers for n in layer.neurons for w in n.w] == drawn
    assert [p.data for p in model.parameters()][:5] == [*drawn[:3], 0.0, drawn[3]]
    assert len(model.parameters()) == 41


def test_training_follows_micrograd(fg, model):
    losses = []
    for _ in MICROGRAD_LOSSES:
        loss = sum((model(x) - y) ** 2 for x, y in zip(XS, YS, strict=True))
        model.zero_grad()
        loss.backward()
        losses.append(loss.data)
        if len(losses) == 1:
            gradients = [p.grad for p in model.parameters()]
            assert {i: gradients[i] for i in MICROGRAD_GRADIENTS} == close(MICROGRAD_GRADIENTS)
        for p in model.parameters():
            p.data -= 0.05 * p.grad
    assert losses == close(MICROGRAD_LOSSES)
    assert sum(p.data for p in model.parameters()) == close(MICROGRAD_PARAMETER_SUM)


def test_the_moons_loss_is_that_of_micrograd(fg):
    """The demo's max-margin loss with L2, 337 parameters, inputs that are Values; numbers from micrograd 0.1.0."""
    random.seed(7)
    model = fg.nn.MLP(2, [16, 16, 1])
    rows = np.array([[1.5, 0.25], [-0.5, 0.75], [0.1, -0.3], [2.0, 0.5]])
    inputs = [list(map(fg.Value, row)) for row in rows]
    scores = list(map(model, inputs))
    losses = [(1 + -yi * score).relu() for yi, score in zip(np.array([-1, 1, 1, -1]), scores, strict=True)]
    total = sum(losses) * (1.0 / len(losses)) + 1e-4 * sum(p * p for p in model.parameters())
    model.zero_grad()
    total.backward()
    assert total.data == close(1.589726804566509)
    expected = [1.115589365644289, -0.34282425078534934, 0.3088176979674959, 1.1676023914193294]
    assert [score.data for score in scores] == close(expected)
    assert sum(p.grad for p in model.parameters()) == close(9.323942849401417)
    assert inputs[0][0].grad == close(0.2606417533537002)


def test_reprs_are_those_of_micrograd(fg):
    assert repr(fg.nn.Neuron(3)) == "ReLUNeuron(3)"
    assert repr(fg.nn.Neuron(3, nonlin=False)) == "LinearNeuron(3)"
    assert repr(fg.nn.Layer(2, 2)) == "Layer of [ReLUNeuron(2), ReLUNeuron(2)]"
    expected = "MLP of [Layer of [ReLUNeuron(1), ReLUNeuron(1)], Layer of [LinearNeuron(2)]]"
    assert repr(fg.nn.MLP(1, [2, 1])) == expected


@pytest.mark.parametrize(
    ("activation", "shown"),
    [("tanh", "Tanh"), ("sigmoid", "Sigmoid"), ("linear", "Linear"), ("leaky_relu", "LeakyReLU"), ("gelu", "GELU")],
)
def test_reprs_name_the_activation(fg, activation, shown):
    assert repr(fg.nn.Neuron(2, activation=activation)) == f"{shown}Neuron(2)"


def test_a_neuron_costs_few_nodes(fg):
    out = fg.nn.Neuron(50)([1.0] * 50)
    (total,) = out._prev
    assert (out._op, total._op, sorted(v._op for v in total._prev)) == ("ReLU", "+", ["", "dot"])


@pytest.mark.parametrize(
    "convert",
    [list, tuple, np.array, np.float32, lambda row: map(float, row), lambda row: np.array(row, dtype=object)],
    ids=["list", "tuple", "array", "float32 array", "map", "object array"],
)
def test_inputs_are_any_sequence_of_numbers(fg, model, convert):
    assert model(convert(XS[1])).data == model(XS[1]).data


def test_inputs_that_are_values_get_gradients(fg, model):
    row = np.array([fg.Value(x) for x in XS[0]])
    model(row).backward()
    assert all(x.grad != 0.0 for x in row)


def test_a_hidden_layer_of_one_neuron_and_a_single_input_work(fg):
    model = fg.nn.MLP(1, [1, 1, 2])
    assert [v.data for v in model(0.5)] == [v.data for v in model([fg.Value(0.5)])]


def test_one_output_comes_unwrapped_and_several_as_a_list(fg):
    assert isinstance(fg.nn.MLP(2, [3, 1])([1, 2]), fg.Value)
    assert [type(v) for v in fg.nn.Layer(2, 3)([1, 2])] == [fg.Value] * 3


@pytest.mark.parametrize("given", [[1.0, 2.0], [1.0] * 4, [], 1.0])
def test_a_wrong_number_of_inputs_names_both_sizes(fg, model, given):
    count = len(given) if isinstance(given, list) else 1
    with pytest.raises(ValueError, match=rf"ReLUNeuron\(3\): expected 3 inputs, got {count}"):
        model(given)


def test_a_matrix_of_inputs_is_refused(fg, model):
    with pytest.raises(ValueError, match=r"one row of inputs, got an array of shape \(4, 3\)"):
        model(np.array(XS))


@pytest.mark.parametrize(
    ("options", "function"),
    [
        ({"activation": "relu"}, lambda t: max(t, 0.0)),
        ({"activation": "tanh"}, math.tanh),
        ({"activation": "linear"}, float),
        ({"activation": "sigmoid"}, lambda t: 1 / (1 + math.exp(-t))),
        ({"activation": "sigmoid", "alpha": 0.5}, lambda t: 1 / (1 + math.exp(-0.5 * t))),
        ({"activation": "leaky_relu"}, lambda t: t if t > 0 else 0.01 * t),
        ({"activation": "leaky_relu", "alpha": 0.25}, lambda t: t if t > 0 else 0.25 * t),
        ({"activation": "asinh"}, math.asinh),
        ({"activation": "arcsinh"}, math.asinh),
        ({"activation": "sin"}, math.sin),
        ({"activation": "tanh", "nonlin": False}, float),
    ],
)
def test_activations_compute_what_they_are_called(fg, options, function):
    neuron = fg.nn.Neuron(2, **options)
    neuron.load_state_dict({"w": [1.5, -2.0], "b": 0.25})
    for row in ([1.0, 0.5], [-1.0, 0.75]):
        total = 1.5 * row[0] - 2.0 * row[1] + 0.25
        assert neuron(row).data == close(function(total))


def test_nonlin_may_be_changed_later_as_in_micrograd(fg):
    neuron = fg.nn.Neuron(1, nonlin=False)
    neuron.load_state_dict({"w": [1.0], "b": 0.0})
    assert neuron([-1.0]).data == -1.0
    neuron.nonlin = True
    assert neuron([-1.0]).data == 0.0
    assert repr(neuron) == "ReLUNeuron(1)"


def test_every_row_of_one_operand_is_an_activation(fg):
    from fastgrad._rules import ROWS

    for row in ROWS:
        if row.kind == "MATH" and len(row.operands) == 1:
            neuron = fg.nn.Neuron(1, activation=row.name)
            neuron.load_state_dict({"w": [1.0], "b": 0.0})
            x = 1.25 if row.name == "acosh" else 0.5
            assert neuron([x]).data == getattr(fg.Value(x), row.method)().data


def test_the_hidden_layers_of_an_mlp_take_the_activation(fg):
    model = fg.nn.MLP(2, [2, 2, 1], activation="tanh")
    assert [layer.neurons[0].nonlin for layer in model.layers] == [True, True, False]
    assert repr(model.layers[1]) == "Layer of [TanhNeuron(2), TanhNeuron(2)]"


def test_an_unknown_activation_lists_those_accepted(fg):
    with pytest.raises(ValueError, match=r"activation: expected one of .*linear, .*relu, sigmoid, .*tanh; got 'rellu'"):
        fg.nn.Layer(2, 2, activation="rellu")


def test_alpha_is_refused_where_it_means_nothing(fg):
    with pytest.raises(ValueError, match="alpha: only elu, leaky_relu, sigmoid take it, not 'relu'"):
        fg.nn.Neuron(2, alpha=2.0)


def test_a_shared_trainable_alpha_is_one_parameter_and_learns(fg):
    alpha = fg.Value(2.0)
    random.seed(5)
    model = fg.nn.MLP(2, [3, 1], activation="sigmoid", alpha=alpha)
    assert sum(p is alpha for p in model.parameters()) == 1
    assert len(model.parameters()) == 3 * 3 + 4 + 1
    y = model([0.5, -1.0])
    y.backward()
    step = 1e-6
    alpha.data += step
    above = model([0.5, -1.0]).data
    alpha.data -= 2 * step
    below = model([0.5, -1.0]).data
    assert alpha.grad == pytest.approx((above - below) / (2 * step), rel=1e-6)


def test_zero_grad_clears_every_parameter(fg, model):
    model(XS[0]).backward()
    assert any(p.grad for p in model.parameters())
    model.zero_grad()
    assert not any(p.grad for p in model.parameters())


def test_the_state_survives_json_to_the_bit(fg, model):
    state = json.loads(json.dumps(model.state_dict()))
    other = fg.nn.MLP(3, [4, 4, 1])
    other.load_state_dict(state)
    assert [p.data for p in other.parameters()] == [p.data for p in model.parameters()]
    assert list(state)[:3] == ["layers.0.neurons.0.w", "layers.0.neurons.0.b", "layers.0.neurons.1.w"]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_models_copy_and_pickle(fg, copied):
    alpha = fg.Value(2.0)
    model = fg.nn.MLP(2, [3, 1], activation="sigmoid", alpha=alpha)
    other = copied(model)
    assert other([1.0, -2.0]).data == model([1.0, -2.0]).data
    assert not {id(p) for p in other.parameters()} & {id(p) for p in model.parameters()}
    assert len(other.parameters()) == len(model.parameters())


def test_loading_keeps_the_parameter_objects(fg, model):
    before = model.parameters()
    model.load_state_dict(model.state_dict())
    assert all(p is q for p, q in zip(before, model.parameters(), strict=True))


def test_loading_accepts_arrays(fg):
    neuron = fg.nn.Neuron(2)
    neuron.load_state_dict({"w": np.array([1.0, 2.0]), "b": np.float64(3.0)})
    assert [p.data for p in neuron.parameters()] == [1.0, 2.0, 3.0]


def test_loading_names_everything_that_is_wrong_and_changes_nothing(fg):
    layer = fg.nn.Layer(2, 2)
    before = layer.state_dict()
    wrong = {**before, "neurons.0.w": [1.0, 2.0, 3.0], "neurons.0.b": [5.0], "neurons.2.b": 1.0}
    del wrong["neurons.1.b"]
    with pytest.raises(ValueError) as caught:
        layer.load_state_dict(wrong)
    assert str(caught.value) == (
        "Layer.load_state_dict: missing 'neurons.1.b'; unexpected 'neurons.2.b'; "
        "'neurons.0.w': expected a list of 2, got a list of 3; 'neurons.0.b': expected a number, got a list of 1"
    )
    assert layer.state_dict() == before


def test_loading_something_that_is_no_number_changes_nothing(fg):
    neuron = fg.nn.Neuron(2)
    before = neuron.state_dict()
    with pytest.raises(ValueError, match=r"'b': expected a number or a list of numbers, got 'x'"):
        neuron.load_state_dict({"w": [1.0, 2.0], "b": "x"})
    assert neuron.state_dict() == before


def test_a_long_list_of_wrong_names_is_cut(fg):
    with pytest.raises(ValueError, match=r"missing .* and 74 more; unexpected 'w'$"):
        fg.nn.MLP(2, [41, 1]).load_state_dict({"w": [1.0]})


def test_a_users_own_module_has_state_and_zero_grad(fg):
    class Net(fg.nn.Module):
        def __init__(self):
            self.name = "net"
            self.weights = np.array([[fg.Value(1.0), fg.Value(2.0)], [fg.Value(3.0), fg.Value(4.0)]])
            self.parts = {"head": fg.nn.Neuron(2), "scale": fg.Value(5.0)}
            self.constant = fg.Value(9.0)

        def parameters(self):
            return [*self.weights.flat, *self.parts["head"].parameters(), self.parts["scale"]]

        def __call__(self, x):
            return self.parts["scale"] * self.parts["head"](self.weights @ x)

    net = Net()
    state = net.state_dict()
    assert list(state) == ["weights.0", "weights.1", "parts.head.w", "parts.head.b", "parts.scale"]
    state["weights.1"] = [7.0, 8.0]
    net.load_state_dict(state)
    assert net.weights[1, 1].data == 8.0
    net(np.array([1.0, 2.0])).backward()
    net.zero_grad()
    assert not any(p.grad for p in net.parameters())


def test_parameters_that_no_attribute_holds_are_not_lost_silently(fg):
    hidden = fg.Value(1.0)

    class Net(fg.nn.Module):
        def parameters(self):
            return [hidden]

    with pytest.raises(TypeError, match=r"Net.state_dict: 1 of 1 parameters\(\) are in no attribute"):
        Net().state_dict()


def test_a_bare_module_has_no_parameters(fg):
    module = fg.nn.Module()
    module.zero_grad()
    assert (module.parameters(), module.state_dict()) == ([], {})
