/* workers.c - one function in several threads at once */
/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include "util/workers.h"

void workers_run(unsigned count, void *(*work)(void *user), void *user)
{
    pthread_t threads[WORKERS_MAX - 1];
    unsigned started = 0;

    while (started + 1 < count && started < WORKERS_MAX - 1 &&
           pthread_create(&threads[started], NULL, work, user) == 0) {
        started++;
    }
    work(user);
    while (started > 0) {
        pthread_join(threads[--started], NULL);
    }
}
