"""The estimators: scikit-learn's own checks, what they learn, what they promise, and what they refuse."""

from __future__ import annotations

import importlib
import pickle
import sys
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the extra 'sklearn' is not installed")

from sklearn.base import clone
from sklearn.datasets import load_iris, make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastgrad.sklearn import MLPClassifier, MLPRegressor

# One batch, for only then is a weight of two the same as a row that comes twice, which is among the checks.
SMALL = {"max_iter": 12, "learning_rate_init": 0.1, "batch_size": "auto", "n_iter_no_change": 3, "tol": 0.01}
FAST = {"learning_rate_init": 0.05}
NAMES = ["MLPClassifier", "MLPRegressor"]
MOONS = make_moons(200, noise=0.1, random_state=0)


@pytest.fixture
def estimators(fg: ModuleType) -> Any:
    """The module of estimators on the backend under test."""
    return importlib.import_module("fastgrad.sklearn")


def quiet(estimator: Any, X: Any, y: Any) -> Any:
    """Fit for a fixed number of epochs, which is too few by the estimator's own opinion."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(X, y)


CHECKS = parametrize_with_checks([MLPClassifier((3,), **SMALL), MLPRegressor((3,), **SMALL)]).mark


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:Can't check dok sparse matrix")
@pytest.mark.parametrize(CHECKS.args[0], list(CHECKS.args[1]), **CHECKS.kwargs)  # before 1.8 they are no list
def test_estimators_pass_scikit_learns_checks(
    estimator: Any, check: Callable[[Any], None], estimators: ModuleType
) -> None:
    check(getattr(estimators, type(estimator).__name__)(**estimator.get_params()))


def test_two_moons_are_told_apart(estimators: ModuleType) -> None:
    X, y = MOONS
    model = quiet(estimators.MLPClassifier((8,), "tanh", batch_size=20, max_iter=40, random_state=0, **FAST), X, y)
    assert model.score(X, y) > 0.97
    probabilities = model.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-14)
    np.testing.assert_array_equal(model.predict(X), model.classes_[(probabilities[:, 1] > 0.5).astype(int)])


def test_estimators_work_in_pipelines_and_searches(estimators: ModuleType) -> None:
    X, y = load_iris(return_X_y=True)
    model = estimators.MLPClassifier((4,), max_iter=20, batch_size=20, random_state=0, **FAST)
    search = GridSearchCV(make_pipeline(StandardScaler(), model), {"mlpclassifier__alpha": [1e-4, 10.0]}, cv=2)
    assert quiet(search, X, y).best_score_ > 0.9


@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_of_a_network_is_that_of_differences(estimators: ModuleType, name: str, columns: int) -> None:
    mlp = importlib.import_module("fastgrad._mlp")
    draw = np.random.default_rng(0)
    task = "numbers" if name == "MLPRegressor" else "two classes" if columns == 1 else "classes"
    sizes = (2, 3, columns)
    net = mlp.network(sizes, "tanh", task)
    p = mlp.initial(sizes, "tanh", np.random.RandomState(0))
    X = draw.standard_normal((7, 2))
    y = draw.standard_normal((7, columns)) if task == "numbers" else draw.integers(0, max(2, columns), 7).astype(float)
    _, gradient = net.loss.sum_grad(p, X, y, argnums=0)
    h = 1e-6
    steps = h * np.eye(len(p))
    measured = [(net.loss(p + s, X, y).sum() - net.loss(p - s, X, y).sum()) / (2 * h) for s in steps]
    np.testing.assert_allclose(gradient, measured, rtol=1e-6, atol=1e-7)


def test_losses_are_stable_where_exponentials_are_not(estimators: ModuleType) -> None:
    mlp = importlib.import_module("fastgrad._mlp")
    for task, outputs in (("two classes", 1), ("classes", 3)):
        net = mlp.network((1, outputs), "identity", task)
        p = np.linspace(-1.0, 1.0, 2 * outputs)
        for label in (0.0, 1.0):
            loss, gradient = net.loss.sum_grad(p, [[1e4], [-1e4]], [label, label], argnums=0)
            assert np.isfinite(loss) and np.isfinite(gradient).all()
        assert np.isfinite(net.outputs(p, [[1e4], [-1e4]])).all()


def test_the_forward_pass_is_that_of_the_weights_shown(estimators: ModuleType) -> None:
    X = np.random.default_rng(0).standard_normal((30, 4))
    y = X @ [[1.0, 2.0], [0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]
    model = quiet(estimators.MLPRegressor((5, 3), activation="tanh", max_iter=2, random_state=0), X, y)
    assert [w.shape for w in model.coefs_] == [(4, 5), (5, 3), (3, 2)]
    signal = X
    for depth, (w, b) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
        signal = signal @ w + b if depth == 2 else np.tanh(signal @ w + b)
    np.testing.assert_allclose(model.predict(X), signal, rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_training_repeats_and_pickles_to_the_last_bit(estimators: ModuleType, name: str) -> None:
    X, y = MOONS
    model = getattr(estimators, name)((4,), max_iter=3, batch_size=50, random_state=5)
    first, second = quiet(clone(model), X, y), quiet(clone(model), X, y)
    np.testing.assert_array_equal(first.parameters_, second.parameters_)
    assert first.loss_curve_ == second.loss_curve_
    loaded = pickle.loads(pickle.dumps(first))
    np.testing.assert_array_equal(loaded.predict(X), first.predict(X))


def test_warm_start_goes_on_and_a_cold_one_begins_anew(estimators: ModuleType) -> None:
    X, y = MOONS
    model = estimators.MLPClassifier((4,), max_iter=5, batch_size=50, learning_rate_init=0.02, random_state=0)
    once = quiet(model, X, y).loss_
    assert quiet(model, X, y).loss_ == once
    assert quiet(model.set_params(warm_start=True), X, y).loss_ < once
    with pytest.raises(ValueError, match="expected the classes \\[0, 1\\] of the last fit, got \\[0, 2\\]"):
        model.fit(X, 2 * y)
    with pytest.raises(ValueError, match=r"expected data for the network \(2, 4, 1\) .* such for \(2, 5, 1\)"):
        model.set_params(hidden_layer_sizes=5).fit(X, y)


@pytest.mark.parametrize("name", NAMES)
def test_calls_of_partial_fit_are_epochs_of_fit(estimators: ModuleType, name: str) -> None:
    X, y = MOONS
    whole, parts = (getattr(estimators, name)((4,), max_iter=4, batch_size=50, random_state=5) for _ in range(2))
    quiet(whole, X, y)
    for epoch in range(4):
        options = {"classes": [0, 1]} if name == "MLPClassifier" and not epoch else {}
        assert parts.partial_fit(X, y, **options) is parts
        if epoch == 2:
            parts = pickle.loads(pickle.dumps(parts))
    np.testing.assert_array_equal(parts.parameters_, whole.parameters_)
    assert (parts.loss_curve_, parts.n_iter_) == (whole.loss_curve_, 4)
    parts.partial_fit(X[:5], y[:5])  # fewer rows, and one class or two
    assert parts.n_iter_ == 5
    quiet(parts, X, y)  # begins anew
    np.testing.assert_array_equal(parts.parameters_, whole.parameters_)


def test_partial_fit_says_what_it_cannot_do(estimators: ModuleType) -> None:
    X, y = MOONS
    names = np.array(["a", "b"])[y]
    model = estimators.MLPClassifier((2,), random_state=0)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        model.partial_fit(X, names)
    with pytest.raises(ValueError, match="has the label 'b' in row 3; expected one of \\['a', 'c'\\]"):
        model.partial_fit(X[:4], ["a", "a", "a", "b"], classes=["a", "c"])
    model = clone(model).partial_fit(X, names, classes=["a", "b", "c"])
    assert model.predict_proba(X).shape == (200, 3)
    with pytest.raises(ValueError, match="expecting 2 features"):
        model.partial_fit(X[:, :1], names)
    with pytest.raises(ValueError, match="partial_fit: early_stopping=True is for fit"):
        model.set_params(early_stopping=True).partial_fit(X, names)
    several = estimators.MLPRegressor((2,)).partial_fit(X, X)
    with pytest.raises(ValueError, match=r"MLPRegressor.partial_fit: expected data for the network \(2, 2, 2\)"):
        several.partial_fit(X, y)


@pytest.mark.parametrize("options", [{}, {"shuffle": False, "batch_size": 7}, {"alpha": 0.5, "max_iter": 3}], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_rows_of_weight_nothing_are_as_if_absent(estimators: ModuleType, name: str, options: dict[str, Any]) -> None:
    X, y = MOONS
    weights = np.where(np.arange(200) % 3 == 0, 0.0, 1.0)
    model = getattr(estimators, name)((4,), **{"max_iter": 5, "random_state": 5, **options})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        weighted = clone(model).fit(X, y, sample_weight=weights)
    without = quiet(clone(model), X[weights > 0.0], y[weights > 0.0])
    if options.get("shuffle", True):  # then other rows come first, and the sums are rounded otherwise
        np.testing.assert_allclose(weighted.parameters_, without.parameters_, rtol=1e-9)
    else:
        np.testing.assert_array_equal(weighted.parameters_, without.parameters_)


@pytest.mark.parametrize("name", NAMES)
def test_a_weight_of_two_is_a_row_that_comes_twice(estimators: ModuleType, name: str) -> None:
    X, y = MOONS
    model = getattr(estimators, name)((4,), max_iter=5, batch_size=500, random_state=5, alpha=0.5)
    counts = 1 + np.arange(200) % 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        weighted = clone(model).fit(X, y, sample_weight=counts)
    repeated = quiet(clone(model), X.repeat(counts, axis=0), y.repeat(counts))
    np.testing.assert_allclose(weighted.parameters_, repeated.parameters_, rtol=1e-9)
    np.testing.assert_allclose(weighted.loss_curve_, repeated.loss_curve_, rtol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_held_out_with_their_weights(estimators: ModuleType, name: str) -> None:
    X, y = MOONS
    model = getattr(estimators, name)((4,), max_iter=3, early_stopping=True, random_state=5)
    scores = []
    for weights in (None, np.ones(200), np.linspace(0.1, 9.0, 200)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            scores.append(clone(model).fit(X, y, sample_weight=weights).validation_scores_)
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-9)
    assert scores[1] != scores[2]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.where(np.arange(200) == 7, np.nan, 1.0), "sample_weight contains NaN in row 7"),
        (np.zeros(200), "weight.*zero"),
        (np.full(200, -1.0), "[Nn]egative"),
        (np.ones(199), "sample_weight.shape"),
        (["a"] * 200, "could not convert string to float"),
    ],
    ids=["nan", "zeros", "negative", "shape", "text"],
)
def test_weights_that_make_no_sense_are_refused(estimators: ModuleType, weights: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        estimators.MLPRegressor((2,)).fit(*MOONS, sample_weight=weights)


def test_losses_are_printed_where_that_is_wanted(estimators: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    model = quiet(estimators.MLPRegressor((2,), max_iter=2, random_state=0), *MOONS)
    assert capsys.readouterr().out == ""
    quiet(model.set_params(verbose=True), *MOONS)
    lines = [f"MLPRegressor: epoch {i + 1}, loss {loss:.8f}" for i, loss in enumerate(model.loss_curve_)]
    assert capsys.readouterr().out.splitlines() == lines


def test_logarithms_of_probabilities_are_returned(estimators: ModuleType) -> None:
    X, y = MOONS
    model = quiet(estimators.MLPClassifier((2,), max_iter=1, random_state=0), X, y)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), model.predict_proba(X), rtol=1e-14)
    assert model.predict_log_proba(1e6 * X).min() == -np.inf


@pytest.mark.parametrize("name", NAMES)
def test_early_stopping_keeps_the_best_parameters(estimators: ModuleType, name: str) -> None:
    X, y = MOONS
    model = getattr(estimators, name)(
        (4,), max_iter=100, batch_size=20, learning_rate_init=0.1, early_stopping=True, n_iter_no_change=2,
        tol=0.01, random_state=0,
    ).fit(X, y)  # fmt: skip
    assert model.n_iter_ == len(model.validation_scores_) == len(model.loss_curve_) < 100
    best = int(np.argmax(model.validation_scores_))
    assert best < model.n_iter_ - 1
    again = quiet(clone(model).set_params(max_iter=best + 1), X, y)
    np.testing.assert_array_equal(model.parameters_, again.parameters_)


def test_a_run_cut_short_warns(estimators: ModuleType) -> None:
    with pytest.warns(ConvergenceWarning, match="still improving after max_iter=1 epochs"):
        estimators.MLPClassifier((2,), max_iter=1).fit(*MOONS)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_layer_sizes": (4, 0)}, r"hidden_layer_sizes\): expected whole numbers, 1 or more, got \(4, 0\)"),
        ({"hidden_layer_sizes": "8"}, r"hidden_layer_sizes\): expected whole numbers"),
        ({"activation": "swish"}, r"activation\): expected one of .*relu.*, got 'swish'"),
        ({"alpha": -1.0}, r"alpha\): expected a number, 0 or more, got -1.0"),
        ({"alpha": float("nan")}, r"alpha\): expected a number, 0 or more, got nan"),
        ({"batch_size": 0}, r"batch_size\): expected a whole number, 1 or more, or 'auto', got 0"),
        ({"learning_rate_init": 0.0}, r"learning_rate_init\): expected a number above 0, got 0.0"),
        ({"max_iter": 2.5}, r"max_iter\): expected a whole number, 1 or more, got 2.5"),
        ({"validation_fraction": 1.0}, r"validation_fraction\): expected a number between 0 and 1, got 1.0"),
        ({"beta_1": 1.0}, r"beta_1\): expected a number from 0 to below 1, got 1.0"),
    ],
    ids=lambda value: str(value)[:32],
)
def test_parameters_out_of_range_are_refused(
    estimators: ModuleType, name: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"{name}\\({message}"):
        getattr(estimators, name)(**settings).fit(*MOONS)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("number", "word"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_the_row_of_a_number_that_is_not_finite_is_named(
    estimators: ModuleType, name: str, number: float, word: str
) -> None:
    X, y = MOONS[0].copy(), MOONS[1].astype(float)
    model = quiet(getattr(estimators, name)((2,), max_iter=1), X, y)
    X[17, 1] = number
    for use in (lambda: model.fit(X, y), lambda: model.predict(X)):
        with pytest.raises(ValueError, match=f"Input X contains {word} in row 17, column 1"):
            use()
    if name == "MLPRegressor":
        y[3] = number
        with pytest.raises(ValueError, match=f"Input y contains {word} in row 3"):
            model.fit(MOONS[0], y)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.zeros((0, 2)), np.zeros(0), "0 sample"),
        (np.zeros((3, 2)), [0, 1], "inconsistent numbers of samples"),
        (np.zeros((3, 2)), [1, 1, 1], "one class, .*1.*, in all rows; expected at least two"),
        (np.eye(3), [0.5, 1.5, 2.5], "Unknown label type"),
        (np.zeros(3), [0, 1, 0], "Expected 2D array"),
    ],
    ids=["empty", "lengths", "one class", "no labels", "one dimension"],
)
def test_data_that_cannot_be_learnt_is_refused(estimators: ModuleType, X: Any, y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        estimators.MLPClassifier((2,)).fit(X, y)


def test_a_loss_that_diverges_is_an_error(estimators: ModuleType) -> None:
    X = np.linspace(-1.0, 1.0, 20)[:, None]
    model = estimators.MLPRegressor((2,), activation="identity", learning_rate_init=1e200)
    with pytest.raises(ValueError, match=r"the loss is (inf|nan) in epoch .: scale the columns of X, or lower"):
        model.fit(X, X[:, 0])


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "fastgrad.sklearn")
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    with pytest.raises(ImportError, match=r"pip install 'fastgrad\[sklearn\]'"):
        importlib.import_module("fastgrad.sklearn")
