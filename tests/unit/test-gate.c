/* test-gate.c - who may be inside util/gate.c at the same time, and who goes first */
/* SPDX-License-Identifier: MIT */
#include "util/gate.h"
#include "visitor.h"

static void enter(Visitor *visitor)
{
    gate_enter(visitor->lock, *(bool *)visitor->how);
}

static void leave(Visitor *visitor)
{
    gate_leave(visitor->lock, *(bool *)visitor->how);
}

static void send(Visitor *visitor, BlockGate *gate, bool exclusive)
{
    static bool ways[] = { false, true };

    *visitor = (Visitor) { enter, leave, gate, &ways[exclusive] };
    visitor_send(visitor);
}

static void test_shared_share(void)
{
    BlockGate gate;
    Visitor visitor;

    gate_init(&gate);
    gate_enter(&gate, false);
    send(&visitor, &gate, false);
    visitor_call_back(&visitor);
    gate_leave(&gate, false);
    gate_destroy(&gate);
}

/* With @first inside, @second must not come in before @first has left */
static void check_excludes(bool first, bool second)
{
    BlockGate gate;
    Visitor visitor;

    gate_init(&gate);
    gate_enter(&gate, first);
    send(&visitor, &gate, second);
    visitor_settle();
    g_assert_false(atomic_load(&visitor.inside));
    gate_leave(&gate, first);
    visitor_call_back(&visitor);
    gate_destroy(&gate);
}

static void test_exclusive_excludes_shared(void)
{
    check_excludes(true, false);
}

static void test_shared_excludes_exclusive(void)
{
    check_excludes(false, true);
}

static void test_exclusive_excludes_exclusive(void)
{
    check_excludes(true, true);
}

static void wait_until_one_waits(BlockGate *gate)
{
    bool waits = false;

    while (!waits) {
        pthread_mutex_lock(&gate->mutex);
        waits = gate->waiting > 0;
        pthread_mutex_unlock(&gate->mutex);
    }
}

static void test_waiting_exclusive_stops_shared(void)
{
    BlockGate gate;
    Visitor exclusive, shared;

    gate_init(&gate);
    gate_enter(&gate, false);
    send(&exclusive, &gate, true);
    wait_until_one_waits(&gate);
    send(&shared, &gate, false);
    visitor_settle();
    g_assert_false(atomic_load(&shared.inside));
    gate_leave(&gate, false);
    visitor_wait_for(&exclusive.inside);
    g_assert_false(atomic_load(&shared.inside));
    visitor_call_back(&exclusive);
    visitor_call_back(&shared);
    gate_destroy(&gate);
}

typedef struct Release {
    BlockGate *gate;
    bool exclusive;
} Release;

static void *leave_for_another(void *data)
{
    Release *release = data;

    gate_leave(release->gate, release->exclusive);
    return NULL;
}

static void check_released_elsewhere(bool exclusive)
{
    BlockGate gate;
    Release release = { &gate, exclusive };
    pthread_t thread;

    gate_init(&gate);
    gate_enter(&gate, exclusive);
    g_assert_cmpint(pthread_create(&thread, NULL, leave_for_another, &release), ==, 0);
    gate_enter(&gate, true);
    gate_leave(&gate, true);
    pthread_join(thread, NULL);
    gate_destroy(&gate);
}

static void test_shared_released_by_another_thread(void)
{
    check_released_elsewhere(false);
}

static void test_exclusive_released_by_another_thread(void)
{
    check_released_elsewhere(true);
}

/* Threads that keep a gate busy until told to stop, or for some rounds */
typedef struct Crowd {
    BlockGate gate;
    atomic_bool stop;
    atomic_int sharing;
    long counter;               /* plain on purpose: only the gate guards it */
} Crowd;

static void *share_without_pause(void *data)
{
    Crowd *crowd = data;

    while (!atomic_load(&crowd->stop)) {
        gate_enter(&crowd->gate, false);
        usleep(50);
        gate_leave(&crowd->gate, false);
    }
    return NULL;
}

static void test_exclusive_is_not_starved(void)
{
    Crowd crowd = { .stop = false };
    pthread_t threads[4];

    gate_init(&crowd.gate);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
        pthread_create(&threads[i], NULL, share_without_pause, &crowd);
    }
    for (int i = 0; i < 100; i++) {
        gate_enter(&crowd.gate, true);
        gate_leave(&crowd.gate, true);
    }
    atomic_store(&crowd.stop, true);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
        pthread_join(threads[i], NULL);
    }
    gate_destroy(&crowd.gate);
}

enum { ROUNDS = 20000 };

static void *come_and_go(void *data)
{
    Crowd *crowd = data;
    long seen = 0;

    for (int i = 0; i < ROUNDS; i++) {
        bool exclusive = i % 5 == 0;

        gate_enter(&crowd->gate, exclusive);
        if (exclusive) {
            g_assert_cmpint(atomic_load(&crowd->sharing), ==, 0);
            crowd->counter++;
        } else {
            atomic_fetch_add(&crowd->sharing, 1);
            g_assert_cmpint(crowd->counter, >=, seen);
            seen = crowd->counter;
            atomic_fetch_sub(&crowd->sharing, 1);
        }
        gate_leave(&crowd->gate, exclusive);
    }
    return NULL;
}

static void test_crowd(void)
{
    Crowd crowd = { .counter = 0 };
    pthread_t threads[8];

    gate_init(&crowd.gate);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
        pthread_create(&threads[i], NULL, come_and_go, &crowd);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
        pthread_join(threads[i], NULL);
    }
    g_assert_cmpint(crowd.counter, ==, (long)G_N_ELEMENTS(threads) * ROUNDS / 5);
    gate_destroy(&crowd.gate);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/gate/shared-share", test_shared_share);
    g_test_add_func("/gate/exclusive-excludes-shared", test_exclusive_excludes_shared);
    g_test_add_func("/gate/shared-excludes-exclusive", test_shared_excludes_exclusive);
    g_test_add_func("/gate/exclusive-excludes-exclusive", test_exclusive_excludes_exclusive);
    g_test_add_func("/gate/waiting-exclusive-stops-shared", test_waiting_exclusive_stops_shared);
    g_test_add_func("/gate/shared-released-by-another-thread", test_shared_released_by_another_thread);
    g_test_add_func("/gate/exclusive-released-by-another-thread", test_exclusive_released_by_another_thread);
    g_test_add_func("/gate/exclusive-is-not-starved", test_exclusive_is_not_starved);
    g_test_add_func("/gate/crowd", test_crowd);
    return g_test_run();
}
