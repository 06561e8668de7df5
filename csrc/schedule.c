/* Scheduling: an order in which few values are alive at a time.
 *
 * Finding the best order is hard; what works well is this. Operations whose result has a single user make trees, and a
 * tree is computed in one go, what needs most room first. Trees are then chosen greedily, among those that are ready: the
 * one that adds least to what is alive, and of several the one that became ready last, so that what was just computed is
 * used up. (The derivative of a part of a function so comes right behind the part.) At last, trees that gain by it move
 * down to their first user. The recorded order is tried as well; the order with the fewest values alive wins.
 */
#include <string.h>

#include "plan.h"
#include "tape.h"

/* ------------------------------------------------------------------------------------------------ greed */

enum { WORST = 2, BEST = -4, GRADES = WORST - BEST + 1 };

/* Ready trees by what they add to the values alive; a stack for each grade. A tree whose grade gets better is pushed
 * once more, and passed over where it comes up again. */
typedef struct choice {
    plan *s;
    uint32_t *tree, *below; /* the entries of the stacks */
    uint32_t entries;
    uint32_t top[GRADES];
} choice;

static void push(choice *c, uint32_t t)
{
    int grade = c->s->tree[t].grade;
    uint32_t *top = &c->top[(grade < BEST ? BEST : grade > WORST ? WORST : grade) - BEST];
    c->tree[c->entries] = t;
    c->below[c->entries] = *top;
    *top = c->entries++;
}

/* The best ready tree; there is one until all are done. */
static uint32_t pop(choice *c)
{
    uint32_t *top = c->top, t;
    do {
        while (*top == NONE)
            top++;
        t = c->tree[*top];
        *top = c->below[*top];
    } while (c->s->tree[t].done);
    return t;
}

/* One tree alone still needs a value that is there: it will use it up. */
static void use_up(choice *c, uint32_t value)
{
    uint32_t t = c->s->supply[value].last;
    tree *user = &c->s->tree[t];
    if (user->done)
        return;
    user->grade = user->grade > INT8_MIN ? (int8_t)(user->grade - 1) : user->grade;
    if (user->waits == 0)
        push(c, t);
}

/* Inputs are loaded together with their neighbours. */
static void load(choice *c, uint32_t input)
{
    plan *s = c->s;
    uint32_t x = input;
    do {
        s->there[x] = 1;
        if (s->supply[x].left == 1)
            use_up(c, x);
        x = s->v.ring[x];
    } while (x != input);
}

static void do_tree(choice *c, uint32_t t)
{
    plan *s = c->s;
    const tree *now = &s->tree[t];
    supply *result = &s->supply[now->root];
    s->tree[t].done = 1;
    for (uint32_t k = now->need; k < now[1].need; k++) {
        uint32_t x = s->need[k];
        if (!s->there[x])
            load(c, x);
        s->supply[x].last ^= t;
        if (--s->supply[x].left == 1)
            use_up(c, x);
    }
    s->there[now->root] = 1;
    if (result->left == 1)
        use_up(c, now->root);
    for (uint32_t k = result->user; k != NONE; k = s->next[k])
        if (--s->tree[s->owner[k]].waits == 0)
            push(c, s->owner[k]);
}

static void choose(choice *c)
{
    plan *s = c->s;
    c->entries = 0;
    for (int k = 0; k < GRADES; k++)
        c->top[k] = NONE;
    memset(s->there, 0, s->v.count);
    for (uint32_t t = s->trees; t-- > 0;) {
        s->tree[t].done = 0;
        s->tree[t].grade = s->v.urgent[s->tree[t].root] ? INT8_MIN / 2 : s->supply[s->tree[t].root].left > 0;
        if (s->tree[t].waits == 0)
            push(c, t);
    }
    for (uint32_t i = 0; i < s->trees; i++) {
        s->sequence[i] = pop(c);
        do_tree(c, s->sequence[i]);
    }
}

/* ---------------------------------------------------------------------------------------------- sinking */

/* Trees on their way down to their first user, where that is a gain: they shorten their own life by more than they
 * lengthen that of what they need. Those that come to stand before the tree at one place are a list. */
typedef struct sinking {
    uint32_t *place;        /* of each tree, in the sequence */
    uint32_t *latest;       /* of each value: the place of its last user */
    uint32_t *first, *next; /* of each place the first tree that has come there; of that the next */
} sinking;

static void sink(plan *s, sinking *m, uint32_t t)
{
    const tree *now = &s->tree[t];
    uint32_t to = NONE;
    uint64_t longer = 0;
    for (uint32_t k = s->supply[now->root].user; k != NONE; k = s->next[k])
        to = m->place[s->owner[k]] < to ? m->place[s->owner[k]] : to;
    if (to == NONE || s->v.sinks[now->root])
        return;
    for (uint32_t k = now->need; k < now[1].need; k++)
        longer += m->latest[s->need[k]] < to ? to - m->latest[s->need[k]] : 0;
    if (longer >= to - m->place[t])
        return;
    for (uint32_t k = now->need; k < now[1].need; k++)
        m->latest[s->need[k]] = m->latest[s->need[k]] < to ? to : m->latest[s->need[k]];
    s->sequence[m->place[t]] = NONE;
    m->place[t] = to;
    m->next[t] = m->first[to];
    m->first[to] = t;
}

