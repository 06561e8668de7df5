"""Draw the diagrams of docs/how_it_works.md, as SVG files that need nothing else.

    python tools/diagrams.py

The numbers of the tape are those of a run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

import fastgrad as fg

FOLDER = Path(__file__).resolve().parent.parent / "docs/images"
INK, FAINT, BLUE, PALE, ORANGE, GREY = "#1f2933", "#6b7a8f", "#3e7cb1", "#dbe9f6", "#e08e0b", "#eef0f2"


class Drawing:
    """An SVG drawing on a white ground, so that it can be read on dark pages too."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'role="img" aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="14">',
            f"<title>{escape(title)}</title>",
            '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            f'orient="auto-start-reverse"><path d="M0 0 L8 4 L0 8 z" fill="{INK}"/></marker></defs>',
            f'<rect width="{width}" height="{height}" rx="10" fill="#ffffff"/>',
        ]

    def text(self, x: float, y: float, words: str, fill: str = INK, anchor: str = "middle", more: str = "") -> None:
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" fill="{fill}" text-anchor="{anchor}" {more}>{escape(words)}</text>'
        )

    def box(self, x: float, y: float, w: float, h: float, words: str = "", fill: str = PALE, ink: str = INK) -> None:
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="4" fill="{fill}" stroke="#9aa5b1"/>'
        )
        if words:
            self.text(x + w / 2, y + h / 2 + 5, words, ink)

    def arrow(self, path: str, colour: str = INK, head: bool = True, dashed: bool = False) -> None:
        end = ' marker-end="url(#head)"' if head else ""
        dash = ' stroke-dasharray="4 4"' if dashed else ""
        self.parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.4"{end}{dash}/>')

    def lines(self, x: float, y: float, rows: Sequence[str], fill: str = INK) -> None:
        for i, row in enumerate(rows):
            self.text(x, y + 22 * i, row, fill, "start", 'font-family="ui-monospace, monospace" xml:space="preserve"')

    def __str__(self) -> str:
        return "\n".join([*self.parts, "</svg>"]) + "\n"


def tape() -> Drawing:
    """The small graph L = (a * b + c) * f as columns of the arrays."""
    a, b, c, f = (fg.Value(x, label=name) for x, name in ((2.0, "a"), (-3.0, "b"), (10.0, "c"), (-2.0, "f")))
    e = a * b
    d = e + c
    loss = d * f
    loss.backward()
    nodes = [a, b, c, f, e, d, loss]
    names = ["a", "b", "c", "f", "e = a*b", "d = e+c", "L = d*f"]
    picture = Drawing(820, 330, "The tape of L = (a * b + c) * f: one column a node, operands before their users")
    left, top, wide, high = 110, 120, 95, 32
    for i, (node, name) in enumerate(zip(nodes, names, strict=True)):
        x = left + wide * i
        picture.text(x + wide / 2 - 4, top - 12, name, BLUE, more='font-weight="bold"')
        children = [nodes.index(child) for child in node._children]
        cells = [str(i), node._op or "leaf", ", ".join(map(str, children)) or "-", f"{node.data:g}", f"{node.grad:g}"]
        for row, cell in enumerate(cells):
            picture.box(x, top + high * row, wide - 8, high - 4, cell, GREY if row == 0 else PALE)
        for child in children:
            start, end = x + wide / 2 - 4, left + wide * child + wide / 2 - 4
            lift = 22 + 9 * (i - child)
            picture.arrow(
                f"M{start:g} {top - 28} C{start:g} {top - 28 - lift} {end:g} {top - 28 - lift} {end:g} {top - 28}"
            )
    for row, name in enumerate(["node", "op", "args", "value", "grad"]):
        picture.text(left - 14, top + high * row + 19, name, INK, "end")
    y = top + high * 5 + 18
    picture.arrow(f"M{left} {y} H{left + 7 * wide - 8}")
    picture.text(left + 3.5 * wide, y - 5, "forward: each operation appends a column", INK)
    picture.arrow(f"M{left + 7 * wide - 8} {y + 22} H{left}", ORANGE)
    picture.text(left + 3.5 * wide, y + 17, "backward: one walk from right to left", ORANGE)
    return picture


