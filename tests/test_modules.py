"""Layers, activations and initializers: what they compute, eagerly and compiled, and how they begin."""

from __future__ import annotations

import copy
import json
import math
import pickle
import random

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

ROW = [0.5, -1.25, 2.0]


def numbers(values):
    return [float(v) for v in (values if isinstance(values, list) else [values])]


def network(nn):
    return nn.Sequential(
        nn.Linear(3, 4, rng=0),
        nn.LayerNorm(4),
        nn.GELU(),
        nn.Linear(4, 3, bias=False, rng=1),
        nn.RMSNorm(3),
        nn.Softmax(),
    )


def test_compiled_networks_are_the_eager_ones(fg, backend):
    model = network(fg.nn)
    parameters = model.parameters()
    assert len(parameters) == 16 + 8 + 12 + 3
    f = fg.compile(lambda x: fg.nn.cross_entropy(model(x), 1), signature="(3)->()")
    batch = np.array([ROW, ROW[::-1], [0.0, 0.0, 1.0]])
    value, slopes = f.value_and_grad(batch, argnums="parameters")
    order = [parameters.index(p) for p in f.parameters]
    for row, got, slope in zip(batch.tolist(), value, slopes, strict=True):
        model.zero_grad()
        loss = fg.nn.cross_entropy(model(row), 1)
        loss.backward()
        tolerance = 0.0 if backend == "c" else 1e-12
        assert_allclose(got, loss.data, rtol=tolerance)
        assert_allclose(slope, [parameters[i].grad for i in order], rtol=tolerance, atol=tolerance)
    assert len(f.paths) == 1


def test_a_linear_layer_is_a_matrix(fg):
    layer = fg.nn.Linear(3, 2, rng=0)
    layer.load_state_dict({"weight.0": [1.0, 2.0, 3.0], "weight.1": [0.0, -1.0, 0.5], "bias": [0.5, 0.25]})
    assert_allclose(numbers(layer(ROW)), np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 0.5]]) @ ROW + [0.5, 0.25])


def test_norms_are_their_formulas(fg):
    x = np.array(ROW)
    rms, layer = fg.nn.RMSNorm(3, eps=0.1), fg.nn.LayerNorm(3, eps=0.1)
    for norm in (rms, layer):
        norm.load_state_dict({name: [1.0, 2.0, -0.5] for name in norm.state_dict()})
    scale, weight = math.sqrt(np.mean(x * x) + 0.1), np.array([1.0, 2.0, -0.5])
    assert_allclose(numbers(rms(ROW)), x / scale * weight, rtol=1e-14)
    assert_allclose(numbers(layer(ROW)), (x - x.mean()) / math.sqrt(x.var() + 0.1) * weight + weight, rtol=1e-14)
    assert numbers(fg.nn.RMSNorm(2)([0.0, 0.0])) == numbers(fg.nn.LayerNorm(2)([3.0, 3.0])) == [0.0, 0.0]


@pytest.mark.parametrize("name", ["RMSNorm", "LayerNorm"])
def test_norms_are_those_of_torch(fg, name):
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.nn, name)(3, eps=1e-5, dtype=torch.float64)
    ours = getattr(fg.nn, name)(3, eps=1e-5)
    assert_allclose(numbers(ours(ROW)), theirs(torch.tensor(ROW, dtype=torch.float64)).tolist(), rtol=1e-13)


def test_embedding_rows_are_picked_by_data(fg):
    table = fg.nn.Embedding(5, 2, rng=0)
    f = fg.compile(lambda i: fg.sum(table(i)), signature="()->()")
    assert_allclose(f([3, 0, 3]), [sum(numbers(table(i))) for i in (3, 0, 3)])
    f.backward([3, 0, 3], reduction="sum")
    assert [[p.grad for p in row] for row in table.weight] == [[1.0] * 2, [0.0] * 2, [0.0] * 2, [2.0] * 2, [0.0] * 2]
    with pytest.raises(IndexError, match="5 is out of range for a table of 5"):
        f([0, 5])


