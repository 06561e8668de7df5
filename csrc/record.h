/* A recording: which nodes of the tape a function made, and the program that they are.
 *
 * While a recording is under way nothing is reclaimed, so that the numbers of nodes stand. Nodes of other threads may lie
 * between its own; and what it uses may have been made before it. `site` tells its own nodes from those.
 */
#ifndef FG_RECORD_H
#define FG_RECORD_H

#include "program.h"
#include "tape.h"

enum fg_record_status {
    FG_HAND_MADE = 24, /* an output needs a node made by hand, which has no rule to record    */
    FG_OF_ANOTHER      /* an output needs a node of a recording that is over                   */
};

/* A decision that the function took: the node, whether it was true, and where. */
typedef struct fg_guard {
    uint32_t node, site;
    uint8_t outcome;
} fg_guard;

typedef struct fg_recorder {
    uint32_t base;   /* the number of its first node  */
    uint32_t inputs; /* so many nodes from base on     */
    uint32_t *site;  /* for each node from base on, where it was recorded; 0: it is not one of the recording's */
    uint32_t sites, site_capacity;
    fg_guard *guard;
    uint32_t guards, guard_capacity;
} fg_recorder;

/* Starts a recording whose inputs are the nodes that the caller appends next. */
void fg_recorder_begin(fg_recorder *r, const fg_tape *t, uint32_t inputs);
void fg_recorder_free(fg_recorder *r);

/* Says that a node is the recording's, made at this site, which is not 0. */
int fg_recorder_own(fg_recorder *r, uint32_t node, uint32_t site);
int fg_recorder_guard(fg_recorder *r, uint32_t node, int outcome, uint32_t site);

/* Makes leaves of the recording's nodes that a handle still refers to: they stand for one row of many. */
void fg_recorder_retire(const fg_recorder *r, fg_tape *t);

/* What was recorded: what the outputs and the guards need, renumbered from 0, in the order of the tape; see program.h.
 * Leaves that are not the recording's own are parameters, inputs behind its own, in the order of their first use. */
typedef struct fg_extract {
    fg_node *node; /* line: the site */
    uint32_t nodes;
    uint32_t *pool;
    uint32_t pool_size;
    double *constant;
    uint32_t constants;
    uint32_t *parameter; /* nodes of the tape */
    uint32_t parameters;
    uint32_t *output, outputs; /* the caller's nodes of the tape; then of the extract */
    uint32_t *guard;           /* as many as the recorder has */
    uint32_t culprit_site;     /* at FG_HAND_MADE, FG_OF_ANOTHER: where the recording uses that node, or 0 */
} fg_extract;

/* Fills everything but output and outputs, which the caller gives and keeps. Whatever it returns, free with
 * fg_extract_free. It writes nothing to the tape. */
int fg_extract_make(const fg_recorder *r, const fg_tape *t, fg_extract *e);
void fg_extract_free(fg_extract *e);

#endif
