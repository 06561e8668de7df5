/* Recordings of a thread: where in the user's program each node was made, and the decisions taken on them.
 *
 * A place is found with each node, so it has to be cheap: the frame's code object and instruction are looked up in a
 * hash table, and what line that is is asked once, when the recording is over. */
#include "handle.h"

#if PY_VERSION_HEX < 0x030B0000
#include <frameobject.h>
#define PyFrame_GetLasti(frame) ((frame)->f_lasti * 2)
#endif

enum { UNKNOWN_SITE = 1, FEWEST_BUCKETS = 256 };

fg_tracer *fg_recording(void)
{
    return tracer();
}

int fg_refuse(const char *what)
{
    if (!tracer())
        return 0;
    Py_XDECREF(PyObject_CallFunction(S.hook.refuse, "s", what));
    return 1;
}

static int status_error(int status)
{
    if (status == FG_OK)
        return 0;
    PyErr_NoMemory();
    return -1;
}

/* --------------------------------------------------------------------------------------------------- sites */

static inline uint32_t bucket_of(const fg_tracer *t, const PyCodeObject *code, int instruction)
{
    uint64_t key = (uint64_t)(uintptr_t)code / 16 + (uint64_t)(uint32_t)instruction * 0x9E3779B9u;
    return (uint32_t)((key * 0x9E3779B97F4A7C15u) >> 32) & (t->buckets - 1);
}

/* The number of a site that is known, or 0. */
static inline uint32_t known_site(const fg_tracer *t, const PyCodeObject *code, int instruction)
{
    for (uint32_t b = bucket_of(t, code, instruction);; b = (b + 1) & (t->buckets - 1)) {
        uint32_t number = t->bucket[b];
        if (!number || (t->site[number - 1].code == code && t->site[number - 1].instruction == instruction))
            return number;
    }
}

static void put_in_bucket(fg_tracer *t, uint32_t number)
{
    const fg_site *site = &t->site[number - 1];
    uint32_t b = bucket_of(t, site->code, site->instruction);
    while (t->bucket[b])
        b = (b + 1) & (t->buckets - 1);
    t->bucket[b] = number;
}

/* Keeps half of the buckets empty; there are half as many places for sites. */
static int more_buckets(fg_tracer *t)
{
    uint32_t buckets = t->buckets ? 2 * t->buckets : FEWEST_BUCKETS;
    uint32_t *bucket = buckets > t->buckets ? PyMem_Calloc(buckets, sizeof *bucket) : NULL;
    fg_site *site = bucket ? PyMem_Realloc(t->site, buckets / 2 * sizeof *site) : NULL;
    if (!site) {
        PyMem_Free(bucket);
        PyErr_NoMemory();
        return -1;
    }
    PyMem_Free(t->bucket);
    t->bucket = bucket;
    t->buckets = buckets;
    t->site = site;
    for (uint32_t number = 1; number <= t->sites; number++)
        put_in_bucket(t, number);
    return 0;
}

static int is_of_user(const PyCodeObject *code)
{
    if (!code)
        return 1;
    PyObject *answer = PyObject_CallOneArg(S.hook.is_users, code->co_filename);
    int yes = answer ? PyObject_IsTrue(answer) : -1;
    Py_XDECREF(answer);
    return yes;
}

/* Returns the number of the new site, or 0 with an exception. */
static uint32_t new_site(fg_tracer *t, PyCodeObject *code, int instruction)
{
    int of_user = is_of_user(code);
    if (of_user < 0 || (t->sites == t->buckets / 2 && more_buckets(t) < 0))
        return 0;
    Py_XINCREF(code);
    t->site[t->sites++] = (fg_site){code, instruction, of_user};
    put_in_bucket(t, t->sites);
    return t->sites;
}

/* The site of the innermost frame that is the user's, or 0 with an exception. */
static uint32_t site_here(fg_tracer *t)
{
    PyFrameObject *frame = PyEval_GetFrame(), *own = NULL; /* the first is borrowed */
    uint32_t number = UNKNOWN_SITE;
    while (frame) {
        PyCodeObject *code = PyFrame_GetCode(frame);
        int instruction = PyFrame_GetLasti(frame);
        number = known_site(t, code, instruction);
        if (UNLIKELY(!number))
            number = new_site(t, code, instruction);
        Py_DECREF(code);
        if (!number || t->site[number - 1].of_user)
            break;
        number = UNKNOWN_SITE;
        frame = PyFrame_GetBack(frame);
        Py_XDECREF(own);
        own = frame;
    }
    Py_XDECREF(own);
    return number;
}

/* --------------------------------------------------------------------------------------------------- nodes */

static int own_node(fg_tracer *t, PyObject *v)
{
    uint32_t site = site_here(t);
    return site ? status_error(fg_recorder_own(&t->recorder, node_of(v), site)) : -1;
}

int fg_trace_made(PyObject *v)
{
    fg_tracer *t = tracer();
    return t ? own_node(t, v) : 0;
}

/* What is computed under no_grad inside a recorded function passes no gradient on. */
static int block_gradient(fg_tracer *t, PyObject *v)
{
    if (room(1) < 0)
        return -1;
    uint32_t node = node_of(v);
    fg_rebind((fg_value *)v, fg_append(&S.tape, FG_OP_stop_gradient, node, 0, S.tape.value[node], NULL));
    return own_node(t, v);
}

