# cython: language_level=3, binding=True
"""Programs in C: recorded functions as data, their derivatives, and the code that runs them over batches.

Here are calls and checks, and no arithmetic: see csrc/program.h and csrc/code.h.
"""
from __future__ import annotations

from math import prod

import numpy as np

cimport numpy as cnp
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_CheckExact, PyFloat_FromDouble
from cpython.long cimport PyLong_AsDouble, PyLong_CheckExact
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_New, PyTuple_SET_ITEM
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from fastgrad import _code_listing, _recording

cnp.import_array()

cdef extern from *:
    int PyErr_CheckSignals()

cdef extern from "tape.h":
    enum: FG_OK, FG_NO_MEMORY, FG_TOO_LARGE

cdef extern from "program.h":
    enum: FG_BAD_PROGRAM, FG_STOPPED, FG_ALL_PASSES
    uint32_t FG_NO_NODE
    ctypedef struct fg_node:
        uint16_t op, flags
        uint32_t a, b, c, line
    ctypedef struct fg_program:
        fg_node *node
        uint32_t size, capacity
        uint32_t *pool
        uint32_t pool_size, pool_capacity
        double *constant
        uint32_t constants, constant_capacity
        uint32_t inputs
        uint32_t *output
        uint32_t outputs, output_capacity
    ctypedef struct fg_selection:
        const uint32_t *output
        uint32_t outputs
        const uint32_t *wrt
        uint32_t wrts
    void fg_program_free(fg_program *p) nogil
    const char *fg_program_fault(const fg_program *p, uint32_t *node) nogil
    int fg_program_copy(const fg_program *p, uint32_t more, fg_program *result) nogil
    int fg_program_append_output(fg_program *p, uint32_t node) nogil
    int fg_reverse(const fg_program *p, fg_selection s, int seeded, fg_program *result) nogil
    int fg_forward(const fg_program *p, fg_selection s, const double *directions, uint32_t count,
                   fg_program *result) nogil
    int fg_rewrite(const fg_program *p, int passes, int fastmath, fg_program *result, uint32_t *removed) nogil
    const char *const fg_pass_name[7]

cdef extern from "program_private.h":
    enum: FG_LEAF, FG_CONST, FG_OP_COUNT, FG_NARY
    const uint8_t fg_operands[]

cdef extern from "code.h":
    enum: FG_MAX_LANES
    ctypedef struct fg_instr:
        uint16_t op
        uint32_t z, a, b, c, node
    ctypedef struct fg_code:
        fg_instr *uniform
        fg_instr *lane
        uint32_t uniform_size, lane_size
        uint32_t *pool
        uint32_t pool_size
        double *constant
        uint32_t constants
        uint32_t uniform_inputs
        uint32_t *uniform_input
        uint32_t uniforms
        uint32_t *uniform_output
        uint32_t inputs, outputs, sums, guards, slots, lanes
    ctypedef struct fg_code_options:
        int passes, fastmath
        const uint8_t *batched
        uint32_t guards
        const uint8_t *expected
        int sum
        uint32_t lanes
    ctypedef struct fg_column:
        char *data
        ptrdiff_t stride
    ctypedef struct fg_batch:
        size_t rows
        const fg_column *input
        const fg_column *output
        const double *uniform_input
        uint8_t *left
        double *sum
        int (*poll)(void *) noexcept
        void *poll_argument
        unsigned isa
    cdef struct fg_pool:
        pass
    int fg_compile(const fg_program *p, const fg_code_options *options, fg_code *code) nogil
    void fg_code_free(fg_code *code) nogil
    int fg_run(const fg_code *code, const fg_batch *batch, fg_pool *threads) nogil
    void fg_uniforms_init(const fg_code *code, double *uniforms) nogil
    void fg_run_uniform(const fg_code *code, double *uniforms) nogil
    bint fg_takes_path(const fg_code *code, const double *uniforms) nogil
    int fg_pool_new(unsigned threads, fg_pool **pool) nogil
    void fg_pool_free(fg_pool *pool) nogil
    const char *fg_isa(unsigned number) nogil

NODE = _recording.NODE
PASSES = tuple([fg_pass_name[k].decode() for k in range(7)])


cdef int check(int status) except -1:
    if status == FG_OK:
        return 0
    if status == FG_NO_MEMORY:
        raise MemoryError("no memory for a program of this size")
    if status == FG_TOO_LARGE:
        raise OverflowError("a program has at most 2**31 - 1 nodes and as many operands")
    raise ValueError("not a valid program")


