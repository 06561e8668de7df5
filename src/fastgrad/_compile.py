"""fg.compile and fg.load."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from os import PathLike
from typing import Any, overload

from . import _compile_errors as _errors
from . import _file, _store
from ._compiled import Compiled


@overload
def compile(
    f: Callable[..., Any],
    signature: str | None = None,
    *,
    fastmath: bool = False,
    max_paths: int = 32,
    static: int | str | Iterable[int | str] = (),
) -> Compiled: ...


@overload
def compile(
    f: None = None,
    signature: str | None = None,
    *,
    fastmath: bool = False,
    max_paths: int = 32,
    static: int | str | Iterable[int | str] = (),
) -> Callable[[Callable[..., Any]], Compiled]: ...


def compile(
    f: Callable[..., Any] | None = None,
    signature: str | None = None,
    *,
    fastmath: bool = False,
    max_paths: int = 32,
    static: int | str | Iterable[int | str] = (),
) -> Any:
    """Make a function on Values a fast function of arrays, with all its derivatives.

    At its first call the function is run once on Values; what it does is recorded, differentiated, and then run over
    all rows of the arguments. Results are those that the function would give for each row, to the last bit. Where it
    branches on a Value (``if``, ``while``, ``max``, ``sorted``), rows that go another way are recorded as another path.

    Numbers and arrays (and lists, which are arrays, as for NumPy) are traced, and so are the parts of tuples, dicts and
    dataclasses of them. Other arguments (strings, bools, None, functions) are static: the function is recorded anew for
    each. Values that the function uses but does not get as arguments are parameters: their data is read at each call.
    All else that it uses is as it was when it was recorded.

    Parameters
    ----------
    f : callable, optional
        The function. Without it, a decorator is returned.
    signature : str, optional
        The core dimensions of each argument and result, as for NumPy's generalised ufuncs: ``"(n),()->()"``. An
        argument with core dimensions is an object array of Values to the function. Without it, all are numbers.
    fastmath : bool
        Whether sums may be reordered and multiplications fused with additions: faster, but the last bits may differ.
    max_paths : int
        How many paths there may be.
    static : int or str, or iterable of int and str
        Arguments that are static although they are numbers, such as the length of a loop.

    Returns
    -------
    Compiled
        A function with methods ``grad``, ``value_and_grad``, ``jacobian``, ``hessian``, ``hvp``, ``jvp``, ``vjp``,
        ``partial``, ``sum_grad`` and ``backward``.

    Examples
    --------
    >>> import fastgrad as fg
    >>> @fg.compile
    ... def f(x):
    ...     return x * fg.sin(x) if x > 0.0 else x
    >>> f([-1.0, 0.0, 2.0])
    array([-1.        ,  0.        ,  1.81859485])
    >>> f.grad(-3.0)
    1.0
    >>> @fg.compile(signature="(n)->()")
    ... def rosenbrock(x):
    ...     return fg.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)
    >>> rosenbrock.value_and_grad([1.0, 2.0, 3.0])
    (201.0, array([-400., 1002., -200.]))
    """
    options: dict[str, Any] = {"fastmath": fastmath, "max_paths": max_paths, "static": static}
    if f is None:
        return lambda function: Compiled(function, signature, **options)
    return Compiled(f, signature, **options)


def load(path: str | PathLike[str], f: Callable[..., Any] | None = None) -> Compiled:
    """Read a compiled function from a file that its method ``save`` has written.

    No code is in the file, nor is any run: it holds recordings.

    Parameters
    ----------
    path : str or path
        The file.
    f : callable, optional
        The function that was recorded, for arguments that have no recording in the file. Without it they are an error.

    Returns
    -------
    Compiled
        The function, with new parameters if it uses any.

    Raises
    ------
    ValueError
        If the file is not as it was written, or of another version.

    Examples
    --------
    >>> import fastgrad as fg, os, tempfile
    >>> w = fg.Value(3.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "f")
    ...     f = fg.compile(lambda x: w * x)
    ...     before = f(2.0)
    ...     f.save(path)
    ...     f = fg.load(path)
    >>> f(2.0), f.parameters[0].data
    (6.0, 3.0)
    """
    state = _file.read(path)
    try:
        return _store.filled(
            Compiled, state, f, "it was loaded from a file, without its function; give it as fg.load(path, f)"
        )
    except _file.MALFORMED as error:
        raise _errors.damaged_file(path) from error
