"""The choice between the two backends, and what the chosen one offers."""

from __future__ import annotations

import os
from contextlib import ContextDecorator
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _errors

if TYPE_CHECKING:
    from . import Value as Value
    from . import _numpy_program

    program = _numpy_program


class Backend(NamedTuple):
    """The backend in use, ``"c"`` or ``"python"``, and why it is this one."""

    name: str
    why: str

    def __str__(self) -> str:
        return f"{self.name} ({self.why})"


def _choose() -> tuple[ModuleType, Backend]:
    wanted = os.environ.get("FASTGRAD_BACKEND", "")
    if wanted not in ("", "c", "python"):
        raise _errors.unknown_backend(wanted)
    if wanted == "python":
        return _python("FASTGRAD_BACKEND=python")
    try:
        core = import_module("._core", __package__)
    except ImportError as error:
        if wanted:
            raise _errors.no_extension(error) from error
        return _python(f"the compiled extension cannot be imported: {error}")
    return core, Backend("c", "FASTGRAD_BACKEND=c" if wanted else "the compiled extension is there")


def _python(why: str) -> tuple[ModuleType, Backend]:
    return import_module("._fallback", __package__), Backend("python", why)


module, _chosen = _choose()


def backend() -> Backend:
    """Return which backend is in use, and why.

    Set the environment variable ``FASTGRAD_BACKEND`` to ``c`` or ``python`` before the import to choose.

    Returns
    -------
    Backend
        Its ``name`` is ``"c"`` or ``"python"``; ``why`` is one sentence.

    Examples
    --------
    >>> import fastgrad as fg
    >>> fg.backend().name in ("c", "python")
    True
    """
    return _chosen


class no_grad(ContextDecorator):
    """Record nothing: the results of operations are leaves, without history.

    As a context it holds for the thread it is in, as a decorator for each call of the function.

    Examples
    --------
    >>> import fastgrad as fg
    >>> x = fg.Value(3.0)
    >>> with fg.no_grad():
    ...     y = x * x
    >>> y.data, y._prev
    (9.0, set())
    """

    def __enter__(self) -> None:
        module.switch_recording(1)

    def __exit__(self, *exc_info: object) -> None:
        module.switch_recording(-1)


if not TYPE_CHECKING:
    Value = module.Value
set_micrograd_mode = module.set_micrograd_mode
tape_stats = module.tape_stats


def __getattr__(name: str) -> Any:
    """Return the backend's scalar function of that name; or its module of programs, which is imported at first use."""
    if name == "program":
        return import_module("._program" if _chosen.name == "c" else "._numpy_program", __package__)
    return getattr(module, name)
