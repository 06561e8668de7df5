"""fg.fit: a training loop, thin over compiled functions and optimizers.

Where a batch is computed
-------------------------
The loop asks one object for loss and gradients of a batch, and `fit` takes it as ``client=``: a Dask client, in whose
place `fastgrad.distributed.Workers` is asked, or any object that has this one method::

    sum_grad(loss, *batch) -> (float, ndarray)

``loss`` is the compiled function of one row, and ``batch`` its arguments: arrays of float64 with a row for each row of
the batch. The answer is the sum of the loss over these rows, and the gradient of that sum with respect to
``loss.parameters``, an array with a number for each, for the data that they have now: what
``loss.sum_grad(*batch, argnums="parameters")`` returns, which is what `Here` does. Before it is asked, ``loss`` was
recorded with the first row, so that it can be pickled and sent. Whoever computes with copies of the parameters
has to send ``[p.data for p in loss.parameters]`` along. The mean, clipping, the update, validation and checkpoints stay
here: a batch that is computed in parts gives the same bits if the parts are added in the same order.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.util import find_spec
from math import isfinite
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ._backend import module, no_grad
from ._compiled import Compiled
from ._errors import at_least, positive
from ._fit_checks import Arrays, arrays, checked_optimizer, is_there
from ._history import History, read_checkpoint, write_checkpoint
from .nn import Dropout, Module, noise
from .optim import Optimizer, Schedule, clip_grad_norm

Index = NDArray[np.intp]
Path = str | os.PathLike[str]


class Client(Protocol):
    """What computes a batch."""

    def sum_grad(self, loss: Compiled, *batch: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return the sum of the loss over the rows, and its gradient with respect to ``loss.parameters``."""