cdef int mask_of(passes) except -1:
    cdef int mask = 0
    for name in passes:
        if name not in PASSES:
            raise ValueError(f"no pass is called {name!r}; there are {', '.join(PASSES)}")
        mask |= 1 << PASSES.index(name)
    return mask


cdef cnp.ndarray numbers(what, given, object limit):
    """An array of numbers below the limit, as C wants them."""
    array = np.asarray(given)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise ValueError(f"{what}: expected a sequence of whole numbers, got {given!r}")
    outside = array[(array < 0) | (array >= limit)] if array.size else array
    if outside.size:
        raise ValueError(f"{what}: {outside[0]} is not in the range from 0 to {limit - 1}")
    return np.ascontiguousarray(array, dtype=np.uint32)


cdef cnp.ndarray typed(str what, given, dtype):
    """A C-contiguous vector of exactly this dtype."""
    if not isinstance(given, np.ndarray) or given.dtype != dtype or given.ndim != 1:
        raise ValueError(f"{what}: expected a vector of {dtype}, got {given!r}")
    return np.ascontiguousarray(given)


cdef object frozen(const void *data, size_t count, dtype):
    """A read-only copy of C memory."""
    cdef size_t size = count * <size_t>dtype.itemsize
    return np.frombuffer((<const char *>data)[:size] if size else b"", dtype=dtype)


cdef fg_selection selection(cnp.ndarray outputs, cnp.ndarray wrt):
    cdef fg_selection s
    s.output = <const uint32_t *>cnp.PyArray_DATA(outputs)
    s.outputs = <uint32_t>outputs.shape[0]
    s.wrt = <const uint32_t *>cnp.PyArray_DATA(wrt)
    s.wrts = <uint32_t>wrt.shape[0]
    return s


