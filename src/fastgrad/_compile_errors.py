"""What compiled functions refuse, and what is said then: as in _errors, whose style this is.

Functions named after what is wrong return the exception, for the caller to raise.
"""

from __future__ import annotations

from collections.abc import Sequence
from linecache import getline
from os.path import basename
from reprlib import repr as short
from typing import Any

from ._errors import TracingError, is_real

__all__ = ["TracingError", "is_real"]

Line = tuple[str, int, str]
Shape = tuple[int, ...]


def _described(got: object) -> str:
    return f"{type(got).__name__} {short(got)}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names)) or "none"


# -------------------------------------------------------------------------------------------------- fg.compile


def not_callable(got: object) -> TypeError:
    return TypeError(f"fg.compile(f): expected a function, got {_described(got)}")


def signature_type(got: object) -> TypeError:
    return TypeError(f"signature: expected a string such as '(n),()->()', got {_described(got)}")


def bad_signature(text: str, part: str) -> ValueError:
    return ValueError(
        f"signature {text!r}: expected the core dimensions of each argument in parentheses, and behind -> those of "
        f"each result, as in '(n),()->()'; cannot read {part!r} (there are no optional or broadcastable dimensions)"
    )


def signature_count(name: str, text: str, count: int, leaves: Sequence[str], static: Sequence[str]) -> ValueError:
    fixed = f" (here {', '.join(static)})" if static else ""
    tuples = "; a tuple is several arrays: give one array as a list" if any("[" in leaf for leaf in leaves) else ""
    return ValueError(
        f"{name}: the signature {text!r} is for {count} arrays, but the call has {len(leaves)}: {_listed(leaves)}; "
        f"it has one item for each array or number, none for static arguments{fixed}, and may omit defaults{tuples}"
    )


def bad_max_paths(got: object) -> ValueError:
    return ValueError(f"fg.compile(max_paths): expected a whole number, 1 or more, got {short(got)}")


def unknown_static(name: str, which: object, names: Sequence[str]) -> ValueError:
    return ValueError(f"{name}: static={which!r} is none of its arguments, which are {_listed(names)}")


# --------------------------------------------------------------------------------------------------- arguments


def call_does_not_fit(name: str, cause: TypeError) -> TypeError:
    return TypeError(f"{name}(): {cause}")


def unhashable_static(name: str, got: object) -> TypeError:
    return TypeError(
        f"argument {name}: expected numbers, arrays, tuples or dicts of them, or something hashable, which is then "
        f"static; got {_described(got)}"
    )


def wrong_dtype(name: str, dtype: object, got: object) -> TypeError:
    return TypeError(
        f"argument {name}: expected real numbers, of a dtype that casts safely to float64 (bool, integers, floats); "
        f"got dtype {dtype} ({_described(got)})"
    )


def masked(name: str) -> TypeError:
    return TypeError(f"argument {name}: masked arrays are not supported; fill what is masked first: x.filled(0.0)")


def wrong_element(name: str, got: object) -> TypeError:
    return TypeError(f"argument {name}: expected Values and real numbers, got {_described(got)} among them")


def too_large(name: str, got: object) -> OverflowError:
    return OverflowError(f"argument {name}: {short(got)} is too large for a float")


def not_an_array(name: str, got: object, cause: Exception) -> ValueError:
    return ValueError(f"argument {name}: cannot be made an array: {cause} (got {_described(got)})")


def core_dimensions(name: str, core: Sequence[object], shape: Shape) -> ValueError:
    expected = f"({', '.join(map(str, core))})"
    at_least = "expected" if name.startswith("result") else "expected at least"
    dimensions = f"{len(core)} dimension{'s' * (len(core) != 1)}"
    return ValueError(f"{name}: {at_least} {dimensions}, {expected} in the signature; got shape {shape}")


def core_conflict(name: str, dimension: object, shape: Shape, expected: int, where: str) -> ValueError:
    return ValueError(
        f"{name}: core dimension {dimension} is {expected} in {where}, but {name} has the core shape {shape}"
    )


def no_broadcast(names: Sequence[str], shapes: Sequence[Shape], batches: Sequence[Shape]) -> ValueError:
    described = ", ".join(
        f"{name} {shape}" + (f" (batch {batch})" if batch != shape else "")
        for name, shape, batch in zip(names, shapes, batches, strict=True)
        if batch
    )
    return ValueError(f"cannot broadcast the batch dimensions of the arguments: shapes are {described}")


# ---------------------------------------------------------------------------------------------------- results


def result_of(name: str) -> str:
    return f"result of {name}"


def no_result(name: str, got: object) -> TypeError:
    forgot = "; did it forget to return?" if got is None else ""
    return TypeError(
        f"{name} returned {_described(got)}: expected a Value, a real number, or tuples, lists, dicts and arrays "
        f"of them{forgot}"
    )


def result_count(name: str, count: int, got: object) -> TypeError:
    return TypeError(f"{name} returned {_described(got)}: expected a tuple of {count} results, as in its signature")


def results_differ(name: str, before: str, now: str) -> TypeError:
    return TypeError(f"{name} returned {before} on one path and {now} on another: expected the same on all")


def not_scalar(name: str, kind: str, results: str) -> TypeError:
    return TypeError(
        f"{kind}() of {name}: expected a function with one number as its result, but it returns {results}; use "
        "jacobian(), jvp() or vjp(), which take any results"
    )


# ------------------------------------------------------------------------------------------------- derivatives


def unknown_argument(which: object, names: Sequence[str]) -> ValueError:
    return ValueError(f"argnums: {which!r} is none of the arguments {_listed(names)}, nor 'parameters'")


