"""Compiled functions on many machines, with Dask: applied to Dask arrays, and summed over partitioned data.

>>> import dask.array as da
>>> import numpy as np
>>> import fastgrad as fg
>>> from fastgrad import distributed
>>> f = fg.compile(lambda w, x: (w * x - 1.0) ** 2)
>>> x = da.from_array(np.arange(4.0), chunks=2)
>>> distributed.apply(f, 1.0, x).compute()
array([1., 0., 1., 4.])
>>> distributed.value_and_grad(f, 1.0, x)
(6.0, 16.0)
"""

from ._apply import apply
from ._gradient import backward, value_and_grad
from ._workers import Workers

__all__ = ["Workers", "apply", "backward", "value_and_grad"]
