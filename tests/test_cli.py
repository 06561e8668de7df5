"""python -m fastgrad: run makes micrograd programs run unmodified, info and --version tell what is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import pytest

TRACE = """
    import json
    import random
    import sys
    from collections import Counter

    from micrograd.engine import Value
    from micrograd.nn import MLP

    def trace(root):
        nodes, edges = set(), set()
        def build(v):
            if v not in nodes:
                nodes.add(v)
                for child in v._prev:
                    edges.add((child, v))
                    build(child)
        build(root)
        return nodes, edges

    a = Value(-4.0)
    b = Value(2.0)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    random.seed(3)
    model = MLP(3, [2, 1])
    y = (0.5 * g - model([1.0, Value(2.0), -1])) / (3 - b / a)
    y.backward()
    nodes, edges = trace(y)
    print(json.dumps({
        "nodes": len(nodes),
        "edges": len(edges),
        "ops": dict(sorted(Counter(v._op for v in nodes).items())),
        "data": y.data,
        "grads": [v.grad for v in (a, b, *model.parameters())],
        "sum of leaf grads": sum(sorted(v.grad for v in nodes if not v._prev)),
    }))
"""

# What micrograd 0.1.0 (PyPI) on CPython 3.11 prints for the program above.
MICROGRAD_TRACE = {
    "nodes": 86,
    "edges": 101,
    "ops": {"": 31, "*": 21, "**-1": 3, "**2": 1, "**3": 1, "+": 25, "ReLU": 4},
    "data": 3.2245330236787866,
    "grads": [
        *(19.71824085515183, 91.9949989947685, 0.0, 0.0, 0.0, 0.0, -0.1928394754836914, -0.3856789509673828),
        *(0.1928394754836914, -0.1928394754836914, 0.0, -0.4513324500414225, -0.2857142857142857),
    ],
    "sum of leaf grads": 115.45684078830529,
}


@pytest.fixture
def fastgrad(backend, tmp_path):
    """Run `python -m fastgrad ...` on the backend under test, in an empty folder."""

    def run(*arguments, **environment):
        return subprocess.run(
            [sys.executable, "-m", "fastgrad", *arguments],
            env={**os.environ, "FASTGRAD_BACKEND": backend, **environment},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture
def script(tmp_path):
    """Write a program and return its path."""

    def write(text, name="program.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return str(path)

    return write


def output(done):
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_run_shows_the_graph_of_micrograd(fastgrad, script):
    shown = json.loads(output(fastgrad("run", script(TRACE))))
    for exact in ("nodes", "edges", "ops"):
        assert shown[exact] == MICROGRAD_TRACE[exact]
    for rounded in ("data", "grads", "sum of leaf grads"):
        assert shown[rounded] == pytest.approx(MICROGRAD_TRACE[rounded], rel=1e-12, abs=1e-12)


def test_the_programs_of_micrograds_own_tests_run(fastgrad, script):
    """The two programs of micrograd's test_engine.py; the expected numbers are micrograd's (equal to PyTorch's)."""
    program = """
        from micrograd.engine import Value
        x = Value(-4.0)
        z = 2 * x + 2 + x
        q = z.relu() + z * x
        h = (z * z).relu()
        y = h + q + q * x
        y.backward()
        assert (y.data, x.grad) == (-20.0, 46.0)

        a = Value(-4.0)
        b = Value(2.0)
        c = a + b
        d = a * b + b**3
        c += c + 1
        c += 1 + c + (-a)
        d += d * 2 + (b + a).relu()
        d += 3 * d + (b - a).relu()
        e = c - d
        f = e**2
        g = f / 2.0
        g += 10.0 / f
        g.backward()
        assert abs(g.data - 24.70408163265306) < 1e-12
        assert abs(a.grad - 138.83381924198252) < 1e-12
        assert abs(b.grad - 645.5772594752186) < 1e-12
    """
    assert output(fastgrad("run", script(program))) == ""


def test_run_builds_minus_and_division_from_primitives(fastgrad, script):
    program = """
        import numpy as np
        from micrograd.engine import Value
        v = Value(4.0)
        for out in (-v, v - 1, 1 - v, v / 2, 2 / v, v / np.int64(2), np.float64(2) - v, np.float64(2) / v):
            out.backward()
            print(out.data, out._op, sorted(child._op for child in out._prev))
        print(v.grad)
        print([w.data for w in np.array([1.0, 2.0]) - v], [w.data for w in v / np.array([1, 2])])
    """
    assert output(fastgrad("run", script(program))).splitlines() == [
        "-4.0 * ['', '']",
        "3.0 + ['', '']",
        "-3.0 + ['', '*']",
        "2.0 * ['', '']",
        "0.5 * ['', '**-1']",
        "2.0 * ['', '']",
        "-2.0 + ['', '*']",
        "0.5 * ['', '**-1']",
        "-1.25",
        "[-3.0, -2.0] [4.0, 2.0]",
    ]


def test_run_gives_number_operands_gradients_as_micrograd_does(fastgrad, script):
    program = """
        from micrograd.engine import Value
        y = Value(3.0) * 5.0
        y.backward()
        print(sorted(child.grad for child in y._prev))
    """
    assert output(fastgrad("run", script(program))) == "[3.0, 5.0]\n"


def test_every_way_to_import_micrograd_works(fastgrad, script):
    program = """
        import importlib.util
        import micrograd, micrograd.engine, micrograd.nn as nn
        from micrograd import engine
        from micrograd.nn import *
        import fastgrad
        assert engine.Value is micrograd.engine.Value is fastgrad.Value
        assert issubclass(Neuron, Module) and nn.MLP is MLP is fastgrad.nn.MLP
        assert importlib.util.find_spec("micrograd.nn") is not None
        try:
            import micrograd.missing
        except ModuleNotFoundError as error:
            print(error)
    """
    assert "micrograd.missing" in output(fastgrad("run", script(program)))


def test_run_gives_the_script_what_python_gives_it(fastgrad, script):
    script("answer = 42", "folder/neighbour.py")
    path = script("import sys, neighbour; print(__name__, sys.argv, neighbour.answer)", "folder/main.py")
    arguments = ["--out", "x", "-h", "--", "run"]
    assert output(fastgrad("run", path, *arguments)) == f"__main__ {[path, *arguments]} 42\n"


def test_an_error_of_the_script_passes_with_its_traceback(fastgrad, script):
    path = script("from micrograd.engine import Value\nValue(1.0) / 0\n")
    done = fastgrad("run", path)
    assert done.returncode == 1
    assert f'File "{path}", line 2' in done.stderr
    assert "ZeroDivisionError" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(("argument", "code"), [("3", 3), ("", 0), ("'bad'", 1)])
def test_the_exit_code_of_the_script_passes(fastgrad, script, argument, code):
    assert fastgrad("run", script(f"import sys\nsys.exit({argument})")).returncode == code


def test_a_missing_script_is_named_and_ends_with_code_2(fastgrad):
    done = fastgrad("run", "absent.py")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "python -m fastgrad run: no such file: 'absent.py'\n"


def test_info_tells_version_backend_and_machine(fastgrad, fg, backend):
    lines = dict(line.split(":", 1) for line in output(fastgrad("info")).splitlines())
    assert lines["fastgrad"].strip() == fg.__version__
    assert lines["backend"].split()[0] == backend
    assert lines["Python"].strip().endswith(".".join(map(str, sys.version_info[:3])))
    assert set(lines) == {"fastgrad", "backend", "a node", "Python", "NumPy", "platform", "CPU features"}
    assert ("bytes" in lines["a node"]) == (backend == "c")


def test_version_is_printed(fastgrad, fg):
    assert output(fastgrad("--version")) == f"fastgrad {fg.__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["walk"], ["run"], ["demo", "--seed", "x"], ["demo", "--seed", "-1"]])
def test_a_wrong_command_line_shows_the_usage(fastgrad, arguments):
    done = fastgrad(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: python -m fastgrad")
