"""fg.fit trains, repeats to the last bit, stops, resumes, and names the row that is wrong."""

from __future__ import annotations

import copy
import functools
import json
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose

DRAW = np.random.default_rng(0)
X = DRAW.uniform(-1.0, 1.0, (50, 2))
Y = np.tanh(X[:, 0] - 2.0 * X[:, 1])
CLASSES = (X[:, 0] > X[:, 1]).astype(int)


@pytest.fixture
def fit(fg):
    def quietly(model, *args, **options):
        return fg.fit(model, *args, **{"progress": False, "epochs": 4, **options})

    return quietly


def network(fg, seed=0, dropout=0.0):
    return fg.nn.Sequential(
        fg.nn.Linear(2, 4, rng=seed), fg.nn.Tanh(), fg.nn.Dropout(dropout), fg.nn.Linear(4, 1, rng=1)
    )


def adam(fg, model, **settings):
    return fg.optim.Adam(model.parameters(), **{"lr": 0.05, **settings})


def test_it_learns(fg, fit):
    model = network(fg)
    history = fit(model, fg.nn.mse, (X, Y), epochs=60, optimizer=adam(fg, model))
    assert history.loss[-1] < 0.01 < history.loss[0]
    assert (history.epochs, len(history.lr), history.stopped) == (60, 60, "epochs")


def test_it_does_what_ten_lines_do(fg, fit):
    fitted, by_hand = network(fg), network(fg)
    history = fit(fitted, fg.nn.mse, (X, Y), epochs=3, batch_size=16, optimizer=adam(fg, fitted), seed=5)

    loss = fg.compile(lambda x, y: fg.nn.mse(by_hand(x), y), signature="(2),()->()")
    optimizer, losses = adam(fg, by_hand), []
    for epoch in range(3):
        order, total = np.random.default_rng([5, epoch]).permutation(50), 0.0
        for i in range(0, 50, 16):
            batch = order[i : i + 16]
            optimizer.zero_grad()
            total += loss.backward(X[batch], Y[batch]) * len(batch)
            optimizer.step()
        losses.append(total / 50)
    assert fitted.state_dict() == by_hand.state_dict()
    assert_allclose(history.loss, losses, rtol=1e-14)


def test_classes_are_learnt_from_their_numbers(fg, fit):
    model = fg.nn.Linear(2, 2, rng=0)
    fit(model, fg.nn.cross_entropy, (X, CLASSES), epochs=30, optimizer=adam(fg, model))
    scores = fg.compile(model, signature="(2)->(2)")(X)
    assert (scores.argmax(axis=1) == CLASSES).mean() > 0.9


def test_data_may_be_one_array_or_several(fg, fit):
    model = fg.nn.Linear(2, 1, rng=0)

    def weighted(output, target, weight):
        return weight * fg.nn.mse(output, target)

    assert fit(model, weighted, (X.tolist(), list(Y), np.ones(50))).epochs == 4
    assert fit(model, lambda output: output * output, (X,)).epochs == 4


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_seed_gives_the_same_run(fg, fit, dropout):
    def run(seed):
        model = network(fg, dropout=dropout)
        return fit(model, fg.nn.mse, (X, Y), seed=seed, optimizer=adam(fg, model)).loss

    assert run(1) == run(1) != run(2)


def test_dropout_is_on_in_training_and_off_in_validation(fg, fit):
    model = network(fg, dropout=0.5)
    model.eval()
    history = fit(model, fg.nn.mse, (X, Y), epochs=1, validation=(X, Y), optimizer=adam(fg, model, lr=0.0))
    plain = fg.compile(lambda x, y: fg.nn.mse(model(x), y), signature="(2),()->()")
    assert history.validation == [np.mean(plain(X, Y))] != history.loss
    assert not model.training


def test_a_resumed_run_is_the_whole_run(fg, fit, tmp_path):
    def run(epochs, **options):
        model = network(fg, dropout=0.25)
        optimizer = adam(fg, model)
        schedule = fg.optim.CosineAnnealingLR(optimizer, 6)
        options |= {"optimizer": optimizer, "schedule": schedule, "validation": (X[:9], Y[:9]), "clip_norm": 0.5}
        history = fit(model, fg.nn.mse, (X, Y), epochs=epochs, **options)
        return history.loss, history.validation, history.lr, history.best_epoch, model.state_dict()

    path = tmp_path / "run.json"
    whole = run(6)
    run(2, checkpoint=path, resume=True)
    run(5, checkpoint=path, resume=True)
    assert run(6, checkpoint=path, resume=True) == whole
    assert run(6, checkpoint=path, resume=True) == whole
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]


