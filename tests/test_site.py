"""The documentation as a whole: what is generated is fresh, the site builds, the notebooks run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Import a module of tools/."""

    def load(name: str) -> ModuleType:
        monkeypatch.syspath_prepend(str(ROOT / "tools"))
        return import_module(name)

    return load


# -------------------------------------------------------------------------------------------------------- what is fresh


def test_contract_is_what_each_backend_does_eager_and_compiled(
    tool: Callable[[str], ModuleType], fg: ModuleType
) -> None:
    found = tool("contract").page(fg).splitlines()
    written = DOCS.joinpath("contract.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in found if line not in written] == [], "python tools/contract.py writes them"
    assert found == written


def test_contract_has_every_operation_and_every_edge(fg: ModuleType) -> None:
    from fastgrad._rules import REDUCTIONS, ROWS

    text = DOCS.joinpath("contract.md").read_text(encoding="utf-8")
    assert [row.name for row in (*ROWS, *REDUCTIONS) if f"| `{row.method}" not in text] == []
    heads = [line for line in text.splitlines() if line.startswith(("| x", "| terms"))]
    assert all(edge in "".join(heads) for edge in (" 0, 0 ", " 1, 1 ", " inf ", " -inf ", " nan ", " -0 "))


def test_contract_says_what_is_known_by_heart(fg: ModuleType) -> None:
    lines = DOCS.joinpath("contract.md").read_text(encoding="utf-8").splitlines()
    relu = next(line for line in lines if line.startswith("| `relu`")).split(" | ")
    assert relu[1] == "`0`<br>`0`" and relu[3] == "`1`<br>`1`"
    maximum = next(line for line in lines if line.startswith("| `maximum`")).split(" | ")
    assert maximum[5] == "`1`<br>`0.5, 0.5`"


def test_diagrams_are_those_of_their_script(tool: Callable[[str], ModuleType], fg: ModuleType) -> None:
    for name, draw in tool("diagrams").DIAGRAMS.items():
        assert DOCS.joinpath("images", f"{name}.svg").read_text(encoding="utf-8") == str(draw()), (
            "run python tools/diagrams.py"
        )


def test_notebooks_are_their_pages(tool: Callable[[str], ModuleType]) -> None:
    pytest.importorskip("jupytext")
    pages = tool("pages")
    for page, path in pages.NOTEBOOKS.items():
        assert path.read_text(encoding="utf-8") == pages.notebook(page), "run python tools/pages.py"


def test_notebooks_are_stored_without_outputs_and_lead_somewhere(tool: Callable[[str], ModuleType]) -> None:
    pytest.importorskip("jupytext")
    for page, path in tool("pages").NOTEBOOKS.items():
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = [cell for cell in cells if cell["cell_type"] == "code"]
        assert len(code) == page.read_text(encoding="utf-8").count("```python\n") >= 10
        assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)


# ----------------------------------------------------------------------------------------------------------- what runs


def test_pictures_of_a_page_are_what_its_blocks_draw(
    tool: Callable[[str], ModuleType], tmp_path: Path, fg: ModuleType
) -> None:
    pytest.importorskip("jupytext")
    pytest.importorskip("matplotlib").use("Agg")
    page = tmp_path / "page.md"
    text = (
        "```python\nimport fastgrad as fg\nprint(6 * 7)\n```\n\n```output\n?\n```\n\n"
        "```python\nfg.viz.plot_losses([2.0, 1.0])\n```\n\n![Losses](images/losses.svg)\n"
    )
    page.write_text(text)
    assert tool("pages").run(page) == text.replace("?", "42")
    assert "<svg" in tmp_path.joinpath("images", "losses.svg").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tour", "derivatives"])
def test_notebook_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    for variable, folder in (("IPYTHONDIR", "ipython"), ("JUPYTER_RUNTIME_DIR", "runtime")):
        monkeypatch.setenv(variable, str(tmp_path / folder))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(os.path.abspath, sys.path)))
    book = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    nbclient.NotebookClient(book, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in book.cells for output in cell.get("outputs", ())]
    assert [output for output in shown if output["output_type"] == "error"] == []
    assert any("image/png" in output.get("data", ()) for output in shown)


@pytest.mark.slow
def test_site_builds_without_a_warning_and_refers_to_all_that_is_public(tmp_path: Path) -> None:
    for package in ("furo", "myst_parser", "sklearn"):
        pytest.importorskip(package)
    path = os.pathsep.join(map(os.path.abspath, sys.path))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "sphinx",
            "-W",
            "--keep-going",
            "-n",
            "-q",
            "-d",
            str(tmp_path / "trees"),
            str(DOCS),
            str(tmp_path),
        ],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    documented = inventory(tmp_path / "objects.inv")
    assert [names for names in public() if not documented.intersection(names)] == []


def inventory(path: Path) -> set[str]:
    """The full names of what the site describes: four lines of head, then compressed lines that begin with a name."""
    lines = zlib.decompress(path.read_bytes().split(b"\n", 4)[4]).decode().splitlines()
    return {line.split(" ")[0] for line in lines}


def public() -> list[list[str]]:
    """What the package offers, but for its version: of each thing the full names that it has."""
    names: dict[int, list[str]] = {}
    parts = ("", ".calculus", ".nn", ".optim", ".viz", ".sklearn", ".bridges", ".distributed")
    for module in (f"fastgrad{part}" for part in parts):
        package = import_module(module)
        for name in package.__all__:
            member = getattr(package, name)
            if not name.startswith("__") and not isinstance(member, ModuleType):
                names.setdefault(id(member), []).append(f"{module}.{name}")
    return list(names.values())
