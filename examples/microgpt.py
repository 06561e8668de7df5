"""A small GPT in plain scalar Python that learns to invent Python identifiers.

It is read from top to bottom: the text, the model, how it is trained, how it writes. The model is a function of
numbers, written once: with Values as weights it is differentiated as it runs, given to `fg.compile` it is recorded and
runs on arrays, and with floats it just computes, which is what writing needs.

    python examples/microgpt.py                      # train compiled, then write identifiers
    python examples/microgpt.py --eager --steps 300  # the same training, step by step in Values
    python examples/microgpt.py --batch 32           # documents of one length together
    python examples/microgpt.py --report             # what a step costs, here and elsewhere
"""

from __future__ import annotations

import argparse
import importlib
import math
import random
import re
import statistics
import string
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.util import find_spec
from itertools import cycle, islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import fastgrad as fg

Floats = NDArray[np.float64]
Matrix = list[list[Any]]  # of Values, or of floats

# ------------------------------------------------------------------------------------------------------------ the text
#
# A document is an identifier: what Python's own library calls its functions, classes' methods and modules' constants.
# Newer versions have a few names more: the program prints a checksum, to tell whether two texts are the same.

MODULES = (
    "abc argparse base64 bisect builtins calendar cmath collections configparser contextlib copy csv datetime decimal "
    "difflib dis email.message enum fractions functools gettext glob gzip hashlib heapq html http.client inspect io "
    "itertools json keyword linecache locale logging math numbers operator pathlib pickle pprint queue random re sched "
    "secrets selectors shutil statistics string struct subprocess symtable tarfile tempfile textwrap threading timeit "
    "token tokenize traceback types typing unittest urllib.parse uuid warnings weakref zipfile"
)
BOUNDARY, *LETTERS = "\n" + string.ascii_lowercase + "_"  # a document begins and ends with the boundary
ALPHABET = [BOUNDARY, *LETTERS]


def identifiers(longest: int) -> list[str]:
    """Return the public names in MODULES and of their classes' attributes, sorted: of a-z and _, and not too long."""
    names: set[str] = set()
    for module in map(importlib.import_module, MODULES.split()):
        public = getattr(module, "__all__", None) or dir(module)
        classes = [thing for thing in map(vars(module).get, public) if isinstance(thing, type)]
        names.update(public, *map(dir, classes))
    return sorted(name for name in names if len(name) <= longest and re.fullmatch("[a-z][a-z_]*", name))


def encode(name: str) -> Floats:
    """Return the tokens of a document: the places of its characters in the alphabet, between two boundaries.

    They are whole numbers in float64, which is what compiled functions compute with.
    """
    return np.array([0, *map(ALPHABET.index, name), 0], float)


# ----------------------------------------------------------------------------------------------------------- the model


class Size(NamedTuple):
    """How large the model is."""

    embedding: int = 16
    heads: int = 4
    layers: int = 1
    block: int = 16  # positions: as many characters, less one, has the longest document

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """Rows and columns of each matrix of weights."""
        n = self.embedding
        layer = {"query": (n, n), "key": (n, n), "value": (n, n), "mix": (n, n), "up": (4 * n, n), "down": (n, 4 * n)}
        layers = {f"{name}{i}": shape for i in range(self.layers) for name, shape in layer.items()}
        return {"token": (len(ALPHABET), n), "position": (self.block, n), **layers, "head": (len(ALPHABET), n)}

    @property
    def parameters(self) -> int:
        """How many weights there are."""
        return sum(rows * columns for rows, columns in self.shapes.values())


class Model:
    """A transformer on numbers of any kind: what comes next, given the tokens so far."""

    def __init__(self, weights: Iterable[Any], size: Size) -> None:
        numbers = iter(weights)
        self.size = size
        self.weights: dict[str, Matrix] = {
            name: [list(islice(numbers, columns)) for _ in range(rows)] for name, (rows, columns) in size.shapes.items()
        }
        self.keys: list[Matrix] = [[] for _ in range(size.layers)]  # of the positions so far, by layer
        self.values: list[Matrix] = [[] for _ in range(size.layers)]

    def __call__(self, token: Any) -> list[Any]:
        """Take one more token; return a score for each that may follow."""
        w = self.weights
        x = add(fg.take(w["token"], token), w["position"][len(self.keys[0])])
        for layer in range(self.size.layers):
            x = add(x, self.attention(layer, normalised(x)))
            hidden = [fg.relu(h) for h in linear(w[f"up{layer}"], normalised(x))]
            x = add(x, linear(w[f"down{layer}"], hidden))
        return linear(w["head"], normalised(x))

    def attention(self, layer: int, x: list[Any]) -> list[Any]:
        """Mix the values of all positions so far, each head by how well its query meets their keys."""
        w, keys, values = self.weights, self.keys[layer], self.values[layer]
        query = linear(w[f"query{layer}"], x)
        keys.append(linear(w[f"key{layer}"], x))
        values.append(linear(w[f"value{layer}"], x))
        width = self.size.embedding // self.size.heads
        mixed: list[Any] = []
        for head in (slice(i, i + width) for i in range(0, self.size.embedding, width)):
            q = [number * width**-0.5 for number in query[head]]
            shares = fg.softmax([fg.dot(q, key[head]) for key in keys])
            mixed += [fg.dot(shares, column) for column in zip(*[value[head] for value in values], strict=True)]
        return linear(w[f"mix{layer}"], mixed)


