"""Losses of one row: what a model said, and what it should have said. All work on Values, on floats, and compiled.

Each is the formula of PyTorch's function, with the mean over the outputs where there are several. The loss of a batch
is the mean over its rows: ``fg.mean`` of them, or what ``backward`` of a compiled function returns.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import abs as magnitude
from .. import dot, equal, log, log1p, logsumexp, maximum, mean, minimum, not_equal, relu, softplus, take, where
from .. import sum as total
from .._backend import Value, module
from .._errors import is_real, positive
from .module import Module, as_row

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "hinge",
    "huber",
    "l1",
    "l2",
    "mae",
    "max_margin",
    "mse",
]


def mse(prediction: Any, target: Any) -> Any:
    """Mean of the squared errors.

    Parameters
    ----------
    prediction, target : Value, float, or sequence of them
        One number, or a row of as many as outputs.

    Returns
    -------
    Value
        The loss of this row; a float if all is numbers.

    Raises
    ------
    ValueError
        If there are not as many targets as predictions.

    Examples
    --------
    >>> from fastgrad import nn
    >>> nn.mse([1.0, 2.0], [1.0, 4.0])
    2.0
    """
    return mean([error * error for error in _errors("mse", prediction, target)])


def mae(prediction: Any, target: Any) -> Any:
    """Mean of the absolute errors; see `mse` for the arguments.

    Examples
    --------
    >>> from fastgrad import nn
    >>> nn.mae([1.0, 2.0], [1.0, 4.0])
    1.0
    """
    return mean([magnitude(error) for error in _errors("mae", prediction, target)])


def huber(prediction: Any, target: Any, delta: Any = 1.0) -> Any:
    """Half the squared error up to ``delta``, and from there on linear, so that outliers pull no harder [H64]_.

    Parameters
    ----------
    prediction, target : Value, float, or sequence of them
        As for `mse`.
    delta : float or Value
        Greater than 0.

    References
    ----------
    .. [H64] P. J. Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35, 1964.

    Examples
    --------
    >>> from fastgrad import nn
    >>> nn.huber(0.5, 0.0), nn.huber(10.0, 0.0)
    (0.125, 9.5)
    """
    if not isinstance(delta, Value):
        positive("huber(delta)", delta)
    elif not delta > 0.0:
        raise ValueError(f"huber(delta): expected a number greater than 0, got {_number(delta)!r}")
    sizes = [magnitude(error) for error in _errors("huber", prediction, target)]
    inner = [minimum(size, delta) for size in sizes]
    return mean([near * (size - 0.5 * near) for near, size in zip(inner, sizes, strict=True)])


def hinge(score: Any, label: Any) -> Any:
    """How much ``label * score`` falls short of 1: the max-margin loss for two classes, labelled -1 and 1.

    Parameters
    ----------
    score, label : Value, float, or sequence of them
        One number, or a row of as many as outputs.

    Raises
    ------
    ValueError
        If a label is neither -1 nor 1.

    Examples
    --------
    >>> from fastgrad import nn
    >>> nn.hinge(0.25, 1), nn.hinge(2.0, 1), nn.hinge(0.25, -1)
    (0.75, 0.0, 1.25)
    """
    scores, labels = _pairs("hinge", score, label)
    for one in labels:
        if not equal(one * one, 1.0):
            raise ValueError(f"hinge(label): expected -1 or 1, got {_number(one)!r}")
    return mean([relu(1.0 - y * s) for s, y in zip(scores, labels, strict=True)])


def max_margin(scores: Any, target: Any, margin: float = 1.0) -> Any:
    """The max-margin loss for several classes: how much the others' scores come within ``margin`` of the right one's.

    It is the sum over the other classes, divided by the number of classes: PyTorch's ``multi_margin_loss`` [CS01]_.

    Parameters
    ----------
    scores : sequence of Value and float
        One for each class.
    target : int, float or Value
        The number of the right class, from 0 on.
    margin : float
        How far the others should stay below.

    Raises
    ------
    ValueError
        If there is no class with that number.

    References
    ----------
    .. [CS01] K. Crammer and Y. Singer, "On the algorithmic implementation of multiclass kernel-based vector machines",
       JMLR 2, 2001, for the margin; the sum is that of J. Weston and C. Watkins, ESANN 1999.

    Examples
    --------
    >>> from fastgrad import nn
    >>> nn.max_margin([3.0, 2.5, 0.0], 0)
    0.16666666666666666
    """
    row = _row("max_margin", scores)
    right = _chosen("max_margin", row, target)
    return mean([not_equal(target, i) * relu(margin - (right - score)) for i, score in enumerate(row)])


def binary_cross_entropy(probability: Any, target: Any) -> Any:
    """Minus the logarithm of the probability that was given to what happened.

    ``binary_cross_entropy_with_logits`` of what stands before the sigmoid is better: it loses no digits where the
    probability comes near 0 or 1.

    Parameters
    ----------
    probability : Value, float, or sequence of them
        That of class 1, from 0 to 1. Its logarithms are cut off at -100, as PyTorch does it; the gradient is that of
        this formula, so 0 where it is cut off, while PyTorch's is of another one, which stays below 1e12.
    target : Value, float, or sequence of them
        0 or 1, or a probability between them.

    Raises
    ------
    ValueError
        If a probability or a target is not from 0 to 1.

    Examples
    --------
    >>> from fastgrad import nn
    >>> round(nn.binary_cross_entropy(0.5, 1), 6)
    0.693147
    """
    chances, targets = _pairs("binary_cross_entropy", probability, target)
    _check_chances("binary_cross_entropy(probability)", chances)
    _check_chances("binary_cross_entropy(target)", targets)
    return mean([_surprise(p, t) for p, t in zip(chances, targets, strict=True)])


def binary_cross_entropy_with_logits(logit: Any, target: Any) -> Any:
    """Cross-entropy of ``sigmoid(logit)``, computed as ``softplus(logit) - target * logit``: exact at both ends.

    Parameters
    ----------
    logit : Value, float, or sequence of them
        Any number: what stands before the sigmoid.
    target : Value, float, or sequence of them
        0 or 1, or a probability between them.

    Raises
    ------
    ValueError
        If a target is not from 0 to 1.

    Examples
    --------
    >>> from fastgrad import nn
    >>> nn.binary_cross_entropy_with_logits([800.0, -800.0], [0, 0])
    400.0
    """
    logits, targets = _pairs("binary_cross_entropy_with_logits", logit, target)
    _check_chances("binary_cross_entropy_with_logits(target)", targets)
    return mean([softplus(z) - t * z for z, t in zip(logits, targets, strict=True)])


def cross_entropy(scores: Any, target: Any) -> Any:
    """Cross-entropy of ``softmax(scores)``, computed as ``logsumexp(scores) - scores[target]``: it never overflows.

    Parameters
    ----------
    scores : sequence of Value and float
        One for each class, any numbers: what stands before the softmax.
    target : int, float, Value, or sequence of them
        The number of the right class, from 0 on; or a probability for each class.

    Raises
    ------
    ValueError
        If there is no class with that number, or there are not as many probabilities as classes.

    Examples
    --------
    >>> from fastgrad import nn
    >>> nn.cross_entropy([1000.0, 0.0], 1)
    1000.0
    >>> round(nn.cross_entropy([0.0, 0.0], [0.5, 0.5]), 6)
    0.693147
    >>> nn.cross_entropy([0.5, 0.25], 2)
    Traceback (most recent call last):
        ...
    ValueError: cross_entropy(target): expected a class from 0 to 1, got 2.0
    """
    row = _row("cross_entropy", scores)
    if _is_number(target):
        right = _chosen("cross_entropy", row, target)
        return logsumexp(row) - right
    row, chances = _pairs("cross_entropy", row, target)
    return total(chances) * logsumexp(row) - dot(chances, row)


def l1(parameters: Any) -> Any:
    """Sum of the absolute values of parameters, to be added to a loss: it draws them to exactly 0 [T96]_.

    Parameters
    ----------
    parameters : Module or iterable of Value
        All of a model's, or some.

    References
    ----------
    .. [T96] R. Tibshirani, "Regression shrinkage and selection via the lasso", JRSS B 58, 1996.

    Examples
    --------
    >>> from fastgrad import Value, nn
    >>> nn.l1([Value(-2.0), Value(0.5)]).data
    2.5
    """
    return total([magnitude(p) for p in _parameters(parameters)])


def l2(parameters: Any) -> Any:
    """Sum of the squares of parameters, to be added to a loss: it keeps them small.

    Parameters
    ----------
    parameters : Module or iterable of Value
        All of a model's, or some.

    Examples
    --------
    >>> from fastgrad import Value, nn
    >>> nn.l2([Value(-2.0), Value(0.5)]).data
    4.25
    """
    held = _parameters(parameters)
    return dot(held, held)


def _parameters(given: Module | Iterable[Any]) -> list[Any]:
    return list(given.parameters() if isinstance(given, Module) else given)


def _is_number(x: Any) -> bool:
    return isinstance(x, Value) or is_real(x) or getattr(x, "ndim", 1) == 0


def _pairs(name: str, prediction: Any, target: Any) -> tuple[list[Any], list[Any]]:
    predictions, targets = _row(name, prediction), _row(name, target)
    if len(predictions) != len(targets):
        raise ValueError(f"{name}: expected as many targets as predictions, got {len(targets)} for {len(predictions)}")
    if not predictions:
        raise ValueError(f"{name}: expected at least one prediction, got none")
    return predictions, targets


def _row(name: str, given: Any) -> list[Any]:
    """The numbers and Values that an argument is."""
    try:
        row = as_row(given)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from None
    for item in row:
        if not isinstance(item, Value) and not is_real(item):
            raise TypeError(f"{name}: expected Values and real numbers, got {type(item).__name__} {item!r:.60}")
    return row


def _errors(name: str, prediction: Any, target: Any) -> list[Any]:
    predictions, targets = _pairs(name, prediction, target)
    return [p - t for p, t in zip(predictions, targets, strict=True)]


def _check_chances(argument: str, chances: list[Any]) -> None:
    for chance in chances:
        if not chance >= 0.0 or not chance <= 1.0:
            raise ValueError(f"{argument}: expected a number from 0 to 1, got {_number(chance)!r}")


#: exp(-100): what is smaller counts as this much, so that its logarithm is no less than -100.
_LEAST = 3.720075976020836e-44


def _surprise(p: Any, t: Any) -> Any:
    # Beyond one half 1 - p is exact, and below it log1p is.
    of_other = where(p < 0.5, log1p(-minimum(p, 0.5)), log(maximum(1.0 - p, _LEAST)))
    return -(t * log(maximum(p, _LEAST)) + (1.0 - t) * of_other)


def _chosen(name: str, row: list[Any], label: Any) -> Any:
    """The score of the right class."""
    if not row:
        raise ValueError(f"{name}: expected a score for each class, got none")
    if not _is_number(label):
        raise TypeError(f"{name}(target): expected the number of a class, got {type(label).__name__} {label!r:.60}")
    number = _number(label)
    if not (0 <= number < len(row) and number.is_integer()):
        raise ValueError(f"{name}(target): expected a class from 0 to {len(row) - 1}, got {number!r}")
    return take(row, label)


def _number(x: Any) -> float:
    """What stands there, also while a function is recorded: for messages, and for checks that a guard repeats."""
    return float(module.peek(x) if isinstance(x, Value) else x)