cdef class Program:
    """A recorded function as data: nodes in topological order, and which of them are its outputs.

    The arrays are as in ``_recording.Recording`` and ``csrc/program.h``; they are copied and verified. A program is
    never changed.
    """

    cdef fg_program p

    def __cinit__(self, nodes=None, pool=None, constants=None, inputs=0, outputs=()):
        if nodes is None:
            return  # one that `made` fills
        if not 0 <= inputs < 2**31:
            raise ValueError(f"inputs: expected a number from 0 to {2**31 - 1}, got {inputs!r}")
        cdef cnp.ndarray node = typed("nodes", nodes, NODE), entry = typed("pool", pool, np.dtype(np.uint32))
        cdef cnp.ndarray constant = typed("constants", constants, np.dtype(np.float64))
        cdef cnp.ndarray output = numbers("outputs", outputs, 2**32 - 1)
        if max(node.shape[0], entry.shape[0], constant.shape[0], output.shape[0]) >= 2**31:
            check(FG_TOO_LARGE)
        cdef fg_program borrowed
        borrowed.node, borrowed.size = <fg_node *>cnp.PyArray_DATA(node), <uint32_t>node.shape[0]
        borrowed.pool, borrowed.pool_size = <uint32_t *>cnp.PyArray_DATA(entry), <uint32_t>entry.shape[0]
        borrowed.constant, borrowed.constants = <double *>cnp.PyArray_DATA(constant), <uint32_t>constant.shape[0]
        borrowed.output, borrowed.outputs = <uint32_t *>cnp.PyArray_DATA(output), <uint32_t>output.shape[0]
        borrowed.inputs = inputs
        cdef uint32_t at
        cdef const char *fault = fg_program_fault(&borrowed, &at)
        if fault != NULL:
            where = "" if at == FG_NO_NODE else f"node {at} has "
            raise ValueError(f"not a valid program: {where}{fault.decode()}")
        check(fg_program_copy(&borrowed, 0, &self.p))

    def __init__(self, nodes=None, pool=None, constants=None, inputs=0, outputs=()):
        pass

    def __dealloc__(self):
        fg_program_free(&self.p)

    def __reduce__(self):
        return Program, (self.nodes, self.pool, self.constants, self.inputs, self.outputs)

    @property
    def size(self):
        """How many nodes there are."""
        return self.p.size

    @property
    def inputs(self):
        """How many inputs there are."""
        return self.p.inputs

    @property
    def outputs(self):
        """The nodes that are the outputs."""
        return frozen(self.p.output, self.p.outputs, np.dtype(np.uint32))

    @property
    def nodes(self):
        """The nodes, as an array of NODE."""
        return frozen(self.p.node, self.p.size, NODE)

    @property
    def pool(self):
        """The operands of nodes that have any number of them."""
        return frozen(self.p.pool, self.p.pool_size, np.dtype(np.uint32))

    @property
    def constants(self):
        """The numbers that constant nodes name."""
        return frozen(self.p.constant, self.p.constants, np.dtype(np.float64))

    def reverse(self, outputs, wrt, bint seeded=False):
        """The program with the adjoints of the inputs ``wrt``: for each of ``outputs`` in turn, one for each.

        With ``seeded`` there is one new input for each of ``outputs``, its adjoint, and one output for each of ``wrt``.
        An output that is the constant 0 stands for no dependence.
        """
        cdef cnp.ndarray positions = numbers("outputs", outputs, self.p.outputs)
        cdef cnp.ndarray inputs = numbers("wrt", wrt, self.p.inputs)
        cdef fg_selection s = selection(positions, inputs)
        cdef Program result = Program.__new__(Program)
        cdef int status
        with nogil:
            status = fg_reverse(&self.p, s, seeded, &result.p)
        check(status)
        return result

    def forward(self, outputs, wrt, directions=None):
        """The program with the tangents of ``outputs``; the tangents of the inputs ``wrt`` are new inputs.

        With ``directions``, an array with a row for each direction and a column for each of ``wrt``, they are constants
        instead; outputs are then direction by direction.
        """
        cdef cnp.ndarray positions = numbers("outputs", outputs, self.p.outputs)
        cdef cnp.ndarray inputs = numbers("wrt", wrt, self.p.inputs)
        cdef cnp.ndarray matrix = np.zeros((0, 0))
        cdef const double *rows = NULL
        cdef fg_selection s = selection(positions, inputs)
        cdef Program result = Program.__new__(Program)
        cdef uint32_t count
        cdef int status
        if directions is not None:
            given = np.ascontiguousarray(directions, dtype=np.float64)
            if given.ndim != 2 or given.shape[1] != len(wrt):
                raise ValueError(f"directions: expected {len(wrt)} columns, one for each of wrt; got shape {given.shape}")
            matrix = given
            rows = <const double *>cnp.PyArray_DATA(matrix)
        count = <uint32_t>matrix.shape[0]
        with nogil:
            status = fg_forward(&self.p, s, rows, count, &result.p)
        check(status)
        return result

    def with_outputs(self, nodes):
        """The same nodes with other outputs."""
        cdef cnp.ndarray output = numbers("nodes", nodes, self.p.size)
        cdef Program result = Program.__new__(Program)
        cdef const uint32_t *node = <const uint32_t *>cnp.PyArray_DATA(output)
        check(fg_program_copy(&self.p, 0, &result.p))
        result.p.outputs = 0
        for i in range(output.shape[0]):
            check(fg_program_append_output(&result.p, node[i]))
        return result

    def rewrite(self, passes=PASSES, bint fastmath=False):
        """The program folded, simplified, shared and rid of what no output needs; and what each pass took away.

        Counted are operations, which are nodes that are neither inputs nor constants.
        """
        cdef Program result = Program.__new__(Program)
        cdef int status, mask = mask_of(passes)
        cdef uint32_t removed[4]
        with nogil:
            status = fg_rewrite(&self.p, mask, fastmath, &result.p, removed)
        check(status)
        return result, {PASSES[k]: removed[k] for k in range(4)}

    def code(self, batched, *, bytes expected=b"", bint sum=False, bint fastmath=False, passes=PASSES, int lanes=0):
        """Make the program ready to run; see ``Code``."""
        mask = mask_of(passes)
        rewritten, removed = self.rewrite(passes, fastmath)
        return Code(rewritten, count_operations(self), removed, batched, expected, sum, fastmath, mask, lanes)


cdef uint32_t count_operations(Program program):
    cdef uint32_t i, count = 0
    for i in range(program.p.size):
        count += program.p.node[i].op != FG_LEAF and program.p.node[i].op != FG_CONST
    return count


# ------------------------------------------------------------------------------------------------------------- threads


cdef class Pool:
    """Threads, and scratch memory that they keep. It lives while a call uses it, or new calls will."""

    cdef fg_pool *pool
    cdef unsigned threads

    def __cinit__(self, unsigned threads):
        check(fg_pool_new(threads, &self.pool))
        self.threads = threads

    def __dealloc__(self):
        fg_pool_free(self.pool)


cdef Pool latest_pool = None


