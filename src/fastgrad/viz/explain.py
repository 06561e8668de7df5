"""The chain rule written out: each path from an output to a node, with its factors, their product, and the sum."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from functools import cached_property
from itertools import islice
from math import log10
from typing import Any, NamedTuple

from .._backend import Value
from .._walk import Node, formula, number_text, walk
from .paths import Step, count_paths, edge_of, largest_paths
from .symbols import as_latex, as_text, latex_name, latex_number, partial, short

#: So many derivatives, and so many factors of a path, are written out; of more the rest is summed up.
MOST_DERIVATIVES = 12
MOST_FACTORS = 12


class Factor(NamedTuple):
    """One factor of a path: the derivative of a node with respect to one of its operands."""

    of: str
    by: str
    operation: str  # the symbol of the node: "*", "tanh"
    formula: str  # how the node was computed: "d * f"
    symbol: str  # the derivative in names: "f"; empty where the rule is not of the table
    value: float


class Path:
    """A path from the output down to a node.

    Attributes
    ----------
    product : float
        The product of the local derivatives along it. As in a sweep, what is 0 stays 0, whatever comes behind.
    """

    def __init__(self, nodes: Sequence[Node], steps: tuple[Step, ...]) -> None:
        self._nodes = nodes
        self.steps = steps
        self.product = 1.0
        for step in steps:
            if self.product != 0.0:
                self.product *= edge_of(nodes, step).local

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the nodes along the path, the output first."""
        first = [self._nodes[step.node].name for step in self.steps]
        return (*first, *(self._nodes[edge_of(self._nodes, step).operand].name for step in self.steps[-1:]))

    @cached_property
    def factors(self) -> tuple[Factor, ...]:
        """The factors of the product, that of the output first."""
        return tuple(self._factor(step) for step in self.steps)

    @property
    def shown(self) -> tuple[Step, ...]:
        """The steps that are written out: of very many some at both ends."""
        half = MOST_FACTORS // 2
        return self.steps if len(self.steps) <= MOST_FACTORS + 1 else self.steps[:half] + self.steps[-half:]

    def _factor(self, step: Step) -> Factor:
        node = self._nodes[step.node]
        edge = node.edges[step.k]
        names = [self._nodes[other.operand].name for other in node.edges]
        symbol = as_text(partial(self._nodes, node, step.k))
        return Factor(node.name, names[step.k], node.op, formula(node, names), symbol, edge.local)

    def text(self) -> str:
        """``∂L/∂d · ∂d/∂e = f · 1 = (-2) · 1 = -2``."""
        factors = [self._factor(step) for step in self.shown]
        parts = [
            [f"∂{factor.of}/∂{factor.by}" for factor in factors],
            [_in_parentheses(factor.symbol or short(factor.value)) for factor in factors],
            [_bracketed(factor.value) for factor in factors],
        ]
        # Of a single factor that is a number, once.
        return " = ".join(dict.fromkeys([*(self._joined(part, " · ") for part in parts), number_text(self.product)]))

    def latex(self) -> str:
        """The same as LaTeX."""
        factors = [(self._factor(step), partial(self._nodes, self._nodes[step.node], step.k)) for step in self.shown]
        parts = [
            [rf"\frac{{\partial {latex_name(f.of)}}}{{\partial {latex_name(f.by)}}}" for f, _ in factors],
            [_in_parentheses(as_latex(symbol) or latex_number(f.value)) for f, symbol in factors],
            [f"({text})" if text.startswith("-") else text for text in (latex_number(f.value) for f, _ in factors)],
        ]
        texts = [self._joined(part, r" \cdot ", r"\cdots") for part in parts]
        return " = ".join(dict.fromkeys([*texts, latex_number(self.product)]))

    def way(self) -> str:
        """``L → d → e``."""
        return self._joined([*(self._nodes[step.node].name for step in self.shown), *self.names[-1:]], " → ")

    def _joined(self, texts: Sequence[str], between: str, dots: str = "") -> str:
        left = len(self.steps) - len(self.shown)
        if left == 0:
            return between.join(texts)
        half = MOST_FACTORS // 2
        return between.join([*texts[:half], dots or f"… ({left} more) …", *texts[half:]])