def test_it_stops_where_nothing_improves_and_keeps_the_best(fg, fit):
    model = network(fg)
    history = fit(
        model, fg.nn.mse, (X, Y), epochs=99, validation=(X, -Y), patience=3, optimizer=adam(fg, model, lr=0.1)
    )
    assert history.stopped == "patience"
    assert history.epochs == history.best_epoch + 4
    loss = fg.compile(lambda x, y: fg.nn.mse(model(x), y), signature="(2),()->()")
    assert np.mean(loss(X, -Y)) == history.best_loss == min(history.validation)


class Interrupting:
    """Computes here, until Ctrl-C comes."""

    def __init__(self, batches):
        self.left = batches

    def sum_grad(self, loss, *batch):
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        return loss.sum_grad(*batch, argnums="parameters")


def test_ctrl_c_keeps_the_best_model_and_the_checkpoint(fg, fit, tmp_path):
    model, twin = network(fg), network(fg)
    options = {"batch_size": 25, "checkpoint": tmp_path / "run"}
    history = fit(model, fg.nn.mse, (X, Y), optimizer=adam(fg, model), client=Interrupting(5), **options)
    assert (history.epochs, history.stopped, history.best_epoch) == (2, "interrupted", 1)
    fit(twin, fg.nn.mse, (X, Y), epochs=2, batch_size=25, optimizer=adam(fg, twin))
    assert model.state_dict() == twin.state_dict()
    history = fit(model, fg.nn.mse, (X, Y), optimizer=adam(fg, model), resume=True, **options)
    assert (history.epochs, history.stopped) == (4, "epochs")


def test_a_client_computes_the_batches(fg, fit):
    asked = []

    class Client:
        def sum_grad(self, loss, *batch):
            asked.append([array.shape for array in batch])
            assert loss.parameters  # it was recorded before
            return loss.sum_grad(*batch, argnums="parameters")

    here, there = network(fg), network(fg)
    fit(here, fg.nn.mse, (X, Y), epochs=1)
    fit(there, fg.nn.mse, (X, Y), epochs=1, client=Client())
    assert asked == [[(32, 2), (32,)], [(18, 2), (18,)]]
    assert here.state_dict() == there.state_dict()


def test_rows_do_not_go_along_with_the_loss(fg, fit):
    cloudpickle = pytest.importorskip("cloudpickle")
    sizes = []

    class Client:
        def sum_grad(self, loss, *batch):
            sizes.append(len(cloudpickle.dumps(loss.__wrapped__)))
            return loss.sum_grad(*batch, argnums="parameters")

    for copies in (1, 1000):
        data = np.tile(X, (copies, 1)), np.tile(Y, copies)
        fit(network(fg), fg.nn.mse, data, epochs=1, batch_size=len(data[0]), client=Client())
    assert sizes[0] == pytest.approx(sizes[1], abs=100)


def test_history_is_plotted(fg):
    pytest.importorskip("matplotlib").use("Agg")
    ax = fg.History([2.0, 1.0], validation=[3.0, 2.5]).plot()
    assert [list(line.get_ydata()) for line in ax.lines] == [[2.0, 1.0], [3.0, 2.5]]
    assert fg.History([2.0]).plot(ax=ax) is ax
    assert ax.get_xlabel() == "epoch"


def test_a_bar_shows_progress_unless_it_is_off(fg, fit, capfd):
    pytest.importorskip("tqdm")
    fit(network(fg), fg.nn.mse, (X, Y), epochs=2, progress=True)
    assert "4/4" in capfd.readouterr().err
    fit(network(fg), fg.nn.mse, (X, Y))
    assert capfd.readouterr().err == ""