ACTIVATIONS = {
    "ReLU": lambda x: max(x, 0.0),
    "Tanh": math.tanh,
    "Sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "GELU": lambda x: 0.5 * x * math.erfc(-x / math.sqrt(2)),
    "SiLU": lambda x: x / (1 + math.exp(-x)),
    "Softplus": lambda x: math.log1p(math.exp(x)),
    "LeakyReLU": lambda x: x if x > 0 else 0.01 * x,
    "ELU": lambda x: x if x > 0 else math.expm1(x),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_take_numbers_values_and_rows(fg, name):
    layer = getattr(fg.nn, name)()
    expected = [pytest.approx(ACTIVATIONS[name](x), rel=1e-14) for x in ROW]
    assert layer(ROW) == expected
    assert [layer(fg.Value(x)).data for x in ROW] == expected
    assert numbers(layer([fg.Value(x) for x in ROW])) == expected
    assert fg.compile(layer, signature="(3)->(3)")(ROW).tolist() == expected
    assert repr(layer) == f"{name}()"


def test_an_activation_may_have_a_parameter(fg):
    slope = fg.Value(0.5)
    layer = fg.nn.LeakyReLU(slope)
    layer(-2.0).backward()
    assert (slope.grad, layer.parameters(), fg.nn.Sigmoid(2.0)(0.5)) == (-2.0, [slope], 1 / (1 + math.exp(-1.0)))
    with pytest.raises(ValueError, match="activation: expected one of"):
        fg.nn.Activation("no such")


# ------------------------------------------------------------------------------------------------------- dropout


def test_dropout_keeps_the_mean_and_drops_at_its_rate(fg):
    dropout = fg.nn.Dropout(0.25, rng=0)
    out = np.array(dropout([1.0] * 4000))
    assert set(out) == {0.0, 1.0 / 0.75}
    assert abs((out == 0.0).mean() - 0.25) < 0.03


def test_dropout_is_off_where_the_model_is_not_trained(fg):
    model = fg.nn.Sequential(fg.nn.Dropout(0.9), fg.nn.Sequential(fg.nn.Dropout(0.9)))
    assert model.eval()(ROW) == ROW
    assert not any(m.training for m in model.modules())
    assert all(m.training for m in model.train().modules())


def test_dropout_differs_from_row_to_row_in_a_compiled_function(fg):
    model = fg.nn.Sequential(fg.nn.Dropout(0.5), fg.nn.Dropout(0.25))

    @fg.compile(signature="(2),(4)->(2)")
    def f(x, uniform):
        with fg.nn.noise(uniform):
            return model(x)

    uniform = np.array([[0.4, 0.6, 0.9, 0.9], [0.6, 0.6, 0.1, 0.9]])
    assert_allclose(f([1.0, 2.0], uniform), [[0.0, 2.0 * 2.0 / 0.75], [0.0, 2.0 * 2.0 / 0.75]])
    assert len(f.paths) == 1


def test_dropout_says_what_it_needs(fg):
    model = fg.nn.Sequential(fg.nn.Dropout(0.5), fg.nn.Linear(3, 2), fg.nn.Dropout(0.5))
    with fg.nn.noise() as needed:
        model(ROW)
    assert needed.used == 5
    with pytest.raises(fg.TracingError, match=r"dropout cannot draw .* nn\.noise"):
        fg.compile(model, signature="(3)->(2)")([ROW])
    with pytest.raises(ValueError, match="4 numbers were given, and the model needs 5"), fg.nn.noise([0.9] * 4):
        model(ROW)
    with pytest.raises(ValueError, match=r"Dropout\(p\): expected a probability from 0 to 1, without 1, got 1.0"):
        fg.nn.Dropout(1.0)


# ---------------------------------------------------------------------------------------------------- initializers


@pytest.mark.parametrize("kind", [lambda seed: seed, random.Random, np.random.default_rng])
def test_a_seed_repeats_the_draws(fg, kind):
    def state(seed):
        return fg.nn.MLP(3, [4, 2], init="he_normal", rng=kind(seed)).state_dict()

    assert state(1) == state(1) != state(2)
    first, second = fg.nn.MLP(3, [3, 3], rng=kind(1)).layers
    assert first.state_dict() != second.state_dict()


@pytest.mark.parametrize(
    ("name", "variance"),
    [
        ("uniform", 1 / 3),
        ("normal", 1.0),
        ("xavier_uniform", 2 / 90),
        ("xavier_normal", 2 / 90),
        ("he_uniform", 2 / 60),
        ("he_normal", 2 / 60),
    ],
)
def test_initializers_have_the_variance_of_their_papers(fg, name, variance):
    for layer in (fg.nn.Linear(60, 30, init=name, rng=0), fg.nn.Layer(60, 30, init=name, rng=0)):
        weights = np.array([p.data for p in layer.parameters() if p.data != 0.0])
        assert len(weights) == 1800
        assert weights.var() == pytest.approx(variance, rel=0.15)
        assert abs(weights.mean()) < 0.1 * math.sqrt(variance)


def test_without_an_initializer_the_draws_are_those_of_micrograd(fg):
    random.seed(3)
    expected = [random.uniform(-1, 1) for _ in range(6)]
    random.seed(3)
    assert [w.data for neuron in fg.nn.Layer(3, 2).neurons for w in neuron.w] == expected
    assert [w.data for neuron in fg.nn.Layer(3, 2, rng=3).neurons for w in neuron.w] == expected


# ------------------------------------------------------------------------------------------------- state, and errors


def test_state_survives_json_pickle_and_copy(fg):
    model = network(fg.nn)
    state = json.loads(json.dumps(model.state_dict()))
    assert list(state)[:5] == [f"layers.0.weight.{i}" for i in range(4)] + ["layers.0.bias"]
    other = network(fg.nn)
    other.zero_grad()
    other.load_state_dict(state)
    assert numbers(other(ROW)) == numbers(model(ROW))
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert numbers(twin(ROW)) == numbers(model(ROW))
        assert not set(twin.parameters()) & set(model.parameters())


def test_a_state_of_another_model_is_refused_and_changes_nothing(fg):
    model = network(fg.nn)
    before = model.state_dict()
    state = {**before, "layers.1.bias": [0.0], "layers.9.bias": 1.0}
    del state["layers.0.bias"]
    message = (
        r"missing 'layers.0.bias'; unexpected 'layers.9.bias'; 'layers.1.bias': expected a list of 4, got a list of 1"
    )
    with pytest.raises(ValueError, match=message):
        model.load_state_dict(state)
    assert model.state_dict() == before


def test_a_sequence_is_a_sequence(fg):
    nn = fg.nn
    model = nn.Sequential(nn.Linear(3, 2, rng=0), fg.softmax)
    assert (len(model), model[1], list(model)) == (2, fg.softmax, model.layers)
    assert repr(model) == "Sequential(Linear(3, 2), softmax)"
    shared = nn.Linear(3, 3)
    assert len(nn.Sequential(shared, nn.ReLU(), shared).parameters()) == 12


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda nn: nn.Sequential(), ValueError, "expected at least one layer"),
        (lambda nn: nn.Sequential(nn.ReLU(), 3), TypeError, "expected modules, got int as layer 1"),
        (lambda nn: nn.Linear(0, 1), ValueError, r"Linear\(nin\): expected a whole number of 1 or more, got 0"),
        (lambda nn: nn.Embedding(2.5, 1), ValueError, r"Embedding\(count\): expected a whole number"),
        (lambda nn: nn.Linear(2, 1)(ROW), ValueError, r"Linear\(2, 1\): expected 2 inputs, got 3"),
        (lambda nn: nn.LayerNorm(2)(ROW), ValueError, r"LayerNorm\(2\): expected 2 inputs, got 3"),
        (lambda nn: nn.Linear(2, 1, init="kaiming"), ValueError, "init: expected an initializer or one of uniform,"),
        (lambda nn: nn.Linear(2, 1, rng="0"), TypeError, "rng: expected a random.Random, .* or a seed"),
    ],
)
def test_what_a_layer_cannot_be_is_named(fg, make, error, message):
    with pytest.raises(error, match=message):
        make(fg.nn)


