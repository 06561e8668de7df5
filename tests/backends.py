"""What the tests of programs share: making them, running them, and comparing numbers to the bit."""

from __future__ import annotations

import importlib
import importlib.util
import math
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from exact import BY_NAME
from hypothesis import strategies as st
from programs import Maker

from fastgrad._rules import OPCODES

Make = Callable[[Any], Any]  # the same program anew

SPECIAL = [0.0, -0.0, 1.0, -1.0, 2.0, -3.25, 1e300, -1e300, 5e-324, 1e-310, math.inf, -math.inf, math.nan]


def implementation(backend: str) -> ModuleType:
    name = {"c": "fastgrad._program", "python": "fastgrad._numpy_program"}[backend]
    if importlib.util.find_spec(name) is None and "FASTGRAD_REQUIRE_C" not in os.environ:
        pytest.skip("the C extension is not built (set FASTGRAD_REQUIRE_C to make this a failure)")
    return importlib.import_module(name)


def maker(backend: str) -> Make:
    module = implementation(backend)
    return lambda p: module.Program(p.nodes, p.pool, p.constants, p.inputs, p.outputs)


@pytest.fixture(params=["c", "python"])
def make(request: pytest.FixtureRequest) -> Make:
    """Make a program of the pure-Python backend anew, in C or in Python."""
    return maker(request.param)


@pytest.fixture
def make_c() -> Make:
    """Make a program of the pure-Python backend anew in C."""
    return maker("c")


def run(program: Any, *inputs: Any, batched: bool = True, **options: Any) -> np.ndarray[Any, Any]:
    """The outputs, one row for each row of the inputs."""
    columns = np.broadcast_arrays(*(np.atleast_1d(np.asarray(x, np.float64)) for x in inputs), np.zeros(1))[:-1]
    rows = len(columns[0]) if columns else 1
    out = np.full((rows, len(program.outputs)), np.nan)
    code = program.code([batched] * program.inputs, **options)
    code.run([column[:, np.newaxis] for column in columns], [out])
    return out


def same_bits(a: Any, b: Any) -> bool:
    a, b = np.asarray(a), np.asarray(b)
    return bool((((a == b) & (np.signbit(a) == np.signbit(b))) | (np.isnan(a) & np.isnan(b))).all())


def operations(program: Any) -> int:
    return int((~np.isin(program.nodes["op"], [OPCODES["leaf"], OPCODES["const"]])).sum())


@st.composite
def graphs(draw: Any, names: list[str], most: int = 60) -> Any:
    """A program whose steps may meet constants: of the special numbers, and as often ordinary ones."""
    make = Maker()
    nodes = [make.leaf(i) for i in range(4)]
    for _ in range(draw(st.integers(1, most))):
        row = BY_NAME[draw(st.sampled_from(names))]
        if draw(st.integers(0, 5)) == 0:
            nodes.append(make.constant(draw(st.sampled_from([*SPECIAL, 0.5, 3.0, -2.0, 4.0]))))
        count = len(row.operands) * (draw(st.integers(1, 5)) if row.kind == "REDUCE" else 1)
        nodes.append(make.row(row.name, *(draw(st.sampled_from(nodes)) for _ in range(count))))
    return make.program(4, nodes[-1], draw(st.sampled_from(nodes)))