def reclaim() -> Drawing:
    """A tape that is full, and what is left of it."""
    picture = Drawing(820, 300, "Reclaiming: what living handles need slides to the left, in order")
    held, kept = {1, 9, 14}, [0, 1, 4, 7, 9, 14]
    left, wide = 110, 43

    def colours(i: int) -> tuple[str, str]:
        return (BLUE, "#ffffff") if i in held else (PALE, INK) if i in kept else (GREY, FAINT)

    picture.text(left - 14, 119, "full", INK, "end")
    picture.text(left - 14, 249, "after", INK, "end")
    for i in range(16):
        picture.box(left + wide * i, 98, wide - 5, 32, str(i), *colours(i))
        if i in held:
            picture.box(left + wide * i - 4, 40, wide + 3, 24, "Value", "#ffffff")
            picture.arrow(f"M{left + wide * i + 19} 64 V96")
    for user, operand in ((9, 7), (9, 4), (14, 9), (4, 0)):
        x, to = left + wide * user + 14, left + wide * operand + 24
        picture.arrow(f"M{x} 98 C{x} 72 {to} 72 {to} 97", FAINT)
    for new, old in enumerate(kept):
        x, to = left + wide * old + 19, left + wide * new + 19
        picture.arrow(f"M{x} 131 C{x} 180 {to} 180 {to} 226", FAINT, dashed=True)
        picture.box(left + wide * new, 228, wide - 5, 32, str(new), *colours(old))
    for new in range(len(kept), 16):
        picture.box(left + wide * new, 228, wide - 5, 32, "", "#ffffff")
    picture.text(left + wide * 11, 283, "room for new nodes", FAINT)
    picture.text(left + wide * 3, 283, "held by a handle, or needed by what is", FAINT)
    return picture


def program() -> Drawing:
    """From a Python function to code."""
    picture = Drawing(820, 300, "A function becomes a program, the program gets its derivatives, and is made into code")
    recorded = "x = input|w = input|s = sin(x)|y = w * s"
    stages = [
        ("record", "def f(x, w):|  return w * sin(x)", recorded),
        ("differentiate", "", f"{recorded}|c = cos(x)|p = 1 * w|dx = p * c|dw = 1 * s"),
        ("rewrite", "", f"{recorded}|c = cos(x)|dx = w * c|dw = s"),
        ("make code", "", "once a call:|  w|for each block:|  s = sin(x)|  y = w * s|  c = cos(x)|  dx = w * c"),
    ]
    for i, (title, before, rows) in enumerate(stages):
        x = 20 + 200 * i
        picture.box(x, 50, 172, 230, "", GREY)
        picture.text(x + 86, 36, title, BLUE, more='font-weight="bold"')
        picture.lines(x + 10, 74, before.split("|"), FAINT)
        picture.lines(x + 10, 128 if before else 74, rows.split("|"))
        if i:
            picture.arrow(f"M{x - 26} 165 H{x - 3}")
    return picture


def lanes() -> Drawing:
    """An instruction works on a block of rows, and threads on chunks of blocks."""
    picture = Drawing(820, 310, "Rows are dealt to threads in chunks, and run through the instructions block by block")
    picture.text(95, 30, "rows of the batch", BLUE, more='font-weight="bold"')
    for chunk in range(2):
        for block in range(4):
            y = 46 + 120 * chunk + 27 * block
            busy = block == 1
            picture.box(30, y, 130, 23, "a block: 256 rows" if busy else "", BLUE if busy else PALE, "#ffffff")
        picture.text(180, 104 + 120 * chunk, f"chunk for thread {chunk + 1}", INK, "start")
        picture.arrow(f"M162 {84 + 120 * chunk} H352", BLUE)
    for chunk in range(2):
        for step, words in enumerate(["s = sin(x)", "y = w * s", "c = cos(x)", "dx = w * c"]):
            x, y = 356 + 112 * step, 60 + 120 * chunk
            picture.box(x, y, 98, 50, "", GREY)
            picture.text(x + 49, y + 18, words, INK, more='font-family="ui-monospace, monospace" font-size="13"')
            for lane in range(8):
                picture.box(x + 7 + 10.6 * lane, y + 28, 8.6, 14, "", BLUE)
            if step:
                picture.arrow(f"M{x - 13} {y + 25} H{x - 2}")
    picture.text(580, 30, "one instruction, all lanes, then the next", BLUE, more='font-weight="bold"')
    picture.text(400, 296, "what depends on no row (w) is computed once a call, before", FAINT)
    return picture


DIAGRAMS: dict[str, Callable[[], Drawing]] = {"tape": tape, "reclaim": reclaim, "program": program, "lanes": lanes}

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, draw in DIAGRAMS.items():
        FOLDER.joinpath(f"{name}.svg").write_text(str(draw()), encoding="utf-8", newline="\n")
