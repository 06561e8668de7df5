"""Learning rates that change as training goes on, under PyTorch's names.

A schedule sets ``optimizer.lr`` when it is made, and at each ``step()``, once an epoch or once a batch. Each computes
the rate from the number of steps alone, so that a resumed run has the same rates to the last bit.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .base import Optimizer

__all__ = [
    "CosineAnnealingLR",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "Schedule",
    "SequentialLR",
    "StepLR",
]


class Schedule:
    """What the schedules have in common; a subclass says what the rate is after so many steps.

    Parameters
    ----------
    optimizer : Optimizer
        Its rate, as it was before any schedule changed it, is ``base_lr``.

    Attributes
    ----------
    base_lr : float
    steps : int
        How often ``step()`` was called.

    Examples
    --------
    >>> from fastgrad import Value, optim
    >>> class InverseRoot(optim.Schedule):
    ...     def lr_at(self, step):
    ...         return self.base_lr / (1 + step) ** 0.5
    >>> optimizer = optim.SGD([Value(0.0)], lr=1.0)
    >>> schedule = InverseRoot(optimizer)
    >>> for _ in range(3):
    ...     schedule.step()
    >>> optimizer.lr
    0.5
    """

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(self).__name__}(optimizer): expected an optimizer, got {optimizer!r}")
        if optimizer.initial_lr is None:
            optimizer.initial_lr = optimizer.lr
        self.optimizer = optimizer
        self.base_lr = optimizer.initial_lr
        self.steps = 0
        optimizer.lr = self.lr_at(0)

    def lr_at(self, step: int) -> float:
        """Return the rate after so many steps; a subclass has to define it.

        Raises
        ------
        NotImplementedError
            Where it is not defined.

        Examples
        --------
        >>> from fastgrad import Value, optim
        >>> optim.StepLR(optim.SGD([Value(0.0)], lr=1.0), 10, gamma=0.5).lr_at(20)
        0.25
        """
        raise NotImplementedError(f"{type(self).__name__} has to define lr_at(self, step)")

    def step(self) -> None:
        """Set the rate of the next epoch or batch.

        Examples
        --------
        >>> from fastgrad import Value, optim
        >>> optimizer = optim.SGD([Value(0.0)], lr=1.0)
        >>> optim.ExponentialLR(optimizer, 0.5).step()
        >>> optimizer.lr
        0.5
        """
        self.steps += 1
        self.optimizer.lr = self.lr_at(self.steps)

    def state_dict(self) -> dict[str, Any]:
        """Return where the schedule is, as plain Python numbers.

        Examples
        --------
        >>> from fastgrad import Value, optim
        >>> optim.ExponentialLR(optim.SGD([Value(0.0)], lr=1.0), 0.5).state_dict()
        {'steps': 0, 'base_lr': 1.0}
        """
        return {"steps": self.steps, "base_lr": self.base_lr}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where the schedule was that returned ``state``; the rate itself is in the optimizer's.

        Raises
        ------
        ValueError
            If it is not the state of a schedule; then nothing has changed.

        Examples
        --------
        >>> from fastgrad import Value, optim
        >>> schedule = optim.ExponentialLR(optim.SGD([Value(0.0)], lr=1.0), 0.5)
        >>> schedule.load_state_dict({"steps": 2, "base_lr": 1.0})
        >>> schedule.steps
        2
        """
        if set(state) != {"steps", "base_lr"}:
            raise ValueError(
                f"{type(self).__name__}.load_state_dict: expected the names steps, base_lr; got {', '.join(state)}"
            )
        self.steps, self.base_lr = int(state["steps"]), float(state["base_lr"])


