"""A compiled function: its methods, and what they say."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from os import PathLike
from typing import Any

import numpy as np

from . import _compile_errors as _errors
from . import _file, _store
from ._anomaly import Anomaly
from ._backend import Value, module
from ._derived import Argnums, Derivative, derivative, gufunc_of, python_of
from ._engine import Engine, prepare
from ._export import c_file
from ._listing import PathInfo, listing, path_info, stats
from ._paths import Subject
from ._signature import Floats, parse
from ._why_nan import why_nan


class Compiled(Engine):
    """A function that is recorded once and then run over arrays; `compile` makes it.

    Called with numbers and arrays it broadcasts them as NumPy's functions do, and answers with floats and arrays.
    Called with Values it runs the Python function on them, so that compiled functions can stand inside others.

    The methods that give derivatives take the arguments of the function and, by name, ``argnums``: with respect to
    which of them, by number or by name, one or a tuple of several; ``"parameters"`` are the Values that the function
    uses besides. Without it, these are all numbers and arrays in the call. With one of them the derivative is an array,
    with several a tuple, an array for each; a derivative with respect to a tuple or dict of arrays is one as well. By
    name, ``out`` gives arrays to put the result into, which is then returned.

    Results without dimensions are floats.
    """

    __name__: str
    _method_of: tuple[Any, str] | None = None  # the instance, and the name there

    def __init__(
        self,
        function: Callable[..., Any],
        signature: str | None = None,
        *,
        fastmath: bool = False,
        max_paths: int = 32,
        static: int | str | Iterable[int | str] = (),
    ) -> None:
        if not callable(function):
            raise _errors.not_callable(function)
        if isinstance(max_paths, bool) or not isinstance(max_paths, int) or max_paths < 1:
            raise _errors.bad_max_paths(max_paths)
        gufunc = gufunc_of(function) if signature is None else parse(signature)
        if isinstance(function, Compiled):
            function = function.subject.function or function
        name = getattr(function, "__name__", type(function).__name__)
        super().__init__(Subject(function, name, bool(fastmath), max_paths), gufunc, python_of(function), static)

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        """The Python function; there is none if this was loaded from a file."""
        if self.subject.function is None:
            raise AttributeError(f"{self.__name__} has no Python function: {self.subject.absence}")
        return self.subject.function

    @__wrapped__.setter
    def __wrapped__(self, function: Callable[..., Any]) -> None:
        self.subject.function = function

    @property
    def __signature__(self) -> inspect.Signature:
        if self.subject.function is not None:
            raise AttributeError("__signature__")  # it is that of the function, with annotations
        return self.python

    # ------------------------------------------------------------------------------------------- value and derivatives

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the function, row by row; by name ``out`` takes arrays for the results."""
        return self._value(*args, **kwargs)

    def _value(self, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        return self._answer("value", args, kwargs, out=out)

    @derivative("Batch dimensions, then those of the argument; a tuple if there are several arguments.")
    def grad(self, *args: Any, argnums: Argnums = None, out: Any = None, **kwargs: Any) -> Any:
        """Compute the gradient of a function with one number as its result, row by row.

        Examples
        --------
        >>> import fastgrad as fg
        >>> @fg.compile
        ... def f(x, y):
        ...     return x * y * y
        >>> f.grad(2.0, 3.0)
        (9.0, 12.0)
        >>> f.grad(2.0, [3.0, 4.0], argnums="y")
        array([12., 16.])
        """
        return self._answer("grad", args, kwargs, argnums, out)

    @derivative("The value, with the batch dimensions, and the gradient, as from `grad`.")
    def value_and_grad(self, *args: Any, argnums: Argnums = None, out: Any = None, **kwargs: Any) -> Any:
        """Compute the function and its gradient: a pair, as ``scipy.optimize.minimize(jac=True)`` wants it.

        Examples
        --------
        >>> import fastgrad as fg
        >>> import numpy as np
        >>> @fg.compile(signature="(n)->()")
        ... def length2(x):
        ...     return fg.dot(x, x)
        >>> length2.value_and_grad(np.array([1.0, 2.0]))
        (5.0, array([2., 4.]))
        """
        return self._answer("value_and_grad", args, kwargs, argnums, out)

    @derivative(
        "Batch dimensions, those of the result, those of the argument; for several results a tuple of these.",
        scalar=False,
    )
    def jacobian(self, *args: Any, argnums: Argnums = None, out: Any = None, **kwargs: Any) -> Any:
        """Compute the derivatives of all results, with shape batch + result + argument.

        There is one reverse sweep for each result; or, where results are more than four times as many as arguments,
        one forward sweep for each argument.

        Examples
        --------
        >>> import fastgrad as fg
        >>> @fg.compile(signature="(2)->(2)")
        ... def polar(x):
        ...     return [fg.hypot(x[0], x[1]), fg.arctan2(x[1], x[0])]
        >>> polar.jacobian([0.0, 1.0])
        array([[ 0.,  1.],
               [-1.,  0.]])
        """
        return self._answer("jacobian", args, kwargs, argnums, out)

    @derivative("Batch dimensions, then twice those of the argument; a tuple of tuples if there are several arguments.")
    def hessian(self, *args: Any, argnums: Argnums = None, out: Any = None, **kwargs: Any) -> Any:
        """Compute the second derivatives, with shape batch + argument + argument; exactly symmetric.

        With several arguments these are tuples of tuples.

        Examples
        --------
        >>> import fastgrad as fg
        >>> fg.compile(lambda x, y: x * x * y).hessian(2.0, 5.0)
        ((10.0, 4.0), (4.0, 0.0))
        """
        return self._answer("hessian", args, kwargs, argnums, out)

    @derivative("What `grad` returns.", "; and behind them the vectors: what `grad` returns")
    def hvp(self, *args: Any, argnums: Argnums = None, out: Any = None, **kwargs: Any) -> Any:
        """Compute the product of the second derivatives and vectors, without the matrix.

        The vectors stand behind the arguments, or are given as ``vectors=``. They are what `grad` gives: an array, or a
        tuple with one for each argument. So for a function of one array this is the ``hessp`` that
        ``scipy.optimize.minimize`` wants.

        Examples
        --------
        >>> import fastgrad as fg
        >>> f = fg.compile(lambda x: x[0] ** 2 * x[1], signature="(2)->()")
        >>> f.hvp([1.0, 3.0], [1.0, 0.0])
        array([6., 2.])
        """
        return self._answer("hvp", args, kwargs, argnums, out)

    @derivative(
        "What the function returns.",
        "; and behind them the tangents: one, or a tuple with one for each argument",
        scalar=False,
    )
    def jvp(self, *args: Any, argnums: Argnums = None, out: Any = None, **kwargs: Any) -> Any:
        """Compute the derivatives of all results in one direction: the product of Jacobian and tangents.

        The tangents stand behind the arguments, or are given as ``tangents=``. They are one array, or a tuple with one
        for each argument.

        Examples
        --------
        >>> import fastgrad as fg
        >>> f = fg.compile(lambda x, y: (x * y, x + y))
        >>> f.jvp(2.0, 3.0, (1.0, 0.0))
        (3.0, 1.0)
        """
        return self._answer("jvp", args, kwargs, argnums, out)

    @derivative(
        "What `grad` would return.", "; and behind them the cotangents: what the function returns", scalar=False
    )
    def vjp(self, *args: Any, argnums: Argnums = None, out: Any = None, **kwargs: Any) -> Any:
        """Compute the gradient of a weighted sum of the results: the product of cotangents and Jacobian.

        The cotangents stand behind the arguments, or are given as ``cotangents=``. They are what the function returns.

        Examples
        --------
        >>> import fastgrad as fg
        >>> f = fg.compile(lambda x, y: (x * y, x + y))
        >>> f.vjp(2.0, 3.0, (1.0, 0.0))
        (3.0, 2.0)
        """
        return self._answer("vjp", args, kwargs, argnums, out)

    def partial(self, argument: int | str) -> Derivative:
        """Return the function that computes the derivatives with respect to one argument.

        Examples
        --------
        >>> import fastgrad as fg
        >>> f = fg.compile(lambda x, y: x * y * y)
        >>> f.partial("y")(2.0, 3.0)
        12.0
        """
        return Derivative(self, "jacobian", argument)

    # ---------------------------------------------------------------------------------------------------- sums of rows

    def sum_grad(self, *args: Any, argnums: Argnums = None, **kwargs: Any) -> Any:
        """Compute the sum of the function over all rows, and the sums of its gradients: a pair.

        The order of the additions is fixed, so results do not depend on the number of threads. The gradients have no
        batch dimensions.

        Examples
        --------
        >>> import fastgrad as fg
        >>> f = fg.compile(lambda w, x: (w * x - 1.0) ** 2)
        >>> f.sum_grad(1.0, [1.0, 2.0, 3.0], argnums="w")
        (5.0, 16.0)
        """
        _, space, sums = self._total("value_and_grad", args, kwargs, argnums)
        shaped = [total.reshape(core) for total, core in zip(sums, space.shapes, strict=True)]
        return space.structure.build(iter([array if array.ndim else array.item() for array in shaped]))

    def backward(self, *batch: Any, reduction: str = "mean", **kwargs: Any) -> float:
        """Add to the ``grad`` of all Values that the function uses, as ``backward()`` of the mean over the batch would.

        Parameters
        ----------
        *batch, **kwargs
            The arguments of the function: numbers and arrays.
        reduction : {"mean", "sum"}
            What to take of the results of all rows.

        Returns
        -------
        float
            The mean or the sum.

        Examples
        --------
        >>> import fastgrad as fg
        >>> w = fg.Value(1.0)
        >>> loss = fg.compile(lambda x, y: (w * x - y) ** 2)
        >>> loss.backward([1.0, 2.0], [2.0, 4.0])
        2.5
        >>> w.grad
        -5.0
        """
        return self._backward(reduction, lambda: self._total("value_and_grad", batch, kwargs, "parameters"))

    def _backward(self, reduction: str, sums: Callable[[], tuple[int, Any, list[Floats]]]) -> float:
        """Add what is summed over rows here or on workers; of what ``sums`` returns, value and gradient are last."""
        if reduction not in ("mean", "sum"):
            raise _errors.bad_reduction(reduction)
        if module.is_recording():
            raise _errors.backward_while_recording(self.subject.name)
        rows, _, (total, gradient) = sums()
        if not self.subject.parameters:
            raise _errors.no_parameters(self.subject.name)
        if reduction == "mean":
            if not rows:
                raise _errors.mean_of_nothing(self.subject.name)
            total, gradient = total / rows, gradient / rows
        module.add_grads(tuple(self.subject.parameters), np.ascontiguousarray(gradient).ravel())
        return float(total.item())

    # ------------------------------------------------------------------------------------------------------ inspection

    @property
    def parameters(self) -> tuple[Value, ...]:
        """The Values made outside of the function that it was seen to use, in the order of their first use."""
        return tuple(self.subject.parameters)

    @property
    def paths(self) -> tuple[PathInfo, ...]:
        """All recordings, with how many rows took each and which way each branch went.

        Examples
        --------
        >>> import fastgrad as fg
        >>> f = fg.compile(lambda x: -x if x < 0.0 else x)
        >>> f([-1.0, 2.0, 3.0])
        array([1., 2., 3.])
        >>> [path.rows for path in f.paths]
        [1, 2]
        """
        for single in self.singles.values():
            single.count()
        return tuple(path_info(path) for case in self.cases for path in case.paths)

    def stats(self) -> list[dict[str, Any]]:
        """Return a dict for each program that was made: what it answers, and its sizes.

        Examples
        --------
        >>> import fastgrad as fg
        >>> f = fg.compile(lambda x, w: w * x)
        >>> f.grad([1.0, 2.0], 3.0)
        (array([3., 3.]), array([1., 2.]))
        >>> f.stats()[0]["answers"]  # x has a number for each row
        'grad(x*, w)'
        """
        return stats(self.cases)

    def why_nan(self, *args: Any, row: int | tuple[int, ...] | None = None, **kwargs: Any) -> Anomaly | None:
        """Find the operation that made a nan or an infinity from finite operands, in the value or in a derivative.

        The recording is done again on Values, with the numbers of the first row whose value or derivatives are not all
        finite, and looked through: first forward, then backward from each result.

        Parameters
        ----------
        *args, **kwargs
            The arguments of the function: one row or a batch.
        row : int or tuple of int, optional
            The row of the batch to look at; an int, or one for each batch dimension. Without it, the first with
            something to find.

        Returns
        -------
        Anomaly or None
            The operation, its operands, its line, whether it was forward or backward, and the row. None if there is
            none: all is finite, or not finite only because the arguments are not.

        Raises
        ------
        IndexError
            If there is no such row.

        Examples
        --------
        >>> import fastgrad as fg
        >>> f = fg.compile(lambda x: fg.sqrt(x - 1.0))
        >>> anomaly = f.why_nan([2.0, 1.0, 0.0])
        >>> anomaly.row, anomaly.direction, anomaly.formula, anomaly.made
        (1, 'backward', 'sqrt(v1)', inf)
        >>> f.why_nan([2.0, 1.0, 0.0], row=2).direction
        'forward'
        >>> f.why_nan(2.0) is None
        True
        """
        return why_nan(self._read(args, kwargs), row)

    def __str__(self) -> str:
        return listing(self.__repr__(), self.cases)

    def __repr__(self) -> str:
        signature = "" if self.signature is None else f", signature={self.signature!r}"
        return f"<fg.compile({self.subject.name}{signature}), {len(self.paths)} paths>"

    # --------------------------------------------------------------------------------------------------------- keeping

    def to_c(self, *args: Any, **kwargs: Any) -> str:
        """Write the function and its derivatives as one C99 file that needs nothing else.

        The file has two functions, ``name_value`` and ``name_value_and_grad`` (or ``name_jacobian``, if the results are
        not one number); its comments say what their arguments hold. They know the paths that are recorded by now, and
        return 1 where a row would take another one.

        Parameters
        ----------
        *args, **kwargs
            Arguments of the function, which say for which static values and core shapes. They can be left out if there
            were no others yet.

        Returns
        -------
        str
            The text of the file.

        Raises
        ------
        TypeError
            If there is a choice, or no call yet, and no arguments say which it is.

        Examples
        --------
        >>> import fastgrad as fg
        >>> f = fg.compile(lambda x, y: x * y)
        >>> text = f.to_c(1.0, 2.0)
        >>> "int f_value_and_grad(const double *x, double *y)" in text
        True
        """
        if args or kwargs:
            read = self._read(args, kwargs)
            prepare(read)
            cases = [read.case]
        else:
            cases = [case for case in self.cases if case.results.space is not None]
        if len(cases) != 1 or cases[0].results.space is None:
            raise _errors.which_case(self.subject.name, len(cases))
        return c_file(cases[0], cases[0].results.space)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the recordings to a file, from which `load` makes a function again.

        Parameters
        ----------
        path : str or path
            The file; it is replaced.

        Raises
        ------
        TypeError
            If there is something in the arguments' structure that a file cannot hold, such as a named tuple.

        Examples
        --------
        >>> import fastgrad as fg, os, tempfile
        >>> f = fg.compile(lambda x: x * x)
        >>> f(3.0)
        9.0
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     f.save(os.path.join(folder, "f"))
        ...     g = fg.load(os.path.join(folder, "f"))
        >>> g.grad([1.0, 2.0])
        array([2., 4.])
        """
        _file.write(path, _store.state_of(self))

    def __reduce__(self) -> tuple[Any, ...]:
        if self._method_of is not None:
            return getattr, self._method_of
        return _store.restored, (Compiled, _store.state_of(self), _store.reference_to(self))

    def __get__(self, instance: Any, owner: type | None = None) -> Compiled:
        """As a method: a function of its own for each instance, kept there, with parameters of its own."""
        if instance is None or self.subject.function is None:
            return self
        name = self.__name__
        method = vars(instance).get(name)
        if not isinstance(method, Compiled):
            options: dict[str, Any] = {
                "fastmath": self.subject.fastmath,
                "max_paths": self.subject.max_paths,
                "static": self.static,
            }
            function = self.subject.function.__get__(instance, owner)
            method = Compiled(function, self.signature, **options)
            method._method_of = (instance, name)
            vars(instance)[name] = method
        return method