cdef Pool pool_of(int threads):
    global latest_pool
    if threads < 1:
        raise ValueError(f"threads: expected at least 1, got {threads}")
    if latest_pool is None or latest_pool.threads != <unsigned>threads:
        latest_pool = Pool(threads)
    return latest_pool


cdef int ask_for_signals(void *nothing) noexcept with gil:
    return PyErr_CheckSignals()


cdef int interrupted() except -1:
    return -1  # with the exception that the signal's handler raised


# ---------------------------------------------------------------------------------------------------------------- code


cdef class Code:
    """A program ready to run over rows. It is never changed, and may run in several threads at once."""

    cdef fg_code code
    cdef readonly Program program
    cdef readonly bytes batched, expected
    cdef object before, removed
    cdef double *uniforms  # for calls with a single row, which hold the GIL

    def __cinit__(self, Program program, before, removed, batched, bytes expected, bint sum, bint fastmath, int mask,
                  int lanes):
        self.program, self.before, self.removed = program, before, removed
        self.batched = bytes([bool(b) for b in batched])
        self.expected = bytes([bool(e) for e in expected])
        if len(self.batched) != program.p.inputs:
            raise ValueError(f"batched: expected one for each of the {program.p.inputs} inputs, got {len(self.batched)}")
        if <size_t>len(self.expected) > program.p.outputs:
            raise ValueError(f"expected: {len(self.expected)} guards, but there are only {program.p.outputs} outputs")
        if not 0 <= lanes <= FG_MAX_LANES or lanes % 8:
            raise ValueError(f"lanes: expected a multiple of 8 up to {FG_MAX_LANES}, or 0; got {lanes}")
        cdef fg_code_options options
        options.passes, options.fastmath, options.sum, options.lanes = mask, fastmath, sum, lanes
        options.batched, options.expected = self.batched, self.expected
        options.guards = len(self.expected)
        cdef int status
        with nogil:
            status = fg_compile(&program.p, &options, &self.code)
        check(status)
        self.uniforms = <double *>malloc((self.code.uniforms + 1) * sizeof(double))
        if self.uniforms == NULL:
            check(FG_NO_MEMORY)
        fg_uniforms_init(&self.code, self.uniforms)

    def __dealloc__(self):
        fg_code_free(&self.code)
        free(self.uniforms)

    def run(self, arguments, outputs, left=None, int threads=1):
        """Run over all rows.

        ``arguments`` are arrays of float64 with two dimensions whose columns are the inputs in their order: (rows, k)
        if batched, else (1, k). ``outputs`` are such arrays for what is not a guard, (1, k) for sums over rows.
        ``left`` is a vector of uint8, set to 1 where a guard failed.
        """
        cdef size_t inputs = self.code.inputs, results = self.code.outputs - self.code.guards
        cdef fg_column *columns = <fg_column *>malloc((inputs + results + 1) * sizeof(fg_column))
        cdef double *numbers = <double *>malloc((self.code.uniform_inputs + self.code.sums + 1) * sizeof(double))
        cdef Pool pool = pool_of(threads)
        try:
            if columns == NULL or numbers == NULL:
                check(FG_NO_MEMORY)
            rows = set_columns("arguments", arguments, columns, numbers, self.batched, True, None)
            rows = set_columns("outputs", outputs, columns + inputs, NULL, bytes([not self.code.sums]) * results, False, rows)
            rows = 1 if rows is None else rows
            self.run_columns(rows, columns, numbers, self.flags_of(left, rows), pool)
            if self.code.sums:
                write_sums(numbers + self.code.uniform_inputs, outputs)
        finally:
            free(columns)
            free(numbers)

    cdef uint8_t *flags_of(self, left, rows) except? NULL:
        if left is None and not self.expected:
            return NULL
        cdef bint fits = isinstance(left, np.ndarray) and left.dtype == np.uint8 and left.shape == (rows,)
        if not fits or not left.flags.c_contiguous or not left.flags.writeable:
            raise ValueError(f"left: expected a writable vector of {rows} uint8, got {left!r}")
        return <uint8_t *>cnp.PyArray_DATA(left)

    cdef run_columns(self, size_t rows, fg_column *columns, double *numbers, uint8_t *left, Pool pool):
        cdef fg_batch batch
        cdef int status
        batch.rows, batch.input, batch.output = rows, columns, columns + self.code.inputs
        batch.uniform_input, batch.sum = numbers, numbers + self.code.uniform_inputs
        batch.left, batch.poll, batch.poll_argument, batch.isa = left, ask_for_signals, NULL, 0
        with nogil:
            status = fg_run(&self.code, &batch, pool.pool)
        if status == FG_STOPPED:
            interrupted()
        check(status)

    def stats(self):
        """Return operations before and after each pass, and what the code takes to run."""
        left, passes = self.before, {}
        for name in PASSES:
            passes[name] = (left, left - self.removed.get(name, 0))
            left = passes[name][1]
        return {
            "nodes": self.before,
            "passes": passes,
            "instructions": self.code.lane_size,
            "uniform_instructions": self.code.uniform_size,
            "slots": self.code.slots,
            "lanes": self.code.lanes,
            "working_set": self.code.slots * self.code.lanes * sizeof(double),
            "instruction_set": fg_isa(0).decode(),
        }

    def listing(self, lines=()):
        """Return the code as text, one line an instruction; ``lines`` is what line numbers count in."""
        none = 2**32 - 1
        places = [-1 if self.code.uniform_output[k] == none else self.code.uniform_output[k]
                  for k in range(self.code.outputs)]
        return _code_listing.listing(_code_listing.Streams(
            self.instructions(self.code.uniform, self.code.uniform_size),
            self.instructions(self.code.lane, self.code.lane_size),
            frozen(self.code.pool, self.code.pool_size, np.dtype(np.uint32)).tolist(),
            frozen(self.code.constant, self.code.constants, np.dtype(np.float64)).tolist(),
            [self.code.uniform_input[k] for k in range(self.code.uniform_inputs)],
            places,
            {op: fg_operands[op] for op in range(FG_OP_COUNT) if fg_operands[op] < FG_NARY},
            self.expected,
        ), lines)

    cdef list instructions(self, const fg_instr *instr, uint32_t size):
        cdef uint32_t k, line
        rows = []
        for k in range(size):
            line = self.program.p.node[instr[k].node].line if instr[k].node < self.program.p.size else 0
            rows.append((instr[k].op, instr[k].z, instr[k].a, instr[k].b, instr[k].c, line))
        return rows


