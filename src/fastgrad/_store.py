"""Recordings kept: as what pickle can hold, and made functions of again."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from inspect import Parameter
from operator import attrgetter
from typing import Any, TypeVar

from . import _compile_errors as _errors
from ._arguments import Bound, Layout
from ._case import Case
from ._derivatives import Space
from ._engine import Engine
from ._frames import Line
from ._paths import Path, Subject
from ._recording import Recording
from ._signature import parse

VERSION = 1

State = dict[str, Any]
Function = Callable[..., Any]
Reference = tuple[str, str] | str  # where a function is found, module and name; or why it is not

# ----------------------------------------------------------------------------------------------------- taking


def state_of(engine: Engine) -> State:
    """All that is known of a function but itself: of tuples, dicts, lists, structures, arrays, numbers, Values."""
    subject = engine.subject
    numbers = {parameter: i for i, parameter in enumerate(subject.parameters)}
    return {
        "version": VERSION,
        "name": subject.name,
        "signature": engine.signature,
        "fastmath": subject.fastmath,
        "max_paths": subject.max_paths,
        "python": [
            (p.name, _KINDS.index(p.kind), p.default is not p.empty, None if p.default is p.empty else p.default)
            for p in engine.python.parameters.values()
        ],
        "static": engine.static,
        "parameters": subject.parameters,
        "layouts": [_layout_state(layout, numbers) for layout in engine.layouts],
    }


def _layout_state(layout: Layout, numbers: dict[Any, int]) -> State:
    bound = layout.bound
    return {
        "bound": tuple(bound),
        "structures": layout.structures,
        "cases": [_case_state(case, numbers) for case in layout.cases],
    }


def _case_state(case: Case, numbers: dict[Any, int]) -> State:
    results = case.results.space
    return {
        "shapes": case.inputs.shapes,
        "results": None if results is None else tuple(results),
        "paths": [_path_state(path, numbers) for path in case.paths],
    }


def _path_state(path: Path, numbers: dict[Any, int]) -> State:
    recording = path.recording
    state = {name: getattr(recording, name) for name in (*_ARRAYS, "inputs")}
    parameters = [numbers[parameter] for parameter in recording.parameters]
    return {**state, "parameters": parameters, "lines": [tuple(line) for line in recording.lines], "rows": path.rows}


_ARRAYS = ("nodes", "pool", "constants", "outputs", "guards", "expected", "guard_lines")

# ----------------------------------------------------------------------------------------------- making again


Kind = TypeVar("Kind", bound=Engine)


def filled(kind: type[Kind], state: State, function: Function | None, absence: str) -> Kind:
    """Make a function of its state; ``function`` is the Python function, or ``absence`` says why there is none."""
    subject = Subject(function, state["name"], state["fastmath"], state["max_paths"])
    subject.absence = absence
    subject.learn(state["parameters"])
    gufunc = None if state["signature"] is None else parse(state["signature"])
    python = inspect.Signature(
        [
            Parameter(name, _KINDS[number], default=default if optional else Parameter.empty)
            for name, number, optional, default in state["python"]
        ]
    )
    made = kind.__new__(kind)
    Engine.__init__(made, subject, gufunc, python, state["static"])
    for part in state["layouts"]:
        made.add_layout(_layout(made, part))
    return made


_KINDS = [
    Parameter.POSITIONAL_ONLY,
    Parameter.POSITIONAL_OR_KEYWORD,
    Parameter.VAR_POSITIONAL,
    Parameter.KEYWORD_ONLY,
    Parameter.VAR_KEYWORD,
]


def _layout(engine: Engine, part: State) -> Layout:
    subject = engine.subject
    layout = Layout(subject, engine.gufunc, Bound(*part["bound"]), part["structures"])
    for found in part["cases"]:
        case = layout.case_of(found["shapes"])
        if found["results"] is not None:
            case.results.space = Space(*found["results"])
        case.paths += [_path(subject, case, path) for path in found["paths"]]
    return layout


def _path(subject: Subject, case: Case, state: State) -> Path:
    arrays = {name: state[name] for name in _ARRAYS}
    parameters = tuple(subject.parameters[number] for number in state["parameters"])
    lines = tuple(Line(*line) for line in state["lines"])
    recording = Recording(**arrays, inputs=state["inputs"], parameters=parameters, lines=lines)
    inputs, outputs = sum(case.inputs.sizes) + len(parameters), sum(case.results.sizes)
    lengths = {len(recording.guards), len(recording.expected), len(recording.guard_lines)}
    numbers = [*recording.guard_lines.tolist(), *recording.nodes["line"].tolist()]
    if (
        (recording.inputs, len(recording.outputs)) != (inputs, outputs)
        or len(lengths) > 1
        or max(numbers, default=0) >= len(lines)
    ):
        raise _errors.inconsistent_recording(subject.name)
    path = Path(recording)
    path.rows = state["rows"]
    return path


# ----------------------------------------------------------------------------------------- references to code


def reference_to(engine: Engine) -> Reference:
    """Say where the Python function of an engine can be imported from; or why it cannot."""
    if engine.subject.function is None:
        return engine.subject.absence
    if engine.subject.parameters:
        return "it was pickled together with the Values that it uses, so that a new recording would use others"
    module, name = place_of(engine)
    if not is_importable(engine):
        return f"it was pickled without its function, as {module}.{name} cannot be imported by this name"
    return module, name


def place_of(engine: Engine) -> tuple[str, str]:
    """The module and the name that a function has."""
    function = engine.subject.function
    return str(getattr(function, "__module__", "")), str(getattr(function, "__qualname__", "a callable"))


def is_importable(engine: Engine) -> bool:
    """Whether the Python function of an engine, or the engine, stands in a module under the function's name."""
    module, name = place_of(engine)
    try:
        found: Any = attrgetter(name)(sys.modules[module])
    except (AttributeError, KeyError):
        return False
    return found is engine.subject.function or found is engine


def resolve(reference: Reference) -> tuple[Function | None, str]:
    """Import a function; return it, or None and the reason."""
    if isinstance(reference, str):
        return None, reference
    module, name = reference
    try:
        found: Any = attrgetter(name)(importlib.import_module(module))
    except (ImportError, AttributeError) as error:
        return None, f"its function {module}.{name} cannot be imported here ({error})"
    return (found.subject.function if isinstance(found, Engine) else found), ""


def restored(kind: type[Kind], state: State, reference: Reference) -> Kind:
    """Make a function of what pickle kept."""
    return filled(kind, state, *resolve(reference))
