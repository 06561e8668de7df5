"""Random lives of Values: names come and go, things hang on nodes, closures hold their own, and the tape makes room.

Both backends run the same story and have to tell the same in the end.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

NAMES = 6
name = st.integers(0, NAMES - 1)
number = st.sampled_from([-2.0, -0.5, 0.0, 0.25, 1.0, 3.0])

events = st.one_of(
    st.tuples(st.just("leaf"), name, number),
    st.tuples(st.just("operation"), name, name, name, st.sampled_from(["add", "mul", "minimum", "dot", "number"])),
    st.tuples(st.just("own node"), name, name, st.booleans()),
    st.tuples(st.just("drop"), name),
    st.tuples(st.just("hang"), name, name, st.sampled_from(["value", "list", "cycle"])),
    st.tuples(st.just("take child"), name, name),
    st.tuples(st.just("take hung"), name, name),
    st.tuples(st.just("write"), name, number),
    st.tuples(st.just("backward"), name),
    st.tuples(st.just("zero_grad"), name),
    st.tuples(st.just("reclaim")),
)


class Story:
    """Names for Values, and what may happen to them."""

    def __init__(self, fg: ModuleType, reclaim: Callable[[ModuleType], None]) -> None:
        self.fg, self.make_room = fg, reclaim
        self.named = [fg.Value(float(i)) for i in range(NAMES)]

    def leaf(self, i: int, x: float) -> None:
        self.named[i] = self.fg.Value(x)

    def operation(self, i: int, j: int, k: int, op: str) -> None:
        a, b = self.named[j], self.named[k]
        if op == "dot":
            self.named[i] = self.fg.dot([a, b, 2.0], [b, 0.5, a])
        elif op == "number":
            self.named[i] = 2.0 * (a - 0.25)
        else:
            self.named[i] = getattr(self.fg, op)(a, b)

    def own_node(self, i: int, j: int, refer: bool) -> None:
        child = self.named[j]
        out = self.fg.Value(child.data * 2.0, (child,), "twice")

        def _backward() -> None:
            child.grad += 2.0 * (out if refer else self.fg.Value(0.5)).grad

        out._backward = _backward
        self.named[i] = out

    def drop(self, i: int) -> None:
        self.named[i] = self.fg.Value(0.125)

    def hang(self, i: int, j: int, how: str) -> None:
        v, w = self.named[i], self.named[j]
        v.hung = w if how == "value" else [w]
        if how == "cycle":
            w.hung = v

    def take_child(self, i: int, j: int) -> None:
        if self.named[j]._children:
            self.named[i] = self.named[j]._children[-1]

    def take_hung(self, i: int, j: int) -> None:
        hung = getattr(self.named[j], "hung", None)
        if hung is not None:
            self.named[i] = hung[0] if isinstance(hung, list) else hung

    def write(self, i: int, x: float) -> None:
        self.named[i].data = x

    def backward(self, i: int) -> None:
        self.named[i].backward()

    def zero_grad(self, i: int) -> None:
        self.named[i].zero_grad()

    def reclaim(self) -> None:
        if self.fg.backend().name == "c":
            self.make_room(self.fg)

    def told(self) -> list[str]:
        """All that can be seen from the names, two generations down."""
        children = [child for v in self.named for child in v._children]
        grandchildren = [child for v in children for child in v._children]
        seen = [*self.named, *children, *grandchildren]
        hung = [getattr(v, "hung", None) for v in seen]
        return [repr((v.data, v.grad, v._op, len(v._children), h)) for v, h in zip(seen, hung, strict=True)]


@settings(max_examples=150)
@given(st.lists(events, max_size=60))
def test_backends_tell_the_same_story(
    both: dict[str, ModuleType], reclaim: Callable[[ModuleType], None], happened: list[tuple[Any, ...]]
) -> None:
    stories = [Story(fg, reclaim) for fg in both.values()]
    for what, *arguments in happened:
        for story in stories:
            getattr(story, what.replace(" ", "_"))(*arguments)
    assert stories[0].told() == stories[1].told()
