"""What the calculus toolkit refuses, and what is said then: as in fastgrad._errors, whose style this is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from reprlib import repr as short


def _described(got: object) -> str:
    return f"{type(got).__name__} {short(got)}"


def _listed(names: Iterable[object]) -> str:
    return ", ".join(map(repr, names)) or "none"


def name_of(f: object) -> str:
    return str(getattr(f, "__name__", type(f).__name__))


# --------------------------------------------------------------------------------------------------- functions


def not_a_function(where: str, got: object) -> TypeError:
    advice = "; a Value is a result: give the function that computes it" if hasattr(got, "_children") else ""
    return TypeError(f"{where}(f): expected a function of numbers, got {_described(got)}{advice}")


def no_arguments(where: str, name: str) -> TypeError:
    return TypeError(
        f"{where}(f): expected a function of at least one number, but {name} takes no arguments: "
        "there is nothing to take a derivative with respect to"
    )


def several_arguments(where: str, name: str, names: Sequence[str], instead: str) -> TypeError:
    return TypeError(f"{where}(f): expected a function of one number, but {name} takes {_listed(names)}; {instead}")


def not_scalar(where: str, name: str, got: object) -> TypeError:
    return TypeError(
        f"{where}: expected {name} to return one number, got {_described(got)}; "
        "take the derivative of one entry, or fg.jacobian of all"
    )


def several_results(where: str, name: str, results: str) -> TypeError:
    return TypeError(
        f"{where}: expected {name} to return one number, but it returns {results}; "
        "take the derivative of one of them, or fg.jacobian of all"
    )


def bad_result(where: str, name: str, got: object) -> TypeError:
    return TypeError(f"{where}: expected {name} to return numbers, or lists and arrays of them, got {_described(got)}")


def not_deterministic(name: str, first: float, second: float) -> ValueError:
    return ValueError(
        f"check_grad(f): {name} returned {first!r} and then {second!r} at the same point; "
        "a function that draws random numbers needs the same seed at each call"
    )


def gradient_size(expected: int, got: int) -> ValueError:
    return ValueError(f"check_grad(grad): expected one number for each of {expected} in x, got {got}")


def not_finite_at(where: str, name: str, got: float) -> ValueError:
    return ValueError(f"{where}: expected {name} to be finite at x, got {got!r}")


# ------------------------------------------------------------------------------------------------ names, points


def unknown_name(what: str, name: str, wrt: object, names: Sequence[str]) -> ValueError:
    return ValueError(f"{what}: {wrt!r} is none of the arguments of {name}; these are {_listed(names)}")


def not_in_graph(what: str, wrt: object, of: object) -> ValueError:
    return ValueError(
        f"{what}: {wrt!r} is not in the graph of {of!r}: nothing that it was computed from is this Value. "
        "A Value made anew with the same number is another one"
    )


def no_label(what: str, label: str, labels: Sequence[str]) -> ValueError:
    return ValueError(f"{what}: no Value in the graph has the label {label!r}; the labels there are {_listed(labels)}")


def same_label(what: str, label: str, count: int) -> ValueError:
    return ValueError(f"{what}: {count} Values in the graph have the label {label!r}; give the Value itself")


def wrong_wrt(what: str, got: object) -> TypeError:
    return TypeError(f"{what}: expected a Value of the graph, or its label, got {_described(got)}")


def not_an_operand(wrt: object, of: object, op: str) -> ValueError:
    return ValueError(
        f"partial(wrt): {wrt!r} is no operand of {of!r}, which is the result of {op!r}; for the derivative along "
        "all paths of the graph use total() or derivative()"
    )


def wrong_count(where: str, name: str, wanted: Sequence[str], got: int) -> TypeError:
    return TypeError(f"{where}(x): {name} takes {_listed(wanted)}, got a point of {got} numbers or arrays")


def shapes_differ(where: str, what: str, expected: tuple[int, ...], got: tuple[int, ...]) -> ValueError:
    return ValueError(f"{where}({what}): expected shape {expected}, as that of x, got {got}")


def bad_order(where: str, got: object, least: int) -> ValueError:
    return ValueError(f"{where}(order): expected a whole number, at least {least}, got {_described(got)}")


# ------------------------------------------------------------------------------------------- numerical_derivative


def unknown_method(got: object, methods: Iterable[str]) -> ValueError:
    return ValueError(f"numerical_derivative(method): expected one of {_listed(methods)}, got {got!r}")


def not_finite(what: str, got: float) -> ValueError:
    return ValueError(f"numerical_derivative({what}): expected a finite number, got {got!r}")


def zero_step() -> ValueError:
    return ValueError(
        "numerical_derivative(h): expected a step other than 0, for the quotient has it as its divisor; "
        "give no h, and a good one is chosen"
    )


def step_too_small(x: float, h: float, spacing: float) -> ValueError:
    return ValueError(
        f"numerical_derivative(h): x + h == x for x = {x!r} and h = {h!r}, so that there is no difference to divide; "
        f"floats lie {spacing:.2g} apart there"
    )


def step_too_large(x: float, h: float) -> ValueError:
    return ValueError(f"numerical_derivative(h): x + h is infinite for x = {x!r} and h = {h!r}")


def no_complex(name: str, cause: BaseException) -> TypeError:
    return TypeError(
        f"numerical_derivative(method='complex'): {name} cannot take the complex number x + ih ({cause}). The complex "
        "step is for functions made of Python's arithmetic, cmath and NumPy; use method='richardson', or "
        "derivative() for functions made of fastgrad's"
    )


def real_result(name: str, got: object) -> ValueError:
    return ValueError(
        f"numerical_derivative(method='complex'): expected {name} to return a complex number for x + ih, "
        f"got {_described(got)}: "
        "it does not depend on x, or takes a real part or an absolute value on the way; use another method"
    )


# ------------------------------------------------------------------------------------------------------- total


def no_dependency(name: str, key: str, known: Sequence[str]) -> ValueError:
    return ValueError(
        f"total(given): {key!r} is neither an argument of {name}, which are {_listed(known)}, "
        "nor used by another dependency"
    )


def not_a_dependency(key: str, got: object) -> TypeError:
    return TypeError(
        f"total(given): expected a function of other variables for {key!r}, such as lambda a: 2.0 * a, "
        f"got {_described(got)}"
    )


def not_a_mapping(got: object) -> TypeError:
    return TypeError(
        f"total(given): expected a mapping from names to functions, such as {{'b': lambda a: 2.0 * a}}, "
        f"got {_described(got)}"
    )


def nameless_dependency(key: str) -> TypeError:
    return TypeError(
        f"total(given): the function for {key!r} does not name its parameters, so that nobody knows what it depends "
        "on; wrap it: lambda a: f(a)"
    )


def circle(names: Sequence[str]) -> ValueError:
    return ValueError(
        f"total(given): the dependencies form a circle: {' depends on '.join(names)}; one of them must be free"
    )


def dependent_wrt(wrt: str, free: Sequence[str]) -> ValueError:
    return ValueError(
        f"total(wrt): {wrt!r} is given as a function of others, so that it is not free to change; "
        f"free are {_listed(free)}"
    )


def not_numbers(name: str, signature: str) -> TypeError:
    return TypeError(
        f"total(f): expected a function of numbers, but {name} has the signature {signature!r}; put the dependencies "
        "into a function of your own, and take its gradient"
    )


# ----------------------------------------------------------------------------------------------- sparse, series


def no_scipy(cause: ImportError) -> ImportError:
    return ImportError(
        f"sparse matrices are SciPy's, and it cannot be imported ({cause}): pip install 'fastgrad[sparse]'"
    )


def bad_sparsity_order(got: object) -> ValueError:
    return ValueError(f"sparsity(order): expected 1, for first derivatives, or 2, for second ones, got {got!r}")


def no_series(operation: str, operands: Sequence[float], why: str) -> ValueError:
    return ValueError(f"taylor(x): {operation}({', '.join(map(repr, operands))}) has no Taylor series there: {why}")


def not_analytic(name: str, x: float, order: int, got: float) -> ValueError:
    return ValueError(f"taylor(x): coefficient {order} of {name} at {x!r} is {got!r}: it has no Taylor series there")
