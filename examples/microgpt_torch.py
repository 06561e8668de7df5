"""The model of microgpt.py in torch, to compare with: the same weights, all positions of a document at once."""

from __future__ import annotations

from collections.abc import Sequence

import microgpt
import torch
from torch.nn import functional


def model(weights: torch.Tensor, tokens: torch.Tensor, size: microgpt.Size) -> torch.Tensor:
    """Return the loss of a document, from the weights in one vector."""
    shapes = size.shapes
    parts = torch.split(weights, [rows * columns for rows, columns in shapes.values()])
    w = {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
    length = len(tokens) - 1
    x = w["token"][tokens[:-1]] + w["position"][:length]
    for i in range(size.layers):
        h = normalised(x)
        q, k, v = (heads(h @ w[f"{name}{i}"].T, size) for name in ("query", "key", "value"))
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + mixed.transpose(0, 1).reshape(length, size.embedding) @ w[f"mix{i}"].T
        x = x + torch.relu(normalised(x) @ w[f"up{i}"].T) @ w[f"down{i}"].T
    return functional.cross_entropy(normalised(x) @ w["head"].T, tokens[1:])


def heads(x: torch.Tensor, size: microgpt.Size) -> torch.Tensor:
    """Take positions x embedding apart: heads x positions x width."""
    return x.view(len(x), size.heads, -1).transpose(0, 1)


def normalised(x: torch.Tensor) -> torch.Tensor:
    """Return vectors whose squares have the mean 1."""
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-5)


def gradient(weights: Sequence[float], tokens: list[int], size: microgpt.Size) -> list[float]:
    """Return the loss, and behind it the gradient."""
    vector = torch.tensor(weights, dtype=torch.float64, requires_grad=True)
    loss = model(vector, torch.tensor(tokens), size)
    loss.backward()
    assert vector.grad is not None
    return [loss.item(), *vector.grad.tolist()]


class Trainer:
    """Training on one thread, with torch's own Adam."""

    def __init__(self, weights: Sequence[float], size: microgpt.Size) -> None:
        torch.set_num_threads(1)
        self.size = size
        self.vector = torch.tensor(weights, dtype=torch.float64, requires_grad=True)
        self.adam = torch.optim.Adam([self.vector], betas=(microgpt.FIRST, microgpt.SECOND), eps=microgpt.TINY)
        self.steps = 0

    @property
    def weights(self) -> list[float]:
        """The weights as they are by now."""
        return self.vector.tolist()

    def tokens(self, documents: microgpt.Floats) -> torch.Tensor:
        """Return the tokens of one document, a matrix with one row."""
        (document,) = torch.from_numpy(documents).long()
        return document

    def step(self, documents: microgpt.Floats, rate: float) -> float:
        """Learn from one document, a matrix with one row; return the loss before."""
        self.adam.param_groups[0]["lr"] = rate
        self.adam.zero_grad()
        loss = model(self.vector, self.tokens(documents), self.size)
        loss.backward()
        self.adam.step()
        self.steps += 1
        return loss.item()
