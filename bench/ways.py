"""What a contest consists of: ways to do the same work, of which fastgrad's comes first."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any, NamedTuple

OURS = "fastgrad"


class Way(NamedTuple):
    """A way to do the work of a contest."""

    name: str
    run: Callable[[], Any]
    result: Callable[[], Any]  # numbers that all ways have to agree on; called once, before anything is timed
    per: int = 1  # units of work in a run


def there(package: str) -> bool:
    """Return whether a package is installed."""
    return importlib.util.find_spec(package) is not None


def one_thread(package: str) -> Any:
    """Import PyTorch, and have it use a single thread."""
    torch = importlib.import_module(package)
    torch.set_num_threads(1)
    return torch