cdef set_columns(str what, arrays, fg_column *column, double *numbers, bytes batched, bint reading, rows):
    """Take the columns of arrays; returns how many rows the batched ones have. The single row of the others is read."""
    cdef Py_ssize_t done = 0, k, width, wanted = len(batched)
    cdef cnp.ndarray array
    for number, given in enumerate(arrays):
        if not isinstance(given, np.ndarray) or given.dtype != np.float64 or given.ndim != 2:
            raise ValueError(f"{what}[{number}]: expected a two-dimensional array of float64, got {given!r}")
        array = given
        if not cnp.PyArray_ISALIGNED(array) or not (reading or cnp.PyArray_ISWRITEABLE(array)):
            raise ValueError(f"{what}[{number}]: expected an aligned{'' if reading else ' and writable'} array")
        width = array.shape[1]
        if width > wanted - done:
            raise ValueError(f"{what}: expected {wanted} columns in all, got more")
        if width == 0:
            continue
        varies = batched[done]
        if batched.count(varies, done, done + width) != width:
            raise ValueError(f"{what}[{number}]: of its {width} columns some are batched and others not")
        rows = array.shape[0] if varies and rows is None else rows
        if array.shape[0] != (rows if varies else 1):
            raise ValueError(f"{what}[{number}]: expected {rows if varies else 1} rows, got {array.shape[0]}")
        if varies:
            for k in range(width):
                column[done + k].data = <char *>cnp.PyArray_DATA(array) + k * cnp.PyArray_STRIDE(array, 1)
                column[done + k].stride = cnp.PyArray_STRIDE(array, 0)
        elif reading and cnp.PyArray_STRIDE(array, 1) == sizeof(double):
            memcpy(numbers, cnp.PyArray_DATA(array), width * sizeof(double))
            numbers += width
        elif reading:
            for k in range(width):
                numbers[k] = (<double *>(<char *>cnp.PyArray_DATA(array) + k * cnp.PyArray_STRIDE(array, 1)))[0]
            numbers += width
        done += width
    if done != wanted:
        raise ValueError(f"{what}: expected {wanted} columns in all, got {done}")
    return rows


cdef write_sums(const double *sums, arrays):
    """Write sums into the single rows of arrays."""
    cdef Py_ssize_t k
    cdef cnp.ndarray array
    for given in arrays:
        array = given
        for k in range(array.shape[1]):
            (<double *>(<char *>cnp.PyArray_DATA(array) + k * cnp.PyArray_STRIDE(array, 1)))[0] = sums[k]
        sums += array.shape[1]


include "_program_entry.pxi"
