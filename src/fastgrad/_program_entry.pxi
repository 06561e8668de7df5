# The single-row path: a callable with next to nothing between the call and the C core. Part of _program.pyx.


cdef object float64 = np.float64


cdef struct shape_of:
    int dimensions
    Py_ssize_t first  # of its lengths in Entry.lengths
    size_t size


cdef class Entry:
    """A function that answers plain calls by itself, and leaves the others to ``slow``.

    Plain is a call with exactly as many positional arguments as were said, each a float, float64 or int (not of a subclass)
    where the shape is (), and else an exact ndarray of that shape: C-contiguous, native, aligned float64; and with no others
    but ``argnums``, which is to be the one that was said.
    """

    cdef object slow, result, argnums
    cdef Code code
    cdef shape_of *shapes  # of the arguments, then of the outputs
    cdef cnp.npy_intp *lengths
    cdef Py_ssize_t arguments, outputs
    cdef bint is_flat  # whether `result` is 0, 1, 2 ...
    cdef readonly size_t calls  # that were answered since `set`
    cdef dict __dict__

    def __init__(self, slow):
        self.slow = slow
        self.clear()

    def __dealloc__(self):
        free(self.shapes)
        free(self.lengths)

    def clear(self):
        """Leave every call to ``slow``."""
        self.code = None
        self.arguments = -1
        self.calls = 0

    def set(self, Code code not None, tuple arguments, tuple outputs, result, argnums=None):
        """Answer plain calls by this code, whose inputs all are uniform.

        ``arguments`` and ``outputs`` are shapes. ``result`` says what is returned: the number of an output, or a tuple of
        such. An output of shape () is a float, any other a new array. ``argnums`` is nothing that can be changed.
        """
        cdef fg_code *it = &code.code
        self.clear()
        if it.lane_size or it.uniform_inputs != it.inputs:
            raise ValueError("code: expected one whose inputs all are uniform")
        self.set_shapes(arguments + outputs)
        check_numbers("arguments", arguments, it.inputs)
        check_numbers("outputs", outputs, it.outputs - it.guards)
        check_result(result, len(outputs))
        self.result, self.is_flat, self.argnums = result, result == tuple(range(len(outputs))), argnums
        self.code, self.arguments, self.outputs = code, len(arguments), len(outputs)

    cdef set_shapes(self, tuple shapes):
        cdef Py_ssize_t i, k, first = 0
        free(self.shapes)
        free(self.lengths)
        self.shapes = <shape_of *>malloc((len(shapes) + 1) * sizeof(shape_of))
        self.lengths = <cnp.npy_intp *>malloc((sum(map(len, shapes)) + 1) * sizeof(cnp.npy_intp))
        if self.shapes == NULL or self.lengths == NULL:
            check(FG_NO_MEMORY)
        for i, shape in enumerate(shapes):
            self.shapes[i].dimensions, self.shapes[i].first = len(shape), first
            self.shapes[i].size = prod(shape)
            for k in range(len(shape)):
                self.lengths[first + k] = shape[k]
            first += len(shape)

    def __call__(self, *args, **kwargs):
        if len(args) != self.arguments or not self.asks_the_same(kwargs):
            return self.slow(*args, **kwargs)
        cdef Code code = self.code
        cdef double *place = code.uniforms + code.code.constants
        cdef tuple made = PyTuple_New(self.outputs)  # before the numbers are there, for it may run a finalizer
        cdef Py_ssize_t i
        for i in range(self.arguments):
            if not self.takes(<object>PyTuple_GET_ITEM(args, i), i, place):
                return self.slow(*args, **kwargs)
            place += self.shapes[i].size
        fg_run_uniform(&code.code, code.uniforms)
        if not fg_takes_path(&code.code, code.uniforms):
            return self.slow(*args, **kwargs)
        self.give(code, made)
        self.calls += 1
        return made if self.is_flat else arranged(self.result, made)

    cdef bint asks_the_same(self, dict kwargs):
        if not kwargs:
            return self.argnums is None
        if len(kwargs) > 1 or "argnums" not in kwargs:
            return False
        given = kwargs["argnums"]
        if given is self.argnums:
            return True
        return type(given) is type(self.argnums) and type(given) in (int, str) and given == self.argnums

    cdef bint takes(self, object given, Py_ssize_t i, double *place):
        """Put an argument into its place, if it is plain. This runs no code of anybody's."""
        cdef shape_of *shape = &self.shapes[i]
        cdef int k
        if shape.dimensions == 0:
            if PyFloat_CheckExact(given) or type(given) is float64:  # which is a subclass, with its double in the same place
                place[0] = PyFloat_AS_DOUBLE(given)
                return True
            return PyLong_CheckExact(given) and is_double(given, place)
        if not cnp.PyArray_CheckExact(given):
            return False
        if cnp.PyArray_TYPE(<cnp.ndarray>given) != cnp.NPY_DOUBLE or not cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>given):
            return False
        if cnp.PyArray_NDIM(<cnp.ndarray>given) != shape.dimensions:
            return False
        for k in range(shape.dimensions):
            if cnp.PyArray_DIM(<cnp.ndarray>given, k) != self.lengths[shape.first + k]:
                return False
        memcpy(place, cnp.PyArray_DATA(<cnp.ndarray>given), shape.size * sizeof(double))
        return True

    cdef give(self, Code code, tuple made):
        """Make the outputs, as items of a new tuple."""
        cdef uint32_t *place = code.code.uniform_output
        cdef double *uniforms = code.uniforms
        cdef double *data
        cdef shape_of *shape
        cdef Py_ssize_t i
        cdef size_t k
        cdef object output
        for i in range(self.outputs):
            shape = &self.shapes[self.arguments + i]
            if shape.dimensions == 0:
                output = PyFloat_FromDouble(uniforms[place[0]])
            else:
                output = cnp.PyArray_SimpleNew(shape.dimensions, self.lengths + shape.first, cnp.NPY_DOUBLE)
                data = <double *>cnp.PyArray_DATA(<cnp.ndarray>output)
                for k in range(shape.size):
                    data[k] = uniforms[place[k]]
            Py_INCREF(output)
            PyTuple_SET_ITEM(made, i, output)
            place += shape.size


cdef bint is_double(object number, double *place):
    try:
        place[0] = PyLong_AsDouble(number)
    except OverflowError:
        return False
    return True


cdef object arranged(result, tuple made):
    return made[result] if isinstance(result, int) else tuple([arranged(part, made) for part in result])


cdef check_numbers(str what, tuple shapes, uint32_t wanted):
    numbers = sum(map(prod, shapes))
    if numbers != wanted:
        raise ValueError(f"{what}: expected {wanted} numbers in all, got the shapes {shapes}")


cdef check_result(result, Py_ssize_t outputs):
    if isinstance(result, tuple):
        for part in result:
            check_result(part, outputs)
    elif not isinstance(result, int) or not 0 <= result < outputs:
        raise ValueError(f"result: expected numbers of the {outputs} outputs, or tuples of them; got {result!r}")
