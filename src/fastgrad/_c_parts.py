"""fastgrad's own C, taken apart: of all the functions, tables and macros of its kernels, those that some code needs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

_ROOTS = ("reduce.h", "kernels.h")
_WORDS = "kernels.h"  # its macros are words of the rule language, for the rules alone
_LEFT_OUT = {
    "ops.def",  # is read by Python as well: its rules stand in _rules
    "own.h",  # chooses at run time among functions of the extension
}
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_]\w*")
_DIRECTIVE = re.compile(r"#(?:[^\n\\]|\\.|\\\n)*")


class Item(NamedTuple):
    """What stands at the outermost level of a C file, with the comment above it: one definition, or a directive."""

    text: str
    defines: frozenset[str]
    uses: frozenset[str]
    is_word: bool  # a macro that is meant for the rules of the table alone


class Support(NamedTuple):
    """What some code needs: in an order in which definitions come before uses."""

    includes: frozenset[str]
    texts: list[str]
    words: list[str]  # macros to be undefined behind the rules


class Parts:
    """All items, in an order in which definitions come before uses."""

    def __init__(self, items: list[Item], includes: frozenset[str]) -> None:
        self._items = items
        self._includes = includes

    @staticmethod
    @cache
    def read() -> Parts:
        """Read the kernels and what they include."""
        texts = sources(folder())
        items = [item for name, text in texts.items() for item in _items(_unguarded(text), name == _WORDS)]
        headers = frozenset(header for text in texts.values() for header in re.findall(r"#\s*include (<.+?>)", text))
        return Parts(items, headers)

    def needed_by(self, code: str) -> Support:
        wanted = set(_NAME.findall(code))
        chosen: set[int] = set()
        while True:
            more = [i for i, item in enumerate(self._items) if i not in chosen and item.defines & wanted]
            if not more:
                break
            chosen.update(more)
            wanted.update(*(self._items[i].uses for i in more))
        items = [self._items[i] for i in sorted(chosen)]
        words = [name for item in items if item.is_word for name in item.defines]
        return Support(self._includes if items else frozenset(), [item.text for item in items], words)


def folder() -> Path:
    """Where the C sources are: beside an installed package, or in the source tree."""
    here = Path(__file__).resolve().parent
    for folder in (here / "_csrc", here.parent.parent / "csrc"):
        if folder.joinpath(_WORDS).is_file():
            return folder
    raise FileNotFoundError(
        f"fastgrad's own C sources, parts of which go into the file ({_WORDS} and what it includes), are neither in "
        f"{here / '_csrc'} nor in {here.parent.parent / 'csrc'}: install fastgrad anew"
    )


def sources(folder: Path) -> dict[str, str]:
    """The texts of the kernels and of what they include, by name, each behind what it includes itself."""
    texts: dict[str, str] = {}
    for root in _ROOTS:
        _collect(folder, root, texts)
    return texts


def _collect(folder: Path, name: str, texts: dict[str, str]) -> None:
    """The texts of a header and of the sources beside the headers that it includes, those first."""
    if name in texts or name in _LEFT_OUT or not folder.joinpath(name).is_file():
        return
    text = folder.joinpath(name).read_text(encoding="utf-8")
    texts[name] = ""  # it is being read
    for included in re.findall(r'^#\s*include "(.+)"', text, re.MULTILINE):
        _collect(folder, included, texts)
    del texts[name]
    texts[name] = text
    if name.endswith(".h"):
        _collect(folder, f"{name[:-2]}.c", texts)


# ------------------------------------------------------------------------------------------------- items of a file


def _unguarded(text: str) -> str:
    """A header without the guard against being included twice."""
    guard = re.search(r"^#ifndef (\w+)\n#define \1\n", text, re.MULTILINE)
    return text if guard is None else text[guard.end() : text.rindex("#endif")]


def _items(text: str, words: bool) -> Iterator[Item]:
    position, comment = 0, ""
    while position < len(text):
        if text[position].isspace():
            comment = "" if text.startswith("\n\n", position) else comment  # it is about what follows at once
            position += 1
        elif found := _COMMENT.match(text, position):
            comment, position = found[0] + "\n", found.end()
        else:
            end = _end_of_directive(text, position) if text[position] == "#" else _end_of_definition(text, position)
            if not re.match(r"#\s*(include|undef|error|pragma)", text[position:end]):
                yield _item(text[position:end], comment, words)
            position, comment = end, ""


def _item(text: str, comment: str, words: bool) -> Item:
    bare = _COMMENT.sub(" ", text)
    names = frozenset(_NAME.findall(bare))
    if text.startswith("#"):
        defines = re.findall(r"^#\s*define (\w+)|^\w[\w *]*?(\w+)\(", bare, re.MULTILINE)  # those of a conditional too
        return Item(comment + text, frozenset(filter(None, sum(defines, ()))), names, words)
    static = "" if re.match(r"static|struct \w+ \{|typedef|enum", bare) else "static "
    return Item(comment + static + text, _defined(bare, names), names, False)


def _defined(bare: str, names: frozenset[str]) -> frozenset[str]:
    """The names that a definition introduces: those at its outermost level that stand where a name is given."""
    head = re.match(r"[^({=;]*", bare)
    assert head is not None
    following = bare[head.end() :]
    if following.startswith("(") or following.startswith("=") or following.startswith(";"):
        return frozenset(_NAME.findall(re.sub(r"\[.*", "", head[0]))[-1:])
    if bare.startswith("enum"):
        return names
    return frozenset([*_NAME.findall(head[0])[-1:], *_NAME.findall(bare[bare.rindex("}") :])])


def _end_of_directive(text: str, position: int) -> int:
    """The end of a line that may be continued; of a conditional, the end of its last line."""
    depth = 0
    while True:
        found = _DIRECTIVE.match(text, position)
        assert found is not None
        depth += bool(re.match(r"#\s*if", found[0])) - bool(re.match(r"#\s*endif", found[0]))
        if depth == 0:
            return found.end()
        position = re.compile(r"^\s*(?=#)", re.MULTILINE).search(text, found.end()).end()  # type: ignore[union-attr]


def _end_of_definition(text: str, position: int) -> int:
    """A function ends with its body; what else there is, and a function without one, with a semicolon."""
    depth, is_function = 0, None
    for found in re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"])*\"|'(?:\\.|[^'])*'|[{}(=;]", re.DOTALL).finditer(
        text, position
    ):
        token = found[0]
        if token in "({=" and is_function is None:
            is_function = token == "("
        depth += (token == "{") - (token == "}")
        if depth == 0 and (token == ";" or (token == "}" and is_function)):
            return found.end()
    raise ValueError(f"a definition has no end: {text[position : position + 60]!r}")
