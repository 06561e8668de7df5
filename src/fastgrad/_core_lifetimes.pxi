# A part of _core.pyx: how long what hangs on nodes lives, and the room on the tape.
#
# What a user hangs on a handle (a label, an attribute, a closure) has to live as long as the node, even when the user
# no longer holds the handle: the tape pins such a handle, that is, it owns a reference. Closures usually refer back to
# their own handle, as in the lecture's `out._backward = _backward`, so a pinned handle cannot simply be dropped when
# its count falls to one. Reclaiming therefore subtracts from the count of each handle the references that come from
# the pins and from what only pinned handles own (the trial deletion of Bacon and Rajan, 2001, over what hangs on
# nodes): a handle that is left with none is weak, and lives only if a living node needs it.

cdef enum:
    EXPANDED = 4          # flag: what this handle keeps alive has been rooted
    REFERENCE = 8         # unit of the count of explained references, above the flags
    SHRINK_AFTER = 8      # so many reclaims in a row that left the arrays almost empty
    ALMOST_EMPTY = 16
    INITIAL_CAPACITY = 8192
    ENTRIES_PER_NODE = 8
    WALKED_PER_NODE = 8   # objects looked at in the time that an operation takes
    MOST_NODES = 1 << 20

cdef list pinned = []
cdef int idle_reclaims = 0
cdef uint32_t survivors = 0   # nodes that the latest reclaim left
cdef int held = 0             # while positive nothing is reclaimed: somebody holds the number of a node
cdef Py_ssize_t walked = 0    # objects that the latest reclaim looked at


cdef int pin(fg_value *v) except -1:
    pinned.append(<object><PyObject *>v)
    v.handle.flags |= FG_PINNED
    return 0


cdef list owned_values(fg_value *v):
    """Addresses of the Values that a handle's attributes refer to through objects that nothing else owns."""
    global walked
    cdef list found = [], stack = [], referents
    cdef PyObject *o
    cdef Py_ssize_t i
    if v.attributes is NULL or v.attributes.ob_refcnt > 1:
        return found
    stack.append(<object>v.attributes)
    while stack:
        referents = gc.get_referents(stack.pop())
        walked += PyList_GET_SIZE(referents)
        for i in range(PyList_GET_SIZE(referents)):
            o = PyList_GET_ITEM(referents, i)
            if PyObject_TypeCheck(o, <PyTypeObject *>Value):
                found.append(<size_t>o)
            elif Py_REFCNT(<object>o) <= 2 and FG_IS_GC(o):  # one is its owner's, one the list's
                stack.append(<object>o)
    return found


