"""A compiled function on its way to workers: sent once, as a pickle in whose place of each Value stands a number.

So the numbers of the Values, which change from step to step, travel apart from what never changes: the recordings and
the Python function. Functions that a worker can import go as a reference, all others with their code.
"""

from __future__ import annotations

import hashlib
import inspect
import io
import pickle
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from .._backend import Value, module
from .._compiled import Compiled
from .._signature import Floats
from .._store import State, filled, is_importable, place_of, reference_to, resolve, state_of
from . import _errors


def dask(name: str) -> Any:
    """Import a module of Dask's."""
    try:
        return import_module(name)
    except ImportError as error:
        raise _errors.no_dask(error) from error


# ----------------------------------------------------------------------------------------------------- pickles


def _pickler(file: io.BytesIO, values: dict[Value, int]) -> Any:
    cloudpickle = dask("cloudpickle")

    def persistent_id(pickler: Any, thing: Any) -> int | None:
        return values.setdefault(thing, len(values)) if isinstance(thing, Value) else None

    def reducer_override(pickler: Any, thing: Any) -> Any:
        if isinstance(thing, Compiled) and thing._method_of is None:
            return _restored, (state_of(thing), *_code_of(thing, cloudpickle.list_registry_pickle_by_value()))
        return cloudpickle.Pickler.reducer_override(pickler, thing)

    methods = {"persistent_id": persistent_id, "reducer_override": reducer_override}
    return type("Pickler", (cloudpickle.Pickler,), methods)(file)


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, values: Sequence[Value]) -> None:
        super().__init__(file)
        self._values = values

    def persistent_load(self, number: Any) -> Any:
        return self._values[number]


def _code_of(f: Compiled, by_value: set[str]) -> tuple[Callable[..., Any] | None, Any]:
    """The Python function, if its code has to travel; and what else a worker finds it by, or why it does not."""
    home = place_of(f)[0]
    if f.subject.function is None:
        return None, f.subject.absence
    if not is_importable(f) or home in {"__main__", *by_value}:
        return f.subject.function, None
    return None, _errors.values_of_workers(home) if f.parameters else reference_to(f)


def _restored(state: State, function: Callable[..., Any] | None, reference: Any) -> Compiled:
    return filled(Compiled, state, *((function, "") if function is not None else resolve(reference)))


def _pickled(thing: Any, values: dict[Value, int]) -> bytes:
    file = io.BytesIO()
    _pickler(file, values).dump(thing)
    return file.getvalue()


def check_picklable(name: str, thing: Any) -> None:
    """Raise an error that names an argument which cannot be sent."""
    try:
        dask("cloudpickle").dumps(thing)
    except Exception as error:
        raise _errors.argument_cannot_be_sent(name, thing, error) from error


def _culprit(f: Any, seen: tuple[Any, ...] = ()) -> str:
    """What of all that a function uses cannot be pickled, in words; and what of that, if it is a function too."""
    try:
        used = inspect.getclosurevars(inspect.unwrap(f))
    except TypeError:  # it is no function of Python's
        return ""
    seen = (*seen, f)
    for name, thing in {**used.nonlocals, **used.globals}.items():
        try:
            _pickled(thing, {})
        except Exception:  # whatever a class of the user's raises, it is this one
            if not any(thing is other for other in seen):
                return f"; it uses {name!r}, {type(thing).__name__} {thing!r:.100}{_culprit(thing, seen)}"
    return ""


# ------------------------------------------------------------------------------------------------ what is sent


class Shipped:
    """What a worker makes the function of."""

    def __init__(self, name: str, payload: bytes, kinds: list[Value | None]) -> None:
        self.name = name
        self.payload = payload
        self.kinds = kinds  # a Value of a subclass goes as it is
        self.token = hashlib.blake2b(payload, digest_size=16).hexdigest()

    def __dask_tokenize__(self) -> str:
        return self.token

    def unpacked(self) -> Unpacked:
        """Return the function of this thread: what one thread sets in its Values must not reach another one."""
        kept: OrderedDict[str, Unpacked] = vars(_THREAD).setdefault("functions", OrderedDict())
        found = kept.get(self.token)
        if found is None:
            values = [Value(0.0) if kind is None else kind for kind in pickle.loads(pickle.dumps(self.kinds))]
            found = kept[self.token] = Unpacked(_Unpickler(io.BytesIO(self.payload), values).load(), values)
        kept.move_to_end(self.token)
        while len(kept) > _MOST_KEPT:
            kept.popitem(last=False)
        return found


