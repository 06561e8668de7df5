"""Neural networks built from Values: micrograd's modules and more layers, activations, losses and initializers.

Everything works eagerly on Values, on plain floats, and inside functions that are compiled.

>>> from fastgrad import nn
>>> model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 3))
>>> loss = nn.cross_entropy(model([0.5, -1.0]), 2)
>>> loss.backward()
"""

from . import init
from .activations import ELU, GELU, Activation, LeakyReLU, ReLU, Sigmoid, SiLU, Softmax, Softplus, Tanh
from .layers import Dropout, Embedding, LayerNorm, Linear, RMSNorm, Sequential
from .losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    hinge,
    huber,
    l1,
    l2,
    mae,
    max_margin,
    mse,
)
from .module import Module
from .perceptron import MLP, Layer, Neuron
from .randomness import noise

__all__ = [
    "ELU",
    "GELU",
    "MLP",
    "Activation",
    "Dropout",
    "Embedding",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "Module",
    "Neuron",
    "RMSNorm",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "hinge",
    "huber",
    "init",
    "l1",
    "l2",
    "mae",
    "max_margin",
    "mse",
    "noise",
]