cdef int find_weak(list touched) except -1:
    """Flags the handles whose every reference is explained, and gathers the addresses of all that were looked at."""
    cdef fg_value *v
    cdef size_t address
    for i in range(PyList_GET_SIZE(pinned)):
        v = <fg_value *>PyList_GET_ITEM(pinned, i)
        touched.append(<size_t>v)
        touched += owned_values(v)
    for address in touched:
        (<fg_value *>address).handle.flags += REFERENCE
    for address in touched:
        v = <fg_value *>address
        if (<Py_ssize_t>(v.handle.flags // REFERENCE)) == (<PyObject *>v).ob_refcnt:
            v.handle.flags |= FG_WEAK
    return 0


cdef bint root_what_hangs_on(fg_value *v) except -1:
    """Roots the handles that a living one keeps, and what they keep; says whether one of them was not marked."""
    cdef bint rooted = False
    cdef list keepers = [<size_t>v]
    cdef size_t address
    while keepers:
        address = keepers.pop()
        (<fg_value *>address).handle.flags |= EXPANDED
        for address in owned_values(<fg_value *>address):
            v = <fg_value *>address
            v.handle.flags &= ~<uint32_t>FG_WEAK
            rooted = rooted or not tape.reached[v.handle.node]
            if v.handle.flags & FG_PINNED and not v.handle.flags & EXPANDED:
                keepers.append(address)
    return rooted


cdef int mark_living() except -1:
    """Marks the living nodes; what hangs on one of them roots the handles that it refers to."""
    cdef fg_value *v
    cdef bint rooted = True
    while rooted:
        rooted = False
        fg_tape_mark(tape)
        for i in range(PyList_GET_SIZE(pinned)):
            v = <fg_value *>PyList_GET_ITEM(pinned, i)
            if tape.reached[v.handle.node] and not v.handle.flags & EXPANDED and root_what_hangs_on(v):
                rooted = True
    return 0


cdef list take_dead(list touched):
    """Takes the nodes away from the weak handles that no living node needs; returns the pinned ones among them."""
    global pinned
    cdef fg_value *v
    cdef size_t address
    cdef list living = [], dead = []
    for handle in pinned:
        v = handle_of(handle)
        (living if tape.reached[v.handle.node] else dead).append(handle)
    for address in touched:
        v = <fg_value *>address
        if not tape.reached[v.handle.node]:
            fg_rebind(v, FG_VOID)
    for handle in dead:
        handle_of(handle).handle.flags &= ~<uint32_t>FG_PINNED
    pinned = living
    return dead


cdef int reclaim() except -1:
    global held, walked
    cdef size_t address
    cdef list touched = [], dead
    cdef bint collecting = PyGC_Disable()  # a run of Python's collector would change the counts under us
    held += 1
    walked = 0
    try:
        find_weak(touched)
        mark_living()
        dead = take_dead(touched)
        fg_tape_slide(tape)
    finally:
        for address in touched:
            (<fg_value *>address).handle.flags &= FG_PINNED
        fg_tape_unmark(tape)
        held -= 1
        if collecting:
            PyGC_Enable()
    for handle in dead:
        fg_drop_attributes(handle_of(handle))  # breaks the cycles
    return 0


cdef int reclaim_and_shrink() except -1:
    global idle_reclaims, survivors
    reclaim()
    survivors = tape.size
    idle_reclaims = idle_reclaims + 1 if tape.size < tape.capacity // ALMOST_EMPTY else 0
    if idle_reclaims > SHRINK_AFTER and tape.capacity > INITIAL_CAPACITY and walked < tape.capacity:
        idle_reclaims = 0
        fg_tape_shrink(tape)
    return 0


cdef int tidy() except -1:
    """Reclaims, where it pays off, before a recording: until its end nothing is."""
    if tape.size // 2 > max(survivors, <uint32_t>INITIAL_CAPACITY // 2) and not tape.sweeping and not held:
        reclaim_and_shrink()
    return 0


cdef int make_room(uint32_t nodes, uint32_t entries) except -1:
    cdef bint short_of_nodes = tape.capacity - tape.size < nodes
    if not short_of_nodes and tape.pool_capacity - tape.pool_size >= entries:
        return 0
    # A run of the collector costs what lives: it should pay off in nodes, and a pool is cheap to grow up to a point.
    if tape.sweeping or held or (not short_of_nodes and tape.size < tape.capacity // 2
                         and tape.pool_capacity // ENTRIES_PER_NODE < tape.capacity):
        return grow(nodes, entries)
    reclaim_and_shrink()
    # The next run has to pay off for what users hung on their Values, too, which it walks through.
    return grow(max(nodes, <uint32_t>min(walked // WALKED_PER_NODE, MOST_NODES)), entries)


cdef int grow(uint32_t nodes, uint32_t entries) except -1:
    """Doubles what is more than half full, and makes room for so many more in any case."""
    cdef uint32_t spare = tape.capacity - tape.size, pool_spare = tape.pool_capacity - tape.pool_size
    cdef int status = fg_tape_grow(tape, max(nodes, spare + 1 if spare <= tape.size else 0),
                                   max(entries, pool_spare + 1 if pool_spare <= tape.pool_size else 0))
    if status == FG_OK or (spare >= nodes and pool_spare >= entries):
        return 0
    raise _errors.out_of_memory(tape.size, status == FG_TOO_LARGE)
