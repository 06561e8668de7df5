"""Where a user's program stands: the innermost frame that is neither of this package nor of the standard library."""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from types import FrameType
from typing import NamedTuple


class Line(NamedTuple):
    """A line of source."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}, in {self.function}"


UNKNOWN = Line("", 0, "")

_STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep
_INSTALLED = tuple(_STANDARD_LIBRARY + folder + os.sep for folder in ("site-packages", "dist-packages"))
_OWN = os.path.dirname(__file__) + os.sep


@lru_cache(maxsize=4096)
def is_users(file: str) -> bool:
    """Whether code of that file is the user's: not ours, nor NumPy's or Python's own, which call back to Values."""
    if file.startswith((_OWN, "<frozen ", "<__array_function__")):
        return False
    if "numpy" in sys.modules and file.startswith(os.path.dirname(str(sys.modules["numpy"].__file__)) + os.sep):
        return False
    return not file.startswith(_STANDARD_LIBRARY) or file.startswith(_INSTALLED)


def user_line() -> Line:
    """The line of the user's program that is running."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and not is_users(frame.f_code.co_filename):
        frame = frame.f_back
    if frame is None:
        return UNKNOWN
    return Line(frame.f_code.co_filename, frame.f_lineno or 0, frame.f_code.co_name)
