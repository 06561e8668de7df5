/* POSIX threads, or those of Windows. */
#if !defined(_WIN32) && !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif

#include "pool.h"

#include <stdint.h>
#include <stdlib.h>

#include "tape.h"

#if defined(_WIN32)
#include <windows.h>
#else
#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#endif

/* ------------------------------------------------------------------------------------------ what the two systems call it */

#if defined(_WIN32)

typedef SRWLOCK mutex;
typedef CONDITION_VARIABLE condition;
typedef HANDLE thread;
#define START_ROUTINE DWORD WINAPI
#define START_RESULT 0

static int mutex_init(mutex *m) { InitializeSRWLock(m); return 1; }
static int condition_init(condition *c) { InitializeConditionVariable(c); return 1; }
static void mutex_destroy(mutex *m) { (void)m; }
static void condition_destroy(condition *c) { (void)c; }
static void lock(mutex *m) { AcquireSRWLockExclusive(m); }
static void unlock(mutex *m) { ReleaseSRWLockExclusive(m); }
static void wait_for(condition *c, mutex *m) { SleepConditionVariableSRW(c, m, INFINITE, 0); }
static void wake_all(condition *c) { WakeAllConditionVariable(c); }
static void join(thread t) { WaitForSingleObject(t, INFINITE); CloseHandle(t); }
static long process(void) { return 0; } /* nothing forks */

static int start(thread *t, LPTHREAD_START_ROUTINE routine, void *argument)
{
    return (*t = CreateThread(NULL, 0, routine, argument, 0, NULL)) != NULL;
}

#else

typedef pthread_mutex_t mutex;
typedef pthread_cond_t condition;
typedef pthread_t thread;
#define START_ROUTINE void *
#define START_RESULT NULL

static int mutex_init(mutex *m) { return pthread_mutex_init(m, NULL) == 0; }
static int condition_init(condition *c) { return pthread_cond_init(c, NULL) == 0; }
static void mutex_destroy(mutex *m) { pthread_mutex_destroy(m); }
static void condition_destroy(condition *c) { pthread_cond_destroy(c); }
static void lock(mutex *m) { pthread_mutex_lock(m); }
static void unlock(mutex *m) { pthread_mutex_unlock(m); }
static void wait_for(condition *c, mutex *m) { pthread_cond_wait(c, m); }
static void wake_all(condition *c) { pthread_cond_broadcast(c); }
static void join(thread t) { pthread_join(t, NULL); }
static long process(void) { return (long)getpid(); }

/* Signals are for the threads of the program that we work for. */
static int start(thread *t, void *(*routine)(void *), void *argument)
{
    sigset_t all, before;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before))
        return 0;
    int started = pthread_create(t, NULL, routine, argument) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

#endif

/* -------------------------------------------------------------------------------------------------------------- the pool */

enum { LINE = 64, MAX_THREADS = 4096 };

typedef struct worker {
    struct fg_pool *pool;
    unsigned number;
    thread thread;
    void *memory;
    size_t bytes;
} worker;

struct fg_pool {
    mutex mutex; /* guards all that follows, but for the memory of each worker */
    condition wake, done;
    long process; /* whose threads these are */
    unsigned threads, started;
    int taken, quit, stopped;
    uint64_t round; /* counts fg_pool_run */
    unsigned wanted, running;
    size_t next, tasks;
    fg_work *work;
    void *argument;
    worker worker[];
};

static int init_locks(struct fg_pool *p)
{
    if (!mutex_init(&p->mutex))
        return 0;
    if (condition_init(&p->wake)) {
        if (condition_init(&p->done))
            return 1;
        condition_destroy(&p->wake);
    }
    mutex_destroy(&p->mutex);
    return 0;
}

int fg_pool_new(unsigned threads, struct fg_pool **pool)
{
    *pool = NULL;
    threads = threads < 1 ? 1 : threads > MAX_THREADS ? MAX_THREADS : threads;
    struct fg_pool *p = calloc(1, sizeof *p + threads * sizeof *p->worker);
    if (!p || !init_locks(p)) {
        free(p);
        return FG_NO_MEMORY;
    }
    p->process = process();
    p->threads = threads;
    p->started = 1;
    for (unsigned i = 0; i < threads; i++) {
        p->worker[i].pool = p;
        p->worker[i].number = i;
    }
    *pool = p;
    return FG_OK;
}

