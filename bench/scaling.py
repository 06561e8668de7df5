"""What a gradient over partitioned data costs on a cluster: constants measured on this machine, and what they predict.

``python bench/scaling.py`` writes the tables of docs/distributed.md. The model is

    T(W) = N r / W + 2 W t + log8(W) (h + b B) + c

for W workers with a partition each: N rows at r seconds a row; t seconds of the scheduler, which is one process, for a
task; joins of eight gradients of B bytes, of which a level takes h seconds and b a byte; and c seconds at the client.
"""

from __future__ import annotations

import math
import os
import pickle
import re
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
from dask.distributed import Client, LocalCluster

import fastgrad as fg
from fastgrad import distributed, nn

PAGE = Path(__file__).resolve().parent.parent / "docs" / "distributed.md"
CHUNK, TASKS, WORKERS = 1024, 400, (10, 100, 1000)
ROWS = (10**6, 10**8, 10**10)


def median_seconds(run: Callable[[], Any], repeats: int = 5, clock: Callable[[], float] = time.process_time) -> float:
    """Of this process, in which the scheduler runs too; or of the wall, where others work for it."""
    run()
    times = []
    for _ in range(repeats):
        start = clock()
        run()
        times.append(clock() - start)
    return statistics.median(times)


def problem() -> tuple[Any, Any]:
    model = nn.MLP(8, [32, 32, 1], activation="tanh")
    return model, fg.compile(lambda x, y: (model(list(x)) - y) ** 2, signature="(8),()->()")


def gradients(model: Any, sweep: Callable[[], float]) -> list[float]:
    """What a sweep gives, and the gradients that it adds."""
    model.zero_grad()
    return [sweep(), *(p.grad for p in model.parameters())]


def assert_equal_bits(model: Any, loss: Any, rows: Sequence[Any], client: Client) -> None:
    """Raise unless the cluster's sums over partitioned rows are those of one process."""
    parts = [da.from_array(array, chunks=(4 * CHUNK, *array.shape[1:])) for array in rows]
    there = gradients(model, lambda: distributed.backward(loss, *parts, client=client))
    if there != gradients(model, lambda: loss.backward(*rows)):
        raise AssertionError("the cluster's sums differ from those of one process")


def measure(client: Client) -> dict[str, float]:
    """The constants of the model, after a look at the results; each is the median of several turns."""
    model, loss = problem()
    draw = np.random.default_rng(0)
    x, y = draw.standard_normal((16 * CHUNK, 8)), draw.standard_normal(16 * CHUNK)
    assert_equal_bits(model, loss, (x, y), client)
    gradient = np.zeros(1 + len(model.parameters()))
    row = median_seconds(lambda: loss.backward(x, y)) / len(x)

    turn = iter(range(10**9))
    workers = list(client.scheduler_info()["workers"])

    def tasks(count: int) -> None:
        client.gather(client.map(abs, [next(turn) for _ in range(count)], pure=False))

    def there_and_back(size: int) -> float:
        """One array made on one worker and used on the other."""

        def run() -> None:
            made = client.submit(np.zeros, size, workers=workers[0], pure=False)
            client.submit(np.sum, made, workers=workers[-1], pure=False).result()

        return median_seconds(run, 9, time.perf_counter)

    small, large = there_and_back(1), there_and_back(2_000_000)
    empty = da.from_array(x[:2], chunks=(1, 8)), da.from_array(y[:2], chunks=1)
    empty = tuple(client.persist(list(empty)))
    rng = da.random.default_rng(0)
    halves = [rng.standard_normal((2**19, *core), chunks=(2**18, *core)) for core in ((8,), ())]
    halves = client.persist(halves)
    return {
        "two": median_seconds(lambda: distributed.backward(loss, *halves, client=client), 3, time.perf_counter),
        "row": row,
        "task": (median_seconds(lambda: tasks(2 * TASKS)) - median_seconds(lambda: tasks(TASKS))) / TASKS,
        "hop": small,
        "byte": max(large - small, 0.0) / (2_000_000 * 8),
        "bytes": float(len(pickle.dumps(gradient))),
        "client": median_seconds(lambda: distributed.backward(loss, *empty, client=client)),
        "parameters": float(len(model.parameters())),
        "program": float(len(distributed._shipping.shipment(loss).shipped.payload)),
    }


def predicted(m: dict[str, float], rows: int, workers: int) -> float:
    levels = math.ceil(math.log(workers, 8))
    return (
        rows * m["row"] / workers + 2 * workers * m["task"] + levels * (m["hop"] + m["byte"] * m["bytes"]) + m["client"]
    )


def table(m: dict[str, float]) -> str:
    lines = [
        "| measured | |",
        "| --- | --: |",
        f"| parameters of the network | {m['parameters']:,.0f} |",
        f"| loss and gradient of a row, one core: r | {m['row'] * 1e6:.2f} µs |",
        f"| scheduler and client, processor time for a task: t | {m['task'] * 1e3:.2f} ms |",
        f"| two tasks on two workers, one after the other: h | {m['hop'] * 1e3:.1f} ms |",
        f"| a byte from worker to worker (loopback): b | {m['byte'] * 1e9:.2f} ns |",
        f"| bytes of a gradient, and of the parameters: B | {m['bytes']:,.0f} |",
        f"| bytes of the program, sent once | {m['program']:,.0f} |",
        f"| client and scheduler, processor time for a step on two rows: c | {m['client'] * 1e3:.0f} ms |",
        f"| a step of {2**19:,} rows on two workers, by the clock | {m['two']:.2f} s |",
        f"| the same by the formula | {predicted(m, 2**19, 2):.2f} s |",
        "",
        f"| predicted speed-up | one core, a step | {' | '.join(f'{w:,} workers' for w in WORKERS)} |",
        f"| --- | --: | {' | '.join('--:' for _ in WORKERS)} |",
    ]
    for rows in ROWS:
        alone = rows * m["row"]
        speedups = " | ".join(f"{alone / predicted(m, rows, workers):,.1f}x" for workers in WORKERS)
        lines.append(f"| {rows:,} rows | {alone:,.1f} s | {speedups} |")
    best = math.sqrt(ROWS[1] * m["row"] / (2 * m["task"]))
    lines += ["", f"For {ROWS[1]:,} rows the best number of workers is sqrt(N r / 2 t) = {best:,.0f}."]
    machine = f"{os.cpu_count()} cores, {sys.platform}, CPython {sys.version.split()[0]}, load {os.getloadavg()[0]:.1f}"
    return "\n".join([*lines, "", f"Machine: {machine}."])


def main() -> None:
    with (
        LocalCluster(2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        text = table(measure(client))
    print(text)
    page = PAGE.read_text()
    between = r"(<!-- scaling:begin -->\n).*?(<!-- scaling:end -->)"
    PAGE.write_text(re.sub(between, lambda found: f"{found[1]}{text}\n{found[2]}", page, flags=re.DOTALL))


if __name__ == "__main__":
    main()
