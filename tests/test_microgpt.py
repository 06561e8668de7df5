"""The example of a small GPT: its model is one function in floats, Values and compiled, and it learns and writes."""

from __future__ import annotations

import importlib
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
HELPERS = ("microgpt", "microgpt_report", "microgpt_torch")


@pytest.fixture
def microgpt(fg: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The example on the backend under test."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield importlib.import_module("microgpt")
    for name in HELPERS:
        sys.modules.pop(name, None)


@pytest.fixture
def tiny(microgpt: ModuleType) -> Any:
    return microgpt.Size(embedding=4, heads=2, block=5)


def weights_of(microgpt: ModuleType, size: Any, scale: float = 5.0) -> list[float]:
    """Some larger ones than training begins with, so that the shares of attention differ."""
    return [scale * weight for weight in microgpt.initial(size, random.Random(0))]


def assert_same(backend: str, found: Any, expected: Any) -> None:
    """The C backend gives the same bits in all forms, the pure-Python one nearly."""
    exact = backend == "c"
    np.testing.assert_allclose(found, expected, rtol=0.0 if exact else 1e-10, atol=0.0 if exact else 1e-13)


def eager_gradient(fg: ModuleType, microgpt: ModuleType, weights: list[float], name: str, size: Any) -> Any:
    parameters = [fg.Value(weight) for weight in weights]
    loss = microgpt.loss(parameters, microgpt.encode(name).astype(int).tolist(), size)
    loss.backward()
    return loss.data, [p.grad for p in parameters]


# ------------------------------------------------------------------------------------------------------------ the text


def test_text_is_of_identifiers_in_one_order(microgpt: ModuleType) -> None:
    names = microgpt.identifiers(15)
    assert len(names) > 1000
    assert names == sorted(set(names)) == microgpt.identifiers(15)
    assert all(name.isidentifier() and re.fullmatch("[a-z_]{1,15}", name) for name in names)
    assert {"append", "dumps", "is_integer"} <= set(names)
    assert microgpt.checksum(names) == microgpt.checksum(list(names)) != microgpt.checksum(names[1:])


def test_encoding_has_boundaries_and_comes_back(microgpt: ModuleType) -> None:
    tokens = microgpt.encode("is_alnum")
    assert tokens.dtype == np.float64
    assert "".join(microgpt.ALPHABET[int(token)] for token in tokens) == "\nis_alnum\n"


# ----------------------------------------------------------------------------------------------------------- the model


def test_model_has_the_size_that_it_says(microgpt: ModuleType, tiny: Any) -> None:
    assert microgpt.Size().parameters == 4224
    model = microgpt.Model(range(tiny.parameters), tiny)
    numbers = [number for matrix in model.weights.values() for row in matrix for number in row]
    assert numbers == list(range(tiny.parameters))


@pytest.mark.parametrize("name", ["", "a", "is", "z_z", "dump"])
def test_model_is_the_same_in_floats_in_values_and_compiled(
    fg: ModuleType, backend: str, microgpt: ModuleType, tiny: Any, name: str
) -> None:
    size = tiny._replace(layers=2)
    weights = weights_of(microgpt, size)
    loss, gradient = eager_gradient(fg, microgpt, weights, name, size)
    trainer = microgpt.Compiled(weights, size)
    compiled, derivatives = trainer.loss.value_and_grad(trainer.array, microgpt.encode(name), argnums=0)
    assert_same(backend, microgpt.loss(weights, microgpt.encode(name).astype(int).tolist(), size), loss)
    assert_same(backend, compiled, loss)
    assert_same(backend, derivatives, gradient)
    assert np.count_nonzero(gradient) > 50


def test_gradient_is_that_of_differences(fg: ModuleType, microgpt: ModuleType, tiny: Any) -> None:
    weights, h = weights_of(microgpt, tiny), 1e-6
    _, gradient = eager_gradient(fg, microgpt, weights, "dump", tiny)
    tokens = microgpt.encode("dump").astype(int).tolist()
    for i in random.Random(1).sample(range(tiny.parameters), 20):
        up, down = (microgpt.loss([*weights[:i], weights[i] + d, *weights[i + 1 :]], tokens, tiny) for d in (h, -h))
        assert gradient[i] == pytest.approx((up - down) / (2 * h), rel=1e-5, abs=1e-8)


def test_a_token_does_not_depend_on_those_behind_it(microgpt: ModuleType, tiny: Any) -> None:
    weights = weights_of(microgpt, tiny)
    scores = []
    for text in ([0, 3, 4], [0, 3, 9]):
        model = microgpt.Model(weights, tiny)
        scores.append([model(token) for token in text])
    assert scores[0][:2] == scores[1][:2]
    assert scores[0][2] != scores[1][2]


def test_model_is_that_of_torch(fg: ModuleType, microgpt: ModuleType, tiny: Any) -> None:
    pytest.importorskip("torch")
    microgpt_torch = importlib.import_module("microgpt_torch")
    weights = weights_of(microgpt, tiny)
    loss, gradient = eager_gradient(fg, microgpt, weights, "dump", tiny)
    found = microgpt_torch.gradient(weights, microgpt.encode("dump").astype(int).tolist(), tiny)
    np.testing.assert_allclose(found, [loss, *gradient], rtol=1e-9, atol=1e-12)


# ------------------------------------------------------------------------------------------------------------ training


def test_training_is_the_same_in_both_forms(backend: str, microgpt: ModuleType, tiny: Any) -> None:
    losses, weights = [], []
    for form in (microgpt.Eager, microgpt.Compiled):
        trainer = form(microgpt.initial(tiny, random.Random(0)), tiny)
        documents = microgpt.batches(["is", "or", "as"], 1, random.Random(0))
        losses.append(microgpt.train(trainer, documents, steps=8))
        weights.append(trainer.weights)
    assert_same(backend, losses[1], losses[0])
    assert_same(backend, weights[1], weights[0])


def test_adam_is_that_of_the_library(fg: ModuleType, microgpt: ModuleType, tiny: Any) -> None:
    weights, documents = weights_of(microgpt, tiny), [microgpt.encode(name) for name in ("is", "dump", "or")]
    trainer, parameters = microgpt.Eager(weights, tiny), [fg.Value(weight) for weight in weights]
    settings = {"betas": (microgpt.FIRST, microgpt.SECOND), "eps": microgpt.TINY}
    adam = importlib.import_module(f"{fg.__name__}.optim").Adam(parameters, lr=0.1, **settings)
    for document in documents:
        trainer.step(document[np.newaxis], 0.1)
        adam.zero_grad()
        microgpt.loss(parameters, document.astype(int).tolist(), tiny).backward()
        adam.step()
    np.testing.assert_allclose(trainer.weights, [p.data for p in parameters], rtol=1e-12, atol=1e-15)


def test_training_is_that_of_torch(microgpt: ModuleType, tiny: Any) -> None:
    pytest.importorskip("torch")
    microgpt_torch = importlib.import_module("microgpt_torch")
    losses, weights = [], []
    for form in (microgpt.Eager, microgpt_torch.Trainer):
        trainer = form(weights_of(microgpt, tiny), tiny)
        losses.append(microgpt.train(trainer, microgpt.batches(["is", "dump"], 1, random.Random(0)), steps=5))
        weights.append(trainer.weights)
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-9)
    np.testing.assert_allclose(weights[1], weights[0], rtol=1e-9, atol=1e-12)