void fg_pool_free(struct fg_pool *p)
{
    if (!p)
        return;
    if (p->process == process()) {
        lock(&p->mutex);
        p->quit = 1;
        wake_all(&p->wake);
        unlock(&p->mutex);
        for (unsigned i = 1; i < p->started; i++)
            join(p->worker[i].thread);
        condition_destroy(&p->done);
        condition_destroy(&p->wake);
        mutex_destroy(&p->mutex);
    }
    for (unsigned i = 0; i < p->threads; i++)
        free(p->worker[i].memory);
    free(p);
}

/* In the child of a fork the locks are in whatever state they were, and the threads are gone. */
static int forget_parent(struct fg_pool *p)
{
    if (!init_locks(p))
        return 0;
    p->process = process();
    p->started = 1;
    p->taken = 0;
    p->running = 0;
    p->next = p->tasks = 0;
    return 1;
}

int fg_pool_enter(struct fg_pool *p)
{
    if (p->process != process() && !forget_parent(p))
        return 0;
    lock(&p->mutex);
    int entered = !p->taken;
    p->taken = 1;
    unlock(&p->mutex);
    return entered;
}

void fg_pool_leave(struct fg_pool *p)
{
    lock(&p->mutex);
    p->taken = 0;
    unlock(&p->mutex);
}

unsigned fg_pool_threads(const struct fg_pool *p)
{
    return p->threads;
}

void *fg_pool_scratch(struct fg_pool *p, unsigned number, size_t bytes)
{
    worker *w = p->worker + number;
    if (bytes > SIZE_MAX - LINE)
        return NULL;
    if (!w->memory || w->bytes < bytes) {
        free(w->memory);
        w->memory = malloc(bytes + LINE);
        w->bytes = bytes;
    }
    return w->memory ? (void *)(((uintptr_t)w->memory + LINE - 1) / LINE * LINE) : NULL;
}

static START_ROUTINE serve(void *argument)
{
    const worker *w = argument;
    struct fg_pool *p = w->pool;
    uint64_t seen = 0;
    lock(&p->mutex);
    while (!p->quit) {
        if (p->round == seen || w->number >= p->wanted || p->next >= p->tasks) {
            wait_for(&p->wake, &p->mutex);
            continue;
        }
        seen = p->round;
        p->running++;
        unlock(&p->mutex);
        p->work(p->argument, w->number);
        lock(&p->mutex);
        if (--p->running == 0)
            wake_all(&p->done);
    }
    unlock(&p->mutex);
    return START_RESULT;
}

/* Whoever wakes up late finds no task left and goes back to sleep: only those who have begun are waited for. */
void fg_pool_run(struct fg_pool *p, unsigned threads, size_t tasks, fg_work *work, void *argument)
{
    threads = threads < p->threads ? threads : p->threads;
    while (p->started < threads && start(&p->worker[p->started].thread, serve, p->worker + p->started))
        p->started++;
    lock(&p->mutex);
    p->work = work;
    p->argument = argument;
    p->next = 0;
    p->stopped = 0;
    p->tasks = tasks;
    p->wanted = threads;
    p->round++;
    if (threads > 1)
        wake_all(&p->wake);
    unlock(&p->mutex);
    work(argument, 0);
    lock(&p->mutex);
    p->tasks = p->next;
    while (p->running)
        wait_for(&p->done, &p->mutex);
    unlock(&p->mutex);
}

int fg_pool_next(struct fg_pool *p, size_t *task)
{
    lock(&p->mutex);
    int given = p->next < p->tasks;
    *task = p->next;
    p->next += given;
    unlock(&p->mutex);
    return given;
}

void fg_pool_stop(struct fg_pool *p)
{
    lock(&p->mutex);
    p->tasks = p->next;
    p->stopped = 1;
    unlock(&p->mutex);
}

int fg_pool_stopped(struct fg_pool *p)
{
    lock(&p->mutex);
    int stopped = p->stopped;
    unlock(&p->mutex);
    return stopped;
}
