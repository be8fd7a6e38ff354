/* stop.h - a disk on which one request can be made to stop, and requests in threads of their own */
/* SPDX-License-Identifier: MIT */
#ifndef TESTS_STOP_H
#define TESTS_STOP_H

#include "medium.h"

typedef struct Stop {
    Medium medium;              /* in memory */
    BlockStorage below;
    pthread_mutex_t lock;       /* guards the rest */
    pthread_cond_t changed;
    enum { STOP_NOTHING, STOP_CHANGE, STOP_ANYTHING } next;     /* the next request of this kind stops */
    bool stopped;               /* it is there */
} Stop;

void stop_init(Stop *stop, Medium medium);      /* has the medium from now on */
void stop_clear(Stop *stop);
BlockStorage stop_storage(Stop *stop);          /* once the medium has its contents */
BlockDriverState *stop_open(Stop *stop, const char *options);   /* for writing and discards; or fails the test */

/* A change is a write, a flush or another length; anything may also be a read */
void stop_next_change(Stop *stop);
void stop_next(Stop *stop);
void stop_wait(Stop *stop);                     /* until a request has stopped */
bool stop_is_stopped(Stop *stop);
void stop_end(Stop *stop);                      /* the request that stopped goes on, and none stops any more */

typedef struct Job {
    int (*run)(void *data);
    void *data;
    int ret;                    /* what run() returned */
    int thread_id;              /* atomic; 0: it has not begun */
    bool done;                  /* atomic */
    pthread_t thread;
} Job;

void job_start(Job *job);
int job_end(Job *job);                          /* waits for it */
/* Once it has begun it has only the gate to wait for, or a lock */
void job_wait_until_asleep(Job *job);
bool job_is_asleep_or_done(Job *job);

#endif
