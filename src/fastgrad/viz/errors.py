"""What drawings and pages refuse, and what is said then. Functions return the exception, for the caller to raise."""

from __future__ import annotations

from reprlib import repr as short

__all__ = [
    "bad_limit",
    "no_package",
    "no_program",
    "not_drawable",
    "not_recorded",
    "too_large_to_show",
    "unknown_direction",
    "unknown_format",
    "unused_model",
]


def _described(got: object) -> str:
    return f"{type(got).__name__} {short(got)}"


def not_drawable(name: str, got: object) -> TypeError:
    compiled = " or a compiled function" if name == "draw" else ""
    advice = "; a float has no graph: keep the Value that was computed" if isinstance(got, (int, float)) else ""
    advice = "; draw one of them, or their fg.sum" if isinstance(got, (list, tuple)) else advice
    return TypeError(f"fg.{name}(value): expected a Value{compiled}, got {_described(got)}{advice}")


def bad_limit(name: str, got: object) -> ValueError:
    return ValueError(f"fg.{name}(max_nodes): expected a whole number, 2 or more, got {short(got)}")


def too_large_to_show(count: int, limit: int) -> ValueError:
    return ValueError(
        f"fg.show(value): the graph has {count:,} nodes, more than max_nodes={limit:,}, and nobody would see anything; "
        "show a part of it, such as one term of the loss, give a larger max_nodes, or use fg.draw(value), which merges "
        "nodes into groups"
    )


def unknown_format(name: str, got: str, known: tuple[str, ...]) -> ValueError:
    formats = ", ".join(known)
    return ValueError(f"fg.{name}: expected one of the formats {formats}, got {got!r}; a path has it at its end")


def unknown_direction(got: object, known: tuple[str, ...]) -> ValueError:
    return ValueError(f"fg.draw(rankdir): expected one of {', '.join(known)}, got {short(got)}")


def not_recorded(name: str) -> ValueError:
    return ValueError(f"fg.draw(f): {name} is not recorded yet; call it once, as in f(1.0), then there is a program")


def unused_model(got: object) -> TypeError:
    return TypeError(
        f"fg.draw(model): expected a Module, whose parameters say which layer is which, got {_described(got)}"
    )


def no_package(cause: ImportError) -> ImportError:
    return ImportError(
        f"fastgrad draws through the Python package graphviz, which cannot be imported ({cause}): "
        "pip install 'fastgrad[viz]'. fg.show(value, 'page.html') needs neither the package nor the program"
    )


def no_program() -> RuntimeError:
    return RuntimeError(
        "the program 'dot' of Graphviz is not on the PATH, and it makes the pictures: install it with "
        "'apt-get install graphviz' (Debian, Ubuntu), 'brew install graphviz' (macOS), 'winget install graphviz' "
        "(Windows) or 'conda install graphviz'. The text in .source, or a path that ends in .dot, needs no program, "
        "nor does fg.show(value, 'page.html')"
    )