def add(x: list[Any], y: list[Any]) -> list[Any]:
    """Return the sum of two vectors."""
    return [a + b for a, b in zip(x, y, strict=True)]


def linear(matrix: Matrix, x: list[Any]) -> list[Any]:
    """Return the product of a matrix and a vector."""
    return [fg.dot(row, x) for row in matrix]


def normalised(x: list[Any]) -> list[Any]:
    """Return a vector whose squares have the mean 1 (RMS norm)."""
    scale = 1.0 / fg.sqrt(fg.dot(x, x) / len(x) + 1e-5)
    return [number * scale for number in x]


def loss(weights: Iterable[Any], document: Iterable[Any], size: Size) -> Any:
    """Return how surprised the model is by a document: the mean of -log(probability) of each token after the first."""
    model, (first, *rest) = Model(weights, size), document
    losses = []
    for token, following in zip([first, *rest], rest, strict=False):
        scores = model(token)
        losses.append(fg.logsumexp(scores) - fg.take(scores, following))
    return fg.mean(losses)


# ---------------------------------------------------------------------------------------------------------- to train it
#
# Twice the same: in Values, a document at a time, and compiled. Both start from the same weights and give the same
# losses and the same weights to the last bit, as long as the compiled form gets one document at a time.

FIRST, SECOND, TINY = 0.9, 0.99, 1e-8  # Adam: what is kept of the means of gradients and of their squares


def corrected(rate: float, step: int) -> tuple[float, float]:
    """Return factors for the two means in Adam's step: at first these are too small, since they began at 0."""
    return rate / (1.0 - FIRST**step), 1.0 / math.sqrt(1.0 - SECOND**step)


class Eager:
    """Training in Values: each step runs the model, and then Adam's update of each weight, in Python."""

    def __init__(self, weights: Iterable[float], size: Size) -> None:
        self.size = size
        self.parameters = [fg.Value(weight) for weight in weights]
        self.means = [(0.0, 0.0) for _ in self.parameters]
        self.steps = 0

    @property
    def weights(self) -> list[float]:
        """The weights as they are by now."""
        return [p.data for p in self.parameters]

    def step(self, documents: Floats, rate: float) -> float:
        """Learn from one document, a matrix with one row; return the loss before."""
        ((*document,),) = documents.astype(int).tolist()
        surprise = loss(self.parameters, document, self.size)
        surprise.backward()
        self.steps += 1
        pace, scale = corrected(rate, self.steps)
        for i, p in enumerate(self.parameters):
            g, (mean, square) = p.grad, self.means[i]
            mean = FIRST * mean + (1.0 - FIRST) * g
            square = SECOND * square + (1.0 - SECOND) * g * g
            self.means[i] = mean, square
            p.data -= pace * mean / (scale * math.sqrt(square) + TINY)
            p.grad = 0.0
        return float(surprise.data)


class Compiled:
    """Training with `fg.compile`: the loss is recorded once for each length of document, and then runs on arrays."""

    def __init__(self, weights: Iterable[float], size: Size) -> None:
        self.size = size
        self.array = np.array(list(weights))
        self.mean, self.square = np.zeros_like(self.array), np.zeros_like(self.array)
        self.steps = 0
        self.loss = fg.compile(lambda weights, document: loss(weights, document, size), signature="(p),(t)->()")

    @property
    def weights(self) -> list[float]:
        """The weights as they are by now."""
        return [float(weight) for weight in self.array]

    def step(self, documents: Floats, rate: float) -> float:
        """Learn from documents of one length, the rows of a matrix; return the mean of their losses before."""
        surprise, gradient = self.loss.sum_grad(self.array, documents, argnums=0)
        g = gradient / len(documents)
        self.steps += 1
        self.mean = FIRST * self.mean + (1.0 - FIRST) * g
        self.square = SECOND * self.square + (1.0 - SECOND) * g * g
        pace, scale = corrected(rate, self.steps)
        self.array -= pace * self.mean / (scale * np.sqrt(self.square) + TINY)
        return float(surprise / len(documents))


def initial(size: Size, draw: random.Random) -> list[float]:
    """Return weights to begin with."""
    return [draw.gauss(0.0, 0.08) for _ in range(size.parameters)]