def test_without_tqdm_there_is_no_bar(fg, fit, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert fit(network(fg), fg.nn.mse, (X, Y), progress=True).epochs == 4


# --------------------------------------------------------------------------------------------------------- bad input


def spoilt(array, row, value):
    array = np.array(array, float)
    array[row] = value
    return array


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (X, TypeError, r"fit\(data\): expected a tuple of arrays such as \(x, y\), got ndarray"),
        ((X, Y[:49]), ValueError, r"fit\(data\): expected as many rows in each array, got \[50, 49\]"),
        ((X[:0], Y[:0]), ValueError, r"fit\(data\)\[0\]: expected at least one row, got an array of shape \(0, 2\)"),
        ((spoilt(X, 17, np.nan), Y), ValueError, r"fit\(data\)\[0\]: row 17 is not finite: \[nan, nan\]"),
        ((X, spoilt(Y, 3, np.inf)), ValueError, r"fit\(data\)\[1\]: row 3 is not finite: inf"),
        ((X, ["a"] * 50), TypeError, r"fit\(data\)\[1\]: expected an array of real numbers, got <U1"),
        ((X[:, :1], Y), ValueError, "expected 2 inputs, got 1"),
        (
            ([[1.0, 2.0], [3.0]], [1.0, 2.0]),
            TypeError,
            r"\(data\)\[0\]: expected an array of real numbers: setting",
        ),
        ((X, [None] * 50), TypeError, r"fit\(data\)\[1\]: expected an array of real numbers, got object"),
    ],
)
def test_data_that_cannot_be_trained_on_are_named(fg, fit, data, error, message):
    model = network(fg)
    before = model.state_dict()
    with pytest.raises(error, match=message):
        fit(model, fg.nn.mse, data)
    assert model.state_dict() == before


def test_a_wrong_class_names_its_row(fg, fit):
    model = fg.nn.Linear(2, 2, rng=0)
    with pytest.raises(
        ValueError, match=r"fit\(data\): row 41: cross_entropy\(target\): expected a class from 0 to 1, got 2"
    ):
        fit(model, fg.nn.cross_entropy, (X, spoilt(CLASSES, 41, 2)))
    before = model.state_dict()
    with pytest.raises(ValueError, match=r"fit\(validation\): row 41: cross_entropy\(target\): .* from 0 to 1, got 2"):
        fit(model, fg.nn.cross_entropy, (X, CLASSES), validation=(X, spoilt(CLASSES, 41, 2)))
    assert model.state_dict() == before


def test_a_loss_that_is_not_finite_stops_before_the_update(fg, fit):
    model = fg.nn.Linear(2, 1, rng=0)
    before = model.state_dict()
    with pytest.raises(FloatingPointError, match="the parameters are those before that batch"):
        fit(model, lambda output, y: (output - y) * 1e200 * 1e200, (X, Y))
    assert model.state_dict() == before


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"validation": (X[:, :1], Y)}, ValueError, r"fit\(validation\): expected rows of the shapes \[\(2,\), \(\)\]"),
        ({"epochs": 0}, ValueError, r"fit\(epochs\): expected a whole number of 1 or more, got 0"),
        ({"batch_size": 2.0}, ValueError, r"fit\(batch_size\): expected a whole number of 1 or more, got 2.0"),
        ({"client": 3}, TypeError, r"fit\(client\): expected a dask.distributed.Client.*with a method sum_grad.*int 3"),
        ({"optimizer": 3}, TypeError, r"fit\(optimizer\): expected an optimizer"),
        ({"schedule": 3}, TypeError, r"fit\(schedule\): expected a schedule such as"),
        ({"batch_size": None}, ValueError, r"fit\(batch_size\): expected a whole number of 1 or more, got None"),
        ({"seed": None}, ValueError, r"fit\(seed\): expected a whole number of 0 or more, got None"),
        ({"seed": -1}, ValueError, r"fit\(seed\): expected a whole number of 0 or more, got -1"),
        ({"clip_norm": 0}, ValueError, r"fit\(clip_norm\): expected a number greater than 0, got 0"),
        ({"clip_norm": "1"}, ValueError, r"fit\(clip_norm\): expected a number greater than 0, got '1'"),
        ({"checkpoint": True}, TypeError, r"fit\(checkpoint\): expected the path of a file, got True"),
        ({"checkpoint": "no/such/run"}, FileNotFoundError, r"fit\(checkpoint\): there is no folder '.*such' to write"),
        ({"checkpoint": "."}, IsADirectoryError, r"fit\(checkpoint\): .*'.' is a folder"),
        ({"checkpoint": ".", "resume": True}, IsADirectoryError, r"fit\(checkpoint\): .*'.' is a folder"),
        (
            {"validation": (X, spoilt(Y, 3, np.nan))},
            ValueError,
            r"fit\(validation\)\[1\]: row 3 is not finite: nan",
        ),
    ],
)
def test_options_that_make_no_sense_are_refused(fg, fit, options, error, message):
    model = network(fg)
    before = model.state_dict()
    with pytest.raises(error, match=message):
        fit(model, fg.nn.mse, (X, Y), **options)
    assert model.state_dict() == before


