"""What Value does to show itself; imported when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ._backend import Value

if TYPE_CHECKING:
    from .viz.explain import Explanation
    from .viz.steps import Steps


def explain(self: Value, wrt: Value | str | Iterable[Value | str] | None = None, *, max_paths: int = 10) -> Explanation:
    """Write out the chain rule: the derivative of this Value with respect to others, along every path to them.

    Each path is a product of local derivatives, with names, numbers and operations; their sum is what ``backward()``
    adds to the node's ``grad``, to the last bit. Nothing is changed. Where there are many paths, and there may be
    exponentially many, those with the largest products are written out, and the others summed up.

    Parameters
    ----------
    wrt : Value or str, or iterable of them, optional
        With respect to what: Values of the graph, or their labels. Without it, all leaves that have a label; if none
        has, all leaves.
    max_paths : int
        How many paths to write out for each.

    Returns
    -------
    Explanation
        A sequence with a ``Derivative`` for each, to be had by number or label. It prints as text, and shows in a
        notebook with formulas. A ``Derivative`` has ``value``, ``paths`` (each with ``factors`` and ``product``), the
        number of all paths as ``count``, and what the paths that are not written out add as ``rest``.

    Raises
    ------
    ValueError
        If this Value was not computed from one of ``wrt``, or no node or several have that label, or ``max_paths`` is
        not positive.
    TypeError
        If one of ``wrt`` is neither a Value nor a label.

    Examples
    --------
    >>> from fastgrad import Value
    >>> a, b, c, f = Value(2.0, label="a"), Value(-3.0, label="b"), Value(10.0, label="c"), Value(-2.0, label="f")
    >>> e = a * b; e.label = "e"
    >>> d = e + c; d.label = "d"
    >>> L = d * f; L.label = "L"
    >>> L.explain("a")
    dL/da = 6: one path
      along L → d → e → a:
        ∂L/∂d · ∂d/∂e · ∂e/∂a = f · 1 · b = (-2) · 1 · (-3) = 6
    where
      L = d * f = -8
      d = e + c = 4
      e = a * b = -6
    >>> [(factor.formula, factor.value) for factor in L.explain(a)["a"].paths[0].factors]
    [('d * f', -2.0), ('e + c', 1.0), ('a * b', -3.0)]
    """
    from .viz import explain as explanations

    return explanations.explain(self, wrt, max_paths)


def steps(self: Value) -> Steps:
    """Show the backward pass from this Value, node by node: what arrives at each, and what it passes on.

    Nothing is changed, ``grad`` neither.

    Returns
    -------
    Steps
        A sequence with a ``Step`` for each node, this Value first. It prints as a table, and is one in a notebook. A
        ``Step`` has ``name``, ``operation``, ``data``, ``adjoint``, ``passed`` and the step in ``words``.

    Raises
    ------
    TracingError
        While a function is recorded.

    Examples
    --------
    >>> from fastgrad import Value
    >>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    >>> e = a * b
    >>> e.label = "e"
    >>> e.steps()
    step  node  operation  data  adjoint  passes on
    1     e     a * b      -6    1        b · adjoint = -3 · 1 = -3 to a
                                          a · adjoint = 2 · 1 = 2 to b
    2     b     (leaf)     -3    2
    3     a     (leaf)     2     -3
    >>> e.steps()[2].words
    'a is a leaf: its grad grows by -3.'
    """
    from .viz import steps as tables

    return tables.steps(self)


for method in (explain, steps):
    method.__qualname__ = f"Value.{method.__name__}"
    setattr(Value, method.__name__, method)