class LambdaLR(Schedule):
    """The base rate times a function of the number of steps.

    Examples
    --------
    >>> from fastgrad import Value, optim
    >>> optim.LambdaLR(optim.SGD([Value(0.0)], lr=1.0), lambda step: 1.0 / (1 + step)).lr_at(3)
    0.25
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Callable[[int], float]) -> None:
        self.lr_lambda = lr_lambda
        super().__init__(optimizer)

    def lr_at(self, step: int) -> float:
        """Return ``base_lr * lr_lambda(step)``.

        Examples
        --------
        >>> from fastgrad import Value, optim
        >>> optim.LambdaLR(optim.SGD([Value(0.0)], lr=2.0), lambda step: 0.5).lr_at(3)
        1.0
        """
        return self.base_lr * self.lr_lambda(step)


class StepLR(LambdaLR):
    """The rate times ``gamma`` every ``step_size`` steps.

    Examples
    --------
    >>> from fastgrad import Value, optim
    >>> schedule = optim.StepLR(optim.SGD([Value(0.0)], lr=1.0), step_size=2, gamma=0.5)
    >>> [schedule.lr_at(step) for step in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        _positive("StepLR(step_size)", step_size)
        super().__init__(optimizer, lambda step: gamma ** (step // step_size))


class MultiStepLR(LambdaLR):
    """The rate times ``gamma`` at each of the milestones: numbers of steps.

    Examples
    --------
    >>> from fastgrad import Value, optim
    >>> schedule = optim.MultiStepLR(optim.SGD([Value(0.0)], lr=1.0), [1, 3], gamma=0.5)
    >>> [schedule.lr_at(step) for step in range(5)]
    [1.0, 0.5, 0.5, 0.25, 0.25]
    """

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1) -> None:
        ends = sorted(milestones)
        super().__init__(optimizer, lambda step: gamma ** bisect_right(ends, step))


class ExponentialLR(LambdaLR):
    """The rate times ``gamma`` at each step.

    Examples
    --------
    >>> from fastgrad import Value, optim
    >>> optim.ExponentialLR(optim.SGD([Value(0.0)], lr=1.0), 0.5).lr_at(3)
    0.125
    """

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        super().__init__(optimizer, lambda step: gamma**step)


class LinearLR(LambdaLR):
    """A factor that goes from one number to another in a straight line, and stays there: to warm up [GDG17]_ or fade.

    References
    ----------
    .. [GDG17] P. Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", arXiv:1706.02677, 2017.

    Examples
    --------
    >>> from fastgrad import Value, optim
    >>> schedule = optim.LinearLR(optim.SGD([Value(0.0)], lr=1.0), 0.25, total_iters=3)
    >>> [schedule.lr_at(step) for step in range(5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1.0 / 3.0, end_factor: float = 1.0, total_iters: int = 5
    ) -> None:
        _positive("LinearLR(total_iters)", total_iters)
        change = end_factor - start_factor
        super().__init__(optimizer, lambda step: start_factor + change * min(step / total_iters, 1.0))


class CosineAnnealingLR(Schedule):
    """Half a wave from the base rate down to ``eta_min`` in ``T_max`` steps [LH17]_; after that it goes up again.

    References
    ----------
    .. [LH17] I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017, eq. 5.

    Examples
    --------
    >>> from fastgrad import Value, optim
    >>> schedule = optim.CosineAnnealingLR(optim.SGD([Value(0.0)], lr=1.0), T_max=2)
    >>> [round(schedule.lr_at(step), 6) for step in range(3)]
    [1.0, 0.5, 0.0]
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        _positive("CosineAnnealingLR(T_max)", T_max)
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer)

    def lr_at(self, step: int) -> float:
        """Return the rate after so many steps.

        Examples
        --------
        >>> from fastgrad import Value, optim
        >>> optim.CosineAnnealingLR(optim.SGD([Value(0.0)], lr=1.0), 10, eta_min=0.25).lr_at(10)
        0.25
        """
        wave = 0.5 * (1.0 + math.cos(math.pi * step / self.T_max))
        return self.eta_min + (self.base_lr - self.eta_min) * wave


class SequentialLR(Schedule):
    """One schedule after another: each begins at its milestone, the first at 0.

    Parameters
    ----------
    optimizer : Optimizer
        The one that the schedules were made for.
    schedules : sequence of Schedule
    milestones : sequence of int
        One fewer: the numbers of steps at which the others begin.

    Examples
    --------
    >>> from fastgrad import Value, optim
    >>> optimizer = optim.SGD([Value(0.0)], lr=1.0)
    >>> warm_up, anneal = optim.LinearLR(optimizer, 0.5, total_iters=2), optim.CosineAnnealingLR(optimizer, 4)
    >>> schedule = optim.SequentialLR(optimizer, [warm_up, anneal], [2])
    >>> [round(schedule.lr_at(step), 3) for step in range(7)]
    [0.5, 0.75, 1.0, 0.854, 0.5, 0.146, 0.0]
    """

    def __init__(self, optimizer: Optimizer, schedules: Sequence[Schedule], milestones: Sequence[int]) -> None:
        if not schedules or len(schedules) != len(milestones) + 1 or list(milestones) != sorted(set(milestones)):
            raise ValueError(
                "SequentialLR(milestones): expected rising numbers of steps, one fewer than schedules; "
                f"got {list(milestones)} for {len(schedules)} schedules"
            )
        if any(schedule.optimizer is not optimizer for schedule in schedules):
            raise ValueError("SequentialLR(schedules): all of them have to be made for the same optimizer")
        self.schedules, self.milestones = list(schedules), list(milestones)
        super().__init__(optimizer)

    def lr_at(self, step: int) -> float:
        """Return the rate after so many steps.

        Examples
        --------
        >>> from fastgrad import Value, optim
        >>> optimizer = optim.SGD([Value(0.0)], lr=1.0)
        >>> parts = [optim.ExponentialLR(optimizer, 1.0), optim.ExponentialLR(optimizer, 0.5)]
        >>> optim.SequentialLR(optimizer, parts, [10]).lr_at(11)
        0.5
        """
        k = bisect_right(self.milestones, step)
        return self.schedules[k].lr_at(step - (self.milestones[k - 1] if k else 0))


def _positive(argument: str, number: int) -> None:
    if not number > 0:
        raise ValueError(f"{argument}: expected a number greater than 0, got {number!r}")
