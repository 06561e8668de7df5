"""f.to_c(): one C99 file, compiled and compared with the function to the last bit."""

from __future__ import annotations

import ctypes
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from compiled import agree
from test_quality import COMPILER, needs_compiler

FLAGS = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O2", "-ffp-contract=off", "-fPIC", "-shared"]

Library = Callable[[str, list[float], int], tuple[int, list[float]]]


@pytest.fixture
def build(tmp_path: Path) -> Callable[[str], Library]:
    """Compile a file; its functions are called by name, with the inputs and the number of outputs."""

    def make(text: str) -> Library:
        source, library = tmp_path / "f.c", tmp_path / f"f{len(list(tmp_path.iterdir()))}.so"
        source.write_text(text)
        command = [COMPILER, *FLAGS, str(source), "-o", str(library), "-lm"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        loaded = ctypes.CDLL(str(library))

        def call(name: str, inputs: list[float], outputs: int) -> tuple[int, list[float]]:
            x, y = np.array(inputs, float), np.full(outputs, np.nan)
            status = loaded[name](ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(y.ctypes.data))
            return status, y.tolist()

        return call

    return make


@needs_compiler
def test_value_and_gradient_on_every_path(fg: ModuleType, build: Callable[[str], Library]) -> None:
    w, v = fg.Value(1.5, label="w"), fg.Value(-0.5)

    @fg.compile(signature="(n),()->()")
    def price(x: Any, y: Any) -> Any:
        if y > 0.0:
            return fg.exp(-w * y) * fg.dot(x, x) + fg.tanh(x[0])
        if y > -1.0:
            return v * w * fg.sum(x)
        return fg.log1p(y * y) + x[-1] ** 2

    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(30, 3)), rng.normal(size=30)
    values, (to_x, to_y, to_w) = price.value_and_grad(x, y, argnums=("x", "y", "parameters"))
    call = build(price.to_c())
    for row in range(30):
        inputs = [*x[row], y[row], *(p.data for p in price.parameters)]
        status, got = call("price_value_and_grad", inputs, 7)
        assert status == 0 and agree(fg, got, [values[row], *to_x[row], to_y[row], *to_w[row]])
        assert call("price_value", inputs, 1) == (0, got[:1])


@needs_compiler
def test_a_row_that_takes_no_recorded_path(fg: ModuleType, build: Callable[[str], Library]) -> None:
    f = fg.compile(lambda x: x * 2.0 if x > 0.0 else x)
    f(1.0)
    call = build(f.to_c())
    assert call("f_value", [3.0], 1) == (0, [6.0]) and call("f_value", [-3.0], 1)[0] == 1


@needs_compiler
def test_several_results_come_with_their_jacobian(fg: ModuleType, build: Callable[[str], Library]) -> None:
    f = fg.compile(lambda p, z: {"a": p[0] * z, "b": [fg.sin(p[1]), z]})
    text = f.to_c((1.0, 2.0), 3.0)
    assert "x[0]: p[0]" in text and "y[0]: d result['a'] / d p[0]" in text
    call = build(text)
    assert call("f_value", [1.0, 2.0, 3.0], 3) == (0, [3.0, f((1.0, 2.0), 3.0)["b"][0], 3.0])
    status, slopes = call("f_jacobian", [1.0, 2.0, 3.0], 9)
    assert status == 0 and agree(fg, slopes, [3, 0, 1, 0, f.jacobian((1.0, 2.0), 3.0)["b"][0][0][1], 0, 0, 0, 1])


def test_which_arguments_it_is_for(fg: ModuleType) -> None:
    @fg.compile(static="n")
    def power(x: Any, n: int) -> Any:
        return x**n

    with pytest.raises(TypeError, match=r"to_c\(\) of power: it was not called yet"):
        power.to_c()
    assert re.search(r"\bpower_value_and_grad\b", power.to_c(2.0, 3))
    power(2.0, 4)
    with pytest.raises(TypeError, match=r"called with 2 kinds"):
        power.to_c()
    assert power.to_c(2.0, 3) != power.to_c(2.0, 4)
