"""What the documentation shows is run: docstrings, the README's tour, and every example in docs/."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from types import BuiltinFunctionType, ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PAGES = [path for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]) if "```python" in path.read_text()]
MODULES = ["fastgrad", "fastgrad._methods", "fastgrad.calculus", "fastgrad.nn", "fastgrad.optim", "fastgrad.functions"]


def blocks(path: Path, language: str) -> list[tuple[int, str]]:
    """The fenced blocks of one language, with the lines they begin at."""
    text = path.read_text()
    found = re.finditer(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [(text[: block.start(1)].count("\n") + 1, block[1]) for block in found]


def run_doctest(test: doctest.DocTest) -> None:
    said: list[str] = []
    results = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=said.append)
    assert results.failed == 0, "".join(said)


@pytest.mark.parametrize("name", MODULES)
def test_docstrings_tell_the_truth(name: str, fg: ModuleType) -> None:
    module = importlib.import_module(name)
    finder = doctest.DocTestFinder(exclude_empty=True)
    tests = finder.find(module, name)
    for member in (getattr(module, member) for member in getattr(module, "__all__", ())):
        if getattr(member, "__module__", name) != name or isinstance(member, BuiltinFunctionType):
            tests += finder.find(member, member.__name__, module=False, globs={})
    examples = [test for test in tests if test.examples]
    assert examples, f"{name} shows no example"
    for test in examples:
        run_doctest(test)


def test_every_public_function_shows_an_example(fg: ModuleType) -> None:
    public = [fg.Value, fg.Value.backward, fg.Value.zero_grad, fg.no_grad]
    public += [getattr(fg, name) for name in fg.__all__ if inspect.isroutine(getattr(fg, name))]
    assert [thing.__name__ for thing in public if ">>>" not in (thing.__doc__ or "")] == []


@pytest.mark.parametrize("backend", ["c", "python"])
@pytest.mark.parametrize("path", PAGES, ids=[path.relative_to(ROOT).as_posix() for path in PAGES])
def test_page_runs_from_top_to_bottom(path: Path, backend: str, tmp_path: Path, run_python: Callable[..., str]) -> None:
    folder = str(Path(__file__).parent)
    program = f"import os, sys; os.chdir({str(tmp_path)!r}); sys.path.append({folder!r}); import test_docs"
    run_python(f"{program}; test_docs.run_page({str(path)!r})", backend)


def run_page(path: str) -> None:
    names = {"__name__": "__main__"}
    for line, block in blocks(Path(path), "python"):
        if block.lstrip().startswith(">>>"):
            run_doctest(doctest.DocTestParser().get_doctest(block, names, path, path, line))
        else:
            exec(compile("\n" * (line - 1) + block, path, "exec"), names)


@pytest.mark.parametrize("path", sorted(ROOT.glob("docs/uses/*.md")), ids=lambda path: path.name)
def test_use_is_linked_and_shows_its_results(path: Path) -> None:
    assert f"(uses/{path.name})" in ROOT.joinpath("docs", "compiled.md").read_text()
    assert f"(docs/uses/{path.name})" in README.read_text()
    shown = [block for _, block in blocks(path, "python")]
    assert sum("assert" in block for block in shown) > len(shown) / 2


@pytest.mark.parametrize("path", [README, *ROOT.glob("docs/**/*.md")], ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text())
    assert [target for target in targets if not path.parent.joinpath(target).exists()] == []


def test_readme_has_a_tour_of_thirty_lines() -> None:
    longest = max((block for _, block in blocks(README, "python")), key=len)
    assert 15 <= len(longest.splitlines()) <= 40


def test_ci_runs_the_test_command_of_the_readme() -> None:
    command = re.search(r"<!-- command:test -->\n```sh\n(.*?)```\n<!-- end -->", README.read_text(), re.DOTALL)
    assert command and "pytest" in command[1]
    assert "<!-- command:test -->" in ROOT.joinpath(".ci", "run").read_text()