static void sink_trees(plan *s, sinking *m)
{
    for (uint32_t i = 0; i < s->trees; i++) {
        uint32_t t = s->sequence[i];
        m->place[t] = i;
        m->first[i] = NONE;
        for (uint32_t k = s->tree[t].need; k < s->tree[t + 1].need; k++)
            m->latest[s->need[k]] = i;
    }
    for (uint32_t i = s->trees; i-- > 0;)
        sink(s, m, s->sequence[i]);
}

static uint32_t write_tree(plan *s, uint32_t t, uint32_t size)
{
    for (uint32_t k = s->tree[t].part; k < s->tree[t + 1].part; k++)
        s->order[size++] = s->part[k];
    return size;
}

static void write_order(plan *s, const sinking *m)
{
    uint32_t size = 0;
    for (uint32_t i = 0; i < s->trees; i++) {
        for (uint32_t t = m->first[i]; t != NONE; t = m->next[t])
            size = write_tree(s, t, size);
        if (s->sequence[i] != NONE)
            size = write_tree(s, s->sequence[i], size);
    }
}

/* ------------------------------------------------------------------------------------------------ driver */

/* How many values an order keeps alive: at most, and added up over all operations. */
typedef struct pressure {
    uint32_t most;
    uint64_t total;
} pressure;

static pressure measure(plan *s, const uint32_t *order)
{
    const values *v = &s->v;
    pressure p = {0, 0};
    uint32_t alive = 0, *left = s->seen;
    memcpy(left, v->users, v->count * sizeof *left);
    memset(s->there, 0, v->count);
    for (uint32_t n = 0; n < v->operations; n++) {
        uint32_t i = order ? order[n] : n;
        for (uint32_t k = v->first[i]; k < v->first[i + 1]; k++) {
            uint32_t x = v->operand[k];
            for (; x >= v->operations && !s->there[x]; x = v->ring[x]) {
                s->there[x] = 1;
                alive += left[x] > 0;
            }
        }
        p.most = alive + 1 > p.most ? alive + 1 : p.most;
        for (uint32_t k = v->first[i]; k < v->first[i + 1]; k++)
            alive -= --left[v->operand[k]] == 0;
        alive += left[i] > 0;
        p.total += alive;
    }
    return p;
}

static int make_plan(plan *s, choice *c, sinking *m, fg_arena *a)
{
    size_t values = (size_t)s->v.count + 1, edges = (size_t)s->v.first[s->v.operations] + 1;
    s->inner = fg_arena_take(a, values, sizeof *s->inner);
    s->width = fg_arena_take(a, values, sizeof *s->width);
    s->room = fg_arena_take(a, values, sizeof *s->room);
    s->tree = fg_arena_take(a, values, sizeof *s->tree);
    s->part = fg_arena_take(a, values, sizeof *s->part);
    s->need = fg_arena_take(a, edges, sizeof *s->need);
    s->owner = fg_arena_take(a, edges, sizeof *s->owner);
    s->next = fg_arena_take(a, edges, sizeof *s->next);
    s->supply = fg_arena_take(a, values, sizeof *s->supply);
    s->there = fg_arena_take(a, values, sizeof *s->there);
    s->seen = fg_arena_take(a, values, sizeof *s->seen);
    s->stack = fg_arena_take(a, values, sizeof *s->stack);
    s->sequence = fg_arena_take(a, values, sizeof *s->sequence);
    s->order = fg_arena_take(a, values, sizeof *s->order);
    c->s = s;
    c->tree = fg_arena_take(a, 2 * values, sizeof *c->tree);
    c->below = fg_arena_take(a, 2 * values, sizeof *c->below);
    m->place = fg_arena_take(a, values, sizeof *m->place);
    m->latest = s->seen;
    m->first = s->width;
    m->next = s->room;
    return a->status;
}

static int search(fg_graph *g, fg_list *list)
{
    plan s = {.trees = 0};
    choice c;
    sinking m;
    int status = fg_find_values(&s.v, g, list);
    if (status == FG_OK)
        status = make_plan(&s, &c, &m, &g->arena);
    if (status != FG_OK)
        return status;
    pressure recorded = measure(&s, NULL);
    fg_find_trees(&s);
    choose(&c);
    sink_trees(&s, &m);
    write_order(&s, &m);
    pressure sorted = measure(&s, s.order);
    if (sorted.most < recorded.most || (sorted.most == recorded.most && sorted.total < recorded.total))
        for (uint32_t i = 0; i < list->size; i++)
            list->order[i] = s.v.node[s.order[i]];
    return FG_OK;
}

int fg_schedule(fg_graph *g, fg_list *list, int schedule)
{
    list->order = fg_arena_take(&g->arena, (size_t)g->size + 1, sizeof *list->order);
    if (g->arena.status != FG_OK)
        return g->arena.status;
    for (uint32_t i = 0; i < g->size; i++)
        if (fg_runs_in(g, i, list->stream))
            list->order[list->size++] = i;
    if (!schedule || list->size < 3)
        return FG_OK;
    fg_arena_mark mark = fg_arena_set(&g->arena);
    int status = search(g, list);
    fg_arena_back(&g->arena, mark);
    return status;
}
