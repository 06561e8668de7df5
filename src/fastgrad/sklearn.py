"""Estimators for scikit-learn: multi-layer perceptrons of scalars, trained by compiled functions.

>>> from sklearn.datasets import load_iris
>>> from sklearn.pipeline import make_pipeline
>>> from sklearn.preprocessing import StandardScaler
>>> from fastgrad.sklearn import MLPClassifier
>>> X, y = load_iris(return_X_y=True)
>>> model = MLPClassifier((8,), batch_size=30, learning_rate_init=0.05, tol=1e-3, random_state=0)
>>> bool(make_pipeline(StandardScaler(), model).fit(X, y).score(X, y) > 0.95)
True
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin  # type: ignore[import-untyped]
    from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]
    from sklearn.model_selection import train_test_split  # type: ignore[import-untyped]
    from sklearn.utils import check_random_state, gen_batches  # type: ignore[import-untyped]
    from sklearn.utils.multiclass import check_classification_targets  # type: ignore[import-untyped]
    from sklearn.utils.validation import check_is_fitted, validate_data  # type: ignore[import-untyped]
except ImportError as _missing:
    raise ImportError(
        f"fastgrad.sklearn needs scikit-learn 1.6 or later, and cannot import it ({_missing}): "
        "pip install 'fastgrad[sklearn]'"
    ) from _missing

from ._mlp import ACTIVATIONS, Adam, Network, initial, layers, network

__all__ = ["MLPClassifier", "MLPRegressor"]

Floats = NDArray[np.float64]

_PARAMETERS = """

    There is one compiled function for each architecture, of all parameters as one vector; the gradient of a batch is
    one call of it. Every multiplication is an operation of that function, so this is for networks of some 100,000
    parameters at most. Parameters have scikit-learn's names and meanings; training is by Adam.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int, or int
        Number of neurons of each hidden layer.
    activation : str
        Of the hidden layers: ``"identity"``, ``"logistic"``, ``"tanh"``, ``"relu"`` or any other function of one number
        that fastgrad has, such as ``"gelu"``.
    alpha : float
        Strength of the L2 penalty on weights, which is divided by the number of rows in the batch.
    batch_size : int or "auto"
        Rows of a batch; ``"auto"`` is 200, or all if there are fewer.
    learning_rate_init : float
        Adam's step size.
    max_iter : int
        The most epochs.
    shuffle : bool
        Whether each epoch takes the rows in a new order.
    random_state : int, RandomState or None
        Of weights, validation rows and order.
    tol : float
        An epoch that improves the loss (or with early stopping the validation score) by less counts as none.
    warm_start : bool
        Whether ``fit`` goes on from the parameters of the last one.
    early_stopping : bool
        Whether to hold out rows, and to stop by their score. The best parameters are kept.
    validation_fraction : float
        How many are held out, between 0 and 1.
    beta_1, beta_2, epsilon : float
        Adam's.
    n_iter_no_change : int
        Training stops after as many epochs without improvement.

    Notes
    -----
    What ``fit`` leaves behind:

    - ``coefs_``, ``intercepts_``: weights (inputs x outputs) and biases of each layer, as lists of arrays.
    - ``parameters_``: all of them in one array: by layers, weights by outputs, then biases.
    - ``loss_curve_``: the mean loss of each epoch, with the penalty; ``loss_`` is the last.
    - ``validation_scores_``: the score of the rows held out, after each epoch, or None.
    - ``n_iter_``: the number of epochs.
    - ``n_features_in_``, ``n_outputs_``: the numbers of inputs and of neurons in the last layer.