def test_each_length_is_recorded_once(microgpt: ModuleType, tiny: Any) -> None:
    trainer = microgpt.Compiled(microgpt.initial(tiny, random.Random(0)), tiny)
    microgpt.train(trainer, microgpt.batches(["is", "or", "a", "all", "any"], 1, random.Random(0)), steps=7)
    assert len(trainer.loss.paths) == 3


def test_documents_together_count_as_their_mean(microgpt: ModuleType, tiny: Any) -> None:
    weights = np.array(weights_of(microgpt, tiny))
    loss = microgpt.Compiled(weights, tiny).loss
    documents = np.stack([microgpt.encode(name) for name in ("dump", "load", "copy")])
    total, gradient = loss.sum_grad(weights, documents, argnums=0)
    each = [loss.value_and_grad(weights, document, argnums=0) for document in documents]
    np.testing.assert_allclose(total, sum(value for value, _ in each), rtol=1e-12)
    np.testing.assert_allclose(gradient, sum(by for _, by in each), rtol=1e-9, atol=1e-13)


def test_batches_hold_documents_of_one_length_and_leave_none_out(microgpt: ModuleType) -> None:
    names = ["is", "or", "in", "as", "dump", "load"]
    drawn = [next(documents) for documents in [microgpt.batches(names, 2, random.Random(0))] for _ in range(3)]
    assert sorted(batch.shape for batch in drawn) == [(2, 4), (2, 4), (2, 6)]
    assert sorted(map(tuple, np.concatenate([batch[:, 1:3] for batch in drawn]).tolist())) == sorted(
        tuple(microgpt.encode(name)[1:3].tolist()) for name in names
    )


