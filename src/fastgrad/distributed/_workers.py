"""What computes the batches of `fastgrad.fit` on a cluster."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from .._chunks import CHUNK
from .._signature import Floats
from . import _errors
from ._gradient import value_and_grad
from ._shipping import client_of, dask


class Workers:
    """The workers of a cluster, as ``fastgrad.fit(..., client=client)`` uses them.

    A batch is cut into pieces, whose rows are sent to workers with the numbers of the parameters; sums come back. They
    have the bits that one process gives, so that a run can be begun here and be resumed there.

    Parameters
    ----------
    client : dask.distributed.Client, optional
        The cluster. Without it, this is the current client's; or, if there is none, this process.
    rows : int, optional
        How many rows there are in a piece: a multiple of 1024, so that the bits do not depend on it. Without it, each
        thread of the workers gets one piece, as a task costs more than a millisecond.

    Raises
    ------
    ValueError
        If ``rows`` is not a multiple of 1024.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgrad as fg
    >>> from fastgrad import distributed
    >>> w = fg.Value(0.5)
    >>> loss = fg.compile(lambda x, y: (w * x - y) ** 2)
    >>> x = np.linspace(0.0, 1.0, 3000)
    >>> total, gradient = distributed.Workers().sum_grad(loss, x, x)
    >>> total == loss.sum_grad(x, x, argnums="parameters")[0]
    True
    """

    def __init__(self, client: Any = None, rows: int | None = None) -> None:
        if rows is not None and (isinstance(rows, bool) or not isinstance(rows, int) or rows < 1 or rows % CHUNK):
            raise _errors.bad_rows(rows, CHUNK)
        client_of(client)  # to refuse at once what is none
        self.client = client
        self.rows = rows

    def sum_grad(self, loss: Any, *batch: Floats) -> tuple[float, Floats]:
        """Return the sum of a loss over the rows of arrays, and its gradient with respect to the loss's parameters.

        Parameters
        ----------
        loss : Compiled
            The loss of one row.
        *batch : ndarray
            Its arguments, with rows in their first dimension.

        Returns
        -------
        float, ndarray
            What ``loss.sum_grad(*batch, argnums="parameters")`` gives.

        Examples
        --------
        >>> import numpy as np
        >>> import fastgrad as fg
        >>> from fastgrad import distributed
        >>> w = fg.Value(3.0)
        >>> distributed.Workers().sum_grad(fg.compile(lambda x: w * x), np.array([1.0, 2.0]))
        (9.0, array([3.]))
        """
        from_array, client = dask("dask.array").from_array, client_of(self.client)
        rows = self.rows or _shared_out(len(batch[0]), 1 if client is None else sum(client.nthreads().values()))
        arrays = [from_array(a, chunks=(rows, *np.shape(a)[1:]), name=False) for a in batch]
        # Else Dask would warn of what is meant here: the rows are part of the graph, so that no worker can lose them.
        with dask("dask").config.set({"distributed.admin.large-graph-warning-threshold": sys.maxsize}):
            total, gradient = value_and_grad(loss, *arrays, argnums="parameters", client=client)
        return total, gradient


def _shared_out(rows: int, threads: int) -> int:
    """The rows of a piece where each thread gets one, in whole chunks."""
    return -(-max(rows, 1) // (CHUNK * max(threads, 1))) * CHUNK
