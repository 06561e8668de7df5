"""What is refused where functions and data are on many machines, and what is said then: as in fastgrad._errors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from reprlib import repr as short
from typing import Any

Shape = tuple[Any, ...]


def _described(got: object) -> str:
    return f"{type(got).__name__} {short(got)}"


def no_dask(cause: ImportError) -> ImportError:
    return ImportError(
        f"fastgrad.distributed is for Dask's arrays, and Dask cannot be imported ({cause}): "
        "pip install 'fastgrad[dask]'"
    )


# --------------------------------------------------------------------------------------------------- functions


def not_compiled(where: str, got: object) -> TypeError:
    return TypeError(f"{where}(f): expected a compiled function, as fg.compile(f) makes it, got {_described(got)}")


def unknown_method(got: object, known: Iterable[str]) -> ValueError:
    return ValueError(f"apply(method): expected one of {', '.join(known)}; got {got!r}")


def cannot_be_sent(name: str, cause: Exception, culprit: str) -> TypeError:
    return TypeError(
        f"{name} cannot be sent to workers: {cause}{culprit}. Nothing was sent or computed. What a function uses has "
        "to pickle: make such a thing inside the function, or pass what it is needed for as an argument; or send the "
        "recordings alone: call the function once, save it with f.save(path), and use fg.load(path)"
    )


def argument_cannot_be_sent(name: str, got: object, cause: Exception) -> TypeError:
    return TypeError(
        f"argument {name}: {_described(got)} cannot be sent to workers: {cause}. Nothing was sent or computed; static "
        "arguments have to pickle"
    )


def values_of_workers(home: str) -> str:
    """Why a function is not recorded on workers."""
    return (
        f"workers import it from {home}, where it would use Values of their own; make these arguments, or keep them "
        "where the function is made, inside another function"
    )


def values_of_a_module(name: str, count: int) -> RuntimeError:
    return RuntimeError(
        f"{name} uses {count} Value(s) that each worker has for itself, as they belong to a module that it imports: "
        "they would not follow those of this process. Make them arguments, or keep them where the function is "
        "made; or call the function here, with rows that take the same branches, before it is sent"
    )


def parameters_unknown(name: str) -> RuntimeError:
    return RuntimeError(
        f"{name} used Values on a worker that it was not seen to use before, so that the shape of the derivative was "
        "wrong; call it here once, with rows that take the same branches"
    )


# -------------------------------------------------------------------------------------------------------- data


def no_dask_array(where: str, name: str) -> TypeError:
    return TypeError(
        f"{where}: expected a Dask array among the arguments of {name}, such as dask.array.from_array(x, chunks=...); "
        "for NumPy arrays call the function itself"
    )


def values_as_argument(name: str) -> TypeError:
    return TypeError(
        f"argument {name}: expected numbers or arrays of them, got Values; pass their data, with "
        f"argnums={name.partition('[')[0]!r} for the derivative, or use them inside the function, with "
        "argnums='parameters'"
    )


def wrong_dtype(name: str, dtype: object) -> TypeError:
    return TypeError(
        f"argument {name}: expected real numbers, of a dtype that casts safely to float64 (bool, integers, floats); "
        f"got a Dask array of {dtype}"
    )


def too_few_dimensions(name: str, shape: Shape, core: Sequence[object]) -> ValueError:
    return ValueError(
        f"argument {name}: expected at least the core dimensions ({', '.join(map(str, core))}), got shape {shape}"
    )


def core_in_chunks(name: str, core: Sequence[object], chunks: object, axes: Sequence[int]) -> ValueError:
    whole = ", ".join(f"{axis}: -1" for axis in axes)
    return ValueError(
        f"argument {name}: the core dimensions ({', '.join(map(str, core))}) have to be in one chunk, got chunks "
        f"{chunks}; use {name}.rechunk({{{whole}}}), or, with apply, allow_rechunk=True"
    )


def unknown_size(name: str, shape: Shape) -> ValueError:
    return ValueError(
        f"argument {name}: expected known sizes, got shape {shape}; {name}.compute_chunk_sizes() computes them"
    )


def partitions_differ(name: str, chunks: Shape, other: str, expected: Shape) -> ValueError:
    return ValueError(
        f"arguments {other} and {name} are not cut in the same places: {other} has chunks {expected} along the batch, "
        f"{name} {chunks}; use {name}.rechunk()"
    )


def not_one_batch_dimension(name: str, shape: Shape, core: Sequence[object]) -> ValueError:
    return ValueError(
        f"argument {name}: expected one batch dimension, in partitions, and the core dimensions "
        f"({', '.join(map(str, core))}); got shape {shape}; reshape it to rows"
    )


def not_partitioned(name: str, shape: Shape, core: Sequence[object]) -> ValueError:
    return ValueError(
        f"argument {name}: it has rows, with shape {shape} and core dimensions ({', '.join(map(str, core))}), but is "
        "not a Dask array cut like the others; use dask.array.from_array(..., chunks=...)"
    )


def wrong_partition(name: str, number: int, got: Shape, expected: Shape) -> ValueError:
    return ValueError(
        f"partition {number} of argument {name} has the shape {got}, but its Dask array says {expected}; "
        "what makes the partition returned something else"
    )


def nan_in_data(name: str, function: str, number: int, row: int, whole: int, got: object) -> ValueError:
    return ValueError(
        f"the sum of {function} is nan, as there is {got} in the data: argument {name}, partition {number}, row {row} "
        f"of it, row {whole} of all; drop or fill such rows first"
    )


def asynchronous(client: object) -> TypeError:
    return TypeError(f"client: expected one that waits for results, got {client}: use Client(asynchronous=False)")


def closed(client: object) -> ValueError:
    return ValueError(f"client: expected one that is open, got one that was closed: {client}")


def bad_rows(got: object, chunk: int) -> ValueError:
    return ValueError(f"Workers(rows): expected a multiple of {chunk}, or None, got {short(got)}")


def not_a_client(got: object) -> TypeError:
    return TypeError(
        f"client: expected a dask.distributed.Client, as Client(cluster) makes it, or None; got {_described(got)}"
    )
