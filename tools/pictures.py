"""Draw what the documentation shows of the small graph: docs/plots/small_graph.svg and docs/pages/small_graph.html.

    python tools/pictures.py

It needs the program dot; the page is the same on every machine, and a test holds it to that.
"""

from __future__ import annotations

from pathlib import Path

import fastgrad as fg

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE, PICTURE = DOCS / "pages" / "small_graph.html", DOCS / "plots" / "small_graph.svg"


def small_graph() -> fg.Value:
    """L = (a * b + c) * f, with its derivatives."""
    a, b, c, f = (fg.Value(x, label=name) for x, name in zip((2.0, -3.0, 10.0, -2.0), "abcf", strict=True))
    e = a * b
    d = e + c
    result = d * f
    e.label, d.label, result.label = "e", "d", "L"
    result.backward()
    return result


def main() -> None:
    PAGE.parent.mkdir(exist_ok=True)
    fg.show(small_graph(), PAGE)
    fg.draw(small_graph(), PICTURE, derivatives=True)


if __name__ == "__main__":
    main()
