/* test-workers.c - one function in several threads at once */
/* SPDX-License-Identifier: MIT */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <glib.h>
#include "util/workers.h"

/* The library's calls of pthread_create() end up here */
static int allowed;                 /* so many threads can be started; -1: any number */

typedef int Create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

__attribute__((visibility("default")))
int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*work)(void *), void *user)
{
    Create *create = (Create *)dlsym(RTLD_NEXT, "pthread_create");

    if (allowed == 0) {
        return EAGAIN;
    }
    allowed -= allowed > 0;
    return create(thread, attr, work, user);
}

typedef struct Meeting {
    int wanted;                     /* each call waits until so many are inside */
    int calls;                      /* atomic */
    bool has_caller;                /* atomic */
    pthread_t caller;
} Meeting;

static void *meet(void *user)
{
    Meeting *m = user;

    if (pthread_equal(pthread_self(), m->caller)) {
        __atomic_store_n(&m->has_caller, true, __ATOMIC_RELAXED);
    }
    __atomic_add_fetch(&m->calls, 1, __ATOMIC_RELAXED);
    while (__atomic_load_n(&m->calls, __ATOMIC_RELAXED) < m->wanted) {
        g_usleep(100);
    }
    return NULL;
}

/* Expect that @count workers, of which @most can be started, make @calls calls, all inside at the same time */
static void expect(unsigned count, int most, int calls)
{
    Meeting m = { calls, 0, false, pthread_self() };

    allowed = most;
    workers_run(count, meet, &m);
    allowed = -1;
    g_assert_cmpint(m.calls, ==, calls);
    g_assert_true(m.has_caller);
}

static void test_count(void)
{
    expect(0, -1, 1);
    expect(1, -1, 1);
    expect(2, -1, 2);
    expect(17, -1, 17);
    expect(WORKERS_MAX, -1, WORKERS_MAX);
    expect(WORKERS_MAX + 50, -1, WORKERS_MAX);
}

static void test_fewer(void)
{
    expect(8, 0, 1);
    expect(8, 3, 4);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    allowed = -1;
    g_test_add_func("/count", test_count);
    g_test_add_func("/fewer", test_fewer);
    return g_test_run();
}
