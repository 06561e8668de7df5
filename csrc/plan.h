/* What the files of the scheduler share: the values of a stream, and the trees that they make. */
#ifndef FG_PLAN_H
#define FG_PLAN_H

#include "graph.h"

#define NONE UINT32_MAX

/* The values of a stream: first its operations, in the order of the graph, then (of the lane stream) its inputs. */
typedef struct values {
    uint32_t operations, count;
    uint32_t *node;            /* of a value: where it is in the graph                                       */
    uint32_t *first, *operand; /* of operation i: operand[first[i]] ... operand[first[i + 1]], each value once */
    uint32_t *users;           /* of a value: how many operations                                            */
    uint8_t *sinks;            /* of a value: whether something else needs it too                            */
    uint32_t *ring;            /* of a value: the next one of those that are loaded together                 */
    uint8_t *urgent;           /* of a value: a guard needs it, and sums wait for all guards                 */
} values;

/* A value that is the root of a tree, or an input: how many trees that need it are not yet there, and their numbers in one
 * xor, so that one alone is known; `user` is the first of a list of entries of `need`. */
typedef struct supply {
    uint32_t left, last, user;
} supply;

/* A tree computes part[part] ... up to that of the next one, its root last, from need[need] ... */
typedef struct tree {
    uint32_t root, part, need;
    uint32_t waits; /* for so many values that it needs */
    int8_t grade;   /* what it adds to the values alive */
    uint8_t done;
} tree;

typedef struct plan {
    values v;
    uint8_t *inner;  /* of an operation: part of the tree of its user            */
    uint32_t *width; /* of a value: the leaves of its tree; 1 if it is a leaf    */
    uint32_t *room;  /* of a value: values alive at a time while its tree is computed; 1 if it is a leaf */
    uint32_t trees;
    tree *tree;
    uint32_t *part;
    uint32_t *need, *owner, *next; /* values; the tree that needs them; the next entry of the same value */
    supply *supply;
    uint8_t *there;  /* of a value: loaded, or computed */
    uint32_t *seen;
    uint32_t *stack;
    uint32_t *sequence; /* the trees in order */
    uint32_t *order;    /* the operations in order */
} plan;

int fg_find_values(values *v, fg_graph *g, const fg_list *list);

/* The trees, and who needs what of them. */
void fg_find_trees(plan *s);

#endif
