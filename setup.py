"""Builds the C core; without a compiler the package installs all the same and runs on its pure-Python backend."""

import os
import sys
from pathlib import Path

from setuptools import Extension, setup

SOURCES = ["src/fastgrad/_core.pyx", *sorted(str(path) for path in Path("csrc").glob("*.c") if "test" not in path.name)]

if sys.platform == "win32":
    FLAGS = ["/O2", "/std:c11", "/fp:precise", "/Zc:preprocessor"]
else:
    # A rule means the same in Python and in C only if the compiler fuses no multiply with an add.
    FLAGS = ["-std=c11", "-O3", "-ffp-contract=off", "-fvisibility=hidden"]

core = Extension(
    "fastgrad._core",
    SOURCES,
    include_dirs=["csrc"],
    depends=[str(path) for path in Path("csrc").glob("*.[hd]*")],
    extra_compile_args=FLAGS,
    optional="FASTGRAD_REQUIRE_C" not in os.environ,
)

setup(ext_modules=[core])
