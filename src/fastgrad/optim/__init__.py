"""Optimizers, learning-rate schedules and gradient clipping, with PyTorch's names and formulas.

>>> from fastgrad import nn, optim
>>> model = nn.MLP(2, [8, 1])
>>> optimizer = optim.AdamW(model.parameters(), lr=0.01)
>>> schedule = optim.CosineAnnealingLR(optimizer, T_max=100)
>>> nn.mse(model([1.0, 2.0]), 3.0).backward()
>>> norm = optim.clip_grad_norm(optimizer.parameters, 1.0)
>>> optimizer.step()
>>> schedule.step()
"""

from .base import Optimizer, not_negative
from .clipping import clip_grad_norm, clip_grad_value
from .optimizers import SGD, Adam, AdamW, RMSprop
from .schedules import (
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    Schedule,
    SequentialLR,
    StepLR,
)

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "Optimizer",
    "RMSprop",
    "Schedule",
    "SequentialLR",
    "StepLR",
    "clip_grad_norm",
    "clip_grad_value",
    "not_negative",
]