"""


def _documented(cls: Any) -> Any:
    """Put what the two classes share into their documentation."""
    summary, _, rest = cls.__doc__.partition("\n\n")
    cls.__doc__ = summary + _PARAMETERS + ("" if rest.startswith("    - ") else "\n") + rest
    return cls


class _MLP(BaseEstimator):  # type: ignore[misc]
    """What classifier and regressor have in common."""

    _task: str
    _sizes: tuple[int, ...]
    parameters_: Floats
    validation_scores_: list[float] | None

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str = "relu",
        *,
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate_init: float = 0.001,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        warm_start: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int = 10,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.warm_start = warm_start
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change

    @property
    def coefs_(self) -> list[Floats]:
        """The weights of each layer, inputs x outputs."""
        return [weights.T for weights, _ in layers(self.parameters_, self._sizes)]

    @property
    def intercepts_(self) -> list[Floats]:
        """The biases of each layer."""
        return [biases for _, biases in layers(self.parameters_, self._sizes)]

    @property
    def loss_(self) -> float:
        """The mean loss of the last epoch."""
        return self.loss_curve_[-1]

    @property
    def _network(self) -> Network:
        return network(self._sizes, self.activation, self._task)

    def _outputs(self, X: Any) -> Floats:
        check_is_fitted(self)
        rows = validate_data(self, X, reset=False, dtype=np.float64, ensure_all_finite=False)
        _check_finite("X", rows)
        outputs: Floats = self._network.outputs(self.parameters_, rows)
        return outputs

    # ------------------------------------------------------------------------------------------------------- training

    def _train(self, X: Floats, y: NDArray[Any], task: str, outputs: int) -> None:
        """Fit the parameters; y are numbers of classes, or numbers in columns."""
        sizes = (X.shape[1], *_hidden(self), outputs)
        random = check_random_state(self.random_state)
        if not (self.warm_start and hasattr(self, "parameters_")):
            self.parameters_ = initial(sizes, self.activation, random)
        elif (self._sizes, self._task) != (sizes, task):
            raise ValueError(
                f"{type(self).__name__}(warm_start=True).fit: expected data for the network {self._sizes} "
                f"({self._task}) of the last fit, got such for {sizes} ({task}); clone() the estimator to begin anew"
            )
        self._sizes, self._task, self.n_outputs_, self.n_layers_ = sizes, task, outputs, len(sizes)
        self.loss_curve_: list[float] = []
        self.validation_scores_ = [] if self.early_stopping else None
        held_out = None
        if self.early_stopping:
            X, held_out_X, y, held_out_y = self._hold_out(X, y, random)
            held_out = held_out_X, self._labels(held_out_y)
        self._run(X, np.asarray(y, np.float64), held_out, random)

    def _run(self, X: Floats, y: Floats, held_out: Any, random: np.random.RandomState) -> None:
        adam = Adam(
            len(self.parameters_), float(self.learning_rate_init), (self.beta_1, self.beta_2), float(self.epsilon)
        )
        best, best_parameters, idle = -math.inf, self.parameters_, 0
        for epoch in range(1, self.max_iter + 1):
            self.n_iter_ = epoch
            self.loss_curve_.append(self._epoch(X, y, adam, random))
            reached = -self.loss_
            if held_out is not None and self.validation_scores_ is not None:
                reached = float(self.score(*held_out))
                self.validation_scores_.append(reached)
            idle = 0 if reached > best + self.tol else idle + 1
            if reached > best:
                best, best_parameters = reached, self.parameters_.copy()
            if idle > self.n_iter_no_change:
                break
        else:
            warnings.warn(
                f"{type(self).__name__}.fit: still improving after max_iter={self.max_iter} epochs",
                ConvergenceWarning,
                stacklevel=4,
            )
        if held_out is not None:
            self.parameters_ = best_parameters

    def _epoch(self, X: Floats, y: Floats, adam: Adam, random: np.random.RandomState) -> float:
        """Take all rows once; return the mean loss."""
        rows, total = len(X), 0.0
        loss, parameters = self._network.loss, self.parameters_
        size = min(200, rows) if self.batch_size == "auto" else min(int(self.batch_size), rows)
        order = random.permutation(rows) if self.shuffle else None
        weights = [weights for weights, _ in layers(parameters, self._sizes)]
        for batch in gen_batches(rows, size):
            taken = batch if order is None else order[batch]
            count = batch.stop - batch.start
            value, gradient = loss.sum_grad(parameters, X[taken], y[taken], argnums=0)
            value += 0.5 * self.alpha * sum(float(np.vdot(w, w)) for w in weights)
            if not math.isfinite(value):
                raise ValueError(
                    f"{type(self).__name__}.fit: the loss is {value} in epoch {self.n_iter_}: scale the columns of "
                    "X, or lower learning_rate_init"
                )
            total += value
            if self.alpha:
                for (slope, _), w in zip(layers(gradient, self._sizes), weights, strict=True):
                    slope += self.alpha * w
            gradient /= count
            adam.step(parameters, gradient)
        return total / rows

    def _hold_out(self, X: Floats, y: NDArray[Any], random: np.random.RandomState) -> Any:
        return train_test_split(X, y, test_size=self.validation_fraction, random_state=random, stratify=self._strata(y))

    def _strata(self, y: NDArray[Any]) -> NDArray[Any] | None:
        return None

    def _labels(self, y: NDArray[Any]) -> NDArray[Any]:
        return y

    def _validated(self, X: Any, y: Any, **options: Any) -> tuple[Floats, NDArray[Any]]:
        _check_settings(self)
        X, y = validate_data(self, X, y, dtype=np.float64, ensure_all_finite=False, order="C", **options)
        _check_finite("X", X)
        return X, y

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "parameters_")


@_documented
class MLPClassifier(ClassifierMixin, _MLP):  # type: ignore[misc]
    """Multi-layer perceptron of scalars that tells classes apart, by the cross-entropy of their probabilities.

    - ``classes_``: the labels, sorted.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgrad.sklearn import MLPClassifier
    >>> X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> y = ["same", "different", "different", "same"]
    >>> model = MLPClassifier((8,), activation="tanh", learning_rate_init=0.1, tol=1e-3, random_state=0).fit(X, y)
    >>> model.predict(X).tolist() == y
    True
    >>> model.predict_proba(X).shape
    (4, 2)
    """

    classes_: NDArray[Any]

    def fit(self, X: Any, y: Any) -> MLPClassifier:
        """Train on rows and their labels; return the estimator.

        Parameters
        ----------
        X : array-like of shape (rows, inputs)
        y : array-like of shape (rows,)
            Labels of at least two classes.

        Raises
        ------
        ValueError
            If a parameter is out of its range, shapes do not fit, a number is not finite (the row is named), or the
            loss diverges.
        """
        X, y = self._validated(X, y)
        check_classification_targets(y)
        classes, numbers = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(
                f"MLPClassifier.fit: Input y has one class, {classes[0]!r}, in all rows; expected at least two classes"
            )
        if self.warm_start and hasattr(self, "classes_") and not np.array_equal(classes, self.classes_):
            raise ValueError(
                f"MLPClassifier(warm_start=True).fit: expected the classes {self.classes_.tolist()} of the last fit, "
                f"got {classes.tolist()}"
            )
        self.classes_ = classes
        two = len(classes) == 2
        self._train(X, numbers, "two classes" if two else "classes", 1 if two else len(classes))
        return self

    def predict_proba(self, X: Any) -> Floats:
        """Return the probability of each class, in the order of ``classes_``, for each row."""
        return self._outputs(X)

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable label of each row."""
        probabilities = self._outputs(X)
        labels: NDArray[Any] = self.classes_[probabilities.argmax(axis=1)]
        return labels

    def _strata(self, y: NDArray[Any]) -> NDArray[Any]:
        return y

    def _labels(self, y: NDArray[Any]) -> NDArray[Any]:
        labels: NDArray[Any] = self.classes_[y]
        return labels