def batches(names: Sequence[str], batch: int, draw: random.Random) -> Iterator[Floats]:
    """Yield the documents again and again, shuffled, as soon as there are enough of one length: a matrix of tokens."""
    order = draw.sample(names, len(names))
    waiting: dict[int, list[Floats]] = {}
    for name in cycle(order):
        group = waiting.setdefault(len(name), [])
        group.append(encode(name))
        if len(group) == batch:
            yield np.stack(waiting.pop(len(name)))


def train(trainer: Eager | Compiled, documents: Iterator[Floats], steps: int, rate: float = 0.01) -> list[float]:
    """Train so many steps, at a rate that falls to 0; return the loss of each."""
    losses: list[float] = []
    for step, show in progress(steps):
        losses.append(trainer.step(next(documents), rate * (1.0 - step / steps)))
        show(f"loss {statistics.fmean(losses[-100:]):.3f}")
    return losses


def progress(steps: int) -> Iterator[tuple[int, Callable[[str], None]]]:
    """Yield the numbers of the steps, each with what shows a text beside the progress: tqdm's, or lines."""
    if find_spec("tqdm"):
        from tqdm import tqdm

        bar = tqdm(range(steps), desc="training", unit="step")
        yield from ((step, lambda text: bar.set_postfix_str(text, refresh=False)) for step in bar)
        return
    for step in range(steps):
        now = (step + 1) % max(1, steps // 10) == 0
        yield step, lambda text, step=step, now=now: print(f"step {step + 1}: {text}", file=sys.stderr) if now else None


# ---------------------------------------------------------------------------------------------------------- what it can


def evaluate(weights: Sequence[float], names: Sequence[str], size: Size) -> float:
    """Return the mean loss over documents, computed in floats."""
    return statistics.fmean(loss(weights, encode(name).astype(int).tolist(), size) for name in names)


def write(weights: Sequence[float], size: Size, draw: random.Random, temperature: float = 0.7) -> str:
    """Return a document of the model's own: each character is drawn by the probability that the model gives to it.

    A low temperature makes what is probable more so.
    """
    model, text, token = Model(weights, size), "", 0
    for _ in range(size.block):
        chances = fg.softmax([score / temperature for score in model(token)])
        token = draw.choices(range(len(ALPHABET)), chances)[0]
        if token == 0:
            break
        text += ALPHABET[token]
    return text


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, and write identifiers; or report."""
    options = parsed(arguments)
    size = Size()
    names = identifiers(size.block - 1)
    print(f"text: {len(names)} identifiers of Python {sys.version.split()[0]}, checksum {checksum(names)}")
    if options.report:
        from microgpt_report import report

        return report(size, initial(size, random.Random(options.seed)))
    draw = random.Random(options.seed)
    held_out = draw.sample(names, len(names) // 10)
    names = sorted({*names} - {*held_out})
    trainer = (Eager if options.eager else Compiled)(initial(size, draw), size)
    print(f"model: {size.parameters} weights, {'eager' if options.eager else 'compiled'}, backend {fg.backend().name}")
    print(f"held-out loss: {evaluate(trainer.weights, held_out, size):.3f} (guessing: {math.log(len(ALPHABET)):.3f})")

    start = time.perf_counter()
    train(trainer, batches(names, options.batch, draw), options.steps)
    took = time.perf_counter() - start
    print(f"trained {options.steps} steps of {options.batch} in {took:.1f} s, recording included")
    print(f"held-out loss: {evaluate(trainer.weights, held_out, size):.3f}")
    known = {*names, *held_out}
    for text in (write(trainer.weights, size, draw) for _ in range(options.write)):
        print(f"    {text}{'  (as in Python)' if text in known else ''}")
    return None


def checksum(names: Sequence[str]) -> str:
    """Return what tells whether two texts are the same."""
    return f"{zlib.crc32(' '.join(names).encode()):08x}"


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="A small GPT of scalars learns to invent Python identifiers.")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--compiled", action="store_true", help="train with fg.compile (the default with the C core)")
    form.add_argument("--eager", action="store_true", help="train in Values (the default in pure Python)")
    parser.add_argument("--steps", type=counted, default=3000, help="how many steps to train (default 3000)")
    parser.add_argument("--batch", type=counted, default=1, help="documents of one length in a step (default 1)")
    parser.add_argument("--write", type=counted, default=20, help="how many identifiers to write (default 20)")
    parser.add_argument("--seed", type=int, default=1, help="of all that is random (default 1)")
    parser.add_argument("--report", action="store_true", help="compare what a step costs, and train nothing")
    options = parser.parse_args(arguments)
    if options.eager and options.batch > 1:
        parser.error("--batch: in Values a step is one document; leave --eager out")
    if fg.backend().name == "python" and options.batch == 1 and not options.compiled:
        options.eager = True  # there compiled functions are quick over many rows only
    return options


def counted(text: str) -> int:
    """Read a number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


if __name__ == "__main__":
    main()
