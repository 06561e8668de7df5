"""Compiled functions on a cluster of two worker processes: the same bits, whatever happens to these."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

distributed_of_dask = pytest.importorskip("dask.distributed")
da = pytest.importorskip("dask.array")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("fg", ["c"], indirect=True),  # the backend that workers have
    # A worker that is killed leaves its connections and files behind, and the garbage collector says so.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

CHUNK = 1024  # rows: partitions of which have the bits of the whole
ROWS = 12 * CHUNK + 77
DRAW = np.random.default_rng(5)
X, Y = DRAW.standard_normal((ROWS, 2)), DRAW.standard_normal(ROWS)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with distributed_of_dask.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address=None,
        worker_dashboard_address=None,
        silence_logs=logging.CRITICAL,
    ) as cluster:
        yield cluster


@pytest.fixture
def client(cluster: Any) -> Iterator[Any]:
    with distributed_of_dask.Client(cluster) as client:
        client.wait_for_workers(2)
        yield client


@pytest.fixture
def distributed(fg: ModuleType) -> Any:
    return importlib.import_module("fastgrad.distributed")


def network(fg: ModuleType) -> tuple[Any, Any]:
    """A model and its loss, in which rows part."""
    draw = np.random.default_rng(1)
    model = fg.nn.MLP(2, [4, 1], activation="tanh")
    for p in model.parameters():
        p.data = draw.uniform(-1.0, 1.0)

    def loss(x: Any, y: Any) -> Any:
        error = model([x[0], x[1]]) - y
        return error**2 if error > 0.0 else 3.0 * error**2

    return model, fg.compile(loss, signature="(2),()->()")


def rows() -> tuple[Any, Any]:
    return da.from_array(X, chunks=(CHUNK, 2)), da.from_array(Y, chunks=CHUNK)


def trained(fg: ModuleType, backward: Callable[[Any], float], steps: int = 5) -> tuple[list[float], list[float]]:
    """Losses and parameters of a few steps of training."""
    model, loss = network(fg)
    sgd = fg.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(steps):
        sgd.zero_grad()
        losses.append(backward(loss))
        sgd.step()
    return losses, [p.data for p in model.parameters()]


def kill(process: int) -> None:
    os.kill(process, getattr(signal, "SIGKILL", signal.SIGTERM))


def test_training_has_the_bits_of_one_process_though_a_worker_is_killed(
    fg: ModuleType, distributed: Any, client: Any
) -> None:
    x, y = client.persist(rows())
    turns = iter(range(5))

    def backward(loss: Any) -> float:
        if next(turns) == 2:
            kill(min(client.run(os.getpid).values()))
        return float(distributed.backward(loss, x, y, client=client))

    assert trained(fg, backward) == trained(fg, lambda loss: float(loss.backward(X, Y)))


def test_worker_killed_in_the_middle_of_a_sum_changes_nothing(
    fg: ModuleType, distributed: Any, client: Any, tmp_path: Path
) -> None:
    killed = tmp_path / "killed"

    def loaded() -> list[list[str]]:
        """Partition and process of what was loaded, or is about to be."""
        return [path.name.split("-") for path in tmp_path.glob("*-*")]

    def load(block: Any, block_id: Any = None) -> Any:
        tmp_path.joinpath(f"{block_id[0]}-{os.getpid()}").touch()
        for _ in range(1000):
            if killed.exists() or len(loaded()) < 5:
                break
            time.sleep(0.01)
        return block

    def killer() -> None:
        while len(loaded()) < 5:
            time.sleep(0.01)
        kill(int(loaded()[0][1]))
        killed.touch()

    _, f = network(fg)
    x, y = rows()
    thread = threading.Thread(target=killer)
    thread.start()
    answer, gradient = distributed.value_and_grad(f, x.map_blocks(load, dtype=float, meta=np.empty((0, 0))), y)
    thread.join()
    expected = f.sum_grad(X, Y, argnums="parameters")
    assert answer == expected[0] and gradient.tobytes() == expected[1].tobytes()
    assert len(loaded()) > x.numblocks[0]  # what the dead one was about to load was loaded again


def test_apply_gives_what_the_function_gives(fg: ModuleType, distributed: Any, client: Any) -> None:
    _, f = network(fg)
    x, y = rows()
    value, (by_x, by_y) = client.gather(client.compute(distributed.apply(f, x, y, method="value_and_grad"), sync=False))
    expected = f.value_and_grad(X, Y)
    for got, right in zip((value, by_x, by_y), (expected[0], *expected[1]), strict=True):
        np.testing.assert_array_equal(got, right)


def test_fit_has_the_bits_of_one_process_though_a_worker_is_killed(
    fg: ModuleType, distributed: Any, client: Any
) -> None:
    def fitted(client: Any, killed_after: int | None) -> Any:
        def rate(epoch: int) -> float:
            if epoch == killed_after:
                kill(min(workers.run(os.getpid).values()))
            return 0.9**epoch

        model, _ = network(fg)
        schedule = fg.optim.LambdaLR(fg.optim.SGD(model.parameters(), lr=0.1), rate)
        settings = {"epochs": 3, "batch_size": 5000, "progress": False, "client": client, "schedule": schedule}
        history = fg.fit(model, lambda x, y: (x - y) ** 2, (X, Y), **settings)
        return history.loss, [p.data for p in model.parameters()]

    workers = client
    assert fitted(None, None) == fitted(client, 1) == fitted(distributed.Workers(client), 2)


def test_batch_is_shared_out_among_the_threads_without_a_warning(
    fg: ModuleType, distributed: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = np.random.default_rng(2)
    x, y = draw.standard_normal((40_000, 40)), draw.standard_normal(40_000)  # more than Dask likes in a graph
    w = fg.Value(2.0)
    f = fg.compile(lambda x, y: (w * x[3] - y) ** 2, signature="(40),()->()")
    f(x[0], y[0])
    gradient = importlib.import_module("fastgrad.distributed._gradient")
    cuts: list[Any] = []
    graph = gradient._graph
    monkeypatch.setattr(gradient, "_graph", lambda *given: cuts.append(given[-1]) or graph(*given))
    total, by_w = distributed.Workers(client).sum_grad(f, x, y)
    assert cuts == [(20 * CHUNK, 40_000 - 20 * CHUNK)]
    expected = f.sum_grad(x, y, argnums="parameters")
    assert total == expected[0] and by_w.tobytes() == expected[1].tobytes()


def test_program_is_sent_once(fg: ModuleType, distributed: Any, client: Any) -> None:
    model, f = network(fg)
    x, y = client.persist(rows())
    f.backward(X, Y)
    shipping = importlib.import_module("fastgrad.distributed._shipping")
    sent = []
    for _ in range(3):
        distributed.backward(f, x, y)
        sent.append(shipping.shipment(f).delivered(client))
        model.parameters()[0].data += 0.5
    assert sent[0] is sent[1] is sent[2]
    (future,) = distributed_of_dask.futures_of(sent[0])
    assert len(client.who_has([future])[future.key]) >= 1
    client.cancel([future], force=True)  # as when the scheduler forgets
    assert distributed.value_and_grad(f, x, y)[0] == f.sum_grad(X, Y, argnums="parameters")[0]


def test_what_a_worker_refuses_is_told_here(fg: ModuleType, distributed: Any, client: Any) -> None:
    _, f = network(fg)
    x, y = X.copy(), Y.copy()
    x[3 * CHUNK + 7, 1] = np.nan
    with pytest.raises(ValueError, match=r"argument x, partition 3, row 7 of it, row 3079 of all"):
        distributed.value_and_grad(f, da.from_array(x, chunks=(CHUNK, 2)), da.from_array(y, chunks=CHUNK))
    lock = threading.Lock()
    with pytest.raises(TypeError, match=r"cannot be sent to workers.*'lock'"):
        distributed.backward(fg.compile(lambda x, y: x[0] if lock else y, signature="(2),()->()"), *rows())
    assert not any(client.processing().values())


def test_client_that_is_closed_is_refused_at_once(fg: ModuleType, distributed: Any, cluster: Any) -> None:
    with distributed_of_dask.Client(cluster, set_as_default=False) as closed:
        pass
    _, f = network(fg)
    for call in (distributed.backward, distributed.value_and_grad):
        with pytest.raises(ValueError, match="client: expected one that is open, got one that was closed"):
            call(f, *rows(), client=closed)
    with pytest.raises(ValueError, match="client: expected one that is open, got one that was closed"):
        distributed.Workers(closed)
