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

import inspect
import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin  # type: ignore[import-untyped]
    from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]
    from sklearn.model_selection import train_test_split  # type: ignore[import-untyped]
    from sklearn.utils import check_random_state, gen_batches  # type: ignore[import-untyped]
    from sklearn.utils.multiclass import (  # type: ignore[import-untyped]
        _check_partial_fit_first_call,
        check_classification_targets,
    )
    from sklearn.utils.validation import (  # type: ignore[import-untyped]
        _check_sample_weight,
        check_is_fitted,
        validate_data,
    )
except ImportError as _missing:
    raise ImportError(
        f"fastgrad.sklearn needs scikit-learn 1.6 or later, and cannot import it ({_missing}): "
        "pip install 'fastgrad[sklearn]'"
    ) from _missing

from ._mlp import Adam, Network, initial, layers, network
from ._mlp_checks import check_finite, check_settings, class_numbers, hidden_sizes

__all__ = ["MLPClassifier", "MLPRegressor"]

Floats = np.ndarray[Any, np.dtype[np.float64]]  # not NDArray: in NumPy 2.5 that is no type at run time

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
verbose : bool
    Whether to print the loss of each epoch.
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
- ``loss_curve_``: the mean loss of each epoch, with the penalty; ``loss_`` is the last. ``partial_fit`` adds to it.
- ``validation_scores_``: the score of the rows held out, after each epoch, or None.
- ``n_iter_``: the number of epochs.
- ``n_features_in_``, ``n_outputs_``: the numbers of inputs and of neurons in the last layer.
"""


def _documented(cls: Any) -> Any:
    """Put what the two classes share into their documentation."""
    summary, _, rest = inspect.cleandoc(cls.__doc__ or "").partition("\n\n")
    cls.__doc__ = summary + _PARAMETERS + ("" if rest.startswith("- ") else "\n") + rest
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
        verbose: bool = False,
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
        self.verbose = verbose
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
        check_finite("X", rows)
        outputs: Floats = self._network.outputs(self.parameters_, rows)
        return outputs

    # ------------------------------------------------------------------------------------------------------- training

    def _train(self, X: Floats, y: Floats, weights: Floats | None, task: str, outputs: int, once: bool) -> None:
        """Fit the parameters, or ``once`` go on by one epoch; y are numbers of classes, or numbers in columns."""
        sizes = (X.shape[1], *hidden_sizes(self), outputs)
        going_on = hasattr(self, "parameters_") and (once or self.warm_start)
        if going_on and (self._sizes, self._task) != (sizes, task):
            how = "partial_fit" if once else "fit with warm_start=True"
            raise ValueError(
                f"{type(self).__name__}.{how}: expected data for the network {self._sizes} ({self._task}) of the last "
                f"fit, got such for {sizes} ({task}); clone() the estimator to begin anew"
            )
        if not (going_on and once):
            self._random = check_random_state(self.random_state)
            if not going_on:
                self.parameters_ = initial(sizes, self.activation, self._random)
            betas = (self.beta_1, self.beta_2)
            self._adam = Adam(len(self.parameters_), float(self.learning_rate_init), betas, float(self.epsilon))
            self.loss_curve_: list[float] = []
            self.validation_scores_ = [] if self.early_stopping else None
        self._sizes, self._task, self.n_outputs_, self.n_layers_ = sizes, task, outputs, len(sizes)
        if once:
            self._epoch(X, y, weights)
        else:
            self._run(X, y, weights)

    def _run(self, X: Floats, y: Floats, weights: Floats | None) -> None:
        held_out = None
        if self.early_stopping:
            X, y, weights, held_out = self._hold_out(X, y, weights)
        best, best_parameters, idle = -math.inf, self.parameters_, 0
        for _ in range(self.max_iter):
            self._epoch(X, y, weights)
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

    def _epoch(self, X: Floats, y: Floats, weights: Floats | None) -> None:
        """Take all rows once."""
        counted = np.arange(len(X)) if weights is None else np.flatnonzero(weights)
        rows, total, counts = len(counted), 0.0, 0.0
        size = min(200, rows) if self.batch_size == "auto" else min(int(self.batch_size), rows)
        order = self._random.permutation(counted) if self.shuffle else counted
        for batch in gen_batches(rows, size):
            taken = order[batch]
            of_rows = (X[taken], y[taken]) if weights is None else (X[taken], y[taken], weights[taken])
            count = float(len(taken) if weights is None else weights[taken].sum())
            total += self._step(of_rows, count)
            counts += count
        self.loss_curve_.append(total / counts)
        self.n_iter_ = len(self.loss_curve_)
        if self.verbose:
            print(f"{type(self).__name__}: epoch {self.n_iter_}, loss {self.loss_:.8f}")

    def _step(self, batch: tuple[Floats, ...], count: float) -> float:
        """Move the parameters by the gradient of the mean over a batch; return the sum of its losses."""
        parameters, loss = self.parameters_, self._network.loss if len(batch) == 2 else self._network.weighted_loss
        value, gradient = loss.sum_grad(parameters, *batch, argnums=0)
        matrices = [matrix for matrix, _ in layers(parameters, self._sizes)]
        value += 0.5 * self.alpha * sum(float(np.vdot(matrix, matrix)) for matrix in matrices)
        if not math.isfinite(value):
            raise ValueError(
                f"{type(self).__name__}.fit: the loss is {value} in epoch {len(self.loss_curve_) + 1}: scale the "
                "columns of X, or lower learning_rate_init"
            )
        if self.alpha:
            for (slope, _), matrix in zip(layers(gradient, self._sizes), matrices, strict=True):
                slope += self.alpha * matrix
        gradient /= count
        self._adam.step(parameters, gradient)
        return float(value)

    def _hold_out(self, X: Floats, y: Floats, weights: Floats | None) -> Any:
        """Split off the rows to validate with: what is left, and the arguments of ``score``."""
        arrays = (X, y) if weights is None else (X, y, weights)
        parts = train_test_split(
            *arrays, test_size=self.validation_fraction, random_state=self._random, stratify=self._strata(y)
        )
        trained, (held_out_X, held_out_y, *held_out_weights) = parts[::2], parts[1::2]
        return (*trained, *[None] * (3 - len(trained)), (held_out_X, self._labels(held_out_y), *held_out_weights))

    def _strata(self, y: Floats) -> Floats | None:
        return None

    def _labels(self, y: Floats) -> NDArray[Any]:
        return y

    def _validated(
        self, X: Any, y: Any, sample_weight: Any, once: bool, **options: Any
    ) -> tuple[Floats, NDArray[Any], Floats | None]:
        check_settings(self)
        if once and self.early_stopping:
            raise ValueError(f"{type(self).__name__}.partial_fit: early_stopping=True is for fit, which holds out rows")
        reset = not (once and hasattr(self, "parameters_"))
        X, y = validate_data(self, X, y, reset=reset, dtype=np.float64, ensure_all_finite=False, order="C", **options)
        check_finite("X", X)
        if sample_weight is None:
            return X, y, None
        if np.asarray(sample_weight).dtype.kind == "f":
            check_finite("sample_weight", np.asarray(sample_weight))
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        if not weights.any():
            raise ValueError("Input sample_weight is zero for all rows; expected at least one weight above 0")
        return X, y, weights

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

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPClassifier:
        """Train on rows and their labels; return the estimator.

        Parameters
        ----------
        X : array-like of shape (rows, inputs)
        y : array-like of shape (rows,)
            Labels of at least two classes.
        sample_weight : array-like of shape (rows,), optional
            How much the loss of each row counts, 0 or more; all means are weighted by it.

        Raises
        ------
        ValueError
            If a parameter is out of its range, shapes do not fit, a number is not finite (the row is named), or the
            loss diverges.
        """
        X, y, weights = self._validated(X, y, sample_weight, False)
        check_classification_targets(y)
        classes = np.unique(y)
        if self.warm_start and hasattr(self, "classes_") and not np.array_equal(classes, self.classes_):
            raise ValueError(
                f"MLPClassifier.fit with warm_start=True: expected the classes {self.classes_.tolist()} of the "
                f"last fit, got {classes.tolist()}"
            )
        return self._learn(X, y, weights, classes, False)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> MLPClassifier:
        """Train for one epoch on these rows, from where the last call, or ``fit``, left off; return the estimator.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`; not all classes have to be among these rows.
        classes : array-like, optional
            All labels that will come; needed in the first call.

        Raises
        ------
        ValueError
            As for `fit`; also if ``classes`` are missing in the first call, or others than in it, or do not hold a
            label of ``y`` (the row is named), or with early stopping.
        """
        X, y, weights = self._validated(X, y, sample_weight, True)
        check_classification_targets(y)
        _check_partial_fit_first_call(self, classes)
        return self._learn(X, y, weights, self.classes_, True)

    def _learn(
        self, X: Floats, y: NDArray[Any], weights: Floats | None, classes: NDArray[Any], once: bool
    ) -> MLPClassifier:
        if len(classes) < 2:
            raise ValueError(
                f"MLPClassifier: Input y has one class, {classes.tolist()[0]!r}, in all rows; expected at least two "
                "classes"
            )
        self.classes_ = classes
        task, outputs = ("two classes", 1) if len(classes) == 2 else ("classes", len(classes))
        self._train(X, class_numbers(y, classes), weights, task, outputs, once)
        return self

    def predict_proba(self, X: Any) -> Floats:
        """Return the probability of each class, in the order of ``classes_``, for each row."""
        return self._outputs(X)

    def predict_log_proba(self, X: Any) -> Floats:
        """Return the logarithm of the probability of each class; that of one too small for a float is -inf."""
        with np.errstate(divide="ignore"):
            return np.log(self._outputs(X))

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable label of each row."""
        probabilities = self._outputs(X)
        labels: NDArray[Any] = self.classes_[probabilities.argmax(axis=1)]
        return labels

    def _strata(self, y: Floats) -> Floats:
        return y

    def _labels(self, y: Floats) -> NDArray[Any]:
        labels: NDArray[Any] = self.classes_[y.astype(np.intp)]
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

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Train on rows and the numbers to predict; return the estimator.

        Parameters
        ----------
        X : array-like of shape (rows, inputs)
        y : array-like of shape (rows,) or (rows, outputs)
        sample_weight : array-like of shape (rows,), optional
            How much the loss of each row counts, 0 or more; all means are weighted by it.

        Raises
        ------
        ValueError
            If a parameter is out of its range, shapes do not fit, a number is not finite (the row is named), or the
            loss diverges.
        """
        return self._learn(X, y, sample_weight, False)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Train for one epoch on these rows, from where the last call, or ``fit``, left off; return the estimator.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.

        Raises
        ------
        ValueError
            As for `fit`; also with early stopping.
        """
        return self._learn(X, y, sample_weight, True)

    def _learn(self, X: Any, y: Any, sample_weight: Any, once: bool) -> MLPRegressor:
        if np.asarray(y).dtype.kind == "f":  # before scikit-learn sees it, which names no row
            check_finite("y", np.asarray(y))
        X, y, weights = self._validated(X, y, sample_weight, once, multi_output=True, y_numeric=True)
        y = np.asarray(y, np.float64)
        self._one_column = y.ndim == 1
        y = y.reshape(len(y), -1)
        self._train(X, y, weights, "numbers", y.shape[1], once)
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def predict(self, X: Any) -> Floats:
        """Return the numbers predicted for each row."""
        outputs = self._outputs(X)
        return outputs[:, 0] if self._one_column else outputs
