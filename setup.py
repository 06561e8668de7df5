"""Builds the C core; without a compiler the package installs all the same and runs on its pure-Python backend."""

import os
import sys
from pathlib import Path

import numpy
from setuptools import Extension, setup

TAPE = {"handle", "reclaim", "record", "reduction", "slots", "sweep", "tape", "trace", "value"}
BOTH = {"own_fused", "own_plain", "special"}

if sys.platform == "win32":
    FLAGS = ["/O2", "/std:c11", "/fp:precise", "/Zc:preprocessor"]
else:
    # A rule means the same in Python and in C only if the compiler fuses no multiply with an add. Nobody looks at errno
    # or at the processor's floating-point flags: knowing this, the compiler can turn more loops into SIMD code.
    FLAGS = ["-std=c11", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fvisibility=hidden"]


def extension(name: str, sources: set[str], **settings: list[str]) -> Extension:
    return Extension(
        f"fastgrad.{name}",
        [f"src/fastgrad/{name}.pyx", *(f"csrc/{source}.c" for source in sorted(sources))],
        depends=[*map(str, Path("csrc").glob("*.[hd]*")), *map(str, Path("src/fastgrad").glob("*.pxi"))],
        extra_compile_args=FLAGS,
        optional="FASTGRAD_REQUIRE_C" not in os.environ,
        **settings,
    )


every = {path.stem for path in Path("csrc").glob("*.c") if not path.stem.startswith("test_")}
core = extension("_core", TAPE | BOTH, include_dirs=["csrc"])
program = extension("_program", every - TAPE, include_dirs=["csrc", numpy.get_include()])

setup(ext_modules=[core, program])
