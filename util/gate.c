/* gate.c - a lock for requests: shared or exclusive, released by any thread */
/* SPDX-License-Identifier: MIT */
#include "util/gate.h"

#define GATE_CLOSED (1u << 31)

/* Sharing costs two atomic operations as long as no thread wants to be alone. The count and GATE_CLOSED are one word,
 * so that no thread can enter between "it is closed" and "it is empty". */

void gate_init(BlockGate *gate)
{
    atomic_init(&gate->shared, 0);
    pthread_mutex_init(&gate->mutex, NULL);
    pthread_cond_init(&gate->opened, NULL);
    pthread_cond_init(&gate->emptied, NULL);
    gate->waiting = 0;
    gate->exclusive = false;
}

void gate_destroy(BlockGate *gate)
{
    pthread_cond_destroy(&gate->emptied);
    pthread_cond_destroy(&gate->opened);
    pthread_mutex_destroy(&gate->mutex);
}

static bool try_share(BlockGate *gate)
{
    unsigned shared = atomic_load(&gate->shared);

    while (!(shared & GATE_CLOSED)) {
        if (atomic_compare_exchange_weak(&gate->shared, &shared, shared + 1)) {
            return true;
        }
    }
    return false;
}

static void enter_shared(BlockGate *gate)
{
    if (try_share(gate)) {
        return;
    }
    pthread_mutex_lock(&gate->mutex);
    while (!try_share(gate)) {
        pthread_cond_wait(&gate->opened, &gate->mutex);
    }
    pthread_mutex_unlock(&gate->mutex);
}

static void enter_exclusive(BlockGate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    gate->waiting++;
    atomic_fetch_or(&gate->shared, GATE_CLOSED);
    while (gate->exclusive || atomic_load(&gate->shared) != GATE_CLOSED) {
        pthread_cond_wait(&gate->emptied, &gate->mutex);
    }
    gate->waiting--;
    gate->exclusive = true;
    pthread_mutex_unlock(&gate->mutex);
}

static void leave_shared(BlockGate *gate)
{
    if (atomic_fetch_sub(&gate->shared, 1) - 1 != GATE_CLOSED) {
        return;
    }
    pthread_mutex_lock(&gate->mutex);   /* else a waiter may test, miss the signal, and then sleep */
    pthread_cond_signal(&gate->emptied);
    pthread_mutex_unlock(&gate->mutex);
}

static void leave_exclusive(BlockGate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    gate->exclusive = false;
    if (gate->waiting) {
        pthread_cond_signal(&gate->emptied);
    } else {
        atomic_fetch_and(&gate->shared, ~GATE_CLOSED);
        pthread_cond_broadcast(&gate->opened);
    }
    pthread_mutex_unlock(&gate->mutex);
}

void gate_enter(BlockGate *gate, bool exclusive)
{
    exclusive ? enter_exclusive(gate) : enter_shared(gate);
}

void gate_leave(BlockGate *gate, bool exclusive)
{
    exclusive ? leave_exclusive(gate) : leave_shared(gate);
}