_THREAD = threading.local()
_MOST_KEPT = 16  # functions that a thread keeps


class Unpacked:
    """A function on a worker, and its Values by number."""

    def __init__(self, function: Compiled, values: list[Value]) -> None:
        self.function = function
        self.values = values
        self.numbers = {value: i for i, value in enumerate(values)}
        self._data: Floats | None = None

    def set(self, data: Floats) -> None:
        """Give each Value its number."""
        if self._data is None or self._data.tobytes() != data.tobytes():
            for value, number in zip(self.values, data.tolist(), strict=True):
                value.data = number
            self._data = data

    def used(self) -> list[int]:
        """The numbers of the Values that the function was seen to use by now, in the order of its parameters."""
        parameters = self.function.parameters
        strangers = sum(parameter not in self.numbers for parameter in parameters)
        if strangers:
            raise _errors.values_of_a_module(self.function.__name__, strangers)
        return [self.numbers[parameter] for parameter in parameters]


class Shipment:
    """The sender's side of it."""

    def __init__(self, f: Compiled) -> None:
        values: dict[Value, int] = {}
        try:
            payload = _pickled(f, values)
        except Exception as error:  # what a class of the user's raises may be anything
            raise _errors.cannot_be_sent(f.__name__, error, _culprit(f)) from error
        self.values = tuple(values)
        kinds = [None if type(value) is Value else value for value in values]
        self.shipped = Shipped(f.__name__, payload, kinds)
        self._sent: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()

    def data(self) -> Floats:
        """The numbers of all Values, as they are now."""
        numbers = np.empty(len(self.values))
        module.gather_data(self.values, numbers)
        return numbers

    def delivered(self, client: Any) -> Any:
        """Return it as a Delayed. A client keeps it on the cluster, as a task, so that it can be made again."""
        sent = self._sent.get(client) if client is not None else None
        if sent is None or _is_lost(sent):
            name = f"fastgrad-{self.shipped.name}-{self.shipped.token}"
            sent = dask("dask").delayed(self.shipped, name=name, traverse=False)
            if client is not None:
                sent = self._sent[client] = client.persist(sent)
        return sent


def _is_lost(sent: Any) -> bool:
    return any(future.status in ("lost", "cancelled", "error") for future in dask("distributed").futures_of(sent))


class _Packed(NamedTuple):
    paths: int
    shipment: Shipment


_PACKED: WeakKeyDictionary[Compiled, _Packed] = WeakKeyDictionary()


def shipment(f: Compiled) -> Shipment:
    """Pack a function; again only when there are recordings that were not there before."""
    paths = sum(len(case.paths) for case in f.cases)
    found = _PACKED.get(f)
    if found is None or found.paths != paths:
        found = _PACKED[f] = _Packed(paths, Shipment(f))
    return found.shipment


def once(thing: Any, name: str) -> Any:
    """Return a Delayed for something that all tasks of one computation share."""
    return dask("dask").delayed(thing, name=f"fastgrad-{name}-{uuid.uuid4().hex}", traverse=False)


def is_client(given: Any) -> bool:
    """Whether something is a client of Dask's, without importing it."""
    methods = "persist", "compute", "nthreads"
    return not isinstance(given, type) and all(callable(getattr(given, method, None)) for method in methods)


def client_of(given: Any) -> Any:
    """Return the client to use: the one that is given, or the current one; None if Dask is to compute locally."""
    if given is None:
        if dask("dask").config.get("scheduler", None) not in (None, "distributed"):
            return None
        try:
            given = import_module("distributed").Client.current()
        except (ImportError, ValueError):  # the latter: there is none
            return None
    elif not is_client(given):
        raise _errors.not_a_client(given)
    if given.asynchronous:
        raise _errors.asynchronous(given)
    if given.status in ("closing", "closed"):
        raise _errors.closed(given)
    return given
