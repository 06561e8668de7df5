/* A pool of threads that share out numbered tasks, and memory that each of them keeps from one call to the next.
 *
 *  1. One call at a time has the pool: between fg_pool_enter and fg_pool_leave.
 *  2. Worker 0 is the calling thread. The others start when they are first needed, and sleep between calls.
 *  3. After a fork the child has no threads but its own: it starts new ones when it needs them.
 */
#ifndef FG_POOL_H
#define FG_POOL_H

#include <stddef.h>

struct fg_pool;

int fg_pool_new(unsigned threads, struct fg_pool **pool);
void fg_pool_free(struct fg_pool *pool);

/* Takes the pool; 0 where another call has it. */
int fg_pool_enter(struct fg_pool *pool);
void fg_pool_leave(struct fg_pool *pool);
unsigned fg_pool_threads(const struct fg_pool *pool);

/* At least so many bytes, at a cache line, for the worker alone, contents undefined; NULL where there is no memory. */
void *fg_pool_scratch(struct fg_pool *pool, unsigned worker, size_t bytes);

/* Runs work(argument, worker) on up to so many threads at once; returns when all have returned. Within `work`,
 * fg_pool_next gives each of the tasks once (0: none is left); after fg_pool_stop no more are given, and whoever is at
 * work may ask fg_pool_stopped whether to leave off. */
typedef void fg_work(void *argument, unsigned worker);
void fg_pool_run(struct fg_pool *pool, unsigned threads, size_t tasks, fg_work *work, void *argument);
int fg_pool_next(struct fg_pool *pool, size_t *task);
void fg_pool_stop(struct fg_pool *pool);
int fg_pool_stopped(struct fg_pool *pool);

#endif
