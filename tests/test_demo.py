"""The demo learns, draws, compares and says what is missing."""

from __future__ import annotations

import os
import random
import re
import struct
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pytest.importorskip("tqdm")


@pytest.fixture
def demo(backend, tmp_path):
    """Run `python -m fastgrad demo ...` on the backend under test, in an empty folder."""

    def run(*arguments, **environment):
        return subprocess.run(
            [sys.executable, "-m", "fastgrad", "demo", *arguments],
            env={**os.environ, "FASTGRAD_BACKEND": backend, **environment},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.slow
def test_a_quick_demo_trains_draws_and_compares(demo, backend, tmp_path):
    done = demo("--quick", "--out", "digits.png", "--seed", "3")
    assert done.returncode == 0, done.stderr
    reached = re.search(r"held-out accuracy: ([\d.]+)% of 360 digits", done.stdout)
    assert reached and float(reached[1]) > (93 if backend == "c" else 60)
    assert "one pass (forward, backward, update of 32 rows)" in done.stdout
    assert ("the C core is" in done.stdout) == (backend == "c")
    compiled = re.search(
        r"compiled network on the held-out digits: ([\d.]+)%; ([\d.]+)% for scikit-learn's", done.stdout
    )
    assert compiled and float(compiled[1]) > (94 if backend == "c" else 50)
    assert re.search(
        r"one epoch, CPU time: eager [\d,]+ ms, compiled [\d,.]+ ms, scikit-learn's MLPClassifier", done.stdout
    )
    assert "checked: loss and gradients of a batch, compiled and eager, " in done.stdout
    assert ("reduced part" in done.stdout) == (backend == "python")
    assert re.search(r"loss=[\d.]+", done.stderr) and re.search(r"accuracy=[\d.]+%", done.stderr)
    header = (tmp_path / "digits.png").read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert min(struct.unpack(">II", header[16:])) > 1000


def test_missing_packages_are_named_before_any_work(demo, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name in ('tqdm', 'sklearn') else find(name, *rest)\n"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = demo(PYTHONPATH=path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == 'the demo needs scikit-learn, tqdm: install with\n    pip install "fastgrad[demo]"\n'


@pytest.mark.parametrize(("out", "message"), [("absent/a.png", "no folder 'absent'"), ("a.txt", "ends in .png")])
def test_a_path_that_cannot_be_written_is_refused_before_any_work(demo, out, message):
    done = demo("--out", out)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr


def test_held_out_digits_are_never_trained_on(fg):
    from fastgrad.demo import load_digits

    digits, _ = load_digits(seed=0, quick=False)
    assert len(digits.rows) + len(digits.held_out_rows) == 1797
    assert len(digits.held_out_rows) == 360
    trained = {tuple(row) for row in digits.rows}
    assert not trained & {tuple(row) for row in digits.held_out_rows}
    counts = [digits.held_out_labels.count(digit) for digit in range(10)]
    assert max(counts) - min(counts) <= 2


def test_batches_cover_each_row_once(fg):
    from fastgrad.demo import Digits, batches

    rows = [[float(i)] for i in range(70)]
    digits = Digits(rows, list(range(70)), [], [])
    drawn = list(batches(digits, random.Random(0).shuffle))
    assert [len(labels) for _, labels in drawn] == [32, 32, 6]
    assert sorted(label for _, labels in drawn for label in labels) == list(range(70))
    assert all(row == [float(label)] for batch in drawn for row, label in zip(*batch, strict=True))


@pytest.mark.parametrize(
    ("reached", "quick", "agrees", "code"),
    [(0.96, False, True, 0), (0.94, False, True, 1), (0.94, True, True, 0), (0.96, False, False, 1)],
)
def test_the_exit_code_says_whether_the_promise_was_kept(fg, capsys, reached, quick, agrees, code):
    from fastgrad.demo import verdict

    assert verdict(reached, quick, agrees) == code
    assert bool(capsys.readouterr().err) == bool(code)


@pytest.mark.parametrize(
    ("reached", "reduced", "agrees", "code"),
    [(0.98, False, True, 0), (0.96, False, True, 1), (0.96, True, True, 0), (0.98, False, False, 1)],
)
def test_the_exit_code_covers_the_compiled_part(fg, capsys, reached, reduced, agrees, code):
    from fastgrad.demo import compiled_verdict

    assert compiled_verdict(reached, reduced, agrees) == code
    assert bool(capsys.readouterr().err) == bool(code)


def test_an_eager_pass_gives_the_compiled_gradient(fg):
    from fastgrad import _contest

    rows = np.random.default_rng(0).uniform(0.0, 1.0, (4, 3))
    seconds, difference = _contest._eager(5, rows, np.array([0, 3, 9, 9]), seed=1, repeats=1)
    assert seconds > 0.0
    assert difference <= _contest.TOLERANCE


def test_a_difference_between_backends_is_seen(fg):
    from fastgrad._passes import Measured, largest_difference

    here = Measured(2.0, [1.0, -4.0], 0.1)
    assert largest_difference(here, here) == 0.0
    assert largest_difference(here, Measured(2.0, [1.0, -4.5], 0.1)) == 0.125
    assert largest_difference(here, Measured(3.0, [1.0, -4.0], 0.1)) == 0.5
