/* visitor.h - a thread that comes into a lock, says so, and leaves when told to */
/* SPDX-License-Identifier: MIT */
#ifndef TESTS_VISITOR_H
#define TESTS_VISITOR_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>
#include <glib.h>

typedef struct Visitor {
    void (*enter)(struct Visitor *visitor);     /* these two, and what they need, are the test's */
    void (*leave)(struct Visitor *visitor);
    void *lock, *how;
    atomic_bool inside, may_leave;
    pthread_t thread;
} Visitor;

static inline void visitor_wait_for(atomic_bool *flag)
{
    while (!atomic_load(flag)) {
        usleep(100);
    }
}

/* Long enough for a thread that may go on to have gone on; a wrong lock may pass, a right one never fails */
static inline void visitor_settle(void)
{
    usleep(20 * 1000);
}

static inline void *visitor_main(void *data)
{
    Visitor *visitor = data;

    visitor->enter(visitor);
    atomic_store(&visitor->inside, true);
    visitor_wait_for(&visitor->may_leave);
    visitor->leave(visitor);
    return NULL;
}

static inline void visitor_send(Visitor *visitor)
{
    g_assert_cmpint(pthread_create(&visitor->thread, NULL, visitor_main, visitor), ==, 0);
}

static inline void visitor_call_back(Visitor *visitor)
{
    visitor_wait_for(&visitor->inside);
    atomic_store(&visitor->may_leave, true);
    pthread_join(visitor->thread, NULL);
}

#endif