@_documented
class MLPRegressor(RegressorMixin, _MLP):  # type: ignore[misc]
    """Multi-layer perceptron of scalars that predicts numbers, by half of their mean squared error.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgrad.sklearn import MLPRegressor
    >>> X = np.linspace(-1.0, 1.0, 50)[:, None]
    >>> model = MLPRegressor((8,), activation="tanh", batch_size=10, learning_rate_init=0.02, random_state=0)
    >>> bool(model.fit(X, np.sin(3.0 * X[:, 0])).score(X, np.sin(3.0 * X[:, 0])) > 0.95)
    True
    """

    def fit(self, X: Any, y: Any) -> MLPRegressor:
        """Train on rows and the numbers to predict; return the estimator.

        Parameters
        ----------
        X : array-like of shape (rows, inputs)
        y : array-like of shape (rows,) or (rows, outputs)

        Raises
        ------
        ValueError
            If a parameter is out of its range, shapes do not fit, a number is not finite (the row is named), or the
            loss diverges.
        """
        if np.asarray(y).dtype.kind == "f":  # before scikit-learn sees it, which names no row
            _check_finite("y", np.asarray(y))
        X, y = self._validated(X, y, multi_output=True, y_numeric=True)
        y = np.asarray(y, np.float64)
        self._one_column = y.ndim == 1
        y = y.reshape(len(y), -1)
        self._train(X, y, "numbers", y.shape[1])
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def predict(self, X: Any) -> Floats:
        """Return the numbers predicted for each row."""
        outputs = self._outputs(X)
        return outputs[:, 0] if self._one_column else outputs