def static_argument(name: str) -> ValueError:
    return ValueError(f"argnums: {name!r} is static in this call: there is no derivative with respect to it")


def nothing_to_derive(name: str, kind: str) -> TypeError:
    return TypeError(
        f"{kind}() of {name}: no argument of the call is a number or an array; for derivatives with respect to "
        "captured Values give argnums='parameters'"
    )


def no_extra(name: str, kind: str, extra: str) -> TypeError:
    return TypeError(f"{kind}() of {name}: expected its arguments and, behind them or by name, {extra}")


def wrong_structure(name: str, expected: str, got: object) -> TypeError:
    return TypeError(f"{name}: expected {expected}, got {_described(got)}")


def extra_shape(name: str, got: Shape, expected: Shape) -> ValueError:
    return ValueError(f"{name}: expected the shape {expected}, behind any batch dimensions, got {got}")


def bad_out(name: str, got: Any) -> TypeError:
    what = f"an array of {got.dtype}" if hasattr(got, "dtype") else _described(got)
    return TypeError(f"{name}: expected a writeable array of float64, got {what}")


def out_shape(name: str, got: Shape, expected: Shape) -> ValueError:
    return ValueError(f"{name}: expected an array of shape {expected}, got {got}")


def out_for_values(name: str) -> TypeError:
    return TypeError(f"{name}: out= is for arrays of numbers, but there are Values in the call")


# -------------------------------------------------------------------------------------------------------- sums


def sums_need_numbers(name: str) -> TypeError:
    return TypeError(f"{name}: sums over rows are made of arrays of numbers, but there are Values in the call")


def bad_reduction(got: object) -> ValueError:
    return ValueError(f"reduction: expected 'mean' or 'sum', got {short(got)}")


def mean_of_nothing(name: str) -> ValueError:
    return ValueError(f"backward() of {name}: the mean over no rows is undefined; give it at least one row")


def no_parameters(name: str) -> TypeError:
    return TypeError(
        f"backward() of {name}: it uses no Value that was made outside of it, so there is no gradient to add to; "
        "for the gradient with respect to arguments use grad() or sum_grad()"
    )


def backward_while_recording(name: str) -> TracingError:
    return TracingError(
        f"backward() of {name} inside a function that is being recorded would change gradients once, now, and not at "
        "each call; use grad(), or call backward() outside"
    )


# ------------------------------------------------------------------------------------------------------- paths


def too_many_paths(name: str, most: int, line: Line) -> RuntimeError:
    return RuntimeError(
        f"{name} takes more than max_paths={most} paths: rows part again and again at {at(line)}; write the choice "
        "without a branch, with fg.where, fg.maximum or fg.minimum, or allow more paths: fg.compile(..., max_paths=...)"
    )


def at(line: Line) -> str:
    """A source line as the user sees it."""
    file, number, function = line
    text = getline(file, number).strip()
    return f"{basename(file)}:{number} in {function}" + (f": {text}" if text else "")


def endless_recursion(name: str, depth: int) -> RecursionError:
    return RecursionError(
        f"{name} calls itself with numbers while it is recorded, {depth} deep: pass its arguments on as they are, "
        "or end the recursion"
    )


def no_array(error: TypeError) -> TracingError:
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}: " if place is not None else ""
    return TracingError(
        f"{where}{error}: an argument is one number, unless a signature says that it is an array, as in "
        'fg.compile(f, signature="(n)->()") for a function of one vector'
    )


def no_function(name: str, why: str) -> RuntimeError:
    return RuntimeError(
        f"{name} meets arguments that it has no recording for, and cannot record: {why}; call it with arguments of "
        "that kind before it is saved or pickled"
    )


# ----------------------------------------------------------------------------------------------------- threads


def threads_type(got: object) -> TypeError:
    return TypeError(f"set_num_threads(): expected a whole number, got {_described(got)}")


def too_few_threads(got: int) -> ValueError:
    return ValueError(f"set_num_threads(): expected 1 or more, got {got}")


# ------------------------------------------------------------------------------------------------------- files


def cannot_be_saved(got: object) -> TypeError:
    return TypeError(
        f"save(): a file holds no code, so that it cannot keep {_described(got)}, which is in the structure of an "
        "argument or result, a default, or a static argument; it can keep tuples, lists, dicts, numbers and strings; "
        "or use pickle"
    )


def not_a_saved_function(path: object) -> ValueError:
    return ValueError(f"{path}: this is no file that the method save() of a compiled function has written")


def other_version(path: object) -> ValueError:
    return ValueError(f"{path}: this function was saved by another version of fastgrad; save it again with this one")


def damaged_file(path: object) -> ValueError:
    return ValueError(f"{path}: this file is damaged or was changed since save() has written it")


def inconsistent_recording(name: str) -> ValueError:
    return ValueError(f"the recordings of {name} do not fit their arguments and results")


def which_case(name: str, cases: int) -> TypeError:
    why = "it was not called yet" if not cases else f"it was called with {cases} kinds of static values and core shapes"
    return TypeError(f"to_c() of {name}: {why}; give arguments that say which it is for: f.to_c(...)")


# ----------------------------------------------------------------------------------------------------- why_nan


def bad_row(got: object) -> TypeError:
    return TypeError(
        f"why_nan(row): expected an int, or a tuple of one for each batch dimension, got {_described(got)}"
    )


def no_such_row(row: object, shape: Shape) -> IndexError:
    batch = f"a batch of shape {shape}" if shape else "a single row; leave it out"
    return IndexError(f"why_nan(row): there is no row {row!r}: the arguments are {batch}")
