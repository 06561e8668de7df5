"""Learning rates that change as training goes on, under PyTorch's names.

A schedule sets ``optimizer.lr`` when it is made, and at each ``step()``, once an epoch or once a batch. Each computes
the rate from the number of steps alone, so that a resumed run has the same rates to the last bit.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .._errors import at_least, real
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
        optimizer.lr = self._rate()

    def _rate(self) -> float:
        return real(f"{type(self).__name__}.lr_at({self.steps})", self.lr_at(self.steps))

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
        self.optimizer.lr = self._rate()

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
        where = f"{type(self).__name__}.load_state_dict"
        if not isinstance(state, Mapping):
            raise TypeError(f"{where}: expected what state_dict() returned, got {type(state).__name__}")
        if set(state) != {"steps", "base_lr"}:
            raise ValueError(f"{where}: expected the names steps, base_lr; got {', '.join(map(str, state))}")
        steps, base_lr = at_least(f"{where}: 'steps'", state["steps"], 0), real(f"{where}: 'base_lr'", state["base_lr"])
        self._go_to(steps, base_lr)

    def _go_to(self, steps: int, base_lr: float) -> None:
        self.steps, self.base_lr = steps, base_lr


class _Factor(Schedule):
    """The base rate times what ``_factor_at`` says."""

    def _factor_at(self, step: int) -> float:
        raise NotImplementedError

    def lr_at(self, step: int) -> float:
        """Return the base rate times the factor after so many steps."""
        return self.base_lr * self._factor_at(step)


class LambdaLR(Schedule):
    """The base rate times a function of the number of steps.

    Examples
    --------
    >>> from fastgrad import Value, optim
    >>> optim.LambdaLR(optim.SGD([Value(0.0)], lr=1.0), lambda step: 1.0 / (1 + step)).lr_at(3)
    0.25
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Callable[[int], float]) -> None:
        if not callable(lr_lambda):
            raise TypeError(f"LambdaLR(lr_lambda): expected a function of the number of steps, got {lr_lambda!r}")
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
        return self.base_lr * real("LambdaLR(lr_lambda): what it returned", self.lr_lambda(step))


class StepLR(_Factor):
    """The rate times ``gamma`` every ``step_size`` steps.

    Examples
    --------
    >>> from fastgrad import Value, optim
    >>> schedule = optim.StepLR(optim.SGD([Value(0.0)], lr=1.0), step_size=2, gamma=0.5)
    >>> [schedule.lr_at(step) for step in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size, self.gamma = at_least("StepLR(step_size)", step_size, 1), real("StepLR(gamma)", gamma)
        super().__init__(optimizer)

    def _factor_at(self, step: int) -> float:
        return self.gamma ** (step // self.step_size)


class MultiStepLR(_Factor):
    """The rate times ``gamma`` at each of the milestones: numbers of steps.

    Examples
    --------
    >>> from fastgrad import Value, optim
    >>> schedule = optim.MultiStepLR(optim.SGD([Value(0.0)], lr=1.0), [1, 3], gamma=0.5)
    >>> [schedule.lr_at(step) for step in range(5)]
    [1.0, 0.5, 0.5, 0.25, 0.25]
    """

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1) -> None:
        self.milestones = sorted(_steps("MultiStepLR(milestones)", milestones))
        self.gamma = real("MultiStepLR(gamma)", gamma)
        super().__init__(optimizer)

    def _factor_at(self, step: int) -> float:
        return self.gamma ** bisect_right(self.milestones, step)


class ExponentialLR(_Factor):
    """The rate times ``gamma`` at each step.

    Examples
    --------
    >>> from fastgrad import Value, optim
    >>> optim.ExponentialLR(optim.SGD([Value(0.0)], lr=1.0), 0.5).lr_at(3)
    0.125
    """

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = real("ExponentialLR(gamma)", gamma)
        super().__init__(optimizer)

    def _factor_at(self, step: int) -> float:
        return self.gamma**step


class LinearLR(_Factor):
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
        self.start_factor = real("LinearLR(start_factor)", start_factor)
        self.end_factor = real("LinearLR(end_factor)", end_factor)
        self.total_iters = at_least("LinearLR(total_iters)", total_iters, 1)
        super().__init__(optimizer)

    def _factor_at(self, step: int) -> float:
        return self.start_factor + (self.end_factor - self.start_factor) * min(step / self.total_iters, 1.0)


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
        self.T_max = at_least("CosineAnnealingLR(T_max)", T_max, 1)
        self.eta_min = real("CosineAnnealingLR(eta_min)", eta_min)
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
        if not isinstance(schedules, Sequence) or not all(isinstance(schedule, Schedule) for schedule in schedules):
            raise TypeError(f"SequentialLR(schedules): expected a list of schedules, got {schedules!r}")
        milestones = _steps("SequentialLR(milestones)", milestones)
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

    def _go_to(self, steps: int, base_lr: float) -> None:
        super()._go_to(steps, base_lr)
        for schedule in self.schedules:
            schedule._go_to(schedule.steps, base_lr)


def _steps(argument: str, given: Any) -> list[int]:
    if not isinstance(given, Iterable):
        raise TypeError(f"{argument}: expected a list of numbers of steps, got {given!r}")
    return [at_least(argument, step, 0) for step in given]
