"""How many threads compiled functions use."""

from __future__ import annotations

import os
from operator import index

from . import _compile_errors as _errors


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_threads = _usable_cores()


def get_num_threads() -> int:
    """Return how many threads compiled functions use.

    Returns
    -------
    int
        The number given to `set_num_threads`, or else that of the cores this process may run on.

    Examples
    --------
    >>> import fastgrad as fg
    >>> fg.get_num_threads() >= 1
    True
    """
    return _threads


def set_num_threads(threads: int) -> None:
    """Set how many threads compiled functions use, in this process from now on.

    Results do not depend on it, to the last bit: rows are split among threads, and sums over rows have one order.

    Parameters
    ----------
    threads : int
        1 or more.

    Raises
    ------
    TypeError
        If it is not a whole number.
    ValueError
        If it is less than 1.

    Examples
    --------
    >>> import fastgrad as fg
    >>> before = fg.get_num_threads()
    >>> fg.set_num_threads(1)
    >>> fg.get_num_threads()
    1
    >>> fg.set_num_threads(before)
    """
    global _threads
    try:
        number = index(threads)
    except TypeError:
        raise _errors.threads_type(threads) from None
    if number < 1:
        raise _errors.too_few_threads(number)
    _threads = number
