"""Run the pages of the documentation; write into them what they print, beside them what they draw, and the notebooks.

    python tools/pages.py [page ...]

A block of Python whose output is shown is followed by a block marked ``output`` (``output c``, if the backends differ);
one that draws, by a picture in ``images/``: the figure that it leaves, or what its last line shows in a notebook. Tests
run the pages again and compare what they print; notebooks are compared as text.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import linecache
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import jupytext

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
NOTEBOOKS = {
    DOCS / "tour.md": ROOT / "notebooks/tour.ipynb",
    DOCS / "derivatives.md": ROOT / "notebooks/derivatives.ipynb",
}

BLOCK = re.compile(
    r"^```python\n(?P<code>.*?)^```\n"
    r"(?:\n```(?P<output>output(?: c)?)\n.*?^```\n)?"
    r"(?P<picture>\n!\[[^\]]*\]\(images/(?P<name>[^)]+)\.svg\)\n)?",
    re.MULTILINE | re.DOTALL,
)


def run(page: Path) -> str:
    """Run a page from top to bottom; return its text with the outputs of today, and write its pictures."""
    names: dict[str, Any] = {"__name__": "__main__"}
    text = page.read_text(encoding="utf-8")
    linecache.cache[page.name] = (len(text), None, text.splitlines(keepends=True), page.name)

    def rerun(block: re.Match[str]) -> str:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            last = execute("\n" * block.string.count("\n", 0, block.start("code")) + block["code"], page.name, names)
        text = f"```python\n{block['code']}```\n"
        if block["output"]:
            text += f"\n```{block['output']}\n{printed.getvalue()}```\n"
        if block["picture"]:
            write_picture(page.parent / "images" / f"{block['name']}.svg", last)
            text += block["picture"]
        return text

    return BLOCK.sub(rerun, text)


def execute(code: str, filename: str, names: dict[str, Any]) -> Any:
    """Run a block; return the value of its last line, if that is an expression."""
    tree = ast.parse(code, filename)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, filename, "exec"), names)
    return eval(compile(ast.Expression(last.value), filename, "eval"), names) if last else None


def write_picture(path: Path, last: Any) -> None:
    """Write what a notebook would show: the value of the last line where it is a drawing, else the current figure."""
    path.parent.mkdir(exist_ok=True)
    if hasattr(last, "_repr_svg_"):
        path.write_text(last._repr_svg_(), encoding="utf-8", newline="\n")
        return
    import matplotlib.pyplot as plt

    with plt.rc_context({"svg.hashsalt": path.stem}):  # so that equal figures are equal files
        plt.gcf().savefig(path, metadata={"Date": None, "Creator": None}, bbox_inches="tight")
    plt.close("all")


# ------------------------------------------------------------------------------------------------------------ notebooks


def notebook(page: Path) -> str:
    """The page as a notebook without outputs: those, and the pictures, come when it is run."""
    text = BLOCK.sub(lambda block: f"```python\n{block['code']}```\n", page.read_text(encoding="utf-8"))
    text = re.sub(r"\]\((?!\w+:|#)([^)]+)\)", r"](../docs/\1)", text)
    book = jupytext.reads(text, fmt="md")
    book.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for i, cell in enumerate(book.cells):
        cell.id = f"cell-{i}"  # else it is drawn at random
    return str(jupytext.writes(book, fmt="ipynb")).rstrip("\n") + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Write what the pages print and draw, and the notebooks.")
    parser.add_argument("pages", nargs="*", type=Path, help="without any, all that show what they print or draw")
    pages = [page.resolve() for page in parser.parse_args().pages]
    os.environ["MPLBACKEND"] = "Agg"
    home = Path.cwd()
    for page in pages or sorted(DOCS.rglob("*.md")):
        if any(block["output"] or block["picture"] for block in BLOCK.finditer(page.read_text(encoding="utf-8"))):
            with tempfile.TemporaryDirectory() as folder:
                os.chdir(folder)
                while (text := run(page)) != page.read_text(encoding="utf-8"):  # lines that move may be printed
                    page.write_text(text, encoding="utf-8", newline="\n")
                os.chdir(home)
            print(page.relative_to(ROOT), file=sys.stderr)
    for page, path in NOTEBOOKS.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(notebook(page), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