def test_training_lowers_the_loss_on_what_it_has_not_seen(backend: str, microgpt: ModuleType, tiny: Any) -> None:
    size, steps, least = (microgpt.Size(), 300, 0.4) if backend == "c" else (tiny, 25, 0.12)
    names = [name for name in microgpt.identifiers(4) if len(name) > 3]
    held_out, names = names[::10], [name for i, name in enumerate(names) if i % 10]
    trainer = microgpt.Compiled(microgpt.initial(size, random.Random(0)), size)
    before = microgpt.evaluate(trainer.weights, held_out, size)
    losses = microgpt.train(trainer, microgpt.batches(names, 8, random.Random(0)), steps)
    assert np.mean(losses[-10:]) < losses[0] - least
    assert microgpt.evaluate(trainer.weights, held_out, size) < before - least


# ------------------------------------------------------------------------------------------------ writing, and the rest


def test_it_writes_identifiers_that_the_seed_repeats(microgpt: ModuleType, tiny: Any) -> None:
    weights = weights_of(microgpt, tiny)
    drawn = [[microgpt.write(weights, tiny, draw) for _ in range(20)] for draw in map(random.Random, (1, 1, 2))]
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(re.fullmatch("[a-z_]{0,5}", text) for text in drawn[0])


def test_a_low_temperature_writes_what_is_most_probable(microgpt: ModuleType, tiny: Any) -> None:
    weights = weights_of(microgpt, tiny)
    texts = {microgpt.write(weights, tiny, random.Random(seed), temperature=1e-4) for seed in range(5)}
    assert len(texts) == 1


@pytest.mark.parametrize("form", ["--eager", "--compiled"])
def test_program_trains_and_writes(
    microgpt: ModuleType, tiny: Any, form: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(microgpt, "Size", lambda: tiny)
    monkeypatch.setattr(microgpt, "identifiers", lambda longest: ["is", "in", "or", "as", "all", "any"] * 4)
    monkeypatch.setattr(microgpt, "find_spec", lambda name: None)  # as if tqdm were not installed
    microgpt.main([form, "--steps", "20", "--write", "5"])
    said = capsys.readouterr()
    assert re.search(r"text: \d+ identifiers of Python 3", said.out)
    assert len(re.findall(r"held-out loss: \d\.\d", said.out)) == 2
    assert said.out.count("\n    ") == 5
    assert len(re.findall(r"step \d+: loss \d\.\d+", said.err)) == 10


@pytest.mark.parametrize(
    ("arguments", "in_pure_python"),
    [([], "eager"), (["--compiled"], "compiled"), (["--batch", "2"], "compiled"), (["--eager"], "eager")],
)
def test_program_trains_in_the_quicker_form_unless_it_is_told(
    backend: str, microgpt: ModuleType, arguments: list[str], in_pure_python: str
) -> None:
    chosen = "eager" if microgpt.parsed(arguments).eager else "compiled"
    assert chosen == (in_pure_python if backend == "python" or arguments == ["--eager"] else "compiled")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "0"], "--steps: expected a whole number of at least 1, got '0'"),
        (["--batch", "many"], "--batch: expected a whole number of at least 1, got 'many'"),
        (["--eager", "--batch", "4"], "--batch: in Values a step is one document; leave --eager out"),
        (["--eager", "--compiled"], "not allowed with argument"),
    ],
)
def test_program_refuses_what_it_cannot_do(
    microgpt: ModuleType, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        microgpt.main(arguments)
    assert message in capsys.readouterr().err


def test_report_compares_before_it_times(
    backend: str, microgpt: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = importlib.import_module("microgpt_report")
    monkeypatch.setattr(report, "DOCUMENT", "is")
    monkeypatch.setattr(report, "in_pure_python", lambda weights: (1.0, 1.0))  # which is this, in another process
    monkeypatch.setattr(report, "measured", lambda step: (step(), 1.0, 1.0)[1:])
    size = microgpt.Size(embedding=4, heads=2, block=5)
    report.report(size, weights_of(microgpt, size))
    said = capsys.readouterr().out
    assert said.index("checked: loss and") < said.index("floats, forward only")
    assert re.search(r"prepared once for each length; for this one in \d+ ms", said)
    with pytest.raises(AssertionError, match="torch differs from eager by 5"):
        report.check("torch", [1.0, 2.0], [2.0, 2.0], 1e-9)