class Here:
    """Computes a batch in this process."""

    def sum_grad(self, loss: Compiled, *batch: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        total, gradients = loss.sum_grad(*batch, argnums="parameters")
        return total, gradients


def fit(
    model: Module,
    loss: Callable[..., Any],
    data: Any,
    *,
    epochs: int = 10,
    batch_size: int = 32,
    optimizer: Optimizer | None = None,
    schedule: Schedule | None = None,
    validation: Any = None,
    patience: int | None = None,
    clip_norm: float | None = None,
    shuffle: bool = True,
    seed: int = 0,
    progress: bool = True,
    checkpoint: Path | None = None,
    resume: bool = False,
    client: Any = None,
) -> History:
    """Train a model: minimise the mean of ``loss(model(x), y)`` over the rows of ``data = (x, y)``.

    The loss of a row is compiled once; after each batch the optimizer moves the parameters by the gradient of its mean.
    Dropout gets new numbers for each row, and is off in validation. The same seed gives the same run, to the last bit.

    With validation data, and where Ctrl-C ends training, the model is left as it was after its best epoch, if one was
    completed; else as it was last.

    Parameters
    ----------
    model : nn.Module
        Called with one row of x: a number, or an object array of Values.
    loss : callable
        Called with what the model returns and the row of each other array, such as ``nn.mse``; returns one Value. What
        else is to be minimised can be added there, such as ``1e-4 * nn.l2(model)``.
    data : tuple of array_like
        ``(x, y)``, ``(x,)``, or x and several others: one row for each sample, in their first dimension.
    epochs, batch_size : int
        How often to go through all rows, and how many to take at once. The last batch may be smaller.
    optimizer : Optimizer, optional
        Of parameters of the model; without it ``optim.Adam(model.parameters())``.
    schedule : Schedule, optional
        Stepped after each epoch.
    validation : tuple of array_like, optional
        As ``data``, not trained on.
    patience : int, optional
        Stop after so many epochs in a row without an improvement.
    clip_norm : float, optional
        What to clip the norm of the gradient to, by `optim.clip_grad_norm`.
    shuffle : bool
        Whether the rows come in a new order in each epoch.
    seed : int
        Of the orders, and of dropout.
    progress : bool
        Whether to show a progress bar, if tqdm is installed.
    checkpoint : path, optional
        A file to write after each epoch: all that is needed to go on.
    resume : bool
        Whether to go on from the checkpoint, if there is one, as if there had been no break.
    client : dask.distributed.Client, optional
        The cluster that computes the batches, to the same bits; without it, this process does. An object with a method
        ``sum_grad(loss, *batch)`` can stand in its place, such as `fastgrad.distributed.Workers`, or one's own.

    Returns
    -------
    History
        The losses of each epoch; ``history.plot()`` draws them.

    Raises
    ------
    ValueError
        If arrays have no rows, not as many as each other, or hold nan or infinities; or if the loss does not take a
        row, such as a label out of range. The row is named.
    FloatingPointError
        If the loss of a batch or its gradient is not finite; the parameters are those before that batch.
    FileExistsError
        If there is a checkpoint, and ``resume`` does not say to go on from it.
    FileNotFoundError, IsADirectoryError
        If there is no folder for the checkpoint, or its path is one; before any work.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgrad as fg
    >>> from fastgrad import nn, optim
    >>> x = np.linspace(-1.0, 1.0, 64)[:, np.newaxis]
    >>> model = nn.Linear(1, 1, rng=0)
    >>> sgd = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    >>> history = fg.fit(model, nn.mse, (x, 3.0 * x[:, 0] - 1.0), optimizer=sgd, epochs=60, progress=False)
    >>> [round(p.data, 1) for p in model.parameters()]
    [3.0, -1.0]
    """
    optimizer = checked_optimizer(model, optimizer, schedule)
    if not callable(loss):
        raise TypeError(f"fit(loss): expected a function such as nn.mse, got {loss!r}")
    epochs, batch_size = at_least("fit(epochs)", epochs, 1), at_least("fit(batch_size)", batch_size, 1)
    patience = None if patience is None else at_least("fit(patience)", patience, 1)
    clip_norm = None if clip_norm is None else positive("fit(clip_norm)", clip_norm)
    seed = at_least("fit(seed)", seed, 0)
    rows = arrays("data", data)
    held_out = None if validation is None else arrays("validation", validation, like=rows)
    settings: dict[str, Any] = {"rows": len(rows[0]), "batch_size": batch_size, "shuffle": bool(shuffle), "seed": seed}
    settings["validation"] = None if held_out is None else len(held_out[0])
    run = _Run(model, loss, rows, held_out, optimizer, schedule, _checked_client(client), settings)
    if checkpoint is not None and is_there(checkpoint):
        if not resume:
            raise FileExistsError(
                f"fit(checkpoint): {os.fspath(checkpoint)!r} is there already; "
                "go on from it with resume=True, or give another path"
            )
        run.load(checkpoint)
    run.train(epochs, patience, clip_norm, progress, checkpoint)
    return run.history


class _Run:
    """One training run: what `fit` was given, and what has come of it."""

    def __init__(
        self,
        model: Module,
        loss: Callable[..., Any],
        rows: Arrays,
        held_out: Arrays | None,
        optimizer: Optimizer,
        schedule: Schedule | None,
        client: Client,
        settings: dict[str, Any],
    ) -> None:
        self.model, self.rows, self.held_out = model, rows, held_out
        self.optimizer, self.schedule, self.client, self.settings = optimizer, schedule, client, settings
        self.history = History()
        self.parameters = tuple(model.parameters())
        self.best: list[float] | None = None  # their data after the best epoch
        self.numbers = _numbers_for_a_row(model, loss, rows)
        self.loss = _compiled(model, loss, rows, True, self.numbers)
        self.held_out_loss = _compiled(model, loss, rows, False, 0)

    def train(
        self, epochs: int, patience: int | None, clip_norm: float | None, progress: bool, checkpoint: Path | None
    ) -> None:
        history, batches = self.history, -(-len(self.rows[0]) // self.settings["batch_size"])
        history.stopped = "epochs"
        with _bar(progress, epochs * batches, history.epochs * batches) as bar:
            try:
                self._record()
                for epoch in range(history.epochs, epochs):
                    if patience is not None and epoch - 1 - history.best_epoch >= patience:
                        history.stopped = "patience"
                        break
                    self._epoch(epoch, clip_norm, bar)
                    if checkpoint is not None:
                        self._save(checkpoint)
            except KeyboardInterrupt:
                history.stopped = "interrupted"
        if self.best is not None and (self.held_out is not None or history.stopped == "interrupted"):
            module.scatter_data(self.parameters, np.array(self.best))

    def _record(self) -> None:
        """Run the first row here, so that the loss is recorded and knows its parameters; try the validation data."""
        self._sum_grad(np.arange(1), np.random.default_rng(0), Here())
        if not {*self.loss.parameters} & {*self.optimizer.parameters}:
            raise ValueError("fit(loss): it depends on none of the parameters that the optimizer trains")
        if self.held_out is not None:
            self._validate(self.held_out)

    def _epoch(self, epoch: int, clip_norm: float | None, bar: Any) -> None:
        start, history, settings = perf_counter(), self.history, self.settings
        rng = np.random.default_rng([settings["seed"], epoch])
        order = rng.permutation(settings["rows"]) if settings["shuffle"] else np.arange(settings["rows"])
        total = 0.0
        for first in range(0, len(order), settings["batch_size"]):
            total += self._step(order[first : first + settings["batch_size"]], rng, clip_norm)
            bar.update()
        if self.held_out is not None:
            history.validation.append(self._validate(self.held_out))
        history.loss.append(total / len(order))
        history.lr.append(float(self.optimizer.lr))
        history.seconds.append(perf_counter() - start)
        bar.set_postfix({"loss": history.monitored[-1]}, refresh=False)
        if history.monitored[-1] < history.best_loss:
            data = np.empty(len(self.parameters))
            module.gather_data(self.parameters, data)
            history.best_epoch, self.best = epoch, data.tolist()
        if self.schedule is not None:
            self.schedule.step()

    def _step(self, index: Index, rng: np.random.Generator, clip_norm: float | None) -> float:
        """Train on one batch, and return the sum of its losses."""
        total, gradients = self._sum_grad(index, rng, self.client)
        if not isfinite(total) or not np.isfinite(gradients).all():
            raise FloatingPointError(
                f"fit: the loss of a batch became {total}, or its gradient infinite or nan, after "
                f"{self.history.epochs} epochs; the parameters are those before that batch; "
                "a lower learning rate, or clip_norm, may help"
            )
        self.optimizer.zero_grad()
        module.add_grads(self.loss.parameters, np.ascontiguousarray(gradients / len(index)))
        if clip_norm is not None:
            clip_grad_norm(self.optimizer.parameters, clip_norm)
        self.optimizer.step()
        return total

    def _sum_grad(self, index: Index, rng: np.random.Generator, client: Client) -> tuple[float, NDArray[np.float64]]:
        batch = [array[index] for array in self.rows]
        if self.numbers:
            batch.append(rng.random((len(index), self.numbers)))
        try:
            return client.sum_grad(self.loss, *batch)
        except (ValueError, IndexError) as error:
            _blame_row("data", self.loss, index.tolist(), batch, error)
            raise

    def _validate(self, held_out: Arrays) -> float:
        try:
            return float(np.mean(self.held_out_loss(*held_out)))
        except (ValueError, IndexError) as error:
            _blame_row("validation", self.held_out_loss, range(len(held_out[0])), held_out, error)
            raise

    # ------------------------------------------------------------------------------------------------- checkpoints

    def _save(self, path: Path) -> None:
        schedule = None if self.schedule is None else self.schedule.state_dict()
        parts = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "schedule": schedule}
        write_checkpoint(path, settings=self.settings, best=self.best, history=self.history, **parts)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint; if it does not fit, nothing has changed."""
        parts = read_checkpoint(path, self.settings)
        if (parts["schedule"] is None) != (self.schedule is None):
            raise ValueError(f"fit(checkpoint): {os.fspath(path)!r} is of a run with another schedule")
        holders: dict[str, Any] = {"model": self.model, "optimizer": self.optimizer, "schedule": self.schedule}
        before = {name: holder.state_dict() for name, holder in holders.items() if holder is not None}
        try:
            for name in before:
                holders[name].load_state_dict(parts[name])
            if parts["best"] is not None and len(parts["best"]) != len(self.parameters):
                raise TypeError(f"it has {len(parts['best'])} best parameters, and the model {len(self.parameters)}")
        except BaseException as error:
            for name, state in before.items():
                holders[name].load_state_dict(state)
            if isinstance(error, TypeError):
                raise ValueError(f"fit(checkpoint): {os.fspath(path)!r} is no checkpoint: {error}") from error
            raise
        self.history, self.best = parts["history"], parts["best"]


# ------------------------------------------------------------------------------------------------- what is compiled


def _compiled(model: Any, loss: Callable[..., Any], rows: Arrays, training: bool, numbers: int) -> Compiled:
    """The loss of one row; the last argument are the numbers for dropout, if it needs any."""

    count = len(rows)  # were rows used below, they would all be sent to each worker, with the function

    def of_row(*row: Any) -> Any:
        dropout = noise(row[-1]) if numbers else nullcontext()
        with _mode(model, training), dropout:
            return loss(model(row[0]), *row[1:count])

    of_row.__name__ = getattr(loss, "__name__", "loss")
    cores = [array.shape[1:] for array in rows] + ([(numbers,)] if numbers else [])
    return Compiled(of_row, ",".join(f"({','.join(map(str, core))})" for core in cores) + "->()")


def _numbers_for_a_row(model: Any, loss: Callable[..., Any], rows: Arrays) -> int:
    """How many random numbers dropout takes for one row."""
    if not any(isinstance(m, Dropout) for m in model.modules()):
        return 0
    with no_grad(), _mode(model, True), noise() as needed:
        x, *targets = (array[0] if array.ndim > 1 else array[0].item() for array in rows)
        loss(model(x), *targets)
    return needed.used


@contextmanager
def _mode(model: Module, training: bool) -> Iterator[None]:
    before = [(m, m.training) for m in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for m, mode in before:
            m.training = mode


def _blame_row(
    argument: str, loss: Compiled, numbers: Iterable[int], rows: Sequence[NDArray[np.float64]], error: Exception
) -> None:
    """Raise for the first row that the loss does not take."""
    for i, *row in zip(numbers, *rows, strict=True):
        try:
            loss(*row)
        except (ValueError, IndexError) as of_row:
            raise ValueError(f"fit({argument}): row {i}: {of_row}") from error


def _checked_client(client: Any) -> Client:
    if client is None:
        return Here()
    if callable(getattr(client, "sum_grad", None)):
        return client  # type: ignore[no-any-return]
    from .distributed import Workers  # not above: it is needed with a cluster alone
    from .distributed._shipping import is_client

    if not is_client(client):
        raise TypeError(
            "fit(client): expected a dask.distributed.Client, as Client(cluster) makes it, or an object with a method "
            f"sum_grad(loss, *batch); got {type(client).__name__} {client!r}"
        )
    return Workers(client)


class _Silent:
    def update(self) -> None: ...

    def set_postfix(self, shown: dict[str, Any], refresh: bool) -> None: ...


def _bar(show: bool, total: int, done: int) -> AbstractContextManager[Any]:
    if not show or find_spec("tqdm") is None:
        return nullcontext(_Silent())
    from tqdm.auto import tqdm  # type: ignore[import-untyped]  # in a notebook another one than in a terminal

    bar: AbstractContextManager[Any] = tqdm(total=total, initial=done, desc="fit", unit="batch")
    return bar