class Derivative:
    """The derivative of the output with respect to one node, as a sum over paths.

    Attributes
    ----------
    output, wrt : str
        The names of the two nodes.
    value : float
        The derivative: what ``backward()`` adds to the node's ``grad``, to the last bit.
    count : int
        How many paths there are.
    paths : tuple of Path
        Those with the largest products, at most as many as were asked for; largest first.
    rest : float
        What all the other paths add: ``value`` without the products of ``paths``.
    """

    def __init__(self, nodes: Sequence[Node], target: int, max_paths: int) -> None:
        self._nodes = nodes
        self._target = target
        self._max_paths = max_paths
        self.output = nodes[-1].name
        self.wrt = nodes[target].name
        self.value = nodes[target].adjoint

    @cached_property
    def count(self) -> int:
        return count_paths(self._nodes, self._target)

    @cached_property
    def paths(self) -> tuple[Path, ...]:
        found = islice(largest_paths(self._nodes, self._target), self._max_paths)
        return tuple(Path(self._nodes, steps) for steps in found)

    @cached_property
    def rest(self) -> float:
        left = self.value
        for path in self.paths:
            left -= path.product
        return left if self.count > len(self.paths) else 0.0

    @property
    def formulas(self) -> dict[str, str]:
        """How the nodes along the paths were computed, by name, the output first."""
        along = {step.node for path in self.paths for step in path.shown}
        nodes = [self._nodes[index] for index in sorted(along, reverse=True)]
        return {
            node.name: f"{formula(node, [self._nodes[edge.operand].name for edge in node.edges])} = {short(node.data)}"
            for node in nodes
        }

    # ------------------------------------------------------------------------------------------------- as text

    @property
    def _head(self) -> str:
        return f"d{self.output}/d{self.wrt} = {number_text(self.value)}"

    @property
    def _how_many(self) -> str:
        if self.count == 0:
            return "the output itself" if self._target == len(self._nodes) - 1 else "no path passes anything on"
        if self._target == len(self._nodes) - 1:
            return "the output itself"
        if self.count == 1:
            return "one path"
        shown = "" if len(self.paths) == self.count else f", the {len(self.paths)} largest of them here"
        return f"the sum over {_counted(self.count)} paths{shown}"

    @property
    def _sum(self) -> str:
        parts = [_bracketed(path.product) for path in self.paths]
        if self.count > len(self.paths):
            parts.append(f"{_bracketed(self.rest)} (all other paths)")
        return f"{' + '.join(parts)} = {number_text(self.value)}"

    def __repr__(self) -> str:
        lines = [f"{self._head}: {self._how_many}"]
        for path in self.paths:
            if path.steps:
                lines += [f"  along {path.way()}:", f"    {path.text()}"]
        if self.count > 1:
            lines.append(f"  sum: {self._sum}")
        return "\n".join(lines)

    def _repr_markdown_(self) -> str:
        lines = [f"**{_escaped(self._head)}**: {self._how_many}", ""]
        lines += [f"- {_escaped(path.way())}: ${path.latex()}$" for path in self.paths if path.steps]
        if self.count > 1:
            lines.append(f"- sum: {_escaped(self._sum)}")
        return "\n".join(lines)

    def _repr_latex_(self) -> str:
        return _aligned(self._latex_lines())

    def _latex_lines(self) -> str:
        head = rf"\frac{{d {latex_name(self.output)}}}{{d {latex_name(self.wrt)}}}"
        products = [path.latex() for path in self.paths if path.steps]
        if not products:
            return f"{head} &= {latex_number(self.value)}"
        if self.count > len(self.paths):
            products.append(rf"{latex_number(self.rest)} \quad \text{{(all other paths)}}")
        lines = r" \\ &\quad + ".join(products)
        total = rf" \\ &= {latex_number(self.value)}" if self.count > 1 else ""
        return f"{head} &= {lines}{total}"


class Explanation(Sequence[Derivative]):
    """What `Value.explain` returns: a `Derivative` for each node that was asked for. It shows itself.

    It prints as text, and in a notebook as Markdown with formulas.
    """

    def __init__(self, nodes: Sequence[Node], targets: Sequence[int], max_paths: int) -> None:
        self._derivatives = [Derivative(nodes, target, max_paths) for target in targets]

    def __len__(self) -> int:
        return len(self._derivatives)

    def __getitem__(self, which: Any) -> Any:
        """Return a derivative by its number, or by the name of its node."""
        if not isinstance(which, str):
            return self._derivatives[which]
        for derivative in self._derivatives:
            if derivative.wrt == which:
                return derivative
        raise KeyError(f"{which!r}: expected one of {', '.join(derivative.wrt for derivative in self)}")

    def __iter__(self) -> Iterator[Derivative]:
        return iter(self._derivatives)

    @property
    def _shown(self) -> list[Derivative]:
        """The largest, in their order."""
        if len(self) <= MOST_DERIVATIVES:
            return self._derivatives
        largest = sorted(self._derivatives, key=lambda derivative: -abs(derivative.value))[:MOST_DERIVATIVES]
        return [derivative for derivative in self._derivatives if derivative in largest]

    def _texts(self, texts: Iterable[str]) -> list[str]:
        left = len(self) - len(self._shown)
        return [*texts, *([f"and {left} smaller derivatives"] if left else [])]

    @property
    def _formulas(self) -> dict[str, str]:
        formulas: dict[str, str] = {}
        for derivative in self._shown:
            formulas |= derivative.formulas
        return formulas

    def __repr__(self) -> str:
        parts = self._texts(map(repr, self._shown))
        where = [f"  {name} = {text}" for name, text in self._formulas.items()]
        return "\n".join([*parts, *(["where", *where] if where else [])])

    def _repr_markdown_(self) -> str:
        parts = self._texts(derivative._repr_markdown_() for derivative in self._shown)
        where = ", ".join(f"`{name} = {text}`" for name, text in self._formulas.items())
        return "\n\n".join([*parts, *([f"where {where}"] if where else [])])

    def _repr_latex_(self) -> str:
        lines = self._texts(derivative._latex_lines() for derivative in self._shown)
        if len(lines) > len(self._shown):
            lines[-1] = rf"& \text{{{lines[-1]}}}"
        return _aligned(r" \\[1ex] ".join(lines))


