"""How the report writes its tables."""

from __future__ import annotations


def cell(figure: dict[str, float] | None) -> str:
    """Return a median with three digits and its interquartile range."""
    if figure is None:
        return ""
    median, spread = figure["median"], figure.get("iqr")
    text = f"{median:,.0f}" if median >= 99.95 else f"{median:#.3g}"
    return text if spread is None else f"{text} ({spread:.0%})"


def markdown(header: list[str], lines: list[list[str]]) -> list[str]:
    """Return a table; every column after the first is aligned to the right."""
    rule = ["---", *["--:"] * (len(header) - 1)]
    return [f"| {' | '.join(line)} |" for line in (header, rule, *lines)]
