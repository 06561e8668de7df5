# A part of _core.pyx: recordings, which nest, each of one thread. What is recorded is in csrc/trace.c and record.c.

def is_recording() -> bool:
    """Whether this thread records a function."""
    return fg_recording() is not NULL


def refuse(self, what: str) -> None:
    """Raises if this thread records a function, in which this cannot be."""
    fg_refuse(what.encode())


def peek(value) -> float:
    """The data of a Value, also while a function is recorded: for what is not recorded."""
    return tape.value[node_of(value)]


cdef double *numbers_of(tuple values, const double[::1] numbers) except? NULL:
    """The first of as many numbers as there are Values."""
    cdef Py_ssize_t count = PyTuple_GET_SIZE(values)
    if numbers.shape[0] != count:
        raise ValueError(f"expected a number for each of {count} Values, got {numbers.shape[0]}")
    return <double *>&numbers[0] if count else NULL


cdef inline uint32_t item_node(tuple values, Py_ssize_t i, PyTypeObject *value_type) except? 0:
    """As node_of, without counting a reference and without looking the type up: for thousands of Values in a loop."""
    cdef PyObject *item = PyTuple_GET_ITEM(values, i)
    if not PyObject_TypeCheck(item, value_type) or (<fg_value *>item).handle.node == FG_VOID:
        return node_of(<object>item)  # which raises
    return (<fg_value *>item).handle.node


def gather_data(values: tuple, double[::1] into) -> None:
    """Writes the data of Values to an array, also while a function is recorded."""
    cdef double *number = numbers_of(values, into)
    cdef PyTypeObject *value_type = <PyTypeObject *>Value
    cdef Py_ssize_t i
    for i in range(PyTuple_GET_SIZE(values)):
        number[i] = tape.value[item_node(values, i, value_type)]


def gather_grads(values: tuple, double[::1] into) -> None:
    """Writes the gradients of Values to an array."""
    fg_refuse("grad")
    cdef double *number = numbers_of(values, into)
    cdef PyTypeObject *value_type = <PyTypeObject *>Value
    cdef Py_ssize_t i
    for i in range(PyTuple_GET_SIZE(values)):
        number[i] = tape.grad[item_node(values, i, value_type)]


def scatter_data(values: tuple, const double[::1] numbers) -> None:
    """Sets the data of Values to the numbers of an array."""
    fg_refuse("set_data")
    cdef double *number = numbers_of(values, numbers)
    cdef PyTypeObject *value_type = <PyTypeObject *>Value
    cdef Py_ssize_t i
    for i in range(PyTuple_GET_SIZE(values)):
        tape.value[item_node(values, i, value_type)] = number[i]


def scatter_grads(values: tuple, const double[::1] numbers) -> None:
    """Sets the gradients of Values to the numbers of an array."""
    fg_refuse("grad")
    cdef double *number = numbers_of(values, numbers)
    cdef PyTypeObject *value_type = <PyTypeObject *>Value
    cdef Py_ssize_t i
    for i in range(PyTuple_GET_SIZE(values)):
        tape.grad[item_node(values, i, value_type)] = number[i]


def add_grads(values: tuple, const double[::1] amounts) -> None:
    """Adds to the gradients of Values, also while a function is recorded."""
    cdef double *number = numbers_of(values, amounts)
    cdef PyTypeObject *value_type = <PyTypeObject *>Value
    cdef Py_ssize_t i
    for i in range(PyTuple_GET_SIZE(values)):
        tape.grad[item_node(values, i, value_type)] += number[i]


def record_take(operands: list):
    """The node that picks, by the first operand, from the others."""
    return fg_take(operands)


def start_recording(values) -> list:
    """Starts to record what this thread does, and returns the inputs as Values. Recordings nest."""
    global held
    tidy()
    cdef list numbers = [_errors.real("start_recording", value) for value in values]
    cdef uint32_t i, count = len(numbers)
    cdef double *data = <double *>malloc((count or 1) * sizeof(double))
    if data is NULL:
        raise MemoryError
    for i in range(count):
        data[i] = numbers[i]
    held += 1  # until the recording ends
    try:
        return fg_trace_begin(data, count)
    except BaseException:
        held -= 1
        raise
    finally:
        free(data)


def abandon_recording() -> None:
    """Ends the recording of this thread that was started last."""
    global held
    fg_trace_end(this_recording())
    held -= 1


def finish_recording(outputs):
    """Ends the recording of this thread that was started last, and returns what the outputs need of it.

    It goes on if this raises: then abandon it.
    """
    cdef fg_tracer *t = this_recording()
    cdef fg_extract e
    e.outputs = 0
    e.output = NULL
    try:
        give_outputs(list(outputs), &e)
        recording = extracted(t, &e)
    finally:
        free(e.output)
    abandon_recording()
    return recording


cdef fg_tracer *this_recording() except NULL:
    if fg_recording() is NULL:
        raise _errors.not_recording()
    return fg_recording()


cdef int give_outputs(list outputs, fg_extract *e) except -1:
    """Makes the nodes of the outputs; a number becomes a constant."""
    cdef uint32_t i, count = len(outputs)
    for i in range(count):
        if not PyObject_TypeCheck(<PyObject *>outputs[i], <PyTypeObject *>Value):
            outputs[i] = Value(_errors.real("the recorded function", outputs[i]))
    e.output = <uint32_t *>malloc((count or 1) * sizeof(uint32_t))
    if e.output is NULL:
        raise MemoryError
    for i in range(count):
        e.output[i] = node_of(outputs[i])
    e.outputs = count
    return 0


cdef object extracted(fg_tracer *t, fg_extract *e):
    cdef int status = fg_trace_extract(t, e)
    cdef uint32_t i
    try:
        if status == FG_NO_MEMORY:
            raise MemoryError
        lines = _recording.Lines([None, *fg_trace_sites(t)])
        if status != FG_OK:
            make_error = _errors.hand_made if status == FG_HAND_MADE else _errors.of_another_recording
            raise make_error(lines[e.culprit_site])
        guard_sites = _recording.array(fg_trace_guard_sites(t), np.uint32)
        return _recording.Recording(
            array(e.node, e.nodes, sizeof(fg_node), _recording.NODE),
            array(e.pool, e.pool_size, sizeof(uint32_t), np.uint32),
            array(e.constant, e.constants, sizeof(double), np.float64),
            fg_trace_inputs(t) + e.parameters,
            array(e.output, e.outputs, sizeof(uint32_t), np.uint32),
            array(e.guard, len(guard_sites), sizeof(uint32_t), np.uint32),
            _recording.array(fg_trace_outcomes(t), np.uint8),
            guard_sites,
            tuple([fg_handle_of(e.parameter[i]) for i in range(e.parameters)]),
            lines,
        )
    finally:
        fg_extract_free(e)


cdef object array(const void *data, size_t count, size_t element, object dtype):
    return _recording.array(PyBytes_FromStringAndSize(<const char *>data, count * element), dtype)
