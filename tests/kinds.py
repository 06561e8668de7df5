"""Every kind of number that a Value combines with."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

NUMBERS = [
    *(3, -2, True, 2.5, Fraction(5, 2)),
    *(np.float64(2.5), np.float32(2.5), np.float16(2.5), np.longdouble(2.5)),
    *(np.int8(-2), np.int16(3), np.int32(3), np.int64(3), np.uint8(3), np.uint64(3), np.bool_(True)),
]
each_number = pytest.mark.parametrize("number", NUMBERS, ids=lambda number: f"{type(number).__name__}({number})")