def test_whole_numbers_of_numpy_are_taken(fg, fit, tmp_path):
    path, two = tmp_path / "run", np.int64(2)
    assert fit(network(fg), fg.nn.mse, (X, Y), epochs=two, batch_size=two, seed=two, checkpoint=path).epochs == 2
    model = fg.nn.Sequential(fg.nn.Linear(two, two, rng=two), fg.nn.LayerNorm(two))
    assert model.state_dict() == fg.nn.Sequential(fg.nn.Linear(2, 2, rng=2), fg.nn.LayerNorm(2)).state_dict()


def test_numbers_in_an_array_of_objects_are_taken(fg, fit):
    assert fit(network(fg), fg.nn.mse, (X.astype(object), Y)).loss == fit(network(fg), fg.nn.mse, (X, Y)).loss


def test_what_does_not_belong_together_is_refused(fg, fit):
    model, other = network(fg), network(fg)
    with pytest.raises(ValueError, match=r"fit\(optimizer\): 17 of its parameters are not among model.parameters"):
        fit(model, fg.nn.mse, (X, Y), optimizer=adam(fg, other))
    schedule = fg.optim.ExponentialLR(adam(fg, model), 0.5)
    with pytest.raises(ValueError, match=r"fit\(schedule\): it was made for another optimizer"):
        fit(model, fg.nn.mse, (X, Y), optimizer=adam(fg, model), schedule=schedule)
    with pytest.raises(ValueError, match=r"fit\(loss\): it depends on none of the parameters"):
        fit(model, lambda output, y: other(X[0]) * y, (X, Y))
    with pytest.raises(TypeError, match=r"fit\(loss\): expected a function such as nn.mse, got 'mse'"):
        fit(model, "mse", (X, Y))
    with pytest.raises(TypeError, match=r"fit\(model\): expected an nn.Module, got function"):
        fit(lambda x: x, fg.nn.mse, (X, Y))


#: What a checkpoint may not hold: the place, and what stands there.
DAMAGES = [
    (["settings"], None),
    (["best"], "a"),
    (["best"], [1.0]),
    (["model"], None),
    (["model", "layers.0.bias"], [1.0]),
    (["optimizer"], None),
    (["optimizer", "mean"], ["a"] * 17),
    (["history"], None),
    (["history"], {}),
    (["history", "loss"], "a"),
    (["history", "loss"], [None]),
    (["history", "loss"], []),
    (["history", "more"], 3),
    (["history", "best_epoch"], 7),
    (["history", "best_epoch"], "a"),
]


def test_a_checkpoint_is_not_overwritten_or_mistaken(fg, fit, tmp_path):
    path, model = tmp_path / "run", network(fg)
    fit(model, fg.nn.mse, (X, Y), epochs=1, checkpoint=path)
    before = model.state_dict()

    def again(model, **options):
        return fit(model, fg.nn.mse, (X, Y), checkpoint=path, **{"resume": True, **options})

    with pytest.raises(FileExistsError, match=r"is there already; go on from it with resume=True"):
        again(model, resume=False)
    with pytest.raises(ValueError, match="is of another run: batch_size was 32 and is 8"):
        again(model, batch_size=8)
    with pytest.raises(ValueError, match="is of another run: validation was None and is 50"):
        again(model, validation=(X, Y))
    with pytest.raises(ValueError, match=r"SGD.load_state_dict: expected the names"):
        again(model, optimizer=fg.optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(ValueError, match="is of a run with another schedule"):
        again(model, schedule=fg.optim.ExponentialLR(adam(fg, model), 0.5))
    with pytest.raises(ValueError, match=r"Linear.load_state_dict: missing"):
        again(fg.nn.Linear(2, 1))
    assert model.state_dict() == before
    whole = json.loads(path.read_text())
    for place, value in DAMAGES:
        damaged = copy.deepcopy(whole)
        *above, last = place
        functools.reduce(dict.__getitem__, above, damaged)[last] = value
        path.write_text(json.dumps(damaged))
        with pytest.raises(ValueError, match=r"is no checkpoint|load_state_dict"):
            again(model)
        assert model.state_dict() == before
    for text in ("", "null", "{", json.dumps({"format": 1})):
        path.write_text(text)
        with pytest.raises(ValueError, match="is no checkpoint"):
            again(model)