def test_zero_grad_clears_all_at_once(fg):
    model = network(fg.nn)
    fg.nn.mse(model(ROW), [0.0] * 3).backward()
    assert any(p.grad for p in model.parameters())
    model.zero_grad()
    assert_array_equal([p.grad for p in model.parameters()], 0.0)


class Forward:
    """What a class in PyTorch's way looks like: forward, and no parameters()."""

    def __init__(self, fg):
        self.first, self.rest = fg.nn.Linear(2, 2, rng=0), {"b": [fg.nn.Linear(2, 1, rng=1)]}
        self.scale, self.again = fg.Value(2.0), self.first
        self.table = np.array([fg.Value(3.0)], object)
        self.seen, self.result = np.zeros(3), self.scale * 2.0

    def forward(self, x):
        return self.scale * self.rest["b"][0](self.first(x)) + self.table[0]


def test_a_class_in_the_way_of_pytorch_is_a_model(fg):
    model = type("Model", (Forward, fg.nn.Module), {})(fg)
    first, last = model.first, model.rest["b"][0]
    wanted = [*first.parameters(), *last.parameters(), model.scale, model.table[0]]
    assert [id(p) for p in model.parameters()] == [id(p) for p in wanted]
    assert model([1.0, -1.0]).data == (model.scale * last(first([1.0, -1.0])) + 3.0).data
    x = np.random.default_rng(0).standard_normal((20, 2))
    history = fg.fit(model, fg.nn.mse, (x, x[:, 0]), epochs=3, progress=False)
    assert history.loss[-1] < history.loss[0]
    assert set(model.state_dict()) == {"first.weight.0", "first.weight.1", "first.bias", "rest.b.0.weight.0",
                                       "rest.b.0.bias", "scale", "table", "again.weight.0", "again.weight.1",
                                       "again.bias"}  # fmt: skip
    with pytest.raises(NotImplementedError, match=r"Model has to define __call__\(self, x\) or forward\(self, x\)"):
        type("Model", (fg.nn.Module,), {})()(1.0)


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda nn: nn.MLP(2, 3), ValueError, r"MLP\(nouts\): expected the sizes of the layers such as .*, got 3"),
        (lambda nn: nn.MLP(2, []), ValueError, r"MLP\(nouts\): expected the sizes of the layers such as .*, got \[\]"),
        (lambda nn: nn.MLP(2, [3, 0]), ValueError, r"Layer\(nout\): expected a whole number of 1 or more, got 0"),
        (lambda nn: nn.MLP(2.0, [3]), ValueError, r"Layer\(nin\): expected a whole number of 1 or more, got 2.0"),
        (lambda nn: nn.Neuron(-1), ValueError, r"Neuron\(nin\): expected a whole number of 1 or more, got -1"),
        (lambda nn: nn.Linear("2", 3), ValueError, r"Linear\(nin\): expected a whole number of 1 or more, got '2'"),
        (
            lambda nn: nn.Linear(1, 1, init=lambda rng, i, o: None),
            TypeError,
            "init: what the initializer returned: .*None",
        ),
        (lambda nn: nn.Dropout("0.5"), ValueError, r"Dropout\(p\): expected a probability from 0 to 1, .*, got '0.5'"),
        (
            lambda nn: nn.LayerNorm(2, eps=-1.0),
            ValueError,
            r"LayerNorm\(eps\): expected a number of at least 0, got -1",
        ),
        (lambda nn: nn.RMSNorm(2, eps="a"), ValueError, r"RMSNorm\(eps\): expected a number of at least 0, got 'a'"),
        (
            lambda nn: nn.ReLU()([[1.0], [2.0]]),
            ValueError,
            "expected one row of inputs, got list as item 0; call the model",
        ),
        (lambda nn: nn.Linear(2, 3)(None), TypeError, "expected a number, or numbers in a row, got NoneType None"),
        (lambda nn: nn.Linear(2, 3)([[1.0, 2.0]] * 2), ValueError, "got list as item 0; call the model on each row"),
        (lambda nn: nn.Embedding(3, 2)("a"), TypeError, r"take\(index\): expected a real number .*, got str 'a'"),
        (lambda nn: nn.Embedding(3, 2)([1, 2]), TypeError, r"take\(index\): expected a real number .*, got list"),
        (
            lambda nn: nn.Linear(2, 3).load_state_dict(None),
            TypeError,
            "Linear.load_state_dict: expected what state_dict",
        ),
    ],
)
def test_plausible_mistakes_are_named(fg, use, error, message):
    with pytest.raises(error, match=message):
        use(fg.nn)
