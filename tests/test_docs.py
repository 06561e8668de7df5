"""What the documentation shows is run: docstrings, the README's tour, and every example in docs/."""

from __future__ import annotations

import contextlib
import doctest
import importlib
import importlib.util
import inspect
import io
import linecache
import re
from collections.abc import Callable
from pathlib import Path
from types import BuiltinFunctionType, ModuleType

import pytest

import fastgrad

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PAGES = [path for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]) if "```python" in path.read_text()]
MODULES = ["fastgrad", "fastgrad.calculus", "fastgrad.nn", "fastgrad.nn.init", "fastgrad.optim", "fastgrad.functions"]
MODULES += ["fastgrad.distributed", "fastgrad.distributed._workers"]
MODULES += ["fastgrad._methods", "fastgrad.viz.draw", "fastgrad.viz.page", "fastgrad.viz.plots"]
MODULES += ["fastgrad.sklearn"]


def blocks(path: Path, language: str) -> list[tuple[int, str]]:
    """The fenced blocks of one language, with the lines they begin at."""
    text = path.read_text()
    found = re.finditer(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [(text[: block.start(1)].count("\n") + 1, block[1]) for block in found]


def run_doctest(test: doctest.DocTest) -> None:
    said: list[str] = []
    results = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=said.append)
    assert results.failed == 0, "".join(said)


def docstrings(name: str) -> list[doctest.DocTest]:
    """Those of a module and of what it exports."""
    module = importlib.import_module(name)
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = finder.find(module, name)
    for member in (getattr(module, member) for member in getattr(module, "__all__", ())):
        if getattr(member, "__module__", name) != name or isinstance(member, BuiltinFunctionType):
            found += finder.find(member, member.__name__, module=False, globs={})
    return found


@pytest.mark.parametrize("name", MODULES)
def test_docstrings_tell_the_truth(name: str, fg: ModuleType) -> None:
    examples = [test for test in docstrings(name) if test.examples]
    assert examples, f"{name} shows no example"
    for test in examples:
        run_doctest(test)


@pytest.mark.parametrize("name", MODULES)
def test_sections_of_docstrings_begin_at_the_margin(name: str, fg: ModuleType) -> None:
    """Python 3.13 takes the indentation from a docstring, but not from what is put into it later."""
    texts = {test.name: inspect.cleandoc(test.docstring) for test in docstrings(name)}
    assert [name for name, text in texts.items() if re.search(r"^ +-{3,}$", text, re.MULTILINE)] == []


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
    shown, name, text = outputs(Path(path)), Path(path).name, Path(path).read_text()
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    for line, block in blocks(Path(path), "python"):
        needs = re.fullmatch(r"<!-- needs: (\w+) -->", text.splitlines()[line - 3])
        if needs and importlib.util.find_spec(needs[1]) is None:
            continue  # of a library that is in no extra for tests; with it installed the example runs
        if block.lstrip().startswith(">>>"):
            run_doctest(doctest.DocTestParser().get_doctest(block, names, path, path, line))
            continue
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile("\n" * (line - 1) + block, name, "exec"), names)
        after = line + block.count("\n") + 1  # what stands below a block, with a line between, is what it prints
        if (expected := shown.pop(after, None)) is not None:
            found = printed.getvalue()
            assert found == expected, f"{path}:{line} prints\n{found}python tools/pages.py writes it there"
    assert not shown, f"{path}: under no block: {shown}"


def outputs(path: Path) -> dict[int, str]:
    """The blocks of output that hold for this backend, by the line that the program above them ends before."""
    both = blocks(path, "output") + (blocks(path, "output c") if fastgrad.backend().name == "c" else [])
    return {line - 2: block for line, block in both}


@pytest.mark.parametrize("path", sorted(ROOT.glob("docs/**/*.md")), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_block_is_run_or_is_no_program(path: Path) -> None:
    fences = re.findall(r"^```(.*)$", path.read_text(), re.MULTILINE)[::2]
    roles = {"python", "output", "output c", "sh", "c", "", "{eval-rst}", "{toctree}", "{include} ../README.md"}
    assert set(fences) <= roles


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
