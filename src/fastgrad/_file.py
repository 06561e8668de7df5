"""The files of saved functions: a line that says what it is, a checksum, and JSON. They hold no code."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _compile_errors as _errors
from ._backend import Value
from ._recording import NODE
from ._structure import Structure

_HEAD = b"fastgrad compiled function, version 1\n"
_ANY_HEAD = re.compile(rb"fastgrad compiled function, version \d+\n")

_STATIC_TYPES = {kind.__name__: kind for kind in (type(None), bool, int, float, str, bytes, tuple)}
_CONTAINERS: dict[str, Any] = {"leaf": "leaf", "static": "static", "tuple": tuple, "list": list, "dict": dict}
_DTYPES = {"node": NODE, "u1": np.dtype("u1"), "u4": np.dtype("u4"), "f8": np.dtype("f8")}


def write(path: str | PathLike[str], state: Any) -> None:
    """Write a state, of tuples, lists, dicts, numbers, strings, arrays, structures and Values."""
    body = json.dumps(_encoded(state)).encode()
    Path(path).write_bytes(_HEAD + hashlib.sha256(body).hexdigest().encode() + b"\n" + body)


def read(path: str | PathLike[str]) -> Any:
    """Read a state; raise ValueError if the file is not as it was written."""
    data = Path(path).read_bytes()
    head = _ANY_HEAD.match(data)
    if head is None:
        raise _errors.not_a_saved_function(path)
    if head[0] != _HEAD:
        raise _errors.other_version(path)
    checksum, _, body = data[len(_HEAD) :].partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != checksum:
        raise _errors.damaged_file(path)
    try:
        return _decoded(json.loads(body))
    except MALFORMED as error:
        raise _errors.damaged_file(path) from error


#: What comes of a file whose checksum fits, but which save() has not written.
MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)

# --------------------------------------------------------------------------------------------------- encoding


def _encoded(x: Any) -> Any:
    """Lists, strings, ints, bools and None are themselves; all else is an object whose one member says what it is."""
    kind = type(x)
    if x is None or kind in (bool, int, str):
        return x
    if kind is list:
        return list(map(_encoded, x))
    if kind in _ENCODERS:
        name, encode = _ENCODERS[kind]
        return {name: encode(x)}
    if isinstance(x, Value):
        return {"value": [x.data.hex(), x.grad.hex()]}
    raise _errors.cannot_be_saved(x)


def _encoded_array(array: NDArray[Any]) -> list[str]:
    name = next(name for name, dtype in _DTYPES.items() if dtype == array.dtype)
    return [name, base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode()]


def _encoded_structure(structure: Structure) -> list[Any]:
    for name, kind in _CONTAINERS.items():
        if structure.kind is kind or structure.kind == name:
            return [name, _encoded(structure.keys), _encoded(structure.children)]
    raise _errors.cannot_be_saved(structure.kind)


def _encoded_type(kind: type) -> str:
    if _STATIC_TYPES.get(kind.__name__) is not kind:
        raise _errors.cannot_be_saved(kind)
    return kind.__name__


_ENCODERS: dict[type, tuple[str, Callable[[Any], Any]]] = {
    float: ("float", float.hex),
    tuple: ("tuple", lambda x: list(map(_encoded, x))),
    dict: ("dict", lambda x: [[_encoded(key), _encoded(item)] for key, item in x.items()]),
    bytes: ("bytes", lambda x: base64.b64encode(x).decode()),
    np.ndarray: ("array", _encoded_array),
    Structure: ("structure", _encoded_structure),
    type: ("type", _encoded_type),
}


def _decoded(x: Any) -> Any:
    if isinstance(x, list):
        return list(map(_decoded, x))
    if isinstance(x, dict):
        ((name, encoded),) = x.items()
        return _DECODERS[name](encoded)
    return x


def _decoded_array(encoded: list[str]) -> NDArray[Any]:
    name, text = encoded
    dtype = _DTYPES[name]
    return np.frombuffer(base64.b64decode(text), dtype.newbyteorder("<")).astype(dtype)


def _decoded_value(encoded: list[str]) -> Value:
    value = Value(float.fromhex(encoded[0]))
    value.grad = float.fromhex(encoded[1])
    return value


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "float": float.fromhex,
    "tuple": lambda x: tuple(map(_decoded, x)),
    "dict": lambda x: {_decoded(key): _decoded(item) for key, item in x},
    "bytes": base64.b64decode,
    "array": _decoded_array,
    "structure": lambda x: Structure(_CONTAINERS[x[0]], _decoded(x[1]), _decoded(x[2])),
    "type": lambda name: _STATIC_TYPES[name],
    "value": _decoded_value,
}
