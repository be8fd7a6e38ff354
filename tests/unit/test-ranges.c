/* test-ranges.c - who waits for whom in util/ranges.c */
/* SPDX-License-Identifier: MIT */
#include <glib.h>
#include "util/ranges.h"
#include "visitor.h"

static void enter(Visitor *visitor)
{
    ranges_enter(visitor->lock, visitor->how);
}

static void leave(Visitor *visitor)
{
    ranges_leave(visitor->lock, visitor->how);
}

static void send(Visitor *visitor, BlockRanges *ranges, BlockRange *range)
{
    *visitor = (Visitor) { enter, leave, ranges, range };
    visitor_send(visitor);
}

/* With @first inside, another comes in, or does not before @first has left */
static void check_enter(BlockRange first, int64_t start, int64_t end, bool alone, bool waits)
{
    BlockRange range = { start, end, alone };
    BlockRanges ranges;
    Visitor visitor;

    ranges_init(&ranges);
    ranges_enter(&ranges, &first);
    send(&visitor, &ranges, &range);
    if (waits) {
        visitor_settle();
        g_assert_false(atomic_load(&visitor.inside));
    } else {
        visitor_wait_for(&visitor.inside);
    }
    ranges_leave(&ranges, &first);
    visitor_call_back(&visitor);
    ranges_destroy(&ranges);
}

static void test_apart(void)
{
    BlockRange middle = { 100, 200, true };

    check_enter(middle, 0, 100, true, false);
    check_enter(middle, 200, 300, true, false);
}

static void test_overlap(void)
{
    BlockRange middle = { 100, 200, true };

    check_enter(middle, 0, 101, true, true);
    check_enter(middle, 199, 300, true, true);
    check_enter(middle, 0, INT64_MAX, true, true);
    check_enter(middle, 120, 130, true, true);
}

static void test_one_is_alone(void)
{
    BlockRange alone = { 0, 10, true }, beside = { 0, 10, false };

    check_enter(alone, 5, 15, false, true);
    check_enter(beside, 5, 15, true, true);
    check_enter(beside, 5, 15, false, false);
}

/* @range has come, whether it is inside or waits */
static void wait_until_last(BlockRanges *ranges, const BlockRange *range)
{
    bool come = false;

    while (!come) {
        pthread_mutex_lock(&ranges->mutex);
        come = ranges->last == range;
        pthread_mutex_unlock(&ranges->mutex);
    }
}

/* One that waits is waited for, or it could wait forever; and one that waits stops nobody elsewhere */
static void test_in_turn(void)
{
    BlockRange first = { 0, 10, false }, two = { 0, 20, true }, three = { 5, 20, false }, apart = { 20, 30, true };
    BlockRanges ranges;
    Visitor second, third, elsewhere;

    ranges_init(&ranges);
    ranges_enter(&ranges, &first);
    send(&second, &ranges, &two);
    wait_until_last(&ranges, &two);
    send(&third, &ranges, &three);
    send(&elsewhere, &ranges, &apart);
    visitor_settle();
    g_assert_false(atomic_load(&second.inside) || atomic_load(&third.inside));
    visitor_call_back(&elsewhere);
    ranges_leave(&ranges, &first);
    visitor_wait_for(&second.inside);
    visitor_settle();
    g_assert_false(atomic_load(&third.inside));
    visitor_call_back(&second);
    visitor_call_back(&third);
    ranges_destroy(&ranges);
}

/* Each of some cells is changed by those who have it alone, and read by those who share it */
enum { THREADS = 4, ROUNDS = 3000, CELLS = 8 };

typedef struct Field {
    BlockRanges ranges;
    int cells[CELLS];
    int writes[CELLS];          /* how many there were to be */
} Field;

static void *work(void *data)
{
    Field *field = data;

    for (int i = 0; i < ROUNDS; i++) {
        int first = i % CELLS, end = MIN(first + 1 + i % 3, CELLS);
        BlockRange range = { first, end, i % 4 != 0 };

        ranges_enter(&field->ranges, &range);
        for (int cell = first; cell < end && range.alone; cell++) {
            field->cells[cell]++;
        }
        g_assert_cmpint(field->cells[first], >=, 0);
        ranges_leave(&field->ranges, &range);
        for (int cell = first; cell < end && range.alone; cell++) {
            __atomic_fetch_add(&field->writes[cell], 1, __ATOMIC_RELAXED);
        }
    }
    return NULL;
}

static void test_threads(void)
{
    Field field = { 0 };
    pthread_t threads[THREADS];

    ranges_init(&field.ranges);
    for (int i = 0; i < THREADS; i++) {
        g_assert_cmpint(pthread_create(&threads[i], NULL, work, &field), ==, 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    for (int i = 0; i < CELLS; i++) {
        g_assert_cmpint(field.cells[i], ==, field.writes[i]);
    }
    g_assert_null(field.ranges.last);
    ranges_destroy(&field.ranges);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ranges/apart", test_apart);
    g_test_add_func("/ranges/overlap", test_overlap);
    g_test_add_func("/ranges/one-is-alone", test_one_is_alone);
    g_test_add_func("/ranges/in-turn", test_in_turn);
    g_test_add_func("/ranges/threads", test_threads);
    return g_test_run();
}
