"""The command line: ``python -m fastgrad run|info|demo``."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from importlib import import_module

from . import __version__, backend
from ._backend import tape_stats


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    ours = 2 if words[:1] == ["run"] else len(words)  # the rest is the script's: argparse would take a "--" from it
    options = _parser().parse_args(words[:ours])
    if options.command == "run":
        return _run(options.script, words[ours:])
    if options.command == "info":
        print(_info())
        return 0
    from .demo import demo

    return demo(quick=options.quick, out=options.out, seed=options.seed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fastgrad", description="Scalar automatic differentiation at compiled speed."
    )
    parser.add_argument("--version", action="version", version=f"fastgrad {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="run | info | demo")

    run = commands.add_parser(
        "run", usage="python -m fastgrad run SCRIPT [args]", help="run an unmodified micrograd program on fastgrad"
    )
    run.add_argument("script", metavar="SCRIPT", help="a Python file that imports micrograd; what follows is its own")

    commands.add_parser("info", help="print version, backend and CPU features")

    demo = commands.add_parser("demo", help="train on handwritten digits, draw a figure, compare with pure Python")
    demo.add_argument("--quick", action="store_true", help="a smaller run, of some seconds")
    demo.add_argument("--out", default="fastgrad-digits.png", metavar="PATH", help="the figure (default: %(default)s)")
    demo.add_argument("--seed", type=_seed, default=0, metavar="N", help="of split, weights and order (default: 0)")
    return parser


def _seed(text: str) -> int:
    seed = int(text)
    if not 0 <= seed < 2**32:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 to 2**32 - 1, got {text}")
    return seed


def _run(script: str, args: list[str]) -> int:
    if not os.path.isfile(script):
        print(f"python -m fastgrad run: no such file: {script!r}", file=sys.stderr)
        return 2
    from ._micrograd import run

    run(script, args)
    return 0


def _info() -> str:
    import numpy as np

    stats = tape_stats()
    per_node = f"{stats['bytes'] / stats['capacity']:.0f} bytes" if stats["capacity"] else "no tape, Python objects"
    lines = {
        "fastgrad": __version__,
        "backend": str(backend()),
        "a node": per_node,
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "NumPy": np.__version__,
        "platform": platform.platform(),
        "CPU features": " ".join(_cpu_features()) or "not known to this NumPy",
    }
    return "\n".join(f"{label + ':':<14}{text}" for label, text in lines.items())


def _cpu_features() -> list[str]:
    for private in ("numpy._core._multiarray_umath", "numpy.core._multiarray_umath"):
        try:
            module = import_module(private)
        except ModuleNotFoundError:
            continue
        return [name for name, present in getattr(module, "__cpu_features__", {}).items() if present]
    return []


if __name__ == "__main__":
    sys.exit(main())
