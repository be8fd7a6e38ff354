/* gate.h - a lock for requests: shared or exclusive, released by any thread */
/* SPDX-License-Identifier: MIT */
#ifndef UTIL_GATE_H
#define UTIL_GATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Any number of threads may be inside together (shared), or one alone (exclusive). A thread that wants to be alone has
 * priority: while it waits, no new one may share. Not recursive. */
typedef struct BlockGate {
    atomic_uint shared;         /* how many share; plus GATE_CLOSED while a thread is, or wants to be, alone */
    pthread_mutex_t mutex;      /* guards the rest */
    pthread_cond_t opened;      /* sharing is allowed again */
    pthread_cond_t emptied;     /* one thread may try to be alone */
    unsigned waiting;           /* how many wait to be alone */
    bool exclusive;             /* one is alone inside */
} BlockGate;

void gate_init(BlockGate *gate);
/* No thread may be inside, or in a call of these functions */
void gate_destroy(BlockGate *gate);

void gate_enter(BlockGate *gate, bool exclusive);
/* @exclusive: the value of gate_enter(). Any thread may leave for another */
void gate_leave(BlockGate *gate, bool exclusive);

#endif
