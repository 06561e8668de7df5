"""Threads build graphs and sweep them at the same time."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

THREADS = 6


@pytest.fixture(autouse=True)
def _switch_often() -> Iterator[None]:
    """Let the interpreter change threads at nearly every chance it has."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(work: Callable[[int], Any]) -> list[Any]:
    """Start work(0), work(1), ... at once; return their results, or raise the first error of any."""
    results: list[Any] = [None] * THREADS
    errors: list[BaseException] = []
    barrier = threading.Barrier(THREADS)

    def run(i: int) -> None:
        try:
            barrier.wait()
            results[i] = work(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads), "the threads wait for each other"
    if errors:
        raise errors[0]
    return results


def test_each_thread_has_its_own_graphs(fg: ModuleType) -> None:
    def work(i: int) -> list[float]:
        gradients = []
        for k in range(200):
            x, y = fg.Value(float(i + 1)), fg.Value(float(k))
            z = x * y + fg.sum([x * j for j in range(10)]) + x**2
            z.backward()
            gradients += [x.grad - k, y.grad]
        return gradients

    assert in_threads(work) == [[45.0 + 2 * (i + 1), float(i + 1)] * 200 for i in range(THREADS)]


def test_threads_may_read_the_same_parameters(fg: ModuleType) -> None:
    weights = [fg.Value(0.5 * i) for i in range(20)]

    def work(i: int) -> float:
        total = 0.0
        for _ in range(50):
            x = fg.Value(float(i))
            fg.dot(weights, [x] * 20).backward()
            total += x.grad
        return total

    assert in_threads(work) == [50 * 95.0] * THREADS


def test_threads_with_closures(fg: ModuleType) -> None:
    def work(i: int) -> list[float]:
        gradients = []
        for _ in range(100):
            x = fg.Value(float(i))
            out = fg.Value(x.data**2, (x,), "square")

            def _backward(x: Any = x, out: Any = out) -> None:
                slope = sum((fg.Value(1.0) * 2).data for _ in range(3)) / 3
                x.grad += slope * x.data * out.grad

            out._backward = _backward
            (out * 3).backward()
            gradients.append(x.grad)
        return gradients

    assert in_threads(work) == [[6.0 * i] * 100 for i in range(THREADS)]


def test_zero_grad_in_one_thread_during_the_sweep_of_another(fg: ModuleType) -> None:
    def work(i: int) -> list[float]:
        gradients = []
        for _ in range(100):
            x = fg.Value(3.0)
            before = x * 5
            out = fg.Value(9.0, (x,), "square")

            def _backward(x: Any = x, out: Any = out) -> None:
                x.grad += sum(2.0 for _ in range(3)) * out.grad

            out._backward = _backward
            y = out + before
            y.backward()
            gradients.append(x.grad)
            y.zero_grad()
            gradients.append(x.grad)
        return gradients

    assert in_threads(work) == [[11.0, 0.0] * 100] * THREADS


def test_exceptions_in_the_closures_of_threads(fg: ModuleType) -> None:
    def work(i: int) -> int:
        caught = 0
        for k in range(60):
            x = fg.Value(1.0)
            out = fg.Value(1.0, (x,), "f")

            def _backward(x: Any = x, out: Any = out, k: int = k) -> None:
                if k % 2:
                    raise KeyError(k)
                x.grad += out.grad

            out._backward = _backward
            try:
                (out * 2).backward()
                assert x.grad == 2.0
            except KeyError:
                caught += 1
        return caught

    assert in_threads(work) == [30] * THREADS


def test_no_grad_holds_for_its_own_thread_only(fg: ModuleType) -> None:
    inside, outside = threading.Event(), threading.Event()

    def work(i: int) -> list[int]:
        x = fg.Value(2.0)
        if i == 0:
            with fg.no_grad():
                inside.set()
                assert outside.wait(60)
                return [len((x * x)._prev) for _ in range(100)]
        assert inside.wait(60)
        recorded = [len((x * x)._prev) for _ in range(100)]
        if i == 1:
            outside.set()
        return recorded

    assert in_threads(work) == [[0] * 100] + [[1] * 100] * (THREADS - 1)


def test_thread_that_starts_inside_no_grad_records(fg: ModuleType) -> None:
    with fg.no_grad():
        x = fg.Value(2.0)
        assert in_threads(lambda i: len((x * x)._prev)) == [1] * THREADS


def test_large_graphs_in_threads_reclaim_together(fg: ModuleType) -> None:
    """Each thread drops many nodes, so that each makes the tape move while the others hold handles."""

    def work(i: int) -> float:
        x = fg.Value(1.0)
        kept = [x * float(k) for k in range(100)]
        for _ in range(3000):
            sum(kept[:5])
        fg.sum(kept).backward()
        return float(x.grad)

    assert in_threads(work) == [4950.0] * THREADS