# ------------------------------------------------------------------------------------------------------------- checks


def _check_finite(name: str, array: Floats) -> None:
    """Raise, naming the first place, if there is a nan or an infinity."""
    wrong = ~np.isfinite(array)
    if wrong.any():
        row, *column = np.argwhere(wrong)[0].tolist()
        what = "NaN" if np.isnan(array[(row, *column)]) else "infinity"
        place = f"row {row}" + "".join(f", column {c}" for c in column)
        raise ValueError(
            f"Input {name} contains {what} in {place} ({int(wrong.sum())} such numbers in all); expected finite "
            "numbers: drop these rows, or fill them with sklearn.impute.SimpleImputer"
        )


def _hidden(estimator: _MLP) -> tuple[int, ...]:
    given = estimator.hidden_layer_sizes
    sizes = (given,) if isinstance(given, Integral) else tuple(np.ravel(np.asarray(given, object)))
    for size in sizes:
        if not isinstance(size, Integral) or size < 1:
            raise _bad(estimator, "hidden_layer_sizes", "whole numbers, 1 or more")
    return tuple(int(size) for size in sizes)


def _limits() -> Iterator[tuple[str, Any, float, float, str]]:
    """The numeric parameters: name, type, smallest and largest, what is expected."""
    for name in ("max_iter", "n_iter_no_change"):
        yield name, Integral, 1, math.inf, "a whole number, 1 or more"
    for name in ("alpha", "tol"):
        yield name, Real, 0.0, math.inf, "a number, 0 or more"
    for name in ("learning_rate_init", "epsilon"):
        yield name, Real, math.ulp(0.0), math.inf, "a number above 0"
    for name in ("beta_1", "beta_2"):
        yield name, Real, 0.0, math.nextafter(1.0, 0.0), "a number from 0 to below 1"
    yield "validation_fraction", Real, math.ulp(0.0), math.nextafter(1.0, 0.0), "a number between 0 and 1"


def _check_settings(estimator: _MLP) -> None:
    """Raise, saying what is expected, if a parameter is out of its range."""
    _hidden(estimator)
    for name, kind, least, most, expected in _limits():
        given = getattr(estimator, name)
        if not isinstance(given, kind) or isinstance(given, bool) or not least <= given <= most:
            raise _bad(estimator, name, expected)
    if not isinstance(estimator.activation, str) or estimator.activation not in ACTIVATIONS:
        raise _bad(estimator, "activation", f"one of {', '.join(sorted(ACTIVATIONS))}")
    size = estimator.batch_size
    if size != "auto" and (not isinstance(size, Integral) or isinstance(size, bool) or int(size) < 1):
        raise _bad(estimator, "batch_size", "a whole number, 1 or more, or 'auto'")


def _bad(estimator: _MLP, name: str, expected: str) -> ValueError:
    return ValueError(f"{type(estimator).__name__}({name}): expected {expected}, got {getattr(estimator, name)!r}")