/* Shows a result to who watches; under no_grad its node was made for that only, and becomes a leaf. */
static int show(PyObject *v)
{
    PyObject *done = PyObject_CallOneArg(S.hook.watch, v);
    int off = done ? S.hook.recording_off() : -1;
    Py_XDECREF(done);
    if (off > 0)
        S.tape.op[node_of(v)] = FG_LEAF;
    return off < 0 ? -1 : 0;
}

PyObject *fg_trace(PyObject *v)
{
    fg_tracer *t = tracer();
    if (t ? own_node(t, v) < 0 || (t->no_grad > 0 && block_gradient(t, v) < 0) : S.watchers > 0 && show(v) < 0)
        Py_CLEAR(v);
    return v;
}

int fg_trace_guard(PyObject *v, int outcome)
{
    fg_tracer *t = tracer();
    if (!t)
        return 0;
    uint32_t site = site_here(t);
    return site ? status_error(fg_recorder_guard(&t->recorder, node_of(v), outcome, site)) : -1;
}

/* ---------------------------------------------------------------------------------------- beginning and end */

static void free_tracer(fg_tracer *t)
{
    for (uint32_t i = 0; i < t->sites; i++)
        Py_XDECREF(t->site[i].code);
    PyMem_Free(t->site);
    PyMem_Free(t->bucket);
    fg_recorder_free(&t->recorder);
    PyMem_Free(t);
}

static fg_tracer *new_tracer(void)
{
    fg_tracer *t = PyMem_Calloc(1, sizeof *t);
    if (!t)
        return (fg_tracer *)PyErr_NoMemory();
    t->thread = PyThread_get_thread_ident();
    if (!new_site(t, NULL, 0)) {
        free_tracer(t);
        return NULL;
    }
    return t;
}

/* Appends the inputs, with nothing in between, and notes each in the list. */
static int append_inputs(fg_tracer *t, const double *values, uint32_t count, PyObject *list)
{
    fg_recorder_begin(&t->recorder, &S.tape, count);
    for (uint32_t i = 0; i < count; i++) {
        fg_value *v = new_handle();
        if (!v)
            return -1;
        PyList_SET_ITEM(list, i, bind(FG_LEAF, 0, 0, values[i], v));
        if (status_error(fg_recorder_own(&t->recorder, node_of((PyObject *)v), UNKNOWN_SITE)) < 0)
            return -1;
    }
    return 0;
}

PyObject *fg_trace_begin(const double *values, uint32_t count)
{
    fg_tracer *t = new_tracer();
    PyObject *list = t ? PyList_New(count) : NULL;
    if (!list || room(count) < 0 || append_inputs(t, values, count, list) < 0) {
        if (t)
            free_tracer(t);
        Py_XDECREF(list);
        return NULL;
    }
    t->next = S.tracers;
    S.tracers = t;
    S.unusual++;
    return list;
}

/* Takes a tracer out of the list. */
static void unlink_tracer(const fg_tracer *t)
{
    fg_tracer **at = &S.tracers;
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    S.unusual--;
}

void fg_trace_end(fg_tracer *t)
{
    unlink_tracer(t);
    fg_recorder_retire(&t->recorder, &S.tape);
    free_tracer(t);
}

/* While somebody watches, a tracer of no thread is in the list: so the one test for recordings is that for watchers too,
 * and operations are as fast as without them. */
void fg_count_watchers(int change)
{
    static fg_tracer of_no_thread;
    if (S.watchers > 0)
        unlink_tracer(&of_no_thread);
    S.watchers += change;
    if (S.watchers > 0) {
        of_no_thread.next = S.tracers;
        S.tracers = &of_no_thread;
        S.unusual++;
    }
}

int fg_trace_extract(fg_tracer *t, fg_extract *e)
{
    return fg_extract_make(&t->recorder, &S.tape, e);
}

uint32_t fg_trace_inputs(const fg_tracer *t)
{
    return t->recorder.inputs;
}

PyObject *fg_trace_sites(const fg_tracer *t)
{
    PyObject *list = PyList_New(t->sites);
    for (uint32_t i = 0; list && i < t->sites; i++) {
        const fg_site *site = &t->site[i];
        PyObject *item = site->code ? Py_BuildValue("Oi", site->code, site->instruction) : Py_NewRef(Py_None);
        if (!item)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, i, item);
    }
    return list;
}

PyObject *fg_trace_outcomes(const fg_tracer *t)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, t->recorder.guards);
    for (uint32_t i = 0; bytes && i < t->recorder.guards; i++)
        PyBytes_AS_STRING(bytes)[i] = (char)t->recorder.guard[i].outcome;
    return bytes;
}

PyObject *fg_trace_guard_sites(const fg_tracer *t)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)t->recorder.guards * (Py_ssize_t)sizeof(uint32_t));
    for (uint32_t i = 0; bytes && i < t->recorder.guards; i++)
        memcpy(PyBytes_AS_STRING(bytes) + i * sizeof(uint32_t), &t->recorder.guard[i].site, sizeof(uint32_t));
    return bytes;
}
