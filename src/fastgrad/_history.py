"""What happened while a model was trained, and the file from which training goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from math import inf
from typing import Any

from ._errors import is_real


@dataclass
class History:
    """What `fit` returns: a number for each epoch that was completed.

    Attributes
    ----------
    loss : list of float
        The mean of the losses of the rows, each as it was when its batch came.
    validation : list of float
        The mean of the losses of the validation data, after the epoch; empty if there were none.
    lr : list of float
        The learning rate.
    seconds : list of float
        How long the epoch took, by the clock.
    best_epoch : int
        The epoch, counted from 0, with the least validation loss, or without validation the least loss; -1 if none was
        completed.
    stopped : str
        Why training ended: ``"epochs"``, ``"patience"`` or ``"interrupted"``.

    Examples
    --------
    >>> from fastgrad import History
    >>> history = History(loss=[3.0, 2.0], validation=[3.5, 3.25], best_epoch=1)
    >>> history.best_loss, history.epochs
    (3.25, 2)
    """

    loss: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    best_epoch: int = -1
    stopped: str = "epochs"

    @property
    def epochs(self) -> int:
        """The number of epochs that were completed."""
        return len(self.loss)

    @property
    def monitored(self) -> list[float]:
        """The losses that decide which epoch is the best."""
        return self.validation or self.loss

    @property
    def best_loss(self) -> float:
        """The least of the losses that decide; infinite if there is none."""
        return self.monitored[self.best_epoch] if self.best_epoch >= 0 else inf

    def plot(self, ax: Any = None) -> Any:
        """Plot the losses.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; without it on a new figure.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        ImportError
            If Matplotlib is not installed.
        """
        curves = {"training": self.loss, "validation": self.validation}
        plots = import_module(".viz.plots", __package__)
        ax = plots.plot_losses({name: losses for name, losses in curves.items() if losses}, ax=ax)
        ax.set_xlabel("epoch")
        return ax


def _is_numbers(given: Any) -> bool:
    return isinstance(given, list) and all(map(is_real, given))


def _is_history(given: Any) -> bool:
    if not isinstance(given, dict) or set(given) != set(asdict(History())):
        return False
    epochs = [given[name] for name in ("loss", "lr", "seconds")]
    if not all(map(_is_numbers, [*epochs, given["validation"]])) or not isinstance(given["best_epoch"], int):
        return False
    lengths = {*map(len, epochs)} | ({len(given["validation"])} if given["validation"] else set())
    return len(lengths) == 1 and -1 <= given["best_epoch"] < lengths.pop()


#: Which parts could be of a checkpoint; the states are checked by those that they belong to.
_WHOLE: dict[str, Callable[[Any], bool]] = {
    "settings": lambda given: isinstance(given, dict),
    "history": _is_history,
    "best": lambda given: given is None or _is_numbers(given),
}
#: The parts of a checkpoint. It is JSON, which holds floats exactly.
_PARTS = {"format", "settings", "model", "optimizer", "schedule", "best", "history"}
_FORMAT = 1


def write_checkpoint(path: str | os.PathLike[str], **parts: Any) -> None:
    """Replace the file at once, so that there is always a whole one."""
    parts["history"] = asdict(parts["history"])
    beside = f"{os.fspath(path)}.part"
    with open(beside, "w", encoding="utf-8") as file:
        json.dump({"format": _FORMAT, **parts}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def read_checkpoint(path: str | os.PathLike[str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts, or raise ValueError if the file is no checkpoint of such a run."""
    try:
        with open(path, encoding="utf-8") as file:
            parts = json.load(file)
    except ValueError as error:  # of json, or of the encoding
        raise ValueError(f"fit(checkpoint): {os.fspath(path)!r} is no checkpoint: {error}") from error
    if not isinstance(parts, dict) or set(parts) != _PARTS or parts["format"] != _FORMAT:
        raise ValueError(f"fit(checkpoint): {os.fspath(path)!r} is no checkpoint of this version")
    damaged = [name for name, whole in _WHOLE.items() if not whole(parts[name])]
    if damaged:
        raise ValueError(f"fit(checkpoint): {os.fspath(path)!r} is no checkpoint: {', '.join(damaged)} is damaged")
    differ = [
        f"{name} was {parts['settings'].get(name)!r} and is {value!r}"
        for name, value in settings.items()
        if parts["settings"].get(name) != value
    ]
    if differ:
        raise ValueError(f"fit(checkpoint): {os.fspath(path)!r} is of another run: {'; '.join(differ)}")
    parts["history"] = History(**parts["history"])
    return dict(parts)