def explain(output: Value, wrt: Any, max_paths: int) -> Explanation:
    """Return what `Value.explain` returns."""
    if isinstance(max_paths, bool) or not isinstance(max_paths, int) or max_paths < 1:
        raise ValueError(f"explain(max_paths): expected a whole number of at least 1, got {max_paths!r}")
    nodes = walk(output)
    return Explanation(nodes, _targets(nodes, wrt), max_paths)


# ------------------------------------------------------------------------------------- with respect to which nodes


def _targets(nodes: Sequence[Node], wrt: Any) -> list[int]:
    if wrt is None:
        leaves = [node for node in nodes if node.kind == "leaf"]
        return [node.index for node in ([leaf for leaf in leaves if leaf.label] or leaves)]
    if isinstance(wrt, (Value, str)):
        return [_target(nodes, wrt)]
    if not isinstance(wrt, Iterable):
        raise TypeError(f"explain(wrt): expected a Value, a label, or a list of them; got {type(wrt).__name__} {wrt!r}")
    return [_target(nodes, one) for one in wrt]


def _target(nodes: Sequence[Node], which: Any) -> int:
    output = nodes[-1].name
    if isinstance(which, str):
        return _labelled(nodes, which)
    if not isinstance(which, Value):
        raise TypeError(f"explain(wrt): expected a Value or a label, got {type(which).__name__} {which!r}")
    for node in nodes:
        if node.value is which:
            return node.index
    label = f" {which.label!r}" if which.label else ""
    raise ValueError(
        f"explain(wrt): {which!r}{label} is not in the graph of {output}: {output} was not computed from it, and its "
        "derivative is 0; give one of the Values that it was computed from"
    )


def _labelled(nodes: Sequence[Node], label: str) -> int:
    output = nodes[-1].name
    found = [node for node in nodes if node.label == label] or [
        node for node in nodes if node.name == label and node.kind != "number"
    ]
    if len(found) == 1:
        return found[0].index
    if found:
        names = ", ".join(node.name for node in found[:10])
        raise ValueError(
            f"explain(wrt): {len(found)} nodes in the graph of {output} are labelled {label!r}; give the Value itself, "
            f"or its name here: {names}"
        )
    labels = list(dict.fromkeys(node.label for node in nodes if node.label))
    close = get_close_matches(label, labels, 1)
    known = (
        f"its labels are {', '.join(map(repr, labels[:20]))}" if labels else "none has a label: Value(2.0, label='a')"
    )
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"explain(wrt): no node in the graph of {output} is labelled {label!r}; {known}{hint}")


# ------------------------------------------------------------------------------------------------------- as text


def _aligned(lines: str) -> str:
    return rf"$\displaystyle \begin{{aligned}} {lines} \end{{aligned}}$"


def _bracketed(number: float) -> str:
    text = short(number)
    return f"({text})" if text.startswith("-") else text


def _in_parentheses(text: str) -> str:
    """A sum as a factor."""
    depth = 0
    for k, letter in enumerate(text):
        depth += (letter in "({[") - (letter in ")}]")
        if depth == 0 and letter in "+-" and (k == 0 or text[k - 1] == " "):
            return f"({text})"
    return text


def _counted(number: int) -> str:
    if number < 10**12:
        return f"{number:,}"
    digits = number.bit_length() * log10(2.0)  # Python refuses to write numbers of many thousand digits
    return f"about 10^{int(digits):,}"


def _escaped(text: str) -> str:
    """Text of the user's inside Markdown."""
    for letter in "\\`*_[]<>|#$":
        text = text.replace(letter, "\\" + letter)
    return text
