/* gate.h - shared or exclusive entry, released by any thread */
/* SPDX-License-Identifier: MIT */
#ifndef UTIL_GATE_H
#define UTIL_GATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Any number may be inside sharing, or one alone. Those who want to be alone go first: while one of
 * them waits, nobody new may share. Not recursive. */
typedef struct BlockGate {
    atomic_uint shared;         /* how many share; plus GATE_CLOSED while one is alone or wants to be */
    pthread_mutex_t mutex;      /* guards the rest */
    pthread_cond_t opened;      /* sharing is allowed again */
    pthread_cond_t emptied;     /* one may try to be alone */
    unsigned waiting;           /* how many wait to be alone */
    bool exclusive;             /* one is alone inside */
} BlockGate;

void gate_init(BlockGate *gate);
/* Nobody is inside, nor still in a call of these functions */
void gate_destroy(BlockGate *gate);

void gate_enter(BlockGate *gate, bool exclusive);
/* @exclusive as it was entered, from whatever thread */
void gate_leave(BlockGate *gate, bool exclusive);

#endif
