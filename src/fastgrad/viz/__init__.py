"""To see derivatives: plots of functions and models, drawn with Matplotlib (``pip install 'fastgrad[viz]'``).

What explains, draws and shows Values is in ``fastgrad`` and in ``Value`` itself.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .plots import plot_decision_boundary as plot_decision_boundary
    from .plots import plot_error_against_h as plot_error_against_h
    from .plots import plot_gradient_flow as plot_gradient_flow
    from .plots import plot_losses as plot_losses
    from .plots import plot_tangent as plot_tangent

# Imported at first use: what needs NumPy.
_PLOTS = ("plot_decision_boundary", "plot_error_against_h", "plot_gradient_flow", "plot_losses", "plot_tangent")

__all__ = list(_PLOTS)


def __getattr__(name: str) -> Any:
    if name in _PLOTS:
        return getattr(import_module(".plots", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLOTS})
